"""Ten wrong answers that were written after the checks and are not among the named mistakes: each fails, with numbers to find the error by."""

import math

import pytest
import torch
import torch.nn.functional as F

from rlcourse import checks
from rlcourse.notation import D, E, N, partial


def log_prob_of_the_other_tail(u, mu, sigma):
    """|u| in the stable form: right in value, but its gradient has a kink and its sign is lost."""
    z = (u - mu) / sigma
    log_det = 2 * (math.log(2) - u.detach().abs() - F.softplus(-2 * u.abs()))
    return (-0.5 * z**2 - torch.log(sigma) - 0.5 * math.log(2 * math.pi) - log_det).sum(-1)


def log_prob_with_a_floor(u, mu, sigma):
    """sigma kept away from 0, as one does for a network's output."""
    sigma = sigma.clamp(min=0.01)
    z = (u - mu) / sigma
    return (-0.5 * z**2 - torch.log(sigma) - 0.5 * math.log(2 * math.pi) - 2 * (math.log(2) - u - F.softplus(-2 * u))).sum(-1)


def log_prob_in_base_two(u, mu, sigma):
    z = (u - mu) / sigma
    return (-0.5 * z**2 - torch.log2(sigma) - 0.5 * math.log(2 * math.pi) - 2 * (math.log(2) - u - F.softplus(-2 * u))).sum(-1)


def gradient_of_the_mean_noise(Q, mu, sigma, eps, w):
    """The second component with the average noise outside."""
    a = (mu + sigma * eps).detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(Q(a).sum(), a)
    return torch.stack([(w * slope).sum(), (w * eps).sum() * (w * slope).sum()])


def gradient_by_a_wide_difference(Q, mu, sigma, eps, w):
    h = 0.1

    def objective(m, s):
        return (w * Q(m + s * eps)).sum()

    to_mu, to_sigma = objective(mu + h, sigma) - objective(mu - h, sigma), objective(mu, sigma + h) - objective(mu, sigma - h)
    return torch.stack([to_mu, to_sigma]) / (2 * h)


def epg_of_distances(theta, s, coef):
    """States by their size, without their sign."""
    s = s.abs()
    mu, sigma = theta[0] * s, torch.exp(theta[1])
    to_mu = coef[1] * s + 2 * coef[2] * mu + 3 * coef[3] * (mu**2 + sigma**2)
    to_sigma = 2 * coef[2] * sigma + 6 * coef[3] * mu * sigma
    return torch.stack([(to_mu * s).mean(), (to_sigma * sigma).mean()])


def epg_over_the_norm(theta, s, coef):
    """The right direction, of length one."""
    mu, sigma = theta[0] * s, torch.exp(theta[1])
    to_mu = coef[1] * s + 2 * coef[2] * mu + 3 * coef[3] * (mu**2 + sigma**2)
    gradient = torch.stack([(to_mu * s).mean(), ((2 * coef[2] * sigma + 6 * coef[3] * mu * sigma) * sigma).mean()])
    return gradient / gradient.norm()


def lines_with_the_noise_squared(theta, s, a, eps, mu, sigma, Q):
    """As if sigma entered the path with eps squared."""
    path = mu + sigma * eps
    return [D(theta, E(eps, N(0, 1), Q(s, path))), E(eps, N(0, 1), partial(Q, a)(s, path) * (D(theta, mu) + eps**2 * D(theta, sigma)))]


def sample_with_half_the_noise(mu, sigma, eps):
    u = mu + 0.5 * sigma * eps
    log_normal = torch.distributions.Normal(mu, sigma).log_prob(u)
    return torch.tanh(u), (log_normal - 2 * (math.log(2) - u - F.softplus(-2 * u))).sum(-1)


def detector_by_the_reward(suspect):
    """Judges by the size of the targets alone."""
    batch, noise = suspect.draw()
    return "entropy_missing" if suspect.target(batch, noise).mean() > batch.rewards.mean() else "healthy"


UNSEEN = [("13.1", log_prob_of_the_other_tail), ("13.1", log_prob_with_a_floor), ("13.1", log_prob_in_base_two), ("13.2", gradient_of_the_mean_noise),
          ("13.2", gradient_by_a_wide_difference), ("13.6", epg_of_distances), ("13.6", epg_over_the_norm), ("13.9", lines_with_the_noise_squared),
          ("13.11", sample_with_half_the_noise), ("13.10", detector_by_the_reward)]


@pytest.mark.parametrize(("id", "f"), UNSEEN, ids=[f.__name__ for _, f in UNSEEN])
def test_a_wrong_answer_that_nobody_foresaw_fails_with_numbers(id, f):
    exercise = checks.get(id)
    for seed in range(3):
        report = exercise.evaluate(f, seed)
        named = [part for part in report.diagnosis.split("+") if part in {mistake.id for mistake in exercise.mistakes}]
        assert not report.passed and not named, report
        said = " ".join(sentence for _, sentence in report.lines())
        assert any(digit in said for digit in "0123456789") and report.details["cause"] and report.details["read"], report
