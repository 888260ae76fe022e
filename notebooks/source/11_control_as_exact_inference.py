# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
#   rlcourse:
#     lecture: "11"
#     title: Control as exact inference
#     minutes_read: 60
#     minutes_work: 50
#     status: draft
#     objectives: ["Formulate planning as inference", "Run backward and forward messages and derive the policy", "Explain optimism in stochastic dynamics"]
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # 11 · Control as exact inference
#
# Suppose that somebody tells you: every step went well. Which actions were probably taken? Bayes' rule turns that question into a planner, with
# messages for values and a posterior for a policy. Give it a lottery ticket that wins one time in a hundred, and it buys.
# **Why does exact inference believe in luck?**

# %% tags=["imports"] slideshow={"slide_type": "skip"}
import numpy as np

from rlcourse.notation import LSE, Assumption, Derivation, E, FiniteWorld, Max, Pr, Prod, StepFails, Sum
from rlcourse.notation import action, dynamics, erratum, evaluate, exp, finite_worlds, function, horizon
from rlcourse.notation import initial, log, oo, optimality, path, policy, positive, real, reward, state
from rlcourse.notation import summary, terminal, time
from rlcourse.tabular.mdp import FiniteMDP, lottery
from rlcourse.tabular.soft import backward_messages, forward_messages, posterior_policy
from rlcourse.tabular.soft import variational_messages

t, T, s, a, s1 = time("t"), horizon("T"), state("s"), action("a"), state("s'")
tau, tau_1, tau_2 = path("tau"), path("tau_1"), path("tau_2")
alpha, c, n, Z = positive("alpha"), real("c"), positive("n"), positive("Z")
r, P, p0, d = reward("r"), dynamics("P"), initial("p_0"), terminal("d")
mu, q = policy("mu"), policy("q", timed=True)
O = optimality(r, alpha)                                           # p(O_t = 1 | s_t, a_t) is e^(r_t/α)
R, L, M, F, W = (function(name, tau) for name in ("R", "L", "M", "F", "W"))
beta = function("beta", t, s, a, subscripts=1, is_positive=True)  # two functions of one name; what
beta_s = function("beta", t, s, subscripts=1)                     # they take tells them apart
Q, V = function("Q", t, s, a, subscripts=1), function("V", t, s, subscripts=1)

here, here_now = (s[t], s), ((s[t], s), (a[t], a))                # s_t = s; and with a_t = a
ahead_s, ahead = Pr(mu.given(here), O[t:T]), Pr(mu.given(*here_now), O[t:T])
there = (s[t + 1], s1)                                             # s_{t+1} = s′
ahead_next = Pr(mu.given(there), O[t + 1 : T])
value = (V(t, s), alpha * log(ahead_s)), (Q(t, s, a), alpha * log(ahead))

reached = [w for w in finite_worlds(24) if evaluate(Pr(mu, here), w) > 0]
certain = np.eye(2)[[[0, 1], [1, 0]]]                              # P: action 0 stays, action 1 moves
cold = [4.0**-k for k in range(1, 14)]                             # temperatures on the way to 0
even = np.full((2, 2), 0.5)                                        # a uniform prior
two_states = dict(P=np.array([[[0.75, 0.25], [0.5, 0.5]], [[0.25, 0.75], [0.1, 0.9]]]),
                  p0=np.array([0.6, 0.4]))
branching = [w for w in finite_worlds(24) if w.P.min() > 0]        # where every next state is possible
branching += [FiniteWorld(i, **two_states, T=3, t=1) for i in range(3)]


def messages_of(world, alpha):
    """What the package's functions take: process, horizon, temperature, prior."""
    process = FiniteMDP(world.P, world.rewards(), 1.0, world.p0)
    return process, world.horizon, float(alpha), world.function(mu.function).array.T


def smoothed(log_f, V, alpha):
    """p(s_t | O) for all t, from the logarithm of the forward messages and V."""
    weight = np.exp(log_f + V / alpha)
    return weight / weight.sum(-1, keepdims=True)


def printed(name, before, after, *definitions, worlds=20, as_infinite=None):
    """Tries a step as a source prints it; shows both lines in the simplest world in which it fails."""
    claim = Derivation(f"{name} as printed", "11", before, worlds=worlds)
    for left, right in definitions:
        claim = claim.define(left, right)
    try:
        claim.tends_to(after, "as is", as_infinite, oo) if as_infinite else claim.step(after, "as is")
    except StepFails as refused:
        both = ("  the line before", "  this line", "  at ")
        print(name, *(x for x in str(refused).splitlines() if x.startswith(both)), sep="\n")
    else:
        raise AssertionError(f"{name}: the printed step holds")


# %% [markdown] slideshow={"slide_type": "slide"} notes="10 minutes. Misconception to probe: optimality variables are not observed data; we condition on a wish."
# ## 1 · Condition on success
#
# A prior policy $\mu$ acts for $T$ steps, and a trajectory is $\tau := (s_0, a_0, \dots, s_T)$. At each step an *optimality variable* $O_t$ is 1 with a
# probability that grows exponentially with the reward; $\alpha$ is the temperature. **Given that all of them are 1, how likely is a trajectory?**
#
# *Predict:* two trajectories differ by 2 in return, at $\alpha = 0.5$. By which factor do their posterior odds differ from their prior odds?
#
# Used in 11.2 to 11.7, in lecture 12 (variational inference starts from this posterior) and in lecture 18.

# %% tags=["derivation"] rows=["S0-19:D", "S3-158:D", "S4-06:D", "S4-08:D"] slideshow={"slide_type": "subslide"}
posterior = (
    Derivation("A trajectory, given success", "11.1", mu.given(O[0:T]).probability(),
               source="Levine 2018, section 2.2; Toussaint 2009; inference slides, MDP as a model")
    .define(R(tau), Sum(t, 0, T - 1, r[t]))
    .define(L(tau), Prod(t, 0, T - 1, exp(r[t] / alpha)))
    .define(M(tau), Prod(t, 0, T - 1, mu(a[t], s[t])))
    .define(F(tau), p0(s[0]) * Prod(t, 0, T - 1, P(s[t + 1], s[t], a[t])))
    .define(Z, Pr(mu, O[0:T]))
    .step(mu.law.probability() * L(tau) / Z,
          because="Bayes' rule; given τ the steps succeed independently")
    .step(mu.law.probability() * exp(R(tau) / alpha) / Z, because="a product of exponentials")
    .step(F(tau) * M(tau) * exp(R(tau) / alpha) / Z,
          because="p_μ(τ): the first state and the dynamics, times the prior policy")
    .up_to(F(tau) * M(tau) * exp(R(tau) / alpha), factor=1 / Z, free_of=tau,
           because="Z is the same for every trajectory")
)
posterior

