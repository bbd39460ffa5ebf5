"""Records of one network give its accuracies in the order of a table, the lowest of them, and the checks it fails."""

import pytest
from recorded import FOLDER, put

from snslib.claims.numbers.robustness import (
    CHECKS,
    Lowest,
    accuracies_by_seed,
    accuracy_by_attack,
    accuracy_under_attacks,
    failed_by,
    images_under_attacks,
    lowest_accuracy,
    lowest_of,
)
from snslib.claims.statistics import Accuracy
from snslib.study.records import Record

ON_ALL = {"clean": 0.8, "step_ll": 0.7, "mi_fgsm": 0.6, "pgd": 0.45, "fgsm": 0.5}


def records(pgd: float, strong: float, targeted: float, auto: float) -> list[Record]:
    return [
        Record("autoattack", {"accuracy": auto, "warnings": []}, {"n": 50}),
        Record("targeted-pgd", targeted, {"n": 50}),
        Record("sanity-checks", {}, {"n": 50}),
        Record("strong-accuracy", strong, {"n": 50, "steps": 100, "restarts": 5}),
        Record("pgd-accuracy", {"clean": 0.9, "pgd": pgd}, {"n": 50, "attack": {"steps": 10}}),
    ]


def test_accuracies_come_in_the_order_of_a_table_whatever_that_of_the_records() -> None:
    made = accuracy_by_attack(records(0.5, 0.4, 0.3, 0.2))
    assert list(made.items()) == [
        ("clean", 0.9),
        ("PGD-10", 0.5),
        ("PGD-100 × 5", 0.4),
        ("targeted", 0.3),
        ("AutoAttack", 0.2),
    ]
    assert accuracy_by_attack(records(0.5, 0.4, 0.3, 0.2)[:1]) == {"AutoAttack": 0.2}


def test_the_lowest_accuracy_is_that_of_the_first_attack_that_leaves_as_little() -> None:
    assert lowest_of(records(0.5, 0.2, 0.3, 0.2)) == Lowest(0.5, 0.2, "PGD-100 × 5", 50)
    assert lowest_of(records(0.5, 0.5, 0.5, 0.5)) == Lowest(0.5, 0.5, "PGD-10", 50)
    assert lowest_of(records(0.95, 0.95, 0.95, 0.95)).lowest == 0.95  # clean accuracy is no attack's


@pytest.mark.usefixtures("results")
def test_accuracy_on_all_images_takes_the_place_of_what_was_not_measured_on_the_first() -> None:
    put("pat", "accuracy", ON_ALL, n=10_000, attack={"steps": 10})
    assert lowest_accuracy(FOLDER, ["pat"]) == {}
    put("pat", "autoattack", {"accuracy": 0.3, "warnings": []}, n=50)
    assert accuracy_under_attacks(FOLDER, "pat") == {"clean": 0.8, "PGD-10": 0.45, "AutoAttack": 0.3}
    assert images_under_attacks(FOLDER, "pat") == {"clean": 10_000, "PGD-10": 10_000, "AutoAttack": 50}
    assert lowest_accuracy(FOLDER, ["pat", "alp"]) == {"pat": Lowest(0.45, 0.3, "AutoAttack", 50)}
    put("pat", "pgd-accuracy", {"clean": 0.9, "pgd": 0.5}, n=50, attack={"steps": 10})
    assert accuracy_under_attacks(FOLDER, "pat") == {"clean": 0.9, "PGD-10": 0.5, "AutoAttack": 0.3}
    assert images_under_attacks(FOLDER, "pat") == {"clean": 50, "PGD-10": 50, "AutoAttack": 50}


@pytest.mark.usefixtures("results")
def test_all_seeds_of_a_row_are_together_under_every_attack() -> None:
    assert accuracies_by_seed(FOLDER, "pat") == {}
    for seed in (0, 1):
        put("pat", "accuracy", ON_ALL | {"pgd": 0.25 + 0.25 * seed}, n=10_000, seed=seed)
    put("pat", "strong-accuracy", 0.2, n=50, steps=100, restarts=5)
    put("pat", "autoattack", {"accuracy": 0.1, "warnings": []}, n=50)
    assert accuracies_by_seed(FOLDER, "pat") == {
        "clean": Accuracy((0.8, 0.8), 10_000),
        "Step-LL": Accuracy((0.7, 0.7), 10_000),
        "MI-FGSM": Accuracy((0.6, 0.6), 10_000),
        "PGD": Accuracy((0.25, 0.5), 10_000),
        "FGSM": Accuracy((0.5, 0.5), 10_000),
        "PGD-100 × 5": Accuracy((0.2,), 50),
        "AutoAttack": Accuracy((0.1,), 50),
    }


def test_failed_checks_are_named_in_words() -> None:
    passed = {name: {"passed": name not in ("growing", "noise")} for name in CHECKS}
    assert failed_by(Record("sanity-checks", passed, {})) == ["growing radius", "noise"]
