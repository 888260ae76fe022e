"""`rlcourse bench`: turns, ratios, rows that are kept, a peer that is not there. Timings are invented here."""

import json
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from rlcourse import bench, bench_peers, bench_table, cli, train
from rlcourse.bench_peers import Work

WORK = Work("sac", "rlcourse", "sac", "Pendulum-v1", hidden=(8,), batch_size=16, steps=20, warm=20)
# invented CPU ms per agent-step
FACTOR = {"rlcourse": 4.0, "rlcourse matmul fast": 2.0, "rlcourse matmul fast compiled": 1.0, "sb3": 8.0, "sbx": 3.0}


@pytest.fixture
def everything_there(monkeypatch):
    """Both peers seem installed, with a version each."""
    monkeypatch.setattr(bench, "missing", lambda system: "")
    monkeypatch.setattr(bench.metadata, "version", lambda name: "1.0")


class Machine:
    """Stands for bench.in_process: invented costs, on a machine that is `drift` times slower in each later round."""

    def __init__(self, drift: float = 1.0, stop_after: int = 10**9) -> None:
        self.drift, self.stop_after, self.asked, self.said = drift, stop_after, [], []

    def __call__(self, work: Work, timeout: float | None) -> dict:
        if len(self.asked) == self.stop_after:
            raise KeyboardInterrupt
        earlier = self.asked.count(work)
        self.asked.append(work)
        cpu_s = FACTOR[work.system] / 1000 * self.drift**earlier * work.steps * len(work.seeds) * work.batch_size / 256
        learnt = {"final": [float(seed) for seed in work.seeds], "area": [-1.0 for _ in work.seeds]} if work.measure == "learn" else {}
        return {"wall_s": 3 * cpu_s, "cpu_s": cpu_s, "agent_steps": work.steps * len(work.seeds), "peak_mb": 100.0, **learnt}

    def bench(self, file: Path | None = None, **options) -> list[dict]:
        return bench.bench(file=file, run=self, say=self.said.append, **{"only": ("sac",), **options})


# ── turns, medians, ratios ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_systems_take_turns_and_every_other_round_goes_backwards(everything_there):
    machine = Machine()
    machine.bench()
    there = list(FACTOR)
    assert [work.system for work in machine.asked] == there + there[::-1] + there
    assert len({replace(work, system="") for work in machine.asked}) == 1, "all systems are given the same work"


@pytest.mark.parametrize("drift", [1.0, 1.7])
def test_medians_and_ratios_are_those_of_the_invented_costs(everything_there, drift):
    lines = {line["system"]: line for line in bench_table.summary(Machine(drift).bench())}
    middle = drift       # the second of three rounds
    for system, ms in FACTOR.items():
        line = lines[system]
        assert line["ratio"] == pytest.approx(FACTOR["sb3"] / ms), "a ratio is formed within a round, so a drift of the machine does not change it"
        assert line["cpu_ms"] == pytest.approx(ms * middle) and line["speed"] == pytest.approx(1000 / (ms * middle))
        assert line["steps_s"] == pytest.approx(1000 / (3 * ms * middle)) and (line["rounds"], line["peak_mb"]) == (3, 100.0)


def test_ratios_are_medians_of_rounds_and_not_quotients_of_medians():
    costs = {"sb3": [1.0, 10.0, 3.0], "rlcourse": [0.5, 2.0, 3.0]}     # ratios 2, 5, 1; medians 3 and 2
    rows = [{"work": asdict(replace(WORK, system=system)), "round": k, "result": {"cpu_s": cost, "wall_s": 1.0, "agent_steps": 1, "peak_mb": 1.0}}
            for system, each in costs.items() for k, cost in enumerate(each)]
    assert {line["system"]: line["ratio"] for line in bench_table.summary(rows)} == {"sb3": 1.0, "rlcourse": 2.0}
    assert {line["ratio"] for line in bench_table.summary(rows[3:])} == {None}, "without SB3 in the round there is no ratio"


