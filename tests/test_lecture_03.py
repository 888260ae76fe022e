"""The numbers in the figures of lecture 03: against enumeration, dynamic programming, limits, and the package's own policy gradient."""

import numpy as np
import pytest
import torch

from rlcourse.equations import policy_gradient as eq
from rlcourse.figures import corridor, lecture_03

FULL, TO_GO, OTHERS, ADVANTAGE = corridor.ESTIMATORS
THETA = np.array([0.3, -0.8, 0.1, 1.2, -0.4])


@pytest.mark.parametrize("T", [1, 2, 5, 9])
def test_the_exact_gradient_is_the_slope_of_the_exact_return(T):
    slope = [(corridor.expected_return(THETA + h, T) - corridor.expected_return(THETA - h, T)) / 2e-5 for h in 1e-5 * np.eye(5)]
    np.testing.assert_allclose(corridor.gradient(THETA, T), slope, atol=1e-8)
    assert corridor.expected_return(np.full(5, 40.0), T) > corridor.expected_return(THETA, T) or T == 1


def test_all_episodes_together_give_the_return_and_the_gradient():
    p, scores, returns = corridor.every_episode(5)
    zero = np.zeros(5)
    assert len(p) == 4**5 and p.sum() == pytest.approx(1)
    assert p @ returns == pytest.approx(corridor.expected_return(zero, 5))
    np.testing.assert_allclose(p @ scores, 0, atol=1e-12)
    np.testing.assert_allclose((p * returns) @ scores, corridor.gradient(zero, 5), atol=1e-12)


def test_values_are_means_of_reward_to_go():
    states, _, rewards = corridor.play(THETA, 40_000, 4, np.random.default_rng(0))
    V = corridor.values(THETA, 4)[0]
    to_go = eq.reward_to_go(rewards)
    for t in range(4):
        for cell in np.unique(states[t]):
            seen = to_go[t, states[t] == cell]
            assert seen.mean() == pytest.approx(V[t, cell], abs=5 * seen.std() / np.sqrt(len(seen)) + 1e-9)


@pytest.mark.parametrize("name", corridor.ESTIMATORS)
def test_a_batch_of_the_corridor_is_what_the_packages_policy_gradient_says(name):
    """Copies, episodes and cells are not mixed up: against `policy_gradient`, one copy at a time."""
    theta = np.stack([THETA, THETA])
    states, actions, rewards = corridor.play(theta, 6, 3, np.random.default_rng(1))
    weighed = corridor.weights(name, states, rewards, THETA)
    ours = corridor.batch_gradient(theta, states, actions, weighed)
    logits = np.stack([np.zeros(5), THETA], -1)
    for copy in range(2):
        weights = np.array(weighed[:, copy])
        theirs = eq.policy_gradient(logits, states[:, copy], actions[:, copy], weights, np.ones_like(weights))
        np.testing.assert_allclose(ours[copy], theirs[:, 1], atol=1e-12)


def test_scores_are_those_of_automatic_differentiation():
    table = corridor.score_table(THETA)
    for s in range(5):
        for a in range(2):
            theta = torch.tensor(THETA, requires_grad=True)
            torch.nn.functional.logsigmoid(theta[s] * (2 * a - 1)).backward()
            np.testing.assert_allclose(table[s, a], theta.grad, atol=1e-12)


def test_four_estimators_have_one_mean_and_variances_in_the_stated_order():
    exact, spread = corridor.gradient(np.zeros(5), 10), []
    for name in corridor.ESTIMATORS:
        g = corridor.estimates(name, 4, 10, 6000)
        np.testing.assert_array_less(np.abs(g.mean(0) - exact), 5 * g.std(0) / np.sqrt(len(g)))
        spread.append(g.var(0).sum())
    assert spread[0] > 1.5 * spread[1] > 15 * spread[2] > 20 * spread[3]


