"""What a student calls in a notebook: check, hint, escape_hatch. (The summary at a notebook's end is `overview.summary`.)

In a notebook that lies in my/, each verdict is remembered in my/progress.json (`progress`), and a wrong answer that no named mistake explains is
noted in my/unnamed_answers.jsonl (`unnamed`): ids, verdicts, times and numbers, no source and no names. Elsewhere nothing is written.
"""

from collections.abc import Callable
from dataclasses import replace

from rlcourse.checks import library, progress, unnamed
from rlcourse.checks.report import Report, show

_steps_given: dict[str, int] = {}  # exercise id -> hints given so far in this kernel
_judged: dict[str, tuple[Callable, bool]] = {}  # exercise id -> the function checked last in this kernel, and whether it passed


def check(f: Callable, exercise: str | None = None, seed: int = 0) -> Report:
    """Assess your function and say what was found, the verdict first. The exercise is found by the function's name unless given.

    Returns the Report, which has been displayed already. The same seed draws the same cases; another seed draws others.
    """
    found = library.get(exercise) if exercise else library.of_function(f)
    report = found.evaluate(f, seed)
    show(report)
    _judged[found.id] = (f, report.passed)
    progress.note_check(found.id, report.status, report.score)
    unnamed.note(found, f, report)
    return replace(report, shown=True)


def hint(exercise: str | Callable, step: int | None = None) -> None:
    """Print the next hint of an exercise ("13.1", or the function), or hint number `step` (1, 2 or 3)."""
    found = library.of_function(exercise) if callable(exercise) else library.get(exercise)
    last = len(found.hints)
    chosen = step if step is not None else min(_steps_given.get(found.id, 0) + 1, last)
    if not 1 <= chosen <= last:
        print(f"{found.id} has hints 1 to {last}; you asked for {chosen}.")
        return
    if step is None:
        _steps_given[found.id] = chosen
    progress.note_hint(found.id, chosen)
    more = f'Another: hint("{found.id}").' if chosen < last else f'That was the last. escape_hatch("{found.function}") gives a working function.'
    print(f"Hint {chosen} of {last} for {found.id} {found.function}\n{found.hints[chosen - 1]}\n({more})")


def escape_hatch(exercise: str, mine: Callable | None = None) -> Callable:
    """A working function for an exercise, so that later cells can go on. If `mine` is given and passes its check, it is returned instead."""
    found = library.get(exercise)
    if mine is None:
        return found.reference
    checked, passed = _judged.get(found.id, (None, False))
    if checked is not mine:  # a function that was checked a moment ago need not be tried again, which matters where it trains an agent
        passed = found.evaluate(mine).passed
    return mine if passed else found.reference
