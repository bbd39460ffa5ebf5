"""What is said of SNS training follows from the records, on both sides of each branch."""

import math

from snslib.book import findings
from snslib.study.records import Record

EFFECT = {
    "conv8": {"before": 2.0, "after": 1.0, "relative_before": 0.5, "relative_after": 1.0, "dead": 0, "chosen": 3},
    "conv9": {"before": 1.0, "after": 1.25, "relative_before": 0.4, "relative_after": 0.5, "dead": 0, "chosen": 2},
}
DEAD = {"before": 1.0, "after": 0.0, "relative_before": 0.5, "relative_after": math.nan, "dead": 2, "chosen": 2}


def found(effect: dict[str, dict[str, float]] = EFFECT, on_fixed: float = 0.75, names: str = "abc") -> str:
    """The text in one line: clean and PGD of the vanilla, the trained, and the control network."""
    numbers = {"a": (0.9, 0.1), "b": (0.8, 0.3), "c": (0.85, 0.25)}
    accuracy = {
        name: Record("accuracy", {"clean": numbers[name][0], "pgd": numbers[name][1]}, {"n": 100}) for name in names
    }
    strong = {name: Record("strong-accuracy", 0.2, {"steps": 50, "restarts": 1}) for name in names}
    fixed = {name: Record("accuracy-on-fixed", on_fixed, {}) for name in names}
    return " ".join(findings.sns_training(effect, accuracy, strong, fixed).data.split())


def test_the_changes_of_sensitivity_are_given_from_the_least_to_the_most() -> None:
    text = found()
    assert "changes by -50% to +25%." in text
    assert "Relative to the neurons' outputs, it is 1.25 to 2.00 times what it was." in text
    assert "0 of 5 chosen neurons are dead afterwards." in text


def test_dead_neurons_are_explained_and_their_layers_left_out_of_the_ratio() -> None:
    text = found({"conv8": EFFECT["conv8"], "conv9": DEAD})
    assert "changes by -100% to -50%. Relative to the neurons' outputs, it is 2.00 to 2.00 times" in text
    assert "2 of 5 chosen neurons are dead afterwards: switching a neuron off is the easiest way" in text
    assert "Relative to" not in found({"conv9": DEAD})


def test_the_loss_accounts_for_what_the_training_without_it_does_not_give() -> None:
    text = found()
    assert "goes from 10.00% to 30.00% (+20.00 points), clean accuracy from 90.00% to 80.00%." in text
    assert "gives 25.00% under PGD: the loss itself accounts for +5.00 points." in text
    assert "accounts for +0.00 points" in found(names="ab")  # λ is 0 already: one network is both


def test_fixed_images_hide_a_gap_where_they_leave_more_than_the_stronger_attack() -> None:
    assert "**Against PGD-50**, 20.00% remain, while on fixed examples the same model scores 75.00%. The gap" in found()
    assert "The gap" not in found(on_fixed=0.2)


def test_the_interval_is_that_of_the_test_images() -> None:
    # Wilson, of 30 of 100
    assert "One seed, 100 test images: the 95% interval of 30.00% reaches from 21.89% to 39.58%" in found()
