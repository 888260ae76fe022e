"""The build: source -> executed notebooks and exercises, in a fresh kernel, the same bytes twice, nothing half-written."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from rlcourse.authoring import build
from rlcourse.authoring.execute import WIDGET_TEXT, BuildError, execute
from rlcourse.authoring.notebooks import code_cells, output_texts, read
from rlcourse.authoring.sources import exercise_from, read_source

ROOT = Path(__file__).resolve().parents[1]

LECTURE = '''# %% [markdown] slideshow={"slide_type": "slide"}
# # A small lecture

# %% tags=["imports"]
import sys
import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

# %% tags=["figure"] alt="A line through seeded noise." rows=["S0-1:N"]
plt.plot(np.random.default_rng(0).normal(size=20));

# %% tags=["widget"]
ipywidgets.interact(lambda x: print(x), x=(0.0, 1.0));

# %%
for _ in tqdm(range(3)):
    pass
print(hash("a string"), {"a", "set", "of", "words"})
'''
SOLUTIONS = '''# %% [markdown]
# # Exercises

# %% exercise="1.1" tags=["exercise"]
def square(x):
    """x times x"""
    ### BEGIN SOLUTION
    result = x * x * 1.0
    return result
    ### END SOLUTION

# %% tags=["solution-only"]
print("an alternative:", square(3) == 9)

# %%
try:
    print(square(2) == 4)
except NotImplementedError as error:
    print("not attempted yet:", error)
'''


def write(root: Path, folder: str, name: str, text: str) -> Path:
    path = root / folder / "source" / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def shown(root: Path, text: str) -> str:
    """What a one-cell lecture shows when it is built."""
    book = read_source(write(root, "notebooks", "99_probe", f"# %%\n{text}\n"))
    execute(book, "probe")
    return "".join(output_texts(book.cells[0]))


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("course")
    write(root, "notebooks", "01_small", LECTURE)
    write(root, "solutions", "01_small", SOLUTIONS)
    assert build.main(["--root", str(root)]) == 0
    return root


def test_everything_built_passes_every_check(course):
    assert build.repository_problems(course) == []
    assert {str(path.relative_to(course)) for path in course.rglob("*.*") if path.suffix != ".py"} == {
        "notebooks/01_small.ipynb", "notebooks/build.json", "solutions/01_small.ipynb", "exercises/01_small.ipynb"}  # and no temporary file


def test_two_builds_write_the_same_bytes(course):
    source = course / "notebooks" / "source" / "01_small.py"
    assert build.render(source)[0] == (course / "notebooks" / "01_small.ipynb").read_text(encoding="utf-8")


def test_a_notebook_that_differs_between_builds_is_named(tmp_path):
    source = write(tmp_path, "notebooks", "01_clock", "# %%\nprint(1)\n\n# %%\nimport time\nprint(time.time_ns())\n")
    (problem,) = build.double_build(source)
    assert "notebooks/01_clock" in problem and "(import time)" in problem and "print(1)" not in problem
    assert build.main(["--double", "--root", str(tmp_path)]) == 1


def test_widgets_leave_a_sentence_and_no_state(course):
    text = (course / "notebooks" / "01_small.ipynb").read_text(encoding="utf-8")
    book = read(course / "notebooks" / "01_small.ipynb")
    assert "widgets" not in book.metadata and "widget-view" not in text and "model_id" not in text
    widget = next(cell for cell in code_cells(book) if "widget" in cell.metadata.tags)
    assert [output.data["text/plain"] for output in widget.outputs if "data" in output] == [WIDGET_TEXT]
    assert "nbval-ignore-output" in widget.metadata.tags


def test_progress_bars_and_timing_are_not_stored(course, tmp_path):
    book = read(course / "notebooks" / "01_small.ipynb")
    assert all("execution" not in cell.metadata for cell in book.cells)
    assert {output.name for cell in code_cells(book) for output in cell.outputs if "name" in output} == {"stdout"}
    bar = 'import sys\nprint("\\r 50%|#####     | 1/2 [00:00<00:00, 3.0it/s]", file=sys.stderr)\n'
    assert shown(tmp_path, bar + 'print("epoch 1\\repoch 2")') == "epoch 2\n"
    assert "careful" in shown(tmp_path, 'import sys\nprint("careful", file=sys.stderr)')  # a warning is not progress: the checks must see it


def test_figures_carry_their_alt_text(course):
    figure = next(cell for cell in code_cells(read(course / "notebooks" / "01_small.ipynb")) if "figure" in cell.metadata.get("tags", []))
    assert figure.outputs[0].metadata["image/png"]["alt"] == figure.metadata.alt == "A line through seeded noise."


def test_exercises_keep_ids_and_lose_solutions(course):
    solution, exercise = read(course / "solutions" / "01_small.ipynb"), read(course / "exercises" / "01_small.ipynb")
    assert [cell.id for cell in exercise.cells] == [cell.id for cell in solution.cells if "solution-only" not in cell.metadata.get("tags", [])]
    assert exercise_from(solution) == exercise  # made from an executed solution it would be the same: no output travels
    assert exercise.metadata.generated_from == "solutions/source/01_small.py"
    assert exercise.cells[1].source == 'def square(x):\n    """x times x"""\n    raise NotImplementedError("1.1: your code here")'
    execute(exercise, "exercise")
    assert "not attempted yet: 1.1: your code here" in "".join(output_texts(exercise.cells[-1]))


def test_the_record_holds_cpu_seconds_and_the_source(course):
    record = build.read_record(course)
    assert list(record) == ["notebooks/01_small", "solutions/01_small"]
    entry = record["notebooks/01_small"]
    assert 0.1 < entry["cpu_seconds"] < 60 and 20 < entry["peak_memory_mb"] < 4000
    assert entry["source_sha256"] == build.source_hash(course / "notebooks" / "source" / "01_small.py")


def test_cpu_seconds_count_the_work_of_cells_and_their_children(tmp_path):
    burn = "import time\nend = time.process_time() + 1.0\nwhile time.process_time() < end: pass"
    child = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}], check=True)"
    book = read_source(write(tmp_path, "notebooks", "01_burn", f"# %%\n{burn}\n\n# %%\n{child}\n\n# %%\ntime.sleep(2)\n"))
    usage = execute(book, "burn")
    assert 2.0 < usage["cpu_seconds"] < 3.9 and usage["wall_seconds"] > 4.0 and len(book.cells) == 3


def test_only_what_changed_is_built_again(course, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(course, root)
    source, folder = root / "solutions" / "source" / "01_small.py", root / "solutions"
    assert "up to date" in build.build_one(source, root)
    assert "built in" in build.build_one(source, root, force=True)
    text = (folder / "01_small.ipynb").read_text(encoding="utf-8")
    (folder / "01_small.ipynb").write_text(text.replace("an alternative", "by hand"), encoding="utf-8")  # a generated file edited by hand
    assert "built in" in build.build_one(source, root) and (folder / "01_small.ipynb").read_text(encoding="utf-8") == text
    (folder / "01_small.ipynb").write_text("<<<<<<< HEAD", encoding="utf-8")  # a merge conflict
    assert any("cannot be read" in line for line in build.repository_problems(root))
    assert "built in" in build.build_one(source, root)
    source.write_text(source.read_text(encoding="utf-8").replace("# # Exercises", "# # Tasks"), encoding="utf-8")
    stale = build.repository_problems(root)
    assert any("source changed" in line for line in stale) and any(line.startswith("exercises/01_small.ipynb: cell 0 (# Tasks)") for line in stale)
    assert build.main(["--check", "--root", str(root)]) == 1
    assert build.main(["solutions/01", "--root", str(root)]) == 0 and build.repository_problems(root) == []
    source.write_text(source.read_text(encoding="utf-8") + "\n\n", encoding="utf-8")  # the same cells from another text: the record must follow
    assert "built in" in build.build_one(source, root) and build.repository_problems(root) == []


def test_a_failing_cell_stops_the_build_and_writes_nothing(course, tmp_path, capsys):
    root = tmp_path / "copy"
    shutil.copytree(course, root)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and path.suffix != ".py"}
    write(root, "notebooks", "01_small", LECTURE.replace("import matplotlib.pyplot as plt\n", ""))
    assert build.main(["notebooks", "--root", str(root)]) == 1
    message = capsys.readouterr().err
    cell = read_source(root / "notebooks" / "source" / "01_small.py").cells[2]
    assert "notebooks/01_small" in message and cell.id in message and "plt.plot" in message and "NameError" in message
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and path.suffix != ".py"} == before


def test_a_kernel_that_dies_is_reported(tmp_path):
    with pytest.raises(BuildError, match=r"probe, cell \w+ \(import os\) ended its kernel"):
        shown(tmp_path, "import os\nos._exit(1)")


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "book.ipynb"
    build.write_atomically(path, "old")

    def full(*_):
        raise OSError("No space left on device")
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        build.write_atomically(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_the_kernel_is_this_interpreter_and_is_pinned(tmp_path, monkeypatch):
    """Other kernels called python3, a personal IPython profile, matplotlibrc or thread settings must not reach the lectures."""
    kernel = tmp_path / "kernels" / "python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(json.dumps({"argv": ["/bin/false", "{connection_file}"], "display_name": "wrong", "language": "python"}))
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("personal = True")
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 77")
    for key, value in {"JUPYTER_PATH": tmp_path, "IPYTHONDIR": tmp_path / "ipython", "MATPLOTLIBRC": tmp_path, "OMP_NUM_THREADS": 2,
                       "MPLBACKEND": "Agg", "PYTHONHASHSEED": 7, "PYTHONWARNINGS": "error"}.items():
        monkeypatch.setenv(key, str(value))
    facts = ("import os, sys, warnings, torch, matplotlib\nwarnings.filterwarnings('ignore')\n"
             "[sys.executable, torch.get_num_threads(), matplotlib.rcParams['lines.linewidth'], matplotlib.get_backend(), hash('a'), os.listdir(), "
             "os.environ['OMP_NUM_THREADS'], 'personal' in globals()]")
    first = eval(shown(tmp_path, facts))
    assert first[:3] == [sys.executable, 1, 1.5] and "inline" in first[3] and first[5:] == [[], "1", False]
    monkeypatch.setenv("PYTHONHASHSEED", "8")
    assert eval(shown(tmp_path, "hash('a')")) == first[4]


def test_names_select_notebooks(course):
    labels = [build.label(path) for path in build.sources(course, ["01"])]
    assert labels == ["notebooks/01_small", "solutions/01_small"]
    assert [build.label(path) for path in build.sources(course, ["exercises/01_small.ipynb"])] == ["solutions/01_small"]
    with pytest.raises(build.SourceError, match=r"'02'.*notebooks/01_small"):
        build.sources(course, ["02"])


def test_notebooks_without_source_are_reported(course, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(course, root)
    shutil.copy(root / "notebooks" / "01_small.ipynb", root / "exercises" / "02_stray.ipynb")
    (root / "notebooks" / "source" / "01_small.py").unlink()
    problems = build.repository_problems(root)
    assert sorted(line.split()[0] for line in problems if ".ipynb has no source" in line) == ["exercises/02_stray.ipynb", "notebooks/01_small.ipynb"]
    assert any("build.json names notebooks/01_small" in line for line in problems)
    build.write_record(root, build.read_record(root))
    assert list(build.read_record(root)) == ["solutions/01_small"]


def test_jupyterlab_pairs_the_notebook_with_its_source(course, tmp_path):
    """jupytext's own contents manager, as JupyterLab uses it: opening reads the source, saving writes both, and a build is not a conflict."""
    from jupytext import TextFileContentsManager

    root = tmp_path / "copy"
    shutil.copytree(course, root)
    for folder in build.FOLDERS:
        shutil.copy(ROOT / folder / "jupytext.toml", root / folder)
        source = root / folder / "source" / "01_small.py"
        text = source.read_text(encoding="utf-8")
        manager = TextFileContentsManager(root_dir=str(root))
        model = manager.get(f"{folder}/01_small.ipynb")
        assert any(cell.get("outputs") for cell in model["content"]["cells"])
        manager.save(model, f"{folder}/01_small.ipynb")
        assert source.read_text(encoding="utf-8").replace(', "nbval-ignore-output"', "") == text
        model["content"]["cells"][0]["source"] = "# Edited in JupyterLab"
        manager.save(model, f"{folder}/01_small.ipynb")
        assert "# # Edited in JupyterLab" in source.read_text(encoding="utf-8")
