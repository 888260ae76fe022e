"""`rlcourse bench`: the same work done by us and by Stable-Baselines3 and SBX, in turns, as rows that say how they were measured.

Each measurement is a process of its own with one thread (rlcourse/bench_peers.py). A round measures every system once; odd rounds go backwards, so
that a machine that grows slower or faster favours nobody. Ratios are formed within a round, and their median is reported, of CPU time: on a machine
that others use as well, the wall clock measures the others. A row that is in the file already, for the same work, versions, processor and threads,
is not measured again.

This module imports neither torch nor a peer.
"""

import ast
import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path
from typing import Any

import rlcourse
from rlcourse.bench_peers import Work, missing
from rlcourse.bench_table import label

PACKAGE = Path(__file__).resolve().parent
OURS, PEERS = ("rlcourse", "rlcourse matmul fast", "rlcourse matmul fast compiled"), ("sb3", "sbx")
COMPILED = tuple(f"rlcourse matmul fast compiled {mode}" for mode in ("default", "reduce-overhead", "max-autotune"))
THREADS = 1
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NPROC"), "1") | {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1", "JAX_PLATFORMS": "cpu"}
PACKAGES = {"rlcourse": ("torch",), "sb3": ("stable-baselines3", "torch"), "sbx": ("sbx-rl", "stable-baselines3", "jax", "flax")}
SOURCES = ("agents/{agent}.py", "nets.py", "buffers.py", "envs.py", "off_policy.py", "speed.py", "compiled.py")
QUICK_SECONDS, LEAST_SECONDS = 270, 15          # --quick starts nothing that has less than LEAST_SECONDS left
ROUNDS = {True: 2, False: 3}                    # by `quick`


class BenchError(RuntimeError):
    """A measurement failed; the message says which and the last thing it said."""


# ── what is measured ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def plan(quick: bool = False, device: str = "cpu") -> list[list[Work]]:
    """Groups of work that is compared: one after the other within a round. All but the learning runs, which take hours (`--only learning`)."""
    systems = OURS + PEERS if device == "cpu" else (*OURS, "sb3")      # the extra [bench] brings a JAX for the CPU
    steps, warm = (250, 100) if quick else (2_000, 300)
    whole = Work("sac", "", "sac", "HalfCheetah-v5", steps=steps, warm=warm, device=device)
    groups = [[replace(whole, name=agent, agent=agent, system=system) for system in systems] for agent in ("sac", "td3")]
    if quick:       # to compile takes longer than all that is timed: the first group alone shows it
        systems = tuple(system for system in systems if "compiled" not in system)
        groups[1] = [work for work in groups[1] if work.system in systems]
    groups.append(_seeds(quick, device))
    groups += [[replace(whole, name="update", agent=agent, system=system, measure="update") for system in systems]
               for agent in (("sac",) if quick else ("sac", "td3"))]
    if not quick:
        alone = replace(whole, name="compile", measure="update")
        groups += [[replace(work, system=system) for system in ("rlcourse matmul fast", *COMPILED, "sb3")]
                   for work in (alone, replace(alone, env="Pendulum-v1", hidden=(64, 64)))]
    sizes = {64: steps} if quick else {32: 1_000, 64: 1_000, 128: 1_000, 512: 500, 1024: 500}       # 256 is the update alone
    groups += [[replace(whole, name="batch", system=system, measure="update", batch_size=size, steps=count)
                for system in (("rlcourse", "sb3") if quick else (*OURS, "sb3"))] for size, count in sizes.items()]
    return groups


