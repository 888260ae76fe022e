# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
#   rlcourse:
#     lecture: 13b
#     title: SAC and soft Q-learning
#     minutes_read: 70
#     minutes_work: 60
#     status: draft
#     objectives: [LO7.6, LO7.7]
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # 13b · SAC and soft Q-learning
#
# Soft actor-critic trains three things at once: a critic, an actor, a temperature. Each chases the other two.
# **What does each of the three losses want, and which signs, factors and masks can one lose without noticing?**

# %% tags=["imports"] slideshow={"slide_type": "skip"}
import numpy as np
import torch
from IPython.display import display
from sympy import pi as PI

from rlcourse.equations.distributions import TanhGaussian
from rlcourse.equations.max_entropy import sac_policy_loss, sac_target, sac_value_target, temperature_loss
from rlcourse.figures import style
from rlcourse.notation import KL, LSE, Assumption, D, DensityWorld, Derivation, E, FiniteWorld, H, Larger, Min, N, Sum
from rlcourse.notation import TanhN, action, dynamics, erratum, evaluate, exp, function, grad, jump, log, oo
from rlcourse.notation import partial, path, policy, positive, real, reward, sqrt, state, summary, tanh, terminal, time
from rlcourse.tabular.mdp import FiniteMDP
from rlcourse.tabular.soft import soft_policy_evaluation

style.apply()
V1, V2 = "Haarnoja et al. 2018a (ICML)", "Haarnoja et al. 2018b (arXiv)"     # SAC with V_psi; SAC with alpha
t, tau, s, s1, a, a1, w = time("t"), path(), state("s"), state("s'"), action("a"), action("a'"), action("w")
r, P, d, pi, b = reward(), dynamics(), terminal(), policy("pi"), policy("b")
theta, psi, gamma, alpha = real("theta"), real("psi"), real("gamma", 0.3, 0.95), positive("alpha")
Q, Q1, Q2, Hs = function("Q", s, a), function("Q_1", s, a), function("Q_2", s, a), function("H", s)
ca, u, eps, z, x = (real(name) for name in ("a", "u", "epsilon", "z", "x"))
mu, sigma, m, c, q = real("mu"), positive("sigma"), real("m"), positive("c"), real("q")
Hbar, eta, ell, width = real("Hbar", -1, 1), positive("eta", 0.1, 0.5), real("ell"), positive("h")
Qc, k = function("Q", ca), function("k", ca)
# actor of a continuous action: mean and standard deviation move with theta
mu_t, sigma_t = function("mu", theta, subscripts=1)(theta), function("sigma", theta, subscripts=1, is_positive=True)(theta)
law = N(mu_t, sigma_t)

# %% [markdown] slideshow={"slide_type": "slide"} notes="8 minutes. Ask first whether the entropy of the present action belongs to Q(s, a): no, a is already chosen. Then whether the entropy of a' is paid now or one step later. The mask: what is the entropy of a policy worth after the game is over?"
# ## 1 · What the critic should become
#
# $Q(s, a)$ of a maximum-entropy agent counts rewards and, from the next step on, the entropy of the actions still to be chosen.
# After the end of a task there is neither. **Where do discount and mask go in its Bellman equation?**
#
# *Predict first:* is the entropy of the next action discounted? And what is lost if the mask is forgotten, although all rewards after the end are zero?
# The result is line one of SAC's update.

# %% tags=["derivation"] rows=["S4-22:D", "S1-30:D", "S0-30:I"] slideshow={"slide_type": "subslide"}
once = Assumption("nothing is collected after the end of a task",
                  source="Sutton and Barto 2018, section 3.4 (absorbing states)")
rest = Sum(t, 0, oo, gamma**t * (r[t] + gamma * alpha * (1 - d(s[t + 1])) * Hs(s[t + 1])))
soft_next = E(a1, pi.at(s1), Q(s1, a1) - alpha * log(pi(a1, s1)))
bellman = (
    Derivation("Soft Bellman equation", "13.9", Q(s, a),
               source=f"{V2}, eqs. 2-3; Wang, 'Soft Actor-Critic Algorithms'; CS4400 7.3, 'Maximum entropy RL'")
    .define(Hs(s), -E(a, pi.at(s), log(pi(a, s))))
    .define(Q(s, a), E(tau, pi.given((s[0], s), (a[0], a)), rest))
    .step(r(s, a) + gamma * E(s1, P.at(s, a),
                              alpha * (1 - d(s1)) * Hs(s1) + E(a1, pi.at(s1), Q(s1, a1))),
          because="take the first step out of the sum; what follows is the same sum, from s′")
    .step(r(s, a) + gamma * E(s1, P.at(s, a),
                              (1 - d(s1)) * (alpha * Hs(s1) + E(a1, pi.at(s1), Q(s1, a1)))),
          because="after the end Q is 0 itself, so the mask may stand before both")
    .step(r(s, a) + gamma * E(s1, P.at(s, a), (1 - d(s1)) * soft_next),
          because="the entropy is a mean of −log π over the same next action")
    .assuming(once)
    .fails_without(once, removed=r(s, a) + gamma * E(s1, P.at(s, a), soft_next))
)
bellman

# %% tags=["derivation"] rows=["S4-23:D", "S1-33:D"] slideshow={"slide_type": "subslide"}
def tabular(world):
    """Q(s, a) of the package's soft policy evaluation: a linear solve."""
    mdp = FiniteMDP(world.P, world.rewards(), world.value(gamma), world.p0, terminal=world.terminal == 1)
    table = soft_policy_evaluation(mdp, world.function(pi.function).array.T, world.value(alpha))[1]
    return table[world.value(s), world.value(a)]


