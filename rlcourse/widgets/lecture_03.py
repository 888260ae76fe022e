"""The sliders of lecture 03."""

from rlcourse.figures import corridor
from rlcourse.figures import lecture_03 as fig
from rlcourse.widgets import Explorable, counter, explore, slider


def estimators() -> Explorable:
    """Episodes in a batch and steps in an episode -> violins of four estimators of one gradient."""
    return explore(
        fig.estimators,
        "Violins of four estimators of one gradient: full return, reward-to-go, reward-to-go less the mean of the other episodes, and less the exact "
        "V(s). All have the true gradient as their mean; the first two reach far below zero, where a step leads downhill, the last two hardly.",
        N=counter("episodes in a batch N", 10, 2, 40), T=counter("steps in an episode T", 10, 2, 20))


def all_positive() -> Explorable:
    """A constant added to every reward -> one update, and 200 runs, with and without a baseline."""
    return explore(
        fig.all_positive,
        "Two panels. Left: by how much one update changes the chance of the action that was tried, for three actions, weighed by the reward and by "
        "the reward less its mean. Right: the chance of the best action over 100 updates, the mean of 200 runs and their deciles, for both.",
        offset=slider("add to every reward", 3.0, 0.0, 8.0, 0.25), lr=slider("step size", 0.3, 0.05, 1.0))


def baseline_parabola() -> Explorable:
    """The constant b and a coordinate of θ -> variance of the estimate, and its distribution."""
    return explore(
        fig.baseline_parabola,
        "Two panels. Left: the variance of one coordinate of the estimate over the baseline b, a parabola with its lowest point b* and the mean "
        "return marked. Right: the distribution of the estimate at this b; a line marks its mean, which does not move.",
        b=slider("baseline b", 2.0, 0.0, 12.0, 0.25), cell=counter("parameter θ of cell", 4, 0, corridor.CELLS - 1))
