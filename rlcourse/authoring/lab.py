"""Start JupyterLab on the course map, in a student's own copies: what `rlcourse lab` does.

The server listens on loopback alone and keeps its token. What Jupyter keeps (settings, workspaces, history) goes to my/.jupyter: the person's HOME is
neither read nor needed, so a configuration or a kernel named python3 that lives there cannot get in the way.
"""

import os
import sys
from pathlib import Path
from typing import NoReturn

from rlcourse.authoring.copies import MAP, STATE, lay_copies, versions, write_new

SETTINGS = Path(__file__).with_name("lab_settings.json").read_text(encoding="utf-8")  # no news dialog, the look of slides, keys of a clicker
PRESENTING = "config/lab/user-settings/jupyterlab-slideshow/plugin.jupyterlab-settings"  # a browser closed during slides would reopen as slides
FOLDERS = {
    "JUPYTER_CONFIG_DIR": "config",
    "JUPYTER_DATA_DIR": "data",
    "JUPYTER_RUNTIME_DIR": "runtime",
    "IPYTHONDIR": "ipython",
    "MPLCONFIGDIR": "matplotlib",
}


class LabError(ValueError):
    """Why the lab cannot start; one line that says what to do."""


def course_folder() -> Path:
    """The folder of the course: the current one where it holds the notebooks, else the one that the package is in."""
    for folder in (Path.cwd(), Path(__file__).resolve().parents[2]):
        if (folder / "notebooks" / MAP).is_file():
            return folder
    raise LabError(f"There is no notebooks/{MAP} here. Run `make lab` in the folder of the course, after `make notebooks` if they were never built.")


def environment(state: Path) -> dict[str, str]:
    """The environment of the server and its kernels: this one, without the person's own Jupyter settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "JPY_"))}
    return {**kept, **{name: str(state / folder) for name, folder in FOLDERS.items()}}


def can_show_browser() -> bool:
    """Whether opening a browser would show a window: without a screen, Python would start a text browser in this terminal."""
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def server_command(root: Path, page: str, port: int, browser: bool) -> list[str]:
    """The command that serves `root` and opens `page`, a path below it. A port that is taken is followed by the next free one."""
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 50,
        "ServerApp.root_dir": root,
        "ServerApp.open_browser": browser,
        "ServerApp.log_level": "WARN",
        "LabApp.log_level": "WARN",
        "LabApp.default_url": f"/lab/tree/{page}",
        "LabApp.app_settings_dir": root / "my" / STATE / "lab",
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.extension_manager": "readonly",
        "FileContentsManager.preferred_dir": root / "my",
    }
    command = [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())]
    return command + (["--allow-root"] if os.geteuid() == 0 else [])


def launch(port: int | None = 8888, browser: bool = True) -> NoReturn:
    """Bring my/ up to date, then become JupyterLab: this call does not return unless the server cannot be started.

    port: the first that is tried on 127.0.0.1. browser: open one where there is a screen; the address is printed in any case.
    """
    root = course_folder()
    my = root / "my"
    for line in lay_copies(root):
        print(line)
    (my / STATE / PRESENTING).unlink(missing_ok=True)
    write_new(my / STATE / "lab" / "overrides.json", SETTINGS, replace=True)
    page = f"my/{versions(my, MAP)[-1]}"
    print(f"JupyterLab starts on {page}. Ctrl-C here ends it.", flush=True)
    os.chdir(root)
    command = server_command(root, page, port or 8888, browser and can_show_browser())
    os.execve(command[0], command, environment(my / STATE))
