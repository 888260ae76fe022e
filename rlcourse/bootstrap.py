"""Resampling the runs: what an estimate might have been with other seeds, as intervals, bands and a distribution."""

import functools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import stats as scipy_stats

from rlcourse.stats import Interval, interquartile_mean, require_level, require_runs


def per_task(x: Any, caller: str, least: int = 2) -> list[np.ndarray]:
    """The runs of each task, a list of arrays (n_j,).

    x: (n,) the runs of one task; (n, tasks) a column for each task; or a list with one array (n_j,) for each, if their numbers of runs differ.
    """
    if isinstance(x, list | tuple) and len(x) and np.ndim(x[0]) == 1:
        return [require_runs(runs, f"{caller} (task {j})", least) for j, runs in enumerate(x)]
    x = require_runs(x, caller, least)
    if x.ndim > 2:
        raise ValueError(f"{caller} takes runs (n,), or runs and tasks (n, tasks), and was given shape {x.shape}. "
                         "Make one number of each learning curve first: stats.final_values(history) or stats.areas(history).")
    return list(x.reshape(len(x), -1).T)


def bootstrap_ci(x: np.ndarray, idx: np.ndarray, level: float = 0.95, statistic: Callable = np.mean) -> Interval:
    """[q_{(1−level)/2}, q_{(1+level)/2}] of {θ(x_{i₁}, ..., x_{iₙ}) : (i₁, ..., iₙ) a row of idx},   θ the statistic

    x: (n,). idx: (M, n) integers below n, one resample a row; all nⁿ rows make the bootstrap exact. Returns θ(x) and the two quantiles
    (linear between order statistics). This is the percentile interval with its randomness in plain sight; bootstrap_interval draws the rows.
    It covers less often than it says when n is small: at level 0.95 and for normal runs in 0.84, 0.90, 0.93 of experiments for n = 5, 10, 30.
    Errors: ValueError for one run, and for runs that are not finite.
    Source: Efron 1979; Efron and Tibshirani 1993, section 13.3.
    Limits: all 4⁴ rows give the quantiles of the listed means; identity rows a zero-width interval; moves and scales with x.
    """
    x = require_runs(x, "bootstrap_ci")
    require_level(level)
    low, high = np.quantile(statistic(x[idx], axis=-1), [(1 - level) / 2, (1 + level) / 2])
    return Interval(statistic(x, axis=-1), low, high)


def _draw(tasks: list[np.ndarray], generator: np.random.Generator, statistic: Callable, level: float, method: str, resamples: int) -> Any:
    """scipy's result, for a statistic of the pooled runs; scipy resamples each array on its own, which is what stratified means."""
    def pooled(*samples: np.ndarray, axis: int = -1) -> np.ndarray:
        return statistic(np.concatenate(samples, axis=axis), axis=axis)

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", scipy_stats.DegenerateDataWarning)
        return scipy_stats.bootstrap(tasks, pooled, n_resamples=resamples, confidence_level=level, method=method, rng=generator,
                                     vectorized=True, batch=1000)


def bootstrap_distribution(x: Any, generator: np.random.Generator, statistic: Callable = interquartile_mean, resamples: int = 9999) -> np.ndarray:
    """θ(x*) of `resamples` resamples x* of the runs, (resamples,): the picture behind bootstrap_interval, whose arguments and limits it shares."""
    return _draw(per_task(x, "bootstrap_distribution"), generator, statistic, 0.95, "percentile", resamples).bootstrap_distribution


