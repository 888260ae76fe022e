"""What soft actor-critic asks of its policy: an action and its log-density, from one u = μ + σ ε. The function of exercise 13.11."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F

from rlcourse.checks.compare import Slip, close, to_array, to_tensor, tolerance
from rlcourse.checks.core import Answer, Breach, Case, Exercise, Inputs, Property, number
from rlcourse.checks.mistakes import mistake


def squashed_sample(mu: torch.Tensor, sigma: torch.Tensor, eps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The right answer. (B, A) three times -> a (B, A), log_prob (B,)."""
    u = mu + sigma * eps
    a = torch.tanh(u)
    log_normal = -0.5 * eps**2 - torch.log(sigma) - 0.5 * math.log(2 * math.pi)
    log_det = 2 * (math.log(2) - u - F.softplus(-2 * u))
    return a, (log_normal - log_det).sum(-1)


def adapter(f: Callable) -> Callable[..., Answer]:
    """Arrays mu, sigma, eps (B, A) -> log_prob (B,), a (B, A), and the gradients of the sum of each to mu and sigma, (B, A) each."""

    def answer(mu: np.ndarray, sigma: np.ndarray, eps: np.ndarray) -> Answer:
        needed = "the actor is trained through it, so the gradient has to flow to mu and sigma."
        values = [to_array(value, tensor_only=needed) for value in _pair(f(to_tensor(mu), to_tensor(sigma), to_tensor(eps)))]
        leaves = [to_tensor(mu).requires_grad_(True), to_tensor(sigma).requires_grad_(True)]
        with_graph = _pair(f(*leaves, to_tensor(eps)))
        found = {"log_prob": values[1], "a": values[0]}
        for name, value in zip(("a", "log_prob"), with_graph):
            found |= {f"{name}_to_{to}": gradient for to, gradient in zip(("mu", "sigma"), _gradients(value, leaves))}
        return found

    return answer


def _pair(value: object) -> tuple:
    if value is None:
        raise Slip("returned_none", "Your function returned None.", "If the body is written, its `return` is missing.")
    if value is Ellipsis:
        raise Slip("not_attempted", "Your function returned `...`, the placeholder.")
    if isinstance(value, tuple | list) and len(value) == 2:
        return tuple(value)
    what = f"{len(value)} values" if isinstance(value, tuple | list) else f"a {type(value).__name__}"
    raise Slip("type", f"Your function returned {what}; two are expected.", "End with `return a, log_prob`.")


def _gradients(value: torch.Tensor, leaves: list[torch.Tensor]) -> list[np.ndarray]:
    """Gradients of value.sum(); zero where the graph does not reach."""
    if not value.requires_grad:
        return [np.zeros(leaf.shape, leaf.detach().numpy().dtype) for leaf in leaves]
    try:
        found = torch.autograd.grad(value.sum(), leaves, allow_unused=True, retain_graph=True)
    except RuntimeError as error:
        raise Slip("gradient", f"autograd could not differentiate your answer: {' '.join(str(error).split())[:200]}",
                   "In-place operations on tensors that need a gradient are the usual cause.") from None
    return [(torch.zeros_like(leaf) if g is None else g).detach().numpy().copy() for g, leaf in zip(found, leaves)]


def cases(rng: np.random.Generator) -> list[Case]:
    """Ordinary inputs in both precisions, and |u| = 20 with small and large sigma."""
    moderate = [Case("moderate", _draw(rng, shape, dtype)) for dtype in ("float64", "float32") for shape in ((1, 1), (1, 3), (5, 1), (7, 3), (4, 2))]
    tails = [Case("tail", _tail(rng, (4, k), dtype, sigma)) for dtype in ("float32", "float64") for k in (1, 3) for sigma in (0.1, 1.0, 10.0)]
    return moderate + tails


