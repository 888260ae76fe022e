"""A function of many jobs on the workers of a Dask cluster, each with one thread, with the same versions and one folder that all of them see.

    dask scheduler                                              # on one machine; it prints its address
    dask worker tcp://host:8786 --nthreads 1 --nworkers 8       # on every machine, in the course's environment

    with connected("tcp://host:8786") as client:
        require_alike(client, "runs/sac")
        for index, result in results(client, function, jobs):
            ...

Dask (extra [dask]) is imported when a scheduler is asked for, not before.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import re
import socket
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import Any

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
ANSWER_WITHIN = 8.0         # seconds for the scheduler, and again for its first worker
SEEN_WITHIN = 3.0           # seconds until a file must be seen on every machine: network disks remember for a while what was not there
BACK_WITHIN = 60.0          # seconds without any worker before the run is given up; Dask restarts a worker that was killed within a few
LOOK_EVERY = 0.5            # seconds between looks at Ctrl-C and at the workers
INSTALL = 'pip install -c constraints.txt -e ".[dask]"'
START = "on one machine `dask scheduler`, on every machine `dask worker {} --nthreads 1 --nworkers N`, all in the course's environment"


class ClusterProblem(RuntimeError):
    """The cluster cannot be used as it is; the message says why and what to do. Nothing has been started."""


class ClusterLost(RuntimeError):
    """The scheduler or the last worker went away before all jobs were done."""


def _source() -> str:
    """A fingerprint of the package's source, as it was when this process read it: two copies may differ under one version."""
    root = Path(__file__).resolve().parent
    files = sorted(file for folder in ("", "agents", "equations") for file in (root / folder).glob("*.py"))
    return hashlib.sha256(b"\0".join(file.name.encode() + file.read_bytes() for file in files)).hexdigest()[:12]


SOURCE = _source()


