"""The last line of a derivation and the code that computes it: both are evaluated in the same worlds."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sympy as sp

from rlcourse.notation.unknowns import unknowns
from rlcourse.notation.verdict import Trial, Verdict, excess


@dataclass(frozen=True)
class Binding:
    """The package function that computes the last line."""

    name: str
    how: str
    largest_difference: float


def bound(
    tag: str, line: sp.Basic, trial: Trial, function: Callable, arguments: Callable | None, entry: Callable | None = None
) -> tuple[Binding, Verdict]:
    """Runs the code in every world of the line. Raises TypeError for an argument that no world can supply."""
    names = list(inspect.signature(arguments or function).parameters)
    wanted = list(inspect.signature(entry).parameters)[1:] if entry else []
    worlds, largest = trial.on(line), 0.0
    verdict = Verdict(True, "", 0.0)
    for world in worlds:
        values = supplied(tag, names, line, world, trial)
        result = function(*(arguments(*values) if arguments else values))
        code = number(entry(result, *supplied(tag, wanted, line, world, trial)) if entry else result, function.__qualname__)
        worth = float(trial.value(line, world))
        difference = excess(code, worth)
        if not difference <= trial.tolerance:
            verdict = Verdict(False, "", difference, world, worth, code)
            break
        largest = max(largest, difference)
    count = f"{trial.worlds} random" if isinstance(trial.worlds, int) else f"{len(worlds)} chosen"
    how = f"equal on {count} {getattr(worlds[0], 'instances', 'points')}, {trial.within}"
    return Binding(f"{function.__module__}.{function.__qualname__}", how, largest), verdict


def supplied(tag: str, names: Sequence[str], line: sp.Basic, world: object, trial: Trial) -> list[object]:
    """The arguments by name: a variable as a tensor, a function of the world, a table that the world knows by name, or `world` itself."""
    symbols, functions = unknowns([line], trial.definitions)
    known = {s.name: s for s in symbols} | {f.__name__: f for f in functions}
    by_name = getattr(world, "argument_by_name", None)
    values, missing = [], []
    for name in names:
        if name == "world" or name in known:
            values.append(world if name == "world" else world.argument(known[name]))
            continue
        try:
            values.append(by_name(name) if by_name else missing.append(name))
        except KeyError:
            missing.append(name)
    if missing:
        raise TypeError(f"[{tag}] the last line has the variables {sorted(known)}; {missing} is not among them. Give `arguments`.")
    return values


def number(value: object, name: str) -> float:
    """One number from a float, an array or a tensor of size 1. Raises ValueError for more than one."""
    if not hasattr(value, "item"):
        return float(value)
    if (size := getattr(value, "size", 1)) != 1 and (value.numel() if callable(size) else size) != 1:
        raise ValueError(f"{name} returns values of shape {tuple(value.shape)}, and a line is one number: give it one point at a time, or reduce.")
    return float(value.item())
