"""What is refused for every relation, the contract of the mutation score, what a derivation assumes, its code, and how it is presented."""

import numpy as np
import pytest
import torch

from rlcourse import widgets
from rlcourse.notation import (
    Assumption,
    AssumptionNotNeeded,
    AssumptionOpen,
    D,
    DensityWorld,
    Derivation,
    E,
    N,
    StepFails,
    density_worlds,
    derivations,
    families,
    function,
    jump,
    partial,
    positive,
    real,
    sin,
    text,
)
from rlcourse.notation.bindings import number
from rlcourse.notation.verdict import Trial

a, eps, theta, c, mu, sigma = real("a"), real("epsilon"), real("theta"), real("c"), real("mu"), positive("sigma")
Q, b = function("Q", a), function("b", a)
LAW = N(mu, sigma)
SCORE = E(a, LAW, Q(a) * ((a - mu) / sigma**2))


def chain(start, **options):
    return Derivation("Test", "0.0", start, **options)


# ---- what is refused for every relation ------------------------------------------------------------------------------------------------------------
def test_a_repeated_line_and_an_unreasoned_one_are_refused():
    with pytest.raises(ValueError, match="repeats the line before, μ: there is nothing to check"):
        chain(mu).step(mu, because="the same")
    with pytest.raises(ValueError, match="repeats the line before"):
        chain(mu).tends_to(mu, variable=mu, to=0, because="the same")
    with pytest.raises(ValueError, match="no reason"):
        chain(mu + c).up_to(mu, constant=c, free_of=mu, because=" ")
    for write in (
        lambda: chain(mu + c).up_to(mu, constant=c, free_of=mu, because="no", worlds="symbolic"),
        lambda: chain(sin(theta)).first_order(theta, in_=theta, at=0, because="no", worlds="symbolic"),
    ):
        with pytest.raises(ValueError, match="equalities only"):
            write()


def test_a_refusal_names_step_world_and_both_values_and_forgets_the_chain():
    with pytest.raises(StepFails) as caught:
        Derivation("Mean", "0.1", mu + c).up_to(mu, constant=c + 1, free_of=mu, because="one too many", worlds=[DensityWorld(mu=1, c=2)])
    for part in ("[0.1] Mean, step 1 (one too many) does not hold", "in the world c = 2, μ = 1", "μ + (c + 1) is 4, and the line before is 3"):
        assert part in str(caught.value)
    assert ("Mean", "0.1") not in {(d.title, d.tag) for d in derivations()}


# ---- the contract of the mutation score ------------------------------------------------------------------------------------------------------------
def test_every_step_can_be_tried_again_with_other_lines():
    long = (
        chain(mu + c)
        .up_to(mu, constant=c, free_of=mu, because="c is fixed")
        .step(mu + sigma, because="σ > 0", relation="<=")
        .tends_to(mu, variable=sigma, to=0, rate=1, because="no width")
    )
    assert [(n, text(left), step.relation) for n, left, step in long.pairs()] == [(1, "μ + c", "≐"), (2, "μ", "<="), (3, "μ + σ", "→")]
    assert all(long.verdict_of(n, left, step.expr).holds for n, left, step in long.pairs())
    assert not any(long.verdict_of(n, left, step.expr + 1).holds for n, left, step in long.pairs() if n != 2)
    assert long.verdict_of(2, mu, mu - sigma).holds is False
    assert Trial(5, {}, 1e-9).words(mu) == "in numbers on 5 random points"


def test_another_form_of_a_step_is_checked_and_has_a_reason():
    lemma = Derivation("Parts", "0.9", SCORE).step(E(a, LAW, partial(Q)(a)), because="integrate by parts")
    step = chain(D(mu, E(a, LAW, Q(a)))).step(SCORE, because="score")
    other = E(a, LAW, (Q(a) - 3) * ((a - mu) / sigma**2))
    both = step.also_equals(other, by=lemma)
    assert both.alternatives[0].expr == other and both.alternatives[0].number == 1 and "too, by [0.9] Parts" in repr(both)
    with pytest.raises(StepFails, match=r"the other form \(by \[0.9\] Parts\)"):
        step.also_equals(SCORE + 1, by=lemma)
    with pytest.raises(ValueError, match="needs by="):
        step.also_equals(other, by=Derivation("Empty", "0.9", SCORE))
    with pytest.raises(ValueError, match="none yet"):
        chain(mu).also_equals(mu, by=lemma)


