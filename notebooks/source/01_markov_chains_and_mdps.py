# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
#   rlcourse:
#     lecture: "01"
#     title: Markov chains, MDPs and value functions
#     minutes_read: 60
#     minutes_work: 50
#     status: draft
#     objectives: ["Write chains, MDPs and POMDPs as tensors", "Derive the objective from state-action marginals", "Compute stationary distributions and exact values"]
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # 01 · Markov chains, MDPs and value functions
#
# A walker stands on a ring of stones and tosses a coin: one step left, or one step right. On five stones nobody can tell, after a while, where the walk began.
# On six stones one always can, a little. **What settles, what does not, and what is a place worth when one walks on for ever?**

# %% tags=["imports"] slideshow={"slide_type": "skip"}
import dataclasses
import itertools

import numpy as np

from rlcourse import widgets
from rlcourse.figures import lecture_01 as fig
from rlcourse.figures import style
from rlcourse.notation import Abs, Assumption, Derivation, E, FiniteWorld, Pr, Prod, Sum, action, dynamics
from rlcourse.notation import erratum, evaluate, finite_worlds, function, grad, horizon, initial, oo, path
from rlcourse.notation import policy, real, reward, state, summary, time
from rlcourse.stats import mean_interval
from rlcourse.tabular.chains import belief_update, expected_return, sample_returns
from rlcourse.tabular.chains import state_action_marginals, state_marginals, stationary
from rlcourse.tabular.dp import policy_evaluation
from rlcourse.tabular.mdp import FiniteMDP, lottery
from rlcourse.widgets import lecture_01 as live

style.apply()
NOTES = "Guberina's notes"
t, k, T, tau = time("t"), time("k"), horizon(), path("tau")
s, s1, a, a1 = state("s"), state("s'"), action("a"), action("a'")
r, P, p0, pi = reward("r"), dynamics("P"), initial(), policy("pi")
theta, gamma = real("theta"), real("gamma", 0.3, 0.95)
pi_theta = policy("pi", theta)
mu, d = function("mu", t, s, subscripts=1), function("d", s)          # where: at time t; over a life
P_pi, r_pi = function("P_π", s, s1), function("r_π", s)               # what a policy makes of P and r
w, xi = function("w", t, s, a, subscripts=1), function("xi", t, a, subscripts=1)
Q, V = function("Q", t, s, a, subscripts=1), function("V", t, s, subscripts=1)
V_pi = function("V_π", s)
e, b = function("e", t, s, subscripts=1, is_positive=True), function("b", t, s, subscripts=1)

now, then = (s[t], s), (s[t + 1], s1)                                 # s_t = s; s_{t+1} = s′
chain = P_pi(s, s1), Sum(a, pi(a, s) * P(s1, s, a))
where = mu(t, s), Pr(pi, now)
pairs = w(t, s, a), Pr(pi, now, (a[t], a))
branching = [world for world in finite_worlds(60) if world.P.min() > 0 and world.p0.min() > 0][:20]
early = [world.fixed(t=min(1 + i % 2, world.horizon - 2)) for i, world in enumerate(branching)]


def to_go(first):
    """Σ of the rewards from step `first` to the last."""
    return Sum(k, first, T - 1, r[k])


value = V(t, s), E(tau, pi.given(now), to_go(t))
action_value = Q(t, s, a), E(tau, pi.given(now, (a[t], a)), to_go(t))


def policy_table(world):
    """π (S, A) of a world."""
    return world.function(pi.function).array.T


def chain_of(world):
    """What `state_marginals` takes: P_π, p0, and steps enough to see s_{t+1}."""
    return np.einsum("sa,sau->su", policy_table(world), world.P), world.p0, world.horizon + 1


def process_of(world):
    """What `state_action_marginals` takes."""
    return world.P, policy_table(world), world.p0, world.horizon


def task_of(world):
    """What `expected_return` takes."""
    return world.P, world.rewards(), *process_of(world)[1:]


somewhere = Derivation("Somewhere it is", "01.1", Sum(s, mu(t, s))).define(*where).step(1, because="probabilities")
some_start = Derivation("Some state comes first", "01.7", Sum(s, p0(s))).step(1, because="probabilities")
some_action = Derivation("Some action is taken", "01.7", Sum(a, pi(a, s))).step(1, because="probabilities")
looks = Derivation("The policy looks at the state alone", "01.3", Pr(pi.given((s[t], s)), (a[t], a)))
looks = looks.step(pi(a, s), because="that is what a policy is")


# %% tags=["figure", "hide-input"] slideshow={"slide_type": "fragment"} alt="Two heat maps of the chance to be on each stone over 24 steps. Left, five stones: a zigzag that fades within about 15 steps to an even shade. Right, six stones: from about step 8 on a checkerboard of one third and zero, with no sign of fading."
fig.rings()

# %% [markdown] slideshow={"slide_type": "slide"}
# After this lecture you can
#
# - **write** chains, decision processes and hidden states as tensors, with a stated order of indices
# - **say** when a chain settles, and **compute** where (exercise 01.1)
# - **derive** the objective as a sum over state-action marginals, and **compute** these (exercise 01.2)
# - **derive** $Q$ and $V$ from nested expectations, and **solve** for them (exercises 01.3 and 01.5)
# - **update** a belief by one observation (exercise 01.4)
#
# 60 minutes to read, 50 to work on [the exercises](../exercises/01_markov_chains_and_mdps.ipynb). You need sums, matrices and conditional probability;
# [lecture 00](00_orientation.ipynb) shows how the notebooks work.
#
# Every derivation below was checked by this machine when its cell ran. Change a sign and run it again: it tells you which step broke, and where.