def _draw(rng: np.random.Generator, shape: tuple[int, int], dtype: str) -> Inputs:
    mu, sigma, eps = rng.uniform(-1, 1, shape), rng.uniform(0.2, 1.5, shape), np.clip(rng.standard_normal(shape), -2, 2)
    return {"mu": mu.astype(dtype), "sigma": sigma.astype(dtype), "eps": eps.astype(dtype)}


def _tail(rng: np.random.Generator, shape: tuple[int, int], dtype: str, sigma: float) -> Inputs:
    eps = rng.uniform(-1.5, 1.5, shape)
    u = 20.0 * np.where(np.arange(eps.size).reshape(shape) % 2, -1.0, 1.0)
    return {"mu": (u - sigma * eps).astype(dtype), "sigma": np.full(shape, sigma).astype(dtype), "eps": eps.astype(dtype)}


def describe(inputs: Inputs) -> str:
    """The inputs in words, with numbers where they are few."""
    if inputs["mu"].shape == (1, 1):
        return ", ".join(f"{name} = {number(inputs[name][0, 0])}" for name in ("mu", "sigma", "eps")) + f" ({inputs['mu'].dtype})"
    return f"mu, sigma, eps of shape {inputs['mu'].shape} ({inputs['mu'].dtype})"


# ---- properties: none of them calls the reference above ----


def _exactly(inputs: Inputs) -> tuple[np.ndarray, ...]:
    """u, log N(u) and log(1 - tanh^2 u) in float64, element by element, from the standard library."""
    mu, sigma, eps = (inputs[name].astype(np.float64) for name in ("mu", "sigma", "eps"))
    u = mu + sigma * eps
    log_normal = np.vectorize(lambda e, s: -e * e / 2 - math.log(s * math.sqrt(2 * math.pi)))(eps, sigma)
    return u, log_normal, np.vectorize(lambda x: -2 * math.log(math.cosh(x)))(u)


def _compared(inputs: Inputs, name: str, got: np.ndarray, right: np.ndarray) -> Breach | None:
    for row in range(len(right)):
        if not (got.shape == right.shape and close(got[row : row + 1], right[row : row + 1], tolerance(inputs["mu"], got))):
            one = {key: array[row : row + 1] for key, array in inputs.items()}
            return Breach(f"{describe(one)}, {name}", number(right[row]), number(got[row]) if got.shape == right.shape else f"of shape {got.shape}")
    return None


def action_is_right(inputs: Inputs, answer: Answer, ask: Callable) -> Breach | None:
    """a = tanh(μ + σ ε)."""
    return _compared(inputs, "a", answer["a"], np.tanh(_exactly(inputs)[0]))


def log_prob_is_right(inputs: Inputs, answer: Answer, ask: Callable) -> Breach | None:
    """log N(u; μ, σ) + 2 log cosh u, summed over dimensions."""
    _, log_normal, log_det = _exactly(inputs)
    return _compared(inputs, "log_prob", answer["log_prob"], (log_normal - log_det).sum(axis=1))


def action_carries_gradient(inputs: Inputs, answer: Answer, ask: Callable) -> Breach | None:
    """∂a/∂μ = 1 − a²,   ∂a/∂σ = ε (1 − a²)."""
    slope = np.exp(_exactly(inputs)[2])
    return _compared(inputs, "da/dmu", answer["a_to_mu"], slope) or _compared(inputs, "da/dsigma", answer["a_to_sigma"], inputs["eps"] * slope)


def log_prob_carries_gradient(inputs: Inputs, answer: Answer, ask: Callable) -> Breach | None:
    """With ε held: ∂ log π/∂μ = 2 tanh u,   ∂ log π/∂σ = −1/σ + 2 ε tanh u."""
    twice = 2 * np.tanh(_exactly(inputs)[0])
    to_sigma = inputs["eps"] * twice - 1 / inputs["sigma"].astype(np.float64)
    return _compared(inputs, "d log_prob/dmu", answer["log_prob_to_mu"], twice) or \
        _compared(inputs, "d log_prob/dsigma", answer["log_prob_to_sigma"], to_sigma)


