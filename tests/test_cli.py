"""The command line: it answers at once, explains itself, and tells an expected error from a bug."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rlcourse import cli, train
from rlcourse.authoring import doctor
from rlcourse.equations import max_entropy

COURSE = Path(__file__).resolve().parents[1]


def python(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=COURSE, check=False, timeout=120)


def test_help_answers_at_once():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = python("-m", "rlcourse", "--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0 and all(command in done.stdout for command in cli.COMMANDS)
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < 1.0


def test_nothing_heavy_is_imported_before_it_is_needed():
    heavy = ["torch", "numpy", "scipy", "sympy", "gymnasium", "mujoco", "matplotlib", "jupyterlab", "IPython"]
    done = python("-c", f"import rlcourse.cli, sys; print([name for name in {heavy} if name in sys.modules])")
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0 and cli.COMMANDS[command].__doc__.split(".")[0].split(",")[0] in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("words", [[], ["dance"], ["train"], ["train", "sac"], ["flatten"], ["train", "sac", "--env", "x", "--steps", "many"]])
def test_a_command_line_that_is_not_understood_exits_with_2(words, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["check", "nowhere.ipynb"], "There is no file nowhere.ipynb"),
        (["flatten", "sacc"], "Did you mean sac?"),
        (["train", "sacc", "--env", "Pendulum-v1"], "There is: cem_q, ddpg"),
        (["train", "sac", "--env", "Pendulum-v9"], "Did you mean Pendulum-v1?"),
        (["train", "sac", "--env", "Pendulum-v1", "--set", "gama=0.9"], "Did you mean 'gamma'?"),
        (["train", "sac", "--env", "Pendulum-v1", "--set", "gamma"], "--set needs name=value"),
        (["train", "sac", "--env", "Pendulum-v1", "--set", "lr=word"], "SACConfig: lr = 'word' is of type str, and lr needs float"),
        (["train", "soft_q", "--env", "Pendulum-v1"], "SOFTQ needs discrete actions"),
        (["train", "sac", "--env", "CartPole-v1"], "continuous"),
    ],
)
def test_an_expected_error_is_one_line_that_says_what_to_do(words, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 1
    said = capsys.readouterr().err
    assert said.startswith("rlcourse: ") and says in said and said.count("\n") == 1


def test_the_operating_systems_errors_are_expected_too():
    assert cli.error_line(FileNotFoundError(2, "No such file or directory", "x.csv")) == "No such file or directory (x.csv)."
    assert "free some space" in cli.error_line(OSError(28, "No space left on device", "rows.csv"))
    assert cli.is_expected(PermissionError(13, "Permission denied"))


def test_an_unexpected_error_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(doctor, "diagnose", lambda: [][0])
    with pytest.raises(IndexError):
        cli.main(["doctor"])


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("max_entropy.sac_target(*[torch.ones(3)] * 5, gamma=2.0, alpha=0.1)", True),  # a `raise` of the package
        ("max_entropy.sac_target(torch.ones(2), *[torch.ones(3)] * 4, gamma=0.9, alpha=0.1)", True),  # ShapeError
        ("torch.ones(2) @ torch.ones(3)", False),  # torch's own RuntimeError
        ("cli.settings([int('x')])", False),  # Python's own ValueError
        ("cli.result_table([(0, 1, 'loss', 'high')], 'run')", False),  # NumPy's, met inside the package
    ],
)
def test_which_errors_are_expected(code, expected):
    with pytest.raises((ValueError, RuntimeError)) as caught:
        eval(code, {"cli": cli, "torch": torch, "max_entropy": max_entropy})
    assert cli.is_expected(caught.value) is expected


def test_settings_are_python_literals_or_words():
    assert cli.settings(["gamma=0.98", "hidden=(64,64)", "dtype=float64"]) == {"gamma": 0.98, "hidden": (64, 64), "dtype": "float64"}


def asked_of_train(monkeypatch, words: list[str]) -> dict:
    """The keyword arguments that a command line gives to rlcourse.train.train."""
    asked = {}
    monkeypatch.setattr(train, "train", lambda **arguments: asked.update(arguments) or train.History(rows=[train.Row(0, 1, "loss", 2.0)]))
    assert cli.main(["train", "sac", "--env", "HalfCheetah-v5", *words]) == 0
    return asked


def test_train_passes_on_what_it_was_told(monkeypatch, capsys):
    words = "--seeds 3 --steps 70 --set gamma=0.9 --set tau=0.1 --resume --log-every 7 --quiet"
    assert asked_of_train(monkeypatch, words.split()) == {
        "agent": "sac",
        "env": "HalfCheetah-v5",
        "seeds": [0, 1, 2],
        "steps": 70,
        "device": "cpu",
        "out": Path("runs/sac-HalfCheetah-v5"),
        "resume": True,
        "config": {"gamma": 0.9, "tau": 0.1},
        "matmul": "exact",
        "compile": False,
        "progress": False,
        "log_every": 7,
    }
    assert "runs/sac-HalfCheetah-v5" in capsys.readouterr().out


def test_a_seed_list_replaces_the_number_of_seeds(monkeypatch, tmp_path):
    asked = asked_of_train(monkeypatch, ["--seed-list", "3", "7", "9", "--out", str(tmp_path)])
    assert asked["seeds"] == [3, 7, 9] and asked["out"] == tmp_path


def test_ctrl_c_exits_with_130_and_says_how_to_continue(monkeypatch, capsys):
    def interrupted(**_):
        raise train.Interrupted("continue with --resume")

    monkeypatch.setattr(train, "train", interrupted)
    assert cli.main(["train", "sac", "--env", "Pendulum-v1"]) == 130
    assert "continue with --resume" in capsys.readouterr().err


def test_the_table_shows_each_seeds_last_value_with_students_interval():
    rows = [(0, 10, "episode_return", 100.0), (0, 20, "episode_return", 1.0), (1, 18, "episode_return", 3.0)]
    said = [next(iter(column.cells)) for column in cli.result_table(rows, "run").columns]
    assert said == ["episode_return", "20", "2", "2", "-10.71 to 14.71"]  # of 1 and 3: mean 2, t = 12.706, s = sqrt(2), n = 2


def test_train_from_the_shell_writes_its_files_and_a_table(tmp_path):
    words = "train sac --env Pendulum-v1 --steps 70 --set hidden=(8,) --set learning_starts=60 --set batch_size=8 --eval-episodes 1 --out"
    done = python("-m", "rlcourse", *words.split(), str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert {"config.json", "rows.csv"} <= set(os.listdir(tmp_path / "run"))
    assert "eval_return" in done.stdout and "Files: " in done.stdout


def test_a_closed_pipe_is_no_traceback():
    """`true` reads nothing and is gone before the file is written."""
    command = f"{sys.executable} -m rlcourse flatten sac | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=COURSE, check=False)
    assert (done.stdout, done.stderr) == ("", "")
