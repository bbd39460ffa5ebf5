"""What the explorers of the chapters compute anew when a control moves (snslib/book/explorers.py)."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from snslib.book import explorers
from snslib.data import Split
from snslib.study.records import Record

RUN = SimpleNamespace(eps=8 / 255, steps=2)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is drawn, in its order."""
    asked: list[Any] = []

    def draw(*arguments: Any) -> str:
        asked.append(arguments)
        return ""

    for name in ("adversarial_panel", "ranked"):
        monkeypatch.setattr(explorers, name, draw)
    return asked


def test_any_image_is_attacked_in_any_network_within_the_radius(asked: list[Any]) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).eval()
    test = Split(torch.arange(60, dtype=torch.uint8).view(5, 3, 2, 2) + 90, torch.tensor([0, 1, 0, 1, 1]))
    trained: list[str] = []
    networks: Any = SimpleNamespace(
        settings=RUN,
        test=test,
        device="cpu",
        data=SimpleNamespace(classes=["cat", "dog"]),
        model=lambda network: trained.append(network) or model,
    )
    image, attack, eps, network, _ = explorers.any_attack(networks, images=3, first=1).children
    assert (image.max, image.value, attack.value, eps.value, network.value) == (2, 1, "pgd", 8.0, "vanilla")
    network.value = "pat"
    attack.value = "fgsm"
    image.value = 2
    eps.value = 16
    assert trained == ["vanilla", "pat", "pat", "pat", "pat"]
    x, y, adversarial, logits, classes, radius = asked[-1]
    assert torch.equal(x, test.images[2:3] / 255)
    assert (y.tolist(), classes, radius) == ([0], ["cat", "dog"], 16 / 255)
    assert list(adversarial) == ["FGSM"]
    assert list(logits) == ["clean", "FGSM"]
    assert (adversarial["FGSM"] - x).abs().max().item() == pytest.approx(16 / 255)


def test_any_layer_is_ranked_under_any_attack_of_any_network(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def sensitivity(networks: Any, network: str, attack: str) -> Record:
        return Record("sensitivity", {"sigma": {layer: [network, attack, layer] for layer in ("conv1", "fc")}}, {})

    monkeypatch.setattr(explorers, "sensitivity", sensitivity)
    omega = {"conv1": torch.tensor([1, 0]), "fc": torch.tensor([0])}
    networks: Any = SimpleNamespace()
    layer, attack, network, _ = explorers.ranked_neurons(networks, omega).children
    layer.value = "fc"
    attack.value = "fgsm"
    network.value = "pat"
    assert asked[0] == ("conv1", ["vanilla", "pgd", "conv1"], 2)
    assert asked[-1] == ("fc", ["pat", "fgsm", "fc"], 1)
