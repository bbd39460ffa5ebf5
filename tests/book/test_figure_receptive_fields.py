"""The figure of a network's neurons: groups side by side, each neuron with the images that activate it most."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from snslib.book.figures.receptive_fields import receptive_fields, vanilla_neurons
from snslib.data import Split
from snslib.study.networks import Networks
from snslib.study.records import Record


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
    regions = Record("regions", {"units": {"sensitive": [0, 1], "insensitive": [1, 2]}}, {"layer": "0"})
    figure = vanilla_neurons(cast(Networks, networks), regions)
    assert [part.get_suptitle() for part in figure.subfigs] == ["most sensitive", "least sensitive"]
    axes = [part.axes for part in figure.subfigs]
    assert [[ax.get_ylabel() for ax in part[::10]] for part in axes] == [
        ["neuron 0\nbenign", "neuron 1\nbenign"],
        ["neuron 2\nbenign", "neuron 1\nbenign"],
    ]
    bluest = axes[1][0].get_images()[0].get_array()
    assert bluest[1, 1, 2] == 1
    dark = 0.3 * images[4, 2, 4:].numpy() / 255
    np.testing.assert_allclose(bluest[4:, :, 2], dark, rtol=1e-5)
    first, *others = (ax.get_xlabel() for ax in axes[0][5:10])
    assert first in ("shared 0.00", "shared –")
    assert set(others) <= {"0.00", "–"}


def test_three_neurons_of_either_end_are_shown_the_end_first() -> None:
    networks: Any = SimpleNamespace(
        model=lambda defense: nn.Sequential(nn.Identity()).eval(),
        attacks={"pgd": lambda model, x, y: x},
        test=Split(torch.randint(0, 256, (7, 3, 8, 8), dtype=torch.uint8), torch.zeros(7, dtype=torch.int64)),
    )
    units = {"sensitive": [0, 1, 2, 1], "insensitive": [0, 2, 1, 0]}
    figure = vanilla_neurons(cast(Networks, networks), Record("regions", {"units": units}, {"layer": "0"}))
    shown = [[ax.get_ylabel().split()[1] for ax in part.axes[::10]] for part in figure.subfigs]
    assert shown == [["0", "1", "2"], ["0", "1", "2"]]


def test_a_line_runs_around_a_mask_and_none_where_there_is_nothing_to_go_around() -> None:
    """Two images, one with a mask of its lower half and of nothing, one with a mask of all and of a corner."""
    x = torch.full((2, 3, 8, 8), 0.5)
    mask, mask_adv = torch.zeros(2, 2, 8, 8, dtype=torch.bool)
    mask[0, 4:], mask[1], mask_adv[1, :2, :2] = True, True, True
    figure = receptive_fields({"most sensitive": {"7": (x, x, mask, mask_adv)}})
    lower, every, nothing, corner = figure.axes
    assert [len(ax.collections) for ax in (lower, every, nothing, corner)] == [1, 0, 0, 1]
    assert {y for _, y in lower.collections[0].get_paths()[0].vertices} == {3.5}
    assert corner.collections[0].get_paths()[0].vertices.max() == 1.5
    assert [ax.get_xlabel() for ax in (nothing, corner)] == ["shared 0.00", "0.06"]
