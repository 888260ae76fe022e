"""Laws: policies, trajectories, optimality, and the values and state distributions that belong to a policy.

    t, T, s, a, r, tau = time("t"), horizon("T"), state("s"), action("a"), reward("r"), path("tau")
    theta = real("theta"); pi = policy("pi", theta)
    grad(theta, E(tau, pi, Sum(t, 0, T - 1, r[t])))

`pi.given(s[t], a[t])` conditions an inner expectation on where the outer trajectory is; `pi.given((s[t], s))` on s_t = s.
θ is one real number in a world: policies move along one random direction, so that ∇_θ is a number.
"""

import sympy as sp

from rlcourse.notation.expressions import E, Law, N, Operator
from rlcourse.notation.pens import LatexPen
from rlcourse.notation.tables import HERE, NEXT, NOW, WHEN, A, Blank, Discrete, Lookup, Reward, S, table, time
from rlcourse.notation.written import as_written, log


class Choice(Law):
    """A law on a finite set, π_θ(· | s) or P(· | s, a): args are its probability and the dummy symbol that stands for the outcome."""

    @property
    def free_symbols(self) -> set[sp.Symbol]:
        return self.args[0].free_symbols - {self.args[1]}

    def pdf(self, outcome: object) -> sp.Expr:
        """The probability of an outcome."""
        return self.args[0].xreplace({self.args[1]: as_written(outcome)})

    @property
    def outcome(self) -> Discrete:
        """A variable that runs through the outcomes: actions for a policy, states for the dynamics."""
        return Discrete("x", "action" if self.args[1] == NOW else "state")

    def entropy(self) -> sp.Expr:
        """−Σ p log p, in nats, as an expression."""
        return E(self.outcome, self, -log(self.pdf(self.outcome)))

    def _write(self, pen: LatexPen) -> str:
        return pen.of(self.args[0].xreplace({self.args[1]: Blank("any")}))


class PathLaw(Law):
    """The law of trajectories of a policy: args are π_θ(NOW | HERE), then conditions, (s_t, value) or an observed range O_{t:k}."""

    @property
    def free_symbols(self) -> set[sp.Symbol]:
        return set().union(*(x.free_symbols for x in self.args)) - {HERE, NOW, WHEN}

    @property
    def conditions(self) -> tuple:
        return self.args[1:]

    def probability(self) -> "PathProbability":
        """p(τ), the probability of the trajectory over which the nearest sum or expectation runs."""
        return PathProbability(self)

    def _write(self, pen: LatexPen) -> str:
        template = self.args[0]
        head, index = pen.name(template.func.__name__), [x for x in template.args if x not in (HERE, NOW, WHEN)]
        return pen.sub(head, ", ".join(map(pen.of, index))) if index else head

    def _given(self, pen: LatexPen) -> str:
        return ", ".join(_condition(c, pen) for c in self.conditions)


def _condition(c: sp.Basic, pen: LatexPen) -> str:
    if isinstance(c, Observed) or c[0] == c[1]:
        return pen.of(c if isinstance(c, Observed) else c[0])
    return pen.of(c[0]) + pen.sign("eq") + pen.of(c[1])


class Observed(Operator):
    """O_{t:k-1}: at each of the times t, ..., k − 1 the optimality variable is 1; p(O = 1 | s, a) = exp(r(s, a)/α). args: r(HERE, NOW), α, t, k."""

    def _write(self, pen: LatexPen) -> str:
        low, last = self.args[2], sp.expand(sp.Add(self.args[3], -1))
        return pen.sub(pen.script("O"), pen.of(low) if last == low else pen.of(low) + ":" + pen.of(last))

    @property
    def free_symbols(self) -> set[sp.Symbol]:
        return set().union(*(x.free_symbols for x in self.args[1:]))


class Optimality:
    """O = optimality(r, alpha): O[t:k] says that the steps t, ..., k − 1 were optimal, O[t] that step t was."""

    def __init__(self, r: Reward, alpha: object = 1) -> None:
        self.template, self.alpha = r(HERE, NOW), as_written(alpha)

    def __getitem__(self, times: object) -> Observed:
        low, high = (times.start, times.stop) if isinstance(times, slice) else (times, as_written(times) + 1)
        return Observed(self.template, self.alpha, low, high)


optimality = Optimality


