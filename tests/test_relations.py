"""How lines may stand to each other: each relation with a true, a false and an undecided case, and the worlds on which they are tried."""

import math

import pytest
import sympy as sp

from rlcourse.notation import (
    AssumptionNotNeeded,
    DensityWorld,
    Derivation,
    E,
    N,
    StepFails,
    StepUndecided,
    cos,
    density_worlds,
    erratum,
    exp,
    function,
    log,
    partial,
    positive,
    real,
    sin,
    softplus,
)
from rlcourse.notation.laws import policy
from rlcourse.notation.limits import extrapolated, tends_to_zero
from rlcourse.notation.operators import Sum
from rlcourse.notation.tables import action, reward, state
from rlcourse.notation.verdict import resolve

a, theta, old, c = (real(name) for name in ("a", "theta", "theta_old", "c"))
mu, sigma, alpha, gamma, big = real("mu"), positive("sigma"), positive("alpha"), real("gamma", 0.3, 0.95), positive("n", 1, 5)
Q, f, b = function("Q", a), function("f", theta), function("b", a)
LAW = N(mu, sigma)
LSE = mu + alpha * softplus((c - mu) / alpha)                       # α log(e^(μ/α) + e^(c/α))


def chain(start, **options):
    return Derivation("Test", "0.0", start, **options)


# ---- worlds: other values, and one name drawn anew -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("index", [0, 2, 3, 9])
def test_a_copy_of_a_world_differs_in_what_was_said_and_in_nothing_else(index):
    world = DensityWorld(index)
    other, again = world.fixed(mu=0.37), world.vary("sigma")
    assert other.value(mu) == 0.37 and other.value(sigma) == world.value(sigma) and world.value(mu) != 0.37
    assert again.value(sigma) != world.value(sigma) and again.value(mu) == world.value(mu)
    assert world.vary("Q").function(Q)(0.7) != world.function(Q)(0.7)
    assert world.vary("Q").function(b)(0.7) == world.function(b)(0.7)
    assert world.vary("sigma") is again and again.vary("mu").value(sigma) == again.value(sigma)
    assert DensityWorld(index, mu=5.0).vary("mu").value(mu) != 5.0
    assert world.fixed(mu=0.1).fixed(mu=0.2).value(mu) == 0.2


def test_standard_worlds_come_from_the_expression():
    assert resolve(4, [mu]) == density_worlds(4)
    with pytest.raises(ValueError, match="is not known"):
        resolve("symbolical")
    with pytest.raises(ValueError, match="rational"):
        chain(mu).step(mu + 0, because="fractions of a density", worlds="rational")


def test_fractions_are_equal_and_not_merely_close():
    s, one = state("s"), action("a")
    pi, r = policy("pi"), reward("r")
    mean = E(one, pi.at(s), r(s, one))
    step = chain(mean).step(Sum(one, pi(one, s) * r(s, one)), because="written out", worlds="rational")
    assert step.steps[0].how == "exact, in fractions, on 3 of the smallest MDPs"
    tiny = Sum(one, pi(one, s) * r(s, one)) + sp.Rational(1, 10**8)
    assert step.verdict_of(1, mean, tiny).holds is False             # in float64 this is undecided
    assert chain(mean).step(2 * mean - mean, because="in floats").verdict_of(1, mean, tiny).holds is None
    with pytest.raises(ValueError, match="equalities only"):
        chain(mean).step(mean + 1, because="larger", relation="<=", worlds="rational")


# ---- inequalities ----------------------------------------------------------------------------------------------------------------------------------
def test_a_bound_that_is_attained_has_to_stay_attained():
    where = DensityWorld(mu=0.0)
    step = chain(exp(mu)).step(exp(mu**2 + mu), because="mu² ≥ 0", relation="<=", tight=where)
    assert "never larger, and equal in the world μ = 0" in step.steps[0].how and step.steps[0].relation == "<="
    loose = exp(mu**2 + mu) + 1
    assert step.verdict_of(1, exp(mu), loose).holds is False
    with pytest.raises(StepFails, match="should be attained there, and the two sides are 1 and 2"):
        chain(exp(mu)).step(loose, because="too generous", relation="<=", tight=[DensityWorld(mu=0.0)])
    assert chain(exp(mu)).step(loose, because="generous", relation="<=").steps[0].how.endswith("never larger and never equal")


