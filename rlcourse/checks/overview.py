"""The summary at the end of an exercise notebook, and `rlcourse progress`: how many exercises are right, their points, and which one is next."""

import html
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rlcourse.checks import library, progress
from rlcourse.checks.progress import Entry

GREEN, ORANGE, GREY = "#2a7f62", "#c1440e", "#7a7a7a"
NOT_SAVED = "Kept until the kernel stops: this notebook does not lie in my/."
HEAD = ("", "exercise", "so far", "points", "tries", "hints", "last check")


@dataclass(frozen=True)
class Row:
    """An exercise and what is known of it. dated: whether to show when; without a file there is nothing to remember, and builds show no clock."""

    exercise: Any
    entry: Entry
    dated: bool = True

    @property
    def points(self) -> float:
        return self.entry.best * self.exercise.points

    @property
    def so_far(self) -> str:
        """In words: the best so far, and whether that still holds."""
        if self.entry.changed:
            return "right, changed since"
        return {"passed": "right", "failed": "not right yet", "slip": "cannot be judged yet"}.get(self.entry.status, "not attempted yet")

    @property
    def colour(self) -> str:
        return GREEN if self.entry.status == "passed" else ORANGE if self.entry.status else GREY

    def cells(self) -> tuple[str, ...]:
        """The row of the table, in the order of HEAD."""
        found, points = self.entry, f"{self.points:g} of {self.exercise.points:g}"
        return (self.exercise.id, self.exercise.title, self.so_far, points, str(found.tries or ""), str(found.hints or ""),
                progress.local_time(found.last) if self.dated else "")


