"""The log of wrong answers that no mistake names: what is noted, and what an instructor reads in the logs of a class."""

import io
import json
import time
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from rlcourse import checks, cli
from rlcourse.checks import unnamed

E1, E2 = (checks.get(id) for id in ("13.1", "13.2"))


@pytest.fixture(autouse=True)
def my(tmp_path, monkeypatch):
    """A notebook in the my/ of an empty course."""
    (tmp_path / "my" / "exercises").mkdir(parents=True)
    (tmp_path / "rlcourse").mkdir()
    monkeypatch.chdir(tmp_path / "my" / "exercises")
    return tmp_path / "my"


def scaled(Q, mu, sigma, eps, w):
    return E2.reference(Q, mu, sigma, eps, w) * 1.7


def scaled_otherwise(Q, mu, sigma, eps, w):
    return 1.7 * E2.reference(Q, mu, sigma, eps, w) + 1e-7


def shifted(Q, mu, sigma, eps, w):
    return E2.reference(Q, mu, sigma, eps, w) + 0.25


def tilted(u, mu, sigma):
    return E1.reference(u, mu, sigma) + 0.001 * u.sum(-1)


def note(*answers) -> None:
    with redirect_stdout(io.StringIO()):
        for answer in answers:
            checks.check(answer, "13.1" if answer is tilted else "13.2")


def student(folder: Path, my: Path, *answers) -> Path:
    """The log of a student who gave these answers."""
    note(*answers)
    folder.mkdir(parents=True)
    return (my / unnamed.FILE).rename(folder / unnamed.FILE)


# ---- noting ----


def test_an_unnamed_answer_is_noted_in_my_and_nowhere_else(my, monkeypatch):
    note(E2.mistakes[0].function, E2.reference)  # named, and right: not noted
    assert not (my / unnamed.FILE).exists()
    note(scaled)
    (line,) = (my / unnamed.FILE).read_text().splitlines()
    assert set(json.loads(line)) == {"exercise", "seed", "diagnosis", "cases", "answers"} and "scaled" not in line and str(my) not in line
    monkeypatch.chdir(my.parent)
    note(scaled)
    assert len((my / unnamed.FILE).read_text().splitlines()) == 1


def test_the_file_is_rotated_and_never_grows_past_its_limit(my, monkeypatch):
    monkeypatch.setattr(unnamed, "LARGEST_FILE", 1000)
    note(*[scaled] * 7)
    sizes = {path.name: path.stat().st_size for path in my.glob("*.jsonl")}
    assert set(sizes) == {unnamed.FILE, unnamed.OLDER} and max(sizes.values()) <= 1000


def test_a_log_that_cannot_be_written_never_fails_a_check(my):
    (my / unnamed.FILE).mkdir()
    with redirect_stdout(io.StringIO()):
        assert checks.check(scaled, "13.2").diagnosis.startswith("property:")


# ---- reading ----


def test_equal_answers_are_grouped_over_students(my, tmp_path):
    answers = {"ada": (scaled, scaled, tilted), "bo": (scaled_otherwise,), "cy": (shifted,)}
    logs = [student(tmp_path / name, my, *given) for name, given in answers.items()]
    rows = [unnamed.row(group) for group in unnamed.groups(unnamed.read(logs)[0])]
    assert [(row["exercise"], row["students"], row["attempts"]) for row in rows] == [("13.1", 1, 1), ("13.2", 2, 3), ("13.2", 1, 1)]
    assert [group[0] for group in unnamed.groups(unnamed.read([tmp_path])[0])] == [group[0] for group in unnamed.groups(unnamed.read(logs)[0])]
    ratios = [a / b for a, b in zip(rows[1]["theirs"], rows[1]["right"])]
    assert ratios == pytest.approx([1.7, 1.7]) and rows[1]["inputs"].startswith("Q(a) = ") and rows[1]["broken"]


def test_the_numbers_are_those_of_the_inputs_that_are_shown(my, tmp_path):
    """The right numbers are what a right answer gives on the smallest noted case, and the student's are theirs on the same one."""
    (group,) = unnamed.groups(unnamed.read([student(tmp_path / "ada", my, shifted)])[0])
    row, diagnosis = unnamed.row(group), group[0].diagnosis
    cases = unnamed.small_cases(E2, 0, diagnosis)
    shown = next(inputs for inputs in cases if E2.describe(inputs) == row["inputs"])
    assert sum(a.size for a in shown.values()) == min(sum(a.size for a in inputs.values()) for inputs in cases)
    assert row["right"] == pytest.approx(E2.adapt(E2.reference)(**shown)["gradient"].tolist())
    assert row["theirs"] == pytest.approx([value + 0.25 for value in row["right"]])


