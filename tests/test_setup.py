"""The set-up: what is pinned, when .venv is left alone, updated or made anew, and the one line that a student reads when a machine says no."""

import ast
import errno
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from rlcourse.authoring import install, setup_errors
from rlcourse.authoring.setup_errors import SetupError

COURSE = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((COURSE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HERE = "{}.{}".format(*sys.version_info[:2])
STANDARD_LIBRARY_ONLY = ["install.py", "setup_errors.py", "constraints.py"]


# ── before anything is installed ────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("name", STANDARD_LIBRARY_ONLY)
def test_the_set_up_needs_the_standard_library_alone_and_old_pythons_can_read_it(name):
    source = (COURSE / "rlcourse/authoring" / name).read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source, feature_version=(3, 6))):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module] if isinstance(node, ast.ImportFrom) else []
        assert all(each.split(".")[0] in sys.stdlib_module_names or each == "rlcourse.authoring.setup_errors" for each in modules), modules


def test_the_set_up_starts_in_a_python_without_site_packages():
    done = subprocess.run([sys.executable, "-S", "-m", "rlcourse.authoring.install", "--help"], cwd=COURSE, capture_output=True, text=True)
    assert done.returncode == 0 and "usage" in done.stdout


def refusal(function, *arguments) -> str:
    with pytest.raises(SetupError) as caught:
        function(*arguments)
    return str(caught.value)


def test_a_python_that_is_too_old_is_named_with_what_to_do(tmp_path, monkeypatch, capsys):
    line = refusal(setup_errors.check_python, (3, 10))
    assert "Python 3.10" in line and sys.executable in line and "3.11 or newer" in line and "make lab PYTHON=" in line
    setup_errors.check_python((3, 11))
    monkeypatch.setattr(install, "check_python", lambda: setup_errors.check_python((3, 9)))
    assert install.main(["lab"], tmp_path) == 1
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / ".venv").exists()


def test_each_thing_the_machine_lacks_is_one_line_with_the_remedy(tmp_path, monkeypatch):
    setup_errors.check_machine(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(setup_errors.importlib.util, "find_spec", lambda name: None if name == "ensurepip" else name)
        assert f"apt install python{HERE}-venv" in refusal(setup_errors.check_machine, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(setup_errors.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9e9, 8e9, 1e9))
        line = refusal(setup_errors.check_machine, tmp_path)
        assert "1.0 GB are free" in line and "needs 3 GB" in line and "\n" not in line
    with monkeypatch.context() as patch:
        patch.setattr(setup_errors.tempfile, "TemporaryFile", lambda dir: (_ for _ in ()).throw(OSError(errno.EROFS, "Read-only file system")))
        assert "cannot be written (Read-only file system)" in refusal(setup_errors.check_machine, tmp_path)


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("WARNING: Retrying (Retry(total=4)) after NewConnectionError\nERROR: No matching distribution found for torch", "no network"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "the disk ran full"),
        ("ERROR: No matching distribution found for torch==2.13.0", "pip finds no torch==2.13.0 for Python"),
        ("noise\nERROR: something of pip's own\nmore", "pip failed: ERROR: something of pip's own"),
        ("", "pip failed: it was stopped"),
    ],
)
def test_what_pip_says_becomes_one_line(log, said):
    line = setup_errors.explain(log, Path("setup.log"))
    assert line.startswith(said) and "setup.log" in line and "\n" not in line and ("make" in line)


# ── .venv: left alone, updated, or made anew ────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A copy of the files that decide what is installed, on a machine without Chromium, on which no command of the set-up is really run."""
    for name in install.INPUTS:
        shutil.copy(COURSE / name, tmp_path)
    monkeypatch.setattr(install, "CHROMIUM", ())
    monkeypatch.setattr(install, "commands", [], raising=False)
    monkeypatch.setattr(install, "run", lambda command, root, started: install.commands.append(command) or fake_python(root, HERE))
    return tmp_path


def fake_python(root: Path, version: str) -> None:
    python = root / ".venv/bin/python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(f"#!/bin/sh\necho {version}\n")
    python.chmod(0o755)


def how(root: Path, what: str = "lab", torch: str = "keep", any_python: bool = True) -> str:
    return install.plan(root, what, torch, any_python)[1]


def test_the_second_run_does_nothing_and_a_changed_pin_or_extra_updates(folder):
    assert how(folder) == "create" and install.main(["lab"], folder) == 0
    assert how(folder) == "nothing" and install.main(["lab"], folder) == 0 and len(install.commands) == 2  # venv, pip: neither ran again
    assert how(folder, "test") == "update" and install.main(["test"], folder) == 0
    assert install.commands[-1][-1] == ".[test]"
    assert how(folder, "lab") == how(folder, "test") == "nothing"
    (folder / "constraints.txt").write_text("arrow==1.0\n")
    assert how(folder, "lab") == "update" and install.main(["lab"], folder) == 0
    assert install.commands[-1][-1] == ".[test]", "an update for the lab must not forget the extras of the tests"


