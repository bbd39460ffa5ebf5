"""Which files of a folder are images of a class, as people, operating systems and publishers of data sets leave it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torchvision.datasets import ImageFolder

from snslib.training.class_folders import list_classes
from snslib.training.datasets import load_dataset


def paint(path: Path, red: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (red, 20, 30)).save(path)
    return path


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for split in ("train", "val"):
        for label, name in enumerate(("cat", "dog")):
            for i in range(2):
                paint(tmp_path / "pets" / split / name / f"{i}.png", 100 * label + i)
    return tmp_path / "pets"


def reds(images: torch.Tensor) -> list[int]:
    return sorted(images[:, 0, 0, 0].tolist())


JUNK = {  # what is left in folders, and how it is counted
    ".ipynb_checkpoints/a-checkpoint.png": "1 in .ipynb_checkpoints",
    "cat/.ipynb_checkpoints/a-checkpoint.png": "1 in .ipynb_checkpoints",
    "__MACOSX/cat/._0.png": "1 in __MACOSX",
    "__MACOSX/cat/plain.png": "1 in __MACOSX",
    "@eaDir/0.png": "1 in @eaDir",
    ".git/0.png": "1 in .git",
    "cat/._0.png": "1 hidden",
    "dog/.hidden.jpg": "1 hidden",
    "._cat": "1 hidden",
    ".DS_Store": "1 hidden",
    "cat/Thumbs.db": "1 Thumbs.db",
    "dog/desktop.ini": "1 desktop.ini",
    "cat/notes.TXT": "1 .txt",
    "labels.csv": "1 .csv",
    "dog/README": "1 without a suffix",
    "loose.png": "1 images outside of the class folders",
}


@pytest.mark.parametrize("name", JUNK)
def test_junk_is_no_class_and_no_image_and_is_counted(name: str, pets: Path) -> None:
    expected = load_dataset(pets)
    assert expected.origin == "a folder of images"
    paint(pets / "train" / f"{name}.png", 250).rename(pets / "train" / name)
    lines: list[str] = []
    found = load_dataset(pets, progress=lines.append)
    assert (found.classes, reds(found.train.images)) == (("cat", "dog"), [0, 1, 100, 101])
    assert torch.equal(found.train.images, expected.train.images)
    assert lines == [f"{pets}: left out: {JUNK[name]}"]
    assert found.origin == f"a folder of images (left out: {JUNK[name]})"


def test_kinds_are_counted_over_both_splits(pets: Path) -> None:
    for path in ("train/cat/a.txt", "train/dog/b.txt", "val/cat/c.txt", "val/dog/.DS_Store", "val/x.md"):
        (pets / path).write_text("x")
    for place in range(3):
        paint(pets / "val" / ".cache" / "deep" / f"{place}.png")
    assert load_dataset(pets).origin == "a folder of images (left out: 1 .md, 3 .txt, 1 hidden, 3 in .cache)"


@pytest.mark.parametrize("name", ["test", "val", "valid", "validation", "testing", "Test", "VAL", "Validation"])
def test_a_split_goes_by_any_of_its_names(name: str, pets: Path) -> None:
    (pets / "val").rename(pets / name)
    (pets / "train").rename(pets / "Training")
    assert len(load_dataset(pets).test) == 4


def test_of_two_names_that_differ_in_case_the_plain_one_is_used_and_the_other_said(pets: Path) -> None:
    paint(pets / "Train" / "cat" / "0.png")
    if len([*pets.glob("[tT]rain")]) == 1:
        pytest.skip("one name here")
    assert load_dataset(pets).origin == "a folder of images (train/ and val/; not used: Train/)"


def test_what_is_not_used_is_said(pets: Path) -> None:
    paint(pets / "test" / "cat" / "a.png")
    paint(pets / "test" / "dog" / "a.png")
    found = load_dataset(pets)
    assert len(found.test) == 2
    assert found.origin == "a folder of images (train/ and test/; not used: val/)"


@pytest.mark.parametrize(
    ("names", "order"),
    [
        ([str(i) for i in range(12)], r"in the order of their numbers: 0, 1, 2, … \(by name it would be 0, 1, 10, …\)"),
        (["2", "10", "010", "9"], r"in the order of their numbers: 2, 9, 010, … "),
        ([f"class{i}" for i in range(1, 12)], r"in the order of their names: class1, class10, class11, …"),
        ([str(i) for i in range(10)], None),
        ([f"{i:02}" for i in range(12)], None),
        (["a1", "b"], None),
    ],
)
def test_numbered_classes_are_sorted_as_numbers_or_it_is_said(
    names: list[str], order: str | None, tmp_path: Path
) -> None:
    for name in names:
        for split in ("train", "val"):
            paint(tmp_path / split / name / "a.png")
    lines: list[str] = []
    found = load_dataset(tmp_path, progress=lines.append)
    numbers = all(name.isdigit() for name in names)
    assert list(found.classes) == sorted(names, key=lambda name: (int(name) if numbers else 0, name))
    if order is None:
        assert lines == []
        assert list(found.classes) == ImageFolder(tmp_path / "train").classes
    else:
        with pytest.raises(AssertionError, match=f"class folders {order}"):
            raise AssertionError(lines)


# --- symbolic links ---


def test_links_to_files_folders_and_splits_are_followed(pets: Path, tmp_path: Path) -> None:
    expected = load_dataset(pets)
    linked = tmp_path / "linked"
    (linked / "train" / "dog").mkdir(parents=True)
    (linked / "val").symlink_to(pets / "val")
    (linked / "train" / "cat").symlink_to(pets / "train" / "cat", target_is_directory=True)
    for path in sorted((pets / "train" / "dog").iterdir()):
        (linked / "train" / "dog" / path.name).symlink_to(path)
    found = load_dataset(linked)
    assert torch.equal(found.train.images, expected.train.images)
    assert torch.equal(found.test.labels, expected.test.labels)
    assert found.origin == "a folder of images"


CIRCLES: dict[str, Callable[[Path], None]] = {
    "to itself": lambda f: (f / "cat" / "loop").symlink_to(f / "cat"),
    "to the folder above": lambda f: (f / "cat" / "loop").symlink_to(f),
    "as a class": lambda f: (f / "loop").symlink_to(f),
    "to the root of all": lambda f: (f / "cat" / "loop").symlink_to(f.parent),
}


@pytest.mark.parametrize("kind", CIRCLES)
def test_links_in_a_circle_end(kind: str, pets: Path) -> None:
    CIRCLES[kind](pets / "train")
    found = load_dataset(pets)
    assert (found.classes, reds(found.train.images)) == (("cat", "dog"), [0, 1, 100, 101])
    assert found.origin == "a folder of images (left out: 1 links in a circle)"


def test_links_to_one_another_end(pets: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    paint(one / "1.png")
    paint(other / "2.png")
    (one / "x").symlink_to(other)
    (other / "y").symlink_to(one)
    (pets / "train" / "cat" / "more").symlink_to(one)
    found = list_classes(pets / "train")
    assert [path.name for path in found.classes["cat"]] == ["0.png", "1.png", "1.png", "2.png"]
    assert found.left_out == {"links in a circle": 1}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_what_is_no_file_is_not_waited_for(pets: Path) -> None:
    os.mkfifo(pets / "train" / "cat" / "pipe.png")
    (pets / "train" / "dog" / "endless.png").symlink_to("/dev/zero")
    assert load_dataset(pets).origin == "a folder of images (left out: 2 devices and pipes)"


def test_broken_links_are_left_out(pets: Path) -> None:
    (pets / "train" / "cat" / "gone.png").symlink_to(pets / "nowhere.png")
    (pets / "train" / "dog" / "self.png").symlink_to(pets / "train" / "dog" / "self.png")
    (pets / "train" / "gone").symlink_to(pets / "nowhere")
    assert load_dataset(pets).origin == "a folder of images (left out: 3 broken links)"


# --- the official layouts ---


def test_tiny_imagenet_as_it_is_unpacked(tmp_path: Path) -> None:
    root = tmp_path / "tiny-imagenet-200"
    names = ["n01443537", "n01629819"]
    for label, name in enumerate(names):
        for i in range(3):
            paint(root / "train" / name / "images" / f"{name}_{i}.JPEG", 200 * label)
        (root / "train" / name / f"{name}_boxes.txt").write_text("boxes")
    lines = []
    for i in range(4):
        paint(root / "val" / "images" / f"val_{i}.JPEG", 200 * (i % 2))
        lines.append(f"val_{i}.JPEG\t{names[i % 2]}\t0\t32\t44\t62")
    (root / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    paint(root / "test" / "images" / "test_0.JPEG")
    (root / "wnids.txt").write_text("\n".join(reversed(names)))
    found = load_dataset(root)
    assert found.classes == tuple(names)
    assert (len(found.train), len(found.test)) == (6, 4)
    for split in (found.train, found.test):
        assert torch.equal(split.images[:, 0].float().mean((1, 2)) > 100, split.labels == 1)
    assert found.origin == "a folder of images (train/ and val/; not used: test/; left out: 2 .txt)"

    (root / "val" / "images" / "val_1.JPEG").unlink()
    with pytest.raises(ValueError, match=r"val_annotations\.txt names 'val_1\.JPEG', which is not in .*whole copy"):
        load_dataset(root)


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    """Three classes, numbered in another order than by name, and a fourth above them, as in the development kit."""
    root = tmp_path / "imagenet"
    synsets = [(1, "n03", 0), (2, "n01", 0), (3, "n02", 0), (4, "n00", 3)]
    kind = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    rows = np.array([(number, name, "words", below) for number, name, below in synsets], dtype=kind)
    kit = root / "ILSVRC2012_devkit_t12" / "data"
    kit.mkdir(parents=True)
    savemat(kit / "meta.mat", {"synsets": rows.reshape(-1, 1)})
    truth = [1, 2, 3, 3, 2]
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{number}\n" for number in truth))
    for place, number in enumerate(truth, 1):
        paint(root / "val" / f"ILSVRC2012_val_{place:08}.JPEG", 80 * {1: 2, 2: 0, 3: 1}[number])
    for label, name in enumerate(("n01", "n02", "n03")):
        paint(root / "train" / name / f"{name}_1.JPEG", 80 * label)
    paint(root / "test" / "ILSVRC2012_test_00000001.JPEG")
    return root


@pytest.mark.parametrize("kit", ["beside val", "beside imagenet"])
def test_imagenet_with_its_development_kit(kit: str, imagenet: Path) -> None:
    if kit == "beside imagenet":
        name = "ILSVRC2012_devkit_t12"
        (imagenet / name).rename(imagenet.parent / name)
    found = load_dataset(imagenet, progress=lambda line: None)
    assert found.classes == ("n01", "n02", "n03")
    assert sorted(found.test.labels.tolist()) == [0, 0, 1, 1, 2]
    for split in (found.train, found.test):
        assert torch.equal((split.images[:, 0].float().mean((1, 2)) / 80).round().long(), split.labels)


def test_imagenet_without_its_development_kit_tells_what_is_missing(imagenet: Path) -> None:
    (imagenet / "ILSVRC2012_devkit_t12").rename(imagenet / "elsewhere")
    with pytest.raises(ValueError, match=r"val holds ImageNet's validation images without .*ILSVRC2012_devkit_t12"):
        load_dataset(imagenet)


def test_a_damaged_development_kit_is_named(imagenet: Path) -> None:
    (imagenet / "ILSVRC2012_devkit_t12" / "data" / "meta.mat").write_bytes(b"cut")
    with pytest.raises(ValueError, match=r"ILSVRC2012_devkit_t12.data does not say the classes of .*val"):
        load_dataset(imagenet)


def test_class_folders_are_listed_as_torchvision_lists_them(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/1.png", "a/deep/3.png", "a/deep-er/4.png", "a/deep/er/5.png", "a/0.png", "c/x/6.JPG"):
        paint(tmp_path / name)
    found = list_classes(tmp_path)
    expected = ImageFolder(tmp_path)
    assert list(found.classes) == expected.classes
    flat = [(str(path), label) for label, paths in enumerate(found.classes.values()) for path in paths]
    assert flat == expected.samples