def test_seeds_at_once_are_compared_with_one_seed_of_sb3_by_agent_steps(everything_there):
    lines = bench_table.summary(Machine().bench(only=("seeds",)))
    ours = [line for line in lines if line["system"] == "rlcourse"]
    assert [line["seeds"] for line in ours] == [1, 2, 5, 10, 20]
    assert all(line["ratio"] == pytest.approx(2) and line["speed"] == pytest.approx(250) for line in ours)
    assert ours[-1]["steps_s"] == pytest.approx(1000 / (3 * 4.0 * 20)), "steps/s counts the steps of one seed"


def test_batch_sizes_stand_in_the_order_of_numbers_and_are_not_compared_with_each_other(everything_there):
    lines = bench_table.summary(Machine().bench(only=("batch",)))
    assert [line["batch_size"] for line in lines if line["system"] == "sb3"] == [32, 64, 128, 512, 1024]
    assert {line["ratio"] for line in lines if line["system"] == "sb3"} == {1.0}


# ── what is measured ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_plan_is_the_work_that_was_promised():
    flat = [work for group in bench.plan() for work in group]
    whole = {(work.agent, work.system) for work in flat if work.measure == "step" and work.env == "HalfCheetah-v5"}
    assert whole == {(agent, system) for agent in ("sac", "td3") for system in FACTOR}
    assert all(work.hidden == (256, 256) and work.batch_size == 256 for work in flat if work.name in ("sac", "td3", "update"))
    assert len(set(flat)) == len(flat) and all(len(work.seeds) == 1 for work in flat if work.system in ("sb3", "sbx"))
    runs = [work for group in bench.learning() for work in group]
    for env in ("Pendulum-v1", "InvertedPendulum-v5"):
        for agent in ("sac", "td3", "ddpg"):
            seeds = {system: sorted(seed for work in runs if (work.env, work.agent, work.system) == (env, agent, system) for seed in work.seeds)
                     for system in ("rlcourse", "sb3")}
            assert seeds == {"rlcourse": list(range(10)), "sb3": list(range(10))}
    assert {(work.env, work.steps) for work in runs} == {("Pendulum-v1", 20_000), ("InvertedPendulum-v5", 10_000)}
    assert "sbx" not in {work.system for group in bench.plan(device="cuda") for work in group}


@pytest.mark.parametrize("group", [*bench.plan(), *bench.plan(quick=True), *bench.learning()], ids=lambda group: f"{group[0].name}-{group[0].agent}")
def test_our_agents_take_the_settings_of_every_work(group):
    for work in [work for work in group if work.system.startswith("rlcourse")]:
        _, cfg = train.resolve(work.agent, bench_peers.settings(work))
        assert (cfg.hidden, cfg.batch_size, cfg.lr, cfg.updates_per_step) == (work.hidden, work.batch_size, work.lr, 1)
        assert 0 < cfg.learning_starts < work.warm or work.measure == "learn"


def test_names_that_do_not_exist_and_quick_learning_are_refused():
    with pytest.raises(ValueError, match=r"Did you mean update\? There is: sac, td3, seeds, update, compile, batch, learning"):
        bench.chosen(["updates"], False, "cpu")
    with pytest.raises(ValueError, match="take hours"):
        bench.chosen(["learning"], True, "cpu")
    assert {group[0].name for group in bench.chosen([], False, "cpu")} == {"sac", "td3", "seeds", "update", "compile", "batch"}


# ── rows are kept ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_stopped_benchmark_goes_on_and_measures_nothing_twice(everything_there, tmp_path):
    file, first, second, third = tmp_path / "new/rows.jsonl", Machine(stop_after=7), Machine(), Machine()
    with pytest.raises(KeyboardInterrupt):
        first.bench(file)
    with open(file, "a") as out:
        out.write('{"work": {"name": "sac", "sys')       # as a kill in the middle of a line leaves it
    rows = second.bench(file)
    assert (len(first.asked), len(second.asked), len(rows)) == (7, 8, 15)
    assert third.bench(file) == rows and third.asked == []
    assert third.bench(file, only=("td3",)) != [] and len(third.asked) == 15, "other work is other rows"


