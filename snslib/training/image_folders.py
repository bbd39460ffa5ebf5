"""Folders of images as a data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from snslib.data import Dataset, Split, fixed_order

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile


_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif"}


def load_folder(folder: Path, image_size: int | None) -> Dataset:
    """The images of `train/<class>/` and `test/<class>/` (or `val/` where there is no `test/`), in a fixed shuffle."""
    test_name = "test" if (folder / "test").is_dir() else "val"
    train_files, test_files = _list_images(folder / "train"), _list_images(folder / test_name)
    if train_files.keys() != test_files.keys():
        odd = ", ".join(sorted(train_files.keys() ^ test_files.keys()))
        raise ValueError(f"{folder} must have the same classes in train and {test_name}; only one of them has: {odd}")
    size = image_size or common_size([*chain(*train_files.values(), *test_files.values())])

    def read(files: dict[str, list[Path]]) -> Split:
        labelled = [(path, label) for label, paths in enumerate(files.values()) for path in paths]
        labelled = [labelled[i] for i in fixed_order(len(labelled)).tolist()]
        images = read_images([path for path, _ in labelled], size)
        return Split(images, torch.tensor([label for _, label in labelled]))

    train = read(train_files)
    return Dataset(
        name=name_of(folder),
        classes=tuple(train_files),
        train=train,
        validation=train.take(0),
        test=read(test_files),
        crop_padding=size // 8,
        flip=True,
        origin="a folder of images",
        official=None,
    )


def name_of(folder: Path) -> str:
    """The name of a folder as a data set, which no published set can have: "folder:NAME"."""
    return f"folder:{folder.expanduser().resolve().name}"


def _list_images(folder: Path) -> dict[str, list[Path]]:
    """{class: its image files}, both sorted by name; hidden ones and files of other kinds do not count."""
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is not there; an image folder needs train/<class>/ and test/<class>/ or val/<class>/"
        )
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not classes:
        raise ValueError(f"{folder} holds no class folders; images belong in {folder.name}/<class>/")
    files = {}
    for path in classes:
        files[path.name] = sorted(
            file for file in path.iterdir() if file.suffix.lower() in _SUFFIXES and not file.name.startswith(".")
        )
        if not files[path.name]:
            raise ValueError(f"{path} holds no images ({', '.join(sorted(_SUFFIXES))}): add some or remove the class")
    return files


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
        with Image.open(path) as image:
            yield image
    except Exception as error:  # a decoder raises whatever the parser of its format does
        raise ValueError(f"{path} is not a readable image ({error}): replace it or remove it") from error
