"""Environments, the device and the random streams: the three things a run is made of before any learning."""

import difflib
import importlib.util
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.wrappers import RescaleAction, TransformAction

STREAMS = ("init", "noise", "replay", "environment", "explore", "evaluate")


class EnvironmentProblem(ValueError):
    """The environment cannot be used as asked; the message says why and what to do."""


class RenderingUnavailable(RuntimeError):
    """No way to draw this environment on this machine; the message lists what was tried."""


def choose_device(device: str = "auto") -> torch.device:
    """The one place where a device is chosen: "cpu", "cuda", or "auto" (CUDA where there is one).

    It also sets one thread per process, the course's default: two threads were measured 1.3 times as fast for 1.5 times the CPU time, and the number
    of threads changes the last digits of a sum.
    """
    torch.set_num_threads(1)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.split(":")[0] not in ("cpu", "cuda"):
        raise ValueError(f"device {device!r} is unknown: use 'cpu', 'cuda', 'cuda:1' for the second card, or 'auto'.")
    if device != "cpu" and not torch.cuda.is_available():
        raise ValueError(f"device {device!r} was asked for, but this torch ({torch.__version__}) sees no CUDA GPU. Use device='cpu' (the networks of "
                         "this course are small and train well there), or install a CUDA build of torch and run `rlcourse doctor`.")
    return torch.device(device)


def stream_seed(seed: int, stream: str, *more: int) -> int:
    """A 63-bit seed for one purpose of one run: the streams of a seed, and the same stream of two seeds, are unrelated."""
    if seed < 0:
        raise ValueError(f"seed = {seed}: seeds are 0, 1, 2, ...")
    words = np.random.SeedSequence(seed, spawn_key=(STREAMS.index(stream), *more)).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))


def generators(seeds: Sequence[int], stream: str, device: torch.device | str = "cpu") -> list[torch.Generator]:
    """One torch.Generator per seed for one purpose (STREAMS). Nothing in the course draws from a global generator."""
    return [torch.Generator(device=device).manual_seed(stream_seed(seed, stream)) for seed in seeds]


def make(env_id: str, **options) -> gym.Env:
    """The environment `env_id`, its continuous actions mapped linearly from [-1, 1] to its own [low, high], its discrete ones counted from 0.

    options go to gymnasium.make.
    `step` returns the true next observation with `terminated` and `truncated` apart. Raises EnvironmentProblem for an unknown id (with the nearest
    names), a missing simulator, unbounded actions, or observations that are not vectors.
    """
    if env_id not in gym.registry and ":" not in env_id:        # "module:Name-v0" is looked up after importing module
        raise _explain(env_id, gym.error.UnregisteredEnv())
    _quiet_mujoco(env_id)
    try:
        env = gym.make(env_id, disable_env_checker=True, **options)
    except (gym.error.Error, ImportError) as error:
        raise _explain(env_id, error) from error
    if not isinstance(env.observation_space, spaces.Box) or len(env.observation_space.shape) != 1:
        raise EnvironmentProblem(f"{env_id} is observed as {env.observation_space}. The networks of this course read one vector per state: choose an "
                                 "environment with a one-dimensional Box (Pendulum-v1, HalfCheetah-v5), or flatten the observation "
                                 "(gymnasium.wrappers.FlattenObservation) and register the result under a name of its own.")
    if isinstance(env.action_space, spaces.Box):
        if not np.isfinite([env.action_space.low, env.action_space.high]).all():
            raise EnvironmentProblem(f"{env_id} takes unbounded actions, {env.action_space}. A squashed policy needs a finite [low, high] to squash "
                                     "into: wrap the environment so that its actions are bounded.")
        env = RescaleAction(env, np.float32(-1), np.float32(1))
    if isinstance(env.action_space, spaces.Discrete) and env.action_space.start != 0:
        first, count = env.action_space.start, env.action_space.n
        env = TransformAction(env, lambda action: action + first, spaces.Discrete(count))
    return env


