"""What an expression is worth in one world, in float64: a walk over the tree, independent of sympy's calculus.

Expectations and integrals are composite Gauss-Legendre sums, split where a function has a kink; derivatives are central differences
of order 8 of whatever stands under them. Both open a new leading axis (quadrature nodes, difference offsets), so that nested operators are
one vectorised computation. Accuracy on smooth functions: about 1e-13 for integrals, 1e-11 for a first derivative.
"""

import math
from collections.abc import Callable, Mapping
from functools import singledispatch

import numpy as np
import sympy as sp
from scipy import special
from sympy.core.function import AppliedUndef

from rlcourse.notation import expressions as ex
from rlcourse.notation.pens import text
from rlcourse.notation.tables import FRAME

STEP = 1 / 512                                                             # exact in binary; error ~ STEP⁸ and ~ 1e-16 / STEP
OFFSETS = np.array([-4, -3, -2, -1, 1, 2, 3, 4]) * STEP
SLOPES = np.array([1 / 280, -4 / 105, 1 / 5, -4 / 5, 4 / 5, -1 / 5, 4 / 105, -1 / 280]) / STEP
GAUSS_NODES, GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(16)
REACH = 9.0                                                                # standard deviations; the tail beyond holds 2e-19
PANELS = 24                                                                # of 0.75 standard deviations, 16 nodes each
EDGE = 16.0                                                                # tanh(16) = 1 − 2.5e-14: where an open interval ends
ELEMENTARY = {"log": np.log, "exp": np.exp, "tanh": np.tanh, "atanh": np.arctanh, "sin": np.sin, "cos": np.cos, "cosh": np.cosh, "Abs": np.abs,
              "softplus": lambda z: np.logaddexp(0.0, z), "Phi": special.ndtr, "erf": special.erf, "sign": np.sign, "sqrt": np.sqrt}

Definitions = Mapping[sp.Basic, tuple[tuple[sp.Symbol, ...], sp.Expr]]


class Walk:
    """The state of one evaluation: the world, the values of bound variables, and how many axes are open."""

    dtype, functions = float, ELEMENTARY

    def __init__(self, world: object, definitions: Definitions, bound: dict[sp.Symbol, np.ndarray] | None = None, axes: int = 0) -> None:
        self.world, self.definitions, self.bound, self.axes = world, definitions, bound or {}, axes

    def __call__(self, expr: sp.Basic) -> np.ndarray:
        return np.asarray(value(expr, self), dtype=self.dtype)

    def number(self, constant: object) -> np.ndarray:
        return np.float64(constant)

    def inside(self, values: dict[sp.Symbol, np.ndarray], new_axes: int = 0) -> "Walk":
        return type(self)(self.world, self.definitions, {**self.bound, **values}, self.axes + new_axes)

    def lead(self, column: np.ndarray) -> np.ndarray:
        """A one-dimensional array laid along a new leading axis."""
        return column.reshape(-1, *(1,) * self.axes)

    def trajectory(self, name: sp.Symbol) -> object:
        """The trajectory that an expectation or a sum calls by this name; outside of all of them one that the world has drawn."""
        return self.bound[name] if name in self.bound else self.world.trajectory(name.name)

    def padded(self, array: np.ndarray) -> np.ndarray:
        return array.reshape((1,) * (self.axes - array.ndim) + array.shape)


def evaluate(expr: sp.Basic, world: object, definitions: Definitions | None = None) -> float:
    """The number that `expr` is worth in `world` (remembered by the world, so that a chain evaluates each line once)."""
    key = (expr, tuple((definitions or {}).items()))
    if key not in world.memo:
        with np.errstate(all="ignore"):
            world.memo[key] = float(Walk(world, definitions or {})(sp.sympify(expr)))
    return world.memo[key]


@singledispatch
def value(expr: sp.Basic, walk: Walk) -> np.ndarray:
    """One case per kind of node; a new operator registers its own."""
    name = type(expr).__name__
    if name not in walk.functions:
        if expr.is_number:
            return walk.number(expr)
        raise TypeError(
            f"`{text(expr)}` is a {name}, and nothing here says what that is worth in a world. "
            "Write it with E, P, D, H, integral, det_jacobian, or one of the functions " + ", ".join(walk.functions) + "."
        )
    return walk.functions[name](walk(expr.args[0]))


@value.register(sp.Symbol)
def _symbol(expr: sp.Symbol, walk: Walk) -> np.ndarray:
    if expr in walk.bound:
        return walk.bound[expr]
    return walk(walk.definitions[expr][1]) if expr in walk.definitions else walk.number(walk.world.value(expr))


@value.register(sp.Add)
def _add(expr: sp.Add, walk: Walk) -> np.ndarray:
    return sum(walk(a) for a in expr.args)


@value.register(sp.Mul)
def _mul(expr: sp.Mul, walk: Walk) -> np.ndarray:
    return math.prod(walk(a) for a in expr.args)


