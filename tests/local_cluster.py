"""A Dask cluster on this machine for tests, of processes that can be killed one by one, and that can be held at a step (held_world.py)."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distributed import Client

COURSE = Path(__file__).resolve().parents[1]


def until(condition: Callable, seconds: float = 60.0) -> Any:
    """Wait for a file or another process: what the condition returns, once it is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return found


class Cluster:
    """A scheduler and worker processes of one thread, without the nannies that would start them again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.processes = folder, []
        self.env = os.environ | {"HELD_FOLDER": str(folder), "PYTHONPATH": f"{COURSE}:{COURSE / 'tests'}", "OMP_NUM_THREADS": "4"}
        file = folder / "scheduler.json"
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
        self.address = until(lambda: file.exists() and file.read_text().rstrip().endswith("}") and json.loads(file.read_text()))["address"]

    def start(self, what: str, *words: str) -> subprocess.Popen:
        command = [sys.executable, "-W", "ignore", "-m", "dask", what, *words, "--no-dashboard"]
        with open(self.folder / f"{what}.log", "ab") as log:
            return subprocess.Popen(command, env=self.env, stdout=log, stderr=log, cwd=self.folder)

    def workers(self, number: int = 2) -> list[subprocess.Popen]:
        """That many living workers; those that an earlier test has killed are replaced."""
        self.processes = [process for process in self.processes if process.poll() is None]
        while len(self.processes) < number:
            self.processes.append(self.start("worker", self.address, "--nthreads", "1", "--no-nanny", "--local-directory", str(self.folder)))
        with Client(self.address, timeout=60, set_as_default=False) as client:
            until(lambda: len(client.nthreads()) >= number)
        return self.processes

    def held(self) -> Path:
        """The file of the process that waits; its end is the process' number."""
        return until(lambda: next(self.folder.glob("held-*"), None))

    def steps(self, process: int | str) -> int:
        return (self.folder / f"steps-{process}").stat().st_size

    @contextmanager
    def when_held(self, action: Callable[[Path], None]) -> Iterator[None]:
        """Hold the first group that comes to step 65, and do `action(file)` then, while the body runs."""
        (self.folder / "hold").touch()
        other = threading.Thread(target=lambda: action(self.held()), daemon=True)
        other.start()
        yield
        other.join()
