"""A derivation: a chain of lines, each checked against the line before at the moment it is written.

    Derivation("Mean of a Gaussian", "0.1", E(a, N(mu, sigma), a)).step(mu, because="the density is symmetric about μ")

shows the chain as LaTeX and says how each step was checked. A line that does not follow cannot be shown: the call raises and names the step, the
simplest world that refutes it, and both values. Derivations do not change; every call returns a longer one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import sympy as sp

from rlcourse.notation import rendering
from rlcourse.notation.assumptions import Assumption, AssumptionNotNeeded, Removed, statement_and_source
from rlcourse.notation.bindings import Binding, bound
from rlcourse.notation.definitions import defined_key, refuse_claim
from rlcourse.notation.evaluate import Definitions
from rlcourse.notation.limits import Limit, limit
from rlcourse.notation.pens import text
from rlcourse.notation.relations import Equal, FirstOrder, Ordered, UpTo, by_name, refuse_unknown, up_to
from rlcourse.notation.verdict import Trial, Verdict, Worlds, refuse_misspelt, unknowns

Relation = Equal | Ordered | UpTo | FirstOrder | Limit
_LOADED: dict[tuple[str, str], "Derivation"] = {}


class StepFails(ValueError):
    """A line does not follow from the line before."""


class StepUndecided(ValueError):
    """Neither shown to hold nor refuted; such a line is not shown either."""


@dataclass(frozen=True)
class Step:
    """One checked line: `expr` stands in `rule` to the line before, `because`; `how` says how that was checked, on `worlds`."""

    expr: sp.Basic
    because: str
    rule: Relation
    how: str
    largest_difference: float
    worlds: Worlds
    tolerance: float

    @property
    def relation(self) -> str:
        """The relation's name: "=", "<=", ">=", "≐", "∝", "first order" or "→"."""
        return self.rule.name


@dataclass(frozen=True)
class Alternative:
    """Another right-hand side of step `number` that is equal too, by the derivation `title` [tag]."""

    number: int
    expr: sp.Basic
    title: str
    tag: str