def test_the_measured_noise_is_the_enumerated_one():
    """SNR(N) = N |∇J|² / Σ_k Var[g_k R], and the first picture's clouds are around 1."""
    p, scores, returns = corridor.every_episode(5)
    exact, single = (p * returns) @ scores, scores * returns[:, None]
    expected = (exact @ exact) / (p @ single**2 - exact**2).sum()
    ratio, downhill = corridor.signal_to_noise((2, 20), T=5, batches=300)[FULL]
    np.testing.assert_allclose(ratio.mean(0), [2 * expected, 20 * expected], rtol=0.08)
    assert 0.5 > downhill[:, 0].mean() > downhill[:, 1].mean() > 0.3
    assert corridor.uphill(exact[None], 5) == pytest.approx(1)


def test_the_mean_of_the_batch_costs_one_part_in_n_and_that_of_the_others_nothing():
    sizes = (2, 3, 8)
    found = corridor.in_batch_shares(sizes)
    for name, expected in (("batch", 1 - 1 / np.array(sizes)), ("others", np.ones(3))):
        error = found[name].std(0, ddof=1) / np.sqrt(10)
        assert (np.abs(found[name].mean(0) - expected) < 5 * error).all() and (error < 0.01).all()


def test_the_marker_stands_at_the_bottom_of_the_drawn_parabola():
    for cell in range(5):
        left, right = lecture_03.baseline_parabola(3.0, cell).axes
        curves = {line.get_gid(): line for line in left.lines}
        b, variance = (np.asarray(data) for data in curves["variance"].get_data())
        p, scores, returns = corridor.every_episode()
        z = scores[:, cell] * (returns - b[30])
        assert variance[30] == pytest.approx(p @ z**2 - (p @ z) ** 2)
        assert abs(b[variance.argmin()] - curves["best"].get_xdata()[0]) <= 0.05 + 1e-9
        assert right.lines[1].get_xdata()[0] == pytest.approx(corridor.gradient(np.zeros(5), 5)[cell])
    middle = {line.get_gid(): line for line in lecture_03.baseline_parabola(3.0, 2).axes[0].lines}
    assert middle["best"].get_xdata()[0] == pytest.approx(middle["mean"].get_xdata()[0])


def test_without_a_baseline_every_tried_action_goes_up_and_with_one_the_offset_is_not_seen():
    assert (lecture_03.bandit_steps(3.0, 0.3, baseline=False) > 0).all()
    np.testing.assert_array_equal(np.sign(lecture_03.bandit_steps(3.0, 0.3, baseline=True).round(12)), [-1, 0, 1])
    np.testing.assert_allclose(lecture_03.bandit_runs(0.0, 0.3, True), lecture_03.bandit_runs(5.0, 0.3, True), atol=1e-9)
    stuck = [(lecture_03.bandit_runs(offset, 0.3, False)[-1] < 0.1).mean() for offset in (0.0, 3.0)]
    assert stuck[0] < 0.05 < 0.3 < stuck[1]


def test_plain_ascent_feels_the_unit_of_the_reward_and_adam_does_not():
    lr = np.array([0.02, 0.2])
    np.testing.assert_allclose(corridor.ascents(lr, 10.0, False, updates=8), corridor.ascents(10 * lr, 1.0, False, updates=8))
    np.testing.assert_allclose(corridor.ascents(lr, 10.0, True, updates=8), corridor.ascents(lr, 1.0, True, updates=8), rtol=1e-6)


def test_a_batch_that_is_used_again_and_again_falls_behind():
    fresh, stale = corridor.reused().values()
    assert (fresh[:, 0] == stale[:, 0]).all() and fresh[0, 0] == pytest.approx(corridor.expected_return(np.zeros(5), 10))
    assert fresh[:, -1].mean() - stale[:, -1].mean() > 0.3 and stale[:, -1].std() > 2 * fresh[:, -1].std()


def test_the_titles_state_what_the_lecture_says():
    titles = [ax.get_title(loc="left") for ax in lecture_03.cloud().axes]
    assert titles == ["REINFORCE as it is: 38 % downhill", "Same mean, less noise: 1 % downhill"]
    assert lecture_03.in_batch_factor().axes[0].get_title(loc="left") == "At N = 2 the batch mean costs 50 % of the gradient"
    curves = lecture_03.learning_curves().axes[0].lines
    assert len(curves) == 5 and {len(line.get_xdata()) for line in curves} == {20}
    ends = [line.get_ydata()[-1] for line in curves]
    assert np.argmin(ends) == 0 and np.argmax(ends) == 3
