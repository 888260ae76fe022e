"""Right answers of lecture 13, written differently: every check must let them all pass."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch.distributions import Independent, Normal, TanhTransform, TransformedDistribution

from rlcourse.notation import D, E, N, grad_at, log, partial, real


def logprob_by_torch_distributions(u, mu, sigma):
    """The library's transformed distribution; the cache hands it u back instead of atanh(a)."""
    squash = TanhTransform(cache_size=1)
    policy = TransformedDistribution(Independent(Normal(mu, sigma), 1), [squash], validate_args=False)
    return policy.log_prob(squash(u))


def logprob_row_by_row(u, mu, sigma):
    """A loop over rows and dimensions, with 1 - tanh^2 u = 4 sigmoid(2u) sigmoid(-2u)."""
    rows = []
    for b in range(u.shape[0]):
        total = 0.0
        for k in range(u.shape[1]):
            normal = -((u[b, k] - mu[b, k]) ** 2) / (2 * sigma[b, k] ** 2) - torch.log(sigma[b, k] * math.sqrt(2 * math.pi))
            total = total + normal - (math.log(4) + F.logsigmoid(2 * u[b, k]) + F.logsigmoid(-2 * u[b, k]))
        rows.append(total)
    return torch.stack(rows)


def logprob_by_cosh(x, m, s):
    """1 - tanh^2 u = 1 / cosh^2 u, with log cosh from logaddexp; the arguments have other names."""
    log_cosh = torch.logaddexp(x, -x) - math.log(2)
    return (Normal(m, s).log_prob(x) + 2 * log_cosh).sum(dim=1)


def reparam_by_hand(Q, mu, sigma, eps, w):
    """Q' at each node from autograd, the chain rule by hand."""
    a = (mu + sigma * eps).detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(Q(a).sum(), a)
    return torch.stack([(w * slope).sum(), (w * eps * slope).sum()])


def reparam_node_by_node(Q, mu, sigma, eps, w):
    """A loop over nodes, with backward(); the answer is a numpy array."""
    total = np.zeros(2)
    for e, weight in zip(eps, w):
        f = torch.stack([mu, sigma]).clone().requires_grad_(True)
        (weight * Q(f[0] + f[1] * e)).backward()
        total += f.grad.numpy()
    return total


def reparam_by_functional(Q, mu, sigma, eps, w):
    """torch.func.grad of the objective as a function of f = (mu, sigma)."""
    return torch.func.grad(lambda f: (w * Q(f[0] + f[1] * eps)).sum())(torch.stack([mu, sigma]))


def epg_by_autograd(theta, s, coef):
    """Q-hat in closed form, the chain rule from autograd."""
    theta = theta.clone().requires_grad_(True)
    mu, variance = theta[0] * s, torch.exp(2 * theta[1])
    q_hat = coef[0] + coef[1] * s * mu + coef[2] * (mu**2 + variance) + coef[3] * (mu**3 + 3 * mu * variance)
    q_hat.mean().backward()
    return theta.grad


def epg_by_loop(theta, s, coef):
    """Plain Python numbers, state by state; the answer is a numpy array."""
    (k, l), (_, c1, c2, c3) = theta.tolist(), coef.tolist()
    sigma, total = math.exp(l), [0.0, 0.0]
    for x in s.tolist():
        total[0] += x * (c1 * x + 2 * c2 * k * x + 3 * c3 * ((k * x) ** 2 + sigma**2)) / len(s)
        total[1] += sigma * (2 * c2 * sigma + 6 * c3 * k * x * sigma) / len(s)
    return np.array(total)


