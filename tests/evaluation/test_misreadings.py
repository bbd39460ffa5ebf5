"""Misread images are counted, and images that show an attack are found (snslib/evaluation/misreadings.py)."""

from typing import Any

import pytest
import torch

from snslib.evaluation.misreadings import Misreadings, misreadings, two_read_right

Y = torch.tensor([0, 1, 2, 2])


def read_as(*classes: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(classes), 3).float()


def test_images_that_are_misread_and_those_at_the_target_are_counted_apart() -> None:
    x = torch.full((4, 3, 2, 2), 0.5)
    moved = x.clone()
    moved[3, 1, 0, 1] -= 0.25
    adversarial, logits = {"still": x, "moved": moved}, {"still": read_as(0, 1, 2, 2), "moved": read_as(1, 1, 0, 0)}
    found = misreadings(x, Y, torch.tensor([2, 0, 0, 1]), adversarial, logits)
    assert found == {"still": Misreadings(4, 0.0, 0.0, 0.0), "moved": Misreadings(4, 0.25, 0.75, 0.25)}


def test_an_image_of_the_target_class_may_be_right_and_at_the_target() -> None:
    x = torch.zeros(4, 3, 2, 2)
    found = misreadings(x, Y, Y, {"pgd": x}, {"pgd": read_as(0, 1, 2, 0)})
    assert found["pgd"] == Misreadings(4, 0.0, 0.25, 0.75)


def test_two_images_of_different_classes_that_are_read_right_are_shown() -> None:
    assert two_read_right(read_as(0, 1, 2, 2), Y) == [0, 1]
    assert two_read_right(read_as(1, 0, 2, 2), Y) == [2, 3]  # of one class alone: the first and the last
    assert two_read_right(read_as(1, 0, 2, 0), Y) == [2, 2]
    assert two_read_right(read_as(1, 0, 0, 0), Y) == [0, 0]


X = torch.full((4, 3, 2, 2), 0.5)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": 255 * X}, "x: values must lie in"),
        ({"y": Y[:3]}, "y: expected an int64 tensor"),
        ({"target": Y.float()}, "target: expected an int64 tensor"),
        ({"target": Y + 1}, r"logits \(pgd\): class 3 needs"),
        ({"y": Y - 1}, "y: classes are counted from 0"),
        ({"adversarial": {"pgd": X[:1]}}, r"adversarial \(pgd\): expected x'"),
        ({"adversarial": {"pgd": X * torch.nan}}, r"adversarial \(pgd\): expected x'"),
        ({"logits": {"pgd": read_as(0, 1)}}, r"logits \(pgd\): expected finite ones of 4 images"),
        ({"logits": {"pgd": read_as(0, 1, 2, 2) * torch.nan}}, r"logits \(pgd\): expected finite ones"),
        ({"logits": {}}, "logits: expected those of 'pgd'"),
    ],
)
def test_what_does_not_fit_is_not_counted(changed: dict[str, Any], message: str) -> None:
    fitting = {"x": X, "y": Y, "target": Y, "adversarial": {"pgd": X}, "logits": {"pgd": read_as(0, 1, 2, 2)}}
    assert misreadings(**fitting)["pgd"].misread == 0
    with pytest.raises(ValueError, match=rf"^{message}"):
        misreadings(**fitting | changed)


@pytest.mark.parametrize("logits", [read_as(0, 1), read_as(0, 1, 2, 2) * torch.nan, read_as(0, 1, 1, 1)[:, :2]])
def test_images_to_show_need_logits_that_fit(logits: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"^logits: "):
        two_read_right(logits, Y)
