"""Checks of arguments that several files share. Each raises a ``ValueError`` naming argument, value and remedy."""

import ast
import difflib
import math
import sys
import types
import typing
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from numbers import Integral, Real
from pathlib import Path, PureWindowsPath
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

MAX = sys.float_info.max
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
WHOLE = (
    *(torch.int64, torch.int32, torch.int16, torch.int8),
    *(torch.uint8, torch.uint16, torch.uint32, torch.uint64),
)
ROUNDING = 1e-6  # by which an adversarial image may lie outside the eps ball: some roundings of numbers near 1


def module(name: str, value: nn.Module) -> None:
    """``value`` is an nn.Module."""
    if not isinstance(value, nn.Module):
        raise ValueError(f"{name}: expected an nn.Module, got {shown(value)}; a function can be the forward of one")


def loaded(name: str, value: nn.Module) -> None:
    """``value`` is an nn.Module whose weights are there, and let gradients pass."""
    module(name, value)
    tensors = (t for part in value.modules() for kind in (part._parameters, part._buffers) for t in kind.values())
    if not any(is_lazy(t) or t.is_meta or t.is_inference() for t in tensors if t is not None):
        return
    for which, tensor in (*value.named_parameters(), *value.named_buffers()):
        if is_lazy(tensor):
            raise ValueError(f"{name}: {which!r} has no shape yet, as in a lazy layer; run the model once on images")
        if tensor.is_meta:
            raise ValueError(
                f"{name}: {which!r} is on the device 'meta', which holds no numbers; model.to_empty(device='cpu') and "
                "load_state_dict give it some"
            )
        if tensor.is_inference():
            raise ValueError(
                f"{name}: {which!r} was made in torch.inference_mode, and no gradient passes it; build or load the "
                "model outside of it"
            )


def images(name: str, x: Tensor) -> Tensor:
    """``x``, a float tensor (N, C, H, W) with N >= 1 and every value in [0, 1]; NaN is refused.

    Values beside [0, 1] by no more than rounding, as interpolation leaves them, are clipped in what is returned; ``x``
    stays as it is. One reduction over ``x``; on a GPU this waits for the device once.
    """
    if not isinstance(x, Tensor) or x.ndim != 4 or len(x) == 0:
        came = f"a tensor of shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"{name}: expected a non-empty float tensor (N, C, H, W), got {came}")
    if x.dtype not in FLOATS:
        raise ValueError(f"{name}: expected floats in [0, 1], got {x.dtype}; data.to_float converts uint8 images")
    dense(name, x)
    if ((x >= 0) & (x <= 1)).all():
        return x
    low, high = x.min().item(), x.max().item()
    rounding = max(ROUNDING, torch.finfo(x.dtype).eps)
    if not -rounding <= low <= high <= 1 + rounding:
        raise ValueError(
            f"{name}: values must lie in [0, 1], got [{low:.4g}, {high:.4g}]; "
            "pass images before normalisation (the models of snslib normalise inside) and without NaN"
        )
    return x.clamp(0, 1)


def dense(name: str, x: Tensor) -> None:
    """``x`` has a value at each place: it is neither sparse nor nested, and not on the device "meta"."""
    if x.is_nested or x.layout != torch.strided or x.is_meta:
        how = "on the device 'meta', which holds no numbers" if x.is_meta else str(x.layout).removeprefix("torch.")
        raise ValueError(f"{name}: expected a dense tensor, got one that is {how}; to_dense() may help")


def several(name: str, value: Iterable[Any]) -> Iterable[Any]:
    """``value``, something to go through, such as a list or a generator of batches."""
    if not isinstance(value, Iterable) or (isinstance(value, Tensor) and value.ndim == 0):
        raise ValueError(f"{name}: expected a list or a generator of batches, got {shown(value)}")
    return value


def floats(name: str, x: Tensor, shape: str) -> None:
    """``x`` is a dense tensor of floats, with as many axes as its ``shape`` has, such as "(N, K)"."""
    if not isinstance(x, Tensor) or x.ndim != shape.count(",") + 1 or x.dtype not in FLOATS:
        raise ValueError(f"{name}: expected floats {shape}, got {shown(x)}")
    dense(name, x)


