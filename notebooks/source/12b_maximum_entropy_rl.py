# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
#   rlcourse:
#     lecture: 12b
#     title: Maximum-entropy reinforcement learning
#     minutes_read: 60
#     minutes_work: 60
#     status: draft
#     objectives: [Prove the soft evaluation contraction and Boltzmann optimum, Relate soft Q-learning and MaxEnt policy gradient]
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # 12b · Maximum-entropy reinforcement learning
#
# Two roads to the goal are equally long. One has a side road at every corner, the other runs between walls.
# **Which would you take, if you knew that roads get closed?**

# %% tags=["imports"] slideshow={"slide_type": "skip"}
import itertools

import numpy as np
from IPython.display import display

from rlcourse.notation import KL, LSE, Abs, Assumption, Derivation, E, FiniteWorld, H, Max, StepFails
from rlcourse.notation import Sum, action, dynamics, erratum, exp, function, grad, horizon, log, oo, path
from rlcourse.notation import policy, positive, real, reward, state, summary, time
from rlcourse.tabular.mdp import FiniteMDP
from rlcourse.tabular.soft import boltzmann, soft_bellman_optimality, soft_policy_evaluation
from rlcourse.tabular.soft import soft_value_iteration, soft_values

t, k, T, tau = time("t"), time("k"), horizon(), path()
s, s1, a, a1, a2 = state("s"), state("s'"), action("a"), action("a'"), action("a''")
r, P, gamma, alpha = reward(), dynamics(), real("gamma", 0.3, 0.95), positive("alpha")
theta = real("theta")
pi, new, mu, b, p = policy("pi"), policy("pi_new"), policy("mu"), policy("b"), policy("pi", theta)
Q, V, F, G = function("Q", s, a), function("V", s), function("F", s), function("G", s)
Q1, Q2, aim = function("Q_1", s, a), function("Q_2", s, a), function("y", s, a)
Qt, Vt = function("Q", theta, s, a, subscripts=1), function("V", theta, s, subscripts=1)
score, here = grad(theta, log(p(a[t], s[t]))), grad(theta, log(p(a, s)))
paid = r[k] - alpha * log(p(a[k], s[k]))
soft_return = Sum(t, 0, oo, gamma**t * (r[t] + alpha * H(pi.at(s[t]))))
from_one = Sum(t, 1, oo, gamma**t * (r[t] + alpha * H(pi.at(s[t]))))
soft_V = V(s), E(tau, pi.given((s[0], s)), soft_return)
soft_Q = Q(s, a), r(s, a) + E(s1, P.at(s, a), E(tau, pi.given((s[1], s1)), from_one))
soft_max, top = alpha * LSE(a, Q(s, a) / alpha), Max(a, Q(s, a))
CHANCES = [[[0.75, 0.25], [0.5, 0.5]], [[0.25, 0.75], [0.1, 0.9]]]
HAARNOJA17 = "Haarnoja et al. 2017, Reinforcement learning with deep energy-based policies"
SAC = "Haarnoja et al. 2018, Soft actor-critic"


def process(world, discount=0.9):
    """The world as the package takes it. No state is terminal: entropy is paid everywhere, for ever."""
    return FiniteMDP(world.P, world.rewards(), float(discount), world.p0, np.zeros(world.states, bool))


def rows(world, table):
    """A policy or a function of state and action as an array (S, A)."""
    f = getattr(table, "function", None)
    pick = (lambda i, j: world.function(f)(j, i)) if f else world.function(table)
    return np.array([[float(pick(i, j)) for j in range(world.actions)] for i in range(world.states)])


def evaluated(world, gamma, alpha):
    """The arguments of soft policy evaluation."""
    return process(world, gamma), rows(world, pi), float(alpha)


def weight(x):
    """e^(Q/α) of a sampled action over its probability under the proposal."""
    return exp(Q(s, x) / alpha) / mu(x, s)


def pairs(body):
    """The mean over two independent samples of the proposal."""
    return E(a1, mu.at(s), E(a2, mu.at(s), body))


def printed(name, before, after, *definitions, worlds=20):
    """Tries a step as a source prints it, and shows the simplest world's two values."""
    claim = Derivation(f"{name} as printed", "12", before, worlds=worlds)
    for left, right in definitions:
        claim = claim.define(left, right)
    try:
        claim.step(after, because="as printed")
    except StepFails as refused:
        values = [x for x in str(refused).splitlines() if x.startswith(("  the line b", "  this line"))]
        print(name, *values, sep="\n")
    else:
        raise AssertionError(f"{name}: the printed form holds")


# %% [markdown] slideshow={"slide_type": "slide"} notes="6 minutes. Misconception: Q contains the entropy of its own action. It cannot: the action is given. Let them count entropies on a two-step path."
# ## 1 · Values that count the options to come
#
# Pay $\alpha$ for each nat of entropy, at every state, and discount it like a reward. **How does the Bellman equation change?**
#
# *Predict first:* in $Q(s, a)$ the action is given. Does it count the entropy of the policy at $s$? From which time on does the sum start? Everything after this
# section, and SAC in 13b, rests on that.

# %% tags=["derivation"] rows=["S0-27:D", "S1-26:D", "S1-27:D", "S2-10:D"] slideshow={"slide_type": "subslide"}
given = Assumption("the entropy at s is not counted once the action is given",
                   source="off-policy slides, 7.3, the sum from t = 1")