y = function("y", s, a, s1, a1)
sampled = (
    Derivation("One transition is enough: its target is right on average", "13.9", Q(s, a),
               source=f"{V2}, eqs. 5-6 (stochastic gradient with one sampled next action)")
    .define(Hs(s), bellman.definitions[0][1]).define(Q(s, a), bellman.definitions[1][1])
    .define(y(s, a, s1, a1), r(s, a) + gamma * (1 - d(s1)) * (Q(s1, a1) - alpha * log(pi(a1, s1))))
    .step(r(s, a) + gamma * E(s1, P.at(s, a), (1 - d(s1)) * soft_next), because="soft Bellman equation")
    .step(E(s1, P.at(s, a), E(a1, pi.at(s1), y(s, a, s1, a1))),
          because="r, γ and the mask do not depend on a′: the means move to the front")
    .implements(tabular, lambda world: (world,))
)
sampled

# %% tags=["derivation"] rows=["S4-22:D", "S4-24:I"] slideshow={"slide_type": "subslide"}
Qhat, parts = function("Qhat", s, a), (r(s, a), d(s1), Q1(s1, a1), Q2(s1, a1), log(pi(a1, s1)))
target = (
    Derivation("The target that SAC computes", "13.9", y(s, a, s1, a1),
               source=f"{V2}, eq. 5 and section 6 (two critics); Fujimoto et al. 2018, eq. 10")
    .define(Qhat(s, a), Min(Q1(s, a), Q2(s, a)))
    .define(y(s, a, s1, a1), r(s, a) + gamma * (1 - d(s1)) * (Qhat(s1, a1) - alpha * log(pi(a1, s1))))
    .step(r(s, a) + gamma * (1 - d(s1)) * (Min(Q1(s1, a1), Q2(s1, a1)) - alpha * log(pi(a1, s1))),
          because="the pessimistic critic in place of Q, both at the same sampled action")
    .implements(sac_target, lambda world: (
        *(torch.tensor([evaluate(e, world)], dtype=torch.float64) for e in parts), world.value(gamma),
        world.value(alpha)))
)
target

# %% tags=["erratum"] rows=["S4-23:N"] slideshow={"slide_type": "subslide"}
def solved(index, alpha, gamma):
    """A world in which the table Q is the soft value of the policy, by the package's linear solve."""
    plain = FiniteWorld(index)
    table = plain.function(pi.function).array.T
    mdp = FiniteMDP(plain.P, plain.rewards(), gamma, plain.p0, terminal=plain.terminal == 1)
    return FiniteWorld(index, pi=table, Q=soft_policy_evaluation(mdp, table, alpha)[1], alpha=alpha,
                       gamma=gamma)


display(erratum(
    "A discount that stops too early", "one step from Q leads back to Q",
    printed=r(s, a) + E(s1, P.at(s, a), E(a1, pi.at(s1), gamma * Q(s1, a1) - alpha * log(pi(a1, s1)))),
    correct=r(s, a) + E(s1, P.at(s, a), E(a1, pi.at(s1), gamma * (Q(s1, a1) - alpha * log(pi(a1, s1))))),
    truth=Q(s, a), worlds=[solved(0, 1.0, 0.5), solved(1, 0.5, 0.5)],
    why="Wang's slide puts the bracket behind Q: in its gradient of the critic's loss γ does not reach "
        "−α log π. The entropy of the next action is collected one step later, so it is discounted.",
), erratum(
    "The missing mask", "one step from Q leads back to Q, in a world that ends",
    printed=r(s, a) + gamma * E(s1, P.at(s, a), soft_next),
    correct=r(s, a) + gamma * E(s1, P.at(s, a), (1 - d(s1)) * soft_next),
    truth=Q(s, a), worlds=[solved(2, 1.0, 0.5), solved(2, 1.0, 0.9)],
    why="CS4400, Rohban and Wang leave (1 − d) out of their targets, and so do the TD3 slides. Even where Q of "
        "a terminal state is 0, as here, the entropy of an action that nobody takes is then collected.",
))

# %% [markdown] slideshow={"slide_type": "slide"} notes="5 minutes. Let the room vote: is the minimum of two unbiased estimates unbiased? Then ask which way an actor that maximises a noisy critic errs, and why the two errors do not cancel exactly."
# ## 2 · Two guesses, and the smaller one
#
# SAC takes over the twin critics of TD3 and trusts the lower one.
# **If both critics are right on average, is the lower one right on average?**
#
# *Predict first:* two independent guesses of the same value, each with a standard deviation of 1. How far below the truth is their minimum, on average:
# not at all, by about half, or by a full 1? Used by the target above and by the actor below.

