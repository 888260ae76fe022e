# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
#   rlcourse:
#     lecture: 12a
#     title: Variational inference
#     minutes_read: 45
#     minutes_work: 40
#     status: draft
#     objectives: [Derive the ELBO and the dynamic programme for soft optimality]
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # 12a · Variational inference
#
# Ask the exact posterior of lecture 11 what a millionaire did, and it answers: buy lottery tickets.
# **How do you ask for good actions without asking for good luck?**

# %% tags=["imports"] slideshow={"slide_type": "skip"}
import numpy as np
from IPython.display import display

from rlcourse.notation import KL, LSE, Assumption, Derivation, E, FiniteWorld, H, Pr, StepFails, Sum
from rlcourse.notation import action, dynamics, erratum, exp, function, horizon, log, oo, optimality
from rlcourse.notation import path, policy, positive, real, reward, state, summary, time
from rlcourse.tabular.mdp import FiniteMDP
from rlcourse.tabular.soft import backward_messages, posterior_policy, soft_values, variational_messages

t, k, T, tau = time("t"), time("k"), horizon(), path()
s, a, s1, a1 = state("s"), action("a"), state("s'"), action("a'")
r, P, alpha, Z, n = reward("r", high=0), dynamics(), positive("alpha"), real("Z"), real("n")
pi, mu, q, b = policy("pi"), policy("mu"), policy("q", timed=True), policy("b")
O = optimality(r, alpha)                                       # p(O = 1 | s, a) is exp(r/α)
posterior = mu.given(O[0:T])
joint = mu.law.probability() * exp(Sum(t, 0, T - 1, r[t] / alpha))
evidence = Sum(t, 0, T - 1, r[t] / alpha - log(pi(a[t], s[t]) / mu(a[t], s[t])))
paid = Sum(t, 0, T - 1, r[t] / alpha - log(q(a[t], s[t], t) / mu(a[t], s[t])))
Q, V = function("Q", s, a), function("V", s)
LEVINE = "Levine 2018, Reinforcement learning and control as probabilistic inference"


def process(world):
    """The world's dynamics and rewards as the package takes them; a finite horizon needs no discount."""
    return FiniteMDP(world.P, world.rewards("r", 0), 1.0, world.p0, np.zeros(world.states, bool))


def rows(world, table):
    """A policy or a function of state and action as an array (S, A)."""
    f = getattr(table, "function", None)
    pick = (lambda i, j: world.function(f)(j, i)) if f else world.function(table)
    return np.array([[float(pick(i, j)) for j in range(world.actions)] for i in range(world.states)])


# %% [markdown] slideshow={"slide_type": "slide"} notes="5 minutes. Ask for the sign of ln Z first: rewards are never positive here, so Z is a probability and ln Z is negative."
# ## 1 · How far is a policy from the posterior?
#
# A policy moves through the world by the world's own dynamics. The posterior over optimal trajectories need not. **How far apart are the two, in nats?**
#
# *Predict first:* which parts of the two trajectory probabilities cancel, and does what is left depend on how $\mathcal{O}$ was normalised? The result
# turns inference into a return with a price on every deviation from the prior $\mu$. Lectures 12b and 18 use it.

# %% tags=["derivation"] rows=["S0-20:D", "S3-170:D"] slideshow={"slide_type": "subslide"}
own = Assumption("the policy's trajectories follow the true dynamics",
                 source=f"{LEVINE}, section 3.1; notes, (15.58)")
