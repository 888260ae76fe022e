"""`rlcourse doctor`: what this machine can do for the course, and what to do about what it cannot.

A probe that may crash (rendering, MuJoCo, torch) runs in a process of its own, so that the report is always printed. All probes run at once.
"""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

COURSE = Path(__file__).resolve().parents[2]
PROBE_SECONDS = 8.0
GIB = 2**30


@dataclass(frozen=True)
class Row:
    """One line of the report. status: 'ok'; 'note' (the course works, with less); 'problem' (something required is missing)."""

    what: str
    status: str
    found: str
    advice: str = ""


def diagnose() -> list[Row]:
    """Run every probe at once and return its row, in reading order. Takes a few seconds; changes nothing on the machine."""
    probes = (python, packages, torch, processors, memory, disk, mujoco, rendering, jupyter, chromium, sandbox)
    with ThreadPoolExecutor(max_workers=len(probes)) as pool:
        return list(pool.map(_guarded, probes))


def healthy(rows: list[Row]) -> bool:
    """True if nothing that the course requires is a problem."""
    return all(row.status != "problem" for row in rows)


def python(version: tuple[int, int] = sys.version_info[:2]) -> Row:
    """The running interpreter: 3.11 or newer."""
    found = f"{sys.version.split()[0]} at {sys.executable}"
    if version < (3, 11):
        return Row("Python", "problem", found, "The course needs Python 3.11 or newer: install one, remove .venv, and run `make lab` again.")
    return Row("Python", "ok", found)


def packages(course: Path = COURSE) -> Row:
    """Installed versions against constraints.txt. A missing package is a problem; another version is a note, because low digits may differ."""
    pinned = _pinned(course / "constraints.txt")
    missing = [name for name in _required(course / "pyproject.toml") if _installed(name) is None]
    if missing:
        return Row("Packages", "problem", f"missing: {', '.join(missing)}", "`make lab` installs them into .venv; run it again.")
    if not pinned:
        return Row("Packages", "note", "all present; no constraints.txt to compare with", "Run it from a checkout of the course.")
    other = [f"{name} {_installed(name)} (pinned {version})" for name, version in pinned.items() if _installed(name) not in (None, version)]
    if other:
        advice = "Results may differ in low digits. To get the pinned versions: remove .venv, then `make lab`."
        return Row("Packages", "note", f"{len(other)} not at the pinned version: {', '.join(other[:4])}{' ...' if len(other) > 4 else ''}", advice)
    return Row("Packages", "ok", f"{sum(_installed(name) is not None for name in pinned)} packages at the versions of constraints.txt")


def torch() -> Row:
    """Version, accelerators and threads of PyTorch, seen from a process of its own."""
    code = """if True:
        import json, torch
        gpus = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
        mps = ["Apple GPU (mps)"] if torch.backends.mps.is_available() else []
        print(json.dumps([torch.__version__, gpus + mps, torch.get_num_threads(), float(torch.ones(2) @ torch.ones(2))]))"""
    answer = _run([sys.executable, "-c", code])
    if not answer.ok:
        return _failed("PyTorch", answer, "Remove .venv and run `make lab` again; to use a torch of your own: `make lab TORCH=system`.")
    version, accelerators, threads, _ = json.loads(answer.output.splitlines()[-1])
    found = f"{version}; devices: {', '.join(['cpu', *accelerators])}; {threads} threads by default, the course uses 1 a process"
    return Row("PyTorch", "ok", found, "" if accelerators else "No GPU is needed. If there is one and it is not listed, see `make lab TORCH=system`.")


def processors() -> Row:
    """Cores that this process may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    found = f"{usable} usable of {os.cpu_count()}"
    advice = "" if usable >= 2 else "The stated times are for two cores: expect about twice as long."
    return Row("Processors", "note" if advice else "ok", found, advice)


def memory() -> Row:
    """Physical memory, or the limit of the container where there is a lower one."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return Row("Memory", "note", "this system does not say", "4 GiB are enough for every lecture.")
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and limit.read_text().strip().isdigit():
        total = min(total, int(limit.read_text()))
    found = f"{total / GIB:.1f} GiB"
    return Row("Memory", "ok", found) if total >= 3.5 * GIB else Row("Memory", "note", found, "4 GiB are comfortable: run one notebook at a time.")


