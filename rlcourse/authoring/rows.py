"""No row of the source texts is lost: notebooks/rows.csv lists all of them, and cells say in their metadata which they serve.

    # %% tags=["derivation"] rows=["S0-03:D", "S0-13:LO"]

Each row says which kinds of teaching it asks for: D derivation, N computed numbers, W widget, I implementation, X exercise, E experiment, T text,
LO learning objective. A letter is due once its lecture is released or the course has reached the release in the column `due`, and then some cell of
that lecture has to claim it and to deliver it.
"""

import ast
import csv
import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from rlcourse.authoring.notebooks import output_texts
from rlcourse.authoring.sources import first_line, tags
from rlcourse.checks import library

FILE = Path(__file__).resolve().parents[2] / "notebooks" / "rows.csv"
LETTERS = ("D", "N", "W", "I", "X", "E", "T", "LO")
NOT_IMPLEMENTED = ("notation", "figures", "widgets", "checks", "authoring", "stats", "bootstrap", "significance")     # they show, they are not shown
NEEDS = {
    "D": "no step is checked in it: a derivation is Derivation(...).step(...)",
    "N": "no number and no figure is computed in it",
    "W": "it shows no widget: it needs the tag `widget` and the static twin that the build leaves",
    "I": "it uses nothing of the package that implements it, and names no `rlcourse...` symbol that exists",
    "X": "it names no exercise that exists",
    "E": "it is no experiment: one trains or loads a stored run, and has the tag `experiment`",
    "T": "it has no text",
    "LO": "an objective stands in a text that names the exercise which tests it",
}
EXERCISE = re.compile(r"(?<![\w.])(\d\d\.\d{1,2})(?![\w])")


@dataclass(frozen=True)
class Row:
    """One row: `letters` are what it asks for, `lecture` who owns it, `due` the release that has to have it."""

    id: str
    source: str
    location: str
    statement: str
    letters: tuple[str, ...]
    lecture: str
    due: str


@dataclass(frozen=True)
class Claim:
    """A cell says that it gives one letter of one row."""

    row: str
    letter: str
    lecture: str
    cell: NotebookNode


def read_rows(file: Path = FILE) -> dict[str, Row]:
    """All rows by id."""
    with open(file, encoding="utf-8", newline="") as lines:
        return {line["id"]: Row(**(line | {"letters": tuple(line["letters"].split(","))})) for line in csv.DictReader(lines)}


def lecture_of(book: NotebookNode) -> str:
    """The lecture's number, "13a"."""
    return str(book.metadata.get("rlcourse", {}).get("lecture", ""))


def released(book: NotebookNode) -> bool:
    """False for a draft, which is exempt."""
    return book.metadata.get("rlcourse", {}).get("status") == "released"


def claims(book: NotebookNode) -> Iterator[Claim]:
    """Every claim in a notebook, in order."""
    for cell in book.cells:
        for claim in cell.metadata.get("rows", []):
            row, _, letter = claim.partition(":")
            yield Claim(row, letter, lecture_of(book), cell)


def problems(rows: Mapping[str, Row], books: Mapping[str, NotebookNode], version: str) -> list[str]:
    """What is wrong, one line each: claims of rows that do not exist, claims that nothing delivers, letters that are due and claimed nowhere.

    books: notebooks by name, executed. Drafts neither owe nor give anything. version: of the course, "0.2.0".
    """
    found, given = [], set()
    for name, book in books.items():
        if not released(book):
            continue
        for claim in claims(book):
            place = f"{name}: cell {claim.cell.get('id', '?')} ({first_line(claim.cell.source)}) claims {claim.row}:{claim.letter}"
            if claim.row not in rows or claim.letter not in LETTERS:
                found.append(f"{place}, and there is no such row or letter in {FILE.name}.")
            elif missing := undelivered(book, claim):
                found.append(f"{place}, and {missing}.")
            else:
                given.add((claim.lecture, claim.row, claim.letter))
    open_lectures = {lecture_of(book) for book in books.values() if released(book)}
    for row in rows.values():
        if row.lecture in open_lectures or _number(row.due) <= _number(version):
            found += [f"{row.id}:{letter} ({row.statement}) is due in lecture {row.lecture}, and no cell of it delivers it."
                      for letter in row.letters if (row.lecture, row.id, letter) not in given]
    return found


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def undelivered(book: NotebookNode, claim: Claim) -> str:
    """What the cell lacks to be what it claims; '' if it delivers."""
    cell = claim.cell
    code = cell.cell_type == "code"
    shown = [mime for output in cell.get("outputs", []) for mime in output.get("data", {})]
    image, text = any(mime.startswith("image/") for mime in shown), any(part.strip() for part in output_texts(cell)) if code else False
    delivers = {
        "D": code and "Derivation(" in cell.source and ".step(" in cell.source,
        "N": code and (text or image),
        "W": code and "widget" in tags(cell) and image,
        "I": implements(book, cell),
        "X": bool(exercises(cell)),
        "E": code and "experiment" in tags(cell),
        "T": bool(cell.source.strip()),
        "LO": not code and bool(exercises(cell)),
    }
    return "" if delivers[claim.letter] else NEEDS[claim.letter]


def exercises(cell: NotebookNode) -> list[str]:
    """Ids of the exercises that a cell's text names."""
    return [id for id in EXERCISE.findall(cell.source) if id in library.all_ids()]


def implements(book: NotebookNode, cell: NotebookNode) -> bool:
    """True if a code cell uses a name that the notebook imports from the package's own algorithms, or a text names such a symbol in `code`."""
    if cell.cell_type != "code":
        return any(_resolves(name) for name in re.findall(r"`(rlcourse(?:\.\w+)+)`", cell.source))
    used = {node.id for node in ast.walk(_tree(cell)) if isinstance(node, ast.Name)}
    return bool(used & set(_imported(book)))


def _imported(book: NotebookNode) -> Iterator[str]:
    for cell in (cell for cell in book.cells if cell.cell_type == "code"):
        for node in ast.walk(_tree(cell)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "rlcourse":
                inside = node.module.split(".")[1:]
                yield from (alias.asname or alias.name for alias in node.names if (inside or [alias.name])[0] not in NOT_IMPLEMENTED)


def _tree(cell: NotebookNode) -> ast.AST:
    try:
        return ast.parse("\n".join(line for line in cell.source.splitlines() if not line.lstrip().startswith(("%", "!"))))
    except SyntaxError:
        return ast.Module([], [])


def _resolves(name: str) -> bool:
    parts = name.split(".")
    if parts[1:2] and parts[1] in NOT_IMPLEMENTED:
        return False
    for cut in range(len(parts), 1, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for attribute in parts[cut:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False
