"""What the chapter on attacks found, in words (snslib/book/findings/attacks.py)."""

from typing import Any

import pytest

from snslib.attacks import ATTACKS
from snslib.book import findings
from snslib.evaluation.misreadings import Misreadings
from snslib.study.records import Record

LIKE_PAPER = {"clean": 0.9, "step_ll": 0.4, "mi_fgsm": 0.1, "pgd": 0.0, "fgsm": 0.2}
MISLED, ARRIVED = Misreadings(100, 0.1, 0.75, 0.25), Misreadings(100, 0.1, 0.5, 0.5)


def text(
    result: dict[str, float] = LIKE_PAPER,
    eps: float = 32 / 255,
    n: int = 400,
    data: str = "digits",
    step_ll: Misreadings = MISLED,
    **trained: Any,
) -> str:
    config = {"trained": {"model": "vgg16", "width": 1.0} | trained, "attack": {"eps": eps}, "n": n}
    accuracy = Record("accuracy", result, config, data={"name": data})
    by_eps = Record("accuracy-by-eps", [0.8, 0.7, 0.6], {"epsilons": [4 / 255, 8 / 255, 16 / 255]})
    misread = {"Step-LL": step_ll, "MI-FGSM": MISLED}
    return " ".join(findings.vanilla_under_attack(accuracy, by_eps, misread).data.split())


@pytest.mark.parametrize(
    ("at_least_half", "sentence"),
    [
        (
            (),
            "Each of the four attacks leaves less than half of that: 0.00% remain under PGD, 10.00% remain",
        ),
        (("step_ll",), "MI-FGSM, PGD, FGSM leave less than half of that, the others at least half: 0.00% remain"),
        (("step_ll", "mi_fgsm", "fgsm"), "PGD leaves less than half of that, the others at least half: 0.00% remain"),
        (tuple(ATTACKS), "None of the four attacks leaves less than half of that: 90.00% remain under Step-LL"),
    ],
)
def test_attacks_that_leave_less_than_half_are_named(at_least_half: tuple[str, ...], sentence: str) -> None:
    found = text(LIKE_PAPER | dict.fromkeys(at_least_half, 0.9))
    assert f"the network is 90.00% right on clean images** (400 test images). {sentence}" in found


def test_the_order_of_the_attacks_is_compared_with_the_paper() -> None:
    same = "PGD, MI-FGSM, FGSM, Step-LL"
    assert f"come as {same} here, and as {same} in the paper: the same order. In both" in text()
    other = text(LIKE_PAPER | {"step_ll": 0.15})
    assert "come as PGD, MI-FGSM, Step-LL, FGSM here" in other
    assert "not the same order. In both, PGD is the strongest." in other
    assert "in the paper: not the same order. - The" in text(LIKE_PAPER | {"pgd": 0.3})


def test_the_rows_are_compared_in_numbers_in_the_setting_of_the_paper_alone() -> None:
    assert "Data, network and eps are the paper's" in text(eps=8 / 255, data="cifar10")
    assert "can be compared in their pattern, not in their numbers" in text(eps=8 / 255, data="cifar10", width=0.25)


def test_accuracy_at_the_eps_of_the_paper_stands_beside_that_of_another_eps() -> None:
    assert "of 8/255, PGD leaves 70.00% on this data; at 32/255 it leaves 0.00%. An eps means little" in text()
    assert "At eps 8/255, as in the paper, PGD leaves 0.00%." in text(eps=8 / 255)


def test_targeted_attacks_mislead_or_arrive() -> None:
    assert (
        "The targeted attacks take 25% (Step-LL) and 25% (MI-FGSM) of 100 images to the least likely class, while "
        "75% and 75% are misread: they mislead more often than they arrive."
    ) in text()
    assert "take 50% (Step-LL)" in text(step_ll=ARRIVED)
    assert "while 50% and 75% are misread: what is misread is mostly where" in text(step_ll=ARRIVED)


def test_few_images_leave_two_points_to_chance() -> None:
    assert text().endswith("This run is of one seed and 400 images: a difference of two points is within chance.")
    assert text(n=10_000).endswith("This run is of one seed.")