def test_what_an_instructor_sees(my, tmp_path, capsys):
    logs = [student(tmp_path / "ada", my, scaled, scaled), student(tmp_path / "bo", my, scaled)]
    assert cli.main(["check", "--log", *map(str, logs)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Wrong answers without a name: 3, of which 1 differ, in 2 files.\n\n13.2 reparam_grad: 3 times, by 2 of 2\n  breaks first")
    assert "theirs" in said and said.count("1.7\n") == 2 and "(seed 0)" in said
    assert cli.main(["check", "--log", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["students"], found["attempts"], found["groups"][0]["students"]) == (2, 3, 2)


def test_without_a_path_it_reads_the_log_of_this_course(my, capsys, monkeypatch):
    monkeypatch.chdir(my.parent)
    assert cli.main(["check", "--log"]) == 0 and "There is no my/unnamed_answers.jsonl here" in capsys.readouterr().out
    monkeypatch.chdir(my)
    note(scaled)
    (my / unnamed.FILE).rename(my / unnamed.OLDER)
    note(scaled)
    capsys.readouterr()
    monkeypatch.chdir(my.parent)
    assert cli.main(["check", "--log"]) == 0 and "2 times, by 1 of 1" in capsys.readouterr().out  # the older file is the same student's
    assert cli.main(["check", "--log", "nowhere.jsonl"]) == 1


GOOD = {"exercise": "13.2", "seed": 0, "diagnosis": "property:linear", "cases": "00000000", "answers": [[1.0, 2.0]]}
BAD = [b"", b"{", b"[]", b"3", b"\xff\xfe", b"[" * 9000, b"x" * 30_000, *(json.dumps(GOOD | change).encode() for change in (
    {"exercise": "99.1"}, {"exercise": ["13.2"]}, {"exercise": "reparam_grad"}, {"seed": -1}, {"seed": 2**70}, {"seed": "0"}, {"seed": True},
    {"diagnosis": "property:none"}, {"diagnosis": "\x1b[31m"}, {"answers": 3}, {"answers": [[float("nan")]]}, {"answers": [["x"]]},
    {"answers": [[float("inf")]]}, {"answers": None}))]


@pytest.mark.parametrize("line", BAD, ids=range(len(BAD)))
def test_broken_and_hostile_lines_are_counted_and_left_out(tmp_path, line, capsys):
    path = tmp_path / "log.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n" + line + b"\n" + json.dumps(GOOD).encode())
    noted, broken = unnamed.read([path])
    assert len(noted) == 2 and (broken >= 1) == bool(line)
    assert unnamed.report([path]) == 0
    assert "2 times, by 1 of 1" in capsys.readouterr().out


def test_answers_to_another_version_of_the_exercise_are_not_laid_beside_these_cases(tmp_path, capsys):
    """As many answers as cases, and other cases: only the fingerprint tells."""
    path, cases = tmp_path / "log.jsonl", unnamed.small_cases(E2, 0, "property:linear")
    for fingerprint, beside in (("00000000", False), (unnamed.fingerprint(cases), True)):
        path.write_text(json.dumps(GOOD | {"answers": [[1.0, 2.0]] * len(cases), "cases": fingerprint}) + "\n")
        assert unnamed.report([path]) == 0
        said = capsys.readouterr().out
        assert ("they were noted with another version of this exercise" in said) is not beside and ("theirs" in said) is beside


def test_a_class_of_long_logs_is_read_in_seconds(tmp_path):
    for k in range(20):
        lines = [json.dumps(GOOD | {"answers": [[float(k % 5), float(j % 40)]]}) for j in range(500)]
        (tmp_path / f"{k}-unnamed_answers.jsonl").write_text("\n".join(lines))
    started = time.process_time()
    noted, broken = unnamed.read([tmp_path])
    found = unnamed.groups(noted)
    assert (len(noted), broken, len(found)) == (10_000, 0, 200) and {len({each.source for each in group}) for group in found} == {4}
    assert time.process_time() - started < 10
