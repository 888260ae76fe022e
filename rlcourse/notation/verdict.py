"""Does one line follow from the line before? Three answers: it holds, it fails, or it is undecided; undecided is never shown as holding."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import sympy as sp

from rlcourse.notation import exact, families
from rlcourse.notation.evaluate import Definitions, evaluate
from rlcourse.notation.expressions import D, Distribution, E, H, Integral, JacobianDet, P, Partial
from rlcourse.notation.mdp_worlds import FiniteWorld
from rlcourse.notation.pens import text
from rlcourse.notation.unknowns import refuse_misspelt, unfolded, unknowns

__all__ = [
    "GREY", "Trial", "Verdict", "Worlds", "excess", "in_fractions", "in_numbers", "power_of_ten", "refuse_misspelt", "resolve",
    "unfolded", "unknowns",
]

GREY = 1000     # a difference between the tolerance and 1000 times the tolerance decides nothing
Worlds = int | str | Sequence[object]


@dataclass(frozen=True)
class Verdict:
    """holds is True, False or None (undecided). `world`, `left`, `right` belong to the first world that speaks against the step.

    reason: a sentence, where two values alone do not say what is wrong. weak: the claim is true but says less than the numbers do
    (an inequality between equals), which is refused as well. attained: the worlds in which an inequality is an equality.
    """

    holds: bool | None
    how: str
    largest_difference: float
    world: object = None
    left: float = math.nan
    right: float = math.nan
    reason: str = ""
    weak: bool = False
    attained: tuple[object, ...] = ()


@dataclass(frozen=True)
class Trial:
    """How a step is tried: on which worlds, with which definitions, and the largest difference that counts as none."""

    worlds: Worlds = 20
    definitions: Definitions = field(default_factory=dict)
    tolerance: float = 1e-9

    def on(self, *parts: sp.Basic) -> Sequence[object]:
        """The worlds on which these expressions are tried."""
        return resolve(self.worlds, parts, self.definitions)

    def value(self, expr: sp.Basic, world: object) -> float:
        """What an expression is worth in a world."""
        return evaluate(expr, world, self.definitions)

    def judge(self, size: float) -> bool | None:
        """True: none. False: a difference. None: too close to call, or not a number."""
        return True if size <= self.tolerance else (False if size > GREY * self.tolerance else None)

    def words(self, *parts: sp.Basic) -> str:
        """How and where it was tried, in words: by quadrature on 20 random Gaussians and functions Q."""
        worlds, nodes = self.on(*parts), unfolded(parts, self.definitions)
        count = f"{len(worlds)} chosen" if isinstance(self.worlds, tuple | list) else f"{self.worlds if isinstance(self.worlds, int) else 20} random"
        if kind := getattr(worlds[0], "instances", None):
            method = worlds[0].method(nodes) if callable(worlds[0].method) else worlds[0].method      # words, or made from the nodes
            return f"exact on {count} {kind}, {method}"
        return f"{_method(nodes)} on {count} {_instances(nodes, parts, self.definitions)}"

    @property
    def within(self) -> str:
        """How close, in words."""
        return f"largest difference below {power_of_ten(self.tolerance)}"


def power_of_ten(value: float) -> str:
    """1e-9 for 1e-09: a tolerance as it is printed."""
    return f"{value:.0e}".replace("e-0", "e-")


def resolve(worlds: Worlds, parts: Sequence[sp.Basic] = (), definitions: Definitions | None = None) -> Sequence[object]:
    """The worlds for `parts`: a number of the standard ones, "symbolic" (the standard ones are tried first), "rational", or a list of one's own.

    Raises ValueError for no world at all, and for another word.
    """
    if isinstance(worlds, str):
        if worlds == "rational":
            return _of_fractions(parts, definitions or {})
        if worlds != "symbolic":
            raise ValueError(f'worlds={worlds!r} is not known. Give a number, a list of worlds, "symbolic" or "rational".')
    standard = 20 if worlds == "symbolic" else worlds
    chosen = families.worlds_for(parts, definitions or {}, standard) if isinstance(standard, int) else tuple(standard)
    if not chosen or worlds == 0:
        raise ValueError("A step was to be checked on no world at all, which would let every step pass. Give at least one world.")
    return chosen


def _of_fractions(parts: Sequence[sp.Basic], definitions: Definitions) -> Sequence[object]:
    if not isinstance(families.worlds_for(parts, definitions, 1)[0], FiniteWorld):
        raise ValueError('worlds="rational" is for finite decision processes, and these lines are about something else. Leave `worlds` out.')
    return exact.rational_worlds()


def in_fractions(left: sp.Basic, right: sp.Basic, trial: Trial) -> Verdict:
    """Both sides as fractions (or as logarithms and powers of fractions) in the smallest worlds; sympy says whether their difference is 0."""
    worlds = trial.on(left, right)
    for world in worlds:
        if (equal := exact.equal_exactly(left, right, world, trial.definitions)) is not True:
            a, b = (float(exact.evaluate_exact(side, world, trial.definitions)) for side in (left, right))
            return Verdict(equal, "", abs(a - b), world, a, b)
    return Verdict(True, f"exact, in fractions, on {len(worlds)} of the smallest MDPs", 0.0)


def excess(a: float, b: float, relation: str = "=") -> float:
    """By how much a and b break the relation: relative where the values exceed 1."""
    difference = {"=": abs(a - b), "<=": a - b, ">=": b - a}[relation]
    return difference / max(1, abs(a), abs(b))


def in_numbers(left: sp.Basic, right: sp.Basic, trial: Trial, relation: str = "=", worlds: Sequence[object] | None = None) -> Verdict:
    """Evaluates both sides in every world. The first world that refutes decides; one that is too close to call leaves it undecided."""
    largest, undecided = 0.0, None
    for world in trial.on(left, right) if worlds is None else worlds:
        a, b = trial.value(left, world), trial.value(right, world)
        size = excess(a, b, relation)
        judged = trial.judge(size)
        if judged is False:
            return Verdict(False, "", float(size), world, a, b)
        if judged is None and undecided is None:
            undecided = Verdict(None, "", size, world, a, b)
        largest = max(largest, float(size))
    return undecided or Verdict(True, "", largest)


def _method(nodes: set[sp.Basic]) -> str:
    if any(isinstance(n, (E, P, H, Integral)) for n in nodes):
        return "by quadrature"
    return "by central differences" if any(isinstance(n, (D, Partial, JacobianDet)) for n in nodes) else "in numbers"


def _instances(nodes: set[sp.Basic], parts: Sequence[sp.Basic], definitions: Definitions) -> str:
    functions = ", ".join(text(sp.Symbol(f.__name__)) for f in unknowns(parts, definitions)[1])
    laws = any(isinstance(n, Distribution) for n in nodes)
    return " and ".join([*(["Gaussians"] if laws else []), *([f"functions {functions}"] if functions else [])]) or "points"