def test_another_form_is_tried_on_three_times_as_many_worlds(monkeypatch):
    counts = []
    monkeypatch.setattr(families, "worlds_for", lambda parts, definitions, count: counts.append(count) or density_worlds(count))
    lemma = chain(mu).step(mu + 0, because="any")
    few, sympys = (chain(mu).step(mu + 0, because="the same", worlds=worlds) for worlds in (4, "symbolic"))
    counts.clear()
    few.also_equals(0 + mu, by=lemma), sympys.also_equals(0 + mu, by=lemma)
    assert set(counts) == {12, 60}


# ---- assumptions -----------------------------------------------------------------------------------------------------------------------------------
SMOOTH = Assumption("Q has no jumps", source="Glasserman 2003, section 7.2.2")
NO_ACTION = Assumption("the baseline does not depend on the action", source="Sutton and Barto 2018, section 13.4")


def pathwise():
    return chain(D(mu, E(a, LAW, Q(a))), source="Kingma and Welling 2014, section 2.4").assuming(SMOOTH).step(
        E(eps, N(0, 1), partial(Q)(mu + sigma * eps)), because="the derivative goes inside"
    )


def test_an_assumption_has_a_source_and_a_world_without_it():
    shown = pathwise().fails_without(SMOOTH, DensityWorld(mu=0, sigma=1, Q=jump(at=0.5)))
    record = shown.assumptions[0]
    assert record.counted and record.source == SMOOTH.source and record.number == 1 and record.right == 0.0 and not shown.open_assumptions
    page, folded = shown._repr_markdown_().split("- <details><summary>sources</summary>")
    assert "Without “Q has no jumps” step 1 fails" in page and "“Q has no jumps”: Glasserman 2003, section 7.2.2" in folded
    assert "Source: Kingma and Welling" in folded and "Source: Kingma and Welling" in repr(shown)
    assert "Without “Q has no jumps” (Glasserman 2003, section 7.2.2) step 1 fails" in repr(shown)
    assert not pathwise().fails_without("Q has no jumps", DensityWorld(Q=jump(at=0.5))).assumptions[0].counted
    for empty in ({"statement": " ", "source": "a book"}, {"statement": "a sentence", "source": ""}):
        with pytest.raises(ValueError, match=r"empty|names no source"):
            Assumption(**empty)
    with pytest.raises(TypeError, match="names its source"):
        chain(mu).assuming("Q has no jumps")


def test_an_assumption_without_its_world_is_not_shown():
    assert pathwise().open_assumptions == (SMOOTH,) and "Not yet shown to be needed" in repr(pathwise())
    world = DensityWorld(Q=jump(at=0.5))
    for still_open in (pathwise(), pathwise().fails_without(SMOOTH.statement, world)):       # a remark without the source does not count
        with pytest.raises(AssumptionOpen, match="Q has no jumps"):
            still_open._repr_markdown_()
    assert "Q has no jumps" in pathwise().fails_without(SMOOTH, world)._repr_markdown_()


def test_an_assumption_can_be_removed_by_an_expression():
    with_baseline = E(a, LAW, (Q(a) - c) * ((a - mu) / sigma**2))
    without = E(a, LAW, (Q(a) - b(a)) * ((a - mu) / sigma**2))
    step = chain(SCORE).assuming(NO_ACTION).step(with_baseline, because="a baseline adds nothing")
    shown = step.fails_without(NO_ACTION, removed=without)
    record = shown.assumptions[0]
    assert record.instead == without and record.left != pytest.approx(record.right) and text(without) in repr(shown)
    with pytest.raises(AssumptionNotNeeded, match="in its place it does not"):
        step.fails_without(NO_ACTION, removed=E(a, LAW, (Q(a) - 2 * c) * ((a - mu) / sigma**2)))
    with pytest.raises(ValueError, match="is step 1 itself"):
        step.fails_without(NO_ACTION, removed=with_baseline)
    with pytest.raises(ValueError, match="at least one world"):
        step.fails_without(NO_ACTION)
    assert step.fails_without("both", removed=(SCORE + 1, with_baseline)).assumptions[0].left != record.left


