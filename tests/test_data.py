"""Data sets are whole, fixed and as described, or refused by name; augmentation and batches are what they say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from snslib.data import Dataset, Split, augment, batches, to_float
from snslib.training import datasets
from snslib.training.datasets import load_dataset

SPLITS = ("train", "validation", "test")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def split_of(n: int) -> Split:
    """Images whose every pixel is their index."""
    images = torch.arange(n, dtype=torch.uint8)[:, None, None, None].expand(n, 3, 4, 4)
    return Split(images.contiguous(), torch.arange(n) % 3)


# --- digits ---


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


def test_digits_are_as_described(digits: Dataset) -> None:
    assert [len(getattr(digits, name)) for name in SPLITS] == [1197, 200, 400]
    for name in SPLITS:
        split = getattr(digits, name)
        assert split.images.dtype == torch.uint8
        assert split.images.shape == (len(split), 3, 32, 32)
        assert split.labels.dtype == torch.int64
        assert split.images.min() == 0
        assert split.images.max() == 255
        assert torch.equal(split.images[:, 0], split.images[:, 2])
    assert (digits.num_classes, digits.image_size, digits.crop_padding, digits.flip) == (10, 32, 2, False)
    assert digits.official is True


def test_digits_splits_are_a_partition_with_every_class_in_proportion(digits: Dataset) -> None:
    from sklearn.datasets import load_digits

    original = load_digits()
    together = torch.cat([getattr(digits, name).images[:, 0] for name in SPLITS]).double()
    labels = torch.cat([getattr(digits, name).labels for name in SPLITS])
    # A bilinear resize in float64, independent of torch: positions (i + 1/2) / 4 - 1/2, clamped at the border.
    at = (np.arange(32) + 0.5) / 4 - 0.5
    weights = np.array([np.interp(at, np.arange(8), row) for row in np.eye(8)])
    expected = np.einsum("nij,ik,jl->nkl", original.images * 255 / 16, weights, weights)
    distance = torch.cdist(together.flatten(1), torch.from_numpy(expected).flatten(1), p=float("inf"))
    nearest, index = distance.min(1)
    assert nearest.max() <= 0.5  # rounding to uint8, nothing else
    assert sorted(index.tolist()) == list(range(1797))
    assert np.array_equal(original.target[index], labels)

    for name in SPLITS:
        split = getattr(digits, name)
        share = np.bincount(original.target) * len(split) / 1797
        assert np.abs(torch.bincount(split.labels).numpy() - share).max() < 1.5


def test_digits_never_change(digits: Dataset) -> None:
    checksum = hashlib.sha256()
    for name in SPLITS:
        checksum.update(getattr(digits, name).images.numpy().tobytes())
        checksum.update(getattr(digits, name).labels.numpy().tobytes())
    assert checksum.hexdigest() == "c3b9cfbfa6f2dddc94215c151aee75fc4a05e3071b020950c44064935007ee60"


def test_hold_out_moves_images_from_train_and_leaves_test_alone(digits: Dataset) -> None:
    whole = load_dataset("digits", validation=0)
    assert (len(whole.train), len(whole.validation)) == (1397, 0)
    assert torch.equal(whole.test.images, digits.test.images)

    def rows(*splits: Split) -> list[bytes]:
        return sorted(image.numpy().tobytes() for split in splits for image in split.images)

    assert rows(whole.train) == rows(digits.train, digits.validation)


def test_a_smaller_part_of_digits_has_every_class(digits: Dataset) -> None:
    assert set(digits.test.take(100).labels.tolist()) == set(range(10))


@pytest.mark.parametrize("validation", [-1, 1397, 0.1])
def test_hold_out_out_of_range_is_refused(validation: int) -> None:
    with pytest.raises(ValueError, match=r"validation must be a whole number from 0 to 1396"):
        load_dataset("digits", validation=validation)


# --- Split ---


def test_take_and_to() -> None:
    split = split_of(5)
    assert split.take(2).labels.tolist() == [0, 1]
    assert [len(split.take(n)) for n in (0, 5, 9, None)] == [0, 5, 5, 5]
    assert split.to("meta").images.device.type == split.to("meta").labels.device.type == "meta"
    with pytest.raises(ValueError, match="n must be None or at least 0, got -1"):
        split.take(-1)


def test_split_refuses_what_does_not_fit() -> None:
    images, labels = split_of(4).images, split_of(4).labels
    with pytest.raises(ValueError, match="images must be uint8"):
        Split(images.float(), labels)
    with pytest.raises(ValueError, match="images must be uint8 of shape"):
        Split(images[:, :1], labels)
    with pytest.raises(ValueError, match=r"labels must be int64 of shape \(4,\), got int64 of shape \(3,\)"):
        Split(images, labels[:3])
    with pytest.raises(ValueError, match="labels must be int64"):
        Split(images, labels.int())


# --- array caches ---


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CIFAR-10 of 60 and 20 images, written as the real one is."""
    small = replace(datasets._CACHES["cifar10"], counts={"train": 60, "test": 20})
    monkeypatch.setitem(datasets._CACHES, "cifar10", small)
    folder = tmp_path / "cifar10"
    folder.mkdir()
    random = np.random.default_rng(0)
    for split, n in (("train", 60), ("test", 20)):
        np.save(folder / f"{split}_images.npy", random.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8))
        np.save(folder / f"{split}_labels.npy", np.arange(n, dtype=np.uint8) % 10)
    (folder / "classes.txt").write_text("".join(f"class {i}\n" for i in range(10)))
    return tmp_path


