"""The checks on notebooks, each on a good notebook and on a planted bad one; then all of them on the notebooks of the course."""

from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from rlcourse.authoring import build
from rlcourse.authoring import notebooks as checks
from rlcourse.authoring.execute import WIDGET_TEXT, WIDGET_VIEW
from rlcourse.authoring.sources import SourceError, exercise_from, read_source, stub

ROOT = Path(__file__).resolve().parents[1]


def lecture() -> nbformat.NotebookNode:
    """A good executed notebook: text, a figure, a widget, a printed line."""
    cells = [
        v4.new_markdown_cell("# Title", id="title"),
        v4.new_code_cell("plot()", id="figure", execution_count=1, metadata={"tags": ["figure"], "alt": "A bell."},
                         outputs=[v4.new_output("display_data", data={"image/png": "aGVsbG8=", "text/plain": "<Figure size 640x480 with 1 Axes>"})]),
        v4.new_code_cell("slider()", id="widget", execution_count=2, metadata={"tags": ["widget", "nbval-ignore-output"]},
                         outputs=[v4.new_output("display_data", data={"text/plain": WIDGET_TEXT})]),
        v4.new_code_cell("print(error)", id="line", execution_count=3, metadata={},
                         outputs=[v4.new_output("stream", name="stdout", text="density integrates to 0.7749\nlargest difference < 1e-12: True\n")]),
    ]
    return v4.new_notebook(cells=cells, metadata={"generated_from": "notebooks/source/01.py"})


def prints(text: str, mime: str = "text/plain"):
    def plant(book):
        book.cells[3].outputs = [v4.new_output("display_data", data={mime: text})]
    return plant


def metadata(number: int, **entries):
    return lambda book: book.cells[number].metadata.update(entries)


def no_image(book):
    del book.cells[1].outputs[0].data["image/png"]


def widget_state(book):
    book.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {}}


def widget_view(book):
    book.cells[2].outputs[0].data[WIDGET_VIEW] = {"model_id": "abc"}


def never_run(book):
    for cell in checks.code_cells(book):
        cell.execution_count, cell.outputs = None, []


def out_of_order(book):
    book.cells[1].execution_count, book.cells[2].execution_count = 2, 1


def raised(book):
    book.cells[3].outputs = [v4.new_output("error", ename="ValueError", evalue="shapes", traceback=["..."])]


def warned(book):
    book.cells[3].outputs = [v4.new_output("stream", name="stderr", text="UserWarning: careful")]


PLANTED = [
    ("never executed", never_run, checks.not_executed, "cell figure (plot()) has execution count None"),
    ("out of order", out_of_order, checks.not_executed, "has execution count 2"),
    ("error output", raised, checks.errors_left, "ValueError: shapes"),
    ("figure gone", no_image, checks.figures_missing, "shows no image"),
    ("no alt text", metadata(1, alt="  "), checks.figures_missing, "without alt text"),
    ("skipped by tag", metadata(3, tags=["nbval-skip"]), checks.not_compared, "opts out"),
    ("skipped by comment", lambda book: book.cells[3].update(source="# NBVAL_IGNORE_OUTPUT\nprint(1)"), checks.not_compared, "opts out"),
    ("ignored without reason", metadata(3, tags=["nbval-ignore-output"]), checks.not_compared, "neither `widget` nor `experiment`"),
    ("widget state", widget_state, checks.widget_traces, "stores widget state"),
    ("widget view", widget_view, checks.widget_traces, "random id"),
    ("widget not tagged", metadata(2, tags=[]), checks.widget_traces, "Tag it `widget`"),
    ("memory address", prints("<function f at 0x7f3a9c>"), checks.private_traces, "0x7f3a9c"),
    ("stderr", warned, checks.private_traces, "UserWarning"),
    ("home folder in an output", prints("saved to /home/ada/run"), checks.private_traces, "/home/ada"),
    ("home folder in a source", lambda book: book.cells[3].update(source='open("/Users/ada/x")'), checks.private_traces, "/Users/ada"),
    ("kernel's file", prints("/tmp/ipykernel_12/3.py", "text/html"), checks.private_traces, "/tmp/ipykernel_12"),
    ("Windows path", prints("C:\\Users\\ada"), checks.private_traces, "C:\\Users"),
    ("account name", prints("by ada_l"), lambda book: checks.private_traces(book, ["ada_l"]), "'ada_l'"),
    ("all digits", prints("0.77491234567"), checks.unrounded, "11 significant digits"),
    ("all digits in a table", prints("<td>1234.5678</td>", "text/html"), checks.unrounded, "8 significant digits"),
    ("rounding noise", prints("difference 2.2e-16", "text/markdown"), checks.unrounded, "rounding noise"),
    ("too large", prints("x" * 2_100_000), checks.too_large, "2.1 MB"),
    ("edited by hand", lambda book: book.cells[3].update(source="print(2)"), lambda book: checks.drift(book, lecture()), "in source"),
    ("a cell lost", lambda book: book.cells.pop(), lambda book: checks.drift(book, lecture()), "has 3 cells"),
    ("another id", lambda book: book.cells[0].update(id="x"), lambda book: checks.drift(book, lecture()), "in id"),
    ("tag removed", metadata(1, tags=[]), lambda book: checks.drift(book, lecture()), "in metadata"),
    ("notebook metadata", lambda book: book.metadata.update(title="x"), lambda book: checks.drift(book, lecture()), "notebook's metadata"),
]


