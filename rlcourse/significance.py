"""Is one algorithm better than another, how many seeds does it take to tell, and what does choosing the best seeds pretend?"""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy import stats as scipy_stats

from rlcourse.bootstrap import per_task
from rlcourse.stats import Interval, require_level, require_runs


def probability_of_improvement(x: Any, y: Any, generator: np.random.Generator, level: float = 0.95, resamples: int = 9999) -> Interval:
    """P̂(X > Y) = (1/m) Σ_j (1/(n_x n_y)) Σ_{k,l} [1{x_{jk} > y_{jl}} + ½ 1{x_{jk} = y_{jl}}],   tasks j = 1 ... m

    x, y: (n,), (n, tasks) or lists with one array for each task; as many tasks in both, any numbers of runs. Returns the estimate and its stratified
    percentile bootstrap interval (both arms resampled). ½ means neither is better; it says how often, not by how much.
    If every x exceeds every y, every resample does: the interval is [1, 1] even for two runs. permutation_p then says what chance can do.
    Errors: ValueError for one run in a task, runs that are not finite, and different numbers of tasks.
    Source: Mann and Whitney 1947; Agarwal et al. 2021, section 4.3.
    Limits: U / (n_x n_y) of scipy.stats.mannwhitneyu; P(X > Y) + P(Y > X) = 1; any increasing map of all scores changes nothing;
    normal runs tend to Φ((μ_x − μ_y) / √(σ_x² + σ_y²)).
    """
    xs, ys = per_task(x, "probability_of_improvement"), per_task(y, "probability_of_improvement")
    require_level(level)
    if len(xs) != len(ys):
        raise ValueError(f"probability_of_improvement compares task by task, and was given {len(xs)} tasks for x and {len(ys)} for y.")
    estimate, drawn = 0.0, np.zeros(resamples)
    for a, b in zip(xs, ys):
        wins = (np.sign(a[:, None] - b) + 1) / 2 / (len(a) * len(b))                 # (n_x, n_y): 1, ½ or 0, over the number of pairs
        count_a, count_b = (generator.multinomial(len(v), np.full(len(v), 1 / len(v)), resamples) for v in (a, b))
        estimate, drawn = estimate + wins.sum() / len(xs), drawn + (count_a @ wins * count_b).sum(1) / len(xs)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(estimate), float(low), float(high))