@value.register(sp.Pow)
def _pow(expr: sp.Pow, walk: Walk) -> np.ndarray:
    if expr.exp == sp.S.Half:
        return walk.functions["sqrt"](walk(expr.base))
    return walk(expr.base) ** (int(expr.exp) if expr.exp.is_Integer and expr.exp > 0 else walk(expr.exp))


@value.register(AppliedUndef)
def _applied(expr: AppliedUndef, walk: Walk) -> np.ndarray:
    return _call(expr, [walk.trajectory(a) if getattr(a, "domain", None) == "path" else walk(a) for a in expr.args], walk)


def _call(applied: AppliedUndef, values: list[np.ndarray], walk: Walk) -> np.ndarray:
    if applied.func in walk.definitions:
        parameters, body = walk.definitions[applied.func]
        given = dict(zip(parameters, values, strict=True))
        frames = [x for p, x in given.items() if getattr(p, "domain", None) == "path"]                 # R(τ₁): the body speaks of τ₁
        return walk.inside(given | ({FRAME: frames[0]} if frames else {}))(body)
    return walk.world.function(applied.func)(*values)


@value.register(ex.Density)
def _density(expr: ex.Density, walk: Walk) -> np.ndarray:
    law, point = expr.args
    return _pdf(law, walk, walk(point))


def _pdf(law: ex.Distribution, walk: Walk, x: np.ndarray) -> np.ndarray:
    mu, sigma = walk(law.mu), walk(law.sigma)
    if isinstance(law, ex.TanhN):
        return np.exp(-(((np.arctanh(x) - mu) / sigma) ** 2) / 2) / (sigma * math.sqrt(2 * math.pi)) / (1 - x**2)
    return np.exp(-(((x - mu) / sigma) ** 2) / 2) / (sigma * math.sqrt(2 * math.pi))


def slope(at: np.ndarray, walk: Walk, f: Callable[[np.ndarray, Walk], np.ndarray]) -> np.ndarray:
    """d f / d at by central differences of order 8, along a new leading axis; in fractions by sympy."""
    if walk.dtype is object:
        return walk.slope(at, f)
    deeper = walk.inside({}, 1)
    result = f(walk.padded(at) + walk.lead(OFFSETS), deeper)
    if result.ndim < deeper.axes or result.shape[0] == 1:                  # does not depend on what was shifted
        return np.zeros(result.shape[1:] if result.ndim == deeper.axes else result.shape)
    return np.tensordot(SLOPES, result, 1)


@value.register(ex.D)
def _derivative(expr: ex.D, walk: Walk) -> np.ndarray:
    variable, body = expr.args
    return slope(walk(variable), walk, lambda shifted, deeper: deeper.inside({variable: shifted})(body))


@value.register(ex.Partial)
def _partial(expr: ex.Partial, walk: Walk) -> np.ndarray:
    applied, position = expr.args[0], int(expr.args[1])
    values = [walk(a) for a in applied.args]
    if applied.func not in walk.definitions and (exact := walk.world.function(applied.func).derivative):
        return exact(*values)
    return slope(values[position], walk, lambda shifted, deeper: _call(applied, [*values[:position], shifted, *values[position + 1 :]], deeper))


@value.register(ex.JacobianDet)
def _jacobian_det(expr: ex.JacobianDet, walk: Walk) -> np.ndarray:
    inputs, outputs = expr.args
    rows = [np.broadcast_arrays(*(walk(ex.D(u, out)) for u in inputs)) for out in outputs]
    shape = np.broadcast_shapes(*(r[0].shape for r in rows))
    matrix = np.stack([np.stack([np.broadcast_to(entry, shape) for entry in row], -1) for row in rows], -2)
    return np.linalg.det(matrix)


def _quadrature(walk: Walk, low: np.ndarray, high: np.ndarray, panels: int, breaks: list[Callable[[np.ndarray, Walk], np.ndarray]]) -> tuple:
    """Nodes and weights on [low, high], along a new leading axis: equal panels, each split where a `break` changes sign."""
    edges = walk.padded(low) + walk.padded(high - low) * walk.lead(np.linspace(0, 1, panels + 1))
    deeper = walk.inside({}, 1)
    cuts = [edges[:-1], *(_root(g, edges[:-1], edges[1:], deeper) for g in breaks), edges[1:]]
    grid = np.sort(np.stack(np.broadcast_arrays(*cuts)), axis=0)
    half, middle = np.diff(grid, axis=0)[None] / 2, ((grid[1:] + grid[:-1]) / 2)[None]
    column = (-1,) + (1,) * (half.ndim - 1)
    nodes, weights = middle + half * GAUSS_NODES.reshape(column), half * GAUSS_WEIGHTS.reshape(column)
    return nodes.reshape(-1, *nodes.shape[3:]), weights.reshape(-1, *weights.shape[3:])


