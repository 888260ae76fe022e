"""Soft dynamic programming and the messages of control as inference, against every trajectory, and against fifty digits where exponents are large."""

import dataclasses

import mpmath
import numpy as np
import pytest
from finite_worlds import policies, trajectories, world
from scipy.special import logsumexp

from rlcourse.tabular import dp, soft
from rlcourse.tabular.mdp import FiniteMDP, lottery
from rlcourse.types import ShapeError


@pytest.mark.parametrize("alpha", [0.05, 1.0, 20.0])
@pytest.mark.parametrize("seed", range(5))
def test_soft_value_iteration(seed, alpha):
    mdp = world(seed, gamma=0.8, n_terminal=seed % 2)
    V, Q, pi = soft.soft_value_iteration(mdp, alpha, tol=1e-11)
    goes_on = ~mdp.terminal
    np.testing.assert_allclose(V[goes_on], alpha * logsumexp(Q[goes_on] / alpha, axis=-1), atol=2e-11)
    np.testing.assert_allclose(Q, mdp.r + 0.8 * mdp.P @ V, atol=1e-12)
    np.testing.assert_allclose(pi.sum(-1), 1, atol=1e-12)
    np.testing.assert_allclose(pi[goes_on], np.exp((Q - V[:, None]) / alpha)[goes_on], rtol=1e-8)
    np.testing.assert_allclose(soft.soft_policy_evaluation(mdp, pi, alpha)[0], V, atol=1e-10)
    others = soft.soft_policy_evaluation(mdp, policies(mdp, seed, 200), alpha)[0]
    assert (others <= V + 1e-10).all() and (V - others).max() > 1e-3, "no policy is worth more"
    hard = dp.value_iteration(mdp, 1e-11)[0]
    assert (hard - 1e-10 <= V).all() and (V - hard).max() <= alpha * np.log(3) / (1 - 0.8)
    scaled = soft.soft_value_iteration(dataclasses.replace(mdp, r=7 * mdp.r), 7 * alpha)
    np.testing.assert_allclose(scaled[0], 7 * V, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(scaled[2], pi, atol=1e-8)


def test_alpha_to_zero_is_value_iteration_and_does_not_overflow():
    mdp = world(7)
    V, _, pi = dp.value_iteration(mdp, 1e-12)
    for alpha in (1e-1, 1e-3, 1e-6):
        V_soft, _, pi_soft = soft.soft_value_iteration(mdp, alpha)
        assert (V_soft - V).min() >= -1e-10 and (V_soft - V).max() <= alpha * np.log(3) / (1 - 0.9)
    np.testing.assert_allclose(pi_soft, pi, atol=1e-12)


def test_promised_accuracy_of_soft_value_iteration():
    mdp = world(2, gamma=0.95)
    truth = soft.soft_value_iteration(mdp, 0.5, 1e-13)[0]
    for tol in (1.0, 1e-2, 1e-5):
        assert abs(soft.soft_value_iteration(mdp, 0.5, tol)[0] - truth).max() <= tol
    ending = world(2, gamma=1.0, n_terminal=1)
    V, _, pi = soft.soft_value_iteration(ending, 0.5, 1e-9)
    np.testing.assert_allclose(soft.soft_policy_evaluation(ending, pi, 0.5)[0], V, atol=1e-8)


def test_constant_rewards_collect_entropy_for_ever_and_an_end_collects_none():
    P, p0 = np.ones((1, 2, 1)), np.ones(1)
    assert soft.soft_value_iteration(FiniteMDP(P, np.full((1, 2), 3.0), 0.5, p0), 2.0)[0] == pytest.approx((3 + 2 * np.log(2)) / 0.5)
    over, goes_on = FiniteMDP(P, np.zeros((1, 2)), 0.5, p0), FiniteMDP(P, np.zeros((1, 2)), 0.5, p0, terminal=np.array([False]))
    assert soft.soft_value_iteration(over, 2.0)[0] == 0 and soft.soft_value_iteration(over, 2.0)[2].tolist() == [[0.5, 0.5]]
    assert soft.soft_value_iteration(goes_on, 2.0)[0] == pytest.approx(2 * np.log(2) / 0.5)
    assert soft.soft_policy_evaluation(over, np.array([[0.5, 0.5]]), 2.0)[0] == 0


def test_soft_policy_evaluation_is_the_sum_of_rewards_and_entropies():
    mdp, alpha = world(1, gamma=0.8), 0.7
    pi = policies(mdp, 3, 2)
    pi[0, 1] = [0.0, 1.0, 0.0]
    V, Q = soft.soft_policy_evaluation(mdp, pi, alpha)
    P_pi, r_pi = mdp.under(pi)
    entropy = np.array([[-sum(p * np.log(p) for p in row if p) for row in table] for table in pi])
    np.testing.assert_allclose(
        V, sum(0.8**t * np.einsum("ksu,ku->ks", np.linalg.matrix_power(P_pi, t), r_pi + alpha * entropy) for t in range(200)), atol=1e-12
    )
    np.testing.assert_allclose(V - (pi * Q).sum(-1), alpha * entropy, atol=1e-12, err_msg="Q leaves the entropy of its own action out")
    np.testing.assert_allclose(soft.soft_policy_evaluation(mdp, pi, 0.0)[0], dp.policy_evaluation(mdp, pi)[0], atol=1e-13)


def case(seed, T=3):
    """A small world with zeros in P, one prior per step with a zero in it, and a temperature."""
    mdp = world(seed, n_states=3, n_actions=2, branching=1 + seed % 3, n_terminal=seed % 2)
    prior = policies(mdp, seed + 10, T)
    prior[1, 0] = [1.0, 0.0]
    return mdp, T, prior, [0.3, 1.0, 2.5][seed % 3]


@pytest.mark.parametrize("seed", range(6))
def test_backward_messages_and_posterior_policy_by_enumeration(seed):
    mdp, T, prior, alpha = case(seed)
    V, Q = soft.backward_messages(mdp, T, alpha, prior)
    pi = soft.posterior_policy(V, Q, prior, alpha)
    for t in range(T):
        for s in range(3):
            _, a, log_p, R = trajectories(mdp, T - t, prior[t:], np.eye(3)[s])
            log_joint = log_p + R / alpha
            assert V[t, s] == pytest.approx(alpha * logsumexp(log_joint), abs=1e-12)
            for first in range(2):
                of_action = logsumexp(log_joint[a[:, 0] == first])
                assert pi[t, s, first] == pytest.approx(np.exp(of_action - logsumexp(log_joint)), abs=1e-12)
                if prior[t, s, first] > 0:
                    assert Q[t, s, first] == pytest.approx(alpha * (of_action - np.log(prior[t, s, first])), abs=1e-12)
    np.testing.assert_allclose(pi.sum(-1), 1, atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_forward_messages_by_enumeration(seed):
    mdp, T, prior, alpha = case(seed)
    forward = soft.forward_messages(mdp, T, alpha, prior)
    states, _, log_p, R = trajectories(mdp, T, prior, mdp.p0)
    log_joint = log_p + R / alpha
    for t in range(T):
        for s in range(3):  # the trajectory up to s_t, and the rewards before it
            early, a, p, _ = trajectories(mdp, t + 1, prior[: t + 1], mdp.p0)
            here = early[:, t] == s
            expected = logsumexp((p + mdp.r[early[:, :t], a[:, :t]].sum(-1) / alpha)[here])
            assert forward[t, s] == pytest.approx(expected, abs=1e-12)
    V, _ = soft.backward_messages(mdp, T, alpha, prior)
    np.testing.assert_allclose(logsumexp(forward + V / alpha, axis=-1), logsumexp(log_joint), atol=1e-12, err_msg="the evidence, at every t")
    smoothed = np.exp(forward + V / alpha - logsumexp(log_joint))
    for t in range(T):
        np.testing.assert_allclose(smoothed[t], [np.exp(log_joint - logsumexp(log_joint))[states[:, t] == s].sum() for s in range(3)], atol=1e-12)


@pytest.mark.parametrize(("seed", "alpha"), [(2, 1e-3), (4, 2e-3), (0, 1e-3), (6, 1e-3)])
def test_rewards_of_a_thousand_temperatures_against_fifty_digits(seed, alpha):
    """|r|/alpha = 1000: exp overflows and underflows float64, and the messages stay accurate."""
    mdp = dataclasses.replace(case(seed)[0], r=np.array([[1.0, -1.0], [-1.0, -0.9], [-0.3, 1.0]]))
    T, prior = 3, np.full((3, 3, 2), 0.5)
    V, Q = soft.backward_messages(mdp, T, alpha)
    forward, pi = soft.forward_messages(mdp, T, alpha), soft.posterior_policy(V, Q, None, alpha)
    with mpmath.workdps(50):
        for s in range(3):
            _, a, log_p, R = trajectories(mdp, T, prior, np.eye(3)[s])
            weights = [mpmath.exp(mpmath.mpf(p) + mpmath.mpf(x) / alpha) if np.isfinite(p) else mpmath.mpf(0) for p, x in zip(log_p, R)]
            assert V[0, s] == pytest.approx(float(alpha * mpmath.log(mpmath.fsum(weights))), rel=1e-12)
            share = mpmath.fsum(w for w, first in zip(weights, a[:, 0]) if first == 0) / mpmath.fsum(weights)
            assert pi[0, s, 0] == pytest.approx(float(share), rel=1e-9, abs=1e-300)
    assert np.isfinite(V).all() and np.isfinite(Q).all() and not np.isnan(forward).any()
    np.testing.assert_allclose(logsumexp(forward + V / alpha, axis=-1), logsumexp(np.log(mdp.p0) + V[0] / alpha), rtol=1e-13)


@pytest.mark.parametrize("seed", range(6))
def test_variational_messages_are_the_best_lower_bound(seed):
    """log Z - ELBO(q) = KL(q(tau) || p(tau|O)) for every q; the soft dynamic programme has the largest ELBO; it is tight without luck."""
    mdp, T, prior, alpha = case(seed)
    V, Q = soft.variational_messages(mdp, T, alpha, prior)
    exact, _ = soft.backward_messages(mdp, T, alpha, prior)
    assert (V - exact < 1e-12).all() and (abs(V - exact).max() < 1e-12) == (seed % 3 == 0), "seed % 3 == 0 has deterministic dynamics"
    _, _, log_p, R = trajectories(mdp, T, prior, mdp.p0)
    log_Z = logsumexp(log_p + R / alpha)
    candidates = [soft.posterior_policy(V, Q, prior, alpha), *(np.where(prior == 0, 0, p) for p in policies(mdp, seed, 20, T))]
    bounds = []
    for q in (q / q.sum(-1, keepdims=True) for q in candidates):
        log_q = trajectories(mdp, T, q, mdp.p0)[2]
        seen = np.isfinite(log_q)
        weight, log_ratio = np.exp(log_q[seen]), log_q[seen] - log_p[seen]
        bounds.append(weight @ (R[seen] / alpha - log_ratio))
        divergence = weight @ (log_q[seen] - (log_p + R / alpha - log_Z)[seen])
        assert log_Z - bounds[-1] == pytest.approx(divergence, abs=1e-10) and divergence > -1e-12
    assert bounds[0] == pytest.approx(mdp.p0 @ V[0] / alpha, abs=1e-12) and max(bounds[1:]) < bounds[0]


def test_limits_of_the_messages():
    mdp, T = world(5, n_states=3, n_actions=2), 4
    prior = policies(mdp, 1)
    for messages in (soft.backward_messages, soft.variational_messages):
        V, Q = messages(mdp, T, 0.8, prior)
        assert V.shape == (T, 3) and Q.shape == (T, 3, 2) and np.array_equal(Q[-1], mdp.r)
        np.testing.assert_allclose(V[1], messages(mdp, T - 1, 0.8, prior)[0][0], atol=1e-13, err_msg="only the time to go matters")
        np.testing.assert_allclose(messages(dataclasses.replace(mdp, gamma=0.1), T, 0.8, prior)[0], V, err_msg="gamma is not used")
        np.testing.assert_allclose(messages(mdp, T, 0.8)[0], messages(mdp, T, 0.8, np.full((3, 2), 0.5))[0])
        np.testing.assert_allclose(messages(mdp, 1, 0.8)[1], mdp.r[None])
        P_pi, r_pi = mdp.under(prior)
        values = [sum(np.linalg.matrix_power(P_pi, k) @ r_pi for k in range(T - t)) for t in range(T)]
        np.testing.assert_allclose(messages(mdp, T, 1e6, prior)[0], values, atol=1e-4)
    best = [np.zeros(3)]
    for _ in range(T):
        best.insert(0, (mdp.r + mdp.P @ best[0]).max(-1))
    np.testing.assert_allclose(soft.variational_messages(mdp, T, 1e-7)[0], best[:-1], atol=1e-5)
    still = soft.forward_messages(dataclasses.replace(mdp, r=0 * mdp.r), T, 0.8, prior)
    np.testing.assert_allclose(np.exp(still), [mdp.p0 @ np.linalg.matrix_power(P_pi, t) for t in range(T)], atol=1e-14)
    np.testing.assert_allclose(soft.posterior_policy(V, np.repeat(V[..., None], 2, -1), prior, 0.8), np.broadcast_to(prior, (T, 3, 2)))


def test_exact_inference_believes_in_luck():
    """A ticket that wins 10 with probability 0.01, against a safe 1: worth 0.1, and to exact inference log(0.01 e^10 + 0.99) = 5.4."""
    mdp = lottery(probability=0.01, prize=10.0, safe=1.0)
    optimistic, sober = soft.backward_messages(mdp, 2, 1.0)[1][0, 0], soft.variational_messages(mdp, 2, 1.0)[1][0, 0]
    np.testing.assert_allclose(optimistic, [1.0, np.log(0.01 * np.exp(10) + 0.99)])
    np.testing.assert_allclose(sober, [1.0, 0.1])


def test_soft_values_and_boltzmann():
    Q = np.array([[1.0, 2.0, 2.0], [1000.0, -1000.0, 999.0]])
    np.testing.assert_allclose(soft.soft_values(Q, 0.5), 0.5 * logsumexp(Q / 0.5, axis=-1))
    np.testing.assert_allclose(soft.boltzmann(Q, 0.5).sum(-1), 1)
    np.testing.assert_allclose(soft.boltzmann(Q, 1e-3), [[0, 0.5, 0.5], [1, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(soft.soft_values(np.ones((2, 4)), 3.0), 1 + 3 * np.log(4))


def test_errors_teach():
    mdp = world(0)
    for alpha in (0.0, -1.0, float("nan"), float("inf")):
        for call in (soft.soft_value_iteration, lambda mdp, alpha: soft.backward_messages(mdp, 2, alpha)):
            with pytest.raises(ValueError, match=r"alpha is .* positive and finite"):
                call(mdp, alpha)
    with pytest.raises(ValueError, match="worth of one nat"):
        soft.soft_policy_evaluation(mdp, policies(mdp), -0.1)
    for horizon in (0, 2.0, True):
        with pytest.raises(ValueError, match="horizon is"):
            soft.forward_messages(mdp, horizon, 1.0)
    with pytest.raises(ValueError, match=r"prior came as \(3, 4, 3\).*2 steps"):
        soft.backward_messages(mdp, 2, 1.0, policies(mdp, 0, 3))
    with pytest.raises(ValueError, match="prior sums to 2 in state 0"):
        soft.backward_messages(mdp, 2, 1.0, 2 * policies(mdp))
    with pytest.raises(ShapeError, match=r"V came as \(4,\)"):
        soft.posterior_policy(np.zeros(4), np.zeros((2, 4, 3)), None, 1.0)
