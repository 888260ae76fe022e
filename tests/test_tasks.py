"""Tasks whose best answer is known: one step to be followed, a constant reward that ends in two ways, a linear system with a quadratic cost."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from agents import AGENTS, Follow
from scipy.linalg import solve_discrete_are

from rlcourse.train import train


class Clock(gym.Env):
    """One state and a reward of 1 per step. Each episode has one step; it ends because the task is over, or because the clock ran out."""

    observation_space, action_space = gym.spaces.Box(-1, 1, (1,)), gym.spaces.Box(-1, 1, (1,))

    def __init__(self, ending: str) -> None:
        self.ending = ending

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.ones(1, np.float32), {}

    def step(self, action):
        return np.ones(1, np.float32), 1.0, self.ending == "terminated", self.ending == "truncated", {}


class LinearQuadratic(gym.Env):
    """s' = A s + B a + 0.02 ε, cost sᵀ Q s + aᵀ R a; a time limit cuts the episode and ends nothing."""

    def __init__(self, A, B, Q, R, half: float, horizon: int) -> None:
        self.A, self.B, self.Q, self.R, self.horizon = np.array(A), np.array(B), np.array(Q), np.array(R), horizon
        states, actions = self.B.shape
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (states,))
        self.action_space = gym.spaces.Box(np.float32(-half), np.float32(half), (actions,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.s = 0, self.np_random.uniform(-1, 1, len(self.A))
        return self.s.astype(np.float32), {}

    def step(self, action):
        cost = self.s @ self.Q @ self.s + action @ self.R @ action
        self.t, self.s = self.t + 1, self.A @ self.s + self.B @ action + 0.02 * self.np_random.standard_normal(len(self.A))
        return self.s.astype(np.float32), -float(cost), False, self.t >= self.horizon, {}


GAMMA = 0.9
SYSTEMS = {"one": {"A": [[0.9]], "B": [[0.5]], "Q": [[1.0]], "R": [[0.3]], "half": 1.5, "horizon": 5},
           "two": {"A": [[0.9, 0.4], [0.0, 0.8]], "B": [[0.1], [0.6]], "Q": [[1.0, 0.0], [0.0, 0.3]], "R": [[0.3]], "half": 2.0, "horizon": 6}}
BOUNDS = {"Follow-usual-v0": (-1.0, 1.0), "Follow-above-v0": (0.0, 5.0), "Follow-below-v0": (-3.0, 0.5)}
for env_id, (low, high) in BOUNDS.items():
    gym.register(env_id, entry_point=Follow, kwargs={"low": low, "high": high})
for ending in ("terminated", "truncated"):
    gym.register(f"Clock-{ending}-v0", entry_point=Clock, kwargs={"ending": ending})
for size, system in SYSTEMS.items():
    gym.register(f"LinearQuadratic-{size}-v0", entry_point=LinearQuadratic, kwargs=system)

SETTINGS = {"ddpg": {"exploration_noise": 0.5}, "td3": {"exploration_noise": 0.5, "target_noise": 0.05},
            "sac_v1": {"alpha": 0.03, "reward_scale": 1.0}, "sac": {}}
FOLLOW = [("ddpg", "Follow-usual-v0"), ("ddpg", "Follow-below-v0"), *((name, "Follow-above-v0") for name in AGENTS)]


@pytest.mark.parametrize(("name", "env_id"), FOLLOW)
def test_every_agent_learns_to_follow_within_any_bounds(name, env_id):
    """A constant answer at the centre earns -0.21 on average; the noise-free policy must come within 0.15 of s in every seed after 400 updates."""
    history = train(name, env_id, seeds=3, steps=450, progress=False, eval_episodes=50,
                    config={"hidden": (32, 32), "lr": 3e-3, "batch_size": 64, "learning_starts": 50} | SETTINGS[name])
    assert history.table("eval_return")[1][:, -1].min() > -(0.15**2)


@pytest.mark.parametrize("name", AGENTS)
def test_a_time_limit_bootstraps_and_a_termination_does_not(name):
    """A reward of 1 per step with γ = ½: 1 in all if the task is over after it, 1/(1 − γ) = 2 if only the clock ran out."""
    cold = {"sac": {"initial_alpha": 1e-6}, "sac_v1": {"alpha": 0.0, "reward_scale": 1.0}}.get(name, {})
    worth = {}
    for ending in ("terminated", "truncated"):
        history = train(name, f"Clock-{ending}-v0", seeds=2, steps=400, progress=False, log_every=400, eval_episodes=1,
                        config={"hidden": (16,), "lr": 3e-3, "tau": 0.1, "gamma": 0.5, "batch_size": 32, "learning_starts": 20} | cold)
        worth[ending] = history.table("q")[1][:, -1]
    np.testing.assert_allclose(worth["terminated"], 1, atol=0.05)
    np.testing.assert_allclose(worth["truncated"], 2, atol=0.1)


def optimal_gain(A, B, Q, R, **_) -> np.ndarray:
    """K of a = −K s for the discounted cost: γ enters the Riccati equation as the factor √γ of A and of B."""
    A, B, Q, R = (np.array(matrix) for matrix in (A, B, Q, R))
    P = solve_discrete_are(GAMMA**0.5 * A, GAMMA**0.5 * B, Q, R)
    return GAMMA * np.linalg.solve(R + GAMMA * B.T @ P @ B, B.T @ P @ A)


def learnt_gains(agent, half: float, states: int) -> list[np.ndarray]:
    """The line through the noise-free actions in the square of the first states, one gain per seed, in the environment's units."""
    s = np.random.default_rng(0).uniform(-1, 1, (400, states))
    actions = agent.act(torch.as_tensor(s).to(**agent.where).expand(len(agent.seeds), -1, -1)).double().numpy()
    return [-np.linalg.lstsq(s, half * one, rcond=None)[0].T for one in actions]


def gain_errors(name: str, size: str, steps: int, **settings) -> np.ndarray:
    """|K − K*| / |K*| of three seeds."""
    history = train(name, f"LinearQuadratic-{size}-v0", seeds=3, steps=steps, progress=False, eval_episodes=1, config={
        "hidden": (64, 64), "lr": 1e-3, "gamma": GAMMA, "tau": 0.02, "batch_size": 128, "learning_starts": 300} | SETTINGS[name] | settings)
    best = optimal_gain(**SYSTEMS[size])
    learnt = learnt_gains(history.agent, SYSTEMS[size]["half"], best.shape[1])
    return np.array([np.linalg.norm(gain - best) / np.linalg.norm(best) for gain in learnt])


def test_the_optimal_gain_is_optimal():
    """The simulated discounted cost from s = 1 rises to both sides of K*, and the undiscounted gain is another one."""
    A, B, Q, R = (SYSTEMS["one"][word][0][0] for word in "ABQR")

    def cost(k: float) -> float:
        return (Q + R * k**2) / (1 - GAMMA * (A - B * k) ** 2)

    best = optimal_gain(**SYSTEMS["one"])[0, 0]
    assert cost(best) < min(cost(best - 0.01), cost(best + 0.01)) and cost(0.9 * best) > cost(best) + 1e-3
    P = solve_discrete_are(*(np.array([[x]]) for x in (A, B, Q, R)))[0, 0]
    assert abs(B * P * A / (R + B * P * B) - best) > 0.05 * best


def test_ddpg_reaches_the_optimal_gain():
    assert gain_errors("ddpg", "one", 2500).max() < 0.1


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size", "steps", "lr"), [("td3", "one", 2500, 1e-3), ("sac", "one", 2500, 1e-3), ("sac_v1", "one", 2500, 1e-3),
                                                           ("td3", "two", 7000, 5e-4), ("sac", "two", 4000, 1e-3)])
def test_every_agent_reaches_the_optimal_gain(name, size, steps, lr):
    """Within 10 % in every one of three seeds, for one state and for two."""
    assert gain_errors(name, size, steps, lr=lr).max() < 0.1