def disk(course: Path = COURSE, free: int | None = None) -> Row:
    """Free space where the course lies (bytes). Runs and notebooks are written there."""
    free = shutil.disk_usage(course).free if free is None else free
    found = f"{free / GIB:.1f} GiB free at {course}"
    if free < 0.2 * GIB:
        return Row("Disk", "problem", found, "Saving a notebook or a checkpoint is about to fail: free some space first.")
    return Row("Disk", "ok", found) if free >= 2 * GIB else Row("Disk", "note", found, "Training runs may fill it: 2 GiB are comfortable.")


def mujoco() -> Row:
    """One step of HalfCheetah-v5, in a process of its own and an empty folder (MuJoCo writes its log where it runs)."""
    code = """if True:
        import gymnasium, mujoco
        env = gymnasium.make("HalfCheetah-v5")
        env.reset(seed=0)
        reward = env.step(env.action_space.sample() * 0)[1]
        assert reward == reward, "the reward is not a number"
        print(f"MuJoCo {mujoco.__version__}, Gymnasium {gymnasium.__version__}: one step of HalfCheetah-v5, reward {reward:.3f}")"""
    answer = _run([sys.executable, "-W", "ignore", "-c", code])
    if answer.ok:
        return Row("MuJoCo", "ok", answer.output.splitlines()[-1])
    return _failed("MuJoCo", answer, "HalfCheetah cannot be simulated. Remove .venv and run `make lab` again.")


def rendering() -> Row:
    """An off-screen MuJoCo picture with EGL, else with OSMesa. Each is tried in a process of its own, because a missing driver can end it."""
    code = """if True:
        import mujoco
        model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><light pos='0 0 3'/><geom size='1'/></worldbody></mujoco>")
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        with mujoco.Renderer(model, 32, 32) as renderer:
            renderer.update_scene(data)
            print("bright" if renderer.render().max() > 0 else "black")"""
    with ThreadPoolExecutor(max_workers=2) as pool:
        tries = dict(zip(("egl", "osmesa"), pool.map(lambda backend: _run([sys.executable, "-c", code], MUJOCO_GL=backend), ("egl", "osmesa"))))
    for backend, answer in tries.items():
        if answer.ok and answer.output.endswith("bright"):
            return Row("Rendering", "ok", f"{backend.upper()} (MUJOCO_GL={backend})")
    found = f"none (EGL: {tries['egl'].reason or 'a black picture'}; OSMesa: {tries['osmesa'].reason or 'a black picture'})"
    return Row("Rendering", "note", found, "Only new animations need it; lectures and training do not. Debian: `apt install libegl1 libosmesa6`.")


def jupyter() -> Row:
    """JupyterLab, and a python3 kernel that starts this very interpreter."""
    if _installed("jupyterlab") is None:
        return Row("JupyterLab", "problem", "not installed", "`make lab` installs it into .venv; run it again.")
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    repair = f"Notebooks cannot run. `{sys.executable} -m ipykernel install --sys-prefix` repairs the kernel."
    try:
        command = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        return Row("JupyterLab", "problem", "there is no python3 kernel", repair)
    found = f"{_installed('jupyterlab')}, kernel python3 runs {command}"
    if not shutil.which(command):
        return Row("JupyterLab", "problem", f"{found}, which is missing", repair)
    if os.path.isabs(command) and Path(command).parent != Path(sys.executable).parent:
        return Row("JupyterLab", "note", found, "That is another Python than this one and may lack rlcourse: start with `make lab`.")
    return Row("JupyterLab", "ok", found)


