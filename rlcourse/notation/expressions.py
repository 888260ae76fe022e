"""The symbols of a derivation: variables, functions, distributions, and the operators E, P, D, H, ∫, det.

Every operator is written in the order in which its LaTeX is read, what it ranges over first and its body last:
`E(a, N(mu, sigma), Q(a))` is E_{a ~ N(μ, σ²)}[Q(a)]; `D(mu, ...)` is ∂/∂μ of what follows.
What an expression *is worth* in a concrete world is the business of `worlds.evaluate`; nothing here computes.
"""

import sympy as sp
from sympy.core.function import AppliedUndef, UndefinedFunction

from rlcourse.notation.pens import LatexPen, Writes
from rlcourse.notation.written import AsWritten, as_written, atanh, exp, sqrt


class Variable(AsWritten, sp.Symbol):
    """A real symbol that knows from which interval the worlds draw its value."""

    def __new__(cls, name: str, low: float, high: float) -> "Variable":
        obj = sp.Symbol.__xnew__(cls, name, real=True, **({"positive": True} if low >= 0 else {}))
        obj.low, obj.high = low, high
        return obj

    def _hashable_content(self) -> tuple:
        return (*super()._hashable_content(), self.low, self.high)

    def _write(self, pen: LatexPen) -> str:
        return pen.name(self.name)


def real(name: str, low: float = -2.0, high: float = 2.0) -> Variable:
    """A real variable; `low` and `high` bound the values on which equations are tried, e.g. real("x", -1, 1)."""
    return Variable(name, low, high)


def positive(name: str, low: float = 0.3, high: float = 1.5) -> Variable:
    """A positive variable, such as a standard deviation."""
    return Variable(name, low, high)


class Applied(AsWritten, AppliedUndef):
    """Q(s, a): a function without a formula. A world, or a definition, says what it is."""

    def _write(self, pen: LatexPen) -> str:
        cut = self.func.subscripts
        head = pen.name(self.func.__name__)
        if cut:
            head = pen.sub(head, ", ".join(map(pen.of, self.args[:cut])))
        rest = ", ".join(map(pen.of, self.args[cut:]))
        return head + (pen.bracket(rest) if rest else "")

    @property
    def _reaches_right(self) -> bool:
        return False


def function(
    name: str, *parameters: Variable, subscripts: int = 0, is_positive: bool = False, kind: type | None = None, role: str | None = None,
    bar: int = 0, **marks: object
) -> UndefinedFunction:
    """Declares a function by name and parameters: Q = function("Q", s, a). A trailing "hat" in the name prints a hat.

    subscripts: how many leading parameters are printed as an index: function("mu", theta, s, subscripts=1) is μ_θ(s).
    is_positive: worlds choose a function with positive values (a standard deviation σ_θ). kind, role, bar: of tables (tables.py).
    marks: attributes that tell functions of one name apart, high=0 for a reward that is never positive. All of this is part of what sympy compares:
    it remembers f(x), and would hand it out for a namesake.
    """
    apart = {"subscripts": subscripts, "role": role, "bar": bar, "node": (kind or Applied).__name__, **marks}
    made = UndefinedFunction(name, bases=(kind or Applied,), real=True, **({"positive": True} if is_positive else {}), **apart)
    made.parameters = parameters
    return made


class Operator(AsWritten, sp.Expr):
    """A node of our own. `bound` counts how many leading arguments are bound variables."""

    is_commutative = True
    bound = 0

    def __new__(cls, *args: object) -> "Operator":
        return sp.Expr.__new__(cls, *(sp.Tuple(*a) if isinstance(a, tuple) else sp.sympify(a) for a in args))

    @property
    def free_symbols(self) -> set[sp.Symbol]:
        body = self.args[-1].free_symbols - set(self.args[: self.bound])
        return body.union(*(a.free_symbols for a in self.args[self.bound : -1]))


def _require(operator: type, value: object, kind: type | tuple, place: str) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{operator.__name__} takes {place}, in the order in which it is read: E(a, N(mu, sigma), Q(a)). Got {value!s}.")


