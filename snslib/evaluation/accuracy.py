"""Predictions and accuracy, clean and under attack (Tables 1-2)."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from snslib import arguments
from snslib.attacks import Attack
from snslib.data import Split, batches, to_float
from snslib.hooks import NotFinite
from snslib.inference import device_of, frozen, images_at_once, run
from snslib.logits import read_logits
from snslib.passes import warn_if_mixed
from snslib.sensitivity import dual_pairs


def predicted(model: nn.Module, images: Iterable[Tensor], classes: int = 1) -> Tensor:
    """The predicted class of every image, int64 (N,) on the CPU; the model is in eval mode and left as it was.

    Args:
        model: maps float images in [0, 1] to logits (N, K), K >= 2, or to what :func:`snslib.logits.read_logits` reads.
        images: batches (B, 3, H, W) on the model's device, at least one; each is a pass.
        classes: how many classes the model has to have, K or fewer.

    Raises:
        ValueError: no images, no logits (N, K) or too few of them, logits that are not finite: a network that diverged
            predicts nothing. The message names the layer where that begins.
    """
    found, classes = [], arguments.at_least("classes", classes, 1)
    for x in arguments.several("images", images):
        x = arguments.images("images", x)
        with frozen(model), torch.no_grad():
            logits = read_logits(run(model, x), len(x), classes - 1)
        if not logits.isfinite().all():
            raise NotFinite("model: its logits are", model, x)
        found.append(logits.argmax(1))
    if not found:
        raise ValueError("images: got none; expected batches of float images (B, 3, H, W)")
    return torch.cat(found).cpu()


def correct(
    model: nn.Module,
    split: Split,
    attack: Attack | None = None,
    batch_size: int | None = None,
    eps: float | None = None,
) -> Tensor:
    """Which images the model still gets right, bool (N,) on the CPU, in the order of the split.

    Every image is attacked, also those that the clean model gets wrong, and a targeted attack counts as resisted
    when the true class is predicted. A warning says where the model mixes the images of a pass, or draws random
    numbers (:func:`snslib.passes.independent`).

    Args:
        model: maps float images in [0, 1] to logits (N, K); run in eval mode and left as it was.
        split: the images and their true classes, at least one, each class in 0..K-1.
        attack: maps (model, x, y) to x'; None for clean accuracy.
        batch_size: images at a time, >= 1, None for what suits the device; matters to speed only, unless there is that
            warning.
        eps: the radius that x' has to keep, in [0, 1] pixel space; None where the attack has none.

    Raises:
        ValueError: no images, classes that the model does not have, logits that are not finite; x' of another shape,
            outside [0, 1], not finite, or beyond eps.
    """
    if not isinstance(split, Split):
        raise ValueError(f"split: expected a Split, such as the test of a data set, got {arguments.described(split)}")
    if len(split) == 0:
        raise ValueError("split: expected at least one image, got none")

    def images() -> Iterator[Tensor]:
        if attack is not None:
            yield from (x_adv for _, x_adv in dual_pairs(model, split, attack, batch_size, eps))
            return
        device = device_of(model)
        for i, (_, x, _) in enumerate(batches(split.to(device), images_at_once(device, batch_size))):
            if i == 0:
                warn_if_mixed(model, to_float(x))
            yield to_float(x)

    classes = arguments.highest_class("split", split.labels) + 1
    return predicted(model, images(), classes) == split.labels.cpu()


def accuracy(
    model: nn.Module,
    split: Split,
    attack: Attack | None = None,
    batch_size: int | None = None,
    eps: float | None = None,
) -> float:
    """The share in [0, 1] of images that the model still gets right; arguments and errors as in :func:`correct`."""
    return correct(model, split, attack, batch_size, eps).double().mean().item()


def robust_to_all(
    model: nn.Module,
    split: Split,
    attempts: Iterable[Attack],
    batch_size: int | None = None,
    eps: float | None = None,
) -> Tensor:
    """Which images are right as they are and after every one of several attacks, bool (N,) on the CPU.

    Each attack is run on the images that all before it have left right. Arguments and errors as in :func:`correct`.
    """
    right = correct(model, split, batch_size=batch_size)
    for attack in arguments.several("attempts", attempts):
        if right.any():
            left = right.to(split.labels.device)
            rest = Split(split.images[left], split.labels[left])
            right[right.clone()] = correct(model, rest, attack, batch_size, eps)
    return right
