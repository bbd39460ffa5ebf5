"""The rules by which a network is less sensitive than another, on both sides of each."""

import pytest
from disturbed import sensitivity

from snslib.claims.criteria.sensitivity import lower_layers, smaller_outputs_may_explain
from snslib.claims.numbers.layers import mean, mean_of_top, relative

LAYERS = ["conv1", "conv2", "conv3", "conv4"]


def test_a_layer_is_lower_where_its_statistic_is() -> None:
    a = sensitivity({"conv1": [1.0, 1.0], "conv2": [1.0, 3.0], "conv3": [2.0, 0.0]})
    b = sensitivity({"conv1": [2.0, 0.5], "conv2": [2.0, 2.0], "conv3": [2.0, 1.0]})
    assert lower_layers(mean, [a], [b], LAYERS[:3]) == ["conv1", "conv3"]  # 2 to 2.5, 4 to 4, 2 to 3
    assert lower_layers(mean_of_top, [a], [b], LAYERS[:3]) == ["conv1"]  # 1 to 2, 3 to 2, 2 to 2
    assert lower_layers(mean, [b], [a], LAYERS[:3]) == []


def test_the_statistics_of_all_seeds_are_compared() -> None:
    a = [sensitivity({"conv1": [value]}, seed=seed) for seed, value in enumerate((0.5, 1.3))]
    b = [sensitivity({"conv1": [1.0]}, seed=seed) for seed in (0, 1)]
    assert lower_layers(mean, a, b, ["conv1"]) == ["conv1"]
    assert lower_layers(mean, a[1:], b[1:], ["conv1"]) == []


def test_an_inactive_layer_counts_as_less_sensitive() -> None:
    dead, alive = sensitivity({"conv1": [0.0]}, output=0.0), sensitivity({"conv1": [0.1]})
    assert lower_layers(relative, [dead], [alive], ["conv1"]) == ["conv1"]


@pytest.mark.parametrize(("lower", "explain"), [(4, False), (3, False), (2, True), (0, True)])
def test_smaller_outputs_explain_nothing_where_most_layers_are_lower_in_proportion(lower: int, explain: bool) -> None:
    before = sensitivity({layer: [1.0] for layer in LAYERS}, output=2.0)  # 1/2 everywhere
    after = sensitivity({layer: [0.4 if place < lower else 0.6] for place, layer in enumerate(LAYERS)}, output=1.0)
    assert smaller_outputs_may_explain(after, before, LAYERS) is explain
