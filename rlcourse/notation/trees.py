"""Expressions as plain data and back: lists of known node names, numbers and words, fit for JSON and for a process that is not trusted.

    to_tree(E(a, N(mu, sigma), a + 1))   ["E", ["real", "a", -2.0, 2.0], ["N", ...], ["WrittenAdd", ["real", "a", -2.0, 2.0], 1]]
    from_tree(tree)                      the same expression, built node by node from the lists below; nothing is parsed, looked up or executed

What is not in `NODES` does not exist. Numbers are finite, names are short words, depth and size are limited, and every node gets the kinds of
arguments it is made for. Anything else raises TreeRefused, whose message a student can read.
"""

import math
import re
from collections.abc import Callable

import sympy as sp
from sympy.core.function import AppliedUndef, UndefinedFunction

from rlcourse.notation import expressions as ex
from rlcourse.notation import laws, operators, tables, written

Tree = list | int | float

NODES_AT_MOST, DEPTH_AT_MOST = 2_000, 40     # of an expression; the largest line of the course has 70 nodes and is 13 deep
INTEGER_AT_MOST = 10**6
NAME = re.compile(r"[^\W\d_][\w'^*]{0,23}")      # a letter first; nothing in it that HTML or LaTeX would take for more than a name
VALUES = ("V", "Q", "A", "rho")
CONSTANTS = {"pi": sp.pi, "e": sp.E, "oo": sp.oo}
WITHIN_LAWS = {"HERE": tables.HERE, "NOW": tables.NOW, "WHEN": tables.WHEN}
DOMAINS = ("state", "action", "time", "horizon", "path")
ROLES = (None, "reward", "policy", "initial", "terminal", "dynamics", "actor")
FUNCTIONS = {"Applied": ex.Applied, "Lookup": tables.Lookup}


class TreeRefused(ValueError):
    """An expression, or the data that should be one, that is not among the known ones. kind: "node", "number", "not_finite", "name" or "size"."""

    def __init__(self, kind: str, sentence: str):
        super().__init__(sentence)
        self.kind, self.sentence = kind, sentence


def _is_number(x: object) -> bool:
    return isinstance(x, sp.Expr) and not isinstance(x, laws.Observed)


KINDS: dict[str, Callable[[object], bool]] = {     # what may stand at a place
    "x": _is_number,
    "variable": lambda x: isinstance(x, (ex.Variable, tables.Discrete)),
    "indexed": lambda x: isinstance(x, tables.Discrete) and x.domain in ("state", "action"),
    "law": lambda x: isinstance(x, ex.Law),
    "density": lambda x: isinstance(x, ex.Distribution),
    "paths": lambda x: isinstance(x, laws.PathLaw),
    "applied": lambda x: isinstance(x, AppliedUndef),
    "policy": lambda x: isinstance(x, (tables.Lookup, ex.N)),
    "place": lambda x: x in (tables.HERE, tables.NOW),
    "position": lambda x: isinstance(x, sp.Integer),
    "relation": lambda x: isinstance(x, (sp.Le, sp.Lt, sp.Ge, sp.Gt)),
    "list": lambda x: isinstance(x, sp.Tuple),
    "condition": lambda x: isinstance(x, laws.Observed) or (isinstance(x, sp.Tuple) and len(x) == 2 and isinstance(x[0], tables.At)),
    "value": lambda x: isinstance(x, sp.Symbol) and x.name in VALUES,
}
_ONE, _TWO, _MANY, _OVER = ("x",), ("x", "x"), ("x*",), ("variable", "x", "x?", "x?")
NODES: dict[type, tuple[str, ...]] = {     # node -> what it takes; x* any number of them, x? or none
    written.WrittenAdd: _MANY, written.WrittenMul: _MANY, written.WrittenPow: _TWO, sp.Add: _MANY, sp.Mul: _MANY, sp.Pow: _TWO,
    **dict.fromkeys((written.log, written.exp, written.tanh, written.atanh, written.sin, written.cos), _ONE),
    **dict.fromkeys((written.softplus, written.Phi, written.Abs), _ONE),
    ex.N: _TWO, ex.TanhN: _TWO, ex.Density: ("density", "x"), ex.E: ("variable", "law", "x"), ex.P: ("variable", "density", "relation"),
    ex.D: ("variable", "x"), operators.Grad: ("variable", "x"), operators.GradAt: ("variable", "x", "x"), ex.Partial: ("applied", "position"),
    ex.Integral: ("variable", "list", "x"), ex.H: ("law",), ex.JacobianDet: ("list", "list"),
    operators.Sum: _OVER, operators.Prod: _OVER, operators.Max: _OVER, operators.LSE: _OVER, operators.Min: _TWO, operators.Larger: _TWO,
    operators.KL: ("law", "law"), operators.Pr: ("paths", "condition", "condition*"), tables.At: ("indexed", "x"),
    laws.Choice: ("applied", "place"), laws.PathLaw: ("applied", "condition*"), laws.Observed: ("applied", "x", "x", "x"),
    laws.Value: ("value", "policy", "x", "x", "x?"), laws.Visits: ("policy", "x"), laws.PathProbability: ("paths",),
    sp.Le: _TWO, sp.Lt: _TWO, sp.Ge: _TWO, sp.Gt: _TWO, sp.Tuple: ("x*",),
}
BY_NAME = {kind.__name__: kind for kind in NODES}
UNEVALUATED = (sp.Add, sp.Mul, sp.Pow, sp.Le, sp.Lt, sp.Ge, sp.Gt)


