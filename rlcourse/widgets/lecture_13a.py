"""The sliders of lecture 13a."""

from rlcourse.figures import lecture_13a as fig
from rlcourse.widgets import Explorable, choice, counter, explore, slider


def squashed_density() -> Explorable:
    """Mean, width and formula -> density before and after squashing."""
    return explore(
        fig.squashed_density,
        "Two panels. Left: density of u before squashing. Right: density of a = tanh u, exact and by the chosen formula, with its integral.",
        mu=slider("mean μ", 0.0, -2.0, 2.0), sigma=slider("standard deviation σ", 1.0, 0.1, 3.0),
        formula=choice("formula", fig.FORMULAS))


def estimators() -> Explorable:
    """Samples, width and shape of Q -> scatter of the two gradient estimators."""
    return explore(
        fig.estimators,
        "Two panels. Left: Q(a) and the policy's density. Right: histograms of 2,000 gradient estimates by both estimators and the exact value.",
        samples=counter("samples m", 8, 1, 64),
        sigma=slider("standard deviation σ", 0.5, 0.1, 1.5), offset=slider("add a constant to Q", 0.0, 0.0, 3.0),
        shape=choice("Q(a) is", fig.Q_SHAPES))


def parameter_space() -> Explorable:
    """A point (μ, σ) -> the policy there and the gradient of Q̂."""
    return explore(
        fig.parameter_space,
        "Two panels. Left: Q(a), Q-hat and the policy. Right: map of Q-hat over mean and standard deviation with the gradient arrow.",
        mu=slider("mean μ", -0.6, -2.0, 2.0), sigma=slider("standard deviation σ", 0.4, 0.05, 1.4))
