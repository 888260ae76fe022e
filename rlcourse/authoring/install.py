"""Install the course into .venv, or do nothing when it is there: what `make lab` and `make test` run first.

    python3 -m rlcourse.authoring.install lab      the package and what the lectures need
    python3 -m rlcourse.authoring.install test     the extra [test] as well, and [browser] where Chromium is present

It runs on the system's Python before anything is installed: it imports the standard library alone and stays readable by Python 3.6, which it has to
tell that it is too old. A stamp in .venv says what was installed. It is written last, so an interrupted set-up is noticed and repaired.
"""

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from rlcourse.authoring.setup_errors import OLDEST, SetupError, check_machine, check_python, explain

ROOT = Path(__file__).resolve().parents[2]
INPUTS = ("pyproject.toml", "constraints.txt")
STAMP = "rlcourse-setup.json"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
NOT_INHERITED = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_CONSTRAINT")  # would install something else, or elsewhere


def wanted_extras(what: str) -> list:
    """The extras of pyproject.toml that a target needs on this machine."""
    if what == "lab":
        return []
    return ["test", *(["browser"] if any(shutil.which(name) for name in CHROMIUM) else [])]


def read_stamp(venv: Path) -> dict:
    """What the last set-up left: what it installed, with "unfinished" where it was interrupted, {} where there was none."""
    try:
        stamp = json.loads((venv / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(venv: Path, stamp: dict) -> None:
    """Replace the stamp in one step."""
    new = venv / (STAMP + ".new")
    new.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
    os.replace(str(new), str(venv / STAMP))


def python_of(venv: Path) -> str:
    """The version 'X.Y' of the Python in a virtual environment; '' where it does not run."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        return subprocess.run([str(venv / "bin" / "python"), "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode().strip()
    except OSError:
        return ""


def plan(root: Path, what: str, torch: str, any_python: bool) -> tuple:
    """(the stamp that is wanted, how to get there: 'nothing' | 'update' | 'create').

    A .venv of another folder, Python or torch, or of an interrupted set-up, is created anew. One that was made by hand is completed, never removed.
    """
    venv = root / ".venv"
    stamp, inside = read_stamp(venv), python_of(venv)
    by_hand = venv.exists() and not stamp
    wish = {
        "root": str(root),
        "inputs": hashlib.sha256(b"\0".join((root / name).read_bytes() for name in INPUTS)).hexdigest(),
        "extras": sorted({*wanted_extras(what), *stamp.get("extras", [])}),
        "torch": stamp.get("torch", "pinned") if torch == "keep" else torch,
        "python": inside if inside and (by_hand or any_python) else "{}.{}".format(*sys.version_info[:2]),
    }
    if by_hand:
        refuse_foreign(venv, inside, wish["torch"])
        return wish, "update"
    if inside == wish["python"] and stamp == wish:
        return wish, "nothing"
    same = inside == wish["python"] and all(stamp.get(key) == wish[key] for key in ("root", "torch", "python"))
    return wish, "update" if same and wish["torch"] == "pinned" and "unfinished" not in stamp else "create"


def refuse_foreign(venv: Path, inside: str, torch: str) -> None:
    """SetupError where a .venv that was made by hand cannot be completed."""
    if not inside or tuple(map(int, inside.split("."))) < OLDEST or torch == "system":
        state = f"it has Python {inside}" if inside else "its Python does not run"
        raise SetupError(f"{venv} was not made by make and cannot be used ({state}, TORCH={torch}): move it away, then run make again.")


def base_python(venv: Path) -> str:
    """The interpreter to build .venv from: this one, or, where this one is .venv's own (an activated .venv), the one that it was made from."""
    inside = Path(sys.prefix).resolve() == venv.resolve()
    return getattr(sys, "_base_executable", sys.executable) if inside else sys.executable


def is_torch(requirement: str) -> bool:
    """Whether a line of requirements or constraints names torch itself, and not a package whose name begins so."""
    return re.match(r"torch(?![\w.-])", requirement.strip()) is not None


def pip_commands(root: Path, wish: dict) -> list:
    """The pip commands that bring .venv to what is wanted. With torch 'system', no line of them can bring another torch."""
    import tomllib  # Python 3.11, which has been checked by now

    pip = [str(root / ".venv" / "bin" / "python"), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    if wish["torch"] == "pinned":
        extras = "[{}]".format(",".join(wish["extras"])) if wish["extras"] else ""
        return [[*pip, "-c", "constraints.txt", "-e", "." + extras]]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in wish["extras"])]
    names = [name for group in groups for name in group if not is_torch(name)]
    pins = str(root / ".venv" / "constraints-without-torch.txt")
    return [[*pip, "--ignore-installed", "-c", pins, *names], [*pip, "--no-deps", "-e", "."]]


def torch_of(python: str) -> tuple:
    """(version, file) of the torch that an interpreter imports; ('', '') where it has none."""
    code = "import torch; print(torch.__version__); print(torch.__file__)"
    done = subprocess.run([python, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    lines = done.stdout.decode().splitlines()
    return (lines[-2], lines[-1]) if done.returncode == 0 and len(lines) >= 2 else ("", "")


def show_system_torch(root: Path, file: str) -> None:
    """Make the torch at `file` visible in .venv, and write the course's pins without torch."""
    venv = root / ".venv"
    pins = [line for line in (root / "constraints.txt").read_text(encoding="utf-8").splitlines() if not is_torch(line)]
    (venv / "constraints-without-torch.txt").write_text("\n".join(pins) + "\n", encoding="utf-8")
    if torch_of(str(venv / "bin" / "python"))[1] != file:  # a Python that is itself a virtual environment does not pass its packages on
        site = next(venv.glob("lib/python*/site-packages"))
        (site / "system_torch.pth").write_text(str(Path(file).parents[1]) + "\n", encoding="utf-8")


def run(command: list, root: Path, started: float) -> None:
    """Run one command of the set-up, its output in .venv/setup.log and, on a terminal, in one moving line. SetupError where it fails."""
    log, terminal = root / ".venv" / "setup.log", sys.stdout.isatty()
    env = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with log.open("a", encoding="utf-8") as out, subprocess.Popen(command, cwd=str(root), env=env, **pipes) as process:
        for line in process.stdout:
            text = line.decode(errors="replace").rstrip()
            print(text, file=out, flush=True)
            if terminal:
                print("\r\033[K" + f"{time.monotonic() - started:4.0f} s  {text}"[: shutil.get_terminal_size().columns - 1], end="", flush=True)
    if terminal:
        print("\r\033[K", end="", flush=True)
    if process.returncode:
        raise SetupError(explain(log.read_text(encoding="utf-8"), log))


def make_room(venv: Path) -> None:
    """Remove what is left of an earlier .venv. It is renamed first: an interruption leaves all of it or none of it under its name."""
    old = venv.with_name(".venv.old")
    shutil.rmtree(str(old), ignore_errors=True)
    if venv.exists():
        os.replace(str(venv), str(old))
        shutil.rmtree(str(old), ignore_errors=True)


def install(root: Path, wish: dict, how: str) -> None:
    """Carry a plan out: create or update .venv, install, verify, stamp."""
    check_machine(root)
    venv, started = root / ".venv", time.monotonic()
    python = base_python(venv)
    version, file = torch_of(python) if wish["torch"] == "system" else ("", "")
    if wish["torch"] == "system" and not file:
        raise SetupError(f"TORCH=system, but {python} imports no torch: name one that does, `make lab TORCH=system PYTHON=/path/to/python3`.")
    if how == "create":
        print(f"Setting up the course in {venv}: about 1 minute and 2 GB (with a CUDA build of torch, several GB more).", flush=True)
        make_room(venv)
        venv.mkdir()
        write_stamp(venv, {**wish, "unfinished": True})
        run([python, "-m", "venv", *(["--system-site-packages"] if file else []), str(venv)], root, started)
    else:
        print(f"Bringing {venv} up to date.", flush=True)
        if read_stamp(venv):  # a .venv made by hand gets no mark that would let the next run remove it
            write_stamp(venv, {**wish, "unfinished": True})
        (venv / "setup.log").write_text("", encoding="utf-8")
    if file:
        show_system_torch(root, file)
    for command in pip_commands(root, wish):
        run(command, root, started)
    if file and torch_of(str(venv / "bin" / "python")) != (version, file):
        raise SetupError(f"TORCH=system: .venv does not import the torch at {file} ({venv / 'setup.log'}); `make lab TORCH=pinned` installs another.")
    write_stamp(venv, wish)
    print(f"Ready after {time.monotonic() - started:.0f} s" + (f", with torch {version} from {file}." if file else "."), flush=True)


@contextlib.contextmanager
def one_at_a_time(root: Path):
    """Hold the folder's lock: `make lab` and `make test` in two terminals must not install at once. Where locks do not work, go on without."""
    import fcntl

    handle = os.open(str(root), os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("Another set-up of this folder is running; waiting for it.", flush=True)
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def main(arguments: list, root: Path = ROOT) -> int:
    """0 when the course is installed, 1 with one line on stderr when it is not, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(description="Install the course into .venv; do nothing when it is there.")
    parser.add_argument("what", choices=["lab", "test"])
    parser.add_argument("--torch", choices=["keep", "pinned", "system"], default="keep", help="keep: as the present .venv has it, else pinned")
    parser.add_argument("--any-python", action="store_true", help="keep a working .venv that another Python made")
    chosen = parser.parse_args(arguments)
    try:
        check_python()
        with one_at_a_time(root):
            wish, how = plan(root, chosen.what, chosen.torch, chosen.any_python)
            if how != "nothing":
                install(root, wish, how)
    except SetupError as error:
        print(f"rlcourse: {error}", file=sys.stderr)
    except OSError as error:
        print(f"rlcourse: {error.filename or root}: {error.strerror or error}. Make room or give access, then run make again.", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nrlcourse: interrupted; the next run of make starts this set-up again.", file=sys.stderr)
        return 130
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
