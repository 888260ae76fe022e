# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
#   rlcourse:
#     lecture: 13a
#     title: Reparametrisation and squashing
#     minutes_read: 60
#     minutes_work: 50
#     status: released
#     objectives: [LO7.4, LO7.5, LO7.7]
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # 13a · Reparametrisation and squashing
#
# Squash a Gaussian action into $(-1, 1)$, write its density the way a well-known slide prints it, add it up, and you get 0.771.
# **Where did the other 23 % of the probability go?**

# %% tags=["imports"] slideshow={"slide_type": "skip"}
import json

import numpy as np
import torch
from IPython.display import Image, display

from rlcourse import widgets
from rlcourse.agents import sac
from rlcourse.equations.distributions import TanhGaussian, tanh_log_det
from rlcourse.figures import lecture_13a as fig
from rlcourse.figures import style, training
from rlcourse.notation import D, DensityWorld, Derivation, E, H, N, P, Phi, TanhN, atanh, det_jacobian, erratum, evaluate
from rlcourse.notation import Assumption, exp, function, integral, jump, log, partial, positive, real, softplus, summary, tanh
from rlcourse.stats import History, mean_interval
from rlcourse.train import train
from rlcourse.widgets import lecture_13a as live

style.apply()
a, u, u1, u2, eps, theta, s = (real(name) for name in ("a", "u", "u_1", "u_2", "epsilon", "theta", "s"))
mu, sigma, x = real("mu"), positive("sigma"), real("x", -1, 1)
y, low, high = real("y", -1, 1), real("low", -3, -1), real("high", 1, 3)
Q, pi = function("Q", a), function("pi", x)

# %% tags=["figure", "hide-input"] rows=["S0-31:N"] slideshow={"slide_type": "fragment"} alt="Two panels. Left: a standard normal density of u, entropy 1.42 nats. Right: over the action a between -1 and 1, the exact density of tanh(u), which integrates to 1, and a dashed curve that divides by 1 minus tanh squared of a. It lies below the exact one towards both edges and integrates to 0.771; the gap is shaded."
fig.squashed_density(mu=0.0, sigma=1.0)

# %% [markdown] slideshow={"slide_type": "slide"} rows=["S0-25:LO", "S0-26:LO", "S0-40:LO"]
# After this lecture you can
#
# - **connect** stochastic and deterministic policy gradients: one chain rule, two kinds of parameters (LO7.4; exercise 13.6)
# - **derive** the reparametrisation trick, and **say** for which $Q$ it is wrong (LO7.5; exercise 13.2)
# - **derive** density and entropy of a squashed Gaussian, and **compute** them in float32 (LO7.7; exercise 13.1)
# - **read** the SAC update line by line, and **train** it
#
# 60 minutes to read, 50 to work on [the exercises](../exercises/13a_reparametrisation_and_squashing.ipynb). You need $Q(s, a)$ and the gradient of an
# expectation (lectures 03 and 09); lecture 13b builds SAC from here.
#
# Every derivation below was checked by this machine when its cell ran. Change a sign and run it again: it tells you which step broke, and where.

# %% [markdown] slideshow={"slide_type": "slide"} notes="4 minutes. Misconception to probe: noise can only hurt, so sigma always shrinks. Start at mu = -0.6 (the arrow points up: in a valley noise helps), ask where it turns, then drag mu to 0.65."
# ## 1 · One chain rule for two kinds of policy
#
# A deterministic policy moves its action uphill on $Q(s, a)$. A stochastic policy has no single action to move. **What does it move instead?**
#
# Below, $Q$ peaks near $a = 0.65$ and the policy sits to its left, at $\mu = -0.6$, $\sigma = 0.4$.
#
# *Predict first:* will one gradient step make $\sigma$ larger or smaller? Write it down, then look at the arrow.

# %% tags=["widget"] slideshow={"slide_type": "subslide"} rows=["S0-22:N"]
live.parameter_space()

# %% [markdown] slideshow={"slide_type": "subslide"} notes="6 minutes with the derivation. Stop before the chain rule and ask which symbols depend on theta. Break it live: drop the second term."
# The policy sits in a valley of $Q$. There noise *helps*: it reaches the hill on the right sooner than the mean does. Drag $\mu$ to 0.65 and the
# arrow turns down: on a hilltop noise only falls off.
#
# What moves are the **parameters of the distribution**, $\mu_\theta(s)$ and $\sigma_\theta(s)$. Give their value a name, $\hat Q$ [13.1], and the rest is one
# application of the chain rule.

