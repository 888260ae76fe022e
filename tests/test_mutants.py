"""Automatic mutants: every operator makes the changes that it should, and nothing that a check cannot see is changed."""

import ast

import pytest

from rlcourse.checks import mutants, solutions
from rlcourse.checks.mutants import Mutant

SOLUTIONS = ["13.1", "13.2", "13.6"]


def lines(*body: str, arguments: str = "x, y, T, terminated, truncated") -> set[str]:
    """The changes made to a function with these lines."""
    return {mutant.change for mutant in mutants.mutants(f"def f({arguments}):\n" + "\n".join("    " + line for line in body))}


def new(line: str, **named: str) -> set[str]:
    """What one line becomes."""
    return {change.partition(" -> ")[2] for change in lines(line, **named) if change.startswith(line.partition(" -> ")[0])}


@pytest.mark.parametrize(
    ("line", "becomes"),
    [
        ("z = x + y", {"z = x - y", "z = x * y", "z = x", "z = y"}),
        ("z = x - y", {"z = x + y", "z = x", "z = y", "z = y - x"}),
        ("z = x * y", {"z = x / y", "z = x + y", "z = x", "z = y"}),
        ("z = x / y", {"z = x * y", "z = x", "z = y", "z = y / x"}),
        ("z = x ** 2", {"z = x * 2", "z = x", "z = 2", "z = 2 ** x", "z = x ** 3"}),
        ("z = x @ y", {"z = x * y", "z = x", "z = y", "z = y @ x"}),
        ("z = 1 - terminated", {"z = 1 + terminated", "z = 1", "z = terminated", "z = terminated - 1", "z = 2 - terminated", "z = 0 - terminated",
                                "z = 1 - truncated"}),
        ("z = ~(terminated | truncated)", {"z = terminated | truncated", "z = ~(terminated & truncated)", "z = ~terminated", "z = ~truncated",
                                           "z = ~(truncated | truncated)", "z = ~(terminated | terminated)"}),
        ("z = x < y", {"z = x <= y", "z = x > y"}),
        ("z = x >= y", {"z = x > y", "z = x <= y"}),
        ("z = x == y", {"z = x != y"}),
        ("z = x and (not y)", {"z = x or not y", "z = x", "z = not y", "z = x and y"}),
        ("z = -x", {"z = x"}),
        ("z = 0.5", {"z = 1.0"}),
        ("z = 0.0", {"z = 1.0"}),
        ("z = 1.0", {"z = 0.0", "z = 2.0"}),
        ("z = 2", {"z = 3", "z = 1"}),
        ("z = 500", {"z = 1"}),
        ("z = True", {"z = False"}),
        ("z = torch.log(x)", {"z = x", "z = torch.log1p(x)"}),
        ("z = x.detach()", {"z = x"}),
        ("z = torch.where(x, y, T)", {"z = x", "z = y", "z = T", "z = torch.where(y, x, T)", "z = torch.where(x, T, y)"}),
        ("z = torch.minimum(x, y)", {"z = x", "z = y", "z = torch.maximum(x, y)"}),
        ("z = max(x, y)", {"z = x", "z = y", "z = min(x, y)"}),
        ("z = x.sum(-1)", {"z = x", "z = x.mean(-1)", "z = x.sum()", "z = x.sum(0)", "z = x.sum(-2)"}),
        ("z = x.mean(dim=0)", {"z = x", "z = x.sum(dim=0)", "z = x.mean()", "z = x.mean(dim=1)"}),
        ("z = x.sum(dim=1, keepdim=True)", {"z = x", "z = x.mean(dim=1, keepdim=True)", "z = x.sum(keepdim=True)", "z = x.sum(dim=2, keepdim=True)",
                                            "z = x.sum(dim=0, keepdim=True)", "z = x.sum(dim=1, keepdim=False)"}),
        ("z = x[T]", {"z = x[T + 1]", "z = x[T - 1]"}),
        ("z = x[0]", {"z = x[1]", "z = x[-1]"}),
        ("z = x[1:]", {"z = x[2:]", "z = x[0:]", "z = x[1:-1]"}),
        ("z = x[:-1]", {"z = x[1:-1]", "z = x[:]", "z = x[:0]", "z = x[:-2]"}),
        ("z = x[::-1]", {"z = x[:]", "z = x[::0]", "z = x[::-2]"}),
        ("z = [x, y]", {"z = [y, x]"}),
        ("z = x if y else T", {"z = x if True else T", "z = x if False else T"}),
        ("z = [a for a in x if a]", {"z = [a for a in x if True]", "z = [a for a in x if False]"}),
        ("z = x.T", {"z = x"}),
        ("x = x + y", {"x = x - y", "x = x * y", "x = x", "x = y", "(dropped)"}),
        ("x += y", {"x -= y", "x *= y", "x = y", "(dropped)"}),
        ("x[T] = y", {"x[T + 1] = y", "x[T - 1] = y", "(dropped)"}),
        ("x.backward()", {"x", "(dropped)"}),
        ("return x", {"return -x"}),
        ("return (x, y)", {"return (y, x)"}),
    ],
)
def test_what_one_line_becomes(line, becomes):
    assert new(line) == becomes


