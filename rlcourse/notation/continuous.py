"""Worlds with continuous actions: finitely many states with smooth rewards and transitions in a, and the linear-quadratic world, in closed form."""

import functools
from collections.abc import Sequence

import numpy as np
import sympy as sp

from rlcourse.notation import laws
from rlcourse.notation.evaluate import Walk
from rlcourse.notation.expressions import real
from rlcourse.notation.mdp_worlds import FiniteWorld, f_name
from rlcourse.notation.pens import text
from rlcourse.notation.worlds import DensityWorld

TERMS = 3000     # of a discounted sum along the linear system; γ |A|² < 0.97 leaves less than 1e-39


class Smooth:
    """A function of a finite index and of one real number: `formula(index arrays, x)`."""

    kinks, derivative = (), None

    def __init__(self, formula, words: str) -> None:
        self.formula, self.words = formula, words

    def __call__(self, *values: np.ndarray) -> np.ndarray:
        return self.formula(*values)

    def says(self, *names: str) -> str:
        return self.words


def _show(x: np.ndarray) -> str:
    return np.array2string(np.asarray(x), precision=2, separator=", ").replace("\n", "")


class ActionWorld(FiniteWorld):
    """Two or three states, real actions: r(s, a) a wave on a parabola, P(s′|s, a) a softmax whose logits are linear in a, μ_θ(s) smooth in θ."""

    instances = "processes with continuous actions"

    def _build(self) -> None:
        super()._build()
        rng, n = self._generator("continuous"), self.states
        self.slope = np.round(rng.uniform(-1, 1, (n, n)), 1)
        self.offset = np.round(rng.uniform(-1, 1, (n, n)), 1)
        self.curve = np.round(rng.uniform([-1, -1, 0.3, 0.5], [1, -0.2, 1, 2], (n, 4)), 1)
        self.mean, self.move = np.round(rng.uniform(-1, 1, (2, n)), 1)

    @staticmethod
    def method(nodes: set[sp.Basic]) -> str:
        """How values were found, in words."""
        return "values by linear solve, expectations by quadrature"

    def _reward(self, s: np.ndarray, a: np.ndarray) -> np.ndarray:
        s = np.asarray(s).astype(int)
        c = self.curve[s]
        return (c[..., 0] * a + c[..., 1] * a**2 + c[..., 2] * np.sin(c[..., 3] * a)) * (1 - self.terminal[s])

    def _transition(self, s1: np.ndarray, s: np.ndarray, a: np.ndarray) -> np.ndarray:
        s1, s = np.asarray(s1).astype(int), np.asarray(s).astype(int)
        logits = self.offset[s] + self.slope[s] * np.asarray(a)[..., None]
        p = np.exp(logits - logits.max(-1, keepdims=True))
        p = np.moveaxis(p / p.sum(-1, keepdims=True), -1, 0)
        moved = sum(p[i] * (s1 == i) for i in range(self.states))
        return np.where(self.terminal[s] == 1, (s1 == s) * 1.0, moved)

    def _actor(self, theta: np.ndarray, s: np.ndarray) -> np.ndarray:
        s = np.asarray(s).astype(int)
        return self.mean[s] + self.move[s] * theta + 0.2 * np.asarray(theta) ** 2

    def function(self, f: type) -> object:
        if f.role == "reward":
            return Smooth(self._reward, f"c0·a + c1·a² + c2·sin(c3·a) with rows c = {_show(self.curve)} by state, 0 at terminal states")
        if f.role == "dynamics":
            return Smooth(self._transition, f"softmax over s' of {_show(self.offset)} + a·{_show(self.slope)}")
        if f.role == "actor":
            return Smooth(self._actor, f"{_show(self.mean)} + θ·{_show(self.move)} + 0.2·θ²")
        return super().function(f)

    def describe(self, symbols: Sequence[sp.Symbol], functions: Sequence[type]) -> str:
        """Everything needed to repeat the computation."""
        head = f"with {self.states} states, terminal: {_show(self.terminal)}, p_0 = {_show(self.p0)}"
        made = [f"{text(f_name(f))}: {self.function(f).says(*map(text, f.parameters))}" for f in functions if f.role != "initial"]
        return ", ".join([head, *self.settings(symbols), *made])


CONSTANTS = {"A": (0.6, 1.1), "B": (0.4, 1.2), "q": (0.3, 1.5), "c": (0.1, 1.0)}


