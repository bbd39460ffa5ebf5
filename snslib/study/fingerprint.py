"""Whether two copies of a data set are the same one, but for how a few of their images were decoded."""

import hashlib
from typing import Any

import torch
from torch.nn import functional

from snslib.data import Dataset, Split

SPLITS = ("train", "validation", "test")
COMPARED = 100  # images of each split whose pixels are compared
LEVELS = 4  # of 255, by which a colour may be off before an image counts as another one
OTHERS = 0.05  # the share of the compared images that may be other ones


def fingerprint(data: Dataset) -> dict[str, Any]:
    """What a data set is told from others by, JSON-able.

    Returns:
        Split to "images", their shape (N, 3, H, W); "labels", a checksum of all labels in their order; and "colours",
        of COMPARED images at equal distances the mean colour of each quarter, 12 bytes in hexadecimal.
    """
    return {name: _of_split(getattr(data, name)) for name in SPLITS}


def _of_split(split: Split) -> dict[str, Any]:
    n = len(split)
    some = torch.arange(min(n, COMPARED)) * n // max(1, min(n, COMPARED))
    quarters = functional.adaptive_avg_pool2d(split.images[some].float(), 2).round().to(torch.uint8)
    return {
        "images": list(split.images.shape),
        "labels": hashlib.sha256(split.labels.numpy().astype("<i8").tobytes()).hexdigest()[:16],
        "colours": [bytes(image.flatten().tolist()).hex() for image in quarters],
    }


def differences(recorded: dict[str, Any], own: dict[str, Any]) -> list[str]:
    """What keeps two fingerprints from being of the same data set, in words; empty where they are.

    Another decoder, or a JPEG copy of some images, changes pixels and hardly a mean colour.

    Raises:
        ValueError: ``recorded`` is no fingerprint.
    """
    try:
        found = [_difference(name, recorded[name], own[name]) for name in SPLITS]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a fingerprint of a data set ({error!r})") from error
    return [text for text in found if text]


def _difference(name: str, recorded: dict[str, Any], own: dict[str, Any]) -> str:
    if recorded["images"] != own["images"]:
        return f"its {name} images are {tuple(own['images'])}, not {tuple(recorded['images'])}"
    if recorded["labels"] != own["labels"]:
        return f"its {name} labels are others, or in another order"
    pairs = zip(map(bytes.fromhex, recorded["colours"]), map(bytes.fromhex, own["colours"]), strict=True)
    others = sum(any(abs(a - b) > LEVELS for a, b in zip(*pair, strict=True)) for pair in pairs)
    if others > OTHERS * len(own["colours"]):
        return f"{others} of the {len(own['colours'])} {name} images that are compared have other colours"
    return ""
