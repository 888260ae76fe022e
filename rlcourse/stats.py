"""What may be claimed from N seeds: the record of a run, and intervals of a mean."""

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats as scipy_stats


class Row(NamedTuple):
    """One number of one run."""

    seed: int
    step: int
    metric: str
    value: float


@dataclass
class History:
    """What a training run measured, as data: one Row per seed, step and metric. Plots and tables read this and nothing else.

    agent: the trained agent where the run was made in this process, else None; it is not written to CSV.
    """

    rows: list[Row] = field(default_factory=list)
    agent: Any = field(default=None, repr=False, compare=False)

    def metrics(self) -> list[str]:
        """Names of what was measured, in the order of first appearance."""
        return list(dict.fromkeys(row.metric for row in self.rows))

    def seeds(self) -> list[int]:
        """The seeds in increasing order, which is the order of the rows in `table`."""
        return sorted({row.seed for row in self.rows})

    def series(self, metric: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Steps (points,) and values (points,) of one seed."""
        rows = [row for row in self.rows if row.metric == metric and row.seed == seed]
        if not rows:
            measured = ", ".join(self.metrics()) or "nothing yet"
            raise ValueError(f"no {metric!r} was measured for seed {seed}. Measured: {measured}, for seeds {self.seeds()}.")
        return np.array([row.step for row in rows]), np.array([row.value for row in rows])

    def table(self, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps (points,) and values (seeds, points): one row per seed, all at the same steps.

        Raises ValueError if the seeds were measured at different steps, as episodes of unequal length are: use `series` for each seed then.
        """
        seeds = [seed for seed in self.seeds() if any(row.metric == metric and row.seed == seed for row in self.rows)]
        series = [self.series(metric, seed) for seed in seeds or self.seeds() or [0]]
        steps = series[0][0]
        if any(not np.array_equal(steps, other) for other, _ in series):
            raise ValueError(f"{metric!r} was measured at different steps for different seeds (episodes may end at different times), so there is no "
                             "(seeds, points) table. Use history.series(metric, seed), or the metric 'eval_return', which all seeds share.")
        return steps, np.stack([values for _, values in series])

    def to_csv(self, path: str | Path) -> None:
        with open(path, "w", newline="") as file:
            file.write(",".join(Row._fields) + "\n" + "".join(csv_line(row) for row in self.rows))

    @classmethod
    def from_csv(cls, path: str | Path) -> "History":
        with open(path, newline="") as file:
            return cls([Row(int(r["seed"]), int(r["step"]), r["metric"], float(r["value"])) for r in csv.DictReader(file)])


def csv_line(row: Row) -> str:
    """The row as CSV; repr keeps every bit of the value."""
    return f"{row.seed},{row.step},{row.metric},{row.value!r}\n"


class Interval(NamedTuple):
    """Mean and the ends of its interval; arrays or floats."""

    mean: Any
    low: Any
    high: Any


def mean_interval(x: np.ndarray, level: float = 0.95) -> Interval:
    """x̄ ± t_{n−1, (1+level)/2} · s / √n,   s² = Σ_k (x_k − x̄)² / (n − 1)

    x: (n, ...) one independent run per entry of the first dimension. Returns (mean, low, high), each of shape (...).
    The interval covers the mean over all seeds in a share `level` of experiments if the runs are normally distributed; returns often are not, and
    three seeds cannot show it. It says how far the mean of these n runs may be from that of all runs, not how good a single run will be.
    With n = 1 nothing is known about the spread: low and high are nan.
    Source: Student 1908.   Limits: equals scipy.stats.ttest_1samp(x, 0).confidence_interval(level); n -> infinity gives x̄ ± 1.96 s/√n at level 0.95.
    """
    x = np.asarray(x, dtype=np.float64)
    if x.ndim == 0 or len(x) == 0:
        raise ValueError(f"mean_interval needs one entry per run in the first dimension; it was given an array of shape {x.shape}.")
    if not 0 < level < 1:
        raise ValueError(f"level = {level}: the share of experiments that the interval should cover lies between 0 and 1, 0.95 by custom.")
    n, mean = len(x), x.mean(0)
    half = scipy_stats.t.ppf((1 + level) / 2, n - 1) * x.std(0, ddof=1) / np.sqrt(n) if n > 1 else np.full_like(mean, np.nan)
    return Interval(mean, mean - half, mean + half)
