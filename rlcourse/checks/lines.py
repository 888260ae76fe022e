"""Lines of a derivation that someone else wrote: read from plain data, tried against each other in worlds, and looked at for their form.

Nothing here knows an exercise. `Worlds` says what a line is worth and whether the next one equals it; `Known` refuses what does not belong; `same`
tells a repeated line; the `Form`s say what may no longer occur in the last one.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from sympy.core.function import AppliedUndef

from rlcourse.checks.compare import Slip
from rlcourse.notation import expressions as ex
from rlcourse.notation import laws, operators, tables
from rlcourse.notation.canonical import canonical
from rlcourse.notation.evaluate import Definitions
from rlcourse.notation.pens import text
from rlcourse.notation.trees import UNEVALUATED, function_tree
from rlcourse.notation.unknowns import unfolded, unknowns
from rlcourse.notation.verdict import Trial, in_numbers
from rlcourse.notation.written import WrittenAdd, WrittenMul, WrittenPow

HOLDS, FAILS, UNDECIDED, UNDEFINED, REPEATS = "holds", "fails", "undecided", "undefined", "repeats"
SAME_VALUE = 1e-6          # relative: a line and a named mistake, in every world
NUMBERS_AT_ONCE = 4e6      # that one evaluation may hold: 384 nodes a quadrature, 8 points a derivative, 650 trajectories
NUMBERS_IN_ALL = 1e8       # that one evaluation may compute
BOUND_AT_MOST = 20         # the largest whole number in a bound of a sum over time


@dataclass(frozen=True)
class Step:
    """A line beside the line before: the verdict, the first world that speaks against it, and both values there.

    why: what happened, if the line has no value in any world.
    """

    number: int
    before: sp.Basic
    line: sp.Basic
    verdict: str
    world: Any = None
    left: float = math.nan
    right: float = math.nan
    why: str = ""


@dataclass(frozen=True)
class Worlds:
    """The worlds of one seed, and what the exercise has defined."""

    worlds: Sequence[Any]
    definitions: Definitions
    tolerance: float

    def step(self, number: int, before: sp.Basic, line: sp.Basic) -> Step:
        """The verdict on one line."""
        if same(before, line):
            return Step(number, before, line, REPEATS)
        try:
            found = in_numbers(before, line, Trial(self.worlds, self.definitions, self.tolerance))
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            return Step(number, before, line, UNDEFINED, why=" ".join(str(error).split())[:240])
        verdict = {True: HOLDS, False: FAILS, None: UNDECIDED}[found.holds]
        if verdict == UNDECIDED and not math.isfinite(found.right):
            verdict = UNDEFINED
        return Step(number, before, line, verdict, found.world, float(found.left), float(found.right))

    def values(self, line: sp.Basic) -> Iterator[float]:
        """What a line is worth, world by world; NaN where it has no value."""
        for world in self.worlds:
            try:
                yield float(Trial(definitions=self.definitions).value(line, world))
            except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError):
                yield math.nan

    def alike(self, one: sp.Basic, other: sp.Basic) -> bool:
        """Worth the same in every world, or the same but for order. Stops at the first world in which they differ."""
        for a, b in zip(self.values(one), self.values(other)):
            if not (math.isfinite(a) and math.isfinite(b)):
                return same(one, other)
            if abs(a - b) > SAME_VALUE * (1 + abs(b)):
                return False
        return True

    def ratio(self, before: sp.Basic, line: sp.Basic) -> float | None:
        """The constant factor between two lines, if there is one in all worlds in which the first is not 0."""
        pairs = [(b / a) for a, b in zip(self.values(before), self.values(line)) if abs(a) > 1e-3]
        constant = len(pairs) > 2 and np.isfinite(pairs).all() and np.ptp(pairs) <= SAME_VALUE * (1 + abs(pairs[0]))
        return float(pairs[0]) if constant else None

    def describe(self, step: Step) -> str:
        """The world of a step in words."""
        return step.world.describe(*unknowns([step.before, step.line], self.definitions)) if step.world is not None else ""


# ---- what may occur ----


@dataclass(frozen=True)
class Known:
    """What the lines of an exercise may speak of: its free symbols, all its symbols, and its functions, as trees."""

    free: frozenset
    symbols: frozenset
    functions: tuple

    def require(self, line: sp.Basic, place: str) -> None:
        """Slip for a symbol or a function that is not the exercise's, for a symbol outside its expectation, and for a line that takes too long."""
        for symbol in sorted(line.free_symbols - self.free, key=str):
            raise Slip("symbol", *self._stranger(symbol, place))
        for applied in sorted(line.atoms(AppliedUndef), key=str):
            if function_tree(applied.func) not in self.functions:
                name = text(sp.Symbol(applied.func.__name__))
                what = f"In {place} there is a function {name} that this exercise does not know."
                raise Slip("symbol", what, "Use the functions that your function is given.")
        _require_affordable(line, place)

    def _stranger(self, symbol: sp.Symbol, place: str) -> tuple[str, str]:
        name = text(symbol)
        if symbol in self.symbols:
            return (f"In {place} `{name}` stands outside every expectation that runs over it, so it has no value.",
                    f"Put all that depends on {name} inside the brackets of its expectation.")
        if any(symbol.name == other.name for other in self.symbols):
            return (f"In {place} there is another `{name}` than the one your function is given.",
                    "Use the argument, and declare no symbol of that name.")
        return (f"In {place} the symbol `{name}` is unknown: it is neither given nor bound by an expectation, a sum or an integral.",
                "A new symbol may only be what an operator of the line runs over.")


