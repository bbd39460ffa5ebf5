"""What the relative losses do is decided by the state of the neurons and by accuracy under the stronger PGD."""

import math
from typing import Any

import pytest

from snslib.claims.criteria.remedies import (
    RANDOM,
    above_zero,
    robust_with_unused_neurons,
    stabilises,
    stable_and_not_robust,
)
from snslib.study.rows import FAMILIES

GOOD = {"dead": 0.0, "over_images": 0.51, "relative": 0.49, "strong": 0.049}
CONTROL = {"dead": 0.0, "over_images": 0.9, "relative": 1.0, "strong": 0.0}


@pytest.mark.parametrize(
    "change",
    [{"dead": 0.01}, {"over_images": 0.5}, {"over_images": math.nan}, {"relative": 0.5}, {"relative": math.nan}],
)
def test_neurons_are_stabilised_that_are_active_vary_over_images_and_are_half_as_sensitive(change: Any) -> None:
    assert stabilises(GOOD, CONTROL)
    assert not stabilises(GOOD | change, CONTROL)


def test_stable_neurons_without_robustness_are_found_with_fixed_pairs_in_every_family_recorded() -> None:
    one, two = FAMILIES["Eq. 10"], FAMILIES["Algorithm 1"]
    states = {one.control: CONTROL, one.image_relative: GOOD}
    assert stable_and_not_robust(states)
    assert not stable_and_not_robust({one.control: CONTROL})
    assert not stable_and_not_robust({})
    assert not stable_and_not_robust(states | {one.image_relative: GOOD | {"strong": 0.05}})
    both = states | {two.control: CONTROL, two.image_relative: GOOD}
    assert stable_and_not_robust(both)
    assert not stable_and_not_robust(both | {two.image_relative: GOOD | {"dead": 0.1}})
    online = FAMILIES["online"]
    assert stable_and_not_robust(both | {online.control: CONTROL, online.image_relative: GOOD | {"strong": 0.3}})


ONLINE = FAMILIES["online"]
UNUSED = {
    "pat": CONTROL | {"strong": 0.3},
    ONLINE.control: CONTROL | {"strong": 0.2},
    ONLINE.paper: CONTROL | {"strong": 0.2, "dead": 0.51},
    RANDOM: CONTROL | {"strong": 0.4, "dead": 0.51},
    ONLINE.relative: CONTROL | {"strong": 0.31, "over_images": 0.009},
}


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (ONLINE.relative, {"over_images": 0.01}),
        (ONLINE.relative, {"strong": 0.29}),
        ("pat", {"strong": 0.32}),
        (ONLINE.paper, {"dead": 0.5}),
        (RANDOM, {"dead": 0.5}),
    ],
)
def test_the_most_robust_row_online_has_neurons_that_do_no_work(row: str, change: Any) -> None:
    assert robust_with_unused_neurons(UNUSED)
    assert not robust_with_unused_neurons(UNUSED | {row: UNUSED[row] | change})


@pytest.mark.parametrize("row", [ONLINE.relative, ONLINE.paper, RANDOM])
def test_rows_that_the_rule_needs_are_not_made_up(row: str) -> None:
    assert not robust_with_unused_neurons({name: state for name, state in UNUSED.items() if name != row})


def test_an_estimate_is_above_zero_where_its_interval_is() -> None:
    assert above_zero((3.0, 0.1, 6.0))
    assert not above_zero((3.0, 0.0, 6.0))
    assert not above_zero((math.nan, math.nan, math.nan))
