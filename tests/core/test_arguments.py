"""Checks that several files share: what they let through, and one line about what they do not."""

import math
import time
import typing
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from snslib import arguments
from snslib.arguments import Within, parse

HINTS = {
    "share": Annotated[float, Within("of all", 0, 1, above=True)],
    "count": Annotated[int | None, Within("of images", 2, 1000)],
    "flag": Annotated[bool, "whether"],
    "name": Annotated[str | None, "what it is called"],
    "either": Annotated[str | Path, "of two types, of which nothing is stated"],
    "plain": int,
}


def line_of(call: Any) -> str:
    """The message of the ValueError that a call ends in: one line."""
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as error:
        call()
    return str(error.value)


def short(value: object) -> str:
    return arguments.shown(value)[:30]


def test_a_range_stands_in_the_text() -> None:
    assert str(typing.get_args(HINTS["share"])[1]) == "of all; above 0 to 1"
    assert str(typing.get_args(HINTS["count"])[1]) == "of images; 2 to 1,000"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("share", value) for value in (1e-300, 0.5, 1, 1.0)),
        *(("count", value) for value in (2, 1000, None)),
        *(("flag", value) for value in (True, False)),
        *(("name", value) for value in ("a", None)),
        *(("either", value) for value in (Path("a"), 3)),
        ("plain", "anything"),
        ("unknown", -1),
    ],
)
def test_what_is_in_range_passes(name: str, value: object) -> None:
    arguments.stated({name: value}, HINTS)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        *(("share", value, "a finite number above 0 to 1 (of all)") for value in (0, 1.001, -1, math.nan, math.inf)),
        *(
            ("share", value, "a finite number above 0 to 1 (of all)")
            for value in (True, None, "0.5", 10**400, 10**5000)
        ),
        *(("count", value, "an integer from 2 to 1,000 (of images)") for value in (1, 1001, -5, 2.0, True, "3")),
        *(("flag", value, "true or false (whether)") for value in (1, 0, "true", None)),
        *(("name", value, "a name (what it is called)") for value in (3, b"a")),
    ],
    ids=short,
)
def test_what_is_out_of_range_or_of_another_type_is_refused(name: str, value: object, expected: str) -> None:
    assert line_of(lambda: arguments.stated({name: value}, HINTS)).startswith(f"{name}: expected {expected}, got ")


# --- text ---


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        *(
            (text, float)
            for text in ("1e999999999", "1e99999999/3", "8/1e-999999999", "3e999999999/1e999999999", "9" * 10**6)
        ),
        *((text, float) for text in ("nan", "inf", "-inf", "1/2/3", "/", "8/", "/8", "1/0", "")),
        *((text, int) for text in ("9" * 10**6, "-" * 10**5 + "1", "[" * 10**5, "1e3", "")),
        *((text, bool) for text in ("1", "yes", "not true")),
    ],
    ids=short,
)
def test_no_text_hangs_or_fills_the_screen(text: str, wanted: type) -> None:
    began = time.perf_counter()
    line = line_of(lambda: parse("eps", text, wanted))
    assert time.perf_counter() - began < 1
    assert line.startswith("eps: expected ")
    assert len(line) < 250


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 2**53))
def test_a_number_is_read_as_exactly_as_a_fraction_would_be(value: float, denominator: int) -> None:
    assert parse("lam", repr(value), float) == float(Fraction(repr(value)))
    numerator = min(2**53, abs(int(value)))
    assert parse("lam", f"{numerator}/{denominator}", float) == float(Fraction(numerator, denominator))


# --- channels, names, modules ---


@pytest.mark.parametrize(
    "index",
    [[2, 0], (2, 0), range(2, -1, -2), np.array([2, 0]), torch.tensor([2, 0]), torch.tensor([2, 0], dtype=torch.int32)],
)
def test_whole_numbers_are_channels(index: Any) -> None:
    found = arguments.indices("neurons", "conv1", index)
    assert (found.dtype, found.tolist()) == (torch.int64, [2, 0])


def test_no_channels_are_channels() -> None:
    for none in ([], torch.tensor([]), torch.tensor([], dtype=torch.bool)):
        assert arguments.indices("neurons", "conv1", none).tolist() == []


@pytest.mark.parametrize(
    "index",
    [
        *(torch.tensor([True, False, True]), [True, False], np.array([True, False]), torch.tensor([1, 0]).byte()),
        *([1.0, 2.0], [1.5], torch.tensor([1.0]), torch.tensor([[1, 2]]), torch.tensor(3), [[1, 2]]),
        *("conv1", ["conv1"], 3, None, [1, None]),
    ],
)
def test_another_kind_of_selection_is_refused(index: Any) -> None:
    assert line_of(lambda: arguments.indices("neurons", "conv1", index)).startswith(
        "neurons: expected channels of 'conv1'"
    )


@pytest.mark.parametrize("name", ["a", "a/b", "folder:pets/vgg16-w1", "a.b-c_d"])
def test_a_name_is_in_its_folder(name: str) -> None:
    assert arguments.inside("name", Path("results"), name) == Path("results") / name


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../a",
        "a/../../b",
        "..\\..\\a",
        "a\\..\\b",
        "/a",
        "\\a",
        "C:\\a",
        "C:a",
        "\\\\host\\a",
        "a\0",
        "a\nb",
        "",
        3,
        None,
    ],
)
def test_a_name_never_leads_out_of_its_folder(name: Any) -> None:
    assert line_of(lambda: arguments.inside("name", Path("results"), name)).startswith(
        "name: expected a name in results"
    )


def test_what_is_no_module_is_named() -> None:
    arguments.module("model", nn.Identity())
    assert line_of(lambda: arguments.module("model", lambda x: x)).startswith(
        "model: expected an nn.Module, got <function"
    )
    assert line_of(lambda: arguments.layers(nn.Sequential(nn.ReLU()), [0])).startswith(
        "layers: expected a non-empty list"
    )


# --- what an attack returns ---

X = torch.full((2, 3, 4, 4), 0.5)


def test_what_an_attack_may_return_passes() -> None:
    for x_adv in (X, X + 0.1, (X + 0.1).double(), torch.ones_like(X)):
        arguments.adversarial("attack", x_adv, X)
    arguments.adversarial("attack", X + 0.1, X, eps=0.1)  # 0.1 and its sum are rounded


@pytest.mark.parametrize(
    ("x_adv", "eps"),
    [
        *((x_adv, None) for x_adv in (X + 0.51, X - 0.51, X * torch.nan, X + torch.inf, X[:1], X[0], X.byte(), None)),
        *((x_adv, 0.1) for x_adv in (X + 0.11, X - 0.11, X.index_fill(0, torch.tensor(1), 0.7))),
    ],
)
def test_what_an_attack_may_not_return_is_refused(x_adv: Any, eps: float | None) -> None:
    assert line_of(lambda: arguments.adversarial("attack", x_adv, X, eps)).startswith("attack: expected x' ")
