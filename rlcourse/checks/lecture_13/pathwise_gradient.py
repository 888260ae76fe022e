"""Exercise 13.2: the pathwise gradient, ∇_{μ,σ} Σ_i w_i Q(μ + σ ε_i) = (Σ_i w_i Q'(μ + σ ε_i), Σ_i w_i ε_i Q'(μ + σ ε_i)).  [13.3]"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from rlcourse.checks.core import Case, Exercise, Inputs, number
from rlcourse.checks.drawing import signed
from rlcourse.checks.interface import Interface, array
from rlcourse.checks.mistakes import mistake
from rlcourse.checks.properties import equals, linear


def reparam_grad(Q: Callable, mu: torch.Tensor, sigma: torch.Tensor, eps: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """The right answer: what the mistakes below are made from, and what escape_hatch gives. mu, sigma (), eps, w (B,) -> (2,)."""
    mu = mu.detach().requires_grad_(True)
    sigma = sigma.detach().requires_grad_(True)
    action = mu + sigma * eps
    objective = (w * Q(action)).sum()
    grad_mu, grad_sigma = torch.autograd.grad(objective, (mu, sigma))
    return torch.stack([grad_mu, grad_sigma])


def action_value(coef: np.ndarray, wave: np.ndarray) -> Callable:
    """Q(a) = Σ_k coef[k] a^k + wave[0] sin(wave[1] a), for tensors, arrays and numbers of any shape."""
    powers, (height, frequency) = [float(c) for c in coef], [float(x) for x in wave]

    def Q(a):
        total = a * 0.0
        for c in reversed(powers):
            total = total * a + c
        return total + height * (torch.sin(frequency * a) if isinstance(a, torch.Tensor) else np.sin(frequency * a))

    return Q


IO = Interface(
    inputs={"mu": array(low=-1.5, high=1.5), "sigma": array(low=0.3, high=2.0, draw=lambda rng, shape: rng.uniform(0.3, 0.9)),
            "eps": array("B", draw=lambda rng, shape: rng.standard_normal(shape)), "w": array("B", low=0.2, high=2.0),
            "wave": array("2", low=0.0, draw=lambda rng, shape: rng.uniform(0.5, 1.5, shape)), "coef": array("K", draw=signed(0.1, 1.0))},
    outputs={"gradient": "2"},
    sizes={"B": (1, 2, 7, 20), "K": (4,)},
    arguments=lambda x: (action_value(x["coef"], x["wave"]), x["mu"], x["sigma"], x["eps"], x["w"]),
)


def cases(rng: np.random.Generator) -> list[Case]:
    """Random nodes and weights, which do not sum to one, in both precisions; tiny and large sigma; and sin 3a on quadrature nodes."""
    edges = [Case("sampled", IO.draw(rng, B=7, sigma=sigma)) for sigma in (1e-3, 8.0)]
    return IO.cases(rng) + edges + [Case("hermite", _hermite(rng.uniform(0.1, 1.0), rng.uniform(0.2, 0.8))) for _ in range(2)]


def _hermite(mu: float, sigma: float) -> Inputs:
    """Q = sin 3a at 40 Gauss-Hermite nodes, which integrate it against N(0, 1) to twelve digits."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    return _inputs(mu, sigma, nodes, weights / math.sqrt(2 * math.pi), [1.0, 3.0], [0.0])


def _inputs(mu, sigma, eps, w, wave, coef) -> Inputs:
    return {name: np.asarray(value, dtype=float) for name, value in zip(IO.inputs, (mu, sigma, eps, w, wave, coef))}


def describe(inputs: Inputs) -> str:
    """The inputs in words, with numbers where they are few."""
    return f"Q(a) = {_in_words(inputs)}, {IO.describe({name: inputs[name] for name in ('mu', 'sigma', 'eps', 'w')})}"