# %% [markdown] slideshow={"slide_type": "subslide"}
# **When is the weight a probability?** Nothing above asked for a sign of the reward; but a probability cannot exceed 1.
#
# *Predict:* a reward of 0.5 at $\alpha = 1$. What is "the probability" of success then?
#
# With positive rewards the weights are *potentials*: Z is then no probability, and conditional probabilities are as good as before, because a constant
# added to the reward cancels (shown in 11.7).

# %% tags=["derivation"] rows=["S3-158:D"] slideshow={"slide_type": "subslide"}
losses = [FiniteWorld(i, r=-abs(w.rewards())) for i, w in enumerate(finite_worlds(9))]
no_gain = Assumption("rewards are never positive",
                     source="Levine 2018, section 2.2; notes, text after 15.7")
probability = (
    Derivation("When success has a probability", "11.1", Pr(mu.given(*here_now), O[t]), worlds=losses,
               source="Levine 2018, section 2.2")
    .assuming(no_gain)
    .step(exp(r(s, a) / alpha), because="the model of the optimality variable")
    .step(1, because="r ≤ 0", relation="<=", tight=FiniteWorld(0, r=np.zeros((2, 2))))
    .fails_without(no_gain, FiniteWorld(0, r=np.full((2, 2), 0.5), alpha=1))
)
probability

# %% [markdown] slideshow={"slide_type": "subslide"}
# **When does only the return matter?** One text says that the trajectory of largest return is always the most likely; another adds a condition.
#
# *Predict:* which three things must be the same for all trajectories?

# %% tags=["derivation"] rows=["S4-09:D", "S3-158:D"] slideshow={"slide_type": "subslide"}
sure = Assumption("the dynamics are deterministic",
                  source="Levine 2018, section 2.2; inference slides, deterministic dynamics")
uniform = Assumption("the prior policy is uniform", source="inference slides, deterministic dynamics")
one_start = Assumption("all first states are equally likely",
                       source="missing on the slide, which calls p(τ) constant")
plain = [FiniteWorld(i, P=certain, mu=even, p0=[0.5, 0.5], T=2 + i % 3) for i in range(3, 15)]
only_return = (
    Derivation("Only the return matters, if", "11.1", mu.given(O[0:T]).probability(),
               source="Levine 2018, section 2.2", worlds=plain)
    .assuming(sure).assuming(uniform).assuming(one_start)
    .define(R(tau), Sum(t, 0, T - 1, r[t])).define(F(tau), p0(s[0]))
    .define(n, Sum(a, 1)).define(Z, Pr(mu, O[0:T]))
    .step(F(tau) * exp(R(tau) / alpha) / (n**T * Z),
          because="[11.1], where each P is 1 and each μ is one in n")
    .fails_without(sure, FiniteWorld(0, mu=even, alpha=5)).fails_without(uniform, FiniteWorld(1, P=certain))
    .up_to(exp(R(tau) / alpha), factor=F(tau) / (n**T * Z), free_of=tau,
           because="what is left is the same for every trajectory")
    .fails_without(one_start, FiniteWorld(5, P=certain, mu=even, p0=[0.8, 0.2], T=2))
)
only_return

# %% [markdown] slideshow={"slide_type": "subslide"}
# The odds change by the factor $e^4$, about 55: a difference in return, divided by $\alpha$. As $\alpha$ falls, the posterior collects on the best trajectories.
# Run the cell: the mean return of the posterior, from hot to cold.
#
# **Take away:** prior times exponentiated return; the return alone decides only under three conditions.

# %% rows=["S3-158:N", "S4-09:N"] slideshow={"slide_type": "fragment"}
best = E(tau, mu.given(O[0:T]), Sum(t, 0, T - 1, r[t]))
for temperature in (100, 1, 0.3, 0.03):
    world = FiniteWorld(1, P=certain, mu=even, T=3, alpha=temperature)
    print(f"α = {temperature:6}: mean return of the posterior {evaluate(best, world):.3f}")

# %% [markdown] slideshow={"slide_type": "slide"} notes="8 minutes. Ask what O_{0:t-1} has to do with the future; then the box."
# ## 2 · Backward messages
#
# Listing trajectories costs $(SA)^T$ terms. **Can success ahead be computed one step at a time?** The *backward message* $\beta_t(s, a)$ is the
# probability that all steps from $t$ on succeed, given the state and the action at $t$; $\beta_t(s)$ leaves the action open.
#
# *Predict:* which factor of the recursion does not depend on the next state?
#
# Used in 11.3, 11.4, 11.5, and by `backward_messages`.

# %% tags=["derivation"] rows=["S3-160:D", "S4-10:D"] slideshow={"slide_type": "subslide"}
beta_means = (beta(t, s, a), ahead), (beta_s(t, s), ahead_s)
adds_up = (
    Derivation("Somewhere it leads", "11.2", Sum(s1, P(s1, s, a)))
    .step(1, because="a row of P is a distribution")
)
backward = (
    Derivation("Backward messages", "11.2", beta(t, s, a),
               source="Levine 2018, section 2.3; notes 15.11–15.15 with O from t on")
    .define(*beta_means[0]).define(*beta_means[1])
    .step(Sum(s1, Pr(mu.given(*here_now), there) * Pr(mu.given(*here_now, there), O[t:T])),
          because="sum over where the step leads", worlds=branching)
    .also_equals(Sum(s1, Pr(mu.given(*here_now), there) * ahead), by=adds_up)
    .step(Sum(s1, P(s1, s, a) * exp(r(s, a) / alpha) * ahead_next), worlds=branching,
          because="O_t depends on (s, a) alone; what comes after depends on s′ alone (Markov)")
    .step(Sum(s1, P(s1, s, a) * exp(r(s, a) / alpha) * beta_s(t + 1, s1)),
          because="that is the message one step later")
    .step(exp(r(s, a) / alpha) * E(s1, P.at(s, a), beta_s(t + 1, s1)),
          because="the first factor does not depend on s′")
    .implements(backward_messages, messages_of,
                entry=lambda VQ, t, s, a, alpha: np.exp(VQ[1][int(t), int(s), int(a)] / float(alpha)))
)
backward

