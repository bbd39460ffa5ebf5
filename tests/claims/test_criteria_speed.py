"""The aims for speed: what is compared with what, and on which side of the threshold it lies."""

from typing import Any

import pytest

from snslib.claims.criteria import speed as aims
from snslib.claims.criteria.speed import Aim
from snslib.study.speed_records import SpeedRecords


def measured(section: str, rows: list[dict[str, Any]], device: str = "cpu") -> SpeedRecords:
    return SpeedRecords({device: {section: {"rows": rows}}})


def attacks(width: float, device: str = "cpu", **seconds: float) -> SpeedRecords:
    about = {"width": width, "attack": "PGD-10"}
    rows = [about | {"library": name.replace("_", " "), "seconds": value} for name, value in seconds.items()]
    return measured("attacks", rows, device)


@pytest.mark.parametrize(("at_most", "reached"), [(False, [False, True, True]), (True, [True, True, False])])
def test_the_threshold_itself_is_reached(at_most: bool, reached: list[bool]) -> None:
    assert [Aim("cpu", "x", 2.0, value, at_most).reached for value in (1.9, 2.0, 2.1)] == reached


def test_attacks_are_compared_with_the_fastest_of_the_others() -> None:
    (aim,) = aims.attacks(attacks(0.25, snslib=2.0, plain_loop=5.0, torchattacks=3.0, art=4.0))
    assert aim == Aim("cpu", "PGD-10 at width 0.25, against the fastest other", 1.3, 1.5)


def test_bfloat16_and_other_attacks_do_not_count() -> None:
    records = attacks(1.0, snslib=2.0, plain_loop=3.0, **{"snslib, bfloat16": 0.5})
    rows = records.devices["cpu"]["attacks"]["rows"]
    rows.append({"width": 1.0, "attack": "FGSM", "library": "foolbox", "seconds": 0.1})
    assert [aim.value for aim in aims.attacks(records)] == [1.5]


@pytest.mark.parametrize(
    ("device", "width", "threshold"), [("cpu", 1.0, 1.0), ("cpu", 0.25, 1.3), ("cuda", 1.0, 3.0), ("cuda", 0.25, 3.0)]
)
def test_more_is_aimed_at_where_less_of_the_time_is_convolutions(device: str, width: float, threshold: float) -> None:
    (aim,) = aims.attacks(attacks(width, device, snslib=1.0, plain_loop=3.0))
    assert (aim.device, aim.threshold) == (device, threshold)


@pytest.mark.parametrize("seconds", [{"snslib": 1.0}, {"plain_loop": 1.0}])
def test_without_both_sides_there_is_no_comparison(seconds: dict[str, float]) -> None:
    assert aims.attacks(attacks(1.0, **seconds)) == []


def test_sensitivity_counts_where_it_is_slowest_and_for_all_layers() -> None:
    row = {"how": "snslib", "width": 1.0, "layers": 14, "faster": 1.0}
    rows = [
        row,
        row | {"faster": 0.8},
        row | {"faster": 0.1, "layers": 4},
        row | {"faster": 0.2, "how": "captum"},
        row | {"faster": 2.0, "width": 0.25},
    ]
    narrow, wide = aims.sensitivity(measured("sensitivity", rows))
    assert (narrow.value, wide.value) == (0.5, 1.25)
    assert (narrow.reached, wide.reached) == (True, False)
    assert "14 layers at width 0.25" in narrow.what
    assert wide.threshold == 1.1


def test_an_epoch_is_compared_with_the_literal_loop() -> None:
    row = {"width": 0.25, "how": "literal loop", "seconds": 3.0}
    cached = row | {"how": "snslib, bottom cached", "seconds": 2.0}
    other = row | {"how": "snslib, nothing cached", "seconds": 0.1}
    (aim,) = aims.epoch(measured("sns_epoch", [row, cached, other]))
    assert (aim.value, aim.threshold, aim.reached) == (1.5, 1.4, True)
    assert aims.epoch(measured("sns_epoch", [row, other])) == []


def test_kernels_have_an_aim_on_a_gpu_alone() -> None:
    rows = [{"how": how, "faster": value} for how, value in (("snslib", 0.9), ("snslib", 0.7), ("eager", 0.1))]
    (aim,) = aims.kernels(measured("kernels", rows, "cuda"))
    assert (aim.value, aim.threshold, aim.reached) == (0.7, 0.8, False)
    assert aims.kernels(measured("kernels", rows, "cpu")) == []


def test_pages_are_as_quick_as_the_slowest() -> None:
    (aim,) = aims.pages(measured("pages", [{"seconds": 2.5}, {"seconds": 0.5}]))
    assert (aim.value, aim.threshold, aim.reached) == (2.5, 2.0, False)


def test_all_aims_are_those_that_were_measured() -> None:
    sections = (
        attacks(1.0, snslib=1.0, plain_loop=1.0).devices["cpu"] | measured("pages", [{"seconds": 1}]).devices["cpu"]
    )
    assert [aim.threshold for aim in aims.all_aims(SpeedRecords({"cpu": sections}))] == [1.0, 2.0]
