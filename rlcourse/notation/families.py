"""Which worlds an expression needs: the standard worlds of a step."""

from collections.abc import Sequence

import sympy as sp

from rlcourse.notation import endless, finite
from rlcourse.notation.continuous import action_worlds
from rlcourse.notation.evaluate import Definitions
from rlcourse.notation.mdp_worlds import finite_worlds
from rlcourse.notation.tables import At, Discrete, Lookup
from rlcourse.notation.unknowns import unfolded
from rlcourse.notation.worlds import DensityWorld, density_worlds


def worlds_for(parts: Sequence[sp.Basic], definitions: Definitions, count: int) -> Sequence[DensityWorld]:
    """The three simplest worlds, then `count` random ones, of the kind in which every part has a value.

    A deterministic policy μ_θ(s) over states asks for continuous actions, any other table, state or time for finite worlds, the rest for densities.
    Linear-quadratic worlds are asked for by name: worlds=lq_worlds().
    """
    nodes = unfolded(parts, definitions)
    if any(isinstance(n, Lookup) and n.func.role == "actor" for n in nodes):
        return action_worlds(count)
    return finite_worlds(count) if any(isinstance(n, (At, Discrete, Lookup)) for n in nodes) else density_worlds(count)


KNOWN = (finite, endless)          # importing them teaches `evaluate` what their nodes are worth
