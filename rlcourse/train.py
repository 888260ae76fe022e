"""The loop that is not in the agent: N seeds side by side, each in its own environment, measured as data, and continued to the same bits.

    history = train("sac", "Pendulum-v1", seeds=[0, 1, 2], steps=4000)
    steps, returns = history.table("eval_return")          # (points,), (seeds, points)
"""

import importlib
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from rlcourse.buffers import ReplayBuffer
from rlcourse.checkpoint import CtrlC, RunFolder, read_plan, versions
from rlcourse.envs import SeededEnv, choose_device, generators, make, require_continuous, stream_seed
from rlcourse.stats import History, Row

CHECK_EVERY = 100       # environment steps between looks at whether the losses are finite


class Diverged(ArithmeticError):
    """A loss is no longer a number; the message names seed, step and loss."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after everything was saved. str() says how to continue. The command line exits with 130."""


def train(agent: str = "sac", env: str = "Pendulum-v1", seeds: int | Sequence[int] = 1, steps: int = 10_000, *, device: str = "cpu",
          out: str | Path | None = None, resume: bool = False, config: dict[str, Any] | None = None, evaluate_every: int = 5_000,
          eval_episodes: int = 5, log_every: int = 1_000, checkpoint_every: int = 10_000, progress: bool = True) -> History:
    """Train N independent copies of an agent, one per seed, and return what was measured.

    agent: name of a file in rlcourse/agents. env: Gymnasium id. seeds: a list, or N for 0 ... N-1. steps: environment steps per seed.
    config: overrides of the agent's config dataclass, for example dict(hidden=(64, 64), lr=1e-3).
    out: folder for config.json, rows.csv, replay.bin and checkpoint.pt; None keeps everything in memory. It must be empty, unless resume=True, which
    continues the run in it to the same bits as if it had never stopped. Ctrl-C saves and raises Interrupted.
    evaluate_every, eval_episodes: deterministic episodes in fresh environments, also after the last step. log_every: steps between rows of losses.
    Metrics: eval_return (mean over eval_episodes), episode_return and episode_length (training, at each end), and what the agent's `update` returns.
    Errors: EnvironmentProblem, RunFolderError, DiskFull, Diverged, ValueError for unknown agents and hyper-parameters; each message says what to do.
    """
    seeds = list(range(seeds)) if isinstance(seeds, int) else [int(seed) for seed in seeds]
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds = {seeds}: give at least one, each once. The same seed twice is the same run twice, and no evidence.")
    schedule = {"evaluate_every": evaluate_every, "eval_episodes": eval_episodes, "log_every": log_every, "checkpoint_every": checkpoint_every,
                "steps": steps}
    for name in [name for name, value in schedule.items() if value < 1]:
        raise ValueError(f"{name} = {schedule[name]}: a number of steps or episodes is at least 1.")
    where = choose_device(device)
    agent_class, cfg = resolve(agent, config or {})
    plan = {"agent": agent, "env": env, "seeds": seeds, "device": str(where), "config": asdict(cfg), **schedule, "versions": versions()}
    plan["command"] = command(plan, config or {})
    run = Run(agent_class, cfg, env, seeds, steps, where)
    folder = RunFolder(out, plan, resume) if out is not None else None
    try:
        return _loop(run, plan, folder, progress)
    finally:
        run.close()
        if folder is not None:
            folder.close()


def resolve(agent: str, overrides: dict[str, Any]) -> tuple[type, Any]:
    """The agent's class and its config: rlcourse/agents/sac.py holds SAC and SACConfig."""
    names = sorted(file.stem for file in (Path(__file__).parent / "agents").glob("[a-z]*.py"))
    if agent not in names:
        raise ValueError(f"no agent is called {agent!r}. There is: {', '.join(names)} (the files in rlcourse/agents).")
    module = importlib.import_module(f"rlcourse.agents.{agent}")
    name = agent.replace("_", "").upper()
    config_class = getattr(module, f"{name}Config")
    known = [field.name for field in fields(config_class)]
    for key in [key for key in overrides if key not in known]:
        near = get_close_matches(key, known, n=1)
        raise ValueError(f"{config_class.__name__} has no {key!r}. {f'Did you mean {near[0]!r}? ' if near else ''}It has: {', '.join(known)}.")
    return getattr(module, name), config_class(**{key: tuple(value) if isinstance(value, list) else value for key, value in overrides.items()})


