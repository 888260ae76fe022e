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
# They follow [the lecture](../notebooks/13a_reparametrisation_and_squashing.ipynb). Write each answer in its cell, run the cell below it, and read what
# the check says: the verdict first, then which mistake your numbers look like and where to read.
#
# | | exercise | minutes | difficulty | points |
# |---|---|---|---|---|
# | 13.1 | The log-density of a squashed action | 15 | ●●●○○ | 10 |
# | 13.2 | The pathwise gradient | 12 | ●●○○○ | 8 |
# | 13.6 | The expected policy gradient | 20 | ●●●○○ | 12 |
# | 13.9 | Derive the gradient that SAC's actor follows | 15 | ●●●○○ | 10 |
# | 13.10 | Find the bug in soft actor-critic | 30 | ●●●●○ | 14 |
# | 13.11 | Soft actor-critic on your own policy | 20 | ●●●○○ | 10 |
# | 13.12 | Predict: the most likely squashed action | 4 | ●●○○○ | 2 |
#
# Stuck on one? Open a hint, or go on without it: the cells after an exercise use `escape_hatch`, which gives a working function until yours passes.
# The last cell says what is right so far; in `my/` that is remembered when you close the notebook.

# %% tags=["imports"]
import math

import numpy as np
import torch
import torch.nn.functional as F
from IPython.display import display

from rlcourse.checks import check, escape_hatch, hint, summary  # noqa: F401
from rlcourse.figures import exercises_13a as fig
from rlcourse.figures import style
from rlcourse.notation import D, Derivation, E, N, function, partial, real

style.apply()

# %% [markdown] tags=["exercise"] exercise="13.1"
# ## 13.1 The log-density of a squashed action
#
# **Goal:** the number that SAC averages to get an entropy, right in the middle of the action range and right at its ends.
#
# *15 minutes · difficulty ●●●○○ · importance ●●●●● · 10 points · equations [13.5], [13.6]*
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

# %% tags=["figure"] alt="Two panels. Left: the Gaussian density of u; a strip of width 0.50 under it holds probability 0.18. Right: the density of a = tanh u between -1 and 1; the same probability 0.18 lies on a strip of width 0.17, so the curve is higher there. The area under each curve is 1."
fig.one_probability()

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
# Subtract log |da/du| = log(1 - tanh(u)^2) from the Gaussian log-density at u, per dimension, then sum over the last axis. At |u| = 20 the
# difference 1 - tanh(u)^2 is 0 in floating point: write tanh with exponentials and simplify the logarithm first.
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
#
# *12 minutes · difficulty ●●○○○ · importance ●●●●● · 8 points · equation [13.3]*
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

# %% tags=["figure"] alt="Two panels, each with the same curve Q(a) and four samples a = mu + sigma eps on it. Left: mu grows, and every sample moves to the right by the same amount. Right: sigma grows, and each sample moves by its own noise eps, those with negative eps to the left."
fig.moved_samples()

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
# By the chain rule each node contributes w Q'(a) to the first component and w eps Q'(a) to the second. Autograd can supply Q', if mu and sigma (or
# the action) require a gradient when Q is called.
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
#
# *20 minutes · difficulty ●●●○○ · importance ●●●○○ · 12 points · equations [13.2], [13.1]*
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

# %% tags=["figure"] alt="Three panels, for the states -1, 0.5 and 1.5: the critic as a cubic in the action, the Gaussian policy below it, the critic at the mean action and the critic averaged over the policy. The two values differ where the critic is curved."
fig.policies_on_a_critic()

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
# E a = mu, E a^2 = mu^2 + sigma^2, E a^3 = mu^3 + 3 mu sigma^2 give Q-hat(s, (mu, sigma)). Differentiate it to mu and to sigma, then use mu = k s
# and sigma = e^l: d mu/d k = s, d sigma/d l = sigma. Average over states last.
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

