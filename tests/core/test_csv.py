"""Tables as CSV: what was written comes back, numbers stay numbers, and no program finds a formula."""

import csv
import io
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from snslib.files import as_csv

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
nasty = st.builds(str.__add__, st.sampled_from([*FORMULAS, " =", "'", ";=", '"=', ",="]), names)


def read(text: str, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


@given(st.lists(names | nasty, min_size=1, max_size=4))
@example(["=cmd()", "@SUM(A1)", "+1+1", "-2+3", "\t=1", " =1", "a;=1", 'a";=1'])
def test_no_cell_is_a_formula_and_other_texts_are_as_they_were(cells: list[str]) -> None:
    [row] = read(as_csv([cells]))
    assert len(row) == len(cells)
    for cell, written in zip(cells, row, strict=True):
        assert written.removeprefix("'") == cell.removeprefix("'")
        assert is_number(written) or not written.lstrip().startswith(FORMULAS)
        if not cell.lstrip().startswith(FORMULAS) and not cell.startswith(("\t", "\r", "\n")):
            assert written == cell


@given(st.lists(names | nasty, min_size=1, max_size=4), st.sampled_from(";\t"))
def test_a_program_that_parts_cells_at_another_sign_finds_none_either(cells: list[str], sign: str) -> None:
    """Where the decimal sign is a comma, spreadsheets part the cells of a CSV file at semicolons."""
    text = as_csv([[*cells, sign]])
    assert text == ",".join('"' + cell.replace('"', '""') + '"' for cell in read(text)[0]) + "\n"  # each within quotes


@given(st.floats(allow_nan=False) | st.integers(-(10**30), 10**30))
def test_numbers_stay_numbers(value: float) -> None:
    assert as_csv([[value, str(value)]]) == f"{value},{value}\n"
    assert read(as_csv([[value]]))[0][0] == str(value)


@pytest.mark.parametrize("text", ["-0.25", "+3", "-1e-05", "-inf", "-.5", "1,5", "-0"])
def test_a_number_that_a_table_has_as_text_stays_one(text: str) -> None:
    assert read(as_csv([["a", text]])) == [["a", text]]


def test_not_a_number_is_told_apart_from_one() -> None:
    assert as_csv([[math.nan, "–", "- 1", "-1 of 3"]]) == "nan,–,'- 1,'-1 of 3\n"
