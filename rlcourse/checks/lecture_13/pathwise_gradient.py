"""Exercise 13.2: the pathwise gradient, ∇_{μ,σ} Σ_i w_i Q(μ + σ ε_i) = (Σ_i w_i Q'(μ + σ ε_i), Σ_i w_i ε_i Q'(μ + σ ε_i)).  [13.3]"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

from rlcourse.checks.compare import close, to_array, to_tensor, tolerance
from rlcourse.checks.core import Answer, Breach, Case, Exercise, Inputs, Property, number
from rlcourse.checks.mistakes import mistake


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


def adapter(f: Callable) -> Callable[..., Answer]:
    """Arrays mu (), sigma (), eps (B,), w (B,), coef (K,), wave (2,) -> gradient (2,). The callable Q is built here, from coef and wave."""

    def answer(mu: np.ndarray, sigma: np.ndarray, eps: np.ndarray, w: np.ndarray, coef: np.ndarray, wave: np.ndarray) -> Answer:
        return {"gradient": to_array(f(action_value(coef, wave), to_tensor(mu), to_tensor(sigma), to_tensor(eps), to_tensor(w)))}

    return answer


def cases(rng: np.random.Generator) -> list[Case]:
    """Random nodes and weights in both precisions, tiny and large sigma, a batch of one, and sin 3a on quadrature nodes."""
    sampled = [Case("sampled", _sampled(rng, size, dtype)) for dtype in ("float64", "float32") for size in (1, 2, 7, 20)]
    edges = [Case("sampled", _sampled(rng, 7, "float64", sigma)) for sigma in (1e-3, 8.0)]
    waves = [Case("hermite", _hermite(rng.uniform(0.1, 1.0), rng.uniform(0.2, 0.8))) for _ in range(2)]
    return sampled + edges + waves


def _sampled(rng: np.random.Generator, size: int, dtype: str, sigma: float | None = None) -> Inputs:
    """Nodes and weights at random; the weights do not sum to one, so that an answer which normalises them shows."""
    return _inputs(rng.uniform(-1.5, 1.5), sigma or rng.uniform(0.3, 0.9), rng.standard_normal(size), rng.uniform(0.2, 1.0, size),
                   rng.uniform(-1, 1, 4), rng.uniform(0.5, 1.5, 2), dtype)


def _hermite(mu: float, sigma: float) -> Inputs:
    """Q = sin 3a at 40 Gauss-Hermite nodes, which integrate it against N(0, 1) to twelve digits."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    return _inputs(mu, sigma, nodes, weights / math.sqrt(2 * math.pi), [0.0], [1.0, 3.0])


def _inputs(mu, sigma, eps, w, coef, wave, dtype: str = "float64") -> Inputs:
    values = {"mu": mu, "sigma": sigma, "eps": eps, "w": w, "coef": coef, "wave": wave}
    return {name: np.asarray(value, dtype=dtype) for name, value in values.items()}


def describe(inputs: Inputs) -> str:
    """The inputs in words, with numbers where they are few."""
    few = inputs["eps"].size <= 6
    nodes = f"eps = {number(inputs['eps'])}, w = {number(inputs['w'])}" if few else f"{inputs['eps'].size} nodes eps with weights w"
    return f"Q(a) = {_in_words(inputs)}, mu = {number(inputs['mu'])}, sigma = {number(inputs['sigma'])}, {nodes} ({inputs['mu'].dtype})"


def _in_words(inputs: Inputs) -> str:
    """Q as a formula in plain text, such as "a^2 + 0.5 sin(3 a)"."""
    powers = ["", "a", *(f"a^{k}" for k in range(2, inputs["coef"].size))][: inputs["coef"].size]
    names, factors = [*powers, f"sin({number(inputs['wave'][1])} a)"], [*inputs["coef"], inputs["wave"][0]]
    terms = [name if factor == 1 and name else f"{number(factor)} {name}".strip() for factor, name in zip(factors, names) if factor]
    return " + ".join(terms) or "0"


# ---- properties: none of them calls the reference above ----


def _compared(inputs: Inputs, got: np.ndarray, right: list[float], tol: float | None = None) -> Breach | None:
    right = np.array(right)
    if close(got, right, tol or tolerance(inputs["mu"], got)):
        return None
    return Breach(describe(inputs), f"(d mu, d sigma) = {number(right)}", number(got))


