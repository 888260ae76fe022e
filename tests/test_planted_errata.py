"""Wrong steps that are in print: each raises with the step, a world and both values; the corrected line goes through."""

import pytest

from rlcourse.notation import (
    KL,
    LSE,
    Derivation,
    E,
    Larger,
    Min,
    N,
    Pr,
    StepFails,
    Sum,
    TanhN,
    action,
    actor,
    atanh,
    dynamics,
    exp,
    function,
    grad,
    grad_at,
    horizon,
    initial,
    log,
    optimality,
    path,
    policy,
    positive,
    real,
    reward,
    state,
    tanh,
    terminal,
    time,
)

t, k, T, tau, tau1, tau2 = time("t"), time("k"), horizon(), path(), path("tau_1"), path("tau_2")
s, a, s1, a1, r, P, p0, d = state("s"), action("a"), state("s'"), action("a'"), reward(), dynamics(), initial(), terminal()
theta, gamma, alpha = real("theta"), real("gamma", 0.3, 0.95), positive("alpha")
pi, mu, soft = policy("pi", theta), policy("mu"), policy("pi'")
x, u, sigma, ratio, epsilon, A = real("x", -1, 1), real("u"), positive("sigma"), positive("rho", 0.2, 2.5), real("epsilon", 0.1, 0.3), real("A")
Q, V, q1, q2 = function("Q", s, a), function("V", s), function("Q_1", s, a), function("Q_2", s, a)
O = optimality(r, alpha)
total, score = Sum(t, 0, T - 1, r[t]), grad(theta, log(pi(a[t], s[t])))
mean, action_value = actor("mu", theta), real("a")
clipped = Larger(Min(ratio, 1 + epsilon), 1 - epsilon)
R, g = function("R", tau), function("g", tau)
batch_mean = (R(tau1) + R(tau2)) / 2
message = Pr(mu.given((s[t], s), (a[t], a)), O[t:T])
lost = KL(pi, mu.given(O[0:T]))
objective = E(tau, pi, Sum(t, 0, T - 1, r[t] / alpha - log(pi(a[t], s[t]) / mu(a[t], s[t]))))

START = Sum(s, p0(s) * mean.V(s, gamma))
SOFT = r(s, a) + gamma * E(s1, P.at(s, a), (1 - d(s1)) * E(a1, soft.at(s1), Min(q1(s1, a1), q2(s1, a1)) - alpha * log(soft(a1, s1))))
DEFINED = {
    "in-batch baseline": [(R(tau), total), (g(tau), grad(theta, log(pi.law.probability())))],
    "Boltzmann policy": [(soft(a, s), exp((Q(s, a) - V(s)) / alpha)), (V(s), alpha * LSE(a, Q(s, a) / alpha))],
}

