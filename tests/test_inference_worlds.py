"""One trajectory as a number, sums over what a body does not depend on, and one entry of what the code returns: needed by control as inference."""

import numpy as np
import pytest
from scipy.special import ndtr

from rlcourse import notation
from rlcourse.notation import (
    Derivation,
    E,
    FiniteWorld,
    Min,
    N,
    Pr,
    StepFails,
    Sum,
    density_worlds,
    evaluate,
    exp,
    finite_worlds,
    horizon,
    oo,
    path,
    real,
)

t, T, tau, s, a, s1 = notation.time("t"), horizon(), path(), notation.state("s"), notation.action("a"), notation.state("s'")
mu, r, alpha = notation.policy("mu"), notation.reward("r"), notation.positive("alpha")
O = notation.optimality(r, alpha)
R = notation.function("R", tau)


def test_a_trajectory_without_an_expectation_is_one_that_the_world_has_drawn():
    world, p = FiniteWorld(4), mu.law.probability()
    drawn = world.trajectory("tau")
    table = world.function(mu.function).array.T
    by_hand = world.p0[drawn.states[0]]
    for here, chosen, there in zip(drawn.states, drawn.actions, drawn.states[1:], strict=False):
        by_hand = by_hand * table[here, chosen] * world.P[here, chosen, there]
    assert len(drawn.actions) == world.horizon and evaluate(p, world) == pytest.approx(by_hand, rel=1e-14)
    others = {tuple(map(int, w.trajectory("tau").states)) for w in (world, world.vary("tau"), FiniteWorld(4, seed=1))}
    assert len(others) > 1
    posterior = Derivation("Posterior", "0.1", mu.given(O[0:T]).probability()).define(R(tau), Sum(t, 0, T - 1, r[t]))
    claim = posterior.up_to(p * exp(R(tau) / alpha), factor=1 / Pr(mu, O[0:T]), free_of=tau, because="Bayes")
    assert "τ has the states" in claim._describe(world, R(tau))
    with pytest.raises(StepFails):
        posterior.step(p * exp(R(tau) / alpha), because="without the normaliser")


@pytest.mark.parametrize("index", [0, 4, 5])
def test_a_sum_over_what_the_body_does_not_depend_on_counts_every_term(index):
    world = FiniteWorld(index)
    message = Pr(mu.given((s[t], s), (a[t], a)), O[t:T])
    assert evaluate(Sum(s1, message), world) == pytest.approx(world.states * evaluate(message, world), rel=1e-12)
    assert evaluate(Sum(s1, Sum(a, Pr(mu.given((s[t], s)), O[t:T]))), world) == pytest.approx(
        world.states * world.actions * evaluate(Pr(mu.given((s[t], s)), O[t:T]), world), rel=1e-12
    )


def test_an_entry_of_a_larger_result_is_bound_to_a_line():
    line = Derivation("Reward", "0.2", r(s, a))
    assert line.implements(lambda r: r, lambda world: (world.rewards(),), entry=lambda table, s, a: table[int(s), int(a)]).bindings
    with pytest.raises(StepFails):
        line.implements(lambda r: r, lambda world: (world.rewards(),), entry=lambda table, s, a: table[int(s), int(a)] + 1)
    with pytest.raises(ValueError, match="is one number"):
        line.implements(lambda r: r, lambda world: (world.rewards(),))
    with pytest.raises(TypeError, match="is not among them"):
        line.implements(lambda r: r, lambda world: (world.rewards(),), entry=lambda table, k: table[0, 0])


def test_capped_and_free_rewards_are_two_functions():
    capped, free = notation.reward("r", high=0), notation.reward("r")
    world = FiniteWorld(0)
    assert capped(s, a) != free(s, a)
    assert {evaluate(capped(s, a), world.fixed(s=i, a=j)) > 0 for i in range(2) for j in range(2)} == {False}
    assert any(evaluate(free(s, a), world.fixed(s=i, a=j)) > 0 for i in range(2) for j in range(2))


def test_an_endless_sum_may_stand_inside_another_expectation():
    pi, gamma, P = notation.policy("pi"), real("gamma", 0.3, 0.9), notation.dynamics("P")
    inner = E(tau, pi.given((s[0], s1)), Sum(t, 0, oo, gamma**t * r[t]))
    for world in finite_worlds()[:6]:
        nested = evaluate(E(s1, P.at(s, a), inner), world)
        assert nested == pytest.approx(evaluate(E(s1, P.at(s, a), pi.V(s1, gamma)), world), abs=1e-10)


def test_quadrature_splits_where_a_minimum_changes_sides():
    x, mean, sigma = real("x"), real("m"), notation.positive("sigma")
    for world in density_worlds()[:8]:
        m, sd = world.value(mean), world.value(sigma)
        z = m / sd
        exact = m * ndtr(-z) - sd * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)          # E min(x, 0) of a Gaussian
        assert evaluate(E(x, N(mean, sigma), Min(x, 0)), world) == pytest.approx(exact, abs=1e-12)
