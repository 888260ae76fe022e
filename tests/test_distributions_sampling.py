"""Sampling from an explicit source of randomness, the categorical distribution, and what the distributions refuse."""

import math

import numpy as np
import pytest
import torch

from rlcourse.equations.distributions import Categorical, DiagonalGaussian, TanhGaussian
from rlcourse.types import ShapeError

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
DTYPES = [torch.float32, torch.float64]


def seeded(seed=0, device="cpu"):
    return torch.Generator(device).manual_seed(seed)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=seeded(seed), dtype=dtype)


# Sampling -------------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
def test_same_seed_same_bits(device):
    policy = TanhGaussian(torch.zeros(4, 2, device=device), torch.ones(4, 2, device=device))
    first, second, other = (policy.rsample(seeded(seed, device)) for seed in (0, 0, 1))
    assert torch.equal(first, second) and not torch.equal(first, other)
    before = torch.random.get_rng_state()
    policy.rsample_with_log_prob(seeded(0, device))
    policy.entropy_estimate(seeded(0, device))
    Categorical(torch.zeros(3, device=device)).sample(seeded(0, device))
    assert torch.equal(torch.random.get_rng_state(), before), "the global generator was used"


def test_noise_from_one_generator_per_copy():
    """Three seeds at once give each seed the actions that it has alone."""
    mean, std = normal(3, 4, 2), normal(3, 4, 2, seed=1).exp()
    noise = torch.stack([normal(4, 2, seed=seed) for seed in range(3)])
    together, log_prob = TanhGaussian(mean, std).rsample_with_log_prob(noise=noise)
    for k in range(3):
        alone, alone_log_prob = TanhGaussian(mean[k], std[k]).rsample_with_log_prob(seeded(k))
        assert torch.equal(together[k], alone) and torch.equal(log_prob[k], alone_log_prob)


def test_sample_moments():
    x = DiagonalGaussian(torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])).rsample(seeded(), sample_shape=(40000,))
    assert x.shape == (40000, 2)
    assert ((x.mean(0) - torch.tensor([1.0, -2.0])).abs() < 4.5 * torch.tensor([0.5, 3.0]) / 200).all()
    torch.testing.assert_close(x.std(0), torch.tensor([0.5, 3.0]), rtol=0.02, atol=0.0)


def test_meta_device():
    """Nothing in here chooses a device: with noise passed in, everything runs where there is no data at all."""
    mean, std = torch.zeros(4, 2, device="meta"), torch.ones(2, device="meta")
    for bounds in ((-1.0, 1.0), (np.array([0.0, 1.0]), np.array([1.0, 3.0])), (torch.zeros(2, device="meta"), 1.0)):
        policy = TanhGaussian(mean, std, *bounds)
        action, log_prob = policy.rsample_with_log_prob(noise=torch.zeros(4, 2, device="meta"))
        results = (action, log_prob, policy.log_prob(action), policy.mode(), *policy.entropy_estimate(noise=torch.zeros(3, 4, 2, device="meta")))
        assert all(x.is_meta for x in results)
        assert action.shape == (4, 2) and log_prob.shape == (4,)
    categorical = Categorical(mean)
    action = categorical.sample(noise=torch.zeros(4, 2, device="meta"))
    assert all(x.is_meta for x in (action, categorical.log_prob(action), categorical.entropy(), categorical.mode()))


def test_inside_vmap():
    mean, std, u = normal(5, 2), normal(5, 2, seed=1).exp(), normal(5, 2, seed=2)
    mapped = torch.func.vmap(lambda m, s, x: TanhGaussian(m, s).log_prob(torch.tanh(x)))(mean, std, u)
    torch.testing.assert_close(mapped, TanhGaussian(mean, std).log_prob_from_pre_tanh(u))


