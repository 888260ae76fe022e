# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
#   rlcourse:
#     lecture: "03"
#     title: Policy gradients and variance reduction
#     minutes_read: 60
#     minutes_work: 75
#     status: draft
#     objectives: [LO3.1, LO3.2, LO3.3]
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # 03 · Policy gradients and variance reduction
#
# 600 batches of ten episodes each vote on where a policy should move. The star is the truth; four in ten votes of the textbook method point *downhill*.
# **How do you climb the gradient of a return that only the world can compute, and keep its dice from drowning it?**

# %% tags=["imports"] slideshow={"slide_type": "skip"}
import json

import numpy as np
import torch

from rlcourse import widgets
from rlcourse.agents.reinforce import REINFORCE
from rlcourse.equations import policy_gradient as equations
from rlcourse.figures import lecture_03 as fig
from rlcourse.figures import style, training
from rlcourse.notation import Assumption, D, Derivation, E, FiniteWorld, Prod, Sum, action, dynamics
from rlcourse.notation import erratum, evaluate, function, grad, grad_at, horizon, initial, log, path
from rlcourse.notation import policy, positive, real, reward, state, summary, time
from rlcourse.stats import mean_interval
from rlcourse.train import train
from rlcourse.widgets import lecture_03 as live

style.apply()
NOTES, SLIDES = "Guberina's notes", "Rohban's slides"
SOURCE = {
    "log_p": f"{NOTES}, eq. 4.1 and 4.12; Williams 1992, section 5 (episodic REINFORCE)",
    "theta_free": "Williams 1992, section 5; Sutton and Barto 2018, section 13.2",
    "gradient": f"{NOTES}, eq. 4.7 to 4.14; {SLIDES}, Policy Gradient Intuition; Williams 1992, "
        "section 5; Sutton and Barto 2018, section 13.3",
    "lemma": "Williams 1992, section 4 (theorem 1)",
    "paid": f"{SLIDES}, Reducing Variance: Causality; {NOTES}, section 4.1; Peters and Schaal "
        "2008",
    "causality": f"{SLIDES}, Reducing Variance: Causality; {NOTES}, eq. 4.19 and 4.20; Peters and "
        "Schaal 2008, section 3.2",
    "critic": f"{SLIDES}, Improving Estimation of Reward to Go; {NOTES}, eq. 4.21; Sutton et al. "
        "2000, theorem 1",
    "discounted": f"{SLIDES}, Discount Factor, option 2; {NOTES}, eq. 5.26 to 5.28; Sutton and Barto "
        "2018, section 13.3; Thomas 2014",
    "no_action": f"{SLIDES}, Reducing Variance: Baselines; Sutton and Barto 2018, section 13.4",
    "baseline": f"{SLIDES}, Baselines; {NOTES}, eq. 4.24 to 4.26; Williams 1992, section 4; Sutton "
        "and Barto 2018, section 13.4",
    "advantage": f"{SLIDES}, Improving Estimation of Reward to Go, Advantage Value; Sutton et al. "
        "2000, section 2; Schulman et al. 2016, section 2",
    "constant": f"{SLIDES}, Reducing Variance: Baselines; {NOTES}, eq. 4.22 to 4.26; Williams 1992, "
        "section 5",
    "in_batch": f"{SLIDES}, Reducing Variance: Baselines, and {NOTES}, eq. 4.22 and 4.23: without "
        "the factor",
    "independent": f"{SLIDES}, REINFORCE, step 1; Kool et al. 2019",
    "leave_one_out": "Kool et al. 2019; Mnih and Rezende 2016",
    "own": "Peters and Schaal 2008, section 3.2; Greensmith et al. 2004",
    "variance": f"{NOTES}, eq. 4.27 to 4.29; Peters and Schaal 2008, section 3.2; Greensmith et al. "
        "2004",
    "slope": f"{NOTES}, eq. 4.29 to 4.31; Peters and Schaal 2008, section 3.2",
    "smallest": "Peters and Schaal 2008, section 3.2; Greensmith et al. 2004",
    "best": f"{SLIDES}, Baselines (average reward is not the best); {NOTES}, eq. 4.31; Peters "
        "and Schaal 2008, table 1",
    "likelihood": f"{SLIDES}, Policy Gradient Intuition; {NOTES}, eq. 4.16 to 4.18; Williams 1992, "
        "section 5",
    "fixed": f"{NOTES}, section 4.2.1; Schulman et al. 2015 (stochastic computation graphs)",
    "pseudo_loss": f"{NOTES}, eq. 4.53; Schulman et al. 2015 (stochastic computation graphs)",
    "surrogate": f"Jie and Abbeel 2010; {NOTES}, eq. 4.46",
    "weighted": f"{NOTES}, eq. 4.37 to 4.40; Precup, Sutton and Singh 2000",
    "off_policy": f"{NOTES}, eq. 4.43 to 4.48",
}
t, k, T, tau = time("t"), time("k"), horizon(), path("tau")
tau_1, tau_2, tau_3 = (path(f"tau_{i}") for i in (1, 2, 3))
s, a, s1, r, P, p0 = state("s"), action("a"), state("s'"), reward("r"), dynamics("P"), initial()
theta, theta_old, gamma, b = real("theta"), real("theta_old"), real("gamma", 0.3, 0.95), real("b")
b_star, n = real("b^*"), positive("N", 2, 6)
pi, pi_old, beta = policy("pi", theta), policy("pi", theta_old), policy("beta")
p_tau, p_beta = pi.law.probability(), beta.law.probability()
log_pi, log_old = log(pi(a[t], s[t])), log(pi_old(a[t], s[t]))
score, score_a = grad(theta, log_pi), grad(theta, log(pi(a, s)))   # what one action says about theta
R, g, x, y = (function(name, tau) for name in "Rgxy")                        # functions of a trajectory
G, B = function("G", t, subscripts=1), function("B", t, subscripts=1)
Q, A = function("Q", t, s, a, subscripts=1), function("A", t, s, a, subscripts=1)
V, b_s = function("V", t, s, subscripts=1), function("b", s)
f, c = function("f", s, a), function("c", s, a)
R1, R2, R3, g1, g2 = R(tau_1), R(tau_2), R(tau_3), g(tau_1), g(tau_2)
mean_2 = function("Rbar", tau_1, tau_2)(tau_1, tau_2)
mean_3 = function("Rbar", tau_1, tau_2, tau_3)(tau_1, tau_2, tau_3)
J, g2_mean, g2R = E(tau, pi, R(tau)), E(tau, pi, g(tau) ** 2), E(tau, pi, g(tau) ** 2 * R(tau))
theta_free = Assumption("the world does not depend on θ: p₀, P and r do not contain it",
                        source=SOURCE["theta_free"])
paid = Assumption("a reward is paid before later actions are drawn: a_t does not move r_k, k < t",
                  source=SOURCE["paid"])
no_action = Assumption("the baseline does not depend on the action",
                       source=SOURCE["no_action"])
independent = Assumption("the trajectories of a batch are independent",
                         source=SOURCE["independent"])
own = Assumption("the trajectories are the policy's own, so that the mean of g is 0",
                 source=SOURCE["own"])
fixed = Assumption("the weights are held fixed: they are numbers, computed under θ_old",
                   source=SOURCE["fixed"])
PAIRS = [FiniteWorld(i, T=2) for i in range(3)] + [FiniteWorld(i, T=1) for i in range(3, 9)]


def steps(body):
    """Σ over the steps t = 0, ..., T − 1."""
    return Sum(t, 0, T - 1, body)


def against(body):
    """The mean over the actions of the score times `body`."""
    return E(a, pi.at(s), score_a * body)


