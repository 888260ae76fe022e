"""Sources -> lectures, solutions and exercises: `python -m rlcourse.authoring.build [NAME ...] [--all] [--check] [--double]`.

    notebooks/source/NN.py  -> notebooks/NN.ipynb   executed
    solutions/source/NN.py  -> solutions/NN.ipynb   executed
                            -> exercises/NN.ipynb   solution blocks replaced by stubs, never executed here

Without options it builds what changed since the last build (by the hash of the source) and then checks everything. NAME is the start of a notebook's
name (`13a`) or a folder and a name (`solutions/13a`). notebooks/build.json records CPU and wall seconds and peak memory of every executed notebook.
Two builds on one machine write the same bytes. A build that fails writes nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import nbformat

from rlcourse.authoring import notebooks as checks
from rlcourse.authoring.execute import BuildError, execute
from rlcourse.authoring.sources import SourceError, exercise_from, first_line, read_source, source_hash

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("notebooks", "solutions")


def sources(root: Path, names: Sequence[str] = ()) -> list[Path]:
    """The sources of lectures and solutions, sorted; with `names`, those whose name (or folder/name) starts with one of them."""
    found = [path for folder in FOLDERS for path in sorted((root / folder / "source").glob("*.py"))]
    if not names:
        return found
    wanted = [name.removesuffix(".py").removesuffix(".ipynb").replace("/source/", "/").replace("exercises/", "solutions/") for name in names]
    for name in wanted:
        if not any(label(path).startswith(name) or path.stem.startswith(name) for path in found):
            there_are = ", ".join(map(label, found)) or "none (run this in a checkout of the course)"
            raise SourceError(f"no notebook is called '{name}'. There are: {there_are}.")
    return [path for path in found if any(label(path).startswith(name) or path.stem.startswith(name) for name in wanted)]


def label(source: Path) -> str:
    """notebooks/source/13a_x.py -> "notebooks/13a_x", the key of the execution record."""
    return f"{source.parent.parent.name}/{source.stem}"


def generated(source: Path) -> Path:
    """The executed notebook of a source."""
    return source.parent.parent / f"{source.stem}.ipynb"


def exercise_path(source: Path) -> Path:
    """The exercise notebook of a solution's source."""
    return source.parent.parent.parent / "exercises" / f"{source.stem}.ipynb"


def render(source: Path) -> tuple[str, dict]:
    """(text of the executed notebook, entry of the execution record) of one source. Raises BuildError or SourceError; writes nothing."""
    book = read_source(source)
    usage = execute(book, label(source))
    entry = {"source_sha256": source_hash(source), "cpu_seconds": round(usage["cpu_seconds"], 1), "wall_seconds": round(usage["wall_seconds"], 1),
             "peak_memory_mb": round(usage["peak_memory_mb"])}
    return as_text(book), entry


def as_text(book: nbformat.NotebookNode) -> str:
    """A valid notebook as the text that is committed: sorted keys, one indent, a final newline."""
    nbformat.validate(book)
    return nbformat.writes(book, version=nbformat.NO_CONVERT) + "\n"


