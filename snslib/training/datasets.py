"""Loading data sets: embedded digits, arrays of published sets, folders of images (section 3.1)."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from snslib import arguments, locks
from snslib.data import Dataset, Split, fixed_order, hold_out
from snslib.training.image_folders import load_folder, name_of


def load_dataset(
    name: str | Path,
    root: str | Path | None = None,
    validation: int | None = None,
    download: bool = False,
    image_size: int | None = None,
    progress: Callable[[str], None] = print,
) -> Dataset:
    """Load a data set by name, or a folder of images by its path.

    - `"digits"`: scikit-learn's handwritten digits as 32x32 RGB, 1,197 / 200 / 400 images. Needs no files.
    - `"cifar10"`, `"tiny-imagenet"`: NumPy arrays in `ROOT/cifar10`, `ROOT/tiny-imagenet-200`: `train_images.npy`
      (uint8, `(N, H, W, 3)`), `train_labels.npy` (integers), the same for `test`, and `classes.txt` (a name a line).
      A `source.json` beside them, `{"source": words, "sha256": checksum}`, makes damage to any pixel or label known.
      Where CIFAR-10's are not there, the `cifar-10-batches-py` that torchvision made in ROOT is read.
    - `"folder:PATH"`, or the path of a folder that exists: `train/<class>/*` and `test/<class>/*` (or `val`, `valid`,
      `validation`), also as ImageNet and Tiny ImageNet come, see :func:`snslib.training.image_folders.load_folder`;
      the shorter side is resized to `image_size` and the centre cut out, a photograph turned upright before.

    Args:
        name: one of the above.
        root: ROOT; default the environment variable SNSLIB_DATA, else `~/.cache/snslib/data`.
        validation: how many training images are held out, the same ones every time and each class in proportion;
            default 200 for digits, else 0.
        download: fetch CIFAR-10 (170 MB, through torchvision) when it is not there. Nothing else is fetched. Of several
            processes one does, and the others wait for it.
        image_size: pixels, for folders only; default the size of the images when they are all alike and square.
        progress: takes a line where another process is waited for, and on what is left out of a folder.

    Raises:
        ValueError: an unknown name, a set that is not there, a damaged or incomplete one (naming the file and what to
            do), or an argument out of range. A set is never used in part.
    """
    name = str(name)
    if image_size is not None:
        arguments.at_least("image_size", image_size, 1)
    if image_size is not None and not is_folder(name):
        raise ValueError(f"image_size: is for folders of images only, got {image_size} for {name}")
    if name == "digits":
        data = _load_digits()
    elif name in _CACHES:
        data = _load_cache(name, Path(root or default_root()).expanduser() / _CACHES[name].folder, download, progress)
    elif is_folder(name):
        data = load_folder(Path(name.removeprefix("folder:")).expanduser(), image_size, progress)
    else:
        known = ", ".join(repr(known) for known in NAMES)
        raise ValueError(f"name: expected {known}, 'folder:PATH' or the path of a folder of images, got {name!r}")

    if validation is None:
        validation = 200 if name == "digits" else 0
    arguments.number("validation", validation, 0, len(data.train) - 1, whole=True, about="training images held out")
    train, held_out = hold_out(data.train, validation)
    return replace(data, train=train, validation=held_out)


def is_folder(name: str) -> bool:
    """Whether `name` means a folder of images: `"folder:PATH"`, or the path of a folder that exists."""
    return name.startswith("folder:") or (name not in ("", *NAMES) and Path(name).expanduser().is_dir())


def identity(name: str | Path) -> str:
    """The name that the data set loaded by this one has, see :class:`snslib.data.Dataset`."""
    name = str(name)
    return name_of(Path(name.removeprefix("folder:"))) if is_folder(name) else name


def default_root() -> Path:
    """Where data sets are looked for: the environment variable SNSLIB_DATA, else `~/.cache/snslib/data`."""
    return Path(os.environ.get("SNSLIB_DATA") or "~/.cache/snslib/data").expanduser()


def arrays_there(root: str | Path | None = None) -> dict[str, Path]:
    """Name to folder of the data sets of arrays that are in `root`, see :func:`load_dataset`."""
    place = Path(root or default_root()).expanduser()
    folders = {name: place / cache.folder for name, cache in _CACHES.items()}
    return {name: at for name, at in folders.items() if any((at / f"{stem}.npy").exists() for stem in _ARRAYS)}


def was_fetched(folder: Path) -> bool:
    """Whether the arrays in a folder were fetched by :func:`load_dataset`, which can do so again."""
    try:
        return json.loads((folder / "source.json").read_text(encoding="utf-8"))["source"] == _VERIFIED
    except (OSError, ValueError, KeyError, TypeError):
        return False


def check_arrays(name: str, folder: Path) -> None:
    """Make every check of :func:`load_dataset` on the arrays of a data set, without loading them.

    Raises:
        ValueError: they are damaged or incomplete.
    """
    _open_cache(folder, _CACHES[name])


# --- digits ---

# Of the 8x8 images and their labels, both as uint8, as scikit-learn publishes them.
_DIGITS_SHA256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"


def _load_digits() -> Dataset:
    """1,797 digits of 8x8 pixels in 0..16, resized (bilinear) to 32x32 in 0..255; 400 of them are the test split."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = digits.images, digits.target
    checksum = _sha256([images.astype(np.uint8), labels.astype(np.uint8)])
    small = torch.from_numpy(images)[:, None] * (255 / 16)
    large = functional.interpolate(small, size=(32, 32), mode="bilinear", align_corners=False)
    order = fixed_order(len(labels))
    everything = Split(
        large.round().to(torch.uint8).expand(-1, 3, -1, -1)[order], torch.from_numpy(labels).to(torch.int64)[order]
    )
    train, test = hold_out(everything, 400)
    return Dataset(
        name="digits",
        classes=tuple("0123456789"),
        train=train,
        validation=train.take(0),
        test=test,
        crop_padding=2,
        flip=False,
        origin="scikit-learn's load_digits, resized from 8x8 to 32x32",
        official=checksum == _DIGITS_SHA256,
    )