def _in_words(inputs: Inputs) -> str:
    """Q as a formula in plain text, such as "a^2 + 0.5 sin(3 a)"."""
    powers = ["", "a", *(f"a^{k}" for k in range(2, inputs["coef"].size))][: inputs["coef"].size]
    names, factors = [*powers, f"sin({number(inputs['wave'][1])} a)"], [*inputs["coef"], inputs["wave"][0]]
    terms = [name if factor == 1 and name else f"{number(factor)} {name}".strip() for factor, name in zip(factors, names) if factor]
    return " + ".join(terms) or "0"


# ---- properties: none of them calls the reference above ----


def objective(mu: float, sigma: np.ndarray, eps: np.ndarray, w: np.ndarray, coef: np.ndarray, wave: np.ndarray) -> float:
    """J(μ, σ) = Σ_i w_i Q(μ + σ ε_i)."""
    return float((w * action_value(coef, wave)(mu + sigma * eps)).sum())


def differences(mu: float, sigma: float, **rest: np.ndarray) -> list[float]:
    """Five-point differences of J in μ and in σ; the last digits are left to the loop."""
    return [_slope(lambda d: objective(mu + d, sigma, **rest)), _slope(lambda d: objective(mu, sigma + d, **rest))]


def _slope(f: Callable[[float], float], h: float = 1e-3) -> float:
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


def loop(mu: float, sigma: float, eps: np.ndarray, w: np.ndarray, coef: np.ndarray, wave: np.ndarray) -> list[float]:
    """Node by node: w_i Q'(a_i) (1, ε_i), with Q' written out term by term."""
    total = [0.0, 0.0]
    for e, weight in zip(eps.tolist(), w.tolist()):
        a = mu + sigma * e
        slope = sum(k * c * a ** (k - 1) for k, c in enumerate(coef.tolist()) if k) + wave[0] * wave[1] * math.cos(wave[1] * a)
        total = [total[0] + weight * slope, total[1] + weight * e * slope]
    return total


def closed_form(mu: float, sigma: float, **rest: np.ndarray) -> list[float]:
    """E sin 3a = exp(−9σ²/2) sin 3μ for a ~ N(μ, σ²), differentiated by hand."""
    damping = math.exp(-4.5 * sigma**2)
    return [3 * damping * math.cos(3 * mu), -9 * sigma * damping * math.sin(3 * mu)]


_SAMPLED = ("ordinary", "sampled")
PROPERTIES = (
    linear(IO, "linear", "the gradient is linear in the weights", "The weights w already are the average: sum w_i Q(a_i), and divide by nothing.",
           "[13.3]", "w", kinds=_SAMPLED),
    equals(IO, "finite_differences", "it equals finite differences of sum_i w_i Q(mu + sigma eps_i)",
           "Write out Q for one node and differentiate it by hand.", "[13.3]", differences, kinds=_SAMPLED, tol=1e-5),
    equals(IO, "loop", "it equals the sum over nodes of w Q'(a) (1, eps)", "The sum is nearly right: compare one node at a time.",
           "[13.3]", loop, kinds=_SAMPLED),
    replace(equals(IO, "sine", "for Q = sin 3a it equals the derivatives of exp(-9 sigma^2 / 2) sin 3 mu",
                   "Q may be any smooth function, not only a polynomial.", "[13.3]", closed_form, kinds=("hermite",)),
            simple=lambda inputs: (_hermite(mu, 0.5) for mu in (0.0, 0.5))),
)

