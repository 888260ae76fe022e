"""A student's copies in my/ are never overwritten, their links work, and JupyterLab starts on loopback, with its token, without a question."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from nbformat.sign import NotebookNotary

from rlcourse.authoring import copies, lab

COURSE = Path(__file__).resolve().parents[1]


def notebook(*markdown: str, output: str = "1", **metadata) -> str:
    cells = [nbformat.v4.new_markdown_cell(text, id=f"m{number}") for number, text in enumerate(markdown)]
    result = nbformat.v4.new_output("stream", text=output)
    cells.append(nbformat.v4.new_code_cell("print('[x](13a.ipynb)')", id="c", outputs=[result], execution_count=1))
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    return nbformat.writes(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, **metadata}))


@pytest.fixture
def course(tmp_path) -> Path:
    """A course of one lecture, its exercise and its solution."""
    files = {
        "notebooks/00_orientation.ipynb": notebook("# Map", "[13a](13a.ipynb#top), [exercise](../exercises/13a.ipynb), [SAC](../rlcourse/sac.py)"),
        "notebooks/13a.ipynb": notebook("# Lecture", "[map](00_orientation.ipynb)", jupytext={"formats": "ipynb,source//py:percent"}),
        "exercises/13a.ipynb": notebook("# Exercise", '<a href="../notebooks/13a.ipynb">lecture</a> ![p](../notebooks/media/p%20q.png "title")'),
        "solutions/13a.ipynb": notebook("# Solution"),
        "rlcourse/sac.py": "",
        "notebooks/media/p q.png": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def contents(root: Path) -> dict[str, str]:
    """{name below my/: text} of every notebook there."""
    return {path.relative_to(root / "my").as_posix(): path.read_text(encoding="utf-8") for path in sorted((root / "my").rglob("*.ipynb"))}


def markdown(text: str) -> str:
    return "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown")


# ── copies ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_first_start_copies_map_lectures_and_exercises_and_no_solution(course):
    assert copies.lay_copies(course) == ["my/: 3 notebooks copied. They are yours: no update overwrites them."]
    assert list(contents(course)) == ["00_orientation.ipynb", "exercises/13a.ipynb", "lectures/13a.ipynb"]
    assert not any("Solution" in text for text in contents(course).values())


def test_a_copy_is_a_valid_notebook_with_its_outputs_and_without_a_pairing(course):
    copies.lay_copies(course)
    for name, text in contents(course).items():
        nbformat.validate(nbformat.reads(text, as_version=4))
        source = json.loads((course / copies.copies(course)[name]).read_text())
        copy = json.loads(text)
        assert copy["cells"][-1]["outputs"] == source["cells"][-1]["outputs"] and "jupytext" not in copy["metadata"]
        assert [cell["id"] for cell in copy["cells"]] == [cell["id"] for cell in source["cells"]]


def test_jupyter_trusts_the_copies_as_they_were_laid_and_nothing_else(course):
    copies.lay_copies(course)
    notary = NotebookNotary(data_dir=str(course / "my/.jupyter/data"))
    book = nbformat.read(course / "my/lectures/13a.ipynb", as_version=4)
    assert notary.check_signature(book)
    book.cells[-1].outputs[0].text = "other"
    assert not notary.check_signature(book)


def test_links_work_where_the_copies_lie(course):
    copies.lay_copies(course)
    texts = {name: markdown(text) for name, text in contents(course).items()}
    assert texts["00_orientation.ipynb"].endswith("[13a](lectures/13a.ipynb#top), [exercise](exercises/13a.ipynb), [SAC](../rlcourse/sac.py)")
    assert texts["lectures/13a.ipynb"].endswith("[map](../00_orientation.ipynb)")
    assert texts["exercises/13a.ipynb"].endswith('<a href="../lectures/13a.ipynb">lecture</a> ![p](../../notebooks/media/p%20q.png "title")')
    assert "print('[x](13a.ipynb)')" in contents(course)["00_orientation.ipynb"], "code is never rewritten"


@pytest.mark.parametrize(
    "text",
    ["[a](https://example.org/13a.ipynb)", "[a](#here)", "[a](not_there.ipynb)", "[a](/13a.ipynb)", "![a](attachment:13a.ipynb)",
     "[a](../../13a.ipynb)", "$f(13a.ipynb)$", "[a]()", "[a](mailto:a@example.org)"],
)
def test_what_is_no_link_to_a_file_of_the_course_stays_as_it_is(course, text):
    targets = {"notebooks/13a.ipynb": "my/lectures/13a.ipynb"}
    assert copies.relink("[a](13a.ipynb)", "notebooks/00.ipynb", "my/00.ipynb", targets, course) == "[a](lectures/13a.ipynb)"
    assert copies.relink(text, "notebooks/00.ipynb", "my/00.ipynb", targets, course) == text


def test_a_second_start_touches_nothing_even_when_the_student_has_worked(course):
    copies.lay_copies(course)
    (course / "my/exercises/13a.ipynb").write_text("my answers, half saved")
    before = contents(course), (course / "my/.versions.json").stat().st_mtime_ns
    assert copies.lay_copies(course) == []
    assert (contents(course), (course / "my/.versions.json").stat().st_mtime_ns) == before


def test_a_newer_text_is_laid_beside_the_copy_which_stays_as_it_was(course):
    copies.lay_copies(course)
    (course / "my/exercises/13a.ipynb").write_text("my answers")
    for version in (2, 3):
        before = contents(course)
        (course / "exercises/13a.ipynb").write_text(notebook(f"# Exercise, edition {version}"))
        old = "13a.ipynb" if version == 2 else "13a.v2.ipynb"
        assert copies.lay_copies(course) == [
            f"my/exercises/13a.v{version}.ipynb is new: the course has a newer text. Your my/exercises/{old} was not touched."
        ]
        after = contents(course)
        assert f"edition {version}" in after.pop(f"exercises/13a.v{version}.ipynb") and after == before
        assert copies.lay_copies(course) == []


def test_new_outputs_of_the_same_text_bring_no_new_copy(course):
    copies.lay_copies(course)
    (course / "notebooks/13a.ipynb").write_text(notebook("# Lecture", "[map](00_orientation.ipynb)", output="other"))
    assert copies.lay_copies(course) == []


def test_a_new_copy_links_to_the_newest_copies(course):
    copies.lay_copies(course)
    for name in ("00_orientation", "13a"):
        (course / f"notebooks/{name}.ipynb").write_text(notebook("# New", "[13a](13a.ipynb)"))
    copies.lay_copies(course)
    assert markdown(contents(course)["00_orientation.v2.ipynb"]).endswith("[13a](lectures/13a.v2.ipynb)")
    assert copies.versions(course / "my", "00_orientation.ipynb")[-1] == "00_orientation.v2.ipynb"


def test_versions_are_ordered_by_number_and_a_similar_name_is_another_notebook(tmp_path):
    for name in ["a.ipynb", "a.v2.ipynb", "a.v10.ipynb", "a.v9.ipynb", "ab.v11.ipynb", "a.v3.txt", "a.vx.ipynb"]:
        (tmp_path / name).touch()
    assert copies.versions(tmp_path, "a.ipynb") == ["a.ipynb", "a.v2.ipynb", "a.v9.ipynb", "a.v10.ipynb"]
    assert copies.next_version(tmp_path, "a.ipynb") == "a.v11.ipynb" and copies.next_version(tmp_path, "b.ipynb") == "b.ipynb"
    (tmp_path / "a.ipynb").unlink()
    assert copies.next_version(tmp_path, "a.ipynb") == "a.v11.ipynb", "a free old name would pass for the student's own work"


def test_a_copy_that_was_deleted_comes_back_fresh(course):
    copies.lay_copies(course)
    before = contents(course)
    (course / "my/exercises/13a.ipynb").unlink()
    copies.lay_copies(course)
    assert contents(course) == before


@pytest.mark.parametrize("damage", [None, "", "[]", '{"00_orientation.ipynb": 3}', "\udcff"])
def test_a_lost_or_damaged_record_overwrites_and_doubles_nothing(course, damage):
    copies.lay_copies(course)
    record = course / "my/.versions.json"
    record.unlink() if damage is None else record.write_text(damage, encoding="utf-8", errors="surrogateescape")
    edited = json.loads((course / "my/lectures/13a.ipynb").read_text())
    edited["cells"].append({"cell_type": "markdown", "id": "mine", "metadata": {}, "source": "my note"})
    (course / "my/lectures/13a.ipynb").write_text(json.dumps(edited))
    (course / "my/exercises/13a.ipynb").write_text("not a notebook any more")
    before = contents(course)
    lines = copies.lay_copies(course)
    assert (damage is None) != any("could not be read" in line for line in lines)
    after = contents(course)
    assert "# Exercise" in after.pop("exercises/13a.v2.ipynb"), "the record is gone and the copy does not say what it is: lay a fresh one beside it"
    assert after == before and copies.lay_copies(course) == []


def test_a_write_that_fails_leaves_neither_half_a_copy_nor_its_temporary_file(course, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(copies.os, "replace", full)
        with pytest.raises(OSError, match="No space"):
            copies.lay_copies(course)
    assert [path for path in (course / "my").rglob("*") if path.is_file()] == []
    copies.lay_copies(course)
    with pytest.raises(FileExistsError):
        copies.write_new(course / "my/lectures/13a.ipynb", "other")
    assert len(contents(course)) == 3


def test_a_damaged_notebook_of_the_course_is_named(course):
    (course / "notebooks/13a.ipynb").write_text("<<<<<<< HEAD")
    with pytest.raises(copies.CopyError, match=r"13a.ipynb is not a notebook .*make notebooks"):
        copies.lay_copies(course)


# ── the server ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_server_is_on_loopback_keeps_its_token_and_is_root_only_where_root_starts_it(course, monkeypatch):
    for uid in (0, 1000):
        monkeypatch.setattr(lab.os, "geteuid", lambda uid=uid: uid)
        command = lab.server_command(course, "my/x.ipynb", 8888, browser=False)
        assert ("--allow-root" in command) == (uid == 0)
        assert "--ServerApp.ip=127.0.0.1" in command and not any("token" in part.lower() or "password" in part.lower() for part in command)


def test_the_persons_own_jupyter_is_not_read(course, monkeypatch):
    monkeypatch.setenv("JUPYTER_TOKEN", "known")
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", "/home/someone/.jupyter")
    monkeypatch.setenv("KEPT", "yes")
    env = lab.environment(course / "my/.jupyter")
    assert "JUPYTER_TOKEN" not in env and env["KEPT"] == "yes"
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
        assert Path(env[name]).is_relative_to(course / "my/.jupyter")


def test_a_browser_is_opened_only_where_there_is_a_screen(monkeypatch):
    monkeypatch.setattr(lab.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    assert not lab.can_show_browser()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert lab.can_show_browser()


def test_outside_a_course_the_lab_says_where_to_start_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lab, "__file__", str(tmp_path / "a/b/c.py"))
    with pytest.raises(lab.LabError, match=r"no notebooks/00_orientation.ipynb here.*make lab"):
        lab.course_folder()


def status(url: str) -> tuple[int, str]:
    """(HTTP status, body), redirects not followed; (0, '') while nothing answers."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    try:
        with urllib.request.build_opener(Stay).open(url, timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""
    except urllib.error.URLError:
        return 0, ""


@contextmanager
def running_lab(course: Path, port: int) -> Iterator[tuple[str, str]]:
    """(http://127.0.0.1:PORT, token) of the lab, started for real as `make lab` does, with a HOME that does not exist."""
    env = {**os.environ, "PYTHONPATH": str(COURSE), "HOME": "/nonexistent"}
    command = [sys.executable, "-m", "rlcourse", "lab", "--no-browser", "--port", str(port)]
    with subprocess.Popen(command, cwd=course, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            printed, address = "", None
            while not address and (line := server.stdout.readline()):
                printed += line
                address = re.search(r"(http://127\.0\.0\.1:\d+)/lab/tree/my/00_orientation\.ipynb\?token=(\w{20,})", line)
            assert address, printed
            end = time.monotonic() + 30  # the address is printed a moment before the server accepts connections
            while not status(f"{address[1]}/api")[0] and time.monotonic() < end:
                time.sleep(0.05)
            yield address[1], address[2]
        finally:
            server.send_signal(signal.SIGTERM)
            server.stdout.read()
    assert server.returncode == 0


def test_the_lab_serves_the_map_with_its_token_alone_and_asks_nothing(course):
    with socket.create_server(("127.0.0.1", 0)) as taken, running_lab(course, taken.getsockname()[1]) as (host, token):
        assert host != f"http://127.0.0.1:{taken.getsockname()[1]}", "the port was taken: the next free one"
        page = f"{host}/lab/tree/my/00_orientation.ipynb"
        assert [status(url)[0] for url in (f"{page}?token={token}", page, f"{host}/api/contents")] == [200, 302, 403]

        def answer(path: str) -> dict:
            return json.loads(status(f"{host}/{path}?token={token}")[1])

        assert answer("api/contents/my/lectures")["content"][0]["name"] == "13a.ipynb"
        assert answer("api/kernelspecs")["default"] == "python3" and "python3" in answer("api/kernelspecs")["kernelspecs"]
        news = answer("lab/api/settings/@jupyterlab/apputils-extension:notification")["schema"]["properties"]
        assert news["fetchNews"]["default"] == "false" and news["checkForUpdates"]["default"] is False
