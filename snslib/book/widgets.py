"""Pictures under sliders: to leaf through, also without a kernel on a page of the built book, and to compute anew."""

import base64
import html
import io
from collections.abc import Callable, Sequence
from typing import Any

from ipywidgets import HTML, Layout, SelectionSlider, Stack, VBox, Widget, jslink
from matplotlib.figure import Figure

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class Pictured(VBox):
    """Widgets under each other, and one picture for a notebook that is not trusted or is shown without widgets."""

    def __init__(self, children: Sequence[Widget], picture: Callable[[], str]) -> None:
        """
        Args:
            children: the widgets.
            picture: gives the picture that they show now, as HTML.
        """
        super().__init__(children, layout=Layout(width="100%", margin="0"))
        self._picture = picture

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        return {**super()._repr_mimebundle_(**kwargs), "text/html": self._picture()}


def flipbook(
    frames: Sequence[bytes | Figure],
    labels: Sequence[str],
    description: str,
    alt: Sequence[str],
    start: int = 0,
) -> VBox:
    """A slider over labels, and below it the picture of the label that it stands at.

    The browser joins the two, so that saved in a notebook they work without Python. All frames are saved with them.

    Args:
        frames: pictures of one size, as PNG or SVG, or figures, which become SVG.
        labels: what the slider says at each frame, all different.
        description: what the slider moves, a word or two; it names the slider.
        alt: what each frame shows, for those who do not see it.
        start: the frame that is shown first.

    Raises:
        ValueError: there are no frames, they are not as many as the labels or the texts, a label comes twice, or
            ``start`` is no place of a frame.
    """
    if not frames or not len(frames) == len(labels) == len(alt):
        came = f"{len(frames)} frames, {len(labels)} labels and {len(alt)} texts"
        raise ValueError(f"frames, labels, alt: expected as many of each, at least one, got {came}")
    if len(set(labels)) < len(labels):
        raise ValueError(f"labels: expected different ones, got {list(labels)!r}")
    if not 0 <= start < len(frames):
        raise ValueError(f"start: expected a frame's place, 0 to {len(frames) - 1}, got {start!r}")
    wide = Layout(width="100%", margin="0")
    pictures = [HTML(image(frame, text), layout=wide) for frame, text in zip(frames, alt, strict=True)]
    slider = SelectionSlider(
        options=list(labels),
        index=start,
        description=description,
        tooltip=description,
        style={"description_width": "initial"},
        layout=wide,
    )
    stack = Stack(pictures, selected_index=start, layout=wide)
    jslink((slider, "index"), (stack, "selected_index"))
    return Pictured([slider, stack], lambda: pictures[stack.selected_index].value)


def explorer(draw: Callable[..., Figure | str], **controls: Any) -> VBox:
    """Controls, and below them what the kernel makes of their values, anew whenever one of them changes.

    Args:
        draw: maps the controls' values, under their names, to a figure or a sentence.
        controls: ipywidgets with a value, by the names of ``draw``'s arguments; the name describes a control that has
            no description of its own.
    """
    shown = HTML(layout=Layout(width="100%", margin="0"))

    def redraw(change: object = None) -> None:
        values = {name: control.value for name, control in controls.items()}
        result = draw(**values)
        text = ", ".join(f"{name} {value}" for name, value in values.items())
        shown.value = f"<p>{html.escape(result)}</p>" if isinstance(result, str) else image(result, text)

    for name, control in controls.items():
        control.description = control.description or name
        control.observe(redraw, "value")
    redraw()
    return Pictured([*controls.values(), shown], lambda: shown.value)


def image(frame: bytes | Figure, alt: str) -> str:
    """An HTML image that holds its data.

    Args:
        frame: a picture as PNG or SVG, or a figure, which becomes SVG.
        alt: what it shows, for those who do not see it.
    """
    if isinstance(frame, Figure):
        file = io.BytesIO()
        frame.savefig(file, format="svg", metadata={"Date": None})  # the same from run to run
        frame = file.getvalue()
    kind = "png" if frame.startswith(PNG_SIGNATURE) else "svg+xml"
    return f'<img alt="{html.escape(alt)}" src="data:image/{kind};base64,{base64.b64encode(frame).decode()}">'
