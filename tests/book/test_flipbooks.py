"""The texts, places and first frames of the chapters' flipbooks (snslib/book/flipbooks.py)."""

import html
import re

import torch
from ipywidgets import VBox

from snslib.book import flipbooks


def texts(book: VBox) -> list[str]:
    frames = (frame.value for frame in book.children[1].children)
    return [html.unescape(re.match(r'<img alt="(.*?)"', frame)[1]) for frame in frames]  # type: ignore[index]


def test_each_radius_is_a_frame_with_the_prediction_and_the_nearest_to_ours_comes_first() -> None:
    x, label = torch.full((1, 3, 8, 8), 0.5), torch.tensor([1])
    logits = torch.tensor([[0.0, 1.0], [0.0, 0.0], [3.0, 0.0]]).log_softmax(1)
    book = flipbooks.growing_attack(
        x, label, x.expand(3, 3, 8, 8), logits, ["cat", "dog"], [0, 2 / 255, 8 / 255], 7 / 255
    )
    slider = book.children[0]
    assert (slider.description, slider.options, slider.index) == ("eps", ("0/255", "2/255", "8/255"), 2)
    assert texts(book) == [  # e / (1 + e) is 0.73, e^3 / (1 + e^3) is 0.95
        "Under PGD with eps 0/255, an image of class dog is read as dog, with a probability of 73%.",
        "Under PGD with eps 2/255, an image of class dog is read as cat, with a probability of 50%.",
        "Under PGD with eps 8/255, an image of class dog is read as cat, with a probability of 95%.",
    ]


def test_each_layer_is_a_frame_with_the_mean_of_its_sensitive_neurons() -> None:
    sigma = {"conv1": torch.tensor([1.0, 4.0, 2.0, 1.0]), "fc": torch.tensor([0.5, 0.25])}
    book = flipbooks.ranked_neurons(sigma, {"conv1": torch.tensor([1, 2]), "fc": torch.tensor([0])})
    assert book.children[0].options == ("conv1", "fc")
    assert texts(book) == [
        "conv1: of 4 neurons, the 2 most sensitive have a mean sensitivity of 3, and all together one of 2.",
        "fc: of 2 neurons, the 1 most sensitive have a mean sensitivity of 0.5, and all together one of 0.375.",
    ]
