# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
#   rlcourse:
#     lecture: 09b
#     title: Maximising over real actions, and DDPG
#     minutes_read: 60
#     minutes_work: 90
#     status: draft
#     objectives: [LO7.1]
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # 09b · Maximising over real actions, and DDPG
#
# With four actions Q-learning looks at four numbers. A torque is real, and seven of them are an arm. **How do you take the maximum of a network over a
# continuum, and notice when you missed it?**

# %% tags=["imports"] slideshow={"slide_type": "skip"}
import numpy as np
import torch
from IPython.display import display
from sympy import Rational
from torch.optim import Adam

from rlcourse import widgets
from rlcourse.agents import ddpg
from rlcourse.equations import continuous_actions, value_learning
from rlcourse.figures import lecture_09b as fig
from rlcourse.figures import style, training
from rlcourse.notation import ActionWorld, Assumption, D, DensityWorld, Derivation, LinearQuadratic
from rlcourse.notation import StepFails, Sum, actor, dynamics, erratum, exp, function, log, lq_constant, partial
from rlcourse.notation import lq_worlds, oo, positive, real, reward, riccati_gain, state, summary
from rlcourse.notation import terminal, time
from rlcourse.stats import History, final_values, mean_interval
from rlcourse.widgets import lecture_09b as live

style.apply()
s, s1, t = state("s"), state("s'"), time("t")
r, P, d = reward("r"), dynamics("P"), terminal("d")
theta, gamma, a = real("theta"), real("gamma", 0.3, 0.95), real("a")
x, m, k, F, p = real("s"), real("m"), real("k", 0.2, 0.9), real("F"), real("p")
mu = actor("mu", theta)                                    # one real action per state
Q, Vnext = mu.Q(s, a, gamma), mu.V(s1, gamma)
A_, B_, q_, c_ = (lq_constant(name) for name in "ABqc")     # the linear-quadratic world of 09a
line = actor("mu", k)

# %% tags=["figure", "hide-input"] rows=["S3-93:N", "S3-230:N"] slideshow={"slide_type": "fragment"} alt="Two panels. Left: a critic Q over one action with a wide hill of height 1 and a narrow one of height 1.3, and below it the actions where 400 searches end. 48 uniform draws find the higher hill in 90 percent, gradient ascent in 24, the cross-entropy method in 2; a fitted parabola has one top, on the wide hill. Right: share of the gain missed over 1 to 32 dimensions, for a quadratic critic and 480 evaluations. Uniform draws miss almost nothing in one dimension and 95 percent in 32; the cross-entropy method 11 percent."
fig.maximisers()

# %% [markdown] slideshow={"slide_type": "slide"} rows=["S0-13:LO"]
# After this lecture you can
#
# - **write** the two losses of DDPG with their two optimisers (LO7.1; exercise 09.2)
# - **compare** ways to maximise over continuous actions: draws, gradient, cross-entropy, a parabola, a learned actor (exercises 09.3 and 09.6)
# - **say** what a target network remembers, and **mask** the end of an episode (exercise 09.5)
# - **read** an ablation: which of DDPG's tricks carry the weight on a given task, and how sure that is (exercise 09.4)
#
# 60 minutes to read, 90 to work on [the exercises](../exercises/09_deterministic_policy_gradients.ipynb). You need the theorem of [09a](09a_deterministic_policy_gradients.ipynb)
# and Q-learning with networks (lecture 05; the boxes below say what of it).

# %% [markdown] slideshow={"slide_type": "slide"} rows=["S3-94:T"] notes="8 minutes. Demo: candidates to 128, elites 4: nearly all on the narrow hill. Then elites 32 of 32: the search forgets to search. Elites 1: frozen after one round."
# ## 1 · Search
#
# A Q-function of real actions has no list to look through. **What could one try?** Uniform draws, and keep the best [09.9]; gradient ascent in the action
# [09.10], that is SGD on $a$ with the network held still; the cross-entropy method [09.11], which draws, keeps an elite, refits a Gaussian to it, and draws
# again. CMA-ES refits the correlations as well; a rule of thumb in the sources is that such searches hold up to 40 dimensions.
#
# *Predict:* in the picture above CEM found the higher hill in 2 of 100 searches. Will more candidates in each round help, or fewer, or another start?

# %% tags=["widget"] slideshow={"slide_type": "subslide"} rows=["S3-93:N"]
live.cem_search()

# %% tags=["code"] slideshow={"slide_type": "subslide"} rows=["S3-93:I"]
widgets.source(continuous_actions.cross_entropy_method, docstring=False)

