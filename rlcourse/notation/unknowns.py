"""What an expression leaves open: the variables and functions to which a world must give values. Definitions are looked through."""

from collections.abc import Sequence

import sympy as sp
from sympy.core.function import AppliedUndef

from rlcourse.notation.evaluate import Definitions


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
        if extra := sorted(set(getattr(world, "given", {})) - names - set(getattr(world, "own_names", ()))):
            raise ValueError(f"The world gives a value to {', '.join(extra)}, which does not occur here. What occurs is {', '.join(sorted(names))}.")
    return worlds


def name_of(thing: object) -> str:
    """The name under which a world knows a variable, a function or a policy."""
    thing = getattr(thing, "function", thing)
    name = thing if isinstance(thing, str) else getattr(thing, "name", None) or getattr(thing, "__name__", None)
    if not isinstance(name, str):
        raise TypeError(f"{thing!s} has no name that a world could know. Give a variable, a function, a policy, or a name.")
    return name
