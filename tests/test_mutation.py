"""Mutation of equations: each operator on a small expression, the fate of mutants on weak and on good worlds, and reasons for equality."""

import pytest

from rlcourse.notation import (
    D,
    DensityWorld,
    Derivation,
    E,
    H,
    N,
    P,
    TanhN,
    exp,
    function,
    laws,
    log,
    mutation,
    operators,
    positive,
    real,
    sin,
    tables,
    tanh,
    text,
)
from rlcourse.notation.canonical import canonical, expands_to
from rlcourse.notation.mutants import context_of, mutants
from rlcourse.notation.mutation import CAUGHT, EQUAL, SURVIVOR, UNDECIDED, UNDEFINED

a, x, y, z, mu, theta, eps = (real(name) for name in ("a", "x", "y", "z", "mu", "theta", "epsilon"))
sigma, alpha, gamma, c = positive("sigma"), positive("alpha"), positive("gamma", 0.3, 0.95), positive("c")
Q = function("Q", a)

t, k, T, tau = tables.time("t"), tables.time("k"), tables.horizon("T"), tables.path("tau")
s, s1, b = tables.state("s"), tables.state("s'"), tables.action("b")
r, d, O = tables.reward("r"), tables.terminal("d"), laws.optimality(tables.reward("r"), alpha)
pi, other, prior = laws.policy("pi", theta), laws.policy("beta"), laws.policy("p")
Sum, Prod, Max, Min, LSE, KL = (getattr(operators, name) for name in ("Sum", "Prod", "Max", "Min", "LSE", "KL"))


def made(expr, operator: str, *context) -> set[str]:
    """What one operator makes of an expression, as text."""
    return {text(m.expr) for m in mutants(expr, context_of(expr, *context)) if m.operator == operator}


