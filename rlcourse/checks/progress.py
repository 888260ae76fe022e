"""What a student has done so far, in my/progress.json: per exercise the latest verdict, the best score, tries, hints and the time of the last check.

Nothing else is kept: no answer, no source, no name, and nothing leaves this folder. Deleting the file forgets the progress and does no other harm.
A notebook outside my/ (the course's own build, a grader) keeps its progress in memory. Several kernels may write at once: each change is made to the
newest file, one at a time, and replaces it in one step. Whatever goes wrong here is said in one line and never fails a check.
"""

import contextlib
import json
import math
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

FILE = "progress.json"
LARGEST = 1_000_000  # bytes; what is larger was not written here
_PATIENCE = 2.0  # seconds to wait for another kernel that is writing
_TIME = "%Y-%m-%dT%H:%MZ"


@dataclass(frozen=True)
class Entry:
    """One exercise. status: "passed", "failed" or "slip" by the latest check, "" if only hints were read; best: the best score, 0 to 1;
    tries: judged answers up to the first right one (a slip costs nothing); hints: the highest hint read; last: when it was checked last, in UTC."""

    status: str = ""
    best: float = 0.0
    tries: int = 0
    hints: int = 0
    last: str = ""

    @property
    def right(self) -> bool:
        """True once an answer has passed, whatever became of it since."""
        return self.best >= 1.0

    @property
    def changed(self) -> bool:
        """True if an answer has passed and the latest one does not."""
        return self.right and self.status != "passed"


_in_memory: dict[str, Entry] = {}  # what could not be saved, or has no place to be saved to
_complained: set[str] = set()


def my_folder(start: Path | None = None) -> Path | None:
    """The folder my/ of the course that `start` (the working directory) lies inside of, or None."""
    with contextlib.suppress(OSError):
        here = (start or Path.cwd()).resolve()
        for folder in (here, *here.parents):
            if folder.name == "my" and (folder.parent / "rlcourse").is_dir():
                return folder
    return None


def course_my() -> Path | None:
    """For the shell: the my/ around the working directory, or in the course there or above it, else of the course that this package lies in."""
    here = Path.cwd()
    places = [place / "my" for place in (here, *here.parents, Path(__file__).resolve().parents[2]) if (place / "rlcourse").is_dir()]
    return my_folder() or next((place for place in places if place.is_dir()), None)


def note_check(id: str, status: str, score: float, folder: Path | None = None) -> None:
    """Remember the verdict on an answer. An exercise that was not attempted leaves no trace."""
    if status == "not attempted":
        return
    now = datetime.now(UTC).strftime(_TIME)

    def checked(entry: Entry) -> Entry:
        judged = status in ("passed", "failed") and not entry.right
        return replace(entry, status=status, best=max(entry.best, float(score)), tries=entry.tries + judged, last=now)

    _change(id, checked, folder or my_folder())


def note_hint(id: str, step: int) -> None:
    """Remember that hint number `step` was read."""
    _change(id, lambda entry: replace(entry, hints=max(entry.hints, step)), my_folder())


def entries(folder: Path | None = None) -> dict[str, Entry]:
    """What is known about each exercise: saved in `folder` (the my/ around the working directory), and in the memory of this kernel."""
    folder = folder or my_folder()
    saved: dict[str, Entry] = {}
    if folder is not None:
        try:
            with _alone(folder):
                saved = _saved(folder)
        except OSError as error:
            _complain(f"Your progress could not be read ({error.strerror or error}).")
    return saved | _in_memory


def _change(id: str, change: Callable[[Entry], Entry], folder: Path | None) -> None:
    known = _in_memory
    if folder is not None:
        try:
            with _alone(folder):
                known = _saved(folder) | _in_memory
                _write(folder / FILE, known | {id: change(known.get(id, Entry()))})
            _in_memory.clear()
            return
        except OSError as error:
            _complain(f"Your progress could not be saved ({error.strerror or error}). The check itself is not affected.")
    _in_memory[id] = change(known.get(id, Entry()))


def _saved(folder: Path) -> dict[str, Entry]:
    """The file's entries. A damaged file is set aside under another name and what can be read of it is kept."""
    path = folder / FILE
    try:
        found, damaged = _parsed(path)
    except FileNotFoundError:
        return {}
    if damaged:
        names = (folder / f"progress.damaged{number}.json" for number in ("", *(f"-{k}" for k in range(2, 1000))))
        aside = next(name for name in names if not os.path.lexists(name))
        os.replace(path, aside)
        if found:
            _write(path, found)
        kept = f"{len(found)} of its entries were kept" if found else "a new one is begun"
        print(f"my/{FILE} was damaged: it is now my/{aside.name}, and {kept}. Your notebooks are not affected.")
    return found


def _parsed(path: Path) -> tuple[dict[str, Entry], bool]:
    """(entries that can be read, whether anything in the file could not)."""
    if path.stat().st_size > LARGEST:
        return {}, True
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return {}, True
    if not isinstance(data, dict):
        return {}, True
    found = {id: entry for id, given in data.items() if (entry := _entry(given)) is not None}
    return found, len(found) < len(data)


def _entry(given: object) -> Entry | None:
    if not isinstance(given, dict):
        return None
    values = {field.name: given.get(field.name, field.default) for field in fields(Entry)}
    if any(type(values[name]) is not int or not 0 <= values[name] < 10**9 for name in ("tries", "hints")):
        return None
    if type(values["best"]) not in (int, float) or not (math.isfinite(values["best"]) and 0 <= values["best"] <= 1):
        return None
    known = values["status"] in ("", "passed", "failed", "slip")
    return Entry(**values) if known and isinstance(values["last"], str) and _is_time(values["last"]) else None


def _is_time(text: str) -> bool:
    return text == "" or (re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", text) is not None and _moment(text) is not None)


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def local_time(text: str) -> str:
    """ "2026-11-20T18:07Z" as the reader's clock and calendar have it: "20 Nov, 19:07", with the year if it is another one than now; "" for none."""
    moment = _moment(text)
    if moment is None:
        return ""
    there, now = moment.astimezone(), datetime.now().astimezone()
    return f"{there.day} {there:%b}{f' {there.year}' if there.year != now.year else ''}, {there:%H:%M}"


def _write(path: Path, known: dict[str, Entry]) -> None:
    """Replace the file in one step: a reader, or a kernel that is killed, sees the old text or the new one."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps({id: asdict(entry) for id, entry in known.items()}, indent=1) + "\n")
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, so that two kernels do not undo each other's changes; without it where it cannot be had within two seconds."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(ImportError, OSError):  # no such locks on this system, or not in this folder
            _lock(handle)
        yield
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    import fcntl

    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


def _complain(sentence: str) -> None:
    """Say it once in this kernel."""
    if sentence not in _complained:
        _complained.add(sentence)
        print(sentence)