class Policy:
    """pi = policy("pi", theta): pi(a, s) is π_θ(a | s). A law of actions at a state, and of trajectories.

    pi.at(s)            the law of actions at s                     pi.given(s[t], (a[t], a))   trajectories, conditioned
    pi.V(s, gamma), pi.Q(s, a, gamma), pi.A(s, a, gamma)            discounted values, infinite horizon
    pi.rho(s, gamma)    Σ_t γ^t p(s_t = s), unnormalised            pi.visits(gamma)            the same as a law, times 1 − γ

    timed=True: the policy may differ from step to step, q(a, s, t) is q_t(a|s) and q.at(s, t) its law.
    """

    def __init__(self, name: str, *parameters: sp.Symbol, timed: bool = False) -> None:
        self.parameters, self.timed = parameters, timed
        times = (time("t"),) if timed else ()
        self.function = table(name, "policy", (*parameters, *times, A, S), subscripts=len(parameters) + timed, bar=1)

    def __call__(self, a: object, s: object, *t: object) -> sp.Expr:
        if len(t) != self.timed:
            kind = "changes" if self.timed else "does not change"
            raise TypeError(f"The policy {self.function.__name__} {kind} with time: call it with (a, s{', t' * self.timed}).")
        return self.function(*self.parameters, *t, a, s)

    def at(self, s: object, *t: object) -> Choice:
        return Choice(self(NOW, s, *t), NOW)

    @property
    def template(self) -> sp.Expr:
        """π(NOW | HERE), from which laws of trajectories are made."""
        return self(NOW, HERE, *((WHEN,) * self.timed))

    @property
    def law(self) -> PathLaw:
        return self.given()

    def given(self, *conditions: object) -> PathLaw:
        """Trajectories, conditioned: s[t] alone means "where the outer trajectory is", (s[t], s) means s_t = s, O[t:T] optimality."""
        pairs = [c if isinstance(c, (tuple, Observed)) else (c, c) for c in conditions]
        return PathLaw(self.template, *(sp.Tuple(*c) if isinstance(c, tuple) else c for c in pairs))

    def V(self, s: object, gamma: object) -> "Value":
        return Value("V", self.template, gamma, s)

    def Q(self, s: object, a: object, gamma: object) -> "Value":
        return Value("Q", self.template, gamma, s, a)

    def A(self, s: object, a: object, gamma: object) -> "Value":
        return Value("A", self.template, gamma, s, a)

    def rho(self, s: object, gamma: object) -> "Value":
        return Value("rho", self.template, gamma, s)

    def visits(self, gamma: object) -> "Visits":
        return Visits(self.template, gamma)


policy = Policy


class Actor:
    """mu = actor("mu", theta): mu(s) is the deterministic action μ_θ(s), a real number; values as for a policy.

    mu.gaussian(sigma) is the policy 𝒩(μ_θ(s), σ²) with the same methods; E(a, N(mu(s), sigma), ...) its expectation at a state.
    """

    def __init__(self, name: str, *parameters: sp.Symbol) -> None:
        self.parameters = parameters
        self.function = table(name, "actor", (*parameters, S), subscripts=len(parameters))
        self.template = self(HERE)

    def __call__(self, s: object) -> sp.Expr:
        return self.function(*self.parameters, s)

    def gaussian(self, sigma: object) -> "Actor":
        made = object.__new__(Actor)
        made.parameters, made.function, made.template = self.parameters, self.function, N(self(HERE), sigma)
        return made

    V, Q, A, rho, visits = Policy.V, Policy.Q, Policy.A, Policy.rho, Policy.visits


actor = Actor


class Value(Operator):
    """V^π(s), Q^π(s, a), A^π(s, a), ρ^π(s) of the discounted infinite horizon. args: name, π(NOW | HERE), γ, then the arguments."""

    _closed = True

    def __new__(cls, name: object, *args: object) -> "Value":
        return Operator.__new__(cls, sp.Symbol(name) if isinstance(name, str) else name, *args)

    @property
    def free_symbols(self) -> set[sp.Symbol]:
        return set().union(*(x.free_symbols for x in self.args[1:])) - {HERE, NOW, WHEN}

    def _write(self, pen: LatexPen) -> str:
        name, law, _, *args = self.args
        return pen.power(pen.name(name.name), _policy_name(law, pen)) + pen.bracket(", ".join(map(pen.of, args)))


class Visits(Law):
    """d^π(s) = (1 − γ) Σ_t γ^t p(s_t = s), a law of states. args: π(NOW | HERE), γ."""

    @property
    def free_symbols(self) -> set[sp.Symbol]:
        return set().union(*(x.free_symbols for x in self.args)) - {HERE, NOW, WHEN}

    def pdf(self, outcome: object) -> sp.Expr:
        return (1 - self.args[1]) * Value("rho", *self.args, outcome)

    def _write(self, pen: LatexPen) -> str:
        return pen.power(pen.name("d"), _policy_name(self.args[0], pen))


def _policy_name(law: sp.Basic, pen: LatexPen) -> str:
    """π_θ for a stochastic policy, μ_θ for a deterministic one, 𝒩(μ_θ(·), σ²) for a Gaussian around it."""
    if isinstance(law, Lookup):
        return PathLaw(law)._write(pen)
    return pen.of(law.xreplace({HERE: Blank("any")}))


class PathProbability(Operator):
    """p(τ) under a law of trajectories."""

    _closed = True

    def _write(self, pen: LatexPen) -> str:
        law = self.args[0]
        inside = pen.name("tau") + (pen.sign("|") + law._given(pen) if law.conditions else "")
        return pen.sub(pen.name("p"), pen.of(law)) + pen.bracket(inside)


class Dynamics:
    """P = dynamics("P"): P(s1, s, a) is P(s′ | s, a); P.at(s, a) is the law of the next state."""

    def __init__(self, name: str = "P") -> None:
        self.function = table(name, "dynamics", (NEXT, S, A), bar=2)

    def __call__(self, after: object, s: object, a: object) -> sp.Expr:
        return self.function(after, s, a)

    def at(self, s: object, a: object) -> "Choice":
        return Choice(self.function(HERE, s, a), HERE)


dynamics = Dynamics
