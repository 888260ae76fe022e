"""A run's folder: what is written, in which order, so that a crash at any moment leaves something to continue from.

config.json     what was asked for, versions, and the command that repeats it; written once
rows.csv        the measurements (seed, step, metric, value), appended
replay.bin      the transitions, appended; never written twice (off-policy agents only)
checkpoint.pt   everything else, replaced in one move
owner           the process that writes here; removed at its end

A checkpoint is saved in this order: replay.bin and rows.csv are brought to the disk, then checkpoint.pt, which says how long they were, takes the
place of its predecessor. What a crash leaves beyond those lengths is cut off on resume, and the run computes it again, to the same bits.

A process that was thought dead may live on, on another machine of a cluster for example, after its run was resumed elsewhere. Therefore a process
that loads a checkpoint writes its name into `owner`, and looks there before every write: the older one finds another name and stops, with TakenOver.
Both happen under a lock on rows.csv, so a write that is under way is waited for. (On a disk without locks a write that has begun goes on.)
"""

import errno
import fcntl
import io
import json
import os
import platform
import signal
import socket
import threading
import uuid
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

import gymnasium as gym
import numpy as np
import torch

import rlcourse
from rlcourse.buffers import ReplayBuffer
from rlcourse.stats import History, Row, csv_line

VOLATILE = ("steps", "command", "versions")      # may differ between a run and its continuation


class RunFolderError(ValueError):
    """The folder holds something else than was asked for."""


class TakenOver(RuntimeError):
    """Another process continues this run, or it was stopped from outside. Its folder is as the last write before that left it."""


class DiskFull(OSError):
    """No space left; the last checkpoint is intact."""


class RunFolder:
    """The files of one run. `plan` is what config.json holds.

    A new run needs a folder that is empty or not there yet; a resumed one needs the same plan (only `steps` may grow).
    """

    def __init__(self, path: str | Path, plan: dict, resume: bool) -> None:
        self.path, self.rows_file, self.replay_file = Path(path), None, None
        self.name = f"process {os.getpid()} on {socket.gethostname()}, {uuid.uuid4()}"
        with self.disk("config.json"):
            self.path.mkdir(parents=True, exist_ok=True)
            old = _refuse_other_run(self.path, plan, resume)
            if old is None or plan["steps"] > old["steps"]:
                _replace(self.path / "config.json", (json.dumps(plan, indent=2, ensure_ascii=False) + "\n").encode())

    def load(self, replay: bool = True) -> dict | None:
        """The last checkpoint, or None if there is none yet; rows.csv and replay.bin, if there is a replay, are cut back to what it counts.

        From here on the folder is this process's: another one that still writes in it is stopped at its next write.
        """
        saved = self.path / "checkpoint.pt"
        with self.disk("rows.csv"):
            self.rows_file = _opened(self.path / "rows.csv")
            with _locked(self.rows_file):
                (self.path / "owner").write_text(self.name)
                state = torch.load(saved, weights_only=True, map_location="cpu") if saved.exists() else None
                _cut(self.path / "rows.csv", state["rows_bytes"] if state else 0)
                if replay:
                    self.replay_file = _opened(self.path / "replay.bin")
                    _cut(self.path / "replay.bin", state["replay_bytes"] if state else 0)
                if state is None:
                    self.rows_file.write((",".join(Row._fields) + "\n").encode())
                    self.rows_file.flush()
        return state

    def history(self) -> History:
        return History.from_csv(self.path / "rows.csv")

    def append(self, rows: Iterable[Row]) -> None:
        with self.disk("rows.csv"), self._mine():
            self.rows_file.write("".join(map(csv_line, rows)).encode())
            self.rows_file.flush()

    def save(self, state: dict, buffer: ReplayBuffer | None = None) -> None:
        """One checkpoint: data first, then the file that counts it. buffer: None where there is no replay."""
        with self.disk("checkpoint.pt"), self._mine():
            files = {"rows_bytes": self.rows_file} | ({} if buffer is None else {"replay_bytes": self.replay_file})
            if buffer is not None:
                buffer.append_to(self.replay_file)
            for file in files.values():
                file.flush()
                os.fsync(file.fileno())
            lengths = {name: file.tell() for name, file in files.items()}
            _replace(self.path / "checkpoint.pt", _packed({**state, **lengths}))

    def save_aside(self, name: str, state: dict) -> None:
        """A state to look at, such as that of a diverged run, beside the good checkpoint."""
        with self.disk(name):
            _replace(self.path / name, _packed(state))

    def close(self) -> None:
        """Give the folder up and close the two open files. What was appended is flushed already, so a full disk cannot hurt here."""
        if self.rows_file is not None:
            with suppress(OSError, TakenOver), self._mine():
                (self.path / "owner").unlink()
        for file in (self.rows_file, self.replay_file):
            if file is not None:
                with suppress(OSError):
                    file.close()

    @contextmanager
    def _mine(self) -> Iterator[None]:
        """The folder, held while it is written to; TakenOver if it is another process's by now."""
        with _locked(self.rows_file):
            owner = self.path / "owner"
            name = owner.read_text() if owner.exists() else "nobody"
            if name != self.name:
                raise TakenOver(f"the run in {self.path} was stopped or is continued by another process (the folder's owner is now {name}; this is "
                                f"{self.name}), so this process writes nothing more. Nothing is lost: the last checkpoint is whole.")
            yield

    @contextmanager
    def disk(self, name: str) -> Iterator[None]:
        """Turn "no space left" into an error that says what is safe and what to do."""
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            safe = "The last checkpoint is intact" if (self.path / "checkpoint.pt").exists() else "No checkpoint had been written yet"
            raise DiskFull(f"the disk is full: {name} in {self.path} could not be written. {safe}; free some space and run the same command with "
                           "--resume (resume=True): it continues to the same bits as if nothing had happened.") from error


