"""How many seeds, and what choosing the best of them pretends: tables, enumeration, quadrature and simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate
from scipy import stats as scipy_stats
from scipy.stats import norm

from rlcourse.significance import best_of_k_bias, best_of_k_mean, sample_size, simulated_power, welch_power


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("d", "n", "power"), [(0.5, 64, 0.8015), (0.8, 26, 0.8075), (1.0, 17, 0.8070), (0.2, 394, 0.8006)])
def test_power_agrees_with_cohens_tables(d, n, power):
    assert math.isclose(welch_power(d, 1, 1, n, n), power, abs_tol=6e-5)


def test_limits_of_power():
    assert math.isclose(welch_power(0, 1, 3, 5, 9), 0.05) and math.isclose(welch_power(0, 2, 2, 7, 7, level=0.2), 0.2)
    assert math.isclose(welch_power(50, 1, 1, 5, 5), 1) and math.isclose(welch_power(1e9, 1, 0, 2, 2), 1)
    assert math.isclose(welch_power(0.01, 1, 1, 10**5, 10**5), norm.cdf(math.sqrt(5) - 1.959964) + norm.cdf(-math.sqrt(5) - 1.959964), abs_tol=1e-4)
    assert welch_power(-1, 2, 3, 8, 9) == welch_power(1, 2, 3, 8, 9) == welch_power(1, 3, 2, 9, 8)
    assert math.isclose(welch_power(100, 200, 300, 8, 9), welch_power(1, 2, 3, 8, 9))


@pytest.mark.parametrize(("d", "sd_x", "sd_y", "n_x", "n_y"), [(1, 1, 1, 8, 8), (1.5, 1, 3, 20, 10), (2, 2, 0.5, 6, 12)])
def test_power_agrees_with_simulated_t_tests(d, sd_x, sd_y, n_x, n_y):
    """20,000 experiments: 5 binomial standard errors (0.0035 each), and 0.01 for Welch's approximate degrees of freedom."""
    g = rng(n_x)
    p = scipy_stats.ttest_ind(g.normal(d, sd_x, (20_000, n_x)), g.normal(0, sd_y, (20_000, n_y)), axis=1, equal_var=False).pvalue
    assert abs((p <= 0.05).mean() - welch_power(d, sd_x, sd_y, n_x, n_y)) < 5 * 0.0035 + 0.01 * (sd_x != sd_y)


def test_the_sample_size_is_the_smallest_with_the_wanted_power():
    assert sample_size(11_321, 1_108) == 17 and sample_size(1, 1, relative=0.5) == 64 and sample_size(1, 1, relative=0.2) == 394
    for sd, power, level in itertools.product((0.05, 0.2, 0.9), (0.8, 0.95), (0.05, 0.01)):
        n = sample_size(1, sd, 0.1, power, level)
        assert welch_power(0.1, sd, sd, n, n, level) >= power and (n == 2 or welch_power(0.1, sd, sd, n - 1, n - 1, level) < power)
        assert n == sample_size(-250, 250 * sd, 0.1, power, level)                     # units and signs do not matter
        formula = 2 * (norm.ppf(1 - level / 2) + norm.ppf(power)) ** 2 * (sd / 0.1) ** 2
        assert n < 6 or formula < n < formula + 4
    assert sample_size(1, 1e-6) == 2


@pytest.mark.parametrize(("call", "says"), [
    (lambda: sample_size(0, 1), "no number of runs"), (lambda: sample_size(5, 1, relative=0), "no number of runs"),
    (lambda: sample_size(5, 0), "some spread"),
    (lambda: sample_size(1, math.nan), "no number of runs"), (lambda: sample_size(1, 1e6), "more than a million"),
    (lambda: sample_size(1, 1, power=80), "level = 80"), (lambda: welch_power(1, 1, 1, 1, 5), "at least 2 runs"),
    (lambda: welch_power(1, 0, 0, 5, 5), "some spread"), (lambda: simulated_power([1, 2], 0.1, 1, rng()), "at least 2 runs"),
    (lambda: simulated_power([1], 0.1, 5, rng()), "One seed"), (lambda: simulated_power([1, math.nan], 0.1, 5, rng()), "run 1"),
])
def test_experiments_that_cannot_be_planned_are_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_power_by_resampling_agrees_with_the_formula_for_normal_runs():
    runs = norm.ppf((np.arange(4000) + 0.5) / 4000) * 2 + 10
    share, low, high = simulated_power(runs, 0.2, 12, rng(1), resamples=4000)
    expected = welch_power(2, 2, 2, 12, 12)
    assert abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / 4000) and low < share < high
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(share * (1 - share) / 4000), rel=0.05)
    assert abs(simulated_power(runs, 0.0, 12, rng(2), resamples=4000).mean - 0.05) < 5 * 0.0035
    assert simulated_power(7 * runs, 0.2, 12, rng(1), resamples=4000).mean == share


