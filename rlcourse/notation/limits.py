"""left → right as a variable goes to a number or to infinity, decided by numbers: both lines are evaluated ever closer to the limit, and what is
left of the difference is extrapolated.

The extrapolation is Wynn's epsilon algorithm (Wynn 1956, "On a device for computing the e_m(S_n) transformation", MTAC 10): exact for sums of
geometric sequences, and a gap c₁x + c₂x² + ... at x = ½, ⅛, 1/32, ... is such a sum. It cannot tell a limit from a very slow drift such as
1/log x; those stay undecided or are refused.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import sympy as sp

from rlcourse.notation.pens import LatexPen, text
from rlcourse.notation.verdict import GREY, Trial, Verdict, power_of_ten

RATIO, POINTS, FIRST = 4.0, 8, 0.5      # distances ½, ⅛, ..., 3e-5 from the limit; for infinity their reciprocals
NOISE = 1e-9                            # gaps below it are rounding
STALLS = 0.75                           # a gap that keeps more than this share over half of the points is not going to 0
SHARP = 0.15                            # how near the observed order has to be to the stated one


@dataclass(frozen=True)
class Limit:
    """left → right as `variable` → `to`; the gap is O(distance^rate), if a rate is given. `along`: values of the variable, towards the limit."""

    variable: sp.Symbol
    to: sp.Basic
    rate: float | None = None
    along: tuple[float, ...] = ()
    name: ClassVar[str] = "→"

    def sign(self, pen: LatexPen) -> str:
        """An arrow with what goes where above it."""
        where = pen.of(self.variable), pen.of(self.to)
        return rf"\xrightarrow{{{where[0]} \to {where[1]}}}" if type(pen) is LatexPen else f"→ ({where[0]} → {where[1].replace('oo', '∞')})"

    def note(self, show) -> str:
        """The rate in words."""
        if self.rate is None:
            return ""
        below = self.to.is_number and self.to >= getattr(self.variable, "high", math.inf)
        finite = self.to - self.variable if below else self.variable - self.to if self.to else self.variable
        distance = 1 / self.variable if self.to == sp.oo else finite
        return f"the difference falls like {show(distance if self.rate == 1 else distance ** sp.nsimplify(self.rate))}"

    def verdict(self, left: sp.Basic, right: sp.Basic, trial: Trial) -> Verdict:
        """In every world, from every side: the gap shrinks and extrapolates to 0; the observed order is the stated one."""
        if isinstance(trial.worlds, str):
            raise ValueError(f"A limit is decided by numbers, not by worlds={trial.worlds!r}. Leave `worlds` out.")
        undecided, orders, equal, last = None, [], True, None
        for world in trial.on(left, right):
            for values in self._approaches(float(trial.value(self.to, world)) if self.to.is_finite else math.inf):
                copies = [world.fixed(**{self.variable.name: x}) for x in values]
                pairs = [(trial.value(left, w), trial.value(right, w)) for w in copies]
                gaps = [(a - b) / max(1.0, abs(b)) for a, b in pairs]
                holds, says = tends_to_zero(gaps, trial.tolerance)
                last = (copies[-1], *pairs[-1])
                order = self._order(values, gaps, float(trial.value(self.to, world)) if self.to.is_finite else math.inf)
                if holds and self.rate is not None and order is not None and order < self.rate - SHARP:
                    holds, says = False, f"the difference falls with order {order:.2f}, not {self.rate:g}"
                if holds is False or (holds is None and undecided is None):
                    undecided = Verdict(holds, "", abs(gaps[-1]), *last, reason=f"at {text(self.variable)} = {values[-1]:.3g}, {says}")
                if holds is False:
                    return undecided
                orders += [order] if order is not None else []
                equal = equal and max(map(abs, gaps)) <= NOISE
        return undecided or self._held(left, right, trial, orders, equal, last)

    def _held(self, left: sp.Basic, right: sp.Basic, trial: Trial, orders: list[float], equal: bool, last: tuple) -> Verdict:
        if equal:
            return Verdict(False, "", 0.0, *last, reason="the two lines are equal all along the way: this is an equality, use .step", weak=True)
        if self.rate is not None and not any(abs(order - self.rate) <= SHARP for order in orders):
            fastest = f"the lowest order observed is {min(orders):.2f}" if orders else "no order could be observed"
            return Verdict(False, "", 0.0, *last, reason=f"{fastest}, and the step says {self.rate:g}: state the order that is attained", weak=True)
        way = self._approaches(0.0 if self.to.is_finite else math.inf)[0]
        steps = f"{text(self.variable)} ever closer to {text(self.to).replace('oo', '∞')}" + ("" if not self.along else f", {len(way)} values")
        order = "" if self.rate is None else f", observed order {min(orders):.1f}"
        rest = f"what is left extrapolates to 0 within {power_of_ten(trial.tolerance)}"
        return Verdict(True, f"{trial.words(left, right)}, {steps}: {rest}{order}", 0.0)

    def _approaches(self, to: float) -> list[Sequence[float]]:
        """Values that go to the limit: from every side on which the variable has values."""
        if self.along:
            return [self.along]
        distances = [FIRST / RATIO**k for k in range(POINTS)]
        if math.isinf(to):
            return [[1 / d for d in distances]]
        low, high = getattr(self.variable, "low", -math.inf), getattr(self.variable, "high", math.inf)
        sides = ([1] if to < high else []) + ([-1] if to > low else [])
        return [[to + side * d for d in distances] for side in sides]

    @staticmethod
    def _order(values: Sequence[float], gaps: list[float], to: float) -> float | None:
        """log(gap ratio)/log(distance ratio) at the last pair of points where the gap is above the noise."""
        distances = [1 / abs(x) if math.isinf(to) else abs(x - to) for x in values]
        seen = [k for k in range(len(gaps) - 1) if min(abs(gaps[k]), abs(gaps[k + 1])) > NOISE]
        return math.log(abs(gaps[seen[-1]] / gaps[seen[-1] + 1])) / math.log(distances[seen[-1]] / distances[seen[-1] + 1]) if seen else None


def limit(variable: sp.Symbol, to: object, rate: float | None, along: Sequence[float]) -> Limit:
    """The relation of `.tends_to`. Raises ValueError for fewer than five values along the way, or a limit at minus infinity."""
    to = sp.sympify(to)
    if to == -sp.oo:
        raise ValueError("Limits are tried towards a number or +∞. For −∞ write the limit of −x.")
    if 0 < len(along) < 5:
        raise ValueError(f"along= needs at least five values, towards the limit, so that the rest can be extrapolated; it has {len(along)}.")
    return Limit(variable, to, rate, tuple(map(float, along)))


def tends_to_zero(gaps: Sequence[float], tolerance: float) -> tuple[bool | None, str]:
    """Does the sequence go to 0? True, False or undecided, and a sentence.

    True: it is below the tolerance already, or it shrinks and its extrapolation is, twice in a row. False: it stalls, grows, or extrapolates
    to something else.
    """
    if not all(map(math.isfinite, gaps)):
        return None, "a value is not finite: write the line so that it does not overflow, or stay farther away with along="
    last, middle = abs(gaps[-1]), abs(gaps[(len(gaps) - 1) // 2])
    if last <= tolerance:
        return True, ""
    rest, doubt = extrapolated(gaps)
    shrinks = last < STALLS * middle
    says = f"the difference is still {gaps[-1]:.3g} and extrapolates to {rest:.3g}"
    if shrinks and max(abs(rest), doubt) <= tolerance:
        return True, ""
    if last > GREY * tolerance and not shrinks:
        return False, f"the difference is still {gaps[-1]:.3g} and does not shrink"
    if abs(rest) > GREY * tolerance and doubt < abs(rest) / 10:
        return False, says
    return None, f"{says}, give or take {doubt:.1g}"


def extrapolated(sequence: Sequence[float]) -> tuple[float, float]:
    """The limit of a sequence and how far the last two estimates are apart (Wynn's epsilon algorithm, the most self-consistent even column)."""
    before, column = [0.0] * (len(sequence) + 1), list(sequence)
    best = (column[-1], abs(column[-1] - column[-2]))
    for order in range(1, len(sequence)):
        differences = [b - a for a, b in pairwise(column)]
        if min(map(abs, differences), default=0.0) < 1e-300:
            break
        before, column = column, [kept + 1 / d for kept, d in zip(before[1:], differences)]
        if order % 2 == 0 and len(column) > 1 and abs(column[-1] - column[-2]) < best[1]:
            best = (column[-1], abs(column[-1] - column[-2]))
    return best
