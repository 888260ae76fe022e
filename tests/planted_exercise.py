"""A small sound exercise, 99.1, for the tests of the gate: they make it weak in one place and look at what the gate says."""

import dataclasses
import inspect

import numpy as np

from rlcourse.checks import solutions
from rlcourse.checks.core import Breach, Case, Exercise, Property
from rlcourse.checks.interface import Interface, array
from rlcourse.checks.mistakes import mistake


def weighted_mean(x, w):
    """sum w x / sum w."""
    total = (w * x).sum()
    size = w.abs().sum()
    return total / size


def mean_by_loop(x, w):
    """Plain Python."""
    total = sum(a * b for a, b in zip(x, w))
    return total / sum(w)


def mean_by_numpy(x, w):
    """The library's."""
    return np.asarray(np.average(x.numpy(), weights=w.numpy()), dtype=x.numpy().dtype)


IO = Interface(inputs={"x": array("B", low=0.5, high=2.0), "w": array("B", low=0.2, high=1.0)}, outputs={"mean": ""}, sizes={"B": (1, 2, 5)})


def cases(rng):
    """One kind, all sizes, both precisions."""
    return [Case("ordinary", IO.draw(rng, dtype=dtype, B=size)) for dtype in ("float64", "float32") for size in (1, 2, 5)]


def close(got, right, inputs):
    """A breach unless the two are close."""
    return None if abs(got - right) <= 1e-4 * (1 + abs(right)) else Breach(inputs, str(right), str(got))


def equals_the_loop(inputs, answer, ask):
    pairs = list(zip(inputs["x"].tolist(), inputs["w"].tolist()))
    return close(answer["mean"], sum(x * w for x, w in pairs) / sum(w for _, w in pairs), inputs)


def keeps_a_constant(inputs, answer, ask):
    level = inputs | {"x": np.full_like(inputs["x"], 1.5)}
    return close(ask(level)["mean"], 1.5, level)


def ignores_the_size_of_the_weights(inputs, answer, ask):
    return close(ask(inputs | {"w": 2 * inputs["w"]})["mean"], answer["mean"], inputs)


def planted_property(id, test):
    """A property of every case, without words worth reading."""
    return Property(id, f"says {id}", f"cause of {id}", "[99.1]", (), test)


PROPERTIES = (planted_property("size", ignores_the_size_of_the_weights), planted_property("constant", keeps_a_constant),
              planted_property("loop", equals_the_loop))
_made = [
    ("not_divided", "the weighted sum, not divided by the weights", "Divide.", "[99.1]", ("total / size", "total")),
    ("unweighted", "the plain mean", "Multiply by w.", "[99.1]", ("(w * x).sum()", "x.sum()"), ("w.abs().sum()", "len(w)")),
    ("sign", "the mean with its sign turned", "Drop the minus.", "[99.1]", ("return total", "return -total")),
    ("mean_of_products", "the mean of w x over the sum of w", "Sum both.", "[99.1]", ("(w * x).sum()", "(w * x).mean() + 0.1")),
]

EXERCISE = Exercise(
    id="99.1", function="weighted_mean", title="The weighted mean", tags=("[99.1]",), minutes=5, difficulty=1, points=1.0,
    lecture="99_planted.ipynb", hints=("one", "two", "three"), reference=weighted_mean, interface=IO, cases=cases, properties=PROPERTIES,
    mistakes=tuple(mistake(weighted_mean, *made) for made in _made),
)
SAME = "size = w.abs().sum() -> size = w.sum()"  # the weights are positive


def plant(monkeypatch):
    """Give 99.1 its solution, alternatives and equivalent mutant for the length of a test."""
    found = {"solution": weighted_mean, "source": inspect.getsource(weighted_mean), "alternatives": (mean_by_loop, mean_by_numpy),
             "equivalent": {SAME: "The weights are positive."}}
    for name, value in found.items():
        real = getattr(solutions, name)
        monkeypatch.setattr(solutions, name, lambda id, *rest, value=value, real=real: value if id == "99.1" else real(id, *rest))


def changed(**fields):
    """99.1 with other fields."""
    return dataclasses.replace(EXERCISE, **fields)


def derived(kind):
    """99.1 as an exercise of a derived class."""
    return kind(**{field.name: getattr(EXERCISE, field.name) for field in dataclasses.fields(EXERCISE)})
