"""The sliders of lecture 09b."""

from rlcourse.figures import lecture_09b as fig
from rlcourse.widgets import Explorable, choice, counter, explore, slider


def cem_search() -> Explorable:
    """Candidates, elites and where to start -> which hill of a critic the cross-entropy method finds."""
    return explore(
        fig.cem_search,
        "Two panels. Left: a critic with a wide hill and a narrow, higher one, and marks where 200 searches end. Right: Q of the action found over "
        "the rounds of the search, for the cross-entropy method and for as many uniform draws.",
        samples=counter("candidates a round", 16, 4, 128, 4), elites=counter("elites", 4, 1, 32), start=slider("first mean", 0.0, -0.9, 0.9))


def polyak_lag() -> Explorable:
    """A share τ and who receives it -> what the target remembers, and how late it follows."""
    return explore(
        fig.polyak_lag,
        "Two panels. Left: share of each past online value in the target, falling with its age on a logarithmic axis. Right: a noisy online value "
        "that jumps and later climbs, and the smooth target behind it.",
        tau=slider("τ", 0.05, 0.005, 0.5, 0.005), convention=choice("whose share", fig.SHARES))
