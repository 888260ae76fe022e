"""Find the bug: the package's own agent with one silent defect, and a student's function that names the defect from what it measures.

A defect is a named mistake put into the real agent, either in an equation (replaced through `using`) or in the agent's source (a substitution that
applies exactly once). The student's function gets a suspect, asks it what it computes (its "test points"), and returns a name from the card, or
"healthy". `evaluate` tries it on agents with every defect and on healthy ones, in random order, with random networks, settings and data.

All that passes between student and agent is `ask(probe, arrays) -> arrays`, with arrays a dict of numpy arrays: the student's side holds a front
(`BugHunt.front`) around `ask`, the agent is on the other side (`BugHunt.patient`). In this process `ask` is an ordinary method, and code that looks
into its closure finds the defect. A grader therefore keeps `patient` in its own process, hands the worker an `ask` that writes to a pipe, and has to
hide the case (its defect and its seeds), the order of the cases, and how many of each there are. Cases are plain data (`Case`), so that a patient can
be rebuilt from them anywhere.
"""

import functools
import inspect
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rlcourse.checks import solutions, verdicts
from rlcourse.checks.calls import SECONDS, Guard
from rlcourse.checks.compare import Slip
from rlcourse.checks.mistakes import Mistake, Swap
from rlcourse.checks.report import Report
from rlcourse.equations import using

HEALTHY = "healthy"
Arrays = dict[str, np.ndarray]
Ask = Callable[[str, Arrays], Arrays]


@dataclass(frozen=True)
class Defect:
    """One silent defect. id: the name a student's function returns. says: what is wrong, for the card. shows: completes "It shows: ...".

    equations: functions of rlcourse.equations to replace, by name. swaps: substitutions in the agent's source.
    """

    id: str
    says: str
    shows: str
    tag: str
    equations: Mapping[str, Callable] = field(default_factory=dict)
    swaps: tuple[Swap, ...] = ()


@dataclass(frozen=True)
class Case:
    """One suspect: its defect (an id, or "healthy") and the plain numbers from which the rest of it is rebuilt."""

    defect: str
    plain: dict[str, Any]