def epg_by_quadrature(theta, s, coef):
    """No moments: Gauss-Hermite nodes, exact for a cubic, and the pathwise gradient through them."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(4)
    eps, w = torch.tensor(nodes, dtype=theta.dtype), torch.tensor(weights / weights.sum(), dtype=theta.dtype)

    def objective(parameters):
        a = parameters[0] * s[:, None] + torch.exp(parameters[1]) * eps
        return ((coef[0] + coef[1] * s[:, None] * a + coef[2] * a**2 + coef[3] * a**3) @ w).mean()

    return torch.func.grad(objective)(theta)


def lines_by_the_score_function(theta, s, a, eps, mu, sigma, Q):
    """Keep the samples first, change the noise afterwards, and end in two expectations."""
    law, path = N(mu, sigma), eps * sigma + mu
    score = (a - mu) / sigma**2 * D(theta, mu) + ((a - mu) ** 2 / sigma**3 - 1 / sigma) * D(theta, sigma)
    return [
        E(a, law, Q(s, a) * D(theta, log(law.pdf(a)))),
        E(a, law, score * Q(s, a)),
        D(theta, E(eps, N(0, 1), Q(s, path))),
        D(theta, mu) * E(eps, N(0, 1), partial(Q, a)(s, path)) + D(theta, sigma) * E(eps, N(0, 1), eps * partial(Q, a)(s, path)),
    ]


def lines_with_mirrored_noise(theta, s, a, eps, mu, sigma, Q):
    """-eps has the law of eps; the noise has another name, and the inner derivative is left to the path."""
    z = real("z")
    path = mu - sigma * z
    return [
        D(theta, E(z, N(0, 1), Q(s, path))),
        E(z, N(0, 1), grad_at(a, Q(s, a), path) * D(theta, path)),
    ]


def lines_by_the_parameters(theta, s, a, eps, mu, sigma, Q):
    """theta acts through two numbers: one expectation for each, with noise of any width."""
    slope, width = partial(Q, a), 2
    return [
        E(eps, N(0, 1), D(theta, mu) * slope(s, mu + eps * sigma)) + E(eps, N(0, 1), D(theta, sigma) * eps * slope(s, mu + eps * sigma)),
        E(eps, N(0, width), slope(s, mu + sigma * eps / width) * (D(theta, mu) + eps / width * D(theta, sigma))),
    ]


def diagnose_one_after_the_other(suspect):
    """In numpy, with a return at the first thing that is wrong; the temperature by its loss, the slow critics by projection."""
    batch, noise = suspect.draw()
    mu, sigma = (x.double().numpy() for x in suspect.policy(batch.obs))
    a, log_prob = (x.double().numpy() for x in suspect.sample(batch.obs, noise[1]))
    u = mu + sigma * noise[1].double().numpy()
    if not np.allclose(a, np.tanh(u), atol=1e-3):
        return "sigma_squared"
    correction = log_prob - (-((u - mu) ** 2) / (2 * sigma**2) - np.log(sigma * math.sqrt(2 * math.pi))).sum(1)
    if np.abs(correction).max() < 1e-3:
        return "jacobian_missing"
    if not np.allclose(correction, 2 * np.log(np.cosh(u)).sum(1), rtol=1e-3, atol=1e-3):
        return "tanh_twice"
    next_a, next_log_prob = suspect.sample(batch.next_obs, noise[0])
    q = suspect.q_target(batch.next_obs, next_a).min(dim=0).values
    future = (suspect.target(batch, noise) - batch.rewards) / suspect.gamma
    entropy = -suspect.alpha * next_log_prob
    ended, cut = batch.terminated, batch.truncated & ~batch.terminated
    if future[ended].abs().max() > 1e-2:
        return "mask_missing"
    if future[cut].abs().max() < 1e-2:
        return "time_limit_masked"
    if (future - q - entropy)[~ended].abs().max() > (future - q)[~ended].abs().max():
        return "entropy_missing"
    to_mu = suspect.actor_gradient(batch, noise)[0].double().numpy()
    if np.median(np.abs(to_mu / (2 * suspect.alpha * a) - 1)) < 1e-3:
        return "action_detached"
    loss = suspect.losses(batch, noise)["temperature"]
    if loss * -math.log(suspect.alpha) * (log_prob.mean() + suspect.target_entropy) < 0:
        return "temperature_sign"
    before = suspect.weights("critic_target")
    suspect.update(batch, noise)
    way, went = suspect.weights("critic") - before, suspect.weights("critic_target") - before
    return "tau_swapped" if abs(went @ way / (way @ way) - suspect.tau) > 0.01 else "healthy"


def diagnose_by_the_nearest_explanation(suspect):
    """No tolerances where two explanations can be compared: the one that comes closer is believed."""

    def nearest(value, explanations):
        return min(explanations, key=lambda name: (value - explanations[name]).abs().max())

    batch, noise = suspect.draw()
    mu, sigma = suspect.policy(batch.obs)
    a, log_prob = suspect.sample(batch.obs, noise[1])
    found = [nearest(a, {"healthy": torch.tanh(mu + sigma * noise[1]), "sigma_squared": torch.tanh(mu + sigma**2 * noise[1])})]
    u = mu + sigma * noise[1]
    normal = Normal(mu, sigma).log_prob(u).sum(1)
    log_densities = {"healthy": normal - torch.log(1 - torch.tanh(u) ** 2).sum(1), "jacobian_missing": normal,
                     "tanh_twice": normal - torch.log(1 - torch.tanh(torch.tanh(u)) ** 2).sum(1)}
    found.append(nearest(log_prob, log_densities) if found == ["healthy"] else "healthy")
    next_a, next_log_prob = suspect.sample(batch.next_obs, noise[0])
    q = suspect.q_target(batch.next_obs, next_a).amin(0)
    value, over, either = q - suspect.alpha * next_log_prob, batch.terminated, batch.terminated | batch.truncated
    targets = {"healthy": value * ~over, "entropy_missing": q * ~over, "mask_missing": value, "time_limit_masked": value * ~either}
    found.append(nearest(suspect.target(batch, noise), {name: batch.rewards + suspect.gamma * future for name, future in targets.items()}))
    without_critics = 2 * suspect.alpha * torch.tanh(u)
    off = (suspect.actor_gradient(batch, noise)[0] - without_critics).norm() / without_critics.norm()
    found.append("action_detached" if off < 1e-4 else "healthy")
    alpha, slow, old = suspect.alpha, suspect.weights("critic_target"), suspect.weights("critic")
    suspect.update(batch, noise)
    wanted = suspect.target_entropy > -log_prob.mean()
    found.append("healthy" if (suspect.alpha > alpha) == bool(wanted) else "temperature_sign")
    new = suspect.weights("critic")
    paths = {"healthy": slow + suspect.tau * (new - slow), "tau_swapped": slow + (1 - suspect.tau) * (new - slow)}
    assert not torch.equal(old, new)
    found.append(nearest(suspect.weights("critic_target"), paths))
    return next((name for name in found if name != "healthy"), "healthy")


def sample_by_torch_distributions(mu, sigma, eps):
    """The library's density at u = mu + sigma eps, and log(1 - tanh^2 u) = -2 log cosh u."""
    u = torch.addcmul(mu, sigma, eps)
    log_cosh = torch.logaddexp(u, -u) - math.log(2)
    return u.tanh(), (Normal(mu, sigma).log_prob(u) + 2 * log_cosh).sum(dim=1)


