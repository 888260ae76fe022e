"""Chains, marginals, beliefs and sampled returns against enumeration, closed forms and limits."""

import itertools

import numpy as np
import pytest
from finite_worlds import policies, trajectories, world

from rlcourse.tabular import chains, dp
from rlcourse.tabular.mdp import lottery
from rlcourse.types import ShapeError


def random_chain(seed, states=4):
    return np.random.default_rng(seed).dirichlet(np.ones(states), size=states)


def tree_weights(P):
    """The Markov chain tree theorem: μ(s) is in proportion to the sum over trees into s of the product of their edges."""
    states, weight = range(len(P)), np.zeros(len(P))
    for root in states:
        others = [s for s in states if s != root]
        for choice in itertools.product(states, repeat=len(others)):
            step = dict(zip(others, choice))
            if all(_arrives(s, root, step) for s in others):
                weight[root] += np.prod([P[s, step[s]] for s in others])
    return weight / weight.sum()


def _arrives(s, root, step):
    for _ in range(len(step) + 1):
        if s == root:
            return True
        s = step[s]
    return False


@pytest.mark.parametrize("states", [1, 2, 3, 4])
def test_stationary_is_left_as_it_is_and_is_the_tree_formula(states):
    for seed in range(5):
        P = random_chain(seed, states)
        mu = chains.stationary(P)
        np.testing.assert_allclose(mu @ P, mu, atol=1e-14)
        np.testing.assert_allclose(mu, tree_weights(P), rtol=1e-12)
        np.testing.assert_allclose(chains.stationary((np.eye(states) + P) / 2), mu, atol=1e-14)


def test_stationary_of_two_states_and_of_doubly_stochastic_chains():
    p, q = 0.3, 0.05
    np.testing.assert_allclose(chains.stationary(np.array([[1 - p, p], [q, 1 - q]])), [q / (p + q), p / (p + q)], rtol=1e-14)
    circle = np.roll(np.eye(5), 1, axis=1)
    np.testing.assert_allclose(chains.stationary(circle), 0.2)                           # periodic
    np.testing.assert_allclose(chains.stationary(0.3 * circle + 0.7 * circle.T), 0.2, rtol=1e-14)


def test_stationary_keeps_all_digits_of_rare_states_and_gives_transient_ones_zero():
    rare = 1e-200
    P = np.array([[1 - rare, rare, 0], [0.5, 0, 0.5], [0, 1.0, 0]])
    np.testing.assert_allclose(chains.stationary(P)[1:], [2 * rare, rare], rtol=1e-13)
    leaves = np.array([[0.2, 0.4, 0.4], [0, 0.5, 0.5], [0, 0.25, 0.75]])
    np.testing.assert_allclose(chains.stationary(leaves), [0, 1 / 3, 2 / 3], rtol=1e-14)
    assert chains.stationary(leaves)[0] == 0


def test_a_chain_that_splits_has_no_answer_of_its_own():
    with pytest.raises(ValueError, match=r"The chain splits: from state 0 it never reaches the states \[2\]"):
        chains.stationary(np.array([[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1.0]]))
    with pytest.raises(ShapeError, match=r"needs \(S, S\)"):
        chains.stationary(np.full((2, 4), 0.25))
    with pytest.raises(ValueError, match="the outcome is the last one"):
        chains.stationary(np.array([[0.9, 0.5], [0.1, 0.5]]))


def test_state_marginals_are_powers_of_the_chain():
    P, p0 = random_chain(3), random_chain(4)[0]
    mu = chains.state_marginals(P, p0, 7)
    assert mu.shape == (7, 4)
    for t in range(7):
        np.testing.assert_allclose(mu[t], p0 @ np.linalg.matrix_power(P, t), atol=1e-15)
    np.testing.assert_allclose(chains.state_marginals(P, p0, 200)[-1], chains.stationary(P), atol=1e-13)
    with pytest.raises(ShapeError, match="for a chain of 4 states"):
        chains.state_marginals(P, np.array([0.5, 0.5]), 3)
    with pytest.raises(ValueError, match="horizon is 0"):
        chains.state_marginals(P, p0, 0)


@pytest.mark.parametrize("seed", range(3))
def test_marginals_and_expected_return_are_those_of_all_trajectories(seed):
    mdp, T = world(seed, n_states=3, n_actions=2), 4
    pi = policies(mdp, seed, T)
    s, a, log_p, total = trajectories(mdp, T, pi, mdp.p0)
    p, w = np.exp(log_p), chains.state_action_marginals(mdp.P, pi, mdp.p0, T)
    for t in range(T):
        by_hand = np.zeros((3, 2))
        np.add.at(by_hand, (s[:, t], a[:, t]), p)
        np.testing.assert_allclose(w[t], by_hand, atol=1e-14)
    assert chains.expected_return(mdp.P, mdp.r, pi, mdp.p0, T) == pytest.approx(p @ total, abs=1e-13)
    assert chains.expected_return(mdp.P, np.ones((3, 2)), pi, mdp.p0, T) == pytest.approx(T)


