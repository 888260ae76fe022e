"""`rlcourse index`: tag -> lecture cell -> function -> agent line -> test -> exercise.

Everything is read from source text, nothing is imported or run. A tag is written [13.5]: two digits for the lecture, then the equation's number.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

COURSE = Path(__file__).resolve().parents[2]
NUMBER = r"\d\d\.[1-9]\d*"
BRACKETED = re.compile(rf"\[({NUMBER}(?:\s*[,;–-]\s*{NUMBER})*)\]")
LATEX = re.compile(rf"\\tag\{{({NUMBER})\}}")
Function = ast.FunctionDef | ast.ClassDef


@dataclass
class Entry:
    """Where one equation lives. Each place reads `file:line name`, relative to the course's folder."""

    tag: str
    lecture: list[str] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)
    exercises: list[str] = field(default_factory=list)


def tags_in(text: str) -> list[str]:
    r"""The tags that a text mentions, in order, once each: `[13.5]`, `[13.5, 13.6]` and `\tag{13.5}`.

    Limits: numbers such as [0.5] or [3.25] are not tags, because a lecture has two digits.
    """
    found = [(match.start(), number) for match in BRACKETED.finditer(text) for number in re.findall(NUMBER, match.group(1))]
    found += [(match.start(), match.group(1)) for match in LATEX.finditer(text)]
    return list(dict.fromkeys(number for _, number in sorted(found, key=lambda item: item[0])))


def build(course: Path = COURSE) -> list[Entry]:
    """One entry per tag that occurs in code, lecture or exercise, in the order of the lectures."""
    entries: dict[str, Entry] = {}
    functions: dict[str, list[str]] = {}
    for kind, tag, place, name in [*_code(course), *_lectures(course), *_exercises(course)]:
        entry = entries.setdefault(tag, Entry(tag))
        places = getattr(entry, kind)
        if place not in places:
            places.append(place)
        if kind == "functions":
            functions.setdefault(tag, []).append(name)
    for place, tags, names in _tests(course):
        for entry in entries.values():
            if entry.tag in tags or names & set(functions.get(entry.tag, [])):
                entry.tests.append(place)
    return sorted(entries.values(), key=lambda entry: [int(part) for part in entry.tag.split(".")])


def problems(course: Path = COURSE) -> list[str]:
    """What the index finds missing, one sentence each; empty when all is well.

    A tag used in code must occur in its lecture, as soon as a source of that lecture exists.
    Every public equation function needs a test that names it.
    """
    found = []
    for entry in build(course):
        number = entry.tag.split(".")[0]
        written = sorted(course.glob(f"notebooks/source/{number}*.py"))
        if written and not entry.lecture and (entry.functions or entry.used):
            found.append(f"[{entry.tag}] is used in {(entry.functions + entry.used)[0]} and occurs in no cell of lecture {number}.")
    named = set().union(*(names for _, _, names in _tests(course)))
    return found + [f"{place}: no test names {name}." for place, name, _ in equation_functions(course) if name not in named]


def equation_functions(course: Path = COURSE) -> Iterator[tuple[str, str, list[str]]]:
    """(place, name, tags) of every public function and class of `rlcourse/equations`; a class has its methods' tags too, records are left out."""
    for path in sorted(course.glob("rlcourse/equations/*.py")):
        if path.name == "__init__.py":
            continue
        for node in _parsed(path).body:
            if isinstance(node, Function) and not node.name.startswith("_") and not _is_record(node):
                docs = [ast.get_docstring(inner) or "" for inner in ast.walk(node) if isinstance(inner, Function)]
                yield _place(course, path, node.lineno, node.name), node.name, tags_in(" ".join(docs))


def _code(course: Path) -> Iterator[tuple[str, str, str, str]]:
    """(kind, tag, place, name): a docstring's tags are what a function implements; a comment's tags are where an equation is used."""
    for path in sorted(course.glob("rlcourse/**/*.py")):
        if path.parent.name in ("authoring", "grading") or "checks" in path.parts:
            continue
        tree = _parsed(path)
        for node, name in _named(tree):
            kind = "functions" if "equations" in path.parts else "used"
            for tag in tags_in(ast.get_docstring(node) or ""):
                yield kind, tag, _place(course, path, node.lineno, name), name.split(".")[0]
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            if token.type == tokenize.COMMENT:
                for tag in tags_in(token.string):
                    yield "used", tag, _place(course, path, token.start[0], _enclosing(tree, token.start[0])), ""


