"""nbval runs every lecture and every solution and compares the text of each cell; exercises run too, and nothing is compared.

This is where the course's notebooks are executed in a test run. nbval's blind spots are shown on planted notebooks, with the check for each.
"""

import subprocess
from pathlib import Path

import pytest
from nbformat import v4, write

from rlcourse.authoring import build, notebooks
from rlcourse.authoring.execute import BuildError, execute, pinned_environment

ROOT = Path(__file__).resolve().parents[1]
EXERCISES = [build.exercise_path(path) for path in build.sources(ROOT) if build.label(path).startswith("solutions/")]
GREY, WHITE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==", "aGVsbG8="


def run_nbval(paths: list[Path], scratch: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(notebooks.nbval_command(paths), env=pinned_environment(scratch), cwd=scratch, capture_output=True, text=True)


@pytest.mark.parametrize("source", build.sources(ROOT), ids=build.label)
def test_every_cell_shows_again_what_the_notebook_shows(source, tmp_path):
    done = run_nbval([build.generated(source)], tmp_path)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


@pytest.mark.parametrize("path", EXERCISES, ids=lambda path: path.stem)
def test_an_exercise_runs_from_top_to_bottom_before_anything_is_solved(path):
    execute(notebooks.read(path), path.stem)


def test_an_exercise_that_stops_half_way_is_found():
    book = v4.new_notebook(cells=[v4.new_code_cell("def f():\n    raise NotImplementedError('1.1: your code here')"), v4.new_code_cell("f()")])
    with pytest.raises(BuildError, match=r"\(f\(\)\) raised NotImplementedError"):
        execute(book, "exercise")


SHOW_GREY = f"from IPython.display import Image, display\nimport base64\ndisplay(Image(base64.b64decode('{GREY}')))"
PROGRESS = "import sys, tqdm\nfor _ in tqdm.tqdm(range(2)): pass\nprint(round(2 / 3, 3), sys.flags.hash_randomization)"


def planted(folder: Path, name: str, number: str = "0.667 0\n", image: str = GREY, run: bool = True) -> Path:
    """A notebook of two cells, a printed number and an image, as stored with these outputs."""
    shown = v4.new_output("display_data", data={"image/png": image, "text/plain": "<IPython.core.display.Image object>"})
    cells = [v4.new_code_cell(PROGRESS, id="number", execution_count=1, outputs=[v4.new_output("stream", text=number)]),
             v4.new_code_cell(SHOW_GREY, id="image", execution_count=2, metadata={"tags": ["figure"], "alt": "A grey dot."}, outputs=[shown])]
    if not run:
        cells = [v4.new_code_cell(cell.source, id=cell.id, metadata=cell.metadata) for cell in cells]
    if not image:
        del cells[1].outputs[0].data["image/png"]
    kernel = {"kernelspec": {"name": "no-such-kernel", "display_name": "none"}}  # nbval must use this interpreter all the same
    write(v4.new_notebook(cells=cells, metadata=kernel), folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def test_what_nbval_sees_and_what_it_does_not(tmp_path):
    """A changed number fails. A changed or missing image, and a notebook that was never run, pass: the checks on the right find the last two."""
    honest, number = planted(tmp_path, "honest"), planted(tmp_path, "number", number="0.668 0\n")
    image, gone = planted(tmp_path, "image", image=WHITE), planted(tmp_path, "gone", image="")
    never = planted(tmp_path, "never", run=False)
    done = run_nbval([honest, number, image, gone, never], tmp_path)
    verdicts = {line.split()[1].split("::")[0] + line.rsplit("Cell ", 1)[1][0]: line.split()[0] for line in done.stdout.splitlines()
                if line.startswith(("PASSED", "FAILED"))}
    assert verdicts == {f"{name}.ipynb{cell}": "FAILED" if (name, cell) == ("number", 0) else "PASSED"
                        for name in ("honest", "number", "image", "gone", "never") for cell in (0, 1)}, done.stdout + done.stderr
    assert done.returncode == 1 and "0.668" in done.stdout
    assert [bool(notebooks.figures_missing(notebooks.read(path))) for path in (honest, image, gone)] == [False, False, True]
    assert [bool(notebooks.not_executed(notebooks.read(path))) for path in (honest, image, never)] == [False, False, True]


def test_the_command_never_splits_a_notebook_over_two_kernels():
    paths = [ROOT / "notebooks" / "a.ipynb", ROOT / "notebooks" / "b.ipynb"]
    for workers in (1, 2, 8):
        command = notebooks.nbval_command(paths, workers)
        assert notebooks.nbval_command_problems(command) == [] and [str(path) for path in paths] == command[-2:]
    parallel = notebooks.nbval_command(paths, 2)
    for bad, words in [([word for word in parallel if word not in ("--dist", "loadscope")], "deals the cells"),
                       ([*notebooks.nbval_command(paths), "-n4"], "deals the cells"),
                       ([word for word in parallel if word != "--nbval-current-env"], "whatever kernel"),
                       ([word for word in parallel if word != "--nbval"], "compares nothing")]:
        (problem,) = notebooks.nbval_command_problems(bad)
        assert words in problem