def chromium() -> Row:
    """A Chromium for the browser tests. Only those need it."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if browser and _installed("playwright"):
        return Row("Chromium", "ok", f"{browser}, Playwright {_installed('playwright')}")
    absent = "no Chromium" if not browser else "no Playwright (extra [browser])"
    return Row("Chromium", "note", absent, "The browser tests skip without it; no lecture needs it. On Debian: `apt install chromium`.")


def sandbox(bwrap: str | None = None) -> Row:
    """What can be put around a student's code when it is graded.

    Level 'official': bubblewrap, seccomp and limits. Level 'self-check only': a plain process, which a hostile file can leave.
    """
    reason = _why_no_sandbox(bwrap or shutil.which("bwrap"))
    if not reason:
        return Row("Sandbox", "ok", "level official: bubblewrap works, seccomp is there")
    advice = "Enough to learn with. Official grading needs Linux with bubblewrap (`apt install bubblewrap`)."
    return Row("Sandbox", "note", f"level self-check only: {reason}", advice)


def _why_no_sandbox(bwrap: str | None) -> str:
    if not sys.platform.startswith("linux"):
        return f"bubblewrap exists on Linux only, and this is {sys.platform}"
    if bwrap is None:
        return "bubblewrap (bwrap) is not installed"
    answer = _run([bwrap, "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "true"])
    if not answer.ok:
        return f"bubblewrap is there and does not work here: {answer.reason}"
    return "" if Path("/proc/sys/kernel/seccomp").is_dir() else "this kernel has no seccomp filters"


@dataclass(frozen=True)
class _Answer:
    ok: bool
    output: str
    reason: str
    late: bool = False


def _run(command: list[str], **environment: str) -> _Answer:
    """Run a probe in an empty folder. `reason` is one line: what went wrong, in the probe's own words."""
    with tempfile.TemporaryDirectory() as empty:
        try:
            told = {"cwd": empty, "env": os.environ | environment, "capture_output": True, "text": True, "timeout": PROBE_SECONDS}
            done = subprocess.run(command, check=False, **told)
        except subprocess.TimeoutExpired:
            return _Answer(False, "", f"no answer within {PROBE_SECONDS:.0f} s", late=True)
        except OSError as error:
            return _Answer(False, "", str(error))
    if done.returncode == 0:
        return _Answer(True, done.stdout.strip(), "")
    words = done.stderr.strip().splitlines()
    ended = f"ended by signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    return _Answer(False, done.stdout.strip(), words[-1][:160] if words else ended)


def _failed(what: str, answer: _Answer, advice: str) -> Row:
    """Something required did not work: a problem. A probe that ran out of time on a busy machine has shown nothing, which is a note."""
    if answer.late:
        return Row(what, "note", answer.reason, "Run it again when the machine is less busy.")
    return Row(what, "problem", answer.reason, advice)


def _guarded(probe: Callable[[], Row]) -> Row:
    """A probe that itself fails is a note, never the end of the report."""
    try:
        return probe()
    except Exception as error:  # the report must be complete whatever one probe meets
        return Row(probe.__name__.capitalize(), "note", f"the probe failed: {type(error).__name__}: {error}", "Please report this line.")


def _installed(name: str) -> str | None:
    """Version without a local suffix: 2.13.0+cpu is 2.13.0."""
    try:
        return importlib.metadata.version(name).split("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


def _pinned(constraints: Path) -> dict[str, str]:
    lines = constraints.read_text().splitlines() if constraints.is_file() else []
    return dict(match.groups() for match in (re.match(r"([\w.-]+)==([\w.!]+)", line) for line in lines) if match)


def _required(pyproject: Path) -> list[str]:
    """Names of the packages that rlcourse cannot do without: from pyproject.toml in a checkout, else from the installed package."""
    if pyproject.is_file():
        asked = tomllib.loads(pyproject.read_text())["project"]["dependencies"]
    else:
        asked = [line for line in importlib.metadata.requires("rlcourse") or [] if "extra ==" not in line]
    return [re.match(r"[\w.-]+", line).group() for line in asked]
