"""Predict: a number, or one of several choices, before the cell is run that shows it.

In a notebook `predict("13.12", 0.25)` notes the prediction and says nothing about it; after the cell that shows the truth, `reveal("13.12")` compares
and explains. A wrong prediction costs nothing: change it and reveal again. For `rlcourse check FILE` and the gate the answer is a function without
arguments that returns the prediction. The truth is computed by the exercise (`truth`), not typed. Wrong predictions that people make have names and
explanations, each for a range of numbers or for a choice.

In another process: `adapt(f)` is a function without arguments that returns plain data, a float or a string. A grader has nothing to send; it has to
hide the exercise itself, which computes the truth.

In a notebook inside my/ predictions are kept in my/predictions.json, {id: prediction}, so that they survive a restart; elsewhere in memory.
"""

import contextlib
import functools
import json
import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rlcourse.checks import library, progress, solutions, verdicts
from rlcourse.checks.calls import SECONDS, Guard
from rlcourse.checks.compare import Slip
from rlcourse.checks.mistakes import Swap
from rlcourse.checks.report import Report, show

FILE = "predictions.json"
Prediction = float | str


@dataclass(frozen=True)
class Misconception:
    """A wrong prediction that people make. example(): one of them. low, high: the numbers that count as this one (a choice: only the example).
    sentence: completes "you predicted ...". cause: what it overlooks."""

    id: str
    example: Callable[[], Prediction]
    sentence: str
    cause: str
    tag: str
    low: float = float("nan")
    high: float = float("nan")
    swaps: tuple[Swap, ...] = ()
    same_as: str = ""

    @property
    def said(self) -> str:
        """The name that a check gives it."""
        return self.id

    @property
    def function(self) -> Callable[[], Prediction]:
        """The answer of a student who thinks so."""
        return self.example

    def covers(self, value: Prediction) -> bool:
        """True if a prediction is this one."""
        return value == self.example() if isinstance(value, str) else self.low <= value <= self.high


