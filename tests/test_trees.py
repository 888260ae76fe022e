"""Expressions as plain data: what `to_tree` writes comes back the same, and what it could not have written is refused."""

import dataclasses
import json

import pytest
import sympy as sp

from rlcourse.authoring import proofs
from rlcourse.notation import D, E, N, derivation, function, latex, partial, policy, positive, real, reward, text
from rlcourse.notation.trees import DEPTH_AT_MOST, NODES_AT_MOST, TreeRefused, from_tree, function_tree, to_tree

x, sigma = real("x"), positive("sigma")
Q = function("Q", x)


def unchecked(self, expr, because, rule, worlds, tolerance):
    """A step that is believed: here the lines are wanted, and tests/test_proofs.py checks them."""
    return dataclasses.replace(self, steps=(*self.steps, derivation.Step(sp.sympify(expr), because, rule, "", 0.0, worlds, 1e-9)))


def test_every_line_of_the_course_survives_as_json(monkeypatch):
    monkeypatch.setattr(derivation, "_LOADED", {})
    monkeypatch.setattr(derivation.Derivation, "_longer", unchecked)
    for skipped in ("fails_without", "implements", "also_equals"):
        monkeypatch.setattr(derivation.Derivation, skipped, lambda self, *given, **named: self)
    count = 0
    for source in proofs.find([]):
        for found in proofs.prove(source).derivations:
            sides = [side for pair in found.definitions for side in pair]
            for expr in [found.start, *(step.expr for step in found.steps), *sides]:
                tree = to_tree(expr)
                back = from_tree(json.loads(json.dumps(tree)))
                assert back == expr and latex(back) == latex(expr) and text(back) == text(expr) and to_tree(back) == tree
                assert back.free_symbols == expr.free_symbols
                count += 1
    assert count > 900


def test_the_data_is_lists_numbers_and_known_words():
    def leaves(tree):
        return [leaf for part in tree for leaf in leaves(part)] if isinstance(tree, list) else [tree]

    tree = to_tree(D(sigma, E(x, N(0, sigma), partial(Q)(x) + sp.Rational(1, 3))))
    assert {type(leaf) for leaf in leaves(tree)} <= {str, int, float, bool, type(None)} and tree[:2] == ["D", ["real", "sigma", 0.3, 1.5]]
    assert to_tree(x + 0.5) == ["WrittenAdd", ["real", "x", -2.0, 2.0], 0.5]
    assert function_tree(Q) == ["function", "Q", "Applied", [["real", "x", -2.0, 2.0]], 0, False, None, 0, None]


def test_functions_of_one_name_stay_apart():
    """sympy takes f(x) and f(x) for one object if both functions are called f. What was read before must not change what is read now."""
    plain, indexed, chance = function("f", x), function("f", x, subscripts=1), policy("f", x).function
    trees = [["of", function_tree(plain), to_tree(x)], ["of", function_tree(indexed), to_tree(x)]]
    for tree in (*trees, *trees[::-1]):
        assert to_tree(from_tree(tree)) == tree
    assert [latex(from_tree(tree)) for tree in trees] == ["f(x)", "f_{x}"]
    assert from_tree(to_tree(chance(*chance.parameters))).func.role == "policy" and from_tree(to_tree(reward("r", high=0)[0])).func.high == 0


@pytest.mark.parametrize(("made", "kind"), [
    (sp.log(x), "node"), (sp.Integral(x, x), "node"), (sp.Symbol("y") + x, "name"), (sp.nan, "node"), (sp.I * x, "node"),
    (sp.Function("f")(x), "node"), ("x", "node"), (x + 10**7, "number"), (real("a b"), "name"), (x - sp.oo, "node"),
])
def test_what_is_not_of_the_notation_is_refused(made, kind):
    with pytest.raises(TreeRefused) as refused:
        to_tree(made)
    assert refused.value.kind == kind


