"""Figures and widgets: what is drawn is finite and says what the theory says, at every position of every slider."""

import io
import itertools
import math

import ipywidgets
import matplotlib as mpl
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import norm

from rlcourse import widgets
from rlcourse.equations import distributions
from rlcourse.figures import lecture_13a, style


def test_an_error_while_drawing_is_shown_under_the_picture():
    def draw(level, fig=None):
        if level > 1:
            raise ZeroDivisionError("level <b>2</b>")
        return lecture_13a.squashed_density(fig=fig)

    control, _, _, message = widgets.explore(draw, "a test", level=ipywidgets.IntSlider(0, 0, 3)).children
    control.value = 2
    assert "could not be drawn" in message.value and "ZeroDivisionError" in message.value and "<b>2" not in message.value
    control.value = 0
    assert message.value == ""


def test_the_printed_formula_loses_the_stated_share():
    """The first picture's numbers: 0.771 as printed, 0.606 without correction, 1 when correct; and the exact curve integrates to 1."""
    printed, none, correct = lecture_13a.FORMULAS
    assert [round(lecture_13a.squashed_densities(0.0, 1.0, f)["integral"], 3) for f in (printed, none, correct)] == [0.771, 0.606, 1.0]
    d = lecture_13a.squashed_densities(0.3, 0.8, correct)
    u = np.arctanh(d["a"][1:-1])
    assert np.trapezoid(d["exact"][1:-1] * (1 - d["a"][1:-1] ** 2), u) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(d["claimed"], d["exact"], rtol=1e-9)


def test_estimators_agree_with_the_exact_gradient_except_at_a_step():
    for shape in ("smooth", "kink"):
        d = lecture_13a.gradient_samples(shape, 16, 0.2, 0.6)
        for name in ("pathwise", "score"):
            assert d[name].mean() == pytest.approx(d["exact"], abs=5 * d[name].std() / np.sqrt(2000))
    step = lecture_13a.gradient_samples("step", 16, 0.2, 0.6)
    assert (step["pathwise"] == 0).all()
    assert step["exact"] == pytest.approx(norm.pdf(0.5, 0.2, 0.6), abs=1e-3)      # the density at the jump


def test_an_offset_moves_the_score_function_only():
    flat, raised = (lecture_13a.gradient_samples("smooth", 8, 0.0, 0.5, offset=c) for c in (0.0, 3.0))
    np.testing.assert_array_equal(flat["pathwise"], raised["pathwise"])
    assert raised["score"].var() > 4 * flat["score"].var()
    assert raised["exact"] == flat["exact"]


def test_expected_q_has_the_stated_derivatives():
    mu, sigma, h = np.array(0.4), np.array(0.7), 1e-5
    value, d_mu, d_sigma = lecture_13a.expected_q(mu, sigma)
    eps, w = lecture_13a.gaussian_nodes()
    q, _ = lecture_13a.q_function("smooth")
    assert value == pytest.approx(w @ q(mu + sigma * eps), abs=1e-12)
    assert d_mu == pytest.approx((lecture_13a.expected_q(mu + h, sigma)[0] - lecture_13a.expected_q(mu - h, sigma)[0]) / (2 * h), abs=1e-9)
    assert d_sigma == pytest.approx((lecture_13a.expected_q(mu, sigma + h)[0] - lecture_13a.expected_q(mu, sigma - h)[0]) / (2 * h), abs=1e-9)


def test_only_the_stable_log_determinant_survives_float32():
    errors = lecture_13a.log_det_errors(np.array([5.0, 8.0, 10.0, 20.0]))
    assert errors["stable"].max() < 5e-6
    assert errors["padded"][2] == pytest.approx(4.8, abs=0.1)
    assert np.isinf(errors["naive"][2:]).all()


def test_squashed_entropy_peaks_and_stays_below_the_uniform():
    sigma = np.linspace(0.05, 4, 60)
    entropy = np.array([lecture_13a.squashed_entropy(0.0, s) for s in sigma])
    assert (entropy < np.log(2)).all() and 0.8 < sigma[entropy.argmax()] < 0.95
    assert (np.diff(np.sign(np.diff(entropy))) != 0).sum() == 1                   # up, then down, once


def test_figures_leave_global_settings_alone_and_repeat_exactly():
    before = dict(mpl.rcParams)
    first, second = (widgets.png(lecture_13a.squashed_density(0.2, 0.7)) for _ in range(2))
    assert first == second and dict(mpl.rcParams) == before
    assert Image.open(io.BytesIO(first)).size == (1000, 440)


def test_redrawing_equals_drawing_afresh():
    """Moved artists hold what new ones would: a slider that returns shows the picture it started from."""
    fresh = lecture_13a.estimators(4, 0.9, 1.0, "kink")
    moved = lecture_13a.estimators(4, 0.9, 1.0, "kink", fig=lecture_13a.estimators(32, 0.2, 0.0, "step"))
    for a, b in zip(fresh.axes, moved.axes):
        assert [t.get_text() for t in a.get_legend().texts] == [t.get_text() for t in b.get_legend().texts]
        for one, other in zip(a.lines, b.lines):
            np.testing.assert_array_equal(one.get_xydata(), other.get_xydata())


def brightness(colour):
    """Relative luminance of a colour, 0 black to 1 white: what remains of it on a grey print."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in mpl.colors.to_rgb(colour)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_quantities_are_told_apart_by_colour_and_by_stroke_or_grey():
    strokes = style.STROKES.values()
    assert len({s["color"] for s in strokes}) == len(strokes)
    for one, other in itertools.combinations(strokes, 2):
        grey = abs(brightness(one["color"]) - brightness(other["color"]))
        assert one["ls"] != other["ls"] or grey > 0.03, (one, other)
        assert brightness(one["color"]) < 0.6                                     # visible on white, from the back row


def test_source_shows_the_running_code():
    whole, code = (widgets.source(lecture_13a.tanh_log_det, docstring=shown).data for shown in (True, False))
    assert "logsigmoid" in code and "Limits:" in whole and '"""' not in code
    scope = {"torch": torch, "math": math, **vars(distributions)}
    exec(code, scope)
    assert torch.equal(scope["tanh_log_det"](torch.ones(1, 2)), lecture_13a.tanh_log_det(torch.ones(1, 2)))
    assert torch.equal(lecture_13a.tanh_log_det(torch.zeros(1, 2)), torch.zeros(1))
