"""Replay: what goes in comes out, whole, from the right seed, and survives the disk."""

import io

import numpy as np
import pytest
import torch
from scipy import stats

from rlcourse.buffers import ReplayBuffer
from rlcourse.envs import generators

SEEDS = [4, 5, 6]


def filled(steps: int, capacity: int = 10, seeds=SEEDS, dtype=torch.float32) -> ReplayBuffer:
    """Every field of transition t of seed k can be told from t and k: obs = (t, k), action = -t, reward = 1000 k + t, next_obs = (t + 0.5, k)."""
    buffer = ReplayBuffer(capacity, 2, 1, generators(seeds, "replay"), dtype=dtype)
    extend(buffer, range(steps), seeds)
    return buffer


def extend(buffer: ReplayBuffer, times, seeds=SEEDS) -> None:
    k = torch.tensor(seeds, dtype=torch.float64)
    for t in times:
        now = torch.full_like(k, t)
        buffer.add(torch.stack([now, k], -1), -now[:, None], 1000 * k + t, torch.stack([now + 0.5, k], -1), now % 3 == 0, now % 2 == 0)


def test_a_sampled_transition_is_one_that_was_stored_whole_and_in_its_seed():
    batch = filled(10).sample(200)
    t, k = batch.obs[..., 0], torch.tensor(SEEDS, dtype=torch.float32)[:, None].expand(3, 200)
    assert torch.equal(batch.obs[..., 1], k) and torch.equal(batch.next_obs[..., 1], k)
    assert torch.equal(batch.actions[..., 0], -t) and torch.equal(batch.rewards, 1000 * k + t) and torch.equal(batch.next_obs[..., 0], t + 0.5)


def test_termination_and_truncation_are_two_masks():
    batch = filled(10).sample(200)
    t = batch.obs[..., 0]
    assert batch.terminated.dtype == batch.truncated.dtype == torch.bool
    assert torch.equal(batch.terminated, t % 3 == 0) and torch.equal(batch.truncated, t % 2 == 0)


def test_shapes_lead_with_the_seeds():
    batch = filled(4).sample(7)
    assert batch.obs.shape == (3, 7, 2) and batch.actions.shape == (3, 7, 1) and batch.rewards.shape == batch.truncated.shape == (3, 7)


@pytest.mark.parametrize(("added", "first"), [(4, 0), (10, 0), (13, 3)], ids=["filling", "full", "wrapped"])
def test_the_last_capacity_transitions_are_sampled_and_no_others(added, first):
    obs = filled(added).sample(500).obs
    assert {(int(t), int(k)) for t, k in obs.flatten(0, 1)} == {(t, k) for t in range(first, added) for k in SEEDS}


def test_sampling_is_uniform():
    counts = np.bincount(filled(10).sample(20_000).obs[0, :, 0].int().numpy(), minlength=10)
    assert stats.chisquare(counts).pvalue > 1e-6


def test_seed_k_of_three_samples_what_seed_k_samples_alone():
    together, alone = filled(10), filled(10, seeds=[5])
    for _ in range(3):
        assert torch.equal(together.sample(32).obs[1], alone.sample(32).obs[0])


def test_seeds_draw_different_indices():
    times = filled(10).sample(32).obs[..., 0]
    assert not torch.equal(times[0], times[1])


def test_an_empty_memory_says_so():
    with pytest.raises(ValueError, match="empty"):
        filled(0).sample(1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("added", [3, 10, 17], ids=["filling", "full", "wrapped"])
def test_the_file_restores_the_memory(added, dtype):
    buffer, file = filled(0, dtype=dtype), io.BytesIO()
    for first in range(0, added, 7):
        extend(buffer, range(first, min(first + 7, added)))
        buffer.append_to(file)
    restored = filled(0, dtype=dtype)
    restored.read_from(file, added)
    assert torch.equal(restored.data, buffer.data) and len(restored) == len(buffer)
    extend(buffer, [99]), extend(restored, [99])
    assert torch.equal(restored.data, buffer.data), "the next transition replaces the same row"


def test_the_file_is_only_appended_to():
    buffer, file = filled(6), io.BytesIO()
    buffer.append_to(file)
    before = file.getvalue()
    buffer.append_to(file)
    assert file.getvalue() == before, "nothing new, nothing written"
    extend(buffer, [6, 7])
    buffer.append_to(file)
    assert file.getvalue()[: len(before)] == before and len(file.getvalue()) == len(before) * 8 // 6


def test_what_a_checkpoint_does_not_count_is_not_read():
    buffer, file = filled(8), io.BytesIO()
    buffer.append_to(file)
    restored = filled(0)
    restored.read_from(file, 5)
    assert torch.equal(restored.data, filled(5).data)


def test_a_file_that_was_cut_is_refused():
    buffer, file = filled(4), io.BytesIO()
    buffer.append_to(file)
    with pytest.raises(ValueError, match="fewer than the 5"):
        filled(0).read_from(file, 5)


def test_saving_too_late_is_an_error_and_not_a_hole():
    buffer = filled(3)
    buffer.append_to(io.BytesIO())
    extend(buffer, range(3, 14))
    with pytest.raises(RuntimeError, match="11 transitions"):
        buffer.append_to(io.BytesIO())


def test_an_index_comes_back_as_the_integer_it_was():
    """In float32 a row holds integers exactly up to 2^24."""
    buffer, k = ReplayBuffer(3, 1, 9, generators([0, 1], "replay"), discrete=True), torch.zeros(2)
    for index in (0, 7, 2**24):
        buffer.add(k[:, None], torch.tensor([index, 1]), k, k[:, None], k, k)
    batch = buffer.sample(100)
    assert batch.actions.dtype == torch.int64 and batch.actions.shape == (2, 100) and buffer.data.shape == (2, 3, 6)
    assert set(batch.actions[0].tolist()) == {0, 7, 2**24} and set(batch.actions[1].tolist()) == {1}
