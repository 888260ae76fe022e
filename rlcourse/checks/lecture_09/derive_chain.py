"""A draft, which registers once DRAFT is called EXERCISE: the chain rule of the deterministic policy gradient, on replayed states."""

from rlcourse.checks.derive import Derive
from rlcourse.checks.lines import no_derivative_of, only_slopes_of
from rlcourse.checks.mistakes import mistake
from rlcourse.notation import ActionWorld, E, actor, function, grad, grad_at, real, state
from rlcourse.notation import expressions as ex

theta, theta_b, gamma, s, a = real("theta"), real("theta_b"), real("gamma", 0.3, 0.95), state("s"), real("a")
mu, old, Q = actor("mu", theta), actor("mu", theta_b), function("Q", s, a)


def chain_lines(theta, gamma, s, a, mu, old, Q):
    """The states are an older actor's, so the gradient goes inside; then theta acts through the action alone."""
    return [
        E(s, old.visits(gamma), grad(theta, Q(s, mu(s)))),
        E(s, old.visits(gamma), grad(theta, mu(s)) * grad_at(a, Q(s, a), mu(s))),
    ]


FORMS = (
    no_derivative_of((ex.E,), "outside", "∇ still stands before an expectation",
                     "The states are sampled: the gradient has to go inside the average over them."),
    only_slopes_of(Q, "slope", "Q itself is left in it", "Use the chain rule: how Q answers to the action, times how the action answers to θ."),
)

_LAST = "grad(theta, mu(s)) * grad_at(a, Q(s, a), mu(s))"
_made = [
    ("no_inner_derivative", "the slope of Q in the action, without ∇μ", "The chain rule has two factors: ∇μ says how the action answers to θ.",
     "[09.2]", (_LAST, "grad_at(a, Q(s, a), mu(s))")),
    ("q_not_differentiated", "∇μ times Q itself", "The outer factor is the slope of Q in the action, at μ(s).",
     "[09.2]", (_LAST, "grad(theta, mu(s)) * Q(s, mu(s))")),
    ("slope_at_the_old_action", "the slope of Q at the action of the older actor", "θ moves the present actor's action, so the slope is taken there.",
     "[09.2]", ("grad_at(a, Q(s, a), mu(s))", "grad_at(a, Q(s, a), old(s))")),
    ("own_states", "an average over the present actor's states", "The states come from the replay: their law is the older actor's, and it has no θ.",
     "[09.2]", ("E(s, old.visits(gamma), " + _LAST, "E(s, mu.visits(gamma), " + _LAST)),
    ("sum_of_the_factors", "the sum of the chain rule's two factors", "The chain rule multiplies.",
     "[09.2]", ("grad(theta, mu(s)) * grad_at", "grad(theta, mu(s)) + grad_at")),
    ("sign", "the chain rule with a minus sign", "The actor climbs: the minus belongs to the loss that an optimiser descends.",
     "[09.2]", (_LAST, "-grad(theta, mu(s)) * grad_at(a, Q(s, a), mu(s))")),
]

DRAFT = Derive(
    id="09.9",
    function="chain_lines",
    signature="chain_lines(theta, gamma, s, a, mu, old, Q)",
    title="Derive what DDPG's actor follows",
    tags=("[09.2]",),
    minutes=10,
    difficulty=2,
    points=6.0,
    lecture="09a_deterministic_policy_gradients.ipynb",
    hints=(
        "Which symbols of the start depend on theta: the law of the states, or the action?",
        "The states are an older actor's, so the gradient goes inside. There Q depends on theta through mu(s) alone.",
        "E(s, old.visits(gamma), grad(theta, Q(s, mu(s)))), then grad(theta, mu(s)) * grad_at(a, Q(s, a), mu(s)) inside the same expectation.",
    ),
    reference=chain_lines,
    start=grad(theta, E(s, old.visits(gamma), Q(s, mu(s)))),
    symbols=(theta, gamma, s, a, mu, old, Q),
    forms=FORMS,
    world=ActionWorld,
    mistakes=tuple(mistake(chain_lines, *made) for made in _made),
)
