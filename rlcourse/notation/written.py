"""Arithmetic that stays as it is written: 2 (log 2 − u − softplus(−2u)) is not multiplied out, μ + σε is not re-ordered.

sympy tidies every sum and product the moment it is built. A derivation lives from *not* tidying: two lines that are equal
must still look different. So the nodes here are sympy's own `Add`, `Mul`, `Pow` and functions, built without evaluation and
printed in the order in which the author typed them. One method per node, `_write(pen)`, serves both pens (pens.py).
"""

import sympy as sp
from sympy.core.function import AppliedUndef

from rlcourse.notation.pens import LatexPen, Writes


class AsWritten(Writes):
    """Operators that build without evaluating. `_op_priority` makes sympy's own nodes defer to these when both meet."""

    __slots__ = ()
    _op_priority = 20.0

    def __add__(self, other: object) -> "AsWritten":
        return WrittenAdd(*_terms(self), *_terms(other))

    def __radd__(self, other: object) -> "AsWritten":
        return WrittenAdd(*_terms(other), *_terms(self))

    def __sub__(self, other: object) -> "AsWritten":
        return WrittenAdd(*_terms(self), -as_written(other))

    def __rsub__(self, other: object) -> "AsWritten":
        return WrittenAdd(*_terms(other), -self)

    def __mul__(self, other: object) -> "AsWritten":
        return WrittenMul(*_factors(self), *_factors(other))

    def __rmul__(self, other: object) -> "AsWritten":
        return WrittenMul(*_factors(other), *_factors(self))

    def __truediv__(self, other: object) -> "AsWritten":
        return WrittenMul(*_factors(self), WrittenPow(other, -1))

    def __rtruediv__(self, other: object) -> "AsWritten":
        return WrittenMul(*_factors(other), WrittenPow(self, -1))

    def __pow__(self, other: object, mod: None = None) -> "AsWritten":
        return WrittenPow(self, other)

    def __rpow__(self, other: object) -> "AsWritten":
        return WrittenPow(other, self)

    def __neg__(self) -> "AsWritten":
        return WrittenMul(-1, *_factors(self))

    def __pos__(self) -> "AsWritten":
        return self


def as_written(value: object) -> sp.Expr:
    """A number or expression as an expression that keeps the form in which it was typed."""
    return sp.sympify(value)


def _terms(value: object) -> tuple[sp.Expr, ...]:
    value = as_written(value)
    return value.args if isinstance(value, WrittenAdd) else (value,)


def _factors(value: object) -> tuple[sp.Expr, ...]:
    """A product is opened up, a fraction stays one factor: Q · ((a−μ)/σ²) keeps its fraction."""
    value = as_written(value)
    if isinstance(value, WrittenMul) and not any(_is_reciprocal(f) for f in value.args) and value.args[0] != -1:
        return value.args
    return (value,)


def _is_reciprocal(value: sp.Basic) -> bool:
    return isinstance(value, sp.Pow) and value.exp == -1


class WrittenAdd(AsWritten, sp.Add):
    """A sum in the typed order."""

    def __new__(cls, *terms: object) -> "WrittenAdd":
        obj = sp.Expr.__new__(cls, *map(as_written, terms))
        obj.is_commutative = True
        return obj

    def _write(self, pen: LatexPen) -> str:
        line = pen.of(self.args[0])
        for term in self.args[1:]:
            piece = pen.bracket(pen.of(term)) if isinstance(term, sp.Add) else pen.of(term)
            line += f" - {piece[1:].lstrip()}" if piece.startswith("-") else f" + {piece}"
        return line


class WrittenMul(AsWritten, sp.Mul):
    """A product in the typed order; what was divided by goes below the line."""

    def __new__(cls, *factors: object) -> "WrittenMul":
        obj = sp.Expr.__new__(cls, *map(as_written, factors))
        obj.is_commutative = True
        return obj

    def _write(self, pen: LatexPen) -> str:
        factors = list(self.args)
        minus = "-" if factors[0] == -1 and len(factors) > 1 else ""
        factors = factors[1:] if minus else factors
        below = [f.base for f in factors if _is_reciprocal(f)]
        above = [f for f in factors if not _is_reciprocal(f)] or [sp.S.One]
        if below and len(above) > 1 and above[0] == 1:
            above = above[1:]
        line = _product(above, pen)
        return minus + (pen.frac(line if above[1:] else pen.of(above[0]), _product(below, pen, alone=True)) if below else line)


