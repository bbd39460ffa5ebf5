"""Running a model in eval mode, frozen and fast, and restoring it afterwards."""

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any, TypeVar
from weakref import WeakSet

import torch
from torch import Tensor, nn

from snslib import arguments
from snslib.folding import folded, is_compiled
from snslib.precision import in_tf32

T = TypeVar("T")
# models that failed on channels_last or look at strides, and those that do neither; contiguous images suit every model
_NOT_CHANNELS_LAST: WeakSet[nn.Module] = WeakSet()
_CHANNELS_LAST: WeakSet[nn.Module] = WeakSet()


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """The model in eval mode and without parameter gradients; afterwards exactly as it was, also after an error.

    While it lasts, BatchNorm is part of the convolution before it: see :func:`snslib.folding.folded`; and float32 is
    float32 on a GPU, too: see :func:`snslib.precision.in_tf32`. The global random state is put back; a warning says
    where the model has drawn from it, in eval mode. ValueError for no nn.Module, and for one whose weights cannot be
    used: see :func:`snslib.arguments.loaded`.
    """
    arguments.loaded("model", model)
    modes = {module: module.training for module in model.modules() if hasattr(module, "training")}
    parameters = list(model.parameters())
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    cuda = sorted({parameter.device.index for parameter in parameters if parameter.is_cuda})
    buffers = _Buffers(model)
    try:
        for module in modes:
            module.training = False
        for parameter in trainable:
            parameter.requires_grad_(False)
        exact, with_gradients = in_tf32(torch.device("cuda" if cuda else "cpu"), False), torch.enable_grad()
        with torch.random.fork_rng(devices=cuda), torch.inference_mode(False), with_gradients, exact, folded(model):
            before = _random_state(cuda)
            yield
            if not all(map(torch.equal, before, _random_state(cuda))):
                warnings.warn(
                    "model: it draws random numbers in eval mode, as dropout does that is called as a function; "
                    "results depend on them, and so on torch.manual_seed",
                    stacklevel=4,
                )
    finally:
        for module, mode in modes.items():
            module.training = mode
        for parameter in trainable:
            parameter.requires_grad_(True)
        buffers.put_back()


class _Buffers:
    """The buffers of a model as they are, to put them back where a forward writes to them in eval mode too.

    ``F.batch_norm(..., training=True)`` does that, and no version of the tensors tells. On a GPU, to compare waits for
    the device once.
    """

    def __init__(self, model: nn.Module) -> None:
        every = ((part, name, tensor) for part in model.modules() for name, tensor in part._buffers.items())
        self.places = [(part, name, tensor) for part, name, tensor in every if tensor is not None]
        self.by_type: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
        for _, _, tensor in self.places:
            if tensor.layout == torch.strided and not tensor.is_quantized:
                self.by_type.setdefault((tensor.dtype, tensor.device), []).append(tensor)
        self.values = [_in_a_row(tensors) for tensors in self.by_type.values()]

    @torch.no_grad()
    def put_back(self) -> None:
        for part, name, tensor in self.places:
            if name not in part._buffers or part._buffers[name] is not tensor:
                part._buffers[name] = tensor
        for tensors, value in zip(self.by_type.values(), self.values, strict=True):
            if not torch.equal(_in_a_row(tensors), value):
                for tensor, before in zip(tensors, value.split([tensor.numel() for tensor in tensors]), strict=True):
                    tensor.copy_(before.view_as(tensor))