def over_two(body):
    """E over two independent trajectories."""
    return E(tau_1, pi, E(tau_2, pi, body))


def over_three(body):
    """E over three independent trajectories."""
    return E(tau_1, pi, E(tau_2, pi, E(tau_3, pi, body)))


def listed(world, at=theta):
    """All trajectories of a world: logits (S, A), states, actions, rewards (T, M), p(τ) (M,)."""
    softmax, (states, actions, weight) = world.function(pi.function), world.paths(None)
    logits = softmax.base + world.value(at) * softmax.direction
    states, rewards = states[:-1], world.rewards()
    chance = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return logits, states, actions, rewards[states, actions], weight * chance[states, actions].prod(0)


def scores_and_returns(world):
    """g(τ) (M, 1) along the direction of θ, R(τ) (M,) and p(τ) (M,) of every trajectory."""
    logits, states, actions, rewards, p = listed(world)
    tables = equations.score(logits, states, actions) * world.function(pi.function).direction
    return tables.sum((0, -1, -2))[:, None], rewards.sum(0), p


def exact_policy_gradient(world, to_go=False):
    """The package's policy_gradient on all trajectories, weighed by p(τ), along the direction of θ."""
    logits, states, actions, rewards, p = listed(world)
    weights = equations.reward_to_go(rewards) if to_go else rewards.sum(0) + 0 * rewards
    weights, mask = weights * p * len(p), np.ones_like(rewards)
    gradient = equations.policy_gradient(logits, states, actions, weights, mask)
    return (gradient * world.function(pi.function).direction).sum()


def loss_arguments(world):
    """log π_θ (T, M) of all trajectories, rewards-to-go weighed by p(τ) of θ_old, a mask of ones."""
    logits, states, actions, rewards, _ = listed(world)
    p = listed(world, theta_old)[-1]
    log_prob = torch.tensor(logits).log_softmax(-1)[torch.tensor(states), torch.tensor(actions)]
    weights = torch.tensor(equations.reward_to_go(rewards) * p * len(p))
    return log_prob, weights, torch.ones_like(log_prob)


def moments(world, *estimates, law=pi):
    """Mean and variance of some random quantities in one world."""
    means = [[evaluate(E(tau, law, z**power), world) for power in (1, 2)] for z in estimates]
    return "   ".join(f"mean {round(m, 9) + 0:+.4f}, variance {m2 - m * m:.4f}" for m, m2 in means)


# %% tags=["figure", "hide-input"] rows=["S1-03:N"] slideshow={"slide_type": "fragment"} alt="Two panels of 600 dots each, every dot an estimate of the same gradient from ten episodes; to the right is uphill, and a black star at 1 marks the true gradient. Left, REINFORCE as it is: a cloud many times wider than the gradient is long; 38 percent of it lies in the shaded half that leads downhill. Right, the same episodes with two terms subtracted that have mean zero: a small cloud around the star, 1 percent of it downhill."
fig.cloud()

# %% [markdown] slideshow={"slide_type": "slide"}
# After this lecture you can
#
# - **derive** REINFORCE: the log-derivative trick, and why the dynamics cancel (LO3.1; exercises 03.1 and 03.2)
# - **prove** what may be subtracted, causality and baselines, and **say** what the mean of the batch costs (LO3.2; exercises 03.3 and 03.6)
# - **derive** the best constant, and **write** the loss whose gradient it all is (LO3.3; exercises 03.4 and 03.5)
# - **judge** an estimator by its noise: how many episodes does a step need?
#
# 60 minutes to read, 75 to work on [the exercises](../exercises/03_policy_gradients.ipynb). You need expectations over trajectories and $Q$, $V$ (lecture 01).
#
# Every derivation below was checked by this machine when its cell ran. Change a sign and run it again.

# %% [markdown] slideshow={"slide_type": "slide"} notes="7 minutes. Misconception to probe: we need a model of P to differentiate through the world. Ask which factors of p(tau) contain theta before the second derivation."
# ## 1 · A gradient that needs no model
#
# A trajectory $\tau$ is a start $s_0$, then in turn an action $a_t$ and an answer $s_{t+1}$ of the world, for $T$ steps. Its return $R(\tau)$ is the sum of the rewards
# $r_t$ that followed $(s_t, a_t)$. The policy $\pi_\theta$ is to make the mean return large: $J(\theta) := \mathbb E_{\tau \sim \pi_\theta}[R(\tau)]$, finite
# horizon, no discount. The probability $p_\theta(\tau)$ has factors that are ours, and factors that are the world's. **What is left of the world's when we differentiate?**
#
# *Predict first:* for $T = 3$ there are seven factors. How many of them does the policy gradient need? (Below, the weight $R(\tau)$ stands beside the logarithm so that a
# wrong factor cannot hide in the average.)

# %% tags=["derivation"] rows=["S3-22:D", "S3-25:D"] slideshow={"slide_type": "subslide"}
answer = P(s[t + 1], s[t], a[t])
log_p = (
    Derivation("The logarithm of a trajectory's probability", "03.1", E(tau, pi, log(p_tau) * R(tau)),
               source=SOURCE["log_p"])
    .define(R(tau), steps(r[t]))
    .step(E(tau, pi, log(p0(s[0]) * Prod(t, 0, T - 1, pi(a[t], s[t]) * answer)) * R(tau)),
          because="a start, then in turn an action of ours and an answer of the world")
    .step(E(tau, pi, (log(p0(s[0])) + steps(log_pi) + steps(log(answer))) * R(tau)),
          because="the logarithm turns the product into three sums; only the middle one contains θ")
)
log_p

# %% tags=["derivation"] rows=["S1-02:D", "S3-23:D", "S3-24:D", "S3-25:D"] slideshow={"slide_type": "subslide"}
policy_gradient = (
    Derivation("The policy gradient", "03.1", grad(theta, E(tau, pi, R(tau))), source=SOURCE["gradient"])
    .define(R(tau), steps(r[t])).assuming(theta_free)
    .step(Sum(tau, grad(theta, p_tau) * R(tau)), because="a sum over all τ; only p contains θ")
    .fails_without(theta_free, removed=(grad(theta, E(tau, pi, R(tau) + theta)),
                                        Sum(tau, grad(theta, p_tau) * (R(tau) + theta))))
    .step(Sum(tau, p_tau * grad(theta, log(p_tau)) * R(tau)), because="the trick: ∇p is p ∇ log p")
    .step(E(tau, pi, grad(theta, log(p_tau)) * R(tau)), because="an expectation: it can be sampled")
    .step(E(tau, pi, steps(score) * R(tau)),
          because="∇ of the three sums: start and dynamics have no θ and vanish")
    .implements(exact_policy_gradient, lambda world: (world,))
)
policy_gradient

# %% tags=["erratum"] rows=["S3-25:N"] slideshow={"slide_type": "subslide"}
rewards_sum = Sum(k, 0, T - 1, r[k])
erratum(
    "One sum over time, not two", "the estimate has the mean ∇J",
    printed=E(tau, pi, steps(grad(theta, log(p_tau)) * rewards_sum)),
    correct=E(tau, pi, grad(theta, log(p_tau)) * rewards_sum),
    truth=grad(theta, E(tau, pi, rewards_sum)), worlds=[FiniteWorld(0), FiniteWorld(1)],
    why="One of the slides puts a sum over the steps in front of ∇ log π(τ), which contains that sum "
        "already. The estimate is T times too long. Its direction is right, so a tuned learning rate "
        "hides it until the horizon changes.",
)

# %% rows=["S3-26:I", "S3-28:I"] tags=["code"] slideshow={"slide_type": "subslide"}
widgets.source(equations.policy_gradient, docstring=False)

