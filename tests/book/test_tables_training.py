"""Accuracies under every disturbance, and rank correlations, line by line."""

import pytest
from disturbed import disturbed
from markdown import table_rows

from snslib.book import tables
from snslib.claims.numbers.correlation import Point

SIGMA = {"conv1": [1.0], "fc": [1.0]}


def test_a_line_per_disturbance_and_a_column_per_network() -> None:
    table = tables.disturbed_accuracy({"VGG-16": disturbed(SIGMA, SIGMA)}, "A caption.", "tbl-x")
    assert table.data.startswith("**Table.** A caption. <!-- tbl-x -->\n\n|")
    found = table_rows(table)
    assert found[:2] == [["test images", "Vanilla", "PAT"], ["clean", "90.00", "80.00"]]
    assert ["PGD", "10.00", "50.00"] in found
    assert found[-4:] == [
        [name, "45.00", "20.00"] for name in ("fog 5", "Gaussian noise 5", "JPEG 5", "defocus blur 5")
    ]
    assert len(found) == 1 + 1 + 4 + 4


def test_of_several_pairs_the_columns_name_the_network() -> None:
    pairs = {"VGG-16": disturbed(SIGMA, SIGMA), "AlexNet": disturbed(SIGMA, SIGMA)}
    header, clean, *_ = table_rows(tables.disturbed_accuracy(pairs, "", "tbl-x"))
    assert header == ["test images", "VGG-16, Vanilla", "VGG-16, PAT", "AlexNet, Vanilla", "AlexNet, PAT"]
    assert clean == ["clean", "90.00", "80.00", "90.00", "80.00"]


def test_a_group_needs_three_points() -> None:
    points = [Point("pat", "pgd", float(place), lost) for place, lost in enumerate((0.9, 0.5, 0.3, 0.1))]
    table = tables.rank_correlations({"three": points[:3], "two": points[:2], "four": points}, "", "tbl-x")
    assert table_rows(table) == [
        ["points", "how many", "rank correlation", "95% interval"],
        ["three", "3", "-1.00", "-1.00 to -1.00"],
        ["four", "4", "-1.00", "-1.00 to -1.00"],
    ]


@pytest.mark.parametrize(("lost", "rho"), [((0.2, 0.1, 0.4, 0.3), "0.60"), ((0.3, 0.4, 0.1, 0.2), "-0.60")])
def test_the_correlation_is_that_of_the_ranks(lost: tuple[float, ...], rho: str) -> None:
    points = [Point("pat", "pgd", float(place), value) for place, value in enumerate(lost)]
    assert table_rows(tables.rank_correlations({"all": points}, "", "tbl-x"))[1][2] == rho
