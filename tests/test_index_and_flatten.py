"""`rlcourse index` and `rlcourse flatten`: the course read as text, without running it."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from rlcourse import cli, train
from rlcourse.authoring import equation_index, flatten

TINY = {"hidden": (8,), "learning_starts": 60, "batch_size": 8}


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("y = r + γ V   [13.9]", ["13.9"]),
        ("see [13.6, 13.5] and [13.10]", ["13.6", "13.5", "13.10"]),
        (r"$$a = \tanh u \tag{13.5}$$", ["13.5"]),
        ("bounds [0.5], [3.25], [-38.6137], 13.5 alone", []),
    ],
)
def test_tags_are_found_and_numbers_are_not(text, tags):
    assert equation_index.tags_in(text) == tags


PLANTED = {
    "rlcourse/equations/squares.py": 'def square(x):\n    """x². [77.1]"""\n\n\ndef cube(x):\n    """x³. [77.2]"""\n',
    "rlcourse/agents/sq.py": "class SQ:\n    def update(self):\n        loss = eq.square(3)  # [77.1]\n",
    "rlcourse/checks/lecture_77/sq.py": 'EXERCISE = Exercise(id="77.1", tags=("[77.1]",))\n',
    "notebooks/source/77_squares.py": (
        '# %% [markdown]\n# ## The square\n# $$x^2 \\tag{77.1}$$\n\n'
        '# %% tags=["derivation"]\nDerivation("A square", tag="77.3", start=x)  # see [77.10]\n'
    ),
    "tests/test_squares.py": "def area(x):\n    return squares.square(x)\n\n\ndef test_area():\n    assert area(2) == 4\n",
}


@pytest.fixture
def planted(tmp_path):
    for name, text in PLANTED.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_an_entry_joins_lecture_code_use_test_and_exercise(planted):
    first = {entry.tag: entry for entry in equation_index.build(planted)}["77.1"]
    assert first.lecture == ["notebooks/source/77_squares.py:1 The square"]
    assert first.functions == ["rlcourse/equations/squares.py:1 square"]
    assert first.used == ["rlcourse/agents/sq.py:3 SQ.update"]
    assert first.tests == ["tests/test_squares.py:5 test_area"]
    assert first.exercises == ["rlcourse/checks/lecture_77/sq.py:1 exercise 77.1"]
    assert [entry.tag for entry in equation_index.build(planted)] == ["77.1", "77.2", "77.3", "77.10"]


def test_what_is_missing_is_said(planted):
    assert equation_index.problems(planted) == [
        "[77.2] is used in rlcourse/equations/squares.py:5 cube and occurs in no cell of lecture 77.",
        "rlcourse/equations/squares.py:5 cube: no test names cube.",
    ]
    (planted / "notebooks/source/77_squares.py").unlink()
    assert equation_index.problems(planted) == ["rlcourse/equations/squares.py:5 cube: no test names cube."]


def test_index_lists_the_courses_own_equations(capsys):
    code = cli.main(["index", "--json"])
    report = json.loads(capsys.readouterr().out)
    entry = {entry["tag"]: entry for entry in report["equations"]}["13.9"]
    assert any(place.endswith(" sac_target") for place in entry["functions"]) and any(place.endswith(" SAC.update") for place in entry["used"])
    assert code == (1 if report["problems"] else 0)


@pytest.fixture(scope="module")
def flat_sac(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("flat") / "sac.py"
    path.write_text(flatten.flatten("sac"))
    return path


def test_the_flattened_loop_is_the_agents():
    on, off = (flatten.flatten(agent) for agent in ("reinforce", "soft_q"))
    assert "on_policy.py ---" in on and "off_policy.py ---" not in on and "ReplayBuffer" not in on
    assert "off_policy.py ---" in off and "/on_policy.py ---" not in off and "reward_to_go" not in off
    assert 'default="CartPole-v1"' in on and 'default="CartPole-v1"' in off and 'default="Pendulum-v1"' in flatten.flatten("sac")


AGENTS = sorted(path.stem for path in (flatten.PACKAGE / "agents").glob("[a-z]*.py"))
SMALL = {"reinforce": {"hidden": (8,), "episodes": 2}}
ENVS = {"reinforce": "CartPole-v1", "soft_q": "CartPole-v1"}


@pytest.mark.parametrize("agent", AGENTS)
def test_the_flattened_run_equals_the_packages_bit_for_bit(agent, tmp_path):
    """Of every agent there is; the file alone in a folder, in a Python that sees nothing of rlcourse."""
    (tmp_path / "flat.py").write_text(flatten.flatten(agent))
    env, config = ENVS.get(agent, "Pendulum-v1"), SMALL.get(agent, TINY)
    words = ["--env", env, "--seeds", "0", "5", "--steps", "200", "--log-every", "20", "--evaluate-every", "90", "--eval-episodes", "1"]
    words += [word for name, value in config.items() for word in ("--set", f"{name}={value}")]
    done = subprocess.run([sys.executable, "-I", "flat.py", *words], capture_output=True, text=True, cwd=tmp_path, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    history = train.train(agent, env, [0, 5], 200, config=config, log_every=20, evaluate_every=90, eval_episodes=1, progress=False)
    history.to_csv(tmp_path / "rows.csv")
    assert len(history.rows) > 30 and history.table("eval_return")[0].tolist() == [90, 180, 200]
    assert done.stdout == (tmp_path / "rows.csv").read_text()


def test_the_flattened_file_needs_nothing_of_rlcourse(flat_sac):
    imports = [ast.unparse(node) for node in ast.walk(ast.parse(flat_sac.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert len(imports) > 10 and not [line for line in imports if "rlcourse" in line]
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "F,E9", "--quiet", str(flat_sac)]
    assert subprocess.run(ruff, capture_output=True, text=True, check=False).stdout == ""


def test_the_flattened_file_holds_what_is_used_and_no_more(flat_sac):
    text = flat_sac.read_text()
    for kept in ("def sac_target(", "class TanhGaussian", "class MLP", "def polyak(", "class ReplayBuffer", "class SAC:", "[13.9]", "= sac_target("):
        assert kept in text, kept
    for absent in ("def gae(", "class Categorical", "RunFolder", "class CtrlC", "def load_state_dict", "def append_to", "eq.sac_target"):
        assert absent not in text, absent
    order = [text.index(f"rlcourse/{name}.py ---") for name in ("types", "equations/max_entropy", "nets", "agents/sac", "off_policy")]
    assert order == sorted(order) and text == flatten.flatten("sac")


AMBIGUOUS = {
    "one.py": "def _shape():\n    return 1\n\n\ndef one():\n    return _shape()\n",
    "two.py": "from rlcourse import one\n\n\ndef _shape():\n    return 2\n\n\ndef two():\n    return one.one() + _shape()\n",
    "bad.py": "from rlcourse import one as other\n\n\ndef bad():\n    one = other.one()\n    return one\n",
}


def test_two_meanings_of_a_name_are_refused(tmp_path, monkeypatch):
    (tmp_path / "rlcourse").mkdir()
    for name, text in AMBIGUOUS.items():
        (tmp_path / "rlcourse" / name).write_text(text)
    monkeypatch.setattr(flatten, "PACKAGE", tmp_path / "rlcourse")
    flatten.read.cache_clear()
    for root, says in ((("rlcourse.two", "two"), "'_shape' is made by"), (("rlcourse.bad", "bad"), "rename the variable")):
        with pytest.raises(flatten.FlattenError, match=says):
            flatten.written(flatten.needed([root], ast.parse("")), [root])
    flatten.read.cache_clear()