# %% [markdown] slideshow={"slide_type": "slide"} notes="6 minutes. Misconception to probe: a matrix acts on a column from the left, always. Let the room choose between the two products before the numbers are shown."
# ## 1 · One step of a chain
#
# Let $P(s' \mid s, a)$ be the chance of state $s'$ after action $a$ in $s$, and $\pi(a \mid s)$ the chance that a *policy* takes $a$. Whoever watches the states only sees a
# *Markov chain*: what comes next depends on where it is, not on how it came there. Its table $P_\pi(s, s')$ has a row for now and a column for next.
# **If it is in state $s$ with chance $\mu_t(s)$, where is it one step later?**
#
# *Predict first:* in code, is the new vector `P_pi @ mu` or `mu @ P_pi`? Which of the two is sure to sum to 1?

# %% tags=["derivation"] slideshow={"slide_type": "subslide"}
one_step = (
    Derivation("One step of a chain", "01.1", mu(t + 1, s1), worlds=branching,
               source=f"{NOTES}, section 3.1")
    .define(*where).define(*chain)
    .step(Sum(s, mu(t, s) * Pr(pi.given(now), then)),
          because="it was somewhere before: the chance to be there, times that to go on")
    .also_equals(Sum(s, mu(t, s) * Pr(pi, then)), by=somewhere)
    .step(Sum(s, mu(t, s) * P_pi(s, s1)),
          because="Markov: the next state asks for s alone; the policy draws the action")
    .implements(state_marginals, lambda world: chain_of(world),
                entry=lambda rows, world: rows[int(world.value(t)) + 1, int(world.value(s1))])
)
one_step

# %% rows=["S3-03:N", "S3-03:I"] slideshow={"slide_type": "subslide"}
P_two = np.array([[0.9, 0.1], [0.5, 0.5]])       # row: now, column: next; each row sums to 1
start = np.array([0.2, 0.8])
print(f"start @ P: {start @ P_two}, sum {(start @ P_two).sum():.1f}")
print(f"P @ start: {P_two @ start}, sum {(P_two @ start).sum():.1f}")
for t_now, row in enumerate(state_marginals(P_two, start, horizon=4)):
    print(f"t = {t_now}:", row.round(4))

# %% tags=["erratum"] rows=["S3-03:N"] slideshow={"slide_type": "subslide"}
erratum(
    "A transposed chain", "one step of the chain, at state s′",
    printed=Sum(s, P_pi(s1, s) * mu(t, s)), correct=Sum(s, mu(t, s) * P_pi(s, s1)),
    truth=mu(t + 1, s1), where=[where, chain],
    worlds=[FiniteWorld(0, t=0), branching[3].fixed(t=0)],
    why="The notes give the transition matrix a row for the present state and then multiply it with the column "
        "of probabilities; the eigenvector of the stationary distribution inherits the slip. P times a column "
        "of values is right, and needed in section 6: it takes means of a function of the next state. "
        "Probabilities go forward, from the left, which is the transpose.",
)

# %% [markdown] slideshow={"slide_type": "subslide"}
# The rows sum to 1, so `mu @ P_pi` does too. `P_pi @ mu` adds up chances of *different* presents for one future; nothing keeps that at 1. In this course the
# outcome is always the last index: `P[s, a, s']`, `pi[s, a]`, `P_pi[s, s']`.
#
# **Take away:** probabilities multiply from the left, values from the right.

# %% [markdown] slideshow={"slide_type": "slide"} notes="9 minutes. Start with edge 0 to 1 at 0.05: mixing takes ages and state 0 fills up. Then the switch: always move on. Ask which single change would make it settle (a little staying at home). The start only matters for how far away one begins."
# ## 2 · Does it settle?
#
# A *stationary* distribution is one that a step leaves as it is. **Does $\mu_t$ converge to one, from wherever it starts?**
#
# Below, three states in a cycle $0 \to 1 \to 2 \to 0$: the sliders say how likely the chain is to move on (from state 2: one half); otherwise it stays.
#
# *Predict:* make the edge out of state 0 rare. Which state fills up? And if the chain *always* moves on, what does $\mu_t$ tend to?

# %% tags=["widget"] rows=["S3-08:W"] slideshow={"slide_type": "subslide"}
live.mixing()

# %% [markdown] slideshow={"slide_type": "subslide"}
# State 0 fills up: the time spent in a state is in proportion to how long one stays. When the chain always moves on, $\mu_t$ runs in circles of period 3 and tends to
# nothing; and yet one third in each state *is* stationary.
#
# So there are two questions. **Is there a stationary distribution?** And **is it where the chain goes?** For the first, follow one that always exists: where a life of
# random length is spent, $d(s)$ below, a sum over all times with weights that shrink by $\gamma$. As $\gamma$ goes to 1, some sequence of
# these $d$ has a limit (they are bounded); what a step moves goes to 0, so the limit is stationary.
#
# For the second question take two states, with $m$ the chance to be in the second; the chain leaves the first with chance $p$, the second with $q$. How far from its goal is $m$
# one step later?

