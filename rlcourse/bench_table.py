"""The rows of `rlcourse bench` as tables: medians and ratios of speed, and what was learnt, with intervals."""

import json
from collections.abc import Sequence
from statistics import median

from rlcourse.bench_peers import NAMES, Work


def label(work: Work) -> str:
    """What a row of the table is about, without the system."""
    what = {"step": "end to end", "update": "update alone", "learn": f"{work.steps} steps"}[work.measure]
    count = f", {len(work.seeds)} seeds at once" if work.name == "seeds" and len(work.seeds) > 1 else ""
    return f"{work.agent.upper()} {work.env}, {'x'.join(map(str, work.hidden))}, batch {work.batch_size}, {what}{count}"


def compared(row: dict) -> str:
    """Rows with the same value are compared: all of a group, whatever the system and its number of seeds."""
    return json.dumps([row["work"][name] for name in ("name", "agent", "env", "measure", "hidden", "batch_size", "device")])


def speed(row: dict) -> float:
    """Agent-steps (or updates) per CPU second; per second of the clock on a GPU, where the CPU waits."""
    return row["result"]["agent_steps"] / row["result"]["cpu_s" if row["work"]["device"] == "cpu" else "wall_s"]


def summary(rows: Sequence[dict]) -> list[dict]:
    """One line for each timed work: medians over its rounds, and the median over rounds of its speed as a multiple of SB3's in that round.

    ratio is None where no round holds both. steps_s: environment steps of one seed (or updates) per second of the clock.
    """
    timed, works = [row for row in rows if row["work"]["measure"] != "learn"], {}
    rivals = {(compared(row), row["round"]): speed(row) for row in timed if row["work"]["system"] == "sb3"}
    for row in timed:
        works.setdefault(json.dumps(row["work"]), []).append(row)
    lines = []
    for same in works.values():
        results = [row["result"] for row in same]
        ratios = [speed(row) / rival for row in same if (rival := rivals.get((compared(row), row["round"])))]
        work = Work(**same[0]["work"])
        lines.append({"name": work.name, "agent": work.agent, "batch_size": work.batch_size, "what": label(work), "system": work.system,
                      "seeds": len(work.seeds), "rounds": len(same),
                      "steps_s": median(work.steps / result["wall_s"] for result in results),
                      "cpu_ms": median(1000 * result["cpu_s"] / result["agent_steps"] for result in results),
                      "speed": median(map(speed, same)), "ratio": median(ratios) if ratios else None,
                      "peak_mb": median(result["peak_mb"] for result in results)})
    order = list(dict.fromkeys(line["name"] for line in lines))
    return sorted(lines, key=lambda line: (order.index(line["name"]), line["agent"], line["batch_size"], line["seeds"]))


def learned(rows: Sequence[dict]) -> list[dict]:
    """One line for each task and system: interquartile mean of final return and of the area under the curve over all seeds, with 95 % intervals."""
    import numpy as np

    from rlcourse.bootstrap import bootstrap_interval

    tasks = {}
    for row in [row for row in rows if row["work"]["measure"] == "learn"]:
        tasks.setdefault((label(Work(**row["work"])), row["work"]["system"]), []).append(row)
    lines = []
    for (what, system), same in tasks.items():
        line = {"name": "learning", "what": what, "system": system, "seeds": sum(len(row["work"]["seeds"]) for row in same)}
        for name in ("final", "area"):
            values = np.concatenate([row["result"][name] for row in same])
            enough = len(values) > 1
            line[name] = tuple(map(float, bootstrap_interval(values, np.random.default_rng(0)))) if enough else (float(values[0]), None, None)
        lines.append({**line, "cpu_s": sum(row["result"]["cpu_s"] for row in same) / line["seeds"]})
    return lines


