"""The rules that keep the package readable, held by reading its source: layers, sizes, purity, names, docstrings.

Every rule is a function from source text to complaints, so that each is also tested on a planted offence: a rule that cannot complain is no rule.
"""

import ast
import re
from pathlib import Path

import pytest

from rlcourse.authoring import equation_index

COURSE = Path(__file__).resolve().parents[1]
PACKAGE = sorted(path.relative_to(COURSE).as_posix() for path in COURSE.glob("rlcourse/**/*.py"))
PYTHON = PACKAGE + sorted(path.relative_to(COURSE).as_posix() for path in COURSE.glob("tests/**/*.py"))

LAYERS = [  # low to high; a module may import from its own subject and from lower layers, never from a neighbour or from above
    {"types"},
    {"tabular", "equations"},
    {"notation", "nets", "buffers", "envs"},
    {"planning", "models", "bandits", "exploration"},
    {"agents"},
    {"unsupervised", "inverse", "transfer"},
    {"speed"},
    {"compiled"},
    {"stats"},
    {"bootstrap"},
    {"significance"},
    {"checkpoint"},
    {"cluster"},
    {"off_policy", "on_policy", "evaluation"},
    {"train"},
    {"workers"},
    {"bench_peers"},
    {"bench_table"},
    {"bench"},
    {"figures", "widgets", "checks"},
    {"grading", "authoring"},
    {"cli"},
    {"__main__"},
]
NEIGHBOURS = {("widgets", "figures")}  # the only import within a layer: a widget is a thin view over a figure
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
WITHOUT_TAG = {  # numbered by the lectures that derive them, which come later
    "squared_td_error": "the loss of every critic",
    "td_target": "the target of every critic",
    "DiagonalGaussian": "a textbook density",
    "Categorical": "a textbook distribution",
}
TWO_MASKS = {"types", "equations", "tabular", "buffers", "envs", "agents", "off_policy", "on_policy", "evaluation", "train"}
BANNED_NAMES = {"utils", "util", "common", "base", "helpers", "helper", "misc", "registry", "callbacks"}
IMPURE = {"gymnasium", "mujoco", "logging", "random", "os", "sys", "time", "matplotlib", "tqdm", "rich", "torch.optim", "torch.utils"}
GLOBAL_STATE = re.compile(
    r"^(np|numpy)\.random\.(?!Generator$|default_rng$|SeedSequence$|PCG64$)\w+$"
    r"|^torch\.(manual_seed|seed|set_default_device|set_default_dtype|set_num_threads|device|cuda|optim|save|load)\b"
    r"|\.(cuda|to_device)$|^(print|open|input)$"
)
SAMPLING = re.compile(r"^torch\.(randn?|randint|randperm|normal|bernoulli|multinomial|poisson|randn?_like)$|\.(normal_|uniform_|exponential_)$")


def subject(path: str) -> str:
    """The layer name of a file: rlcourse/agents/sac.py -> agents, rlcourse/nets.py -> nets, rlcourse/__init__.py -> ''."""
    parts = path.removesuffix(".py").split("/")[1:]
    return "" if parts == ["__init__"] else parts[0]