# %% tags=["code"] slideshow={"slide_type": "subslide"} rows=["S3-230:I"]
widgets.source(continuous_actions.gradient_ascent, docstring=False)

# %% tags=["derivation"] rows=["S3-95:D"] slideshow={"slide_type": "subslide"}
v_, mu_, P_, eta = real("V"), real("mu"), real("P", 0.3, 1.5), real("eta", 0.05, 0.5)
naf = function("Q", a)

ascent = (
    Derivation("One gradient step towards the top of a parabola", "09.10", a + eta * D(a, naf(a)) - mu_,
               source="gradient ascent on a quadratic; Gu et al. 2016, section 4, for its shape")
    .define(naf(a), v_ - P_ * (a - mu_) ** 2 / 2)
    .step(a + eta * P_ * (mu_ - a) - mu_, because="the slope of a parabola: uphill is towards μ")
    .step((1 - eta * P_) * (a - mu_), because="collect: the distance shrinks by 1 − ηP")
)
ascent

# %% [markdown] slideshow={"slide_type": "subslide"}
# So a step size $\eta$ above $2/P$ runs away. The one used in the picture is safe on the narrow hill and slow on the wide one, where 48 steps often end half-way
# up. And gradient ascent climbs the hill it starts on: 24 of 100 started on the higher one.
#
# **Now** [exercise 09.6](../exercises/09_deterministic_policy_gradients.ipynb) (20 minutes): three maximisers, and a critic each of them gets wrong.
#
# **Take away:** every search has a blind spot, and costs as many evaluations of $Q$ as it has candidates, at each step and for each sample of a batch.

# %% [markdown] slideshow={"slide_type": "slide"} notes="10 minutes. The slides say NAF loses reparametrizational power; they mean representational. Draw the two hills."
# ## 2 · A critic that is easy to maximise
#
# **Could the critic be of a shape whose maximum one can read off?** NAF makes it a downward parabola in the action: the network puts out a value $V(s)$, a
# best action $\mu(s)$ and a curvature $P(s)$.
#
# *Predict:* which single sign, if it were wrong, would turn the best action into the worst? And which critics can such a shape not represent?

# %% tags=["derivation"] rows=["S3-95:D"] slideshow={"slide_type": "subslide"}
curved = Assumption("P is positive",
                    source="Gu et al. 2016, section 4: P = LLᵀ with a positive diagonal of L")

naf_max = (
    Derivation("One action: the largest value of Q is V, attained at μ", "09.6", naf(a),
               source="Guberina's notes, 7.11-7.13; Gu et al. 2016, section 4")
    .define(naf(a), v_ - P_ * (a - mu_) ** 2 / 2)
    .assuming(curved)
    .step(naf(mu_), because="a square times P/2 is taken away, and at μ it is 0",
          relation="<=", tight=DensityWorld(a=0.7, mu=0.7))
    .fails_without(curved, DensityWorld(P=-1, a=1, mu=0))
    .step(v_, because="put a = μ into the definition")
)
naf_max

# %% tags=["derivation"] rows=["S3-95:D"] slideshow={"slide_type": "subslide"}
e1, e2 = real("e_1"), real("e_2")                                       # a − μ by components
l11, l21, l22 = positive("l_11"), real("l_21"), positive("l_22")
P11, P12, P22 = real("P_11"), real("P_12"), real("P_22")

naf_2d = (
    Derivation("Two actions, with P from its Cholesky factor", "09.6",
               v_ - (P11 * e1**2 + 2 * P12 * e1 * e2 + P22 * e2**2) / 2,
               source="Gu et al. 2016, section 4: P = LLᵀ")
    .define(P11, l11**2)
    .define(P12, l11 * l21)
    .define(P22, l21**2 + l22**2)
    .step(v_ - ((l11 * e1 + l21 * e2) ** 2 + (l22 * e2) ** 2) / 2,
          because="e is a − μ; complete the squares: |Lᵀe|²")
    .step(v_, because="squares are never negative, and both are 0 at a = μ only",
          relation="<=", tight=DensityWorld(e_1=0, e_2=0))
)
naf_2d

# %% tags=["code"] slideshow={"slide_type": "subslide"} rows=["S3-95:I"]
widgets.source(continuous_actions.naf_q, docstring=False)

# %% [markdown] slideshow={"slide_type": "subslide"}
# Actions have limits. Common code clips the best action into the box. **Is the clipped action the best one in the box?**
#
# *Predict:* $\mu$ lies outside in the first coordinate alone, so $a_1$ sits at its limit. Should $a_2$ stay where it was?

# %% tags=["derivation"] rows=["S3-95:D"] slideshow={"slide_type": "subslide"}
Q2, edge = function("Q", e1, e2), function("e", e1)