def bootstrap_interval(x: Any, generator: np.random.Generator, statistic: Callable = interquartile_mean, level: float = 0.95,
                       method: str = "percentile", resamples: int = 9999) -> Interval:
    """percentile: [q_a, q_b] of θ(x*), a = (1−level)/2, b = (1+level)/2;   BCa: a -> Φ(ẑ + (ẑ + z_a) / (1 − â (ẑ + z_a))), and b likewise

    with z_a = Φ⁻¹(a), ẑ the estimate's bias and â its skewness (from leaving out one run at a time).
    x: (n,) runs; (n, tasks); or a list with one array (n_j,) for each task. Runs are resampled within their task (stratified): tasks are the
    benchmark, not a sample. statistic(values, axis=...) of all runs pooled: interquartile_mean, np.mean, np.median. Returns (θ(x), low, high).
    Errors: ValueError for one run in a task, for runs that are not finite, and where BCa is undefined. If the runs of each task are equal the
    interval has zero width: all these seeds agree, which is no proof that the next one will.
    Source: Efron 1987 (BCa); Agarwal et al. 2021, section 4.1 (stratified). Drawn by scipy.stats.bootstrap.
    Limits: many resamples tend to bootstrap_ci over all nⁿ rows; array and list give the same bits; covers as often as bootstrap_ci says.
    """
    tasks = per_task(x, "bootstrap_interval")
    require_level(level)
    if method not in ("percentile", "BCa"):
        raise ValueError(f"method = {method!r}: choose 'percentile' (plain quantiles) or 'BCa' (corrected for bias and skewness).")
    estimate = statistic(np.concatenate(tasks), axis=-1)
    if all(np.ptp(runs) == 0 for runs in tasks):
        return Interval(estimate, estimate, estimate)
    low, high = _draw(tasks, generator, statistic, level, method, resamples).confidence_interval
    if not np.isfinite([low, high]).all():
        raise ValueError("BCa is undefined here: leaving out any one run does not change the statistic, so its skewness cannot be estimated. "
                         "Use method='percentile', which needs no such estimate, or more runs.")
    return Interval(estimate, low, high)


class Profile(NamedTuple):
    """Share of runs above each threshold and the ends of its band; all of shape (points,)."""

    tau: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


@functools.lru_cache
def _kolmogorov(n: int, level: float) -> float:
    """d(n) with P(max_τ |F̂(τ) − F(τ)| <= d(n)) = level for n runs of any continuous distribution."""
    return float(scipy_stats.kstwo.ppf(level, n))


def performance_profile(x: Any, tau: np.ndarray, generator: np.random.Generator | None = None, level: float = 0.95, resamples: int = 2000) -> Profile:
    """F̂(τ) = (1/m) Σ_j (1/n_j) Σ_k 1{x_{jk} > τ},   tasks j = 1 ... m, runs k = 1 ... n_j

    x: (n,), (n, tasks) or a list, as in bootstrap_interval. tau: (points,) thresholds. Returns a Profile of arrays (points,).
    With a generator the band is POINTWISE (stratified percentile bootstrap): right for one τ chosen beforehand; somewhere on the curve it misses
    far more often. Without one it is SIMULTANEOUS: F̂ ± (1/m) Σ_j d(n_j), d(n) the quantile 1 − (1−level)/m of Kolmogorov's statistic; in a share
    `level` of experiments, or more, it holds the true curve at every τ at once (exactly `level` for one task with continuous scores).
    Errors: ValueError for one run in a task, and for runs that are not finite.
    Source: Agarwal et al. 2021, section 4.2; Kolmogorov 1933, with Bonferroni's bound over tasks.
    Limits: τ below all scores gives 1, at or above all 0; ∫ F̂ dτ over scores >= 0 is the mean; d(n) √n -> 1.358 for level 0.95.
    """
    tasks, tau = per_task(x, "performance_profile"), np.asarray(tau, dtype=np.float64)
    require_level(level)
    above = [(runs[:, None] > tau).astype(np.float64) for runs in tasks]
    share = np.mean([a.mean(0) for a in above], axis=0)
    if generator is None:
        half = np.mean([_kolmogorov(len(a), 1 - (1 - level) / len(tasks)) for a in above])
        return Profile(tau, share, np.clip(share - half, 0, 1), np.clip(share + half, 0, 1))
    drawn = np.mean([generator.multinomial(len(a), np.full(len(a), 1 / len(a)), resamples) @ a / len(a) for a in above], axis=0)
    return Profile(tau, share, *np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0))