tilted = Pr(mu.given(s[t], O[t:T]), (a[t], a[t]))              # the posterior's own action probabilities
same = log(posterior.probability()) - log(posterior.probability())
free = -E(tau, posterior, Sum(t, 0, T - 1, r[t] / alpha - log(tilted / mu(a[t], s[t])))) + log(Z)
kl = (
    Derivation("From a policy to the posterior", "12.1", KL(pi, posterior),
               source=f"off-policy slides, 7.2 Planning as inference II; {LEVINE}, section 3.1")
    .define(Z, Pr(mu, O[0:T]))
    .assuming(own)
    .step(E(tau, pi, log(pi.law.probability()) - log(posterior.probability())),
          because="definition of the divergence")
    .step(E(tau, pi, log(pi.law.probability() / joint)) + log(Z),
          because="Bayes: the posterior is the joint probability over the evidence Z")
    .step(-E(tau, pi, evidence) + log(Z),
          because="initial state and dynamics are in both, and cancel; log of a product")
    .fails_without(own, removed=(E(tau, posterior, same), free))
)
objective = (
    Derivation("... up to a constant that no policy can change", "12.1", KL(pi, posterior),
               source="off-policy slides, 7.2 Planning as inference II, line 2 (erratum)")
    .define(Z, Pr(mu, O[0:T]))
    .up_to(-E(tau, pi, evidence), because="Z is made of rewards, prior and dynamics alone",
           constant=log(Z), free_of=pi)
)
display(kl, objective)

# %% tags=["derivation"] rows=["S0-20:D"] slideshow={"slide_type": "subslide"}
no_prior = Assumption("the prior is uniform",
                      source="off-policy slides, 7.2 Planning as inference II, last line")
levelled = -E(tau, pi, Sum(t, 0, T - 1, r[t] - alpha * log(n * pi(a[t], s[t]))))
uniform = (
    Derivation("A uniform prior: the price is entropy", "12.1", alpha * KL(pi, posterior),
               source="off-policy slides, 7.2 Planning as inference II, last line (erratum)")
    .define(Z, Pr(mu, O[0:T])).define(n, Sum(a, 1)).define(mu(a, s), 1 / n)
    .assuming(no_prior)
    .step(levelled + alpha * log(Z),
          because="[12.1] times α; the prior is 1/n, where n counts the actions")
    .fails_without(no_prior, removed=(alpha * KL(pi, b.given(O[0:T])),
                                      levelled + alpha * log(Pr(b, O[0:T]))))
    .step(-E(tau, pi, Sum(t, 0, T - 1, r[t] - alpha * log(pi(a[t], s[t])))) + alpha * T * log(n)
          + alpha * log(Z),
          because="log of a product, at each of T steps")
    .step(-E(tau, pi, Sum(t, 0, T - 1, r[t] + alpha * H(pi.at(s[t])))) + alpha * T * log(n)
          + alpha * log(Z),
          because="at a state, the mean of −log π is the entropy")
    .up_to(-E(tau, pi, Sum(t, 0, T - 1, r[t] + alpha * H(pi.at(s[t])))),
           because="the rest is fixed by the world",
           constant=alpha * T * log(n) + alpha * log(Z), free_of=pi)
)
uniform

# %% tags=["erratum", "derivation"] rows=["S0-20:N"] slideshow={"slide_type": "subslide"}
# The slides write "proportional to", then "equivalent to" reward plus entropy. One ratio for all policies?
integral = E(tau, pi, log(pi.law.probability() / joint))
bonus = -E(tau, pi, Sum(t, 0, T - 1, r[t] + alpha * H(pi.at(s[t]))))
ratio = dict(because="as printed", factor=KL(pi, posterior) / integral, free_of=pi)
claims = lambda line: line.up_to(integral, **ratio), lambda line: line.step(bonus, because="as printed")
for claim in claims:
    try:
        claim(Derivation("As printed", "12.1", KL(pi, posterior)))
    except StepFails as refused:
        lines = str(refused).splitlines()[-4:-1]
        print(*(x.strip() for x in lines if ":  " in x or "depends" in x), sep="\n")

# %% [markdown] slideshow={"slide_type": "subslide"} notes="5 minutes. The last sum is Jensen's gap, term by term. Ask: in which worlds is every term zero?"
# ## 2 · What no policy can reach
#
# Give a policy the posterior's own action probabilities. **Does it now produce the posterior's trajectories?**
#
# *Predict:* yes, in which worlds? The answer measures optimism: what remains is exactly how much the posterior bends first state and dynamics.

