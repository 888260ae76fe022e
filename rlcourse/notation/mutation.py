"""Would a wrong version of this derivation have been noticed? Every step is checked again with each of its mutants in its place.

A mutant is *caught* if the step then fails. One that survives is either equal after all (the derivation says so with `also_equals`, naming the lemma,
or sympy proves it by expanding) or unexplained: then the worlds on which the step is tried are too weak, and the text could be wrong unnoticed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import sympy as sp

from rlcourse.notation.canonical import canonical, expands_to
from rlcourse.notation.derivation import Derivation, Step
from rlcourse.notation.mutants import Context, Mutant, context_of, mutants, negated
from rlcourse.notation.pens import text
from rlcourse.notation.relations import Ordered, UpTo
from rlcourse.notation.verdict import Verdict
from rlcourse.notation.written import WrittenAdd, WrittenMul, WrittenPow

CAUGHT, UNDECIDED, UNDEFINED, EQUAL, SURVIVOR = "caught", "undecided", "undefined", "equal", "survivor"
FATES = (CAUGHT, UNDECIDED, EQUAL, UNDEFINED, SURVIVOR)


@dataclass(frozen=True)
class Outcome:
    """What became of one mutant. `step`: which step was checked; `line`: which of its lines was changed; `why`: why it is equal, or the error."""

    step: int
    line: str
    mutant: Mutant
    fate: str
    why: str = ""


def outcomes(derivation: Derivation) -> Iterator[Outcome]:
    """The fate of every mutant of every line, in order. A dropped assumption is one, and caught: a derivation whose step then holds is refused."""
    context = context_of_derivation(derivation)
    for number, left, step in derivation.pairs():
        for version in _versions(number, left, step, context):
            yield _fate(derivation, number, step, version)
    for record in derivation.assumptions:
        step = derivation.steps[record.number - 1]
        yield Outcome(record.number, "assumption", Mutant("dropped assumption", record.assumption, step.expr), CAUGHT)


def how_many(derivation: Derivation) -> int:
    """The number of mutants, without trying any."""
    context = context_of_derivation(derivation)
    return sum(1 for number, left, step in derivation.pairs() for _ in _versions(number, left, step, context)) + len(derivation.assumptions)


def context_of_derivation(derivation: Derivation) -> Context:
    """All that occurs anywhere in the chain or in its definitions."""
    return context_of(derivation.start, *(s.expr for s in derivation.steps), *(right for _, right in derivation.definitions))


def checked_steps(derivation: Derivation) -> set[int]:
    """The numbers of the steps that can fail: at least one mutant of each does. A check that nothing can fail is no check."""
    found, context = set(), context_of_derivation(derivation)
    for number, left, step in derivation.pairs():
        tried = (_fate(derivation, number, step, version).fate for version in _versions(number, left, step, context))
        if CAUGHT in tried:
            found.add(number)
    return found


Version = tuple[str, Mutant, tuple[sp.Basic, sp.Basic]]    # which line is changed, how, and the two lines to compare


def _versions(number: int, left: sp.Basic, step: Step, context: Context) -> Iterator[Version]:
    """The mutants of a step's own line; for the first step those of the start, which is nobody's right side; then those of the relation itself."""
    yield from (("right", wrong, (left, wrong.expr)) for wrong in mutants(step.expr, context))
    if number == 1:
        yield from (("start", wrong, (wrong.expr, step.expr)) for wrong in mutants(left, context))
    if isinstance(step.rule, Ordered):
        yield "relation", Mutant("other inequality", step.relation, step.expr), (step.expr, left)
    if isinstance(step.rule, UpTo):
        constant, neutral = step.rule.constant, sp.Integer(int(step.rule.factor))
        for wrong in [Mutant("dropped constant", text(constant), neutral), *mutants(constant, context)]:
            yield "constant", wrong, (left, _moved(step, wrong.expr))


def _moved(step: Step, constant: sp.Expr) -> sp.Expr:
    """The line that, completed with the step's own constant, is the line completed with another one."""
    if step.rule.factor:
        return WrittenMul(step.expr, constant, WrittenPow(step.rule.constant, -1))
    return WrittenAdd(step.expr, constant, negated(step.rule.constant))


def _fate(derivation: Derivation, number: int, step: Step, version: Version) -> Outcome:
    line, wrong, sides = version
    try:
        verdict: Verdict = derivation.verdict_of(number, *sides)
    except Exception as error:                      # an index outside the horizon, a law that does not add up: such a line means nothing
        return Outcome(number, line, wrong, UNDEFINED, f"{type(error).__name__}: {error}")
    if verdict.holds is False:
        return Outcome(number, line, wrong, CAUGHT)
    position = {"right": number, "start": 0}.get(line)
    reason = "" if position is None else _why_equal(derivation, number, wrong.expr, position)
    if reason:
        return Outcome(number, line, wrong, EQUAL, reason)
    return Outcome(number, line, wrong, UNDECIDED if verdict.holds is None else SURVIVOR, verdict.how if verdict.holds is None else "")


def _why_equal(derivation: Derivation, number: int, wrong: sp.Basic, position: int) -> str:
    """The checked reason why a mutant of the line at `position` (0 is the start) is no error, or nothing."""
    for other in derivation.alternatives:
        if other.number == number and canonical(other.expr) == canonical(wrong):
            return f"equal, because [{other.tag}] {other.title}"
    lines = [derivation.start, *(step.expr for step in derivation.steps)]
    for same in _equal_lines(derivation, position):
        if expands_to(wrong, lines[same]):
            other = f"line {same}" if same else "the first line"
            return "equal: sympy expands both to the same" if same == position else f"equal: it is {other} of this derivation"
    return ""


def _equal_lines(derivation: Derivation, position: int) -> list[int]:
    """The lines that the derivation itself shows to be equal to the one at `position`: that one first, then those joined to it by = alone."""
    first = last = position
    while first > 0 and derivation.steps[first - 1].relation == "=":
        first -= 1
    while last < len(derivation.steps) and derivation.steps[last].relation == "=":
        last += 1
    return [position, *(i for i in range(first, last + 1) if i != position)]
