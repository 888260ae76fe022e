# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
#   rlcourse:
#     lecture: 13a
#     title: Reparametrisation and squashing, exercises
#     minutes_work: 50
#     status: released
# ---

# %% [markdown]
# # 13a · Exercises: reparametrisation and squashing
#
# Three functions, about 50 minutes, in the order of [the lecture](../notebooks/13a_reparametrisation_and_squashing.ipynb). Write each one in its
# cell, run the cell below it, and read what the check says: the verdict first, then which mistake your numbers look like and where to read.
#
# | | exercise | minutes | difficulty | points |
# |---|---|---|---|---|
# | 13.1 | `tanh_gaussian_logprob`: the log-density of a squashed action | 15 | ●●●○○ | 10 |
# | 13.2 | `reparam_grad`: the pathwise gradient | 12 | ●●○○○ | 8 |
# | 13.6 | `epg_grad`: the expected policy gradient | 20 | ●●●○○ | 12 |
#
# Stuck on one? Ask for a hint, or go on without it: the cells after an exercise use `escape_hatch`, which gives a working function until yours
# passes.

# %% tags=["imports"]
import math

import numpy as np
import torch
import torch.nn.functional as F

from rlcourse.checks import check, escape_hatch, hint  # noqa: F401

# %% [markdown] tags=["exercise"] exercise="13.1"
# ## 13.1 The log-density of a squashed action
#
# **Goal:** the number that SAC averages to get an entropy, right in the middle of the action range and right at its ends.
# &nbsp; *15 minutes, difficulty 3 of 5, equations [13.5] and [13.6]*
#
# A policy draws $u \sim \mathcal N(\mu, \sigma^2)$ and acts with $a = \tanh u$. Write $\log \pi(a)$ as a function of $u$, $\mu$ and $\sigma$.
#
# | | shape | |
# |---|---|---|
# | `u` | `(B, A)` | action before squashing; it may be as large as $\pm 20$ |
# | `mu`, `sigma` | `(B, A)` | mean and **standard deviation** |
# | returns | `(B,)` | a tensor through which gradients flow to all three inputs |
#
# float32 and float64 tensors both come in; at $|u| = 20$ the answer and its gradient stay finite and right.

# %% tags=["answer"] exercise="13.1"
def tanh_gaussian_logprob(u, mu, sigma):
    """log pi(a) of a = tanh(u), u ~ N(mu, sigma^2): (B, A) three times -> (B,)."""
    ### BEGIN SOLUTION
    z = (u - mu) / sigma
    log_normal = -0.5 * z**2 - torch.log(sigma) - 0.5 * math.log(2 * math.pi)
    log_det = 2 * (math.log(2) - u - F.softplus(-2 * u))  # log(1 - tanh(u)^2) without the subtraction
    return (log_normal - log_det).sum(-1)
    ### END SOLUTION

# %%
check(tanh_gaussian_logprob)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Two densities are involved: that of u, which is Gaussian, and that of a = tanh(u). How does a density change when the axis under it is stretched?
# </details>
# <details><summary>Hint 2</summary>
#
# Subtract log |da/du| = log(1 - tanh(u)^2) from the Gaussian log-density at u, per dimension, then sum over the last axis. At |u| = 20 the difference
# 1 - tanh(u)^2 is 0 in floating point: write tanh with exponentials and simplify the logarithm first.
# </details>
# <details><summary>Hint 3</summary>
#
# Nearly the answer: run <code>hint("13.1", 3)</code> in a new cell.
# </details>

# %% [markdown] tags=["solution-only"]
# *About the solution.* $1 - \tanh^2 u = 4 / (e^u + e^{-u})^2$, and $e^u + e^{-u} = e^u (1 + e^{-2u})$: hence the logarithm is
# $2 (\log 2 - u - \mathrm{softplus}(-2u))$. Nothing in it cancels, so float32 keeps its seven digits at $u = 20$, where
# $1 - \tanh^2 u$ is $1.7 \cdot 10^{-17}$.

# %% [markdown]
# **Use it.** A density over $(-1, 1)$ has area one, whatever $\mu$ and $\sigma$ are. The next cell measures areas with your function if it passes.

