"""The types that everything else speaks in, and the guards that stand at the door of every equation.

Shapes. Time first, then the batch: rewards are (T, B). Independent copies (seeds, twin critics) lead: (N, T, B). An off-policy batch has no time:
(N, B). Observations and actions add their own dimensions at the end: obs (N, B, obs_dim).

Masks. There are two, and never a `done`. `terminated`: the task is over, the future is worth 0, nothing is bootstrapped. `truncated`: the clock ran
out, the state still has a future, and its value V(next_obs) stands for the rewards that were not collected. `next_obs` is the true next observation
in both cases. A mask may be bool, an integer type or floating; `mask_like` turns it into the floating dtype of the formula it enters.

Guards. PyTorch and NumPy broadcast without a word: (T,) minus (T, 1) is a (T, T) table, its mean is still one number, the loss still falls, and the
agent learns from pairs that never met. The guards here turn that silence into an error that says what came and what to do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

Array = np.ndarray | torch.Tensor

READ = "Read: help(rlcourse.types)."


class ShapeError(ValueError):
    """Arrays that should describe the same steps have different shapes."""


@dataclass(frozen=True, eq=False)
class Batch:
    """B transitions (s, a, r, s', terminated, truncated) drawn from a replay buffer, possibly for several independent copies at once.

    obs, next_obs: (..., B, *obs_shape). actions: (..., B, A), or (..., B) if discrete. rewards, terminated, truncated: (..., B).
    next_obs is the true next observation, also at a time limit, never the first observation of the next episode.
    Errors: ShapeError if the fields do not describe the same transitions.
    """

    obs: Array
    actions: Array
    rewards: Array
    next_obs: Array
    terminated: Array
    truncated: Array

    def __post_init__(self) -> None:
        _require_same_steps(self)


@dataclass(frozen=True, eq=False)
class Trajectory:
    """T consecutive steps of B environments, time first, possibly for several independent copies: rewards (..., T, B).

    The fields are those of `Batch` with the time dimension in front of B. An episode may end and another begin inside the segment: terminated and
    truncated say where. Or it holds one whole episode per environment, of different lengths: mask (..., T, B) is then True where a step was taken
    and False where the table is padded after an episode's end. None: every step was taken.
    Errors: ShapeError if the fields do not describe the same steps, or if there is no time dimension.
    """

    obs: Array
    actions: Array
    rewards: Array
    next_obs: Array
    terminated: Array
    truncated: Array
    mask: Array | None = None

    def __post_init__(self) -> None:
        require_time_and_batch(rewards=self.rewards)
        _require_same_steps(self)
        if self.mask is not None:
            require_same_shape(rewards=self.rewards, mask=self.mask)


@runtime_checkable
class Agent(Protocol):
    """What the training loop asks of an agent. An agent is one flat file; it inherits from nothing and imports no other agent.

    Every leading dimension is an independent copy: N seeds are trained by one agent, and metrics come back per copy. An on-policy agent has the
    attribute `rollout`, (B, T) or (B, None), and its `update` takes a Trajectory in the place of a Batch. A class attribute `actions` says what an
    agent can choose from: "continuous" (also if it says nothing), "discrete" or "both".
    """

    def act(self, obs: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
        """Actions (N, B, A), or indices (N, B) if discrete, for obs (N, B, obs_dim); noise from `draw_noise`, None for the policy without noise.

        No gradient.
        """
        ...

    def update(self, batch: Batch, noise: torch.Tensor) -> dict[str, torch.Tensor]:
        """One learning step in the order of the slide's pseudocode. Returns metrics as data, one value per copy, detached."""
        ...

    def noise_shape(self, batch_size: int) -> tuple[int, ...]:
        """How much noise an `update` on a batch of this size takes, per copy: `draw_noise(*noise_shape(B))`."""
        ...

    def draw_noise(self, *shape: int) -> torch.Tensor:
        """Noise (N, *shape), each copy's share from its own generator, so that no seed hears of the others."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next `update` depends on: parameters, optimiser states, generator states."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        ...


def require_same_shape(**named: Array) -> None:
    """Raise ShapeError unless all arrays have one shape. Call it with names: `require_same_shape(rewards=rewards, values=values)`."""
    shapes = {name: tuple(np.shape(x)) for name, x in named.items()}
    if len(set(shapes.values())) > 1:
        raise ShapeError(f"These must have one shape, and came as {_list(shapes)}. {_consequence(shapes)} {_remedy(shapes)} {READ}")


def require_time_and_batch(**named: Array) -> None:
    """Raise ShapeError unless each array is (..., T, B) with T >= 1: time is dimension -2 and the batch of environments is dimension -1."""
    for name, x in named.items():
        shape = tuple(x.shape)
        if len(shape) < 2:
            raise ShapeError(
                f"{name} came as {shape}, and needs (..., T, B): time first, then environments. With one dimension nobody can tell T steps of one "
                f"environment from one step of T environments, and the two have different returns. For one environment write {name}[:, None]. "
                f"{READ}"
            )
        if shape[-2] == 0:
            raise ShapeError(
                f"{name} came as {shape}: T, dimension -2, is 0. A segment needs at least one step, since its last row says where to bootstrap."
            )


def require_floating(**named: Array) -> None:
    """Raise TypeError unless every array is a torch tensor or NumPy array of real floating dtype (float32, float64, ...), all of the same kind."""
    for name, x in named.items():
        if not isinstance(x, (torch.Tensor, np.ndarray)):
            raise TypeError(f"{name} is a {type(x).__name__}, and needs to be a torch.Tensor or a NumPy array. Wrap it: torch.tensor({name}).")
        if not (x.is_floating_point() if isinstance(x, torch.Tensor) else np.issubdtype(x.dtype, np.floating)):
            raise TypeError(
                f"{name} has dtype {x.dtype}, and needs a real floating one. Integers round silently: a return of 0.99 stored in an integer array "
                "is 0, and a bool here is often a mask in the place of a value. Check the order of the arguments; if it is right, convert: "
                f"{_conversion(name, x)}."
            )
    _require_one_kind(named)


def require_tensor(**named: Any) -> None:
    """Raise TypeError unless every argument is a torch tensor of real floating dtype. For the equations that autograd has to see."""
    for name, x in named.items():
        if not isinstance(x, torch.Tensor):
            raise TypeError(
                f"{name} is a {type(x).__name__}, and needs to be a torch.Tensor, since gradients flow through it. Convert: torch.as_tensor({name})."
            )
    require_floating(**named)


def require_unit_interval(**named: float) -> None:
    """Raise ValueError unless every number is in [0, 1]. For discounts, λ and Polyak shares."""
    for name, x in named.items():
        if not 0 <= x <= 1:
            raise ValueError(
                f"{name} is {x}, and needs to be in [0, 1]: outside, the geometric sum over the future need not converge. Did two arguments swap "
                "places?"
            )


def mask_like(mask: Array, like: Array, name: str = "mask") -> Array:
    """The mask as numbers 0 and 1 in the dtype of `like`, so that `1 - mask` means "not".

    mask: bool, uint8, another integer type or floating, with entries 0 and 1. Why not use it as it came: `1 - mask` is an error for a bool tensor,
    and for uint8 `~mask` is 255 and 254 rather than 1 and 0, which multiplies the bootstrap by 255.
    Errors: TypeError if tensor and NumPy array are mixed; ValueError if an entry is neither 0 nor 1 (looked at on the CPU only: reading values
    stalls a GPU).
    """
    if not isinstance(mask, (torch.Tensor, np.ndarray)):
        raise TypeError(f"{name} is a {type(mask).__name__}, and needs to be a torch.Tensor or a NumPy array of 0 and 1.")
    _require_one_kind({name: mask, "the array it masks": like})
    if mask.dtype not in (torch.bool, np.bool_) and not holds_if_readable((mask == 0) | (mask == 1)):
        raise ValueError(
            f"{name} has entries that are neither 0 nor 1. A mask is a question with two answers. Did {name} and a value swap places? {READ}"
        )
    return mask.to(like.dtype) if isinstance(like, torch.Tensor) else mask.astype(like.dtype)


def holds_if_readable(condition: Array) -> bool:
    """False if the condition is seen to fail somewhere; True if it holds, or cannot be read cheaply (GPU, meta device, vmap, torch.compile)."""
    if isinstance(condition, (np.ndarray, np.bool_)):
        return bool(condition.all())
    if condition.device.type != "cpu" or torch.compiler.is_compiling():
        return True
    try:
        return bool(condition.all())
    except RuntimeError:  # inside torch.func.vmap a batched tensor has no single truth value
        return True


def _require_one_kind(named: Mapping[str, Array]) -> None:
    kinds = {name: "torch.Tensor" if isinstance(x, torch.Tensor) else "NumPy array" for name, x in named.items()}
    if len(set(kinds.values())) > 1:
        raise TypeError(
            f"Tensors and NumPy arrays are mixed: {_list(kinds)}. Convert one side, with torch.as_tensor(x) or x.numpy(); the result is of the "
            "kind given."
        )


def _require_same_steps(steps: Batch | Trajectory) -> None:
    require_same_shape(rewards=steps.rewards, terminated=steps.terminated, truncated=steps.truncated)
    require_same_shape(obs=steps.obs, next_obs=steps.next_obs)
    shape = tuple(steps.rewards.shape)
    for name in ("obs", "actions"):
        got = tuple(getattr(steps, name).shape)
        if got[: len(shape)] != shape:
            raise ShapeError(
                f"{name} came as {got} and rewards as {shape}: the leading dimensions of {name} must be those of rewards, one entry per "
                f"transition. A reward column (B, 1) is the usual cause: write rewards.squeeze(-1). {READ}"
            )


def _list(named: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in named.items())


def _conversion(name: str, x: Array) -> str:
    return f"{name}.float()" if isinstance(x, torch.Tensor) else f"{name}.astype(np.float32)"


def _consequence(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """What would happen without the guard, in the shapes that came."""
    try:
        table = np.broadcast_shapes(*shapes.values())
    except ValueError:
        return "They do not even broadcast: at least one of them belongs to other steps, or has its dimensions in another order."
    return (
        f"Broadcasting would build a {tuple(table)} table without a word, as (T,) against (T, 1) builds (T, T): each entry is paired with entries "
        "of other steps, the mean is still one number, and the loss still falls."
    )


def _remedy(shapes: Mapping[str, tuple[int, ...]]) -> str:
    for name, shape in shapes.items():
        if shape[-1:] == (1,) and any(shape[:-1] == other for other in shapes.values()):
            return f"A network with one output keeps that dimension: write {name}.squeeze(-1)."
    first, *others = shapes
    odd = next(name for name in others if shapes[name] != shapes[first])
    return (
        f"Bring {odd} to the shape of {first}, {shapes[first]}, by naming the dimension that is missing or too many: x[:, None], x.squeeze(-1), "
        "x.expand(...)."
    )
