"""Exercise 13.1: the log-density of a squashed Gaussian action, log π(a) = log N(u; μ, σ) − Σ_k log(1 − a_k²) with a = tanh u.  [13.5] [13.6]"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from rlcourse.checks.core import Answer, Breach, Case, Exercise, Inputs, Property, number
from rlcourse.checks.interface import Interface, array
from rlcourse.checks.mistakes import mistake
from rlcourse.checks.properties import compared, equals


def tanh_gaussian_logprob(u: torch.Tensor, mu: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The right answer: what the mistakes below are made from, and what escape_hatch gives. (B, A) three times -> (B,)."""
    z = (u - mu) / sigma
    log_normal = -0.5 * z**2 - torch.log(sigma) - 0.5 * math.log(2 * math.pi)
    log_det = 2 * (math.log(2) - u - F.softplus(-2 * u))
    return (log_normal - log_det).sum(-1)


IO = Interface(
    inputs={"u": array("B A", -3.0, 3.0), "mu": array("B A", -1.0, 1.0), "sigma": array("B A", 0.3, 2.0)},
    outputs={"log_prob": "B"},
    sizes={"B": (1, 5, 7), "A": (1, 2, 3)},
    tensor_only="SAC's actor is trained through this number, so the gradient has to flow to u, mu and sigma.",
    gradients=("u", "mu", "sigma"),
)


def cases(rng: np.random.Generator) -> list[Case]:
    """Ordinary inputs in both precisions, the tails at |u| = 20 with tiny and large sigma, and two grids for quadrature."""
    kinds = itertools.product(("float32", "float64"), (1, 3), (1.0, 0.001, 50.0))
    tails = [Case("tail", _tail(rng, (4, actions), dtype, sigma)) for dtype, actions, sigma in kinds]
    return IO.cases(rng) + tails + [Case("density", _grid(rng.uniform(-0.8, 0.8), rng.uniform(0.4, 1.2))) for _ in range(2)]


def _tail(rng: np.random.Generator, shape: tuple[int, int], dtype: str, sigma: float) -> Inputs:
    u = 20.0 * np.where(np.arange(shape[0] * shape[1]).reshape(shape) % 2, -1.0, 1.0)
    mu = u + sigma * rng.uniform(-1.5, 1.5, shape)
    return {"u": u.astype(dtype), "mu": mu.astype(dtype), "sigma": np.full(shape, sigma, dtype)}


def _grid(mu: float, sigma: float) -> Inputs:
    """241 pre-squash actions, evenly spaced over mu ± 7 sigma: the midpoints of the bars that a quadrature adds up."""
    u = mu + sigma * np.linspace(-7, 7, 241)[:, None]
    return {"u": u, "mu": np.full_like(u, mu), "sigma": np.full_like(u, sigma)}


# ---- properties: none of them calls the reference above ----


def _bars(inputs: Inputs, answer: Answer) -> tuple[np.ndarray, np.ndarray]:
    """Right edges (in u) and areas of thin bars under exp(log_prob), whose widths are measured on the action axis."""
    u = inputs["u"][:, 0]
    half = (u[1] - u[0]) / 2
    return u + half, np.exp(np.minimum(answer["log_prob"], 700.0)) * (np.tanh(u + half) - np.tanh(u - half))


def _given_grid(inputs: Inputs) -> str:
    return f"mu = {number(inputs['mu'][0, 0])}, sigma = {number(inputs['sigma'][0, 0])}"


def integrates_to_one(inputs: Inputs, answer: Answer, ask: Callable) -> Breach | None:
    """∫ π(a) da = 1 over (−1, 1), to 1e-3."""
    area = float(_bars(inputs, answer)[1].sum())
    return None if abs(area - 1) < 1e-3 else Breach(_given_grid(inputs) + ", area under exp(log_prob) over (-1, 1)", "1", f"{area:.4g}")


def has_the_right_cdf(inputs: Inputs, answer: Answer, ask: Callable) -> Breach | None:
    """P(a ≤ x) = Φ((atanh x − μ)/σ) at 241 points x, to 1e-3."""
    edges, areas = _bars(inputs, answer)
    mu, sigma = inputs["mu"][0, 0], inputs["sigma"][0, 0]
    right = np.array([0.5 * (1 + math.erf((edge - mu) / sigma / math.sqrt(2))) for edge in edges])
    worst = int(np.abs(np.cumsum(areas) - right).argmax())
    if abs(np.cumsum(areas)[worst] - right[worst]) < 1e-3:
        return None
    return Breach(f"{_given_grid(inputs)}, P(a <= {math.tanh(edges[worst]):.3f})", f"{right[worst]:.4f}", f"{np.cumsum(areas)[worst]:.4f}")


