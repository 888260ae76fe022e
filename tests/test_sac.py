"""SAC: one update against an update written with other libraries, seeds that do not hear of each other, and a task that it must learn."""

import copy
import math
from dataclasses import replace

import gymnasium as gym
import pytest
import torch
from agents import ACT, OBS, Follow, batch_of, sequential, step, tensors
from torch import nn
from torch.distributions import Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

from rlcourse import train as loops
from rlcourse.agents.sac import SAC, SACConfig
from rlcourse.envs import choose_device

TINY = SACConfig(hidden=(8, 8), lr=1e-2, batch_size=6, learning_starts=10, dtype="float64")


class OracleSAC:
    """Seed k's update again, with nn.Linear, torch.distributions and the default Adam, one network after the other."""

    def __init__(self, agent: SAC, k: int) -> None:
        self.cfg = agent.cfg
        self.actor, self.q1, self.q2 = sequential(agent.actor, k), sequential(agent.critic, k, 0), sequential(agent.critic, k, 1)
        self.q1_target, self.q2_target = copy.deepcopy(self.q1), copy.deepcopy(self.q2)
        self.log_alpha = agent.log_alpha[k].detach().clone().requires_grad_()
        groups = [[*self.q1.parameters(), *self.q2.parameters()], list(self.actor.parameters()), [self.log_alpha]]
        self.critic_optimiser, self.actor_optimiser, self.alpha_optimiser = (torch.optim.Adam(group, lr=self.cfg.lr) for group in groups)

    def sample(self, obs, noise):
        mean, log_std = self.actor(obs).split(ACT, -1)
        std = log_std.clip(-20, 2).exp()
        action = (mean + std * noise).tanh()
        policy = TransformedDistribution(Normal(mean, std), TanhTransform())
        return action, policy.log_prob(action).sum(-1)

    def update(self, obs, actions, rewards, next_obs, terminated, noise):
        def q(net, s, a):
            return net(torch.cat([s, a], -1))[:, 0]
        alpha = self.log_alpha.exp().detach()
        with torch.no_grad():
            a2, logp2 = self.sample(next_obs, noise[0])
            soft = torch.minimum(q(self.q1_target, next_obs, a2), q(self.q2_target, next_obs, a2)) - alpha * logp2
            y = torch.where(terminated, rewards, rewards + self.cfg.gamma * soft)
        step(self.critic_optimiser, sum(nn.functional.mse_loss(q(net, obs, actions), y) for net in (self.q1, self.q2)))
        a, logp = self.sample(obs, noise[1])
        step(self.actor_optimiser, (alpha * logp - torch.minimum(q(self.q1, obs, a), q(self.q2, obs, a))).mean())
        step(self.alpha_optimiser, -(self.log_alpha * (logp.detach() - ACT)).mean())
        for target, online in ((self.q1_target, self.q1), (self.q2_target, self.q2)):
            for t, o in zip(target.parameters(), online.parameters()):
                t.data = (1 - self.cfg.tau) * t.data + self.cfg.tau * o.data


def test_five_updates_equal_the_algorithm_written_with_pytorchs_own_parts():
    agent = SAC(TINY, OBS, ACT, seeds=[0, 1])
    oracles = [OracleSAC(agent, k) for k in range(2)]
    for i in range(5):
        batch, noise = batch_of(2, seed=i)
        agent.update(batch, noise)
        for k, oracle in enumerate(oracles):
            oracle.update(batch.obs[k], batch.actions[k], batch.rewards[k], batch.next_obs[k], batch.terminated[k], noise[k])
    for k, oracle in enumerate(oracles):
        pairs = [(agent.actor, oracle.actor, (k,))] + [(agent.critic, (oracle.q1, oracle.q2)[j], (k, j)) for j in range(2)]
        pairs += [(agent.critic_target, (oracle.q1_target, oracle.q2_target)[j], (k, j)) for j in range(2)]
        for ours, theirs, index in pairs:
            for layer in range(3):
                torch.testing.assert_close(ours.weights[layer][index], theirs[2 * layer].weight.T, rtol=0, atol=1e-8)
                torch.testing.assert_close(ours.biases[layer][index][0], theirs[2 * layer].bias, rtol=0, atol=1e-8)
        torch.testing.assert_close(agent.log_alpha[k], oracle.log_alpha, rtol=0, atol=1e-12)


def test_seed_k_of_three_equals_the_single_run_with_seed_k_after_300_updates():
    """Real environments, replay and noise included. The bits may differ (a batched product sums in another order), the tenth decimal may not."""
    runs = [loops.Run(SAC, TINY, "Pendulum-v1", seeds, 310, choose_device("cpu")) for seeds in ([3, 1, 8], [8])]
    for run in runs:
        for _ in range(310):
            run.advance()
    together, alone = (tensors(run.agent) for run in runs)
    assert len(together) == 45 and runs[0].step == 310
    for name, value in alone.items():
        torch.testing.assert_close(together[name][2], value[0], rtol=0, atol=1e-10, msg=name)
        assert not torch.allclose(together[name][1], value[0], atol=1e-6), f"{name}: another seed is another run"
    torch.testing.assert_close(runs[0].buffer.data[2], runs[1].buffer.data[0], rtol=0, atol=1e-10)


