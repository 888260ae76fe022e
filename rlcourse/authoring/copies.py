"""A student's own copies of the lectures and exercises, in my/.

    notebooks/00_orientation.ipynb  -> my/00_orientation.ipynb       the course map
    notebooks/NAME.ipynb            -> my/lectures/NAME.ipynb
    exercises/NAME.ipynb            -> my/exercises/NAME.ipynb        solutions are never copied

A file in my/ is never written twice. When the course brings a newer text of a notebook, it is laid beside the copy as NAME.v2.ipynb, NAME.v3.ipynb
and so on; new outputs of the same text bring nothing. my/.versions.json remembers which text was laid last, and each copy says in its metadata which
one it was made from.
"""

import hashlib
import json
import os
import re
import tempfile
from pathlib import Path
from urllib.parse import quote, unquote

MAP = "00_orientation.ipynb"
RECORD = ".versions.json"
STATE = ".jupyter"  # what Jupyter keeps, below my/
LINK = re.compile(r"""(\]\(\s*|\b(?:src|href)\s*=\s*["'])([^)\s"'#?]+)""")  # Markdown and HTML links and pictures, up to their #fragment


class CopyError(ValueError):
    """Why a copy cannot be made; one line that says what to do."""


def copies(root: Path) -> dict[str, str]:
    """{name of the copy below my/: its source below root}, the map first."""
    lectures = sorted(path.name for path in (root / "notebooks").glob("*.ipynb") if path.name != MAP)
    exercises = sorted(path.name for path in (root / "exercises").glob("*.ipynb"))
    return {
        MAP: f"notebooks/{MAP}",
        **{f"lectures/{name}": f"notebooks/{name}" for name in lectures},
        **{f"exercises/{name}": f"exercises/{name}" for name in exercises},
    }


def digest(notebook: dict) -> str:
    """A hash of what a notebook says: types and sources of its cells, not outputs, counts or ids."""
    said = [[cell["cell_type"], "".join(cell["source"])] for cell in notebook["cells"]]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def versions(my: Path, name: str) -> list[str]:
    """The copies of a notebook that exist, oldest first: NAME.ipynb, NAME.v2.ipynb, ..."""
    stem = name.removesuffix(".ipynb")
    found = [(int(path.name.removesuffix(".ipynb").rpartition(".v")[2]), path) for path in (my / name).parent.glob("*.ipynb")
             if re.fullmatch(re.escape(Path(stem).name) + r"\.v\d+\.ipynb", path.name)]
    first = [name] if os.path.lexists(my / name) else []
    return first + [path.relative_to(my).as_posix() for _, path in sorted(found)]


def next_version(my: Path, name: str) -> str:
    """A name that no copy has and that comes after all that exist."""
    existing = versions(my, name)
    if not existing:
        return name
    stem = name.removesuffix(".ipynb")
    last = re.search(r"\.v(\d+)\.ipynb$", existing[-1]) if existing[-1] != name else None
    return f"{stem}.v{int(last[1]) + 1 if last else 2}.ipynb"


