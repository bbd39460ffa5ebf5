"""What the chapter on sensitivity found, in words (snslib/book/findings/sensitivity.py)."""

from dataclasses import replace
from math import nan

import torch
from tiny import TINY

from snslib.book import findings

MAPS = {"conv1": torch.zeros(1, 4, 32, 32), "conv2": torch.zeros(1, 8, 16, 16), "conv3": torch.zeros(1, 8, 4, 4)}
SIGMA = torch.tensor([4.0, 3.0, 2.0, 1.0])


def test_the_layer_of_eq_1_by_hand_is_named() -> None:
    shown = findings.both_ways_agree("conv7", torch.zeros(100, 16, 8, 8)).data
    assert shown == "`conv7`: 16 neurons with maps of 8×8; both ways agree."


def test_averaging_first_keeps_a_part_and_may_select_others() -> None:
    same = findings.average_first("conv7", SIGMA, SIGMA / 4, 0.5).data
    assert "in `conv7`, averaging over the map first keeps 25% of the sensitivity" in same
    assert "would select the same neurons (Jaccard overlap of the top 2: 1.00)" in same
    other = findings.average_first("conv7", SIGMA, torch.tensor([1.0, 0.0, 2.0, 0.0]), 0.5).data
    assert "keeps 30% of" in other
    assert "would select other neurons (Jaccard overlap of the top 2: 0.33)" in other  # {0, 1} and {2, 0}


def test_the_part_that_sensitive_neurons_hold_is_set_against_equal_neurons() -> None:
    held = {"conv1": 0.4, "conv2": 0.2, "conv3": nan, "fc": 0.9}
    equal = {"conv1": 0.2, "conv2": 0.125, "conv3": 0.5, "fc": 0.1}
    found = findings.held_by_the_sensitive(held, equal)
    assert "hold 30% of" in found
    assert "would hold 16%: 1.6 times their equal share in `conv2`, 2.0 times in `conv1`. In no layer do they" in found
    assert "the attention leaves out the larger part" in found
    found = findings.held_by_the_sensitive(held | {"conv1": 0.5}, equal)
    assert "They hold half or more of it in 1 of 2 layers." in found
    assert "they are the larger part in at least one layer." in found


def test_raw_and_relative_sensitivity_agree_or_not() -> None:
    raw = {"conv1": 30.0, "conv2": 20.0, "conv3": 0.125, "fc": 99.0}

    def found(*relative: float) -> str:
        return findings.raw_and_relative(raw, dict(zip(raw, relative, strict=True)), MAPS)

    opposite = found(0.25, 0.5, 0.75, 9)
    assert "largest in `conv1` (30, maps of 32×32) and smallest in `conv3` (0.125, maps of 4×4)" in opposite
    assert "it is largest in `conv3` (0.75) and smallest in `conv1` (0.25)" in opposite
    assert "a rank correlation of -1.00: they tell opposite stories" in opposite
    assert "a rank correlation of 1.00: they broadly agree." in found(0.75, 0.5, 0.25, 9)
    assert "a rank correlation of 0.50: they have little to do with each other." in found(0.5, 0.75, 0.25, 9)
    assert (
        "smallest in `conv3` (0.125, maps of 4×4). **Relative to the clean output** it is largest in `conv1` (0.50)"
        in (
            found(0.5, 0.25, nan, 9)  # conv3 is inactive
        )
    )


def test_selections_of_halves_are_set_against_chance() -> None:
    overlap = {"conv1": 1.0, "conv2": 0.5, "conv3": 0.0, "fc": 1.0}
    found = findings.selections_of_halves(overlap, {"conv1": 0.25, "conv2": 0.25, "conv3": 0.1, "fc": 1.0})
    assert "the same in 1 of 3 convolutional layers and overlaps more than random sets would in 2" in found
    assert "the mean Jaccard index is 0.50, against 0.20 by chance" in found


def test_the_size_of_the_model_and_the_neurons_that_never_changed_are_given() -> None:
    sigma = {"conv1": torch.tensor([1.0, 2.0, 0.0]), "conv2": torch.ones(20), "fc": torch.zeros(10)}
    omega = {"conv1": torch.tensor([1]), "conv2": torch.arange(2), "fc": torch.tensor([0])}
    found = findings.one_model(sigma, omega, TINY, "digits")
    assert "1 of 23 neurons of the convolutional layers never changed" in found
    assert (
        "VGG-16 at width 0.0625 on digits, with layers of 3 to 20 neurons and 1 to 2 sensitive ones in each. Whether"
        in found
    )
    found = findings.one_model(sigma | {"conv1": torch.ones(3)}, omega, replace(TINY, width=1.0), "cifar10")
    assert "All 23 neurons of the convolutional layers changed under attack at least a little." in found
    assert found.endswith("sensitive ones in each.")