def _lectures(course: Path) -> Iterator[tuple[str, str, str, str]]:
    for path in sorted(course.glob("notebooks/source/*.py")):
        heading = ""
        for line, cell in cells(path.read_text()):
            heading = next(iter(re.findall(r"^# #+ (.+)$", cell, re.MULTILINE)), heading)
            derived = re.findall(rf"""(?:tag\s*=\s*|Derivation\(\s*"[^"]*",\s*)["']\[?({NUMBER})""", cell)
            for tag in dict.fromkeys(derived + tags_in(cell)):
                yield "lecture", tag, _place(course, path, line, heading), ""


def cells(source: str) -> list[tuple[int, str]]:
    """(first line, text) of each cell of a percent-format notebook, marker line left out."""
    marks = list(re.finditer(r"^# %%.*$", source, re.MULTILINE))
    ends = [match.start() for match in marks[1:]] + [len(source)]
    return [(source.count("\n", 0, mark.start()) + 1, source[mark.end() : end]) for mark, end in zip(marks, ends)]


def _exercises(course: Path) -> Iterator[tuple[str, str, str, str]]:
    for path in sorted(course.glob("rlcourse/checks/lecture_*/*.py")):
        for node in ast.walk(_parsed(path)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Exercise":
                said = {word.arg: word.value for word in node.keywords}
                identity = next((value.value for value in [said.get("id"), *node.args] if isinstance(value, ast.Constant)), "")
                for tag in re.findall(NUMBER, ast.unparse(said["tags"]) if "tags" in said else ""):
                    yield "exercises", tag, _place(course, path, node.lineno, f"exercise {identity}"), ""


def _tests(course: Path) -> list[tuple[str, set[str], set[str]]]:
    """(place, tags, names) of every test function: the tags it mentions, and the names it uses directly or through the functions of its own file."""
    found = []
    for path in sorted(course.glob("tests/**/test_*.py")):
        text = path.read_text()
        tree = ast.parse(text)
        local = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        for name, node in local.items():
            if name.startswith("test_"):
                tags = set(tags_in(ast.get_source_segment(text, node) or ""))
                found.append((_place(course, path, node.lineno, name), tags, _used_names(node, local)))
    return found


def _used_names(node: ast.AST, local: dict[str, ast.FunctionDef]) -> set[str]:
    names: set[str] = set()
    waiting = [node]
    while waiting:
        for inner in ast.walk(waiting.pop()):
            name = inner.id if isinstance(inner, ast.Name) else inner.attr if isinstance(inner, ast.Attribute) else None
            if name and name not in names:
                names.add(name)
                waiting += [local[name]] if name in local else []
    return names


def _named(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    for node in tree.body:
        if isinstance(node, Function):
            yield node, node.name
        if isinstance(node, ast.ClassDef):
            yield from ((inner, f"{node.name}.{inner.name}") for inner in node.body if isinstance(inner, Function))


def _enclosing(tree: ast.Module, line: int) -> str:
    around = [name for node, name in _named(tree) if node.lineno <= line <= (node.end_lineno or node.lineno)]
    return around[-1] if around else ""


def _is_record(node: Function) -> bool:
    """An error class or a NamedTuple: no equation of its own."""
    return isinstance(node, ast.ClassDef) and (node.name.endswith("Error") or any(ast.unparse(parent) == "NamedTuple" for parent in node.bases))


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def _place(course: Path, path: Path, line: int, name: str) -> str:
    return f"{path.relative_to(course).as_posix()}:{line} {name}".rstrip()


def as_rows(entries: list[Entry]) -> list[dict]:
    """Plain data for `--json`: one dictionary per tag, with the fields of Entry."""
    return [asdict(entry) for entry in entries]
