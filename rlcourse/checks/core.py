"""Exercise: what a student implements, the cases it is tried on, the properties it must have, and the mistakes that are recognised by name.

Order of assessment: not attempted; slips (type, dtype, shape, not finite, changed inputs, an exception, no end), which cost nothing and say what was
expected; properties, which never use the reference answer; and, for an answer that breaks one, its numbers are matched against every named
mistake's numbers on the same inputs, alone and in pairs. Two mistakes with the same numbers on all cases: the one listed first is said, and one
mistake before two at once; the other names it as its `same_as`.
"""

import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from rlcourse.checks import compare, given, mistakes, shrink, solutions, verdicts
from rlcourse.checks.calls import SECONDS, Guard
from rlcourse.checks.compare import Slip
from rlcourse.checks.interface import Interface
from rlcourse.checks.mistakes import Mistake
from rlcourse.checks.properties import Answer, Breach, Case, Inputs, Property, number
from rlcourse.checks.report import Report

__all__ = ["Answer", "Breach", "Case", "Exercise", "Inputs", "Property", "number"]


@dataclass(frozen=True)
class Exercise:
    """See the module. difficulty and importance are 1 to 5; importance says how much of the course builds on it.

    The interface gives what is left out: signature, adapter(f) (arrays -> arrays), cases(rng), describe(inputs), and outputs(inputs), which is
    {name: shape} with the student's own answer first.
    """

    id: str
    function: str
    title: str
    tags: tuple[str, ...]
    minutes: int
    difficulty: int
    points: float
    lecture: str
    hints: tuple[str, str, str]
    reference: Callable
    properties: tuple[Property, ...]
    mistakes: tuple[Mistake, ...]
    interface: Interface | None = None
    signature: str = ""
    adapter: Callable[[Callable], Callable[..., Answer]] | None = None
    cases: Callable[[np.random.Generator], list[Case]] | None = None
    outputs: Callable[[Inputs], dict[str, tuple[int, ...]]] | None = None
    describe: Callable[[Inputs], str] | None = None
    importance: int = 3
    shrinks: bool = True  # False: show the case as it was drawn, which saves time where nobody reads it
    kind: str = "function"

    def __post_init__(self) -> None:
        if self.interface is None:
            return
        made = {"signature": f"{self.function}({', '.join(self.interface.inputs)})", "adapter": self.interface.adapter,
                "cases": self.interface.cases, "outputs": self.interface.shapes, "describe": self.interface.describe}
        for name, default in made.items():
            if not getattr(self, name):
                object.__setattr__(self, name, default)

    @property
    def solution(self) -> Callable | None:
        """The worked solution, or None in a release."""
        return solutions.solution(self.id, self.function)

    @property
    def alternatives(self) -> tuple[Callable, ...] | None:
        """Right answers written differently, or None in a release."""
        return solutions.alternatives(self.id)

    @property
    def stub(self) -> Callable:
        """The function as a student finds it."""
        return verdicts.stub(self)

    @property
    def twins(self) -> dict[str, str]:
        """Mistake -> the one that is said in its place, because both give the same numbers on all cases."""
        return {mistake.id: mistake.same_as for mistake in self.mistakes if mistake.same_as}

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
            report = verdicts.refused(self, slip)
        printed = answer.printed.getvalue()[:400] if hasattr(answer, "printed") else ""
        return replace(report, details=report.details | {"seed": seed, "cases": len(cases), "printed": printed})

    def drawn(self, seed: int) -> list[Case]:
        """The cases of this seed."""
        return self.cases(np.random.default_rng([seed, zlib.crc32(self.id.encode())]))

    # ---- what is found ----

    def _judged(self, answer: Callable[..., Answer], cases: list[Case]) -> Report:
        answers = [self._answer_to(case, answer) for case in cases]
        slip = self._first_slip(cases, answers)
        broken, breach = (None, None) if slip else self._first_breach(answer, cases, answers)
        if slip is None and broken is None:
            return self._passed(cases)
        named = self._named(cases, answers)
        if named:
            smallest = {"smallest": self._smallest_slip(answer, slip, cases).sentence} if slip else self._smallest(answer, broken, breach)
            causes = " ".join(mistake.cause for mistake in named)
            diagnosis = "+".join(mistake.id for mistake in named)
            return verdicts.failed(self, diagnosis, self._sentence(named, len(cases)), causes, named[0].tag, **smallest)
        degenerate = self._degenerate(cases, answers)
        if degenerate:
            return verdicts.failed(self, *degenerate, self.tags[0])
        if slip:
            raise self._smallest_slip(answer, slip, cases)
        what = f"this does not hold: {broken.says}."
        return verdicts.failed(self, f"property:{broken.id}", what, broken.cause, broken.tag, **self._smallest(answer, broken, breach))

    def _answer_to(self, case: Case, answer: Callable[..., Answer]) -> Answer:
        try:
            return answer(**case.inputs)
        except Slip as slip:
            if slip.kind in ("exception", "timeout", "mutated"):
                same = (slip.kind, slip.sentence)
                small = slip.kind != "timeout" and self._shrunk(case.inputs, lambda inputs: self._slip_of(answer, inputs) == same)
                slip.given = self.describe(small or case.inputs)
            raise

    def _first_slip(self, cases: list[Case], answers: list[Answer]) -> Slip | None:
        def one_number(pair: tuple[Case, Answer]) -> bool:
            return any(1 in shape for shape in self.outputs(pair[0].inputs).values())

        try:
            for case, answer in sorted(zip(cases, answers), key=one_number):  # sizes of one last: there (B, 1) and (1, B) look alike
                self._require_wellformed(case.inputs, answer)
        except Slip as slip:
            return slip
        return None

    def _require_wellformed(self, inputs: Inputs, answer: Answer) -> None:
        shapes, words = self.outputs(inputs), self.describe(inputs)
        for name, shape in shapes.items():
            what = "the answer" if len(shapes) == 1 else f"`{name}`"
            axes = self.interface.axes_of(name) if self.interface else ()
            compare.require_shape(answer[name], shape, words, named=given.shape_by_name(axes, shape), what=what)
        for name in shapes:
            compare.require_finite(answer[name], words)

    def _wellformed(self, answer: Callable[..., Answer], inputs: Inputs) -> Answer:
        found = answer(**inputs)
        self._require_wellformed(inputs, found)
        return found

    def _slip_of(self, answer: Callable[..., Answer], inputs: Inputs) -> tuple[str, str]:
        try:
            self._wellformed(answer, inputs)
        except Slip as slip:
            return slip.kind, slip.sentence
        return "", ""

    def _first_breach(self, answer: Callable, cases: list[Case], answers: list[Answer]) -> tuple[Property, tuple[Case, Breach]] | tuple[None, None]:
        """The first property that breaks, with the smallest of the cases on which it does."""
        order = sorted(range(len(cases)), key=lambda k: _numbers(cases[k].inputs))
        for property in self.properties:
            seen = [id(case) for case in property.of(cases)]
            if property.looks is not None and len(seen) > property.looks:
                raise ValueError(f"{property.id} looks at {len(seen)} cases; its false-alarm rate counts on {property.looks}.")
            for k in order:
                breach = property.test(cases[k].inputs, answers[k], lambda inputs: self._wellformed(answer, inputs)) if id(cases[k]) in seen else None
                if breach:
                    return property, (cases[k], breach)
        return None, None

    # ---- the smallest case ----

    def _smallest(self, answer: Callable, broken: Property, found: tuple[Case, Breach]) -> dict[str, str]:
        """The first of the property's simple inputs on which it still breaks, or the case that broke, shrunk: in words, and as a call."""
        case, breach = found

        def breach_on(inputs: Inputs, by: Callable[..., Answer] = answer) -> Breach | None:
            try:
                return broken.test(inputs, self._wellformed(by, inputs), lambda other: self._wellformed(by, other))
            except Exception:  # a slip, or inputs so small that the property itself has no meaning there
                return None

        if broken.simple:
            simple = (each for each in map(breach_on, broken.simple(case.inputs)) if each)
            breach = next(simple, breach)
        else:
            right = self.adapt(self.reference)
            inputs = self._shrunk(case.inputs, lambda inputs: breach_on(inputs) is not None and breach_on(inputs, right) is None)
            breach = breach_on(inputs) or breach
        return self._shown(breach)

    def _shown(self, breach: Breach) -> dict[str, str]:
        words = breach.given if isinstance(breach.given, str) else self.describe(breach.given)
        call = self.interface.call(self.function, breach.given) if self.interface and isinstance(breach.given, dict) else ""
        return {"smallest": f"for {words}: expected {breach.expected}, yours {breach.got}.", "call": call}

    def _shrunk(self, inputs: Inputs, breaks: Callable[[Inputs], bool]) -> Inputs:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return shrink.shrunk(self.interface if self.shrinks else None, inputs, breaks)

    def _smallest_slip(self, answer: Callable, slip: Slip, cases: list[Case]) -> Slip:
        """NaN or infinity on the smallest inputs found that show it; any other slip as it came."""
        if slip.kind != "not_finite":
            return slip
        for inputs in self._candidates(cases):
            kind, _ = self._slip_of(answer, inputs)
            if kind == slip.kind:
                smallest = self._shrunk(inputs, lambda inputs: self._slip_of(answer, inputs)[0] == slip.kind)
                return Slip(slip.kind, self._slip_of(answer, smallest)[1], slip.cause)
        return slip

    def _candidates(self, cases: list[Case]) -> Iterator[Inputs]:
        simple = [inputs for property in self.properties if property.simple for inputs in property.simple(property.of(cases)[0].inputs)]
        yield from sorted(simple + [case.inputs for case in cases], key=_numbers)

    # ---- which mistake it is ----

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

    def _passed(self, cases: list[Case]) -> Report:
        dtypes = sorted({str(array.dtype) for case in cases for array in case.inputs.values() if array.dtype.kind == "f"})
        return verdicts.passed(self, f"on {len(cases)} cases ({', '.join(dtypes)}): " + "; ".join(p.says for p in self.properties) + ".")


def _numbers(inputs: Inputs) -> int:
    return sum(array.size for array in inputs.values())
