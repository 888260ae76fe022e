"""Checks on notebooks: each function takes notebooks and returns a list of problems, sentences that say what, why and what to do.

An empty list means that the property holds. The tests call every check on the notebooks of the course and on planted bad ones. nbval runs the cells
again and compares their text; what it does not see is checked here: a never-executed notebook passes it, figures are never compared, numbers printed
with all their digits change with the thread count, and a parallel run may split one notebook over two kernels.
"""

from __future__ import annotations

import ast
import getpass
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from rlcourse.authoring.execute import WIDGET_TEXT, WIDGET_VIEW
from rlcourse.authoring.sources import BEGIN, END, IGNORED_BY_NBVAL, first_line, python_only, split_blocks, tags

CPU_BUDGET = 60.0  # seconds of one notebook, imports included: all lectures are validated in one test run
SIZE_LIMIT = 2_000_000  # bytes of one notebook file: GitHub stops showing larger ones, and a class downloads them
SHORT_LINE = 12  # characters without blanks; a solution line below this (`return x`) gives nothing away
GENERIC_USERS = {"root", "user", "runner", "student", "jovyan", "ubuntu", "admin", "vscode", "nobody", "teacher"}
UNREADABLE = (OSError, ValueError, nbformat.ValidationError)  # what `read` raises
ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}")
HOME_PATH = re.compile(r"(?<![\w.:/-])(?:/(?:home|root|Users|tmp|private|var|opt|srv|mnt|usr)/[\w.-]+|[A-Z]:\\{1,2}Users\b)")
NUMBER = re.compile(r"(?<![\w.])(\d+\.\d*|\d+(?=[eE][-+]?\d))(?:[eE]([-+]?\d+))?(?![\w.]*\d)")


def _cell(cell: NotebookNode) -> str:
    return f"cell {cell.get('id', '?')} ({first_line(cell.source)})"


def code_cells(book: NotebookNode) -> list[NotebookNode]:
    """The code cells of a notebook, in order."""
    return [cell for cell in book.cells if cell.cell_type == "code"]


def output_texts(cell: NotebookNode) -> Iterator[str]:
    """Every text that a code cell shows: streams, errors, and text/* representations (embedded image data left out)."""
    for output in cell.get("outputs", []):
        yield from [output[key] for key in ("text", "ename", "evalue") if key in output]
        yield from output.get("traceback", [])
        for mime, value in output.get("data", {}).items():
            if mime.startswith("text/"):
                yield re.sub(r"data:[\w/+.-]+;base64,[\w+/=\s]+", "", "".join(value))


def strings(node: object) -> Iterator[str]:
    """Every string in a JSON-like tree, keys included; images and other binary data are left out."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for key, value in node.items():
            yield key
            if not key.startswith(("image/", "video/", "audio/")):
                yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)


# ---- generated files -----------------------------------------------------------------------------------------------------------------------------

def drift(book: NotebookNode, expected: NotebookNode) -> list[str]:
    """Where a stored notebook differs from what its source generates: number of cells, types, sources, ids, metadata. Outputs are nbval's."""
    problems = []
    if len(book.cells) != len(expected.cells):
        problems.append(f"has {len(book.cells)} cells, its source generates {len(expected.cells)}")
    for number, (have, want) in enumerate(zip(book.cells, expected.cells)):
        parts = [part for part in ("cell_type", "source", "id", "metadata") if have.get(part) != want.get(part)]
        if parts:
            problems.append(f"cell {number} ({first_line(want.source)}) differs from its source in {', '.join(parts)}")
    if book.metadata != expected.metadata:
        problems.append("the notebook's metadata differ from what its source generates")
    if (book.nbformat, book.nbformat_minor) != (expected.nbformat, expected.nbformat_minor):
        problems.append("the notebook's format version differs from what the build writes")
    return [f"{problem}. The source is the truth: put the change there and run `make notebooks`." for problem in problems[:5]]


def not_executed(book: NotebookNode) -> list[str]:
    """Code cells without an execution count, or with counts that do not run 1, 2, 3. nbval passes a notebook that was never executed."""
    counts = [cell.execution_count for cell in code_cells(book)]
    if counts == list(range(1, len(counts) + 1)):
        return []
    odd = next(cell for number, cell in enumerate(code_cells(book), 1) if cell.execution_count != number)
    return [f"{_cell(odd)} has execution count {odd.execution_count}; a fresh run from top to bottom counts 1, 2, 3, ... Outputs of a cell "
            "that was not run, or run out of order, are not the outputs a reader will get. Run `make notebooks`; remove empty code cells."]


def errors_left(book: NotebookNode) -> list[str]:
    """Cells that ended in an exception. A lecture shows a failing formula by catching its error, so that the cells below it run."""
    return [f"{_cell(cell)} ends with {output.ename}: {output.evalue}. Catch the exception and print what it teaches."
            for cell in code_cells(book) for output in cell.outputs if output.output_type == "error"]