# %% tags=["derivation"] rows=["S0-22:D", "S0-25:D"] slideshow={"slide_type": "subslide"}
Qsa, Qhat = function("Q", s, a), function("Qhat", s, mu, sigma)
mu_s = function("mu", theta, s, subscripts=1)(theta, s)
sigma_s = function("sigma", theta, s, subscripts=1, is_positive=True)(theta, s)
held = Assumption("Q is held fixed while the policy moves",
                  source="CS4400 7.2, slide 'Stochastic vs. deterministic policy gradients'")

epg = (
    Derivation("The expected policy gradient is a chain rule", "13.2",
               D(theta, E(a, N(mu_s, sigma_s), Qsa(s, a))),
               source="CS4400 7.2, the same slide; Ciosek and Whiteson 2018, section 3")
    .define(Qhat(s, mu, sigma), E(a, N(mu, sigma), Qsa(s, a)))
    .step(D(theta, Qhat(s, mu_s, sigma_s)), because="this is Q̂ [13.1] at the parameters μ_θ(s), σ_θ(s)")
    .step(D(theta, mu_s) * partial(Qhat, mu)(s, mu_s, sigma_s)
          + D(theta, sigma_s) * partial(Qhat, sigma)(s, mu_s, sigma_s),
          because="chain rule: θ acts through μ and through σ only")
    .assuming(held)
    .fails_without(held, removed=(
        D(theta, E(a, N(mu_s, sigma_s), theta * Qsa(s, a))),
        theta * (D(theta, mu_s) * partial(Qhat, mu)(s, mu_s, sigma_s)
                 + D(theta, sigma_s) * partial(Qhat, sigma)(s, mu_s, sigma_s))))
)
epg

# %% rows=["S0-22:N"] slideshow={"slide_type": "subslide"}
# Predict: shrink sigma by 10. By how much does the gradient in mu approach the deterministic one,
# Q'(mu): by 10, or by 100?
centre, (_, slope) = 0.3, fig.q_function("smooth")
for width in (1.0, 0.1, 0.01):
    gap = fig.expected_q(np.array(centre), np.array(width))[1] - slope(centre)
    print(f"sigma = {width:<4}   dQ-hat/dmu - Q'(mu) = {gap:+.5f}")

# %% [markdown] slideshow={"slide_type": "fragment"}
# By 100. Read the derivation's last line again: it is the deterministic policy gradient with $(\mu, \sigma)$ in the place of the action and $\hat Q$ in the place
# of $Q$. Ciosek and Whiteson (2018) call it the *expected policy gradient*. The weighting of states is whatever stands outside (lecture 09); nothing here touches it.
#
# **Now** [exercise 13.6](../exercises/13a_reparametrisation_and_squashing.ipynb) (20 minutes): this gradient for a cubic $Q$, both parameters.
#
# **Take away:** a stochastic policy gradient is a deterministic one, over the parameters of a distribution.

# %% [markdown] slideshow={"slide_type": "slide"} notes="5 minutes. Try m from 8 to 64 (both shrink like 1/sqrt(m), the ratio stays); add a constant to Q (only the score function notices: lecture 03's baselines); then the step. Let the room explain why the green spike stands at 0 while the black line does not."
# ## 2 · Move the noise out of the way
#
# When $Q$ is a network, no one integrates over actions: we sample. But the samples come from the very thing we differentiate.
# **How do you take a derivative through a die roll?**
#
# Two answers. *Score function*: keep the samples, differentiate the density. *Pathwise*: define $a := \mu + \sigma\epsilon$ with
# $\epsilon \sim \mathcal N(0, 1)$, keep $\epsilon$, differentiate the action.
#
# *Predict:* with $m = 8$ samples each, whose estimates scatter more? What happens to each if a constant is added to $Q$? And what is the pathwise estimate
# when $Q$ is a step?

# %% tags=["widget"] slideshow={"slide_type": "subslide"} rows=["S0-23:W"]
live.estimators()