# --- array caches: CIFAR-10 and Tiny ImageNet ---


@dataclass(frozen=True)
class _Cache:
    """What the arrays of a published data set must be like."""

    folder: str
    title: str
    num_classes: int
    image_size: int
    counts: dict[str, int] | None  # images in each split, where subsets are not in use
    grouped: bool  # stored class by class, so that the order has to be shuffled
    crop_padding: int
    remedy: str


_CACHES = {
    "cifar10": _Cache(
        folder="cifar10",
        title="CIFAR-10",
        num_classes=10,
        image_size=32,
        counts={"train": 50_000, "test": 10_000},
        grouped=False,
        crop_padding=4,
        remedy="load_dataset('cifar10', download=True) fetches it (170 MB), or put a whole copy there yourself",
    ),
    "tiny-imagenet": _Cache(
        folder="tiny-imagenet-200",
        title="Tiny ImageNet",
        num_classes=200,
        image_size=64,
        counts=None,
        grouped=True,
        crop_padding=8,
        remedy="it is not fetched for you: put a whole copy there",
    ),
}
NAMES = ("digits", *_CACHES)
_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
_VERIFIED = "torchvision, md5 verified"
_BATCHES = "cifar-10-batches-py"  # the folder that torchvision makes


def _load_cache(name: str, folder: Path, download: bool, progress: Callable[[str], None]) -> Dataset:
    """The data set whose arrays are in `folder`, fetched first where they are not there."""
    cache = _CACHES[name]
    made = _made_by_torchvision(folder) if name == "cifar10" else None
    if made is None and not folder.exists():
        if not (download and name == "cifar10"):
            nor = f", nor, as torchvision makes it, in {folder.parent / _BATCHES}" if name == "cifar10" else ""
            raise ValueError(
                f"{name} is not in {folder}{nor}: {cache.remedy} (train_images.npy, train_labels.npy, test_images.npy, "
                "test_labels.npy, classes.txt); root= or the environment variable SNSLIB_DATA name another place"
            )
        with locks.alone(folder, progress):
            if not folder.exists():  # by now either
                _download_cifar10(folder)
    if name == "tiny-imagenet" and (folder / "train").is_dir() and not (folder / f"{_ARRAYS[0]}.npy").exists():
        raise ValueError(f"{name}: {folder} holds folders of images, not arrays; 'folder:{folder}' reads them")
    arrays, classes, source = _open_cache(folder, cache) if made is None else _of_torchvision(made)
    counts = " / ".join(f"{len(arrays[f'{split}_labels']):,}" for split in ("train", "test"))

    def read(split: str) -> Split:
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        order = fixed_order(len(labels)).numpy() if cache.grouped else slice(None)
        return Split(
            torch.from_numpy(np.ascontiguousarray(images[order].transpose(0, 3, 1, 2))),
            torch.from_numpy(labels[order].astype(np.int64)),
        )

    train = read("train")
    return Dataset(
        name=name,
        classes=classes,
        train=train,
        validation=train.take(0),
        test=read("test"),
        crop_padding=cache.crop_padding,
        flip=True,
        origin=(
            f"{cache.folder} ({source})"
            if source
            else f"decoded copy of {cache.title} ({counts} images), not verified against the official archive"
        ),
        official=source == _VERIFIED,
    )


