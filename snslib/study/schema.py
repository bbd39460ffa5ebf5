"""What the result of each measurement is like, so that a file that holds something else is not taken for a record."""

import math
import re
from typing import Any


def number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return type(value) in (int, float) and math.isfinite(value)


def share(value: Any) -> bool:
    """Whether a value is a number in [0, 1]."""
    return type(value) in (int, float) and 0 <= value <= 1


def count(value: Any) -> bool:
    """Whether a value is a whole number >= 0: a count, a class or a neuron."""
    return type(value) is int and value >= 0


def flag(value: Any) -> bool:
    """Whether a value is true or false."""
    return type(value) is bool


def text(value: Any) -> bool:
    """Whether a value is words."""
    return type(value) is str


def text_or_null(value: Any) -> bool:
    """Whether a value is words or null."""
    return value is None or text(value)


def bits(value: Any) -> bool:
    """Whether a value is hexadecimal digits, two for every eight bits; see :mod:`snslib.study.bits`."""
    return text(value) and re.fullmatch(r"([0-9a-f]{2})+", value) is not None


def anything(value: Any) -> bool:
    """Always: of a measurement that is not among RESULTS nothing is known."""
    return True


NAME = re.compile(r"[\w.+ -]{1,100}")  # of a layer, a network, an attack: no page takes it for more than that

# A result is like a function above where that holds; like {str: x} where it has a name or more, each to something like
# x; like {name: x}, where it has at least these names; like [x], where it is a list of one or more things like x; and
# like (x,), where that list may be empty.
LAYERS = {str: [number]}
SUPPRESSION = {"betas": [number], "white_box": {str: [share]}, "transferred": {str: [share]}}
RESULTS: dict[str, Any] = {
    "accuracy": {str: share},
    "accuracy-by-eps": [share],
    "accuracy-by-statistics": {str: {str: share}},
    "accuracy-on-fixed": share,
    "adaptive-pgd": {"plain": share, "adaptive": share, "moved": {"plain": number, "driven": number}},
    "autoattack": {"accuracy": share, "warnings": (text,)},
    "corrupted-accuracy": {str: [share]},
    "loss-surface": {"offsets": [number], "loss": [[number]]},
    "outcomes": {str: bits},
    "pgd-accuracy": {"clean": share, "pgd": share},
    "regions": {
        "units": {"sensitive": [count], "insensitive": [count]},
        "overlap": {"sensitive": [share], "insensitive": [share]},
        "comparison": {"sensitive": share, "insensitive": share, "p_value": share},
    },
    "sanity-checks": {
        "growing": {"passed": flag, "epsilons": [number], "accuracy": [share]},
        "one_step": {"passed": flag, "fgsm": share, "pgd": share},
        "transfer": {"passed": flag, "white_box": share, "transferred": share},
        "noise": {"passed": flag, "noise": share, "pgd": share, "only_noise": share},
    },
    "sensitivity": {"sigma": LAYERS, "activation": LAYERS},
    "sensitivity-of-halves": [LAYERS],
    "strong-accuracy": share,
    "suppression": SUPPRESSION,
    "suppression-of-least": SUPPRESSION,
    "suppression-of-random": SUPPRESSION,
    "targeted-neurons": {
        "sensitive": {str: [[count]]},
        "penultimate": {"reached": {str: [(count,)]}, "all": {str: [(count,)]}},
        "reached": [share],
        "n": [count],
        "targets": [count],
        "channels": {str: count},
        "errors": LAYERS,
    },
    "targeted-pgd": share,
    "transfer-matrix": {str: {str: share}},
    "variance": {"over_images": LAYERS, "over_all": LAYERS},
}

# What else a record says of itself, as far as it does.
ABOUT: dict[str, Any] = {
    "seconds": number,
    "precision": text,
    "device": text,
    "processes": count,
    "versions": {str: text},
    "commit": text_or_null,
    "date": text,
}


def problem(value: Any, like: Any, where: str = "result") -> str:
    """In words, where a result is first unlike what it should be; empty where it is like it.

    Args:
        value: as JSON has it.
        like: of RESULTS.
        where: what the value is called.
    """
    if callable(like):
        return "" if like(value) else f"{where} is no {like.__name__} but {str(value)[:40]}"
    if isinstance(like, (list, tuple)):
        if type(value) is not list or (not value and isinstance(like, list)):
            return f"{where} is no list of results but {str(value)[:40]}"
        if callable(like[0]) and all(map(like[0], value)):  # quickly, since this is nearly all that records hold
            return ""
        parts: Any = ((one, like[0], f"{where}[{i}]") for i, one in enumerate(value))
    else:
        names = [name for name in like if name is not str]
        if type(value) is not dict or not value or not value.keys() >= set(names):
            return f"{where} has not the names {', '.join(names) or 'of results'} but is {str(value)[:40]}"
        if odd := [name for name in value if str in like and not NAME.fullmatch(name)]:
            return f"{where} has a name that none has, {odd[0][:40]!r}"
        parts = ((value[name], like.get(name, like.get(str)), f"{where}.{name}") for name in names or value)
    return next((found for part in parts if (found := problem(*part))), "")
