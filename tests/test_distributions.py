"""Densities that integrate to one, agree with their distribution function and with torch.distributions, and stay finite in float32."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from rlcourse.equations.distributions import DiagonalGaussian, TanhGaussian, tanh_log_det

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
DTYPES = [torch.float32, torch.float64]
POLICIES = [(0.0, 1.0), (0.0, 0.1), (1.5, 0.4), (-0.7, 2.0), (0.3, 0.7)]
BOUNDS = [(-1.0, 1.0), (-2.0, 2.0), (0.0, 5.0)]


def seeded(seed=0, device="cpu"):
    return torch.Generator(device).manual_seed(seed)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=seeded(seed), dtype=dtype)


def squashed(mu, sigma, low=-1.0, high=1.0):
    return TanhGaussian(torch.tensor([mu], dtype=torch.float64), torch.tensor([sigma], dtype=torch.float64), low, high)


def integral_over_actions(log_density, mu, sigma, low=-1.0, high=1.0, upto=None):
    """∫ exp(log_density(a)) da from low to `upto`, by the trapezium rule in u, with da = scale (1 - tanh² u) du."""
    centre, scale = (low + high) / 2, (high - low) / 2
    end = mu + 12 * sigma if upto is None else math.atanh((upto - centre) / scale)
    u = torch.linspace(mu - 12 * sigma, end, 12001, dtype=torch.float64)
    width = scale / u.cosh().square()
    a = centre + scale * u.tanh()
    keep = (a > low) & (a < high)
    return torch.trapezoid((log_density(a[keep, None]).exp() * width[keep]), u[keep]).item()


# The squashed Gaussian ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("low", "high"), BOUNDS)
@pytest.mark.parametrize(("mu", "sigma"), POLICIES)
def test_density_integrates_to_one(mu, sigma, low, high):
    assert integral_over_actions(squashed(mu, sigma, low, high).log_prob, mu, sigma, low, high) == pytest.approx(1.0, abs=1e-8)


def test_the_wrong_exponent_does_not():
    """log(1 - tanh(a)²) in the place of log(1 - a²): the tanh is taken twice, and the probability of all actions together is 0.771."""
    policy = squashed(0.0, 1.0)

    def wrong(a):
        return policy.gaussian.log_prob(a.atanh()) - (1 - a.tanh().square()).log().sum(-1)

    assert integral_over_actions(wrong, 0.0, 1.0) == pytest.approx(0.771, abs=5e-4)


@pytest.mark.parametrize(("low", "high"), BOUNDS)
@pytest.mark.parametrize(("mu", "sigma"), POLICIES)
def test_distribution_function(mu, sigma, low, high):
    """P(a <= x) = Φ((atanh x - μ)/σ), x rescaled to (-1, 1)."""
    policy = squashed(mu, sigma, low, high)
    for share in (0.2, 0.5, 0.85):
        x = low + share * (high - low)
        expected = norm.cdf((math.atanh(2 * share - 1) - mu) / sigma)
        assert integral_over_actions(policy.log_prob, mu, sigma, low, high, upto=x) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_distributions_agree(dtype, device):
    mean, std = (normal(7, 3, seed=1) / 2).to(device, dtype), normal(7, 3, seed=2).exp().to(device, dtype) / 2
    low, high = torch.tensor([-1.0, -2.0, 0.0], dtype=dtype, device=device), torch.tensor([1.0, 2.0, 5.0], dtype=dtype, device=device)
    transforms = [torch.distributions.TanhTransform(), torch.distributions.AffineTransform((low + high) / 2, (high - low) / 2, event_dim=1)]
    gaussian = torch.distributions.Independent(torch.distributions.Normal(mean, std), 1)
    oracle = torch.distributions.TransformedDistribution(gaussian, transforms)
    policy = TanhGaussian(mean, std, low, high)
    action, log_prob = policy.rsample_with_log_prob(noise=normal(7, 3, seed=3).to(device, dtype))
    assert action.dtype == log_prob.dtype == dtype and action.device == log_prob.device == mean.device
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {}
    torch.testing.assert_close(log_prob, oracle.log_prob(action), **tolerance)
    torch.testing.assert_close(policy.log_prob(action), oracle.log_prob(action), **tolerance)
    torch.testing.assert_close(policy.gaussian.log_prob(action), gaussian.log_prob(action), **tolerance)
    torch.testing.assert_close(policy.gaussian.entropy(), gaussian.entropy(), **tolerance)


def test_log_det_is_the_jacobians():
    """log |det ∂a/∂u| from autograd's Jacobian of the squashing, bounds included."""
    policy = TanhGaussian(normal(3), torch.ones(3, dtype=torch.float64), low=np.array([-1.0, -2.0, 0.0]), high=np.array([1.0, 2.0, 5.0]))
    u = normal(3, seed=5)
    jacobian = torch.autograd.functional.jacobian(policy.squash, u)
    expected = policy.gaussian.log_prob(u) - torch.linalg.slogdet(jacobian).logabsdet
    torch.testing.assert_close(policy.log_prob_from_pre_tanh(u), expected)
    torch.testing.assert_close(tanh_log_det(u), torch.linalg.slogdet(torch.autograd.functional.jacobian(torch.tanh, u)).logabsdet)