# %% tags=["derivation"] rows=["S3-168:D", "S4-12:T"] slideshow={"slide_type": "subslide"}
beta = function("beta", t, s, subscripts=1)
ahead = E(s1, P.at(s[t], a[t]), beta(t + 1, s1))
fixed = FiniteWorld(P=[[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]],
                    r=[[-1.0, -2.0], [0.0, -1.0]], p0=[1.0, 0.0], T=2)
posteriors = Pr(mu.given((s[t], s)), (a[t], a), O[t:T]) / beta(t, s)
excess = log(ahead) - log(beta(t + 1, s[t + 1]))
after = (
    Derivation("The last term is zero", "12.1", E(tau, q, Sum(t, 0, T - 1, excess)),
               source=f"{LEVINE}, section 2.3: messages start at the last step")
    .define(beta(t, s), Pr(mu.given((s[t], s)), O[t:T])).define(q(a, s, t), posteriors)
    .step(E(tau, q, Sum(t, 0, T - 2, excess)),
          because="after T nothing is left to observe: β is 1, whatever comes next")
)
gap = (
    Derivation("The posterior's policy in the true world", "12.1", KL(q, posterior),
               source=f"{LEVINE}, section 3")
    .define(Z, Pr(mu, O[0:T])).define(beta(t, s), Pr(mu.given((s[t], s)), O[t:T]))
    .define(q(a, s, t), posteriors)
    .step(log(Z) - E(tau, q, paid), because="[12.1], for a policy that changes with time")
    .step(log(Z) - E(tau, q, Sum(t, 0, T - 1, log(beta(t, s[t])) - log(ahead))),
          because="backward messages: q/μ is e^(r/α) times the mean of the next β, over β")
    .step(E(tau, q, log(Z) - log(beta(0, s[0])) + Sum(t, 0, T - 1, excess)),
          because="shift the index: nothing is observed after T, so β is 1 there")
    .also_equals(E(tau, q, log(Z) - log(beta(0, s[0])) + Sum(t, 0, T - 2, excess)), by=after)
    .step(0, because="Jensen: each logarithm of a mean is at least the mean of the logarithm",
          relation=">=", tight=fixed)
)
gap

# %% tags=["derivation"] rows=["S3-168:D"] slideshow={"slide_type": "subslide"}
sure = Assumption("the dynamics are deterministic", source=f"{LEVINE}, section 2.4")
one = Assumption("there is one first state", source="notes, (15.58): q keeps the law of the first state")
split = [[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [1.0, 0.0]]]
others = [fixed, FiniteWorld(index=4, P=fixed.P, p0=[0.0, 1.0]),
          FiniteWorld(index=5, P=fixed.P[::-1], p0=[1.0, 0.0])]
seen = Pr(mu.given(s[t], O[0:T]), (a[t], a[t]))
every = (
    Derivation("Every trajectory is worth the same", "12.1",
               E(tau, mu, Sum(t, 0, T - 1, r[t] / alpha - log(seen / mu(a[t], s[t])))),
               worlds=others, source=f"{LEVINE}, section 2.4")
    .define(Z, Pr(mu, O[0:T]))
    .step(log(Z), because="reward minus price is log Z on each trajectory, so any average of it is")
)
reached = (
    Derivation("... reaches it in a deterministic world", "12.1", E(tau, q, paid), worlds=others,
               source=f"{LEVINE}, section 2.4")
    .define(Z, Pr(mu, O[0:T])).define(beta(t, s), Pr(mu.given((s[t], s)), O[t:T]))
    .define(q(a, s, t), posteriors)
    .assuming(sure).assuming(one)
    .step(log(Z), because="all terms of the gap vanish: nothing is left to luck")
    .also_equals(E(tau, mu, paid), by=every)
    .fails_without(sure, FiniteWorld(P=split, p0=[1.0, 0.0]))
    .fails_without(one, FiniteWorld(P=fixed.P, p0=[0.5, 0.5]))
)
reached

