"""Interface: the inputs and outputs of a function exercise, declared once.

From the declaration come the adapter (arrays -> the student's function -> arrays), the drawn cases, the words for inputs, the shapes by name in a
slip's message, and what the shrinking of a failing case may do. An axis is a name ("T"), a name and a number ("T+1"), a number ("2"), or the name of
a `count` input (its value is the length); one name is one size throughout. "" has no axes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rlcourse.checks import drawing, given
from rlcourse.checks.compare import Slip, to_array
from rlcourse.checks.properties import Answer, Case, Inputs


@dataclass(frozen=True)
class Input:
    """One input or output. kind: array, mask, index, scalar, count, simplex or generator. The others: see the functions below."""

    kind: str
    axes: tuple[str, ...] = ()
    low: float = -2.0
    high: float = 2.0
    at: tuple[float, ...] = ()
    scaled: bool = False
    below: str = ""
    drawn: Callable[[np.random.Generator, tuple[int, ...]], Any] | None = None


def array(axes: str = "", low: float = -2.0, high: float = 2.0, scaled: bool = False, draw: Callable | None = None) -> Input:
    """Floats in the case's dtype, uniform on [low, high] or draw(rng, shape). scaled: the answer scales with all such inputs together."""
    return Input("array", _axes(axes), low, high, scaled=scaled, drawn=draw)


def simplex(axes: str) -> Input:
    """Positive floats that sum to one over the last axis: a transition table "S A S", a policy "S A", an initial distribution "S"."""
    return Input("simplex", _axes(axes), 0.0, 1.0)


def mask(axes: str, share: float = 0.25) -> Input:
    """Booleans, each True with probability `share`."""
    return Input("mask", _axes(axes), high=share)


def index(axes: str, below: str) -> Input:
    """int64 from 0 to the size of the axis `below`, which is not reached: states, actions, resampled rows."""
    return Input("index", _axes(axes), below=below)


def scalar(low: float, high: float, at: tuple[float, ...] = ()) -> Input:
    """A Python float from [low, high]; at: the special values that have cases of their own (gamma = 0 and 1)."""
    return Input("scalar", (), low, high, at)


def count(low: int, high: int) -> Input:
    """A Python int from low to high, both included; high is drawn too."""
    return Input("count", (), low, high)


def generator() -> Input:
    """A seeded torch.Generator (or numpy Generator, by the interface's library), fresh for every call."""
    return Input("generator")