# %% [markdown] rows=["S3-28:I", "S1-12:X"] slideshow={"slide_type": "subslide"}
# That is the whole of REINFORCE (Williams 1992): run the policy, add up scores times weights, take a step uphill; `rlcourse.agents.reinforce` does the same with a
# network. Three of the seven factors were enough, and nobody asked the world for a formula. *Good stuff becomes more likely*: trial and error, in one line.
#
# And as it stands it hardly works: the wide cloud above is this very formula. Its mean is right; the next four sections are about the rest.
#
# **Now** [exercises 03.1 and 03.2](../exercises/03_policy_gradients.ipynb) (20 minutes): the score of a softmax, and the gradient from padded episodes.
#
# **Take away:** the gradient of an expectation is an expectation of scores times returns: no model, only samples.

# %% [markdown] slideshow={"slide_type": "slide"} notes="7 minutes. Ask: may we also drop the reward of the same step? Then show the assumption's line. Break it live: start the inner sum at t + 1."
# ## 2 · No action is to blame for the past
#
# In [03.1] each action is judged by the whole return, rewards paid before it included. **May we leave those out?**
#
# *Predict:* does leaving them out change the mean of the estimate, its variance, or both? Then move $T$ below: which of the first two violins grows faster?

# %% tags=["widget"] rows=["S1-05:N", "S3-29:N", "S1-03:N"] slideshow={"slide_type": "subslide"}
live.estimators()

# %% [markdown] slideshow={"slide_type": "subslide"}
# A corridor of five cells, every step pays between 1 and 2, the policy is random; the exact gradient is known, and is 1 on this axis. All four violins have it as
# their mean. At $N = 10$ the full return leads downhill in four batches of ten, and sorting out the past helps only a little. The blue and the wine one are to come.
#
# Why may the past be dropped? A lemma first, for one state: a score averaged against any function of the action is a gradient. This section and the next
# need no other fact.

# %% tags=["derivation"] rows=["S3-30:D"] slideshow={"slide_type": "subslide"}
lemma = (
    Derivation("A score against any function of the action", "03.2", against(f(s, a)),
               source=SOURCE["lemma"])
    .step(Sum(a, grad(theta, pi(a, s)) * f(s, a)), because="the log-derivative trick, backwards")
    .step(grad(theta, E(a, pi.at(s), f(s, a))),
          because="f does not contain θ: the derivative goes to the front")
)
lemma

# %% tags=["derivation"] rows=["S1-05:D", "S3-30:D"] slideshow={"slide_type": "subslide"}
mean_past = grad(theta, E(a, pi.at(s[t]), B(t)))
causality = (
    Derivation("Reward-to-go", "03.2", E(tau, pi, steps(score * Sum(k, 0, T - 1, r[k]))),
               source=SOURCE["causality"])
    .define(B(t), Sum(k, 0, t - 1, r[k])).define(G(t), Sum(k, t, T - 1, r[k])).assuming(paid)
    .step(E(tau, pi, steps(mean_past + score * G(t))),
          because="the return is past and future, B_t + G_t; B_t is settled before a_t: the lemma")
    .fails_without(paid, removed=E(tau, pi, steps(mean_past + score * Sum(k, t + 1, T - 1, r[k]))))
    .also_equals(E(tau, pi, steps(-mean_past + score * G(t))), by=lemma)
    .also_equals(E(tau, pi, steps(grad(theta, E(a, pi.at(s[t + 1]), B(t))) + score * G(t))), by=lemma)
    .step(E(tau, pi, steps(score * G(t))), because="the mean of a settled number has no θ in it")
    .implements(exact_policy_gradient, lambda world: (world, True))
)
causality

# %% rows=["S1-05:N", "S3-30:N"] slideshow={"slide_type": "subslide"}
# Predict: in which entries of the table t against k is the mean of score_t times r_k zero?
world = FiniteWorld(1, T=4)
for when in range(4):
    of_when = grad(theta, log(pi(a[when], s[when])))
    row = [evaluate(E(tau, pi, of_when * r[paid_at]), world) for paid_at in range(4)]
    print(f"t = {when}:  " + "  ".join(f"k = {i}: {value + 0:+.4f}" for i, value in enumerate(row)))

# %% [markdown] slideshow={"slide_type": "subslide"}
# Where $k$ lies before $t$: zero. Note what the derivation does not say: one sample of $B_t$ times a score is not zero, it is noise with mean zero. The full return was
# unbiased before; leaving the past out changes the variance.
#
# **Now** [exercise 03.3](../exercises/03_policy_gradients.ipynb) (8 minutes): reward-to-go, in one pass.
#
# One more average can be taken exactly. Given $s_t$ and $a_t$, the rest of the trajectory is only noise around its mean, which has a name. *Predict:* does
# replacing the reward-to-go by that mean need a new assumption? It is where the critics of lecture 04 come from.

# %% tags=["derivation"] rows=["S1-05:D"] slideshow={"slide_type": "subslide"}
critic = (
    Derivation("From reward-to-go to Q", "03.2", E(tau, pi, steps(score * G(t))),
               source=SOURCE["critic"])
    .define(G(t), Sum(k, t, T - 1, r[k]))
    .define(Q(t, s, a), E(tau, pi.given((s[t], s), (a[t], a)), G(t)))
    .step(E(tau, pi, steps(score * E(tau, pi.given(s[t], a[t]), G(t)))),
          because="tower property: first the mean over the future, given where we are and what we do")
    .step(E(tau, pi, steps(score * Q(t, s[t], a[t]))),
          because="which is the definition of Q_t at (s_t, a_t)")
)
critic

# %% [markdown] rows=["S1-04:T"] slideshow={"slide_type": "slide"} notes="4 minutes. Ask for the trade before showing the box: what do we gain by forgetting gamma^t, and what do we lose?"
# ### With a discount
#
# The slides' list of ways to less noise: causality, discount, baseline, actor-critic (lecture 04), natural gradient and trust region (07, 08). Terms of mean zero
# may go. **Does the discount belong on that list?**
#
# Two versions are in use. One discounts within the reward-to-go only; the other also weighs the score of step $t$ by $\gamma^t$.
# *Predict:* which is the gradient of the discounted return? Can the other one point downhill?
#
# **Take away:** causality removes noise and nothing else; a discount also moves the goal.

# %% tags=["derivation"] rows=["S1-04:T"] slideshow={"slide_type": "subslide"}
discounted = (
    Derivation("The gradient of the discounted return", "03.2",
               grad(theta, E(tau, pi, steps(gamma**t * r[t]))), source=SOURCE["discounted"])
    .define(G(t), Sum(k, t, T - 1, gamma ** (k - t) * r[k]))
    .step(E(tau, pi, steps(score * Sum(k, 0, T - 1, gamma**k * r[k]))),
          because="[03.1] for the rewards γᵏ r_k")
    .step(E(tau, pi, steps(score * Sum(k, t, T - 1, gamma**k * r[k]))),
          because="causality, for the same rewards")
    .step(E(tau, pi, steps(gamma**t * score * G(t))),
          because="γᵏ is γᵗ times γᵏ⁻ᵗ: γᵗ leaves the inner sum")
)
discounted

# %% tags=["erratum"] rows=["S1-04:T"] slideshow={"slide_type": "subslide"}
to_go = Sum(k, t, T - 1, gamma ** (k - t) * r[k])
one_way = FiniteWorld(1, P=np.array([[[0.0, 1.0]] * 2] * 2), r=np.array([[-1.0, 0.0], [3.0, 0.0]]),
                      p0=np.array([1.0, 0.0]), T=2, gamma=0.5, theta=0)