def test_outside_the_bounds_where_values_cannot_be_read():
    """In vmap, as on a GPU, nobody looks before the formula is evaluated: the answer is NaN, not a number that looks like a density."""
    actions = torch.tensor([[-1.001], [1.001], [-3.0], [1e6], [0.5]], dtype=torch.float64)
    policy = TanhGaussian(torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    assert torch.func.vmap(policy.log_prob)(actions).isnan().tolist() == [True, True, True, True, False]


# Categorical ----------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_categorical_agrees_with_torch(dtype, device):
    logits = (3 * normal(5, 4)).to(device, dtype)
    ours, oracle = Categorical(logits), torch.distributions.Categorical(logits=logits)
    action = ours.sample(seeded(0, device), sample_shape=(3,))
    assert action.shape == (3, 5) and action.dtype == torch.int64
    torch.testing.assert_close(ours.log_prob(action), oracle.log_prob(action))
    torch.testing.assert_close(ours.log_prob(action[0]), oracle.log_prob(action[0]))
    torch.testing.assert_close(ours.entropy(), oracle.entropy())
    assert torch.equal(ours.mode(), oracle.probs.argmax(-1))


def test_categorical_frequencies():
    p = torch.tensor([0.1, 0.2, 0.0, 0.7])
    action = Categorical(p.log()).sample(seeded(), sample_shape=(40000,))
    frequency = torch.bincount(action, minlength=4) / 40000
    assert ((frequency - p).abs() <= 4.5 * (p * (1 - p) / 40000).sqrt()).all()


def test_categorical_limits():
    logits = normal(6, dtype=torch.float32)
    torch.testing.assert_close(Categorical(logits + 1e4).log_probs, Categorical(logits).log_probs, rtol=0.0, atol=2e-3)
    assert Categorical(torch.full((6,), 1e4)).entropy().item() == pytest.approx(math.log(6))
    assert Categorical(torch.tensor([1e4, 0.0])).entropy().item() == 0.0


def test_forbidden_actions():
    logits = torch.tensor([0.0, -math.inf, 1.0], requires_grad=True)
    policy = Categorical(logits)
    torch.testing.assert_close(policy.entropy(), Categorical(torch.tensor([0.0, 1.0])).entropy())
    (gradient,) = torch.autograd.grad(policy.entropy(), logits)
    assert torch.isfinite(gradient).all() and gradient[1] == 0.0
    assert policy.log_prob(torch.tensor(1)).item() == -math.inf


# Errors ---------------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [DiagonalGaussian, TanhGaussian])
def test_construction_errors(make):
    ones = torch.ones(4, 2)
    for shape in ((4, 1), (4,), (3, 4, 2)):
        with pytest.raises(ShapeError, match="mean"):
            make(ones, torch.ones(shape))
    with pytest.raises(ShapeError, match=r"mean\[None\]"):
        make(torch.tensor(0.0), torch.tensor(1.0))
    with pytest.raises(TypeError, match="int64"):
        make(ones.long(), ones)
    with pytest.raises(TypeError, match="float"):
        make(ones, 1.0)
    for bad in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=r"log_std\.exp\(\)"):
            make(ones, torch.tensor([1.0, bad]))
    for std in (torch.ones(2), torch.tensor(1.0)):
        assert make(ones, std).std.shape == (4, 2)


def test_bounds_are_checked():
    mean, std = torch.zeros(4, 2), torch.ones(4, 2)
    with pytest.raises(ShapeError, match=r"high came as \(3,\)"):
        TanhGaussian(mean, std, -1.0, torch.ones(3))
    for low, high in ((1.0, -1.0), (1.0, 1.0), (-1.0, torch.tensor([1.0, -1.0]))):
        with pytest.raises(ValueError, match="low < high"):
            TanhGaussian(mean, std, low, high)
    policy = TanhGaussian(mean, std, -1.0, 2.0)
    for bad in (-1.1, 2.1, math.nan):
        with pytest.raises(ValueError, match="leaves"):
            policy.log_prob(torch.full((4, 2), bad))


def test_events_must_fit():
    policy = TanhGaussian(torch.zeros(4, 2), torch.ones(4, 2))
    for f in (policy.log_prob, policy.log_prob_from_pre_tanh, policy.gaussian.log_prob, lambda x: policy.rsample(noise=x)):
        assert f(torch.zeros(7, 4, 2)).shape[0] == 7
        for shape in ((4, 1), (2,), (2, 4), (7, 1, 2)):
            with pytest.raises(ShapeError, match=r"\(4, 2\)"):
                f(torch.zeros(shape))
    with pytest.raises(ShapeError, match=r"\(4,\)"):
        Categorical(torch.zeros(4, 3)).log_prob(torch.zeros(3, dtype=torch.int64))
    for action in (torch.zeros(4), torch.zeros(4, dtype=torch.bool), 1):
        with pytest.raises(TypeError, match=r"action\.long\(\)"):
            Categorical(torch.zeros(4, 3)).log_prob(action)


def test_one_source_of_randomness():
    policy, categorical, noise = TanhGaussian(torch.zeros(2), torch.ones(2)), Categorical(torch.zeros(2)), torch.zeros(2)
    for f in (policy.rsample, policy.rsample_with_log_prob, policy.gaussian.rsample, categorical.sample):
        for arguments in ({}, {"generator": seeded(), "noise": noise}, {"noise": noise, "sample_shape": (3,)}):
            with pytest.raises(ValueError, match="one source of randomness"):
                f(**arguments)
    for arguments in ({"noise": noise}, {"noise": noise[None]}, {"generator": seeded(), "samples": 1}):
        with pytest.raises(ShapeError, match="m >= 2"):
            policy.entropy_estimate(**arguments)
    with pytest.raises(ValueError, match="leave samples out"):
        policy.entropy_estimate(noise=torch.zeros(3, 2), samples=3)
