"""Finite worlds: small decision processes with every table written out, so that an expectation is a sum over all trajectories.

The first three are round (fractions that can be checked by hand): stochastic, deterministic, and with a terminal state. From the fourth on everything
is drawn: 2 or 3 states, 2 or 3 actions, 2 to 4 steps, stochastic and deterministic dynamics, terminal states, rewards of both signs and zeros, first
states that are not uniform. A policy is a softmax whose logits move along one random direction with θ.
"""

import functools
from collections.abc import Sequence

import numpy as np
import sympy as sp

from rlcourse.notation.finite import Frame
from rlcourse.notation.laws import Value
from rlcourse.notation.pens import text
from rlcourse.notation.tables import HERE, NOW, WHEN
from rlcourse.notation.worlds import DensityWorld

SIZES = ((2, 2, 2), (2, 2, 3), (3, 2, 2), (2, 3, 2), (3, 2, 3), (2, 3, 3), (2, 2, 4))     # states, actions, steps


class Table:
    """A function on a finite set: an array that is indexed by its arguments."""

    kinks, derivative = (), None

    def __init__(self, array: np.ndarray) -> None:
        self.array = np.asarray(array)

    def __call__(self, *values: np.ndarray) -> np.ndarray:
        return self.array[tuple(np.broadcast_arrays(*(np.asarray(v).astype(int) for v in values)))]

    def says(self, *names: str) -> str:
        return np.array2string(self.array, precision=4, separator=", ", suppress_small=True).replace("\n", "")


class Softmax:
    """π_θ(a | s): softmax over actions of base[s, a] + θ direction[s, a]; with a leading time axis if the policy has one."""

    kinks, derivative = (), None

    def __init__(self, base: np.ndarray, direction: np.ndarray) -> None:
        self.base, self.direction = base, direction

    def __call__(self, theta: np.ndarray, *indices: np.ndarray) -> np.ndarray:
        *times, a, s = (np.asarray(i).astype(int) for i in indices)
        row = tuple(np.broadcast_arrays(*times, s))
        logits = self.base[row] + np.asarray(theta)[..., None] * self.direction[row]
        p = np.exp(logits - logits.max(-1, keepdims=True))
        p = p / p.sum(-1, keepdims=True)
        a, _ = np.broadcast_arrays(a, p[..., 0])
        return np.take_along_axis(np.broadcast_to(p, (*a.shape, p.shape[-1])), a[..., None], -1)[..., 0]

    def says(self, *names: str) -> str:
        def show(x: np.ndarray) -> str:
            return np.array2string(x, precision=2, separator=", ").replace("\n", "")

        return f"softmax of {show(self.base)} + {names[0]}·{show(self.direction)}"


