"""A derivation: a chain of lines, each checked against the line before at the moment it is written.

    Derivation("Mean of a Gaussian", "0.1", E(a, N(mu, sigma), a)).step(mu, because="the density is symmetric about μ")

shows the chain as LaTeX and says how each step was checked. A line that does not follow cannot be shown: the call raises and names the step, the
simplest world that refutes it, and both values. Derivations do not change; every call returns a longer one.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace

import sympy as sp
from sympy.core.function import AppliedUndef

from rlcourse.notation import rendering
from rlcourse.notation.evaluate import Definitions, evaluate
from rlcourse.notation.pens import text
from rlcourse.notation.verdict import Verdict, Worlds, compare, power_of_ten, refuse_misspelt, resolve, unfolded, unknowns

_LOADED: dict[tuple[str, str], "Derivation"] = {}


class StepFails(ValueError):
    """A line does not follow from the line before."""


class StepUndecided(ValueError):
    """Neither shown to hold nor refuted; such a line is not shown either."""


class DefinitionRefused(ValueError):
    """What was offered as a definition is a claim."""


class AssumptionNotNeeded(ValueError):
    """With the assumption removed the step still holds."""


@dataclass(frozen=True)
class Step:
    """One checked line: `expr` stands in `relation` to the line before, `because`; `how` says how that was checked."""

    expr: sp.Basic
    because: str
    relation: str
    how: str
    largest_difference: float


@dataclass(frozen=True)
class Removed:
    """A world without the assumption, in which step `number` fails."""

    assumption: str
    number: int
    world: str
    left: float
    right: float


@dataclass(frozen=True)
class Binding:
    """The package function that computes the last line."""

    name: str
    how: str
    largest_difference: float


@dataclass(frozen=True, repr=False)
class Derivation:
    """title and tag (an equation number such as "13.3") name it; `start` is the first line.

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

    def define(self, left: sp.Basic, right: object) -> "Derivation":
        """`left := right`. The left side is one symbol, or one function of distinct symbols, that has no meaning yet."""
        right = sp.sympify(right)
        key = _defined_key(left)
        if key in self._lookup():
            raise self._refused(left, "it was defined before, so a second line about it is a claim: use .step")
        if self.steps and _occurs(key, [self.start, *(s.expr for s in self.steps)], self._lookup()):
            raise self._refused(left, "earlier lines used it without that meaning")
        if _occurs(key, [right], self._lookup()):
            raise self._refused(left, "it occurs on the right-hand side, so this is an equation for it")
        return replace(self, definitions=(*self.definitions, (left, right)))

    def step(self, expr: object, because: str, relation: str = "=", worlds: Worlds | None = None, tolerance: float | None = None) -> "Derivation":
        """The next line. Raises StepFails or StepUndecided unless it follows from the line before.

        because: the reason, in words. relation: "=" or "<=" (the line before is at most this one).
        worlds: a number, a list, or "symbolic" (sympy has to reduce the difference to 0; numbers are tried first, they refute faster).
        """
        expr = sp.sympify(expr)
        if not because.strip():
            raise ValueError(f"Step {self.checked + 1} of [{self.tag}] gives no reason. Say in words why this line follows: because=...")
        verdict = self._compare(self.last, expr, relation, worlds, tolerance)
        self._insist(verdict, self.last, expr, f"step {self.checked + 1}", because)
        return replace(self, steps=(*self.steps, Step(expr, because, relation, verdict.how, verdict.largest_difference)))

    def fails_without(self, assumption: str, *worlds: object) -> "Derivation":
        """Shows that the latest step needs `assumption`: in each of `worlds`, where it is removed, the step fails."""
        if not self.steps or not worlds:
            raise ValueError("fails_without needs a step before it and at least one world in which the assumption does not hold.")
        left, right = ([self.start] + [s.expr for s in self.steps])[-2:]
        records = []
        for world in refuse_misspelt(worlds, [left, right], self._lookup()):
            verdict = self._compare(left, right, self.steps[-1].relation, [world], None)
            if verdict.holds is not False:
                raise AssumptionNotNeeded(
                    f"[{self.tag}] step {self.checked}: without “{assumption}” the step was expected to fail, but in the world "
                    f"{self._describe(world, left, right)} it does not. The assumption is not needed there, or the world does not remove it."
                )
            records.append(Removed(assumption, self.checked, self._describe(world, left, right), verdict.left, verdict.right))
        return replace(self, removed=(*self.removed, *records))

    def implements(self, function: Callable, arguments: Callable[..., tuple] | None = None, tolerance: float | None = None) -> "Derivation":
        """Binds the last line to the code that computes it: both are evaluated in the same worlds and must agree.

        arguments: from the equation's variables, by name, to the function's arguments: lambda mu, sigma, x: (TanhGaussian(mu, sigma), x).
        Values arrive as float64 tensors of shape (1,). Left out, the function's own parameter names are looked up among the variables.
        """
        names = list(inspect.signature(arguments or function).parameters)
        variables = {s.name: s for s in unknowns([self.last], self._lookup())[0]}
        if missing := [n for n in names if n not in variables]:
            raise TypeError(f"[{self.tag}] the last line has the variables {sorted(variables)}; {missing} is not among them. Give `arguments`.")
        tolerance, largest, chosen = tolerance or self.tolerance, 0.0, resolve(self.worlds)
        code_name = f"{function.__module__}.{function.__qualname__}"
        for world in chosen:
            values = [world.argument(variables[n]) for n in names]
            code = float(function(*(arguments(*values) if arguments else values)).item())
            line = evaluate(self.last, world, self._lookup())
            difference = abs(code - line) / max(1.0, abs(line))
            if not difference <= tolerance:
                self._insist(Verdict(False, "", difference, world, line, code), self.last, code_name, "the code", "implements the last line")
            largest = max(largest, difference)
        count = f"{self.worlds} random" if isinstance(self.worlds, int) else f"{len(chosen)} chosen"
        how = f"equal on {count} points, largest difference below {power_of_ten(tolerance)}"
        return replace(self, bindings=(*self.bindings, Binding(code_name, how, largest)))

    def lines(self) -> list[rendering.Line]:
        """The chain line by line, for a view that reveals it step by step."""
        return rendering.lines(self)

    def _repr_markdown_(self) -> str:
        return rendering.markdown(self)

    def __repr__(self) -> str:
        return rendering.plain_text(self)

    def _lookup(self) -> Definitions:
        return {_defined_key(left): (left.args, right) for left, right in self.definitions}

    def _compare(self, left: sp.Basic, right: sp.Basic, relation: str, worlds: Worlds | None, tolerance: float | None) -> Verdict:
        return compare(left, right, relation, self.worlds if worlds is None else worlds, self._lookup(), tolerance or self.tolerance)

    def _describe(self, world: object, *parts: sp.Basic) -> str:
        return world.describe(*unknowns(parts, self._lookup()))

    def _refused(self, left: sp.Basic, reason: str) -> DefinitionRefused:
        return DefinitionRefused(f"[{self.tag}] `{text(left)}` cannot be defined here: {reason}.")

    def _insist(self, verdict: Verdict, left: sp.Basic, right: sp.Basic | str, which: str, because: str) -> None:
        """Raises unless the verdict is "holds"; a broken chain is not kept among the loaded ones."""
        if verdict.holds:
            return
        _LOADED.pop((self.tag, self.title), None)
        shown = right if isinstance(right, str) else text(right)
        head = f"[{self.tag}] {self.title}, {which} ({because})"
        if verdict.world is None:
            raise StepUndecided(
                f"{head}: {verdict.how}.\n  {text(left)}\n  {shown}\n"
                "Undecided is not shown as holding. Write a step in between, or let the numbers decide (leave `worlds` out)."
            )
        body = (
            f"in the world {self._describe(verdict.world, *(p for p in (left, right) if isinstance(p, sp.Basic)))}\n"
            f"  the line before:  {text(left)}  is {verdict.left:.6g}\n  this line:        {shown}  is {verdict.right:.6g}\n"
            f"  difference:       {verdict.left - verdict.right:.3g}\n"
        )
        if verdict.holds is None:
            raise StepUndecided(f"{head} cannot be decided\n{body}The difference is between “none” and “refuted”, or a value is not finite.")
        hint = "Of the worlds tried this is the simplest in which it breaks: look for the factor, sign or symbol behind it."
        raise StepFails(f"{head} does not hold\n{body}{hint}")


def derivations() -> list[Derivation]:
    """All derivations loaded so far, in the order of first appearance; running a cell again replaces its own."""
    return list(_LOADED.values())


def _occurs(key: sp.Basic, parts: list[sp.Basic], definitions: Definitions) -> bool:
    return any(key in (node, node.func) for node in unfolded(parts, definitions))


def _defined_key(left: sp.Basic) -> sp.Basic:
    """The symbol or function that a definition gives a meaning to."""
    if isinstance(left, sp.Symbol):
        return left
    if isinstance(left, AppliedUndef) and len(set(left.args)) == len(left.args) and all(isinstance(a, sp.Symbol) for a in left.args):
        return left.func
    raise DefinitionRefused(
        f"`{text(left)}` cannot be the left side of a definition: that is one symbol, or one function of distinct symbols. Use .step for a claim."
    )

