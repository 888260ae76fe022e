"""Statistical properties: a student's function draws with a generator that it is given, and its draws must follow a law.

A right answer fails by bad luck at most once in a million evaluations (`rate`), over all numbers that are looked at: p per number is
rate / (entries x looks), by Bonferroni. Before it fails, a property draws a second time with fresh randomness, and fails only if that breaks too; the
stated rate does not count on it, so it also covers a normal approximation that is off in the tails. All randomness comes from the case's generator
seed: the same seed, the same verdict.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import ndtri

from rlcourse.checks.compare import Slip
from rlcourse.checks.properties import Answer, Ask, Breach, Inputs, Property, exact, number

RATE = 1e-6


def sigmas(rate: float, numbers: int) -> float:
    """c with P(any of `numbers` standard normals is outside of [-c, c]) <= rate: each gets rate / numbers, in two tails."""
    return float(-ndtri(rate / (2 * numbers)))


def band(rate: float, numbers: int, n: int) -> float:
    """e with P(sup |F_n - F| > e for any of `numbers` laws) <= rate, for n draws each: 2 exp(-2 n e^2) (Dvoretzky-Kiefer-Wolfowitz, Massart)."""
    return math.sqrt(math.log(2 * numbers / rate) / (2 * n))


def mean_of_draws(io: Any, id: str, says: str, cause: str, tag: str, draws: Callable[[Inputs, Answer], np.ndarray], mean: Callable[..., Any],
                  sd: Callable[..., Any], *, entries: int = 1, looks: int = 1, rate: float = RATE, attempts: int = 2,
                  kinds: tuple[str, ...] = ()) -> Property:
    """The mean over independent rows draws(inputs, answer), shape (n, entries), is mean(**inputs); sd(**inputs) is the known deviation of one row.

    Limits: the mean of n rows is taken as normal. With n >= 1000 and a skewness below 1 the tail at 5 sigma is right within a factor of 3.
    """
    c = sigmas(rate, entries * looks)

    def distance(inputs: Inputs, answer: Answer) -> Breach | None:
        rows, given = _rows(draws(inputs, answer), entries), exact(inputs)
        right, spread = (np.broadcast_to(np.asarray(f(**given), dtype=np.float64), (entries,)) for f in (mean, sd))
        margin = c * spread / math.sqrt(len(rows))
        got = rows.mean(axis=0)
        if (np.abs(got - right) <= margin + 1e-12).all():
            return None
        worst = int(np.argmax(np.abs(got - right) / (margin + 1e-300)))
        return Breach(inputs, f"a mean of {number(right[worst])} +- {number(margin[worst])} over {len(rows)} draws", number(got[worst]))

    return Property(id, f"{says} ({_stated(rate, attempts)}, {c:.1f} sigma over {_numbers(entries, looks)})", cause, tag, kinds,
                    _repeated(io, distance, attempts), looks=looks)


def law_of_draws(io: Any, id: str, says: str, cause: str, tag: str, draws: Callable[[Inputs, Answer], np.ndarray], cdf: Callable[..., Any], *,
                 entries: int = 1, looks: int = 1, rate: float = RATE, attempts: int = 2, kinds: tuple[str, ...] = ()) -> Property:
    """Each column of the independent rows draws(inputs, answer), shape (n, entries), has the law cdf(x, **inputs): (n, entries) -> (n, entries).

    The largest distance of the empirical distribution from the right one, against a bound that holds for every n and every law.
    """

    def distance(inputs: Inputs, answer: Answer) -> Breach | None:
        rows = np.sort(_rows(draws(inputs, answer), entries), axis=0)
        n = len(rows)
        right = np.asarray(cdf(rows, **exact(inputs)), dtype=np.float64)
        steps = np.arange(n)[:, None] / n
        gap = np.maximum(right - steps, steps + 1 / n - right)
        worst = np.unravel_index(int(np.argmax(gap)), gap.shape)
        if gap[worst] <= band(rate, entries * looks, n):
            return None
        at, allowed = number(rows[worst]), number(band(rate, entries * looks, n))
        return Breach(inputs, f"a share of {right[worst]:.4f} +- {allowed} of {n} draws at or below {at}", f"{(worst[0] + 1) / n:.4f}")

    return Property(id, f"{says} ({_stated(rate, attempts)}, over {_numbers(entries, looks)})", cause, tag, kinds,
                    _repeated(io, distance, attempts), looks=looks)


def _repeated(io: Any, distance: Callable[[Inputs, Answer], Breach | None], attempts: int) -> Callable[[Inputs, Answer, Ask], Breach | None]:
    """Breaks only if every attempt does: the first with the case's own generator, the others with seeds made from it."""
    seeds = [name for name, each in io.inputs.items() if each.kind == "generator"]
    if not seeds:
        raise ValueError("A statistical property repeats with fresh randomness: the interface needs an input generator().")

    def test(inputs: Inputs, answer: Answer, ask: Ask) -> Breach | None:
        first = breach = distance(inputs, answer)
        for attempt in range(1, attempts):
            if breach is None:
                return None
            again = inputs | {name: fresh_seed(inputs[name], attempt) for name in seeds}
            breach = distance(again, ask(again))
        return first if breach else None

    return test


def fresh_seed(seed: np.ndarray, attempt: int) -> np.ndarray:
    """The seed of a repetition: a hash of the case's seed and the attempt."""
    return np.array(int(np.random.SeedSequence([int(seed), attempt]).generate_state(1)[0]) >> 1)


def _rows(values: np.ndarray, entries: int) -> np.ndarray:
    rows = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    if rows.shape[1] != entries:
        raise ValueError(f"draws gave {rows.shape[1]} numbers a row, and the false-alarm rate counts on entries={entries}.")
    if len(rows) < 2:
        raise Slip("shape", "Your function returned a single draw; several are needed to see their law.")
    return rows


def _stated(rate: float, attempts: int) -> str:
    return f"false alarms: at most {rate:g}" + (", drawn again before it fails" if attempts > 1 else "")


def _numbers(entries: int, looks: int) -> str:
    return f"{entries * looks} number{'s' * (entries * looks != 1)}"
