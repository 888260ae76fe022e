"""A soft actor-critic that may have a silent defect, and the test points at which it can be measured (exercise 13.10)."""

from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlcourse.agents.sac import SAC, SACConfig
from rlcourse.checks.bug import Arrays, Ask, Defect, defective, recording
from rlcourse.equations import max_entropy, using
from rlcourse.types import Batch

FIELDS = ("obs", "actions", "rewards", "next_obs", "terminated", "truncated")
WATCHED = {"sac_target": max_entropy.sac_target, "temperature_loss": max_entropy.temperature_loss}


class Suspect:
    """A soft actor-critic to be examined: its settings, and what it computes when it is asked. It may have one silent defect.

    gamma, tau, target_entropy: its settings. alpha: its temperature now. B transitions, A action dimensions; tensors carry no gradient.
    """

    def __init__(self, ask: Ask):
        self._ask = ask
        self.gamma, self.tau, self.target_entropy = (self._number(name) for name in ("gamma", "tau", "target_entropy"))

    @property
    def alpha(self) -> float:
        return self._number("alpha")

    def draw(self) -> tuple[Batch, Tensor]:
        """A batch of B transitions, and the noise of one update, (2, B, A): noise[0] draws the action at next_obs, noise[1] the one at obs."""
        drawn = self._asked("draw")
        return Batch(*(drawn[name] for name in FIELDS)), drawn["noise"]

    def policy(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """mu and sigma of u, (B, A) each, as the actor's network puts them out. This much can be trusted."""
        return tuple(self._asked("policy", obs=obs).values())

    def sample(self, obs: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """The action (B, A) that the agent draws with noise eps (B, A), and what it takes for log pi(a|s), (B,)."""
        return tuple(self._asked("sample", obs=obs, eps=eps).values())

    def q(self, obs: Tensor, actions: Tensor) -> Tensor:
        """The two critics, (2, B)."""
        return self._asked("q", obs=obs, actions=actions)["q"]

    def q_target(self, obs: Tensor, actions: Tensor) -> Tensor:
        """The two slow critics, (2, B)."""
        return self._asked("q_target", obs=obs, actions=actions)["q"]

    def target(self, batch: Batch, noise: Tensor) -> Tensor:
        """y, (B,): what an update would teach the critics."""
        return self._asked("target", **vars(batch), noise=noise)["y"]

    def losses(self, batch: Batch, noise: Tensor) -> dict[str, float]:
        """The three losses of an update: critic (both added up), actor, temperature."""
        return {name: float(loss) for name, loss in self._asked("losses", **vars(batch), noise=noise).items()}

    def actor_gradient(self, batch: Batch, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient of each state's actor loss with respect to its mu and to its log sigma, (B, A) each."""
        return tuple(self._asked("actor_gradient", **vars(batch), noise=noise).values())

    def weights(self, network: str) -> Tensor:
        """All parameters of "actor", "critic" or "critic_target" as one vector."""
        return self._asked(f"weights_{network}")["weights"]

    def update(self, batch: Batch, noise: Tensor) -> dict[str, float]:
        """Let it learn from this batch once. It is another agent afterwards. Returns the metrics it would log."""
        return {name: float(value) for name, value in self._asked("update", **vars(batch), noise=noise).items()}

    def _asked(self, probe: str, **given: Tensor) -> dict[str, Tensor]:
        found = self._ask(probe, {name: value.detach().numpy() for name, value in given.items()})
        return {name: torch.from_numpy(np.array(value)) for name, value in found.items()}

    def _number(self, probe: str) -> float:
        return float(self._asked(probe)[probe])


class Patient:
    """The agent on the other side: one SAC with a defect, or none, that answers probes. Arrays in, arrays out."""

    def __init__(self, defect: Defect | None, plain: dict[str, Any]):
        self.equations = dict(defect.equations) if defect else {}
        self.generator = torch.Generator().manual_seed(plain["seed"])
        self.plain, self.dtype = plain, getattr(torch, plain["dtype"])
        cfg = SACConfig(hidden=(plain["width"],), lr=3e-3, gamma=plain["gamma"], tau=plain["tau"], initial_alpha=plain["alpha"], dtype=plain["dtype"])
        agent_class = defective(SAC, defect.swaps) if defect else SAC
        self.agent = agent_class(cfg, plain["states"], plain["actions"], [plain["seed"]])
        self._as_if_trained()
        self._seen: tuple[bytes, dict[str, Tensor]] = (b"", {})  # what was asked last, and what was seen

    @torch.no_grad()
    def _as_if_trained(self) -> None:
        """sigma well below 1, slow critics that lag behind, and an entropy that is 1 to 2 nats away from its target."""
        agent, plain = self.agent, self.plain
        agent.actor.weights[-1][..., plain["actions"] :].mul_(0.5)
        agent.actor.biases[-1][..., plain["actions"] :].sub_(0.7)
        agent.critic.weights[-1].mul_(3)
        for slow, online in zip(agent.critic_target.parameters(), agent.critic.parameters()):
            slow.copy_(online + plain["lag"] * torch.randn(slow.shape, generator=self.generator, dtype=self.dtype))
        obs, eps = self._normal(1, 256, plain["states"]), self._normal(1, 256, plain["actions"])
        entropy = -SAC.sample(agent, obs, eps)[1].mean().item()
        agent.target_entropy = round(entropy + plain["entropy_gap"], 3)

    def ask(self, probe: str, given: Arrays) -> Arrays:
        """Answer one probe."""
        tensors = {name: torch.from_numpy(np.array(value))[None] for name, value in given.items()}
        kind, _, name = probe.partition("_")
        answered = self._weights(name) if kind == "weights" else getattr(self, f"_{probe}")(**tensors)
        return {key: np.array(value.detach().numpy()) for key, value in answered.items()}

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, dtype=self.dtype)

    def _gamma(self) -> dict[str, Tensor]:
        return {"gamma": torch.tensor(self.agent.cfg.gamma, dtype=torch.float64)}

    def _tau(self) -> dict[str, Tensor]:
        return {"tau": torch.tensor(self.agent.cfg.tau, dtype=torch.float64)}

    def _target_entropy(self) -> dict[str, Tensor]:
        return {"target_entropy": torch.tensor(self.agent.target_entropy, dtype=torch.float64)}

    def _alpha(self) -> dict[str, Tensor]:
        return {"alpha": self.agent.log_alpha[0].exp()}

    def _weights(self, name: str) -> dict[str, Tensor]:
        return {"weights": torch.cat([weight.flatten() for weight in getattr(self.agent, name).parameters()])}

    def _draw(self) -> dict[str, Tensor]:
        """Four transitions that end the task, four cut by the clock, one that is both, and the others."""
        b, states, actions = self.plain["batch"], self.plain["states"], self.plain["actions"]
        order = torch.randperm(b, generator=self.generator)
        drawn = {"obs": self._normal(b, states), "actions": self._normal(b, actions).tanh(), "rewards": self._normal(b),
                 "next_obs": self._normal(b, states), "terminated": order < 5, "truncated": (order >= 4) & (order < 9)}
        return drawn | {"noise": self._normal(2, b, actions)}

    def _policy(self, obs: Tensor) -> dict[str, Tensor]:
        mean, log_std = self.agent.actor(obs)[0].chunk(2, dim=-1)
        return {"mu": mean, "sigma": log_std.exp()}

    def _sample(self, obs: Tensor, eps: Tensor) -> dict[str, Tensor]:
        with using(**self.equations):
            a, log_prob = self.agent.sample(obs, eps)
        return {"a": a[0], "log_prob": log_prob[0]}

    def _q(self, obs: Tensor, actions: Tensor) -> dict[str, Tensor]:
        return {"q": self.agent.q(self.agent.critic, obs, actions)[0]}

    def _q_target(self, obs: Tensor, actions: Tensor) -> dict[str, Tensor]:
        return {"q": self.agent.q(self.agent.critic_target, obs, actions)[0]}

    def _target(self, **given: Tensor) -> dict[str, Tensor]:
        return {"y": self._watched(given)["sac_target"][0]}

    def _losses(self, **given: Tensor) -> dict[str, Tensor]:
        seen = self._watched(given)
        return {"critic": seen["loss_q"][0], "actor": seen["loss_pi"][0], "temperature": seen["temperature_loss"][0]}

    def _actor_gradient(self, **given: Tensor) -> dict[str, Tensor]:
        to_mu, to_log_sigma = (self._watched(given)["actor_gradient"][0] * self.plain["batch"]).chunk(2, dim=-1)
        return {"to_mu": to_mu, "to_log_sigma": to_log_sigma}

    def _update(self, **given: Tensor) -> dict[str, Tensor]:
        self._seen = (b"", {})
        with using(**self.equations):
            return {name: value[0] for name, value in self.agent.update(*_batch_and_noise(given)).items()}

    def _watched(self, given: dict[str, Tensor]) -> dict[str, Tensor]:
        """What passes through one real update of a copy of the agent: target, losses, and the gradient that arrives at (mu, log sigma)."""
        asked = b"".join(value.numpy().tobytes() for value in given.values())
        if asked == self._seen[0]:
            return self._seen[1]
        copy, arrived = deepcopy(self.agent), {}
        for group in copy.optimisers["critic"].param_groups:
            group["lr"] = 0.0  # so that the actor's loss is that of the critics as they are now, which a student can ask

        def watch(module: Any, inputs: Any, out: Tensor) -> None:
            if out.requires_grad:
                out.register_hook(lambda gradient: arrived.update(actor_gradient=gradient))

        copy.actor.register_forward_hook(watch)
        others = {name: value for name, value in self.equations.items() if name not in WATCHED}
        with using(**others), recording({name: self.equations.get(name, usual) for name, usual in WATCHED.items()}) as returned:
            metrics = copy.update(*_batch_and_noise(given))
        self._seen = (asked, metrics | returned | arrived)
        return self._seen[1]


def _batch_and_noise(given: dict[str, Tensor]) -> tuple[Batch, Tensor]:
    return Batch(*(given[name] for name in FIELDS)), given["noise"]


def plain(rng: np.random.Generator) -> dict[str, Any]:
    """The numbers that one agent is built from."""
    sizes = {"states": (2, 5), "actions": (1, 4), "width": (6, 12), "batch": (20, 33)}
    return {name: int(rng.integers(*bounds)) for name, bounds in sizes.items()} | {
            "gamma": round(rng.uniform(0.8, 0.99), 3), "tau": round(rng.uniform(0.02, 0.25), 3), "alpha": round(rng.uniform(0.1, 0.6), 3),
            "lag": round(float(10 ** rng.uniform(-1.3, -0.3)), 3),
            "entropy_gap": round(float(rng.choice([-1, 1]) * rng.uniform(1, 2)), 3), "dtype": str(rng.choice(["float32", "float64"])),
            "seed": int(rng.integers(2**31))}
