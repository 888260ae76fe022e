"""Figures of lecture 03: parameters -> arrays -> Figure, without state. The world in them is the corridor of rlcourse/figures/corridor.py.

Colours of the estimators, the same in every figure: ochre is the score times the full return, pink reward-to-go, blue what also subtracts the mean of
the other episodes, wine what subtracts V. Vermilion is a formula as a source prints it, where that is wrong.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rlcourse.bootstrap import bootstrap_interval
from rlcourse.equations import policy_gradient as eq
from rlcourse.figures import corridor
from rlcourse.figures.style import COLOURS, STROKES, clear, figure, line, styled
from rlcourse.figures.training import stored
from rlcourse.stats import History, areas, mean_interval

Array = np.ndarray
QUANTITY = dict(zip(corridor.ESTIMATORS, ("score", "return", "policy", "value")))
ARMS = {"full return, no baseline": ("return-none", "score"), "reward-to-go, no baseline": ("to-go-none", "return"),
        "full return, leave-one-out": ("return-leave-one-out", "gaussian"), "reward-to-go, leave-one-out": ("to-go-leave-one-out", "policy"),
        "reward-to-go, fitted V": ("to-go-value", "value")}
BANDIT = np.array([0.0, 0.5, 1.0])          # what three actions pay, before the offset


# ── arrays ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def bandit_runs(offset: float, lr: float, baseline: bool, runs: int = 200, updates: int = 100) -> Array:
    """Chance of the best of three actions over `updates` steps of REINFORCE, one sample each: (updates + 1, runs). Baseline: Σ_a π(a) r(a)."""
    rng, theta, pays, chances = np.random.default_rng(0), np.zeros((runs, 3)), BANDIT + offset, []
    for _ in range(updates + 1):
        pi = np.exp(theta - theta.max(-1, keepdims=True))
        pi /= pi.sum(-1, keepdims=True)
        chances.append(pi[:, 2])
        a = (rng.random(runs)[:, None] > pi.cumsum(-1)[:, :2]).sum(-1)
        weight = pays[a] - (pi @ pays if baseline else 0.0)
        theta = theta + lr * weight[:, None] * (np.eye(3)[a] - pi)
    return np.array(chances)


def bandit_steps(offset: float, lr: float, baseline: bool) -> Array:
    """By how much one update changes the chance of the action that was tried, for each of the three actions, from a uniform policy: (3,)."""
    pays = BANDIT + offset
    theta = lr * (pays - (pays.mean() if baseline else 0.0))[:, None] * (np.eye(3) - 1 / 3)
    pi = np.exp(theta) / np.exp(theta).sum(-1, keepdims=True)
    return np.diag(pi) - 1 / 3


# ── figures ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
@styled
def cloud(N: int = 10, T: int = 10, batches: int = 600) -> Figure:
    """The first picture: estimates of one gradient from the same episodes, as steps on the map: uphill to the right."""
    exact = corridor.gradient(np.zeros(corridor.CELLS), T)
    every = {name: corridor.estimates(name, N, T, batches) for name in (corridor.ESTIMATORS[0], corridor.ESTIMATORS[2])}
    along = exact / np.linalg.norm(exact)
    across = every[corridor.ESTIMATORS[0]] @ (np.eye(corridor.CELLS) - np.outer(along, along))
    sideways = np.linalg.svd(across - across.mean(0), full_matrices=False)[2][0]
    fig, panels = figure(2, sharex=True, sharey=True)
    for ax, (name, g), said in zip(panels, every.items(), ("REINFORCE as it is", "Same mean, less noise")):
        up, side = corridor.uphill(g, T), g @ sideways / np.linalg.norm(exact)
        ax.axvspan(-12, 0, color=COLOURS["printed"], alpha=0.10, linewidth=0)
        ax.plot(up, side, "o", ms=4, color=COLOURS[QUANTITY[name]], alpha=0.45, mew=0)
        ax.plot([1], [0], "*", ms=19, color=COLOURS["truth"], mec="white")
        ax.set(xlabel="step uphill (true gradient = 1)", xlim=(-12, 14), ylim=(-14, 14), title=f"{said}: {100 * (up < 0).mean():.0f} % downhill")
    panels[0].set_ylabel("step sideways (same unit)")
    panels[0].annotate("downhill", (-11.6, 12.4), color=COLOURS["printed"], fontsize=12)
    panels[0].annotate("the truth", (1, 0), xytext=(6.2, 10.2), arrowprops={"arrowstyle": "-", "color": "black"}, fontsize=12,
                       bbox={"boxstyle": "round,pad=0.2", "fc": "white", "ec": "none"})
    return fig


@styled
def estimators(N: int = 10, T: int = 10, fig: Figure | None = None) -> Figure:
    """Violins of four estimators of the same gradient, from batches of N episodes of T steps: what lies below 0 leads downhill."""
    if fig is None:
        fig, ax = figure()
        ax.axhspan(-100, 0, color=COLOURS["printed"], alpha=0.10, linewidth=0)
        ax.axhline(1, **{**STROKES["truth"], "lw": 1.4})
        ax.set(ylabel="step uphill (true gradient = 1)", xlabel="estimator", xlim=(-0.6, 3.6))
    ax = fig.axes[0]
    clear(ax, "violin", "text")
    found = {name: corridor.uphill(corridor.estimates(name, N, T, 400), T) for name in corridor.ESTIMATORS}
    top = float(np.ceil(max(4.0, 1.15 * np.abs(np.quantile(found[corridor.ESTIMATORS[0]] - 1, [0.004, 0.996])).max())))
    for i, (name, up) in enumerate(found.items()):
        _violin(ax, i, np.clip(up, 1 - top, 1 + top), COLOURS[QUANTITY[name]])
        ax.text(i + 0.07, 1 + 0.97 * top, f"std {up.std():.2f}\n{100 * (up < 0).mean():.0f} % downhill", va="top", fontsize=11.5, gid="text")
    ratio = found[corridor.ESTIMATORS[0]].var() / found[corridor.ESTIMATORS[2]].var()
    names = ("full return", "reward-to-go", "to go − mean\nof the others", "to go − V(s),\nexact")
    ax.set(ylim=(1 - top, 1 + top), xticks=range(4), xticklabels=names,
           title=f"One mean, four variances: two subtractions divide it by {ratio:.0f}")
    return fig


def _violin(ax: Axes, x: float, sample: Array, colour: str) -> None:
    """A smoothed histogram of the sample, mirrored, its widest place 0.8 wide."""
    margin = 0.05 * np.ptp(sample) + 1e-9
    counts, edges = np.histogram(sample, bins=40, range=(sample.min() - margin, sample.max() + margin))
    width = np.convolve(counts, np.exp(-0.5 * (np.arange(-6, 7) / 2) ** 2), mode="same")
    width *= 0.4 / width.max()
    ax.fill_betweenx((edges[1:] + edges[:-1]) / 2, x - width, x + width, color=colour, alpha=0.75, linewidth=1.2, gid="violin")


@styled
def baseline_parabola(b: float = 2.0, cell: int = 3, fig: Figure | None = None) -> Figure:
    """Left: variance over the constant b, with its lowest point. Right: the estimate's distribution at this b; its mean stays."""
    p, scores, returns = corridor.every_episode()
    g, J = scores[:, cell], float(p @ returns)
    best = float(eq.optimal_baseline(scores, returns, p)[cell])
    grid, (m2, m1, m0), mean = np.linspace(0, 12, 121), (p @ (g[:, None] ** 2 * returns[:, None] ** np.arange(3)))[::-1], float(p @ (g * returns))
    spread = m0 * grid**2 - 2 * m1 * grid + m2 - mean**2
    here = float(m0 * b**2 - 2 * m1 * b + m2 - mean**2)
    if fig is None:
        fig, (left, right) = figure(2)
        left.set(xlabel="baseline b (units of return)", ylabel="variance of one estimate", xlim=(0, 12), ylim=(-1, 28))
        right.set(xlabel="g (R − b), one coordinate, one episode", ylabel="probability", xlim=(-15, 15), ylim=(0, 0.9))
    left, right = fig.axes
    line(left, "variance", grid, spread, "score", "Var[g (R − b)]")
    line(left, "mean", [J, J], [-1, 28], "return", f"mean return {J:.2f}", lw=1.6, ls=":")
    line(left, "best", [best], [float(np.interp(best, grid, spread))], "truth", f"b* = {best:.2f}", marker="v", ms=10, ls="")
    line(left, "here", [b], [here], "policy", f"here: {here:.2f}", marker="o", ms=10, ls="")
    counts, edges = np.histogram(np.clip(g * (returns - b), -15, 15), bins=np.linspace(-15.375, 15.375, 42), weights=p)
    line(right, "chances", edges[:-1], counts, "score", drawstyle="steps-post", ls="-")
    line(right, "mean", [mean, mean], [0, 0.9], "truth", f"mean {mean:.3f}, at every b", lw=1.6)
    left.set_title(f"b* beats the mean return by {_variance_ratio(p, g, returns, J, best)}")
    right.set_title("Its mean stays, its spread moves")
    left.legend(loc="upper right")
    right.legend(loc="upper left")
    return fig


