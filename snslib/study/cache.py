"""What lies in the cache and among the data sets: listed, looked over for damage, and cleared by kind or age."""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from snslib import arguments, locks
from snslib.files import load_tensors, read_json
from snslib.study import records
from snslib.study.records import Record
from snslib.training import datasets, pretrained

KINDS = ("models", "checkpoints", "pairs", "records", "data", "leftovers")
CLEARABLE = (*KINDS, "damaged", "all")
_DAY = 24 * 3600


@dataclass(frozen=True)
class Entry:
    """A file or folder of the cache.

    Args:
        kind: one of KINDS.
        path: of it.
        size: bytes, of all that is in a folder.
        age: seconds since it was written.
        damage: in words; empty where it is whole.
        ours: whether snslib made or fetched it, and can do so again.
    """

    kind: str
    path: Path
    size: int
    age: float
    damage: str = ""
    ours: bool = True


def look_over(folder: Path | None = None, data: Path | None = None) -> list[Entry]:
    """All that lies in a cache, every file of which is read and held against its checksums.

    Args:
        folder: where networks and records are kept; None is that of :func:`snslib.study.records.default_folder`.
        data: where data sets are kept; None is that of :func:`snslib.training.datasets.default_root`.

    Raises:
        ValueError: there is no such folder.
    """
    if folder is not None and not folder.is_dir():
        raise ValueError(f"out: there is no folder {folder}; it is the one that models and records were kept in")
    folder, data = folder or records.default_folder(), data or datasets.default_root()
    found = [entry for kind, path, damage in _files(folder) for entry in _entry(kind, path, damage)]
    for name, path in datasets.arrays_there(data).items():
        damage = _damage(partial(datasets.check_arrays, name), path)
        found += _entry("data", path, damage, datasets.was_fetched(path))
    places = [*(folder / name for name in ("models", "pairs", "records")), *pretrained.RESULTS.glob("**/")]
    left = [path for place in places for path in locks.leftovers(place, after=0)]
    left += [path for name in datasets.NAMES for path in locks.leftovers(data, name, after=0)]
    return found + [entry for path in left for entry in _entry("leftovers", path)]


def _files(folder: Path) -> Iterator[tuple[str, Path, str]]:
    """Kind, path and damage of models, checkpoints, pairs and records."""
    for path in sorted(folder.glob("models/*.safetensors")):
        yield "models", path, _damage(_check_model, path)
    for path in sorted(folder.glob("models/*.partial")):
        of = path.with_suffix(".safetensors")
        yield "leftovers" if of.exists() else "checkpoints", path, _damage(load_tensors, path)
    for path in sorted(folder.glob("pairs/*.safetensors")):
        yield "pairs", path, _damage(_check_pairs, path)
    for path in sorted(folder.glob("records/*.json")):
        yield "records", path, _damage(_check_record, path)


def _entry(kind: str, path: Path, damage: str = "", ours: bool = True) -> list[Entry]:
    """The one entry of a path; none where it is gone by now."""
    try:
        inside = [each.lstat().st_size for each in path.rglob("*") if not each.is_dir()] if path.is_dir() else []
        about = path.lstat()
    except FileNotFoundError:
        return []
    size = sum(inside) if path.is_dir() else about.st_size
    return [Entry(kind, path, size, max(0.0, time.time() - about.st_mtime), damage, ours)]


def _damage(check: Callable[[Path], Any], path: Path) -> str:
    try:
        check(path)
    except FileNotFoundError:
        return "" if not path.exists() else "it cannot be read"
    except (ValueError, OSError) as error:
        return " ".join(str(error).split())
    return ""


def _check_model(path: Path) -> None:
    _check_name(path, load_tensors(path)[1].get("recipe"))


def _check_pairs(path: Path) -> None:
    _check_name(path, load_tensors(path)[1])


def _check_record(path: Path) -> None:
    try:
        found = Record.from_json(read_json(path))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error})") from error
    _check_name(path, found.config)


def _check_name(path: Path, inputs: Any) -> None:
    """A file is called after the hash of what it depends on."""
    if path.stem.rpartition("-")[2] != records.key(inputs):
        raise ValueError(f"{path} holds something else than its name says")


def table(found: Sequence[Entry]) -> list[str]:
    """Lines that say how many entries of each kind there are, their size and age, and what is damaged or left over."""
    lines = [f"{'':<12} number       size  age in days"]
    for kind in KINDS:
        of_kind = [entry for entry in found if entry.kind == kind]
        days = sorted(int(entry.age / _DAY) for entry in of_kind)
        ages = f"{days[0]} to {days[-1]}" if of_kind else ""
        lines.append(f"{kind:<12} {len(of_kind):6,} {_size(of_kind):>10}  {ages}".rstrip())
    lines += [f"damaged: {entry.damage}" for entry in found if entry.damage]
    return lines + [f"left over: {entry.path}" for entry in found if entry.kind == "leftovers"]


def clear(found: Sequence[Entry], what: str, older_than: float | None = None) -> list[str]:
    """Remove entries, but for those that a process is working on and data sets that were not fetched by snslib.

    What is hidden and has no lock that says whether a process is at it is kept for an hour, if nothing else is asked.

    Args:
        found: of :func:`look_over`.
        what: a kind of KINDS, "damaged" or "all".
        older_than: days since they were written, >= 0; None takes them of any age.

    Returns:
        Lines that say what was removed, what was kept and why, and how much room there is now.

    Raises:
        ValueError: another name, or a number out of range.
    """
    arguments.one_of("clear", what, CLEARABLE)
    if older_than is not None:
        arguments.not_negative("older_than", older_than)
    abandoned_after = locks.ABANDONED_AFTER if older_than is None else older_than * _DAY
    lines, removed = [], []
    for entry in found:
        meant = what in ("all", entry.kind) or (what == "damaged" and entry.damage != "")
        if meant and entry.age >= (older_than or 0) * _DAY:
            if kept := _remove(entry, abandoned_after):
                lines.append(f"kept {entry.path}: {kept}")
            else:
                lines.append(f"removed {entry.path}")
                removed.append(entry)
    lines.append(f"{len(removed):,} removed, {_size(removed)}")
    places = {os.stat(entry.path.parent).st_dev: entry.path.parent for entry in removed}
    return lines + [f"{_bytes(shutil.disk_usage(place).free)} are free at {place}" for place in places.values()]


def _remove(entry: Entry, abandoned_after: float) -> str:
    """Remove an entry; in words, why it is kept, else empty."""
    made = entry.path.with_suffix(".safetensors") if entry.path.suffix == ".partial" else entry.path
    if not entry.ours:
        return "it was not fetched by snslib, which cannot fetch it again"
    try:
        if made.name.startswith("."):
            if entry.path not in locks.leftovers(entry.path.parent, after=0):
                return "a process is working on it"
            if entry.path not in locks.leftovers(entry.path.parent, after=abandoned_after):
                return "it was changed not long ago; --older-than 0 removes it all the same"
            locks.remove(entry.path)
            return ""
        with locks.if_unused(made) as unused:
            if not unused:
                return "a process is working on it"
            locks.remove(entry.path)
    except OSError as error:
        return f"it cannot be removed ({error.strerror})"
    return ""


def _size(entries: Sequence[Entry]) -> str:
    return _bytes(sum(entry.size for entry in entries))


def _bytes(number: int) -> str:
    return f"{number / 1e9:,.1f} GB" if number >= 1e9 else f"{number / 1e6:,.1f} MB"