def compared_learning(rows: Sequence[dict], level: float = 0.95) -> dict[tuple[str, str, str], tuple[float, float, float]]:
    """(work, system, "final" or "area") -> IQM(system) − IQM(SB3) over seeds, with its bootstrap interval, for every system but SB3.

    Both sets of seeds are resampled, each on its own, and the quantiles are of the differences. "Not worse beyond the interval" is high >= 0.
    """
    import numpy as np

    from rlcourse.bootstrap import bootstrap_distribution
    from rlcourse.stats import interquartile_mean

    runs = {}
    for row in [row for row in rows if row["work"]["measure"] == "learn"]:
        for name in ("final", "area"):
            runs.setdefault((label(Work(**row["work"])), row["work"]["system"], name), []).extend(row["result"][name])
    found = {}
    for (what, system, name), ours in runs.items():
        theirs = runs.get((what, "sb3", name), [])
        if system != "sb3" and min(len(ours), len(theirs)) > 1:
            spread = [bootstrap_distribution(np.array(x), np.random.default_rng([0, k])) for k, x in enumerate((ours, theirs))]
            low, high = np.quantile(spread[0] - spread[1], [(1 - level) / 2, (1 + level) / 2])
            found[what, system, name] = (float(interquartile_mean(np.array(ours)) - interquartile_mean(np.array(theirs))), float(low), float(high))
    return found


def table(rows: Sequence[dict]) -> str:
    """The rows as Markdown: speed, learning, and under each table how it was measured."""
    parts = []
    if lines := summary(rows):
        unit = "CPU s" if rows[0]["work"]["device"] == "cpu" else "s"
        parts += [f"| work | system | steps/s | CPU ms per agent-step | agent-steps per {unit} | x SB3 | peak MB | rounds |",
                  "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
        parts += [f"| {line['what']} | {_called(line)} | {line['steps_s']:.0f} | {line['cpu_ms']:.2f} | {line['speed']:,.0f} | "
                  f"{'' if line['ratio'] is None else format(line['ratio'], '.2f')} | {line['peak_mb']:.0f} | {line['rounds']} |" for line in lines]
        parts += [""]
    if lines := learned(rows):
        apart = compared_learning(rows)
        parts += ["| training | system | final return (IQM, 95 %) | minus SB3's | area under the curve (IQM, 95 %) | minus SB3's | seeds "
                  "| CPU s per seed, with evaluations |", "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
        for line in lines:
            cells = [cell for name in ("final", "area")
                     for cell in (_interval(line[name]), _interval(apart.get((line["what"], line["system"], name), ("", None, None))))]
            parts += [f"| {line['what']} | {_called(line)} | {' | '.join(cells)} | {line['seeds']} | {line['cpu_s']:.0f} |"]
        parts += [""]
    return "\n".join([*parts, conditions(rows)]) if parts else "No row was measured."


def _called(line: dict) -> str:
    return NAMES.get(line["system"], line["system"])


def _interval(values: Sequence[float | None]) -> str:
    middle, low, high = values
    if middle == "":
        return ""
    return f"{middle:.1f}" if low is None else f"{middle:.1f} ({low:.1f} to {high:.1f})"


def conditions(rows: Sequence[dict]) -> str:
    """Versions, processor, threads and commands of the rows, in a few sentences."""
    found = {name: sorted({row["versions"][name] for row in rows if name in row["versions"]}) for row in rows for name in row["versions"]}
    said = ", ".join(f"{name} {' and '.join(values)}" for name, values in found.items())
    where = "; ".join(sorted({f"{row['processor']}, {row['threads']} thread" for row in rows}))
    commands = {}
    for row in rows:
        commands.setdefault(row["command"].replace(f" --only {row['work']['name']}", ""), {})[row["work"]["name"]] = None
    asked = ", ".join(f"`{command} --only {' '.join(names)}`" for command, names in commands.items())
    return (f"Measured with {asked} on {where}; {said}. Medians over rounds; x SB3 is the median of the ratios within a round, by CPU time "
            "(on a GPU by the clock); steps/s is by the clock.")
