"""Run a notebook top to bottom in a fresh kernel of this interpreter, with everything pinned that could change its output.

The environment (one thread, one hash seed, the inline backend, no progress bars, no user configuration) is the same for the build and for nbval, so
that what nbval compares was made under the same conditions. The kernel starts in an empty folder: data must come from functions of the package,
because a student's copy of the notebook lives elsewhere and a path relative to `notebooks/` would break there.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import tempfile
import time
from pathlib import Path

import ipykernel.kernelspec
import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from rlcourse.authoring.sources import IGNORED_BY_NBVAL, first_line, tags

CELL_TIMEOUT = 600  # wall seconds; the budget that counts is CPU time, and machines that build are noisy
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
WIDGET_TEXT = "[interactive: run this cell to move the sliders]"
PINNED = {
    "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMEXPR_NUM_THREADS": "1", "PYTHONHASHSEED": "0",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline", "TQDM_DISABLE": "1", "COLUMNS": "100", "LINES": "40", "TZ": "UTC",
}
DROPPED = ("PYTHONWARNINGS", "PYTHONSTARTUP", "PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "FORCE_COLOR", "NO_COLOR",
           "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT")
PROGRESS = re.compile(r"\d+%\|.*\||\d+it \[|it/s[,\]]|s/it[,\]]")  # tqdm's bars
USAGE = """
import json, resource, sys
spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
megabyte = 2**20 if sys.platform == "darwin" else 2**10
print(json.dumps({"cpu_seconds": sum(u.ru_utime + u.ru_stime for u in spent), "peak_memory_mb": max(u.ru_maxrss for u in spent) / megabyte}))
"""


class BuildError(RuntimeError):
    """A notebook that did not run to its end; the message names notebook, cell, first line and exception."""


class ThisInterpreter(KernelSpecManager):
    """Every kernel name means the running interpreter, whatever kernels the machine or the user has installed under that name."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(resource_dir=ipykernel.kernelspec.RESOURCES, **ipykernel.kernelspec.get_kernel_dict())


def pinned_environment(scratch: Path) -> dict[str, str]:
    """The environment of every kernel that builds or validates a notebook. `scratch` holds the throw-away IPython profile."""
    root = str(Path(__file__).resolve().parents[2])
    kept = {key: value for key, value in os.environ.items() if key not in DROPPED}
    python_path = os.pathsep.join([root, *filter(None, [kept.get("PYTHONPATH")])])
    matplotlib = importlib.util.find_spec("matplotlib").submodule_search_locations[0]
    own = {"IPYTHONDIR": str(scratch / "ipython"), "PYTHONPATH": python_path, "MATPLOTLIBRC": str(Path(matplotlib, "mpl-data", "matplotlibrc"))}
    return {**kept, **PINNED, **own}


def execute(book: NotebookNode, name: str) -> dict[str, float]:
    """Execute all code cells of `book` in place, clean their outputs, and return cpu_seconds, wall_seconds and peak_memory_mb of the kernel.

    cpu_seconds is user + system time of the kernel process and its children, imports included, read in the kernel after the last cell.
    Raises BuildError at the first cell that fails, with the notebook's name, the cell and the exception.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rlcourse-build-") as scratch:
        work = Path(scratch, "work")
        work.mkdir()
        client = NotebookClient(book, timeout=CELL_TIMEOUT, record_timing=False, coalesce_streams=True, store_widget_state=True)
        client.km = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=ThisInterpreter(), transport="ipc", ip=str(Path(scratch, "ipc")),
                                       connection_file=str(Path(scratch, "kernel.json")))  # sockets in a private folder: no ports, no network
        with client.setup_kernel(env=pinned_environment(Path(scratch)), cwd=str(work)):
            for index, cell in enumerate(book.cells):
                _run_cell(client, cell, index, name)
            usage = _usage(client, book)
    book.metadata.pop("widgets", None)
    for cell in book.cells:
        clean(cell)
    return {**usage, "wall_seconds": time.monotonic() - started}


def _run_cell(client: NotebookClient, cell: NotebookNode, index: int, name: str) -> None:
    where = f"{name}, cell {cell.get('id', index)} ({first_line(cell.source)})"
    try:
        client.execute_cell(cell, index)
    except CellExecutionError as error:
        raise BuildError(f"{where} raised {error.ename}: {error.evalue}\nNothing was written. The cells above it ran in the same fresh kernel. "
                         f"Traceback:\n{strip_colours(error.traceback)}") from None
    except CellTimeoutError:
        raise BuildError(f"{where} ran for more than {CELL_TIMEOUT} s and was stopped. Nothing was written. A lecture has 60 CPU seconds in all: "
                         "load longer results from a stored run.") from None
    except (DeadKernelError, CellControlSignal) as error:
        raise BuildError(f"{where} ended its kernel ({error}). Nothing was written. The usual cause is memory; peak memory of earlier builds is in "
                         "notebooks/build.json.") from None


def _usage(client: NotebookClient, book: NotebookNode) -> dict[str, float]:
    probe = nbformat.v4.new_code_cell(USAGE)
    book.cells.append(probe)  # nbclient writes the executed cell back by its index
    try:
        client.execute_cell(probe, len(book.cells) - 1)
    finally:
        book.cells.pop()
    return json.loads("".join(output.text for output in probe.outputs if output.get("name") == "stdout"))


def strip_colours(text: str) -> str:
    """Text without terminal colour codes."""
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)


def clean(cell: NotebookNode) -> None:
    """Remove in place what differs from run to run or cannot be shown later: widget views, progress output, timing; give images their alt text."""
    cell.metadata.pop("execution", None)
    if cell.cell_type != "code":
        return
    compared = IGNORED_BY_NBVAL not in tags(cell)  # there a progress bar is kept for the checks to see: nbval would trip over it
    cell.outputs = [_without_widget(output) for output in cell.outputs if not _is_progress(output, compared)]
    for output in cell.outputs:
        if output.output_type == "stream":
            output.text = re.sub(r"^[^\n]*\r(?=[^\n])", "", output.text, flags=re.MULTILINE)  # a line that was overwritten keeps its last state
        if "figure" in tags(cell) and cell.metadata.get("alt"):
            images = [mime for mime in output.get("data", {}) if mime.startswith("image/")]
            for mime in images:  # nbconvert reads it here; JupyterLab 4 ignores it
                output.metadata[mime] = nbformat.from_dict({**output.metadata.get(mime, {}), "alt": cell.metadata.alt})


def _without_widget(output: NotebookNode) -> NotebookNode:
    """A view refers to a live model by a random id; in a stored notebook it shows as an error. Its static twin, a picture, stays where the widget
    brought one (`rlcourse.widgets` does), and a line of text says what to do."""
    if WIDGET_VIEW not in output.get("data", {}):
        return output
    twin = {mime: data for mime, data in output.data.items() if mime.startswith("image/")}
    metadata = {mime: output.metadata[mime] for mime in twin if mime in output.metadata}
    return nbformat.v4.new_output("display_data", data={**twin, "text/plain": WIDGET_TEXT}, metadata=metadata)


def _is_progress(output: NotebookNode, compared: bool) -> bool:
    if WIDGET_VIEW in output.get("data", {}):
        return not compared and bool(PROGRESS.search(output.data.get("text/plain", "")))
    lines = [line for line in re.split(r"[\r\n]", output.get("text", "")) if line.strip()]
    return output.get("name") == "stderr" and all(PROGRESS.search(line) for line in lines)