erratum(
    "A discount is not a zero-mean term", "the estimate has the mean ∇J, J the discounted return",
    printed=E(tau, pi, steps(score * to_go)), correct=E(tau, pi, steps(gamma**t * score * to_go)),
    truth=grad(theta, E(tau, pi, steps(gamma**t * r[t]))), worlds=[FiniteWorld(0, gamma=0.5), one_way],
    why="The slides list the discount among terms of mean zero, and their actor-critic has no γᵗ. "
        "Dropping it is a choice: all steps count alike, and the direction is not the gradient of the "
        "discounted return (second world: it points downhill), nor, in general, of anything (Nota and "
        "Thomas 2020). Almost all code drops it.",
)

# %% tags=["erratum"] slideshow={"slide_type": "subslide"}
late = Sum(k, t, T - 1, gamma ** (k + 1 - t) * r[k])
erratum(
    "Off by one in the return", "the estimate has the mean ∇J, J the discounted return",
    printed=E(tau, pi, steps(gamma**t * score * late) + Sum(t, 1, T - 1, gamma**t * score * r[t - 1])),
    correct=E(tau, pi, steps(gamma**t * score * to_go)),
    truth=grad(theta, E(tau, pi, steps(gamma**t * r[t]))),
    worlds=[FiniteWorld(0, gamma=0.5), FiniteWorld(1, gamma=0.9)],
    why="A REINFORCE box numbers rewards from r_1, which follows a_0, but starts the return of step t "
        "at r_t: one reward from the past, and one γ too many on the others. The past one has mean "
        "zero, so the gradient is γ times too short; the noise is extra.",
)

# %% [markdown] slideshow={"slide_type": "slide"} notes="6 minutes. Start from all-positive rewards: every sampled action is pushed up. Ask what they would subtract. Break it live: let b depend on a."
# ## 3 · Subtract what the action cannot change
#
# If all rewards are positive, every action that is tried becomes more likely, good or bad; only the averaging over many samples sorts them out.
# **What may we subtract from the return without touching the mean?**
#
# *Predict:* a number, a function of the state, a function of state and action: which of the three are allowed? And below: three actions, one sample a step.
# With every reward raised by 3, how often does learning settle on a wrong action?

# %% tags=["widget"] rows=["S1-02:W", "S3-13:W", "S3-31:W"] slideshow={"slide_type": "subslide"}
live.all_positive()

# %% [markdown] slideshow={"slide_type": "subslide"}
# Raise the offset and the orange bars rise together: whatever was tried becomes more likely, the worst action too, and a run that is lucky early never tries the
# rest. The blue bars subtract the mean reward, which here is $V$: an action goes up if its $Q$ lies above $V$, and down if below. They do not see the offset at all. Set it
# to 0 and a small step: then both learn.
#
# The mean update is the same for both; the proof comes next.

# %% tags=["derivation"] rows=["S1-09:D", "S3-32:D"] slideshow={"slide_type": "subslide"}
mean_f = E(a, pi.at(s), f(s, a))
baseline = (
    Derivation("A baseline costs nothing", "03.3", against(f(s, a) - b_s(s)),
               source=SOURCE["baseline"])
    .assuming(no_action)
    .step(grad(theta, mean_f - b_s(s)), because="the lemma for f − b; the mean of b(s) over a is b(s)")
    .fails_without(no_action, removed=(against(f(s, a) - c(s, a)), grad(theta, mean_f - c(s, a))))
    .also_equals(against(f(s, a) + b_s(s)), by=lemma).also_equals(grad(theta, mean_f + b_s(s)), by=lemma)
    .also_equals(against(f(s, a) - 1), by=lemma).also_equals(grad(theta, mean_f - 1), by=lemma)
    .step(grad(theta, mean_f), because="∇ of b(s): there is no θ in it")
    .step(against(f(s, a)), because="the lemma again, back")
)
baseline

# %% tags=["derivation"] rows=["S1-09:D"] slideshow={"slide_type": "subslide"}
q, v = Q(t, s[t], a[t]), V(t, s[t])
advantage = (
    Derivation("Advantage form", "03.3", E(tau, pi, steps(score * q)), source=SOURCE["advantage"])
    .define(G(t), Sum(k, t, T - 1, r[k]))
    .define(Q(t, s, a), E(tau, pi.given((s[t], s), (a[t], a)), G(t)))
    .define(V(t, s), E(a, pi.at(s), Q(t, s, a))).define(A(t, s, a), Q(t, s, a) - V(t, s))
    .step(E(tau, pi, steps(score * (q - v))),
          because="V_t(s_t) depends on the state alone: a baseline at every step")
    .also_equals(E(tau, pi, steps(score * (q + v))), by=baseline)
    .also_equals(E(tau, pi, steps(score * (q - 1))), by=baseline)
    .step(E(tau, pi, steps(score * A(t, s[t], a[t]))), because="the definition of the advantage")
)
advantage

# %% [markdown] slideshow={"slide_type": "subslide"}
# Open "sources, other forms" above: those are wrong versions that turned out to be right. The sign of a baseline, or its size, does not matter for the mean. It matters for the variance, which is section 5. Used by every algorithm from here to PPO.
#
# **Take away:** the mean sees only differences between actions. Everything that all actions in a state share is yours to choose.

# %% tags=["derivation"] rows=["S1-09:D", "S3-32:D"] slideshow={"slide_type": "subslide"}
constant = (
    Derivation("A constant baseline for whole trajectories", "03.3", E(tau, pi, g(tau) * (R(tau) - b)),
               source=SOURCE["constant"])
    .define(R(tau), steps(r[t])).define(g(tau), steps(score))
    .step(grad(theta, J - b), because="[03.1] for R − b: it holds for every function of the trajectory")
    .also_equals(E(tau, pi, g(tau) * (R(tau) + b)), by=policy_gradient)
    .also_equals(E(tau, pi, g(tau) * (R(tau) - 1)), by=policy_gradient)
    .also_equals(E(tau, pi, g(tau) * R(tau)), by=policy_gradient)
    .also_equals(grad(theta, J + b), by=policy_gradient)
    .also_equals(grad(theta, J - 1), by=policy_gradient)
    .step(grad(theta, J), because="∇ of a constant is 0")
)
constant

# %% [markdown] slideshow={"slide_type": "slide"} notes="6 minutes. Vote: is the batch mean unbiased? Most say yes, the slide says so too. Then N = 2 by enumeration."
# ## 4 · The mean of the batch is not a constant
#
# The favourite baseline is the mean return of the same batch of $N$ trajectories. **Is it independent of the action it is subtracted from?**
#
# Not quite: trajectory $i$ has a share of one in $N$ in it. *Predict* for $N = 2$: is the expected estimate too short, too long, or turned?
#
# Used in lecture 08, where PPO normalises advantages, and in every method that compares answers within a group.

# %% tags=["derivation"] rows=["S1-09:D", "S3-32:D"] slideshow={"slide_type": "subslide"}
in_batch = (
    Derivation("The mean of a batch of two as baseline", "03.4",
               over_two((g1 * (R1 - mean_2) + g2 * (R2 - mean_2)) / 2), worlds=PAIRS,
               source=SOURCE["in_batch"])
    .define(R(tau), steps(r[t])).define(g(tau), steps(score)).define(mean_2, (R1 + R2) / 2)
    .step(over_two((g1 - g2) * (R1 - R2) / 4),
          because="each return lies half their difference from the mean")
    .step(E(tau, pi, g(tau) * (R(tau) - E(tau_2, pi, R2))) / 2,
          because="multiply out; independent and alike, the other trajectory enters by its mean")
    .also_equals(E(tau, pi, g(tau) * (R(tau) + E(tau_2, pi, R2))) / 2, by=constant)
    .also_equals(E(tau, pi, g(tau) * (R(tau) - 1)) / 2, by=constant)
    .also_equals(E(tau, pi, g(tau) * R(tau)) / 2, by=constant)
    .step(grad(theta, J) / 2,
          because="a constant baseline costs nothing [03.3]: the right direction, half the length")
)
in_batch

