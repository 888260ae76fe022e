"""Exercises in which a student writes a derivation: expressions as plain data, the verdict on every line, and a sentence for every refusal."""

import dataclasses
import json
import time

import numpy as np
import pytest
import sympy as sp

from rlcourse.checks import lines, mistakes
from rlcourse.checks.lecture_03.derive_score import DRAFT as IN_FINITE_WORLDS
from rlcourse.checks.lecture_09.derive_chain import DRAFT as WITH_REAL_ACTIONS
from rlcourse.checks.lecture_13.derive_pathwise import EXERCISE as X
from rlcourse.checks.lecture_13.derive_pathwise import Q, a, eps, mu, s, sigma, theta
from rlcourse.notation import (
    D,
    E,
    FiniteWorld,
    H,
    N,
    Sum,
    exp,
    function,
    grad_at,
    integral,
    latex,
    log,
    oo,
    partial,
    positive,
    real,
    sqrt,
    text,
)
from rlcourse.notation import time as time_index
from rlcourse.notation.trees import to_tree

z, path = real("z"), mu + sigma * eps
OUTSIDE, INSIDE, GOAL = X.reference(theta, s, a, eps, mu, sigma, Q)
SCORE = E(a, N(mu, sigma), Q(s, a) * D(theta, log(N(mu, sigma).pdf(a))))


def judged(*written, seed=0, exercise=X):
    """The report on an answer that consists of these lines."""
    return exercise.evaluate(lambda theta, s, a, eps, mu, sigma, Q: list(written), seed)


# ---- what passes between the two processes ----


def test_an_answer_is_plain_data():
    answer = X.adapt(X.reference)()
    assert answer == {"lines": [to_tree(OUTSIDE), to_tree(INSIDE), to_tree(GOAL)]} and X.assess(lambda: json.loads(json.dumps(answer))).passed


@pytest.mark.parametrize("data", [None, [], [GOAL], {"lines": "x"}, {"lines": (), "passed": True}, {"lines": [to_tree(OUTSIDE)], "score": 1.0}])
def test_an_answer_with_other_fields_is_refused(data):
    assert X.assess(lambda: data).diagnosis in ("type", "returned_none")


def test_powers_of_powers_are_never_multiplied_out():
    tower = ["Pow", ["Pow", ["Pow", 2, 10**6], 10**6], 10**6]
    started = time.process_time()
    report = X.assess(lambda: {"lines": [tower, ["WrittenAdd", tower, tower]]})
    assert not report.passed and time.process_time() - started < 3


# ---- right answers ----


@pytest.mark.parametrize("seed", range(8))
def test_the_lines_of_the_card_and_other_roads_pass(seed):
    for f in (X.reference, *(X.alternatives or ())):
        report = X.evaluate(f, seed)
        assert report.passed and report.score == 1.0, f"{f.__name__}\n{report}"
        assert {row["verdict"] for row in report.details["lines"]} == {"given", "holds"}
    assert len(X.alternatives) >= 2


def test_a_check_takes_less_than_a_second_and_is_the_same_for_the_same_seed():
    wrong = [OUTSIDE, E(eps, N(0, 1), partial(Q, a)(s, path) * (D(theta, mu) + 3 * D(theta, sigma) * eps**3))]
    started = time.process_time()
    reports = [judged(*wrong), judged(*wrong)]
    assert time.process_time() - started < 2 and reports[0] == reports[1]
    assert X.drawn(3)[5].value(theta) == X.drawn(3)[5].value(theta) != X.drawn(4)[5].value(theta)


def test_the_page_sets_the_lines_with_a_tick_or_a_cross():
    report = judged(OUTSIDE, -GOAL)
    rows = str(report).splitlines()[1:4]
    assert [row[:5] for row in rows] == ["     ", "  ✓ =", "  ✗ ≠"] and rows[1].endswith(text(OUTSIDE))
    page = report._repr_html_()
    assert page.index("✓</span>$\\displaystyle = \\frac{\\partial}") < page.index("✗</span>$\\displaystyle ≠ -\\mathbb{E}")
    assert "displaystyle" not in X.evaluate(X.stub)._repr_html_()