def test_other_versions_another_processor_and_changed_code_are_measured_anew(everything_there, tmp_path, monkeypatch):
    file, machine = tmp_path / "rows.jsonl", Machine()
    machine.bench(file)
    monkeypatch.setattr(bench, "fingerprint", lambda agent: "changed")
    machine.bench(file)
    assert len(machine.asked) == 15 + 9 and {work.system for work in machine.asked[15:]} == set(bench.OURS), "our code does not touch a peer's rows"
    monkeypatch.setattr(bench.metadata, "version", lambda name: "2.0")
    machine.bench(file)
    assert len(machine.asked) == 15 + 9 + 15
    monkeypatch.setattr(bench, "processor", lambda device: "another")
    machine.bench(file)
    assert len(machine.asked) == 15 + 9 + 15 + 15


def test_the_fingerprint_sees_code_and_not_comments(tmp_path):
    for name in ("agents/sac.py", "agents/td3.py", *bench.SOURCES[1:], "equations/returns.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    before = bench.fingerprint("sac", tmp_path)
    (tmp_path / "nets.py").write_text("x  =  1  # one\n")
    (tmp_path / "agents/td3.py").write_text("x = 2\n")
    assert bench.fingerprint("sac", tmp_path) == before != bench.fingerprint("td3", tmp_path)
    (tmp_path / "equations/returns.py").write_text("x = 3\n")
    assert bench.fingerprint("sac", tmp_path) != before
    assert len(bench.fingerprint("sac")) == 8
    assert {"nets.py", "buffers.py", "envs.py", "off_policy.py", "speed.py", "compiled.py"} <= set(bench.SOURCES), "all that is timed"


def test_each_row_says_what_was_measured_with_what_on_what(everything_there, tmp_path):
    file = tmp_path / "rows.jsonl"
    Machine().bench(file)
    for row in map(json.loads, file.read_text().splitlines()):
        assert set(row) == {"work", "round", "versions", "processor", "threads", "command", "result", "measured"}
        assert set(row["result"]) == {"wall_s", "cpu_s", "agent_steps", "peak_mb"} and set(row["work"]) == set(asdict(WORK))
        assert row["threads"] == 1 and "cores" in row["processor"] and row["command"] == "rlcourse bench --only sac"
        own = {"rlcourse": {"rlcourse", "torch"}, "sb3": {"stable-baselines3", "torch"}, "sbx": {"sbx-rl", "stable-baselines3", "jax", "flax"}}
        assert set(row["versions"]) == own[row["work"]["system"].split()[0]] | {"python", "numpy", "gymnasium", "mujoco", "bench"}


def test_when_the_time_is_up_the_rest_is_counted_and_what_is_there_still_shown(everything_there, tmp_path):
    file, machine = tmp_path / "rows.jsonl", Machine()
    rows = machine.bench(file)[:6]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert machine.bench(file, seconds=0) == rows and len(machine.asked) == 15
    assert "9 of 15 measurements are left" in machine.said[-1]
    seen = []
    bench.bench(quick=True, only=("sac",), run=lambda work, timeout: seen.append(timeout) or Machine()(work, timeout), say=seen.append)
    assert all(0 < timeout <= bench.QUICK_SECONDS < 300 for timeout in seen if not isinstance(timeout, str)), "no process may outlast --quick"


def test_a_process_that_outlasts_the_time_is_left_out_and_named(everything_there):
    said = []

    def slow(work: Work, timeout: float | None) -> dict:
        raise subprocess.TimeoutExpired("python", timeout)

    assert bench.bench(quick=True, only=("sac",), run=slow, say=said.append) == []
    assert "10 of 10 measurements are left" in said[-1] and bench_table.table([]) == "No row was measured."


# ── peers that are not there, and the table ─────────────────────────────────────────────────────────────────────────────────────────────
def test_a_missing_peer_is_reported_with_the_remedy_and_the_others_are_measured(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(bench_peers.importlib.util, "find_spec", lambda name: None if name == "sbx" else name)
    monkeypatch.setattr(bench.metadata, "version", lambda name: "1.0")
    machine = Machine()
    lines = bench_table.summary(machine.bench())
    first, *others = machine.said
    assert "SBX is not installed" in first and 'pip install -c constraints.txt -e ".[bench]"' in first
    assert not any("installed" in said for said in others)
    assert {line["system"]: line["ratio"] for line in lines} == {system: FACTOR["sb3"] / ms for system, ms in FACTOR.items() if system != "sbx"}
    monkeypatch.setattr(bench_peers.importlib.util, "find_spec", lambda name: None if name in ("sbx", "stable_baselines3") else name)
    monkeypatch.setattr(bench, "in_process", machine)
    monkeypatch.setattr(bench.bench, "__kwdefaults__", {**bench.bench.__kwdefaults__, "run": machine})
    assert cli.main(["bench", "--quick", "--only", "sac", "--json", str(tmp_path / "rows.jsonl")]) == 0
    out, err = capsys.readouterr()
    assert "| rlcourse | 83 | 4.00 | 250 |  | 100 | 2 |" in out and "Stable-Baselines3 is not installed" in err and "SBX" not in out


def test_the_table_is_markdown_with_the_conditions_below(everything_there):
    machine = Machine()
    text = bench_table.table(machine.bench(quick=True, only=("sac", "seeds")))
    header, rule, *lines = text.split("\n\n")[0].splitlines()
    assert {line.count("|") for line in (header, rule, *lines)} == {9} and set(rule) <= set("| -:") and len(lines) == 5 + 5
    assert "| SAC HalfCheetah-v5, 256x256, batch 256, end to end | rlcourse matmul fast | 167 | 2.00 | 500 | 4.00 | 100 | 2 |" in lines
    assert "| SAC Pendulum-v1, 64x64, batch 256, end to end, 10 seeds at once | rlcourse | 8 | 4.00 | 250 | 2.00 | 100 | 2 |" in lines
    below = text.split("\n\n")[1]
    assert "`rlcourse bench --quick --only sac seeds`" in below and "1 thread" in below and "jax 1.0" in below and bench.processor() in below


def test_training_runs_happen_once_and_are_shown_with_their_interval(everything_there):
    machine = Machine()
    rows = machine.bench(only=("learning",))
    assert len(machine.asked) == 6 * (1 + 10)
    lines = bench_table.learned(rows)
    assert len(lines) == 12 and {line["seeds"] for line in lines} == {10}
    assert all(line["final"] == lines[0]["final"] and line["area"] == (-1, -1, -1) for line in lines), "one process or ten: the same seeds"
    middle, low, high = lines[0]["final"]
    assert middle == np.mean([2, 3, 4, 5, 6, 7]) and 0 < low < middle < high < 9
    line = "| DDPG InvertedPendulum-v5, 64x64, batch 256, 10000 steps | Stable-Baselines3 "
    line += f"| 4.5 ({low:.1f} to {high:.1f}) |  | -1.0 (-1.0 to -1.0) |  |"
    text = bench_table.table(rows)
    assert line in text and len({line.count("|") for line in text.splitlines()[:14]}) == 1


def test_a_difference_in_what_was_learnt_has_an_interval_of_its_own(everything_there):
    rows, generator = Machine().bench(only=("learning",)), np.random.default_rng(1)
    ours, theirs = generator.normal(3, 1, 10), generator.normal(0, 1, 10)
    for row in rows:
        values = ours if row["work"]["system"] == "rlcourse" else theirs
        row["result"]["final"] = [float(values[seed]) for seed in row["work"]["seeds"]]
    apart = bench_table.compared_learning(rows)
    assert {name for _, _, name in apart} == {"final", "area"} and {system for _, system, _ in apart} == {"rlcourse"} and len(apart) == 12
    for (_, _, name), (middle, low, high) in apart.items():
        if name == "area":
            assert (middle, low, high) == (0, 0, 0), "all the same: no difference, and no width"
        else:
            assert middle == pytest.approx(np.sort(ours)[2:8].mean() - np.sort(theirs)[2:8].mean())     # near enough the middle half of ten
            spread = np.hypot(*(np.std(x) / np.sqrt(10) for x in (ours, theirs)))
            assert 1.3 * spread < middle - low < 4 * spread and 1.3 * spread < high - middle < 4 * spread
    for row in rows:
        row["result"]["final"] = [float(ours[seed]) for seed in row["work"]["seeds"]]
    for (_, _, name), (middle, low, high) in bench_table.compared_learning(rows).items():
        assert middle == 0 and (name == "area" or low < -0.3 < 0.3 < high), "equal runs of two systems are resampled apart: chance stays in"
