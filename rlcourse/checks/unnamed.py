"""Wrong answers that no named mistake explains: noted in my/unnamed_answers.jsonl, and read by an instructor who wants to give them a name.

A line holds the exercise, the seed, the property that broke and the numbers returned on the first small cases: no source, no names, nothing of the
machine. `rlcourse check --log FILE ...` groups equal answers over the files of a class (one file a student), rebuilds the inputs from the seed, and
lays the students' numbers beside the right ones. Deleting a file does no harm.
"""

import json
import math
import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlcourse.checks import compare, library
from rlcourse.checks.core import number
from rlcourse.checks.progress import course_my, my_folder
from rlcourse.checks.report import Report

FILE, OLDER = "unnamed_answers.jsonl", "unnamed_answers.1.jsonl"
LARGEST_FILE = 500_000  # bytes; then the file becomes OLDER, and the one before that goes
LONGEST_LINE = 20_000
SMALL, FEW = 32, 6  # numbers in an input of a small case; small cases that are noted


@dataclass(frozen=True)
class Noted:
    """One line of a log that could be read. source: the number of the file it was in."""

    exercise: str
    seed: int
    diagnosis: str
    answers: tuple[tuple[float, ...], ...]
    cases: str
    source: int = 0


def small_cases(exercise: Any, seed: int, diagnosis: str) -> list[dict[str, np.ndarray]]:
    """The inputs of a few small cases of a seed, those that the broken property looks at first; none for a kind of exercise that draws no cases."""
    drawn = exercise.drawn(seed) if hasattr(exercise, "drawn") and hasattr(exercise, "describe") else []
    cases = [case for case in drawn if isinstance(getattr(case, "inputs", None), dict)]
    small = [case for case in cases if max(np.size(array) for array in case.inputs.values()) <= SMALL]
    broken = _broken(exercise, diagnosis)
    kinds = broken.kinds if broken else ()
    return [case.inputs for case in sorted(small, key=lambda case: (case.kind not in kinds, _size(case.inputs)))[:FEW]]


def _broken(exercise: Any, diagnosis: str) -> Any | None:
    return next((prop for prop in getattr(exercise, "properties", ()) if diagnosis == f"property:{prop.id}"), None)


def _size(inputs: dict[str, np.ndarray]) -> int:
    return sum(np.size(array) for array in inputs.values())


def fingerprint(cases: Iterable[dict[str, np.ndarray]]) -> str:
    """A short hash of inputs: a newer version of an exercise that draws others is not taken for the one that was answered."""
    return f"{zlib.crc32(b''.join(np.ascontiguousarray(array).tobytes() for inputs in cases for array in inputs.values())):08x}"


def of_arrays(exercise: Any) -> Any:
    """The part of an exercise that is a function of arrays: of one that trains an agent the function that is checked first, else itself."""
    return getattr(exercise, "first", exercise)


def note(exercise: Any, f: Callable, report: Report) -> None:
    """Append an unnamed wrong answer to the log in my/. Best effort: a failure to write is silent and never fails a check."""
    folder = my_folder()
    if folder is None or not report.diagnosis.startswith("property:"):
        return
    try:
        exercise = of_arrays(exercise)
        seed = report.details["seed"]
        cases = small_cases(exercise, seed, report.diagnosis)
        line = {"exercise": exercise.id, "seed": seed, "diagnosis": report.diagnosis, "cases": fingerprint(cases),
                "answers": [_short(values) for values in answers_on(exercise, f, cases)]}
        _append(folder / FILE, json.dumps(line, allow_nan=False))
    except Exception:
        return


def answers_on(exercise: Any, f: Callable, cases: Sequence[dict[str, np.ndarray]]) -> list[np.ndarray]:
    """What a function returns on these inputs: its own answer, flat."""
    answer = exercise.adapt(f)
    return [next(iter(answer(**inputs).values())).ravel() for inputs in cases]


def _short(values: np.ndarray) -> list[float]:
    """Ten digits: enough to tell two answers apart."""
    return [float(f"{value:.10g}") for value in values.tolist()]


def _append(path: Path, line: str) -> None:
    if len(line) > LONGEST_LINE:
        return
    if path.exists() and path.stat().st_size + len(line) > LARGEST_FILE:
        os.replace(path, path.with_name(OLDER))
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


# ---- reading, for an instructor ----


def read(paths: Sequence[Path]) -> tuple[list[Noted], int]:
    """(the lines that can be used, how many cannot) of log files, or of folders that hold some. A folder of one student counts as one student."""
    found, broken = [], 0
    students: dict[Path, int] = {}
    for path in (each for given in paths for each in (sorted(given.rglob("*unnamed_answers*.jsonl")) if given.is_dir() else [given])):
        student = students.setdefault(path.with_name(path.name.replace(OLDER, FILE)).resolve(), len(students))
        with path.open("rb") as file:
            for line in iter(lambda: file.readline(LONGEST_LINE + 2), b""):
                noted = _understood(line, student)
                broken += noted is None and bool(line.strip())
                found += [noted] if noted else []
    return found, broken


def _understood(line: bytes, source: int) -> Noted | None:
    """A line as data, or None for anything that `note` does not write: these files come from other people's machines."""
    try:
        data = json.loads(line)
        exercise = of_arrays(library.get(data["exercise"]))
        answers = tuple(tuple(map(float, values)) for values in data["answers"])
        known = {f"property:{prop.id}" for prop in getattr(exercise, "properties", ())} or {data["diagnosis"]}
        sound = type(data["seed"]) is int and 0 <= data["seed"] < 2**63 and data["diagnosis"] in known and data["exercise"] == exercise.id
        sound = sound and str(data["diagnosis"]).isprintable() and len(data["diagnosis"]) < 100
        sound = sound and all(math.isfinite(value) for values in answers for value in values)
        return Noted(exercise.id, data["seed"], data["diagnosis"], answers, str(data.get("cases", ""))[:8], source) if sound else None
    except (ValueError, KeyError, TypeError, LookupError, AttributeError, RecursionError, OverflowError):
        return None


