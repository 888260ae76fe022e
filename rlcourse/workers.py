"""`--workers`: the seeds of a run in several processes, each a run of its own with one thread.

    history = train("sac", "HalfCheetah-v5", seeds=20, steps=100_000, workers=2, out="runs/sac")

Many seeds in one process cost less each, up to about ten; beyond that two processes of ten are faster than one of twenty. On one core per process,
which is how many there should be at most.

The folder of such a run holds config.json and, when all is done, rows.csv; group_0, group_1, ... are the runs of the processes, with checkpoints.

`--scheduler`: the same groups on several machines that share the folder, as the tasks of a Dask cluster (rlcourse/cluster.py says how to start one).

    history = train("sac", "HalfCheetah-v5", seeds=80, steps=100_000, workers=8, scheduler="tcp://host:8786", out="/shared/runs/sac")

A group whose worker dies is continued by another worker from its last checkpoint, to the same bits. If this process is killed, the groups that have
begun go on; --resume takes them over. The tasks go through Dask's own client: joblib's Dask backend resumes a killed worker's group as well, but
refuses to limit the threads of a task (inner_max_num_threads) and waits for ever once no worker is left (both tried, joblib 1.6).
"""

import os
import shlex
import socket
import sys
from collections.abc import Sequence
from contextlib import closing, nullcontext, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from rlcourse import cluster
from rlcourse import train as loops
from rlcourse.checkpoint import CtrlC, RunFolder, TakenOver, revoke
from rlcourse.stats import History, Row

FILES = ("config.json, rows.csv, checkpoint.pt", "config.json, rows.csv, and the run of each process in group_0, group_1, ...")
SCHEDULE = ("evaluate_every", "eval_episodes", "log_every", "checkpoint_every")


class WorkerLost(RuntimeError):
    """A process was ended from outside, or the cluster went away; the message says how to continue."""


def train(agent: str = "sac", env: str = "Pendulum-v1", seeds: int | Sequence[int] = 1, steps: int = 10_000, *, workers: int = 1,
          scheduler: str | None = None, device: str = "cpu", out: str | Path | None = None, resume: bool = False,
          config: dict[str, Any] | None = None, matmul: str = "exact", compile: bool | str = False, progress: bool = True,
          **schedule: int) -> History:
    """`rlcourse.train.train` with the seeds shared among `workers` processes. All other arguments are the same; workers=1 is `train` itself.

    The groups are consecutive seeds, as equal in number as can be, so the same arguments give the same groups. Seed k's rows are those of a run in
    one process, to the bit where the processor's products do not depend on how many copies are multiplied at once, else to rounding.
    A process that is killed ends the others too: nothing that they saved is lost, and the same call with resume=True continues all of them.
    scheduler: address of a Dask scheduler, whose workers then are the processes; out must be on a disk that all machines share. Killed workers are
    replaced by others, and the run goes on. It is no part of what the run is: a run may be continued with another scheduler, or without one.
    Errors: those of `train`; WorkerLost; ClusterProblem; ValueError if there are fewer seeds than workers. History.agent is None: the agents are in
    the folders.
    """
    common = {"device": device, "config": config, "matmul": matmul, "compile": compile, **schedule}
    if workers == 1 and scheduler is None:
        return loops.train(agent=agent, env=env, seeds=seeds, steps=steps, out=out, resume=resume, progress=progress, **common)
    whole = {name: loops.train.__kwdefaults__[name] for name in SCHEDULE} | schedule
    *made, plan = loops.planned(agent, env, seeds, steps, device, config or {}, whole, matmul=matmul, compile=compile, workers=workers)
    groups = shares(plan["seeds"], workers)
    if scheduler is not None:
        _refuse_half_a_cluster(workers, out)
        plan["command"] += f" --scheduler {shlex.quote(scheduler)}"
    loops.try_out(*made, plan, groups[0])
    jobs = [{"agent": agent, "env": env, "seeds": group, "steps": steps, **common, "device": plan["device"]} for group in groups]
    with nullcontext() if scheduler is None else cluster.connected(scheduler) as client:
        if client is not None:
            cluster.require_alike(client, out)
        folder = None if out is None else RunFolder(out, plan, resume)
        goes_on = _how_to_continue(plan["command"], out)
        results = _in_processes([job | _place(out, k) for k, job in enumerate(jobs)], progress, goes_on) if client is None else \
            _in_cluster(client, jobs, out, progress, goes_on)
    history = History(_merged(results))
    if folder is not None:
        _write(history, folder)
    return history


def shares(seeds: Sequence[int], workers: int) -> list[list[int]]:
    """Consecutive groups whose sizes differ by at most one, the larger ones first: 5 seeds for 2 workers are 3 and 2."""
    if not 1 <= workers <= len(seeds):
        raise ValueError(f"workers = {workers} for {len(seeds)} seed{'s' if len(seeds) > 1 else ''}: every process trains at least one seed of its "
                         f"own, so use 1 to {len(seeds)}, and no more than there are cores ({os.cpu_count()} here).")
    size, more = divmod(len(seeds), workers)
    ends = [k * size + min(k, more) for k in range(workers + 1)]
    return [list(seeds[start:end]) for start, end in pairwise(ends)]


