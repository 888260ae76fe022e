"""What the nodes of a decision process are worth in a finite world: trajectories are listed, sets are summed, endless discounted sums are solved.

An expectation over trajectories opens one leading axis, the list of trajectories; whatever stands inside is one vectorised computation over it. An
inner expectation that starts at a known state lists only what can follow (the Markov property): it is defined even where the outer never goes.
"""

from dataclasses import dataclass

import numpy as np
import sympy as sp
from scipy import special

from rlcourse.notation import expressions as ex
from rlcourse.notation import laws, operators
from rlcourse.notation.evaluate import Walk, collect, expectation, slope, value
from rlcourse.notation.tables import FRAME, HERE, NOW, WHEN, At, path

LONG = 4000     # terms of an endless sum without a trajectory: γ = 0.99 leaves 3e-18


class OutsideHorizon(ValueError):
    """A time index points before the start or past the end of a trajectory."""


class BeforeStart(OutsideHorizon):
    """A conditioned expectation asks for what happened before the state on which it is conditioned."""


@dataclass(frozen=True)
class Frame:
    """The trajectories at hand: states[k], actions[k] at time first + k, each an array along the axis of the list; weight of the dynamics."""

    first: int
    states: list[np.ndarray]
    actions: list[np.ndarray]
    weight: np.ndarray
    known: bool

    def at(self, kind: str, t: int) -> np.ndarray:
        listed = self.states if kind == "state" else self.actions
        if t < self.first:
            raise (BeforeStart if self.known else OutsideHorizon)(f"time {t} lies before the first step, {self.first}")
        if t - self.first >= len(listed):
            raise OutsideHorizon(f"the {kind} at time {t} does not exist: the last one is at time {self.first + len(listed) - 1}")
        return listed[t - self.first]


def integer(expr: sp.Basic, walk: Walk) -> int:
    """The value of a time index or of a bound of a sum."""
    number = walk(expr)
    if number.ndim or number != int(number):
        raise OutsideHorizon(f"{expr} is {number if number.ndim == 0 else 'many times at once'}: an index is one whole number")
    return int(number)


@value.register(At)
def _at(expr: At, walk: Walk) -> np.ndarray:
    symbol, index = expr.args
    if FRAME not in walk.bound:
        raise TypeError(f"{expr} stands outside every expectation over trajectories: nothing says which one is meant. Write E(tau, pi, ...).")
    return walk.bound[FRAME].at(symbol.domain, integer(index, walk))


def listed(law: laws.PathLaw, walk: Walk, known: bool, name: sp.Symbol = FRAME) -> tuple[Walk, np.ndarray]:
    """The trajectories of a law along a new axis, and the weight of each (normalised only if there is no condition)."""
    first = next((integer(c[0].args[1], walk) for c in law.conditions if not isinstance(c, laws.Observed) and c[0].args[0].domain == "state"), None)
    known = known and first is not None
    if known and not 0 <= first <= walk.world.horizon:
        raise OutsideHorizon(f"there is no state at time {first}: the horizon is {walk.world.horizon}")
    deeper = open_frame(walk, first if known else None, name)
    return deeper, path_weight(law, walk, deeper)


def open_frame(walk: Walk, first: int | None, name: sp.Symbol = FRAME) -> Walk:
    """A walk with one more axis, along which all trajectories are listed; `name` is what the expectation calls them, τ."""
    states, actions, weight = walk.world.paths(first)
    frame = Frame(first or 0, [walk.lead(s) for s in states], [walk.lead(a) for a in actions], walk.lead(weight), first is not None)
    return walk.inside({FRAME: frame, name: frame}, 1)


def path_weight(law: laws.PathLaw, outer: Walk, deeper: Walk) -> np.ndarray:
    """Π P · Π π · the conditions, for the trajectories at hand."""
    frame = deeper.bound[FRAME]
    weight = frame.weight
    for k, (s, a) in enumerate(zip(frame.states, frame.actions, strict=False)):
        weight = weight * deeper.inside({HERE: s, NOW: a, WHEN: np.asarray(frame.first + k)})(law.args[0])
    for condition in law.conditions:
        weight = weight * event(condition, outer, deeper)
    return weight


def event(condition: sp.Basic, outer: Walk, deeper: Walk) -> np.ndarray:
    """1 where s_t has the asked-for value, or exp(Σ r/α) for observed optimality."""
    if not isinstance(condition, laws.Observed):
        return (deeper(condition[0]) == outer(condition[1])).astype(int)
    template, alpha, low, high = condition.args
    frame, total = deeper.bound[FRAME], outer.number(0)
    for k in range(integer(low, outer), integer(high, outer)):
        total = total + deeper.inside({HERE: frame.at("state", k), NOW: frame.at("action", k)})(template)
    return deeper.functions["exp"](total / outer(alpha))


def _enumerated(law: laws.PathLaw, walk: Walk, summand, name: sp.Symbol = FRAME) -> np.ndarray:
    """Σ_τ weight · summand(deeper), over the sum of the weights if the law has conditions."""
    try:
        deeper, weight = listed(law, walk, True, name)
        inside = summand(deeper)
    except BeforeStart:
        deeper, weight = listed(law, walk, False, name)
        inside = summand(deeper)
    total = collect(weight, inside, deeper.axes)
    return total / weight.sum(0) if law.conditions else total


@expectation.register(laws.PathLaw)
def _over_paths(law: laws.PathLaw, variable: sp.Symbol, body: sp.Basic, walk: Walk) -> np.ndarray:
    if any(isinstance(n, operators.Sum) and n.args[-2] is sp.oo for n in sp.preorder_traversal(body) if len(n.args) == 4):
        from rlcourse.notation.endless import endless

        return endless(law, body, walk)
    return _enumerated(law, walk, lambda deeper: deeper(body), variable)


