"""REINFORCE: its mean gradient against the exact one, one trajectory against the lecture's explicit sum, other seeds, and a task it must learn."""

import copy
import math

import numpy as np
import pytest
import torch
from agents import DEVICES, tensors
from finite_worlds import trajectories, world

from rlcourse import on_policy
from rlcourse.agents.reinforce import REINFORCE, REINFORCEConfig
from rlcourse.envs import choose_device
from rlcourse.equations import policy_gradient
from rlcourse.train import train
from rlcourse.types import Trajectory

CHOICES = [("return", "none"), ("reward_to_go", "none"), ("reward_to_go", "value"), ("return", "value")]
T = 2


def agent_of(copies: int, obs_dim: int, action_dim: int, discrete: bool = True, device: str = "cpu", **settings) -> REINFORCE:
    """Copies that all start from seed 7: one copy for each possible trajectory."""
    cfg = REINFORCEConfig(**{"hidden": (), "dtype": "float64", "baseline": "none", "episodes": 4} | settings)
    return REINFORCE(cfg, obs_dim, action_dim, [7] * copies, device, discrete=discrete)


def gradients(agent: REINFORCE, trajectory: Trajectory) -> dict[str, list[torch.Tensor]]:
    """What `update` would hand to its optimisers, copy by copy, in the place of a step."""
    found = {}
    agent.descend = lambda name, loss: found.update({name: torch.autograd.grad(loss.sum(), agent.optimisers[name].param_groups[0]["params"])})
    agent.update(trajectory, torch.zeros(len(agent.seeds), 0))
    return found


def every_trajectory(mdp) -> tuple[np.ndarray, Trajectory, np.ndarray]:
    """All T-step trajectories of the world, each in a copy of its own, (K, T, 1); those that enter a terminal state end there and are padded.

    Also states and actions (K, T) with the probabilities of start and next states: what is left of p(τ) without the policy.
    """
    s, a, log_p, _ = trajectories(mdp, T, np.ones((T, *mdp.r.shape)), mdp.p0)
    ends = mdp.terminal[s[:, 1]]
    keep = np.isfinite(log_p) & ~(ends & (a[:, 1] > 0))         # after the end there is one way to go on
    s, a, log_p, ends = s[keep], a[keep], log_p[keep], ends[keep]
    mask = np.stack([np.ones_like(ends), ~ends], 1)
    rewards = np.where(mask, mdp.r[s, a], 0.0)
    one_hot = torch.eye(mdp.n_states, dtype=torch.float64)[s][:, :, None]
    terminated = np.stack([ends, np.zeros_like(ends)], 1)
    parts = [torch.tensor(part)[..., None] for part in (a, rewards, terminated, ~terminated & mask, mask)]
    return np.exp(log_p), Trajectory(one_hot, parts[0], parts[1], one_hot, *parts[2:]), np.where(mask, a, -1)


def exact_gradient(mdp, agent: REINFORCE) -> list[torch.Tensor]:
    """∇ of J = Σ p0 V_0 by dynamic programming, V_t = Σ_a π (r + P V_{t+1}): no trajectories, no scores."""
    logits = agent.actor(torch.eye(mdp.n_states, dtype=torch.float64).expand(len(agent.seeds), -1, -1))[0]
    P, r, going = torch.tensor(mdp.P), torch.tensor(mdp.r), torch.tensor(~mdp.terminal)
    V = torch.zeros(mdp.n_states, dtype=torch.float64)
    for _ in range(T):
        V = going * (logits.softmax(-1) * (r + P @ V)).sum(-1)
    return [g[0] for g in torch.autograd.grad((torch.tensor(mdp.p0) * V).sum(), list(agent.actor.parameters()))]


def joined(trajectory: Trajectory, *indices: np.ndarray) -> Trajectory:
    """Single trajectories put beside each other, one batch of len(indices) episodes per copy."""
    return Trajectory(**{name: torch.cat([value[i] for i in indices], dim=2) for name, value in vars(trajectory).items()})


