"""The gate: every exercise's check is itself tried, on right answers, on wrong ones that somebody wrote, and on wrong ones made by machine.

Right: the solution and its alternatives pass on many seeds. Wrong: the stub, constants and other answers without a computation, answers that know the
visible cases by heart, every named mistake (on every seed, under its own name), every pair of them, and every automatic mutant of the solution. Each
property alone must refuse something. What does not hold is one sentence in `Found.problems`; an exercise without problems is green.

Works with every kind of exercise through id, function, kind, solution, alternatives, mistakes, stub and evaluate(f, seed, seconds).
`mutable = False` on an exercise leaves out the mutants.
"""

import itertools
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from rlcourse.checks import idle, mistakes, mutants, solutions
from rlcourse.checks.mutants import Mutant
from rlcourse.checks.report import Report

SHARE = 0.9  # of the named mistakes that must be recognised as what they are
CONSTANT = ("derive", "predict")  # kinds with one right answer for every seed
LEAST = {"predict": 0}  # alternatives that a kind must have; 2 for the others
_PATIENCE, _SHORTEST = 20.0, 1.0  # a mutant may take so many times as long as the solution, and at least so many seconds


@dataclass(frozen=True)
class Plan:
    """Seeds for each answer of a kind. Right answers: up to `right` while the exercise has used less than `cpu` seconds, and `least` in any case.

    every: 1 for all pairs of mistakes, 4 for every fourth of them. most: mutants of an exercise that is no function of arrays, spread evenly.
    trained: where an agent is trained with the answer, on how many seeds with the solution (and on a fifth of them with each alternative).
    """

    right: int
    least: int
    mistake: int
    pair: int
    every: int
    mutant: int
    most: int
    trained: int
    cpu: float


QUICK = Plan(right=20, least=20, mistake=5, pair=1, every=4, mutant=3, most=40, trained=1, cpu=0.0)
FULL = Plan(right=1000, least=100, mistake=10, pair=3, every=1, mutant=20, most=10_000, trained=5, cpu=30.0)
SLOW = {"bug": 5}  # kinds that take long to name a mistake: how many times fewer seeds their mistakes get


@dataclass
class Found:
    """What the gate found out about one exercise: counts, and what is wrong with its check."""

    id: str
    function: str
    kind: str
    seeds: int = 0  # of every right answer
    answers: int = 0
    mistakes: int = 0
    tried: int = 0  # mistakes times seeds
    failed: int = 0
    named: int = 0
    pairs: int = 0
    mutants: int = 0
    killed: int = 0
    timeouts: int = 0
    late: list[str] = field(default_factory=list)  # mutants that the first seed lets through and another kills
    equivalent: dict[str, str] = field(default_factory=dict)
    survivors: list[str] = field(default_factory=list)
    false_alarms: int = 0
    problems: list[str] = field(default_factory=list)
    cpu: float = 0.0

    @property
    def green(self) -> bool:
        return not self.problems


def examine(exercise: Any, plan: Plan = QUICK, tick: Callable[[str], None] = lambda text: None) -> Found:
    """Put one exercise through the gate. tick is told what is being tried."""
    found, started = Found(exercise.id, exercise.function, exercise.kind, mistakes=len(exercise.mistakes)), time.process_time()
    if exercise.solution is None:
        found.problems.append("there is no solution in solutions/source/")
        return found
    first = getattr(exercise, "first", exercise)  # what is checked before anything is trained, where something is
    report = _evaluated(first, exercise.solution, 0, found)
    if not report.passed:
        found.false_alarms += 1
        found.problems.append(f"the solution does not pass on seed 0: {report.diagnosis}")
        return found
    for part in (_complete, _no_computation, _by_heart, _named_mistakes, _pairs, _properties_alone, _mutants):
        tick(part.__doc__)
        part(first, plan, found)
    tick(_right_answers.__doc__)
    _right_answers(first, plan, found, started)
    if first is not exercise:
        tick(_trained.__doc__)
        _trained(exercise, plan, found)
    found.cpu = time.process_time() - started
    return found


def _evaluated(exercise: Any, f: Callable, seed: int, found: Found, **limit: float) -> Report:
    """exercise.evaluate, in which an error of the check's own is a problem of the exercise and no verdict."""
    try:
        return exercise.evaluate(f, seed, **limit)
    except Exception as error:
        problem = f"the check itself raises {type(error).__name__} for a wrong answer: {error}"
        if problem not in found.problems:
            found.problems.append(problem)
        return Report(False, 0.0, "broken_check", {"what": problem})


