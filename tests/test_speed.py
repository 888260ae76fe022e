"""What makes a run faster changes its last digits at most: fast products, one compiled graph per update, several processes."""

import json
import os
import shlex
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from agents import agent_of, batch_of, draw_for, tensors
from torch._dynamo.utils import counters

from rlcourse import cli, compiled, speed, workers
from rlcourse.agents.soft_q import SOFTQ, SOFTQConfig
from rlcourse.checkpoint import RunFolderError
from rlcourse.compiled import MODES, compile_update
from rlcourse.speed import SpeedProblem, matmul_precision, products, relative_error
from rlcourse.stats import History
from rlcourse.train import Interrupted, planned, train
from rlcourse.train import SpeedProblem as exported

TINY = {"hidden": (8, 8), "batch_size": 16, "learning_starts": 40}
SHORT = {"env": "Pendulum-v1", "steps": 90, "config": TINY, "progress": False, "evaluate_every": 50, "eval_episodes": 1, "log_every": 15,
         "checkpoint_every": 30}

USUAL = {name: train.__kwdefaults__[name] for name in workers.SCHEDULE}


@pytest.fixture(autouse=True)
def settings_are_left_as_they_were():
    before = torch.get_float32_matmul_precision(), torch._dynamo.config.trace_autograd_ops
    yield
    assert (torch.get_float32_matmul_precision(), torch._dynamo.config.trace_autograd_ops) == before


