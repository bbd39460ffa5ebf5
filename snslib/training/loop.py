"""The training loop of every defense; they differ in the objective."""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim.lr_scheduler import OneCycleLR

from snslib import arguments, disk
from snslib.data import Dataset, Split, augment, batches, to_float
from snslib.files import load_tensors, save_tensors
from snslib.inference import device_of, fast_memory_format, must_be_contiguous
from snslib.precision import PRECISIONS, autocast, in_tf32
from snslib.training import parallel
from snslib.training.fixed_pairs import FrozenLayersCache
from snslib.training.models import split_at
from snslib.training.objectives import Objective

History = list[dict[str, Any]]  # one entry per epoch, see train
_BYTES_PER_STEP = 80  # of the history as JSON: a loss and two terms, of twenty digits and more
_ANOTHER_FOLDER = "name a checkpoint in another folder"


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: SGD with momentum under a one-cycle learning rate.

    Args:
        epochs: passes over the training images, >= 1.
        lr: the peak learning rate, >= 0.
        batch_size: images per step, the B of Algorithm 1.
        momentum, weight_decay: SGD's.
        first_layer: the lowest layer that is trained (section 4.2 trains conv8 and what follows); everything below
            keeps its weights, and its BatchNorm stays in eval mode. None trains all.
        seed: decides shuffling, augmentation and dropout, >= 0.
        precision: of the network's passes, "float32", "tf32" or "bfloat16", see :mod:`snslib.attacks`; weights and
            their updates are float32 in all of them.
    """

    epochs: int
    lr: float
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    first_layer: str | None = None
    seed: int = 0
    precision: str = "float32"

    def __post_init__(self) -> None:
        arguments.one_of("precision", self.precision, PRECISIONS)
        arguments.at_least("epochs", self.epochs, 1)
        arguments.at_least("batch_size", self.batch_size, 2)
        arguments.at_least("seed", self.seed, 0)
        for name in ("lr", "momentum", "weight_decay"):
            arguments.not_negative(name, getattr(self, name))


def train(
    model: nn.Module,
    data: Dataset,
    objective: Objective,
    schedule: Schedule,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[str], None] = print,
    recipe: dict[str, Any] | None = None,
    steered_by: str = "lr",
) -> History:
    """Train ``model`` in place on ``data.train``.

    Everything random is drawn from the seed and the number of the epoch, so that a run which was interrupted and
    goes on from its checkpoint gives the same model as one that was not. The global random state is left as it was.

    Images are augmented, but for a fixed dual pair set, which is trained on as it is: x' was made for that x and no
    other. There the layers below ``first_layer`` run only once, see
    :class:`snslib.training.fixed_pairs.FrozenLayersCache`.

    In several processes (see :mod:`snslib.training.parallel`) all call this with the same arguments. Each takes an
    equal part of every batch, and each step is that of one process but for the order in which sums are rounded; over
    many steps float32 makes as much of that as of another number of threads. Only Dropout draws other masks in each
    process. The first one alone reads and writes the checkpoint, which any number of processes can continue from.

    Args:
        model: on the device where it is to be trained.
        data: the images and the augmentation that suits them.
        objective: the defense.
        schedule: how long and how fast.
        validate: called after each epoch, in every process; what it returns joins that epoch's entry of the history.
        checkpoint: a file that is rewritten after each epoch and continued from if it is there.
        progress: takes one line per epoch.
        recipe: what else the run depends on, JSON-able: a checkpoint of another one is refused.
        steered_by: the settings to lower when training diverges, for the message.

    Returns:
        Per epoch: "epoch", "lr" (its last), "loss" and its terms (means over the steps), what ``validate`` returned,
        "seconds", and "steps", loss and terms to their values at each step.

    Raises:
        ValueError: an unknown first_layer, a damaged checkpoint or one of another run, batches that the processes
            cannot share evenly.
        FloatingPointError: training diverged: in some step the loss or the norm of its gradient is not finite, or after
            some epoch a weight, a statistic, or what ``validate`` computes. It ends there, before the weights follow
            such a gradient; the message says what to lower, and what the checkpoint, which stays, holds.

    Whatever else ends it, Ctrl-C and a full disk included, has a note on what is kept (``__notes__``). The folder of
    the checkpoint is written to, and has to have room for two, before anything is computed.
    """
    device = device_of(model)
    arguments.number(
        "data.train.labels", arguments.highest_class("data.train.labels", data.train.labels), 0, data.num_classes - 1
    )
    if must_be_contiguous(model):
        model.to(memory_format=torch.contiguous_format)
    train_split = data.train.to(device)
    bottom, _ = split_at(model, schedule.first_layer)
    optimizer, scheduler = _optimizer(_parameters_except(model, bottom), len(train_split), schedule)
    history: History = []
    run = {"schedule": asdict(schedule), "recipe": recipe}
    if checkpoint is not None and parallel.on_first_process(checkpoint.exists):
        history = _load_checkpoint(checkpoint, model, optimizer, scheduler, run)
        progress(f"continuing after epoch {len(history)} of {schedule.epochs}")
    if checkpoint is not None and len(history) < schedule.epochs:
        size = checkpoint_size(model, schedule.epochs * max(1, len(train_split) // schedule.batch_size))
        # The next is written before the last one goes.
        needed = partial(disk.require, "checkpoint", checkpoint.parent, (1 if history else 2) * size, _ANOTHER_FOLDER)
        parallel.on_first_process(needed)
    kept = _kept(checkpoint, history, schedule)

    pairs: FrozenLayersCache | None = None
    bottom.requires_grad_(False)
    try:
        for epoch in range(len(history) + 1, schedule.epochs + 1):
            began = time.perf_counter()
            seed = schedule.seed * 100_003 + epoch
            try:
                with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                    torch.manual_seed(seed + 1_000_000_007 * parallel.rank())
                    objective.start_epoch(model, train_split)
                    if objective.pairs is not None and (pairs is None or pairs.x_adv is not objective.pairs):
                        pairs = FrozenLayersCache(model, schedule.first_layer, train_split, objective.pairs)
                    model.train()
                    bottom.eval()
                    curves = _train_epoch(
                        model, data, train_split, pairs, objective, schedule, optimizer, scheduler, seed
                    )
                _check_state(model)
                model.eval()
                validated = validate(model) if validate else {}
            except FloatingPointError as error:
                raise FloatingPointError(
                    f"training diverged in epoch {epoch}: {error}; lower {steered_by} (the learning rate is "
                    f"{schedule.lr:g}); {kept}"
                ) from error
            terms = {name: statistics.fmean(values) for name, values in curves.items()}
            lr, seconds = float(scheduler.get_last_lr()[0]), time.perf_counter() - began
            history.append({"epoch": epoch, "lr": lr, **terms, **validated, "seconds": seconds, "steps": curves})
            if checkpoint is not None:
                save = partial(_save_checkpoint, checkpoint, model, optimizer, scheduler, run, history)
                parallel.on_first_process(save)
                kept = _kept(checkpoint, history, schedule)
            progress(_describe(history, schedule.epochs))
    except BaseException as error:
        error.add_note(kept)
        raise
    finally:
        for parameter in model.parameters():
            parameter.requires_grad_(True)
        model.eval()
    return history


def _optimizer(parameters: list[nn.Parameter], images: int, schedule: Schedule) -> tuple[torch.optim.SGD, OneCycleLR]:
    batch = min(schedule.batch_size, images)
    if batch % parallel.world_size() != 0:
        raise ValueError(
            f"batch_size: {parallel.world_size()} processes cannot share batches of {batch} images evenly; "
            f"take a multiple of {parallel.world_size()}"
        )
    steps = max(1, images // schedule.batch_size)  # floor(N / B), Algorithm 1
    optimizer = torch.optim.SGD(
        parameters, lr=schedule.lr, momentum=schedule.momentum, weight_decay=schedule.weight_decay
    )
    return optimizer, OneCycleLR(optimizer, schedule.lr, total_steps=schedule.epochs * steps, cycle_momentum=False)


def _parameters_except(model: nn.Module, bottom: nn.Module) -> list[nn.Parameter]:
    frozen = {id(parameter) for parameter in bottom.parameters()}
    return [parameter for parameter in model.parameters() if id(parameter) not in frozen]


def _train_epoch(
    model: nn.Module,
    data: Dataset,
    train_split: Split,
    pairs: FrozenLayersCache | None,
    objective: Objective,
    schedule: Schedule,
    optimizer: torch.optim.Optimizer,
    scheduler: OneCycleLR,
    seed: int,
) -> dict[str, list[float]]:
    generator = torch.Generator().manual_seed(seed)
    trained = model if pairs is None else pairs.top
    curves: dict[str, list[Tensor]] = {}
    rounding = in_tf32(train_split.images.device, schedule.precision == "tf32")  # in the backward passes, too
    with rounding, parallel.data_parallel(trained, objective) as loss_of:
        for index, images, y in batches(train_split, schedule.batch_size, generator):
            mine = parallel.part(len(y))
            if pairs is None:
                x, x_adv = augment(to_float(images), data.crop_padding, data.flip, generator)[mine], None
            else:
                x, x_adv = pairs[index[mine]]
            with autocast(x.device, schedule.precision):
                x, x_adv = fast_memory_format(trained, x), None if x_adv is None else fast_memory_format(trained, x_adv)
                loss, terms = loss_of(x, x_adv, y[mine])
            optimizer.zero_grad()
            loss.backward()
            _check_step(len(curves.get("loss", ())) + 1, loss, optimizer)
            optimizer.step()
            scheduler.step()
            for name, value in {"loss": loss, **terms}.items():
                curves.setdefault(name, []).append(value.detach())
    # The parts of a batch are equally large.
    return {name: parallel.mean(torch.stack(values), 1).tolist() for name, values in curves.items()}


def _check_step(number: int, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """The loss and the norm of the gradient are finite: the one look per step for which the device is waited for."""
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    norm = get_total_norm(gradients)
    if not (loss.detach() + norm).isfinite():
        what = "the loss" if norm.isfinite() else "the norm of the gradient"  # which is the same in all processes
        raise FloatingPointError(f"{what} became {(loss if norm.isfinite() else norm).item()} in step {number}")


def _check_state(model: nn.Module) -> None:
    """Weights and statistics are finite, as the last step of an epoch has left them."""
    for name, value in model.state_dict().items():
        if not value.isfinite().all():
            raise FloatingPointError(f"{name} is not finite after its last step")


def _describe(history: History, epochs: int) -> str:
    last = history[-1]
    left = (epochs - len(history)) * sum(entry["seconds"] for entry in history) / len(history)
    numbers = ", ".join(f"{k} {v:.4g}" for k, v in last.items() if k not in ("epoch", "lr", "seconds", "steps"))
    return f"epoch {len(history)}/{epochs}: {numbers}; {last['seconds']:.1f} s, about {left:.0f} s left"


def _kept(checkpoint: Path | None, history: History, schedule: Schedule) -> str:
    """In words, what a training that ends now leaves."""
    if checkpoint is None or not history:
        return "no epoch is kept"
    return f"epoch {len(history)} of {schedule.epochs} is kept in {checkpoint}"


def checkpoint_size(model: nn.Module, steps: int) -> int:
    """Bytes of a checkpoint of ``train`` at most, after so many steps: weights, momentum and history."""
    tensors = [*model.state_dict().values(), *model.parameters()]
    return sum(tensor.nbytes for tensor in tensors) + _BYTES_PER_STEP * steps + 2**16


def _save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: OneCycleLR,
    run: dict[str, Any],
    history: History,
) -> None:
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors[f"momentum.{index}"] = state["momentum_buffer"]
    save_tensors(path, tensors, {**run, "history": history, "scheduler": scheduler.state_dict()})


def _load_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, scheduler: OneCycleLR, run: dict[str, Any]
) -> History:
    tensors, state = parallel.on_first_process(lambda: load_tensors(path))
    of_file = {name: state.get(name) for name in run}
    if of_file != json.loads(json.dumps(run)):
        raise ValueError(f"checkpoint: {path} is of another run, {of_file}; delete it or name another file")
    try:
        model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    except RuntimeError as error:
        raise ValueError(f"checkpoint: {path} is of another model ({error}); delete it or name another file") from error
    saved = optimizer.state_dict()
    saved["state"] = {
        int(name.removeprefix("momentum.")): {"momentum_buffer": tensor}
        for name, tensor in tensors.items()
        if name.startswith("momentum.")
    }
    optimizer.load_state_dict(saved)
    scheduler.load_state_dict(state["scheduler"])
    for group, lr in zip(optimizer.param_groups, state["scheduler"]["_last_lr"], strict=True):
        group["lr"] = lr
    return state["history"]
