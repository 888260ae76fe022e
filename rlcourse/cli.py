"""The command `rlcourse`: lab, check, progress, train, bench, doctor, index, proofs, flatten.

Nothing heavy is imported before a subcommand needs it, so that `rlcourse --help` answers at once. Exit codes: 0 success, 1 the answer is no or an
expected error (one line that says what to do), 2 the command line was not understood, 130 Ctrl-C. An unexpected error keeps its traceback.
"""

import ast
import errno
import json as json_format
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.table import Column, Table
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, UseAppendAction, arg

COLUMNS = ("tag", "lecture cell", "function", "used in", "tests", "exercises")
MARKS = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "problem": "[red]problem[/]"}
PACKAGE = Path(__file__).resolve().parent
Flag = FlagCreatePairsOff[bool]
AgentName = Annotated[Positional[str], arg(metavar="AGENT")]
Paths = Annotated[Positional[tuple[Path, ...]], arg(metavar="[FILE ... | ID ...]")]
NotebookNames = Annotated[Positional[tuple[str, ...]], arg(metavar="[NOTEBOOK ...]")]


class CommandError(ValueError):
    """The command line asks for something that cannot be done; the message says what to write instead."""


def lab(port: int = 8888, no_browser: Flag = False) -> int:
    """Open JupyterLab on the course map, with your own copies of the lectures and exercises in my/.

    Args:
        port: Port on this machine; the next free one is taken if it is busy.
        no_browser: Print the address instead of opening a browser.
    """
    from rlcourse.authoring import lab as course_lab

    return course_lab.launch(port=port, browser=not no_browser) or 0


def check(files: Paths = (), log: Flag = False, gate: Flag = False, jobs: int = 0, json: Flag = False) -> int:
    """Check the exercises in notebooks and name the mistake in each wrong answer. Exit code 0 only if all are right.

    Args:
        files: Exercise notebooks such as my/exercises/13a_reparametrisation_and_squashing.ipynb, or a folder of them. With --gate: ids such as 13.1.
        log: For instructors: read logs of wrong answers that no mistake names instead (without FILE: my/unnamed_answers.jsonl).
        gate: For authors: try the checks themselves, on right answers, named mistakes and automatic mutants (half a CPU minute an exercise).
        jobs: Processes that share the exercises of the gate among them; 0 is one for each core.
        json: Print the reports as JSON.
    """
    if gate:
        from rlcourse.checks import gate_table

        return gate_table.run_gate([str(id) for id in files], as_json=json, jobs=jobs)
    from rlcourse.checks import files as notebooks
    from rlcourse.checks import unnamed

    return unnamed.report(files, as_json=json) if log else notebooks.run_check(files, as_json=json)


def progress(json: Flag = False) -> int:
    """Show which exercises are right so far, how many points that makes, and which one is next, for all lectures.

    Args:
        json: Print it as JSON.
    """
    from rlcourse.checks import overview

    return overview.report(as_json=json)


@dataclass(frozen=True)
class TrainOptions:
    """What `rlcourse train` can be training. The defaults of None are those of rlcourse.train.train."""

    agent: AgentName  # Name of a module in rlcourse/agents, such as sac.
    env: Annotated[str, arg(metavar="ID")]  # A Gymnasium environment, such as HalfCheetah-v5 or Pendulum-v1.
    seeds: int = 1  # Number of seeds, trained side by side: seeds 0 to N-1.
    seed_list: Annotated[tuple[int, ...], arg(metavar="SEED ...")] = ()  # These seeds instead, such as --seed-list 3 7 9.
    steps: int = 10_000  # Environment steps of each seed.
    device: str = "cpu"  # cpu, cuda, or auto (cuda where there is one).
    out: Annotated[Path | None, arg(metavar="DIR")] = None  # Folder for the files. Without it: runs/AGENT-ENV.
    resume: Flag = False  # Continue the run in that folder.
    set: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME=VALUE")] = ()  # A setting of the agent: --set hidden=(64,64) --set gamma=0.98
    evaluate_every: Annotated[int | None, arg(metavar="STEPS")] = None  # Environment steps between evaluations.
    eval_episodes: Annotated[int | None, arg(metavar="N")] = None  # Episodes of each evaluation.
    log_every: Annotated[int | None, arg(metavar="STEPS")] = None  # Environment steps between rows of losses.
    checkpoint_every: Annotated[int | None, arg(metavar="STEPS")] = None  # Environment steps between checkpoints.
    matmul: Literal["exact", "fast"] = "exact"  # fast: float32 products by oneDNN, refused where they are too inexact.
    compile: Flag = False  # Compile the update (torch.compile; needs a C++ compiler): other last digits, more steps per second.
    compile_mode: Literal["default", "reduce-overhead", "max-autotune"] | None = None  # Compile in this mode; default if only --compile is given.
    workers: int = 1  # Processes that share the seeds among them, each with one thread.
    scheduler: Annotated[str | None, arg(metavar="ADDRESS")] = None  # tcp://host:8786: the workers are those of this Dask cluster.
    quiet: Flag = False  # No progress bar.


