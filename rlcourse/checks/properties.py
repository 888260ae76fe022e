"""Properties: what a right answer must satisfy, whatever way it is written. A Property holds a test; the functions below make the usual ones.

A maker hides nothing: the writer gives the right answer as code (a loop, a closed form, an enumeration), and it is independent of the reference.
Every maker takes the exercise's `Interface` first, then id, says, cause and tag as Property has them, and by keyword `kinds` (of cases; () is all),
`output` (its name; else the first) and `tol` (else by dtype). Right answers are computed in float64 from the inputs as they are, float32 ones too.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlcourse.checks.compare import close, tolerance

Inputs = dict[str, np.ndarray]
Answer = dict[str, np.ndarray]
Ask = Callable[[Inputs], Answer]


@dataclass(frozen=True)
class Case:
    """One set of inputs. kind: which properties look at it."""

    kind: str
    inputs: Inputs


@dataclass(frozen=True)
class Breach:
    """A property that does not hold for an answer: the inputs (or words for them), what was expected, what came."""

    given: Inputs | str
    expected: str
    got: str


@dataclass(frozen=True)
class Property:
    """Something a right answer must satisfy, whatever way it is written.

    says: completes "it was verified that ...". cause: the likely cause when it breaks. kinds: the kinds of case it looks at; () is all of them.
    test(inputs, answer, ask) -> Breach or None; ask(inputs) calls the student's function on other inputs.
    simple(inputs) yields inputs from the simplest on, on which a breach can be followed by hand; without it the failing case is shrunk (`shrink`).
    looks: how many cases it may look at, where a false-alarm rate depends on it.
    """

    id: str
    says: str
    cause: str
    tag: str
    kinds: tuple[str, ...]
    test: Callable[[Inputs, Answer, Ask], Breach | None]
    simple: Callable[[Inputs], Iterable[Inputs]] | None = None
    looks: int | None = None

    def of(self, cases: Iterable[Case]) -> list[Case]:
        """The cases that it looks at."""
        return [case for case in cases if not self.kinds or case.kind in self.kinds]


def number(value: Any, digits: int = 6) -> str:
    """A number, or a short list of them, with six digits, for a person to read. What is below 1e-10 is rounding and reads 0.

    Of two axes and more those of length 1 are left out: (T, 1) reads like (T,).
    """
    values = np.asarray(value, dtype=np.float64)
    values = values.squeeze() if values.ndim > 1 else values
    if values.ndim == 0:
        return "0" if abs(values) < 1e-10 else f"{float(values):.{digits}g}"
    shown = ", ".join(number(v, digits) for v in values[:6])
    return f"({shown}{', ...' if len(values) > 6 else ''})"


def exact(inputs: Inputs) -> dict[str, Any]:
    """Inputs for an oracle: float arrays in float64; what has no axes as a Python number; masks and integers as they are."""
    wide = {name: array.astype(np.float64) if array.dtype.kind == "f" else array for name, array in inputs.items()}
    return {name: array.item() if array.ndim == 0 else array for name, array in wide.items()}


def compared(inputs: Inputs, got: np.ndarray, right: Any, tol: float | None = None, unit: float = 1.0, given: Inputs | None = None) -> Breach | None:
    """None if `got` equals `right`, entry by entry: |got - right| <= tol (unit + max |right|). Nothing is broadcast.

    inputs: the tolerance is that of the coarsest float among them and `got`. given: the inputs to show, if they are others.
    """
    right = np.asarray(right, dtype=np.float64)
    tol = tolerance(*inputs.values(), got) if tol is None else max(tol, tolerance(*inputs.values(), got))
    if close(got, right, tol, unit):
        return None
    given = inputs if given is None else given
    if got.shape != right.shape:
        return Breach(given, f"the shape {right.shape}", f"{got.shape}")
    return Breach(given, *_shown(got, right))


def _shown(got: np.ndarray, right: np.ndarray) -> tuple[str, str]:
    """(expected, got): the arrays where they are small, else the worst entry; with so many digits that they differ."""
    worst = np.unravel_index(np.argmax(np.abs(np.nan_to_num(got.astype(np.float64), nan=np.inf) - right)), right.shape)
    digits = 6 if number(right[worst]) != number(got[worst]) else 12
    if right.size == 1:
        return number(right.item(), digits), number(got.item(), digits)
    if right.size <= 6:
        return number(right, digits), number(got, digits)
    return f"{number(right[worst], digits)} at [{', '.join(map(str, worst))}]", number(got[worst], digits)


def _main(io: Any, output: str) -> str:
    return output or next(iter(io.outputs))


def equals(io: Any, id: str, says: str, cause: str, tag: str, oracle: Callable[..., Any], *, kinds: tuple[str, ...] = (), output: str = "",
           tol: float | None = None) -> Property:
    """The answer equals oracle(**inputs): a loop, a closed form, an enumeration. An oracle that returns {output: array} is compared by name."""

    def test(inputs: Inputs, answer: Answer, ask: Ask) -> Breach | None:
        right = oracle(**exact(inputs))
        named = right if isinstance(right, dict) else {_main(io, output): right}
        for name, values in named.items():
            breach = compared(inputs, answer[name], values, tol, io.unit(inputs))
            if breach:
                return Breach(breach.given, breach.expected, f"{breach.got} (this is {name})") if len(named) > 1 else breach
        return None

    return Property(id, says, cause, tag, kinds, test)


def limit(io: Any, id: str, says: str, cause: str, tag: str, at: dict[str, Any], right: Callable[..., Any], *, kinds: tuple[str, ...] = (),
          output: str = "", tol: float | None = None) -> Property:
    """With these inputs set to these values (lam = 0, T large) the answer equals right(**inputs)."""

    def test(inputs: Inputs, answer: Answer, ask: Ask) -> Breach | None:
        there = inputs | {name: np.full_like(inputs[name], value) for name, value in at.items()}
        return compared(there, ask(there)[_main(io, output)], right(**exact(there)), tol, io.unit(there))

    return Property(id, says, cause, tag, kinds, test)


def linear(io: Any, id: str, says: str, cause: str, tag: str, *names: str, affine: bool = False, kinds: tuple[str, ...] = (), output: str = "",
           tol: float | None = None) -> Property:
    """Linear in these inputs together: f(2x) = 2 f(x) and f(2x - y/2) = 2 f(x) - f(y)/2, where y is x back to front. affine: f(2x - y) alone."""
    parts = [(2.0, -1.0)] if affine else [(2.0, 0.0), (2.0, -0.5)]

    def test(inputs: Inputs, answer: Answer, ask: Ask) -> Breach | None:
        turned = {name: inputs[name].ravel()[::-1].reshape(inputs[name].shape).copy() for name in names}
        first, other = (each[_main(io, output)].astype(np.float64) for each in (answer, ask(inputs | turned)))
        for a, b in parts:
            mixed = inputs | {name: (a * inputs[name] + b * turned[name]).astype(inputs[name].dtype) for name in names}
            breach = compared(mixed, ask(mixed)[_main(io, output)], a * first + b * other, tol, io.unit(inputs))
            if breach:
                own = f"your answers to {' and '.join(names)} in two parts" if b else f"twice your answer for half of {' and '.join(names)}"
                return Breach(mixed, f"{breach.expected} from {own}", breach.got)
        return None

    return Property(id, says, cause, tag, kinds, test)


def alone(io: Any, id: str, says: str, cause: str, tag: str, axis: str, *, kinds: tuple[str, ...] = (), output: str = "",
          tol: float | None = None) -> Property:
    """Independence: entry k along an axis that inputs and answer share is the answer for entry k alone."""

    def test(inputs: Inputs, answer: Answer, ask: Ask) -> Breach | None:
        got, place = answer[_main(io, output)], io.axes_of(_main(io, output)).index(axis)
        each = [ask(io.cut(inputs, axis, k, 1))[_main(io, output)] for k in range(io.sizes_of(inputs)[axis])]
        breach = compared(inputs, got, np.concatenate(each, axis=place), tol, io.unit(inputs))
        return breach and Breach(inputs, f"{breach.expected} from your answers along {axis} one by one", breach.got)

    return Property(id, says, cause, tag, kinds, test)


def slopes(io: Any, id: str, says: str, cause: str, tag: str, objective: Callable[..., float], to: str, *, step: float = 1e-3,
           kinds: tuple[str, ...] = (), output: str = "", tol: float = 1e-6) -> Property:
    """The answer is the gradient of objective(**inputs) to input `to`: five-point differences, entry by entry, in float64.

    Limits: the error of the differences is step^4/30 times a fifth derivative, and 1e-16/step; keep tol above both.
    """

    def test(inputs: Inputs, answer: Answer, ask: Ask) -> Breach | None:
        given = exact(inputs)
        at = np.asarray(given[to], dtype=np.float64)

        def moved(k: int, h: float) -> float:
            there = at.copy()
            there.reshape(-1)[k] += h
            return float(objective(**given | {to: there if at.ndim else there.item()}))

        right = [(8 * (moved(k, step) - moved(k, -step)) - moved(k, 2 * step) + moved(k, -2 * step)) / (12 * step) for k in range(at.size)]
        return compared(inputs, answer[_main(io, output)], np.reshape(right, at.shape), tol, io.unit(inputs))

    return Property(id, says, cause, tag, kinds, test)
