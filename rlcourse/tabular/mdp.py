"""Finite Markov decision processes as arrays, and the small worlds that the lectures return to.

    mdp = gridworld("S.. .#X ..G", slip=0.2)
    P_pi, r_pi = mdp.under(pi)

Everything is a NumPy array in float64. Rewards are expected rewards r(s, a): a reward that depends on the next state enters through its mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rlcourse.types import ShapeError, require_unit_interval

READ = "Read: help(rlcourse.tabular.mdp)."
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # of a gridworld's actions 0 to 3: up, right, down, left, as (row, column)
SUM_TOLERANCE = 1e-6  # what float32 rounding does to a row that sums to 1


@dataclass(frozen=True, eq=False)
class FiniteMDP:
    """(P, r, γ, p0):   s_0 ~ p0,   s_{t+1} ~ P(·|s_t, a_t),   reward r(s_t, a_t), discounted by γ

    P: (S, A, S'), each row P[s, a] sums to 1. r: (S, A). gamma: in [0, 1]. p0: (S,), sums to 1. Kept as float64 copies that nobody can write into;
    the rows of P, and p0, are divided by their sums if rounding (of float32, say) has moved these by more than 1e-12.
    terminal: (S,) bool, the states in which the task is over; their value is 0. If it is not given, it is derived: a state is terminal if every
    action stays there for sure and pays nothing. Give it where that is not meant: with terminal = all False, a one-state world with reward 0
    collects its soft entropy bonus for ever, since the task goes on. dataclasses.replace(mdp, gamma=0.5) makes a variant, and keeps terminal.
    Errors: ValueError if a row does not sum to 1 (with state, action and sum), an entry is negative or not finite, gamma is outside [0, 1], or a
    state given as terminal moves or pays; TypeError for integers; ShapeError if S and A do not agree.
    """

    P: np.ndarray
    r: np.ndarray
    gamma: float
    p0: np.ndarray
    terminal: np.ndarray | None = None

    def __post_init__(self) -> None:
        P, r, p0 = (_float64(name, getattr(self, name)) for name in ("P", "r", "p0"))
        _require_shapes(P, r, p0)
        require_unit_interval(gamma=self.gamma)
        P, p0 = require_distribution("P", P, ("state", "action")), require_distribution("p0", p0)
        terminal = _ends(P, r) if self.terminal is None else _given_terminal(self.terminal, P, r)
        for name, x in {"P": P, "r": r, "p0": p0, "terminal": terminal}.items():
            x.flags.writeable = False
            object.__setattr__(self, name, x)
        object.__setattr__(self, "gamma", float(self.gamma))

    @property
    def n_states(self) -> int:
        """S, the number of states."""
        return self.r.shape[0]

    @property
    def n_actions(self) -> int:
        """A, the number of actions, the same in every state."""
        return self.r.shape[1]

    def under(self, pi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """P_π[s, s'] = Σ_a π(a|s) P(s'|s, a) and r_π[s] = Σ_a π(a|s) r(s, a): the Markov chain that a policy makes of the process.

        pi: (..., S, A), for example one policy per step (T, S, A). Returns (..., S, S) and (..., S).
        Errors: those of `require_policy`.
        """
        pi = require_policy(self, pi)
        return np.einsum("...sa,sau->...su", pi, self.P), (pi * self.r).sum(-1)


def require_policy(mdp: FiniteMDP, pi: np.ndarray, name: str = "pi") -> np.ndarray:
    """The policy in float64, once it is seen to be one: (..., S, A), no entry negative, every row sums to 1.

    Errors: ShapeError for another shape; TypeError for integers; ValueError if a row does not sum to 1, with state and sum.
    """
    pi = _float64(name, pi)
    if pi.ndim < 2 or pi.shape[-2:] != mdp.r.shape:
        raise ShapeError(
            f"{name} came as {pi.shape}, and needs (..., S, A) = (..., {mdp.n_states}, {mdp.n_actions}): the probability of each action in each "
            f"state. A deterministic policy that is kept as actions (S,) becomes np.eye({mdp.n_actions})[actions]. {READ}"
        )
    return require_distribution(name, pi, ("",) * (pi.ndim - 2) + ("state",))


def require_distribution(name: str, p: np.ndarray, axes: tuple[str, ...] = ()) -> np.ndarray:
    """p (..., K) in float64 with rows that sum to 1; rounded rows are divided by their sum. axes: what the leading axes are called in errors."""
    p = _float64(name, p)
    total = p.sum(-1)
    if (p < 0).any():
        worst = np.unravel_index(np.argmin(p), p.shape)
        raise ValueError(f"{name} has the entry {p[worst]:.6g}{_where(worst, axes)}. A probability is not negative. Are these logits? {READ}")
    if (abs(total - 1) > SUM_TOLERANCE).any():
        first = np.unravel_index(np.argmax(abs(total - 1) > SUM_TOLERANCE), total.shape)
        raise ValueError(
            f"{name} sums to {total[first]:.8g}{_where(first, axes)}, and needs to sum to 1: one of the outcomes happens, for sure. What is missing "
            f"or too much there? If the rows are counts or weights, divide: {name} / {name}.sum(-1, keepdims=True). If its sums over another axis "
            f"are 1, the axes are swapped: the outcome is the last one. {READ}"
        )
    return p / total[..., None] if (abs(total - 1) > 1e-12).any() else p


def chain(length: int = 5, gamma: float = 0.9, slip: float = 0.2, small: float = 2.0, large: float = 10.0) -> FiniteMDP:
    """Patience against comfort: action 0 goes back to state 0 and pays `small`, action 1 goes on and pays nothing, until the last state.

    There action 1 stays and pays `large`. With probability slip the other action happens instead. Starts in state 0; nothing is terminal. Good
    policies look several states ahead.
    Source: Dearden et al. 1998 and Strens 2000 (A Bayesian framework for reinforcement learning), with their figures as defaults.
    """
    if length < 2:
        raise ValueError(f"length is {length}, and needs to be at least 2: a chain of one state has nowhere to go.")
    require_unit_interval(slip=slip)
    states = np.arange(length)
    back, on = np.eye(length)[np.zeros(length, dtype=int)], np.eye(length)[np.minimum(states + 1, length - 1)]
    r_back, r_on = np.full(length, float(small)), np.where(states == length - 1, float(large), 0.0)
    P = np.stack([(1 - slip) * back + slip * on, (1 - slip) * on + slip * back], axis=1)
    r = np.stack([(1 - slip) * r_back + slip * r_on, (1 - slip) * r_on + slip * r_back], axis=1)
    return FiniteMDP(P, r, gamma, np.eye(length)[0])


def lottery(probability: float = 0.01, prize: float = 10.0, safe: float = 1.0, gamma: float = 1.0) -> FiniteMDP:
    """A safe reward, or a ticket: where planning as inference is optimistic, because it also chooses its luck.

    States: 0 the choice, 1 the winning ticket, 2 the losing one, 3 the end (terminal). Action 0 in state 0 pays `safe` and ends; action 1 leads to
    state 1 with `probability`, else to state 2. The prize is paid in state 1, on the way to the end, so that luck is in the transition.
    Limits: the ticket is worth γ probability · prize; probability 0 or 1 leaves no luck.
    """
    require_unit_interval(probability=probability)
    P, r = np.zeros((4, 2, 4)), np.zeros((4, 2))
    P[:, :, 3] = 1
    P[0, 1] = [0, probability, 1 - probability, 0]
    r[0, 0], r[1] = safe, prize
    return FiniteMDP(P, r, gamma, np.eye(4)[0], terminal=np.arange(4) == 3)


def gridworld(
    layout: str, gamma: float = 0.9, slip: float = 0.0, step_reward: float = -0.04, rewards: Mapping[str, float] | None = None
) -> FiniteMDP:
    """A map of letters, its rows separated by spaces or line ends: '#' wall, '.' floor, 'S' start, and letters that end the task when entered.

    rewards: these letters and what entering them pays, {"G": 1.0, "X": -1.0} if not given.
    The states are the cells that are not walls, in reading order: `grid_cells(layout)[s]` is (row, column). Actions 0 to 3 are up, right, down, left
    (MOVES). With probability slip the move goes to one side, slip/2 left and slip/2 right of the intended direction. A wall or the edge leaves the
    agent where it is. Every step pays step_reward, and the reward of the letter that it enters on top.
    The start is uniform over 'S', or over all floor if there is none.
    Errors: ValueError for ragged rows, a letter without a meaning, or no floor at all.
    Source: the 4 x 3 world of Russell & Norvig, "...G .#.X S..." with slip = 0.2, is the classic one.
    """
    rewards = {"G": 1.0, "X": -1.0} if rewards is None else dict(rewards)
    require_unit_interval(slip=slip)
    letters = {cell: layout.split()[cell[0]][cell[1]] for cell in grid_cells(layout)}
    unknown = sorted(set(letters.values()) - {".", "S", *rewards})
    if unknown or not set(letters.values()) & {".", "S"}:
        raise ValueError(f"The layout has {unknown or 'no floor'}. It is made of '#', '.', 'S' and the letters in rewards, {sorted(rewards)}. {READ}")
    state = {cell: index for index, cell in enumerate(letters)}
    terminal = np.array([letter in rewards for letter in letters.values()])
    bonus = np.array([rewards.get(letter, 0.0) for letter in letters.values()])
    step = np.zeros((len(state), 4, len(state)))
    for (row, column), s in state.items():
        for move, (down, right) in enumerate(MOVES):
            step[s, move, s if terminal[s] else state.get((row + down, column + right), s)] = 1
    P = (1 - slip) * step + slip / 2 * (np.roll(step, 1, axis=1) + np.roll(step, -1, axis=1))
    r = np.where(terminal[:, None], 0.0, step_reward + P @ bonus)
    start = np.array([letter == "S" for letter in letters.values()])
    start = start if start.any() else ~terminal
    return FiniteMDP(P, r, gamma, start / start.sum(), terminal=terminal)


def grid_cells(layout: str) -> list[tuple[int, int]]:
    """(row, column) of each state of `gridworld(layout)`, in the order of the states: every letter but '#', in reading order."""
    rows = layout.split()
    if len({len(row) for row in rows}) > 1:
        raise ValueError(f"The rows of the layout have lengths {[len(row) for row in rows]}. Fill the short ones with '#', which is a wall.")
    return [(i, j) for i, row in enumerate(rows) for j, letter in enumerate(row) if letter != "#"]


def random_mdp(
    rng: np.random.Generator, n_states: int = 4, n_actions: int = 3, gamma: float = 0.9, branching: int | None = None, n_terminal: int = 0
) -> FiniteMDP:
    """Rewards from N(0, 1); for every (s, a) `branching` possible next states with probabilities uniform on the simplex; p0 likewise.

    branching: all states if not given; 1 gives deterministic dynamics. The last n_terminal states are terminal, and p0 does not start there.
    A world without structure is a fair witness: an identity that holds in a hundred of them is no accident of symmetry.
    """
    branching = n_states if branching is None else branching
    if not (1 <= branching <= n_states and 0 <= n_terminal < n_states):
        raise ValueError(f"branching is {branching} and n_terminal {n_terminal}, for {n_states} states: 1 <= branching <= S, 0 <= n_terminal < S.")
    P, r = np.zeros((n_states, n_actions, n_states)), rng.standard_normal((n_states, n_actions))
    for s in range(n_states):
        for a in range(n_actions):
            P[s, a, rng.choice(n_states, branching, replace=False)] = rng.dirichlet(np.ones(branching))
    terminal = np.arange(n_states) >= n_states - n_terminal
    P[terminal], r[terminal] = np.eye(n_states)[terminal][:, None], 0.0
    p0 = np.concatenate([rng.dirichlet(np.ones(n_states - n_terminal)), np.zeros(n_terminal)])
    return FiniteMDP(P, r, gamma, p0, terminal=terminal)


def _ends(P: np.ndarray, r: np.ndarray) -> np.ndarray:
    """The states in which nothing can happen any more: every action stays for sure and pays nothing."""
    stays = np.einsum("sas->sa", P)
    return ((stays == 1) & (r == 0)).all(-1)


def _given_terminal(terminal: np.ndarray, P: np.ndarray, r: np.ndarray) -> np.ndarray:
    terminal = np.array(terminal)
    if terminal.shape != r.shape[:1] or terminal.dtype != bool:
        raise ShapeError(f"terminal came as {terminal.shape} of dtype {terminal.dtype}, and needs ({len(r)},) of dtype bool: one answer per state.")
    wrong = np.flatnonzero(terminal & ~_ends(P, r))
    if len(wrong):
        raise ValueError(
            f"State {wrong[0]} is given as terminal, and moves on or pays. In a terminal state the task is over: P[{wrong[0]}, :, "
            f"{wrong[0]}] = 1 and r[{wrong[0]}] = 0. A reward for getting there belongs to the step that enters it. {READ}"
        )
    return terminal


def _float64(name: str, x: np.ndarray) -> np.ndarray:
    """A float64 copy, once x is seen to be a finite floating NumPy array."""
    if not isinstance(x, np.ndarray):
        raise TypeError(f"{name} is a {type(x).__name__}, and needs to be a NumPy array of floating dtype. Convert: np.array({name}, dtype=float).")
    if not np.issubdtype(x.dtype, np.floating):
        raise TypeError(
            f"{name} has dtype {x.dtype}, and needs a floating one: in an integer array a probability of 0.9 is stored as 0. If {name} holds "
            f"what you mean, convert: {name}.astype(np.float64)."
        )
    if not np.isfinite(x).all():
        worst = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise ValueError(f"{name} is {x[worst]} at {worst}: every entry has to be finite.")
    return x.astype(np.float64)


def _require_shapes(P: np.ndarray, r: np.ndarray, p0: np.ndarray) -> None:
    if r.ndim != 2 or 0 in r.shape or P.shape != (*r.shape, len(r)) or p0.shape != (len(r),):
        raise ShapeError(
            f"P came as {P.shape}, r as {r.shape} and p0 as {p0.shape}. They need (S, A, S), (S, A) and (S,) with the same S and A, both at least 1: "
            f"P[s, a, s'] is the probability of s' after action a in s. {READ}"
        )


def _where(index: tuple[int, ...], axes: tuple[str, ...]) -> str:
    named = [f"{axis} {i}" for axis, i in zip(axes, index) if axis]
    return " in " + ", ".join(named) if named else ""