@dataclass(frozen=True, repr=False)
class Derivation:
    """title and tag (an equation number such as "13.3") name it; `start` is the first line; `source`: where the result is printed.

    worlds: on how many worlds each step is tried, or a list of worlds; tolerance: the largest difference that counts as none
    (relative where values exceed 1). Both can be set for a single step.
    """

    title: str
    tag: str
    start: sp.Basic
    worlds: Worlds = 20
    tolerance: float = 1e-9
    steps: tuple[Step, ...] = ()
    definitions: tuple[tuple[sp.Basic, sp.Basic], ...] = ()
    removed: tuple[Removed, ...] = ()
    bindings: tuple[Binding, ...] = ()
    assumed: tuple[Assumption, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", sp.sympify(self.start))
        _LOADED[self.tag, self.title] = self

    @property
    def checked(self) -> int:
        """How many steps were checked (each of them holds)."""
        return len(self.steps)

    @property
    def last(self) -> sp.Basic:
        """The line at which the chain has arrived."""
        return self.steps[-1].expr if self.steps else self.start

    @property
    def assumptions(self) -> tuple[Removed, ...]:
        """One record per world in which an assumption is removed and a step fails; `record.counted`: it names its source."""
        return self.removed

    @property
    def open_assumptions(self) -> tuple[Assumption, ...]:
        """Assumptions that were declared and that no world has shown to be needed; a chain that has some is not shown in a notebook."""
        shown = {(record.assumption, record.source) for record in self.removed}
        return tuple(a for a in self.assumed if (a.statement, a.source) not in shown)

    def pairs(self) -> list[tuple[int, sp.Basic, Step]]:
        """(number, the line before, step) for each step."""
        before = [self.start, *(step.expr for step in self.steps)]
        return [(number, before[number - 1], step) for number, step in enumerate(self.steps, start=1)]

    def define(self, left: sp.Basic, right: object) -> "Derivation":
        """`left := right`. The left side is one symbol, or one function of distinct symbols, that has no meaning yet."""
        right = sp.sympify(right)
        refuse_claim(self.tag, left, right, self._lookup(), [self.start, *(s.expr for s in self.steps)] if self.steps else [])
        return replace(self, definitions=(*self.definitions, (left, right)))

    def step(
        self, expr: object, because: str, relation: str = "=", worlds: Worlds | None = None, tolerance: float | None = None, tight: object = ()
    ) -> "Derivation":
        """The next line. Raises StepFails or StepUndecided unless it follows from the line before.

        because: the reason, in words. relation: "=", "<=" (the line before is at most this one) or ">=".
        worlds: a number, a list, "symbolic" (sympy has to reduce the difference to 0; numbers are tried first, they refute faster), or
        "rational" (the smallest worlds, in fractions). tight: a world, or several, in which an inequality is attained.
        """
        rule = by_name(relation, tight)
        refuse_misspelt(rule.tight if isinstance(rule, Ordered) else (), [self.last, sp.sympify(expr)], self._lookup())
        return self._longer(expr, because, rule, worlds, tolerance)

    def up_to(
        self, expr: object, because: str, constant: object = None, factor: object = None, free_of: object = (), worlds: Worlds | None = None,
        tolerance: float | None = None,
    ) -> "Derivation":
        """The next line, up to a named constant: line before = expr + constant, or expr · factor; the constant does not depend on `free_of`.

        free_of: a policy, a function or a variable (or a tuple). It is drawn anew, alone, in every world, and the constant has to stay.
        """
        return self._longer(expr, because, up_to(constant, factor, free_of), worlds, tolerance)

    def first_order(
        self, expr: object, because: str, in_: sp.Symbol, at: object, worlds: Worlds | None = None, tolerance: float | None = None
    ) -> "Derivation":
        """The next line agrees in value and in the derivative by `in_` at the point in_ = at, and differs away from it."""
        refuse_unknown(in_, (self.last, sp.sympify(expr)), Trial(definitions=self._lookup()))
        return self._longer(expr, because, FirstOrder(in_, sp.sympify(at)), worlds, tolerance)

    def tends_to(
        self, expr: object, because: str, variable: sp.Symbol, to: object, rate: float | None = None, along: Sequence[float] = (),
        worlds: Worlds | None = None, tolerance: float = 1e-6,
    ) -> "Derivation":
        """The line before goes to `expr` as `variable` goes to `to` (a number or sympy's oo).

        rate: the difference is O(distance^rate) and the observed order says so: 2 for O(σ²). along: values of the variable towards the limit,
        where the geometric ones (distances ½, ⅛, ...) do not fit, such as the horizons (1, 2, 3, 4, 5). tolerance: of the extrapolated rest.
        """
        refuse_unknown(variable, (self.last,), Trial(definitions=self._lookup()))
        return self._longer(expr, because, limit(variable, to, rate, along), worlds, tolerance)

    def verdict_of(self, number: int, left: object, right: object, worlds: Worlds | None = None) -> Verdict:
        """Step `number` (from 1) tried again with its own relation, worlds and tolerance, but these two lines: what a mutated step is worth.

        An inequality has to stay attained in the worlds in which the step's own is. worlds: others than the step's.
        """
        step = self.steps[number - 1]
        trial = Trial(step.worlds if worlds is None else worlds, self._lookup(), step.tolerance)
        return step.rule.verdict(sp.sympify(left), sp.sympify(right), trial)

    def also_equals(self, expr: object, by: "Derivation") -> "Derivation":
        """Another right-hand side of the latest step that is equal too, by the derivation `by`. It is checked, on three times as many worlds."""
        number, left, step = self._latest("also_equals")
        if not isinstance(by, Derivation) or not by.steps:
            raise ValueError(f"[{self.tag}] that `{text(sp.sympify(expr))}` is equal too needs by=, a derivation of at least one step that shows it.")
        more = {int: lambda n: 3 * n, str: lambda word: 60 if word == "symbolic" else word}.get(type(step.worlds), lambda chosen: chosen)
        verdict = self.verdict_of(number, left, expr, worlds=more(step.worlds))
        self._insist(verdict, left, sp.sympify(expr), f"step {number}, the other form", f"by [{by.tag}] {by.title}")
        return replace(self, alternatives=(*self.alternatives, Alternative(number, sp.sympify(expr), by.title, by.tag)))

    def assuming(self, assumption: Assumption) -> "Derivation":
        """Declares an assumption. A later `.fails_without(assumption, ...)` has to show a world in which it is removed and a step fails."""
        if not isinstance(assumption, Assumption):
            raise TypeError(f'[{self.tag}] an assumption names its source: Assumption("{assumption}", source="paper, equation and page").')
        return replace(self, assumed=(*self.assumed, assumption))

    def fails_without(self, assumption: Assumption | str, *worlds: object, removed: object = None) -> "Derivation":
        """Shows that the latest step needs `assumption`: where it is removed, the step fails.

        It is removed either by a world (each of `worlds` is tried) or by an expression: removed=expr stands in place of the step's line,
        removed=(left, right) in place of both. A string for the assumption is a remark, without a source, and is not counted.
        Raises AssumptionNotNeeded if the step holds all the same.
        """
        number, left, step = self._latest("fails_without")
        if not worlds and removed is None:
            raise ValueError("fails_without needs at least one world in which the assumption does not hold, or the step without it, removed=expr.")
        pair = (left, step.expr) if removed is None else tuple(map(sp.sympify, removed if isinstance(removed, tuple) else (left, removed)))
        if removed is not None and pair == (left, step.expr):
            raise ValueError(f"[{self.tag}] removed= is step {number} itself. Write the line that it would be without the assumption.")
        statement, source = statement_and_source(assumption)
        instead, records = pair[1] if removed is not None else None, []
        rule = replace(step.rule, attained=()) if isinstance(step.rule, Ordered) else step.rule
        for chosen in [[world] for world in refuse_misspelt(worlds, pair, self._lookup())] or [None]:
            verdict = rule.verdict(*pair, Trial(chosen or step.worlds, self._lookup(), step.tolerance))
            if verdict.holds is not False or verdict.weak:
                where = f"in the world {self._describe(chosen[0], *pair)}" if chosen else f"with {text(instead)} in its place"
                raise AssumptionNotNeeded(
                    f"[{self.tag}] step {number}: without “{statement}” the step was expected to fail, but {where} it does not. "
                    "The assumption is not needed there, or this does not remove it."
                )
            records.append(Removed(statement, number, self._describe(verdict.world, *pair), verdict.left, verdict.right, source, instead))
        return replace(self, removed=(*self.removed, *records))

    def implements(
        self, function: Callable, arguments: Callable[..., tuple] | None = None, tolerance: float | None = None, entry: Callable | None = None
    ) -> "Derivation":
        """Binds the last line to the code that computes it: both are evaluated in the same worlds and must agree.

        arguments: from the equation's variables, by name, to the function's arguments: lambda mu, sigma, x: (TanhGaussian(mu, sigma), x).
        Variables arrive as float64 tensors of shape (1,); functions, policies and tables of the world by their names; `world` is the world
        itself. Left out, the function's own parameter names are looked up. The code returns a float, or an array or tensor of size 1.
        entry: which number of a larger result is meant, from the result and any of the names: lambda V, t, s: V[int(t), int(s)].
        """
        trial = Trial(self.worlds, self._lookup(), tolerance or self.tolerance)
        binding, verdict = bound(self.tag, self.last, trial, function, arguments, entry)
        self._insist(verdict, self.last, binding.name, "the code", "implements the last line")
        return replace(self, bindings=(*self.bindings, binding))

    def lines(self) -> list[rendering.Line]:
        """The chain line by line, for a view that reveals it step by step."""
        return rendering.lines(self)

    def _repr_markdown_(self) -> str:
        return rendering.markdown(self)

    def __repr__(self) -> str:
        return rendering.plain_text(self)

    def _lookup(self) -> Definitions:
        return {defined_key(left): (left.args, right) for left, right in self.definitions}

    def _latest(self, what: str) -> tuple[int, sp.Basic, Step]:
        if not self.steps:
            raise ValueError(f"[{self.tag}] {what} is about the latest step, and there is none yet. Write .step(...) before it.")
        return self.pairs()[-1]

    def _longer(self, expr: object, because: str, rule: Relation, worlds: Worlds | None, tolerance: float | None) -> "Derivation":
        """The chain with one more line, checked."""
        expr, number = sp.sympify(expr), self.checked + 1
        if not because.strip():
            raise ValueError(f"Step {number} of [{self.tag}] gives no reason. Say in words why this line follows: because=...")
        if expr == self.last:
            raise ValueError(f"Step {number} of [{self.tag}] repeats the line before, {text(expr)}: there is nothing to check. Leave it out.")
        worlds, tolerance = self.worlds if worlds is None else worlds, tolerance or self.tolerance
        verdict = rule.verdict(self.last, expr, Trial(worlds, self._lookup(), tolerance))
        self._insist(verdict, self.last, expr, f"step {number}", because)
        if isinstance(rule, Ordered) and not rule.tight:
            rule = replace(rule, attained=verdict.attained)
        return replace(self, steps=(*self.steps, Step(expr, because, rule, verdict.how, verdict.largest_difference, worlds, tolerance)))

    def _describe(self, world: object, *parts: sp.Basic) -> str:
        return world.describe(*unknowns(parts, self._lookup()))

    def _insist(self, verdict: Verdict, left: sp.Basic, right: sp.Basic | str, which: str, because: str) -> None:
        """Raises unless the verdict is "holds"; a broken chain is not kept among the loaded ones."""
        if verdict.holds:
            return
        _LOADED.pop((self.tag, self.title), None)
        head = f"[{self.tag}] {self.title}, {which} ({because})"
        raise (StepUndecided if verdict.holds is None else StepFails)(rendering.refusal(self, verdict, left, right, head))


def derivations() -> list[Derivation]:
    """All derivations loaded so far, in the order of first appearance; running a cell again replaces its own."""
    return list(_LOADED.values())
