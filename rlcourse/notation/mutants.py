"""Wrong versions of an expression: every single change that a tired author might make, one at a time.

A checked equation says little if its wrong versions would pass the same check. So each line is changed in one place (a sign, a lost factor, an
index one too far, the other policy, a parameter set to 1), and mutation.py asks whether the check notices. The changes work on the tree, whatever
its nodes are: `expr.func(*args)` builds the changed node. The few that need a node's meaning go by the name of its class or the role of its table.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import sympy as sp

from rlcourse.notation.canonical import canonical
from rlcourse.notation.pens import text
from rlcourse.notation.tables import WHEN
from rlcourse.notation.written import WrittenAdd, WrittenFunction, WrittenMul, WrittenPow, as_written

Change = tuple[str, sp.Basic]                       # which operator, and the node in its new form
PRIORS, MASKS, RESTRICTED = {"p", "p0", "p_0", "prior", "mu_0"}, {"d", "terminated", "terminal"}, {"alpha", "gamma", "sigma", "lambda", "lam", "eta"}
RANGES = {"Sum", "Prod", "Max", "LSE"}              # over time, (variable, first, last, body), or over a finite set, (variable, body)
OTHER_CLASS = {                                     # class name -> what it is mistaken for, and the operator's name
    "Min": ("Larger", "max for min"), "Larger": ("Min", "min for max"), "Max": ("LSE", "log-sum-exp for max"), "LSE": ("Max", "max for log-sum-exp"),
    "Sum": ("Prod", "product for sum"), "Prod": ("Sum", "sum for product"),
}
OTHER_SIDE = {sp.Le: sp.Ge, sp.Ge: sp.Le, sp.Lt: sp.Gt, sp.Gt: sp.Lt}
OTHER_VALUE = {"Q": "A", "A": "Q"}


@dataclass(frozen=True)
class Mutant:
    """One wrong version. `operator`: what was changed, in words; `where`: the changed piece as it was; `expr`: the whole line after the change."""

    operator: str
    where: str
    expr: sp.Basic


@dataclass(frozen=True)
class Context:
    """What else occurs in the derivation and could be mistaken for what stands here: other policies, other families of laws."""

    policies: tuple[sp.Basic, ...] = ()
    families: tuple[type, ...] = ()


def context_of(*lines: sp.Basic) -> Context:
    """The policies (or priors) and the families of distributions that occur in any of the lines."""
    policies: dict[tuple, sp.Basic] = {}
    families: dict[type, None] = {}
    for node in (node for line in lines for node in sp.preorder_traversal(line)):
        if _role(node) == "policy":
            policies.setdefault((node.func, _parameters(node)), node)
        if hasattr(node, "sigma") and hasattr(node, "formula"):
            families[type(node)] = None
    return Context(tuple(policies.values()), tuple(families))


def mutants(expr: sp.Basic, context: Context | None = None) -> list[Mutant]:
    """Every single mutation of an expression, without those that only re-order or re-bracket it, and without repeats."""
    context, seen, found = context or context_of(expr), {canonical(expr)}, []
    varied = _varied(expr)
    for operator, where, changed in [*_everywhere(expr, varied, context), *_on_the_whole_line(expr)]:
        key = canonical(changed)
        if key not in seen:
            seen.add(key)
            found.append(Mutant(operator, text(where), changed))
    return found


def _everywhere(node: sp.Basic, varied: set[sp.Symbol], context: Context) -> Iterator[tuple[str, sp.Basic, sp.Basic]]:
    """(operator, the piece that changes, the whole with the change), for this node and for all below it."""
    for change in CHANGES:
        for operator, new in _tried(change, node, varied, context):
            yield operator, node, new
    for position, child in enumerate(node.args):
        for operator, where, new in _everywhere(child, varied, context):
            args = [*node.args[:position], new, *node.args[position + 1 :]]
            yield from ((operator, where, whole) for whole in _built(node.func, args))


def _tried(change: Callable, node: sp.Basic, varied: set[sp.Symbol], context: Context) -> list[Change]:
    return [(operator, new) for operator, build in change(node, varied, context) for new in _built(build, ())]


def _built(build: Callable, args: Sequence) -> list[sp.Basic]:
    """What `build` makes of the arguments; nothing if such a node cannot exist, such as an inequality that is always true under P."""
    try:
        return [build(*args)]
    except (TypeError, ValueError, AttributeError, IndexError):
        return []


def _on_the_whole_line(expr: sp.Basic) -> Iterator[tuple[str, sp.Basic, sp.Basic]]:
    """The sign of the line, and each parameter with a special value in this line only."""
    if isinstance(expr, sp.Expr) and not isinstance(expr, sp.Add):
        yield "sign", expr, negated(expr)
    for symbol in sorted(expr.free_symbols, key=str):                      # one that is differentiated by cannot be replaced: D refuses
        if (symbol.is_positive or symbol.name in RESTRICTED) and not symbol.is_integer:
            yield from (("restricted parameter", symbol, whole) for whole in _built(expr.xreplace, ({symbol: sp.S.One},)))


# ---- changes of one node: each gives (operator, how to build the new node) -------------------------------------------------------------------------
def _terms(node: sp.Basic, varied: set[sp.Symbol], context: Context) -> Iterator[tuple]:
    if not isinstance(node, sp.Add):
        return
    for i, term in enumerate(node.args):
        rest = [*node.args[:i], *node.args[i + 1 :]]
        yield "sign", lambda i=i, term=term: WrittenAdd(*node.args[:i], negated(term), *node.args[i + 1 :])
        yield "dropped summand" if term.free_symbols & varied else "dropped constant", lambda rest=rest: _sum(rest)


def _factors(node: sp.Basic, varied: set[sp.Symbol], context: Context) -> Iterator[tuple]:
    if not isinstance(node, sp.Mul):
        return
    if node.args[0].is_number and node.args[0].is_negative:
        yield "sign", lambda: negated(node)
    for i, factor in enumerate(node.args):
        with_ = lambda new, i=i: WrittenMul(*node.args[:i], new, *node.args[i + 1 :])  # noqa: E731
        if factor == -1:
            continue
        yield _kind_of_factor(factor), lambda i=i: _product([*node.args[:i], *node.args[i + 1 :]])
        for number in _neighbours(factor):
            yield "integer factor", lambda number=number, with_=with_: with_(number)
        if _is_named(factor, "gamma"):
            yield "gamma power", lambda factor=factor, with_=with_: with_(WrittenPow(factor, 2))


def _kind_of_factor(factor: sp.Basic) -> str:
    if _is_named(factor, "gamma") or (isinstance(factor, sp.Pow) and _is_named(factor.base, "gamma")):
        return "gamma power"
    if any(_role(n) == "terminal" or _head(n) in MASKS for n in sp.preorder_traversal(factor)) and isinstance(factor, sp.Add):
        return "missing terminal mask"
    bare = factor.base if isinstance(factor, sp.Pow) else factor
    return "missing prior" if _head(bare) in PRIORS and bare.args else "dropped factor"


def _powers(node: sp.Basic, varied: set[sp.Symbol], context: Context) -> Iterator[tuple]:
    if not isinstance(node, sp.Pow):
        return
    base, exponent = node.args
    if _is_named(base, "gamma") and exponent != -1:
        for step in (1, -1):
            yield "gamma power", lambda step=step: WrittenPow(base, shifted(exponent, step))
    elif exponent.is_Integer and exponent > 1:
        yield "power", lambda: base if exponent == 2 else WrittenPow(base, exponent - 1)
        yield "power", lambda: WrittenPow(base, exponent + 1)
    elif exponent == -1:
        for number in _neighbours(base):
            yield "integer factor", lambda number=number: WrittenPow(number, -1)


def _functions(node: sp.Basic, varied: set[sp.Symbol], context: Context) -> Iterator[tuple]:
    if isinstance(node, WrittenFunction):
        yield f"dropped {_name(node)}", lambda: node.args[0]
        if _name(node) == "exp" and not isinstance(node.args[0], sp.Add):
            yield "sign", lambda: node.func(negated(node.args[0]))


def _times(node: sp.Basic, varied: set[sp.Symbol], context: Context) -> Iterator[tuple]:
    """s_t, r_t = r(s_t, a_t), the observed steps O_{t:k}, and the bounds of a sum over time."""
    if _name(node) == "At":
        for step in (1, -1):
            yield "shifted index", lambda step=step: node.func(node.args[0], shifted(node.args[1], step))
    elif node.args and len(node.args) > 1 and all(_name(x) == "At" for x in node.args):
        for step in (1, -1):
            yield "shifted index", lambda step=step: node.func(*(x.func(x.args[0], shifted(x.args[1], step)) for x in node.args))
    for position, is_lower in _bounds(node):
        bound, with_ = node.args[position], lambda new, p=position: node.func(*node.args[:p], new, *node.args[p + 1 :])
        for step in (1, -1):
            yield "shifted index", lambda step=step, bound=bound, with_=with_: with_(shifted(bound, step))
        if is_lower and bound != 0:
            yield "dropped index", lambda with_=with_: with_(sp.S.Zero)


def _bounds(node: sp.Basic) -> list[tuple[int, bool]]:
    """(position, is it the lower bound) of the time bounds among the arguments."""
    if _name(node) == "Observed":
        return [(2, True), (3, False)]
    return [(1, True), (2, False)] if _name(node) in RANGES and len(node.args) == 4 else []


def _classes(node: sp.Basic, varied: set[sp.Symbol], context: Context) -> Iterator[tuple]:
    other, operator = OTHER_CLASS.get(_name(node), (None, ""))
    if other:
        yield operator, lambda: getattr(sys.modules[type(node).__module__], other)(*node.args)
    if _name(node) == "Max":                        # min f = −max(−f)
        yield "min for max", lambda: negated(node.func(*node.args[:-1], negated(node.args[-1])))
    if type(node) in OTHER_SIDE:
        yield "other inequality", lambda: OTHER_SIDE[type(node)](*node.args)


def _laws(node: sp.Basic, varied: set[sp.Symbol], context: Context) -> Iterator[tuple]:
    if hasattr(node, "sigma") and hasattr(node, "formula"):
        yield "variance for standard deviation", lambda: node.func(node.mu, as_written(node.sigma) ** 2)
        for family in context.families:
            yield "swapped distribution", lambda family=family: family(*node.args)
    if _role(node) == "policy":
        for other in context.policies:
            lead = (*_parameters(other), *(_when(node) if _is_timed(other) else ()))
            yield "swapped distribution", lambda other=other, lead=lead: other.func(*lead, *node.args[node.func.subscripts :])
    if _name(node) == "KL":
        yield "swapped arguments of KL", lambda: node.func(*node.args[:-2], node.args[-1], node.args[-2])
    if _name(node) in ("PathLaw", "Pr"):
        for i in range(1 if _name(node) == "PathLaw" or len(node.args) > 2 else len(node.args), len(node.args)):
            yield "dropped clause", lambda i=i: node.func(*node.args[:i], *node.args[i + 1 :])
    if _name(node) == "Value" and str(node.args[0]) in OTHER_VALUE:
        yield "swapped value function", lambda: node.func(OTHER_VALUE[str(node.args[0])], *node.args[1:])


CHANGES = (_terms, _factors, _powers, _functions, _times, _classes, _laws)


# ---- pieces --------------------------------------------------------------------------------------------------------------------------------------
def negated(expr: sp.Expr) -> sp.Expr:
    """−expr, without a double minus."""
    if isinstance(expr, sp.Mul) and expr.args[0].is_number and expr.args[0].is_negative:
        rest = expr.args[1:]
        return _product(rest if expr.args[0] == -1 else (-expr.args[0], *rest))
    return -expr if expr.is_number else -as_written(expr)


def shifted(index: sp.Expr, step: int) -> sp.Expr:
    """t + 1 from t, and t from t − 1: the sum stays as short as one would write it."""
    terms = index.args if isinstance(index, sp.Add) else (index,)
    number = sum((x for x in terms if x.is_number), sp.S.Zero) + step
    rest = [x for x in terms if not x.is_number]
    return _sum([*rest, *([number] if number != 0 or not rest else [])])


def _sum(terms: Sequence[sp.Expr]) -> sp.Expr:
    return WrittenAdd(*terms) if len(terms) > 1 else terms[0]


def _product(factors: Sequence[sp.Expr]) -> sp.Expr:
    return WrittenMul(*factors) if len(factors) > 1 else (factors[0] if factors else sp.S.One)


def _neighbours(number: sp.Basic) -> list[sp.Integer]:
    """2 is mistaken for 1 or 3, −2 for −1 or −3. A 1 is nothing to mistake."""
    return [number - 1, number + 1] if number.is_Integer and abs(number) > 1 else []


def _varied(expr: sp.Basic) -> set[sp.Symbol]:
    """What some operator in the expression runs over: what does not depend on it is a constant there."""
    varied: set[sp.Symbol] = set()
    for node in sp.preorder_traversal(expr):
        leading = getattr(node, "bound", 0) or (_name(node) in ("D", "Grad"))
        varied |= {a for a in node.args[: int(leading)] if isinstance(a, sp.Symbol)}
    return varied or set(expr.free_symbols)


def _name(node: object) -> str:
    return type(node).__name__


def _role(node: sp.Basic) -> str | None:
    return getattr(node.func, "role", None) if node.args else None


def _head(node: sp.Basic) -> str:
    return node.name if isinstance(node, sp.Symbol) else _name(node) if node.args else ""


def _is_timed(policy: sp.Basic) -> bool:
    """Is the last index of the policy its time, as in q_t(a | s)?"""
    return any(getattr(p, "domain", "") == "time" for p in policy.func.parameters[: policy.func.subscripts])


def _parameters(policy: sp.Basic) -> tuple[sp.Basic, ...]:
    return policy.args[: policy.func.subscripts - _is_timed(policy)]


def _when(policy: sp.Basic) -> tuple[sp.Basic, ...]:
    """The time at which a policy acts: its own index, that of its action a_t, or whatever time a law of trajectories puts in."""
    if _is_timed(policy):
        return policy.args[policy.func.subscripts - 1 : policy.func.subscripts]
    return next(((x.args[1],) for x in policy.args if _name(x) == "At"), (WHEN,))


def _is_named(node: sp.Basic, name: str) -> bool:
    return isinstance(node, sp.Symbol) and node.name == name
