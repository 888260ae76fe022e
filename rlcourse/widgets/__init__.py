"""Sliders over figures: thin views. A figure function draws once and moves its artists afterwards; here it gets sliders and a picture.

`explore(draw, **controls)` is all there is; a lecture's widgets are one call each, in rlcourse/widgets/lecture_NN.py. Works with mouse, touch and
keyboard (Tab, arrow keys).
"""

from __future__ import annotations

import ast
import base64
import html
import inspect
import io
import textwrap
from collections.abc import Callable
from typing import Any

import ipywidgets
from IPython.display import Code
from matplotlib.figure import Figure
from PIL import Image

from rlcourse.notation.derivation import Derivation
from rlcourse.notation.rendering import Line, block

WIDE = {"description_width": "11em"}


def png(fig: Figure) -> bytes:
    """The figure as PNG bytes. Low compression: half the time of the default, and the picture only travels to this machine's browser."""
    canvas: Any = fig.canvas
    canvas.draw()
    out = io.BytesIO()
    Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba()).convert("RGB").save(out, "png", compress_level=1)
    return out.getvalue()


class Explorable(ipywidgets.VBox):
    """Controls above a picture. Beside the live view it hands the notebook a static twin, the picture at the default position with its alt text: what
    GitHub, paper and a reader without a kernel see. draw, controls: what `explore` was given."""

    def __init__(self, children: list[ipywidgets.Widget], twin: bytes, alt: str, draw: Callable[..., Figure],
                 controls: dict[str, ipywidgets.Widget]) -> None:
        super().__init__(children)
        self.twin, self.alt, self.draw, self.controls = twin, alt, draw, controls

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        live = super()._repr_mimebundle_(**kwargs)
        data = live[0] if isinstance(live, tuple) else live
        return {**data, "image/png": base64.b64encode(self.twin).decode()}, {"image/png": {"alt": self.alt}}


def explore(draw: Callable[..., Figure], alt: str, **controls: ipywidgets.Widget) -> Explorable:
    """Controls above a picture of `draw(**values)`; moving one calls `draw(fig=fig, **values)` and replaces the picture.

    alt: what the picture shows, in words, for screen readers (a picture widget has no alt text of its own). An error in `draw` appears under the
    picture in red: it is never swallowed.
    """
    fig = draw(**{name: control.value for name, control in controls.items()})
    picture = ipywidgets.Image(value=png(fig), format="png", layout=ipywidgets.Layout(max_width="100%", object_fit="contain"))
    fig.set_layout_engine("none")            # the layout is settled: computing it anew would take half of each frame
    spoken = ipywidgets.HTML(f'<span style="position:absolute;width:1px;height:1px;overflow:hidden">{html.escape(alt)}</span>')
    message = ipywidgets.HTML()

    def redraw(_: Any) -> None:
        try:
            picture.value = png(draw(fig=fig, **{name: control.value for name, control in controls.items()}))
            message.value = ""
        except Exception as error:
            message.value = f'<b style="color:#D55E00">The picture could not be drawn: {html.escape(f"{type(error).__name__}: {error}")}</b>'

    for control in controls.values():
        control.observe(redraw, names="value")
    return Explorable([*controls.values(), picture, spoken, message], picture.value, alt, draw, controls)


class Presented(ipywidgets.VBox):
    """A derivation that is revealed line by line, with a pause for a prediction before each. Its static twin is the whole chain: what GitHub, paper
    and a reader without a kernel see.

    position: 0 shows the start; every step takes two: first its reason ("what will the line be?"), then the line and how it was checked.
    Back and Next are buttons: Tab reaches them, Enter presses them (while slides are shown, Space turns the page).
    """

    def __init__(self, derivation: Derivation) -> None:
        self.twin, self.spoken, self.chain = derivation._repr_markdown_(), repr(derivation), derivation.lines()
        self.first = sum(line.kind != "step" for line in self.chain)
        self.last_position = 2 * (len(self.chain) - self.first)
        self.head = ipywidgets.HTML(f"<b>{html.escape(derivation.title)}</b> [{html.escape(derivation.tag)}]")
        self.formula, self.words = ipywidgets.HTMLMath(), ipywidgets.HTMLMath()
        self.back = ipywidgets.Button(description="Back", icon="arrow-left", tooltip="one line back")
        self.next = ipywidgets.Button(description="Next", icon="arrow-right", tooltip="the next reason, then its line")
        self.counter = ipywidgets.HTML()
        self.back.on_click(lambda _: self.show(self.position - 1))
        self.next.on_click(lambda _: self.show(self.position + 1))
        super().__init__([self.head, self.formula, self.words, ipywidgets.HBox([self.back, self.next, self.counter])])
        self.show(0)

    def show(self, position: int) -> None:
        """Goes to a position; past either end it stays at the end."""
        self.position = min(max(position, 0), self.last_position)
        steps, asks = (self.position + 1) // 2, self.position % 2 == 1
        shown = self.chain[: self.first + steps - asks]
        self.formula.value = f'<div style="font-size:115%">{html.escape(block(shown))}</div>'
        self.words.value = _asked(self.chain[len(shown)]) if asks else _told(shown[-1])
        self.back.disabled, self.next.disabled = self.position == 0, self.position == self.last_position
        self.counter.value = f"step {steps} of {len(self.chain) - self.first}" + (": predict its line" if asks else "")

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        live = super()._repr_mimebundle_(**kwargs)
        data = live[0] if isinstance(live, tuple) else live
        return {**data, "text/markdown": self.twin, "text/plain": self.spoken}, {}


def _asked(line: Line) -> str:
    """The reason of a line that is still hidden."""
    return f"<p><b>({line.number})</b> {html.escape(line.because)}. <i>What will the line be?</i></p>"


def _told(line: Line) -> str:
    """The reason of the newest line and how it was checked; nothing for the start."""
    note = f" ({html.escape(line.note)})" if line.note else ""
    return f"<p><b>({line.number})</b> {html.escape(line.because)}{note}<br>✓ {html.escape(line.how)}</p>" if line.number else ""


def present(derivation: Derivation) -> Presented:
    """The derivation with Back and Next, for a lecture hall: first the reason, then the line."""
    return Presented(derivation)


def slider(label: str, value: float, low: float, high: float, step: float = 0.05) -> ipywidgets.FloatSlider:
    """A slider whose label is never cut off."""
    return ipywidgets.FloatSlider(value=value, min=low, max=high, step=step, description=label, style=WIDE, layout=ipywidgets.Layout(width="34em"))


def counter(label: str, value: int, low: int, high: int, step: int = 1) -> ipywidgets.IntSlider:
    """A slider over whole numbers whose label is never cut off."""
    return ipywidgets.IntSlider(value=value, min=low, max=high, step=step, description=label, style=WIDE, layout=ipywidgets.Layout(width="34em"))


def choice(label: str, options: tuple[str, ...]) -> ipywidgets.ToggleButtons:
    """One of a few versions, all of them visible."""
    return ipywidgets.ToggleButtons(options=options, description=label, style={**WIDE, "button_width": "auto"})


def source(thing: Any, docstring: bool = True) -> Code:
    """The source of a function or method of the package, as it runs, for showing in a lecture; `docstring=False` leaves its documentation out."""
    text = textwrap.dedent(inspect.getsource(thing))
    if not docstring:
        first = ast.parse(text).body[0].body[0]
        lines = text.splitlines(keepends=True)
        text = "".join(lines[:first.lineno - 1] + lines[first.end_lineno:])
    return Code(text, language="python")
