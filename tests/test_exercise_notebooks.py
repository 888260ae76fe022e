"""Exercise notebooks say what the Exercise says: cards, hints, order, summary. Each rule on a good notebook and on one with a planted fault."""

import re
from pathlib import Path

import numpy as np
import pytest
from nbformat import v4

from rlcourse import checks
from rlcourse.authoring import build, exercise_cells, notebooks
from rlcourse.authoring.sources import exercise_from, read_source, tags
from rlcourse.figures import exercises_13a

NAME = "13a_reparametrisation_and_squashing"
SOURCE = Path(__file__).resolve().parents[1] / "solutions" / "source" / f"{NAME}.py"
IDS = [cell.metadata.exercise for cell in read_source(SOURCE).cells if "answer" in tags(cell)]


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """The exercises that the notebook has, so that one whose cells are still being written does not disturb these tests."""
    monkeypatch.setattr(exercise_cells.library, "all_ids", lambda: IDS)


def problems(book) -> list[str]:
    return exercise_cells.problems(book, f"{NAME}.ipynb")


def where(book, id: str, tag: str) -> int:
    return next(k for k, cell in enumerate(book.cells) if tag in tags(cell) and cell.metadata.get("exercise") == id)


def says(book, text: str, kind: str = "code") -> int:
    return next(k for k, cell in enumerate(book.cells) if cell.cell_type == kind and text in cell.source)


def swap(tag: str, old: str, new: str):
    """Replace text in the cell of 13.2 with this tag; "hints", "check" and "hatch" are found by their text, "top" is the first cell."""
    def plant(book):
        found = {"hints": lambda: says(book, 'hint("13.2", 3)', "markdown"), "check": lambda: says(book, "check(reparam_grad)"),
                 "hatch": lambda: says(book, 'escape_hatch("reparam_grad"'), "top": lambda: 0}
        place = found[tag]() if tag in found else where(book, "13.2", tag)
        assert old in book.cells[place].source
        book.cells[place].source = book.cells[place].source.replace(old, new)
    return plant


def without_all_hatches(book):
    for cell in book.cells:
        cell.source = cell.source.replace('escape_hatch("reparam_grad", reparam_grad)', "reparam_grad")


def untagged(tag: str):
    return lambda book: book.cells[where(book, "13.2", tag)].metadata.pop("exercise")


def twice(tag: str):
    return lambda book: book.cells.append(book.cells[where(book, "13.2", tag)])


def hints_first(book):
    book.cells.insert(where(book, "13.2", "exercise"), book.cells.pop(says(book, 'hint("13.2", 3)', "markdown")))


def summary_not_last(book):
    book.cells.append(v4.new_code_cell("print('the end')"))


def of_another_lecture(book):
    book.cells.append(v4.new_markdown_cell("## 99.1", metadata={"exercise": "99.1"}))


PLANTED = [
    ("card gone", untagged("exercise"), "13.2 has no card"),
    ("answer gone", untagged("answer"), "13.2 has no answer cell"),
    ("check gone", swap("check", "check(reparam_grad)", "reparam_grad"), "13.2 has no check cell"),
    ("another is checked", swap("check", "check(reparam_grad)", "check(epg_grad)"), "13.2 has no check cell"),
    ("hints not folded", swap("hints", "<details>", "<div>"), "13.2 has no folded hints"),
    ("no way on", without_all_hatches, "13.2 has no way on"),
    ("no summary", lambda book: book.cells.pop(), 'last code cell must be summary("13a")'),
    ("summary of another lecture", lambda book: book.cells[-1].update(source='summary("03")'), 'last code cell must be summary("13a")'),
    ("summary not last", summary_not_last, 'last code cell must be summary("13a")'),
    ("two cards", twice("exercise"), "2 cells that are its card"),
    ("hints before the card", hints_first, "in the order folded hints, card"),
    ("heading", swap("exercise", "The pathwise gradient", "The gradient"), "without the heading `## 13.2 The pathwise gradient`"),
    ("no goal", swap("exercise", "**Goal:**", "Goal:"), "without a goal"),
    ("minutes", swap("exercise", "*12 minutes", "*15 minutes"), "card whose figures differ"),
    ("points", swap("exercise", "8 points", "9 points"), "card whose figures differ"),
    ("difficulty", swap("exercise", "difficulty ●●○○○", "difficulty ●●●○○"), "card whose figures differ"),
    ("importance", swap("exercise", "importance ●●●●●", "importance ●●●●○"), "card whose figures differ"),
    ("equation", swap("exercise", "equation [13.3]", "equation [13.4]"), "card whose figures differ"),
    ("no interface of w", swap("exercise", "`eps`, `w`", "`eps`"), "does not name `w`"),
    ("returns what", swap("exercise", "| returns |", "| gives |"), "a row `returns`"),
    ("another argument", swap("answer", "eps, w)", "eps, weights)"), "does not take the arguments of reparam_grad(Q, mu, sigma, eps, w)"),
    ("another function", swap("answer", "def reparam_grad", "def reparam"), "defines no function reparam_grad"),
    ("not Python", swap("answer", "def reparam_grad(", "def reparam_grad(("), "defines no function reparam_grad"),
    ("a word of a hint", swap("hints", "ordinary", "plain"), "hints that differ"),
    ("the third hint", swap("hints", "Nearly the answer", checks.get("13.2").hints[2] + " Nearly the answer"), "shows its third hint"),
    ("overview points", swap("top", "| 12 | ●●○○○ | 8 |", "| 12 | ●●○○○ | 9 |"), "no table of its exercises"),
    ("overview row gone", swap("top", "| 13.2 |", "| x |"), "no table of its exercises"),
    ("unknown exercise", of_another_lecture, "cells of exercise 99.1, which no module"),
]


