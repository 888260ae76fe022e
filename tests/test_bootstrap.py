"""Resampling: all nⁿ resamples are the truth for n = 4, scipy is the oracle, and coverage is counted."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from rlcourse.bootstrap import bootstrap_ci, bootstrap_distribution, bootstrap_interval, per_task, performance_profile
from rlcourse.stats import interquartile_mean

X = np.array([2.0, 3.0, 7.0, 20.0])
ALL = np.array(list(itertools.product(range(4), repeat=4)))
RUNS = np.random.default_rng(8).lognormal(2, 1, (12, 3))


def rng(seed=0):
    return np.random.default_rng(seed)


def test_all_256_resamples_give_the_exact_interval():
    """Means of four listed from the multinomial weights: value Σ c_k x_k / 4 with 4!/(c₁!c₂!c₃!c₄!) of 256 resamples; their quantiles by hand."""
    counts = [c for c in itertools.product(range(5), repeat=4) if sum(c) == 4]
    listed = sorted(c @ X / 4 for c in counts for _ in range(24 // math.prod(map(math.factorial, c))))
    assert len(listed) == 256
    mean, low, high = bootstrap_ci(X, ALL, 0.9)
    assert mean == 8
    for end, q in ((low, 0.05), (high, 0.95)):
        below, part = divmod(q * 255, 1)
        assert math.isclose(end, listed[int(below)] * (1 - part) + listed[int(below) + 1] * part, rel_tol=1e-12)


@pytest.mark.parametrize("statistic", [np.mean, np.median, interquartile_mean])
def test_drawn_resamples_tend_to_all_of_them(statistic):
    """The distribution function at every value that can occur, within 5 standard errors of 20,000 resamples."""
    drawn, exact = bootstrap_distribution(X, rng(), statistic, 20_000), statistic(X[ALL], axis=-1)
    for value in np.unique(exact.round(9)):
        assert abs((drawn <= value + 1e-6).mean() - (exact <= value + 1e-6).mean()) < 5 * 0.5 / math.sqrt(20_000)


def test_identity_rows_leave_no_width_and_the_interval_moves_with_the_runs():
    assert bootstrap_ci(X, np.tile(np.arange(4), (9, 1))) == (8, 8, 8)
    np.testing.assert_allclose(bootstrap_ci(5 * X - 3, ALL), 5 * np.array(bootstrap_ci(X, ALL)) - 3)


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_the_interval_is_scipys_with_the_same_generator(method):
    oracle = scipy_stats.bootstrap((RUNS[:, 0],), np.mean, n_resamples=999, confidence_level=0.9, method=method, rng=rng(3)).confidence_interval
    mean, low, high = bootstrap_interval(RUNS[:, 0], rng(3), np.mean, 0.9, method, 999)
    assert mean == RUNS[:, 0].mean()
    np.testing.assert_allclose([low, high], oracle, rtol=1e-12)


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_the_interval_moves_and_scales_with_the_runs(method):
    plain, moved = (bootstrap_interval(x, rng(1), level=0.9, method=method, resamples=500) for x in (RUNS, 10 * RUNS - 4))
    np.testing.assert_allclose(moved, 10 * np.array(plain) - 4, rtol=1e-9)


def test_bca_follows_the_skew_of_the_runs():
    """Right-skewed runs: both ends move right of the percentile interval's (Efron 1987)."""
    percentile, bca = (bootstrap_interval(RUNS[:, 0], rng(2), np.mean, method=m, resamples=4000) for m in ("percentile", "BCa"))
    assert bca.low > percentile.low and bca.high > percentile.high


def test_tasks_are_strata():
    """Two tasks far apart: resampled within each, the mean of all never leaves the middle; pooled first, it would by a standard error of about 11."""
    x = np.column_stack([np.array([0, 1, 2.0]), np.array([100, 101, 102.0])])
    drawn = bootstrap_distribution(x, rng(), np.mean, 2000)
    assert drawn.min() >= 50 and drawn.max() <= 52
    assert abs(drawn.std() - math.sqrt(2 / 3 / 3 / 2)) < 0.03                         # σ² = 2/3 in each task, 3 runs, half of two tasks


def test_an_array_and_a_list_of_tasks_give_the_same_bits():
    array, listed = (bootstrap_interval(x, rng(4), resamples=300) for x in (RUNS, list(RUNS.T)))
    assert array == listed and array.mean == interquartile_mean(RUNS)
    uneven = [RUNS[:, 0], RUNS[:7, 1]]
    assert bootstrap_interval(uneven, rng(), np.mean, resamples=99).mean == np.concatenate(uneven).mean()
    assert [len(task) for task in per_task(uneven, "the test")] == [12, 7]


def test_the_same_generator_state_gives_the_same_bits_and_another_does_not():
    assert bootstrap_interval(RUNS, rng(6), resamples=99) == bootstrap_interval(RUNS, rng(6), resamples=99)
    assert bootstrap_interval(RUNS, rng(6), resamples=99) != bootstrap_interval(RUNS, rng(7), resamples=99)