def test_without_a_named_world_the_standard_ones_say_where_a_bound_is_attained():
    step = chain(mu).step(mu**2 + mu, because="a square", relation="<=")
    assert step.steps[0].how.endswith("equal in 1 of them")          # the round world with μ = 0
    assert step.verdict_of(1, mu, mu**2 + mu + sp.Rational(1, 2)).holds is False
    assert step.verdict_of(1, mu, 3 * mu**2 + mu).holds is True
    with pytest.raises(AssumptionNotNeeded):                         # a looser line still is a bound: that it is looser is no failure of the bound
        step.fails_without("sharp", removed=mu**2 + mu + 1)


def test_both_directions_and_an_equality_that_is_called_a_bound():
    assert "never smaller" in chain(mu**2 + mu).step(mu, because="a square", relation=">=").steps[0].how
    for left, right, relation in [(mu, mu**2 + mu, ">="), (mu**2 + mu, mu, "<=")]:
        with pytest.raises(StepFails, match="does not hold"):
            chain(left).step(right, because="the wrong way", relation=relation)
    with pytest.raises(StepFails, match="says less than holds"):
        chain(mu).step(mu + 0, because="equal", relation="<=")
    with pytest.raises(StepUndecided):
        chain(mu).step(mu - 1e-8, because="too close", relation="<=")
    with pytest.raises(ValueError, match="Leave it out"):
        chain(mu).step(mu + 0, because="equal", tight=DensityWorld())
    with pytest.raises(ValueError, match="my, which does not occur"):
        chain(mu).step(mu**2 + mu, because="square", relation="<=", tight=DensityWorld(my=0))


# ---- equal up to a constant, proportional ----------------------------------------------------------------------------------------------------------
def test_equal_up_to_a_named_constant():
    objective = E(a, LAW, Q(a) + b(a))
    step = chain(objective).up_to(E(a, LAW, Q(a)), constant=E(a, LAW, b(a)), free_of=Q, because="b is not ours to choose")
    assert step.steps[0].relation == "≐" and "the constant stays when Q is drawn anew" in step.steps[0].how
    assert r"\doteq" in step._repr_markdown_() and "equal up to the constant E_{a ~ N(μ, σ²)}[b(a)], which does not depend on Q" in repr(step)
    with pytest.raises(StepFails, match="depends on Q"):
        chain(objective).up_to(E(a, LAW, b(a)), constant=E(a, LAW, Q(a)), free_of=Q, because="the wrong one is kept")
    with pytest.raises(StepFails, match="with the constant"):
        chain(objective).up_to(E(a, LAW, Q(a)), constant=2 * E(a, LAW, b(a)), free_of=Q, because="another constant")
    with pytest.raises(StepFails, match="depends on μ"):
        chain(mu**2 + sigma).up_to(sigma, constant=mu**2, free_of=(sigma, mu), because="constant in one, not in the other")


def test_a_constant_that_says_nothing_is_refused():
    with pytest.raises(StepFails, match=r"says less than holds(.*\n)*.*0 in every world"):
        chain(mu).up_to(mu + c - c, constant=c - c, free_of=mu, because="nothing was left out")
    with pytest.raises(StepFails, match="is empty"):
        chain(mu + c).up_to(mu, constant=c, free_of=sigma, because="σ does not occur")
    for options in ({}, {"constant": c, "factor": c}):
        with pytest.raises(ValueError, match="Name the constant"):
            chain(mu + c).up_to(mu, free_of=mu, because="which", **options)
    with pytest.raises(ValueError, match="constant with respect to something"):
        chain(mu + c).up_to(mu, constant=c, because="constant in what")
    with pytest.raises(StepUndecided):
        chain(mu + c).up_to(mu, constant=c + 1e-8, free_of=mu, because="too close to call")
    with pytest.raises(StepUndecided, match="depends on μ"):
        chain(mu + (c + 1e-8 * mu)).up_to(mu, constant=c + 1e-8 * mu, free_of=mu, because="a constant that moves by 1e-8")


