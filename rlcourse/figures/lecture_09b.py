"""Figures of lecture 09b: ways to maximise a critic over real actions, targets that lag, and an ablation of DDPG over seeds.

Arrays first, from the package's own functions, then the figures. A figure that belongs to a slider moves its artists when it is called again with
`fig=`.
"""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rlcourse.equations import continuous_actions as search
from rlcourse.figures.style import COLOURS, STROKES, figure, line, styled
from rlcourse.figures.training import arms
from rlcourse.stats import History, final_values, mean_interval

Array = np.ndarray
SHARES = ("τ of the new, as here", "τ of the old, as in 7.1")


# ── arrays ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def lagging(online: Array, share: float) -> Array:
    """A target that starts at 0 and moves `share` of the way to the online value after each update, (updates,)."""
    target, now = [], 0.0
    for value in online:
        now = (1 - share) * now + share * value
        target.append(now)
    return np.array(target)


def hills(a: torch.Tensor) -> torch.Tensor:
    """A critic of one action (..., 1) -> (...): a wide hill of height 1 at −0.45, a narrow one of height 1.3 at 0.6."""
    x = a[..., 0]
    return torch.exp(-((x + 0.45) ** 2) / 0.18) + 1.3 * torch.exp(-((x - 0.6) ** 2) / 0.01)


def maximised(repeats: int = 400, seed: int = 0) -> dict[str, Array]:
    """Where each way to maximise ends on `hills`, (repeats,) actions from random starts and draws, 48 evaluations of Q or gradient steps each."""
    generator = torch.Generator().manual_seed(seed)
    uniform = 2 * torch.rand(repeats, 48, 1, generator=generator, dtype=torch.float64) - 1
    noise = torch.randn(3, repeats, 16, 1, generator=generator, dtype=torch.float64)
    centre = torch.zeros(repeats, 1, dtype=torch.float64)
    grid = torch.linspace(-1, 1, 401, dtype=torch.float64)
    bend, slope, _ = np.polyfit(grid, hills(grid[:, None]), 2)
    found = {"best of 48 draws": search.best_candidate(hills, uniform),
             "gradient, 48 steps": search.gradient_ascent(hills, uniform[:, 0], -1, 1, 0.005, 48),
             "CEM, 3 rounds of 16": search.cross_entropy_method(hills, noise, centre, centre + 1, -1, 1, 4),
             "NAF, a fitted parabola": torch.full((1, 1), float(np.clip(-slope / (2 * bend), -1, 1)))}
    return {name: actions[:, 0].numpy() for name, actions in found.items()}


