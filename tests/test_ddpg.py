"""DDPG: its update against one written with PyTorch's own parts, what moves and what does not, and how it explores."""

import copy

import pytest
import torch
from agents import ACT, DEVICES, agent_of, assert_follows, batch_of, draw_for, follow, on, sequential, step, tensors
from torch import nn


class Oracle:
    """Seed k's update again, one network after the other."""

    def __init__(self, agent, k: int) -> None:
        self.cfg, self.actor, self.critic = agent.cfg, sequential(agent.actor, k), sequential(agent.critic, k)
        self.actor_target, self.critic_target = copy.deepcopy(self.actor), copy.deepcopy(self.critic)
        self.actor_optimiser, self.critic_optimiser = (torch.optim.Adam(net.parameters(), lr=self.cfg.lr) for net in (self.actor, self.critic))

    def update(self, obs, actions, rewards, next_obs, terminated, noise):
        with torch.no_grad():
            q_next = on(self.critic_target, next_obs, torch.tanh(self.actor_target(next_obs)))
            y = torch.where(terminated, rewards, rewards + self.cfg.gamma * q_next)
        step(self.critic_optimiser, nn.functional.mse_loss(on(self.critic, obs, actions), y))
        step(self.actor_optimiser, -on(self.critic, obs, torch.tanh(self.actor(obs))).mean())
        follow(self.actor_target, self.actor, self.cfg.tau)
        follow(self.critic_target, self.critic, self.cfg.tau)

    def networks(self, agent) -> list:
        return [(getattr(agent, name), (), getattr(self, name)) for name in ("actor", "critic", "actor_target", "critic_target")]


@pytest.mark.parametrize("device", DEVICES)
def test_the_update_equals_the_algorithm_written_with_pytorchs_own_parts(device):
    agent = agent_of("ddpg", device=device, tau=0.3)
    assert_follows(agent, [Oracle(agent, k) for k in range(2)], lambda oracle: oracle.networks(agent))


def test_the_update_takes_no_noise():
    agents, (batch, noise) = [agent_of("ddpg") for _ in range(2)], batch_of(2)
    assert agents[0].noise_shape(6) == (0, 6, ACT) and agents[0].draw_noise(0, 6, ACT).shape == (2, 0, 6, ACT)
    agents[0].update(batch, draw_for(agents[0], noise))
    agents[1].update(batch, noise)
    first, second = (tensors(agent) for agent in agents)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_actor_climbs_its_critic():
    """With the critic held still, Q at the actor's own action rises update by update [09.2]; E3-31's direction would fall half of the time."""
    agent, (batch, noise) = agent_of("ddpg", lr=1e-3), batch_of(2)
    agent.optimisers["critic"].param_groups[0]["lr"] = 0.0
    losses = torch.stack([agent.update(batch, noise)["loss_pi"] for _ in range(20)])
    assert (losses.diff(dim=0) < 0).all()


@pytest.mark.parametrize("name", ["ddpg", "td3"])
def test_exploration_adds_gaussian_noise_to_the_action_and_stays_in_the_box(name):
    """The noise itself is not clipped: with σ = 0.1 four standard deviations move an action by 0.4, also beyond TD3's noise_clip = 0.05."""
    agent, obs = agent_of(name, exploration_noise=0.1, **({"noise_clip": 0.05} if name == "td3" else {})), batch_of(2)[0].obs
    mode = agent.act(obs)
    torch.testing.assert_close(mode, agent.actor(obs).tanh())
    assert not mode.requires_grad
    noise = torch.full_like(mode, 4.0)
    torch.testing.assert_close(agent.act(obs, noise), (mode + 0.4).clamp(max=1.0))
    torch.testing.assert_close(agent.act(obs, -noise), (mode - 0.4).clamp(min=-1.0))
    assert agent.act(obs, 100 * noise).eq(1).all() and agent.act(obs, -100 * noise).eq(-1).all()
    assert torch.equal(agent.act(obs, 0 * noise), mode)