# %% tags=["derivation"] rows=["S1-09:D"] slideshow={"slide_type": "subslide"}
three = (
    Derivation("The mean of a batch of three: one of three terms, all alike", "03.4",
               over_three(g1 * (R1 - mean_3)), worlds=PAIRS[3:])
    .define(R(tau), steps(r[t])).define(g(tau), steps(score)).define(mean_3, (R1 + R2 + R3) / 3)
    .step(2 * grad(theta, J) / 3, because="as for two; each return keeps two thirds of itself")
)
three

# %% tags=["derivation"] rows=["S1-09:D"] slideshow={"slide_type": "subslide"}
any_n = (
    Derivation("... and of N", "03.4", over_two(g1 * (R1 - mean_2)), worlds=PAIRS)
    .define(R(tau), steps(r[t])).define(g(tau), steps(score)).define(mean_2, (R1 + (n - 1) * R2) / n)
    .step((1 - 1 / n) * E(tau, pi, g(tau) * R(tau)),
          because="the others enter alike: one stands for N − 1")
    .step((1 - 1 / n) * grad(theta, J), because="[03.1]")
)
any_n

# %% tags=["derivation"] rows=["S1-09:D"] slideshow={"slide_type": "subslide"}
alike = E(tau_1, pi, E(tau_2, pi.given(s[0], a[0]), (g1 - g2) * (R1 - R2) / 2))     # one first action
leave_one_out = (
    Derivation("N/(N − 1) repairs it: leave-one-out", "03.4",
               over_two(2 * ((g1 * (R1 - mean_2) + g2 * (R2 - mean_2)) / 2)), worlds=PAIRS,
               source=SOURCE["leave_one_out"])
    .define(R(tau), steps(r[t])).define(g(tau), steps(score)).define(mean_2, (R1 + R2) / 2)
    .assuming(independent)
    .step(over_two((g1 - g2) * (R1 - R2) / 2),
          because="one by one: each has the other's return as its baseline")
    .step(grad(theta, J), because="twice the result for the mean")
    .fails_without(independent, removed=(alike, grad(theta, J)))
)
leave_one_out

# %% tags=["erratum"] rows=["S1-09:N", "S3-32:N"] slideshow={"slide_type": "subslide"}
erratum(
    "The mean of the batch", "the estimate from N = 2 trajectories has the mean ∇J",
    printed=E(tau_1, pi, steps(score) * (rewards_sum - (rewards_sum + E(tau_2, pi, rewards_sum)) / 2)),
    correct=E(tau_1, pi, steps(score) * (rewards_sum - E(tau_2, pi, rewards_sum))),
    truth=grad(theta, E(tau, pi, rewards_sum)), worlds=[FiniteWorld(0), FiniteWorld(1)],
    why="Slides and notes subtract the batch mean and call the result unbiased. Their proof takes b "
        "out of the integral over τ, which is allowed only if b does not depend on τ. The cost is a "
        "factor, not a direction: harmless at N = 1000, half of the gradient at N = 2.",
)

# %% tags=["figure", "hide-input"] rows=["S1-09:N", "S3-32:N"] slideshow={"slide_type": "subslide"} alt="Mean estimate divided by the gradient over the number of episodes in the batch, from 2 to 32, measured on the corridor with ten seeds. With the mean of the batch as baseline the points lie on the curve 1 minus 1 over N, from 0.5 at two episodes to 0.97 at 32. With the mean of the other episodes they lie at 1. The intervals are smaller than the dots."
fig.in_batch_factor()

# %% rows=["S1-09:N"] slideshow={"slide_type": "subslide"}
# The package's leave_one_out: predict the baseline of the third trajectory.
returns = np.array([1.0, 4.0, 7.0, 0.0])
others = equations.leave_one_out(returns)
print("mean of the others:", others.round(4))
print("R - b:            ", (returns - others).round(4))
print("4/3 of R - mean:  ", (4 / 3 * (returns - returns.mean())).round(4))

# %% [markdown] slideshow={"slide_type": "subslide"}
# Measured on 40,000 episodes for each of ten seeds: the points lie on the curve. Since the factor is known, either remedy is exact: divide by it, or leave the
# episode itself out, which is the same number (last two lines above). It needs two episodes; with one there are no others.
#
# **Now** [exercise 03.6](../exercises/03_policy_gradients.ipynb) (10 minutes): leave one out, without a loop.
#
# **Take away:** the mean of the batch keeps the direction and costs one part in $N$; the mean of the others costs nothing.

# %% [markdown] slideshow={"slide_type": "slide"} notes="7 minutes. The parabola on the board. Ask where its lowest point is if g squared and R are uncorrelated. Then the notes' three misprints, as a hunt."
# ## 5 · The best constant
#
# Any constant leaves the mean alone; the variance is a parabola in $b$. **Where is its lowest point?**
#
# *Predict:* is the mean return the best baseline? If not, which trajectories should count more in the average?
#
# Everything here is per coordinate of $\theta$: each has its own $g$, and its own best $b$. Slide $b$ to the bottom of the curve, then change the cell: does the
# bottom stay?

# %% tags=["widget"] rows=["S1-09:N"] slideshow={"slide_type": "subslide"}
live.baseline_parabola()

# %% [markdown] slideshow={"slide_type": "subslide"}
# It moves, and you can say why before the algebra: the parameter of cell 4 is concerned only in episodes that visit cell 4, and those are the rich ones. Its best
# baseline is the mean return of *its own* episodes, each counted with the weight $g^2$. At the middle cell, which every episode visits, the mean return is best.
#
# No sum over cells is needed to see the other thing: the black line, the mean, does not move. Used to judge baselines; in practice a fitted $V$ wins (lecture 04).

# %% tags=["derivation"] rows=["S3-33:D"] slideshow={"slide_type": "subslide"}
gR, x2 = E(tau, pi, g(tau) * R(tau)), E(tau, pi, x(tau) ** 2)
variance = (
    Derivation("The variance is a parabola in b", "03.5", x2 - E(tau, pi, x(tau)) ** 2,
               source=SOURCE["variance"])
    .define(R(tau), steps(r[t])).define(g(tau), steps(score)).define(x(tau), g(tau) * (R(tau) - b))
    .assuming(own)
    .step(x2 - gR**2, because="a constant baseline costs nothing [03.3]")
    .fails_without(own, removed=(E(tau, beta, x(tau) ** 2) - E(tau, beta, x(tau)) ** 2,
                                 E(tau, beta, x(tau) ** 2) - E(tau, beta, g(tau) * R(tau)) ** 2))
    .step(b**2 * g2_mean - 2 * b * g2R + E(tau, pi, g(tau) ** 2 * R(tau) ** 2) - gR**2,
          because="the square multiplied out; b is a number and leaves the expectations")
)
variance

# %% tags=["derivation"] rows=["S3-33:D"] slideshow={"slide_type": "subslide"}
slope = (
    Derivation("Its slope", "03.5", D(b, E(tau, pi, x(tau) ** 2)), source=SOURCE["slope"])
    .define(R(tau), steps(r[t])).define(g(tau), steps(score))
    .define(x(tau), g(tau) * (R(tau) - b)).define(b_star, g2R / g2_mean)
    .step(2 * b * g2_mean - 2 * g2R,
          because="of the variance, only this part has b in it: differentiate")
    .step(2 * g2_mean * (b - b_star),
          because="the factor of b taken out: the slope is 0 at b* and nowhere else")
)
slope

