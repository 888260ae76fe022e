"""Finding the solution and its alternatives in solutions/, which a release to students does not contain."""

import functools
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

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
    imports = "\n".join(body for header, body in cells(path.read_text(encoding="utf-8")) if '"imports"' in header)
    return {id: _run(imports + "\n" + answer, str(path)) for id, answer in _answers(path).items()}


@functools.cache
def _answers(path: Path) -> dict[str, str]:
    """Exercise id -> its answer cells."""
    found: dict[str, list[str]] = {}
    for header, body in cells(path.read_text(encoding="utf-8")):
        match = re.search(r'exercise="([^"]+)"', header)
        if match and '"answer"' in header:
            found.setdefault(match[1], []).append(body)
    return {id: "\n".join(bodies) for id, bodies in found.items()}


def source(id: str) -> str | None:
    """The solution's answer cells for an exercise, as text, or None in a release."""
    found = [_answers(path) for path in sorted((FOLDER / "source").glob("*.py"))] if FOLDER.is_dir() else []
    return next((answers[id] for answers in found if id in answers), None)


def _run(code: str, name: str) -> dict:
    namespace: dict = {"__name__": "solution"}
    exec(compile(code, name, "exec"), namespace)
    return namespace


def alternatives(id: str) -> tuple[Callable, ...] | None:
    """Differently written right answers: ALTERNATIVES[id] of solutions/alternatives/lecture_NN.py, or None."""
    module = _alternatives(_beside(id)) if _beside(id).is_file() else None
    return tuple(module.ALTERNATIVES.get(id, ())) or None if module else None


def equivalent(id: str) -> dict[str, str]:
    """Automatic mutants of the solution that are right answers too, each with its reason: EQUIVALENT[id] of the same file."""
    return dict(getattr(_alternatives(_beside(id)), "EQUIVALENT", {}).get(id, {})) if _beside(id).is_file() else {}


def _beside(id: str) -> Path:
    return FOLDER / "alternatives" / f"lecture_{id.split('.')[0].zfill(2)}.py"


@functools.cache
def _alternatives(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"alternatives_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
