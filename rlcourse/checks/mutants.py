"""Automatic mutants: a worked solution with one slip of the pen, made from its syntax tree. Every one must fail the exercise's check.

Each differs from the solution in one line and is known by its change, "total = a + b -> total = a - b". A change that gives a right answer too is
listed under that text, with the reason, in EQUIVALENT of solutions/alternatives/lecture_NN.py. What is never changed, because no check could see
it: names, annotations, defaults, docstrings, error messages, conversions such as float(x) and factories such as zeros(n).
"""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

OPERATORS: dict[type, tuple[type, ...]] = {
    ast.Add: (ast.Sub, ast.Mult), ast.Sub: (ast.Add,), ast.Mult: (ast.Div, ast.Add), ast.Div: (ast.Mult,), ast.Pow: (ast.Mult,),
    ast.MatMult: (ast.Mult,), ast.FloorDiv: (ast.Mult,), ast.Mod: (ast.FloorDiv,), ast.BitAnd: (ast.BitOr,), ast.BitOr: (ast.BitAnd,),
}
NOT_SYMMETRIC = ast.Sub | ast.Div | ast.Pow | ast.MatMult | ast.FloorDiv | ast.Mod
COMPARISONS: dict[type, tuple[type, ...]] = {
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.GtE), ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
}
_TWINS = """min max, minimum maximum, amin amax, argmin argmax, fmin fmax, clamp_min clamp_max, sum mean, cumsum cumprod, any all, ones zeros,
    ones_like zeros_like, sin cos, log log1p, exp expm1, softmax log_softmax, sigmoid logsigmoid, std var, floor ceil, softplus relu"""
FUNCTIONS, VARIABLES = ({a: b for pair in text.split(",") for a, b in (pair.split(), pair.split()[::-1])}
                        for text in (_TWINS, "terminated truncated, values next_values, mu sigma, mean std, obs next_obs"))
SYMMETRIC = {"min", "max", "minimum", "maximum", "fmin", "fmax", "logaddexp", "hypot", "logical_and", "logical_or", "dot", "isclose", "allclose"}
REDUCTIONS = {"sum", "mean", "prod", "min", "max", "amin", "amax", "logsumexp", "cumsum", "cumprod", "any", "all", "std", "var", "argmax", "argmin"}
CONVERSIONS = {"float", "int", "bool", "str", "list", "tuple", "len", "range", "enumerate", "zip", "isinstance", "print", "super", "iter", "item",
               "tolist", "numpy", "double", "to", "astype", "contiguous", "tensor", "as_tensor", "array", "asarray", "from_numpy", "type_as"}
FACTORIES = {"zeros", "ones", "empty", "full", "arange", "linspace", "eye", "default_rng", "Generator"}
_ASIDE = ("annotation", "decorator_list")
UNSEEN = ast.Raise | ast.Assert | ast.Import | ast.ImportFrom | ast.Global | ast.Nonlocal


@dataclass(frozen=True)
class Mutant:
    """change: "old line -> new line", different for every mutant of a solution. source: the whole answer with that change."""

    change: str
    source: str


def mutants(source: str) -> list[Mutant]:
    """Every mutant of an answer, in the order of its lines."""
    tree = _plain(ast.parse(source))
    local = {name.id for name in ast.walk(tree) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}
    local |= {argument.arg for argument in ast.walk(tree) if isinstance(argument, ast.arg)}
    found: dict[str, str] = {}  # source -> change: the same change made in two ways counts once
    for block, position in sorted(_statements(tree), key=lambda place: place[0][place[1]].lineno):
        before = _line(block[position])
        for after in _changed(tree, block, position, local):
            found.setdefault(ast.unparse(tree), f"{before} -> {after}")
    found.pop(ast.unparse(tree), None)
    changes = list(found.values())
    again = [changes[:i].count(change) for i, change in enumerate(changes)]
    return [Mutant(f"{change} (#{n + 1})" if n else change, text) for (text, change), n in zip(found.items(), again)]


