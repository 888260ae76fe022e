# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
#   rlcourse:
#     lecture: 09a
#     title: Deterministic policy gradients
#     minutes_read: 60
#     minutes_work: 30
#     status: draft
#     objectives: [LO7.1]
# ---

# %% [markdown] slideshow={"slide_type": "slide"} notes="2 minutes. Show the picture, ask for votes: which of the two is the theorem? Do not answer yet."
# # 09a · Deterministic policy gradients
#
# The slope of $Q(s, \mu_\theta(s))$ in $\theta$ may mean two things: only the action moves, or $Q$ as well, the value of the very policy that moves.
# Same world, same step size. **Which of the two climbs the return, and where does the factor between them come from?**

# %% tags=["imports"] slideshow={"slide_type": "skip"}
import numpy as np
import sympy as sp
from IPython.display import display

from rlcourse.figures import lecture_09a as fig
from rlcourse.figures import style
from rlcourse.notation import Assumption, D, DensityWorld, Derivation, E, FiniteWorld
from rlcourse.notation import Formula, LinearQuadratic, N, StepFails, Sum, action, action_worlds, actor
from rlcourse.notation import dynamics, erratum, function, grad, grad_at, horizon, initial, jump
from rlcourse.notation import log, lq_constant, lq_start, lq_worlds, oo, partial, path, policy
from rlcourse.notation import positive, real, reward, riccati_gain, sqrt, state, summary, time
from rlcourse.widgets import lecture_09a as live

style.apply()
s, s1, choice = state("s"), state("s'"), action("a")
t, n, tau_path = time("t"), horizon("n"), path("tau")
r, P, p0 = reward("r"), dynamics("P"), initial("p_0")
theta, theta_b, gamma = real("theta"), real("theta_b"), real("gamma", 0.3, 0.95)
sigma, a, eps, x, m = positive("sigma"), real("a"), real("epsilon"), real("s"), real("m")
pi, b = policy("pi", theta), policy("b")                      # finitely many actions
mu, old = actor("mu", theta), actor("mu", theta_b)          # one real action per state; an older actor
V, Q, A = mu.V(s, gamma), mu.Q(s, a, gamma), mu.A(s, a, gamma)
h, g, K = function("h", s), function("g", s), function("K", s, a)

# %% tags=["figure", "hide-input"] rows=["S0-03:N"] slideshow={"slide_type": "fragment"} alt="Two panels. Left: the return over the gain k of a linear actor, highest at k = 0.93, with two tangents at k = 0.2; the one with Q held fixed touches the curve, the one where Q moves as well is several times steeper. Right: gains over 14 gradient steps of the same size. With Q held fixed they rise to 0.93; with Q moving the first step lands at 2.5, far past the best."
fig.two_ascents()

# %% [markdown] slideshow={"slide_type": "slide"}
# After this lecture you can
#
# - **derive** the deterministic policy gradient theorem, and **say** what is held fixed in it (LO7.1, its first half; exercise 09.1)
# - **name** what an off-policy gradient leaves out, and when nothing is lost
# - **compute** the gradient of a linear-quadratic task by hand, and **check** it against a finite difference (exercise 09.1)
# - **explain** why a narrow Gaussian policy has almost the same gradient, and what the weights $\gamma^t$ are
#
# 60 minutes to read, 30 to work on [the exercises](../exercises/09_deterministic_policy_gradients.ipynb). You need the policy gradient (lecture 03); boxes say what you
# need of lectures 05 and 06. Part [09b](09b_ddpg.ipynb) turns the theorem into an agent, and has the other half of LO7.1: both losses in code.
#
# Every derivation was checked by this machine when its cell ran. Change a sign and run it again.

# %% [markdown] slideshow={"slide_type": "slide"} notes="8 minutes for the section. Misconception to probe: the importance ratio corrects everything. It corrects the actions; the states stay those of b."
# ## 1 · Data from another policy
#
# The slides start from importance weights and an advantage, $Q - V$; one line later $V$ is gone. **May it go?**
#
# *Predict first:* what else could have been subtracted without anyone noticing?
#
# Used in the rest of this section, and in 09b: a critic known up to a function of the state is good enough for an actor.

# %% tags=["derivation"] rows=["S0-02:D"] slideshow={"slide_type": "skip"}
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
# Now the states. The buffer holds those that an older policy $b$ visited. Keep their distribution fixed and ask for the slope of the value of $\pi_\theta$
# on them. **How many terms are there, and which one can a sample estimate?**
#
# *Predict:* the slides keep one term and write an approximation sign. Is what they drop small? And with whose states would nothing be lost?

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

