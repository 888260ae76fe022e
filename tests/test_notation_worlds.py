"""What an expression is worth, when a step counts as shown, and how formulas are printed."""

import math

import numpy as np
import pytest
import sympy

from rlcourse.notation import (
    AssumptionNotNeeded,
    D,
    DefinitionRefused,
    DensityWorld,
    Derivation,
    E,
    H,
    N,
    P,
    Phi,
    StepFails,
    StepUndecided,
    TanhN,
    atanh,
    density_worlds,
    erratum,
    evaluate,
    exp,
    function,
    integral,
    jump,
    kink,
    latex,
    log,
    partial,
    positive,
    real,
    sin,
    softplus,
    sqrt,
    summary,
    tanh,
    text,
)

a, u, eps = real("a"), real("u"), real("epsilon")
mu, sigma, x = real("mu"), positive("sigma"), real("x", -1, 1)
Q = function("Q", a)
EG = E(a, N(mu, sigma), Q(a))


# ---- verdicts, definitions, assumptions, code ------------------------------------------------------------------------------------------------------
def test_undecided_is_not_shown_as_holding():
    known_to_be_hard = Derivation("Score, symbolically", "0.3", D(mu, EG))
    with pytest.raises(StepUndecided, match="cannot reduce"):
        known_to_be_hard.step(E(a, N(mu, sigma), Q(a) * ((a - mu) / sigma**2)), because="true, but not for sympy", worlds="symbolic")
    with pytest.raises(StepUndecided, match="cannot be decided"):
        Derivation("Not a number", "0.3b", log(-1 - u**2)).step(log(-1 - u**2) + 0, because="both are NaN")
    with pytest.raises(StepUndecided, match="cannot be decided"):
        Derivation("Too close to call", "0.3c", u).step(u + 1e-8, because="between none and refuted")


def test_inequalities():
    chain = Derivation("Jensen", "0.5", exp(E(u, N(mu, sigma), u))).step(E(u, N(mu, sigma), exp(u)), because="Jensen", relation="<=")
    assert "never larger" in chain.steps[0].how
    with pytest.raises(StepFails):
        Derivation("Jensen", "0.5", E(u, N(mu, sigma), exp(u))).step(exp(E(u, N(mu, sigma), u)), because="wrong way round", relation="<=")
    with pytest.raises(ValueError, match="not one that can be checked"):
        chain.step(u, because="roughly", relation="~")
    with pytest.raises(ValueError, match="no reason"):
        chain.step(chain.last, because=" ")
    with pytest.raises(ValueError, match="no world at all"):
        chain.step(chain.last + 1, because="nothing to check", worlds=[])


def test_a_claim_is_not_a_definition():
    Qhat = function("Qhat", mu)
    chain = Derivation("Definitions", "0.6", Qhat(mu)).define(Qhat(mu), E(a, N(mu, 1), a))
    assert len(chain.definitions) == 1 and chain.checked == 0
    for left, right in [(Qhat(mu), mu), (mu + 1, a), (function("f", a)(mu + 1), a), (u, u + 1), (function("g", a)(a), function("g", a)(u))]:
        with pytest.raises(DefinitionRefused):
            chain.define(left, right)
    with pytest.raises(DefinitionRefused):
        Derivation("Used before", "0.6b", u).step(u + 0, because="the same").define(u, a)
    assert chain.step(mu, because="mean of a Gaussian").checked == 1


def test_a_kink_does_not_break_it():
    chain = Derivation("Kink", "0.7", D(mu, EG), worlds=[DensityWorld(mu=0.3, sigma=0.7, Q=kink(at=0.5))])
    inside = E(eps, N(0, 1), partial(Q)(mu + sigma * eps))
    assert chain.step(inside, because="Lipschitz is enough").step(E(a, N(mu, sigma), Q(a) * ((a - mu) / sigma**2)), because="parts").checked == 2
    with pytest.raises(AssumptionNotNeeded):
        chain.step(inside, because="Lipschitz").fails_without("Q is smooth", DensityWorld(Q=kink(at=0.5)))


# ---- errata ----------------------------------------------------------------------------------------------------------------------------------------
def squashed_density_erratum():
    worlds = [DensityWorld(mu=0, sigma=1), DensityWorld(mu=0.5, sigma=0.5), DensityWorld(mu=0, sigma=0.3)]
    return erratum(
        "E0-01",
        claim="The density of a squashed action integrates to 1.",
        printed=integral(a, -1, 1, N(mu, sigma).pdf(atanh(a)) / (1 - tanh(a) ** 2)),
        correct=integral(a, -1, 1, N(mu, sigma).pdf(atanh(a)) / (1 - a**2)),
        truth=1,
        worlds=worlds,
    )


def spread_erratum():
    def spread(f):
        return sqrt(E(eps, N(0, 1), (f - mu) ** 2))

    return erratum(
        "E0-02",
        claim="The density N(· | μ, σ²) has standard deviation σ; so must the sample.",
        printed=spread(mu + sigma**2 * eps),
        correct=spread(mu + sigma * eps),
        truth=sigma,
        worlds=[DensityWorld(mu=0, sigma=0.5)],
    )