def test_proportional_with_a_named_factor():
    normal, kernel = LAW.pdf(a), exp(-((a - mu) ** 2) / (2 * sigma**2))
    factor = 1 / (sigma * sp.sqrt(2 * sp.pi))
    step = chain(normal).up_to(kernel, factor=factor, free_of=(a, mu), because="the rest does not see a or μ")
    assert step.steps[0].relation == "∝" and r"\propto" in step._repr_markdown_() and "proportional, with the factor" in repr(step)
    with pytest.raises(StepFails, match="depends on σ"):
        chain(normal).up_to(kernel, factor=factor, free_of=sigma, because="it does see σ")
    with pytest.raises(StepFails):
        chain(normal).up_to(kernel, constant=factor, free_of=a, because="a factor is not a summand")
    with pytest.raises(StepFails, match="1 in every world"):
        chain(mu).up_to(mu + 0, factor=1, free_of=mu, because="nothing was left out")


# ---- first order -----------------------------------------------------------------------------------------------------------------------------------
def test_equal_to_first_order_at_a_point_and_nowhere_else():
    tangent = f(old) + (theta - old) * partial(f)(old)
    step = chain(f(theta)).first_order(tangent, in_=theta, at=old, because="the tangent")
    assert step.steps[0].relation == "first order" and "they differ at θ = " in step.steps[0].how
    assert "in value and in the derivative by θ at θ = θ_old" in repr(step).replace("θₒₗd", "θ_old")
    assert r"\overset{1}{\approx}" in step._repr_markdown_()
    surrogate = E(a, LAW, Q(a) * exp(log(N(theta, sigma).pdf(a)) - log(LAW.pdf(a))))
    squared = surrogate + (theta - mu) ** 2
    assert chain(E(a, N(theta, sigma), Q(a))).first_order(squared, in_=theta, at=mu, because="importance weights; a square has no slope").checked == 1
    with pytest.raises(StepFails, match="the slope of the line before is"):
        chain(f(theta)).first_order(f(old) + 2 * (theta - old) * partial(f)(old), in_=theta, at=old, because="twice the slope")
    with pytest.raises(StepFails, match="the value of the line before is"):
        chain(f(theta)).first_order(tangent + 1, in_=theta, at=old, because="shifted")
    with pytest.raises(StepFails, match="equal away from the point as well"):
        chain(E(a, N(theta, sigma), Q(a))).first_order(surrogate, in_=theta, at=mu, because="importance weights are exact")
    with pytest.raises(StepUndecided):
        chain(f(theta)).first_order(tangent + 1e-8 * (theta - old), in_=theta, at=old, because="too close to call")
    with pytest.raises(ValueError, match="does not occur"):
        chain(f(theta)).first_order(tangent, in_=sigma, at=old, because="of another variable")


# ---- limits ----------------------------------------------------------------------------------------------------------------------------------------
def test_limits_at_zero_at_a_number_and_at_infinity():
    smooth = chain(E(a, LAW, Q(a))).tends_to(Q(mu), variable=sigma, to=0, rate=2, because="a narrow Gaussian sees Q at its mean")
    assert "observed order 2.0" in smooth.steps[0].how and r"\xrightarrow{\sigma \to 0}" in smooth._repr_markdown_() and "→ (σ → 0)" in repr(smooth)
    assert "the difference falls like σ²" in repr(smooth)
    hard = chain(LSE).tends_to((mu + c) / 2 + sp.Abs(mu - c) / 2, variable=alpha, to=0, because="the larger one wins")
    assert hard.steps[0].relation == "→"
    assert chain((1 - gamma**3) / (1 - gamma)).tends_to(3, variable=gamma, to=1, rate=1, because="a geometric sum of three").checked == 1
    growing = chain((1 + mu / big) ** big).tends_to(exp(mu), variable=big, to=sp.oo, rate=1, because="compound interest")
    assert "→ (n → ∞)" in repr(growing) and "falls like 1/n" in repr(growing)
    inside = chain(sp.sqrt(1 - gamma)).tends_to(0, variable=gamma, to=1, rate=0.5, because="only γ < 1 has values")
    assert "falls like √(1 - γ)" in repr(inside)
    horizons = [1, 2, 3, 4, 5, 6, 7, 8]
    assert chain((1 - gamma**big) / (1 - gamma)).tends_to(1 / (1 - gamma), variable=big, to=sp.oo, along=horizons, because="geometric").checked == 1
    overflows = chain(log(1 + exp(big)) / big)
    assert "6 values" in overflows.tends_to(1, variable=big, to=sp.oo, along=(4, 8, 16, 32, 64, 128), because="e^n wins").steps[0].how
    with pytest.raises(StepUndecided, match="does not overflow"):
        overflows.tends_to(1, variable=big, to=sp.oo, because="e^n wins, and overflows at 710")
    assert chain(sin(theta) / theta).tends_to(1, variable=theta, to=0, rate=2, because="from both sides").checked == 1


