"""The worked examples of CONTRIBUTING.md are what they say.

The derivation: five checked steps in under 20 lines, of which no wrong version passes. The exercise: a file under 100 lines whose check lets right
answers pass and says what is wrong with the others.
"""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from rlcourse.checks.mistakes import pairs
from rlcourse.equations import returns
from rlcourse.notation import Derivation, StepFails, derivations, mutation

PAGE = (Path(__file__).resolve().parents[1] / "CONTRIBUTING.md").read_text()
EXAMPLE, LEMMA, EXERCISE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
ATTACHED = re.search(r"# (\.also_equals.*)", LEMMA).group(1)


def example(code: str = EXAMPLE) -> Derivation:
    exec(compile(code, "CONTRIBUTING.md", "exec"), {})
    return next(d for d in derivations() if d.tag == "07.1")


def with_the_lemma() -> str:
    symbols, chain = EXAMPLE.split("(\n    Derivation", 1)
    second, rest = chain.split('is left of it")\n')
    return f"{symbols}{LEMMA}(\n    Derivation{second}is left of it\")\n    {ATTACHED}\n{rest}"


def test_a_derivation_of_five_steps_takes_under_twenty_lines():
    assert len(EXAMPLE.strip().splitlines()) < 20
    assert example().checked == 5


def test_every_wrong_version_of_the_example_is_caught_or_is_a_theorem():
    fates = [o.fate for o in mutation.outcomes(example())]
    assert fates.count("caught") > 100 and fates.count("survivor") == 1
    assert [o.fate for o in mutation.outcomes(example(with_the_lemma())) if o.fate in ("survivor", "equal")] == ["equal"]


def test_changing_a_sign_names_the_step_and_a_world():
    with pytest.raises(StepFails, match=r"step 2 .*does not hold\nin the world with 2 states"):
        example(EXAMPLE.replace("gamma * V(s[t + 1]) - V(s[t])))),", "gamma * V(s[t + 1]) + V(s[t])))),", 1))


@pytest.fixture(scope="module")
def worked(tmp_path_factory):
    """The exercise's module, from a file as a writer would save it."""
    path = tmp_path_factory.mktemp("lecture_04") / "discounted_returns.py"
    path.write_text(EXERCISE)
    spec = importlib.util.spec_from_file_location("worked_exercise", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def by_the_package(rewards, terminated, truncated, next_values, gamma):
    return returns.discounted_returns(rewards, terminated, truncated, next_values, gamma)


def in_numpy(r, end, limit, v, gamma):
    """A product of factors and a sum for each pair of steps; the answer is an array."""
    r, end, limit, v = (np.asarray(each) for each in (r, end, limit, v))
    last = np.arange(len(r))[:, None] == len(r) - 1
    reward = r + gamma * np.where((limit | last) & ~end, v, 0)
    goes_on = np.where(end | limit, 0.0, gamma)
    return np.array([sum(np.prod(goes_on[t:k], axis=0) * reward[k] for k in range(t, len(r))) for t in range(len(r))], dtype=r.dtype)


def test_an_exercise_takes_under_a_hundred_lines_and_right_answers_pass(worked):
    assert len(EXERCISE.strip().splitlines()) < 100
    assert worked.EXERCISE.signature == "discounted_returns(rewards, terminated, truncated, next_values, gamma)"
    for answer in (worked.discounted_returns, by_the_package, in_numpy):
        for seed in range(4):
            report = worked.EXERCISE.evaluate(answer, seed)
            assert report.passed and report.details["cases"] > 30, f"{answer.__name__}, seed {seed}\n{report}"
    assert worked.EXERCISE.evaluate(worked.EXERCISE.stub).diagnosis == "not_attempted"


def test_the_mistakes_of_the_example_are_recognised_alone_and_in_pairs(worked):
    for mistake in worked.EXERCISE.mistakes:
        assert worked.EXERCISE.evaluate(mistake.function).diagnosis == mistake.id
    two = {(first.id, second.id): f for first, second, f in pairs(worked.discounted_returns, worked.EXERCISE.mistakes)}
    report = worked.EXERCISE.evaluate(two["termination_ignored", "undiscounted"])
    assert report.diagnosis == "termination_ignored+undiscounted" and "and, at once, the return without a discount" in report.details["what"]


def test_a_mistake_without_a_name_gets_a_case_that_can_be_followed_by_hand(worked):
    def late(rewards, terminated, truncated, next_values, gamma):  # the value of the row after the next one
        return by_the_package(rewards, terminated, truncated, next_values.roll(-1, 0), gamma)

    report = worked.EXERCISE.evaluate(late)
    assert report.diagnosis == "property:loop" and report.details["cause"].startswith("Follow one sum by hand")
    assert report.details["smallest"] == ("for rewards = (0, 0), terminated all False, truncated all False, next_values = (1, 0), gamma = 0.5 "
                                          "(float32): expected (0, 0), yours (0.25, 0.5).")
    theirs = eval(report.details["call"], {"torch": torch, "discounted_returns": late})
    assert theirs.flatten().tolist() == [0.25, 0.5]  # the call can be pasted
