"""Discrete soft Q-learning (Haarnoja et al. 2017, "Reinforcement Learning with Deep Energy-Based Policies", for actions that can be counted).

Read `SOFTQ.update` first: it is the slide's pseudocode, one equation per line. Everything has a leading dimension N, one independent run per seed:
seed k of N equals the run of seed k alone. With a finite set of actions the soft value is a sum over all of them, and neither the paper's sampler
nor an actor is needed: the policy is the Boltzmann distribution of Q itself. As in DQN a slow copy of the network stands in the target.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rlcourse.envs import generators
from rlcourse.equations import max_entropy as eq
from rlcourse.equations import value_learning
from rlcourse.equations.distributions import Categorical
from rlcourse.nets import MLP, polyak
from rlcourse.types import Batch


@dataclass(frozen=True)
class SOFTQConfig:
    """Hyper-parameters. alpha is in the units of reward per nat: what it should be depends on the rewards. It is how much worse, per step, the agent
    may do for one nat of entropy, and it is not learned here."""

    hidden: tuple[int, ...] = (64, 64)        # widths of the hidden layers; () is a linear network: with one-hot observations, a table
    lr: float = 1e-3                          # Adam's step size
    gamma: float = 0.99                       # discount
    alpha: float = 0.1                        # temperature, in reward per nat
    tau: float = 0.005                        # share of the online network in each Polyak update
    batch_size: int = 128                     # transitions per seed and update
    capacity: int = 100_000                   # transitions remembered per seed
    learning_starts: int = 1_000              # first environment steps: uniform actions, no update
    updates_per_step: int = 1                 # gradient steps per environment step after that
    dtype: str = "float32"                    # "float64" for tests of exactness

    def __post_init__(self) -> None:
        counts = {"batch_size": 1, "capacity": 1, "learning_starts": 1, "updates_per_step": 0}
        rules = {
            "hidden": (isinstance(self.hidden, tuple) and all(width > 0 for width in self.hidden), "a tuple of widths such as (64, 64), or ()"),
            "lr": (self.lr > 0, "a step size, above 0"),
            "gamma": (0 <= self.gamma <= 1, "a discount in [0, 1]"),
            "alpha": (0 < self.alpha < float("inf"), "a temperature, above 0: it divides Q"),
            "tau": (0 < self.tau <= 1, "the online network's share, above 0 (or the target never moves) and at most 1"),
            "dtype": (self.dtype in ("float32", "float64"), "'float32' or 'float64'"),
        } | {name: (isinstance(getattr(self, name), int) and getattr(self, name) >= least, f"a whole number, at least {least}")
             for name, least in counts.items()}
        for name in [name for name, (holds, _) in rules.items() if not holds]:
            raise ValueError(f"{type(self).__name__}: {name} = {getattr(self, name)!r} cannot work: it is {rules[name][1]}. "
                             f"Read: help({type(self).__module__}.{type(self).__name__}).")


class SOFTQ:
    """N independent runs of soft Q-learning, one per seed.

    Critic Q_θ(s, ·): one network per seed, copies (N,), with one output for each of `action_dim` actions. It has a slow copy, the target.
    act(obs (N, B, obs_dim), noise (N, B, actions) or None) -> int64 (N, B): a draw from π = exp((Q − V)/α), as the largest of Q/α + Gumbel noise, or
    without noise the action with the largest Q.
    update(batch, noise (N, 0)) -> metrics, each a tensor (N,). The update is deterministic: its noise is empty.
    """

    actions = "discrete"

    def __init__(self, cfg: SOFTQConfig, obs_dim: int, action_dim: int, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.cfg, self.seeds, self.action_dim, n = cfg, list(seeds), action_dim, len(seeds)
        self.where = where = {"dtype": getattr(torch, cfg.dtype), "device": torch.device(device)}
        self.critic = MLP((n,), (obs_dim, *cfg.hidden, action_dim), generators(seeds, "init"), **where)
        self.critic_target = deepcopy(self.critic).requires_grad_(False)
        self.optimisers = {"critic": _adam(self.critic.parameters(), cfg.lr)}
        self.noise_generators = [] if str(device) == "meta" else generators(seeds, "noise", device)

    def update(self, batch: Batch, noise: Tensor) -> dict[str, Tensor]:
        """One gradient step on the critic, and one Polyak step, in the order of the pseudocode."""
        cfg = self.cfg

        with torch.no_grad():
            q_next = self.critic_target(batch.next_obs)
            y = eq.soft_q_target(batch.rewards, batch.terminated, q_next, cfg.gamma, cfg.alpha)                 # [12.6]
        q_all = self.critic(batch.obs)
        q = q_all.gather(-1, batch.actions[..., None]).squeeze(-1)
        loss_q = value_learning.squared_td_error(q, y)
        self.descend("critic", loss_q)

        polyak(self.critic_target, self.critic, cfg.tau)
        entropy = self.policy(q_all.detach()).entropy().mean(-1)
        return {"loss_q": loss_q.detach(), "entropy": entropy, "q": q.detach().mean(-1)}

    def policy(self, q: Tensor) -> Categorical:
        """π(a|s) = exp((Q(s, a) − V(s))/α), the policy that attains the soft value [12.4], for q (N, B, actions)."""
        return Categorical(q / self.cfg.alpha)

    def descend(self, name: str, loss: Tensor) -> None:
        """One Adam step. Losses are summed over the copies: copy k's gradient is its own. Only this optimiser's parameters receive one."""
        optimiser = self.optimisers[name]
        optimiser.zero_grad(set_to_none=True)
        loss.sum().backward(inputs=optimiser.param_groups[0]["params"])
        optimiser.step()

    @torch.no_grad()
    def act(self, obs: Tensor, noise: Tensor | None = None) -> Tensor:
        policy = self.policy(self.critic(obs))
        return policy.mode() if noise is None else policy.sample(noise=noise)

    def noise_shape(self, batch_size: int) -> tuple[int, ...]:
        """The noise that one `update` takes, per seed: none."""
        return (0,)

    def draw_noise(self, *shape: int) -> Tensor:
        """Standard Gumbel g = −log E, E ~ Exp(1), (N, *shape): seed k's share comes from its own generator, so that no seed hears of the others."""
        return torch.stack([-torch.empty(shape, **self.where).exponential_(generator=g).log() for g in self.noise_generators])

    def state_dict(self) -> dict:
        """Everything that the next update depends on: networks, moments of Adam, generators."""
        return {"critic": self.critic.state_dict(), "critic_target": self.critic_target.state_dict(),
                "optimisers": {name: opt.state_dict() for name, opt in self.optimisers.items()},
                "noise": [g.get_state() for g in self.noise_generators]}

    def load_state_dict(self, state: dict) -> None:
        for name in ("critic", "critic_target"):
            getattr(self, name).load_state_dict(state[name])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        for generator, generator_state in zip(self.noise_generators, state["noise"]):
            generator.set_state(generator_state)


def _adam(parameters: Sequence[nn.Parameter], lr: float) -> torch.optim.Adam:
    """Adam in one fused kernel where the device has one (CPU and CUDA), else PyTorch's loop over parameters."""
    parameters = list(parameters)
    return torch.optim.Adam(parameters, lr=lr, fused=parameters[0].device.type in ("cpu", "cuda"))
