"""Exercise 13.9: from the gradient of an expectation to an expectation of gradients, for both parameters of a Gaussian policy at once."""

from rlcourse.checks.derive import Derive
from rlcourse.checks.lines import no_derivative_of, no_law_with, only_slopes_of, without
from rlcourse.checks.mistakes import mistake
from rlcourse.notation import D, E, N, function, partial, real
from rlcourse.notation import expressions as ex

theta, s, a, eps = (real(name) for name in ("theta", "s", "a", "epsilon"))
Q = function("Q", s, a)
mu = function("mu", theta, s, subscripts=1)(theta, s)
sigma = function("sigma", theta, s, subscripts=1, is_positive=True)(theta, s)
START = D(theta, E(a, N(mu, sigma), Q(s, a)))


def pathwise_lines(theta, s, a, eps, mu, sigma, Q):
    """Move the noise out of the law, the derivative inside, and use the chain rule."""
    path = mu + sigma * eps
    return [
        D(theta, E(eps, N(0, 1), Q(s, path))),
        E(eps, N(0, 1), D(theta, Q(s, path))),
        E(eps, N(0, 1), partial(Q, a)(s, path) * (D(theta, mu) + D(theta, sigma) * eps)),
    ]


FORMS = (
    no_derivative_of((ex.E, ex.Integral), "outside", "∂/∂θ still stands before an expectation",
                     "What can be sampled is an expectation of something: move the derivative inside, once the law is free of θ."),
    no_law_with(theta, "law", "an expectation still runs over a law that depends on θ",
                "Write the action as μ_θ(s) + σ_θ(s) ε with ε ~ N(0, 1): then the samples know nothing of θ, and what they enter is differentiated."),
    no_derivative_of((Q,), "chain", "∂/∂θ still stands before Q",
                     "Carry out the chain rule: θ reaches Q through μ_θ(s) and through σ_θ(s).", by=theta),
    only_slopes_of(Q, "slope", "Q itself is left in it, which is the score function in other clothes",
                   "The pathwise form knows Q by its slope ∂Q/∂a only: that is where its low variance comes from."),
    without((ex.Integral,), "sampled", "it contains an integral that has to be computed",
            "Write it as an expectation over ε, of which one sample is an estimate."),
)

_LAST = "partial(Q, a)(s, path) * (D(theta, mu) + D(theta, sigma) * eps)"
_FIRST = "D(theta, E(eps, N(0, 1), Q(s, path)))"
_made = [
    ("inside_the_law", "∂/∂θ moved inside an expectation whose law depends on θ",
     "Q(s, a) does not contain θ, so what is left is 0: θ acts through the law. Reparametrise first, then move the derivative.",
     "[13.3]", (_FIRST, "E(a, N(mu, sigma), D(theta, Q(s, a)))")),
    ("variance_in_the_path", "the path μ + σ² ε",
     "N(mu, sigma) has the standard deviation sigma, and a standard normal has to be stretched by exactly that.",
     "[13.3]", ("mu + sigma * eps", "mu + sigma**2 * eps")),
    ("unscaled_noise", "the path μ + ε", "The noise has standard deviation 1; the action has σ.", "[13.3]", ("mu + sigma * eps", "mu + eps")),
    ("noise_of_the_action", "μ + σ ε with ε drawn from the policy's own N(μ, σ²)",
     "Shift and scale are in the path already: ε is standard normal, N(0, 1).",
     "[13.3]", (_FIRST, "D(theta, E(eps, N(mu, sigma), Q(s, path)))")),
    ("log_missing", "Q times ∂p/∂θ in place of Q times ∂ log p/∂θ",
     "∂p = p ∂ log p: the factor p becomes the law of the expectation, and what is left inside is the derivative of the logarithm.",
     "[13.4]", (_FIRST, "E(a, N(mu, sigma), Q(s, a) * D(theta, N(mu, sigma).pdf(a)))")),
    ("sigma_held", "the chain rule through μ alone",
     "θ moves σ_θ(s) as well; its term carries the factor ε.",
     "[13.2]", ("(D(theta, mu) + D(theta, sigma) * eps)", "D(theta, mu)")),
    ("mu_held", "the chain rule through σ alone", "θ moves μ_θ(s) as well.",
     "[13.2]", ("D(theta, mu) + D(theta, sigma) * eps", "D(theta, sigma) * eps")),
    ("inner_eps_missing", "the chain rule without the factor ε beside ∂σ/∂θ",
     "The derivative of σ ε by θ is ε ∂σ/∂θ: a sample that was pushed far moves far.",
     "[13.3]", ("D(theta, sigma) * eps", "D(theta, sigma)")),
    ("sigma_not_differentiated", "σ ε where ∂σ/∂θ ε belongs", "Both parts of the path are differentiated by θ.",
     "[13.2]", ("D(theta, sigma) * eps", "sigma * eps")),
    ("no_inner_derivative", "the slope of Q without the inner derivative ∂a/∂θ",
     "The chain rule has two factors: how Q answers to the action, and how the action answers to θ.",
     "[13.2]", (_LAST, "partial(Q, a)(s, path)")),
    ("slope_at_the_mean", "the slope of Q at the mean μ_θ(s)",
     "Each sample has its own action, and Q's slope is taken there; at the mean it would be the deterministic policy gradient.",
     "[13.2]", ("partial(Q, a)(s, path)", "partial(Q, a)(s, mu)")),
    ("q_not_differentiated", "Q(s, a) where its slope ∂Q/∂a belongs", "The outer factor of the chain rule is the derivative of Q.",
     "[13.3]", ("partial(Q, a)(s, path)", "Q(s, path)")),
    ("slope_in_the_state", "the slope of Q in the state", "θ moves the action; the state is where it was.",
     "[13.3]", ("partial(Q, a)(s, path)", "partial(Q, s)(s, path)")),
    ("sign_of_the_noise", "the chain rule with a minus before ∂σ/∂θ ε",
     "The path is μ + σ ε: its derivative has the same signs. (With μ − σ ε throughout you would be right.)",
     "[13.3]", ("D(theta, mu) + D(theta, sigma) * eps", "D(theta, mu) - D(theta, sigma) * eps")),
]

EXERCISE = Derive(
    id="13.9",
    function="pathwise_lines",
    signature="pathwise_lines(theta, s, a, eps, mu, sigma, Q)",
    title="Derive the gradient that SAC's actor follows",
    tags=("[13.3]", "[13.2]"),
    minutes=15,
    difficulty=3,
    points=10.0,
    lecture="13a_reparametrisation_and_squashing.ipynb",
    hints=(
        "Which symbols of the start depend on theta? As long as the law is among them, the derivative cannot pass the expectation. "
        "Write the action so that its randomness comes from somewhere else.",
        "First line: the same derivative of an expectation over eps ~ N(0, 1), with mu + sigma * eps in the place of the action. "
        "Then the derivative may go inside, and the chain rule finds theta twice: in mu and in sigma.",
        "path = mu + sigma * eps; the lines are D(theta, E(eps, N(0, 1), Q(s, path))), then E(eps, N(0, 1), D(theta, Q(s, path))), then the slope "
        "partial(Q, a)(s, path) times D(theta, mu) + D(theta, sigma) * eps inside the same expectation.",
    ),
    reference=pathwise_lines,
    start=START,
    symbols=(theta, s, a, eps, mu, sigma, Q),
    forms=FORMS,
    at_least=2,
    importance=4,
    mistakes=tuple(mistake(pathwise_lines, *made) for made in _made),
)
