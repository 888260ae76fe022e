"""TD3: its update against one written with PyTorch's own parts, the delay counted step by step, and the two bounds on the target's noise."""

import copy
from dataclasses import replace

import pytest
import torch
from agents import ACT, DEVICES, agent_of, assert_follows, batch_of, draw_for, follow, on, sequential, step, tensors
from torch import nn


class Oracle:
    """Seed k's update again, one network after the other."""

    def __init__(self, agent, k: int) -> None:
        self.cfg, self.t, self.actor = agent.cfg, 0, sequential(agent.actor, k)
        self.q1, self.q2 = sequential(agent.critic, k, 0), sequential(agent.critic, k, 1)
        self.actor_target, self.q1_target, self.q2_target = (copy.deepcopy(net) for net in (self.actor, self.q1, self.q2))
        self.actor_optimiser = torch.optim.Adam(self.actor.parameters(), lr=self.cfg.lr)
        self.critic_optimiser = torch.optim.Adam([*self.q1.parameters(), *self.q2.parameters()], lr=self.cfg.lr)

    def update(self, obs, actions, rewards, next_obs, terminated, noise):
        self.t += 1
        with torch.no_grad():
            moved = torch.tanh(self.actor_target(next_obs)) + torch.clip(self.cfg.target_noise * noise[0], -self.cfg.noise_clip, self.cfg.noise_clip)
            a2 = torch.clip(moved, -1, 1)
            smaller = torch.stack([on(self.q1_target, next_obs, a2), on(self.q2_target, next_obs, a2)]).min(0).values
            y = torch.where(terminated, rewards, rewards + self.cfg.gamma * smaller)
        step(self.critic_optimiser, sum(nn.functional.mse_loss(on(net, obs, actions), y) for net in (self.q1, self.q2)))
        if self.t % self.cfg.policy_delay == 0:
            step(self.actor_optimiser, -on(self.q1, obs, torch.tanh(self.actor(obs))).mean())
            for target, online in ((self.actor_target, self.actor), (self.q1_target, self.q1), (self.q2_target, self.q2)):
                follow(target, online, self.cfg.tau)

    def networks(self, agent) -> list:
        return [(agent.actor, (), self.actor), (agent.actor_target, (), self.actor_target), (agent.critic, (0,), self.q1),
                (agent.critic, (1,), self.q2), (agent.critic_target, (0,), self.q1_target), (agent.critic_target, (1,), self.q2_target)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("settings", [{}, {"target_noise": 2.0, "noise_clip": 0.7, "policy_delay": 3, "tau": 0.3}], ids=["usual", "clips-bind"])
def test_the_update_equals_the_algorithm_written_with_pytorchs_own_parts(settings, device):
    agent = agent_of("td3", device=device, **settings)
    assert_follows(agent, [Oracle(agent, k) for k in range(2)], lambda oracle: oracle.networks(agent), updates=8)


@pytest.mark.parametrize(("delay", "at"), [(1, [1, 2, 3, 4, 5, 6, 7]), (2, [2, 4, 6]), (3, [3, 6]), (4, [4])])
def test_actor_and_targets_move_at_every_d_th_update_and_only_then(delay, at):
    """As code, "if t mod d" would move them at the other updates: for d = 3 at 1, 2, 4, 5, 7. With d = 2 nobody sees it in the share of updates."""
    agent, moved = agent_of("td3", policy_delay=delay), []
    for t in range(1, 8):
        before = {name: value.clone() for name, value in tensors(agent).items()}
        agent.update(*batch_of(2, seed=t))
        changed = {name.split(".")[0] for name, value in tensors(agent).items() if name in before and not torch.equal(value, before[name])}
        assert "critic" in changed
        assert changed & {"actor", "actor_target", "critic_target", "loss_pi"} in ({"actor", "actor_target", "critic_target", "loss_pi"}, set())
        moved += [t] if "actor" in changed else []
    assert moved == at


def test_the_count_of_updates_is_part_of_the_state():
    """Saved after an odd number of updates, an agent with d = 2 moves its actor at the next one."""
    agent, other = agent_of("td3", policy_delay=2), agent_of("td3", seeds=(5, 6), policy_delay=2)
    for t in range(3):
        agent.update(*batch_of(2, seed=t))
    other.load_state_dict(copy.deepcopy(agent.state_dict()))
    before = other.actor.weights[0].detach().clone()
    metrics = [each.update(*batch_of(2, seed=9)) for each in (agent, other)]
    assert not torch.equal(other.actor.weights[0], before) and torch.equal(other.actor.weights[0], agent.actor.weights[0])
    assert torch.equal(metrics[0]["loss_pi"], metrics[1]["loss_pi"])


def test_the_targets_noise_never_moves_an_action_farther_than_the_clip_nor_out_of_the_box():
    """Noise of 2 clips and of 2,000 clips is the same noise; with the clip at 5 the box binds, and the target action is ±1."""
    def critic_after(scale, **settings):
        agent, (batch, noise) = agent_of("td3", target_noise=1.0, **settings), batch_of(2)
        batch = replace(batch, terminated=torch.zeros_like(batch.terminated))
        agent.update(batch, scale * noise.sign()[:, :1])
        return tensors(agent)["critic.weights.0"]
    assert torch.equal(critic_after(1.0, noise_clip=0.5), critic_after(1000.0, noise_clip=0.5))
    assert torch.equal(critic_after(2.5, noise_clip=5.0), critic_after(5.0, noise_clip=5.0))
    assert not torch.equal(critic_after(0.4, noise_clip=0.5), critic_after(0.5, noise_clip=0.5))


def test_without_its_three_changes_it_is_ddpg_with_twins():
    """No smoothing, no delay, and a twin that promises more everywhere: the actor and critic 1 then make DDPG's update."""
    td3, ddpg = agent_of("td3", target_noise=0.0, policy_delay=1), agent_of("ddpg")
    for name, index in (("actor", ()), ("critic", (0,))):
        for target in ("", "_target"):
            for ours, theirs in zip(getattr(ddpg, name + target).parameters(), getattr(td3, name + target).parameters()):
                ours.data.copy_(theirs.data[(slice(None), *index)])
    for net in (td3.critic, td3.critic_target):
        net.biases[-1].data[:, 1] += 1e3
    batch, noise = batch_of(2)
    td3.update(batch, noise), ddpg.update(batch, draw_for(ddpg, noise))
    torch.testing.assert_close(td3.actor.weights[0], ddpg.actor.weights[0])
    torch.testing.assert_close(td3.critic.weights[0][:, 0], ddpg.critic.weights[0])
    assert td3.noise_shape(6) == (1, 6, ACT)