class FiniteWorld(DensityWorld):
    """One finite decision process. `FiniteWorld(P=array, r=array, horizon=2, gamma=0.9)` fixes some of it; the rest follows from `index` and `seed`.

    P (S, A, S′), r (S, A), p0 (S,), d (S,): arrays. A policy or another table is fixed under its own name, pi=array (S, A).
    """

    instances = "MDPs"
    own_names = ("P", "p0", "p_0", "d", "r", "T")                          # may be given although no symbol of the step has the name

    def __init__(self, index: int = 0, seed: int = 0, **given: object) -> None:
        super().__init__(index, seed, **given)
        self._build()

    def _copy(self, key: object, **changed: object) -> "FiniteWorld":
        new, twin = key not in self.copies, super()._copy(key, **changed)
        if new:
            twin._build()
        return twin

    def _build(self) -> None:
        """Sizes, dynamics and first state, from what is given and, for the rest, from the world's own draws."""
        self.tables = {name: x for name, x in self.given.items() if isinstance(x, np.ndarray)}
        rng = self._generator("the process")
        n, m, steps = SIZES[self.index] if self.index < 3 else SIZES[rng.integers(len(SIZES))]
        p = self.tables.get("P")
        self.states, self.actions = p.shape[:2] if p is not None else (n, m)
        self.horizon = int(self.given.get("T", steps))
        ends = self.index == 2 or (self.index > 2 and self.states > 2 and rng.uniform() < 0.6)
        self.terminal = np.asarray(self.tables.get("d", np.arange(self.states) == (self.states - 1 if ends else -1))).astype(float)
        self.P = p if p is not None else self._dynamics(self._generator("dynamics P"))
        p0 = rng.integers(1, 6, self.states) if self.index > 2 else np.resize([3, 1, 1], self.states)
        self.p0 = self.tables.get("p0", self.tables.get("p_0", p0 / p0.sum()))
        self.listed = {}

    def _dynamics(self, rng: np.random.Generator) -> np.ndarray:
        shape, drawn = (self.states, self.actions, self.states), self.index > 2 or "P" in self.redrawn
        if (self.index == 1 and not drawn) or (drawn and rng.uniform() < 0.25):
            p = np.eye(self.states)[rng.integers(self.states, size=shape[:2])]
            p[0, :2] = np.eye(self.states)[[0, 1]]                         # two actions that differ
        else:
            p = rng.multinomial(17, np.ones(self.states) / self.states, size=shape[:2]) + 1.0
            p /= p.sum(-1, keepdims=True)
        if self.index == 0 and not drawn:
            p = np.array([[[0.75, 0.25], [0.5, 0.5]], [[0.25, 0.75], [0.0, 1.0]]])
        stops = self.terminal == 1
        p[stops] = np.eye(self.states)[stops][:, None]
        return p

    @staticmethod
    def method(nodes: set[sp.Basic]) -> str:
        """How values were found, in words."""
        return "by linear solve" if any(isinstance(n, Value) or n is sp.oo for n in nodes) else "every trajectory listed"

    def argument_by_name(self, name: str) -> object:
        """P, r, p0, d of this world, as the package takes them; KeyError for another name."""
        return {"P": self.P, "r": self.rewards(), "p0": self.p0, "d": self.terminal}[name]

    def rewards(self, name: str = "r", high: float | None = None) -> np.ndarray:
        """r (S, A): zero at terminal states; with high=0 never positive."""
        rng = self._generator("reward " + name)
        drawn = np.round(rng.uniform(-2, 2, (self.states, self.actions)), 1) * (rng.uniform(size=(self.states, self.actions)) > 0.15)
        simple = np.resize([1.0, 0.0, -1.0, 2.0, -0.5, 1.5], (self.states, self.actions))
        table = self.tables.get(name, simple if self.index < 3 and name not in self.redrawn else drawn)
        return (table if high is None else high - np.abs(table)) * (1 - self.terminal)[:, None]

    def value(self, symbol: sp.Symbol) -> float:
        """An index for a state, an action or a time, the number of steps for a horizon, else a number."""
        kind = getattr(symbol, "domain", None)
        if kind is None or isinstance(self.given.get(symbol.name), float):
            return super().value(symbol)
        if kind == "horizon":
            return self.horizon
        if kind == "path":
            raise TypeError(f"The trajectory {symbol.name} has no value of its own: it belongs to an expectation or a sum over trajectories.")
        size = {"state": self.states, "action": self.actions, "time": self.horizon}[kind]
        return int(self._generator(symbol.name).integers(size))

    def function(self, f: type) -> object:
        """The table, or the formula, that a function stands for."""
        if f.__name__ in self.tables and f.role in (None, "policy"):
            fixed = self.tables[f.__name__]
            return Table(np.swapaxes(fixed, -1, -2) if f.role == "policy" else fixed)
        made = {"reward": lambda: Table(self.rewards(f.__name__, f.high)), "dynamics": lambda: Table(np.moveaxis(self.P, 2, 0)),
                "initial": lambda: Table(self.p0), "terminal": lambda: Table(self.terminal), "policy": lambda: self.policy(f)}
        if f.role in made:
            return made[f.role]()
        shape = [self._size(p) for p in f.parameters]
        if None in shape or not shape:
            return super().function(f)
        rng = self._generator("table " + f.__name__)
        drawn = np.round(rng.uniform(0.3, 1.5, shape) if f(*f.parameters).is_positive else rng.uniform(-2, 2, shape), 2)
        return Table(drawn)

    def _size(self, parameter: sp.Symbol) -> int | None:
        return {"state": self.states, "action": self.actions, "time": self.horizon + 2}.get(getattr(parameter, "domain", None))

    def policy(self, f: type) -> object:
        """A softmax that moves with its parameter, or, without one, a table of positive probabilities that are not uniform."""
        rng = self._generator("policy " + f.__name__)
        timed = [self.horizon + 2] if any(getattr(p, "domain", None) == "time" for p in f.parameters) else []
        shape = (*timed, self.states, self.actions)
        base = np.round(rng.uniform(-1, 1, shape), 1)
        if any(getattr(p, "domain", None) is None for p in f.parameters):
            return Softmax(base, np.round(rng.uniform(-1, 1, shape), 1))
        p = rng.integers(1, 6, shape) + 2.0 * (np.arange(self.actions) == 0)
        return Table(np.swapaxes(p / p.sum(-1, keepdims=True), -1, -2))

    def paths(self, first: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All trajectories that the dynamics allow, from time `first` (None: from the start, weighed by p₀).

        Returns states (steps + 1, M), actions (steps, M), and the weight of the dynamics alone (M,).
        """
        if first not in self.listed:
            self.listed[first] = self._paths(first)
        return self.listed[first]

    def _paths(self, first: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        steps = self.horizon - (first or 0)
        states, actions, weight = np.arange(self.states)[None], np.zeros((0, self.states), int), np.ones(self.states, int)
        if first is None:
            weight = np.array(self.p0)
        for _ in range(steps):
            a, s1, i = (x.ravel() for x in np.meshgrid(range(self.actions), range(self.states), range(states.shape[1]), indexing="ij"))
            p = self.P[states[-1, i], a, s1]
            keep = np.flatnonzero(p != 0)
            a, s1, i, p = a[keep], s1[keep], i[keep], p[keep]
            states, actions, weight = np.vstack([states[:, i], s1]), np.vstack([actions[:, i], a]), weight[i] * p
        return states, actions, weight

    def trajectory(self, name: str) -> Frame:
        """The trajectory that a name without an expectation stands for: one of those that are possible, drawn."""
        states, actions, weight = self.paths(None)
        possible = np.flatnonzero(weight != 0)
        i = possible[self._generator("trajectory " + name).integers(len(possible))]
        return Frame(0, list(states[:, i]), list(actions[:, i]), weight[i], False)

    def describe(self, symbols: Sequence[sp.Symbol], functions: Sequence[type]) -> str:
        """Everything needed to repeat the computation by hand."""
        def show(x: np.ndarray) -> str:
            return np.array2string(np.asarray(x), precision=3, separator=", ").replace("\n", "")

        head = f"with {self.states} states, {self.actions} actions, {self.horizon} steps, p_0 = {show(self.p0)}, P(·|s, a) = {show(self.P)}"
        tables = [f for f in functions if f.role not in ("dynamics", "initial")]
        parts = [f"{text(f_name(f))} = {self.function(f).says(*map(text, f.parameters))}" for f in tables]
        return ", ".join([head, *self.settings(symbols), *parts])

    def settings(self, symbols: Sequence[sp.Symbol]) -> list[str]:
        """The numbers among the unknowns, as "γ = 0.9"; the dummy arguments of a policy are none."""
        shown = [s for s in symbols if getattr(s, "domain", "") not in ("path", "horizon") and s not in (HERE, NOW, WHEN)]
        frames = [(text(s), self.trajectory(s.name)) for s in symbols if getattr(s, "domain", "") == "path"]
        paths = [f"{name} has the states {[int(x) for x in f.states]} and actions {[int(x) for x in f.actions]}" for name, f in frames]
        return [f"{text(s)} = {float(self.value(s)):.4g}" for s in shown] + paths


def f_name(f: type) -> sp.Symbol:
    """The name of a function as a symbol, so that greek names print as letters."""
    return sp.Symbol(f.__name__)


@functools.cache
def finite_worlds(count: int = 20, seed: int = 0) -> tuple[FiniteWorld, ...]:
    """Three round worlds, then `count` random ones; the same list throughout a session."""
    return tuple(FiniteWorld(index, seed) for index in range(3 + count))
