"""What holds for every off-policy agent of continuous actions, and how little one differs from the next."""

import difflib
import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from agents import ACT, AGENTS, DEVICES, OBS, SMALL, agent_of, batch_of, draw_for, tensors

from rlcourse import agents
from rlcourse.train import train
from rlcourse.types import Agent

FOLDER = Path(agents.__file__).parent
every_agent = pytest.mark.parametrize("name", AGENTS)


@pytest.mark.parametrize(("before", "after", "most"), [("ddpg", "td3", 70), ("td3", "sac", 70), ("sac_v1", "sac", 70)])
def test_neighbours_differ_minimally(before, after, most):
    """A student reads the second file as the first and a page of changes."""
    old, new = ((FOLDER / f"{name}.py").read_text().splitlines() for name in (before, after))
    added = [line for line in difflib.unified_diff(old, new, lineterm="", n=0) if line.startswith("+") and not line.startswith("+++")]
    assert 20 < len(added) <= most, f"{before} -> {after} adds {len(added)} lines:\n" + "\n".join(added)


@every_agent
def test_seed_k_of_three_equals_the_single_run_with_seed_k_after_300_updates(name):
    """Real environment, replay, exploration and noise included. The bits may differ (a batched product sums in another order), not the decimals."""
    settings = {"steps": 310, "progress": False, "eval_episodes": 1, "config": SMALL | {"hidden": (16, 16), "lr": 1e-3}}
    together, alone = (tensors(train(name, "Pendulum-v1", seeds=seeds, **settings).agent) for seeds in ([3, 1, 8], [8]))
    assert together.keys() == alone.keys() and len(alone) > 30
    for key, value in alone.items():
        torch.testing.assert_close(together[key][2], value[0], rtol=0, atol=1e-9, msg=key)
        assert not torch.allclose(together[key][1], value[0], atol=1e-6), f"{key}: another seed is another run"


@every_agent
def test_a_seed_does_not_hear_of_the_others_data(name):
    (batch, noise), pair = batch_of(2), [agent_of(name) for _ in range(2)]
    other = replace(batch, rewards=batch.rewards + torch.tensor([0.0, 100.0], dtype=torch.float64)[:, None])
    for agent, seen in zip(pair, (batch, other)):
        for _ in range(2):
            agent.update(seen, draw_for(agent, noise))
    first, second = (tensors(agent) for agent in pair)
    assert all(torch.equal(first[key][0], second[key][0]) for key in first)
    assert not torch.equal(first["critic.weights.0"][1], second["critic.weights.0"][1])


@every_agent
def test_every_update_runs_on_the_meta_device_and_refuses_a_stray_cpu_tensor(name):
    agent, (batch, noise) = agent_of(name, device="meta"), batch_of(2, device="meta")
    for _ in range(2):      # TD3's first update leaves the actor alone, its second does not
        metrics = agent.update(batch, draw_for(agent, noise))
        assert {"loss_q", "loss_pi", "q"} <= metrics.keys()
        assert all(value.device.type == "meta" and value.shape == (2,) and not value.requires_grad for value in metrics.values())
    assert agent.act(batch.obs, noise[:, 0]).is_meta
    for field in ("obs", "actions", "rewards"):
        with pytest.raises(RuntimeError, match="device"):
            agent.update(replace(batch, **{field: torch.zeros(getattr(batch, field).shape, dtype=torch.float64)}), draw_for(agent, noise))
    if agent.noise_shape(6)[0]:
        with pytest.raises(RuntimeError, match="device"):
            agent.update(batch, torch.zeros(draw_for(agent, noise).shape, dtype=torch.float64))


@every_agent
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_precisions_stay_what_they_are_and_agree(name, dtype, device):
    """float32 starts from the same weights, so that four updates agree with float64 on the CPU to single precision."""
    reference, agent = agent_of(name, lr=1e-3), agent_of(name, lr=1e-3, dtype=dtype, device=device)
    for i in range(4):
        for each in (reference, agent):
            batch, noise = batch_of(2, seed=i, device=str(each.where["device"]), dtype=each.where["dtype"])
            each.update(batch, draw_for(each, noise))
    expected, got = tensors(reference), tensors(agent)
    assert {value.dtype for value in got.values()} == {getattr(torch, dtype)}
    assert agent.act(batch.obs, noise[:, 0]).dtype == getattr(torch, dtype)
    for key, value in expected.items():
        torch.testing.assert_close(got[key].cpu().double(), value, rtol=0, atol=1e-3 if dtype == "float32" else 1e-9, msg=key)


@every_agent
def test_only_terminated_stops_bootstrapping(name):
    """The same batch with its truncated flags turned round makes the same update; with its terminated flags turned round it does not."""
    batch, noise = batch_of(2)
    results = []
    for seen in (batch, replace(batch, truncated=~batch.truncated), replace(batch, terminated=~batch.terminated)):
        agent = agent_of(name)
        results.append(torch.stack([agent.update(seen, draw_for(agent, noise))["loss_q"] for _ in range(3)]))
    assert torch.equal(results[0], results[1]) and not torch.isclose(results[0], results[2]).any()


