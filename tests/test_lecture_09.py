"""The numbers in the figures of lectures 09a and 09b against finite differences, enumeration and limits."""

import numpy as np
import pytest
import torch

from rlcourse.figures import lecture_09a as a
from rlcourse.figures import lecture_09b as b
from rlcourse.figures import training
from rlcourse.notation import riccati_gain
from rlcourse.stats import History, final_values


def rollout(k, gamma, steps=4000):
    """The return of the gain k, one step after the other."""
    s, total = 1.0, 0.0
    for t in range(steps):
        action = -k * s
        total -= gamma**t * (a.SYSTEM["q"] * s**2 + a.SYSTEM["c"] * action**2)
        s = a.SYSTEM["A"] * s + a.SYSTEM["B"] * action
    return total


@pytest.mark.parametrize(("k", "gamma"), [(0.2, 0.9), (1.7, 0.5), (2.9, 0.95)])
def test_the_slope_of_the_theorem_is_that_of_the_simulated_return_and_the_full_derivative_is_not(k, gamma):
    slopes = a.lq_slopes(k, gamma)
    assert a.lq_return(k, gamma) == pytest.approx(rollout(k, gamma))
    assert slopes["dpg"] == pytest.approx((rollout(k + 1e-5, gamma) - rollout(k - 1e-5, gamma)) / 2e-5, rel=1e-4)
    states = (a.SYSTEM["A"] - a.SYSTEM["B"] * k) ** np.arange(3000)          # each adds the slope of its own value, s² J'(k)
    assert slopes["full"] == pytest.approx((gamma ** np.arange(3000) * states**2).sum() * slopes["difference"], rel=1e-4)


def test_both_slopes_vanish_at_the_riccati_gain_and_ascent_finds_it():
    best = riccati_gain(*a.SYSTEM.values(), 0.9)
    assert best == pytest.approx(0.93, abs=0.005)
    assert [a.lq_slopes(best, 0.9)[which] for which in ("dpg", "full")] == pytest.approx([0, 0], abs=1e-9)
    assert a.ascent("dpg", 0.2, 0.06, 400, 0.9)[-1] == pytest.approx(best, abs=1e-6)
    assert a.ascent("dpg", 0.2, 0.06, 14, 0.9).max() < best < 2.5 < a.ascent("full", 0.2, 0.06, 14, 0.9)[1]
    assert np.isnan(a.ascent("full", 0.05, 0.5, 3, 0.95)[1:]).all()


def test_the_landscapes_slope_is_its_derivative_and_the_actor_is_best_where_they_cancel():
    s, action = np.linspace(-1.5, 1.5, 13), 0.37
    up, down = (a.landscape(s, action + d)[0] for d in (1e-5, -1e-5))
    np.testing.assert_allclose((up - down) / 2e-5, a.landscape(s, action)[1], atol=1e-8)
    best = (s * np.sin(2 * s)).sum() / (s**2).sum()                          # least squares of the ridge
    assert (s * a.landscape(s, best * s)[1]).sum() == pytest.approx(0, abs=1e-12) and best == pytest.approx(0.56, abs=0.005)


def test_the_weights_of_time_are_the_truncated_geometric_law():
    discounted, uniform = a.time_weights(0.9, 10)
    np.testing.assert_allclose(discounted, 0.9 ** np.arange(10) * 0.1 / (1 - 0.9**10))
    assert discounted[0] == pytest.approx(0.1535, abs=5e-5) and uniform.sum() == pytest.approx(1)
    assert a.time_weights(0.99, 200)[0][:56].sum() < 0.5 < a.time_weights(0.99, 200)[0][:57].sum()      # as the speaker says


def test_a_target_halves_its_gap_in_the_stated_time_and_follows_a_climb_late():
    still = b.lagging(np.ones(139), 0.005)
    assert still[137] < 0.5 < still[138]
    climb = np.arange(5000.0)
    assert climb[-1] - b.lagging(climb, 0.05)[-1] == pytest.approx(0.95 / 0.05, abs=1e-6)


def test_maximisers_end_where_the_picture_says():
    found = {name: np.mean(np.abs(actions - 0.6) < 0.12) for name, actions in b.maximised().items()}
    assert list(found.values()) == pytest.approx([0.90, 0.24, 0.02, 0.0], abs=0.006)
    grid = torch.linspace(-1, 1, 2001, dtype=torch.float64)[:, None]
    assert b.hills(grid).max() == pytest.approx(1.3, abs=3e-3) and grid[b.hills(grid).argmax()] == pytest.approx(0.6, abs=1e-3)


def test_draws_miss_in_many_dimensions_what_cem_finds():
    missed = {name: values.mean(1) for name, values in b.dimension_errors((1, 32)).items()}
    assert missed["best of all draws"][0] < 0.001 and missed["best of all draws"][1] == pytest.approx(0.95, abs=0.02)
    assert missed["CEM, 10 rounds"][1] == pytest.approx(0.11, abs=0.02)


def test_many_candidates_and_few_elites_find_the_narrow_hill_and_one_elite_freezes():
    assert np.mean(np.abs(b.cem_progress(128, 4, 0.0)["ends"] - 0.6) < 0.12) > 0.95
    assert np.ptp(b.cem_progress(4, 1, 0.5)["cem"]) == 0
    assert (np.diff(b.cem_progress(16, 4, 0.0)["draws"]) > 0).all()


def test_what_is_said_of_the_stored_runs_is_in_them():
    """Text, titles and alt texts of section 6."""
    last = {run: final_values(History.from_csv(training.stored(run) / "rows.csv")) for run in (
        "ddpg_bn-Pendulum-v1", "ddpg-Pendulum-v1", "ddpg_bn-Pendulum-v1-no-noise", "ddpg_bn-Pendulum-v1-no-targets",
        "ddpg-Pendulum-v1-no-targets", "cem_q-Pendulum-v1", "naf-Pendulum-v1")}
    assert [round(float(values.mean())) for values in last.values()] == [-164, -174, -161, -359, -295, -200, -1088]
    assert all(len(values) == 20 for values in last.values())
    assert round(last["ddpg_bn-Pendulum-v1-no-targets"].min()) == -1171 and round(last["naf-Pendulum-v1"].min()) == -1547
    assert (last["naf-Pendulum-v1"] > -300).sum() == 2
    assert round(float((last["ddpg_bn-Pendulum-v1"] - last["ddpg_bn-Pendulum-v1-no-targets"]).mean())) == 195