# %% [markdown] slideshow={"slide_type": "slide"} notes="6 minutes. Write the two lines on the board: log p(O) is one number; as the bound rises, the divergence must fall."
# ## 3 · A bound to climb
#
# The evidence is one number; a policy cannot change it. **Then why would one maximise a lower bound of it?**
#
# *Predict:* by how much does the bound miss? If you can name the difference, you know what climbing the bound does. This is the evidence lower bound, ELBO.

# %% tags=["derivation"] rows=["S3-171:D", "S3-172:D", "S4-13:D", "S4-14:D"] slideshow={"slide_type": "subslide"}
V0, Q0 = backward_messages(process(fixed), 2, 0.5)
best = posterior_policy(V0, Q0, None, 0.5)                      # (T, S, A), for a uniform prior
tight = FiniteWorld(P=fixed.P, r=[[-1.0, -2.0], [0.0, -1.0]], p0=[1.0, 0.0], T=2, alpha=0.5,
                    mu=[[0.5, 0.5], [0.5, 0.5]], q=best)
own = Assumption("q keeps the dynamics of the world", source=f"{LEVINE}, section 3.1; notes, (15.60)")
tilted = Pr(mu.given(s[t], O[t:T]), (a[t], a[t]))              # else: the posterior, dynamics included
kept = E(tau, posterior, Sum(t, 0, T - 1, r[t] / alpha - log(tilted / mu(a[t], s[t]))))
elbo = (
    Derivation("The evidence lower bound", "12.2", log(Pr(mu, O[0:T])),
               source=f"{LEVINE}, section 3.2; notes, (15.59)-(15.62), without the prior (erratum)")
    .step(E(tau, q, log(joint / q.law.probability()))
          + E(tau, q, log(q.law.probability() / posterior.probability())),
          because="Bayes, on every trajectory; expand by q and average over q")
    .step(E(tau, q, log(joint / q.law.probability())) + KL(q, posterior),
          because="the second term is a divergence")
    .assuming(own)
    .step(E(tau, q, paid) + KL(q, posterior),
          because="initial state and dynamics are in both, and cancel")
    .fails_without(own, removed=(E(tau, posterior, log(joint / posterior.probability())), kept))
)
bound = (
    Derivation("... bounds it from below", "12.2", log(Pr(mu, O[0:T])),
               source="notes, (15.59); Jordan et al. 1999")
    .step(E(tau, q, paid), because="a divergence is never negative", relation=">=", tight=tight)
)
display(elbo, bound)

# %% tags=["derivation"] rows=["S4-13:D"] slideshow={"slide_type": "subslide"}
jensen = (
    Derivation("The same bound by Jensen's inequality", "12.2", log(Pr(mu, O[0:T])),
               source="maximum-entropy slides, Policy computation using variational inference")
    .step(log(E(tau, q, exp(paid))),
          because="importance sampling: the joint probability over that of q is e to the ELBO's sum")
    .step(E(tau, q, paid), because="the logarithm is concave", relation=">=", tight=tight)
)
jensen

# %% tags=["erratum"] rows=["S3-172:D"] slideshow={"slide_type": "subslide"}
worlds = [FiniteWorld(0, alpha=1.0), FiniteWorld(1, alpha=1.0)]
erratum(
    "The prior that went missing", "the bound is the mean of log p(τ, O) − log q(τ)",
    printed=E(tau, q, Sum(t, 0, T - 1, r[t] - log(q(a[t], s[t], t)))),
    correct=E(tau, q, Sum(t, 0, T - 1, r[t] - log(q(a[t], s[t], t)) + log(mu(a[t], s[t])))),
    truth=E(tau, q, log(joint / q.law.probability())), worlds=worlds,
    why="The notes (15.61) drop the prior of the actions, the maximum-entropy slides move it into the "
        "reward. For a uniform prior that shifts the bound by a constant and moves no maximum. For "
        "any other it changes the task.",
)

