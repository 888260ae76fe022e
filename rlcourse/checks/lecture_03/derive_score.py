"""A draft, which registers once DRAFT is called EXERCISE: from the slope of an average to the score function with a baseline."""

from rlcourse.checks.derive import Derive
from rlcourse.checks.lines import Form, no_derivative_of, nodes, without
from rlcourse.checks.mistakes import mistake
from rlcourse.notation import E, FiniteWorld, Sum, action, function, grad, log, policy, real, state
from rlcourse.notation import expressions as ex
from rlcourse.notation.operators import Over

theta, s, a = real("theta"), state("s"), action("a")
pi, Q, b = policy("pi", theta), function("Q", s, a), function("b", s)


def score_lines(theta, s, a, pi, Q, b):
    """The sum over actions is differentiated, the probability is taken out again, and a baseline is free."""
    score = grad(theta, log(pi(a, s)))
    return [
        Sum(a, grad(theta, pi(a, s)) * Q(s, a)),
        E(a, pi.at(s), score * Q(s, a)),
        E(a, pi.at(s), score * (Q(s, a) - b(s))),
    ]


FORMS = (
    no_derivative_of((ex.E, Over), "outside", "∇ still stands before an average over actions",
                     "An average over samples estimates an expectation of something: the gradient has to go inside."),
    without((Over,), "sum", "it contains a sum over all actions",
            "What was sampled from the policy is averaged: write an expectation over a ~ π."),
    Form("baseline", lambda line: bool(nodes(line, b)), "the baseline b(s) does not occur in it",
         "Subtract b(s) from Q(s, a): whatever all actions of a state share does not move the mean."),
)

_SUM, _MEAN = "Sum(a, grad(theta, pi(a, s)) * Q(s, a))", "E(a, pi.at(s), score * Q(s, a))"
_made = [
    ("inside_the_law", "∇ moved inside an expectation whose law depends on θ",
     "Q does not contain θ, so nothing is left: θ acts through the probabilities.",
     "[03.1]", (_SUM, "E(a, pi.at(s), grad(theta, Q(s, a)))")),
    ("log_missing", "an expectation of ∇π Q, without the logarithm",
     "An expectation multiplies by π once more. ∇π = π ∇ log π, and that π is used up.",
     "[03.1]", (_MEAN, "E(a, pi.at(s), grad(theta, pi(a, s)) * Q(s, a))")),
    ("weight_missing", "a sum of scores without their probabilities",
     "∇π = π ∇ log π: the factor π is still there, as the law of the expectation.",
     "[03.1]", (_MEAN, "Sum(a, score * Q(s, a))")),
    ("gradient_missing", "an expectation of log π Q without the gradient",
     "The score is the gradient of log π. The surrogate without it has another value.",
     "[03.1]", ("score = grad(theta, log(pi(a, s)))", "score = log(pi(a, s))")),
    ("baseline_without_score", "the baseline subtracted without its score", "The score multiplies Q − b: alone, b(s) is not averaged away.",
     "[03.2]", ("score * (Q(s, a) - b(s))", "score * Q(s, a) - b(s)")),
    ("baseline_in_place", "the baseline in the place of Q", "b(s) is subtracted from Q(s, a). Alone its mean is 0.",
     "[03.2]", ("(Q(s, a) - b(s))", "b(s)")),
]

DRAFT = Derive(
    id="03.9",
    function="score_lines",
    signature="score_lines(theta, s, a, pi, Q, b)",
    title="Derive the score function, with a baseline",
    tags=("[03.1]", "[03.2]"),
    minutes=12,
    difficulty=2,
    points=8.0,
    lecture="03_policy_gradients.ipynb",
    hints=(
        "Write the expectation as a sum over actions. Which factor of each term depends on theta?",
        "The derivative of pi is pi times the derivative of log pi: the pi makes the sum an expectation again. "
        "Then: what is the mean of the score alone?",
        "Sum(a, grad(theta, pi(a, s)) * Q(s, a)), then "
        "E(a, pi.at(s), grad(theta, log(pi(a, s))) * Q(s, a)), then Q(s, a) - b(s) in place of Q(s, a).",
    ),
    reference=score_lines,
    start=grad(theta, E(a, pi.at(s), Q(s, a))),
    symbols=(theta, s, a, pi, Q, b),
    forms=FORMS,
    world=FiniteWorld,
    at_least=2,
    mistakes=tuple(mistake(score_lines, *made) for made in _made),
)
