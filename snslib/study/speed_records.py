"""The records of speed in ``results/``: what ``benchmarks/`` measured, by device and section."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from snslib import files

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
    """The records of a device, "cpu" or "cuda", or of "all" that are there; a damaged file is left out with a warning.

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
    """Names to objects with a list as one part; ValueError where a file holds anything else."""
    try:
        held: dict[str, Any] = files.read_json(path)
        if not held or any(type(section[part]) is not list for section in held.values()):
            raise ValueError(f"it has no lists of {part}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error}); git checkout brings it back") from error
    return held
