"""Soft actor-critic, first version (Haarnoja et al. 2018a, "Soft Actor-Critic: Off-Policy Maximum Entropy Deep RL with a Stochastic Actor").

Read `SACV1.update` first: it is the slide's pseudocode, one equation per line. Everything has a leading dimension N, one independent run per seed:
seed k of N equals the run of seed k alone. Inside the agent an action is a = tanh(u) in (-1, 1), and `envs.make` maps it to the environment's
[low, high]: by [13.8] that adds one constant to every log-density.

It differs from `sac.py`, the version that replaced it, in two ways: a network V_ψ(s) of its own stands between critics and target, and the
temperature is a number that you choose.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rlcourse.envs import generators
from rlcourse.equations import distributions, value_learning
from rlcourse.equations import max_entropy as eq
from rlcourse.nets import MLP, polyak
from rlcourse.types import Batch


@dataclass(frozen=True)
class SACV1Config:
    """Hyper-parameters. Defaults as in the paper, which fixes alpha = 1 and chooses a scale for the rewards instead: 20 on Humanoid, 5 elsewhere.
    What counts for the best policy is the ratio: in units of the environment's rewards the temperature is alpha / reward_scale."""

    hidden: tuple[int, ...] = (256, 256)      # widths of the hidden layers, of actor and critics
    lr: float = 3e-4                          # Adam's step size, the same for all that learns
    gamma: float = 0.99                       # discount
    tau: float = 0.005                        # share of the online networks in each Polyak update
    batch_size: int = 256                     # transitions per seed and update
    capacity: int = 1_000_000                 # transitions remembered per seed
    learning_starts: int = 1_000              # first environment steps: uniform actions, no update
    updates_per_step: int = 1                 # gradient steps per environment step after that
    alpha: float = 1.0                        # temperature, fixed
    reward_scale: float = 5.0                 # rewards are multiplied by it before anything else
    log_std_min: float = -20.0                # log sigma is clamped to [log_std_min, log_std_max]; outside, its gradient is 0
    log_std_max: float = 2.0
    dtype: str = "float32"                    # "float64" for tests of exactness

    def __post_init__(self) -> None:
        counts = {"batch_size": 1, "capacity": 1, "learning_starts": 1, "updates_per_step": 0}
        rules = {
            "hidden": (isinstance(self.hidden, tuple) and len(self.hidden) > 0 and min(self.hidden) > 0, "a tuple of widths such as (64, 64)"),
            "lr": (self.lr > 0, "a step size, above 0"),
            "gamma": (0 <= self.gamma <= 1, "a discount in [0, 1]"),
            "tau": (0 < self.tau <= 1, "the online networks' share, above 0 (or the targets never move) and at most 1"),
            "alpha": (self.alpha >= 0, "a temperature, at least 0"),
            "reward_scale": (self.reward_scale > 0, "a scale, above 0: at 0 no reward is left, and below it the agent seeks what it should avoid"),
            "log_std_min": (self.log_std_min < self.log_std_max, "below log_std_max, or log sigma has nowhere to be"),
            "dtype": (self.dtype in ("float32", "float64"), "'float32' or 'float64'"),
        } | {name: (isinstance(getattr(self, name), int) and getattr(self, name) >= least, f"a whole number, at least {least}")
             for name, least in counts.items()}
        for name in [name for name, (holds, _) in rules.items() if not holds]:
            raise ValueError(f"{type(self).__name__}: {name} = {getattr(self, name)!r} cannot work: it is {rules[name][1]}. "
                             f"Read: help({type(self).__module__}.{type(self).__name__}).")


