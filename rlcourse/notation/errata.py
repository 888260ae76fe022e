"""Where a source text is wrong: the printed form and the corrected form, both evaluated, side by side with the truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from rlcourse.notation.evaluate import evaluate
from rlcourse.notation.pens import latex, text
from rlcourse.notation.verdict import GREY, refuse_misspelt, resolve, unknowns


@dataclass(frozen=True, repr=False)
class Erratum:
    """One correction. rows: (world, as printed, corrected, should be) as numbers for each world."""

    tag: str
    claim: str
    printed: sp.Basic
    correct: sp.Basic
    truth: sp.Basic
    rows: tuple[tuple[str, float, float, float], ...]
    why: str = ""

    def _repr_markdown_(self) -> str:
        table = ["| | as printed ✗ | corrected ✓ | should be |", "|---|---|---|---|"]
        table.append(f"| | ${latex(self.printed)}$ | ${latex(self.correct)}$ | ${latex(self.truth)}$ |")
        table += [f"| {world.replace('|', chr(92) + '|')} | {_short(a)} | {_short(b)} | {_short(c)} |" for world, a, b, c in self.rows]
        return f"**{self.tag}.** Claim: {self.claim}.\n\n" + "\n".join(table) + (f"\n\n{self.why}" if self.why else "")

    def __repr__(self) -> str:
        forms = {"as printed": self.printed, "corrected": self.correct, "should be": self.truth}
        head = [f"{self.tag}. Claim: {self.claim}.", *(f"  {name:<12}{text(form)}" for name, form in forms.items())]
        values = [f"  {world}: printed {_short(a)}, corrected {_short(b)}, should be {_short(c)}" for world, a, b, c in self.rows]
        return "\n".join(head + values + ([self.why] if self.why else []))


def erratum(tag: str, claim: str, printed: object, correct: object, truth: object, worlds: Sequence[object] | int = 2, why: str = "") -> Erratum:
    """Shows a printed formula failing and the corrected one holding, against `truth`, in each of a few worlds.

    tag: an equation number or a short name. claim: in words, what the formula is supposed to be ("the density of a integrates to 1").
    why: where it is printed, and why the slip is natural.
    Raises ValueError if the correction is not right everywhere, or if the printed form is right everywhere: then there is no erratum.
    """
    tolerance = 1e-9
    printed, correct, truth = map(sp.sympify, (printed, correct, truth))
    rows = []
    for world in refuse_misspelt(resolve(worlds, [printed, correct, truth]), [printed, correct, truth], {}):
        values = [evaluate(e, world) for e in (printed, correct, truth)]
        rows.append((world.describe(*unknowns([printed, correct, truth], {})), *values))
    for world, _, b, c in rows:
        if not abs(b - c) <= tolerance * max(1.0, abs(c)):
            raise ValueError(f"{tag}: the corrected form is not right either: {text(correct)} = {b:.6g}, but {text(truth)} = {c:.6g} for {world}.")
    if all(abs(a - c) <= GREY * tolerance * max(1.0, abs(c)) for _, a, _, c in rows):
        raise ValueError(f"{tag}: the printed form {text(printed)} equals {text(truth)} in all {len(rows)} worlds: nothing here shows it wrong.")
    return Erratum(tag, claim, printed, correct, truth, tuple(rows), why)


def _short(value: float) -> str:
    return f"{round(value, 4) + 0.0:.4f}"
