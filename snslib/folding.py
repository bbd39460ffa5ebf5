"""BatchNorm as part of the convolution before it: one pass over the activations less each way."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules import batchnorm
from torch.nn.modules import module as all_modules
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack


@contextmanager
def folded(model: nn.Module) -> Iterator[None]:
    """While the context lasts, each nn.Sequential runs a convolution and the BatchNorm after it as one convolution.

    In eval mode BatchNorm is a factor and a shift per channel, which the convolution's weights can carry: same result
    up to rounding. Left as they are: pairs outside of a Sequential, a Sequential with a forward of its own (one within
    another of these contexts has it already), models that torch.compile has compiled, and all that somebody watches or
    has changed. That is looked at in every pass: hooks, parametrizations and forwards of the pair, hooks of all
    modules, modes of torch functions and of dispatch, functions of PyTorch that were replaced. The weights are folded
    anew in every pass, as nothing tells of all that may change them, such as ``weight.data.mul_(2)``.
    """
    with ExitStack() as stack:
        for module in [] if is_compiled(model) else list(model.modules()):
            if not isinstance(module, nn.Sequential) or not any(_pairs(list(module))):
                continue
            if type(module).forward is _SEQUENTIAL and "forward" not in module.__dict__:
                module.forward = InTurn(module)  # type: ignore[method-assign]  # on this instance only
                stack.callback(_restore, module, module.forward)
        yield


def is_compiled(model: nn.Module) -> bool:
    """Whether torch.compile has compiled the model or a part of it."""
    return any(
        hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None
        for module in model.modules()
    )


def _restore(module: nn.Module, forward: object) -> None:
    if module.__dict__.get("forward") is forward:  # and not one that somebody has set meanwhile
        del module.__dict__["forward"]


class InTurn:
    """The forward of a Sequential that runs each pair of convolution and BatchNorm as one, where it may."""

    def __init__(self, sequential: nn.Sequential) -> None:
        self.sequential = sequential

    def __call__(self, x: Tensor) -> Tensor:
        if type(x) not in (Tensor, nn.Parameter) or not nobody_watches():
            return nn.Sequential.forward(self.sequential, x)
        layers = list(self.sequential)
        pairs = _pairs(layers)
        place = 0
        while place < len(layers):
            conv, norm = layers[place], layers[place + 1] if pairs[place] else None
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and _foldable(conv, norm):
                x = conv._conv_forward(x, **_folded_weights(conv, norm))
                place += 2
            else:
                x = conv(x)
                place += 1
        return x


def _pairs(layers: list[nn.Module]) -> list[bool]:
    """For each layer whether it is a convolution and the one after it BatchNorm, neither of a class made from these."""
    return [*(type(a) is nn.Conv2d and type(b) is nn.BatchNorm2d for a, b in pairwise(layers)), False]


def _tensors(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> list[Tensor]:
    every = (conv.weight, conv.bias, norm.weight, norm.bias, norm.running_mean, norm.running_var)
    return [tensor for tensor in every if tensor is not None]


def _foldable(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> bool:
    """Whether nobody could tell, but by rounding."""
    for module in (conv, norm):
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
        if any(hooks) or not module.__dict__.keys().isdisjoint(("forward", "_conv_forward", "_call_impl")):
            return False
    if norm.training or norm.running_mean is None or norm.running_var is None:
        return False
    return all(type(tensor) in (Tensor, nn.Parameter) for tensor in _tensors(conv, norm))


def _replaceable() -> tuple[object, ...]:
    """What a pass through a convolution and BatchNorm calls, and somebody may have replaced."""
    return (
        *(nn.Module.__call__, nn.Module._call_impl, nn.Conv2d.__call__, nn.BatchNorm2d.__call__),
        *(nn.Sequential.forward, nn.Conv2d.forward, nn.Conv2d._conv_forward, nn.BatchNorm2d.forward),
        *(batchnorm._BatchNorm.forward, F.conv2d, F.batch_norm, torch.batch_norm),
    )


_SEQUENTIAL = nn.Sequential.forward
_AS_IMPORTED = _replaceable()


def nobody_watches() -> bool:
    """Whether nothing is attached to modules or operations as a whole; a default device does not count."""
    hooks = (
        *(all_modules._global_forward_hooks, all_modules._global_forward_pre_hooks),
        *(all_modules._global_backward_hooks, all_modules._global_backward_pre_hooks),
    )
    modes = [mode for mode in _get_current_function_mode_stack() if type(mode) is not DeviceContext]
    return not any(hooks) and not modes and not _get_current_dispatch_mode_stack() and _replaceable() == _AS_IMPORTED


@torch.no_grad()
def _folded_weights(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> dict[str, Tensor]:
    """Weight and bias of the convolution that does what both do, in the type that autocast would give them."""
    device = conv.weight.device.type
    wanted = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else conv.weight.dtype
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = (norm.running_var + norm.eps).rsqrt()
    if norm.weight is not None:
        factor = factor * norm.weight
    shift = -norm.running_mean if conv.bias is None else conv.bias - norm.running_mean
    bias = factor * shift if norm.bias is None else factor * shift + norm.bias
    weight = conv.weight * factor.view(-1, 1, 1, 1)
    return {"weight": weight.to(wanted), "bias": bias.to(wanted)}
