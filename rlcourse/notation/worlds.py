"""Worlds: what the symbols of an equation are worth. An equation is true if it holds in every world; one world is enough to refute it.

A *density world* gives a number to each variable and a concrete formula to each function; expectations are integrals.
The first worlds of every list are the simplest (round numbers, Q(a) = a²), so that a counterexample can be checked by hand.
The *symbolic* mode asks sympy instead of trying numbers. Other kinds of world need the same four methods as `DensityWorld`.
"""

import copy
import functools
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import sympy as sp
from sympy.core.function import AppliedUndef

from rlcourse.notation.expressions import D, Density, E, H, Integral, JacobianDet, P, Partial
from rlcourse.notation.pens import text

ROUND_REAL, ROUND_POSITIVE = (0.0, 1.0, -1.0), (1.0, 0.5, 1.5)


def _number(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")


@dataclass(frozen=True)
class Formula:
    """A concrete function with the sentence that describes it. `kinks`: where the value or the slope jumps (one-argument functions).

    `derivative` is needed only by functions with kinks; for smooth ones it is measured by central differences.
    """

    value: Callable[..., np.ndarray]
    says: Callable[..., str]                        # from the names of the arguments to the formula in words
    kinks: tuple[float, ...] = ()
    derivative: Callable[..., np.ndarray] | None = None

    def __call__(self, *args: np.ndarray) -> np.ndarray:
        return self.value(*args)


def jump(at: float) -> Formula:
    """1[a > at]: a step. Its derivative is 0 wherever it exists, which is why the pathwise gradient misses it."""
    return Formula(lambda a: (a > at) * 1.0, lambda a: f"1[{a} > {_number(at)}]", (at,), np.zeros_like)


def kink(at: float) -> Formula:
    """|a − at|: continuous, Lipschitz, with one corner."""
    return Formula(lambda a: np.abs(a - at), lambda a: f"|{a} − {_number(at)}|", (at,), lambda a: np.sign(a - at))


ROUND_FORMULAS = (
    Formula(np.square, lambda a: f"{_atom(a)}²"),
    Formula(np.sin, lambda a: f"sin({a})"),
    Formula(lambda a: a + a**3 / 4, lambda a: f"{a} + {_atom(a)}³/4"),
)


def _atom(name: str) -> str:
    return f"({name})" if " " in name or "·" in name else name


def random_formula(rng: np.random.Generator) -> Formula:
    """A mixture of a parabola, a sine and a tanh, with two-digit coefficients that can be printed in full."""
    c1, c2, s, w, p, t, k = np.round(rng.uniform([-1, -1, 0.3, 0.5, -3, 0.3, 0.5], [1, 1, 1.5, 2.5, 3, 1.5, 2.0]), 2)

    def says(a: str) -> str:
        a = _atom(a)
        wave, bend = f"sin({_number(w)}·{a} + {_number(p)})", f"tanh({_number(k)}·{a})"
        return f"{_number(c1)}·{a} + {_number(c2)}·{a}² + {_number(s)}·{wave} + {_number(t)}·{bend}".replace("+ −", "− ")

    return Formula(lambda a: c1 * a + c2 * a**2 + s * np.sin(w * a + p) + t * np.tanh(k * a), says)


def _mixed(one: Formula, weights: Sequence[float]) -> Formula:
    """A function of several arguments: the function of one, applied to their weighted sum."""
    if tuple(weights) == (1.0,):
        return one

    def says(*names: str) -> str:
        return one.says(" + ".join(n if w == 1 else f"{_number(w)}·{n}" for w, n in zip(weights, names, strict=True)).replace("+ −", "− "))

    return Formula(lambda *args: one.value(sum(w * a for w, a in zip(weights, args, strict=True))), says)


def _made_positive(f: Formula) -> Formula:
    """Values between 0.42 and 1.15: a standard deviation that is neither tiny nor huge."""
    return Formula(lambda *args: 0.7 * np.exp(0.5 * np.tanh(f.value(*args))), lambda *names: f"0.7·exp(½ tanh({f.says(*names)}))")


def _as_formula(name: str, value: Formula | Callable[..., np.ndarray]) -> Formula:
    return value if isinstance(value, Formula) else Formula(value, lambda *names: f"your {name}({', '.join(names)})")


def _as_given(given: dict[str, object]) -> dict[str, float | Formula]:
    """Numbers as floats, functions as formulas, tables as arrays."""
    tables = {name: np.asarray(value) for name, value in given.items() if not callable(value) and np.ndim(value)}
    return tables | {name: _as_formula(name, v) if callable(v) else float(v) for name, v in given.items() if name not in tables}


def _interval(symbol: sp.Symbol) -> tuple[float, float]:
    if hasattr(symbol, "low"):
        return symbol.low, symbol.high
    return (0.3, 1.5) if symbol.is_positive else (-2.0, 2.0)


def _round_values(symbol: sp.Symbol, low: float, high: float) -> tuple[float, ...]:
    if symbol.is_positive and low <= min(ROUND_POSITIVE) and max(ROUND_POSITIVE) <= high:
        return ROUND_POSITIVE
    if not symbol.is_positive and low < min(ROUND_REAL) and max(ROUND_REAL) < high:
        return ROUND_REAL
    return tuple(low + (high - low) * share for share in (0.5, 0.25, 0.75))


class DensityWorld:
    """One world of numbers and formulas. `DensityWorld(mu=0, Q=jump(0.3))` fixes some of them; the rest follow from `index`.

    index 0, 1, 2 are the round worlds; from 3 on everything is drawn by a generator of its own, seeded by (seed, index, name).
    """

    def __init__(self, index: int = 0, seed: int = 0, **given: float | Formula | Callable) -> None:
        self.index, self.seed, self.memo = index, seed, {}
        self.given = _as_given(given)
        self.redrawn: frozenset[str] = frozenset()
        self.copies: dict[object, DensityWorld] = {}

    def fixed(self, **given: float | Formula | Callable) -> "DensityWorld":
        """The same world with other values for some names: `world.fixed(alpha=0.01)`. Asked again, it is the same copy, with its memory."""
        key = tuple((name, given[name] if callable(given[name]) else np.asarray(given[name]).tobytes()) for name in sorted(given))
        return self._copy(key, given={**self.given, **_as_given(given)})

    def vary(self, name: str) -> "DensityWorld":
        """The same world in which only the variable or function `name` has been drawn anew."""
        return self._copy(name, given={n: v for n, v in self.given.items() if n != name}, redrawn=self.redrawn | {name})

    def _copy(self, key: object, **changed: object) -> "DensityWorld":
        if key not in self.copies:
            twin = copy.copy(self)
            twin.__dict__.update(changed, memo={}, copies={})
            self.copies[key] = twin
        return self.copies[key]

    def _generator(self, name: str) -> np.random.Generator:
        """The stream of one name, such as "mu" or "function Q"; a redrawn name has another."""
        again = [1] if name.split()[-1] in self.redrawn else []
        return np.random.default_rng([self.seed, self.index, zlib.crc32(name.encode()), *again])

    def value(self, symbol: sp.Symbol) -> float:
        """The number that a variable stands for, with at most two decimals so that it can be printed in full."""
        fixed = self.given.get(symbol.name)
        if isinstance(fixed, float):
            return fixed
        low, high = _interval(symbol)
        if self.index < 3 and symbol.name not in self.redrawn:
            shift = zlib.crc32(symbol.name.encode())
            return float(_round_values(symbol, low, high)[(self.index + shift) % 3])
        margin = 0.05 * (high - low)
        return float(np.round(self._generator(symbol.name).uniform(low + margin, high - margin), 2))

    def function(self, f: type) -> Formula:
        """The formula that an undefined function stands for."""
        fixed = self.given.get(f.__name__)
        if isinstance(fixed, Formula):
            return fixed
        count, simple = len(f.parameters) or 1, self.index < 3 and f.__name__ not in self.redrawn
        rng = self._generator("function " + f.__name__)
        weights = (1.0,) * count if simple or count == 1 else tuple(np.round(rng.uniform(0.4, 1.2, count) * rng.choice([-1, 1], count), 2))
        one = ROUND_FORMULAS[self.index] if simple else random_formula(rng)
        mixed = _mixed(one, weights)
        return _made_positive(mixed) if f(*f.parameters).is_positive else mixed

    def argument(self, symbol: sp.Symbol | type):
        """The value in the form in which the package's functions take it: a float64 tensor of shape (1,); a function as
        one that takes and returns such tensors."""
        import torch

        if isinstance(symbol, type):
            formula = self.function(symbol)
            return lambda *at: torch.as_tensor(np.asarray(formula(*(np.asarray(x, dtype=float) for x in at))))
        return torch.tensor([self.value(symbol)], dtype=torch.float64)

    def describe(self, symbols: Sequence[sp.Symbol], functions: Sequence[type]) -> str:
        """e.g. μ = 0, σ = 1, Q(a) = a²: everything needed to repeat the computation by hand."""
        parts = [f"{text(s)} = {_number(self.value(s))}" for s in symbols]
        for f in functions:
            names = [text(p) for p in f.parameters] or ["·"]
            head = text(sp.Symbol(f.__name__))
            parts.append(f"{head}({', '.join(names)}) = {self.function(f).says(*names)}")
        return ", ".join(parts) or "no free symbols"


@functools.cache
def density_worlds(count: int = 20, seed: int = 0) -> tuple[DensityWorld, ...]:
    """The three round worlds, then `count` random ones; the same list for every derivation of a session, so that values are computed once."""
    return tuple(DensityWorld(index, seed) for index in range(3 + count))


def symbolically_equal(left: sp.Expr, right: sp.Expr) -> bool:
    """True if sympy reduces the difference to 0. False means undecided, not different.

    A second road, when the first does not end: two functions with equal derivatives that agree at one point are equal.
    """
    difference = plain(left) - plain(right)
    if sp.expand(difference) == 0:
        return True
    if difference.has(AppliedUndef, sp.Derivative):
        return False
    if _reduces_to_zero(difference):
        return True
    symbols = sorted(difference.free_symbols, key=str)
    if not symbols or not all(_reduces_to_zero(sp.diff(difference, s)) for s in symbols):
        return False
    return _reduces_to_zero(difference.subs({s: 1 if s.is_positive else 0 for s in symbols}))


def _reduces_to_zero(expr: sp.Expr) -> bool:
    return sp.simplify(expr.rewrite(sp.exp)) == 0


def plain(expr: sp.Basic) -> sp.Basic:
    """The expression in sympy's own words, for the symbolic mode; E, P, H and unknown functions stay as they are."""
    if isinstance(expr, Density):
        return plain(expr.args[0].formula(expr.args[1]))
    if isinstance(expr, sp.Symbol):
        return sp.Symbol(expr.name, positive=True) if expr.is_positive else sp.Symbol(expr.name, real=True)
    if not expr.args or isinstance(expr, (E, P, H, Integral, Partial)):
        return expr
    args = [plain(a) for a in expr.args]
    if isinstance(expr, D):
        return sp.diff(args[1], args[0])
    if isinstance(expr, JacobianDet):
        return sp.Matrix(args[1]).jacobian(sp.Matrix(args[0])).det()
    rebuild = {"WrittenAdd": sp.Add, "WrittenMul": sp.Mul, "WrittenPow": sp.Pow}.get(type(expr).__name__)
    return (rebuild or getattr(expr, "plain", None) or expr.func)(*args)
