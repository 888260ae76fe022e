"""From a case on which something breaks to the smallest one found on which it still does: a case that a person can check by hand.

Greedy and deterministic: axes that inputs share are cut together, towards their least size; masks to few True; integers towards 0; numbers to 1, 2,
0.5, 0, -1 or to fewer digits. A step is kept if `breaks` still says so. Without an interface there is nothing to go by, and the case stays as it is.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rlcourse.checks.drawing import normalised
from rlcourse.checks.properties import Inputs

TRIES = 250  # candidates looked at
ROUND = (0.0, 1.0, 2.0, 0.5, -1.0)  # for entries of an array: 0 first, which takes a term out of the sum
PLAIN = (0.5, 1.0, 2.0, 0.0)  # for a number on its own, such as gamma: 1 and 0 hide factors


def shrunk(io: Any, inputs: Inputs, breaks: Callable[[Inputs], bool]) -> Inputs:
    """The smallest inputs found on which breaks(inputs) is still True; it is True of `inputs`."""
    if io is None:
        return inputs
    left = TRIES
    for stage in (_cuts, _whole, _entries, _digits, _plain_dtype):
        progress = True
        while progress and left > 0:
            progress = False
            for candidate in stage(io, inputs):
                left -= 1
                if left < 0:
                    break
                if io.valid(candidate) and breaks(candidate):
                    inputs, progress = candidate, stage not in (_digits, _plain_dtype)
                    break
    return inputs


def _cuts(io: Any, inputs: Inputs) -> Iterator[Inputs]:
    """One axis shorter: the least size, twice that, half, one less; each at a few places."""
    sizes = io.sizes_of(inputs)
    least = {axis: min(tried) for axis, tried in io.sizes.items()} | {name: int(each.low) for name, each in io.inputs.items() if each.kind == "count"}
    for axis, size in sorted(sizes.items(), key=lambda item: -item[1]):
        shorter = [new for new in dict.fromkeys((least[axis], least[axis] + 1, size // 2, size - 1)) if least[axis] <= new < size]
        for new in shorter:
            for start in dict.fromkeys((0, size - new, *range(1, min(size - new, 8)))):
                yield io.cut(inputs, axis, start, new)


def _whole(io: Any, inputs: Inputs) -> Iterator[Inputs]:
    """A whole input at once: all False, all 0, all 1, uniform; a scalar to a round number."""
    for name, each in io.inputs.items():
        for value in _plain_values(each, inputs[name]):
            candidate = np.full_like(inputs[name], value)
            candidate = normalised(candidate) if each.kind == "simplex" else candidate
            if not np.array_equal(candidate, inputs[name]) and not _rounder(each, inputs[name], value):
                yield inputs | {name: candidate}


def _plain_values(each: Any, array: np.ndarray) -> tuple[float, ...]:
    if each.kind in ("mask", "index"):
        return (0,)
    if each.kind == "simplex":
        return (1,)
    if each.kind == "generator" or array.ndim == 0:
        return PLAIN_OF.get(each.kind, _within(each, PLAIN))
    return _within(each, (1.0, 0.0, 2.0, 0.5))


PLAIN_OF = {"generator": (0,), "count": ()}  # a count is an axis or a horizon: it is cut


def _within(each: Any, values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(value for value in values if each.low <= value <= each.high or value in each.at)


def _rounder(each: Any, array: np.ndarray, value: float) -> bool:
    """True if the input is a round number already that comes no later than `value` in the order of preference."""
    values = _plain_values(each, array)
    constant = array.size > 0 and (array == array.flat[0]).all()
    return bool(constant and float(array.flat[0]) in values and values.index(float(array.flat[0])) <= values.index(value))


def _entries(io: Any, inputs: Inputs) -> Iterator[Inputs]:
    """One entry of an array: a mask to False, an integer to 0, a number to 0, 1, 2, 0.5, -1; the last entry first."""
    for name, each in io.inputs.items():
        array = inputs[name]
        if array.ndim == 0 or each.kind in ("generator", "simplex") or array.size > 40:
            continue
        values = (0,) if each.kind in ("mask", "index") else _within(each, ROUND)
        for k, now in reversed(list(enumerate(array.ravel().tolist()))):
            better = values[: values.index(now)] if now in values else values
            for value in better:
                candidate = array.copy()
                candidate.reshape(-1)[k] = value
                yield inputs | {name: candidate}


def _digits(io: Any, inputs: Inputs) -> Iterator[Inputs]:
    """All numbers that are left, rounded to one, two or three digits; distributions to quarters and tenths."""
    for digits in (1, 2, 3):
        found = dict(inputs)
        for name, each in io.inputs.items():
            if each.kind in ("array", "scalar"):
                found[name] = _rounded(inputs[name], digits)
            elif each.kind == "simplex":
                found[name] = normalised(np.maximum(np.round(inputs[name], digits), 0.0))
        yield found


def _rounded(array: np.ndarray, digits: int) -> np.ndarray:
    return np.vectorize(lambda x: float(f"{x:.{digits}g}"), otypes=[array.dtype])(array) if array.size else array


def _plain_dtype(io: Any, inputs: Inputs) -> Iterator[Inputs]:
    """The dtype that a literal has: torch.tensor([0.5]) is float32, np.array([0.5]) float64."""
    plain = np.float32 if io.library == "torch" else np.float64
    found = {name: array.astype(plain) if io.inputs[name].kind in ("array", "simplex") else array for name, array in inputs.items()}
    if any(found[name].dtype != inputs[name].dtype for name in inputs):
        yield found
