"""Published rows become points under PGD, with what sensitivity and accuracy are recorded."""

from pathlib import Path

import pytest
from recorded import FOLDER, put, put_accuracy, put_sensitivity

from snslib.claims.numbers.correlation import Point
from snslib.claims.numbers.over_networks import points_under_pgd
from snslib.training import pretrained


def test_rows_are_points_where_both_are_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "RESULTS", tmp_path)
    for row, value in (("vanilla", 0.5), ("pat", 0.25), ("nat", 0.1)):
        put_sensitivity(row, {"conv1": [value, value], "fc": [9.0]})
    put_sensitivity("vanilla", {"conv1": [7.0, 7.0]}, under="fgsm")
    for row, pgd in (("vanilla", 20.0), ("pat", 40.0), ("eat", 30.0)):
        put_accuracy(row, {"clean": 80.0, "pgd": pgd})
    put("pat", "corrupted-accuracy", {"fog": [0.1] * 5})
    groups = {"adversarial": ("pat", "eat", "nat"), "plain": ("vanilla",), "other": ("alp",)}
    assert points_under_pgd(FOLDER, groups) == {
        "adversarial": [Point("pat", "pgd", 0.25, 0.5)],
        "plain": [Point("vanilla", "pgd", 0.5, 0.75)],
        "other": [],
    }