# %% tags=["derivation"] rows=["S0-23:D", "S0-26:D"] slideshow={"slide_type": "subslide"}
slide = "CS4400 7.2, slide 'The reparametrization trick'"
mirrored = (
    Derivation("The noise is symmetric", "13.3", E(eps, N(0, 1), Q(mu + sigma * eps)), source=slide)
    .step(E(eps, N(0, 1), Q(mu - sigma * eps)), because="ε and −ε have the same law")
)
same_law = Assumption("the path has the law of the action", source=slide)
smooth = Assumption("Q has no jumps", source="Mohamed et al. 2020, section 5.3")
pathwise = (
    Derivation("The pathwise gradient, in the mean", "13.3", D(mu, E(a, N(mu, sigma), Q(a))),
               source=f"{slide}; Kingma and Welling 2014, section 2.4")
    .step(D(mu, E(eps, N(0, 1), Q(mu + sigma * eps))),
          because="reparametrise: a = μ + σε has the law N(μ, σ²)")
    .also_equals(D(mu, E(eps, N(0, 1), Q(mu - sigma * eps))), by=mirrored)
    .assuming(same_law).fails_without(same_law, removed=D(mu, E(eps, N(0, 1), Q(mu + sigma**2 * eps))))
    .step(E(eps, N(0, 1), partial(Q)(mu + sigma * eps)),
          because="the noise does not depend on μ, so the derivative goes inside")
    .also_equals(E(eps, N(0, 1), partial(Q)(mu - sigma * eps)), by=mirrored)
    .assuming(smooth).fails_without(smooth, DensityWorld(mu=0, sigma=1, Q=jump(at=0.5)))
)
pathwise_sigma = (
    Derivation("... and in the standard deviation", "13.3", D(sigma, E(a, N(mu, sigma), Q(a))),
               source="Kingma and Welling 2014, section 2.4")
    .step(E(eps, N(0, 1), eps * partial(Q)(mu + sigma * eps)),
          because="the same path; the inner derivative of μ + σε by σ is ε")
    .assuming(smooth).fails_without(smooth, DensityWorld(mu=0, sigma=1, Q=jump(at=0.5)))
)
display(pathwise, pathwise_sigma)

# %% tags=["derivation"] rows=["S0-23:D"] slideshow={"slide_type": "subslide"}
fixed = Assumption("Q does not depend on the policy's parameters", source="Williams 1992, section 4")
score = (
    Derivation("The score function, from the same start", "13.4", D(mu, E(a, N(mu, sigma), Q(a))),
               source="Williams 1992, sections 4 and 6 (Gaussian units)")
    .step(E(a, N(mu, sigma), Q(a) * D(mu, log(N(mu, sigma).pdf(a)))),
          because="keep the samples: ∇p = p ∇ log p")
    .assuming(fixed)
    .fails_without(fixed, removed=(D(mu, E(a, N(mu, sigma), mu * Q(a))),
                                   E(a, N(mu, sigma), mu * Q(a) * D(mu, log(N(mu, sigma).pdf(a))))))
    .step(E(a, N(mu, sigma), Q(a) * ((a - mu) / sigma**2)),
          because="log N is −(a − μ)²/(2σ²) plus terms without μ")
    .step(E(eps, N(0, 1), partial(Q)(mu + sigma * eps)),
          because="integrate by parts: the derivative moves from the density to Q")
    .also_equals(E(eps, N(0, 1), partial(Q)(mu - sigma * eps)), by=mirrored)
    .assuming(smooth).fails_without(smooth, DensityWorld(mu=0, sigma=1, Q=jump(at=0.5)))
)
score

# %% rows=["S0-23:N"] slideshow={"slide_type": "subslide"}
# In code the trick is the absence of code: sample epsilon, build the action, call backward.
# One forward pass over a batch of independent noise.
generator = torch.Generator().manual_seed(0)
mean, std = torch.tensor(0.3, requires_grad=True), torch.tensor(0.5, requires_grad=True)
action = mean + std * torch.randn(200_000, generator=generator)    # noise that knows no mean and std
(torch.sin(2 * action) - 0.3 * action**2).mean().backward()
_, exact_mean, exact_std = fig.expected_q(np.array(0.3), np.array(0.5))
print(f"d/dmu     pathwise {mean.grad:.2f}   exact {exact_mean:.2f}")
print(f"d/dsigma  pathwise {std.grad:.2f}   exact {exact_std:.2f}")

# %% tags=["erratum"] rows=["S0-31:N"] slideshow={"slide_type": "subslide"}
erratum(
    "σ, not σ²", "the variance of the sampled action is σ²",
    printed=E(eps, N(0, 1), (sigma**2 * eps) ** 2),
    correct=E(eps, N(0, 1), (sigma * eps) ** 2), truth=sigma**2,
    worlds=[DensityWorld(sigma=0.5), DensityWorld(sigma=1)],
    why="The off-policy slides sample μ + σ² ε beside a density with variance σ². A sampler takes a standard "
        "deviation, a density is usually written with a variance, and at σ = 1 nobody notices.",
)

