"""The exact ground truth against brute force: all policies, long sums, a linear programme, printed values."""

import dataclasses
import itertools

import numpy as np
import pytest
from finite_worlds import policies, world
from scipy.optimize import linprog

from rlcourse.tabular import dp, soft
from rlcourse.tabular.mdp import MOVES, FiniteMDP, chain, grid_cells, gridworld, lottery, random_mdp
from rlcourse.types import ShapeError

SEEDS = range(5)


def all_deterministic(mdp):
    return np.eye(mdp.n_actions)[list(itertools.product(range(mdp.n_actions), repeat=mdp.n_states))]


def test_a_process_is_kept_as_given_and_cannot_be_written_into():
    mdp = world(0, n_states=3, n_actions=2)
    assert (mdp.n_states, mdp.n_actions, mdp.P.shape, mdp.gamma) == (3, 2, (3, 2, 3), 0.9)
    P = mdp.P.copy()
    copy = FiniteMDP(P, mdp.r, 0.5, mdp.p0)
    P[:] = 0
    assert np.array_equal(copy.P, mdp.P) and copy.gamma == 0.5
    with pytest.raises(ValueError, match="read-only"):
        copy.r[0, 0] = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        copy.gamma = 0.9
    rounded = FiniteMDP(np.full((3, 1, 3), 1 / 3, dtype=np.float32), np.ones((3, 1), dtype=np.float32), 0.9, np.full(3, 1 / 3, dtype=np.float32))
    assert rounded.P.dtype == rounded.r.dtype == rounded.p0.dtype == np.float64 and abs(rounded.P.sum(-1) - 1).max() < 1e-15


def test_terminal_is_derived_or_given():
    P = np.stack([np.eye(3)] * 2, axis=1)
    r = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    assert FiniteMDP(P, r, 0.9, np.eye(3)[0]).terminal.tolist() == [True, False, True]
    assert FiniteMDP(P, r, 0.9, np.eye(3)[0], terminal=np.array([False, False, True])).terminal.tolist() == [False, False, True]
    with pytest.raises(ValueError, match="State 1 is given as terminal, and moves on or pays"):
        FiniteMDP(P, r, 0.9, np.eye(3)[0], terminal=np.array([False, True, True]))
    with pytest.raises(ShapeError, match=r"terminal came as \(3,\) of dtype int64"):
        FiniteMDP(P, r, 0.9, np.eye(3)[0], terminal=np.array([0, 0, 1]))


def test_errors_of_a_process_teach():
    mdp = world(0, n_states=3, n_actions=2)
    P, r, p0 = mdp.P.copy(), mdp.r, mdp.p0
    P[2, 1, 0] += 0.25
    for arguments, kind, says in [
        ((P, r, 0.9, p0), ValueError, r"P sums to 1\.25 in state 2, action 1"),
        ((mdp.P.transpose(2, 1, 0), r, 0.9, p0), ValueError, "the outcome is the last one"),
        ((mdp.P, r, 0.9, p0 * 2), ValueError, "p0 sums to 2, and"),
        ((mdp.P, r, 0.9, np.array([1.5, -0.5, 0.0])), ValueError, "p0 has the entry -0.5 in"),
        ((mdp.P, r.astype(int), 0.9, p0), TypeError, "r has dtype int64"),
        ((mdp.P, r.tolist(), 0.9, p0), TypeError, "r is a list"),
        ((mdp.P, np.where(r == r[1, 1], np.nan, r), 0.9, p0), ValueError, r"r is nan at \(1, 1\)"),
        ((mdp.P, r[:, 0], 0.9, p0), ShapeError, r"r as \(3,\)"),
        ((mdp.P, r.T.copy(), 0.9, p0), ShapeError, r"r as \(2, 3\)"),
        ((mdp.P, r, 1.1, p0), ValueError, "gamma is 1.1"),
    ]:
        with pytest.raises(kind, match=says.removesuffix(" in")):
            FiniteMDP(*arguments)
    with pytest.raises(ValueError, match=r"pi sums to 2 in state 0"):
        mdp.under(np.ones((3, 2)))
    with pytest.raises(ShapeError, match=r"np.eye\(2\)\[actions\]"):
        mdp.under(np.zeros(3))
    for bad in (np.zeros(2), np.zeros(3, dtype=int)):
        with pytest.raises(ShapeError, match="one value per state"):
            dp.bellman_optimality(mdp, bad)


