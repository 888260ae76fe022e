"""Runs every derivation of every lecture without the rest of the notebook, and counts what is checked: the work of `rlcourse proofs`.

Of a notebook only the import cell and the cells tagged `derivation` or `erratum` run, in one fresh namespace: they must stand on their own, so that a
student can change a sign in one of them and see what breaks. The text around them is searched for equations that nothing checks (claims.py). With
`mutate`, every checked line is tried in every wrong version as well (notation/mutation.py). How the result is shown is in proof_tables.py.
"""

import ast
import contextlib
import io
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from tqdm import tqdm

from rlcourse.authoring.claims import Claims
from rlcourse.authoring.sources import first_line, python_only, read_source, tags
from rlcourse.notation import mutation
from rlcourse.notation.derivation import Derivation, Step, derivations

COURSE = Path(__file__).resolve().parents[2]
RUN = {"imports", "derivation", "erratum"}
MODES = (                                           # how a step says that it was checked -> in which kind of world
    ("symbolic", r"^symbolic"), ("rational", r"fractions"), ("linear-quadratic", r"linear.quadratic|LQ"),
    ("continuous actions", r"continuous actions"), ("finite", r"MDP|decision process|trajector|finite"), ("density", r"quadrature"), ("points", r""),
)


class NotebookUnknown(ValueError):
    """No lecture goes by this name."""


@dataclass(frozen=True)
class Failure:
    """A cell that raised: no derivation of it counts."""

    cell: str
    error: str
    message: str


@dataclass(frozen=True)
class Tried:
    """One mutant and the derivation to which it was done."""

    tag: str
    title: str
    outcome: mutation.Outcome


@dataclass
class Lecture:
    """What one notebook proves. `checked` counts steps by mode; `unchecked` lists equations in the text and steps that nothing can make fail."""

    name: str
    title: str
    path: Path
    checked: Counter = field(default_factory=Counter)
    definitions: int = 0
    errata: int = 0
    unchecked: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    derivations: list[Derivation] = field(default_factory=list)
    tried: list[Tried] = field(default_factory=list)

    @property
    def equations(self) -> int:
        """All that is displayed as an equation."""
        return sum(self.checked.values()) + self.definitions + len(self.unchecked)

    def fates(self, *fates: str) -> list[Tried]:
        """The mutants that met one of these fates."""
        return [t for t in self.tried if t.outcome.fate in fates]

    @property
    def share(self) -> float | None:
        """Share caught of the mutants that are not equalities and that mean something; None without any."""
        wrong = self.fates(mutation.CAUGHT, mutation.UNDECIDED, mutation.SURVIVOR)
        return 1 - len(self.fates(mutation.SURVIVOR)) / len(wrong) if wrong else None


def find(names: Sequence[str], course: Path = COURSE) -> list[Path]:
    """The notebooks meant by `13a`, or by a path to a source or an .ipynb; without names all sources, drafts included. NotebookUnknown otherwise."""
    sources = sorted((course / "notebooks" / "source").glob("*.py"))
    if not names:
        return sources
    found = []
    for name in names:
        matching = [p for p in sources if p.stem == name or p.stem.startswith(f"{name}_")]
        if Path(name).suffix in (".py", ".ipynb") and Path(name).is_file():
            matching = [Path(name)]
        if not matching:
            known = ", ".join(p.stem.partition("_")[0] for p in sources)
            raise NotebookUnknown(f"No lecture goes by {name!r}. Name one of {known}, or give the path of a source (.py) or a notebook (.ipynb).")
        found += matching
    return list(dict.fromkeys(found))


