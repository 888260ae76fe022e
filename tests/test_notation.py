"""Mathematics that runs: five derivations of lecture 13a as an author writes them, wrong versions of each, and the machinery underneath."""

import math
import time

import pytest

from rlcourse.equations.distributions import TanhGaussian, tanh_log_det
from rlcourse.notation import (
    D,
    DensityWorld,
    Derivation,
    E,
    H,
    N,
    P,
    Phi,
    StepFails,
    TanhN,
    atanh,
    density_worlds,
    derivations,
    det_jacobian,
    exp,
    function,
    jump,
    latex,
    log,
    partial,
    positive,
    real,
    softplus,
    state,
    tanh,
    terminal,
    text,
)

# The lecture's import cell ends with the symbols; every derivation cell below is self-contained after it.
a, u, u1, u2, eps, theta, s = (real(name) for name in ("a", "u", "u_1", "u_2", "epsilon", "theta", "s"))
mu, sigma, x = real("mu"), positive("sigma"), real("x", -1, 1)
y, low, high = real("y", -1, 1), real("low", -3, -1), real("high", 1, 3)
Q = function("Q", a)


# ---- the five derivations --------------------------------------------------------------------------------------------------------------------------
def epg():
    Q, Qhat = function("Q", s, a), function("Qhat", s, mu, sigma)
    mu_t, sigma_t = function("mu", theta, s, subscripts=1)(theta, s), function("sigma", theta, s, subscripts=1, is_positive=True)(theta, s)
    return (
        Derivation("The expected policy gradient is a chain rule", "13.2", D(theta, E(a, N(mu_t, sigma_t), Q(s, a))))
        .define(Qhat(s, mu, sigma), E(a, N(mu, sigma), Q(s, a)))
        .step(D(theta, Qhat(s, mu_t, sigma_t)), because="this is Q̂ at the parameters f_θ(s) = (μ_θ(s), σ_θ(s))")
        .step(
            D(theta, mu_t) * partial(Qhat, mu)(s, mu_t, sigma_t) + D(theta, sigma_t) * partial(Qhat, sigma)(s, mu_t, sigma_t),
            because="chain rule: θ acts through μ and through σ only",
        )
    )


def pathwise_mu():
    return (
        Derivation("Gradient of E[Q] in the mean, two ways", "13.3", D(mu, E(a, N(mu, sigma), Q(a))))
        .step(D(mu, E(eps, N(0, 1), Q(mu + sigma * eps))), because="reparametrise: a = μ + σε")
        .step(E(eps, N(0, 1), partial(Q)(mu + sigma * eps)), because="the noise does not depend on μ, so the derivative goes inside")
        .fails_without("Q has no jumps", DensityWorld(mu=0, sigma=1, Q=jump(at=0.5)))
        .step(E(a, N(mu, sigma), Q(a) * ((a - mu) / sigma**2)), because="integrate by parts: the derivative moves from Q to the density")
    )


def pathwise_sigma():
    return (
        Derivation("Gradient of E[Q] in the standard deviation, two ways", "13.3", D(sigma, E(a, N(mu, sigma), Q(a))))
        .step(D(sigma, E(eps, N(0, 1), Q(mu + sigma * eps))), because="reparametrise: a = μ + σε")
        .step(E(eps, N(0, 1), eps * partial(Q)(mu + sigma * eps)), because="the inner derivative of μ + σε by σ is ε")
        .fails_without("Q has no jumps", DensityWorld(mu=0, sigma=1, Q=jump(at=0.5)))
        .step(E(a, N(mu, sigma), Q(a) * (((a - mu) ** 2 - sigma**2) / sigma**3)), because="integrate by parts")
    )


def score():
    return (
        Derivation("The score function of a Gaussian", "13.4", D(mu, E(a, N(mu, sigma), Q(a))))
        .step(E(a, N(mu, sigma), Q(a) * D(mu, log(N(mu, sigma).pdf(a)))), because="∇p = p ∇ log p")
        .step(E(a, N(mu, sigma), Q(a) * ((a - mu) / sigma**2)), because="log N is −(a − μ)²/(2σ²) plus terms without μ")
    )


def squashed_cdf():
    return Derivation("A squashed action below x", "13.5", P(u, N(mu, sigma), tanh(u) <= x)).step(
        P(u, N(mu, sigma), u <= atanh(x)), because="tanh is increasing"
    ).step(Phi((atanh(x) - mu) / sigma), because="standardise u")


