"""The goals for speed on a GPU: which row counts, on which side of the goal it lies, and what was not measured."""

from typing import Any

import pytest

from snslib.study import speed_goals
from snslib.study.speed_goals import Goal

FASTER = Goal("x", "plain loop", "attacks", {"attack": "FGSM", "library": "snslib"}, 1.5, other={"library": "art"})
ROW = {"attack": "FGSM", "library": "snslib", "seconds": 0.25, "faster": 2.0}


def sections(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"attacks": {"rows": list(rows)}}


def test_the_last_row_that_fits_counts() -> None:
    rows = [ROW | {"faster": 9.0}, ROW, ROW | {"library": "art", "faster": 0.5}, ROW | {"attack": "PGD-10"}]
    assert FASTER.measured(sections(*rows)) == 2.0
    assert FASTER.of_other(sections(*rows)) == 0.5


def test_what_was_not_measured_has_no_value() -> None:
    assert FASTER.measured({}) is None
    assert FASTER.measured(sections(ROW | {"library": "art"})) is None
    assert FASTER.of_other(sections(ROW)) is None
    assert Goal("x", "plain loop", "attacks", {}, 1.0).of_other(sections(ROW)) is None


@pytest.mark.parametrize(("at_most", "reached"), [(False, [False, True, True]), (True, [True, True, False])])
def test_the_goal_itself_is_reached(at_most: bool, reached: list[bool]) -> None:
    goal = Goal("x", "milliseconds", "attacks", {}, 18, at_most)
    assert [goal.reached(value) for value in (17.9, 18, 18.1)] == reached
    assert goal.measured(sections(ROW)) == 250


def test_every_goal_of_the_file_has_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        speed_goals,
        "read",
        lambda: [FASTER, Goal("y", "milliseconds", "attacks", ROW, 200, at_most=True), Goal("z", "copy", "no", {}, 1)],
    )
    assert speed_goals.lines(sections(ROW)) == [
        speed_goals.HEADING,
        ["x", "plain loop", "2.00", "–", "1.5", "reached"],
        ["y", "milliseconds", "250.00", "–", "at most 200", "missed"],
        ["z", "copy", "–", "–", "1", "not measured"],
    ]


def test_the_file_names_rows_that_the_benchmarks_write() -> None:
    """Of the record that is kept, which has these sections, every goal finds a row."""
    (record,) = speed_goals.read_recorded().values()
    for goal in speed_goals.read():
        assert (goal.measured(record) is None) == (goal.section not in record), goal.what
        assert (goal.of_other(record) is None) == (not goal.other or goal.section not in record), goal.what
    assert {"attacks", "sns_epoch", "kernels"} == {goal.section for goal in speed_goals.read()} - {"pat_step"}
