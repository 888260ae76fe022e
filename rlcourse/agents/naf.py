"""Q-learning with a normalised advantage function, NAF (Gu et al. 2016, "Continuous Deep Q-Learning with Model-based Acceleration", section 4).

Read `NAF.update` first. Everything has a leading dimension N, one independent run per seed: seed k of N equals the run of seed k alone. Inside the
agent an action is in [-1, 1], and `envs.make` maps it to the environment's [low, high].

It is DDPG without an actor: the critic is a downward parabola in the action, whose top is an output of the network. The maximum over actions that
Q-learning needs is then another output of it, V(s'). The top passes through tanh, so that the best action in the box is the best action.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rlcourse.envs import generators
from rlcourse.equations import continuous_actions, value_learning
from rlcourse.nets import MLP, polyak
from rlcourse.types import Batch


@dataclass(frozen=True)
class NAFConfig:
    """Hyper-parameters. Defaults as in DDPG, so that the two differ in how they maximise and in nothing else."""

    hidden: tuple[int, ...] = (256, 256)      # widths of the hidden layers
    lr: float = 3e-4                          # Adam's step size, the same for all that learns
    gamma: float = 0.99                       # discount
    tau: float = 0.005                        # share of the online network in each Polyak update
    batch_size: int = 256                     # transitions per seed and update
    capacity: int = 1_000_000                 # transitions remembered per seed
    learning_starts: int = 1_000              # first environment steps: uniform actions, no update
    updates_per_step: int = 1                 # gradient steps per environment step after that
    exploration_noise: float = 0.1            # standard deviation of what `act` adds, in units of half the action range
    dtype: str = "float32"                    # "float64" for tests of exactness

    def __post_init__(self) -> None:
        counts = {"batch_size": 1, "capacity": 1, "learning_starts": 1, "updates_per_step": 0}
        rules = {
            "hidden": (isinstance(self.hidden, tuple) and len(self.hidden) > 0 and min(self.hidden) > 0, "a tuple of widths such as (64, 64)"),
            "lr": (self.lr > 0, "a step size, above 0"),
            "gamma": (0 <= self.gamma <= 1, "a discount in [0, 1]"),
            "tau": (0 < self.tau <= 1, "the online network's share, above 0 (or the target never moves) and at most 1"),
            "exploration_noise": (self.exploration_noise >= 0, "a standard deviation, at least 0"),
            "dtype": (self.dtype in ("float32", "float64"), "'float32' or 'float64'"),
        } | {name: (isinstance(getattr(self, name), int) and getattr(self, name) >= least, f"a whole number, at least {least}")
             for name, least in counts.items()}
        for name in [name for name, (holds, _) in rules.items() if not holds]:
            raise ValueError(f"{type(self).__name__}: {name} = {getattr(self, name)!r} cannot work: it is {rules[name][1]}. "
                             f"Read: help({type(self).__module__}.{type(self).__name__}).")


class NAF:
    """N independent runs of Q-learning with a normalised advantage function, one per seed.

    One network per seed, copies (N,), with three outputs: V(s), μ(s) = tanh(...), and the lower triangle of L(s) with exp(...) on its diagonal.
    act(obs (N, B, obs_dim), noise (N, B, A) or None) -> actions (N, B, A) in [-1, 1]; without noise μ(s), the best one.
    update(batch, noise (N, 0, B, A)) -> metrics, each a tensor (N,). The update is deterministic: its noise is empty.
    """

    def __init__(self, cfg: NAFConfig, obs_dim: int, action_dim: int, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.cfg, self.seeds, self.action_dim, n = cfg, list(seeds), action_dim, len(seeds)
        self.where = where = {"dtype": getattr(torch, cfg.dtype), "device": torch.device(device)}
        self.below = torch.tril_indices(action_dim, action_dim, -1, device=where["device"])     # rows and columns below the diagonal of L
        outputs = 1 + 2 * action_dim + self.below.shape[1]
        self.critic = MLP((n,), (obs_dim, *cfg.hidden, outputs), generators(seeds, "init"), **where)
        self.critic_target = deepcopy(self.critic).requires_grad_(False)
        self.optimisers = {"critic": _adam(self.critic.parameters(), cfg.lr)}
        self.noise_generators = [] if str(device) == "meta" else generators(seeds, "noise", device)

    def update(self, batch: Batch, noise: Tensor) -> dict[str, Tensor]:
        """One gradient step on the critic, and one Polyak step of its target."""
        cfg = self.cfg

        with torch.no_grad():
            v_next, _, _ = self.parts(self.critic_target, batch.next_obs)                       # the largest Q' of s', without a search
            y = value_learning.td_target(batch.rewards, batch.terminated, v_next, cfg.gamma)
        value, mu, cholesky = self.parts(self.critic, batch.obs)
        q = continuous_actions.naf_q(batch.actions, mu, cholesky, value)                                        # [09.6]
        loss_q = value_learning.squared_td_error(q, y)
        self.descend("critic", loss_q)

        polyak(self.critic_target, self.critic, cfg.tau)
        return {"loss_q": loss_q.detach(), "q": q.detach().mean(-1)}

    def parts(self, critic: MLP, obs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """V (N, B), μ (N, B, A) and L (N, B, A, A) of every seed."""
        a = self.action_dim
        value, mu, log_diagonal, lower = critic(obs).split((1, a, a, self.below.shape[1]), dim=-1)
        cholesky = torch.diag_embed(log_diagonal.exp())
        cholesky[..., self.below[0], self.below[1]] = lower
        return value.squeeze(-1), mu.tanh(), cholesky

    def descend(self, name: str, loss: Tensor) -> None:
        """One Adam step. Losses are summed over the copies: copy k's gradient is its own. Only this optimiser's parameters receive one."""
        optimiser = self.optimisers[name]
        optimiser.zero_grad(set_to_none=True)
        loss.sum().backward(inputs=optimiser.param_groups[0]["params"])
        optimiser.step()

    @torch.no_grad()
    def act(self, obs: Tensor, noise: Tensor | None = None) -> Tensor:
        _, actions, _ = self.parts(self.critic, obs)
        return actions if noise is None else (actions + self.cfg.exploration_noise * noise).clamp(-1, 1)

    def noise_shape(self, batch_size: int) -> tuple[int, ...]:
        """The noise that one `update` takes, per seed: none."""
        return 0, batch_size, self.action_dim

    def draw_noise(self, *shape: int) -> Tensor:
        """Standard normal (N, *shape): seed k's share comes from its own generator, so that no seed hears of the others."""
        return torch.stack([torch.randn(shape, generator=g, **self.where) for g in self.noise_generators])

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
