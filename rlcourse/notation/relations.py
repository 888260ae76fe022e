"""How a line may stand to the line before: =, ≤, ≥, = up to a named constant or factor, = to first order. Limits have a file of their own.

Every relation has `name`, `sign(pen)` between the lines, `note(show)` in words (`show` prints an expression), and
`verdict(left, right, trial)`, which tries it. A relation that is true but says less than the numbers do is refused too.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import sympy as sp

from rlcourse.notation.evaluate import OFFSETS, SLOPES
from rlcourse.notation.pens import LatexPen, text
from rlcourse.notation.unknowns import name_of, unfolded, unknowns
from rlcourse.notation.verdict import Trial, Verdict, excess, in_fractions, in_numbers
from rlcourse.notation.worlds import symbolically_equal
from rlcourse.notation.written import WrittenAdd, WrittenMul

Show = Callable[[sp.Basic], str]
AWAY = (0.25, -0.25)    # where two lines that agree to first order have to differ
WEAK = 3                # from so many worlds on, "equal in all of them" says that a weaker relation was claimed


@dataclass(frozen=True)
class Equal:
    """left = right."""

    name: ClassVar[str] = "="

    def sign(self, pen: LatexPen) -> str:
        """The sign between the lines."""
        return "="

    def note(self, show: Show) -> str:
        """An equality needs no words."""
        return ""

    def verdict(self, left: sp.Basic, right: sp.Basic, trial: Trial) -> Verdict:
        """Equal in every world; with worlds="symbolic" sympy has to reduce the difference to 0 as well; with "rational" it is 0 in fractions."""
        if trial.worlds == "rational":
            return in_fractions(left, right, trial)
        found = in_numbers(left, right, trial)
        if trial.worlds != "symbolic":
            return replace(found, how=f"{trial.words(left, right)}, {trial.within}")
        if not found.holds:
            return found
        decided = symbolically_equal(left, right) or None
        how = "symbolic: sympy reduces the difference to 0" if decided else "the numbers agree, but sympy cannot reduce the difference to 0"
        return replace(found, holds=decided, how=how)


@dataclass(frozen=True)
class Ordered:
    """left ≤ right, or left ≥ right. `tight`: worlds in which the two are said to be equal, so that a looser bound fails; `attained`: worlds
    in which they were found to be, which a version of the step has to keep."""

    name: str = "<="
    tight: tuple[object, ...] = ()
    attained: tuple[object, ...] = ()

    def sign(self, pen: LatexPen) -> str:
        """The sign between the lines."""
        return pen.sign(self.name).strip()

    def note(self, show: Show) -> str:
        """An inequality needs no words."""
        return ""

    def verdict(self, left: sp.Basic, right: sp.Basic, trial: Trial) -> Verdict:
        """Ordered in every world, and equal in the tight ones."""
        _numbers_only(self.name, trial)
        found = in_numbers(left, right, trial, self.name)
        if not found.holds:
            return found
        tight = in_numbers(left, right, trial, worlds=self.tight + self.attained)
        if not tight.holds:
            return replace(tight, reason=f"the bound should be attained there, and the two sides are {tight.left:.6g} and {tight.right:.6g}")
        worlds = trial.on(left, right)
        attained = tuple(w for w in worlds if trial.judge(excess(trial.value(left, w), trial.value(right, w))))
        if len(attained) == len(worlds) >= WEAK:
            return _weak(worlds[0], left, right, trial, f"the two sides are equal in all {len(worlds)} worlds: that is an equality, relation=\"=\"")
        where = self._how(len(attained), unknowns((left, right), trial.definitions))
        return replace(found, how=f"{trial.words(left, right)}, {where}", attained=attained)

    def _how(self, attained: int, open_names: tuple) -> str:
        never = "never larger" if self.name == "<=" else "never smaller"
        if self.tight:
            return f"{never}, and equal in the world {self.tight[0].describe(*open_names)}"
        return f"{never}, equal in {attained} of them" if attained else f"{never} and never equal"


@dataclass(frozen=True)
class UpTo:
    """left = right + constant, or left = right · constant if `factor`; the constant does not depend on what is named in `free_of`."""

    constant: sp.Basic
    free_of: tuple[str, ...]
    factor: bool = False

    @property
    def name(self) -> str:
        """∝ for a factor, ≐ for a summand."""
        return "∝" if self.factor else "≐"

    def sign(self, pen: LatexPen) -> str:
        """The sign between the lines."""
        return {"∝": r"\propto", "≐": r"\doteq"}[self.name] if type(pen) is LatexPen else self.name

    def note(self, show: Show) -> str:
        """Equal up to the constant ln Z, which does not depend on π."""
        what = f"proportional, with the factor {show(self.constant)}" if self.factor else f"equal up to the constant {show(self.constant)}"
        return f"{what}, which does not depend on {' and '.join(show(sp.Symbol(n)) for n in self.free_of)}"

    def completed(self, right: sp.Basic) -> sp.Basic:
        """The right-hand side with the constant put back."""
        return (WrittenMul if self.factor else WrittenAdd)(right, self.constant)

    def verdict(self, left: sp.Basic, right: sp.Basic, trial: Trial) -> Verdict:
        """Equal in every world once the constant is put back, and the constant stays when only what it is free of is drawn anew."""
        _numbers_only(self.name, trial)
        full = self.completed(right)
        found = in_numbers(left, full, trial)
        if not found.holds:
            put = f"with the constant, {text(full)} is {found.right:.6g}, and the line before is {found.left:.6g}"
            return replace(found, reason=put)
        if moved := self._moves(left, right, trial):
            return moved
        worlds, neutral = trial.on(left, full), 1 if self.factor else 0
        if all(trial.judge(excess(trial.value(self.constant, w), neutral)) for w in worlds):
            return _weak(worlds[0], left, right, trial, f"the constant is {neutral} in every world: this is an equality, use .step")
        kept = f"the constant stays when {' or '.join(text(sp.Symbol(n)) for n in self.free_of)} is drawn anew"
        return replace(found, how=f"{trial.words(left, full)}, {trial.within}; {kept}")

    def _moves(self, left: sp.Basic, right: sp.Basic, trial: Trial) -> Verdict | None:
        """A verdict against the step if the constant depends on a name, or nothing in the step does."""
        worlds = trial.on(left, self.completed(right))
        for name in self.free_of:
            for world in worlds:
                here, there = (trial.value(self.constant, w) for w in (world, world.vary(name)))
                judged, size = trial.judge(excess(here, there)), excess(here, there)
                if not judged:
                    what = f"the constant {text(self.constant)} depends on {text(sp.Symbol(name))}"
                    says = f"{what}: {here:.6g} here, {there:.6g} with only it drawn anew"
                    return Verdict(judged, "", size, world, here, there, reason=says)
            if all(trial.judge(excess(trial.value(right, w), trial.value(right, w.vary(name)))) for w in worlds):
                says = f"the line itself does not depend on {text(sp.Symbol(name))}, so to say that the constant does not is empty"
                return _weak(worlds[0], left, right, trial, says)
        return None


@dataclass(frozen=True)
class FirstOrder:
    """left and right agree in value and in the derivative by `variable` at `variable` = `at`, and differ away from it."""

    variable: sp.Symbol
    at: sp.Basic
    name: ClassVar[str] = "first order"

    def sign(self, pen: LatexPen) -> str:
        """The sign between the lines: ≈ with a 1 above it."""
        return r"\overset{1}{\approx}" if type(pen) is LatexPen else "≈₁"

    def note(self, show: Show) -> str:
        """Equal to first order, in words."""
        return f"equal to first order: in value and in the derivative by {show(self.variable)} at {show(self.variable)} = {show(self.at)}"

    def verdict(self, left: sp.Basic, right: sp.Basic, trial: Trial) -> Verdict:
        """Values and slopes agree at the point in every world; somewhere the two differ a quarter away from it."""
        _numbers_only(self.name, trial)
        worlds, undecided = trial.on(left, right, self.at), None
        for world in worlds:
            for what, a, b in self._compared(left, right, trial, world):
                judged = trial.judge(excess(a, b))
                if judged is not True and (undecided is None or judged is False):
                    says = f"at {text(self.variable)} = {text(self.at)} the {what} of the line before is {a:.6g}, of this line {b:.6g}"
                    undecided = Verdict(judged, "", excess(a, b), self._moved(world, 0.0, trial), a, b, reason=says)
                if judged is False:
                    return undecided
        return undecided or self._differ(left, right, trial, worlds)

    def _moved(self, world: object, by: float, trial: Trial) -> object:
        return world.fixed(**{self.variable.name: float(trial.value(self.at, world)) + by})

    def _compared(self, left: sp.Basic, right: sp.Basic, trial: Trial, world: object) -> list[tuple[str, float, float]]:
        here = self._moved(world, 0.0, trial)
        around = [self._moved(world, offset, trial) for offset in OFFSETS]
        slopes = [float(SLOPES @ [float(trial.value(side, w)) for w in around]) for side in (left, right)]
        return [("value", trial.value(left, here), trial.value(right, here)), ("slope", *slopes)]

    def _differ(self, left: sp.Basic, right: sp.Basic, trial: Trial, worlds: tuple) -> Verdict:
        """Holds, with the first place at which the lines differ; weak if there is none."""
        for world in worlds:
            for by in AWAY:
                away = self._moved(world, by, trial)
                a, b = trial.value(left, away), trial.value(right, away)
                if trial.judge(excess(a, b)) is False:
                    point = f"{text(self.variable)} = {away.value(self.variable):.4g}"
                    how = f"{trial.words(left, right)}: value and slope agree, {trial.within}; they differ at {point} ({a:.4g} and {b:.4g})"
                    return Verdict(True, how, 0.0)
        return _weak(worlds[0], left, right, trial, "the two lines are equal away from the point as well: this is an equality, use .step")


def by_name(relation: str, tight: object = ()) -> Equal | Ordered:
    """The relation that `.step(relation=...)` names."""
    worlds = tuple(tight) if isinstance(tight, tuple | list) else (tight,)
    if relation == "=" and not worlds:
        return Equal()
    if relation in ("<=", ">="):
        return Ordered(relation, worlds)
    if relation == "=":
        raise ValueError("tight= names the worlds in which an inequality is attained; an equality is attained in all of them. Leave it out.")
    raise ValueError(
        f"relation={relation!r} is not one that can be checked. Choose '=', '<=' or '>='; "
        "for the others there are .up_to(...), .first_order(...) and .tends_to(...)."
    )


def up_to(constant: object, factor: object, free_of: object) -> UpTo:
    """The relation of `.up_to`. Raises ValueError unless exactly one of constant and factor is given, and something it is free of."""
    if (constant is None) == (factor is None):
        raise ValueError("Name the constant: either constant=... (the line before is this line plus it) or factor=... (times it).")
    names = tuple(name_of(thing) for thing in (free_of if isinstance(free_of, tuple | list) else (free_of,)))
    if not names:
        raise ValueError("A constant is constant with respect to something: say to what, free_of=pi, or several as a tuple.")
    return UpTo(sp.sympify(factor if constant is None else constant), names, constant is None)


def refuse_unknown(variable: sp.Symbol, parts: tuple[sp.Basic, ...], trial: Trial) -> None:
    """Raises ValueError unless the variable occurs in the lines."""
    if not isinstance(variable, sp.Symbol) or variable not in unfolded(parts, trial.definitions):
        raise ValueError(f"{variable!s} does not occur in the two lines, so nothing can be said about how they depend on it.")


def _numbers_only(name: str, trial: Trial) -> None:
    if isinstance(trial.worlds, str):
        raise ValueError(f'worlds="{trial.worlds}" decides equalities only, and this step says {name!r}. Leave `worlds` out: numbers decide it.')


def _weak(world: object, left: sp.Basic, right: sp.Basic, trial: Trial, reason: str) -> Verdict:
    return Verdict(False, "", 0.0, world, trial.value(left, world), trial.value(right, world), reason=reason, weak=True)
