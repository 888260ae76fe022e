"""Returns and advantages against forward sums, for every placement of terminations and time limits, and the limits that the docstrings state."""

import itertools

import numpy as np
import pytest
import torch

from rlcourse.equations import returns
from rlcourse.types import ShapeError

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
DTYPES = [torch.float32, torch.float64]
GAMMA, LAM = 0.9, 0.7


def tolerance(dtype):
    return {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-12, "atol": 1e-12}


def every_ending(T, dtype=torch.float64, device="cpu"):
    """All 4^T placements of (nothing, terminated, truncated, both), one per column, with random rewards and values."""
    endings = torch.tensor(list(itertools.product(range(4), repeat=T))).T
    generator = torch.Generator().manual_seed(T)
    rewards, values, next_values = torch.randn((3, *endings.shape), generator=generator, dtype=torch.float64)
    return [x.to(dtype=dtype, device=device) for x in (rewards, values, next_values)] + [(endings % 2 == 1).to(device), (endings >= 2).to(device)]


def consistent(T, B=5, seed=0):
    """A segment in which next_values[t] = values[t+1] wherever the episode goes on, as it is when both come from one critic."""
    generator = torch.Generator().manual_seed(seed)
    rewards, values, next_values = torch.randn((3, T, B), generator=generator, dtype=torch.float64)
    terminated, truncated = torch.rand((2, T, B), generator=generator) < 0.15
    goes_on = ~(terminated | truncated)[:-1]
    next_values[:-1] = torch.where(goes_on, values[1:], next_values[:-1])
    return rewards, values, next_values, terminated, truncated


def forward_n_step(r, v, term, trunc, gamma, n, t):
    """One n-step return from step t, summed forwards in Python floats. Also says how many steps it really took."""
    total, discount = 0.0, 1.0
    for k in range(n):
        total += discount * r[t + k]
        discount *= gamma
        if term[t + k]:
            return total, k + 1
        if trunc[t + k] or t + k == len(r) - 1:
            break
    return total + discount * v[t + k], k + 1


def forward_lambda(r, v, term, trunc, gamma, lam, t):
    """Σ_n (1-λ) λ^(n-1) G^(n), the last n-step return taking all the weight that is left."""
    total, weight, n = 0.0, 1.0, 1
    while True:
        _, steps = forward_n_step(r, v, term, trunc, gamma, n + 1, t)
        g, _ = forward_n_step(r, v, term, trunc, gamma, n, t)
        if steps == n:
            return total + weight * g
        total += weight * (1 - lam) * g
        weight *= lam
        n += 1


def forward_gae(r, value, v, term, trunc, gamma, lam, t):
    """Σ_l (γλ)^l δ_{t+l} until the episode or the segment ends."""
    total, weight = 0.0, 1.0
    for k in range(t, len(r)):
        total += weight * (r[k] + (0.0 if term[k] else gamma * v[k]) - value[k])
        weight *= gamma * lam
        if term[k] or trunc[k]:
            break
    return total


def by_column(f, *arrays):
    """f(*columns, t) for every column and every t, as a (T, B) float64 tensor."""
    T, B = arrays[0].shape
    columns = [x.double().T.tolist() for x in arrays]
    return torch.tensor([[f(*(c[b] for c in columns), t) for b in range(B)] for t in range(T)], dtype=torch.float64)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("T", [1, 2, 3, 4])