# %% [markdown] slideshow={"slide_type": "subslide"}
# **When it is wrong.** One step used that $Q$ has no jumps. For a step, the slope is zero almost everywhere, so every pathwise sample is zero, while the true
# derivative is the density at the jump (the line under the first derivation). A kink does no harm. The score function minds neither.
#
# **Now** [exercise 13.2](../exercises/13a_reparametrisation_and_squashing.ipynb) (12 minutes). **Take away:** reparametrise, and the derivative passes through
# the sample: low variance, needs the slope of $Q$, blind to jumps.

# %% [markdown] slideshow={"slide_type": "slide"} notes="5 minutes. Drag sigma to 2: two horns near the edges. Toggle 'no correction': 0.61 at sigma = 1. Ask which sigma makes the printed formula look harmless (0.989 at 0.3): that is why it survives in code."
# ## 3 · Squash, and keep the probability
#
# Torques, steering angles and throttles have limits; Gaussians do not. So SAC squashes: it draws $u \sim \mathcal N(\mu, \sigma^2)$ and sends $\tanh u$ as its action $a$.
# **What is the density of $a$?**
#
# Near $\pm 1$, tanh squeezes a long stretch of $u$ into a sliver of $a$: the same probability on less room is more density.
#
# *Predict:* for $\mu = 0$ and $\sigma = 2$, where is the density of $a$ highest: at 0, or near $\pm 1$? At which $a$ do the two curves of the
# first picture agree?

# %% tags=["widget"] slideshow={"slide_type": "subslide"} rows=["S0-31:W"]
live.squashed_density()

# %% tags=["derivation"] rows=["S0-31:D"] slideshow={"slide_type": "subslide"}
squashing = "CS4400 7.3, slide 'Action squashing'; Haarnoja et al. 2018b, appendix C"
increasing = Assumption("the squash is increasing", source=squashing)
below = (
    Derivation("Start from what cannot go wrong: the probability of an action below x", "13.5",
               P(u, N(mu, sigma), tanh(u) <= x), source=squashing)
    .step(P(u, N(mu, sigma), u <= atanh(x)), because="tanh is increasing: undo it on both sides")
    .assuming(increasing)
    .fails_without(increasing, removed=(P(u, N(mu, sigma), -tanh(u) <= x),
                                        P(u, N(mu, sigma), u <= atanh(-x))))
    .step(Phi((atanh(x) - mu) / sigma), because="standardise u; Φ is the normal distribution function")
)
below

# %% tags=["derivation"] rows=["S0-31:D", "S0-40:D"] slideshow={"slide_type": "subslide"}
density = (
    Derivation("Density of a squashed Gaussian", "13.5", log(pi(x)), source=squashing)
    .define(pi(x), D(x, P(u, N(mu, sigma), tanh(u) <= x)))
    .step(log(D(x, Phi((atanh(x) - mu) / sigma))), because="the probability below x, from the last derivation")
    .step(log(N(mu, sigma).pdf(atanh(x)) * D(x, atanh(x))), because="chain rule; Φ′ is the normal density")
    .step(log(N(mu, sigma).pdf(atanh(x)) / (1 - x**2)),
          because="the slope of atanh is one over the slope of tanh, 1 − x²")
    .step(log(N(mu, sigma).pdf(atanh(x))) - log(1 - x**2), because="logarithm of a fraction")
    .implements(TanhGaussian.log_prob, lambda mu, sigma, x: (TanhGaussian(mu, sigma), x))
)
density

# %% tags=["derivation"] rows=["S0-31:D"] slideshow={"slide_type": "subslide"}
apart = Assumption("each action depends on its own u alone", source=squashing)
v1, v2 = u1 + u2 / 2, u2 + u1 / 2
jacobian = (
    Derivation("Two actions: a diagonal Jacobian, so the corrections add up", "13.5",
               log(det_jacobian((u1, u2), (tanh(u1), tanh(u2)))), source=squashing)
    .step(log((1 - tanh(u1) ** 2) * (1 - tanh(u2) ** 2)),
          because="each action depends on its own u: the product of the diagonal", worlds="symbolic")
    .assuming(apart)
    .fails_without(apart, removed=(log(det_jacobian((u1, u2), (tanh(v1), tanh(v2)))),
                                   log((1 - tanh(v1) ** 2) * (1 - tanh(v2) ** 2))))
    .step(log(1 - tanh(u1) ** 2) + log(1 - tanh(u2) ** 2), because="logarithm of a product")
)
jacobian

