"""The policy gradient against exact enumeration: all trajectories, all pairs of episodes, and finite differences."""

import itertools

import numpy as np
import pytest
import torch
from finite_worlds import policies, trajectories, world

from rlcourse.equations import policy_gradient as pg
from rlcourse.equations import returns
from rlcourse.types import ShapeError

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
T, S, A = 3, 2, 3
MDP = world(0, n_states=S, n_actions=A)
THETA = np.random.default_rng(1).standard_normal((S, A))


def softmax(theta):
    return np.exp(theta) / np.exp(theta).sum(-1, keepdims=True)


def enumerated(theta):
    """states, actions (K, T), probabilities (K,), rewards (K, T): every episode of T steps under the softmax policy."""
    s, a, log_p, _ = trajectories(MDP, T, np.broadcast_to(softmax(theta), (T, S, A)), MDP.p0)
    return s, a, np.exp(log_p), MDP.r[s, a]


def slope(f, x, h=1e-6):
    """Central finite differences of a function of an array, one entry at a time."""
    out = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[i] = h
        out[i] = (f(x + step) - f(x - step)) / (2 * h)
    return out


def performance_gradient():
    return slope(lambda theta: enumerated(theta)[2] @ enumerated(theta)[3].sum(-1), THETA)


def single(s, a, weights):
    """`policy_gradient` of one episode of full length."""
    return pg.policy_gradient(THETA, s[:, None], a[:, None], weights[:, None], np.ones((T, 1)))


def padded(lengths, seed=0):
    """A batch of episodes of several lengths: states, actions, rewards (T, B) and mask. The padding holds what would do harm."""
    rng = np.random.default_rng(seed)
    shape = (max(lengths), len(lengths))
    mask = np.arange(shape[0])[:, None] < np.array(lengths)
    s, a = rng.integers(S, size=shape), rng.integers(A, size=shape)
    return np.where(mask, s, -1), np.where(mask, a, 99), np.where(mask, rng.standard_normal(shape), np.nan), mask


