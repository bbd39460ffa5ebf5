"""The tables of the page on speed, each from rows as ``benchmarks/`` writes them."""

from typing import Any

import pytest
from markdown import table_rows

from snslib.book import tables
from snslib.claims.criteria.speed import Aim
from snslib.study import speed_goals
from snslib.study.speed_goals import Goal
from snslib.study.speed_records import SpeedRecords

Row = dict[str, Any]


def measured(section: str, *rows: Row) -> SpeedRecords:
    return SpeedRecords({"cpu": {section: {"rows": rows}}})


def test_an_attack_that_a_library_lacks_is_left_empty() -> None:
    row = {"width": 0.25, "library": "foolbox", "attack": "PGD-10", "loss": 8.5, "same_pixels": 0.91}
    rows = (
        row | {"faster": 0.739, "images_per_second": 1234.5},
        row | {"attack": "FGSM", "faster": 2},
        row | {"library": "snslib", "faster": 1.5, "images_per_second": 99.6},
    )
    _, foolbox, ours = table_rows(tables.speed_attacks(measured("attacks", *rows)))
    assert foolbox == ["cpu, 0.25", "foolbox", "1,234", "0.74", "", "2.00", "8.500", "91.0%"]
    assert ours == ["cpu, 0.25", "snslib", "100", "1.50", "", "", "8.500", "91.0%"]


def test_passes_are_bold_where_snslib_chooses_them() -> None:
    plain = {"model": "resnet18", "width": 0.125, "seconds": 0.0459, "faster": 1, "chosen": False, "cosine": 1.0}
    ways = [plain | {"faster": 1.2, "chosen": True}, plain | {"faster": 1.7}]
    narrow = [plain | {"faster": 1.8, "cosine": 0.84}, plain | {"faster": 2.3, "chosen": True, "cosine": 0.838}]
    _, with_bfloat16 = table_rows(tables.speed_passes(measured("passes", plain, *ways, *narrow)))
    assert with_bfloat16 == ["cpu", "ResNet-18, 0.125", "45.9", "**1.20**", "1.70", "1.80", "**2.30**", "0.838"]
    _, without = table_rows(tables.speed_passes(measured("passes", plain, *ways)))
    assert without[3:] == ["**1.20**", "1.70", "", "", "1.000"]


def test_convolutions_are_ordered_by_release_with_their_range_of_channels() -> None:
    wrong = [{"in_channels": channels, "instructions": "AVX2"} for channels in (3, 1, 2)]
    record = {
        "2.15.0": {"onednn": "3.9", "kernels": [1, 3], "tried": 1440, "wrong": wrong},
        "2.4.1": {"onednn": "3.4", "kernels": [1], "tried": 720, "wrong": []},
    }
    header, old, new = table_rows(tables.convolutions(record))
    assert header[-3:] == ["SSE 4.1", "AVX2", "AVX-512"]
    assert old == ["2.4.1", "3.4", "1×1", "720", "0", "none", "none", "none"]
    assert new == ["2.15.0", "3.9", "1×1 and 3×3", "1,440", "3", "none", "1 to 3", "none"]


def test_threads_have_a_column_for_each_way_to_spin() -> None:
    rows = (
        {"beside": "nothing", "spin": "as it comes", "seconds": 0.1},
        {"beside": "nothing", "spin": "1000", "seconds": 0.2},
        {"beside": "one busy core", "spin": "1000", "seconds": 0.3},
    )
    assert table_rows(tables.speed_threads(measured("threads", *rows))) == [
        ["device", "beside", "as it comes", "`1000`"],
        ["cpu", "nothing", "0.100", "0.200"],
        ["cpu", "one busy core", "", "0.300"],
    ]


