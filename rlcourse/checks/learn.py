"""Learn: the student's function runs inside the real agent, put there by `using`, and the agent must learn a small task with it.

First the function is checked as such, by a function exercise (`first`); a wrong one is told so at once and nothing is trained. Then the real agent is
trained with it on `copies` seeds side by side, and what was learnt is measured outside the student's reach. A copy has learnt if every measured
number is within its limits; the answer passes if at least `needed` copies have.

False fails: in `calibration` runs of a right answer with other seeds `failures` copies stayed outside. That bounds the share p of copies that fail by
chance (`chance_per_copy`, Clopper and Pearson, 95 %), whatever its law, and a right answer is refused only if more than copies - needed copies fail
at once: `false_fail` is that binomial tail. `python -m rlcourse.checks.learn ID RUNS` repeats the calibration, `python -m rlcourse.checks.learn ID`
prints which named mistakes the training alone would refuse.

In another process: `adapt(f)` gives one function of arrays. Given the inputs of `first` it answers like `first.adapt(f)`; given {"seeds": (N,)} it
trains there and returns what `policy` reads off the trained agents, as arrays. A grader judges both on its own side (`assess`). It has to hide the
seeds until training starts, and cannot see whether the returned policy was learnt or written down: that is why `first` is asked with fresh inputs.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats as scipy_stats

from rlcourse.checks import solutions, verdicts
from rlcourse.checks.calls import SECONDS, Guard
from rlcourse.checks.compare import Slip
from rlcourse.checks.mistakes import Mistake
from rlcourse.checks.report import Report, in_notebook
from rlcourse.equations import using
from rlcourse.train import Diverged

Arrays = dict[str, np.ndarray]
POWER_RUNS = 20  # copies of each wrong answer that are tried
TRAINING_SECONDS = 120.0  # for all calls of the student's function during one training


@dataclass(frozen=True)
class Limit:
    """A measured number that must lie in [low, high]. says: what it is, with its unit. below, above: what it means to lie outside."""

    name: str
    low: float
    high: float
    says: str
    below: str
    above: str
    tag: str


@dataclass(frozen=True)
class Learn:
    """See the module.

    first: the function exercise, with the same id and texts, checked before training. inside(f): {name: value} for `using`.
    train(seeds, progress): the trained agent. policy(agent): what it learnt, as arrays with the copies first.
    measure(arrays): {limit's name: (copies,)}, which calls nothing of f. calibration: (copies tried with the right answer, copies that failed).
    stops: the mistakes of `first` that training alone refuses as well, in each of POWER_RUNS copies.
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
    first: Any
    inside: Callable[[Callable], dict[str, Any]]
    train: Callable[[list[int], bool], Any]
    policy: Callable[[Any], Arrays]
    measure: Callable[[Arrays], dict[str, np.ndarray]]
    limits: tuple[Limit, ...]
    stops: tuple[str, ...]
    calibration: tuple[int, int]
    copies: int = 7
    needed: int = 4
    importance: int = 3
    kind: str = "learn"

    @property
    def reference(self) -> Callable:
        """The reference of the function exercise."""
        return self.first.reference

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        """The named mistakes of the function exercise: each is refused before anything is trained."""
        return self.first.mistakes

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
    def chance_per_copy(self) -> float:
        """At most this share of copies fails with a right answer (95 % confidence)."""
        runs, failures = self.calibration
        return float(scipy_stats.beta.ppf(0.95, failures + 1, runs - failures))

    @property
    def false_fail(self) -> float:
        """At most this share of right answers is refused."""
        return float(scipy_stats.binom.sf(self.copies - self.needed, self.copies, self.chance_per_copy))

    @property
    def power(self) -> float:
        """At least this share of answers with one of the mistakes `stops` would be refused by training alone (95 %: POWER_RUNS of as many were)."""
        return float(scipy_stats.binom.sf(self.copies - self.needed, self.copies, 0.05 ** (1 / POWER_RUNS)))

    def adapt(self, f: Callable, seconds: float = TRAINING_SECONDS) -> Callable[..., Arrays]:
        """The student's function as one function of arrays; see the module. Raises Slip for what cannot be judged."""
        first, guard = self.first.adapt(f, min(seconds, SECONDS)), Guard(f, self.signature, seconds)

        def answer(**inputs: np.ndarray) -> Arrays:
            return self._learnt(guard, inputs["seeds"].tolist()) if "seeds" in inputs else first(**inputs)

        answer.printed = first.printed
        return answer

    def evaluate(self, f: Callable, seed: int = 0, seconds: float = TRAINING_SECONDS) -> Report:
        """Assess a student's function as it is written in the notebook; a right one is trained with, which takes seconds."""
        return self.assess(self.adapt(f, seconds), seed)

    def assess(self, answer: Callable[..., Arrays], seed: int = 0) -> Report:
        """Assess arrays -> arrays: the result of `adapt`, in this process or a stand-in for one in another."""
        report = self.first.assess(answer, seed)
        if not report.passed:
            what = f"{report.details['what']} (Nothing was trained yet.)" if report.details["what"] else ""
            return replace(report, details=report.details | {"what": what, "trained": 0})
        try:
            report = self._judged(self.measure(answer(seeds=self.seeds(seed))))
        except Slip as slip:
            report = verdicts.refused(self, slip)
        return replace(report, details=report.details | {"seed": seed, "trained": self.copies})

    def seeds(self, seed: int) -> np.ndarray:
        """The seeds of the copies that are trained, different ones for every seed of the check."""
        return np.arange(self.copies) + self.copies * (seed % 2**20)

    def drawn(self, seed: int) -> list:
        """The cases of the function exercise."""
        return self.first.drawn(seed)

    def inside_the_agent(self, f: Callable, seeds: list[int]) -> dict[str, np.ndarray]:
        """Train with f, unchecked, and measure: {limit's name: (copies,)}. For calibrations, and to look at in a notebook."""
        return self.measure(self._learnt(f, seeds))

    def learnt(self, measured: dict[str, np.ndarray]) -> np.ndarray:
        """(copies,) True where every measured number is within its limits; what is not a number is outside."""
        return np.all([(limit.low <= measured[limit.name]) & (measured[limit.name] <= limit.high) for limit in self.limits], axis=0)

    def _learnt(self, f: Callable, seeds: list[int]) -> Arrays:
        try:
            with using(**self.inside(f)):
                agent = self.train(seeds, in_notebook() or sys.stderr.isatty())
        except (Diverged, ValueError) as error:
            raise Slip("diverged", f"With your function inside, training stopped: {' '.join(str(error).split())[:300]}",
                       "Its values were right on the cases of the check. What about its gradient, or large inputs?") from None
        return self.policy(agent)

    def _judged(self, measured: dict[str, np.ndarray]) -> Report:
        if any(np.shape(measured[limit.name]) != (self.copies,) for limit in self.limits):
            raise Slip("shape", f"The training returned something else than {self.copies} policies.")
        learnt = self.learnt(measured)
        said = "; ".join(f"{limit.says} {np.median(measured[limit.name]):.3g} ({limit.low:g} to {limit.high:g})" for limit in self.limits)
        count = f"{int(learnt.sum())} of {len(learnt)} agents"
        if learnt.sum() >= self.needed:
            chance = f"a right function fails this with a probability of at most {self.false_fail:.1e}"
            verified = f"as a function, then inside the real agent: {count} learnt (median {said}; {self.needed} are needed, and {chance})."
            return verdicts.passed(self, verified)
        limit = min(self.limits, key=lambda limit: ((limit.low <= measured[limit.name]) & (measured[limit.name] <= limit.high)).sum())
        cause = limit.below if np.median(measured[limit.name]) < (limit.low + limit.high) / 2 else limit.above
        return verdicts.failed(self, f"learn:{limit.name}", f"{count} learnt with your function inside, {self.needed} are needed: median {said}.",
                               cause, limit.tag)


def calibrated(exercise: Learn, runs: int, at_once: int = 100) -> dict[str, np.ndarray]:
    """Measure a right answer on seeds that no check uses, `at_once` copies side by side: {limit's name: (runs,)}."""
    found = [exercise.inside_the_agent(exercise.reference, list(range(start, min(start + at_once, 10**8 + runs))))
             for start in range(10**8, 10**8 + runs, at_once)]
    return {limit.name: np.concatenate([measured[limit.name] for measured in found]) for limit in exercise.limits}


def refused_by_training(exercise: Learn, mistake: Mistake, copies: int = POWER_RUNS) -> np.ndarray:
    """(copies,) True where training with a named mistake is refused; all of them where it does not get through."""
    try:
        return ~exercise.learnt(exercise.inside_the_agent(mistake.function, list(range(2 * 10**8, 2 * 10**8 + copies))))
    except Slip:
        return np.ones(copies, dtype=bool)


def _main(id: str, runs: int = 0) -> None:
    from rlcourse.checks import library

    exercise = library.get(id)
    if runs:
        measured = calibrated(exercise, runs)
        print(f"{id}: {int((~exercise.learnt(measured)).sum())} of {runs} copies with the right function failed")
        for name, values in measured.items():
            print(f"  {name}: mean {values.mean():.3f}, standard deviation {values.std():.3f}, {values.min():.3f} to {values.max():.3f}")
        return
    for mistake in exercise.mistakes:
        print(f"{mistake.id}: training alone refuses {refused_by_training(exercise, mistake).sum()} of {POWER_RUNS} copies")


if __name__ == "__main__":
    _main(sys.argv[1], *map(int, sys.argv[2:]))
