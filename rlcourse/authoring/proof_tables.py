"""What `rlcourse proofs` found, as tables for a reader or as JSON for a program."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rlcourse.authoring.proofs import Lecture, Tried, find, passes, prove_all
from rlcourse.notation import mutation
from rlcourse.notation.pens import latex, text


def report(notebooks: Sequence[str] = (), mutate: bool = False, as_json: bool = False) -> int:
    """Runs and prints; returns the exit code, 0 only if every displayed equation is checked or a definition and no wrong version goes unnoticed."""
    lectures = prove_all(find(notebooks), mutate)
    if as_json:
        print(json.dumps(as_dict(lectures, mutate), indent=2, ensure_ascii=False))
    else:
        show(lectures, mutate)
    return 0 if passes(lectures) else 1


# ---- JSON ----------------------------------------------------------------------------------------------------
def as_dict(lectures: Sequence[Lecture], mutate: bool) -> dict:
    """Totals, then one entry per lecture. `caught` is a share from 0 to 1, of the mutants that are not equalities and mean something."""
    total = Lecture("all", "", Path())
    for lecture in lectures:
        total.checked += lecture.checked
        total.definitions += lecture.definitions
        total.errata += lecture.errata
        total.unchecked += lecture.unchecked
        total.failures += lecture.failures
        total.tried += lecture.tried
    found = {**_counts(total, mutate), "unchecked": len(total.unchecked), "passes": passes(lectures)}
    if mutate:
        found["survivors"] = [row for lecture in lectures for row in _survivors(lecture)]
    return {**found, "lectures": [_entry(lecture, mutate) for lecture in lectures]}


def _counts(lecture: Lecture, mutate: bool) -> dict:
    found = {
        "equations": lecture.equations, "checked": sum(lecture.checked.values()), "definitions": lecture.definitions,
        "errata": lecture.errata, "failures": [vars(f) for f in lecture.failures], "modes": dict(lecture.checked),
    }
    if mutate:
        fates = Counter(t.outcome.fate for t in lecture.tried)
        found |= {"mutants": len(lecture.tried), "caught": lecture.share, "fates": {fate: fates[fate] for fate in mutation.FATES}}
    return found


def _entry(lecture: Lecture, mutate: bool) -> dict:
    about = {"lecture": lecture.name, "title": lecture.title, "file": lecture.path.name, "derivations": len(lecture.derivations)}
    found = {**about, **_counts(lecture, mutate), "unchecked": lecture.unchecked}
    return {**found, "operators": _by_operator(lecture.tried)} if mutate else found


def _by_operator(tried: Sequence[Tried]) -> dict[str, dict[str, int]]:
    """operator -> how many of its mutants met which fate."""
    found: dict[str, Counter] = {}
    for t in tried:
        found.setdefault(t.outcome.mutant.operator, Counter())[t.outcome.fate] += 1
    return {operator: dict(fates) for operator, fates in sorted(found.items())}


def _survivors(lecture: Lecture) -> list[dict]:
    """Every mutant that is not caught although it can be evaluated; `reason` is None if nobody knows why."""
    rows = []
    for t in lecture.fates(mutation.EQUAL, mutation.SURVIVOR):
        wrong = t.outcome.mutant
        place = {"lecture": lecture.name, "tag": t.tag, "title": t.title, "step": t.outcome.step, "line": t.outcome.line}
        change = {"operator": wrong.operator, "where": wrong.where, "latex": latex(wrong.expr), "text": text(wrong.expr)}
        rows.append({**place, **change, "reason": t.outcome.why or None})
    return rows


# ---- tables ----------------------------------------------------------------------------------------------------
def show(lectures: Sequence[Lecture], mutate: bool) -> None:
    """Tables on stdout: equations by lecture and mode, what is wrong, and with `mutate` the share caught and every survivor."""
    console = Console(highlight=False)
    console.print(_equations(lectures))
    for lecture in lectures:
        for failure in lecture.failures:
            console.print(f"[red]raises[/] {escape(lecture.name)}, cell “{escape(failure.cell)}”\n{escape(f'{failure.error}: {failure.message}')}")
        for claim in lecture.unchecked:
            console.print(f"[red]unchecked[/] {escape(lecture.name)}, {escape(claim)}")
    if mutate:
        console.print(_mutants(lectures))
        for row in (row for lecture in lectures for row in _survivors(lecture)):
            _show_survivor(console, row)
    console.print(_verdict(lectures))


def _equations(lectures: Sequence[Lecture]) -> Table:
    table = Table("lecture", title="Equations")
    for heading in ("shown", "checked", "definitions", "unchecked", "errata", "checked how"):
        table.add_column(heading, justify="left" if heading == "checked how" else "right")
    for lecture in lectures:
        table.add_row(lecture.name + (" [red]✗[/]" if lecture.failures else ""), *_row([lecture]))
    if len(lectures) > 1:
        table.add_section()
        table.add_row("all", *_row(lectures))
    return table


def _row(lectures: Sequence[Lecture]) -> list[str]:
    modes = sum((lecture.checked for lecture in lectures), Counter())
    numbers = [modes.total(), sum(x.definitions for x in lectures), sum(len(x.unchecked) for x in lectures), sum(x.errata for x in lectures)]
    how = ", ".join(f"{number} {mode}" for mode, number in sorted(modes.items()))
    return [str(sum(x.equations for x in lectures)), *map(str, numbers), how]


HEADINGS = {
    mutation.CAUGHT: "caught", mutation.UNDECIDED: "undecided", mutation.EQUAL: "equal", mutation.UNDEFINED: "no value", mutation.SURVIVOR: "survive",
}


def _mutants(lectures: Sequence[Lecture]) -> Table:
    table = Table("", title="Wrong versions of the checked equations")
    for heading in ("mutants", *HEADINGS.values(), "share"):
        table.add_column(heading, justify="right")
    for lecture in lectures:
        if lecture.tried:
            fates = [str(len(lecture.fates(fate))) for fate in HEADINGS]
            table.add_row(lecture.name, str(len(lecture.tried)), *fates, "" if lecture.share is None else f"{100 * lecture.share:.1f} %")
    table.caption = (
        "share: of the mutants that are neither equal nor without value, those that are refused, undecided ones among them (the logarithm of a "
        "negative number, say, is not finite in any world)."
    )
    return table


def _show_survivor(console: Console, row: dict) -> None:
    colour = "green" if row["reason"] else "red"
    line = " (in the first line)" if row["line"] == "start" else ""
    head = f"{row['lecture']} [{row['tag']}] {row['title']}, step {row['step']}{line}: {row['operator']} at {row['where']}"
    console.print(f"[{colour}]{'equal' if row['reason'] else 'survives'}[/] {escape(head)}", soft_wrap=True)
    console.print(f"  {escape(row['text'])}\n  {escape(row['latex'])}", soft_wrap=True)
    reason = row["reason"] or "unexplained: a world must refute it, or .also_equals(...) must say why it is equal"
    console.print(f"  {escape(reason)}", soft_wrap=True)


def _verdict(lectures: Sequence[Lecture]) -> str:
    if passes(lectures):
        return "[green]Every displayed equation is checked or a definition.[/]"
    unchecked, broken = sum(len(x.unchecked) for x in lectures), sum(len(x.failures) for x in lectures)
    survivors = sum(len(x.fates(mutation.SURVIVOR)) for x in lectures)
    advice = (
        (unchecked, "unchecked", "make an unchecked equation a .step of a derivation, or mark it as a definition with :="),
        (broken, "broken", "mend the step that its message names, or the one before it"),
        (survivors, "unexplained survivors", "let a world refute a survivor, or say with .also_equals why it is equal"),
    )
    found = [(f"{number} {what}", remedy) for number, what, remedy in advice if number]
    return f"[red]Not yet: {', '.join(what for what, _ in found)}.[/] To do: {'; '.join(remedy for _, remedy in found)}."
