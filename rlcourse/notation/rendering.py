"""How a derivation looks: one aligned LaTeX block with numbered reasons below it, or the same as text. Every run gives the same characters."""

from collections.abc import Callable
from dataclasses import dataclass

import sympy as sp

from rlcourse.notation.assumptions import AssumptionOpen
from rlcourse.notation.pens import LatexPen, TextPen, latex, text
from rlcourse.notation.unknowns import unknowns


@dataclass(frozen=True)
class Line:
    """One line of the chain. `kind` is "definition", "start" or "step"; only steps have a number, a reason and a check.

    note: what the sign before the line means, where it is not =, ≤ or ≥, with formulas as $LaTeX$; `note_text` is the same as text.
    """

    kind: str
    latex: str
    text: str
    number: int = 0
    because: str = ""
    how: str = ""
    note: str = ""
    note_text: str = ""


def lines(derivation) -> list[Line]:
    """Definitions first, then the start, then the steps."""
    made = [Line("definition", f"{latex(left)} := {{}}& {latex(right)}", f"{text(left)} := {text(right)}") for left, right in derivation.definitions]
    made.append(Line("start", f"& {latex(derivation.start)}", f"  {text(derivation.start)}"))
    for number, step in enumerate(derivation.steps, start=1):
        formula = f"{step.rule.sign(LatexPen())} {{}}& {latex(step.expr)}"
        shown = f"{step.rule.sign(TextPen())} {text(step.expr)}"
        made.append(Line("step", formula, shown, number, step.because, step.how, step.rule.note(_inline), step.rule.note(text)))
    return made


def block(chain: list[Line]) -> str:
    """Some lines as one aligned block of LaTeX, steps with their numbers."""
    rows = [line.latex + (rf" && \quad ({line.number})" if line.number else "") for line in chain]
    gap = "4pt" if len(rows) < 6 else "1pt"                                 # six lines and their reasons fill a slide
    return "\n".join(["$$", r"\begin{aligned}", f" \\\\[{gap}]\n".join(rows), r"\end{aligned}", "$$"])


def markdown(derivation) -> str:
    """The whole chain for the notebook. Raises AssumptionOpen while an assumption is declared and not shown to be needed."""
    if derivation.open_assumptions:
        names = ", ".join(f"“{a.statement}”" for a in derivation.open_assumptions)
        raise AssumptionOpen(
            f"[{derivation.tag}] {derivation.title} assumes {names}, and nothing shows what goes wrong without it. After the step that "
            "needs it write .fails_without(assumption, world), with a world in which it is removed, or "
            ".fails_without(assumption, removed=the line without it)."
        )
    chain = lines(derivation)
    reasons = [f"{line.number}. {_reason(line.because, line.note)}" for line in chain if line.number]
    notes = [f"- {note}" for note in [*_checks(chain), *_without(derivation, _inline, brief=True), *_computed(derivation, "`{}`")]]
    replaced = _without(derivation, _inline, brief=True, replaced=True)
    head = [f"**{derivation.title}** \\[{derivation.tag}\\]"]
    more = [*_sources(derivation), *replaced, *_equals_too(derivation, _inline)]
    if more:
        opens = f"sources{', other forms' * bool(derivation.alternatives or replaced)}"
        notes.append(f"- <details><summary>{opens}</summary>{'<br>'.join(more)}</details>")
    return "\n\n".join("\n".join(part) for part in (head, [block(chain)], reasons, notes) if part)


class Summary:
    """First and last line of some derivations, each checked when it was derived: the formulas to take home, without typing them again."""

    def __init__(self, title: str, derivations: tuple) -> None:
        self.title, self.derivations = title, derivations

    def _repr_markdown_(self) -> str:
        rows = [rf"{latex(d.start)} &= {latex(d.last)} && \text{{[{d.tag}]}}" for d in self.derivations]
        body = " \\\\[10pt]\n".join(rows)
        return f"## {self.title}\n\n$$\n\\begin{{aligned}}\n{body}\n\\end{{aligned}}\n$$"

    def __repr__(self) -> str:
        return "\n".join([self.title, *(f"  {text(d.start)} = {text(d.last)}    [{d.tag}]" for d in self.derivations)])


def summary(title: str, *derivations) -> Summary:
    """The results of `derivations`, each as one line, start = end. Chains with another relation have no such line and are refused."""
    for d in derivations:
        if not d.steps or any(step.relation != "=" for step in d.steps):
            raise ValueError(f"[{d.tag}] {d.title} has no result of the form start = end: it needs steps, all of them equalities.")
    return Summary(title, derivations)