# %% tags=["erratum"] rows=["S0-31:N"] slideshow={"slide_type": "subslide"}
erratum(
    "Where the 23 % went", "the density integrates to 1",
    printed=integral(a, -1, 1, N(mu, sigma).pdf(atanh(a)) / (1 - tanh(a) ** 2)),
    correct=integral(a, -1, 1, N(mu, sigma).pdf(atanh(a)) / (1 - a**2)), truth=1,
    worlds=[DensityWorld(mu=0, sigma=1), DensityWorld(mu=0.5, sigma=0.5), DensityWorld(mu=0, sigma=0.3)],
    why="The off-policy slides subtract log(1 − tanh²(a)). But a is already the tanh of something. One letter on "
        "both sides of the squash is how it happens, and with a small σ the result looks right.",
)

# %% [markdown] slideshow={"slide_type": "subslide"} rows=["S0-31:X"]
# **Now** [exercise 13.1](../exercises/13a_reparametrisation_and_squashing.ipynb) (15 minutes): the log-density, batch and dimensions included.
#
# **Take away:** divide by the squeeze, $1 - a^2$; then add the density up before you believe it.

# %% [markdown] slideshow={"slide_type": "slide"} notes="6 minutes. Let everyone say a number for log(1 - tanh(10)^2) before showing the figure. The honest answers: -inf in float32, -18.6 in truth, -13.8 with the padding."
# ## 4 · Equal on paper, unequal in float32
#
# The slides add a warning: squashing "can be numerically unstable". **How unstable, and what to do?**
#
# *Predict:* a float32 network sends $u = 10$, a saturated action, as happens in the first minutes of training. What does the computer say for
# $1 - \tanh^2(10)$? And for its logarithm?

# %% tags=["figure", "hide-input"] slideshow={"slide_type": "subslide"} rows=["S0-31:N"] alt="Error in float32 of three versions of log(1 - tanh squared u) for u from 0 to 20, on a logarithmic axis. The naive version grows and ends near u = 9, where it becomes minus infinity. The version with 1e-6 added is wrong by 1.2 at u = 8 and by more than 20 at u = 20. The stable version stays near 1e-6 throughout."
fig.log_det_error()

# %% tags=["derivation"] rows=["S0-31:D"] slideshow={"slide_type": "subslide"}
stable = (
    Derivation("The log-determinant without cancellation", "13.6", log(1 - tanh(u) ** 2),
               source="CS4400 7.3 warns of instability; the form is that of torch's TanhTransform")
    .step(log(4 / (exp(u) + exp(-u)) ** 2), because="1 − tanh² u = 1/cosh² u", worlds="symbolic")
    .step(2 * (log(2) - log(exp(u) + exp(-u))),
          because="logarithm of a fraction and of a square", worlds="symbolic")
    .step(2 * (log(2) - u - log(1 + exp(-2 * u))), because="take e^u out of the sum", worlds="symbolic")
    .step(2 * (log(2) - u - softplus(-2 * u)),
          because="softplus(z) is log(1 + e^z), which libraries compute without overflow", worlds="symbolic")
    .implements(tanh_log_det)
)
stable

# %% slideshow={"slide_type": "subslide"} rows=["S0-31:I"] tags=["code"]
widgets.source(tanh_log_det, docstring=False)

# %% rows=["S0-31:N"] slideshow={"slide_type": "subslide"}
values = torch.tensor([[1.0], [5.0], [10.0], [20.0]])
print("     u   1 - tanh(u)^2   its log in float32   padded with 1e-6   stable")
for value, naive, right in zip(values, 1 - torch.tanh(values) ** 2, tanh_log_det(values)):
    logs = f"{naive.log().item():20.3f} {(naive + 1e-6).log().item():18.3f} {right.item():8.3f}"
    print(f"{value.item():6.0f} {naive.item():15.1e} {logs}")

# %% [markdown] slideshow={"slide_type": "subslide"}
# The padding $10^{-6}$ of many codebases removes the infinity, and with it the truth: nearly 5 nats at $u = 10$, with a gradient of zero. The rewriting costs nothing.
# Note what the function does *not* take: the action. Inverting tanh at 0.9999999 would lose the digits that were protected.
#
# **Take away:** hand over $u$, not $a$, and let softplus do the large numbers.

