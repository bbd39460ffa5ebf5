"""Which images of a folder are of which class: class folders, and the layouts of ImageNet and Tiny ImageNet."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from snslib.arguments import few

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
SYSTEM = ("__MACOSX", "__pycache__", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information")
_CIRCLE = "links in a circle"
TRAIN, TEST = ("train", "training"), ("test", "testing", "val", "valid", "validation")  # names of splits, by precedence


@dataclass(frozen=True)
class Listing:
    """The images of a folder.

    Args:
        classes: class to its image files, in the order of the labels; a class may have none.
        left_out: kind of file, such as ".txt" or "hidden", to how many are no image of a class.
        order: in words, how the classes are sorted, where people may expect another order; else "".
    """

    classes: dict[str, list[Path]]
    left_out: Counter[str]
    order: str = ""

    @property
    def said(self) -> str:
        """In words, what was left out and how classes are sorted; "" for nothing."""
        return "; ".join(part for part in (described(self.left_out), self.order) if part)


def list_classes(folder: Path) -> Listing:
    """The images of ``folder/<class>/``, also in folders below that: `<class>/images/`, as Tiny ImageNet has it.

    The validation images of Tiny ImageNet lie in one folder, named in its `val_annotations.txt`, and so do those of
    ImageNet, whose development kit (`ILSVRC2012_devkit_t12`) is looked for beside ``folder`` and one level up.
    What begins with a dot, and folders that an operating system or Jupyter makes, are neither classes nor images.
    Symbolic links are followed. Classes are sorted by name, as torchvision sorts them; numbers by their value.

    Raises:
        ValueError: no folder, or one without class folders.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not there; images belong in {folder.name}/<class>/")
    if (folder / "val_annotations.txt").is_file():
        return _tiny_imagenet(folder)
    outside: list[Path] = []
    named: list[Path] = []
    left_out: Counter[str] = Counter()
    for path in sorted(folder.iterdir()):
        is_folder = path.is_dir()
        if kind := _kind_of_folder(path) if is_folder else _kind(path):
            left_out[kind] += _count(path)
        else:
            (named if is_folder else outside).append(path)
    if not named and any(path.name.startswith("ILSVRC2012_val_") for path in outside):
        return _imagenet(folder, outside, left_out)
    if not named:
        loose = f" and {len(outside):,} images outside of any" if outside else ""
        raise ValueError(f"{folder} holds no class folders{loose}; images belong in {folder.name}/<class>/")
    if outside:
        left_out["images outside of the class folders"] += len(outside)
    classes = {path.name: list_images(path, left_out) for path in _sorted(named)}
    return Listing(classes, left_out, _order([*classes]))


def list_images(folder: Path, left_out: Counter[str]) -> list[Path]:
    """All images in a folder and those below it, sorted by folder and name; the rest is counted in ``left_out``."""
    found = []
    for path, kind in _walk(folder, frozenset()):
        if kind:
            left_out[kind] += _count(path)
        else:
            found.append(path)
    return sorted(found, key=lambda path: (str(path.parent), path.name))


def find_splits(folder: Path, names: Sequence[str]) -> list[Path]:
    """The folders of the names, in any case, those first whose images have classes, then those written as here.

    Those of the official test sets of ImageNet and Tiny ImageNet have none.
    """
    there = sorted(folder.iterdir(), reverse=True) if folder.is_dir() else []
    found = [path for name in names for path in there if path.name.lower() == name and path.is_dir()]
    return sorted(found, key=_is_labelled, reverse=True)


def described(left_out: Counter[str]) -> str:
    """In words, how many files of which kind were left out; "" for none."""
    if not left_out:
        return ""
    return f"left out: {', '.join(f'{count:,} {kind}' for kind, count in sorted(left_out.items()))}"


def _is_labelled(folder: Path) -> bool:
    names = [path.name for path in folder.iterdir()]
    inner = [name for name in names if (folder / name).is_dir() and not _kind_of_folder(folder / name)]
    official = "val_annotations.txt" in names or any(name.startswith("ILSVRC2012_val_") for name in names)
    return official or bool(set(inner) - {"images"})


# --- files ---


def _walk(folder: Path, above: frozenset[str]) -> Iterator[tuple[Path, str]]:
    """Every file below a folder with its kind, "" for an image; a folder that is not entered, with its own."""
    above |= {os.path.realpath(folder)}
    for path in sorted(folder.iterdir()):
        if not path.is_dir():
            yield path, _kind(path)
        elif kind := _kind_of_folder(path):
            yield path, kind
        elif os.path.realpath(path) in above:
            yield path, _CIRCLE
        else:
            yield from _walk(path, above)