@pytest.mark.parametrize(("weights", "baseline"), CHOICES)
def test_the_mean_gradient_over_all_trajectories_is_the_exact_gradient(weights, baseline):
    """Σ_τ p(τ) ∇L(τ) = −∇J [03.6], with episodes of different lengths in the table."""
    mdp = world(1, n_states=3, n_actions=2, n_terminal=1)
    dynamics, trajectory, actions = every_trajectory(mdp)
    agent = agent_of(len(dynamics), 3, 2, weights=weights, baseline=baseline, episodes=1)
    log_pi = agent.policy(trajectory.obs).log_prob(trajectory.actions).detach()
    p = torch.tensor(dynamics) * torch.where(torch.tensor(actions >= 0)[..., None], log_pi, 0.0).sum((1, 2)).exp()
    assert abs(p.sum() - 1) < 1e-12 and (actions < 0).any()
    for estimate, exact in zip(gradients(agent, trajectory)["actor"], exact_gradient(mdp, agent)):
        torch.testing.assert_close((p.view(-1, 1, 1) * estimate).sum(0), -exact, rtol=0, atol=1e-12)
        assert exact.abs().max() > 0.01


@pytest.mark.parametrize("weights", ["return", "reward_to_go"])
def test_the_leave_one_out_baseline_keeps_the_mean_over_all_pairs(weights):
    """[03.4] The mean of the batch itself would shrink the gradient of two episodes by a half."""
    mdp = world(1, n_states=3, n_actions=2, n_terminal=1)
    dynamics, single, actions = every_trajectory(mdp)
    i, j = (index.ravel() for index in np.indices((len(dynamics), len(dynamics))))
    agent = agent_of(len(i), 3, 2, weights=weights, baseline="leave_one_out", episodes=2)
    trajectory = joined(single, i, j)
    chosen = torch.tensor(np.stack([actions[i], actions[j]], -1))
    log_pi = torch.where(chosen >= 0, agent.policy(trajectory.obs).log_prob(trajectory.actions).detach(), 0.0).sum((1, 2))
    p = torch.tensor(dynamics[i] * dynamics[j]) * log_pi.exp()
    for estimate, exact in zip(gradients(agent, trajectory)["actor"], exact_gradient(mdp, agent)):
        torch.testing.assert_close((p.view(-1, 1, 1) * estimate).sum(0), -exact, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("weights", "expected"), [("return", [6.0, 6.0, 6.0]), ("reward_to_go", [6.0, 5.0, 3.0])])
def test_one_trajectory_is_weighed_as_the_setting_says(weights, expected):
    """Rewards 1, 2, 3: against the lecture's explicit sum of scores [03.1]."""
    states, actions = torch.tensor([[0], [2], [1]]), torch.tensor([[1], [0], [1]])
    obs, flags = torch.eye(3, dtype=torch.float64)[states][None], torch.zeros(1, 3, 1, dtype=torch.bool)
    agent, rewards = agent_of(1, 3, 2, weights=weights), torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)[None, :, None]
    theta = (agent.actor.weights[0] + agent.actor.biases[0])[0].detach()
    explicit = policy_gradient.policy_gradient(theta, states, actions, torch.tensor(expected, dtype=torch.float64)[:, None], flags[0] == 0)
    found = gradients(agent, Trajectory(obs, actions[None], rewards, obs, flags, flags, mask=None))["actor"]
    torch.testing.assert_close(found[0][0], -explicit)


@pytest.mark.parametrize("baseline", ["leave_one_out", "value"])
def test_a_baseline_is_subtracted(baseline):
    """Reward-to-go (6, 5, 3) and (4, 0, 0): less that of the other episode [03.4], or less V(s) [03.3]."""
    states, actions = torch.tensor([[0, 1], [2, 2], [1, 0]]), torch.tensor([[1, 0], [0, 0], [1, 1]])
    rewards = torch.tensor([[1.0, 4.0], [2.0, 0.0], [3.0, 0.0]], dtype=torch.float64)
    obs, flags = torch.eye(3, dtype=torch.float64)[states][None], torch.zeros(1, 3, 2, dtype=torch.bool)
    agent = agent_of(1, 3, 2, baseline=baseline)
    by_hand = torch.tensor([[2.0, -2.0], [5.0, -5.0], [3.0, -3.0]], dtype=torch.float64)
    if baseline == "value":
        by_hand = torch.tensor([[6.0, 4.0], [5.0, 0.0], [3.0, 0.0]]) - agent.values(obs)[0].detach()
    theta = (agent.actor.weights[0] + agent.actor.biases[0])[0].detach()
    explicit = policy_gradient.policy_gradient(theta, states, actions, by_hand, flags[0] == 0)
    found = gradients(agent, Trajectory(obs, actions[None], rewards[None], obs, flags, flags, ~flags))["actor"]
    torch.testing.assert_close(found[0][0], -explicit)


