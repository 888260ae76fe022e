"""`rlcourse flatten sac`: one file that needs nothing of rlcourse, cut out of the package's own source.

The text is the package's, statement by statement, comments and equation tags included; only what is used is kept, lower modules first. Two things are
changed: imports of rlcourse go, and a name read through a module, such as `eq.sac_target`, becomes the name itself. The loop at the end is TAIL.
"""

import ast
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib.metadata import version
from pathlib import Path

import rlcourse

PACKAGE = Path(__file__).resolve().parents[1]
TRAIN = "rlcourse.train"
NEEDED = ("torch", "numpy", "gymnasium", "mujoco")

HEADER = '''"""{agent} in one file, with its equations, networks, replay and loop.

Made by `rlcourse flatten {name}` from rlcourse {versions}.
It needs torch, numpy and gymnasium (mujoco too for HalfCheetah-v5), and nothing of rlcourse. Same seeds, same bits as `rlcourse train {name}`:

    python {name}.py --env {env} --seeds 0 1 2 --steps 4000 > rows.csv

Numbers such as [13.9] are equation tags of the lectures.
"""
'''

TAIL = '''
def main() -> None:
    """Train on the command line's environment and print what was measured, one row a line: seed, step, metric, value."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--env", default="{env}")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a field of {agent}Config, such as hidden=(64,64)")
    for name, usual in (("--steps", 4000), ("--evaluate-every", 5000), ("--eval-episodes", 5), ("--log-every", 1000)):
        parser.add_argument(name, type=int, default=usual)
    args = parser.parse_args()
    settings = {{name: ast.literal_eval(value) for name, value in (assignment.split("=", 1) for assignment in args.set)}}
    run = Run({agent}, {agent}Config(**settings), args.env, args.seeds, args.steps, choose_device(args.device))
    print(",".join(Row._fields))
    while run.step < args.steps:
        before = list(run.clocks)
        rows = in_order(run, run.advance() + measured(run, before, vars(args)), args.steps)
        print("".join(csv_line(row) for row in rows), end="", flush=bool(rows))
    run.close()


if __name__ == "__main__":
    main()
'''
TAIL_IMPORTS = {("ast", "ast", None), ("argparse", "argparse", None)}
ALWAYS = ("forward", "__")  # methods that are called without being named: PyTorch's forward, Python's own


class FlattenError(ValueError):
    """The agent does not exist, or its source uses something that one file cannot express; the message says what."""


@dataclass
class Source:
    """One module of the package, read and not run, with what its top-level names mean.

    own: name -> the statement that makes it.   outside: name -> (module, name there, or None for the module itself).
    modules: alias -> module of the package.    borrowed: name -> (module of the package, name there).
    """

    name: str
    lines: list[bytes]
    own: dict[str, ast.stmt] = field(default_factory=dict)
    outside: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    borrowed: dict[str, tuple[str, str]] = field(default_factory=dict)


Unit = tuple[str, str, str]  # module, top-level name, and a method's name, or "" for the statement without its methods


def flatten(agent: str) -> str:
    """The text of one runnable Python file: header, imports, everything the agent and its loop use, and a small command line.

    Its rows equal those of `rlcourse.train.train` with the same seeds and settings, bit for bit.
    Errors: FlattenError for an unknown agent (the message lists those there are), or for two modules that give one name two meanings.
    """
    known = sorted(path.stem for path in (PACKAGE / "agents").glob("[a-z]*.py"))
    if agent not in known:
        near = get_close_matches(agent.lower(), known, n=1)
        raise FlattenError(f"no agent is called {agent!r}. {f'Did you mean {near[0]}? ' if near else ''}There is: {', '.join(known)}.")
    name, module = agent.replace("_", "").upper(), f"rlcourse.agents.{agent}"
    says = {word: statement for statement in read(module).own[name].body for word in _made(statement)}
    loop = "rlcourse.on_policy" if "rollout" in says else "rlcourse.off_policy"     # as rlcourse.train chooses it
    env = "CartPole-v1" if "actions" in says and says["actions"].value.value != "continuous" else "Pendulum-v1"
    tail = TAIL.format(agent=name, env=env)
    roots = [(module, name), (module, f"{name}Config"), ("rlcourse.stats", "csv_line"), (loop, "Run")]
    roots += [(TRAIN, word) for word in sorted(_names(ast.parse(tail)) - {"Run"}) if word in read(TRAIN).own or word in read(TRAIN).borrowed]
    units = needed(roots, ast.parse(tail))
    versions = ", ".join([f"{rlcourse.__version__}, Python {platform.python_version()}", *(f"{name} {version(name)}" for name in NEEDED)])
    return HEADER.format(agent=name, name=agent, env=env, versions=versions) + "\n" + written(units, roots) + "\n" + tail