class CtrlC:
    """Ctrl-C is noted and acted on between two steps, so that no update is cut in half. A second Ctrl-C stops at once, without saving."""

    pressed = False

    def __enter__(self) -> "CtrlC":
        self.main = threading.current_thread() is threading.main_thread()
        self.before = signal.signal(signal.SIGINT, self._note) if self.main else None
        return self

    def _note(self, *_: Any) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True

    def __exit__(self, *_: Any) -> None:
        if self.main:
            signal.signal(signal.SIGINT, self.before)


def revoke(path: str | Path) -> None:
    """A process that trains in this run's folder stops before its next write, with TakenOver. A write that is under way is waited for."""
    with suppress(FileNotFoundError), open(Path(path) / "rows.csv", "r+b") as file, _locked(file):
        (Path(path) / "owner").unlink()


def versions() -> dict[str, str]:
    """What the bits depend on besides the seed."""
    processor = f"{platform.machine()}, torch uses {torch.backends.cpu.get_cpu_capability()}"
    return {"rlcourse": rlcourse.__version__, "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__,
            "gymnasium": gym.__version__, "mujoco": metadata.version("mujoco"), "processor": processor}


def read_plan(path: str | Path) -> dict:
    """config.json of a run's folder."""
    file = Path(path) / "config.json"
    if not file.exists():
        raise RunFolderError(f"{path} holds no run (no config.json). Look at the folder that was given as --out, or start without --resume.")
    return json.loads(file.read_text())


def _refuse_other_run(path: Path, plan: dict, resume: bool) -> dict | None:
    """The plan already in the folder if it is the same run, None if the folder is empty; an error otherwise."""
    if not resume:
        if any(path.iterdir()):
            raise RunFolderError(f"{path} is not empty, and a new run would overwrite what is there. Continue that run with --resume (resume=True), "
                                 "or choose another --out.")
        return None
    old = read_plan(path)
    flat_old, flat_new = _flat(old), _flat(json.loads(json.dumps(plan)))
    keys = [key for key in sorted(flat_old.keys() | flat_new.keys()) if key.split(".")[0] not in VOLATILE]
    changed = [key for key in keys if flat_old.get(key) != flat_new.get(key)]
    if changed:
        listed = "; ".join(f"{key} was {flat_old.get(key)!r} and is now {flat_new.get(key)!r}" for key in changed)
        raise RunFolderError(f"{path} holds another run: {listed}. A continued run is one run only if nothing but the number of steps changes. "
                             f"Use the old settings (it was started by: {old.get('command')}), or choose another --out for the new ones.")
    if old["versions"] != plan["versions"]:
        warnings.warn(f"{path} was started with {old['versions']} and is continued with {plan['versions']}: the last digits may differ from an "
                      "uninterrupted run.", stacklevel=4)
    return old


def _flat(plan: dict, prefix: str = "") -> dict:
    """{"config": {"lr": 1}} -> {"config.lr": 1}."""
    flat = {}
    for key, value in plan.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return flat


def _packed(state: dict) -> bytes:
    packed = io.BytesIO()
    torch.save(state, packed)
    return packed.getvalue()


def _opened(path: Path) -> BinaryIO:
    return open(path, "ab")


@contextmanager
def _locked(file: BinaryIO) -> Iterator[None]:
    """Hold the lock on an open file. It ends with the process at the latest. Where the disk knows no locks, go on without."""
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)


def _cut(path: Path, length: int) -> None:
    """The file's first `length` bytes stay."""
    if path.stat().st_size < length:
        raise RunFolderError(f"{path} has {path.stat().st_size} bytes, and its checkpoint counts {length}: it was cut or replaced since. "
                             "Restore the file, or start the run again in another folder.")
    os.truncate(path, length)


def _replace(path: Path, content: bytes) -> None:
    """Write beside, bring to the disk, then rename: at every moment `path` is either wholly old or wholly new."""
    beside = path.with_name(path.name + ".tmp")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