def test_power_by_resampling_is_that_of_scipys_t_test():
    runs = rng(3).lognormal(size=15)
    x, y = rng(4).choice(runs, (2, 500, 6))
    p = scipy_stats.ttest_ind(x, y + 0.5 * runs.mean(), axis=1, equal_var=False).pvalue
    assert simulated_power(runs, 0.5, 6, rng(4), resamples=500).mean == (p < 0.05).mean()


def test_failed_seeds_cost_power():
    """A tenth of the seeds fail: ten runs an arm no longer see 20 %."""
    good = rng(5).normal(100, 10, 90)
    assert simulated_power(good, 0.2, 10, rng(6)).low > 0.95
    assert simulated_power(np.append(good, np.zeros(10)), 0.2, 10, rng(6)).high < 0.8


def test_pilot_runs_that_agree_give_no_warning():
    assert simulated_power(np.full(5, 3.0), 0.1, 4, rng()).mean == 1 and simulated_power(np.full(5, 3.0), 0.0, 4, rng()).mean == 0


def normal_score(j, k):
    """E[Z₍j:k₎] by adaptive quadrature, from the textbook's density k!/((j−1)!(k−j)!) Φ^{j−1} (1−Φ)^{k−j} φ."""
    weight = math.factorial(k) / math.factorial(j - 1) / math.factorial(k - j)
    return integrate.quad(lambda z: z * weight * norm.cdf(z) ** (j - 1) * norm.sf(z) ** (k - j) * norm.pdf(z), -9, 9, epsabs=1e-12)[0]


@pytest.mark.parametrize(("k", "m"), [(2, 1), (3, 1), (5, 2), (10, 3), (30, 5)])
def test_best_of_k_against_quadrature(k, m):
    assert math.isclose(best_of_k_bias(2.5, k, m), 2.5 * np.mean([normal_score(j, k) for j in range(k - m + 1, k + 1)]), rel_tol=1e-8)


def test_best_of_k_in_closed_form():
    assert math.isclose(best_of_k_bias(7, 2, 1), 7 / math.sqrt(math.pi), rel_tol=1e-12)
    assert math.isclose(best_of_k_bias(1, 3, 1), 1.5 / math.sqrt(math.pi), rel_tol=1e-12)
    assert round(best_of_k_bias(1, 30, 5), 2) == 1.45 and best_of_k_bias(0, 9, 2) == 0
    for k in (1, 4, 30):
        assert abs(best_of_k_bias(3, k, k)) < 1e-12
    assert math.isclose(3 * best_of_k_bias(1, 10, 3), 7 * best_of_k_bias(1, 10, 7), rel_tol=1e-10)


@pytest.mark.parametrize(("k", "m"), [(1, 1), (3, 1), (3, 2), (4, 4), (6, 2)])
def test_best_of_given_runs_by_listing_every_choice(k, m):
    runs = np.array([3.0, -1.0, 10.0, 4.0, 4.0, 0.5])
    listed = [np.mean(sorted(chosen)[-m:]) for chosen in itertools.combinations(runs, k)]
    assert math.isclose(best_of_k_mean(runs, k, m), np.mean(listed), rel_tol=1e-12)


def test_best_of_many_normal_runs_tends_to_the_bias():
    runs = norm.ppf((np.arange(4000) + 0.5) / 4000) * 3 + 50
    assert math.isclose(best_of_k_mean(runs, 30, 5), 50 + best_of_k_bias(3, 30, 5), abs_tol=0.02)
    assert best_of_k_mean([1.0, 9.0, 5.0, 7.0], 4, 2) == 8


@pytest.mark.parametrize("call", [lambda: best_of_k_bias(1, 3, 4), lambda: best_of_k_bias(1, 3, 0), lambda: best_of_k_bias(-1, 3, 1),
                                  lambda: best_of_k_mean([1, 2], 3, 1), lambda: best_of_k_mean([1, 2], 2, 0)])
def test_a_choice_that_cannot_be_made_is_refused(call):
    with pytest.raises(ValueError, match="1 <= m <= k"):
        call()