def interface(env: gym.Env, env_id: str, agent_class: type) -> dict[str, Any]:
    """What an agent must know of its environment, as arguments of its constructor: obs_dim, action_dim, and discrete if it can be both.

    action_dim: length of the action vector, or the number of discrete actions. An agent says what it can by its class attribute `actions`:
    "continuous" (also if it says nothing), "discrete" or "both".
    Errors: EnvironmentProblem if agent and environment do not fit; the message says why.
    """
    space, kind, name = env.action_space, getattr(agent_class, "actions", "continuous"), agent_class.__name__
    discrete = isinstance(space, spaces.Discrete)
    if not isinstance(space, spaces.Box | spaces.Discrete):
        raise EnvironmentProblem(f"{env_id} has {space}. The agents of this course choose one of n actions (Discrete) or a vector of real numbers "
                                 "(Box): wrap the environment so that its actions are one of the two.")
    if kind == "continuous" and discrete:
        raise EnvironmentProblem(f"{name} needs continuous actions: it differentiates Q(s, a) in a. {env_id} has {space}. Try Pendulum-v1 or "
                                 "HalfCheetah-v5; for discrete actions there are soft_q, which sums over all of them, and reinforce, which samples "
                                 "from a softmax.")
    if kind == "discrete" and not discrete:
        raise EnvironmentProblem(f"{name} needs discrete actions: its network has one output for each, and its value is a sum over all of them. "
                                 f"{env_id} has {space}, which has more than one can count. Try CartPole-v1; for continuous actions there are sac, "
                                 "which samples them, and reinforce.")
    sizes = {"obs_dim": env.observation_space.shape[0], "action_dim": int(space.n) if discrete else space.shape[0]}
    return sizes | ({"discrete": discrete} if kind == "both" else {})


def env_actions(actions: torch.Tensor) -> np.ndarray:
    """Actions as environments take them: indices (...) stay integers; vectors (..., A) become float32, cut to [-1, 1].

    The cut changes nothing for agents that squash. A Gaussian policy may ask for more: the cut is then part of the environment, which the policy
    does not know, and its density is that of the action it asked for.
    """
    if not actions.is_floating_point():
        return actions.cpu().numpy()
    return actions.to("cpu", torch.float32).clamp(-1, 1).numpy()


def _explain(env_id: str, error: Exception) -> EnvironmentProblem:
    """Gymnasium's error in the words of someone who wants to get on."""
    newest = {name.rpartition("-v")[0]: name for name in sorted(gym.registry)}
    name = env_id.rpartition("-v")[0] or env_id
    if isinstance(error, gym.error.UnregisteredEnv) or newest.get(name, env_id) != env_id:
        near = [name] if name in newest else difflib.get_close_matches(name, newest, n=3, cutoff=0.6)
        hint = f"Did you mean {' or '.join(newest[n] for n in near)}?" if near else "`gymnasium.pprint_registry()` lists all that are installed."
        return EnvironmentProblem(f"no environment called {env_id!r} can be made. {hint}")
    if isinstance(error, gym.error.DependencyNotInstalled | ImportError):
        return EnvironmentProblem(f"{env_id} needs a simulator that is not installed here ({error}). MuJoCo comes with the course's own set-up "
                                  "(`make lab`); in another environment install gymnasium[mujoco], then run `rlcourse doctor`.")
    return EnvironmentProblem(f"{env_id} could not be made: {error}")


def _is_mujoco(env_id: str) -> bool:
    return str(getattr(gym.registry.get(env_id), "entry_point", "")).startswith("gymnasium.envs.mujoco")


def _quiet_mujoco(env_id: str) -> None:
    """MuJoCo writes each warning into MUJOCO_LOG.TXT in the current folder. Make them Python warnings, and drop those on deprecated attributes in
    Gymnasium's own model files, which no student can act on."""
    if _is_mujoco(env_id) and importlib.util.find_spec("mujoco"):
        importlib.import_module("mujoco").set_mju_user_warning(_mujoco_warning)


def _mujoco_warning(message: str) -> None:
    if "deprecated" not in message:
        warnings.warn(f"MuJoCo: {message}", RuntimeWarning, stacklevel=2)


