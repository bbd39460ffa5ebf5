"""The operations as Triton kernels, for CUDA tensors (and for CPU tensors under Triton's interpreter).

Each kernel reads its inputs once and writes nothing but its results; all offsets into tensors are 64 bits wide.
"""

# The arguments of kernels get their types from Triton, launch by launch:
# mypy: disable-error-code="no-untyped-def"

from contextlib import AbstractContextManager, nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

from snslib.kernels import reference

TILE = 2048  # elements that a program holds at a time, 16 per thread: several 16-byte loads of each input under way
PROGRAMS = 1024  # into about how many the sums are divided, where there is work for them: 8 for each of 132 processors
TINY = tl.constexpr(torch.finfo(torch.float32).tiny)


def _on(x: Tensor) -> AbstractContextManager:
    """Triton launches on the current device, which need not be the tensors'."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


# --- channel_l1 ---


@triton.jit
def _channel_l1_kernel(
    a,
    b,
    index,
    partial,
    chosen,  # number of channels to sum: K, or C where index is None
    channels,
    positions,
    steps,  # tiles that one channel consists of, over all of the batch
    steps_per_program,
    a_n,
    a_c,
    a_p,
    b_n,
    b_c,
    b_p,
    BLOCK_C: tl.constexpr,
    BLOCK_P: tl.constexpr,
):
    k = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    wanted = k < chosen
    channel = k.to(tl.int64)
    known = wanted
    if index is not None:
        channel = tl.load(index + k, mask=wanted, other=0)
        known = wanted & (channel >= 0) & (channel < channels)
    position = tl.arange(0, BLOCK_P)
    a_tile = a + channel[:, None] * a_c + position.to(tl.int64)[None, :] * a_p
    b_tile = b + channel[:, None] * b_c + position.to(tl.int64)[None, :] * b_p
    wide = partial.dtype.element_ty
    total = tl.zeros([BLOCK_C, BLOCK_P], wide)
    tiles_per_row = tl.cdiv(positions, BLOCK_P)
    first = tl.program_id(1) * steps_per_program
    for step in range(first, min(first + steps_per_program, steps)):
        n = (step // tiles_per_row).to(tl.int64)
        p = (step % tiles_per_row).to(tl.int64) * BLOCK_P
        inside = known[:, None] & (p + position < positions)[None, :]
        x = tl.load(a_tile + (n * a_n + p * a_p), mask=inside, other=0).to(wide)
        y = tl.load(b_tile + (n * b_n + p * b_p), mask=inside, other=0).to(wide)
        total += tl.abs(x - y)
    result = tl.where(known, tl.sum(total, axis=1), float("nan"))
    tl.store(partial + tl.program_id(1) * chosen + k, result, mask=wanted)


@triton.jit
def _channel_weight_kernel(upstream, index, weight, chosen, channels, BLOCK_C: tl.constexpr, BLOCK_K: tl.constexpr):
    channel = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    total = tl.zeros([BLOCK_C, BLOCK_K], weight.dtype.element_ty)
    for first in range(0, chosen, BLOCK_K):
        k = first + tl.arange(0, BLOCK_K)
        one = tl.load(index + k, mask=k < chosen, other=-1)
        value = tl.load(upstream + k, mask=k < chosen, other=0)
        total += tl.where(one[None, :] == channel[:, None], value[None, :], 0.0)
    tl.store(weight + channel, tl.sum(total, axis=1), mask=channel < channels)


@triton.jit
def _channel_l1_backward_kernel(
    weight,
    a,
    b,
    gradient,
    channels,
    positions,
    steps,
    steps_per_program,
    a_n,
    a_c,
    a_p,
    b_n,
    b_c,
    b_p,
    gradient_n,
    gradient_c,
    gradient_p,
    SKIP: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_P: tl.constexpr,
):
    channel = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    known = channel < channels
    factor = tl.load(weight + channel, mask=known, other=0)
    read = known
    if SKIP:
        read = known & (factor != 0)
    c = channel.to(tl.int64)[:, None]
    position = tl.arange(0, BLOCK_P)
    columns = position.to(tl.int64)[None, :]
    a_tile = a + c * a_c + columns * a_p
    b_tile = b + c * b_c + columns * b_p
    gradient_tile = gradient + c * gradient_c + columns * gradient_p
    wide = weight.dtype.element_ty
    tiles_per_row = tl.cdiv(positions, BLOCK_P)
    first = tl.program_id(1) * steps_per_program
    for step in range(first, min(first + steps_per_program, steps)):
        n = (step // tiles_per_row).to(tl.int64)
        p = (step % tiles_per_row).to(tl.int64) * BLOCK_P
        inside = (p + position < positions)[None, :]
        x = tl.load(a_tile + (n * a_n + p * a_p), mask=read[:, None] & inside, other=0).to(wide)
        y = tl.load(b_tile + (n * b_n + p * b_p), mask=read[:, None] & inside, other=0).to(wide)
        sign = (x > y).to(wide) - (x < y).to(wide)  # 0 for NaN
        at = gradient_tile + (n * gradient_n + p * gradient_p)
        tl.store(at, (sign * factor[:, None]).to(gradient.dtype.element_ty), mask=known[:, None] & inside)


def channel_l1(a: Tensor, b: Tensor, index: Tensor | None = None) -> Tensor:
    """See :func:`snslib.kernels.reference.channel_l1`."""
    rows_a, rows_b = _joined(_rows(a), _rows(b))
    if index is not None and _channels_together(rows_a):  # to read single channels is to read their neighbours too
        return channel_l1(a, b).index_select(0, index)
    chosen = a.shape[1] if index is None else len(index)
    wide = torch.promote_types(a.dtype, torch.float32)
    if chosen == 0 or a.numel() == 0:
        return a.new_zeros(chosen, dtype=wide)
    grid, work, block = _division(rows_a, chosen)
    partial = a.new_empty(grid[1], chosen, dtype=wide)
    with _on(a):
        _channel_l1_kernel[grid](
            rows_a,
            rows_b,
            None if index is None else index.contiguous(),
            partial,
            chosen,
            *rows_a.shape[1:],
            *work,
            *rows_a.stride(),
            *rows_b.stride(),
            *block,
        )
    return partial.sum(0)


def channel_l1_backward(upstream: Tensor, a: Tensor, b: Tensor, index: Tensor | None = None) -> Tensor:
    """See :func:`snslib.kernels.reference.channel_l1_backward`."""
    gradient = torch.empty_like(_rows(a))
    if a.numel() > 0:
        rows_a, rows_b, rows_gradient = _joined(_rows(a), _rows(b), gradient)
        channels = a.shape[1]
        grid, work, block = _division(rows_a, channels)
        with _on(a):
            weight = upstream.contiguous()
            if index is not None:
                weight = torch.empty(channels, dtype=upstream.dtype, device=a.device)
                _channel_weight_kernel[(triton.cdiv(channels, 32),)](
                    upstream.contiguous(), index.contiguous(), weight, len(index), channels, BLOCK_C=32, BLOCK_K=128
                )
            _channel_l1_backward_kernel[grid](
                weight,
                rows_a,
                rows_b,
                rows_gradient,
                *rows_a.shape[1:],
                *work,
                *rows_a.stride(),
                *rows_b.stride(),
                *rows_gradient.stride(),
                not _channels_together(rows_a),
                *block,
            )
    return gradient.view(a.shape)


def _rows(x: Tensor) -> Tensor:
    """(N, C, positions) of (N, C, ...): a view where the positions are evenly spaced, else a copy."""
    return x.reshape(*x.shape[:2], x.shape[2:].numel())


def _joined(*rows: Tensor) -> list[Tensor]:
    """Views (1, C, N * positions) where in all of them the images continue the positions, as in channels_last."""
    positions = rows[0].shape[2]
    if all(positions == 1 or x.stride(0) == positions * x.stride(2) for x in rows):
        return [x.transpose(0, 1).flatten(1).unsqueeze(0) for x in rows]
    return list(rows)


def _channels_together(rows: Tensor) -> bool:
    return rows.stride(1) == 1 and rows.stride(2) != 1


def _division(rows: Tensor, chosen: int) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """How programs share (N, C, positions): the grid, (steps, steps_per_program), and a tile's (channels, positions).

    It depends on shape and layout alone, and the order of the sums on nothing else.
    """
    images, _, positions = rows.shape
    longest = triton.next_power_of_2(positions)
    if _channels_together(rows):
        block_c = min(triton.next_power_of_2(chosen), 128)
        block_p = min(longest, TILE // block_c)
    else:
        block_p = min(longest, 256)
        block_c = min(triton.next_power_of_2(chosen), TILE // block_p)
    columns = triton.cdiv(chosen, block_c)
    steps = images * triton.cdiv(positions, block_p)
    steps_per_program = triton.cdiv(steps * columns, PROGRAMS)
    return (columns, triton.cdiv(steps, steps_per_program)), (steps, steps_per_program), (block_c, block_p)


# --- sign_step and momentum_step ---


@triton.jit
def _stepped(x_adv, direction, x, eps, step_size):
    sign = (direction > 0).to(tl.float32) - (direction < 0).to(tl.float32)  # 0 for NaN
    stepped = tl.maximum(x_adv + step_size * sign, x - eps, propagate_nan=tl.PropagateNan.ALL)
    stepped = tl.minimum(stepped, x + eps, propagate_nan=tl.PropagateNan.ALL)
    stepped = tl.maximum(stepped, 0.0, propagate_nan=tl.PropagateNan.ALL)
    return tl.minimum(stepped, 1.0, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _sign_step_kernel(x_adv, gradient, x, result, size, eps, step_size, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < size
    before = tl.load(x_adv + at, mask=inside).to(tl.float32)
    direction = tl.load(gradient + at, mask=inside).to(tl.float32)
    centre = tl.load(x + at, mask=inside).to(tl.float32)
    after = _stepped(before, direction, centre, eps, step_size)
    tl.store(result + at, after.to(result.dtype.element_ty), mask=inside)


@triton.jit
def _momentum_step_kernel(
    x_adv, accumulated, gradient, x, result, direction, size, eps, step_size, decay, BLOCK: tl.constexpr
):
    """One program per image: first the norm of its gradient, then the step."""
    image = tl.program_id(0).to(tl.int64) * size
    total = tl.zeros([BLOCK], tl.float32)
    for first in range(0, size, BLOCK):
        inside = first + tl.arange(0, BLOCK) < size
        at = image + first + tl.arange(0, BLOCK)
        total += tl.abs(tl.load(gradient + at, mask=inside, other=0).to(tl.float32))
    norm = tl.maximum(tl.sum(total), TINY, propagate_nan=tl.PropagateNan.ALL)
    for first in range(0, size, BLOCK):
        inside = first + tl.arange(0, BLOCK) < size
        at = image + first + tl.arange(0, BLOCK)
        normalised = tl.div_rn(tl.load(gradient + at, mask=inside, other=0).to(tl.float32), norm)
        raw = decay * tl.load(accumulated + at, mask=inside, other=0).to(tl.float32) + normalised
        rounded = raw.to(direction.dtype.element_ty)
        tl.store(direction + at, rounded, mask=inside)
        before = tl.load(x_adv + at, mask=inside).to(tl.float32)
        centre = tl.load(x + at, mask=inside).to(tl.float32)
        after = _stepped(before, rounded.to(tl.float32), centre, eps, step_size)
        tl.store(result + at, after.to(result.dtype.element_ty), mask=inside)


def sign_step(x_adv: Tensor, gradient: Tensor, x: Tensor, eps: float, step_size: float) -> Tensor:
    """See :func:`snslib.kernels.reference.sign_step`."""
    if x.dtype == torch.float64:  # Triton hands numbers to kernels in float32
        return reference.sign_step(x_adv, gradient, x, eps, step_size)
    result = torch.empty_like(x_adv)
    inputs = [_stored_like(result, tensor) for tensor in (x_adv, gradient, x)]
    if result.numel() > 0:
        grid = (triton.cdiv(result.numel(), TILE),)
        with _on(x):
            _sign_step_kernel[grid](*inputs, result, result.numel(), eps, step_size, BLOCK=TILE)
    return result


def momentum_step(
    x_adv: Tensor, accumulated: Tensor, gradient: Tensor, x: Tensor, eps: float, step_size: float, decay: float
) -> tuple[Tensor, Tensor]:
    """See :func:`snslib.kernels.reference.momentum_step`."""
    if x.dtype == torch.float64:  # as above
        return reference.momentum_step(x_adv, accumulated, gradient, x, eps, step_size, decay)
    result = torch.empty_like(x_adv)
    images, size = len(x_adv), x_adv.shape[1:].numel()
    if images > 1 and result.stride(0) != size:  # each image has to be one piece
        result = torch.empty_like(x_adv, memory_format=torch.contiguous_format)
    direction = torch.empty_like(result)
    inputs = [_stored_like(result, tensor) for tensor in (x_adv, accumulated, gradient, x)]
    if result.numel() > 0:
        with _on(x):
            _momentum_step_kernel[(images,)](
                *inputs, result, direction, size, eps, step_size, decay, BLOCK=2 * TILE, num_warps=8
            )
    return result, direction


def _stored_like(layout: Tensor, x: Tensor) -> Tensor:
    """``x`` with the strides of ``layout``, which has no gaps: one element then has one offset in both."""
    return x if x.stride() == layout.stride() else torch.empty_like(layout).copy_(x)
