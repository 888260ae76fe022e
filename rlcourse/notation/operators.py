"""Operators of decision processes: ∇_θ, sums and products over time or over a finite set, max, min, log-sum-exp, KL, probabilities of events.

Written in the order in which the LaTeX is read: Sum(t, 0, T - 1, r[t]) is Σ_{t=0}^{T-1} r_t, Sum(a, pi(a, s) * Q(s, a)) is Σ_a π(a|s) Q(s, a).
"""

import sympy as sp

from rlcourse.notation.expressions import D, Operator
from rlcourse.notation.laws import PathLaw, Policy
from rlcourse.notation.pens import LatexPen
from rlcourse.notation.written import log


class Grad(D):
    """∇_θ of everything in the body that depends on θ."""

    @property
    def _reaches_right(self) -> bool:
        body = self.args[1]
        return not (isinstance(body, log) and getattr(body.args[0], "_closed", False))     # ∇ log π(a|s) Q needs no brackets

    def _write(self, pen: LatexPen) -> str:
        variable, body = self.args
        inside = pen.of(body)
        return pen.sub(pen.sign("nabla"), pen.of(variable)) + pen.sign("times") + (pen.bracket(inside) if isinstance(body, sp.Add) else inside)


def grad(variable: sp.Symbol, body: object) -> Grad:
    """∇_θ body: the derivative along the direction in which the world moves θ; everything in the body that depends on θ is differentiated."""
    return Grad(variable, body)


class GradAt(Operator):
    """∇_a body |_{a = point}: only the named argument is differentiated, then the point is put in. grad_at(a, mu.Q(s, a), mu(s))."""

    bound = 1

    @property
    def free_symbols(self) -> set[sp.Symbol]:
        variable, body, point = self.args
        return (body.free_symbols - {variable}) | point.free_symbols

    def _write(self, pen: LatexPen) -> str:
        variable, body, point = self.args
        inside = pen.bracket(pen.of(body)) if isinstance(body, sp.Add) else pen.of(body)
        shown = pen.sub(pen.sign("nabla"), pen.of(variable)) + pen.sign("times") + inside
        return pen.at(shown, pen.of(variable) + pen.sign("eq") + pen.of(point))


def grad_at(variable: sp.Symbol, body: object, point: object) -> GradAt:
    """∇_a body at a = point: the derivative in the named argument alone."""
    return GradAt(variable, body, point)


class Over(Operator):
    """Sum, Prod, Max, LSE over time (variable, first, last, body) or over all values of a state, an action or a trajectory (variable, body)."""

    bound = 1
    _reaches_right = True

    def __new__(cls, variable: sp.Symbol, *rest: object) -> "Over":
        if len(rest) not in (1, 3):
            raise TypeError(f"{cls.__name__} takes (variable, body) or (variable, first, last, body), in the order in which it is read.")
        return Operator.__new__(cls, variable, *rest)

    @property
    def body(self) -> sp.Expr:
        return self.args[-1]

    def _range(self, head: str, pen: LatexPen) -> str:
        variable, *bounds, _ = self.args
        if not bounds:
            return pen.sub(head, pen.of(variable))
        return pen.power(pen.sub(head, pen.of(variable) + pen.sign("eq") + pen.of(bounds[0])), pen.of(bounds[1]))

    def _write(self, pen: LatexPen) -> str:
        inside = pen.bracket(pen.of(self.body)) if isinstance(self.body, sp.Add) else pen.of(self.body)
        return self._range(pen.sign(type(self).__name__), pen) + pen.sign("times") + inside


class Sum(Over):
    """Σ: Sum(t, 0, T - 1, r[t]), Sum(t, 0, oo, gamma**t), Sum(a, pi(a, s) * Q(s, a)), Sum(tau, ...) over all trajectories."""


class Prod(Over):
    """Π: Prod(t, 0, T - 1, pi(a[t], s[t]) / b(a[t], s[t]))."""


class Max(Over):
    """max over a finite set, Max(a, Q(s, a)), or of two numbers by `Min`/`Larger`."""


class LSE(Over):
    """log Σ_a exp(body), computed without overflow: alpha * LSE(a, Q(s, a) / alpha)."""


class Min(Operator):
    """Min(x, y): the smaller of two numbers, as in clipped double Q-learning."""

    word = "min"

    def _write(self, pen: LatexPen) -> str:
        return pen.word(self.word) + pen.bracket(", ".join(map(pen.of, self.args)))

    @property
    def free_symbols(self) -> set[sp.Symbol]:
        return self.args[0].free_symbols | self.args[1].free_symbols


class Larger(Min):
    """Larger(x, y): the larger of two numbers, printed max(x, y)."""

    word = "max"


class KL(Operator):
    """KL(pi.at(s), b.at(s)): Σ p log(p/q), in nats, of two laws of actions, of states, or of trajectories (KL(pi, mu.given(O[0:T])))."""

    def __new__(cls, left: object, right: object) -> "KL":
        return Operator.__new__(cls, *(x.law if isinstance(x, Policy) else x for x in (left, right)))

    @property
    def free_symbols(self) -> set[sp.Symbol]:
        return self.args[0].free_symbols | self.args[1].free_symbols

    def _write(self, pen: LatexPen) -> str:
        left, right = (_law(x, pen) for x in self.args)
        return pen.sub(pen.script("D"), pen.script("KL")) + pen.bracket(left + pen.sign("parallel") + right)


def _law(law: sp.Basic, pen: LatexPen) -> str:
    if isinstance(law, PathLaw):
        return pen.of(law.probability())
    return pen.of(law)


class Pr(Operator):
    """Pr(mu.given(s[t]), O[t:T]): the probability of events, given the conditions of the law. An event is O[t:k] or (s[t], s)."""

    _closed = True

    def __new__(cls, law: object, *events: object) -> "Pr":
        return Operator.__new__(cls, law.law if isinstance(law, Policy) else law, *events)

    @property
    def free_symbols(self) -> set[sp.Symbol]:
        return set().union(*(x.free_symbols for x in self.args))

    def _write(self, pen: LatexPen) -> str:
        law, events = self.args[0], PathLaw(self.args[0].args[0], *self.args[1:])
        inside = events._given(pen) + (pen.sign("|") + law._given(pen) if law.conditions else "")
        return pen.sub(pen.name("p"), pen.of(law)) + pen.bracket(inside)