def _axes(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@dataclass(frozen=True)
class Interface:
    """See the module. outputs: the student's own answer first; with several, a tuple is returned; a value is axes, or index(...) or mask(...).

    sizes: the sizes of each axis that are tried; the smallest is the least that makes sense. library: what arrays come in as, "torch" or "numpy";
    the answer may be either, unless `tensor_only` says why not. gradients: inputs to which the sum of the first output is differentiated too
    ("grad_<name>" in the answer). fresh: why the answer may not share memory with an input; else it may. valid(inputs): which inputs make sense.
    arguments(given): what the function is called with, where that is not the inputs in their order (a callable Q made from coefficients).
    """

    inputs: dict[str, Input]
    outputs: dict[str, str | Input]
    sizes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    library: str = "torch"
    tensor_only: str = ""
    gradients: tuple[str, ...] = ()
    fresh: str = ""
    valid: Callable[[Inputs], bool] = lambda inputs: True
    arguments: Callable[[dict[str, Any]], tuple] | None = None

    def __post_init__(self) -> None:
        counts = {name for name, each in self.inputs.items() if each.kind == "count"}
        for name in (*self.inputs, *self.outputs):
            unknown = [axis for axis in self.axes_of(name) if not axis.isdigit() and _base(axis) not in counts | set(self.sizes)]
            if unknown:
                raise ValueError(f"{name}: the axis {unknown[0]!r} has no size; add it to sizes, such as sizes={{{_base(unknown[0])!r}: (1, 3, 5)}}.")
        missing = [name for name in self.gradients if name not in self.inputs]
        if missing or self.library not in ("torch", "numpy"):
            raise ValueError(f"gradients: {missing} are no inputs." if missing else f"library is 'torch' or 'numpy', not {self.library!r}.")

    # ---- axes and sizes ----

    def axes_of(self, name: str) -> tuple[str, ...]:
        """The axes of an input or an output."""
        if name in self.inputs:
            return self.inputs[name].axes
        declared = self.outputs[name]
        return _axes(declared) if isinstance(declared, str) else declared.axes

    def sizes_of(self, inputs: Inputs) -> dict[str, int]:
        """The size of each named axis in these inputs."""
        found = {name: int(inputs[name]) for name, each in self.inputs.items() if each.kind == "count"}
        for name, each in self.inputs.items():
            for axis, length in zip(each.axes, inputs[name].shape):
                if not axis.isdigit():
                    found[_base(axis)] = length - _more(axis)
        return found

    def shape(self, name: str, sizes: dict[str, int]) -> tuple[int, ...]:
        """The shape of an input or output, given the sizes of the axes."""
        return tuple(int(axis) if axis.isdigit() else sizes[_base(axis)] + _more(axis) for axis in self.axes_of(name))

    def shapes(self, inputs: Inputs) -> dict[str, tuple[int, ...]]:
        """The shapes of the outputs for these inputs."""
        sizes = self.sizes_of(inputs)
        return {name: self.shape(name, sizes) for name in self.outputs}

    def cut(self, inputs: Inputs, axis: str, start: int, size: int) -> Inputs:
        """The same inputs with one axis, wherever it occurs, cut to start:start+size. Distributions are scaled to sum to one again."""
        found = {}
        for name, array in inputs.items():
            declared = self.inputs[name]
            if declared.kind == "count" and name == axis:
                array = np.full_like(array, size)
            for place, each in enumerate(declared.axes):
                if not each.isdigit() and _base(each) == axis:
                    array = array[(slice(None),) * place + (slice(start, start + size + _more(each)),)]
            if declared.below == axis:
                array = np.clip(array - start, 0, size - 1)
            cut = array.shape != inputs[name].shape
            found[name] = drawing.normalised(array) if declared.kind == "simplex" and cut else np.array(array)
        return found

    def unit(self, inputs: Inputs) -> float:
        """The scale below which a difference is rounding: 1, or less where all `scaled` inputs are small."""
        scaled = [np.abs(inputs[name]).max(initial=0.0) for name, each in self.inputs.items() if each.scaled]
        return float(min(1.0, max(scaled))) or 1.0 if scaled else 1.0

    # ---- cases, words ----

    def draw(self, rng: np.random.Generator, dtype: str = "float64", **fixed: Any) -> Inputs:
        """Inputs at random. fixed: sizes of axes (else the largest) and values of inputs (broadcast to their shape)."""
        return drawing.draw(self, rng, dtype, fixed)

    def cases(self, rng: np.random.Generator) -> list[Case]:
        """All sizes in both dtypes ("ordinary"); special values and masks at every position ("edge"); large and tiny numbers ("magnitude")."""
        return drawing.sizes(self, rng) + drawing.scalar_edges(self, rng) + drawing.mask_edges(self, rng) + drawing.magnitudes(self, rng)

    def describe(self, inputs: Inputs) -> str:
        """The inputs in words, with numbers where they are few."""
        return given.words(self, inputs)

    def call(self, function: str, inputs: Inputs) -> str:
        """A call with these inputs that a student can paste, or "" where they are many or not plain arrays."""
        return "" if self.arguments else given.call(self, function, inputs)

    # ---- calling the student's function ----

    def adapter(self, f: Callable) -> Callable[..., Answer]:
        """The student's function as arrays -> arrays."""

        def answer(**inputs: np.ndarray) -> Answer:
            arguments = self._arguments({name: given.as_argument(self, name, array) for name, array in inputs.items()})
            value = f(*arguments)
            if self.fresh:
                _require_fresh(value, arguments, self.fresh)
            found = self._received(value, self.shapes(inputs))
            return found | self._gradients(f, inputs) if self.gradients else found

        return answer

    def _arguments(self, named: dict[str, Any]) -> tuple:
        return tuple(self.arguments(named)) if self.arguments else tuple(named.values())

    def _received(self, value: Any, shapes: dict[str, tuple[int, ...]]) -> Answer:
        if len(self.outputs) == 1:
            (name,) = self.outputs
            return {name: self._one(name, value, shapes[name], "")}
        if not isinstance(value, tuple | list) or len(value) != len(self.outputs):
            if value is None or value is Ellipsis:
                to_array(value)  # has sentences for both
            got = f"{len(value)} values" if isinstance(value, tuple | list) else f"one {type(value).__name__}"
            order = f"Return ({', '.join(self.outputs)}), in this order."
            raise Slip("type", f"Your function returned {got}; {len(self.outputs)} are expected.", order)
        return {name: self._one(name, each, shapes[name], f" as `{name}`") for name, each in zip(self.outputs, value)}

    def _one(self, name: str, value: Any, shape: tuple[int, ...], role: str) -> np.ndarray:
        declared = self.outputs[name]
        kind = "array" if isinstance(declared, str) else declared.kind
        return to_array(value, tensor_only=self.tensor_only, kind=kind, shape=shape, role=role)

    def _gradients(self, f: Callable, inputs: Inputs) -> Answer:
        named = {name: given.as_argument(self, name, array) for name, array in inputs.items()}
        leaves = [named[name].requires_grad_(True) for name in self.gradients]
        value = f(*self._arguments(named))
        first = value[0] if isinstance(value, tuple | list) else value
        return dict(zip((f"grad_{name}" for name in self.gradients), given.gradients(first, leaves)))


def _base(axis: str) -> str:
    return axis.partition("+")[0]


def _more(axis: str) -> int:
    return int(axis.partition("+")[2] or 0)


def _require_fresh(value: Any, arguments: tuple, why: str) -> None:
    for each in value if isinstance(value, tuple | list) else (value,):
        if any(given.share_memory(each, argument) for argument in arguments):
            raise Slip("alias", "Your function returned an input itself, or a view of its memory: a change to one would change the other.",
                       f"Return a copy (.clone() or .copy()): {why}")
