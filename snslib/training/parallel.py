"""Training and measuring in several processes (torchrun).

In a single process every function here does nothing or returns what it was given, so that the rest of the library is
written once. No file system needs to be shared: the first process alone reads and writes, and sends the results to the
others.

Two groups of processes are used. What happens within a training step goes through PyTorch's default group, nccl on
GPUs, where a process that is lost without a word is noticed after STEP_TIMEOUT. Everything else goes through a gloo
group between the CPUs, on which the others may wait for long; there a process that ends breaks its connections, and the
others fail at once.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.parallel import DistributedDataParallel

from snslib import locks
from snslib.data import Split

STEP_TIMEOUT = datetime.timedelta(seconds=45)
PATIENCE = datetime.timedelta(hours=6)

T = TypeVar("T")
_cpus: dist.ProcessGroup | None = None  # the group between the CPUs


@contextmanager
def process_group(device: str | None) -> Iterator[None]:
    """Join the processes that torchrun started; without torchrun, nothing happens.

    On GPUs each process takes the one of its place on the machine, and makes it PyTorch's current one.

    Args:
        device: "cpu" or "cuda", where the run is to compute; None is a GPU if there is one.

    Raises:
        ValueError: more processes on this machine than GPUs, or one GPU for several processes.
    """
    global _cpus
    if "WORLD_SIZE" not in os.environ:
        yield
        return
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    on_gpus = device.startswith("cuda")
    if on_gpus:
        place, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if device != "cuda" and int(os.environ["WORLD_SIZE"]) > 1:
            raise ValueError(f"device: {device!r} is one GPU; say cuda, and each process takes its own")
        if place >= gpus:
            raise ValueError(f"device: no GPU is left for process {place + 1} of this machine, which has {gpus}")
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if on_gpus else "gloo", timeout=STEP_TIMEOUT if on_gpus else PATIENCE)
    _cpus = cast(dist.ProcessGroup, dist.new_group(backend="gloo", timeout=PATIENCE))
    yield
    dist.destroy_process_group()  # not after an error, where it might wait for the others for ever
    _cpus = None


def rank() -> int:
    """The number of this process, from 0; 0 is the first process."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


# --- sharing work ---


def part(n: int) -> slice:
    """Where this process's part of n things lies: contiguous, and no two differ in size by more than 1."""
    return slice(n * rank() // world_size(), n * (rank() + 1) // world_size())


def own_part(split: Split) -> Split:
    """This process's part of the images, see :func:`part`.

    Raises:
        ValueError: fewer images than processes, the same on all of them.
    """
    if len(split) < world_size():
        raise ValueError(f"{len(split)} images cannot be shared by {world_size()} processes; start fewer")
    mine = part(len(split))
    return Split(split.images[mine], split.labels[mine])


def mean(value: Tensor, n: int) -> Tensor:
    """The mean over all processes of what each found as the mean over its n things; float64, on the device of value."""
    if world_size() == 1:
        return value
    weighted = torch.cat([value.detach().double().cpu().flatten() * n, torch.tensor([float(n)])])
    dist.all_reduce(weighted, group=_cpus)
    return (weighted[:-1] / weighted[-1]).view(value.shape).to(value.device)


def gather(value: Tensor) -> Tensor:
    """All processes' tensors (N, ...) one after the other; only their N may differ."""
    if world_size() == 1:
        return value
    counts: list[Any] = [None] * world_size()
    dist.all_gather_object(counts, len(value), group=_cpus)
    padded = value.detach().cpu().new_zeros(max(counts), *value.shape[1:])
    padded[: len(value)] = value
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded, group=_cpus)
    return torch.cat([one[:count] for one, count in zip(parts, counts, strict=True)]).to(value.device)


# --- deciding together ---


def on_first_process(compute: Callable[[], T]) -> T:
    """What ``compute`` returns in the first process, in every process; picklable.

    Only the first process calls it. An exception there is raised in all of them, so that none waits for ever.
    """
    if world_size() == 1:
        return compute()
    outcome: list[Any] = [None]
    if rank() == 0:
        try:
            outcome = [(compute(), None)]
        except Exception as error:
            outcome = [(None, error)]
    dist.broadcast_object_list(outcome, src=0, group=_cpus)
    result, failed = outcome[0]
    if failed is not None:
        failed.of_first_process = rank() != 0  # which tells it: see snslib.ending
        raise failed
    return result


@contextmanager
def first_process_first() -> Iterator[None]:
    """On each machine the first process goes through the block before the others: what it fetches, they find."""
    if world_size() == 1:
        yield
        return
    first = os.environ["LOCAL_RANK"] == "0"
    if not first:
        dist.barrier(group=_cpus)
    try:
        yield
    finally:
        if first:
            dist.barrier(group=_cpus)


@contextmanager
def first_process_alone(path: Path, progress: Callable[[str], None]) -> Iterator[None]:
    """The first process goes through the block under the lock of a file, as :func:`snslib.locks.alone`; all with it."""
    with ExitStack() as stack:
        on_first_process(lambda: stack.enter_context(locks.alone(path, progress)))
        yield


