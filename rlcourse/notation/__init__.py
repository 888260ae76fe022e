"""Mathematics that runs: one object is shown as LaTeX and evaluates to a number, and a derivation step is shown only if it has been checked.

    a, mu, sigma = real("a"), real("mu"), positive("sigma")
    Q = function("Q", a)
    Derivation("Score function", "13.4", D(mu, E(a, N(mu, sigma), Q(a)))).step(E(a, N(mu, sigma), Q(a) * ((a - mu) / sigma**2)), because="...")

written      arithmetic that stays as typed;  pens: in LaTeX and as text
expressions  variables, functions, distributions, and the operators E, P, D, H, integral, det_jacobian
worlds       what symbols and functions are worth; the symbolic mode
evaluate     the value of an expression in a world
verdict      holds, fails or undecided
derivation   the chain of checked steps;  errata: printed against corrected
"""

from rlcourse.notation.derivation import AssumptionNotNeeded, DefinitionRefused, Derivation, StepFails, StepUndecided, derivations
from rlcourse.notation.errata import Erratum, erratum
from rlcourse.notation.evaluate import evaluate
from rlcourse.notation.expressions import D, E, H, N, P, TanhN, det_jacobian, function, integral, partial, positive, real
from rlcourse.notation.pens import latex, text
from rlcourse.notation.rendering import summary
from rlcourse.notation.worlds import DensityWorld, Formula, density_worlds, jump, kink
from rlcourse.notation.written import Phi, atanh, cos, exp, log, sin, softplus, sqrt, tanh

__all__ = [
    "AssumptionNotNeeded", "D", "DefinitionRefused", "DensityWorld", "Derivation", "E", "Erratum", "Formula", "H", "N", "P", "Phi", "StepFails",
    "StepUndecided", "TanhN", "atanh", "cos", "density_worlds", "derivations", "det_jacobian", "erratum", "evaluate", "exp", "function", "integral",
    "jump", "kink", "latex", "log", "partial", "positive", "real", "sin", "softplus", "sqrt", "summary", "tanh", "text",
]
