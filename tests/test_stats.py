"""What may be claimed from N seeds: scipy is the oracle, and a record comes back from its file bit for bit."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from rlcourse.stats import History, Row, mean_interval


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