def normal_over_slope(u: np.ndarray, mu: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """log N(u) − log |da/du|, with the slope of tanh from autograd in float64."""
    leaf = torch.from_numpy(u).requires_grad_(True)
    slope = torch.autograd.grad(torch.tanh(leaf).sum(), leaf)[0].numpy()
    return (_log_normal(u, mu, sigma) - np.log(slope)).sum(axis=1)


def normal_and_log_cosh(u: np.ndarray, mu: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """log(1 − tanh² u) = −2 log cosh u, from the standard library in float64."""
    return (_log_normal(u, mu, sigma) + np.array([[2 * math.log(math.cosh(x)) for x in row] for row in u])).sum(axis=1)


def _log_normal(u: np.ndarray, mu: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    return np.vectorize(lambda x, m, s: -((x - m) ** 2) / (2 * s * s) - math.log(s * math.sqrt(2 * math.pi)))(u, mu, sigma)


def sums_over_dimensions(inputs: Inputs, answer: Answer, ask: Callable) -> Breach | None:
    """The answer for A dimensions is the sum of A one-dimensional answers."""
    columns = [ask(IO.cut(inputs, "A", k, 1))["log_prob"] for k in range(inputs["u"].shape[1])]
    return compared(inputs, answer["log_prob"], np.sum(columns, axis=0, dtype=np.float64))


def gradients(u: np.ndarray, mu: np.ndarray, sigma: np.ndarray) -> dict[str, np.ndarray]:
    """d log π: to u  −z/σ + 2 tanh u, to μ  z/σ, to σ  (z² − 1)/σ, with z = (u − μ)/σ."""
    z = (u - mu) / sigma
    return {"grad_u": 2 * np.tanh(u) - z / sigma, "grad_mu": z / sigma, "grad_sigma": (z**2 - 1) / sigma}


def _simple_tails(inputs: Inputs) -> Iterator[Inputs]:
    for sigma, dtype, u in itertools.product((1.0, 0.001, 50.0), ("float32", "float64"), (20.0, -20.0)):
        yield {name: np.array([[value]], dtype=dtype) for name, value in (("u", u), ("mu", u), ("sigma", sigma))}


def _simple_grids(inputs: Inputs) -> Iterator[Inputs]:
    return (_grid(mu, sigma) for mu, sigma in ((0.0, 1.0), (0.5, 0.5)))


PROPERTIES = (
    Property("integrates_to_one", "its density integrates to 1 over (-1, 1)", "A density over a must be divided by the slope da/du = 1 - a^2.",
             "[13.5]", ("density",), integrates_to_one, _simple_grids),
    Property("cdf", "P(a <= x) = Phi((atanh x - mu) / sigma)", "The area is right, but it lies in the wrong place.",
             "[13.5]", ("density",), has_the_right_cdf, _simple_grids),
    Property("sum", "for A = 3 the answer is the sum of three one-dimensional ones",
             "Independent dimensions multiply, so their logarithms add, over the last axis.",
             "[13.5]", ("ordinary",), sums_over_dimensions),
    equals(IO, "slope", "log pi(a) = log N(u) - log |da/du|, with the slope from autograd",  # to 1e-5: the sixth digit is the tail's business
           "Compare term by term: the Gaussian at u, its constant, the slope of tanh.", "[13.5]", normal_over_slope, kinds=("ordinary",), tol=1e-5),
    replace(equals(IO, "tail", "at |u| = 20 the log-determinant is -38.6137, in float32 too",
                   "tanh(20) is 1 in floating point, so 1 - tanh^2 is 0: use a form that never subtracts. And sigma counts as it is, unclamped.",
                   "[13.6]", normal_and_log_cosh, kinds=("tail",)), simple=_simple_tails),
    equals(IO, "gradients", "the gradients to u, mu and sigma are finite and right, at |u| = 20 too",
           "The value is right and its gradient is not: look for detach, clamp or .data.", "[13.6]", gradients, kinds=("ordinary", "tail")),
)

_DET = "2 * (math.log(2) - u - F.softplus(-2 * u))"
_made = [
    ("tanh_twice", "the printed slide's formula, 1 - tanh(a)^2 with a already squashed",
     "a = tanh(u) was squashed a second time: the slope is 1 - a^2 = 1 - tanh(u)^2.",
     "[13.5]", (_DET, "torch.log(1 - torch.tanh(torch.tanh(u)) ** 2)")),
    ("jacobian_missing", "the Gaussian's log-density of u, without the slope of tanh",
     "A density changes when its axis is stretched: subtract log |da/du|.",
     "[13.5]", ("log_normal - log_det", "log_normal")),
    ("jacobian_sign", "the density with the sign of the slope's logarithm turned",
     "Squashing crowds the actions near the ends, so the density goes up by 1/(1 - a^2): subtract.",
     "[13.5]", ("log_normal - log_det", "log_normal + log_det")),
    ("no_sum", "one log-density per action dimension, without the sum over them",
     "The policy's density is the product over dimensions: sum over the last axis, so that (B, A) gives (B,).",
     "[13.5]", (".sum(-1)", "")),
    ("mean_over_dimensions", "the mean over the action dimensions instead of their sum", "Independent dimensions multiply, so their logarithms add.",
     "[13.5]", (".sum(-1)", ".mean(-1)")),
    ("unstable", "log(1 - tanh(u)^2) computed as it is written",
     "At |u| = 20 tanh rounds to 1 and the logarithm is infinite: use 2 (log 2 - u - softplus(-2u)).",
     "[13.6]", (_DET, "torch.log(1 - torch.tanh(u) ** 2)")),
    ("small_constant", "log(1 - tanh(u)^2 + 1e-6)",
     "The constant hides the infinity and caps the log-determinant at -13.8, where it is -38.6 at |u| = 20; its gradient there is 0.",
     "[13.6]", (_DET, "torch.log(1 - torch.tanh(u) ** 2 + 1e-6)")),
    ("sigma_as_variance", "the density with sigma read as a variance", "In this course sigma is a standard deviation, so it divides u - mu as it is.",
     "[13.5]", ("/ sigma", "/ torch.sqrt(sigma)"), ("torch.log(sigma)", "0.5 * torch.log(sigma)")),
    ("variance_as_sigma", "the density with sigma^2 in the place of sigma",
     "Normal(mu, sigma) takes the standard deviation; sigma**2 is the variance.",
     "[13.5]", ("/ sigma", "/ sigma**2"), ("torch.log(sigma)", "2 * torch.log(sigma)")),
    ("log_sigma_missing", "the density without - log sigma", "A wider Gaussian is lower: its normaliser contains sigma.",
     "[13.5]", (" - torch.log(sigma)", "")),
    ("two_pi_missing", "the density without its constant, log(2 pi)/2 per dimension",
     "The actor's gradient does not see the constant, but the temperature does: it compares log pi with a target entropy.",
     "[13.5]", (" - 0.5 * math.log(2 * math.pi)", "")),
    ("half_missing", "the density with the factor 1/2 missing in the exponent", "The exponent of a Gaussian is -(u - mu)^2 / (2 sigma^2).",
     "[13.5]", ("-0.5 * z**2", "-(z**2)")),
    ("gaussian_at_a", "the Gaussian evaluated at the squashed action a instead of u", "mu and sigma describe u, the action before squashing.",
     "[13.5]", ("(u - mu)", "(torch.tanh(u) - mu)")),
    ("factor_two_missing", "the stable log-determinant without its factor 2",
     "1 - tanh^2 is a product of two factors, hence 2 (log 2 - u - softplus(-2u)).",
     "[13.6]", ("2 * (math.log(2)", "(math.log(2)")),
    ("softplus_sign", "the stable log-determinant with softplus(+2u)", "log(1 - tanh^2) is even in u: check that u and -u give the same number.",
     "[13.6]", ("F.softplus(-2 * u)", "F.softplus(2 * u)")),
    ("log_det_detached", "the right log-density, with u detached in the log-determinant",
     "The actor needs the gradient through both terms: without 2 tanh(u) nothing holds u back from the ends.",
     "[13.6]", (_DET, "2 * (math.log(2) - u - F.softplus(-2 * u)).detach()")),
]

EXERCISE = Exercise(
    id="13.1",
    function="tanh_gaussian_logprob",
    title="The log-density of a squashed action",
    tags=("[13.5]", "[13.6]"),
    minutes=15,
    difficulty=3,
    points=10.0,
    lecture="13a_reparametrisation_and_squashing.ipynb",
    hints=(
        "Two densities are involved: that of u, which is Gaussian, and that of a = tanh(u). "
        "How does a density change when the axis under it is stretched?",
        "Subtract log |da/du| = log(1 - tanh(u)^2) from the Gaussian log-density at u, per dimension, then sum over the last axis. "
        "At |u| = 20 the difference 1 - tanh(u)^2 is 0 in floating point: write tanh with exponentials and simplify the logarithm first.",
        "z = (u - mu) / sigma; the Gaussian part is -z^2/2 - log sigma - log(2 pi)/2; the log-determinant is 2 (log 2 - u - softplus(-2u)). "
        "Return (Gaussian part - log-determinant).sum(-1).",
    ),
    reference=tanh_gaussian_logprob,
    interface=IO,
    cases=cases,
    properties=PROPERTIES,
    mistakes=tuple(mistake(tanh_gaussian_logprob, *made) for made in _made),
    importance=5,
)