def _simple(inputs: Inputs) -> Iterator[Inputs]:
    for mu, sigma, eps in ((0, 1, 0), (1, 1, 0), (0, 1, 1), (0, 0.5, 1), (0.5, 2, -1)):
        yield {name: np.array([[value]], dtype=inputs["mu"].dtype) for name, value in (("mu", mu), ("sigma", sigma), ("eps", eps))}
    yield {name: np.full((1, 2), value, dtype=inputs["mu"].dtype) for name, value in (("mu", 1), ("sigma", 1), ("eps", 1))}


def _simple_tails(inputs: Inputs) -> Iterator[Inputs]:
    for dtype, mu in (("float32", 20), ("float32", -20), ("float64", 20), ("float64", -20)):
        yield {name: np.array([[value]], dtype=dtype) for name, value in (("mu", mu), ("sigma", 1), ("eps", 0))}


def _simple_both(inputs: Inputs) -> Iterator[Inputs]:
    yield from _simple(inputs)
    yield from _simple_tails(inputs)


BOTH = ("moderate", "tail")
PROPERTIES = (
    Property("action", "a = tanh(mu + sigma eps)", "The action is the squashed sample, made from the noise that is given.", "[13.3]",
             BOTH, action_is_right, _simple_both),
    Property("log_prob", "log_prob = log N(u; mu, sigma) - sum of log(1 - a^2)", "Compare term by term: the Gaussian at u, the slope of tanh.",
             "[13.5]", ("moderate",), log_prob_is_right, _simple),
    Property("tail", "at |u| = 20 log_prob is right, in float32 too", "1 - tanh(20)^2 is 0 in floating point. Use a form that never subtracts.",
             "[13.6]", ("tail",), log_prob_is_right, _simple_tails),
    Property("action_gradient", "the gradient flows through the action, da/dmu = 1 - a^2 and da/dsigma = eps (1 - a^2)",
             "The value is right and its gradient is not: look for detach, no_grad, .data or torch.tensor(...).", "[13.3]",
             BOTH, action_carries_gradient, _simple_both),
    Property("log_prob_gradient", "the gradient flows through log_prob, to mu 2 tanh(u) and to sigma -1/sigma + 2 eps tanh(u)",
             "The value is right and its gradient is not: both terms depend on mu and sigma, through u as well.", "[13.3]",
             BOTH, log_prob_carries_gradient, _simple_both),
)

