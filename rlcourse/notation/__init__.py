"""Mathematics that runs: one object is shown as LaTeX and evaluates to a number, and a derivation step is shown only if it has been checked.

    a, mu, sigma = real("a"), real("mu"), positive("sigma")
    Q = function("Q", a)
    Derivation("Score function", "13.4", D(mu, E(a, N(mu, sigma), Q(a)))).step(E(a, N(mu, sigma), Q(a) * ((a - mu) / sigma**2)), because="...")

written      arithmetic that stays as typed;  pens: in LaTeX and as text
expressions  variables, functions, distributions, and the operators E, P, D, H, integral, det_jacobian
tables       states, actions, times, r, P;  laws: policies, trajectories, values, optimality;  operators: ∇, Σ, Π, max, LSE, KL, Pr
worlds       what symbols and functions are worth;  mdp_worlds: finite processes;  continuous: real actions, linear-quadratic;  exact: fractions
evaluate     the value of an expression in a world;  finite, endless: of trajectories and of discounted sums;  families: which worlds a step needs
verdict      holds, fails or undecided;  relations: =, ≤, up to a constant, to first order;  limits
derivation   the chain of checked steps;  assumptions, definitions, bindings: what stands beside it;  errata: printed against corrected
"""

from sympy import oo

from rlcourse.notation.assumptions import Assumption, AssumptionNotNeeded, AssumptionOpen
from rlcourse.notation.continuous import ActionWorld, LinearQuadratic, action_worlds, lq_constant, lq_start, lq_worlds, riccati_gain
from rlcourse.notation.definitions import DefinitionRefused
from rlcourse.notation.derivation import Derivation, StepFails, StepUndecided, derivations
from rlcourse.notation.errata import Erratum, erratum
from rlcourse.notation.evaluate import evaluate
from rlcourse.notation.expressions import D, E, H, N, P, TanhN, det_jacobian, function, integral, partial, positive, real
from rlcourse.notation.laws import actor, dynamics, optimality, policy
from rlcourse.notation.mdp_worlds import FiniteWorld, finite_worlds
from rlcourse.notation.operators import KL, LSE, Larger, Max, Min, Pr, Prod, Sum, grad, grad_at
from rlcourse.notation.pens import latex, text
from rlcourse.notation.rendering import summary
from rlcourse.notation.tables import action, horizon, initial, path, reward, state, terminal, time
from rlcourse.notation.worlds import DensityWorld, Formula, density_worlds, jump, kink
from rlcourse.notation.written import Abs, Phi, atanh, cos, exp, log, sin, softplus, sqrt, tanh

__all__ = [
    "KL", "LSE", "Abs", "ActionWorld", "Assumption", "AssumptionNotNeeded", "AssumptionOpen", "D", "DefinitionRefused", "DensityWorld",
    "Derivation", "E", "Erratum", "FiniteWorld", "Formula", "H", "Larger", "LinearQuadratic", "Max", "Min", "N", "P", "Phi", "Pr", "Prod",
    "StepFails", "StepUndecided", "Sum", "TanhN", "action", "action_worlds", "actor", "atanh", "cos", "density_worlds", "derivations",
    "det_jacobian", "dynamics", "erratum", "evaluate", "exp", "finite_worlds", "function", "grad", "grad_at", "horizon", "initial", "integral",
    "jump", "kink", "latex", "log", "lq_constant", "lq_start", "lq_worlds", "oo", "optimality", "partial", "path", "policy", "positive", "real",
    "reward", "riccati_gain", "sin", "softplus", "sqrt", "state", "summary", "tanh", "terminal", "text", "time",
]