@cache
def read(module: str) -> Source:
    """Read a module of the package, such as 'rlcourse.nets', and sort its top-level names."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    text = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
    source = Source(module, text.encode().split(b"\n"))
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            _sort_import(source, statement)
        for name in _made(statement):
            source.own.setdefault(name, statement)
    return source


def _made(statement: ast.stmt) -> list[str]:
    """The names that a top-level statement binds."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target] if isinstance(statement, ast.AnnAssign) else []
    return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]


def _sort_import(source: Source, statement: ast.Import | ast.ImportFrom) -> None:
    for alias in statement.names:
        name = alias.asname or alias.name
        if isinstance(statement, ast.Import):
            source.outside[name] = (alias.name, None)
        elif not (statement.module or "").startswith("rlcourse"):
            source.outside[name] = (statement.module or "", alias.name)
        elif _is_module(f"{statement.module}.{alias.name}"):
            source.modules[name] = f"{statement.module}.{alias.name}"
        else:
            source.borrowed[name] = (statement.module, alias.name)


def _is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def needed(roots: list[tuple[str, str]], start: ast.AST) -> set[Unit]:
    """Every statement and method that the roots use, directly or not. A method is used if any kept code has `.method`, on whatever object."""
    found: set[Unit] = set()
    spoken = {node.attr for node in ast.walk(start) if isinstance(node, ast.Attribute)}
    waiting = [(*_home(*root), "") for root in roots]
    while waiting:
        unit = waiting.pop()
        if unit not in found:
            found.add(unit)
            nodes = list(_nodes(unit))
            spoken |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
            waiting += [(*place, "") for place in _uses(read(unit[0]), nodes)]
        if not waiting:
            owners = [(module, name) for module, name, method in found if not method]
            live = {(module, name, method) for module, name in owners for method in _methods(read(module).own[name]) if method in spoken}
            waiting = list(live - found)
    return found


def _nodes(unit: Unit) -> Iterator[ast.AST]:
    """The syntax tree of a unit; for a class, without the methods that are units of their own."""
    statement = read(unit[0]).own[unit[1]]
    methods = _methods(statement)
    waiting: list[ast.AST] = [methods[unit[2]] if unit[2] else statement]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [child for child in ast.iter_child_nodes(node) if unit[2] or child not in methods.values()]


def _methods(statement: ast.stmt) -> dict[str, ast.FunctionDef]:
    """The methods of a class that can be left out if nothing names them."""
    inside = statement.body if isinstance(statement, ast.ClassDef) else []
    return {node.name: node for node in inside if isinstance(node, ast.FunctionDef) and not node.name.startswith(ALWAYS)}


def _uses(source: Source, nodes: list[ast.AST]) -> Iterator[tuple[str, str]]:
    """(module, name) of every top-level name of the package that these nodes read."""
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom) and "rlcourse" in ast.unparse(node):
            raise FlattenError(f"{source.name}:{node.lineno} imports inside a function; move `{ast.unparse(node)}` to the top of the file.")
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in source.modules:
            yield _home(source.modules[node.value.id], node.attr)
        for name in _names(node, deep=False):
            if name in source.own or name in source.borrowed:
                yield _home(source.name, name)


def _home(module: str, name: str) -> tuple[str, str]:
    """Where a name is made, followed through re-exports."""
    source = read(module)
    if name in source.own:
        return module, name
    if name in source.borrowed:
        return _home(*source.borrowed[name])
    raise FlattenError(f"{module} has no top-level statement that makes {name!r}, so it cannot be written into one file.")


def _names(tree: ast.AST, deep: bool = True) -> set[str]:
    """Names that are read, and annotations written as strings, such as "History"."""
    nodes = list(ast.walk(tree)) if deep else [tree]
    notes = [note for node in nodes for note in (getattr(node, "annotation", None), getattr(node, "returns", None)) if isinstance(note, ast.Constant)]
    return {node.id for node in nodes if isinstance(node, ast.Name)} | {note.value for note in notes if isinstance(note.value, str)}


