"""Parameters as notebooks and shells pass them become settings, or an error that names the parameter."""

import typing
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snslib.arguments import parse
from snslib.study.settings import PROFILES, Settings, from_parameters


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_fraction_is_its_quotient(numerator: int, denominator: int) -> None:
    assert parse("eps", f"{numerator}/{denominator}", float) == float(Fraction(numerator, denominator))


@pytest.mark.parametrize(
    ("value", "wanted", "expected"),
    [
        ("8 / 255", float, 8 / 255),
        ("1e-2", float, 0.01),
        (3, float, 3.0),
        ("3", int, 3),
        ("true", bool, True),
        ("False", bool, False),
        ("[1, 2]", list, [1, 2]),
        ("cpu", str | None, "cpu"),
        ("16/255", float | None, 16 / 255),
    ],
)
def test_text_is_read_as_the_type_that_is_wanted(value: object, wanted: object, expected: object) -> None:
    read_value = parse("x", value, wanted)
    assert read_value == expected
    assert type(read_value) is type(expected)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("8/0", float), ("much", float), (True, float), ("2.5", int), (2.5, int), (True, int), ("maybe", bool), (3, str)],
)
def test_what_cannot_be_read_names_the_parameter(value: object, wanted: object) -> None:
    with pytest.raises(ValueError, match=r"^lam: expected") as error:
        parse("lam", value, wanted)
    assert repr(value) in str(error.value)


def test_none_leaves_the_profile_as_it_is() -> None:
    assert from_parameters({"profile": None, "lam": None, "seed": None}) == PROFILES["digits"]


def test_a_data_set_brings_its_profile_and_a_parameter_changes_one_field() -> None:
    settings = from_parameters({"dataset": "cifar10", "width": "1/4"})
    assert settings.profile == "cifar10"
    assert settings.width == 0.25
    assert settings.eps == 8 / 255


def test_step_size_follows_eps() -> None:
    assert from_parameters({"eps": "10/255"}).step_size == pytest.approx(1 / 255)
    assert from_parameters({"eps": "10/255", "step_size": "2/255"}).step_size == pytest.approx(2 / 255)
    for profile in PROFILES.values():
        assert profile.step_size == pytest.approx(profile.eps / 10)  # section 3.1


def test_every_setting_is_explained() -> None:
    for hint in typing.get_type_hints(Settings, include_extras=True).values():
        _, about = typing.get_args(hint)
        assert about


def test_another_model_brings_its_own_first_layer() -> None:
    assert from_parameters({"model": "alexnet"}).first_layer == "conv3"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("eps", -1),
        ("eps", float("nan")),
        ("epochs", 0),
        ("fraction", 0),
        ("fraction", "3/2"),
        ("width", 0),
        ("model", "vgg61"),
        ("dataset", "cifar11"),
        ("profile", "digit"),
        ("first_layer", "conv14"),
        ("pairs", "once"),
        ("reduction", "max"),
        ("precision", "float16"),
        ("device", "tpu9"),
        ("lamm", 5),
    ],
)
def test_a_bad_value_is_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        from_parameters({name: value})


@pytest.mark.parametrize("other", [{"model": "resnet18"}, {"model": "googlenet"}, {"first_layer": "fc"}])
def test_neurons_can_be_switched_off_only_where_nothing_goes_past_them(other: dict[str, str]) -> None:
    assert from_parameters({"switched_off": "true", "model": "alexnet"}).switched_off
    with pytest.raises(ValueError, match=f"switched_off: .* got .*{next(iter(other.values()))}"):
        from_parameters({"switched_off": True} | other)