# %% [markdown] slideshow={"slide_type": "subslide"}
# **Box: the importance ratio** (lecture 06). $\pi_\theta(a|s) / b(a|s)$ turns an average over the actions of $b$ into one over those of $\pi_\theta$. The
# states have a ratio too, $\xi^{\pi} / \xi^{b}$ on the slides, and it needs all actions that led there. Off-policy actor-critic drops it, together with the
# slope of $Q$ (Degris et al. 2012). Emphatic weights are one way to estimate what was dropped (Sutton et al. 2016).
#
# How much is lost? Open *sources, other forms* under the last derivation: with someone else's states the two sides differ already in a
# world of two states.
#
# **Take away:** $V$ may go, exactly; the states of another policy may not be swapped for one's own for free.

# %% [markdown] slideshow={"slide_type": "slide"} notes="15 minutes with the theorem. Demo: drag theta until the mean is 0 (0.56), then sigma: dots scatter, arrows stay. Misconception: exploration noise enters the gradient."
# ## 2 · The deterministic policy gradient
#
# Let the policy be a function, one real action per state. **What is the slope of its return?** Below, a critic with a curved ridge, and an actor that can
# only be a straight line.
#
# *Predict:* the arrows show $\partial Q / \partial a$. Which states ask for a steeper line, which for a flatter one? And if the actions that are executed get
# more noise, $\sigma$ from 0.2 to 0.8, what happens to the slope in $\theta$?

# %% tags=["widget"] slideshow={"slide_type": "subslide"} rows=["S0-03:W", "S2-39:N"]
live.q_landscape()

# %% [markdown] slideshow={"slide_type": "subslide"}
# Noise moves the data; the slope is taken at the actor's own action, and stays. Now where this slope comes from.
#
# $V(s)$ and $Q(s, \mu_\theta(s))$ are the same number. *Predict:* which of these depend on $\theta$: the action, the reward, the next state, the value of the
# next state?
#
# The first part of the recursion is local: slope of the action, times slope of $Q$ in its action, **with $Q$ held fixed**. Call it $g(s)$. The second part is
# the same slope one step later. *Predict:* with which weight does $g(s)$ enter the answer?

# %% tags=["derivation"] rows=["S2-39:D"] slideshow={"slide_type": "skip"}
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
    .step(Sum(s1, (rho_next - gamma * Sum(s, rho * P(s1, s, mu(s)))) * slope_next),
          because="only V depends on θ; the start, from the weight equation")
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

# %% [markdown] slideshow={"slide_type": "subslide"}
# For the jump the right-hand side says 0, while the return does move: a critic without slope teaches an actor nothing. DDPG smooths such rewards by fitting
# them, which is help and hazard (lecture 10).
#
# **Now** the first half of [exercise 09.1](../exercises/09_deterministic_policy_gradients.ipynb) (10 minutes): its slope, term by term.
#
# **Take away:** the gradient is the slope of the action times the slope of $Q$ in the action, $Q$ held fixed, averaged over the policy's own discounted states.

# %% [markdown] slideshow={"slide_type": "slide"} notes="10 minutes. The three arrows: black on green is the point. Ask why the factor grows with gamma: each later state is counted once for every state before it."
# ## 3 · A world in closed form
#
# A linear system with quadratic costs, and a linear actor with gain $k$: everything above can be written down. **Does the theorem give the slope that the
# return has?**
#
# *Predict:* at the best gain, which of the two slopes of section 2 is zero? Move $k$ there. Then put $\gamma$ to 0.95 and $k$ to 0.1: how far off is the full
# derivative now?
#
# Used in 09b, and in lecture 15 on optimal control.

# %% tags=["widget"] slideshow={"slide_type": "subslide"} rows=["S0-03:W", "S0-03:N"]
live.lq_gradients()

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

# %% tags=["derivation"] rows=["S0-03:D"] slideshow={"slide_type": "skip"}
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
# Both slopes vanish at the same gain, so the factor is a nuisance here and no more: with one parameter a wrong length is all that can happen. With several,
# the full derivative counts later states too often (section 2), and points elsewhere.
#
# Where is that gain? At the solution of the **Riccati equation**, which control theory finds without any gradient. The next worlds have their $k$ set to it,
# by another library. *Predict:* would states from another policy move it?

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

# %% tags=["derivation"] rows=["S0-03:D"] slideshow={"slide_type": "subslide"}
best_gain = (
    Derivation("... and there the return is largest", "09.3", actor("mu", k_any).V(s_0, gamma),
               source="the discounted Riccati equation", worlds=best_systems)
    .step(line.V(s_0, gamma), because="no other gain does better", relation="<=",
          tight=LinearQuadratic(0, k=0.5, k_any=0.5))
)
best_gain