in_a_box = (
    Derivation("On an edge of the box the best action moves sideways", "09.6", Q2(e1, e2),
               source="completing the square in e₂")
    .define(Q2(e1, e2), v_ - (P11 * e1**2 + 2 * P12 * e1 * e2 + P22 * e2**2) / 2)
    .define(P22, l22**2)
    .define(edge(e1), -P12 * e1 / P22)
    .step(Q2(e1, edge(e1)) - P22 * (e2 - edge(e1)) ** 2 / 2,
          because="for a given e₁, a parabola in e₂ with its top at −P₁₂e₁/P₂₂")
    .step(Q2(e1, edge(e1)), because="a square is taken away",
          relation="<=", tight=DensityWorld(e_1=-1, e_2=0, P_12=0))
    .step(v_ - (P11 - P12**2 / P22) * e1**2 / 2,
          because="put the top in; with e₂ = 0 there would be P₁₁ in the bracket")
)
in_a_box

# %% tags=["derivation"] rows=["S3-95:D"] slideshow={"slide_type": "subslide"}
straight = Assumption("P is diagonal",
                      source="Gu et al. 2016, section 4, have a full P and no limits on actions")

when_clipping = (
    Derivation("When clipping is right", "09.6", Q2(e1, e2), source="the last derivation, at P₁₂ = 0",
               worlds=[DensityWorld(index, P_12=0) for index in range(12)])
    .define(Q2(e1, e2), v_ - (P11 * e1**2 + 2 * P12 * e1 * e2 + P22 * e2**2) / 2)
    .define(P22, l22**2)
    .assuming(straight)
    .step(Q2(e1, 0),
          because="e₁ is at its limit, and e₂ = 0 keeps a₂ at μ₂: the clipped action", relation="<=",
          tight=DensityWorld(e_1=-1, e_2=0, P_12=0))
    .fails_without(straight, DensityWorld(V=0, e_1=-1, e_2=0.9, P_11=1, P_12=0.9, l_22=1))
    .step(v_ - P11 * e1**2 / 2, because="without e₂ one square is left")
)
when_clipping

# %% rows=["S3-95:N"] slideshow={"slide_type": "subslide"}
curvature, peak = np.array([[1.0, 0.9], [0.9, 1.0]]), np.array([2.0, 0.0])
grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 401)] * 2, indexing="ij"), -1) - peak
value = -np.einsum("...i,ij,...j->...", grid, curvature, grid) / 2
best = np.unravel_index(value.argmax(), value.shape)
clip = np.clip(peak, -1, 1) - peak
print(f"clip(mu) = {clip + peak}: Q - V = {-clip @ curvature @ clip / 2:.3f}")
print(f"best in the box = {(grid[best] + peak).round(2)}: Q - V = {value.max():.3f}")

# %% [markdown] slideshow={"slide_type": "subslide"}
# So the clipped action is the best one only where $P$ is diagonal. (In `rlcourse.agents.naf.NAF` the top $\mu$ passes through tanh and is never outside.)
#
# One place where the shape of NAF is no restriction: the linear-quadratic world of 09a, at the best gain. *Predict:* what are $\mu(s)$ and $P$ there?

# %% tags=["derivation"] rows=["S3-95:D"] slideshow={"slide_type": "subslide"}
def at_riccati(world):
    """The same system with its best gain for k."""
    return LinearQuadratic(world.index, k=riccati_gain(*(world.value(z) for z in (A_, B_, q_, c_, gamma))))

best_systems = [at_riccati(world) for world in lq_worlds(8)]

naf_lq = (
    Derivation("At the best gain, the critic of a linear system has this shape", "09.6",
               line.Q(x, a, gamma),
               source="Bradtke, Ydstie and Barto 1994, section 2", worlds=best_systems)
    .define(F, A_ - B_ * k)
    .define(p, (q_ + c_ * k**2) / (1 - gamma * F**2))
    .step(-(q_ * x**2 + c_ * a**2) - gamma * p * (A_ * x + B_ * a) ** 2,
          because="Bellman, with V as the Lyapunov equation gives it")
    .step(line.V(x, gamma) - (c_ + gamma * p * B_**2) * (a + k * x) ** 2,
          because="a parabola in a; at the Riccati gain its top is at −ks")
    .step(line.V(x, gamma),
          because="the square is never negative: no action beats the policy's own", relation="<=",
          tight=LinearQuadratic(0, k=0.5, s=1, a=-0.5))
)
naf_lq

