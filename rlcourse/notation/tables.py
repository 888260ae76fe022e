"""The symbols of a decision process: states, actions, times, and the tables r, P, p₀, d of a finite world.

Time starts at 0; r_t follows (s_t, a_t); a trajectory is s_0, a_0, ..., a_{T-1}, s_T. `s[t]` is the state at time t of the trajectory over which the
nearest expectation runs. Nothing here computes: finite.py says what each node is worth.
"""

import sympy as sp

from rlcourse.notation.expressions import Applied, Operator, function
from rlcourse.notation.pens import LatexPen
from rlcourse.notation.written import AsWritten


class Discrete(AsWritten, sp.Symbol):
    """A symbol with integer values: kind is "state", "action", "time", "horizon" or "path". States and actions index a trajectory: s[t]."""

    __iter__ = None                                 # s[t] is an index, not a sequence: sympy must not try to run through it

    def __new__(cls, name: str, kind: str) -> "Discrete":
        obj = sp.Symbol.__xnew__(cls, name, integer=True)
        obj.domain = kind
        return obj

    def _hashable_content(self) -> tuple:
        return (*super()._hashable_content(), self.domain)

    def __getitem__(self, index: object) -> "At":
        if self.domain not in ("state", "action"):
            raise TypeError(f"{self.name} is a {self.domain}; only states and actions have a time index, s[t] and a[t].")
        return At(self, index)

    def _write(self, pen: LatexPen) -> str:
        return pen.name(self.name)


def state(name: str) -> Discrete:
    """A state of a finite world: s = state("s"); s[t] is the state at time t."""
    return Discrete(name, "state")


def action(name: str) -> Discrete:
    """An action of a finite world: a = action("a"); a[t] is the action at time t. A continuous action is a `real`."""
    return Discrete(name, "action")


def time(name: str) -> Discrete:
    """A time index, 0 <= t < T."""
    return Discrete(name, "time")


def horizon(name: str = "T") -> Discrete:
    """The number of actions of a trajectory; each world has its own."""
    return Discrete(name, "horizon")


def path(name: str = "tau") -> Discrete:
    """A whole trajectory, the first argument of an expectation over trajectories."""
    return Discrete(name, "path")


class Blank(AsWritten, sp.Symbol):
    """The dot in π(· | s)."""

    def _write(self, pen: LatexPen) -> str:
        return pen.sign("any")


class At(Operator):
    """s_t or a_t: what the trajectory does at a time."""

    @property
    def free_symbols(self) -> set[sp.Symbol]:
        return self.args[1].free_symbols

    def _write(self, pen: LatexPen) -> str:
        return pen.sub(pen.of(self.args[0]), pen.of(self.args[1]))


class Lookup(Applied):
    """π_θ(a | s), P(s′ | s, a), r(s, a): a table of the world. `bar` arguments stand behind the bar; r(s_t, a_t) is written r_t."""

    _closed = True

    def _write(self, pen: LatexPen) -> str:
        f, args = self.func, self.args
        if f.role == "reward" and self._at_one_time():
            return pen.sub(pen.name(f.__name__), pen.of(args[0].args[1]))
        head = pen.name(f.__name__)
        if f.subscripts:
            head = pen.sub(head, ", ".join(map(pen.of, args[: f.subscripts])))
        written = [pen.of(x) for x in args[f.subscripts :]]
        cut = len(written) - f.bar
        inside = ", ".join(written[:cut]) + (pen.sign("|") if f.bar else "") + ", ".join(written[cut:])
        return head + pen.bracket(inside)

    def _at_one_time(self) -> bool:
        return all(isinstance(x, At) for x in self.args) and self.args[0].args[1] == self.args[1].args[1]


def table(name: str, role: str, parameters: tuple, subscripts: int = 0, bar: int = 0, **marks: object) -> type:
    """Declares a table of the world; `role` ("reward", "policy", ...) says which."""
    return function(name, *parameters, subscripts=subscripts, kind=Lookup, role=role, bar=bar, **marks)


S, A, NEXT = state("s"), action("a"), state("s'")
HERE, NOW, WHEN = (sp.Symbol(name, integer=True) for name in ("s_here", "a_now", "t_now"))       # the arguments of a policy inside a law

FRAME = sp.Symbol("the trajectory at hand")


class Reward:
    """r = reward("r"): r(s, a) is the table, r[t] is r(s_t, a_t). high=0 asks for rewards that are never positive."""

    def __init__(self, name: str = "r", high: float | None = None) -> None:
        self.function = table(name, "reward", (S, A), high=high)

    def __call__(self, s: object, a: object) -> sp.Expr:
        return self.function(s, a)

    def __getitem__(self, index: object) -> sp.Expr:
        return self.function(At(S, index), At(A, index))


reward = Reward


def initial(name: str = "p_0") -> type:
    """The law of the first state: p0 = initial(); p0(s[0])."""
    return table(name, "initial", (S,))


def terminal(name: str = "d") -> type:
    """1 at a terminal state, 0 elsewhere: d = terminal(); (1 - d(s1)) masks what must not be bootstrapped."""
    return table(name, "terminal", (S,))
