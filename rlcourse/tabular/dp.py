"""Dynamic programming: values by linear solve, Bellman operators, value and policy iteration, discounted visitation.

γ < 1 always works. γ = 1 works where the task ends for sure, whatever is done: then the sum of rewards is finite, and sweeps still contract, in a
norm that weighs each state by how long the task can last from there. Elsewhere γ = 1 is refused. Terminal states have value 0: operators read V
there as 0, and return 0 there.
"""

import math
from collections.abc import Callable

import numpy as np

from rlcourse.tabular.mdp import FiniteMDP, require_policy
from rlcourse.types import ShapeError

READ = "Read: help(rlcourse.tabular.dp)."
SAME = 1e-12  # two action values that differ by less, relative to the largest, differ by rounding


def action_values(mdp: FiniteMDP, V: np.ndarray) -> np.ndarray:
    """Q(s, a) = r(s, a) + γ Σ_s' P(s'|s, a) V(s').   V: (..., S). Returns (..., S, A); V is read as 0 in terminal states."""
    V = np.where(mdp.terminal, 0.0, _require_values(mdp, V))
    return mdp.r + mdp.gamma * np.einsum("sau,...u->...sa", mdp.P, V)


def bellman_expectation(mdp: FiniteMDP, pi: np.ndarray, V: np.ndarray) -> np.ndarray:
    """(B^π V)(s) = Σ_a π(a|s) [r(s, a) + γ Σ_s' P(s'|s, a) V(s')].   V: (..., S), pi: (..., S, A). Returns (..., S).

    Limits: |B^π V − B^π V'|_∞ <= γ |V − V'|_∞; the fixed point is `policy_evaluation`; affine in V.
    """
    return (require_policy(mdp, pi) * action_values(mdp, V)).sum(-1)


def bellman_optimality(mdp: FiniteMDP, V: np.ndarray) -> np.ndarray:
    """(B* V)(s) = max_a [r(s, a) + γ Σ_s' P(s'|s, a) V(s')].   V: (..., S). Returns (..., S).

    Limits: |B* V − B* V'|_∞ <= γ |V − V'|_∞; the fixed point is V* of `value_iteration`; monotone; the best B^π V over all policies π.
    """
    return action_values(mdp, V).max(-1)


def greedy(Q: np.ndarray) -> np.ndarray:
    """π(a|s) = 1 for the first action that attains max_a Q(s, a), else 0.   Q: (..., S, A). Returns (..., S, A).

    Ties go to the first action. Values within 1e-12 of each other, relative to the largest |Q| of the table, count as tied, so that rounding does
    not decide.
    """
    Q = np.asarray(Q)
    shortfall = Q.max(-1, keepdims=True) - Q
    return np.eye(Q.shape[-1])[np.argmax(shortfall <= SAME * abs(Q).max((-2, -1), keepdims=True), axis=-1)]


def value_iteration(mdp: FiniteMDP, tol: float = 1e-10) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """V ← B* V from V = 0, until |V − V*|_∞ <= tol.   Returns V (S,), Q (S, A) = r + γ P V, π (S, A) = greedy(Q), one-hot, ties to the first action.

    The stopping rule is the contraction's: after a sweep that moved V by δ in the largest entry, what is left is at most δ γ/(1−γ). At γ = 1, where
    the task ends for sure, the same with weights, see `fixed_point`. Then |Q − Q*|_∞ <= γ tol, and the value of π is below V* by at most
    2 γ tol/(1−γ). Rounding adds about 1e-16 max|V|/(1−γ), which a smaller tol cannot remove.
    Errors: ValueError if tol is not positive, or if γ = 1 and some policy can go on for ever.
    Source: Puterman 1994, section 6.3; Bertsekas & Tsitsiklis 1991 for γ = 1.
    Limits: γ = 0 gives max_a r; V solves the linear programme min Σ V, V >= Q; no policy has a larger value in any state.
    """
    V = fixed_point(mdp, lambda V: bellman_optimality(mdp, V), tol)
    Q = action_values(mdp, V)
    return V, Q, greedy(Q)


