"""The operations in which the paper's work spends its time, besides the network itself.

``reference.py`` defines each in plain PyTorch, ``cpu.py`` and ``triton_kernels.py`` do the same faster, and
``operators.py`` makes PyTorch operators of them, which choose by device and work under ``torch.compile``. Callers
import from here. Results do not vary from run to run, and no call waits for the GPU.
"""

import torch
from torch import Tensor

from snslib.kernels import operators

__all__ = ["channel_l1", "momentum_step", "sign_step"]


def channel_l1(a: Tensor, b: Tensor, index: Tensor | None = None) -> Tensor:
    """Per channel, the sum of |a - b| over the batch and all positions: the inner part of Eq. 1 and Eq. 9.

    Differentiable once, with respect to a and b; the gradient is exactly 0 where they are equal. Neither pass makes a
    temporary of the size of a: contiguous and channels_last inputs are read where they are, as is any view whose
    positions are evenly spaced; other views are copied.

    Args:
        a, b: (N, C, ...), of one shape and one float type; channels on axis 1.
        index: int64 (K,), the channels wanted, each in 0..C-1; may be empty and may repeat. All when None. A channel
            out of range is an error on the CPU; a GPU is not waited for to tell: NaN, or an error at a later call.

    Returns:
        float32 (K,) or (C,), float64 for float64 inputs.

    Raises:
        ValueError: shapes or types that differ or do not fit.
    """
    if a.ndim < 2 or not a.is_floating_point():
        raise ValueError(f"a: expected floats (N, C, ...), got {a.dtype} of shape {tuple(a.shape)}")
    _alike("a", a, b=b)
    if index is not None and (index.ndim != 1 or index.dtype != torch.int64):
        raise ValueError(f"index: expected int64 (K,), got {index.dtype} of shape {tuple(index.shape)}")
    return operators.channel_l1(a, b, index)


def sign_step(x_adv: Tensor, gradient: Tensor, x: Tensor, eps: float, step_size: float) -> Tensor:
    """One step along the sign of the gradient, projected on the eps ball around x and on [0, 1].

    Not differentiable.

    Args:
        x_adv, gradient, x: of one shape and one float type; x in [0, 1].
        eps: radius of the l-infinity ball, >= 0.
        step_size: length of the step, >= 0.

    Returns:
        The new x_adv, same shape, type and memory format. Where the gradient is 0 the pixel stays.

    Raises:
        ValueError: shapes or types that differ.
    """
    _alike("x_adv", x_adv, gradient=gradient, x=x)
    return operators.sign_step(x_adv, gradient, x, eps, step_size)


def momentum_step(
    x_adv: Tensor, accumulated: Tensor, gradient: Tensor, x: Tensor, eps: float, step_size: float, decay: float
) -> tuple[Tensor, Tensor]:
    """One step of MI-FGSM: adds to the direction, then :func:`sign_step` along it. Not differentiable.

    Args:
        x_adv, gradient, x: (N, C, H, W), of one shape and one float type; x in [0, 1].
        accumulated: the direction so far, of the same shape and type; 0 at the start.
        eps, step_size: as in :func:`sign_step`.
        decay: the paper's mu, >= 0.

    Returns:
        The new x_adv and the new direction ``decay * accumulated + gradient / ||gradient||_1``, normalised per image;
        both of x_adv's shape, type and memory format. An image whose gradient is all 0 adds 0, not NaN.

    Raises:
        ValueError: shapes or types that differ or do not fit.
    """
    if x_adv.ndim != 4:
        raise ValueError(f"x_adv: expected (N, C, H, W), got shape {tuple(x_adv.shape)}")
    _alike("x_adv", x_adv, accumulated=accumulated, gradient=gradient, x=x)
    return operators.momentum_step(x_adv, accumulated, gradient, x, eps, step_size, decay)


def _alike(first: str, like: Tensor, **others: Tensor) -> None:
    for name, tensor in others.items():
        if tensor.shape != like.shape or tensor.dtype != like.dtype:
            raise ValueError(
                f"{name}: expected the shape and type of {first}, {tuple(like.shape)} and {like.dtype}, "
                f"got {tuple(tensor.shape)} and {tensor.dtype}"
            )
