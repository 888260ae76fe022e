"""The cells of an exercise in its notebook: what they must hold, and their text made from the Exercise itself.

    python -m rlcourse.authoring.exercise_cells 13.9       print the cells of an exercise, ready to be put into solutions/source/
    python -m rlcourse.authoring.exercise_cells --write    bring the cards, hints and tables in solutions/source/ up to date

Minutes, difficulty, points, equations and hints are written once, in the Exercise. A student sees them in the notebook's text, where they can be read
before anything is run and on a page without a kernel; `problems` refuses a notebook whose text says something else, or that misses a cell.

The order for each exercise: a card (tags `exercise`: heading, goal, card line, interface), perhaps a figure, the answer cell (tags `answer`), a cell
with check(...), folded hints, and a cell that goes on with escape_hatch(...). A prediction has predict(...) after its answer and reveal(...) at its
end instead. The notebook's last code cell is summary("NN").
"""

import argparse
import ast
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from rlcourse.authoring.sources import BEGIN, END, python_only, tags
from rlcourse.checks import library
from rlcourse.checks.overview import lecture_of

SOURCES = Path(__file__).resolve().parents[2] / "solutions" / "source"
KINDS = {"function": "", "derive": "derivation · ", "bug": "find the bug · ", "learn": "training · ", "predict": "prediction · "}
OVERVIEW = ("| | exercise | minutes | difficulty | points |", "|---|---|---|---|---|")
OVERVIEW_TABLE = re.compile("".join(re.escape(f"# {line}\n") for line in OVERVIEW) + r"(?:# \| .*\n)*")
CARD_LINE = re.compile(r"^\*.*\d+ minutes · difficulty .*\*$", re.MULTILINE)


# ---- the text that follows from the Exercise -----------------------------------------------------------------------------------------------------

def dots(level: int) -> str:
    """A level from 1 to 5 as ●●●○○."""
    return "●" * level + "○" * (5 - level)


def card_line(exercise: Any) -> str:
    """Minutes, difficulty, importance, points and equations, in one line."""
    points = f"{exercise.points:g} points" if exercise.points else "no points"
    equations = f"equation{'s' * (len(exercise.tags) > 1)} {', '.join(exercise.tags)}"
    return (f"*{KINDS[exercise.kind]}{exercise.minutes} minutes · difficulty {dots(exercise.difficulty)} · "
            f"importance {dots(exercise.importance)} · {points} · {equations}*")


def overview_row(exercise: Any) -> str:
    """The exercise's row in the table at the top of its notebook."""
    return f"| {exercise.id} | {exercise.title} | {exercise.minutes} | {dots(exercise.difficulty)} | {exercise.points:g} |"


def hints_text(exercise: Any) -> str:
    """The folded hints: two to open, and how to get the third, which is nearly the answer."""
    last = f'Nearly the answer: run <code>hint("{exercise.id}", 3)</code> in a new cell.'
    said = [textwrap.fill(hint, 147, break_long_words=False, break_on_hyphens=False) for hint in exercise.hints[:2]] + [last]
    return "\n".join(f"<details><summary>Hint {k}</summary>\n\n{text}\n</details>" for k, text in enumerate(said, 1))


def parameters(exercise: Any) -> list[str]:
    """The names of the arguments in the exercise's signature."""
    inside = exercise.signature.partition("(")[2].rpartition(")")[0]
    return [name.partition("=")[0].partition(":")[0].strip(" *") for name in inside.split(",") if name.strip()]


def cells(exercise: Any) -> str:
    """All cells of an exercise as percent-format source, with what only a person can write in capitals."""
    table = ["| | shape | |", "|---|---|---|", *(f"| `{name}` | SHAPE | MEANING |" for name in parameters(exercise)), "| returns | SHAPE | MEANING |"]
    card = [f"## {exercise.id} {exercise.title}", "", "**Goal:** WHAT IT IS FOR.", card_line(exercise), "", "THE QUESTION.", "", *table]
    mark, (check, way_on) = f'exercise="{exercise.id}"', _check_and_way_on(exercise)
    answer = [f"def {exercise.signature}:", '    """WHAT IT RETURNS."""', f"    {BEGIN}", "    SOLUTION", f"    {END}"]
    parts = [
        f'# %% [markdown] tags=["exercise"] {mark}\n{_commented(card)}',
        "\n".join([f'# %% tags=["answer"] {mark}', *answer]),
        f"# %%\n{check}",
        f"# %% [markdown]\n{_commented(hints_text(exercise).splitlines())}",
        '# %% [markdown] tags=["solution-only"]\n# *About the solution.* WHY IT IS RIGHT.',
        "# %% [markdown]\n# **Use it.** WHAT THE NEXT CELL SHOWS.",
        f"# %%\n{way_on}",
    ]
    return "\n\n".join(parts) + "\n"