@expectation.register(laws.Choice)
@expectation.register(laws.Visits)
def _over_set(law: laws.Choice, variable: sp.Symbol, body: sp.Basic, walk: Walk) -> np.ndarray:
    if hasattr(walk.world, "along"):
        return walk.world.along(law.args[0], walk(law.args[1]), variable, body, walk)
    return _reduce(variable, walk, lambda deeper: deeper(law.pdf(variable)) * deeper(body), lambda x: x.sum(0), lambda x, n: n * x)


def _reduce(variable: sp.Symbol, walk: Walk, body, along, constant) -> np.ndarray:
    """Binds the variable to all its values along a new axis and reduces that axis; `constant` serves a body that does not depend on it."""
    sizes = {"state": walk.world.states, "action": walk.world.actions}
    if getattr(variable, "domain", None) not in sizes:
        raise TypeError(f"{variable} is neither a state nor an action: a sum over it needs bounds, Sum({variable}, first, last, ...).")
    n = sizes[variable.domain]
    deeper = walk.inside({variable: walk.lead(np.arange(n))}, 1)
    return _reduced(np.asarray(body(deeper)), deeper.axes, n, along, constant)


def _reduced(result: np.ndarray, axes: int, n: int, along, constant) -> np.ndarray:
    """The newest axis reduced. A body that does not depend on what it runs over lacks that axis, or has it with length 1."""
    if result.ndim < axes:
        return constant(result, n)
    return along(result) if result.shape[0] == n else constant(result[0], n)


REDUCE = {
    "Sum": (lambda x: x.sum(0), lambda x, n: n * x), "Prod": (lambda x: x.prod(0), lambda x, n: x**n),
    "Max": (lambda x: x.max(0), lambda x, n: x), "LSE": (lambda x: special.logsumexp(x, 0), lambda x, n: x + np.log(n)),
}


@value.register(operators.Over)
def _over(expr: operators.Over, walk: Walk) -> np.ndarray:
    variable, body = expr.args[0], expr.body
    along, constant = REDUCE[type(expr).__name__]
    if len(expr.args) == 4:
        return _over_time(expr, walk, along)
    if getattr(variable, "domain", None) == "path":
        deeper = open_frame(walk, None, variable)
        return _reduced(deeper(body), deeper.axes, len(deeper.bound[FRAME].weight), along, constant)
    return _reduce(variable, walk, lambda deeper: deeper(body), along, constant)


def _over_time(expr: operators.Over, walk: Walk, along) -> np.ndarray:
    variable, low, high, body = expr.args
    first = integer(low, walk)
    if high is sp.oo:
        deeper = walk.inside({variable: walk.lead(np.arange(first, first + LONG))}, 1)
        return along(deeper(body))
    terms = [walk.inside({variable: np.asarray(t)})(body) for t in range(first, integer(high, walk) + 1)]
    if not terms:
        return walk(sp.Integer(type(expr) is operators.Prod))
    return along(np.stack(np.broadcast_arrays(*terms)))


@value.register(operators.Min)
def _min(expr: operators.Min, walk: Walk) -> np.ndarray:
    return (np.maximum if isinstance(expr, operators.Larger) else np.minimum)(walk(expr.args[0]), walk(expr.args[1]))


@value.register(operators.GradAt)
def _grad_at(expr: operators.GradAt, walk: Walk) -> np.ndarray:
    variable, body, point = expr.args
    return slope(walk(point), walk, lambda shifted, deeper: deeper.inside({variable: shifted})(body))


@value.register(laws.PathProbability)
def _path_probability(expr: laws.PathProbability, walk: Walk) -> np.ndarray:
    law, outside = expr.args[0], walk.inside({})
    walk = walk if FRAME in walk.bound else walk.inside({FRAME: walk.trajectory(path())})      # p(τ) of one trajectory, as a number
    weight = path_weight(law, walk, walk)
    if not law.conditions:
        return weight
    outside.bound.pop(FRAME, None)
    deeper = open_frame(outside, None)
    return weight / path_weight(law, outside, deeper).sum(0)


@value.register(operators.Pr)
def _pr(expr: operators.Pr, walk: Walk) -> np.ndarray:
    law, *events = expr.args

    def indicator(deeper: Walk) -> np.ndarray:
        product = walk.number(1)
        for e in events:
            product = product * event(e, walk, deeper)
        return product

    return _enumerated(law, walk, indicator)


@value.register(operators.KL)
def _kl(expr: operators.KL, walk: Walk) -> np.ndarray:
    p, q = expr.args
    if isinstance(p, laws.PathLaw):
        deeper, wp = listed(p, walk, known=True)
        wq = path_weight(q, walk, deeper)
        return _relative(wp / wp.sum(0), wq / wq.sum(0), walk).sum(0)
    if isinstance(p, ex.Distribution):
        x = sp.Dummy("x", real=True)
        return walk(ex.E(x, p, sp.Add(ex.log(p.pdf(x)), -ex.log(q.pdf(x)))))
    variable = p.outcome
    return _reduce(variable, walk, lambda d: _relative(d(p.pdf(variable)), d(q.pdf(variable)), walk), lambda x: x.sum(0), lambda x, n: n * x)


def _relative(p: np.ndarray, q: np.ndarray, walk: Walk) -> np.ndarray:
    log = walk.functions["log"]
    return np.where(p == 0, 0, p * (log(np.where(p == 0, 1, p)) - log(q)))
