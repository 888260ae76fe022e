"""Exercise 13.12: where is the density of a = tanh(u), u ~ N(0, 1), highest?"""

from collections.abc import Callable

import torch

from rlcourse.checks.prediction import Misconception, Predict
from rlcourse.equations.distributions import DiagonalGaussian, TanhGaussian, tanh_log_det

SIGMA = 1.0


def _peak(log_density: Callable[[torch.Tensor], torch.Tensor]) -> float:
    """The a >= 0 at which a log-density of u -> log pi(tanh u) is highest, to 1e-4."""
    u = torch.linspace(0, 6, 60_001, dtype=torch.float64)[:, None]
    return torch.tanh(u[log_density(u).argmax(), 0]).item()


def most_likely_action() -> float:
    """The peak of the squashed density."""
    mean, std = torch.zeros(1, dtype=torch.float64), torch.full((1,), SIGMA, dtype=torch.float64)
    return _peak(TanhGaussian(mean, std).log_prob_from_pre_tanh)


def peak_of_the_slide() -> float:
    """The peak of the printed slide's density, which squashes twice."""
    mean, std = torch.zeros(1, dtype=torch.float64), torch.full((1,), SIGMA, dtype=torch.float64)
    return _peak(lambda u: DiagonalGaussian(mean, std).log_prob(u) - tanh_log_det(torch.tanh(u)))


EXERCISE = Predict(
    id="13.12",
    function="most_likely_action",
    signature="most_likely_action()",
    title="Predict: the most likely squashed action",
    tags=("[13.5]",),
    minutes=4,
    difficulty=2,
    points=2.0,
    lecture="13a_reparametrisation_and_squashing.ipynb",
    hints=(
        "Two things compete as u moves away from 0: the Gaussian falls, and tanh squeezes more and more of it together. Which wins near 0, and which "
        "far away?",
        "log pi = -u^2/2 - log(1 - tanh(u)^2) + constant, by [13.5]. Its slope in u is -u + 2 tanh(u): positive for small u, negative for large u.",
        "The slope vanishes where u = 2 tanh(u), a little below u = 2. Squash that u.",
    ),
    truth=most_likely_action,
    tolerance=0.03,
    possible=(-1.0, 1.0),
    why_not="A squashed action lies between -1 and 1.",
    plain=abs,
    because="The slope of log pi in u is -u + 2 tanh(u): the squeeze wins until u = 2 tanh(u), which is at u = 1.915. There are two such peaks, left "
            "and right, and a = 0 is a valley between them.",
    mistakes=(
        Misconception("peak_carried_over", lambda: 0.0, "the squashed peak of u",
                      "Quantiles pass through tanh, peaks do not: the density is divided by the slope 1 - a^2, which is 1 at a = 0 and falls towards "
                      "both ends. At sigma = 1 the density has a valley at a = 0.", "[13.5]", 0.0, 0.1),
        Misconception("slide_peak", peak_of_the_slide, "the peak of the printed slide's density, with 1 - tanh(a)^2",
                      "a is already the tanh of u. That density squeezes too little, and its area is 0.77.", "[13.5]", 0.57, 0.63),
        Misconception("threshold", lambda: 0.5**0.5, "1/sqrt(2), which is the sigma from which on there are two peaks",
                      "sigma^2 = 1/2 is where the peak at 0 splits in two; at sigma = 1 the two have moved outwards.", "[13.5]", 0.69, 0.725),
        Misconception("one_sigma", lambda: torch.tanh(torch.tensor(1.0)).item(), "tanh(1), one standard deviation squashed",
                      "Nothing special happens at u = sigma for this density: it still rises there, with slope -1 + 2 tanh(1) = 0.52.", "[13.5]",
                      0.735, 0.79),
        Misconception("at_the_end", lambda: 1.0, "the very end of the range",
                      "Towards the end 1/(1 - a^2) grows like e^(2u)/4, and the Gaussian falls like e^(-u^2/2): the Gaussian wins, and the density "
                      "goes back to 0 there.", "[13.5]", 0.99, 1.0),
    ),
)
