"""Cases from a declared Interface: ordinary inputs of all sizes, and the edges at which answers go wrong.

Edges: one step, a batch of one (the smallest size of each axis), a mask True at every single position, two masks True together, special values of
scalars (gamma = 0 and 1), and numbers a million times larger or smaller, in float32 and float64.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from rlcourse.checks.properties import Case, Inputs

DTYPES = ("float64", "float32")
MOST = 8  # combinations of sizes for each dtype
STEPS = 4  # length of the axis along which a mask is put at every position


def draw(io: Any, rng: np.random.Generator, dtype: str, fixed: dict[str, Any]) -> Inputs:
    """Inputs at random, with some sizes and values fixed; see Interface.draw."""
    unknown = set(fixed) - set(io.sizes) - set(io.inputs)
    if unknown:
        raise ValueError(f"{sorted(unknown)} are neither axes nor inputs of this exercise.")
    for _ in range(1000):
        sizes = {axis: fixed.get(axis, tried[-1]) for axis, tried in io.sizes.items()}
        found: Inputs = {}
        for name, each in sorted(io.inputs.items(), key=lambda item: item[1].kind != "count"):  # counts first: they may be sizes
            found[name] = _one(each, rng, io.shape(name, sizes), dtype, sizes)
            if name in fixed:
                found[name] = np.array(np.broadcast_to(np.asarray(fixed[name], found[name].dtype), found[name].shape))
            if each.kind == "count":
                sizes[name] = int(found[name])
        found = {name: found[name] for name in io.inputs}
        if io.valid(found):
            return found
    raise ValueError("1000 draws in a row were not valid: let the inputs' ranges fit `valid`, or draw them together.")


def _one(each: Any, rng: np.random.Generator, shape: tuple[int, ...], dtype: str, sizes: dict[str, int]) -> np.ndarray:
    if each.drawn is not None:
        return np.asarray(each.drawn(rng, shape)).astype(dtype)
    if each.kind == "mask":
        return rng.random(shape) < each.high
    if each.kind == "index":
        return rng.integers(0, sizes[each.below], shape)
    if each.kind == "count":
        return np.array(rng.integers(int(each.low), int(each.high) + 1))
    if each.kind == "generator":
        return np.array(rng.integers(0, 2**31))
    if each.kind == "scalar":
        return np.array(rng.uniform(each.low, each.high))
    if each.kind == "simplex":
        return normalised(rng.uniform(0.1, 1.0, shape) ** 2).astype(dtype)
    return rng.uniform(each.low, each.high, shape).astype(dtype)


def normalised(array: np.ndarray) -> np.ndarray:
    """The same weights, summing to one over the last axis; uniform where they are all zero."""
    total = array.sum(axis=-1, keepdims=True)
    return np.where(total > 0, array / np.where(total > 0, total, 1), 1 / array.shape[-1]).astype(array.dtype)


def signed(low: float, high: float) -> Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]:
    """For array(draw=...): of either sign, and between low and high in size, so that no number is near zero."""
    return lambda rng, shape: rng.choice([-1.0, 1.0], shape) * rng.uniform(low, high, shape)


def sizes(io: Any, rng: np.random.Generator) -> list[Case]:
    """Every combination of sizes (at most eight, every size of each axis among them) in both dtypes; kind "ordinary"."""
    product = [dict(zip(io.sizes, each)) for each in itertools.product(*io.sizes.values())]
    if len(product) > MOST:
        longest = max(map(len, io.sizes.values()))
        product = [{axis: tried[(k + k // longest * place) % len(tried)] for place, (axis, tried) in enumerate(io.sizes.items())}
                   for k in range(max(MOST, longest))]
    few = max(1, 3 // len(product))  # an interface without axes is drawn several times
    return [Case("ordinary", draw(io, rng, dtype, chosen)) for dtype in DTYPES for chosen in product * few]


def scalar_edges(io: Any, rng: np.random.Generator) -> list[Case]:
    """Each scalar at each of its special values, once in float64 and once in float32; kind "edge"."""
    return [Case("edge", draw(io, rng, dtype, {name: value})) for name, each in io.inputs.items() for value in each.at for dtype in DTYPES]


def mask_edges(io: Any, rng: np.random.Generator) -> list[Case]:
    """Each mask True at every single position of its first axis, the others False; all True there together; nowhere; everywhere. Kind "edge"."""
    masks = [name for name, each in io.inputs.items() if each.kind == "mask"]
    if not masks:
        return []
    along = io.inputs[masks[0]].axes[0]
    size = {} if along not in io.sizes else {along: max(STEPS, min(io.sizes[along]))}
    least = draw(io, np.random.default_rng(0), "float64", size)
    length = least[masks[0]].shape[0]
    found = [Case("edge", draw(io, rng, "float64", size | dict.fromkeys(masks, value))) for value in (False, True)]
    together = [tuple(masks)] if len(masks) > 1 else []
    for chosen in [(name,) for name in masks] + together:
        for position in range(length):
            values = {name: _only(least[name].shape, position if name in chosen else None) for name in masks}
            found.append(Case("edge", draw(io, rng, "float64", size | values)))
    return found


def _only(shape: tuple[int, ...], position: int | None) -> np.ndarray:
    """False, but True in one row (if the mask has so many)."""
    found = np.zeros(shape, dtype=bool)
    if position is not None and position < shape[0]:
        found[position] = True
    return found


def magnitudes(io: Any, rng: np.random.Generator, factors: tuple[float, ...] = (1e4, 1e-4)) -> list[Case]:
    """The `scaled` inputs, all of them, times 1e4 and times 1e-4, in both dtypes; kind "magnitude"."""
    scaled = [name for name, each in io.inputs.items() if each.scaled]
    if not scaled:
        return []
    drawn = [(draw(io, rng, dtype, {}), factor) for dtype in DTYPES for factor in factors]
    return [Case("magnitude", inputs | {name: (inputs[name] * factor).astype(inputs[name].dtype) for name in scaled}) for inputs, factor in drawn]


def saturated(io: Any, rng: np.random.Generator, name: str, value: float = 20.0) -> list[Case]:
    """One input at plus and minus `value` in turn, as where tanh is 1 in floating point, in both dtypes; kind "saturated"."""
    found = []
    for dtype in DTYPES:
        inputs = draw(io, rng, dtype, {})
        signs = np.where(np.arange(inputs[name].size) % 2, -1.0, 1.0).reshape(inputs[name].shape)
        found.append(Case("saturated", inputs | {name: (value * signs).astype(dtype)}))
    return found
