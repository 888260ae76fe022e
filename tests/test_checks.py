"""The checks are checked: right answers in any style pass, every named mistake fails and is named, every other slip gets a sentence of its own."""

import dataclasses
import threading
import time

import numpy as np
import pytest
import torch

from rlcourse import checks
from rlcourse.checks import compare, mistakes
from rlcourse.equations import distributions

IDS = [id for id in checks.all_ids() if checks.get(id).kind == "function"]
E1, E2, E6 = (checks.get(id) for id in ("13.1", "13.2", "13.6"))


def right(u, mu, sigma):
    """A right answer to 13.1, from torch.distributions and log cosh."""
    return (torch.distributions.Normal(mu, sigma).log_prob(u) + 2 * (torch.logaddexp(u, -u) - np.log(2))).sum(-1)


def answer_of(id, change):
    """A right answer to an exercise whose value is changed before it is returned."""
    return lambda *arguments: change(checks.get(id).reference(*arguments))


# ---- the exercises (what every check has to hold is in test_gate.py) ----


def test_ids_resolve_and_exercises_are_complete():
    assert {"13.1", "13.2", "13.6"} <= set(IDS)
    for exercise in map(checks.get, IDS):
        assert exercise.signature.startswith(exercise.function + "(") and checks.get(exercise.function) is exercise
        assert len(exercise.hints) == 3 and exercise.minutes > 0 and exercise.points > 0 and 1 <= exercise.difficulty <= 5
        assert len(exercise.mistakes) >= 8 and len({mistake.id for mistake in exercise.mistakes}) == len(exercise.mistakes)
        assert all(mistake.sentence and mistake.cause and mistake.tag.startswith("[13.") for mistake in exercise.mistakes)
    with pytest.raises(LookupError, match=r"13\.1 tanh_gaussian_logprob"):
        checks.get("13.99")


@pytest.mark.parametrize("id", IDS)
def test_two_mistakes_at_once_are_both_named(id):
    """Every fourth pair. A pair may equal a single mistake (a missing Jacobian hides what was done to it); it never passes."""
    exercise = checks.get(id)
    every_fourth = list(mistakes.pairs(exercise.reference, exercise.mistakes))[::4]
    diagnoses = [exercise.evaluate(function).diagnosis for _, _, function in every_fourth]
    both = [f"{first.id}+{second.id}" for first, second, _ in every_fourth]
    assert "passed" not in diagnoses and sum(map(str.__eq__, both, diagnoses)) >= 0.7 * len(both)


def test_nothing_is_judged_with_the_reference(monkeypatch):
    """With every reference made wrong, right answers pass and wrong ones fail."""
    monkeypatch.setattr(distributions, "tanh_log_det", lambda u: u.sum(-1) * torch.nan)
    for exercise in map(checks.get, IDS):
        answers, wrong = (exercise.solution, *exercise.alternatives), [mistake.function for mistake in exercise.mistakes]
        misled = dataclasses.replace(exercise, reference=lambda *arguments: torch.zeros(7), mistakes=())
        assert all(misled.evaluate(answer).passed for answer in answers) and not any(misled.evaluate(f).passed for f in wrong)


def test_the_escape_hatch_equals_the_package():
    u, mu, sigma = (E1.cases(np.random.default_rng(0))[4].inputs[name] for name in ("u", "mu", "sigma"))
    u, mu, sigma = map(torch.from_numpy, (u, mu, sigma))
    torch.testing.assert_close(E1.reference(u, mu, sigma), distributions.TanhGaussian(mu, sigma).log_prob_from_pre_tanh(u))


# ---- every other slip has its own sentence ----


class AlwaysEqual(torch.Tensor):
    def __eq__(self, other):
        return True

    __hash__ = None


def mutating(u, mu, sigma):
    out = right(u, mu, sigma)
    u *= 2
    return out


def endless(u, mu, sigma):
    while True:
        pass


def swallowing(u, mu, sigma):
    try:
        endless(u, mu, sigma)
    except Exception:
        return right(u, mu, sigma)