# %% [markdown] slideshow={"slide_type": "subslide"} rows=["S3-95:X"]
# **Now** [exercise 09.3](../exercises/09_deterministic_policy_gradients.ipynb) (10 minutes): this critic, for batches and several dimensions.
#
# **Take away:** choose the shape and the maximum is free; what the shape cannot hold, the two hills, is gone.

# %% [markdown] slideshow={"slide_type": "slide"} rows=["S0-06:X", "S2-34:T"] notes="10 minutes. Let everyone write the two lines on paper first. Misconception: detach the critic in the actor loss; that cuts the path to the actor as well."
# ## 3 · Learn the maximiser: two losses, two optimisers
#
# DDPG learns a second network whose output is the best action, or near it. **Which loss moves which parameters?** A lecture slide asks you to write both in
# PyTorch, given a batch, an actor and a critic.
#
# *Predict:* the actor's loss is minus $Q$ at the actor's action. What does one optimiser make of the *sum* of both losses? Below, a bandit with the reward
# $-(a - 0.5)^2$: both versions, 1,500 steps.
#
# Yours to write, from a batch and four sets of parameters: [exercise 09.2](../exercises/09_deterministic_policy_gradients.ipynb) (25 minutes). It answers the
# question in full; what follows is the reason for the word *two*.

# %% slideshow={"slide_type": "subslide"}
def bandit(joint, steps=1500):
    w, theta_ = torch.zeros(3, requires_grad=True), torch.tensor(-0.5, requires_grad=True)
    q, noise = (lambda a: w[0] + w[1] * a + w[2] * a**2), torch.Generator().manual_seed(0)
    critic, actor_, both = Adam([w], 0.02), Adam([theta_], 0.02), Adam([w, theta_], 0.02)
    for _ in range(steps):
        tried = theta_.detach() + 0.3 * torch.randn(32, generator=noise)
        loss_q = (q(tried) + (tried - 0.5) ** 2).square().mean()
        for optimiser in [both] if joint else [critic, actor_]:
            loss_pi = -q(theta_)                                 # its slope reaches w, too
            optimiser.zero_grad()
            {critic: loss_q, actor_: loss_pi, both: loss_q + loss_pi}[optimiser].backward()
            optimiser.step()                                     # moves its own parameters
    return f"action {theta_.item():.2f}, worth 0.00, promised {q(theta_).item():+.2f}"

print("two optimisers: ", bandit(joint=False))
print("one for the sum:", bandit(joint=True))

# %% [markdown] slideshow={"slide_type": "subslide"}
# One optimiser for the sum bribes the critic: it may raise $Q$ where the actor stands, and does. With two, the backward pass of the actor's loss still fills
# the critic's `.grad`; but only the actor's optimiser steps, and the critic's is zeroed before its own turn. Detaching $Q$ instead would cut the only path
# from the loss to the actor.
#
# In what follows the package's whole update; `descend` takes one optimiser and gives a gradient to its parameters alone. *Find* the two losses, the
# semi-gradient, and the four networks.

# %% tags=["code"] slideshow={"slide_type": "subslide"} rows=["S0-05:I", "S0-07:I", "S2-37:I", "S2-38:I", "S2-41:I", "S3-97:I"]
widgets.source(ddpg.DDPG.update)

# %% [markdown] slideshow={"slide_type": "subslide"}
# Line by line it is the slides' listing and Spinning Up's algorithm: a target without gradient, the critic's squared error, the actor's $-Q$, two Polyak steps.
# Two differences: `torch.no_grad` in the place of `detach`, and no factor `batch['discounts']`, the $\gamma^t$ of 09a.
#
# **Box: replay** (lecture 05). Transitions are stored and sampled uniformly: each is used many times, and neighbours in a batch are unrelated.
# The price: they come from older actors. The critic does not mind, since it asks for the value of $(s, a)$ whoever chose $a$; the actor's gradient does (09a,
# section 2).
#
# How good must a learned maximiser be? *Predict:* an actor that is off by 0.1 loses how much more than one that is off by 0.01?

# %% tags=["derivation"] rows=["S3-96:D"] slideshow={"slide_type": "subslide"}
delta = real("delta")

even = (
    Derivation("Left or right of the top", "09.6", naf(mu_ + delta),
               source="a parabola is even about its top")
    .define(naf(a), v_ - P_ * (a - mu_) ** 2 / 2)
    .step(naf(mu_ - delta), because="the square does not see the sign of δ")
)
learned_max = (
    Derivation("A learned maximiser", "09.6", naf(mu_ + delta),
               source="Guberina's notes, 7.14; Lillicrap et al. 2016, section 3")
    .define(naf(a), v_ - P_ * (a - mu_) ** 2 / 2)
    .step(v_ - P_ * delta**2 / 2, because="the actor sends μ + δ: what it loses grows like δ²")
    .also_equals(naf(mu_ - delta), by=even)
    .step(v_, because="so the target stays below the largest value of this critic",
          relation="<=", tight=DensityWorld(delta=0))
)
learned_max