def test_every_ending_against_forward_sums(T, dtype, device):
    r, value, v, term, trunc = every_ending(T, dtype, device)
    found = {
        "discounted": returns.discounted_returns(r, term, trunc, v, GAMMA),
        "lambda": returns.lambda_returns(r, v, term, trunc, GAMMA, LAM),
        "gae": returns.gae(r, value, v, term, trunc, GAMMA, LAM),
        **{f"{n}-step": returns.n_step_returns(r, v, term, trunc, GAMMA, n) for n in range(1, T + 2)},
    }
    expected = {
        "discounted": by_column(lambda r, v, d, e, t: forward_n_step(r, v, d, e, GAMMA, T, t)[0], r, v, term, trunc),
        "lambda": by_column(lambda r, v, d, e, t: forward_lambda(r, v, d, e, GAMMA, LAM, t), r, v, term, trunc),
        "gae": by_column(lambda r, u, v, d, e, t: forward_gae(r, u, v, d, e, GAMMA, LAM, t), r, value, v, term, trunc),
        **{
            f"{n}-step": by_column(lambda r, v, d, e, t, n=n: forward_n_step(r, v, d, e, GAMMA, n, t)[0], r, v, term, trunc)
            for n in range(1, T + 2)
        },
    }
    for name, x in found.items():
        assert x.dtype == dtype and x.device == r.device, name
        torch.testing.assert_close(x.cpu().double(), expected[name], **tolerance(dtype), msg=lambda m, name=name: f"{name}: {m}")


def test_hand_computed_time_limit():
    """Three steps of reward 1, a time limit after the second, V = 10 everywhere, γ = ½, worked out on paper."""
    r, v = torch.ones(3, 1), torch.full((3, 1), 10.0)
    nothing, at_second = torch.zeros(3, 1, dtype=torch.bool), torch.tensor([[False], [True], [False]])
    assert returns.discounted_returns(r, nothing, at_second, v, 0.5).flatten().tolist() == [4.0, 6.0, 6.0]
    assert returns.discounted_returns(r, at_second, nothing, v, 0.5).flatten().tolist() == [1.5, 1.0, 6.0]
    assert returns.discounted_returns(r, at_second, at_second, v, 0.5).flatten().tolist() == [1.5, 1.0, 6.0], "terminated wins"


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
def test_limits_in_lambda_and_n(gamma):
    r, value, v, term, trunc = every_ending(4)
    one_step = r + gamma * v * (~term)
    discounted = returns.discounted_returns(r, term, trunc, v, gamma)
    torch.testing.assert_close(returns.lambda_returns(r, v, term, trunc, gamma, 0.0), one_step)
    torch.testing.assert_close(returns.n_step_returns(r, v, term, trunc, gamma, 1), one_step)
    torch.testing.assert_close(returns.lambda_returns(r, v, term, trunc, gamma, 1.0), discounted)
    torch.testing.assert_close(returns.n_step_returns(r, v, term, trunc, gamma, 4), discounted)
    torch.testing.assert_close(returns.n_step_returns(r, v, term, trunc, gamma, 1000), discounted)
    torch.testing.assert_close(returns.gae(r, value, v, term, trunc, gamma, 0.0), one_step - value)


def test_gamma_zero_is_the_reward():
    r, value, v, term, trunc = every_ending(4)
    assert torch.equal(returns.discounted_returns(r, term, trunc, v, 0.0), r)
    assert torch.equal(returns.lambda_returns(r, v, term, trunc, 0.0, LAM), r)
    assert torch.equal(returns.n_step_returns(r, v, term, trunc, 0.0, 3), r)
    assert torch.equal(returns.gae(r, value, v, term, trunc, 0.0, LAM), r - value)


@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0])
def test_gae_plus_values_is_the_lambda_return(lam):
    r, value, v, term, trunc = consistent(T=30)
    advantages = returns.gae(r, value, v, term, trunc, GAMMA, lam)
    torch.testing.assert_close(advantages + value, returns.lambda_returns(r, v, term, trunc, GAMMA, lam))
    if lam == 1.0:
        torch.testing.assert_close(advantages, returns.discounted_returns(r, term, trunc, v, GAMMA) - value)


