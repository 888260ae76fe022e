"""`rlcourse proofs`: equations in the text that nothing checks, derivations that break, and wrong versions that go unnoticed."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from rlcourse import cli
from rlcourse.authoring import proofs
from rlcourse.authoring.claims import Claims
from rlcourse.authoring.sources import read_source

COURSE = Path(__file__).resolve().parents[1]
HEAD = """# ---
# jupyter:
#   rlcourse:
#     lecture: "99"
#     title: Planted
#     status: draft
# ---

# %% [markdown]
# # 99 · Planted
# TEXT

# %% tags=["imports"]
from rlcourse.notation import DensityWorld, Derivation, E, N, erratum, positive, real

a, mu, sigma = real("a"), real("mu"), positive("sigma")

# %%
raise RuntimeError("an ordinary cell is not run")

"""
GOOD = """# %% tags=["derivation"]
print("swallowed")
moment = (
    Derivation("Second moment", "99.1", E(a, N(mu, sigma), a**2))
    .step(mu**2 + sigma**2, because="variance plus squared mean")
)

"""
WEAK = GOOD.replace('E(a, N(mu, sigma), a**2))', 'E(a, N(mu, sigma), a**2), worlds=[DensityWorld(mu=1, sigma=1)])')
WRONG = """# %% tags=["derivation"]
Derivation("Wrong moment", "99.2", E(a, N(mu, sigma), a**2)).step(mu**2 - sigma**2, because="a slip")

"""
ERRATUM = """# %% tags=["erratum"]
erratum("A slip", "the second moment", printed=mu**2 - sigma**2, correct=mu**2 + sigma**2, truth=E(a, N(mu, sigma), a**2))
"""


@pytest.fixture
def planted(tmp_path):
    """A notebook's path, from its text and its cells."""

    def write(*cells: str, text: str = "Nothing is claimed here.", name: str = "99_planted.py") -> Path:
        folder = tmp_path / "notebooks" / "source"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(HEAD.replace("TEXT", text) + "".join(cells), encoding="utf-8")
        return folder / name

    return write


def outcome(capsys, *words: object) -> tuple[int, dict]:
    code = cli.main(["proofs", "--json", *map(str, words)])
    return code, json.loads(capsys.readouterr().out)


# ---- claims in the text -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text",
    [
        "$$ V = Q $$", "$$ x $$", r"\[ a = b \]", r"\begin{align} a &= b \end{align}", r"\begin{equation*} Q \le V \end{equation*}",
        r"$V(s) = \max_a Q(s, a)$", r"$\pi \propto \exp Q$", r"$V^\pi(s) \leq V^*(s)$", r"$H \approx \log 2$", r"$E[r] = 3$",
        r"$\gamma = 1 - \epsilon$", r"\(V = Q\)", "V(s) = max Q", "π(a | s) ∝ exp Q(s, a)", "V(s) ≤ V*(s)", r"$a \ge b$", "a ≈ b", "p(x) <= 1",
        "so J(θ) = E[R] here", "H = −E[log π]", "- V = Q", "| a = b | c |", "**V = Q**", "(see lecture 3): V(s)=max Q", "$i = j$",
        "$Q(s, a) < V(s)$", r"$a = \mu + \sigma\epsilon$", "$V + 1 := x$", "$a := b$ twice, $a := c$", "$x := y = z$", "$$ a + b := c $$",
        r"$\sigma = 2 \sigma'$", "γ = 0.9 γ′",
    ],
)
def test_a_claim_is_seen(text):
    assert len(Claims().read(f"We see that {text} and more." if not text.startswith(("-", "|")) else text).unchecked) == 1


@pytest.mark.parametrize(
    "text",
    [
        r"$\sigma = 0.4$", "$T = 3$", "$t = 0, 1, \\dots, T - 1$", r"$0 \le t < T$", r"$\gamma < 1$", r"$\sigma > 0$", r"$t' \ge t$",
        "$P(a > 0.999)$", r"$\sum_{t=0}^{T} r_t$", r"$a \sim \mathcal N(\mu, \sigma^2)$", r"$\alpha \to 0$", r"$\sigma \approx 0.9$",
        r"$|\mathcal{A}| = 2$", r"$\gamma \in [0, 1]$", "at μ = 0, σ = 1 we", "which gives a = 1 exactly", "γ = 0.99", "n = 1,000 steps",
        "`a = b`", "``V = `Q` ``", '<a href="x=y">here</a>', "[here](page?a=b)", "https://x.org/?q=a", "<!-- V = Q -->", "```\nV = Q\n```",
        "Title\n=====\n", "| a | b |\n|---|---|\n| 1 | 2 |", "costs \\$5 = five",
    ],
)
def test_what_is_no_claim_is_left_alone(text):
    text = text.replace("costs \\$5 = five", "costs \\$5")
    assert Claims().read(text).unchecked == []