# %% [markdown] slideshow={"slide_type": "subslide"} rows=["S0-07:X"]
# A hundred times: near the top the loss is of second order, and it is on the safe side for this critic. (For a critic with errors it is not: lecture 10.)
#
# **Now** [exercise 09.2](../exercises/09_deterministic_policy_gradients.ipynb), both losses with their gradients, checked against a loop.
#
# **Take away:** two losses, two optimisers; the gradient passes *through* the critic and moves the actor.

# %% [markdown] slideshow={"slide_type": "slide"} notes="7 minutes. Demo: tau 0.005 the two ways. The second is a target that does not lag at all."
# ## 4 · Targets that lag behind
#
# **Box: target networks** (lecture 05). A critic that bootstraps from itself chases its own errors. So the target is computed by slow copies, of the critic
# and, in DDPG, of the actor: `rlcourse.nets.polyak` moves them a share $\tau$ of the way after every update; DQN copied everything now and then.
#
# **What is the copy made of, and how old is it?** *Predict:* with $\tau = 0.005$, after how many updates has the copy gone half of the way to a network that
# stands still: 100, 140, or 200? Then give the share to the old copy and look again.

# %% tags=["widget"] slideshow={"slide_type": "subslide"} rows=["S2-42:W", "S2-42:N"]
live.polyak_lag()

# %% tags=["derivation"] rows=["S2-42:D"] slideshow={"slide_type": "subslide"}
tau, start, i = real("tau", 0.05, 0.6), real("phi_0"), time("k")
online, target = function("theta", i, subscripts=1), function("phi", t, subscripts=1)
mixed, aged = Sum(i, 1, t, (1 - tau) ** (t - i) * online(i)), (1 - tau) ** (t + 1 - i) * online(i)

polyak_average = (
    Derivation("If it holds after t updates, it holds after one more", "09.7",
               (1 - tau) * target(t) + tau * online(t + 1),
               source="Lillicrap et al. 2016, section 3; CS4400 lecture 7, 7.1 (DDPG)")
    .define(target(t), (1 - tau) ** t * start + tau * mixed)
    .step((1 - tau) ** (t + 1) * start + tau * Sum(i, 1, t, aged) + tau * online(t + 1),
          because="one more factor 1 − τ for all that is old")
    .step((1 - tau) ** (t + 1) * start + tau * Sum(i, 1, t + 1, aged),
          because="the new one is the next term of the sum")
    .step(target(t + 1), because="the formula with t + 1 in the place of t")
)
polyak_average

# %% tags=["derivation"] rows=["S2-42:D"] slideshow={"slide_type": "subslide"}
weight = tau * (1 - tau) ** i

from_one = (
    Derivation("The newest has age 0", "09.7", Sum(i, 1, oo, weight * i),
               source="mean of the geometric law")
    .step(Sum(i, 0, oo, weight * i), because="the term k = 0 adds nothing")
)
age = (
    Derivation("Mean age of what the target remembers", "09.7", Sum(i, 0, oo, weight * i),
               source="mean of the geometric law")
    .step(Sum(i, 0, oo, (1 - tau) ** (i + 1)), because="a mean age is the sum over k of P(older than k)")
    .also_equals(Sum(i, 1, oo, weight * i), by=from_one)
    .step((1 - tau) * Sum(i, 0, oo, (1 - tau) ** i), because="take one factor out")
    .step((1 - tau) / tau, because="the geometric series of 09a, with 1 − τ for γ")
)
age

# %% tags=["derivation"] rows=["S2-42:D"] slideshow={"slide_type": "subslide"}
kept_share, half = real("kappa"), real("h")

half_life = (
    Derivation("After h updates half of an old value is left", "09.7", kept_share**half,
               source="exponential decay")
    .define(kept_share, 1 - tau)
    .define(half, log(2) / -log(1 - tau))
    .step(exp(half * log(kept_share)), because="a power is the exponential of a product")
    .step(Rational(1, 2), because="h is chosen so that the exponent is −log 2")
)
half_life

# %% tags=["derivation"] rows=["S2-42:N"] slideshow={"slide_type": "subslide"}
rule = (
    Derivation("Rule of thumb: h is about 0.69/τ", "09.7", tau * half,
               source="log(1 − τ) to first order")
    .define(half, log(2) / -log(1 - tau))
    .tends_to(log(2), variable=tau, to=0, rate=1, because="−log(1 − τ) is about τ, when τ is small")
)
rule

