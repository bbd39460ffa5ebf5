"""Suppression under a slider: the flipbook of a record, and the explorer of a network that adds up its neurons."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from snslib.attacks import ATTACKS
from snslib.book import explorers, flipbooks
from snslib.data import Split
from snslib.study.networks import Networks
from snslib.study.records import Record


def test_a_frame_per_factor_has_its_accuracies_in_words() -> None:
    white_box = {name: [0.9, 0.8] for name in ("clean", *ATTACKS)} | {"pgd": [0.25, 0.375]}
    result = {"betas": [1.0, 0.5], "white_box": white_box, "transferred": white_box | {"pgd": [0.25, 0.5]}}
    slider, stack = flipbooks.suppression(Record("suppression", result, {"n": 100})).children
    assert slider.options == ("1", "0.5")
    text = "β 0.5: 80.00% on clean images; under PGD 37.50% white box and 50.00% transferred"
    assert f'alt="{text}"' in stack.children[1].value


class Colours(nn.Module):
    """Reads class 0 where the image is redder than it is green: the two neurons of ``conv1`` are red and green."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 2, 1, bias=False)
        with torch.no_grad():
            self.conv1.weight.zero_()
            self.conv1.weight[0, 0] = self.conv1.weight[1, 1] = 1

    def forward(self, x: Tensor) -> Tensor:
        return self.conv1(x).mean((2, 3))


def test_the_explorer_suppresses_the_sensitive_neurons(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three red images, red at half is still above green in one, and PGD here takes the red away."""
    images = torch.zeros(3, 3, 2, 2, dtype=torch.uint8)
    images[:, 0] = 200
    images[:, 1] = torch.tensor([50, 150, 180])[:, None, None]

    def no_red(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return x * torch.tensor([0.0, 1, 1])[:, None, None]

    sigma = Record("sensitivity", {"sigma": {"conv1": [2.0, 1.0]}}, {})
    monkeypatch.setattr(explorers, "sensitivity", lambda *arguments, **options: sigma)
    networks: Any = SimpleNamespace(
        model=lambda defense: Colours().eval(),
        test=Split(images, torch.zeros(3, dtype=torch.int64)),
        attacks=dict.fromkeys(ATTACKS, no_red),
        conv_layers=("conv1",),
        settings=SimpleNamespace(fraction=0.5),
    )
    box = explorers.suppressed_neurons(cast(Networks, networks))
    beta, where, attack, shown = box.children
    assert "66.67% on clean images, 0.00% under white-box PGD" in shown.value  # 170 at 0.85
    beta.value = 0.5
    assert "33.33% on clean images" in shown.value
    assert where.options == ("all layers", "conv1")
    where.value = "conv1"
    assert "33.33% on clean images" in shown.value
    attack.value = "fgsm"
    assert "white-box FGSM" in shown.value