@pytest.mark.parametrize(
    ("line", "limit", "options"),
    [
        (E(a, LAW, Q(a)), Q(mu) + 0.01, {"variable": sigma, "to": 0}),
        (E(a, LAW, Q(a)), Q(mu), {"variable": sigma, "to": 0, "rate": 3}),
        (1 / sigma, 0, {"variable": sigma, "to": 0}),
        (1 / sigma, 1, {"variable": sigma, "to": 0}),
        (LSE, mu, {"variable": alpha, "to": 0}),
        (sp.Abs(theta) / theta + theta, 1, {"variable": theta, "to": 0}),
        (sp.Abs(theta) / theta + theta, -1, {"variable": theta, "to": 0}),
        ((1 - gamma**3) / (1 - gamma), 2, {"variable": gamma, "to": 1}),
        (big * sin(mu / big), mu + 1, {"variable": big, "to": sp.oo}),
        (cos(big), 0, {"variable": big, "to": sp.oo}),
    ],
    ids=str,
)
def test_a_wrong_limit_is_refused(line, limit, options):
    with pytest.raises(StepFails, match="falls with order 2.00, not 3" if "rate" in options else "does not hold"):
        chain(line).tends_to(limit, because="it looks like it", **options)


def test_a_limit_that_is_none_or_too_slow_or_unsharp():
    with pytest.raises(StepFails, match="equal all along the way"):
        chain(sigma * mu / sigma).tends_to(mu, variable=sigma, to=0, because="an equality")
    with pytest.raises(StepFails, match="state the order that is attained"):
        chain(E(a, LAW, Q(a))).tends_to(Q(mu), variable=sigma, to=0, rate=1, because="it is 2")
    with pytest.raises(StepUndecided, match="extrapolates to"):
        chain(sigma + 1e-4).tends_to(0, variable=sigma, to=0, because="1e-4 is between none and refuted")
    with pytest.raises(StepUndecided, match="not finite"):
        chain(log(-sigma)).tends_to(0, variable=sigma, to=0, because="no number")
    assert chain(mu).step(mu + 0, because="a chain").verdict_of(1, mu, mu + 1).holds is False
    for options, match in [({"to": -sp.oo}, "minus|−∞"), ({"to": 0, "along": (1, 0.5)}, "at least five")]:
        with pytest.raises(ValueError, match=match):
            chain(sigma).tends_to(0, variable=sigma, because="refused", **options)
    with pytest.raises(ValueError, match="decided by numbers"):
        chain(sigma).tends_to(0, variable=sigma, to=0, because="refused", worlds="symbolic")
    with pytest.raises(ValueError, match="does not occur"):
        chain(mu).tends_to(0, variable=sigma, to=0, because="of another variable")


def test_extrapolation_is_exact_for_sums_of_geometric_sequences():
    sequence = [7.0 + 0.5**k - 3 * (-0.25) ** k + 2 * 0.1**k for k in range(9)]
    limit, doubt = extrapolated(sequence)
    assert limit == pytest.approx(7.0, abs=1e-9) and doubt < 1e-6
    assert tends_to_zero([1 / math.log(10 + 4.0**k) for k in range(8)], 1e-6)[0] is not True      # too slow to be seen
    assert tends_to_zero([4.0**k for k in range(8)], 1e-6)[0] is False                            # Wynn alone would call the antilimit 0
    assert tends_to_zero([(-1.0) ** k for k in range(8)], 1e-6)[0] is False


def test_an_erratum_may_define_what_its_formulas_say():
    w, f = real("w"), function("f", real("w"))
    shown = erratum("half", "f is a half of w²", printed=f(w), correct=f(w) / 2, truth=w**2 / 2, where=[(f(w), w**2)], worlds=[DensityWorld(w=1)])
    assert shown.rows == (("w = 1", 1.0, 0.5, 0.5),)
    assert "where $f(w) := w^{2}$" in shown._repr_markdown_()
    assert "where f(w) := w²" in repr(shown)