# %% tags=["derivation"] rows=["S3-160:D"] slideshow={"slide_type": "subslide"}
backward_state = (
    Derivation("The action left open", "11.2", beta_s(t, s),
               source="Levine 2018, section 2.3; notes 15.16")
    .define(*beta_means[0]).define(*beta_means[1])
    .step(Sum(a, Pr(mu.given(here), (a[t], a), O[t:T])), because="sum over the action")
    .step(Sum(a, mu(a, s) * beta(t, s, a)),
          because="the prior policy chooses it; then the message of (s, a)")
    .step(E(a, mu.at(s), beta(t, s, a)), because="an expectation under the prior")
    .implements(backward_messages, messages_of,
                entry=lambda VQ, t, s, alpha: np.exp(VQ[0][int(t), int(s)] / float(alpha)))
)
backward_state

# %% tags=["erratum"] rows=["S3-160:N"] slideshow={"slide_type": "subslide"}
erratum(
    "A message about the future", "the recursion of 11.2 computes the backward message",
    printed=Pr(mu.given(*here_now), O[0:T]),
    correct=exp(r(s, a) / alpha) * E(s1, P.at(s, a), ahead_next), truth=ahead,
    worlds=[FiniteWorld(0, t=1, s=0, a=1, alpha=1), FiniteWorld(4, t=1)],
    why="The notes define the message by success at all steps (15.11); what they compute, and their "
        "own summary, is success from t on. The past multiplies in how well one did before arriving.",
)

# %% [markdown] slideshow={"slide_type": "subslide"}
# **Take away:** one sweep from the end replaces the list of trajectories: $T S^2 A$ multiplications. The cell counts.

# %% rows=["S3-160:N"] slideshow={"slide_type": "fragment"}
for states, steps in ((2, 4), (10, 10), (100, 50)):
    sweep, listed = steps * 2 * states**2, steps * np.log10(2 * states)
    print(f"{states:4} states, 2 actions, {steps:3} steps: sweep {sweep:9,}   list 1e{listed:.0f}")

# %% [markdown] slideshow={"slide_type": "slide"} notes="12 minutes. Vote: does V approach max Q when 100 is added to all Q? Then 11.3, shift."
# ## 3 · Messages as values
#
# Products of many small probabilities underflow. Take logarithms, times $\alpha$, so that the units are those of reward:
# $V_t$ for the message of a state, $Q_t$ for that of a state and an action. **Which Bellman equation do they obey?**
#
# *Predict:* where will the temperature stand between a maximum and a mean: over actions, over next states, or both?
#
# Used in 11.4 and 11.6; lecture 12 replaces one of the two log-sum-exps.

# %% tags=["derivation"] rows=["S3-161:D", "S4-11:D"] slideshow={"slide_type": "subslide"}
soft_value = (
    Derivation("The value of a state in log space", "11.3", V(t, s),
               source="Levine 2018, section 2.3; notes 15.17–15.19")
    .define(*value[0]).define(*value[1])
    .step(alpha * log(E(a, mu.at(s), exp(Q(t, s, a) / alpha))),
          because="[11.2], the action left open; Q_t is α times the log of that message")
    .step(alpha * LSE(a, log(mu(a, s)) + Q(t, s, a) / alpha),
          because="the prior moves into the exponent: no underflow")
    .implements(backward_messages, messages_of, entry=lambda VQ, t, s: VQ[0][int(t), int(s)])
)
soft_value

# %% tags=["derivation"] rows=["S3-162:D", "S4-11:D"] slideshow={"slide_type": "subslide"}
soft_action_value = (
    Derivation("The value of an action in log space", "11.3", Q(t, s, a),
               source="Levine 2018, section 2.3; notes 15.21")
    .define(*value[0]).define(*value[1])
    .step(alpha * log(exp(r(s, a) / alpha) * E(s1, P.at(s, a), ahead_next)),
          because="[11.2], the recursion")
    .step(r(s, a) + alpha * log(E(s1, P.at(s, a), ahead_next)), because="logarithm of a product")
    .step(r(s, a) + alpha * log(E(s1, P.at(s, a), exp(V(t + 1, s1) / alpha))),
          because="V is α times the log of the message")
    .implements(backward_messages, messages_of,
                entry=lambda VQ, t, s, a: VQ[1][int(t), int(s), int(a)])
)
soft_action_value

# %% [markdown] slideshow={"slide_type": "subslide"}
# **When is the soft maximum a maximum?** One text says: as the values get bigger.
#
# *Predict:* add 100 to every $Q$. Does the distance between $V$ and the largest $Q$ shrink?

# %% tags=["derivation"] rows=["S3-161:D", "S4-11:D"] slideshow={"slide_type": "subslide"}
w = function("w", s, a)
squeeze = (
    Derivation("Between two maxima", "11.3", Max(a, Q(t, s, a) + alpha * w(s, a)),
               source="Levine 2018, section 2.3, with weights")
    .define(n, Sum(a, 1))
    .step(alpha * LSE(a, w(s, a) + Q(t, s, a) / alpha),
          because="one term of a sum of positive terms", relation="<=",
          tight=FiniteWorld(0, w=[[0.0, -np.inf], [0.0, -np.inf]]))
    .step(Max(a, Q(t, s, a) + alpha * w(s, a)) + alpha * log(n),
          because="none of the n terms exceeds the largest", relation="<=",
          tight=FiniteWorld(0, w=np.zeros((2, 2)), Q=np.ones((4, 2, 2))))
)
squeeze

# %% tags=["derivation"] rows=["S3-161:D", "S4-11:D"] slideshow={"slide_type": "subslide"}
possible = Assumption("the prior gives every action a positive probability",
                      source="tacit in the notes, 15.20")
soft_max = alpha * LSE(a, log(mu(a, s)) + Q(t, s, a) / alpha)
greedy = (
    Derivation("Cold inference is greedy", "11.3", soft_max,
               source="Levine 2018, section 2.3; notes 15.20")
    .assuming(possible)
    .tends_to(Max(a, Q(t, s, a)),
              because="the largest term wins; its prior costs α log μ", variable=alpha, to=0, along=cold)
    .fails_without(possible,
                   FiniteWorld(0, mu=[[0.0, 1.0], [0.0, 1.0]], Q=np.tile([1.0, 0.0], (4, 2, 1))))
    .also_equals(alpha * Max(a, log(mu(a, s)) + Q(t, s, a) / alpha), by=squeeze)
    .also_equals(alpha * LSE(a, -log(mu(a, s)) + Q(t, s, a) / alpha), by=squeeze)
    .also_equals(alpha * LSE(a, mu(a, s) + Q(t, s, a) / alpha), by=squeeze)
    .also_equals(alpha * LSE(a, Q(t, s, a) / alpha), by=squeeze)
)
greedy

