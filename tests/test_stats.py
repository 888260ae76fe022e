"""What may be claimed from N seeds: scipy is the oracle, and a record comes back from its file bit for bit."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from rlcourse.stats import (
    History,
    Row,
    area_under_curve,
    areas,
    final_values,
    inter_percentile_range,
    interquartile_mean,
    mean_interval,
    require_runs,
)


@pytest.mark.parametrize("n", [2, 3, 10, 30])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_the_interval_equals_scipys_t_test(n, level):
    x = np.random.default_rng(n).normal(3, 2, (n, 4))
    mean, low, high = mean_interval(x, level)
    oracle = scipy_stats.ttest_1samp(x, 0).confidence_interval(level)
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-14)
    np.testing.assert_allclose(low, oracle.low, rtol=1e-10)
    np.testing.assert_allclose(high, oracle.high, rtol=1e-10)


def test_three_numbers_by_hand():
    """1, 2, 3: mean 2, s = 1, t(0.975, 2) = 4.3027."""
    mean, low, high = mean_interval(np.array([1.0, 2.0, 3.0]))
    assert mean == 2 and math.isclose(high - mean, 4.302652729 / math.sqrt(3), rel_tol=1e-9) and math.isclose(mean - low, high - mean, rel_tol=1e-12)


def test_many_runs_give_the_normal_interval():
    x = np.random.default_rng(0).normal(size=100_000)
    assert math.isclose(mean_interval(x).high - x.mean(), 1.959964 * x.std() / math.sqrt(len(x)), rel_tol=1e-4)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    """4,000 experiments of 5 normal runs: 95 % +- 5 standard errors of a binomial share (0.0034 each)."""
    x = np.random.default_rng(1).normal(7, 3, (5, 4000))
    _, low, high = mean_interval(x)
    assert abs(np.mean((low <= 7) & (high >= 7)) - 0.95) < 5 * 0.0034


def test_one_run_has_a_mean_and_no_interval():
    mean, low, high = mean_interval(np.array([[5.0, 6.0]]))
    assert mean.tolist() == [5, 6] and np.isnan(low).all() and np.isnan(high).all()


@pytest.mark.parametrize(("x", "level"), [(np.zeros(0), 0.95), (3.0, 0.95), (np.ones(3), 95), (np.ones(3), 0)])
def test_what_has_no_interval_is_refused(x, level):
    with pytest.raises(ValueError, match=r"mean_interval needs|level ="):
        mean_interval(x, level)


HISTORY = History([Row(seed, step, "eval_return", seed + step + 0.1) for step in (10, 20, 30) for seed in (4, 2)]
                  + [Row(4, 11, "episode_return", 1 / 3), Row(2, 17, "episode_return", -1e-300), Row(2, 30, "loss", math.inf)])


def test_a_history_comes_back_from_csv_bit_for_bit(tmp_path):
    HISTORY.to_csv(tmp_path / "rows.csv")
    assert History.from_csv(tmp_path / "rows.csv") == HISTORY
    assert (tmp_path / "rows.csv").read_text().splitlines()[:2] == ["seed,step,metric,value", "4,10,eval_return,14.1"]


def test_a_table_has_one_row_per_seed_and_one_column_per_step():
    steps, values = HISTORY.table("eval_return")
    assert steps.tolist() == [10, 20, 30] and HISTORY.seeds() == [2, 4]
    np.testing.assert_allclose(values, [[12.1, 22.1, 32.1], [14.1, 24.1, 34.1]])
    assert HISTORY.metrics() == ["eval_return", "episode_return", "loss"]
    assert [part.tolist() for part in HISTORY.series("episode_return", 2)] == [[17], [-1e-300]]


def test_seeds_measured_at_different_steps_make_no_table():
    with pytest.raises(ValueError, match=r"different steps.*history.series"):
        HISTORY.table("episode_return")


@pytest.mark.parametrize(("history", "says"), [(HISTORY, "Measured: eval_return, episode_return, loss"), (History(), "nothing yet")])
def test_a_metric_that_was_not_measured_is_answered_with_those_that_were(history, says):
    with pytest.raises(ValueError, match=says):
        history.table("return")


SCORES = np.random.default_rng(5).lognormal(1, 1, 23)


@pytest.mark.parametrize(("x", "iqm"), [([4.0], 4), ([1, 2, 9], 4), ([100, 2, 4, -50], 3), ([0, 1, 2, 3, 4, 5, 6, 700], 3.5), ([9, 1, 2, 3, -7], 2)])
def test_the_interquartile_mean_by_hand(x, iqm):
    """The middle half once a quarter, rounded down, is cut from each end; below four runs nothing is."""
    assert interquartile_mean(x) == iqm


def test_the_interquartile_mean_equals_scipys_and_pools_tasks():
    table = SCORES[:20].reshape(10, 2)
    assert interquartile_mean(SCORES) == scipy_stats.trim_mean(SCORES, 0.25)
    assert interquartile_mean(table) == interquartile_mean(SCORES[:20])
    np.testing.assert_allclose(interquartile_mean(table, axis=0), [interquartile_mean(column) for column in table.T], rtol=1e-15)


def test_the_interquartile_mean_moves_and_scales_with_the_runs_and_forgets_their_order():
    assert math.isclose(interquartile_mean(3 * SCORES - 7), 3 * interquartile_mean(SCORES) - 7)
    assert math.isclose(interquartile_mean(SCORES[::-1]), interquartile_mean(SCORES))
    assert math.isclose(interquartile_mean(-SCORES), -interquartile_mean(SCORES))


def test_one_lucky_seed_moves_the_mean_and_hardly_the_interquartile_mean():
    lucky = np.append(np.full(9, 10.0), 1e6)
    assert interquartile_mean(lucky) == 10 and lucky.mean() > 1e5


STEPS = np.array([0, 10, 40, 100])


def test_the_area_of_a_line_is_its_midpoint_whatever_the_spacing():
    np.testing.assert_allclose(area_under_curve(STEPS, np.stack([np.full(4, 7.0), 2.0 * STEPS - 1])), [7, 99], rtol=1e-14)
    assert area_under_curve([0, 1, 2], [[0, 4, 0]]) == 2                                                     # a triangle of height 4


def test_the_area_is_in_units_of_the_return():
    values = np.random.default_rng(2).normal(size=(5, 4))
    np.testing.assert_allclose(area_under_curve(1000 * STEPS + 3, 2 * values + 1), 2 * area_under_curve(STEPS, values) + 1, rtol=1e-13)


@pytest.mark.parametrize(("steps", "values"), [([0, 1, 1], np.ones((2, 3))), ([1], np.ones((2, 1))), ([0, 1], np.ones((2, 3))), ([0, 1], np.ones(2))])
def test_an_area_needs_increasing_steps_and_a_table(steps, values):
    with pytest.raises(ValueError, match=r"increasing steps \(points,\)"):
        area_under_curve(steps, values)


def test_one_number_for_each_seed_of_a_history():
    np.testing.assert_allclose(areas(HISTORY), [22.1, 24.1])
    np.testing.assert_allclose(final_values(HISTORY), [32.1, 34.1])
    np.testing.assert_allclose(final_values(HISTORY, last=3), HISTORY.table("eval_return")[1].mean(1))
    for last in (0, 4):
        with pytest.raises(ValueError, match="between 1 and all"):
            final_values(HISTORY, last=last)


@pytest.mark.parametrize("number", [areas, final_values])
def test_a_run_that_diverged_is_named_by_its_seed(number):
    """Seeds 2, 4 and 9, of which 4 and 9 hold a nan or an infinity; a seed that measured only other things shifts no name."""
    rows = [Row(seed, step, "eval_return", {4: math.nan, 9: -math.inf}.get(seed, 1.0)) for seed in (9, 4, 2) for step in (1, 2)]
    with pytest.raises(ValueError, match=r"from seed 4, seed 9\. A run that diverged is a result"):
        number(History([Row(0, 1, "loss", 1.0), *rows]))


def test_without_seeds_a_lost_run_is_named_by_its_position():
    with pytest.raises(ValueError, match=r"run 1 \(counted from 0\)"):
        require_runs([[1, 2], [3, math.nan]], "the test")


def test_one_seed_is_no_interval():
    with pytest.raises(ValueError, match=r"at least 2 runs.*One seed is no interval"):
        require_runs([3.0], "the test")


def test_ipr_90_of_runs_spread_evenly_over_the_range_is_nine_tenths():
    even = np.linspace(-50, 150, 101)
    assert math.isclose(inter_percentile_range(even, -50, 150), 0.9) and math.isclose(inter_percentile_range(even, -50, 150, share=0.5), 0.5)
    assert math.isclose(inter_percentile_range(even, -50, 350), 0.45)


def test_ipr_is_the_difference_of_two_percentiles():
    assert math.isclose(inter_percentile_range(SCORES, 2, 5), (np.percentile(SCORES, 95) - np.percentile(SCORES, 5)) / 3)
    assert math.isclose(inter_percentile_range(SCORES, 0, 1, share=1 - 1e-12), np.ptp(SCORES), rel_tol=1e-9)
    assert inter_percentile_range(np.full(9, 3.0), 0, 10) == 0
    assert math.isclose(inter_percentile_range(4 * SCORES + 1, 4 * 2 + 1, 4 * 5 + 1), inter_percentile_range(SCORES, 2, 5))


def test_more_seeds_shrink_the_interval_and_not_the_spread():
    """100 and 10,000 normal runs: IPR-90 stays at 2 · 1.645 σ, the interval of the mean is ten times shorter."""
    few, many = (np.random.default_rng(n).normal(size=n) for n in (100, 10_000))
    assert abs(inter_percentile_range(few, 0, 1) - 3.29) < 0.7 and abs(inter_percentile_range(many, 0, 1) - 3.29) < 0.1
    ratio = np.diff(mean_interval(few)[1:]) / np.diff(mean_interval(many)[1:])
    assert 8 < ratio[0] < 12


@pytest.mark.parametrize(("x", "low", "high", "share", "says"), [([1, 2], 3, 3, 0.9, "high must exceed low"), ([1, 2], 0, 1, 90, "level = 90"),
                                                                  ([1], 0, 1, 0.9, "at least 2 runs"), ([1, math.nan], 0, 1, 0.9, "run 1")])
def test_what_has_no_spread_or_scale_is_refused(x, low, high, share, says):
    with pytest.raises(ValueError, match=says):
        inter_percentile_range(x, low, high, share)
