"""Decision processes as expressions: every value against something that does not enumerate (recursions, linear algebra, simulation, closed forms)."""

import numpy as np
import pytest

from rlcourse.notation import (
    KL,
    LSE,
    E,
    FiniteWorld,
    H,
    Max,
    Min,
    Pr,
    Prod,
    Sum,
    action,
    dynamics,
    evaluate,
    exp,
    finite_worlds,
    function,
    grad,
    horizon,
    initial,
    latex,
    log,
    oo,
    optimality,
    path,
    policy,
    positive,
    real,
    reward,
    state,
    terminal,
    text,
    time,
)
from rlcourse.notation.endless import NotDiscounted
from rlcourse.notation.finite import OutsideHorizon

t, k, T, tau = time("t"), time("k"), horizon(), path()
s, a, s1, r, P, p0, d = state("s"), action("a"), state("s'"), reward(), dynamics(), initial(), terminal()
theta, gamma, alpha = real("theta"), real("gamma", 0.3, 0.95), positive("alpha")
pi, b, mu, q = policy("pi", theta), policy("b"), policy("mu"), policy("q", timed=True)
WORLDS = finite_worlds()[:14]
score = grad(theta, log(pi(a[t], s[t])))
total = Sum(t, 0, T - 1, r[t])


def table(p: policy, world: FiniteWorld) -> np.ndarray:
    """π (S, A), read off entry by entry."""
    return np.array([[evaluate(p(a, s), at(world, s=i, a=j)) for j in range(world.actions)] for i in range(world.states)])


def at(world: FiniteWorld, **given: float) -> FiniteWorld:
    return world.fixed(**{name: float(x) for name, x in given.items()})


def expected_return(world: FiniteWorld, shift: float = 0.0) -> float:
    """J by backward recursion, at θ + shift."""
    moved = world.fixed(theta=world.value(theta) + shift)
    p, rewards, v = table(pi, moved), world.rewards(), np.zeros(world.states)
    for _ in range(world.horizon):
        v = (p * (rewards + world.P @ v)).sum(1)
    return float(world.p0 @ v)


@pytest.mark.parametrize("world", WORLDS, ids=lambda w: f"world{w.index}")
def test_a_return_over_listed_trajectories_equals_the_backward_recursion(world):
    assert evaluate(E(tau, pi, total), world) == pytest.approx(expected_return(world), abs=1e-12)


@pytest.mark.parametrize("world", WORLDS[:8], ids=lambda w: f"world{w.index}")
def test_the_gradient_of_the_return_equals_a_difference_of_backward_recursions(world):
    slope = (expected_return(world, 1e-5) - expected_return(world, -1e-5)) / 2e-5
    assert evaluate(grad(theta, E(tau, pi, total)), world) == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize(
    "form",
    [
        Sum(tau, grad(theta, pi.law.probability()) * total),
        E(tau, pi, Sum(t, 0, T - 1, score) * total),
        E(tau, pi, Sum(t, 0, T - 1, score * Sum(k, t, T - 1, r[k]))),
        E(tau, pi, Sum(t, 0, T - 1, score * E(tau, pi.given(s[t], a[t]), Sum(k, t, T - 1, r[k])))),
        E(tau, b, Prod(t, 0, T - 1, pi(a[t], s[t]) / b(a[t], s[t])) * Sum(t, 0, T - 1, score) * total),
    ],
    ids=["trajectories", "score", "reward-to-go", "conditional", "importance"],
)
def test_the_policy_gradient_in_five_forms(form):
    for world in WORLDS:
        assert evaluate(form, world) == pytest.approx(evaluate(grad(theta, E(tau, pi, total)), world), abs=1e-9)


def test_trajectory_probabilities_add_up_to_one_and_weigh_the_expectation():
    for world in WORLDS:
        assert evaluate(Sum(tau, pi.law.probability()), world) == pytest.approx(1, abs=1e-12)
        weighed = evaluate(Sum(tau, pi.law.probability() * total), world)
        assert weighed == pytest.approx(evaluate(E(tau, pi, total), world), abs=1e-12)


def test_a_conditional_expectation_is_defined_where_the_trajectory_never_goes():
    world = FiniteWorld(0, P=np.array([[[1.0, 0], [1, 0]], [[0, 1], [0, 1]]]), p0=np.array([1.0, 0]), r=np.array([[1.0, 1], [5, 5]]), T=2)
    never = E(tau, pi.given((s[1], s)), r[1])
    assert evaluate(never, at(world, s=1)) == pytest.approx(5)