def checksum_of(folder: Path) -> str:
    names = ("train_images", "train_labels", "test_images", "test_labels")
    return hashlib.sha256(b"".join(np.load(folder / f"{name}.npy").tobytes() for name in names)).hexdigest()


def test_cache_is_read_in_its_own_order(root: Path) -> None:
    cifar = load_dataset("cifar10", root)
    stored = np.load(root / "cifar10" / "train_images.npy")
    assert (len(cifar.train), len(cifar.validation), len(cifar.test)) == (60, 0, 20)
    assert cifar.train.images.shape == (60, 3, 32, 32)
    assert cifar.train.images.is_contiguous()
    assert np.array_equal(cifar.train.images[7, 2].numpy(), stored[7, :, :, 2])
    assert cifar.train.labels.tolist() == [i % 10 for i in range(60)]
    assert cifar.classes == tuple(f"class {i}" for i in range(10))
    assert (cifar.crop_padding, cifar.flip, cifar.image_size, cifar.num_classes) == (4, True, 32, 10)
    assert cifar.official is False
    assert "not verified" in cifar.origin
    assert str(root) not in cifar.origin


def test_root_comes_from_the_environment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNSLIB_DATA", str(root))
    assert len(load_dataset("cifar10").train) == 60


@pytest.mark.parametrize("validation", [7, 20])
def test_cache_hold_out_is_stratified_and_fixed(root: Path, validation: int) -> None:
    first, again = (load_dataset("cifar10", root, validation=validation) for _ in range(2))
    assert (len(first.train), len(first.validation)) == (60 - validation, validation)
    per_class = torch.bincount(first.validation.labels, minlength=10)
    assert per_class.max() - per_class.min() <= 1
    assert torch.equal(first.validation.images, again.validation.images)
    assert torch.equal(first.train.images, again.train.images)
    whole = load_dataset("cifar10", root).train.images
    parts = torch.cat([first.train.images, first.validation.images])
    assert torch.equal(torch.unique(whole.flatten(1), dim=0), torch.unique(parts.flatten(1), dim=0))


