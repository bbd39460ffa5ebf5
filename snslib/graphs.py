"""On a GPU, what is computed over and over again as one CUDA graph: the same results, without starting each operation.

An attack on small images is a thousand operations, each of which takes less time than Python takes to start it. A CUDA
graph is a recording of them, which the GPU runs by itself. It reads the weights where they lie, so that those of the
moment count. It is used where nobody can tell: for modules of PyTorch, torchvision and this library, which do the same
in every pass in eval mode; without hooks, modes or compilation; from the third time on that the same is asked for, and
if its first replay is what was computed without it, to the last bit. For everything else, and where recording fails,
nothing changes. The environment variable SNSLIB_GRAPHS=0 switches it off.
"""

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from types import BuiltinFunctionType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from snslib.folding import InTurn, nobody_watches

Work = Callable[..., tuple[Tensor, ...]]

KEPT = 8  # graphs and what was seen once, the latest used
PACKAGES = ("torch.nn.modules.", "torchvision.models.", "torchvision.ops.", "snslib.")
RANDOM = (nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)  # in eval mode, too
_OF_EVERY_MODULE = vars(nn.Module()).keys() - {"training"}
_HOOKS = [name for name in _OF_EVERY_MODULE if name.endswith("_hooks")]
_PLAIN = (bool, int, float, str)
_NAMED = (type, BuiltinFunctionType, torch.dtype, torch.device)  # one object each, compared as such


