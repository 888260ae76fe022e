"""Every agent, in both loops: stopped at any moment, a run continues to the bits of the run that nothing disturbed."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from rlcourse import checkpoint, off_policy, on_policy
from rlcourse.authoring.flatten import PACKAGE
from rlcourse.stats import History
from rlcourse.train import Diverged, load_agent, resolve, train

AGENTS = sorted(path.stem for path in (PACKAGE / "agents").glob("[a-z]*.py"))
OFF_POLICY = {"hidden": (8,), "batch_size": 8, "learning_starts": 120}
CONFIGS = {"reinforce": {"hidden": (8,), "episodes": 2, "baseline": "value"}}
PLAN = {"seeds": [0, 3], "steps": 240, "evaluate_every": 100, "eval_episodes": 1, "log_every": 20, "checkpoint_every": 50, "progress": False}
MOMENTS = [30, 115, 150, 199]       # the third while the checkpoint is written, the fourth between data and checkpoint


class Killed(BaseException):
    """What kill -9 looks like from inside: nothing runs any more."""


def arguments(agent: str, env: str = "") -> dict:
    discrete = getattr(resolve(agent, {})[0], "actions", "continuous") != "continuous"
    return {"agent": agent, "env": env or ("CartPole-v1" if discrete else "Pendulum-v1"), "config": CONFIGS.get(agent, OFF_POLICY), **PLAN}


def parts(state, path: str = "") -> dict:
    """A nested state as {path: leaf}."""
    items = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list | tuple) else None
    return {path: state} if items is None else {p: leaf for key, value in items for p, leaf in parts(value, f"{path}/{key}").items()}


def assert_same_run(out, reference) -> None:
    """All files are equal byte for byte, the checkpoint number for number."""
    names = {path.name for path in reference.iterdir()}
    assert {path.name for path in out.iterdir()} == names
    for name in names - {"checkpoint.pt", "config.json"}:
        assert (out / name).read_bytes() == (reference / name).read_bytes(), name
    ours, theirs = (parts(torch.load(folder / "checkpoint.pt", weights_only=True)) for folder in (out, reference))
    assert ours.keys() == theirs.keys() and len(ours) > 20
    for key, leaf in ours.items():
        assert torch.equal(leaf, theirs[key]) if isinstance(leaf, torch.Tensor) else leaf == theirs[key], key


def kill_at(patch, wanted: int, moment: int) -> None:
    """Stop at the first look-up at or after step `wanted`: at once, or at the next checkpoint."""
    def die(*_):
        raise Killed

    for loop in (off_policy.Run, on_policy.Run):
        def advance(run, advance=loop.advance):
            rows = advance(run)
            if run.step >= wanted:
                if moment == 2:
                    patch.setattr(checkpoint, "_packed", lambda state: b"half of it")
                    patch.setattr(checkpoint.os, "replace", die)
                elif moment == 3:
                    patch.setattr(checkpoint, "_replace", die)
                else:
                    die()
            return rows
        patch.setattr(loop, "advance", advance)


@pytest.mark.parametrize("agent", AGENTS)
def test_killed_four_times_a_run_ends_in_the_same_bits(agent, tmp_path, monkeypatch):
    train(**arguments(agent), out=tmp_path / "whole")
    for moment, step in enumerate(MOMENTS):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            kill_at(patch, step, moment)
            train(**arguments(agent), out=tmp_path / "killed", resume=moment > 0)
    history = train(**arguments(agent), out=tmp_path / "killed", resume=True)
    assert_same_run(tmp_path / "killed", tmp_path / "whole")
    assert history == History.from_csv(tmp_path / "whole" / "rows.csv")
    assert (tmp_path / "whole" / "replay.bin").exists() == (agent != "reinforce")


@pytest.mark.parametrize(("agent", "env"), [("reinforce", "CartPole-v1"), ("reinforce", "Hopper-v5"), ("soft_q", "CartPole-v1")])
def test_a_longer_run_continues_a_shorter_one(agent, env, tmp_path):
    """Also where the shorter one's fast seeds have gone past its end: what they measured there is in the checkpoint, and is written down now."""
    common = arguments(agent, env) | {"seeds": [0, 3, 4], "steps": 300}
    train(**common, out=tmp_path / "whole")
    train(**common | {"steps": 100}, out=tmp_path / "twice")
    shorter = History.from_csv(tmp_path / "twice" / "rows.csv")
    assert max(row.step for row in shorter.rows) == 100 and shorter.table("eval_return")[0].tolist() == [100]
    held = torch.load(tmp_path / "twice" / "checkpoint.pt", weights_only=True).get("held", [])
    assert len(held) > 3 if agent == "reinforce" else not held
    train(**common, out=tmp_path / "twice", resume=True)
    assert_same_run(tmp_path / "twice", tmp_path / "whole")