def squashed_density():
    pi = function("pi", x)
    return (
        Derivation("Density of a squashed Gaussian", "13.5", log(pi(x)))
        .define(pi(x), D(x, P(u, N(mu, sigma), tanh(u) <= x)))
        .step(log(D(x, Phi((atanh(x) - mu) / sigma))), because="the probability below x, from before")
        .step(log(N(mu, sigma).pdf(atanh(x)) * D(x, atanh(x))), because="chain rule; Φ′ is the normal density")
        .step(log(N(mu, sigma).pdf(atanh(x)) / (1 - x**2)), because="derivative of atanh")
        .step(log(N(mu, sigma).pdf(atanh(x))) - log(1 - x**2), because="logarithm of a fraction")
        .implements(TanhGaussian.log_prob, lambda mu, sigma, x: (TanhGaussian(mu, sigma), x))
    )


def jacobian():
    return Derivation("Two actions: a diagonal Jacobian", "13.5", log(det_jacobian((u1, u2), (tanh(u1), tanh(u2))))).step(
        log((1 - tanh(u1) ** 2) * (1 - tanh(u2) ** 2)), because="each action depends on its own u: the determinant is the product", worlds="symbolic"
    ).step(log(1 - tanh(u1) ** 2) + log(1 - tanh(u2) ** 2), because="logarithm of a product")


def stable():
    return (
        Derivation("The log-determinant without cancellation", "13.6", log(1 - tanh(u) ** 2))
        .step(log(4 / (exp(u) + exp(-u)) ** 2), because="1 − tanh² u = 1/cosh² u", worlds="symbolic")
        .step(2 * (log(2) - log(exp(u) + exp(-u))), because="log of a fraction and of a square", worlds="symbolic")
        .step(2 * (log(2) - u - log(1 + exp(-2 * u))), because="take e^u out of the sum", worlds="symbolic")
        .step(2 * (log(2) - u - softplus(-2 * u)), because="softplus(z) = log(1 + e^z)", worlds="symbolic")
        .implements(tanh_log_det)
    )


def entropy():
    return (
        Derivation("Entropy of a squashed Gaussian", "13.7", H(TanhN(mu, sigma)))
        .step(E(a, TanhN(mu, sigma), -log(TanhN(mu, sigma).pdf(a))), because="definition of the entropy")
        .step(E(u, N(mu, sigma), -log(N(mu, sigma).pdf(u)) + log(1 - tanh(u) ** 2)), because="[13.5] with a = tanh(u)")
        .step(H(N(mu, sigma)) + E(u, N(mu, sigma), log(1 - tanh(u) ** 2)), because="the first term is the Gaussian's entropy")
        .step(H(N(mu, sigma)), relation="<=", because="1 − tanh² u is at most 1: squashing lowers the entropy")
    )


def bounds():
    pi, x = function("pi", y), function("x", y)
    return (
        Derivation("An action in [low, high]", "13.8", log(pi(y)))
        .define(pi(y), D(y, P(u, N(mu, sigma), low + (high - low) / 2 * (tanh(u) + 1) <= y)))
        .define(x(y), 2 * (y - low) / (high - low) - 1)
        .step(log(D(y, P(u, N(mu, sigma), tanh(u) <= x(y)))), because="solve the inequality for tanh(u)")
        .step(log(TanhN(mu, sigma).pdf(x(y)) * D(y, x(y))), because="chain rule; the density is [13.5]")
        .step(log(TanhN(mu, sigma).pdf(x(y))) - log((high - low) / 2), because="x is stretched by (high − low)/2")
        .implements(TanhGaussian.log_prob, lambda mu, sigma, low, high, y: (TanhGaussian(mu, sigma, low, high), y))
    )


ALL = [epg, pathwise_mu, pathwise_sigma, score, squashed_cdf, squashed_density, jacobian, stable, entropy, bounds]


@pytest.mark.parametrize("build", ALL)
def test_every_step_of_the_lecture_holds(build):
    chain = build()
    assert chain.checked >= 2
    assert all(step.largest_difference < 1e-9 for step in chain.steps)
    assert chain in derivations()


def test_all_derivations_together_take_under_two_seconds():
    for world in density_worlds():
        world.memo.clear()
    start = time.process_time()
    for build in ALL:
        build()
    assert time.process_time() - start < 2.0


