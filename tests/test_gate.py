"""The gate over every exercise, and the gate itself: on exercises made weak on purpose it must turn red and say why."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from planted_exercise import EXERCISE as SOUND
from planted_exercise import IO, SAME, changed, derived, plant, planted_property

from rlcourse import checks, cli
from rlcourse.checks import core, gate, gate_table, library, mistakes, solutions
from rlcourse.checks.gate import Plan
from rlcourse.checks.interface import Interface

IDS = checks.all_ids()
TINY = Plan(right=1, least=1, mistake=1, pair=1, every=1, mutant=0, most=40, trained=0, cpu=0.0)
MUTANTS = dataclasses.replace(TINY, mutant=1)


@pytest.mark.parametrize("id", IDS)
def test_every_exercise_passes_the_gate(id):
    """20 seeds for right answers, 5 for mistakes, 3 for mutants. `rlcourse check --gate` takes more."""
    exercise = checks.get(id)
    found = gate.examine(exercise, gate.QUICK)
    assert "\n".join(found.problems) == "" and found.green
    assert (found.seeds, found.answers, found.false_alarms) == (20, 1 + len(exercise.alternatives or ()), 0)
    assert found.failed == found.tried == (1 if exercise.kind == "bug" else 5) * len(exercise.mistakes) and found.named >= 0.9 * found.tried
    assert found.killed + len(found.equivalent) == found.mutants
    if exercise.kind == "function":
        assert found.mutants > 10 and found.late == [], "a wrong answer that seed 0 lets through passes in every student's notebook"


def test_an_exercise_has_eight_named_mistakes_on_average():
    named = [len(exercise.mistakes) for exercise in map(checks.get, IDS) if exercise.kind == "function"]
    assert np.mean(named) >= 8


# ---- exercises made weak on purpose ----


@pytest.fixture
def planted(monkeypatch):
    plant(monkeypatch)
    return monkeypatch

def problems(exercise, plan=TINY) -> str:
    return "\n".join(gate.examine(exercise, plan).problems)


def test_a_sound_exercise_is_green(planted):
    found = gate.examine(SOUND, gate.QUICK)
    assert found.problems == [] and (found.seeds, found.answers, found.mistakes, found.tried, found.pairs) == (20, 3, 4, 20, 2)
    assert found.mutants > 10 and list(found.equivalent) == [SAME] and found.killed == found.mutants - 1
    assert gate.examine(SOUND, TINY).pairs == 5
    assert gate.examine(changed(kind="derive"), dataclasses.replace(MUTANTS, most=5)).mutants == 5


def test_without_a_property_mutants_survive(planted):
    """Only "twice the weights give the same" is left: an answer that forgets x keeps it."""
    found = gate.examine(changed(properties=SOUND.properties[:1]), MUTANTS)
    forgetful = "total = (w * x).sum() -> total = w.sum()"
    assert not found.green and forgetful in found.survivors and f"a mutant survives: {forgetful}" in found.problems
    assert "the mistake sign passes on seed 0" in found.problems and "the mistakes unweighted and sign pass together" in found.problems
    assert found.killed + len(found.survivors) + len(found.equivalent) == found.mutants and found.failed < found.tried


def test_without_any_property_everything_passes_and_is_said(planted):
    said = problems(changed(properties=(), mistakes=(), cases=lambda rng: [core.Case("", IO.draw(rng, B=2))]))
    for words in ("returns zeros", "returns ones", "repeats its first answer"):
        assert f"an answer that {words} passes" in said
    assert "by heart passes on seed 1" in said and "0 named mistakes, at least four are needed" in said


def test_an_input_in_the_place_of_an_answer_is_tried(planted):
    planted.setattr(solutions, "solution", lambda *_: lambda x, w: x * w)
    anything = Interface(inputs=IO.inputs, outputs={"mean": "B"}, sizes=IO.sizes)
    said = problems(changed(properties=(), mistakes=(), interface=anything, adapter=None, outputs=None))
    assert "an answer that returns its input x passes" in said and "an answer that returns its input w passes" in said


def test_the_same_cases_on_every_seed_are_learnt_by_heart(planted):
    fixed = changed(cases=lambda rng: SOUND.cases(np.random.default_rng(0)), properties=SOUND.properties[2:])
    assert problems(fixed) == "an answer that knows the cases of seed 0 by heart passes on seed 1"


def test_cases_that_differ_within_one_seed_are_seen(planted):
    rng = np.random.default_rng(0)
    assert "seed 0 does not draw the same cases twice" in problems(changed(cases=lambda _: SOUND.cases(rng)))


def test_a_property_that_refuses_nothing_is_seen(planted):
    idle = planted_property("idle", lambda *_: None)
    assert problems(changed(properties=(*SOUND.properties, idle))) == "the property idle alone refuses none of the named mistakes"


def test_a_property_that_refuses_the_solution_is_a_false_alarm(planted):
    strict = planted_property("strict", lambda *_: core.Breach("everything", "nothing", "something"))
    found = gate.examine(changed(properties=(strict,)), TINY)
    assert (found.false_alarms, found.problems) == (1, ["the solution does not pass on seed 0: property:strict"])


def test_a_mistake_that_is_right_passes_and_is_seen(planted):
    right = mistakes.Mistake("right", SOUND.reference, "the right mean", "nothing", "[99.1]")
    said = problems(changed(mistakes=(*SOUND.mistakes, right)))
    assert said == "the mistake right passes on seed 0\nonly 80 % of the named mistakes are recognised as what they are"


def test_a_mistake_that_is_never_recognised_is_seen_unless_its_twin_is_written_down(planted):
    """It has the numbers of another one, which is listed before it and said in its place."""
    twin = dataclasses.replace(SOUND.mistakes[2], id="twin", sentence="the negative mean")
    said = problems(changed(mistakes=(*SOUND.mistakes, twin))).splitlines()
    assert said[0] == "the mistake twin is never recognised as itself, but as sign" and said[1].startswith("only 80 % of the named mistakes")
    assert problems(changed(mistakes=(*SOUND.mistakes, dataclasses.replace(twin, same_as="sign")))) == ""


def test_a_mistake_whose_sentence_is_missing_or_not_said_is_seen(planted):
    first, *others = SOUND.mistakes
    for missing in ({"sentence": ""}, {"cause": ""}, {"tag": "99.1"}):
        wordless = changed(mistakes=(dataclasses.replace(first, **missing), *others))
        assert problems(wordless) == "the mistake not_divided lacks its sentence, cause or tag"

    class Mumbling(core.Exercise):
        def evaluate(self, *arguments, **named):
            report = super().evaluate(*arguments, **named)
            return dataclasses.replace(report, details=report.details | {"what": "something is wrong"})

    assert "the mistake sign is recognised, and its sentence is not said" in problems(derived(Mumbling))


def test_two_mistakes_with_one_id_or_one_sentence_are_seen(planted):
    first, second, *others = SOUND.mistakes
    for change, says in (({"id": first.id}, "the same id"), ({"sentence": first.sentence}, "the same sentence")):
        assert f"two named mistakes have {says}" in problems(changed(mistakes=(first, dataclasses.replace(second, **change), *others)))


def test_a_wrong_alternative_is_a_false_alarm(planted):
    right = solutions.alternatives("99.1")[0]
    planted.setattr(solutions, "alternatives", lambda id: (right, SOUND.mistakes[2].function))
    found = gate.examine(SOUND, dataclasses.replace(TINY, least=3))
    assert (found.seeds, found.false_alarms) == (3, 3)
    assert found.problems == [f"the right answer weighted_mean fails on seed {seed}: sign" for seed in range(3)]
    planted.setattr(solutions, "alternatives", lambda id: (right,))
    assert problems(SOUND) == "1 alternatives, at least 2 are needed"


def test_right_answers_are_tried_on_other_seeds_too(planted):
    """An alternative that is wrong on the cases of seed 3 alone."""
    rare = SOUND.drawn(3)[2].inputs["x"][0]
    planted.setattr(solutions, "alternatives", lambda id: (lambda x, w: SOUND.reference(x, w) + float(x[0] == rare),) * 2)
    assert gate.examine(SOUND, dataclasses.replace(TINY, least=3)).problems == []
    assert gate.examine(SOUND, dataclasses.replace(TINY, least=5)).false_alarms == 2


def test_right_answers_get_more_seeds_while_there_is_time(planted):
    assert gate.examine(SOUND, TINY).seeds == 1
    assert gate.examine(SOUND, dataclasses.replace(TINY, right=4, cpu=100.0)).seeds == 4
    assert gate.examine(SOUND, dataclasses.replace(TINY, right=4, least=2, cpu=0.001)).seeds == 2


def test_an_equivalent_mutant_needs_its_reason(planted):
    planted.setattr(solutions, "equivalent", lambda id: {})
    found = gate.examine(SOUND, MUTANTS)
    assert found.problems == [f"a mutant survives: {SAME}"] and found.survivors == [SAME]
    planted.setattr(solutions, "equivalent", lambda id: {SAME: " "})
    assert problems(SOUND, MUTANTS) == f"listed as equivalent without a reason: {SAME}"


def test_a_stale_equivalent_is_reported(planted):
    wrong = "total = (w * x).sum() -> total = w.sum()"
    planted.setattr(solutions, "equivalent", lambda id: {SAME: "positive", "x = 1 -> x = 2": "it was so once", wrong: "it passed once"})
    says = "listed as equivalent, and it"
    assert problems(SOUND, MUTANTS).splitlines() == [f"{says} is no mutant: x = 1 -> x = 2", f"{says} fails: {wrong}"]


def test_two_mistakes_that_undo_each_other_may_be_listed(planted):
    back = mistakes.mistake(SOUND.reference, "back", "the sign turned at the start", "Drop it.", "[99.1]", ("total = (w", "total = -(w"))
    exercise = changed(mistakes=(*SOUND.mistakes, dataclasses.replace(back, same_as="sign")))
    assert problems(exercise) == "the mistakes sign and back pass together"
    planted.setattr(solutions, "equivalent", lambda id: {SAME: "positive", "sign+back": "Minus times minus is plus."})
    assert problems(exercise, MUTANTS) == ""
    planted.setattr(solutions, "equivalent", lambda id: {SAME: "positive", "unweighted+sign": "It passed once."})
    assert problems(SOUND, MUTANTS) == "listed as equivalent, and it fails: unweighted+sign"


def test_a_mutant_that_only_another_seed_kills_is_told(planted):
    """The planted cases of seed 0 alone are blind: their weights are all 1."""
    first = SOUND.drawn(0)[0].inputs["x"]

    def cases(rng):
        drawn = SOUND.cases(rng)
        blind = np.array_equal(drawn[0].inputs["x"], first)
        return [dataclasses.replace(c, inputs=c.inputs | {"w": np.ones_like(c.inputs["w"])}) if blind else c for c in drawn]

    found = gate.examine(changed(cases=cases, properties=SOUND.properties[2:]), dataclasses.replace(MUTANTS, mutant=2))
    assert found.late == ["total = (w * x).sum() -> total = x.sum()"] and found.survivors == []


def test_an_error_of_the_check_itself_is_a_problem_and_no_verdict(planted):
    brittle = planted_property("brittle", lambda inputs, answer, ask: None if abs(answer["mean"]) > 1e-12 else 1 / 0)
    said = problems(changed(properties=(brittle, *SOUND.properties)))
    assert said.startswith("the check itself raises ZeroDivisionError for a wrong answer: division by zero\n")


def test_a_stub_that_does_something_is_seen(planted):
    class Started(core.Exercise):
        stub = property(lambda self: lambda x, w: torch.zeros((), dtype=x.dtype))

    assert problems(derived(Started)) == "the stub is 'constant' and not 'not_attempted'"


def test_a_mutant_that_never_ends_is_ended():
    def endless(x, w):
        while True:
            pass

    assert gate._killed_by(SOUND, endless, 3, 0.2, found := gate.Found("99.1", "weighted_mean", "function")) == 0 and found.timeouts == 1


def test_what_is_trained_is_checked_as_a_function_first(planted):
    """Wrong answers never reach the training; the solution is trained with on several seeds, each alternative on a fifth of them."""
    trained = []

    def evaluate(f, seed=0):
        trained.append((f.__name__, seed))
        return SOUND.evaluate(f, seed)

    learn = SimpleNamespace(id="99.1", function="weighted_mean", kind="learn", first=SOUND, evaluate=evaluate, mistakes=SOUND.mistakes,
                            solution=SOUND.solution, alternatives=SOUND.alternatives)
    found = gate.examine(learn, dataclasses.replace(MUTANTS, trained=5))
    assert found.problems == [] and found.mutants > 10 and (found.kind, found.seeds) == ("learn", 1)
    assert trained == [("weighted_mean", seed) for seed in range(5)] + [("mean_by_loop", 0), ("mean_by_numpy", 0)]
    learn.evaluate = lambda f, seed=0: SOUND.evaluate(SOUND.mistakes[0].function, seed)
    assert gate.examine(learn, dataclasses.replace(TINY, trained=2)).false_alarms == 2


def test_an_exercise_may_have_no_mutants(planted):
    class Whole(core.Exercise):
        mutable = False

    assert problems(derived(Whole), MUTANTS) == "" and gate.examine(derived(Whole), MUTANTS).mutants == 0


# ---- the command ----


@pytest.fixture
def command(planted):
    """The command with 99.1 as the only exercise and a small plan, in this process."""
    planted.setattr(gate_table.run_gate, "__defaults__", ((), False, 0, MUTANTS))
    planted.setattr(library, "all_ids", lambda: ["99.1"])
    planted.setattr(library, "get", lambda id: {"99.1": SOUND}[id])
    return planted


def test_the_command_prints_a_table_and_the_reasons(command, capsys):
    assert cli.main(["check", "--gate"]) == 0
    said = capsys.readouterr().out
    row = next(line.split() for line in said.splitlines() if line.startswith(" 99.1"))
    assert row[1:8] == ["weighted_mean", "1", "×", "3", "4", "100.0", "%"] and f"equivalent 99.1: {SAME}\n  The weights are positive." in said
    assert "Green: every right answer passes and every wrong one fails." in said


def test_the_command_gives_json_and_the_exit_code(command, capsys):
    assert cli.main(["check", "--gate", "--json", "99"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["green"], found["exercises"], found["mistakes"], found["false_alarms"], found["survivors"]) == (True, 1, 4, 0, [])
    assert found["killed"] == found["diagnosed"] == found["failed"] == 1.0 and found["mutants"] > 10 and found["rows"][0]["exercise"] == "99.1"
    command.setattr(library, "get", lambda id: changed(properties=SOUND.properties[:1]))
    assert cli.main(["check", "--gate", "--json", "99.1"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["green"] and found["killed"] == pytest.approx(1 - len(found["survivors"]) / (found["mutants"] - found["equivalent"]))
    assert 0 < found["killed"] < 1 and found["failed"] < 1 and {row["exercise"] for row in found["survivors"]} == {"99.1"}
    assert cli.main(["check", "--gate"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "Not green: 99.1." in said and "problem 99.1 weighted_mean: the mistake sign passes on seed 0" in said


def test_an_unknown_id_and_a_release_without_solutions_are_one_line(monkeypatch, tmp_path, capsys):
    assert cli.main(["check", "--gate", "99.1"]) == 1
    assert "There is no exercise '99.1'" in capsys.readouterr().err
    monkeypatch.setattr(solutions, "FOLDER", tmp_path / "solutions")
    assert cli.main(["check", "--gate"]) == 1
    assert "no folder solutions/" in capsys.readouterr().err
    assert problems(checks.get("13.2")) == "there is no solution in solutions/source/"


@pytest.mark.slow
def test_two_processes_find_what_one_finds():
    ids, plan = ["13.2", "13.6"], dataclasses.replace(MUTANTS, pair=0)
    rows = [[dataclasses.replace(row, cpu=0.0) for row in gate_table._examined(ids, jobs, plan)] for jobs in (1, 2)]
    assert rows[0] == rows[1] and [row.id for row in rows[0]] == ids