def test_browser_tests_are_installed_where_chromium_is(monkeypatch, tmp_path):
    (tmp_path / "chromium").write_text("#!/bin/sh\n")
    (tmp_path / "chromium").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert install.wanted_extras("test") == ["test", "browser"] and install.wanted_extras("lab") == []
    monkeypatch.setenv("PATH", "")
    assert install.wanted_extras("test") == ["test"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SetupError("no network: ..."), OSError(errno.ENOSPC, "No space left on device")])
def test_an_interrupted_set_up_is_seen_and_made_anew(folder, monkeypatch, capsys, stop):
    def fail(command, root, started):
        assert install.read_stamp(root / ".venv")["unfinished"]
        fake_python(root, HERE)
        raise stop

    with monkeypatch.context() as patch:
        patch.setattr(install, "run", fail)
        assert install.main(["lab"], folder) == (130 if isinstance(stop, KeyboardInterrupt) else 1)
        assert capsys.readouterr().err.strip().count("\n") == 0
    (folder / ".venv/left-over").touch()
    assert how(folder) == "create" and install.main(["lab"], folder) == 0 and how(folder) == "nothing"
    assert not (folder / ".venv/left-over").exists() and not (folder / ".venv.old").exists()


def test_a_moved_folder_and_a_named_other_python_make_it_anew(folder):
    install.main(["lab"], folder)
    stamp = install.read_stamp(folder / ".venv")
    install.write_stamp(folder / ".venv", {**stamp, "root": "/elsewhere"})
    assert how(folder) == "create"
    install.write_stamp(folder / ".venv", {**stamp, "python": "3.99"})
    fake_python(folder, "3.99")
    assert how(folder, any_python=True) == "nothing" and how(folder, any_python=False) == "create"
    fake_python(folder, "")
    assert how(folder) == "create", "a .venv whose Python is gone is not kept"


