"""One visual language for every figure: the same colour and the same stroke for the same quantity, in every lecture.

Colours are the palette of Okabe and Ito (2008), told apart by colour-blind readers; every quantity also has its own dash pattern, so that
a grey print stays readable. Sizes are chosen for the back of a room: 10 x 4.4 inches a row of panels at 100 dpi, text of 13 points.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
from IPython import get_ipython
from IPython.core.pylabtools import select_figure_formats
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

STROKES: dict[str, dict[str, Any]] = {
    "truth": {"color": "#000000", "ls": "-", "lw": 2.0},         # exact values, references
    "policy": {"color": "#0072B2", "ls": "-", "lw": 2.6},        # pi(a|s), the distribution that acts
    "gaussian": {"color": "#56B4E9", "ls": "-.", "lw": 2.2},     # the Gaussian before squashing
    "printed": {"color": "#D55E00", "ls": "--", "lw": 2.4},      # a formula as a source prints it, when it is wrong
    "pathwise": {"color": "#009E73", "ls": "-", "lw": 2.4},      # reparametrised gradient
    "score": {"color": "#E69F00", "ls": "--", "lw": 2.4},        # score-function gradient
    "value": {"color": "#882255", "ls": "-", "lw": 2.4},         # Q, V, Q-hat
    "return": {"color": "#CC79A7", "ls": "-", "lw": 2.4},        # what an agent collects
    "temperature": {"color": "#999933", "ls": ":", "lw": 2.8},   # alpha
    "sample": {"color": "#BBBBBB", "ls": "-", "lw": 1.0},        # samples, single runs, background
}
COLOURS = {name: stroke["color"] for name, stroke in STROKES.items()}

RC = {
    "font.size": 13, "axes.titlesize": 14, "axes.labelsize": 13, "legend.fontsize": 11.5, "xtick.labelsize": 11.5, "ytick.labelsize": 11.5,
    "font.family": "DejaVu Sans", "axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left", "axes.titleweight": "bold",
    "axes.grid": True, "grid.alpha": 0.25, "grid.linewidth": 0.8, "axes.axisbelow": True, "legend.frameon": False, "figure.dpi": 100,
    "savefig.dpi": 100, "figure.facecolor": "white", "svg.hashsalt": "rlcourse", "axes.labelpad": 4, "lines.solid_capstyle": "round",
}


def apply() -> None:
    """Use the course's style for every figure drawn from here on, and let the notebook show figures that pyplot does not know, as the course's own
    are (called by the import cell of each lecture)."""
    mpl.rcParams.update(RC)
    if (shell := get_ipython()) is not None:
        select_figure_formats(shell, {"png"})


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Decorator of every figure function: draws in the course's style, and leaves the settings of whoever calls it as they were."""
    @functools.wraps(draw)
    def drawn(*args: Any, **kwargs: Any) -> Figure:
        with mpl.rc_context(RC):
            return draw(*args, **kwargs)
    return drawn


def figure(columns: int = 1, width: float = 10.0, height: float = 4.4, **subplots: Any) -> tuple[Figure, Any]:
    """A figure of `columns` panels side by side, `width` x `height` inches in all, on its own Agg canvas.

    No global pyplot state is touched, so figures drawn by sliders never pile up in memory. Returns (figure, axes): one Axes, or an array of them.
    """
    fig = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(fig)
    return fig, fig.subplots(1, columns, **subplots)


def line(ax: Axes, name: str, x: Any, y: Any, quantity: str, label: str | None = None, **style: Any) -> None:
    """Draw a curve, or move the curve of that `name` if this Axes has it already: one function serves page, paper and slider."""
    known = next((artist for artist in ax.lines if artist.get_gid() == name), None)
    if known is None:
        ax.plot(x, y, gid=name, label=label, **{**STROKES[quantity], **style})
    else:
        known.set_data(x, y)
        if label is not None:
            known.set_label(label)


def clear(ax: Axes, *names: str) -> None:
    """Remove the bars, fills and arrows called `names` (kinds of artist that cannot be moved) before they are drawn again."""
    for artist in [a for a in (*ax.collections, *ax.patches, *ax.texts) if a.get_gid() in names]:
        artist.remove()