def _commented(lines: Sequence[str]) -> str:
    return "\n".join(f"# {line}".rstrip() for line in lines)


def refreshed(source: str, exercises: Sequence[Any]) -> str:
    """A source with card lines, hints and overview rows as the exercises have them now; all else stays as it is."""
    marks = [match.start() for match in re.finditer(r"^# %%", source, re.MULTILINE)] or [0]
    chunks = [source[: marks[0]], *(source[start:end] for start, end in zip(marks, [*marks[1:], len(source)]))]
    for exercise in exercises:
        for k, chunk in enumerate(chunks):
            if f'tags=["exercise"] exercise="{exercise.id}"' in chunk:
                chunks[k] = _replaced(chunk, r"^# \*.*\d+ minutes · difficulty .*\*$", card_line(exercise))
            elif f'hint("{exercise.id}", 3)' in chunk and "<details>" in chunk:
                chunks[k] = f"{chunk.splitlines()[0]}\n{_commented(hints_text(exercise).splitlines())}\n\n"
    return OVERVIEW_TABLE.sub(lambda _: _commented([*OVERVIEW, *map(overview_row, exercises)]) + "\n", "".join(chunks))


def _replaced(chunk: str, pattern: str, line: str) -> str:
    return re.sub(pattern, lambda _: f"# {line}", chunk, flags=re.MULTILINE)


# ---- the rules -----------------------------------------------------------------------------------------------------------------------------------

def problems(book: NotebookNode, name: str) -> list[str]:
    """What is missing or out of date in an exercise notebook called `name`, for every exercise whose Exercise names that lecture."""
    exercises = [exercise for exercise in map(library.get, library.all_ids()) if exercise.lecture == name]
    known = {exercise.id for exercise in exercises}
    strangers = sorted({str(cell.metadata.exercise) for cell in book.cells if "exercise" in cell.metadata} - known)
    found = [f"has cells of exercise {id}, which no module of rlcourse/checks defines for this lecture." for id in strangers] if exercises else []
    for exercise in exercises:
        found += [f"exercise {exercise.id} {line}" for line in _of_exercise(book, exercise)]
    return found + (list(_of_notebook(book, exercises)) if exercises else [])


def _of_exercise(book: NotebookNode, exercise: Any) -> Iterator[str]:
    if not any(exercise.function in cell.source for cell in book.cells):
        yield f"has no cells here. `python -m rlcourse.authoring.exercise_cells {exercise.id}` prints them, for the source."
        return
    places: dict[str, int] = {}
    for what, test, how in _needed(exercise):
        hits = [k for k, cell in enumerate(book.cells) if test(cell)]
        if not hits:
            yield f"has no {what}: {how}."
        elif what in ("card", "answer cell") and len(hits) > 1:
            yield f"has {len(hits)} cells that are its {what}; there must be one."
        else:
            places[what] = hits[0]
    if list(places.values()) != sorted(places.values()):
        yield f"has its cells in the order {', '.join(sorted(places, key=places.__getitem__))}; write them as {', '.join(places)}."
    for what, rule in (("card", _of_card), ("answer cell", _of_answer), ("folded hints", _of_hints)):
        yield from rule(book.cells[places[what]].source, exercise) if what in places else ()


def _needed(exercise: Any) -> list[tuple[str, Callable[[NotebookNode], bool], str]]:
    """(what an exercise has to have, how it is recognised, how it is written), in order."""
    name, mark = exercise.function, f'exercise="{exercise.id}"'
    check, way_on = _check_and_way_on(exercise)
    return [
        ("card", lambda cell: _is(cell, exercise, "markdown", "exercise"), f'a Markdown cell with tags=["exercise"] {mark}'),
        ("answer cell", lambda cell: _is(cell, exercise, "code", "answer"), f'a code cell with tags=["answer"] {mark}'),
        ("check cell", lambda cell: _calls(cell, check.partition("(")[0], name, exercise.id), f"a code cell with {check}"),
        ("folded hints", lambda cell: _holds_hints(cell, exercise), f'<details> with the hints, the third by hint("{exercise.id}", 3)'),
        ("way on", lambda cell: _calls(cell, way_on.partition("(")[0], name, exercise.id), f"a code cell that goes on with {way_on}"),
    ]


def _check_and_way_on(exercise: Any) -> tuple[str, str]:
    """The two calls: after the answer, and in what follows. Nothing that follows a prediction needs it to be right."""
    name, id = exercise.function, exercise.id
    return (f'predict("{id}", {name})', f'reveal("{id}")') if exercise.kind == "predict" else (f"check({name})", f'escape_hatch("{name}", {name})')


