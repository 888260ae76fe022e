"""The corridor of lecture 03: five cells in a row, two actions, every reward positive, and everything about it computable.

A walker starts in the middle cell and takes T steps. `right` takes it one cell to the right, or, with probability `SLIP`, to the left; `left` is its
mirror image; the walls hold it back. A step from cell s pays 1 + s/4. The policy has one parameter for each cell: θ_s, the logit of `right`.
Small enough to know the gradient exactly, noisy enough that no small batch finds it. Cells are 0 ... 4, arrays are (time, ..., episodes).
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
from scipy.special import expit

from rlcourse.equations import policy_gradient as eq

Array = np.ndarray
CELLS, START, SLIP = 5, 2, 0.2
REWARDS = 1 + np.arange(CELLS) / 4
ESTIMATORS = ("full return", "reward-to-go", "to go, less the mean of the others", "to go, less V(s), exact")


def chance_of_right(theta: Array) -> Array:
    """π_θ(right|s) = 1/(1 + e^{−θ_s}), of the shape of theta."""
    return expit(theta)


def score_table(theta: Array) -> Array:
    """∂ log π_θ(a|s)/∂θ_k for every (s, a, k), (5, 2, 5), by the package's `score` [03.1] with logits (0, θ_s)."""
    states, actions = (index.ravel() for index in np.indices((CELLS, 2)))
    return eq.score(np.stack([np.zeros(CELLS), theta], -1), states, actions)[..., 1].reshape(CELLS, 2, CELLS)


