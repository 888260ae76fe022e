"""What training gave: every run drawn lightly, what may be claimed of them drawn clearly. Read from a History, live or stored.

Titles are the caller's, since they state the finding; a figure names its axes, their units, and what its intervals are.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from scipy.stats import rankdata

from rlcourse.bootstrap import Profile
from rlcourse.figures.style import COLOURS, STROKES, figure, line, styled
from rlcourse.stats import History, Interval, areas, mean_interval

ARMS = ("policy", "score", "pathwise", "value", "gaussian", "return")  # strokes of algorithms that are compared, in the order they are given


def stored(run: str) -> Path:
    """Folder of a run that comes with the course: config.json (command, versions, seeds) and rows.csv, as `rlcourse train` wrote them."""
    folder = Path(str(files("rlcourse") / "results" / run))
    if not folder.is_dir():
        known = sorted(p.name for p in folder.parent.glob("*") if p.is_dir())
        raise FileNotFoundError(f"no stored run is called {run!r}. There is: {', '.join(known) or 'none'}. "
                                "`rlcourse train ... --out DIR` makes new ones.")
    return folder


def curve(ax: Axes, history: History, metric: str, quantity: str, label: str, level: float = 0.95) -> None:
    """Single runs in grey, the mean over seeds in the quantity's colour, and the `level` interval of that mean as a band."""
    steps, values = history.table(metric)
    for run in values:
        ax.plot(steps, run, **STROKES["sample"])
    mean, low, high = mean_interval(values, level)
    ax.fill_between(steps, low, high, color=COLOURS[quantity], alpha=0.2, linewidth=0)
    line(ax, metric, steps, mean, quantity, f"{label}: mean of {len(values)} seeds, {level:.0%} interval")


@styled
def learning_curve(history: History, title: str, metric: str = "eval_return") -> Figure:
    """Return over environment steps. The axis keeps to the runs: with three seeds the interval may be wider than the picture, and is then cut."""
    fig, ax = figure()
    curve(ax, history, metric, "return", "return of the policy without noise")
    values = history.table(metric)[1]
    margin = 0.15 * (np.ptp(values) + 1e-9)
    ax.set(xlabel="environment steps per seed", ylabel="return per episode (sum of rewards)", title=title,
           ylim=(values.min() - margin, values.max() + margin))
    ax.legend(loc="lower right")
    return fig


@styled
def temperature(history: History, target_entropy: float) -> Figure:
    """Left: temperature. Right: the entropy that it steers, and its target."""
    fig, (left, right) = figure(2)
    curve(left, history, "alpha", "temperature", "α")
    left.set(xlabel="environment steps per seed", ylabel="temperature α (reward per nat)", title="The temperature falls ...", ylim=(0, None))
    curve(right, history, "entropy", "policy", "−log π(a)")
    right.axhline(target_entropy, color=COLOURS["truth"], lw=1.4, ls=":", label=f"target, {target_entropy:g} nats".replace("-", "−"))
    right.set(xlabel="environment steps per seed", ylabel="entropy of the policy (nats)", title="... until the entropy meets its target")
    for ax in (left, right):
        ax.legend(loc="best")
    return fig


def area_percentiles(history: History, metric: str = "eval_return") -> np.ndarray:
    """Percentile of each run's area under the learning curve among all runs, (n,): 0 the worst run, 100 the best, equal areas their mean rank."""
    area = areas(history, metric)
    return 100 * (rankdata(area) - 1) / max(len(area) - 1, 1)


def percentile_colours() -> Colormap:
    """From dark blue (worst run) to ochre (best): the part of cividis that white paper shows, and that colour-blind readers see alike."""
    return ListedColormap(mpl.colormaps["cividis"](np.linspace(0.0, 0.82, 256)), name="percentile")


@styled
def curves_by_percentile(history: History, title: str, metric: str = "eval_return", level: float = 0.95) -> Figure:
    """Every run, coloured by the percentile of its area under the curve, and the mean with its interval: spread and uncertainty kept apart."""
    fig, ax = figure()
    steps, values = history.table(metric)
    percentile, colours = area_percentiles(history, metric), percentile_colours()
    for k in np.argsort(percentile):
        ax.plot(steps, values[k], color=colours(percentile[k] / 100), lw=1.3, alpha=0.75, zorder=2)
    mean, low, high = mean_interval(values, level)
    pink = COLOURS["return"]
    ax.fill_between(steps, low, high, facecolor=mpl.colors.to_rgba(pink, 0.35), edgecolor=pink, linewidth=1, zorder=3)
    line(ax, metric, steps, mean, "return", f"mean of {len(values)} seeds, {level:.0%} interval of the mean", zorder=4,
         path_effects=[Stroke(linewidth=5, foreground="white"), Normal()])
    margin = 0.05 * (np.ptp(values) + 1e-9)
    ax.set(xlabel="environment steps per seed", ylabel="return per episode (sum of rewards)", title=title,
           ylim=(values.min() - margin, values.max() + margin))
    ax.legend(loc="lower right", frameon=True, framealpha=0.85, edgecolor="none")
    fig.colorbar(ScalarMappable(mpl.colors.Normalize(0, 100), colours), ax=ax, pad=0.02, ticks=[0, 25, 50, 75, 100],
                 label="percentile of the run's area")
    return fig