class SACV1:
    """N independent runs of soft actor-critic with a value network, one per seed.

    Actor f_θ(s) = (μ, log σ): one network per seed, copies (N,). Critics: twins, copies (N, 2). Value V_ψ: copies (N,), with a slow copy.
    act(obs (N, B, obs_dim), noise (N, B, A) or None) -> actions (N, B, A) in (-1, 1); without noise the mode tanh(μ).
    update(batch, noise (N, 1, B, A)) -> metrics, each a tensor (N,). Noise is standard normal and passed in (`draw_noise` makes it).
    """

    def __init__(self, cfg: SACV1Config, obs_dim: int, action_dim: int, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.cfg, self.seeds, self.action_dim, n = cfg, list(seeds), action_dim, len(seeds)
        self.where = where = {"dtype": getattr(torch, cfg.dtype), "device": torch.device(device)}
        init = generators(seeds, "init")
        self.actor = MLP((n,), (obs_dim, *cfg.hidden, 2 * action_dim), init, **where)
        self.critic = MLP((n, 2), (obs_dim + action_dim, *cfg.hidden, 1), init, **where)
        self.value = MLP((n,), (obs_dim, *cfg.hidden, 1), init, **where)
        self.value_target = deepcopy(self.value).requires_grad_(False)
        self.optimisers = {"actor": _adam(self.actor.parameters(), cfg.lr), "critic": _adam(self.critic.parameters(), cfg.lr)}
        self.optimisers["value"] = _adam(self.value.parameters(), cfg.lr)
        self.noise_generators = [] if str(device) == "meta" else generators(seeds, "noise", device)

    def update(self, batch: Batch, noise: Tensor) -> dict[str, Tensor]:
        """One gradient step on value, critics and actor, and one Polyak step of the value's target, in the order of the pseudocode."""
        cfg = self.cfg
        actions, logp = self.sample(batch.obs, noise[:, 0])

        with torch.no_grad():
            q1, q2 = self.q(self.critic, batch.obs, actions).unbind(1)
            y_v = eq.sac_value_target(q1, q2, logp, cfg.alpha)                                                  # [13.12]
        loss_v = value_learning.squared_td_error(self.v(self.value, batch.obs), y_v)
        self.descend("value", loss_v)

        with torch.no_grad():
            v_next = self.v(self.value_target, batch.next_obs)
            y = value_learning.td_target(cfg.reward_scale * batch.rewards, batch.terminated, v_next, cfg.gamma)
        q = self.q(self.critic, batch.obs, batch.actions)
        loss_q = value_learning.squared_td_error(q, y[:, None].expand_as(q)).sum(1)
        self.descend("critic", loss_q)

        q_min = self.q(self.critic, batch.obs, actions).amin(1)
        loss_pi = eq.sac_policy_loss(logp, q_min, cfg.alpha)                                                    # [13.10]
        self.descend("actor", loss_pi)

        polyak(self.value_target, self.value, cfg.tau)
        entropy, mean_q = -logp.detach().mean(-1), q.detach().mean((1, 2))
        return {"loss_v": loss_v.detach(), "loss_q": loss_q.detach(), "loss_pi": loss_pi.detach(), "entropy": entropy, "q": mean_q}

    def sample(self, obs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """a = tanh(μ + σ ε) and log π(a | s) [13.5]: actions (N, B, A) and log-densities (N, B). Gradient flows through both (pathwise, [13.3])."""
        mean, log_std = self.actor(obs).chunk(2, dim=-1)
        std = log_std.clamp(self.cfg.log_std_min, self.cfg.log_std_max).exp()
        return distributions.TanhGaussian(mean, std).rsample_with_log_prob(noise=noise)

    def q(self, critic: MLP, obs: Tensor, actions: Tensor) -> Tensor:
        """Q_1 and Q_2 of every seed: (N, 2, B)."""
        return critic(torch.cat([obs, actions], dim=-1)[:, None]).squeeze(-1)

    def v(self, value: MLP, obs: Tensor) -> Tensor:
        """V of every seed: (N, B)."""
        return value(obs).squeeze(-1)

    def descend(self, name: str, loss: Tensor) -> None:
        """One Adam step. Losses are summed over the copies: copy k's gradient is its own. Only this optimiser's parameters receive one."""
        optimiser = self.optimisers[name]
        optimiser.zero_grad(set_to_none=True)
        loss.sum().backward(inputs=optimiser.param_groups[0]["params"])
        optimiser.step()

    @torch.no_grad()
    def act(self, obs: Tensor, noise: Tensor | None = None) -> Tensor:
        if noise is not None:
            return self.sample(obs, noise)[0]
        return self.actor(obs)[..., :self.action_dim].tanh()

    def noise_shape(self, batch_size: int) -> tuple[int, ...]:
        """The noise that one `update` takes, per seed: for one action at each state."""
        return 1, batch_size, self.action_dim

    def draw_noise(self, *shape: int) -> Tensor:
        """Standard normal (N, *shape): seed k's share comes from its own generator, so that no seed hears of the others."""
        return torch.stack([torch.randn(shape, generator=g, **self.where) for g in self.noise_generators])

    def state_dict(self) -> dict:
        """Everything that the next update depends on: networks, moments of Adam, generators."""
        return {"actor": self.actor.state_dict(), "critic": self.critic.state_dict(),
                "value": self.value.state_dict(), "value_target": self.value_target.state_dict(),
                "optimisers": {name: opt.state_dict() for name, opt in self.optimisers.items()},
                "noise": [g.get_state() for g in self.noise_generators]}

    def load_state_dict(self, state: dict) -> None:
        for name in ("actor", "critic", "value", "value_target"):
            getattr(self, name).load_state_dict(state[name])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        for generator, generator_state in zip(self.noise_generators, state["noise"]):
            generator.set_state(generator_state)


def _adam(parameters: Sequence[nn.Parameter], lr: float) -> torch.optim.Adam:
    """Adam in one fused kernel where the device has one (CPU and CUDA), else PyTorch's loop over parameters."""
    parameters = list(parameters)
    return torch.optim.Adam(parameters, lr=lr, fused=parameters[0].device.type in ("cpu", "cuda"))
