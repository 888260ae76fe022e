"""Wrong answers that need no thought, for the gate: constants, the inputs again, nothing, the visible cases learnt by heart."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch


def idle_answers(solution: Callable, *, constant: bool = True) -> Iterator[tuple[str, Callable]]:
    """(what it does, answer) of answers in the solution's form and without its computation. constant: whether one that never changes is wrong."""
    forms = {"returns zeros": np.zeros_like, "returns ones": np.ones_like, "returns NaN": lambda a: np.full_like(a, np.nan),
             "returns nothing, in an empty array": lambda a: np.zeros(0, a.dtype)}
    for words, change in forms.items():
        yield words, lambda *arguments, change=change: _filled(solution(*arguments), change)
    kept: list[Any] = []
    if constant:
        yield "repeats its first answer", lambda *arguments: kept[0] if kept else kept.append(solution(*arguments)) or kept[0]
    for k, name in enumerate(inspect.signature(solution).parameters):
        yield f"returns its input {name}", lambda *arguments, k=k: arguments[k]


def _filled(value: Any, change: Callable) -> Any:
    """A value of the same form with other numbers; None where there are no numbers in it."""
    if isinstance(value, torch.Tensor):
        return torch.from_numpy(np.array(change(value.detach().numpy())))
    if isinstance(value, np.ndarray):
        return np.array(change(value))
    if isinstance(value, float | int) and not isinstance(value, bool):
        return float(change(np.array(value, dtype=float)).sum())
    if isinstance(value, list | tuple):
        return type(value)(_filled(item, change) for item in value)
    return {name: _filled(item, change) for name, item in value.items()} if isinstance(value, dict) else None


def by_heart(exercise: Any, solution: Callable) -> Callable:
    """Arrays -> arrays: the solution's answers to everything that seed 0 asks; to anything else one that was right for inputs of the same shapes."""
    solve, memory, of_shapes = exercise.adapt(solution), {}, {}

    def shapes(inputs: dict[str, Any]) -> str:
        return str([(name, np.asarray(value).dtype, np.asarray(value).shape) for name, value in inputs.items()])

    def key(inputs: dict[str, Any]) -> str:
        return shapes(inputs) + repr([np.asarray(value).tobytes() for value in inputs.values()])

    def learning(**inputs: Any) -> Any:
        memory[key(inputs)] = of_shapes[shapes(inputs)] = solve(**inputs)
        return memory[key(inputs)]

    def reciting(**inputs: Any) -> Any:
        return memory.get(key(inputs)) or of_shapes.get(shapes(inputs)) or next(iter(memory.values()))

    exercise.assess(learning, 0)
    return reciting
