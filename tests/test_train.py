"""The loop: what it measures, that it repeats itself bit for bit, and that nothing is lost when it is stopped, cut off, or goes wrong."""

import errno
import json
import shlex
import signal

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlcourse import checkpoint, cli
from rlcourse import train as loops
from rlcourse.checkpoint import DiskFull, RunFolderError
from rlcourse.equations import distributions
from rlcourse.stats import History
from rlcourse.train import Diverged, Interrupted, evaluate, load_agent, policy, train

TINY = {"hidden": (8, 8), "batch_size": 16, "learning_starts": 50}
SHORT = {"seeds": [0, 3], "steps": 600, "config": TINY | {"learning_starts": 250}, "progress": False,
         "evaluate_every": 300, "eval_episodes": 2, "log_every": 50, "checkpoint_every": 100}


@pytest.fixture(scope="module")
def pendulum(tmp_path_factory):
    """The folder of a run that nothing disturbed."""
    train("sac", "Pendulum-v1", out=(out := tmp_path_factory.mktemp("uninterrupted") / "Pendulum-v1"), **SHORT)
    return out


@pytest.fixture(scope="module")
def hopper(tmp_path_factory):
    """The same in MuJoCo. Hopper falls, so that its two seeds are in the middle of different episodes at almost every step."""
    train("sac", "Hopper-v5", out=(out := tmp_path_factory.mktemp("uninterrupted") / "Hopper-v5"), **SHORT)
    return out


def at_step(monkeypatch, wanted: int, act) -> None:
    """Call act() during environment step `wanted`."""
    advance = loops.Run.advance

    def advance_and_act(run):
        rows = advance(run)
        if run.step == wanted:
            act()
        return rows

    monkeypatch.setattr(loops.Run, "advance", advance_and_act)


def parts(state, path: str = "") -> dict:
    """A nested state as {path: leaf}."""
    items = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list | tuple) else None
    return {path: state} if items is None else {p: leaf for key, value in items for p, leaf in parts(value, f"{path}/{key}").items()}


def assert_same_run(out, reference) -> None:
    """rows.csv, replay.bin and config.json are equal byte for byte; so is everything in the checkpoint."""
    for name in ("rows.csv", "replay.bin", "config.json"):
        assert (out / name).read_bytes() == (reference / name).read_bytes(), name
    ours, theirs = (parts(torch.load(folder / "checkpoint.pt", weights_only=True)) for folder in (out, reference))
    assert ours.keys() == theirs.keys() and len(ours) > 50
    for key, leaf in ours.items():
        assert torch.equal(leaf, theirs[key]) if isinstance(leaf, torch.Tensor) else leaf == theirs[key], key


@pytest.mark.parametrize("env", ["pendulum", "hopper"])
def test_ctrl_c_saves_and_resume_continues_to_the_same_bits(request, env, tmp_path, monkeypatch):
    uninterrupted = request.getfixturevalue(env)
    with monkeypatch.context() as patch, pytest.raises(Interrupted, match=r"stopped at step 350 of 600.*--resume"):
        at_step(patch, 350, lambda: signal.raise_signal(signal.SIGINT))
        train("sac", uninterrupted.name, out=tmp_path, **SHORT)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 350
    history = train("sac", uninterrupted.name, out=tmp_path, resume=True, **SHORT)
    assert_same_run(tmp_path, uninterrupted)
    assert history == History.from_csv(uninterrupted / "rows.csv")


class Killed(BaseException):
    """What kill -9 looks like from inside: nothing runs any more."""


