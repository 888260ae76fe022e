"""The distributions that policies are made of: a Gaussian, a Gaussian squashed into the action bounds, and a categorical.

Densities are of a whole action: sums over the last dimension, whose coordinates are independent. Everything in front of it is batch: mean (..., A)
gives log π (...). A distribution has no device and no randomness of its own. It follows its inputs, and each sample asks for a `generator` or for
the `noise` itself: standard-normal ε of mean's shape, or with dimensions of repeated samples in front. Noise from outside serves several copies,
one generator each, and the "meta" device, which has none.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import logsigmoid

from rlcourse.types import ShapeError, holds_if_readable, require_same_shape, require_tensor

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)

Bound = float | torch.Tensor | np.ndarray
Generator = torch.Generator | None
Noise = torch.Tensor | None


def tanh_log_det(u: torch.Tensor) -> torch.Tensor:
    """log |det ∂a/∂u| = Σ_k log(1 − tanh² u_k) = Σ_k 2 (log 2 − u_k − softplus(−2 u_k)),   a = tanh(u)                    [13.6]

    u: (..., A), before the squashing. Returns (...). Never positive: tanh only shrinks lengths.
    The first form loses everything in float32: tanh(9.1) rounds to 1, and log(1 − 1) = −∞. The second never subtracts two nearly equal numbers that
    were rounded before. −softplus(−2u) is logsigmoid(2u), the same function; torch's own softplus turns into a straight line above 20, an error of
    2e-9 in float64.
    Gradient flow: into u, −2 Σ_k tanh(u_k) in total, finite everywhere.
    Errors: TypeError for integers; ShapeError if u has no dimension.
    Source: the logarithm of 1 − tanh² u = 4 e^{−2u} / (1 + e^{−2u})².
    Limits: u = 0 gives 0; even in u; −2|u| + 2 log 2 for large |u|, so −38.6137 at u = 20; float32 is within 1e-6 relative of float64 for |u| up to
    100.
    """
    require_tensor(u=u)
    _require_action_dimension(u=u)
    return (2 * (math.log(2) - u + logsigmoid(2 * u))).sum(dim=-1)


class DiagonalGaussian:
    """N(μ, diag σ²):   log p(x) = −Σ_k [ (x_k − μ_k)² / (2 σ_k²) + log σ_k + ½ log 2π ]

    mean: (..., A). std: σ > 0, the shape of mean, or one for all: (A,) or a 0-dimensional tensor.
    Gradient flow: into mean and std, through samples (reparametrised) and through densities.
    Errors: ShapeError for other shapes; TypeError for integers; ValueError if σ <= 0 (seen on the CPU only).
    """

    def __init__(self, mean: torch.Tensor, std: torch.Tensor):
        require_tensor(mean=mean, std=std)
        _require_action_dimension(mean=mean)
        if std.shape in (torch.Size(()), mean.shape[-1:]):
            std = std.expand(mean.shape)
        require_same_shape(mean=mean, std=std)
        if not holds_if_readable(std > 0):
            raise ValueError(
                "std has entries that are not positive. A standard deviation is > 0; a network's free output is usually log σ: pass std = "
                "log_std.exp()."
            )
        self.mean, self.std = mean, std

    def rsample(self, generator: Generator = None, *, noise: Noise = None, sample_shape: Sequence[int] = ()) -> torch.Tensor:
        """x = μ + σ ε,   ε ~ N(0, I). Returns (*sample_shape, ..., A). Gradient flow: into mean with factor 1, into std with factor ε."""
        return self.mean + self.std * self._noise(generator, noise, sample_shape)

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """Log-density in nats of x (..., A), summed over A. x may have dimensions of repeated samples in front.

        Limits: at x = μ it is −Σ log σ − A/2 log 2π; it does not change if x and μ shift together.
        """
        require_tensor(x=x)
        _require_event_shape(x, self.mean, "x")
        z = (x - self.mean) / self.std
        return -(0.5 * z.square() + self.std.log() + HALF_LOG_2PI).sum(dim=-1)

    def entropy(self) -> torch.Tensor:
        """H = Σ_k [½ + ½ log 2π + log σ_k] in nats, in closed form. It may be negative: an entropy of a density is relative to the unit of length."""
        return (0.5 + HALF_LOG_2PI + self.std.log()).sum(dim=-1)

    def mode(self) -> torch.Tensor:
        """The point of highest density, μ."""
        return self.mean

    def _noise(self, generator: Generator, noise: Noise, sample_shape: Sequence[int]) -> torch.Tensor:
        _require_one_source(generator, noise, sample_shape)
        if noise is None:
            return torch.randn((*sample_shape, *self.mean.shape), generator=generator, dtype=self.mean.dtype, device=self.mean.device)
        require_tensor(noise=noise)
        _require_event_shape(noise, self.mean, "noise")
        return noise


class EntropyEstimate(NamedTuple):
    """A Monte-Carlo estimate and its standard error, both in nats and of the batch's shape."""

    value: torch.Tensor
    standard_error: torch.Tensor