# %% [markdown] slideshow={"slide_type": "slide"} notes="6 minutes. Vote by hand: rise or fall from sigma 1 to 2? Then the figure. Connect to SAC: the entropy bonus itself stops sigma from running away."
# ## 5 · Entropy and bounds
#
# Maximum-entropy agents are paid for entropy. **Does more $\sigma$ always mean more entropy?**
#
# *Predict:* going from $\sigma = 1$ to $\sigma = 2$, does the entropy of $a$ rise or fall?

# %% tags=["figure", "hide-input"] slideshow={"slide_type": "subslide"} rows=["S0-40:N"] alt="Entropy in nats over sigma from 0 to 4. The Gaussian's entropy rises throughout. The squashed entropy rises to 0.68 at sigma 0.87, below the dotted line log 2, and then falls, below zero beyond sigma 2."
fig.entropy_against_sigma()

# %% tags=["derivation"] rows=["S0-40:D"] slideshow={"slide_type": "subslide"}
entropy = (
    Derivation("Entropy of a squashed Gaussian", "13.7", H(TanhN(mu, sigma)),
               source="CS4400 7.3, slide 'Action squashing', its brace corrected below")
    .step(E(a, TanhN(mu, sigma), -log(TanhN(mu, sigma).pdf(a))), because="definition of the entropy")
    .step(E(u, N(mu, sigma), -log(N(mu, sigma).pdf(u)) + log(1 - tanh(u) ** 2)),
          because="[13.5] with a = tanh u")
    .step(H(N(mu, sigma)) + E(u, N(mu, sigma), log(1 - tanh(u) ** 2)),
          because="the first term is the Gaussian's entropy")
)
entropy

# %% tags=["erratum"] rows=["S0-31:N"] slideshow={"slide_type": "subslide"}
erratum(
    "A log-density is not an entropy", "the term under the brace is the entropy of u",
    printed=log(N(mu, sigma).pdf(u)),
    correct=E(u, N(mu, sigma), -log(N(mu, sigma).pdf(u))), truth=H(N(mu, sigma)),
    worlds=[DensityWorld(mu=0, sigma=1, u=0.5), DensityWorld(mu=0, sigma=1, u=2)],
    why="A brace on the off-policy slides calls log N(atanh a) the Gaussian entropy. Entropy is the expectation of "
        "minus that. The name tempts one to use the Gaussian's closed form and stop; the correction is negative and "
        "has none.",
)

# %% tags=["derivation"] rows=["S0-31:D"] slideshow={"slide_type": "subslide"}
pi_y, x_y = function("pi", y), function("x", y)
bounds = (
    Derivation("Actuators with other limits than ±1", "13.8", log(pi_y(y)),
               source="change of variables as in Haarnoja et al. 2018b, appendix C")
    .define(pi_y(y), D(y, P(u, N(mu, sigma), low + (high - low) / 2 * (tanh(u) + 1) <= y)))
    .define(x_y(y), 2 * (y - low) / (high - low) - 1)
    .step(log(D(y, P(u, N(mu, sigma), tanh(u) <= x_y(y)))), because="solve the inequality for tanh u")
    .step(log(TanhN(mu, sigma).pdf(x_y(y)) * D(y, x_y(y))), because="chain rule; the density is [13.5]")
    .step(log(TanhN(mu, sigma).pdf(x_y(y))) - log((high - low) / 2),
          because="y is (high − low)/2 times as wide as x")
    .implements(TanhGaussian.log_prob,
                lambda mu, sigma, low, high, y: (TanhGaussian(mu, sigma, low, high), y))
)
bounds

# %% [markdown] slideshow={"slide_type": "subslide"}
# Entropy falls, from 0.67 to 0.00 nats: past $\sigma \approx 0.9$ the extra noise is pressed against the edges, and the policy becomes a coin flip.
# A reward for entropy therefore also keeps $\sigma$ from running away. Leave out the bounds' constant and the density integrates to 2 for a bound of 2.
#
# **Take away:** squashing lowers entropy, by an amount one estimates from samples; bounds enter as one constant.

