"""NAF, CEM-Q and DDPG on normalised observations: their updates, their neighbours, and what holds for every agent with seeds in front."""

import copy
import io
from dataclasses import replace

import pytest
import torch
from agents import ACT, OBS, SMALL, agent_of, assert_follows, batch_of, draw_for, follow, on, sequential, step, tensors
from torch import nn

from rlcourse.agents.cem_q import CEMQ, CEMQConfig
from rlcourse.agents.ddpg_bn import DDPGBN, DDPGBNConfig
from rlcourse.agents.naf import NAF, NAFConfig
from rlcourse.train import train

FEW = {"samples": 4, "elites": 2, "iterations": 2}
AGENTS = {"naf": (NAF, NAFConfig, {}), "cem_q": (CEMQ, CEMQConfig, FEW), "ddpg_bn": (DDPGBN, DDPGBNConfig, {})}
every_agent = pytest.mark.parametrize("name", AGENTS)


def small(name, seeds=(0, 1), device="cpu", **settings):
    agent_class, config_class, own = AGENTS[name]
    return agent_class(config_class(**SMALL | own | settings), OBS, ACT, list(seeds), device)


class NAFOracle:
    """Seed k's update again: the outputs taken apart by hand, P = L Lᵀ written out."""

    def __init__(self, agent, k):
        self.cfg, self.critic = agent.cfg, sequential(agent.critic, k)
        self.critic_target, self.optimiser = copy.deepcopy(self.critic), torch.optim.Adam(self.critic.parameters(), lr=agent.cfg.lr)

    def update(self, obs, actions, rewards, next_obs, terminated, noise):
        with torch.no_grad():
            y = rewards + self.cfg.gamma * ~terminated * self.critic_target(next_obs)[:, 0]
        out = self.critic(obs)
        lower = torch.zeros(len(obs), ACT, ACT, dtype=out.dtype)
        lower[:, 0, 0], lower[:, 1, 1], lower[:, 1, 0] = out[:, 3].exp(), out[:, 4].exp(), out[:, 5]
        gap = (actions - out[:, 1:3].tanh())[:, :, None]
        q = out[:, 0] - 0.5 * (gap.mT @ lower @ lower.mT @ gap)[:, 0, 0]
        step(self.optimiser, nn.functional.mse_loss(q, y))
        follow(self.critic_target, self.critic, self.cfg.tau)


class CEMQOracle:
    """Seed k's update again, one state after the other."""

    def __init__(self, agent, k):
        self.cfg, self.critic = agent.cfg, sequential(agent.critic, k)
        self.critic_target, self.optimiser = copy.deepcopy(self.critic), torch.optim.Adam(self.critic.parameters(), lr=agent.cfg.lr)

    def best(self, critic, obs, noise):
        mean, std = torch.zeros(ACT, dtype=obs.dtype), torch.ones(ACT, dtype=obs.dtype)
        for eps in noise.split(self.cfg.samples):
            tried = (mean + std * eps).clamp(-1, 1)
            kept = tried[on(critic, obs.expand(len(tried), -1), tried).argsort(descending=True)[:self.cfg.elites]]
            mean, std = kept.mean(0), kept.std(0, correction=0)
        return mean

    def update(self, obs, actions, rewards, next_obs, terminated, noise):
        with torch.no_grad():
            best = torch.stack([self.best(self.critic_target, next_obs[i], noise[:, i]) for i in range(len(obs))])
            y = rewards + self.cfg.gamma * ~terminated * on(self.critic_target, next_obs, best)
        step(self.optimiser, nn.functional.mse_loss(on(self.critic, obs, actions), y))
        follow(self.critic_target, self.critic, self.cfg.tau)


def test_naf_equals_the_algorithm_written_with_pytorchs_own_parts():
    agent = small("naf", tau=0.3)
    assert_follows(agent, [NAFOracle(agent, k) for k in range(2)],
                   lambda oracle: [(agent.critic, (), oracle.critic), (agent.critic_target, (), oracle.critic_target)])


def test_cem_q_equals_the_algorithm_written_with_pytorchs_own_parts():
    agent = small("cem_q", tau=0.3)
    oracles = [CEMQOracle(agent, k) for k in range(2)]
    for i in range(4):
        batch, _ = batch_of(2, seed=i)
        noise = agent.draw_noise(*agent.noise_shape(6))
        agent.update(batch, noise)
        for k, oracle in enumerate(oracles):
            oracle.update(batch.obs[k], batch.actions[k], batch.rewards[k], batch.next_obs[k], batch.terminated[k], noise[k])
            for layer, weight in enumerate(agent.critic_target.weights):
                torch.testing.assert_close(weight[k], oracle.critic_target[2 * layer].weight.T, rtol=0, atol=1e-8)
    state = batch.obs[:, :1]
    torch.testing.assert_close(agent.act(state)[1, 0], oracles[1].best(oracles[1].critic, state[1, 0], agent.search[1, :, 0]))


