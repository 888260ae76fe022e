"""Figures of lecture 13a: parameters -> arrays -> Figure, without state.

Each `draw`-like function returns a Figure; called again with that figure (`fig=`) it moves the artists instead of making new ones, which is
what keeps the sliders fluent. The numbers in the figures come from the package (`rlcourse.equations`), not from a second copy of the formula.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.optimize import minimize_scalar

from rlcourse.equations.distributions import DiagonalGaussian, TanhGaussian, tanh_log_det
from rlcourse.figures.style import COLOURS, clear, figure, line, styled

Array = np.ndarray
FORMULAS = ("÷ (1 − tanh²a), as printed", "no correction", "÷ (1 − a²), correct")
Q_SHAPES = ("smooth", "kink", "step")


# ── arrays ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def gaussian_nodes(count: int = 2001, width: float = 12.0) -> tuple[Array, Array]:
    """Nodes ε and weights w with Σ w g(ε) ≈ E[g(ε)], ε ~ N(0, 1): the trapezoid rule, which converges geometrically for smooth g."""
    eps = np.linspace(-width, width, count)
    weights = np.exp(-0.5 * eps**2)
    return eps, weights / weights.sum()


def log_correction(u: Array, formula: str) -> Array:
    """What log N(u) is reduced by to give log π(a), a = tanh u, in the three versions that the lecture compares."""
    printed, none, _ = FORMULAS
    if formula == printed:
        return tanh_log_det(torch.from_numpy(np.tanh(u))[:, None]).numpy()
    return np.zeros_like(u) if formula == none else tanh_log_det(torch.from_numpy(u)[:, None]).numpy()


def squashed_densities(mu: float, sigma: float, formula: str, points: int = 501) -> dict[str, Array | float]:
    """Densities of u ~ N(mu, sigma²) and of a = tanh u, with what `formula` makes of the second and its integral over (−1, 1)."""
    u, pre_tanh = np.linspace(-5.0, 5.0, points), np.linspace(-7.0, 7.0, points)
    mean, std = torch.tensor([mu], dtype=torch.float64), torch.tensor([sigma], dtype=torch.float64)
    before = DiagonalGaussian(mean, std)
    gaussian = before.log_prob(torch.from_numpy(u)[:, None]).exp().numpy()
    exact = TanhGaussian(mean, std).log_prob_from_pre_tanh(torch.from_numpy(pre_tanh)[:, None]).exp().numpy()
    claimed = np.exp(before.log_prob(torch.from_numpy(pre_tanh)[:, None]).numpy() - log_correction(pre_tanh, formula))
    eps, weights = gaussian_nodes()
    nodes = mu + sigma * eps
    integral = float(weights @ np.exp(log_correction(nodes, FORMULAS[2]) - log_correction(nodes, formula)))
    return {"u": u, "a": np.tanh(pre_tanh), "gaussian": gaussian, "exact": exact, "claimed": claimed, "integral": integral,
            "entropy": squashed_entropy(mu, sigma), "gaussian_entropy": gaussian_entropy(sigma)}


def gaussian_entropy(sigma: float) -> float:
    """H[N(mu, sigma²)] = ½ log(2πe sigma²) in nats."""
    return float(0.5 * np.log(2 * np.pi * np.e * sigma**2))


def squashed_entropy(mu: float, sigma: float) -> float:
    """H[tanh(u)] = H[N] + E[log(1 − tanh²u)] in nats, by quadrature [13.7]."""
    eps, weights = gaussian_nodes()
    return gaussian_entropy(sigma) + float(weights @ tanh_log_det(torch.from_numpy(mu + sigma * eps)[:, None]).numpy())


def q_function(shape: str) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """The lecture's action values Q(a) and their derivative Q′(a): a smooth one, one with a kink, one with a step (Q′ = 0 almost everywhere)."""
    if shape == "smooth":
        return (lambda a: np.sin(2 * a) - 0.3 * a**2), (lambda a: 2 * np.cos(2 * a) - 0.6 * a)
    if shape == "kink":
        return (lambda a: 1.0 - np.abs(a - 0.5)), (lambda a: -np.sign(a - 0.5))
    return (lambda a: (a > 0.5) * 1.0), (lambda a: np.zeros_like(a))