def _plain(tree: ast.Module) -> ast.Module:
    """Without docstrings and without what a function says it returns."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass(lineno=node.body[0].lineno, col_offset=0)]
        if isinstance(node, ast.FunctionDef):
            node.returns = None
    return tree


def _line(statement: ast.stmt) -> str:
    """A statement as one line; of a compound one the head."""
    text = ast.unparse(statement).splitlines()
    return text[0] if hasattr(statement, "body") else " ".join(line.strip() for line in text)


def _statements(tree: ast.Module) -> list[tuple[list[ast.stmt], int]]:
    """Every statement as (block, position in it)."""
    blocks = [getattr(node, name, None) for node in ast.walk(tree) for name in ("body", "orelse", "finalbody")]
    return [(block, i) for block in blocks if isinstance(block, list) for i in range(len(block)) if not isinstance(block[i], UNSEEN)]


def _changed(tree: ast.Module, block: list[ast.stmt], position: int, local: set[str]) -> Iterator[str]:
    """The tree with one change in this statement at a time (it is restored afterwards), and how its line then reads."""
    statement = block[position]
    for parent, field, index in list(_places(statement)):
        where = vars(parent) if index is None else getattr(parent, field)
        key = field if index is None else index
        old = where[key]
        for new in _replacements(old, parent, field, local):
            where[key] = new
            yield _line(statement)
        where[key] = old
    for text, instead in _without(tree, statement):
        block[position : position + 1] = instead or [ast.Pass()]
        yield text or " ".join(map(_line, instead))
        block[position : position + len(instead or [0])] = [statement]


def _places(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    """(parent, field, index) of every expression of a statement, statements inside it and signatures left out."""
    for field, value in ast.iter_fields(node):
        children = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, child in children:
            if isinstance(child, ast.AST) and not isinstance(child, ast.stmt | ast.arguments | ast.JoinedStr) and field not in _ASIDE:
                if isinstance(child, ast.expr):
                    yield node, field, index
                yield from _places(child)


# ---- statements ----


def _without(tree: ast.Module, statement: ast.stmt) -> Iterator[tuple[str, list[ast.stmt]]]:
    """(the new line in words where it needs them, statements to put in the place of this one)."""
    if isinstance(statement, ast.AugAssign):
        for other in OPERATORS.get(type(statement.op), ()):
            yield "", [_copy(statement, op=other())]
        yield "", [ast.Assign([statement.target], statement.value, lineno=statement.lineno)]
    if isinstance(statement, ast.With):
        yield "(its body alone)", statement.body
    if isinstance(statement, ast.Return) and isinstance(statement.value, ast.BinOp | ast.Call | ast.Name | ast.Subscript | ast.Attribute):
        yield "", [_copy(statement, value=ast.UnaryOp(ast.USub(), statement.value))]
    if _droppable(tree, statement):
        yield "(dropped)", []


def _droppable(tree: ast.Module, statement: ast.stmt) -> bool:
    """True where the rest still means something without it: a repeated assignment, a change in place, a call, continue and break."""
    if isinstance(statement, ast.Assign):
        names = [leaf for target in statement.targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name) and isinstance(leaf.ctx, ast.Store)]
        return all(_bound_before(tree, name) for name in names)
    return isinstance(statement, ast.AugAssign | ast.Expr | ast.Continue | ast.Break)


def _bound_before(tree: ast.Module, name: ast.Name) -> bool:
    arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    earlier = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == name.id]
    return name.id in arguments or any(node.lineno < name.lineno for node in earlier)


# ---- expressions ----


def _replacements(node: ast.expr, parent: ast.AST, field: str, local: set[str]) -> Iterator[ast.expr]:
    """What may stand in the place of an expression by mistake."""
    if isinstance(getattr(node, "ctx", None), ast.Store):
        return
    if field == "ifs" or (field == "test" and isinstance(parent, ast.If | ast.IfExp)):
        yield from (ast.Constant(True), ast.Constant(False))
    if _is_index(node, parent, field):
        yield from _neighbours(node)
    by_kind = {ast.BinOp: _of_operation, ast.UnaryOp: _of_sign, ast.Compare: _of_comparison, ast.BoolOp: _of_logic, ast.Slice: _of_slice,
               ast.List: _of_sequence, ast.Tuple: _of_sequence}
    if type(node) in by_kind:
        yield from by_kind[type(node)](node)
    if isinstance(node, ast.Call):
        yield from _of_call(node, local)
    if _number(node) is not None:
        yield from map(_constant, _other_constants(node, parent, field))
    if isinstance(node, ast.Name) and VARIABLES.get(node.id) in local:
        yield ast.Name(VARIABLES[node.id], node.ctx)
    if isinstance(node, ast.Attribute) and node.attr in ("T", "mT"):
        yield node.value


def _copy(node: ast.AST, **changes: Any) -> Any:
    new = copy.copy(node)
    vars(new).update(changes)
    return new


def _neighbours(node: ast.expr) -> list[ast.expr]:
    return [ast.BinOp(node, operator(), ast.Constant(1)) for operator in (ast.Add, ast.Sub)]


def _is_index(node: ast.expr, parent: ast.AST, field: str) -> bool:
    """The t of x[t] and of x[t, 0], the T of range(T)."""
    if isinstance(parent, ast.Call):
        return field == "args" and _name(parent.func) == "range" and _number(node) is None
    return isinstance(parent, ast.Subscript) and field == "slice" and isinstance(node, ast.Name | ast.BinOp | ast.Call)


def _of_operation(node: ast.BinOp) -> Iterator[ast.expr]:
    """Another operator, one of the two terms alone, and the two the other way round where the order matters."""
    yield from (_copy(node, op=operator()) for operator in OPERATORS.get(type(node.op), ()))
    yield from (node.left, node.right)
    if isinstance(node.op, NOT_SYMMETRIC):
        yield _copy(node, left=node.right, right=node.left)


def _of_sign(node: ast.UnaryOp) -> Iterator[ast.expr]:
    """Without -, not, ~. An axis or index such as -1 is the constants' business."""
    if not isinstance(_number(node), int):
        yield node.operand