@pytest.mark.parametrize(("plant", "check", "words"), [case[1:] for case in PLANTED], ids=[case[0] for case in PLANTED])
def test_each_check_finds_what_was_planted(plant, check, words):
    book = lecture()
    assert check(book) == []
    plant(book)
    problems = check(book)
    assert len(problems) == 1 and words in problems[0], problems


def test_a_good_lecture_has_no_problems_and_a_never_run_one_has():
    assert checks.executed_problems(lecture(), lecture()) == []
    for _, plant, _, words in (case for case in PLANTED if case[0] != "account name"):
        book = lecture()
        plant(book)
        assert any(words in line for line in checks.executed_problems(book, lecture()))


@pytest.mark.parametrize("text", ["0.774912", "1234.56", "version 3.11.2", "1e-12", "1.00e-12", "12345678", "10.1038/s41586-020-03051-4",
                                  "MDPs, 50 of 50", "S:\\pi(a)", "https://a.org/home/ada", "n/var/x", "seed 0xAB",
                                  "data:image/png;base64,AAAA/tmp/aa1.23456789"])
def test_ordinary_lines_are_left_alone(text):
    book = lecture()
    prints(text, "text/html")(book)
    assert checks.executed_problems(book, lecture()) == []


def test_experiments_may_print_all_their_digits():
    book = lecture()
    prints("return -151.23456789")(book)
    book.cells[3].metadata["tags"] = ["experiment", "nbval-ignore-output"]
    assert checks.unrounded(book) == [] and checks.not_compared(book) == []


# ---- sources ------------------------------------------------------------------------------------------------------------------------------

def source(tmp_path: Path, text: str, folder: str = "solutions") -> nbformat.NotebookNode:
    path = tmp_path / folder / "source" / "01_x.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return read_source(path)


CELLS = '''# %% [markdown] slideshow={"slide_type": "slide"}
# # Title

# %%
print(1)

# %% tags=["figure"] rows=["S0-31:D"] alt="A \\"bell\\"."
print(1)
'''
HEADER = "# ---\n# jupyter:\n#   rlcourse:\n#     status: draft\n# ---\n\n"
TAGGED = '''
# %% tags=["imports"]
import os
# %% tags=["experiment"]
1
# %% tags=["experiment", "strict"]
2
# %% tags=["hide-input", "widget"]
3
'''


def test_ids_follow_from_content(tmp_path):
    first, second = source(tmp_path, CELLS), source(tmp_path, CELLS)
    assert first == second
    ids = [cell.id for cell in first.cells]
    assert ids[2] == f"{ids[1]}-2" and len(set(ids)) == 3
    inserted = source(tmp_path, "# %%\nprint(0)\n\n" + CELLS)
    assert [cell.id for cell in inserted.cells[1:]] == ids  # the ids of the other cells stay: a diff shows one new cell
    nbformat.validate(first)


