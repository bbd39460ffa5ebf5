"""The rules of claims 1 to 5, on both sides of each; the scorecard and the chapter call the same ones."""

import pytest

from snslib.attacks import ATTACKS
from snslib.claims.criteria.neurons import (
    Thirds,
    lose_regions_more,
    peaks,
    target_is_first,
    thirds,
    well_above,
)
from snslib.claims.numbers import targeted
from snslib.claims.numbers.suppression import accuracy_at, best_beta, largest_rise
from snslib.study.records import Record

BETAS = [1.0, 0.9, 0.85, 0.8, 0.75]


def suppression(pgd: list[float], n: int = 10_000, betas: list[float] = BETAS) -> Record:
    """White-box PGD as given, everything else without a change."""
    flat = {name: [0.2] * len(betas) for name in ("clean", *ATTACKS)}
    return Record("suppression", {"betas": betas, "white_box": flat | {"pgd": pgd}, "transferred": flat}, {"n": n})


@pytest.mark.parametrize(("best", "expected"), [(0.9, ["pgd"]), (0.85, ["pgd"]), (0.8, ["pgd"]), (0.75, []), (1.0, [])])
def test_a_peak_is_near_085(best: float, expected: list[str]) -> None:
    record = suppression([0.3 if beta == best else 0.2 for beta in BETAS])
    assert peaks([record], "white_box") == expected
    assert peaks([record], "transferred") == []


@pytest.mark.parametrize(("right", "expected"), [(4, []), (5, ["pgd"])])
def test_a_peak_is_above_one_by_newcombes_interval(right: int, expected: list[str]) -> None:
    """4 of 20 against none are more than two standard errors (0.18), but the interval ends at -0.0004."""
    record = suppression([0, 0, right / 20, 0, 0], n=20)
    assert peaks([record], "white_box") == expected


def test_seeds_have_one_peak_together() -> None:
    a, b = (suppression([0.2, 0.2, height, 0.2, 0.2]) for height in (0.30, 0.31))
    assert peaks([a, b], "white_box") == ["pgd"]
    apart = suppression([0.2, 0.2, 0.2, 0.2, 0.5])
    assert peaks([a, apart], "white_box") == []  # the best mean is that at 0.75


def test_the_best_factor_is_the_first_of_equals() -> None:
    record = suppression([0.1, 0.3, 0.2, 0.3, 0.1])
    assert best_beta([record], "white_box", "pgd") == 0.9
    assert accuracy_at([record], "white_box", "pgd", 0.85).values == (0.2,)


def test_the_largest_rise_is_that_of_the_attack_that_gains_most() -> None:
    record = suppression([0.1, 0.3, 0.25, 0.1, 0.0])
    assert largest_rise([record], "white_box") == (pytest.approx(0.2), "pgd")
    assert largest_rise([record], "transferred")[0] == 0


def comparison(sensitive: float, insensitive: float, p_value: float) -> Record:
    return Record(
        "regions", {"comparison": {"sensitive": sensitive, "insensitive": insensitive, "p_value": p_value}}, {}
    )


def test_regions_are_lost_in_most_seeds_with_p_below_005() -> None:
    lost, unclear, reverse = comparison(0.2, 0.4, 0.049), comparison(0.2, 0.4, 0.05), comparison(0.4, 0.2, 0.001)
    assert lose_regions_more([lost])
    assert not lose_regions_more([unclear])
    assert not lose_regions_more([reverse])
    assert lose_regions_more([lost, lost, reverse])
    assert not lose_regions_more([lost, reverse])


@pytest.mark.parametrize(("top", "expected"), [(0.45, True), (0.55, False)])
def test_lower_layers_are_more_alike_beyond_a_tenth(top: float, expected: bool) -> None:
    assert Thirds(["conv1"], ["conv3"], [0.5, 0.7], [top, top]).lower_more_alike is expected


def test_thirds_leave_out_the_middle_and_fc() -> None:
    same, different = [[0], [0]], [[0], [1]]
    layers = {f"conv{number}": same if number < 3 else different for number in range(1, 8)}
    assert thirds([layers | {"fc": same}]) == Thirds(["conv1", "conv2"], ["conv6", "conv7"], [1.0], [0.0])
    assert thirds([{"conv1": same, "fc": different}]) == Thirds(["conv1"], ["conv1"], [1.0], [1.0])


def test_targets_are_found_one_by_one() -> None:
    assert target_is_first([2, 5, 7], [[2, 0], [0, 5], [7]]) == [True, False, True]


@pytest.mark.parametrize(("index", "expected"), [(0.2, True), (0.19, False)])
def test_twice_chance_is_well_above(index: float, expected: bool) -> None:
    assert well_above(index, 0.1) is expected


def test_classes_that_no_image_reached_are_left_out_of_the_permutation_test() -> None:
    sets = {"sensitive": [[0, 1], [], [2, 3]], "important": [[0, 1], [], [2, 3]]}
    record = Record(
        "targeted-neurons",
        {
            "penultimate": {"reached": sets, "all": {"sensitive": [[0, 1]], "important": [[0, 1]]}},
            "channels": {"fc1": 4},
        },
        {"layer": "fc1", "k": 2},
    )
    found = targeted.permutation_test(record, "reached")
    assert found is not None
    assert found.mean == 1
    assert found.p_neurons == pytest.approx(1 / 36, abs=0.01)  # each of two draws is one pair of six
    assert found.p_shuffled_classes == pytest.approx(1 / 2, abs=0.02)
    assert targeted.permutation_test(record, "all") is None  # one class cannot be shuffled
    assert targeted.chance(record) == pytest.approx(7 / 18)