# ---- expression -> tree ----


def to_tree(expr: sp.Basic) -> Tree:
    """The expression as nested lists. TreeRefused for a node that is not of rlcourse.notation, and for one that is too large."""
    if not isinstance(expr, sp.Basic):
        raise TreeRefused("node", f"a {type(expr).__name__} is no expression.")
    return _Writer().tree(expr, 0)


def function_tree(f: UndefinedFunction) -> Tree:
    """What a function is: name, kind of node, parameters, and how it is printed and drawn."""
    parameters = [_leaf(p) for p in f.parameters]
    positive, high = bool(f._kwargs.get("positive")), getattr(f, "high", None)
    return ["function", _name(f.__name__), f.mro()[1].__name__, parameters, f.subscripts, positive, f.role, f.bar, high]


class _Writer:
    def __init__(self) -> None:
        self.nodes = 0

    def tree(self, expr: sp.Basic, depth: int) -> Tree:
        self.nodes += 1
        if self.nodes > NODES_AT_MOST or depth > DEPTH_AT_MOST:
            raise _too_large()
        if not expr.args:
            return _leaf(expr)
        if isinstance(expr, AppliedUndef) and type(type(expr)) is UndefinedFunction and hasattr(expr.func, "parameters"):
            return ["of", function_tree(expr.func), *(self.tree(a, depth + 1) for a in expr.args)]
        if type(expr) not in NODES:
            raise _unknown(type(expr).__name__)
        return [type(expr).__name__, *(self.tree(a, depth + 1) for a in expr.args)]


def _too_large() -> TreeRefused:
    return TreeRefused("size", f"it has more than {NODES_AT_MOST} symbols, or is more than {DEPTH_AT_MOST} brackets deep.")


def _unknown(name: str) -> TreeRefused:
    shown = name[:40]
    if shown in ("sin", "cos", "log", "exp", "tanh", "atanh", "Abs"):
        return TreeRefused("node", f"it contains `{shown}` of another library. Import `{shown}` from rlcourse.notation.")
    return TreeRefused("node", f"it contains `{shown}`, which is no part of the notation. Write it with what rlcourse.notation offers.")


def _leaf(expr: sp.Basic) -> Tree:
    """A constant, a number or a symbol."""
    for head, known in (("constant", CONSTANTS), ("place", WITHIN_LAWS)):
        for name, constant in known.items():
            if expr == constant:
                return [head, name]
    return _symbol(expr) if isinstance(expr, sp.Symbol) else _number(expr)


