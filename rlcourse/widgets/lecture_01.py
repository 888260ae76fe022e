"""The sliders of lecture 01."""

from rlcourse.figures import lecture_01 as fig
from rlcourse.widgets import Explorable, choice, counter, explore, slider


def mixing() -> Explorable:
    """Two edges of a cycle, a start and a switch -> μ_t, and its distance to the stationary distribution."""
    return explore(
        fig.mixing,
        "Two panels. Left: the probabilities of three states over time, which bend towards three dotted levels, the stationary distribution. Right: "
        "the distance to it on a logarithmic axis, which falls like a power of the second eigenvalue, or stays level where the chain is periodic.",
        first=slider("edge 0 → 1", 0.3, 0.05, 1.0), second=slider("edge 1 → 2", 0.8, 0.05, 1.0),
        start=choice("start", fig.STATES), kind=choice("chain", fig.CYCLES))


def smooth_objective() -> Explorable:
    """The logit of a policy and a number of steps -> rewards of single drives, and the expected return."""
    return explore(
        fig.smooth_objective,
        "Two panels. Left: rewards of 40 drives, each a staircase from 1 to 0, and their smooth mean. Right: the expected return over the logit, a "
        "smooth curve with its tangent, beside the step of a policy without dice.",
        logit=slider("logit θ", 1.0, -3.5, 7.5, 0.1), steps=counter("steps T", 10, 1, 20))


def belief() -> Explorable:
    """Noise of the eyes, and how many steps -> the belief over five rooms, and its entropy."""
    return explore(
        fig.belief,
        "Two panels. Left: bars for the belief over five rooms, after the move and after the observation, with a marker at the true room. Right: the "
        "entropy of the belief over twelve steps; it falls where the eyes are good and stays at log 5 where they tell nothing.",
        noise=slider("noise of the eyes", 0.1, 0.0, 0.5), k=counter("step", 4, 0, 12), known=choice("known", fig.KNOWN))
