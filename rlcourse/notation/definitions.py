"""What counts as a definition: its left side is one symbol, or one function of distinct symbols, without a meaning so far. All else is a claim."""

from collections.abc import Sequence

import sympy as sp
from sympy.core.function import AppliedUndef

from rlcourse.notation.evaluate import Definitions
from rlcourse.notation.pens import text
from rlcourse.notation.unknowns import unfolded


class DefinitionRefused(ValueError):
    """What was offered as a definition is a claim."""


def defined_key(left: sp.Basic) -> sp.Basic:
    """The symbol or function that a definition gives a meaning to."""
    if isinstance(left, sp.Symbol):
        return left
    if isinstance(left, AppliedUndef) and len(set(left.args)) == len(left.args) and all(isinstance(a, sp.Symbol) for a in left.args):
        return left.func
    raise DefinitionRefused(
        f"`{text(left)}` cannot be the left side of a definition: that is one symbol, or one function of distinct symbols. Use .step for a claim."
    )


def refuse_claim(tag: str, left: sp.Basic, right: sp.Basic, known: Definitions, earlier: Sequence[sp.Basic]) -> None:
    """Raises DefinitionRefused if `left := right` says something about a thing that has a meaning already."""
    key, reason = defined_key(left), ""
    if key in known:
        reason = "it was defined before, so a second line about it is a claim: use .step"
    elif _occurs(key, earlier, known):
        reason = "earlier lines used it without that meaning"
    elif _occurs(key, [right], known):
        reason = "it occurs on the right-hand side, so this is an equation for it"
    if reason:
        raise DefinitionRefused(f"[{tag}] `{text(left)}` cannot be defined here: {reason}.")


def _occurs(key: sp.Basic, parts: Sequence[sp.Basic], definitions: Definitions) -> bool:
    return any(key in (node, node.func) for node in unfolded(parts, definitions))