def test_gae_is_linear():
    _, _, _, term, trunc = every_ending(4)
    x, y = torch.randn((2, 3, 4, 256), generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def advantage(z):
        return returns.gae(*z, term, trunc, GAMMA, LAM)

    torch.testing.assert_close(advantage(2 * x - 3 * y), 2 * advantage(x) - 3 * advantage(y))


def test_gae_of_values_that_satisfy_the_bellman_equation_is_zero():
    _, _, v, term, trunc = consistent(T=20)
    value = torch.randn((20, 5), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    r = value - GAMMA * v * (~term)  # not GAMMA * (~term) * v: a number times a bool tensor is float32
    assert returns.gae(r, value, v, term, trunc, GAMMA, LAM).abs().max() < 1e-14


def test_shifting_rewards_shifts_returns():
    """r + c and V + c/(1-γ) describe the same task with a salary: every return rises by c/(1-γ), unless the task ends and the salary with it."""
    r, _, v, _, trunc = every_ending(4)
    no_end, c = torch.zeros_like(trunc), 0.3
    raise_ = c / (1 - GAMMA)
    for f, extra in ((returns.lambda_returns, (GAMMA, LAM)), (returns.n_step_returns, (GAMMA, 2))):
        torch.testing.assert_close(f(r + c, v + raise_, no_end, trunc, *extra), f(r, v, no_end, trunc, *extra) + raise_)
    constant = returns.discounted_returns(torch.full_like(r, c), no_end, trunc, torch.full_like(v, raise_), GAMMA)
    torch.testing.assert_close(constant, torch.full_like(r, raise_))


def test_nothing_crosses_an_episode_boundary():
    """What happens after an end does not reach the steps before it, and what happened before does not reach the steps after."""
    r, value, v, _, _ = every_ending(4)
    for kind in (0, 1):
        masks = torch.zeros(2, 4, 256, dtype=torch.bool)
        masks[kind, 1] = True
        later = r.clone()
        later[2:] += 100.0
        for f in (
            lambda r, m=masks: returns.discounted_returns(r, *m, v, GAMMA),
            lambda r, m=masks: returns.n_step_returns(r, v, *m, GAMMA, 3),
            lambda r, m=masks: returns.lambda_returns(r, v, *m, GAMMA, LAM),
            lambda r, m=masks: returns.gae(r, value, v, *m, GAMMA, LAM),
        ):
            assert torch.equal(f(later)[:2], f(r)[:2])
            assert not torch.equal(f(later)[2:], f(r)[2:])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numpy_in_numpy_out(dtype):
    tensors = every_ending(3)
    r, value, v = (x.numpy().astype(dtype) for x in tensors[:3])
    r.flags.writeable = False
    term, trunc = (x.numpy() for x in tensors[3:])
    pairs = [
        (returns.discounted_returns(r, term, trunc, v, np.float64(GAMMA)), returns.discounted_returns(tensors[0], *tensors[3:], tensors[2], GAMMA)),
        (returns.n_step_returns(r, v, term, trunc, GAMMA, np.int64(2)), returns.n_step_returns(tensors[0], *tensors[2:], GAMMA, 2)),
        (returns.lambda_returns(r, v, term, trunc, GAMMA, np.float64(LAM)), returns.lambda_returns(tensors[0], *tensors[2:], GAMMA, LAM)),
        (returns.gae(r, value, v, term, trunc, np.float64(GAMMA), np.float64(LAM)), returns.gae(*tensors, GAMMA, LAM)),
    ]
    for found, expected in pairs:
        assert isinstance(found, np.ndarray) and found.dtype == dtype
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mask_dtype", [torch.bool, torch.uint8, torch.int64, torch.float32, torch.float64])
def test_masks_of_every_dtype_mean_the_same(mask_dtype):
    r, value, v, term, trunc = every_ending(3)
    found = returns.gae(r, value, v, term.to(mask_dtype), trunc.to(mask_dtype), GAMMA, LAM)
    assert torch.equal(found, returns.gae(r, value, v, term, trunc, GAMMA, LAM))


def test_seeds_lead():
    segments = [consistent(T=6, seed=seed) for seed in range(3)]
    stacked = [torch.stack(xs) for xs in zip(*segments)]
    found = returns.gae(*stacked, GAMMA, LAM)
    assert found.shape == (3, 6, 5)
    for k, segment in enumerate(segments):
        assert torch.equal(found[k], returns.gae(*segment, GAMMA, LAM))


def test_inputs_are_left_alone():
    segment = consistent(T=4)
    before = [x.clone() for x in segment]
    returns.gae(*segment, GAMMA, LAM)
    returns.n_step_returns(segment[0], *segment[2:], GAMMA, 3)
    for x, y in zip(segment, before):
        assert torch.equal(x, y)


def test_gradient_flow():
    r, value, v, term, trunc = every_ending(3)
    r, value, v = (x.requires_grad_() for x in (r, value, v))
    assert not returns.gae(r, value, v, term, trunc, GAMMA, LAM).requires_grad
    nowhere = torch.zeros_like(term)
    gradient = torch.autograd.grad(returns.discounted_returns(r, nowhere, nowhere, v, GAMMA)[0].sum(), (r, v))
    torch.testing.assert_close(gradient[0][:, 0], torch.tensor([1.0, GAMMA, GAMMA**2], dtype=torch.float64))
    torch.testing.assert_close(gradient[1][:, 0], torch.tensor([0.0, 0.0, GAMMA**3], dtype=torch.float64))


def test_meta_device():
    r, term = torch.zeros(4, 2, device="meta"), torch.zeros(4, 2, dtype=torch.uint8, device="meta")
    assert returns.gae(r, r, r, term, term, GAMMA, LAM).is_meta
    assert returns.n_step_returns(r, r, term, term, GAMMA, 2).is_meta


def call(name, r, v, term, trunc, gamma=GAMMA, lam=LAM):
    return {
        "discounted": lambda: returns.discounted_returns(r, term, trunc, v, gamma),
        "n_step": lambda: returns.n_step_returns(r, v, term, trunc, gamma, 2),
        "lambda": lambda: returns.lambda_returns(r, v, term, trunc, gamma, lam),
        "gae": lambda: returns.gae(r, v, v, term, trunc, gamma, lam),
    }[name]()


@pytest.mark.parametrize("name", ["discounted", "n_step", "lambda", "gae"])
def test_errors_teach(name):
    x, m = torch.rand(3, 2), torch.zeros(3, 2, dtype=torch.bool)
    with pytest.raises(ShapeError, match=r"rewards\[:, None\]"):
        call(name, x[:, 0], x[:, 0], m[:, 0], m[:, 0])
    with pytest.raises(ShapeError, match=r"next_values \(3, 1\).*\(3, 2\) table"):
        call(name, x, x[:, :1], m, m)
    with pytest.raises(ShapeError, match=r"terminated \(2, 3\).*do not even broadcast"):
        call(name, x, x, m.T, m)
    with pytest.raises(ShapeError, match=r"T, dimension -2, is 0"):
        call(name, x[:0], x[:0], m[:0], m[:0])
    with pytest.raises(TypeError, match=r"rewards has dtype torch.int64.*rewards.float\(\)"):
        call(name, x.long(), x, m, m)
    with pytest.raises(TypeError, match=r"values has dtype torch.bool.*order of the arguments"):
        call(name, x, m, x, m)
    with pytest.raises(TypeError, match="mixed"):
        call(name, x, x, m.numpy(), m)
    with pytest.raises(TypeError, match="rewards is a list"):
        call(name, x.tolist(), x, m, m)
    with pytest.raises(ValueError, match="terminated has entries that are neither 0 nor 1"):
        call(name, x, x, x + 2, m)
    with pytest.raises(ValueError, match=r"gamma is 99.*\[0, 1\]"):
        call(name, x, x, m, m, gamma=99)


def test_lambda_and_n_are_checked():
    x, m = torch.rand(3, 2), torch.zeros(3, 2, dtype=torch.bool)
    for lam in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="lam is"):
            returns.gae(x, x, x, m, m, GAMMA, lam)
        with pytest.raises(ValueError, match="lam is"):
            returns.lambda_returns(x, x, m, m, GAMMA, lam)
    for n in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match="at least 1"):
            returns.n_step_returns(x, x, m, m, GAMMA, n)