def groups(noted: Sequence[Noted]) -> list[list[Noted]]:
    """Equal answers together (same exercise, seed and cases, same numbers up to the tolerance of float32), the most frequent first."""
    equal: dict[tuple, list[Noted]] = {}
    for each in noted:
        equal.setdefault((each.exercise, each.seed, each.cases, each.diagnosis, each.answers), []).append(each)
    found: list[list[Noted]] = []
    for several in equal.values():
        home = next((group for group in found if _same(group[0], several[0])), None)
        if home is None:
            found.append(several)
        else:
            home.extend(several)
    order = {id: k for k, id in enumerate(library.all_ids())}
    return sorted(found, key=lambda group: (order[group[0].exercise], -_students(group), -len(group)))


def _same(a: Noted, b: Noted) -> bool:
    if (a.exercise, a.seed, a.cases, [*map(len, a.answers)]) != (b.exercise, b.seed, b.cases, [*map(len, b.answers)]):
        return False
    if not a.answers:
        return a.diagnosis == b.diagnosis
    x, y = (np.array([value for values in each.answers for value in values]) for each in (a, b))
    return bool((np.abs(x - y) <= compare.TOLERANCE["float32"] * (1 + np.abs(x))).all())


def _students(group: Sequence[Noted]) -> int:
    return len({each.source for each in group})


def row(group: Sequence[Noted]) -> dict[str, Any]:
    """A group as plain data: who made it how often, what broke, and the smallest case on which it differs from the right answer."""
    first = group[0]
    exercise = of_arrays(library.get(first.exercise))
    broken = _broken(exercise, first.diagnosis)
    found = {"exercise": exercise.id, "function": exercise.function, "students": _students(group), "attempts": len(group), "seed": first.seed,
             "diagnosis": first.diagnosis, "broken": broken.says if broken else "", "inputs": "", "theirs": [], "right": [], "why_no_numbers": ""}
    cases = small_cases(exercise, first.seed, first.diagnosis)
    if not first.answers:
        return found | {"why_no_numbers": "this kind of exercise has none to note"}
    if fingerprint(cases) != first.cases or len(cases) != len(first.answers):
        return found | {"why_no_numbers": "they were noted with another version of this exercise, which draws other cases"}
    right = answers_on(exercise, exercise.reference, cases)
    tolerances = [compare.TOLERANCE["float32"] * (1 + np.abs(values).max(initial=0)) for values in right]
    differ = [k for k, (theirs, value) in enumerate(zip(first.answers, right))
              if len(theirs) == len(value) and (np.abs(np.array(theirs) - value) > tolerances[k]).any()]
    if not differ:
        return found | {"why_no_numbers": "on the small cases they equal the right ones: it is a larger case that breaks, or a gradient"}
    k = min(differ, key=lambda k: _size(cases[k]))
    return found | {"inputs": exercise.describe(cases[k]), "theirs": list(first.answers[k]), "right": right[k].tolist()}


def report(paths: Sequence[Path], as_json: bool = False) -> int:
    """`rlcourse check --log`: print the groups, or JSON. Exit code 0: a log is no verdict. Without paths: the log of this course's my/."""
    folder = course_my()
    paths = paths or [path for name in (OLDER, FILE) if folder and (path := folder / name).exists()]
    if not paths and not as_json:
        print(f"There is no my/{FILE} here. Name the log files of your students, or a folder of them.")
        return 0
    noted, broken = read(paths)
    rows = [row(group) for group in groups(noted)]
    students = len({each.source for each in noted})
    if as_json:
        print(json.dumps({"students": students, "attempts": len(noted), "unreadable": broken, "groups": rows}, indent=2))
        return 0
    head = f"Wrong answers without a name: {len(noted)}, of which {len(rows)} differ, in {students} file{'s' * (students != 1)}."
    unread = f" {broken} line{'s' * (broken != 1)} could not be used (damaged, or of another version of the course)." if broken else ""
    print("\n\n".join([head + unread, *(_text(each, students) for each in rows)]))
    if rows:
        print("\nTo name one: write it as a change of the solution's source in the exercise's list of mistakes, and run its tests.")
    return 0


def _text(found: dict[str, Any], students: int) -> str:
    who = f"{found['attempts']} time{'s' * (found['attempts'] != 1)}, by {found['students']} of {students}"
    lines = [f"{found['exercise']} {found['function']}: {who}", f"  breaks first   {found['diagnosis'].removeprefix('property:')}: {found['broken']}"]
    if not found["theirs"]:
        return "\n".join([*lines, f"  no numbers     {found['why_no_numbers']}  (seed {found['seed']})"])
    lines.append(f"  smallest case  {found['inputs']}  (seed {found['seed']})")
    table = [("", "theirs", "right", "difference", "ratio")] + [
        (f"[{k}]" if len(found["right"]) > 1 else "", number(a), number(b), number(a - b), number(a / b) if abs(b) > 1e-9 else "")
        for k, (a, b) in enumerate(zip(found["theirs"][:8], found["right"][:8]))]
    widths = [max(len(line[k]) for line in table) for k in range(5)]
    return "\n".join(lines + ["    " + "  ".join(text.rjust(width) for text, width in zip(line, widths)) for line in table])