def test_with_statistics_that_never_move_ddpg_bn_is_ddpg():
    plain, normalised = agent_of("ddpg"), small("ddpg_bn", normalise=0.0)
    for i in range(4):
        batch, noise = batch_of(2, seed=i)
        for agent in (plain, normalised):
            agent.update(batch, draw_for(agent, noise))
    torch.testing.assert_close(plain.act(batch.obs), normalised.act(batch.obs), rtol=0, atol=1e-6)


def test_ddpg_bn_sees_the_same_whatever_the_units_are():
    """Once the running statistics are the data's, observations in other units, from another origin, are the same numbers to the networks."""
    obs, other = batch_of(2, b=400)[0], []
    for scale, origin in ((1.0, 0.0), (1000.0, 50.0)):
        agent = small("ddpg_bn", normalise=0.5, lr=1e-9)
        batch = replace(obs, obs=scale * obs.obs + origin, next_obs=scale * obs.next_obs + origin)
        for _ in range(60):
            loss = agent.update(batch, torch.empty(0))["loss_q"]     # of the next observations, too
        seen = agent.normalised(batch.obs)
        assert seen.mean(1).abs().max() < 1e-6 and (seen.std(1, correction=0) - 1).abs().max() < 1e-6
        other.append([agent.act(batch.obs), loss])
    torch.testing.assert_close(*other, rtol=0, atol=1e-5)


@every_agent
def test_seed_k_of_three_equals_the_single_run_with_seed_k(name):
    settings = {"steps": 60, "progress": False, "eval_episodes": 1, "config": SMALL | AGENTS[name][2]}
    together, alone = (tensors(train(name, "Pendulum-v1", seeds=seeds, **settings).agent) for seeds in ([3, 1, 8], [8]))
    assert together.keys() == alone.keys()
    for key, value in alone.items():
        torch.testing.assert_close(together[key][2], value[0], rtol=0, atol=1e-9, msg=key)
    assert not torch.allclose(together["critic.weights.0"][1], alone["critic.weights.0"][0], atol=1e-6)


@every_agent
def test_a_run_that_was_stopped_continues_to_the_same_bits(name, tmp_path):
    settings = {"seeds": [0, 4], "progress": False, "log_every": 10, "eval_episodes": 1, "config": SMALL | AGENTS[name][2]}
    whole = train(name, "Pendulum-v1", steps=40, **settings)
    train(name, "Pendulum-v1", steps=23, out=tmp_path / "parts", **settings)
    parts = train(name, "Pendulum-v1", steps=40, out=tmp_path / "parts", resume=True, **settings)
    first, second = tensors(whole.agent), tensors(parts.agent)
    assert all(torch.equal(first[key], second[key]) for key in first)


@every_agent
def test_a_checkpoint_goes_through_a_file_into_an_agent_of_other_seeds(name):
    agent, other, (batch, _) = small(name), small(name, seeds=(5, 6)), batch_of(2)
    agent.update(batch, agent.draw_noise(*agent.noise_shape(6)))
    torch.save(agent.state_dict(), file := io.BytesIO())
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    ours, theirs = (each.update(batch, each.draw_noise(*each.noise_shape(6))) for each in (agent, other))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert torch.equal(agent.act(batch.obs), other.act(batch.obs))


@every_agent
def test_only_terminated_stops_bootstrapping_and_what_follows_it_has_no_part(name):
    batch, results = batch_of(2)[0], []
    ended = replace(batch, terminated=torch.ones_like(batch.terminated))
    for seen in (batch, replace(batch, truncated=~batch.truncated), replace(batch, terminated=~batch.terminated),
                 ended, replace(ended, next_obs=50 + 7 * batch.next_obs)):
        agent = small(name)
        results.append(torch.stack([agent.update(seen, agent.draw_noise(*agent.noise_shape(6)))["loss_q"] for _ in range(3)]))
    assert torch.equal(results[0], results[1]) and not torch.isclose(results[0], results[2]).any() and torch.equal(results[3], results[4])


@every_agent
def test_every_update_runs_on_the_meta_device_and_acts_in_the_box(name):
    agent, (batch, _) = small(name, device="meta"), batch_of(2, device="meta")
    metrics = agent.update(batch, torch.empty(2, *agent.noise_shape(6), dtype=torch.float64, device="meta"))
    assert all(value.is_meta and value.shape == (2,) and not value.requires_grad for value in metrics.values())
    agent, obs = small(name, exploration_noise=0.3), batch_of(2)[0].obs
    mode, noise = agent.act(obs), torch.full((2, 6, ACT), 2.0, dtype=torch.float64)
    torch.testing.assert_close(agent.act(obs, noise), (mode + 0.6).clamp(max=1))
    assert agent.act(obs, 100 * noise).eq(1).all() and mode.abs().max() <= 1


@pytest.mark.parametrize(("name", "field", "value"), [("ddpg_bn", "normalise", 1.5), ("cem_q", "elites", 9), ("cem_q", "iterations", 0),
                                                      ("naf", "tau", 0.0)])
def test_a_hyper_parameter_that_cannot_work_is_refused_with_the_reason(name, field, value):
    with pytest.raises(ValueError, match=rf"{field} = .*cannot work: it is "):
        AGENTS[name][1](**AGENTS[name][2] | {field: value})
