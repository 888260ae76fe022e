"""The rational mode: the smallest decision processes with fractions for numbers, so that two sides of an equation are equal and not merely close.

Policies move on a straight line, π_θ(a|s) = base + θ · direction, because a softmax of fractions is no fraction. Derivatives are sympy's; logarithms
and exponentials of fractions stay what they are, and sympy decides whether the difference of the two sides is 0.
"""

import functools

import numpy as np
import sympy as sp

from rlcourse.notation.evaluate import Definitions, Walk
from rlcourse.notation.mdp_worlds import FiniteWorld


def fraction(x: object) -> sp.Rational:
    """A number with at most four decimals, as a fraction."""
    return sp.Rational(round(float(x) * 10_000), 10_000)


exactly = np.frompyfunc(fraction, 1, 1)


class Line:
    """π_θ(a | s) = base[s, a] + θ direction[s, a], in fractions; rows of `direction` add up to 0."""

    kinks, derivative = (), None

    def __init__(self, base: np.ndarray, direction: np.ndarray) -> None:
        self.base, self.direction = base, direction

    def __call__(self, theta: np.ndarray, *indices: np.ndarray) -> np.ndarray:
        *times, a, s = np.broadcast_arrays(*(np.asarray(i).astype(int) for i in indices))
        return self.base[(*times, s, a)] + theta * self.direction[(*times, s, a)]

    def says(self, *names: str) -> str:
        return f"{self.base.tolist()} + {names[0]}·{self.direction.tolist()}"


class RationalWorld(FiniteWorld):
    """A finite world in which every number is a fraction: two states, two actions, two steps."""

    instances = "MDPs of fractions"

    def __init__(self, index: int = 0, seed: int = 0, **given: object) -> None:
        super().__init__(index, seed, **{"T": 2, "P": self._fractions(index, seed), "p0": np.array([sp.Rational(3, 5), sp.Rational(2, 5)])} | given)

    def _fractions(self, index: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng([seed, index, 7])
        counts = rng.integers(0 if index else 1, 4, (2, 2, 2)) + np.eye(2, dtype=int)[rng.integers(2, size=(2, 2))]
        return np.array([[[sp.Rational(int(n), int(row.sum())) for n in row] for row in rows] for rows in counts])

    def value(self, symbol: sp.Symbol) -> object:
        drawn = super().value(symbol)
        if isinstance(drawn, int) or isinstance(self.given.get(symbol.name), float):
            return drawn if isinstance(drawn, int) else fraction(drawn)
        if symbol.is_positive:                                             # few exponents: e^(r/α) is then a power of √e
            return sp.Rational(1, 2) if drawn < 0.8 else sp.Integer(1)
        return fraction(round(drawn, 1))

    def rewards(self, name: str = "r", high: float | None = None) -> np.ndarray:
        return exactly(np.round(super().rewards(name, high)))

    def function(self, f: type) -> object:
        made = super().function(f)
        if hasattr(made, "array"):
            made.array = made.array if made.array.dtype == object else exactly(made.array)
        return made

    def policy(self, f: type) -> object:
        drawn = super().policy(f)
        if hasattr(drawn, "array"):                                        # no parameter: a table, made to add up to 1 exactly
            table = exactly(np.round(drawn.array, 2))
            table[..., -1, :] = 1 - table[..., :-1, :].sum(-2)
            drawn.array = table
            return drawn
        first = exactly(np.round(0.5 + 0.2 * drawn.base[..., 0], 2))
        move = exactly(np.round(0.05 * drawn.direction[..., 0] + 0.06, 2))
        return Line(np.stack([first, 1 - first], -1), np.stack([move, -move], -1))


class ExactWalk(Walk):
    """An evaluation with sympy numbers in numpy arrays of objects."""

    dtype = object
    functions = {name: np.frompyfunc(f, 1, 1) for name, f in {"log": sp.log, "exp": sp.exp, "sqrt": sp.sqrt, "Abs": sp.Abs}.items()}  # noqa: RUF012

    def number(self, constant: object) -> object:
        return sp.sympify(constant)

    def slope(self, at: np.ndarray, f: object) -> np.ndarray:
        z = sp.Dummy("z", real=True)
        return np.frompyfunc(lambda y, x: sp.diff(y, z).subs(z, x), 2, 1)(f(np.asarray(z, dtype=object), self), at)


def evaluate_exact(expr: sp.Basic, world: RationalWorld, definitions: Definitions | None = None) -> sp.Expr:
    """The exact value of `expr` in a world of fractions."""
    return sp.sympify(ExactWalk(world, definitions or {})(sp.sympify(expr)).item())


def vanishes(difference: sp.Expr) -> bool | None:
    """Is this number 0? True and False are proofs; None means that sympy cannot tell.

    Powers of e are one transcendental x = e^(1/L), so a rational function of them is 0 only if it cancels to 0; logarithms are taken apart first.
    """
    if abs(sp.N(difference, 30)) > sp.Rational(1, 10**20):
        return False
    exponents = [sp.Rational(n.args[0]) for n in difference.atoms(sp.exp) if n.args]
    x, common = sp.Symbol("x", positive=True), sp.ilcm(1, 1, *(e.q for e in exponents))
    rational = difference.replace(lambda n: isinstance(n, sp.exp) and n.args, lambda n: x ** (n.args[0] * common)).subs(sp.E, x**common)
    factored = rational.replace(lambda n: isinstance(n, sp.log), lambda n: sp.log(sp.factor(n.args[0])))
    apart = sp.expand_log(factored, force=True, factor=True).subs(sp.log(x), sp.Rational(1, common))
    return True if sp.expand(apart) == 0 or sp.cancel(apart) == 0 else None


def equal_exactly(left: sp.Basic, right: sp.Basic, world: RationalWorld, definitions: Definitions | None = None) -> bool | None:
    """Are the two sides one number? None: sympy cannot tell."""
    return vanishes(evaluate_exact(left, world, definitions) - evaluate_exact(right, world, definitions))


@functools.cache
def rational_worlds(count: int = 3) -> tuple[RationalWorld, ...]:
    """Worlds of fractions, small enough for sympy."""
    return tuple(RationalWorld(index) for index in range(count))
