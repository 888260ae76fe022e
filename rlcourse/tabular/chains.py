"""Where a process will be, and what it will pay on the way: Markov chains, marginals of states and actions, beliefs, sampled returns.

Index order: a chain is P_π (S, S'), its row is the state in which it is now and sums to 1, as `FiniteMDP.under` makes it. A distribution of states
is a vector, and one step multiplies it from the left: mu @ P_pi, which is P_πᵀ μ. Time leads: row t of a result belongs to time t = 0 .. T−1.
"""

import numpy as np

from rlcourse.tabular.mdp import FiniteMDP, require_distribution, require_policy
from rlcourse.types import ShapeError

READ = "Read: help(rlcourse.tabular.chains)."


def state_marginals(P_pi: np.ndarray, p0: np.ndarray, horizon: int) -> np.ndarray:
    """μ_0 = p0,   μ_{t+1}(s') = Σ_s μ_t(s) P_π(s'|s)   [01.1]

    P_pi: (S, S'), rows sum to 1. p0: (S,). Returns (T, S), T = horizon: the distribution of s_t for t = 0 .. T−1, all of it before s_T.
    Errors: ShapeError if the shapes do not belong together; ValueError if a row does not sum to 1, or horizon < 1.
    Limits: each row sums to 1; horizon 1 gives p0; the identity keeps p0 for ever; row t is p0 times the t-th power of P_π.
    """
    P_pi, p0 = _chain(P_pi), require_distribution("p0", p0)
    if p0.shape != P_pi.shape[:1]:
        raise ShapeError(f"p0 came as {p0.shape}, for a chain of {len(P_pi)} states: it needs ({len(P_pi)},), one probability per state. {READ}")
    rows = [p0]
    for _ in range(_steps(horizon) - 1):
        rows.append(rows[-1] @ P_pi)
    return np.stack(rows)


def stationary(P_pi: np.ndarray) -> np.ndarray:
    """The distribution μ that one step leaves as it is: Σ_s μ(s) P_π(s'|s) = μ(s'),   Σ_s μ(s) = 1   [01.2]

    P_pi: (S, S'), rows sum to 1. Returns (S,). States to which the chain does not come back for sure get 0.
    States are struck out one by one, the last first: whoever would have gone there goes on from there. Nothing is subtracted, so that even an entry
    of 1e-300 has all its digits, where an eigenvector has lost them. A periodic chain has a stationary distribution too; it need not converge to it.
    Errors: ValueError if the chain splits, so that there is more than one stationary distribution; those of `state_marginals` for P_pi.
    Source: Grassmann, Taksar & Heyman 1985.
    Limits: all columns sum to 1 gives the uniform distribution; (I + P_π)/2 has the same; two states give (q, p)/(p + q), where p leaves the first.
    """
    P_pi = _chain(P_pi)
    back = _recurrent(P_pi)
    left = P_pi[np.ix_(back, back)].copy()
    for n in range(len(left) - 1, 0, -1):
        left[:n, n] /= left[n, :n].sum()                    # visits to n, per visit elsewhere
        left[:n, :n] += np.outer(left[:n, n], left[n, :n])  # the detour over n is a step of its own now
    weight = np.ones(len(left))
    for n in range(1, len(left)):
        weight[n] = weight[:n] @ left[:n, n]
    mu = np.zeros(len(P_pi))
    mu[back] = weight / weight.sum()
    return mu


def state_action_marginals(P: np.ndarray, pi: np.ndarray, p0: np.ndarray, horizon: int) -> np.ndarray:
    """w_t(s, a) = p(s_t = s, a_t = a) = μ_t(s) π(a|s),   μ_{t+1}(s') = Σ_{s,a} w_t(s, a) P(s'|s, a)   [01.4]

    P: (S, A, S'). pi: (S, A), or one policy per step (T, S, A). p0: (S,). Returns (T, S, A), T = horizon, t = 0 .. T−1.
    The mean of Σ_t r(s_t, a_t) is Σ_t Σ_{s,a} w_t r [01.5]: all that an objective needs to know about a policy.
    Errors: ShapeError and ValueError of `FiniteMDP` for P and p0, of `require_policy` for pi; ShapeError if pi has another number of steps.
    Limits: each row sums to 1; summed over actions, `state_marginals` of the chain under pi; horizon 1 gives p0(s) π(a|s).
    """
    mdp = FiniteMDP(P, np.zeros(P.shape[:2]), 1.0, p0)
    mu, rows = mdp.p0, []
    for policy in _per_step(mdp, pi, horizon):
        rows.append(mu[:, None] * policy)
        mu = np.einsum("sa,sau->u", rows[-1], mdp.P)
    return np.stack(rows)


def expected_return(P: np.ndarray, r: np.ndarray, pi: np.ndarray, p0: np.ndarray, horizon: int) -> float:
    """E[Σ_{t<T} r(s_t, a_t)] = Σ_t Σ_{s,a} w_t(s, a) r(s, a)   [01.5]   r: (S, A); the rest as in `state_action_marginals`, and its errors.

    Limits: r = 1 gives T; linear in r; the mean of `sample_returns` with γ = 1.
    """
    return float((state_action_marginals(P, pi, p0, horizon) * r).sum())