def _variance_ratio(p: Array, g: Array, R: Array, b: float, best: float) -> str:
    at_mean, at_best = (p @ (g * (R - x)) ** 2 - (p @ (g * R)) ** 2 for x in (b, best))
    return f"{at_mean / at_best:.1f} ×"


@styled
def all_positive(offset: float = 3.0, lr: float = 0.3, fig: Figure | None = None) -> Figure:
    """Left: one update from one tried action. Right: 200 runs of them. Both with and without a baseline."""
    if fig is None:
        fig, (left, right) = figure(2)
        left.set(xlabel="the action that was tried", ylabel="change of its own probability", xticks=range(3), ylim=(-0.5, 0.75))
        left.axhline(0, color="black", lw=0.8)
        right.set(xlabel="updates, one sample each", ylabel="π(best action)", xlim=(0, 100), ylim=(0, 1.02))
    left, right = fig.axes
    clear(left, "bars")
    lost = {}
    for shift, baseline, quantity, label in ((-0.2, False, "score", "weighed by r"), (0.2, True, "policy", "by r − mean of r")):
        left.bar(np.arange(3) + shift, bandit_steps(offset, lr, baseline), 0.36, color=COLOURS[quantity], gid="bars")
        runs = bandit_runs(offset, lr, baseline)
        lost[baseline] = int((runs[-1] < 0.1).sum())
        line(right, f"mean {baseline}", np.arange(len(runs)), runs.mean(1), quantity, f"{label}: mean of 200 runs")
        for q in (0.1, 0.9):
            line(right, f"{q} {baseline}", np.arange(len(runs)), np.quantile(runs, q, axis=1), quantity, lw=0.9)
    left.set_xticklabels([f"pays {r + offset:.1f}" for r in BANDIT])
    up = int((bandit_steps(offset, lr, False) > 1e-12).sum())
    left.set_title(f"Without a baseline {up} of 3 go up")
    right.set_title(f"Stuck: {lost[False]} of 200; with a baseline {lost[True]}")
    right.legend(loc="lower right")
    return fig


