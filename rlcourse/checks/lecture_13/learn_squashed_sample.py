"""Exercise 13.11: soft actor-critic learns to hold a lever near its end, with the student's squashed policy inside."""

import math
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from rlcourse.checks.learn import Learn, Limit
from rlcourse.checks.lecture_13.squashed_sample import FUNCTION
from rlcourse.equations import distributions
from rlcourse.train import train

TARGET_ENTROPY = -0.5  # nats
STEPS = 800
CONFIG = {"hidden": (32,), "lr": 3e-3, "batch_size": 128, "learning_starts": 50, "gamma": 0.0, "initial_alpha": 0.3, "target_entropy": TARGET_ENTROPY}
ENV_ID = "rlcourse/Lever-v0"
PLACES = np.concatenate([-np.linspace(0.8, 0.95, 10), np.linspace(0.8, 0.95, 10)])


class Lever(gym.Env):
    """One step: a mark s with 0.8 <= |s| <= 0.95 is shown, the lever goes to a in [-1, 1], and the reward is -4 (a - s)^2."""

    observation_space, action_space = gym.spaces.Box(-1, 1, (1,)), gym.spaces.Box(-1, 1, (1,))

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.s = self.np_random.choice([-1.0, 1.0], 1) * self.np_random.uniform(0.8, 0.95)
        return self.s.astype(np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        return self.s.astype(np.float32), -4 * float(action[0] - self.s[0]) ** 2, True, False, {}


if ENV_ID not in gym.registry:
    gym.register(ENV_ID, entry_point=Lever)


def inside(f: Callable) -> dict[str, Any]:
    """For `using`: the agent's squashed Gaussian, with its samples from f. Copies and batch become rows, (B, A), as f expects them."""

    class Yours(distributions.TanhGaussian):
        def rsample_with_log_prob(self, generator=None, *, noise=None, sample_shape=()):
            a, log_prob = f(*(x.reshape(-1, x.shape[-1]) for x in (self.mean, self.std, noise)))
            return a.view(self.mean.shape), log_prob.view(self.mean.shape[:-1])

    return {"TanhGaussian": Yours}


def learnt(seeds: list[int], progress: bool) -> Any:
    """The agent after 800 steps, one copy per seed."""
    return train("sac", ENV_ID, seeds, STEPS, config=CONFIG, progress=progress, eval_episodes=1, evaluate_every=STEPS, log_every=STEPS).agent


def policy(agent: Any) -> dict[str, np.ndarray]:
    """mu and sigma of u at 20 marks: (copies, 20) each."""
    obs = torch.as_tensor(PLACES).to(**agent.where)[None, :, None].expand(len(agent.seeds), -1, -1)
    with torch.no_grad():
        mean, log_std = agent.actor(obs)[..., 0], agent.actor(obs)[..., 1].clamp(agent.cfg.log_std_min, agent.cfg.log_std_max)
    return {"mu": mean.double().numpy(), "sigma": log_std.double().exp().numpy()}


def measure(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Entropy of a = tanh(u) in nats, and root mean square distance to the mark: averages over marks, exact by quadrature, one per copy."""
    mu, sigma = arrays["mu"][..., None], arrays["sigma"][..., None]
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    u = mu + sigma * nodes
    log_slope = 2 * (math.log(2) - np.logaddexp(u, -u))
    entropy = (0.5 + 0.5 * math.log(2 * math.pi) + np.log(sigma) + log_slope) @ weights
    distance = np.sqrt(((np.tanh(u) - PLACES[:, None]) ** 2 @ weights).mean(axis=1))
    return {"entropy": entropy.mean(axis=1), "distance": distance}


LIMITS = (
    Limit("entropy", TARGET_ENTROPY - 0.35, TARGET_ENTROPY + 0.35, "true entropy of the actions, asked for -0.5 nats:",
          "The agent believes that it has reached its target, by your log_prob, and its actions are much less random than that.",
          "The agent believes that it has reached its target, by your log_prob, and its actions are much more random than that.", "[13.7]"),
    Limit("distance", 0.0, 0.34, "root mean square distance to the mark:", "A distance cannot be negative.",
          "The actions do not find the mark: does the gradient of the critics reach mu and sigma through your action?", "[13.3]"),
)

CARD = ("id", "function", "signature", "title", "tags", "minutes", "difficulty", "points", "lecture", "hints", "importance")
EXERCISE = Learn(
    **{name: getattr(FUNCTION, name) for name in CARD},
    first=FUNCTION,
    inside=inside,
    train=learnt,
    policy=policy,
    measure=measure,
    limits=LIMITS,
    stops=("sample_detached", "action_detached", "log_prob_detached", "log_det_detached", "jacobian_missing", "jacobian_sign", "tanh_twice",
           "density_of_eps", "two_pi_missing", "factor_two_missing"),
    calibration=(400, 0),  # entropy -0.547 +- 0.052 nats (-0.69 to -0.42), distance 0.226 +- 0.014 (0.19 to 0.28)
)