# %% tags=["derivation"] rows=["S3-161:D"] slideshow={"slide_type": "subslide"}
shift = (
    Derivation("Large values are not enough", "11.3",
               alpha * LSE(a, log(mu(a, s)) + (Q(t, s, a) + c) / alpha) - Max(a, Q(t, s, a) + c),
               source="notes 15.20")
    .step(alpha * LSE(a, log(mu(a, s)) + Q(t, s, a) / alpha) + c - Max(a, Q(t, s, a) + c),
          because="e^(c/α) leaves the sum")
    .step(alpha * LSE(a, log(mu(a, s)) + Q(t, s, a) / alpha) - Max(a, Q(t, s, a)),
          because="and c leaves the maximum")
)
shift

# %% [markdown] slideshow={"slide_type": "subslide"}
# The distance stays: what has to grow is the gaps between actions, measured in units of $\alpha$.
#
# **And the prior?** One text forgets about it: its logarithm can be added to the reward. *Predict:* what must the logarithm be multiplied by
# when $\alpha$ is not 1, and what remains of a uniform prior?

# %% tags=["derivation"] rows=["S3-163:D"] slideshow={"slide_type": "subslide"}
after = alpha * log(E(s1, P.at(s, a), exp(V(t + 1, s1) / alpha)))
Q_tilde = function("Qtilde", t, s, a, subscripts=1)
folded = (
    Derivation("A prior is a reward", "11.3", alpha * log(E(a, mu.at(s), exp(Q(t, s, a) / alpha))),
               source="notes 15.23–15.26")
    .define(Q(t, s, a), r(s, a) + after)
    .define(Q_tilde(t, s, a), (r(s, a) + alpha * log(mu(a, s))) + after)
    .step(alpha * LSE(a, (Q(t, s, a) + alpha * log(mu(a, s))) / alpha),
          because="the prior moves into the exponent")
    .step(alpha * LSE(a, Q_tilde(t, s, a) / alpha), because="reward and prior stand side by side")
)
folded

# %% tags=["derivation"] rows=["S3-163:D", "S3-161:D"] slideshow={"slide_type": "subslide"}
equal_prior = (
    Derivation("What a uniform prior leaves", "11.3",
               alpha * log(E(a, mu.at(s), exp(Q(t, s, a) / alpha))), source="notes 15.16, 15.19",
               worlds=[FiniteWorld(i, P=certain, mu=even) for i in range(3, 15)])
    .assuming(uniform).define(n, Sum(a, 1))
    .step(alpha * log(Sum(a, exp(Q(t, s, a) / alpha)) / n), because="each probability is one in n")
    .fails_without(uniform, FiniteWorld(0, mu=[[0.8, 0.2], [0.8, 0.2]]))
    .step(alpha * LSE(a, Q(t, s, a) / alpha) - alpha * log(n), because="a constant, at every step")
)
equal_prior

# %% tags=["erratum"] rows=["S3-163:N"] slideshow={"slide_type": "subslide"}
erratum(
    "A sum is not a mean", "V of a uniform prior over two actions is α log β(s)",
    printed=alpha * LSE(a, Q(t, s, a) / alpha),
    correct=alpha * LSE(a, Q(t, s, a) / alpha) - alpha * log(Sum(a, 1)),
    truth=alpha * log(E(a, mu.at(s), exp(Q(t, s, a) / alpha))),
    worlds=[FiniteWorld(0, P=certain, mu=even, alpha=1), FiniteWorld(4, P=certain, mu=even)],
    why="The notes define the message of a state as an expectation (15.16) and its logarithm as a sum "
        "(15.19). The two are α log 2 apart, per step: harmless while T is fixed, not when "
        "trajectories differ in length [11.7].",
)

# %% [markdown] slideshow={"slide_type": "subslide"}
# Temperature stands in both places. Over actions, that is a choice one may make. Over next states, it is a choice that nobody has: section 6.
#
# **Take away:** a soft maximum over actions with the prior as measure, and the same soft maximum over luck.

# %% [markdown] slideshow={"slide_type": "slide"} notes="8 minutes. Let them find where the prior went in the printed formula before the box."
# ## 4 · The policy
#
# **Which action, given the state and that all goes well?** *Predict:* does it matter how well the past went? And what happens to the policy when all
# messages are equal?
#
# Used in lecture 12, in 13b (the same exponential) and in lecture 18, where it is fitted to a demonstrator.

# %% tags=["derivation"] rows=["S3-164:D", "S4-10:D", "S4-11:D"] slideshow={"slide_type": "subslide"}
markov = Assumption("the past reaches the future through the state alone",
                    source="notes, text before 15.27; Levine 2018, figure 1")
choice = (
    Derivation("The policy inside the posterior", "11.4", Pr(mu.given(here, O[0:T]), (a[t], a)),
               worlds=reached,
               source="Levine 2018, section 2.3; inference slides, backward messages; notes 15.27–15.32")
    .assuming(markov)
    .define(*beta_means[0]).define(*beta_means[1])
    .step(Pr(mu.given(here, O[t:T]), (a[t], a)), because="given s_t, earlier success says nothing more")
    .fails_without(markov, removed=(Pr(mu.given(O[0:T]), (a[t], a)), Pr(mu.given(O[t:T]), (a[t], a))))
    .step(Pr(mu.given(here), (a[t], a), O[t:T]) / ahead_s,
          because="definition of a conditional probability")
    .step(mu(a, s) * ahead / ahead_s, because="chain rule: the action first, then success")
    .step(mu(a, s) * beta(t, s, a) / beta_s(t, s), because="these are the messages [11.2]")
)
choice

# %% tags=["derivation"] rows=["S3-165:D", "S4-11:D"] slideshow={"slide_type": "subslide"}
boltzmann = (
    Derivation("The policy in log space", "11.4", mu(a, s) * ahead / ahead_s,
               source="Levine 2018, section 2.3; inference slides")
    .define(*value[0]).define(*value[1])
    .step(mu(a, s) * exp(Q(t, s, a) / alpha) / exp(V(t, s) / alpha),
          because="a message is e to the value over α")
    .step(mu(a, s) * exp((Q(t, s, a) - V(t, s)) / alpha), because="a quotient of exponentials")
    .implements(posterior_policy, lambda world, alpha: (*backward_messages(*messages_of(world, alpha)),
                                                        messages_of(world, alpha)[3], float(alpha)),
                entry=lambda pi, t, s, a: pi[int(t), int(s), int(a)])
)
boltzmann