@styled
def in_batch_factor(sizes: tuple[int, ...] = (2, 3, 4, 6, 8, 12, 16, 32)) -> Figure:
    """Mean estimate over the true gradient, by batch size: 1 − 1/N with the mean of the batch, 1 with that of the others."""
    found, fig_ax = corridor.in_batch_shares(sizes), figure()
    fig, ax = fig_ax
    N = np.linspace(2, 32, 200)
    line(ax, "theory", N, 1 - 1 / N, "truth", "1 − 1/N, derived above", lw=1.4)
    ax.axhline(1, color=COLOURS["sample"], lw=1.2)
    for name, quantity, label, shift in (("batch", "printed", "mean of the batch", 0.0), ("others", "policy", "mean of the others", 0.0)):
        mean, low, high = mean_interval(found[name])
        ax.errorbar(np.array(sizes) + shift, mean, [mean - low, high - mean], fmt="o", ms=7, color=COLOURS[quantity], capsize=4,
                    label=f"{label}: mean and 95 % interval, 10 seeds")
    ax.set(xlabel="episodes in the batch, N", ylabel="mean estimate ÷ gradient", ylim=(0.4, 1.12), xlim=(1, 33),
           title=f"At N = 2 the batch mean costs {100 * (1 - found['batch'][:, 0].mean()):.0f} % of the gradient")
    ax.legend(loc="lower right")
    return fig


@styled
def noise_against_batch(sizes: tuple[int, ...] = (2, 5, 10, 30, 100, 300)) -> Figure:
    """Left: signal-to-noise ratio over batch size. Right: share of steps that lead downhill. Mean and 95 % interval of ten seeds."""
    fig, (left, right) = figure(2)
    reach = {}
    for name, (ratio, down) in corridor.signal_to_noise(sizes).items():
        for ax, values in ((left, ratio), (right, 100 * down)):
            mean, low, high = mean_interval(values)
            ax.fill_between(sizes, low, high, color=COLOURS[QUANTITY[name]], alpha=0.25, linewidth=0)
            line(ax, name, sizes, mean, QUANTITY[name], name, marker="o", ms=4)
        reach[name] = 10 / float((ratio.mean(0) / np.array(sizes))[2:].mean())
    left.axhline(10, color=COLOURS["truth"], lw=1.0, ls=":")
    left.set(xscale="log", yscale="log", xlabel="episodes in the batch, N", ylabel="signal ÷ noise, |∇J|² / Σ Var", ylim=(2e-4, 200),
             title=f"For ratio 10: {_round(reach[corridor.ESTIMATORS[0]])} episodes, or {_round(reach[corridor.ESTIMATORS[2]])}")
    right.set(xscale="log", xlabel="episodes in the batch, N", ylabel="steps that lead downhill (%)", ylim=(-2, 52),
              title="Noise of this size points anywhere")
    left.legend(loc="lower right", fontsize=9.5)
    return fig


