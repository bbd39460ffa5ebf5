"""Rows that are compared as a family differ in the SNS loss alone, and no row is in two groups of networks."""

import pytest

from snslib.study.rows import FAMILIES, KINDS, ROWS, Family

LOSS = ("lam", "reduction")


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_rows_of_a_family_differ_in_their_loss_alone(family: Family) -> None:
    control, paper, relative, image_relative = (ROWS[row] for row in family.rows[len(family.beside) :])
    assert control.changes["lam"] == 0
    assert not set(paper.changes) & set(LOSS)
    assert (relative.changes["reduction"], image_relative.changes["reduction"]) == ("relative", "image_relative")
    others = [
        (row.defense, row.online, {name: value for name, value in row.changes.items() if name not in LOSS})
        for row in (control, paper, relative, image_relative)
    ]
    assert others == others[:1] * 4


def test_every_row_that_is_named_exists_and_counts_once() -> None:
    compared = [row for rows in KINDS.values() for row in rows]
    assert len(compared) == len(set(compared))
    assert set(compared) <= set(ROWS)
    assert all(set(family.rows) <= set(ROWS) for family in FAMILIES.values())
