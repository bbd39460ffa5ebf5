"""Folders of images are read as they are, or refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from snslib.training.datasets import NAMES, identity, load_dataset
from snslib.training.image_folders import read_images


def paint(path: Path, size: tuple[int, int] = (16, 16), colour: tuple[int, int, int] = (10, 20, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    folder = tmp_path / "pets"
    for i in range(6):
        paint(folder / "train" / "cat" / f"{i}.png", colour=(200, i, 0))
        paint(folder / "train" / "dog" / f"{i}.bmp", colour=(0, i, 200))
    paint(folder / "val" / "cat" / "a.png", colour=(200, 9, 0))
    paint(folder / "val" / "dog" / "b.png", colour=(0, 9, 200))
    (folder / "train" / "cat" / "notes.txt").write_text("not an image")
    (folder / "train" / ".cache").mkdir()
    return folder


@pytest.mark.parametrize("prefix", ["folder:", ""])
def test_folder_is_read(pets: Path, prefix: str) -> None:
    found = load_dataset(f"{prefix}{pets}")
    assert (found.name, found.classes, found.image_size, found.official) == (
        "folder:pets",
        ("cat", "dog"),
        16,
        None,
    )
    assert (len(found.train), len(found.validation), len(found.test)) == (12, 0, 2)
    assert sorted(found.train.images[:, 1, 0, 0].tolist()) == sorted([*range(6), *range(6)])
    for split in (found.train, found.test):
        red = split.images[:, 0].flatten(1).float().mean(1)
        assert torch.equal(red == 200, split.labels == 0)
    assert found.train.labels.tolist() != sorted(found.train.labels.tolist())
    assert torch.equal(found.train.images, load_dataset(str(pets)).train.images)


@pytest.mark.parametrize("name", ["cifar10", "digits", "tiny-imagenet", "folder:cifar10"])
def test_a_folder_has_the_name_of_no_published_set(name: str, pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pets.rename(pets.with_name(name))
    monkeypatch.chdir(pets.parent)
    for path in (pets.with_name(name), f"folder:./{name}", f"folder:{name}/../{name}"):
        assert load_dataset(path).name == identity(path) == f"folder:{name}"
        assert load_dataset(path).name not in NAMES
    assert [identity(known) for known in NAMES] == list(NAMES)


def test_folder_prefers_test_to_val_and_takes_a_hold_out(pets: Path) -> None:
    for name in ("cat", "dog"):
        paint(pets / "test" / name / "only.png", colour=(1, 1, 1))
    found = load_dataset(pets, validation=4)
    assert found.test.images.unique().tolist() == [1]
    assert torch.bincount(found.validation.labels).tolist() == [2, 2]
    assert len(found.train) == 8


def test_folder_resizes_the_shorter_side_and_cuts_out_the_centre(pets: Path) -> None:
    picture = np.zeros((20, 60, 3), np.uint8)
    picture[:, :20, 0], picture[:, 20:40, 1], picture[:, 40:, 2] = 255, 255, 255
    Image.fromarray(picture).save(pets / "val" / "dog" / "wide.png")
    with pytest.raises(ValueError, match="image_size must be given"):
        load_dataset(pets)
    found = load_dataset(pets, image_size=10)
    assert found.train.images.shape == (12, 3, 10, 10)
    resized = Image.fromarray(picture).resize((30, 10), Image.Resampling.BILINEAR)
    expected = np.asarray(resized.crop((10, 0, 20, 10))).transpose(2, 0, 1)
    assert sum(np.array_equal(image.numpy(), expected) for image in found.test.images) == 1


def test_folder_of_one_size_that_is_not_square_needs_image_size(tmp_path: Path) -> None:
    for split in ("train", "test"):
        paint(tmp_path / "wide" / split / "one" / "a.png", size=(20, 10))
    with pytest.raises(ValueError, match="image_size must be given"):
        load_dataset(tmp_path / "wide")


def cut_short(folder: Path) -> None:
    """A picture whose header is whole and whose pixels end half-way."""
    path = folder / "train" / "cat" / "0.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty_class(folder: Path) -> None:
    for file in (folder / "val" / "dog").iterdir():
        file.unlink()


def no_classes(folder: Path) -> None:
    (folder / "train").rename(folder / "elsewhere")
    (folder / "train").mkdir()


FOLDER_DAMAGE = {
    "not an image": (lambda f: (f / "train" / "dog" / "3.bmp").write_text("?"), r"3\.bmp is not a readable image"),
    "cut short": (cut_short, r"cat.0\.png is not a readable image"),
    "16 bits": (
        lambda f: Image.fromarray(np.full((16, 16), 40_000, np.uint16)).save(f / "val" / "cat" / "a.png"),
        r"a\.png is not a readable image .*its mode is I",
    ),
    "empty class": (empty_class, r"dog holds no images"),
    "class only in train": (lambda f: paint(f / "train" / "cow" / "a.png"), "same classes in train and val.*: cow"),
    "class only in val": (lambda f: paint(f / "val" / "emu" / "a.png"), "same classes in train and val.*: emu"),
    "no classes": (no_classes, "train holds no class folders"),
    "no test": (lambda f: (f / "val").rename(f / "other"), "val is not there"),
    "no train": (lambda f: (f / "train").rename(f / "other"), "train is not there"),
}


@pytest.mark.parametrize("kind", FOLDER_DAMAGE)
def test_folder_damage_is_named(pets: Path, kind: str) -> None:
    damage, problem = FOLDER_DAMAGE[kind]
    damage(pets)
    with pytest.raises(ValueError, match=problem):
        load_dataset(pets)


def test_unknown_names_and_misplaced_arguments() -> None:
    with pytest.raises(ValueError, match=r"'digits', 'cifar10', 'tiny-imagenet', 'folder:PATH'.*got 'mnist'"):
        load_dataset("mnist")
    with pytest.raises(ValueError, match="train is not there"):
        load_dataset("folder:/does/not/exist")
    with pytest.raises(ValueError, match=r"image_size: .*got 16 for digits"):
        load_dataset("digits", image_size=16)


@pytest.mark.parametrize(
    "name", ["a\0b", "folder:a\0b", "../../cifar10", "..\\cifar10", "/cifar10", "folder:/no/../such"]
)
def test_a_name_that_leads_nowhere_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(ValueError, match=r"^name: expected|is not there") as error:
        load_dataset(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("image_size", [0, -3, 16.5, True])
def test_an_image_size_out_of_range_is_refused(pets: Path, image_size: int) -> None:
    with pytest.raises(ValueError, match=r"^image_size: expected an integer >= 1"):
        load_dataset(pets, image_size=image_size)


# --- photographs ---

# What a viewer does to the stored pixels (height, width) for each EXIF orientation, as the standard has it: the 0th row
# and the 0th column of what is stored are the named sides of what is seen.
UPRIGHT = {
    1: lambda stored: stored,  # top, left
    2: lambda stored: stored[:, ::-1],  # top, right
    3: lambda stored: stored[::-1, ::-1],  # bottom, right
    4: lambda stored: stored[::-1],  # bottom, left
    5: lambda stored: stored.transpose(1, 0, 2),  # left, top
    6: lambda stored: stored.transpose(1, 0, 2)[:, ::-1],  # right, top
    7: lambda stored: stored.transpose(1, 0, 2)[::-1, ::-1],  # right, bottom
    8: lambda stored: stored.transpose(1, 0, 2)[::-1],  # left, bottom
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_a_photograph_is_turned_upright_before_it_is_cut(tmp_path: Path, orientation: int, suffix: str) -> None:
    stored = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / f"photo.{suffix}", exif=exif, lossless=True)
    Image.fromarray(np.ascontiguousarray(UPRIGHT[orientation](stored))).save(tmp_path / "upright.png")
    photo, upright = (read_images([tmp_path / name], 8) for name in (f"photo.{suffix}", "upright.png"))
    assert torch.equal(photo, upright)


def test_a_photograph_without_an_orientation_is_as_it_is(tmp_path: Path) -> None:
    stored = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(stored).save(tmp_path / "plain.png")
    assert np.array_equal(read_images([tmp_path / "plain.png"], 8)[0].permute(1, 2, 0).numpy(), stored)
