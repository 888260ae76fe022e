"""Stored runs: whole, made by the command they state, and described with the numbers that are in them."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import rlcourse
from rlcourse import cli, workers
from rlcourse.stats import History, final_values, mean_interval

RESULTS = Path(rlcourse.__file__).parent / "results"
RUNS = sorted(folder.name for folder in RESULTS.iterdir() if folder.is_dir())
ROWS = dict(re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|", (RESULTS / "README.md").read_text(encoding="utf-8"), flags=re.M))


def test_every_stored_run_is_listed_with_its_command():
    commands = {run: json.loads((RESULTS / run / "config.json").read_text(encoding="utf-8"))["command"] for run in RUNS}
    assert commands == ROWS


@pytest.mark.parametrize("run", RUNS)
def test_the_command_asks_for_what_the_config_says(run, monkeypatch, tmp_path):
    config, asked = json.loads((RESULTS / run / "config.json").read_text(encoding="utf-8")), {}

    def note(**options):
        asked.update(options)
        raise SystemExit

    monkeypatch.setattr(workers, "train", note)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        cli.main(shlex.split(config["command"])[1:])
    assert (asked["agent"], asked["env"], asked["steps"], asked["seeds"]) == (config["agent"], config["env"], config["steps"], config["seeds"])
    assert asked["matmul"] == config.get("matmul", "exact")
    for name, value in asked["config"].items():
        stored = config["config"][name]
        assert value == (tuple(stored) if isinstance(stored, list) else stored)


@pytest.mark.parametrize("run", RUNS)
def test_every_seed_is_there_to_the_last_step_and_its_return_is_the_one_that_is_printed(run):
    config, history = json.loads((RESULTS / run / "config.json").read_text(encoding="utf-8")), History.from_csv(RESULTS / run / "rows.csv")
    steps, values = history.table("eval_return")
    assert values.shape == (len(config["seeds"]), config["steps"] // config["evaluate_every"]) and steps[-1] == config["steps"]
    assert np.isfinite([row.value for row in history.rows]).all()
    mean, low, high = mean_interval(final_values(history))
    printed = re.search(rf"^\| `{re.escape(run)}` .*\| ([^|]+) \|$", (RESULTS / "README.md").read_text(encoding="utf-8"), flags=re.M)[1]
    assert printed == f"{mean:,.0f} ({low:,.0f} to {high:,.0f})"


def test_the_word_of_caution_states_what_is_in_the_files():
    text = (RESULTS / "README.md").read_text(encoding="utf-8")
    finals = {}
    for label, run in (("with the random first phase", "sac-HalfCheetah-v5-small"), ("without it", "sac-HalfCheetah-v5-small-no-first-phase")):
        finals[label] = values = np.sort(final_values(History.from_csv(RESULTS / run / "rows.csv")))
        mean, low, high = mean_interval(values)
        assert len(values) == 30
        assert f"| {label} | {mean:,.0f} ({low:,.0f} to {high:,.0f}) | {(values < 1500).sum()} | {values[-5:].mean():,.0f} |" in text
    good, bad = finals.values()
    assert bad[-5:].mean() > good.mean() > bad.mean(), "the best five of the worse version look better than the better one"
    configs = [json.loads((RESULTS / run / "config.json").read_text(encoding="utf-8")) for run in ("sac-HalfCheetah-v5-small",
                                                                                                   "sac-HalfCheetah-v5-small-no-first-phase")]
    differing = {name for name in configs[0]["config"] if configs[0]["config"][name] != configs[1]["config"][name]}
    assert differing == {"learning_starts"}
