"""Q-learning that searches for the best action with the cross-entropy method, CEM-Q (as in QT-Opt, Kalashnikov et al. 2018, section 4).

Read `CEMQ.update` first. Everything has a leading dimension N, one independent run per seed: seed k of N equals the run of seed k alone. Inside the
agent an action is in [-1, 1], and `envs.make` maps it to the environment's [low, high].

It is DDPG without an actor: whenever a maximum over actions is needed, a few rounds of candidates are tried on the critic. Any critic will do, and
one action costs `iterations` x `samples` evaluations of it. QT-Opt has more: twin critics, a lagged second target, and thousands of cores.
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
class CEMQConfig:
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
    samples: int = 16                         # candidate actions in each round of the search
    elites: int = 4                           # of which so many shape the next round
    iterations: int = 3                       # rounds
    dtype: str = "float32"                    # "float64" for tests of exactness

    def __post_init__(self) -> None:
        counts = {"batch_size": 1, "capacity": 1, "learning_starts": 1, "updates_per_step": 0, "samples": 1, "iterations": 1}
        rules = {
            "hidden": (isinstance(self.hidden, tuple) and len(self.hidden) > 0 and min(self.hidden) > 0, "a tuple of widths such as (64, 64)"),
            "lr": (self.lr > 0, "a step size, above 0"),
            "gamma": (0 <= self.gamma <= 1, "a discount in [0, 1]"),
            "tau": (0 < self.tau <= 1, "the online network's share, above 0 (or the target never moves) and at most 1"),
            "elites": (isinstance(self.elites, int) and 1 <= self.elites <= self.samples, "a whole number, from 1 to `samples`"),
            "exploration_noise": (self.exploration_noise >= 0, "a standard deviation, at least 0"),
            "dtype": (self.dtype in ("float32", "float64"), "'float32' or 'float64'"),
        } | {name: (isinstance(getattr(self, name), int) and getattr(self, name) >= least, f"a whole number, at least {least}")
             for name, least in counts.items()}
        for name in [name for name, (holds, _) in rules.items() if not holds]:
            raise ValueError(f"{type(self).__name__}: {name} = {getattr(self, name)!r} cannot work: it is {rules[name][1]}. "
                             f"Read: help({type(self).__module__}.{type(self).__name__}).")


class CEMQ:
    """N independent runs of Q-learning whose maximum over actions is found by the cross-entropy method, one per seed.

    Critic: copies (N,), with a slow copy, the target. There is no actor.
    act(obs (N, B, obs_dim), noise (N, B, A) or None) -> actions (N, B, A) in [-1, 1]; the search is the same for every state and every call, its
    random numbers were drawn at the start, and without noise its result is returned as it is.
    update(batch, noise (N, iterations · samples, B, A)) -> metrics, each a tensor (N,). Noise is standard normal and passed in.
    """

    def __init__(self, cfg: CEMQConfig, obs_dim: int, action_dim: int, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.cfg, self.seeds, self.action_dim, n = cfg, list(seeds), action_dim, len(seeds)
        self.where = where = {"dtype": getattr(torch, cfg.dtype), "device": torch.device(device)}
        init = generators(seeds, "init")
        self.critic = MLP((n,), (obs_dim + action_dim, *cfg.hidden, 1), init, **where)
        self.critic_target = deepcopy(self.critic).requires_grad_(False)
        self.optimisers = {"critic": _adam(self.critic.parameters(), cfg.lr)}
        shape = (cfg.iterations * cfg.samples, 1, action_dim)
        self.search = torch.stack([torch.randn(shape, generator=g, dtype=torch.float64) for g in init]).to(**where)
        self.noise_generators = [] if str(device) == "meta" else generators(seeds, "noise", device)

    def update(self, batch: Batch, noise: Tensor) -> dict[str, Tensor]:
        """One gradient step on the critic, and one Polyak step of its target."""
        cfg = self.cfg

        with torch.no_grad():
            next_actions = self.best(self.critic_target, batch.next_obs, noise)                                 # [09.11]
            q_next = self.q(self.critic_target, batch.next_obs, next_actions)
            y = value_learning.td_target(batch.rewards, batch.terminated, q_next, cfg.gamma)
        q = self.q(self.critic, batch.obs, batch.actions)
        loss_q = value_learning.squared_td_error(q, y)
        self.descend("critic", loss_q)

        polyak(self.critic_target, self.critic, cfg.tau)
        return {"loss_q": loss_q.detach(), "q": q.detach().mean(-1)}

    def q(self, critic: MLP, obs: Tensor, actions: Tensor) -> Tensor:
        """Q of every seed: (N, B)."""
        return critic(torch.cat([obs, actions], dim=-1)).squeeze(-1)

    def best(self, critic: MLP, obs: Tensor, noise: Tensor) -> Tensor:
        """The action (N, B, A) that the search finds. noise: (N, iterations · samples, B or 1, A)."""
        n, b, a, cfg = len(self.seeds), obs.shape[1], self.action_dim, self.cfg

        def value(actions: Tensor) -> Tensor:                  # (N, B, samples, A) -> (N, B, samples)
            states = obs[:, :, None].expand(n, b, cfg.samples, obs.shape[-1])
            return self.q(critic, states.flatten(1, 2), actions.flatten(1, 2)).view(n, b, cfg.samples)

        rounds = noise.expand(n, cfg.iterations * cfg.samples, b, a).unflatten(1, (cfg.iterations, cfg.samples)).permute(1, 0, 3, 2, 4)
        start = obs.new_zeros(n, b, a)
        return continuous_actions.cross_entropy_method(value, rounds, start, start + 1, -1.0, 1.0, cfg.elites)

    def descend(self, name: str, loss: Tensor) -> None:
        """One Adam step. Losses are summed over the copies: copy k's gradient is its own. Only this optimiser's parameters receive one."""
        optimiser = self.optimisers[name]
        optimiser.zero_grad(set_to_none=True)
        loss.sum().backward(inputs=optimiser.param_groups[0]["params"])
        optimiser.step()

    @torch.no_grad()
    def act(self, obs: Tensor, noise: Tensor | None = None) -> Tensor:
        actions = self.best(self.critic, obs, self.search)
        return actions if noise is None else (actions + self.cfg.exploration_noise * noise).clamp(-1, 1)

    def noise_shape(self, batch_size: int) -> tuple[int, ...]:
        """The noise that one `update` takes, per seed: that of its search."""
        return self.cfg.iterations * self.cfg.samples, batch_size, self.action_dim

    def draw_noise(self, *shape: int) -> Tensor:
        """Standard normal (N, *shape): seed k's share comes from its own generator, so that no seed hears of the others."""
        return torch.stack([torch.randn(shape, generator=g, **self.where) for g in self.noise_generators])

    def state_dict(self) -> dict:
        """Everything that the next update depends on: networks, moments of Adam, the search's numbers, generators."""
        return {"critic": self.critic.state_dict(), "critic_target": self.critic_target.state_dict(), "search": self.search.clone(),
                "optimisers": {name: opt.state_dict() for name, opt in self.optimisers.items()},
                "noise": [g.get_state() for g in self.noise_generators]}

    def load_state_dict(self, state: dict) -> None:
        for name in ("critic", "critic_target"):
            getattr(self, name).load_state_dict(state[name])
        self.search = state["search"].to(**self.where)
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        for generator, generator_state in zip(self.noise_generators, state["noise"]):
            generator.set_state(generator_state)


def _adam(parameters: Sequence[nn.Parameter], lr: float) -> torch.optim.Adam:
    """Adam in one fused kernel where the device has one (CPU and CUDA), else PyTorch's loop over parameters."""
    parameters = list(parameters)
    return torch.optim.Adam(parameters, lr=lr, fused=parameters[0].device.type in ("cpu", "cuda"))
