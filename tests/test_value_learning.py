"""Targets and loss of the deterministic actor-critics: loops, limits, gradient flow, errors."""

import math

import pytest
import torch
from agents import DEVICES

from rlcourse.equations.value_learning import dpg_loss, target_action, td3_target, td_target
from rlcourse.types import ShapeError

DTYPES = [torch.float32, torch.float64]
GAMMA = 0.9


def transitions(*shape, dtype=torch.float64, device="cpu", seed=0):
    """rewards, terminated, q1_next, q2_next; a third of the transitions terminate."""
    generator = torch.Generator().manual_seed(seed)
    rewards, q1, q2 = torch.randn((3, *shape), generator=generator, dtype=torch.float64).to(device, dtype)
    return rewards, (torch.rand(shape, generator=generator) < 1 / 3).to(device), q1, q2


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_targets_against_a_loop(dtype, device):
    r, d, q1, q2 = transitions(50, dtype=dtype, device=device)
    rows = list(zip(r.tolist(), d.tolist(), q1.tolist(), q2.tolist()))
    exact = {"rel": 1e-5, "abs": 1e-6} if dtype == torch.float32 else {"rel": 1e-13}
    for y, expected in ((td_target(r, d, q1, GAMMA), [r if d else r + GAMMA * q for r, d, q, _ in rows]),
                        (td3_target(r, d, q1, q2, GAMMA), [r if d else r + GAMMA * min(q, p) for r, d, q, p in rows])):
        assert y.dtype == dtype and y.device == r.device and y.tolist() == pytest.approx(expected, **exact)
    assert 5 < d.sum() < 45, "both kinds of transitions were seen"


def test_target_limits():
    r, d, q1, q2 = transitions(50)
    for y, target in ((td_target(r, d, q1, GAMMA), lambda d, q, g: td_target(r, d, q, g)),
                      (td3_target(r, d, q1, q2, GAMMA), lambda d, q, g: td3_target(r, d, q, q2 + (q - q1), g))):
        assert torch.equal(y[d], r[d]) and torch.equal(target(torch.ones_like(d), q1, GAMMA), r) and torch.equal(target(d, q1, 0.0), r)
        torch.testing.assert_close(target(d, q1 + 2, GAMMA), y + 2 * GAMMA * ~d)
    assert torch.equal(td3_target(r, d, q1, q1, GAMMA), td_target(r, d, q1, GAMMA))
    assert torch.equal(td3_target(r, d, q2, q1, GAMMA), td3_target(r, d, q1, q2, GAMMA))
    assert (td3_target(r, d, q1, q2, GAMMA) <= torch.minimum(td_target(r, d, q1, GAMMA), td_target(r, d, q2, GAMMA))).all()
    forever = torch.full((3,), 1 / (1 - GAMMA), dtype=torch.float64)
    torch.testing.assert_close(td_target(torch.ones_like(forever), forever < 0, forever, GAMMA), forever)