# %% [markdown] slideshow={"slide_type": "slide"} notes="12 minutes. Give two minutes for the search before going on. Start the training cell before you explain it: it runs while you talk."
# ## 6 · The squashed Gaussian at work
#
# Everything so far meets in one agent, soft actor-critic. On the next page is its whole update, as it runs in the package.
#
# *Predict:* there are four places where this lecture appears. **Find them** before you read on.

# %% rows=["S0-40:I", "S3-66:T"] slideshow={"slide_type": "subslide"} tags=["code"]
widgets.source(sac.SAC.update)

# %% [markdown] slideshow={"slide_type": "subslide"}
# 1. `self.sample` returns a reparametrised action [13.3] and its squashed log-density [13.5], from $u$ [13.6].
# 2. The critic's target pays for entropy with the same log-density [13.9].
# 3. The actor's loss sends a pathwise gradient through $Q$ into $\mu$ and $\sigma$ [13.10].
# 4. The temperature compares the sampled entropy [13.7] with a target and moves $\alpha$ [13.11]: too little entropy raises $\alpha$, too much lowers
#    it. That is automatic entropy adjustment; lecture 13b derives it as a dual problem.
#
# Now train it, on this machine: a pendulum to swing up and hold, three seeds as one batch of independent copies.
#
# *Predict:* a random policy collects about $-1200$ an episode. Where will the agent be at the end, and which way will $\alpha$ move?

# %% tags=["experiment"] slideshow={"slide_type": "subslide"} rows=["S0-40:E"] alt="Return of SAC on Pendulum-v1 over environment steps for three seeds in grey and their mean with a 95 percent interval; it rises from below -1200 to above -250."
config = dict(hidden=(64, 64), lr=2e-3, batch_size=128, tau=0.02, gamma=0.95, initial_alpha=1.0,
              learning_starts=200)
history = train("sac", "Pendulum-v1", seeds=[0, 1, 2], steps=4000, config=config,
                evaluate_every=500, eval_episodes=10, log_every=100)
final = mean_interval(history.table("eval_return")[1][:, -1])
print("mean over three seeds better than -250:", final.mean > -250)
result = f"Three seeds: {final.mean:.0f}, 95 % interval {final.low:.0f} to {final.high:.0f}"
training.learning_curve(history, result)

# %% tags=["experiment"] slideshow={"slide_type": "subslide"} rows=["S0-40:E"] alt="Left: the temperature alpha falls from 1 and levels off. Right: the policy's entropy falls until it meets its target of minus one nat, the dotted line."
training.temperature(history, target_entropy=-1.0)

# %% tags=["figure", "hide-input", "experiment"] slideshow={"slide_type": "subslide"} rows=["S0-40:E"] alt="Return of SAC on HalfCheetah-v5 over environment steps, mean of three seeds with a 95 percent interval and the three single runs in grey; it rises from about zero to 1,840; one run ends at 2,640, two below 1,600."
# Pendulum takes seconds, a running robot an hour: this run was made before the lecture, with the
# command printed below. Versions and seeds are in config.json, beside the numbers.
folder = training.stored("sac-HalfCheetah-v5")
command = json.loads((folder / "config.json").read_text())["command"]
print(command)
training.learning_curve(History.from_csv(folder / "rows.csv"), "One of three seeds finds its feet in 40,000 steps")

# %% tags=["figure", "hide-input"] slideshow={"slide_type": "subslide"} alt="Short animation: the trained HalfCheetah runs to the right."
Image(filename=folder / "animation.gif")

# %% [markdown] slideshow={"slide_type": "subslide"}
# The animation shows the best of the three seeds. It runs on its feet, for a return of 2,640; the other two slide on their backs, for 1,554 and 1,327: a
# local optimum that traps short runs on this task. Hence the wide interval. One seed alone would have told either story.
#
# **Take away:** four lines of SAC are this lecture. What three seeds can and cannot show is the subject of lecture 14.

# %% [markdown] slideshow={"slide_type": "slide"} notes="4 minutes. Ask why SAC does not get stuck at u = 5 although the path is nearly closed; the last column is the answer."
# ## 7 · When does this fail?
#
# A squashed policy that saturates nearly stops learning: at $u = 5$ the action is 0.9999, and the pathwise gradient must pass through the slope of tanh.
# *Predict* that slope before you run the cell. Other limits: jumps in $Q$ (section 2); discrete actions, where there is no path to differentiate; policies with
# several modes, which one squashed Gaussian cannot represent.

