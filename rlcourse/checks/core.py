"""Exercise: what a student implements, the cases it is tried on, the properties it must have, and the mistakes that are recognised by name.

Order of assessment: not attempted; slips (type, dtype, shape, not finite, changed inputs, an exception, no end), which cost nothing and say what was
expected; properties, which never use the reference answer; and, for an answer that breaks one, its numbers are matched against every named
mistake's numbers on the same inputs, alone and in pairs. Two mistakes with the same numbers: the one listed first is said.
"""

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rlcourse.checks import compare, mistakes, solutions
from rlcourse.checks.calls import SECONDS, Guard
from rlcourse.checks.compare import Slip
from rlcourse.checks.mistakes import Mistake
from rlcourse.checks.report import Report

Inputs = dict[str, np.ndarray]
Answer = dict[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """One set of inputs. kind: which properties look at it."""

    kind: str
    inputs: Inputs


@dataclass(frozen=True)
class Breach:
    """A property that does not hold for an answer: the inputs in words, what was expected, what came."""

    given: str
    expected: str
    got: str


@dataclass(frozen=True)
class Property:
    """Something a right answer must satisfy, whatever way it is written.

    says: completes "it was verified that ...". cause: the likely cause when it breaks. kinds: the kinds of case it looks at.
    test(inputs, answer, ask) -> Breach or None; ask(inputs) calls the student's function on other inputs.
    simple(inputs) yields inputs from the simplest on, on which a breach can be followed by hand.
    """

    id: str
    says: str
    cause: str
    tag: str
    kinds: tuple[str, ...]
    test: Callable[[Inputs, Answer, Callable[[Inputs], Answer]], Breach | None]
    simple: Callable[[Inputs], Iterable[Inputs]]


@dataclass(frozen=True)
class Exercise:
    """See the module. adapter(f) is arrays -> arrays; outputs(inputs) gives {name: shape}, the student's own answer first; difficulty is 1 to 5."""

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
    adapter: Callable[[Callable], Callable[..., Answer]]
    cases: Callable[[np.random.Generator], list[Case]]
    outputs: Callable[[Inputs], dict[str, tuple[int, ...]]]
    describe: Callable[[Inputs], str]
    properties: tuple[Property, ...]
    mistakes: tuple[Mistake, ...]

    @property
    def solution(self) -> Callable | None:
        """The worked solution, or None in a release."""
        return solutions.solution(self.id, self.function)

    @property
    def alternatives(self) -> tuple[Callable, ...] | None:
        """Right answers written differently, or None in a release."""
        return solutions.alternatives(self.id)

    def adapt(self, f: Callable, seconds: float = SECONDS) -> Callable[..., Answer]:
        """The student's function as arrays -> arrays, so that it may live in another process. Raises Slip for what cannot be judged."""
        guard = Guard(f, self.signature, seconds)
        arrays_to_arrays = self.adapter(guard)
        arrays_to_arrays.printed = guard.printed
        return arrays_to_arrays

    def evaluate(self, f: Callable, seed: int = 0, seconds: float = SECONDS) -> Report:
        """Assess a student's function as it is written in the notebook. The same seed gives the same report."""
        return self.assess(self.adapt(f, seconds), seed)

    def assess(self, answer: Callable[..., Answer], seed: int = 0) -> Report:
        """Assess arrays -> arrays: the result of `adapt`, in this process or a stand-in for one in another."""
        cases = self.drawn(seed)
        try:
            report = self._judged(answer, cases)
        except Slip as slip:
            report = self.refused(slip)
        printed = answer.printed.getvalue()[:400] if hasattr(answer, "printed") else ""
        return replace(report, details=report.details | {"seed": seed, "cases": len(cases), "printed": printed})

    def drawn(self, seed: int) -> list[Case]:
        """The cases of this seed."""
        return self.cases(np.random.default_rng([seed, zlib.crc32(self.id.encode())]))

    def _judged(self, answer: Callable[..., Answer], cases: list[Case]) -> Report:
        answers = [self._answer_to(case, answer) for case in cases]
        slip = self._first_slip(cases, answers)
        broken, breach = (None, None) if slip else self._first_breach(answer, cases, answers)
        if slip is None and broken is None:
            return self._passed(cases)
        named = self._named(cases, answers)
        if named:
            smallest = self._smallest_slip(answer, slip, cases).sentence if slip else self._smallest(answer, broken, breach, cases)
            causes = " ".join(mistake.cause for mistake in named)
            return self._failed("+".join(mistake.id for mistake in named), self._sentence(named, len(cases)), causes, smallest, named[0].tag)
        degenerate = self._degenerate(cases, answers)
        if degenerate:
            return self._failed(*degenerate, "", self.tags[0])
        if slip:
            raise self._smallest_slip(answer, slip, cases)
        what = f"this does not hold: {broken.says}."
        return self._failed(f"property:{broken.id}", what, broken.cause, self._smallest(answer, broken, breach, cases), broken.tag)

    def _answer_to(self, case: Case, answer: Callable[..., Answer]) -> Answer:
        try:
            return answer(**case.inputs)
        except Slip as slip:
            slip.given = self.describe(case.inputs) if slip.kind in ("exception", "timeout", "mutated") else ""
            raise

    def _first_slip(self, cases: list[Case], answers: list[Answer]) -> Slip | None:
        def one_number(pair: tuple[Case, Answer]) -> bool:
            return (1,) in self.outputs(pair[0].inputs).values()

        try:
            for case, answer in sorted(zip(cases, answers), key=one_number):  # a batch of one last: there (B, 1) and (1, B) look alike
                self._require_wellformed(case.inputs, answer)
        except Slip as slip:
            return slip
        return None

    def _require_wellformed(self, inputs: Inputs, answer: Answer) -> None:
        shapes, given = self.outputs(inputs), self.describe(inputs)
        main = next(iter(shapes))
        compare.require_shape(answer[main], shapes[main], given)
        compare.require_finite(answer[main], given)

    def _first_breach(self, answer: Callable, cases: list[Case], answers: list[Answer]) -> tuple[Property | None, Breach | None]:
        def ask(inputs: Inputs) -> Answer:
            given = answer(**inputs)
            self._require_wellformed(inputs, given)
            return given

        for property in self.properties:
            for case, given in zip(cases, answers):
                breach = property.test(case.inputs, given, ask) if case.kind in property.kinds else None
                if breach:
                    return property, breach
        return None, None

    def _smallest(self, answer: Callable, broken: Property, breach: Breach, cases: list[Case]) -> str:
        """The first of the property's simple inputs on which it still breaks, else the case that broke."""
        kind = next(case for case in cases if case.kind in broken.kinds)
        for inputs in broken.simple(kind.inputs):
            try:
                given = answer(**inputs)
                self._require_wellformed(inputs, given)
                smaller = broken.test(inputs, given, lambda other: answer(**other))
            except Slip:
                continue
            if smaller:
                breach = smaller
                break
        return f"for {breach.given}: expected {breach.expected}, yours {breach.got}."

    def _smallest_slip(self, answer: Callable, slip: Slip, cases: list[Case]) -> Slip:
        """NaN or infinity on the smallest of the simple inputs that show it; any other slip as it came."""
        if slip.kind != "not_finite":
            return slip
        first = {property.id: next(case.inputs for case in cases if case.kind in property.kinds) for property in self.properties}
        simple = [inputs for property in self.properties for inputs in property.simple(first[property.id])]
        for inputs in sorted(simple, key=lambda inputs: sum(array.size for array in inputs.values())):
            try:
                self._require_wellformed(inputs, answer(**inputs))
            except Slip as smaller:
                if smaller.kind == slip.kind:
                    return smaller
        return slip

    def _named(self, cases: list[Case], answers: list[Answer]) -> tuple[Mistake, ...]:
        """The mistake, or the two mistakes, whose numbers equal the student's on every case."""
        for mistake in self.mistakes:
            if self._matches(mistake.function, cases, answers):
                return (mistake,)
        for first, second, function in mistakes.pairs(self.reference, self.mistakes):
            if self._matches(function, cases, answers):
                return first, second
        return ()

    def _matches(self, function: Callable, cases: list[Case], answers: list[Answer]) -> bool:
        wrong = self.adapt(function)
        try:
            return all(compare.same_numbers(answer, wrong(**case.inputs)) for case, answer in zip(cases, answers))
        except Slip:
            return False

    def _degenerate(self, cases: list[Case], answers: list[Answer]) -> tuple[str, str, str] | None:
        main = next(iter(self.outputs(cases[0].inputs)))
        values = [answer[main] for answer in answers]
        for name in cases[0].inputs:
            if all(np.array_equal(value, case.inputs[name]) for value, case in zip(values, cases)):
                cause = "The computation is missing, or its result is not what is returned."
                return "returns_input", f"your function returns its input `{name}` unchanged.", cause
        if all(value.size and np.isfinite(value).all() and (value == values[0].flat[0]).all() for value in values):
            return "constant", f"your function returns {number(values[0].flat[0])} whatever it is given.", "Its result does not depend on the inputs."
        return None

    def _sentence(self, named: tuple[Mistake, ...], count: int) -> str:
        tags = " and ".join(dict.fromkeys(m.tag for m in named))
        return f"your values equal {' and, at once, '.join(m.sentence for m in named)}, on all {count} cases. See eq. {tags}."

    def _details(self, status: str, **found: Any) -> dict[str, Any]:
        return {"exercise": self.id, "function": self.function, "status": status} | found

    def _passed(self, cases: list[Case]) -> Report:
        dtypes = sorted({str(array.dtype) for case in cases for array in case.inputs.values()})
        verified = f"on {len(cases)} cases ({', '.join(dtypes)}): " + "; ".join(p.says for p in self.properties) + "."
        return Report(True, 1.0, "passed", self._details("passed", verified=verified))

    def _failed(self, diagnosis: str, what: str, cause: str, smallest: str, tag: str) -> Report:
        found = self._details("failed", what=what, cause=cause, smallest=smallest, read=self._read(tag), hint=self._hint())
        return Report(False, 0.0, diagnosis, found)

    def refused(self, slip: Slip) -> Report:
        """The report on an answer that cannot be judged."""
        waiting = slip.kind in ("not_attempted", "returned_none")
        status = "not attempted" if waiting else "failed" if slip.kind == "not_finite" else "slip"
        read = "" if waiting else self._read(self.tags[0])
        todo = "write the body of the function, run its cell, then run this one again." if slip.kind == "not_attempted" else ""
        what = "" if todo else slip.sentence
        found = self._details(status, todo=todo, what=what, cause=slip.cause, given=slip.given, read=read, hint=self._hint())
        return Report(False, 0.0, slip.kind, found)

    def _read(self, tag: str) -> str:
        return f"equation {tag} in lecture {self.lecture}."

    def _hint(self) -> str:
        return f'`hint("{self.id}")` gives the next of {len(self.hints)}.'


def number(value: Any) -> str:
    """A number, or a short list of them, with six digits, for a person to read. What is below 1e-10 is rounding and reads 0."""
    values = np.asarray(value, dtype=np.float64)
    if values.ndim == 0:
        return "0" if abs(values) < 1e-10 else f"{float(values):.6g}"
    shown = ", ".join(number(v) for v in values[:6])
    return f"({shown}{', ...' if len(values) > 6 else ''})"
