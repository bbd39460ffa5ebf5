"""The table of the chapter on sensitivity (snslib/book/tables/sensitivity.py)."""


import torch
from markdown import table_rows

from snslib.book import tables


def test_three_sensitive_neurons_are_named_and_those_that_never_change_counted() -> None:
    sigma = {
        "conv1": torch.tensor([0.0, 5.0, 2.0, 0.0, 4.0, 3.0]),
        "conv2": torch.tensor([1.0, 0.25]),
        "fc": torch.ones(2),
    }
    omega = {"conv1": torch.tensor([1, 4, 5, 2]), "conv2": torch.tensor([0]), "fc": torch.tensor([0, 1])}
    outputs = {"conv1": torch.zeros(1, 6, 16, 8), "conv2": torch.zeros(1, 2, 1, 1), "fc": torch.zeros(1, 2)}
    assert table_rows(tables.most_sensitive(sigma, omega, outputs))[1:] == [
        ["conv1", "6", "16×8", "2", "4", "1 (5), 4 (4), 5 (3) …"],
        ["conv2", "2", "1×1", "0", "1", "0 (1)"],
        ["fc", "2", "1", "0", "2", "0 (1), 1 (1)"],
    ]
