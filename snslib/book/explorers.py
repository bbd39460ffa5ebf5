"""The explorers of the chapters: controls under which a running notebook computes anew.

Each takes the networks of its chapter. A network that is chosen and not trained yet is trained first.
"""

from collections.abc import Mapping

import torch
from ipywidgets import Dropdown, FloatSlider, IntSlider, VBox
from matplotlib.figure import Figure
from torch import Tensor

from snslib.attacks import ATTACKS, paper_attacks
from snslib.book.figures.attacks import adversarial_panel
from snslib.book.figures.sensitivity import ranked
from snslib.book.text import percent
from snslib.book.widgets import explorer
from snslib.data import to_float
from snslib.evaluation.accuracy import accuracy
from snslib.hooks import suppress
from snslib.sensitivity import top_neurons
from snslib.study.defenses import LABELS
from snslib.study.measurements import sensitivity
from snslib.study.networks import Networks


def any_attack(networks: Networks, images: int, first: int) -> VBox:
    """A test image under any attack, radius and network (chapter 1).

    Args:
        networks: of the chapter.
        images: how many test images there are to choose from, at most.
        first: the place of the image that is shown first.
    """
    settings = networks.settings
    split = networks.test.take(images).to(networks.device)
    x, y = to_float(split.images), split.labels

    def draw(image: int, attack: str, eps: float, network: str) -> Figure:
        model, one = networks.model(network), slice(image, image + 1)
        x_adv = paper_attacks(eps / 255, eps / 2550, settings.steps)[attack](model, x[one], y[one])
        with torch.no_grad():
            logits = {"clean": model(x[one]), ATTACKS[attack]: model(x_adv)}
        return adversarial_panel(x[one], y[one], {ATTACKS[attack]: x_adv}, logits, networks.data.classes, eps / 255)

    return explorer(
        draw,
        image=IntSlider(first, 0, len(x) - 1, continuous_update=False),
        attack=_attacks(),
        eps=FloatSlider(255 * settings.eps, min=1, max=64, step=1, description="255 · eps", continuous_update=False),
        network=Dropdown(options=list(LABELS)),
    )


def ranked_neurons(networks: Networks, omega: Mapping[str, Tensor]) -> VBox:
    """The sensitivity of a layer's neurons from high to low, for any layer, attack and network (chapter 2).

    Args:
        networks: of the chapter.
        omega: layer to the vanilla model's sensitive neurons, int64 (K,); K of each network's are set off.
    """

    def draw(layer: str, attack: str, network: str) -> Figure:
        return ranked(layer, sensitivity(networks, network, attack).result["sigma"][layer], len(omega[layer]))

    return explorer(
        draw, layer=Dropdown(options=list(omega)), attack=_attacks(), network=Dropdown(options=list(LABELS))
    )


def suppressed_neurons(networks: Networks) -> VBox:
    """Accuracy with sensitive neurons of the vanilla network multiplied by any factor, in one layer or all (chapter 3).

    Args:
        networks: of the chapter. Accuracy is that on the first 100 test images, and white box.
    """
    model, split = networks.model("vanilla"), networks.test.take(100)
    sigma = sensitivity(networks, "vanilla", split="train").result["sigma"]
    convolutions = {layer: torch.tensor(sigma[layer]) for layer in networks.conv_layers}
    omega = top_neurons(convolutions, fraction=networks.settings.fraction)

    def draw(beta: float, where: str, attack: str) -> str:
        with suppress(model, omega if where == "all layers" else {where: omega[where]}, beta):
            clean, attacked = (accuracy(model, split, made) for made in (None, networks.attacks[attack]))
        return f"{percent(clean)} on clean images, {percent(attacked)} under white-box {ATTACKS[attack]}"

    return explorer(
        draw,
        beta=FloatSlider(0.85, min=0, max=1.5, step=0.05, continuous_update=False),
        where=Dropdown(options=["all layers", *omega]),
        attack=_attacks(),
    )


def _attacks() -> Dropdown:
    return Dropdown(options=[(label, name) for name, label in ATTACKS.items()], value="pgd")