soft_backup = (
    Derivation("The soft Bellman equation", "12.5", Q(s, a),
               source=f"off-policy slides, 7.3 Maximum entropy RL; {SAC}, equations 2-3")
    .define(*soft_Q).define(*soft_V).assuming(given)
    .step(r(s, a) + gamma * E(s1, P.at(s, a), V(s1)),
          because="one γ out of the sum: what remains is the soft value of the next state")
    .fails_without(given, removed=(E(tau, pi.given((s[0], s), (a[0], a)), soft_return),
                                   r(s, a) + gamma * E(s1, P.at(s, a), V(s1))))
    .step(r(s, a) + gamma * E(s1, P.at(s, a), E(a1, pi.at(s1), Q(s1, a1) - alpha * log(pi(a1, s1)))),
          because="a state's value is the mean of Q, plus the entropy of the choice there")
    .implements(soft_policy_evaluation, evaluated, entry=lambda VQ, s, a: VQ[1][int(s), int(a)])
)
soft_backup

# %% tags=["derivation"] rows=["S1-27:D", "S2-11:D"] slideshow={"slide_type": "subslide"}
one_price = Assumption("value and return price entropy alike",
                       source=f"{SAC}, equation 3, rewards divided by α")
soft_value = (
    Derivation("The value of a state", "12.5", V(s), source=f"{SAC}, equation 3, with α (erratum)")
    .define(*soft_V).define(*soft_Q).assuming(one_price)
    .step(E(tau, pi.given((s[0], s)), Sum(t, 0, oo, gamma**t * (r[t] - alpha * log(pi(a[t], s[t]))))),
          because="at each state, the entropy is the mean of −log π")
    .step(E(a, pi.at(s), Q(s, a) - alpha * log(pi(a, s))), because="the first choice, then the rest")
    .fails_without(one_price, removed=E(a, pi.at(s), Q(s, a) - log(pi(a, s))))
    .implements(soft_policy_evaluation, evaluated, entry=lambda VQ, s: VQ[0][int(s)])
)
soft_value

# %% tags=["erratum"] rows=["S2-10:D", "S1-26:D"] slideshow={"slide_type": "subslide"}
two = dict(T=2, alpha=0.5, gamma=0.5)
erratum(
    "Which bracket holds the entropy", "two steps, backed up once with γ",
    printed=E(tau, pi, Sum(t, 0, 1, gamma**t * r[t]) + alpha * H(pi.at(s[0]))),
    correct=E(tau, pi, Sum(t, 0, 1, gamma**t * (r[t] + alpha * H(pi.at(s[t]))))),
    truth=E(tau, pi, r[0] + alpha * H(pi.at(s[0])) + gamma * (r[1] + alpha * H(pi.at(s[1])))),
    worlds=[FiniteWorld(0, **two), FiniteWorld(1, **two)],
    why="The actor-critic slides print E[Σ γᵗ r + βH(π(·|s_t))]: as bracketed the entropy is outside "
        "the sum. Reward and entropy are discounted together, or the backup with γ maximises "
        "something else.",
)

# %% tags=["erratum"] rows=["S1-27:D"] slideshow={"slide_type": "subslide"}
erratum(
    "Where did α go", "the value of a state is the mean of Q plus α times the entropy",
    printed=E(a, pi.at(s), Q(s, a) - log(pi(a, s))),
    correct=E(a, pi.at(s), Q(s, a) - alpha * log(pi(a, s))),
    truth=E(a, pi.at(s), Q(s, a)) + alpha * H(pi.at(s)),
    worlds=[FiniteWorld(0, alpha=0.3), FiniteWorld(3, alpha=1.0)],
    why="The policy-gradient slides carry α in the objective and lose it in equation 3 and in the "
        "losses. Harmless at α = 1, or if rewards are divided by α first, as the first SAC paper "
        "does.",
)

# %% [markdown] slideshow={"slide_type": "slide"} notes="6 minutes. Ask what happens to the entropy term in a difference of two backups. It cancels: that is all of Lemma 1."
# ## 2 · Does it converge?
#
# Start from any table and back up, again and again. **Why does that end at the soft values, and how fast?**
#
# *Predict:* by which factor does the largest error shrink per sweep, and does $\alpha$ enter? The same question for the operator that also improves the policy.

# %% tags=["derivation"] rows=["S1-28:D"] slideshow={"slide_type": "subslide"}
def backup(table, law=pi):
    value = E(a1, law.at(s1), table(s1, a1) - alpha * log(law(a1, s1)))
    return r(s, a) + gamma * E(s1, P.at(s, a), value)


TQ1, TQ2 = function("TQ_1", s, a), function("TQ_2", s, a)
apart = FiniteWorld(3, P=CHANCES, Q_1=[[1.0, 0.5], [-1.0, 2.0]], Q_2=[[0.0, -0.5], [-2.0, 1.0]])
one_policy = Assumption("one policy is evaluated, in all sweeps", source=f"{SAC}, lemma 1")
gained = gamma * Max(s, Max(a, Abs(E(s1, P.at(s, a), E(a1, pi.at(s1), Q1(s1, a1) - Q2(s1, a1))))))
evaluation = (
    Derivation("Soft evaluation contracts", "12.6", Max(s, Max(a, Abs(TQ1(s, a) - TQ2(s, a)))),
               source=f"{SAC}, lemma 1")
    .define(TQ1(s, a), backup(Q1)).define(TQ2(s, a), backup(Q2))
    .assuming(one_policy)
    .step(gained, because="rewards and entropies are the same in both, and cancel")
    .fails_without(one_policy, removed=(Max(s, Max(a, Abs(backup(Q1) - backup(Q2, mu)))), gained))
    .step(gamma * Max(s, Max(a, E(s1, P.at(s, a), E(a1, pi.at(s1), Abs(Q1(s1, a1) - Q2(s1, a1)))))),
          because="the size of a mean is at most the mean of the sizes", relation="<=", tight=apart)
    .step(gamma * Max(s, Max(a, Abs(Q1(s, a) - Q2(s, a)))), because="a mean is at most the maximum",
          relation="<=", tight=apart)
)
evaluation

