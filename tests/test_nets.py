"""Networks with leading copies: PyTorch's own layers are the oracle, and no copy hears of another."""

import copy

import pytest
import torch
from torch import nn

from rlcourse.envs import generators
from rlcourse.nets import MLP, polyak
from rlcourse.types import ShapeError


def network(copies, seeds, sizes=(3, 8, 8, 2), dtype=torch.float64):
    return MLP(copies, sizes, generators(seeds, "init"), dtype=dtype)


def as_torch(mlp: MLP, *index: int) -> nn.Sequential:
    """The same network made of nn.Linear, whose weights are (out, in)."""
    layers = []
    for weight, bias in zip(mlp.weights, mlp.biases):
        linear = nn.Linear(weight.shape[-2], weight.shape[-1], dtype=weight.dtype)
        linear.weight.data, linear.bias.data = weight[index].detach().T.clone(), bias[index][0].detach().clone()
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_every_copy_equals_linear_and_relu_with_the_same_weights():
    mlp, x = network((2, 3), seeds=[0, 1]), normal(2, 3, 5, 3)
    y = mlp(x)
    for i in range(2):
        for j in range(3):
            torch.testing.assert_close(y[i, j], as_torch(mlp, i, j)(x[i, j]), rtol=0, atol=1e-14)


def test_gradients_equal_those_of_linear_and_relu():
    mlp, x = network((2,), seeds=[0, 1]), normal(2, 5, 3).requires_grad_()
    mlp(x).square().sum().backward()
    twin, x_twin = as_torch(mlp, 1), x[1].detach().clone().requires_grad_()
    twin(x_twin).square().sum().backward()
    torch.testing.assert_close(x.grad[1], x_twin.grad, rtol=0, atol=1e-12)
    for layer in range(3):
        torch.testing.assert_close(mlp.weights[layer].grad[1], twin[2 * layer].weight.grad.T, rtol=0, atol=1e-12)
        torch.testing.assert_close(mlp.biases[layer].grad[1, 0], twin[2 * layer].bias.grad, rtol=0, atol=1e-12)


def test_a_copys_gradient_depends_on_that_copy_alone():
    mlp, x = network((3,), seeds=[0, 1, 2]), normal(3, 5, 3)
    changed = x.clone()
    changed[1:] = 100 * normal(2, 5, 3, seed=1)
    before, after = (torch.autograd.grad(mlp(inputs).square().mean(-2).sum(), list(mlp.parameters())) for inputs in (x, changed))
    for g_before, g_after in zip(before, after):
        torch.testing.assert_close(g_before[0], g_after[0], rtol=0, atol=1e-14)
        assert not torch.allclose(g_before[1], g_after[1])


@pytest.mark.parametrize("copies", [(), (2,)], ids=["one per seed", "twins"])
def test_seed_k_of_three_starts_as_seed_k_alone(copies):
    together = network((3, *copies), seeds=[7, 8, 9])
    alone = network((1, *copies), seeds=[9])
    for parameter, single in zip(together.parameters(), alone.parameters()):
        assert torch.equal(parameter[2], single[0])
        assert not torch.equal(parameter[1], single[0])


def test_an_input_is_shared_by_the_copies_where_it_has_size_one():
    mlp, x = network((2, 2), seeds=[0, 1]), normal(2, 1, 5, 3)
    assert torch.equal(mlp(x), mlp(x.expand(2, 2, 5, 3)))


def test_initial_weights_fill_the_interval_of_pytorchs_default():
    mlp = network((2,), seeds=[0, 1], sizes=(100, 400, 1))
    for weight, bound in zip(mlp.weights, (1 / 10, 1 / 20)):
        assert weight.abs().max() <= bound and weight.max() > 0.95 * bound and weight.min() < -0.95 * bound
        assert abs(weight.mean()) < 0.1 * bound
    assert mlp.biases[0].abs().max() <= 1 / 10 and mlp.biases[0].std() > 0.05


def test_float32_starts_from_the_numbers_of_float64():
    for single, double in zip(network((1,), [3], dtype=torch.float32).parameters(), network((1,), [3]).parameters()):
        assert single.dtype == torch.float32 and torch.equal(single, double.float())


@pytest.mark.parametrize("shape", [(2, 5, 4), (5, 3), (1, 2, 5, 3)], ids=["width", "no copies", "one dimension too many"])
def test_an_input_of_another_shape_is_refused_with_both_shapes(shape):
    with pytest.raises(ShapeError, match=r"\(2, 'B', 3\)"):
        network((2,), seeds=[0, 1])(normal(*shape))


def test_one_generator_per_seed_is_required():
    with pytest.raises(ValueError, match="1 generators for 2 seeds"):
        MLP((2,), (3, 1), generators([0], "init"))


def test_polyak_limits():
    target, online = network((1,), [0]), network((1,), [1])
    start = copy.deepcopy(target)
    polyak(target, online, 0.0)
    assert all(torch.equal(t, s) for t, s in zip(target.parameters(), start.parameters()))
    polyak(target, online, 1.0)
    assert all(torch.equal(t, o) for t, o in zip(target.parameters(), online.parameters()))
    assert all(t.data_ptr() != o.data_ptr() for t, o in zip(target.parameters(), online.parameters())), "a copy, not the same memory"


def test_polyak_leaves_a_share_one_minus_tau_of_the_gap_per_step():
    target, online = torch.zeros(4, dtype=torch.float64), normal(4)
    kept = online.clone()
    for _ in range(25):
        polyak(target, online, 0.1)
    torch.testing.assert_close(online - target, 0.9**25 * online, rtol=1e-12, atol=0)
    assert torch.equal(online, kept)


def test_polyak_builds_no_graph():
    target, online = network((1,), [0]), network((1,), [1])
    polyak(target, online, 0.5)
    assert all(t.is_leaf and t.grad_fn is None for t in target.parameters())


@pytest.mark.parametrize("tau", [-0.1, 1.5])
def test_polyak_refuses_a_share_that_is_none(tau):
    with pytest.raises(ValueError, match="share of the online network"):
        polyak(torch.zeros(2), torch.ones(2), tau)


def test_polyak_refuses_another_shape_instead_of_broadcasting():
    with pytest.raises(ShapeError, match=r"\(3, 2\).*\(2,\)"):
        polyak(torch.zeros(3, 2), torch.ones(2), 0.5)
