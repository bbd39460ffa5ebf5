"""Statistics of a layer against numbers worked out by hand."""

import math

import pytest
from disturbed import sensitivity

from snslib.claims.numbers import layers as layer_statistics
from snslib.claims.numbers.layers import conv_layers, fall_in_top, mean, mean_of_top, means, relative, top_means
from snslib.study.records import Record

RECORD = sensitivity({"conv1": [float(value) for value in range(20)], "conv2": [1.0, 3.0], "fc": [9.0]}, output=4.0)


def test_fc_is_no_convolutional_layer() -> None:
    assert conv_layers(RECORD) == ["conv1", "conv2"]


def test_the_mean_is_of_all_neurons_and_of_the_most_sensitive_ones() -> None:
    assert mean([RECORD], "conv1") == 9.5
    assert mean_of_top([RECORD], "conv1") == 18.5  # of 19 and 18
    assert mean_of_top([RECORD], "conv1", 0.2) == 17.5
    assert mean_of_top([RECORD], "conv2") == 3.0  # one neuron at least


def test_seeds_are_averaged_rank_by_rank() -> None:
    other = sensitivity({"conv2": [5.0, 1.0]}, seed=1)
    assert layer_statistics.ranked([RECORD, other], "conv2").tolist() == [4.0, 1.0]
    assert mean_of_top([RECORD, other], "conv2") == 4.0


def test_sensitivity_relative_to_the_output_is_a_ratio_of_sums_and_0_where_there_is_no_output() -> None:
    result = {"sigma": {"conv1": [1.0, 2.0]}, "activation": {"conv1": [1.0, 11.0]}}
    assert relative([Record("sensitivity", result, {})], "conv1") == 0.25
    assert relative([sensitivity({"conv1": [0.0, 0.0]}, output=0.0)], "conv1") == 0.0
    both = [sensitivity({"conv1": [1.0]}, output=2.0), sensitivity({"conv1": [1.0]}, output=4.0)]
    assert relative(both, "conv1") == 0.375


def test_every_network_and_convolutional_layer_has_its_number() -> None:
    assert means({"pat": RECORD}) == {"pat": {"conv1": 9.5, "conv2": 2.0}}
    assert top_means({"pat": RECORD}, 0.5) == {"pat": {"conv1": 14.5, "conv2": 3.0}}
    assert layer_statistics.relatives({"a": RECORD, "b": RECORD})["b"] == {"conv1": 9.5 / 4, "conv2": 0.5}


def test_how_much_of_a_fall_is_in_the_top_ranks() -> None:
    before = sensitivity({"conv1": [4.0, *[1.0] * 9], "conv2": [2.0, 2.0], "conv3": [1.0, 1.0]})
    after = sensitivity({"conv1": [*[0.5] * 9, 1.0], "conv2": [1.0, 1.0], "conv3": [1.0, 2.0]})
    # conv1 falls by 3 and nine times 0.5, conv2 by 1 and 1, conv3 rises
    assert fall_in_top(before, after, ["conv1"]) == pytest.approx(3 / 7.5)
    assert fall_in_top(before, after, ["conv1", "conv2", "conv3"]) == pytest.approx((3 / 7.5 + 0.5) / 2)
    assert fall_in_top(before, after, ["conv1"], fraction=0.2) == pytest.approx(3.5 / 7.5)
    assert math.isnan(fall_in_top(before, after, ["conv3"]))


def test_all_ranks_falling_alike_put_the_fraction_into_the_top() -> None:
    before = sensitivity({"conv1": [float(value) for value in range(10, 30)]})
    after = sensitivity({"conv1": [float(value) for value in range(20)]})
    assert fall_in_top(before, after, ["conv1"]) == pytest.approx(0.1)