def test_sensitivity_is_a_multiple_of_two_passes_and_what_was_not_run_is_empty() -> None:
    passes = {"how": "two forward passes", "width": 1.0, "images": 2000, "layers": 4, "faster": 1, "peak_mib": 80.0}
    ours = passes | {"how": "snslib", "faster": 0.8, "peak_mib": 1024.0}
    captum = passes | {"how": "captum", "faster": 0.5, "peak_mib": 99.6}
    header, row = table_rows(tables.speed_sensitivity(measured("sensitivity", passes, ours, captum)))
    assert header[3:] == ["snslib", "stored", "captum", "passes, MiB", "snslib", "stored", "captum"]
    assert row == ["cpu, 1", "2,000", "4", "1.25", "", "2.00", "80", "1,024", "", "100"]


def test_an_epoch_has_a_line_for_each_way() -> None:
    loop = {"width": 0.25, "images": 1024, "how": "literal loop", "seconds": 0.934, "faster": 1}
    cached = loop | {"how": "cached", "seconds": 0.4, "faster": 2.335}
    _, *rows = table_rows(tables.speed_epoch(measured("sns_epoch", loop, cached)))
    assert rows[0] == ["cpu, 0.25", "1,024", "literal loop", "0.93", "1.00"]
    assert rows[1][2:] == ["cached", "0.40", "2.33"]


def test_kernels_are_a_share_of_the_copy_before_them() -> None:
    about = {"operation": "channel_l1", "shape": [2, 64], "dtype": "float32", "channels_last": False}
    copy = {"how": "copy", "faster": 1.0, "gb_per_second": 24.6}
    last = about | {"channels_last": True}
    rows = (
        about | copy,
        about | {"how": "snslib", "faster": 0.58},
        last | copy,
        last | {"how": "eager", "faster": 0.3},
    )
    assert table_rows(tables.speed_kernels(measured("kernels", *rows))) == [
        ["device", "operation", "shape and type", "copy, GB/s", "snslib", "eager"],
        ["cpu", "channel_l1", "2×64 float32", "25", "58%", ""],
        ["cpu", "channel_l1", "2×64 float32, channels_last", "25", "", "30%"],
    ]


def test_the_slowest_page_comes_first() -> None:
    quick = {"page": "intro", "bytes": 96_600, "seconds": 0.5, "longest": 0.75}
    slow = {"page": "api", "bytes": 1_524_959, "seconds": 1.5, "longest": 1.75}
    _, *rows = table_rows(tables.speed_pages(measured("pages", quick, slow)))
    assert rows == [["api", "1,525", "1.50", "1.75"], ["intro", "97", "0.50", "0.75"]]


def test_a_gpu_is_held_to_its_goals_and_a_goal_that_was_missed_is_bold(monkeypatch: pytest.MonkeyPatch) -> None:
    goals = [
        Goal("PGD-10", "plain loop", "attacks", {"library": "snslib"}, 3.0, other={"library": "art"}),
        Goal("FGSM", "plain loop", "attacks", {"library": "snslib"}, 1.0),
        Goal("step", "milliseconds", "pat_step", {}, 18, at_most=True),
    ]
    monkeypatch.setattr(speed_goals, "read", lambda: goals)
    rows = [{"library": "art", "faster": 0.5}, {"library": "snslib", "faster": 1.171}]
    shown = tables.speed_gpu("gpu-2026", {"attacks": {"rows": rows}})
    assert table_rows(shown) == [
        ["what", "against", "snslib", "another way", "goal", ""],
        ["PGD-10", "plain loop", "1.17", "0.50", "3", "**missed**"],
        ["FGSM", "plain loop", "1.17", "–", "1", "reached"],
        ["step", "milliseconds", "–", "–", "at most 18", "not measured"],
    ]
    assert "gpu-2026" in shown.caption


def test_an_aim_that_was_missed_is_bold() -> None:
    aims = [
        Aim("cpu", "attack", 1.3, 1.5),
        Aim("cuda", "kernels", 0.8, 0.7),
        Aim("cpu", "page", 2.0, 1.9, at_most=True),
    ]
    assert table_rows(tables.speed_aims(aims))[1:] == [
        ["cpu", "attack", "1.3", "1.50", "reached"],
        ["cuda", "kernels", "0.8", "0.70", "**missed**"],
        ["cpu", "page", "at most 2.00", "1.90", "reached"],
    ]
