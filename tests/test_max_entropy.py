"""The equations of soft actor-critic and the squared TD error: loops, limits, gradient flow, and copies that do not mix."""

import math

import pytest
import torch

from rlcourse.equations.max_entropy import sac_policy_loss, sac_target, sac_value_target, temperature_loss
from rlcourse.equations.value_learning import squared_td_error, td_target
from rlcourse.types import ShapeError

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
DTYPES = [torch.float32, torch.float64]
GAMMA, ALPHA = 0.9, 0.3


def transitions(*shape, dtype=torch.float64, device="cpu", seed=0):
    """rewards, terminated, q1_next, q2_next, log_prob_next; a third of the transitions terminate."""
    generator = torch.Generator().manual_seed(seed)
    rewards, q1, q2, log_prob = torch.randn((4, *shape), generator=generator, dtype=torch.float64).to(device, dtype)
    return rewards, (torch.rand(shape, generator=generator) < 1 / 3).to(device), q1, q2, log_prob


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_target_against_a_loop(dtype, device):
    batch = transitions(50, dtype=dtype, device=device)
    y = sac_target(*batch, GAMMA, ALPHA)
    assert y.dtype == dtype and y.device == batch[0].device
    expected = []
    for r, d, q1, q2, log_prob in zip(*(x.tolist() for x in batch)):
        expected.append(r if d else r + GAMMA * (min(q1, q2) - ALPHA * log_prob))
    assert y.tolist() == pytest.approx(expected, rel=1e-5, abs=1e-6) if dtype == torch.float32 else y.tolist() == pytest.approx(expected, rel=1e-13)
    assert 5 < batch[1].sum() < 45, "both kinds of transitions were seen"


def test_target_by_hand():
    """r = 1, γ = ½, min(4, 3) = 3, α log π = 2 · (-1): y = 1 + ½ (3 + 2) = 3.5."""
    one = torch.ones(1)
    assert sac_target(one, one == 0, 4 * one, 3 * one, -one, 0.5, 2.0).item() == 3.5


def test_target_limits():
    r, d, q1, q2, log_prob = batch = transitions(50)
    y = sac_target(*batch, GAMMA, ALPHA)
    assert torch.equal(y[d], r[d])
    assert torch.equal(sac_target(r, torch.ones_like(d), q1, q2, log_prob, GAMMA, ALPHA), r)
    assert torch.equal(sac_target(*batch, 0.0, ALPHA), r)
    assert torch.equal(sac_target(r, d, q2, q1, log_prob, GAMMA, ALPHA), y)
    td3 = torch.where(d, r, r + GAMMA * torch.minimum(q1, q2))
    torch.testing.assert_close(sac_target(*batch, GAMMA, 0.0), td3)
    torch.testing.assert_close(sac_target(r, d, q1, q1, log_prob, GAMMA, 0.0), torch.where(d, r, r + GAMMA * q1))
    torch.testing.assert_close(sac_target(r, d, q1 + 2, q2 + 2, log_prob, GAMMA, ALPHA), y + 2 * GAMMA * ~d)
    assert (sac_target(*batch, GAMMA, ALPHA) != td3)[~d].all()


@pytest.mark.parametrize("mask_dtype", [torch.bool, torch.uint8, torch.int64, torch.float32])
def test_target_masks_of_every_dtype(mask_dtype):
    r, d, *rest = transitions(20)
    assert torch.equal(sac_target(r, d.to(mask_dtype), *rest, GAMMA, ALPHA), sac_target(r, d, *rest, GAMMA, ALPHA))