@pytest.mark.parametrize(
    ("env", "moment", "step", "saved"),
    [
        ("pendulum", "before the first checkpoint", 60, None),
        ("pendulum", "among the random actions", 165, 100),
        ("hopper", "in the middle of an episode", 365, 300),
        ("hopper", "between data and checkpoint", 399, 300),
        ("pendulum", "while writing it", 399, 300),
    ],
)
def test_a_crash_at_any_moment_leaves_something_to_continue_from(request, env, tmp_path, monkeypatch, moment, step, saved):
    uninterrupted = request.getfixturevalue(env)

    def die(*_):
        assert (tmp_path / "rows.csv").read_text().count("loss_q") == {60: 0, 165: 0, 365: 4, 399: 6}[step], "every row is on the disk at once"
        raise Killed

    def spoil_the_next_checkpoint():
        patch.setattr(checkpoint, "_packed", lambda state: b"half of it")
        patch.setattr(checkpoint.os, "replace", die)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        at_step(patch, step, {"between data and checkpoint": lambda: patch.setattr(checkpoint, "_replace", die),
                              "while writing it": spoil_the_next_checkpoint}.get(moment, die))
        train("sac", uninterrupted.name, out=tmp_path, **SHORT)
    assert (tmp_path / "checkpoint.pt").exists() == (saved is not None)
    assert saved is None or torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == saved
    train("sac", uninterrupted.name, out=tmp_path, resume=True, **SHORT)
    assert_same_run(tmp_path, uninterrupted)


@pytest.mark.parametrize("name", ["rows.csv", "replay.bin", "checkpoint.pt"])
def test_a_full_disk_is_a_clear_error_and_the_last_checkpoint_is_intact(pendulum, tmp_path, monkeypatch, name):
    with monkeypatch.context() as patch, pytest.raises(DiskFull, match=r"disk is full: .*The last checkpoint is intact; free some space.*--resume"):
        at_step(patch, 350, lambda: fill_disk(patch, name))
        train("sac", "Pendulum-v1", out=tmp_path, **SHORT)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 300 and not list(tmp_path.glob("*.tmp"))
    train("sac", "Pendulum-v1", out=tmp_path, resume=True, **SHORT)
    assert_same_run(tmp_path, pendulum)


