"""Data sets as uint8 tensors, and the batches and augmentation that training draws from them (section 3.1).

Images stay uint8 `(N, 3, H, W)` until they are used: a whole set then fits on the device, and nothing is normalised
before an attack has clipped to [0, 1]. No split, shuffle or hold-out depends on a library's random numbers, so "the
first 1,000 test images" are the same images everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from snslib import arguments


@dataclass(frozen=True)
class Split:
    """Images uint8 `(N, 3, H, W)` and their labels int64 `(N,)`, in an order that never changes.

    Labels of another type of whole numbers, in an array or in a list are taken as int64, on the images' device. Raises
    ValueError when the two do not fit this description or each other.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if not isinstance(self.images, Tensor):
            raise ValueError(f"images must be a uint8 tensor (N, 3, H, W), got {arguments.described(self.images)}")
        if self.images.dtype != torch.uint8 or self.images.ndim != 4 or self.images.shape[1] != 3:
            raise ValueError(f"images must be uint8 of shape (N, 3, H, W), got {_describe(self.images)}")
        try:
            labels = arguments.labels("labels", self.labels, len(self.images))
        except ValueError:
            came = arguments.described(self.labels)
            raise ValueError(f"labels must be int64 of shape ({len(self.images)},), got {came}") from None
        if labels is not self.labels:
            object.__setattr__(self, "labels", labels.to(self.images.device))

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> Split:
        """The same split on another device."""
        return Split(self.images.to(device), self.labels.to(device))

    def take(self, n: int | None) -> Split:
        """The first n images; all of them when n is None or larger than the split. ValueError when n < 0."""
        if n is not None and n < 0:
            raise ValueError(f"n must be None or at least 0, got {n}")
        return Split(self.images[:n], self.labels[:n])


@dataclass(frozen=True)
class Dataset:
    """A data set in three splits, with the augmentation that suits it and where it came from.

    `name` says whose numbers these are: records are kept and found by it. Only a published set has a plain one, such as
    "cifar10"; a folder of images is "folder:NAME", whatever it is called.

    `crop_padding` (pixels) and `flip` are arguments for `augment`; another choice is `dataclasses.replace(data,
    flip=False)`. `origin` says in words where the images came from. `official` is True for a copy checked against the
    published one, False for another copy of it, None where nothing is published to compare with (a folder of yours).
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    crop_padding: int
    flip: bool
    origin: str
    official: bool | None

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def image_size(self) -> int:
        """Height and width in pixels: images are square."""
        return self.train.images.shape[-1]


def to_float(images: Tensor) -> Tensor:
    """uint8 0..255 to float32 [0, 1], same shape. ValueError for another dtype, which may be in [0, 1] already."""
    if images.dtype != torch.uint8:
        raise ValueError(f"images must be uint8, got {_describe(images)}")
    return images.to(torch.float32) / 255


def augment(images: Tensor, padding: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Crop each image at random from itself padded with zeros and, where asked, mirror it with probability 1/2.

    Args:
        images: `(N, C, H, W)`, uint8 or float, on any device. A pair x, x' is augmented alike when it is joined along
            the channels: `augment(torch.cat([x, x_adv], 1), ...).chunk(2, 1)`.
        padding: zeros added on each side, in pixels: an image shifts by -padding..padding in either direction.
        flip: mirror left and right.
        generator: on the CPU, whatever the device of the images, so that a seed means the same on all of them.

    Returns:
        Images of the same shape, dtype and device.

    Raises:
        ValueError: images not 4-dimensional, a negative padding, or a generator that is not on the CPU.
    """
    if images.ndim != 4:
        raise ValueError(f"images must have the shape (N, C, H, W), got {_describe(images)}")
    if padding < 0:
        raise ValueError(f"padding must be at least 0 pixels, got {padding}")
    _require_cpu(generator)
    n, channels, height, width = images.shape
    top, left = torch.randint(0, 2 * padding + 1, (2, n, 1), generator=generator, device="cpu")
    rows = top + torch.arange(height, device="cpu")
    columns = left + torch.arange(width, device="cpu")
    if flip:
        mirrored = torch.randint(0, 2, (n, 1), generator=generator, dtype=torch.bool, device="cpu")
        columns = torch.where(mirrored, columns.flip(1), columns)
    rows = rows.to(images.device)[:, None, :, None].expand(n, channels, height, width + 2 * padding)
    columns = columns.to(images.device)[:, None, None, :].expand(n, channels, height, width)
    padded = functional.pad(images, (padding, padding, padding, padding))
    return padded.gather(2, rows).gather(3, columns)


def batches(
    split: Split, batch_size: int, generator: torch.Generator | None = None
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Go once through a split: (index int64 `(B,)`, images uint8 `(B, 3, H, W)`, labels int64 `(B,)`) at a time.

    Without a generator: in order, every image once, the last batch smaller when batch_size does not divide N. With a
    generator (on the CPU, so that a seed means the same on every device): shuffled, floor(N / batch_size) whole
    batches as in Algorithm 1; only a split smaller than one batch comes as a smaller batch. `index` holds the places
    in the split, by which fixed adversarial examples are found. All are copies, on the device of the split.

    Raises:
        ValueError: batch_size < 1, or a generator that is not on the CPU.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    n = len(split)
    if generator is None:
        order = torch.arange(n, device="cpu")
    else:
        _require_cpu(generator)
        order = torch.randperm(n, generator=generator, device="cpu")
        if n >= batch_size:
            order = order[: n - n % batch_size]
    order = order.to(split.labels.device)
    parts = (order[start : start + batch_size] for start in range(0, len(order), batch_size))
    return ((index, split.images[index], split.labels[index]) for index in parts)


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"


def _require_cpu(generator: torch.Generator) -> None:
    if generator.device.type != "cpu":
        raise ValueError(f"generator must be on the CPU, got one on {generator.device}")


def fixed_order(n: int) -> Tensor:
    """A shuffle of 0..n-1 that no library's version can change: the numbers sorted by their SHA-256."""
    order = sorted(range(n), key=lambda i: hashlib.sha256(b"%d" % i).digest())
    return torch.tensor(order, dtype=torch.int64, device="cpu")


def hold_out(split: Split, count: int) -> tuple[Split, Split]:
    """The split without, and with only, `count` fixed images: each class in proportion, rounded by largest remainder.

    Both keep the order of the split. ValueError for a count outside of 0 to the size of the split.
    """
    arguments.number("count", count, 0, len(split), whole=True, about="of the split")
    if count == 0:
        return split, split.take(0)
    share = torch.bincount(split.labels) * count
    quota = share // len(split)
    by_remainder = (share % len(split)).argsort(descending=True, stable=True)
    quota[by_remainder[: count - int(quota.sum())]] += 1

    order = fixed_order(len(split))
    held_out = torch.zeros(len(split), dtype=torch.bool, device="cpu")
    for label, images in enumerate(quota.tolist()):
        held_out[order[split.labels[order] == label][:images]] = True
    rest, taken = (Split(split.images[mask], split.labels[mask]) for mask in (~held_out, held_out))
    return rest, taken