# name, the line before, as printed, corrected
PRINTED = [
    ("tanh twice", TanhN(0, sigma).pdf(x), N(0, sigma).pdf(atanh(x)) / (1 - tanh(x) ** 2), N(0, sigma).pdf(atanh(x)) / (1 - x**2)),
    ("KL without ln Z", lost, -objective, -objective + log(Pr(mu, O[0:T]))),
    ("a second sum over time", grad(theta, E(tau, pi, total)),
     E(tau, pi, Sum(t, 0, T - 1, grad(theta, log(pi.law.probability())) * total)), E(tau, pi, grad(theta, log(pi.law.probability())) * total)),
    ("in-batch baseline", E(tau1, pi, E(tau2, pi, (g(tau1) * (R(tau1) - batch_mean) + g(tau2) * (R(tau2) - batch_mean)) / 2)),
     E(tau, pi, g(tau) * R(tau)), E(tau, pi, g(tau) * R(tau)) / 2),
    ("the full derivative of Q", grad(theta, START), Sum(s, mean.rho(s, gamma) * grad(theta, mean.Q(s, mean(s), gamma))),
     Sum(s, mean.rho(s, gamma) * (grad(theta, mean(s)) * grad_at(action_value, mean.Q(s, action_value, gamma), mean(s))))),
    ("all optimality variables", message, exp(r(s, a) / alpha) * E(s1, P.at(s, a), Pr(mu.given((s[t + 1], s1)), O[0:T])),
     exp(r(s, a) / alpha) * E(s1, P.at(s, a), Pr(mu.given((s[t + 1], s1)), O[t + 1 : T]))),
    ("a policy without its prior", Pr(mu.given((s[t], s), O[0:T]), (a[t], a)), message / Pr(mu.given((s[t], s)), O[t:T]),
     message / Pr(mu.given((s[t], s)), O[t:T]) * mu(a, s)),
    ("the future does not tilt the dynamics", P(s1, s, a), Pr(mu.given((s[t], s), (a[t], a), O[t:T]), (s[t + 1], s1)),
     Pr(mu.given((s[t], s), (a[t], a), O[t]), (s[t + 1], s1))),
    ("entropy outside the discount", SOFT,
     r(s, a) + E(s1, P.at(s, a), (1 - d(s1)) * E(a1, soft.at(s1), gamma * Min(q1(s1, a1), q2(s1, a1)) - alpha * log(soft(a1, s1)))),
     r(s, a) + gamma * E(s1, P.at(s, a), (1 - d(s1)) * E(a1, soft.at(s1), Min(q1(s1, a1), q2(s1, a1)) + alpha * log(1 / soft(a1, s1))))),
    ("no terminal mask", SOFT, r(s, a) + gamma * E(s1, P.at(s, a), E(a1, soft.at(s1), Min(q1(s1, a1), q2(s1, a1)) - alpha * log(soft(a1, s1)))),
     r(s, a) + gamma * E(s1, P.at(s, a), (1 - d(s1)) * E(a1, soft.at(s1), Min(q2(s1, a1), q1(s1, a1)) - alpha * log(soft(a1, s1))))),
    ("clip without the other branch", Min(ratio * A, clipped * A), Min(ratio, clipped) * A,
     Larger(A, 0) * Min(ratio, 1 + epsilon) + Min(A, 0) * Larger(ratio, 1 - epsilon)),
    ("Q struck out as a baseline", E(tau, pi, Sum(t, 0, T - 1, score * (Q(s[t], a[t]) - V(s[t])))), E(tau, pi, Sum(t, 0, T - 1, score * -V(s[t]))),
     E(tau, pi, Sum(t, 0, T - 1, score * Q(s[t], a[t])))),
    ("temperature forgotten", soft(a, s), exp(Q(s, a)) / Sum(a1, exp(Q(s, a1))), exp(Q(s, a) / alpha) / Sum(a1, exp(Q(s, a1) / alpha))),
    ("the matrix the wrong way round", Sum(s, p0(s) * Sum(a, pi(a, s) * P(s1, s, a))), Sum(s, p0(s) * Sum(a, pi(a, s1) * P(s, s1, a))),
     E(s, pi.visits(0), E(a, pi.at(s), P(s1, s, a)))),
]


def chain(name: str, before: object) -> Derivation:
    made = Derivation(f"In print: {name}", "00.0", before)
    for left, right in reversed(DEFINED.get("Boltzmann policy" if name == "temperature forgotten" else name, [])):
        made = made.define(left, right)
    return made


@pytest.mark.parametrize(("name", "before", "printed", "corrected"), PRINTED, ids=[row[0] for row in PRINTED])
def test_a_step_as_printed_raises_with_a_counterexample_and_its_correction_holds(name, before, printed, corrected):
    with pytest.raises(StepFails) as caught:
        chain(name, before).step(printed, because="as printed")
    message = str(caught.value)
    assert "step 1 (as printed) does not hold" in message and "in the world " in message
    left, right = (float(message.split(f"{which}:")[1].split(" is ")[1].split("\n")[0]) for which in ("the line before", "this line"))
    assert abs(left - right) > 1e-6 * max(1, abs(left))
    assert chain(name, before).step(corrected, because="corrected").checked == 1