def fill_disk(patch, name: str) -> None:
    """From now on, writing this file stops half-way with "no space left on device"."""
    class FullFile:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, attribute):
            return getattr(self.file, attribute)

        def write(self, content):
            self.file.write(content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

    if name == "checkpoint.pt":
        patch.setattr(checkpoint.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
    else:
        wrap = name.removesuffix(".csv").removesuffix(".bin") + "_file"
        append, save = checkpoint.RunFolder.append, checkpoint.RunFolder.save
        for method, original in (("append", append), ("save", save)):
            def full(folder, *args, original=original):
                if not isinstance(getattr(folder, wrap), FullFile):
                    setattr(folder, wrap, FullFile(getattr(folder, wrap)))
                return original(folder, *args)
            patch.setattr(checkpoint.RunFolder, method, full)


def test_a_longer_run_continues_a_shorter_one(pendulum, tmp_path):
    train("sac", "Pendulum-v1", out=tmp_path, **SHORT | {"steps": 300})
    train("sac", "Pendulum-v1", out=tmp_path, resume=True, **SHORT)
    assert_same_run(tmp_path, pendulum)
    finished = train("sac", "Pendulum-v1", out=tmp_path, resume=True, **SHORT)
    assert finished == History.from_csv(tmp_path / "rows.csv")
    assert_same_run(tmp_path, pendulum)


def test_the_command_in_config_json_repeats_the_run(pendulum, tmp_path, capsys):
    words = shlex.split(json.loads((pendulum / "config.json").read_text())["command"])
    assert words[0] == "rlcourse" and cli.main([*words[1:], "--out", str(tmp_path / "again"), "--quiet"]) == 0
    assert_same_run(tmp_path / "again", pendulum)


def test_the_global_generators_are_neither_read_nor_moved(pendulum, tmp_path):
    torch.manual_seed(12), np.random.seed(34)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    train("sac", "Pendulum-v1", out=tmp_path, **SHORT)
    assert_same_run(tmp_path, pendulum)
    assert torch.equal(before[0], torch.get_rng_state()) and (before[1] == np.random.get_state()[1]).all()


def test_a_loaded_agent_acts_as_the_trained_one(hopper):
    agent, env_id = load_agent(hopper)
    returns = evaluate(agent, env_id, episodes=2, at=600)
    _, stored = History.from_csv(hopper / "rows.csv").table("eval_return")
    np.testing.assert_array_equal(returns.mean(1), stored[:, -1])
    assert len(np.unique([returns, evaluate(agent, env_id, episodes=2, at=300)])) == 8, "fresh first states for every seed, episode and moment"
    obs = np.linspace(-1, 1, agent.actor.sizes[0])
    everyone = agent.act(torch.tensor(obs, dtype=torch.float32).expand(2, 1, -1))
    np.testing.assert_array_equal(policy(agent, copy=1)(obs), everyone[1, 0].numpy())


class Scripted(gym.Env):
    """Rewards that are known: step t of an episode earns t; the episode terminates at 7; one reward of one run is nan if asked for."""

    observation_space, action_space = gym.spaces.Box(-1, 1, (2,)), gym.spaces.Box(-1, 1, (1,))
    nan_at: int | None = None

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.total = 0, getattr(self, "total", 0)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.t, self.total = self.t + 1, self.total + 1
        return np.full(2, self.t / 7, np.float32), np.nan if self.total == self.nan_at else float(self.t), self.t == 7, False, {}


gym.register("Scripted-v0", entry_point=Scripted)


def test_what_is_measured_is_what_happened():
    history = train("sac", "Scripted-v0", seeds=[5, 6], steps=100, config=TINY, progress=False, evaluate_every=40, log_every=30, eval_episodes=3)
    steps, returns = history.table("episode_return")
    assert steps.tolist() == list(range(7, 101, 7)) and (returns == 28).all()
    assert (history.table("episode_length")[1] == 7).all()
    assert history.table("eval_return")[0].tolist() == [40, 80, 100] and (history.table("eval_return")[1] == 28).all()
    assert history.table("alpha")[0].tolist() == [60, 90] and history.seeds() == [5, 6]


def test_how_often_one_looks_changes_nothing(tmp_path):
    common = {"seeds": [2], "steps": 200, "config": TINY, "progress": False, "log_every": 100}
    often, rarely = (train("sac", "Pendulum-v1", evaluate_every=every, **common) for every in (50, 200))
    assert often.series("loss_q", 2)[1].tolist() == rarely.series("loss_q", 2)[1].tolist()
    assert [row for row in often.rows if row.step == 200] == [row for row in rarely.rows if row.step == 200]


@pytest.mark.parametrize("guards", ["read values", "cannot, as on a GPU"])
def test_a_nan_stops_the_run_by_name_before_it_reaches_a_checkpoint(tmp_path, monkeypatch, guards):
    if "cannot" in guards:
        monkeypatch.setattr(distributions, "holds_if_readable", lambda condition: True)
    advance = loops.Run.advance

    def advance_with_one_bad_seed(run):
        run.envs[1].env.unwrapped.nan_at = 230
        return advance(run)

    monkeypatch.setattr(loops.Run, "advance", advance_with_one_bad_seed)
    with pytest.raises(Diverged, match=r"loss_q of seed 9 is nan at step 2\d\d.*reward of the environment is not finite.*diverged.pt"):
        train("sac", "Scripted-v0", seeds=[8, 9], steps=1000, config=TINY, out=tmp_path, log_every=20, checkpoint_every=10, progress=False)
    saved = {name: parts(torch.load(tmp_path / name, weights_only=True)) for name in ("checkpoint.pt", "diverged.pt")}
    finite = {name: all(leaf.isfinite().all() for leaf in state.values() if isinstance(leaf, torch.Tensor)) for name, state in saved.items()}
    assert finite == {"checkpoint.pt": True, "diverged.pt": False}
    assert 230 <= saved["checkpoint.pt"]["/step"] < saved["diverged.pt"]["/step"] < 300
    assert History.from_csv(tmp_path / "rows.csv").series("loss_q", 9)[0].max() >= 220, "every row up to there is on the disk"


def test_a_run_that_diverges_by_itself_is_told_from_a_broken_environment():
    with pytest.raises(Diverged, match=r"all stored observations and rewards are finite.*smaller lr"):
        train("sac", "Pendulum-v1", steps=400, config=TINY | {"lr": 1e30}, progress=False)


def test_a_folder_is_never_overwritten(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunFolderError, match=r"is not empty.*--resume"):
        train("sac", "Scripted-v0", steps=60, config=TINY, out=tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(RunFolderError, match="holds no run"):
        train("sac", "Scripted-v0", steps=60, config=TINY, out=tmp_path, resume=True, progress=False)


def test_another_configuration_does_not_continue_a_run(tmp_path):
    train("sac", "Scripted-v0", seeds=[1], steps=60, config=TINY, out=tmp_path, progress=False)
    before = (tmp_path / "rows.csv").read_bytes()
    same = {"env": "Scripted-v0", "seeds": [1], "steps": 60, "config": TINY, "out": tmp_path, "resume": True, "progress": False}
    for changed, says in (({"config": TINY | {"gamma": 0.5}}, "config.gamma was 0.99 and is now 0.5"), ({"seeds": [2]}, r"seeds was \[1\]"),
                          ({"env": "Pendulum-v1"}, "env was 'Scripted-v0' and is now 'Pendulum-v1'")):
        with pytest.raises(RunFolderError, match=f"{says}.*rlcourse train sac"):
            train(**same | changed)
    assert (tmp_path / "rows.csv").read_bytes() == before


def test_without_a_folder_ctrl_c_says_so_and_a_second_one_stops_at_once(monkeypatch):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)      # a shell's background job starts with SIGINT ignored
    with monkeypatch.context() as patch, pytest.raises(Interrupted, match=r"stopped at step 70 of 200.*out=None"):
        at_step(patch, 70, lambda: signal.raise_signal(signal.SIGINT))
        train("sac", "Scripted-v0", steps=200, config=TINY, progress=False)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt) as stopped:
        at_step(patch, 70, lambda: [signal.raise_signal(signal.SIGINT) for _ in range(2)])
        train("sac", "Scripted-v0", steps=200, config=TINY, progress=False)
    assert not isinstance(stopped.value, Interrupted) and signal.signal(signal.SIGINT, before) is signal.default_int_handler


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"agent": "sca"}, "no agent is called 'sca'. There is: .*sac"),
        ({"config": {"learning_rate": 1}}, "SACConfig has no 'learning_rate'.*lr"),
        ({"config": {"gama": 1}}, "Did you mean 'gamma'"),
        ({"env": "CartPole-v1"}, "SAC needs continuous actions"),
        ({"env": "Pendulum-v7"}, "Did you mean Pendulum-v1"),
        ({"seeds": [1, 1]}, "each once"),
        ({"seeds": 0}, "at least one"), ({"steps": 0}, "steps = 0"),
        ({"device": "gpu"}, "'gpu' is unknown"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(tmp_path, wrong, says):
    with pytest.raises(ValueError, match=says):
        train(**{"agent": "sac", "env": "Scripted-v0", "steps": 60, "config": TINY, "out": tmp_path / "run"} | wrong)
    assert not (tmp_path / "run").exists()


def test_the_progress_bar_goes_to_stderr_and_can_be_silenced(capsys):
    train("sac", "Scripted-v0", steps=60, config=TINY, progress=False)
    assert capsys.readouterr() == ("", "")
    train("sac", "Scripted-v0", steps=60, config=TINY)
    out, err = capsys.readouterr()
    assert out == "" and "60/60" in err and "eval_return=28.0" in err