# %% [markdown] slideshow={"slide_type": "slide"} notes="5 minutes. Read it as physics: −Q is an energy, V a free energy. The slides call V the minimum; it is −V that is the minimum."
# ## 4 · One state: the best policy is a Boltzmann distribution
#
# Reward plus entropy at one state. **Which distribution maximises it, and what is the maximum?**
#
# *Predict:* for two actions with equal $Q$, is the maximum that $Q$, or more? No calculus is needed: one identity gives both answers, and the price of every
# other distribution.

# %% tags=["derivation"] rows=["S3-174:D", "S4-15:D"] slideshow={"slide_type": "subslide"}
even = FiniteWorld(P=[[[1.0], [1.0]]], Q=[[np.log(3.0), 0.0]], q=[[0.75, 0.25]], alpha=1.0)
p = policy("q")
free_energy = (
    Derivation("Free energy", "12.4", E(a, p.at(s), Q(s, a)) + alpha * H(p.at(s)),
               source="Haarnoja et al. 2017, Reinforcement learning with deep energy-based policies, "
                      "theorem 1; notes, (15.66)-(15.70)")
    .define(V(s), alpha * LSE(a, Q(s, a) / alpha)).define(b(a, s), exp((Q(s, a) - V(s)) / alpha))
    .step(E(a, p.at(s), Q(s, a) - alpha * log(p(a, s))), because="the entropy is the mean of −log q")
    .step(E(a, p.at(s), V(s) + alpha * log(b(a, s)) - alpha * log(p(a, s))),
          because="solve the definition of b for Q")
    .step(V(s) - alpha * KL(p.at(s), b.at(s)),
          because="V does not depend on the action; the rest is a divergence")
)
optimum = (
    Derivation("... and its maximum", "12.4", E(a, p.at(s), Q(s, a)) + alpha * H(p.at(s)),
               source="notes, (15.67)-(15.69); maximum-entropy slides, policy computation, t = T")
    .define(V(s), alpha * LSE(a, Q(s, a) / alpha))
    .step(V(s), because="the divergence is never negative, and 0 for q = b alone", relation="<=",
          tight=even)
    .implements(soft_values, lambda world, s, alpha: (rows(world, Q)[int(s)], float(alpha)))
)
display(free_energy, optimum)

# %% [markdown] slideshow={"slide_type": "slide"} notes="8 minutes. Stop after the second line and let the room say what is maximised first. The policy depends on time: q at T − 1 sees one reward, q at T − 2 two."
# ## 5 · Backwards in time
#
# The bound is a sum over time, and earlier actions decide where later ones start. **In which order can it be maximised?**
#
# *Predict:* does the value of the next state enter through its mean, or through the logarithm of a mean as in lecture 11? Below, the last two steps; the rest
# repeats the second. Look for the only place where the next state is averaged.

# %% tags=["derivation"] rows=["S3-173:D", "S3-174:D", "S3-175:D", "S4-15:D", "S4-16:D"] slideshow={"slide_type": "subslide"}
V1, Q2, V2 = function("V_1", s), function("Q_2", s, a), function("V_2", s)
first, last = q(a, s, T - 2), q(a1, s1, T - 1)
tail = E(a1, q.at(s1, T - 1), r(s1, a1) - alpha * log(last / mu(a1, s1)))
rest = Sum(k, T - 2, T - 1, r[k] - alpha * log(q(a[k], s[k], k) / mu(a[k], s[k])))
chances, prior = [[[0.75, 0.25], [0.5, 0.5]], [[0.25, 0.75], [0.0, 1.0]]], [[0.5, 0.5], [0.75, 0.25]]
known = FiniteWorld(P=chances, r=[[-1.0, 0.0], [-2.0, -0.5]], T=2, alpha=0.5, mu=prior)
V0, Q0 = variational_messages(process(known), 2, 0.5, np.array(prior))
best = posterior_policy(V0, Q0, np.array(prior), 0.5)
elsewhere, never = np.array([[[0.25, 0.75], [0.625, 0.375]]]), np.full((3, 2, 2), 0.5)
last_best, all_best = (
    FiniteWorld(P=chances, r=known.tables["r"], T=2, alpha=0.5, mu=prior,
                q=np.concatenate([early, best[1:], never]))
    for early in (elsewhere, best[:1]))
