"""The operations in plain PyTorch: what every faster implementation has to equal.

Sums and steps are computed in float32 whatever smaller type comes in (in float64 for float64), and rounded once.
"""

import torch
from torch import Tensor


def channel_l1(a: Tensor, b: Tensor, index: Tensor | None = None) -> Tensor:
    """Per channel, the sum of |a - b| over the batch and all positions: the inner part of Eq. 1 and Eq. 9.

    The difference is taken before any sum, so that opposite signs at two positions cannot cancel. The gradient with
    respect to both inputs is exactly 0 where a equals b.

    Args:
        a, b: (N, C, ...), of one shape and one float type; channels on axis 1.
        index: int64 (K,), the channels wanted, which may repeat; all when None.

    Returns:
        float32 (K,) or (C,), float64 for float64 inputs.
    """
    if index is not None:
        a, b = a.index_select(1, index), b.index_select(1, index)
    difference = (_wide(a) - _wide(b)).abs()  # torch's gradient of abs is 0 at 0
    return difference.transpose(0, 1).flatten(1).sum(1)


def channel_l1_backward(upstream: Tensor, a: Tensor, b: Tensor, index: Tensor | None = None) -> Tensor:
    """The gradient of :func:`channel_l1` with respect to a: the channel's upstream gradient times sign(a - b).

    That with respect to b is its negative. A channel that is not wanted has 0, one that repeats the sum.

    Args:
        upstream: float32 or float64 (K,) or (C,), as :func:`channel_l1` returns.
        a, b, index: what it was given.

    Returns:
        Of a's shape and type.
    """
    weight = channel_weight(upstream, index, a.shape[1])
    sign = (_wide(a) - _wide(b)).sign()  # 0 for NaN
    return (sign * weight.view(-1, *[1] * (a.ndim - 2))).to(a.dtype)


def channel_weight(upstream: Tensor, index: Tensor | None, channels: int) -> Tensor:
    """(channels,): the upstream gradient (K,) of the wanted channels, summed where one repeats, 0 elsewhere."""
    return upstream if index is None else upstream.new_zeros(channels).index_add_(0, index, upstream)


def sign_step(x_adv: Tensor, gradient: Tensor, x: Tensor, eps: float, step_size: float) -> Tensor:
    """One step along the sign of the gradient, projected on the eps ball around x and on [0, 1].

    Args:
        x_adv, gradient, x: (N, C, H, W), of one shape and one float type; x in [0, 1].
        eps: radius of the l-infinity ball, >= 0.
        step_size: length of the step, >= 0.

    Returns:
        The new x_adv, same shape and type. Where the gradient is 0 the pixel stays.
    """
    wide = _wide(x)
    stepped = _wide(x_adv) + step_size * _wide(gradient).sign()
    return torch.clamp(stepped, wide - eps, wide + eps).clamp_(0, 1).to(x.dtype)


def momentum(accumulated: Tensor, gradient: Tensor, decay: float) -> Tensor:
    """MI-FGSM's accumulated direction: ``decay * accumulated + gradient / ||gradient||_1``, per image.

    Args:
        accumulated, gradient: (N, C, H, W), of one shape and one float type.
        decay: the paper's mu, >= 0.

    Returns:
        The new direction, same shape and type. An image whose gradient is all 0 adds 0, not NaN.
    """
    wide = _wide(gradient)
    norm = wide.abs().sum(dim=(1, 2, 3), keepdim=True)
    direction = decay * _wide(accumulated) + wide / norm.clamp_min(torch.finfo(wide.dtype).tiny)
    return direction.to(gradient.dtype)


def momentum_step(
    x_adv: Tensor, accumulated: Tensor, gradient: Tensor, x: Tensor, eps: float, step_size: float, decay: float
) -> tuple[Tensor, Tensor]:
    """One step of MI-FGSM: :func:`momentum`, then :func:`sign_step` along the direction.

    Returns:
        The new x_adv and the new direction.
    """
    accumulated = momentum(accumulated, gradient, decay)
    return sign_step(x_adv, accumulated, x, eps, step_size), accumulated


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
