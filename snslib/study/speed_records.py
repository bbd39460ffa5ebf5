"""The records of speed in ``results/``: what ``benchmarks/`` measured, by device and section."""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from snslib import files
from snslib.study import schema

FOLDER = files.PROJECT / "results"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class SpeedRecords:
    """The measurements of one or more devices.

    Args:
        devices: "cpu" or "cuda" to its sections, such as "attacks", each with its "rows" and where they come from, as
            ``benchmarks/run.py`` writes them.
    """

    devices: Mapping[str, Mapping[str, Mapping[str, Any]]]

    def sections(self, name: str) -> dict[str, Mapping[str, Any]]:
        """Device to a section, of those on which it was measured."""
        return {device: measured[name] for device, measured in self.devices.items() if name in measured}

    def rows(self, name: str) -> dict[str, Sequence[Row]]:
        """Device to the rows of a section, of those on which it was measured."""
        return {device: section["rows"] for device, section in self.sections(name).items()}

    def groups(self, name: str, *keys: str) -> Iterator[tuple[list[Any], list[Row]]]:
        """The rows of a section in groups that follow each other and agree in device and keys, after these values."""
        for device, rows in self.rows(name).items():
            for values, group in groupby(rows, lambda row: [row[key] for key in keys]):
                yield [device, *values], list(group)


def read(device: str = "all") -> SpeedRecords:
    """The records of a device, "cpu" or "cuda", or of "all" that are there.

    What is damaged, a file or a section, is left out with a warning that names it, and hides nothing else.

    Raises:
        ValueError: nothing was measured on it.
    """
    devices = {}
    for path in sorted(FOLDER.glob("speed_*.json" if device == "all" else f"speed_{device}.json")):
        try:
            devices[path.stem.removeprefix("speed_")] = _sections(path, "rows")
        except ValueError as error:
            warnings.warn(f"left out: {error}", stacklevel=2)
    if not devices:
        raise ValueError(f"record: there are no measurements on {device}; make bench DEVICE={device} makes them")
    return SpeedRecords(devices)


def convolutions() -> dict[str, Any]:
    """Release of PyTorch to the small convolutions that it computes wrong, from ``benchmarks/convolutions.py``."""
    return _sections(FOLDER / "convolutions.json", "wrong")


def _sections(path: Path, part: str) -> dict[str, Any]:
    """Names to objects with a list of rows as one part; a section that is none is left out with a warning.

    Raises:
        ValueError: the file holds no such section.
    """
    try:
        held = json.loads(path.read_text(encoding="utf-8"))  # NaN is a problem of its row alone
        if type(held) is not dict or not held:
            raise ValueError(f"it has no sections with {part}")
        problems = {name: _problem(section, part) for name, section in held.items()}
        if all(problems.values()):
            raise ValueError("; ".join(f"{name}: {problem}" for name, problem in problems.items()))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}); git checkout brings it back") from error
    for name, problem in problems.items():
        if problem:
            damaged = f"{name} of {path} is damaged ({problem})"
            warnings.warn(f"left out: {damaged}; git checkout brings it back", stacklevel=3)
    return {name: section for name, section in held.items() if not problems[name]}


def _problem(section: Any, part: str) -> str:
    """In words, why a section has no rows of one kind, each with the same columns; empty where it has."""
    rows = section.get(part) if type(section) is dict else None
    if type(rows) is not list:
        return f"it has no list of {part}"
    kinds = [{name: _kind(value) for name, value in row.items()} if type(row) is dict else {} for row in rows]
    odd = next((place for place, kind in enumerate(kinds, start=1) if not kind or kind != kinds[0]), None)
    return f"row {odd} is not like the others" if odd or any(None in kind.values() for kind in kinds) else ""


def _kind(value: Any) -> Any:
    """What a cell holds: a number, a text, true or false, or a list; None for anything else."""
    if schema.number(value):
        return float
    return type(value) if type(value) in (str, bool, list) else None
