"""Logits are read out of what models put out, or refused; never guessed."""

from collections import OrderedDict, namedtuple
from typing import Any

import pytest
import torch
from torch import Tensor
from zoo import Output

from snslib.logits import read_logits

LOGITS = torch.rand(5, 4)


@pytest.mark.parametrize(
    "output",
    [
        LOGITS,
        Output(LOGITS),
        {"logits": LOGITS, "features": torch.rand(5, 4)},
        OrderedDict(logits=LOGITS),
        (LOGITS,),
        [LOGITS],
        namedtuple("Outputs", ["logits", "aux"])(LOGITS, torch.rand(5, 4)),
    ],
    ids=["tensor", "object", "dict", "ordered", "tuple", "list", "namedtuple"],
)
def test_logits_are_found(output: Any) -> None:
    assert read_logits(output, 5, 3) is LOGITS


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ((LOGITS, torch.rand(5, 4)), "a tuple of 2"),
        ({"out": LOGITS, "aux": LOGITS}, "a dict with out, aux"),
        (None, "a NoneType"),
        (LOGITS.numpy(), "a ndarray"),
        (torch.rand(5, 3, 4), r"float32 of shape \(5, 3, 4\)"),
        (torch.rand(5, 4, 1, 1), r"float32 of shape \(5, 4, 1, 1\)"),
        (torch.rand(5), r"float32 of shape \(5,\)"),
        (torch.rand(1, 4), r"float32 of shape \(1, 4\)"),
        (torch.rand(15, 4), r"float32 of shape \(15, 4\)"),
        (LOGITS.argmax(1, keepdim=True).expand(5, 4), r"int64 of shape \(5, 4\)"),
        (torch.rand(5, 1), r"at least 2 classes, it outputs float32 of shape \(5, 1\)"),
    ],
)
def test_what_is_no_logits_of_these_images_is_refused(output: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^model: expected logits \(N, K\).*{message}"):
        read_logits(output, 5)


def test_a_class_that_there_is_no_logit_for_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^y: class 4 needs a model with logits \(N, K\) and K > 4"):
        read_logits(LOGITS, 5, 4, "y")


def test_how_many_images_there_were_need_not_be_known() -> None:
    found: Tensor = read_logits(LOGITS)
    assert found is LOGITS
