"""Derive: a student writes the lines of a derivation as expressions, and every line is tried against the line before.

The student's function gets the symbols on its card and returns a list: the lines after the start, the last one in the form that the card asks for.
Any road is right whose lines are equal, each to the one before, in every world, and whose last line has that form. `adapt` turns the lines into plain
data (trees of known names and numbers, rlcourse/notation/trees.py), so that the function may live in another process; `assess` rebuilds them from
that data alone.

What is said: slips first (no list, a line that is no expression, a symbol that is not known, a line that repeats), which cost nothing; then the first
line that does not follow, with the simplest world in which it breaks and, where a named mistake is worth the same in every world, its name; then the
form of the end.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef

from rlcourse.checks import lines, mistakes, solutions, verdicts
from rlcourse.checks.calls import SECONDS, Guard
from rlcourse.checks.compare import Slip
from rlcourse.checks.lines import Form, Step, Worlds
from rlcourse.checks.mistakes import Mistake
from rlcourse.checks.report import Report
from rlcourse.notation.definitions import defined_key
from rlcourse.notation.evaluate import Definitions
from rlcourse.notation.pens import latex, text
from rlcourse.notation.trees import Tree, TreeRefused, from_tree, to_tree
from rlcourse.notation.worlds import DensityWorld

Answer = dict[str, list[Tree]]
LINES_AT_MOST = 12
PLACEHOLDER = "Write the lines in place of `...`, run the cell, then run this one again."


@dataclass(frozen=True)
class Derive:
    """An exercise whose answer is a list of expressions.

    start: the line before the student's first. symbols: what the function is called with. forms: what the last line has to look like.
    definitions: (left, right) pairs, as in Derivation.define. world(index, seed): the kind of world; the first three are simple, `random` more are
    drawn. at_least: how many lines the card asks for.
    mistakes: functions that return wrong lines; the sentence of one completes "line 2 does not equal line 1: it is ...".
    """

    id: str
    function: str
    signature: str
    title: str
    tags: tuple[str, ...]
    minutes: int
    difficulty: int
    points: float
    lecture: str
    hints: tuple[str, str, str]
    reference: Callable
    start: sp.Basic
    symbols: tuple
    forms: tuple[Form, ...]
    mistakes: tuple[Mistake, ...]
    definitions: tuple[tuple[sp.Basic, sp.Basic], ...] = ()
    world: Callable[[int, int], Any] = DensityWorld
    random: int = 9
    at_least: int = 1
    tolerance: float = 1e-8
    importance: int = 3
    kind: str = "derive"

    @property
    def solution(self) -> Callable | None:
        """The worked solution, or None in a release."""
        return solutions.solution(self.id, self.function)

    @property
    def alternatives(self) -> tuple[Callable, ...] | None:
        """Right answers by other roads, or None in a release."""
        return solutions.alternatives(self.id)

    @property
    def stub(self) -> Callable:
        """The function as a student gets it."""
        return verdicts.stub(self)

    def drawn(self, seed: int) -> tuple[Any, ...]:
        """The worlds of this seed, the simplest first."""
        return tuple(self.world(index, seed) for index in range(3 + self.random))

    def adapt(self, f: Callable, seconds: float = SECONDS) -> Callable[[], Answer]:
        """The student's function as () -> {"lines": trees}: JSON, nothing else. Raises Slip for what is no list of expressions."""
        guard = Guard(f, self.signature, seconds)

        def answer() -> Answer:
            returned = require_lines(guard(*self.symbols))
            return {"lines": [_tree(line, f"line {number}") for number, line in enumerate(returned, start=1)]}

        answer.printed = guard.printed
        return answer

    def evaluate(self, f: Callable, seed: int = 0, seconds: float = SECONDS) -> Report:
        """Assess a student's function as it is written in the notebook. The same seed gives the same report."""
        return self.assess(self.adapt(f, seconds), seed)

    def assess(self, answer: Callable[[], Answer], seed: int = 0) -> Report:
        """Assess the result of `adapt`, in this process or a stand-in for one in another: every byte of it is looked at before it is believed."""
        try:
            report = self._judged(self.read(answer()), Worlds(self.drawn(seed), self._lookup, self.tolerance))
        except Slip as slip:
            report = verdicts.refused(self, slip)
        printed = answer.printed.getvalue()[:400] if hasattr(answer, "printed") else ""
        return replace(report, details=report.details | {"seed": seed, "cases": 3 + self.random, "printed": printed})

    def read(self, data: object) -> list[sp.Basic]:
        """The expressions of an answer. Raises Slip for data that is no answer, and for lines that speak of something else."""
        if type(data) is not dict or list(data) != ["lines"] or type(data["lines"]) is not list:
            raise Slip("type", "The answer is not a list of lines.")
        found = []
        for number, tree in enumerate(require_lines(data["lines"]), start=1):
            try:
                line = from_tree(tree)
            except TreeRefused as refused:
                raise _slip(refused, f"line {number}") from None
            if not isinstance(line, sp.Expr):
                what = f"Line {number} is no quantity: it is a {type(line).__name__}."
                raise Slip("type", what, "A law or a condition belongs inside an expectation.")
            self._known.require(line, f"line {number}")
            found.append(line)
        return found

    @cached_property
    def _lookup(self) -> Definitions:
        return {defined_key(left): (left.args, right) for left, right in self.definitions}

    @cached_property
    def _known(self) -> lines.Known:
        return lines.known(self.start, self._lookup, *self.symbols)

    def _judged(self, found: list[sp.Basic], worlds: Worlds) -> Report:
        before = [self.start, *found]
        steps = [worlds.step(number, before[number - 1], line) for number, line in enumerate(found, start=1)]
        more = {"lines": self._shown(steps)}
        for step in steps:
            if step.verdict == lines.REPEATS:
                return verdicts.refused(self, self._repeated(step), **more)
            if step.verdict != lines.HOLDS:
                return self._wrong(step, worlds, more, _also(steps[step.number :]))
        for form in self.forms:
            if not form.fits(found[-1]):
                again = "your last line is the start again" if lines.same(self.start, found[-1]) else "your last line equals the start, but"
                joined = f"{again}: {form.says}." if again.endswith("again") else f"{again} {form.says}."
                return verdicts.failed(self, f"form:{form.id}", joined, form.cause, self.tags[0], **more)
        if len(found) < self.at_least:
            count = f"{len(found)} line{'s' * (len(found) != 1)}"
            what = f"your last line is right, and it was reached in {count}; the card asks for at least {self.at_least}."
            return verdicts.failed(self, "skipped", what, "Write down what happens in between: one idea a line.", self.tags[0], **more)
        kind = getattr(worlds.worlds[0], "instances", "sets of numbers and functions")
        verified = f"in {len(worlds.worlds)} {kind} each of your {len(found)} lines equals the line before, and the last has the form asked for."
        return verdicts.passed(self, verified, **more)

    def _shown(self, steps: list[Step]) -> list[dict[str, str]]:
        """Every line with its verdict, as plain data for the page: the start is line 0 and given."""
        rows = [("given", self.start)] + [(step.verdict, step.line) for step in steps]
        return [{"latex": latex(line), "text": text(line), "verdict": verdict} for verdict, line in rows]

    def _repeated(self, step: Step) -> Slip:
        if step.number == 1:
            return Slip("repeats", f"Line 1 is the start itself, {text(self.start)}, perhaps in another order or with other names.",
                        "Return only the lines that come after it.")
        return Slip("repeats", f"Line {step.number} repeats line {step.number - 1} in another order or with other names.", "Leave one of them out.")

    def _wrong(self, step: Step, worlds: Worlds, more: Mapping[str, Any], also: str) -> Report:
        this, last = f"line {step.number}", f"line {step.number - 1}" if step.number > 1 else "the start"
        if step.verdict == lines.UNDEFINED:
            return self._undefined(step, worlds, this, more)
        left, right = apart(step.left, step.right)
        smallest = f"in the world {worlds.describe(step)}: {last} is {left} and {this} is {right}."
        differ = f"{this} does not equal {last}"
        if named := self._named(step.line, worlds):
            tags, causes = " and ".join(dict.fromkeys(m.tag for m in named)), " ".join(m.cause for m in named)
            what = f"{differ}: it is {' and, at once, '.join(m.sentence for m in named)}. See eq. {tags}.{also}"
            return verdicts.failed(self, "+".join(m.id for m in named), what, causes, named[0].tag, smallest=smallest, **more)
        if step.verdict == lines.UNDECIDED:
            what = f"{this} cannot be told from {last}, nor shown to equal it: they differ by {abs(step.left - step.right):.1g}."
            cause = "Numbers that were rounded by hand do this. Keep symbols, and fractions such as `x / 3`."
            return verdicts.failed(self, "undecided", what, cause, self.tags[0], smallest=smallest, **more)
        if not step.line.free_symbols and not step.line.atoms(AppliedUndef):
            what = f"{differ}: {this} is one number, {text(step.line)[:60]}, and {last} is worth something else in every world."
            cause = "Keep the symbols. A number that was computed for one choice of them says nothing about another."
            return verdicts.failed(self, "number", what, cause, self.tags[0], smallest=smallest, **more)
        guess = self._guess(step, worlds, this, last)
        return verdicts.failed(self, "property:step", f"{differ}.{also}", guess, self.tags[0], smallest=smallest, **more)

    def _undefined(self, step: Step, worlds: Worlds, this: str, more: Mapping[str, Any]) -> Report:
        if step.world is None:
            return verdicts.failed(self, "undefined", f"{this} has no value: {step.why}", "Every symbol needs an operator that runs over it.",
                                   self.tags[0], **more)
        where = f"in the world {worlds.describe(step)}."
        return verdicts.failed(self, "undefined", f"{this} has no finite value.", "Look for a logarithm or a root of a negative number, and for 0/0.",
                               self.tags[0], smallest=where, **more)

    def _guess(self, step: Step, worlds: Worlds, this: str, last: str) -> str:
        """What the values alone say about a mistake without a name."""
        ratio = worlds.ratio(step.before, step.line)
        if ratio is not None and abs(ratio) < 1e-6:
            return f"{this[0].upper()}{this[1:]} is 0 in every world: something was differentiated that does not depend on the variable."
        if ratio is not None and abs(ratio + 1) < 1e-6:
            return f"In every world {this} is {last} with the opposite sign."
        if ratio is not None:
            return f"In every world {this} is {ratio:.4g} times {last}: look for a constant factor."
        return "This is the simplest of the worlds tried in which they differ: look for the factor, sign or symbol behind it."

    def _named(self, line: sp.Basic, worlds: Worlds) -> tuple[Mistake, ...]:
        """The mistake, or the two at once, that lead to this line; else those that lead to one worth the same in every world."""
        looks = lines.key(line)
        for named, theirs in self._wrong_lines:
            if looks in theirs:
                return named
        for named, theirs in self._wrong_lines:
            if any(worlds.alike(each, line) and not worlds.alike(each, self.start) for each in theirs.values()):
                return named
        return ()

    @cached_property
    def _wrong_lines(self) -> list[tuple[tuple[Mistake, ...], dict[object, sp.Basic]]]:
        """The lines of every mistake, then of every two of them, by how they look."""
        alone = [((m,), m.function) for m in self.mistakes]
        both = [((first, second), f) for first, second, f in mistakes.pairs(self.reference, self.mistakes)]
        return [(named, {lines.key(line): line for line in map(sp.sympify, f(*self.symbols))}) for named, f in alone + both]