def test_conditioning_on_a_later_state_looks_back():
    world = FiniteWorld(0, P=np.array([[[0.5, 0.5], [0.5, 0.5]], [[0, 1.0], [0, 1]]]), p0=np.array([0.5, 0.5]), T=2, s=0)
    back = Pr(pi.given((s[1], s)), (s[0], s))                              # only state 0 leads to state 0
    assert evaluate(back, world) == pytest.approx(1)
    assert evaluate(Pr(pi, (s[1], s)), world) == pytest.approx(0.25)


def test_values_and_visits_equal_a_long_sum_of_matrix_powers():
    for world in WORLDS[:8]:
        g, p, rewards = world.value(gamma), table(pi, world), world.rewards()
        p_pi, r_pi = np.einsum("sa,sab->sb", p, world.P), (p * rewards).sum(1)
        v, rho, now = np.zeros(world.states), np.zeros(world.states), np.array(world.p0)
        for step in range(800):
            rho += g**step * now
            v += g**step * np.linalg.matrix_power(p_pi, step) @ r_pi
            now = now @ p_pi
        for i in range(world.states):
            here = at(world, s=i, a=0)
            assert evaluate(pi.V(s, gamma), here) == pytest.approx(v[i], abs=1e-9)
            assert evaluate(pi.rho(s, gamma), here) == pytest.approx(rho[i], abs=1e-9)
            assert evaluate(pi.Q(s, a, gamma), here) == pytest.approx(rewards[i, 0] + g * world.P[i, 0] @ v, abs=1e-9)
            assert evaluate(pi.A(s, a, gamma) + pi.V(s, gamma), here) == pytest.approx(evaluate(pi.Q(s, a, gamma), here), abs=1e-9)
        assert evaluate(E(tau, pi, Sum(t, 0, oo, gamma**t * r[t])), world) == pytest.approx(world.p0 @ v, abs=1e-9)
        assert evaluate(E(s, pi.visits(gamma), 1), world) == pytest.approx(1, abs=1e-12)


def test_endless_sums_condition_on_their_first_state_and_action_and_refuse_others():
    world = WORLDS[4]
    endless = Sum(t, 0, oo, gamma**t * r[t])
    assert evaluate(E(tau, pi.given((s[0], s)), endless), world) == pytest.approx(evaluate(pi.V(s, gamma), world), abs=1e-12)
    assert evaluate(E(tau, pi.given((s[0], s), (a[0], a)), endless), world) == pytest.approx(evaluate(pi.Q(s, a, gamma), world), abs=1e-12)
    next_value = E(tau, pi, Sum(t, 0, oo, gamma**t * pi.V(s[t + 1], gamma)))
    later = E(tau, pi, Sum(t, 0, oo, gamma**t * pi.V(s[t], gamma))) - Sum(s, p0(s) * pi.V(s, gamma))
    assert evaluate(gamma * next_value, world) == pytest.approx(evaluate(later, world), abs=1e-9)
    with pytest.raises(NotDiscounted, match="first time of the sum"):
        evaluate(E(tau, pi.given((s[1], s)), endless), world)
    with pytest.raises(NotDiscounted, match="do not shrink by one factor"):
        evaluate(E(tau, pi, Sum(t, 0, oo, t * gamma**t * r[t])), world)


def test_the_next_action_of_an_endless_trajectory_is_the_policys():
    following = E(tau, pi, Sum(t, 0, oo, gamma**t * pi.Q(s[t + 1], a[t + 1], gamma)))
    states = E(tau, pi, Sum(t, 0, oo, gamma**t * pi.V(s[t + 1], gamma)))
    shifted = (E(tau, pi, Sum(t, 0, oo, gamma**t * r[t])) - E(tau, pi, Sum(t, 0, 0, r[t]))) / gamma
    for world in WORLDS[:6]:
        assert evaluate(following, world) == pytest.approx(evaluate(states, world), abs=1e-9)
        assert evaluate(E(tau, pi, Sum(t, 0, oo, gamma**t * r[t + 1])), world) == pytest.approx(evaluate(shifted, world), abs=1e-9)


def test_an_endless_sum_may_start_late():
    world = WORLDS[5]
    tail = E(tau, pi, Sum(t, 1, oo, gamma**t * r[t]))
    whole = E(tau, pi, Sum(t, 0, oo, gamma**t * r[t])) - E(tau, pi, Sum(t, 0, 0, r[t]))
    assert evaluate(tail, world) == pytest.approx(evaluate(whole, world), abs=1e-10)


def test_a_geometric_series_without_a_trajectory():
    world = FiniteWorld(0, gamma=0.9)
    assert evaluate(Sum(t, 0, oo, gamma**t), world) == pytest.approx(10)
    assert evaluate(Sum(t, 0, T - 1, gamma**t), world) == pytest.approx(1.9)
    assert evaluate(Sum(t, 1, 0, gamma**t), world) == 0 and evaluate(Prod(t, 1, 0, gamma**t), world) == 1


