"""JupyterLab and Chromium for the browser tests: start both, open a notebook as a student does, run it, move its controls, present it.

Nothing of the person who runs the tests is read or written: HOME, user settings, workspaces and the browser's profile are new, empty folders.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync"]
SLIDE = {"width": 1280, "height": 720}
SCRIPT = Path(__file__).with_name("browser_probe.js").read_text(encoding="utf-8")
CONTROLS = "[role=slider], .widget-toggle-buttons, select, input[type=checkbox], .widget-toggle-button:not(.widget-toggle-buttons *)"
Step = Callable[[], Any]


class Server(NamedTuple):
    """A running JupyterLab: its address, its token and the folder it serves."""
    url: str
    token: str
    root: Path


def missing() -> str | None:
    """Why there can be no browser test here, or None. Debian: `apt-get install chromium`; Python: the extra [browser]."""
    if find_spec("playwright") is None:
        return "Playwright is not installed: pip install 'rlcourse[browser]'"
    if chromium() is None:
        return f"no browser found (looked for {', '.join(BROWSERS)}): on Debian and Ubuntu, apt-get install chromium"
    return None


def chromium() -> str | None:
    """The browser to drive: RLCOURSE_CHROMIUM, or the first one on the path. Playwright never downloads one of its own."""
    return os.environ.get("RLCOURSE_CHROMIUM") or next((found for name in BROWSERS if (found := shutil.which(name))), None)


def wait(until: Step, what: str, seconds: float = 60.0, pause: float = 0.05) -> Any:
    """The first true value of `until()`; fails with `what` in words when it does not come."""
    end = time.monotonic() + seconds
    while not (value := until()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} s for {what}, in vain")
        time.sleep(pause)
    return value


# ── the server ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False


def course_copy(course: Path, root: Path, lectures: list[Path]) -> Path:
    """A folder that looks like a fresh clone of the course, by links, with `lectures` among its notebooks and without a my/."""
    (root / "notebooks").mkdir(parents=True)
    for entry in [*course.iterdir(), *course.glob("notebooks/*"), *lectures]:
        target = root / ("notebooks" if entry.suffix == ".ipynb" or entry.parent.name == "notebooks" else "") / entry.name
        if entry.name not in ("my", ".git", ".venv") and not target.exists():
            target.symlink_to(entry)
    return root


def clean_environment(home: Path, course: Path) -> dict[str, str]:
    """The environment of a first start: an empty HOME, and nothing of the settings of the person who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "JPY_", "IPYTHON", "XDG_", "MPL", "PYTEST"))}
    return kept | {"HOME": str(home), "PYTHONPATH": str(course), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def write(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


@contextmanager
def jupyterlab(course: Path, root: Path) -> Iterator[Server]:
    """`rlcourse lab` as a student starts it, in a copy of the course and with an empty HOME. Its page lets the tests talk to JupyterLab.

    The session before it ended while slides were shown: jupyterlab-slideshow keeps that in the user's settings.
    """
    home, log = root.parent / "home", root.parent / "jupyterlab.log"
    home.mkdir()
    port, token = free_port(), secrets.token_hex(16)
    write(root / "my/.jupyter/config/jupyter_lab_config.json", {"LabApp": {"expose_app_in_browser": True}, "IdentityProvider": {"token": token}})
    write(root / "my/.jupyter/config/lab/user-settings/jupyterlab-slideshow/plugin.jupyterlab-settings", {"active": True})
    command = [sys.executable, "-m", "rlcourse", "lab", f"--port={port}", "--no-browser"]
    url, environment = f"http://127.0.0.1:{port}", clean_environment(home, course)
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            wait(lambda: answers(f"{url}/api") or process.poll() is not None, "JupyterLab to answer", 120)
            assert process.poll() is None, f"JupyterLab stopped at once:\n{log.read_text()[-3000:]}"
            yield Server(url, token, root)
        finally:
            stop(process)


def stop(process: subprocess.Popen) -> None:
    """Ends the server with its kernels: first politely, so that it shuts its kernels down, then not."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, sign)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                continue


@contextmanager
def browser() -> Iterator[Any]:
    """Debian's Chromium without a window, with an empty profile that its pages share, so that JupyterLab is loaded once."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=chromium(), headless=True, args=FLAGS)
        yield running.new_context(viewport=SLIDE)
        running.close()


# ── a notebook ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def open_page(browser: Any, address: str) -> Any:
    """A page of 1280x720 that shows a notebook whose kernel is ready. `page.trouble`: JavaScript errors of the page itself."""
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.trouble = []
    page.on("pageerror", lambda error: page.trouble.append(f"JavaScript error in the page: {error}"))
    page.add_init_script(SCRIPT)
    page.goto(address, timeout=120_000)
    page.wait_for_function("probe.ready()", timeout=120_000)
    page.evaluate("probe.watch()")
    settle(page)
    return page


def open_notebook(browser: Any, server: Server, path: str) -> Any:
    """Opens a notebook, a path below the server's folder, in a JupyterLab workspace of its own: it opens alone."""
    return open_page(browser, f"{server.url}/lab/workspaces/{Path(path).stem}/tree/{path}?token={server.token}")


def run_all(page: Any, seconds: float = 300.0) -> None:
    """Run > Run All Cells, and waits until every code cell has run and the kernel is idle."""
    page.evaluate("probe.run()")
    page.wait_for_function("probe.finished()", timeout=1000 * seconds, polling=200)
    settle(page)


def settle(page: Any) -> None:
    """Waits until what the page shows is drawn: pictures loaded, mathematics set, two frames painted."""
    page.wait_for_function("probe.settled()", timeout=60_000)
    page.evaluate("probe.frames()")


def troubles(page: Any) -> list[str]:
    """What a student would take for an error, by now: tracebacks, failed callbacks, dialogs, broken pictures or formulas."""
    return page.trouble + page.evaluate("probe.troubles()")


# ── controls ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def cell(page: Any, index: int) -> Any:
    """The index-th cell of the notebook in the page."""
    return page.locator(".jp-Notebook .jp-Notebook-cell").nth(index)


def controls(page: Any, index: int) -> list[Any]:
    """Sliders, toggle buttons, menus and check boxes in the output of a cell, in reading order."""
    found = cell(page, index).locator(".jp-OutputArea").locator(CONTROLS)
    return [found.nth(k) for k in range(found.count())]


def name(control: Any) -> str:
    return str(control.evaluate("node => probe.label(node)"))


def step(control: Any) -> Step:
    """How a person without a mouse moves this control by one: an arrow key, the next button, the next entry of a menu."""
    kind = control.evaluate("node => probe.kind(node)")
    if kind == "slider":
        def press() -> None:
            control.focus()
            control.press(control.evaluate("node => +node.ariaValueNow < +node.ariaValueMax ? 'ArrowRight' : 'ArrowLeft'"))
        return press
    if kind == "buttons":
        return lambda: control.locator("button:not(.mod-active)").first.press("Enter")
    if kind == "menu":
        return lambda: control.select_option(index=control.evaluate("node => (node.selectedIndex + 1) % node.options.length"))
    return lambda: control.press("Space")


def moves_picture(page: Any, index: int, move: Step, seconds: float = 20.0) -> bool:
    """Whether the pixels of the pictures below a cell's controls change after `move()`."""
    before = page.evaluate("i => probe.pictures(i)", index)
    move()
    try:
        wait(lambda: page.evaluate("i => probe.pictures(i)", index) != before, "a new picture", seconds)
    except AssertionError:
        return False
    return bool(before)


def latency(page: Any, index: int, control: Any, presses: int = 11) -> float:
    """Median milliseconds from the key press to the new picture on the page (its `load` event)."""
    move, times = step(control), []
    for _ in range(presses):
        page.evaluate("i => probe.stopwatch(i)", index)
        move()
        times.append(wait(lambda: page.evaluate("probe.lap()"), "a new picture", 20, 0.02))
    return float(sorted(times)[presses // 2])


# ── slides ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
@contextmanager
def deck(page: Any) -> Iterator[None]:
    """Goes to the first cell and presses the deck button of the notebook's toolbar: a deck starts at the active cell. Escape ends it."""
    page.set_viewport_size(SLIDE)
    page.evaluate("probe.panel().content.activeCellIndex = 0")
    page.locator(".jp-NotebookPanel-toolbar [data-jp-item-name=deck]").locator("button, jp-button").first.click()
    page.wait_for_selector("body[data-jp-deck-mode=presenting]", state="attached")
    page.wait_for_function("probe.presenting()")
    settle(page)
    try:
        yield
    finally:
        page.evaluate("probe.panel().content.activeCell.node.focus()")
        page.keyboard.press("Escape")
        page.wait_for_selector("body:not([data-jp-deck-mode])", state="attached")
        page.wait_for_selector("#jp-top-panel", state="visible")


def next_step(page: Any) -> bool:
    """Presses Space, the next step of a deck. False at its end."""
    if not page.evaluate("probe.canGoOn()"):
        return False
    before = page.evaluate("probe.active()")
    page.evaluate("probe.panel().content.activeCell.node.focus()")
    page.keyboard.press("Space")
    page.wait_for_function("before => probe.active() !== before", arg=before)
    settle(page)
    return True


def contact_sheet(pictures: list[Path], to: Path, columns: int = 3, width: int = 640) -> None:
    """The pictures side by side in one file, for looking a whole deck over."""
    from PIL import Image

    small = []
    for path in pictures:
        with Image.open(path) as picture:
            small.append(picture.convert("RGB").resize((width, round(width * picture.height / picture.width))))
    height = max(picture.height for picture in small)
    sheet = Image.new("RGB", (columns * (width + 8), -(-len(small) // columns) * (height + 8)), "grey")
    for k, picture in enumerate(small):
        sheet.paste(picture, (k % columns * (width + 8), k // columns * (height + 8)))
    sheet.save(to)
