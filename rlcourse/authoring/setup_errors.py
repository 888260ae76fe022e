"""What can stop the set-up on a student's machine, each in one line that says what happened and what to do.

Like `install.py` this runs before anything is installed: the standard library alone, readable by old Pythons.
"""

import importlib.util
import platform
import re
import shutil
import sys
import tempfile
from pathlib import Path

OLDEST = (3, 11)
SPACE = 3e9  # bytes: 1.9e9 installed with the CPU build of torch, and what pip unpacks on the way
NETWORK = re.compile(
    r"Retrying \(Retry|NewConnectionError|NameResolutionError|name resolution|ConnectTimeout|ReadTimeout|ProxyError|SSLError|Network is unreachable"
)


class SetupError(Exception):
    """What stops the set-up: one line that says what happened and what to do."""


def check_python(version: tuple = tuple(sys.version_info[:2])) -> None:
    """Raise SetupError where this Python is older than the course's oldest."""
    if version < OLDEST:
        raise SetupError(
            f"Python {version[0]}.{version[1]} ({sys.executable}) is too old, the course needs {OLDEST[0]}.{OLDEST[1]} or newer: "
            "install one, then name it, for example `make lab PYTHON=python3.13`."
        )


def check_machine(root: Path) -> None:
    """Raise SetupError where .venv cannot be built here: no venv module, a folder that cannot be written, a full disk."""
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        package = "python{}.{}-venv".format(*sys.version_info[:2])
        raise SetupError(
            f"this Python ({sys.executable}) has no venv module: install it (Debian, Ubuntu: `apt install {package}` as root), then run make again."
        )
    try:
        with tempfile.TemporaryFile(dir=str(root)):
            pass
    except OSError as error:
        raise SetupError(
            f"the folder {root} cannot be written ({error.strerror}): copy the course to a folder of yours and run make there."
        ) from None
    free = shutil.disk_usage(str(root)).free
    if free < SPACE:
        raise SetupError(
            f"{free / 1e9:.1f} GB are free on the disk of {root}, the set-up needs {SPACE / 1e9:.0f} GB: free some space, then run make again."
        )


def explain(log: str, where: Path) -> str:
    """One line for a pip that failed, from what it printed; `where` is the file that holds all of it."""
    more = f" (what pip said: {where})"
    if "No space left on device" in log or "Errno 28" in log:
        folder = tempfile.gettempdir()
        return f"the disk ran full: free {SPACE / 1e9:.0f} GB (pip unpacks in {folder}; TMPDIR=/elsewhere moves that), then run make again{more}."
    if NETWORK.search(log):
        return f"no network: pip cannot reach its package index. Connect, or tell pip your proxy or index (`pip config`), then run make again{more}."
    missing = re.search(r"No matching distribution found for (\S+)", log)
    if missing:
        here = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
        return f"pip finds no {missing.group(1)} for {here}: try another Python, for example `make lab PYTHON=python3.12`{more}."
    last = [line for line in log.splitlines() if line.startswith("ERROR")]
    return f"pip failed: {last[-1] if last else 'it was stopped'}{more}. Run make again; if it fails again, that file names the package to look at."
