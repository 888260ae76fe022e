"""What N seeds show: the record of a run, one number for each seed, the interval of their mean, and how far they differ.

Intervals of other statistics by resampling are in rlcourse/bootstrap.py, the comparison of two algorithms in rlcourse/significance.py.
"""

import csv
from collections.abc import Sequence
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

    def seeds(self, metric: str | None = None) -> list[int]:
        """The seeds in increasing order, which is the order of the rows in `table`; of one metric, if given."""
        return sorted({row.seed for row in self.rows if metric in (None, row.metric)})

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
        series = [self.series(metric, seed) for seed in self.seeds(metric) or self.seeds() or [0]]
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


def require_level(level: float) -> None:
    """Raises ValueError unless 0 < level < 1."""
    if not 0 < level < 1:
        raise ValueError(f"level = {level}: a share of experiments lies between 0 and 1; intervals cover 0.95 by custom, tests err in 0.05.")


def require_runs(x: Any, caller: str, least: int = 2, seeds: Sequence[int] | None = None) -> np.ndarray:
    """x as float64 (n, ...), one run per entry of the first dimension, once that is known: n >= least, and every number is finite.

    Raises ValueError that names the runs which are not finite, by their seed where `seeds` (n,) is given, else by their position.
    """
    x = np.asarray(x, dtype=np.float64)
    n = len(x) if x.ndim else 0
    if n < least:
        one = " One seed is no interval: it says nothing of how far the next seed would be from it." if n == 1 else ""
        raise ValueError(f"{caller} needs at least {least} runs in the first dimension, and was given an array of shape {x.shape}.{one} "
                         "Train more seeds: rlcourse train ... --seeds 10. How many are enough: rlcourse.significance.sample_size.")
    if len(lost := np.flatnonzero(~np.isfinite(x.reshape(n, -1)).all(1))):
        named = ", ".join(f"seed {seeds[k]}" if seeds is not None else f"run {k} (counted from 0)" for k in lost)
        raise ValueError(f"{caller} was given numbers that are not finite, from {named}. A run that diverged is a result, and leaving it out would "
                         "report the lucky seeds alone. Give it the score of a failed run (the lowest of the task) and say so, or mend the cause "
                         "and train all seeds again.")
    return x


class Interval(NamedTuple):
    """An estimate (the mean, unless its maker says otherwise) and the ends of its interval; arrays or floats."""

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
    require_level(level)
    n, mean = len(x), x.mean(0)
    half = scipy_stats.t.ppf((1 + level) / 2, n - 1) * x.std(0, ddof=1) / np.sqrt(n) if n > 1 else np.full_like(mean, np.nan)
    return Interval(mean, mean - half, mean + half)


def interquartile_mean(x: Any, axis: int | None = None) -> Any:
    """IQM = (x₍g+1₎ + ... + x₍n−g₎) / (n − 2g),   g = ⌊n/4⌋,   x₍1₎ <= ... <= x₍n₎

    x: any shape; the runs of all tasks pooled, or along `axis`. Returns a scalar, or x without that axis.
    It forgets the best and the worst quarter: one lucky seed moves it little, and a quarter of failed seeds does not show at all.
    Errors: ValueError where a run is not finite.
    Source: Agarwal et al. 2021, section 4.3.
    Limits: scipy.stats.trim_mean(x, 0.25); n < 4 gives the mean; n = 4 the mean of the middle two; moves and scales with x; any order of the runs.
    """
    x = np.asarray(x, dtype=np.float64)
    require_runs(x.reshape(-1) if axis is None else np.moveaxis(x, axis, 0), "interquartile_mean", least=1)
    return scipy_stats.trim_mean(x, 0.25, axis=axis)


def area_under_curve(steps: np.ndarray, values: np.ndarray, seeds: Sequence[int] | None = None) -> np.ndarray:
    """A_k = Σ_i (t_{i+1} − t_i) (v_{k,i} + v_{k,i+1}) / 2  /  (t_last − t_first)

    steps: (points,) increasing environment steps. values: (n, points), one learning curve a run. Returns (n,), in units of the return:
    the average over training, which rewards learning early as well as ending high.
    Errors: ValueError for steps that do not increase, and for runs that are not finite (named by `seeds` (n,), if given).
    Source: Tanaka and Mahmood 2026 (arXiv 2606.06746), whose percentiles are of this number.
    Limits: a constant curve gives the constant, a straight line its mid-point, whatever the spacing.
    """
    values, steps = require_runs(values, "area_under_curve", 1, seeds), np.asarray(steps, dtype=np.float64)
    if values.ndim != 2 or steps.shape != values.shape[1:] or len(steps) < 2 or not (np.diff(steps) > 0).all():
        raise ValueError(f"area_under_curve needs increasing steps (points,), at least two, and values (n, points); it was given {steps.shape} and "
                         f"{values.shape}. history.table('eval_return') returns such a pair.")
    return np.trapezoid(values, steps, axis=1) / (steps[-1] - steps[0])


def areas(history: History, metric: str = "eval_return") -> np.ndarray:
    """Area under the learning curve of each seed (n,), in increasing order of seeds. Errors: ValueError that names the seeds which are not finite."""
    return area_under_curve(*history.table(metric), seeds=history.seeds(metric))


def final_values(history: History, metric: str = "eval_return", last: int = 1) -> np.ndarray:
    """Mean of the last `last` points of each seed's curve (n,), in increasing order of seeds. Choose `last` before you look at the curves.

    Errors: ValueError that names the seeds which are not finite, and for `last` outside 1 ... points.   Limits: last = points gives the curve's mean.
    """
    _, values = history.table(metric)
    if not 1 <= last <= values.shape[1]:
        raise ValueError(f"last = {last}, and {metric!r} has {values.shape[1]} points: the mean is over between 1 and all of them.")
    return require_runs(values[:, -last:], "final_values", 1, history.seeds(metric)).mean(1)


def inter_percentile_range(x: Any, low: float, high: float, share: float = 0.9) -> float:
    """IPR = (P₅₀₍₁₊share₎(x) − P₅₀₍₁₋share₎(x)) / (high − low);   share 0.9: IPR-90 = (P95 − P5) / (high − low)

    x: (n,) one number a run, by custom its area under the curve. low, high: the task's range (a random policy's score and the best known
    one), so that tasks compare. Returns a share of that range. It says how far runs differ, which more seeds do not shrink; the interval of
    a mean they do. With fewer than 20 runs P5 and P95 lie between the outermost two, and the range is understated.
    Errors: ValueError for fewer than two runs and for an empty range.
    Source: Tanaka and Mahmood 2026 (arXiv 2606.06746), min-max IPR-90.
    Limits: equal runs give 0; runs spread evenly over [low, high] give `share`; x and range moved or scaled together give the same;
    share -> 1 gives max − min.
    """
    if not high > low:
        raise ValueError(f"the task's range is [{low}, {high}]: high must exceed low, or there is no scale to compare runs on.")
    require_level(share)
    lower, upper = np.percentile(require_runs(x, "inter_percentile_range"), [50 * (1 - share), 50 * (1 + share)])
    return float((upper - lower) / (high - low))