def _open_cache(folder: Path, cache: _Cache) -> tuple[dict[str, np.ndarray], tuple[str, ...], str | None]:
    """Arrays, classes and source of a data set, after every check that can be made on them."""
    arrays = {stem: _open_array(folder / f"{stem}.npy", cache) for stem in _ARRAYS}
    for split in ("train", "test"):
        _check_images(folder / f"{split}_images.npy", arrays[f"{split}_images"], split, cache)
        _check_labels(folder / f"{split}_labels.npy", arrays[f"{split}_labels"], len(arrays[f"{split}_images"]), cache)
    return arrays, _read_classes(folder / "classes.txt", cache), _read_source(folder / "source.json", arrays, cache)


def _damaged(path: Path, problem: str, cache: _Cache) -> ValueError:
    return ValueError(f"{path} {problem}; delete the folder {path.parent}, then: {cache.remedy}")


def _open_array(path: Path, cache: _Cache) -> np.ndarray:
    """The array in a .npy file, mapped and not read; pickled objects are refused."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise _damaged(path, "is missing", cache) from None
    except (ValueError, OSError) as error:
        raise _damaged(path, f"is truncated or not a NumPy array ({error})", cache) from error


def _check_images(path: Path, images: np.ndarray, split: str, cache: _Cache) -> None:
    shape = (cache.image_size, cache.image_size, 3)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != shape:
        raise _damaged(path, f"holds {images.dtype} {images.shape}, not uint8 (N, {', '.join(map(str, shape))})", cache)
    if cache.counts and len(images) != cache.counts[split]:
        raise _damaged(path, f"holds {len(images):,} images, not {cache.counts[split]:,}", cache)
    if not images[-1].any():
        raise _damaged(path, "ends in zeros, as a half-written file does", cache)


def _check_labels(path: Path, labels: np.ndarray, images: int, cache: _Cache) -> None:
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise _damaged(path, f"holds {labels.dtype} {labels.shape}, not integers (N,)", cache)
    if len(labels) != images:
        raise _damaged(path, f"holds {len(labels):,} labels for {images:,} images", cache)
    if labels.min() < 0 or labels.max() >= cache.num_classes:
        raise _damaged(path, f"holds labels {labels.min()}..{labels.max()}, not 0..{cache.num_classes - 1}", cache)
    sizes = np.bincount(labels, minlength=cache.num_classes)
    if sizes.min() != sizes.max():
        raise _damaged(path, f"has classes of {sizes.min():,} to {sizes.max():,} images, not all of one size", cache)


def _read_classes(path: Path, cache: _Cache) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise _damaged(path, "is missing", cache) from None
    except UnicodeDecodeError as error:
        raise _damaged(path, f"is not text ({error})", cache) from error
    classes = tuple(line.strip() for line in lines if line.strip())
    if len(classes) != cache.num_classes:
        raise _damaged(path, f"holds {len(classes)} class names, not {cache.num_classes}", cache)
    return classes


def _read_source(path: Path, arrays: dict[str, np.ndarray], cache: _Cache) -> str | None:
    """What source.json says of where the arrays came from, if it is there and its checksum is theirs."""
    if not path.exists():
        return None
    try:
        source = json.loads(path.read_text(encoding="utf-8"))
        words, checksum = str(source["source"]), source["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f'does not hold {{"source": words, "sha256": checksum}} ({error!r})', cache) from error
    if checksum != _sha256(arrays[stem] for stem in _ARRAYS):
        raise _damaged(path, "names another checksum than that of the arrays beside it: one of them changed", cache)
    return words


def _sha256(arrays: Iterable[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _made_by_torchvision(folder: Path) -> Path | None:
    """The root of CIFAR-10 as torchvision has it, where there are no arrays in ``folder``: that above it, or itself."""
    if (folder / f"{_ARRAYS[0]}.npy").exists():
        return None
    root = folder.parent
    places = (root.parent if root.name == _BATCHES else root, folder)
    return next((place for place in places if (place / _BATCHES / "batches.meta").exists()), None)


def _of_torchvision(root: Path) -> tuple[dict[str, np.ndarray], tuple[str, ...], str]:
    """CIFAR-10 of a folder of torchvision's in ``root``, which checks MD5 sums; nothing is fetched or written."""
    from torchvision.datasets import CIFAR10

    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "test"):
        try:
            source = CIFAR10(str(root), train=split == "train", download=False)
        except Exception as error:  # a RuntimeError for MD5 sums that are others, or the parser's
            line = str(error).partition("\n")[0]
            raise ValueError(
                f"{root / _BATCHES} is damaged or not whole ({line}); delete it, then: {_CACHES['cifar10'].remedy}"
            ) from error
        arrays |= {f"{split}_images": source.data, f"{split}_labels": np.asarray(source.targets, dtype=np.uint8)}
    return arrays, tuple(source.classes), _VERIFIED