def test_a_seed_does_not_hear_of_the_others_data():
    agents, (batch, noise) = [SAC(TINY, OBS, ACT, seeds=[0, 1]) for _ in range(2)], batch_of(2)
    rewards = batch.rewards.clone()
    rewards[1] += 100
    for agent, seen in zip(agents, (batch, replace(batch, rewards=rewards))):
        agent.update(seen, noise)
        agent.update(seen, noise)
    first, second = (tensors(agent) for agent in agents)
    assert all(torch.equal(first[name][0], second[name][0]) for name in first)
    assert not torch.equal(first["critic.weights.0"][1], second["critic.weights.0"][1])


def test_the_update_runs_on_the_meta_device_and_refuses_a_stray_cpu_tensor():
    agent, (batch, noise) = SAC(TINY, OBS, ACT, seeds=[0, 1], device="meta"), batch_of(2, device="meta")
    metrics = agent.update(batch, noise)
    assert all(value.device.type == "meta" and value.shape == (2,) for value in metrics.values())
    assert set(metrics) == {"loss_q", "loss_pi", "alpha", "entropy", "q"}
    for stray in ("obs", "rewards", "actions"):
        with pytest.raises(RuntimeError, match="device"):
            agent.update(replace(batch, **{stray: torch.zeros(getattr(batch, stray).shape, dtype=torch.float64)}), noise)
    with pytest.raises(RuntimeError, match="device"):
        agent.update(batch, torch.zeros(noise.shape, dtype=torch.float64))


def test_adam_is_fused_where_there_is_a_kernel_and_falls_back_elsewhere():
    assert [SAC(TINY, OBS, ACT, [0], device).optimisers["actor"].defaults["fused"] for device in ("cpu", "meta")] == [True, False]


def test_the_state_restores_everything_the_next_update_depends_on():
    agent, other = SAC(TINY, OBS, ACT, seeds=[0, 1]), SAC(TINY, OBS, ACT, seeds=[5, 6])
    agent.update(*batch_of(2))
    agent.draw_noise(4)
    other.load_state_dict(copy.deepcopy(agent.state_dict()))
    batch, _ = batch_of(2, seed=1)
    for each in (agent, other):
        each.update(batch, each.draw_noise(2, 6, ACT))
    ours, theirs = tensors(agent), tensors(other)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_without_noise_the_action_is_the_mode_and_with_noise_it_is_a_sample():
    agent, obs = SAC(TINY, OBS, ACT, seeds=[0, 1]), batch_of(2)[0].obs
    mode = agent.act(obs)
    torch.testing.assert_close(mode, agent.actor(obs)[..., :ACT].tanh())
    assert torch.equal(mode, agent.act(obs)) and not mode.requires_grad
    torch.testing.assert_close(agent.act(obs, torch.zeros(2, 6, ACT, dtype=torch.float64)), mode)
    assert not torch.allclose(agent.act(obs, agent.draw_noise(6, ACT)), mode)


def test_log_sigma_is_clamped_at_both_ends():
    agent, obs = SAC(TINY, OBS, ACT, seeds=[0]), batch_of(1)[0].obs
    noise = torch.ones(1, 6, ACT, dtype=torch.float64)
    for log_std, clamped in ((-100.0, -20.0), (50.0, 2.0)):
        agent.actor.weights[-1].data.zero_()
        agent.actor.biases[-1].data[..., ACT:] = log_std
        agent.actor.biases[-1].data[..., :ACT] = 0.0
        expected = torch.full((1, 6, ACT), math.tanh(math.exp(clamped)), dtype=torch.float64)
        torch.testing.assert_close(agent.act(obs, noise), expected, rtol=1e-9, atol=0)


def test_the_target_entropy_defaults_to_minus_the_number_of_actions():
    assert SAC(TINY, OBS, ACT, [0]).target_entropy == -2.0
    assert SAC(replace(TINY, target_entropy=-0.5), OBS, ACT, [0]).target_entropy == -0.5


@pytest.mark.parametrize(("name", "value"), [("lr", 0), ("gamma", 1.1), ("tau", 0), ("batch_size", 0), ("hidden", ()), ("hidden", 64),
                                             ("dtype", "int64"), ("learning_starts", 0), ("initial_alpha", 0.0), ("log_std_max", -30)])
def test_a_hyper_parameter_that_cannot_work_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"SACConfig: {name.replace('max', 'min')} = "):
        SACConfig(**{name: value})


gym.register("Follow-v0", entry_point=lambda low, high: Follow(low, high))


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, 5), (-3, 0.5)])
def test_sac_learns_to_follow_within_any_bounds(low, high):
    """A constant answer at the centre earns -0.21 on average; the noise-free policy must come within 0.15 of x in every seed after 400 updates."""
    gym.registry["Follow-v0"].kwargs = {"low": low, "high": high}
    history = loops.train("sac", "Follow-v0", seeds=3, steps=450, progress=False, eval_episodes=50, log_every=50,
                          config={"hidden": (32, 32), "lr": 3e-3, "batch_size": 64, "learning_starts": 50, "initial_alpha": 0.1})
    assert history.table("eval_return")[1][:, -1].min() > -(0.15**2)
    assert history.table("alpha")[1][:, -1].max() < 0.1