# %% tags=["derivation"] rows=["S3-33:D"] slideshow={"slide_type": "subslide"}
lowest = float(equations.optimal_baseline(*scores_and_returns(FiniteWorld(0)))[0])
smallest = (
    Derivation("No constant has less variance than b*", "03.5",
               E(tau, pi, y(tau) ** 2) - E(tau, pi, y(tau)) ** 2, source=SOURCE["smallest"])
    .define(R(tau), steps(r[t])).define(g(tau), steps(score)).define(b_star, g2R / g2_mean)
    .define(x(tau), g(tau) * (R(tau) - b)).define(y(tau), g(tau) * (R(tau) - b_star))
    .step(x2 - E(tau, pi, x(tau)) ** 2 - g2_mean * (b - b_star) ** 2,
          because="the parabola, as a completed square around its lowest point")
    .step(x2 - E(tau, pi, x(tau)) ** 2, relation="<=", tight=FiniteWorld(0).fixed(b=lowest),
          because="what was subtracted is a square times a mean of squares; at b = b* it is 0")
)
smallest

# %% tags=["derivation"] rows=["S1-09:D", "S3-33:D"] slideshow={"slide_type": "subslide"}
best = (
    Derivation("The best constant, and how far it is from the mean", "03.5",
               J + (g2R - g2_mean * J) / g2_mean, source=SOURCE["best"])
    .define(R(tau), steps(r[t])).define(g(tau), steps(score))
    .step(g2R / g2_mean, because="the mean return cancels: what is left weighs each return by g²")
    .implements(equations.optimal_baseline, scores_and_returns)
)
best

# %% rows=["S1-03:N", "S1-09:N", "S3-29:N"] slideshow={"slide_type": "subslide"}
# Predict: 10 is added to every reward of a world with two steps. What happens to the three variances?
for offset in (0.0, 10.0):
    world = FiniteWorld(0, r=FiniteWorld(0).rewards() + offset)
    scores, returns, p = scores_and_returns(world)
    lowest = equations.optimal_baseline(scores, returns, p)[0]
    for name, value in {"none": 0.0, "mean return": p @ returns, "b*": lowest}.items():
        z = scores[:, 0] * (returns - value)
        shown = f"b = {value:6.2f}   mean {p @ z:.4f}   variance {p @ z**2 - (p @ z) ** 2:8.4f}"
        print(f"rewards + {offset:>2.0f}   {name:<12} {shown}")

# %% tags=["erratum"] slideshow={"slide_type": "subslide"}
pays = score_a * (f(s, a) - b)                      # one step: g is the score, f(s, a) the return
erratum(
    "The slope of the variance", "this is the derivative of the variance by b",
    printed=b**2 * E(a, pi.at(s), score_a**2) - 2 * b * E(a, pi.at(s), score_a**2 * f(s, a)),
    correct=2 * b * E(a, pi.at(s), score_a**2) - 2 * E(a, pi.at(s), score_a**2 * f(s, a)),
    truth=D(b, E(a, pi.at(s), pays**2)), worlds=[FiniteWorld(0, b=1), FiniteWorld(1, b=0.5)],
    why="The notes write d/db in front and then forget to carry it out, so their optimal b stands on "
        "both sides of its own formula. The derivative of a parabola has no b² in it.",
)

# %% [markdown] rows=["S1-11:X", "S3-33:X"] slideshow={"slide_type": "subslide"}
# The first line of [03.5] read again: the best baseline is the mean return plus a covariance, of $g^2$ and $R$, over the mean of $g^2$. Adding 10 to every reward moved it
# along, and only the estimate without a baseline paid for that, more than a hundredfold.
#
# **Now** [exercise 03.4](../exercises/03_policy_gradients.ipynb) (12 minutes): the best constant for each coordinate, from all trajectories of a world. From a handful of
# samples neither least variance nor a right mean is promised: the same returns would set $b$ and be judged by it.
#
# **Take away:** the best constant is an average return, weighed by how much each episode moves the parameter; the mean return is close, and zero is far.

# %% [markdown] slideshow={"slide_type": "slide"} notes="6 minutes. Ask what backward() would do with the reward. Misconception to probe: a falling loss means that the policy gets better."
# ## 6 · What the computer differentiates
#
# Automatic differentiation wants a scalar whose gradient is the estimate. **Which one?**
#
# Sample with the current parameters $\theta_{old}$, put the weights down as numbers, and differentiate the weighted log-likelihood of the actions.
#
# *Predict:* what goes wrong if the weights, too, are differentiated? And does the loss fall while the policy gets better?
#
# Used in every agent of the package: `pg_loss` [03.6]; PPO's ratio (lecture 08) is its close relative.

# %% tags=["derivation"] rows=["S1-02:D", "S3-27:D"] slideshow={"slide_type": "subslide"}
likelihood = (
    Derivation("Weighted maximum likelihood", "03.6", grad(theta, E(tau, pi_old, log(p_tau) * R(tau))),
               source=SOURCE["likelihood"])
    .define(R(tau), steps(r[t]))
    .step(E(tau, pi_old, grad(theta, log(p_tau)) * R(tau)),
          because="the samples are of θ_old: only log p_θ moves")
    .step(E(tau, pi_old, steps(score) * R(tau)),
          because="only π contains θ; with weight 1 it is maximum likelihood: imitate what was done")
)
likelihood

# %% tags=["derivation"] slideshow={"slide_type": "subslide"}
pseudo_loss = (
    Derivation("The gradient of a pseudo-loss", "03.6", grad(theta_old, E(tau, pi_old, steps(r[t]))),
               source=SOURCE["pseudo_loss"])
    .define(G(t), Sum(k, t, T - 1, r[k])).assuming(fixed)
    .step(E(tau, pi_old, steps(grad(theta_old, log_old) * G(t))), because="reward-to-go [03.2]")
    .step(E(tau, pi_old, steps(grad_at(theta, log_pi, theta_old) * G(t))),
          because="differentiate a copy, then put θ_old in: the same number")
    .step(grad_at(theta, E(tau, pi_old, steps(log_pi * G(t))), theta_old),
          because="samples and weights belong to θ_old, so the derivative may stand outside")
    .fails_without(fixed, removed=grad_at(
        theta, E(tau, pi_old, steps(log_pi * E(tau, pi.given(s[t], a[t]), G(t)))), theta_old))
)
pseudo_loss

# %% tags=["derivation"] slideshow={"slide_type": "subslide"}
surrogate = (
    Derivation("What its value is good for", "03.6", J, source=SOURCE["surrogate"])
    .define(R(tau), steps(r[t])).define(G(t), Sum(k, t, T - 1, r[k]))
    .first_order(E(tau, pi_old, R(tau) + steps((log_pi - log_old) * G(t))), in_=theta, at=theta_old,
                 because="the same value and, by the chain above, the same slope at θ_old; no more")
)
surrogate

# %% tags=["derivation"] rows=["S3-42:I"] slideshow={"slide_type": "subslide"}
loss = (
    Derivation("As it stands in the code", "03.6", -E(tau, pi_old, steps(log_pi * G(t))))
    .define(G(t), Sum(k, t, T - 1, r[k]))
    .step(E(tau, pi_old, steps(G(t) * (-log_pi))),
          because="a cross-entropy at every step, times its weight")
    .implements(equations.pg_loss, loss_arguments)
)
loss

# %% rows=["S3-42:I"] tags=["code"] slideshow={"slide_type": "subslide"}
widgets.source(equations.pg_loss, docstring=False)