def _of_comparison(node: ast.Compare) -> Iterator[ast.expr]:
    for i, operator in enumerate(node.ops):
        for other in COMPARISONS.get(type(operator), ()):
            yield _copy(node, ops=[*node.ops[:i], other(), *node.ops[i + 1 :]])


def _of_logic(node: ast.BoolOp) -> list[ast.expr]:
    return [_copy(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And()), *node.values]


def _of_slice(node: ast.Slice) -> Iterator[ast.expr]:
    """One further in, at either end. Written bounds that are numbers are the constants' business; x[::-1] loses its step."""
    if node.step is not None:
        yield _copy(node, step=None)
        return
    if node.lower is None:
        yield _copy(node, lower=ast.Constant(1))
    elif _number(node.lower) is None:
        yield from (_copy(node, lower=bound) for bound in _neighbours(node.lower))
    if node.upper is None:
        yield _copy(node, upper=_constant(-1))
    elif _number(node.upper) is None:
        yield from (_copy(node, upper=bound) for bound in _neighbours(node.upper))
    else:
        yield _copy(node, upper=None)


def _of_sequence(node: ast.List | ast.Tuple) -> Iterator[ast.expr]:
    for elements in _swapped(node.elts):
        yield _copy(node, elts=elements)


def _swapped(items: list[ast.expr]) -> Iterator[list[ast.expr]]:
    """Every two neighbours in the other order."""
    for i in range(len(items) - 1):
        yield [*items[:i], items[i + 1], items[i], *items[i + 2 :]]


def _of_call(node: ast.Call, local: set[str]) -> Iterator[ast.expr]:
    """Without the function (f(x) -> x, x.f() -> x), its twin, two arguments the other way round, no axis, the axis kept."""
    name = _name(node.func)
    if name not in CONVERSIONS | FACTORIES:
        if _is_method(node.func, local):
            yield node.func.value
        else:
            yield from (argument for argument in node.args if not isinstance(argument, ast.Starred | ast.Constant | ast.Lambda))
    if name in FUNCTIONS and (isinstance(node.func, ast.Attribute) or name in ("min", "max", "any", "all")):
        yield _copy(node, func=_copy(node.func, **{"attr" if isinstance(node.func, ast.Attribute) else "id": FUNCTIONS[name]}))
    if name not in SYMMETRIC and not any(isinstance(argument, ast.Starred) for argument in node.args):
        yield from (_copy(node, args=arguments) for arguments in _swapped(node.args))
    if name in REDUCTIONS:
        named = [word for word in node.keywords if word.arg not in ("dim", "axis")]
        first = len(node.args) - (1 if node.args and isinstance(_number(node.args[-1]), int) else 0)
        yield _copy(node, args=node.args[:first], keywords=named)


def _is_method(function: ast.expr, local: set[str]) -> bool:
    """x.f for an x of the answer's own, or for an expression; torch.f and np.linalg.f are not."""
    if not isinstance(function, ast.Attribute):
        return False
    root = function.value
    while isinstance(root, ast.Attribute):
        root = root.value
    return not isinstance(root, ast.Name) or root.id in local


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""


def _number(node: ast.expr) -> bool | int | float | None:
    """The value of a literal number, its sign included, or None."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return -node.operand.value
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float) else None


def _constant(value: float) -> ast.expr:
    return ast.UnaryOp(ast.USub(), ast.Constant(-value)) if not isinstance(value, bool) and value < 0 else ast.Constant(value)


def _other_constants(node: ast.expr, parent: ast.AST, field: str) -> list[bool | int | float]:
    """One up and one down for a small whole number (an axis stays on its side of zero), 0 and 1 for others; not what equals a dropped term."""
    value, dropped = _number(node), None
    if isinstance(parent, ast.BinOp) and (node is parent.right or isinstance(parent.op, ast.Mult | ast.Add)):
        dropped = 1 if isinstance(parent.op, ast.Mult | ast.Div | ast.Pow) else 0
    if isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.USub):
        return []  # the minus sign before it is part of the number
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, float):
        return [other for other in (0.0, 1.0, 2.0) if other not in (value, dropped) and (other == 1.0 or value == 1.0)]
    if abs(value) > 10:
        return [1]
    is_axis = getattr(parent, "arg", "") in ("dim", "axis") or (isinstance(parent, ast.Call) and isinstance(parent.func, ast.Attribute))
    others = [value + 1] if is_axis and value == 0 else [value + 1, value - 1]
    return [other for other in others if other != dropped]
