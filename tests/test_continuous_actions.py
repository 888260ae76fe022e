"""Maximising over real actions: NAF's parabola, draws, gradient ascent and the cross-entropy method against closed forms."""

import pytest
import torch

from rlcourse.equations.continuous_actions import best_candidate, cross_entropy_method, gradient_ascent, naf_q
from rlcourse.types import ShapeError

F64 = torch.float64


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def parts(b=5, a=3):
    """mu, L with a positive diagonal and rubbish above it, V."""
    lower = drawn(b, a, a, seed=1)
    return drawn(b, a, seed=2), lower - torch.diag_embed(lower.diagonal(dim1=-2, dim2=-1)) + torch.eye(a, dtype=F64) * 1.5, drawn(b, seed=3)


def test_naf_q_is_the_parabola_of_p_written_out():
    """[09.6], with P = L Lᵀ built entry by entry; what stands above L's diagonal has no part in it."""
    (mu, cholesky, value), actions = parts(), drawn(5, 3, seed=4)
    lower = cholesky.tril()
    expected = [value[i] - 0.5 * (actions[i] - mu[i]) @ (lower[i] @ lower[i].T) @ (actions[i] - mu[i]) for i in range(5)]
    torch.testing.assert_close(naf_q(actions, mu, cholesky, value), torch.stack(expected))
    assert torch.equal(naf_q(actions, mu, cholesky, value), naf_q(actions, mu, lower, value))


def test_naf_q_has_its_maximum_v_at_mu_and_the_curvature_p_everywhere():
    (mu, cholesky, value), away = parts(), drawn(5, 3, seed=4)
    assert torch.equal(naf_q(mu, mu, cholesky, value), value)
    assert (naf_q(mu + away, mu, cholesky, value) < value).all()
    torch.testing.assert_close(naf_q(mu + away, mu, cholesky, value), naf_q(mu - away, mu, cholesky, value))
    assert torch.equal(naf_q(away, mu, 0 * cholesky, value), value)
    hessian = torch.autograd.functional.hessian(lambda a: naf_q(a, mu[0], cholesky[0], value[0]), away[0])
    torch.testing.assert_close(hessian, -cholesky[0].tril() @ cholesky[0].tril().T)


def test_naf_q_refuses_a_value_that_keeps_its_output_dimension():
    mu, cholesky, value = parts()
    with pytest.raises(ShapeError, match="output dimension"):
        naf_q(mu, mu, cholesky, value[:, None])


def bowl(top):
    return lambda a: -(a - top).square().sum(-1)


def test_best_candidate_is_the_argmax_of_the_list_to_the_bit():
    candidates, top = drawn(4, 20, 2), drawn(4, 1, 2, seed=5)
    found = best_candidate(bowl(top), candidates)
    for i in range(4):
        values = [-((candidates[i, m] - top[i, 0]) ** 2).sum().item() for m in range(20)]
        assert torch.equal(found[i], candidates[i, values.index(max(values))])
    assert torch.equal(best_candidate(bowl(top), candidates[:, :1]), candidates[:, 0])


def test_gradient_ascent_shrinks_the_distance_by_one_minus_eta_p():
    """[09.10] on Q = −½ P (a − m)², P = 2: three steps, a stable step size, the exact one, one that runs into the wall."""
    def q(a):
        return -(a[..., 0] - 0.2) ** 2

    start = torch.tensor([[0.9]], dtype=F64)
    for eta, steps in ((0.1, 3), (0.9, 2), (0.5, 1)):
        torch.testing.assert_close(gradient_ascent(q, start, -1, 1, eta, steps) - 0.2, (1 - 2 * eta) ** steps * (start - 0.2))
    assert gradient_ascent(q, start, -1, 1, 1.5, 9).abs() == 1
    assert torch.equal(gradient_ascent(q, 3 * start, -1, 1, 0.1, 0), torch.ones(1, 1, dtype=F64))
    corner = torch.tensor([[1.0, -1.0]], dtype=F64).expand(6, 2)
    assert torch.equal(gradient_ascent(lambda a: a[..., 0] - a[..., 1], drawn(6, 2), -1, 1, 0.5, 20), corner)


def test_gradient_ascent_leaves_no_gradient_in_the_critic():
    weight = torch.ones(1, dtype=F64, requires_grad=True)
    found = gradient_ascent(lambda a: weight * a[..., 0], torch.zeros(2, 1, dtype=F64), -1, 1, 0.1, 3)
    assert weight.grad is None and not found.requires_grad


def test_cross_entropy_limits():
    """[09.11] All elite: the mean of the draws. One elite: the best draw. No spread: the start. An order-preserving change of Q: nothing."""
    noise, zero = drawn(1, 4, 10, 2), torch.zeros(4, 2, dtype=F64)
    q = bowl(drawn(4, 1, 2, seed=5))
    one = (noise[0] * 0.3).clamp(-1, 1)
    torch.testing.assert_close(cross_entropy_method(q, noise, zero, zero + 0.3, -1, 1, 10), one.mean(-2))
    assert torch.equal(cross_entropy_method(q, noise, zero, zero + 0.3, -1, 1, 1), best_candidate(q, one))
    assert torch.equal(cross_entropy_method(q, noise, zero + 2, zero, -1, 1, 3), zero + 1)
    rounds = drawn(3, 4, 10, 2)
    assert torch.equal(cross_entropy_method(lambda a: 2 * q(a) + 7, rounds, zero, zero + 1, -1, 1, 3),
                       cross_entropy_method(q, rounds, zero, zero + 1, -1, 1, 3))


def test_cross_entropy_finds_the_top_of_a_bowl_and_the_wall_where_the_top_is_outside():
    noise, zero = drawn(10, 30, 64, 3), torch.zeros(30, 3, dtype=F64)
    for at, best in ((0.4, 0.4), (1.7, 1.0)):
        found = cross_entropy_method(bowl(torch.full((1, 1, 3), at, dtype=F64)), noise, zero, zero + 1, -1, 1, 8)
        assert (found - best).abs().mean() < 2e-3 and (found - best).abs().max() < 0.1      # a search may narrow too early


@pytest.mark.parametrize(("call", "says"), [
    (lambda z: cross_entropy_method(bowl(z), drawn(2, 1, 4, 1), z, z + 1, -1, 1, 5), "elites = 5 of 4"),
    (lambda z: cross_entropy_method(bowl(z), drawn(2, 1, 4, 1), z, z + 1, 1, -1, 2), "low = 1, high = -1"),
    (lambda z: gradient_ascent(bowl(z), z, -1, 1, 0.0, 2), "step size is above 0"),
    (lambda z: best_candidate(lambda a: a, drawn(1, 4, 1)), "one value for each candidate"),
])
def test_what_cannot_be_searched_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call(torch.zeros(1, 1, dtype=F64))