# %% [markdown] tags=["exercise"] exercise="13.9"
# ## 13.9 Derive the gradient that SAC's actor follows
#
# **Goal:** from the slope of an average, which nobody can sample, to an average of slopes, which one sample estimates.
#
# *derivation · 15 minutes · difficulty ●●●○○ · importance ●●●●○ · 10 points · equations [13.3], [13.2]*
#
# The start is shown below this text. Return the lines that come after it, **at least two**, as a list. The last one must be an expectation over noise
# whose law does not contain $\theta$, and inside it $Q$ may occur only by its slope $\partial Q / \partial a$: no derivative in front of an
# expectation, and none in front of $Q$. Any road will do: every line is tried against the line before it, in twelve worlds.
#
# | | is | write |
# |---|---|---|
# | `theta`, `s` | the parameter, the state: real numbers | `D(theta, mu)` is $\partial \mu_\theta(s) / \partial \theta$ |
# | `a`, `eps` | what an expectation may run over | `E(eps, N(0, 1), ...)`; `N(mu, sigma)` takes the **standard deviation** |
# | `mu`, `sigma` | the expressions $\mu_\theta(s)$ and $\sigma_\theta(s)$ | `mu + sigma * eps` |
# | `Q` | the critic, a function | `Q(s, a)`; its slope in the action at `x` is `partial(Q, a)(s, x)` |
# | returns | a list of expressions | `[line_1, line_2, ...]` |

# %% tags=["hide-input"]
symbols = {name: real(name) for name in ("theta", "s", "a", "epsilon")}
theta, s, a, eps = symbols.values()
mu = function("mu", theta, s, subscripts=1)(theta, s)
sigma = function("sigma", theta, s, subscripts=1, is_positive=True)(theta, s)
Q = function("Q", s, a)
start = D(theta, E(a, N(mu, sigma), Q(s, a)))
start

# %% tags=["answer"] exercise="13.9"
def pathwise_lines(theta, s, a, eps, mu, sigma, Q):
    """The lines after d/dtheta E_{a ~ N(mu, sigma^2)}[Q(s, a)]: a list of expressions."""
    ### BEGIN SOLUTION
    path = mu + sigma * eps
    slope = partial(Q, a)(s, path)
    return [
        D(theta, E(eps, N(0, 1), Q(s, path))),
        E(eps, N(0, 1), D(theta, Q(s, path))),
        E(eps, N(0, 1), slope * (D(theta, mu) + eps * D(theta, sigma))),
    ]
    ### END SOLUTION

# %%
check(pathwise_lines)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Which symbols of the start depend on theta? As long as the law is among them, the derivative cannot pass the expectation. Write the action so that
# its randomness comes from somewhere else.
# </details>
# <details><summary>Hint 2</summary>
#
# First line: the same derivative of an expectation over eps ~ N(0, 1), with mu + sigma * eps in the place of the action. Then the derivative may go
# inside, and the chain rule finds theta twice: in mu and in sigma.
# </details>
# <details><summary>Hint 3</summary>
#
# Nearly the answer: run <code>hint("13.9", 3)</code> in a new cell.
# </details>

# %% [markdown] tags=["solution-only"]
# *About the solution.* The first line trades the law for the path: the samples know nothing of $\theta$ any more. The second needs that, and that $Q$ has
# no jumps. The third is the chain rule: $\theta$ reaches the action through $\mu_\theta(s)$ and, stretched by the noise, through $\sigma_\theta(s)$.
# The score function is as true, and is refused here only because its last line contains $Q$ instead of its slope.

# %% [markdown]
# **Use it.** The same lines as a derivation, checked once more step by step; and what one sample of the last line is worth beside one of the score
# function. Which of the two scatters less?

# %%
working = escape_hatch("pathwise_lines", pathwise_lines)
derived = Derivation("The gradient that SAC's actor follows", "13.3", start)
for number, line in enumerate(working(theta, s, a, eps, mu, sigma, Q), start=1):
    derived = derived.step(line, because=f"line {number}")
display(derived) if working is pathwise_lines else print("Your own lines appear here, as a derivation, once they pass.")

# %%
generator = torch.Generator().manual_seed(0)
noise = torch.randn(100_000, generator=generator, dtype=torch.float64)
k, l, state = (torch.tensor(x, dtype=torch.float64) for x in (0.7, -0.4, 1.3))     # mu = k s, sigma = e^l; here theta is k
action = k * state + torch.exp(l) * noise
score = torch.sin(action) * noise / torch.exp(l) * state                             # Q(a) = sin a; d log pi/dk = (a - mu)/sigma^2 s
pathwise = torch.cos(action) * state                                                 # dQ/da times d mu/dk
for name, sample in (("score function", score), ("pathwise", pathwise)):
    print(f"{name:15} mean {sample.mean():.2f}   standard deviation {sample.std():.2f}")