class LinearQuadratic(DensityWorld):
    """s′ = A s + B a, r(s, a) = −(q s² + c a²), μ_k(s) = −k s: values from the Lyapunov equation, the best gain from the Riccati equation.

    A, B, q, c are the variables of those names, real(name, *CONSTANTS[name]). Gains need γ (A − B k)² < 1, e.g. real("k", 0.2, 0.9).
    """

    instances, method = "linear-quadratic systems", "in closed form"
    own_names = tuple(CONSTANTS)                                            # may be given although no symbol of the step has the name

    def constants(self, walk: Walk) -> list[np.ndarray]:
        """A, B, q, c, each as the derivation sees it (it may be differentiating)."""
        return [walk(lq_constant(name)) for name in CONSTANTS]

    def function(self, f: type) -> object:
        a, b, q, c = (self.value(lq_constant(name)) for name in CONSTANTS)
        if f.role == "reward":
            return Smooth(lambda s, u: -(q * s**2 + c * u**2), f"−({q}·s² + {c}·a²)")
        if f.role == "actor":
            return Smooth(lambda k, s: -k * s, "−k·s")
        if f.__name__ == "f":
            return Smooth(lambda s, u: a * s + b * u, f"{a}·s + {b}·a")
        return super().function(f)

    def describe(self, symbols: Sequence[sp.Symbol], functions: Sequence[type]) -> str:
        """The constants, also where only a value hides them, then the rest."""
        return super().describe(sorted({*symbols, *map(lq_constant, CONSTANTS)}, key=str), functions)

    def closed_form(self, expr: laws.Value, walk: Walk) -> np.ndarray:
        """V^k(s) = −p s² − noise, Q^k(s, a) = r + γ V(A s + B a); p = (q + c k²)/(1 − γ (A − B k)²) solves the Lyapunov equation."""
        name, law, gamma, s, *action = expr.args
        gain, sigma = self.gain(law, walk)
        gamma, s, (a, b, q, c) = walk(gamma), walk(s), self.constants(walk)
        p = (q + c * gain**2) / (1 - gamma * (a - b * gain) ** 2)
        noise = np.where(sigma == 0, 0.0, (c + gamma * p * b**2) * sigma**2 / (1 - gamma))       # no noise is none, also at γ = 1
        v = -p * s**2 - noise
        if name.name == "V":
            return v
        u = walk(action[0])
        quality = -(q * s**2 + c * u**2) - gamma * (p * (a * s + b * u) ** 2 + noise)
        return quality - v if name.name == "A" else quality

    def gain(self, law: sp.Basic, walk: Walk) -> tuple[np.ndarray, np.ndarray]:
        """k and σ of a deterministic or Gaussian linear policy."""
        mean, sigma = (law.mu, walk(law.sigma)) if hasattr(law, "mu") else (law, np.float64(0))
        return -walk.inside({laws.HERE: np.float64(1)})(mean), sigma

    def along(self, law: sp.Basic, gamma: np.ndarray, variable: sp.Symbol, body: sp.Basic, walk: Walk) -> np.ndarray:
        """(1 − γ) Σ_t γ^t body(s_t) on the path s_t = (A − B k)^t s_0 of the deterministic policy."""
        gain, _ = self.gain(law, walk)
        a, b, _, _ = self.constants(walk)
        t = walk.lead(np.arange(TERMS))
        states = (a - b * gain) ** t * walk(lq_start())
        return (1 - gamma) * (gamma**t * walk.inside({variable: states}, 1)(body)).sum(0)


def lq_constant(name: str) -> sp.Symbol:
    """The variable that holds a constant of the linear-quadratic world: "A", "B", "q" or "c"."""
    return real(name, *CONSTANTS[name])


def lq_start() -> sp.Symbol:
    """s_0, the state in which the linear-quadratic world starts."""
    return real("s_0", 0.5, 2)


def riccati_gain(a: float, b: float, q: float, c: float, gamma: float) -> float:
    """k* of the discounted problem: k = γ p a b/(c + γ p b²) with p = q + γ p a² − γ² p² a² b²/(c + γ p b²)."""
    from scipy.linalg import solve_discrete_are

    root = np.sqrt(gamma)
    p = solve_discrete_are(*(np.atleast_2d(float(x)) for x in (root * a, root * b, q, c)))[0, 0]
    return float(gamma * p * a * b / (c + gamma * p * b**2))


@functools.cache
def action_worlds(count: int = 20, seed: int = 0) -> tuple[ActionWorld, ...]:
    """Three small processes with continuous actions, then `count` random ones."""
    return tuple(ActionWorld(index, seed) for index in range(3 + count))


@functools.cache
def lq_worlds(count: int = 20, seed: int = 0) -> tuple[LinearQuadratic, ...]:
    """Linear-quadratic worlds: three with round numbers, then `count` random ones."""
    return tuple(LinearQuadratic(index, seed) for index in range(3 + count))
