"""A lecture in a real browser, as a student and as a lecturer meet it: opened, run, its controls moved, presented as slides.

One JupyterLab and one page serve all tests of a notebook, in the order below; each also runs alone. RLCOURSE_BROWSER=all walks every lecture.
Screenshots are left in test-results/browser/ for people to look at; nothing compares them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import browser_session as lab
import pytest

pytestmark = pytest.mark.browser
COURSE = Path(__file__).resolve().parents[1]
ARTEFACTS = COURSE / "test-results" / "browser"
FIRST = "13a_reparametrisation_and_squashing"
HIDDEN = ("skip", "notes")


class Lecture(NamedTuple):
    """A notebook that was opened and run in the page."""
    name: str
    page: Any
    cells: list[dict]
    before: list[str]           # what looked like an error before anything ran


def lectures() -> list[Path]:
    """The notebooks to walk: one lecture, with RLCOURSE_BROWSER=all every one, or the files that RLCOURSE_BROWSER names, separated by colons."""
    wanted = os.environ.get("RLCOURSE_BROWSER") or str(COURSE / "notebooks" / f"{FIRST}.ipynb")
    return sorted(COURSE.glob("notebooks/[0-9]*.ipynb")) if wanted == "all" else [Path(name) for name in wanted.split(os.pathsep)]


def need_browser() -> None:
    """Skips with the reason where there is no browser; in CI that is a failure."""
    if reason := lab.missing():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no browser test here: {reason}")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, lab.Server]]:
    """A browser, and JupyterLab as `make lab` starts it in a fresh copy of the course."""
    need_browser()
    root = lab.course_copy(COURSE, tmp_path_factory.mktemp("browser") / "course", lectures())
    with lab.jupyterlab(COURSE, root) as server, lab.browser() as browser:
        yield browser, server


@pytest.fixture(scope="module", params=lectures(), ids=lambda path: path.stem)
def lecture(request: pytest.FixtureRequest, session: tuple[Any, lab.Server]) -> Iterator[Lecture]:
    """The student's copy of a lecture, opened and run once for all tests."""
    browser, server = session
    path = "my/00_orientation.ipynb" if request.param.stem == "00_orientation" else f"my/lectures/{request.param.name}"
    page = lab.open_notebook(browser, server, path)
    before = lab.troubles(page)
    lab.run_all(page)
    shutil.rmtree(ARTEFACTS / request.param.stem, ignore_errors=True)
    yield Lecture(request.param.stem, page, json.loads((server.root / path).read_text(encoding="utf-8"))["cells"], before)
    page.close()


def tagged(lecture: Lecture, tag: str) -> list[int]:
    return [i for i, cell in enumerate(lecture.cells) if tag in cell["metadata"].get("tags", [])]


def slide_type(cell: dict) -> str | None:
    return cell["metadata"].get("slideshow", {}).get("slide_type")


def keep(lecture: Lecture, name: str) -> None:
    lecture.page.screenshot(path=ARTEFACTS / lecture.name / f"{name}.png")      # makes the folder, too


def test_first_start_shows_the_course_map(session: tuple[Any, lab.Server]) -> None:
    """The address that `make lab` prints: the map, a kernel, no question or notice before it, and no slides though a lecture was left presenting."""
    browser, server = session
    page = lab.open_page(browser, f"{server.url}/?token={server.token}")
    assert page.evaluate("probe.panel().context.path") == "my/00_orientation.ipynb"
    assert lab.troubles(page) == []
    assert not page.evaluate("document.body.dataset.jpDeckMode"), "the last session ended while presenting, and this one starts as slides"
    page.screenshot(path=ARTEFACTS / "first-start.png")
    page.close()


def test_opens_without_a_question_or_an_error(lecture: Lecture) -> None:
    """No news, no choice of kernel, no broken widget where the outputs of the build are shown: a student sees the lecture and nothing else."""
    assert lecture.before == []


def test_runs_from_top_to_bottom(lecture: Lecture) -> None:
    assert lab.troubles(lecture.page) == []
    assert lecture.page.evaluate("probe.notRun()") == []
    pictures = {i: len(lecture.page.evaluate("i => probe.pictures(i)", i)) for tag in ("figure", "widget") for i in tagged(lecture, tag)}
    assert all(pictures.values()), f"number of pictures in the cells that claim one: {pictures}"