# %% tags=["derivation"] rows=["S0-30:D"] slideshow={"slide_type": "subslide"}
xi = policy("xi")
pessimism = (
    Derivation("The minimum of two estimates is biased low, whatever their law", "13.13",
               E(w, xi.at(s), Min(Q1(s, w), Q2(s, w))),
               source="Fujimoto et al. 2018, section 4.2 (underestimation)")
    .step(Min(E(w, xi.at(s), Q1(s, w)), E(w, xi.at(s), Q2(s, w))), relation="<=",
          because="the minimum is below either one for every outcome w of the training, so its mean is "
                  "below either mean",
          tight=FiniteWorld(Q_1=np.array([[0.0, 1.0], [2.0, 0.0]]),
                            Q_2=np.array([[0.5, 1.0], [3.0, 2.0]])))
)
apart = Assumption("the two errors are independent", source="Fujimoto et al. 2018, section 4.2")
q1, q2 = real("q_1"), real("q_2")
gaussian = (
    Derivation("How low, for two independent Gaussian estimates of q", "13.13",
               E(q1, N(q, sigma), E(q2, N(q, sigma), Min(q1, q2))), worlds=4,
               source="Fujimoto et al. 2018, section 4.2, worked out for Gaussian errors")
    .step(E(z, N(0, sqrt(2)), Min(q + sigma * z / 2, q - sigma * z / 2)),
          because="only their difference matters: it is σz, and z has variance 2")
    .assuming(apart)
    .fails_without(apart, removed=(E(q1, N(q, sigma), Min(q1, q1)), E(
        z, N(0, sqrt(2)), Min(q + sigma * z / 2, q - sigma * z / 2))))
    .step(q - sigma / sqrt(PI),
          because="the minimum is q − σ|z|/2, and the mean of |z| is 2/√π (here π is 3.14…)")
    .step(q, relation="<=", because="σ > 0: two unbiased guesses, and a minimum that is not",
          tight=DensityWorld(sigma=0))
)
display(pessimism, gaussian)

# %% [markdown] slideshow={"slide_type": "slide"} notes="7 minutes. Version 1 of SAC has a value network, version 2 a learned temperature. Ask what the target of V_psi is; then whether exp((Q - V_psi)/alpha) is a probability. Let them compute its sum in the box."
# ## 3 · The value network of version 1
#
# The first SAC paper learns $V_\psi(s)$ beside $Q$, and the slides write the actor's loss as a KL divergence to $\exp((Q - V_\psi)/\alpha)$.
# **Is that a KL divergence?**
#
# *Predict first:* $V_\psi$ learns the mean of $Q - \alpha \log \pi$ under the present policy. With a perfect $V_\psi$, is the printed "divergence" positive,
# zero or negative? Does it matter for the actor's gradient?

# %% tags=["derivation"] rows=["S1-33:D", "S0-30:D", "S1-32:D"] slideshow={"slide_type": "subslide"}
V = function("V", psi, s, subscripts=1)
soft = Q(s, a) - alpha * log(pi(a, s))
value_loss = (
    Derivation("What the value network learns, from one sampled action", "13.12",
               D(psi, (E(a, pi.at(s), soft) - V(psi, s)) ** 2 / 2),
               source=f"{V1}, eqs. 5-6; CS4400 7.3, SAC losses; Rohban, slide 'Loss functions', eq. 5")
    .step((V(psi, s) - E(a, pi.at(s), soft)) * D(psi, V(psi, s)),
          because="chain rule; the target does not depend on ψ")
    .step(E(a, pi.at(s), (V(psi, s) - soft) * D(psi, V(psi, s))),
          because="V does not depend on a: one mean over a")
    .step(D(psi, E(a, pi.at(s), (soft - V(psi, s)) ** 2 / 2)),
          because="the same gradient with the mean outside the square: the rest, a variance, is free "
                  "of ψ")
)
value_target = (
    Derivation("... with the lower of two critics, as code", "13.12", Qhat(s, a) - alpha * log(pi(a, s)),
               source=f"{V1}, eqs. 3 and 5, section 4.2 (minimum of the two Q-functions)")
    .define(Qhat(s, a), Min(Q1(s, a), Q2(s, a)))
    .step(Min(Q1(s, a), Q2(s, a)) - alpha * log(pi(a, s)),
          because="no γ and no mask here: both stand where V is used, one step earlier")
    .implements(sac_value_target, lambda world: (
        *(torch.tensor([evaluate(e, world)], dtype=torch.float64) for e in (
            Q1(s, a), Q2(s, a), log(pi(a, s)))), world.value(alpha)))
)
display(value_loss, value_target)

# %% tags=["derivation"] rows=["S0-30:D", "S1-33:D"] slideshow={"slide_type": "subslide"}
pi_t, V_star, best = policy("pi", theta), function("V_soft", s), policy("pi_soft")
printed = E(a, pi_t.at(s), log(pi_t(a, s) / exp((Q(s, a) - V(psi, s)) / alpha)))
soft_t = Q(s, a) - alpha * log(pi_t(a, s))
own = E(a1, pi_t.at(s), Q(s, a1) - alpha * log(pi_t(a1, s)))     # what V_psi would be without a network
held = Assumption("V_ψ is a network of its own and stays fixed while the policy moves",
                  source=f"{V1}, section 4.2 and eq. 10")
not_kl = (
    Derivation("The printed divergence is the error of the value network", "13.14", printed,
               source="CS4400 7.3, SAC losses")
    .step((V(psi, s) - E(a, pi_t.at(s), soft_t)) / alpha,
          because="logarithm of a fraction: zero for a perfect V_ψ, negative for one that is too low")
)
up_to_constant = (
    Derivation("... and yet it has the right gradient", "13.14", printed, source=f"{V1}, eqs. 10 and 12")
    .define(V_star(s), alpha * LSE(a1, Q(s, a1) / alpha))
    .define(best(a, s), exp((Q(s, a) - V_star(s)) / alpha))
    .up_to(KL(pi_t.at(s), best.at(s)), constant=(V(psi, s) - V_star(s)) / alpha, free_of=pi_t,
           because="put V_soft in the place of V_ψ: exp((Q − V_soft)/α) sums to 1, and the rest does "
                   "not see the policy")
)
kl_gradient = (
    Derivation("The gradient itself", "13.14", grad(theta, KL(pi_t.at(s), best.at(s))),
               source=f"{V1}, eq. 12")
    .define(V_star(s), alpha * LSE(a1, Q(s, a1) / alpha))
    .define(best(a, s), exp((Q(s, a) - V_star(s)) / alpha))
    .step(grad(theta, E(a, pi_t.at(s), alpha * log(pi_t(a, s)) - Q(s, a))) / alpha,
          because="V_soft does not depend on θ: no value network is needed in the actor's loss")
    .assuming(held)
    .fails_without(held, removed=(
        grad(theta, E(a, pi_t.at(s), log(pi_t(a, s) / exp((Q(s, a) - own) / alpha)))),
        grad(theta, E(a, pi_t.at(s), alpha * log(pi_t(a, s)) - Q(s, a))) / alpha))
)
display(not_kl, up_to_constant, kl_gradient)

