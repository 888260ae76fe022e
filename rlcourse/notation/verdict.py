"""Does one line follow from the line before? Three answers: it holds, it fails, or it is undecided; undecided is never shown as holding."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import sympy as sp
from sympy.core.function import AppliedUndef

from rlcourse.notation.evaluate import Definitions, evaluate
from rlcourse.notation.expressions import D, Distribution, E, H, Integral, JacobianDet, P, Partial
from rlcourse.notation.pens import text
from rlcourse.notation.worlds import density_worlds, symbolically_equal

RELATIONS = {"=": r"=", "<=": r"\le"}
GREY = 1000     # a difference between the tolerance and 1000 times the tolerance decides nothing
Worlds = int | str | Sequence[object]


@dataclass(frozen=True)
class Verdict:
    """holds is True, False or None (undecided). `world`, `left`, `right` belong to the first world that speaks against the step."""

    holds: bool | None
    how: str
    largest_difference: float
    world: object = None
    left: float = math.nan
    right: float = math.nan


def compare(left: sp.Basic, right: sp.Basic, relation: str, worlds: Worlds, definitions: Definitions, tolerance: float) -> Verdict:
    """Evaluates both sides in every world. Differences are relative where the values exceed 1."""
    if relation not in RELATIONS:
        raise ValueError(f"relation={relation!r} is not one that can be checked. Choose one of {', '.join(map(repr, RELATIONS))}.")
    symbolic, chosen = worlds == "symbolic", resolve(worlds)
    if symbolic and relation != "=":
        raise ValueError(f'worlds="symbolic" decides equalities only, and this step says {relation!r}. Leave `worlds` out: numbers decide it.')
    verdict = _in_numbers(left, right, relation, chosen, definitions, tolerance)
    if symbolic and verdict.holds:
        decided = symbolically_equal(left, right) or None
        how = "symbolic: sympy reduces the difference to 0" if decided else "the numbers agree, but sympy cannot reduce the difference to 0"
        return replace(verdict, holds=decided, how=how)
    how = f"{_method((left, right), definitions)} on {_instances((left, right), worlds, definitions)}"
    return replace(verdict, how=how + (f", largest difference below {power_of_ten(tolerance)}" if relation == "=" else ", never larger"))


def power_of_ten(value: float) -> str:
    """1e-9 for 1e-09: a tolerance as it is printed."""
    return f"{value:.0e}".replace("e-0", "e-")


def resolve(worlds: Worlds) -> Sequence[object]:
    """How many worlds (a number), the standard ones ("symbolic" tries them first), or a list of one's own."""
    if worlds == "symbolic":
        return density_worlds()
    chosen = density_worlds(worlds) if isinstance(worlds, int) else tuple(worlds)
    if not chosen or worlds == 0:
        raise ValueError("A step was to be checked on no world at all, which would let every step pass. Give at least one world.")
    return chosen


def _in_numbers(left: sp.Basic, right: sp.Basic, relation: str, worlds: Sequence[object], definitions: Definitions, tolerance: float) -> Verdict:
    largest, undecided = 0.0, None
    for world in worlds:
        a, b = evaluate(left, world, definitions), evaluate(right, world, definitions)
        excess = (a - b if relation == "<=" else abs(a - b)) / max(1.0, abs(a), abs(b))
        if excess > GREY * tolerance:
            return Verdict(False, "", excess, world, a, b)
        if not excess <= tolerance and undecided is None:
            undecided = Verdict(None, "", excess, world, a, b)
        largest = max(largest, excess)
    return undecided or Verdict(True, "", largest)


def unfolded(parts: Sequence[sp.Basic], definitions: Definitions) -> set[sp.Basic]:
    """Every node of the expressions and of the definitions that they use."""
    nodes, todo = set(), list(parts)
    while todo:
        node = todo.pop()
        if node not in nodes:
            nodes.add(node)
            todo += node.args
            todo += [definitions[_key(node)][1]] if _key(node) in definitions else []
    return nodes


def _key(node: sp.Basic) -> sp.Basic:
    return node.func if isinstance(node, AppliedUndef) else node


def unknowns(parts: Sequence[sp.Basic], definitions: Definitions) -> tuple[list[sp.Symbol], list[type]]:
    """The free symbols and the functions to which a world must give values; definitions are looked through."""
    symbols, functions = set(), set()
    for part in parts:
        symbols |= part.free_symbols - set(definitions)
        for node in sp.preorder_traversal(part):
            if _key(node) in definitions:
                parameters, body = definitions[_key(node)]
                deeper = unknowns([body], definitions)
                symbols |= set(deeper[0]) - set(parameters)
                functions |= set(deeper[1])
            elif isinstance(node, AppliedUndef):
                functions.add(node.func)
    return sorted(symbols, key=str), sorted(functions, key=str)


def refuse_misspelt(worlds: Sequence[object], parts: Sequence[sp.Basic], definitions: Definitions) -> Sequence[object]:
    """The worlds, unless one of them gives a value to a name that does not occur: DensityWorld(sgima=1) would leave sigma random in silence."""
    symbols, functions = unknowns(parts, definitions)
    names = {s.name for s in symbols} | {f.__name__ for f in functions}
    for world in worlds:
        if extra := sorted(set(getattr(world, "given", {})) - names):
            raise ValueError(f"The world gives a value to {', '.join(extra)}, which does not occur here. What occurs is {', '.join(sorted(names))}.")
    return worlds


def _method(parts: Sequence[sp.Basic], definitions: Definitions) -> str:
    nodes = unfolded(parts, definitions)
    if any(isinstance(n, (E, P, H, Integral)) for n in nodes):
        return "by quadrature"
    return "by central differences" if any(isinstance(n, (D, Partial, JacobianDet)) for n in nodes) else "in numbers"


def _instances(parts: Sequence[sp.Basic], worlds: Worlds, definitions: Definitions) -> str:
    functions = ", ".join(text(sp.Symbol(f.__name__)) for f in unknowns(parts, definitions)[1])
    laws = any(isinstance(n, Distribution) for n in unfolded(parts, definitions))
    chosen = f"{worlds} random" if isinstance(worlds, int) else f"{len(worlds)} chosen"
    nouns = " and ".join([*(["Gaussians"] if laws else []), *([f"functions {functions}"] if functions else [])]) or "points"
    return f"{chosen} {nouns}"