# %% rows=["S1-12:I", "S3-26:I", "S3-42:I"] slideshow={"slide_type": "subslide"}
# pg_loss on every trajectory of a world, weighed by its probability. Predict: which sign?
world = FiniteWorld(0)
logits, states, actions, rewards, p = listed(world)
table = torch.tensor(logits, requires_grad=True)
log_prob = table.log_softmax(-1)[torch.tensor(states), torch.tensor(actions)]
weights = torch.tensor(equations.reward_to_go(rewards) * p * len(p))
equations.pg_loss(log_prob, weights, torch.ones_like(weights)).backward()
along = float((table.grad * torch.tensor(world.function(pi.function).direction)).sum())
exact = evaluate(grad(theta, E(tau, pi, rewards_sum)), world)
print(f"gradient of the loss {along:+.6f}   gradient of J {exact:+.6f}")

# %% [markdown] rows=["S1-12:X", "S3-42:X"] slideshow={"slide_type": "subslide"}
# The gradient of a loss is what an optimiser descends, hence the minus. The notes say of this loss that it "means nothing". Half right: its *value* says nothing about
# performance, and may rise while the policy improves; but as a function of $\theta$ it has the slope of $J$ at the point where the samples were drawn. There, and nowhere else.
#
# **Now** [exercise 03.5](../exercises/03_policy_gradients.ipynb) (12 minutes): the loss for padded episodes, checked against the explicit gradient of 03.2.
#
# **Take away:** detach the weights, multiply by log-probabilities, call `backward`; read the return, not the loss.

# %% [markdown] slideshow={"slide_type": "slide"} notes="10 minutes. Start the training cell before explaining the update: it takes a few seconds. Let the room bet on which of causality and baseline matters more on CartPole. Then the figure."
# ## 7 · REINFORCE at work
#
# Everything so far meets in one agent. On the next page is its whole update, as it runs in the package.
#
# *Predict:* CartPole pays +1 for every step that the pole stands, so **all rewards are positive**. Which will matter more there, causality or a baseline?

# %% rows=["S1-12:I", "S3-28:I"] tags=["code"] slideshow={"slide_type": "subslide"}
widgets.source(REINFORCE.update)

# %% tags=["experiment"] rows=["S1-10:E"] slideshow={"slide_type": "subslide"} alt="Return of REINFORCE on CartPole-v1 over 5,000 environment steps for ten seeds in grey and their mean with a 95 percent interval. The mean rises from about 100 to above 200, and the single runs end anywhere between 60 and 500."
# Ten seeds at once: the seeds are the first dimension of every tensor. 3 to 4 seconds.
history = train("reinforce", "CartPole-v1", seeds=10, steps=5_000, evaluate_every=1_000)
final = mean_interval(history.table("eval_return")[1][:, -1])
print("A random policy stands for about 22 steps; ten seeds stand longer:", final.low > 22)
result = f"Ten seeds, 5,000 steps: {final.mean:.0f}, interval {final.low:.0f} to {final.high:.0f}"
training.learning_curve(history, result)

# %% tags=["experiment"] rows=["S1-10:E"] slideshow={"slide_type": "subslide"} alt="Left: return on CartPole-v1 over 20,000 environment steps, mean of ten seeds with 95 percent intervals, for five versions of REINFORCE with the same step size. Full return without a baseline ends at 153, reward-to-go without one at 287, full return with leave-one-out at 357, both together at 390, reward-to-go with a fitted V at 305. Right: area under each curve with its bootstrap interval and the ten runs as dots; the full return without a baseline lies lowest, both together highest, and the others overlap."
# One of the five commands; the others differ in weights and baseline.
stored = training.stored("reinforce-CartPole-to-go-leave-one-out")
print(json.loads((stored / "config.json").read_text())["command"])
fig.learning_curves()

# %% [markdown] slideshow={"slide_type": "subslide"}
# It learns, in seconds, from sums of +1; and look at the grey lines of the live run. One seed would have told you any story, hence ten for each answer, stored with
# their commands in `rlcourse/results`, one step size for all.
#
# Either subtraction helps, and both together end highest: 390 of 500, against 153 for REINFORCE as it is. What ten seeds do *not* show: that leave-one-out beats a fitted $V$.
# The intervals overlap, and with a third of the step size (run once, not stored) $V$ ended at 370 and leave-one-out at 358; plain REINFORCE at 111.

# %% [markdown] slideshow={"slide_type": "subslide"} notes="3 minutes. Ask what they would do with a budget of 100 episodes: one step of 100, or ten of 10?"
# ### How large a batch?
#
# The notes advise batches "in the thousands", and say that step sizes are hard to choose. **How many episodes does one honest step need?**
#
# The signal is the squared length of $\nabla J$, the noise is the variance of the estimate; their ratio grows in proportion to $N$. *Predict* from the first picture: with how many
# episodes does the full return reach the noise level that ten episodes have with the others' mean subtracted?

# %% tags=["figure", "hide-input", "experiment"] rows=["S3-43:N", "S3-29:N"] slideshow={"slide_type": "subslide"} alt="Left: signal-to-noise ratio of four estimators over the batch size from 2 to 300 episodes, both axes logarithmic: four nearly parallel rising lines. Full return and reward-to-go lie about a hundred times below reward-to-go less the mean of the others and less V. Right: share of steps that lead downhill; for the full return it falls from 46 percent at two episodes to 7 percent at 300, with the mean of the others it is below 1 percent from ten on. Bands are 95 percent intervals of ten seeds."
fig.noise_against_batch()

# %% tags=["figure", "hide-input", "experiment"] rows=["S3-43:N"] slideshow={"slide_type": "subslide"} alt="Expected return after 60 updates over the step size, ten seeds. Left, plain ascent: the curve for rewards times ten is the curve for the rewards as they are, moved by a factor of ten to smaller steps. Right, Adam: the two curves are the same. Both curves fall off, with wide intervals, where steps are too large."
fig.step_sizes()

# %% [markdown] slideshow={"slide_type": "subslide"}
# Thousands, for the full return; some seventy for the same ratio with the others' mean subtracted. Here the two subtractions are worth eighty times the data.
#
# The step size has a unit, and plain ascent feels it: rewards times ten, best step divided by ten. Adam divides by the size of recent gradients, so the unit cancels; that is
# why agents use it. It cannot see noise from signal: too large a step ruins both (right edge), since a policy that stopped exploring has no gradient to come back by.
#
# **Take away:** ask of a gradient estimate how long its noise is; buy less noise with subtractions first, with episodes second.

# %% [markdown] slideshow={"slide_type": "slide"} notes="4 minutes, a bridge to lecture 06. Ask which factors of the weight a reward at step t can depend on."
# ## 8 · When does this fail?
#
# After one step of ascent the samples are out of date: they are of the old policy. **What if we use them all the same, again and again?**
#
# *Predict:* ten episodes, forty steps on them. Will the result be as good as with fresh episodes, a little worse, or will it fall back?

# %% tags=["figure", "hide-input", "experiment"] rows=["S3-29:N"] slideshow={"slide_type": "subslide"} alt="Expected return in the corridor over forty steps of gradient ascent, mean and 95 percent interval of twenty seeds. With a fresh batch of ten episodes for each step it rises from 15 towards the best possible 18.1 and reaches 17.7. With the first batch used again and again it keeps up for five steps, then levels off at 17.0, and its interval is several times as wide."
fig.stale_batch()

# %% [markdown] slideshow={"slide_type": "subslide"}
# For five steps nobody notices. Then the old batch has taught what it had, its accidents included. *Can it be read as if the new policy had made it?*
#
# It can, if $\beta$, the policy that acted, takes every action that $\pi$ may take: weigh each reward by how much likelier the new policy would have made what led to it.
# Lecture 06 lives there, and tells what a product of ratios does to the variance. Other limits: a policy that is nearly deterministic has scores near zero and stops learning;
# delayed rewards leave to every action the noise of all that follows (lecture 04 replaces it by a critic).