_DET = "2 * (math.log(2) - u - F.softplus(-2 * u))"
_made = [
    ("sample_detached", "the right numbers with u = mu + sigma eps detached",
     "That is the score-function view: samples are given. Here the gradient must pass through the sample.", "[13.3]",
     ("mu + sigma * eps", "(mu + sigma * eps).detach()")),
    ("action_detached", "the right numbers with the action detached", "The critics' gradient reaches mu and sigma through the action only.", "[13.3]",
     ("return a,", "return a.detach(),")),
    ("log_prob_detached", "the right numbers with log_prob detached", "Nothing then holds sigma up: the entropy term has to reach the actor.",
     "[13.10]", (".sum(-1)", ".sum(-1).detach()")),
    ("log_det_detached", "the right numbers with u detached in the slope of tanh", "Without 2 tanh(u) nothing holds u back from the ends.", "[13.6]",
     (_DET, f"({_DET}).detach()")),
    ("variance_as_sigma", "a sample with sigma^2 in the place of sigma", "sigma is a standard deviation: u = mu + sigma eps.", "[13.3]",
     ("sigma * eps", "sigma**2 * eps")),
    ("not_squashed", "the action before squashing, u", "The environment takes a = tanh(u), which lies in (-1, 1).", "[13.5]", ("torch.tanh(u)", "u")),
    ("clamped", "an action that is cut to [-1, 1], not squashed",
     "A cut has no density at the ends, and no gradient beyond them: a = tanh(u).", "[13.5]", ("torch.tanh(u)", "u.clamp(-1, 1)")),
    ("jacobian_missing", "log N(u), without the slope of tanh", "A density changes when its axis is stretched: subtract log(1 - a^2).",
     "[13.5]", ("log_normal - log_det", "log_normal")),
    ("jacobian_sign", "log_prob with the sign of the slope's logarithm turned", "Squashing crowds actions near the ends: their density goes up.",
     "[13.5]", ("log_normal - log_det", "log_normal + log_det")),
    ("tanh_twice", "the printed slide's formula, 1 - tanh(a)^2", "a is already the tanh of u: the slope is 1 - a^2.", "[13.5]",
     (_DET, "torch.log(1 - torch.tanh(a) ** 2)")),
    ("unstable", "log(1 - a^2) computed as it is written", "At |u| = 20 a rounds to 1: use 2 (log 2 - u - softplus(-2u)).", "[13.6]",
     (_DET, "torch.log(1 - a**2)")),
    ("small_constant", "log(1 - a^2 + 1e-6)", "The constant hides the infinity, and caps the logarithm at -13.8 where it is -38.6.", "[13.6]",
     (_DET, "torch.log(1 - a**2 + 1e-6)")),
    ("density_of_eps", "the density of eps in the place of that of u, without - log sigma",
     "u = mu + sigma eps stretches the noise by sigma, so its density is lower by sigma.", "[13.5]", (" - torch.log(sigma)", "")),
    ("two_pi_missing", "the density without log(2 pi)/2 per dimension", "The actor does not see the constant; the temperature does.", "[13.11]",
     (" - 0.5 * math.log(2 * math.pi)", "")),
    ("half_missing", "the density with the factor 1/2 missing in the exponent", "The exponent of a Gaussian is -eps^2 / 2.", "[13.5]",
     ("-0.5 * eps**2", "-(eps**2)")),
    ("factor_two_missing", "the stable logarithm without its factor 2", "1 - tanh^2 is a product of two factors.", "[13.6]",
     ("2 * (math.log(2)", "(math.log(2)")),
    ("no_sum", "one log-density per action dimension", "Sum over the last axis: (B, A) gives (B,).", "[13.5]", (".sum(-1)", "")),
    ("mean_over_dimensions", "the mean over action dimensions in the place of the sum", "Independent dimensions multiply: their logarithms add.",
     "[13.5]", (".sum(-1)", ".mean(-1)")),
]

FUNCTION = Exercise(
    id="13.11",
    function="squashed_sample",
    signature="squashed_sample(mu, sigma, eps)",
    title="Soft actor-critic on your own policy",
    tags=("[13.3]", "[13.5]", "[13.6]", "[13.10]", "[13.11]"),
    minutes=20,
    difficulty=3,
    points=10.0,
    lecture="13a_reparametrisation_and_squashing.ipynb",
    hints=(
        "Two results are needed at once, from one u: the action that is sent to the environment, and the logarithm of its density. "
        "In which of the two does the gradient to mu and sigma matter?",
        "In both. Write u = mu + sigma eps with ordinary tensor operations and nothing detached; a = tanh(u). For the density, (u - mu)/sigma is eps "
        "itself, and exercise 13.1 has the slope of tanh in a form that survives |u| = 20.",
        "log_normal = -eps^2/2 - log sigma - log(2 pi)/2; log_det = 2 (log 2 - u - softplus(-2u)); return tanh(u), (log_normal - log_det).sum(-1).",
    ),
    reference=squashed_sample,
    adapter=adapter,
    cases=cases,
    outputs=lambda inputs: {"log_prob": inputs["mu"].shape[:1], "a": inputs["mu"].shape},
    describe=describe,
    properties=PROPERTIES,
    mistakes=tuple(mistake(squashed_sample, *made) for made in _made),
    importance=4,
)
