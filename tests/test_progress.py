"""What a student has done so far survives kernels, accidents and several writers, says nothing about the student, and never fails a check."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from rlcourse import checks, cli
from rlcourse.checks import notebook, overview, progress
from rlcourse.checks.progress import Entry

COURSE = Path(__file__).resolve().parents[1]
E1, E2 = (checks.get(id) for id in ("13.1", "13.2"))
IDS = [id for id in checks.all_ids() if overview.lecture_of(checks.get(id)) == "13a"]


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """A new kernel whose notebook lies in the my/exercises of an empty course."""
    (tmp_path / "my" / "exercises").mkdir(parents=True)
    (tmp_path / "rlcourse").mkdir()
    monkeypatch.chdir(tmp_path / "my" / "exercises")
    for memory in (progress._in_memory, progress._complained, notebook._steps_given, notebook._judged):
        memory.clear()
    return tmp_path / "my"


def wrong(Q, mu, sigma, eps, w):
    return E2.reference(Q, mu, sigma, eps, w) * 1.7


def unfinished(Q, mu, sigma, eps, w):
    raise NotImplementedError


def saved(my: Path) -> dict:
    return json.loads((my / "progress.json").read_text())


def so_far(id: str) -> overview.Row:
    return next(row for row in checks.summary("13a").rows if row.exercise.id == id)


# ---- what is remembered ----


def test_a_summary_grows_with_what_is_done(fresh):
    most = sum(checks.get(id).points for id in IDS)
    assert checks.summary("13a").headline == f"13a: 0 of {len(IDS)} exercises, 0 of {most:g} points" and not list(fresh.glob("*.json"))
    checks.check(unfinished, "13.2")
    assert so_far("13.2").so_far == "not attempted yet" and not list(fresh.glob("*.json"))  # leaves no trace
    checks.check(wrong, "13.2")
    assert (so_far("13.2").so_far, so_far("13.2").points, so_far("13.2").entry.tries) == ("not right yet", 0.0, 1)
    checks.check(lambda Q, mu, sigma, eps, w: None, "13.2")
    checks.check(lambda Q, mu, sigma, eps, w: E2.reference(Q, mu, sigma, eps, w).half(), "13.2")
    assert so_far("13.2").so_far == "cannot be judged yet" and so_far("13.2").entry.tries == 1  # a slip costs nothing
    checks.check(E2.reference, "13.2")
    checks.hint("13.1")
    after = checks.summary("13a")
    assert after.headline.startswith(f"13a: 1 of {len(IDS)} exercises, 8 of ") and after.next is E1 and so_far("13.2").entry.tries == 2
    assert after.advice == "Next: 13.1 The log-density of a squashed action (15 minutes, 10 points)."
    assert so_far("13.1").entry == Entry(hints=1) and so_far("13.1").so_far == "not attempted yet"


def test_what_was_right_once_stays_right_and_shows_the_change(fresh):
    checks.check(E2.reference, "13.2")
    checks.check(wrong, "13.2")
    row = so_far("13.2")
    assert (row.so_far, row.points, row.entry.tries) == ("right, changed since", 8.0, 1) and "right, changed since" in str(checks.summary())
    checks.check(E2.reference, "13.2")
    assert so_far("13.2").so_far == "right"


def test_when_all_is_right_it_says_so_and_points_to_changes_first(fresh):
    for id in checks.all_ids():
        progress.note_check(id, "passed", 1.0)
    assert checks.summary("13a").next is None and checks.summary("13a").advice.startswith("All of them are right.")
    progress.note_check("13.2", "failed", 0.0)
    assert checks.summary("13a").next is E2 and checks.summary("13a").right == len(IDS)


def test_part_of_the_points_counts_and_the_best_stays(fresh):
    for score in (0.25, 0.5, 0.0):
        progress.note_check("13.2", "failed", score)
    assert so_far("13.2").points == 4.0 and not so_far("13.2").entry.right and "4 of 8" in str(checks.summary("13a"))


def test_a_new_kernel_shows_the_same_before_anything_is_run(fresh):
    checks.check(wrong, "13.2")
    checks.check(E1.reference, "13.1")
    checks.hint("13.6")
    command = "from rlcourse.checks import summary; print(summary('13a')); print(summary('13a')._repr_html_())"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(COURSE)}, check=False)
    mine = checks.summary("13a")
    assert done.stdout == f"{mine}\n{mine._repr_html_()}\n", done.stderr
    assert "hints" in done.stdout and "last check" in done.stdout


def test_nothing_but_verdicts_is_kept(fresh):
    checks.check(wrong, "13.2")
    (entry,) = saved(fresh).values()
    assert set(entry) == {"status", "best", "tries", "hints", "last"} and list(saved(fresh)) == ["13.2"]
    text = (fresh / "progress.json").read_text()
    assert "wrong" not in text and str(fresh) not in text and len(text) < 200


# ---- outside my/ ----


@pytest.mark.parametrize("place", ["notebooks", "my_other", "."])
def test_outside_my_it_is_kept_in_memory_and_shows_no_clock(fresh, place, monkeypatch):
    (fresh.parent / place).mkdir(exist_ok=True)
    monkeypatch.chdir(fresh.parent / place)
    assert checks.summary("13a").headline.startswith(f"13a: 0 of {len(IDS)} ")
    checks.check(E2.reference, "13.2")
    checks.check(wrong, "13.2")
    summary = checks.summary("13a")
    assert summary.headline.startswith(f"13a: 1 of {len(IDS)} ") and "does not lie in my/" in str(summary)
    assert "last check" not in str(summary) + summary._repr_html_() and ":2" not in str(summary)
    assert not list(fresh.parent.rglob("*.json*"))


def test_a_working_directory_that_is_gone_is_no_accident(fresh, monkeypatch):
    gone = fresh / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert checks.check(E2.reference, "13.2").passed and so_far("13.2").so_far == "right"


# ---- accidents ----


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"\xff\xfe\x00", b"[" * 100_000, b'"x"', b"x" * (progress.LARGEST + 1)])
def test_a_damaged_file_is_set_aside_with_a_message_and_the_check_goes_on(fresh, content, capsys):
    (fresh / "progress.json").write_bytes(content)
    assert checks.check(E2.reference, "13.2").passed
    assert "my/progress.json was damaged: it is now my/progress.damaged.json, and a new one is begun." in capsys.readouterr().out
    assert (fresh / "progress.damaged.json").read_bytes() == content and saved(fresh)["13.2"]["best"] == 1.0
    (fresh / "progress.json").write_bytes(content)
    assert checks.summary("13a").right == 0 and "progress.damaged-2.json" in capsys.readouterr().out  # nothing is written over
    assert checks.summary("13a").right == 0 and capsys.readouterr().out == ""


@pytest.mark.parametrize("entry", [3, None, [], {"best": 2.0}, {"best": float("nan")}, {"best": True}, {"tries": -1}, {"tries": 10**12},
                                   {"tries": "3"}, {"status": "<script>"}, {"last": "yesterday"}, {"last": "2026-13-40T19:07Z"}, {"hints": 1.5}])
def test_what_can_be_read_of_a_damaged_file_is_kept(fresh, entry, capsys):
    good = {"status": "passed", "best": 1.0, "tries": 2, "hints": 0, "last": "2026-11-20T18:07Z"}
    (fresh / "progress.json").write_text(json.dumps({"13.1": entry, "13.2": good}))
    assert so_far("13.1").entry == Entry() and so_far("13.2").so_far == "right"
    assert "1 of its entries were kept" in capsys.readouterr().out and saved(fresh) == {"13.2": good}


def test_exercises_of_another_version_are_kept_and_not_shown(fresh, capsys):
    other = {"status": "passed", "best": 1.0, "tries": 2, "hints": 0, "last": ""}
    (fresh / "progress.json").write_text(json.dumps({"99.1": other, "13.2": {"best": 1}}))
    checks.check(E1.reference, "13.1")
    assert saved(fresh)["99.1"] == other and "99.1" not in str(checks.summary()) and "damaged" not in capsys.readouterr().out


def test_a_file_that_cannot_be_written_is_said_once_and_memory_takes_over(fresh, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(progress.os, "replace", full)
        assert checks.check(E2.reference, "13.2").passed and not checks.check(wrong, "13.2").passed
        assert capsys.readouterr().out.count("could not be saved (No space left on device)") == 1
        assert so_far("13.2").so_far == "right, changed since" and not list(fresh.glob("*progress*"))
    checks.hint("13.1")  # there is room again: what was in memory is saved with it
    assert saved(fresh)["13.2"]["best"] == 1.0 and saved(fresh)["13.1"]["hints"] == 1


def test_another_kernel_that_holds_the_lock_for_ever_does_not_stop_a_check(fresh, monkeypatch):
    import fcntl

    monkeypatch.setattr(progress, "_PATIENCE", 0.1)
    handle = os.open(fresh, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    started = time.monotonic()
    progress.note_check("13.2", "passed", 1.0)
    assert time.monotonic() - started < 5 and saved(fresh)["13.2"]["status"] == "passed"
    os.close(handle)


WRITER = """
import sys, types, importlib.util
spec = importlib.util.spec_from_file_location("progress", sys.argv[1])
progress = importlib.util.module_from_spec(spec)
sys.modules["progress"] = progress
spec.loader.exec_module(progress)
for _ in range(60):
    progress.note_check(sys.argv[2], "failed", 0.0)