@dataclass(frozen=True)
class Predict:
    """See the module.

    truth(): the right answer, computed. tolerance: how far a number may be off. possible: numbers beyond are slips, in the words of `why_not`.
    choices: the words to choose from; empty for a number. plain(value): a number brought into the form asked for, for example its size.
    because: why it is so, said with a right answer and to those whom no name fits.
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
    truth: Callable[[], Prediction]
    because: str
    mistakes: tuple[Misconception, ...]
    tolerance: float = 0.0
    possible: tuple[float, float] = (-np.inf, np.inf)
    why_not: str = ""
    choices: tuple[str, ...] = ()
    plain: Callable[[float], float] = float
    importance: int = 3
    kind: str = "predict"
    mutable: bool = False

    @property
    def reference(self) -> Callable[[], Prediction]:
        """The right answer as a function."""
        return self.truth

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

    def adapt(self, f: Callable, seconds: float = SECONDS) -> Callable[[], Prediction]:
        """The student's function as () -> float or choice. Raises Slip for what is no prediction."""
        guard = Guard(f, self.signature, seconds)

        def answer() -> Prediction:
            return self.read(guard())

        answer.printed = guard.printed
        return answer

    def evaluate(self, f: Callable, seed: int = 0, seconds: float = SECONDS) -> Report:
        """Assess the function of a student. The seed changes nothing: there is one question."""
        return self.assess(self.adapt(f, seconds), seed)

    def assess(self, answer: Callable[[], Prediction], seed: int = 0) -> Report:
        """Assess () -> plain data: the result of `adapt`, in this process or a stand-in for one in another."""
        try:
            report = self.judged(self.read(answer()))
        except Slip as slip:
            report = verdicts.refused(self, slip)
        printed = answer.printed.getvalue()[:400] if hasattr(answer, "printed") else ""
        return replace(report, details=report.details | {"seed": seed, "printed": printed})

    def read(self, value: object) -> Prediction:
        """A prediction as plain data; Slip for what is none."""
        if value is None:
            raise Slip("returned_none", "Your function returned None.", "If the body is written, its `return` is missing.")
        if value is Ellipsis:
            raise Slip("not_attempted", "Your prediction is `...`, the placeholder.")
        if self.choices:
            return self._choice(value)
        number = value.item() if hasattr(value, "item") and math.prod(getattr(value, "shape", ())) == 1 else value
        if not isinstance(number, numbers.Real) or isinstance(number, bool):
            raise Slip("type", f"Your prediction is a {type(value).__name__}; a number is expected.", "For example: return 0.25")
        low, high = self.possible
        if not low <= float(number) <= high:
            raise Slip("impossible", f"Your prediction is {float(number):.6g}. {self.why_not}")
        return self.plain(float(number))

    def judged(self, value: Prediction) -> Report:
        """The report on a prediction."""
        truth, said = self._truth, value if isinstance(value, str) else f"{value:.4g}"
        was = truth if isinstance(truth, str) else f"{truth:.4g}"
        if value == truth or (not isinstance(truth, str) and abs(value - truth) <= self.tolerance):
            return verdicts.passed(self, f"you predicted {said}, and it is {was}. {self.because}", prediction=value)
        for wrong in self.mistakes:
            if wrong.covers(value):
                what = f"it is {was}, and you predicted {said}: {wrong.sentence}."
                return verdicts.failed(self, wrong.id, what, wrong.cause, wrong.tag, prediction=value)
        return verdicts.failed(self, "property:prediction", f"it is {was}, and you predicted {said}.", self.because, self.tags[0], prediction=value)

    @functools.cached_property
    def _truth(self) -> Prediction:
        return self.truth()

    def _choice(self, value: object) -> str:
        listed = f"Choose one of: {', '.join(map(repr, self.choices))}."
        if not isinstance(value, str):
            raise Slip("type", f"Your prediction is a {type(value).__name__}; a word is expected.", listed)
        found = [choice for choice in self.choices if choice.casefold() == value.strip().casefold()]
        if not found:
            raise Slip("choice", f"Your prediction is {value[:40]!r}, which is not one of the choices.", listed)
        return found[0]


_noted: dict[str, Prediction] = {}  # what was predicted in this kernel


def predict(exercise: str, answer: Prediction | Callable) -> None:
    """Note a prediction (a number, a choice, or your function of the answer cell), without saying whether it is right. The last one counts."""
    found = library.get(exercise)
    try:
        value = found.adapt(answer)() if callable(answer) else found.read(answer)
    except Slip as slip:
        show(verdicts.refused(found, slip))
        return
    _noted[found.id] = value
    _save({found.id: value})
    print(f'Noted for {found.id}: {value}. Now run the cell that shows it, and then reveal("{found.id}").')


def reveal(exercise: str) -> Report:
    """Compare what was predicted with what is so, and explain the difference."""
    found = library.get(exercise)
    value = (_saved() | _noted).get(found.id)
    try:
        if value is None:
            raise Slip("not_attempted", "Nothing was predicted yet.")
        report = found.judged(found.read(value))
    except Slip as slip:
        report = verdicts.refused(found, slip)
    show(report)
    progress.note_check(found.id, report.status, report.score)
    return replace(report, shown=True)


def _path() -> Path | None:
    folder = progress.my_folder()
    return folder / FILE if folder else None


def _saved() -> dict[str, Prediction]:
    """Predictions of earlier kernels; what cannot be read is as good as not written."""
    path = _path()
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = json.loads(path.read_text(encoding="utf-8")) if path else {}
        return {id: value for id, value in found.items() if isinstance(value, float | int | str)} if isinstance(found, dict) else {}
    return {}


def _save(new: dict[str, Any]) -> None:
    """Best effort: a prediction that cannot be saved is still in memory."""
    path = _path()
    with contextlib.suppress(OSError):
        if path:
            path.write_text(json.dumps(_saved() | new, indent=1) + "\n", encoding="utf-8")