def generator(name: str, value: torch.Generator) -> None:
    """``value`` is a source of random numbers on the CPU."""
    if not isinstance(value, torch.Generator) or value.device.type != "cpu":
        raise ValueError(f"{name}: expected a torch.Generator on the CPU, got {shown(value)}")


def adversarial(name: str, x_adv: Tensor, x: Tensor, eps: float | None = None) -> Tensor:
    """``x_adv``, what an attack may make of images ``x``: floats of their shape in [0, 1], within ``eps`` if given.

    Rounding beside [0, 1] is clipped as by :func:`images`. One reduction; on a GPU this waits for the device once.
    """
    if not isinstance(x_adv, Tensor) or not x_adv.is_floating_point() or x_adv.shape != x.shape:
        raise ValueError(f"{name}: expected x' as floats of the shape of x, {tuple(x.shape)}, got {described(x_adv)}")
    if x_adv.device != x.device:
        raise ValueError(f"{name}: expected x' on the device of x, {x.device}, got {x_adv.device}")
    inside = (x_adv >= 0) & (x_adv <= 1)
    if eps is not None:
        inside &= (x_adv - x).abs() <= eps + ROUNDING
    if not inside.all():
        low, high, farthest = x_adv.min().item(), x_adv.max().item(), (x_adv - x).abs().max().item()
        near = -ROUNDING <= low <= high <= 1 + ROUNDING
        if near and farthest <= (1 + ROUNDING if eps is None else eps + ROUNDING):
            return x_adv.clamp(0, 1)
        budget = "" if eps is None else f" and at most eps = {eps:.4g} from x"
        raise ValueError(
            f"{name}: expected x' in [0, 1]{budget}, got values in [{low:.4g}, {high:.4g}], up to {farthest:.4g} from "
            "x; an attack ends in a projection on the eps ball and on [0, 1]"
        )
    return x_adv


def labels(name: str, y: Tensor | Iterable[int], n: int, device: torch.device | None = None) -> Tensor:
    """``y`` as an int64 tensor (n,): whole numbers of any type, in a tensor, an array, or a list or anything in order.

    Their values are not looked at, see :func:`highest_class`. They come on the ``device``, or for None where they are.
    """
    found: object = y
    if not isinstance(y, (Tensor, str, bytes, Set, Mapping)) and isinstance(y, Iterable):
        try:
            found = torch.tensor(y if hasattr(y, "__array__") else list(y), device="cpu")
        except (TypeError, ValueError, RuntimeError):
            found = y
    if not isinstance(found, Tensor) or found.shape != (n,) or found.dtype not in WHOLE:
        raise ValueError(f"{name}: expected an int64 tensor of shape ({n},), one class per image, got {shown(y)}")
    return found.to(device=device, dtype=torch.int64)


def highest_class(name: str, y: Tensor) -> int:
    """The highest of classes ``y``, one at least and none negative; on a GPU this waits for the device once."""
    if len(y) == 0:
        raise ValueError(f"{name}: expected at least one class, got none")
    lowest, highest = torch.stack(y.aminmax()).tolist()
    if lowest < 0:
        raise ValueError(f"{name}: classes are counted from 0, got {lowest}")
    return highest


def classes(name: str, highest: int, logits: Tensor) -> None:
    """``logits`` are (N, K) with K > ``highest``, the highest class in use; only their shape is looked at."""
    if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.shape[1] <= highest:
        raise ValueError(
            f"{name}: class {highest} needs a model with logits (N, K) and K > {highest}, "
            f"this one outputs {described(logits)}"
        )


def number(
    name: str,
    value: float,
    least: float = 0,
    most: float = MAX,
    above: bool = False,
    whole: bool = False,
    about: str = "",
) -> int | float:
    """``value``, a finite number from ``least`` to ``most``, or ``above`` the least; ``whole`` if it is to be that.

    A number of NumPy or a fraction is taken too; what is returned is Python's int or float.

    Args:
        about: what the number is, for the message.
    """
    kind = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
    if not kind or not (least < value if above else least <= value) or not value <= most:
        bounds = f" {'above' if above else 'from'} {least:,} to {most:,}"
        if most == MAX:
            bounds = "" if least == -MAX else f" {'>' if above else '>='} {least:,}"
        expected = f"{'an integer' if whole else 'a finite number'}{bounds}"
        raise ValueError(f"{name}: expected {expected}{f' ({about})' * bool(about)}, got {shown(value)}")
    return int(value) if isinstance(value, Integral) else float(value)


