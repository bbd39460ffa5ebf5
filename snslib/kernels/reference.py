"""The operations in plain PyTorch: what every faster implementation has to equal."""

import torch
from torch import Tensor


def channel_l1(a: Tensor, b: Tensor, index: Tensor | None = None) -> Tensor:
    """Per channel, the sum of |a - b| over the batch and all positions: the inner part of Eq. 1 and Eq. 9.

    The difference is taken before any sum, so that opposite signs at two positions cannot cancel. The gradient with
    respect to both inputs is exactly 0 where a equals b.

    Args:
        a, b: (N, C, ...), of one shape and any float type; channels on axis 1.
        index: int64 (K,), the channels wanted; all when None.

    Returns:
        float32 (K,) or (C,), float64 for float64 inputs.
    """
    if index is not None:
        a, b = a.index_select(1, index), b.index_select(1, index)
    wide = torch.promote_types(a.dtype, torch.float32)
    difference = (a.to(wide) - b.to(wide)).abs()  # torch's gradient of abs is 0 at 0
    return difference.transpose(0, 1).flatten(1).sum(1)


def sign_step(x_adv: Tensor, gradient: Tensor, x: Tensor, eps: float, step_size: float) -> Tensor:
    """One step along the sign of the gradient, projected on the eps ball around x and on [0, 1].

    Args:
        x_adv, gradient, x: (N, C, H, W), of one shape; x in [0, 1].
        eps: radius of the l-infinity ball, >= 0.
        step_size: length of the step, >= 0.

    Returns:
        The new x_adv, same shape. Where the gradient is 0 the pixel stays.
    """
    stepped = x_adv + step_size * gradient.sign()
    return torch.clamp(stepped, x - eps, x + eps).clamp_(0, 1)


def momentum(accumulated: Tensor, gradient: Tensor, decay: float) -> Tensor:
    """MI-FGSM's accumulated direction: ``decay * accumulated + gradient / ||gradient||_1``, per image.

    Args:
        accumulated, gradient: (N, C, H, W).
        decay: the paper's mu, >= 0.

    Returns:
        The new direction, same shape. An image whose gradient is all 0 adds 0, not NaN.
    """
    norm = gradient.abs().sum(dim=(1, 2, 3), keepdim=True)
    return decay * accumulated + gradient / norm.clamp_min(torch.finfo(gradient.dtype).tiny)