# %% tags=["erratum"] rows=["S0-30:N"] slideshow={"slide_type": "subslide"}
two = dict(P=np.full((2, 2, 2), 0.5), pi=np.full((2, 2), 0.5), s=0)
value = E(a1, pi.at(s), Q(s, a1) - alpha * log(pi(a1, s)))
erratum(
    "Not a probability", "the second argument of the divergence sums to 1",
    printed=Sum(a, exp((Q(s, a) - value) / alpha)),
    correct=Sum(a, exp((Q(s, a) - alpha * LSE(a1, Q(s, a1) / alpha)) / alpha)),
    truth=1, worlds=[FiniteWorld(Q=np.eye(2), alpha=warm, **two) for warm in (1.0, 0.5)],
    why="In CS4400 the SAC loss is a KL to exp((Q − V_ψ)/α) with V_ψ the learned mean. Only the "
        "log-partition makes that a probability. In soft Q-learning, one slide earlier, V is the "
        "log-partition, and the formula is right.",
)

# %% [markdown] slideshow={"slide_type": "slide"} notes="10 minutes with the two derivations. Stop before the lemma: which of the two places where theta occurs in log pi vanishes, and when? Break it live: drop alpha log pi from the score form and watch which parameter notices (only sigma)."
# ## 4 · The actor
#
# The actor minimises the mean of $\alpha \log \pi - Q$. Its parameters stand in two places: in the law of the action, and inside the logarithm.
# **Which of the two terms must be kept, and in which form of the gradient?**
#
# *Predict first:* the derivative of $\log \pi$ at a *fixed* action, averaged over actions of the same policy: positive, zero, or does it depend on the policy?
# Section 2 of 13a derived both forms for $Q$ alone; now the integrand itself moves.

# %% tags=["derivation"] rows=["S4-23:D"] slideshow={"slide_type": "subslide"}
log_pi = function("ell", theta, ca, subscripts=1)
old = real("theta_old")
law_old = law.xreplace({theta: old})
no_drift = (
    Derivation("The score has mean zero: log π is flat where its own actions are", "13.15",
               E(ca, law_old, log_pi(theta, ca)), source="Williams 1992, section 4")
    .define(log_pi(theta, ca), log(law.pdf(ca)))
    .first_order(-H(law_old), in_=theta, at=old,
                 because="∇p = p ∇log p, and probabilities add up to 1 for every θ: the slope is 0")
)
loss = E(ca, law, alpha * log_pi(theta, ca) - Qc(ca))
drawn_here = Assumption("the actions come from the policy that is differentiated",
                 source="Williams 1992, section 4")
score = (
    Derivation("The actor's gradient, score function form", "13.15", D(theta, loss),
               source=f"{V1}, section 4.2, below eq. 10 (likelihood ratio); Levine 2018, section 4.1")
    .define(log_pi(theta, ca), log(law.pdf(ca)))
    .step(E(ca, law, (alpha * log_pi(theta, ca) - Qc(ca)) * D(theta, log_pi(theta, ca))),
          because="product rule: θ in the law of a gives this; θ inside the logarithm gives α times a "
                  "mean score, zero")
    .assuming(drawn_here)
    .fails_without(drawn_here, removed=E(ca, N(mu, sigma),
                                  (alpha * log_pi(theta, ca) - Qc(ca)) * D(theta, log_pi(theta, ca))))
)
display(no_drift, score)

# %% tags=["derivation"] rows=["S4-23:D", "S4-22:D"] slideshow={"slide_type": "subslide"}
f = function("f", theta, eps, subscripts=1)
fe = f(theta, eps)
slope_all = alpha * partial(log_pi, ca)(theta, fe) - partial(Qc)(fe)
smooth = Assumption("Q has no jumps in a", source=f"{V1}, eq. 13, which differentiates Q by the action")
own_q = Assumption("Q is held fixed while the policy moves",
                   source=f"{V1}, section 4.1, policy improvement: Q of the old policy")
one_sample = (
    Derivation("One sample's gradient", "13.16", D(theta, alpha * log_pi(theta, fe) - Qc(fe)),
               source=f"{V1}, eq. 13; {V2}, eq. 10; Wang, slide 'Soft Actor-Critic Algorithms'")
    .define(log_pi(theta, ca), log(law.pdf(ca))).define(f(theta, eps), mu_t + sigma_t * eps)
    .step(alpha * partial(log_pi, theta)(theta, fe) + slope_all * D(theta, fe),
          because="chain rule: log π changes with θ at a fixed action, and with the action")
)
pathwise = (
    Derivation("The actor's gradient, pathwise form", "13.16", D(theta, loss),
               source=f"{V1}, eqs. 11-13; {V2}, eqs. 8-10")
    .define(log_pi(theta, ca), log(law.pdf(ca))).define(f(theta, eps), mu_t + sigma_t * eps)
    .step(E(eps, N(0, 1), D(theta, alpha * log_pi(theta, fe) - Qc(fe))),
          because="reparametrise, a = f_θ(ε); the noise does not depend on θ, so the derivative goes "
                  "inside")
    .assuming(smooth).fails_without(smooth, DensityWorld(Q=jump(at=0.2)))
    .assuming(own_q)
    .fails_without(own_q, removed=(D(theta, E(ca, law, alpha * log_pi(theta, ca) - theta * Qc(ca))), E(
        eps, N(0, 1), D(theta, alpha * log_pi(theta, fe)) - theta * partial(Qc)(fe) * D(theta, fe))))
    .step(E(eps, N(0, 1), slope_all * D(theta, fe)),
          because="the first term of one sample's gradient is a score at its own action: mean zero "
                  "[13.15]")
)
display(one_sample, pathwise)

