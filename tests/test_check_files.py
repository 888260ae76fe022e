"""What a student meets: check, hint, escape_hatch and the log in a notebook; the exercise notebook itself; `rlcourse check FILE.ipynb`."""

import io
import json
import re
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import torch

from rlcourse import checks
from rlcourse.authoring.sources import exercise_from, read_source
from rlcourse.checks import core, files, library, notebook, solutions

SOURCE = Path(__file__).resolve().parents[1] / "solutions" / "source" / "13a_reparametrisation_and_squashing.py"
E1, E2, E6 = (checks.get(id) for id in ("13.1", "13.2", "13.6"))


def right(u, mu, sigma):
    """A right answer to 13.1."""
    return (torch.distributions.Normal(mu, sigma).log_prob(u) + 2 * torch.log(torch.cosh(u))).sum(-1)


def unfinished(u, mu, sigma):
    raise NotImplementedError("13.1: your code here")


# ---- in the notebook ----


def test_check_prints_the_verdict_first_and_returns_the_report(capsys):
    def tanh_gaussian_logprob(u, mu, sigma):
        return right(u, mu, sigma)

    assert checks.check(tanh_gaussian_logprob).passed
    assert capsys.readouterr().out.startswith("13.1 tanh_gaussian_logprob: right.\n  Verified: on 24 cases (float32, float64): its density")
    assert checks.check(lambda u, mu, sigma: u, "13.1").passed is False
    assert capsys.readouterr().out.startswith("13.1 tanh_gaussian_logprob: not right yet.")


def test_html_is_escaped():
    def f(u, mu, sigma):
        raise ValueError("<script>alert(1)</script>")

    shown = E1.evaluate(f)._repr_html_()
    assert "<script>" not in shown and "&lt;script&gt;" in shown


def test_hints_come_one_by_one(capsys):
    notebook._steps_given.clear()
    said = []
    for _ in range(4):
        checks.hint("13.6")
        said.append(capsys.readouterr().out)
    assert [text.splitlines()[1] for text in said] == [*E6.hints, E6.hints[2]] and "escape_hatch" in said[3]


def test_escape_hatch_prefers_a_function_that_passes():
    assert checks.escape_hatch("13.1", right) is right
    assert checks.escape_hatch("tanh_gaussian_logprob", unfinished) is E1.reference is checks.escape_hatch("13.1")


def test_unnamed_answers_are_noted_where_there_is_a_folder_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def wrong(Q, mu, sigma, eps, w):
        return E2.reference(Q, mu, sigma, eps, w) + 0.25

    with redirect_stdout(io.StringIO()):
        checks.check(wrong, "13.2")
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "my").mkdir()
        (tmp_path / "rlcourse").mkdir()
        checks.check(wrong, "13.2")
        checks.check(E2.mistakes[0].function, "13.2")  # named: not noted
    (line,) = (tmp_path / "my" / "unnamed_answers.jsonl").read_text().splitlines()
    assert '"exercise": "13.2", "seed": 0, "diagnosis": "property:linear"' in line and "Q(mu" not in line


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


def test_the_cards_agree_with_the_exercises():
    cells = read_source(SOURCE).cells
    text = " ".join(" ".join(cell.source for cell in cells if cell.cell_type == "markdown").split())
    for exercise in (E1, E2, E6):
        assert f"*{exercise.minutes} minutes, difficulty {exercise.difficulty} of 5, equation" in text
        assert f"| {exercise.minutes} | {'●' * exercise.difficulty}{'○' * (5 - exercise.difficulty)} | {exercise.points:g} |" in text
        assert exercise.hints[0] in text and exercise.hints[1] in text and exercise.hints[2] not in text
        assert [cell.cell_type for cell in cells if cell.metadata.get("exercise") == exercise.id] == ["markdown", "code"]


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


def test_a_file_with_right_wrong_and_crashing_answers(tmp_path, capsys):
    path = write(tmp_path / "mine.ipynb", (None, HELPERS), ("13.1", RIGHT_1), (None, GONE_6), (None, WRONG_2), (None, "check(reparam_grad)"))
    found = files.check_file(path)
    assert [(row["exercise"], row["status"], row["diagnosis"]) for row in found["exercises"]] == [
        ("13.1", "passed", "passed"), ("13.2", "slip", "exception"), ("13.6", "slip", "ended")]
    assert (found["passed"], found["error"]) == (False, None)
    said = " ".join(files.table(found).split())
    assert "ZeroDivisionError at line 2 (`return 1 / 0`): division by zero" in said and said.endswith("1 of 3 exercises are right.")


def test_exit_status_is_zero_only_when_every_answer_passes(tmp_path, capsys):
    good = write(tmp_path / "good.ipynb", (None, HELPERS), ("13.1", "def tanh_gaussian_logprob(u, mu, sigma): ..."), ("13.1", RIGHT_1))
    assert files.run_check(good, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["exercises"][0]["diagnosis"] == "passed"
    half = write(tmp_path / "half.ipynb", (None, HELPERS), ("13.1", "def tanh_gaussian_logprob(u, mu, sigma: ..."), ("13.6", STUB_6))
    assert files.run_check(half) == 1
    said = capsys.readouterr().out
    assert re.search(r"13\.1 +tanh_gaussian_logprob +slip +syntax\n13\.6 +epg_grad +not attempted +not_attempted\n", said)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot read"), (b"", NOT_ONE), (b"\xff\xfe", NOT_ONE), (b'{"cells": 3}', NOT_ONE),
     (b'{"cells": [{"cell_type": "code", "source": 5}]}', NOT_ONE), (b"[" * 100_000, NOT_ONE),
     (b'{"cells": [{"cell_type": "code", "source": "x = 1"}]}', "no cell of this notebook answers an exercise")])
def test_a_file_that_cannot_be_checked_is_one_line(tmp_path, capsys, content, words):
    path = tmp_path / "bad.ipynb"
    if content is not None:
        path.write_bytes(content)
    assert files.run_check(str(path)) == 1
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and words in err


def test_a_cell_that_takes_the_escape_hatch_is_no_answer():
    with pytest.raises(files.NotebookError, match="no cell"):
        files.answers([(None, 'tanh_gaussian_logprob = escape_hatch("13.1")')])
