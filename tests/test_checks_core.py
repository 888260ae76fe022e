"""The tools that exercises are written with: the declared interface, drawn edges, shrinking, makers of properties, mistakes that coincide."""

import dataclasses

import numpy as np
import pytest
import torch
from small_exercise import EX, IO, LOOP, MADE, exercise, loop, sums

from rlcourse import checks
from rlcourse.checks import drawing, mistakes, shrink
from rlcourse.checks.core import Property
from rlcourse.checks.interface import Interface, array, count, generator, index, mask, scalar, simplex
from rlcourse.checks.properties import alone, compared, equals, limit, linear, slopes

RNG = np.random.default_rng


# ---- the interface ----


def test_a_student_gets_what_was_declared():
    io = Interface(
        inputs={"x": array("N A"), "m": mask("N"), "i": index("N", below="A"), "P": simplex("A A"), "g": scalar(0.1, 0.9), "n": count(2, 4),
                "v": array("n+1"), "rng": generator()},
        outputs={"y": "n"}, sizes={"N": (5,), "A": (3,)}, library="numpy")
    seen = {}

    def look(x, m, i, P, g, n, v, rng):
        seen.update(locals())
        return v[1:]

    found = io.adapter(look)(**io.draw(RNG(0), "float32"))
    assert [str(seen[name].dtype) for name in ("x", "m", "i", "P")] == ["float32", "bool", "int64", "float32"]
    assert all(type(seen[name]) is np.ndarray for name in ("x", "m", "i", "P")) and (type(seen["g"]), type(seen["n"])) == (float, int)
    assert seen["i"].min() >= 0 and seen["i"].max() < 3 and np.allclose(seen["P"].sum(-1), 1) and isinstance(seen["rng"], np.random.Generator)
    assert seen["v"].shape == (seen["n"] + 1,) and found["y"].shape == (seen["n"],)
    torched = dataclasses.replace(io, library="torch")
    torched.adapter(look)(**torched.draw(RNG(0)))
    assert {type(seen[name]) for name in ("x", "m", "i", "P")} == {torch.Tensor} and isinstance(seen["rng"], torch.Generator)


@pytest.mark.parametrize("change", [lambda y: y, lambda y: y.numpy(), lambda y: y.double(), lambda y: y.clone().requires_grad_()])
def test_either_library_and_precision_will_do(change):
    assert EX.evaluate(lambda r, e, g: change(sums(r, e, g))).passed


@pytest.mark.parametrize("change", [float, np.float64, lambda y: y, lambda y: y.numpy()])
def test_a_number_may_be_a_python_number(change):
    io = Interface(inputs={"x": array("N")}, outputs={"total": ""}, sizes={"N": (1, 3)})
    total = equals(io, "sum", "it is the sum", "", "[0.1]", lambda x: x.sum())
    assert exercise(lambda x: x.sum(), io, (total,)).evaluate(lambda x: change(x.sum())).passed
    assert exercise(lambda x: x.sum(), io, (total,)).evaluate(lambda x: float(x.sum()) + 1).diagnosis == "property:sum"


def test_all_edges_are_among_the_cases():
    cases = EX.drawn(0)
    shapes = {(case.inputs["rewards"].shape, str(case.inputs["rewards"].dtype)) for case in cases if case.kind == "ordinary"}
    assert {(t, b) for (t, b), _ in shapes} == {(t, b) for t in (1, 3, 6) for b in (1, 4)} and len(shapes) == 12
    assert {float(case.inputs["gamma"]) for case in cases if case.kind == "edge"} >= {0.0, 1.0}
    ended = [case.inputs["ended"] for case in cases if case.kind == "edge"]
    single = [np.flatnonzero(each.all(axis=1)) for each in ended if each.any(axis=1).sum() == 1]
    assert {int(rows[0]) for rows in single if len(rows)} >= {0, 1, 2, 3}
    assert sorted(np.abs(case.inputs["rewards"]).max() > 1 for case in cases if case.kind == "magnitude") == [False, False, True, True]


def test_two_masks_meet_at_every_position():
    io = dataclasses.replace(IO, inputs=IO.inputs | {"cut": mask("T B")})
    both = [case.inputs for case in io.cases(RNG(0)) if (case.inputs["ended"] & case.inputs["cut"]).all(axis=1).sum() == 1]
    assert {int(np.flatnonzero((x["ended"] & x["cut"]).all(axis=1))[0]) for x in both} >= {0, 1, 2, 3}