def _refuse_half_a_cluster(workers: int, out: str | Path | None) -> None:
    """A cluster is for several groups of seeds, and for files that outlive a worker."""
    if workers == 1:
        raise ValueError("workers = 1 with a scheduler: say into how many groups the seeds are to be divided (workers=N, --workers N), for example "
                         "as many as the cluster has workers. One group is one process and needs no scheduler.")
    if out is None:
        raise ValueError("a scheduler, and no folder: give one on a disk that all machines share (out=..., --out). There a worker that takes over "
                         "the seeds of a killed one finds what it had done.")


def _how_to_continue(command: str, out: str | Path | None) -> str:
    if out is None:
        return " Nothing was being saved, since no folder was given (out=None, --out)."
    return f" Everything that was saved is in {out}. Continue, to the same bits, with: {command} --out {shlex.quote(str(out))} --resume"


def _place(out: str | Path | None, k: int) -> dict:
    """Where group k's run is kept. It is continued if it had begun, whatever the others had done when the whole was stopped."""
    if out is None:
        return {"out": None}
    folder = Path(out) / f"group_{k}"
    begun = (folder / "config.json").exists()
    if not begun:
        (folder / "config.json.tmp").unlink(missing_ok=True)       # stopped while its first file was written
    return {"out": str(folder), "resume": begun}


def _in_processes(jobs: list[dict], progress: bool, goes_on: str) -> list[list[Row]]:
    """The rows of each job, one process for each. Ctrl-C reaches every process; each saves its run and ends, then this one says how to continue."""
    title = f"{len(jobs)} processes, {jobs[0]['agent']} {jobs[0]['env']}"
    pool = Parallel(n_jobs=len(jobs), backend="loky", inner_max_num_threads=1, return_as="generator")
    try:
        with CtrlC() as ctrl_c, tqdm(total=len(jobs), disable=not progress, unit="group", file=sys.stderr, desc=title) as bar:
            results = []
            for rows in pool(delayed(_group)(job) for job in jobs):
                results.append(rows)
                bar.update()
    except TerminatedWorkerError as error:
        raise WorkerLost(f"a process was ended from outside (by kill, or by the system for want of memory: {len(jobs)} of them share it).{goes_on}"
                         ) from error
    finally:
        get_reusable_executor().shutdown(wait=True, kill_workers=True)
    if ctrl_c.pressed or None in results:
        raise loops.Interrupted(f"stopped by Ctrl-C.{goes_on}")
    return results


def _in_cluster(client: Any, jobs: list[dict], out: str | Path, progress: bool, goes_on: str) -> list[list[Row]]:
    """The rows of each job, each a task of the cluster. A task that has begun cannot be cancelled: when this ends early, it loses its folder."""
    folder, done, left = Path(os.path.abspath(out)), {}, set(range(len(jobs)))
    tasks = [(job, str(folder), k) for k, job in enumerate(jobs)]
    title = f"{len(jobs)} groups in a cluster, {jobs[0]['agent']} {jobs[0]['env']}"
    try:
        with CtrlC() as ctrl_c, tqdm(total=len(jobs), disable=not progress, unit="group", file=sys.stderr, desc=title) as bar, \
                closing(cluster.results(client, _on_a_worker, tasks, stop=lambda: ctrl_c.pressed)) as results:
            for k, done[k] in results:
                left.remove(k)
                bar.update()
    except cluster.ClusterLost as error:
        raise WorkerLost(f"{error}{goes_on}") from error
    except TakenOver:
        left.clear()        # the others of them are another's by now, too
        raise
    finally:
        for k in left:
            revoke(folder / f"group_{k}")
    if left:
        raise loops.Interrupted(f"stopped by Ctrl-C.{goes_on}")
    return [done[k] for k in range(len(jobs))]


def _on_a_worker(task: tuple[dict, str, int]) -> list[Row] | None:
    """A task: group k begun, or continued from where another worker was killed."""
    job, out, k = task
    if not (Path(out) / "config.json").exists():
        raise cluster.ClusterProblem(f"a worker on {socket.gethostname()}, which came after the start, does not see {out}: the disk is not shared.")
    return _group(job | _place(out, k))


def _group(job: dict) -> list[Row] | None:
    """One process's run; None if Ctrl-C ended it, after it was saved."""
    with suppress(loops.Interrupted):
        return loops.train(**job, progress=False).rows
    return None


def _merged(groups: list[list[Row]]) -> list[Row]:
    """All rows in the order of steps, within a step in the order of the groups."""
    return sorted((row for rows in groups for row in rows), key=lambda row: row.step)


def _write(history: History, folder: RunFolder) -> None:
    """rows.csv, wholly or not at all."""
    with folder.disk("rows.csv"):
        beside = folder.path / "rows.csv.tmp"
        history.to_csv(beside)
        os.replace(beside, folder.path / "rows.csv")
