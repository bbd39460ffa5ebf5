"""The goals for speed on a GPU in ``benchmarks/goals.json``, and what was measured of each.

Records of GPUs that are not at hand any more are in ``benchmarks/recorded/``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from snslib import files
from snslib.study.speed_records import Row

HEADING = ["what", "against", "snslib", "another way", "goal", ""]
PATH = files.PROJECT / "benchmarks" / "goals.json"
RECORDED = PATH.parent / "recorded"


@dataclass(frozen=True)
class Goal:
    """A line of the file.

    Args:
        what: is measured, in a few words.
        against: what it is a multiple of the speed of; or "milliseconds", where it is these that count.
        section: of a record of speed.
        where: column to value, of the row that counts; of several the last, which is of the widest network.
        goal: to be reached.
        at_most: whether it must not be exceeded; else it must not be missed.
        other: what of ``where`` differs for another way that is shown beside; nothing for none.
    """

    what: str
    against: str
    section: str
    where: Mapping[str, Any]
    goal: float
    at_most: bool = False
    other: Mapping[str, Any] = field(default_factory=dict)

    def measured(self, sections: Mapping[str, Any]) -> float | None:
        """What the sections of a record have of it; None for nothing."""
        return self._value(sections, self.where)

    def of_other(self, sections: Mapping[str, Any]) -> float | None:
        """The same of the other way."""
        return self._value(sections, {**self.where, **self.other}) if self.other else None

    def reached(self, value: float) -> bool:
        """Whether a value is good enough."""
        return value <= self.goal if self.at_most else value >= self.goal

    def _value(self, sections: Mapping[str, Any], where: Mapping[str, Any]) -> float | None:
        rows: Sequence[Row] = sections.get(self.section, {}).get("rows", ())
        found = [row for row in rows if all(row.get(name) == value for name, value in where.items())]
        if not found:
            return None
        return 1000 * found[-1]["seconds"] if self.against == "milliseconds" else found[-1]["faster"]


def read() -> list[Goal]:
    """All goals, in the order of the file."""
    return [Goal(**line) for line in files.read_json(PATH)]


def read_recorded() -> dict[str, dict[str, Any]]:
    """The records that are kept of GPUs, by earlier code too: name, a device and a date, to sections."""
    return {path.stem: files.read_json(path) for path in sorted(RECORDED.glob("*.json"))}


def lines(sections: Mapping[str, Any]) -> list[list[str]]:
    """HEADING, and a line per goal with what was measured of it; a dash for nothing.

    Args:
        sections: name to section, as ``benchmarks/run.py`` writes them.
    """
    found = [HEADING]
    for goal in read():
        values = goal.measured(sections), goal.of_other(sections)
        outcome = "not measured" if values[0] is None else "reached" if goal.reached(values[0]) else "missed"
        numbers = ("–" if value is None else f"{value:.2f}" for value in values)
        found.append([goal.what, goal.against, *numbers, f"{'at most ' * goal.at_most}{goal.goal:g}", outcome])
    return found