@dataclass(frozen=True)
class BugHunt:
    """See the module. front(ask) is what the student's function gets; patient(defect or None, plain) answers its probes; plain(rng) draws one agent's
    settings. twice: how many cases beyond one for each defect and one healthy agent. difficulty is 1 to 5."""

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
    defects: tuple[Defect, ...]
    front: Callable[[Ask], Any]
    patient: Callable[[Defect | None, dict[str, Any]], Ask]
    plain: Callable[[np.random.Generator], dict[str, Any]]
    mistakes: tuple[Mistake, ...]
    twice: int = 3
    importance: int = 3
    kind: str = "bug"

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
    def names(self) -> tuple[str, ...]:
        """What a student's function may return."""
        return (*(defect.id for defect in self.defects), HEALTHY)

    def adapt(self, f: Callable, seconds: float = SECONDS) -> Callable[[Ask], str]:
        """The student's function as ask -> name. Raises Slip for what cannot be judged. See the module for what a grader has to hide."""
        guard = Guard(f, self.signature, seconds)

        def answer(ask: Ask) -> str:
            return self._require_name(guard(self.front(ask)))

        answer.printed = guard.printed
        return answer

    def evaluate(self, f: Callable, seed: int = 0, seconds: float = SECONDS) -> Report:
        """Assess a student's function as it is written in the notebook. The same seed gives the same report."""
        return self.assess(self.adapt(f, seconds), seed)

    def assess(self, answer: Callable[[Ask], str], seed: int = 0) -> Report:
        """Assess ask -> name: the result of `adapt`, in this process or a stand-in for one in another."""
        cases = self.drawn(seed)
        try:
            report = self._judged(cases, [answer(self.ask(case)) for case in cases])
        except Slip as slip:
            report = verdicts.refused(self, slip)
        printed = answer.printed.getvalue()[:400] if hasattr(answer, "printed") else ""
        return replace(report, details=report.details | {"seed": seed, "cases": len(cases), "printed": printed})

    def drawn(self, seed: int) -> list[Case]:
        """The suspects of this seed, every defect and the healthy agent among them, in random order."""
        rng = np.random.default_rng([seed, zlib.crc32(self.id.encode())])
        names = [*self.names, *rng.choice(self.names, self.twice).tolist()]
        return [Case(names[k], self.plain(rng)) for k in rng.permutation(len(names))]

    def ask(self, case: Case) -> Ask:
        """A fresh agent for a case, to be asked."""
        return self.patient(self.defect(case.defect), case.plain)

    def suspect(self, name: str = HEALTHY, seed: int = 0) -> Any:
        """A suspect to look at in a notebook: the agent with this defect, or the healthy one."""
        return self.front(self.patient(self.defect(self._require_name(name)), self.plain(np.random.default_rng(seed))))

    def defect(self, name: str) -> Defect | None:
        """The defect of this name; None for "healthy"."""
        return next((defect for defect in self.defects if defect.id == name), None)

    def _require_name(self, value: object) -> str:
        listed = f"The names are {', '.join(self.names)}."
        if value is None:
            raise Slip("returned_none", "Your function returned None.", f"A path through it ends without `return`. {listed}")
        if value is Ellipsis:
            raise Slip("not_attempted", "Your function returned `...`, the placeholder.")
        if type(value) is not str:
            raise Slip("type", f"Your function returned something of type {type(value).__name__}; the name of a defect is expected.", listed)
        if value not in self.names:
            raise Slip("name", f"Your function returned {value[:40]!r}, which is not on the card.", listed)
        return value

    def _judged(self, cases: list[Case], said: list[str]) -> Report:
        wrong = [(case, name) for case, name in zip(cases, said) if name != case.defect]
        if not wrong:
            healthy = sum(case.defect == HEALTHY for case in cases)
            return verdicts.passed(self, f"on {len(cases)} agents ({healthy} healthy, {len(self.defects)} kinds of defect) every name was right.")
        if len(set(said)) == 1:
            return verdicts.failed(self, "constant", f"your function says {said[0]!r} of all {len(cases)} agents.",
                                   "Its result does not depend on what it measures.", self.tags[0])
        score = f"{len(cases) - len(wrong)} of {len(cases)} agents are named rightly."
        for mistake in self.mistakes:
            if self._same(mistake.function, cases, said):
                return verdicts.failed(self, mistake.id, f"your function names all {len(cases)} agents as one does that {mistake.sentence}; {score}",
                                       mistake.cause, mistake.tag, smallest=self._said(*wrong[0]))
        first = min(wrong, key=lambda pair: self.names.index(pair[0].defect))
        tag = (self.defect(first[0].defect) or self.defect(first[1])).tag
        return verdicts.failed(self, f"property:{first[0].defect}", score, self._shows(*first), tag, smallest=self._said(*first))

    def _same(self, wrong: Callable, cases: list[Case], said: list[str]) -> bool:
        answer = self.adapt(wrong)
        try:
            return all(answer(self.ask(case)) == name for case, name in zip(cases, said))
        except Slip:
            return False

    def _said(self, case: Case, name: str) -> str:
        settings = ", ".join(f"{key} = {value:.3g}" if isinstance(value, float) else f"{key} = {value}" for key, value in case.plain.items())
        return f"the agent with {settings} is {self._what(case.defect)}; your function says {name!r}."

    def _what(self, name: str) -> str:
        defect = self.defect(name)
        return f"{name!r} ({defect.says})" if defect else "healthy"

    def _shows(self, case: Case, name: str) -> str:
        missed, seen = self.defect(case.defect), self.defect(name)
        if missed:
            return f"{missed.id!r} shows like this: {missed.shows}"
        return f"A healthy agent was accused of {seen.id!r}, which shows like this: {seen.shows} Compare with a tolerance that float32 can meet."


@functools.cache
def defective(agent_class: type, swaps: tuple[Swap, ...]) -> type:
    """An agent's class with pieces of its source replaced. Each old piece must occur exactly once, else ValueError."""
    source = inspect.getsource(agent_class)
    for old, new in swaps:
        if source.count(old) != 1:
            raise ValueError(f"{agent_class.__name__}: the piece {old!r} occurs {source.count(old)} times in the source, expected once.")
        source = source.replace(old, new)
    namespace = dict(vars(sys.modules[agent_class.__module__]))
    exec(compile(source, f"<{agent_class.__name__} with one defect>", "exec"), namespace)
    return namespace[agent_class.__name__]


@contextmanager
def recording(functions: Mapping[str, Callable]) -> Iterator[dict[str, Any]]:
    """Run the package with these equation functions in place, and keep what each of them returned last: {name: value}."""
    returned: dict[str, Any] = {}

    def kept(name: str, function: Callable) -> Callable:
        def call(*arguments: Any, **named: Any) -> Any:
            returned[name] = function(*arguments, **named)
            return returned[name]

        return call

    with using(**{name: kept(name, function) for name, function in functions.items()}):
        yield returned