def normal_density(a: Array, mu: float, sigma: float) -> Array:
    """N(a; mu, sigma²)."""
    return DiagonalGaussian(torch.tensor([mu]), torch.tensor([sigma])).log_prob(torch.from_numpy(a)[:, None]).exp().numpy()


def gradient_samples(shape: str, samples: int, mu: float, sigma: float, offset: float = 0.0, repeats: int = 2000, seed: int = 0
                     ) -> dict[str, Array | float]:
    """`repeats` estimates of d/dμ E[Q(a) + offset], a ~ N(mu, sigma²), each from `samples` draws, by both estimators, and the exact value.

    pathwise [13.3]: mean of Q′(μ + σε).   score function [13.4]: mean of Q(a) ε/σ.   exact: E[(Q(a) − Q(μ)) ε/σ] by quadrature.
    """
    q, dq = q_function(shape)
    eps = np.random.default_rng(seed).standard_normal((repeats, samples))
    a = mu + sigma * eps
    nodes, weights = gaussian_nodes(20001)
    return {"pathwise": dq(a).mean(1), "score": ((q(a) + offset) * eps).mean(1) / sigma,
            "exact": float(weights @ ((q(mu + sigma * nodes) - q(np.array(mu))) * nodes) / sigma)}


def expected_q(mu: Array, sigma: Array) -> tuple[Array, Array, Array]:
    """Q̂(μ, σ) = E[Q(μ + σε)] for the smooth Q [13.1], and its derivatives in μ and σ, in closed form (Gaussian moments of sin, cos, a²)."""
    shrink = np.exp(-2 * sigma**2)
    value = shrink * np.sin(2 * mu) - 0.3 * (mu**2 + sigma**2)
    return value, 2 * shrink * np.cos(2 * mu) - 0.6 * mu, -4 * sigma * shrink * np.sin(2 * mu) - 0.6 * sigma


def log_det_errors(u: Array) -> dict[str, Array]:
    """|error| of three float32 ways to compute log(1 − tanh²u), against float64."""
    exact = tanh_log_det(torch.from_numpy(u)[:, None]).numpy()
    single = torch.from_numpy(u.astype(np.float32))
    naive = torch.log(1 - torch.tanh(single) ** 2)
    padded = torch.log(1 - torch.tanh(single) ** 2 + 1e-6)
    stable = tanh_log_det(single[:, None])
    return {name: np.abs(values.numpy().astype(float) - exact) for name, values in (("naive", naive), ("padded", padded), ("stable", stable))}


# ── figures ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
@styled
def squashed_density(mu: float = 0.0, sigma: float = 1.0, formula: str = FORMULAS[0], fig: Figure | None = None) -> Figure:
    """Left: the Gaussian over u. Right: the density of a = tanh u, and what `formula` claims it to be, with its integral."""
    d = squashed_densities(mu, sigma, formula)
    if fig is None:
        fig, (left, right) = figure(2)
        left.set(xlabel="u = μ + σε, before squashing", ylabel="probability density", xlim=(-5, 5))
        right.set(xlabel="a = tanh u, the action", ylabel="probability density", xlim=(-1.05, 1.05), xticks=[-1, -0.5, 0, 0.5, 1])
    left, right = fig.axes
    line(left, "gaussian", d["u"], d["gaussian"], "gaussian", "N(u; μ, σ²)")
    clear(right, "gap")
    right.fill_between(d["a"], d["claimed"], d["exact"], color=COLOURS["printed"], alpha=0.18, linewidth=0, gid="gap")
    line(right, "exact", d["a"], d["exact"], "policy", f"π(a), exact: ∫ = 1.000, {round(d['entropy'], 2) + 0.0:.2f} nats")
    line(right, "claimed", d["a"], d["claimed"], "printed", f"{formula}: ∫ = {d['integral']:.3f}")
    left.set(title=f"Before squashing: {d['gaussian_entropy']:.2f} nats", ylim=(0, headroom(d["gaussian"])))
    right.set(title=f"The dashed formula keeps {100 * d['integral']:.0f} %", ylim=(0, headroom(np.maximum(d["exact"], d["claimed"]))))
    left.legend(loc="upper left")
    right.legend(loc="upper center")
    return fig


