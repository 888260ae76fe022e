"""Returns and advantages of a segment of experience: what a reward sequence was worth, seen from each of its steps.

Time is dimension -2 and the batch of environments dimension -1: (..., T, B); seeds lead. They take torch tensors or NumPy arrays, float32 or
float64, and return what they were given.

Where a sum ends, in all of them:
    terminated[t]                        the future is worth 0:  the sum ends with r_t
    truncated[t], or t = T-1             the future is V:        the sum ends with r_t + γ next_values[t]
    both at once                         terminated wins: a state without a future has none, whatever the clock says
next_values[t] is V of the true next observation, also at a time limit. Treating a time limit as a termination tells the agent that step 1000 is a
cliff.
"""

import numpy as np
import torch

from rlcourse.types import Array, mask_like, require_floating, require_same_shape, require_time_and_batch, require_unit_interval


def discounted_returns(rewards: Array, terminated: Array, truncated: Array, next_values: Array, gamma: float) -> Array:
    """G_t = r_t + γ G_{t+1} = Σ_k γᵏ r_{t+k}, until the episode or the segment ends                                      [04.1]

    rewards, terminated, truncated, next_values: (..., T, B). gamma: in [0, 1]. Returns (..., T, B), in units of reward.
    terminated[t] ends the sum with r_t; truncated[t] and the last row end it with r_t + γ next_values[t].
    Gradient flow: into rewards and next_values; nothing is detached.
    Errors: ShapeError if a shape differs or is not (..., T, B); TypeError for integers; ValueError if gamma is outside [0, 1].
    Source: Sutton & Barto 2018, eq. 3.9.
    Limits: γ = 0 gives r; constant reward c, γ < 1 and next_values = c/(1-γ) give c/(1-γ) at every step that does not meet a termination; T = 1
    gives r + γ V or, terminated, r; next_values = 0 is the plain sum; it is the λ-return at λ = 1 and the n-step return at n = T.
    """
    return lambda_returns(rewards, next_values, terminated, truncated, gamma, 1.0)


