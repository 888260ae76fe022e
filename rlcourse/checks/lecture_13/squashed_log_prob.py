"""Exercise 13.1: the log-density of a squashed Gaussian action, log π(a) = log N(u; μ, σ) − Σ_k log(1 − a_k²) with a = tanh u.  [13.5] [13.6]"""

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F

from rlcourse.checks.compare import Slip, close, to_array, to_tensor, tolerance
from rlcourse.checks.core import Answer, Breach, Case, Exercise, Inputs, Property, number
from rlcourse.checks.mistakes import mistake


def tanh_gaussian_logprob(u: torch.Tensor, mu: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The right answer: what the mistakes below are made from, and what escape_hatch gives. (B, A) three times -> (B,)."""
    z = (u - mu) / sigma
    log_normal = -0.5 * z**2 - torch.log(sigma) - 0.5 * math.log(2 * math.pi)
    log_det = 2 * (math.log(2) - u - F.softplus(-2 * u))
    return (log_normal - log_det).sum(-1)


def adapter(f: Callable) -> Callable[..., Answer]:
    """Arrays u, mu, sigma (B, A) -> log_prob (B,) and the gradients of its sum, each (B, A)."""

    def answer(u: np.ndarray, mu: np.ndarray, sigma: np.ndarray) -> Answer:
        needed = "SAC's actor is trained through this number, so the gradient has to flow to u, mu and sigma."
        value = to_array(f(to_tensor(u), to_tensor(mu), to_tensor(sigma)), tensor_only=needed)
        leaves = [to_tensor(array).requires_grad_(True) for array in (u, mu, sigma)]
        with_graph = f(*leaves)
        return {"log_prob": value} | dict(zip(("grad_u", "grad_mu", "grad_sigma"), _gradients(with_graph, leaves)))

    return answer


def _gradients(value: torch.Tensor, leaves: list[torch.Tensor]) -> list[np.ndarray]:
    """Gradients of value.sum(); an input that the graph does not reach has gradient zero."""
    if not isinstance(value, torch.Tensor) or not value.requires_grad:
        return [np.zeros(leaf.shape, leaf.detach().numpy().dtype) for leaf in leaves]
    try:
        found = torch.autograd.grad(value.sum(), leaves, allow_unused=True)
    except RuntimeError as error:
        raise Slip("gradient", f"autograd could not differentiate your answer: {' '.join(str(error).split())[:200]}",
                   "In-place operations on tensors that need a gradient are the usual cause.") from None
    return [(torch.zeros_like(leaf) if g is None else g).detach().numpy().copy() for g, leaf in zip(found, leaves)]


def cases(rng: np.random.Generator) -> list[Case]:
    """Ordinary inputs in both precisions, the tails at |u| = 20 with tiny and large sigma, and two grids for quadrature."""
    shapes = [(1, 1), (1, 3), (5, 1), (7, 3), (4, 2)]
    drawn = [Case("moderate", _draw(rng, shape, dtype)) for dtype in ("float64", "float32") for shape in shapes]
    kinds = itertools.product(("float32", "float64"), (1, 3), (1.0, 0.001, 50.0))
    tails = [Case("tail", _tail(rng, (4, actions), dtype, sigma)) for dtype, actions, sigma in kinds]
    densities = [Case("density", _grid(rng.uniform(-0.8, 0.8), rng.uniform(0.4, 1.2))) for _ in range(2)]
    return drawn + tails + densities


def _draw(rng: np.random.Generator, shape: tuple[int, int], dtype: str) -> Inputs:
    mu, sigma = rng.uniform(-1, 1, shape), rng.uniform(0.3, 2.0, shape)
    u = np.clip(mu + sigma * rng.standard_normal(shape), -3, 3)
    return {"u": u.astype(dtype), "mu": mu.astype(dtype), "sigma": sigma.astype(dtype)}


def _tail(rng: np.random.Generator, shape: tuple[int, int], dtype: str, sigma: float) -> Inputs:
    u = 20.0 * np.where(np.arange(shape[0] * shape[1]).reshape(shape) % 2, -1.0, 1.0)
    mu = u + sigma * rng.uniform(-1.5, 1.5, shape)
    return {"u": u.astype(dtype), "mu": mu.astype(dtype), "sigma": np.full(shape, sigma).astype(dtype)}


def _grid(mu: float, sigma: float) -> Inputs:
    """241 pre-squash actions, evenly spaced over mu ± 7 sigma: the midpoints of the bars that a quadrature adds up."""
    u = mu + sigma * np.linspace(-7, 7, 241)[:, None]
    return {"u": u, "mu": np.full_like(u, mu), "sigma": np.full_like(u, sigma)}


def describe(inputs: Inputs) -> str:
    """The inputs in words, with numbers where they are few."""
    u, mu, sigma = inputs["u"], inputs["mu"], inputs["sigma"]
    if u.size <= 3:
        return f"u = {number(u[0] if u.size > 1 else u[0, 0])}, mu = {number(mu[0] if u.size > 1 else mu[0, 0])}, " \
               f"sigma = {number(sigma[0] if u.size > 1 else sigma[0, 0])} ({u.dtype})"
    return f"u, mu, sigma of shape {u.shape} ({u.dtype})"


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


def equals_normal_over_slope(inputs: Inputs, answer: Answer, ask: Callable) -> Breach | None:
    """log N(u) − log |da/du|, with the slope of tanh from autograd in float64. To 1e-5: the sixth digit is the tail's business."""
    u = to_tensor(inputs["u"].astype(np.float64)).requires_grad_(True)
    slope = torch.autograd.grad(torch.tanh(u).sum(), u)[0].numpy()
    right = (_log_normal(inputs) - np.log(slope)).sum(axis=1)
    return _first_row(inputs, answer["log_prob"], right, max(1e-5, tolerance(inputs["u"], answer["log_prob"])))


def exact_in_the_tail(inputs: Inputs, answer: Answer, ask: Callable) -> Breach | None:
    """log(1 − tanh² u) = −2 log cosh u, from the standard library in float64."""
    log_det = np.array([[-2 * math.log(math.cosh(x)) for x in row] for row in inputs["u"]])
    right = (_log_normal(inputs) - log_det).sum(axis=1)
    return _first_row(inputs, answer["log_prob"], right, tolerance(inputs["u"], answer["log_prob"]))


def sums_over_dimensions(inputs: Inputs, answer: Answer, ask: Callable) -> Breach | None:
    """The answer for A dimensions is the sum of A one-dimensional answers."""
    columns = [ask({name: array[:, k : k + 1] for name, array in inputs.items()})["log_prob"] for k in range(inputs["u"].shape[1])]
    return _first_row(inputs, answer["log_prob"], np.sum(columns, axis=0, dtype=np.float64), tolerance(inputs["u"], answer["log_prob"]))


def gradients_are_right(inputs: Inputs, answer: Answer, ask: Callable) -> Breach | None:
    """d log π: to u  −z/σ + 2 tanh u, to μ  z/σ, to σ  (z² − 1)/σ, with z = (u − μ)/σ."""
    u, mu, sigma = (inputs[name].astype(np.float64) for name in ("u", "mu", "sigma"))
    z = (u - mu) / sigma
    for name, right in (("u", 2 * np.tanh(u) - z / sigma), ("mu", z / sigma), ("sigma", (z**2 - 1) / sigma)):
        got = answer[f"grad_{name}"]
        if not close(got, right, tolerance(inputs["u"], got)):
            return Breach(f"{describe(inputs)}, gradient to {name}", number(right[0]), number(got[0]))
    return None


def _log_normal(inputs: Inputs) -> np.ndarray:
    u, mu, sigma = (inputs[name].astype(np.float64) for name in ("u", "mu", "sigma"))
    return np.vectorize(lambda x, m, s: -((x - m) ** 2) / (2 * s * s) - math.log(s * math.sqrt(2 * math.pi)))(u, mu, sigma)


def _first_row(inputs: Inputs, got: np.ndarray, right: np.ndarray, tol: float) -> Breach | None:
    for row in range(len(right)):
        if not close(got[row : row + 1], right[row : row + 1], tol):
            one = {name: array[row : row + 1] for name, array in inputs.items()}
            return Breach(describe(one), number(right[row]), number(got[row]))
    return None


def _simple_rows(inputs: Inputs) -> Iterator[Inputs]:
    rows = [([0], [0], [1]), ([1], [0], [1]), ([1], [0], [0.5]), ([1], [0.5], [2]), ([1, 2], [0, 0], [1, 1])]
    for row in rows:
        yield {name: np.array([values], dtype=inputs["u"].dtype) for name, values in zip(("u", "mu", "sigma"), row)}


def _simple_tails(inputs: Inputs) -> Iterator[Inputs]:
    for dtype in ("float32", "float64"):
        for u in (20.0, -20.0):
            yield {name: np.array([[value]], dtype=dtype) for name, value in (("u", u), ("mu", u), ("sigma", 1.0))}


def _simple_rows_and_tails(inputs: Inputs) -> Iterator[Inputs]:
    yield from _simple_rows(inputs)
    yield from _simple_tails(inputs)


def _simple_grids(inputs: Inputs) -> Iterator[Inputs]:
    yield _grid(0.0, 1.0)
    yield _grid(0.5, 0.5)


PROPERTIES = (
    Property("integrates_to_one", "its density integrates to 1 over (-1, 1)", "A density over a must be divided by the slope da/du = 1 - a^2.",
             "[13.5]", ("density",), integrates_to_one, _simple_grids),
    Property("cdf", "P(a <= x) = Phi((atanh x - mu) / sigma)", "The area is right, but it lies in the wrong place.",
             "[13.5]", ("density",), has_the_right_cdf, _simple_grids),
    Property("sum", "for A = 3 the answer is the sum of three one-dimensional ones",
             "Independent dimensions multiply, so their logarithms add, over the last axis.",
             "[13.5]", ("moderate",), sums_over_dimensions, _simple_rows),
    Property("slope", "log pi(a) = log N(u) - log |da/du|, with the slope from autograd",
             "Compare term by term: the Gaussian at u, its constant, the slope of tanh.",
             "[13.5]", ("moderate",), equals_normal_over_slope, _simple_rows),
    Property("tail", "at |u| = 20 the log-determinant is -38.6137, in float32 too",
             "tanh(20) is 1 in floating point, so 1 - tanh^2 is 0. Use a form that never subtracts.",
             "[13.6]", ("tail",), exact_in_the_tail, _simple_tails),
    Property("gradients", "the gradients to u, mu and sigma are finite and right, at |u| = 20 too",
             "The value is right and its gradient is not: look for detach, clamp or .data.",
             "[13.6]", ("moderate", "tail"), gradients_are_right, _simple_rows_and_tails),
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
    signature="tanh_gaussian_logprob(u, mu, sigma)",
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
    adapter=adapter,
    cases=cases,
    outputs=lambda inputs: {"log_prob": inputs["u"].shape[:1]},
    describe=describe,
    properties=PROPERTIES,
    mistakes=tuple(mistake(tanh_gaussian_logprob, *made) for made in _made),
)