def play(theta: Array, episodes: int, T: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """`episodes` of T steps for each copy of the policy, theta (..., 5): states, actions, rewards, each (T, ..., episodes)."""
    p = chance_of_right(theta)
    state, taken = np.full((*theta.shape[:-1], episodes), START), []
    for _ in range(T):
        action = (rng.random(state.shape) < np.take_along_axis(p, state, -1)).astype(int)
        taken.append((state, action))
        goes_right = action ^ (rng.random(state.shape) < SLIP)
        state = np.clip(state + 2 * goes_right - 1, 0, CELLS - 1)
    states, actions = (np.stack(part) for part in zip(*taken))
    return states, actions, REWARDS[states]


def values(theta: Array, T: int) -> tuple[Array, Array]:
    """Expected reward-to-go, by dynamic programming: V (T, 5), and Q (T, 5, 2)."""
    cells = np.arange(CELLS)
    down, up = np.maximum(cells - 1, 0), np.minimum(cells + 1, CELLS - 1)
    p, V, Q = chance_of_right(theta), np.zeros((T + 1, CELLS)), np.zeros((T, CELLS, 2))
    for t in reversed(range(T)):
        for action, chance in ((0, SLIP), (1, 1 - SLIP)):
            Q[t, :, action] = REWARDS + chance * V[t + 1, up] + (1 - chance) * V[t + 1, down]
        V[t] = (1 - p) * Q[t, :, 0] + p * Q[t, :, 1]
    return V[:T], Q


def expected_return(theta: Array, T: int) -> float:
    """J(θ), in units of reward."""
    return float(values(theta, T)[0][0, START])


def gradient(theta: Array, T: int) -> Array:
    """∇J (5,): Σ_t p(s_t = k) p(1 − p) (Q_t(k, right) − Q_t(k, left)), p = π(right|k); no sample has a part in it."""
    p, (_, Q), here, total = chance_of_right(theta), values(theta, T), np.eye(CELLS)[START], np.zeros(CELLS)
    for t in range(T):
        total += here * p * (1 - p) * (Q[t, :, 1] - Q[t, :, 0])
        right = p * (1 - SLIP) + (1 - p) * SLIP
        moved = np.zeros(CELLS)
        np.add.at(moved, np.minimum(np.arange(CELLS) + 1, CELLS - 1), here * right)
        np.add.at(moved, np.maximum(np.arange(CELLS) - 1, 0), here * (1 - right))
        here = moved
    return total


def weights(name: str, states: Array, rewards: Array, theta: Array) -> Array:
    """What each step is weighed by, (T, ..., N), for one of ESTIMATORS; N, the last dimension, is one batch."""
    full, _, others, advantage = ESTIMATORS
    future = np.moveaxis(eq.reward_to_go(np.moveaxis(rewards, 0, -2)), -2, 0)
    if name == full:
        return np.broadcast_to(future[0], future.shape)
    if name == others:
        return future - eq.leave_one_out(future)
    if name == advantage:
        V = values(theta, len(states))[0]       # of one policy, theta (5,)
        return future - np.stack([V[t, states[t]] for t in range(len(states))])
    return future


def estimates(name: str, N: int, T: int, batches: int, seed: int = 0) -> Array:
    """`batches` estimates of ∇J at θ = 0, (batches, 5), each from N episodes of its own; the same episodes for every name."""
    theta = np.zeros((batches, CELLS))
    states, actions, rewards = episodes(N, T, batches, seed)
    return batch_gradient(theta, states, actions, weights(name, states, rewards, theta[0]))


def batch_gradient(theta: Array, states: Array, actions: Array, weighed: Array) -> Array:
    """ĝ = (1/N) Σ_episodes Σ_t ∇ log π(a_t|s_t) · weighed_t for each copy of the policy: (copies, 5), the other arguments (T, copies, N)."""
    copies, N = states.shape[1:]
    own_cell = (actions - np.take_along_axis(chance_of_right(theta)[None], states, -1)) * weighed       # the score is 0 in all other cells
    cell = states + CELLS * np.arange(copies)[:, None]
    return np.bincount(cell.ravel(), own_cell.ravel(), CELLS * copies).reshape(copies, CELLS) / N


@functools.lru_cache(maxsize=4)
def episodes(N: int, T: int, batches: int, seed: int) -> tuple[Array, Array, Array]:
    """The random policy's states, actions and rewards, (T, batches, N)."""
    return play(np.zeros((batches, CELLS)), N, T, np.random.default_rng(seed))


@functools.lru_cache(maxsize=1)
def every_episode(T: int = 5) -> tuple[Array, Array, Array]:
    """All 4^T episodes of the random policy: p(τ) (M,), scores g(τ) = ∇ log p(τ) (M, 5), returns (M,)."""
    choices = np.array(list(itertools.product(range(2), range(2), repeat=T))).reshape(-1, T, 2)
    actions, slips = choices[..., 0].T, choices[..., 1].T
    theta, state, p = np.zeros(CELLS), np.full(len(choices), START), np.ones(len(choices))
    table, scores, returns = score_table(theta), np.zeros((len(choices), CELLS)), np.zeros(len(choices))
    for t in range(T):
        scores, returns = scores + table[state, actions[t]], returns + REWARDS[state]
        p = p * 0.5 * np.where(slips[t] == 1, SLIP, 1 - SLIP)
        state = np.clip(state + 2 * (actions[t] ^ slips[t]) - 1, 0, CELLS - 1)
    return p, scores, returns


def uphill(estimated: Array, T: int) -> Array:
    """Share of the true gradient in each estimate, ⟨ĝ, ∇J⟩ / |∇J|²: 1 is right, below 0 the step leads downhill."""
    exact = gradient(np.zeros(CELLS), T)
    return estimated @ exact / (exact @ exact)


def signal_to_noise(sizes: tuple[int, ...], T: int = 10, seeds: int = 10, batches: int = 100) -> dict[str, tuple[Array, Array]]:
    """|∇J|² / Σ_k Var[ĝ_k] and the share of steps that lead downhill, for batches of each size N: both (seeds, sizes), for each of ESTIMATORS."""
    exact, found = gradient(np.zeros(CELLS), T), {name: np.zeros((2, seeds, len(sizes))) for name in ESTIMATORS}
    for i, N in enumerate(sizes):
        for name, (ratio, downhill) in found.items():
            g = estimates(name, N, T, seeds * batches, seed=N).reshape(seeds, batches, -1)
            ratio[:, i], downhill[:, i] = (exact @ exact) / g.var(1, ddof=1).sum(-1), (g @ exact < 0).mean(1)
    return {name: (ratio, downhill) for name, (ratio, downhill) in found.items()}


def in_batch_shares(sizes: tuple[int, ...], T: int = 5, seeds: int = 10, episodes: int = 40_000) -> dict[str, Array]:
    """Mean estimate over the gradient, ⟨mean ĝ, ∇J⟩/|∇J|², with the mean of the batch as baseline and with that of the others: (seeds, sizes)."""
    theta, exact = np.zeros(CELLS), gradient(np.zeros(CELLS), T)
    table, shares = score_table(theta) @ exact / (exact @ exact), {"batch": [], "others": []}
    for seed in range(seeds):
        states, actions, rewards = play(theta, episodes, T, np.random.default_rng(seed))
        g, R = table[states, actions].sum(0), rewards.sum(0)
        for N in sizes:
            groups = R[: len(R) // N * N].reshape(-1, N)
            parts = g[: groups.size].reshape(-1, N)
            shares["batch"].append((parts * (groups - groups.mean(-1, keepdims=True))).mean())
            shares["others"].append((parts * (groups - eq.leave_one_out(groups))).mean())
    return {name: np.reshape(found, (seeds, len(sizes))) for name, found in shares.items()}


def ascents(lr: Array, scale: float, adam: bool, seeds: int = 10, updates: int = 60, T: int = 10, N: int = 10) -> Array:
    """J after `updates` steps with each step size, (seeds, sizes): reward-to-go less the mean of the others, rewards multiplied by `scale`."""
    theta, step = np.zeros((seeds * len(lr), CELLS)), np.tile(lr, seeds)[:, None]
    rng, m, v = np.random.default_rng(0), 0.0, 0.0
    for k in range(1, updates + 1):
        states, actions, rewards = play(theta, N, T, rng)
        g = batch_gradient(theta, states, actions, weights(ESTIMATORS[2], states, scale * rewards, theta))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        theta = theta + step * (m / (1 - 0.9**k) / (np.sqrt(v / (1 - 0.999**k)) + 1e-8) if adam else g)
    return np.reshape([expected_return(row, T) for row in theta], (seeds, len(lr)))


def reused(updates: int = 40, lr: float = 0.3, seeds: int = 20, T: int = 10, N: int = 10) -> dict[str, Array]:
    """J over the number of steps, (seeds, updates + 1): a fresh batch for every step, or the first batch again and again."""
    rng, curves = np.random.default_rng(0), {}
    for name in ("a fresh batch for each step", "the first batch again and again"):
        theta, batch, J = np.zeros((seeds, CELLS)), None, []
        for _ in range(updates + 1):
            J.append([expected_return(row, T) for row in theta])
            batch = play(theta, N, T, rng) if batch is None or "fresh" in name else batch
            states, actions, rewards = batch
            theta = theta + lr * batch_gradient(theta, states, actions, weights(ESTIMATORS[2], states, rewards, theta))
        curves[name] = np.transpose(J)
    return curves