def test_a_claim_that_is_true_but_weak_is_no_failure():
    step = chain(mu + c).up_to(mu, constant=c, free_of=mu, because="c is fixed")
    with pytest.raises(AssumptionNotNeeded):
        step.fails_without("c is not 0", DensityWorld(c=0))
    with pytest.raises(AssumptionNotNeeded):                         # undecided is no failure either
        step.fails_without("c is c", removed=mu + 1e-8)


# ---- code, and a world with its own words ----------------------------------------------------------------------------------------------------------
class Tabled(DensityWorld):
    """A world with a table, and with words of its own."""

    instances, method = "tables", "every entry listed"

    def argument_by_name(self, name):
        return {"table": torch.full((2,), self.value(mu), dtype=torch.float64)}[name]


def test_how_takes_a_worlds_own_words():
    tables = [Tabled(i) for i in range(4)]
    step = chain(mu, worlds=tables).step(mu + 0, because="the same number")
    assert step.steps[0].how == "exact on 4 chosen tables, every entry listed, largest difference below 1e-9"

    class Chosen(Tabled):
        def method(self, nodes):
            return f"{len(nodes)} nodes"

    assert "4 chosen tables, 3 nodes" in chain(mu, worlds=[Chosen(i) for i in range(4)]).step(mu + 0, because="the same").steps[0].how


def test_code_gets_functions_tables_and_the_world_by_name():
    line = chain(mu * Q(sigma), worlds=[Tabled(i) for i in range(5)])
    bound = line.implements(lambda table, Q, sigma: np.asarray(table.mean() * Q(sigma)))
    assert bound.bindings[0].how == "equal on 5 chosen tables, largest difference below 1e-9"
    assert line.implements(lambda x, y: x * y, lambda mu, world, sigma: (mu, world.argument(Q)(sigma))).bindings
    assert line.implements(lambda x: float(x), lambda world, sigma, mu: (mu * world.argument(Q)(sigma),)).bindings
    with pytest.raises(StepFails, match="does not hold"):
        line.implements(lambda table, Q, sigma: table.mean() + Q(sigma))
    with pytest.raises(TypeError, match=r"\['tabel'\] is not among them"):
        line.implements(lambda tabel: tabel)
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        line.implements(lambda table: table)
    assert number(np.array([[2.0]]), "f") == number(torch.tensor([2.0]), "f") == number(2, "f") == 2.0


# ---- presenting ------------------------------------------------------------------------------------------------------------------------------------
def test_presenting_shows_the_reason_then_the_line_and_keeps_a_static_twin():
    derivation = (
        chain(mu + c).define(real("m"), mu + 1).up_to(mu, constant=c, free_of=mu, because="c < 7 is fixed").step(mu + 0, because="add nothing")
    )
    view = widgets.present(derivation)
    assert view.position == 0 and view.back.disabled and "step 0 of 2" in view.counter.value and view.words.value == ""
    assert view.formula.value.count("[4pt]") == 1                    # the definition and the start
    view.next.click()
    assert "c &lt; 7 is fixed" in view.words.value and "What will the line be?" in view.words.value and "doteq" not in view.formula.value
    view.next.click()
    assert "doteq" in view.formula.value and "✓" in view.words.value and r"equal up to the constant $c$" in view.words.value
    assert "&amp;&amp; " in view.formula.value and "step 1 of 2" in view.counter.value
    for _ in range(5):
        view.next.click()
    assert view.position == view.last_position == 4 and view.next.disabled and not view.back.disabled
    for _ in range(3):
        view.back.click()
    assert view.position == 1 and "predict" in view.counter.value
    data, _ = view._repr_mimebundle_()
    assert data["text/markdown"] == derivation._repr_markdown_() and data["text/plain"] == repr(derivation)
    assert "application/vnd.jupyter.widget-view+json" in data
