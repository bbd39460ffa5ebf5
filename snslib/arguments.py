"""Checks of arguments that several files share. Each raises a ``ValueError`` naming argument, value and remedy."""

import ast
import difflib
import math
import sys
import types
import typing
from collections.abc import Collection, Iterable, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn


def images(name: str, x: Tensor) -> None:
    """``x`` is a float tensor (N, C, H, W) with N >= 1 and every value in [0, 1]; NaN is refused.

    One reduction over ``x``; on a GPU this waits for the device once.
    """
    if not isinstance(x, Tensor) or x.ndim != 4 or len(x) == 0:
        came = f"a tensor of shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"{name}: expected a non-empty float tensor (N, C, H, W), got {came}")
    if not x.is_floating_point():
        raise ValueError(f"{name}: expected floats in [0, 1], got {x.dtype}; data.to_float converts uint8 images")
    if not ((x >= 0) & (x <= 1)).all():
        low, high = x.min().item(), x.max().item()
        raise ValueError(
            f"{name}: values must lie in [0, 1], got [{low:.4g}, {high:.4g}]; "
            "pass images before normalisation (the models of snslib normalise inside) and without NaN"
        )


def labels(name: str, y: Tensor, n: int) -> None:
    """``y`` is an int64 tensor (n,) without negative values."""
    if not isinstance(y, Tensor) or y.shape != (n,) or y.dtype != torch.int64:
        came = f"{y.dtype} of shape {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
        raise ValueError(f"{name}: expected an int64 tensor of shape ({n},), one class per image, got {came}")
    if (y < 0).any():
        raise ValueError(f"{name}: classes are counted from 0, got {y.min().item()}")


def not_negative(name: str, value: float) -> None:
    """``value`` is a finite number >= 0."""
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{name}: expected a finite number >= 0, got {value!r}")


def at_least(name: str, value: int, least: int) -> None:
    """``value`` is an integer >= ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name}: expected an integer >= {least}, got {value!r}")


def one_of(name: str, value: str, known: Collection[str]) -> None:
    """``value`` is one of the ``known`` ones."""
    if value not in known:
        raise ValueError(f"{name}: expected one of {', '.join(known)}, got {value!r}")


def channels(name: str, layer: str, index: Tensor, count: int) -> None:
    """``index`` holds channels of a ``layer`` that has ``count``; it may be empty."""
    if len(index) and not 0 <= int(index.min()) <= int(index.max()) < count:
        raise ValueError(f"{name}: {layer!r} has channels 0..{count - 1}, got {index.tolist()}")


def layers(model: nn.Module, names: Sequence[str]) -> dict[str, nn.Module]:
    """The modules behind the dotted ``names``, in the same order.

    Raises:
        ValueError: a name is no module of ``model``; the message lists what there is.
    """
    if isinstance(names, str) or not names:
        raise ValueError(f"layers: expected a non-empty list of layer names, got {names!r}")
    found = {}
    for name in names:
        try:
            found[name] = model.get_submodule(name)
        except AttributeError:
            known = ", ".join(n for n, _ in model.named_modules() if n)
            raise ValueError(f"layers: the model has no layer {name!r}; it has {known}") from None
    return found


def parse(name: str, value: Any, wanted: Any) -> Any:
    """``value`` as the type ``wanted``, whether it came as such or as a string; "8/255" is a float.

    Raises:
        ValueError: it cannot be read as that type; the message names the parameter.
    """
    options = typing.get_args(wanted) if isinstance(wanted, types.UnionType) else (wanted,)
    kind = next(option for option in options if option is not types.NoneType)
    try:
        if kind is str:
            if isinstance(value, str):
                return value
        elif kind is float:
            if isinstance(value, str):
                return float(Fraction(value.replace(" ", "")))
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return float(value)
        else:
            plain = ast.literal_eval(value.strip().capitalize()) if isinstance(value, str) else value
            if isinstance(plain, kind) and (kind is bool or not isinstance(plain, bool)):
                return plain
    except (ValueError, SyntaxError, ZeroDivisionError):
        pass
    example = {float: "a number such as 5.0 or 8/255", int: "a whole number", bool: "true or false"}.get(kind, "a name")
    raise ValueError(f"{name}: expected {example}, got {value!r}")


def is_plain(name: str, value: Any) -> bool:
    """Whether a notebook's global variable holds what papermill could have put there: no module, function or object.

    Nor something of that name that was imported from snslib, such as ATTACKS.
    """
    of_ipython = name.startswith("_") or name in ("In", "Out")
    if of_ipython or not isinstance(value, (str, int, float, list, dict, tuple, types.NoneType)):
        return False
    modules = [module for key, module in [*sys.modules.items()] if key.partition(".")[0] == "snslib"]
    return not any(name in vars(module) and vars(module)[name] is value for module in modules)


def near(name: str, known: Collection[str]) -> str:
    """For a message: which of the known names may have been meant."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return f"did you mean {' or '.join(close)}?" if close else f"there are {few(known)}"


def few(names: Iterable[str], most: int = 5) -> str:
    """For a message: the first of the names."""
    listed = list(names)
    return ", ".join(listed[:most]) + (", …" if len(listed) > most else "")
