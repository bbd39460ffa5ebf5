"""Parameters as notebooks and shells pass them become settings, or an error that names the parameter."""

import math
import typing
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snslib.arguments import Within, parse
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


# --- ranges ---

RANGES = {
    name: (typing.get_args(hint)[0], text)
    for name, hint in typing.get_type_hints(Settings, include_extras=True).items()
    if isinstance(text := typing.get_args(hint)[1], Within)
}


def as_python(name: str, value: object) -> Settings:
    return replace(PROFILES["digits"], **{name: value})


def as_parameter(name: str, value: object) -> Settings:
    return from_parameters({name: value})


def as_text(name: str, value: object) -> Settings:
    return from_parameters({name: str(value)})


WAYS = (as_python, as_parameter, as_text)  # Python, a notebook's parameters, the command line's and papermill's strings


def test_every_number_states_its_range_and_every_profile_is_in_it() -> None:
    hints = typing.get_type_hints(Settings)
    numbers = {name for name, hint in hints.items() if {int, float} & {hint, *typing.get_args(hint)}}
    assert numbers == RANGES.keys()
    for settings in PROFILES.values():
        assert replace(settings) == settings


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", RANGES)
def test_both_ends_of_a_range_are_in_it_and_what_is_beyond_is_refused(
    name: str, way: Callable[[str, object], Settings]
) -> None:
    kind, text = RANGES[name]
    whole = int in (kind, *typing.get_args(kind))
    least = text.least + (1 if whole else 1e-3) * text.above
    for value in (least, text.most):
        assert getattr(way(name, value), name) == value
    below, beyond = (text.least, text.most + 1e-3) if text.above else (text.least - 1, text.most + 1)
    for value in (below, beyond, -(10**9), 10**9 + 0.5, math.nan, math.inf, -math.inf, 10**400, "much", True):
        with pytest.raises(ValueError, match=rf"\A{name}: expected [^\n]*\Z"):
            way(name, value)


@pytest.mark.parametrize("name", ["switched_off", "one_pass", "train_all"])
@pytest.mark.parametrize("value", [1, 0, None, "true", [True]])
def test_what_is_true_is_a_bool(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: expected true or false"):
        as_python(name, value)


@pytest.mark.parametrize(
    "name", ["dataset", "model", "first_layer", "pairs", "reduction", "neurons", "precision", "device"]
)
@pytest.mark.parametrize("value", [3, ["digits"], "", "..", "../cifar10", "..\\cifar10", "a\0b"])
def test_a_name_is_one_of_those_that_there_are(name: str, value: object) -> None:
    if (name, value) in (("device", ""), ("dataset", "..")):
        return  # none given; a folder that exists
    with pytest.raises(ValueError, match=rf"^{name}: "):
        as_python(name, value)


def test_a_setting_of_8_levels_says_how_it_is_written() -> None:
    for name in ("eps", "step_size"):
        with pytest.raises(ValueError, match=rf"^{name}: expected a finite number from 0 to 1 .*, got 8"):
            from_parameters({name: 8})
    with pytest.raises(ValueError, match=r"8/255 is understood"):
        from_parameters({"eps": 8})
