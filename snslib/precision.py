"""In what numbers a network computes: float32, float32 of which a GPU may round the factors to TF32, or bfloat16."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

PRECISIONS = ("float32", "tf32", "bfloat16")


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """A context in which the network computes in ``precision``, one of PRECISIONS, whatever is around it.

    "tf32" is float32 in which :func:`in_tf32` holds. In "bfloat16", so much as remains in float32 is not rounded.
    Warns of bfloat16 where it is no gain.
    """
    if precision == "bfloat16" and not has_bfloat16(device.type):
        warnings.warn("this processor has no bfloat16: float32 is about ten times as fast here", stacklevel=3)
    cast = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
    return _both(in_tf32(device, precision == "tf32"), cast) if device.type == "cuda" else cast


@contextmanager
def _both(outer: AbstractContextManager[Any], inner: AbstractContextManager[Any]) -> Iterator[None]:
    with outer, inner:
        yield


def has_bfloat16(device: str) -> bool:
    """Whether a device, "cpu" or of another type, computes convolutions in bfloat16 itself."""
    return device != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


@contextmanager
def in_tf32(device: torch.device, allowed: bool = True) -> Iterator[None]:
    """While it lasts, convolutions and matrix products of float32 on an NVIDIA GPU may round to TF32, or may not.

    TF32 keeps 10 bits of the 23 behind the point of each factor; sums are float32. It is several times as fast on a GPU
    that has it, and PyTorch allows it for convolutions unless told otherwise. GPUs before Ampere and all other devices
    do not have it: there it makes no difference. It is a setting of the whole process, the threads that compute
    gradients included, and is put back at the end.
    """
    if device.type != "cuda":
        yield
        return
    put_back = _set_tf32(allowed)
    try:
        yield
    finally:
        put_back()


def _set_tf32(allowed: bool) -> Callable[[], None]:
    """Tell PyTorch, and return what puts everything back.

    PyTorch has two sets of switches. Those that every release has serve all who read them, unless somebody has used the
    newer ones: then reading the older ones is an error, and the newer ones are used here, too.
    """
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    newer: list[Any] = [cudnn.conv, cudnn.rnn, matmul] if hasattr(cudnn, "conv") else []  # since 2.9
    were = [switch.fp32_precision for switch in newer]
    try:
        older = cudnn.allow_tf32, matmul.allow_tf32, torch.get_float32_matmul_precision()
    except RuntimeError:
        older = None
        for switch in newer:
            switch.fp32_precision = "tf32" if allowed else "ieee"
    else:
        cudnn.allow_tf32 = matmul.allow_tf32 = allowed

    def put_back() -> None:
        if older is not None:
            cudnn.allow_tf32, matmul.allow_tf32, level = older
            if level == "medium":  # of which allow_tf32 knows nothing
                torch.set_float32_matmul_precision(level)
        for switch, was in zip(newer, were, strict=True):
            switch.fp32_precision = was

    return put_back