def known(start: sp.Basic, definitions: Definitions, *given: object) -> Known:
    """What is known from the start, the definitions, and the arguments that a student's function gets."""
    handed = [getattr(g, "function", g) for g in given]                               # a policy or a reward stands for its table
    functions = [g for g in handed if isinstance(g, type) and issubclass(g, AppliedUndef)]
    parts = [start, *(g for g in handed if isinstance(g, sp.Basic)), *(f(*f.parameters) for f in functions)]
    nodes = unfolded(parts, definitions)
    functions += [node.func for node in nodes if isinstance(node, AppliedUndef)]
    symbols = frozenset(node for node in nodes if isinstance(node, (ex.Variable, tables.Discrete)))
    return Known(frozenset(start.free_symbols), symbols, tuple(map(function_tree, functions)))


def _require_affordable(line: sp.Basic, place: str) -> None:
    """Slip for nested integrals that would not fit, and for sums that would not end."""
    at_once, in_all = _affordable(line)
    if at_once > NUMBERS_AT_ONCE or in_all > NUMBERS_IN_ALL:
        raise Slip("size", f"{place[0].upper()}{place[1:]} nests so many expectations and derivatives that it takes too long to check.",
                   "Write a step in between, or one with fewer integrals inside each other.")
    for over in line.atoms(operators.Over):
        bounds = [node for bound in over.args[1:-1] for node in sp.preorder_traversal(bound)]
        if not all(map(_may_bound, bounds)):
            what = f"In {place} the bounds of a sum are more than a time, a horizon and small whole numbers."
            raise Slip("size", what, "Sums here run over 0, ..., T − 1 or so.")


def _may_bound(node: sp.Basic) -> bool:
    """Times, horizons, small whole numbers, ∞, and sums and differences of them."""
    if isinstance(node, WrittenMul):
        return len(node.args) == 2 and node.args[0] == -1
    return isinstance(node, (tables.Discrete, WrittenAdd)) or node is sp.oo or (node.is_Integer and abs(node) <= BOUND_AT_MOST)


def _affordable(node: sp.Basic) -> tuple[float, float]:
    """(numbers at hand at once where this expression is deepest, numbers computed in all)."""
    inside = [_affordable(a) for a in node.args]
    own = _own_axis(node)
    return own * max((deepest for deepest, _ in inside), default=1), 1 + own * sum(total for _, total in inside)


def _own_axis(node: sp.Basic) -> int:
    """How many values of its body a node asks for."""
    if any(isinstance(a, laws.PathLaw) or getattr(a, "domain", "") == "path" for a in node.args) and isinstance(node, _ENUMERATED):
        return 650
    if isinstance(node, ex.E) and isinstance(node.args[1], (laws.Choice, laws.Visits)):
        return 4
    if isinstance(node, operators.Over):
        return 4000 if sp.oo in node.args else 4
    return next((size for kind, size in _AXES.items() if isinstance(node, kind)), 1)


_ENUMERATED = (ex.E, operators.Over, operators.KL, operators.Pr)
_AXES = {ex.E: 384, ex.P: 384, ex.H: 384, ex.Integral: 768, operators.KL: 384, ex.D: 8, ex.Partial: 8, operators.GradAt: 8, ex.JacobianDet: 64}