def headroom(density: Array) -> float:
    """Height of an axis: one of three, so that a slider does not shake it. Peaks above the highest are cut: their width is what matters there."""
    return next((top for top in (0.6, 1.2) if density.max() < 0.75 * top), 2.4)


@styled
def estimators(samples: int = 8, sigma: float = 0.5, offset: float = 0.0, shape: str = "smooth", fig: Figure | None = None) -> Figure:
    """Left: Q (plus a constant) and the policy. Right: how 2,000 estimates of d/dμ E[Q] from `samples` draws scatter, for both estimators."""
    mu, (q, _) = 0.0, q_function(shape)
    d = gradient_samples(shape, samples, mu, sigma, offset)
    if fig is None:
        fig, (left, right) = figure(2)
        left.set(xlabel="action a", ylabel="Q(a), and density of a", xlim=(-3, 3), ylim=(-3, 6), title="What is averaged")
        right.set(xlabel="estimate of d/dμ E[Q(a)]", ylabel="number of estimates (of 2,000)", xlim=(-6, 5))
    left, right = fig.axes
    a, bins = np.linspace(-3, 3, 401), np.linspace(-6, 5, 111)
    line(left, "q", a, q(a) + offset, "value", "Q(a)")
    line(left, "pi", a, normal_density(a, mu, sigma), "gaussian", "π(a) = N(a; μ, σ²)")
    counts = {name: np.histogram(np.clip(d[name], -6, 5), bins)[0].astype(float) for name in ("score", "pathwise")}
    for name, label in (("score", "score function"), ("pathwise", "pathwise")):
        line(right, name, bins[:-1], counts[name], name, f"{label}, std {d[name].std():.2f}", drawstyle="steps-post")
    top = 1.25 * max(counts["score"].max(), min(counts["pathwise"].max(), 500))
    line(right, "exact", [d["exact"]] * 2, [0, top], "truth", f"exact, {d['exact']:.2f}", lw=1.2)
    ratio = d["score"].var() / max(d["pathwise"].var(), 1e-12)
    right.set(ylim=(0, top), title=f"Variance: {ratio:.1f} × pathwise" if ratio < 1e6 else "The pathwise estimate is always 0")
    left.legend(loc="upper left")
    right.legend(loc="upper left")
    return fig


