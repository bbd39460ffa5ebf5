"""Lists of rows name rows that exist and fit together, and records of rows are found with all their seeds."""

from dataclasses import replace
from pathlib import Path

import pytest

from snslib.claims import paper
from snslib.claims.numbers import accuracies
from snslib.study import results
from snslib.study.records import Record
from snslib.study.rows import ROWS
from snslib.study.settings import PROFILES
from snslib.training import pretrained

FOLDER = "data/net-w0.25"
LISTS = {
    name: getattr(accuracies, name)
    for name in ("HEADLINE", "STABILISED", "STABILISED_ALEXNET", "BY_STATISTICS", "COSTS")
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_has_known_rows_each_once(name: str) -> None:
    rows = list(LISTS[name])
    assert len(rows) == len(set(rows)) > 0
    assert set(rows) <= set(ROWS)


@pytest.mark.parametrize(("row", "control"), accuracies.CONTROLS.items())
def test_a_control_is_the_same_training_without_the_sns_loss(row: str, control: str) -> None:
    ours, other = (ROWS[name].settings(PROFILES["cifar10-small"]) for name in (row, control))
    if row == "off_adv_online":  # without the loss either: its chosen neurons are what it lacks
        assert (ours.switched_off, other.switched_off) == (True, False)
        ours = replace(ours, switched_off=False)
    else:
        assert ours.lam > 0
    assert other == replace(ours, lam=0.0, neurons="sensitive")


def test_every_row_with_a_control_is_shown_beside_it() -> None:
    assert {*accuracies.CONTROLS, *accuracies.CONTROLS.values()} < set(accuracies.STABILISED)
    assert not {"nat", "eat", "alp"} & set(accuracies.STABILISED)
    assert set(accuracies.STABILISED_ALEXNET) < set(accuracies.STABILISED)


def test_the_papers_accuracies_are_those_of_ten_thousand_images() -> None:
    for table, numbers in ((1, paper.table1()), (2, paper.table2())):
        found = accuracies.printed(table)
        assert {
            row: {column: 100 * value.mean for column, value in columns.items()} for row, columns in found.items()
        } == {row: pytest.approx(columns) for row, columns in numbers.items()}
    assert accuracies.printed(1)["pat"]["pgd"].n == 10_000
    assert "alp" not in accuracies.printed(2)


def test_records_of_rows_come_with_all_seeds_and_without_other_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, "RESULTS", tmp_path)
    for name, seed in (("pat", 0), ("pat-seed1", 1), ("alp", 0), ("nat", 0)):
        entry = Record("accuracy", {"pgd": 0.5}, {"n": 10}, seed, defense=name[:3])
        results.publish_record(tmp_path / FOLDER / f"{name}.json", name, entry)
    found = accuracies.recorded(FOLDER, "accuracy", ("nat", "pat", "eat"))
    assert [(entry.defense, entry.seed) for entry in found] == [("nat", 0), ("pat", 0), ("pat", 1)]
    assert accuracies.recorded(FOLDER, "autoattack", ("pat",)) == []