def test_numbers_can_be_saturated_or_kept_from_zero():
    cases = drawing.saturated(IO, RNG(0), "rewards")
    assert [(str(case.inputs["rewards"].dtype), set(case.inputs["rewards"].ravel())) for case in cases] == [
        ("float64", {20.0, -20.0}), ("float32", {20.0, -20.0})]
    values = drawing.signed(0.5, 1.0)(RNG(0), (100,))
    assert np.abs(values).min() >= 0.5 and np.abs(values).max() <= 1.0 and 20 < (values > 0).sum() < 80


def test_the_tolerance_follows_tiny_numbers():
    """5e-8 more is nothing to rewards of size 1 and 0.05 % of rewards of size 1e-4, whose cases refuse it in either precision."""
    answer = lambda r, e, g: sums(r, e, g) + (5e-8 if r.abs().max() < 1e-3 else 0)  # noqa: E731
    assert EX.evaluate(answer).diagnosis == "property:loop"
    assert exercise(io=dataclasses.replace(IO, inputs=IO.inputs | {"rewards": array("T B")})).evaluate(answer).passed


def test_mistakes_of_the_writer_are_errors():
    with pytest.raises(ValueError, match="'K' has no size"):
        Interface(inputs={"x": array("K")}, outputs={"y": "K"})
    with pytest.raises(ValueError, match=r"\['tau'\] are neither axes nor inputs"):
        IO.draw(RNG(0), tau=3)
    with pytest.raises(ValueError, match="not valid"):
        dataclasses.replace(IO, valid=lambda inputs: False).draw(RNG(0))


# ---- shrinking ----


def test_a_failing_case_becomes_one_for_pencil_and_paper():
    report = dataclasses.replace(EX, mistakes=()).evaluate(EX.mistakes[0].function)
    assert report.details["smallest"] == "for rewards = (0, 1), ended = (1, 0), gamma = 0.5 (float32): expected (0, 1), yours (0.5, 1)."
    assert report.details["call"] == "sums(torch.tensor([[0.0], [1.0]]), torch.tensor([[True], [False]]), 0.5)"
    as_drawn = dataclasses.replace(EX, mistakes=(), shrinks=False).evaluate(EX.mistakes[0].function)
    assert as_drawn.diagnosis == report.diagnosis and as_drawn.details["smallest"] != report.details["smallest"]


def test_shrinking_keeps_the_breach_the_least_sizes_and_what_is_valid():
    io = dataclasses.replace(IO, sizes={"T": (2, 5), "B": (3, 4)}, valid=lambda inputs: inputs["gamma"] > 0.6)
    start = io.draw(RNG(1), T=5, gamma=0.8)
    small = shrink.shrunk(io, start, lambda inputs: bool(np.abs(inputs["rewards"]).sum() > 1.5))
    assert small["rewards"].shape == (2, 3) == small["ended"].shape and not small["ended"].any() and small["gamma"] in (1.0, 0.8)
    assert np.abs(small["rewards"]).sum() > 1.5 and set(small["rewards"].ravel()) <= {0.0, 1.0, 2.0}
    again = shrink.shrunk(io, start, lambda inputs: bool(np.abs(inputs["rewards"]).sum() > 1.5))
    assert all((again[name] == small[name]).all() for name in small) and shrink.shrunk(None, start, lambda inputs: True) is start


def test_distributions_stay_distributions():
    io = Interface(inputs={"P": simplex("S A S"), "a": index("S", below="A")}, outputs={"y": "S"}, sizes={"S": (2, 5), "A": (1, 3)})
    small = shrink.shrunk(io, io.draw(RNG(0)), lambda inputs: inputs["P"][0, 0, 0] < 0.6)
    assert small["P"].tolist() == [[[0.5, 0.5]], [[0.5, 0.5]]] and small["a"].tolist() == [0, 0]
    cut = io.cut(io.draw(RNG(0)), "A", 1, 2)
    assert cut["P"].shape == (5, 2, 5) and cut["a"].max() == 1 and np.allclose(io.cut(cut, "S", 2, 2)["P"].sum(-1), 1)