@pytest.mark.parametrize(("n", "stated"), [(5, 0.84), (10, 0.90), (30, 0.93)])
def test_coverage_is_what_the_docstring_admits(n, stated):
    """2,000 experiments of n normal runs at level 0.95: within 0.01 (rounding of the statement) and 5 binomial standard errors (0.0075 each)."""
    g = rng(n)
    hits = [low <= 0 <= high for _, low, high in (bootstrap_ci(x, g.integers(n, size=(400, n))) for x in g.normal(size=(2000, n)))]
    assert abs(np.mean(hits) - stated) < 0.01 + 5 * math.sqrt(stated * (1 - stated) / 2000)


def test_equal_runs_give_no_width_and_no_warning():
    for method in ("percentile", "BCa"):
        assert bootstrap_interval(np.full((5, 2), 1000.0), rng(), method=method, resamples=99) == (1000, 1000, 1000)


@pytest.mark.parametrize(("x", "more", "says"), [
    ([3.0], {}, "One seed is no interval"),
    (np.ones((1, 4)), {}, "One seed is no interval"),
    ([[1, 2], [3.0]], {}, r"task 1.*One seed is no interval"),
    ([1, math.nan, 2], {}, r"run 1 \(counted from 0\)"),
    (np.ones((3, 2, 2)), {}, "Make one number of each learning curve"),
    ([1, 2, 3], {"method": "bca"}, "choose 'percentile'"),
    ([1, 2, 3], {"level": 95}, "level = 95"),
    ([1, 1, 1, 1, 1, 9], {"method": "BCa", "statistic": np.median}, "BCa is undefined"),
])
def test_what_cannot_be_resampled_is_refused(x, more, says):
    with pytest.raises(ValueError, match=says):
        bootstrap_interval(x, rng(), resamples=99, **more)


TAU = np.linspace(-1, 60, 6101)


def test_a_profile_counts_the_runs_above_each_threshold():
    profile = performance_profile([1, 2, 2, 5], np.array([0, 1, 1.5, 2, 4.9, 5, 6]))
    assert profile.share.tolist() == [1, 0.75, 0.75, 0.25, 0.25, 0, 0]


def test_the_area_under_the_profile_is_the_mean_score_of_the_tasks():
    x = np.minimum(RUNS, 59)
    assert math.isclose(np.trapezoid(performance_profile(np.maximum(x, 0), np.linspace(0, 60, 60_001)).share, dx=0.001), x.mean(), abs_tol=0.002)
    uneven = [np.array([1.0, 3.0]), np.array([10.0] * 8)]                             # tasks weigh the same, however many runs they have
    assert performance_profile(uneven, np.array([5.0])).share == 0.5


def test_profile_and_bands_fall_and_stay_within_0_and_1():
    for profile in (performance_profile(RUNS, TAU), performance_profile(RUNS, TAU, rng(), resamples=200)):
        for curve in profile[1:]:
            assert (np.diff(curve) <= 1e-12).all() and curve.min() >= 0 and curve.max() <= 1
        assert (profile.low <= profile.share + 1e-12).all() and (profile.share <= profile.high + 1e-12).all()


def test_the_simultaneous_half_width_is_kolmogorovs():
    """n = 10: 0.4092 at level 0.95 (Smirnov's table); for many runs 1.358 / √n; two tasks share the error between them."""
    def half(x, level=0.95):
        profile = performance_profile(x, np.array([np.median(x)]), level=level)
        return (profile.high - profile.low)[0] / 2

    assert math.isclose(half(np.arange(10.0)), 0.4092, abs_tol=5e-5)
    assert math.isclose(half(np.arange(4000.0)) * math.sqrt(4000), 1.358, abs_tol=0.006)
    assert math.isclose(half(np.column_stack([np.arange(50.0)] * 2)), half(np.arange(50.0), 0.975), rel_tol=1e-12)


def test_one_band_holds_the_whole_curve_and_the_other_one_point():
    """20 uniform runs, 1,500 and 400 experiments, 95 %: the simultaneous band misses somewhere in 5 % of them, the pointwise band in more than 40 %,
    though at one τ it misses in no more than 10 %."""
    g, tau = rng(11), np.linspace(0.05, 0.95, 181)
    everywhere, at_one_point, whole = [], [], []
    for x in g.random((1500, 20)):
        steps = np.sort(np.concatenate([x - 1e-9, x, tau]))
        band = performance_profile(x, steps)
        everywhere.append(((band.low <= 1 - steps + 1e-8) & (1 - steps <= band.high + 1e-8)).all())
    for x in g.random((400, 20)):
        point = performance_profile(x, tau, g, resamples=200)
        inside = (point.low <= 1 - tau) & (1 - tau <= point.high)
        at_one_point.append(inside[90])
        whole.append(inside.all())
    assert abs(np.mean(everywhere) - 0.95) < 5 * math.sqrt(0.95 * 0.05 / 1500)
    assert 0.95 - 0.05 - 5 * math.sqrt(0.95 * 0.05 / 400) < np.mean(at_one_point) and np.mean(whole) < 0.6


def test_the_pointwise_band_is_binomial():
    """For one τ the resampled share is Binomial(n, F̂)/n: its quantiles are the band, within one step of 1/n."""
    x = np.arange(40.0)
    band = performance_profile(x, np.array([27.5]), rng(), resamples=4000)
    assert band.share == 0.3
    np.testing.assert_allclose([band.low[0], band.high[0]], scipy_stats.binom.ppf([0.025, 0.975], 40, 0.3) / 40, atol=1 / 40 + 1e-9)