# %% tags=["derivation"] rows=["S0-28:D"] slideshow={"slide_type": "subslide"}
far, near = r(s, a) + gamma * E(s1, P.at(s, a), F(s1)), r(s, a) + gamma * E(s1, P.at(s, a), G(s1))
gap = function("m", s)
lipschitz = (
    Derivation("Log-sum-exp never widens a gap", "12.6", alpha * LSE(a, Q1(s, a) / alpha),
               source=f"{HAARNOJA17}, appendix A.2, theorem 3")
    .define(gap(s), Max(a, Q1(s, a) - Q2(s, a)))
    .step(alpha * LSE(a, (Q2(s, a) + gap(s)) / alpha), because="it grows with each of its terms",
          relation="<=", tight=apart)
    .step(alpha * LSE(a, Q2(s, a) / alpha) + gap(s), because="m(s) is common to all terms: take it out")
)
lipschitz

# %% tags=["derivation"] rows=["S0-27:D", "S0-28:D"] slideshow={"slide_type": "subslide"}
BF, BG = function("BF", s), function("BG", s)
shifted = FiniteWorld(3, P=[[[1.0, 0.0]] * 2, [[0.0, 1.0]] * 2], F=[-0.5, 0.3], G=[0.5, 0.0])
operator = (
    Derivation("The soft Bellman optimality operator contracts", "12.6",
               Max(s, Abs(BF(s) - BG(s))), source=f"{HAARNOJA17}, appendix A.2, theorem 3")
    .define(BF(s), alpha * LSE(a, far / alpha)).define(BG(s), alpha * LSE(a, near / alpha))
    .step(Max(s, Max(a, Abs(far - near))), because="the lemma, both ways round", relation="<=",
          tight=shifted)
    .step(gamma * Max(s, Max(a, Abs(E(s1, P.at(s, a), F(s1) - G(s1))))),
          because="rewards cancel; γ is common")
    .step(gamma * Max(s, Abs(F(s) - G(s))), because="a mean is at most the maximum", relation="<=",
          tight=shifted)
)
operator

# %% rows=["S1-28:N", "S3-177:I"] slideshow={"slide_type": "subslide"}
# Predict the last column: the error after each sweep over the error before. And without γ?
example = FiniteWorld(0, P=CHANCES)
mdp = process(example, 0.9)
exact, table = soft_value_iteration(mdp, 0.3)[0], np.zeros(2)
for sweep in range(1, 5):
    before, table = abs(table - exact).max(), soft_bellman_optimality(mdp, table, 0.3)
    now = abs(table - exact).max()
    print(f"sweep {sweep}: largest error {now:.4f}, {now / before:.3f} of the last")
endless, table = process(example, 1.0), np.zeros(2)
for sweep in range(1, 2001):
    table = soft_bellman_optimality(endless, table, 0.3)
    if sweep in (100, 1000, 2000):
        print(f"without γ, after {sweep:>4} sweeps: largest value {table.max():.0f}")

# %% [markdown] slideshow={"slide_type": "subslide"}
# The policy-gradient slides back up without $\gamma$ and say that it converges. It does for a finite horizon, or where every policy ends for sure. Here it grows
# by the same amount for ever.
#
# **Take away:** one factor of $\gamma$ per sweep, with or without entropy.

# %% [markdown] slideshow={"slide_type": "slide"} notes="7 minutes. The identity is the whole section. Ask which policy makes the divergence zero before showing the last line."
# ## 3 · The best policy, at one state and everywhere
#
# Given the values of what comes next, which policy is best at this state? And if you switch to it in all states at once, **is the new policy better, or do the
# changes get in each other's way?**
#
# *Predict:* by how much does the soft value rise? There is an exact answer.

# %% tags=["derivation"] rows=["S0-28:D", "S1-29:D", "S4-17:D"] slideshow={"slide_type": "subslide"}
one_step = r(s, a) + gamma * E(s1, P.at(s, a), F(s1))
energy = (
    Derivation("Energy and free energy", "12.4", E(a, pi.at(s), Q(s, a)) + alpha * H(pi.at(s)),
               source=f"{HAARNOJA17}, theorem 1; maximum-entropy slides, Boltzmann exploration")
    .define(V(s), soft_max).define(b(a, s), exp((Q(s, a) - V(s)) / alpha))
    .step(E(a, pi.at(s), V(s) + alpha * log(b(a, s)) - alpha * log(pi(a, s))),
          because="b says what Q is; entropy is the mean of −log π")
    .step(V(s) - alpha * KL(pi.at(s), b.at(s)),
          because="V does not depend on a; the rest is a divergence, zero for π = b alone")
)
best = (
    Derivation("The best one-step policy", "12.4", E(a, pi.at(s), one_step - alpha * log(pi(a, s))),
               source=f"{HAARNOJA17}, theorem 2; policy-gradient slides, optimal soft policy")
    .step(alpha * LSE(a, one_step / alpha), because="[12.4], and a divergence is never negative",
          relation="<=",
          tight=FiniteWorld(P=[[[1.0], [1.0]]], r=[[np.log(3.0), 0.0]], pi=[[0.75, 0.25]], alpha=1.0))
    .implements(soft_bellman_optimality, lambda world, gamma, alpha: (
        process(world, gamma), np.array([float(world.function(F)(i)) for i in range(world.states)]),
        float(alpha)),
        entry=lambda V, s: V[int(s)])
)
display(energy, best)

