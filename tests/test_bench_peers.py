"""One process of `rlcourse bench`: it does the work it was given, times that alone, and gives a peer our settings."""

import resource
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rlcourse import bench, bench_peers, compiled, train
from rlcourse.authoring import install
from rlcourse.bench_peers import Work

COURSE = Path(__file__).resolve().parents[1]
WORK = Work("sac", "rlcourse", "sac", "Pendulum-v1", hidden=(8,), batch_size=16, steps=20, warm=20)


def test_a_process_of_ours_returns_what_it_cost(monkeypatch):
    monkeypatch.chdir(COURSE)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = bench.in_process(replace(WORK, seeds=(0, 1)), 60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result["agent_steps"] == 40 and 0 < result["cpu_s"] < (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    assert 50 < result["peak_mb"] < 2_000


@pytest.mark.parametrize("measure", ["step", "update"])
def test_the_timed_part_is_the_work_and_nothing_else(monkeypatch, measure):
    counted = {"step": 0, "update": 0}

    def count(name: str, function):
        return lambda *arguments: (counted.update({name: counted[name] + 1}), function(*arguments))[1]

    monkeypatch.setattr(train.Run, "advance", count("step", train.Run.advance))
    agent_class, _ = train.resolve("sac", {})
    monkeypatch.setattr(agent_class, "update", count("update", agent_class.update))
    go = bench_peers._prepare_ours(replace(WORK, measure=measure))
    assert counted == {"step": 20, "update": 10}
    go(5)
    assert counted == {"step": 25 if measure == "step" else 20, "update": 15}


def test_the_name_of_a_system_says_how_it_is_trained(monkeypatch):
    asked = {system: tuple(bench_peers.options(system).values()) for system in (*bench.OURS, *bench.COMPILED)}
    assert asked == {"rlcourse": ("exact", False), "rlcourse matmul fast": ("fast", False), "rlcourse matmul fast compiled": ("fast", True),
                     "rlcourse matmul fast compiled default": ("fast", "default"), "rlcourse matmul fast compiled reduce-overhead":
                     ("fast", "reduce-overhead"), "rlcourse matmul fast compiled max-autotune": ("fast", "max-autotune")}
    modes, before = [], torch.get_float32_matmul_precision()
    monkeypatch.setattr(compiled, "compile_update", lambda agent, mode: modes.append((mode, torch.get_float32_matmul_precision())))
    kept = [bench_peers._prepare_ours(replace(WORK, system=system, warm=2)) for system in reversed((*bench.OURS, bench.COMPILED[2]))]
    assert modes == [("max-autotune", "medium"), ("default", "medium")]
    assert torch.get_float32_matmul_precision() == "highest", "the last one asked for exact products"
    del kept
    torch.set_float32_matmul_precision(before)


def test_a_peer_is_given_our_settings_and_as_many_updates(monkeypatch):
    peer = MagicMock()
    monkeypatch.setitem(sys.modules, "stable_baselines3", peer)
    work = replace(WORK, system="sb3", measure="update", seeds=(7,))
    go, ours = bench_peers._prepare_peer(work), train.resolve("sac", bench_peers.settings(work))[1]
    given, model = peer.SAC.call_args.kwargs, peer.SAC.return_value.learn.return_value
    assert (given["seed"], given["train_freq"], given["gradient_steps"], given["device"]) == (7, 1, ours.updates_per_step, "cpu")
    for theirs, name in [("learning_rate", "lr"), *((name, name) for name in ("gamma", "tau", "batch_size", "learning_starts"))]:
        assert given[theirs] == getattr(ours, name), name
    assert tuple(given["policy_kwargs"]["net_arch"]) == ours.hidden and given["ent_coef"] == f"auto_{ours.initial_alpha}"
    peer.SAC.return_value.learn.assert_called_once_with(20)
    before = model.train.call_count
    go(5)
    assert model.train.call_count == before + 5 and model.learn.call_count == 0
    with pytest.raises(ValueError, match="a peer trains one"):
        bench_peers._peer(replace(work, seeds=(0, 1)))


def test_training_of_ours_returns_one_number_for_each_seed(monkeypatch):
    monkeypatch.setattr(bench_peers, "EPISODES", 1)
    result = bench_peers.measure(replace(WORK, env="InvertedPendulum-v5", measure="learn", seeds=(3, 5), steps=60, warm=30))
    assert len(result["final"]) == len(result["area"]) == 2 and result["agent_steps"] == 120 and min(result["final"]) > 0


def test_a_process_that_fails_says_which_and_why(monkeypatch, tmp_path):
    (tmp_path / "python").write_text("#!/bin/sh\necho noise >&2; echo 'ValueError: no such agent' >&2; exit 3\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(bench.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(bench.BenchError, match=r"sac of rlcourse failed \(exit code 3\); the last it said: ValueError: no such agent"):
        bench.in_process(WORK, 60)


def test_the_one_who_asks_imports_neither_torch_nor_a_peer():
    code = "import rlcourse.bench, sys; print([name for name in ('torch', 'numpy', 'jax', 'stable_baselines3') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=COURSE).stdout.strip() == "[]"


def test_the_peers_are_pinned_and_no_target_of_make_installs_them():
    project = tomllib.loads((COURSE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = dict(line.split("==") for line in (COURSE / "constraints.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    wanted = [Requirement(line) for line in project["optional-dependencies"]["bench"]]
    assert {canonicalize_name(each.name) for each in wanted} == {"stable-baselines3", "sbx-rl", "jax"}
    assert all(each.specifier.contains(pins[canonicalize_name(each.name)]) for each in wanted)
    assert "bench" not in {*install.wanted_extras("lab"), *install.wanted_extras("test")}
    others = [*project["dependencies"], *project["optional-dependencies"]["test"], *project["optional-dependencies"]["browser"]]
    assert not {Requirement(line).name for line in others} & {"stable-baselines3", "sbx-rl", "jax"}
