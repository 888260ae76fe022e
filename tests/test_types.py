"""The guards: what they let through, what they stop, and whether the message helps."""

import inspect

import numpy as np
import pytest
import torch

from rlcourse.agents import sac
from rlcourse.types import (
    Agent,
    Batch,
    ShapeError,
    Trajectory,
    mask_like,
    require_floating,
    require_same_shape,
    require_tensor,
    require_time_and_batch,
    require_unit_interval,
)


def batch_fields(*leading):
    return {
        "obs": torch.zeros(*leading, 3),
        "actions": torch.zeros(*leading, 2),
        "rewards": torch.zeros(*leading),
        "next_obs": torch.zeros(*leading, 3),
        "terminated": torch.zeros(*leading, dtype=torch.bool),
        "truncated": torch.zeros(*leading, dtype=torch.bool),
    }


def test_same_shape_passes_in_silence():
    require_same_shape(a=torch.zeros(2, 3), b=np.zeros((2, 3)), c=torch.zeros(2, 3, dtype=torch.bool))
    require_same_shape(a=torch.zeros(4))


@pytest.mark.parametrize("make", [torch.zeros, np.zeros])
def test_the_table_that_broadcasting_would_build(make):
    """The message names what came, the table of wrong pairs, and the way out; and PyTorch would really have built that table."""
    q, y = make((4, 1)), make((4,))
    assert (q - y).shape == (4, 4)
    with pytest.raises(ShapeError) as error:
        require_same_shape(q=q, y=y)
    message = str(error.value)
    for part in ("q (4, 1)", "y (4,)", "(4, 4) table", "q.squeeze(-1)", "help(rlcourse.types)"):
        assert part in message


def test_remedies():
    with pytest.raises(ShapeError, match=r"Bring b to the shape of a, \(2, 3\)"):
        require_same_shape(a=torch.zeros(2, 3), c=torch.zeros(2, 3), b=torch.zeros(3))
    with pytest.raises(ShapeError, match="do not even broadcast"):
        require_same_shape(a=torch.zeros(2, 3), b=torch.zeros(3, 2))


def test_shape_error_is_a_value_error():
    assert issubclass(ShapeError, ValueError)


def test_time_and_batch():
    require_time_and_batch(rewards=torch.zeros(1, 1), values=np.zeros((2, 3, 4)))
    for shape, match in (((5,), r"write rewards\[:, None\]"), ((), "time first"), ((0, 3), "at least one step"), ((2, 0, 3), "at least one step")):
        with pytest.raises(ShapeError, match=match):
            require_time_and_batch(rewards=torch.zeros(shape))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_floating_dtypes_pass(dtype):
    require_floating(x=torch.zeros(2, dtype=dtype))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "complex64"])
def test_other_dtypes_do_not(dtype):
    with pytest.raises(TypeError, match=rf"x has dtype torch.{dtype}.*x\.float\(\)"):
        require_floating(ok=torch.zeros(2), x=torch.zeros(2, dtype=getattr(torch, dtype)))
    with pytest.raises(TypeError, match=rf"x has dtype {dtype}.*astype"):
        require_floating(ok=np.zeros(2), x=np.zeros(2, dtype=dtype))


def test_lists_numbers_and_mixtures_do_not():
    with pytest.raises(TypeError, match=r"x is a list.*torch\.tensor\(x\)"):
        require_floating(x=[1.0, 2.0])
    with pytest.raises(TypeError, match="x is a float"):
        require_floating(x=1.0)
    with pytest.raises(TypeError, match=r"mixed: x torch.Tensor, y NumPy array"):
        require_floating(x=torch.zeros(2), y=np.zeros(2))
    with pytest.raises(TypeError, match=r"x is a ndarray.*torch\.as_tensor\(x\)"):
        require_tensor(x=np.zeros(2))
    with pytest.raises(TypeError, match="int64"):
        require_tensor(x=torch.zeros(2, dtype=torch.int64))


def test_unit_interval():
    require_unit_interval(gamma=0, lam=1, tau=np.float32(0.5))
    for bad in (-1e-9, 1.0000001, float("nan"), 99):
        with pytest.raises(ValueError, match="tau is"):
            require_unit_interval(gamma=0.9, tau=bad)