def test_a_definition_has_one_new_symbol_on_its_left():
    claims = Claims().read(r"Let $a := \mu + \sigma\epsilon$, $V_\pi(s) := x$, $\hat Q(s, f) := y$ and z := 3 b. $$ u_t := v $$ $w \coloneqq 1$")
    assert claims.unchecked == [] and len(claims.definitions) == 6
    assert claims.read("Again $a := 2$").unchecked == ["$a := 2$"]


def test_the_text_of_the_course_claims_nothing_unchecked():
    found = {}
    for path in sorted((COURSE / "notebooks" / "source").glob("*.py")):
        claims = Claims()
        for cell in read_source(path).cells:
            if cell.cell_type == "markdown":
                claims.read(cell.source)
        found[path.name] = claims.unchecked
    assert {name: claims for name, claims in found.items() if claims} == {}


# ---- derivations ------------------------------------------------------------------------------------------------------
def test_a_good_notebook_passes_and_is_counted(planted, capsys):
    code, found = outcome(capsys, planted(GOOD, ERRATUM, text=r"Let $x := \mu$ at $\sigma = 1$."))
    assert code == 0 and found["passes"]
    assert (found["checked"], found["definitions"], found["unchecked"], found["errata"]) == (1, 1, 0, 1)
    (lecture,) = found["lectures"]
    assert (lecture["lecture"], lecture["title"], lecture["modes"], lecture["derivations"]) == ("99", "Planted", {"density": 1}, 1)
    assert "mutants" not in found


def test_a_false_step_names_the_cell_and_the_step(planted, capsys):
    path = planted(GOOD, WRONG)
    code, found = outcome(capsys, path)
    (failure,) = found["failures"]
    assert code == 1 and found["checked"] == 1
    assert failure["cell"].startswith('Derivation("Wrong moment"') and failure["error"] == "StepFails"
    assert "[99.2] Wrong moment, step 1 (a slip) does not hold" in failure["message"]
    assert cli.main(["proofs", str(path)]) == 1
    shown = capsys.readouterr().out
    assert "raises 99, cell “Derivation(" in shown and "Wrong moment, step 1" in shown and "1 broken" in " ".join(shown.split())


def test_a_cell_that_leans_on_the_rest_of_the_notebook_is_told_so(planted, capsys):
    code, found = outcome(capsys, planted('# %%\nb = a\n\n# %% tags=["derivation"]\nDerivation("B", "99.3", b)\n'))
    assert code == 1 and "and nothing else" in found["failures"][0]["message"]


def test_an_unchecked_equation_in_the_text_fails_the_notebook(planted, capsys):
    code, found = outcome(capsys, planted(GOOD, text="$V = Q$"))
    assert code == 1 and found["unchecked"] == 1 and found["lectures"][0]["unchecked"] == ["in the text: $V = Q$"]


def test_a_step_that_nothing_can_fail_counts_as_unchecked(planted, capsys):
    idle = 'from rlcourse.notation import tanh\nDerivation("Idle", "99.5", a, worlds=[DensityWorld(a=0)]).step(tanh(a), because="both are 0")\n'
    code, found = outcome(capsys, planted('# %% tags=["derivation"]\n' + idle))
    assert code == 1 and found["checked"] == 0 and "no wrong version of it fails" in found["lectures"][0]["unchecked"][0]


def test_an_assumption_that_nothing_needs_is_a_failure(planted, capsys):
    text = 'from rlcourse.notation.assumptions import Assumption\nmoment = moment.assuming(Assumption("the mean is 0", source="nowhere"))\n'
    code, found = outcome(capsys, planted(GOOD.rstrip() + "\n" + text))
    assert code == 1 and found["failures"][0]["error"] == "AssumptionOpen"


# ---- mutation ---------------------------------------------------------------------------------------------------------
def test_mutants_are_counted_and_none_survives_good_worlds(planted, capsys):
    code, found = outcome(capsys, "--mutate", planted(GOOD))
    assert code == 0 and found["caught"] == 1.0 and found["mutants"] > 10 and found["survivors"] == []
    assert sum(found["fates"].values()) == found["mutants"] and found["fates"]["caught"] == found["mutants"]
    assert found["lectures"][0]["operators"]["power"] == {"caught": 6}