def _root(g: Callable[[np.ndarray, Walk], np.ndarray], left: np.ndarray, right: np.ndarray, walk: Walk) -> np.ndarray:
    """Where g changes sign in each panel, by bisection; the panel's right end where it does not."""
    at_left, at_right = np.broadcast_arrays(np.sign(g(left, walk)), np.sign(g(right, walk)))
    a, b = np.broadcast_to(left, at_left.shape).copy(), np.broadcast_to(right, at_left.shape).copy()
    for _ in range(54):
        middle = (a + b) / 2
        same = np.sign(g(middle, walk)) == at_left
        a, b = np.where(same, middle, a), np.where(same, b, middle)
    return np.where(at_left * at_right < 0, b, np.broadcast_to(right, b.shape))


def _kinks(body: sp.Basic, variable: sp.Symbol, walk: Walk, into: Callable[[np.ndarray], np.ndarray]) -> list:
    """The places in the body where a function of the world, a minimum or a maximum has a kink, as functions that change sign there."""
    found = []
    for applied in sorted(body.atoms(AppliedUndef), key=str):
        if applied.func not in walk.definitions and variable in applied.free_symbols:
            found += [
                lambda v, inner, arg=applied.args[0], c=c: inner.inside({variable: into(v)})(arg) - c for c in walk.world.function(applied.func).kinks
            ]
    for either in sorted((n for n in body.atoms(ex.Operator) if type(n).__name__ in ("Min", "Larger") and variable in n.free_symbols), key=str):
        found += [lambda v, inner, pair=either.args: inner.inside({variable: into(v)})(pair[0]) - inner.inside({variable: into(v)})(pair[1])]
    return found


def _sum(walk: Walk, variable: sp.Symbol, law: ex.Distribution, body: Callable[[Walk], np.ndarray], breaks: Callable) -> np.ndarray:
    """∫ density(x) body(x) dx, for a law on the line, or on (−1, 1) through x = tanh(v)."""
    mu, sigma = walk(law.mu), walk(law.sigma)
    low, high = mu - REACH * sigma, mu + REACH * sigma
    squashed = isinstance(law, ex.TanhN)
    into = np.tanh if squashed else np.positive
    if squashed:
        low, high = np.clip(low, -EDGE, EDGE), np.clip(high, -EDGE, EDGE)
    v, weights = _quadrature(walk, low, high, PANELS, breaks(into))
    x, deeper = into(v), walk.inside({}, 1)
    stretch = 1 / np.cosh(v) ** 2 if squashed else 1.0
    return collect(weights * stretch * _pdf(law, deeper, x), body(deeper.inside({variable: x})), deeper.axes)


def collect(weights: np.ndarray, result: np.ndarray, axes: int) -> np.ndarray:
    """Σ weights · result over the leading axis, if there is one."""
    product = weights * result
    return product.sum(axis=0) if product.ndim == axes else product


@value.register(ex.E)
def _expectation(expr: ex.E, walk: Walk) -> np.ndarray:
    variable, law, body = expr.args
    return expectation(law, variable, body, walk)


@singledispatch
def expectation(law: sp.Basic, variable: sp.Symbol, body: sp.Basic, walk: Walk) -> np.ndarray:
    """E over a law: one case per kind of law. The densities are here, the laws of decision processes in finite.py."""
    raise TypeError(f"No expectation is known over `{text(law)}`, a {type(law).__name__}.")


@expectation.register(ex.Distribution)
def _over_density(law: ex.Distribution, variable: sp.Symbol, body: sp.Basic, walk: Walk) -> np.ndarray:
    return _sum(walk, variable, law, lambda inner: inner(body), lambda into: _kinks(body, variable, walk, into))


@value.register(ex.P)
def _probability(expr: ex.P, walk: Walk) -> np.ndarray:
    variable, law, event = expr.args

    def margin(inner: Walk) -> np.ndarray:
        return inner(event.gts) - inner(event.lts)

    def threshold(into: Callable) -> list:
        return [lambda v, inner: margin(inner.inside({variable: into(v)}))]

    return _sum(walk, variable, law, lambda inner: (margin(inner) >= 0) * 1.0, threshold)


@value.register(ex.H)
def _entropy(expr: ex.H, walk: Walk) -> np.ndarray:
    law, x = expr.args[0], sp.Dummy("x")
    if not isinstance(law, ex.Distribution):
        return walk(law.entropy())
    return _sum(walk, x, law, lambda inner: -np.log(_pdf(law, inner, inner(x))), lambda into: [])


@value.register(ex.Integral)
def _integral(expr: ex.Integral, walk: Walk) -> np.ndarray:
    variable, (low, high), body = expr.args
    low, high = walk(low), walk(high)
    middle, half = (high + low) / 2, (high - low) / 2
    v, weights = _quadrature(walk, np.float64(-EDGE), np.float64(EDGE), 48, _kinks(body, variable, walk, lambda v: middle + half * np.tanh(v)))
    deeper = walk.inside({variable: middle + half * np.tanh(v)}, 1)
    return collect(weights * half / np.cosh(v) ** 2, deeper(body), deeper.axes)
