"""`rlcourse check FILE.ipynb ...`: the answers of notebooks, each checked in a process of its own, as a table or as data.

Only definitions are run: the answer cells, and from the other cells the imports, functions, classes and constants that the answers use. This is a
self-check on your own machine: the process is separate, not sandboxed, and an answer could forge its line in the table.
`check_file` returns {"file", "passed", "error", "exercises"}, and for each exercise {"exercise", "function", "status", "passed", "score", "verdict",
"diagnosis", "report"}. Several files, or a folder, give {"passed", "files": [one such object each]}.
"""

import ast
import functools
import inspect
import json
import linecache
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rlcourse.checks import library, progress
from rlcourse.checks.answer_cells import NO_ANSWER, NotebookError, answers, parsed, read_cells
from rlcourse.checks.compare import Slip
from rlcourse.checks.report import Report
from rlcourse.checks.verdicts import refused

_LONGEST = 6000  # characters of one report
_GRACE = 60.0  # seconds for starting Python and importing torch on a busy machine


def run_check(paths: str | os.PathLike | Sequence[str | os.PathLike], as_json: bool = False, seed: int = 0) -> int:
    """Check a notebook, several, or all in a folder, and print tables, or JSON. Returns the exit status: 0 only if every exercise passes.

    What lies in my/ is remembered in my/progress.json, as in the notebook itself. Raises NotebookError for a path that does not exist (in JSON it is
    an error like the others).
    """
    given = [Path(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
    if not given or (not as_json and not all(path.exists() for path in given)):
        what = f"There is no file {next(path for path in given if not path.exists())}." if given else "Which notebook? Name a file or a folder."
        raise NotebookError(f"{what} Your exercise notebooks are in my/exercises/ (`rlcourse lab` puts them there).")
    alone = len(given) == 1 and not given[0].is_dir()
    results = [check_file(path, seed) for path in notebooks_in(given)]
    results = [found for found in results if alone or found["error"] != NO_ANSWER or Path(found["file"]) in given]
    for found in results:
        _remember(found)
    passed = bool(results) and all(found["passed"] for found in results)
    if as_json:
        print(json.dumps(results[0] if alone else {"passed": passed, "files": results}, indent=2))
    elif results:
        _print(results, alone)
    else:
        print(f"rlcourse check: no notebook in {', '.join(map(str, given))} answers an exercise of the course.", file=sys.stderr)
    return 0 if passed else 1


def notebooks_in(paths: Sequence[Path]) -> list[Path]:
    """The files among `paths`, and every notebook in the folders among them (hidden folders left out), each once."""
    found: dict[Path, Path] = {}
    for path in paths:
        inside = sorted(each for each in path.rglob("*.ipynb") if not any(part.startswith(".") for part in each.relative_to(path).parts))
        for each in inside if path.is_dir() else [path]:
            found.setdefault(each.resolve(), each)
    return list(found.values())


def _remember(found: dict[str, Any]) -> None:
    folder = progress.my_folder(Path(found["file"]).parent)
    for row in found["exercises"] if folder else []:
        progress.note_check(row["exercise"], row["status"], row["score"], folder)


def _print(results: list[dict[str, Any]], alone: bool) -> None:
    for found in results:
        if not alone and not found["error"]:
            print(f"{found['file']}\n")
        if found["error"]:
            where = "" if alone or found["file"] in found["error"] else f"{found['file']}: "
            print(f"rlcourse check: {where}{found['error']}", file=sys.stderr)
        else:
            print(table(found) + ("" if alone else "\n"))
    if not alone:
        print(f"{sum(found['passed'] for found in results)} of {len(results)} notebooks are right.")


def check_file(path: str | os.PathLike, seed: int = 0, seconds: float | None = None) -> dict[str, Any]:
    """Check every answer of a notebook, each within `seconds` (by default what its kind of exercise allows). Never raises for what is in the file:
    `error` is None or one line."""
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


def _in_processes(sources: dict[str, str], seed: int, seconds: float | None) -> list[dict[str, Any]]:
    """Run the answers; where the process ends early, the answer it was at is the culprit and the others go on in a new one."""
    rows: dict[str, dict[str, Any]] = {}
    while len(rows) < len(sources):
        waiting = {id: source for id, source in sources.items() if id not in rows}
        finished, ended_by = _one_process(waiting, seed, seconds)
        rows |= {row["exercise"]: row for row in finished}
        culprit = next((id for id in waiting if id not in rows), None)
        if culprit is not None:
            rows[culprit] = _row(library.get(culprit), refused(library.get(culprit), ended_by))
    return [rows[id] for id in sources]


def _one_process(sources: dict[str, str], seed: int, seconds: float | None) -> tuple[list[dict[str, Any]], Slip]:
    with tempfile.TemporaryDirectory() as folder:
        job, out = Path(folder, "job.json"), Path(folder, "out.jsonl")
        job.write_text(json.dumps({"sources": sources, "seed": seed, "seconds": seconds}), encoding="utf-8")
        command = [sys.executable, "-m", "rlcourse.checks.files", str(job), str(out)]
        ended = Slip("ended", "The Python process ended while it ran your function.", "Look for os._exit, or for memory that runs out.")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            process.wait(_GRACE + sum(2 * _limit(library.get(id), seconds) for id in sources))
        except subprocess.TimeoutExpired:
            ended = Slip("timeout", "Your function had not finished when its time was up, and could not be interrupted.",
                         "Look for a loop that catches every exception.")
        finally:
            _end(process)
        lines = out.read_text(encoding="utf-8").splitlines() if out.is_file() else []
        return [json.loads(line) for line in lines], ended


def _end(process: subprocess.Popen) -> None:
    """End a process with all that it started, whether or not it is still there."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (OSError, AttributeError):
        process.kill()
    process.wait()


def _limit(exercise: Any, seconds: float | None) -> float:
    """Seconds for one answer: as asked for, else what this kind of exercise allows (one that trains an agent allows more)."""
    return inspect.signature(exercise.evaluate).parameters["seconds"].default if seconds is None else seconds


def _row(exercise: Any, report: Report) -> dict[str, Any]:
    text = str(report)
    return {"exercise": exercise.id, "function": exercise.function, "status": report.status, "passed": report.passed, "score": report.score,
            "verdict": report.verdict, "diagnosis": report.diagnosis, "report": text[:_LONGEST] + (" ..." if len(text) > _LONGEST else "")}


def _assessed(exercise: Any, source: str, seed: int, seconds: float | None) -> Report:
    """Run the definitions and the answer cell in a fresh namespace and assess the function they define."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    definitions, _, answer = source.partition("\0")
    name = f"<the answer cell of {exercise.id}>"
    linecache.cache[name] = (len(answer), None, answer.splitlines(keepends=True), name)
    try:
        for statement in parsed(definitions):
            _try(ast.unparse(statement), namespace)
        exec(compile(answer, name, "exec"), namespace)
    except SyntaxError as error:
        return refused(exercise, Slip("syntax", f"Line {error.lineno} of the answer cell is not valid Python: {error.msg}."))
    except BaseException as error:
        text = " ".join(str(error).split())[:200]
        return refused(exercise, Slip("exception", f"The answer cell raised {type(error).__name__} when it was run: {text}"))
    function = namespace.get(exercise.function)
    if not callable(function):
        return refused(exercise, Slip("missing", f"The answer cell defines no function called {exercise.function}."))
    return exercise.evaluate(function, seed, seconds=_limit(exercise, seconds))


def _try(statement: str, namespace: dict[str, Any]) -> None:
    """A helper cell that fails is left out: if the answer needs it, the answer says so."""
    try:
        exec(statement, namespace)
    except Exception:
        return


def _apart(work: Callable[[], None]) -> bool:
    """Do the work in a child process, which what an answer changes (a default dtype, a patched function) cannot leave; False if the child broke.

    Forking a process that has imported torch is safe on Linux while it has run nothing; elsewhere the answers share this process.
    """
    if not sys.platform.startswith("linux"):
        work()
        return True
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def _main(job: str, out: str) -> None:
    import torch

    torch.set_num_threads(1)
    library.all_ids()  # imported once, before the children are made
    given = json.loads(Path(job).read_text(encoding="utf-8"))

    def judge(id: str, source: str) -> None:
        exercise = library.get(id)
        line = json.dumps(_row(exercise, _assessed(exercise, source, given["seed"], given["seconds"])))
        with open(out, "a", encoding="utf-8") as file:
            file.write(line + "\n")

    for id, source in given["sources"].items():
        if not _apart(functools.partial(judge, id, source)):
            sys.exit(1)


if __name__ == "__main__":
    _main(*sys.argv[1:])