def _also(later: list[Step]) -> str:
    """Which of the lines after the first wrong one do not follow either."""
    wrong = [step.number for step in later if step.verdict not in (lines.HOLDS, lines.REPEATS)]
    return f" Nor does line {wrong[0]} follow from line {wrong[0] - 1}." if wrong else ""


def require_lines(returned: object) -> list:
    """A list of one to twelve things; Slip otherwise."""
    if returned is None:
        raise Slip("returned_none", "Your function returned None.", "If the lines are written, the `return` is missing.")
    if returned is Ellipsis:
        raise Slip("not_attempted", "Your function returned `...`, the placeholder.")
    if isinstance(returned, sp.Basic):
        what = "Your function returned one expression; a list of lines is expected."
        raise Slip("type", what, "Put the lines in square brackets: return [line_1, line_2].")
    if type(returned) not in (list, tuple):
        what = f"Your function returned a {type(returned).__name__}; a list of lines is expected."
        raise Slip("type", what, "return [line_1, line_2], each an expression.")
    if returned and all(line is Ellipsis for line in returned):
        raise Slip("not_attempted", "The list holds nothing but `...`, the placeholder.")
    if not returned:
        what = "Your function returned an empty list."
        raise Slip("empty", what, "Return the lines that come after the start, the last one in the form that is asked for.")
    if len(returned) > LINES_AT_MOST:
        raise Slip("size", f"Your function returned {len(returned)} lines; at most {LINES_AT_MOST} are read.", "One idea a line is enough.")
    return list(returned)