def plain_text(derivation) -> str:
    """The whole chain for a terminal."""
    chain = lines(derivation)
    rows = [f"  {line.text}" + (f"    ({line.number})" if line.number else "") for line in chain]
    reasons = [f"  ({line.number}) {_reason(line.because, line.note_text)}" for line in chain if line.number]
    notes = [f"  {note}" for note in [*_checks(chain), *_without(derivation, text), *_equals_too(derivation, text), *_computed(derivation, "{}")]]
    still = [f"  Not yet shown to be needed: “{a.statement}” ({a.source})" for a in derivation.open_assumptions]
    source = [f"  Source: {derivation.source}"] if derivation.source else []
    return "\n".join([f"{derivation.title} [{derivation.tag}]", *rows, *reasons, *notes, *still, *source])


def refusal(derivation, verdict, left: sp.Basic, right: sp.Basic | str, head: str) -> str:
    """Why a line is not shown: the step, the smallest world that speaks against it, both lines and both values."""
    shown = right if isinstance(right, str) else text(right)
    if verdict.world is None:
        return (
            f"{head}: {verdict.how}.\n  {text(left)}\n  {shown}\n"
            "Undecided is not shown as holding. Write a step in between, or let the numbers decide (leave `worlds` out)."
        )
    parts = [p for p in (left, right) if isinstance(p, sp.Basic)]
    where = f"in the world {verdict.world.describe(*unknowns(parts, derivation._lookup()))}"
    if verdict.reason:
        says = f"{where}\n  the line before:  {text(left)}\n  this line:        {shown}\n  {verdict.reason}\n"
    else:
        says = (
            f"{where}\n  the line before:  {text(left)}  is {float(verdict.left):.6g}\n  this line:        {shown}  is {float(verdict.right):.6g}\n"
            f"  difference:       {float(verdict.left - verdict.right):.3g}\n"
        )
    if verdict.weak:
        return f"{head} says less than holds\n{says}"
    if verdict.holds is None:
        return f"{head} cannot be decided\n{says}The difference is between “none” and “refuted”, or a value is not finite."
    return f"{head} does not hold\n{says}Of the worlds tried this is the simplest in which it breaks: look for the factor, sign or symbol behind it."


def _inline(expr: sp.Basic) -> str:
    return f"${latex(expr)}$"


def _reason(because: str, note: str) -> str:
    return f"{because} ({note})" if note else because


def _checks(chain: list[Line]) -> list[str]:
    """How the steps were checked; steps that were checked alike share a line."""
    ways: dict[str, list[str]] = {}
    for line in chain:
        if line.number:
            ways.setdefault(line.how, []).append(f"({line.number})")
    return [f"✓ {', '.join(numbers)} {how}" for how, numbers in ways.items()]


def _without(derivation, show: Callable[[sp.Basic], str], brief: bool = False, replaced: bool = False) -> list[str]:
    """What fails without which assumption. brief: no sources, long worlds folded, and only where a line is replaced, or only where none is."""
    notes = []
    for r in derivation.removed:
        if brief and (r.instead is not None) != replaced:
            continue
        sourced = f" ({r.source})" if r.source and not brief else ""
        instead = f", with {show(r.instead)} in its place," if r.instead is not None else ""
        values = f"gives {short(r.left)} before it and {short(r.right)} after."
        where = f"this world {values} {folded(r.world)}" if brief and len(r.world) > LONG else f"{r.world} {values}"
        notes.append(f"Without “{r.assumption}”{sourced} step {r.number}{instead} fails: {where}")
    return notes


def _sources(derivation) -> list[str]:
    assumed = dict.fromkeys(f"“{r.assumption}”: {r.source}" for r in derivation.removed if r.source)
    return [*([f"Source: {derivation.source}"] if derivation.source else []), *assumed]


def _equals_too(derivation, show: Callable[[sp.Basic], str]) -> list[str]:
    return [f"✓ Step {a.number} equals {show(a.expr)} too, by [{a.tag}] {a.title}" for a in derivation.alternatives]


def _computed(derivation, code: str) -> list[str]:
    return [f"✓ Computed by {code.format(b.name.removeprefix('rlcourse.'))}: {b.how}" for b in derivation.bindings]


LONG = 90      # characters; a longer description of a world is folded


def folded(world: str) -> str:
    """A long description of a world behind a line that opens; in a table's cell or a list, `|` does not break it."""
    return f"<details><summary>in which world</summary>{world.replace('|', '&#124;')}</details>" if len(world) > LONG else world


def short(value: float) -> str:
    """A value in a counterexample: four decimals, or six digits of a large one."""
    return f"{round(float(value), 4) + 0.0:.4f}" if abs(value) < 100 else f"{float(value):.6g}"
