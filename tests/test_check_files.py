"""What a student meets: check, hint and escape_hatch in a notebook; the exercise notebook itself; `rlcourse check FILE.ipynb ...`."""

import io
import json
import re
from contextlib import redirect_stdout
from pathlib import Path

import nbformat
import pytest
import torch

from rlcourse import checks
from rlcourse.authoring.sources import exercise_from, read_source, tags
from rlcourse.checks import answer_cells, core, files, library, notebook, progress, solutions

SOURCE = Path(__file__).resolve().parents[1] / "solutions" / "source" / "13a_reparametrisation_and_squashing.py"
E1, E2, E6 = (checks.get(id) for id in ("13.1", "13.2", "13.6"))


def right(u, mu, sigma):
    """A right answer to 13.1."""
    return (torch.distributions.Normal(mu, sigma).log_prob(u) + 2 * torch.log(torch.cosh(u))).sum(-1)


def unfinished(u, mu, sigma):
    raise NotImplementedError("13.1: your code here")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Not in anybody's my/, and a new kernel."""
    monkeypatch.chdir(tmp_path)
    for memory in (progress._in_memory, notebook._steps_given, notebook._judged):
        memory.clear()


# ---- in the notebook ----


def test_check_prints_the_verdict_first_and_returns_the_report(capsys):
    def tanh_gaussian_logprob(u, mu, sigma):
        return right(u, mu, sigma)

    assert checks.check(tanh_gaussian_logprob).passed
    verified = r"13\.1 tanh_gaussian_logprob: right\.\n  Verified: on \d+ cases \(float32, float64\): its density"
    assert re.match(verified, capsys.readouterr().out)
    assert checks.check(lambda u, mu, sigma: u, "13.1").passed is False
    assert capsys.readouterr().out.startswith("13.1 tanh_gaussian_logprob: not right yet.")


def test_html_is_escaped():
    def f(u, mu, sigma):
        raise ValueError("<script>alert(1)</script>")

    shown = E1.evaluate(f)._repr_html_()
    assert "<script>" not in shown and "&lt;script&gt;" in shown


def test_hints_come_one_by_one(capsys):
    said = []
    for _ in range(4):
        checks.hint("13.6")
        said.append(capsys.readouterr().out)
    assert [text.splitlines()[1] for text in said] == [*E6.hints, E6.hints[2]] and "escape_hatch" in said[3]


def test_escape_hatch_prefers_a_function_that_passes():
    assert checks.escape_hatch("13.1", right) is right
    assert checks.escape_hatch("tanh_gaussian_logprob", unfinished) is E1.reference is checks.escape_hatch("13.1")


def test_a_release_has_no_solutions(tmp_path, monkeypatch):
    monkeypatch.setattr(solutions, "FOLDER", tmp_path / "solutions")
    assert E1.solution is None and E1.alternatives is None and E1.evaluate(right).passed


def test_numbers_for_a_person():
    assert [core.number(x) for x in (1.0, -0.0, 3e-13, 38.61370564, [1, 2.5])] == ["1", "0", "0", "38.6137", "(1, 2.5)"]
    assert library.of_function(E2.reference) is E2


# ---- the exercise notebook ----


def run(book) -> str:
    """What the code cells of a notebook print when they are run in one namespace, from top to bottom."""
    said, namespace = io.StringIO(), {"__name__": "__main__"}
    with redirect_stdout(said):
        for cell in book.cells:
            if cell.cell_type == "code":
                exec(compile(cell.source, "<cell>", "exec"), namespace)
    return said.getvalue()


def test_the_exercise_runs_unsolved_and_the_solution_passes():
    solved = read_source(SOURCE)
    before, after = run(exercise_from(solved)), run(solved)
    for exercise in (E1, E2, E6):
        assert f"{exercise.id} {exercise.function}: not attempted yet.\n" in before and f"{exercise.id} {exercise.function}: right.\n" in after
    for line in ("mu =  0.0, sigma = 1.0: area 1.000", "mu = 1.00, sigma = 0.00", "the two agree to 1e-10: True"):
        assert line in before and line in after  # later cells go on with the escape hatch


# ---- rlcourse check FILE.ipynb ----

RIGHT_1 = """from rlcourse.checks import check
def tanh_gaussian_logprob(u, mu, sigma):
    return log_normal(u, mu, sigma) + 2 * (torch.logaddexp(u, -u) - LOG_2).sum(-1)"""