def test_the_chain_under_a_policy_is_the_mean_over_actions():
    mdp = world(1)
    pi = policies(mdp, 2, 3)
    P_pi, r_pi = mdp.under(pi)
    for k, s in itertools.product(range(3), range(4)):
        np.testing.assert_allclose(P_pi[k, s], sum(pi[k, s, a] * mdp.P[s, a] for a in range(3)), atol=1e-15)
        np.testing.assert_allclose(r_pi[k, s], sum(pi[k, s, a] * mdp.r[s, a] for a in range(3)), atol=1e-15)


def test_the_gridworld_of_the_textbook():
    """Utilities printed in Russell & Norvig for the 4 x 3 world with step reward -0.04, here with gamma a hair below 1."""
    layout = "...G .#.X S..."
    mdp = gridworld(layout, gamma=1 - 1e-7, slip=0.2)
    V, _, pi = dp.policy_iteration(mdp)
    printed = [0.812, 0.868, 0.918, 0.0, 0.762, 0.660, 0.0, 0.705, 0.655, 0.611, 0.388]
    np.testing.assert_allclose(V, printed, atol=6e-4)
    cells = grid_cells(layout)
    assert mdp.terminal.nonzero()[0].tolist() == [cells.index((0, 3)), cells.index((1, 3))] == [3, 6]
    assert mdp.p0[cells.index((2, 0))] == 1 and MOVES[pi[cells.index((2, 3))].argmax()] == (0, -1), "away from the pit: left"
    assert [round(p, 3) for p in mdp.P[0, 1]] == [0.1, 0.8, 0, 0, 0.1, 0, 0, 0, 0, 0, 0], "right from the corner: up bumps, down slips"
    with pytest.raises(ValueError, match=r"\['\?'\]"):
        gridworld("S?")
    with pytest.raises(ValueError, match=r"lengths \[2, 1\]"):
        gridworld("S. .")
    assert gridworld("..\n  .G").p0.tolist() == [1 / 3, 1 / 3, 1 / 3, 0]


def test_chain_and_random_worlds():
    mdp = chain(3, slip=0.25, small=2, large=10)
    assert mdp.P[1].tolist() == [[0.75, 0, 0.25], [0.25, 0, 0.75]] and mdp.P[2, 1].tolist() == [0.25, 0, 0.75]
    assert mdp.r.tolist() == [[1.5, 0.5], [1.5, 0.5], [4.0, 8.0]] and not mdp.terminal.any()
    mdp = world(3, n_states=5, n_actions=2, branching=2, n_terminal=2)
    assert mdp.terminal.tolist() == [False] * 3 + [True] * 2 and (mdp.P[:3] > 0).sum(-1).tolist() == [[2, 2]] * 3 and mdp.p0[3:].tolist() == [0, 0]
    assert np.array_equal(mdp.P, world(3, n_states=5, n_actions=2, branching=2, n_terminal=2).P), "same seed, same bits"
    assert set(world(3, branching=1).P.ravel()) == {0.0, 1.0}


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.95])
def test_bellman_operators_contract_by_gamma_and_no_faster(gamma):
    rng = np.random.default_rng(0)
    mdp = random_mdp(rng, gamma=gamma)
    pi = policies(mdp)
    V, W = rng.standard_normal((2, 500, 4)) * 3
    for operator in (
        lambda V: dp.bellman_optimality(mdp, V), lambda V: dp.bellman_expectation(mdp, pi, V), lambda V: soft.soft_bellman_optimality(mdp, V, 0.3)
    ):
        assert (abs(operator(V) - operator(W)).max(-1) <= gamma * abs(V - W).max(-1) + 1e-12).all()
        np.testing.assert_allclose(operator(V + 2.0) - operator(V), 2 * gamma, atol=1e-12, err_msg="a constant shift shrinks by exactly gamma")
    with_end = random_mdp(rng, n_terminal=1)
    assert not soft.soft_bellman_optimality(with_end, V, 0.3)[:, -1].any() and not dp.bellman_optimality(with_end, V)[:, -1].any()