def bf16(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """A product as a processor computes it that rounds its inputs to bfloat16."""
    return torch.matmul(a.bfloat16().to(a.dtype), b.bfloat16().to(b.dtype)) if a.dtype == torch.float32 else torch.matmul(a, b)


class TestMatmul:
    def test_relative_error_of_float32_and_of_bfloat16(self, monkeypatch):
        shapes = (2, 64, 256), (2, 256, 32)
        assert 1e-8 < relative_error(*shapes) < 3e-6
        monkeypatch.setattr(torch, "bmm", bf16)
        assert 1e-3 < relative_error(*shapes) < 5e-3        # two inputs rounded to 8 bits: 2^-9 sqrt(2) sqrt(1/3) to 2^-8 sqrt(2)

    def test_it_looks_at_every_product_of_an_update(self, monkeypatch):
        """Those that PyTorch is seen to make, by recording every batched product of one update."""
        agent, seen = agent_of("sac", dtype="float32"), set()

        class Recorder(torch.utils._python_dispatch.TorchDispatchMode):
            def __torch_dispatch__(self, function, types, args=(), kwargs=None):
                if function in (torch.ops.aten.bmm.default, torch.ops.aten.baddbmm.default):
                    seen.add(tuple(tuple(x.shape) for x in args[-2:]))
                return function(*args, **(kwargs or {}))

        batch, noise = batch_of(2, dtype=torch.float32)
        with Recorder():
            agent.update(batch, noise)
        assert len(seen) > 10 and seen <= set(products(agent))

    def test_refused_where_it_is_inexact_before_anything_is_written(self, monkeypatch, tmp_path):
        monkeypatch.setattr(torch, "bmm", bf16)
        with pytest.raises(exported, match=r"refused.*relative error of [1-4]\.\de-03 against float64.*Leave the option out"):
            train("sac", matmul="fast", out=tmp_path / "run", **SHORT)
        assert not (tmp_path / "run").exists() and torch.get_float32_matmul_precision() == "highest"

    @pytest.mark.parametrize("wrong", [float("nan"), 1.01e-4])
    def test_the_bound(self, monkeypatch, wrong):
        agent = agent_of("td3", dtype="float32")
        monkeypatch.setattr(speed, "relative_error", lambda *_: 0.99e-4)
        with matmul_precision("fast", agent):
            assert torch.get_float32_matmul_precision() == "medium"
        monkeypatch.setattr(speed, "relative_error", lambda *_: wrong)
        with pytest.raises(SpeedProblem, match="refused"), matmul_precision("fast", agent):
            pass

    def test_the_run_has_it_the_caller_keeps_his(self, monkeypatch, tmp_path):
        seen = []
        advance = train.__globals__["Run"].advance
        monkeypatch.setattr(train.__globals__["Run"], "advance", lambda run: seen.append(torch.get_float32_matmul_precision()) or advance(run))
        monkeypatch.setattr(speed, "relative_error", lambda *_: 0.0)        # on a processor with bfloat16 units the real one refuses
        torch.set_float32_matmul_precision("high")
        try:
            train("sac", matmul="fast", out=tmp_path, **SHORT)
            assert set(seen) == {"medium"} and torch.get_float32_matmul_precision() == "high"
            train("sac", **SHORT | {"steps": 1})
            assert seen[-1] == "highest" and torch.get_float32_matmul_precision() == "high"
        finally:
            torch.set_float32_matmul_precision("highest")
        plan = json.loads((tmp_path / "config.json").read_text())
        assert plan["matmul"] == "fast" and "--matmul fast" in plan["command"] and "compile" not in plan
        with pytest.raises(RunFolderError, match="matmul was 'fast' and is now None"):
            train("sac", out=tmp_path, resume=True, **SHORT)

    def test_float64_and_unknown_words(self):
        with pytest.raises(SpeedProblem, match=r"computes in torch\.float64: nothing would change"), matmul_precision("fast", agent_of("sac")):
            pass
        with pytest.raises(SpeedProblem, match="'medium' is unknown"), matmul_precision("medium", agent_of("sac")):
            pass


def compiled_pair(name: str, backend: str, updates: int = 6, **settings):
    """An agent with a compiled update and one without, after the same updates; metrics are compared at each."""
    ours, eager, said = agent_of(name, **settings), agent_of(name, **settings), []
    compile_update(ours, say=said.append, backend=backend)
    counters.clear(), torch._dynamo.reset()
    for i in range(updates):
        batch, noise = batch_of(2, seed=i, dtype=ours.where["dtype"])
        metrics, expected = ours.update(batch, draw_for(ours, noise)), eager.update(batch, draw_for(eager, noise))
        assert metrics.keys() == expected.keys()
        for key in expected:
            torch.testing.assert_close(metrics[key], expected[key], rtol=1e-9, atol=1e-9)
    return ours, eager, said


class TestCompile:
    @pytest.mark.parametrize(("name", "delay", "graphs"),
                             [("sac", 0, 1), ("sac_v1", 0, 1), ("ddpg", 0, 1), ("td3", 2, 2), ("td3", 3, 2), ("td3", 1, 1)])
    def test_the_traced_update_is_the_eager_one_in_one_graph_per_branch(self, name, delay, graphs):
        ours, eager, said = compiled_pair(name, "eager", **({"policy_delay": delay} if delay else {}))
        assert counters["stats"]["unique_graphs"] == graphs == len(said) and not counters["graph_break"]
        assert "ready after" in said[0] and getattr(ours, "updates", 6) == 6
        state = tensors(eager)
        for key, tensor in tensors(ours).items():
            torch.testing.assert_close(tensor, state.pop(key), rtol=1e-9, atol=1e-10, msg=lambda text, key=key: f"{key}: {text}")
        assert not state

    @pytest.mark.slow
    def test_nine_agents_in_one_process(self):
        """A sweep in a notebook compiles one agent after the other; PyTorch counts their graphs together and by itself stops at eight."""
        torch._dynamo.reset()
        for _ in range(9):
            agent = agent_of("sac")
            compile_update(agent, backend="eager")
            batch, noise = batch_of(2, dtype=agent.where["dtype"])
            assert agent.update(batch, draw_for(agent, noise))["loss_q"].isfinite().all()

    def test_it_continues_from_a_checkpoint(self):
        ours, eager, _ = compiled_pair("td3", "eager", updates=3)
        other = agent_of("td3")
        compile_update(other, backend="eager")
        other.load_state_dict(deepcopy(ours.state_dict()))
        batch, noise = batch_of(2, seed=9)
        for agent in (ours, eager, other):
            agent.update(batch, draw_for(agent, noise))
        for key, tensor in tensors(other).items():
            assert torch.equal(tensor, tensors(ours)[key]), key
            torch.testing.assert_close(tensor, tensors(eager)[key], rtol=1e-9, atol=1e-10)
        assert other.updates == 4

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")        # of PyTorch's own modules
    @pytest.mark.parametrize("agent", ["sac", "td3"])
    def test_a_compiled_run_is_the_eager_one_and_continues_to_the_same_bits(self, agent, tmp_path, capsys):
        common = SHORT | {"config": TINY | {"dtype": "float64"}, "seeds": [0, 3]}
        eager, whole = train(agent, **common), train(agent, compile=True, **common | {"progress": True})
        assert f"{agent.upper()}.update: graph 1 was ready after" in capsys.readouterr().err
        ours, expected = ({row[:3]: row.value for row in history.rows} for history in (whole, eager))
        assert ours.keys() == expected.keys() and len(ours) > 20
        np.testing.assert_allclose([ours[key] for key in expected], list(expected.values()), rtol=1e-8)
        train(agent, compile=True, out=tmp_path, **common | {"steps": 60})
        history = train(agent, compile=True, out=tmp_path, resume=True, **common)
        assert [row for row in history.rows if row[1:3] != (60, "eval_return")] == whole.rows and len(history.rows) == len(whole.rows) + 2
        assert json.loads((tmp_path / "config.json").read_text())["command"].split().count("--compile") == 1

    def test_soft_q_learning_with_its_discrete_actions(self):
        config = SOFTQConfig(hidden=(8,), dtype="float64")
        ours, eager = (SOFTQ(config, 3, 2, [0, 1]) for _ in range(2))
        compile_update(ours, backend="eager")
        for i in range(3):
            batch, noise = batch_of(2, seed=i)
            batch = replace(batch, actions=(batch.actions[..., 0] > 0).long())
            metrics, expected = ours.update(batch, noise[:, :0]), eager.update(batch, noise[:, :0])
            for key in expected:
                torch.testing.assert_close(metrics[key], expected[key], rtol=1e-9, atol=1e-9)

    def test_a_torch_that_cannot_trace_gradients_is_refused_with_the_version_that_can(self, monkeypatch):
        monkeypatch.setattr(compiled, "dynamo", SimpleNamespace())
        with pytest.raises(SpeedProblem, match=r"needs PyTorch 2\.13 or later.*here is 2\."):
            train("sac", compile=True, **SHORT)

    def test_without_a_compiler(self, monkeypatch, tmp_path):
        from torch._inductor import cpp_builder, exc

        def none():
            raise exc.InvalidCxxCompiler

        monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
        with pytest.raises(SpeedProblem, match=r"needs a compiler, and none was found.*apt install g\+\+.*leave the option out"):
            train("sac", compile=True, out=tmp_path / "run", **SHORT)
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize(
        ("agent", "mode", "says"),
        [("sac", "fastest", f"'fastest' is unknown.*{', '.join(MODES)}"), ("reinforce", True, "REINFORCE learns from whole episodes")],
    )
    def test_what_cannot_be_compiled_is_refused(self, agent, mode, says, tmp_path):
        common = SHORT | {"config": {"hidden": (8,)}}
        with pytest.raises(SpeedProblem, match=says):
            train(agent, compile=mode, out=tmp_path / "run", **common)
        assert not (tmp_path / "run").exists()

    def test_an_update_that_cannot_be_traced_is_told_in_one_line(self, monkeypatch):
        agent = agent_of("ddpg")
        monkeypatch.setattr(agent, "q", lambda *_: print("no graph can print") or torch.zeros(()).item())
        compile_update(agent, backend="eager")
        batch, noise = batch_of(2)
        with pytest.raises(SpeedProblem, match=r"^DDPG.update could not be compiled: .*Leave --compile") as caught:
            agent.update(batch, draw_for(agent, noise))
        assert "\n" not in str(caught.value)


class TestWorkers:
    def test_groups(self):
        assert workers.shares([0, 1, 2, 3, 4], 2) == [[0, 1, 2], [3, 4]] and workers.shares([7, 5, 9], 3) == [[7], [5], [9]]
        for number in (0, 4):
            with pytest.raises(ValueError, match=f"workers = {number} for 3 seeds.*use 1 to 3"):
                workers.shares([1, 2, 3], number)

    def test_one_killed_and_all_resumed_each_seed_is_the_run_of_one_process(self, tmp_path, monkeypatch, capsys):
        world = SHORT | {"env": "dying_world:Dying-v0", "seeds": [0, 3, 4], "config": TINY | {"dtype": "float64"}}
        whole = train("sac", **world)
        out, mark = tmp_path / "a run", tmp_path / "mark"
        monkeypatch.setenv("DYING_MARK", str(mark))
        with pytest.raises(workers.WorkerLost, match=r"ended from outside.*Continue, to the same bits, with: rlcourse train.*--resume") as lost:
            workers.train("sac", workers=2, out=out, **world)
        assert mark.exists() and not (out / "rows.csv").exists()
        words = shlex.split(str(lost.value).split("with: ")[1])
        assert "--workers" in words and cli.main([*words[1:], "--quiet"]) == 0
        assert "group_0" in capsys.readouterr().out
        merged = History.from_csv(out / "rows.csv")
        assert [row.step for row in merged.rows] == sorted(row.step for row in whole.rows)
        ours, expected = ({row[:3]: row.value for row in history.rows} for history in (merged, whole))
        assert ours.keys() == expected.keys() and len(merged.rows) == len(ours) > 60
        np.testing.assert_allclose([ours[key] for key in expected], list(expected.values()), rtol=1e-9)
        groups = [History.from_csv(out / f"group_{k}" / "rows.csv") for k in (0, 1)]
        assert [group.seeds() for group in groups] == [[0, 3], [4]]
        plan = json.loads((out / "config.json").read_text())
        assert plan["workers"] == 2 and plan["seeds"] == [0, 3, 4]
        with pytest.raises(RunFolderError, match="workers was 2 and is now 3"):
            workers.train("sac", workers=3, out=out, resume=True, **world)

    def test_a_group_that_was_killed_at_its_very_beginning_starts_anew(self, tmp_path):
        (tmp_path / "group_0").mkdir()
        (tmp_path / "group_0" / "config.json.tmp").write_text("half of")
        assert workers._place(tmp_path, 0) == {"out": str(tmp_path / "group_0"), "resume": False} and not os.listdir(tmp_path / "group_0")
        (tmp_path / "group_0" / "config.json").write_text("{}")
        assert workers._place(tmp_path, 0)["resume"] and workers._place(None, 0) == {"out": None}

    def test_ctrl_c_in_the_processes_is_told_once(self, monkeypatch):
        class Pool:
            def __init__(self, **options):
                assert options["inner_max_num_threads"] == 1 and options["n_jobs"] == 2

            def __call__(self, tasks):
                return (function(*arguments) for function, arguments, _ in tasks)

        def interrupted(**_):
            raise Interrupted("stopped at step 3")

        monkeypatch.setattr(workers, "Parallel", Pool)
        monkeypatch.setattr(workers.loops, "train", interrupted)
        with pytest.raises(Interrupted, match=r"^stopped by Ctrl-C. Nothing was being saved"):
            workers._in_processes([{"agent": "sac", "env": "x"}] * 2, False, " Nothing was being saved")

    def test_what_cannot_be_trained_is_refused_before_processes_are_started(self, tmp_path, monkeypatch):
        monkeypatch.setattr(workers, "Parallel", None)
        for wrong, says in (({"env": "Pendulum-v7"}, "Did you mean"), ({"compile": "no"}, "unknown"), ({"workers": 3}, "use 1 to 2"),
                            ({"matmul": "fast", "config": TINY | {"dtype": "float64"}}, "float64")):
            with pytest.raises(ValueError, match=says):
                workers.train("sac", **{"seeds": 2, "workers": 2, "out": tmp_path / "run", **SHORT} | wrong)
        assert not (tmp_path / "run").exists()


def test_the_command_says_all_three():
    options = {"matmul": "fast", "compile": "max-autotune", "workers": 2}
    plan = planned("sac", "Pendulum-v1", 4, 10, "cpu", {}, USUAL, **options)[-1]
    assert {name: plan[name] for name in options} == options
    assert plan["command"].endswith("--compile --matmul fast --compile-mode max-autotune --workers 2")
    usual = planned("sac", "Pendulum-v1", 4, 10, "cpu", {}, USUAL, matmul="exact", compile=False, workers=1)[-1]
    assert not options.keys() & usual.keys() and "--compile" not in usual["command"]
    assert planned("sac", "Pendulum-v1", 4, 10, "cpu", {}, USUAL, compile=True)[-1]["command"].endswith("--steps 10 --compile")