def test_tiny_imagenet_stored_by_class_is_shuffled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(datasets._CACHES, "tiny-imagenet", replace(datasets._CACHES["tiny-imagenet"], num_classes=5))
    folder = tmp_path / "tiny-imagenet-200"
    folder.mkdir()
    for split, each in (("train", 20), ("test", 10)):
        labels = np.repeat(np.arange(5, dtype=np.uint8), each)
        np.save(folder / f"{split}_labels.npy", labels)
        np.save(folder / f"{split}_images.npy", (labels + 1)[:, None, None, None] * np.ones((1, 64, 64, 3), np.uint8))
    (folder / "classes.txt").write_text("a\nb\nc\nd\ne\n")
    tiny = load_dataset("tiny-imagenet", tmp_path)
    assert (tiny.image_size, tiny.num_classes, len(tiny.train), len(tiny.test)) == (64, 5, 100, 50)
    assert torch.equal(tiny.train.images[:, 0, 0, 0], (tiny.train.labels + 1).to(torch.uint8))
    assert set(tiny.test.take(25).labels.tolist()) == set(range(5))
    assert torch.bincount(tiny.test.labels).tolist() == [10] * 5


def rewrite(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    np.save(path, change(np.load(path)))


def truncate(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])


def relabel(labels: np.ndarray, value: int) -> np.ndarray:
    labels[0] = value
    return labels


def zero_tail(images: np.ndarray) -> np.ndarray:
    images[-5:] = 0
    return images