def test_targets_mask_in_every_dtype_and_detach_nothing():
    r, d, q1, q2 = transitions(20)
    for mask in (torch.uint8, torch.int64, torch.float32):
        assert torch.equal(td_target(r, d.to(mask), q1, GAMMA), td_target(r, d, q1, GAMMA))
        assert torch.equal(td3_target(r, d.to(mask), q1, q2, GAMMA), td3_target(r, d, q1, q2, GAMMA))
    q1.requires_grad_(), q2.requires_grad_()
    alive, first = (~d).double(), (q1 < q2).double()
    torch.testing.assert_close(torch.autograd.grad(td_target(r, d, q1, GAMMA).sum(), q1)[0], GAMMA * alive)
    gradients = torch.autograd.grad(td3_target(r, d, q1, q2, GAMMA).sum(), (q1, q2))
    torch.testing.assert_close(torch.stack(gradients), GAMMA * alive * torch.stack([first, 1 - first]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_target_action_against_a_loop_with_both_clips_binding(dtype):
    generator = torch.Generator().manual_seed(0)
    mu, eps = (2 * torch.rand(40, 3, generator=generator) - 1).to(dtype), torch.randn(40, 3, generator=generator).to(dtype)
    ours = target_action(mu, eps, sigma=0.5, c=0.3, low=-0.7, high=0.9)
    expected = [[min(max(m + min(max(0.5 * e, -0.3), 0.3), -0.7), 0.9) for m, e in zip(*row)] for row in zip(mu.tolist(), eps.tolist())]
    torch.testing.assert_close(ours, torch.tensor(expected, dtype=dtype))
    assert ours.dtype == dtype and ours.eq(-0.7).any() and ours.eq(0.9).any() and ((ours - mu).abs() < 0.29).any()


def test_target_action_limits():
    generator = torch.Generator().manual_seed(1)
    mu, eps = 3 * torch.rand(40, 2, generator=generator, dtype=torch.float64) - 1.5, torch.randn(40, 2, generator=generator, dtype=torch.float64)
    assert torch.equal(target_action(mu, eps, 0.0, 0.5), mu.clamp(-1, 1)) and torch.equal(target_action(mu, eps, 0.2, 0.0), mu.clamp(-1, 1))
    torch.testing.assert_close(target_action(mu, eps, 0.2, math.inf, -9, 9), mu + 0.2 * eps)
    torch.testing.assert_close(target_action(mu, eps, 1e9, 0.5, -9, 9), mu + 0.5 * eps.sign())
    torch.testing.assert_close(target_action(-mu, -eps, 0.2, 0.3), -target_action(mu, eps, 0.2, 0.3))


def test_the_smoothed_critic_is_the_critic_averaged_over_gaussian_noise():
    """E cos(ω ã) = cos(ω μ) exp(−ω²σ²/2) without clips: σ is a standard deviation. Taken for a variance, σ = ½ would smooth as ¼."""
    eps = torch.randn(400_000, 1, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    mu, w, sigma = torch.full_like(eps, 0.3), 2.0, 0.5
    smoothed = (w * target_action(mu, eps, sigma, math.inf, -math.inf, math.inf)).cos().mean().item()
    assert smoothed == pytest.approx(math.cos(w * 0.3) * math.exp(-((w * sigma) ** 2) / 2), abs=5 / math.sqrt(len(eps)))


def test_dpg_loss_is_minus_the_mean_and_its_gradient_the_chain_rule():
    q = transitions(3, 5)[2].requires_grad_()
    loss = dpg_loss(q)
    assert loss.shape == (3,)
    torch.testing.assert_close(loss, torch.tensor([-sum(row) / 5 for row in q.tolist()], dtype=torch.float64))
    torch.testing.assert_close(torch.autograd.grad(loss.sum(), q)[0], torch.full_like(q, -1 / 5))
    theta = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    states = torch.linspace(-1, 1, 5, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(dpg_loss(-(theta * states - 2 * states).square() + states), theta)
    assert gradient.item() == pytest.approx((2 * (3 - 2) * states.square()).mean().item()), "towards 2, and the function of s alone has no part in it"


def test_meta_device():
    x, d = torch.zeros(2, 5, device="meta"), torch.zeros(2, 5, dtype=torch.bool, device="meta")
    assert all(y.is_meta for y in (td_target(x, d, x, GAMMA), td3_target(x, d, x, x, GAMMA), target_action(x, x, 0.2, 0.5), dpg_loss(x)))


def test_errors_teach():
    r, d, q1, q2 = transitions(4)
    with pytest.raises(ShapeError, match=r"q_next \(4, 1\).*\(4, 4\) table.*q_next\.squeeze\(-1\)"):
        td_target(r, d, q1[:, None], GAMMA)
    with pytest.raises(ShapeError, match=r"q2_next \(4, 1\)"):
        td3_target(r, d, q1, q2[:, None], GAMMA)
    with pytest.raises(ShapeError, match=r"eps \(4,\)"):
        target_action(q1[:, None], q2, 0.2, 0.5)
    for target in (td_target, td3_target):
        qs = (q1,) if target is td_target else (q1, q2)
        with pytest.raises(ShapeError, match=r"terminated \(4, 1\)"):
            target(r, d[:, None], *qs, GAMMA)
        with pytest.raises(TypeError, match=r"rewards has dtype torch\.int64"):
            target(r.long(), d, *qs, GAMMA)
        with pytest.raises(ValueError, match=r"gamma is 1\.5"):
            target(r, d, *qs, 1.5)
    with pytest.raises(TypeError, match="q has dtype"):
        dpg_loss(d)
    for wrong in ({"sigma": -0.2}, {"c": -0.5}, {"low": 1.0, "high": -1.0}, {"sigma": math.nan}):
        with pytest.raises(ValueError, match=rf"{next(iter(wrong))} = .*neither is negative"):
            target_action(q1, q2, **{"sigma": 0.2, "c": 0.5} | wrong)
