"""Exercise 13.6: the expected policy gradient, ∇_θ mean_s Q̂(s, f_θ(s)) = mean_s (∂f_θ/∂θ)ᵀ ∇_f Q̂(s, f), with Q̂ in closed form.  [13.1] [13.2]

Policy: f_θ(s) = (μ, σ) = (k s, e^l) with θ = (k, l).   Critic: Q(s, a) = c₀ + c₁ s a + c₂ a² + c₃ a³.
"""

import math
from collections.abc import Callable

import numpy as np
import torch

from rlcourse.checks.core import Answer, Breach, Case, Exercise, Inputs, Property
from rlcourse.checks.drawing import signed
from rlcourse.checks.interface import Interface, array
from rlcourse.checks.mistakes import mistake
from rlcourse.checks.properties import compared, equals, slopes


def epg_grad(theta: torch.Tensor, s: torch.Tensor, coef: torch.Tensor) -> torch.Tensor:
    """The right answer: what the mistakes below are made from, and what escape_hatch gives. theta (2,), s (B,), coef (4,) -> (2,)."""
    mu = theta[0] * s
    sigma = torch.exp(theta[1])
    dq_dmu = coef[1] * s + 2 * coef[2] * mu + 3 * coef[3] * (mu**2 + sigma**2)
    dq_dsigma = 2 * coef[2] * sigma + 6 * coef[3] * mu * sigma
    dmu_dk = s
    dsigma_dl = sigma
    return torch.stack([(dq_dmu * dmu_dk).mean(), (dq_dsigma * dsigma_dl).mean()])


IO = Interface(
    inputs={"theta": array("2", draw=lambda rng, shape: [rng.choice([-1, 1]) * rng.uniform(0.3, 1.5), rng.uniform(-1.2, -0.2)]),
            "s": array("B", draw=signed(0.2, 2.0)), "coef": array("4", draw=signed(0.3, 1.5))},
    outputs={"gradient": "2"},
    sizes={"B": (1, 3, 6, 11)},
)


def cases(rng: np.random.Generator) -> list[Case]:
    """All sizes in both precisions, a batch of one, tiny and large sigma, s = 0, and critics without a cubic term."""
    edges = [Case("states", IO.draw(rng, B=5, theta=[k, l])) for k, l in ((0.7, -7.0), (-0.7, 2.0))] + [Case("states", IO.draw(rng, B=4, s=0.0))]
    quadratic = [IO.draw(rng, B=5) for _ in range(2)]
    for inputs in quadratic:
        inputs["coef"][3] = 0.0
    return IO.cases(rng) + edges + [Case("quadratic", inputs) for inputs in quadratic]


# ---- properties: none of them calls the reference above ----


def quadratic_case(theta: np.ndarray, s: np.ndarray, coef: np.ndarray) -> list[float]:
    """c₃ = 0: Q̂ = c₀ + c₁ s μ + c₂ (μ² + σ²), so d k = (c₁ + 2 c₂ k) mean s² and d l = 2 c₂ e^{2l}, whatever the states are."""
    (k, l), (_, c1, c2, _) = theta.tolist(), coef.tolist()
    return [(c1 + 2 * c2 * k) * float((s**2).mean()), 2 * c2 * math.exp(2 * l)]


def averages_over_states(inputs: Inputs, answer: Answer, ask: Callable) -> Breach | None:
    """The answer for a batch is the mean of the answers for its states."""
    each = [ask(IO.cut(inputs, "B", i, 1))["gradient"].astype(np.float64) for i in range(len(inputs["s"]))]
    return compared(inputs, answer["gradient"], np.mean(each, axis=0))


def by_quadrature(theta: np.ndarray, s: np.ndarray, coef: np.ndarray) -> float:
    """J = mean_s E_a Q(s, a), the expectation by Gauss-Hermite quadrature (exact for a cubic)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(6)
    (k, l), (c0, c1, c2, c3) = theta, coef
    a = k * s[:, None] + math.exp(l) * nodes
    q = c0 + c1 * s[:, None] * a + c2 * a**2 + c3 * a**3
    return float((q @ weights).mean() / math.sqrt(2 * math.pi))


PROPERTIES = (
    equals(IO, "quadratic", "for c3 = 0 it is ((c1 + 2 c2 k) mean s^2, 2 c2 sigma^2)",
           "Take Q = a^2 and one state: E a^2 = mu^2 + sigma^2, with mu = k s and sigma = e^l.", "[13.2]", quadratic_case, kinds=("quadratic",)),
    Property("average", "a batch of states gives the mean of what its states give one by one",
             "The average over states is taken once, after the chain rule.", "[13.2]", (), averages_over_states),
    slopes(IO, "quadrature", "it equals finite differences of the quadrature of E_a Q(s, a), in k and in l",
           "Check the third moment, E a^3 = mu^3 + 3 mu sigma^2, then the chain rule for each of k and l.",
           "[13.2]", by_quadrature, to="theta", step=2e-3, tol=1e-7),
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
    interface=IO,
    cases=cases,
    properties=PROPERTIES,
    mistakes=tuple(mistake(epg_grad, *made) for made in _made),
    importance=3,
)
