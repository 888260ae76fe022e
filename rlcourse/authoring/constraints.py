"""Write constraints.txt anew from a clean installation: `make constraints`.

Standard library alone, like `install.py`: the environment it builds is a temporary one.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PER_PLATFORM = ("nvidia-", "cuda-", "triton", "appnope")  # of CUDA builds of torch, which pin them exactly themselves, and of macOS alone
HELD_BACK = ("soupsieve==2.10", "torch==2.13.0")  # pyproject.toml accepts a range of torch; the newest one comes with gigabytes of CUDA
OURSELVES = ("rlcourse==", "pip==")
HEADER = """\
# Every package of the course, its tests and the extra [bench], at the version it was tested with. pyproject.toml says what is needed, this file which
# one you get. A pin installs nothing: what the extra [bench] alone brings (stable-baselines3, sbx-rl, jax, ...) is not in what make sets up.
# Regenerate it with `make constraints` (a clean installation of .[test,browser,bench], then pip freeze), then run `make check`.
# torch has no local suffix (+cpu, +cu130): the same pin then fits every build of that version. A CUDA build pins its own nvidia packages.
# soupsieve stays at 2.10: later ones refuse the Python 3.11.2 of Debian 12.
# mujoco stays at 3.8.1: simulated results differ between versions, and 4.0.0 brings deprecation warnings and two studio packages.
"""


def pin(frozen: str) -> list:
    """The lines of `pip freeze` as constraints: no local suffix, not the course itself, nothing that belongs to one platform's build of torch."""
    lines = [re.sub(r"\+[\w.]+$", "", line.strip()) for line in frozen.splitlines() if re.match(r"[\w.-]+==", line)]
    return sorted((line for line in lines if not line.startswith(PER_PLATFORM + OURSELVES)), key=lambda line: line.split("==")[0].lower())


def write_constraints(root: Path) -> None:
    """Install .[test,browser,bench] into a clean, temporary environment, without constraints, and write what came to constraints.txt."""
    with tempfile.TemporaryDirectory() as folder:
        python = str(Path(folder) / "bin" / "python")
        quiet = ["--disable-pip-version-check"]
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", *quiet, *HELD_BACK, "-e", ".[test,browser,bench]"], cwd=str(root), check=True)
        frozen = subprocess.run([python, "-m", "pip", "freeze", "--all", *quiet], check=True, stdout=subprocess.PIPE).stdout.decode()
    (root / "constraints.txt").write_text(HEADER + "\n".join(pin(frozen)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_constraints(ROOT)
