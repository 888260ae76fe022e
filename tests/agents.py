"""What the tests of agents share: small settings, random batches, and the parts of updates written with PyTorch's own modules."""

import gymnasium as gym
import numpy as np
import torch
from torch import nn

from rlcourse.agents.ddpg import DDPG, DDPGConfig
from rlcourse.agents.sac import SAC, SACConfig
from rlcourse.agents.sac_v1 import SACV1, SACV1Config
from rlcourse.agents.td3 import TD3, TD3Config
from rlcourse.types import Batch

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
OBS, ACT = 3, 2
SMALL = {"hidden": (8, 8), "lr": 1e-2, "batch_size": 6, "learning_starts": 10, "dtype": "float64"}
AGENTS = {"ddpg": (DDPG, DDPGConfig), "td3": (TD3, TD3Config), "sac_v1": (SACV1, SACV1Config), "sac": (SAC, SACConfig)}


def agent_of(name: str, seeds=(0, 1), device: str = "cpu", **settings):
    """A small agent, by the name of its file."""
    agent_class, config_class = AGENTS[name]
    return agent_class(config_class(**SMALL | settings), OBS, ACT, list(seeds), device)


def batch_of(n: int, b: int = 6, seed: int = 0, device: str = "cpu", dtype: torch.dtype = torch.float64) -> tuple[Batch, torch.Tensor]:
    """Random transitions of n seeds, and noise (n, 2, b, ACT): as much as any of these agents takes. Both masks are mixed."""
    g = torch.Generator().manual_seed(seed)
    obs, next_obs, actions, rewards, noise = (torch.randn(n, *s, generator=g, dtype=torch.float64).to(device, dtype)
                                              for s in ((b, OBS), (b, OBS), (b, ACT), (b,), (2, b, ACT)))
    terminated, truncated = (torch.rand(n, b, generator=g).to(device) < 0.4 for _ in range(2))
    return Batch(obs, actions.tanh(), rewards, next_obs, terminated, truncated), noise


def draw_for(agent, noise: torch.Tensor) -> torch.Tensor:
    """As much of the noise as this agent's update takes."""
    return noise[:, :agent.noise_shape(noise.shape[2])[0]]


def tensors(agent) -> dict[str, torch.Tensor]:
    """Everything that learns, by name, seeds leading: networks, targets, temperatures and Adam's moments."""
    state = agent.state_dict()
    found = {f"{name}.{key}": value for name, part in state.items() if name not in ("optimisers", "noise") and isinstance(part, dict)
             for key, value in part.items()}
    found |= {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
    for name, optimiser in state["optimisers"].items():
        for i, moments in optimiser["state"].items():
            found |= {f"{name}.{i}.{key}": moments[key] for key in ("exp_avg", "exp_avg_sq")}
    return found


def sequential(mlp, *index: int) -> nn.Sequential:
    """One copy of an MLP as PyTorch writes it."""
    layers = []
    for weight, bias in zip(mlp.weights, mlp.biases):
        linear = nn.Linear(*weight.shape[-2:], dtype=weight.dtype, device=weight.device)
        linear.weight.data, linear.bias.data = weight[index].detach().T.clone(), bias[index][0].detach().clone()
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def step(optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def follow(target: nn.Module, online: nn.Module, tau: float) -> None:
    """Polyak, written out."""
    for t, o in zip(target.parameters(), online.parameters()):
        t.data = (1 - tau) * t.data + tau * o.data


def on(net: nn.Module, obs: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    return net(torch.cat([obs, actions], -1))[:, 0]


def assert_same_network(mlp, index: tuple[int, ...], net: nn.Sequential) -> None:
    """Copy `index` of the MLP equals the PyTorch network to 8 decimals."""
    for layer, (weight, bias) in enumerate(zip(mlp.weights, mlp.biases)):
        torch.testing.assert_close(weight[index], net[2 * layer].weight.T, rtol=0, atol=1e-8)
        torch.testing.assert_close(bias[index][0], net[2 * layer].bias, rtol=0, atol=1e-8)


def assert_follows(agent, oracles: list, networks, updates: int = 6) -> None:
    """After each of several updates every seed of the agent equals its oracle. networks: oracle -> (the agent's MLP, index of the copy, network)."""
    for i in range(updates):
        batch, noise = batch_of(len(oracles), seed=i, device=str(agent.where["device"]))
        agent.update(batch, draw_for(agent, noise))
        for k, oracle in enumerate(oracles):
            oracle.update(batch.obs[k], batch.actions[k], batch.rewards[k], batch.next_obs[k], batch.terminated[k], noise[k])
            for mlp, index, net in networks(oracle):
                assert_same_network(mlp, (k, *index), net)


class Follow(gym.Env):
    """One step: see s in [-1, 1], answer a in [low, high], earn -(a - s's place between low and high)², in units of the half width."""

    observation_space = gym.spaces.Box(-1, 1, (1,))

    def __init__(self, low: float, high: float) -> None:
        self.action_space = gym.spaces.Box(np.float32(low), np.float32(high), (1,))
        self.centre, self.half = (low + high) / 2, (high - low) / 2

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.s = self.np_random.uniform(-0.8, 0.8, 1).astype(np.float32)
        return self.s, {}

    def step(self, action):
        assert self.action_space.contains(np.asarray(action, np.float32)), f"{action} is outside {self.action_space}"
        error = (action - self.centre) / self.half - self.s
        return self.s, -float(error[0] ** 2), True, False, {}