# %% tags=["derivation"] rows=["S1-31:D"] slideshow={"slide_type": "subslide"}
fixed = FiniteWorld(P=[[[1.0], [1.0]]], r=[[np.log(3.0), 0.0]], pi=[[0.75, 0.25]], alpha=1.0)
U, paid_new = function("V_new", s), Sum(t, 0, oo, gamma**t * (r[t] - alpha * log(new(a[t], s[t]))))
greedy = Assumption("the new policy is the Boltzmann policy of the old one's Q",
                    source=f"{SAC}, equation 4 and lemma 2")
other_V = E(tau, mu.given((s[0], s)), Sum(t, 0, oo, gamma**t * (r[t] - alpha * log(mu(a[t], s[t])))))
improvement = (
    Derivation("Soft policy improvement, exactly", "12.7", U(s) - V(s),
               source=f"{SAC}, lemma 2, as an equality", worlds=10)
    .define(*soft_V).define(*soft_Q)
    .define(F(s), soft_max).define(new(a, s), exp((Q(s, a) - F(s)) / alpha))
    .define(U(s), E(tau, new.given((s[0], s)), paid_new))
    .assuming(greedy)
    .step(E(tau, new.given((s[0], s)),
            Sum(t, 0, oo, gamma**t * (Q(s[t], a[t]) - alpha * log(new(a[t], s[t])) - V(s[t])))),
          because="telescope: each V at the next state meets the −V one step later; only −V(s) is left")
    .step(E(tau, new.given((s[0], s)), Sum(t, 0, oo, gamma**t * (F(s[t]) - V(s[t])))),
          because="the new policy is Boltzmann: Q − α log π_new is F, whatever the action")
    .step(alpha * E(tau, new.given((s[0], s)), Sum(t, 0, oo, gamma**t * KL(pi.at(s[t]), new.at(s[t])))),
          because="[12.4]: the old policy falls short of F by its divergence from the new one")
    .step(0, because="no divergence is negative; all are 0 if the old policy is Boltzmann in its own Q",
          relation=">=", tight=fixed)
    .fails_without(greedy, removed=(other_V - V(s), 0))
)
improvement

# %% [markdown] slideshow={"slide_type": "slide"} notes="5 minutes. Vote: two equal best actions, α goes to 0. One of them, or a coin flip? The coin flip stays: ties are broken evenly."
# ## 4 · Cooling down
#
# Let $\alpha$ go to zero. **Does the soft value become the maximum, and what becomes of ties?**
#
# *Predict:* how far is the soft value from the maximum at temperature $\alpha$, at most? And if all of $Q$ grows by 100, is the soft value then closer to the maximum?

# %% tags=["derivation"] rows=["S0-28:D"] slideshow={"slide_type": "subslide"}
n = real("n")
flat = FiniteWorld(P=[[[1.0], [1.0], [1.0]]], Q=[[0.5, 0.5, 0.5]], alpha=0.5)
cold = FiniteWorld(P=[[[1.0], [1.0]]], Q=[[0.7, -60.0]])
largest = (
    Derivation("One term of the sum", "12.8", top, source="notes, (15.20)")
    .step(LSE(a, Q(s, a)), because="e to the maximum is one of the terms; the others are positive",
          relation="<=", tight=cold)
)
limit = (
    Derivation("The hard maximum is the limit", "12.8", soft_max,
               source="off-policy slides, 7.3 Maximum entropy RL; notes, (15.20)")
    .tends_to(top, because="the largest term takes over the sum", variable=alpha, to=0)
)
bounds = (
    Derivation("How far away it is, at most", "12.8", top,
               source="Boyd and Vandenberghe 2004, section 3.1.5")
    .define(n, Sum(a, 1)).define(V(s), top)
    .step(soft_max, because="the largest term is one of the terms", relation="<=", tight=cold)
    .also_equals(LSE(a, Q(s, a)), by=largest)
    .step(V(s) + alpha * LSE(a, (Q(s, a) - V(s)) / alpha),
          because="take the maximum out of the logarithm")
    .step(V(s) + alpha * log(n), because="each of the n terms is at most 1", relation="<=", tight=flat)
)
display(limit, bounds)

# %% tags=["derivation"] rows=["S0-28:D"] slideshow={"slide_type": "subslide"}
m = positive("m", 1, 3)
tied = [FiniteWorld(P=[[[1.0]] * 3], Q=[values], m=count)
        for values, count in (([0.5, 0.5, -1.0], 2), ([2.0, 0.5, 1.0], 1))]