own = Assumption("q keeps the dynamics of the world", source=f"{LEVINE}, section 3.1; notes, (15.72)")
lucky = alpha * log(E(s1, P.at(s, a), exp(V1(s1) / alpha)))    # else: the backup of exact inference
programme = (
    Derivation("The variational dynamic programme", "12.3", E(tau, q.given((s[T - 2], s)), rest),
               source=f"{LEVINE}, section 3.2; notes, (15.65)-(15.78)")
    .define(V1(s), alpha * log(E(a, mu.at(s), exp(r(s, a) / alpha))))
    .define(Q2(s, a), r(s, a) + E(s1, P.at(s, a), V1(s1)))
    .define(V2(s), alpha * log(E(a, mu.at(s), exp(Q2(s, a) / alpha))))
    .define(b(a, s), mu(a, s) * exp((Q2(s, a) - V2(s)) / alpha))
    .assuming(own)
    .step(E(a, q.at(s, T - 2), r(s, a) - alpha * log(first / mu(a, s)) + E(s1, P.at(s, a), tail)),
          because="one step, then the next: the past matters through s′ alone")
    .step(E(a, q.at(s, T - 2), r(s, a) - alpha * log(first / mu(a, s)) + E(s1, P.at(s, a), V1(s1))),
          because="base case, [12.4] with the prior: no last choice is worth more than V₁",
          relation="<=", tight=last_best)
    .step(V2(s) - alpha * KL(q.at(s, T - 2), b.at(s)),
          because="r and the mean of V₁ are Q₂; then [12.4] again")
    .fails_without(own, removed=(E(a, q.at(s, T - 2), r(s, a) - alpha * log(first / mu(a, s)) + lucky),
                                 V2(s) - alpha * KL(q.at(s, T - 2), b.at(s))))
    .step(V2(s), because="the best first choice is b", relation="<=", tight=all_best)
    .implements(variational_messages,
                lambda world, alpha: (process(world), 2, float(alpha), rows(world, mu)),
                entry=lambda result, s: result[0][0, int(s)])
)
programme

# %% tags=["derivation"] rows=["S3-175:D"] slideshow={"slide_type": "subslide"}
W = function("V", s1)
certain = FiniteWorld(P=fixed.P)
cold = (
    Derivation("Jensen's inequality", "12.3", E(s1, P.at(s, a), W(s1)), source="Jensen 1906")
    .step(log(E(s1, P.at(s, a), exp(W(s1)))), because="the exponential function is convex",
          relation="<=", tight=certain)
)
optimism = (
    Derivation("The optimism is gone", "12.3", E(s1, P.at(s, a), W(s1)),
               source=f"{LEVINE}, section 2.4 against 3.1; notes, (15.72) against (15.54)")
    .step(alpha * log(E(s1, P.at(s, a), exp(W(s1) / alpha))),
          because="Jensen, for V/α; equal where the next state is certain", relation="<=", tight=certain)
    .also_equals(log(E(s1, P.at(s, a), exp(W(s1)))), by=cold)
)
warm = (
    Derivation("... and so it is at high temperature", "12.3",
               alpha * log(E(s1, P.at(s, a), exp(W(s1) / alpha))), source="lecture 11; notes, (15.54)")
    .tends_to(E(s1, P.at(s, a), W(s1)), variable=alpha, to=oo, rate=1,
              because="a smooth function is linear from nearby: what is left is a variance over α")
)
display(optimism, warm)