def figures_missing(book: NotebookNode) -> list[str]:
    """Cells tagged `figure` without an image output or without alt text. nbval never compares images, so a vanished figure passes it."""
    problems = []
    for cell in (cell for cell in code_cells(book) if "figure" in tags(cell)):
        if not any(mime.startswith("image/") for output in cell.outputs for mime in output.get("data", {})):
            problems.append(f"{_cell(cell)} is tagged `figure` and shows no image. Leave the figure open at the end of the cell, or drop the tag.")
        if not str(cell.metadata.get("alt", "")).strip():
            problems.append(f"{_cell(cell)} is a figure without alt text. A reader who cannot see it needs one or two sentences: alt=\"...\".")
    return problems


def not_compared(book: NotebookNode) -> list[str]:
    """Cells that hide from nbval: skipped, or ignored without being a widget or an experiment."""
    problems = []
    for cell in code_cells(book):
        names = set(tags(cell))
        if names & {"nbval-skip", "skip-execution", "raises-exception"} or re.search(r"#\s*(NBVAL_|PYTEST_VALIDATE_)", cell.source):
            problems.append(f"{_cell(cell)} opts out of validation by a tag or a comment. Use the tags `widget` or `experiment`, which say why.")
        elif IGNORED_BY_NBVAL in names and not names & {"widget", "experiment"}:
            problems.append(f"{_cell(cell)} is ignored by nbval and is neither `widget` nor `experiment`. Print rounded numbers and remove the tag.")
    return problems


def widget_traces(book: NotebookNode) -> list[str]:
    """Widget state or view ids left in the file, or a widget in a cell that is not tagged `widget`."""
    problems = []
    if "widgets" in book.metadata:
        problems.append("the notebook stores widget state. It is large, differs at every build and goes stale: run `make notebooks`.")
    for cell in code_cells(book):
        if any(WIDGET_VIEW in output.get("data", {}) for output in cell.outputs):
            problems.append(f"{_cell(cell)} stores the random id of a widget view, which shows as an error without its kernel. Run `make notebooks`.")
        if WIDGET_TEXT in "".join(output_texts(cell)) and IGNORED_BY_NBVAL not in tags(cell):
            problems.append(f"{_cell(cell)} displays a widget or a progress bar. Tag it `widget` or `experiment`: nbval then compares nothing.")
    return problems


def private_words(root: Path) -> list[str]:
    """What must not be in a published notebook: this checkout's folder, the home folder, the account's name where it is a telling one."""
    user = getpass.getuser()
    return [str(root), str(Path.home()), *([user] if len(user) > 3 and user not in GENERIC_USERS else [])]


def private_traces(book: NotebookNode, words: Sequence[str] = ()) -> list[str]:
    """Memory addresses in outputs; absolute paths of somebody's machine, and `words`, anywhere in the notebook."""
    problems = []
    for cell in code_cells(book):
        shown = "\n".join(output_texts(cell))
        for hit in ADDRESS.findall(shown)[:1]:
            problems.append(f"{_cell(cell)} prints the memory address {hit}, which changes at every run. End the cell with `;` or print values.")
        if any(output.get("name") == "stderr" for output in cell.outputs):
            problems.append(f"{_cell(cell)} writes to stderr: {first_line(shown)}. A reader takes it for a fault. Remove the cause of the warning.")
    found = [hit.group() for text in strings(dict(book)) for hit in HOME_PATH.finditer(text)]
    found += [word for word in words if word != "/" for text in strings(dict(book)) if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text)]
    return problems + [f"names '{hit}', which exists on one machine only. Find data through functions of the package." for hit in sorted(set(found))]


def unrounded(book: NotebookNode) -> list[str]:
    """Numbers that nbval would compare and that another machine prints differently: over six significant digits, or rounding noise such as 2.2e-16.

    Powers of ten (`< 1e-12`) are bounds and may be printed. Cells tagged `widget` or `experiment` are not compared and not checked here.
    """
    problems = []
    for cell in (cell for cell in code_cells(book) if IGNORED_BY_NBVAL not in tags(cell)):
        for hit in (hit for text in output_texts(cell) for hit in NUMBER.finditer(text)):
            digits = hit.group(1).replace(".", "").lstrip("0")
            tiny = hit.group(2) is not None and int(hit.group(2)) <= -10 and digits.rstrip("0") != "1"
            if len(digits) > 6 or tiny:
                why = "is rounding noise" if tiny else f"has {len(digits)} significant digits"
                problems.append(f"{_cell(cell)} prints {hit.group()}, which {why}: another thread count or processor prints other digits, and nbval "
                                "fails there. Print a rounded number or a predicate such as `error < 1e-12: True`.")
                break
    return problems


def too_large(book: NotebookNode) -> list[str]:
    """A notebook file over 2 MB."""
    size = len(nbformat.writes(book).encode())
    return [f"is {size / 1e6:.1f} MB; the limit is {SIZE_LIMIT / 1e6:.0f} MB. Draw fewer points or lower the dpi."] if size > SIZE_LIMIT else []


# ---- exercises -----------------------------------------------------------------------------------------------------------------------------------