# %% tags=["derivation"] rows=["S0-30:D", "S4-22:D"] slideshow={"slide_type": "subslide"}
bowl = E(ca, N(mu, sigma), alpha * log(N(mu, sigma).pdf(ca)) + c * (ca - m) ** 2)
in_closed_form = c * ((mu - m) ** 2 + sigma**2) - alpha / 2 * log(2 * PI * sigma**2) - alpha / 2
squeezed = E(ca, TanhN(mu, sigma), alpha * log(TanhN(mu, sigma).pdf(ca)) + c * (ca - m) ** 2)
flat = Assumption("the action is not squashed", source=f"{V2}, appendix C")
minimiser = (
    Derivation("The best Gaussian for a quadratic Q", "13.17", bowl,
               source=f"{V1}, eq. 4 (information projection), worked out for −Q = c (a − m)²")
    .step(in_closed_form,
          because="E[(a − m)²] is bias squared plus variance; E[log 𝒩] is minus the entropy")
    .assuming(flat)
    .fails_without(flat, removed=(squeezed, in_closed_form))
    .step(c * sigma**2 - alpha / 2 * log(2 * PI * sigma**2) - alpha / 2, relation=">=",
          because="a square is at least 0, and it is 0 at μ = m", tight=DensityWorld(mu=0.3, m=0.3))
    .step(-alpha / 2 * log(PI * alpha / c), relation=">=",
          because="x − 1 ≥ log x with x = 2cσ²/α, equal at x = 1: 𝒩(m, α/(2c)) is best",
          tight=[DensityWorld(c=0.5, alpha=1, sigma=1), DensityWorld(c=1, alpha=0.5, sigma=0.5)])
)
minimiser

# %% tags=["derivation"] rows=["S4-23:D", "S1-33:D"] slideshow={"slide_type": "subslide"}
squashed = TanhN(mu_t, sigma_t)
gain = 2 * alpha * tanh(fe) - (1 - tanh(fe) ** 2) * partial(Qc)(tanh(fe))
bounded = (
    Derivation("The actor's gradient through the squash", "13.18",
               D(theta, E(ca, squashed, alpha * log(squashed.pdf(ca)) - Qc(ca))), worlds=8,
               source=f"{V2}, appendix C with eq. 9")
    .define(f(theta, eps), mu_t + sigma_t * eps)
    .step(D(theta, E(eps, N(0, 1), alpha * (log(law.pdf(fe)) - log(1 - tanh(fe) ** 2)) - Qc(tanh(fe)))),
          because="a = tanh u with u = f_θ(ε), and its log-density [13.5]")
    .step(D(theta, -alpha * log(sigma_t) - E(
        eps, N(0, 1), alpha * log(1 - tanh(fe) ** 2) + Qc(tanh(fe)))),
          because="along the path log 𝒩(u) is −ε²/2 − log σ_θ and a constant: only σ_θ moves")
    .step(-alpha * D(theta, sigma_t) / sigma_t + E(eps, N(0, 1), gain * D(theta, fe)),
          because="the derivative of −log(1 − tanh² u) is 2 tanh u, of tanh u it is 1 − tanh² u")
)
bounded

# %% tags=["derivation"] rows=["S4-22:D", "S0-40:I"] slideshow={"slide_type": "subslide"}
Qa, Qb = function("Q_1", ca), function("Q_2", ca)
one_loss = (
    Derivation("The actor's loss for one sample, as code", "13.10",
               alpha * log(TanhN(mu, sigma).pdf(tanh(u))) - Min(Qa(tanh(u)), Qb(tanh(u))),
               source=f"{V2}, eq. 7 and section 6 (minimum of two critics)")
    .step(alpha * (log(N(mu, sigma).pdf(u)) - log(1 - tanh(u) ** 2)) - Min(Qa(tanh(u)), Qb(tanh(u))),
          because="log-density of the squashed action from u [13.5]")
    .implements(sac_policy_loss, lambda mu, sigma, u, alpha, Q_1, Q_2: (
        TanhGaussian(mu, sigma).log_prob(u.tanh())[None], torch.minimum(Q_1(u.tanh()), Q_2(u.tanh())),
        alpha[0]))
)
one_loss

# %% [markdown] slideshow={"slide_type": "slide"} notes="8 minutes. Ask for the sign before the first line: entropy below target, alpha up or down? Then: which of 'ascent' and 'descent' is it? Both, on different functions. Let them compute alpha* for c = 1 and a target of 0 nats before the derivation."
# ## 5 · The temperature as a multiplier
#
# Choosing $\alpha$ by hand is hard, so SAC chooses an entropy $\bar{\mathcal H}$ and lets $\alpha$ follow, as the multiplier of a constraint.
# **Which way does it move, and where does it stop?**
#
# *Predict first:* the policy is too random. Does $\alpha$ go up or down? The slide's step has a plus sign and calls itself descent: is one of the two wrong?
# And what if the policy stays too random for ever? These steps are the third loss of SAC's update.

