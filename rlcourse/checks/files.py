"""`rlcourse check FILE.ipynb`: the answers of a notebook, checked in a process of their own, as a table or as data.

Only definitions are run: the answer cells, and from the other cells the imports, functions, classes and constants that the answers use. This is a
self-check on your own machine: the process is separate, not sandboxed, and an answer could forge its line in the table.
`check_file` returns {"file", "passed", "error", "exercises"}, and for each exercise {"exercise", "function", "status", "passed", "score", "verdict",
"diagnosis", "report"}.
"""

import ast
import json
import linecache
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rlcourse.checks import library
from rlcourse.checks.calls import SECONDS
from rlcourse.checks.compare import Slip
from rlcourse.checks.core import Exercise
from rlcourse.checks.report import Report

_GRACE = 60.0  # seconds for starting Python and importing torch on a busy machine


class NotebookError(ValueError):
    """A file that cannot be read as a notebook with answers; its message is one line."""


def run_check(path: str, as_json: bool = False, seed: int = 0) -> int:
    """Check a notebook and print the table, or JSON. Returns the exit status: 0 only if every exercise in the file passes."""
    found = check_file(path, seed)
    if as_json:
        print(json.dumps(found, indent=2))
    elif found["error"]:
        print(f"rlcourse check: {found['error']}", file=sys.stderr)
    else:
        print(table(found))
    return 0 if found["passed"] else 1


def check_file(path: str | os.PathLike, seed: int = 0, seconds: float = SECONDS) -> dict[str, Any]:
    """Check every answer of a notebook. Never raises for what is in the file: `error` is None or one line."""
    try:
        sources = answers(read_cells(Path(path)))
    except NotebookError as error:
        return {"file": str(path), "passed": False, "error": str(error), "exercises": []}
    rows = _in_processes(sources, seed, seconds)
    return {"file": str(path), "passed": all(row["passed"] for row in rows), "error": None, "exercises": rows}


def table(found: dict[str, Any]) -> str:
    """The result of check_file as text: one line per exercise, then what is said about those that are not right."""
    head = ("exercise", "function", "status", "diagnosis")
    lines = [head] + [tuple(row[name] for name in head) for row in found["exercises"]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    rows = ["  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in lines]
    said = [row["report"] for row in found["exercises"] if row["status"] != "passed"]
    right = sum(row["passed"] for row in found["exercises"])
    return "\n".join([*rows, "", *said, *([""] if said else []), f"{right} of {len(found['exercises'])} exercises are right."])


def read_cells(path: Path) -> list[tuple[str | None, str]]:
    """(exercise id of an answer cell, else None; source) of every code cell; NotebookError if the file is no notebook."""
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
        cells = [cell for cell in data["cells"] if cell["cell_type"] == "code"]
        return [(_answers_what(cell), "".join(cell["source"])) for cell in cells]
    except OSError as error:
        raise NotebookError(f"cannot read {path}: {error.strerror or error}.") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise NotebookError(f"{path} is not a Jupyter notebook (.ipynb, format 4) that can be read.") from None


def _answers_what(cell: dict[str, Any]) -> str | None:
    metadata = cell.get("metadata", {})
    return str(metadata["exercise"]) if "exercise" in metadata and "answer" in metadata.get("tags", []) else None


def answers(cells: list[tuple[str | None, str]]) -> dict[str, str]:
    """Exercise id -> definitions, NUL, and the answer cell: found by its metadata, else by the function it defines; the last one wins."""
    functions = {library.get(id).function: id for id in library.all_ids()}
    found: dict[str, str] = {}
    rest = []
    for label, source in cells:
        source = _without_magics(source)
        defined = [functions[node.name] for node in _parsed(source) if isinstance(node, ast.FunctionDef) and node.name in functions]
        for id in [label] if label in library.all_ids() else defined:
            found[id] = source
        if label is None and not defined:
            rest += _parsed(source)
    if not found:
        raise NotebookError("no cell of this notebook answers an exercise of the course.")
    order = [id for id in library.all_ids() if id in found]
    return {id: _definitions(rest, found[id]) + "\0" + found[id] for id in order}


def _without_magics(source: str) -> str:
    """Lines that only a notebook understands (%magic, !command) become comments; line numbers stay."""
    return "\n".join("#" + line if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines())


def _parsed(source: str) -> list[ast.stmt]:
    try:
        return ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError):
        return []


def _bound(statements: list[ast.stmt]) -> list[str]:
    """The names that these statements define by def, class or assignment."""
    names = []
    for node in statements:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)]
    return names


