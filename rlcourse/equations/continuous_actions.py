"""max_a Q(s, a) where actions are real vectors: a critic whose largest value can be read off, and three ways to search for that of any critic.

A critic comes as a function of candidate actions alone, its states already inside: q(actions (..., M, A)) -> (..., M). Leading dimensions (...) are
seeds and states, M candidates each. Randomness is passed in as numbers, so that every function here gives the same answer twice.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from rlcourse.types import ShapeError, require_same_shape, require_tensor


def naf_q(actions: Tensor, mu: Tensor, cholesky: Tensor, value: Tensor) -> Tensor:
    """Q(s, a) = V(s) − ½ (a − μ(s))ᵀ P(s) (a − μ(s)),   P = L Lᵀ, so that max_a Q = V and argmax_a Q = μ                   [09.6]

    actions, mu: (..., A). cholesky: L, (..., A, A), lower triangular with a positive diagonal; what stands above the diagonal is not read. value:
    (...). Returns (...), in units of reward.
    Computed as V − ½ |Lᵀ(a − μ)|², which no rounding lifts above V. The maximum is over all of ℝ^A: in a box that does not contain μ the best
    action is not μ clipped into it, unless P is diagonal.
    Gradient flow: into all four. ∂Q/∂a = −P (a − μ).
    Errors: ShapeError if the shapes do not fit; TypeError for integers.
    Source: Gu et al. 2016 (Continuous deep Q-learning with model-based acceleration), section 4.
    Limits: a = μ gives V; the second derivative in a is −L Lᵀ; L = 0 gives V for every action; μ + δ and μ − δ are worth the same.
    """
    _require_parabola(actions, mu, cholesky, value)
    pulled = (cholesky.tril() * (actions - mu)[..., :, None]).sum(-2)    # Lᵀ(a − μ), (..., A)
    return value - 0.5 * pulled.square().sum(-1)


def best_candidate(q: Callable[[Tensor], Tensor], candidates: Tensor) -> Tensor:
    """argmax over a given list:   a* = a_m with Q(s, a_m) >= Q(s, a_k) for all k; the first of equals                      [09.9]

    candidates: (..., M, A), drawn from the box by the caller. Returns (..., A), one of them, to the bit.
    max_m Q(a_m) never exceeds max_a Q. Uniform draws miss a region of share p of the box with probability (1 − p)^M, and p shrinks like a power A.
    Gradient flow: none, the result is detached.
    Errors: ShapeError if q does not return one value for each candidate.
    Source: the "simple solution" for continuous actions; the draws need not be uniform.
    Limits: M = 1 returns the candidate; adding candidates never lowers Q; their order matters among equals only; q + c gives the same action.
    """
    with torch.no_grad():
        best = _values(q, candidates).argmax(-1)
        return candidates.take_along_dim(best[..., None, None], -2).squeeze(-2)


def gradient_ascent(q: Callable[[Tensor], Tensor], start: Tensor, low: float, high: float,
                    step_size: float, steps: int) -> Tensor:
    """a ← clip(a + η ∂Q/∂a, low, high),   `steps` times                                                                   [09.10]

    start: (..., A). step_size: η, in units of action² per reward. Returns (..., A), within the box and detached.
    It climbs the hill that `start` stands on: of a critic with several, which one is decided there. On a parabola of curvature P the distance to
    the top shrinks by 1 − ηP per step, so that η > 2/P runs away, until the box stops it.
    Gradient flow: none from the result; q is differentiated in the action only, and no parameter of a network collects a gradient.
    Errors: ShapeError as above; ValueError unless low < high, η > 0 and steps >= 0.
    Source: projected gradient ascent; "optimisation (e.g. SGD)" in sources on Q-learning with continuous actions.
    Limits: steps = 0 gives the start, clipped; the top of a parabola stays; a linear Q ends in a corner of the box; η = 1/P is there in one step.
    """
    _require_ascent(low, high, step_size, steps)
    action = start.detach().clamp(low, high)
    for _ in range(steps):
        with torch.enable_grad():
            action = action.requires_grad_(True)
            slope, = torch.autograd.grad(_values(q, action[..., None, :]).sum(), action)
        action = (action.detach() + step_size * slope).clamp(low, high)
    return action


def cross_entropy_method(q: Callable[[Tensor], Tensor], noise: Tensor, mean: Tensor, std: Tensor,
                         low: float, high: float, elites: int) -> Tensor:
    """a_m = clip(m + s ε_m, low, high);   m, s ← mean and standard deviation of the `elites` best;   repeat, return m     [09.11]

    noise: ε, standard normal, (iterations, ..., M, A). mean, std: of the first draw, (..., A). Returns the last m, (..., A), within the box.
    The Gaussian is refitted to the best M_e of M by maximum likelihood, each coordinate by itself. It narrows as it goes, and with it goes what it
    has not looked at: of two hills it keeps the one with more of the elites, which need not be the higher one.
    Gradient flow: none, the result is detached. q is asked iterations × M times for each state.
    Errors: ShapeError as above; ValueError unless low < high and 1 <= elites <= M.
    Source: Rubinstein 1999 (The cross-entropy method); as a maximiser in Q-learning Kalashnikov et al. 2018 (QT-Opt), section 4.
    Limits: elites = M and one iteration give the mean of the draws, whatever q is; elites = 1 gives `best_candidate` of the last draw; std = 0
    returns the mean, clipped; q + c and 2 q give the same action.
    """
    _require_elites(low, high, elites, noise.shape[-2])
    with torch.no_grad():
        for eps in noise:
            candidates = (mean[..., None, :] + std[..., None, :] * eps).clamp(low, high)
            best = _values(q, candidates).topk(elites, dim=-1).indices
            chosen = candidates.take_along_dim(best[..., None], -2)
            mean, std = chosen.mean(-2), chosen.std(-2, correction=0)
        return mean.clamp(low, high)


def _values(q: Callable[[Tensor], Tensor], candidates: Tensor) -> Tensor:
    values = q(candidates)
    if values.shape != candidates.shape[:-1]:
        raise ShapeError(f"the critic was given candidate actions {tuple(candidates.shape)}, that is (..., M, A), and returned "
                         f"{tuple(values.shape)} in the place of (..., M), {tuple(candidates.shape[:-1])}: one value for each candidate, without "
                         "a last dimension of 1.")
    return values


def _require_box(low: float, high: float) -> None:
    if not low < high:
        raise ValueError(f"low = {low}, high = {high}: the box of actions needs low < high. torch.clamp would return high without a word.")


def _require_ascent(low: float, high: float, step_size: float, steps: int) -> None:
    _require_box(low, high)
    if not (step_size > 0 and steps >= 0):
        raise ValueError(f"gradient_ascent: step_size = {step_size}, steps = {steps}. A step size is above 0 (below it would descend), steps at "
                         "least 0.")


def _require_elites(low: float, high: float, elites: int, candidates: int) -> None:
    _require_box(low, high)
    if not 1 <= elites <= candidates:
        raise ValueError(f"cross_entropy_method: elites = {elites} of {candidates} candidates. At least one and at most all of them are kept.")


def _require_parabola(actions: Tensor, mu: Tensor, cholesky: Tensor, value: Tensor) -> None:
    require_tensor(actions=actions, mu=mu, cholesky=cholesky, value=value)
    require_same_shape(actions=actions, mu=mu)
    if cholesky.shape != (*mu.shape, mu.shape[-1]) or value.shape != mu.shape[:-1]:
        raise ShapeError(f"naf_q: mu is {tuple(mu.shape)}, cholesky {tuple(cholesky.shape)}, value {tuple(value.shape)}. For mu (..., A) they need "
                         "(..., A, A) and (...): one curvature and one value for each state. Does the value keep its output dimension, (B, 1)?")