def policy_evaluation(mdp: FiniteMDP, pi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """V^π = (I − γ P_π)⁻¹ r_π,   Q^π = r + γ P V^π.   pi: (..., S, A). Returns V (..., S), Q (..., S, A): exact up to rounding, no sweeps.

    The solve is over the states that are not terminal; the others have value 0. Leading dimensions of pi are independent policies.
    Errors: those of `require_policy`; ValueError if γ = 1 and the policy does not reach a terminal state for sure.
    Source: Sutton & Barto 2018, eqs. 4.3-4.4, as a linear system.
    Limits: V = Σ_a π Q; γ = 0 gives r_π; r + c adds c/(1−γ) if nothing is terminal; γ = 1 gives the expected sum of rewards until the end.
    """
    P_pi, r_pi = mdp.under(pi)
    V = solve_values(mdp, P_pi, r_pi)
    return V, action_values(mdp, V)


def policy_iteration(mdp: FiniteMDP, pi: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Evaluate by linear solve, improve greedily, until no action is better.   Returns V* (S,), Q* (S, A), π* (S, A), one-hot.

    pi: (S, A), where to start; the first action everywhere if not given. π* = greedy(Q*), ties to the first action. Ends after finitely many
    rounds, since V rises in each and there are A^S policies; in practice a handful.
    Errors: those of `policy_evaluation` and of `value_iteration` at γ = 1.
    Source: Howard 1960; Puterman 1994, section 6.4.
    Limits: V equals the best value over all A^S deterministic policies in every state at once; started at π* it stays.
    """
    if mdp.gamma == 1:
        _expected_duration(mdp)  # refuses where a policy can go on for ever
    pi = np.eye(mdp.n_actions)[np.zeros(mdp.n_states, dtype=int)] if pi is None else require_policy(mdp, pi)
    while True:
        V, Q = policy_evaluation(mdp, pi)
        better = Q.max(-1) > V + SAME * max(abs(Q).max(), 1e-300)
        if not better.any():
            return V, Q, greedy(Q)
        pi = np.where(better[:, None], greedy(Q), pi)


def discounted_visitation(mdp: FiniteMDP, pi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ρ(s) = Σ_t γᵗ p(s_t = s),   d = (1 − γ) ρ.   pi: (..., S, A). Returns ρ (..., S), which sums to 1/(1−γ), and d (..., S), a distribution.

    ρ = p0 (I − γ P_π)⁻¹, the row form of `policy_evaluation`. Terminal states count: the process stays there. Per state and action, multiply by π.
    Errors: ValueError for γ = 1, where ρ is infinite in terminal states and d has no normaliser; those of `require_policy`.
    Source: Sutton et al. 2000 (Policy gradient methods for reinforcement learning with function approximation), section 1.
    Limits: γ = 0 gives p0; Σ_s ρ r_π = Σ_s p0 V^π; d = (1 − γ) p0 + γ d P_π.
    """
    if mdp.gamma == 1:
        raise ValueError(
            "gamma is 1, and the discounted visitation sums gamma^t p(s_t = s) over an endless time: at gamma = 1 the sum is infinite where the "
            f"process comes to rest, and (1 - gamma) rho is 0 times infinity. Take gamma < 1, or sum p(s_t = s) over a finite horizon. {READ}"
        )
    P_pi, _ = mdp.under(pi)
    rho = np.linalg.solve(np.eye(mdp.n_states) - mdp.gamma * P_pi.swapaxes(-1, -2), np.broadcast_to(mdp.p0, P_pi.shape[:-1])[..., None])[..., 0]
    return rho, (1 - mdp.gamma) * rho


def solve_values(mdp: FiniteMDP, P_pi: np.ndarray, r_pi: np.ndarray) -> np.ndarray:
    """V = (I − γ P_π)⁻¹ r_π over the states that are not terminal, 0 in the others.   P_pi: (..., S, S), r_pi: (..., S). Returns (..., S).

    Errors: ValueError if γ = 1 and some state does not reach a terminal one for sure: I − P_π has no inverse there.
    """
    goes_on = ~mdp.terminal
    if mdp.gamma == 1:
        _require_ending(mdp, P_pi)
    system = np.eye(goes_on.sum()) - mdp.gamma * P_pi[..., goes_on, :][..., goes_on]
    V = np.zeros(r_pi.shape)
    V[..., goes_on] = np.linalg.solve(system, r_pi[..., goes_on, None])[..., 0]
    return V


def fixed_point(mdp: FiniteMDP, operator: Callable[[np.ndarray], np.ndarray], tol: float) -> np.ndarray:
    """V* = operator(V*) by sweeps from V = 0, until |V − V*|_∞ <= tol.   operator: (S,) -> (S,), a Bellman optimality operator, soft or not.

    The operator contracts by β in the norm |V|_w = max_s |V(s)|/w(s): β = γ with w = 1; at γ = 1, β = 1 − 1/max w with w(s) the longest expected
    time until the task ends. A sweep that moves V by δ in that norm leaves a distance of at most δ β/(1−β), and k sweeps at most βᵏ/(1−β) times the
    first move: sweeps stop at whichever comes first, so that rounding cannot keep them going.
    Errors: ValueError if tol is not positive, or if γ = 1 and some policy can go on for ever.
    """
    if not 0 < tol < math.inf:
        raise ValueError(f"tol is {tol}, and needs to be a positive number: sweeps come close to the fixed point, and never quite reach it.")
    w = _expected_duration(mdp) if mdp.gamma == 1 else np.ones(mdp.n_states)
    beta = 1 - 1 / w.max() if mdp.gamma == 1 else mdp.gamma
    V = operator(np.zeros(mdp.n_states))
    left = (abs(V) / w).max() * w.max() * beta / (1 - beta)  # how far V can be from the fixed point
    bound = left
    while left > tol and bound > tol:
        V, previous = operator(V), V
        left = (abs(V - previous) / w).max() * w.max() * beta / (1 - beta)
        bound *= beta
    return V


def _expected_duration(mdp: FiniteMDP) -> np.ndarray:
    """The longest expected number of steps until the task ends, over all policies (at least 1 everywhere); refuses if one can last for ever."""
    inside = ~mdp.terminal
    while True:  # the largest set of states that some policy need never leave
        stays = inside & (mdp.P[..., ~inside].sum(-1) == 0).any(-1)
        if (stays == inside).all():
            break
        inside = stays
    if inside.any():
        raise ValueError(
            f"gamma is 1, and a policy can stay among the states {np.flatnonzero(inside).tolist()} for ever: the sum of its rewards need not be "
            f"finite, and sweeps need not converge. Take gamma < 1, or a task that ends for sure in a terminal state whatever is done. {READ}"
        )
    pi = np.eye(mdp.n_actions)[np.zeros(mdp.n_states, dtype=int)]
    while True:  # policy iteration with reward 1 per step
        P_pi, _ = mdp.under(pi)
        w = solve_values(mdp, P_pi, (~mdp.terminal).astype(float))
        longest = greedy(np.einsum("sau,u->sa", mdp.P, w))
        gain = ((longest - pi) * np.einsum("sau,u->sa", mdp.P, w)).sum(-1)
        if not (gain > SAME * w.max()).any():
            return np.maximum(w, 1.0)
        pi = np.where((gain > SAME * w.max())[:, None], longest, pi)


def _require_ending(mdp: FiniteMDP, P_pi: np.ndarray) -> None:
    """Raise unless, under each policy, every state reaches a terminal state with positive probability, and so, in time, for sure."""
    reaches = np.broadcast_to(mdp.terminal, P_pi.shape[:-1])
    for _ in range(mdp.n_states):
        reaches = reaches | ((P_pi > 0) & reaches[..., None, :]).any(-1)
    if not reaches.all():
        states = np.flatnonzero(~reaches.reshape(-1, mdp.n_states).all(0)).tolist()
        raise ValueError(
            f"gamma is 1, and from the states {states} the policy never reaches a terminal state: I - P_pi has no inverse, since the sum of rewards "
            f"runs on for ever. Take gamma < 1, or a policy that ends the task for sure. Terminal states here: "
            f"{np.flatnonzero(mdp.terminal).tolist()}. {READ}"
        )


def _require_values(mdp: FiniteMDP, V: np.ndarray) -> np.ndarray:
    V = np.asarray(V)
    if V.ndim < 1 or V.shape[-1] != mdp.n_states or not np.issubdtype(V.dtype, np.floating):
        raise ShapeError(f"V came as {V.shape} of dtype {V.dtype}, and needs (..., S) = (..., {mdp.n_states}), floating: one value per state. {READ}")
    return V