def test_the_lines_are_shown_with_their_verdicts():
    report = judged(OUTSIDE, E(eps, N(0, 1), partial(Q, a)(s, path)), GOAL)
    rows = report.details["lines"]
    assert [row["verdict"] for row in rows] == ["given", "holds", "fails", "fails"] and rows[0]["text"].startswith("∂/∂θ E_{a ~ N(μ_θ(s)")
    assert rows[1]["latex"] == latex(OUTSIDE) and json.dumps(report.details)
    assert "Nor does line 3 follow from line 2." in report.details["what"]


# ---- wrong lines ----


@pytest.mark.parametrize("mistake", X.mistakes, ids=lambda mistake: mistake.id)
def test_every_named_mistake_is_named(mistake):
    for seed in range(5):
        report = X.evaluate(mistake.function, seed)
        assert (report.passed, report.score, report.diagnosis, report.details["cause"]) == (False, 0.0, mistake.id, mistake.cause)
        assert f"it is {mistake.sentence}. See eq. {mistake.tag}." in report.details["what"] and "in the world s = " in report.details["smallest"]


def test_a_mistake_is_recognised_in_another_form_and_at_another_line():
    late = E(eps, N(0, 1), grad_at(a, Q(s, a), path) * D(theta, mu)) + 0 * D(theta, mu)
    assert judged(SCORE, OUTSIDE, INSIDE, late).diagnosis == "sigma_held"
    assert judged(0).diagnosis == "inside_the_law"
    assert "line 4 does not equal line 3" in judged(SCORE, OUTSIDE, INSIDE, late).details["what"]


def test_two_mistakes_in_one_line_are_both_named():
    both = E(eps, N(0, 1), partial(Q, a)(s, mu) * (D(theta, mu) + D(theta, sigma)))
    assert judged(OUTSIDE, both).diagnosis == "inner_eps_missing+slope_at_the_mean"
    pairs = list(mistakes.pairs(X.reference, X.mistakes))[::6]
    assert pairs and not any(X.evaluate(function).passed for _, _, function in pairs)


def test_a_wrong_line_says_where_and_what_the_values_tell():
    report = judged(OUTSIDE, -GOAL)
    assert report.diagnosis == "property:step" and report.details["cause"] == "In every world line 2 is line 1 with the opposite sign."
    report = judged(OUTSIDE, INSIDE, GOAL / 2)
    assert "line 3 does not equal line 2." in report.details["what"] and "is 0.5 times line 2" in report.details["cause"]
    assert report.details["smallest"].startswith("in the world s = −1, θ = 0, Q(s, a) = ") and "line 2 is " in report.details["smallest"]
    report = judged(GOAL + theta)
    assert "line 1 does not equal the start." in report.details["what"] and "simplest of the worlds" in report.details["cause"]


def test_what_holds_in_the_round_worlds_alone_fails():
    in_round = [world.value(theta) for world in X.drawn(0)[:3]]
    vanishes = (theta - in_round[0]) * (theta - in_round[1]) * (theta - in_round[2])
    assert judged(OUTSIDE, GOAL + vanishes).diagnosis == "property:step"


# ---- every refusal has its own sentence ----

