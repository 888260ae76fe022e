"""What a check says, in this order: verdict, what is wrong, likely cause, where to read, how to get the next hint."""

import html
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

VERDICTS = {
    "passed": "right.",
    "failed": "not right yet.",
    "slip": "cannot be judged yet (this costs nothing).",
    "not attempted": "not attempted yet.",
}
MARKS = {"given": "", "holds": "✓", "fails": "✗", "undecided": "?", "undefined": "✗", "repeats": "↺"}  # beside the lines of a derivation


@dataclass(frozen=True)
class Report:
    """The result of one check.

    passed: bool. score: 1.0 or 0.0, the share of the exercise's points. diagnosis: "passed", "not_attempted", the id of a named mistake
    (two joined by "+"), the kind of a slip ("shape", "dtype", "exception", ...), or "property:<id>" for the first property that breaks.
    details: plain data (status, sentences, the smallest failing case, seed, number of cases).
    """

    passed: bool
    score: float
    diagnosis: str
    details: dict[str, Any] = field(default_factory=dict)
    shown: bool = False

    @property
    def status(self) -> str:
        return self.details["status"]

    @property
    def verdict(self) -> str:
        return f"{self.details['exercise']} {self.details['function']}: {VERDICTS[self.status]}"

    def lines(self) -> list[tuple[str, str]]:
        """(label, sentence) in the order in which they are said, after the verdict."""
        found = self.details
        labels = [("Verified", "verified"), ("Next step", "todo"), ("What is wrong", "what"), ("Likely cause", "cause"),
                  ("Smallest case", "smallest"), ("To see it", "call"), ("It was called with", "given"), ("Where to read", "read"),
                  ("Next hint", "hint"), ("Your function printed", "printed")]
        return [(label, found[key]) for label, key in labels if found.get(key)]

    def __str__(self) -> str:
        said = [textwrap.fill(f"{label}: {sentence}", 118, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
                for label, sentence in self.lines()]
        return "\n".join([self.verdict, *_derivation(self.details.get("lines", ())), *said])

    def _repr_html_(self) -> str:
        colour = {"passed": "#2a7f62", "failed": "#c1440e"}.get(self.status, "#7a7a7a")
        rows = "".join(f"<div style='margin-top:.25em'><b>{html.escape(label)}:</b> {_marked(sentence)}</div>" for label, sentence in self.lines())
        lines = _typeset(self.details.get("lines", ()))
        return (f"<div style='border-left:4px solid {colour};padding:.2em .8em;max-width:60em'>"
                f"<div style='color:{colour};font-weight:bold'>{html.escape(self.verdict)}</div>{lines}{rows}</div>")

    def _ipython_display_(self) -> None:
        if not self.shown:
            show(self)


def _derivation(lines: Sequence[dict[str, str]]) -> list[str]:
    """The lines of a student's derivation as text, each with its verdict."""
    return [f"  {MARKS[line['verdict']]:1} {_relation(line):1} {line['text']}" for line in lines]


def _typeset(lines: Sequence[dict[str, str]]) -> str:
    """The same for a page that sets LaTeX."""
    return "".join(_row(MARKS[line["verdict"]], rf"$\displaystyle {_relation(line)} {line['latex']}$") for line in lines)


def _row(mark: str, formula: str) -> str:
    colour = {"✓": "#2a7f62", "✗": "#c1440e"}.get(mark, "#7a7a7a")
    beside = f"<span style='display:inline-block;width:1.3em;font-weight:bold;color:{colour}'>{mark}</span>"
    return f"<div style='margin:.3em 0'>{beside}{html.escape(formula)}</div>"


def _relation(line: dict[str, str]) -> str:
    return {"given": "", "holds": "=", "repeats": "=", "undecided": "≟"}.get(line["verdict"], "≠")


def _marked(sentence: str) -> str:
    """Escaped text in which `code` becomes <code>."""
    parts = html.escape(sentence).split("`")
    if len(parts) % 2 == 0:
        return html.escape(sentence)
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


def show(report: Report) -> None:
    """Display a report: HTML with a plain-text twin in a notebook, plain text elsewhere."""
    if in_notebook():
        from IPython.display import display

        display({"text/plain": str(report), "text/html": report._repr_html_()}, raw=True)
    else:
        print(report)


def in_notebook() -> bool:
    """True inside a Jupyter kernel."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return hasattr(get_ipython(), "kernel")