# %% slideshow={"slide_type": "fragment"} rows=["S0-40:N"]
for value in (0.0, 1.0, 3.0, 5.0, 8.0):
    raw = torch.tensor([value], dtype=torch.float64, requires_grad=True)
    outputs = (torch.tanh(raw), tanh_log_det(raw))
    slope, pull = (torch.autograd.grad(out, raw)[0].item() for out in outputs)
    print(f"u = {value:.0f}  a = {np.tanh(value):.5f}  da/du = {slope:.1e}  dlog(1 - a^2)/du {pull:+.2f}")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What the sources say, and what holds
#
# A factor of 5,000 at $u = 5$; but the entropy term still pulls back (last column), which is one reason why SAC recovers where a squashed deterministic
# actor gets stuck. Three boxes stand above; the rest is here, checked in the cell below.
#
# | the off-policy slides say | what holds |
# |---|---|
# | mean and variance are the "sufficient statistics" of the policy | they are *parameters*; the sufficient statistics of a sample are its sum and its sum of squares |
# | bijective maps of noise "can model arbitrary distributions" | only laws with a positive density on an open set: no atoms, no discrete actions, those at best approximately |
# | the map must be bijective | for the density, yes; the pathwise gradient needs no inverse |

# %% tags=["erratum", "derivation"] slideshow={"slide_type": "subslide"} rows=["S0-23:N"]
for data in ([0.0, 3.0, 3.0], [1.0, 1.0, 4.0]):                  # same sum, same sum of squares
    likelihood = torch.distributions.Normal(0.7, 1.3).log_prob(torch.tensor(data)).sum()
    print(f"{data}: log-likelihood {likelihood:.3f}")
edge = evaluate(P(u, N(0, 50), tanh(u) >= 0.999), DensityWorld())
print(f"sigma = 50: P(a > 0.999) = {edge:.3f}: close to a coin flip between -1 and 1, and never an atom")
square = (
    Derivation("No inverse needed: the action u²", "13.3", D(mu, E(u, N(mu, sigma), Q(u**2))),
               source=f"{slide} asks for a bijection")
    .step(E(eps, N(0, 1), 2 * (mu + sigma * eps) * partial(Q)((mu + sigma * eps) ** 2)),
          because="the path is smooth; that u² forgets a sign is no obstacle")
)
square

# %% tags=["summary"] slideshow={"slide_type": "slide"}
summary("Five formulas", epg, pathwise, density, stable, entropy)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Five questions
#
# <details><summary>1. Why may a stochastic policy gradient point towards more noise?</summary>Because it climbs Q̂ over (μ, σ), and where Q curves upwards (a valley), E[Q] grows with σ.</details>
#
# <details><summary>2. Which of the two estimators works for a step in Q, and why does the other return exactly zero?</summary>The score function: it differentiates the density. The pathwise estimator averages the slope of Q, which is zero wherever it is sampled.</details>
#
# <details><summary>3. Your log-density integrates to 0.77 at μ = 0, σ = 1. What is your first suspicion?</summary>tanh was applied twice: 1 − tanh²(a) stands where 1 − a² belongs.</details>
#
# <details><summary>4. Why does the policy hand over u and not a?</summary>In float32 every u above about 9 gives a = 1 exactly; the log-density cannot be recovered from that.</details>
#
# <details><summary>5. The target entropy is above the largest entropy of a squashed Gaussian. What happens to α?</summary>The constraint cannot be met, so α grows without bound and the reward stops mattering. In one dimension on (−1, 1) no target above 0.68 nats can be met.</details>

# %% [markdown] slideshow={"slide_type": "skip"}
# ## Where to go
#
# [Exercises 13.1, 13.2 and 13.6](../exercises/13a_reparametrisation_and_squashing.ipynb) · back to the [course map](00_orientation.ipynb) · next: 13b, SAC and
# soft Q-learning (not written yet).
#
# **References.** Williams (1992), *Simple statistical gradient-following algorithms*, Machine Learning 8 (score function). Kingma and Welling (2014), *Auto-encoding
# variational Bayes*, ICLR, section 2.4 (reparametrisation). Mohamed et al. (2020), *Monte Carlo gradient estimation in machine learning*, JMLR 21. Silver et al. (2014), *Deterministic policy gradient algorithms*, ICML. Ciosek and Whiteson (2018), *Expected
# policy gradients*, AAAI. Haarnoja et al. (2018a), *Soft actor-critic*, ICML; (2018b), *Soft actor-critic algorithms and applications*, section 5 and
# appendix C (temperature and squashing).
