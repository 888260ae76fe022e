"""The numbers in the figures of lecture 01: against closed forms, limits, enumeration."""

import itertools

import numpy as np
import pytest

from rlcourse.figures import lecture_01
from rlcourse.tabular import chains, dp


def test_the_ring_of_five_forgets_at_the_rate_of_its_second_eigenvalue_and_the_ring_of_six_does_not():
    mu, settled, far = lecture_01.distances(lecture_01.ring(5), np.eye(5)[0], 60)
    np.testing.assert_allclose(settled, 0.2, rtol=1e-14)
    assert far[50] / far[49] == pytest.approx(np.cos(np.pi / 5), rel=1e-4)
    mu, _, far = lecture_01.distances(lecture_01.ring(6), np.eye(6)[0], 60)
    np.testing.assert_allclose(mu[50], [1 / 3, 0, 1 / 3, 0, 1 / 3, 0], atol=1e-4)
    assert far[-1] == pytest.approx(0.5)


def test_time_in_a_state_of_the_cycle_is_one_over_the_chance_to_leave_it():
    settled = chains.stationary(lecture_01.cycle(0.3, 0.8))
    waiting = np.array([1 / 0.3, 1 / 0.8, 1 / 0.5])
    np.testing.assert_allclose(settled, waiting / waiting.sum(), rtol=1e-14)
    _, settled, far = lecture_01.distances(lecture_01.cycle(0.3, 0.8, lecture_01.CYCLES[1]), np.eye(3)[1], 31)
    np.testing.assert_allclose(settled, 1 / 3)
    np.testing.assert_allclose(far, 2 / 3)


@pytest.mark.parametrize("steps", [1, 3, 10])
@pytest.mark.parametrize("logit", [-2.0, 0.0, 1.0, 6.0])
def test_the_road_is_a_geometric_sum_and_its_slope_a_difference(steps, logit):
    J, slope, paid = lecture_01.road(steps, logit)
    steer = 1 / (1 + np.exp(-logit))
    np.testing.assert_allclose(paid, steer ** np.arange(1, steps + 1), rtol=1e-12)
    assert pytest.approx(paid.sum()) == J
    up, down = (lecture_01.road(steps, logit + h)[0] for h in (1e-5, -1e-5))
    assert slope == pytest.approx((up - down) / 2e-5, rel=1e-6)


def test_the_belief_is_bayes_rule_on_all_walks_of_the_robot():
    mdp, eyes, noise = lecture_01.rooms(), lecture_01.emission(0.2), 0.2
    (after, before), (_, seen) = lecture_01.beliefs(noise, 3), lecture_01.walk(noise, 3)
    walks = np.array(list(itertools.product(range(5), repeat=4)))
    chance = np.full(len(walks), 0.2)
    for i, o in enumerate(seen):
        chance *= mdp.P[walks[:, i], 1, walks[:, i + 1]]
        if i == 2:
            np.testing.assert_allclose(before[3], np.bincount(walks[:, 3], chance) / chance.sum(), atol=1e-14)
        chance *= eyes[walks[:, i + 1], o]
    np.testing.assert_allclose(after[3], np.bincount(walks[:, 3], chance) / chance.sum(), atol=1e-14)


def test_eyes_that_tell_nothing_and_eyes_that_are_closed_leave_the_belief_uniform():
    for noise, known in ((0.5, lecture_01.KNOWN[0]), (0.1, lecture_01.KNOWN[1])):
        np.testing.assert_allclose(lecture_01.beliefs(noise, 12, known)[0], 0.2, atol=1e-15)
    assert lecture_01.entropy(np.full(5, 0.2)) == pytest.approx(np.log(5))
    assert not lecture_01.entropy(np.eye(5)[2]).any()


def test_the_robots_walk_is_the_same_for_every_noise_and_sees_what_is_there_without_noise():
    s, seen = lecture_01.walk(0.0)
    assert np.array_equal(s, lecture_01.walk(0.4)[0])
    assert np.array_equal(seen, lecture_01.DOORS[s[1:]])
    assert set((np.diff(s) % 5).tolist()) <= {0, 1}
    assert lecture_01.beliefs(0.0, 12)[0][np.arange(13), s].min() > 0


def test_greedy_moves_of_the_drifters_q_are_better_in_every_cell():
    mdp, pi = lecture_01.drifter()
    V, Q = dp.policy_evaluation(mdp, pi)
    better, _ = dp.policy_evaluation(mdp, dp.greedy(Q))
    assert (better > V)[~mdp.terminal].all()


def test_moments_of_the_return_and_the_error_of_the_mean_are_those_of_samples():
    mdp, pi = lecture_01.drifter()
    mean, std = lecture_01.return_moments(mdp, pi)
    returns = chains.sample_returns(mdp, pi, (20_000,), 120, np.random.default_rng(9))
    assert returns.mean() == pytest.approx(mean, abs=4 * std / 141)
    assert returns.std() == pytest.approx(std, rel=0.03)
    n, means = lecture_01.running_means(seeds=30, episodes=256)
    assert means.shape == (30, 9) and n[-1] == 256
    np.testing.assert_allclose(means.std(0)[-1], std / 16, rtol=0.4)
