"""Odd answers: whatever a function returns or does in the place of an answer, a student is told in a sentence of its own."""

import dataclasses
import sys
import time

import numpy as np
import pytest
import torch
from small_exercise import EX, IO, exercise, sums

from rlcourse.checks.interface import Interface, array, index, mask
from rlcourse.checks.properties import equals


def asks_for_more(rewards, ended, gamma, lam):
    return rewards


def calls_itself(rewards, ended, gamma):
    return calls_itself(rewards, ended, gamma)


def yields(rewards, ended, gamma):
    yield rewards


def pads(rewards, ended, gamma):
    print("to stderr", file=sys.stderr)
    return sums(rewards, ended, gamma)


ODD = [
    (lambda r, e, g: sums(r, e, g).T, "shape", "must have shape (T, B) = (3, 4); yours has shape (4, 3). Likely cause: The axes are in the other"),
    (lambda r, e, g: sums(r, e, g)[1:], "shape", "One axis is off by one"),
    (lambda r, e, g: sums(r, e, g).sum(), "shape", "A single number came back"),
    (lambda r, e, g: float(sums(r, e, g).sum()), "type", "One number came back; an array of shape"),
    (lambda r, e, g: (sums(r, e, g),), "type", "A comma at the end of the `return` line"),
    (yields, "type", "a generator. Likely cause: A function with `yield`"),
    (lambda r, e, g: sums, "type", "are the parentheses of a call missing?"),
    (lambda r, e, g: torch.nn.Parameter(sums(r, e, g)), "type", "A Parameter is what an optimiser changes"),
    (lambda r, e, g: sums(r, e, g).numpy().astype(object), "dtype", "rows of different lengths"),
    (lambda r, e, g: sums(r, e, g).numpy().astype(np.float16), "dtype", "float16; float32 or float64 is expected"),
    (lambda r, e, g: sums(r, e, g).numpy() + 0j, "dtype", "complex128"),
    (lambda r, e, g: torch.zeros(1, 1).expand(10**6, 10**6), "shape", "1,000,000,000,000 numbers"),
    (asks_for_more, "exception", "it takes 4 arguments (rewards, ended, gamma, lam)"),
    (calls_itself, "exception", "calls itself without an end"),
    (lambda r, e, g: np.ones(10**15), "exception", "more memory than there is"),
    (lambda r, e, g: torch.ones(10**15), "exception", "more memory than there is"),
    (lambda r, e, g: sys.exit(), "exception", "ended Python itself"),
]


@pytest.mark.parametrize(("answer", "diagnosis", "words"), ODD)
def test_each_odd_answer_has_its_own_sentence(answer, diagnosis, words):
    report = EX.evaluate(answer)
    assert (report.diagnosis, words in " ".join(str(report).split())) == (diagnosis, True), str(report)


def test_an_exception_is_shown_with_the_smallest_inputs_that_raise_it():
    report = EX.evaluate(lambda r, e, g: sums(r, e, g) / (1 if r.shape[1] < 2 or not e.any() else r.undefined))
    assert "AttributeError" in report.details["what"] and report.details["given"].startswith("rewards = (0, 0), ended = (")


def test_not_a_number_is_shown_on_the_smallest_inputs():
    report = EX.evaluate(lambda r, e, g: sums(r, e, g) / (e.any() & (g < 0.7)).logical_not())
    assert (report.diagnosis, report.status) == ("not_finite", "failed")
    assert report.details["what"].startswith("For rewards = 0, ended = 1, gamma = 0.5 (float32) your answer contains NaN")


def test_an_alias_is_fine_unless_it_matters():
    same = lambda rewards, ended, gamma: rewards  # noqa: E731
    keeps = equals(IO, "keeps", "it is rewards", "", "[0.1]", lambda rewards, **rest: rewards)
    assert exercise(same, properties=(keeps,)).evaluate(same).passed
    strict = exercise(same, dataclasses.replace(IO, fresh="the target must not move with the network."), (keeps,))
    assert strict.evaluate(lambda r, e, g: r[:]).diagnosis == strict.evaluate(lambda r, e, g: r.numpy()).diagnosis == "alias"
    assert strict.evaluate(lambda r, e, g: r.clone()).passed and "the target must not move" in str(strict.evaluate(same))


def test_several_outputs_are_a_tuple_in_order():
    io = Interface(inputs={"x": array("N A")}, outputs={"top": "N", "best": index("N", below="A"), "big": mask("N")}, sizes={"N": (1, 3), "A": (4,)})
    right = lambda x: (x.max(1).values, x.argmax(1), x.max(1).values > 1)  # noqa: E731
    test = equals(io, "all", "", "", "[0.1]", lambda x: {"top": x.max(1), "best": x.argmax(1), "big": x.max(1) > 1})
    found = exercise(right, io, (test,))
    assert found.evaluate(right).passed and found.evaluate(lambda x: list(right(x))).passed
    wrong = {
        "one Tensor; 3 are expected": lambda x: x.max(1).values,
        "2 values; 3 are expected": lambda x: right(x)[:2],
        "float64; an integer type is expected": lambda x: (right(x)[0], right(x)[0], right(x)[2]),
        "None as `best`": lambda x: (right(x)[0], None, None),
        "`best` must have shape (N,)": lambda x: (right(x)[0], right(x)[1][:0], right(x)[2]),
        "(this is best)": lambda x: (right(x)[0], x.argmin(1), right(x)[2]),
    }
    assert [words for words, answer in wrong.items() if words not in " ".join(str(found.evaluate(answer)).split())] == []


def test_padding_may_be_nan_and_still_count_as_unchanged():
    io = dataclasses.replace(IO, inputs=IO.inputs | {"rewards": array("T B", draw=lambda rng, shape: np.where(rng.random(shape) < 0.3, np.nan, 1.0))})
    keeps = equals(io, "sum", "", "", "[0.1]", lambda rewards, **rest: np.nan_to_num(rewards))
    found = exercise(lambda r, e, g: r.nan_to_num(), io, (keeps,))
    assert found.evaluate(lambda r, e, g: r.nan_to_num()).passed
    assert found.evaluate(lambda r, e, g: r.nan_to_num_()).diagnosis == "mutated"


def test_printing_to_either_stream_is_kept_aside(capsys):
    report = EX.evaluate(pads)
    assert report.passed and "to stderr" in report.details["printed"] and capsys.readouterr() == ("", "")


def test_a_slow_answer_is_told_from_an_endless_one():
    def slow(rewards, ended, gamma):
        time.sleep(0.03)
        return sums(rewards, ended, gamma)

    report = EX.evaluate(slow, seconds=0.2)
    assert report.diagnosis == "timeout" and "too slow" in report.details["what"] and "seconds each" in report.details["what"]