# %%
log_prob = escape_hatch("tanh_gaussian_logprob", tanh_gaussian_logprob)
u = torch.linspace(-12, 12, 4001, dtype=torch.float64)[:, None]
for mu, sigma in ((0.0, 1.0), (0.5, 0.5), (-1.0, 2.0)):
    density = torch.exp(log_prob(u, torch.full_like(u, mu), torch.full_like(u, sigma)))
    print(f"mu = {mu:4.1f}, sigma = {sigma:.1f}: area {torch.trapezoid(density, torch.tanh(u[:, 0])):.3f}")

# %% [markdown] tags=["exercise"] exercise="13.2"
# ## 13.2 The pathwise gradient
#
# **Goal:** a gradient with respect to the parameters of a distribution, through its samples.
# &nbsp; *12 minutes, difficulty 2 of 5, equation [13.3]*
#
# With $a_i = \mu + \sigma \varepsilon_i$ the objective is $J(\mu, \sigma) = \sum_i w_i\, Q(a_i)$. With $w_i = 1/N$ and normal $\varepsilon_i$ it is a
# Monte Carlo average; with quadrature nodes and weights it is an integral. Return $(\partial J / \partial \mu, \partial J / \partial \sigma)$.
#
# | | shape | |
# |---|---|---|
# | `Q` | callable | differentiable in torch; any shape in, the same shape out |
# | `mu`, `sigma` | `()` | numbers as tensors; $\sigma$ is a standard deviation |
# | `eps`, `w` | `(B,)` | noise and weights; the weights need not sum to one |
# | returns | `(2,)` | tensor or array |

# %% tags=["answer"] exercise="13.2"
def reparam_grad(Q, mu, sigma, eps, w):
    """Gradient of sum_i w_i Q(mu + sigma eps_i) with respect to (mu, sigma): (2,)."""
    ### BEGIN SOLUTION
    mu = mu.detach().requires_grad_(True)
    sigma = sigma.detach().requires_grad_(True)
    objective = (w * Q(mu + sigma * eps)).sum()
    return torch.stack(torch.autograd.grad(objective, (mu, sigma)))
    ### END SOLUTION

# %%
check(reparam_grad)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Once the noise eps is drawn, the action a = mu + sigma eps is an ordinary function of mu and sigma. What are da/dmu and da/dsigma?
# </details>
# <details><summary>Hint 2</summary>
#
# By the chain rule each node contributes w Q'(a) to the first component and w eps Q'(a) to the second. Autograd can supply Q', if mu and sigma
# (or the action) require a gradient when Q is called.
# </details>
# <details><summary>Hint 3</summary>
#
# Nearly the answer: run <code>hint("13.2", 3)</code> in a new cell.
# </details>

# %% [markdown] tags=["solution-only"]
# *About the solution.* `detach().requires_grad_(True)` makes leaves of our own, so that the caller's tensors are left as they were. By hand it is as
# short: $\sum_i w_i Q'(a_i)$ and $\sum_i w_i \varepsilon_i Q'(a_i)$.

# %% [markdown]
# **Use it.** Climb $\mathbb E[Q(a)]$ for $Q(a) = -(a - 1)^2$. The best Gaussian sits on the maximum and has no width left: this is why SAC adds an
# entropy.

# %%
gradient = escape_hatch("reparam_grad", reparam_grad)
nodes, weights = np.polynomial.hermite_e.hermegauss(8)
nodes, weights = torch.from_numpy(nodes), torch.from_numpy(weights / math.sqrt(2 * math.pi))
f = torch.tensor([-1.0, 1.0], dtype=torch.float64)  # (mu, sigma)
for _ in range(60):
    f = f + 0.05 * torch.as_tensor(gradient(lambda a: -((a - 1) ** 2), f[0], f[1], nodes, weights))
print(f"mu = {f[0]:.2f}, sigma = {f[1]:.2f}")

