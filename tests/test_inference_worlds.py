"""One trajectory as a number, sums over what a body does not depend on, and one entry of what the code returns: needed by control as inference."""

import pytest

from rlcourse import notation
from rlcourse.notation import Derivation, FiniteWorld, Pr, StepFails, Sum, evaluate, exp, horizon, path

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