def not_negative(name: str, value: float) -> float:
    """``value``, a finite number >= 0."""
    return number(name, value)


def at_least(name: str, value: int, least: int) -> int:
    """``value``, an integer >= ``least``."""
    return int(number(name, value, least, whole=True))


def flag(name: str, value: bool) -> bool:
    """``value``, true or false."""
    if not isinstance(value, int):
        raise ValueError(f"{name}: expected true or false, got {shown(value)}")
    return bool(value)


def seed(name: str, value: int) -> int:
    """``value``, an integer that a generator of PyTorch takes."""
    return int(number(name, value, 0, 2**63 - 1, whole=True))


def radius(name: str, value: float) -> float:
    """``value``, a length in [0, 1] pixel space."""
    return float(number(name, value, 0, 1, about="in [0, 1] pixel space, where 8 of 255 levels are 8/255"))


def share(name: str, value: float) -> None:
    """``value`` is a share in (0, 1]."""
    number(name, value, 0, 1, above=True, about="a share")


def one_of(name: str, value: str, known: Collection[str]) -> None:
    """``value`` is one of the ``known`` ones."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name}: expected one of {', '.join(known)}, got {shown(value)}")


def indices(name: str, layer: str, index: Tensor | Iterable[int]) -> Tensor:
    """Channels of a ``layer`` as int64 (K,), which may be empty; a mask, fractions and anything nested are refused."""
    try:
        if isinstance(index, (str, bytes, Mapping)):
            raise TypeError
        found = index if isinstance(index, Tensor) else torch.as_tensor(list(index), device="cpu")
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name}: expected channels of {layer!r}, whole numbers, got {shown(index)}") from None
    if found.ndim != 1 or (found.numel() and found.dtype not in (torch.int64, torch.int32, torch.int16)):
        raise ValueError(
            f"{name}: expected channels of {layer!r}, whole numbers (K,), got {described(found)}; "
            "mask.nonzero().flatten() makes them of a mask"
        )
    return found.to(torch.int64)


def inside(name: str, folder: Path, value: str) -> Path:
    """The path of what is called ``value`` in a folder, such as "cifar10/vgg16-w1"; a name leads nowhere else.

    Raises:
        ValueError: a path that is absolute, on any system, or goes up, an empty one, or characters that none can have.
    """
    plain = isinstance(value, str) and value.isprintable()
    if not plain or not (parts := PureWindowsPath(value).parts) or ".." in parts or PureWindowsPath(value).anchor:
        raise ValueError(f"{name}: expected a name in {folder}, without '..' and not absolute, got {shown(value)}")
    return folder / value


def channels(name: str, layer: str, index: Tensor, count: int) -> None:
    """``index``, int64 (K,), holds channels of a ``layer`` that has ``count``; it may be empty."""
    if len(index):
        lowest, highest = torch.stack(index.aminmax()).tolist()
        if not 0 <= lowest <= highest < count:
            raise ValueError(f"{name}: {layer!r} has channels 0..{count - 1}, got {index.tolist()}")


def layers(model: nn.Module, names: Sequence[str]) -> dict[str, nn.Module]:
    """The modules behind the dotted ``names``, in the same order.

    Raises:
        ValueError: a name is no module of ``model``; the message lists what there is.
    """
    module("model", model)
    if (
        isinstance(names, (str, Tensor))
        or not isinstance(names, Collection)
        or not len(names)
        or not all(isinstance(name, str) for name in names)
    ):
        raise ValueError(f"layers: expected a non-empty list of layer names, got {shown(names)}")
    found = {}
    for name in names:
        try:
            found[name] = model.get_submodule(name)
        except AttributeError:
            known = ", ".join(n for n, _ in model.named_modules() if n)
            raise ValueError(f"layers: the model has no layer {name!r}; it has {known}") from None
        except RuntimeError:  # PyTorch refuses
            raise ValueError(
                f"layers: a scripted model runs without its modules, got {shown(names)}; pass the one that it was "
                "made of"
            ) from None
    return found


_EXAMPLES = {float: "a number such as 5.0 or 8/255", int: "a whole number", bool: "true or false", str: "a name"}


class Within(str):
    """The text of a setting that is a number, which ends in its range: "images per step; 2 to 1,000".

    The one place where the range stands: ``--help`` shows the text, and :func:`stated` goes by it.

    Args:
        text: what the setting is.
        least: the least that it may be.
        most: the most.
        above: whether it must be more than the least.
    """

    about: str
    least: float
    most: float
    above: bool

    def __new__(cls, text: str, least: float, most: float, above: bool = False) -> "Within":
        made = super().__new__(cls, f"{text}; {'above ' * above}{least:,} to {most:,}")
        made.about, made.least, made.most, made.above = text, least, most, above
        return made


def stated(values: Mapping[str, Any], hints: Mapping[str, Any]) -> None:
    """Each value is what its hint states, Annotated[type, text]: of that type, and in the range of a :class:`Within`.

    Args:
        values: by name; those without a hint are not looked at.
        hints: of ``typing.get_type_hints(of, include_extras=True)``. The types are bool, int, float and str, and one
            of these or None; other hints state nothing.
    """
    for name, hint in hints.items():
        if name not in values or typing.get_origin(hint) is not typing.Annotated:
            continue
        value, (wanted, text) = values[name], typing.get_args(hint)
        if value is None and types.NoneType in typing.get_args(wanted):
            continue
        kind = _kind(wanted)
        if isinstance(text, Within):
            number(name, value, text.least, text.most, text.above, kind is int, text.about)
        elif wanted in (kind, kind | None) and kind in _EXAMPLES and not isinstance(value, kind):
            raise ValueError(f"{name}: expected {_EXAMPLES[kind]} ({text}), got {shown(value)}")


def _kind(wanted: Any) -> Any:
    """The type that a hint wants where the value is not None."""
    options = typing.get_args(wanted) if isinstance(wanted, types.UnionType) else (wanted,)
    return next(option for option in options if option is not types.NoneType)


def parse(name: str, value: Any, wanted: Any) -> Any:
    """``value`` as the type ``wanted``, whether it came as such or as a string; "8/255" is a float.

    Raises:
        ValueError: it cannot be read as that type; the message names the parameter.
    """
    kind = _kind(wanted)
    try:
        if kind is str:
            if isinstance(value, str):
                return value
        elif kind is float:
            plain = _quotient(value) if isinstance(value, str) else value
            if isinstance(plain, (int, float)) and not isinstance(plain, bool) and math.isfinite(plain):
                return float(plain)
        else:
            plain = ast.literal_eval(value.strip().capitalize()) if isinstance(value, str) else value
            if isinstance(plain, kind) and (kind is bool or not isinstance(plain, bool)):
                return plain
    except (ValueError, SyntaxError, ZeroDivisionError, OverflowError, RecursionError, MemoryError):
        pass
    raise ValueError(f"{name}: expected {_EXAMPLES.get(kind, 'a name')}, got {shown(value)}")


def _quotient(text: str) -> float:
    """The number that a text such as "0.5" or "8/255" is; of floats, since an exact 1e999999999 would take for ever."""
    numerator, slash, denominator = text.replace(" ", "").partition("/")
    return float(numerator) / float(denominator) if slash else float(numerator)


def near(name: str, known: Collection[str]) -> str:
    """For a message: which of the known names may have been meant."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return f"did you mean {' or '.join(close)}?" if close else f"there are {few(known)}"


def few(names: Iterable[str], most: int = 5) -> str:
    """For a message: the first of the names."""
    listed = list(names)
    return ", ".join(listed[:most]) + (", …" if len(listed) > most else "")


def shown(value: object) -> str:
    """For a message: a value in one line that is not long, and of a tensor its type and shape."""
    if isinstance(value, Tensor):
        return described(value)
    try:
        line = " ".join(repr(value).split())
    except ValueError:  # an int of more digits than Python prints
        return "a number too long to print"
    return line if len(line) <= 120 else f"{line[:119]}…"


def described(value: object) -> str:
    """For a message: type and shape of a tensor, the type of anything else."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"
