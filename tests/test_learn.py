"""Learn: a student's function inside the real agent. Right ones learn; wrong ones are told so before any training, and would not have learnt."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from rlcourse import train
from rlcourse.checks import learn
from rlcourse.checks.lecture_13 import learn_squashed_sample as lever
from rlcourse.checks.lecture_13.squashed_sample import FUNCTION, squashed_sample
from rlcourse.equations import using
from rlcourse.equations.distributions import TanhGaussian

LESSON = lever.EXERCISE


class Untrained(Exception):
    """Raised where a training would begin."""


def no_training(seeds, progress):
    raise Untrained


QUICK = dataclasses.replace(LESSON, train=no_training)


@pytest.fixture(scope="module")
def right() -> tuple:
    """One training with the right answer: the report, and the seeds that were trained."""
    trained = []

    def watched(seeds, progress):
        trained.extend(seeds)
        return LESSON.train(seeds, progress)

    return dataclasses.replace(LESSON, train=watched).evaluate(squashed_sample, 3), trained


def test_a_right_function_learns_and_the_chance_of_a_false_alarm_is_said(right):
    report, trained = right
    assert report.passed and report.score == 1.0 and trained == [21, 22, 23, 24, 25, 26, 27] == LESSON.seeds(3).tolist()
    said = " ".join(str(report).split())
    assert "then inside the real agent: 7 of 7 agents learnt" in said and "with a probability of at most 1.1e-07" in said
    assert report.details["trained"] == 7 and report.details["seed"] == 3


def test_the_stated_probabilities_follow_from_the_calibration():
    """No failure in 400: p <= 0.0075 with 95 %, since 0.9925^400 = 0.05; four failures among seven then have probability 1.1e-7."""
    p = LESSON.chance_per_copy
    assert LESSON.calibration == (400, 0) and (1 - p) ** 400 == pytest.approx(0.05)
    tail = sum(math.comb(7, k) * p**k * (1 - p) ** (7 - k) for k in range(4, 8))
    assert LESSON.false_fail == pytest.approx(tail) and tail < 1e-6 and LESSON.power > 0.99


def test_a_wrong_function_is_told_so_before_any_training():
    for mistake in LESSON.mistakes:
        report = QUICK.evaluate(mistake.function, 1)
        assert (report.passed, report.score, report.diagnosis, report.details["trained"]) == (False, 0.0, mistake.id, 0)
        assert mistake.sentence in report.details["what"] and report.details["what"].endswith("(Nothing was trained yet.)")
    with pytest.raises(Untrained):
        QUICK.evaluate(squashed_sample)


@pytest.mark.parametrize(("answer", "diagnosis", "words"), [
    (LESSON.stub, "not_attempted", "not attempted yet"), (lambda mu, sigma, eps: ..., "not_attempted", "not attempted yet"),
    (lambda mu, sigma, eps: None, "returned_none", "not attempted yet"), (lambda mu, sigma, eps: mu, "type", "returned a Tensor; two are expected"),
    (lambda mu, sigma, eps: (mu,), "type", "returned 1 values; two are expected"),
    (lambda mu, sigma, eps: (mu.numpy(), sigma), "type", "the actor is trained through it"),
    (lambda mu, sigma, eps: (mu, sigma.sum(-1) + 0.1), "property:action", "the action is the squashed sample"),
    (lambda mu, sigma, eps: (torch.tanh(mu + sigma * torch.randn_like(eps)), eps.sum(-1)), "property:action", "from the noise that is given"),
    (lambda mu, sigma, eps: (mu[:, 0], squashed_sample(mu, sigma, eps)[1]), "shape", "shape"),
    (lambda mu, sigma, eps: 1 / 0, "exception", "ZeroDivisionError")])
def test_slips_cost_nothing_and_start_no_training(answer, diagnosis, words):
    report = QUICK.evaluate(answer)
    assert (report.passed, report.diagnosis) == (False, diagnosis) and words.lower() in " ".join(str(report).split()).lower()


def test_every_property_of_the_function_refuses_a_mistake_on_its_own():
    for prop in FUNCTION.properties:
        alone = dataclasses.replace(FUNCTION, properties=(prop,), mistakes=())
        assert alone.evaluate(squashed_sample).passed
        assert f"property:{prop.id}" in [alone.evaluate(mistake.function).diagnosis for mistake in FUNCTION.mistakes]


@pytest.mark.parametrize("name", ["two_pi_missing", pytest.param("log_prob_detached", marks=pytest.mark.slow)])
def test_training_alone_refuses_a_wrong_function(name):
    """The function's own check is left out; the agent meets its target by the log-density it was given, and its actions do not."""
    unchecked = dataclasses.replace(LESSON, first=dataclasses.replace(FUNCTION, properties=(), mistakes=()))
    (mistake,) = (m for m in FUNCTION.mistakes if m.id == name)
    report = unchecked.evaluate(mistake.function)
    assert report.diagnosis == "learn:entropy" and "0 of 7 agents learnt" in report.details["what"]
    assert ("less random" if name == "log_prob_detached" else "more random") in report.details["cause"]