def sample_by_the_product_of_two_sigmoids(mean, std, noise):
    """tanh u = 2 sigmoid(2u) - 1, and its slope is 4 sigmoid(2u) sigmoid(-2u); dimension by dimension."""
    actions, total = [], 0.0
    for k in range(mean.shape[1]):
        u = mean[:, k] + std[:, k] * noise[:, k]
        actions.append(torch.tanh(u))
        slope = math.log(4) + torch.nn.functional.logsigmoid(2 * u) + torch.nn.functional.logsigmoid(-2 * u)
        total = total - noise[:, k] ** 2 / 2 - (std[:, k] * math.sqrt(2 * math.pi)).log() - slope
    return torch.stack(actions, dim=1), total


def peak_by_iteration():
    """u = 2 tanh(u), again and again."""
    u = 1.0
    for _ in range(60):
        u = 2 * math.tanh(u)
    return math.tanh(u)


def peak_on_a_grid_of_actions():
    """The highest point of exp(-atanh(a)^2/2) / (1 - a^2), on the left side, as a numpy number."""
    a = np.linspace(-0.999, 0, 5000)
    return a[np.argmax(np.exp(-np.arctanh(a) ** 2 / 2) / (1 - a**2))]


ALTERNATIVES = {
    "13.1": (logprob_by_torch_distributions, logprob_row_by_row, logprob_by_cosh),
    "13.2": (reparam_by_hand, reparam_node_by_node, reparam_by_functional),
    "13.6": (epg_by_autograd, epg_by_loop, epg_by_quadrature),
    "13.9": (lines_by_the_score_function, lines_with_mirrored_noise, lines_by_the_parameters),
    "13.10": (diagnose_one_after_the_other, diagnose_by_the_nearest_explanation),
    "13.11": (sample_by_torch_distributions, sample_by_the_product_of_two_sigmoids),
    "13.12": (peak_by_iteration, peak_on_a_grid_of_actions),
}

