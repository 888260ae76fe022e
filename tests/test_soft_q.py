"""Discrete soft Q-learning: its two equations against exact tables, its update against PyTorch's own parts, and its limit: soft value iteration."""

import copy
import math

import gymnasium as gym
import numpy as np
import pytest
import torch
from agents import DEVICES, assert_same_network, follow, sequential, step, tensors
from finite_worlds import world
from scipy import stats
from torch import nn

from rlcourse import off_policy
from rlcourse.agents.soft_q import SOFTQ, SOFTQConfig
from rlcourse.envs import choose_device
from rlcourse.equations import UnknownEquationError, max_entropy, using, value_learning
from rlcourse.tabular import soft
from rlcourse.tabular.dp import action_values
from rlcourse.train import train
from rlcourse.types import Batch, ShapeError

SMALL = {"hidden": (8, 8), "lr": 1e-2, "batch_size": 6, "learning_starts": 10, "dtype": "float64"}
OBS, ACTIONS = 3, 4


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def batch_of(n: int, b: int = 6, seed: int = 0, device: str = "cpu") -> Batch:
    g = torch.Generator().manual_seed(seed)
    actions, terminated, truncated = (torch.randint(high, (n, b), generator=g).to(device) for high in (ACTIONS, 2, 2))
    return Batch(random(n, b, OBS, seed=seed).to(device), actions, random(n, b, seed=seed + 1).to(device),
                 random(n, b, OBS, seed=seed + 2).to(device), terminated == 1, truncated == 1)


def small(seeds=(0, 1), device: str = "cpu", **settings) -> SOFTQ:
    return SOFTQ(SOFTQConfig(**SMALL | settings), OBS, ACTIONS, list(seeds), device)


@pytest.mark.parametrize("alpha", [0.05, 1.0, 30.0])
def test_the_soft_value_is_the_tables_and_its_gradient_the_boltzmann_policy(alpha):
    """[12.4]"""
    q = random(2, 5, 3).requires_grad_()
    value = max_entropy.soft_value(q, alpha)
    value.sum().backward()
    np.testing.assert_allclose(value.detach(), soft.soft_values(q.detach().numpy(), alpha), rtol=1e-12)
    np.testing.assert_allclose(q.grad, soft.boltzmann(q.detach().numpy(), alpha), rtol=1e-9)
    torch.testing.assert_close(max_entropy.soft_value(q + 7, alpha), value + 7)
    torch.testing.assert_close(max_entropy.soft_value(3 * q, 3 * alpha), 3 * value)


def test_limits_of_the_soft_value():
    q = random(2, 5, 3)
    torch.testing.assert_close(max_entropy.soft_value(q, 1e-4), q.amax(-1), rtol=0, atol=1e-4 * math.log(3))
    torch.testing.assert_close(max_entropy.soft_value(0 * q + 2, 0.7), torch.full((2, 5), 2 + 0.7 * math.log(3), dtype=torch.float64))
    torch.testing.assert_close(max_entropy.soft_value(q[..., :1], 0.7), q[..., 0])
    assert max_entropy.soft_value(torch.tensor([[3000.0, -3000.0]]), 0.1).item() == 3000.0, "float32, far outside the range of exp"


def test_a_temperature_of_its_own_for_every_copy():
    q, alpha = random(2, 5, 3), torch.tensor([0.3, 2.0], dtype=torch.float64)
    each = torch.stack([max_entropy.soft_value(q[k], float(alpha[k])) for k in range(2)])
    torch.testing.assert_close(max_entropy.soft_value(q, alpha), each)
    with pytest.raises(ShapeError, match="one per copy"):
        max_entropy.soft_value(q, torch.ones(5, dtype=torch.float64))


@pytest.mark.parametrize(("q", "alpha", "error", "says"), [
    (random(4), 1.0, ShapeError, r"\(\.\.\., B, A\)"),
    (random(2, 3), 0.0, ValueError, "alpha is 0, and needs to be above 0"),
    (torch.ones(2, 3, dtype=torch.long), 1.0, TypeError, "floating"),
])
def test_the_soft_value_refuses_what_cannot_be_meant(q, alpha, error, says):
    with pytest.raises(error, match=says):
        max_entropy.soft_value(q, alpha)


def test_the_target_is_one_sample_of_the_soft_bellman_optimality_backup():
    """[12.6] The mean over next states, under the true probabilities, is r + γ P V of the tabular package; terminal states have value 0."""
    mdp, alpha = world(3, n_states=5, n_actions=3, n_terminal=1), 0.4
    Q = np.random.default_rng(0).standard_normal(mdp.r.shape)
    V = np.where(mdp.terminal, 0.0, soft.soft_values(Q, alpha))
    s, a, s1 = (index.ravel() for index in np.indices(mdp.P.shape))
    y = max_entropy.soft_q_target(torch.tensor(mdp.r[s, a]), torch.tensor(mdp.terminal[s1]), torch.tensor(Q[s1]), mdp.gamma, alpha)
    np.testing.assert_allclose((mdp.P * y.numpy().reshape(mdp.P.shape)).sum(-1), action_values(mdp, V), rtol=1e-12)