def test_metadata_of_the_source_are_kept_and_tags_add_theirs(tmp_path):
    book = source(tmp_path, HEADER + CELLS + TAGGED)
    assert book.metadata.rlcourse == {"status": "draft"} and book.metadata.generated_from == "solutions/source/01_x.py"
    assert "jupytext" not in book.metadata
    folded = {"jupyter": {"source_hidden": True}}
    assert [cell.metadata for cell in book.cells] == [
        {"slideshow": {"slide_type": "slide"}}, {}, {"tags": ["figure"], "rows": ["S0-31:D"], "alt": 'A "bell".'}, {"tags": ["imports"], **folded},
        {"tags": ["experiment", "nbval-ignore-output"]}, {"tags": ["experiment", "strict"]},
        {"tags": ["hide-input", "widget", "nbval-ignore-output"], **folded}]


BLOCK = "### BEGIN SOLUTION\n{0}secret = compute(x)\n{0}return secret\n{0}### END SOLUTION"
STUBS = [
    ("def f(x):\n    " + BLOCK.format("    "), 'def f(x):\n    raise NotImplementedError("13.1: your code here")'),
    ("class A:\n    def f(self):\n        y = 1\n        " + BLOCK.format("        ") + "\n    z = 3",
     'class A:\n    def f(self):\n        y = 1\n        raise NotImplementedError("13.1: your code here")\n    z = 3'),
    ("answer = None\n### BEGIN SOLUTION\nanswer = 42\n### END SOLUTION\nprint(answer)", "answer = None\n...  # 13.1: your code here\nprint(answer)"),
    ("with a:\n    ### BEGIN SOLUTION\n    b()\n    ### END SOLUTION", "with a:\n    ...  # 13.1: your code here"),
    ("### BEGIN SOLUTION\ndef f():\n    return 1\n### END SOLUTION", "...  # 13.1: your code here"),
    ("%matplotlib inline\ndef f():\n    ### BEGIN SOLUTION\n    %time g()\n    ### END SOLUTION\n    !ls",
     '%matplotlib inline\ndef f():\n    raise NotImplementedError("13.1: your code here")\n    !ls'),
]


@pytest.mark.parametrize(("solved", "stubbed"), STUBS)
def test_stubs_are_valid_python_at_the_same_indentation(solved, stubbed):
    cell = v4.new_code_cell(solved, metadata={"exercise": "13.1"})
    assert stub(cell) == stubbed
    assert checks.stub_problems(v4.new_notebook(cells=[v4.new_code_cell(stubbed)])) == []


def test_written_answers_are_removed_too():
    assert stub(v4.new_markdown_cell("Why?\n\n### BEGIN SOLUTION\nBecause.\n### END SOLUTION")) == "Why?\n\n*Write your answer here.*"


@pytest.mark.parametrize(("text", "words"), [
    ("### BEGIN SOLUTION\nx = 1", "never closes it"), ("x = 1\n### END SOLUTION", "no partner"),
    ("### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION\n### END SOLUTION", "do not nest"),
    ("f(\n    ### BEGIN SOLUTION\n    1)\n    ### END SOLUTION\n", "not valid Python"),
])
def test_a_source_that_cannot_become_an_exercise_is_refused(tmp_path, text, words):
    with pytest.raises(SourceError, match=words):
        source(tmp_path, f"# %%\n{text}\n")


SOLVED = '''# %% exercise="13.1"
def log_det(u):
    ### BEGIN SOLUTION
    stable = 2 * (LOG_2 - u - softplus(-2 * u))
    return stable.sum(-1)
    ### END SOLUTION

# %% tags=["solution-only"]
print("another right answer")

# %%
x = 1
'''