# %% tags=["erratum"] rows=["S2-42:N"] slideshow={"slide_type": "subslide"}
erratum(
    "Which network has the share τ", "what is left of the old target after 100 updates with τ = 0.005",
    printed=tau**100, correct=(1 - tau) ** 100, truth=exp(100 * log(1 - tau)),
    worlds=[DensityWorld(tau=0.005), DensityWorld(tau=0.05)],
    why="Guberina's notes (7.1) give τ = 0.999 to the OLD copy, Spinning Up calls that share ρ; Wang's "
        "slides give τ to the NEW network, as we do. Each is right in its own formula.",
)

# %% [markdown] slideshow={"slide_type": "slide"} rows=["S0-07:X"] notes="5 minutes. Bug to show: a critic that keeps its last dimension, (B, 1), makes (B, B) targets without an error."
# ## 5 · What the critic is asked to become
#
# The target bootstraps from the next state, with the target actor's action **there**. **And if there is no next state?** A network has some output for the
# terminal state, and nothing ever corrects it.
#
# *Predict:* the last reward is 1, the discount 0.99, and the critic happens to say 5 for the terminal state. What is the target, with a mask and without?
#
# [Exercise 09.5](../exercises/09_deterministic_policy_gradients.ipynb) (10 minutes) is this target, for three kinds of flags and one shape that goes wrong in silence.

# %% tags=["derivation"] rows=["S2-36:D", "S2-39:D"] slideshow={"slide_type": "subslide"}
wild, Vhat = function("e", s), function("Vhat", s)
masked = r(s, a) + gamma * Sum(s1, P(s1, s, a) * ((1 - d(s1)) * Vhat(s1)))
mask = Assumption("terminal states are masked",
                  source="DDPG slides, algorithm 1, step 12 (from Spinning Up): 1 − d")

target_mask = (
    Derivation("The target that DDPG regresses on", "09.8", Q,
               source="slides from A3C to TD3: DDPG, value network and algorithm 1")
    .define(Vhat(s), mu.V(s, gamma) + d(s) * wild(s))
    .assuming(mask)
    .step(r(s, a) + gamma * Sum(s1, P(s1, s, a) * mu.Q(s1, mu(s1), gamma)),
          because="Bellman; the largest value is replaced by that of the actor's action at s′")
    .fails_without("the action belongs to s′",
                   removed=r(s, a) + gamma * Sum(s1, P(s1, s, a) * mu.Q(s1, mu(s), gamma)))
    .step(masked,
          because="V̂ is right before the end, and anything at all after it, where (1 − d) removes it")
    .fails_without(mask, removed=r(s, a) + gamma * Sum(s1, P(s1, s, a) * Vhat(s1)))
)
target_mask

# %% tags=["erratum"] rows=["S0-07:N"] slideshow={"slide_type": "subslide"}
guess = Vnext + d(s1) * wild(s1)
erratum(
    "Nothing comes after the end", "the value of an action whose next state may be terminal",
    printed=r(s, a) + gamma * Sum(s1, P(s1, s, a) * guess),
    correct=r(s, a) + gamma * Sum(s1, P(s1, s, a) * ((1 - d(s1)) * guess)), truth=Q,
    worlds=[ActionWorld(2, s=0, e=np.array([0, 0, 5.0])), ActionWorld(2, s=1, e=np.array([0, 0, -5.0]))],
    why="The losses of the off-policy slides (DDPG, TD3) and the TD3 pseudo-code have no mask; the code "
        "beside them has. As printed they hold if the critic is 0 at the end; here it errs there, by e.",
)

# %% tags=["derivation"] rows=["S2-36:D"] slideshow={"slide_type": "subslide"}
reward_now, done, q_next = real("r"), real("d", 0, 1), real("q'")

one_sample = (
    Derivation("One transition, as the code has it", "09.8",
               reward_now + gamma * q_next - gamma * done * q_next,
               source="slides from A3C to TD3: DDPG, algorithm 1, step 12",
               worlds=[DensityWorld(index, d=index % 2) for index in range(12)])
    .step(reward_now + gamma * (1 - done) * q_next,
          because="what was counted after the end is taken out again")
    .implements(value_learning.td_target,
                lambda world: tuple(map(world.argument, (reward_now, done, q_next, gamma))))
)
display(one_sample)
rewards, terminated, critic_next = torch.tensor([1.0]), torch.tensor([True]), torch.tensor([5.0])
masked = value_learning.td_target(rewards, terminated, critic_next, 0.99)
print(f"with the mask {masked.item():.2f}, without {(rewards + 0.99 * critic_next).item():.2f}")