# %% [markdown] tags=["exercise"] exercise="13.10"
# ## 13.10 Find the bug in soft actor-critic
#
# **Goal:** agents rarely crash when they are wrong; they learn a little worse. Find the place by measuring, not by reading.
#
# *find the bug · 30 minutes · difficulty ●●●●○ · importance ●●●●○ · 14 points · equations [13.9], [13.10], [13.11], [13.5]*
#
# `suspect` is the package's soft actor-critic, in the middle of a training, with at most one of these defects:
#
# | name | what is wrong | |
# |---|---|---|
# | `sigma_squared` | the action is drawn with sigma^2 in the place of sigma | [13.3] |
# | `jacobian_missing` | log pi is the Gaussian's, without the slope of tanh | [13.5] |
# | `tanh_twice` | log pi has 1 - tanh(a)^2, as on the printed slide, in the place of 1 - a^2 | [13.5] |
# | `entropy_missing` | the critics' target has no entropy term | [13.9] |
# | `mask_missing` | the target bootstraps behind the end of the task | [13.9] |
# | `time_limit_masked` | a time limit is treated as the end of the task | [13.9] |
# | `action_detached` | the action is detached before the critics judge it in the actor's loss | [13.10] |
# | `temperature_sign` | the temperature's loss has the wrong sign | [13.11] |
# | `tau_swapped` | the slow critics take the share 1 - tau of the critics in place of tau | [13.9] |
# | `healthy` | nothing | |
#
# Write a detector. It is tried on agents with every defect and on healthy ones, in random order, with random networks, settings and data, half of
# them in float32.
#
# | | shape | |
# |---|---|---|
# | `suspect` | a `Suspect` | what it can be asked is in the next cell |
# | returns | one string | a name from the table |

# %%
from rlcourse.checks import get

suspect = get("13.10").suspect("mask_missing")  # one to practise on; any name of the table
print(*[line for line in dir(suspect) if not line.startswith("_")])
drawn, eps = suspect.draw()
action, log_pi = suspect.sample(drawn.obs, eps[1])
print(f"obs {tuple(drawn.obs.shape)}, a {tuple(action.shape)}, log_pi {tuple(log_pi.shape)}, y {tuple(suspect.target(drawn, eps).shape)}")
print("`help(suspect)` says what each of them is")

# %% tags=["answer"] exercise="13.10"
def diagnose(suspect):
    """The name of the suspect's defect, or "healthy"."""
    ### BEGIN SOLUTION
    def same(x, y):
        return bool((x - y).abs().max() < 1e-3)

    wrong = {}
    batch, noise = suspect.draw()
    # one action and its log-density
    mu, sigma = suspect.policy(batch.obs)
    a, log_prob = suspect.sample(batch.obs, noise[1])
    u = mu + sigma * noise[1]
    log_normal = torch.distributions.Normal(mu, sigma).log_prob(u).sum(-1)
    log_det = torch.log(1 - torch.tanh(u) ** 2).sum(-1)
    wrong["sigma_squared"] = not same(a, torch.tanh(u))
    wrong["jacobian_missing"] = same(log_prob, log_normal)
    wrong["tanh_twice"] = not same(log_prob, log_normal - log_det)
    # the target, and what it would be with one piece wrong
    next_a, next_log_prob = suspect.sample(batch.next_obs, noise[0])
    next_q = suspect.q_target(batch.next_obs, next_a).amin(0)
    soft_value = next_q - suspect.alpha * next_log_prob
    goes_on = 1 - batch.terminated.float()
    not_cut = 1 - batch.truncated.float()
    y = suspect.target(batch, noise)
    wrong["entropy_missing"] = same(y, batch.rewards + suspect.gamma * goes_on * next_q)
    wrong["mask_missing"] = same(y, batch.rewards + suspect.gamma * soft_value)
    wrong["time_limit_masked"] = same(y, batch.rewards + suspect.gamma * goes_on * not_cut * soft_value)
    # the actor: without the critics' share, its gradient is that of alpha log pi
    to_mu, _ = suspect.actor_gradient(batch, noise)
    wrong["action_detached"] = same(to_mu, 2 * suspect.alpha * torch.tanh(u))
    # one update: where do the temperature and the slow critics go?
    alpha, slow = suspect.alpha, suspect.weights("critic_target")
    suspect.update(batch, noise)
    too_random = bool(-log_prob.mean() > suspect.target_entropy)
    wrong["temperature_sign"] = (suspect.alpha > alpha) == too_random
    gone = (suspect.weights("critic_target") - slow).norm()
    wrong["tau_swapped"] = bool(gone > 0.5 * (suspect.weights("critic") - slow).norm())
    return next((name for name in wrong if wrong[name]), "healthy")
    ### END SOLUTION