def matches_the_closed_form(inputs: Inputs, answer: Answer, ask: Callable) -> Breach | None:
    """E sin 3a = exp(−9σ²/2) sin 3μ for a ~ N(μ, σ²), differentiated by hand."""
    mu, sigma = float(inputs["mu"]), float(inputs["sigma"])
    damping = math.exp(-4.5 * sigma**2)
    return _compared(inputs, answer["gradient"], [3 * damping * math.cos(3 * mu), -9 * sigma * damping * math.sin(3 * mu)])


def equals_finite_differences(inputs: Inputs, answer: Answer, ask: Callable) -> Breach | None:
    """Five-point differences of J(μ, σ) = Σ_i w_i Q(μ + σ ε_i), in float64; the last digits are left to the slope property."""
    exact = {name: array.astype(np.float64) for name, array in inputs.items()}
    Q = action_value(exact["coef"], exact["wave"])

    def J(mu: float, sigma: float) -> float:
        return float((exact["w"] * Q(mu + sigma * exact["eps"])).sum())

    mu, sigma, h = float(exact["mu"]), float(exact["sigma"]), 1e-3
    right = [_slope(lambda d: J(mu + d, sigma), h), _slope(lambda d: J(mu, sigma + d), h)]
    return _compared(inputs, answer["gradient"], right, max(1e-5, tolerance(inputs["mu"], answer["gradient"])))


def _slope(f: Callable[[float], float], h: float) -> float:
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


def equals_the_loop(inputs: Inputs, answer: Answer, ask: Callable) -> Breach | None:
    """Node by node: w_i Q'(a_i) (1, ε_i), with Q' written out term by term."""
    height, frequency = (float(x) for x in inputs["wave"])
    total = [0.0, 0.0]
    for eps, w in zip(inputs["eps"].tolist(), inputs["w"].tolist()):
        a = float(inputs["mu"]) + float(inputs["sigma"]) * eps
        slope = sum(k * c * a ** (k - 1) for k, c in enumerate(inputs["coef"].tolist()) if k) + height * frequency * math.cos(frequency * a)
        total = [total[0] + w * slope, total[1] + w * eps * slope]
    return _compared(inputs, answer["gradient"], total)


def is_linear_in_the_weights(inputs: Inputs, answer: Answer, ask: Callable) -> Breach | None:
    """Twice the weights give twice the gradient."""
    once = answer["gradient"].astype(np.float64)
    heavier = inputs | {"w": 2 * inputs["w"]}
    return _compared(heavier, ask(heavier)["gradient"], (2 * once).tolist(), tolerance(inputs["mu"], answer["gradient"]))


def _simple(inputs: Inputs) -> Iterator[Inputs]:
    for coef in ([0, 1], [0, 0, 1], [0, 0, 0, 1]):
        for eps, w in (([1.0], [1.0]), ([0.5], [1.0]), ([-1.0, 1.0], [0.5, 0.5]), ([-1.0, 2.0], [1.0, 1.0])):
            for mu, sigma in ((1.0, 1.0), (1.0, 0.5), (0.5, 2.0)):
                yield _inputs(mu, sigma, eps, w, coef, [0, 0], str(inputs["mu"].dtype))


def _simple_waves(inputs: Inputs) -> Iterator[Inputs]:
    yield _hermite(0.0, 0.5)
    yield _hermite(0.5, 0.5)


PROPERTIES = (
    Property("linear", "twice the weights give twice the gradient", "The weights w already are the average: sum w_i Q(a_i), and divide by nothing.",
             "[13.3]", ("sampled",), is_linear_in_the_weights, _simple),
    Property("finite_differences", "it equals finite differences of sum_i w_i Q(mu + sigma eps_i)",
             "Write out Q for one node and differentiate it by hand.",
             "[13.3]", ("sampled",), equals_finite_differences, _simple),
    Property("loop", "it equals the sum over nodes of w Q'(a) (1, eps)", "The sum is nearly right: compare one node at a time.",
             "[13.3]", ("sampled",), equals_the_loop, _simple),
    Property("sine", "for Q = sin 3a it equals the derivatives of exp(-9 sigma^2 / 2) sin 3 mu",
             "Q may be any smooth function, not only a polynomial.",
             "[13.3]", ("hermite",), matches_the_closed_form, _simple_waves),
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
    adapter=adapter,
    cases=cases,
    outputs=lambda inputs: {"gradient": (2,)},
    describe=describe,
    properties=PROPERTIES,
    mistakes=tuple(mistake(reparam_grad, *made) for made in _made),
)
