"""Discounted sums that never end: values and state distributions from one linear solve, (I − γ P_π) V = r_π, not from a long trajectory."""

import numpy as np
import sympy as sp

from rlcourse.notation import laws
from rlcourse.notation.evaluate import Walk, value
from rlcourse.notation.expressions import Distribution, E
from rlcourse.notation.finite import Frame, integer
from rlcourse.notation.operators import Sum
from rlcourse.notation.tables import FRAME, HERE, NOW, Lookup, Reward


class NotDiscounted(ValueError):
    """A sum to infinity whose terms are not γ^t times a function of s_t, a_t, s_{t+1}, a_{t+1}, s_{t+2}."""


def chain(law: sp.Basic, walk: Walk) -> tuple[np.ndarray, np.ndarray]:
    """π (S, A, ...) and P_π (S, S′, ...) of a policy over finitely many actions; trailing axes are those that are open in the walk."""
    world = walk.world
    rows = [[walk.inside({HERE: np.asarray(s), NOW: np.asarray(a)})(law) for a in range(world.actions)] for s in range(world.states)]
    pi = np.stack([np.stack(np.broadcast_arrays(*row)) for row in rows])
    return pi, np.einsum("sa...,sab->sb...", pi, world.P)


def spread(table: np.ndarray, axes: int) -> np.ndarray:
    """A table (n, m, ...) with one trailing axis for each that is open in the walk: of length 1 where it depends on none."""
    return table.reshape(*table.shape[:2], *(1,) * (axes + 2 - table.ndim), *table.shape[2:])


def under(law: sp.Basic, walk: Walk) -> tuple[np.ndarray, np.ndarray]:
    """r_π (S, ...) and P_π (S, S′, ...) of any policy: finite, deterministic or Gaussian."""
    if isinstance(law, Lookup) and law.func.role == "policy":
        pi, p_pi = chain(law, walk)
        return np.einsum("sa...,sa->s...", pi, walk.world.rewards()), p_pi
    x, r, p = sp.Dummy("x", real=True), Reward().function, laws.Dynamics().function

    def mean(table: sp.Expr, s: int) -> np.ndarray:
        body = E(x, law, table.xreplace({NOW: x})) if isinstance(law, Distribution) else table.xreplace({NOW: law})
        return walk.inside({HERE: np.asarray(s)})(body)

    states = range(walk.world.states)
    p_pi = [np.stack(np.broadcast_arrays(*(mean(p(sp.Integer(s1), HERE, NOW), s) for s1 in states))) for s in states]
    return np.stack(np.broadcast_arrays(*(mean(r(HERE, NOW), s) for s in states))), np.stack(np.broadcast_arrays(*p_pi))


def solve(p_pi: np.ndarray, gamma: np.ndarray, right: np.ndarray, transposed: bool = False) -> np.ndarray:
    """x with x = right + γ P_π x (or with P_πᵀ). p_pi (S, S, ...), right (S, ...); returns (S, ...)."""
    n = p_pi.shape[0]
    system = np.eye(n).reshape(n, n, *(1,) * (p_pi.ndim - 2)) - gamma * (np.swapaxes(p_pi, 0, 1) if transposed else p_pi)
    system, right = np.moveaxis(system, (0, 1), (-2, -1)), np.moveaxis(right, 0, -1)
    shape = np.broadcast_shapes(system.shape[:-2], right.shape[:-1])
    return np.moveaxis(np.linalg.solve(np.broadcast_to(system, (*shape, n, n)), np.broadcast_to(right, (*shape, n))[..., None])[..., 0], -1, 0)


def state_values(law: sp.Basic, gamma: np.ndarray, walk: Walk) -> np.ndarray:
    """V^π (S, ...)."""
    r_pi, p_pi = under(law, walk)
    return solve(p_pi, gamma, r_pi)


def visits(law: sp.Basic, gamma: np.ndarray, walk: Walk) -> np.ndarray:
    """ρ^π (S, ...): Σ_t γ^t p(s_t = s)."""
    _, p_pi = under(law, walk)
    return solve(p_pi, gamma, walk.world.p0.reshape(-1, *(1,) * (p_pi.ndim - 2)), transposed=True)


def pick(table: np.ndarray, index: np.ndarray) -> np.ndarray:
    """table[index] where both carry open axes: table (n, ...), index (...)."""
    return sum(table[i] * (index == i) for i in range(table.shape[0]))


