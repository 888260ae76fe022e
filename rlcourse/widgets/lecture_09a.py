"""The sliders of lecture 09a."""

from rlcourse.figures import lecture_09a as fig
from rlcourse.widgets import Explorable, counter, explore, slider


def lq_gradients() -> Explorable:
    """A gain and a discount -> return, and its slope by finite differences, by the theorem, and by the full derivative."""
    return explore(
        fig.lq_gradients,
        "Two panels. Left: return over the gain k with three arrows along the slope at k; those of finite difference and theorem coincide, that of "
        "the full derivative is steeper. Right: the three slopes over k; the full derivative is larger by a factor that the title states.",
        k=slider("gain k", 0.5, 0.1, 2.9), gamma=slider("discount γ", 0.9, 0.5, 0.95))


def q_landscape() -> Explorable:
    """A linear actor and its exploration noise -> where it acts, the critic's slope there, and the gradient of θ."""
    return explore(
        fig.q_landscape,
        "Two panels. Left: map of Q over state and action with the line of the actor, dots of noisy actions around it, and vertical arrows along the "
        "slope of Q at the actor's actions. Right: the slope times the state, for each state, and its mean.",
        theta=slider("actor θ", 0.3, -1.3, 1.3), sigma=slider("noise σ", 0.2, 0.0, 0.8))


def discount_weights() -> Explorable:
    """A discount and a length -> how much each time step counts in the theorem and in replay."""
    return explore(
        fig.discount_weights,
        "Two panels over time. Left: the truncated geometric weights fall from the first step on, those of replay are level. Right: their sums from "
        "the start, from 0 to 1.",
        gamma=slider("discount γ", 0.9, 0.5, 0.99, 0.01), n=counter("steps n", 40, 5, 200))