def test_two_named_trajectories_are_independent():
    R, tau1, tau2 = function("R", tau), path("tau_1"), path("tau_2")
    definitions = {R: ((tau,), total)}
    for world in WORLDS[:6]:
        both = evaluate(E(tau1, pi, E(tau2, pi, R(tau1) * R(tau2))), world, definitions)
        one = evaluate(E(tau1, pi, R(tau1)), world, definitions)
        square = evaluate(E(tau1, pi, E(tau2, pi, R(tau1) * R(tau1))), world, definitions)
        assert both == pytest.approx(one**2, abs=1e-10) and square > one**2


def test_backward_messages_follow_their_recursion_and_the_posterior_policy_is_a_law():
    optimal = optimality(r, alpha)
    for world in WORLDS:
        message = Pr(mu.given((s[t], s), (a[t], a)), optimal[t:T])
        step = exp(r(s, a) / alpha) * E(s1, P.at(s, a), Pr(mu.given((s[t + 1], s1)), optimal[t + 1 : T]))
        assert evaluate(message, world) == pytest.approx(evaluate(step, world), rel=1e-10)
        assert evaluate(Sum(a, Pr(mu.given((s[t], s), optimal[t:T]), (a[t], a))), world) == pytest.approx(1, abs=1e-12)
        assert evaluate(Pr(mu.given((s[t], s), (a[t], a)), optimal[t]), world) == pytest.approx(evaluate(exp(r(s, a) / alpha), world), rel=1e-12)


def test_divergences_are_zero_for_equal_laws_positive_else_and_additive_over_time():
    for world in WORLDS:
        assert evaluate(KL(pi.at(s), pi.at(s)), world) == pytest.approx(0, abs=1e-15)
        assert evaluate(KL(pi.at(s), b.at(s)), world) > 0
        chain = E(tau, pi, Sum(t, 0, T - 1, KL(pi.at(s[t]), b.at(s[t]))))
        assert evaluate(KL(pi, b.law), world) == pytest.approx(evaluate(chain, world), abs=1e-10)
        assert evaluate(H(pi.at(s)), world) == pytest.approx(-sum(x * np.log(x) for x in table(pi, world)[world.value(s)]), abs=1e-12)


def test_sets_are_summed_multiplied_maximised():
    world = WORLDS[6]
    entries = [evaluate(r(s, a), at(world, s=world.value(s), a=j)) for j in range(world.actions)]
    assert evaluate(Sum(a, r(s, a)), world) == pytest.approx(sum(entries))
    assert evaluate(Max(a, r(s, a)), world) == pytest.approx(max(entries))
    assert evaluate(Prod(a, r(s, a)), world) == pytest.approx(np.prod(entries))
    assert evaluate(LSE(a, r(s, a)), world) == pytest.approx(np.log(np.exp(entries).sum()))
    assert evaluate(Sum(a, 1), world) == world.actions and evaluate(LSE(a, r(s, a) - r(s, a)), world) == pytest.approx(np.log(world.actions))
    assert evaluate(Min(alpha, alpha + 1), world) == world.value(alpha)
    assert evaluate(LSE(a, 1000 * r(s, a)) / 1000, world) == pytest.approx(max(entries), abs=1e-2)


def test_a_policy_that_changes_with_time_is_a_law_at_every_time():
    world = WORLDS[4]
    for step in range(world.horizon):
        assert evaluate(Sum(a, q(a, s, t)), at(world, t=step)) == pytest.approx(1)
    chain = E(tau, q, Sum(t, 0, T - 1, KL(q.at(s[t], t), mu.at(s[t]))))
    assert evaluate(KL(q, mu.law), world) == pytest.approx(evaluate(chain, world), abs=1e-10)
    with pytest.raises(TypeError, match=r"changes with time: call it with \(a, s, t\)"):
        q(a, s)


def test_a_defined_policy_is_a_law():
    Q, soft = function("Q", s, a), policy("pi_soft")
    definitions = {soft.function: ((a, s), exp(Q(s, a) - LSE(a, Q(s, a))))}
    for world in WORLDS[:5]:
        assert evaluate(E(a, soft.at(s), 1), world, definitions) == pytest.approx(1)
        assert evaluate(E(tau, soft, 1), world, definitions) == pytest.approx(1)
        bellman = Sum(a, soft(a, s) * (r(s, a) + gamma * E(s1, P.at(s, a), soft.V(s1, gamma))))
        assert evaluate(soft.V(s, gamma), world, definitions) == pytest.approx(evaluate(bellman, world, definitions), abs=1e-10)


