"""Predictions and accuracy, clean and under attack (Tables 1-2)."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from snslib.attacks import Attack
from snslib.data import Split, batches, to_float
from snslib.inference import device_of, fast_memory_format, frozen, images_at_once


def predicted(model: nn.Module, images: Iterable[Tensor]) -> Tensor:
    """The predicted class of every image, int64 (N,) on the CPU; the model is in eval mode and left as it was.

    Args:
        model: maps float images in [0, 1] to logits (N, K).
        images: batches (B, 3, H, W) on the model's device.
    """
    classes = []
    for x in images:
        with frozen(model), torch.no_grad():
            classes.append(model(fast_memory_format(model, x)).argmax(1))
    return torch.cat(classes).cpu()


def correct(model: nn.Module, split: Split, attack: Attack | None = None, batch_size: int | None = None) -> Tensor:
    """Which images the model still gets right, bool (N,) on the CPU, in the order of the split.

    Every image is attacked, also those that the clean model gets wrong, and a targeted attack counts as resisted
    when the true class is predicted.

    Args:
        model: maps float images in [0, 1] to logits; run in eval mode and left as it was.
        split: the images and their true classes.
        attack: maps (model, x, y) to x'; None for clean accuracy.
        batch_size: images at a time, None for what suits the device; matters to speed only.
    """

    def attacked() -> Iterator[Tensor]:
        device = device_of(model)
        for _, images, y in batches(split.to(device), batch_size or images_at_once(device)):
            x = to_float(images)
            yield x if attack is None else attack(model, x, y)

    return predicted(model, attacked()) == split.labels.cpu()


def accuracy(model: nn.Module, split: Split, attack: Attack | None = None, batch_size: int | None = None) -> float:
    """The share in [0, 1] of images that the model still gets right; arguments as in :func:`correct`."""
    return correct(model, split, attack, batch_size).double().mean().item()


def robust_to_all(model: nn.Module, split: Split, attempts: Iterable[Attack], batch_size: int | None = None) -> Tensor:
    """Which images are right as they are and after every one of several attacks, bool (N,) on the CPU.

    Each attack is run on the images that all before it have left right.
    """
    right = correct(model, split, batch_size=batch_size)
    for attack in attempts:
        if right.any():
            left = right.to(split.labels.device)
            rest = Split(split.images[left], split.labels[left])
            right[right.clone()] = correct(model, rest, attack, batch_size)
    return right
