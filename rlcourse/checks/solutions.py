"""Finding the solution and its alternatives in solutions/, which a release to students does not contain."""

import functools
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "solutions"
_CELL = re.compile(r"^# %%(?P<header>.*)$", re.MULTILINE)


def cells(source: str) -> list[tuple[str, str]]:
    """(header, body) of every code cell of a percent-format source."""
    marks = list(_CELL.finditer(source))
    ends = [mark.start() for mark in marks[1:]] + [len(source)]
    return [(mark["header"], source[mark.end() : end]) for mark, end in zip(marks, ends) if "[markdown]" not in mark["header"]]


def solution(id: str, function: str) -> Callable | None:
    """The function that the solutions' source defines for an exercise, or None where there is no such source."""
    for path in sorted((FOLDER / "source").glob("*.py")) if FOLDER.is_dir() else []:
        found = _defined(path)
        if id in found:
            return found[id].get(function)
    return None


@functools.cache
def _defined(path: Path) -> dict[str, dict]:
    """Exercise id -> namespace after the import cells and that exercise's answer cells."""
    source = cells(path.read_text(encoding="utf-8"))
    imports = "\n".join(body for header, body in source if '"imports"' in header)
    answers: dict[str, list[str]] = {}
    for header, body in source:
        match = re.search(r'exercise="([^"]+)"', header)
        if match and '"answer"' in header:
            answers.setdefault(match[1], []).append(body)
    return {id: _run(imports + "\n" + "\n".join(bodies), str(path)) for id, bodies in answers.items()}


def _run(code: str, name: str) -> dict:
    namespace: dict = {"__name__": "solution"}
    exec(compile(code, name, "exec"), namespace)
    return namespace


def alternatives(id: str) -> tuple[Callable, ...] | None:
    """Differently written right answers: ALTERNATIVES[id] of solutions/alternatives/lecture_NN.py, or None."""
    path = FOLDER / "alternatives" / f"lecture_{id.split('.')[0].zfill(2)}.py"
    return tuple(_alternatives(path).get(id, ())) or None if path.is_file() else None


@functools.cache
def _alternatives(path: Path) -> dict[str, tuple]:
    spec = importlib.util.spec_from_file_location(f"alternatives_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ALTERNATIVES
