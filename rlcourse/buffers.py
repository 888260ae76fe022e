"""Replay: what an off-policy agent remembers, one independent memory per seed."""

from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from rlcourse.types import Batch


class ReplayBuffer:
    """The last `capacity` transitions (s, a, r, s', terminated, truncated) of each of N seeds, preallocated on the device.

    One tensor `data` (N, capacity, width) holds a transition per row, so that a batch is one gather. `terminated` and `truncated` are kept apart:
    only the first stops bootstrapping. `next_obs` is the true next observation, also at a time limit, never the first one of the next episode.

    generators: one torch.Generator per seed on the buffer's device; seed k draws its indices from generators[k] alone.
    discrete: an action is then an index. A row holds it as one number like the others, exact up to 2^24 in float32, where a one-hot vector would
    need as many numbers as there are actions.
    sample(B) draws uniformly with replacement: Batch with obs (N, B, obs_dim), actions (N, B, action_dim), or (N, B) int64 if discrete,
    rewards (N, B), next_obs (N, B, obs_dim), terminated and truncated (N, B) bool.
    Limits: before the memory is full only what was added is sampled; after it is full the oldest row is the one that is replaced.
    """

    def __init__(self, capacity: int, obs_dim: int, action_dim: int, generators: Sequence[torch.Generator], *, discrete: bool = False,
                 dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> None:
        if capacity < 1:
            raise ValueError(f"capacity = {capacity}: a replay buffer holds at least one transition.")
        self.capacity, self.discrete, self.generators = capacity, discrete, list(generators)
        self.widths = (obs_dim, 1 if discrete else action_dim, 1, obs_dim, 1, 1)
        self.data = torch.zeros(len(generators), capacity, sum(self.widths), dtype=dtype, device=device)
        self.added = 0          # transitions per seed since the start; row `added % capacity` is written next
        self.saved = 0          # how many of them `append_to` has written
        self._offsets = torch.arange(len(generators), device=device)[:, None] * capacity

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, obs: Tensor, actions: Tensor, rewards: Tensor, next_obs: Tensor, terminated: Tensor, truncated: Tensor) -> None:
        """Remember one transition of every seed: obs (N, obs_dim), actions (N, action_dim), or (N,) if discrete, rewards (N,), next_obs (N, obs_dim),
        flags (N,)."""
        parts = (obs, actions[:, None] if self.discrete else actions, rewards[:, None], next_obs, terminated[:, None], truncated[:, None])
        row = torch.cat([part.to(self.data) for part in parts], dim=-1)
        self.data[:, self.added % self.capacity] = row
        self.added += 1

    def sample(self, batch_size: int) -> Batch:
        """Uniform with replacement, each seed from its own memory with its own generator."""
        if not self.added:
            raise ValueError("the replay buffer is empty: `add` transitions before sampling (learning_starts in an agent's config is at least 1).")
        index = torch.stack([torch.randint(len(self), (batch_size,), generator=g, device=g.device) for g in self.generators])
        rows = self.data.flatten(0, 1).index_select(0, (index + self._offsets).flatten()).view(*index.shape, -1)
        obs, actions, rewards, next_obs, terminated, truncated = rows.split(self.widths, dim=-1)
        actions = actions[..., 0].long() if self.discrete else actions
        return Batch(obs, actions, rewards[..., 0], next_obs, terminated[..., 0] > 0.5, truncated[..., 0] > 0.5)

    def append_to(self, file: BinaryIO) -> None:
        """Write the transitions added since the last call, in order, as raw numbers (time, N, width). Nothing already in the file is touched.

        Raises RuntimeError if more than `capacity` were added since then: the oldest of them are no longer here.
        """
        if self.added - self.saved > self.capacity:
            raise RuntimeError(f"{self.added - self.saved} transitions were added since the last save, but only {self.capacity} are remembered. "
                               "Save at least once per `capacity` steps.")
        rows = torch.arange(self.saved, self.added, device=self.data.device) % self.capacity
        file.write(self.data[:, rows].transpose(0, 1).contiguous().cpu().numpy().tobytes())
        self.saved = self.added

    def read_from(self, file: BinaryIO, added: int) -> None:
        """Fill the memory as it was after `added` transitions, from a file that `append_to` wrote. Raises ValueError if the file is too short."""
        copies, _, width = self.data.shape
        kept = min(added, self.capacity)
        values = np.dtype(str(self.data.dtype).removeprefix("torch."))
        file.seek((added - kept) * copies * width * values.itemsize)
        raw = np.frombuffer(file.read(kept * copies * width * values.itemsize), dtype=values)
        if raw.size != kept * copies * width:
            raise ValueError(f"the replay file holds fewer than the {added} transitions that its checkpoint counts: it was cut or replaced. "
                             "Start the run again in another folder.")
        rows = torch.arange(added - kept, added, device=self.data.device) % self.capacity
        self.data[:, rows] = torch.from_numpy(raw.reshape(kept, copies, width).copy()).to(self.data.device).transpose(0, 1)
        self.added = self.saved = added
