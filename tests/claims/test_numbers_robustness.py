"""Records of one network give its accuracies in the order of a table, the lowest of them, and the checks it fails."""

from snslib.claims.numbers.robustness import CHECKS, Lowest, accuracy_by_attack, failed_by, lowest_of
from snslib.study.records import Record


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


def test_failed_checks_are_named_in_words() -> None:
    passed = {name: {"passed": name not in ("growing", "noise")} for name in CHECKS}
    assert failed_by(Record("sanity-checks", passed, {})) == ["growing radius", "noise"]