# %%
check(diagnose)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Each row of the card's table is an equation of the lecture, and most of them can be computed twice: by the suspect, and by you from the suspect's
# own networks. Begin where an update begins, with one action, and go on in its order: an early defect spoils what comes after it.
# </details>
# <details><summary>Hint 2</summary>
#
# sample() against u = mu + sigma eps, tanh(u) and [13.5]; target() against [13.9], written with each of its possible mistakes in turn, from the
# suspect's own sample() and q_target(); actor_gradient(): if the critics do not reach it, what is left of [13.10] is alpha times the gradient of log
# pi; last one update(): which way does alpha go, and what share of the way do the slow critics go?
# </details>
# <details><summary>Hint 3</summary>
#
# Nearly the answer: run <code>hint("13.10", 3)</code> in a new cell.
# </details>

# %% [markdown] tags=["solution-only"]
# *About the solution.* Every test point is computed twice, by the suspect and from the suspect's own networks, in the order of an update: a
# defect spoils what comes after it, so the first disagreement counts. The action's gradient needs no critic: with $\varepsilon$ held,
# $\partial \log \pi / \partial \mu = 2 \tanh u$, and a detached action leaves just that.

# %% [markdown]
# **Use it.** Your detector, or the worked one until yours passes, on agents it has not met. Before you run the cell: which of the four defects
# would you have noticed in a learning curve?

# %%
detective = escape_hatch("diagnose", diagnose)
for name in ("jacobian_missing", "entropy_missing", "mask_missing", "temperature_sign", "healthy"):
    print(f"{name:17} your detector says {detective(get('13.10').suspect(name, seed=5))}")

# %% [markdown] tags=["exercise"] exercise="13.11"
# ## 13.11 Soft actor-critic on your own policy
#
# **Goal:** the policy's half of soft actor-critic, written by you, in the real agent.
#
# *training · 20 minutes · difficulty ●●●○○ · importance ●●●●○ · 10 points · equations [13.3], [13.5], [13.6], [13.10], [13.11]*
#
# Twice in every update SAC asks its policy for an action and the logarithm of its density: once for the target, once for the actor's loss, where the
# gradient passes through both. Write that function. The check first looks at its numbers and gradients. Then it trains seven agents with it on a
# lever that has to be held near its end, as randomly as a target entropy of $-0.5$ nats asks for, and measures what they do: a few seconds.
#
# | | shape | |
# |---|---|---|
# | `mu`, `sigma` | `(B, A)` | what the actor's network puts out |
# | `eps` | `(B, A)` | standard normal noise: use it, and draw none of your own |
# | returns | `(B, A)`, `(B,)` | the action $a = \tanh(\mu + \sigma \varepsilon)$ and $\log \pi(a)$, with gradients to `mu` and `sigma` |

# %% tags=["answer"] exercise="13.11"
def squashed_sample(mu, sigma, eps):
    """a = tanh(mu + sigma eps) and log pi(a): (B, A) three times -> (B, A), (B,)."""
    ### BEGIN SOLUTION
    u = mu + sigma * eps
    log_normal = -0.5 * eps**2 - torch.log(sigma) - 0.5 * math.log(2 * math.pi)  # (u - mu) / sigma is eps
    log_det = 2 * (math.log(2) - u - F.softplus(-2 * u))
    return torch.tanh(u), (log_normal - log_det).sum(-1)
    ### END SOLUTION