def _definitions(rest: list[ast.stmt], answer: str) -> str:
    """All imports of the other cells, and of their definitions those that the answer uses, directly or through each other."""
    needed = {leaf.id for node in _parsed(answer) for leaf in ast.walk(node) if isinstance(leaf, ast.Name)}
    kept: set[int] = set()
    growing = True
    while growing:
        growing = False
        for position, node in enumerate(rest):
            if position not in kept and (isinstance(node, ast.Import | ast.ImportFrom) or needed & set(_bound([node]))):
                kept.add(position)
                needed |= {leaf.id for leaf in ast.walk(node) if isinstance(leaf, ast.Name)}
                growing = True
    return "\n".join(ast.unparse(rest[position]) for position in sorted(kept))


def _in_processes(sources: dict[str, str], seed: int, seconds: float) -> list[dict[str, Any]]:
    """Run the answers in one process; where it ends early, the answer it was at is the culprit and the others go on in a new one."""
    rows: dict[str, dict[str, Any]] = {}
    while len(rows) < len(sources):
        waiting = {id: source for id, source in sources.items() if id not in rows}
        finished, ended_by = _one_process(waiting, seed, seconds)
        rows |= {row["exercise"]: row for row in finished}
        culprit = next((id for id in waiting if id not in rows), None)
        if culprit is not None:
            rows[culprit] = _row(library.get(culprit), library.get(culprit).refused(ended_by))
    return [rows[id] for id in sources]


def _one_process(sources: dict[str, str], seed: int, seconds: float) -> tuple[list[dict[str, Any]], Slip]:
    with tempfile.TemporaryDirectory() as folder:
        job, out = Path(folder, "job.json"), Path(folder, "out.jsonl")
        job.write_text(json.dumps({"sources": sources, "seed": seed, "seconds": seconds}), encoding="utf-8")
        command = [sys.executable, "-m", "rlcourse.checks.files", str(job), str(out)]
        ended = Slip("ended", "The Python process ended while it ran your function.", "Look for os._exit, or for memory that runs out.")
        try:
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           timeout=_GRACE + 2 * seconds * len(sources), check=False)
        except subprocess.TimeoutExpired:
            ended = Slip("timeout", f"Your function had not finished after {seconds:g} seconds, and could not be interrupted.",
                         "Look for a loop that catches every exception.")
        lines = out.read_text(encoding="utf-8").splitlines() if out.is_file() else []
        return [json.loads(line) for line in lines], ended


def _row(exercise: Exercise, report: Report) -> dict[str, Any]:
    return {"exercise": exercise.id, "function": exercise.function, "status": report.status, "passed": report.passed, "score": report.score,
            "verdict": report.verdict, "diagnosis": report.diagnosis, "report": str(report)}


def _assessed(exercise: Exercise, source: str, seed: int, seconds: float) -> Report:
    """Run the definitions and the answer cell in a fresh namespace and assess the function they define."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    definitions, _, answer = source.partition("\0")
    name = f"<the answer cell of {exercise.id}>"
    linecache.cache[name] = (len(answer), None, answer.splitlines(keepends=True), name)
    try:
        for statement in _parsed(definitions):
            _try(ast.unparse(statement), namespace)
        exec(compile(answer, name, "exec"), namespace)
    except SyntaxError as error:
        return exercise.refused(Slip("syntax", f"Line {error.lineno} of the answer cell is not valid Python: {error.msg}."))
    except BaseException as error:
        text = " ".join(str(error).split())[:200]
        return exercise.refused(Slip("exception", f"The answer cell raised {type(error).__name__} when it was run: {text}"))
    function = namespace.get(exercise.function)
    if not callable(function):
        return exercise.refused(Slip("missing", f"The answer cell defines no function called {exercise.function}."))
    return exercise.evaluate(function, seed, seconds)


def _try(statement: str, namespace: dict[str, Any]) -> None:
    """A helper cell that fails is left out: if the answer needs it, the answer says so."""
    try:
        exec(statement, namespace)
    except Exception:
        return


def _main(job: str, out: str) -> None:
    import torch

    torch.set_num_threads(1)
    given = json.loads(Path(job).read_text(encoding="utf-8"))
    with open(out, "a", encoding="utf-8") as file:
        for id, source in given["sources"].items():
            exercise = library.get(id)
            file.write(json.dumps(_row(exercise, _assessed(exercise, source, given["seed"], given["seconds"]))) + "\n")
            file.flush()


if __name__ == "__main__":
    _main(*sys.argv[1:])
