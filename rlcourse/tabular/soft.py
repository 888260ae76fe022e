"""Values with a temperature: soft dynamic programming, and the messages of control as inference.

Two models live here, and they differ in three places.
    soft_*             discounted by γ, without an end in time; the entropy is added to the reward (the count of actions is the measure)
    *_messages         T steps, t = 0 .. T−1, without discount (mdp.gamma is not used); the prior policy p(a|s) is the measure, uniform if None
A uniform prior instead of a count shifts V by −α log A per step. After the end there is neither reward nor entropy: terminal states have V = 0.

α is in units of reward per nat. Everything is computed as a logarithm, shifted by the largest term, so that |r|/α = 1000 stays finite and accurate.

The model of the messages: p(τ) = p0(s_0) Π p(a_t|s_t) P(s_{t+1}|s_t, a_t), and p(O_t = 1|s_t, a_t) = exp(r(s_t, a_t)/α). With r <= 0 these are
probabilities. With positive rewards they are potentials: all messages are then known up to a constant, and conditional probabilities are as good as
before. O_{t:T−1} means: all of O_t .. O_{T−1} are 1.
"""

import numpy as np

from rlcourse.tabular.dp import action_values, fixed_point, solve_values
from rlcourse.tabular.mdp import FiniteMDP, require_policy
from rlcourse.types import ShapeError

READ = "Read: help(rlcourse.tabular.soft)."


def soft_values(Q: np.ndarray, alpha: float) -> np.ndarray:
    """V(s) = α log Σ_a exp(Q(s, a)/α) = max_π Σ_a π(a|s) Q(s, a) + α H(π(·|s)).   Q: (..., A). Returns (...).

    Limits: max_a Q <= V <= max_a Q + α log A, equal on the left as α → 0 and on the right where all Q are equal; adding c to Q adds c.
    """
    Q, alpha = np.asarray(Q), _positive(alpha)
    return alpha * _log_sum_exp(Q / alpha)


def boltzmann(Q: np.ndarray, alpha: float) -> np.ndarray:
    """π(a|s) = exp(Q(s, a)/α) / Σ_a' exp(Q(s, a')/α), the policy that attains the maximum in `soft_values`.   Q: (..., A). Returns (..., A).

    Limits: α → ∞ gives the uniform policy, α → 0 the greedy one with ties shared equally; adding c to Q changes nothing.
    """
    Q = np.asarray(Q)
    return np.exp((Q - soft_values(Q, alpha)[..., None]) / alpha)


def soft_bellman_optimality(mdp: FiniteMDP, V: np.ndarray, alpha: float) -> np.ndarray:
    """(B V)(s) = α log Σ_a exp([r(s, a) + γ Σ_s' P(s'|s, a) V(s')]/α), and 0 in terminal states.   V: (..., S). Returns (..., S).

    Limits: |B V − B V'|_∞ <= γ |V − V'|_∞; the fixed point is V of `soft_value_iteration`; α → 0 gives `dp.bellman_optimality`.
    """
    return np.where(mdp.terminal, 0.0, soft_values(action_values(mdp, V), alpha))


def soft_value_iteration(mdp: FiniteMDP, alpha: float, tol: float = 1e-10) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """V ← α log Σ_a exp(Q/α), Q ← r + γ P V, until |V − V*|_∞ <= tol.   Returns V (S,), Q (S, A), π (S, A) = exp((Q − V)/α).

    V* = max_π E Σ_t γᵗ (r_t + α H(π(·|s_t))), and π attains it. alpha > 0, in reward per nat. The stopping rule is the one of `dp.fixed_point`.
    π = `boltzmann(Q, alpha)`, so its rows sum to 1 whatever tol is; in terminal states it is uniform.
    Errors: ValueError if alpha or tol is not positive, or if γ = 1 and some policy can go on for ever.
    Source: Ziebart 2010 (thesis); Haarnoja et al. 2017 (Reinforcement learning with deep energy-based policies), section 3.
    Limits: 0 <= V − V* of `dp.value_iteration` <= α log A/(1−γ), so α → 0 gives it; r constant and nothing terminal gives (r + α log A)/(1−γ);
    scaling r and α together scales V and leaves π alone.
    """
    V = fixed_point(mdp, lambda V: soft_bellman_optimality(mdp, V, alpha), tol)
    Q = action_values(mdp, V)
    return V, Q, boltzmann(Q, alpha)


