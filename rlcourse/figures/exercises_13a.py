"""Pictures of the questions of 13a's exercises: what is asked, drawn, without the formula that answers it."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure

from rlcourse.equations.distributions import TanhGaussian
from rlcourse.figures.lecture_13a import normal_density
from rlcourse.figures.style import COLOURS, figure, line, styled

CUBIC = (0.2, -0.5, 0.5, 0.3)  # c0, c1, c2, c3 of the critic in 13.6
NOISE = (-1.6, -0.7, 0.2, 1.3)  # the draws in the picture of 13.2


@styled
def one_probability(mu: float = 0.5, sigma: float = 0.7, low: float = 0.9, high: float = 1.4) -> Figure:
    """13.1: a strip under the density of u, and the same probability under the density of a = tanh u, on a narrower strip."""
    u = np.linspace(-4.0, 5.0, 1201)
    gaussian, squashed = normal_density(u, mu, sigma), _squashed(u, mu, sigma)
    fig, (left, right) = figure(2)
    inside = (u >= low) & (u <= high)
    share = float(np.trapezoid(gaussian[inside], u[inside]))
    for ax, x, density, quantity in ((left, u, gaussian, "gaussian"), (right, np.tanh(u), squashed, "policy")):
        line(ax, "density", x, density, quantity)
        ax.fill_between(x[inside], density[inside], color=COLOURS["score"], alpha=0.55, linewidth=0)
        ax.set(ylabel="probability density", ylim=(0, 1.55))
        middle = int(np.flatnonzero(inside).mean())
        ax.annotate(f"probability {share:.2f}", (x[middle], density[middle] / 2), xytext=(0.03, 0.6), textcoords="axes fraction",
                    arrowprops={"arrowstyle": "-", "color": COLOURS["truth"]})
        ax.text(0.03, 0.9, "area under the curve: 1", transform=ax.transAxes)
    left.set(xlabel="u, before squashing", title=f"A strip of width {high - low:.2f}", xlim=(-2.5, 3.5))
    right.set(xlabel="a = tanh u, the action", title=f"Squashed to {np.tanh(high) - np.tanh(low):.2f}: how high?", xlim=(-1.05, 1.05),
              xticks=[-1, -0.5, 0, 0.5, 1])
    return fig


def _squashed(u: np.ndarray, mu: float, sigma: float) -> np.ndarray:
    mean, std = torch.tensor([mu], dtype=torch.float64), torch.tensor([sigma], dtype=torch.float64)
    return TanhGaussian(mean, std).log_prob_from_pre_tanh(torch.from_numpy(u)[:, None]).exp().numpy()


@styled
def moved_samples(mu: float = 0.2, sigma: float = 0.6, step: float = 0.35) -> Figure:
    """13.2: where four samples mu + sigma eps go on the graph of Q when mu grows, and when sigma grows, with the same noise."""
    eps, a = np.array(NOISE), np.linspace(-1.8, 2.4, 421)
    before = mu + sigma * eps
    fig, axes = figure(2, sharey=True)
    for ax, moved, title in ((axes[0], before + step, "μ grows: where does each sample go?"), (axes[1], before + step * eps, "σ grows: and now?")):
        line(ax, "q", a, _hill(a), "value", "Q(a)")
        ax.plot(before, _hill(before), "o", color=COLOURS["truth"], ms=8, label="Q at a = μ + σε", zorder=3)
        ax.plot(moved, _hill(moved), "o", color="white", markeredgecolor=COLOURS["pathwise"], markeredgewidth=2.4, ms=8, zorder=4,
                label="the same ε, new parameters")
        for start, end in zip(before, moved):
            ax.annotate("", (end, _hill(start)), (start, _hill(start)), arrowprops={"arrowstyle": "->", "color": COLOURS["pathwise"], "lw": 2.0})
            ax.plot([end, end], [_hill(start), _hill(end)], ":", color=COLOURS["pathwise"], lw=1.6)
        ax.set(xlabel="action a", xlim=(-1.8, 2.4), title=title)
    axes[0].set(ylabel="Q(a)")
    axes[1].legend(loc="lower right")
    return fig


def _hill(a: np.ndarray) -> np.ndarray:
    return np.sin(1.6 * a) - 0.25 * (a - 1.0) ** 2


@styled
def policies_on_a_critic(k: float = 0.8, sigma: float = 0.6, states: tuple[float, ...] = (-1.0, 0.5, 1.5)) -> Figure:
    """13.6: the critic and the policy in three states, Q at the mean action, and the average of Q over the policy's actions."""
    a = np.linspace(-2.6, 2.9, 401)
    nodes, weights = np.polynomial.hermite_e.hermegauss(6)
    fig, axes = figure(len(states), sharey=True)
    for ax, s in zip(axes, states):
        mean = float(_cubic(s, k * s + sigma * nodes) @ weights / weights.sum())
        line(ax, "q", a, _cubic(s, a), "value", "critic Q(s, a)")
        line(ax, "pi", a, 2 * normal_density(a, k * s, sigma) - 3, "gaussian", "policy π(a|s), not to scale")
        ax.plot([k * s], [_cubic(s, k * s)], "o", ms=9, color="white", markeredgecolor=COLOURS["truth"], markeredgewidth=2,
                label="Q at the mean action")
        ax.plot([k * s], [mean], "o", ms=9, color=COLOURS["truth"], label="Q averaged over π")
        ax.set(xlabel="action a", xlim=(-2.6, 2.9), ylim=(-3, 4), title=f"state s = {s:g}")
    axes[0].set(ylabel="value")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


def _cubic(s: float, a: np.ndarray | float) -> np.ndarray:
    c0, c1, c2, c3 = CUBIC
    return c0 + c1 * s * a + c2 * np.square(a) + c3 * np.power(a, 3)