@value.register(laws.Value)
def _value(expr: laws.Value, walk: Walk) -> np.ndarray:
    if hasattr(walk.world, "closed_form"):
        return walk.world.closed_form(expr, walk)
    name, law, gamma, *arguments = expr.args
    gamma, (s, *action) = walk(gamma), [walk(x) for x in arguments]
    if name.name == "rho":
        return pick(visits(law, gamma, walk), s)
    v = state_values(law, gamma, walk)
    if name.name == "V":
        return pick(v, s)
    r, p, a = Reward().function, laws.Dynamics().function, action[0]
    after = sum(walk.world.function(p)(np.asarray(s1), s, a) * v[s1] for s1 in range(walk.world.states))
    q = walk.world.function(r)(s, a) + gamma * after
    return q - pick(v, s) if name.name == "A" else q


def endless(law: laws.PathLaw, body: sp.Basic, walk: Walk) -> np.ndarray:
    """E[Σ_{t=k}^∞ γ^t g(s_t, a_t, s_{t+1}, a_{t+1}, s_{t+2})] from one solve; sums and multiples of such sums term by term."""
    if isinstance(body, sp.Add):
        return sum(endless(law, term, walk) for term in body.args)
    if isinstance(body, sp.Mul):
        inner = [f for f in body.args if f.has(Sum)]
        if len(inner) == 1:
            rest = [walk(f) for f in body.args if f is not inner[0]]
            return np.prod(np.broadcast_arrays(*rest), axis=0) * endless(law, inner[0], walk) if rest else endless(law, inner[0], walk)
    if not (isinstance(body, Sum) and len(body.args) == 4 and body.args[2] is sp.oo):
        raise NotDiscounted(f"Only sums to infinity can be taken over endless trajectories, and {body} is none.")
    return _one_sum(law, body, walk)


def _one_sum(law: laws.PathLaw, body: Sum, walk: Walk) -> np.ndarray:
    variable, low, _, term = body.args
    first = integer(low, walk)
    now, factor = _homogeneous(variable, term, first, walk)               # (S, A, S′, A′, S″, ...)
    pi, p_pi = (spread(x, walk.axes) for x in chain(law.args[0], walk))
    per_action = np.einsum("sab,bc...,bcd,sabcd...->sa...", walk.world.P, pi, walk.world.P, now)
    after = solve(p_pi, factor, (pi * per_action).sum(1))                  # value of the whole sum from each state
    q = per_action + factor * np.einsum("sab,b...->sa...", walk.world.P, after)
    return _started(law, first, pi, p_pi, after, q, walk)


def _started(law: laws.PathLaw, first: int, pi: np.ndarray, p_pi: np.ndarray, v: np.ndarray, q: np.ndarray, walk: Walk) -> np.ndarray:
    """Averages over the state (and action) at time `first`, given the conditions of the law."""
    conditions = {c[0].args[0].domain: (integer(c[0].args[1], walk), walk(c[1])) for c in law.conditions if not isinstance(c, laws.Observed)}
    if len(conditions) < len(law.conditions) or any(t != first for t, _ in conditions.values()):
        raise NotDiscounted(f"Endless trajectories can be conditioned on the state and the action at the first time of the sum, {first}, only.")
    if not conditions:
        start = walk.world.p0.reshape(-1, *(1,) * (p_pi.ndim - 2))
        for _ in range(first):
            start = (start[:, None] * p_pi).sum(0)
        return (start * v).sum(0)
    s = conditions["state"][1]
    if "action" not in conditions:
        return pick(v, s)
    return sum(pick(q[:, a], s) * (conditions["action"][1] == a) for a in range(q.shape[1]))


def _homogeneous(variable: sp.Symbol, term: sp.Basic, first: int, walk: Walk) -> tuple[np.ndarray, np.ndarray]:
    """g at time `first` on every (s, a, s′, a′, s″), and the factor by which the term shrinks from one time to the next."""
    sizes = (walk.world.states, walk.world.actions) * 2 + (walk.world.states,)
    s, a, s1, a1, s2 = (x.reshape(*x.shape, *(1,) * walk.axes) for x in np.ogrid[tuple(slice(n) for n in sizes)])
    tables = []
    for t in (first, first + 1):
        frame = Frame(t, [s, s1, s2], [a, a1], np.ones(()), True)
        made = walk.inside({variable: np.asarray(t), FRAME: frame}, 5)(term)
        tables.append(np.broadcast_to(made, np.broadcast_shapes(made.shape, sizes + (1,) * walk.axes)))
    now, later = tables
    flat_now, flat_later = (x.reshape(-1, *now.shape[5:]) for x in (now, later))
    index = np.abs(flat_now).argmax(0)[None]
    top, below = (np.take_along_axis(x, index, 0)[0] for x in (flat_now, flat_later))
    factor = np.where(top == 0, 0.0, below / np.where(top == 0, 1.0, top))
    if not np.allclose(flat_later, factor * flat_now, rtol=1e-9, atol=1e-12) or np.any(np.abs(factor) >= 1):
        raise NotDiscounted(f"The terms {term} do not shrink by one factor below 1 from each time to the next: no linear system gives their sum.")
    return now, factor