def write_atomically(path: Path, text: str) -> None:
    """Replace a file in one step: a reader, or a build that is interrupted, sees the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def read_record(root: Path) -> dict[str, dict]:
    """notebooks/build.json, or an empty record."""
    path = root / "notebooks" / "build.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write_record(root: Path, record: dict[str, dict]) -> None:
    """Write notebooks/build.json, one entry a line and sorted, without entries whose source is gone."""
    known = {label(path) for path in sources(root)}
    lines = [f"  {json.dumps(name)}: {json.dumps(record[name], sort_keys=True)}" for name in sorted(known & record.keys())]
    write_atomically(root / "notebooks" / "build.json", "{\n" + ",\n".join(lines) + "\n}\n")


def up_to_date(source: Path, record: dict[str, dict]) -> bool:
    """Whether the stored notebook was built from this text of the source and not changed since (outputs aside)."""
    if record.get(label(source), {}).get("source_sha256") != source_hash(source):
        return False
    try:
        book = checks.read(generated(source))
    except checks.UNREADABLE:
        return False
    return not checks.drift(book, read_source(source)) and not checks.not_executed(book)


def build_one(source: Path, root: Path, force: bool = False) -> str:
    """Build the notebooks of one source where needed; one line that says what was done."""
    if label(source).startswith("solutions/"):
        text = as_text(exercise_from(read_source(source)))
        path = exercise_path(source)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text)
    if not force and up_to_date(source, read_record(root)):
        return f"{label(source)}: up to date"
    text, entry = render(source)
    write_atomically(generated(source), text)
    write_record(root, {**read_record(root), label(source): entry})
    return f"{label(source)}: built in {entry['cpu_seconds']} CPU seconds ({entry['wall_seconds']} s, {entry['peak_memory_mb']} MB)"


def double_build(source: Path) -> list[str]:
    """Build one notebook twice in memory; what differs between the two. Two equal builds make a diff show what its author changed."""
    texts = [render(source)[0] for _ in range(2)]
    if texts[0] == texts[1]:
        return []
    first, second = (json.loads(text) for text in texts)
    odd = [cell for cell, other in zip(first["cells"], second["cells"]) if cell != other]
    places = ", ".join(f"cell {cell['id']} ({first_line(''.join(cell['source']))})" for cell in odd) or "the notebook's metadata"
    return [f"{label(source)}: two builds differ in {places}. Seed every generator explicitly, sort sets before printing, and print no times."]


def problems_of(source: Path, root: Path) -> list[str]:
    """All problems of the generated files of one source, each with the name of its file."""
    words, expected = checks.private_words(root), read_source(source)
    found = _in_file(generated(source), root, lambda book: checks.executed_problems(book, expected, words))
    if label(source).startswith("solutions/"):
        from rlcourse.authoring import exercise_cells  # imports torch, which the building of lectures does not need

        path = exercise_path(source)
        found += _in_file(path, root, lambda book: checks.exercise_problems(book, exercise_from(expected), expected, words))
        found += _in_file(path, root, lambda book: exercise_cells.problems(book, path.name)) if path.exists() else []
    return found


def _in_file(path: Path, root: Path, check: Callable[[nbformat.NotebookNode], list[str]]) -> list[str]:
    try:
        lines = check(checks.read(path))
    except checks.UNREADABLE as error:
        lines = [f"cannot be read ({type(error).__name__}): it was never built, or is damaged. Run `make notebooks`."]
    return [f"{path.relative_to(root)}: {line}" for line in lines]


def orphans(root: Path) -> list[str]:
    """Notebooks that no source generates: nobody reviews them and nothing keeps them up to date."""
    known = {generated(path) for path in sources(root)} | {exercise_path(path) for path in sources(root) if label(path).startswith("solutions/")}
    stray = [path for folder in (*FOLDERS, "exercises") for path in sorted((root / folder).glob("*.ipynb")) if path not in known]
    return [f"{path.relative_to(root)} has no source. Write its source, or delete the notebook." for path in stray]


def repository_problems(root: Path, names: Sequence[str] = ()) -> list[str]:
    """Every check on every generated notebook; with `names`, on those alone and without the checks that concern all."""
    chosen = sources(root, names)
    found = [line for path in chosen for line in problems_of(path, root)]
    hashes = {label(path): source_hash(path) for path in chosen}
    record = read_record(root)
    if names:
        return found + checks.record_problems({name: record[name] for name in hashes if name in record}, hashes)
    return found + checks.record_problems(record, hashes) + orphans(root)


def main(argv: Sequence[str] | None = None) -> int:
    """Build, then check. Exit code 0 only if every notebook was built and nothing is wrong with any of them."""
    parser = argparse.ArgumentParser(prog="python -m rlcourse.authoring.build", description="Build the course's notebooks from their sources.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="start of a notebook's name, such as 13a or solutions/13a (default: all)")
    parser.add_argument("--all", action="store_true", help="build also what has not changed (after a change of the package)")
    parser.add_argument("--check", action="store_true", help="check only, execute nothing")
    parser.add_argument("--double", action="store_true", help="build each notebook twice in memory and compare the bytes")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    try:
        chosen = sources(options.root, options.names)
        if options.double:
            problems = [line for path in chosen for line in double_build(path)]
        else:
            for path in [] if options.check else chosen:
                print(build_one(path, options.root, options.all), flush=True)
            if not options.check and not options.names:
                write_record(options.root, read_record(options.root))
            problems = repository_problems(options.root, options.names)
    except (BuildError, SourceError) as error:
        print(f"Build stopped. {error}", file=sys.stderr)
        return 1
    for line in problems:
        print(line, file=sys.stderr)
    if not problems:
        print(f"{len(chosen)} sources: no problems found.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