def test_a_seed_that_is_past_the_new_end_is_evaluated_there_too(tmp_path):
    """Lengthened to a step that is no multiple of evaluate_every, and that a fast seed has left behind."""
    common = arguments("reinforce", "Hopper-v5") | {"seeds": [0, 3, 4]}
    train(**common | {"steps": 100}, out=tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    end = max(state["clocks"]) - 1
    assert state["step"] < end and end % 100
    history = train(**common | {"steps": end}, out=tmp_path, resume=True)
    assert history.table("eval_return")[0][-1] == end and history == History.from_csv(tmp_path / "rows.csv")


def test_a_loaded_agent_of_discrete_actions_is_the_trained_one(tmp_path):
    trained = train(**arguments("reinforce"), out=tmp_path).agent
    loaded, env_id = load_agent(tmp_path)
    obs = torch.linspace(-1, 1, 40).view(2, 5, 4)
    assert env_id == "CartPole-v1" and loaded.discrete and torch.equal(loaded.actor(obs), trained.actor(obs))


def test_a_diverging_on_policy_run_is_stopped_by_name(tmp_path):
    with pytest.raises(Diverged, match=r"of seed 0 is (nan|-?inf) at step .*smaller lr"):
        train(**arguments("reinforce") | {"steps": 2000, "config": {"hidden": (8,), "lr": 1e30}}, out=tmp_path)
    saved = parts(torch.load(tmp_path / "diverged.pt", weights_only=True))
    assert not all(leaf.isfinite().all() for leaf in saved.values() if isinstance(leaf, torch.Tensor))


def test_kill_minus_nine(tmp_path):
    """A real one, twice, at whatever moment it comes; the same command with --resume goes on."""
    common = arguments("reinforce") | {"steps": 3000, "checkpoint_every": 200}
    words = ["reinforce", "--env", "CartPole-v1", "--seed-list", "0", "3", "--steps", "3000", "--evaluate-every", "100", "--eval-episodes", "1",
             "--log-every", "20", "--checkpoint-every", "200", "--quiet", "--set", "hidden=(8,)", "--set", "episodes=2", "--set", "baseline=value"]
    rows, written = tmp_path / "killed" / "rows.csv", 0
    for attempt, resume in enumerate(([], ["--resume"])):
        command = [sys.executable, "-m", "rlcourse", "train", *words, "--out", str(tmp_path / "killed"), *resume]
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"})
        wanted = written + 2500 * (attempt + 1)
        while running.poll() is None and not (rows.exists() and rows.stat().st_size > wanted):
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
        _, said = running.communicate()
        assert running.returncode == -signal.SIGKILL, said
        written = rows.stat().st_size
    train(**common, out=tmp_path / "killed", resume=True)
    train(**common, out=tmp_path / "whole")
    assert_same_run(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"lr": "word"}, "lr = 'word' is of type str, and lr needs float; the default is 0.0003.*--set lr=0.0003"),
        ({"capacity": 1e6}, "capacity = 1000000.0 is of type float, and capacity needs int.*--set capacity=1000000"),
        ({"hidden": 64}, r"hidden = 64 is of type int.*--set hidden=\(256,256\)"),
        ({"hidden": (64, "x")}, "hidden = .* is of type tuple, and hidden needs tuple.int"),
        ({"lr": True}, "lr = True is of type bool"),
        ({"target_entropy": "low"}, r"target_entropy = 'low' is of type str.*float \| None"),
    ],
)
def test_a_setting_of_the_wrong_kind_is_refused_by_name(setting, says):
    with pytest.raises(ValueError, match=f"SACConfig: {says}"):
        resolve("sac", setting)
    assert resolve("sac", {"lr": 1, "target_entropy": None, "hidden": [8, 8]})[1].hidden == (8, 8)
