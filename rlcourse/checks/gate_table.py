"""`rlcourse check --gate`: every exercise through the gate (rlcourse.checks.gate), as a table for a reader or as JSON for a program."""

import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from rlcourse.checks import gate, library, solutions
from rlcourse.checks.gate import Found, Plan

HEADINGS = ("seeds", "mistakes", "diagnosed", "pairs", "mutants", "killed", "equal", "survivors", "false\nalarms", "CPU s")
_WIDTH = 120  # of the table in a file or a pipe


class GateError(ValueError):
    """The gate cannot be run; the message says why in one line."""


def run_gate(ids: Sequence[str] = (), as_json: bool = False, jobs: int = 0, plan: Plan = gate.FULL) -> int:
    """Put exercises ("13.1", or "13" for a lecture; without any: all) through the gate and print what was found. Returns 0 only if all are green."""
    if not solutions.FOLDER.is_dir():
        raise GateError("The gate tries the worked solutions and their mutants, and this copy of the course has no folder solutions/ (a release to "
                        "students has none). Run it where the course is made.")
    wanted = list(dict.fromkeys(id for word in ids for id in _meant(word))) or library.all_ids()
    found = _examined(wanted, min(jobs or os.cpu_count() or 1, len(wanted)), plan)
    if as_json:
        print(json.dumps(as_dict(found), indent=2, ensure_ascii=False))
    else:
        show(found)
    return 0 if all(row.green for row in found) else 1


def _meant(word: str) -> list[str]:
    try:
        return [id for id in library.all_ids() if id.split(".")[0] == word] or [library.get(word).id]
    except LookupError as unknown:
        raise GateError(str(unknown.args[0])) from None


def _examined(ids: list[str], jobs: int, plan: Plan) -> list[Found]:
    """What was found, in the order of the ids; a bar on the standard error output in the meantime."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("the gate", total=len(ids))
        found = {}
        for row in _in_processes(ids, jobs, plan) if jobs > 1 else _here(ids, plan, lambda text: progress.update(task, description=text)):
            found[row.id] = row
            progress.update(task, advance=1, description="the gate")
    return [found[id] for id in ids]


def _here(ids: list[str], plan: Plan, tick: Callable[[str], None]) -> Iterator[Found]:
    torch.set_num_threads(1)
    for id in ids:
        yield gate.examine(library.get(id), plan, lambda text, id=id: tick(f"{id}: {text}"))


def _in_processes(ids: list[str], jobs: int, plan: Plan) -> Iterator[Found]:
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from (future.result() for future in as_completed([pool.submit(_one, id, plan) for id in ids]))


def _one(id: str, plan: Plan) -> Found:
    return gate.examine(library.get(id), plan)


# ---- JSON ----


def as_dict(found: Sequence[Found]) -> dict[str, Any]:
    """Totals, then one entry per exercise. `diagnosed` and `killed` are shares from 0 to 1; None where there was nothing to try."""
    survivors = [{"exercise": row.id, "change": change} for row in found for change in row.survivors]
    problems = [{"exercise": row.id, "problem": problem} for row in found for problem in row.problems]
    totals = {"green": not problems, "exercises": len(found), **_counts(found)}
    return totals | {"survivors": survivors, "problems": problems, "rows": [_entry(row) for row in found]}


def _counts(found: Sequence[Found]) -> dict[str, Any]:
    def total(name: str) -> float:
        return sum(getattr(row, name) for row in found)

    equivalent = sum(len(row.equivalent) for row in found)
    return {
        "seeds": min((row.seeds for row in found), default=0), "answers": total("answers"), "mistakes": total("mistakes"),
        "failed": _share(total("failed"), total("tried")), "diagnosed": _share(total("named"), total("tried")), "pairs": total("pairs"),
        "mutants": total("mutants"), "killed": _share(total("killed"), total("mutants") - equivalent), "equivalent": equivalent,
        "timeouts": total("timeouts"), "late": sum(len(row.late) for row in found), "false_alarms": total("false_alarms"),
        "cpu_seconds": round(total("cpu"), 1),
    }


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _entry(row: Found) -> dict[str, Any]:
    about = {"exercise": row.id, "function": row.function, "kind": row.kind, "green": row.green}
    return about | _counts([row]) | {"late": row.late, "equivalent": row.equivalent, "survivors": row.survivors, "problems": row.problems}


# ---- tables ----


def show(found: Sequence[Found]) -> None:
    """A table with one line per exercise, then every equivalent mutant with its reason and every problem, and the verdict."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    console.print(table(found))
    for row in found:
        for change, reason in row.equivalent.items():
            console.print(f"equivalent {escape(f'{row.id}: {change}')}\n  {escape(reason)}", soft_wrap=True)
        for change in row.late:
            console.print(f"[yellow]late[/] {escape(f'{row.id}: seed 0 lets it through, another seed does not: {change}')}", soft_wrap=True)
    for row in found:
        for problem in row.problems:
            console.print(f"[red]problem[/] {escape(f'{row.id} {row.function}: {problem}')}", soft_wrap=True)
    console.print(verdict(found))


def table(found: Sequence[Found]) -> Table:
    """One line per exercise, and their totals."""
    made = Table(title="The gate: checks tried on right and wrong answers", box=SIMPLE, padding=(0, 0, 0, 1), pad_edge=False)
    made.add_column("exercise", no_wrap=True)
    for heading in HEADINGS:
        made.add_column(heading, justify="right")
    for row in found:
        made.add_row(f"{row.id} {row.function}{'' if row.green else ' [red]✗[/]'}", *_cells([row]))
    if len(found) > 1:
        made.add_section()
        made.add_row(f"all {len(found)}", *_cells(found))
    made.caption = ("seeds: of the solution and of each alternative. diagnosed: share of the named mistakes, over seeds, that are called by their "
                    "own name, or by that of a twin with the same numbers. killed: share of the mutants, equal ones (right answers too) left out.")
    return made


def _cells(found: Sequence[Found]) -> list[str]:
    n = _counts(found)
    seeds = f"{n['seeds']} × {n['answers']}" if len(found) == 1 else f"≥ {n['seeds']}"
    wrong = (n["mistakes"], _percent(n["diagnosed"]), n["pairs"], n["mutants"], _percent(n["killed"]), n["equivalent"])
    return [seeds, *map(str, wrong), str(sum(len(row.survivors) for row in found)), str(n["false_alarms"]), f"{n['cpu_seconds']:.0f}"]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def verdict(found: Sequence[Found]) -> str:
    """The last line: green, or how many exercises are not."""
    red = [row.id for row in found if not row.green]
    if not red:
        return "[green]Green: every right answer passes and every wrong one fails.[/]"
    advice = "A mutant that survives needs a sharper property or case, or its reason in EQUIVALENT beside the alternatives."
    return f"[red]Not green: {', '.join(red)}.[/] {advice}"
