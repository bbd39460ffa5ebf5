"""Running a model in eval mode, frozen and fast, and restoring it afterwards."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from snslib import arguments

PRECISIONS = ("float32", "bfloat16")


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """The model in eval mode and without parameter gradients; afterwards exactly as it was, also after an error.

    While it lasts, BatchNorm is part of the convolution before it: see :func:`folded`. ValueError for no nn.Module.
    """
    arguments.module("model", model)
    modes = {module: module.training for module in model.modules()}
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    cuda = sorted({p.device.index for p in model.parameters() if p.is_cuda})
    try:
        for module in modes:
            module.training = False
        for parameter in trainable:
            parameter.requires_grad_(False)
        with torch.random.fork_rng(devices=cuda), torch.inference_mode(False), torch.enable_grad(), folded(model):
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for parameter in trainable:
            parameter.requires_grad_(True)


@contextmanager
def folded(model: nn.Module) -> Iterator[None]:
    """While the context lasts, each nn.Sequential runs a convolution and the BatchNorm after it as one convolution.

    In eval mode BatchNorm is a factor and a shift per channel, which the convolution's weights can carry: same result
    up to rounding, one pass over the activations less each way. Left as they are: pairs whose convolution or BatchNorm
    somebody has hooked, pairs outside of a Sequential, a Sequential with a forward of its own (one within another of
    these contexts has it already), and models that torch.compile has compiled.
    """
    with ExitStack() as stack:
        modules = list(model.modules())
        compiled = any(hasattr(m, "_orig_mod") or m._compiled_call_impl is not None for m in modules)
        for module in modules:
            own = type(module).forward is not nn.Sequential.forward or "forward" in module.__dict__
            if isinstance(module, nn.Sequential) and not own and not compiled:
                steps = _folded_steps(list(module))
                if len(steps) < len(module):
                    module.forward = partial(_in_turn, steps)  # type: ignore[method-assign]  # on this instance only
                    stack.callback(module.__dict__.pop, "forward")
        yield


def _in_turn(steps: list[Callable[[Tensor], Tensor]], x: Tensor) -> Tensor:
    for step in steps:
        x = step(x)
    return x


def _folded_steps(layers: list[nn.Module]) -> list[Callable[[Tensor], Tensor]]:
    """The layers of a Sequential, each convolution with a BatchNorm after it as one step."""
    steps: list[Callable[[Tensor], Tensor]] = []
    for layer in layers:
        before = steps[-1] if steps else None
        if type(before) is nn.Conv2d and type(layer) is nn.BatchNorm2d and _foldable(before, layer):
            steps[-1] = partial(before._conv_forward, **_folded_weights(before, layer))
        else:
            steps.append(layer)
    return steps


def _foldable(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> bool:
    hooked = any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in (conv, norm))
    return not hooked and not norm.training and norm.running_mean is not None


@torch.no_grad()
def _folded_weights(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> dict[str, Tensor]:
    """Weight and bias of the convolution that does what both do, in the type that autocast would give them."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = (norm.running_var + norm.eps).rsqrt()
    if norm.weight is not None:
        factor = factor * norm.weight
    shift = -norm.running_mean if conv.bias is None else conv.bias - norm.running_mean
    bias = factor * shift if norm.bias is None else factor * shift + norm.bias
    weight = conv.weight * factor.view(-1, 1, 1, 1)
    device = weight.device.type
    wanted = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    return {"weight": weight.to(wanted), "bias": bias.to(wanted)}


def fast_memory_format(model: nn.Module, x: Tensor) -> Tensor:
    """Images in the memory format in which the model's convolutions run fastest; the values stay.

    That is channels_last, but for float32 where a convolution reads 512 channels or more, and for float32 on a GPU.
    ``benchmarks/passes.py`` measured it. For a model that :func:`must_be_contiguous` images are that, too.
    """
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    if x.ndim != 4 or not convolutions:
        return x
    if any(map(_miscomputed, convolutions)):
        return x.contiguous()
    widest = max(conv.in_channels for conv in convolutions)
    channels_last = torch.is_autocast_enabled(x.device.type) or (x.device.type == "cpu" and widest < 512)
    return x.contiguous(memory_format=torch.channels_last) if channels_last else x


def must_be_contiguous(model: nn.Module) -> bool:
    """Whether the model has a convolution whose gradients PyTorch gets wrong, or crashes on, in channels_last on a CPU.

    Those are 1x1 convolutions with a stride that read fewer channels than a vector of the processor holds, 8 with AVX2
    and 16 with AVX-512: oneDNN writes past its workspace where it computes the gradient of the weights (its issue
    6035). Every release of PyTorch from 2.4 to 2.15 has it; results/convolutions.json says what was tried. The rule
    is one for all processors, so that results do not depend on it. It can go once ``benchmarks/convolutions.py`` finds
    nothing wrong in the oldest PyTorch that pyproject.toml allows.
    """
    return any(_miscomputed(module) for module in model.modules() if isinstance(module, nn.Conv2d))


def _miscomputed(conv: nn.Conv2d) -> bool:
    return conv.kernel_size == (1, 1) and conv.stride != (1, 1) and conv.in_channels < 16


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A context in which the network computes in ``precision``, one of PRECISIONS, whatever is around it.

    Warns of bfloat16 where it is no gain.
    """
    if precision == "bfloat16" and not has_bfloat16(device.type):
        warnings.warn("this processor has no bfloat16: float32 is about ten times as fast here", stacklevel=3)
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def has_bfloat16(device: str) -> bool:
    """Whether a device, "cpu" or of another type, computes convolutions in bfloat16 itself."""
    return device != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def images_at_once(device: torch.device, batch_size: int | None = None) -> int:
    """How many images per forward pass: ``batch_size``, or for None what suits a device.

    A CPU's cache holds the activations of a hundred or so. Results do not depend on it; ``benchmarks/growth.py``
    measures what it does to speed. ValueError for a batch_size below 1.
    """
    if batch_size is not None:
        arguments.at_least("batch_size", batch_size, 1)
        return batch_size
    return 128 if device.type == "cpu" else 1024


def device_of(model: nn.Module) -> torch.device:
    """The device of the model's first parameter; the CPU for a model without any. ValueError for no nn.Module."""
    arguments.module("model", model)
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def choose_device(name: str | None) -> str:
    """``name``, or for None a GPU if there is one.

    Raises:
        ValueError: a device that cannot be used here.
    """
    device = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        if device != "cuda" or not torch.cuda.is_available():  # which would begin to use the first GPU
            torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device: {device!r} cannot be used here: {str(error).splitlines()[0]}") from None
    return device
