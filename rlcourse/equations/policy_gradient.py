"""The policy gradient and what makes it less noisy: score, reward-to-go, baselines, the loss whose gradient it is, and the clipped objective of PPO.

Time is dimension -2 and the batch of episodes dimension -1: (..., T, B); copies lead. Episodes of different lengths share one table: mask[t, b] is 1
where step t belongs to episode b and 0 where the table is padded. What stands in padded entries does not matter, not even NaN.
Functions take torch tensors or NumPy arrays, float32 or float64, and return what they were given, unless they say otherwise.
"""

import numpy as np
import torch

from rlcourse.types import (
    READ,
    Array,
    ShapeError,
    holds_if_readable,
    mask_like,
    require_floating,
    require_same_shape,
    require_tensor,
    require_time_and_batch,
)


def score(theta: Array, states: Array, actions: Array) -> Array:
    """∇_θ log π_θ(a|s),   entry (s', a'):  1[s' = s] (1[a' = a] − π_θ(a'|s)),   π_θ(·|s) = softmax θ[s, ·]                [03.1]

    theta: (S, A), one logit per state and action. states, actions: integers, (...). Returns (..., S, A): one table like theta for every pair.
    The softmax is shifted by its largest logit: finite for every finite θ. Gradient flow: into theta, for tensors.
    Errors: TypeError if states or actions are not integers; ShapeError if their shapes differ; IndexError outside 0 .. S−1 or A−1 (on the CPU).
    Source: Williams 1992, with a softmax; Sutton & Barto 2018, exercise 13.3.
    Limits: the derivative of log π; Σ_a π(a|s) score = 0; rows of other states are 0; θ + c gives the same; π(a|s) → 1 gives 0.
    """
    require_floating(theta=theta)
    if theta.ndim != 2:
        raise ShapeError(f"theta came as {tuple(theta.shape)}, and needs (S, A): one logit for each action in each state.")
    _require_indices(theta, states=states, actions=actions)
    require_same_shape(states=states, actions=actions)
    in_state, chosen = _one_hot(theta, states, 0), _one_hot(theta, actions, 1)
    return in_state[..., :, None] * (chosen[..., None, :] - _softmax(theta))


def policy_gradient(theta: Array, states: Array, actions: Array, weights: Array, mask: Array) -> Array:
    """ĝ = (1/B) Σ_b Σ_t ∇_θ log π_θ(a_tb|s_tb) · weight_tb,   an estimate of ∇J if weight is the return, or what may replace it   [03.1]

    theta: (S, A) logits. states, actions: integers, (..., T, B). weights: (..., T, B), the return of the whole episode at each of its steps,
    reward-to-go, or an advantage. mask: (..., T, B). Returns (..., S, A), detached: ascent follows +ĝ.
    Explicit, for reading and for checking; agents differentiate `pg_loss`, whose gradient is −ĝ.
    Errors: those of `score` and `pg_loss`.
    Source: Williams 1992 (REINFORCE); Sutton & Barto 2018, eq. 13.8, averaged over episodes.
    Limits: probability-weighted over all trajectories it is ∇J; the gradient of −`pg_loss`; a padded batch is the mean of its single episodes.
    """
    require_floating(theta=theta, weights=weights)
    _require_indices(theta, states=states, actions=actions)
    require_same_shape(weights=weights, states=states, actions=actions)
    weights = _masked(_constant(weights), mask, "weights")
    keep = mask_like(mask, weights, "mask") == 1
    table = score(_constant(theta), _select(keep, states, 0), _select(keep, actions, 0))
    return (weights[..., None, None] * table).sum((-4, -3)) / weights.shape[-1]