counted = Assumption("m counts the best actions", source="notes, (15.20), where it is silently 1")
ties = (
    Derivation("With m best actions", "12.8", (soft_max - top) / alpha, worlds=tied,
               source="notes, (15.20) (erratum)")
    .assuming(counted)
    .tends_to(log(m), because="each tied term is 1, all others vanish", variable=alpha, to=0)
    .fails_without(counted, FiniteWorld(P=[[[1.0]] * 3], Q=[[0.5, 0.5, -1.0]], m=1))
)
c, z = real("c", -50, 50), positive("z")
moved = (
    Derivation("Larger values do not help", "12.8", LSE(a, Q(s, a) + c) - Max(a, Q(s, a) + c),
               source="notes, (15.20) (erratum)")
    .step(LSE(a, Q(s, a)) - top, because="a constant common to all actions leaves both, and cancels")
)
grown = (
    Derivation("... larger gaps do", "12.8", LSE(a, z * Q(s, a)) / z, source="notes, (15.20) (erratum)")
    .tends_to(top, because="scaling rewards by z is cooling to the temperature 1/z", variable=z, to=oo)
)
display(ties, moved, grown)

# %% tags=["erratum"] rows=["S0-28:D"] slideshow={"slide_type": "subslide"}
erratum(
    "A softmax is not a soft maximum", "the soft value is the Boltzmann policy's mean of Q plus entropy",
    printed=alpha * exp(Q(s, a) / alpha) / Sum(a1, exp(Q(s, a1) / alpha)), correct=soft_max,
    truth=E(a1, pi.at(s), Q(s, a1)) + alpha * H(pi.at(s)),
    worlds=[FiniteWorld(P=[[[1.0], [1.0]]], s=0, a=i, Q=[[np.log(3.0), 0.0]], pi=[[0.75, 0.25]],
                        alpha=1.0) for i in (0, 1)],
    why="The off-policy slides write α softmax(Q/α) for the soft value. In code that name is a vector "
        "of probabilities, the gradient of the value. The value is α times log-sum-exp; the slides' "
        "integral beside it says so.",
)

# %% tags=["erratum"] rows=["S0-28:D"] slideshow={"slide_type": "subslide"}
erratum(
    "Probabilities that add up to 0.5, or to 1.6", "the policy's probabilities add up to 1",
    printed=Sum(a, exp((Q(s, a) - LSE(a1, Q(s, a1))) / alpha)),
    correct=Sum(a, exp((Q(s, a) - alpha * LSE(a1, Q(s, a1) / alpha)) / alpha)), truth=1,
    worlds=[FiniteWorld(P=[[[1.0]] * 3], Q=[[1.0, 2.0, 3.0]], alpha=value) for value in (0.5, 2.0)],
    why="The notes add a temperature to the policy (15.39) and keep the V of (15.34), which has none. "
        "Policy and value need the same α.",
)

# %% [markdown] slideshow={"slide_type": "slide"} notes="8 minutes. Two places depend on θ: the law of the trajectory and the reward. Ask which term the second gives, then why it averages to zero."
# ## 5 · The gradient of return plus entropy
#
# A finite horizon, a policy with parameter $\theta$. The bonus $-\alpha \log \pi_\theta$ is a reward that **depends on $\theta$ itself. Which extra term does that
# give?**
#
# *Predict:* the printed gradient has a "$-1$" inside the sum. Is it a mistake, a constant, or noise? Lecture 03 has the tool that decides.

# %% tags=["derivation"] rows=["S3-179:D", "S4-20:D"] slideshow={"slide_type": "subslide"}
A, J = function("A", s, a), E(tau, p, Sum(k, 0, T - 1, paid))
blind = Assumption("the baseline does not depend on the action", source="Williams 1992, section 4")
silent = Assumption("only the entropy makes the reward depend on θ", source="notes, (15.86)-(15.87)")
baseline = (
    Derivation("What does not depend on the action is a baseline", "12.9", E(a, p.at(s), here * A(s, a)),
               source="Williams 1992, section 5")
    .define(A(s, a), aim(s, a) - V(s)).assuming(blind)
    .step(E(a, p.at(s), here * aim(s, a)),
          because="p ∇ log p is ∇p; probabilities add up to 1, so the V(s) part adds up to 0")
    .fails_without(blind, removed=(E(a, p.at(s), here * (aim(s, a) - Q(s, a))),
                                   E(a, p.at(s), here * aim(s, a))))
)
whole = Sum(k, 0, T - 1, paid)
moving = Sum(k, 0, T - 1, theta * r[k] - alpha * log(p(a[k], s[k])))
maxent = (
    Derivation("The maximum-entropy policy gradient", "12.9", grad(theta, J),
               source="maximum-entropy slides, Maximum entropy policy gradients; notes, (15.86)-(15.87)")
    .step(E(tau, p, Sum(t, 0, T - 1, score * (whole - alpha))),
          because="product rule: the law of the trajectory, and the bonus itself")
    .assuming(silent).fails_without(silent, removed=(
        grad(theta, E(tau, p, moving)), E(tau, p, Sum(t, 0, T - 1, score * (moving - alpha)))))
    .also_equals(E(tau, p, Sum(t, 0, T - 1, score * (whole + alpha))), by=baseline)
    .also_equals(E(tau, p, Sum(t, 0, T - 1, score * (whole - 1))), by=baseline)
    .step(E(tau, p, Sum(t, 0, T - 1, score * whole)),
          because="α is a baseline: a constant times a score averages to zero")
    .step(E(tau, p, Sum(t, 0, T - 1, score * Sum(k, t, T - 1, paid))),
          because="what was paid before time t does not depend on the action at t: a baseline too")
)
display(baseline, maxent)