def entropy_erratum():
    return erratum(
        "E0-03",
        claim="The Gaussian's entropy is one number for the whole distribution; the log-density is a number for each action.",
        printed=log(N(mu, sigma).pdf(atanh(a))),
        correct=E(u, N(mu, sigma), -log(N(mu, sigma).pdf(u))),
        truth=H(N(mu, sigma)),
        worlds=[DensityWorld(mu=0, sigma=1, a=value) for value in (0, 0.5, 0.9)],
    )


def test_errata_as_printed_fail_and_as_corrected_hold():
    printed = [round(row[1], 3) for row in squashed_density_erratum().rows]
    assert printed == [0.771, 0.877, 0.989]
    assert all(row[2] == pytest.approx(1, abs=1e-10) for row in squashed_density_erratum().rows)
    assert spread_erratum().rows[0][1:] == pytest.approx((0.25, 0.5, 0.5))
    assert entropy_erratum().rows[0][3] == pytest.approx(0.5 * math.log(2 * math.pi * math.e))
    assert "0.7709" in squashed_density_erratum()._repr_markdown_() and "0.7709" in repr(squashed_density_erratum())


def test_an_erratum_needs_a_failing_print_and_a_holding_correction():
    with pytest.raises(ValueError, match="nothing here shows it wrong"):
        erratum("E", "same", printed=u, correct=u, truth=u)
    with pytest.raises(ValueError, match="not right either"):
        erratum("E", "both wrong", printed=u + 1, correct=u + 2, truth=u)


# ---- evaluation against closed forms ---------------------------------------------------------------------------------------------------------------
WORLDS = density_worlds()


@pytest.mark.parametrize("world", WORLDS, ids=lambda w: str(w.index))
def test_closed_forms(world):
    m, sd, t = world.value(mu), world.value(sigma), world.value(x)
    closed = math.exp(-4.5 * sd**2) * math.sin(3 * m)
    assert evaluate(E(a, N(mu, sigma), sin(3 * a)), world) == pytest.approx(closed, abs=1e-12)
    assert evaluate(D(mu, E(a, N(mu, sigma), sin(3 * a))), world) == pytest.approx(3 * math.exp(-4.5 * sd**2) * math.cos(3 * m), abs=1e-10)
    assert evaluate(D(sigma, E(a, N(mu, sigma), sin(3 * a))), world) == pytest.approx(-9 * sd * closed, abs=1e-10)
    assert evaluate(H(N(mu, sigma)), world) == pytest.approx(0.5 * math.log(2 * math.pi * math.e * sd**2), abs=1e-12)
    assert evaluate(E(a, TanhN(mu, sigma), 1), world) == pytest.approx(1, abs=1e-11)
    assert evaluate(integral(a, -1, 1, TanhN(mu, sigma).pdf(a)), world) == pytest.approx(1, abs=1e-10)
    assert evaluate(integral(a, 0, 2, a**3), world) == pytest.approx(4, abs=1e-10)
    assert evaluate(P(u, N(mu, sigma), u**2 <= 1), world) == pytest.approx(
        0.5 * (math.erf((1 - m) / sd / math.sqrt(2)) - math.erf((-1 - m) / sd / math.sqrt(2))), abs=1e-12
    )
    assert evaluate(D(x, D(x, sin(3 * x))), world) == pytest.approx(-9 * math.sin(3 * t), abs=1e-7)


def test_nested_expectations_and_outer_variables():
    world = DensityWorld(mu=0.4, sigma=0.6)
    # a | u ~ N(u, 1), u ~ N(mu, sigma): E[a u] = mu² + sigma²
    assert evaluate(E(u, N(mu, sigma), E(a, N(u, 1), a * u)), world) == pytest.approx(0.52, abs=1e-12)
    assert evaluate(E(u, N(mu, sigma), D(u, u**3)), world) == pytest.approx(3 * 0.52, abs=1e-10)
    assert evaluate(E(u, N(mu, sigma), E(a, N(0, 1), u)), world) == pytest.approx(0.4, abs=1e-12)      # body without the inner variable
    assert evaluate(D(mu, E(a, N(0, 1), a**2)), world) == 0.0


def test_kinks_are_split():
    world = DensityWorld(mu=0.2, sigma=0.8, Q=jump(at=0.35))
    z = 0.15 / 0.8
    above, at = 0.5 * math.erfc(z / math.sqrt(2)), math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) / 0.8
    assert evaluate(EG, world) == pytest.approx(above, abs=1e-13)
    assert evaluate(E(eps, N(0, 1), Q(mu + sigma * eps)), world) == pytest.approx(above, abs=1e-13)
    assert evaluate(D(mu, EG), world) == pytest.approx(at, abs=1e-10)
    assert evaluate(integral(a, -1, 1, Q(a)), DensityWorld(Q=jump(at=0.35))) == pytest.approx(0.65, abs=1e-12)