# %% tags=["derivation"] rows=["S3-08:D"] slideshow={"slide_type": "subslide"}
leaves = FiniteWorld(0, P=np.tile([0.0, 1.0], (2, 2, 1)), p0=[1.0, 0.0]).fixed(**{"s'": 0})
exists = (
    Derivation("Every finite chain has a stationary distribution", "01.2",
               Abs(d(s1) - Sum(s, d(s) * P_pi(s, s1))),
               source=f"{NOTES}, section 3.3.1, asks the question")
    .define(*chain).define(d(s), (1 - gamma) * pi.rho(s, gamma))
    .step(Abs((1 - gamma) * (p0(s1) - Sum(s, d(s) * P_pi(s, s1)))),
          because="a visit is the first one, or follows another")
    .step(1 - gamma, because="two probabilities differ by at most 1", relation="<=", tight=leaves)
)
exists

# %% tags=["derivation"] rows=["S3-08:D"] slideshow={"slide_type": "subslide"}
m, p, q = real("m", 0, 1), real("p", 0.05, 1), real("q", 0.05, 1)
rate = (
    Derivation("How fast two states mix", "01.2", (m * (1 - q) + (1 - m) * p) - p / (p + q),
               source="Levin and Peres 2017, section 1.1 (the frog)")
    .step(m * (1 - p - q) + p - p / (p + q), because="collect what multiplies m", worlds="symbolic")
    .step((1 - p - q) * (m - p / (p + q)), because="p less the quotient is −(1 − p − q) times it",
          worlds="symbolic")
)
rate

# %% [markdown] slideshow={"slide_type": "subslide"}
# Each step multiplies the distance by $1 - p - q$, the second eigenvalue of the chain. Between $-1$ and $1$ the distance dies; at $-1$ (both always leave) it only changes
# sign; at $1$ (nobody leaves) every distribution is stationary.
#
# In general: **irreducible** (from every state one can get to every other) makes the stationary distribution unique; **aperiodic** as well makes $\mu_t$ converge to it. On six
# stones, each step changes between odd and even: period 2. The notes call the first condition ergodicity; most books mean both by that word.

# %% rows=["S3-08:N", "S3-03:I"] slideshow={"slide_type": "subslide"}
for stones in (5, 6):
    ring = fig.ring(stones)
    sizes = np.sort(np.linalg.eigvalsh(ring))
    print(f"{stones} stones: eigenvalues from {sizes[0]:+.3f} to {sizes[-1]:+.3f}, stationary",
          stationary(ring).round(3))
lazy = (np.eye(6) + fig.ring(6)) / 2                 # toss first whether to walk at all
print("lazy on six stones, t = 40:", state_marginals(lazy, np.eye(6)[0], 41)[-1].round(3))
print("two islands:", end=" ")
try:
    stationary(np.eye(2))
except ValueError as refused:
    print(str(refused).split(". ")[0])

# %% slideshow={"slide_type": "subslide"} tags=["code"] rows=["S3-03:I"]
widgets.source(stationary, docstring=False)

# %% [markdown] slideshow={"slide_type": "fragment"}
# No eigenvector is computed: states are struck out one by one, and whoever would have gone there goes on from there (Grassmann, Taksar and Heyman). As nothing is
# subtracted, no digits are lost.
#
# **Now** [exercise 01.1](../exercises/01_markov_chains_and_mdps.ipynb) (12 minutes): the stationary distribution, periodic chains included. **Take away:** one always
# exists; to be unique it needs a connected chain, to be the limit also an aperiodic one.

# %% [markdown] slideshow={"slide_type": "slide"} notes="8 minutes. Misconception to probe: actions are one more independent die. Ask for a world in which the printed formula of the box is as wrong as possible (the policy looks at the state, and reacts)."
# ## 3 · Add actions
#
# A *Markov decision process* is $(P, r, p_0)$: transitions `P[s, a, s']`, rewards `r[s, a]`, a first state drawn from $p_0$. A trajectory is
# $\tau := (s_0, a_0, s_1, \dots, a_{T-1}, s_T)$, and $r_t$ is paid for $(s_t, a_t)$. **How likely is a trajectory, and what is a chain about it?**
#
# *Predict:* two states, two actions, three steps. Of how many numbers is the probability of one trajectory a product? How many trajectories are there?
#
# (In the first derivation the sum of rewards stands beside, so that a wrong factor cannot hide.)

# %% tags=["derivation"] rows=["S3-06:D"] slideshow={"slide_type": "subslide"}
law = (
    Derivation("The law of a trajectory", "01.3", E(tau, pi, to_go(0)), source=f"{NOTES}, eq. 3.1")
    .step(Sum(tau, pi.law.probability() * to_go(0)), because="an expectation is a weighted sum over all τ")
    .step(Sum(tau, p0(s[0]) * Prod(t, 0, T - 1, pi(a[t], s[t]) * P(s[t + 1], s[t], a[t])) * to_go(0)),
          because="a start, then in turn an action of the policy and an answer of the world")
)
law

# %% tags=["derivation"] rows=["S3-06:D"] slideshow={"slide_type": "subslide"}
at_pair, next_pair = pi.given(now, (a[t], a)), (a[t + 1], a1)
pair_chain = (
    Derivation("States and actions together are a chain", "01.3", Pr(at_pair, then, next_pair),
               worlds=early, source=f"{NOTES}, eq. 3.2")
    .step(Pr(at_pair, then) * Pr(pi.given(now, (a[t], a), then), next_pair),
          because="chain rule of probability")
    .also_equals(Pr(at_pair, then) * Pr(pi.given((a[t], a), then), next_pair), by=looks)
    .also_equals(Pr(at_pair, then) * Pr(pi.given(now, then), next_pair), by=looks)
    .step(P(s1, s, a) * pi(a1, s1),
          because="Markov, twice: the world answers (s, a), the policy looks at s′")
)
pair_chain

