"""Data sets are whole, fixed and as described, or refused by name."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10

from snslib.data import Dataset, Split
from snslib.training import datasets
from snslib.training.datasets import load_dataset

SPLITS = ("train", "validation", "test")


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


@pytest.mark.parametrize("validation", [-1, 1397, 0.1, True])
def test_hold_out_out_of_range_is_refused(validation: int) -> None:
    with pytest.raises(ValueError, match=r"^validation: expected an integer from 0 to 1,396 "):
        load_dataset("digits", validation=validation)


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


# --- what torchvision made ---


@pytest.fixture
def batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with `cifar-10-batches-py`, of 60 images in all, whose MD5 sums torchvision expects."""
    folder = tmp_path / "data" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    sums = {}

    def dump(name: str, content: dict[str, object]) -> None:
        (folder / name).write_bytes(pickle.dumps(content))
        sums[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()

    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for place, name in enumerate(names):
        pixels = np.random.default_rng(place).integers(0, 256, (10, 3072), dtype=np.uint8)
        dump(name, {"data": pixels, "labels": [*range(10)]})
    dump("batches.meta", {"label_names": [f"c{i}" for i in range(10)]})
    listed = [(name, sums[name]) for name in names]
    monkeypatch.setattr(CIFAR10, "train_list", [list(each) for each in listed[:5]])
    monkeypatch.setattr(CIFAR10, "test_list", [list(listed[5])])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": sums["batches.meta"]})
    monkeypatch.setattr("urllib.request.urlopen", None)
    return folder.parent


@pytest.mark.parametrize("place", ["root", "root is the folder", "in cifar10"])
@pytest.mark.parametrize("download", [False, True])
def test_the_folder_that_torchvision_made_is_used(batches: Path, place: str, download: bool) -> None:
    root = batches
    if place == "root is the folder":
        root = batches / "cifar-10-batches-py"
    if place == "in cifar10":
        (batches / "cifar10").mkdir()
        (batches / "cifar-10-batches-py").rename(batches / "cifar10" / "cifar-10-batches-py")
    before = sorted(batches.rglob("*"))
    found = load_dataset("cifar10", root, download=download)
    assert (len(found.train), len(found.test), found.official) == (50, 10, True)
    assert found.classes == tuple(f"c{i}" for i in range(10))
    assert found.test.labels.tolist() == [*range(10)]
    planes = np.random.default_rng(5).integers(0, 256, (10, 3072), dtype=np.uint8)  # a plane for each colour
    assert np.array_equal(found.test.images.flatten(1).numpy(), planes)
    assert sorted(batches.rglob("*")) == before  # read where it is


def test_a_changed_batch_of_torchvisions_is_not_used(batches: Path) -> None:
    path = batches / "cifar-10-batches-py" / "data_batch_3"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(ValueError, match=r"cifar-10-batches-py is damaged or not whole .*delete it, then"):
        load_dataset("cifar10", batches)


def test_arrays_come_before_what_torchvision_made(root: Path) -> None:
    (root / "cifar-10-batches-py").mkdir()
    (root / "cifar-10-batches-py" / "batches.meta").touch()
    assert load_dataset("cifar10", root).name == "cifar10"


def test_one_line_says_where_cifar10_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not in") as error:
        load_dataset("cifar10", tmp_path)
    text = str(error.value)
    assert "\n" not in text
    for part in (tmp_path / "cifar10", tmp_path / "cifar-10-batches-py", "download=True", "SNSLIB_DATA"):
        assert str(part) in text


def test_the_official_folder_of_tiny_imagenet_is_not_taken_for_damaged_arrays(tmp_path: Path) -> None:
    (tmp_path / "tiny-imagenet-200" / "train").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"holds folders of images, not arrays; 'folder:.*tiny-imagenet-200' reads"):
        load_dataset("tiny-imagenet", tmp_path)


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
