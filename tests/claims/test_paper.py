"""The paper's tables: shape as counted in the print, single values read off it, and what the paper says of them."""

import itertools
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import snslib as sns
from snslib.claims import paper

ATTACKS = ("step_ll", "mi_fgsm", "pgd", "fgsm")
CHANNELS = {"conv1": 64, "conv4": 128, "conv7": 256, "conv11": 512, "conv13": 512, "fc": 10}
COUNTS = {
    "conv1": [6] * 10,
    "conv4": [12] * 10,
    "conv7": [25] * 10,
    "conv11": [50, 50, 50, 50, 51, 50, 50, 50, 50, 51],
    "conv13": [50, 50, 51, 50, 50, 50, 50, 51, 51, 50],
    "fc": [10] * 10,
}


def membership(lists: list[list[int]], channels: int) -> np.ndarray:
    """(10, channels): 1 where the label's list names the channel."""
    table = np.zeros((len(lists), channels))
    for row, channel in zip(table, lists, strict=True):
        row[channel] = 1
    return table


def test_table_1_has_its_rows_and_columns_in_order() -> None:
    table = paper.table1()
    assert list(table) == ["vanilla", "nat", "eat", "pat", "alp", "sns_sen_cls", "sns_all_cls", "sns_sen_adv"]
    assert all(list(row) == ["clean", *ATTACKS] for row in table.values())


def test_table_2_lacks_two_rows_of_table_1() -> None:
    missing = ("alp", "sns_all_cls")
    assert list(paper.table2()) == [name for name in paper.table1() if name not in missing]
    assert all(list(row) == ["clean", *ATTACKS] for row in paper.table2().values())


@pytest.mark.parametrize(
    ("table", "defense", "column", "percent"),
    [
        (1, "vanilla", "clean", 89.19),
        (1, "vanilla", "pgd", 0.00),
        (1, "nat", "fgsm", 26.72),
        (1, "eat", "mi_fgsm", 35.72),
        (1, "pat", "pgd", 46.04),
        (1, "alp", "clean", 81.41),
        (1, "sns_sen_cls", "step_ll", 48.89),
        (1, "sns_all_cls", "pgd", 9.27),
        (1, "sns_sen_adv", "fgsm", 49.16),
        (2, "vanilla", "clean", 57.70),
        (2, "eat", "pgd", 13.01),
        (2, "sns_sen_adv", "mi_fgsm", 53.05),
    ],
)
def test_single_values(table: int, defense: str, column: str, percent: float) -> None:
    assert {1: paper.table1, 2: paper.table2}[table]()[defense][column] == percent


@pytest.mark.parametrize("table", [paper.table1, paper.table2])
def test_sns_sen_adv_is_best_under_every_attack_as_the_paper_says(table) -> None:
    rows = table()
    for attack in ATTACKS:
        assert max(rows, key=lambda name: rows[name][attack]) == "sns_sen_adv"


def test_sns_sen_cls_against_eat_holds_in_table_1_and_not_in_table_2() -> None:
    for table, better in ((paper.table1(), ATTACKS), (paper.table2(), ("pgd", "fgsm"))):
        ahead = tuple(attack for attack in ATTACKS if table["sns_sen_cls"][attack] > table["eat"][attack])
        assert ahead == better


def test_tables_3_and_4_have_as_many_neurons_as_the_print() -> None:
    neurons = paper.targeted_neurons()
    assert {layer: [len(ids) for ids in lists] for layer, lists in neurons.items()} == COUNTS


@pytest.mark.parametrize("layer", CHANNELS)
def test_neurons_are_channels_of_their_layer_and_named_once(layer: str) -> None:
    for ids in paper.targeted_neurons()[layer]:
        assert np.all((np.array(ids) >= 0) & (np.array(ids) < CHANNELS[layer]))
        assert len(np.unique(ids)) == len(ids)


def test_fc_ranks_all_ten_classes_and_the_target_first() -> None:
    for target, ids in enumerate(paper.targeted_neurons()["fc"]):
        assert ids[0] == target
        np.testing.assert_array_equal(np.sort(ids), np.arange(10))


def test_first_and_last_entries_of_rows() -> None:
    neurons = paper.targeted_neurons()
    assert neurons["conv1"][0] == [52, 10, 14, 55, 25, 15]
    assert (neurons["conv4"][9][0], neurons["conv4"][9][-1]) == (18, 1)
    assert (neurons["conv7"][8][0], neurons["conv7"][8][-1]) == (134, 80)
    assert (neurons["conv11"][9][0], neurons["conv11"][9][-1]) == (381, 246)
    assert (neurons["conv13"][0][0], neurons["conv13"][0][-1]) == (387, 209)
    assert (neurons["conv13"][9][0], neurons["conv13"][9][-1]) == (281, 511)
    assert neurons["fc"][5] == [5, 1, 6, 4, 9, 2, 8, 0, 7, 3]


@pytest.mark.parametrize("layer", CHANNELS)
def test_jaccard_indices_equal_those_of_membership_matrices(layer: str) -> None:
    lists = paper.targeted_neurons()[layer]
    table = membership(lists, CHANNELS[layer])
    both = table @ table.T
    sizes = table.sum(1)
    either = sizes[:, None] + sizes[None, :] - both
    above = np.triu_indices(len(lists), k=1)
    np.testing.assert_allclose(sns.average_jaccard(lists), (both / either)[above].mean(), rtol=1e-12)
    np.testing.assert_allclose(sns.total_jaccard(lists), table.all(0).sum() / table.any(0).sum(), rtol=1e-12)
    for i, j in itertools.combinations(range(10), 2):
        assert sns.jaccard(lists[i], lists[j]) == pytest.approx(both[i, j] / either[i, j])


def test_conv11_is_nearly_the_same_for_every_target_and_more_so_than_conv7() -> None:
    neurons = paper.targeted_neurons()
    table = membership(neurons["conv11"], 512)
    assert (table.all(0).sum(), table.any(0).sum()) == (49, 59)
    assert sns.average_jaccard(neurons["conv11"]) > 0.95 > sns.average_jaccard(neurons["conv7"])


def test_notes_tell_the_odd_row_lengths() -> None:
    assert any("50 for 8 labels, 51 for labels 4, 9" in note for note in paper.notes(3))
    assert any("50 for 7 labels, 51 for labels 2, 7, 8" in note for note in paper.notes(4))
    assert all(paper.notes(table) for table in (1, 2, 3, 4))


@pytest.mark.parametrize("table", [0, 5, "1"])
def test_notes_of_no_table_are_an_error(table) -> None:
    with pytest.raises(ValueError, match=r"table: expected 1, 2, 3 or 4"):
        paper.notes(table)


DAMAGED = [
    "",
    "[]",
    "{}",
    "null",
    '{"source": {"notes": ["x"]}}',
    '{"source": {"notes": []}, "accuracy": {"pat": {"pgd": NaN}}}',
]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_table_is_named_and_hides_no_other(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(resources.files("snslib.claims") / "paper_data", tmp_path / "paper_data")  # type: ignore[arg-type]
    monkeypatch.setattr(paper.resources, "files", lambda package: tmp_path)
    for number in (1, 3):
        (tmp_path / "paper_data" / f"table{number}.json").write_text(text)
    with pytest.raises(ValueError, match=r"table1\.json is damaged .*git checkout"):
        paper.table1()
    with pytest.raises(ValueError, match=r"table3\.json is damaged"):
        paper.targeted_neurons()
    assert "pat" in paper.table2()
    (tmp_path / "paper_data" / "table2.json").unlink()
    with pytest.raises(ValueError, match=r"table2\.json is damaged"):
        paper.table2()