def _round(x: float) -> str:
    """Two significant digits."""
    return f"{float(f'{x:.1e}'):,.0f}"


@styled
def step_sizes() -> Figure:
    """J after 60 updates over the step size, for rewards as they are and ten times as large: plain ascent and Adam."""
    fig, panels = figure(2, sharey=True)
    best = corridor.expected_return(np.full(corridor.CELLS, 20.0), 10)
    for ax, adam, sizes in ((panels[0], False, np.geomspace(0.003, 30, 11)), (panels[1], True, np.geomspace(0.003, 30, 11))):
        for scale, quantity in ((1.0, "policy"), (10.0, "score")):
            mean, low, high = mean_interval(corridor.ascents(sizes, scale, adam))
            ax.fill_between(sizes, low, high, color=COLOURS[quantity], alpha=0.2, linewidth=0)
            line(ax, f"{scale}", sizes, mean, quantity, f"rewards × {scale:.0f}", marker="o", ms=4)
        ax.axhline(best, color=COLOURS["truth"], lw=1.2, ls=":", label="always right: the best policy")
        ax.set(xscale="log", xlabel="step size", title="Adam does not notice the unit" if adam else "Plain ascent: rewards × 10, step ÷ 10")
    panels[0].set_ylabel("J after 60 updates (reward)")
    panels[1].legend(loc="lower right")
    return fig


@styled
def stale_batch() -> Figure:
    """J over the number of steps, mean and 95 % interval of 20 seeds: fresh batches, and one batch used again and again."""
    fig, ax = figure()
    curves, best = corridor.reused(), corridor.expected_return(np.full(corridor.CELLS, 20.0), 10)
    for (name, J), quantity in zip(curves.items(), ("policy", "printed")):
        mean, low, high = mean_interval(J)
        ax.fill_between(range(J.shape[1]), low, high, color=COLOURS[quantity], alpha=0.2, linewidth=0)
        line(ax, name, range(J.shape[1]), mean, quantity, name)
    ax.axhline(best, color=COLOURS["truth"], lw=1.2, ls=":", label="always right: the best policy")
    gap = [J[:, -1].mean() for J in curves.values()]
    ax.set(xlabel="steps of gradient ascent", ylabel="J, expected return (reward)",
           title=f"Ten episodes, used again and again, end at {gap[1]:.1f}; fresh ones at {gap[0]:.1f}")
    ax.legend(loc="lower right")
    return fig


@styled
def learning_curves() -> Figure:
    """Left: the stored runs on CartPole, mean and 95 % interval of ten seeds. Right: areas under the curves."""
    fig, (left, right) = figure(2, gridspec_kw={"width_ratios": [1.35, 1]})
    for row, (label, (run, quantity)) in enumerate(ARMS.items()):
        history = History.from_csv(stored(f"reinforce-CartPole-{run}") / "rows.csv")
        steps, values = history.table("eval_return")
        mean, low, high = mean_interval(values)
        left.fill_between(steps, low, high, color=COLOURS[quantity], alpha=0.13, linewidth=0)
        line(left, run, steps, mean, quantity, label)
        area = areas(history)
        mean, low, high = bootstrap_interval(area, np.random.default_rng(0), statistic=np.mean)
        right.plot([low, high], [row, row], color=COLOURS[quantity], lw=8, alpha=0.5, solid_capstyle="butt")
        right.plot(area, np.full(len(area), row + 0.27), ".", color=COLOURS[quantity], alpha=0.6)
        right.plot([mean], [row], "|", color=COLOURS["truth"], ms=16, mew=2.4)
    left.set(xlabel="environment steps per seed", ylabel="return without noise, 500 at most", ylim=(0, 760), xlim=(0, 20_500),
             xticks=range(0, 20_001, 5_000), yticks=range(0, 501, 100), title="Either subtraction helps, both most")
    right.set(xlabel="mean return over the whole run", ylim=(4.6, -0.5), yticks=range(5), yticklabels=[name.replace(", ", ",\n") for name in ARMS],
              title="Area under each curve")
    right.grid(axis="y", visible=False)
    left.legend(loc="upper left", fontsize=10)
    return fig