# %% tags=["derivation"] rows=["S3-180:D", "S4-21:D"] slideshow={"slide_type": "subslide"}
y = function("y", t, s, a, subscripts=1)
W = function("W", t, s, subscripts=1)
rest = E(tau, p.given((s[t], s)), Sum(k, t, T - 1, paid))
target = (
    Derivation("What the score multiplies, in the mean", "12.9",
               E(tau, p, Sum(t, 0, T - 1, score * Sum(k, t, T - 1, paid))),
               source="notes, (15.87), underbrace (erratum)")
    .define(W(t, s), rest).define(y(t, s, a), r(s, a) + E(s1, P.at(s, a), W(t + 1, s1)))
    .step(E(tau, p, Sum(t, 0, T - 1, score * (y(t, s[t], a[t]) - alpha * log(p(a[t], s[t]))))),
          because="average over all that follows: reward, then the soft value W of the next state")
    .also_equals(E(tau, p, Sum(t, 0, T - 1, score * Sum(k, 0, T - 1, paid))), by=maxent)
)
target

# %% tags=["erratum"] rows=["S3-180:D"] slideshow={"slide_type": "subslide"}
softmaxed = [FiniteWorld(P=[[[1.0]] * 3], Q=[values], pi=[list(boltzmann(np.array(values), 0.5))],
                         alpha=0.5) for values in ([1.0, 2.0, 3.0], [0.0, 0.0, 1.0])]
erratum(
    "The mean of what follows", "averaged over the next action it is the next state's soft value",
    printed=E(a, pi.at(s), Q(s, a)), correct=E(a, pi.at(s), Q(s, a) - alpha * log(pi(a, s))),
    truth=alpha * LSE(a, Q(s, a) / alpha), worlds=softmaxed,
    why="The notes (15.87) put a brace under the sum of rewards and entropies after time t and call "
        "it Q of the next action. The mean is Q − α log π, and for a Boltzmann policy that is V, the "
        "very target of soft Q-learning (15.89).",
)

# %% [markdown] slideshow={"slide_type": "slide"} notes="8 minutes. The three lines are one substitution, ∇Q = α∇log π + ∇V. Let the room find which term is the baseline: V only."
# ## 6 · Two algorithms, one gradient
#
# Let the policy be Boltzmann in a parametrised $Q_\theta$. Soft Q-learning moves $Q_\theta$ towards a target $y$, the policy gradient moves $\log \pi_\theta$.
# **What is the difference between the two updates?**
#
# *Predict:* which terms of the bracket may be dropped as a baseline: $V(s)$, $Q(s, a)$, or both?

# %% tags=["derivation"] rows=["S3-180:D", "S4-21:D", "S3-178:D"] slideshow={"slide_type": "subslide"}
own = Assumption("actions come from the policy itself",
                 source="Schulman, Chen and Abbeel 2017, section 3")
q_step = grad(theta, Qt(theta, s, a)) * (aim(s, a) - Qt(theta, s, a))
fit, f = grad(theta, Vt(theta, s)) * E(a, p.at(s), aim(s, a) - Qt(theta, s, a)), function("f", s)
same = (
    Derivation("Soft Q-learning is a policy gradient plus a value fit", "12.10", E(a, p.at(s), q_step),
               source="Schulman, Chen and Abbeel 2017, Equivalence between policy gradients and soft "
                      "Q-learning, section 3; notes, (15.88)-(15.89)")
    .define(Vt(theta, s), alpha * LSE(a, Qt(theta, s, a) / alpha))
    .define(p(a, s), exp((Qt(theta, s, a) - Vt(theta, s)) / alpha)).define(f(s), fit)
    .assuming(own)
    .step(E(a, p.at(s), (alpha * here + grad(theta, Vt(theta, s))) * (aim(s, a) - Qt(theta, s, a))),
          because="the policy says Q = V + α log π: take its gradient")
    .step(alpha * E(a, p.at(s), here * (aim(s, a) - alpha * log(p(a, s)) - Vt(theta, s))) + f(s),
          because="and put it in for Q in the first half; f is the other half: V fits the target")
    .also_equals(alpha * E(a, p.at(s), here * (aim(s, a) - alpha * log(p(a, s)) + Vt(theta, s))) + f(s),
                 by=baseline)
    .also_equals(alpha * E(a, p.at(s), here * (aim(s, a) - alpha * log(p(a, s)) - 1)) + f(s),
                 by=baseline)
    .step(alpha * E(a, p.at(s), here * (aim(s, a) - alpha * log(p(a, s)))) + f(s),
          because="V does not depend on the action: a baseline")
    .fails_without(own, removed=tuple(E(a, b.at(s), here * x)
                                      for x in (aim(s, a) - Vt(theta, s), aim(s, a))))
)
same

# %% tags=["derivation"] rows=["S3-180:D"] slideshow={"slide_type": "subslide"}
value_slope = (
    Derivation("The gradient of a soft value", "12.10", grad(theta, Vt(theta, s)),
               source="notes, (15.88)")
    .define(Vt(theta, s), alpha * LSE(a, Qt(theta, s, a) / alpha))
    .define(p(a, s), exp((Qt(theta, s, a) - Vt(theta, s)) / alpha))
    .step(E(a, p.at(s), grad(theta, Qt(theta, s, a))),
          because="the derivative of log-sum-exp is a softmax, the policy")
)
value_slope

# %% [markdown] slideshow={"slide_type": "slide"} notes="5 minutes. Two samples suffice: enumerate them. Ask for the sign before the inequality; the logarithm is concave."
# ## 7 · When actions are sampled
#
# With many actions the sum in log-sum-exp is estimated from samples of a proposal $\mu$, weighted by one over their probability. The sum is then right on average.
# **Is its logarithm?**
#
# *Predict:* is the soft value from two samples too high or too low? And from one sample, which known quantity is its mean?