DAMAGE = {
    "truncated images": ("train_images.npy", lambda p: truncate(p, 100_000), "is truncated"),
    "truncated header": ("test_labels.npy", lambda p: truncate(p, 20), "is truncated"),
    "empty file": ("test_images.npy", lambda p: truncate(p, 0), "is truncated"),
    "not an array": ("train_labels.npy", lambda p: p.write_text("<html>404</html>"), "not a NumPy array"),
    "pickled objects": (
        "train_labels.npy",
        lambda p: np.save(p, np.array([{}], dtype=object), allow_pickle=True),
        "not a NumPy array",
    ),
    "half-written": ("test_images.npy", lambda p: rewrite(p, zero_tail), "ends in zeros"),
    "wrong dtype": ("train_images.npy", lambda p: rewrite(p, lambda a: a.astype(np.float32)), "holds float32"),
    "wrong layout": ("test_images.npy", lambda p: rewrite(p, lambda a: a.transpose(0, 3, 1, 2)), r"\(20, 3, 32, 32\)"),
    "wrong count": ("train_images.npy", lambda p: rewrite(p, lambda a: a[:59]), "holds 59 images, not 60"),
    "mismatched": ("test_labels.npy", lambda p: rewrite(p, lambda a: a[:19]), "holds 19 labels for 20 images"),
    "float labels": ("test_labels.npy", lambda p: rewrite(p, lambda a: a / 2), r"holds float64 \(20,\)"),
    "one-hot labels": ("test_labels.npy", lambda p: rewrite(p, lambda a: a[:, None]), r"holds uint8 \(20, 1\)"),
    "label too large": ("train_labels.npy", lambda p: rewrite(p, lambda a: relabel(a, 10)), r"labels 0..10, not 0..9"),
    "label negative": (
        "train_labels.npy",
        lambda p: rewrite(p, lambda a: relabel(a.astype(np.int64), -1)),
        r"labels -1..9, not 0..9",
    ),
    "unequal classes": ("train_labels.npy", lambda p: rewrite(p, lambda a: relabel(a, 1)), "classes of 5 to 7 images"),
    "missing array": ("test_images.npy", Path.unlink, "is missing"),
    "missing classes": ("classes.txt", Path.unlink, "is missing"),
    "short classes": ("classes.txt", lambda p: p.write_text("cat\ndog\n"), "holds 2 class names, not 10"),
    "binary classes": ("classes.txt", lambda p: p.write_bytes(b"\xff\xfe\x00"), "is not text"),
    "garbled source": ("source.json", lambda p: p.write_text('{"source": "x"'), "does not hold"),
    "incomplete source": ("source.json", lambda p: p.write_text('{"source": "x"}'), "does not hold"),
    "another checksum": (
        "source.json",
        lambda p: p.write_text('{"source": "x", "sha256": "00"}'),
        "names another checksum",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named_with_its_file_and_remedy(root: Path, kind: str) -> None:
    file, damage, problem = DAMAGE[kind]
    damage(root / "cifar10" / file)
    with pytest.raises(ValueError, match=problem) as error:
        load_dataset("cifar10", root)
    assert str(root / "cifar10" / file) in str(error.value)
    assert "delete the folder" in str(error.value)


def test_source_is_believed_only_with_its_checksum(root: Path) -> None:
    folder = root / "cifar10"
    source = {"source": "reassembled", "sha256": checksum_of(folder)}
    (folder / "source.json").write_text(json.dumps(source))
    cifar = load_dataset("cifar10", root)
    assert (cifar.origin, cifar.official) == ("cifar10 (reassembled)", False)

    rewrite(folder / "test_images.npy", lambda a: a ^ 1)
    with pytest.raises(ValueError, match="names another checksum"):
        load_dataset("cifar10", root)


@pytest.mark.parametrize("name", ["cifar10", "tiny-imagenet"])
def test_absent_set_tells_what_would_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is not in .*put a whole copy there.*SNSLIB_DATA") as error:
        load_dataset(name, tmp_path / "nowhere")
    assert ("download=True" in str(error.value)) == (name == "cifar10")


# --- download ---


def fake_cifar10(root: str, train: bool, download: bool) -> SimpleNamespace:
    """What torchvision's class gives, its raw files left behind in `root` as well."""
    assert download
    Path(root, "cifar-10-batches-py").mkdir(exist_ok=True)
    n = 60 if train else 20
    images = np.random.default_rng(n).integers(0, 256, (n, 3, 32, 32), dtype=np.uint8).transpose(0, 2, 3, 1)
    return SimpleNamespace(data=images, targets=[i % 10 for i in range(n)], classes=[f"c{i}" for i in range(10)])


@pytest.fixture
def empty_root(root: Path) -> Path:
    return root / "new" / "place"


def test_download_writes_a_verified_cache(empty_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.CIFAR10", fake_cifar10)
    first = load_dataset("cifar10", empty_root, download=True)
    assert first.official is True
    assert "md5 verified" in first.origin
    assert [path.name for path in empty_root.iterdir()] == ["cifar10"]
    assert json.loads((empty_root / "cifar10" / "source.json").read_text())["sha256"] == checksum_of(
        empty_root / "cifar10"
    )
    expected = fake_cifar10(str(empty_root), train=False, download=True).data
    assert np.array_equal(first.test.images.permute(0, 2, 3, 1).numpy(), expected)

    monkeypatch.setattr("torchvision.datasets.CIFAR10", None)  # a second load finds the cache
    assert load_dataset("cifar10", empty_root, download=True).official is True


def test_damage_after_the_download_is_found(empty_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.CIFAR10", fake_cifar10)
    load_dataset("cifar10", empty_root, download=True)
    rewrite(empty_root / "cifar10" / "train_labels.npy", lambda a: a[::-1])
    with pytest.raises(ValueError, match="names another checksum"):
        load_dataset("cifar10", empty_root, download=True)


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), OSError("connection reset")])
@pytest.mark.parametrize("where", ["torchvision.datasets.CIFAR10", "snslib.training.datasets._sha256"])
def test_interrupted_download_leaves_nothing(
    empty_root: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException, where: str
) -> None:
    def interrupted(root: object, train: bool = False, download: bool = True) -> SimpleNamespace:
        if train:
            return fake_cifar10(str(root), train, download)
        raise stop

    monkeypatch.setattr("torchvision.datasets.CIFAR10", fake_cifar10)
    monkeypatch.setattr(where, interrupted)
    with pytest.raises(type(stop)):
        load_dataset("cifar10", empty_root, download=True)
    assert list(empty_root.iterdir()) == []


def test_cache_appears_in_one_move_on_its_own_disk(empty_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(source: Path, target: Path) -> None:
        arrays = {f"{split}_{kind}.npy" for split in ("train", "test") for kind in ("images", "labels")}
        assert {path.name for path in source.iterdir()} == arrays | {"classes.txt", "source.json"}
        assert source.is_relative_to(empty_root)
        assert target == empty_root / "cifar10"
        assert not target.exists()
        raise OSError("disk full")

    monkeypatch.setattr("torchvision.datasets.CIFAR10", fake_cifar10)
    monkeypatch.setattr("os.replace", refused)
    with pytest.raises(OSError, match="disk full"):
        load_dataset("cifar10", empty_root, download=True)
    assert list(empty_root.iterdir()) == []


# --- folders of images ---


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
    assert (found.name, found.classes, found.image_size, found.official) == ("pets", ("cat", "dog"), 16, None)
    assert (len(found.train), len(found.validation), len(found.test)) == (12, 0, 2)
    assert sorted(found.train.images[:, 1, 0, 0].tolist()) == sorted([*range(6), *range(6)])
    for split in (found.train, found.test):
        red = split.images[:, 0].flatten(1).float().mean(1)
        assert torch.equal(red == 200, split.labels == 0)
    assert found.train.labels.tolist() != sorted(found.train.labels.tolist())
    assert torch.equal(found.train.images, load_dataset(str(pets)).train.images)


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
    truncate(path, len(path.read_bytes()) // 2)


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
    with pytest.raises(ValueError, match=r"image_size .*got 16 for digits"):
        load_dataset("digits", image_size=16)


# --- to_float and augment ---


def test_to_float_is_the_unit_interval() -> None:
    images = torch.arange(256, dtype=torch.uint8)
    assert to_float(images).dtype == torch.float32
    assert np.array_equal(to_float(images).numpy(), np.arange(256, dtype=np.float32) / np.float32(255))
    with pytest.raises(ValueError, match="images must be uint8, got float32"):
        to_float(to_float(images))


def candidates(image: torch.Tensor, padding: int, flip: bool) -> list[list]:
    """Every crop of the zero-padded image that augment may give, by plain loops."""
    _, height, width = image.shape
    found = []
    for down in range(-padding, padding + 1):
        for right in range(-padding, padding + 1):
            moved = torch.zeros_like(image)
            for i in range(height):
                for j in range(width):
                    if 0 <= i + down < height and 0 <= j + right < width:
                        moved[:, i, j] = image[:, i + down, j + right]
            found.append(moved.tolist())
            if flip:
                found.append([[row[::-1] for row in channel] for channel in moved.tolist()])
    return found


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(0, 4),
    channels=st.integers(1, 6),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    padding=st.integers(0, 3),
    flip=st.booleans(),
    dtype=st.sampled_from([torch.uint8, torch.float32, torch.float64]),
    seed=st.integers(0, 2**31),
)
def test_augmented_images_are_crops_of_the_padded_image(
    n: int, channels: int, height: int, width: int, padding: int, flip: bool, dtype: torch.dtype, seed: int
) -> None:
    images = torch.randint(1, 256, (n, channels, height, width), generator=seeded(seed)).to(dtype)
    before = images.clone()
    out = augment(images, padding, flip, seeded(seed))
    assert (out.shape, out.dtype) == (images.shape, dtype)
    assert torch.equal(images, before)
    for image, result in zip(images, out, strict=True):
        assert result.tolist() in candidates(image, padding, flip)


def test_every_shift_and_both_directions_come_up_per_image() -> None:
    n, padding = 4000, 1
    image = torch.arange(1, 10, dtype=torch.uint8).view(1, 1, 3, 3)
    out = augment(image.expand(n, 1, 3, 3), padding, True, seeded(0))
    _, counts = torch.unique(out.flatten(1), dim=0, return_counts=True)
    assert len(counts) == 18  # 3 x 3 shifts, mirrored or not
    assert (counts - n / 18).abs().max() < 5 * (n / 18) ** 0.5


def test_without_padding_and_flip_nothing_changes() -> None:
    images = torch.rand(5, 3, 6, 7, generator=seeded(0))
    assert torch.equal(augment(images, 0, False, seeded(1)), images)


def test_flip_mirrors_left_and_right() -> None:
    images = torch.rand(64, 3, 6, 7, generator=seeded(0))
    out = augment(images, 0, True, seeded(1))
    mirrored = (out == images.flip(3)).flatten(1).all(1)
    kept = (out == images).flatten(1).all(1)
    assert torch.equal(mirrored, ~kept)
    assert 16 < mirrored.sum() < 48


def test_a_seed_reproduces_and_pairs_are_augmented_alike() -> None:
    images = torch.randint(0, 256, (32, 3, 8, 8), dtype=torch.uint8, generator=seeded(0))
    once = augment(images, 2, True, seeded(1))
    assert torch.equal(once, augment(images, 2, True, seeded(1)))
    assert not torch.equal(once, augment(images, 2, True, seeded(2)))
    first, second = augment(torch.cat([images, 255 - images], 1), 2, True, seeded(1)).chunk(2, 1)
    assert torch.equal(first, once)
    inside = augment(torch.ones_like(images), 2, True, seeded(1))  # 1 where the crop is not padding
    assert torch.equal(second, (255 - first) * inside)


def test_the_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    augment(torch.rand(4, 3, 8, 8, generator=seeded(0)), 2, True, seeded(0))
    list(batches(split_of(10), 3, seeded(0)))
    assert torch.equal(torch.get_rng_state(), before)


def test_augment_refuses_bad_arguments() -> None:
    with pytest.raises(ValueError, match="images must have the shape"):
        augment(torch.rand(3, 8, 8), 2, True, seeded(0))
    with pytest.raises(ValueError, match="padding must be at least 0 pixels, got -1"):
        augment(torch.rand(1, 3, 8, 8), -1, True, seeded(0))


# --- batches ---


@given(n=st.integers(0, 40), batch_size=st.integers(1, 45))
def test_in_order_every_image_comes_once(n: int, batch_size: int) -> None:
    split = split_of(n)
    seen = list(batches(split, batch_size))
    assert [i for index, _, _ in seen for i in index.tolist()] == list(range(n))
    assert all(len(index) == batch_size for index, _, _ in seen[:-1])
    for index, images, labels in seen:
        assert len(index) > 0
        assert torch.equal(images, split.images[index])
        assert torch.equal(labels, split.labels[index])


@given(n=st.integers(0, 40), batch_size=st.integers(1, 45), seed=st.integers(0, 2**31))
def test_shuffled_there_are_floor_n_over_b_whole_batches(n: int, batch_size: int, seed: int) -> None:
    split = split_of(n)
    seen = list(batches(split, batch_size, seeded(seed)))
    expected = [batch_size] * (n // batch_size) if n >= batch_size else [n] * (n > 0)
    assert [len(index) for index, _, _ in seen] == expected
    indices = [i for index, _, _ in seen for i in index.tolist()]
    assert len(set(indices)) == len(indices)
    for index, images, labels in seen:
        assert torch.equal(images[:, 0, 0, 0], index.to(torch.uint8))
        assert torch.equal(labels, index % 3)


def test_shuffle_follows_the_generator() -> None:
    def order(generator: torch.Generator) -> list[int]:
        return torch.cat([index for index, _, _ in batches(split_of(30), 10, generator)]).tolist()

    one = seeded(0)
    first, second = order(one), order(one)
    assert first == order(seeded(0))
    assert first != second  # the next epoch is shuffled anew
    assert sorted(first) == sorted(second) == list(range(30))


def test_a_batch_is_a_copy() -> None:
    split = split_of(4)
    for _, images, labels in batches(split, 4):
        images.zero_()
        labels.zero_()
    assert split.images.max() == 3
    assert split.labels.max() == 2


def test_batch_size_is_checked_before_the_first_batch() -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        batches(split_of(4), 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_seed_means_the_same_on_cuda() -> None:
    images = torch.randint(0, 256, (32, 3, 8, 8), dtype=torch.uint8, generator=seeded(0))
    assert torch.equal(augment(images.cuda(), 2, True, seeded(1)).cpu(), augment(images, 2, True, seeded(1)))
    here, there = (list(batches(split_of(10).to(device), 3, seeded(1))) for device in ("cpu", "cuda"))
    assert [index.tolist() for index, _, _ in here] == [index.tolist() for index, _, _ in there]
    with pytest.raises(ValueError, match="generator must be on the CPU, got one on cuda"):
        augment(images, 2, True, torch.Generator("cuda"))
