# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
#   rlcourse:
#     lecture: 09
#     title: Deterministic policy gradients
#     minutes_read: 60
#     minutes_work: 60
#     status: draft
#     objectives: [LO7.1]
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # 09 · Deterministic policy gradients
#
# Autograd will differentiate $Q(s, \mu_\theta(s))$ for you, and it can differentiate two different things: the action that goes into $Q$, or $Q$ as well,
# since $Q$ is the value of the very policy that moves. One of the two climbs the return. **Which one, and why is the other so far off?**

# %% tags=["imports"] slideshow={"slide_type": "skip"}
import numpy as np
import sympy as sp
import torch
from IPython.display import display
from sympy import Rational

from rlcourse.equations import value_learning
from rlcourse.nets import polyak
from rlcourse.notation import ActionWorld, Assumption, D, DensityWorld, Derivation, E, FiniteWorld
from rlcourse.notation import Formula, LinearQuadratic, N, StepFails, Sum, action, action_worlds, actor
from rlcourse.notation import dynamics, erratum, exp, function, grad, grad_at, horizon, initial, jump
from rlcourse.notation import log, lq_constant, lq_start, lq_worlds, oo, partial, path, policy
from rlcourse.notation import positive, real, reward, riccati_gain, sqrt, state, summary, terminal
from rlcourse.notation import time

s, s1, choice = state("s"), state("s'"), action("a")
t, n, tau_path = time("t"), horizon("n"), path("tau")
r, P, p0, d = reward("r"), dynamics("P"), initial("p_0"), terminal("d")
theta, theta_b, gamma = real("theta"), real("theta_b"), real("gamma", 0.3, 0.95)
sigma, a, eps, x, m = positive("sigma"), real("a"), real("epsilon"), real("s"), real("m")
pi, b = policy("pi", theta), policy("b")                      # finitely many actions
mu, old = actor("mu", theta), actor("mu", theta_b)          # one real action per state; an older actor
V, Q, A = mu.V(s, gamma), mu.Q(s, a, gamma), mu.A(s, a, gamma)
h, g, K = function("h", s), function("g", s), function("K", s, a)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 1 · Data from another policy
#
# The slides start from importance weights and an advantage, $Q - V$; one line later $V$ is gone. **May it go?**
#
# *Predict first:* what else could have been subtracted without anyone noticing?
#
# Used in the rest of this section, and in section 6: a critic known up to a function of the state is good enough for an actor.

# %% tags=["derivation"] rows=["S0-02:D"] slideshow={"slide_type": "subslide"}
Qpi, Api = pi.Q(s, choice, gamma), pi.A(s, choice, gamma)
push, score = grad(theta, pi(choice, s)), grad(theta, log(pi(choice, s)))
ratio = pi(choice, s) / b(choice, s)

any_h = (
    Derivation("A function of the state adds nothing", "09.1", Sum(choice, push * (Qpi - h(s))),
               source="Sutton et al. 2000, after eq. 2; Williams 1992, section 5")
    .step(Sum(choice, push * Qpi),
          because="probabilities add up to 1 whatever θ is: their slopes cancel")
)
for same in (Qpi + h(s), Api - h(s), Qpi - 1, Api):                # h is any function: −h, h + V, 1, V
    any_h = any_h.also_equals(Sum(choice, push * same), by=any_h)
any_h

# %% tags=["derivation"] rows=["S0-02:D"] slideshow={"slide_type": "subslide"}
v_drops = (
    Derivation("Importance weights, and V may go", "09.1", E(choice, b.at(s), ratio * score * Api),
               source="CS4400 lecture 7, 7.1 (DPG, builds 1-2)")
    .step(E(choice, pi.at(s), score * Api), because="weights π/b turn an average over b into one over π")
    .also_equals(E(choice, b.at(s), ratio * score * Qpi), by=any_h)
    .also_equals(E(choice, pi.at(s), score * Qpi), by=any_h)
    .step(Sum(choice, push * Api), because="π ∇ log π = ∇π")
    .step(Sum(choice, push * Qpi), because="the last derivation, with h = V")
)
v_drops

# %% [markdown] slideshow={"slide_type": "subslide"}
# Now the states. The buffer holds those that an older policy $b$ visited. Keep that distribution fixed and ask for the slope of the value of $\pi_\theta$
# on those states. **How many terms are there, and which one can a sample estimate?**
#
# *Predict:* the slides keep one term and write an approximation sign. Is what they drop small?

# %% tags=["derivation"] rows=["S0-02:D"] slideshow={"slide_type": "subslide"}
slope_Q = grad(theta, Qpi)

off_policy = (
    Derivation("The off-policy objective, differentiated in full", "09.1",
               grad(theta, E(s, b.visits(gamma), pi.V(s, gamma))),
               source="CS4400 lecture 7, 7.1 (DPG, builds 1-2); Degris et al. 2012, section 2.2")
    .step(E(s, b.visits(gamma), grad(theta, Sum(choice, pi(choice, s) * Qpi))),
          because="the states come from b, which has no θ; V is the average of Q over actions")
    .step(E(s, b.visits(gamma), Sum(choice, push * Qpi + pi(choice, s) * slope_Q)),
          because="product rule: the policy moves, and its value moves with it")
    .also_equals(E(s, b.visits(gamma), Sum(choice, push * Api + pi(choice, s) * slope_Q)), by=any_h)
    .step(E(s, b.visits(gamma), E(choice, b.at(s), ratio * (score * Qpi + slope_Q))),
          because="sample actions from b: multiply and divide by b; ∇π = π ∇ log π")
    .also_equals(E(s, b.visits(gamma), E(choice, b.at(s), ratio * (score * Api + slope_Q))), by=any_h)
)
off_policy

