"""Accuracy, clean and under attack (Tables 1-2)."""

import torch
from torch import Tensor, nn

from snslib.attacks import Attack
from snslib.data import Split, batches, to_float
from snslib.modes import device_of, frozen


def correct(model: nn.Module, split: Split, attack: Attack | None = None, batch_size: int = 250) -> Tensor:
    """Which images the model still gets right, bool (N,) on the CPU, in the order of the split.

    Every image is attacked, also those that the clean model gets wrong, and a targeted attack counts as resisted
    when the true class is predicted.

    Args:
        model: maps float images in [0, 1] to logits; judged in eval mode and left as it was.
        split: the images and their true classes.
        attack: maps (model, x, y) to x'; None for clean accuracy.
        batch_size: images at a time; matters to speed only.
    """
    device = device_of(model)
    hits = []
    for _, images, y in batches(split.to(device), batch_size):
        x = to_float(images)
        if attack is not None:
            x = attack(model, x, y)
        with frozen(model), torch.no_grad():
            hits.append(model(x).argmax(1) == y)
    return torch.cat(hits).cpu()


def accuracy(model: nn.Module, split: Split, attack: Attack | None = None, batch_size: int = 250) -> float:
    """The share in [0, 1] of images that the model still gets right; arguments as in :func:`correct`."""
    return correct(model, split, attack, batch_size).double().mean().item()
