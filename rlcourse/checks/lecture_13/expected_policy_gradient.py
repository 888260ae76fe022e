"""Exercise 13.6: the expected policy gradient, ∇_θ mean_s Q̂(s, f_θ(s)) = mean_s (∂f_θ/∂θ)ᵀ ∇_f Q̂(s, f), with Q̂ in closed form.  [13.1] [13.2]

Policy: f_θ(s) = (μ, σ) = (k s, e^l) with θ = (k, l).   Critic: Q(s, a) = c₀ + c₁ s a + c₂ a² + c₃ a³.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

from rlcourse.checks.compare import close, to_array, to_tensor, tolerance
from rlcourse.checks.core import Answer, Breach, Case, Exercise, Inputs, Property, number
from rlcourse.checks.mistakes import mistake


def epg_grad(theta: torch.Tensor, s: torch.Tensor, coef: torch.Tensor) -> torch.Tensor:
    """The right answer: what the mistakes below are made from, and what escape_hatch gives. theta (2,), s (B,), coef (4,) -> (2,)."""
    mu = theta[0] * s
    sigma = torch.exp(theta[1])
    dq_dmu = coef[1] * s + 2 * coef[2] * mu + 3 * coef[3] * (mu**2 + sigma**2)
    dq_dsigma = 2 * coef[2] * sigma + 6 * coef[3] * mu * sigma
    dmu_dk = s
    dsigma_dl = sigma
    return torch.stack([(dq_dmu * dmu_dk).mean(), (dq_dsigma * dsigma_dl).mean()])


def adapter(f: Callable) -> Callable[..., Answer]:
    """Arrays theta (2,), s (B,), coef (4,) -> gradient (2,)."""

    def answer(theta: np.ndarray, s: np.ndarray, coef: np.ndarray) -> Answer:
        return {"gradient": to_array(f(to_tensor(theta), to_tensor(s), to_tensor(coef)))}

    return answer


def cases(rng: np.random.Generator) -> list[Case]:
    """Random critics and states in both precisions, a batch of one, tiny and large sigma, s = 0, and critics without a cubic term."""
    drawn = [Case("states", _draw(rng, size, dtype)) for dtype in ("float64", "float32") for size in (1, 3, 6, 11)]
    edges = [Case("states", _draw(rng, 5, "float64", log_sigma)) for log_sigma in (-7.0, 2.0)]
    still = [Case("states", _draw(rng, 4, "float64") | {"s": np.zeros(4)})]
    quadratic = [Case("quadratic", _draw(rng, 5, "float64", cubic=0.0)) for _ in range(2)]
    return drawn + edges + still + quadratic


def _draw(rng: np.random.Generator, size: int, dtype: str, log_sigma: float | None = None, cubic: float | None = None) -> Inputs:
    signs = rng.choice([-1.0, 1.0], 6)
    coef = signs[:4] * rng.uniform(0.3, 1.5, 4)
    coef[3] = coef[3] if cubic is None else cubic
    theta = [signs[4] * rng.uniform(0.3, 1.5), rng.uniform(-1.2, -0.2) if log_sigma is None else log_sigma]
    return _inputs(theta, signs[5] * rng.uniform(0.2, 2.0, size), coef, dtype)


def _inputs(theta, s, coef, dtype: str = "float64") -> Inputs:
    return {name: np.asarray(value, dtype=dtype) for name, value in (("theta", theta), ("s", s), ("coef", coef))}


def describe(inputs: Inputs) -> str:
    """The inputs in words, with numbers where they are few."""
    states = f"s = {number(inputs['s'])}" if inputs["s"].size <= 6 else f"{inputs['s'].size} states s"
    return f"theta = (k, l) = {number(inputs['theta'])}, coef = {number(inputs['coef'])}, {states} ({inputs['s'].dtype})"


# ---- properties: none of them calls the reference above ----


def _compared(inputs: Inputs, got: np.ndarray, right: list[float] | np.ndarray, tol: float) -> Breach | None:
    if close(got, np.asarray(right), tol):
        return None
    return Breach(describe(inputs), f"(d k, d l) = {number(right)}", number(got))


def matches_the_quadratic_case(inputs: Inputs, answer: Answer, ask: Callable) -> Breach | None:
    """c₃ = 0: Q̂ = c₀ + c₁ s μ + c₂ (μ² + σ²), so d k = (c₁ + 2 c₂ k) mean s² and d l = 2 c₂ e^{2l}, whatever the states are."""
    k, l = inputs["theta"].tolist()
    _, c1, c2, _ = inputs["coef"].tolist()
    right = [(c1 + 2 * c2 * k) * float((inputs["s"] ** 2).mean()), 2 * c2 * math.exp(2 * l)]
    return _compared(inputs, answer["gradient"], right, tolerance(inputs["s"], answer["gradient"]))


def averages_over_states(inputs: Inputs, answer: Answer, ask: Callable) -> Breach | None:
    """The answer for a batch is the mean of the answers for its states."""
    each = [ask(inputs | {"s": inputs["s"][i : i + 1]})["gradient"].astype(np.float64) for i in range(len(inputs["s"]))]
    return _compared(inputs, answer["gradient"], np.mean(each, axis=0), tolerance(inputs["s"], answer["gradient"]))


def equals_quadrature_differences(inputs: Inputs, answer: Answer, ask: Callable) -> Breach | None:
    """Five-point differences in k and in l of J = mean_s E_a Q(s, a), the expectation by Gauss-Hermite quadrature (exact for a cubic)."""
    c0, c1, c2, c3 = inputs["coef"].astype(np.float64)
    s = inputs["s"].astype(np.float64)[:, None]
    nodes, weights = np.polynomial.hermite_e.hermegauss(6)

    def J(k: float, l: float) -> float:
        a = k * s + math.exp(l) * nodes
        q = c0 + c1 * s * a + c2 * a**2 + c3 * a**3
        return float((q @ weights).mean() / math.sqrt(2 * math.pi))

    k, l = inputs["theta"].astype(np.float64)
    h = 2e-3
    right = [(8 * (J(k + h, l) - J(k - h, l)) - J(k + 2 * h, l) + J(k - 2 * h, l)) / (12 * h),
             (8 * (J(k, l + h) - J(k, l - h)) - J(k, l + 2 * h) + J(k, l - 2 * h)) / (12 * h)]
    return _compared(inputs, answer["gradient"], right, tolerance(inputs["s"], answer["gradient"]))


def _simple(inputs: Inputs) -> Iterator[Inputs]:
    dtype = str(inputs["s"].dtype)
    for coef in ([0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]):
        for theta in ([1.0, 0.0], [2.0, 0.0], [1.0, math.log(2)], [1.0, -0.5]):
            for s in ([1.0], [2.0], [1.0, 2.0]):
                yield _inputs(theta, s, coef, dtype)


def _simple_quadratics(inputs: Inputs) -> Iterator[Inputs]:
    return (case for case in _simple(inputs) if case["coef"][3] == 0)


PROPERTIES = (
    Property("quadratic", "for c3 = 0 it is ((c1 + 2 c2 k) mean s^2, 2 c2 sigma^2)",
             "Take Q = a^2 and one state: E a^2 = mu^2 + sigma^2, with mu = k s and sigma = e^l.",
             "[13.2]", ("quadratic",), matches_the_quadratic_case, _simple_quadratics),
    Property("average", "a batch of states gives the mean of what its states give one by one",
             "The average over states is taken once, after the chain rule.",
             "[13.2]", ("states",), averages_over_states, _simple),
    Property("quadrature", "it equals finite differences of the quadrature of E_a Q(s, a), in k and in l",
             "Check the third moment, E a^3 = mu^3 + 3 mu sigma^2, then the chain rule for each of k and l.",
             "[13.2]", ("states", "quadratic"), equals_quadrature_differences, _simple),
)

_made = [
    ("at_the_mean", "the deterministic policy gradient, with Q taken at the mean action alone",
     "Q-hat averages Q over the Gaussian, so its moments carry sigma: E a^2 = mu^2 + sigma^2, E a^3 = mu^3 + 3 mu sigma^2.",
     "[13.1]", ("(mu**2 + sigma**2)", "(mu**2)"), ("2 * coef[2] * sigma + 6 * coef[3] * mu * sigma", "0 * mu")),
    ("sigma_chain_missing", "the derivative to sigma in the place of the one to l", "sigma = e^l, so d sigma/d l = sigma has to be multiplied on.",
     "[13.2]", ("dsigma_dl = sigma", "dsigma_dl = 1.0")),
    ("state_chain_missing", "the derivative to mu in the place of the one to k", "mu = k s, so d mu/d k = s has to be multiplied on, state by state.",
     "[13.2]", ("dmu_dk = s", "dmu_dk = 1.0")),
    ("second_moment", "the gradient with e^l as the variance: sigma stands in the place of sigma^2 in the moments",
     "E a^2 = mu^2 + sigma^2: sigma = e^l is a standard deviation, and the variance is e^(2l).",
     "[13.1]", ("(mu**2 + sigma**2)", "(mu**2 + sigma)"), ("2 * coef[2] * sigma + 6 * coef[3] * mu * sigma", "coef[2] + 3 * coef[3] * mu")),
    ("second_moment_alone", "the gradient with E a^2 = mu^2 + sigma, and the third moment right",
     "E a^2 = mu^2 + sigma^2: sigma is a standard deviation.",
     "[13.1]", ("2 * coef[2] * sigma", "coef[2]")),
    ("third_moment", "the gradient with E a^3 = mu^3 + mu sigma^2", "The middle term counts three times: E a^3 = mu^3 + 3 mu sigma^2.",
     "[13.1]", ("3 * coef[3] * (mu**2 + sigma**2)", "coef[3] * (3 * mu**2 + sigma**2)"), ("6 * coef[3]", "2 * coef[3]")),
    ("third_moment_missing", "the gradient with E a^3 = mu^3",
     "The cube of a Gaussian has a mean that depends on sigma: E a^3 = mu^3 + 3 mu sigma^2.",
     "[13.1]", ("(mu**2 + sigma**2)", "(mu**2)"), (" + 6 * coef[3] * mu * sigma", " + 0 * mu")),
    ("sum_over_states", "the sum over the states instead of their mean",
     "The objective is an average over states, so that the batch size does not set the step size.",
     "[13.2]", ("(dq_dmu * dmu_dk).mean(), (dq_dsigma * dsigma_dl).mean()", "(dq_dmu * dmu_dk).sum(), (dq_dsigma * dsigma_dl).sum()")),
    ("sign", "the gradient with its sign turned", "This is the gradient of the expected value itself; the minus sign belongs to a loss.",
     "[13.2]", ("return torch", "return -torch")),
    ("log_sigma_as_sigma", "the gradient with sigma = l", "The second parameter is a logarithm: sigma = e^l, which is positive for every l.",
     "[13.2]", ("torch.exp(theta[1])", "theta[1]")),
    ("critic_state_missing", "the gradient for Q = c0 + c1 a + c2 a^2 + c3 a^3", "The linear term of this critic is c1 s a: it depends on the state.",
     "[13.2]", ("coef[1] * s", "coef[1]")),
    ("averaged_too_early", "the mean slope times the mean state",
     "The mean of a product is not the product of means: multiply within each state, then average.",
     "[13.2]", ("(dq_dmu * dmu_dk).mean()", "dq_dmu.mean() * dmu_dk.mean()")),
    ("swapped", "the two derivatives in the other order", "Return (d k, d l), in the order of theta.",
     "[13.2]", ("(dq_dmu * dmu_dk).mean(), (dq_dsigma * dsigma_dl).mean()", "(dq_dsigma * dsigma_dl).mean(), (dq_dmu * dmu_dk).mean()")),
]

EXERCISE = Exercise(
    id="13.6",
    function="epg_grad",
    signature="epg_grad(theta, s, coef)",
    title="The expected policy gradient",
    tags=("[13.2]", "[13.1]"),
    minutes=20,
    difficulty=3,
    points=12.0,
    lecture="13a_reparametrisation_and_squashing.ipynb",
    hints=(
        "The critic sees the distribution, not an action: first average Q(s, a) over a ~ N(mu, sigma^2) by hand. "
        "Which moments of a Gaussian does a cubic need?",
        "E a = mu, E a^2 = mu^2 + sigma^2, E a^3 = mu^3 + 3 mu sigma^2 give Q-hat(s, (mu, sigma)). Differentiate it to mu and to sigma, "
        "then use mu = k s and sigma = e^l: d mu/d k = s, d sigma/d l = sigma. Average over states last.",
        "d Q-hat/d mu = c1 s + 2 c2 mu + 3 c3 (mu^2 + sigma^2); d Q-hat/d sigma = 2 c2 sigma + 6 c3 mu sigma. "
        "Return torch.stack([(dmu * s).mean(), (dsigma * sigma).mean()]), or let autograd differentiate Q-hat.mean() to theta.",
    ),
    reference=epg_grad,
    adapter=adapter,
    cases=cases,
    outputs=lambda inputs: {"gradient": (2,)},
    describe=describe,
    properties=PROPERTIES,
    mistakes=tuple(mistake(epg_grad, *made) for made in _made),
)