# %% [markdown] slideshow={"slide_type": "slide"} notes="12 minutes. Collect votes for the three before the figure. Most will say noise."
# ## 6 · Which trick carries the weight?
#
# The slide on DDPG lists five: replay, target networks, soft updates, batch normalisation of the inputs, noise on the actions. **Which of them does a given task
# need?** Ours is the pendulum, 20 seeds for each version, 6,000 steps, one setting of all else, chosen beforehand and not tuned.
#
# Noise and clip first: what the agent executes is $\operatorname{clip}(\mu(s) + \sigma\epsilon)$, in its box. *Predict* how many actions end at the limits for
# $\sigma = 0.1$, and for 1.
#
# *Then predict the ablation:* which one, taken away, costs most: targets (with $\tau = 1$), normalisation, or noise?

# %% slideshow={"slide_type": "subslide"} rows=["S2-40:N", "S2-43:I"]
obs = torch.zeros(1, 10_000, 3)
for scale in (0.1, 1.0):
    agent = ddpg.DDPG(ddpg.DDPGConfig(exploration_noise=scale), obs_dim=3, action_dim=1, seeds=[0])
    executed, best = agent.act(obs, agent.draw_noise(10_000, 1)), agent.act(obs)
    print(f"sigma = {scale}: spread of what is executed {(executed - best).std().item():.2f}, "
          f"at the limits {100 * (executed.abs() == 1).double().mean().item():.0f} %")

# %% tags=["figure", "hide-input", "experiment"] slideshow={"slide_type": "subslide"} rows=["S0-05:E"] alt="Two panels. Left: mean return over 6,000 steps for five versions, 20 seeds each, with 95 percent intervals. The three with target networks rise from -1,290 to about -165; the two without end at -359 and -295. Right: the last return of every seed. Those with targets lie close together, most above -250; without targets they scatter down to -1,171."
# Trained before the lecture by the commands in rlcourse/results/README.md; 20 seeds each.
runs = {"all of them": "ddpg_bn-Pendulum-v1", "no normalisation": "ddpg-Pendulum-v1",
        "no noise": "ddpg_bn-Pendulum-v1-no-noise", "no targets": "ddpg_bn-Pendulum-v1-no-targets",
        "neither targets nor norm.": "ddpg-Pendulum-v1-no-targets"}
arms = {name: History.from_csv(training.stored(run) / "rows.csv") for name, run in runs.items()}
fig.comparison(arms, "Targets carry the weight here")

# %% tags=["experiment"] slideshow={"slide_type": "subslide"} rows=["S0-05:E"]
last = {name: final_values(history) for name, history in arms.items()}
print("what is lost by leaving it out: mean difference of the last returns, same seeds, 95 % interval")
for name in list(last)[1:]:
    lost = mean_interval(last["all of them"] - last[name])
    print(f"{name:26s} {lost.mean:5.0f}   from {lost.low:5.0f} to {lost.high:5.0f}")

# %% tags=["figure", "hide-input", "experiment"] slideshow={"slide_type": "subslide"} rows=["S0-05:E"] alt="Two panels, 20 seeds each. Left: mean return over 6,000 steps; DDPG rises to -174 and CEM-Q to -200, with overlapping intervals, NAF to -1,088. Right: the last return of every seed; those of NAF scatter from -1,547 upwards."
others = {"DDPG, learned actor": "ddpg-Pendulum-v1", "CEM-Q, search": "cem_q-Pendulum-v1", "NAF, parabola": "naf-Pendulum-v1"}
fig.comparison({name: History.from_csv(training.stored(run) / "rows.csv") for name, run in others.items()},
               "Actor and search agree; the parabola is late")

