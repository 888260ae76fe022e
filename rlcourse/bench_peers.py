"""One measurement of `rlcourse bench`, in a process of its own: our agent, or a peer's, at the same work.

    python -m rlcourse.bench_peers '{"name": "sac", "system": "sb3", ...}'     # prints one line of JSON

The peers are Stable-Baselines3 (PyTorch) and SBX (the same authors, in JAX). They are optional, the extra [bench], and imported here alone. The
process that asks (rlcourse/bench.py) imports neither torch nor a peer; this one is started with one thread.
"""

import importlib.util
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODULES = {"rlcourse": "rlcourse", "sb3": "stable_baselines3", "sbx": "sbx"}     # the first word of a system's name -> what it imports
NAMES = {"sb3": "Stable-Baselines3", "sbx": "SBX"}
EPISODES, LAST = 10, 3      # episodes of each of the 20 evaluations; the final return is the mean of the last three
DISCOUNT, POLYAK, FIRST_ALPHA, NOISE = 0.99, 0.005, 0.1, 0.1       # the same for all systems; each of them would choose otherwise by default


@dataclass(frozen=True)
class Work:
    """What one process does. Rows of one name, agent, env, hidden and batch_size are compared with each other.

    name: as in `--only`. system: "sb3", "sbx", or "rlcourse" and its options (`options`). measure: "step" (environment steps, each with one update),
    "update" (updates alone), "learn" (a whole training run with evaluations). seeds: trained at once in this process.
    steps: environment steps of each seed, or updates, that are timed. warm: environment steps before that, half of them with updates; for "learn"
    the first random phase.
    """

    name: str
    system: str
    agent: str
    env: str
    measure: str = "step"
    hidden: tuple[int, ...] = (256, 256)
    batch_size: int = 256
    seeds: tuple[int, ...] = (0,)
    steps: int = 1_000
    warm: int = 200
    lr: float = 3e-4
    device: str = "cpu"


def missing(system: str) -> str:
    """Why a system cannot be measured here and what to do about it; '' if it can."""
    first = system.split()[0]
    if importlib.util.find_spec(MODULES[first]) is not None:
        return ""
    return (f"{NAMES[first]} is not installed, so its rows are left out and nothing is compared with it. "
            'Install it with: pip install -c constraints.txt -e ".[bench]"')


def measure(work: Work) -> dict:
    """Do the work and return what it cost: wall_s and cpu_s (of all threads) of the timed part, agent_steps in it, peak_mb of the process.

    A training run returns `final` and `area` as well, one number for each seed.
    """
    ours = work.system.startswith("rlcourse")
    if work.measure == "learn":
        start, cpu = time.perf_counter(), time.process_time()
        learnt = _learn_ours(work) if ours else _learn_peer(work)
    else:
        learnt, go = {}, (_prepare_ours if ours else _prepare_peer)(work)
        start, cpu = time.perf_counter(), time.process_time()
        go(work.steps)
    wall_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    return {"wall_s": wall_s, "cpu_s": cpu_s, "agent_steps": work.steps * len(work.seeds), "peak_mb": peak_mb(), **learnt}