THETA = positive("theta")
REFUSED = [
    ("repeats", [X.start, OUTSIDE, GOAL], "Line 1 is the start itself"),
    ("repeats", [D(theta, E(z, N(mu, sigma), Q(s, z)))], "with other names"),
    ("repeats", [X.start * 1 + 0], "Line 1 is the start itself"),
    ("repeats", [OUTSIDE, D(theta, E(z, N(0, 1), Q(s, z * sigma + mu))), GOAL], "Line 2 repeats line 1"),
    ("form:outside", [OUTSIDE], "∂/∂θ still stands before an expectation"),
    ("form:outside", [OUTSIDE, X.start], "your last line is the start again"),
    ("form:outside", [X.start + 1 - 1, 2 * X.start / 2], "∂/∂θ still stands before an expectation"),
    ("form:outside", [OUTSIDE, grad_at(z, E(a, N(mu.func(z, s), sigma.func(z, s)), Q(s, a)), theta)], "∂/∂θ still stands before"),
    ("form:law", [OUTSIDE, SCORE], "an expectation still runs over a law that depends on θ"),
    ("form:chain", [OUTSIDE, INSIDE], "∂/∂θ still stands before Q"),
    ("form:slope", [OUTSIDE, E(eps, N(0, 1), Q(s, path) * (eps * D(theta, mu) + (eps**2 - 1) * D(theta, sigma)) / sigma)], "the score function"),
    ("form:slope", [OUTSIDE, E(eps, N(0, 1), grad_at(z, Q(s, mu.func(z, s) + sigma.func(z, s) * eps), theta))], "Q itself is left"),
    ("form:sampled", [OUTSIDE, GOAL * integral(z, -1, 1, (1 + z) / 2)], "it contains an integral"),
    ("skipped", [GOAL], "was reached in 1 line; the card asks for at least 2"),
    ("empty", [], "an empty list"),
    ("not_attempted", [..., ...], "not attempted yet"),
    ("unfinished", [OUTSIDE, ...], "Line 2 is still `...`"),
    ("type", [OUTSIDE, "E(eps, N(0, 1), Q(s, eps))"], "Line 2 is a string"),
    ("type", [OUTSIDE, np.float64(0.3)], "Line 2 is a float64"),
    ("type", [OUTSIDE, None], "Line 2 is a NoneType"),
    ("type", [True], "Line 1 is a bool"),
    ("type", [[OUTSIDE, GOAL]], "Line 1 is a list"),
    ("type", [N(0, 1)], "Line 1 is a N; an expression is expected"),
    ("type", [OUTSIDE, sp.log(theta)], "contains `log` of another library. Import `log` from rlcourse.notation"),
    ("type", [sp.Integral(theta, theta)], "`Integral`, which is no part of the notation"),
    ("symbol", [sp.Symbol("x") * GOAL], "that was not made by `real`"),
    ("symbol", [OUTSIDE, GOAL + z], "the symbol `z` is unknown"),
    ("symbol", [OUTSIDE, GOAL.args[2]], "In line 2 `ε` stands outside every expectation"),
    ("symbol", [OUTSIDE, GOAL + THETA], "there is another `θ` than the one your function is given"),
    ("symbol", [E(a, N(0, 1), function("R", a)(a))], "a function R that this exercise does not know"),
    ("symbol", [real("<b>") + GOAL], "is no name for a symbol"),
    ("number", [OUTSIDE, 0.31], "line 2 is one number, 0.31"),
    ("number", [OUTSIDE, sp.Rational(1, 3) + exp(1)], "line 2 is one number"),
    ("number", [10**9 * GOAL], "beyond 1,000,000"),
    ("not_finite", [OUTSIDE, float("nan")], "Line 2 is nan"),
    ("undefined", [OUTSIDE, GOAL + log(sqrt(0 - 1 - theta**2))], "line 2 has no finite value"),
    ("undefined", [OUTSIDE, GOAL * (s / (s - s))], "line 2 has no finite value"),
    ("undecided", [OUTSIDE, GOAL + 1e-7], "cannot be told from line 1"),
    ("size", [OUTSIDE] * 13, "13 lines; at most 12 are read"),
    ("size", [E(z, N(0, 1), E(a, N(0, 1), E(eps, N(0, 1), GOAL + z + a + eps)))], "nests so many expectations"),
    ("size", [Sum(time_index("t"), 0, 10**5, GOAL)], "the bounds of a sum"),
    ("size", [Sum(time_index("t"), 0, exp(20), GOAL)], "the bounds of a sum"),
]


@pytest.mark.parametrize(("diagnosis", "written", "words"), REFUSED, ids=[f"{k}-{row[0]}" for k, row in enumerate(REFUSED)])
def test_each_refusal_has_its_own_sentence(diagnosis, written, words):
    started = time.process_time()
    report = judged(*written)
    said = " ".join(str(report).split())
    assert (report.passed, report.score, report.diagnosis) == (False, 0.0, diagnosis), said
    assert words in said and "Traceback" not in said and said.startswith("13.9 pathwise_lines: ") and time.process_time() - started < 3


@pytest.mark.parametrize(("returned", "diagnosis", "words"), [
    (None, "returned_none", "its `return`"), (..., "not_attempted", "not attempted yet"), (GOAL, "type", "Put the lines in square brackets"),
    ("lines", "type", "returned a str"), ({"lines": [GOAL]}, "type", "returned a dict"), (np.array([1.0]), "type", "returned a ndarray"),
])
def test_what_is_no_list_is_refused(returned, diagnosis, words):
    report = X.evaluate(lambda *symbols: returned)
    assert report.diagnosis == diagnosis and (words in str(report) or diagnosis == "returned_none") and not report.passed