@pytest.mark.parametrize("copies", [(4,), (2, 3)])
def test_one_temperature_per_copy(copies):
    """Copies do not mix: each row is what the function gives for that row alone, also where there are as many copies as transitions."""
    batch = transitions(*copies, 4)
    alpha = torch.rand(copies, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y, loss = sac_target(*batch, GAMMA, alpha), sac_policy_loss(batch[4], batch[2], alpha)
    temperature = temperature_loss(alpha.log(), batch[4], -2.0)
    assert loss.shape == temperature.shape == alpha.shape
    for k in torch.cartesian_prod(*(torch.arange(n) for n in copies)).reshape(-1, len(copies)).tolist():
        row = [x[tuple(k)] for x in batch]
        alone = alpha[tuple(k)].item()
        torch.testing.assert_close(y[tuple(k)], sac_target(*row, GAMMA, alone))
        torch.testing.assert_close(loss[tuple(k)], sac_policy_loss(row[4], row[2], alone))
        torch.testing.assert_close(temperature[tuple(k)], temperature_loss(alpha[tuple(k)].log(), row[4], -2.0))


def test_a_shared_temperature_may_be_a_number_or_a_tensor():
    batch = transitions(3, 5)
    for alpha in (torch.tensor(ALPHA, dtype=torch.float64), torch.full((3,), ALPHA, dtype=torch.float64)):
        assert torch.equal(sac_target(*batch, GAMMA, alpha), sac_target(*batch, GAMMA, ALPHA))


def test_target_does_not_detach():
    """The function is the formula, gradients included; the caller's torch.no_grad() makes it a target. Only the smaller critic gets gradient."""
    r, d, q1, q2, log_prob = (x.requires_grad_() if x.is_floating_point() else x for x in transitions(30))
    gradients = torch.autograd.grad(sac_target(r, d, q1, q2, log_prob, GAMMA, ALPHA).sum(), (r, q1, q2, log_prob))
    first, alive = (q1 < q2).double(), (~d).double()
    expected = [torch.ones_like(r), GAMMA * alive * first, GAMMA * alive * (1 - first), -GAMMA * ALPHA * alive]
    torch.testing.assert_close(torch.stack(gradients), torch.stack(expected))
    with torch.no_grad():
        assert not sac_target(r, d, q1, q2, log_prob, GAMMA, ALPHA).requires_grad


def test_policy_loss_values_and_limits():
    _, _, q, _, log_prob = transitions(3, 50)
    loss = sac_policy_loss(log_prob, q, ALPHA)
    for k in range(3):
        assert loss[k].item() == pytest.approx(sum(ALPHA * x - y for x, y in zip(log_prob[k].tolist(), q[k].tolist())) / 50, rel=1e-12)
    torch.testing.assert_close(sac_policy_loss(log_prob, q, 0.0), -q.mean(-1))
    assert torch.equal(sac_policy_loss(log_prob, ALPHA * log_prob, ALPHA), torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(sac_policy_loss(log_prob, q + 2, ALPHA), loss - 2)


def test_policy_loss_gradient_flow():
    """α/B into log π and -1/B into Q, in each copy, and nothing into the temperature."""
    _, _, q, _, log_prob = (x.requires_grad_() if x.is_floating_point() else x for x in transitions(2, 5))
    log_alpha = torch.tensor([0.0, -1.0], dtype=torch.float64, requires_grad=True)
    loss = sac_policy_loss(log_prob, q, log_alpha.exp()).sum()
    gradients = torch.autograd.grad(loss, (log_prob, q, log_alpha), allow_unused=True)
    torch.testing.assert_close(gradients[0], log_alpha.detach().exp()[:, None].expand(2, 5) / 5)
    torch.testing.assert_close(gradients[1], torch.full_like(q, -1 / 5))
    assert gradients[2] is None


def test_policy_loss_is_smallest_at_the_boltzmann_policy():
    """For Q(a) = -c (a - m)², unsquashed, the best Gaussian is N(m, α/(2c)): the gradient in (μ, log σ) vanishes there and not beside it."""
    m, c, eps = 0.4, 1.7, torch.linspace(-8, 8, 4001, dtype=torch.float64)
    weights = torch.distributions.Normal(0.0, 1.0).log_prob(eps).exp() * (eps[1] - eps[0]) * len(eps)

    def gradient(mu, sigma):
        parameters = torch.tensor([mu, math.log(sigma)], dtype=torch.float64, requires_grad=True)
        std = parameters[1].exp()
        log_prob = -eps.square() / 2 - std.log() - math.log(2 * math.pi) / 2
        q = -c * (parameters[0] + std * eps - m).square()
        (g,) = torch.autograd.grad(sac_policy_loss(weights * log_prob, weights * q, ALPHA), parameters)
        return g.abs().max().item()

    best = math.sqrt(ALPHA / (2 * c))
    assert gradient(m, best) < 1e-9
    assert gradient(m, 1.2 * best) > 1e-2 and gradient(m + 0.1, best) > 1e-2


@pytest.mark.parametrize("log_alpha", [-8.0, 0.0, 2.0])
@pytest.mark.parametrize(("entropy", "step"), [(-3.0, +1), (-1.0, -1), (-2.0, 0)])
def test_temperature_step_sign_and_size(log_alpha, entropy, step):
    """One gradient step of size η moves log α by η (H̄ - Ĥ): up when there is too little entropy, down when too much, whatever α is."""
    parameter = torch.tensor(log_alpha, dtype=torch.float64, requires_grad=True)
    spread = torch.linspace(-1.0, 1.0, 11, dtype=torch.float64)
    log_prob = (-entropy + spread).requires_grad_()
    loss = temperature_loss(parameter, log_prob, target_entropy=-2.0)
    assert loss.item() == pytest.approx(-log_alpha * (-entropy - 2.0), abs=1e-12)
    gradient = torch.autograd.grad(loss, (parameter, log_prob), allow_unused=True)
    assert (-0.1 * gradient[0]).item() == pytest.approx(0.1 * step, abs=1e-12)
    assert gradient[1] is None, "log π is detached"


def test_temperature_targets_per_copy():
    log_alpha = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([-1.0, -3.0], dtype=torch.float64)
    loss = temperature_loss(log_alpha, torch.full((2, 7), 2.0, dtype=torch.float64), targets)
    assert torch.autograd.grad(loss.sum(), log_alpha)[0].tolist() == [-1.0, 1.0]


def test_squared_td_error():
    q, y = transitions(3, 2, 5)[2:4]
    expected = torch.tensor([[sum((a - b) ** 2 for a, b in zip(qs, ys)) / 5 for qs, ys in zip(*m)] for m in zip(q.tolist(), y.tolist())])
    torch.testing.assert_close(squared_td_error(q, y), expected.double(), rtol=1e-6, atol=1e-6)
    assert torch.equal(squared_td_error(q, q), torch.zeros(3, 2, dtype=torch.float64))
    torch.testing.assert_close(squared_td_error(q + 3, y + 3), squared_td_error(q, y))


def test_squared_td_error_gradient_flow():
    q, y = (x.requires_grad_() for x in transitions(1)[2:4])
    gradient = torch.autograd.grad(squared_td_error(q, y), (q, y), allow_unused=True)
    torch.testing.assert_close(gradient[0], 2 * (q - y).detach())
    assert gradient[1] is None, "the target does not move to make the question easier"


def test_twin_critics_share_their_target_and_seeds_do_not():
    """q is (2 seeds, 2 critics, B) and y (2 seeds, B). Broadcasting would hand seed 1's target to critic 1 of both seeds."""
    q, y = transitions(2, 2, 5)[2], transitions(2, 5, seed=1)[2]
    loss = squared_td_error(q, y)
    assert loss.shape == (2, 2)
    for seed in range(2):
        for critic in range(2):
            torch.testing.assert_close(loss[seed, critic], squared_td_error(q[seed, critic], y[seed]))
    assert not torch.allclose(loss, (q - y).square().mean(-1))
    torch.testing.assert_close(squared_td_error(q[0], y[0]), loss[0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_value_target_of_the_first_version(dtype):
    """A loop, the limits, and the bridge to the second version: r + γ (1 − d) y_V at s' is its target [13.9, 13.12]."""
    r, d, q1, q2, log_prob = transitions(50, dtype=dtype)
    y = sac_value_target(q1, q2, log_prob, ALPHA)
    expected = [min(a, b) - ALPHA * x for a, b, x in zip(q1.tolist(), q2.tolist(), log_prob.tolist())]
    torch.testing.assert_close(y, torch.tensor(expected, dtype=dtype))
    assert torch.equal(sac_value_target(q2, q1, log_prob, ALPHA), y) and torch.equal(sac_value_target(q1, q2, log_prob, 0.0), torch.minimum(q1, q2))
    torch.testing.assert_close(td_target(r, d, y, GAMMA), sac_target(r, d, q1, q2, log_prob, GAMMA, ALPHA))
    torch.testing.assert_close(sac_value_target(3 * q1, 3 * q2, log_prob, 3 * ALPHA), 3 * y)


def test_value_target_temperatures_gradients_and_errors():
    _, _, q1, q2, log_prob = (x.requires_grad_() if x.is_floating_point() else x for x in transitions(3, 4))
    alpha = torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64)
    y = sac_value_target(q1, q2, log_prob, alpha)
    for k in range(3):
        torch.testing.assert_close(y[k], sac_value_target(q1[k], q2[k], log_prob[k], alpha[k].item()))
    first, gradients = (q1 < q2).double(), torch.autograd.grad(y.sum(), (q1, q2, log_prob))
    torch.testing.assert_close(torch.stack(gradients), torch.stack([first, 1 - first, -alpha[:, None].expand(3, 4)]))
    meta = torch.zeros(2, 5, device="meta")
    assert sac_value_target(meta, meta, meta, ALPHA).is_meta
    with pytest.raises(ShapeError, match=r"q2 \(4, 1\)"):
        sac_value_target(q1[0], q2[0][:, None], log_prob[0], ALPHA)
    with pytest.raises(ShapeError, match=r"one per copy, which is \(3,\)"):
        sac_value_target(q1, q2, log_prob, torch.ones(4, dtype=torch.float64))


def test_meta_device():
    x, d, alpha = torch.zeros(2, 5, device="meta"), torch.zeros(2, 5, dtype=torch.bool, device="meta"), torch.zeros(2, device="meta")
    for a in (alpha, ALPHA):
        assert sac_target(x, d, x, x, x, GAMMA, a).is_meta and sac_policy_loss(x, x, a).is_meta
    assert temperature_loss(alpha, x, -2.0).is_meta and squared_td_error(x[:, None], x).is_meta


def test_errors_teach():
    r, d, q1, q2, log_prob = transitions(4)
    with pytest.raises(ShapeError, match=r"q1_next \(4, 1\).*\(4, 4\) table.*q1_next\.squeeze\(-1\)"):
        sac_target(r, d, q1[:, None], q2, log_prob, GAMMA, ALPHA)
    with pytest.raises(ShapeError, match=r"terminated \(4, 1\)"):
        sac_target(r, d[:, None], q1, q2, log_prob, GAMMA, ALPHA)
    with pytest.raises(ShapeError, match=r"q_min \(4, 1\)"):
        sac_policy_loss(log_prob, q1[:, None], ALPHA)
    with pytest.raises(ShapeError, match=r"target \(4, 1\)"):
        squared_td_error(q1, r[:, None])
    with pytest.raises(ShapeError, match=r"target \(1, 4\)"):
        squared_td_error(q1, r[None])
    with pytest.raises(TypeError, match=r"rewards has dtype torch\.int64"):
        sac_target(r.long(), d, q1, q2, log_prob, GAMMA, ALPHA)
    with pytest.raises(TypeError, match=r"target has dtype torch\.bool"):
        squared_td_error(q1, d)
    with pytest.raises(TypeError, match="terminated is a list"):
        sac_target(r, d.tolist(), q1, q2, log_prob, GAMMA, ALPHA)
    with pytest.raises(ValueError, match=r"gamma is 1\.5"):
        sac_target(r, d, q1, q2, log_prob, 1.5, ALPHA)
    with pytest.raises(TypeError, match="log_alpha is a float"):
        temperature_loss(0.0, log_prob, -2.0)


@pytest.mark.parametrize("alpha", [torch.ones(4), torch.ones(3, 1), torch.ones(1)])
def test_alpha_is_a_number_or_one_per_copy(alpha):
    batch = transitions(3, 4, dtype=torch.float32)
    for f in (
        lambda: sac_target(*batch, GAMMA, alpha),
        lambda: sac_policy_loss(batch[4], batch[2], alpha),
        lambda: temperature_loss(alpha, batch[4], -2.0),
        lambda: temperature_loss(torch.zeros(3), batch[4], alpha),
    ):
        with pytest.raises(ShapeError, match=r"one per copy, which is \(3,\)"):
            f()