# %% [markdown] slideshow={"slide_type": "subslide"}
# Seven numbers for one trajectory, and 128 trajectories. Their number grows exponentially with $T$, so nobody lists them. A chain, however, is followed one step at a time,
# by [01.1]. Its distribution $w_t(s, a)$ is called the *state-action marginal*.

# %% tags=["derivation"] rows=["S3-06:D"] slideshow={"slide_type": "fragment"}
marginal = (
    Derivation("State-action marginals, step by step", "01.4", w(t + 1, s1, a1), worlds=early,
               source=f"{NOTES}, eq. 3.2, summed over the present")
    .define(*pairs)
    .step(Sum(s, Sum(a, w(t, s, a) * P(s1, s, a) * pi(a1, s1))),
          because="it was somewhere and did something: the chance of that, times [01.3]")
    .step(Sum(s, Sum(a, w(t, s, a) * P(s1, s, a))) * pi(a1, s1),
          because="the policy at s′ does not ask where it came from")
    .implements(state_action_marginals, lambda world: process_of(world),
                entry=lambda rows, world: rows[int(world.value(t)) + 1, int(world.value(s1)),
                                               int(world.value(a1))])
)
marginal

# %% tags=["erratum"] rows=["S3-04:N", "S3-06:N"] slideshow={"slide_type": "subslide"}
xi_means = xi(t, a), Sum(s, mu(t, s) * pi(a, s))
erratum(
    "A policy that does not look", "one step of the states, at s′",
    printed=Sum(s, Sum(a, P(s1, s, a) * mu(t, s) * xi(t, a))),
    correct=Sum(s, Sum(a, P(s1, s, a) * mu(t, s) * pi(a, s))), truth=mu(t + 1, s1),
    where=[where, xi_means],
    worlds=[FiniteWorld(0, t=0, P=np.array([[[1.0, 0], [0, 1]], [[0, 1.0], [1, 0]]]),
                        pi=np.eye(2), p0=[0.5, 0.5]), branching[3].fixed(t=0)],
    why="The notes multiply the probabilities of the states with those of the actions, ξ, as if the two were "
        "drawn independently. That is open-loop control. A policy looks at the state: ξ has to become π(a|s). "
        "In the first world action 0 stays in state 0, action 1 leads back from state 1, and the policy knows.",
)

# %% rows=["S3-04:I"] slideshow={"slide_type": "subslide"} tags=["code"]
widgets.source(state_action_marginals, docstring=False)

# %% rows=["S3-04:N", "S3-06:N", "S3-04:I"] slideshow={"slide_type": "subslide"}
world = FiniteWorld(5)
swept, last = state_action_marginals(*process_of(world)), world.horizon - 1
print("shapes of P, pi, p0, w:", *(x.shape for x in process_of(world)[:3]), swept.shape)
listed = evaluate(Pr(pi, (s[last], 1), (a[last], 0)), world)
print(f"s = 1, a = 0 in the last step: {swept[-1, 1, 0]:.6f}; from all trajectories {listed:.6f}")
S, A = world.rewards().shape
for long in (3, 10, 100):
    many, few = long * np.log10(S * A), long * S * S * A
    print(f"T = {long:3}: about 1e{many:.0f} trajectories, {few} multiplications")

# %% [markdown] slideshow={"slide_type": "fragment"}
# **Now** [exercise 01.2](../exercises/01_markov_chains_and_mdps.ipynb) (12 minutes): the marginals of a policy that may change from step to step.
#
# **Take away:** a trajectory is a product; a marginal is a sweep; and the policy's factor sees the state.

# %% [markdown] slideshow={"slide_type": "slide"} notes="8 minutes. Ask why the reward may be any function at all in the derivation. In the widget drag theta from -2 to 6, then T to 20: the slope wanders off to the right and the plateau on the left is where learning would not start."
# ## 4 · What is to be made large
#
# The aim of reinforcement learning is a large mean of the sum of rewards, the *return*. It is a mean over trajectories. **Can it be had from the marginals alone?**
#
# *Predict:* do the correlations between what happens at different steps matter for the mean return? And for its variance?

# %% tags=["derivation"] rows=["S3-07:D"] slideshow={"slide_type": "subslide"}
linear = (
    Derivation("The objective from marginals", "01.5", E(tau, pi, to_go(0)),
               source=f"{NOTES}, eq. 3.3 and 3.4")
    .define(*pairs)
    .step(Sum(k, 0, T - 1, E(tau, pi, r[k])), because="the mean of a sum is the sum of the means")
    .step(Sum(k, 0, T - 1, Sum(s, Sum(a, w(k, s, a) * r(s, a)))),
          because="r asks for the pair at step k alone; all else sums to 1")
    .implements(expected_return, lambda world: task_of(world))
)
linear

# %% rows=["S3-07:N"] slideshow={"slide_type": "subslide"}
rng = np.random.default_rng(0)
process = FiniteMDP(world.P, world.rewards(), 1.0, world.p0)
returns = sample_returns(process, policy_table(world), (20_000,), world.horizon, rng)
error = returns.std() / np.sqrt(len(returns))
print(f"from all trajectories  {evaluate(E(tau, pi, to_go(0)), world):.4f}")
print(f"from the marginals     {expected_return(*task_of(world)):.4f}")
print(f"20,000 returns         {returns.mean():.3f} ± {error:.3f} (standard error)")
w_all, r_all = state_action_marginals(*process_of(world)), world.rewards()
apart = (w_all * r_all**2).sum((1, 2)) - (w_all * r_all).sum((1, 2)) ** 2
print(f"variance of the return {returns.var():.2f}, sum of the steps' variances {apart.sum():.2f}")

