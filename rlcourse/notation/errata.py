"""Where a source text is wrong: the printed form and the corrected form, both evaluated, side by side with the truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from rlcourse.notation.definitions import defined_key
from rlcourse.notation.evaluate import evaluate
from rlcourse.notation.pens import latex, text
from rlcourse.notation.rendering import LONG, folded, short
from rlcourse.notation.verdict import GREY, refuse_misspelt, resolve, unknowns

FORMS = ("as printed ✗", "corrected ✓", "should be")


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
    where: tuple[tuple[sp.Basic, sp.Basic], ...] = ()

    def _repr_markdown_(self) -> str:
        brief = all(len(world) <= LONG // 2 for world, *_ in self.rows)
        heads = [world.replace("|", "&#124;") if brief else f"world {i}" for i, (world, *_) in enumerate(self.rows, start=1)]
        table = [f"| | | {' | '.join(heads)} |", "|---|---|" + "---:|" * len(heads)]
        for column, (name, form) in enumerate(zip(FORMS, (self.printed, self.correct, self.truth)), start=1):
            table.append(f"| {name} | ${latex(form)}$ | {' | '.join(short(row[column]) for row in self.rows)} |")
        worlds = [] if brief else ["\n".join(f"{i}. {folded(world)}" for i, (world, *_) in enumerate(self.rows, start=1))]
        meant = ", ".join(f"${latex(left)} := {latex(right)}$" for left, right in self.where)
        below = [f"where {meant}"] * bool(meant) + [self.why] * bool(self.why)
        return "\n\n".join([f"**{self.tag}.** Claim: {self.claim}.", "\n".join(table), *below, *worlds])

    def __repr__(self) -> str:
        forms = {"as printed": self.printed, "corrected": self.correct, "should be": self.truth}
        head = [f"{self.tag}. Claim: {self.claim}.", *(f"  {name:<12}{text(form)}" for name, form in forms.items())]
        values = [f"  {world}: printed {short(a)}, corrected {short(b)}, should be {short(c)}" for world, a, b, c in self.rows]
        meant = [f"  where {text(left)} := {text(right)}" for left, right in self.where]
        return "\n".join(head + meant + values + ([self.why] if self.why else []))


def erratum(tag: str, claim: str, printed: object, correct: object, truth: object, worlds: Sequence[object] | int = 2, why: str = "",
            where: Sequence[tuple[object, object]] = ()) -> Erratum:
    """Shows a printed formula failing and the corrected one holding, against `truth`, in each of a few worlds.

    tag: an equation number or a short name. claim: in words, what the formula is supposed to be ("the density of a integrates to 1").
    why: where it is printed, and why the slip is natural. where: definitions (left, right), so that long formulas stay short.
    Raises ValueError if the correction is not right everywhere, or if the printed form is right everywhere: then there is no erratum.
    """
    tolerance, lookup = 1e-9, {defined_key(left): (left.args, sp.sympify(right)) for left, right in where}
    forms = printed, correct, truth = tuple(map(sp.sympify, (printed, correct, truth)))
    rows = []
    for world in refuse_misspelt(resolve(worlds, forms, lookup), list(forms), lookup):
        rows.append((world.describe(*unknowns(forms, lookup)), *(evaluate(e, world, lookup) for e in forms)))
    for world, _, b, c in rows:
        if not abs(b - c) <= tolerance * max(1.0, abs(c)):
            raise ValueError(f"{tag}: the corrected form is not right either: {text(correct)} = {b:.6g}, but {text(truth)} = {c:.6g} for {world}.")
    if all(abs(a - c) <= GREY * tolerance * max(1.0, abs(c)) for _, a, _, c in rows):
        raise ValueError(f"{tag}: the printed form {text(printed)} equals {text(truth)} in all {len(rows)} worlds: nothing here shows it wrong.")
    return Erratum(tag, claim, printed, correct, truth, tuple(rows), why, tuple((left, sp.sympify(right)) for left, right in where))
