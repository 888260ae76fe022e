"""REINFORCE (Williams 1992, "Simple statistical gradient-following algorithms for connectionist reinforcement learning").

Read `REINFORCE.update` first: it is the slide's pseudocode, one equation per line. Everything has a leading dimension N, one independent run per
seed: seed k of N equals the run of seed k alone. It learns from whole episodes and sums their rewards without a discount; where a time limit ends
an episode, the limit is part of the task, and nothing is bootstrapped. The choices of lecture 03 are settings: what a step is weighed by (the return
of its whole episode, or reward-to-go), and what is subtracted from that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rlcourse.envs import generators
from rlcourse.equations import policy_gradient as eq
from rlcourse.equations import value_learning
from rlcourse.equations.distributions import Categorical, DiagonalGaussian
from rlcourse.nets import MLP
from rlcourse.types import Trajectory


@dataclass(frozen=True)
class REINFORCEConfig:
    """Hyper-parameters. The step size is larger than that of agents with replay: there is one gradient step per batch of episodes."""

    hidden: tuple[int, ...] = (64, 64)        # widths of the hidden layers, of policy and baseline; () is a linear network
    lr: float = 1e-2                          # Adam's step size, of policy and baseline
    episodes: int = 8                         # whole episodes per seed and update, each in an environment of its own
    weights: str = "reward_to_go"             # or "return": what multiplies the score of a step
    baseline: str = "leave_one_out"           # or "none", or "value": what is subtracted from the weights
    initial_std: float = 0.5                  # of a Gaussian policy, in units of half the action range; it is learned, the same in every state
    dtype: str = "float32"                    # "float64" for tests of exactness

    def __post_init__(self) -> None:
        rules = {
            "hidden": (isinstance(self.hidden, tuple) and all(width > 0 for width in self.hidden), "a tuple of widths such as (64, 64), or ()"),
            "lr": (self.lr > 0, "a step size, above 0"),
            "episodes": (isinstance(self.episodes, int) and self.episodes >= 1, "a whole number, at least 1"),
            "weights": (self.weights in ("return", "reward_to_go"), "'return' or 'reward_to_go'"),
            "baseline": (self.baseline in ("none", "leave_one_out", "value"), "'none', 'leave_one_out' or 'value'"),
            "initial_std": (0 < self.initial_std < float("inf"), "a standard deviation, above 0"),
            "dtype": (self.dtype in ("float32", "float64"), "'float32' or 'float64'"),
        }
        if self.baseline == "leave_one_out":
            rules["baseline"] = (self.episodes != 1, "the mean of the other episodes, and episodes = 1 has no others")
        for name in [name for name, (holds, _) in rules.items() if not holds]:
            raise ValueError(f"{type(self).__name__}: {name} = {getattr(self, name)!r} cannot work: it is {rules[name][1]}. "
                             f"Read: help({type(self).__module__}.{type(self).__name__}).")


class REINFORCE:
    """N independent runs of REINFORCE, one per seed.

    Policy: softmax of one output per action if discrete, else N(μ_θ(s), σ_θ²) with a learned σ that does not depend on s; copies (N,). Baseline
    V_φ(s), if asked for: copies (N,).
    act(obs (N, B, obs_dim), noise (N, B, A) or None) -> int64 (N, B) if discrete, noise being Gumbel, else (N, B, A), noise being standard normal;
    without noise the mode. A Gaussian's actions may leave [-1, 1]; the environment cuts them, the density is that of the action before the cut.
    update(trajectory (N, T, B) of one whole episode per column with its mask, noise (N, 0)) -> metrics, each a tensor (N,).
    """

    actions = "both"

    def __init__(self, cfg: REINFORCEConfig, obs_dim: int, action_dim: int, seeds: Sequence[int], device: torch.device | str = "cpu",
                 discrete: bool = True) -> None:
        self.cfg, self.seeds, self.action_dim, self.discrete, n = cfg, list(seeds), action_dim, discrete, len(seeds)
        self.where = where = {"dtype": getattr(torch, cfg.dtype), "device": torch.device(device)}
        init = generators(seeds, "init")
        self.actor = MLP((n,), (obs_dim, *cfg.hidden, action_dim), init, **where)
        self.log_std = nn.Parameter(torch.full((n, 0 if discrete else action_dim), cfg.initial_std, **where).log())
        self.critic = MLP((n,), (obs_dim, *cfg.hidden, 1), init, **where)
        self.optimisers = {"actor": _adam([*self.actor.parameters(), *([] if discrete else [self.log_std])], cfg.lr),
                           "critic": _adam(self.critic.parameters(), cfg.lr)}
        self.noise_generators = [] if str(device) == "meta" else generators(seeds, "noise", device)

    @property
    def rollout(self) -> tuple[int, None]:
        """What one update learns from: (environments per seed, steps of each), None being one whole episode. Agents that have this are on-policy."""
        return self.cfg.episodes, None

    def update(self, trajectory: Trajectory, noise: Tensor) -> dict[str, Tensor]:
        """One gradient step on the policy, and one on the baseline, in the order of the pseudocode."""
        mask = torch.ones_like(trajectory.rewards) if trajectory.mask is None else trajectory.mask
        to_go = eq.reward_to_go(trajectory.rewards, mask)                                                       # [03.2]
        weights = to_go if self.cfg.weights == "reward_to_go" else to_go[:, :1].expand_as(to_go)
        values = self.values(trajectory.obs) if self.cfg.baseline == "value" else None
        weights = weights - self.baseline(weights, values)                                                      # [03.3]

        policy = self.policy(trajectory.obs)
        loss_pi = eq.pg_loss(policy.log_prob(trajectory.actions), weights, mask)                                # [03.6]
        self.descend("actor", loss_pi)
        metrics = {"loss_pi": loss_pi.detach(), "entropy": _mean(policy.entropy().detach(), mask)}

        if values is not None:
            loss_v = _mean(value_learning.squared_td_error(values[..., None], to_go[..., None]), mask)
            self.descend("critic", loss_v)
            metrics["loss_v"] = loss_v.detach()
        return metrics

    def baseline(self, weights: Tensor, values: Tensor | None) -> Tensor:
        """What is subtracted from the weights (N, T, B). No action has a part in its own baseline, so the gradient stays unbiased."""
        if self.cfg.baseline == "leave_one_out":
            return eq.leave_one_out(weights)                                                                    # [03.4]
        return torch.zeros_like(weights) if values is None else values.detach()

    def policy(self, obs: Tensor) -> Categorical | DiagonalGaussian:
        """π_θ(·|s) for obs (N, ..., obs_dim)."""
        out = self.actor(obs.flatten(1, -2)).view(*obs.shape[:-1], self.action_dim)
        if self.discrete:
            return Categorical(out)
        std = self.log_std.exp().view(len(self.seeds), *[1] * (out.ndim - 2), self.action_dim)
        return DiagonalGaussian(out, std.expand_as(out))

    def values(self, obs: Tensor) -> Tensor:
        """V_φ(s) for obs (N, T, B, obs_dim): (N, T, B)."""
        return self.critic(obs.flatten(1, -2)).view(obs.shape[:-1])

    def descend(self, name: str, loss: Tensor) -> None:
        """One Adam step. Losses are summed over the copies: copy k's gradient is its own. Only this optimiser's parameters receive one."""
        optimiser = self.optimisers[name]
        optimiser.zero_grad(set_to_none=True)
        loss.sum().backward(inputs=optimiser.param_groups[0]["params"])
        optimiser.step()

    @torch.no_grad()
    def act(self, obs: Tensor, noise: Tensor | None = None) -> Tensor:
        policy = self.policy(obs)
        if noise is None:
            return policy.mode()
        return policy.sample(noise=noise) if self.discrete else policy.rsample(noise=noise)

    def noise_shape(self, batch_size: int) -> tuple[int, ...]:
        """The noise that one `update` takes, per seed: none."""
        return (0,)

    def draw_noise(self, *shape: int) -> Tensor:
        """Standard normal, or if discrete Gumbel, (N, *shape): seed k's share comes from its own generator, so that no seed hears of the others."""
        if self.discrete:
            return torch.stack([-torch.empty(shape, **self.where).exponential_(generator=g).log() for g in self.noise_generators])
        return torch.stack([torch.randn(shape, generator=g, **self.where) for g in self.noise_generators])

    def state_dict(self) -> dict:
        """Everything that the next update depends on: networks, σ, moments of Adam, generators."""
        return {"actor": self.actor.state_dict(), "log_std": self.log_std.detach().clone(), "critic": self.critic.state_dict(),
                "optimisers": {name: opt.state_dict() for name, opt in self.optimisers.items()},
                "noise": [g.get_state() for g in self.noise_generators]}

    def load_state_dict(self, state: dict) -> None:
        for name in ("actor", "critic"):
            getattr(self, name).load_state_dict(state[name])
        self.log_std.data.copy_(state["log_std"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        for generator, generator_state in zip(self.noise_generators, state["noise"]):
            generator.set_state(generator_state)


def _mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the steps that were taken: (N, T, B) -> (N,). A seed counts its own steps, however long the table is for the sake of others."""
    return (x * mask).sum((1, 2)) / mask.sum((1, 2))


def _adam(parameters: Sequence[nn.Parameter], lr: float) -> torch.optim.Adam:
    """Adam in one fused kernel where the device has one (CPU and CUDA), else PyTorch's loop over parameters."""
    parameters = list(parameters)
    return torch.optim.Adam(parameters, lr=lr, fused=parameters[0].device.type in ("cpu", "cuda"))
