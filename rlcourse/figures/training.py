"""Learning curves: single runs in grey, their mean and its interval in colour. Read from a History, live or stored."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rlcourse.figures.style import COLOURS, STROKES, figure, line, styled
from rlcourse.stats import History, mean_interval


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