def test_coordinates_multiply():
    mean, std, u = normal(6, 3), normal(6, 3, seed=1).exp(), normal(6, 3, seed=2)
    whole = TanhGaussian(mean, std, -2.0, 3.0).log_prob_from_pre_tanh(u)
    parts = [TanhGaussian(mean[:, [k]], std[:, [k]], -2.0, 3.0).log_prob_from_pre_tanh(u[:, [k]]) for k in range(3)]
    assert whole.shape == (6,)
    torch.testing.assert_close(whole, sum(parts))


def test_doubling_the_range_costs_log_two_per_dimension():
    mean, std, u = normal(6, 3), normal(6, 3, seed=1).exp(), normal(6, 3, seed=2)
    narrow, wide = TanhGaussian(mean, std, 0.0, 1.0), TanhGaussian(mean, std, 0.0, 2.0)
    torch.testing.assert_close(wide.log_prob_from_pre_tanh(u), narrow.log_prob_from_pre_tanh(u) - 3 * math.log(2))
    torch.testing.assert_close(wide.squash(u), 2 * narrow.squash(u))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("low", "high"), [*BOUNDS, (0.1, 0.3), (1e3, 1e3 + 0.1)])
def test_actions_stay_inside_and_bounds_are_reached(low, high, dtype):
    policy = TanhGaussian(torch.zeros(1, dtype=dtype), torch.ones(1, dtype=dtype), low, high)
    action = policy.squash(torch.linspace(-100, 100, 20001, dtype=dtype)[:, None])
    assert (action >= policy.low).all() and (action <= policy.high).all()
    assert torch.isfinite(policy.log_prob(action)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_prob_of_an_action_recovers_u(dtype):
    """Where tanh has not yet rounded u away: |u| up to 4 in float32 and 14 in float64; and with full accuracy around 0."""
    reach = 4.0 if dtype == torch.float32 else 14.0
    u = torch.linspace(-reach, reach, 401, dtype=dtype)[:, None]
    for low, high in BOUNDS:
        policy = TanhGaussian(torch.zeros(1, dtype=dtype), torch.ones(1, dtype=dtype), low, high)
        assert (policy.unsquash(policy.squash(u)) - u).abs().max() < 1e-3
    small = torch.tensor([[-1e-4], [1e-30], [0.0], [3e-7]], dtype=dtype)
    torch.testing.assert_close(TanhGaussian(small[0], torch.ones(1, dtype=dtype)).unsquash(torch.tanh(small)), small, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize(("dtype", "rounds_at", "stands_for"), [(torch.float32, 9.02, 8.66), (torch.float64, 19.1, 18.71)])
def test_at_the_bound(dtype, rounds_at, stands_for):
    """An action at the bound has lost its u. log_prob takes the last u that still differs from the bound: finite, gradients included."""
    mean = torch.zeros(1, dtype=dtype, requires_grad=True)
    policy = TanhGaussian(mean, torch.ones(1, dtype=dtype))
    assert policy.squash(torch.tensor([rounds_at], dtype=dtype)).item() == 1.0
    action = torch.tensor([[-1.0], [1.0]], dtype=dtype, requires_grad=True)
    u = policy.unsquash(action)
    assert u.detach().flatten().tolist() == pytest.approx([-stands_for, stands_for], abs=0.01)
    log_prob = policy.log_prob(action)
    torch.testing.assert_close(log_prob, policy.log_prob_from_pre_tanh(u))
    gradients = torch.autograd.grad(log_prob.sum(), (action, mean))
    assert all(torch.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("a", [-0.999, -0.3, 0.0, 0.3, 0.999])
def test_gradient_of_log_prob_in_the_action(a):
    """d log π / da against a central difference, also at the centre, where two branches of the inverse meet."""
    policy, h = squashed(0.4, 0.8), 1e-6
    action = torch.tensor([a], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(policy.log_prob(action), action)
    difference = (policy.log_prob(action.detach() + h) - policy.log_prob(action.detach() - h)) / (2 * h)
    assert gradient.item() == pytest.approx(difference.item(), rel=1e-5)


def test_mode_is_the_median_and_not_the_peak():
    policy = squashed(0.6, 1.3, 0.0, 5.0)
    assert integral_over_actions(policy.log_prob, 0.6, 1.3, 0.0, 5.0, upto=policy.mode().item()) == pytest.approx(0.5, abs=1e-6)
    torch.testing.assert_close(policy.mode(), 2.5 + 2.5 * torch.tanh(policy.mean))
    beside = torch.tensor([[-0.1], [0.1]], dtype=torch.float64)
    for variance, peak in ((0.45, True), (0.55, False)):
        p = squashed(0.0, math.sqrt(variance))
        assert bool((p.log_prob(p.mode()) > p.log_prob(beside)).all()) is peak


@pytest.mark.parametrize(("low", "high"), BOUNDS)
@pytest.mark.parametrize(("mu", "sigma"), POLICIES)
def test_entropy_estimate(mu, sigma, low, high):
    """Within 4.5 standard errors of -∫ π log π; the standard error is the spread of repeated estimates; better than averaging -log π."""
    policy = squashed(mu, sigma, low, high)
    u = torch.linspace(mu - 12 * sigma, mu + 12 * sigma, 20001, dtype=torch.float64)
    density = policy.gaussian.log_prob(u[:, None]).exp()
    truth = -torch.trapezoid(density * policy.log_prob_from_pre_tanh(u[:, None]), u).item()
    estimate = policy.entropy_estimate(seeded(1), samples=4000)
    assert estimate.value.shape == estimate.standard_error.shape == ()
    assert abs(estimate.value - truth) < 4.5 * estimate.standard_error
    repeated = TanhGaussian(policy.mean.expand(400, 1), policy.std, low, high).entropy_estimate(noise=normal(500, 400, 1, seed=2))
    assert repeated.value.shape == (400,)
    assert repeated.value.std().item() == pytest.approx(repeated.standard_error.mean().item(), rel=0.15)
    assert truth <= math.log(high - low)


def test_entropy_estimate_varies_less_than_minus_log_prob():
    policy = squashed(0.0, 0.3)
    noise = normal(1000, 1)
    naive = policy.log_prob_from_pre_tanh(policy.gaussian.rsample(noise=noise)).std() / math.sqrt(1000)
    assert policy.entropy_estimate(noise=noise).standard_error < naive / 3


def test_entropy_of_a_narrow_policy_is_the_gaussians():
    policy = squashed(0.0, 1e-4)
    assert policy.entropy_estimate(seeded()).value.item() == pytest.approx(policy.gaussian.entropy().item(), abs=1e-6)


def test_entropy_estimate_carries_pathwise_gradients():
    """dH/dσ = 1/σ - 2 E[ε tanh(u)], the derivative of the estimator written by hand."""
    mean, std, noise = torch.zeros(1, dtype=torch.float64), torch.tensor([0.8], dtype=torch.float64, requires_grad=True), normal(50, 1)
    (gradient,) = torch.autograd.grad(TanhGaussian(mean, std).entropy_estimate(noise=noise).value, std)
    torch.testing.assert_close(gradient, 1 / std.detach() - 2 * (noise * torch.tanh(noise * std.detach())).mean(0))


# The logarithm of the determinant -------------------------------------------------------------------------------------------------------------------


def test_log_det_known_values():
    u = torch.tensor([[0.0], [20.0], [-20.0], [100.0], [-100.0]], dtype=torch.float64)
    expected = [0.0, 2 * math.log(2) - 40, 2 * math.log(2) - 40, 2 * math.log(2) - 200, 2 * math.log(2) - 200]
    assert tanh_log_det(u).tolist() == pytest.approx(expected, abs=1e-13)
    assert tanh_log_det(torch.tensor([20.0])).item() == pytest.approx(-38.6137, abs=1e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("reach", [1.0, 20.0, 100.0])
def test_log_det_in_float32(reach, device):
    u = torch.linspace(-reach, reach, 2001, dtype=torch.float32, device=device)[:, None]
    torch.testing.assert_close(tanh_log_det(u).double(), tanh_log_det(u.double()), rtol=1e-6, atol=5e-7)


def test_log_det_is_even_and_exact_in_float64():
    """Against log1p(-tanh²) near 0 and the series at large |u|, on both sides: torch's softplus, a straight line above 20, fails this."""
    u = torch.linspace(-1.0, 1.0, 101, dtype=torch.float64)[:, None]
    torch.testing.assert_close(tanh_log_det(u), torch.log1p(-u.tanh().square()).sum(-1), rtol=1e-13, atol=1e-15)
    u = torch.linspace(9.0, 100.0, 1001, dtype=torch.float64)[:, None]
    torch.testing.assert_close(tanh_log_det(-u), tanh_log_det(u), rtol=1e-14, atol=0.0)
    torch.testing.assert_close(tanh_log_det(-u), (2 * math.log(2) - 2 * u - 2 * (-2 * u).exp()).sum(-1), rtol=1e-14, atol=0.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_are_finite_and_right_far_out(dtype):
    u = torch.tensor([[-100.0, 100.0, 0.5]], dtype=dtype, requires_grad=True)
    (gradient,) = torch.autograd.grad(tanh_log_det(u).sum(), u)
    torch.testing.assert_close(gradient, -2 * torch.tanh(u.detach()))
    mean = torch.tensor([[100.0, -100.0]], dtype=dtype, requires_grad=True)
    log_std = torch.zeros(1, 2, dtype=dtype, requires_grad=True)
    action, log_prob = TanhGaussian(mean, log_std.exp()).rsample_with_log_prob(seeded())
    assert action.tolist() == [[1.0, -1.0]]
    for output in (action.sum(), log_prob.sum()):
        for g in torch.autograd.grad(output, (mean, log_std), retain_graph=True):
            assert torch.isfinite(g).all()


def test_reparametrised_gradients():
    """x = μ + σ ε: dx/dμ = 1, dx/dσ = ε; a = tanh(x): the same times 1 - a²."""
    mean, std, noise = normal(4).requires_grad_(), normal(4, seed=1).exp().requires_grad_(), normal(4, seed=2)
    x = DiagonalGaussian(mean, std).rsample(noise=noise)
    torch.testing.assert_close(torch.stack(torch.autograd.grad(x.sum(), (mean, std))), torch.stack([torch.ones(4, dtype=x.dtype), noise]))
    a = TanhGaussian(mean, std).rsample(noise=noise)
    slope = 1 - a.detach().square()
    torch.testing.assert_close(torch.stack(torch.autograd.grad(a.sum(), (mean, std))), torch.stack([slope, slope * noise]))