# %% [markdown] slideshow={"slide_type": "subslide"}
# The mean needs no correlations; the variance does. So an objective that is a mean is *linear in the marginals*. Nothing was asked of the rewards, and here they are as
# rough as can be: a car is paid 1 per step while it is on the road, and nothing once it is off. The policy steers with chance $\sigma(\theta)$, the logistic function.
#
# **How can one climb a reward that jumps?** *Predict:* is the expected return smooth in $\theta$? Where would a learner that starts at $-4$ feel no slope?

# %% tags=["widget"] rows=["S3-09:W"] slideshow={"slide_type": "subslide"}
live.smooth_objective()

# %% tags=["derivation"] slideshow={"slide_type": "subslide"}
paid_alike = Assumption("the reward does not contain θ", source=f"{NOTES}, note in section 3.3.1")
smooth = (
    Derivation("The derivative falls on the policy", "01.6",
               grad(theta, E(a, pi_theta.at(s), r(s, a))), source=f"{NOTES}, note in section 3.3.1")
    .assuming(paid_alike)
    .step(Sum(a, r(s, a) * grad(theta, pi_theta(a, s))),
          because="a sum, whose weights are the policy's: only they contain θ")
    .fails_without(paid_alike, removed=(grad(theta, E(a, pi_theta.at(s), r(s, a) * theta)),
                                        Sum(a, r(s, a) * theta * grad(theta, pi_theta(a, s)))))
)
smooth

# %% [markdown] slideshow={"slide_type": "fragment"}
# The reward is not differentiated at all. What has to be smooth is the policy: without dice (the dashed line) the mean jumps as the reward does. Smooth does not mean
# easy, though: far to the left the slope is nearly 0. Lecture 03 turns this one line into the policy gradient.
#
# **Take away:** a mean is linear in the marginals, and as smooth as the policy, however rough the reward.

# %% [markdown] slideshow={"slide_type": "slide"} notes="8 minutes. Write the nested brackets on the board from the inside out; let the room find the bracket that repeats. Then name it."
# ## 5 · Nested means, and what repeats in them
#
# One mean over whole trajectories hides in which order things happen: a state, an action, a state, an action. **What does the objective look like in that order, and which part of it does a policy
# need to know to do better?**
#
# *Predict:* standing in $s_0$, which one number per action would tell you what to do, if all later decisions are already made?

# %% tags=["derivation"] rows=["S3-10:D"] slideshow={"slide_type": "subslide"}
first, both = pi.given((s[0], s)), pi.given((s[0], s), (a[0], a))
at_s1, at_a1 = pi.given((s[1], s1)), pi.given((a[1], a1))
onward = E(tau, pi.given((s[1], s1), (a[1], a1)), to_go(1))


def outer(body):
    """The mean over first states."""
    return Sum(s, p0(s) * body)


def inner(body):
    """The mean over the second state and the second action."""
    return E(s1, P.at(s, a), E(a1, pi.at(s1), body))


nested = (
    Derivation("Nested expectations", "01.7", E(tau, pi, to_go(0)), source=f"{NOTES}, eq. 3.5 to 3.8")
    .define(*action_value)
    .step(outer(E(a, pi.at(s), E(tau, both, to_go(0)))),
          because="the first state outside, then the first action, the rest inside")
    .also_equals(outer(E(a, pi.at(s), E(tau, first, to_go(0)))), by=some_action)
    .also_equals(outer(E(a, pi.at(s), E(tau, pi.given((a[0], a)), to_go(0)))), by=some_action)
    .step(outer(E(a, pi.at(s), r(s, a) + inner(onward))),
          because="r₀ is known by now and leaves; then the second state, the second action")
    .also_equals(outer(E(a, pi.at(s), r(s, a) + inner(E(tau, at_s1, to_go(1))))), by=some_action)
    .also_equals(outer(E(a, pi.at(s), r(s, a) + inner(E(tau, at_a1, to_go(1))))), by=some_action)
    .step(outer(E(a, pi.at(s), Q(0, s, a))), because="all of that depends on (s, a): call it Q")
)
nested

# %% [markdown] slideshow={"slide_type": "subslide"}
# $Q_t(s, a)$ is the mean of the rewards from step $t$ on, given that the state is $s$ and the action $a$; $V_t(s)$ leaves the action to the policy. The inner bracket above had
# the same form as the outer one, one step later. That makes two recursions out of one list of trajectories.

# %% tags=["derivation"] rows=["S3-11:D"] slideshow={"slide_type": "subslide"}
before_last = [world.fixed(t=max(0, world.horizon - 2 - i % 2)) for i, world in enumerate(branching)]
recursion = (
    Derivation("Q one step later", "01.8", Q(t, s, a), worlds=before_last,
               source=f"{NOTES}, eq. 3.7 and 3.9")
    .define(*action_value).define(*value)
    .step(E(tau, pi.given(now, (a[t], a)), r[t] + to_go(t + 1)), because="the first reward apart")
    .step(r(s, a) + E(s1, P.at(s, a), E(a1, pi.at(s1), Q(t + 1, s1, a1))),
          because="it is known; then the world answers, then the policy")
    .step(r(s, a) + E(s1, P.at(s, a), V(t + 1, s1)), because="the policy's mean of Q is V")
)
recursion

