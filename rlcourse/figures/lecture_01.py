"""Figures of lecture 01: parameters -> arrays -> Figure, without state. Everything in them is exact but the Monte Carlo returns.

Blue is a distribution (of states, or a belief), wine a value, black the exact reference, grey single runs, vermilion what does not work.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rlcourse.bootstrap import bootstrap_interval
from rlcourse.figures.style import COLOURS, clear, figure, line, styled
from rlcourse.tabular import chains, dp
from rlcourse.tabular.mdp import MOVES, FiniteMDP, grid_cells, gridworld

Array = np.ndarray
LAYOUT = "...G .#.X S..."
STATES = ("state 0", "state 1", "state 2")
CYCLES = ("as the sliders say", "always move on")
KNOWN = ("moves and observations", "moves only")
BLUES, MARKERS = ("#003F66", COLOURS["policy"], COLOURS["gaussian"]), ("o", "s", "^")
DOORS = np.array([1, 1, 0, 1, 0])            # of five rooms in a ring: which have a door
SLIP = 0.2                                   # how often a step along the ring does not succeed


# ── arrays ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def ring(stones: int) -> Array:
    """P_π (S, S) of a walker on a ring who steps left or right by the toss of a coin."""
    return (np.roll(np.eye(stones), 1, axis=1) + np.roll(np.eye(stones), -1, axis=1)) / 2


def cycle(first: float, second: float, kind: str = CYCLES[0]) -> Array:
    """P_π (3, 3) of a chain 0 → 1 → 2 → 0 that moves on with probabilities first, second and 0.5, and stays otherwise."""
    on = np.array([first, second, 0.5]) if kind == CYCLES[0] else np.ones(3)
    return np.diag(1 - on) + on[:, None] * np.roll(np.eye(3), 1, axis=1)


def distances(P_pi: Array, start: Array, horizon: int) -> tuple[Array, Array, Array]:
    """μ_t (T, S), the stationary μ (S,), and the total variation distance ½ Σ_s |μ_t(s) − μ(s)| between them (T,)."""
    mu, settled = chains.state_marginals(P_pi, start, horizon), chains.stationary(P_pi)
    return mu, settled, abs(mu - settled).sum(-1) / 2


def road(steps: int, logit: float) -> tuple[float, float, Array]:
    """J(θ) = Σ_{t<T} σ(θ)^{t+1}, its slope, and the chance to be paid at each step: one is paid 1 while on the road, and steers with chance σ(θ)."""
    P, r = np.zeros((2, 2, 2)), np.array([[1.0, 0.0], [0.0, 0.0]])       # state 0: on the road; action 0: steer
    P[0, 0, 0], P[0, 1, 1], P[1, :, 1] = 1, 1, 1
    steer = 1 / (1 + np.exp(-logit))
    pi = np.array([[steer, 1 - steer]] * 2)
    paid = (chains.state_action_marginals(P, pi, np.eye(2)[0], steps) * r).sum((-1, -2))
    return float(paid.sum()), float((np.arange(1, steps + 1) * paid).sum() * (1 - steer)), paid


def rooms() -> FiniteMDP:
    """Five rooms in a ring: action 0 stays, action 1 goes on to the next with probability 1 − SLIP. Nothing is paid; the start is anywhere."""
    on = (1 - SLIP) * np.roll(np.eye(5), 1, axis=1) + SLIP * np.eye(5)
    return FiniteMDP(np.stack([np.eye(5), on], axis=1), np.zeros((5, 2)), 0.9, np.full(5, 0.2), terminal=np.zeros(5, dtype=bool))


def emission(noise: float) -> Array:
    """E (S', O): the chance to see 'wall' (0) or 'door' (1) in each room; with chance `noise` one sees the other."""
    seen = np.where(DOORS == 1, 1 - noise, noise)
    return np.stack([1 - seen, seen], axis=-1)


def walk(noise: float, steps: int = 12, seed: int = 3) -> tuple[Array, Array]:
    """Rooms s_0 .. s_T and observations o_1 .. o_T of one walk, always action 1. The same dice for every noise."""
    dice = np.random.default_rng(seed).random((steps, 2))
    s = np.concatenate([[0], (dice[:, 0] >= SLIP).cumsum() % 5])
    return s, np.where(dice[:, 1] < noise, 1 - DOORS[s[1:]], DOORS[s[1:]])


def beliefs(noise: float, steps: int, known: str = KNOWN[0]) -> tuple[Array, Array]:
    """Belief after 0 .. T steps of `walk` (T + 1, S), and before each observation (T + 1, S); at noise 0 and 0.5 too."""
    P, E = rooms().P, emission(noise if known == KNOWN[0] else 0.5)
    _, seen = walk(noise, steps)
    after, before = [np.full(5, 0.2)], [np.full(5, 0.2)]
    for o in seen:
        before.append(after[-1] @ P[:, 1])
        after.append(chains.belief_update(after[-1], 1, int(o), P, E))
    return np.array(after), np.array(before)


def entropy(p: Array) -> Array:
    """−Σ p log p over the last dimension, in nats."""
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(-1)


def drifter() -> tuple[FiniteMDP, Array]:
    """The 4 x 3 world and a policy in it that does not look where it goes: each of the four moves with chance ¼."""
    mdp = gridworld(LAYOUT, gamma=0.9, slip=0.2)
    return mdp, np.full((mdp.n_states, mdp.n_actions), 0.25)


def return_moments(mdp: FiniteMDP, pi: Array) -> tuple[float, float]:
    """Mean and standard deviation of the discounted return from p0, exact: M = r² + 2γ r P V + γ² P M is linear as well."""
    V, _ = dp.policy_evaluation(mdp, pi)
    P_pi, _ = mdp.under(pi)
    now = (pi * (mdp.r**2 + 2 * mdp.gamma * mdp.r * (mdp.P @ V))).sum(-1)
    M = np.linalg.solve(np.eye(mdp.n_states) - mdp.gamma**2 * P_pi, now)
    return float(mdp.p0 @ V), float(np.sqrt(mdp.p0 @ M - (mdp.p0 @ V) ** 2))


def running_means(seeds: int = 20, episodes: int = 4096, horizon: int = 120) -> tuple[Array, Array]:
    """n = 1, 2, 4, .. and the mean of the first n returns of the drifter, (seeds, len(n)): one generator per seed."""
    mdp, pi = drifter()
    returns = np.stack([chains.sample_returns(mdp, pi, (episodes,), horizon, np.random.default_rng(seed)) for seed in range(seeds)])
    n = 2 ** np.arange(int(np.log2(episodes)) + 1)
    return n, returns.cumsum(-1)[:, n - 1] / n


# ── figures ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
@styled
def rings(steps: int = 24) -> Figure:
    """The first picture: where the walker is, over time, on five stones and on six."""
    fig, panels = figure(2)
    for ax, stones, said in zip(panels, (5, 6), ("Five stones: the start is forgotten", "Six stones: it never is")):
        mu = chains.state_marginals(ring(stones), np.eye(stones)[0], steps + 1)
        image = ax.imshow(mu.T, aspect="auto", cmap="Blues", vmin=0, vmax=0.5, origin="lower")
        ax.set(xlabel="time t (steps)", ylabel="stone", yticks=range(stones), title=said)
        ax.grid(False)
    fig.colorbar(image, ax=panels, label="chance to be there", extend="max")
    return fig


@styled
def mixing(first: float = 0.3, second: float = 0.8, start: str = STATES[0], kind: str = CYCLES[0], fig: Figure | None = None) -> Figure:
    """Left: μ_t of a cycle of three states, and where it goes. Right: how far it still is, on a logarithmic axis."""
    P_pi, steps = cycle(first, second, kind), 30
    mu, settled, far = distances(P_pi, np.eye(3)[STATES.index(start)], steps + 1)
    rate = float(np.sort(abs(np.linalg.eigvals(P_pi)))[-2])
    if fig is None:
        fig, (left, right) = figure(2)
        left.set(xlabel="time t (steps)", ylabel="μ_t(s), probability", xlim=(0, steps), ylim=(0, 1.3), yticks=np.linspace(0, 1, 6))
        right.set(xlabel="time t (steps)", ylabel="distance to stationary", yscale="log", xlim=(0, steps), ylim=(1e-5, 30))
        right.set_yticks(10.0 ** np.arange(-5, 1))
    left, right = fig.axes
    t = np.arange(steps + 1)
    for s in range(3):
        line(left, f"mu{s}", t, mu[:, s], "policy", STATES[s], color=BLUES[s], marker=MARKERS[s], ms=4.5, lw=1.6)
        line(left, f"settled{s}", [0, steps], [settled[s]] * 2, "truth", "stationary" if s == 2 else None, lw=1.0, ls=":")
    line(right, "far", t, np.maximum(far, 1e-12), "policy", "½ Σ |μ_t − μ|")
    line(right, "rate", t, max(far[0], 1e-12) * rate**t, "truth", f"|λ₂| = {rate:.2f} to the power of t", lw=1.4, ls=":")
    left.set_title("Where the chain is")
    away = f"{far[-1]:.3f}" if far[-1] >= 0.001 else "less than 0.001"
    right.set_title(f"After {steps} steps: {away} away" if rate < 1 - 1e-9 else "It has no memory, and never forgets")
    left.legend(loc="upper right", ncols=2)
    right.legend(loc="upper right")
    return fig


@styled
def smooth_objective(logit: float = 1.0, steps: int = 10, fig: Figure | None = None) -> Figure:
    """Left: rewards of 40 drives, each 0 or 1, and their mean. Right: J over the logit, and what a policy without dice would earn."""
    J, slope, paid = road(steps, logit)
    survived = (np.random.default_rng(0).random((40, 20)) < 1 / (1 + np.exp(-logit))).cumprod(-1)[:, :steps]
    if fig is None:
        fig, (left, right) = figure(2)
        left.set(xlabel="time t (steps)", ylabel="reward r_t", ylim=(-0.1, 1.4), yticks=[0, 0.5, 1])
        right.set(xlabel="logit θ; the chance to steer is σ(θ)", ylabel="expected return J(θ)", xlim=(-4, 8))
    left, right = fig.axes
    t, grid = np.arange(steps), np.linspace(-4, 8, 121)
    jitter = np.linspace(-0.05, 0.05, 40)[:, None]
    padded = np.column_stack([survived + jitter, np.full(40, np.nan)])         # a gap between one drive and the next
    line(left, "runs", np.tile(np.append(t, np.nan), 40), padded.ravel(), "sample", "40 drives (spread for the eye)", lw=0.7, drawstyle="steps-post")
    line(left, "mean", t, paid, "return", "mean over all drives, exact", marker="o", ms=5)
    line(right, "step", [-4, 0, 0, 8], [0, 0, steps, steps], "printed", "steers if θ > 0, without dice", lw=1.8)
    line(right, "J", grid, [road(steps, x)[0] for x in grid], "return", "J(θ)")
    line(right, "tangent", logit + np.array([-1.5, 1.5]), J + slope * np.array([-1.5, 1.5]), "truth", f"slope {slope:.2f}", lw=1.6)
    line(right, "here", [logit], [J], "truth", marker="o", ms=9, mec="white")
    left.set(xlim=(-0.3, steps - 0.7), title="Every drive jumps from 1 to 0")
    right.set(ylim=(-0.06 * steps, 1.5 * steps), title=f"The mean does not: J = {J:.2f}")
    left.legend(loc="upper right")
    right.legend(loc="upper left")
    return fig


@styled
def belief(noise: float = 0.1, k: int = 4, known: str = KNOWN[0], fig: Figure | None = None) -> Figure:
    """Left: the belief after k steps, before and after the observation. Right: how unsure it is, over the whole walk."""
    steps = 12
    (after, before), (s, seen) = beliefs(noise, steps, known), walk(noise, steps)
    if fig is None:
        fig, (left, right) = figure(2)
        left.set(ylabel="belief b(s), probability", ylim=(0, 1.45), yticks=np.linspace(0, 1, 6), xlim=(-0.6, 4.6), xticks=range(5),
                 xticklabels=[f"{i}\n{('wall', 'door')[d]}" for i, d in enumerate(DOORS)], xlabel="room, and what one sees there without noise")
        right.axhline(np.log(5), color=COLOURS["truth"], lw=1.0, ls=":", label="log 5: could be anywhere")
        right.set(xlabel="time (steps)", ylabel="entropy of the belief (nats)", xlim=(0, steps), ylim=(0, 2.4))
    left, right = fig.axes
    clear(left, "bars")
    for shift, bars, colour, label in ((-0.2, before[k], "gaussian", "after the move"), (0.2, after[k], "policy", "after the observation")):
        left.bar(np.arange(5) + shift, bars, 0.38, color=COLOURS[colour], gid="bars", label=None if left.get_legend() else label)
    line(left, "truth", [s[k]], [1.08], "truth", "where it is", marker="v", ms=11, ls="")
    line(right, "entropy", np.arange(steps + 1), entropy(after), "policy", "entropy of b")
    line(right, "here", [k], [entropy(after[k])], "truth", marker="o", ms=9, mec="white")
    word = "nothing yet" if k == 0 else f"a {('wall', 'door')[seen[k - 1]]}"
    left.set_title(f"Step {k}, sees {word}" if known == KNOWN[0] or k == 0 else f"Step {k}, eyes closed")
    right.set_title(f"At the true room: {after[k, s[k]]:.2f}")
    if not left.get_legend():
        left.legend(loc="upper right", ncols=2)
        right.legend(loc="upper right")
    return fig


@styled
def improvement() -> Figure:
    """Left: V of the drifter, and the move that its Q likes best. Right: V of the policy that makes those moves."""
    mdp, pi = drifter()
    V, Q = dp.policy_evaluation(mdp, pi)
    better, _ = dp.policy_evaluation(mdp, dp.greedy(Q))
    fig, panels = figure(2)
    for ax, values, said in zip(panels, (V, better), ("V of the drifter", "V of the moves its Q likes best")):
        image = _map(ax, mdp, values, Q)
        ax.set_title(said)
    fig.colorbar(image, ax=panels, label="value (discounted reward)")
    return fig


def _map(ax: Axes, mdp: FiniteMDP, V: Array, Q: Array) -> object:
    """Values as colours and numbers on the 4 x 3 map, an arrow for the best move of each cell."""
    cells, shown = grid_cells(LAYOUT), np.full((3, 4), np.nan)
    for s, cell in enumerate(cells):
        shown[cell] = V[s]
    image = ax.imshow(shown, cmap="PuRd", vmin=-0.8, vmax=1.0)
    for s, (row, column) in enumerate(cells):
        if mdp.terminal[s]:
            ax.text(column, row, "+1" if (row, column) == (0, 3) else "−1", ha="center", va="center", fontsize=15, weight="bold")
            continue
        dark = V[s] > 0.55
        ax.text(column, row + 0.3, f"{V[s]:+.2f}", ha="center", va="center", fontsize=12, color="white" if dark else "black")
        down, right = MOVES[int(Q[s].argmax())]
        ax.annotate("", (column + 0.25 * right, row - 0.12 + 0.25 * down), (column - 0.25 * right, row - 0.12 - 0.25 * down),
                    arrowprops={"arrowstyle": "-|>", "lw": 2.2, "color": "white" if dark else "black"})
    ax.set(xticks=range(4), yticks=range(3), xlabel="column", ylabel="row")
    ax.set_facecolor("#888888")
    ax.grid(False)
    return image


@styled
def monte_carlo(seeds: int = 20) -> Figure:
    """Left: running means of returns, one line per seed, and the exact value. Right: mean absolute error over n, with intervals."""
    (n, means), (exact, std) = running_means(seeds), return_moments(*drifter())
    errors = abs(means - exact)
    intervals = np.array([bootstrap_interval(column, np.random.default_rng(0), np.mean) for column in errors.T])
    fig, (left, right) = figure(2)
    for seed in range(seeds):
        line(left, f"run{seed}", n, means[seed], "sample", f"mean of n returns, {seeds} seeds" if seed == 0 else None)
    line(left, "exact", n[[0, -1]], [exact] * 2, "truth", f"V from the linear system, {exact:.3f}")
    line(right, "theory", n, np.sqrt(2 / np.pi) * std / np.sqrt(n), "truth", "√(2/π) σ/√n", lw=1.4, ls=":")
    line(right, "error", n, errors.mean(0), "return", f"mean of {seeds} seeds", marker="o", ms=5)
    right.fill_between(n, intervals[:, 1], intervals[:, 2], color=COLOURS["return"], alpha=0.3, linewidth=0, label="95 % bootstrap interval")
    left.set(xlabel="episodes n", ylabel="estimate of V(start)", xscale="log", xlim=(1, n[-1]), title="Twenty seeds close in on V")
    right.set(xlabel="episodes n", ylabel="|estimate − exact|", xscale="log", yscale="log", xlim=(1, n[-1]),
              title="One more digit: 100 × the dice")
    left.legend(loc="lower right")
    right.legend(loc="lower left")
    return fig