def _download_cifar10(folder: Path) -> None:
    """Fetch CIFAR-10 through torchvision, which checks MD5 sums, and write the array cache, whole or not at all."""
    from torchvision.datasets import CIFAR10

    with locks.written_beside(folder) as whole, _unpacked_inside():
        arrays = {}
        for split in ("train", "test"):
            source = CIFAR10(str(whole.parent), train=split == "train", download=True)
            arrays[f"{split}_images"] = np.ascontiguousarray(source.data)
            arrays[f"{split}_labels"] = np.asarray(source.targets, dtype=np.uint8)
        whole.mkdir()
        for stem in _ARRAYS:
            np.save(whole / f"{stem}.npy", arrays[stem])
        (whole / "classes.txt").write_text("".join(f"{name}\n" for name in source.classes), encoding="utf-8")
        checksum = _sha256(arrays[stem] for stem in _ARRAYS)
        (whole / "source.json").write_text(json.dumps({"source": _VERIFIED, "sha256": checksum}), encoding="utf-8")


@contextmanager
def _unpacked_inside() -> Iterator[None]:
    """No archive that is unpacked meanwhile writes outside of its folder, through links neither (PEP 706).

    Not every version of torchvision sees to that by itself.
    """
    before = tarfile.TarFile.__dict__.get("extraction_filter")
    tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)  # type: ignore[assignment]
    try:
        yield
    except tarfile.TarError as error:
        raise ValueError(f"download: the archive that was fetched is not that of the data set ({error})") from error
    finally:
        tarfile.TarFile.extraction_filter = before  # type: ignore[assignment]
