"""Right answers of lecture 13, written differently: every check must let them all pass."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch.distributions import Independent, Normal, TanhTransform, TransformedDistribution


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


ALTERNATIVES = {
    "13.1": (logprob_by_torch_distributions, logprob_row_by_row, logprob_by_cosh),
    "13.2": (reparam_by_hand, reparam_node_by_node, reparam_by_functional),
    "13.6": (epg_by_autograd, epg_by_loop, epg_by_quadrature),
}