def test_the_baselines_own_loss_is_the_mean_error_of_reward_to_go():
    """[03.2] over the steps that were taken: padding counts for nothing, whatever stands there."""
    mdp = world(1, n_states=3, n_actions=2, n_terminal=1)
    _, single, actions = every_trajectory(mdp)
    short, long = (int(np.flatnonzero((actions < 0).any(1) == ended)[0]) for ended in (True, False))
    trajectory = joined(single, [short], [long])
    agent = agent_of(1, 3, 2, baseline="value", episodes=2)
    values = agent.values(trajectory.obs)[0]
    r = trajectory.rewards[0]
    expected = ((values[0, 0] - r[0, 0]) ** 2 + (values[0, 1] - r[0, 1] - r[1, 1]) ** 2 + (values[1, 1] - r[1, 1]) ** 2) / 3
    explicit = torch.autograd.grad(expected, list(agent.critic.parameters()))
    for ours, theirs in zip(gradients(agent, trajectory)["critic"], explicit):
        torch.testing.assert_close(ours, theirs)
    metrics = agent_of(1, 3, 2, baseline="value", episodes=2).update(trajectory, torch.zeros(1, 0))
    torch.testing.assert_close(metrics["loss_v"], expected.detach()[None])


def test_the_gaussian_policys_mean_gradient_is_that_of_the_expected_reward():
    """One step, reward sin(2a): nodes of a Gauss-Hermite rule stand for all actions. E sin(2a) = e^{-2σ²} sin(2μ)."""
    nodes, p = np.polynomial.hermite_e.hermegauss(60)
    p = torch.tensor(p / p.sum())
    agent = agent_of(60, 1, 1, discrete=False, initial_std=0.6)
    obs = torch.full((60, 1, 1, 1), 0.7, dtype=torch.float64)
    policy = agent.policy(obs)
    assert policy.std.unique().item() == pytest.approx(0.6)
    actions = (policy.mean + 0.6 * torch.tensor(nodes).view(60, 1, 1, 1)).detach()
    flags = torch.zeros(60, 1, 1, dtype=torch.bool)
    found = gradients(agent, Trajectory(obs, actions, (2 * actions[..., 0]).sin(), obs, ~flags, flags, ~flags))["actor"]
    mean, log_std = policy.mean.detach()[0].requires_grad_(), torch.tensor(math.log(0.6), dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.grad(((2 * mean).sin() * (-2 * log_std.exp() ** 2).exp()).sum(), [mean, log_std])
    w, b, s = ((p.view(-1, *[1] * (g.ndim - 1)) * g).sum(0).item() for g in found)
    assert (w, b, s) == pytest.approx((-0.7 * slope[0].item(), -slope[0].item(), -slope[1].item()), abs=1e-9)


@pytest.mark.parametrize(("env", "settings"), [("CartPole-v1", {}), ("CartPole-v1", {"baseline": "value", "weights": "return"}), ("Hopper-v5", {})])
def test_seed_k_of_three_equals_the_single_run_with_seed_k(env, settings):
    """Episodes have different lengths, so the same seed's table is padded differently and its own steps are all that may count."""
    cfg = REINFORCEConfig(**{"hidden": (8,), "dtype": "float64", "episodes": 3} | settings)
    runs = [on_policy.Run(REINFORCE, cfg, env, seeds, 0, choose_device("cpu")) for seeds in ([3, 1, 8], [8])]
    taken = [[(run.advance(), run.trajectory.mask.shape[1]) for _ in range(12)] for run in runs]
    rows = [[row for each, _ in updates for row in each if row.seed == 8] for updates in taken]
    together, alone = (tensors(run.agent) for run in runs)
    assert [row[:3] for row in rows[0]] == [row[:3] for row in rows[1]] and runs[0].clocks[2] == runs[1].step
    np.testing.assert_allclose(*[[row.value for row in each] for each in rows], rtol=1e-9)
    assert len(set(runs[0].clocks)) == 3 and [length for _, length in taken[0]] != [length for _, length in taken[1]]
    for name, value in alone.items():
        torch.testing.assert_close(together[name][2], value[0], rtol=0, atol=1e-9, msg=name)
        assert not value.any() or not torch.allclose(together[name][1], value[0], atol=1e-6), f"{name}: another seed is another run"


def test_it_learns_to_balance():
    """CartPole-v1: a random policy stands for about 22 steps. Every one of three seeds stands for 60 at the end, without noise."""
    history = train("reinforce", "CartPole-v1", seeds=3, steps=8_000, evaluate_every=8_000, eval_episodes=10, progress=False)
    assert history.table("eval_return")[1][:, -1].min() > 60
    for seed in range(3):
        lengths = history.series("episode_length", seed)[1]
        assert np.mean(lengths[-16:]) > 2 * np.mean(lengths[:16])


@pytest.mark.parametrize("device", ["meta", *DEVICES])
@pytest.mark.parametrize("discrete", [True, False])
def test_the_update_runs_on_every_device_and_refuses_a_stray_cpu_tensor(device, discrete):
    agent = agent_of(2, 3, 2, discrete=discrete, device=device, baseline="value")
    obs, flags = torch.zeros(2, 5, 4, 3, dtype=torch.float64, device=device), torch.zeros(2, 5, 4, dtype=torch.bool, device=device)
    actions = flags.long() if discrete else obs[..., :2]
    trajectory = Trajectory(obs, actions, obs[..., 0], obs, flags, flags, ~flags)
    metrics = agent.update(trajectory, torch.zeros(2, 0, device=device))
    assert {name: (value.shape, value.device.type) for name, value in metrics.items()} == \
        dict.fromkeys(("loss_pi", "entropy", "loss_v"), (torch.Size([2]), device))
    if device != "cpu":
        with pytest.raises(RuntimeError, match="device"):
            agent.update(Trajectory(**vars(trajectory) | {"rewards": torch.zeros(2, 5, 4, dtype=torch.float64)}), torch.zeros(2, 0))


@pytest.mark.parametrize("discrete", [True, False])
def test_the_state_restores_everything_the_next_update_depends_on(discrete):
    agent, other = (REINFORCE(REINFORCEConfig(dtype="float64", hidden=(8,), baseline="value"), 3, 2, seeds, discrete=discrete)
                    for seeds in ([0, 1], [5, 6]))
    obs, flags = torch.randn(2, 5, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64), torch.zeros(2, 5, 4, dtype=torch.bool)
    trajectory = Trajectory(obs, flags.long() if discrete else obs[..., :2], obs[..., 0], obs, flags, flags, ~flags)
    agent.update(trajectory, agent.draw_noise(0))
    agent.draw_noise(4)
    other.load_state_dict(copy.deepcopy(agent.state_dict()))
    for each in (agent, other):
        each.update(trajectory, each.draw_noise(0))
    ours, theirs = tensors(agent), tensors(other)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours) and torch.equal(agent.draw_noise(3), other.draw_noise(3))
    noise = agent.draw_noise(4, 2)
    assert torch.equal(agent.act(obs[:, 0], noise), other.act(obs[:, 0], noise))
    mode = agent.actor(obs[:, 0]).argmax(-1) if discrete else agent.actor(obs[:, 0])
    assert torch.equal(agent.act(obs[:, 0]), mode)


@pytest.mark.parametrize(("name", "value"), [("lr", 0), ("episodes", 0), ("episodes", 2.5), ("weights", "sum"), ("baseline", "mean"),
                                             ("initial_std", 0.0), ("hidden", (8, 0)), ("dtype", "int64")])
def test_a_hyper_parameter_that_cannot_work_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"REINFORCEConfig: {name} = "):
        REINFORCEConfig(**{name: value})
    with pytest.raises(ValueError, match=r"baseline = 'leave_one_out' cannot work: .* no others"):
        REINFORCEConfig(episodes=1)