def _bare(exercise: Any, **changes: Any) -> Any:
    """The exercise without what is only said to a reader: the name of the mistake, the smallest case. The verdict is the same."""
    if exercise.kind == "function":
        return replace(exercise, **({"mistakes": (), "shrinks": False} | changes))
    return replace(exercise, **({"mistakes": ()} | changes)) if exercise.kind in ("bug", "derive") else exercise


# ---- the exercise itself ----


def _complete(exercise: Any, plan: Plan, found: Found) -> None:
    """the texts"""
    known = exercise.mistakes
    needed = LEAST.get(exercise.kind, 2)
    wanting = [
        (len(exercise.alternatives or ()) < needed, f"{len(exercise.alternatives or ())} alternatives, at least {needed} are needed"),
        (len(exercise.hints) != 3 or not all(exercise.hints), "three hints are needed"),
        (exercise.kind == "function" and len(known) < 4, f"{len(known)} named mistakes, at least four are needed"),
        (len({m.id for m in known}) < len(known), "two named mistakes have the same id"),
        (len({m.sentence for m in known}) < len(known), "two named mistakes have the same sentence"),
    ]
    wanting += [(not (m.sentence and m.cause and m.tag.startswith("[")), f"the mistake {m.id} lacks its sentence, cause or tag") for m in known]
    found.problems += [text for missing, text in wanting if missing]


def _no_computation(exercise: Any, plan: Plan, found: Found) -> None:
    """the stub, constants and other answers without a computation"""
    said = _evaluated(exercise, exercise.stub, 0, found).diagnosis
    if said != "not_attempted":
        found.problems.append(f"the stub is {said!r} and not 'not_attempted'")
    bare = _bare(exercise)
    for words, answer in idle.idle_answers(exercise.solution, constant=exercise.kind not in CONSTANT):
        if _evaluated(bare, answer, 0, found).passed:
            found.problems.append(f"an answer that {words} passes")


def _by_heart(exercise: Any, plan: Plan, found: Found) -> None:
    """answers that know the cases of one seed by heart"""
    if exercise.kind != "function":
        return
    bare, reciting = _bare(exercise), idle.by_heart(_bare(exercise), exercise.solution)
    passed = [bare.assess(reciting, seed).passed for seed in range(3)]
    if not passed[0]:
        found.problems.append("seed 0 does not draw the same cases twice")
    if any(passed[1:]):
        found.problems.append(f"an answer that knows the cases of seed 0 by heart passes on seed {passed.index(True, 1)}")


# ---- what somebody wrote ----


