"""Figures of lecture 09a: the slope of a return in closed form, a critic's landscape with an actor in it, and the weights of time.

Arrays first, each from a closed form, then the figures. A figure that belongs to a slider moves its artists when it is called again with `fig=`.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rlcourse.figures.style import COLOURS, clear, figure, line, styled

Array = np.ndarray
SYSTEM = {"A": 1.0, "B": 0.5, "q": 1.0, "c": 0.5}     # s' = A s + B a, costs q s² + c a², from s_0 = 1


# ── arrays ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def lq_return(k: Array | float, gamma: float) -> Array | float:
    """J(k) = −(q + c k²)/(1 − γF²), F = A − Bk: the return of the actor a = −ks from s = 1 [09.3]. Needs γF² < 1."""
    F = SYSTEM["A"] - SYSTEM["B"] * k
    return -(SYSTEM["q"] + SYSTEM["c"] * k**2) / (1 - gamma * F**2)


def lq_slopes(k: Array | float, gamma: float) -> dict[str, Array | float]:
    """The slope of J in k three ways: finite difference; the theorem, action slopes with Q held fixed, weights γ^t; the full derivative of
    Q(s, −ks) with the same weights, which is 1/(1 − γF²) times as large."""
    F = SYSTEM["A"] - SYSTEM["B"] * k
    p = (SYSTEM["q"] + SYSTEM["c"] * k**2) / (1 - gamma * F**2)
    dpg = -2 * (SYSTEM["c"] * k - gamma * p * SYSTEM["B"] * F) / (1 - gamma * F**2)
    return {"difference": (lq_return(k + 1e-5, gamma) - lq_return(k - 1e-5, gamma)) / 2e-5, "dpg": dpg, "full": dpg / (1 - gamma * F**2)}


def ascent(which: str, start: float, step_size: float, steps: int, gamma: float) -> Array:
    """Gains k of gradient ascent with one of the slopes, (steps + 1,); nan from where γF² < 1 no longer holds."""
    path = [start]
    for _ in range(steps):
        k = path[-1] + step_size * float(lq_slopes(path[-1], gamma)[which])
        path.append(k if gamma * (SYSTEM["A"] - SYSTEM["B"] * k) ** 2 < 1 else np.nan)
    return np.array(path)


def landscape(s: Array, a: Array) -> tuple[Array, Array]:
    """A critic Q(s, a) = −½ (a − sin 2s)², whose ridge a linear actor cannot follow, and its slope in the action."""
    gap = a - np.sin(2 * s)
    return -0.5 * gap**2, -gap


def time_weights(gamma: float, n: int) -> tuple[Array, Array]:
    """Probabilities of t = 0 ... n − 1: truncated geometric, γ^t (1 − γ)/(1 − γ^n), and uniform, as replay has them."""
    powers = gamma ** np.arange(n)
    return powers / powers.sum(), np.full(n, 1 / n)


# ── figures ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
@styled
def two_ascents(start: float = 0.2, step_size: float = 0.06, gamma: float = 0.9, steps: int = 14) -> Figure:
    """Left: the return over the gain, and two tangents that autograd may mean. Right: gradient ascent with each of them, the same step size."""
    fig, (left, right) = figure(2)
    k, slopes = np.linspace(0.02, 3.0, 300), lq_slopes(start, gamma)
    line(left, "J", k, lq_return(k, gamma), "return", "return J(k)")
    for which, quantity, label in (("full", "printed", "Q moves as well"), ("dpg", "pathwise", "Q held fixed")):
        path, run = ascent(which, start, step_size, steps, gamma), np.array([-0.06, 0.7])
        line(left, which, start + run, lq_return(start, gamma) + slopes[which] * run, quantity, f"slope, {label}")
        line(right, which, np.arange(steps + 1), path, quantity, label, marker="o", ms=6)
    left.plot([start], [lq_return(start, gamma)], "o", color=COLOURS["truth"], ms=9, zorder=5)
    best = k[np.argmax(lq_return(k, gamma))]
    line(right, "best", [0, steps], [best, best], "truth", f"best gain, {best:.2f}", lw=1.4, ls=":")
    left.set(xlabel="gain k of the actor a = −ks", ylabel="return from s = 1 (negative cost)", ylim=(-6.2, -0.8), xlim=(0, 3),
             title="Two slopes of one return")
    right.set(xlabel="gradient step", ylabel="gain k", ylim=(0, 3.4), title="One climbs, one jumps past the top")
    left.legend(loc="lower center")
    right.legend(loc="upper right")
    return fig


@styled
def lq_gradients(k: float = 0.5, gamma: float = 0.9, fig: Figure | None = None) -> Figure:
    """Left: J(k) with the tangents of the theorem and of the full derivative. Right: three slopes over k, with their values here."""
    if fig is None:
        fig, (left, right) = figure(2)
        left.set(xlabel="gain k of the actor a = −ks", ylabel="return J(k)", xlim=(0, 3), ylim=(-8.2, 0))
        right.set(xlabel="gain k", ylabel="slope of the return (per unit of k)", xlim=(0, 3), ylim=(-6, 14))
    left, right = fig.axes
    gains, here, at = np.linspace(0.06, 3.0, 200), lq_slopes(k, gamma), float(lq_return(k, gamma))
    curves = lq_slopes(gains, gamma)
    line(left, "J", gains, lq_return(gains, gamma), "return", "J(k)")
    clear(left, "arrow")
    for which, quantity in (("full", "printed"), ("dpg", "pathwise"), ("difference", "truth")):
        ahead = np.sign(here[which]) * min(0.5, 2.5 / max(abs(here[which]), 1e-9))
        left.annotate("", (k + ahead, at + ahead * here[which]), (k, at), gid="arrow",
                      arrowprops={"arrowstyle": "-|>", "color": COLOURS[quantity], "lw": 1.3 if which == "difference" else 3.2,
                                  "shrinkA": 0, "shrinkB": 0, "mutation_scale": 12 if which == "difference" else 22})
    line(left, "here", [k], [at], "truth", marker="o", ms=8)
    labels = {"full": "full derivative", "dpg": "DPG, Q held fixed", "difference": "finite difference"}
    for which, quantity, width in (("full", "printed", 2.4), ("dpg", "pathwise", 5.0), ("difference", "truth", 1.2)):
        line(right, which, gains, curves[which], quantity, f"{labels[which]}: {here[which]:+.2f}", lw=width)
    line(right, "k", [k, k], [-6, 14], "sample", "_k", lw=1.2, ls=":")
    ratio = 1 / (1 - gamma * (SYSTEM["A"] - SYSTEM["B"] * k) ** 2)
    left.set_title(f"J({k:.2f}) = {at:.2f}")
    right.set_title(f"Full derivative: {ratio:.2f} × the slope")
    left.legend(loc="lower right")
    right.legend(loc="upper right")
    return fig


@styled
def q_landscape(theta: float = 0.3, sigma: float = 0.2, fig: Figure | None = None) -> Figure:
    """Left: Q over state and action, the actor a = θs, what it executes with noise, and ∂Q/∂a at its own actions. Right: what each state says."""
    s = np.linspace(-1.5, 1.5, 13)
    if fig is None:
        fig, (left, right) = figure(2)
        S, A = np.meshgrid(np.linspace(-1.6, 1.6, 81), np.linspace(-2, 2, 81))
        filled = left.contourf(S, A, landscape(S, A)[0], levels=12, cmap="cividis")
        fig.colorbar(filled, ax=left, label="Q(s, a)")
        left.set(xlabel="state s", ylabel="action a", xlim=(-1.6, 1.6), ylim=(-2, 2))
        right.set(xlabel="state s", ylabel="∂a/∂θ · ∂Q/∂a, that is s · ∂Q/∂a", xlim=(-1.6, 1.6), ylim=(-4.5, 2.5))
    left, right = fig.axes[:2]
    mu, noise = theta * s, np.random.default_rng(0).standard_normal((6, 13))
    slope = landscape(s, mu)[1]
    told = s * slope
    executed = np.clip(mu + sigma * noise, -2, 2).ravel()
    line(left, "executed", np.tile(s, 6), executed, "sample", "executed: clip(μ + σε)", ls="", marker=".", ms=5, color="#222222")
    line(left, "mu", s, mu, "policy", "actor μ(s) = θs")
    clear(left, "slope")
    left.quiver(s, mu, 0 * s, slope, color=COLOURS["pathwise"], edgecolor="white", linewidth=0.8, angles="xy", scale_units="xy", scale=1.6,
                width=0.014, zorder=4, gid="slope")
    line(right, "told", s, told, "pathwise", "chain rule, state by state", marker="o", ms=6)
    line(right, "mean", [-1.6, 1.6], [told.mean()] * 2, "truth", f"mean, the slope in θ: {told.mean():+.2f}", lw=1.6, ls="--")
    left.set_title(f"σ = {sigma:.2f}: noise moves the data")
    right.set_title("The slope is taken at μ: " + ("raise θ" if told.mean() > 0.005 else "lower θ" if told.mean() < -0.005 else "θ is best"))
    left.legend(loc="lower right", frameon=True, framealpha=0.85, edgecolor="none")
    right.legend(loc="lower center")
    return fig


@styled
def discount_weights(gamma: float = 0.9, n: int = 40, fig: Figure | None = None) -> Figure:
    """Left: probability of each time by γ^t and by uniform replay. Right: how much of the weight lies before each time."""
    if fig is None:
        fig, (left, right) = figure(2)
        left.set(xlabel="time t in the episode (steps)", ylabel="probability of t")
        right.set(xlabel="first steps of the episode", ylabel="share of the weight on them", ylim=(0, 1.05))
    left, right = fig.axes
    t, (discounted, uniform) = np.arange(n), time_weights(gamma, n)
    line(left, "w", t, discounted, "pathwise", "the theorem: γ^t, truncated", marker="o", ms=4)
    line(left, "u", t, uniform, "sample", "replay: all alike", lw=2.4, color="#777777")
    for name, weights, quantity, style in (("w", discounted, "pathwise", {}), ("u", uniform, "sample", {"lw": 2.4, "color": "#777777"})):
        line(right, name, np.arange(n + 1), np.append(0, weights.cumsum()), quantity, {"w": "γ^t", "u": "replay"}[name], **style)
    half = int(np.searchsorted(discounted.cumsum(), 0.5 - 1e-12)) + 1
    left.set(xlim=(-0.5, n - 0.5), ylim=(0, 1.15 * max(discounted[0], 2 / n)), title=f"P(t = 0) = {discounted[0]:.3f}, replay {1 / n:.3f}")
    right.set(xlim=(0, n), title=f"Half of it on {half} of {n} steps")
    left.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    left.legend(loc="upper right")
    right.legend(loc="lower right")
    return fig