@styled
def parameter_space(mu: float = -0.6, sigma: float = 0.4, fig: Figure | None = None) -> Figure:
    """Left: Q over actions and the policy. Right: Q̂ over the parameters (μ, σ), with the gradient that the policy follows there."""
    if fig is None:
        fig, (left, right) = figure(2)
        left.set(xlabel="action a", ylabel="Q(a), Q̂(μ), density", xlim=(-2.5, 2.5), ylim=(-2.5, 2.2), title="Noise blurs Q into Q̂")
        right.set(xlabel="mean μ", ylabel="standard deviation σ", xlim=(-2.5, 2.5), ylim=(0.0, 1.5))
        grid_mu, grid_sigma = np.meshgrid(np.linspace(-2.5, 2.5, 121), np.linspace(0.0, 1.5, 61))
        filled = right.contourf(grid_mu, grid_sigma, expected_q(grid_mu, grid_sigma)[0], levels=14, cmap="cividis")
        fig.colorbar(filled, ax=right, label="Q̂(μ, σ), expected value")
    left, right = fig.axes[:2]
    a = np.linspace(-2.5, 2.5, 401)
    value, d_mu, d_sigma = (float(x) for x in expected_q(np.array(mu), np.array(sigma)))
    line(left, "q", a, q_function("smooth")[0](a), "value", "Q(a)")
    line(left, "qhat", a, expected_q(a, np.full_like(a, sigma))[0], "value", "Q̂(μ, σ) at this σ", ls=":")
    line(left, "pi", a, normal_density(a, mu, sigma), "gaussian", "π(a)")
    line(left, "here", [mu], [value], "truth", marker="o", ms=8)
    line(right, "here", [mu], [sigma], "truth", marker="o", ms=9, markeredgecolor="white")
    clear(right, "gradient")
    right.quiver([mu], [sigma], [d_mu], [d_sigma], color="white", edgecolor="black", linewidth=0.8, angles="xy", scale_units="xy", scale=4.0,
                 width=0.016, gid="gradient")
    right.set_title(f"∂Q̂/∂μ = {d_mu:+.2f}, ∂Q̂/∂σ = {d_sigma:+.2f}")
    left.legend(loc="lower center")
    return fig


@styled
def log_det_error() -> Figure:
    """Error of three float32 versions of log(1 − tanh²u) over u: one breaks, one is off, one holds."""
    u = np.linspace(0.25, 20, 400)
    errors = log_det_errors(u)
    fig, ax = figure()
    shown = {name: np.where(np.isfinite(e), np.maximum(e, 1e-8), np.nan) for name, e in errors.items()}
    breaks = float(u[~np.isfinite(errors["naive"])][0])
    line(ax, "padded", u, shown["padded"], "score", "log(1 − tanh²u + 10⁻⁶)")
    line(ax, "naive", u, shown["naive"], "printed", f"log(1 − tanh²u), −∞ beyond u = {breaks:.0f}", lw=1.8)
    line(ax, "stable", u, shown["stable"], "policy", "2 (log 2 − u − softplus(−2u))", lw=1.6)
    ax.axvline(breaks, color=COLOURS["printed"], lw=1.0, ls=":")
    ax.set(xlabel="u, before squashing", ylabel="|error| in float32 (nats)", yscale="log", ylim=(1e-11, 1e2), xlim=(0, 20),
           title="Of three equal formulas one survives float32")
    ax.legend(loc="lower right")
    return fig


@styled
def entropy_against_sigma(mu: float = 0.0) -> Figure:
    """Entropy before and after squashing over σ: the first grows without bound, the second turns round."""
    sigma = np.geomspace(0.05, 4, 80)
    best = minimize_scalar(lambda s: -squashed_entropy(mu, s), bounds=(0.05, 4), method="bounded")
    fig, ax = figure()
    line(ax, "gaussian", sigma, [gaussian_entropy(s) for s in sigma], "gaussian", "H[N(μ, σ²)], before squashing")
    line(ax, "policy", sigma, [squashed_entropy(mu, s) for s in sigma], "policy", "H[π], after squashing")
    ax.axhline(np.log(2), color=COLOURS["truth"], lw=1.2, ls=":", label="log 2: uniform on (−1, 1), the most there is")
    ax.plot([best.x], [-best.fun], "o", color=COLOURS["policy"], ms=9)
    ax.annotate(f"most at σ = {best.x:.2f}", (best.x, -best.fun), xytext=(0, -22), textcoords="offset points", ha="center", color=COLOURS["policy"])
    ax.set(xlabel="standard deviation σ before squashing", ylabel="entropy (nats)", xlim=(0, 4), ylim=(-2.2, 3.0),
           title=f"Past σ = {best.x:.2f} more noise means less entropy")
    ax.legend(loc="lower left")
    return fig