# %% [markdown] slideshow={"slide_type": "subslide"}
# The last summand is the slope of $Q$ in $\theta$, which no critic provides. Off-policy actor-critic drops it, and with it the ratio of state distributions.
# **When is nothing lost?**
#
# When the states are those of $\pi_\theta$ itself, discounted: then the weights make up for the missing term, exactly. With someone else's states they do
# not: read the line under the derivation.

# %% tags=["derivation"] rows=["S0-02:D", "S0-02:N"] slideshow={"slide_type": "subslide"}
own_states = Assumption("the states are those of the policy itself, discounted",
                        source="Sutton et al. 2000, theorem 1: d^π, not the states of the data")

on_policy = (
    Derivation("With its own states, the short form is exact", "09.1",
               grad(theta, Sum(s, p0(s) * pi.V(s, gamma))),
               source="Sutton et al. 2000, theorem 1")
    .assuming(own_states)
    .step(Sum(s, pi.rho(s, gamma) * Sum(choice, push * Qpi)),
          because="policy gradient theorem (lecture 03): the slope of Q is spent on the later states")
    .fails_without(own_states, removed=Sum(s, b.rho(s, gamma) * Sum(choice, push * Qpi)))
    .also_equals(Sum(s, pi.rho(s, gamma) * Sum(choice, push * Api)), by=any_h)
    .step(Sum(s, pi.rho(s, gamma) * E(choice, pi.at(s), score * Qpi)), because="∇π = π ∇ log π")
    .also_equals(Sum(s, pi.rho(s, gamma) * E(choice, pi.at(s), score * Api)), by=any_h)
)
on_policy

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 2 · The deterministic policy gradient
#
# Now let the policy be a function, one real action per state. **What is the slope of its return?**
#
# *Predict:* $V(s)$ and $Q(s, \mu_\theta(s))$ are the same number. Which of the following depend on $\theta$: the action, the reward, the next state, the
# value of the next state?
#
# A first remark, which saves work later, then one step of the recursion.

# %% tags=["derivation"] rows=["S2-39:D"] slideshow={"slide_type": "subslide"}
tilt = (
    Derivation("A function of the state has no slope in the action", "09.2", grad_at(a, Q + h(s), mu(s)),
               source="Silver et al. 2014, section 4.3 (compatible critics)")
    .step(grad_at(a, Q, mu(s)), because="h(s) is the same for every action")
)
for same in (Q + -h(s), A + h(s), A):                                  # h is any function: −h, h − V, −V
    tilt = tilt.also_equals(grad_at(a, same, mu(s)), by=tilt)
tilt

# %% tags=["derivation"] rows=["S0-03:D", "S2-39:D"] slideshow={"slide_type": "subslide"}
Vnext = mu.V(s1, gamma)
later = gamma * Sum(s1, P(s1, s, mu(s)) * grad(theta, Vnext))
bracket = r(s, a) + gamma * Sum(s1, P(s1, s, a) * Vnext)

recursion = (
    Derivation("One step of the recursion", "09.2", grad(theta, V),
               source="Silver et al. 2014, proof of theorem 1")
    .step(grad(theta, r(s, mu(s)) + gamma * Sum(s1, P(s1, s, mu(s)) * Vnext)),
          because="Bellman: reward now, value of the next state later")
    .step(grad(theta, mu(s)) * grad_at(a, bracket, mu(s)) + later,
          because="chain rule: θ acts through the action, and through the value of the next state")
    .step(grad(theta, mu(s)) * grad_at(a, Q, mu(s)) + later,
          because="the bracket is Q(s, a); only its argument a is moved")
    .also_equals(grad(theta, mu(s)) * grad_at(a, A, mu(s)) + later, by=tilt)
)
recursion

# %% [markdown] slideshow={"slide_type": "subslide"}
# The first part is local: the slope of the action, times the slope of $Q$ in its action, **with $Q$ held fixed**. Call it $g(s)$. The second part is the
# same slope one step later, so the equation is linear in it. **How does one solve it for all states at once?**
#
# *Predict:* with which weight does $g(s)$ enter the answer?

# %% tags=["derivation"] rows=["S0-03:D"] slideshow={"slide_type": "subslide"}
flow = (
    Derivation("Where the weight of a state comes from", "09.2", mu.rho(s1, gamma),
               source="Silver et al. 2014, section 2.1")
    .step(p0(s1) + gamma * Sum(s, mu.rho(s, gamma) * P(s1, s, mu(s))),
          because="a state is visited at the start, or one step after another state")
)
flow

# %% tags=["derivation"] rows=["S0-03:D"] slideshow={"slide_type": "subslide"}
rho, rho_next, slope_next = mu.rho(s, gamma), mu.rho(s1, gamma), grad(theta, Vnext)
on_policy_weights = Assumption("the weights of the states are those of μ_θ",
                               source="Silver et al. 2014, theorem 1, eq. 9: ρ^μ")

