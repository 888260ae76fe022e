"""The loop of agents that learn from a replay memory: one environment step of every seed, then gradient steps on remembered transitions.

`Run.advance` is the loop's body. What is measured, saved and continued around it is in rlcourse/train.py, the same for both kinds of agent.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from rlcourse.buffers import ReplayBuffer
from rlcourse.envs import SeededEnv, env_actions, generators, interface
from rlcourse.stats import Row


class Run:
    """N seeds of one agent with their environments and replay memories, advanced one environment step at a time.

    step: environment steps of every seed so far. An agent's config says learning_starts, updates_per_step, batch_size, capacity and dtype; the agent
    says by `noise_shape` how much noise an update takes.
    """

    def __init__(self, agent_class: type, cfg: Any, env_id: str, seeds: Sequence[int], steps: int, device: torch.device) -> None:
        self.cfg, self.env_id, self.seeds, self.step, self.losses, self.held = cfg, env_id, list(seeds), 0, {}, []
        self.envs = [SeededEnv(env_id, seed) for seed in seeds]
        sizes = interface(self.envs[0].env, env_id, agent_class)
        self.action_dim, self.discrete = sizes["action_dim"], isinstance(self.envs[0].env.action_space, spaces.Discrete)
        self.where = {"dtype": getattr(torch, cfg.dtype), "device": device}
        self.agent = agent_class(cfg, **sizes, seeds=seeds, device=device)
        self.buffer = ReplayBuffer(min(cfg.capacity, steps), sizes["obs_dim"], self.action_dim, generators(seeds, "replay", device),
                                   discrete=self.discrete, **self.where)
        self.explore = generators(seeds, "explore")
        self.obs = self._tensor([env.obs for env in self.envs])

    @property
    def clocks(self) -> list[int]:
        """Environment steps of each seed: all have taken the same number."""
        return [self.step] * len(self.seeds)

    def advance(self) -> list[Row]:
        """One environment step of every seed, its transition remembered, then `updates_per_step` gradient steps. Returns the episodes that ended."""
        cfg, self.step = self.cfg, self.step + 1
        if self.step <= cfg.learning_starts:
            actions = self._uniform_actions()
        else:
            actions = self.agent.act(self.obs[:, None], self.agent.draw_noise(1, self.action_dim))[:, 0]
        outcome = [env.step(action) for env, action in zip(self.envs, env_actions(actions))]
        next_obs, rewards, terminated, truncated = (self._tensor(part) for part in zip(*outcome))
        self.buffer.add(self.obs, actions, rewards, next_obs, terminated, truncated)
        rows = self._restart_ended(terminated + truncated)
        self.obs = self._tensor([env.obs for env in self.envs])
        for _ in range(cfg.updates_per_step if self.step > cfg.learning_starts else 0):
            noise = self.agent.draw_noise(*self.agent.noise_shape(cfg.batch_size))
            self.losses = self.agent.update(self.buffer.sample(cfg.batch_size), noise)
        return rows

    def _uniform_actions(self) -> torch.Tensor:
        """Each seed from its own generator: uniform on (-1, 1), (N, A), or one of the discrete actions, (N,)."""
        if self.discrete:
            return torch.stack([torch.randint(self.action_dim, (), generator=g) for g in self.explore]).to(self.where["device"])
        return self._tensor([2 * torch.rand(self.action_dim, generator=g, dtype=torch.float64).numpy() - 1 for g in self.explore])

    def _restart_ended(self, ended: torch.Tensor) -> list[Row]:
        rows = []
        for k in ended.nonzero().flatten().tolist():
            rows += [Row(self.seeds[k], self.step, "episode_return", self.envs[k].episode_return),
                     Row(self.seeds[k], self.step, "episode_length", float(len(self.envs[k].actions)))]
            self.envs[k].reset()
        return rows

    def _tensor(self, values: Sequence) -> torch.Tensor:
        return torch.as_tensor(np.array(values)).to(**self.where)

    def data_is_finite(self, k: int) -> bool:
        """True if all that seed k remembers of its environment is finite: what is not must then have come from the networks."""
        return bool(torch.isfinite(self.buffer.data[k]).all())

    def state_dict(self) -> dict:
        """Everything that the next step depends on, apart from the transitions."""
        return {"step": self.step, "agent": self.agent.state_dict(), "added": self.buffer.added, "envs": [env.state_dict() for env in self.envs],
                "replay": [g.get_state() for g in self.buffer.generators], "explore": [g.get_state() for g in self.explore]}

    def load_state_dict(self, state: dict, replay: Path) -> None:
        """Continue exactly where `state_dict` was taken, with the transitions of the file `replay`."""
        self.step = state["step"]
        self.agent.load_state_dict(state["agent"])
        with open(replay, "rb") as file:
            self.buffer.read_from(file, state["added"])
        for env, env_state in zip(self.envs, state["envs"]):
            env.load_state_dict(env_state)
        for name, streams in (("replay", self.buffer.generators), ("explore", self.explore)):
            for generator, generator_state in zip(streams, state[name]):
                generator.set_state(generator_state)
        self.obs = self._tensor([env.obs for env in self.envs])

    def close(self) -> None:
        """Close the environments."""
        for env in self.envs:
            env.env.close()