def _symbol(expr: sp.Symbol) -> Tree:
    if isinstance(expr, ex.Variable):
        return ["real", _name(expr.name), _plain(expr.low), _plain(expr.high)]
    if isinstance(expr, tables.Discrete):
        return [expr.domain, _name(expr.name)]
    if type(expr) is sp.Symbol and expr.name in VALUES:
        return ["value", expr.name]
    raise TreeRefused("name", f"it contains a symbol called {expr.name[:40]!r} that was not made by `real`, `state`, `action`, `time` and so on.")


def _number(expr: sp.Basic) -> Tree:
    if isinstance(expr, sp.Integer):
        return _checked(int(expr))
    if isinstance(expr, sp.Rational):
        return ["Rational", _checked(int(expr.p)), _checked(int(expr.q))]
    if isinstance(expr, sp.Float):
        return _checked(float(expr))
    raise _unknown(str(expr) if getattr(expr, "is_Number", False) else type(expr).__name__)


def _plain(bound: float) -> float:
    return bound if isinstance(bound, int) else float(bound)


def _name(name: str) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise TreeRefused("name", f"{str(name)[:40]!r} is no name for a symbol: up to 24 letters and digits, such as eps_1 or s'.")
    return name


def _checked(number: object) -> int | float:
    """A finite number of ordinary size, and not True or False."""
    if type(number) not in (int, float):
        raise TreeRefused("number", f"{str(number)[:40]!r} stands where a number should.")
    if not math.isfinite(number):
        raise TreeRefused("not_finite", "it contains a number that is not finite.")
    if abs(number) > INTEGER_AT_MOST:
        raise TreeRefused("number", f"it contains a number beyond {INTEGER_AT_MOST:,}.")
    return number


# ---- tree -> expression ----


def from_tree(tree: Tree) -> sp.Basic:
    """The expression of a tree. Raises TreeRefused for anything that `to_tree` could not have written."""
    _require_small(tree)
    return _built(tree)


def _require_small(tree: object) -> None:
    """Counts without recursion, so that data of any shape can be refused."""
    todo, seen = [(tree, 0)], 0
    while todo:
        item, depth = todo.pop()
        seen += 1
        if seen > 12 * NODES_AT_MOST or depth > DEPTH_AT_MOST + 3:      # a leaf and a function's description are lists themselves
            raise _too_large()
        if type(item) is list:
            if len(item) > NODES_AT_MOST:
                raise _too_large()
            todo += [(part, depth + 1) for part in item]


def _built(tree: object) -> sp.Basic:
    if type(tree) is int:
        return sp.Integer(_checked(tree))
    if type(tree) is float:
        return sp.Float(_checked(tree))
    if type(tree) is not list or not tree or type(tree[0]) is not str:
        raise TreeRefused("node", f"a {type(tree).__name__} stands where an expression should.")
    head, parts = tree[0], tree[1:]
    if head in _LEAVES:
        return _LEAVES[head](head, parts)
    if head == "of":
        return _call(parts)
    if head not in BY_NAME:
        raise _unknown(head)
    kind, args = BY_NAME[head], [_built(part) for part in parts]
    _require_kinds(head, args, NODES[kind])
    if kind is sp.Tuple:
        return sp.Tuple(*args)
    try:
        return kind(*args, evaluate=False) if kind in UNEVALUATED else kind(*args)
    except (TypeError, ValueError, AttributeError) as error:
        raise TreeRefused("node", f"{head} cannot be built: {str(error)[:200]}") from None


