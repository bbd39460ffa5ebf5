"""Which images and radii the panels of adversarial images show (snslib/book/figures/attacks.py)."""

import pytest
import torch
from matplotlib.figure import Figure

from snslib.book.figures import attacks

CLASSES = ["cat", "dog"]


def predictions(figure: Figure) -> list[str]:
    return [" ".join(ax.get_xlabel().split()) for ax in figure.axes if ax.get_xlabel()]


def test_only_the_images_asked_for_are_shown() -> None:
    x, y = torch.rand(3, 3, 4, 4), torch.tensor([0, 1, 1])
    logits = {"clean": torch.tensor([[9.0, 0], [9, 0], [0, 9]]), "PGD": torch.tensor([[9.0, 0], [0, 9], [9, 0]])}
    panel = attacks.adversarial_panel(x, y, {"PGD": x}, logits, CLASSES, 0.1, [2, 0])
    assert predictions(panel) == ["✓ dog 100%", "✗ cat 100%", "✓ cat 100%", "✓ cat 100%"]
    shown = torch.tensor(panel.axes[0].images[0].get_array())
    assert torch.equal(shown, x[2].permute(1, 2, 0))
    assert len(attacks.adversarial_panel(x, y, {"PGD": x}, logits, CLASSES, 0.1).axes) == 2 * 3 * 2


def test_the_largest_radii_stand_beside_the_clean_image() -> None:
    x, epsilons = torch.full((1, 3, 4, 4), 0.5), [0.0, 4 / 255, 8 / 255, 16 / 255]
    grown = torch.cat([x + eps for eps in epsilons])
    logits = torch.tensor([[0.0, 9.0], [0, 9], [9, 0], [9, 0]])
    panel = attacks.largest_radii(x, torch.tensor([1]), grown, logits, CLASSES, epsilons, count=2)
    assert [ax.get_title() for ax in panel.axes[:3]] == ["clean", "8/255", "16/255"]
    assert predictions(panel) == ["✓ dog 100%", "✗ cat 100%", "✗ cat 100%"]
    below = [ax.images[0].get_array().mean() for ax in panel.axes[4:]]
    assert below == pytest.approx([0.75, 1.0])  # half of the largest radius is half way to white
