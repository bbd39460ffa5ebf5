"""Neuron sets by class and by layer, and the signs of their weights, by hand."""

import math

import pytest
import torch

from snslib.evaluation.neuron_sets import by_class, by_layer, negative_weights, with_one_logit


def test_a_class_is_compared_with_its_own_set_and_with_those_of_the_others() -> None:
    found = by_class([[0, 1], [2, 3], [4, 5]], [[0, 1], [1, 2], [2, 3]])
    assert found["same"] == [1, 1 / 3, 0]
    assert found["others"] == [1 / 6, 1 / 2, 0]  # of (1/3, 0), (0, 1) and (0, 0)


def test_a_class_without_a_set_has_no_index() -> None:
    found = by_class([[0, 1], []], [[1, 2], []])
    assert found["same"][0] == 1 / 3
    assert all(map(math.isnan, (found["same"][1], *found["others"])))


def test_of_fc_the_first_neuron_counts() -> None:
    sets = {"conv1": [[0, 1], [1, 2]], "fc": [[3, 0, 1], [3, 1, 0]]}
    assert with_one_logit(sets) == {"conv1": [[0, 1], [1, 2]], "fc": [[3], [3]]}
    found = by_layer(sets, {"conv1": 4, "fc": 10})
    assert found["average"] == found["total"] == {"conv1": 1 / 3, "fc": 1}
    assert found["chance"] == {"conv1": pytest.approx(7 / 18), "fc": pytest.approx(0.1)}  # 7/18: 1, 4 thirds, 0 of 6


def test_negative_weights_are_averaged_over_classes_that_have_neurons() -> None:
    weight = torch.tensor([[-1.0, -1.0, 1.0, 1.0], [1.0, 1.0, 1.0, -1.0], [-1.0, -1.0, -1.0, -1.0]])
    assert negative_weights(weight, [0, 1], [[0, 2], [0, 1, 2, 3]]) == (1 / 2 + 1 / 4) / 2
    assert negative_weights(weight, [0, 2], [[0, 2], []]) == 1 / 2
    assert math.isnan(negative_weights(weight, [0], [[]]))


def test_there_is_one_set_of_each_kind_per_class() -> None:
    for first, second in (([[0]], [[0], [1]]), ([[0], [1]], [[0]])):
        with pytest.raises(ValueError, match=r"^first, second: expected one set of each per class"):
            by_class(first, second)


def test_layers_have_a_number_of_neurons() -> None:
    with pytest.raises(ValueError, match=r"^channels: expected those of 'conv1' too, got fc"):
        by_layer({"conv1": [[0], [1]]}, {"fc": 10})


@pytest.mark.parametrize(
    ("targets", "sets", "name"),
    [
        ([-1], [[0]], "targets"),
        ([2], [[0]], "targets"),
        ([0], [[3]], "sets"),
        ([0], [[-1]], "sets"),
        ([0, 1], [[0]], "sets"),
    ],
)
def test_negative_weights_are_of_classes_and_neurons_that_there_are(
    targets: list[int], sets: list[list[int]], name: str
) -> None:
    """Counted from the end, -1 would be the weight of another."""
    with pytest.raises(ValueError, match=rf"^{name}: "):
        negative_weights(torch.ones(2, 3), targets, sets)
    with pytest.raises(ValueError, match=r"^weight: "):
        negative_weights(torch.full((2, 3), torch.nan), [0], [[0]])