"""


def test_several_kernels_at_once_lose_nothing(fresh):
    """Four writers, two of them on the same exercise: every try is counted, and no temporary file is left."""
    module = str(COURSE / "rlcourse" / "checks" / "progress.py")
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, module, id]) for id in ("13.1", "13.1", "13.2", "13.6")]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0, 0]
    assert {id: entry["tries"] for id, entry in saved(fresh).items()} == {"13.1": 120, "13.2": 60, "13.6": 60}
    assert sorted(os.listdir(fresh)) == ["exercises", "progress.json"]


# ---- how it is shown ----


def test_text_and_html_show_the_same(fresh):
    checks.check(wrong, "13.2")
    summary = checks.summary("13a")
    html = summary._repr_html_()
    for row in summary.rows:
        assert row.exercise.id in html and row.so_far in html and f"{row.points:g} of {row.exercise.points:g}" in html
        assert f"  {row.exercise.id} " in str(summary) and row.so_far in str(summary)
    assert summary.headline in html and "<code>hint(" not in html
    progress.note_check("13.1", "failed", 0.0)
    assert "<code>hint(&quot;13.1&quot;)</code> helps" in checks.summary("13a")._repr_html_()


def test_times_are_the_readers_own(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    this = time.localtime().tm_year
    assert [progress.local_time(text) for text in ("1999-11-20T18:07Z", f"{this}-11-20T18:07Z", "")] == ["21 Nov 1999, 03:07", "21 Nov, 03:07", ""]
    monkeypatch.undo()
    time.tzset()


def test_a_lecture_without_exercises_is_named():
    with pytest.raises(LookupError, match=r"no exercises for a lecture '99'.*13a"):
        checks.summary("99")


def test_the_shell_shows_the_same(fresh, capsys, monkeypatch):
    checks.check(E2.reference, "13.2")
    for place in (fresh, fresh.parent):  # in my/, and in the folder of the course
        monkeypatch.chdir(place)
        capsys.readouterr()
        assert cli.main(["progress"]) == 0
        assert str(checks.summary("13a", fresh)) in capsys.readouterr().out
    assert cli.main(["progress", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["right"], found["points"], found["exercises"]) == (1, 8.0, len(checks.all_ids()))
    (lecture,) = (each for each in found["lectures"] if each["name"] == "13a")
    assert [row["exercise"] for row in lecture["exercises"] if row["right"]] == ["13.2"] and lecture["next"] == "13.1"


def test_the_shell_without_my_says_what_to_do(fresh, capsys, monkeypatch):
    monkeypatch.setattr(progress, "course_my", lambda: None)
    monkeypatch.chdir(fresh.parent)
    assert cli.main(["progress"]) == 0
    said = capsys.readouterr().out
    assert "There is no folder my/ yet" in said and "Kept until" not in said


def test_the_escape_hatch_does_not_try_again_what_was_just_checked(fresh, monkeypatch):
    calls = []

    def mine(u, mu, sigma):
        calls.append(1)
        return (torch.distributions.Normal(mu, sigma).log_prob(u) + 2 * torch.log(torch.cosh(u))).sum(-1)

    checks.check(mine, "13.1")
    tried = len(calls)
    assert checks.escape_hatch("13.1", mine) is mine and len(calls) == tried
    assert checks.escape_hatch("13.2", wrong) is E2.reference
