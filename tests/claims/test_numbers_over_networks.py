"""Published rows become points under AutoAttack, with what sensitivity and accuracy are recorded."""

import pytest
from recorded import FOLDER, put, put_accuracy, put_sensitivity

from snslib.claims.numbers.correlation import Point
from snslib.claims.numbers.over_networks import OTHERS, points_under_autoattack


@pytest.mark.usefixtures("results")
def test_every_row_under_autoattack_is_a_point_of_its_group_or_of_the_others() -> None:
    for row, value, auto in (("vanilla", 0.5, 0.0), ("pat", 0.25, 0.4), ("new", 0.375, 0.2), ("hopeless", 0.75, 0.0)):
        put_sensitivity(row, {"conv1": [value, value], "fc": [9.0]})
        put_accuracy(row, {"clean": 0.0 if row == "hopeless" else 80.0, "pgd": 0.0})
        put(row, "autoattack", {"accuracy": auto, "warnings": []}, n=100)
    put("pat", "pgd-accuracy", {"clean": 0.5, "pgd": 0.5}, n=100)  # on the images of AutoAttack
    put_sensitivity("pat", {"conv1": [0.125, 0.125]}, seed=1)
    put_accuracy("pat", {"clean": 80.0, "pgd": 0.0}, seed=1)
    put_sensitivity("nat", {"conv1": [0.5, 0.5]})
    put_accuracy("nat", {"clean": 80.0, "pgd": 0.0})  # not under AutoAttack, and neither is the second seed of PAT
    groups = {"adversarial": ("pat", "nat"), "plain": ("vanilla",), "none": ("alp",)}
    expected = {
        "adversarial": [Point("pat", "autoattack", 0.25, pytest.approx(1 - 0.4 / 0.5))],
        "plain": [Point("vanilla", "autoattack", 0.5, 1.0)],
        OTHERS: [
            Point("hopeless", "autoattack", 0.75, 0.0),
            Point("new", "autoattack", 0.375, pytest.approx(1 - 0.2 / 0.8)),
        ],
    }
    assert points_under_autoattack(FOLDER, groups) == expected
    put("pat", "autoattack", {"accuracy": 0.2, "warnings": []}, seed=1, n=100)
    expected["adversarial"].append(Point("pat", "autoattack", 0.125, pytest.approx(1 - 0.2 / 0.8)))
    assert points_under_autoattack(FOLDER, groups) == expected
