"""The rules of the chapter on sensitivity, on both sides of their limits (snslib/claims/criteria/layers.py)."""

import math

import pytest

from snslib.claims.criteria import layers as layers

RAW = {"conv1": 1.0, "conv2": 2.0, "conv3": 3.0, "conv4": 4.0}


def test_fc_and_inactive_layers_are_left_out() -> None:
    assert layers.convolutional({"conv1": 0.5, "conv2": math.nan, "conv3": 0.0, "fc": 1.0}) == {
        "conv1": 0.5,
        "conv3": 0.0,
    }


def test_half_is_enough_to_hold_half() -> None:
    assert layers.holding_half({"conv1": 0.49, "conv2": 0.5, "conv3": 0.75}) == ["conv2", "conv3"]


@pytest.mark.parametrize(
    ("relative", "rho", "kind"),
    [
        ([0.1, 0.2, 0.3, 0.4], 1.0, "alike"),
        ([0.1, 0.2, 0.4, 0.3], 0.8, "alike"),
        ([0.2, 0.4, 0.1, 0.3], 0.0, "unrelated"),
        ([0.3, 0.4, 0.2, 0.1], -0.8, "opposite"),
    ],
)
def test_ranks_decide_whether_raw_and_relative_sensitivity_agree(relative: list[float], rho: float, kind: str) -> None:
    found = layers.agreement(RAW, dict(zip(RAW, relative, strict=True)))  # rho = 1 - 6 sum d^2 / (n (n^2 - 1))
    assert found == (pytest.approx(rho), kind)


def test_only_layers_with_a_relative_sensitivity_are_compared() -> None:
    assert layers.agreement(RAW | {"conv0": 9.0}, dict(zip(RAW, range(4), strict=True)))[0] == pytest.approx(1.0)


def test_the_same_selections_and_those_above_chance_are_counted() -> None:
    overlap = {"conv1": 1.0, "conv2": 0.5, "conv3": 0.25, "conv4": 0.0}
    assert layers.same_and_above_chance(overlap, dict.fromkeys(overlap, 0.25)) == (1, 2)


def test_paper_scale_needs_width_and_data() -> None:
    assert layers.at_paper_scale(1.0, "cifar10")
    assert not layers.at_paper_scale(0.5, "cifar10")
    assert not layers.at_paper_scale(1.0, "digits")
