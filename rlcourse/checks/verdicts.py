"""Reports of the kinds of exercise that are not functions of arrays ("bug", "learn", "predict"), in the words and the order of core.Exercise."""

from collections.abc import Callable
from typing import Any

from rlcourse.checks.compare import Slip
from rlcourse.checks.report import Report

NO_BODY = "write the body of the function, run its cell, then run this one again."


def passed(exercise: Any, verified: str, **more: Any) -> Report:
    """A right answer; verified: what was seen to hold."""
    return Report(True, 1.0, "passed", _details(exercise, "passed", verified=verified, **more))


def failed(exercise: Any, diagnosis: str, what: str, cause: str, tag: str, **more: Any) -> Report:
    """A wrong answer: what is wrong, the likely cause, and the equation to read."""
    found = {"what": what, "cause": cause, "read": _read(exercise, tag), "hint": _hint(exercise)}
    return Report(False, 0.0, diagnosis, _details(exercise, "failed", **found, **more))


def refused(exercise: Any, slip: Slip, **more: Any) -> Report:
    """An answer that cannot be judged."""
    waiting = slip.kind in ("not_attempted", "returned_none")
    status = "not attempted" if waiting else "failed" if slip.kind == "not_finite" else "slip"
    todo = NO_BODY if slip.kind == "not_attempted" else ""
    read = "" if waiting else _read(exercise, exercise.tags[0])
    found = {"todo": todo, "what": "" if todo else slip.sentence, "cause": slip.cause, "given": slip.given, "read": read, "hint": _hint(exercise)}
    return Report(False, 0.0, slip.kind, _details(exercise, status, **found, **more))


def stub(exercise: Any) -> Callable:
    """The function as a student finds it: without a body."""

    def unfinished(*arguments: Any) -> Any:
        raise NotImplementedError(f"{exercise.id}: your code here")

    unfinished.__name__ = exercise.function
    return unfinished


def _details(exercise: Any, status: str, **found: Any) -> dict[str, Any]:
    return {"exercise": exercise.id, "function": exercise.function, "status": status} | found


def _read(exercise: Any, tag: str) -> str:
    return f"equation {tag} in lecture {exercise.lecture}."


def _hint(exercise: Any) -> str:
    return f'`hint("{exercise.id}")` gives the next of {len(exercise.hints)}.'