class Law(Writes, sp.Basic):
    """What an expectation runs over. `_given` writes its conditions, if it has any."""

    def __new__(cls, *args: object) -> "Law":
        return sp.Basic.__new__(cls, *map(sp.sympify, args))

    def _given(self, pen: LatexPen) -> str:
        return ""


class Distribution(Law):
    """N(mu, sigma) or TanhN(mu, sigma): the two carry their parameters; sigma is a standard deviation, printed as σ²."""

    def __new__(cls, mu: object, sigma: object) -> "Distribution":
        return sp.Basic.__new__(cls, as_written(mu), as_written(sigma))

    @property
    def mu(self) -> sp.Expr:
        return self.args[0]

    @property
    def sigma(self) -> sp.Expr:
        return self.args[1]

    def pdf(self, point: object) -> "Density":
        """The density at a point, printed N(x; μ, σ²)."""
        return Density(self, point)

    def formula(self, x: sp.Expr) -> sp.Expr:
        raise NotImplementedError

    def _parameters(self, pen: LatexPen) -> str:
        variance = "1" if self.sigma == 1 else pen.of(as_written(self.sigma) ** 2)
        return f"{pen.of(self.mu)}, {variance}"

    def _write(self, pen: LatexPen) -> str:
        return self._head(pen) + pen.bracket(self._parameters(pen))

    def _head(self, pen: LatexPen) -> str:
        return pen.script("N")


class N(Distribution):
    """Normal distribution with mean mu and standard deviation sigma."""

    def formula(self, x: sp.Expr) -> sp.Expr:
        z = (x - self.mu) / self.sigma
        return exp(-(z**2) / 2) / (self.sigma * sqrt(2 * sp.pi))


class TanhN(Distribution):
    """The law of a = tanh(u), u ~ N(mu, sigma²), on (−1, 1); its density is [13.5]."""

    def formula(self, x: sp.Expr) -> sp.Expr:
        return N(self.mu, self.sigma).formula(atanh(x)) / (1 - as_written(x) ** 2)

    def _head(self, pen: LatexPen) -> str:
        return pen.word("tanh") + pen.script("N")


class Density(Operator):
    """The density of a distribution at a point."""

    _closed = True

    def _write(self, pen: LatexPen) -> str:
        law, point = self.args
        return law._head(pen) + pen.bracket(f"{pen.of(point)};{pen.sign('times')}{law._parameters(pen)}")

    def _eval_is_positive(self) -> bool:
        return True


class E(Operator):
    """E(a, N(mu, sigma), Q(a)): the expectation of Q(a) over a ~ N(μ, σ²)."""

    bound = 1

    def __new__(cls, variable: sp.Symbol, law: "Law", body: object) -> "E":
        law = getattr(law, "law", law)                                     # a policy stands for its trajectories
        _require(cls, variable, sp.Symbol, "first the variable")
        _require(cls, law, Law, "second its distribution")
        return super().__new__(cls, variable, law, body)

    def _write(self, pen: LatexPen) -> str:
        variable, law, body = self.args
        head = pen.sub(pen.script("E"), pen.of(variable) + pen.sign("~") + pen.of(law))
        given = law._given(pen)
        return head + pen.bracket(pen.of(body) + (pen.sign("|") + given if given else ""), "[", "]")


class P(Operator):
    """P(u, N(mu, sigma), tanh(u) <= x): the probability of the inequality over u ~ N(μ, σ²)."""

    bound = 1

    def __new__(cls, variable: sp.Symbol, law: Distribution, event: sp.Rel) -> "P":
        _require(cls, variable, sp.Symbol, "first the variable")
        _require(cls, law, Distribution, "second its distribution")
        _require(cls, event, (sp.Le, sp.Lt, sp.Ge, sp.Gt), "third an inequality that is neither always true nor always false")
        return super().__new__(cls, variable, law, event)

    def _write(self, pen: LatexPen) -> str:
        variable, law, event = self.args
        sign = pen.sign(event.rel_op)
        head = pen.sub(pen.script("P"), pen.of(variable) + pen.sign("~") + pen.of(law))
        return head + pen.bracket(pen.of(event.lhs) + sign + pen.of(event.rhs))