@pytest.mark.parametrize("seed", SEEDS)
def test_policy_evaluation_is_the_sum_of_discounted_rewards(seed):
    mdp = world(seed, gamma=0.8, n_terminal=seed % 2)
    pi = policies(mdp, seed, 2)
    V, Q = dp.policy_evaluation(mdp, pi)
    P_pi, r_pi = mdp.under(pi)
    total = sum(0.8**t * np.einsum("ksu,ku->ks", np.linalg.matrix_power(P_pi, t), r_pi) for t in range(200))
    np.testing.assert_allclose(V, total, atol=1e-12)
    np.testing.assert_allclose(V, (pi * Q).sum(-1), atol=1e-12)
    np.testing.assert_allclose(Q, mdp.r + 0.8 * np.einsum("sau,ku->ksa", mdp.P, V), atol=1e-12)
    np.testing.assert_allclose(V[1], dp.policy_evaluation(mdp, pi[1])[0], atol=1e-14)
    np.testing.assert_allclose(V, dp.bellman_expectation(mdp, pi, V), atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_best_of_all_policies(seed):
    mdp = world(seed, n_terminal=seed % 2)
    V, Q, pi = dp.policy_iteration(mdp)
    np.testing.assert_allclose(V, dp.policy_evaluation(mdp, all_deterministic(mdp))[0].max(0), atol=1e-11)
    assert np.array_equal(pi, np.eye(3)[Q.argmax(-1)]) and np.array_equal(dp.policy_iteration(mdp, pi)[2], pi)
    np.testing.assert_allclose(dp.policy_iteration(mdp, policies(mdp))[0], V, atol=1e-11)
    bounds = (mdp.gamma * mdp.P - np.eye(4)[:, None]).reshape(-1, 4)
    programme = linprog(np.ones(4), A_ub=bounds, b_ub=-mdp.r.ravel(), bounds=(None, None))
    np.testing.assert_allclose(V, programme.x, atol=1e-7)


@pytest.mark.parametrize(("gamma", "seed"), list(itertools.product([0.0, 0.5, 0.97, 1.0], [0, 1])))
def test_value_iteration_keeps_its_promise(gamma, seed):
    """tol bounds the true error, at gamma = 1 as well; the greedy policy loses at most 2 gamma tol / (1 - gamma)."""
    mdp = world(seed, n_states=5, gamma=gamma, n_terminal=1)
    slow = np.concatenate([0.95 * mdp.P[:-1] + 0.05 * mdp.P[:-1, :, [0, 1, 2, 3, 3]] * [1, 1, 1, 1, 0], mdp.P[-1:]])
    mdp = dataclasses.replace(mdp, P=slow / slow.sum(-1, keepdims=True), r=mdp.r + 3.0 * ~mdp.terminal[:, None])
    best = dp.policy_iteration(mdp)[0]
    np.testing.assert_allclose(best, dp.policy_evaluation(mdp, all_deterministic(mdp))[0].max(0), atol=1e-9)
    for tol in (3.0, 1e-2, 1e-7):
        V, Q, pi = dp.value_iteration(mdp, tol)
        assert abs(V - best).max() <= tol
        np.testing.assert_allclose(Q, mdp.r + gamma * mdp.P @ V, atol=1e-14)
        if gamma < 1:
            assert (best - dp.policy_evaluation(mdp, pi)[0]).max() <= 2 * gamma * tol / (1 - gamma) + 1e-9


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.9, 0.99])
def test_sweeps_are_as_many_as_the_contraction_needs(gamma):
    mdp, sweeps = dataclasses.replace(world(0), gamma=gamma), []

    def operator(V):
        sweeps.append(1)
        return dp.bellman_optimality(mdp, V)

    V = dp.fixed_point(mdp, operator, tol=1e-6)
    needed = 1 if gamma == 0 else 1 + np.ceil(np.log(1e-6 * (1 - gamma) / abs(mdp.r).max()) / np.log(gamma))
    assert len(sweeps) <= needed and abs(V - dp.policy_iteration(mdp)[0]).max() <= 1e-6
    sweeps.clear()
    noisy = dp.fixed_point(mdp, lambda V: operator(V) + 1e-13 * (-1) ** len(sweeps), tol=1e-15)
    assert np.isfinite(noisy).all() and len(sweeps) < 2 + 60 / (1 - gamma), "rounding cannot keep it going"