dpg = (
    Derivation("The deterministic policy gradient theorem", "09.2", grad(theta, Sum(s, p0(s) * V)),
               source="CS4400 lecture 7, 7.1 (DPG, builds 3-4); Silver et al. 2014, theorem 1, eq. 9")
    .define(g(s), grad(theta, mu(s)) * grad_at(a, Q, mu(s)))
    .assuming(on_policy_weights)
    .step(Sum(s1, p0(s1) * slope_next), because="the start does not depend on θ")
    .step(Sum(s1, (rho_next - gamma * Sum(s, rho * P(s1, s, mu(s)))) * slope_next),
          because="the weight equation, solved for the start")
    .step(Sum(s, rho * (grad(theta, V) - gamma * Sum(s1, P(s1, s, mu(s)) * slope_next))),
          because="collect what belongs to the same ρ(s)")
    .step(Sum(s, rho * g(s)), because="the recursion: what is left is its first part")
    .fails_without(on_policy_weights, removed=Sum(s, old.rho(s, gamma) * g(s)))
    .step(E(s, mu.visits(gamma), g(s)) / (1 - gamma),
          because="(1 − γ) ρ is a distribution of states: one can sample it")
)
dpg

# %% [markdown] slideshow={"slide_type": "subslide"}
# **The other slope.** The slides print $\nabla_\theta Q(s, \mu_\theta(s))$. Read literally, $Q$ moves as well, because it is the value of $\mu_\theta$.
# Autograd on a critic network holds it fixed; the formula does not say so.
#
# *Predict:* the full slope is wrong with the weights of the theorem. Are there weights with which it is right?

# %% tags=["derivation"] rows=["S0-03:D"] slideshow={"slide_type": "subslide"}
full = grad(theta, mu.Q(s, mu(s), gamma))
at_the_start = Assumption("the full slope is taken in the start states alone",
                          source="Silver et al. 2014, proof of theorem 1")

full_start = (
    Derivation("The full slope belongs to the start distribution", "09.2", Sum(s, p0(s) * full),
               source="CS4400 lecture 7, 7.1 (DPG, build 3), read literally")
    .define(g(s), grad(theta, mu(s)) * grad_at(a, Q, mu(s)))
    .assuming(at_the_start)
    .step(Sum(s, p0(s) * grad(theta, V)), because="Q at the policy's own action is V")
    .step(grad(theta, Sum(s, p0(s) * V)),
          because="p₀ does not depend on θ: this is the slope of the return")
    .fails_without(at_the_start, removed=(Sum(s, rho * full), grad(theta, Sum(s, p0(s) * V))))
    .step(Sum(s, rho * g(s)), because="the theorem: later states, action slopes only")
)
full_start

# %% tags=["derivation"] rows=["S0-03:D", "S0-02:D"] slideshow={"slide_type": "subslide"}
full_fixed = (
    Derivation("With replayed states: what the full slope is, and what DDPG drops", "09.2",
               E(s, old.visits(gamma), full),
               source="CS4400 lecture 7, 7.1 (DPG, build 4); Silver et al. 2014, section 4.2")
    .define(K(s, a), grad(theta, Q))
    .define(g(s), grad(theta, mu(s)) * grad_at(a, Q, mu(s)))
    .step(grad(theta, E(s, old.visits(gamma), V)),
          because="the states are an older actor's: this is the slope of their mean value")
    .step(E(s, old.visits(gamma), g(s) + K(s, mu(s))),
          because="two ways for θ to act: through the action, g; through Q at a fixed action, K")
    .step(E(s, old.visits(gamma), g(s) + gamma * Sum(s1, P(s1, s, mu(s)) * grad(theta, Vnext))),
          because="at a fixed action, only the value of the next state moves: DDPG drops this term")
)
full_fixed

# %% [markdown] slideshow={"slide_type": "subslide"}
# The theorem asks for a slope of $Q$ in the action. **What if a reward has a jump?** Robots that fall, games that are won, all do.
#
# One step, states $s \sim \mathcal N(m, \sigma^2)$, a linear actor with gain $\theta$.
#
# *Predict:* for a reward that is 1 above a threshold and 0 below, what does the right-hand side say, and what does the return do?

# %% tags=["derivation"] rows=["S0-03:D"] slideshow={"slide_type": "subslide"}
Qa = function("Q", a)
smooth = Assumption("Q is differentiable in the action",
                    source="Silver et al. 2014, supplement, regularity conditions A.1")

smooth_only = (
    Derivation("A continuum of states, one step", "09.2", grad(theta, E(x, N(m, sigma), Qa(theta * x))),
               source="Silver et al. 2014, theorem 1, for a horizon of one")
    .assuming(smooth)
    .step(E(x, N(m, sigma), grad(theta, Qa(theta * x))), because="the states do not depend on θ")
    .fails_without(smooth, DensityWorld(theta=1, m=0, sigma=1, Q=jump(at=0.5)))
    .step(E(x, N(m, sigma), x * partial(Qa)(theta * x)), because="chain rule: the action θs moves by s")
)
smooth_only

