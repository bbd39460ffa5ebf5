"""What a point is made of, and the groups of points whose ranks are correlated."""

import pytest
from disturbed import accuracy, corrupted, sensitivity

from snslib.claims.numbers.correlation import Point, accuracy_under, by_kind, mean_relative
from snslib.study.records import Record


@pytest.mark.parametrize(("under", "expected"), [("clean", 0.9), ("pgd", 0.1), ("fog-1", 0.9), ("fog-5", 0.45)])
def test_accuracy_is_looked_up_by_the_name_of_the_disturbance(under: str, expected: float) -> None:
    assert accuracy_under(under, accuracy(0.9, 0.1), corrupted(0.45)) == expected


def test_inactive_layers_are_left_out_of_the_mean() -> None:
    layers = {"conv1": [1.0, 2.0], "conv2": [3.0]}
    assert mean_relative(sensitivity(layers, output=2.0), ["conv1", "conv2"]) == (3 / 4 + 3 / 2) / 2
    result = {"sigma": layers, "activation": {"conv1": [2.0, 2.0], "conv2": [0.0]}}
    assert mean_relative(Record("sensitivity", result, {}), ["conv1", "conv2"]) == 3 / 4


def test_points_are_grouped_by_what_disturbs_and_by_model() -> None:
    a, b, c = (Point("vanilla", "pgd", 1, 1), Point("pat", "fgsm", 1, 1), Point("pat", "fog-3", 1, 1))
    expected = {"all": [a, b, c], "attacks": [a, b], "corruptions": [c], "Vanilla": [a], "PAT": [b, c]}
    assert by_kind([a, b, c]) == expected
    assert list(by_kind([a, b, c])) == list(expected)