def test_marginals_of_a_stationary_policy_follow_its_chain_and_sum_to_the_discounted_visits():
    mdp = world(7)
    pi = policies(mdp, 7)
    w = chains.state_action_marginals(mdp.P, pi, mdp.p0, 300)
    np.testing.assert_allclose(w.sum(-1), chains.state_marginals(mdp.under(pi)[0], mdp.p0, 300), atol=1e-14)
    rho, _ = dp.discounted_visitation(mdp, pi)
    np.testing.assert_allclose(np.tensordot(mdp.gamma ** np.arange(300), w.sum(-1), 1), rho, atol=1e-11)
    with pytest.raises(ShapeError, match="one policy for each of the 3 steps"):
        chains.state_action_marginals(mdp.P, policies(mdp, 0, 2), mdp.p0, 3)
    with pytest.raises(ValueError, match="pi sums to"):
        chains.state_action_marginals(mdp.P, pi * 2, mdp.p0, 3)


def test_beliefs_are_bayes_rule_on_all_walks():
    rng, S, A, O = np.random.default_rng(1), 3, 2, 4
    P, E, start = rng.dirichlet(np.ones(S), (S, A)), rng.dirichlet(np.ones(O), S), rng.dirichlet(np.ones(S))
    done, seen = (1, 0, 1), (2, 0, 3)
    belief = start
    for a, o in zip(done, seen):
        belief = chains.belief_update(belief, a, o, P, E)
    posterior = np.zeros(S)
    for walk in itertools.product(range(S), repeat=4):
        steps = zip(walk, done, walk[1:], seen)
        posterior[walk[-1]] += start[walk[0]] * np.prod([P[s, a, s1] * E[s1, o] for s, a, s1, o in steps])
    np.testing.assert_allclose(belief, posterior / posterior.sum(), atol=1e-15)


def test_belief_limits_and_refusals():
    mdp = world(2, n_states=3, n_actions=2)
    b, blind = np.array([0.2, 0.3, 0.5]), np.full((3, 2), 0.5)
    np.testing.assert_allclose(chains.belief_update(b, 1, 0, mdp.P, blind), b @ mdp.P[:, 1], atol=1e-15)
    np.testing.assert_allclose(chains.belief_update(b, 0, 2, mdp.P, np.eye(3)), [0, 0, 1], atol=1e-15)
    stay = np.stack([np.eye(3)] * 2, axis=1)
    with pytest.raises(ValueError, match=r"Observation 1 has probability 0 after this belief and action 0; possible are \[0\]"):
        chains.belief_update(np.eye(3)[0], 0, 1, stay, np.eye(3))
    with pytest.raises(ValueError, match="o is 3"):
        chains.belief_update(b, 0, 3, mdp.P, np.eye(3))
    with pytest.raises(ValueError, match="a is -1"):
        chains.belief_update(b, -1, 0, mdp.P, np.eye(3))
    with pytest.raises(ShapeError, match=r"with the same S"):
        chains.belief_update(b, 0, 0, mdp.P, np.full((2, 2), 0.5))
    with pytest.raises(ValueError, match="E sums to"):
        chains.belief_update(b, 0, 0, mdp.P, np.eye(3) * 2)


def test_sampled_returns_have_the_mean_of_the_linear_system():
    mdp = world(5, gamma=0.7, n_terminal=1)
    pi = policies(mdp, 5)
    exact = mdp.p0 @ dp.policy_evaluation(mdp, pi)[0]
    returns = chains.sample_returns(mdp, pi, (4, 10_000), 60, np.random.default_rng(0))
    assert returns.shape == (4, 10_000)
    assert returns.mean() == pytest.approx(exact, abs=4 * returns.std() / 200)
    assert np.array_equal(returns, chains.sample_returns(mdp, pi, (4, 10_000), 60, np.random.default_rng(0)))
    first = chains.sample_returns(mdp, pi, (20_000,), 1, np.random.default_rng(1))
    assert first.mean() == pytest.approx(mdp.p0 @ mdp.under(pi)[1], abs=4 * first.std() / 141)


def test_the_prize_of_the_lottery_comes_in_the_second_step():
    buys = np.eye(2)[[1, 0, 0, 0]]
    returns = chains.sample_returns(lottery(0.5, gamma=0.9), buys, (4000,), 3, np.random.default_rng(0))
    assert set(returns.tolist()) == {0.0, 9.0}
    assert returns.mean() == pytest.approx(4.5, abs=0.3)
    assert (chains.sample_returns(lottery(1.0), buys, (10,), 1, np.random.default_rng(0)) == 0).all()