def reward_to_go(rewards: Array, mask: Array | None = None) -> Array:
    """R̂_t = Σ_{k >= t} r_k:   an action is not to blame for rewards that came before it                                  [03.2]

    rewards: (..., T, B), whole episodes from their first step. mask: (..., T, B), all ones if not given; padded entries count 0 and return 0.
    Returns (..., T, B), in units of reward. Without discount and bootstrap: `returns.discounted_returns` has both.
    Gradient flow: into rewards.
    Errors: ShapeError if the shapes differ or are not (..., T, B); TypeError for integers.
    Source: Sutton & Barto 2018, section 13.3; Peters & Schaal 2008, section 3.2.
    Limits: ∂R̂_t/∂r_k = 1[k >= t]; row 0 is the whole return; T = 1 gives r; `discounted_returns` with γ = 1 where every episode terminates.
    """
    require_floating(rewards=rewards)
    require_time_and_batch(rewards=rewards)
    rewards = rewards if mask is None else _masked(rewards, mask, "rewards")
    flip = torch.flip if isinstance(rewards, torch.Tensor) else np.flip
    to_go = flip(flip(rewards, (-2,)).cumsum(-2), (-2,))
    return to_go if mask is None else _masked(to_go, mask, "rewards")


def leave_one_out(returns: Array) -> Array:
    """b_i = (1/(N−1)) Σ_{j≠i} R_j,   a baseline that its own episode has no part in                                [03.3] [03.4]

    returns: (..., N), N >= 2 independent episodes in the last dimension; each row (t, of a (T, N) table) has its own baseline. Returns the same
    shape, in units of reward.
    A baseline keeps the gradient unbiased if it does not depend on the action it is subtracted from. The mean of the batch, R_i included, does: it
    shrinks the expected gradient by the factor 1 − 1/N. The mean of the others does not.
    Gradient flow: into returns, none from b_i to R_i.
    Errors: ShapeError if N < 2, since the mean of nobody is not a number; TypeError for integers.
    Source: Kool et al. 2019 (Buy 4 REINFORCE samples, get a baseline for free); the idea is Mnih & Rezende 2016.
    Limits: ∂b_i/∂R_i = 0; b(R + c) = b + c; R − b = N/(N−1) (R − mean R); N = 2 swaps the two; the order of episodes does not matter.
    """
    require_floating(returns=returns)
    count = returns.shape[-1] if returns.ndim else 0
    if count < 2:
        raise ShapeError(
            f"returns came as {tuple(returns.shape)}, and needs (..., N) with N >= 2 episodes in the last dimension: with one episode there are no "
            "others to take the mean of. Collect two, or use a baseline that was fitted on earlier episodes."
        )
    return (returns.sum(-1)[..., None] - returns) / (count - 1)


def optimal_baseline(scores: Array, returns: Array, probabilities: Array) -> Array:
    """b*_k = Σ_i p_i g_ik² R_i / Σ_i p_i g_ik²,   the constant with the least Var[g_k (R − b)], for each coordinate k       [03.5]

    scores: g = ∇_θ log p(τ_i), (N, d), d parameters. returns: (N,). probabilities: p, (N,), of all N trajectories, or of the outcomes of a toy
    problem; they sum to 1. Returns (d,), in units of reward. A coordinate that is 0 in every trajectory gets 0: there any baseline will do.
    Exact where Σ p g = 0, as for the true distribution: then E[g (R − b)] does not depend on b. For a sample, with p = 1/N, Σ p g is not 0, the
    same samples set b and are judged by it, and neither least variance nor lack of bias is promised.
    Gradient flow: none, the result is detached.
    Errors: ShapeError if the shapes do not fit; TypeError for integers; ValueError if p is negative or does not sum to 1 (seen on the CPU only).
    Source: Peters & Schaal 2008 (Reinforcement learning of motor skills with policy gradients), table 1; Greensmith et al. 2004.
    Limits: ∂Var/∂b = 0 in every coordinate, so never above any other baseline; R constant gives R; R + c gives b + c; scaling g changes nothing.
    """
    scores, returns, p = _constant(scores), _constant(returns), _constant(probabilities)
    require_floating(scores=scores, returns=returns, probabilities=p)
    require_same_shape(returns=returns, probabilities=p)
    if scores.ndim != 2 or returns.ndim != 1 or len(scores) != len(returns):
        raise ShapeError(
            f"scores came as {tuple(scores.shape)} and returns as {tuple(returns.shape)}: they need (N, d) and (N,), one row of d derivatives for "
            "each trajectory. Parameters that are a table (S, A) are flattened: scores.reshape(N, -1)."
        )
    if not (holds_if_readable(p >= 0) and holds_if_readable(abs(p.sum() - 1) < 1e-4)):
        raise ValueError(
            f"probabilities sum to {float(p.sum()):.6g} with smallest entry {float(p.min()):.6g}. They weigh the trajectories: none is negative, all "
            "together are 1. Are these log-probabilities, or is a trajectory missing?"
        )
    weight = p[:, None] * scores**2
    total = weight.sum(0)
    return (weight * returns[:, None]).sum(0) / _select(total > 0, total, 1.0)