_PATH = "action = mu + sigma * eps"
_SUM = "objective = (w * Q(action)).sum()"
_RETURN = "torch.stack([grad_mu, grad_sigma])"
_GRAD = "torch.autograd.grad(objective, (mu, sigma))"
_made = [
    ("score_function", "the score-function gradient, sum w Q(a) grad log N(a)",
     "It is right on average over eps ([13.4]), but it does not use Q' and has far more variance. Differentiate through the action.",
     "[13.3]", (_GRAD, "((w * Q(action) * eps).sum() / sigma, (w * Q(action) * (eps**2 - 1)).sum() / sigma)")),
    ("eps_missing", "a derivative to sigma without the factor eps", "da/dsigma = eps: each node's slope is weighted with its own eps.",
     "[13.3]", (_RETURN, "torch.stack([grad_mu, grad_mu])")),
    ("sigma_squared", "the gradient for a = mu + sigma^2 eps", "sigma is the standard deviation: the sample is mu + sigma eps.",
     "[13.3]", (_PATH, "action = mu + sigma**2 * eps")),
    ("detached", "zero: no gradient reaches mu and sigma",
     "The action was cut from the graph: detach, .item(), torch.no_grad or sample in place of rsample.",
     "[13.3]", (_GRAD, "(0 * mu, 0 * sigma)")),
    ("divided_by_batch", "the gradient divided by the number of nodes once more", "The weights w already contain the average: use sum, not mean.",
     "[13.3]", (_SUM, "objective = (w * Q(action)).mean()")),
    ("weights_ignored", "the plain mean over the nodes, without the weights",
     "Quadrature nodes carry different weights: multiply each term by its w.",
     "[13.3]", (_SUM, "objective = Q(action).mean()")),
    ("weights_normalised", "the gradient with the weights scaled to sum to one", "Use the weights as they are given.",
     "[13.3]", (_SUM, "objective = (w * Q(action)).sum() / w.sum()")),
    ("sign", "the gradient with its sign turned", "This is the gradient of the expected value itself; the minus sign belongs to a loss.",
     "[13.3]", (_RETURN, "-torch.stack([grad_mu, grad_sigma])")),
    ("log_sigma", "the derivative to log sigma in the second place", "d/d log sigma = sigma d/d sigma. Here sigma itself is the parameter.",
     "[13.3]", (_RETURN, "torch.stack([grad_mu, sigma * grad_sigma])")),
    ("variance", "the derivative to the variance in the second place", "d/d sigma^2 = (d/d sigma) / (2 sigma). Here sigma itself is the parameter.",
     "[13.3]", (_RETURN, "torch.stack([grad_mu, grad_sigma / (2 * sigma)])")),
    ("at_the_mean", "Q' taken at the mean action for every node", "Each node has its own action a_i = mu + sigma eps_i, and Q' is taken there.",
     "[13.3]", (_PATH, "action = mu + (sigma - sigma.detach()) * eps")),
    ("swapped", "the two derivatives in the other order", "Return (d mu, d sigma).",
     "[13.3]", (_RETURN, "torch.stack([grad_sigma, grad_mu])")),
    ("squashed", "the gradient for a = tanh(mu + sigma eps)", "There is no squashing in this exercise: the action is mu + sigma eps.",
     "[13.3]", (_PATH, "action = torch.tanh(mu + sigma * eps)")),
]

EXERCISE = Exercise(
    id="13.2",
    function="reparam_grad",
    signature="reparam_grad(Q, mu, sigma, eps, w)",
    title="The pathwise gradient",
    tags=("[13.3]",),
    minutes=12,
    difficulty=2,
    points=8.0,
    lecture="13a_reparametrisation_and_squashing.ipynb",
    hints=(
        "Once the noise eps is drawn, the action a = mu + sigma eps is an ordinary function of mu and sigma. What are da/dmu and da/dsigma?",
        "By the chain rule each node contributes w Q'(a) to the first component and w eps Q'(a) to the second. Autograd can supply Q', "
        "if mu and sigma (or the action) require a gradient when Q is called.",
        "mu = mu.detach().requires_grad_(True), the same for sigma; objective = (w * Q(mu + sigma * eps)).sum(); "
        "then torch.stack(torch.autograd.grad(objective, (mu, sigma))).",
    ),
    reference=reparam_grad,
    interface=IO,
    cases=cases,
    describe=describe,
    properties=PROPERTIES,
    mistakes=tuple(mistake(reparam_grad, *made) for made in _made),
    importance=5,
)
