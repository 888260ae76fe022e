"""Predict before you run: noted without a word, compared afterwards, and each common wrong idea has its explanation."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
import torch

from rlcourse.checks import library, prediction, progress
from rlcourse.checks.lecture_13 import predict_peak

QUESTION = predict_peak.EXERCISE
CHOICE = dataclasses.replace(
    QUESTION, id="13.99", choices=("rises", "falls"), truth=lambda: "falls", because="It is a coin flip by then.", plain=str,
    mistakes=(prediction.Misconception("more_noise", lambda: "rises", "that of the Gaussian", "Squashing presses it to the ends.", "[13.7]"),))


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No memory of other tests, and the two questions in the library."""
    monkeypatch.setattr(prediction, "_noted", {})
    monkeypatch.setattr(progress, "_in_memory", {})
    monkeypatch.setattr(library, "get", lambda id: CHOICE if id == "13.99" else QUESTION)


@pytest.fixture
def my(tmp_path, monkeypatch):
    """A student's folder my/ as the working directory."""
    (tmp_path / "my").mkdir()
    (tmp_path / "rlcourse").mkdir()
    monkeypatch.chdir(tmp_path / "my")
    return tmp_path / "my"


# ---- the question ----


def test_the_truth_is_computed_and_right():
    """u = 2 tanh(u) has the root 1.91501; the slide's density peaks elsewhere."""
    u = 1.0
    for _ in range(60):
        u = 2 * math.tanh(u)
    assert u == pytest.approx(1.91501, abs=1e-5) and QUESTION.truth() == pytest.approx(math.tanh(u), abs=1e-4)
    a = np.linspace(0, 0.999, 20_000)
    slide = np.exp(-np.arctanh(a) ** 2 / 2) / (1 - np.tanh(a) ** 2)
    assert predict_peak.peak_of_the_slide() == pytest.approx(a[slide.argmax()], abs=1e-3)


@pytest.mark.parametrize("value", [0.96, 0.93, -0.957, np.float64(0.95), np.array([0.96]), np.array(0.96), torch.tensor(0.96), torch.tensor([0.96])])
def test_near_enough_is_right_in_any_form(value):
    report = QUESTION.evaluate(lambda: value)
    assert report.passed and report.score == 1.0 and "and it is 0.9575" in report.details["verified"]


@pytest.mark.parametrize("mistake", QUESTION.mistakes, ids=lambda mistake: mistake.id)
def test_each_wrong_idea_is_named_and_explained(mistake):
    report = QUESTION.evaluate(mistake.function, 4)
    assert (report.passed, report.score, report.diagnosis) == (False, 0.0, mistake.id)
    assert mistake.sentence in report.details["what"] and report.details["cause"] == mistake.cause
    assert not mistake.covers(QUESTION.truth()) and mistake.low <= mistake.example() <= mistake.high


def test_another_wrong_number_gets_the_reason():
    report = QUESTION.evaluate(lambda: 0.4)
    assert report.diagnosis == "property:prediction" and "u = 2 tanh(u)" in report.details["cause"]


def test_the_ranges_of_wrong_ideas_do_not_overlap():
    ranges = sorted((mistake.low, mistake.high) for mistake in QUESTION.mistakes)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(ranges))
    assert all(high < QUESTION.truth() - QUESTION.tolerance or low > QUESTION.truth() + QUESTION.tolerance for low, high in ranges)


@pytest.mark.parametrize(("value", "diagnosis"), [(None, "returned_none"), (..., "not_attempted"), ("0.9", "type"), ([0.9], "type"), (True, "type"),
                                                  (1j, "type"), (math.nan, "impossible"), (1.5, "impossible"), (torch.ones(2), "type")])
def test_what_is_no_prediction_costs_nothing(value, diagnosis):
    report = QUESTION.evaluate(lambda: value)
    assert (report.passed, report.diagnosis) == (False, diagnosis) and report.status in ("slip", "not attempted")
    assert "0.957" not in str(report)


def test_the_stub_is_not_attempted_and_an_error_is_said():
    assert QUESTION.evaluate(QUESTION.stub).diagnosis == "not_attempted"
    assert "ZeroDivisionError" in str(QUESTION.evaluate(lambda: 1 / 0))


def test_choices():
    assert CHOICE.evaluate(lambda: " Falls ").passed
    report = CHOICE.evaluate(lambda: "rises")
    assert report.diagnosis == "more_noise" and report.details["what"] == "it is falls, and you predicted rises: that of the Gaussian."
    assert [CHOICE.evaluate(lambda v=v: v).diagnosis for v in ("sinks", 3)] == ["choice", "type"]


# ---- in a notebook ----


def test_a_prediction_is_noted_without_a_word_about_it(my, capsys):
    said = []
    for value in (0.0, 0.96):
        prediction.predict("13.12", value)
        said.append(capsys.readouterr().out.replace(str(value), "X"))
    assert said[0] == said[1] and said[0].startswith("Noted for 13.12: X. Now run the cell that shows it")
    assert not (my / progress.FILE).exists() and json.loads((my / prediction.FILE).read_text()) == {"13.12": 0.96}


def test_reveal_compares_the_last_prediction_and_remembers_the_verdict(my, capsys):
    prediction.predict("13.12", lambda: 0.5)
    prediction.predict("13.12", 0.0)
    report = prediction.reveal("13.12")
    assert (report.diagnosis, report.shown) == ("peak_carried_over", True) and "peaks do not" in capsys.readouterr().out
    assert progress.entries()["13.12"].status == "failed"
    prediction.predict("13.12", 0.95)
    assert prediction.reveal("13.12").passed and progress.entries()["13.12"].best == 1.0


def test_a_prediction_survives_a_restart_beside_others_and_a_broken_file_does_not_matter(my, monkeypatch, capsys):
    prediction.predict("13.12", 0.96)
    prediction.predict("13.99", "falls")
    monkeypatch.setattr(prediction, "_noted", {})
    assert prediction.reveal("13.12").passed and prediction.reveal("13.99").passed
    (my / prediction.FILE).write_text('{"13.12": [')
    assert prediction.reveal("13.12").diagnosis == "not_attempted"
    prediction.predict("13.12", 0.96)
    assert prediction.reveal("13.12").passed and json.loads((my / prediction.FILE).read_text()) == {"13.12": 0.96}


def test_nothing_is_written_outside_of_my(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    prediction.predict("13.12", 0.96)
    assert prediction.reveal("13.12").passed and list(tmp_path.iterdir()) == []


def test_a_slip_is_not_noted_and_an_unsolved_cell_goes_on(my, capsys):
    prediction.predict("13.12", 0.96)
    prediction.predict("13.12", 7)
    prediction.predict("13.12", QUESTION.stub)
    said = capsys.readouterr().out
    assert "A squashed action lies between -1 and 1." in said and "13.12 most_likely_action: not attempted yet." in said
    assert prediction.reveal("13.12").passed