def solution_lines(solution: NotebookNode) -> dict[str, str]:
    """{line without blanks: line} for every line of a solution block that would give something away."""
    found = {}
    for cell in solution.cells:
        for line in (line for block in split_blocks(cell.source)[1] for line in block):
            bare = "".join(line.split()).removeprefix("return")
            if len(bare) >= SHORT_LINE and not line.strip().startswith(("import ", "from ")):
                found[bare] = line.strip()
    return found


def solution_leaks(exercise: NotebookNode, solution: NotebookNode) -> list[str]:
    """Lines of a solution block that stand, with whatever spacing, in a cell or in the metadata of the exercise; markers that survived."""
    texts = ["".join(text.split()) for text in strings(dict(exercise))]
    leaks = [line for bare, line in solution_lines(solution).items() if any(bare in text for text in texts)]
    leaks += [marker for marker in (BEGIN, END) if any("".join(marker.split()) in text for text in texts)]
    return [f"shows the solution line `{line}`. A student would read the answer: reword what is visible, or move the line out of the block."
            for line in leaks]


def stub_problems(exercise: NotebookNode) -> list[str]:
    """Code cells of an exercise that are not valid Python, or that carry outputs or execution counts."""
    problems = []
    for cell in code_cells(exercise):
        try:
            ast.parse(python_only(cell.source))
        except SyntaxError as error:
            problems.append(f"{_cell(cell)} is not valid Python: {error.msg}, line {error.lineno}. The notebook must run before anything is solved.")
        if cell.outputs or cell.execution_count is not None:
            problems.append(f"{_cell(cell)} carries outputs or an execution count. They may show the answer: run `make notebooks`.")
    return problems


# ---- the execution record and nbval --------------------------------------------------------------------------------------------------------------

def record_problems(record: dict[str, dict], hashes: dict[str, str]) -> list[str]:
    """`record`: notebooks/build.json. `hashes`: {"notebooks/NN_name": hash of its source now}. Missing, stale, superfluous or over-budget entries."""
    problems = [f"{name} has no entry in notebooks/build.json. Run `make notebooks`." for name in hashes if name not in record]
    for name, entry in record.items():
        if name not in hashes:
            problems.append(f"notebooks/build.json names {name}, which has no source. Run `make notebooks`.")
        elif entry["source_sha256"] != hashes[name]:
            problems.append(f"{name}: the source changed after the last build, so its figures and times are of another text. Run `make notebooks`.")
        if entry["cpu_seconds"] > CPU_BUDGET:
            problems.append(f"{name} took {entry['cpu_seconds']} CPU seconds; the budget is {CPU_BUDGET:.0f}. Load a long result from a stored run.")
    return problems


def nbval_command(notebooks: Sequence[Path], workers: int = 1) -> list[str]:
    """The command that validates notebooks: strict comparison, kernels of this interpreter, none of the project's own pytest settings.

    One process by default. With more workers each notebook stays on one of them (`--dist loadscope`): xdist alone deals cells out singly, to kernels
    in which the cells above were never run. Run it with the environment of `execute.pinned_environment`.
    """
    split = ["-p", "no:xdist"] if workers == 1 else ["-n", str(workers), "--dist", "loadscope"]
    return [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(notebooks[0].parent), "-p", "no:cacheprovider", *split, "--nbval",
            "--nbval-current-env", "--nbval-cell-timeout", "600", "--color=no", "-q", "-rA", *map(str, notebooks)]


def nbval_command_problems(command: Sequence[str]) -> list[str]:
    """What is wrong with a command line that is meant to validate notebooks."""
    words = " ".join(command)
    needed = {" --nbval ": "compares nothing without --nbval", " --nbval-current-env ": "would run in whatever kernel the machine calls python3"}
    problems = [f"the nbval command {why}." for flag, why in needed.items() if flag not in f"{words} "]
    if re.search(r" (-n|--numprocesses)[ =]?\w", words) and "--dist loadscope" not in words.replace("--dist=", "--dist "):
        problems.append("the nbval command deals the cells of one notebook out to several kernels. Add --dist loadscope or run serially.")
    return problems


# ---- all of them ---------------------------------------------------------------------------------------------------------------------------------

def executed_problems(book: NotebookNode, expected: NotebookNode, words: Sequence[str] = ()) -> list[str]:
    """Every check that a lecture or a solution notebook must pass."""
    checks = (not_executed, errors_left, figures_missing, not_compared, widget_traces, unrounded, too_large)
    return [*drift(book, expected), *private_traces(book, words), *(problem for check in checks for problem in check(book))]


def exercise_problems(book: NotebookNode, expected: NotebookNode, solution: NotebookNode, words: Sequence[str] = ()) -> list[str]:
    """Every check that an exercise notebook must pass, without running it."""
    problems = [*drift(book, expected), *stub_problems(book), *solution_leaks(book, solution)]
    return [*problems, *private_traces(book, words), *widget_traces(book), *too_large(book)]


def read(path: Path) -> NotebookNode:
    """A stored notebook. Raises one of UNREADABLE where it is missing, is not JSON or is not a notebook."""
    book = nbformat.reads(path.read_text(encoding="utf-8"), as_version=nbformat.NO_CONVERT)
    nbformat.validate(book)
    return book