def _kind(path: Path) -> str:
    """What a file is that is no image of the user's; "" for one that is."""
    if path.name.startswith("."):
        return "hidden"
    if not path.exists():
        return "broken links"
    if not path.is_file():
        return "devices and pipes"
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return ""
    return path.name if path.name.lower() in ("thumbs.db", "desktop.ini") else suffix or "without a suffix"


def _kind_of_folder(path: Path) -> str:
    """What a folder is that holds no images of the user's; "" for one that may."""
    if path.is_symlink() and path.parent.resolve().is_relative_to(path.resolve()):
        return _CIRCLE
    return f"in {path.name}" if path.name.startswith(".") or path.name in SYSTEM else ""


def _count(path: Path) -> int:
    """How many files are below a folder; 1 for a file, or for a link."""
    if path.is_symlink() or not path.is_dir():
        return 1
    return sum(len(files) for _, _, files in os.walk(path))


# --- classes ---


def _sorted(folders: Sequence[Path]) -> list[Path]:
    numbers = all(re.fullmatch(r"[0-9]+", path.name) for path in folders)
    return sorted(folders, key=lambda path: (int(path.name) if numbers else 0, path.name))


def _order(classes: Sequence[str]) -> str:
    """How the classes are sorted, in words, where numbers in their names make it a question."""
    by_name = sorted(classes)
    if classes != by_name:
        return f"class folders in the order of their numbers: {few(classes, 3)} (by name it would be {few(by_name, 3)})"
    by_number = sorted(classes, key=_parts)
    return "" if classes == by_number else f"class folders in the order of their names: {few(classes, 3)}"


def _parts(name: str) -> list[str | int]:
    """A name as texts and numbers in turn, beginning with a text."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"([0-9]+)", name))]


# --- the layouts of ImageNet ---


def _tiny_imagenet(folder: Path) -> Listing:
    """The validation images of Tiny ImageNet: a line "val_0.JPEG, class, box" for each, with tabs."""
    notes = folder / "val_annotations.txt"
    lines = [line.split("\t") for line in notes.read_text(encoding="utf-8").splitlines() if line.strip()]
    left_out: Counter[str] = Counter()
    images = {path.name: path for path in list_images(folder, left_out)}
    left_out[".txt"] -= 1  # the annotations are used
    classes: dict[str, list[Path]] = {name: [] for name in sorted({line[1] for line in lines if len(line) > 1})}
    for line in lines:
        if len(line) < 2 or line[0] not in images:
            raise ValueError(f"{notes} names {line[0]!r}, which is not in {folder}; put a whole copy there")
        classes[line[1]].append(images.pop(line[0]))
    if images:
        left_out["images without an annotation"] = len(images)
    return Listing(classes, +left_out)


def _imagenet(folder: Path, images: Sequence[Path], left_out: Counter[str]) -> Listing:
    """The 50,000 validation images of ImageNet, sorted by name, and their classes as the development kit lists them."""
    kit = next(
        (place for above in [*folder.parents][:2] for place in sorted(above.glob("ILSVRC2012_devkit*/data"))), None
    )
    if kit is None:
        raise ValueError(
            f"{folder} holds ImageNet's validation images without their classes; put the folder ILSVRC2012_devkit_t12, "
            f"of the development kit, beside it, or sort the images into {folder.name}/<class>/"
        )
    try:
        lines = (kit / "ILSVRC2012_validation_ground_truth.txt").read_text(encoding="utf-8").split()
        names = _synsets(kit / "meta.mat")
        classes: dict[str, list[Path]] = {name: [] for name in sorted(names.values())}
        for path in images:
            classes[names[int(lines[int(path.stem.rpartition("_")[2]) - 1])]].append(path)
    except Exception as error:  # a file is missing or has other columns, or whatever the parser raises
        raise ValueError(f"{kit} does not say the classes of {folder} ({error}); put a whole copy there") from error
    return Listing(classes, left_out)


def _synsets(path: Path) -> dict[int, str]:
    """The number of each class in the development kit, to its name."""
    from scipy.io import loadmat

    rows = loadmat(path, squeeze_me=True)["synsets"]
    numbers, names, children = (rows[field].tolist() for field in ("ILSVRC2012_ID", "WNID", "num_children"))
    return {int(number): str(name) for number, name, below in zip(numbers, names, children, strict=True) if not below}