# %% rows=["S3-169:N"] slideshow={"slide_type": "subslide"}
# A safe action costs 1. A ticket costs 10, or 0 with probability 1/100. Predict both columns.
start, win, lose, safe = range(4)
move = np.zeros((4, 2, 4))
move[start, 0, safe], move[start, 1, win], move[start, 1, lose] = 1, 0.01, 0.99
move[[win, lose, safe], :, [win, lose, safe]] = 1
lottery = FiniteMDP(move, np.array([[0.0] * 2, [0.0] * 2, [-10.0] * 2, [-1.0] * 2]), 1.0,
                    np.eye(4)[start], np.zeros(4, bool))
for name, messages in (("exact inference", backward_messages), ("variational", variational_messages)):
    values, actions = messages(lottery, 2, 0.2)
    ticket = posterior_policy(values, actions, None, 0.2)[0, start, 1]
    print(f"{name:<16} Q of the ticket {actions[0, start, 1]:+.2f}, probability {ticket:.3f}")

# %% tags=["erratum", "derivation"] rows=["S3-175:D"] slideshow={"slide_type": "subslide"}
V3, c = function("V_3", s), policy("c")
printed = E(a, p.at(s), Q(s, a) - alpha * log(p(a, s))) + alpha * H(p.at(s))
twice = (
    Derivation("What the printed line maximises", "12.3", printed, source="notes, (15.71)")
    .define(V3(s), 2 * alpha * LSE(a, Q(s, a) / (2 * alpha)))
    .define(c(a, s), exp((Q(s, a) - V3(s)) / (2 * alpha)))
    .step(E(a, p.at(s), Q(s, a)) + 2 * alpha * H(p.at(s)),
          because="−log q and H are the same entropy, twice")
    .step(V3(s) - 2 * alpha * KL(p.at(s), c.at(s)), because="[12.4] with 2α in the place of α")
)
box = erratum(
    "One entropy, counted twice", "the line is the mean of Q plus the entropy, once",
    printed=printed, correct=E(a, p.at(s), Q(s, a) - alpha * log(p(a, s))),
    truth=E(a, p.at(s), Q(s, a)) + alpha * H(p.at(s)),
    worlds=[FiniteWorld(0, alpha=1.0), FiniteWorld(3, alpha=0.5)],
    why="The notes (15.71) write r − log q + E[V] and add the entropy of q. Its maximiser is a "
        "Boltzmann policy at twice the temperature: too random, and wrong at every earlier time as "
        "well.",
)
display(twice, box)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What the sources say, and what holds
#
# | source | what holds |
# |---|---|
# | off-policy slides: the divergence is "proportional to" the integral | equal up to the constant $\ln Z$; the ratio moves with the policy, and can change its sign |
# | off-policy slides: "equivalent to" reward plus entropy | the same minimiser; the exact relation also has $\alpha$ and two constants [12.1] |
# | notes (15.61): no prior | right for a uniform prior, up to a constant |
# | notes (15.71): $-\log q$ and the entropy | one of the two |
# | notes (15.65)-(15.75): the mean over states is set as the index of argmax | the maximum is over $q$, of a mean over states; the states do not matter, since $q$ is chosen at each |
#
# **Take away:** keep the dynamics, and inference becomes return plus entropy; the next state enters through its mean.

# %% tags=["summary"] slideshow={"slide_type": "slide"}
summary("Three formulas", kl, elbo, free_energy)

# %% [markdown] slideshow={"slide_type": "skip"}
# ## Where to go
#
# Back to the [course map](00_orientation.ipynb). Next: 12b, the same objective discounted and without an end.
#
# **References.** Levine (2018), *Reinforcement learning and control as probabilistic inference: tutorial and review*, arXiv:1805.00909. Haarnoja, Tang, Abbeel and
# Levine (2017), *Reinforcement learning with deep energy-based policies*, ICML. Ziebart (2010), *Modeling purposeful adaptive behavior with the principle
# of maximum causal entropy*, thesis, Carnegie Mellon University. Jordan et al. (1999), *An introduction to variational methods for graphical models*, Machine Learning 37.
