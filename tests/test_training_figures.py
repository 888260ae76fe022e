"""Figures of training runs: every run is drawn, intervals stand where the numbers say, colours follow the percentile, axes say their units."""

import io

import numpy as np
import pytest
from PIL import Image

from rlcourse.bootstrap import bootstrap_distribution, bootstrap_interval, performance_profile
from rlcourse.figures import style, training
from rlcourse.stats import History, Interval, Row, areas, final_values, mean_interval

STEPS = np.arange(0, 6000, 1000)


def history(n, seed=0):
    g = np.random.default_rng(seed)
    curves = np.outer(g.lognormal(0, 0.4, n), STEPS / 50) + g.normal(0, 3, (n, len(STEPS)))
    return History([Row(k, int(t), "eval_return", float(v)) for k in range(n) for t, v in zip(STEPS, curves[k])])


H = {"SAC": history(12), "TD3": history(9, 1), "DDPG": history(6, 2)}
FINAL = {name: final_values(h) for name, h in H.items()}


def drawn():
    tau = np.linspace(0, 250, 60)
    intervals = {name: bootstrap_interval(x, np.random.default_rng(0), resamples=200) for name, x in FINAL.items()}
    spread = bootstrap_distribution(FINAL["SAC"], np.random.default_rng(0), resamples=800)
    return {
        "percentile": training.curves_by_percentile(H["SAC"], "Seeds differ by more than the interval says"),
        "profiles": training.performance_profiles({name: performance_profile(x, tau) for name, x in FINAL.items()}, "No curve lies above the others",
                                                  "simultaneous 95 %"),
        "chart": training.interval_chart(intervals, FINAL, "All three overlap", "final return, 95 % interval (sum of rewards)"),
        "histogram": training.bootstrap_histogram(spread, intervals["SAC"], "Twelve runs leave a range of 60", "final return (sum of rewards)"),
    }


FIGURES = drawn()


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_states_its_finding_and_its_axes_and_is_the_same_again(name):
    ax = FIGURES[name].axes[0]
    assert ax.get_title(loc="left") and ax.get_xlabel() and (ax.get_ylabel() or name == "chart")
    assert all(np.isfinite(np.asarray(artist.get_ydata(), float)).all() for artist in ax.lines)
    first, second = io.BytesIO(), io.BytesIO()
    FIGURES[name].savefig(first)
    drawn()[name].savefig(second)
    assert first.getvalue() == second.getvalue() and Image.open(first).size[0] == 1000


def test_every_run_is_drawn_and_the_mean_with_its_interval_above_them():
    ax = FIGURES["percentile"].axes[0]
    runs, mean = [a for a in ax.lines if a.get_gid() is None], next(a for a in ax.lines if a.get_gid() == "eval_return")
    values = H["SAC"].table("eval_return")[1]
    assert sorted(tuple(a.get_ydata()) for a in runs) == sorted(map(tuple, values))
    np.testing.assert_allclose(mean.get_ydata(), values.mean(0))
    band = ax.collections[0].get_datalim(ax.transData)
    assert band.y1 == pytest.approx(mean_interval(values).high.max()) and mean.get_linewidth() > runs[0].get_linewidth()
    assert mean.get_zorder() > ax.collections[0].get_zorder() > max(a.get_zorder() for a in runs)
    assert "12 seeds" in mean.get_label() and "interval of the mean" in mean.get_label()
    low, high = ax.get_ylim()
    assert low < values.min() and values.max() < high


def test_colours_follow_the_percentile_of_the_area():
    """The worst run is darkest, brightness grows with the rank in every colour blindness (cividis), and no line is lost on white paper."""
    percentile = training.area_percentiles(H["SAC"])
    assert percentile[np.argmin(areas(H["SAC"]))] == 0 and percentile.max() == 100 and sorted(percentile) == pytest.approx(np.linspace(0, 100, 12))
    ax, values, colours = FIGURES["percentile"].axes[0], H["SAC"].table("eval_return")[1], training.percentile_colours()
    for k, rank in enumerate(percentile):
        artist = next(a for a in ax.lines if np.array_equal(a.get_ydata(), values[k]))
        assert artist.get_color() == colours(rank / 100)
    grey = colours(np.linspace(0, 1, 11))[:, :3] ** 2.2 @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(grey) > 0).all() and grey.max() < 0.6
    assert FIGURES["percentile"].axes[1].get_ylabel() == "percentile of the run's area"


def test_equal_runs_share_a_percentile_and_one_run_is_drawn_too():
    assert training.area_percentiles(History([Row(k, t, "eval_return", 5.0) for k in range(3) for t in (0, 1)])).tolist() == [50, 50, 50]
    assert len(training.curves_by_percentile(history(1), "One seed has no interval").axes[0].lines) == 2


def test_profiles_and_intervals_stand_where_the_numbers_are():
    ax = FIGURES["profiles"].axes[0]
    curve = next(a for a in ax.lines if a.get_gid() == "TD3")
    assert curve.get_drawstyle() == "steps-post" and curve.get_ydata()[0] == 1
    assert "simultaneous 95 %" in ax.get_legend().get_title().get_text()
    chart = FIGURES["chart"].axes[0]
    interval = bootstrap_interval(FINAL["DDPG"], np.random.default_rng(0), resamples=200)
    assert next(a for a in chart.lines if a.get_gid() == "interval DDPG").get_xdata() == pytest.approx([interval.low, interval.high])
    assert next(a for a in chart.lines if a.get_gid() == "DDPG").get_xdata() == pytest.approx([interval.mean])
    dots = next(a for a in chart.collections if a.get_gid() == "runs DDPG").get_offsets()
    assert sorted(dots[:, 0]) == pytest.approx(sorted(FINAL["DDPG"])) and (dots[:, 1] > 2).all()
    assert [t.get_text() for t in chart.get_yticklabels()] == list(H) and chart.yaxis_inverted()


def test_an_interval_without_runs_is_charted_too():
    assert len(training.interval_chart({"SAC over TD3": Interval(0.6, 0.4, 0.8)}, {}, "Undecided", "P(SAC > TD3), 95 % interval").axes[0].lines) == 2


def test_the_histogram_has_unit_area_and_marks_the_interval():
    ax = FIGURES["histogram"].axes[0]
    assert sum(bar.get_width() * bar.get_height() for bar in ax.patches) == pytest.approx(1)
    blue = [bar.get_x() + bar.get_width() / 2 for bar in ax.patches if bar.get_facecolor()[:3] == pytest.approx((0, 0x72 / 255, 0xB2 / 255))]
    interval = bootstrap_interval(FINAL["SAC"], np.random.default_rng(0), resamples=200)
    assert interval.low <= min(blue) and max(blue) <= interval.high
    assert [line.get_xdata()[0] for line in ax.lines] == pytest.approx([interval.low, interval.high, interval.mean])


def test_compared_algorithms_differ_in_colour_and_too_many_are_refused():
    assert len({style.COLOURS[q] for q in training.ARMS}) == len(training.ARMS)
    with pytest.raises(ValueError, match="7 algorithms"):
        training.arms(dict.fromkeys(range(7)))