def peak_mb() -> float:
    """The most memory that this process ever held, in MB.

    Linux says it for the process alone as VmHWM. What getrusage says there begins with the memory of the process that started this one.
    """
    status = Path("/proc/self/status")
    lines = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")] if status.exists() else []
    if lines:
        return int(lines[0].split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


# ── ours ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def settings(work: Work) -> dict[str, Any]:
    """Overrides of our agent's config. All else is the same in the peers by their defaults: one update per step, TD3's delay and noises."""
    first = work.warm if work.measure == "learn" else work.warm // 2
    chosen = {"hidden": tuple(work.hidden), "batch_size": work.batch_size, "learning_starts": first, "lr": work.lr, "gamma": DISCOUNT, "tau": POLYAK}
    return chosen | ({"initial_alpha": FIRST_ALPHA} if work.agent == "sac" else {"exploration_noise": NOISE})


def options(system: str) -> dict[str, Any]:
    """What the name of one of our systems asks of `train`: "rlcourse matmul fast compiled max-autotune" is matmul="fast", compile="max-autotune"."""
    compiled = system.partition("compiled")[1:]
    return {"matmul": "fast" if "matmul fast" in system else "exact", "compile": (compiled[1].strip() or True) if compiled[0] else False}


def _prepare_ours(work: Work) -> Callable[[int], None]:
    """A run that is past its first random phase, as a function of how many steps or updates it shall do."""
    import torch

    from rlcourse.compiled import compile_update
    from rlcourse.envs import choose_device
    from rlcourse.off_policy import Run
    from rlcourse.speed import matmul_precision
    from rlcourse.train import resolve

    device = choose_device(work.device)
    agent_class, cfg = resolve(work.agent, settings(work))
    run = Run(agent_class, cfg, work.env, list(work.seeds), work.warm + work.steps, device)
    asked = options(work.system)
    precision = matmul_precision(asked["matmul"], run.agent)
    precision.__enter__()           # for as long as this process lives
    if asked["compile"]:
        compile_update(run.agent, "default" if asked["compile"] is True else asked["compile"])

    def update() -> None:
        run.agent.update(run.buffer.sample(cfg.batch_size), run.agent.draw_noise(*run.agent.noise_shape(cfg.batch_size)))

    def go(count: int, step: Callable = run.advance if work.measure == "step" else update, precision: Any = precision) -> None:
        for _ in range(count):
            step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    go(work.warm, run.advance)
    return go


def _learn_ours(work: Work) -> dict:
    from rlcourse import stats
    from rlcourse.train import train

    history = train(work.agent, work.env, list(work.seeds), work.steps, device=work.device, config=settings(work), **options(work.system),
                    evaluate_every=work.steps // 20, eval_episodes=EPISODES, log_every=work.steps, progress=False)
    return {"final": stats.final_values(history, last=LAST).tolist(), "area": stats.areas(history).tolist()}


# ── peers ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _peer(work: Work) -> Any:
    """The peer's model at our settings. Its action noise is in units of half the action range, as ours is."""
    import gymnasium as gym
    import numpy as np
    import torch

    torch.set_num_threads(1)
    if work.system == "sb3":
        import stable_baselines3 as peer
    else:
        import sbx as peer
    if len(work.seeds) > 1:
        raise ValueError(f"{work.system} was asked for seeds {work.seeds} at once; a peer trains one. Ask for one process for each seed.")
    ours = settings(work)
    options = {"batch_size": work.batch_size, "learning_starts": ours["learning_starts"], "learning_rate": work.lr, "gamma": DISCOUNT, "tau": POLYAK,
               "train_freq": 1, "gradient_steps": 1, "buffer_size": work.warm + work.steps, "seed": work.seeds[0], "verbose": 0,
               "policy_kwargs": {"net_arch": list(work.hidden)}, **({"device": work.device} if work.system == "sb3" else {})}
    env = gym.make(work.env)
    if work.agent == "sac":
        options["ent_coef"] = f"auto_{FIRST_ALPHA}"
    else:
        from stable_baselines3.common.noise import NormalActionNoise

        actions = env.action_space.shape[0]
        options["action_noise"] = NormalActionNoise(np.zeros(actions), NOISE * np.ones(actions))
    return getattr(peer, work.agent.upper())("MlpPolicy", env, **options)


def _prepare_peer(work: Work) -> Callable[[int], None]:
    """As `_prepare_ours`. Whatever the peer compiles, it has compiled when the warm-up ends."""
    model = _peer(work).learn(work.warm)

    def go(count: int) -> None:
        if work.measure == "step":
            model.learn(count, reset_num_timesteps=False)
        else:
            for _ in range(count):
                model.train(gradient_steps=1, batch_size=work.batch_size)
        if work.system == "sbx":        # JAX returns before it has computed
            import jax

            jax.block_until_ready((model.policy.actor_state.params, model.policy.qf_state.params))

    go(20)      # both kinds of TD3's updates, with and without the actor
    return go


def _learn_peer(work: Work) -> dict:
    """Training with our evaluations: as many, at the same steps, from the same first states."""
    import gymnasium as gym
    import numpy as np

    from rlcourse import stats
    from rlcourse.envs import stream_seed

    model, env, every = _peer(work), gym.make(work.env), work.steps // 20
    steps, points = np.arange(1, 21) * every, []
    for step in steps:
        model.learn(every, reset_num_timesteps=step == every)
        returns = [_episode(model, env, stream_seed(work.seeds[0], "evaluate", int(step), e)) for e in range(EPISODES)]
        points.append(np.mean(returns))
    return {"final": [float(np.mean(points[-LAST:]))], "area": stats.area_under_curve(steps, np.array([points])).tolist()}


def _episode(model: Any, env: Any, seed: int) -> float:
    """The return of one episode without noise."""
    (obs, _), total, ended = env.reset(seed=seed), 0.0, False
    while not ended:
        obs, reward, terminated, truncated, _ = env.step(model.predict(obs, deterministic=True)[0])
        total, ended = total + float(reward), terminated or truncated
    return total


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print(json.dumps(measure(Work(**{name: tuple(value) if isinstance(value, list) else value for name, value in asked.items()}))))