def test_the_stub_and_exceptions_are_reported():
    assert X.evaluate(X.stub).status == "not attempted" and X.stub.__name__ == "pathwise_lines"

    def reversed_arguments(theta, s, a, eps, mu, sigma, Q):
        return [E(N(0, 1), eps, Q(s, eps))]

    report = X.evaluate(reversed_arguments)
    assert report.diagnosis == "exception" and "E takes first the variable" in report.details["what"]


def test_hostile_subclasses_never_reach_the_judge():
    class Always(type(GOAL)):
        def __eq__(self, other):
            return True

        __hash__ = sp.Basic.__hash__

    class Named(type(theta)):
        pass

    assert judged(OUTSIDE, Always(eps, N(0, 1), theta)).diagnosis == "type"
    fake = Named("theta", -2.0, 2.0)
    assert judged(OUTSIDE, GOAL + fake - fake).passed                     # it is rebuilt as the symbol it says it is


# ---- the tools for those who write such an exercise ----


def test_same_is_blind_to_names_order_ones_and_zeros_and_to_nothing_else():
    assert lines.same(E(eps, N(0, 1), theta * eps + 1), E(z, N(0, 1), 1 + z * theta * 1 + 0))
    assert lines.same(grad_at(a, Q(s, a), theta), grad_at(z, Q(s, z), theta))
    assert not lines.same(grad_at(a, Q(s, a), theta), grad_at(a, Q(s, a), s))
    assert not lines.same(grad_at(a, Q(s, a), a), grad_at(z, Q(s, z), z))          # the point stands outside: a is not z
    assert not lines.same(E(eps, N(0, 1), eps), E(eps, N(0, 1), theta))
    assert not lines.same(E(eps, N(0, 1), E(z, N(0, 1), eps)), E(eps, N(0, 1), E(z, N(0, 1), z)))
    assert not lines.same(D(theta, mu), D(s, mu)) and not lines.same(theta - 1, theta + 1)


def test_definitions_are_looked_through_and_other_worlds_may_be_asked_for():
    F_s = function("Fhat", theta)
    defined = dataclasses.replace(X, definitions=((F_s(theta), E(a, N(mu, sigma), Q(s, a))),), symbols=(*X.symbols, F_s), at_least=1, mistakes=())

    def by_name(theta, s, a, eps, mu, sigma, Q, Fhat):
        return [D(theta, Fhat(theta)), OUTSIDE, GOAL]

    assert defined.evaluate(by_name).passed
    assert defined.evaluate(lambda *symbols: [D(theta, F_s(theta)), 0.5]).diagnosis == "number"
    discrete = dataclasses.replace(X, start=H(N(0, positive("sigma"))), symbols=(), forms=(), world=FiniteWorld)
    assert isinstance(discrete.drawn(0)[0], FiniteWorld) and oo not in discrete._known.free


@pytest.mark.parametrize("exercise", [IN_FINITE_WORLDS, WITH_REAL_ACTIONS], ids=lambda exercise: exercise.function)
def test_other_kinds_of_world(exercise):
    """Every mistake has its own name, one whose value is 0 in every world beside another such one included."""
    for seed in range(2):
        assert exercise.evaluate(exercise.reference, seed).passed
        assert [exercise.evaluate(mistake.function, seed).diagnosis for mistake in exercise.mistakes] == [mistake.id for mistake in exercise.mistakes]
    short = exercise.evaluate(lambda *symbols: exercise.reference(*symbols)[:1])
    assert short.diagnosis in ("form:sum", "form:slope", "form:outside")


@pytest.mark.parametrize("form", X.forms, ids=lambda form: form.id)
def test_every_form_is_needed(form):
    """Without it, a line that does not have the asked form passes."""
    without = dataclasses.replace(X, forms=tuple(f for f in X.forms if f is not form), at_least=1)
    written = next(row[1] for row in REFUSED if row[0] == f"form:{form.id}")
    assert judged(*written, exercise=without).diagnosis != f"form:{form.id}"
