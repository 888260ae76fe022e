"""Percent-format source -> the notebooks that are generated from it, before anything is executed.

`notebooks/source/NN.py` and `solutions/source/NN.py` are what is written and reviewed. This module reads them, gives every cell an id that follows
from its content, adds the metadata that the tags imply, and turns a solution into the exercise that a student receives. Everything here is pure text
to notebook; execution lives in `execute.py`, the checks on the results in `notebooks.py`.
"""

from __future__ import annotations

import ast
import copy
import hashlib
import re
from collections import Counter
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
IGNORED_BY_NBVAL = "nbval-ignore-output"
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE_INFO = {  # without a version: it would differ between machines and says nothing about the lecture
    "codemirror_mode": {"name": "ipython", "version": 3}, "file_extension": ".py", "mimetype": "text/x-python",
    "name": "python", "nbconvert_exporter": "python", "pygments_lexer": "ipython3",
}


class SourceError(ValueError):
    """A source that cannot become a notebook; the message names the cell and the remedy."""


def tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell; an empty list where it has none."""
    return list(cell.metadata.get("tags", []))


def first_line(source: str, width: int = 60) -> str:
    """The first non-empty line of a cell, shortened: how messages name a cell to its author."""
    line = next((line.strip() for line in source.splitlines() if line.strip()), "(empty)")
    return line if len(line) <= width else line[: width - 3] + "..."


def source_hash(path: Path) -> str:
    """SHA-256 of a source file's text, with line ends as \\n: the same on every machine, and what the execution record remembers."""
    return hashlib.sha256(path.read_text(encoding="utf-8").encode()).hexdigest()


def read_source(path: Path) -> NotebookNode:
    """The unexecuted notebook of `<folder>/source/<name>.py`: cells, ids, cell metadata and notebook metadata, no outputs.

    Called twice it returns equal notebooks; jupytext by itself would invent new random cell ids each time.
    """
    book = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent")
    book.nbformat, book.nbformat_minor = 4, 5
    own = {"rlcourse": book.metadata["rlcourse"]} if "rlcourse" in book.metadata else {}
    origin = f"{path.parent.parent.name}/source/{path.name}"
    book.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": LANGUAGE_INFO, "generated_from": origin, **own})
    for cell in book.cells:
        dress(cell)
    assign_ids(book.cells, path.name)
    return book


def dress(cell: NotebookNode) -> None:
    """Add in place what a cell's tags imply.

    widget, experiment (without strict): nbval runs the cell and does not compare its output. imports, hide-input: the code is folded in JupyterLab.
    """
    for trace in ("lines_to_next_cell", "lines_to_end_of_cell_marker"):  # jupytext's notes about blank lines
        cell.metadata.pop(trace, None)
    names = tags(cell)
    if "widget" in names or ("experiment" in names and "strict" not in names):
        names = [*names, IGNORED_BY_NBVAL] if IGNORED_BY_NBVAL not in names else names
    if names:
        cell.metadata["tags"] = names
    if cell.cell_type == "code" and {"imports", "hide-input"} & set(names):
        cell.metadata["jupyter"] = nbformat.from_dict({**cell.metadata.get("jupyter", {}), "source_hidden": True})


def assign_ids(cells: list[NotebookNode], name: str = "source") -> None:
    """Give each cell, in place, an id that is a hash of what it says, with a running number for repeats.

    The hash is taken of the cell as the exercise shows it: a solution and its exercise share their ids, and rewriting a solution keeps them.
    """
    seen: Counter[str] = Counter()
    for cell in cells:
        kind = "solution-only" if "solution-only" in tags(cell) else cell.cell_type
        digest = hashlib.sha256(f"{kind}\0{stub(cell, name)}".encode()).hexdigest()[:12]
        seen[digest] += 1
        cell["id"] = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"


def exercise_from(solution: NotebookNode) -> NotebookNode:
    """The exercise notebook of a solution notebook: solution blocks replaced by stubs, `solution-only` cells dropped, nothing executed."""
    book = copy.deepcopy(solution)
    book.cells = [cell for cell in book.cells if "solution-only" not in tags(cell)]
    for cell in book.cells:
        cell.source = stub(cell, book.metadata.generated_from)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return book


def split_blocks(source: str, where: str = "source") -> tuple[list[str], list[list[str]]]:
    """(lines outside, with each solution block replaced by its BEGIN line; the lines of each block)."""
    outside: list[str] = []
    blocks: list[list[str]] = []
    inside = False
    for line in source.splitlines():
        marker = line.strip()
        if marker in (BEGIN, END):
            if inside != (marker == END):
                raise SourceError(f"{where}: '{marker}' in the cell '{first_line(source)}' has no partner. Every {BEGIN} needs one {END} after it, "
                                  "and blocks do not nest: without the pair, a solution would reach the students.")
            inside = marker == BEGIN
            if inside:
                outside.append(line)
                blocks.append([])
        elif inside:
            blocks[-1].append(line)
        else:
            outside.append(line)
    if inside:
        raise SourceError(f"{where}: the cell '{first_line(source)}' opens {BEGIN} and never closes it. Add {END}: without it nobody can "
                          "tell which lines are the solution.")
    return outside, blocks


def stub(cell: NotebookNode, where: str = "source") -> str:
    """The source of a cell as the student sees it: valid Python, each solution block replaced at its own indentation.

    Inside a function a block becomes `raise NotImplementedError("13.1: your code here")`, which `check` reads as "not attempted"; elsewhere `...`, so
    that the notebook still runs from top to bottom. In a Markdown cell it becomes an invitation to write.
    """
    outside, blocks = split_blocks(cell.source, where)
    if not blocks:
        return cell.source
    label = f"{cell.metadata.exercise}: your code here" if "exercise" in cell.metadata else "your code here"
    if cell.cell_type != "code":
        return "\n".join("*Write your answer here.*" if line.strip() == BEGIN else line for line in outside)
    shown = [_indent(line) + "..." if line.strip() == BEGIN else line for line in outside]
    in_function = _lines_in_functions("\n".join(shown), where)
    for number, line in enumerate(outside):
        if line.strip() == BEGIN:
            shown[number] = _indent(line) + (f'raise NotImplementedError("{label}")' if number + 1 in in_function else f"...  # {label}")
    return "\n".join(shown)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _lines_in_functions(source: str, where: str) -> set[int]:
    try:
        tree = ast.parse(python_only(source))
    except SyntaxError as error:
        raise SourceError(f"{where}: without its solution the cell '{first_line(source)}' is not valid Python ({error.msg}, line {error.lineno}). "
                          f"A stub must parse, or the student's notebook stops there: put whole statements between {BEGIN} and {END}.") from None
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {line for node in functions for line in range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1)}


def python_only(source: str) -> str:
    """The cell without what only IPython understands (`%magic`, `!command`, `%%cell`), line for line, so that `ast.parse` can read it."""
    if source.lstrip().startswith("%%"):
        return ""
    return "\n".join(_indent(line) + "pass" if re.match(r"\s*[%!]", line) else line for line in source.splitlines())