@styled
def performance_profiles(profiles: dict[str, Profile], title: str, band: str, xlabel: str = "score τ (return per episode)") -> Figure:
    """Share of runs above each score, a curve for each algorithm. band: what the shaded bands are, "pointwise 95 %" or "simultaneous 95 %"."""
    fig, ax = figure()
    for (name, profile), quantity in zip(profiles.items(), arms(profiles)):
        ax.fill_between(profile.tau, profile.low, profile.high, color=COLOURS[quantity], alpha=0.12, linewidth=0, step="post")
        for end in (profile.low, profile.high):
            ax.step(profile.tau, end, where="post", color=COLOURS[quantity], lw=0.9, alpha=0.8)
        line(ax, name, profile.tau, profile.share, quantity, name, drawstyle="steps-post")
    ax.set(xlabel=xlabel, ylabel="share of runs with a score above τ", title=title, ylim=(-0.02, 1.02))
    ax.legend(loc="best", title=f"bands: {band}")
    return fig


@styled
def interval_chart(intervals: dict[str, Interval], runs: dict[str, np.ndarray], title: str, xlabel: str) -> Figure:
    """One row for each algorithm: its runs as light dots, its estimate and interval above them. xlabel names statistic, interval and unit.

    runs: the scores (n,) of each algorithm, or {} where there are none to show (differences, probabilities of improvement).
    """
    fig, ax = figure(height=1.5 + 0.62 * len(intervals))
    for row, ((name, interval), quantity) in enumerate(zip(intervals.items(), arms(intervals))):
        scores = np.sort(np.asarray(runs.get(name, []), dtype=np.float64))
        ax.scatter(scores, row + 0.22 + 0.05 * (np.arange(len(scores)) % 3), color=COLOURS[quantity], alpha=0.35, s=24, linewidth=0,
                   gid=f"runs {name}")
        ax.plot([interval.low, interval.high], [row, row], color=COLOURS[quantity], lw=7, alpha=0.5, solid_capstyle="butt", gid=f"interval {name}")
        ax.plot([interval.mean], [row], "|", color=COLOURS["truth"], ms=17, mew=2.6, gid=name)
    ax.set(xlabel=xlabel, title=title, yticks=range(len(intervals)), yticklabels=list(intervals), ylim=(len(intervals) - 0.4, -0.6))
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    return fig


@styled
def bootstrap_histogram(drawn: np.ndarray, interval: Interval, title: str, xlabel: str, level: float = 0.95) -> Figure:
    """What the estimate might have been with other seeds: the distribution over resamples, the estimate, and the middle share `level`."""
    fig, ax = figure()
    heights, edges = np.histogram(drawn, bins=60, density=True)
    centres = (edges[:-1] + edges[1:]) / 2
    inside = (centres >= interval.low) & (centres <= interval.high)
    ax.bar(edges[:-1], heights, np.diff(edges), align="edge", linewidth=0,
           color=[COLOURS["policy"] if within else COLOURS["sample"] for within in inside])
    for end in (interval.low, interval.high):
        ax.axvline(end, **STROKES["policy"], label=f"{level:.0%} interval" if end == interval.low else None)
    ax.axvline(interval.mean, **{**STROKES["truth"], "ls": "--"}, label="estimate from the runs")
    ax.set(xlabel=xlabel, ylabel="density (per unit of the score)", title=title)
    ax.legend(loc="best", title=f"{len(drawn):,} resamples".replace(",", " "))
    return fig


def arms(compared: dict) -> list[str]:
    """Stroke of each compared algorithm, in the order given. Errors: ValueError for more algorithms than a reader tells apart."""
    if len(compared) > len(ARMS):
        raise ValueError(f"{len(compared)} algorithms in one picture: a reader tells {len(ARMS)} apart. Draw several pictures, or leave some out.")
    return list(ARMS[:len(compared)])
