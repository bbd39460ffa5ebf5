"""The chosen neurons, and what SNS training did to them and to accuracy, line by line."""

import math

import pytest
import torch
from markdown import table_rows

from snslib.attacks import ATTACKS
from snslib.book import tables
from snslib.study.records import Record


@pytest.mark.parametrize(("count", "listed"), [(8, "0, 1, 2, 3, 4, 5, 6, 7"), (9, "0, 1, 2, 3, 4, 5, 6, 7, …")])
def test_eight_of_a_layers_neurons_are_listed(count: int, listed: str) -> None:
    table = tables.chosen_neurons({"conv8": torch.arange(count), "conv9": torch.tensor([5])})
    assert table_rows(table)[1:] == [["conv8", listed, str(count)], ["conv9", "5", "1"]]


def test_a_layer_without_output_has_no_relative_sensitivity() -> None:
    found = {"before": 0.5, "after": 0.25, "relative_before": 0.0123456, "dead": 1, "chosen": 3}
    effect = {"conv8": found | {"relative_after": 2.0}, "conv9": found | {"relative_after": math.nan, "dead": 3}}
    assert table_rows(tables.sns_effect(effect))[1:] == [
        ["conv8", "0.5", "0.25", "0.0123", "2", "1 of 3"],
        ["conv9", "0.5", "0.25", "0.0123", "all dead", "3 of 3"],
    ]


def test_accuracies_come_with_the_stronger_attack_and_the_fixed_images() -> None:
    accuracy = Record("accuracy", {"clean": 0.9, **dict.fromkeys(ATTACKS, 0.5)}, {})
    strong = Record("strong-accuracy", 0.25, {"steps": 100, "restarts": 5})
    fixed = Record("accuracy-on-fixed", 0.75, {})
    table = tables.before_and_after({"a": accuracy}, {"a": strong}, {"a": fixed})
    assert "| model | clean | Step-LL | MI-FGSM | PGD | FGSM | PGD-100 × 5 | fixed x' |" in table.data
    assert table_rows(table)[1:] == [["a", "90.00%", "50.00%", "50.00%", "50.00%", "50.00%", "25.00%", "75.00%"]]