# %% tags=["derivation"] rows=["S3-165:D"] slideshow={"slide_type": "subslide"}
prior_sums = (
    Derivation("A prior adds up", "11.4", Sum(a, mu(a, s)))
    .step(1, because="some action is chosen")
)
normalised = (
    Derivation("V is the normaliser", "11.4", Sum(a, mu(a, s) * exp((Q(t, s, a) - V(t, s)) / alpha)),
               source="notes 15.34–15.39")
    .define(V(t, s), alpha * log(E(a, mu.at(s), exp(Q(t, s, a) / alpha))))
    .step(exp(-V(t, s) / alpha) * E(a, mu.at(s), exp(Q(t, s, a) / alpha)),
          because="V does not depend on the action")
    .also_equals(Sum(a, mu(a, s)), by=prior_sums)
    .step(1, because="e^(−V/α) is one over that expectation")
)
normalised

# %% tags=["erratum"] rows=["S3-164:N"] slideshow={"slide_type": "subslide"}
erratum(
    "The prior that divided itself away", "the quotient of messages is the policy",
    printed=ahead / ahead_s * mu(a, s) / mu(a, s), correct=ahead / ahead_s * mu(a, s),
    truth=Pr(mu.given(here, O[0:T]), (a[t], a)),
    worlds=[FiniteWorld(0, **two_states, T=2, t=0, s=0, a=0, alpha=1, mu=[[0.9, 0.1], [0.3, 0.7]]),
            FiniteWorld(4, t=0)],
    why="In the notes' 15.32 the prior cancels against itself; 15.35 goes on without it. That is "
        "right for messages summed over actions, with a uniform prior, as in 15.34, and for no other. "
        "The first value exceeds 1.",
)

# %% tags=["erratum"] rows=["S3-165:N"] slideshow={"slide_type": "subslide"}
v_of_q = alpha * LSE(a, log(mu(a, s)) + Q(t, s, a) / alpha)
erratum(
    "Where the exponential ends", "the exponential of an advantage is a policy: it sums to 1",
    printed=Sum(a, mu(a, s) * (exp(Q(t, s, a) / alpha) - v_of_q / alpha)),
    correct=Sum(a, mu(a, s) * exp((Q(t, s, a) - v_of_q) / alpha)), truth=1,
    worlds=[FiniteWorld(0, alpha=1), FiniteWorld(4)],
    why="A bracket closes too early in the notes' 15.38; the second half of the same line has it "
        "right.",
)

# %% [markdown] slideshow={"slide_type": "subslide"}
# Ties are broken by the prior, not by chance: where all messages are equal, the policy *is* the prior.
#
# **Take away:** prior times exponentiated advantage. Forget the prior, and it is no policy.

# %% [markdown] slideshow={"slide_type": "slide"} notes="8 minutes. Draw the chain; colour what lies before t and after t."
# ## 5 · Forward messages and smoothing
#
# Where is a successful agent at time $t$? The *forward message* is the probability of being in $s$ at time $t$ with success so far.
# **What must it be multiplied by to know about the future as well?**
#
# *Predict:* the product of both messages, summed over states: how does it change with $t$?
#
# Used in lecture 18: maximum-entropy inverse reinforcement learning compares these marginals with a demonstrator's.

# %% tags=["derivation"] rows=["S3-166:D"] slideshow={"slide_type": "subslide"}
so_far = Pr(mu, (s[t], s), O[0:t])
forward = (
    Derivation("Forward messages", "11.5", Pr(mu, there, O[0 : t + 1]),
               source="Levine 2018, section 2.3; notes 15.40–15.45")
    .step(Sum(s, Sum(a, Pr(mu, (s[t], s), (a[t], a), O[0 : t + 1]) * P(s1, s, a))),
          because="sum over where one was and what one did; the dynamics look at that alone")
    .step(Sum(s, Sum(a, so_far * mu(a, s) * exp(r(s, a) / alpha) * P(s1, s, a))),
          because="the prior policy chooses; then step t succeeds or not")
)
forward

# %% tags=["derivation"] rows=["S3-167:D"] slideshow={"slide_type": "subslide"}
smoothing = (
    Derivation("Smoothing", "11.5", Pr(mu.given(O[0:T]), (s[t], s)),
               source="Levine 2018, section 2.3; notes 15.46–15.49")
    .step(Pr(mu, (s[t], s), O[0:T]) / Pr(mu, O[0:T]), because="definition of a conditional probability")
    .step(so_far * ahead_s / Pr(mu, O[0:T]),
          because="given s_t, success ahead does not depend on success so far")
    .implements(forward_messages, messages_of, entry=lambda log_f, world, alpha, t, s: smoothed(
        log_f, backward_messages(*messages_of(world, alpha))[0], float(alpha))[int(t), int(s)])
)
smoothing

# %% tags=["derivation"] rows=["S3-167:D"] slideshow={"slide_type": "subslide"}
evidence = (
    Derivation("Forward times backward, at any time", "11.5", Sum(s, so_far * ahead_s),
               source="Levine 2018, section 2.3")
    .define(*value[0])
    .step(Pr(mu, O[0:T]),
          because="each product is the probability of s_t and success; some state it is, and t is gone")
    .step(Sum(s, p0(s) * exp(V(0, s) / alpha)), because="the same at t = 0, where nothing lies behind")
)
evidence

# %% tags=["derivation"] rows=["S3-166:D"] slideshow={"slide_type": "subslide"}
filtered = (
    Derivation("The normalised forward message", "11.5",
               Pr(mu.given(O[0 : t + 1]), (s[t], s), (a[t], a)), source="notes 15.45, corrected")
    .step(Pr(mu.given(O[0:t]), (s[t], s), (a[t], a), O[t]) / Pr(mu.given(O[0:t]), O[t]),
          because="condition on O_t last")
    .step(Pr(mu.given(O[0:t]), here) * (mu(a, s) * exp(r(s, a) / alpha)) / Pr(mu.given(O[0:t]), O[t]),
          because="state, action and success, one after the other")
)
filtered