def test_a_venv_made_by_hand_is_completed_and_never_removed(folder, monkeypatch):
    fake_python(folder, HERE)
    (folder / ".venv/mine").touch()
    assert how(folder) == "update"
    with monkeypatch.context() as patch:
        patch.setattr(install, "run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        assert install.main(["lab"], folder) == 130 and how(folder) == "update"
    assert install.main(["lab"], folder) == 0 and (folder / ".venv/mine").exists() and how(folder) == "nothing"
    (folder / ".venv" / install.STAMP).unlink()
    fake_python(folder, "3.9")
    assert "it has Python 3.9" in refusal(install.plan, folder, "lab", "keep", True)


# ── a torch that is already there ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_torch_system_keeps_that_torch_and_stays_chosen(folder, monkeypatch, tmp_path):
    site = folder / ".venv" / f"lib/python{HERE}/site-packages"
    monkeypatch.setattr(install, "torch_of", lambda python: ("9.9+gpu", "/opt/gpu/torch/__init__.py"))
    assert install.main(["lab", "--torch", "system"], folder) == 0
    venv, dependencies, ourselves = install.commands
    assert "--system-site-packages" in venv and ourselves[-3:] == ["--no-deps", "-e", "."]
    asked = dependencies[dependencies.index("-c") + 2 :]
    assert len(asked) == len(PROJECT["dependencies"]) - 1 and not any(map(install.is_torch, asked)) and "--ignore-installed" in dependencies
    pins = (folder / ".venv/constraints-without-torch.txt").read_text()
    assert "\nnumpy==" in pins and "\ntorch==" not in pins
    assert how(folder) == how(folder, torch="system") == "nothing" and how(folder, torch="pinned") == "create"
    site.mkdir(parents=True)
    monkeypatch.setattr(install, "torch_of", lambda python: ("", ""))  # .venv does not see it: the chosen Python is itself a virtual environment
    install.show_system_torch(folder, "/opt/gpu/torch/__init__.py")
    assert (site / "system_torch.pth").read_text() == "/opt/gpu\n"


def test_torch_system_is_refused_where_there_is_none_or_another_one_got_in(folder, monkeypatch, capsys):
    monkeypatch.setattr(install, "torch_of", lambda python: ("", ""))
    assert install.main(["lab", "--torch", "system"], folder) == 1
    assert "imports no torch" in capsys.readouterr().err and not (folder / ".venv").exists()
    theirs, another = ("9.9", "/gpu/torch/__init__.py"), ("2.13.0", ".venv/torch")
    monkeypatch.setattr(install, "torch_of", lambda python: theirs if len(install.commands) < 3 else another)
    assert install.main(["lab", "--torch", "system"], folder) == 1
    assert "does not import the torch at /gpu/torch" in capsys.readouterr().err and how(folder) == "create"


def test_only_torch_itself_counts_as_torch():
    assert all(map(install.is_torch, ["torch", "torch==2.13.0", "torch >= 2", "torch[opt]==2"]))
    assert not any(map(install.is_torch, ["torchvision==1", "torch-scatter==2", "pytorch", "torch.x"]))


# ── running the commands ────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_command_runs_without_the_persons_python_settings_and_a_failure_is_explained(tmp_path, monkeypatch):
    (tmp_path / ".venv").mkdir()
    monkeypatch.setenv("PIP_TARGET", "/elsewhere")
    code = "import os, sys; print('target', os.environ.get('PIP_TARGET')); sys.stderr.write('ERROR: \\N{bullet} broken'); sys.exit(int(sys.argv[1]))"
    install.run([sys.executable, "-X", "utf8", "-c", code, "0"], tmp_path, 0.0)
    assert "target None" in (tmp_path / ".venv/setup.log").read_text(encoding="utf-8")
    assert "pip failed: ERROR: • broken" in refusal(install.run, [sys.executable, "-X", "utf8", "-c", code, "3"], tmp_path, 0.0)


def test_make_says_what_it_can_do_and_each_target_it_names_exists():
    env = {**os.environ, "PYTHON": sys.executable}
    said = subprocess.run(["make"], cwd=COURSE, env=env, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^make (\w+)", said, re.M)
    assert targets == ["lab", "test", "check", "notebooks", "constraints", "clean"]
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=COURSE, env=env, capture_output=True, check=True)
    plan = subprocess.run(["make", "-n", "lab", "TORCH=system"], cwd=COURSE, env=env, capture_output=True, text=True).stdout
    assert f"{sys.executable} -m rlcourse.authoring.install --torch system  lab" in plan and "-m rlcourse lab" in plan


def continuous_integration(folder: Path, make: str, missing: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    """Run .ci/run with stand-ins for every program that installs or tests."""
    scripts = {"make": make, "id": "echo 1000", "sleep": "true", "apt-get": "false", "chromium": "true", "bwrap": "true"}
    for name in set(scripts) - set(missing):
        (folder / name).write_text(f"#!/bin/sh\n{scripts[name]}\n")
        (folder / name).chmod(0o755)
    for name in ("bash", "dirname", "mktemp", "rm", "tee", "grep"):
        (folder / name).symlink_to(shutil.which(name))
    return subprocess.run([COURSE / ".ci/run"], env={"PATH": str(folder)}, stdin=subprocess.DEVNULL, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("make", "missing", "code", "said"),
    [
        ("echo '= 3 passed in 1 s ='", (), 0, "3 passed"),
        ("echo 'SKIPPED [1] tests/x.py:3: needs a GPU'; echo '= 3 passed ='", (), 0, "3 passed"),
        ("echo 'SKIPPED [1] tests/x.py:3: no Chromium'; echo '= 3 passed ='", (), 1, "only tests that need a GPU"),
        ("echo '= 1 failed ='; exit 2", (), 2, "1 failed"),
        ('test "$CI" = 1 && echo "CI=1"', (), 0, "CI=1"),
        ("true", ("chromium",), 1, "run this as root"),
        ("true", ("bwrap",), 1, "bubblewrap missing"),
    ],
)
def test_continuous_integration_passes_on_what_make_test_says_and_refuses_a_silent_skip(tmp_path, make, missing, code, said):
    done = continuous_integration(tmp_path, make, missing)
    assert done.returncode == code and said in done.stdout + done.stderr, done.stderr
    if code == 0:
        assert done.stdout.rstrip().splitlines()[-1].strip("= ").startswith(said.split()[0]) and done.stderr == ""


def test_the_set_up_files_name_no_address_and_no_folder_of_one_machine():
    allowed = {"/dev/null", "/path/to/python3", "/usr/bin/env"}
    for name in ["Makefile", ".ci/run", "pyproject.toml", "constraints.txt", "environment.yml", ".gitignore"]:
        text = (COURSE / name).read_text(encoding="utf-8")
        assert re.findall(r"\w+://\S+|\bindex-url\b", text) == [], name
        assert set(re.findall(r"(?<![\w.$)}/*])/\w[\w/.-]*", text)) <= allowed, name


def test_what_a_student_or_a_tool_makes_is_ignored_by_git():
    ignored = (COURSE / ".gitignore").read_text(encoding="utf-8").split("\n")
    assert {".venv/", ".venv.old/", "my/", "runs/", "__pycache__/", ".ipynb_checkpoints/", "build/", "dist/"} <= set(ignored)
    assert PROJECT["license"] == "MIT" and "SPDX: CC-BY-4.0" in (COURSE / "LICENSE").read_text(encoding="utf-8")