HELPERS = """%matplotlib inline
import torch, math
LOG_2 = math.log(2)
def log_normal(u, mu, sigma): return torch.distributions.Normal(mu, sigma).log_prob(u).sum(-1)
raise RuntimeError("an exploratory cell that fails")"""
WRONG_2 = "def reparam_grad(Q, mu, sigma, eps, w):\n    return 1 / 0"
GONE_6 = "import os\ndef epg_grad(theta, s, coef):\n    os._exit(0)"
NOT_ONE = "is not a Jupyter notebook"
STUB_6 = "def epg_grad(theta, s, coef):\n    raise NotImplementedError"


def write(path: Path, *cells) -> str:
    """A notebook with these code cells: (exercise id, or None for a cell without metadata; source)."""
    code = [{"cell_type": "code", "id": f"c{i}", "source": text.splitlines(keepends=True), "outputs": [], "execution_count": None,
             "metadata": {"tags": ["answer"], "exercise": id} if id else {}} for i, (id, text) in enumerate(cells)]
    path.write_text(json.dumps({"cells": code, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return str(path)


@pytest.fixture
def in_this_process(monkeypatch):
    """Answers that do no harm, run without a process of their own, which takes seconds to start."""
    def here(sources, seed, seconds):
        return [files._row(checks.get(id), files._assessed(checks.get(id), source, seed, seconds)) for id, source in sources.items()]

    monkeypatch.setattr(files, "_in_processes", here)


def test_a_file_with_right_wrong_and_crashing_answers(tmp_path, capsys):
    path = write(tmp_path / "mine.ipynb", (None, HELPERS), ("13.1", RIGHT_1), (None, GONE_6), (None, WRONG_2), (None, "check(reparam_grad)"))
    found = files.check_file(path)
    assert [(row["exercise"], row["status"], row["diagnosis"]) for row in found["exercises"]] == [
        ("13.1", "passed", "passed"), ("13.2", "slip", "exception"), ("13.6", "slip", "ended")]
    assert (found["passed"], found["error"]) == (False, None)
    said = " ".join(files.table(found).split())
    assert "ZeroDivisionError at line 2 (`return 1 / 0`): division by zero" in said and said.endswith("1 of 3 exercises are right.")


def test_exit_status_is_zero_only_when_every_answer_passes(tmp_path, capsys, in_this_process):
    good = write(tmp_path / "good.ipynb", (None, HELPERS), ("13.1", "def tanh_gaussian_logprob(u, mu, sigma): ..."), ("13.1", RIGHT_1))
    assert files.run_check(good, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["exercises"][0]["diagnosis"] == "passed"
    half = write(tmp_path / "half.ipynb", (None, HELPERS), ("13.1", "def tanh_gaussian_logprob(u, mu, sigma: ..."), ("13.6", STUB_6))
    assert files.run_check(half) == 1
    said = capsys.readouterr().out
    assert re.search(r"13\.1 +tanh_gaussian_logprob +slip +syntax\n13\.6 +epg_grad +not attempted +not_attempted\n", said)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", NOT_ONE), (b"\xff\xfe", NOT_ONE), (b'{"cells": 3}', NOT_ONE),
     (b'{"cells": [{"cell_type": "code", "source": 5}]}', NOT_ONE), (b"[" * 100_000, NOT_ONE),
     (b'{"cells": [{"cell_type": "code", "source": "x = 1"}]}', "no cell of this notebook answers an exercise")])
def test_a_file_that_cannot_be_checked_is_one_line(tmp_path, capsys, content, words):
    path = tmp_path / "bad.ipynb"
    path.write_bytes(content)
    assert files.run_check(str(path)) == 1
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and words in err


def test_a_cell_that_takes_the_escape_hatch_is_no_answer():
    with pytest.raises(answer_cells.NotebookError, match="no cell"):
        answer_cells.answers([(None, 'tanh_gaussian_logprob = escape_hatch("13.1")')])


def test_every_kind_of_exercise_has_the_same_verdicts_from_a_shell(tmp_path, request):
    """The solution notebook is right throughout, and the exercise notebook is not attempted, whatever kinds of exercise they hold."""
    solved = read_source(SOURCE)
    for book, status in ((solved, "passed"), (exercise_from(solved), "not attempted")):
        (tmp_path / "book.ipynb").write_text(nbformat.writes(book))
        found = files.check_file(tmp_path / "book.ipynb")
        assert [row["exercise"] for row in found["exercises"]] == [cell.metadata.exercise for cell in solved.cells if "answer" in tags(cell)]
        assert {row["status"] for row in found["exercises"]} == {status}, files.table(found)
        request.getfixturevalue("in_this_process")  # for the second


MEDDLER = """print("x" * 10**6)
import torch
torch.set_default_dtype(torch.float16)
torch.Tensor.sum = None
def tanh_gaussian_logprob(u, mu, sigma):
    print("y" * 10**6)
    raise ValueError("z" * 10**6)"""
RIGHT_6 = """def epg_grad(theta, s, coef):
    mu, sigma = theta[0] * s, torch.exp(theta[1])
    to_mu = coef[1] * s + 2 * coef[2] * mu + 3 * coef[3] * (mu**2 + sigma**2)
    return torch.stack([(to_mu * s).sum() / len(s), (2 * coef[2] * sigma + 6 * coef[3] * mu * sigma).sum() / len(s) * sigma])"""


def test_answers_do_not_disturb_each_other_and_may_use_each_other(tmp_path):
    """13.1 breaks torch in its process, prints and raises megabytes; 13.2 is wrong, and 13.6 calls it, which makes 13.6 right."""
    uses = "def epg_grad(theta, s, coef):\n    return reparam_grad(theta, s, coef)"
    other = RIGHT_6.replace("epg_grad", "reparam_grad")
    found = files.check_file(write(tmp_path / "a.ipynb", (None, "import torch"), ("13.1", MEDDLER), ("13.2", other), ("13.6", uses)))
    assert [(row["status"], row["passed"]) for row in found["exercises"]] == [("slip", False), ("slip", False), ("passed", True)], files.table(found)
    assert found["exercises"][0]["diagnosis"] == "exception" and len(json.dumps(found)) < 5000


@pytest.fixture
def folder(tmp_path, in_this_process):
    """A course with a my/ that holds a right notebook, an unsolved one, one without exercises, and what tools leave."""
    my = tmp_path / "course" / "my"
    (my / "exercises" / ".ipynb_checkpoints").mkdir(parents=True)
    (my.parent / "rlcourse").mkdir()
    write(my / "exercises" / "right.ipynb", (None, "import torch"), ("13.6", RIGHT_6))
    write(my / "exercises" / "stub.ipynb", ("13.6", STUB_6))
    write(my / "exercises" / ".ipynb_checkpoints" / "right-checkpoint.ipynb", ("13.6", STUB_6))
    write(my / "exercises" / "lecture.ipynb", (None, "x = 1"))
    return my


def test_several_files_and_folders(folder, capsys):
    right, stub, lecture = (str(folder / "exercises" / f"{name}.ipynb") for name in ("right", "stub", "lecture"))
    assert files.run_check([folder, right], as_json=True) == 1
    found = json.loads(capsys.readouterr().out)
    assert [(each["file"], each["passed"]) for each in found["files"]] == [(right, True), (stub, False)] and found["passed"] is False
    assert files.run_check([right, lecture]) == 1  # a file that was named has to answer something
    out, err = capsys.readouterr()
    assert out.startswith(f"{right}\n") and out.endswith("1 of 2 notebooks are right.\n")
    assert err == f"rlcourse check: {lecture}: no cell of this notebook answers an exercise of the course.\n"


def test_a_folder_without_answers_or_no_file_at_all(tmp_path, folder, capsys):
    (tmp_path / "empty").mkdir()
    assert files.run_check([tmp_path / "empty"]) == 1 and "no notebook in" in capsys.readouterr().err
    for paths, words in (([tmp_path / "gone.ipynb"], "There is no file"), ([], "Which notebook")):
        with pytest.raises(answer_cells.NotebookError, match=words):
            files.run_check(paths)
    assert files.run_check([tmp_path / "gone.ipynb"], as_json=True) == 1
    assert "cannot read" in json.loads(capsys.readouterr().out)["error"]


def test_what_lies_in_my_is_remembered_there(folder, tmp_path, capsys):
    assert files.run_check(folder / "exercises" / "right.ipynb") == 0
    assert {id: entry["best"] for id, entry in json.loads((folder / "progress.json").read_text()).items()} == {"13.6": 1.0}
    elsewhere = write(tmp_path / "right.ipynb", (None, "import torch"), ("13.6", RIGHT_6))
    assert files.run_check(elsewhere) == 0 and [path.parent for path in tmp_path.rglob("progress*")] == [folder]