@contextlib.contextmanager
def connected(scheduler: str) -> Iterator[Any]:
    """A Dask client of the scheduler at an address such as tcp://host:8786, closed at the end. It has one worker at least. Error: ClusterProblem."""
    try:
        import distributed
    except ImportError as error:
        raise ClusterProblem(f"a scheduler was given ({scheduler}), and Dask is not installed. Install it with: {INSTALL}") from error
    start = f"Start a cluster: {START.format(scheduler)}."
    if not re.fullmatch(r"[a-z]+://.+:\d+", scheduler):
        raise ClusterProblem(f"scheduler = {scheduler!r} is no address: write protocol, host and port, such as tcp://host:8786. "
                             f"`dask scheduler` prints its own. {start.replace(scheduler, 'tcp://host:8786')}")
    try:
        with ThreadPoolExecutor(1) as beside:      # not in this thread: a notebook's has an event loop already
            beside.submit(asyncio.run, _greet(scheduler)).result()
        client = distributed.Client(scheduler, timeout=ANSWER_WITHIN, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise ClusterProblem(f"no Dask scheduler answers at {scheduler} (tried for {ANSWER_WITHIN:g} s: {_first_line(error)}). {start}") from error
    with _quiet(), client:
        try:
            client.wait_for_workers(1, timeout=ANSWER_WITHIN)
        except TimeoutError as error:
            raise ClusterProblem(f"the scheduler at {scheduler} answers, but it has no workers (waited for {ANSWER_WITHIN:g} s). {start}") from error
        yield client


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the tracebacks that Dask's client prints when the connection ends: that is told in one line here."""
    log = logging.getLogger("distributed.client")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


async def _greet(scheduler: str) -> None:
    """Exchange greetings with a scheduler. Dask's client alone would wait for ever for a port on which something else listens."""
    from distributed import Security
    from distributed.comm import connect

    greeting = connect(scheduler, timeout=ANSWER_WITHIN, **Security().get_connection_args("client"))
    await (await asyncio.wait_for(greeting, ANSWER_WITHIN)).close()


def require_alike(client: Any, folder: str | Path) -> None:
    """Refuse a cluster on which the same command would not give the same bits, or which does not share the folder. Error: ClusterProblem.

    Every worker needs the versions that this process has (Python, torch, numpy, ... and the package's own source), one thread, and the folder on a
    disk that it shares with this process and may write to. Another processor is a warning: it changes the last digits.
    """
    folder = Path(os.path.abspath(folder))
    new, token = not folder.exists(), f".shared-{uuid.uuid4()}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / token).touch()
    try:
        said = client.run(look, str(folder), token, SEEN_WITHIN, on_error="return")
        threads = client.nthreads()
    finally:
        (folder / token).unlink()
        if new:
            folder.rmdir()
    answers = {worker: answer for worker, answer in said.items() if worker in threads}        # the others are gone already
    there = {worker: {"rlcourse": _first_line(answer)} if isinstance(answer, BaseException) else answer["versions"] | {"threads": threads[worker]}
             for worker, answer in answers.items()}
    refuse_differences(there, about() | {"threads": 1})
    blind = sorted({f"{_host(worker)}: {answer['folder']}" for worker, answer in answers.items() if answer["folder"]})
    if blind:
        raise ClusterProblem(f"{folder} is not on a disk that all machines share: {'; '.join(blind)}. A worker that takes over the job of another "
                             "continues from the other's files. Choose a folder on a network disk, mounted under the same path everywhere.")


def refuse_differences(there: dict[str, dict], here: dict) -> None:
    """ClusterProblem with a table of what differs between workers and this process; a warning if only processors do."""
    rows = sorted({(what, str(value), str(here.get(what)), _host(worker)) for worker, found in there.items() for what, value in found.items()
                   if value != here.get(what)})
    hard = [row for row in rows if row[0] != "processor"]
    if not hard:
        for _, value, ours, host in rows:
            warnings.warn(f"the processor of {host} is {value!r}, here it is {ours!r}: the last digits may depend on which one trains.", stacklevel=4)
        return
    table = [("", "there", "here", "machine"), *hard]
    widths = [max(len(row[k]) for row in table) for k in range(4)]
    lines = "\n".join("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in table)
    raise ClusterProblem(f"the workers are not like this process, so the same command would not give the same bits:\n{lines}\nInstall the same "
                         f"versions everywhere ({INSTALL}) and start the workers again, with --nthreads 1.")


def about() -> dict[str, str]:
    """What the bits depend on besides the seed, in this process."""
    from rlcourse.checkpoint import versions

    return versions() | {"rlcourse source": SOURCE}


def look(folder: str, token: str, patience: float) -> dict:
    """What a worker says of itself: {"versions": ..., "folder": "" or why it cannot be used}."""
    with one_thread():
        versions = about()
    path, until = Path(folder), time.monotonic() + patience
    while not (path / token).exists() and time.monotonic() < until:
        time.sleep(0.05)
    if not (path / token).exists():
        return {"versions": versions, "folder": "does not see a file that was written there"}
    try:
        mine = path / f"{token}-{os.getpid()}"
        mine.touch()
        mine.unlink()
    except OSError as error:
        return {"versions": versions, "folder": f"cannot write there ({error.strerror})"}
    return {"versions": versions, "folder": ""}


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One thread for the products of this thread of a worker, and by the environment for libraries that are loaded later."""
    os.environ.update(dict.fromkeys(THREADS, "1"))
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def results(client: Any, function: Callable, jobs: Sequence, stop: Callable[[], bool] = lambda: False) -> Iterator[tuple[int, Any]]:
    """(k, function(jobs[k])) in the order in which they are done. Ends early when stop() says so; what is not done is then cancelled.

    A job whose worker dies is begun again by Dask on another one, so the function looks itself for what it had done. A job that has begun cannot be
    stopped by cancelling it: that is for the caller. Errors: those of the function, and ClusterLost.
    """
    name, here, seen = f"rlcourse-{uuid.uuid4()}", about(), time.monotonic()
    due = {client.submit(_run, function, job, here, key=f"{name}-{k}", pure=False): k for k, job in enumerate(jobs)}
    try:
        while due and not stop():
            if _workers(client, due):
                seen = time.monotonic()
            for future in [future for future in due if future.done()]:
                yield due[future], _result(future)
                del due[future]
            if due and time.monotonic() - seen > BACK_WITHIN:
                raise ClusterLost(f"no worker has been left for {BACK_WITHIN:g} s.")
    finally:
        with contextlib.suppress(Exception):
            client.cancel(list(due))


def _workers(client: Any, due: dict) -> int:
    """The number of workers, after a moment in which one of the jobs may end."""
    from distributed import wait

    try:
        with client.as_current(), contextlib.suppress(TimeoutError):
            wait(list(due), timeout=LOOK_EVERY, return_when="FIRST_COMPLETED")
        return len(client.nthreads())
    except (OSError, CancelledError) as error:
        raise ClusterLost(f"the scheduler has gone away ({_first_line(error)}).") from error


def _run(function: Callable, job: Any, here: dict) -> Any:
    """A job on a worker. A worker that came after the check is checked now."""
    with one_thread():
        refuse_differences({socket.gethostname(): about()}, here)
        return function(job)


def _result(future: Any) -> Any:
    from distributed import KilledWorker

    try:
        return future.result()
    except CancelledError as error:
        raise ClusterLost(f"the scheduler has forgotten a job ({_first_line(error)}).") from error
    except KilledWorker as error:
        raise ClusterLost(f"one job has ended {error.allowed_failures + 1} workers, one after the other; the system kills processes for want of "
                          "memory, so fewer workers on each machine may help.") from error


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")


def _host(worker: str) -> str:
    """tcp://10.0.0.2:40123 -> 10.0.0.2."""
    return re.sub(r"^[a-z]+://|:\d+$", "", worker)
