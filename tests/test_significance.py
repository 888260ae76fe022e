"""Comparing algorithms: exact enumeration, scipy, closed forms, and error rates that are counted."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats as scipy_stats
from scipy.stats import norm

from rlcourse import significance
from rlcourse.significance import enough_seeds, permutation_p, probability_of_improvement, shuffles


def rng(seed=0):
    return np.random.default_rng(seed)


X, Y = rng(1).normal(0.6, 1, (9, 2)), rng(2).normal(0, 2, (7, 2))


# Probability of improvement

def test_the_probability_of_improvement_equals_mann_whitneys_u():
    estimate = probability_of_improvement(X[:, 0], Y[:, 0], rng(), resamples=9).mean
    assert math.isclose(estimate, scipy_stats.mannwhitneyu(X[:, 0], Y[:, 0]).statistic / 63)
    tasks = [scipy_stats.mannwhitneyu(X[:, j], Y[:, j]).statistic / 63 for j in (0, 1)]
    assert math.isclose(probability_of_improvement(X, Y, rng(), resamples=9).mean, np.mean(tasks))
    assert math.isclose(probability_of_improvement(list(X.T), [Y[:, 0], Y[:5, 1]], rng(), resamples=9).mean,
                        (tasks[0] + scipy_stats.mannwhitneyu(X[:, 1], Y[:5, 1]).statistic / 45) / 2)


def test_ties_count_half():
    assert probability_of_improvement([1, 2, 2], [2, 2], rng(), resamples=9).mean == (0 + 0.5 + 0.5) / 3
    assert probability_of_improvement(np.full(4, 7.0), np.full(3, 7.0), rng(), resamples=9) == (0.5, 0.5, 0.5)


def test_both_directions_sum_to_one_and_an_increasing_map_changes_nothing():
    there, back = probability_of_improvement(X, Y, rng(), resamples=9).mean, probability_of_improvement(Y, X, rng(), resamples=9).mean
    assert math.isclose(there + back, 1)
    assert probability_of_improvement(np.exp(X), np.exp(Y), rng(5)) == probability_of_improvement(X, Y, rng(5))


def test_separated_arms_have_an_interval_without_width_and_the_permutation_test_says_what_it_is_worth():
    assert probability_of_improvement([3, 4], [1, 2], rng()) == (1, 1, 1)
    assert permutation_p([3, 4], [1, 2], shuffles(4, 4000, rng())) == pytest.approx(1 / 3, abs=5 * 0.0075)


def test_normal_arms_tend_to_the_closed_form_and_the_interval_covers_it():
    """Φ(1/√5) for N(1, 1) against N(0, 2²); 300 experiments of 20 runs cover it in 95 % of them less what the percentile bootstrap loses (3 %)."""
    truth, g = norm.cdf(1 / math.sqrt(5)), rng(3)
    assert abs(probability_of_improvement(g.normal(1, 1, 3000), g.normal(0, 2, 3000), g, resamples=2).mean - truth) < 5 * 0.5 / math.sqrt(3000)
    hits = [low <= truth <= high for _, low, high in
            (probability_of_improvement(g.normal(1, 1, 20), g.normal(0, 2, 20), g, resamples=300) for _ in range(300))]
    assert abs(np.mean(hits) - 0.935) < 0.015 + 5 * math.sqrt(0.95 * 0.05 / 300)


def test_both_arms_are_resampled():
    """Variance of the resampled share for one y: P(1−P)/n_x; for one y value among many it must grow with the spread of y as well."""
    x, y = np.arange(50.0), np.array([-1.0, 24.5, 99.0])
    low, high = probability_of_improvement(x, y, rng(), resamples=2000)[1:]
    assert low < 0.1 and high > 0.9                                                   # all-low and all-high draws of y occur in 1 of 27


@pytest.mark.parametrize(("x", "y", "says"), [([1], [1, 2], "One seed"), (X, Y[:, 0], "2 tasks for x and 1 for y"), ([1, math.nan], [1, 2], "run 1")])
def test_what_cannot_be_compared_is_refused(x, y, says):
    with pytest.raises(ValueError, match=says):
        probability_of_improvement(x, y, rng())


# Permutation test

def all_orders(n_x, n_y):
    """One order for each way to choose who is x; the first is the one that happened."""
    n = n_x + n_y
    return np.array([[*chosen, *(k for k in range(n) if k not in chosen)] for chosen in itertools.combinations(range(n), n_x)])


@pytest.mark.parametrize(("x", "y"), [(X[:4, 0], Y[:4, 0]), ([5, 6, 7, 8], [1, 2, 3, 4]), (X[:3, 1], Y[:6, 0]), ([0.1, 0.2, 0.3], [0.3, 0.3, 0.2])])
def test_all_orders_give_the_exact_p(x, y):
    exact = scipy_stats.permutation_test((x, y), lambda a, b, axis: np.abs(a.mean(axis) - b.mean(axis)), n_resamples=np.inf, vectorized=True,
                                         alternative="greater").pvalue
    assert math.isclose(permutation_p(x, y, all_orders(len(x), len(y))[1:]), exact)
    assert exact >= 2 / math.comb(len(x) + len(y), len(x)) or len(x) != len(y)


def test_the_observed_order_is_counted_once_more():
    assert permutation_p([5, 6, 7, 8], [1, 2, 3, 4], all_orders(4, 4)[1:]) == 2 / 70
    assert permutation_p([5, 6], [1, 2], np.zeros((0, 4), int)) == 1
    never = np.tile([0, 2, 1, 3], (9, 1))                                             # nine orders that all look less extreme
    assert permutation_p([5, 6], [1, 2], never) == 1 / 10


def test_p_is_symmetric_and_does_not_see_units():
    """Offsets of 10⁸ leave ties ties: the three orders that equal the observed one up to rounding are counted."""
    idx = all_orders(4, 4)[1:]
    p = permutation_p(X[:4, 0], Y[:4, 0], idx)
    assert p == permutation_p(Y[:4, 0], X[:4, 0], idx) == permutation_p(-3 * X[:4, 0] + 5, -3 * Y[:4, 0] + 5, idx)
    assert permutation_p([0.1, 0.2, 0.7], [0.3, 0.4, 0.9], all_orders(3, 3)[1:]) == permutation_p([1, 2, 7], [3, 4, 9], all_orders(3, 3)[1:])


def test_the_permutation_test_keeps_its_level_and_has_power():
    """2,000 experiments of 5 against 5 heavy-tailed runs: P(p <= 0.05) = 0.05 (M = 199); a difference of three scales is found in most."""
    g, idx = rng(4), shuffles(10, 199, rng(5))
    runs = g.standard_t(2, (2000, 10))
    share = np.mean([permutation_p(x[:5], x[5:], idx) <= 0.05 for x in runs])
    assert abs(share - 0.05) < 5 * math.sqrt(0.05 * 0.95 / 2000) + 0.01
    assert np.mean([permutation_p(x[:5] + 5, x[5:], idx) <= 0.05 for x in runs[:300]]) > 0.7


def test_shuffles_are_uniform_orders():
    idx = shuffles(3, 6000, rng(6))
    assert (np.sort(idx, axis=1) == np.arange(3)).all()
    counts = np.unique(idx, axis=0, return_counts=True)[1]
    assert len(counts) == 6 and scipy_stats.chisquare(counts).pvalue > 1e-6


@pytest.mark.parametrize(("x", "y", "idx", "says"), [
    ([], [1], np.zeros((3, 1), int), "at least 1 runs"), ([1], [math.inf], np.zeros((3, 2), int), "run 0"),
    ([1, 2], [3, 4], np.zeros((3, 2), int), r"idx is \(M, 4\)"),
])
def test_what_cannot_be_shuffled_is_refused(x, y, idx, says):
    with pytest.raises(ValueError, match=says):
        permutation_p(x, y, idx)


# Sequential test

def verdicts(x, y, **more):
    return [enough_seeds(a, b, **{"block": 5, "looks": 4, "seed": 0, "resamples": 199, **more}) for a, b in zip(x, y)]


@pytest.mark.parametrize("draw", [lambda g, size: g.normal(3, 1, size), lambda g, size: g.lognormal(0, 2, size)], ids=["normal", "skewed"])
def test_the_sequential_test_errs_as_rarely_as_it_says(draw):
    """1,500 experiments, four looks, no difference: one arm is named higher in 5 % of them, within 5 binomial standard errors (0.0056 each)."""
    x, y = draw(rng(7), (2, 1500, 20))
    named = [look.verdict in ("x is higher", "y is higher") for look in verdicts(x, y, seed=3)]
    assert abs(np.mean(named) - 0.05) < 5 * 0.0056


def test_a_t_test_after_every_block_errs_in_one_experiment_of_eight():
    x, y = rng(8).normal(size=(2, 4000, 20))
    p = np.stack([scipy_stats.ttest_ind(x[:, :n], y[:, :n], axis=1, equal_var=False).pvalue for n in (5, 10, 15, 20)])
    assert abs((p <= 0.05).any(0).mean() - 1 / 8) < 5 * math.sqrt(0.11 / 4000)


def test_the_level_is_spent_in_equal_parts():
    """By look k, in k/4 of the 5 %: 1.25 % of 2,000 shuffles may have stopped at the first look and no more, and so on."""
    x, y = rng(9).normal(size=(2, 1500, 20))
    stops = np.array([look.look for look in verdicts(x, y, resamples=799) if look.verdict != "no difference found"])
    for k in (1, 2, 3, 4):
        expected = 0.05 * k / 4
        assert abs((stops <= k).sum() / 1500 - expected) < 5 * math.sqrt(expected / 1500)


def test_large_differences_stop_early_small_ones_late_and_the_sign_is_right():
    x, y = rng(10).normal(size=(2, 120, 20))
    large, small = verdicts(x + 3, y, resamples=1999), verdicts(x, y + 1, resamples=1999)
    assert np.mean([look.verdict == "x is higher" for look in large]) > 0.99 and np.mean([look.runs for look in large]) < 8
    assert np.mean([look.verdict == "y is higher" for look in small]) > 0.6 and np.mean([look.runs for look in small]) > 10
    assert not any(look.verdict == "x is higher" for look in small)


def test_an_answer_stays_when_more_seeds_come():
    """Every look, called as the runs arrive, gives what the call with all runs gives; until then it says to go on."""
    for x, y in zip(*rng(11).normal([[[1.0]], [[0.0]]], 1, (2, 40, 20))):
        final = enough_seeds(x, y, 5, 4, seed=2, resamples=399)
        for k in range(1, 5):
            now = enough_seeds(x[:5 * k], y[:5 * k], 5, 4, seed=2, resamples=399)
            assert now == final if k >= final.look else (now.verdict == "run more seeds" and now.look == k and now.runs == 5 * k)
        assert final.look * 5 == final.runs and (final.statistic > final.boundary) == (final.verdict != "no difference found")


def test_one_look_with_every_order_is_the_exact_permutation_test(monkeypatch):
    """All C(8, 4) = 70 orders as shuffles: it stops where the exact p <= level, and at level 2/70 only where the arms are apart."""
    def listed(x, y, rows, entropy):
        z = np.concatenate([x, y])[all_orders(4, 4)]
        return z[:, :4].mean(1) - z[:, 4:].mean(1)

    monkeypatch.setattr(significance, "_shuffled_differences", listed)
    for x, y in rng(12).normal([[[1.0]], [[0.0]]], 1, (2, 60, 4)).swapaxes(0, 1):
        for level in (2 / 70, 0.1, 0.3):
            stopped = enough_seeds(x, y, 4, 1, seed=0, level=level, resamples=69).verdict != "no difference found"
            assert stopped == (permutation_p(x, y, all_orders(4, 4)[1:]) <= level + 1e-12)


def test_exactly_the_level_stops_when_every_order_takes_its_turn(monkeypatch):
    """Blocks of 3, two looks: all 20² orders, each once as the one that happened. At level 0.3 the first look may stop 60 of 400 and stops 40, as its
    |T| come in tens of 40; the second fills up to 120, so 30 % have stopped in all, which is the error rate without any simulation."""
    orders, z = all_orders(3, 3), rng(13).normal(size=(2, 6))

    def listed(x, y, rows, entropy):
        signed = np.concatenate([x, y])[orders] @ [1 / 3, 1 / 3, 1 / 3, -1 / 3, -1 / 3, -1 / 3]
        return np.repeat(signed, 20) if entropy[1] == 0 else np.tile(signed, 20)

    monkeypatch.setattr(significance, "_shuffled_differences", listed)
    looks = [enough_seeds(np.append(one[:3], two[:3]), np.append(one[3:], two[3:]), 3, 2, seed=0, level=0.3, resamples=399)
             for one in z[0][orders] for two in z[1][orders]]
    stopped = [look.look for look in looks if look.verdict != "no difference found"]
    assert (stopped.count(1), stopped.count(2)) == (40, 80)


def test_blocks_are_shuffled_independently():
    """One block of 5 has 252 orders, so no look at one alone may stop at level 0.004; two blocks have 63,504, and the second look does."""
    x, y = rng(14).normal(size=(2, 20))
    look = enough_seeds(x + 9, y, 5, 4, seed=0, level=0.004)
    assert (look.verdict, look.look) == ("x is higher", 2)


def test_seeds_that_all_agree_are_never_a_finding():
    assert enough_seeds(np.full(20, 5.0), np.full(20, 5.0), 5, 4, seed=0, resamples=199).verdict == "no difference found"


@pytest.mark.parametrize(("n_x", "n_y", "more", "says"), [
    (5, 10, {}, "given 5 and 10 runs"), (7, 7, {}, "whole blocks of 5"), (25, 25, {}, "at most 4 times"),
    (5, 5, {"resamples": 50}, "at least 80"), (5, 5, {"level": 5}, "level = 5"),
])
def test_looks_that_were_not_planned_are_refused(n_x, n_y, more, says):
    with pytest.raises(ValueError, match=says):
        verdicts([np.arange(n_x)], [np.arange(n_y)], **more)
