"""SAC with a value network: its update against one written with PyTorch's own parts, and temperature and reward scale as one quantity."""

import copy

import pytest
import torch
from agents import ACT, DEVICES, agent_of, assert_follows, batch_of, draw_for, follow, on, sequential, step
from torch import nn
from torch.distributions import Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform


class Oracle:
    """Seed k's update again, one network after the other. Each loss draws its own action from the one noise, as each is an expectation."""

    def __init__(self, agent, k: int) -> None:
        self.cfg, self.actor, self.value = agent.cfg, sequential(agent.actor, k), sequential(agent.value, k)
        self.q1, self.q2, self.value_target = sequential(agent.critic, k, 0), sequential(agent.critic, k, 1), copy.deepcopy(self.value)
        groups = [self.value.parameters(), [*self.q1.parameters(), *self.q2.parameters()], self.actor.parameters()]
        self.value_optimiser, self.critic_optimiser, self.actor_optimiser = (torch.optim.Adam(group, lr=self.cfg.lr) for group in groups)

    def sample(self, obs, noise):
        mean, log_std = self.actor(obs).split(ACT, -1)
        std = log_std.clip(-20, 2).exp()
        action = (mean + std * noise).tanh()
        return action, TransformedDistribution(Normal(mean, std), TanhTransform()).log_prob(action).sum(-1)

    def update(self, obs, actions, rewards, next_obs, terminated, noise):
        with torch.no_grad():
            a, logp = self.sample(obs, noise[0])
            y_v = torch.minimum(on(self.q1, obs, a), on(self.q2, obs, a)) - self.cfg.alpha * logp
        step(self.value_optimiser, nn.functional.mse_loss(self.value(obs)[:, 0], y_v))
        with torch.no_grad():
            scaled = self.cfg.reward_scale * rewards
            y = torch.where(terminated, scaled, scaled + self.cfg.gamma * self.value_target(next_obs)[:, 0])
        step(self.critic_optimiser, sum(nn.functional.mse_loss(on(net, obs, actions), y) for net in (self.q1, self.q2)))
        a, logp = self.sample(obs, noise[0])
        step(self.actor_optimiser, (self.cfg.alpha * logp - torch.minimum(on(self.q1, obs, a), on(self.q2, obs, a))).mean())
        follow(self.value_target, self.value, self.cfg.tau)

    def networks(self, agent) -> list:
        return [(agent.actor, (), self.actor), (agent.value, (), self.value), (agent.value_target, (), self.value_target),
                (agent.critic, (0,), self.q1), (agent.critic, (1,), self.q2)]


@pytest.mark.parametrize("device", DEVICES)
def test_the_update_equals_the_algorithm_written_with_pytorchs_own_parts(device):
    agent = agent_of("sac_v1", device=device, tau=0.3, alpha=0.6, reward_scale=1.7)
    assert_follows(agent, [Oracle(agent, k) for k in range(2)], lambda oracle: oracle.networks(agent))


def test_only_the_value_network_has_a_slow_copy():
    """The critics' target is V's slow copy [13.12]; the critics have none."""
    agent = agent_of("sac_v1")
    assert {"value", "value_target", "critic", "actor"} < set(agent.state_dict()) and not hasattr(agent, "critic_target")
    assert agent.noise_shape(6) == (1, 6, ACT)


def test_temperature_and_reward_scale_are_one_quantity():
    """Rewards times k at temperature k α have k times the values. The losses of both critics are then k² times as large."""
    small, large = (agent_of("sac_v1", alpha=alpha, reward_scale=scale) for alpha, scale in ((0.3, 1.0), (1.2, 4.0)))
    for name in ("critic", "value", "value_target"):
        net = getattr(large, name)
        net.weights[-1].data *= 4
        net.biases[-1].data *= 4
    batch, noise = batch_of(2)
    losses = [agent.update(batch, draw_for(agent, noise)) for agent in (small, large)]
    torch.testing.assert_close(16 * losses[0]["loss_v"], losses[1]["loss_v"])
    torch.testing.assert_close(16 * losses[0]["loss_q"], losses[1]["loss_q"])