def pg_loss(log_prob: torch.Tensor, weights: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """L(θ) = −(1/B) Σ_b Σ_t log π_θ(a_tb|s_tb) · weight_tb,   a pseudo-loss: only its gradient, −ĝ, has a meaning          [03.6]

    log_prob, weights, mask: (..., T, B). Returns one loss per copy (...). Sum it over copies before `backward()`.
    The sum is over the steps of an episode, the mean over the B episodes: dividing by the number of steps instead would weigh the steps of long
    episodes less. The value says nothing about performance, and may rise while the policy gets better.
    Gradient flow: into log_prob only; the weight is detached, since ∇ log π · R̂ has no derivative of R̂ in it. Padded entries get none.
    Errors: ShapeError if the shapes differ or are not (..., T, B); TypeError for integers or NumPy arrays; ValueError if mask is not 0 and 1.
    Source: Williams 1992, as automatic differentiation writes it.
    Limits: ∂L/∂θ = −`policy_gradient`; weight 0 gives 0; a batch that is repeated gives the same loss; linear in the weights.
    """
    require_tensor(log_prob=log_prob, weights=weights)
    require_same_shape(log_prob=log_prob, weights=weights)
    return -(_masked(log_prob, mask, "log_prob") * _masked(weights.detach(), mask, "weights")).sum(-2).mean(-1)


def log_importance_weights(log_prob: Array, behaviour_log_prob: Array, mask: Array | None = None) -> Array:
    """log w_t = Σ_{k <= t} [log π(a_k|s_k) − log b(a_k|s_k)],   log of Π_{k<=t} π/b: trajectories of b read as those of π      [06.1]

    log_prob, behaviour_log_prob: (..., T, B), of the actions that b took. mask: (..., T, B), all ones if not given; a padded step has ratio 1.
    Returns (..., T, B), in nats; row t weighs what happens at step t, row −1 the whole trajectory. The dynamics cancel: both policies act in the
    same world.
    A product of T ratios leaves the range of floats quickly, its logarithm does not. Normalised weights over the batch are softmax(log w, dim=-1).
    Gradient flow: into both. ∇_θ w_t = w_t Σ_{k<=t} ∇_θ log π is the off-policy policy gradient's factor.
    Errors: ShapeError if the shapes differ or are not (..., T, B); TypeError for integers.
    Source: Precup, Sutton & Singh 2000, per-decision importance sampling.
    Limits: π = b gives 0; E_b[w_t] = 1 for every t; T = 1 gives one log-ratio; differences of rows are the single log-ratios.
    """
    require_floating(log_prob=log_prob, behaviour_log_prob=behaviour_log_prob)
    require_same_shape(log_prob=log_prob, behaviour_log_prob=behaviour_log_prob)
    require_time_and_batch(log_prob=log_prob)
    log_ratio = log_prob - behaviour_log_prob
    return (log_ratio if mask is None else _masked(log_ratio, mask, "log_ratio")).cumsum(-2)


def ppo_clip_objective(ratio: Array, advantage: Array, epsilon: float) -> Array:
    """min(ρ A, clip(ρ, 1 − ε, 1 + ε) A),   ρ = π_new(a|s)/π_old(a|s):   elementwise; its mean is to be maximised            [08.1]

    ratio, advantage: (...), of one shape. epsilon: in [0, 1). Returns the same shape, in units of the advantage. The loss is minus the mean.
    With A > 0 the gain stops growing above 1 + ε; with A < 0 it stops growing below 1 − ε. The minimum is over products, not over ratios: a step
    that made things worse, ρ > 1 + ε with A < 0, is never cut off, and its gradient leads back.
    Gradient flow: into ratio; A where the minimum is ρ A, 0 where it is the clipped one. The advantage is detached.
    Errors: ShapeError if the shapes differ; TypeError for integers; ValueError if ε is outside [0, 1), or if a ratio is negative (on the CPU).
    Source: Schulman et al. 2017, eq. 7.
    Limits: never above ρ A; ρ A for ρ within 1 ± ε; A > 0: min(ρ, 1 + ε) A; A < 0: max(ρ, 1 − ε) A; ρ = 1 has gradient A, the policy gradient's.
    """
    require_floating(ratio=ratio, advantage=advantage)
    require_same_shape(ratio=ratio, advantage=advantage)
    if not 0 <= epsilon < 1:
        raise ValueError(f"epsilon is {epsilon}, and needs to be in [0, 1): ratios are kept between 1 - epsilon and 1 + epsilon. 0.2 is usual.")
    if not holds_if_readable(~(ratio < 0)):
        raise ValueError("ratio has negative entries. It is a quotient of probabilities, exp(log_prob - old_log_prob). Is this the log-ratio?")
    advantage = _constant(advantage)
    module = torch if isinstance(ratio, torch.Tensor) else np
    return module.minimum(ratio * advantage, ratio.clip(1 - epsilon, 1 + epsilon) * advantage)


def _masked(x: Array, mask: Array, name: str) -> Array:
    """x (..., T, B) where mask is 1, and 0 elsewhere, also where x is not a number."""
    require_same_shape(**{name: x, "mask": mask})
    require_time_and_batch(**{name: x})
    return _select(mask_like(mask, x, "mask") == 1, x, 0)


def _select(condition: Array, x: Array, other: float) -> Array:
    return torch.where(condition, x, other) if isinstance(x, torch.Tensor) else np.where(condition, x, np.asarray(other, dtype=x.dtype))


def _constant(x: Array) -> Array:
    return x.detach() if isinstance(x, torch.Tensor) else x


def _softmax(theta: Array) -> Array:
    if isinstance(theta, torch.Tensor):
        return theta.softmax(-1)
    weights = np.exp(theta - theta.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def _one_hot(theta: Array, indices: Array, axis: int) -> Array:
    """1 at the index, in the dtype of theta: (..., theta.shape[axis])."""
    size = theta.shape[axis]
    if not holds_if_readable((indices >= 0) & (indices < size)):
        raise IndexError(
            f"{('states', 'actions')[axis]} reach from {int(indices.min())} to {int(indices.max())}, and theta {tuple(theta.shape)} has 0 to "
            f"{size - 1} there. Is -1 a padding? Then put 0, and let the mask say that it does not count. {READ}"
        )
    if isinstance(theta, torch.Tensor):
        return torch.eye(size, dtype=theta.dtype, device=theta.device)[indices.long()]
    return np.eye(size, dtype=theta.dtype)[indices]


def _require_indices(theta: Array, **named: Array) -> None:
    kind, library = (torch.Tensor, "torch") if isinstance(theta, torch.Tensor) else (np.ndarray, "numpy")
    for name, x in named.items():
        dtype = str(getattr(x, "dtype", "none"))
        if not isinstance(x, kind) or "int" not in dtype:
            raise TypeError(
                f"{name} is a {type(x).__name__} of dtype {dtype}, and needs to be of {library}, as theta is, and of an integer dtype: it says which "
                f"row, or which column, of theta was used. {READ}"
            )