# %% tags=["derivation"] rows=["S0-28:D"] slideshow={"slide_type": "subslide"}
ideal = FiniteWorld(P=[[[1.0], [1.0]]], Q=[[np.log(3.0), 0.0]], mu=[[0.75, 0.25]], alpha=1.0)
divided = Assumption("each sample is divided by its probability",
                     source="off-policy slides, 7.3 Soft Q-learning")
bias = (
    Derivation("Two samples see too little, one sample less", "12.11",
               E(a, mu.at(s), Q(s, a)) + alpha * H(mu.at(s)),
               source=f"{HAARNOJA17}, section 3.2; off-policy slides, 7.3 Soft Q-learning")
    .step(E(a, mu.at(s), alpha * log(weight(a))),
          because="one sample: its mean is the proposal's own return plus entropy")
    .assuming(divided).fails_without(divided, removed=E(a, mu.at(s), alpha * log(exp(Q(s, a) / alpha))))
    .step(pairs(alpha * log((weight(a1) + weight(a2)) / 2)),
          because="Jensen: the logarithm of a mean is the larger", relation="<=", tight=ideal)
    .step(alpha * log(pairs((weight(a1) + weight(a2)) / 2)), because="Jensen again, over both samples",
          relation="<=", tight=ideal)
    .step(alpha * LSE(a, Q(s, a) / alpha), because="each weight has the sum of e^(Q/α) as its mean")
    .implements(soft_values, lambda world, s, alpha: (rows(world, Q)[int(s)], float(alpha)))
)
bias

# %% tags=["erratum"] rows=["S0-28:D"] slideshow={"slide_type": "subslide"}
erratum(
    "Exact inside the mean, biased outside", "the soft value, from two samples of μ",
    printed=pairs(alpha * log((weight(a1) + weight(a2)) / 2)),
    correct=alpha * log(E(a, mu.at(s), weight(a))),
    truth=alpha * LSE(a, Q(s, a) / alpha), worlds=[FiniteWorld(0, alpha=1.0), FiniteWorld(3, alpha=0.5)],
    why="A caution more than an erratum: the off-policy slides' identity for soft Q-learning is "
        "exact. Its estimate from samples is low on average, the more so the fewer samples and the "
        "lower α.",
)

# %% rows=["S0-28:N"] slideshow={"slide_type": "subslide"}
# Every way to draw K actions, listed. Predict: does twice as many samples halve the bias?
values, proposal, temperature = np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.3, 0.2]), 0.5
ratio = np.exp(values / temperature) / proposal
for K in (1, 2, 4, 8):
    draws = np.array(list(itertools.product(range(3), repeat=K)))
    estimate = temperature * np.log(ratio[draws].mean(1))
    mean = proposal[draws].prod(1) @ estimate
    print(f"K = {K}: mean {mean:.4f}, bias {mean - soft_values(values, temperature):+.4f}")

# %% [markdown] slideshow={"slide_type": "slide"} notes="5 minutes. Ask: does acting softly make the values soft? SARSA with a Boltzmann policy says no."
# ## 8 · Acting softly is not planning softly
#
# A SARSA agent explores with a Boltzmann policy in its own $Q$. One slide says that this optimises the maximum-entropy objective. **Does it?**
#
# *Predict:* one door leads to a room with two equally good exits, the other to a room with one good exit and one bad. Rewards on the good ways are equal. Which door
# does each agent prefer?

# %% tags=["derivation"] rows=["S4-17:D", "S4-18:N"] slideshow={"slide_type": "subslide"}
hot = Assumption("the policy is Boltzmann in its own Q",
                 source="maximum-entropy slides, Boltzmann exploration")
sarsa = (
    Derivation("What the SARSA target leaves out", "12.12", E(a, b.at(s), Q(s, a)),
               source="Sallans and Hinton 2004, as cited by the maximum-entropy slides (erratum)")
    .define(V(s), soft_max).define(b(a, s), exp((Q(s, a) - V(s)) / alpha))
    .step(E(a, b.at(s), V(s) + alpha * log(b(a, s))), because="b says what Q is")
    .step(V(s) - alpha * H(b.at(s)),
          because="the mean of −log b is the entropy: SARSA's target is short of V by it")
    .assuming(hot).fails_without(hot, removed=(E(a, pi.at(s), Q(s, a)), V(s) - alpha * H(pi.at(s))))
)
sarsa

# %% tags=["erratum"] rows=["S4-18:N", "S4-19:I"] slideshow={"slide_type": "subslide"}
# States: door, room with two good exits, room with one, outside. The bad exit costs 20.
inside = np.zeros((4, 2, 4))
inside[0, 0, 1] = inside[0, 1, 2] = 1
inside[1:, :, 3] = 1
rooms = FiniteMDP(inside, np.array([[0.0, 0.0], [0.0, 0.0], [0.0, -20.0], [0.0, 0.0]]), 0.95,
                  np.eye(4)[0])
Q_sarsa = np.zeros((4, 2))
for _ in range(500):                                           # expected SARSA, to its fixed point
    Q_sarsa = rooms.r + 0.95 * rooms.P @ (boltzmann(Q_sarsa, 1.0) * Q_sarsa).sum(-1)