# %% tags=["derivation"] rows=["S0-32:D"] slideshow={"slide_type": "subslide"}
Lam, J = function("Lambda", alpha), function("J", alpha)
log_p, excess = log(N(mu, sigma).pdf(ca)), Hbar - H(N(mu, sigma))
moved = N(mu, alpha * sigma)
still = Assumption("the policy is held fixed while α moves",
                   source=f"{V2}, section 5, eqs. 16-18 (alternating steps)")
ascent = (
    Derivation("Too little entropy raises α", "13.19", D(alpha, Lam(alpha)),
               source=f"{V2}, eqs. 11-18; CS4400 7.3, slide 'Automatic entropy adjustment'; Wang, 'Algorithm 1'")
    .define(Lam(alpha), E(ca, N(mu, sigma), alpha * log_p - Qc(ca)) + alpha * Hbar)
    .define(J(alpha), E(ca, N(mu, sigma), -alpha * log_p - alpha * Hbar))
    .step(E(ca, N(mu, sigma), log_p + Hbar), because="the Lagrangian is linear in α")
    .assuming(still)
    .fails_without(still, removed=(
        D(alpha, E(ca, moved, alpha * log(moved.pdf(ca)) - Qc(ca)) + alpha * Hbar),
        E(ca, moved, log(moved.pdf(ca)) + Hbar)))
    .step(-D(alpha, J(alpha)),
          because="J is minus the same linear function: descent on J is ascent on the Lagrangian")
    .step(excess, because="minus the mean of log p is the entropy: positive if it is below the target")
)
ascent

# %% tags=["derivation"] rows=["S0-32:D", "S4-24:I"] slideshow={"slide_type": "subslide"}
def step_on_log_alpha(log_alpha, log_prob, target_entropy, lr):
    """One gradient step on the package's temperature loss."""
    log_alpha = log_alpha.clone().requires_grad_()
    temperature_loss(log_alpha, log_prob, target_entropy).sum().backward()
    return log_alpha.detach() - lr * log_alpha.grad


def one_batch(mu, sigma):
    return -torch.distributions.Normal(mu, sigma).entropy()[:, None]     # its mean of log p is exact


temperature = (
    Derivation("The temperature's loss, on log α", "13.11", -ell * (E(ca, N(mu, sigma), log_p) + Hbar),
               source=f"{V2}, eq. 18")
    .step(ell * (H(N(mu, sigma)) - Hbar), because="minus the mean of log p is the entropy")
    .implements(temperature_loss, lambda ell, mu, sigma, Hbar: (ell, one_batch(mu, sigma), Hbar))
)
log_step = (
    Derivation("... and its gradient step", "13.11", ell - eta * D(ell, ell * (H(N(mu, sigma)) - Hbar)),
               source=f"{V2}, eq. 18")
    .step(ell + eta * excess, because="linear in log α: the step does not shrink with α")
    .implements(step_on_log_alpha,
                lambda ell, eta, mu, sigma, Hbar: (ell, one_batch(mu, sigma), Hbar, eta))
)
positive_step = (
    Derivation("A step on log α never crosses zero", "13.11", exp(log(alpha) + eta * excess),
               source=f"{V2}, section 5")
    .step(alpha * exp(eta * excess),
          because="exponential of a sum: a positive number times a positive number")
    .first_order(alpha + eta * alpha * excess, in_=eta, at=0,
                 because="for a small step it is the slide's, with rate ηα")
)
display(temperature, log_step, positive_step)

# %% tags=["erratum"] rows=["S0-32:N"] slideshow={"slide_type": "subslide"}
steps = alpha + 200 * eta * (Hbar - H(N(mu, sigma)))
erratum(
    "A multiplier below zero", "where the constraint is slack, the multiplier ends at 0",
    printed=steps, correct=Larger(0, steps), truth=0,
    worlds=[DensityWorld(alpha=0.2, eta=0.005, mu=0, sigma=1, Hbar=h) for h in (0, -1)],
    why="The slide repeats α ← α + η E[ln π + H] without a projection. 200 such steps with a policy "
        "that stays above its target leave α negative: the agent is then paid for predictability. Keep "
        "α ≥ 0, or move log α. The rule is ascent on the Lagrangian, although the slide says descent.",
)

# %% tags=["derivation"] rows=["S0-32:D"] slideshow={"slide_type": "subslide"}
best_alpha, tight_sigma = function("alpha_opt", Hbar), function("sigma_opt", Hbar)
dual = (
    Derivation("Where α stops, for a quadratic Q", "13.20",
               alpha * Hbar - alpha / 2 * log(PI * alpha / c),
               source=f"{V2}, eqs. 13-17 (dual problem), worked out for −Q = c (a − m)²")
    .define(best_alpha(Hbar), c * exp(2 * Hbar - 1) / PI)
    .define(tight_sigma(Hbar), sqrt(exp(2 * Hbar - 1) / (2 * PI)))
    .step(alpha / 2 * (1 - log(alpha / best_alpha(Hbar))),
          because="the least Lagrangian [13.17] plus αH̄, collected in α/α_opt")
    .step(best_alpha(Hbar) / 2, relation="<=",
          because="x − x log x ≤ 1 with x = α/α_opt: α_opt is the dual's maximum",
          tight=DensityWorld(c=2 * np.pi, Hbar=0.5, alpha=2))
    .step(E(ca, N(m, tight_sigma(Hbar)), c * (ca - m) ** 2),
          because="which is the cost of the Gaussian that has exactly the target entropy: no gap")
)
meets = (
    Derivation("At α_opt the best policy meets the target", "13.20",
               H(N(m, sqrt(best_alpha(Hbar) / (2 * c)))),
               source=f"{V2}, eq. 17")
    .define(best_alpha(Hbar), c * exp(2 * Hbar - 1) / PI)
    .step(log(2 * PI * exp(1) * (best_alpha(Hbar) / (2 * c))) / 2,
          because="entropy of a Gaussian, with the variance α/(2c) of [13.17]")
    .step(Hbar, because="put α_opt in; c cancels")
)
display(dual, meets)

