"""What is around the loop: N seeds side by side, each in its own environments, measured as data, and continued to the same bits.

    history = train("sac", "Pendulum-v1", seeds=[0, 1, 2], steps=4000)
    steps, returns = history.table("eval_return")          # (points,), (seeds, points)

The loops themselves, from one step or one collection to the next update, are rlcourse/off_policy.py and rlcourse/on_policy.py.
"""

import importlib
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import torch
from tqdm import tqdm

from rlcourse import on_policy
from rlcourse.checkpoint import CtrlC, RunFolder, read_plan, versions
from rlcourse.envs import choose_device, interface, make
from rlcourse.evaluation import crossed, evaluate, in_order, measured, overdue, policy
from rlcourse.off_policy import Run
from rlcourse.speed import SpeedProblem, matmul_precision
from rlcourse.stats import History, Row

__all__ = ["Diverged", "History", "Interrupted", "Row", "Run", "SpeedProblem", "command", "evaluate", "load_agent", "planned", "policy", "resolve",
           "train"]
DEFAULTS = {"matmul": "exact", "compile": False, "workers": 1}      # of the options that change how fast a run is
CHECK_EVERY = 100       # environment steps between looks at whether the losses are finite


class Diverged(ArithmeticError):
    """A loss is no longer a number; the message names seed, step and loss."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after everything was saved. str() says how to continue. The command line exits with 130."""


def train(agent: str = "sac", env: str = "Pendulum-v1", seeds: int | Sequence[int] = 1, steps: int = 10_000, *, device: str = "cpu",
          out: str | Path | None = None, resume: bool = False, config: dict[str, Any] | None = None, evaluate_every: int = 5_000,
          eval_episodes: int = 5, log_every: int = 1_000, checkpoint_every: int = 10_000, matmul: str = "exact", compile: bool | str = False,
          progress: bool = True) -> History:
    """Train N independent copies of an agent, one per seed, and return what was measured.

    agent: name of a file in rlcourse/agents. env: Gymnasium id. seeds: a list, or N for 0 ... N-1. steps: environment steps per seed.
    config: overrides of the agent's config dataclass, for example dict(hidden=(64, 64), lr=1e-3).
    out: folder for config.json, rows.csv, replay.bin and checkpoint.pt; None keeps everything in memory. It must be empty, unless resume=True, which
    continues the run in it to the same bits as if it had never stopped. Ctrl-C saves and raises Interrupted.
    evaluate_every, eval_episodes: deterministic episodes in fresh environments, also after the last step. log_every: steps between rows of losses.
    matmul: "exact", or "fast" (rlcourse/speed.py). compile: True, or a mode of torch.compile (rlcourse/compiled.py). Both change the last digits.
    Metrics: eval_return (mean over eval_episodes), episode_return and episode_length (training, at each end), and what the agent's `update` returns.
    On-policy agents update after whole collections: what is due at a step is then measured after the first update at or past it. Each seed counts
    its own steps, and the run ends when the slowest seed is there; seed k's rows are those of a run of seed k alone.
    Errors: EnvironmentProblem, RunFolderError, DiskFull, Diverged, SpeedProblem, ValueError for unknown agents and hyper-parameters; each message
    says what to do.
    """
    schedule = {"evaluate_every": evaluate_every, "eval_episodes": eval_episodes, "log_every": log_every, "checkpoint_every": checkpoint_every}
    agent_class, cfg, plan = planned(agent, env, seeds, steps, device, config or {}, schedule, matmul=matmul, compile=compile)
    where = torch.device(plan["device"])
    run = (on_policy.Run if hasattr(agent_class, "rollout") else Run)(agent_class, cfg, env, plan["seeds"], steps, where)
    folder = None
    try:
        with matmul_precision(matmul, run.agent):
            if compile:
                _compile(run.agent, compile, progress)
            folder = RunFolder(out, plan, resume) if out is not None else None
            return _loop(run, plan, folder, progress)
    finally:
        run.close()
        if folder is not None:
            folder.close()