def exploding(u, mu, sigma):
    scale = len(u)
    return u / (scale - len(u)) + undefined_name  # noqa: F821


def unfinished(u, mu, sigma):
    raise NotImplementedError("13.1: your code here")


def leaving(u, mu, sigma):
    raise SystemExit


SLIPS = [
    (unfinished, "not_attempted", "not attempted yet"),
    (lambda u, mu, sigma: ..., "not_attempted", "not attempted yet"),
    (lambda u, mu, sigma: None, "returned_none", "its `return` is missing"),
    (lambda u, mu, sigma: right(u, mu, sigma)[:, None], "shape", "broadcasts silently"),
    (lambda u, mu, sigma: right(u, mu, sigma)[None], "shape", "leading axis of length 1"),
    (lambda u, mu, sigma: right(u, mu, sigma).sum(), "shape", "one axis too many"),
    (lambda u, mu, sigma: right(u, mu, sigma).squeeze(), "shape", "batch of one"),
    (lambda u, mu, sigma: right(u, mu, sigma)[:0], "shape", "yours has shape (0,)"),
    (lambda u, mu, sigma: right(u, mu, sigma).half(), "dtype", "float16; float32 or float64 is expected"),
    (lambda u, mu, sigma: right(u, mu, sigma).bfloat16(), "dtype", "bfloat16"),
    (lambda u, mu, sigma: right(u, mu, sigma).long(), "dtype", "int64"),
    (lambda u, mu, sigma: right(u, mu, sigma) + 0j, "dtype", "complex"),
    (lambda u, mu, sigma: right(u, mu, sigma).numpy(), "type", "the gradient has to flow"),
    (lambda u, mu, sigma: list(right(u, mu, sigma)), "type", "a list of 1 items"),
    (lambda u, mu, sigma: right(u, mu, sigma).as_subclass(AlwaysEqual), "type", "an AlwaysEqual"),
    (lambda u, mu, sigma: right(u, mu, sigma).to_sparse(), "type", "dense"),
    (lambda u, mu, sigma: right(u, mu, sigma) * torch.nan, "not_finite", "contains NaN"),
    (lambda u, mu, sigma: right(u, mu, sigma) + torch.inf, "not_finite", "contains infinity"),
    (mutating, "mutated", "changed its input `u`"),
    (exploding, "exception", "NameError at line"),
    (leaving, "exception", "SystemExit"),
    (lambda u, mu: u, "exception", "could not be called as tanh_gaussian_logprob(u, mu, sigma)"),
    (lambda u, mu, sigma: torch.zeros(len(u)), "constant", "returns 0 whatever it is given"),
    (lambda u, mu, sigma: sigma, "returns_input", "returns its input `sigma` unchanged"),
]


@pytest.mark.parametrize(("answer", "diagnosis", "words"), SLIPS)
def test_each_slip_has_its_own_sentence(answer, diagnosis, words):
    report = E1.evaluate(answer)
    text = " ".join(str(report).split())
    assert (report.passed, report.score, report.diagnosis) == (False, 0.0, diagnosis)
    assert words in text and "Traceback" not in text and text.startswith("13.1 tanh_gaussian_logprob: ")


@pytest.mark.parametrize("answer", [endless, swallowing])
def test_a_function_that_never_ends_is_stopped(answer):
    started = time.monotonic()
    report = E1.evaluate(answer, seconds=0.3)
    assert time.monotonic() - started < 15
    assert report.diagnosis == "timeout" and "had not finished after 0.3 seconds" in str(report)


def test_the_time_limit_works_in_a_thread_too():
    found = []
    thread = threading.Thread(target=lambda: found.append(E1.evaluate(endless, seconds=0.3).diagnosis))
    thread.start()
    thread.join(20)
    assert found == ["timeout"]