class D(Operator):
    """D(mu, body): the partial derivative ∂ body / ∂ mu, taken of everything in `body` that depends on mu."""

    def __new__(cls, variable: sp.Symbol, body: object) -> "D":
        _require(cls, variable, sp.Symbol, "first the variable")
        return super().__new__(cls, variable, body)

    def _write(self, pen: LatexPen) -> str:
        variable, body = self.args
        below = pen.sign("d") + pen.of(variable)
        if self._reaches_right:
            inside = pen.bracket(pen.of(body), "[", "]") if isinstance(body, sp.Add) else pen.of(body)
            return pen.frac(pen.sign("d").strip(), below) + pen.sign("times") + inside
        return pen.frac(pen.sign("d") + pen.of(body), below)

    @property
    def _reaches_right(self) -> bool:
        return not (self.args[1].is_Atom or isinstance(self.args[1], AppliedUndef))


class Partial(Operator):
    """∂Q/∂a at a point: args are the applied function and the position of the differentiated argument."""

    @property
    def free_symbols(self) -> set[sp.Symbol]:
        return self.args[0].free_symbols

    def _write(self, pen: LatexPen) -> str:
        applied, position = self.args
        head, inside = pen.name(applied.func.__name__), pen.bracket(", ".join(map(pen.of, applied.args)))
        if len(applied.args) == 1:
            return f"{head}'{inside}"
        return pen.frac(pen.sign("d") + head, pen.sign("d") + pen.of(applied.func.parameters[int(position)])) + inside


def partial(f: UndefinedFunction, parameter: Variable | None = None):
    """The derivative of a function as a function: partial(Q)(x) is Q'(x); partial(Q, a)(s, x) is ∂Q/∂a at (s, x)."""
    names = list(f.parameters)
    if parameter is None and len(names) > 1:
        raise ValueError(f"{f.__name__} has the parameters {names}: say which one is differentiated, partial({f.__name__}, {names[-1]}).")
    position = 0 if parameter is None else names.index(parameter)
    return lambda *arguments: Partial(f(*arguments), position)


class Integral(Operator):
    """integral(a, -1, 1, body): the integral of `body` over a from -1 to 1."""

    bound = 1

    def _write(self, pen: LatexPen) -> str:
        variable, (low, high), body = self.args
        sign = pen.power(pen.sub(pen.sign("int"), pen.of(low)), pen.of(high))
        inside = pen.bracket(pen.of(body)) if isinstance(body, sp.Add) else pen.of(body)
        return sign + pen.sign("times") + inside + pen.sign("times") + pen.script("d") + pen.of(variable)

    _reaches_right = True


def integral(variable: Variable, low: object, high: object, body: object) -> Integral:
    """∫ body d(variable) from low to high: integral(a, -1, 1, pi(a))."""
    return Integral(variable, (as_written(low), as_written(high)), body)


class H(Operator):
    """H(N(mu, sigma)): the differential entropy −E[log p] of a distribution, in nats."""

    @property
    def free_symbols(self) -> set[sp.Symbol]:
        return self.args[0].free_symbols

    def _write(self, pen: LatexPen) -> str:
        return pen.script("H") + pen.bracket(pen.of(self.args[0]), "[", "]")


class JacobianDet(Operator):
    """det_jacobian((u1, u2), (tanh(u1), tanh(u2))): the determinant of the matrix of partial derivatives."""

    @property
    def free_symbols(self) -> set[sp.Symbol]:
        return self.args[0].free_symbols | self.args[1].free_symbols

    def _write(self, pen: LatexPen) -> str:
        inputs, outputs = (pen.bracket(", ".join(map(pen.of, part))) for part in self.args)
        return pen.word("det") + pen.sign("times") + pen.frac(pen.sign("d") + outputs, pen.sign("d") + inputs)


def det_jacobian(inputs: tuple, outputs: tuple) -> JacobianDet:
    """Determinant of the matrix ∂(outputs)/∂(inputs): det_jacobian((u1, u2), (tanh(u1), tanh(u2)))."""
    return JacobianDet(tuple(inputs), tuple(outputs))