def planned(agent: str, env: str, seeds: int | Sequence[int], steps: int, device: str, config: dict[str, Any], schedule: dict[str, int],
            **options: Any) -> tuple[type, Any, dict]:
    """The agent's class, its config, and the plan of the run: what config.json holds. options: matmul, compile, workers, where not the default.

    Errors: ValueError for what cannot be trained, before anything is made.
    """
    seeds = list(range(seeds)) if isinstance(seeds, int) else [int(seed) for seed in seeds]
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds = {seeds}: give at least one, each once. The same seed twice is the same run twice, and no evidence.")
    schedule = {**schedule, "steps": steps}
    for name in [name for name, value in schedule.items() if value < 1]:
        raise ValueError(f"{name} = {schedule[name]}: a number of steps or episodes is at least 1.")
    where = choose_device(device)
    agent_class, cfg = resolve(agent, config)
    chosen = {name: "default" if value is True else value for name, value in options.items() if value != DEFAULTS[name]}
    plan = {"agent": agent, "env": env, "seeds": seeds, "device": str(where), "config": asdict(cfg), **schedule, **chosen, "versions": versions()}
    plan["command"] = command(plan, config)
    return agent_class, cfg, plan


def try_out(agent_class: type, cfg: Any, plan: dict, seeds: Sequence[int]) -> None:
    """Make the agent of some seeds and throw it away: what the environment or this machine refuses is said here, before processes are started."""
    env = make(plan["env"])
    agent = agent_class(cfg, **interface(env, plan["env"], agent_class), seeds=seeds, device=torch.device(plan["device"]))
    env.close()
    with matmul_precision(plan.get("matmul", "exact"), agent):
        if "compile" in plan:
            _compile(agent, plan["compile"], progress=False)


def _compile(agent: Any, mode: bool | str, progress: bool) -> None:
    """Imported when it is asked for: PyTorch's compiler alone takes a second."""
    from rlcourse.compiled import compile_update

    compile_update(agent, "default" if mode is True else mode, say=(lambda text: tqdm.write(text, file=sys.stderr)) if progress else None)


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
    chosen = {key: tuple(value) if isinstance(value, list) else value for key, value in overrides.items()}
    _require_types(config_class, chosen)
    return getattr(module, name), config_class(**chosen)


def _require_types(config_class: type, chosen: dict[str, Any]) -> None:
    """A word in the place of a number would else surface much later, as an error about something else."""
    hints, usual = get_type_hints(config_class), config_class()
    for key, value in chosen.items():
        if not _is_a(value, hints[key]):
            default = getattr(usual, key)
            written = "".join(str(default).split()) if isinstance(default, tuple) else default
            kind = hints[key].__name__ if hints[key] in (int, float, str, bool) else hints[key]
            raise ValueError(f"{config_class.__name__}: {key} = {value!r} is of type {type(value).__name__}, and {key} needs {kind}; the default is "
                             f"{default!r}. On the command line: --set {key}={written}.")


def _is_a(value: Any, hint: Any) -> bool:
    """True if the value is of the kind that a config's annotation names: int, float, str, bool, None, tuple[int, ...], and unions of these."""
    if isinstance(hint, UnionType):
        return any(_is_a(value, part) for part in get_args(hint))
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_is_a(part, get_args(hint)[0]) for part in value)
    if isinstance(value, bool) or hint in (bool, NoneType):
        return isinstance(value, hint)
    return isinstance(value, int | float) if hint is float else isinstance(value, hint)


def _loop(run: Any, plan: dict, folder: RunFolder | None, progress: bool) -> History:
    """Advance to the last step; between steps measure, save, and listen for Ctrl-C."""
    history, last = History(agent=run.agent), plan["steps"]
    save_every = plan["checkpoint_every"] if run.buffer is None else min(plan["checkpoint_every"], run.buffer.capacity)
    saved = folder.load(replay=run.buffer is not None) if folder else None
    if saved:
        run.load_state_dict(saved, folder.path / "replay.bin")
        history.rows = folder.history().rows
        run.held += overdue(run, plan, history.rows + run.held) if run.step < last else []
    title = f"{plan['agent']} {plan['env']}"
    with CtrlC() as ctrl_c, tqdm(total=last, initial=min(run.step, last), disable=not progress, unit="step", file=sys.stderr, desc=title) as bar:
        while run.step < last:
            before = run.step
            rows = _advance(run, plan, folder)
            _show(bar, rows)
            history.rows += rows
            if folder and rows:
                folder.append(rows)
            if folder and (crossed(before, run.step, save_every) or run.step >= last or ctrl_c.pressed):
                _require_finite(run, folder)
                folder.save(run.state_dict(), run.buffer)
            bar.update(min(run.step, last) - before)
            if ctrl_c.pressed and run.step < last:
                raise Interrupted(_how_to_continue(run, plan, folder))
    return history