@pytest.mark.parametrize("like", [torch.float32, torch.float64])
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float32, torch.float64])
def test_masks_become_numbers(dtype, like):
    mask = mask_like(torch.tensor([0, 1, 1]).to(dtype), torch.zeros(3, dtype=like))
    assert mask.dtype == like
    assert (1 - mask).tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int64, np.float32, np.float64])
def test_numpy_masks_become_numbers(dtype):
    mask = mask_like(np.array([0, 1, 1]).astype(dtype), np.zeros(3, dtype=np.float32))
    assert mask.dtype == np.float32
    assert (1 - mask).tolist() == [1.0, 0.0, 0.0]


def test_the_traps_that_mask_like_is_there_for():
    with pytest.raises(RuntimeError):
        1 - torch.tensor([True])
    assert (~torch.tensor([0, 1], dtype=torch.uint8)).tolist() == [255, 254]


def test_what_is_not_a_mask():
    x = torch.zeros(2)
    for bad in (torch.tensor([0.0, 0.5]), torch.tensor([0, 255], dtype=torch.uint8), torch.tensor([0.0, float("nan")])):
        with pytest.raises(ValueError, match="terminated has entries"):
            mask_like(bad, x, "terminated")
    with pytest.raises(ValueError, match="entries"):
        mask_like(np.array([0.0, 0.5]), np.zeros(2))
    with pytest.raises(TypeError, match="mixed"):
        mask_like(np.array([0.0, 1.0]), x)
    with pytest.raises(TypeError, match="mask is a list"):
        mask_like([0, 1], x)


def test_masks_without_readable_values_pass():
    assert mask_like(torch.zeros(3, dtype=torch.uint8, device="meta"), torch.zeros(3, device="meta")).is_meta
    masks = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert torch.equal(torch.func.vmap(lambda m: 1 - mask_like(m, m))(masks), 1 - masks)


@pytest.mark.parametrize("leading", [(5,), (2, 5)])
def test_batch_holds_matching_fields(leading):
    fields = batch_fields(*leading)
    batch = Batch(**fields)
    assert batch.rewards is fields["rewards"]
    with pytest.raises(AttributeError):
        batch.rewards = torch.zeros(1)
    Batch(**{**fields, "obs": torch.zeros(*leading, 8, 8, 3), "next_obs": torch.zeros(*leading, 8, 8, 3)})
    Batch(**{**fields, "actions": torch.zeros(leading, dtype=torch.int64)})


@pytest.mark.parametrize(
    ("field", "shape", "match"),
    [
        ("rewards", (5, 1), r"rewards \(5, 1\)"),
        ("terminated", (5, 1), r"terminated \(5, 1\)"),
        ("truncated", (4,), r"truncated \(4,\)"),
        ("next_obs", (5, 4), r"next_obs \(5, 4\)"),
        ("actions", (4, 2), r"actions came as \(4, 2\)"),
        ("actions", (2,), r"actions came as \(2,\)"),
    ],
)
def test_batch_refuses_fields_that_do_not_match(field, shape, match):
    with pytest.raises(ShapeError, match=match):
        Batch(**{**batch_fields(5), field: torch.zeros(shape)})


def test_batch_refuses_a_column_of_rewards_and_masks():
    column = torch.zeros(5, 1)
    with pytest.raises(ShapeError, match=r"obs came as \(5, 3\).*rewards\.squeeze\(-1\)"):
        Batch(**{**batch_fields(5), "rewards": column, "terminated": column, "truncated": column})


def test_trajectory_needs_time():
    assert Trajectory(**batch_fields(7, 5)).rewards.shape == (7, 5)
    with pytest.raises(ShapeError, match="time first"):
        Trajectory(**batch_fields(5))
    with pytest.raises(ShapeError, match="actions"):
        Trajectory(**{**batch_fields(7, 5), "actions": torch.zeros(5, 7, 2)})


def test_the_courses_agents_keep_the_agent_protocol():
    agent = sac.SAC(sac.SACConfig(hidden=(8,)), obs_dim=3, action_dim=1, seeds=[0, 1])
    assert isinstance(agent, Agent)
    for name in ("act", "update", "draw_noise", "state_dict", "load_state_dict"):
        promised, kept = ([(p.name, p.kind) for p in inspect.signature(getattr(owner, name)).parameters.values()] for owner in (Agent, type(agent)))
        assert kept == promised, name