# %% tags=["derivation"] rows=["S3-25:D"] slideshow={"slide_type": "subslide"}
ratio = pi(a[t], s[t]) / beta(a[t], s[t])
w_all, w_k = Prod(t, 0, T - 1, ratio), Prod(t, 0, k, ratio)
weighted = (
    Derivation("Importance weights", "03.7", E(tau, pi, R(tau)), source=SOURCE["weighted"])
    .define(R(tau), steps(r[t]))
    .step(E(tau, beta, p_tau / p_beta * R(tau)),
          because="multiply and divide by the probability under β")
    .step(E(tau, beta, w_all * R(tau)),
          because="start and dynamics are the same for both policies and cancel")
    .step(E(tau, beta, Sum(k, 0, T - 1, w_k * r[k])),
          because="ratios after r_k have mean 1, given the past")
)
weighted

# %% tags=["derivation"] slideshow={"slide_type": "subslide"}
off_policy = (
    Derivation("The policy gradient from them", "03.7", grad(theta, J), source=SOURCE["off_policy"])
    .define(R(tau), steps(r[t]))
    .step(grad(theta, E(tau, beta, Sum(k, 0, T - 1, w_k * r[k]))), because="the last line above")
    .step(E(tau, beta, Sum(k, 0, T - 1, r[k] * w_k * Sum(t, 0, k, score))),
          because="∇ of a product is it times Σ ∇ log")
)
off_policy

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What the sources say, and what holds
#
# Five boxes stand above; the rest is here, computed in the cell below.
#
# | the slides and notes say | what holds |
# |---|---|
# | the trajectory's law is a product up to $p(s_{T+1})$ | then $\tau$ ends with that state; without it, one factor less |
# | the sum from the first step on is the reward-to-go | as a weight, the same mean; as an estimate of $Q$, wrong |
# | causality makes the estimate unbiased | it was; the variance is what changes |
# | the batch mean of $Q$ is a baseline like any other | it has the factor of section 4 |
# | $b$ stands in front of the integral and inside it | once is enough; no harm, as both are 0 |
# | in the variance, only the bracket is squared | the whole product is |
# | the best $b$ stands on both sides | an average of returns, weighed by $g^2$ |
# | the whole product of ratios equals the cut one | in the mean only; the cut one is not always the less noisy (last line) |

# %% tags=["derivation", "erratum", "hide-input"] rows=["S1-05:N", "S1-09:N", "S3-25:N", "S3-30:N", "S3-32:N"] slideshow={"slide_type": "subslide"}
later, of_q = Sum(k, t, T - 1, r[k]), E(tau, pi.given(s[t], a[t]), Sum(k, t, T - 1, r[k]))
world, g_all = FiniteWorld(0, T=3), steps(score)
_, all_states, _, _, p = listed(world)
print(f"all probabilities, the last state counted: {p.sum():.3f}")
for first in (0, 1):
    rest = Sum(k, first, T - 1, r[k])
    guess = [evaluate(E(tau, pi.given((s[1], 0), (a[1], j)), rest), world) for j in (0, 1)]
    print(f"rewards from step {first} on, given s_1 = 0 and each action: {guess[0]:.3f} {guess[1]:.3f}")
print("full return | to go:", moments(world, steps(score) * rewards_sum, steps(score * later)))
halved = E(tau_1, pi, steps(score * (of_q - (of_q + E(tau_2, pi, of_q)) / 2)))
share = evaluate(halved, world) / evaluate(grad(theta, E(tau, pi, rewards_sum)), world)
print(f"batch mean of Q as baseline, N = 2: {share:.4f} of the gradient")
world = FiniteWorld(0, b=1)
once, twice = (evaluate(E(tau, pi, g_all * x), world) for x in (b, b * b))
print(f"mean of score times b, and times b again: {abs(once):.4f} {abs(twice):.4f}")
printed = E(tau, pi, g_all * (rewards_sum - b) ** 2) - E(tau, pi, g_all * rewards_sum - b) ** 2
print(f"printed variance {evaluate(printed, world):.4f}   right:", moments(world, g_all * (rewards_sum - b)))
printed = E(tau, pi, g_all**2 * rewards_sum * b) / E(tau, pi, g_all**2)
guesses = [evaluate(printed, world.fixed(b=guess)) for guess in (0.0, 1.0, 2.0)]
print("printed best b, with 0, 1, 2 on its right side:", *(f"{guess:.4f}" for guess in guesses))
to_and_fro = FiniteWorld(0, P=np.array([[[0.0, 1.0]] * 2, [[1.0, 0.0]] * 2]), T=2,
                         p0=np.array([1.0, 0.0]), r=np.array([[1.0, 1.0], [-1.0, -1.0]]))
for world in (FiniteWorld(0), to_and_fro):
    cut = Sum(k, 0, T - 1, w_k * r[k])
    print("whole product | up to k:", moments(world, w_all * rewards_sum, cut, law=beta))

# %% tags=["summary"] slideshow={"slide_type": "slide"}
summary("Five formulas", policy_gradient, causality, baseline, best, pseudo_loss)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Five questions
#
# <details><summary>1. Why does the policy gradient need no model of the world?</summary>The logarithm turns the trajectory's probability into a sum, and the start's and the world's terms contain no θ: their derivative is zero.</details>
#
# <details><summary>2. Rewards that were paid before an action have mean zero against its score. Why drop them, then?</summary>In one sample they are not zero: they are noise, and the longer the episode, the more of it.</details>
#
# <details><summary>3. You subtract the mean return of a batch of four. What is the mean of your estimate?</summary>Three quarters of the gradient. Each return carries a quarter of itself in its own baseline; leave it out, or multiply by 4/3.</details>
#
# <details><summary>4. When is the mean return the best constant for a parameter?</summary>When the squared score of that parameter is uncorrelated with the return: then all episodes count alike in the weighed average.</details>
#
# <details><summary>5. Your loss went up for ten minutes. Is the agent getting worse?</summary>The loss does not say. Its value depends on the sampled returns and on the policy's entropy; only its gradient, at the parameters that sampled, has a meaning. Look at the return.</details>

# %% [markdown] slideshow={"slide_type": "skip"}
# ## Where to go
#
# [Exercises 03.1 to 03.6](../exercises/03_policy_gradients.ipynb) · back to lecture 01 (values) and the [course map](00_orientation.ipynb) · next: lecture 04, where a
# critic takes the place of the sampled return; 06, other policies' trajectories; 08, PPO; [13a](13a_reparametrisation_and_squashing.ipynb) compares the score function with
# the pathwise gradient.
#
# **References.** Williams (1992), Machine Learning 8 (REINFORCE). Sutton et al. (2000), NeurIPS (policy gradient theorem). Precup, Sutton and Singh (2000), ICML (per-decision
# weights). Greensmith, Bartlett and Baxter (2004), JMLR 5 (baselines). Peters and Schaal (2008), Neural Networks 21 (optimal baseline per coordinate). Jie and Abbeel
# (2010), NeurIPS (likelihood ratios and importance sampling). Thomas (2014), ICML (the missing discount). Schulman et al. (2015), NeurIPS (surrogate losses). Schulman et al.
# (2016), ICLR (advantage). Mnih and Rezende (2016), ICML; Kool, van Hoof and Welling (2019), ICLR workshop (leave-one-out). Sutton and Barto (2018), chapter 13. Nota and
# Thomas (2020), AAMAS (dropping the discount leaves no gradient).