class TanhGaussian:
    """a = low + (high − low) (tanh(u) + 1)/2,   u ~ N(μ, diag σ²):   the squashed Gaussian policy                          [13.5] [13.8]

    log π(a) = log N(u; μ, σ) − Σ_k log(1 − tanh² u_k) − Σ_k log((high_k − low_k)/2) Tanh squeezes long stretches of u into short stretches of a;
    the two sums give the probability its density back. Densities are of the action in [low, high].

    mean: (..., A). std: the shape of mean, (A,) or 0-dimensional. low, high: numbers, or tensors or NumPy arrays of shape (A,).
    Gradient flow: into mean and std, through samples (reparametrised) and densities; the bounds are constants.
    Errors: those of DiagonalGaussian; ShapeError for bounds of another shape; ValueError if low >= high (seen on the CPU only).
    Source: Haarnoja et al. 2018 (Soft actor-critic), appendix C.
    Limits: the density integrates to 1 over [low, high]; P(a <= x) = Φ((atanh x − μ)/σ) for bounds ±1; doubling high − low subtracts A log 2; A
    independent coordinates add up.
    """

    def __init__(self, mean: torch.Tensor, std: torch.Tensor, low: Bound = -1.0, high: Bound = 1.0):
        self.gaussian = DiagonalGaussian(mean, std)
        self.mean, self.std = self.gaussian.mean, self.gaussian.std
        self.low, self.high = _bound(low, mean, "low"), _bound(high, mean, "high")
        if not holds_if_readable(self.low < self.high):
            raise ValueError(f"low is {low} and high is {high}: every action needs low < high. Did the two swap places?")
        self.centre, self.scale = (self.low + self.high) / 2, (self.high - self.low) / 2

    def rsample(self, generator: Generator = None, *, noise: Noise = None, sample_shape: Sequence[int] = ()) -> torch.Tensor:
        """An action (*sample_shape, ..., A) in [low, high]. If you need its density too, call `rsample_with_log_prob`: it never undoes the tanh."""
        return self.squash(self.gaussian.rsample(generator, noise=noise, sample_shape=sample_shape))

    def rsample_with_log_prob(
        self, generator: Generator = None, *, noise: Noise = None, sample_shape: Sequence[int] = ()
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The action (*sample_shape, ..., A) and its log π (*sample_shape, ...), both from one u = μ + σ ε.

        This is what SAC uses. u is at hand, so nothing is lost where tanh rounds to ±1, and gradients stay finite. Gradient flow: both outputs into
        mean and std.
        """
        u = self.gaussian.rsample(generator, noise=noise, sample_shape=sample_shape)
        return self.squash(u), self.log_prob_from_pre_tanh(u)

    def log_prob_from_pre_tanh(self, u: torch.Tensor) -> torch.Tensor:
        """log π of the action that u (..., A) is squashed to, in nats. Finite for every finite u. Gradient flow: into u, mean and std."""
        return self.gaussian.log_prob(u) - tanh_log_det(u) - self.scale.log().sum(dim=-1)

    def log_prob(self, action: torch.Tensor) -> torch.Tensor:
        """log π of an action (..., A) in [low, high], in nats, after undoing the tanh. Gradient flow: into action, mean and std.

        Exactly at a bound the true density is 0, its logarithm −∞, and an average over a batch is lost. Such an action is a rounded one: it stands
        for every |u| above 9.0 (float32) or 19.1 (float64), and which u it was cannot be recovered. It is given the density of the last tanh(u)
        that differs from ±1, |u| = 8.7 (float32) or 18.7 (float64), which is finite. If u is known, `log_prob_from_pre_tanh(u)` is exact.
        Errors: ValueError outside [low, high] on the CPU; elsewhere the result is NaN there. ShapeError, TypeError as for
        `DiagonalGaussian.log_prob`.
        """
        return self.log_prob_from_pre_tanh(self.unsquash(action))

    def squash(self, u: torch.Tensor) -> torch.Tensor:
        """The action of u: centre + scale tanh(u), kept in [low, high] where rounding would step over a bound."""
        return (self.centre + self.scale * torch.tanh(u)).clamp(self.low, self.high)

    def unsquash(self, action: torch.Tensor) -> torch.Tensor:
        """u = atanh((a − centre)/scale), from the distance to the nearer bound: accurate near the centre and near the bounds alike."""
        require_tensor(action=action)
        _require_event_shape(action, self.mean, "action")
        if not holds_if_readable((action >= self.low) & (action <= self.high)):
            raise ValueError(
                f"action leaves [low, high]: it reaches from {action.min().item():.6g} to {action.max().item():.6g}, the bounds are low "
                f"{self.low.tolist()} and high {self.high.tolist()}. The density there is 0. Is the action in the units of the environment, and "
                "are these the bounds of the same environment?"
            )
        offset = action - self.centre
        side = torch.where(offset >= 0, 1.0, -1.0).to(offset.dtype)
        distance = torch.where(offset >= 0, self.high - action, action - self.low)
        distance = torch.where(distance == 0, self.scale * (torch.finfo(offset.dtype).eps / 2), distance)  # the last tanh(u) that differs from ±1
        return 0.5 * side * torch.log1p(2 * side * offset / distance)

    def entropy_estimate(self, generator: Generator = None, *, noise: Noise = None, samples: int | None = None) -> EntropyEstimate:
        """H[π] = H[N(μ, σ)] + E[Σ_k log(1 − tanh² u_k)] + Σ_k log((high_k − low_k)/2),   in nats                           [13.7]

        The first and last term are exact; the mean of `tanh_log_det(u_i)` over m draws u_i = μ + σ ε_i estimates the middle one, without bias. Its
        standard error is the sample standard deviation over √m. This varies less than the mean of −log π(a_i), which would sample the Gaussian's
        entropy as well. generator, with samples = m (1000 if not given); or noise: (m, *mean.shape), m >= 2. Gradient flow: pathwise, into mean and
        std.
        Limits: σ → 0 at μ = 0 gives the Gaussian's entropy; never above Σ log(high − low), the entropy of the uniform density, beyond the standard
        error.
        """
        if noise is not None and samples is not None:
            raise ValueError(
                f"samples is {samples}, and noise was given as well. The first dimension of noise is the number of samples: leave samples out."
            )
        u = self.gaussian.rsample(generator, noise=noise, sample_shape=() if noise is not None else (1000 if samples is None else samples,))
        if u.ndim != self.mean.ndim + 1 or len(u) < 2:
            raise ShapeError(
                f"The {'noise' if noise is not None else 'sample'} has shape {tuple(u.shape)}, and needs (m, *{tuple(self.mean.shape)}) with m >= "
                "2: one draw says nothing about its own error."
            )
        log_det = tanh_log_det(u)
        value = self.gaussian.entropy() + log_det.mean(dim=0) + self.scale.log().sum(dim=-1)
        return EntropyEstimate(value, log_det.std(dim=0) / math.sqrt(len(u)))

    def mode(self) -> torch.Tensor:
        """The action without noise, centre + scale tanh(μ), used for evaluation: the image of the Gaussian's mode and, per coordinate, the median of
        the action.

        It is not always where the density of a is highest: from σ² > 1/2 on, at μ = 0, the density has two peaks, left and right of this action.
        """
        return self.squash(self.mean)


class Categorical:
    """p_k = exp(logit_k) / Σ_j exp(logit_j)

    logits: (..., K), unnormalised log-probabilities; −∞ forbids an action. Gradient flow: log_prob and entropy into logits; a sample is an integer
    and has none.
    Errors: TypeError for integer logits; ShapeError without a last dimension.
    Limits: adding c to all logits changes nothing, also for c = 1e4 in float32; equal logits have entropy log K.
    """

    def __init__(self, logits: torch.Tensor):
        require_tensor(logits=logits)
        _require_action_dimension(logits=logits)
        self.log_probs = torch.log_softmax(logits, dim=-1)

    def sample(self, generator: Generator = None, *, noise: Noise = None, sample_shape: Sequence[int] = ()) -> torch.Tensor:
        """argmax_k (log p_k + g_k) with standard Gumbel noise g = −log E, E ~ Exp(1), which is a draw from p. Returns int64 (*sample_shape, ...).

        noise: g, of the shape of logits or with dimensions of repeated samples in front. Source: Gumbel 1954; Maddison et al. 2014.
        """
        _require_one_source(generator, noise, sample_shape)
        if noise is None:
            noise = -self.log_probs.new_empty((*sample_shape, *self.log_probs.shape)).exponential_(generator=generator).log()
        _require_event_shape(noise, self.log_probs, "noise")
        return (self.log_probs.detach() + noise).argmax(dim=-1)

    def log_prob(self, action: torch.Tensor) -> torch.Tensor:
        """log p of integer actions (...), 0 to K-1, in nats, with dimensions of repeated samples in front if you like. Gradient flow: into logits."""
        if not isinstance(action, torch.Tensor) or action.is_floating_point() or action.dtype == torch.bool:
            raise TypeError(
                f"action has type {getattr(action, 'dtype', type(action).__name__)}, and needs integers: it counts the actions. Write action.long()."
            )
        _require_event_shape(action, self.log_probs[..., 0], "action")
        return self.log_probs.expand(*action.shape, -1).gather(-1, action.long().unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> torch.Tensor:
        """H = −Σ_k p_k log p_k in nats, in [0, log K]; a forbidden action contributes 0."""
        finite = self.log_probs.clamp(min=torch.finfo(self.log_probs.dtype).min)  # 0 · (−∞) is NaN, 0 · (a finite number) is 0
        return -(self.log_probs.exp() * finite).sum(dim=-1)

    def mode(self) -> torch.Tensor:
        """The most probable action, the first of them if several are."""
        return self.log_probs.argmax(dim=-1)


def _bound(bound: Bound, mean: torch.Tensor, name: str) -> torch.Tensor:
    """The bound as (A,), with the dtype of mean. A number or NumPy array follows mean's device; a tensor is where its owner put it."""
    if isinstance(bound, int | float):
        return mean.new_full(mean.shape[-1:], bound)
    if isinstance(bound, torch.Tensor):
        bound = bound.detach().to(mean.dtype)
    else:
        bound = torch.tensor(np.asarray(bound), dtype=mean.dtype, device=mean.device)
    if bound.shape not in (torch.Size(()), mean.shape[-1:]):
        raise ShapeError(
            f"{name} came as {tuple(bound.shape)}, and needs one bound per action dimension, {tuple(mean.shape[-1:])}, or one number for all."
        )
    return bound.expand(mean.shape[-1:])


def _require_action_dimension(**named: torch.Tensor) -> None:
    for name, x in named.items():
        if x.ndim == 0:
            raise ShapeError(
                f"{name} is a single number, and needs a last dimension of actions, over which densities are summed: for A = 1 write {name}[None]."
            )


def _require_event_shape(x: torch.Tensor, like: torch.Tensor, name: str) -> None:
    """x must have the shape of `like`, or that shape with dimensions of repeated samples in front."""
    if x.shape[max(x.ndim - like.ndim, 0) :] != like.shape:
        raise ShapeError(
            f"{name} came as {tuple(x.shape)}, and needs the shape of the distribution, {tuple(like.shape)}, or that with dimensions of repeated "
            f"samples in front, (m, {', '.join(map(str, like.shape))}). Broadcasting anything else would evaluate each row under the distributions "
            "of other rows."
        )


def _require_one_source(generator: Generator, noise: Noise, sample_shape: Sequence[int]) -> None:
    if (generator is None) == (noise is None) or (noise is not None and tuple(sample_shape)):
        raise ValueError(
            "A sample needs one source of randomness: either generator=torch.Generator(), with sample_shape if you like, or noise=, drawn by you "
            "and of the shape you want. There is no hidden global one, so that the same seed gives the same bits."
        )