# %% tags=["erratum"] rows=["S3-167:N"] slideshow={"slide_type": "subslide"}
erratum(
    "States and actions, smoothed", "forward times backward, normalised, is the posterior of (s_t, a_t)",
    printed=so_far * ahead / Sum(s, Sum(a, so_far * ahead)),
    correct=so_far * mu(a, s) * ahead / Pr(mu, O[0:T]),
    truth=Pr(mu.given(O[0:T]), (s[t], s), (a[t], a)),
    worlds=[FiniteWorld(0, t=1, s=0, a=0, alpha=1), FiniteWorld(4, t=1)],
    why="The notes' maximum-entropy inverse reinforcement learning (16.18–16.21) forms the marginal "
        "without the prior of the action. Exact for a uniform prior, where the factor is a constant.",
)

# %% [markdown] slideshow={"slide_type": "subslide"}
# **Take away:** forward times backward gives every marginal, and their sum is the same number at every $t$: a test that costs one line.

# %% rows=["S3-166:N", "S3-167:N"] slideshow={"slide_type": "fragment"}
world = FiniteWorld(6)
process = messages_of(world, 0.5)
product = np.exp(forward_messages(*process) + backward_messages(*process)[0] / 0.5).sum(-1)
print("sum over states of forward times backward, for each t:", product.round(4))

# %% [markdown] slideshow={"slide_type": "slide"} notes="14 minutes, the heart of the lecture. Vote on the lottery with hands before the numbers."
# ## 6 · Why inference believes in luck
#
# Success was observed. **What does that say about the next state?** One slide says: $O_t$ changes the transition. *Predict:* which of the optimality
# variables can, and which cannot?
#
# Used in lecture 12, which fixes the dynamics and so removes the luck.

# %% tags=["derivation"] rows=["S3-162:D"] slideshow={"slide_type": "subslide"}
tilted = (
    Derivation("Success ahead tilts the dynamics", "11.6",
               Pr(mu.given(*here_now, O[0:T]), there), worlds=reached,
               source="Levine 2018, section 2.4; inference slides, stochastic dynamics, corrected")
    .step(Pr(mu.given(*here_now, O[1:T]), there),
          because="step 0 is past, or known: it is s_t and a_t")
    .step(Pr(mu.given(*here_now, O[t:T]), there), because="so is every other step before t")
    .step(Pr(mu.given(*here_now, O[t + 1 : T]), there),
          because="O_t depends on (s_t, a_t), which are known")
    .step(P(s1, s, a) * ahead_next / E(s1, P.at(s, a), ahead_next),
          because="Bayes' rule with the message of s′")
)
tilted

# %% tags=["derivation"] rows=["S3-162:D"] slideshow={"slide_type": "subslide"}
untouched = (
    Derivation("Success now says nothing about the next state", "11.6",
               Pr(mu.given(*here_now), there, O[t]),
               source="inference slides, stochastic dynamics, corrected")
    .step(Pr(mu.given(*here_now), O[t]) * P(s1, s, a),
          because="r_t depends on s_t and a_t, not on where the step leads")
    .step(exp(r(s, a) / alpha) * P(s1, s, a), because="independent: both factors look at (s, a) alone")
)
untouched

# %% tags=["erratum"] rows=["S3-162:N"] slideshow={"slide_type": "subslide"}
erratum(
    "Which success moves the next state", "the transition, once success is known, is this probability",
    printed=Pr(mu.given(*here_now, O[t]), there),
    correct=Pr(mu.given(*here_now, O[t:T]), there),
    truth=Pr(mu.given(*here_now, O[0:T]), there),
    worlds=[FiniteWorld(0, t=0, s=0, a=0, **{"s'": 1}, alpha=1), FiniteWorld(5, t=0)],
    why="The slide writes that p(s′|s, a) differs from p(s′|s, a, O_t). Those two are equal; what "
        "tells is success later. The conclusion drawn there, that dynamics must not be inferred, is "
        "right.",
)

# %% [markdown] slideshow={"slide_type": "subslide"}
# **What is that worth?** *Predict:* a ticket wins 10 with probability 0.01, a safe choice pays 1. At $\alpha = 1$, what is $Q$ of the ticket?
# Below 1, about 1, or above 5?

# %% tags=["derivation"] rows=["S3-162:D", "S4-11:D"] slideshow={"slide_type": "subslide"}
optimism = (
    Derivation("Exact inference is an optimist", "11.6", Q(t, s, a),
               source="Levine 2018, section 2.4; notes 15.22, 15.54")
    .define(*value[0]).define(*value[1])
    .step(r(s, a) + alpha * log(E(s1, P.at(s, a), exp(V(t + 1, s1) / alpha))), because="[11.3]")
    .step(r(s, a) + E(s1, P.at(s, a), V(t + 1, s1)),
          because="Jensen: the logarithm is concave", relation=">=",
          tight=FiniteWorld(1, P=certain, t=0))
)
optimism

# %% [markdown] slideshow={"slide_type": "subslide"}
# That was one step, with the same values ahead. **And over all steps?** Compare with a policy $q$ that acts in the true dynamics, and is charged $\alpha$
# per nat for leaving the prior. *Predict:* can any $q$ be worth more than inference believes?
#
# Used in lecture 12, where the charge becomes an entropy bonus and the bound an objective.

# %% tags=["derivation"] rows=["S3-162:D"] slideshow={"slide_type": "subslide"}
k, G, H = time("k"), function("G", tau), function("H", tau)
base = dict(P=certain, T=2, t=0, alpha=0.5)                        # where the best q is the posterior's policy
arguments = messages_of(FiniteWorld(1, **base), 0.5)
best_q = posterior_policy(*backward_messages(*arguments), arguments[3], 0.5)
mixed_q = 0.9 * best_q + 0.1 * arguments[3]
bound = (
    Derivation("No policy lives up to it", "11.6", exp(E(tau, q.given(*here_now), G(tau)) / alpha),
               source="Levine 2018, sections 2.4 and 3")
    .define(*value[1]).define(H(tau), Sum(k, t, T - 1, r[k]))
    .define(G(tau), H(tau) - alpha * Sum(k, t + 1, T - 1, log(q(a[k], s[k], k) / mu(a[k], s[k]))))
    .step(E(tau, q.given(*here_now), exp(G(tau) / alpha)), because="Jensen, over whole trajectories",
          relation="<=", tight=FiniteWorld(1, **base, q=best_q),
          worlds=[*finite_worlds(17), FiniteWorld(1, **base, q=mixed_q)])
    .step(E(tau, mu.given(*here_now), exp(H(tau) / alpha)),
          because="e^(−log(q/μ)) turns the law of q into the law of μ")
    .step(exp(Q(t, s, a) / alpha), because="success from t on, given (s, a): the message")
)
bound