def n_step_returns(rewards: Array, next_values: Array, terminated: Array, truncated: Array, gamma: float, n: int) -> Array:
    """G_t = Σ_{k<n} γᵏ r_{t+k} + γⁿ V(s_{t+n}), cut short where the episode or the segment ends                          [04.2]

    rewards, next_values, terminated, truncated: (..., T, B). gamma: in [0, 1]. n: at least 1. Returns (..., T, B), in units of reward.
    V(s_{t+n}) is next_values[t+n-1]. A termination on the way ends the sum without V; a truncation or the last row ends it with V there.
    Built by n sweeps: an n-step return is one reward and an (n-1)-step return from the next step.
    Gradient flow: into rewards and next_values; nothing is detached. Under torch.no_grad() it is a constant target.
    Errors: ShapeError if a shape differs or is not (..., T, B); TypeError for integers; ValueError if gamma is outside [0, 1] or n < 1.
    Source: Sutton & Barto 2018, eq. 7.1.
    Limits: n = 1 gives the one-step target r + γ (1-terminated) V; n >= T gives the λ-return at λ = 1; γ = 0 gives r for every n.
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"n is {n!r}, and needs to be an integer of at least 1: the number of rewards that are summed before V takes over.")
    gamma, alive, goes_on = _prepare(rewards, terminated, truncated, gamma, next_values=next_values)
    returns = rewards + gamma * alive * next_values  # n = 1
    for _ in range(min(int(n), rewards.shape[-2]) - 1):
        returns = rewards + gamma * alive * ((1 - goes_on) * next_values + goes_on * _next_row(returns))
    return returns


def lambda_returns(rewards: Array, next_values: Array, terminated: Array, truncated: Array, gamma: float, lam: float) -> Array:
    """G_t = r_t + γ [(1-λ) V(s_{t+1}) + λ G_{t+1}],   a geometric mean over n of the n-step returns                      [04.3]

    rewards, next_values, terminated, truncated: (..., T, B). gamma, lam: in [0, 1]. Returns (..., T, B), in units of reward.
    In the bracket, terminated[t] replaces everything by 0; truncated[t] and the last row replace G_{t+1}, which is then unknown or another
    episode's, by V. Unrolled: G_t = (1-λ) Σ_{n<N} λⁿ⁻¹ G_t^{(n)} + λᴺ⁻¹ G_t^{(N)}, where N steps remain until the end and G^{(n)} is the n-step
    return.
    Gradient flow: into rewards and next_values; nothing is detached. Under torch.no_grad() it is a constant target.
    Errors: ShapeError if a shape differs or is not (..., T, B); TypeError for integers; ValueError if gamma or lam is outside [0, 1].
    Source: Sutton & Barto 2018, eqs. 12.2-12.3 and, as a recursion, 12.18.
    Limits: λ = 0 gives the one-step target r + γ (1-terminated) V; λ = 1 gives `discounted_returns`; it equals `gae` + values if
    next_values[t] = values[t+1] inside an episode; shifting r by c and V by c/(1-γ) shifts G by c/(1-γ) where no termination is met.
    """
    require_unit_interval(lam=lam)
    gamma, alive, goes_on = _prepare(rewards, terminated, truncated, gamma, next_values=next_values)
    lam = float(lam)
    bootstrap = rewards + gamma * alive * (1 - lam * goes_on) * next_values
    return _accumulate(bootstrap, gamma * lam * goes_on)


def gae(rewards: Array, values: Array, next_values: Array, terminated: Array, truncated: Array, gamma: float, lam: float) -> Array:
    """Â_t = Σ_l (γλ)ˡ δ_{t+l},   δ_t = r_t + γ V(s_{t+1}) − V(s_t)                                                       [04.6]

    rewards, values, next_values, terminated, truncated: (..., T, B). next_values[t] is V of the true next observation, also at a time limit.
    terminated: no bootstrap. terminated | truncated: the sum stops. Returns (..., T, B), in units of reward.
    Gradient flow: none, the result is detached. An advantage is a weight in the policy gradient; the critic learns from its own loss.
    Errors: ShapeError if a shape differs: silent broadcasting of (T,) against (T, 1) would build a (T, T) table. TypeError for integers; ValueError
    if gamma or lam is outside [0, 1].
    Source: Schulman et al. 2016, eqs. 11-16.
    Limits: λ = 0 gives δ; λ = 1 gives the discounted return − V, and every λ the λ-return − V, if next_values[t] = values[t+1] inside an episode;
    linear in (rewards, values, next_values) taken together; γ = 0 gives r − V; values that satisfy V = r + γ V' give 0.
    """
    require_unit_interval(lam=lam)
    rewards, values, next_values = _detached(rewards), _detached(values), _detached(next_values)
    gamma, alive, goes_on = _prepare(rewards, terminated, truncated, gamma, values=values, next_values=next_values)
    delta = rewards + gamma * alive * next_values - values
    return _accumulate(delta, gamma * float(lam) * goes_on)


def _prepare(rewards: Array, terminated: Array, truncated: Array, gamma: float, **values: Array) -> tuple[float, Array, Array]:
    """Guards, then gamma as a float, alive = 1 - terminated, and goes_on = 1 where step t+1 belongs to the same episode and to this segment."""
    require_floating(rewards=rewards, **values)
    require_same_shape(rewards=rewards, **values, terminated=terminated, truncated=truncated)
    require_time_and_batch(rewards=rewards)
    require_unit_interval(gamma=gamma)
    alive = 1 - mask_like(terminated, rewards, "terminated")
    goes_on = alive * (1 - mask_like(truncated, rewards, "truncated"))
    goes_on[..., -1, :] = 0
    return float(gamma), alive, goes_on


def _accumulate(terms: Array, factors: Array) -> Array:
    """x_t = terms_t + factors_t x_{t+1}, from the last row to the first. The last row's factor is 0."""
    rows = [terms[..., -1, :]]
    for t in range(terms.shape[-2] - 2, -1, -1):
        rows.append(terms[..., t, :] + factors[..., t, :] * rows[-1])
    return _module(terms).stack(rows[::-1], axis=-2)


def _next_row(x: Array) -> Array:
    """x_{t+1} in row t. The last row has no next one and is repeated; the caller's mask takes it out."""
    return _module(x).concatenate([x[..., 1:, :], x[..., -1:, :]], axis=-2)


def _detached(x: Array) -> Array:
    return x.detach() if isinstance(x, torch.Tensor) else x


def _module(x: Array):
    return torch if isinstance(x, torch.Tensor) else np