@every_agent
def test_what_follows_a_termination_has_no_part_in_the_update(name):
    batch, noise = batch_of(2)
    batch = replace(batch, terminated=torch.ones_like(batch.terminated))
    pair = [agent_of(name) for _ in range(2)]
    for agent, next_obs in zip(pair, (batch.next_obs, 50 + 7 * batch.next_obs)):
        for _ in range(2):
            agent.update(replace(batch, next_obs=next_obs), draw_for(agent, noise))
    first, second = (tensors(agent) for agent in pair)
    assert all(torch.equal(first[key], second[key]) for key in first)


@every_agent
@pytest.mark.parametrize("device", DEVICES)
def test_a_checkpoint_holds_everything_the_next_updates_depend_on(name, device):
    """Through a file, as training writes it, into an agent that was started from other seeds."""
    agent, other = agent_of(name, device=device), agent_of(name, seeds=(5, 6), device=device)
    for i in range(3):
        agent.update(batch_of(2, seed=i, device=device)[0], agent.draw_noise(*agent.noise_shape(6)))
    torch.save(agent.state_dict(), file := io.BytesIO())
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    for i in range(3, 6):
        batch, _ = batch_of(2, seed=i, device=device)
        ours, theirs = (each.update(batch, each.draw_noise(*each.noise_shape(6))) for each in (agent, other))
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    ours, theirs = tensors(agent), tensors(other)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("name", ["ddpg", "td3", "sac_v1"])
def test_a_run_that_was_stopped_continues_to_the_same_bits(name, tmp_path):
    """Stopped after an odd number of updates, in the middle of an episode."""
    settings = {"seeds": [0, 4], "progress": False, "log_every": 10, "eval_episodes": 1, "config": SMALL | {"dtype": "float32"}}
    whole = train(name, "Pendulum-v1", steps=60, out=tmp_path / "whole", **settings)
    train(name, "Pendulum-v1", steps=33, out=tmp_path / "parts", **settings)
    parts = train(name, "Pendulum-v1", steps=60, out=tmp_path / "parts", resume=True, **settings)
    first, second = tensors(whole.agent), tensors(parts.agent)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert [row for row in parts.rows if row.step > 33] == [row for row in whole.rows if row.step > 33]


BAD = {"lr": 0, "gamma": 1.1, "tau": 0.0, "batch_size": 0, "hidden": (), "dtype": "int64", "learning_starts": 0, "capacity": 2.5}
BAD |= {"updates_per_step": -1}
REASON = {"lr": "a step size", "tau": "never move", "capacity": "a whole number, at least 1", "policy_delay": "a whole number"}
OWN = {"ddpg": {"exploration_noise": -0.1}, "td3": {"exploration_noise": float("nan"), "target_noise": -0.2, "noise_clip": -0.5, "policy_delay": 0},
       "sac_v1": {"alpha": -1.0, "reward_scale": 0.0, "log_std_min": 3.0}, "sac": {"initial_alpha": 0.0, "log_std_min": 3.0}}


@pytest.mark.parametrize(("name", "field", "value"), [(name, *pair) for name in AGENTS for pair in (BAD | OWN[name]).items()])
def test_a_hyper_parameter_that_cannot_work_is_refused_with_the_reason(name, field, value):
    config_class = AGENTS[name][1]
    says = rf"^{config_class.__name__}: {field} = .*cannot work: it is .*{REASON.get(field, '')}"
    with pytest.raises(ValueError, match=rf"{says}.*help\(rlcourse\.agents\.{name}\."):
        config_class(**{field: value})


@every_agent
def test_adam_is_fused_where_there_is_a_kernel_and_falls_back_elsewhere(name):
    assert [agent_of(name, device=device).optimisers["actor"].defaults["fused"] for device in ("cpu", "meta")] == [True, False]


@every_agent
def test_actions_stay_in_the_box_and_copies_start_as_their_originals(name):
    agent = agent_of(name)
    actions = agent.act(100 * torch.randn(2, 50, OBS, generator=torch.Generator().manual_seed(0), dtype=torch.float64), agent.draw_noise(50, ACT))
    assert isinstance(agent, Agent) and actions.shape == (2, 50, ACT) and actions.abs().max() <= 1 and not actions.requires_grad
    targets = [key for key in agent.state_dict() if key.endswith("_target")]
    assert targets
    for key in targets:
        pairs = list(zip(getattr(agent, key).parameters(), getattr(agent, key.removesuffix("_target")).parameters()))
        assert all(torch.equal(target, online) and not target.requires_grad and target is not online for target, online in pairs)