def _require_kinds(head: str, args: list[sp.Basic], wanted: tuple[str, ...]) -> None:
    """Every argument is of the kind that the node takes, and there are neither too few nor too many."""
    if head == "Tuple":
        fits = all(_is_number(a) for a in args)
    elif wanted == _OVER:
        fits = len(args) in (2, 4) and KINDS["variable"](args[0]) and all(map(_is_number, args[1:]))
    else:
        fixed = [w for w in wanted if w[-1] not in "*?"]
        more = wanted[len(fixed) :]
        at_most = math.inf if any(w[-1] == "*" for w in more) else len(wanted)
        kinds = [*fixed, *(more[:1] * max(len(args) - len(fixed), 0))]
        fits = max(len(fixed), 1) <= len(args) <= at_most and all(KINDS[k.rstrip("*?")](a) for k, a in zip(kinds, args))
    if head == "Partial" and fits:
        fits = 0 <= args[1] < len(args[0].args)
    if not fits:
        raise TreeRefused("node", f"{head} does not take {len(args)} such arguments.")


def _require_length(head: str, parts: list, count: int) -> None:
    if len(parts) != count:
        raise TreeRefused("node", f"{head} has {len(parts)} fields, {count} are expected.")


def _real(head: str, parts: list) -> sp.Basic:
    _require_length(head, parts, 3)
    name, low, high = _name(parts[0]), _checked(parts[1]), _checked(parts[2])
    if not low < high:
        raise TreeRefused("number", f"the interval of {name} is empty.")
    return ex.real(name, low, high)


def _discrete(head: str, parts: list) -> sp.Basic:
    _require_length(head, parts, 1)
    return tables.Discrete(_name(parts[0]), head)


def _word(head: str, parts: list) -> sp.Basic:
    _require_length(head, parts, 1)
    known = {"constant": CONSTANTS, "place": WITHIN_LAWS, "value": {name: sp.Symbol(name) for name in VALUES}}[head]
    if type(parts[0]) is not str or parts[0] not in known:
        raise _unknown(str(parts[0]))
    return known[parts[0]]


def _rational(head: str, parts: list) -> sp.Basic:
    _require_length(head, parts, 2)
    if type(parts[0]) is not int or type(parts[1]) is not int or parts[1] < 1:
        raise TreeRefused("number", "a fraction is made of two whole numbers, the second positive.")
    return sp.Rational(_checked(parts[0]), _checked(parts[1]))


_LEAVES = {"real": _real, **dict.fromkeys(DOMAINS, _discrete), **dict.fromkeys(("constant", "place", "value"), _word), "Rational": _rational}


def _call(parts: list) -> sp.Basic:
    """A function at its arguments, as many as it has parameters."""
    if not parts:
        raise TreeRefused("node", "a function is missing.")
    f, args = _function(parts[0]), [_built(part) for part in parts[1:]]
    if len(args) != len(f.parameters) or not all(map(_is_number, args)):
        raise TreeRefused("node", f"{f.__name__} takes {len(f.parameters)} arguments, it was given {len(args)}.")
    made = sp.Expr.__new__(f, *args)        # not f(*args): sympy remembers calls by name, and would hand out a namesake with another description
    made.nargs = sp.S.Naturals0
    return made


def _function(tree: object) -> UndefinedFunction:
    if type(tree) is not list or len(tree) != 9 or tree[0] != "function" or tree[2] not in list(FUNCTIONS) or type(tree[3]) is not list:
        raise TreeRefused("node", "a function is described by nine fields that are not here.")
    _, name, kind, parameters, subscripts, positive, role, bar, high = tree
    parameters = [_built(p) for p in parameters]
    counts = all(type(n) is int and 0 <= n <= len(parameters) for n in (subscripts, bar))
    marked = type(positive) is bool and role in ROLES and (high is None or type(high) in (int, float))
    if not (counts and marked and all(map(KINDS["variable"], parameters))):
        raise TreeRefused("node", f"the description of the function {_name(name)} has a field of the wrong kind.")
    marks = {"high": high} if role == "reward" else {}
    return ex.function(_name(name), *parameters, subscripts=subscripts, is_positive=positive, kind=FUNCTIONS[kind], role=role, bar=bar, **marks)