def copied_digest(path: Path) -> str:
    """The text that a copy was made from, as its own metadata says; '' where it does not."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["metadata"]["rlcourse"]["copied_from_text"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def relink(text: str, source: str, copy: str, targets: dict[str, str], root: Path) -> str:
    """The text of a Markdown cell with its relative links made to work in the copy.

    source, copy: where the text comes from and goes to, relative to root. targets: {notebook of the course: its newest copy}. Links to other files of
    the course point to the file itself; links to what does not exist, and absolute ones, stay as they are.
    """

    def moved(match: re.Match[str]) -> str:
        target = unquote(match[2])
        place = os.path.normpath(os.path.join(os.path.dirname(source), target))
        relative = not re.match(r"[a-zA-Z][\w+.-]*:|/", target) and (place in targets or (root / place).exists())
        if not relative or place.startswith(".."):
            return match[0]
        return match[1] + quote(Path(os.path.relpath(targets.get(place, place), os.path.dirname(copy))).as_posix())

    return LINK.sub(moved, text)


def student_copy(notebook: dict, source: str, copy: str, targets: dict[str, str], root: Path) -> dict:
    """The notebook as a student gets it: links that work, no pairing with a source file, its origin in the metadata."""
    metadata = {key: value for key, value in notebook["metadata"].items() if key != "jupytext"}
    metadata["rlcourse"] = {**metadata.get("rlcourse", {}), "copied_from_text": digest(notebook)}
    cells = [
        {**cell, "source": relink("".join(cell["source"]), source, copy, targets, root)} if cell["cell_type"] == "markdown" else cell
        for cell in notebook["cells"]
    ]
    return {**notebook, "metadata": metadata, "cells": cells}


def write_new(path: Path, text: str, replace: bool = False) -> None:
    """Write a file in one step; FileExistsError, and nothing touched, where one is there (unless `replace`)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        if not replace and os.path.lexists(path):
            raise FileExistsError(17, "exists already", str(path))
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def read_record(my: Path) -> tuple[dict[str, str], bool]:
    """({name of a copy: digest of the newest text laid there}, whether the record could be read or was not expected)."""
    if not (my / RECORD).exists():
        return {}, True
    try:
        record = json.loads((my / RECORD).read_text(encoding="utf-8"))
        if isinstance(record, dict) and all(isinstance(value, str) for value in record.values()):
            return record, True
    except (OSError, ValueError):
        pass
    return {}, False


def lay_copies(root: Path) -> list[str]:
    """Bring my/ up to date without touching a file that is there; the lines to print about it."""
    my = root / "my"
    record, readable = read_record(my)
    lines = [] if readable else [f"my/{RECORD} could not be read and is made anew; your notebooks are as they were."]
    notebooks = {name: read_notebook(root / source) for name, source in copies(root).items()}
    texts = {name: digest(notebook) for name, notebook in notebooks.items()}
    newest, due = {}, {}
    for name in notebooks:
        existing = versions(my, name)
        known = record.get(name) == texts[name] or any(copied_digest(my / each) == texts[name] for each in existing)
        newest[name] = existing[-1] if existing and known else next_version(my, name)
        if not (existing and known):
            due[name] = existing
    targets = {source: f"my/{newest[name]}" for name, source in copies(root).items()}
    for name, existing in due.items():
        copy = student_copy(notebooks[name], copies(root)[name], f"my/{newest[name]}", targets, root)
        write_new(my / newest[name], json.dumps(copy, ensure_ascii=False, indent=1) + "\n")
        sign(my / newest[name], my / STATE / "data")
        if existing:
            lines.append(f"my/{newest[name]} is new: the course has a newer text. Your my/{existing[-1]} was not touched.")
    first = sum(not existing for existing in due.values())
    if {**record, **texts} != record:
        write_new(my / RECORD, json.dumps({**record, **texts}, indent=1) + "\n", replace=True)
    return lines + ([f"my/: {first} notebooks copied. They are yours: no update overwrites them."] if first else [])


def read_notebook(path: Path) -> dict:
    """A notebook of the course; CopyError where it is damaged."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        return {**notebook, "metadata": notebook["metadata"], "cells": notebook["cells"]}
    except (ValueError, KeyError, TypeError) as error:
        raise CopyError(f"{path} is not a notebook ({type(error).__name__}). Restore it with `git checkout`, or run `make notebooks`.") from None


def sign(path: Path, data_folder: Path) -> None:
    """Tell the Jupyter of this folder that the copy's outputs are the course's own, so that it shows them before they are run again."""
    import nbformat
    from nbformat.sign import NotebookNotary

    data_folder.mkdir(parents=True, exist_ok=True)
    NotebookNotary(data_dir=str(data_folder)).sign(nbformat.read(path, as_version=4))