class Run:
    """N seeds of one agent with their environments and replay memories, advanced one environment step at a time."""

    def __init__(self, agent_class: type, cfg: Any, env_id: str, seeds: Sequence[int], steps: int, device: torch.device) -> None:
        self.cfg, self.env_id, self.seeds, self.step, self.losses = cfg, env_id, list(seeds), 0, {}
        self.envs = [SeededEnv(env_id, seed) for seed in seeds]
        require_continuous(self.envs[0].env, env_id, agent_class.__name__)
        obs_dim, self.action_dim = self.envs[0].env.observation_space.shape[0], self.envs[0].env.action_space.shape[0]
        self.where = {"dtype": getattr(torch, cfg.dtype), "device": device}
        self.agent = agent_class(cfg, obs_dim, self.action_dim, seeds, device)
        self.buffer = ReplayBuffer(min(cfg.capacity, steps), obs_dim, self.action_dim, generators(seeds, "replay", device), **self.where)
        self.explore = generators(seeds, "explore")
        self.obs = self._tensor([env.obs for env in self.envs])

    def advance(self) -> list[Row]:
        """One environment step of every seed, its transition remembered, then `updates_per_step` gradient steps. Returns the episodes that ended."""
        cfg, self.step = self.cfg, self.step + 1
        if self.step <= cfg.learning_starts:
            actions = self._uniform_actions()
        else:
            actions = self.agent.act(self.obs[:, None], self.agent.draw_noise(1, self.action_dim))[:, 0]
        outcome = [env.step(action) for env, action in zip(self.envs, actions.to("cpu", torch.float32).numpy())]
        next_obs, rewards, terminated, truncated = (self._tensor(part) for part in zip(*outcome))
        self.buffer.add(self.obs, actions, rewards, next_obs, terminated, truncated)
        rows = self._restart_ended(terminated + truncated)
        self.obs = self._tensor([env.obs for env in self.envs])
        for _ in range(cfg.updates_per_step if self.step > cfg.learning_starts else 0):
            noise = self.agent.draw_noise(2, cfg.batch_size, self.action_dim)
            self.losses = self.agent.update(self.buffer.sample(cfg.batch_size), noise)
        return rows

    def _uniform_actions(self) -> torch.Tensor:
        """Uniform on (-1, 1): (N, A), each seed from its own generator."""
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

    def loss_rows(self) -> list[Row]:
        """The agent's metrics of the last update, one row per metric and seed."""
        if not self.losses:
            return []
        values = torch.stack(list(self.losses.values())).tolist()
        return [Row(seed, self.step, name, value) for name, line in zip(self.losses, values) for seed, value in zip(self.seeds, line)]

    def state_dict(self) -> dict:
        return {"step": self.step, "agent": self.agent.state_dict(), "added": self.buffer.added, "envs": [env.state_dict() for env in self.envs],
                "replay": [g.get_state() for g in self.buffer.generators], "explore": [g.get_state() for g in self.explore]}

    def load_state_dict(self, state: dict, replay: Path) -> None:
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
        for env in self.envs:
            env.env.close()


def _loop(run: Run, plan: dict, folder: RunFolder | None, progress: bool) -> History:
    """Advance to the last step; between steps measure, save, and listen for Ctrl-C."""
    history, last, save_every = History(agent=run.agent), plan["steps"], min(plan["checkpoint_every"], run.buffer.capacity)
    saved = folder.load() if folder else None
    if saved:
        run.load_state_dict(saved, folder.path / "replay.bin")
        history.rows = folder.history().rows
    title = f"{plan['agent']} {plan['env']}"
    with CtrlC() as ctrl_c, tqdm(total=last, initial=run.step, disable=not progress, unit="step", file=sys.stderr, desc=title) as bar:
        while run.step < last:
            try:
                rows = run.advance()
            except ValueError as error:     # the guards of the equations refuse what a network of nans puts out
                raise (_divergence(run, folder) or error) from error
            if run.step % CHECK_EVERY == 0 or run.step == last:
                _require_finite(run, folder)
            rows += run.loss_rows() if run.step % plan["log_every"] == 0 else []
            if run.step % plan["evaluate_every"] == 0 or run.step == last:
                rows += _evaluation_rows(run, plan["eval_episodes"])
                bar.set_postfix(eval_return=f"{np.mean([row.value for row in rows if row.metric == 'eval_return']):.1f}")
            history.rows += rows
            if folder and rows:
                folder.append(rows)
            if folder and (run.step % save_every == 0 or run.step == last or ctrl_c.pressed):
                _require_finite(run, folder)
                folder.save(run.state_dict(), run.buffer)
            bar.update()
            if ctrl_c.pressed and run.step < last:
                raise Interrupted(_how_to_continue(run, plan, folder))
    return history


def _evaluation_rows(run: Run, episodes: int) -> list[Row]:
    returns = evaluate(run.agent, run.env_id, episodes, at=run.step).mean(1)
    return [Row(seed, run.step, "eval_return", float(value)) for seed, value in zip(run.seeds, returns)]