# %% tags=["erratum"] rows=["S0-03:N", "S2-39:N"] slideshow={"slide_type": "subslide"}
actor_out = function("mu", theta)
hill = Formula(lambda at: -((at - 2) ** 2), lambda at: f"−({at} − 2)²")
erratum(
    "Do not lose the critic", "the slope of Q at the action that the actor sends",
    printed=D(theta, actor_out(theta)),
    correct=D(theta, actor_out(theta)) * partial(Qa)(actor_out(theta)),
    truth=D(theta, Qa(actor_out(theta))),
    worlds=[DensityWorld(theta=3, Q=hill, mu=Formula(np.positive, str)),
            DensityWorld(theta=1, Q=hill, mu=Formula(np.sin, "sin({})".format))],
    why="Guberina's notes, 7.5.1 step 5, move the actor by the slope of its action alone. At the action "
        "3, one above the best, that walks on, downhill. Half a page earlier the factor is there.",
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 3 · A world in closed form
#
# A linear system with quadratic costs, and a linear actor with gain $k$: everything above can be written down. **Does the theorem give the slope that the
# formula has?**
#
# *Predict:* at the best gain, which of the two slopes of section 2 is zero?
#
# Used again in section 6, and in the lecture on optimal control, where the same equation is solved backwards in time.

# %% tags=["derivation"] rows=["S0-03:D"] slideshow={"slide_type": "subslide"}
k, s_0, F, p = real("k", 0.2, 0.9), lq_start(), real("F"), real("p")
A_, B_, q_, c_ = (lq_constant(name) for name in "ABqc")
line, systems = actor("mu", k), lq_worlds(8)
stable = Assumption("γF² < 1: the discount shrinks costs faster than the states grow",
                    source="Fazel et al. 2018 ask for a stable gain (γ = 1: |F| < 1)")

returns = (
    Derivation("The return of a gain", "09.3", line.V(s_0, gamma),
               source="closed loop of Fazel et al. 2018",
               worlds=systems)
    .define(F, A_ - B_ * k)
    .assuming(stable)
    .step(-Sum(t, 0, oo, gamma**t * (q_ * (F**t * s_0) ** 2 + c_ * (k * F**t * s_0) ** 2)),
          because="the state after t steps is F^t s₀, and the action −k times that")
    .step(-(q_ + c_ * k**2) * s_0**2 * Sum(t, 0, oo, (gamma * F**2) ** t),
          because="collect the powers of F")
    .step(-(q_ + c_ * k**2) / (1 - gamma * F**2) * s_0**2, because="a geometric series")
    .fails_without(stable, LinearQuadratic(0, A=1.1, B=0.4, k=0.2, gamma=0.9625))
)
returns

# %% tags=["derivation"] rows=["S0-03:D"] slideshow={"slide_type": "subslide"}
value_x = line.V(x, gamma)

lyapunov = (
    Derivation("The same from Bellman: the Lyapunov equation", "09.3", value_x,
               source="Fazel et al. 2018: the equation for P_K", worlds=systems)
    .define(F, A_ - B_ * k)
    .define(p, (q_ + c_ * k**2) / (1 - gamma * F**2))
    .step(-(q_ + c_ * k**2) * x**2 + gamma * line.V(F * x, gamma),
          because="cost now, value of the next state later")
    .step(-(q_ + c_ * k**2) * x**2 + gamma * F**2 * value_x,
          because="twice the state, four times the cost: V(Fs) is F² V(s)")
    .step(-p * x**2, because="solve for V(s)")
)
lyapunov

# %% [markdown] slideshow={"slide_type": "subslide"}
# Now the slope in $k$: once by the theorem, then by hand. The weights are those of section 2: on the policy's own path, discounted.
#
# *Predict:* which sign should the slope have at $k = 0$, in a system that does not come to rest by itself?

# %% tags=["derivation"] rows=["S0-03:D"] slideshow={"slide_type": "subslide"}
local = grad(k, line(x)) * grad_at(a, line.Q(x, a, gamma), line(x))
pull = c_ * k - gamma * p * B_ * F
local_A = grad(k, line(x)) * grad_at(a, line.A(x, a, gamma), line(x))
by_discount = Assumption("the state at time t has the weight γ^t",
                         source="Silver et al. 2014, theorem 1, eq. 9: ρ^μ is discounted")

dpg_lq = (
    Derivation("The theorem in the linear-quadratic world", "09.3", grad(k, line.V(s_0, gamma)),
               source="Silver et al. 2014, theorem 1; Fazel et al. 2018, lemma 1", worlds=systems)
    .define(F, A_ - B_ * k)
    .define(p, (q_ + c_ * k**2) / (1 - gamma * F**2))
    .assuming(by_discount)
    .step(E(x, line.visits(gamma), local) / (1 - gamma), because="the theorem of section 2")
    .also_equals(E(x, line.visits(gamma), local_A) / (1 - gamma), by=tilt)
    .step(E(x, line.visits(gamma), -x * (2 * pull * x)) / (1 - gamma),
          because="slope of the action: −s. Slope of Q in a, at a = −ks: 2(ck − γpBF)s")
    .step(-2 * pull * Sum(t, 0, oo, gamma**t * (F**t * s_0) ** 2),
          because="the path again: s is F^t s₀ at time t")
    .fails_without(by_discount, removed=-2 * pull * Sum(t, 0, oo, (F**t * s_0) ** 2))
    .step(-2 * pull * s_0**2 / (1 - gamma * F**2), because="the geometric series of the return")
)
dpg_lq

# %% tags=["derivation"] rows=["S0-03:D"] slideshow={"slide_type": "subslide"}
full_k = grad(k, line.Q(x, line(x), gamma))

too_large = (
    Derivation("The full slope here: too large, by a factor one can name", "09.3",
               E(x, line.visits(gamma), full_k) / (1 - gamma),
               source="CS4400 lecture 7, 7.1 (DPG, build 3), read literally", worlds=systems)
    .define(F, A_ - B_ * k)
    .define(p, (q_ + c_ * k**2) / (1 - gamma * F**2))
    .step(Sum(t, 0, oo, gamma**t * (-2 * pull * (F**t * s_0) ** 2 / (1 - gamma * F**2))),
          because="each state of the path adds the slope of its own value: the last line, started there")
    .step(-2 * pull * s_0**2 / (1 - gamma * F**2) ** 2, because="the geometric series, a second time")
    .up_to(grad(k, line.V(s_0, gamma)), factor=1 / (1 - gamma * F**2), free_of=s_0,
           because="a later state is counted once for each state before it")
)
too_large

# %% tags=["erratum"] rows=["S0-03:N"] slideshow={"slide_type": "subslide"}
erratum(
    "Hold the critic fixed", "the slope of the return in the gain k",
    printed=E(x, line.visits(gamma), grad(k, line.Q(x, line(x), gamma))) / (1 - gamma),
    correct=E(x, line.visits(gamma), local) / (1 - gamma), truth=grad(k, line.V(s_0, gamma)),
    worlds=[LinearQuadratic(0, A=1, B=0.5, q=1, c=0.5, k=0.5, gamma=0.9, s_0=1), *lq_worlds(0)[1:2]],
    why="The slides weigh states by γ^t and print ∇Q(s, π(s)). Autograd on a critic network reads that "
        "as meant: the weights of Q stay. As mathematics Q is the value of π, and moves as well.",
)

# %% [markdown] slideshow={"slide_type": "subslide"}
# Where does the slope vanish? At the gain of the **Riccati equation**, which control theory finds without any gradient. The next worlds have their $k$ set
# to it, by another library.
#
# *Predict:* the slope at this gain is zero on this policy's states. Would states from another policy move the best gain?

# %% tags=["derivation"] rows=["S0-03:D"] slideshow={"slide_type": "subslide"}
def at_riccati(world):
    """The same system with its best gain for k."""
    settings = [world.value(z) for z in (A_, B_, q_, c_, gamma)]
    return LinearQuadratic(world.index, k=riccati_gain(*settings), k_any=world.value(k))

best_systems, k_any = [at_riccati(w) for w in systems], real("k_any", 0.2, 0.9)

riccati = (
    Derivation("The gain at which the slope vanishes", "09.3", k,
               source="Fazel et al. 2018, lemma 1; the discounted Riccati equation", worlds=best_systems)
    .define(F, A_ - B_ * k)
    .define(p, (q_ + c_ * k**2) / (1 - gamma * F**2))
    .step(gamma * p * B_ * (A_ - B_ * k) / c_,
          because="the slope is zero: ck is γpBF, today's cost against tomorrow's")
    .step(gamma * p * A_ * B_ / (c_ + gamma * p * B_**2), because="solve for k")
    .implements(riccati_gain, lambda A, B, q, c, gamma: tuple(map(float, (A, B, q, c, gamma))))
)
riccati

# %% [markdown] slideshow={"slide_type": "subslide"}
# The condition has no state in it: at the best gain the local slope is zero in every state at once, so this optimum does not depend on whose states one
# averages over. That is luck of this world. It comes from an actor that can be best everywhere; section 2 has the general case.

# %% tags=["derivation"] rows=["S0-03:D"] slideshow={"slide_type": "subslide"}
best_gain = (
    Derivation("... and there the return is largest", "09.3", actor("mu", k_any).V(s_0, gamma),
               source="the discounted Riccati equation", worlds=best_systems)
    .step(line.V(s_0, gamma), because="no other gain does better", relation="<=",
          tight=LinearQuadratic(0, k=0.5, k_any=0.5))
)
best_gain

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 4 · The limit of a narrow Gaussian
#
# A deterministic policy is a Gaussian one whose $\sigma$ has gone to zero. **Does its gradient go to the deterministic one?** The score function does not
# look like it: it divides by $\sigma^2$.
#
# *Predict:* at $\sigma = 0.1$ the two gradients differ by some amount. By how much less at $\sigma = 0.05$: half, or a quarter?
#
# Used in lecture 13a, where $\sigma$ stays.

# %% tags=["derivation"] rows=["S0-03:D"] slideshow={"slide_type": "subslide"}
noisy = mu.gaussian(sigma)
rho_noisy, Q_noisy, A_noisy = noisy.rho(s, gamma), noisy.Q(s, a, gamma), noisy.A(s, a, gamma)
spread = N(mu(s), sigma)
gauss_score = grad(theta, log(spread.pdf(a)))
few = action_worlds()[2:5]                                             # the first has a terminal state

no_h = (
    Derivation("A function of the state adds nothing here either", "09.4",
               E(a, spread, gauss_score * (Q_noisy + h(s))),
               source="Williams 1992, section 5", worlds=few)
    .step(E(a, spread, gauss_score * Q_noisy), because="the density adds up to 1 for every θ")
)
for same in (Q_noisy + -h(s), A_noisy + h(s), A_noisy):                # h is any function: −h, h − V, −V
    no_h = no_h.also_equals(E(a, spread, gauss_score * same), by=no_h)
no_h

# %% tags=["derivation"] rows=["S0-03:D"] slideshow={"slide_type": "subslide"}
def pathwise(slope, at):
    """The slope along the path, averaged over the noise."""
    return Sum(s, rho_noisy * E(eps, N(0, 1), grad(theta, mu(s)) * grad_at(a, slope, at)))

mirror = (
    Derivation("Noise and its mirror image", "09.4", E(eps, N(0, 1), Qa(m + sigma * eps)),
               source="symmetry of the normal law")
    .step(E(eps, N(0, 1), Qa(m - sigma * eps)),
          because="the normal density is symmetric: −ε has the law of ε")
)
mirror

# %% tags=["derivation"] rows=["S0-03:D"] slideshow={"slide_type": "subslide"}
limit = (
    Derivation("The limit of the stochastic policy gradient", "09.4",
               grad(theta, Sum(s, p0(s) * noisy.V(s, gamma))),
               source="Silver et al. 2014, theorem 2, eq. 10", worlds=few)
    .step(Sum(s, rho_noisy * E(a, spread, gauss_score * Q_noisy)),
          because="the policy gradient theorem, for a Gaussian policy")
    .also_equals(Sum(s, rho_noisy * E(a, spread, gauss_score * A_noisy)), by=no_h)
    .step(Sum(s, rho_noisy * E(a, spread, grad(theta, mu(s)) * D(a, Q_noisy))),
          because="integrate by parts: the slope moves from the density to Q")
    .also_equals(Sum(s, rho_noisy * E(a, spread, grad(theta, mu(s)) * D(a, A_noisy))), by=tilt)
    .step(pathwise(Q_noisy, mu(s) + sigma * eps), because="reparametrise: a = μ + σε")
    .also_equals(pathwise(A_noisy, mu(s) + sigma * eps), by=tilt)
    .also_equals(pathwise(Q_noisy, mu(s) - sigma * eps), by=mirror)
    .tends_to(Sum(s, rho * (grad(theta, mu(s)) * grad_at(a, Q, mu(s)))), variable=sigma, to=0, rate=2,
              because="odd powers of ε average to 0: the bias is of order σ²")
    .also_equals(Sum(s, rho * (grad(theta, mu(s)) * grad_at(a, A, mu(s)))), by=tilt)
    .step(grad(theta, Sum(s, p0(s) * V)), because="the theorem of section 2")
)
limit

# %% tags=["erratum"] rows=["S0-03:N"] slideshow={"slide_type": "subslide"}
erratum(
    "Not a probability", "the density of a narrow Gaussian at its own centre, the action of the actor",
    printed=1, correct=1 / (sigma * sqrt(2 * sp.pi)), truth=N(m, sigma).pdf(m),
    worlds=[DensityWorld(sigma=0.1, m=0), DensityWorld(sigma=0.01, m=0), DensityWorld(sigma=0.001, m=0)],
    why="The slides say of a deterministic policy: π(π(s)|s) = 1. So it is with finitely many actions. "
        "With real ones π(a|s) is a density; its limit is Dirac's delta: mass 1, no finite value there.",
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 5 · What the weights $\gamma^t$ are
#
# The theorem weighs a state at time $t$ by $\gamma^t$; a replay buffer weighs all alike. **Is there a random time for which the weights are probabilities?**
#
# *Predict:* for $\gamma = 0.9$ and episodes of 10 steps, what is the probability of $t = 0$: 0.1, or more?
#
# Used by every actor loss that carries a factor for the discount, and by those that leave it out.

# %% tags=["derivation"] rows=["S0-04:D"] slideshow={"slide_type": "subslide"}
endless = (
    Derivation("Weights for ever", "09.5", Sum(t, 0, oo, gamma**t), source="the geometric series")
    .step(1 + gamma * Sum(t, 0, oo, gamma**t), because="the first term, then γ times the same sum")
    .step(1 / (1 - gamma), because="solve for the sum: so (1 − γ) γ^t are probabilities")
)
first_n = (
    Derivation("Weights of the first n steps", "09.5", Sum(t, 0, n - 1, gamma**t),
               source="CS4400 lecture 7, 7.1 (DPG, build 4 and footnote)")
    .step(Sum(t, 0, oo, gamma**t) - Sum(t, n, oo, gamma**t), because="all, without those from n on")
    .step(Sum(t, 0, oo, gamma**t) - gamma**n * Sum(t, 0, oo, gamma**t),
          because="what comes after n steps is γ^n times all")
    .step((1 - gamma**n) / (1 - gamma), because="the sum for ever")
)
display(endless, first_n)

# %% tags=["derivation"] rows=["S0-04:D"] slideshow={"slide_type": "subslide"}
X, w = function("X", s, choice), function("w", t)
later_X = E(tau_path, pi, X(s[t], choice[t]))
sampled_time = Assumption("the time is drawn with probability proportional to γ^t",
                          source="CS4400 lecture 7, 7.1 (DPG, build 4)")

geometric_time = (
    Derivation("A discounted sum is an average over a random time", "09.5",
               E(tau_path, pi, Sum(t, 0, n - 1, gamma**t * X(s[t], choice[t]))),
               source="CS4400 lecture 7, 7.1 (DPG, build 4 and footnote)")
    .define(w(t), gamma**t * (1 - gamma) / (1 - gamma**n))
    .assuming(sampled_time)
    .step(Sum(t, 0, n - 1, gamma**t * later_X), because="the mean of a sum is the sum of the means")
    .up_to(Sum(t, 0, n - 1, w(t) * later_X), factor=(1 - gamma**n) / (1 - gamma), free_of=(pi, X),
           because="w is the truncated geometric law: probabilities of t")
    .fails_without(sampled_time, removed=Sum(t, 0, n - 1, later_X) / n)
)
geometric_time

# %% tags=["derivation"] rows=["S0-04:D"] slideshow={"slide_type": "subslide"}
endless_time = (
    Derivation("For ever: the law of states that the theorem uses", "09.5",
               E(tau_path, pi, Sum(t, 0, oo, gamma**t * X(s[t], choice[t]))),
               source="Silver et al. 2014, section 2.1")
    .step(Sum(s, pi.rho(s, gamma) * E(choice, pi.at(s), X(s, choice))),
          because="collect by state: ρ(s) adds γ^t over all visits")
    .up_to(E(s, pi.visits(gamma), E(choice, pi.at(s), X(s, choice))),
           factor=1 / (1 - gamma), free_of=(pi, X), because="(1 − γ) ρ adds up to 1")
)
endless_time

# %% tags=["erratum"] rows=["S0-04:N"] slideshow={"slide_type": "subslide"}
erratum(
    "Which law of time", "probabilities of the first n times add up to 1",
    printed=Sum(t, 0, n - 1, (1 - gamma) * gamma**t),
    correct=Sum(t, 0, n - 1, gamma**t * (1 - gamma) / (1 - gamma**n)), truth=1,
    worlds=[FiniteWorld(0, gamma=share, n=stop) for share, stop in ((0.9, 10), (0.99, 10), (0.9, 100))],
    why="A footnote of the slides calls p(t|γ) Conway-Maxwell-Poisson with λ = γ, ν = 0. That is the "
        "geometric law, which runs for ever. The sum beside it stops at n − 1: the law is truncated.",
)

# %% rows=["S0-04:N"] slideshow={"slide_type": "fragment"}
discount, steps = 0.9, 10
weights = discount ** np.arange(steps) * (1 - discount) / (1 - discount**steps)
print(f"P(t = 0): truncated {weights[0]:.4f}, geometric {1 - discount:.4f}, replay {1 / steps:.4f}")
print(f"mean time: {weights @ np.arange(steps):.2f} against {(steps - 1) / 2:.2f} with all times alike")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 6 · A critic that is easy to maximise
#
# DDPG learns a second network to find the best action. **Could the critic be of a shape whose maximum one can read off?** NAF makes it a downward parabola
# in the action: a value, a best action, a curvature.
#
# *Predict:* which single sign, if it were wrong, would turn the best action into the worst?

# %% tags=["derivation"] rows=["S3-95:D"] slideshow={"slide_type": "subslide"}
v_, mu_, P_ = real("V"), real("mu"), real("P", 0.3, 1.5)
naf = function("Q", a)
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
naf_slope = (
    Derivation("... and the pull towards it", "09.6", D(a, naf(a)), source="Gu et al. 2016, section 4")
    .define(naf(a), v_ - P_ * (a - mu_) ** 2 / 2)
    .step(P_ * (mu_ - a), because="the slope of a parabola: uphill is towards μ")
)
naf_slope

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

# %% [markdown] slideshow={"slide_type": "subslide"}
# Actions have limits. Common code clips the best action into the box. **Is the clipped action the best one in the box?**
#
# *Predict:* $\mu$ lies outside in the first coordinate alone, so $a_1$ sits at its limit. Should $a_2$ stay where it was?

# %% tags=["derivation"] rows=["S3-95:D", "S3-95:N"] slideshow={"slide_type": "subslide"}
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
# And if the maximiser is a second network, as in DDPG? It is never too optimistic about a critic of this shape, and a small error costs little.
# *Predict:* an actor that is off by 0.1 loses how much more than one that is off by 0.01?

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

# %% [markdown] slideshow={"slide_type": "subslide"}
# One place where the shape of NAF is no restriction: the linear-quadratic world of section 3, at the best gain.
#
# *Predict:* what are $\mu(s)$ and $P$ there?

# %% tags=["derivation"] rows=["S3-95:D"] slideshow={"slide_type": "subslide"}
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

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 7 · Targets that lag behind
#
# Twice per update DDPG moves a copy of its networks a small step $\tau$ towards the original. **What is the copy made of, and how old is it?**
#
# *Predict:* with $\tau = 0.005$, after how many updates has the copy gone half of the way to a network that stands still: 100, 140, or 200?
#
# Used in every lecture from here on.

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
    .step((1 - tau) / tau, because="the geometric series of section 5, with 1 − τ for γ")
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
rule = (
    Derivation("Rule of thumb: h is about 0.69/τ", "09.7", tau * half,
               source="log(1 − τ) to first order")
    .define(half, log(2) / -log(1 - tau))
    .tends_to(log(2), variable=tau, to=0, rate=1, because="−log(1 − τ) is about τ, when τ is small")
)
display(half_life, rule)

# %% tags=["erratum"] rows=["S2-42:N"] slideshow={"slide_type": "subslide"}
erratum(
    "Which network has the share τ", "what is left of the old target after 100 updates with τ = 0.005",
    printed=tau**100, correct=(1 - tau) ** 100, truth=exp(100 * log(1 - tau)),
    worlds=[DensityWorld(tau=0.005), DensityWorld(tau=0.05)],
    why="Guberina's notes (7.1) give τ = 0.999 to the OLD copy, Spinning Up calls that share ρ; Wang's "
        "slides give τ to the NEW network, as we do. Each is right in its own formula.",
)

# %% rows=["S2-42:N", "S2-42:I"] slideshow={"slide_type": "fragment"}
shares = {"0.005 of the new, ours": 0.005, "0.999 of the old": 0.001, "0.005 of the old": 0.995}
for words, share in shares.items():
    copy, count = torch.zeros(1, dtype=torch.float64), 0
    while copy.item() < 1 - np.exp(-1):                                # the online network stands at 1
        polyak(copy, torch.ones(1, dtype=torch.float64), share)
        count += 1
    print(f"{words}: 63 % after {count} updates, half-life {np.log(2) / -np.log(1 - share):.1f}")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 8 · What the critic is asked to become
#
# The target bootstraps from the next state, with the target actor's action **there**. **And if there is no next state?** A network has some output for the
# terminal state, and nothing ever corrects it.
#
# *Predict:* the last reward is 1, the discount 0.99, and the critic happens to say 5 for the terminal state. What is the target, with a mask and without?

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

# %% tags=["derivation"] rows=["S2-36:D", "S2-37:I"] slideshow={"slide_type": "subslide"}
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
one_sample

# %% rows=["S0-07:N"] slideshow={"slide_type": "fragment"}
rewards, terminated, critic_next = torch.tensor([1.0]), torch.tensor([True]), torch.tensor([5.0])
print(f"masked {(rewards + 0.99 * torch.logical_not(terminated) * critic_next).item():.2f}",
      f"unmasked {(rewards + 0.99 * critic_next).item():.2f}")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What the sources say, and what holds
#
# Six boxes stand above. A row with a tick is tried in the next cells, and refused with a counterexample.
#
# | printed | what holds | |
# |---|---|---|
# | target action at the state s, in the slides on DDPG | the action belongs to the next state | ✓ |
# | the critic's slope in its input: "how much $a$ affects in learning $q_w$" | how much it affects the *prediction*; the weights $w$ stand still | ✓ |
# | 7.5, option 3: the actor climbs a $Q$ with the actor's own parameters | the critic's parameters, held fixed | ✓ |
# | a minibatch indexed by $i$ with states indexed by $t$ | one index | ✓ |
# | NAF "loses reparametrizational power" | *representational* power; and $P$ has to be positive definite (section 6) | |
# | the listing's `~terminals`, and `deepcopy` without import | `torch.logical_not`; `~` on bytes gives 255 | ✓ |

# %% tags=["erratum", "derivation"] slideshow={"slide_type": "subslide"} rows=["S0-03:N", "S2-39:N", "S3-96:N"]
actor_of, critic_of = function("mu", theta), function("Q", m, a)
series = function("x", t)
slope_of_actor = D(theta, actor_of(theta))
tries = {
    "target action of s": (Q, r(s, a) + gamma * Sum(s1, P(s1, s, a) * mu.Q(s1, mu(s), gamma))),
    "slope in the weights": (D(theta, critic_of(m, actor_of(theta))),
                             slope_of_actor * partial(critic_of, m)(m, actor_of(theta))),
    "a critic with the actor's θ": (slope_of_actor * partial(critic_of, a)(m, actor_of(theta)),
                                    D(theta, critic_of(theta, actor_of(theta)))),
    "two indices": (Sum(t, 0, n - 1, series(t)), Sum(i, 0, n - 1, series(t))),
}
for name, (right, printed) in tries.items():
    try:
        Derivation(f"as printed, {name}", "09", right).step(printed, because="as printed")
    except StepFails as error:
        print(name, *(part for part in str(error).splitlines() if " line" in part[:12]), sep="\n")

# %% tags=["erratum"] slideshow={"slide_type": "subslide"} rows=["S0-07:N"]
done = torch.tensor([0, 1], dtype=torch.uint8)
print("~done, on bytes:", (~done).tolist(), "  logical_not(done):", torch.logical_not(done).tolist())
print("rewards (3,) + critic (3, 1) gives", tuple((torch.zeros(3) + torch.zeros(3, 1)).shape))

# %% tags=["summary"] slideshow={"slide_type": "slide"}
summary("Six formulas", dpg, full_start, dpg_lq, first_n, polyak_average, target_mask)

# %% [markdown] slideshow={"slide_type": "skip"}
# ## Where to go
#
# Back to the [course map](00_orientation.ipynb) · before this: 05 (deep Q-learning), 06 (importance sampling) · next: 10, TD3 and overestimation; 13a,
# [reparametrisation](13a_reparametrisation_and_squashing.ipynb), where $\sigma$ stays.

# %% [markdown] slideshow={"slide_type": "skip"}
# **References.** Sutton, McAllester, Singh and Mansour (2000), *Policy gradient methods for reinforcement learning with function approximation*, NeurIPS.
# Degris, White and Sutton (2012), *Off-policy actor-critic*, ICML. Silver et al. (2014), *Deterministic policy gradient algorithms*, ICML. Lillicrap et al.
# (2016), *Continuous control with deep reinforcement learning*, ICLR. Gu et al. (2016), *Continuous deep Q-learning with model-based acceleration*, ICML.
# Fazel et al. (2018), *Global convergence of policy gradient methods for the linear quadratic regulator*, ICML. Bradtke, Ydstie and Barto (1994), *Adaptive
# linear quadratic control using policy iteration*, ACC. Williams (1992), Machine Learning 8.
