"""The figure of a network's neurons: groups side by side, each neuron with the images that activate it most."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from snslib.book.figures.receptive_fields import vanilla_neurons
from snslib.data import Split
from snslib.study.networks import Networks


def test_each_group_is_a_panel_of_neurons_on_their_images() -> None:
    """Neuron c is colour c of the image. The attack halves the image: no half is among the highest half percent."""
    images = torch.randint(0, 200, (7, 3, 8, 8), dtype=torch.uint8)
    images[4, 2, 1, 1] = 255  # the highest blue of all
    model = nn.Sequential(nn.Identity()).eval()

    def halved(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return x / 2

    networks: Any = SimpleNamespace(
        model=lambda defense: model,
        attacks={"pgd": halved},
        test=Split(images, torch.zeros(7, dtype=torch.int64)),
    )
    groups = {"most sensitive": [0, 1], "least sensitive": [2, 1]}
    figure = vanilla_neurons(cast(Networks, networks), "0", groups)
    assert [part.get_suptitle() for part in figure.subfigs] == list(groups)
    axes = [part.axes for part in figure.subfigs]
    assert [[ax.get_ylabel() for ax in part[::10]] for part in axes] == [
        ["0\nbenign", "1\nbenign"],
        ["2\nbenign", "1\nbenign"],
    ]
    bluest = axes[1][0].get_images()[0].get_array()
    assert bluest[1, 1, 2] == 1
    dark = 0.3 * images[4, 2, 4:].numpy() / 255
    np.testing.assert_allclose(bluest[4:, :, 2], dark, rtol=1e-5)
    assert {ax.get_xlabel() for ax in axes[0][5:10]} <= {"0.00", "–"}
