"""A small exercise for the tests of the checks: discounted sums that stop at an ended step."""

import numpy as np
import torch

from rlcourse.checks import mistakes
from rlcourse.checks.core import Exercise
from rlcourse.checks.interface import Interface, array, mask, scalar
from rlcourse.checks.properties import equals


def sums(rewards, ended, gamma):
    """The right answer of the exercise below: discounted sums that stop at an ended step, (T, B) twice -> (T, B)."""
    rows, total = [], 0 * rewards[-1]
    for t in range(len(rewards) - 1, -1, -1):
        total = rewards[t] + gamma * total * ~ended[t]
        rows.append(total)
    return torch.stack(rows[::-1])


def loop(rewards, ended, gamma):
    found = np.zeros(rewards.shape)
    for b in range(rewards.shape[1]):
        for t in range(len(rewards)):
            last = next((k for k in range(t, len(rewards)) if ended[k, b]), len(rewards) - 1)
            found[t, b] = sum(gamma ** (k - t) * rewards[k, b] for k in range(t, last + 1))
    return found


IO = Interface(inputs={"rewards": array("T B", scaled=True), "ended": mask("T B"), "gamma": scalar(0.3, 0.9, at=(0.0, 1.0))},
               outputs={"sums": "T B"}, sizes={"T": (1, 3, 6), "B": (1, 4)})
LOOP = equals(IO, "loop", "it equals the sums written out", "Follow one sum.", "[0.1]", loop)
MADE = [("no_mask", "the sums that go on after an end", ("~ended[t]", "~(ended[t] & False)")),
        ("sign", "the sums with their sign turned", ("return torch", "return -torch")),
        ("no_discount", "the sums without a discount", ("gamma * total", "total")),
        ("never_ends", "the sums without ends", ("~ended[t]", "1"))]


def exercise(function=sums, io=IO, properties=(LOOP,), named=(), **more):
    """An exercise of three lines."""
    return Exercise(id="0.1", function=function.__name__, title="", tags=("[0.1]",), minutes=1, difficulty=1, points=1.0, lecture="0.ipynb",
                    hints=("a", "b", "c"), reference=function, interface=io, properties=properties, mistakes=tuple(named), **more)


def named(function, made, **twins):
    return [mistakes.mistake(function, id, sentence, "Why.", "[0.1]", swap, same_as=twins.get(id, "")) for id, sentence, swap in made]


EX = exercise(named=named(sums, MADE, never_ends="no_mask"))
