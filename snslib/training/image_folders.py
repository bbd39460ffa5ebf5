"""Folders of images as a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from snslib.arguments import few
from snslib.data import Dataset, Split, fixed_order
from snslib.training import class_folders

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

# Whatever a file is called. For others Pillow may start a program, such as Ghostscript, on what the file holds.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


def load_folder(folder: Path, image_size: int | None, progress: Callable[[str], None] = lambda line: None) -> Dataset:
    """The images of `train/<class>/` and `test/<class>/`, as :func:`class_folders.list_classes` has them.

    `training`, and `testing`, `val`, `valid` or `validation` are other names for these; where there are several for
    the second, the first is taken whose images have classes. Images come in a fixed shuffle. What was left out, and how
    classes are sorted if numbers in their names make it a question, goes to ``progress`` and into the origin.
    """
    train_folder, unused = _split(folder, class_folders.TRAIN, "train")
    test_folder, untested = _split(folder, class_folders.TEST, "val")
    train, test = (class_folders.list_classes(path) for path in (train_folder, test_folder))
    _check_classes(train_folder, train.classes, test_folder, test.classes)
    size = image_size or common_size([*chain(*train.classes.values(), *test.classes.values())])
    splits = " and ".join(f"{path.name}/" for path in (train_folder, test_folder))
    other = ", ".join(f"{path.name}/" for path in (*unused, *untested))
    left_out = class_folders.described(train.left_out + test.left_out)
    about = [splits if other else "", f"not used: {other}" if other else "", left_out, train.order]
    said = "; ".join(part for part in about if part)
    if said:
        progress(f"{folder}: {said}")
    images = _read_split(train.classes, size)
    return Dataset(
        name=name_of(folder),
        classes=tuple(train.classes),
        train=images,
        validation=images.take(0),
        test=_read_split(test.classes, size),
        crop_padding=size // 8,
        flip=True,
        origin=f"a folder of images{f' ({said})' if said else ''}",
        official=None,
    )


def name_of(folder: Path) -> str:
    """The name of a folder as a data set, which no published set can have: "folder:NAME"."""
    return f"folder:{folder.expanduser().resolve().name}"


def _split(folder: Path, names: Sequence[str], usual: str) -> tuple[Path, list[Path]]:
    """The folder of a split, and others that could have been it."""
    found = class_folders.find_splits(folder, names)
    if not found:
        raise ValueError(
            f"{folder / usual} is not there; an image folder needs train/<class>/ and test/<class>/, val/<class>/, "
            "valid/<class>/ or validation/<class>/"
        )
    return found[0], found[1:]


def _check_classes(
    train: Path, trained: Mapping[str, Sequence[Path]], test: Path, tested: Mapping[str, Sequence[Path]]
) -> None:
    """Both have the same classes, and images of each; ValueError otherwise."""
    if trained.keys() != tested.keys():
        odd = few(sorted(trained.keys() ^ tested.keys()), 10)
        raise ValueError(
            f"{train.parent} must have the same classes in {train.name} and {test.name}; only one of them has: {odd}"
        )
    for folder, classes in ((train, trained), (test, tested)):
        if empty := [name for name, paths in classes.items() if not paths]:
            suffixes = ", ".join(class_folders.SUFFIXES)
            raise ValueError(f"{folder / empty[0]} holds no images ({suffixes}): add some or remove the class")


def _read_split(classes: Mapping[str, Sequence[Path]], size: int) -> Split:
    labelled = [(path, label) for label, paths in enumerate(classes.values()) for path in paths]
    labelled = [labelled[place] for place in fixed_order(len(labelled)).tolist()]
    images = read_images([path for path, _ in labelled], size)
    return Split(images, torch.tensor([label for _, label in labelled]))


def common_size(paths: Sequence[Path]) -> int:
    """The side of the images in pixels.

    Raises:
        ValueError: they are not square and all alike, or a file is no image.
    """
    sizes = set()
    for path in paths:
        with _opened(path) as image:
            sizes.add(image.size)
    width, height = min(sizes)
    if len(sizes) > 1 or width != height:
        raise ValueError(
            f"image_size must be given, got None: the images are not of one square size ({min(sizes)} to {max(sizes)})"
        )
    return width


def read_images(paths: Sequence[Path], size: int) -> Tensor:
    """Image files as uint8 (N, 3, size, size), the shorter side of each resized to ``size`` and the centre cut out.

    A photograph that says how the camera was held (its EXIF orientation) is turned or mirrored upright before, as
    viewers show it and its photographer saw it; a network would else be asked about a picture on its side.

    Raises:
        ValueError: a file that is no image.
    """
    images = np.empty((len(paths), size, size, 3), np.uint8)
    for image, path in zip(images, paths, strict=True):
        image[:] = _read_image(path, size)
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def _read_image(path: Path, size: int) -> np.ndarray:
    """uint8 `(size, size, 3)`: upright, shorter side resized to `size`, centre cut out; as it is when of that size."""
    from PIL import Image, ImageOps

    with _opened(path) as image:
        if image.mode[0] in "IF":
            raise ValueError(f"its mode is {image.mode}, which would be clipped to 8 bits, not scaled")
        upright = ImageOps.exif_transpose(image)
        return np.asarray(ImageOps.fit(upright.convert("RGB"), (size, size), Image.Resampling.BILINEAR))


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile]:
    """The image, not yet decoded; what goes wrong with it is a ValueError that names the file."""
    from PIL import Image

    try:
        with Image.open(path, formats=_FORMATS) as image:
            yield image
    except Exception as error:  # a decoder raises whatever the parser of its format does
        raise ValueError(f"{path} is not a readable image ({error}): replace it or remove it") from error