for name, policy_found in (("Boltzmann SARSA", boltzmann(Q_sarsa, 1.0)),
                           ("maximum entropy", soft_value_iteration(rooms, 1.0)[2])):
    V_soft, _ = soft_policy_evaluation(rooms, policy_found, 1.0)
    print(f"{name:<16} first door {policy_found[0, 0]:.3f}   return plus entropy {V_soft[0]:.3f}")

# %% [markdown] slideshow={"slide_type": "slide"} notes="4 minutes. One step only. Read it as a game: the opponent may change rewards as long as the soft maximum of the changes stays at most 0."
# ## 9 · Insurance
#
# Somebody changes the rewards after you have chosen your policy. **What are you sure to get, whatever the change?**
#
# *Predict:* is entropy a bonus on top of the return, or a lower bound of something? (One step; the exercise computes the whole minimum.)

# %% tags=["derivation"] rows=["S0-21:N", "S4-27:N"] slideshow={"slide_type": "subslide"}
rr = function("rhat", s, a)
spread = r(s, a) - rr(s, a)
worst = FiniteWorld(P=[[[1.0], [1.0]]], r=[[1.0, -0.5]], pi=[[0.75, 0.25]], alpha=0.5,
                    rhat=[[0.7 - 0.5 * np.log(0.75), -0.8 - 0.5 * np.log(0.25)]])
robust = (
    Derivation("Entropy pays for the worst case", "12.13", E(a, pi.at(s), r(s, a)) + alpha * H(pi.at(s)),
               source="Eysenbach and Levine 2022, Maximum entropy RL (provably) solves some robust RL "
                      "problems, section 4.1")
    .step(E(a, pi.at(s), rr(s, a)) + E(a, pi.at(s), spread) + alpha * H(pi.at(s)),
          because="add and subtract the changed reward")
    .step(E(a, pi.at(s), rr(s, a)) + alpha * LSE(a, spread / alpha),
          because="[12.4], with the change in the place of Q", relation="<=", tight=worst)
)
robust

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What the sources say, and what holds
#
# | source | what holds |
# |---|---|
# | policy-gradient slides: backup without $\gamma$, objective undiscounted | $\gamma$ in both; without it the values grow for ever (section 2) |
# | policy-gradient slides: the optimal policy is a softmax of "Q" | of the optimal soft $Q$; with the $Q$ of a policy it is one improvement step [12.7] |
# | policy-gradient slides: losses name the policy $\theta$, the critic $w$; the algorithm swaps them, and calls a step "environment setup" | one naming |
# | notes (15.88): $-Q$ and $V$ struck out as baselines | $V$ only; the cell below |
# | notes (15.20): the soft value nears the maximum "as Q gets bigger" | as the gaps get bigger; ties leave $\alpha \log m$ |
# | notes (15.79), (15.81), step 4: a plus sign and an index are lost | $\phi$ plus the step; index $j$ throughout |
# | maximum-entropy slides: "$-1$" in the gradient, mean over $(s_t, a_t)$ | a harmless baseline; the mean is over all that follows |
# | maximum-entropy slides: $V$ "is the minimum of energy minus entropy" | $-V$ is; $V$ is the maximum of $Q$ plus entropy |

# %% tags=["erratum", "derivation"] rows=["S3-180:D"] slideshow={"slide_type": "subslide"}
soft_entropy = E(tau, pi, Sum(t, 0, 1, r[t] + alpha * H(pi.at(s[t]))))
printed("Objective without γ, backup with γ", soft_entropy,
        E(tau, pi, r[0] + alpha * H(pi.at(s[0])) + gamma * (r[1] + alpha * H(pi.at(s[1])))))
printed("Backup without γ", Q(s, a), r(s, a) + E(s1, P.at(s, a), V(s1)), soft_Q, soft_V)
printed("Q as a baseline", E(a, p.at(s), here * (aim(s, a) - Q(s, a))), E(a, p.at(s), here * aim(s, a)))
printed("V nears max Q as Q gets bigger", LSE(a, Q(s, a) + 100), Max(a, Q(s, a) + 100))
printed("softmax of the Q of a policy",
        E(tau, new.given((s[0], s)), Sum(t, 0, oo, gamma**t * (r[t] + alpha * H(new.at(s[t]))))), F(s),
        soft_Q, (F(s), soft_max), (new(a, s), exp((Q(s, a) - F(s)) / alpha)))

# %% tags=["summary"] slideshow={"slide_type": "slide"}
summary("Five formulas", soft_backup, soft_value, energy, maxent, same)

# %% [markdown] slideshow={"slide_type": "skip"}
# ## Where to go
#
# Back to the [course map](00_orientation.ipynb). Next: 13b, soft actor-critic.
#
# **References.** Ziebart (2010), *Modeling purposeful adaptive behavior with the principle of maximum causal entropy*, thesis, Carnegie Mellon University. Haarnoja, Tang,
# Abbeel and Levine (2017), *Reinforcement learning with deep energy-based policies*, ICML. Haarnoja et al. (2018), *Soft actor-critic*, ICML. Schulman, Chen and
# Abbeel (2017), *Equivalence between policy gradients and soft Q-learning*, arXiv:1704.06440. Nachum et al. (2017), *Bridging the gap between value and policy based
# reinforcement learning*, NeurIPS. Sallans and Hinton (2004), *Reinforcement learning with factored states and actions*, JMLR 5. Eysenbach and Levine (2022), *Maximum
# entropy RL (provably) solves some robust RL problems*, ICLR. Williams (1992), *Simple statistical gradient-following algorithms*, Machine Learning 8.
