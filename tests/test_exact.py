"""The rational mode: fractions are exact, agree with floating point, and what sympy cannot tell stays undecided."""

import pytest
import sympy as sp

from rlcourse.notation import KL, E, Pr, Sum, action, grad, horizon, log, optimality, path, policy, positive, real, reward, state, time
from rlcourse.notation.exact import equal_exactly, evaluate_exact, rational_worlds, vanishes

t, k, T, tau = time("t"), time("k"), horizon(), path()
s, a, r = state("s"), action("a"), reward()
theta, alpha = real("theta"), positive("alpha")
pi, mu = policy("pi", theta), policy("mu")
score, total = grad(theta, log(pi(a[t], s[t]))), Sum(t, 0, T - 1, r[t])


def test_fractions_are_exact_and_agree_with_floating_point():
    gradient, form = grad(theta, E(tau, pi, total)), E(tau, pi, Sum(t, 0, T - 1, score * Sum(k, t, T - 1, r[k])))
    for world in rational_worlds():
        value = evaluate_exact(gradient, world)
        assert value.is_Rational and value != 0 and evaluate_exact(form, world) == value
        shifted = [evaluate_exact(E(tau, pi, total), world.fixed(theta=float(world.value(theta)) + h)) for h in (0.1, -0.1)]
        assert float((shifted[0] - shifted[1]) / sp.Rational(1, 5)) == pytest.approx(float(value), abs=0.05)


def test_fractions_decide_logarithms_and_exponentials():
    optimal = optimality(r, alpha)
    posterior = KL(pi, mu.given(optimal[0:T]))
    objective = E(tau, pi, Sum(t, 0, T - 1, r[t] / alpha - log(pi(a[t], s[t]) / mu(a[t], s[t]))))
    for world in rational_worlds()[:2]:
        assert equal_exactly(posterior, -objective + log(Pr(mu, optimal[0:T])), world) is True
        assert equal_exactly(posterior, -objective, world) is False


def test_what_sympy_cannot_tell_is_undecided():
    hard = sp.log(sp.Integer(2)) * 10**-40
    assert vanishes(sp.Integer(0)) is True and vanishes(sp.Rational(1, 7)) is False
    assert vanishes(hard + sp.Float("1e-60") * sp.zeta(3)) is None