class SeededEnv:
    """One environment of one seed that can be put back exactly where it was.

    MuJoCo's state written back into an environment was seen to diverge, so nothing of the simulator is saved. What is kept is the state of its random
    generator at the last reset and the actions since: restoring resets the environment from that state and replays them, 300 steps in about 10 ms.
    This is exact for every environment that draws all its randomness from `np_random` and forgets the past on reset, as Gymnasium asks.
    index: which of a seed's environments this is, 0 for the first; each has a random stream of its own.
    """

    def __init__(self, env_id: str, seed: int, index: int = 0) -> None:
        self.env = make(env_id)
        self.env.reset(seed=stream_seed(seed, "environment", *([index] if index else [])))      # seeds np_random; an episode starts with `reset`
        self.reset()

    def reset(self) -> np.ndarray:
        """Start an episode: the first observation."""
        self.generator_state = self.env.unwrapped.np_random.bit_generator.state
        self.actions: list[np.ndarray] = []
        self.episode_return = 0.0
        self.obs, _ = self.env.reset()
        return self.obs

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        """(true next observation, reward, terminated, truncated) after an action of `env_actions`. Only `reset` starts the next episode."""
        self.actions.append(action)
        self.obs, reward, terminated, truncated, _ = self.env.step(action)
        self.episode_return += float(reward)
        return self.obs, float(reward), bool(terminated), bool(truncated)

    def state_dict(self) -> dict:
        kind = np.int64 if isinstance(self.env.action_space, spaces.Discrete) else np.float32
        return {"generator": self.generator_state, "actions": torch.from_numpy(np.array(self.actions, dtype=kind))}

    def load_state_dict(self, state: dict) -> None:
        self.env.unwrapped.np_random.bit_generator.state = state["generator"]
        self.reset()
        for action in state["actions"].numpy():
            self.step(action)


def render_frames(env_id: str, policy: Callable[[np.ndarray], np.ndarray], steps: int, *, seed: int = 0, every: int = 1,
                  width: int = 320, height: int = 240) -> list[np.ndarray]:
    """RGB frames (height, width, 3) uint8 of at most `steps` steps of one episode, one frame per `every` steps, without a display.

    policy: observation (obs_dim,) -> action (A,) in [-1, 1], or an index, for example `train.policy(agent, copy=0)`. MuJoCo is drawn by EGL (graphics
    driver), else by OSMesa (software); where neither works RenderingUnavailable says what was tried, and training goes on without pictures.
    """
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    size = {}
    if _is_mujoco(env_id):
        os.environ["MUJOCO_GL"], size = rendering_backend(), {"width": width, "height": height, "camera_name": "track"}
    env = make(env_id, render_mode="rgb_array", **size)
    try:
        obs, _ = env.reset(seed=seed)
        frames, ended = [], False
        for step in range(steps):
            if ended:
                break
            if step % every == 0:
                frames.append(env.render())
            obs, _, terminated, truncated, _ = env.step(policy(obs))
            ended = terminated or truncated
        return frames
    finally:
        env.close()


def rendering_backend() -> str:
    """"egl" or "osmesa", whichever draws one MuJoCo picture here. Each is tried in a process of its own, since a failed one cannot be undone."""
    probe = ("import mujoco as mj; model = mj.MjModel.from_xml_string('<mujoco/>'); renderer = mj.Renderer(model, 8, 8); "
             "renderer.update_scene(mj.MjData(model)); renderer.render()")
    said = {}
    for backend in dict.fromkeys([os.environ.get("MUJOCO_GL", "egl"), "egl", "osmesa"]):
        tried = subprocess.run([sys.executable, "-c", probe], env={**os.environ, "MUJOCO_GL": backend}, capture_output=True, text=True, timeout=60)
        if tried.returncode == 0:
            return backend
        said[backend] = (tried.stderr.strip().splitlines() or ["no message"])[-1]
    tried = "; ".join(f"{name} said {line!r}" for name, line in said.items())
    raise RenderingUnavailable(f"MuJoCo could not draw here: {tried}. Install a graphics library to see frames (Debian: libegl1 for EGL, libosmesa6 "
                               "for OSMesa). Training and evaluation need neither.")
