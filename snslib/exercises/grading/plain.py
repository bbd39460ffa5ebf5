"""What a hand-in's process says, as JSON: numbers, texts, lists and arrays, so that reading it runs nothing."""

import base64
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

LARGEST = 2**18  # values of a tensor or a list
DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128),
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    )
}


class TooMuch(ValueError):
    """A result that cannot be passed on."""


def to_plain(value: Any) -> Any:
    """A value as JSON knows it; of what is none of the known kinds, the name of its type."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, list | tuple):
        if len(value) > LARGEST:
            raise TooMuch(f"a {type(value).__name__} of {len(value):,} values")
        return {"tuple" if isinstance(value, tuple) else "list": [to_plain(part) for part in value]}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return {"array": _of_tensor(torch.from_numpy(np.ascontiguousarray(value)))}
    if isinstance(value, Tensor):
        dense = value.layout == torch.strided and str(value.dtype).removeprefix("torch.") in DTYPES
        return {"tensor": _of_tensor(value)} if dense else {"other": f"{value.dtype} tensor"}
    return {"other": type(value).__name__}


def from_plain(said: Any) -> Any:
    """The value that :func:`to_plain` made this of; ValueError, TypeError or KeyError where it made it of none."""
    if not isinstance(said, dict):
        if isinstance(said, list):
            raise ValueError("a list without a name")
        return said
    ((kind, content),) = said.items()
    if kind == "tensor":
        return _to_tensor(content)
    if kind == "array":
        return _to_tensor(content).numpy()
    if kind in ("list", "tuple"):
        parts = [from_plain(part) for part in content]
        return parts if kind == "list" else tuple(parts)
    if kind == "other":
        return type("".join(sign for sign in str(content)[:60] if sign.isalnum() or sign in "._ "), (), {})()
    raise ValueError(f"no such kind: {kind!r:.40}")


def leaves(given: Mapping[str, Any]) -> list[Tensor]:
    """The tensors among arguments for which a result may have a gradient, in one order on both sides."""

    def of(value: Any) -> Iterator[Tensor]:
        if isinstance(value, nn.Module):
            yield from value.parameters()
        elif isinstance(value, dict):
            for part in value.values():
                yield from of(part)
        elif isinstance(value, Tensor) and value.requires_grad:
            yield value

    return [leaf for value in given.values() for leaf in of(value)]


def with_slopes(value: Tensor, inputs: list[Tensor], slopes: list[Tensor | None]) -> Tensor:
    """A tensor of this value whose gradients for the inputs are those that are given, or 0 for None.

    Raises:
        ValueError: as many slopes as inputs, or one of another shape.
    """
    whole = [torch.zeros_like(leaf) if slope is None else slope for leaf, slope in zip(inputs, slopes, strict=True)]
    if any(slope.shape != leaf.shape or slope.dtype != leaf.dtype for slope, leaf in zip(whole, inputs, strict=True)):
        raise ValueError("a slope of another shape")
    return _Given.apply(value, whole, *inputs)


class _Given(torch.autograd.Function):
    """A constant that has gradients."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, slopes: list[Tensor], *inputs: Tensor) -> Tensor:
        ctx.slopes = slopes
        return value.clone()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        return None, None, *(upstream.sum() * slope for slope in ctx.slopes)


def _of_tensor(tensor: Tensor) -> dict[str, Any]:
    if tensor.numel() > LARGEST:
        raise TooMuch(f"a tensor of {tensor.numel():,} values")
    values = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous().flatten()
    data = values.view(torch.uint8).numpy().tobytes() if values.numel() else b""
    kind = str(tensor.dtype).removeprefix("torch.")
    return {"dtype": kind, "shape": list(tensor.shape), "data": base64.b64encode(data).decode()}


def _to_tensor(said: dict[str, Any]) -> Tensor:
    shape, dtype = [int(size) for size in said["shape"]], DTYPES[said["dtype"]]
    data = bytearray(base64.b64decode(said["data"], validate=True))
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError("a tensor of another size than its shape")
    return torch.frombuffer(data, dtype=dtype).reshape(shape) if data else torch.empty(shape, dtype=dtype)
