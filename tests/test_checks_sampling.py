"""Statistical properties: the stated rate of false alarms is the computed one and the one that a simulation finds; a wrong law is refused."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from rlcourse.checks.core import Exercise
from rlcourse.checks.interface import Interface, array, generator, scalar
from rlcourse.checks.sampling import band, fresh_seed, law_of_draws, mean_of_draws, sigmas

N = 2000
IO = Interface(inputs={"mu": array("A"), "sigma": scalar(0.5, 2.0), "rng": generator()}, outputs={"actions": f"{N} A"}, sizes={"A": (2,)})


def draws(inputs, answer):
    return answer["actions"]


def normal_cdf(x, mu, sigma, rng):
    return 0.5 * (1 + np.vectorize(math.erf)((x - mu) / sigma / math.sqrt(2)))


def properties(**more):
    mean = mean_of_draws(IO, "mean", "the actions have mean mu", "The noise is centred.", "[0.1]", draws, lambda mu, sigma, rng: mu,
                         lambda mu, sigma, rng: sigma, entries=2, looks=3, **more)
    law = law_of_draws(IO, "law", "the actions are normal", "sigma is a standard deviation.", "[0.1]", draws, normal_cdf, entries=2, looks=3, **more)
    return mean, law


def sample(mu, sigma, rng):
    """A right answer: N draws of a Gaussian action."""
    return mu + sigma * torch.randn(N, len(mu), generator=rng, dtype=mu.dtype)


EX = Exercise(id="0.2", function="sample", title="", tags=("[0.1]",), minutes=1, difficulty=1, points=1.0, lecture="0.ipynb", hints=("a", "b", "c"),
              reference=sample, interface=IO, properties=properties(), mistakes=(), cases=lambda rng: IO.cases(rng)[:3])


def test_the_width_of_the_bands_is_the_stated_rate():
    for rate, numbers in ((1e-6, 1), (1e-6, 12), (0.1, 6)):
        assert math.erfc(sigmas(rate, numbers) / math.sqrt(2)) * numbers == pytest.approx(rate, rel=1e-9)
        assert 2 * math.exp(-2 * 500 * band(rate, numbers, 500) ** 2) * numbers == pytest.approx(rate, rel=1e-9)
    assert sigmas(1e-6, 1) == pytest.approx(4.8916, abs=1e-4)


def test_the_rate_is_said():
    mean, law = EX.properties
    assert mean.says == "the actions have mean mu (false alarms: at most 1e-06, drawn again before it fails, 5.2 sigma over 6 numbers)"
    assert law.says == "the actions are normal (false alarms: at most 1e-06, drawn again before it fails, over 6 numbers)"
    assert mean.says in EX.evaluate(sample).details["verified"]


def alarms(prop, trials, n=300):
    """The share of trials in which a right sampler is refused on at least one of three cases."""
    rng = np.random.default_rng(0)
    inputs = {"mu": np.zeros(2), "sigma": np.array(1.0), "rng": np.array(5)}

    def answer(_=None):
        return {"actions": rng.standard_normal((n, 2))}

    return np.mean([sum(prop.test(inputs, answer(), answer) is not None for _ in range(3)) > 0 for _ in range(trials)])


def test_a_simulation_finds_the_stated_rate():
    """At rate 0.1, where it can be counted: 1 - (1 - 0.1/6)^6 = 0.096 for the mean, somewhat less for a bound that holds for every law."""
    mean, law = properties(rate=0.1, attempts=1)
    assert 0.08 < alarms(mean, 2000) < 0.115
    assert 0.03 < alarms(law, 600) < 0.115


def test_a_repetition_makes_false_alarms_rarer_still():
    """Both attempts of one case have to break: 3 (1 - (1 - 0.5/6)^2)^2 = 0.077 in the place of 0.41."""
    assert alarms(properties(rate=0.5, attempts=1)[0], 800) > 0.35
    assert 0.04 < alarms(properties(rate=0.5, attempts=2)[0], 800) < 0.11


def test_right_samplers_pass_and_wrong_ones_fail():
    def by_numpy(mu, sigma, rng):
        return np.random.default_rng(rng.initial_seed()).normal(mu.numpy(), sigma, (N, len(mu)))

    for seed in range(6):
        assert EX.evaluate(sample, seed).passed and EX.evaluate(by_numpy, seed).passed
        assert EX.evaluate(lambda mu, sigma, rng: sample(mu + 0.4 * sigma, sigma, rng), seed).diagnosis == "property:mean"
        assert EX.evaluate(lambda mu, sigma, rng: sample(mu, sigma * 1.3, rng), seed).diagnosis == "property:law"
    report = EX.evaluate(lambda mu, sigma, rng: mu + sigma * (2 * torch.rand(N, len(mu), generator=rng) - 1) * 3**0.5)  # the right mean and deviation
    assert report.diagnosis == "property:law" and "a share of" in report.details["smallest"] and "Generator().manual_seed(" in report.details["call"]


def test_the_same_seed_gives_the_same_verdict_and_a_repetition_new_randomness():
    wrong = lambda mu, sigma, rng: sample(mu + 0.4, sigma, rng)  # noqa: E731
    assert EX.evaluate(wrong, 3) == EX.evaluate(wrong, 3)
    seeds = {int(fresh_seed(np.array(5), attempt)) for attempt in range(1, 50)}
    assert len(seeds) == 49 and 5 not in seeds and fresh_seed(np.array(5), 1) == fresh_seed(np.array(5), 1)


def test_bad_luck_in_one_draw_is_not_held_against_an_answer():
    unlucky = {int(case.inputs["rng"]) for case in EX.drawn(0)}
    answer = lambda mu, sigma, rng: sample(mu + 5 * (rng.initial_seed() in unlucky), sigma, rng)  # noqa: E731
    assert EX.evaluate(answer).passed
    assert dataclasses.replace(EX, properties=properties(attempts=1)).evaluate(answer).diagnosis == "property:mean"


def test_a_rate_that_counts_on_too_little_is_an_error():
    with pytest.raises(ValueError, match=r"looks at 4 cases; its false-alarm rate counts on 3"):
        dataclasses.replace(EX, cases=lambda rng: IO.cases(rng)[:4]).evaluate(sample)
    one = mean_of_draws(IO, "one", "", "", "[0.1]", draws, lambda **x: 0.0, lambda **x: 1.0, looks=3)
    with pytest.raises(ValueError, match="2 numbers a row"):
        dataclasses.replace(EX, properties=(one,)).evaluate(sample)
    with pytest.raises(ValueError, match="needs an input generator"):
        mean_of_draws(dataclasses.replace(IO, inputs={"mu": array("A")}), "m", "", "", "[0.1]", draws, lambda mu: mu, lambda mu: 1.0)