def _named_mistakes(exercise: Any, plan: Plan, found: Found) -> None:
    """the named mistakes"""
    seeds = [(0, exercise), *((seed, _bare(exercise, mistakes=exercise.mistakes)) for seed in range(1, plan.mistake // SLOW.get(exercise.kind, 1)))]
    for mistake in exercise.mistakes:
        said, own = [], {mistake.id, getattr(mistake, "said", mistake.id)}  # of two mistakes with the same numbers one is said
        for seed, asked in seeds:
            report = _evaluated(asked, mistake.function, seed, found)
            found.tried += 1
            found.failed += not report.passed
            found.named += report.diagnosis in own
            said.append(report.diagnosis)
            if report.diagnosis == mistake.id and mistake.sentence not in report.details["what"]:
                found.problems.append(f"the mistake {mistake.id} is recognised, and its sentence is not said")
                break
        if "passed" in said:
            found.problems.append(f"the mistake {mistake.id} passes on seed {said.index('passed')}")
        elif not own & set(said):
            found.problems.append(f"the mistake {mistake.id} is never recognised as itself, but as {said[0]}")
    if found.named < SHARE * found.tried:
        found.problems.append(f"only {100 * found.named / found.tried:.0f} % of the named mistakes are recognised as what they are")


def _pairs(exercise: Any, plan: Plan, found: Found) -> None:
    """two mistakes at once"""
    bare, listed = _bare(exercise), solutions.equivalent(exercise.id)
    if not plan.pair or not any(mistake.swaps for mistake in exercise.mistakes):
        return
    for first, second, function in itertools.islice(mistakes.pairs(exercise.reference, exercise.mistakes), 0, None, plan.every):
        found.pairs += 1
        both = f"{first.id}+{second.id}"
        passes = any(_evaluated(bare, function, seed, found).passed for seed in range(plan.pair))
        if passes and both not in listed:
            found.problems.append(f"the mistakes {first.id} and {second.id} pass together")
        if both in listed and not passes:
            found.problems.append(f"listed as equivalent, and it fails: {both}")


def _properties_alone(exercise: Any, plan: Plan, found: Found) -> None:
    """each property alone"""
    for property in getattr(exercise, "properties", ()):
        alone = _bare(exercise, properties=(property,))
        if not _evaluated(alone, exercise.solution, 0, found).passed:
            found.problems.append(f"the property {property.id} alone refuses the solution")
        wrong = (m.function for m in exercise.mistakes)
        if not any(_evaluated(alone, function, 0, found).diagnosis == f"property:{property.id}" for function in wrong):
            found.problems.append(f"the property {property.id} alone refuses none of the named mistakes")


def _right_answers(exercise: Any, plan: Plan, found: Found, started: float) -> None:
    """right answers on many seeds"""
    answers = (exercise.solution, *(exercise.alternatives or ()))
    found.answers = len(answers)
    while found.seeds < plan.least or (found.seeds < plan.right and time.process_time() - started < plan.cpu):
        for answer in answers:
            _must_pass(exercise, answer, found.seeds, found)
        found.seeds += 1


def _trained(exercise: Any, plan: Plan, found: Found) -> None:
    """training with right answers"""
    for answer, seeds in [(exercise.solution, plan.trained), *((alternative, plan.trained // 5) for alternative in exercise.alternatives or ())]:
        for seed in range(seeds):
            _must_pass(exercise, answer, seed, found)


def _must_pass(exercise: Any, answer: Callable, seed: int, found: Found) -> None:
    report = _evaluated(exercise, answer, seed, found)
    if not report.passed:
        found.false_alarms += 1
        found.problems.append(f"the right answer {getattr(answer, '__name__', answer)} fails on seed {seed}: {report.diagnosis}")


# ---- what the machine makes ----


def _mutants(exercise: Any, plan: Plan, found: Found) -> None:
    """mutants of the solution"""
    if not (plan.mutant and getattr(exercise, "mutable", True)):
        return
    bare, listed, made = _bare(exercise), solutions.equivalent(exercise.id), mutants.mutants(solutions.source(exercise.id))
    changes, tried = [mutant.change for mutant in made], made[:: 1 if exercise.kind == "function" else math.ceil(len(made) / plan.most)]
    found.mutants, started = len(tried), time.monotonic()
    exercise.evaluate(exercise.solution, 0)
    seconds = max(_SHORTEST, _PATIENCE * (time.monotonic() - started))
    for mutant in tried:
        killed_by = _killed_by(bare, compiled(mutant, exercise), plan.mutant, seconds, found)
        if killed_by is None and mutant.change in listed:
            found.equivalent[mutant.change] = listed[mutant.change]
        elif killed_by is None:
            found.survivors.append(mutant.change)
        else:
            found.killed += 1
            found.late += [mutant.change] if killed_by else []
    found.problems += [f"a mutant survives: {change}" for change in found.survivors]
    pairs = {f"{first.id}+{second.id}" for first in exercise.mistakes for second in exercise.mistakes}
    found.problems += [f"listed as equivalent without a reason: {change}" for change, reason in listed.items() if not reason.strip()]
    untried = pairs.union(changes) - {mutant.change for mutant in tried}
    stale = [change for change in listed if change not in untried and change not in found.equivalent]
    found.problems += [f"listed as equivalent, and it {'fails' if change in changes else 'is no mutant'}: {change}" for change in stale]


def compiled(mutant: Mutant, exercise: Any) -> Callable | None:
    """The mutant's function, with everything else that the solution sees; None if it cannot even be defined."""
    namespace = dict(exercise.solution.__globals__)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(mutant.source, f"<mutant of {exercise.id}>", "exec"), namespace)
    except Exception:
        return None
    return namespace.get(exercise.function)


def _killed_by(exercise: Any, function: Callable | None, seeds: int, seconds: float, found: Found) -> int | None:
    """The first seed on which it fails, or None."""
    for seed in range(seeds):
        report = _evaluated(exercise, function, seed, found, seconds=seconds) if function else None
        found.timeouts += bool(report and report.diagnosis == "timeout")
        if report is None or not report.passed:
            return seed
    return None
