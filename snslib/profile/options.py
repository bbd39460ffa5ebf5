"""The arguments of a profile as a notebook's parameters or a command's options give them."""

import inspect
import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from snslib import arguments
from snslib.profile.measure import check, profile


def _shown(argument: str) -> str:
    """What an argument of :func:`profile` is called here: "model" is the name of one of the study's settings."""
    return "network" if argument == "model" else argument


def options() -> dict[str, tuple[Any, str]]:
    """Type and text, with the default in brackets, of those arguments of :func:`profile` that a shell can pass.

    The argument ``model`` is called "network".
    """
    defaults = {name: one.default for name, one in inspect.signature(profile).parameters.items()}
    found = {}
    for name, hint in typing.get_type_hints(profile, include_extras=True).items():
        if typing.get_origin(hint) is Annotated:
            kind, text = typing.get_args(hint)
            default = defaults[name]
            shown = f"{default * 255:g}/255" if isinstance(default, float) else default
            text += f" ({shown})" * isinstance(default, (int, float, str))
            found[_shown(name)] = (kind, text)
    return found


def from_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of :func:`profile` that a notebook's parameters or a command's options stand for, checked.

    Args:
        parameters: names of :func:`options` to values, which may be strings as papermill and a shell pass them:
            "8/255", "0.5,0.5,0.5". None leaves the default.

    Raises:
        ValueError: an unknown name, a value of the wrong type or out of range; the message names it.
    """
    known = options()
    for name in parameters:
        arguments.one_of("parameter", name, known)
    given = {name: _parse(name, value, known[name][0]) for name, value in parameters.items() if value is not None}
    run = {name: given[_shown(name)] for name in inspect.signature(profile).parameters if _shown(name) in given}
    try:
        check(run)
    except ValueError as error:
        raise ValueError(re.sub("^model:", f"{_shown('model')}:", str(error))) from error
    return run


def _parse(name: str, value: Any, wanted: Any) -> Any:
    kind = typing.get_args(wanted)[0] if isinstance(wanted, types.UnionType) else wanted
    if typing.get_origin(kind) is not Sequence:
        return arguments.parse(name, value, wanted)
    if not isinstance(value, (str, list, tuple)):
        raise ValueError(f"{name}: expected values with commas between them, got {value!r}")
    parts = [part.strip() for part in value.strip("[]()").split(",")] if isinstance(value, str) else value
    return [arguments.parse(name, part, *typing.get_args(kind)) for part in parts]