def dimension_errors(dimensions: tuple[int, ...] = (1, 2, 4, 8, 16, 32), budget: int = 480, repeats: int = 200, seed: int = 0
                     ) -> dict[str, Array]:
    """|a − a*|²/(A/3) for Q = −|a − a*|² in [−1, 1]^A, by `budget` evaluations: (dimensions, repeats). a* is uniform in the box, so that the action
    0, taken without looking, has the mean 1: this is the share of its gain that a search misses. CEM: 10 rounds, the best eighth of each.
    """
    generator = torch.Generator().manual_seed(seed)
    missed: dict[str, list[Array]] = {"best of all draws": [], "CEM, 10 rounds": []}
    for size in dimensions:
        top = 2 * torch.rand(repeats, 1, size, generator=generator) - 1
        draws = 2 * torch.rand(repeats, budget, size, generator=generator) - 1
        noise = torch.randn(10, repeats, budget // 10, size, generator=generator)
        start = torch.zeros(repeats, size)

        def q(a: torch.Tensor, top: torch.Tensor = top) -> torch.Tensor:
            return -(a - top).square().sum(-1)

        for name, found in (("best of all draws", search.best_candidate(q, draws)),
                            ("CEM, 10 rounds", search.cross_entropy_method(q, noise, start, start + 1, -1, 1, budget // 80))):
            missed[name].append(((found - top[:, 0]).square().sum(-1) / (size / 3)).numpy())
    return {name: np.array(values) for name, values in missed.items()}


def cem_progress(samples: int, elites: int, start: float, rounds: int = 6, repeats: int = 200, seed: int = 0) -> dict[str, Array]:
    """On `hills`, after each of `rounds` rounds: mean Q of what CEM holds for the best, and of the best of as many uniform draws. And CEM's last
    actions, (repeats,)."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(rounds, repeats, samples, 1, generator=generator, dtype=torch.float64)
    draws = 2 * torch.rand(repeats, rounds * samples, 1, generator=generator, dtype=torch.float64) - 1
    mean = torch.full((repeats, 1), start, dtype=torch.float64)
    found = [search.cross_entropy_method(hills, noise[:count], mean, torch.full_like(mean, 0.5), -1, 1, min(elites, samples))
             for count in range(1, rounds + 1)]
    best = [search.best_candidate(hills, draws[:, :count * samples]) for count in range(1, rounds + 1)]
    return {"cem": np.array([hills(a).mean() for a in found]), "draws": np.array([hills(a).mean() for a in best]), "ends": found[-1][:, 0].numpy()}


# ── figures ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
@styled
def cem_search(samples: int = 16, elites: int = 4, start: float = 0.0, fig: Figure | None = None) -> Figure:
    """Left: Q, and where 200 searches by CEM end. Right: Q of the best so far, after each round, beside as many uniform draws."""
    if fig is None:
        fig, (left, right) = figure(2)
        left.set(xlabel="action a", ylabel="Q(a); below, where 200 searches end", xlim=(-1.05, 1.05), ylim=(-0.3, 1.45),
                 xticks=[-1, -0.5, 0, 0.5, 1])
        right.set(xlabel="rounds of the search", ylabel="mean Q of the action found", xlim=(0.8, 6.2), ylim=(0, 1.45))
    left, right = fig.axes
    grid, found = np.linspace(-1, 1, 601), cem_progress(samples, elites, start)
    line(left, "q", grid, hills(torch.from_numpy(grid)[:, None]).numpy(), "value", "Q(a)")
    line(left, "start", [start, start], [-0.05, 0.05], "truth", "mean of the first draw", lw=4)
    line(left, "ends", found["ends"], np.full(200, -0.17), "pathwise", "ends of CEM", ls="", marker="|", ms=16)
    rounds = np.arange(1, 7)
    line(right, "cem", rounds, found["cem"], "pathwise", "CEM", marker="o")
    line(right, "draws", rounds, found["draws"], "policy", "best of as many uniform draws", marker="s")
    line(right, "max", [0.8, 6.2], [1.3, 1.3], "truth", "highest hill", lw=1.2, ls=":")
    high = np.mean(np.abs(found["ends"] - 0.6) < 0.12)
    left.set_title(f"{100 * high:.0f} % on the higher hill")
    right.set_title(f"{6 * samples} evaluations: CEM {found['cem'][-1]:.2f}, draws {found['draws'][-1]:.2f}")
    left.legend(loc="upper left")
    right.legend(loc="lower right")
    return fig


@styled
def maximisers() -> Figure:
    """Left: where four ways to maximise end on a critic with two hills. Right: what a fixed number of evaluations misses, by dimension."""
    fig, (left, right) = figure(2, width=11.2, gridspec_kw={"width_ratios": [1, 1.1]})
    grid, found = np.linspace(-1, 1, 601), maximised()
    value = hills(torch.from_numpy(grid)[:, None]).numpy()
    line(left, "q", grid, value, "value", "Q(a)")
    rows = -0.22 * np.arange(1, 5)
    for height, actions, quantity in zip(rows, found.values(), arms(found)):
        left.plot(actions, np.full(len(actions), height), "|", color=COLOURS[quantity], ms=13, mew=1.6)
    higher = [f"{name}: {100 * np.mean(np.abs(actions - 0.6) < 0.12):.0f} %" for name, actions in found.items()]
    left.set(xlabel="action a", ylabel="Q(a); below, where searches end", xlim=(-1.05, 1.05), ylim=(-1.05, 1.45), yticks=[*rows, 0, 0.5, 1],
             yticklabels=[*higher, "0", "0.5", "1"], xticks=[-1, -0.5, 0, 0.5, 1], title="Who finds the higher hill")
    sizes = (1, 2, 4, 8, 16, 32)
    for (name, missed), quantity in zip(dimension_errors(sizes).items(), ("policy", "pathwise")):
        mean, low, high = mean_interval(missed.T)
        right.fill_between(sizes, np.maximum(low, 1e-6), high, color=COLOURS[quantity], alpha=0.2, linewidth=0)
        line(right, name, sizes, mean, quantity, name, marker="o")
    right.axhline(1, color=COLOURS["truth"], lw=1.2, ls=":", label="not looking at all")
    right.set(xlabel="dimensions of the action", ylabel="share of the gain that is missed", xscale="log", yscale="log", ylim=(1e-5, 20),
              xticks=sizes, xticklabels=sizes, title="480 draws: few in 32 dimensions")
    right.minorticks_off()
    right.legend(loc="lower right")
    return fig


@styled
def polyak_lag(tau: float = 0.05, convention: str = SHARES[0], fig: Figure | None = None) -> Figure:
    """Left: what the target is made of, by age. Right: a target behind an online value that jumps and then climbs, with noise."""
    share = tau if convention == SHARES[0] else 1 - tau
    if fig is None:
        fig, (left, right) = figure(2)
        left.set(xlabel="age of the online value (updates)", ylabel="its share in the target", xlim=(-0.5, 100), yscale="log", ylim=(1e-4, 1.5))
        right.set(xlabel="update", ylabel="value of one parameter", xlim=(0, 300), ylim=(-0.4, 3.2))
    left, right = fig.axes
    age, update = np.arange(101), np.arange(300)
    noise = 0.12 * np.random.default_rng(1).standard_normal(300)
    online = np.where(update < 30, 0.0, 1.0) + np.clip(update - 150, 0, None) * 0.01 + noise
    weights = np.maximum(share * (1 - share) ** age, 1e-300)
    line(left, "weights", age, np.where(weights < 1e-5, np.nan, weights), "value", "τ (1 − τ)^age")
    line(right, "online", update, online, "sample", "online network")
    line(right, "target", update, lagging(online, share), "value", "target network")
    half = np.log(2) / -np.log(1 - share)
    left.set_title(f"Half-life: {half:.1f} updates")
    right.set_title(f"A climb is followed {(1 - share) / share:.1f} updates late")
    left.legend(loc="upper right")
    right.legend(loc="upper left")
    return fig


@styled
def comparison(histories: dict[str, History], title: str, ylim: tuple[float, float] = (-1700, 0)) -> Figure:
    """Left: mean return over steps of each arm, with 95 % intervals. Right: the last return of every seed, and the interval of their mean."""
    fig, (left, right) = figure(2, width=10.4)
    for row, ((name, history), quantity) in enumerate(zip(histories.items(), arms(histories))):
        steps, values = history.table("eval_return")
        mean, low, high = mean_interval(values)
        left.fill_between(steps, low, high, color=COLOURS[quantity], alpha=0.18, linewidth=0)
        line(left, name, steps, mean, quantity, name)
        last = np.sort(final_values(history))
        mean, low, high = mean_interval(last)
        right.scatter(last, row + 0.24 + 0.05 * (np.arange(len(last)) % 3), color=COLOURS[quantity], alpha=0.5, s=18, linewidth=0)
        right.plot([low, high], [row, row], color=COLOURS[quantity], lw=7, alpha=0.5, solid_capstyle="butt")
        right.plot([mean], [row], "|", color=STROKES["truth"]["color"], ms=15, mew=2.4)
    left.set(xlabel="environment steps per seed", ylabel="return per episode", ylim=ylim, title=title)
    right.set(xlabel="return after the last step", xlim=ylim, yticks=range(len(histories)), yticklabels=list(histories),
              ylim=(len(histories) - 0.4, -0.6), title="Every seed, and the mean")
    right.xaxis.set_major_locator(MaxNLocator(4))
    right.grid(axis="y", visible=False)
    left.legend(loc="lower right", fontsize=10)
    return fig