def test_a_case_on_which_the_right_answer_breaks_too_is_not_shown():
    """A property that is false for T = 1, where every answer breaks it, or has no meaning there at all: such a case shows nothing."""
    later = Property("later", "it equals the loop for T > 1", "", "[0.1]", (),
                     lambda x, answer, ask: compared(x, answer["sums"], loop(x["rewards"], x["ended"], float(x["gamma"])) + (len(x["rewards"]) == 1)))
    found = exercise(properties=(later,), cases=lambda rng: [case for case in IO.cases(rng) if len(case.inputs["rewards"]) > 1])
    assert found.evaluate(sums).passed
    report = found.evaluate(lambda r, e, g: -sums(r, e, g))
    assert report.details["smallest"].startswith("for rewards = (1, 0), ended all False, gamma = 0.5")
    slope = Property("slope", "the slope is right", "", "[0.1]", (),
                     lambda x, answer, ask: compared(x, np.gradient(answer["sums"], axis=0), np.gradient(loop(**x), axis=0)))
    report = dataclasses.replace(found, properties=(slope,)).evaluate(lambda r, e, g: -sums(r, e, g))
    assert report.diagnosis == "property:slope" and report.details["smallest"].startswith("for rewards = (1, 0), ended all False")


# ---- makers of properties ----


MAKERS = [
    (limit(IO, "limit", "", "", "[0.1]", {"gamma": 0.0}, lambda rewards, **rest: rewards),
     lambda r, e, g: g + sums(r, e, g), lambda r, e, g: sums(r, e, 1 - g)),
    (linear(IO, "linear", "", "", "[0.1]", "rewards"), lambda r, e, g: -3 * sums(r, e, g), lambda r, e, g: sums(r, e, g) + 1),
    (linear(IO, "parts", "", "", "[0.1]", "rewards"), lambda r, e, g: 0 * r, lambda r, e, g: sums(r, e, g).abs()),
    (linear(IO, "affine", "", "", "[0.1]", "rewards", affine=True), lambda r, e, g: sums(r, e, g) + 1, lambda r, e, g: sums(r, e, g).abs()),
    (alone(IO, "alone", "", "", "[0.1]", "B"), lambda r, e, g: sums(r, e, g) ** 2, lambda r, e, g: sums(r, e, g) - r.mean()),
    (LOOP, sums, lambda r, e, g: sums(r, e, g) * 1.001),
]


@pytest.mark.parametrize(("prop", "keeps", "breaks"), MAKERS, ids=[prop.id for prop, _, _ in MAKERS])
def test_each_maker_lets_pass_and_refuses(prop, keeps, breaks):
    assert exercise(properties=(prop,)).evaluate(keeps).passed
    assert exercise(properties=(prop,)).evaluate(breaks).diagnosis == f"property:{prop.id}"


def test_slopes_are_those_of_the_objective():
    io = Interface(inputs={"w": array("K"), "b": array()}, outputs={"grad": "K"}, sizes={"K": (1, 3)}, library="numpy")
    prop = slopes(io, "slopes", "", "", "[0.1]", lambda w, b: float(np.sin(w + b).sum()), to="w")
    assert exercise(lambda w, b: np.cos(w + b), io, (prop,)).evaluate(lambda w, b: np.cos(w + b)).passed
    report = exercise(lambda w, b: np.cos(w + b), io, (prop,)).evaluate(lambda w, b: np.cos(w))
    assert report.details["smallest"] == "for w = (0), b = 0.5 (float64): expected 0.877583, yours 1."


def test_a_small_difference_is_shown_with_enough_digits():
    smallest = exercise().evaluate(lambda r, e, g: sums(r, e, g).double() * (1 + 1e-6)).details["smallest"]
    assert "1.000001" in smallest or "2.000002" in smallest


# ---- two mistakes with the same numbers ----


def test_the_mistake_listed_first_is_said_and_the_other_names_it():
    assert EX.twins == {"never_ends": "no_mask"}
    assert [EX.evaluate(mistake.function).diagnosis for mistake in EX.mistakes] == ["no_mask", "sign", "no_discount", "no_mask"]
    assert [mistake.said for mistake in EX.mistakes] == ["no_mask", "sign", "no_discount", "no_mask"]
    both = mistakes.swapped(sums, MADE[0][2], MADE[1][2])
    assert EX.evaluate(both).diagnosis == "no_mask+sign"
    third = mistakes.mistake(sums, "both", "the sums with both", "Why.", "[0.1]", MADE[0][2], MADE[1][2])
    assert dataclasses.replace(EX, mistakes=(*EX.mistakes, third)).evaluate(both).diagnosis == "both"  # one before two


@pytest.mark.parametrize("id", [id for id in checks.all_ids() if checks.get(id).kind == "function"])
def test_every_twin_is_said_to_be_the_one_it_names(id):
    found = checks.get(id)
    for mistake in found.mistakes:
        if mistake.same_as:
            assert found.evaluate(mistake.function).diagnosis == mistake.said == mistake.same_as
    assert found.evaluate(found.stub).diagnosis == "not_attempted" and found.stub.__name__ == found.function