def test_the_notebook_keeps_the_rules():
    assert {"13.1", "13.2", "13.6"} <= set(IDS) and problems(exercise_from(read_source(SOURCE))) == []


@pytest.mark.parametrize(("plant", "words"), [case[1:] for case in PLANTED], ids=[case[0] for case in PLANTED])
def test_each_planted_fault_is_found(plant, words):
    book = exercise_from(read_source(SOURCE))
    plant(book)
    assert any(words in line for line in problems(book)), problems(book)


def test_an_exercise_without_cells_is_told_how_to_get_them():
    book = exercise_from(read_source(SOURCE))
    book.cells = [cell for cell in book.cells if "reparam_grad" not in cell.source]
    assert sum("exercise 13.2" in line for line in problems(book)) == 1
    assert any("exercise 13.2 has no cells here. `python -m rlcourse.authoring.exercise_cells 13.2` prints them" in line for line in problems(book))


def test_a_notebook_without_exercises_of_the_course_is_left_alone():
    assert exercise_cells.problems(v4.new_notebook(cells=[v4.new_code_cell("x = 1")]), "01_x.ipynb") == []


def test_the_build_applies_the_rules(tmp_path):
    """A card that says other minutes than the Exercise stops `make notebooks` and the test of the course's notebooks."""
    (tmp_path / "solutions" / "source").mkdir(parents=True)
    source = tmp_path / "solutions" / "source" / SOURCE.name
    source.write_text(SOURCE.read_text(encoding="utf-8").replace("*12 minutes", "*13 minutes"), encoding="utf-8")
    build.write_atomically(build.exercise_path(source), build.as_text(exercise_from(read_source(source))))
    found = [line for line in build.problems_of(source, tmp_path) if line.startswith("exercises/")]
    assert len(found) == 1 and "exercise 13.2 has a card whose figures differ" in found[0] and "*12 minutes" in found[0]


# ---- the text is made from the Exercise ----


def test_refreshing_repairs_cards_hints_and_tables_and_nothing_else():
    text, exercises = SOURCE.read_text(encoding="utf-8"), [checks.get(id) for id in IDS]
    assert exercise_cells.refreshed(text, exercises) == text
    for pattern, instead in (("[*]12 minutes", "*99 minutes"), ("ordinary function", "function"), (r"\| 13\.6 \| The", "| 13.6 | A"),
                             (r"# \| 13\.2 \|.*\n", "")):
        spoilt = re.sub(pattern, instead, text)
        assert spoilt != text and exercise_cells.refreshed(spoilt, exercises) == text


@pytest.mark.parametrize("id", checks.all_ids())
def test_the_printed_cells_of_any_exercise_keep_the_rules(id, tmp_path, monkeypatch):
    """Whatever its kind: what `python -m rlcourse.authoring.exercise_cells ID` prints, with a table and a summary, is a sound notebook."""
    exercise = checks.get(id)
    monkeypatch.setattr(exercise_cells.library, "all_ids", lambda: [id])
    (tmp_path / "solutions" / "source").mkdir(parents=True)
    top = "\n".join(f"# {line}" for line in (*exercise_cells.OVERVIEW, exercise_cells.overview_row(exercise)))
    end = f'# %%\nsummary("{exercise_cells.lecture_of(exercise)}")\n'
    source = tmp_path / "solutions" / "source" / exercise.lecture.replace(".ipynb", ".py")
    source.write_text(f"# %% [markdown]\n{top}\n\n{exercise_cells.cells(exercise)}\n{end}", encoding="utf-8")
    book = exercise_from(read_source(source))
    assert exercise_cells.problems(book, exercise.lecture) == [] and notebooks.stub_problems(book) == []


def test_the_command_prints_cells(capsys):
    assert exercise_cells.main(["13.2"]) == 0
    assert "check(reparam_grad)" in capsys.readouterr().out


# ---- the pictures of the questions ----


@pytest.mark.parametrize("draw", [exercises_13a.one_probability, exercises_13a.moved_samples, exercises_13a.policies_on_a_critic])
def test_every_picture_is_finite_labelled_and_gives_no_formula_away(draw):
    fig = draw()
    for ax in fig.axes:
        assert ax.get_title(loc="left") and ax.get_xlabel()
        assert all(np.isfinite(np.asarray(artist.get_ydata(), float)).all() for artist in ax.lines)
        assert not re.search(r"log|softplus|1 [-−]", ax.get_title(loc="left") + "".join(text.get_text() for text in ax.texts))


def test_both_strips_hold_the_probability_that_is_written_at_them():
    """0.18 in u, by the normal distribution, and 0.18 in a, by the trapezoid rule under the curve that is drawn."""
    left, right = exercises_13a.one_probability().axes
    assert [text.get_text() for ax in (left, right) for text in ax.texts if "probability" in text.get_text()] == ["probability 0.18"] * 2
    x, y = next(artist for artist in right.lines if artist.get_gid() == "density").get_xydata().T
    inside = (x >= np.tanh(0.9) - 1e-9) & (x <= np.tanh(1.4) + 1e-9)
    assert np.trapezoid(y, x) == pytest.approx(1, abs=2e-3) and np.trapezoid(y[inside], x[inside]) == pytest.approx(0.184, abs=3e-3)
