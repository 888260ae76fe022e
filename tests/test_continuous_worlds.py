"""Worlds with continuous actions and the linear-quadratic world: against simulation, finite differences and scipy's Riccati solver."""

import numpy as np
import pytest

from rlcourse.notation import (
    E,
    LinearQuadratic,
    N,
    Sum,
    action_worlds,
    actor,
    dynamics,
    evaluate,
    grad,
    grad_at,
    initial,
    log,
    lq_constant,
    lq_start,
    lq_worlds,
    positive,
    real,
    reward,
    riccati_gain,
    sin,
    state,
)

s, s1, a = state("s"), state("s'"), real("a")
r, P, p0 = reward(), dynamics(), initial()
theta, gamma, sigma = real("theta"), real("gamma", 0.3, 0.95), positive("sigma", 0.2, 0.6)
mu = actor("mu", theta)
WORLDS = action_worlds()[:7]
start = Sum(s, p0(s) * mu.V(s, gamma))

k, x = real("k", 0.2, 0.9), real("s", -2, 2)
gain = actor("mu", k)
LQ = lq_worlds()[:8]


@pytest.mark.parametrize("world", WORLDS, ids=lambda w: f"world{w.index}")
def test_values_satisfy_their_equations(world):
    bellman = r(s, mu(s)) + gamma * E(s1, P.at(s, mu(s)), mu.V(s1, gamma))
    assert evaluate(mu.V(s, gamma), world) == pytest.approx(evaluate(bellman, world), abs=1e-10)
    assert evaluate(mu.Q(s, mu(s), gamma), world) == pytest.approx(evaluate(mu.V(s, gamma), world), abs=1e-10)
    noisy = mu.gaussian(sigma)
    mean = E(a, N(mu(s), sigma), noisy.Q(s, a, gamma))
    assert evaluate(noisy.V(s, gamma), world) == pytest.approx(evaluate(mean, world), abs=1e-9)
    assert evaluate(Sum(s1, P(s1, s, a)), world) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("world", WORLDS, ids=lambda w: f"world{w.index}")
def test_the_deterministic_policy_gradient_holds_with_q_fixed_and_fails_with_the_full_derivative(world):
    value = [evaluate(start, world.fixed(theta=world.value(theta) + h)) for h in (1e-5, -1e-5)]
    slope = (value[0] - value[1]) / 2e-5
    fixed = Sum(s, mu.rho(s, gamma) * (grad(theta, mu(s)) * grad_at(a, mu.Q(s, a, gamma), mu(s))))
    full = Sum(s, mu.rho(s, gamma) * grad(theta, mu.Q(s, mu(s), gamma)))
    assert evaluate(fixed, world) == pytest.approx(slope, abs=1e-7 * max(1, abs(slope)))
    assert abs(evaluate(full, world) - slope) > 0.01


def test_the_stochastic_gradient_is_that_of_the_gaussian_policys_value():
    noisy = mu.gaussian(sigma)
    score = Sum(s, noisy.rho(s, gamma) * E(a, N(mu(s), sigma), grad(theta, log(N(mu(s), sigma).pdf(a))) * noisy.Q(s, a, gamma)))
    for world in WORLDS[:4]:
        value = [evaluate(Sum(s, p0(s) * noisy.V(s, gamma)), world.fixed(theta=world.value(theta) + h)) for h in (1e-5, -1e-5)]
        assert evaluate(score, world) == pytest.approx((value[0] - value[1]) / 2e-5, abs=1e-6)


@pytest.mark.parametrize("world", LQ, ids=lambda w: f"world{w.index}")
def test_linear_quadratic_values_equal_a_simulation(world):
    big_a, big_b, q, c = (world.value(lq_constant(n)) for n in "ABqc")
    g, gain_, now = world.value(gamma), world.value(k), world.value(lq_start())
    assert g * (big_a - big_b * gain_) ** 2 < 1
    total, visited = 0.0, 0.0
    for step in range(3000):
        total -= g**step * (q + c * gain_**2) * now**2
        visited += g**step * np.sin(now)
        now = (big_a - big_b * gain_) * now
    assert evaluate(gain.V(lq_start(), gamma), world) == pytest.approx(total, rel=1e-9)
    assert evaluate(E(x, gain.visits(gamma), sin(x)) / (1 - gamma), world) == pytest.approx(visited, rel=1e-9, abs=1e-9)


def test_noise_costs_what_a_simulation_of_second_moments_says():
    world = LQ[4]
    big_a, big_b, q, c = (world.value(lq_constant(n)) for n in "ABqc")
    g, gain_, sd, second, total = world.value(gamma), world.value(k), world.value(sigma), world.value(lq_start()) ** 2, 0.0
    for step in range(3000):
        total -= g**step * (q * second + c * (gain_**2 * second + sd**2))
        second = (big_a - big_b * gain_) ** 2 * second + big_b**2 * sd**2
    assert evaluate(gain.gaussian(sigma).V(lq_start(), gamma), world) == pytest.approx(total, rel=1e-9)
    bellman = evaluate(E(a, N(gain(x), sigma), gain.gaussian(sigma).Q(x, a, gamma)), world)
    assert evaluate(gain.gaussian(sigma).V(x, gamma), world) == pytest.approx(bellman, rel=1e-9)


def test_the_riccati_gain_is_the_best_gain():
    for world in LQ:
        numbers = [world.value(lq_constant(n)) for n in "ABqc"]
        best = riccati_gain(*numbers, world.value(gamma))
        cost = [evaluate(gain.V(lq_start(), gamma), world.fixed(k=best + h)) for h in (-0.01, 0.0, 0.01)]
        assert cost[1] > max(cost[0], cost[2])
        slope = grad(k, gain.V(lq_start(), gamma))
        assert evaluate(slope, world.fixed(k=best)) == pytest.approx(0, abs=1e-8)


def test_a_linear_quadratic_world_can_be_given():
    world = LinearQuadratic(0, A=1, B=1, q=1, c=1, gamma=0.5, k=0.5, s_0=2)
    p = 1.25 / (1 - 0.5 * 0.25)
    assert evaluate(gain.V(lq_start(), gamma), world) == pytest.approx(-4 * p)
    assert evaluate(gain.Q(lq_start(), a, gamma), world.fixed(a=1.0)) == pytest.approx(-5 - 0.5 * p * 9)