def test_exercises_share_ids_with_solutions_and_keep_them(tmp_path):
    solution = source(tmp_path, SOLVED)
    exercise = exercise_from(solution)
    assert [cell.id for cell in exercise.cells] == [solution.cells[0].id, solution.cells[2].id] and len(solution.cells) == 3
    rewritten = source(tmp_path, SOLVED.replace("2 * (LOG_2", "(LOG_2 + LOG_2"))
    assert [cell.id for cell in rewritten.cells] == [cell.id for cell in solution.cells]
    assert checks.exercise_problems(exercise, exercise, solution) == []


@pytest.mark.parametrize(("leak", "line"), [
    (lambda book: book.cells[1].update(source="stable=2*( LOG_2-u - softplus(-2*u))"), "stable = 2"),
    (lambda book: book.cells[1].update(source="# hint: answer = stable.sum(-1)"), "return stable.sum(-1)"),
    (lambda book: book.cells.append(v4.new_markdown_cell("Write `stable = 2 * (LOG_2 - u - softplus(-2 * u))`.")), "stable = 2"),
    (lambda book: book.cells[0].metadata.update(alt="return stable.sum(-1)"), "return stable.sum(-1)"),
    (lambda book: book.metadata.update(hints={"3": ["stable = 2 * (LOG_2 - u - softplus(-2 * u))"]}), "stable = 2"),
    (lambda book: book.cells[1].update(source="### END SOLUTION"), "### END SOLUTION"),
])
def test_a_leaked_solution_line_is_found(tmp_path, leak, line):
    solution = source(tmp_path, SOLVED)
    exercise = exercise_from(solution)
    assert checks.solution_leaks(exercise, solution) == []
    leak(exercise)
    (problem,) = checks.solution_leaks(exercise, solution)
    assert line in problem


@pytest.mark.parametrize(("plant", "words"), [
    (lambda cell: cell.update(source="def f(x):\n"), "not valid Python"),
    (lambda cell: cell.update(execution_count=1), "carries outputs"),
    (lambda cell: cell.update(outputs=[v4.new_output("stream", text="42")]), "carries outputs"),
])
def test_an_exercise_that_does_not_parse_or_was_run_is_found(tmp_path, plant, words):
    exercise = exercise_from(source(tmp_path, SOLVED))
    assert checks.stub_problems(exercise) == []
    plant(exercise.cells[0])
    (problem,) = checks.stub_problems(exercise)
    assert words in problem


def test_the_record_must_be_complete_fresh_and_within_budget():
    hashes, entry = {"notebooks/01": "a"}, {"source_sha256": "a", "cpu_seconds": 60.0, "wall_seconds": 1.0, "peak_memory_mb": 1}
    assert checks.record_problems({"notebooks/01": entry}, hashes) == []
    stale, slow = {**entry, "source_sha256": "b"}, {**entry, "cpu_seconds": 60.1}
    for record, words in [({}, "no entry"), ({"notebooks/01": stale}, "source changed"), ({"notebooks/01": slow}, "60.1 CPU seconds"),
                          ({"notebooks/01": entry, "notebooks/02": entry}, "no source")]:
        (problem,) = checks.record_problems(record, hashes)
        assert words in problem


# ---- the course itself --------------------------------------------------------------------------------------------------------------------

def test_the_notebooks_of_the_course_have_no_problems():
    """In sync with their sources, executed, figures with alt text, no leaks, nothing of this machine, record fresh, at most 60 CPU seconds each."""
    assert len(build.sources(ROOT)) >= 2
    assert build.repository_problems(ROOT) == []


@pytest.mark.parametrize("path", [build.label(path) for path in build.sources(ROOT)])
def test_jupytext_pairs_each_notebook_with_its_source(path):
    from jupytext.config import load_jupytext_config, notebook_formats
    from jupytext.paired_paths import paired_paths
    folder, name = path.split("/")
    notebook = str(ROOT / folder / f"{name}.ipynb")
    source_path = ROOT / folder / "source" / f"{name}.py"
    formats = notebook_formats(read_source(source_path), load_jupytext_config(notebook), notebook)
    assert [where for where, _ in paired_paths(notebook, {"extension": ".ipynb"}, formats)] == [notebook, str(source_path)]