@dataclass(frozen=True)
class Summary:
    """The progress of one lecture, or of all. It shows itself as a table, in HTML or as text; `as_data` is the same as plain data."""

    name: str
    rows: tuple[Row, ...]
    note: str = ""

    @property
    def right(self) -> int:
        return sum(row.entry.right for row in self.rows)

    @property
    def headline(self) -> str:
        points, most = sum(row.points for row in self.rows), sum(row.exercise.points for row in self.rows)
        return f"{self.name}: {self.right} of {len(self.rows)} exercises, {points:g} of {most:g} points"

    @property
    def next(self) -> Any | None:
        """The first exercise that is not right yet, else the first that has changed since; None when all is done."""
        waiting = [row for row in self.rows if not row.entry.right] or [row for row in self.rows if row.entry.changed]
        return waiting[0].exercise if waiting else None

    @property
    def advice(self) -> str:
        """One sentence: what to do next."""
        chosen = self.next
        if chosen is None:
            return "All of them are right. Next: read the solutions of those that took several tries, then the next lecture."
        entry = next(row.entry for row in self.rows if row.exercise is chosen)
        help = f' Stuck on it? `hint("{chosen.id}")` helps.' if entry.tries else ""
        return f"Next: {chosen.id} {chosen.title} ({chosen.minutes} minutes, {chosen.points:g} points).{help}"

    def _columns(self) -> tuple[list[int], list[tuple[str, ...]]]:
        """The columns that have something to show, and the rows' cells."""
        rows = [row.cells() for row in self.rows]
        return [k for k in range(len(HEAD)) if k < 4 or any(cells[k] for cells in rows)], rows

    def __str__(self) -> str:
        columns, rows = self._columns()
        widths = {k: max(len(cells[k]) for cells in [HEAD, *rows]) for k in columns}
        lines = ["  " + "  ".join(cells[k].ljust(widths[k]) for k in columns).rstrip() for cells in [HEAD, *rows]]
        return "\n".join([self.headline, *lines, self.advice, *([self.note] if self.note else [])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        columns, rows = self._columns()
        share = 100 * sum(row.points for row in self.rows) / max(sum(row.exercise.points for row in self.rows), 1e-9)
        left = "text-align:left;padding:.2em .9em .2em 0"
        head = "".join(f"<th style='{left};color:{GREY};font-weight:normal'>{HEAD[k]}</th>" for k in columns)
        body = "".join("<tr>" + "".join(_cell(row, k, cells[k], left) for k in columns) + "</tr>" for row, cells in zip(self.rows, rows))
        advice = "".join(f"<code>{part}</code>" if k % 2 else part for k, part in enumerate(html.escape(self.advice).split("`")))
        note = f"<div style='color:{GREY};font-size:90%'>{html.escape(self.note)}</div>" if self.note else ""
        return (f"<div style='border-left:4px solid {GREEN if self.next is None else GREY};padding:.2em .8em;max-width:60em'>"
                f"<div style='font-weight:bold;font-size:110%'>{html.escape(self.headline)}</div>"
                f"<div style='background:#dddddd;height:.5em;margin:.5em 0;border-radius:.25em'>"
                f"<div style='background:{GREEN};width:{share:.0f}%;height:100%;border-radius:.25em'></div></div>"
                f"<table style='border-collapse:collapse;margin:.4em 0'><tr>{head}</tr>{body}</table><div>{advice}</div>{note}</div>")

    def as_data(self) -> dict[str, Any]:
        """The summary as plain data, for JSON."""
        rows = [{"exercise": row.exercise.id, "title": row.exercise.title, "right": row.entry.right, "changed": row.entry.changed,
                 "points": row.points, "of": row.exercise.points, **asdict(row.entry)} for row in self.rows]
        return {"name": self.name, "right": self.right, "exercises": rows, "points": sum(row.points for row in self.rows),
                "of": sum(row.exercise.points for row in self.rows), "next": self.next.id if self.next else None}


def _cell(row: Row, column: int, text: str, style: str) -> str:
    looks = {1: ";min-width:12em", 2: f";color:{row.colour};font-weight:bold;min-width:7em"}
    look = looks.get(column, ";white-space:nowrap")
    return f"<td style='{style}{look}'>{html.escape(text)}</td>"


def lecture_of(exercise: Any) -> str:
    """The number of the lecture that an exercise belongs to, such as "13a"."""
    return exercise.lecture.partition("_")[0]


def summary(lecture: str = "", folder: Path | None = None) -> Summary:
    """Your progress in a lecture ("13a"), or in the whole course: what is right so far, how many points, and which exercise is next."""
    exercises = [exercise for exercise in map(library.get, library.all_ids()) if lecture in ("", lecture_of(exercise))]
    if not exercises:
        known = ", ".join(dict.fromkeys(lecture_of(library.get(id)) for id in library.all_ids()))
        raise LookupError(f"There are no exercises for a lecture {lecture!r}. Lectures with exercises: {known}.")
    saved = (folder or progress.my_folder()) is not None
    known = progress.entries(folder)
    rows = tuple(Row(exercise, known.get(exercise.id, Entry()), saved) for exercise in exercises)
    return Summary(lecture or "The course", rows, "" if saved else NOT_SAVED)


def report(as_json: bool = False, folder: Path | None = None) -> int:
    """`rlcourse progress`: one summary per lecture and the total, or JSON. Always exit code 0: this is a report, not a verdict."""
    folder = folder or progress.course_my()
    lectures = list(dict.fromkeys(lecture_of(library.get(id)) for id in library.all_ids()))
    found, total = [summary(lecture, folder) for lecture in lectures], summary(folder=folder)
    if as_json:
        print(json.dumps({**_without_rows(total), "lectures": [each.as_data() for each in found]}, indent=2))
        return 0
    print("\n\n".join(str(replace(each, note="")) for each in found))
    if len(found) > 1:
        print(f"\n{total.headline}")
    if folder is None:
        print("\nThere is no folder my/ yet: `rlcourse lab` makes it and opens your notebooks, and their checks are remembered there.")
    return 0


def _without_rows(total: Summary) -> dict[str, Any]:
    return {key: value for key, value in total.as_data().items() if key != "exercises"} | {"exercises": len(total.rows)}
