"""The operations as PyTorch operators ``torch.ops.snslib.*``: one schema, one implementation per kind of device.

CPU tensors go to ``cpu.py``, CUDA tensors to ``triton_kernels.py`` where Triton is installed, all others to the
reference. Triton is imported with the first CUDA tensor, not with this file.
"""

from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from snslib.kernels import cpu, reference


@cache
def _for_cuda() -> ModuleType:
    try:
        from snslib.kernels import triton_kernels
    except ImportError:  # on Windows and macOS torch comes without it
        return reference
    return triton_kernels


def _laid_out(result: Tensor, like: Tensor) -> Tensor:
    """``result`` with the strides of ``empty_like(like)``, which the fake implementations promise to torch.compile."""
    if result.stride() == like.stride():
        return result
    promised = torch.empty_like(like)
    return result if result.stride() == promised.stride() else promised.copy_(result)


# --- channel_l1 ---


@custom_op("snslib::channel_l1", mutates_args=(), schema="(Tensor a, Tensor b, Tensor? index=None) -> Tensor")
def channel_l1(a: Tensor, b: Tensor, index: Tensor | None = None) -> Tensor:
    return reference.channel_l1(a, b, index)


channel_l1.register_kernel("cpu")(cpu.channel_l1)


@channel_l1.register_kernel("cuda")
def _(a: Tensor, b: Tensor, index: Tensor | None = None) -> Tensor:
    return _for_cuda().channel_l1(a, b, index)


@channel_l1.register_fake
def _(a: Tensor, b: Tensor, index: Tensor | None = None) -> Tensor:
    count = a.shape[1] if index is None else index.shape[0]
    return a.new_empty(count, dtype=torch.promote_types(a.dtype, torch.float32))


@custom_op(
    "snslib::channel_l1_backward",
    mutates_args=(),
    schema="(Tensor upstream, Tensor a, Tensor b, Tensor? index=None) -> Tensor",
)
def channel_l1_backward(upstream: Tensor, a: Tensor, b: Tensor, index: Tensor | None = None) -> Tensor:
    return _laid_out(reference.channel_l1_backward(upstream, a, b, index), a)


channel_l1_backward.register_kernel("cpu")(cpu.channel_l1_backward)


@channel_l1_backward.register_kernel("cuda")
def _(upstream: Tensor, a: Tensor, b: Tensor, index: Tensor | None = None) -> Tensor:
    return _laid_out(_for_cuda().channel_l1_backward(upstream, a, b, index), a)


@channel_l1_backward.register_fake
def _(upstream: Tensor, a: Tensor, b: Tensor, index: Tensor | None = None) -> Tensor:
    return torch.empty_like(a)


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    a, b, index = ctx.saved_tensors
    a_needs, b_needs = ctx.needs_input_grad[:2]
    if a_needs:
        gradient = channel_l1_backward(upstream, a, b, index)
        return gradient, -gradient if b_needs else None, None
    return None, channel_l1_backward(upstream, b, a, index), None


channel_l1.register_autograd(_backward, setup_context=_save)


# --- sign_step ---


@custom_op(
    "snslib::sign_step",
    mutates_args=(),
    schema="(Tensor x_adv, Tensor gradient, Tensor x, float eps, float step_size) -> Tensor",
)
def sign_step(x_adv: Tensor, gradient: Tensor, x: Tensor, eps: float, step_size: float) -> Tensor:
    return _laid_out(reference.sign_step(x_adv, gradient, x, eps, step_size), x_adv)


@sign_step.register_kernel("cuda")
def _(x_adv: Tensor, gradient: Tensor, x: Tensor, eps: float, step_size: float) -> Tensor:
    return _laid_out(_for_cuda().sign_step(x_adv, gradient, x, eps, step_size), x_adv)


@sign_step.register_fake
def _(x_adv: Tensor, gradient: Tensor, x: Tensor, eps: float, step_size: float) -> Tensor:
    return torch.empty_like(x_adv)


# --- momentum_step ---


@custom_op(
    "snslib::momentum_step",
    mutates_args=(),
    schema=(
        "(Tensor x_adv, Tensor accumulated, Tensor gradient, Tensor x, float eps, float step_size, float decay)"
        " -> (Tensor, Tensor)"
    ),
)
def momentum_step(
    x_adv: Tensor, accumulated: Tensor, gradient: Tensor, x: Tensor, eps: float, step_size: float, decay: float
) -> tuple[Tensor, Tensor]:
    stepped, direction = reference.momentum_step(x_adv, accumulated, gradient, x, eps, step_size, decay)
    return _laid_out(stepped, x_adv), _laid_out(direction, x_adv)


@momentum_step.register_kernel("cuda")
def _(
    x_adv: Tensor, accumulated: Tensor, gradient: Tensor, x: Tensor, eps: float, step_size: float, decay: float
) -> tuple[Tensor, Tensor]:
    stepped, direction = _for_cuda().momentum_step(x_adv, accumulated, gradient, x, eps, step_size, decay)
    return _laid_out(stepped, x_adv), _laid_out(direction, x_adv)


@momentum_step.register_fake
def _(
    x_adv: Tensor, accumulated: Tensor, gradient: Tensor, x: Tensor, eps: float, step_size: float, decay: float
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x_adv), torch.empty_like(x_adv)