@pytest.mark.parametrize(
    ("body", "line", "becomes"),
    [
        ("for t in reversed(range(T)):\n  z = t", "for t in reversed(range(T)):",
         {"for t in range(T):", "for t in reversed(range(T + 1)):", "for t in reversed(range(T - 1)):"}),
        ("for t in range(1, T):\n  continue", "for t in range(1, T):",
         {"for t in range(2, T):", "for t in range(0, T):", "for t in range(1, T + 1):", "for t in range(1, T - 1):", "for t in range(T, 1):"}),
        ("for t in x:\n  continue", "continue", {"(dropped)"}),
        ("for t in x:\n  break", "break", {"(dropped)"}),
        ("if x > y:\n  z = x", "if x > y:", {"if x >= y:", "if x < y:", "if True:", "if False:"}),
        ("while x > y:\n  z = x", "while x > y:", {"while x >= y:", "while x < y:"}),
        ("with torch.no_grad():\n  x += y", "with torch.no_grad():", {"(its body alone)"}),
        ("with torch.no_grad():\n  x += y", "x += y", {"x -= y", "x *= y", "x = y", "(dropped)"}),
        ("z = 0.5\nz = z", "z = z", {"(dropped)"}),
        ("z = -x\nz = -x", "z = -x", {"z = x", "z = x (#2)", "(dropped)"}),
        ("g = lambda a: a + x", "g = lambda a: a + x", {"g = lambda a: a - x", "g = lambda a: a * x", "g = lambda a: a", "g = lambda a: x"}),
        ("def g(a):\n  return a", "return a", {"return -a"}),
    ],
)
def test_what_a_line_among_others_becomes(body, line, becomes):
    assert {change.partition(" -> ")[2] for change in lines(*body.splitlines()) if change.startswith(line + " -> ")} == becomes


UNSEEN = ['"""Add 1 and 2."""', "raise ValueError(f'{x + 1}')", "assert x > 0", "import math", "z: float = x", "z = f'{x + 1}'", "z = float(x)",
          "z = torch.tensor(x)", "z = torch.arange(T)", "z = x", "pass"]


@pytest.mark.parametrize("line", UNSEEN)
def test_what_no_check_can_see_is_left_as_it_is(line):
    assert lines(line) == set()


def test_signatures_and_annotations_stay():
    assert mutants.mutants("def f(x: dict[0, 1], n=2 + 3) -> list[4]:\n    pass") == []


def test_the_body_of_a_with_statement_stays_in_the_tree():
    """Every change is taken back before the next: each mutant differs from the source in its own line only."""
    source = "def f(x, y):\n    with g():\n        x += y\n        y = x\n    return x * y"
    for mutant in mutants.mutants(source):
        before, after = (ast.unparse(ast.parse(text)).splitlines() for text in (source, mutant.source))
        if "(its body alone)" in mutant.change:
            assert after == ["def f(x, y):", "    x += y", "    y = x", "    return x * y"]
        else:
            assert sum(a != b for a, b in zip(before, after)) == 1 or "(dropped)" in mutant.change


@pytest.mark.parametrize("id", SOLUTIONS)
def test_mutants_of_a_solution_compile_differ_and_have_names_of_their_own(id):
    source = solutions.source(id)
    made = mutants.mutants(source)
    plain = ast.unparse(ast.parse(source))
    assert len({mutant.source for mutant in made} | {plain}) == len(made) + 1 == len({mutant.change for mutant in made}) + 1 > 30
    assert made == mutants.mutants(source) and all(isinstance(mutant, Mutant) and compile(mutant.source, id, "exec") for mutant in made)


def test_dropped_terms_are_made_once():
    """x * 1 and x + 0 are the dropped factor and the dropped term under another name."""
    assert new("z = 2 * x") == {"z = 2 / x", "z = 2 + x", "z = 2", "z = x", "z = 3 * x"}
    assert new("z = 0.5 * x") == {"z = 0.5 / x", "z = 0.5 + x", "z = 0.5", "z = x"}
    assert new("z = x + 1") == {"z = x - 1", "z = x * 1", "z = x", "z = 1", "z = x + 2"}