@pytest.mark.parametrize("change", [lambda g: g.numpy(), lambda g: g.double().requires_grad_(), lambda g: np.asarray(g.numpy(), dtype=np.float32)])
@pytest.mark.parametrize("id", ["13.2", "13.6"])
def test_numpy_and_either_precision_are_accepted_where_mathematics_does_not_care(id, change):
    assert checks.get(id).evaluate(answer_of(id, change)).passed


@pytest.mark.parametrize("change", [lambda g: np.ma.masked_array(g.numpy(), mask=True), lambda g: np.asmatrix(g.numpy()), lambda g: (g[0], g[1])])
def test_masks_subclasses_and_tuples_are_refused(change):
    assert E2.evaluate(answer_of("13.2", change)).diagnosis == "type"


def test_comparison_never_broadcasts():
    one = np.ones(3)
    assert compare.close(one, one, 1e-7)
    assert not any(compare.close(value, one, 1e-7) for value in (np.ones((3, 1)), np.ones(()), np.ones(0), one * np.nan, one + 1e-5))
    assert not compare.close(np.ones(0), np.ones(0), 1.0)


def test_what_the_student_prints_does_not_bury_the_verdict(capsys):
    def chatty(u, mu, sigma):
        print("here I am " * 1000)
        return right(u, mu, sigma)

    report = E1.evaluate(chatty)
    assert report.passed and capsys.readouterr().out == "" and "here I am" in report.details["printed"] and len(str(report)) < 2000


# ---- unnamed wrong answers, and what is said ----


def test_an_unnamed_wrong_answer_gets_the_first_broken_property_and_a_small_case():
    report = E1.evaluate(lambda u, mu, sigma: (torch.distributions.Normal(mu, sigma).log_prob(u) - torch.log(1 - torch.tanh(u) ** 2 + 1e-8)).sum(-1))
    assert report.diagnosis == "property:tail" and report.details["read"].startswith("equation [13.6]")
    assert report.details["smallest"] == "for u = 20, mu = 20, sigma = 1 (float32): expected 37.6948, yours 17.5017."
    report = E6.evaluate(answer_of("13.6", lambda g: g * 1.5))
    assert report.diagnosis == "property:quadratic"
    assert report.details["smallest"] == "for theta = (0, 0), s = (0), coef = (0, 0, 1, 0) (float32): expected (0, 2), yours (0, 3)."
    report = E2.evaluate(answer_of("13.2", lambda g: g + 0.25))
    assert report.details["smallest"] == ("for Q(a) = 0, mu = 0.5, sigma = 0.5, eps = (0), w = (2) (float32): "
                                          "expected (0.5, 0.5) from twice your answer for half of w, yours (0.25, 0.25).")


def test_a_wrong_gradient_alone_is_refused():
    """The value is right at |u| = 20; a clamp cuts its gradient there."""
    def clamped(u, mu, sigma):
        return right(u.clamp(-19, 19) + (u - u.clamp(-19, 19)).detach(), mu, sigma)

    assert E1.evaluate(clamped).diagnosis == "property:gradients"


def test_the_order_of_what_is_said():
    lines = E1.evaluate(lambda u, mu, sigma: torch.distributions.Normal(mu, sigma).log_prob(u).sum(-1)).lines()
    assert [label for label, _ in lines] == ["What is wrong", "Likely cause", "Smallest case", "Where to read", "Next hint"]
    assert lines[2][1] == "for mu = 0, sigma = 1, area under exp(log_prob) over (-1, 1): expected 1, yours 0.6057."


def test_the_same_seed_gives_the_same_report_and_another_seed_other_cases():
    wrong = E1.mistakes[0].function
    assert E1.evaluate(wrong, 3) == E1.evaluate(wrong, 3)
    first, again, other = E1.drawn(3)[0].inputs["u"], E1.drawn(3)[0].inputs["u"], E1.drawn(4)[0].inputs["u"]
    assert (first == again).all() and not (first == other).any()


def test_swaps_apply_exactly_once():
    for piece in ("no such piece", "u"):
        with pytest.raises(ValueError, match="expected once"):
            mistakes.swapped(E1.reference, (piece, "0"))