# %% [markdown] slideshow={"slide_type": "subslide"}
# No state stands in the condition: at the best gain the local slope is zero in every state at once, so this optimum does not depend on whose states one averages
# over. That is luck of this world. It comes from an actor that can be best everywhere; section 2 has the general case.
#
# **Now** [exercise 09.1](../exercises/09_deterministic_policy_gradients.ipynb) (15 minutes): the gradient of this section from weighted states, tested against a finite
# difference.
#
# **Take away:** before you believe a gradient, find a world where you can write it down.

# %% [markdown] slideshow={"slide_type": "slide"} notes="7 minutes. The tends_to line measures the order. Connect: this is why SAC with a small temperature behaves like TD3."
# ## 4 · The limit of a narrow Gaussian
#
# A deterministic policy is a Gaussian one whose $\sigma$ has gone to zero. **Does its gradient go to the deterministic one?** The score function does not
# look like it: it divides by $\sigma^2$.
#
# *Predict:* at $\sigma = 0.1$ the two gradients differ by some amount. By how much less at $\sigma = 0.05$: half, or a quarter?
#
# Used in lecture 13a, where $\sigma$ stays.

# %% tags=["derivation"] rows=["S0-03:D"] slideshow={"slide_type": "skip"}
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

def pathwise(slope, at):
    """The slope along the path, averaged over the noise."""
    return Sum(s, rho_noisy * E(eps, N(0, 1), grad(theta, mu(s)) * grad_at(a, slope, at)))

mirror = (
    Derivation("Noise and its mirror image", "09.4", E(eps, N(0, 1), Qa(m + sigma * eps)),
               source="symmetry of the normal law")
    .step(E(eps, N(0, 1), Qa(m - sigma * eps)),
          because="the normal density is symmetric: −ε has the law of ε")
)
display(no_h, mirror)

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
)
limit

# %% [markdown] slideshow={"slide_type": "subslide"}
# A quarter: the limit is the theorem of section 2, and the bias is of order $\sigma^2$ (the last line measured it, on worlds with continuous actions). So noise that is only there to explore costs
# little. The *variance* of the score-function estimate is another matter: it grows like $1/\sigma^2$ (lecture 13a compares).
#
# What is the density of the action that the actor sends? *Predict* its value for $\sigma = 0.1$ before you look at the box.
#
# **Take away:** the deterministic gradient is the stochastic one with the noise gone; what differs is how it is estimated.

# %% tags=["erratum"] rows=["S0-03:N"] slideshow={"slide_type": "subslide"}
erratum(
    "Not a probability", "the density of a narrow Gaussian at its own centre, the action of the actor",
    printed=1, correct=1 / (sigma * sqrt(2 * sp.pi)), truth=N(m, sigma).pdf(m),
    worlds=[DensityWorld(sigma=0.1, m=0), DensityWorld(sigma=0.01, m=0), DensityWorld(sigma=0.001, m=0)],
    why="The slides say of a deterministic policy: π(π(s)|s) = 1. So it is with finitely many actions. "
        "With real ones π(a|s) is a density; its limit is Dirac's delta: mass 1, no finite value there.",
)

# %% [markdown] slideshow={"slide_type": "slide"} notes="6 minutes. Demo: gamma 0.99, n 200: half of the weight lies in the first 57 steps. Ask: what does an agent lose that never hears of gamma^t? It cares about late states too much."
# ## 5 · What the weights $\gamma^t$ are
#
# The theorem weighs a state at time $t$ by $\gamma^t$; a replay buffer weighs all alike. **Is there a random time for which the weights are probabilities?**
#
# *Predict:* for $\gamma = 0.9$ and episodes of 10 steps, what is the probability of $t = 0$: 0.1, or more? Set $n$ to 10 and read it off.
#
# Used by every actor loss that carries a factor for the discount, and by those that leave it out.

# %% tags=["widget"] slideshow={"slide_type": "subslide"} rows=["S0-04:N"]
live.discount_weights()

# %% tags=["derivation"] rows=["S0-04:D"] slideshow={"slide_type": "subslide"}
endless = (
    Derivation("Weights for ever", "09.5", Sum(t, 0, oo, gamma**t), source="the geometric series")
    .step(1 + gamma * Sum(t, 0, oo, gamma**t), because="the first term, then γ times the same sum")
    .step(1 / (1 - gamma), because="solve for the sum: so (1 − γ) γ^t are probabilities")
)
endless

# %% tags=["derivation"] rows=["S0-04:D"] slideshow={"slide_type": "subslide"}
first_n = (
    Derivation("Weights of the first n steps", "09.5", Sum(t, 0, n - 1, gamma**t),
               source="CS4400 lecture 7, 7.1 (DPG, build 4 and footnote)")
    .step(Sum(t, 0, oo, gamma**t) - Sum(t, n, oo, gamma**t), because="all, without those from n on")
    .step(Sum(t, 0, oo, gamma**t) - gamma**n * Sum(t, 0, oo, gamma**t),
          because="what comes after n steps is γ^n times all")
    .step((1 - gamma**n) / (1 - gamma), because="the sum for ever")
)
first_n

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