# %% tags=["derivation"] rows=["S3-11:D"] slideshow={"slide_type": "subslide"}
by_action = (
    Derivation("V is the policy's mean of Q", "01.8", V(t, s), source=f"{NOTES}, eq. 3.10 and 3.11")
    .define(*action_value).define(*value)
    .step(E(a, pi.at(s), Q(t, s, a)), because="the action at step t, drawn by the policy")
)
by_action

# %% tags=["derivation"] rows=["S3-11:D"] slideshow={"slide_type": "subslide"}
start_value = (
    Derivation("The objective is the value of the start", "01.9", E(tau, pi, to_go(0)),
               source=f"{NOTES}, eq. 3.12")
    .define(*value)
    .step(outer(E(tau, first, to_go(0))), because="the first state outside, as in [01.7]")
    .also_equals(outer(E(tau, pi, to_go(0))), by=some_start)
    .step(outer(V(0, s)), because="what is inside is V")
)
start_value

# %% [markdown] slideshow={"slide_type": "subslide"}
# The recursion runs from the end: in the last step $Q$ is the reward. With a finite horizon $Q$ and $V$ carry the time, since with one step left a place is worth less
# than with ten.
#
# **Take away:** $Q$ is the part of the nested mean that an action can change; $V$ is its mean; the objective is $V$ at the start.

# %% [markdown] slideshow={"slide_type": "slide"} notes="9 minutes. Derivation first, then ask why the matrix has an inverse (rows of P sum to 1, gamma makes them sum to less). Then the map: where would you go with this Q? Let them find the cell from which the arrow surprises (bottom right turns away from the goal above it: the pit is beside the way)."
# ## 6 · Without an end: one linear system
#
# Without a last step, recursion has nowhere to begin. Let rewards be discounted, $\gamma^t r_t$ with $0 < \gamma < 1$: the sum is finite, and every moment looks like the first, so that $V$ loses its time
# index. **How do you compute a sum over endless time exactly?**
#
# *Predict:* for eleven states, how many equations, how many unknowns?

# %% tags=["derivation"] rows=["S3-11:D"] slideshow={"slide_type": "subslide"}
endless = (
    Derivation("Values solve a linear system", "01.10", V_pi(s),
               source="Sutton and Barto 2018, eq. 3.14, as a system")
    .define(V_pi(s), E(tau, pi.given((s[0], s)), Sum(t, 0, oo, gamma**t * r[t])))
    .define(*chain).define(r_pi(s), Sum(a, pi(a, s) * r(s, a)))
    .step(E(a, pi.at(s), r(s, a) + gamma * E(s1, P.at(s, a), V_pi(s1))),
          because="the first reward, and γ times the same sum, one step later")
    .step(r_pi(s) + gamma * Sum(s1, P_pi(s, s1) * V_pi(s1)),
          because="means over actions: rows of r and P under the policy")
    .implements(policy_evaluation,
                lambda world, gamma: (FiniteMDP(world.P, world.rewards(), float(gamma), world.p0),
                                      policy_table(world)),
                entry=lambda VQ, s: VQ[0][int(s)])
)
endless

# %% [markdown] slideshow={"slide_type": "subslide"}
# As many equations as states. Bring $V$ to one side: the matrix is $I - \gamma P_\pi$. It has an inverse because no vector $x$ is $\gamma P_\pi x$ except 0: an average
# of entries, shrunk by $\gamma$, cannot be as large as the largest. Here the *column* stands on the right, as promised in section 1.

# %% rows=["S3-11:I"] slideshow={"slide_type": "fragment"}
mdp, drift = fig.drifter()                   # the 4 x 3 map, each of four moves with chance 1/4
V_drift, Q_drift = policy_evaluation(mdp, drift)
print(f"V(start) = {mdp.p0 @ V_drift:.6f} from one solve of {mdp.n_states} equations")
late = state_action_marginals(mdp.P, drift, mdp.p0, 60)
for steps in (5, 20, 60):
    part = sum(mdp.gamma**i * (late[i] * mdp.r).sum() for i in range(steps))
    bound = mdp.gamma**steps * abs(mdp.r).max() / (1 - mdp.gamma)
    print(f"first {steps:2} terms of the sum: {part:.6f}, off by at most {bound:.4f}")
rooms = dataclasses.replace(fig.rooms(), gamma=1.0)
try:
    policy_evaluation(rooms, np.full((5, 2), 0.5))
except ValueError as refused:
    print("gamma = 1, no end:", str(refused).split(". ")[0].split(": ")[1])

# %% tags=["figure", "hide-input"] rows=["S3-11:N"] slideshow={"slide_type": "subslide"} alt="Two maps of the 4 by 3 world with a goal of plus one at the top right, a pit of minus one below it, and a wall inside. Left: the values of a policy that moves at random, from -0.75 beside the pit to +0.08 beside the goal, with an arrow in each cell for the action of largest Q; the arrows lead to the goal and away from the pit. Right: the values of the policy that follows these arrows, from 0.01 to 0.89, higher in every cell."
fig.improvement()

# %% [markdown] slideshow={"slide_type": "subslide"}
# **What are $Q$ and $V$ good for?** The drifter's own $Q$ says which move it should have made. Take it everywhere, and the new policy is at least as good in every state: each single
# change helps, and the changes do not spoil each other. Lecture 02 proves it and goes on until nothing improves. The other use: an action with $Q$ above $V$ should become more likely;
# that is lecture 03.
#
# **When it fails:** at $\gamma = 1$ without an end there is no inverse, and the package says so. **Now** [exercise 01.3](../exercises/01_markov_chains_and_mdps.ipynb)
# (15 minutes); then exercise 01.5. **Take away:** values of an endless task are one linear solve.