def soft_policy_evaluation(mdp: FiniteMDP, pi: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """V = (I − γ P_π)⁻¹ (r_π + α H(π)),   Q = r + γ P V.   pi: (..., S, A). Returns V (..., S), Q (..., S, A): exact up to rounding.

    V counts the entropy of the action to be chosen in s; Q(s, a) does not, since a is already chosen: V = Σ_a π (Q − α log π). alpha: at least 0.
    Solving for Q with r + α H(s) as reward would count that entropy, and be off by α H(s). Terminal states have V = 0, without entropy.
    Errors: ValueError if alpha is negative; those of `dp.policy_evaluation`.
    Source: Haarnoja et al. 2018 (Soft actor-critic), lemma 1.
    Limits: α = 0 and deterministic policies give `dp.policy_evaluation`; affine in α; the policy of `soft_value_iteration` has its V, any other less.
    """
    if not 0 <= alpha < np.inf:
        raise ValueError(f"alpha is {alpha}, and needs to be at least 0: it is the worth of one nat of entropy, in units of reward. {READ}")
    P_pi, r_pi = mdp.under(pi)
    pi = require_policy(mdp, pi)
    entropy = -(pi * np.log(np.where(pi > 0, pi, 1.0))).sum(-1)
    V = solve_values(mdp, P_pi, r_pi + alpha * entropy)
    return V, action_values(mdp, V)


def backward_messages(mdp: FiniteMDP, horizon: int, alpha: float, prior: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """V_t(s) = α log p(O_{t:T−1}|s_t = s),   Q_t(s, a) = α log p(O_{t:T−1}|s_t = s, a_t = a):   α times the log of the backward messages β

    Q_{T−1} = r,   Q_t = r + α log Σ_s' P(s'|s, a) exp(V_{t+1}(s')/α),   V_t = α log Σ_a p(a|s) exp(Q_t(s, a)/α)

    horizon: T, the number of steps. alpha > 0. prior: p(a|s), (S, A) or (T, S, A); uniform if not given. Returns V (T, S), Q (T, S, A), in units of
    reward, rows t = 0 .. T−1. mdp.gamma is not used: the horizon does what the discount does.
    The expectation over s' is of exp(V/α), so good luck counts more than it is likely: exact inference supposes that the dynamics, too, want O. The
    dynamic programme that does not is `variational_messages`.
    Errors: ValueError if horizon < 1 or alpha <= 0; those of `require_policy` for the prior.
    Source: Levine 2018 (Reinforcement learning and control as probabilistic inference), section 2.3, with a general prior and temperature.
    Limits: T = 1 gives Q = r; α → ∞ gives the values of the prior policy; α → 0 the best plan when luck is on our side; deterministic dynamics give
    `variational_messages`; stationary in time-to-go: V of horizon T at t is V of horizon T−t at 0.
    """
    return _backward(mdp, horizon, alpha, prior, lambda V: alpha * _log_sum_exp(V / alpha, mdp.P))


def variational_messages(mdp: FiniteMDP, horizon: int, alpha: float, prior: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Q_{T−1} = r,   Q_t = r + Σ_s' P(s'|s, a) V_{t+1}(s'),   V_t = α log Σ_a p(a|s) exp(Q_t(s, a)/α):   soft DP over T steps

    The maximum of E_q[Σ r] − α KL(q(a|s) || p(a|s)), summed over steps, over policies q with the true dynamics; `posterior_policy` of the result
    attains it. Arguments, shapes and units as in `backward_messages`; mdp.gamma is not used.
    Source: Levine 2018, section 3.
    Limits: never above `backward_messages` (Jensen), equal under deterministic dynamics; α → 0 gives finite-horizon dynamic programming.
    """
    return _backward(mdp, horizon, alpha, prior, lambda V: mdp.P @ V)


def forward_messages(mdp: FiniteMDP, horizon: int, alpha: float, prior: np.ndarray | None = None) -> np.ndarray:
    """log p(s_t = s, O_{0:t−1}),   t = 0 .. T−1.   Returns (T, S), in nats; −∞ where s cannot be reached in t steps.

    Row 0 is log p0; p(s_{t+1}, O_{0:t}) = Σ_{s,a} p(s_t, O_{0:t−1}) p(a|s_t) exp(r/α) P(s_{t+1}|s_t, a). Arguments as in `backward_messages`.
    The smoothed marginal is p(s_t|O_{0:T−1}) ∝ exp(forward_t + V_t/α), with V of `backward_messages`.
    Source: Levine 2018, section 2.3.
    Limits: Σ_s exp(forward_t + V_t/α) = p(O_{0:T−1}), the same for every t; r = 0 gives the log-marginals of the prior policy.
    """
    alpha, log_prior = _positive(alpha), _log(_prior(mdp, horizon, prior))
    rows = [_log(mdp.p0)]
    for t in range(len(log_prior) - 1):
        joint = rows[-1][:, None] + log_prior[t] + mdp.r / alpha  # log p(s, a, O_{0:t}), (S, A)
        rows.append(_log_sum_exp(joint.ravel(), mdp.P.reshape(-1, mdp.n_states).T))
    return np.stack(rows)


def posterior_policy(V: np.ndarray, Q: np.ndarray, prior: np.ndarray | None, alpha: float) -> np.ndarray:
    """π_t(a|s) = p(a_t = a|s_t = s, O_{t:T−1}) = p(a|s) exp((Q_t(s, a) − V_t(s))/α).   V: (..., S), Q: (..., S, A). Returns (..., S, A).

    prior: the one that V and Q were computed with, (S, A) or (T, S, A), None for uniform; it stays in the policy as a factor.
    Limits: rows sum to 1 if V belongs to Q and prior; Q = V gives the prior back; an action of prior 0 keeps 0.
    Errors: ShapeError if V and Q do not belong together; ValueError if alpha is not positive.
    Source: Levine 2018, section 2.3, with the prior.
    """
    if Q.ndim < 1 or V.shape != Q.shape[:-1]:
        raise ShapeError(f"V came as {V.shape} and Q as {Q.shape}: V needs the shape of Q without its last dimension, the actions. {READ}")
    prior = np.full(Q.shape[-1], 1 / Q.shape[-1]) if prior is None else np.asarray(prior)
    return prior * np.exp((Q - V[..., None]) / _positive(alpha))


def _backward(mdp: FiniteMDP, horizon: int, alpha: float, prior: np.ndarray | None, expectation) -> tuple[np.ndarray, np.ndarray]:
    """The sweep from t = T−1 to 0 that both kinds of message share. expectation: (S,) -> (S, A), what the next step is worth."""
    alpha, prior = _positive(alpha), _prior(mdp, horizon, prior)
    V, Q = np.zeros((len(prior), mdp.n_states)), np.zeros(prior.shape)
    for t in reversed(range(len(prior))):
        Q[t] = mdp.r + (expectation(V[t + 1]) if t + 1 < len(prior) else 0.0)
        V[t] = alpha * _log_sum_exp(Q[t] / alpha, prior[t])
    return V, Q


def _prior(mdp: FiniteMDP, horizon: int, prior: np.ndarray | None) -> np.ndarray:
    """The prior as one policy per step, (T, S, A)."""
    if isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or horizon < 1:
        raise ValueError(f"horizon is {horizon!r}, and needs to be an integer of at least 1: the number of steps T, which run from 0 to T-1.")
    prior = np.full(mdp.r.shape, 1 / mdp.n_actions) if prior is None else require_policy(mdp, prior, "prior")
    if prior.ndim > 2 and prior.shape[:-2] != (horizon,):
        raise ValueError(f"prior came as {prior.shape}: it needs to be (S, A), or one policy for each of the {horizon} steps, (T, S, A). {READ}")
    return np.broadcast_to(prior, (int(horizon), *mdp.r.shape))


def _log_sum_exp(x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """log Σ_i w_i exp(x_i) over the last dimension. An entry of weight 0 is not there at all, however large; an empty sum gives −∞."""
    x = x if weights is None else x + _log(weights)
    top = x.max(-1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    return _log(np.exp(x - top).sum(-1)) + top[..., 0]


def _log(p: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):  # log 0 = −∞ is meant
        return np.log(p)


def _positive(alpha: float) -> float:
    if not 0 < alpha < np.inf:
        raise ValueError(
            f"alpha is {alpha}, and needs to be positive and finite: it divides the rewards. The limit alpha -> 0 is rlcourse.tabular.dp, where the "
            f"maximum takes the place of the log-sum-exp. {READ}"
        )
    return float(alpha)