def require_same(name: str, value: Any) -> None:
    """Check that all processes hold an equal value, picklable: they may run on machines with different files.

    Raises:
        ValueError: they do not, in all processes.
    """
    if world_size() > 1:
        values: list[Any] = [None] * world_size()
        dist.all_gather_object(values, value, group=_cpus)
        different = [other for other in range(world_size()) if values[other] != values[0]]
        if different:
            raise ValueError(f"{name}: process {different[0]} has {values[different[0]]}, the first one {values[0]}")


# --- training together ---

LossOf = Callable[..., tuple[Tensor, dict[str, Tensor]]]  # x, x' or None, y to the loss and its terms


@contextmanager
def data_parallel(model: nn.Module, objective: LossOf) -> Iterator[LossOf]:
    """The objective of a batch of which each process passes an equal part, as a function of x, x' and y.

    The loss is that of the part. After its backward pass each process has the gradient of the loss of the whole batch,
    where the objective is a mean over the batch. The models must be equal, and stay so.

    It is the objective that goes through DistributedDataParallel, and it sees the model itself: it may run it as often
    as it likes, hook it and attack it, and that is still one forward pass to DistributedDataParallel.
    """
    if world_size() == 1:
        yield partial(objective, model)
        return
    dist.barrier(group=_cpus)  # here they may wait longer than within a step
    with synchronised_batchnorm(model):
        yield DistributedDataParallel(_Objective(model, objective))


class _Objective(nn.Module):
    """Has the model's trainable parameters, and none of its buffers, which need no broadcast at every step."""

    def __init__(self, model: nn.Module, objective: LossOf) -> None:
        super().__init__()
        self.trained = nn.ParameterList(parameter for parameter in model.parameters() if parameter.requires_grad)
        self.loss_of = partial(objective, model)

    def forward(self, x: Tensor, x_adv: Tensor | None, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return self.loss_of(x, x_adv, y)


@contextmanager
def synchronised_batchnorm(model: nn.Module) -> Iterator[None]:
    """While the context lasts, each nn.BatchNorm2d in train mode normalises by the statistics of the global batch.

    Every process must pass equally many values. torch.nn.SyncBatchNorm does this on GPUs only. The modules keep their
    class, so that in eval mode they are folded as ever, see :func:`snslib.folding.folded`.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)] if world_size() > 1 else []
    for norm in norms:
        norm.forward = partial(_batchnorm, norm)  # type: ignore[method-assign]  # on this instance only
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward


def _batchnorm(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    if not norm.training and norm.running_mean is not None:
        return type(norm).forward(norm, x)
    # One exchange gives both: of equally many values, the variance is the mean variance and the variance of the means.
    unmoved = torch.zeros(x.shape[1], dtype=torch.promote_types(x.dtype, torch.float32), device=x.device)
    mine = torch.stack(torch.batch_norm_update_stats(x.detach(), unmoved, unmoved, 0.0))  # of the type of unmoved
    parts = [torch.empty_like(mine) for _ in range(world_size())]
    dist.all_gather(parts, mine)
    means, variances = torch.stack(parts).unbind(1)
    mean = means.mean(0)
    var = variances.mean(0) + (means - mean).square().mean(0)
    if norm.training and norm.running_mean is not None:
        _follow(norm, mean, var, x.numel() // x.shape[1] * world_size())
    weight = torch.ones_like(mean) if norm.weight is None else norm.weight
    bias = torch.zeros_like(mean) if norm.bias is None else norm.bias
    return _Normalised.apply(x, weight, bias, mean, var, norm.eps)


@torch.no_grad()
def _follow(norm: nn.BatchNorm2d, mean: Tensor, var: Tensor, n: int) -> None:
    """Move the running statistics towards those of a batch of n values per channel, as nn.BatchNorm2d does."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked += 1
    factor = 1 / int(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, factor)
    norm.running_var.lerp_(var * n / (n - 1), factor)


class _Normalised(torch.autograd.Function):
    """BatchNorm by the mean and variance (C,) of all processes' values, which depend on x too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, eps: float) -> Tensor:
        ctx.save_for_backward(x, weight, mean, (var + eps).rsqrt())
        ctx.eps = eps
        return F.batch_norm(x, mean, var, weight, bias, training=False, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """PyTorch's kernel sums over this process's values; dx is linear in dy and x once the sums are those of all."""
        (dy,), (x, weight, mean, inverse) = grads, ctx.saved_tensors
        _, grad_weight, grad_bias = torch.ops.aten.native_batch_norm_backward(
            dy, x, weight, None, None, mean, inverse, True, ctx.eps, [False, True, True]
        )
        means = torch.stack([grad_bias, grad_weight])  # of dy, and of dy times the normalised x
        dist.all_reduce(means)
        means /= x.numel() // x.shape[1] * world_size()
        scale = weight * inverse
        slope = -scale * inverse * means[1]
        shift = -scale * means[0] - slope * mean
        scale, slope, shift = (factor.view(1, -1, 1, 1) for factor in (scale, slope, shift))
        grad_x = (dy * scale).addcmul_(x, slope).add_(shift)  # float32 for bfloat16, so that it is rounded only once
        return grad_x.to(x.dtype), grad_weight, grad_bias, None, None, None