def course_imports(path: str, source: str) -> list[str]:
    """Dotted names below rlcourse that a source imports, at the top or inside functions: 'nets', 'agents.sac', 'equations.returns'."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            package = path.split("/")[: -node.level] if node.level else []
            module = ".".join([*package, *([node.module] if node.module else [])])
            found += [f"{module}.{alias.name}" for alias in node.names]
    return [name.removeprefix("rlcourse.") for name in found if name.startswith("rlcourse.")]


def layer_complaints(path: str, source: str) -> list[str]:
    here = subject(path)
    if here and here not in RANK:
        return [f"{path} belongs to no layer: place {here!r} in LAYERS"]
    wrong = []
    for name in course_imports(path, source):
        other = name.split(".")[0]
        lower = here != "" and other in RANK and RANK[other] < RANK[here]
        if not (lower or other == "__version__" or (here, other) in NEIGHBOURS or other == here != "agents"):
            wrong.append(f"{path} imports rlcourse.{name}, which is not below it")
    return wrong


def size_complaints(path: str, source: str) -> list[str]:
    lines = len(source.splitlines())
    wrong = [f"{path} has {lines} lines, more than 300"] if lines > 300 else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (length := node.end_lineno - node.lineno + 1) > 40:
            wrong.append(f"{path}:{node.lineno} {node.name} has {length} lines, more than 40")
    return wrong


def purity_complaints(path: str, source: str) -> list[str]:
    """Imports and calls that a pure module may not have. Generators that are passed in are fine; the global ones are not."""
    tree, wrong = ast.parse(source), []
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        wrong += [f"{path}:{node.lineno} imports {name}" for name in names if name in IMPURE or name.split(".")[0] in IMPURE]
        if isinstance(node, ast.Call) and GLOBAL_STATE.search(ast.unparse(node.func)):
            wrong.append(f"{path}:{node.lineno} calls {ast.unparse(node.func)}")
        if isinstance(node, ast.Call) and _draws_globally(node):
            wrong.append(f"{path}:{node.lineno} draws from the global generator: {ast.unparse(node)}")
    return wrong


def _draws_globally(call: ast.Call) -> bool:
    """A torch sampling function without its generator."""
    return bool(SAMPLING.search(ast.unparse(call.func))) and not any(word.arg == "generator" for word in call.keywords)


def public_functions(tree: ast.Module) -> list[ast.FunctionDef | ast.ClassDef]:
    return [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")]


def docstring_complaints(path: str, source: str) -> list[str]:
    """Every public function and class of the package says what it does."""
    tree = ast.parse(source)
    wrong = [] if ast.get_docstring(tree) or not tree.body else [f"{path} has no docstring"]
    return wrong + [f"{path}:{node.lineno} {node.name} has no docstring" for node in public_functions(tree) if not ast.get_docstring(node)]


def shape_complaints(path: str, source: str) -> list[str]:
    """Every public equation function says the shapes of what it takes: (..., T, B), (B,), (*copies, batch, A), scalar, ..."""
    wrong = []
    for node in public_functions(ast.parse(source)):
        text = " ".join(ast.get_docstring(inner) or "" for inner in ast.walk(node) if isinstance(inner, ast.FunctionDef | ast.ClassDef))
        if not node.name.endswith("Error") and not re.search(r"\((\.\.\.|\*?\w+,|\*\w+)[^()]*\)|\bscalar|\bshape", text):
            wrong.append(f"{path}:{node.lineno} {node.name} does not say its shapes")
    return wrong


def name_complaints(path: str) -> list[str]:
    return [f"{path}: {part!r} says nothing about its content" for part in path.removesuffix(".py").split("/") if part in BANNED_NAMES]


def done_complaints(path: str, source: str) -> list[str]:
    """Two masks, never `done`: terminated stops bootstrapping, terminated | truncated ends the sum."""
    names = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    names |= {node.arg for node in ast.walk(ast.parse(source)) if isinstance(node, ast.arg)}
    return [f"{path} uses the name {name!r}: say terminated or truncated" for name in sorted(names & {"done", "dones", "not_done"})]


def direct_import_complaints(path: str, source: str) -> list[str]:
    """Agents read an equation function through its module, or `using` could not replace it."""
    return [f"{path} imports the function rlcourse.{name}; import its module and write module.{name.split('.')[-1]}"
            for name in course_imports(path, source) if re.fullmatch(r"equations\.\w+\.[a-z]\w*", name)]


def read(path: str) -> str:
    return (COURSE / path).read_text()


def listed(rule, paths) -> str:
    """All complaints of a rule over files, one a line; empty when there is none."""
    return "\n".join(complaint for path in paths for complaint in rule(path, read(path)))


def test_the_package_is_read():
    assert "rlcourse/cli.py" in PACKAGE and "tests/test_rules.py" in PYTHON


@pytest.mark.parametrize(
    ("rule", "paths"),
    [
        (layer_complaints, PACKAGE),
        (size_complaints, PYTHON),
        (purity_complaints, [path for path in PACKAGE if subject(path) in ("equations", "tabular") and not path.endswith("__init__.py")]),
        (docstring_complaints, [path for path in PACKAGE if not path.startswith("rlcourse/checks/lecture_")]),  # there the Exercise holds the text
        (shape_complaints, [path for path in PACKAGE if subject(path) == "equations" and not path.endswith("__init__.py")]),
        (done_complaints, [path for path in PACKAGE if subject(path) in TWO_MASKS]),
        (direct_import_complaints, [path for path in PACKAGE if subject(path) == "agents"]),
        (lambda path, source: name_complaints(path), PYTHON),
    ],
    ids=["layers", "sizes", "purity", "docstrings", "shapes", "two-masks", "equations-through-modules", "names"],
)
def test_every_file_keeps_the_rule(rule, paths):
    assert listed(rule, paths) == ""


@pytest.mark.parametrize(
    ("rule", "path", "offence", "says"),
    [
        (layer_complaints, "rlcourse/nets.py", "from rlcourse.agents import sac", "agents.sac"),
        (layer_complaints, "rlcourse/nets.py", "def f():\n    import rlcourse.train", "train"),
        (layer_complaints, "rlcourse/nets.py", "from rlcourse import buffers", "buffers"),
        (layer_complaints, "rlcourse/nets.py", "from .train import train", "train.train"),
        (layer_complaints, "rlcourse/equations/returns.py", "from ..nets import MLP", "nets.MLP"),
        (layer_complaints, "rlcourse/agents/ppo.py", "from rlcourse.agents import sac", "agents.sac"),
        (layer_complaints, "rlcourse/agents/ppo.py", "from .sac import SAC", "agents.sac.SAC"),
        (layer_complaints, "rlcourse/figures/lecture_13a.py", "from rlcourse import widgets", "widgets"),
        (layer_complaints, "rlcourse/__init__.py", "from rlcourse.train import train", "train.train"),
        (layer_complaints, "rlcourse/tricks.py", "", "no layer"),
        (size_complaints, "rlcourse/nets.py", "x = 1\n" * 301, "301 lines"),
        (size_complaints, "rlcourse/nets.py", "def f():\n" + "    x = 1\n" * 40, "f has 41 lines"),
        (purity_complaints, "rlcourse/equations/returns.py", "import gymnasium as gym", "gymnasium"),
        (purity_complaints, "rlcourse/equations/returns.py", "from torch.optim import Adam", "torch.optim"),
        (purity_complaints, "rlcourse/equations/returns.py", "from torch import optim", "torch.optim"),
        (purity_complaints, "rlcourse/equations/returns.py", "np.random.normal(3)", "np.random.normal"),
        (purity_complaints, "rlcourse/equations/returns.py", "eps = torch.randn(3)", "global generator"),
        (purity_complaints, "rlcourse/equations/returns.py", "x = torch.zeros(3).normal_()", "global generator"),
        (purity_complaints, "rlcourse/equations/returns.py", "x = y.cuda()", "cuda"),
        (purity_complaints, "rlcourse/equations/returns.py", "print(3)", "print"),
        (docstring_complaints, "rlcourse/nets.py", '"""Nets."""\ndef polyak(): ...', "polyak"),
        (docstring_complaints, "rlcourse/nets.py", "x = 1", "no docstring"),
        (shape_complaints, "rlcourse/equations/returns.py", 'def gae():\n    """Advantage (see there)."""', "gae"),
        (done_complaints, "rlcourse/buffers.py", "def add(done): ...", "done"),
        (direct_import_complaints, "rlcourse/agents/sac.py", "from rlcourse.equations.max_entropy import sac_target", "sac_target"),
        (lambda path, source: name_complaints(path), "rlcourse/agents/utils.py", "", "utils"),
    ],
)
def test_a_planted_offence_is_seen(rule, path, offence, says):
    complaints = rule(path, offence)
    assert len(complaints) >= 1 and says in complaints[0]


@pytest.mark.parametrize(
    ("rule", "path", "fine"),
    [
        (layer_complaints, "rlcourse/agents/sac.py", "from rlcourse import nets\nfrom rlcourse.equations import max_entropy as eq\nimport torch"),
        (layer_complaints, "rlcourse/notation/worlds.py", "from rlcourse.notation.expressions import Symbol\nfrom .expressions import log"),
        (layer_complaints, "rlcourse/widgets/lecture_13a.py", "from rlcourse.figures import lecture_13a"),
        (layer_complaints, "rlcourse/cli.py", "def f():\n    from rlcourse.train import train"),
        (purity_complaints, "rlcourse/equations/returns.py", "import numpy as np\nimport torch\neps = torch.randn(3, generator=generator)"),
        (purity_complaints, "rlcourse/equations/returns.py", "rng = np.random.default_rng(0)"),
        (shape_complaints, "rlcourse/equations/returns.py", 'def gae():\n    """rewards: (..., T, B)."""'),
        (direct_import_complaints, "rlcourse/agents/sac.py", "from rlcourse.equations import max_entropy as eq"),
        (direct_import_complaints, "rlcourse/agents/sac.py", "from rlcourse.equations.distributions import TanhGaussian"),
    ],
)
def test_what_is_allowed_is_not_complained_about(rule, path, fine):
    assert rule(path, fine) == []


def test_an_equation_function_has_one_home():
    """`using(gae=...)` and a reader both look a name up once."""
    homes: dict[str, list[str]] = {}
    for place, name, _ in equation_index.equation_functions(COURSE):
        homes.setdefault(name, []).append(place)
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


def test_every_equation_has_a_tag():
    """WITHOUT_TAG is exact: an equation that gets its tag leaves the list."""
    untagged = {name for _, name, tags in equation_index.equation_functions(COURSE) if not tags}
    assert untagged == set(WITHOUT_TAG)


def test_every_tag_in_code_is_in_its_lecture_and_every_equation_in_a_test():
    assert "\n".join(equation_index.problems(COURSE)) == ""