def test_every_control_changes_its_picture(lecture: Lecture, capsys: pytest.CaptureFixture[str]) -> None:
    """Each slider, button row and menu of each widget, moved by keyboard: new pixels in the picture below it, and no error anywhere."""
    times = {}
    for index in tagged(lecture, "widget"):
        controls = lab.controls(lecture.page, index)
        assert controls, f"cell {index} is tagged `widget` and shows nothing to move"
        for control in controls:
            label = lab.name(control)
            assert lab.moves_picture(lecture.page, index, lab.step(control)), f"cell {index}: the picture stays the same when '{label}' moves"
            assert lab.troubles(lecture.page) == [], f"cell {index}, after '{label}' moved"
        times[index] = lab.latency(lecture.page, index, controls[0])
        assert lab.troubles(lecture.page) == []
    with capsys.disabled():
        print("".join(f"\n  {lecture.name}, cell {index}: {ms:.0f} ms from key press to picture (median)" for index, ms in times.items()), end=" ")


def slide_problems(page: Any) -> list[str]:
    return page.evaluate("probe.overflow()") + lab.troubles(page) + ["it is blank"] * page.evaluate("probe.blank()")


def walk(lecture: Lecture) -> tuple[list[str], set[int], set[int]]:
    """Presents a lecture from the first slide to the last: (problems, cells shown, widgets whose picture followed a control on their slide)."""
    page, widgets = lecture.page, set(tagged(lecture, "widget"))
    problems, seen, live, number, more = [], set(), set(), 0, True
    while more:
        shown = set(page.evaluate("probe.shown()"))
        if shown - seen or not number:
            number += 1
            keep(lecture, f"slide-{number:02d}")
            problems += [f"slide {number}: {problem}" for problem in slide_problems(page)]
        for index in shown & widgets - live:
            if lab.moves_picture(page, index, lab.step(lab.controls(page, index)[0])):
                live.add(index)
        seen |= shown
        more = lab.next_step(page)
    return problems, seen, live


def test_slides_fit_and_widgets_live_on_them(lecture: Lecture) -> None:
    """Every step of the deck at 1280x720: nothing cut off, scrolling or blank, no error; each widget still follows its slider there."""
    with lab.deck(lecture.page):
        problems, seen, live = walk(lecture)
    lab.contact_sheet(sorted((ARTEFACTS / lecture.name).glob("slide-*.png")), ARTEFACTS / f"{lecture.name}-slides.png")
    presented = {i for i, cell in enumerate(lecture.cells) if slide_type(cell) not in HIDDEN}
    assert problems == []
    assert seen == presented, "cells that the deck shows, and cells that are meant to be shown"
    assert live == presented & set(tagged(lecture, "widget")), "widgets whose picture followed the slider on a slide"


def test_leaving_the_deck_leaves_it_for_the_next_notebook(lecture: Lecture) -> None:
    """Deck mode is a setting that outlives the notebook and JupyterLab itself: after Escape it is off."""
    with lab.deck(lecture.page):
        lecture.page.wait_for_function("probe.deckSetting()")
    lecture.page.wait_for_function("probe.deckSetting().then(on => !on)")
    assert lab.troubles(lecture.page) == []


@pytest.mark.parametrize("width", [1280, 800])
def test_page_fits_a_narrow_window(lecture: Lecture, width: int) -> None:
    """No picture or control reaches beyond the page, at the width of a laptop and of half a screen; screenshots for people."""
    page = lecture.page
    page.set_viewport_size({"width": width, "height": 1600})
    page.evaluate("probe.scrollTo(0)")
    lab.settle(page)
    for part in range(1, 40):
        keep(lecture, f"page-{width}-{part:02d}")
        assert page.evaluate("probe.wide()") == []
        if not page.evaluate("probe.scrollOn()"):
            break
        lab.settle(page)