# ---- wrong versions --------------------------------------------------------------------------------------------------------------------------------
EG = E(a, N(mu, sigma), Q(a))
DENSITY = N(mu, sigma).pdf(atanh(x)) / (1 - x**2)
MUTANTS = {
    "score: sign flipped": (D(mu, EG), E(a, N(mu, sigma), Q(a) * ((mu - a) / sigma**2))),
    "score: sigma for sigma squared": (D(mu, EG), E(a, N(mu, sigma), Q(a) * ((a - mu) / sigma))),
    "score: Q dropped": (D(mu, EG), E(a, N(mu, sigma), (a - mu) / sigma**2)),
    "score: not centred": (D(mu, EG), E(a, N(mu, sigma), Q(a) * (a / sigma**2))),
    "pathwise: eps dropped": (D(sigma, EG), E(eps, N(0, 1), partial(Q)(mu + sigma * eps))),
    "pathwise: variance for standard deviation": (D(mu, EG), E(eps, N(0, 1), partial(Q)(mu + sigma**2 * eps))),
    "pathwise: Q for its derivative": (D(mu, EG), E(eps, N(0, 1), Q(mu + sigma * eps))),
    "pathwise: noise of another law": (EG, E(eps, N(0, sigma), Q(mu + sigma * eps))),
    "density: a for u inside the tanh": (DENSITY, N(mu, sigma).pdf(atanh(x)) / (1 - tanh(x) ** 2)),
    "density: Jacobian dropped": (DENSITY, N(mu, sigma).pdf(atanh(x))),
    "density: Jacobian multiplied": (DENSITY, N(mu, sigma).pdf(atanh(x)) * (1 - x**2)),
    "density: x for atanh x": (DENSITY, N(mu, sigma).pdf(x) / (1 - x**2)),
    "cdf: variance": (P(u, N(mu, sigma), tanh(u) <= x), Phi((atanh(x) - mu) / sigma**2)),
    "cdf: other tail": (P(u, N(mu, sigma), tanh(u) <= x), 1 - Phi((atanh(x) - mu) / sigma)),
    "stable: sign of u": (log(1 - tanh(u) ** 2), 2 * (log(2) + u - softplus(-2 * u))),
    "stable: factor 2 dropped": (log(1 - tanh(u) ** 2), log(2) - u - softplus(-2 * u)),
    "stable: softplus(2u)": (log(1 - tanh(u) ** 2), 2 * (log(2) - u - softplus(2 * u))),
    "entropy: correction with the wrong sign": (H(TanhN(mu, sigma)), H(N(mu, sigma)) - E(u, N(mu, sigma), log(1 - tanh(u) ** 2))),
    "entropy: a for u": (H(TanhN(mu, sigma)), H(N(mu, sigma)) + E(u, N(mu, sigma), log(1 - tanh(tanh(u)) ** 2))),
    "determinant: one factor": (det_jacobian((u1, u2), (tanh(u1), tanh(u2))), 1 - tanh(u1) ** 2),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_step_cannot_be_shown(name):
    left, right = MUTANTS[name]
    with pytest.raises(StepFails):
        Derivation(name, "mutant", left).step(right, because="it is wrong")
    assert ("mutant", name) not in {(d.tag, d.title) for d in derivations()}


def test_epg_mutants_fail():
    chain = epg()
    Qhat, mu_t, sigma_t = function("Qhat", s, mu, sigma), *(part.args[0].args[1] for part in chain.last.args)
    for wrong in (
        D(theta, mu_t) * partial(Qhat, mu)(s, mu_t, sigma_t),
        D(theta, mu_t) * partial(Qhat, mu)(s, mu_t, sigma_t) - D(theta, sigma_t) * partial(Qhat, sigma)(s, mu_t, sigma_t),
        D(theta, mu_t) * partial(Qhat, sigma)(s, mu_t, sigma_t) + D(theta, sigma_t) * partial(Qhat, mu)(s, mu_t, sigma_t),
    ):
        with pytest.raises(StepFails):
            chain.step(wrong, because="mutated")


def test_the_scale_of_the_bounds_matters():
    chain = bounds()
    with pytest.raises(StepFails):
        chain.step(chain.last + log((high - low) / 2) - log(high - low), because="forgot the half")


def test_a_failing_step_names_step_world_and_both_values():
    chain = Derivation("Mean of a square", "0.1", E(a, N(mu, sigma), a**2))
    with pytest.raises(StepFails) as caught:
        chain.step(mu**2 + sigma, because="variance plus squared mean", worlds=[DensityWorld(mu=1, sigma=0.5)])
    message = str(caught.value)
    for part in ("[0.1] Mean of a square, step 1 (variance plus squared mean)", "μ = 1, σ = 0.5", "is 1.25", "is 1.5", "-0.25"):
        assert part in message
    assert chain.step(mu**2 + sigma**2, because="variance plus squared mean").checked == 1


def test_the_simplest_world_is_named_first():
    with pytest.raises(StepFails, match=r"in the world μ = 1, σ = 1, Q\(a\) = sin\(a\)\n"):
        Derivation("Score", "0.2", D(mu, EG)).step(E(a, N(mu, sigma), Q(a) * ((mu - a) / sigma**2)), because="sign")


# ---- what stands beside a chain --------------------------------------------------------------------------------------------------------------------
def test_symbolic_mode_reduces_the_difference_and_still_refutes():
    assert "sympy" in stable().steps[0].how
    with pytest.raises(StepFails):
        Derivation("Stable", "0.4", log(1 - tanh(u) ** 2)).step(log(2 / (exp(u) + exp(-u)) ** 2), because="2 for 4", worlds="symbolic")


def test_a_jump_in_q_breaks_the_pathwise_gradient():
    removed = pathwise_mu().removed[0]
    assert removed.number == 2
    assert removed.left == pytest.approx(math.exp(-0.125) / math.sqrt(2 * math.pi), abs=1e-9)      # the density at the jump
    assert removed.right == 0.0


def test_code_that_differs_from_the_last_line_is_refused():
    with pytest.raises(StepFails, match="tanh_log_det"):
        Derivation("Stable", "0.8", log(1 - tanh(u) ** 2) / 2).implements(tanh_log_det)
    with pytest.raises(TypeError, match="not among them"):
        Derivation("Stable", "0.8", log(1 - tanh(x) ** 2)).implements(tanh_log_det)
    assert stable().bindings[0].name == "rlcourse.equations.distributions.tanh_log_det"


def test_running_a_cell_again_replaces_its_derivation():
    before = len([d for d in derivations() if d.tag == "13.6"])
    stable(), stable()
    assert len([d for d in derivations() if d.tag == "13.6"]) == max(before, 1)


# ---- display ---------------------------------------------------------------------------------------------------------------------------------------
def test_a_chain_reads_the_same_on_paper_and_on_a_terminal():
    chain = stable()
    paper, terminal = chain._repr_markdown_(), repr(chain)
    assert paper == stable()._repr_markdown_()
    assert paper.count(r"\\[4pt]") == 4 and r"\begin{aligned}" in paper
    for step in chain.steps:
        assert step.because in paper and step.because in terminal and step.how in paper
        assert latex(step.expr) in paper and text(step.expr) in terminal
    assert paper.count("✓") == 2 and "✓ (1), (2), (3), (4) symbolic" in paper
    assert [line.kind for line in epg().lines()] == ["definition", "start", "step", "step"]
    assert [line.number for line in epg().lines()] == [0, 0, 1, 2]


def test_how_says_what_was_done_in_words():
    assert pathwise_mu().steps[0].how == "by quadrature on 20 random Gaussians and functions Q, largest difference below 1e-9"
    assert stable().steps[0].how == "symbolic: sympy reduces the difference to 0"
    assert squashed_density().bindings[0].how == "equal on 20 random points, largest difference below 1e-9"


def test_functions_of_one_name_are_told_apart():
    """sympy remembers f(x); without marks it hands out the first f for every later one of that name."""
    here, x, y = state("s"), real("x"), real("y")
    plain, ended = function("d", here), terminal("d")
    assert plain(here) != ended(here) and ended(here).func.role == "terminal" and plain(here).func.role is None
    first, second = function("Q", x, y), function("Q", x, y, subscripts=1)
    assert first(x, y) != second(x, y) and second(x, y).func.subscripts == 1 and first(x, y).func.subscripts == 0
    assert first(x, y) == function("Q", x, y)(x, y), "declared twice in the same way it is the same function"