def belief_update(b: np.ndarray, a: int, o: int, P: np.ndarray, E: np.ndarray) -> np.ndarray:
    """b'(s') = E(o|s') Σ_s P(s'|s, a) b(s) / Σ_s'' E(o|s'') Σ_s P(s''|s, a) b(s)   [01.11]: move, weigh, divide by the sum

    What is known of the new state s' after action a and observation o, if b was known of the state before. b: (S,). a, o: integers.
    P: (S, A, S'). E: (S', O), E[s', o] is the chance to observe o IN the new state. Returns b' (S,).
    Errors: ValueError if o is impossible after b and a (0/0: the model is wrong, or b was), or if a or o is out of range; ShapeError for shapes.
    Source: Kaelbling, Littman & Cassandra 1998, section 3.3.
    Limits: an E with equal rows gives the prediction Σ_s P b alone; E = identity gives the new state for sure; k updates give p(s_k|o_1 .. o_k).
    """
    b, E = require_distribution("b", b), require_distribution("E", E, ("state",))
    P = require_distribution("P", P, ("state", "action"))
    if P.ndim != 3 or b.shape != P.shape[:1] or P.shape[2] != len(b) or E.ndim != 2 or len(E) != len(b):
        raise ShapeError(f"b came as {b.shape}, P as {P.shape} and E as {E.shape}. They need (S,), (S, A, S) and (S, O) with the same S. {READ}")
    for name, index, size in (("a", a, P.shape[1]), ("o", o, E.shape[1])):
        if not 0 <= index < size:
            raise ValueError(f"{name} is {index}, and needs to be one of 0 .. {size - 1}. {READ}")
    predicted = b @ P[:, a]
    weighed = E[:, o] * predicted
    if not weighed.sum() > 0:
        possible = np.flatnonzero(predicted @ E > 0).tolist()
        raise ValueError(
            f"Observation {o} has probability 0 after this belief and action {a}; possible are {possible}. Bayes' rule would divide 0 by 0. Either "
            f"the emission probabilities are too sure of themselves, or the belief was. {READ}"
        )
    return weighed / weighed.sum()


def sample_returns(mdp: FiniteMDP, pi: np.ndarray, shape: tuple[int, ...], horizon: int, rng: np.random.Generator) -> np.ndarray:
    """Σ_{t<T} γᵗ r(s_t, a_t) of independent trajectories, T = horizon, cut there or at a terminal state.   pi: (S, A). Returns `shape`.

    What is cut off is at most γᵀ max|r|/(1−γ). Same rng, same bits.
    Errors: those of `require_policy`.
    Limits: the mean tends to Σ_s p0 V^π of `dp.policy_evaluation`, with the spread of one return over √n; horizon 1 gives rewards of the first step.
    """
    pi, step = require_policy(mdp, pi), mdp.P.cumsum(-1)
    act, total = pi.cumsum(-1), np.zeros(int(np.prod(shape)))
    s = _draw(rng, np.broadcast_to(mdp.p0.cumsum(), (len(total), mdp.n_states)))
    going = np.arange(len(total))
    for t in range(_steps(horizon)):
        on = ~mdp.terminal[s]
        s, going = s[on], going[on]
        a = _draw(rng, act[s])
        total[going] += mdp.gamma**t * mdp.r[s, a]
        s = _draw(rng, step[s, a])
    return total.reshape(shape)


def _draw(rng: np.random.Generator, cumulative: np.ndarray) -> np.ndarray:
    """One index per row of cumulative probabilities (n, K)."""
    return (rng.random(len(cumulative))[:, None] * cumulative[:, -1:] >= cumulative).sum(-1)


def _recurrent(P_pi: np.ndarray) -> np.ndarray:
    """The states to which the chain comes back for sure, if they all lead to one another; refuses if there are two groups of them."""
    reach = (P_pi > 0) | np.eye(len(P_pi), dtype=bool)
    for middle in range(len(P_pi)):
        reach |= reach[:, [middle]] & reach[middle]
    back = np.flatnonzero((~reach | reach.T).all(-1))       # whatever is reached from there leads back
    if not reach[np.ix_(back, back)].all():
        other = back[~reach[back[0], back]].tolist()
        raise ValueError(
            f"The chain splits: from state {back[0]} it never reaches the states {other}, and from those never state {back[0]}. Each group has a "
            f"stationary distribution of its own, and so has every mixture: which one the chain tends to depends on the start. {READ}"
        )
    return back


def _chain(P_pi: np.ndarray) -> np.ndarray:
    P_pi = require_distribution("P_pi", P_pi, ("state",))
    if P_pi.ndim != 2 or P_pi.shape[0] != P_pi.shape[1]:
        raise ShapeError(f"P_pi came as {P_pi.shape}, and needs (S, S): one row per state, the chances of the next. Of a process and a policy, "
                         f"mdp.under(pi)[0] is that. {READ}")
    return P_pi


def _per_step(mdp: FiniteMDP, pi: np.ndarray, horizon: int) -> np.ndarray:
    """The policy as one table per step, (T, S, A)."""
    pi, horizon = require_policy(mdp, pi), _steps(horizon)
    if pi.shape[:-2] not in ((), (horizon,)):
        raise ShapeError(f"pi came as {pi.shape}: it needs to be (S, A), or one policy for each of the {horizon} steps, (T, S, A). {READ}")
    return np.broadcast_to(pi, (horizon, *pi.shape[-2:]))


def _steps(horizon: int) -> int:
    if isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or horizon < 1:
        raise ValueError(f"horizon is {horizon!r}, and needs to be an integer of at least 1: the number of steps T, which run from 0 to T-1.")
    return int(horizon)