def written(units: set[Unit], roots: list[tuple[str, str]]) -> str:
    """Imports, then each module's share under a line that names where it comes from, in the module's own order."""
    _require_one_meaning(units)
    parts = [_imports(units)]
    for module in _lower_first(roots):
        source = read(module)
        kept = {id(source.own[name]): source.own[name] for home, name, method in units if home == module and not method}
        title, text, before = f"# {'-' * 20} {module.replace('.', '/')}.py {'-' * 20}\n\n", "", None
        for statement in sorted(kept.values(), key=lambda statement: statement.lineno):
            close = isinstance(before, ast.Assign | ast.AnnAssign) and isinstance(statement, ast.Assign | ast.AnnAssign)
            text += ("\n" if close else "\n\n\n") * (before is not None) + _text(source, statement, units)
            before = statement
        parts += [title + text] if text else []
    return "\n\n\n".join(parts) + "\n"


def _lower_first(roots: list[tuple[str, str]]) -> list[str]:
    order: list[str] = []

    def visit(module: str) -> None:
        source = read(module)
        for other in [*source.modules.values(), *(home for home, _ in source.borrowed.values())]:
            if other not in order and other != module:
                visit(other)
        if module not in order:
            order.append(module)

    for module, _ in roots:
        visit(module)
    return order


def _text(source: Source, statement: ast.stmt, units: set[Unit]) -> str:
    """The statement as it is written, with the comments above it, without methods that nothing uses; `eq.sac_target` becomes `sac_target`."""
    lines = list(source.lines)
    through = [node for node in ast.walk(statement) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    for node in sorted(through, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        if node.value.id in source.modules:
            _require_not_shadowed(statement, node, source)
            line = lines[node.lineno - 1]
            lines[node.lineno - 1] = line[: node.col_offset] + node.attr.encode() + line[node.end_col_offset :]
    first, last = _extent(source, statement)
    dropped: set[int] = set()
    for name, method in _methods(statement).items():
        if (source.name, statement.name, name) not in units:
            begin, end = _extent(source, method)
            dropped |= set(range(begin, end + (end < last and not lines[end].strip())))
    return b"\n".join(lines[row] for row in range(first, last) if row not in dropped).rstrip().decode()


def _extent(source: Source, statement: ast.stmt) -> tuple[int, int]:
    """Rows [first, last) of a statement with its decorators and the comments directly above it."""
    first = min([statement.lineno, *(decorator.lineno for decorator in getattr(statement, "decorator_list", []))]) - 1
    while first > 0 and source.lines[first - 1].strip().startswith(b"#"):
        first -= 1
    return first, statement.end_lineno


def _require_not_shadowed(statement: ast.stmt, node: ast.Attribute, source: Source) -> None:
    bound = {inner.id for inner in ast.walk(statement) if isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Load)}
    if node.attr in bound | {inner.arg for inner in ast.walk(statement) if isinstance(inner, ast.arg)}:
        raise FlattenError(f"{source.name}:{node.lineno} reads {ast.unparse(node)} and has a variable {node.attr!r} too: rename the variable.")


def _outside(unit: Unit) -> set[tuple[str, str, str | None]]:
    """(name, module, name there) of the outside imports that a unit uses; `import a.b` is used through the name a."""
    names = {name for node in _nodes(unit) for name in _names(node, deep=False)}
    return {(name, *target) for name, target in read(unit[0]).outside.items() if name.split(".")[0] in names}


def _require_one_meaning(units: set[Unit]) -> None:
    """One file has one name space."""
    meaning: dict[str, str] = {}
    made = [(name, home) for home, name, method in sorted(units) if not method]
    made += [(name, f"`{module} {there or ''}`".replace(" `", "`")) for unit in sorted(units) for name, module, there in _outside(unit)]
    for name, home in made:
        if meaning.setdefault(name, home) != home:
            raise FlattenError(f"{name!r} is made by {meaning[name]} and by {home}, and one file holds one of them: rename one in the package.")


def _imports(units: set[Unit]) -> str:
    found = TAIL_IMPORTS.union(*map(_outside, units))
    whole = {f"import {module}" if name == module else f"import {module} as {name}" for name, module, there in found if there is None}
    named: dict[str, set[str]] = {}
    for name, module, there in found:
        if there is not None:
            named.setdefault(module, set()).add(there if name == there else f"{there} as {name}")
    return "\n".join([*sorted(whole), *(f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(named.items()))])
