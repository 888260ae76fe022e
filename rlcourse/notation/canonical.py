"""Are two expressions the same but for order, brackets or expanding? Two answers: by a key, and by sympy's own arithmetic."""

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

import sympy as sp

from rlcourse.notation.written import WrittenAdd, WrittenMul, WrittenPow


@lru_cache(maxsize=200_000)
def canonical(expr: sp.Basic) -> object:
    """A key that is equal for expressions which differ only in order and brackets of sums and products."""
    if isinstance(expr, sp.Add):
        return "+", frozenset(Counter(_flat(expr, sp.Add)).items())
    if isinstance(expr, sp.Mul):
        keys = Counter(_flat(expr, sp.Mul))
        minus = sp.S.NegativeOne if keys.pop(sp.S.NegativeOne, 0) % 2 else None
        keys.pop(sp.S.One, None)
        keys.update([minus] if minus is not None else [])
        return next(iter(keys)) if sum(keys.values()) == 1 else ("*", frozenset(keys.items()))
    if isinstance(expr, sp.Pow):
        return expr.base if expr.base == 1 else ("^", canonical(expr.base), canonical(expr.exp))
    return (expr.func, *map(canonical, expr.args)) if expr.args else expr


def _flat(expr: sp.Expr, kind: type) -> Iterator[object]:
    for arg in expr.args:
        if isinstance(arg, kind):
            yield from _flat(arg, kind)
        elif kind is sp.Mul and arg.is_Integer and arg < -1:
            yield from (sp.S.NegativeOne, -arg)
        else:
            yield canonical(arg)


def expands_to(left: sp.Basic, right: sp.Basic) -> bool:
    """True if sympy's own arithmetic and `expand` (which reaches below every operator) make the two the same."""
    try:
        return sp.expand(sp.Add(_tidy(left), sp.Mul(-1, _tidy(right)))) == 0
    except (TypeError, ValueError, AttributeError, RecursionError):
        return False


def _tidy(expr: sp.Basic) -> sp.Basic:
    """The expression with sympy's sums, products and powers in place of those that stay as written."""
    if not expr.args:
        return expr
    kind = {WrittenAdd: sp.Add, WrittenMul: sp.Mul, WrittenPow: sp.Pow}.get(type(expr))
    args = [_tidy(a) for a in expr.args]
    if kind:
        return kind(*args)
    try:
        return expr.func(*args)
    except (TypeError, ValueError, AttributeError, RecursionError):
        return expr