def _of_card(text: str, exercise: Any) -> Iterator[str]:
    heading = f"## {exercise.id} {exercise.title}"
    if text.splitlines()[0].strip() != heading:
        yield f"has a card without the heading `{heading}`."
    if not re.search(r"\*\*Goal:\*\* \w", text):
        yield "has a card without a goal: a paragraph that begins with **Goal:**."
    if CARD_LINE.findall(text) != [card_line(exercise)]:
        yield f"has a card whose figures differ from the Exercise. The line must be\n    {card_line(exercise)}\n    (`--write` puts it there)."
    missing = [name for name in parameters(exercise) if not re.search(rf"^\|.*`{re.escape(name)}`.*\|", text, re.MULTILINE)]
    if missing or not re.search(r"^\| *returns *\|", text, re.MULTILINE):
        yield f"has a card whose interface table does not name {', '.join(f'`{name}`' for name in missing) or 'what is returned (a row `returns`)'}."


def _of_answer(source: str, exercise: Any) -> Iterator[str]:
    functions = [node for node in _tree(source) if isinstance(node, ast.FunctionDef) and node.name == exercise.function]
    if not functions:
        yield f"has an answer cell that defines no function {exercise.function}."
    elif [argument.arg for argument in functions[-1].args.args] != parameters(exercise):
        yield f"has an answer cell whose function does not take the arguments of {exercise.signature}."


def _of_hints(text: str, exercise: Any) -> Iterator[str]:
    said, wanted = (" ".join(part.split()) for part in (text, hints_text(exercise)))
    if wanted not in said:
        yield "has hints that differ from those of the Exercise (`python -m rlcourse.authoring.exercise_cells --write` puts them right)."
    if " ".join(exercise.hints[2].split()) in said:
        yield "shows its third hint, which is nearly the answer: it is given by command alone."


def _of_notebook(book: NotebookNode, exercises: Sequence[Any]) -> Iterator[str]:
    text = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    rows = re.findall(r"^\| *\d+\.\d+ *\|.*$", text, re.MULTILINE)
    if "\n".join(OVERVIEW) not in text or rows != [overview_row(exercise) for exercise in exercises]:
        table = "\n    ".join([*OVERVIEW, *map(overview_row, exercises)])
        yield f"has no table of its exercises at the top, or another one than\n    {table}"
    code, lecture = [cell for cell in book.cells if cell.cell_type == "code"], lecture_of(exercises[0])
    if not code or not _calls(code[-1], "summary", lecture):
        yield f'does not end with the student\'s progress: its last code cell must be summary("{lecture}").'


def _is(cell: NotebookNode, exercise: Any, kind: str, tag: str) -> bool:
    return cell.cell_type == kind and tag in tags(cell) and str(cell.metadata.get("exercise")) == exercise.id


def _holds_hints(cell: NotebookNode, exercise: Any) -> bool:
    return cell.cell_type == "markdown" and cell.source.count("<details>") == 3 and f'hint("{exercise.id}", 3)' in cell.source


def _calls(cell: NotebookNode, function: str, *first: str) -> bool:
    """Whether a code cell calls `function` with one of `first`, a name or a string, as its first argument."""
    statements = _tree(cell.source) if cell.cell_type == "code" else []
    calls = [node for statement in statements for node in ast.walk(statement) if isinstance(node, ast.Call)]
    heads = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == function and call.args]
    return any(getattr(head, "id", getattr(head, "value", None)) in first for head in heads)


def _tree(source: str) -> list[ast.stmt]:
    try:
        return ast.parse(python_only(source)).body
    except SyntaxError:
        return []


def main(argv: Sequence[str] | None = None) -> int:
    """Print the cells of exercises, or refresh the sources."""
    parser = argparse.ArgumentParser(prog="python -m rlcourse.authoring.exercise_cells", description="The cells of exercises, from the Exercises.")
    parser.add_argument("ids", nargs="*", metavar="ID", help="print the cells of these exercises")
    parser.add_argument("--write", action="store_true", help="bring cards, hints and tables in solutions/source/ up to date")
    options = parser.parse_args(argv)
    for id in options.ids:
        print(cells(library.get(id)))
    for path in sorted(SOURCES.glob("*.py")) if options.write else []:
        text = path.read_text(encoding="utf-8")
        new = refreshed(text, [exercise for exercise in map(library.get, library.all_ids()) if exercise.lecture == f"{path.stem}.ipynb"])
        if new != text:
            path.write_text(new, encoding="utf-8")
            print(f"{path.name}: refreshed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