def _seeds(quick: bool, device: str) -> list[Work]:
    """N seeds at once, each row of about as many agent-steps; a peer trains one seed."""
    counts = (1, 10) if quick else (1, 2, 5, 10, 20)
    counts = counts if device == "cpu" else (1, 10, 30, 100)
    one = Work("seeds", "sb3", "sac", "Pendulum-v1", hidden=(64, 64), steps=400 if quick else 4_000, warm=100 if quick else 300, device=device)
    rows = [replace(one, system=system, seeds=tuple(range(n)), steps=max(100, 2 * one.steps // (n + 1))) for n in counts for system in OURS]
    rows = [row for row in rows if not (quick and "compiled" in row.system)]
    return [one, *rows, *([replace(one, system="sbx")] if device == "cpu" and not quick else [])]


def learning(device: str = "cpu", seeds: int = 10) -> list[list[Work]]:
    """Whole training runs with the same settings: ours all seeds in one process, the peer one process for each seed."""
    groups = []
    for env, steps in (("Pendulum-v1", 20_000), ("InvertedPendulum-v5", 10_000)):
        for agent in ("sac", "td3", "ddpg"):
            ours = Work("learning", "rlcourse", agent, env, "learn", (64, 64), 256, tuple(range(seeds)), steps, 1_000, 1e-3, device)
            groups.append([ours, *(replace(ours, system="sb3", seeds=(seed,)) for seed in range(seeds))])
    return groups


def chosen(only: Sequence[str], quick: bool, device: str) -> list[list[Work]]:
    """The groups with the names in `only`; without any, all but learning. ValueError for a name that does not exist."""
    groups = plan(quick, device)
    names = [*dict.fromkeys(group[0].name for group in groups), "learning"]
    for name in [name for name in only if name not in names]:
        near = get_close_matches(name, names, n=1)
        raise ValueError(f"--only {name}: nothing is called that. {f'Did you mean {near[0]}? ' if near else ''}There is: {', '.join(names)}.")
    if quick and "learning" in only:
        raise ValueError("--quick and learning exclude each other: twenty thousand steps of ten seeds take hours. Leave --quick out; the rows that "
                         "are measured before you stop it are kept.")
    return [group for group in groups if not only or group[0].name in only] + (learning(device) if "learning" in only else [])


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def versions(system: str, agent: str) -> dict[str, str]:
    """Versions that decide what a row measures, with fingerprints of how it is measured and, of ours, of the code: what changed is measured anew."""
    first = system.split()[0]
    found = {"python": platform.python_version()} | {name: metadata.version(name) for name in (*PACKAGES[first], "numpy", "gymnasium", "mujoco")}
    ours = {"rlcourse": f"{rlcourse.__version__} (source {fingerprint(agent)})"} if first == "rlcourse" else {}
    return found | ours | {"bench": _digest([PACKAGE / "bench_peers.py"])}


def fingerprint(agent: str, package: Path = PACKAGE) -> str:
    """Eight hexadecimal digits of the code that an agent's training runs, comments apart."""
    return _digest([package / name.format(agent=agent) for name in SOURCES] + sorted(package.glob("equations/*.py")))


def _digest(files: list[Path]) -> str:
    return hashlib.sha256("".join(ast.dump(ast.parse(file.read_text(encoding="utf-8"))) for file in files).encode()).hexdigest()[:8]


def processor(device: str = "cpu") -> str:
    """The processor's name, its widest vector instructions, which decide how fast products are, and its cores; on CUDA the card as well."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = {line.split(":")[0].strip(): line.partition(":")[2].strip() for line in info.splitlines()}
    widest = [label for flag, label in (("amx_bf16", "AMX"), ("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in fields.get("flags", "").split()]
    name = ", ".join([fields.get("model name") or platform.processor() or platform.machine(), *widest[:1], f"{os.cpu_count()} cores"])
    if device == "cpu":
        return name
    asked = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True)
    return f"{asked.stdout.strip() or device}, {name}"


def blank(work: Work, number: int, quick: bool, found: dict[str, str], where: str) -> dict:
    """The row of one measurement before it is made: everything that identifies it."""
    words = ["rlcourse", "bench", "--only", work.name] + (["--quick"] if quick else []) + (["--device", work.device] if work.device != "cpu" else [])
    return {"work": json.loads(json.dumps(asdict(work))), "round": number, "versions": found, "processor": where, "threads": THREADS,
            "command": shlex.join(words)}


def key(row: dict) -> str:
    """What was measured, in which round, with which versions, on what: rows of one key are the same measurement."""
    return json.dumps([row[name] for name in ("work", "round", "versions", "processor", "threads")], sort_keys=True)


def read_rows(file: Path | None) -> dict[str, dict]:
    """Rows of a file by key. A line that a kill cut short is passed over, and its measurement made again."""
    rows = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file is not None and file.exists() else []:
        try:
            row = json.loads(line)
            rows[key(row)] = row
        except (ValueError, KeyError, TypeError):
            continue
    return rows


def append_row(file: Path, row: dict) -> None:
    """Add one row as a line of JSON, on a line of its own also after one that was cut short."""
    file.parent.mkdir(parents=True, exist_ok=True)
    whole = not file.exists() or file.read_bytes()[-1:] in (b"", b"\n")
    with open(file, "a", encoding="utf-8") as out:
        out.write(("" if whole else "\n") + json.dumps(row) + "\n")


# ── measuring ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def in_process(work: Work, timeout: float | None) -> dict:
    """What bench_peers.measure(work) returns, from a new process with one thread. BenchError if it fails, TimeoutExpired if it takes longer."""
    threads = {name: value for name, value in ONE_THREAD.items() if name != "JAX_PLATFORMS" or work.device == "cpu"}
    done = subprocess.run([sys.executable, "-m", "rlcourse.bench_peers", json.dumps(asdict(work))], env={**os.environ, **threads},
                          capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise BenchError(f"{work.name} of {work.system} failed (exit code {done.returncode}); the last it said: {said}. The rows before it are kept: "
                         "the same command goes on from here.")
    return json.loads(done.stdout.strip().splitlines()[-1])


def tell(text: str) -> None:
    """A line of progress, on stderr: stdout is for the table."""
    print(text, file=sys.stderr, flush=True)


def turns(groups: list[list[Work]], rounds: int) -> list[tuple[int, Work]]:
    """(round, work) in the order of measuring: all groups, then all again with each group backwards, and so on. Training runs happen once."""
    return [(number, work) for number in range(rounds) for group in groups
            for work in (group if number % 2 == 0 else group[::-1]) if number == 0 or work.measure != "learn"]


def bench(quick: bool = False, file: Path | None = None, device: str = "cpu", only: Sequence[str] = (), *, seconds: float | None = None,
          run: Callable[[Work, float | None], dict] = in_process, say: Callable[[str], Any] = tell) -> list[dict]:
    """Measure what is chosen, as far as the file does not hold it, and return its rows.

    seconds: nothing is started after that, and nothing runs longer (default: no limit, or QUICK_SECONDS for `quick`). run, say: for tests.
    """
    groups, rounds, where, rows = chosen(only, quick, device), ROUNDS[quick], processor(device), []
    known, began = read_rows(file), time.monotonic()
    limit = seconds if seconds is not None or not quick else QUICK_SECONDS
    absent = {system: why for system in PEERS if (why := missing(system)) and any(work.system == system for group in groups for work in group)}
    for why in absent.values():
        say(why)
    due = [(number, work) for number, work in turns(groups, rounds) if work.system not in absent]
    found = {(system, agent): versions(system, agent) for system, agent in {(work.system, work.agent) for _, work in due}}
    todo = [(work, blank(work, number, quick, found[work.system, work.agent], where)) for number, work in due]
    late = 0
    for place, (work, row) in enumerate(todo):
        left = None if limit is None else limit - (time.monotonic() - began)
        if (kept := known.get(key(row))) is not None:
            rows.append(kept)
            continue
        if late or (left is not None and left < LEAST_SECONDS):
            late += 1
            continue
        say(f"{place + 1}/{len(todo)}  {label(work)}, {work.system}, round {row['round'] + 1}")
        try:
            row |= {"result": run(work, left), "measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        except subprocess.TimeoutExpired:
            late += 1
            continue
        rows.append(row)
        if file is not None:
            append_row(file, row)
    if late:
        say(f"The time is up: {late} of {len(todo)} measurements are left. The same command goes on from here where it has a file (--json FILE).")
    return rows