# %% [markdown] tags=["exercise"] exercise="13.6"
# ## 13.6 The expected policy gradient
#
# **Goal:** the policy gradient without a single sampled action: differentiate the critic's average, then use the chain rule.
# &nbsp; *20 minutes, difficulty 3 of 5, equations [13.1] and [13.2]*
#
# The policy is Gaussian with $f_\theta(s) = (\mu, \sigma) = (k s,\ e^{l})$ and $\theta = (k, l)$. The critic is a cubic, and its linear
# term depends on the state:
#
# $$Q(s, a) = c_0 + c_1\, s\, a + c_2\, a^2 + c_3\, a^3 .$$
#
# Find $\hat Q(s, f) = \mathbb E_{a \sim \mathcal N(\mu, \sigma^2)}[Q(s, a)]$ with pencil and paper, then return
# $\nabla_\theta \frac1B \sum_b \hat Q(s_b, f_\theta(s_b))$.
#
# | | shape | |
# |---|---|---|
# | `theta` | `(2,)` | $(k, l)$ |
# | `s` | `(B,)` | one number per state |
# | `coef` | `(4,)` | $(c_0, c_1, c_2, c_3)$ |
# | returns | `(2,)` | $(\partial/\partial k,\ \partial/\partial l)$, averaged over states; tensor or array |

# %% tags=["answer"] exercise="13.6"
def epg_grad(theta, s, coef):
    """Gradient of mean_s E_a Q(s, a) with respect to theta = (k, l): (2,)."""
    ### BEGIN SOLUTION
    mu, sigma = theta[0] * s, torch.exp(theta[1])
    q_to_mu = coef[1] * s + 2 * coef[2] * mu + 3 * coef[3] * (mu**2 + sigma**2)
    q_to_sigma = 2 * coef[2] * sigma + 6 * coef[3] * mu * sigma
    return torch.stack([(q_to_mu * s).mean(), (q_to_sigma * sigma).mean()])  # d mu/d k = s, d sigma/d l = sigma
    ### END SOLUTION

# %%
check(epg_grad)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The critic sees the distribution, not an action: first average Q(s, a) over a ~ N(mu, sigma^2) by hand. Which moments of a Gaussian does a cubic
# need?
# </details>
# <details><summary>Hint 2</summary>
#
# E a = mu, E a^2 = mu^2 + sigma^2, E a^3 = mu^3 + 3 mu sigma^2 give Q-hat(s, (mu, sigma)). Differentiate it to mu and to sigma, then use mu = k s and
# sigma = e^l: d mu/d k = s, d sigma/d l = sigma. Average over states last.
# </details>
# <details><summary>Hint 3</summary>
#
# Nearly the answer: run <code>hint("13.6", 3)</code> in a new cell.
# </details>

# %% [markdown] tags=["solution-only"]
# *About the solution.* $\hat Q = c_0 + c_1 s \mu + c_2 (\mu^2 + \sigma^2) + c_3 (\mu^3 + 3 \mu \sigma^2)$. As $\sigma \to 0$ the first
# component becomes the deterministic policy gradient, $s\, \partial_a Q(s, ks)$, and the second one disappears.

# %% [markdown]
# **Use it.** For one state the expected policy gradient is the pathwise gradient of 13.2 followed by the chain rule. Two roads, one number:

# %%
expected, pathwise = escape_hatch("epg_grad", epg_grad), escape_hatch("reparam_grad", reparam_grad)
theta, s = torch.tensor([0.7, -0.4], dtype=torch.float64), torch.tensor([1.3], dtype=torch.float64)
c = torch.tensor([0.2, -0.5, 0.8, 0.3], dtype=torch.float64)
sigma = torch.exp(theta[1])
to_f = torch.as_tensor(pathwise(lambda a: c[0] + c[1] * s * a + c[2] * a**2 + c[3] * a**3, theta[0] * s[0], sigma, nodes, weights))
by_chain_rule = torch.stack([to_f[0] * s[0], to_f[1] * sigma])
print("the two agree to 1e-10:", bool((by_chain_rule - torch.as_tensor(expected(theta, s, c))).abs().max() < 1e-10))

# %% [markdown]
# **Take away.** A density follows its axis: squash the axis and divide by the slope. A gradient can go through the sample (13.2) or through the
# average (13.6), and where both exist they agree. Back to [the lecture](../notebooks/13a_reparametrisation_and_squashing.ipynb).
