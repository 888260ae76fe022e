"""The loop of agents that learn from what the present policy has just done: collect from B environments per seed, then one update, then forget.

`Run.advance` is the loop's body. What is measured, saved and continued around it is in rlcourse/train.py, the same for both kinds of agent.

Two ways to collect. Segments: T steps of every environment, episodes beginning and ending inside, the last one continued by the next segment. Whole
episodes: one per environment, T steps for the longest, with a mask for those that ended earlier. Whole episodes cost each seed a different number
of steps, and a seed's run must not depend on whom it is trained beside. So each seed has a clock of its own, environments that wait are not stepped,
seeds that wait draw no noise, and what a seed measures carries the time of its own clock.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlcourse.envs import SeededEnv, env_actions, interface
from rlcourse.stats import Row
from rlcourse.types import Trajectory

LONGEST = 10_000        # steps after which an episode without a time limit is truncated


class Run:
    """N seeds of one agent with B environments each, advanced by one collection and one update at a time.

    An on-policy agent says by its attribute `rollout` = (B, T) what it learns from: B environments per seed, T steps of each, or one whole episode of
    each if T is None. clocks: environment steps of each seed so far, over its B environments. step: the smallest of them.
    """

    buffer = None       # nothing is remembered from one update to the next

    def __init__(self, agent_class: type, cfg: Any, env_id: str, seeds: Sequence[int], steps: int, device: torch.device) -> None:
        self.cfg, self.env_id, self.seeds, self.losses, self.held = cfg, env_id, list(seeds), {}, []
        first = SeededEnv(env_id, seeds[0])
        sizes = interface(first.env, env_id, agent_class)
        first.env.close()
        self.where, self.action_dim = {"dtype": getattr(torch, cfg.dtype), "device": device}, sizes["action_dim"]
        self.agent = agent_class(cfg, **sizes, seeds=seeds, device=device)
        self.per_seed, self.length = self.agent.rollout
        self.envs = [SeededEnv(env_id, seed, index) for seed in seeds for index in range(self.per_seed)]
        self.clocks, self.trajectory = [0] * len(self.seeds), None

    @property
    def step(self) -> int:
        """Environment steps that every seed has taken."""
        return min(self.clocks)

    def advance(self) -> list[Row]:
        """Collect with the present policy, then one update. Returns the episodes that ended, each at its seed's own step."""
        self.trajectory, rows = self.collect()
        self.losses = self.agent.update(self.trajectory, self.agent.draw_noise(*self.agent.noise_shape(self.per_seed)))
        return rows

    def collect(self) -> tuple[Trajectory, list[Row]]:
        """One trajectory of the present policy, (N, T, B), and the episodes that ended on the way."""
        running, ticks, rows = np.ones((len(self.seeds), self.per_seed), dtype=bool), [], []
        limit = self.length or LONGEST
        while running.any() and len(ticks) < limit:
            obs = self._obs()
            actions = self.agent.act(torch.as_tensor(obs).to(**self.where), self._noise(running))
            outcome, ended = self._step(env_actions(actions), running, cut=self.length is None and len(ticks) == limit - 1)
            ticks.append((obs, actions, *outcome, running))
            rows += ended
            if self.length is None:
                running = running & ~(outcome[2] | outcome[3])
        obs, actions, rewards, next_obs, terminated, truncated, mask = zip(*ticks)
        obs, rewards, next_obs = (torch.as_tensor(np.stack(part, axis=1)).to(**self.where) for part in (obs, rewards, next_obs))
        terminated, truncated, mask = (torch.as_tensor(np.stack(part, axis=1)).to(self.where["device"]) for part in (terminated, truncated, mask))
        return Trajectory(obs, torch.stack(actions, dim=1), rewards, next_obs, terminated, truncated, mask), rows

    def _step(self, actions: np.ndarray, running: np.ndarray, cut: bool) -> tuple[tuple[np.ndarray, ...], list[Row]]:
        """One step of every running environment: (rewards, next_obs, terminated, truncated), each (N, B, ...), and the episodes that ended.

        Environments that wait keep their observation and earn 0. cut: the episode is too long and is truncated here.
        """
        next_obs, rewards, rows = self._obs(), np.zeros(running.shape), []
        terminated, truncated = np.zeros((2, *running.shape), dtype=bool)
        for k, b in np.argwhere(running):
            env = self.envs[k * self.per_seed + b]
            next_obs[k, b], rewards[k, b], terminated[k, b], truncated[k, b] = env.step(actions[k, b])
            truncated[k, b] |= cut and not terminated[k, b]
            self.clocks[k] += 1
            if terminated[k, b] or truncated[k, b]:
                rows += [Row(self.seeds[k], self.clocks[k], "episode_return", env.episode_return),
                         Row(self.seeds[k], self.clocks[k], "episode_length", float(len(env.actions)))]
                env.reset()
        return (rewards, next_obs, terminated, truncated), rows

    def _noise(self, running: np.ndarray) -> torch.Tensor:
        """Noise for an action of every environment. Seeds that wait are put back: their next episode must not depend on how long others take."""
        waiting = [g for g, runs in zip(self.agent.noise_generators, running.any(1)) if not runs]
        states = [g.get_state() for g in waiting]
        noise = self.agent.draw_noise(self.per_seed, self.action_dim)
        for generator, state in zip(waiting, states):
            generator.set_state(state)
        return noise

    def _obs(self) -> np.ndarray:
        return np.array([env.obs for env in self.envs]).reshape(len(self.seeds), self.per_seed, -1)

    def data_is_finite(self, k: int) -> bool:
        """True if all that seed k has just seen of its environment is finite: what is not must then have come from the networks."""
        before = self.trajectory
        seen = [] if before is None else [before.obs[k], before.next_obs[k], before.rewards[k]]
        return bool(np.isfinite(self._obs()[k]).all()) and all(bool(torch.isfinite(part).all()) for part in seen)

    def state_dict(self) -> dict:
        """Everything that the next collection depends on, and the rows that wait for slower seeds."""
        return {"step": self.step, "clocks": list(self.clocks), "agent": self.agent.state_dict(), "envs": [env.state_dict() for env in self.envs],
                "held": [tuple(row) for row in self.held]}

    def load_state_dict(self, state: dict, replay: Path | None = None) -> None:
        """Continue exactly where `state_dict` was taken. There is no replay."""
        self.clocks, self.held = list(state["clocks"]), [Row(*row) for row in state["held"]]
        self.agent.load_state_dict(state["agent"])
        for env, env_state in zip(self.envs, state["envs"]):
            env.load_state_dict(env_state)

    def close(self) -> None:
        """Close the environments."""
        for env in self.envs:
            env.env.close()