def test_an_unexplained_survivor_fails_the_notebook_and_is_shown(planted, capsys):
    path = planted(WEAK)
    code, found = outcome(capsys, "--mutate", path)
    assert code == 1 and 0 < found["caught"] < 1
    rows = {row["latex"]: row for row in found["survivors"]}
    row = rows[r"\mu^{3} + \sigma^{2}"]
    assert (row["lecture"], row["tag"], row["step"], row["operator"], row["text"], row["reason"]) == ("99", "99.1", 1, "power", "μ³ + σ²", None)
    assert found["unchecked"] == 0 and found["fates"]["survivor"] == len(rows)
    assert cli.main(["proofs", "--mutate", str(path)]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert r"\mu^{3} + \sigma^{2}" in shown and "unexplained survivors" in shown
    assert cli.main(["proofs", str(path)]) == 0                        # without --mutate one wrong version that fails is enough


def test_an_equality_with_a_reason_does_not_fail_the_notebook(planted, capsys):
    even = """# %% tags=["derivation"]
from rlcourse.notation import function
Q = function("Q", a)
mirror = Derivation("Normal noise is symmetric", "99.4", E(a, N(0, 1), Q(mu + a)))
mirror = mirror.step(E(a, N(0, 1), Q(mu - a)), because="a and −a have the same law")
mirror = mirror.also_equals(E(a, N(0, 1), Q(mu + a)), by=mirror).also_equals(E(a, N(0, 1), Q(mu - a)), by=mirror)
"""
    code, found = outcome(capsys, "--mutate", planted(even))
    reasons = {row["text"]: row["reason"] for row in found["survivors"]}
    assert set(reasons.values()) == {"equal, because [99.4] Normal noise is symmetric"} and len(reasons) == 2
    assert code == 0 and found["fates"]["equal"] == 2 and found["caught"] == 1.0
    code, found = outcome(capsys, "--mutate", planted(even, WEAK))
    unexplained, caught = found["fates"]["survivor"], found["fates"]["caught"]
    assert code == 1 and found["fates"]["equal"] == 2 and found["caught"] == pytest.approx(caught / (caught + unexplained)) != 1.0
    code, found = outcome(capsys, "--mutate", planted(even.partition("mirror = mirror.also_equals")[0]))
    reasons = {row["reason"] for row in found["survivors"]}
    assert reasons == {"equal: it is the first line of this derivation", "equal: it is line 1 of this derivation"}


@pytest.mark.parametrize(
    ("how", "mode"),
    [
        ("symbolic: sympy reduces the difference to 0", "symbolic"), ("exact, in fractions, on 3 MDPs of fractions", "rational"),
        ("exact on 20 random MDPs, every trajectory listed, largest difference below 1e-9", "finite"),
        ("exact on 20 random processes with continuous actions, expectations by quadrature", "continuous actions"),
        ("exact on 20 random linear-quadratic systems, in closed form", "linear-quadratic"),
        ("by quadrature on 20 random Gaussians, largest difference below 1e-9", "density"), ("in numbers on 20 random points", "points"),
    ],
)
def test_the_mode_is_read_from_how_a_step_was_checked(how, mode):
    assert proofs.mode(SimpleNamespace(how=how)) == mode


# ---- which notebooks --------------------------------------------------------------------------------------------------
def test_a_lecture_goes_by_its_name_or_its_path(planted):
    path = planted(GOOD)
    course = path.parents[2]
    assert proofs.find([], course) == proofs.find(["99"], course) == proofs.find(["99_planted", str(path)], course) == [path]
    with pytest.raises(proofs.NotebookUnknown, match="Name one of 99"):
        proofs.find(["98"], course)
    assert cli.main(["proofs", "nowhere.ipynb"]) == 1


def test_one_notebook_does_not_inherit_from_another(planted, capsys):
    first = planted(GOOD)
    second = planted('# %% tags=["derivation"]\nmoment\n', name="98_planted.py")
    code, found = outcome(capsys, first, second)
    assert code == 1 and [x["derivations"] for x in found["lectures"]] == [1, 0] and found["failures"][0]["error"] == "NameError"


def test_lecture_13a_stands(capsys):
    lecture = proofs.prove(COURSE / "notebooks" / "source" / "13a_reparametrisation_and_squashing.py")
    proofs.count(lecture, False, proofs.tqdm(disable=True))
    assert lecture.failures == [] and [u for u in lecture.unchecked if "in the text" not in u] == []
    assert sum(lecture.checked.values()) >= 27 and set(lecture.checked) == {"density", "points", "symbolic"} and lecture.errata == 3
    built = COURSE / "notebooks" / "13a_reparametrisation_and_squashing.ipynb"
    assert len(proofs.prove(built).derivations) == len(lecture.derivations) == 12