@pytest.mark.parametrize(
    ("expr", "operator", "expected"),
    [
        (x - y, "sign", {"-x - y", "x + y"}),
        (2 * x, "sign", {"-2 x"}),
        (exp(x), "sign", {"e^(-x)", "-e^x"}),
        (D(x, x * y + log(c)), "dropped constant", {"∂/∂x x y"}),
        (D(x, x * y + log(c)), "dropped summand", {"∂/∂x log(c)"}),
        (x * y, "dropped factor", {"x", "y"}),
        (3 * x, "integer factor", {"2 x", "4 x"}),
        (x / 2, "integer factor", {"x/3"}),                     # x/1 is the dropped factor
        (x**2, "power", {"x", "x³"}),
        (gamma**t * x, "gamma power", {"x", "γ^(t + 1) x", "γ^(t - 1) x"}),
        (gamma * x, "gamma power", {"x", "γ² x"}),
        (x + gamma * (1 - d(s1)) * y, "missing terminal mask", {"x + γ y"}),
        (prior(b, s) * exp(x), "missing prior", {"e^x"}),
        (x / prior(b, s), "missing prior", {"x"}),
        (log(x), "dropped log", {"x"}),
        (exp(x), "dropped exp", {"x"}),
        (tanh(x), "dropped tanh", {"x"}),
        (log(sigma) + log(alpha), "restricted parameter", {"log(1) + log(α)", "log(σ) + log(1)"}),
        (sigma * x, "restricted parameter", set()),          # the same as the dropped factor
        (D(sigma, sigma * x), "restricted parameter", set()),
        (P(x, N(mu, sigma), x <= y), "other inequality", {"P_{x ~ N(μ, σ²)}(x ≥ y)"}),
        (H(N(mu, sigma)), "variance for standard deviation", {"H[N(μ, (σ²)²)]"}),
        (E(eps, N(0, 1), Q(eps)), "variance for standard deviation", set()),
        (r[t], "shifted index", {"r_{t + 1}", "r_{t - 1}", "r(s_{t + 1}, a_t)", "r(s_{t - 1}, a_t)", "r(s_t, a_{t + 1})", "r(s_t, a_{t - 1})"}),
        (Sum(k, t, T - 1, k), "dropped index", {"Σ_{k = 0}^(T - 1) k"}),
        (Sum(k, t, T - 1, k), "shifted index",
         {"Σ_{k = t + 1}^(T - 1) k", "Σ_{k = t - 1}^(T - 1) k", "Σ_{k = t}^T k", "Σ_{k = t}^(T - 2) k"}),
        (Sum(b, s, T, x), "product for sum", {"Π_{b = s}^T x"}),
        (Prod(t, 0, T - 1, x), "sum for product", {"Σ_{t = 0}^(T - 1) x"}),
        (Min(x, y), "max for min", {"max(x, y)"}),
        (operators.Larger(x, y), "min for max", {"min(x, y)"}),
        (Max(b, r(s, b)), "min for max", {"-max_b -r(s, b)"}),
        (LSE(b, r(s, b)), "max for log-sum-exp", {"max_b r(s, b)"}),
        (pi.Q(s, b, gamma), "swapped value function", {"A^(π_θ)(s, b)"}),
        (laws.PathLaw(*pi.given((s[t], s)).args), "dropped clause", {"π_θ"}),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_an_operator_makes_what_it_says(expr, operator, expected):
    assert made(expr, operator) == expected


def test_laws_are_swapped_for_those_that_occur_in_the_derivation():
    expected = {"E_{a ~ β(· | s)}[r(s, a)]", "E_{a ~ p(· | s)}[r(s, a)]"}
    act = tables.action("a")
    line = E(act, pi.at(s), r(s, act))
    assert made(line, "swapped distribution") == set()
    assert made(line, "swapped distribution", other(b, s), prior(b, s)) == expected
    assert made(E(a, N(mu, sigma), Q(a)), "swapped distribution", H(TanhN(mu, sigma))) == {"E_{a ~ tanhN(μ, σ²)}[Q(a)]"}
    assert made(KL(pi.at(s), other.at(s)), "swapped arguments of KL") == {text(KL(other.at(s), pi.at(s)))}


def test_a_policy_that_changes_with_time_takes_the_time_of_what_it_replaces():
    q = laws.policy("q", timed=True)
    assert made(log(pi(b[k], s[k])), "swapped distribution", q(b[t], s[t], t)) == {text(log(q(b[k], s[k], k)))}
    assert made(log(q(b[t], s[t], t)), "swapped distribution", pi(b[k], s[k])) == {text(log(pi(b[t], s[t])))}
    assert made(log(q(b[t], s[t], t)) + log(q(b[k], s[k], k)), "swapped distribution") == set()
    (swapped,) = [m.expr for m in mutants(E(tau, pi, r[t]), context_of(E(tau, pi, r[t]), q(b[t], s[t], t))) if m.operator == "swapped distribution"]
    assert swapped == E(tau, q, r[t])


def test_one_condition_of_several_is_dropped_and_observed_steps_are_shifted():
    law = pi.given((s[t], s), (b[t], b))
    line = E(tau, law, r[t])
    kept = {m.expr.args[1].conditions for m in mutants(line) if m.operator == "dropped clause"}
    assert kept == {law.conditions[:1], law.conditions[1:]}
    seen = {m.expr.args[2:] for m in mutants(O[t:T]) if m.operator in ("shifted index", "dropped index")}
    assert {text(low) + ":" + text(high) for low, high in seen} == {"t + 1:T", "t - 1:T", "t:T + 1", "t:T - 1", "0:T"}


def test_no_mutant_repeats_the_original_or_another():
    line = Sum(t, 0, T - 1, gamma**t * (r[t] - alpha * log(pi(b[t], s[t])))) + 2 * (x - y) * z - (-x)
    keys = [canonical(m.expr) for m in mutants(line)]
    assert len(keys) > 30 and len(set(keys)) == len(keys) and canonical(line) not in keys
    assert canonical(x + (y - z)) == canonical(-z + x + y) and canonical(-1 * (-1 * x) * y) == canonical(y * x)
    assert canonical(x - y) != canonical(y - x) and canonical(x * x) != canonical(x) and canonical(x / y) != canonical(y / x)


def test_a_mutant_says_what_was_changed_and_where():
    (wrong,) = [m for m in mutants(log(2 * x - y)) if m.operator == "integer factor" and "3" in text(m.expr)]
    assert (wrong.where, text(wrong.expr)) == ("2 x", "log(3 x - y)")


# ---- their fate ----------------------------------------------------------------------------------------------------------------------------
def fates(derivation, fate):
    return [(o.step, o.line, o.mutant.operator) for o in mutation.outcomes(derivation) if o.fate == fate]


def second_moment(**settings):
    return Derivation("Second moment", "0.1", E(a, N(mu, sigma), a**2), **settings).step(mu**2 + sigma**2, because="variance plus squared mean")


def test_good_worlds_catch_every_mutant():
    chain = second_moment()
    outcomes = list(mutation.outcomes(chain))
    assert {o.fate for o in outcomes} == {CAUGHT} and {o.line for o in outcomes} == {"right", "start"}
    assert mutation.how_many(chain) == len(outcomes) > 10 and mutation.checked_steps(chain) == {1}


def test_a_weak_world_lets_mutants_survive():
    survivors = fates(second_moment(worlds=[DensityWorld(mu=1, sigma=1)]), SURVIVOR)
    assert (1, "right", "power") in survivors and (1, "right", "restricted parameter") in survivors
    assert (1, "right", "sign") not in survivors


def test_a_step_that_nothing_can_fail_is_not_checked():
    weak = Derivation("x at 0", "0.3", x, worlds=[DensityWorld(x=0)]).step(sin(x), because="at 0")
    assert mutation.checked_steps(weak) == set()
    assert mutation.checked_steps(second_moment()) == {1}


def test_also_equals_turns_a_survivor_into_an_equality_with_its_reason():
    centred = Derivation("An odd moment", "0.4", E(eps, N(0, 1), eps)).step(0, because="the density is even")
    chain = Derivation("Baseline", "0.5", E(eps, N(0, 1), eps * Q(eps)))
    chain = chain.step(E(eps, N(0, 1), eps * (Q(eps) - x)), because="a constant changes nothing")
    before = fates(chain, SURVIVOR)
    assert (1, "right", "sign") in before
    explained = chain.also_equals(E(eps, N(0, 1), eps * (Q(eps) + x)), by=centred)
    assert set(before) - set(fates(explained, SURVIVOR)) == {(1, "right", "sign")}
    (why,) = [o.why for o in mutation.outcomes(explained) if o.fate == EQUAL and o.mutant.operator == "sign"]
    assert why == "equal, because [0.4] An odd moment"


def test_what_sympy_expands_to_the_same_is_equal():
    assert expands_to(E(a, N(mu, sigma), (a + 1) ** 2), E(a, N(mu, sigma), a**2 + 2 * a + 1))
    assert not expands_to(E(a, N(mu, sigma), (a + 1) ** 2), E(a, N(mu, sigma), a**2 + 2 * a))
    assert not expands_to(Q(x), Q(y))


def test_a_mutant_that_is_another_line_of_the_chain_is_equal_by_that_chain():
    chain = Derivation("Second moment", "0.11", E(a, N(mu, sigma), a**2)).step(E(a, N(mu, sigma), a * a), because="a square")
    chain = chain.step(mu**2 + sigma**2, because="variance plus squared mean")
    assert mutation._equal_lines(chain, 2) == [2, 0, 1]
    assert mutation._why_equal(chain, 2, sigma**2 + mu**2, 0) == "equal: it is line 2 of this derivation"
    assert mutation._why_equal(chain, 1, E(a, N(mu, sigma), a**2), 1) == "equal: sympy expands both to the same"
    bound = Derivation("Bounded", "0.12", mu**2).step(mu**2 + sigma**2, because="a square", relation="<=")
    assert mutation._equal_lines(bound, 1) == [1] and mutation._why_equal(bound, 1, mu**2 + 0 * mu, 1) == ""


def test_an_index_outside_the_horizon_has_no_value():
    from rlcourse.notation import endless, finite  # noqa: F401    they say what the nodes are worth

    total = E(tau, pi, Sum(t, 0, T - 1, r[t]))
    chain = Derivation("Importance sampling", "0.13", total)
    weight = Prod(t, 0, T - 1, pi(b[t], s[t]) / other(b[t], s[t]))
    chain = chain.step(E(tau, other, weight * Sum(t, 0, T - 1, r[t])), because="the dynamics cancel")
    outcomes = {text(o.mutant.expr): o for o in mutation.outcomes(chain)}
    late = outcomes[text(E(tau, pi, Sum(t, 0, T, r[t])))]
    assert late.fate == UNDEFINED and "OutsideHorizon" in late.why
    assert outcomes[text(E(tau, pi, Sum(t, 1, T - 1, r[t])))].fate == CAUGHT
    assert outcomes[text(E(tau, other, Sum(t, 0, T - 1, r[t])))].fate == CAUGHT
    assert SURVIVOR not in {o.fate for o in outcomes.values()}


def test_a_mutant_without_a_finite_value_is_undecided():
    logs = Derivation("Twice as much", "0.6", log(c + c)).step(log(2) + log(c), because="logarithm of a product")
    assert {o.fate for o in mutation.outcomes(logs) if text(o.mutant.expr) in ("log(-c + c)", "log(c - c)")} == {UNDECIDED}
    assert {o.fate for o in mutation.outcomes(logs) if text(o.mutant.expr) == "log(2) + c"} == {CAUGHT}


def test_a_removed_assumption_counts_as_a_caught_mutant():
    chain = Derivation("E[a²] is σ²", "0.8", E(a, N(mu, sigma), a**2), worlds=[DensityWorld(mu=0, sigma=s) for s in (0.5, 1.5)])
    chain = chain.step(sigma**2, because="centred").fails_without("the mean is 0", DensityWorld(mu=1, sigma=1))
    assert (1, "assumption", "dropped assumption") in fates(chain, CAUGHT)


def test_the_relation_and_the_named_constant_are_mutated_too():
    bound = Derivation("Jensen", "0.9", E(a, N(mu, sigma), a) ** 2)
    bound = bound.step(E(a, N(mu, sigma), a**2), because="a variance is not negative", relation="<=")
    assert ("relation", "other inequality") in [(line, operator) for _, line, operator in fates(bound, CAUGHT)]
    shift = Derivation("Up to a constant", "0.10", E(a, N(mu, sigma), a + Q(x)))
    shift = shift.up_to(mu, because="Q(x) does not depend on μ", constant=Q(x), free_of=mu)
    assert ("constant", "dropped constant") in [(line, operator) for _, line, operator in fates(shift, CAUGHT)]
    assert {line for _, line, _ in fates(shift, SURVIVOR)} == {"start"}      # the mean does not depend on σ: true, and to be explained
