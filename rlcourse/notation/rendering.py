"""How a derivation looks: one aligned LaTeX block with numbered reasons below it, or the same as text. Every run gives the same characters."""

from dataclasses import dataclass

from rlcourse.notation.pens import latex, text
from rlcourse.notation.verdict import RELATIONS


@dataclass(frozen=True)
class Line:
    """One line of the chain. `kind` is "definition", "start" or "step"; only steps have a number, a reason and a check."""

    kind: str
    latex: str
    text: str
    number: int = 0
    because: str = ""
    how: str = ""


def lines(derivation) -> list[Line]:
    """Definitions first, then the start, then the steps."""
    made = [Line("definition", f"{latex(left)} := {{}}& {latex(right)}", f"{text(left)} := {text(right)}") for left, right in derivation.definitions]
    made.append(Line("start", f"& {latex(derivation.start)}", f"  {text(derivation.start)}"))
    for number, step in enumerate(derivation.steps, start=1):
        sign = RELATIONS[step.relation]
        shown = f"{'=' if step.relation == '=' else '≤'} {text(step.expr)}"
        made.append(Line("step", f"{sign} {{}}& {latex(step.expr)}", shown, number, step.because, step.how))
    return made


def markdown(derivation) -> str:
    """The whole chain for the notebook."""
    chain = lines(derivation)
    rows = [line.latex + (rf" && \quad ({line.number})" if line.number else "") for line in chain]
    formula = "\n".join(["$$", r"\begin{aligned}", " \\\\[4pt]\n".join(rows), r"\end{aligned}", "$$"])
    reasons = [f"{line.number}. {line.because}" for line in chain if line.number]
    notes = [f"- {note}" for note in [*_checks(chain), *_notes(derivation, "`{}`")]]
    return "\n\n".join(["\n".join(part) for part in ([f"**{derivation.title}** \\[{derivation.tag}\\]"], [formula], reasons, notes) if part])


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
    """The results of `derivations`, each as one line, start = end. Chains with an inequality have no such line and are refused."""
    for d in derivations:
        if not d.steps or any(step.relation != "=" for step in d.steps):
            raise ValueError(f"[{d.tag}] {d.title} has no result of the form start = end: it needs steps, all of them equalities.")
    return Summary(title, derivations)


def plain_text(derivation) -> str:
    """The whole chain for a terminal."""
    chain = lines(derivation)
    rows = [f"  {line.text}" + (f"    ({line.number})" if line.number else "") for line in chain]
    reasons = [f"  ({line.number}) {line.because}" for line in chain if line.number]
    notes = [f"  {note}" for note in [*_checks(chain), *_notes(derivation, "{}")]]
    return "\n".join([f"{derivation.title} [{derivation.tag}]", *rows, *reasons, *notes])


def _checks(chain: list[Line]) -> list[str]:
    """How the steps were checked; steps that were checked alike share a line."""
    ways: dict[str, list[str]] = {}
    for line in chain:
        if line.number:
            ways.setdefault(line.how, []).append(f"({line.number})")
    return [f"✓ {', '.join(numbers)} {how}" for how, numbers in ways.items()]


def _notes(derivation, code: str) -> list[str]:
    without = [
        f"Without “{r.assumption}” step {r.number} fails: {r.world} gives {_short(r.left)} before it and {_short(r.right)} after."
        for r in derivation.removed
    ]
    return without + [f"✓ The last line is computed by {code.format(b.name)}: {b.how}" for b in derivation.bindings]


def _short(value: float) -> str:
    return f"{round(value, 4) + 0.0:.4f}"