def shuffles(n: int, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """(resamples, n): independent uniformly drawn orders of 0 ... n−1, one a row. For permutation_p with n = n_x + n_y."""
    return generator.permuted(np.tile(np.arange(n), (resamples, 1)), axis=1)


def permutation_p(x: np.ndarray, y: np.ndarray, idx: np.ndarray) -> float:
    """p = (1 + #{m : |T(z_{idx_m})| >= |T(z)|}) / (1 + M),   z = (x, y),   T(z) = mean of the first n_x − mean of the rest

    x: (n_x,), y: (n_y,). idx: (M, n_x + n_y), orders of the pooled runs, from `shuffles`. Two-sided.
    If labels mean nothing (both algorithms have one distribution of scores), P(p <= α) <= α whatever that distribution: no normality, no large n.
    The 1 counts the order that happened; without it p could be 0, and the level would be exceeded. Equal up to rounding (1e-12) counts as equal.
    Errors: ValueError for an empty arm, runs that are not finite, and rows of another length.
    Source: Fisher 1935; Phipson and Smyth 2010 (why p is never zero).
    Limits: all other orders listed give scipy.stats.permutation_test's exact p, whose least value for n against n is 2/C(2n, n); no p is below
    1/(1+M); symmetric in x and y; moving or scaling all runs changes nothing.
    """
    x, y = require_runs(x, "permutation_p", 1), require_runs(y, "permutation_p", 1)
    idx = np.asarray(idx)
    if idx.ndim != 2 or idx.shape[1] != len(x) + len(y):
        raise ValueError(f"permutation_p shuffles the {len(x)} + {len(y)} pooled runs, so idx is (M, {len(x) + len(y)}); it was given {idx.shape}. "
                         "Draw it with shuffles(n_x + n_y, resamples, generator).")
    z = np.concatenate([x, y]) - np.mean(np.concatenate([x, y]))
    observed, shuffled = abs(x.mean() - y.mean()), z[idx]
    drawn = np.abs(shuffled[:, :len(x)].mean(1) - shuffled[:, len(x):].mean(1))
    return float((1 + np.count_nonzero(drawn >= observed - 1e-12 * np.abs(z).max())) / (1 + len(idx)))


class Look(NamedTuple):
    """State of a sequential test after its latest look.

    verdict: "x is higher", "y is higher", "run more seeds", or "no difference found" (all looks used up, which is no proof of equality).
    look: the look that decided, or the last one so far, from 1. runs: seeds of each arm that it used. It stops if statistic > boundary.
    """

    verdict: str
    look: int
    runs: int
    statistic: float
    boundary: float


def _shuffled_differences(x: np.ndarray, y: np.ndarray, rows: int, entropy: list[int]) -> np.ndarray:
    """(rows,): mean difference of one block of seeds after shuffling its labels; row 0 as they are."""
    pooled = np.tile(np.concatenate([x, y]), (rows, 1))
    np.random.default_rng(entropy).permuted(pooled[1:], axis=1, out=pooled[1:])
    return pooled[:, :len(x)].mean(1) - pooled[:, len(x):].mean(1)


def enough_seeds(x: np.ndarray, y: np.ndarray, block: int, looks: int, seed: int, level: float = 0.05, resamples: int = 9999) -> Look:
    """Stop at the first look k with T_k > b_k:   T_k = |Σ_{i<=k} (x̄_i − ȳ_i)|,   x̄_i the mean of the i-th block of `block` seeds

    Orders: the one that happened and M shuffles of the labels within each block. b_k: the smallest T_k of the orders not stopped before, such that
    by look k at most ⌊(k/looks) · level · (1+M)⌋ of the 1+M orders have stopped.
    x, y: (k·block,) the runs so far, in the order they were made, k <= looks. Fix block, looks, level and seed before the first run; after each
    block of both arms call again with all runs so far. A seed, not a generator: every look must see the same shuffles. Returns a Look.
    Error rate: if both algorithms have the same distribution of scores, the probability of ever naming one higher is at most `level`, for any
    distribution, block and number of looks; it is about `level` if scores are continuous and blocks have orders enough: the first look can stop
    only if 2 / C(2·block, block) <= level / looks, as 5 seeds a block and four looks at 0.05 allow.
    A t-test at level 0.05 after each of four blocks, by contrast, errs in about one experiment in eight.
    Errors: ValueError for arms of unequal length, an incomplete block, too many blocks, and too few resamples for the first look to stop.
    Source: two arms, in the spirit of AdaStop (Mathieu et al., TMLR 2024, which compares several); Lan and DeMets 1983 (spending the level).
    Limits: looks = 1 with all orders stops where the exact permutation p <= level; an answer given at look k stays when later blocks are
    added; errors as stated, by simulation.
    """
    x, y = require_runs(x, "enough_seeds"), require_runs(y, "enough_seeds")
    require_level(level)
    so_far, rest = divmod(len(x), block)
    if len(x) != len(y) or rest or not 1 <= so_far <= looks:
        raise ValueError(f"enough_seeds looks after whole blocks of {block} seeds of each arm, at most {looks} times, and was given {len(x)} and "
                         f"{len(y)} runs. Looking at other moments than those fixed beforehand would break the error rate.")
    if level / looks * (1 + resamples) < 1:
        raise ValueError(f"with {resamples} resamples no shuffle is rare enough to stop at the first look, which may spend {level} / {looks}: "
                         f"give resamples of at least {math.ceil(looks / level)}.")
    total, running, spent = np.zeros(1 + resamples), np.ones(1 + resamples, dtype=bool), 0
    for k in range(so_far):
        now = slice(k * block, (k + 1) * block)
        total += _shuffled_differences(x[now], y[now], 1 + resamples, [seed, k])
        size = np.abs(total)
        allowed = math.floor(level * (k + 1) / looks * (1 + resamples) + 1e-9) - spent
        boundary = np.sort(size[running])[-1 - allowed] + 1e-12 * size.max()           # ties, up to rounding, stay on this side
        stopped = running & (size > boundary)
        running, spent = running & ~stopped, spent + np.count_nonzero(stopped)
        if stopped[0]:
            return Look("x is higher" if total[0] > 0 else "y is higher", k + 1, (k + 1) * block, float(size[0]), float(boundary))
    return Look("run more seeds" if so_far < looks else "no difference found", so_far, len(x), float(size[0]), float(boundary))


def welch_power(difference: float, sd_x: float, sd_y: float, n_x: int, n_y: int, level: float = 0.05) -> float:
    """power = P(|t_ν(δ/s)| > t*),   s² = σ_x²/n_x + σ_y²/n_y,   ν = s⁴ / (σ_x⁴/(n_x²(n_x−1)) + σ_y⁴/(n_y²(n_y−1))),   t* = t_{ν, 1−level/2}

    difference: δ of the true means; sd_x, sd_y: σ of single runs (scalars); n_x, n_y: runs of each arm; t_ν(c) is noncentral Student.
    Returns a scalar: in what share of experiments Welch's two-sided t-test at `level` sees the difference, if runs are normal.
    For skewed or two-humped returns ask simulated_power.   Errors: ValueError for n < 2 or no spread.
    Source: Welch 1947 (ν); Patterson et al. 2024 (why compute it before training).
    Limits: δ = 0 gives `level`; δ -> infinity 1; n -> infinity Φ(|δ|/s − z) + Φ(−|δ|/s − z); δ = ½ σ, n = 64: 0.80 (Cohen 1988).
    """
    require_level(level)
    if min(n_x, n_y) < 2 or min(sd_x, sd_y) < 0 or sd_x + sd_y == 0:
        raise ValueError(f"welch_power needs at least 2 runs in each arm and some spread; it was given n = {n_x}, {n_y} and sd = {sd_x}, {sd_y}. "
                         "One run has no spread, and without spread any difference is certain.")
    a, b = sd_x**2 / n_x, sd_y**2 / n_y
    freedom, shift = (a + b) ** 2 / (a**2 / (n_x - 1) + b**2 / (n_y - 1)), abs(difference) / math.sqrt(a + b)
    edge = scipy_stats.t.ppf(1 - level / 2, freedom)
    return float(scipy_stats.nct.sf(edge, freedom, shift) + scipy_stats.nct.cdf(-edge, freedom, shift))


def sample_size(mean: float, sd: float, relative: float = 0.1, power: float = 0.8, level: float = 0.05) -> int:
    """n = min {n : welch_power(relative · |mean|, sd, sd, n, n, level) >= power}

    mean, sd: of single runs (scalars), from a pilot or a paper. relative: the difference worth finding, as a share of the mean (0.1 is 10 %).
    Returns runs for EACH arm. A pilot of five runs knows sd within a factor 0.6 to 2.9 (95 %), and n goes with its square: an order of magnitude.
    Errors: ValueError for a zero mean or difference, no spread, and above a million runs.
    Source: Patterson et al. 2024. Published ten SAC runs on HalfCheetah-v4, 11,321 ± 1,108 at 1M steps: 17 runs for 10 %.
    Limits: above the normal formula 2 (z_{1−level/2} + z_power)² (sd/δ)² by at most 3 for n > 5; the power at n reaches the wanted one, at n − 1 not;
    mean and sd scaled together change nothing.
    """
    require_level(power)
    difference = abs(relative * mean)
    if difference == 0 or not (math.isfinite(difference) and math.isfinite(sd)):
        raise ValueError(f"sample_size was asked for a difference of {relative:g} × {mean:g} at sd = {sd:g}: no number of runs tells no difference. "
                         "If the mean is near 0, relative differences mean little: give mean=1 and the difference in units of the return.")
    low, high = 1, 2
    while welch_power(difference, sd, sd, high, high, level) < power:
        low, high = high, 2 * high
        if high > 2**20:
            raise ValueError(f"more than a million runs: {difference:g} is too small beside sd = {sd:g} to be found by training seeds.")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if welch_power(difference, sd, sd, middle, middle, level) >= power else (middle, high)
    return high


def simulated_power(runs: np.ndarray, relative: float, n: int, generator: np.random.Generator, level: float = 0.05,
                    resamples: int = 2000) -> Interval:
    """share of {|t(x*, y* + relative · x̄)| > t*},   x*, y*: n runs each, drawn with replacement from `runs`;   t of Welch

    runs: (k,) scores of a pilot, whose shape (two humps, failed seeds) is kept. n: runs of each arm. Returns the share and the 95 % interval that
    the number of resamples leaves (Clopper and Pearson); that the pilot is small is not in it.
    Errors: ValueError for fewer than two runs in the pilot, runs that are not finite, and n < 2.
    Source: Efron and Tibshirani 1993, chapter 25 (power by resampling a pilot); Colas et al. 2018 (seeds and deviations from normality).
    Limits: relative = 0 gives about `level`; many normal runs agree with welch_power within the interval; scaling the runs changes nothing.
    """
    runs = require_runs(runs, "simulated_power")
    require_level(level)
    if n < 2:
        raise ValueError(f"n = {n}: Welch's t needs at least 2 runs in each arm.")
    x, y = generator.choice(runs, (2, resamples, n))
    y = y + relative * runs.mean()
    a, b = x.var(1, ddof=1) / n, y.var(1, ddof=1) / n
    spread = np.maximum(a + b, 1e-300)                                               # all drawn runs equal: any difference is then a finding
    freedom = (n - 1) * spread**2 / np.maximum(a**2 + b**2, 1e-300)
    found = np.abs(x.mean(1) - y.mean(1)) / np.sqrt(spread) > scipy_stats.t.ppf(1 - level / 2, np.maximum(freedom, 1))
    test = scipy_stats.binomtest(int(found.sum()), resamples).proportion_ci(0.95)
    return Interval(float(found.mean()), float(test.low), float(test.high))


def best_of_k_bias(sigma: float, k: int, m: int) -> float:
    """E[mean of the best m of k] − μ = (σ/m) Σ_{j=k−m+1..k} E[Z₍j:k₎],   E[Z₍j:k₎] = ∫ z Beta(Φ(z); j, k−j+1) φ(z) dz

    k normal runs with standard deviation σ, of which the best m are reported. Returns what the report adds to the true mean μ, a scalar like σ.
    Errors: ValueError unless 1 <= m <= k and σ >= 0.
    Source: David and Nagaraja 2003, section 3.1 (normal scores).
    Limits: k = 2, m = 1: σ/√π; k = 3, m = 1: 3σ/(2√π); m = k: 0; m b(k, m) = (k−m) b(k, k−m); best 5 of 30: 1.45 σ.
    """
    if not 1 <= m <= k or sigma < 0:
        raise ValueError(f"best_of_k_bias reports the best m of k runs: 1 <= m <= k, sigma >= 0. It was given k = {k}, m = {m}, sigma = {sigma}.")
    z = np.linspace(-10, 10, 2001)
    order = np.arange(k - m + 1, k + 1)[:, None]
    density = scipy_stats.beta.pdf(scipy_stats.norm.cdf(z), order, k - order + 1) * scipy_stats.norm.pdf(z)
    return float(sigma * np.trapezoid(z * density, z).mean())


def best_of_k_mean(runs: np.ndarray, k: int, m: int) -> float:
    """E[mean of the best m of k runs drawn without replacement] = (k/(n m)) Σ_i x₍i₎ P(H_i <= m − 1),   H_i ~ Hypergeometric(n−1, n−i, k−1)

    runs: (n,), sorted x₍1₎ <= ... <= x₍n₎; n − i runs lie above x₍i₎, which is reported if at most m − 1 of them were drawn with it.
    Errors: ValueError unless 1 <= m <= k <= n, and for runs that are not finite.
    Source: David and Nagaraja 2003, section 3.7 (finite populations).
    Limits: m = k gives the mean; k = n the mean of the best m; all C(n, k) choices listed agree; many normal runs tend to μ + best_of_k_bias.
    """
    x = np.sort(require_runs(runs, "best_of_k_mean", 1))
    n = len(x)
    if not 1 <= m <= k <= n:
        raise ValueError(f"best_of_k_mean chooses the best m of k of the n = {n} runs: 1 <= m <= k <= n, and it was given k = {k}, m = {m}.")
    reported = scipy_stats.hypergeom.cdf(m - 1, n - 1, np.arange(n)[::-1], k - 1)
    return float(k / (n * m) * (x * reported).sum())