def evaluate(agent: Any, env_id: str, episodes: int = 5, *, at: int = 0, max_steps: int = 10_000) -> np.ndarray:
    """Undiscounted returns (N, episodes) of the policy without noise, in fresh environments; training notices nothing of it.

    The first states depend on each run's seed, on `at` (the training step) and on the episode, on nothing else. An episode without a time limit is
    cut after max_steps.
    """
    envs = [[make(env_id) for _ in range(episodes)] for _ in agent.seeds]
    obs = np.array([[env.reset(seed=stream_seed(seed, "evaluate", at, e))[0] for e, env in enumerate(row)] for seed, row in zip(agent.seeds, envs)])
    returns, running = np.zeros(obs.shape[:2]), np.ones(obs.shape[:2], dtype=bool)
    for _ in range(max_steps):
        actions = agent.act(torch.as_tensor(obs).to(**agent.where)).to("cpu", torch.float32).numpy()
        for k, e in np.argwhere(running):
            obs[k, e], reward, terminated, truncated, _ = envs[k][e].step(actions[k, e])
            returns[k, e] += reward
            running[k, e] = not (terminated or truncated)
        if not running.any():
            break
    for env in [env for row in envs for env in row]:
        env.close()
    return returns


def policy(agent: Any, copy: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """The deterministic policy of one seed as a plain function: observation (obs_dim,) -> action (A,) in [-1, 1]."""
    def act(obs: np.ndarray) -> np.ndarray:
        everyone = torch.as_tensor(obs).to(**agent.where).expand(len(agent.seeds), 1, -1)
        return agent.act(everyone)[copy, 0].to("cpu", torch.float32).numpy()
    return act


def load_agent(out: str | Path, device: str = "cpu") -> tuple[Any, str]:
    """The agent of the last checkpoint in a run's folder, and the id of its environment."""
    plan = read_plan(out)
    agent_class, cfg = resolve(plan["agent"], plan["config"])
    env = make(plan["env"])
    agent = agent_class(cfg, env.observation_space.shape[0], env.action_space.shape[0], plan["seeds"], choose_device(device))
    env.close()
    state = torch.load(Path(out) / "checkpoint.pt", weights_only=True, map_location="cpu")["agent"]
    state["noise"] = state["noise"] if agent.where["device"].type == torch.device(plan["device"]).type else []     # generators differ by device
    agent.load_state_dict(state)
    return agent, plan["env"]


def _how_to_continue(run: Run, plan: dict, folder: RunFolder | None) -> str:
    if folder is None:
        return f"stopped at step {run.step} of {plan['steps']}. Nothing was being saved, since no folder was given (out=None, --out)."
    return (f"stopped at step {run.step} of {plan['steps']}; everything up to here is in {folder.path}. Continue, to the same bits as an "
            f"uninterrupted run, with: {plan['command']} --out {shlex.quote(str(folder.path))} --resume")


def _require_finite(run: Run, folder: RunFolder | None) -> None:
    """Stop a run whose losses are nan or infinite before a checkpoint could be written with them."""
    if run.losses and not bool(torch.isfinite(torch.stack(list(run.losses.values()))).all()):
        raise _divergence(run, folder)


def _divergence(run: Run, folder: RunFolder | None) -> Diverged | None:
    """The error that names the first loss or network with a number that is not finite, its state laid aside; None if all are finite."""
    networks = {f"{net}.{key}": value for net, part in run.agent.state_dict().items() if isinstance(part, dict)
                for key, value in part.items() if isinstance(value, torch.Tensor)}
    broken = [(name, k, value.flatten().tolist()[0]) for name, tensor in {**run.losses, **networks}.items()
              for k, copy in enumerate(tensor) for value in [copy[~torch.isfinite(copy)]] if value.numel()]
    if not broken:
        return None
    name, k, value = broken[0]
    cause = "an observation or reward of the environment is not finite: look there first" if not torch.isfinite(run.buffer.data[k]).all() else \
        "all stored observations and rewards are finite, so the networks grew: a smaller lr usually cures it, then rewards scaled to about 1 per step"
    kept = "" if folder is None else f" The state is in {folder.path / 'diverged.pt'} to look at; the last good checkpoint is untouched."
    if folder is not None:
        folder.save_aside("diverged.pt", run.state_dict())
    return Diverged(f"{name} of seed {run.seeds[k]} is {value} at step {run.step}, or has been for up to {CHECK_EVERY} steps. Nothing can be learnt "
                    f"from there on. In this run {cause}.{kept}")


def command(plan: dict, overrides: dict[str, Any]) -> str:
    """The command line that repeats the run, without its folder."""
    seeds = plan["seeds"]
    words = ["rlcourse", "train", plan["agent"], "--env", plan["env"]]
    words += ["--seeds", str(len(seeds))] if seeds == list(range(len(seeds))) else ["--seed-list", *map(str, seeds)]
    words += ["--steps", str(plan["steps"])] + (["--device", plan["device"]] if plan["device"] != "cpu" else [])
    for name, usual in train.__kwdefaults__.items():
        if name in ("evaluate_every", "eval_episodes", "log_every", "checkpoint_every") and plan[name] != usual:
            words += [f"--{name.replace('_', '-')}", str(plan[name])]
    for name, value in overrides.items():
        words += ["--set", f"{name}={value}".replace(" ", "")]
    return shlex.join(words)