# %% tags=["derivation"] rows=["S0-32:N"] slideshow={"slide_type": "subslide"}
uniform = policy("u")
runaway = (
    Derivation("A target that no policy can reach", "13.21", Hbar + E(a, pi.at(s), log(pi(a, s))),
               source=f"{V2}, section 5, which assumes a feasible target")
    .define(uniform(a, s), 1 / Sum(a1, 1))
    .step(Hbar - log(Sum(a1, 1)) + KL(pi.at(s), uniform.at(s)),
          because="compare with the uniform policy: minus its logarithm is the logarithm of the number "
                  "of actions")
    .step(Hbar - log(Sum(a1, 1)), relation=">=",
          because="a KL divergence is at least 0, and 0 for the uniform policy",
          tight=FiniteWorld(pi=np.full((2, 2), 0.5)))
)
runaway

# %% [markdown] slideshow={"slide_type": "slide"} notes="8 minutes. SQL is older than SAC: no density of the policy is needed, only samples of it. Ask what that buys (any sampler, many modes) and what it costs (V by importance samples, Stein for the actor)."
# ## 6 · Soft Q-learning
#
# Soft Q-learning aims at the same optimum with less: its policy is a sampler whose density nobody can evaluate.
# **How does one compute $V$, and pull samples towards $\exp(Q/\alpha)$, without the density of the policy?**
#
# *Predict first:* does the value computed from importance samples depend on the proposal? And if particles already have the right law, which way does the
# average update point? (What a few samples do to the logarithm is lecture 12b's.)

# %% tags=["derivation"] rows=["S0-29:N"] slideshow={"slide_type": "subslide"}
SQL = "Haarnoja et al. 2017"
drawn = Assumption("each sample is divided by the probability with which it was drawn",
                   source=f"{SQL}, eq. 10")
importance = (
    Derivation("The soft value from samples of any proposal", "13.22",
               alpha * log(E(a, b.at(s), exp(Q(s, a) / alpha) / b(a, s))),
               source=f"{SQL}, eq. 10; CS4400 7.3, slide 'Soft Q-learning'")
    .step(alpha * log(Sum(a, exp(Q(s, a) / alpha))),
          because="the probability of drawing a cancels against the weight")
    .step(alpha * LSE(a, Q(s, a) / alpha),
          because="the logarithm of a sum of exponentials: no b is left")
    .assuming(drawn)
    .fails_without(drawn, removed=(alpha * log(E(a, pi.at(s), exp(Q(s, a) / alpha) / b(a, s))),
                                   alpha * LSE(a, Q(s, a) / alpha)))
)
importance

# %% tags=["derivation"] rows=["S0-29:D", "S1-30:D"] slideshow={"slide_type": "subslide"}
projection = (
    Derivation("One objective for soft Q-learning and SAC", "13.23", alpha * KL(pi.at(s), best.at(s)),
               source=f"{SQL}, eq. 12; {V2}, eqs. 4 and 7; Rohban, slide 'Soft actor-critic', update 2")
    .define(V_star(s), alpha * LSE(a1, Q(s, a1) / alpha))
    .define(best(a, s), exp((Q(s, a) - V_star(s)) / alpha))
    .step(V_star(s) - E(a, pi.at(s), soft),
          because="log π_soft is (Q − V_soft)/α, and V_soft does not depend on a")
    .up_to(E(a, pi.at(s), alpha * log(pi(a, s)) - Q(s, a)), constant=V_star(s), free_of=pi,
           because="what is left is the actor's loss [13.10]")
)
projection

# %% tags=["derivation"] rows=["S0-29:N"] slideshow={"slide_type": "subslide"}
gentle = Assumption("k has no jumps, and k times the density vanishes far out",
                    source="Liu and Wang 2016, section 2")
stein = (
    Derivation("Stein's identity", "13.24", E(ca, N(mu, sigma), partial(k)(ca)),
               source="Liu and Wang 2016, eq. 1; Stein 1972")
    .step(-E(ca, N(mu, sigma), k(ca) * D(ca, log(N(mu, sigma).pdf(ca)))),
          because="integrate by parts: the derivative moves from k to the density, p′ is p times the "
                  "slope of log p")
    .assuming(gentle).fails_without(gentle, DensityWorld(k=jump(at=0.2)))
)
kern, energy, bump = function("k", ca, x), function("Q", ca), exp(-(ca - x) ** 2 / (2 * width**2))
boltz = N(m, sqrt(alpha / (2 * c)))
converged = Assumption("the particles have the law of the target",
                       source="Liu and Wang 2016, section 3.2")
direction = (
    Derivation("Once the particles follow exp(Q/α), pull and push cancel", "13.25",
               E(ca, boltz, kern(ca, x) * partial(energy)(ca)), source=f"{SQL}, eq. 13")
    .define(energy(ca), -c * (ca - m) ** 2)
    .step(alpha * E(ca, boltz, kern(ca, x) * D(ca, log(boltz.pdf(ca)))),
          because="the pull: log p is Q/α and a constant, so Q′ is α times the slope of log p")
    .step(-alpha * E(ca, boltz, partial(kern, ca)(ca, x)),
          because="minus the push, by Stein's identity [13.24], at every place x")
    .assuming(converged)
    .fails_without(converged, removed=(E(ca, N(mu, sigma), kern(ca, x) * partial(energy)(ca)),
                                       -alpha * E(ca, N(mu, sigma), partial(kern, ca)(ca, x))))
)
display(stein, direction)