# %% [markdown] slideshow={"slide_type": "slide"} notes="6 minutes. Vote: how many episodes for the second decimal? Then the figure; then the lottery, where one third of the experiments see nothing at all and report an interval of width zero."
# ## 7 · Dice instead of the matrix
#
# To solve the system one has to know $P$. Whoever does not can play: average the returns of $n$ episodes. **How many episodes is a linear solve worth?**
#
# *Predict:* the return of the drifter has a standard deviation of 0.19. How many episodes for an error of about 0.01? And for 0.001?

# %% tags=["experiment", "hide-input"] rows=["S3-11:N"] slideshow={"slide_type": "subslide"} alt="Left: running means of returns over the number of episodes, 1 to 4,096, one grey line for each of 20 seeds; they close in on the black line at -0.410. Right: the mean absolute error over the 20 seeds with a 95 percent bootstrap interval, on two logarithmic axes; it falls from 0.13 to 0.002 along the dotted line with slope minus one half."
fig.monte_carlo()

# %% slideshow={"slide_type": "subslide"} rows=["S3-11:N"]
n, means = fig.running_means()
exact, spread = fig.return_moments(mdp, drift)
for episodes in (16, 256, 4096):
    error = abs(means - exact)[:, np.flatnonzero(n == episodes)[0]]
    expected = np.sqrt(2 / np.pi / episodes) * spread
    print(f"n = {episodes:4}: error {error.mean():.4f}, mean of 20 seeds; expected {expected:.4f}")
game, buys = lottery(), np.eye(2)[[1, 0, 0, 0]]         # wins 10 once in 100 times: worth 0.1
tickets = sample_returns(game, buys, (100, 2000), 3, np.random.default_rng(0))
mean, low, high = mean_interval(tickets)
print(f"100 tickets, 2,000 times over: {100 * (mean == 0).mean():.1f} % saw no win and say 0 ± 0;")
print(f"the 95 % interval covers the true 0.1 in {100 * ((low <= 0.1) & (high >= 0.1)).mean():.1f} %")

# %% [markdown] slideshow={"slide_type": "fragment"}
# About 220 and 22,000: the error falls like $1/\sqrt n$, so each further digit costs a hundred times the dice. The estimate is unbiased but for the cut at 120 steps, and
# asks for no Markov property at all. **When it fails:** rare large rewards. A sample without one looks like certainty. Twenty seeds show the mean error of this policy in
# this small world, no more.
#
# **Take away:** sampling needs no model, and pays for every digit.

# %% [markdown] slideshow={"slide_type": "slide"} notes="9 minutes. Start at noise 0.1, step through 0 to 4 and let the room say where the robot is. Then noise 0.5 (nothing is learned), noise 0 (five rooms, sure after few steps). Then eyes closed: flat at log 5, because uniform is stationary for a ring; section 2 again."
# ## 8 · When the state is hidden
#
# A robot goes round five rooms; a step succeeds four times in five. It cannot see where it is: its eyes say *door* or *wall*, and err at times. Such a process has, besides $P$ and $r$, an
# *emission* table `E[s', o]`: the chance of observation $o$ **in the new state**. It is a partially observed MDP. **What should it believe?**
#
# *Predict:* it saw door, door, door, wall. Rooms 0, 1 and 3 have doors. Where is it? Can one more look make it *less* sure?

# %% tags=["widget"] rows=["S3-05:W"] slideshow={"slide_type": "subslide"}
live.belief()

# %% [markdown] slideshow={"slide_type": "subslide"}
# Probably in room 2; and yes: look for steps at which the entropy rises. The *belief* $b_t(s)$ is the probability of $s_t$ given what has been seen. Let $e_k(s)$ be the chance, in state $s$,
# of what was observed at step $k$, that is, one column of $E$. How does the next belief follow from the last? (In the derivation the policy's actions are averaged; a known action puts
# $P(s' \mid s, a)$ in the place of $P_\pi$.)

# %% tags=["derivation"] slideshow={"slide_type": "fragment"}
seen = Prod(k, 1, t, e(k, s[k]))
seen_next = Prod(k, 1, t + 1, e(k, s[k]))
evidence = E(tau, pi, seen)
belief = (
    Derivation("Move, weigh, divide", "01.11", b(t + 1, s1), worlds=early,
               source="Kaelbling, Littman and Cassandra 1998, section 3.3")
    .define(b(t, s), Pr(pi, now) * E(tau, pi.given(now), seen) / evidence).define(*chain)
    .step(e(t + 1, s1) * Sum(s, b(t, s) * P_pi(s, s1)) * evidence / E(tau, pi, seen_next),
          because="what is seen in s′ asks for s′ alone (Markov); the move is [01.1]")
    .step(e(t + 1, s1) * Sum(s, b(t, s) * P_pi(s, s1))
          / Sum(s1, e(t + 1, s1) * Sum(s, b(t, s) * P_pi(s, s1))),
          because="beliefs sum to 1, so the factor is one over the sum")
)
belief

# %% rows=["S3-05:N", "S3-05:I"] slideshow={"slide_type": "subslide"}
rooms, eyes, guess = fig.rooms(), fig.emission(noise=0.1), np.full(5, 0.2)
walks = np.array(list(itertools.product(range(5), repeat=4)))         # all s_0 s_1 s_2 s_3
chance = rooms.p0[walks[:, 0]]
for i, o in enumerate((1, 1, 0)):                                     # door, door, wall
    guess = belief_update(guess, 1, o, rooms.P, eyes)
    chance = chance * rooms.P[walks[:, i], 1, walks[:, i + 1]] * eyes[walks[:, i + 1], o]
