"""`rlcourse doctor`: every row says what was found; what is missing is told with what to do, and a crashing probe is one row."""

import json
import sys
import time
from pathlib import Path

import pytest
import torch

from rlcourse import cli
from rlcourse.authoring import doctor


def test_doctor_reports_every_row_and_is_quick(capsys):
    started = time.monotonic()
    code = cli.main(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert code == 0 and report["healthy"] is True and time.monotonic() - started < 30
    expected = ["Python", "Packages", "PyTorch", "Processors", "Memory", "Disk", "MuJoCo", "Rendering", "JupyterLab", "Chromium", "Sandbox"]
    assert [row["what"] for row in report["rows"]] == expected
    assert all(row["status"] in ("ok", "note") for row in report["rows"])
    assert all(row["found"] and (row["advice"] or row["status"] == "ok") for row in report["rows"])


def test_a_missing_requirement_makes_doctor_fail(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "diagnose", lambda: [doctor.Row("MuJoCo", "problem", "no simulator", "install it")])
    assert cli.main(["doctor"]) == 1
    assert "problem" in capsys.readouterr().out
    monkeypatch.setattr(doctor, "diagnose", lambda: [doctor.Row("Rendering", "note", "none", "install it")])
    assert cli.main(["doctor"]) == 0


def planted_course(folder: Path, needs: str, pins: str) -> Path:
    (folder / "pyproject.toml").write_text(f'[project]\ndependencies = ["{needs}"]\n')
    (folder / "constraints.txt").write_text(f"# pins\n{pins}\n")
    return folder


@pytest.mark.parametrize(
    ("row", "status", "says"),
    [
        (lambda tmp: doctor.python((3, 10)), "problem", "3.11"),
        (lambda tmp: doctor.disk(free=100 * 2**20), "problem", "0.1 GiB"),
        (lambda tmp: doctor.disk(free=2**30), "note", "1.0 GiB"),
        (lambda tmp: doctor.packages(planted_course(tmp, "nosuchpackage-rl>=1", "torch==2.0.0")), "problem", "nosuchpackage-rl"),
        (lambda tmp: doctor.packages(planted_course(tmp, "torch==2.0.0", "torch==2.0.0")), "note", "pinned 2.0.0"),
        (lambda tmp: doctor.packages(planted_course(tmp, "torch", f"torch=={torch.__version__.split('+')[0]}")), "ok", "1 packages"),
        (lambda tmp: doctor.sandbox("/bin/false"), "note", "exit code 1"),
        (lambda tmp: doctor.sandbox(str(tmp / "bwrap")), "note", "self-check only"),
    ],
)
def test_each_row_says_what_is_wrong(row, status, says, tmp_path):
    found = row(tmp_path)
    assert found.status == status and says in found.found + found.advice


def test_without_bubblewrap_the_level_is_self_check_only(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert "not installed" in doctor.sandbox().found and doctor.sandbox().status == "note"
    assert doctor.chromium().found == "no Chromium" and doctor.chromium().status == "note"


def test_a_probe_that_crashes_or_hangs_is_one_row(monkeypatch):
    crash = doctor._run([sys.executable, "-c", "import os; os.kill(os.getpid(), 11)"])
    assert (crash.ok, crash.reason) == (False, "ended by signal 11")
    monkeypatch.setattr(doctor, "PROBE_SECONDS", 0.2)
    late = doctor._run([sys.executable, "-c", "import time; time.sleep(60)"])
    assert late.late and doctor._failed("PyTorch", late, "").status == "note"
    assert doctor._guarded(lambda: [][0]).status == "note"


def test_a_machine_without_rendering_is_told_so(monkeypatch):
    monkeypatch.setattr(doctor, "_run", lambda command, **environment: doctor._Answer(False, "", f"no {environment['MUJOCO_GL']} driver"))
    row = doctor.rendering()
    assert row.status == "note" and "no egl driver" in row.found and "no osmesa driver" in row.found
