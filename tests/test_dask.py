"""`--scheduler`: groups of seeds on a Dask cluster of two worker processes on this machine. Workers are killed, runs stopped, clusters refused."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from local_cluster import Cluster, until

from rlcourse import cli, cluster, workers
from rlcourse.stats import History, Row
from rlcourse.train import Interrupted, train

COURSE = Path(__file__).resolve().parents[1]
WORLD = {"env": "held_world:Held-v0", "seeds": [0, 3, 4, 5], "steps": 90, "evaluate_every": 50, "eval_episodes": 1, "log_every": 15,
         "checkpoint_every": 30, "config": {"hidden": (8,), "batch_size": 8, "learning_starts": 40, "dtype": "float64"}, "progress": False}


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    mine = Cluster(tmp_path_factory.mktemp("cluster"))
    yield mine
    for process in (*mine.processes, mine.scheduler):
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def whole() -> list[Row]:
    """The run that nothing disturbs: each group in this process, their rows merged."""
    return workers._merged([train("sac", **WORLD | {"seeds": group}).rows for group in ([0, 3], [4, 5])])


def rows(folder: Path) -> list[Row]:
    return History.from_csv(folder / "rows.csv").rows


def held_group(folder: Path, process: str) -> Path:
    return next(group for group in sorted(folder.glob("group_*")) if f"process {process} on" in (group / "owner").read_text())


class TestRuns:
    def test_each_group_is_the_run_of_one_process_to_the_bit(self, dask, whole, tmp_path, capsys, monkeypatch):
        """Asked for in a folder that is named as seen from here: the workers are elsewhere."""
        first, second = dask.workers()
        monkeypatch.chdir(tmp_path)
        words = "--env held_world:Held-v0 --seed-list 0 3 4 5 --steps 90 --evaluate-every 50 --eval-episodes 1 --log-every 15 --checkpoint-every 30"
        sets = [word for name, value in WORLD["config"].items() for word in ("--set", f"{name}={value}")]
        asked = ["train", "sac", *words.split(), *sets, "--workers", "2", "--scheduler", dask.address, "--out", "run"]
        assert cli.main(asked) == 0
        said = capsys.readouterr()
        assert "group_0" in said.out and "2/2" in said.err
        assert rows(tmp_path / "run") == whole and len(whole) > 60
        assert min(dask.steps(first.pid), dask.steps(second.pid)) >= 90, "one group on each worker"
        plan = json.loads((tmp_path / "run" / "config.json").read_text())
        assert plan["command"].endswith(f"--scheduler {dask.address}") and plan["workers"] == 2 and "scheduler" not in plan
        assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["config.json", "group_0", "group_1", "rows.csv"]

    def test_one_thread_on_workers_that_were_started_with_four(self, dask):
        dask.workers()
        with cluster.connected(dask.address) as client:
            found = dict(cluster.results(client, threads, [None, None, None]))
        assert found == {0: (1, "1"), 1: (1, "1"), 2: (1, "1")}

    def test_ctrl_c_stops_the_groups_at_their_next_write_and_resume_continues(self, dask, whole, tmp_path):
        dask.workers()
        out, waiting = tmp_path / "a run", []

        def press(file: Path) -> None:
            waiting.append(file)
            other = next(group for group in (out / "group_0", out / "group_1") if group != held_group(out, file.name.removeprefix("held-")))
            until(lambda: (other / "checkpoint.pt").exists() and not (other / "owner").exists())
            os.kill(os.getpid(), signal.SIGINT)

        says = r"^stopped by Ctrl-C. .*Continue, to the same bits, with: rlcourse train"
        with pytest.raises(Interrupted, match=says) as stop, dask.when_held(press):
            workers.train("sac", workers=2, scheduler=dask.address, out=out, **WORLD)
        files = {path: path.read_bytes() for group in out.glob("group_*") for path in group.iterdir()}
        waiting[0].unlink()
        assert dask.steps(waiting[0].name.removeprefix("held-")) > 0 and not (out / "rows.csv").exists()
        with cluster.connected(dask.address) as client:      # a worker of one thread takes these only after what it was doing
            addresses = list(client.nthreads())
            client.gather([client.submit(len, [], workers=[address], pure=False) for address in addresses])
        assert files == {path: path.read_bytes() for group in out.glob("group_*") for path in group.iterdir()}, "nothing more was written"
        words = shlex.split(str(stop.value).split("with: ")[1])
        assert words[:2] == ["rlcourse", "train"] and cli.main([*words[1:], "--quiet"]) == 0
        assert rows(out) == whole

    def test_one_killed_half_way_its_seeds_are_resumed_on_the_other(self, dask, whole, tmp_path):
        pids = {str(process.pid) for process in dask.workers()}
        seen = {}

        def kill(file: Path) -> None:
            """Once its group has a checkpoint, and not before."""
            process = file.name.removeprefix("held-")
            seen["other"], = pids - {process}
            seen["step"] = torch.load(held_group(tmp_path / "run", process) / "checkpoint.pt", weights_only=True)["step"]
            os.kill(int(process), signal.SIGKILL)
            file.unlink()

        before = {pid: dask.steps(pid) for pid in pids if (dask.folder / f"steps-{pid}").exists()}
        with dask.when_held(kill):
            history = workers.train("sac", workers=2, scheduler=dask.address, out=tmp_path / "run", **WORLD)
        assert history.rows == whole and rows(tmp_path / "run") == whole and seen["step"] == 60
        a_group = 2 * 90 + 2 * 2 * 50           # environment steps of two seeds, with two evaluations
        a_rest = 2 * (10 + 30) + 2 * 50         # from step 60 on: first to where the episode of step 50 was, then to the end, with one evaluation
        assert dask.steps(seen["other"]) - before.get(seen["other"], 0) == a_group + a_rest

    def test_all_killed_is_told_and_another_cluster_continues(self, dask, whole, tmp_path, monkeypatch):
        monkeypatch.setattr(cluster, "BACK_WITHIN", 0.3)
        every = dask.workers(1)

        def kill(file: Path) -> None:
            for process in every:
                process.kill()
            file.unlink()

        common = {"workers": 2, "scheduler": dask.address, "out": tmp_path / "run", **WORLD}
        says = r"^no worker has been left.*saved is in .*Continue.*--scheduler tcp:.*--resume"
        with pytest.raises(workers.WorkerLost, match=says) as lost, dask.when_held(kill):
            workers.train("sac", **common)
        assert " --workers 2 " in str(lost.value) and len(list(tmp_path.glob("run/group_*/checkpoint.pt"))) >= 1
        monkeypatch.setattr(cluster, "ANSWER_WITHIN", 1.5)
        with pytest.raises(cluster.ClusterProblem, match=r"answers, but it has no workers.*`dask worker tcp://.* --nthreads 1 --nworkers N`"):
            workers.train("sac", resume=True, **common)
        monkeypatch.undo()
        dask.workers(1)
        assert workers.train("sac", resume=True, **common).rows == whole

    def test_an_error_of_one_group_is_told_as_it_is_and_the_others_end(self, dask, tmp_path):
        dask.workers(1)
        started = []
        with cluster.connected(dask.address) as client, pytest.raises(ZeroDivisionError):
            for k, result in cluster.results(client, inverse, [1, 0]):
                started.append((k, result))
        assert started in ([], [(0, 1.0)])


def threads(_: None) -> tuple[int, str]:
    return torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]


def inverse(x: float) -> float:
    return 1 / x


class TestRefused:
    def test_other_versions_with_a_table(self, dask, tmp_path, monkeypatch):
        dask.workers(1)
        real = cluster.about()
        monkeypatch.setattr(cluster, "about", lambda: real | {"torch": "9.9", "rlcourse source": "other"})
        with pytest.raises(cluster.ClusterProblem, match="not like this process") as refused:
            workers.train("sac", workers=2, scheduler=dask.address, out=tmp_path / "run", **WORLD)
        table = [line.split() for line in str(refused.value).splitlines()[1:-1]]
        assert table == [["there", "here", "machine"], ["rlcourse", "source", cluster.SOURCE, "other", "127.0.0.1"],
                         ["torch", torch.__version__, "9.9", "127.0.0.1"]]
        assert not (tmp_path / "run").exists()

    def test_what_counts_as_a_difference(self):
        here = {"torch": "2", "processor": "fast", "threads": 1}
        cluster.refuse_differences({"tcp://a:1": dict(here), "tcp://b:2": dict(here)}, here)
        for found, says in (({"threads": 4}, r"threads  4 +1 +b\n.*--nthreads 1"), ({"rlcourse": "ModuleNotFoundError: x"}, "rlcourse  Module")):
            with pytest.raises(cluster.ClusterProblem, match=says):
                cluster.refuse_differences({"tcp://a:1": here, "tcp://b:2": found}, here)
        with pytest.warns(UserWarning, match="processor of b is 'slow'.*last digits"):
            cluster.refuse_differences({"tcp://b:2": here | {"processor": "slow"}}, here)

    def test_a_worker_that_comes_later_is_checked_before_it_begins(self, tmp_path):
        with pytest.raises(cluster.ClusterProblem, match="not like this process"):
            cluster._run(inverse, 1.0, cluster.about() | {"numpy": "1.0"})
        assert cluster._run(inverse, 2.0, cluster.about()) == 0.5
        with pytest.raises(cluster.ClusterProblem, match=r"does not see .*not shared"):
            workers._on_a_worker(({}, str(tmp_path / "run"), 0))

    def test_a_folder_that_is_not_shared(self, dask, tmp_path, monkeypatch):
        """/proc/self/cwd is another folder in each process, as a local disk is on each machine."""
        dask.workers(1)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(cluster, "SEEN_WITHIN", 0.1)
        with pytest.raises(cluster.ClusterProblem, match=r"run is not on a disk that all machines share: 127\.0\.0\.1: does not see"):
            workers.train("sac", workers=2, scheduler=dask.address, out="/proc/self/cwd/run", **WORLD)
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_may_not_be_written(self, tmp_path, monkeypatch):
        (tmp_path / "token").touch()
        assert cluster.look(str(tmp_path), "token", 0.0) == {"versions": cluster.about(), "folder": ""}
        assert os.listdir(tmp_path) == ["token"]

        def refuse(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "touch", refuse)
        assert cluster.look(str(tmp_path), "token", 0.0)["folder"] == "cannot write there (Permission denied)"

    def test_nobody_answers(self, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr(cluster, "ANSWER_WITHIN", 0.3)
        with socket.create_server(("127.0.0.1", 0)) as silent:      # it accepts, and says nothing
            address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
            common = ["train", "sac", "--env", "Pendulum-v1", "--seeds", "2", "--workers", "2", "--out", str(tmp_path / "run"), "--scheduler"]
            assert cli.main([*common, address]) == 1
        silence = capsys.readouterr().err
        assert cli.main([*common, address]) == 1
        closed = capsys.readouterr().err
        for said in (silence, closed):
            assert f"no Dask scheduler answers at {address} (tried for 0.3 s" in said and f"`dask worker {address} --nthreads 1 --nworkers N`" in said
        assert cli.main([*common, "host:8786"]) == 1 and "such as tcp://host:8786" in capsys.readouterr().err
        assert not (tmp_path / "run").exists()

    def test_dask_is_not_installed(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "distributed", None)
        with pytest.raises(cluster.ClusterProblem, match=r'Install it with: pip install -c constraints.txt -e "\.\[dask\]"$'):
            workers.train("sac", workers=2, scheduler="tcp://127.0.0.1:1", out=tmp_path / "run", **WORLD)

    @pytest.mark.parametrize(("wrong", "says"), [({"workers": 1}, "workers = 1 with a scheduler"), ({"out": None}, "disk that all machines share"),
                                                 ({"workers": 5}, "use 1 to 4")])
    def test_half_a_cluster(self, wrong, says, tmp_path):
        with pytest.raises(ValueError, match=says):
            workers.train("sac", **{"workers": 2, "scheduler": "tcp://127.0.0.1:1", "out": tmp_path / "run", **WORLD} | wrong)

    def test_dask_is_imported_when_asked_for_and_tests_have_it(self):
        code = "import sys, rlcourse.cluster, rlcourse.cli; print([name for name in ('dask', 'distributed') if name in sys.modules])"
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
        extras = tomllib.loads((COURSE / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert "import distributed" not in Path(workers.__file__).read_text() and extras["dask"] and set(extras["dask"]) <= set(extras["test"])


class TestTheEnd:
    def test_the_scheduler_goes_away(self, dask, tmp_path):
        """The last test that uses it."""
        dask.workers(1)

        def kill(file: Path) -> None:
            dask.scheduler.kill()
            until(lambda: not list(tmp_path.glob("run/group_*/owner")))
            file.unlink()

        with pytest.raises(workers.WorkerLost, match=r"^the scheduler has gone away .*Continue, to the same bits"), dask.when_held(kill):
            workers.train("sac", workers=2, scheduler=dask.address, out=tmp_path / "run", **WORLD)

    def test_a_job_that_ends_every_worker(self):
        from distributed import KilledWorker

        class Future:
            def result(self):
                raise KilledWorker("job", None, 3)

        with pytest.raises(cluster.ClusterLost, match=r"ended 4 workers.*want of memory"):
            cluster._result(Future())