def test_score_is_the_derivative_of_log_pi():
    for s, a in itertools.product(range(S), range(A)):
        found = pg.score(THETA, np.array(s), np.array(a))
        np.testing.assert_allclose(found, slope(lambda theta, s=s, a=a: np.log(softmax(theta)[s, a]), THETA), atol=1e-9)
    s, a = np.meshgrid(range(S), range(A), indexing="ij")
    table = pg.score(THETA, s, a)
    assert table.shape == (S, A, S, A)
    np.testing.assert_allclose(np.einsum("sa,sa...->s...", softmax(THETA), table), 0, atol=1e-15, err_msg="mean zero in every state")
    np.testing.assert_allclose(pg.score(THETA + 5.0, s, a), table, atol=1e-14)
    extreme = pg.score(np.array([[1000.0, -1000.0], [0.0, 0.0]]), np.array([0, 0, 1]), np.array([0, 1, 1]))
    assert extreme.tolist() == [[[0, 0], [0, 0]], [[-1, 1], [0, 0]], [[0, 0], [-0.5, 0.5]]]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensors_and_arrays_agree(dtype, device):
    s, a, rewards, mask = padded([3, 1, 2])
    theta, r = (torch.tensor(x, dtype=dtype, device=device) for x in (THETA, rewards))
    si, ai, m = (torch.tensor(x, device=device) for x in (s, a, mask))
    x = np.random.default_rng(0).random((2, 3, 4))
    p, returned, g = np.full(3, 1 / 3), x[0, :, 0], x[0]
    for found, expected in [
        (pg.score(theta, si.clamp(0, 1), ai.clamp(0, 2)), pg.score(THETA, s.clip(0, 1), a.clip(0, 2))),
        (pg.policy_gradient(theta, si, ai, r, m), pg.policy_gradient(THETA, s, a, rewards, mask)),
        (pg.reward_to_go(r, m), pg.reward_to_go(rewards, mask)),
        *(
            (f(*(torch.tensor(y, dtype=dtype, device=device) for y in ys)), f(*ys))
            for f, ys in [(pg.leave_one_out, x[:1]), (pg.optimal_baseline, (g, returned, p)), (pg.log_importance_weights, x)]
        ),
        (pg.ppo_clip_objective(*torch.tensor(x, dtype=dtype, device=device), 0.2), pg.ppo_clip_objective(*x, 0.2)),
    ]:
        assert found.dtype == dtype and found.device.type == device and isinstance(expected, np.ndarray) and expected.dtype == np.float64
        np.testing.assert_allclose(found.cpu().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_expected_estimate_is_the_gradient_of_performance():
    """Probability-weighted over all episodes: with the whole return, with reward-to-go, and with a constant taken off. One earlier would be wrong."""
    s, a, p, r = enumerated(THETA)
    gradient = performance_gradient()
    to_go = pg.reward_to_go(r.T.copy()).T
    for weights in (np.repeat(r.sum(-1, keepdims=True), T, -1), to_go, to_go - 7.0):
        np.testing.assert_allclose(sum(p[k] * single(s[k], a[k], weights[k]) for k in range(len(p))), gradient, atol=1e-8)
    late = np.concatenate([to_go[:, 1:], 0 * to_go[:, :1]], axis=1)
    assert abs(sum(p[k] * single(s[k], a[k], late[k]) for k in range(len(p))) - gradient).max() > 0.05


def test_the_mean_of_the_batch_shrinks_the_gradient_and_the_mean_of_the_others_does_not():
    """All pairs of episodes, N = 2: the in-batch mean leaves 1 - 1/N of the gradient [03.4], leave-one-out all of it [03.3]."""
    s, a, p, r = enumerated(THETA)
    R = r.sum(-1)
    scores = np.array([single(s[k], a[k], np.ones(T)) for k in range(len(p))])
    pairs = np.stack(np.meshgrid(R, R, indexing="ij"), -1)
    for baseline, factor in ((pg.leave_one_out(pairs), 1.0), (np.repeat(pairs.mean(-1, keepdims=True), 2, -1), 0.5)):
        first, second = np.moveaxis(pairs - baseline, -1, 0)
        estimate = np.einsum("i,j,ij,ixy->xy", p, p, first, scores) + np.einsum("i,j,ij,jxy->xy", p, p, second, scores)
        np.testing.assert_allclose(estimate / 2, factor * performance_gradient(), atol=1e-8)


def test_a_padded_batch_is_the_mean_of_its_episodes():
    lengths = [3, 1, 2]
    s, a, r, mask = padded(lengths)
    singles = [pg.policy_gradient(THETA, s[:n, b, None], a[:n, b, None], r[:n, b, None], mask[:n, b, None]) for b, n in enumerate(lengths)]
    np.testing.assert_allclose(pg.policy_gradient(THETA, s, a, r, mask), np.mean(singles, 0), atol=1e-15)
    stacked = [np.stack([x, y]) for x, y in zip(padded(lengths), padded(lengths, seed=5))]
    np.testing.assert_allclose(pg.policy_gradient(THETA, *stacked)[1], pg.policy_gradient(THETA, *padded(lengths, seed=5)), atol=1e-15)


def test_the_gradient_of_the_pseudo_loss_is_minus_the_policy_gradient():
    s, a, weights, mask = (torch.tensor(x) for x in padded([3, 1, 2]))
    theta, weights = torch.tensor(THETA, requires_grad=True), weights.requires_grad_()
    log_prob = theta.log_softmax(-1)[s, a.clamp(0, 2)]
    loss = pg.pg_loss(log_prob, weights, mask)
    expected = -sum((log_prob * weights.nan_to_num())[t, b] for t, b in mask.nonzero().tolist()) / 3
    torch.testing.assert_close(loss, expected)
    slopes = torch.autograd.grad(loss, (theta, weights, log_prob), allow_unused=True)
    torch.testing.assert_close(slopes[0], -pg.policy_gradient(theta, s, a, weights, mask))
    assert slopes[1] is None and not slopes[2][~mask].any() and slopes[2][mask].all(), "no gradient into weights, none into the padding"
    x = torch.rand(2, 5, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    copies = pg.pg_loss(x[0], x[1], torch.ones(5, 4, 3))
    assert copies.shape == (5,) and copies[2] == pg.pg_loss(x[0, 2], x[1, 2], torch.ones(4, 3))
    torch.testing.assert_close(pg.pg_loss(x[0].repeat(1, 1, 2), x[1].repeat(1, 1, 2), torch.ones(5, 4, 6)), copies)
    assert not pg.policy_gradient(theta, s, a, weights, mask).requires_grad


def test_reward_to_go():
    r = torch.randn(4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    for t in range(4):
        assert torch.autograd.grad(pg.reward_to_go(r)[t, 1], r)[0].T.tolist() == [[0.0] * 4, [float(k >= t) for k in range(4)]]
    no_end, at_end = torch.zeros(4, 2), torch.tensor([[0.0, 0], [0, 0], [0, 0], [1, 1]])
    torch.testing.assert_close(pg.reward_to_go(r), returns.discounted_returns(r, at_end, no_end, torch.zeros_like(r), 1.0))
    assert pg.reward_to_go(np.array([[1e20], [1.0], [2.0]]))[1:, 0].tolist() == [3.0, 2.0], "a large early reward does not swallow later ones"
    _, _, rewards, mask = padded([3, 1, 2])
    found = pg.reward_to_go(rewards, mask)
    assert np.isfinite(found).all() and not found[~mask].any()
    assert pg.reward_to_go(np.array([[7.0], [1.0]]), np.array([[0], [1]])).tolist() == [[0.0], [1.0]], "padding in front, too"
    np.testing.assert_allclose(found[:2, 2], [rewards[0, 2] + rewards[1, 2], rewards[1, 2]])


@pytest.mark.parametrize("N", [2, 3, 6])
def test_leave_one_out(N):
    R = torch.randn(2, N, generator=torch.Generator().manual_seed(N), dtype=torch.float64)
    b = pg.leave_one_out(R)
    for row, i in itertools.product(range(2), range(N)):
        assert b[row, i].item() == pytest.approx(np.mean([R[row, j] for j in range(N) if j != i]))
    assert not torch.autograd.functional.jacobian(pg.leave_one_out, R[0]).diagonal().any()
    order = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(pg.leave_one_out(R[:, order]), b[:, order])
    torch.testing.assert_close(pg.leave_one_out(R + 3), b + 3)
    torch.testing.assert_close(R - b, (R - R.mean(-1, keepdim=True)) * N / (N - 1))


def test_optimal_baseline_has_the_least_variance_in_every_coordinate():
    s, a, p, r = enumerated(THETA)
    scores = np.array([single(s[k], a[k], np.ones(T)).ravel() for k in range(len(p))])
    R = r.sum(-1)

    def variance(b):
        estimates = scores * (R[:, None] - b)
        return p @ estimates**2 - (p @ estimates) ** 2

    best = pg.optimal_baseline(scores, R, p)
    np.testing.assert_allclose([slope(lambda b, k=k: variance(b)[k], best)[k] for k in range(S * A)], 0, atol=1e-8)
    rng = np.random.default_rng(0)
    for b in (0.0, p @ R, *rng.normal(best, 0.1, size=(20, S * A))):
        assert (variance(best) < variance(b)).all()
    np.testing.assert_allclose(pg.optimal_baseline(scores, R + 3, p), best + 3)
    np.testing.assert_allclose(pg.optimal_baseline(-4 * scores, R, p), best)
    np.testing.assert_allclose(pg.optimal_baseline(scores, np.full(len(p), 2.5), p), 2.5)
    assert pg.optimal_baseline(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([1.0, 3.0]), np.array([0.5, 0.5])).tolist() == [2.0, 0.0]


def test_importance_weights_read_episodes_of_one_policy_as_those_of_another():
    behaviour = policies(MDP, 4)
    s, a, log_b, R = trajectories(MDP, T, np.broadcast_to(behaviour, (T, S, A)), MDP.p0)
    log_w = pg.log_importance_weights(np.log(softmax(THETA)[s, a]).T, np.log(behaviour[s, a]).T)
    np.testing.assert_allclose(np.exp(log_w) @ np.exp(log_b), 1, atol=1e-12, err_msg="mean one at every step")
    _, _, p, r = enumerated(THETA)
    np.testing.assert_allclose(np.exp(log_b + log_w[-1]), p, atol=1e-14)
    per_decision = sum(np.exp(log_b + log_w[t]) @ r[:, t] for t in range(T))
    assert per_decision == pytest.approx(p @ R)
    assert pg.log_importance_weights(np.full((100, 1), -1.0), np.full((100, 1), -21.0))[-1, 0] == 2000, "exp(2000) is no float; its logarithm is"
    mask = np.array([[1, 1], [1, 0]])
    assert pg.log_importance_weights(np.array([[1.0, 2.0], [3.0, np.nan]]), np.zeros((2, 2)), mask).tolist() == [[1, 2], [4, 2]]


@pytest.mark.parametrize("epsilon", [0.0, 0.2])
def test_ppo_clip_objective_piece_by_piece(epsilon):
    ratio = torch.tensor([0.0, 0.5, 0.81, 0.99, 1.01, 1.19, 1.5, 9.0], dtype=torch.float64, requires_grad=True)
    for A_ in (2.0, -3.0):
        advantage = torch.full_like(ratio, A_).requires_grad_()
        found = pg.ppo_clip_objective(ratio, advantage, epsilon)
        piece = [min(x, 1 + epsilon) * A_ if A_ > 0 else max(x, 1 - epsilon) * A_ for x in ratio.tolist()]
        torch.testing.assert_close(found, torch.tensor(piece, dtype=torch.float64))
        assert (found <= ratio * advantage + 1e-15).all()
        gradient, none = torch.autograd.grad(found.sum(), (ratio, advantage), allow_unused=True)
        assert none is None and gradient.tolist() == [A_ if (x < 1 + epsilon if A_ > 0 else x > 1 - epsilon) else 0.0 for x in ratio.tolist()]
    one = torch.ones(1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.grad(pg.ppo_clip_objective(one, 5 * torch.ones_like(one), 0.2), one)[0] == 5


def test_meta_device():
    x, index = torch.zeros(4, 2, device="meta"), torch.zeros(4, 2, dtype=torch.long, device="meta")
    theta = torch.zeros(S, A, device="meta")
    assert pg.pg_loss(x, x, index).is_meta and pg.policy_gradient(theta, index, index, x, index).shape == (S, A)
    assert pg.reward_to_go(x, index).is_meta and pg.leave_one_out(x).is_meta and pg.ppo_clip_objective(x, x, 0.2).is_meta
    assert pg.optimal_baseline(x, x[:, 0], x[:, 0]).is_meta and pg.log_importance_weights(x, x).is_meta


def test_errors_teach():
    x, i, ones = torch.rand(3, 2), torch.zeros(3, 2, dtype=torch.long), torch.ones(3, 2)
    theta, p = torch.zeros(S, A), torch.tensor([0.5, 0.5, 0.5])
    for call, kind, says in [
        (lambda: pg.score(theta[0], i, i), ShapeError, r"theta came as \(3,\)"),
        (lambda: pg.score(theta, x, i), TypeError, "states is a Tensor of dtype torch.float32.*integer"),
        (lambda: pg.score(theta, i, i.numpy()), TypeError, "actions is a ndarray.*of torch"),
        (lambda: pg.score(theta, i, i[:, 0]), ShapeError, "states .*actions"),
        (lambda: pg.score(theta, i, i - 1), IndexError, "actions reach from -1 to -1.*padding"),
        (lambda: pg.score(theta, i + 2, i), IndexError, r"states reach from 2 to 2, and theta \(2, 3\) has 0 to 1"),
        (lambda: pg.policy_gradient(theta, i, i, x[:, 0], ones), ShapeError, r"weights \(3,\)"),
        (lambda: pg.policy_gradient(theta, i, i, x, ones[:, :1]), ShapeError, r"mask \(3, 1\)"),
        (lambda: pg.pg_loss(x, x[:, :1], ones), ShapeError, r"weights \(3, 1\).*\(3, 2\) table"),
        (lambda: pg.pg_loss(x[:, 0], x[:, 0], ones[:, 0]), ShapeError, r"log_prob\[:, None\]"),
        (lambda: pg.pg_loss(x, x, x + 1), ValueError, "mask has entries that are neither 0 nor 1"),
        (lambda: pg.pg_loss(x.numpy(), x, ones), TypeError, "log_prob is a ndarray"),
        (lambda: pg.reward_to_go(i), TypeError, "rewards has dtype torch.int64"),
        (lambda: pg.reward_to_go(x[:, 0]), ShapeError, r"rewards\[:, None\]"),
        (lambda: pg.leave_one_out(x[:, :1]), ShapeError, "N >= 2"),
        (lambda: pg.leave_one_out(torch.tensor(1.0)), ShapeError, "N >= 2"),
        (lambda: pg.optimal_baseline(x, p, p), ValueError, "sum to 1.5"),
        (lambda: pg.optimal_baseline(x, p, p - 1 / 6 - torch.tensor([0.5, 0, -0.5])), ValueError, "smallest entry -0.16"),
        (lambda: pg.optimal_baseline(x[0], p, p), ShapeError, r"scores came as \(2,\)"),
        (lambda: pg.log_importance_weights(x, x[:2]), ShapeError, r"behaviour_log_prob \(2, 2\)"),
        (lambda: pg.log_importance_weights(x[0], x[0]), ShapeError, r"\(..., T, B\)"),
        (lambda: pg.ppo_clip_objective(x, x[:, :1], 0.2), ShapeError, "advantage"),
        (lambda: pg.ppo_clip_objective(x, x, 1.2), ValueError, "epsilon is 1.2"),
        (lambda: pg.ppo_clip_objective(x - 2, x, 0.2), ValueError, "log-ratio"),
    ]:
        with pytest.raises(kind, match=says):
            call()