# %% tags=["derivation"] rows=["S0-29:N"] slideshow={"slide_type": "subslide"}
forces = (
    Derivation("What a particle at a does to one at x", "13.26",
               kern(ca, x) * partial(Qc)(ca) + alpha * partial(kern, ca)(ca, x),
               source=f"{SQL}, eq. 13; Liu and Wang 2016, section 3.2")
    .define(kern(ca, x), bump)
    .step(kern(ca, x) * (partial(Qc)(ca) + alpha * (x - ca) / width**2),
          because="the slope of the bump points from a to x: a push. A single particle, a at x, feels "
                  "Q′ alone")
)
forces

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What the sources say, and what holds
#
# Five boxes stand above or below; the rest is here. The cell after this table tries the wrong steps.
#
# | the slides say | what holds |
# |---|---|
# | CS4400: value network *and* learned temperature in one list of tricks | legal, but two versions: the value network is of version 1, the temperature of version 2, which drops the network |
# | CS4400: minibatch of states with index $t$, running over $i$ | one index: states by $t$, actions by $i$ |
# | CS4400: $V$ of soft Q-learning by samples | the identity is exact; an average of few samples inside the logarithm is too low (lecture 12b) |
# | Wang: single critic in the actor's loss, joint $\log \pi(a, s)$ | the minimum of both critics, the conditional density |
# | Wang: target weights initialised with themselves, a loss of $\alpha$ that is never defined | targets start as copies of the critics; the loss is $J$ in section 5 |
# | Rohban: "environment setup", next state from the state distribution, letters of actor and critic swapped | an environment step, the next state from the dynamics, one naming |

# %% tags=["erratum"] rows=["S1-33:N"] slideshow={"slide_type": "subslide"}
erratum(
    "Where did α go", "the soft value is the mean of Q plus α times the entropy",
    printed=E(a, pi.at(s), Q(s, a) - log(pi(a, s))),
    correct=E(a, pi.at(s), Q(s, a) - alpha * log(pi(a, s))),
    truth=E(a, pi.at(s), Q(s, a)) + alpha * -E(a, pi.at(s), log(pi(a, s))),
    worlds=[FiniteWorld(0, alpha=alpha_) for alpha_ in (0.3, 1.0)],
    why="Rohban's objective has α times the entropy; the value, both losses and the optimal policy "
        "below it have lost it. They are right for α = 1, or with rewards divided by α, the convention "
        "of the first SAC paper.",
)

# %% tags=["erratum", "derivation"] rows=["S4-24:N"] slideshow={"slide_type": "subslide"}
before = r(s, a) + gamma * E(s1, P.at(s, a),
                             (1 - d(s1)) * (alpha * Hs(s1) + E(a1, pi.at(s1), Q(s1, a1))))
wrong = {
    "γ not on the entropy": (bellman, 3, before, r(s, a) + E(s1, P.at(s, a), (1 - d(s1)) * E(
        a1, pi.at(s1), gamma * Q(s1, a1) - alpha * log(pi(a1, s1))))),
    "no terminal mask": (bellman, 3, before, r(s, a) + gamma * E(s1, P.at(s, a), soft_next)),
    "no mask, twin critics": (target, 1, target.start, r(s, a) + gamma * (
        Min(Q1(s1, a1), Q2(s1, a1)) - alpha * log(pi(a1, s1)))),
    "no γ at all": (bellman, 3, before, r(s, a) + E(s1, P.at(s, a), (1 - d(s1)) * soft_next)),
    "α missing": (projection, 1, projection.start, V_star(s) - E(a, pi.at(s), Q(s, a) - log(pi(a, s)))),
    "one critic of two": (target, 1, target.start,
                          r(s, a) + gamma * (1 - d(s1)) * (Q1(s1, a1) - alpha * log(pi(a1, s1)))),
    "descent, with a minus": (log_step, 1, log_step.start, ell - eta * excess),
}
for name, (chain, number, left, right) in wrong.items():
    verdict = chain.verdict_of(number, left, right)
    print(f"{name:22} [{chain.tag}] should be {verdict.left:8.4f}, as printed {verdict.right:8.4f}, "
          f"holds: {verdict.holds}")

# %% tags=["summary"] slideshow={"slide_type": "slide"}
summary("Six formulas", bellman, target, value_loss, pathwise, ascent, meets)

# %% [markdown] slideshow={"slide_type": "skip"}
# ## Where to go
#
# Back to [13a](13a_reparametrisation_and_squashing.ipynb) and to the [course map](00_orientation.ipynb).
#
# **References.** Haarnoja et al. (2017), *Reinforcement learning with deep energy-based policies*, ICML (soft Q-learning). Haarnoja et al. (2018a), *Soft actor-critic*,
# ICML (version 1); (2018b), *Soft actor-critic algorithms and applications*, arXiv:1812.05905 (version 2). Fujimoto et al. (2018), *Addressing function approximation
# error in actor-critic methods*, ICML. Sutton and Barto (2018), *Reinforcement learning*, 2nd edition. Liu and Wang (2016), *Stein variational gradient descent*, NeurIPS. Williams (1992),
# *Simple statistical gradient-following algorithms*, Machine Learning 8. Levine (2018), *Reinforcement learning and control as probabilistic inference*.
