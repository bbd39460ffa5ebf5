"""The rules of the chapter on attacks, on both sides of their limits (snslib/claims/criteria/attacks.py)."""

from typing import Any

import pytest

from snslib.claims.criteria import attacks
from snslib.evaluation.misreadings import Misreadings
from snslib.study.records import Record


def accuracy_at(eps: float = 8 / 255, data: str = "cifar10", **trained: Any) -> Record:
    config = {"trained": {"model": "vgg16", "width": 1.0} | trained, "attack": {"eps": eps}, "n": 100}
    return Record("accuracy", {}, config, data={"name": data})


def test_the_strongest_attack_comes_first_and_of_equals_the_first_of_table_1() -> None:
    accuracy = {"clean": 0.0, "step_ll": 0.3, "mi_fgsm": 0.2, "pgd": 0.1, "fgsm": 0.2}
    assert attacks.strongest_first(accuracy) == ["pgd", "mi_fgsm", "fgsm", "step_ll"]


def test_half_of_the_clean_accuracy_is_not_less_than_half() -> None:
    accuracy = {"clean": 0.5, "step_ll": 0.25, "mi_fgsm": 0.24, "pgd": 0.0, "fgsm": 0.5}
    assert attacks.leaving_less_than_half(accuracy) == ["mi_fgsm", "pgd"]


def test_the_paper_has_one_radius() -> None:
    assert attacks.is_at_paper_eps(accuracy_at(8 / 255))
    assert not attacks.is_at_paper_eps(accuracy_at(8.01 / 255))
    assert not attacks.is_at_paper_eps(accuracy_at(32 / 255))


@pytest.mark.parametrize("changed", [{"eps": 0.1}, {"data": "digits"}, {"model": "alexnet"}, {"width": 0.25}])
def test_numbers_of_another_setting_are_not_comparable_with_table_1(changed: dict[str, Any]) -> None:
    assert attacks.comparable_with_table1(accuracy_at())
    assert not attacks.comparable_with_table1(accuracy_at(**changed))


def test_two_points_are_beyond_chance_on_five_thousand_images() -> None:
    # near one half the standard error of a difference is sqrt(2 / 4n): 1.96 of them are two points at n = 4,802
    assert attacks.two_points_are_chance(4700)
    assert not attacks.two_points_are_chance(4900)


def test_both_targeted_attacks_have_to_mislead_more_than_they_arrive() -> None:
    more, as_many = Misreadings(8, 0.1, 0.5, 0.25), Misreadings(8, 0.1, 0.5, 0.5)
    assert attacks.mislead_more_than_arrive({"Step-LL": more, "MI-FGSM": more, "PGD": as_many})
    assert not attacks.mislead_more_than_arrive({"Step-LL": more, "MI-FGSM": as_many, "PGD": more})