class Graph:
    """A recording of some work on inputs of its own.

    Graphs of a device share their memory, since each has its results copied before the next one runs.
    """

    def __init__(self, work: Work, inputs: Sequence[Tensor]) -> None:
        self.inputs = [tensor.clone() for tensor in inputs]
        self.outputs = self.record(work)

    def record(self, work: Work) -> tuple[Tensor, ...]:
        """The tensors that hold the results after :meth:`start`; RuntimeError where a graph cannot be had."""
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info()
        here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            for _ in range(2):  # what libraries set up at first is not to be recorded
                work(*self.inputs)
        here.wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        shared = next((graph.graph.pool() for graph in _graphs() if graph.device == self.device), None)
        back_here = torch.cuda.stream(here)  # also where recording fails
        with back_here, torch.cuda.graph(self.graph, pool=shared, capture_error_mode="thread_local"):
            outputs = work(*self.inputs)
        left, _ = torch.cuda.mem_get_info()
        if free - left > left:
            raise torch.OutOfMemoryError("a graph that takes more than it leaves is not worth it")
        return outputs

    @property
    def device(self) -> torch.device:
        return self.inputs[0].device

    def start(self) -> None:
        """Compute once more."""
        self.graph.replay()

    def replay(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The results for other inputs, as tensors of their own."""
        for own, given in zip(self.inputs, inputs, strict=True):
            own.copy_(given)
        self.start()
        return tuple(output.clone() for output in self.outputs)


# Model and question to a graph, None for what was asked once, or False where none can be had; the latest used is last.
_kept: OrderedDict[tuple[int, Hashable], Graph | bool | None] = OrderedDict()
_models: "weakref.WeakSet[nn.Module]" = weakref.WeakSet()
_lock = threading.RLock()


def run(
    model: nn.Module, about: Hashable, work: Work, inputs: Sequence[Tensor], fits: Callable[[Sequence[Tensor]], bool]
) -> tuple[Tensor, ...]:
    """What ``work(*inputs)`` returns, from a CUDA graph where that is the same.

    Args:
        model: what the work runs, in eval mode and frozen.
        about: what it depends on besides the model and the inputs.
        work: computes tensors from tensors, without a look at a value and without random numbers.
        inputs: on one GPU, see :func:`on_gpu`.
        fits: whether these inputs can have outputs of such shapes; else the work is done, for its error.
    """
    question = _question(model, about, inputs)
    if question is None:
        return work(*inputs)
    key = (id(model), question)
    with _lock:
        known = _kept.get(key)
        if isinstance(known, Graph) and fits(known.outputs):
            _kept.move_to_end(key)
            return known.replay(inputs)
    result = _eagerly(work, inputs)
    with _lock:
        if key not in _kept:
            _keep(model, key, None)
        elif _kept[key] is None:
            _keep(model, key, _recorded(work, inputs, result))
    return result


def on_gpu(tensor: Tensor) -> bool:
    """Whether it lies where there are such graphs."""
    return tensor.is_cuda


def give_back() -> bool:
    """Forget all graphs and return their memory to the GPU; whether there were any."""
    with _lock:
        any_kept = bool(_graphs())
        _kept.clear()
    if any_kept and torch.cuda.is_available():
        torch.cuda.empty_cache()
    return any_kept


def _eagerly(work: Work, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    try:
        return work(*inputs)
    except torch.OutOfMemoryError:
        if not give_back():
            raise
    return work(*inputs)


def _recorded(work: Work, inputs: Sequence[Tensor], result: Sequence[Tensor]) -> Graph | bool:
    """A graph that gives the same result to the last bit; False where none can be had."""
    try:
        graph = Graph(work, inputs)
        return graph if all(map(torch.equal, graph.replay(inputs), result)) else False
    except Exception:  # whatever it is, the work has been done without
        return False


def _keep(model: nn.Module, key: tuple[int, Hashable], graph: Graph | bool | None) -> None:
    if model not in _models:
        _models.add(model)
        weakref.finalize(model, _forget, id(model)).atexit = False
    _kept[key] = graph
    _kept.move_to_end(key)
    while len(_kept) > KEPT:
        _kept.popitem(last=False)


def _forget(model: int) -> None:
    with _lock:
        for key in [key for key in _kept if key[0] == model]:
            _kept.pop(key, None)


def _graphs() -> list[Graph]:
    return [graph for graph in _kept.values() if isinstance(graph, Graph)]


def _question(model: nn.Module, about: Hashable, inputs: Sequence[Tensor]) -> Hashable | None:
    """All that the recording of a work depends on; None where it may not be recorded."""
    device = inputs[0].device
    if os.environ.get("SNSLIB_GRAPHS") == "0" or not nobody_watches() or not _is_quiet(device):
        return None
    if any(torch.empty_like(tensor).stride() != tensor.stride() for tensor in inputs):
        return None
    described = [_described(module, device) for module in model.modules()]
    if None in described or None in [_place(tensor, device) for tensor in inputs]:
        return None
    layouts = tuple((tensor.shape, tensor.stride(), tensor.dtype) for tensor in inputs)
    return about, device, layouts, _switches(), tuple(described)


def _is_quiet(device: torch.device) -> bool:
    """Whether the GPU computes in order, and nothing is being recorded or looked into."""
    here = torch.cuda.current_stream(device)
    return (
        device.index == torch.cuda.current_device()
        and here == torch.cuda.default_stream(device)
        and not torch.cuda.is_current_stream_capturing()
        and not torch.is_anomaly_enabled()
    )


def _switches() -> Hashable:
    """What PyTorch has been told that changes which kernels it takes; TF32 is part of an attack's precision."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    return (
        *(torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")),
        *(cudnn.enabled, cudnn.benchmark, cudnn.deterministic, torch.are_deterministic_algorithms_enabled()),
        *(matmul.allow_bf16_reduced_precision_reduction, matmul.allow_fp16_reduced_precision_reduction),
    )


def _place(tensor: Tensor, device: torch.device) -> Hashable | None:
    """Where a tensor lies in memory; None for one of another kind or elsewhere."""
    if type(tensor) not in (Tensor, nn.Parameter) or tensor.layout != torch.strided or tensor.device != device:
        return None
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype


def _described(module: nn.Module, device: torch.device) -> Hashable | None:
    """What a module does and where its weights lie; None where its class and its attributes do not tell."""
    kind, state = type(module), vars(module)
    if not kind.__module__.startswith(PACKAGES) or kind in RANDOM or "_compiled_call_impl" in state:
        return None
    if any([state.get(name) for name in _HOOKS]):
        return None
    about: list[Any] = [kind, kind.forward]
    for tensor in (*state["_parameters"].values(), *state["_buffers"].values()):
        about.append(tensor is None or _place(tensor, device))
    for name, value in state.items():
        if name not in _OF_EVERY_MODULE and type(value) is not InTurn:
            about += name, value if type(value) in _PLAIN else _attribute(value, device)
    return None if None in about else tuple(about)


def _attribute(value: Any, device: torch.device) -> Hashable | None:
    """What an attribute is compared by; None for one of which equal ones may do different things."""
    if isinstance(value, Tensor):
        return _place(value, device)
    several = value if type(value) in (tuple, list) else (value,)
    return (type(value), *several) if all(map(_is_known, several)) else None


def _is_known(value: Any) -> bool:
    """Whether equal values do the same; a function does that where it is PyTorch's, as F.relu is."""
    if isinstance(value, FunctionType):
        return str(value.__module__).startswith("torch.")
    return value is None or type(value) in _PLAIN or isinstance(value, _NAMED)