_FLAG = "The numbers are the same. It sets a flag on the caller's tensor, and asking for a gradient changes no number in it."

_OUTSIDE, _INSIDE = "D(theta, E(eps, N(0, 1), Q(s, path)))", "E(eps, N(0, 1), D(theta, Q(s, path)))"
_GOAL = "E(eps, N(0, 1), slope * (D(theta, mu) + eps * D(theta, sigma)))"

_SWAPPED, _BORDER, _NORM = "Both look at |x - y|.", "Two measured numbers are never exactly equal.", "A norm has no sign."
EQUIVALENT = {  # automatic mutants of the solution that are right answers too: change -> reason (rlcourse check --gate)
    "13.1": {
        "z = (u - mu) / sigma -> z = (mu - u) / sigma": "Only z squared is used, and (-z)^2 = z^2.",
    },
    "13.2": {
        "mu = mu.detach().requires_grad_(True) -> mu = mu.requires_grad_(True)": _FLAG,
        "sigma = sigma.detach().requires_grad_(True) -> sigma = sigma.requires_grad_(True)": _FLAG,
    },
    "13.9": {
        f"return [{_OUTSIDE}, {_INSIDE}, {_GOAL}] -> return [{_INSIDE}, {_OUTSIDE}, {_GOAL}]":
            "All three lines are equal to each other, so two of them may change places: the derivative is moved in, out, and in again.",
    },
    "13.10": {
        "return bool((x - y).abs().max() < 0.001) -> return bool((x - y).abs().max() <= 0.001)": _BORDER,
        "return bool((x - y).abs().max() < 0.001) -> return bool((y - x).abs().max() < 0.001)": _SWAPPED,
        "return bool((x - y).abs().max() < 0.001) -> return -bool((x - y).abs().max() < 0.001)": "-1 is as true as 1.",
        "wrong['sigma_squared'] = not same(a, torch.tanh(u)) -> wrong['sigma_squared'] = not same(torch.tanh(u), a)": _SWAPPED,
        "wrong['jacobian_missing'] = same(log_prob, log_normal) -> wrong['jacobian_missing'] = same(log_normal, log_prob)": _SWAPPED,
        "wrong['tanh_twice'] = not same(log_prob, log_normal - log_det) -> wrong['tanh_twice'] = not same(log_normal - log_det, log_prob)": _SWAPPED,
        "wrong['entropy_missing'] = same(y, batch.rewards + suspect.gamma * goes_on * next_q) -> "
        "wrong['entropy_missing'] = same(batch.rewards + suspect.gamma * goes_on * next_q, y)": _SWAPPED,
        "wrong['mask_missing'] = same(y, batch.rewards + suspect.gamma * soft_value) -> "
        "wrong['mask_missing'] = same(batch.rewards + suspect.gamma * soft_value, y)": _SWAPPED,
        "wrong['time_limit_masked'] = same(y, batch.rewards + suspect.gamma * goes_on * not_cut * soft_value) -> "
        "wrong['time_limit_masked'] = same(batch.rewards + suspect.gamma * goes_on * not_cut * soft_value, y)": _SWAPPED,
        "wrong['action_detached'] = same(to_mu, 2 * suspect.alpha * torch.tanh(u)) -> "
        "wrong['action_detached'] = same(2 * suspect.alpha * torch.tanh(u), to_mu)": _SWAPPED,
        "too_random = bool(-log_prob.mean() > suspect.target_entropy) -> too_random = bool(-log_prob.mean() >= suspect.target_entropy)": _BORDER,
        "wrong['temperature_sign'] = (suspect.alpha > alpha) == too_random -> "
        "wrong['temperature_sign'] = (suspect.alpha >= alpha) == too_random": _BORDER,
        "gone = (suspect.weights('critic_target') - slow).norm() -> gone = (slow - suspect.weights('critic_target')).norm()": _NORM,
        "wrong['tau_swapped'] = bool(gone > 0.5 * (suspect.weights('critic') - slow).norm()) -> "
        "wrong['tau_swapped'] = bool(gone >= 0.5 * (suspect.weights('critic') - slow).norm())": _BORDER,
        "wrong['tau_swapped'] = bool(gone > 0.5 * (suspect.weights('critic') - slow).norm()) -> "
        "wrong['tau_swapped'] = bool(gone > 0.5 * (slow - suspect.weights('critic')).norm())": _NORM,
    },
}