@torch.no_grad()
def _in_a_row(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def _random_state(cuda: Sequence[int]) -> list[Tensor]:
    return [torch.get_rng_state(), *map(torch.cuda.get_rng_state, cuda)]


class ModelFails(ValueError, RuntimeError):
    """A model raises an error on images that it was given; the message has it."""


def run(model: nn.Module, x: Tensor, fast: bool = True) -> object:
    """What a model puts out for images, in one pass.

    It gets a copy, which it may change, in the type of its weights where these have one, and in a memory format that
    it takes: see :func:`attempt`.

    Args:
        model: any module, on the device of x.
        x: float (N, C, H, W).
        fast: whether the memory format may be another than that of x.

    Raises:
        ModelFails: the model fails on the images.
    """
    return attempt(model, x, lambda given: model(own(model, given, x)), fast)


def own(model: nn.Module, given: Tensor, x: Tensor | None = None) -> Tensor:
    """Images for a model to keep: a copy, unless ``given`` is one of ``x`` already, in the type of its weights.

    Models of one type of floats get that, as one in float64 does for images in float32; others get what there is.
    """
    if all(parameter.dtype != given.dtype for parameter in model.parameters()):  # the first says so of most models
        types = {parameter.dtype for parameter in model.parameters() if parameter.dtype in arguments.FLOATS}
        if len(types) == 1 and given.dtype in arguments.FLOATS:
            return given.to(types.pop())
    is_copy = x is not None and given.data_ptr() != x.data_ptr()
    return given if is_copy else given.clone()


def attempt(model: nn.Module, x: Tensor, compute: Callable[[Tensor], T], fast: bool = True) -> T:
    """``compute`` of images in the memory format in which the model runs fastest, or else as they are.

    A model that takes its images apart by their strides may fail on channels_last, as ``x.view(-1, 400)`` does, or may
    compute something else, as ``x.as_strided`` does. That shows the first time that it gets them; it is then run on
    contiguous images, and from then on at once.

    Raises:
        ModelFails: ``compute`` fails in both; the message has the error. An error of ours is raised as it is, and so is
            a lack of memory.
    """
    images = fast_memory_format(model, x) if fast else x
    try:
        return _in_a_layout(model, images, compute) if fast and not images.is_contiguous() else compute(images)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        if _is_ours(error):
            raise
        what = " ".join(str(error).split()) or "no message"
        raise ModelFails(
            f"model: it fails on images {tuple(x.shape)} of {x.dtype} on {x.device} ({type(error).__name__}: "
            f"{what[:400]}); it gets float images in [0, 1] on the device and of the size that it takes"
        ) from error


def _in_a_layout(model: nn.Module, images: Tensor, compute: Callable[[Tensor], T]) -> T:
    """``compute`` of images in channels_last, or of contiguous ones if the model does not take that layout."""
    watch = _Watch()
    unwatched = model in _CHANNELS_LAST or is_compiled(model) or sys.getprofile() is not None
    try:
        with nullcontext() if unwatched else watch.watching():
            result = compute(images)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        if _is_ours(error):
            raise
        watch.looked = True
    if watch.looked:
        result = compute(images.contiguous())
        _NOT_CHANNELS_LAST.add(model)
    elif not unwatched:
        _CHANNELS_LAST.add(model)
    return result


_ABOUT_MEMORY = {
    *("stride", "is_contiguous", "as_strided", "as_strided_", "storage_offset"),
    *("data_ptr", "storage", "untyped_storage", "resize_", "set_"),
}


class _Watch:
    """Whether somebody's code has asked for strides or for the memory itself, as ``as_strided`` does.

    So counts an operation on a tensor that fails, since the code may catch that and do something else, as where a
    ``view`` is not possible. PyTorch's own code and this library's do not count: their results do not depend on it.
    """

    def __init__(self) -> None:
        self.looked = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While it lasts, Python reports every call, as to a profiler; nothing that is called can tell."""
        sys.setprofile(self._event)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _event(self, frame: FrameType, event: str, what: Any) -> None:
        if event == "call":  # of a function in Python, as Tensor.storage is
            is_torchs = frame.f_globals.get("__name__") == Tensor.__module__
            name, caller = frame.f_code.co_name if is_torchs else "", frame.f_back
        elif event in ("c_call", "c_exception"):
            name, caller = getattr(what, "__name__", ""), frame
        else:
            return
        failed = event == "c_exception" and isinstance(getattr(what, "__self__", None), Tensor)
        if (failed or name in _ABOUT_MEMORY) and caller is not None and caller.f_code.co_name != "__torch_function__":
            package = caller.f_globals.get("__name__", "").partition(".")[0]
            self.looked |= package not in ("torch", "snslib")


def _is_ours(error: Exception) -> bool:
    """Whether this library raised an error, which then names the argument."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return isinstance(error, ValueError) and where.partition(".")[0] == "snslib"


def fast_memory_format(model: nn.Module, x: Tensor) -> Tensor:
    """Images in the memory format in which the model's convolutions run fastest; the values stay.

    That is channels_last, but for float32 where a convolution reads 512 channels or more, and for float32 on a GPU.
    ``benchmarks/passes.py`` measured it. For a model that :func:`must_be_contiguous` images are that, too, and for one
    that has failed on others.
    """
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    if x.ndim != 4 or not convolutions:
        return x
    if model in _NOT_CHANNELS_LAST or any(map(_miscomputed, convolutions)):
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


def images_at_once(device: torch.device, batch_size: int | None = None) -> int:
    """How many images per forward pass: ``batch_size``, or for None what suits a device.

    A CPU's cache holds the activations of a hundred or so. Results do not depend on it; ``benchmarks/growth.py``
    measures what it does to speed. ValueError for a batch_size below 1.
    """
    if batch_size is not None:
        return arguments.at_least("batch_size", batch_size, 1)
    return 128 if device.type == "cpu" else 1024


def device_of(model: nn.Module) -> torch.device:
    """The device of the model's first parameter; the CPU for a model without any. Errors as of :func:`frozen`."""
    arguments.loaded("model", model)
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
