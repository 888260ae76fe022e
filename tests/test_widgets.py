"""Every widget of every lecture: at every position of its controls it draws something finite and labelled, and it brings its static twin."""

import base64
import importlib
import inspect
import itertools
import pkgutil

import numpy as np
import pytest
from matplotlib.axes import Axes

from rlcourse import widgets
from rlcourse.widgets import Explorable

LECTURES = [importlib.import_module(f"rlcourse.widgets.{module.name}") for module in pkgutil.iter_modules(widgets.__path__)]
WIDGETS = {f"{module.__name__.rpartition('.')[2]}.{name}": make for module in LECTURES
           for name, make in inspect.getmembers(module, inspect.isfunction) if make.__module__ == module.__name__ and not name.startswith("_")}
MOST = 60      # positions of all controls together that are drawn for one widget


def positions(control, count=4) -> list:
    """A few positions of a control, both ends among them."""
    if hasattr(control, "options"):
        return [option[1] if isinstance(option, tuple) else option for option in control.options]
    if isinstance(control.value, bool):
        return [False, True]
    return sorted({type(control.value)(v) for v in np.linspace(control.min, control.max, count)})


def plotted(fig) -> list[Axes]:
    """The axes that show data: neither colour bars nor axes that are switched off."""
    return [ax for ax in fig.axes if ax.axison and ax.get_label() != "<colorbar>"]


@pytest.fixture(scope="module", params=sorted(WIDGETS))
def widget(request) -> Explorable:
    return WIDGETS[request.param]()


def test_every_position_draws_something_finite_with_a_finding_and_labelled_axes(widget):
    fig, names = None, list(widget.controls)
    grid = list(itertools.product(*(positions(control, 3) for control in widget.controls.values())))
    for values in grid[:: -(-len(grid) // MOST)] + grid[-1:]:
        fig = widget.draw(**dict(zip(names, values)), **({} if fig is None else {"fig": fig}))
        axes = plotted(fig)
        assert fig.get_suptitle() or any(ax.get_title(loc=place) for ax in axes for place in ("left", "center")), "the title says the finding"
        for ax in axes:
            assert ax.get_xlabel() and ax.get_ylabel(), f"{values}: an axis without a label"
            for y in [np.asarray(line.get_ydata(), float) for line in ax.lines if line.get_visible() and len(line.get_ydata())]:
                assert np.isfinite(y).any() and not np.isinf(y).any(), f"{values}: a curve is not finite"     # NaN is a gap
            named = [line for line in ax.lines if line.get_visible() and not str(line.get_label()).startswith("_")]
            assert len(named) < 2 or ax.get_legend() or fig.legends, f"{values}: curves with names and no legend"


def test_moving_each_control_changes_the_picture(widget):
    *_, picture, _, message = widget.children
    for name, control in widget.controls.items():
        start, before = control.value, picture.value
        control.value = [position for position in positions(control) if position != start][-1]
        assert picture.value != before, f"{name} moves, and the picture stays"
        assert message.value == ""
        control.value = start


def test_it_brings_its_static_twin_and_words_for_those_who_do_not_see_it(widget):
    """What GitHub and paper show: the picture at the default position, with alt text, beside the live view."""
    data, metadata = widget._repr_mimebundle_()
    *_, spoken, _ = widget.children
    assert "application/vnd.jupyter.widget-view+json" in data
    assert base64.b64decode(data["image/png"]) == widget.twin == widgets.png(widget.draw(**{n: c.value for n, c in widget.controls.items()}))
    assert len(metadata["image/png"]["alt"]) > 60 and len(spoken.value) > 60


def test_there_are_two_to_four_in_every_lecture_that_has_any():
    counts = {module.__name__: sum(name.startswith(module.__name__.rpartition(".")[2] + ".") for name in WIDGETS) for module in LECTURES}
    assert counts and all(1 <= count <= 4 for count in counts.values()), counts
