"""What a run is worth while it learns: evaluations without noise, losses, and the order in which they are written down.

`run` is the Run of rlcourse/off_policy.py or of rlcourse/on_policy.py. Each seed's measurements are due by the seed's own clock, so that they are
those of the seed trained alone.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from rlcourse.envs import env_actions, make, stream_seed
from rlcourse.stats import Row


def crossed(before: int, now: int, every: int) -> list[int]:
    """The multiples of `every` in (before, now]."""
    return list(range((before // every + 1) * every, now + 1, every))


def measured(run: Any, before: list[int], plan: dict) -> list[Row]:
    """Rows of losses and of evaluations that became due between the clocks `before` and now, for each seed by its own clock."""
    spans, last = list(zip(before, run.clocks)), plan["steps"]
    logged = [crossed(*span, plan["log_every"]) for span in spans]
    due = [sorted({*crossed(*span, plan["evaluate_every"]), *([last] if span[0] < last <= span[1] else [])}) for span in spans]
    rows = loss_rows(run, [k for k, steps in enumerate(logged) if steps])
    for step in sorted(set().union(*due)):
        rows += _evaluations(run, step, [k for k, steps in enumerate(due) if step in steps], plan["eval_episodes"])
    return rows


def overdue(run: Any, plan: dict, rows: list[Row]) -> list[Row]:
    """Evaluations at the last step of seeds that an earlier, shorter run took past it, and that `rows` lack: as these seeds are now.

    Only an on-policy run that is made longer, and not to a multiple of evaluate_every, has any.
    """
    known, last = {row[:3] for row in rows}, plan["steps"]
    copies = [k for k, clock in enumerate(run.clocks) if clock >= last and (run.seeds[k], last, "eval_return") not in known]
    return _evaluations(run, last, copies, plan["eval_episodes"])


def _evaluations(run: Any, step: int, copies: list[int], episodes: int) -> list[Row]:
    returns = evaluate(run.agent, run.env_id, episodes, at=step, copies=copies).mean(1) if copies else []
    return [Row(run.seeds[k], step, "eval_return", float(value)) for k, value in zip(copies, returns)]


def loss_rows(run: Any, copies: list[int]) -> list[Row]:
    """The agent's metrics of the last update, one row per metric and wanted copy."""
    values = torch.stack(list(run.losses.values())).tolist() if run.losses and copies else []
    return [Row(run.seeds[k], run.clocks[k], name, line[k]) for name, line in zip(run.losses, values) for k in copies]


def in_order(run: Any, rows: list[Row], last: int) -> list[Row]:
    """Those of the rows, and of the rows held back so far, that no slower seed can still precede, in the order of steps. The others are held."""
    until, waiting = min(run.step, last), run.held + rows
    run.held = [row for row in waiting if row.step > until]
    return sorted((row for row in waiting if row.step <= until), key=lambda row: row.step)


def evaluate(agent: Any, env_id: str, episodes: int = 5, *, at: int = 0, max_steps: int = 10_000, copies: Sequence[int] | None = None) -> np.ndarray:
    """Undiscounted returns (N, episodes) of the policy without noise, in fresh environments; training notices nothing of it.

    The first states depend on each run's seed, on `at` (the training step) and on the episode, on nothing else. An episode without a time limit is
    cut after max_steps. copies: only these of the N, in this order; all if not given.
    """
    copies = list(range(len(agent.seeds))) if copies is None else list(copies)
    seeds = [agent.seeds[k] for k in copies]
    envs = [[make(env_id) for _ in range(episodes)] for _ in copies]
    obs = np.array([[env.reset(seed=stream_seed(seed, "evaluate", at, e))[0] for e, env in enumerate(row)] for seed, row in zip(seeds, envs)])
    returns, running = np.zeros(obs.shape[:2]), np.ones(obs.shape[:2], dtype=bool)
    place = torch.zeros(len(agent.seeds), dtype=torch.long)
    place[copies] = torch.arange(len(copies))       # the agent acts for all N; those that were not asked for look at the first one's observations
    for _ in range(max_steps):
        actions = env_actions(agent.act(torch.as_tensor(obs)[place].to(**agent.where)))
        for i, e in np.argwhere(running):
            obs[i, e], reward, terminated, truncated, _ = envs[i][e].step(actions[copies[i], e])
            returns[i, e] += reward
            running[i, e] = not (terminated or truncated)
        if not running.any():
            break
    for env in [env for row in envs for env in row]:
        env.close()
    return returns


def policy(agent: Any, copy: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """The deterministic policy of one seed as a plain function: observation (obs_dim,) -> action (A,) in [-1, 1], or the index of one."""
    def act(obs: np.ndarray) -> np.ndarray:
        everyone = torch.as_tensor(obs).to(**agent.where).expand(len(agent.seeds), 1, -1)
        return env_actions(agent.act(everyone))[copy, 0]
    return act