def test_sweeps_stop_when_the_values_have_arrived():
    """Five steps to the goal: after five sweeps nothing moves, though gamma^k would ask for thousands."""
    mdp, sweeps = gridworld("S....G", gamma=0.999), []
    V = dp.fixed_point(mdp, lambda V: sweeps.append(1) or dp.bellman_optimality(mdp, V), tol=1e-9)
    assert len(sweeps) == 6 and abs(V - dp.policy_iteration(mdp)[0]).max() < 1e-12
    nearly = dataclasses.replace(mdp, P=0.9 * mdp.P + 0.1 * np.eye(6)[:, None])  # one move in ten fails: the error shrinks tenfold or so a sweep
    sweeps.clear()
    dp.fixed_point(nearly, lambda V: sweeps.append(1) or dp.bellman_optimality(nearly, V), tol=1e-6)
    assert len(sweeps) <= 20


def test_ties_go_to_the_first_action():
    assert dp.greedy(np.array([[1.0, 2.0, 2.0], [0.1 + 0.2, 0.3, 0.0]])).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert dp.greedy(np.array([[0.3, 0.1 + 0.2], [0.0, 1.0]])).tolist() == [[1, 0], [0, 1]], "a difference of rounding is a tie"
    assert dp.greedy(np.array([[[1.0, 1.0 + 1e-9]], [[1e9, 1e9]]])).tolist() == [[[0, 1]], [[1, 0]]], "each table has its own scale"


@pytest.mark.parametrize("gamma", [0.0, 0.7])
def test_discounted_visitation(gamma):
    mdp = world(4, gamma=gamma, n_terminal=1)
    pi = policies(mdp, 1, 2)
    rho, d = dp.discounted_visitation(mdp, pi)
    P_pi, r_pi = mdp.under(pi)
    np.testing.assert_allclose(rho, sum(gamma**t * mdp.p0 @ np.linalg.matrix_power(P_pi, t) for t in range(150)), atol=1e-12)
    np.testing.assert_allclose(d.sum(-1), 1, atol=1e-12)
    np.testing.assert_allclose((rho * r_pi).sum(-1), dp.policy_evaluation(mdp, pi)[0] @ mdp.p0, atol=1e-12)
    with pytest.raises(ValueError, match="gamma is 1, and the discounted visitation"):
        dp.discounted_visitation(dataclasses.replace(mdp, gamma=1.0), pi)


def test_gamma_one_needs_an_end():
    grid = gridworld("S.G", gamma=1.0, step_reward=-1.0)
    right, up = np.tile(np.eye(4)[1], (3, 1)), np.tile(np.eye(4)[0], (3, 1))
    assert dp.policy_evaluation(grid, right)[0].tolist() == [-1.0, 0.0, 0.0], "two steps at -1, and the goal's +1"
    with pytest.raises(ValueError, match=r"from the states \[0, 1\] the policy never reaches.*Terminal states here: \[2\]"):
        dp.policy_evaluation(grid, up)
    for solve in (dp.value_iteration, dp.policy_iteration, lambda mdp: soft.soft_value_iteration(mdp, 1.0)):
        with pytest.raises(ValueError, match=r"stay among the states \[0, 1\] for ever"):
            solve(grid)
    V, Q, pi = dp.value_iteration(lottery(probability=0.2, prize=10.0, safe=1.0))
    assert Q[0].tolist() == [1.0, 2.0] and V.tolist() == [2.0, 10.0, 0.0, 0.0] and pi[0].tolist() == [0, 1]
    for tol in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="tol is"):
            dp.value_iteration(world(0), tol)