def _tree(line: object, place: str) -> Tree:
    """One line as data. Whole numbers and floats are lines too: a derivation may end in 0."""
    if type(line) is float and not math.isfinite(line):
        raise Slip("not_finite", f"{_capital(place)} is {line}.", "A line is an expression, built from your function's arguments.")
    line = sp.sympify(line) if type(line) in (int, float) else line
    if line is Ellipsis:
        raise Slip("unfinished", f"{_capital(place)} is still `...`, the placeholder.", PLACEHOLDER)
    if isinstance(line, str):
        raise Slip("type", f"{_capital(place)} is a string.", "Write the expression itself, without quotation marks: E(eps, N(0, 1), Q(s, eps)).")
    if not isinstance(line, sp.Expr):
        raise Slip("type", f"{_capital(place)} is a {type(line).__name__}; an expression is expected.", "Build it from your function's arguments.")
    try:
        return to_tree(line)
    except TreeRefused as refused:
        raise _slip(refused, place) from None


def _slip(refused: TreeRefused, place: str) -> Slip:
    return Slip({"node": "type", "name": "symbol"}.get(refused.kind, refused.kind), f"{_capital(place)} cannot be read: {refused.sentence}")


def _capital(place: str) -> str:
    return place[0].upper() + place[1:]


def apart(left: float, right: float) -> tuple[str, str]:
    """Two numbers with as many digits as it takes to tell them apart, at least four; what is below 1e-10 is rounding and reads 0."""
    left, right = (0.0 if abs(x) < 1e-10 else x for x in (left, right))
    return next(((a, b) for a, b in ((f"{left:.{n}g}", f"{right:.{n}g}") for n in range(4, 17)) if a != b), (f"{left:.4g}", f"{right:.4g}"))