def test_times_outside_the_horizon_are_refused_with_the_time():
    world = WORLDS[0]
    with pytest.raises(OutsideHorizon, match=f"the action at time {world.horizon} does not exist"):
        evaluate(E(tau, pi, r[T]), world)
    with pytest.raises(OutsideHorizon, match="time -1 lies before"):
        evaluate(E(tau, pi, Sum(t, 0, T - 1, r[t - 1])), world)
    with pytest.raises(TypeError, match="nothing says which one is meant"):
        evaluate(r[t], world)


def test_terminal_states_stay_and_pay_nothing():
    ended = [w for w in finite_worlds() if w.terminal.any()]
    assert ended
    for world in ended:
        last = world.states - 1
        assert world.P[last, :, last].min() == 1 and not world.rewards()[last].any()
        assert evaluate(d(s), at(world, s=last)) == 1


def test_the_worlds_differ_in_kind():
    worlds = finite_worlds()
    assert any(np.isin(w.P, (0, 1)).all() for w in worlds) and any((w.P > 0).all() for w in worlds)
    assert any((w.rewards() < 0).any() for w in worlds) and any((w.rewards() == 0).any() for w in worlds)
    assert {w.horizon for w in worlds} == {2, 3, 4} and {w.states for w in worlds} == {2, 3} and {w.actions for w in worlds} == {2, 3}
    assert all(len(set(np.round(w.p0, 6))) > 1 for w in worlds[:1]) and all(w.rewards("r", 0).max() <= 0 for w in worlds)


def test_a_world_can_be_given_and_says_what_it_is():
    tables = {"P": np.eye(2)[[[0, 1], [1, 0]]], "r": np.array([[1.0, 2], [3, 4]]), "pi": np.array([[0.25, 0.75], [0.5, 0.5]])}
    world = FiniteWorld(0, s=0, T=1, gamma=0.5, **tables)
    fixed = policy("pi")
    assert evaluate(E(a, fixed.at(s), r(s, a)), world) == pytest.approx(0.25 + 1.5)
    described = world.describe([gamma, s], [r.function, fixed.function])
    assert all(piece in described for piece in ("2 states, 2 actions, 1 steps", "γ = 0.5", "s = 0", "[3., 4.]", "0.75"))


def test_varying_one_name_leaves_the_others():
    world, other = WORLDS[5], WORLDS[5].vary("pi")
    assert evaluate(pi(a, s), world) != evaluate(pi(a, s), other)
    assert evaluate(mu(a, s), world) == evaluate(mu(a, s), other) and evaluate(r(s, a), world) == evaluate(r(s, a), other)


@pytest.mark.parametrize(
    ("expr", "written", "plain"),
    [
        (
            E(tau, pi, total),
            r"\mathbb{E}_{\tau \sim \pi_{\theta}}\left[\sum_{t = 0}^{T - 1}\,r_{t}\right]",
            "E_{τ ~ π_θ}[Σ_{t = 0}^(T - 1) r_t]",
        ),
        (score, r"\nabla_{\theta}\,\log \pi_{\theta}(a_{t} \mid s_{t})", "∇_θ log π_θ(a_t | s_t)"),
        (P(s1, s, a), r"P(s' \mid s, a)", "P(s' | s, a)"),
        (pi.Q(s, a, gamma), r"Q^{\pi_{\theta}}(s, a)", "Q^(π_θ)(s, a)"),
        (Pr(mu.given(s[t]), optimality(r, alpha)[t:T]), r"p_{\mu}(\mathcal{O}_{t:T - 1} \mid s_{t})", "p_μ(O_{t:T - 1} | s_t)"),
        (Pr(mu, optimality(r, alpha)[t]), r"p_{\mu}(\mathcal{O}_{t})", "p_μ(O_t)"),
        (KL(pi.at(s), mu.at(s)), r"D_{\mathrm{KL}}(\pi_{\theta}(\cdot \mid s) \,\|\, \mu(\cdot \mid s))", "D_{KL}(π_θ(· | s) ‖ μ(· | s))"),
        (E(a, pi.at(s), r(s, a)), r"\mathbb{E}_{a \sim \pi_{\theta}(\cdot \mid s)}[r(s, a)]", "E_{a ~ π_θ(· | s)}[r(s, a)]"),
        (q(a[t], s[t], t), r"q_{t}(a_{t} \mid s_{t})", "q_t(a_t | s_t)"),
        (
            grad(theta, pi(a, s)) * pi.Q(s, a, gamma),
            r"(\nabla_{\theta}\,\pi_{\theta}(a \mid s))\,Q^{\pi_{\theta}}(s, a)",
            "(∇_θ π_θ(a | s)) Q^(π_θ)(s, a)",
        ),
    ],
)
def test_expressions_read_like_the_slide(expr, written, plain):
    assert latex(expr) == written and text(expr) == plain
