"""The answers in a notebook file, as source text, with the definitions that each of them uses. Nothing is run here."""

import ast
import json
from pathlib import Path
from typing import Any

from rlcourse.checks import library

NO_ANSWER = "no cell of this notebook answers an exercise of the course."


class NotebookError(ValueError):
    """A file that cannot be read as a notebook with answers; its message is one line."""


class NoAnswerError(NotebookError):
    """A notebook in which nothing answers an exercise: a mistake where it was named, nothing special where a folder was."""


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
    statements: list[tuple[list[str], ast.stmt]] = []  # (the exercises that the statement's cell answers, the statement)
    for label, source in cells:
        source = _without_magics(source)
        defined = [functions[node.name] for node in parsed(source) if isinstance(node, ast.FunctionDef) and node.name in functions]
        ids = [label] if label in library.all_ids() else defined
        found |= dict.fromkeys(ids, source)
        statements += [(ids, statement) for statement in parsed(source)]
    if not found:
        raise NoAnswerError(NO_ANSWER)
    order = [id for id in library.all_ids() if id in found]
    return {id: _definitions([statement for ids, statement in statements if id not in ids], found[id]) + "\0" + found[id] for id in order}


def _without_magics(source: str) -> str:
    """Lines that only a notebook understands (%magic, !command) become comments; line numbers stay."""
    return "\n".join("#" + line if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines())


def parsed(source: str) -> list[ast.stmt]:
    """The statements of a cell; none where it is not valid Python."""
    try:
        return ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError):
        return []


def _bound(statements: list[ast.stmt]) -> list[str]:
    """The names that these statements define by def, class or assignment; `x.attribute = ...` is no definition, `x[key] = ...` belongs to x."""
    names = []
    for node in statements:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            targets = [target for target in targets if not isinstance(target, ast.Attribute)]
            names += [leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)]
    return names


def _definitions(rest: list[ast.stmt], answer: str) -> str:
    """All imports of the other cells, and of their definitions (other answers too) those that this answer uses, directly or through each other."""
    needed = {leaf.id for node in parsed(answer) for leaf in ast.walk(node) if isinstance(leaf, ast.Name)}
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
