"""Finding exercises: every module of rlcourse/checks/lecture_NN/ that defines EXERCISE is one."""

import functools
import importlib
import pkgutil
from collections.abc import Callable

from rlcourse.checks.core import Exercise


@functools.cache
def _all() -> dict[str, Exercise]:
    package = importlib.import_module("rlcourse.checks")
    lectures = [m.name for m in pkgutil.iter_modules(package.__path__) if m.ispkg and m.name.startswith("lecture_")]
    found = {}
    for lecture in lectures:
        folder = importlib.import_module(f"rlcourse.checks.{lecture}")
        for module in pkgutil.iter_modules(folder.__path__):
            exercise = getattr(importlib.import_module(f"rlcourse.checks.{lecture}.{module.name}"), "EXERCISE", None)
            if exercise is not None:
                found[exercise.id] = exercise
    return dict(sorted(found.items(), key=lambda item: [int(part) for part in item[0].split(".")]))


def all_ids() -> list[str]:
    """The ids of all exercises, in the order of the course."""
    return list(_all())


def get(id: str) -> Exercise:
    """The exercise with this id ("13.1") or for this function name ("tanh_gaussian_logprob")."""
    exercises = _all()
    for exercise in exercises.values():
        if id in (exercise.id, exercise.function):
            return exercise
    known = ", ".join(f"{e.id} {e.function}" for e in exercises.values())
    raise LookupError(f"There is no exercise {id!r}. Exercises so far: {known}.")


def of_function(f: Callable) -> Exercise:
    """The exercise that a function answers, by the function's name."""
    return get(getattr(f, "__name__", type(f).__name__))