def test_the_target_is_sacs_in_the_mean_over_the_boltzmann_policy():
    q, rewards, terminated, alpha = random(6, 3), random(6, seed=1), torch.tensor([0, 1, 0, 0, 1, 0]), 0.3
    log_p = (q / alpha).log_softmax(-1)
    each = max_entropy.sac_target(rewards.repeat(3, 1), terminated.repeat(3, 1), q.T, q.T, log_p.T, 0.9, alpha)
    target = max_entropy.soft_q_target(rewards, terminated, q, 0.9, alpha)
    torch.testing.assert_close((log_p.exp().T * each).sum(0), target)
    assert torch.equal(target[terminated == 1], rewards[terminated == 1])
    one_action = max_entropy.soft_q_target(rewards, terminated, q[:, :1], 0.9, alpha)
    torch.testing.assert_close(one_action, rewards + 0.9 * (1 - terminated) * q[:, 0])
    with pytest.raises(ShapeError, match="soft_value"):
        max_entropy.soft_q_target(rewards[:, None], terminated[:, None], q, 0.9, alpha)
    with pytest.raises(ValueError, match="gamma"):
        max_entropy.soft_q_target(rewards, terminated, q, 1.1, alpha)


class Oracle:
    """Seed k's update again, with nn.Linear, a loop over transitions and the default Adam."""

    def __init__(self, agent: SOFTQ, k: int) -> None:
        self.cfg, self.net = agent.cfg, sequential(agent.critic, k)
        self.target = copy.deepcopy(self.net)
        self.adam = torch.optim.Adam(self.net.parameters(), lr=self.cfg.lr)

    def update(self, obs, actions, rewards, next_obs, terminated):
        with torch.no_grad():
            best = self.cfg.alpha * (self.target(next_obs) / self.cfg.alpha).exp().sum(-1).log()
            y = torch.where(terminated, rewards, rewards + self.cfg.gamma * best)
        predicted = torch.stack([self.net(s)[a] for s, a in zip(obs, actions.tolist())])
        step(self.adam, nn.functional.mse_loss(predicted, y))
        follow(self.target, self.net, self.cfg.tau)


@pytest.mark.parametrize("hidden", [(8, 8), ()])
def test_updates_equal_the_algorithm_written_with_pytorchs_own_parts(hidden):
    agent = small(alpha=0.5, hidden=hidden)
    oracles = [Oracle(agent, k) for k in range(2)]
    for i in range(6):
        batch = batch_of(2, seed=10 * i)
        metrics = agent.update(batch, agent.draw_noise(*agent.noise_shape(6)))
        for k, oracle in enumerate(oracles):
            oracle.update(batch.obs[k], batch.actions[k], batch.rewards[k], batch.next_obs[k], batch.terminated[k])
            assert_same_network(agent.critic, (k,), oracle.net)
            assert_same_network(agent.critic_target, (k,), oracle.target)
    assert {name: value.shape for name, value in metrics.items()} == dict.fromkeys(("loss_q", "entropy", "q"), (2,))


def test_seed_k_of_three_equals_the_single_run_with_seed_k_after_300_updates():
    cfg = SOFTQConfig(**SMALL)
    runs = [off_policy.Run(SOFTQ, cfg, "CartPole-v1", seeds, 310, choose_device("cpu")) for seeds in ([3, 1, 8], [8])]
    for run in runs:
        for _ in range(310):
            run.advance()
    together, alone = (tensors(run.agent) for run in runs)
    assert len(together) == 24
    for name, value in alone.items():
        torch.testing.assert_close(together[name][2], value[0], rtol=0, atol=1e-9, msg=name)
        assert not torch.allclose(together[name][1], value[0], atol=1e-6), f"{name}: another seed is another run"
    torch.testing.assert_close(runs[0].buffer.data[2], runs[1].buffer.data[0], rtol=0, atol=1e-9)


def test_the_random_first_actions_are_uniform_over_all_actions():
    run = off_policy.Run(SOFTQ, SOFTQConfig(**SMALL | {"learning_starts": 400}), "CartPole-v1", [0, 1], 400, choose_device("cpu"))
    for _ in range(400):
        run.advance()
    actions = run.buffer.data[..., 4]
    assert set(actions.unique().tolist()) == {0.0, 1.0} and abs(actions.mean() - 0.5) < 0.1 and not torch.equal(*actions)


def test_it_acts_by_the_boltzmann_policy_and_without_noise_greedily():
    agent, obs = small(alpha=0.2), random(2, 1, OBS)
    q = agent.critic(obs).detach()
    noise = agent.draw_noise(20_000, ACTIONS)
    actions = agent.act(obs.expand(2, 20_000, OBS), noise)
    assert actions.shape == (2, 20_000) and actions.dtype == torch.int64
    for k in range(2):
        expected = soft.boltzmann(q[k, 0].numpy(), 0.2) * 20_000
        assert stats.chisquare(np.bincount(actions[k], minlength=ACTIONS), expected).pvalue > 1e-6
        assert stats.kstest(noise[k].flatten()[:5000], "gumbel_r").pvalue > 1e-6
    assert torch.equal(agent.act(obs)[:, 0], q[:, 0].argmax(-1))
    assert not torch.equal(noise[0], noise[1])


