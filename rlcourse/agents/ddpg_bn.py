"""Deep deterministic policy gradient with normalised observations (Lillicrap et al. 2016, section 3, who use batch normalisation for it).

Read agents/ddpg.py first: this is the same agent, except that every observation has its running mean subtracted and is divided by its running
standard deviation before a network sees it. Both are learnt from the replayed batches, each coordinate by itself, and no gradient flows into them.

This is batch normalisation of the input in the form that it takes after training, used throughout: `update` and `act` then see the same numbers. Its
scale and shift are left out, since the first layer has both; so is normalisation of hidden layers.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from rlcourse.envs import generators
from rlcourse.equations import value_learning
from rlcourse.nets import MLP, polyak
from rlcourse.types import Batch


@dataclass(frozen=True)
class DDPGBNConfig:
    """Hyper-parameters. Defaults as in DDPG, so that the two differ in the normalisation and in nothing else."""

    hidden: tuple[int, ...] = (256, 256)      # widths of the hidden layers, of actor and critics
    lr: float = 3e-4                          # Adam's step size, the same for all that learns
    gamma: float = 0.99                       # discount
    tau: float = 0.005                        # share of the online networks in each Polyak update
    batch_size: int = 256                     # transitions per seed and update
    capacity: int = 1_000_000                 # transitions remembered per seed
    learning_starts: int = 1_000              # first environment steps: uniform actions, no update
    updates_per_step: int = 1                 # gradient steps per environment step after that
    exploration_noise: float = 0.1            # standard deviation of what `act` adds, in units of half the action range
    normalise: float = 0.01                   # share of a batch's mean and variance in the running ones; 0 leaves observations as they are
    dtype: str = "float32"                    # "float64" for tests of exactness

    def __post_init__(self) -> None:
        counts = {"batch_size": 1, "capacity": 1, "learning_starts": 1, "updates_per_step": 0}
        rules = {
            "hidden": (isinstance(self.hidden, tuple) and len(self.hidden) > 0 and min(self.hidden) > 0, "a tuple of widths such as (64, 64)"),
            "lr": (self.lr > 0, "a step size, above 0"),
            "gamma": (0 <= self.gamma <= 1, "a discount in [0, 1]"),
            "tau": (0 < self.tau <= 1, "the online networks' share, above 0 (or the targets never move) and at most 1"),
            "exploration_noise": (self.exploration_noise >= 0, "a standard deviation, at least 0"),
            "normalise": (0 <= self.normalise <= 1, "a batch's share in the running mean and variance, in [0, 1]"),
            "dtype": (self.dtype in ("float32", "float64"), "'float32' or 'float64'"),
        } | {name: (isinstance(getattr(self, name), int) and getattr(self, name) >= least, f"a whole number, at least {least}")
             for name, least in counts.items()}
        for name in [name for name, (holds, _) in rules.items() if not holds]:
            raise ValueError(f"{type(self).__name__}: {name} = {getattr(self, name)!r} cannot work: it is {rules[name][1]}. "
                             f"Read: help({type(self).__module__}.{type(self).__name__}).")


class DDPGBN:
    """N independent runs of deep deterministic policy gradient on normalised observations, one per seed.

    Actor μ_θ(s) = tanh(...): one network per seed, copies (N,). Critic: copies (N,). Both have a slow copy, the target.
    act(obs (N, B, obs_dim), noise (N, B, A) or None) -> actions (N, B, A) in [-1, 1]; without noise μ(s).
    update(batch, noise (N, 0, B, A)) -> metrics, each a tensor (N,). The update is deterministic: its noise is empty.
    """

    def __init__(self, cfg: DDPGBNConfig, obs_dim: int, action_dim: int, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.cfg, self.seeds, self.action_dim, n = cfg, list(seeds), action_dim, len(seeds)
        self.where = where = {"dtype": getattr(torch, cfg.dtype), "device": torch.device(device)}
        init = generators(seeds, "init")
        self.actor = MLP((n,), (obs_dim, *cfg.hidden, action_dim), init, **where)
        self.critic = MLP((n,), (obs_dim + action_dim, *cfg.hidden, 1), init, **where)
        self.actor_target = deepcopy(self.actor).requires_grad_(False)
        self.critic_target = deepcopy(self.critic).requires_grad_(False)
        self.mean, self.var = torch.zeros(n, 1, obs_dim, **where), torch.ones(n, 1, obs_dim, **where)     # running, of observations
        self.optimisers = {"actor": _adam(self.actor.parameters(), cfg.lr), "critic": _adam(self.critic.parameters(), cfg.lr)}
        self.noise_generators = [] if str(device) == "meta" else generators(seeds, "noise", device)

    def update(self, batch: Batch, noise: Tensor) -> dict[str, Tensor]:
        """One gradient step on critic and actor, and one Polyak step of both targets, in the order of the pseudocode."""
        cfg = self.cfg

        with torch.no_grad():
            self.mean.lerp_(batch.obs.mean(1, keepdim=True), cfg.normalise)
            self.var.lerp_((batch.obs - self.mean).square().mean(1, keepdim=True), cfg.normalise)
            batch = replace(batch, obs=self.normalised(batch.obs), next_obs=self.normalised(batch.next_obs))

            next_actions = self.actor_target(batch.next_obs).tanh()
            q_next = self.q(self.critic_target, batch.next_obs, next_actions)
            y = value_learning.td_target(batch.rewards, batch.terminated, q_next, cfg.gamma)
        q = self.q(self.critic, batch.obs, batch.actions)
        loss_q = value_learning.squared_td_error(q, y)
        self.descend("critic", loss_q)

        actions = self.actor(batch.obs).tanh()
        loss_pi = value_learning.dpg_loss(self.q(self.critic, batch.obs, actions))                              # [09.2]
        self.descend("actor", loss_pi)

        polyak(self.actor_target, self.actor, cfg.tau)
        polyak(self.critic_target, self.critic, cfg.tau)
        return {"loss_q": loss_q.detach(), "loss_pi": loss_pi.detach(), "q": q.detach().mean(-1)}

    def normalised(self, obs: Tensor) -> Tensor:
        """Observations (N, B, obs_dim) in units of their own spread, about 0."""
        return (obs - self.mean) / (self.var + 1e-8).sqrt()

    def q(self, critic: MLP, obs: Tensor, actions: Tensor) -> Tensor:
        """Q of every seed: (N, B)."""
        return critic(torch.cat([obs, actions], dim=-1)).squeeze(-1)

    def descend(self, name: str, loss: Tensor) -> None:
        """One Adam step. Losses are summed over the copies: copy k's gradient is its own. Only this optimiser's parameters receive one."""
        optimiser = self.optimisers[name]
        optimiser.zero_grad(set_to_none=True)
        loss.sum().backward(inputs=optimiser.param_groups[0]["params"])
        optimiser.step()

    @torch.no_grad()
    def act(self, obs: Tensor, noise: Tensor | None = None) -> Tensor:
        actions = self.actor(self.normalised(obs)).tanh()
        return actions if noise is None else (actions + self.cfg.exploration_noise * noise).clamp(-1, 1)

    def noise_shape(self, batch_size: int) -> tuple[int, ...]:
        """The noise that one `update` takes, per seed: none."""
        return 0, batch_size, self.action_dim

    def draw_noise(self, *shape: int) -> Tensor:
        """Standard normal (N, *shape): seed k's share comes from its own generator, so that no seed hears of the others."""
        return torch.stack([torch.randn(shape, generator=g, **self.where) for g in self.noise_generators])

    def state_dict(self) -> dict:
        """Everything that the next update depends on: networks, means and variances, moments of Adam, generators."""
        return {"actor": self.actor.state_dict(), "critic": self.critic.state_dict(),
                "actor_target": self.actor_target.state_dict(), "critic_target": self.critic_target.state_dict(),
                "mean": self.mean.clone(), "var": self.var.clone(),
                "optimisers": {name: opt.state_dict() for name, opt in self.optimisers.items()},
                "noise": [g.get_state() for g in self.noise_generators]}

    def load_state_dict(self, state: dict) -> None:
        for name in ("actor", "critic", "actor_target", "critic_target"):
            getattr(self, name).load_state_dict(state[name])
        self.mean, self.var = state["mean"].to(**self.where), state["var"].to(**self.where)
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        for generator, generator_state in zip(self.noise_generators, state["noise"]):
            generator.set_state(generator_state)


def _adam(parameters: Sequence[nn.Parameter], lr: float) -> torch.optim.Adam:
    """Adam in one fused kernel where the device has one (CPU and CUDA), else PyTorch's loop over parameters."""
    parameters = list(parameters)
    return torch.optim.Adam(parameters, lr=lr, fused=parameters[0].device.type in ("cpu", "cuda"))