def _advance(run: Any, plan: dict, folder: RunFolder | None) -> list[Row]:
    """One step or collection with its update, and what is to be written down."""
    before = list(run.clocks)
    try:
        rows = run.advance()
    except ValueError as error:     # the guards of the equations refuse what a network of nans puts out
        raise (_divergence(run, folder) or error) from error
    if crossed(min(before), run.step, CHECK_EVERY) or run.step >= plan["steps"]:
        _require_finite(run, folder)
    return in_order(run, rows + measured(run, before, plan), plan["steps"])


def _show(bar: tqdm, rows: list[Row]) -> None:
    returns = [row.value for row in rows if row.metric == "eval_return"]
    if returns:
        bar.set_postfix(eval_return=f"{np.mean(returns):.1f}")


def load_agent(out: str | Path, device: str = "cpu") -> tuple[Any, str]:
    """The agent of the last checkpoint in a run's folder, and the id of its environment."""
    plan = read_plan(out)
    agent_class, cfg = resolve(plan["agent"], plan["config"])
    env = make(plan["env"])
    agent = agent_class(cfg, **interface(env, plan["env"], agent_class), seeds=plan["seeds"], device=choose_device(device))
    env.close()
    state = torch.load(Path(out) / "checkpoint.pt", weights_only=True, map_location="cpu")["agent"]
    state["noise"] = state["noise"] if agent.where["device"].type == torch.device(plan["device"]).type else []     # generators differ by device
    agent.load_state_dict(state)
    return agent, plan["env"]


def _how_to_continue(run: Any, plan: dict, folder: RunFolder | None) -> str:
    if folder is None:
        return f"stopped at step {run.step} of {plan['steps']}. Nothing was being saved, since no folder was given (out=None, --out)."
    return (f"stopped at step {run.step} of {plan['steps']}; everything up to here is in {folder.path}. Continue, to the same bits as an "
            f"uninterrupted run, with: {plan['command']} --out {shlex.quote(str(folder.path))} --resume")


def _require_finite(run: Any, folder: RunFolder | None) -> None:
    """Stop a run whose losses are nan or infinite before a checkpoint could be written with them."""
    if run.losses and not bool(torch.isfinite(torch.stack(list(run.losses.values()))).all()):
        raise _divergence(run, folder)


def _divergence(run: Any, folder: RunFolder | None) -> Diverged | None:
    """The error that names the first loss or network with a number that is not finite, its state laid aside; None if all are finite."""
    networks = {f"{net}.{key}": value for net, part in run.agent.state_dict().items() if isinstance(part, dict)
                for key, value in part.items() if isinstance(value, torch.Tensor)}
    broken = [(name, k, value.flatten().tolist()[0]) for name, tensor in {**run.losses, **networks}.items()
              for k, copy in enumerate(tensor) for value in [copy[~torch.isfinite(copy)]] if value.numel()]
    if not broken:
        return None
    name, k, value = broken[0]
    cause = "an observation or reward of the environment is not finite: look there first" if not run.data_is_finite(k) else \
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
    words += ["--compile"] if "compile" in plan else []
    for name, word in (("matmul", "--matmul"), ("compile", "--compile-mode"), ("workers", "--workers")):
        words += [word, str(plan[name])] if plan.get(name, "default") != "default" else []
    for name, value in overrides.items():
        words += ["--set", f"{name}={value}".replace(" ", "")]
    return shlex.join(words)