# %% tags=["derivation"] rows=["S0-04:D"] slideshow={"slide_type": "skip"}
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

# %% [markdown] slideshow={"slide_type": "subslide"}
# Implementations "based on transitions" leave $\gamma^t$ out, and so does this course: `rlcourse.equations.value_learning.dpg_loss` averages over the batch,
# each transition alike. What is maximised then is no longer the discounted return from the start, but an average over the states that were replayed, early
# and late. In a world like that of section 3 the optimum does not move; in general it does.
#
# **Take away:** $\gamma^t$ is a distribution of times, truncated where the episode ends; leaving it out is a choice of states, to be made knowingly.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What the sources say, and what holds
#
# Four boxes stand above. A row with a tick is tried in the next cell, and refused with a counterexample.
#
# | printed | what holds | |
# |---|---|---|
# | the critic's slope in its input is "how much the input value $a$ affects in learning" it (DDPG slides) | how much it affects the *prediction*; the weights $w$ stand still | ✓ |
# | states averaged over an older policy, and an equals sign after the chain rule (lecture 7, DPG, line 3) | an approximation: the slope of $Q$ at a fixed action is dropped (section 2) | ✓ |
# | a sum over $i$ of terms that carry $t$ | one index | ✓ |

# %% tags=["erratum", "derivation"] slideshow={"slide_type": "subslide"} rows=["S0-03:N", "S2-39:N"]
actor_of, critic_of, series, i = function("mu", theta), function("Q", m, a), function("x", t), time("k")
tries = {
    "slope in the weights": (D(theta, critic_of(m, actor_of(theta))),
                             D(theta, actor_of(theta)) * partial(critic_of, m)(m, actor_of(theta))),
    "an older actor's states": (grad(theta, E(s, old.visits(gamma), V)),
                                E(s, old.visits(gamma), grad(theta, mu(s)) * grad_at(a, Q, mu(s)))),
    "two indices": (Sum(t, 0, n - 1, series(t)), Sum(i, 0, n - 1, series(t))),
}
for name, (right, printed) in tries.items():
    try:
        Derivation(f"as printed, {name}", "09", right).step(printed, because="as printed")
    except StepFails as error:
        print(name, *(part for part in str(error).splitlines() if " line" in part[:12]), sep="\n")

# %% tags=["summary"] slideshow={"slide_type": "slide"}
summary("Five formulas", v_drops, dpg, full_start, dpg_lq, first_n)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Five questions
#
# <details><summary>1. Why does subtracting V(s), or any function of the state, leave the gradient as it is?</summary>It multiplies the sum of ∇π over the actions, which is the slope of 1. For a deterministic actor: it has no slope in the action.</details>
#
# <details><summary>2. Which parts of Q(s, μ(s)) depend on θ, and which of them does the theorem differentiate?</summary>The action, and Q itself through all later actions. Only the action; the later ones are paid for by the weights of the later states.</details>
#
# <details><summary>3. With which weights is the full derivative right?</summary>Those of the start alone: there it is the definition of the slope of the return.</details>
#
# <details><summary>4. A reward is 1 above a threshold and 0 below. What does the theorem say, and what is true?</summary>The slope of Q in the action is 0 almost everywhere, so it says 0. The return moves: Q has to be differentiable.</details>
#
# <details><summary>5. What is the probability of t = 0 for γ = 0.9 and ten steps, and why is it not 0.1?</summary>0.154. The geometric law runs for ever; cut after ten steps it has to be divided by what is left, 1 − 0.9¹⁰.</details>

# %% [markdown] slideshow={"slide_type": "skip"}
# ## Where to go
#
# [Exercise 09.1](../exercises/09_deterministic_policy_gradients.ipynb) · back to the [course map](00_orientation.ipynb) · before this: [03](03_policy_gradients.ipynb),
# policy gradients; 05 and 06, replay and importance sampling · next: [09b](09b_ddpg.ipynb), DDPG and the other ways to maximise;
# [13a](13a_reparametrisation_and_squashing.ipynb), where $\sigma$ stays.
#
# **References.** Silver et al. (2014), *Deterministic policy gradient algorithms*, ICML (theorems 1 and 2). Sutton, McAllester, Singh and Mansour (2000), *Policy
# gradient methods for reinforcement learning with function approximation*, NeurIPS (theorem 1). Degris, White and Sutton (2012), *Off-policy actor-critic*,
# ICML. Sutton, Mahmood and White (2016), *An emphatic approach to the problem of off-policy temporal-difference learning*, JMLR 17. Fazel et al. (2018),
# *Global convergence of policy gradient methods for the linear quadratic regulator*, ICML. Williams (1992), Machine Learning 8.