def test_an_expression_may_be_neither_deep_nor_large():
    deep, large = x, x
    for _ in range(DEPTH_AT_MOST + 1):
        deep = E(x, N(0, 1), deep)
    for _ in range(12):
        large = Q(large) * Q(large)
    for made in (deep, large):
        with pytest.raises(TreeRefused, match="brackets deep"):
            to_tree(made)


X1 = ["real", "x", -2.0, 2.0]
F = ["function", "f", "Applied", [X1], 0, False, None, 0, None]
DEEP = X1
for _ in range(DEPTH_AT_MOST + 5):
    DEEP = ["log", DEEP]
HOSTILE = [
    ("__import__('os').system('true')", "node"), (None, "node"), (True, "node"), ({"E": []}, "node"), ([], "node"), ([["E"]], "node"),
    ([1, 2], "node"), (["eval", "1"], "node"), (["Symbol", "x"], "node"), (["sympify", "x"], "node"), (["Integral", X1, X1, X1], "node"),
    (["log"], "node"), (["log", X1, X1], "node"), (["log", "x"], "node"), (["E", X1, X1, X1], "node"),
    (["E", 1, ["N", 0, 1], X1], "node"), (["N", 0], "node"), (["E", X1, ["N", 0, 1], X1, X1], "node"), (["Sum", X1, 0, X1], "node"),
    (["Partial", ["of", F, X1], 1], "node"), (["Partial", ["of", F, X1], -1], "node"), (["P", X1, ["N", 0, 1], X1], "node"),
    (["WrittenPow", X1], "node"), (["WrittenAdd"], "node"), (["value", "__class__"], "node"), (["constant", "nan"], "node"),
    (["real", "x", 1.0, -1.0], "number"), (["real", "x", -2.0], "node"), (["real", "x", True, 2.0], "number"), (["real", "x", -2.0, 2.0, 0], "node"),
    (["real", "x", "0", 1], "number"), (["real", "<b>", -2.0, 2.0], "name"), (["real", "x" * 40, -2.0, 2.0], "name"),
    (["real", ["x"], -2.0, 2.0], "name"), (["state", "s; import os"], "name"), (["real", "x$", -2.0, 2.0], "name"),
    (float("nan"), "not_finite"), (float("inf"), "not_finite"),
    (10**7, "number"), (["Rational", 1, 0], "number"), (["Rational", 1, 2.0], "number"), (["real", "x", float("nan"), 2.0], "not_finite"),
    (DEEP, "size"), (["WrittenAdd", *[1] * (NODES_AT_MOST + 1)], "size"),
    (["WrittenAdd", *[["WrittenMul", *[1] * 200] for _ in range(200)]], "size"), (["of"], "node"), (["of", F], "node"),
    (["of", F, X1, X1], "node"), (["of", "f", X1], "node"), (["of", [*F, 1], X1], "node"),
    (["of", [*F[:2], ["Applied"], *F[3:]], X1], "node"), (["of", [*F[:4], 9, *F[5:]], X1], "node"),
    (["of", [*F[:5], 1, *F[6:]], X1], "node"), (["of", [*F[:6], "root", *F[7:]], X1], "node"),
    (["of", [*F[:3], [1], *F[4:]], X1], "node"), (["of", F, ["N", 0, 1]], "node"), (["At", X1, 0], "node"), (["H", X1], "node"),
    (["PathProbability", ["N", 0, 1]], "node"),
]


@pytest.mark.parametrize(("tree", "kind"), HOSTILE, ids=[str(k) for k in range(len(HOSTILE))])
def test_data_that_is_no_expression_is_refused(tree, kind):
    with pytest.raises(TreeRefused) as refused:
        from_tree(tree)
    assert refused.value.kind == kind and len(refused.value.sentence) < 300


def test_data_nested_without_end_is_refused_and_not_followed():
    ring, deep = ["log"], []
    ring.append(ring)
    for _ in range(100_000):
        deep = ["log", deep]
    for tree in (ring, deep):
        with pytest.raises(TreeRefused, match="brackets deep"):
            from_tree(tree)
    while deep:                                                # freed level by level: the interpreter itself would recurse
        deep = deep.pop() if len(deep) > 1 else None