# ── faults that were planted: the checks above see them ─────────────────────────────────────────────────────────────────────────────────
WIDGET = """
import io, ipywidgets, matplotlib
matplotlib.use("agg")
from matplotlib.figure import Figure
def png(x):
    out, fig = io.BytesIO(), Figure(figsize=(2, 1))
    fig.subplots().plot([0, x])
    fig.savefig(out, format="png")
    return out.getvalue()
def widget(draw):
    slider, picture = ipywidgets.IntSlider(1, 0, 9), ipywidgets.Image(value=png(1))
    slider.observe(lambda change: setattr(picture, "value", draw(slider.value)), "value")
    return ipywidgets.VBox([slider, picture])
widget(png)
"""
PLANTED = [  # (a cell, what is said about it: "" for nothing)
    (WIDGET, ""),
    ("widget(lambda x: png(1))", ""),
    ("widget(lambda x: png(1 / 0))", ""),
    ("ipywidgets.Image(tooltip='what ipywidgets 8 cannot show')", "cell 3: a widget is broken"),
    ("ipywidgets.IntSlider(layout=ipywidgets.Layout(width='1500px'))", "slide 5: cell 4 outside the slide"),
    ("# Tall\n" + "a line\n\n" * 40, "slide 6: the content is"),
    ("$$" + "x + " * 120 + "x$$", "slide 7: cell 6 "),
    ("wide = 1" + " + 1" * 60, "slide 8: cell 7 cut off"),
    ("<br>", "slide 9: it is blank"),
    ("A formula $x^2^3$ with an error", "cell 9: a formula is not understood: Double exponent"),
    ("A formula $\\logg x$ with a slip", "cell 10: a formula has an unknown command"),
    ("A formula $\\frac{1}{2$ without its brace", "cell 11: a formula was not set"),
    ("![nothing](missing.png)", "cell 12: a picture does not load"),
    ("1 / 0", "cell 13 failed: ZeroDivisionError"),
]


def kind(source: str) -> str:
    return "markdown" if source[0] in "#$A!<" else "code"


@pytest.fixture(scope="module")
def planted(session: tuple[Any, lab.Server]) -> Iterator[Lecture]:
    """A notebook of faults, one slide each, opened and run."""
    browser, server = session
    cells = [{"cell_type": kind(source), "id": f"cell-{i}", "source": source, "metadata": {"slideshow": {"slide_type": "slide"}},
              **({"outputs": [], "execution_count": None} if kind(source) == "code" else {})} for i, (source, _) in enumerate(PLANTED)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    lab.write(server.root / "my/planted.ipynb", {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5})
    page = lab.open_notebook(browser, server, "my/planted.ipynb")
    lab.run_all(page)
    yield Lecture("planted", page, cells, [])
    page.close()


def test_planted_widgets_are_told_apart(planted: Lecture) -> None:
    """A picture that is sent again is not a picture that changed, and a callback that fails is an error even though no cell shows it."""
    moves = [lab.moves_picture(planted.page, i, lab.step(*lab.controls(planted.page, i)), seconds) for i, seconds in ((0, 20), (1, 1.5))]
    assert moves == [True, False]
    said = "a callback failed: ZeroDivisionError: division by zero"
    assert said not in lab.troubles(planted.page)
    assert not lab.moves_picture(planted.page, 2, lab.step(*lab.controls(planted.page, 2)), 1.5)
    assert said in lab.troubles(planted.page)


def test_planted_slides_are_complained_about(planted: Lecture) -> None:
    assert [problem for problem in planted.page.evaluate("probe.wide()") if problem.startswith("cell 4: ")]
    with lab.deck(planted.page):
        problems, seen, _ = walk(planted)
    shutil.rmtree(ARTEFACTS / planted.name)
    assert seen == set(range(len(PLANTED)))
    for source, complaint in PLANTED:
        assert any(complaint in problem for problem in problems), f"nothing was said about {source[:40]!r}"
    assert not any(problem.startswith("slide 2: ") and "cell 1 " in problem for problem in problems), "the second slide fits"


def test_without_a_browser_it_skips_and_in_ci_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "chromium", lambda: None)
    monkeypatch.setenv("CI", "")
    with pytest.raises(pytest.skip.Exception, match="no browser found"):
        need_browser()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no browser found"):
        need_browser()