# ---- the same line again ----


def same(one: sp.Basic, other: sp.Basic) -> bool:
    """True if two lines differ in nothing but order, brackets, factors 1, terms 0, and the names of what they run over."""
    return one == other or key(one) == key(other)


def key(line: sp.Basic) -> object:
    """What two lines have in common that are the same but for order, brackets, factors 1, terms 0, and the names of what they run over."""
    return canonical(_bare(line, {}))


def _bare(node: sp.Basic, names: dict) -> sp.Basic:
    if isinstance(node, sp.Symbol):
        return names.get(node, node)
    if not node.args:
        return node
    if getattr(node, "bound", 0) and isinstance(node.args[0], sp.Symbol):
        fresh = _fresh(node.args[0], len(names))
        first, *middle, body = node.args
        if isinstance(node, operators.GradAt):
            middle, body = [body], middle[0]                                           # variable, body, point: the point is outside
            return node.func(fresh, _bare(body, {**names, first: fresh}), _bare(middle[0], names))
        return node.func(fresh, *(_bare(m, names) for m in middle), _bare(body, {**names, first: fresh}))
    return _tidied(node, [_bare(a, names) for a in node.args])


def _fresh(variable: sp.Symbol, depth: int) -> sp.Symbol:
    name = f"bound {depth}"
    return tables.Discrete(name, variable.domain) if isinstance(variable, tables.Discrete) else ex.real(name)


def _tidied(node: sp.Basic, args: list[sp.Basic]) -> sp.Basic:
    neutral = {WrittenAdd: 0, WrittenMul: 1}.get(type(node))
    if neutral is not None:
        args = [a for a in args if a != neutral] or [sp.Integer(neutral)]
        return args[0] if len(args) == 1 else type(node)(*args)
    if isinstance(node, WrittenPow) and args[1] == 1:
        return args[0]
    return node.func(*args, evaluate=False) if type(node) in UNEVALUATED else node.func(*args)


# ---- the form of the last line ----


@dataclass(frozen=True)
class Form:
    """What the last line must look like. fits(line); says completes "the last line equals the start, but "; cause: what is still to be done."""

    id: str
    fits: Callable[[sp.Basic], bool]
    says: str
    cause: str


def nodes(line: sp.Basic, *kinds: type) -> list[sp.Basic]:
    """All nodes of these kinds."""
    return [node for node in sp.preorder_traversal(line) if isinstance(node, kinds)]


def no_derivative_of(kinds: tuple, id: str, says: str, cause: str, by: sp.Symbol | None = None) -> Form:
    """No derivative (by: only ∂/∂by) stands before anything that contains one of these kinds of node or functions."""
    def fits(line: sp.Basic) -> bool:
        found = [d for d in nodes(line, ex.D, operators.GradAt) if by in (None, d.args[0])]
        return not any(_contains(d.args[1], kinds) for d in found)

    return Form(id, fits, says, cause)


def _contains(body: sp.Basic, kinds: tuple) -> bool:
    return any(isinstance(node, kind) for node in sp.preorder_traversal(body) for kind in kinds)


def no_law_with(variable: sp.Symbol, id: str, says: str, cause: str) -> Form:
    """No expectation or probability runs over a law that depends on the variable."""
    return Form(id, lambda line: not any(variable in node.args[1].free_symbols for node in nodes(line, ex.E, ex.P)), says, cause)


def only_slopes_of(function: type, id: str, says: str, cause: str) -> Form:
    """The function occurs only as something that is differentiated by its own arguments."""
    def bare(node: sp.Basic) -> bool:
        if isinstance(node, ex.Partial):
            return any(map(bare, node.args[0].args))
        if isinstance(node, operators.GradAt) and getattr(node.args[1], "func", None) == function:
            variable, applied, point = node.args
            return bare(point) or any(variable in a.free_symbols and a != variable for a in applied.args)
        return (isinstance(node, AppliedUndef) and node.func == function) or any(map(bare, node.args))

    return Form(id, lambda line: not bare(line), says, cause)


def without(kinds: tuple, id: str, says: str, cause: str) -> Form:
    """None of these kinds of node is left."""
    return Form(id, lambda line: not nodes(line, *kinds), says, cause)


def like(goal: sp.Basic, id: str, says: str, cause: str) -> Form:
    """The goal itself, but for order, brackets and the names of what is summed over."""
    return Form(id, lambda line: same(line, goal), says, cause)
