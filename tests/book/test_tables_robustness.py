"""The tables of chapter 7 show what the records have: accuracies by attack, checks, and rows beside their controls."""

from pathlib import Path

import pytest
from markdown import table_rows
from recorded import FOLDER, HALF, N, put, put_accuracy

from snslib.book import tables
from snslib.claims.statistics import Accuracy, difference
from snslib.study.records import Record
from snslib.study.rows import FAMILIES, ROWS


def test_attacks_stand_side_by_side_as_they_try_harder() -> None:
    records = [
        Record("autoattack", {"accuracy": 0.125, "warnings": []}, {"n": 8}),
        Record("pgd-accuracy", {"clean": 0.875, "pgd": 0.5}, {"n": 8, "attack": {"steps": 10}}),
        Record("strong-accuracy", 0.25, {"n": 8, "steps": 100, "restarts": 5}),
    ]
    header, pat = table_rows(tables.harder_attacks({"pat": records}))
    assert header == ["model", "clean", "PGD-10", "PGD-100 × 5", "AutoAttack"]
    assert pat == ["PAT", "87.50%", "50.00%", "25.00%", "12.50%"]


def test_each_check_shows_whether_it_passed_and_the_two_numbers_that_decide() -> None:
    result = {
        "growing": {"passed": False, "accuracy": [0.5, 0.25, 0.125], "epsilons": [0.1, 0.2, 1.0]},
        "one_step": {"passed": True, "fgsm": 0.6, "pgd": 0.5},
        "transfer": {"passed": False, "white_box": 0.5, "transferred": 0.3},
        "noise": {"passed": True, "noise": 0.8, "pgd": 0.5, "only_noise": 0.01},
    }
    _, pat = table_rows(tables.gradient_checks({"pat": Record("sanity-checks", result, {})}))
    assert pat == ["PAT", "**fail**: 50%, 12%", "pass: 60%, 50%", "**fail**: 50%, 30%", "pass: 80%, 1%"]


@pytest.mark.usefixtures("results")
def test_alp_is_set_against_pat_at_each_width_that_has_both() -> None:
    narrow = "cifar10/vgg16-w0.25"
    put_accuracy("pat", HALF)
    assert table_rows(tables.alp_beside_pat([FOLDER, narrow])) == [[""]]
    put_accuracy("alp", HALF | {"pgd": 60.0, "clean": 40.0})
    put("pat", "autoattack", {"accuracy": 0.25, "warnings": []}, n=100)  # of ALP it is missing
    header, wide = table_rows(tables.alp_beside_pat([FOLDER, narrow]))
    assert header == ["", "clean", "Step-LL", "MI-FGSM", "PGD", "FGSM"]
    assert [cell.split()[0] for cell in wide[1:]] == ["-10.0", "+0.0", "+0.0", "+10.0", "+0.0"]
    low, high = (100 * end for end in difference(Accuracy((0.6,), N), Accuracy((0.5,), N)))
    assert wide[4] == f"+10.0 ({low:+.1f} to {high:+.1f})"


@pytest.mark.usefixtures("results")
def test_the_adaptive_attack_stands_beside_pgd_in_the_order_of_the_rows() -> None:
    assert table_rows(tables.adaptive_attack(FOLDER))[1:] == []
    for row, plain in (("control_adv_online", 0.5), ("sns_sen_adv_online", 0.25)):
        result = {"plain": plain, "adaptive": 0.125, "moved": {"plain": 0.0625, "driven": 1.5}}
        put(row, "adaptive-pgd", result, n=200)
    assert table_rows(tables.adaptive_attack(FOLDER))[1:] == [
        [ROWS["sns_sen_adv_online"].label, "25.00", "12.50", "0.062", "1.5"],
        [ROWS["control_adv_online"].label, "50.00", "12.50", "0.062", "1.5"],
    ]


@pytest.fixture
def families(results: Path) -> None:
    for place, row in enumerate([row for family in FAMILIES.values() for row in family.rows] + ["off_adv_online"]):
        put_accuracy(row, {"clean": 50.0 + place, "pgd": 0.0})
        put(row, "strong-accuracy", 0.0, n=100, steps=100, restarts=5)


@pytest.mark.usefixtures("families")
def test_families_stand_together_from_the_control_to_the_last_remedy() -> None:
    shown = table_rows(tables.remedied_neurons(FOLDER))[1:]
    assert [line[0] for line in shown] == [ROWS[row].label for family in FAMILIES.values() for row in family.rows]
    assert shown[0][1] == "not run"  # the sensitivities are missing


@pytest.mark.usefixtures("families")
def test_remedies_are_set_against_the_control_of_their_family() -> None:
    gains = {line[0]: line[1].split()[0] for line in table_rows(tables.gain_by_remedies(FOLDER))[1:]}
    ends = {"relative": "+2.0", "image-relative": "+3.0"}  # two and three places after the control
    assert len(gains) == 2 * len(FAMILIES)
    assert all(gain == ends[label.rsplit(", ", 1)[1]] for label, gain in gains.items())


@pytest.mark.usefixtures("families")
def test_the_network_without_the_neurons_is_set_against_the_control_and_the_others_against_it() -> None:
    gains = [line[1].split()[0] for line in table_rows(tables.gain_without_neurons(FOLDER))[1:]]
    assert gains == ["+4.0", "-3.0", "–", "-2.0", "-1.0"]  # the random row is missing
