"""The operations on the CPU, where temporaries as large as the activations cost more than the arithmetic.

Both go through the batch in blocks that stay in the cache; what is no larger than a block goes through the reference.
The steps of the attacks are too small a part of their time to need more than that.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from snslib.kernels import reference

BLOCK = 2**18  # elements at a time: 1 MiB of float32, within a core's L2 cache


def channel_l1(a: Tensor, b: Tensor, index: Tensor | None = None) -> Tensor:
    """See :func:`snslib.kernels.reference.channel_l1`."""
    if a.numel() <= BLOCK:
        return reference.channel_l1(a, b, index)
    wide = torch.promote_types(a.dtype, torch.float32)
    chosen = index if _worth_selecting(a, index) else None
    total = torch.zeros(a.shape[1] if chosen is None else len(chosen), dtype=wide, device=a.device)
    buffer: Tensor | None = None
    for x, y in _blocks(a, b):
        if chosen is not None:
            x, y = x.index_select(1, chosen), y.index_select(1, chosen)
        if buffer is None:
            buffer = torch.empty_like(x, dtype=wide)
        difference = torch.sub(x.to(wide), y.to(wide), out=buffer[: len(x)])  # the last block may be shorter
        total += difference.abs_().sum([d for d in range(a.ndim) if d != 1])
    return total if index is None or chosen is not None else total.index_select(0, index)


def channel_l1_backward(upstream: Tensor, a: Tensor, b: Tensor, index: Tensor | None = None) -> Tensor:
    """See :func:`snslib.kernels.reference.channel_l1_backward`."""
    if a.numel() <= BLOCK:
        return reference.channel_l1_backward(upstream, a, b, index)
    weight = reference.channel_weight(upstream, index, a.shape[1]).to(a.dtype)
    chosen = index if _worth_selecting(a, index) else None
    if chosen is not None:
        weight = weight.index_select(0, chosen)
    weight = weight.view(-1, *[1] * (a.ndim - 2))
    gradient = torch.empty_like(a)
    for x, y, out in _blocks(a, b, gradient):
        if chosen is None:
            torch.sub(x, y, out=out).sign_().mul_(weight)
        else:  # a channel that repeats is written several times, each time with the sum
            sign = x.index_select(1, chosen).sub_(y.index_select(1, chosen)).sign_()
            out.zero_().index_copy_(1, chosen, sign.mul_(weight))
    return gradient


def _worth_selecting(a: Tensor, index: Tensor | None) -> bool:
    """Whether copying the chosen channels out beats working on all: for a minority of them, and only where each
    channel's positions lie together."""
    return index is not None and 2 * len(index) < a.shape[1] and a.stride(1) != 1


def _blocks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    images = max(1, BLOCK // max(1, tensors[0].shape[1:].numel()))
    return zip(*(tensor.split(images) for tensor in tensors), strict=True)