# %% tags=["derivation"] rows=["S3-162:D"] slideshow={"slide_type": "subslide"}
gamble = lottery(probability=0.01, prize=10.0, safe=1.0)
ticket = FiniteWorld(0, P=gamble.P, r=gamble.r, p0=gamble.p0, d=np.zeros(4), T=2, t=0, s=0, a=1, alpha=1)
no_luck = [FiniteWorld(i, P=certain) for i in range(3, 12)]
realist = (
    Derivation("Without luck, none of it", "11.6", Q(t, s, a),
               source="Levine 2018, section 2.3; notes 15.22", worlds=no_luck)
    .assuming(sure).define(*value[0]).define(*value[1])
    .step(r(s, a) + E(s1, P.at(s, a), V(t + 1, s1)),
          because="one next state: an expectation of nothing but it")
    .fails_without(sure, ticket)
    .implements(variational_messages, messages_of,
                entry=lambda VQ, t, s, a: VQ[1][int(t), int(s), int(a)])
)
realist

# %% tags=["derivation"] rows=["S4-11:D", "S3-162:D"] slideshow={"slide_type": "subslide"}
backup = r(s, a) + alpha * LSE(s1, log(P(s1, s, a)) + V(t, s1) / alpha)
best_case = r(s, a) + Max(s1, V(t, s1))
luckiest = (
    Derivation("Cold inference chooses its luck", "11.6",
               r(s, a) + Max(s1, V(t, s1) + alpha * log(P(s1, s, a))),
               source="inference slides, policy from backward messages, as bounds")
    .step(backup,
          because="one term of a sum of positive terms", relation="<=", tight=FiniteWorld(1, P=certain))
    .step(best_case,
          because="a mean is at most the largest value", relation="<=",
          tight=FiniteWorld(0, V=np.ones((4, 2))))
)
luckiest

# %% tags=["derivation"] rows=["S4-11:D"] slideshow={"slide_type": "subslide"}
warm = (
    Derivation("Hot inference is neutral", "11.6", backup,
               source="cumulant expansion; Howard and Matheson 1972")
    .tends_to(r(s, a) + E(s1, P.at(s, a), V(t, s1)),
              because="e^x is 1 + x for small x", variable=alpha, to=oo, rate=1)
)
warm

# %% rows=["S3-162:N", "S4-11:N"] slideshow={"slide_type": "fragment"}
for temperature in (0.1, 1.0, 10.0):
    sweeps = backward_messages, variational_messages
    (safe, lucky), (_, sober) = (sweep(gamble, 2, temperature)[1][0, 0] for sweep in sweeps)
    print(f"α = {temperature:4}: inference: safe {safe:.2f}, ticket {lucky:.2f};  in truth {sober:.2f}")

# %% [markdown] slideshow={"slide_type": "subslide"}
# At $\alpha = 1$ the ticket is worth 5.4 to inference, 0.1 in truth: the posterior chooses its luck as it chooses actions.
#
# **And if we act on it?** Take the policy of 11.4 and let it loose in the real world. *Predict:* does it visit the states that the posterior promised?

# %% tags=["derivation"] rows=["S3-162:D"] slideshow={"slide_type": "subslide"}
fixed_start = Assumption("the first state is given",
                         source="tacit in Levine 2018, section 2.4, and in the notes, 16.0.3")
walked = [FiniteWorld(i, P=certain, p0=[1.0, 0.0], T=3) for i in range(3, 9)]
rollout = (
    Derivation("The policy keeps the posterior's promise, if", "11.6", Pr(mu.given(O[0:T]), (s[t], s)),
               worlds=walked,
               source="Levine 2018, section 2.4; Ziebart 2010; corrects the notes, 16.0.3")
    .assuming(sure).assuming(fixed_start)
    .define(q(a, s, t), Pr(mu.given(here, O[t:T]), (a[t], a)))
    .step(Pr(q, (s[t], s)), because="only the actions were inferred: dynamics and start had no choice")
    .fails_without(sure, FiniteWorld(0, **two_states | {"p0": [1.0, 0.0]}, T=3, t=2))
    .fails_without(fixed_start, FiniteWorld(3, P=certain, p0=[0.5, 0.5], T=3, t=2))
)
rollout

# %% [markdown] slideshow={"slide_type": "subslide"}
# **Take away:** the posterior infers actions *and* luck. Only where there is no luck is its policy the solution of a control problem.

# %% [markdown] slideshow={"slide_type": "slide"} notes="6 minutes. The caution about termination; then straight to the table."
# ## 7 · What a constant does
#
# To make rewards negative, one text subtracts their maximum, since that leaves the optimum alone. **Always?** *Predict:* a task that ends early, every live step
# now costs 2. Which trajectories gain?
#
# Used in exercise 11.4 and in lecture 18, where rewards are known up to a constant at best.

# %% tags=["derivation"] rows=["S3-158:D"] slideshow={"slide_type": "subslide"}
fixed_length = Assumption("all trajectories are equally long",
                          source="tacit in the notes, text after 15.7")
going = [w for w in finite_worlds(30) if not w.terminal.any()]
weight_c, weight_0 = (mu.law.probability() * exp(X(tau) / alpha) for X in (W, R))
unmoved = (
    Derivation("A constant cancels", "11.7", weight_c / Sum(tau, weight_c), worlds=going,
               source="notes, text after 15.7")
    .assuming(fixed_length)
    .define(W(tau), Sum(t, 0, T - 1, r[t] + c * (1 - d(s[t])))).define(R(tau), Sum(t, 0, T - 1, r[t]))
    .step(mu.law.probability() * exp(R(tau) / alpha) * exp(c * T / alpha) / Sum(tau, weight_c),
          because="T steps, each with one c")
    .step(weight_0 / Sum(tau, weight_0), because="the same factor above and below")
    .step(mu.given(O[0:T]).probability(), because="[11.1]")
    .fails_without(fixed_length, FiniteWorld(2, c=-2),
                   removed=(weight_c / Sum(tau, weight_c), mu.given(O[0:T]).probability()))
)
unmoved