# %% tags=["experiment"]
check(squashed_sample)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Two results are needed at once, from one u: the action that is sent to the environment, and the logarithm of its density. In which of the two does
# the gradient to mu and sigma matter?
# </details>
# <details><summary>Hint 2</summary>
#
# In both. Write u = mu + sigma eps with ordinary tensor operations and nothing detached; a = tanh(u). For the density, (u - mu)/sigma is eps itself,
# and exercise 13.1 has the slope of tanh in a form that survives |u| = 20.
# </details>
# <details><summary>Hint 3</summary>
#
# Nearly the answer: run <code>hint("13.11", 3)</code> in a new cell.
# </details>

# %% [markdown] tags=["solution-only"]
# *About the solution.* Nothing is detached, and u is never recovered from a. In 400 trainings with other seeds no agent left the limits, so at most
# 0.75 % do (95 % confidence), and a right function is refused (four of seven outside) with a probability of at most 1.1e-07.

# %% [markdown]
# **Use it.** Leave the slope of tanh out, which no error message would tell you, and train both.

# %% tags=["experiment"]
from rlcourse.checks import get

sample = escape_hatch("squashed_sample", squashed_sample)

def without_slope(mu, sigma, eps):
    return torch.tanh(mu + sigma * eps), torch.distributions.Normal(mu, sigma).log_prob(mu + sigma * eps).sum(-1)

for name, policy in (("with the slope of tanh", sample), ("without", without_slope)):
    seen = get("13.11").inside_the_agent(policy, seeds=[0, 1, 2])
    on_target, close = abs(np.median(seen["entropy"]) + 0.5) < 0.3, np.median(seen["distance"]) < 0.3
    print(f"{name:22} entropy near its target: {bool(on_target)}   lever near the mark: {bool(close)}")

# %% [markdown] tags=["exercise"] exercise="13.12"
# ## 13.12 Predict: the most likely squashed action
#
# **Goal:** a picture of the squashed density in your head, before the next cell draws it.
#
# *prediction · 4 minutes · difficulty ●●○○○ · importance ●●●○○ · 2 points · equation [13.5]*
#
# $u \sim \mathcal N(0, 1)$ and $a = \tanh u$. The density of $u$ is highest at 0. Where is that of $a$ highest? Answer with the $a \ge 0$, to
# about 0.03. A wrong prediction costs nothing.
#
# | | shape | |
# |---|---|---|
# | returns | one number | between 0 and 1 |

# %% tags=["answer"] exercise="13.12"
def most_likely_action():
    """The a >= 0 at which the density of a = tanh(u), u ~ N(0, 1), is highest."""
    ### BEGIN SOLUTION
    return 0.96  # u = 2 tanh(u) at u = 1.915
    ### END SOLUTION

# %%
from rlcourse.checks.prediction import predict, reveal

predict("13.12", most_likely_action)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Two things compete as u moves away from 0: the Gaussian falls, and tanh squeezes more and more of it together. Which wins near 0, and which far
# away?
# </details>
# <details><summary>Hint 2</summary>
#
# log pi = -u^2/2 - log(1 - tanh(u)^2) + constant, by [13.5]. Its slope in u is -u + 2 tanh(u): positive for small u, negative for large u.
# </details>
# <details><summary>Hint 3</summary>
#
# Nearly the answer: run <code>hint("13.12", 3)</code> in a new cell.
# </details>

# %%
log_prob = escape_hatch("tanh_gaussian_logprob", tanh_gaussian_logprob)
actions = torch.tensor([0.0, 0.3, 0.6, 0.76, 0.9, 0.96, 0.99, 0.999], dtype=torch.float64)
zero = torch.zeros(len(actions), 1, dtype=torch.float64)
for action, height in zip(actions, log_prob(torch.atanh(actions)[:, None], zero, zero + 1).exp()):
    print(f"a = {action:5.3f}   density {height:.3f}  {'#' * round(40 * float(height))}")

# %%
reveal("13.12")

# %% [markdown] tags=["solution-only"]
# *About the solution.* $\log \pi = -u^2/2 - \log(1 - \tanh^2 u) + c$ has the slope $-u + 2 \tanh u$ in $u$: up from 0, zero at $u = 1.915$,
# down from there. From $\sigma^2 = 1/2$ on the peak at 0 is split in two.

# %% [markdown]
# **Take away.** A density follows its axis: squash the axis and divide by the slope. A gradient can go through the sample (13.2) or through the
# average (13.6), and where both exist they agree. Back to [the lecture](../notebooks/13a_reparametrisation_and_squashing.ipynb).

# %%
summary("13a")