def train(training: OmitArgPrefixes[TrainOptions]) -> int:
    """Train an agent and write config.json, rows.csv and a checkpoint. Ctrl-C keeps everything; --resume continues to the same bits."""
    from rlcourse import train as loops
    from rlcourse import workers

    folder = training.out or Path("runs") / f"{training.agent}-{training.env.replace('/', '-')}"
    optional = {name: getattr(training, name) for name in ("evaluate_every", "eval_episodes", "log_every", "checkpoint_every")}
    try:
        history = workers.train(
            workers=training.workers,
            scheduler=training.scheduler,
            agent=training.agent,
            env=training.env,
            seeds=list(training.seed_list) or list(range(training.seeds)),
            steps=training.steps,
            device=training.device,
            out=folder,
            resume=training.resume,
            config=settings(training.set),
            matmul=training.matmul,
            compile=training.compile_mode or training.compile,
            progress=not training.quiet,
            **{name: value for name, value in optional.items() if value is not None},
        )
    except loops.Interrupted as stop:
        print(f"\n{stop}", file=sys.stderr)
        return 130
    Console().print(result_table(history.rows, f"{training.agent} on {training.env}"))
    Console().print(f"Files: {folder}/ ({workers.FILES[training.workers > 1]})", highlight=False, soft_wrap=True)
    return 0


def bench(quick: Flag = False, json: Annotated[Path, arg(metavar="FILE")] = Path("runs/bench.jsonl"), device: str = "cpu",
          only: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = ()) -> int:
    """Measure our agents, Stable-Baselines3 and SBX at the same work, in turns, and print the table of the README. Rows already measured are kept.

    Args:
        quick: Few steps and two rounds, ended after five minutes at the latest.
        json: File of the rows, one line of JSON each: what is in it already, for the same versions and processor, is not measured again.
        device: cpu or cuda.
        only: Measure these alone: sac and td3 (end to end), seeds (N at once), update, batch, or learning (takes hours; left out if not named).
    """
    from rlcourse import bench_table
    from rlcourse.bench import bench as measure

    print(bench_table.table(measure(quick, json, device, only)))
    print(f"Rows: {json}", file=sys.stderr)
    return 0


def settings(assignments: Sequence[str]) -> dict:
    """`("gamma=0.98", "hidden=(64, 64)")` -> `{"gamma": 0.98, "hidden": (64, 64)}`. A value that is no Python literal stays a string."""
    found = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name.isidentifier():
            raise CommandError(f"--set needs name=value, such as --set gamma=0.98, and got {assignment!r}.")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found


def result_table(rows: Sequence, title: str) -> Table:
    """Last value of every metric: mean over seeds with its 95 % interval (Student's t, which supposes roughly normal values over seeds)."""
    from rlcourse.stats import mean_interval

    table = Table(title=title)
    for heading in ("metric", "step", "seeds", "mean", "95 % interval"):
        table.add_column(heading, justify="left" if heading == "metric" else "right")
    for metric in dict.fromkeys(metric for _, _, metric, _ in rows):
        last = {seed: (step, value) for seed, step, name, value in rows if name == metric}
        mean, low, high = mean_interval([value for _, value in last.values()])
        bounds = f"{low:.4g} to {high:.4g}" if len(last) > 1 else "one seed has none"
        table.add_row(metric, str(max(step for step, _ in last.values())), str(len(last)), f"{mean:.4g}", bounds)
    return table