# %% tags=["derivation"] rows=["S3-158:D"] slideshow={"slide_type": "subslide"}
N = function("N", tau)
before_end = 1 - d(s[t])                                           # 1 for each step before the end
ending = [w for w in finite_worlds(60) if w.terminal.any()]
both = M(tau_1) * exp(W(tau_1) / alpha) / (M(tau_2) * exp(W(tau_2) / alpha))
at_c = [M(x) * exp((R(x) + c * N(x)) / alpha) for x in (tau_1, tau_2)]
at_0 = [M(x) * exp(R(x) / alpha) for x in (tau_1, tau_2)]
odds = (
    Derivation("Odds, when lengths differ", "11.7", both, worlds=ending,
               source="the notes' text after 15.7, for tasks that end")
    .define(M(tau), mu.law.probability()).define(N(tau), Sum(t, 0, T - 1, before_end))
    .define(R(tau), Sum(t, 0, T - 1, r[t])).define(W(tau), Sum(t, 0, T - 1, r[t] + c * before_end))
    .step(at_c[0] / at_c[1], because="c for each step before the end")
    .step(at_0[0] / at_0[1] * exp(c * (N(tau_1) - N(tau_2)) / alpha),
          because="the old odds, times what the lengths make of c")
)
odds

# %% rows=["S3-158:N"] slideshow={"slide_type": "fragment"}
route = np.zeros((3, 2, 3))                         # action 0 ends at once; action 1 takes one more step
route[0, 0, 2] = route[0, 1, 1] = route[1, :, 2] = route[2, :, 2] = 1
for shift_by in (0.0, -2.0):
    pays = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]) + shift_by
    world = FiniteWorld(0, P=route, r=pays, d=[0.0, 0.0, 1.0], p0=[1.0, 0.0, 0.0],
                        mu=np.full((3, 2), 0.5), T=2, alpha=0.5)
    ends = evaluate(Pr(mu.given((s[0], 0), O[0:T]), (a[0], 0)), world)
    returns = f"returns {pays[0, 0]:.0f} and {pays[0, 1] + pays[1, 0]:.0f}"
    print(f"rewards shifted by {shift_by:4}: {returns}, p(end at once | success) = {ends:.3f}")

# %% [markdown] slideshow={"slide_type": "subslide"}
# Returns 0 and 1 become −2 and −3: the posterior changes sides. A constant is harmless for as long as no choice changes how often it is paid.
#
# **Take away:** shift rewards only where every trajectory has the same length.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What the sources say, and what holds
#
# Six boxes stand above; the rest is tried in the cell below, which prints both values of the simplest world in which the printed step fails.
#
# | the sources say | what holds |
# |---|---|
# | notes 15.10: the trajectory of largest reward is the most likely | only if the prior law of trajectories is constant: deterministic dynamics, uniform prior (11.1) |
# | inference slides: that law is then constant | up to the law of the first state |
# | inference slides: the product of the trajectory law runs to $T$, its left side does not hold the last state | keep the last state on both sides, or on neither |
# | notes 15.12: the integrand is about $s_t$ and success at all steps | it is about the next state, and success from $t$ on |
# | notes 15.14: the message of the next state carries the index $t$ | its own time, one later |
# | notes 15.29 and 15.31: conditional probabilities where joint ones belong | numerator and denominator are joint in action and state |
# | notes 15.39: temperature in the policy, none in $V$ | both, or the policy does not sum to 1 |
# | notes 15.20: larger $Q$ makes the soft maximum hard | larger gaps do (11.3) |
# | notes 15.42: the next state jointly with all that it should be conditioned on | a conditional probability |
# | notes 15.45: success so far where success now is meant | $O$ at the last step alone |
# | notes 15.57: the inferred transition does not depend on the action | it is conditioned on the action |

# %% tags=["erratum", "derivation"] rows=["S3-158:N", "S3-164:N"] slideshow={"slide_type": "subslide"}
two_step = [w for w in reached if w.horizon > 1]
printed("E3-67: p(τ|O) as if p(τ) were constant", mu.given(O[0:T]).probability(),
        exp(R(tau) / alpha) / Z,
        (R(tau), Sum(t, 0, T - 1, r[t])), (Z, Sum(tau, exp(Sum(t, 0, T - 1, r[t]) / alpha))))
printed("E4-09: the law of the first state left out", mu.law.probability(), 1 / (n ** (T + 1)),
        (n, Sum(a, 1)),
        worlds=[FiniteWorld(1, P=certain, mu=even, p0=[0.8, 0.2])])
printed("E4-10: a law without its last state, summed", Sum(s, Pr(mu, (s[T], s))), Pr(mu, (s[T], s)))
printed("E3-69: about s_t, not about the next state", ahead,
        Sum(s1, Pr(mu.given(*here_now), (s[t], s), O[0:T])))
printed("E3-69: the index t on the next message", ahead,
        exp(r(s, a) / alpha) * E(s1, P.at(s, a), Pr(mu.given((s[t], s1)), O[t:T])))
printed("E3-72: 15.29", Pr(mu.given(here, O[t:T]), (a[t], a)),
        Pr(mu.given(here, O[t:T]), (a[t], a)) / Pr(mu.given(O[t:T]), (s[t], s)), worlds=reached)
printed("E3-72: 15.31", Pr(mu.given(here, O[t:T]), (a[t], a)),
        ahead / ahead_s * mu(a, s) / Pr(mu, (s[t], s)), worlds=reached)

# %% tags=["erratum", "derivation"] rows=["S3-165:N"] slideshow={"slide_type": "subslide"}
printed("E3-90: temperature in the policy only", Sum(a, exp((Q(t, s, a) - V(t, s)) / alpha)), 1,
        (V(t, s), LSE(a, Q(t, s, a))))
printed("E3-91: the gap closes as all Q grow by c", shift.start, 0, as_infinite=c)
printed("E3-75: 15.42, joint where conditional is meant",
        Pr(mu.given(*here_now, O[0 : t + 1]), there),
        Pr(mu, *here_now, there, O[0 : t + 1]), worlds=two_step)
printed("E3-75: 15.45, success so far twice", filtered.start,
        Pr(mu.given(O[0:t]), (s[t], s)) * (mu(a, s) * exp(r(s, a) / alpha)) / Pr(mu.given(here), O[t])
        * Pr(mu.given(here), O[0 : t + 1]) / Pr(mu.given(O[0:t]), O[t]), worlds=two_step)
printed("E3-76: the action left out", Pr(mu.given(*here_now, O[0:T]), there),
        Pr(mu.given(here, O[0:T]), there), worlds=reached)

# %% tags=["summary"] slideshow={"slide_type": "slide"}
summary("Five formulas", backward, soft_value, boltzmann, smoothing, tilted)