class World(gym.Env):
    """A FiniteMDP as an environment: one-hot states, expected rewards, `terminated` on entering a terminal state."""

    def __init__(self, mdp) -> None:
        self.mdp = mdp
        self.observation_space, self.action_space = gym.spaces.Box(0, 1, (mdp.n_states,)), gym.spaces.Discrete(mdp.n_actions)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.s = self.np_random.choice(self.mdp.n_states, p=self.mdp.p0)
        return np.eye(self.mdp.n_states, dtype=np.float32)[self.s], {}

    def step(self, action):
        reward = self.mdp.r[self.s, action]
        self.s = self.np_random.choice(self.mdp.n_states, p=self.mdp.P[self.s, action])
        return np.eye(self.mdp.n_states, dtype=np.float32)[self.s], reward, bool(self.mdp.terminal[self.s]), False, {}


gym.register("World-v0", entry_point=lambda mdp: World(mdp), max_episode_steps=6)


@pytest.mark.parametrize(("branching", "tolerance"), [(1, 0.01), (2, 0.12)], ids=["deterministic", "stochastic"])
def test_on_tables_it_converges_to_soft_value_iteration(monkeypatch, branching, tolerance):
    """One-hot observations and a linear network are a table. Time limits cut most episodes after 6 steps, and must leave no trace in Q.

    Known next states leave no sampling error. With two possible ones Q sees frequencies of the last transitions in the place of probabilities.
    """
    mdp, alpha = world(5, n_states=5, n_actions=3, gamma=0.8, branching=branching, n_terminal=1), 0.5
    monkeypatch.setitem(gym.registry["World-v0"].kwargs, "mdp", mdp)
    config = {"hidden": (), "lr": 0.02, "gamma": 0.8, "alpha": alpha, "tau": 0.05, "batch_size": 64, "learning_starts": 1500}
    agent = train("soft_q", "World-v0", seeds=2, steps=3000, config=config, eval_episodes=1, progress=False).agent
    _, Q, pi = soft.soft_value_iteration(mdp, alpha)
    learned = agent.critic(torch.eye(5).expand(2, 5, 5)).detach().numpy()[:, ~mdp.terminal]
    np.testing.assert_allclose(learned, np.stack([Q[~mdp.terminal]] * 2), rtol=0, atol=tolerance * np.abs(Q).max())
    np.testing.assert_allclose(soft.boltzmann(learned, alpha), np.stack([pi[~mdp.terminal]] * 2), rtol=0, atol=tolerance)


@pytest.mark.parametrize("device", ["meta", *DEVICES])
def test_the_update_runs_on_every_device_and_refuses_a_stray_cpu_tensor(device):
    agent, batch = small(device=device), batch_of(2, device=device)
    metrics = agent.update(batch, torch.zeros(2, 0, device=device))
    assert all(value.device.type == device and value.shape == (2,) for value in metrics.values())
    if device != "cpu":
        with pytest.raises(RuntimeError, match="device"):
            agent.update(Batch(**vars(batch) | {"rewards": torch.zeros(2, 6, dtype=torch.float64)}), torch.zeros(2, 0))


def test_the_state_restores_everything_the_next_update_depends_on():
    agent, other = small(), small(seeds=(5, 6))
    agent.update(batch_of(2), agent.draw_noise(0))
    agent.draw_noise(4)
    other.load_state_dict(copy.deepcopy(agent.state_dict()))
    for each in (agent, other):
        each.update(batch_of(2, seed=1), each.draw_noise(0))
    ours, theirs = tensors(agent), tensors(other)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert torch.equal(agent.draw_noise(3), other.draw_noise(3))


def test_a_students_target_runs_inside_the_agent():
    first, second, batch = small(), small(), batch_of(2)
    with using(soft_q_target=lambda rewards, terminated, q_next, gamma, alpha: value_learning.td_target(rewards, terminated, q_next.amax(-1), gamma)):
        first.update(batch, first.draw_noise(0))
    second.update(batch, second.draw_noise(0))
    assert not torch.equal(first.critic.weights[0], second.critic.weights[0])
    with pytest.raises(UnknownEquationError), using(soft_target=min):
        pass


@pytest.mark.parametrize(("name", "value"), [("alpha", 0.0), ("alpha", math.inf), ("lr", 0), ("gamma", 1.1), ("tau", 0), ("batch_size", 0),
                                             ("batch_size", 2.5), ("learning_starts", 0), ("hidden", (8, 0)), ("dtype", "int64")])
def test_a_hyper_parameter_that_cannot_work_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"SOFTQConfig: {name} = "):
        SOFTQConfig(**{name: value})