print("E[s', o], rows are rooms:", eyes.round(2).tolist())
print("three updates    ", guess.round(4))
print("all 625 walks    ", (np.bincount(walks[:, 3], chance) / chance.sum()).round(4))
try:
    belief_update(np.eye(5)[0], 0, 0, rooms.P, fig.emission(noise=0.0))
except ValueError as refused:
    print("sure of room 0, stays, sees a wall:", str(refused).split(";")[0])

# %% [markdown] slideshow={"slide_type": "fragment"}
# The belief is itself a state: the next one depends on the last belief, the action and the observation alone. So a POMDP is an MDP on beliefs, with a continuous state; that is
# why it is hard. **When it fails:** a model that is too sure divides 0 by 0; the package refuses.
#
# **Now** [exercise 01.4](../exercises/01_markov_chains_and_mdps.ipynb) (10 minutes). **Take away:** move with $P$, weigh with $E$, divide by the sum; the past may then be
# forgotten.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What the source says, and what holds
#
# Two boxes stand above; the rest is here, computed in the cell below.
#
# | the notes say | what holds |
# |---|---|
# | a backup adds $\gamma$ times a matrix with *columns* for the present, times values (eq. 6.11 and 6.16) | section 3.1 and chapter 6 swap their conventions, and both multiply on the wrong side; values need rows for the present |
# | the product of 3.1 runs to step $T$, the list of variables ends with the action there | the product contains one more state: either $\tau$ ends with it, or the last factor goes |
# | the space of observations is called by the letter of the transition law; the first of the nested means runs over $\tau$ | a slip of the pen each: observations have their own letter, and the first mean is over the first state |

# %% tags=["erratum", "hide-input"] rows=["S3-04:N", "S3-06:N", "S3-10:N"] slideshow={"slide_type": "subslide"}
world = FiniteWorld(0, gamma=0.9)
process = FiniteMDP(world.P, world.rewards(), 0.9, world.p0)
P_table, _, p_start, _ = process_of(world)
P_under, r_under = process.under(policy_table(world))
solved, _ = policy_evaluation(process, policy_table(world))
print("V:", solved.round(4), "  rows for the present:", (r_under + 0.9 * P_under @ solved).round(4),
      "  columns for it:", (r_under + 0.9 * P_under.T @ solved).round(4))
factors, table = np.einsum("s,sa->sa", p_start, policy_table(world)), policy_table(world)
whole = np.einsum("sa,sau,ub,ubv->saubv", factors, P_table, table, P_table)
print("T = 2, product to the end, all variables:", whole.shape, f"sum {whole.sum():.4f}")
print(f"summed over s0 a0 s1 a1 with the last state held at 0: {whole[..., 0].sum():.4f}; without its factor:",
      f"{np.einsum('sa,sau,ub->', factors, P_table, table):.4f}")
print(f"J {p_start @ solved:.4f} is a mean over first states, weights {p_start.round(3)}")

# %% tags=["summary"] slideshow={"slide_type": "slide"}
summary("Five formulas", one_step, linear, recursion, endless, belief)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Five questions
#
# <details><summary>1. Your distribution sums to 1.3 after one step. What happened?</summary>The matrix has rows for the present, and you multiplied from the wrong side. mu @ P, not P @ mu.</details>
#
# <details><summary>2. A chain is irreducible and has period 2. Has it a stationary distribution, and does it converge to it?</summary>It has exactly one; the chain does not converge to it unless it starts there. A little staying at home, (I + P)/2, repairs that and keeps the stationary distribution.</details>
#
# <details><summary>3. The reward is 0 or 1. Why can the objective be climbed by its slope?</summary>It is a mean: the reward enters as a number, and only the weights, which are the policy's, contain the parameters. If the policy is smooth in them, so is the mean.</details>
#
# <details><summary>4. Why has I − γP an inverse for γ below 1, and not for γ = 1?</summary>γP averages and shrinks, so no vector other than 0 is left as it is. At γ = 1 the vector of ones is left as it is: its image under I − P is 0.</details>
#
# <details><summary>5. A hundred episodes all returned the same. How sure are you of the value?</summary>As sure as you are that there are no rare events. In the lottery, a third of such samples show no win; the interval has width 0 and is wrong.</details>

# %% [markdown] slideshow={"slide_type": "skip"}
# ## Where to go
#
# [Exercises 01.1 to 01.5](../exercises/01_markov_chains_and_mdps.ipynb) · back to [lecture 00](00_orientation.ipynb), the course map · next: lecture 02 improves policies with $Q$ and says when
# that converges; [lecture 03](03_policy_gradients.ipynb) climbs the objective without knowing $P$;
# [lecture 11](11_control_as_exact_inference.ipynb) meets beliefs about actions.
#
# **References.** Puterman (1994), *Markov decision processes*. Sutton and Barto (2018), *Reinforcement learning*, chapter 3. Levin and Peres (2017), *Markov chains and mixing times*, chapter 1.
# Grassmann, Taksar and Heyman (1985), Operations Research 33 (stationary distributions without subtractions). Kaelbling, Littman and Cassandra (1998), Artificial Intelligence
# 101 (POMDPs, the belief update). Åström (1965), Journal of Mathematical Analysis and Applications 10 (beliefs as states). Source text: Guberina's reinforcement learning notes,
# chapter 3.