@pytest.mark.slow
def test_all_that_stops_learning_does_so_in_every_copy():
    """What `stops` says, and that it is all of those: python -m rlcourse.checks.learn 13.11"""
    refused = {m.id: learn.refused_by_training(LESSON, m).mean() for m in LESSON.mistakes if m.id not in ("no_sum", "mean_over_dimensions")}
    assert {name for name, share in refused.items() if share == 1} == set(LESSON.stops)


@pytest.mark.slow
def test_the_right_function_fails_in_none_of_200_copies():
    """Half of the calibration: python -m rlcourse.checks.learn 13.11 400. The limits are more than five standard deviations away."""
    measured = learn.calibrated(LESSON, 200)
    assert LESSON.learnt(measured).all() and measured["entropy"].shape == (200,)
    for limit in LESSON.limits:
        mean, sd = measured[limit.name].mean(), measured[limit.name].std()
        assert limit.high - mean > 5 * sd and mean - limit.low > 5 * sd


# ---- how it is judged ----


def judged(entropy, distance=0.2):
    """The report on seven policies of which this was measured."""
    values = {"entropy": np.broadcast_to(np.array(entropy, float), 7), "distance": np.broadcast_to(np.array(distance, float), 7)}
    return dataclasses.replace(LESSON, measure=lambda arrays: values).assess(lambda **inputs: right_arrays(inputs))


def right_arrays(inputs):
    return {} if "seeds" in inputs else FUNCTION.adapt(squashed_sample)(**inputs)


def test_four_of_seven_are_enough_and_three_are_not():
    good, bad = LESSON.limits[0].low, LESSON.limits[0].high + 0.01
    assert judged([good] * 4 + [bad] * 3).passed
    report = judged([good] * 3 + [bad] * 4)
    assert report.diagnosis == "learn:entropy" and "3 of 7 agents learnt" in report.details["what"]
    assert judged([np.nan] * 7).diagnosis == "learn:entropy" and judged(-0.5, 0.9).diagnosis == "learn:distance"
    mixed = judged([bad] * 3 + [good] * 4, [0.2] * 5 + [0.9] * 2)  # every median is fine, and only two copies are
    assert not mixed.passed and "2 of 7" in mixed.details["what"]


def test_policies_from_another_process_are_measured_here(right):
    """Arrays in, arrays out: seeds go out, policies come back, and a wrong number of them is refused."""
    def other_process(**inputs):
        return {"mu": np.arctanh(lever.PLACES)[None].repeat(7, 0), "sigma": np.full((7, 20), 0.7)} if "seeds" in inputs else right_arrays(inputs)

    assert LESSON.assess(other_process).details["status"] in ("passed", "failed")
    assert LESSON.assess(lambda **i: {k: v[:3] for k, v in other_process(**i).items()} if "seeds" in i else right_arrays(i)).diagnosis == "shape"


def test_entropy_and_distance_are_those_of_the_policy():
    """Against sampling from the package's squashed Gaussian, 4 standard errors."""
    mu, sigma = np.full((1, 20), 0.4), np.full((1, 20), 0.6)
    found = lever.measure({"mu": mu, "sigma": sigma})
    policy = TanhGaussian(torch.from_numpy(mu[0, :, None]), torch.from_numpy(sigma[0, :, None]))
    generator = torch.Generator().manual_seed(0)
    estimate = policy.entropy_estimate(generator, samples=20_000)
    assert abs(found["entropy"][0] - estimate.value.mean().item()) < 4 * estimate.standard_error.mean().item() / math.sqrt(20)
    squares = (policy.rsample(generator, sample_shape=(20_000,))[..., 0].numpy() - lever.PLACES) ** 2
    assert abs(found["distance"][0] ** 2 - squares.mean()) < 4 * squares.std() / math.sqrt(squares.size)


def test_the_students_function_is_what_the_agent_samples_with():
    """The same formulas give the same bits as the package; shapes are those of the card, (B, A)."""
    def trained(**functions):
        with using(**functions):
            return train.train("sac", lever.ENV_ID, 2, 60, config=lever.CONFIG, progress=False, eval_episodes=1).agent.actor.weights[0]

    shapes = set()

    def watched(mu, sigma, eps):
        shapes.add(tuple(eps.shape))
        policy = TanhGaussian(mu, sigma)
        return policy.rsample_with_log_prob(noise=eps)

    own = trained()
    assert torch.equal(trained(**lever.inside(watched)), own) and shapes == {(2, 1), (256, 1)}
    assert not torch.equal(trained(**lever.inside(lambda mu, sigma, eps: watched(mu, sigma, -eps))), own)


def test_a_training_that_breaks_down_is_said_in_a_sentence():
    """Right on the cases of the check, and not a number later."""
    calls = []

    def decaying(mu, sigma, eps):
        calls.append(1)
        a, log_prob = squashed_sample(mu, sigma, eps)
        return a, log_prob * (math.nan if len(calls) > 300 else 1)

    report = LESSON.evaluate(decaying)
    assert (report.passed, report.diagnosis, report.details["status"]) == (False, "diverged", "slip") and "training stopped" in str(report)
