"""Pictures under sliders: what is saved with a notebook is all that a page needs (snslib/book/widgets.py)."""

from typing import Any

import matplotlib.pyplot as plt
import pytest
from ipywidgets import Dropdown, FloatSlider
from ipywidgets.embed import dependency_state
from matplotlib.figure import Figure

from snslib.book.figures import use_style
from snslib.book.widgets import explorer, flipbook

PNG = b"\x89PNG\r\n\x1a\n picture"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'/>"


def test_the_browser_alone_joins_slider_and_pictures() -> None:
    book = flipbook([PNG, SVG], ["2/255", "8/255"], "eps", ["a seven", "noise"], start=1)
    slider, stack = book.children
    assert slider.options == ("2/255", "8/255")
    assert (slider.description, slider.index, stack.selected_index) == ("eps", 1, 1)

    saved = dependency_state([book]).values()
    (link,) = [model["state"] for model in saved if model["model_name"] == "LinkModel"]
    assert link["source"] == [f"IPY_MODEL_{slider.model_id}", "index"]
    assert link["target"] == [f"IPY_MODEL_{stack.model_id}", "selected_index"]


def test_every_frame_holds_its_picture_and_its_text() -> None:
    texts = ["a <seven>", 'read as "8"', "σ"]
    frames = [frame.value for frame in flipbook([PNG, SVG, SVG], list("abc"), "frame", texts).children[1].children]
    assert frames[0].startswith('<img alt="a &lt;seven&gt;" src="data:image/png;base64,')
    assert frames[1].startswith('<img alt="read as &quot;8&quot;" src="data:image/svg+xml;base64,')
    assert 'alt="σ"' in frames[2]


def test_without_widgets_there_is_the_picture_that_they_show() -> None:
    book = flipbook([PNG, SVG], ["2/255", "8/255"], "eps", ["a seven", "noise"], start=1)
    bundle = book._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == book.model_id
    assert bundle["text/html"].startswith('<img alt="noise" ')
    book.children[1].selected_index = 0
    assert book._repr_mimebundle_()["text/html"].startswith('<img alt="a seven" ')
    dial = FloatSlider(value=1.0)
    live = explorer(lambda beta: f"beta is {beta}", beta=dial)
    dial.value = 2.0
    assert live._repr_mimebundle_()["text/html"] == "<p>beta is 2.0</p>"


def test_a_figure_becomes_the_same_picture_from_run_to_run() -> None:
    use_style()

    def drawn() -> str:
        figure, axes = plt.subplots(figsize=(2, 1))
        axes.plot([0, 1], label="σ")
        axes.legend()
        plt.close(figure)
        return flipbook([figure], ["a"], "frame", ["a line"]).children[1].children[0].value

    assert drawn() == drawn()
    assert "image/svg+xml" in drawn()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"frames": []}, "frames"),
        ({"labels": ["a"]}, "labels"),
        ({"alt": ["a", "b", "c"]}, "alt"),
        ({"labels": ["a", "a"]}, "labels"),
        ({"start": 2}, "start"),
        ({"start": -1}, "start"),
    ],
)
def test_bad_arguments_are_named(wrong: dict[str, Any], named: str) -> None:
    good = {"frames": [PNG, PNG], "labels": ["a", "b"], "description": "frame", "alt": ["one", "two"]}
    with pytest.raises(ValueError, match=named):
        flipbook(**good | wrong)


def test_an_explorer_draws_anew_whatever_control_moves() -> None:
    asked: list[tuple[float, str]] = []

    def draw(beta: float, attack: str) -> Figure | str:
        asked.append((beta, attack))
        return Figure() if attack == "pgd" else f"{beta:g} < 1"

    beta, attack = FloatSlider(0.5, min=0, max=1), Dropdown(options=["pgd", "fgsm"], description="which")
    box = explorer(draw, beta=beta, attack=attack)
    shown = box.children[-1]
    assert shown.value.startswith('<img alt="beta 0.5, attack pgd"')
    attack.value = "fgsm"
    beta.value = 0.75
    assert asked == [(0.5, "pgd"), (0.5, "fgsm"), (0.75, "fgsm")]
    assert shown.value == "<p>0.75 &lt; 1</p>"
    assert [control.description for control in box.children[:-1]] == ["beta", "which"]
