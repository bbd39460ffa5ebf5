"""Folders of images, as small as they can be."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_folder(folder: Path, classes: int, train: int = 6, test: int = 4, mode: str = "RGB") -> Path:
    """`train/<class>/` and `test/<class>/` with so many images of 32x32 pixels, whose classes differ in brightness."""
    random = np.random.default_rng(0)
    for split, count in (("train", train), ("test", test)):
        for label in range(classes):
            (folder / split / f"class{label}").mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 60, (32, 32, 3)) + 190 * label // classes
                image = Image.fromarray(pixels.astype(np.uint8)).convert(mode)
                image.save(folder / split / f"class{label}" / f"{number}.png")
    return folder