def _product(factors: list[sp.Expr], pen: LatexPen, alone: bool = False) -> str:
    if len(factors) == 1 and alone:
        return pen.of(factors[0])
    line = _factor(factors[0], pen, first=True, last=len(factors) == 1)
    for i, factor in enumerate(factors[1:], start=2):
        piece = _factor(factor, pen, first=False, last=i == len(factors))
        line += pen.sign("dot" if piece[0].isdigit() else "times") + piece
    return line


def _factor(node: sp.Expr, pen: LatexPen, first: bool, last: bool) -> str:
    piece = pen.of(node)
    opens = getattr(node, "_reaches_right", False) and not last
    if isinstance(node, sp.Add) or opens or (piece.startswith("-") and not first):
        return pen.bracket(piece)
    return piece


class WrittenPow(AsWritten, sp.Pow):
    """A power; exponent −1 is a division, exponent 1/2 a root."""

    def __new__(cls, base: object, exponent: object) -> "WrittenPow":
        obj = sp.Expr.__new__(cls, as_written(base), as_written(exponent))
        obj.is_commutative = True
        return obj

    def _write(self, pen: LatexPen) -> str:
        if self.exp == -1:
            return pen.frac("1", pen.of(self.base))
        if self.exp == sp.S.Half:
            return pen.root(pen.of(self.base))
        base, exponent = pen.of(self.base), pen.of(self.exp)
        if isinstance(self.base, WrittenFunction):
            return self.base._write(pen, exponent)
        closed = (self.base.is_Atom and not base.startswith("-")) or isinstance(self.base, AppliedUndef)
        return pen.power(base if closed else pen.bracket(base), exponent)


class WrittenFunction(AsWritten, sp.Function):
    """A named function of one argument that is not evaluated when it is built: tanh(atanh(x)) stays."""

    plain = None        # the same function in sympy's own words, for the symbolic mode

    def __new__(cls, argument: object) -> "WrittenFunction":
        return sp.Function.__new__(cls, as_written(argument), evaluate=False)

    def _write(self, pen: LatexPen, exponent: str | None = None) -> str:
        head = pen.sign("Phi") if type(self).__name__ == "Phi" else pen.word(type(self).__name__)
        return (pen.power(head, exponent) if exponent else head) + pen.bracket(pen.of(self.args[0]))


class log(WrittenFunction):
    """The natural logarithm, as written."""

    plain = staticmethod(sp.log)

    def _write(self, pen: LatexPen, exponent: str | None = None) -> str:
        if exponent or not getattr(self.args[0], "_closed", False):
            return super()._write(pen, exponent)
        return pen.word("log") + " " + pen.of(self.args[0])


class exp(WrittenFunction):
    """The exponential function, printed e^x, as written."""

    plain = staticmethod(sp.exp)

    def _write(self, pen: LatexPen, exponent: str | None = None) -> str:
        inside = pen.of(self.args[0])
        return super()._write(pen, exponent) if exponent or "\\frac" in inside else pen.power("e", inside)     # no fractions in small print


class tanh(WrittenFunction):
    """The hyperbolic tangent, as written."""

    plain = staticmethod(sp.tanh)


class atanh(WrittenFunction):
    """The inverse of tanh, on (−1, 1), as written."""

    plain = staticmethod(sp.atanh)


class sin(WrittenFunction):
    """The sine, as written."""

    plain = staticmethod(sp.sin)


class cos(WrittenFunction):
    """The cosine, as written."""

    plain = staticmethod(sp.cos)


class softplus(WrittenFunction):
    """softplus(z) = log(1 + e^z)."""

    plain = staticmethod(lambda z: sp.log(1 + sp.exp(z)))


class Phi(WrittenFunction):
    """Φ(z), the cumulative distribution function of the standard normal."""

    plain = staticmethod(lambda z: (1 + sp.erf(z / sp.sqrt(2))) / 2)


class Abs(WrittenFunction):
    """The absolute value |x|, as written."""

    plain = staticmethod(sp.Abs)

    def _write(self, pen: LatexPen, exponent: str | None = None) -> str:
        inside = pen.bracket(pen.of(self.args[0]), "|", "|")
        return pen.power(inside, exponent) if exponent else inside


def sqrt(value: object) -> WrittenPow:
    """√value, as written."""
    return WrittenPow(value, sp.S.Half)