def prove(path: Path) -> Lecture:
    """Runs the derivations of one notebook and reads its text. Raises nothing for a broken derivation: it is among the failures."""
    book = read_source(path) if path.suffix == ".py" else nbformat.read(path, as_version=4)
    about = book.metadata.get("rlcourse", {})
    lecture = Lecture(str(about.get("lecture", path.stem.partition("_")[0])), about.get("title", path.stem), path)
    run(book.cells, lecture)
    claims = Claims()
    for cell in book.cells:
        if cell.cell_type == "markdown":
            claims.read(cell.source)
    lecture.unchecked += [f"in the text: {claim}" for claim in claims.unchecked]
    lecture.definitions += len(claims.definitions) + sum(len(d.definitions) for d in lecture.derivations)
    return lecture


def run(cells: Sequence[NotebookNode], lecture: Lecture) -> None:
    """Runs the import, derivation and erratum cells, output swallowed, and collects their derivations."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    before, namespace = derivations(), {"__name__": "__main__"}
    for cell in cells:
        if cell.cell_type != "code" or not RUN & set(tags(cell)):
            continue
        source = python_only(cell.source)
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                exec(compile(source, f"<{lecture.path.name}>", "exec"), namespace)
        except Exception as error:
            lecture.failures.append(Failure(first_line(cell.source), type(error).__name__, _advice(error)))
        else:
            lecture.errata += _calls_of("erratum", source)
    lecture.derivations = [d for d in derivations() if not any(d is other for other in before)]
    for d in lecture.derivations:
        for assumption in d.open_assumptions:
            says = f"“{assumption.statement}” is assumed, and no .fails_without shows that a step needs it"
            lecture.failures.append(Failure(f"[{d.tag}] {d.title}", "AssumptionOpen", says))


def _advice(error: Exception) -> str:
    if isinstance(error, NameError):
        return f"{error}. A derivation cell may use what the import cell and earlier derivation cells define, and nothing else."
    return str(error)


def _calls_of(name: str, source: str) -> int:
    return sum(isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == name for n in ast.walk(ast.parse(source)))


def mode(step: Step) -> str:
    """In which kind of world a step was checked; `points` are numbers put in for the variables."""
    return getattr(step, "mode", None) or next(name for name, pattern in MODES if re.search(pattern, step.how))


def count(lecture: Lecture, mutate: bool, bar: tqdm) -> None:
    """Counts the steps that can fail as checked, and those that no mutant makes fail as unchecked. With `mutate` all mutants are tried."""
    for derivation in lecture.derivations:
        if mutate:
            outcomes = []
            for outcome in mutation.outcomes(derivation):
                outcomes.append(outcome)
                bar.update()
            lecture.tried += [Tried(derivation.tag, derivation.title, outcome) for outcome in outcomes]
            can_fail = {o.step for o in outcomes if o.fate == mutation.CAUGHT and o.line != "assumption"}
        else:
            can_fail = mutation.checked_steps(derivation)
            bar.update(len(derivation.steps))
        for number, step in enumerate(derivation.steps, start=1):
            if number in can_fail:
                lecture.checked[mode(step)] += 1
            else:
                place = f"[{derivation.tag}] {derivation.title}, step {number}"
                lecture.unchecked.append(f"{place}: no wrong version of it fails, so the check says nothing")


def prove_all(paths: Sequence[Path], mutate: bool = False) -> list[Lecture]:
    """Every notebook, one after the other, with a progress bar on stderr where someone watches."""
    lectures = [prove(path) for path in tqdm(paths, desc="derivations", unit="notebook", disable=None, leave=False)]
    total = sum(mutation.how_many(d) if mutate else len(d.steps) for lecture in lectures for d in lecture.derivations)
    with tqdm(total=total, desc="wrong versions" if mutate else "checks", unit="" if mutate else "step", disable=None, leave=False) as bar:
        for lecture in lectures:
            count(lecture, mutate, bar)
    return lectures


def passes(lectures: Sequence[Lecture]) -> bool:
    """Nothing unchecked, nothing broken, and no mutant that survives without a checked reason."""
    return not any(lecture.unchecked or lecture.failures or lecture.fates(mutation.SURVIVOR) for lecture in lectures)