def doctor(json: Flag = False) -> int:
    """Say what this machine can do for the course, and what to do about what it cannot. Exit code 0 if nothing required is missing.

    Args:
        json: Print the report as JSON.
    """
    from rlcourse.authoring import doctor as probes

    rows = probes.diagnose()
    if json:
        print(json_format.dumps({"healthy": probes.healthy(rows), "rows": [vars(row) for row in rows]}, indent=2))
    else:
        table = Table("", "", "found", "what to do", title="rlcourse doctor")
        for row in rows:
            table.add_row(row.what, MARKS[row.status], row.found, row.advice if row.status != "ok" else "")
        Console().print(table)
        verdict = "Nothing required is missing." if probes.healthy(rows) else "[red]Something required is missing[/]: see the rows marked problem."
        Console().print(verdict)
    return 0 if probes.healthy(rows) else 1


def index(json: Flag = False) -> int:
    """List every equation tag: where the lecture derives it, which function computes it, which agent line uses it, its tests and exercises.

    Args:
        json: Print the index as JSON.
    """
    from rlcourse.authoring import equation_index

    entries, problems = equation_index.build(), equation_index.problems()
    if json:
        print(json_format.dumps({"equations": equation_index.as_rows(entries), "problems": problems}, indent=2))
    else:
        table = Table(*(Column(name, overflow="fold") for name in COLUMNS), title="Equations", show_lines=True)
        for entry in entries:
            names = {column: [place.partition(" ")[2] for place in getattr(entry, column)] for column in ("functions", "used", "exercises")}
            lecture = [place.rpartition("/")[2] for place in entry.lecture]
            tests = [place.partition(":")[0].rpartition("/")[2] for place in entry.tests]
            columns = (lecture, names["functions"], names["used"], tests, names["exercises"])
            table.add_row(f"\\[{entry.tag}]", *map(shortly, columns))
        Console().print(table)
        for problem in problems:
            print(problem, file=sys.stderr)
    return 1 if problems else 0


def shortly(places: Sequence[str]) -> str:
    """Up to three different places for a table, one a line, with how often each occurs. `--json` has all of them in full."""
    counted = [f"{place} ({count})" if count > 1 else place for place, count in Counter(places).items()]
    return "\n".join(counted[:3] + ([f"and {len(counted) - 3} more"] if len(counted) > 3 else []))


def proofs(notebooks: NotebookNames = (), mutate: Flag = False, json: Flag = False) -> int:
    """Run every derivation of the lectures and count what is checked. Exit code 0 only if no displayed equation is unchecked.

    Args:
        notebooks: Lectures such as 13a, or paths of sources or notebooks. Without any: all lectures, drafts included.
        mutate: Try every wrong version of every equation as well, and list those that go unnoticed (about a minute).
        json: Print the result as JSON.
    """
    from rlcourse.authoring import proof_tables

    return proof_tables.report(notebooks, mutate=mutate, as_json=json)


def flatten(agent: AgentName) -> int:
    """Print an agent as one file that needs nothing of rlcourse: its equations, nets, buffer and a loop, taken from the package's source.

    Args:
        agent: Name of a module in rlcourse/agents, such as sac.
    """
    from rlcourse.authoring import flatten as flattener

    print(flattener.flatten(agent), end="")
    return 0


COMMANDS = {"lab": lab, "check": check, "progress": progress, "train": train, "bench": bench, "doctor": doctor, "index": index, "proofs": proofs,
            "flatten": flatten}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code. An expected error becomes one line on stderr; any other error keeps its traceback."""
    description = "Modern reinforcement learning in which every derivation is checked by the machine in front of you."
    try:
        return tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="rlcourse", description=description, args=arguments)
    except BrokenPipeError:  # the reader of a pipe, such as head, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if not is_expected(error):
            raise
        print(f"rlcourse: {error_line(error)}", file=sys.stderr)
        return 1


def is_expected(error: Exception) -> bool:
    """True for errors whose message is meant to be read: the package's own classes, what the operating system refuses (no file, no right, no space),
    and a ValueError or RuntimeError that a `raise` of the package itself has written. The same classes from elsewhere are bugs, with a traceback.
    """
    if isinstance(error, OSError) or type(error).__module__.split(".")[0] == "rlcourse":
        return True
    origin = extract_tb(error.__traceback__)[-1]
    on_purpose = (origin.line or "").startswith("raise ") and Path(origin.filename).is_relative_to(PACKAGE)
    return on_purpose and isinstance(error, ValueError | RuntimeError)


def error_line(error: Exception) -> str:
    """The message of an expected error; for the operating system's, what it refused and for which file."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    advice = ": free some space, then run the same command with --resume" if error.errno == errno.ENOSPC else ""
    return f"{error.strerror}{f' ({error.filename})' if error.filename else ''}{advice}."