def test_the_same_world_every_time_and_printed_in_full():
    for world in WORLDS:
        assert world.value(mu) == DensityWorld(world.index).value(mu) == round(world.value(mu), 2)
    assert DensityWorld(5, seed=1).value(mu) != DensityWorld(5).value(mu)
    assert np.isclose(DensityWorld(0).function(Q)(np.array(3.0)), 9.0)


def test_unknown_operators_are_refused_with_a_hint():
    with pytest.raises(TypeError, match="nothing here says what that is worth"):
        evaluate(sympy.zeta(u), DensityWorld())
    with pytest.raises(ValueError, match="say which one is differentiated"):
        partial(function("Q", u, a))


# ---- display ---------------------------------------------------------------------------------------------------------------------------------------
def test_formulas_stay_as_they_are_written():
    assert latex(2 * (log(2) - u - softplus(-2 * u))) == r"2\,(\log(2) - u - \operatorname{softplus}(-2\,u))"
    assert latex(mu + sigma * eps) == r"\mu + \sigma\,\epsilon"
    assert latex(E(a, N(mu, sigma), Q(a))) == r"\mathbb{E}_{a \sim \mathcal{N}(\mu, \sigma^{2})}[Q(a)]"
    assert text(Q(a) * ((a - mu) / sigma**2)) == "Q(a) (a - μ)/σ²"
    assert text(u - (mu + sigma)) == "u - (μ + σ)" and text(u / (2 * mu)) == "u/(2 μ)" and text(-(u + 1) ** 2) == "-(u + 1)²"
    assert text(tanh(u) ** 2 * u) == "tanh²(u) u" and text((u * mu) ** 2) == "(u μ)²" and text(1 - 2 * -u) == "1 - 2 (-u)"


def test_the_formula_that_is_shown_to_sympy_is_the_one_that_is_evaluated():
    chain = Derivation("Gaussian", "0.9", log(N(mu, sigma).pdf(a))).step(
        -((a - mu) ** 2) / (2 * sigma**2) - log(sigma) - log(2 * sympy.pi) / 2, because="definition", worlds="symbolic"
    )
    assert chain.checked == 1
    squashed = Derivation("Squashed", "0.9", TanhN(mu, sigma).pdf(x))
    assert squashed.step(N(mu, sigma).pdf(atanh(x)) / (1 - x**2), because="change of variables", worlds="symbolic").checked == 1
    assert Derivation("Φ′", "0.9", D(u, Phi(u))).step(N(0, 1).pdf(u), because="density", worlds="symbolic").checked == 1


def test_probabilities_of_both_tails_add_to_one():
    for world in density_worlds(5):
        below, above = (evaluate(P(u, N(mu, sigma), event), world) for event in (sin(u) <= x, sin(u) > x))
        assert below + above == pytest.approx(1, abs=1e-12) and 0 < below < 1


def test_arguments_in_the_wrong_order_are_refused():
    for wrong in (lambda: E(N(mu, sigma), a, Q(a)), lambda: E(a, Q(a), N(mu, sigma)), lambda: D(Q(a), a), lambda: P(u, N(mu, sigma), tanh(u))):
        with pytest.raises(TypeError, match="in the order in which it is read"):
            wrong()


def test_circular_definitions_are_refused():
    f, g = function("f", a), function("g", a)
    with pytest.raises(DefinitionRefused, match="an equation for it"):
        Derivation("Circle", "0.10", f(a)).define(f(a), g(a) + 1).define(g(a), f(a) - 1)


def test_a_misspelt_name_in_a_world_is_refused():
    with pytest.raises(ValueError, match="sgima"):
        erratum("x", "c", printed=sigma, correct=sigma**2, truth=sigma**2, worlds=[DensityWorld(sgima=0.5)])
    chain = Derivation("Spelling", "0.9", D(mu, E(a, N(mu, sigma), Q(a)))).step(E(eps, N(0, 1), partial(Q)(mu + sigma * eps)), because="path")
    with pytest.raises(ValueError, match="which does not occur here"):
        chain.fails_without("no jumps", DensityWorld(my=0, Q=jump(0.5)))


def test_a_summary_shows_first_and_last_lines_only_of_equalities():
    chain = Derivation("Square", "0.8", E(a, N(mu, sigma), a**2)).step(mu**2 + sigma**2, because="variance plus squared mean")
    shown = summary("Results", chain)
    assert text(chain.start) in repr(shown) and text(chain.last) in repr(shown) and "[0.8]" in repr(shown)
    assert latex(chain.last) in shown._repr_markdown_()
    for unfit in (Derivation("Bare", "0.8", mu), chain.step(mu**2 + sigma**2 + 1, because="more", relation="<=")):
        with pytest.raises(ValueError, match="start = end"):
            summary("Results", unfit)
