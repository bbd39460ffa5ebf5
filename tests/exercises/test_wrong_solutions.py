"""The chapters' solutions with one mistake put in: every check refuses them, and its message names the mistake."""

import re

import chapters
import pytest
import torch
from wrong_solutions import TABLES

from snslib import exercises as ex
from snslib.exercises import ExerciseError

ROWS = [(number, name) for number, table in TABLES.items() for name in table]


def solutions() -> dict[str, str]:
    """The code of each exercise's first solution that a check is called with, by the exercise's number."""
    found: dict[str, str] = {}
    for path in chapters.NOTEBOOKS:
        for exercise in chapters.exercises(path):
            for code in re.findall(r"^```python\n(.*?)\n```$", "\n".join(exercise.tagged("solution")), re.M | re.S):
                if "\ncheck_" in code:
                    found.setdefault(exercise.number, code)
    return found


SOLUTIONS = solutions()


def test_every_exercise_with_a_check_has_eight_wrong_solutions_or_more() -> None:
    assert TABLES.keys() == SOLUTIONS.keys()
    assert len(TABLES) == len([name for name in vars(ex) if name.startswith("check_")])
    assert all(len(table) >= 8 for table in TABLES.values())


@pytest.mark.parametrize(("number", "name"), ROWS)
def test_a_wrong_solution_is_refused_and_told_its_mistake(number: str, name: str) -> None:
    replaced, other, message = TABLES[number][name]
    assert replaced in SOLUTIONS[number]
    with pytest.raises(ExerciseError) as caught:
        exec(SOLUTIONS[number].replace(replaced, other), {})
    said = str(caught.value)
    assert message in said
    assert len(said) < 340, "a message is short"
    assert torch.is_grad_enabled()