# %% [markdown] slideshow={"slide_type": "subslide"}
# Targets carry the weight on this task: without them 195 points are lost on average, from 74 to 316. For normalisation and noise no effect was shown: the
# pendulum's observations differ in size by a factor of 8 only, and its first 500 actions are random anyway. The paper found targets and normalisation
# necessary to do well on all of its tasks, targets above all (Lillicrap et al. 2016, section 4). *Soft* updates and replay were not taken away here.
#
# A learned actor and a search by CEM ended alike; the search took about four times as long. NAF is far behind after 6,000 steps, at DDPG's settings; nothing
# was tuned for it. Of its 20 seeds two end above -300. Its update agrees with one
# written by hand (`tests/test_maximising_agents.py`), so this is the shape or the settings; which, was not measured.
#
# **Now** [exercise 09.4](../exercises/09_deterministic_policy_gradients.ipynb) (25 minutes): DDPG on a linear-quadratic task whose best gain you know.
#
# **Take away:** a trick is worth what its removal costs, on this task, with these seeds, and an interval.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What the sources say, and what holds
#
# Two boxes stand above. A row with a tick is tried in the next cell, and refused with a counterexample.
#
# | printed | what holds | |
# |---|---|---|
# | target action at the state $s$, on the slides on DDPG | the action belongs to the next state | ✓ |
# | 7.5, option 3: the actor climbs a $Q$ with the actor's own parameters | the critic's parameters, held fixed | ✓ |
# | 7.5.1, step 3: the target uses "target networks" $Q_{\phi'}$ and $\mu_\theta$ | both with a prime: $\mu_{\theta'}$ | |
# | NAF "loses reparametrizational power" | *representational* power; and $P$ has to be positive definite (section 2) | |
# | the listing's `~terminals`, and `deepcopy` without import | `torch.logical_not`; `~` on bytes gives 255 | ✓ |

# %% tags=["erratum", "derivation"] slideshow={"slide_type": "subslide"}
actor_of, critic_of = function("mu", theta), function("Q", m, a)
tries = {
    "target action of s": (Q, r(s, a) + gamma * Sum(s1, P(s1, s, a) * mu.Q(s1, mu(s), gamma))),
    "a critic with the actor's θ": (D(theta, actor_of(theta)) * partial(critic_of, a)(m, actor_of(theta)),
                                    D(theta, critic_of(theta, actor_of(theta)))),
}
for name, (right, printed) in tries.items():
    try:
        Derivation(f"as printed, {name}", "09", right).step(printed, because="as printed")
    except StepFails as error:
        print(name, *(part for part in str(error).splitlines() if " line" in part[:12]), sep="\n")
ended = torch.tensor([0, 1], dtype=torch.uint8)
print("~ended, on bytes:", (~ended).tolist(), "  logical_not(ended):", torch.logical_not(ended).tolist())
print("rewards (3,) + critic (3, 1) gives", tuple((torch.zeros(3) + torch.zeros(3, 1)).shape))

# %% tags=["summary"] slideshow={"slide_type": "slide"}
summary("Five formulas", ascent, polyak_average, age, target_mask, one_sample)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Five questions
#
# <details><summary>1. Why does DDPG need two optimisers, although one backward pass reaches both networks?</summary>The actor's loss also has a slope in the critic's weights. Followed, it makes the critic promise more at the actor's action instead of moving the actor.</details>
#
# <details><summary>2. A critic has a wide hill and a higher, narrow one. Which of the maximisers find the narrow one?</summary>Draws, if there are enough of them for the dimension; gradient ascent from a start on it; CEM with many candidates and few elites. A parabola has one top only.</details>
#
# <details><summary>3. NAF's best action lies outside the box. Why is clipping it wrong in general?</summary>With correlated curvature, moving one coordinate to its limit shifts the best value of the others. Clipping is right where P is diagonal.</details>
#
# <details><summary>4. Your target network seems to lag not at all. What do you check first?</summary>Whose share τ is. With 0.995 for the new network the target is the online network.</details>
#
# <details><summary>5. In the ablation one version ended 10 points lower than the full one, its interval from −19 to 39. What may be said?</summary>That on this task, with 20 seeds, no effect was shown, and that one above about 40 points is unlikely. Not that the trick is useless elsewhere.</details>

# %% [markdown] slideshow={"slide_type": "skip"}
# ## Where to go
#
# [Exercises 09.1 to 09.6](../exercises/09_deterministic_policy_gradients.ipynb) · back to [09a](09a_deterministic_policy_gradients.ipynb) and the
# [course map](00_orientation.ipynb) · next: 10, TD3, what happens when the critic is wrong;
# [13a](13a_reparametrisation_and_squashing.ipynb), where the actor keeps its noise · 15, CEM as a planner.
#
# **References.** Lillicrap et al. (2016), *Continuous control with deep reinforcement learning*, ICLR (section 3, algorithm 1). Silver et al. (2014),
# *Deterministic policy gradient algorithms*, ICML. Gu et al. (2016), *Continuous deep Q-learning with model-based acceleration*, ICML (section 4, NAF).
# Kalashnikov et al. (2018), *QT-Opt*, CoRL (CEM as the maximiser). Rubinstein (1999), *The cross-entropy method for combinatorial and continuous
# optimization*, Methodology and Computing in Applied Probability 1. Bradtke, Ydstie and Barto (1994), *Adaptive linear quadratic control using policy
# iteration*, ACC. Fujimoto et al. (2018), ICML (noise without memory).
