"""The loss terms of section 4.2 and C.1: SNS loss (Eq. 9), adversarial training loss (in Eq. 11), logit pairing."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from snslib import arguments, kernels

REDUCTIONS = ("mean", "space_mean", "sum", "relative", "image_relative")
NO_CLASS = torch.iinfo(torch.int64).min  # for PyTorch to ignore in place of its -100, which is no class to leave out


def sns_loss(
    clean: Mapping[str, Tensor],
    adversarial: Mapping[str, Tensor],
    omega: Mapping[str, Tensor],
    reduction: str = "mean",
) -> Tensor:
    """How far the sensitive neurons' outputs for x and x' lie apart (Eq. 9), averaged over the batch.

    Where a neuron outputs exactly the same for both, the gradient is 0.

    Args:
        clean, adversarial: recordings of the same layers, layer to (N, C, H, W) or (N, C).
        omega: layer to the sensitive neurons, int64 (K,); the layers summed over.
        reduction: how the norm of Eq. 9 is read. "sum" is the literal L1 norm, summed over positions and neurons;
            "space_mean" averages over positions, so that layers of different sizes weigh alike; "mean" averages over
            positions and neurons, so that neither size nor number of the chosen neurons matters. "relative" and
            "image_relative" are no readings but remedies of ours: each neuron's difference is divided by its
            :func:`deviation`, over images and positions or over images alone, and these ratios in [0, 1] are averaged
            over neurons. All sum over layers.

    Returns:
        A scalar >= 0.

    Raises:
        ValueError: no layers, a layer that was not recorded, no neurons of a layer, some that it does not have or a
            mask, shapes that differ, an unknown reduction.
    """
    arguments.one_of("reduction", reduction, REDUCTIONS)
    for name, value in (("clean", clean), ("adversarial", adversarial), ("omega", omega)):
        if not isinstance(value, Mapping):
            raise ValueError(f"{name}: expected a dictionary by layer, got {arguments.shown(value)}")
    if not omega:
        raise ValueError("omega: expected the sensitive neurons of at least one layer, got none")
    terms = []
    for layer, neurons in omega.items():
        if layer not in clean or layer not in adversarial:
            raise ValueError(
                f"omega: layer {layer!r} was not recorded; recorded are {arguments.few(map(str, clean)) or 'none'}"
            )
        a, b = clean[layer], adversarial[layer]
        for name, side in (("clean", a), ("adversarial", b)):
            if not isinstance(side, Tensor):
                raise ValueError(f"{name}: expected the outputs of {layer!r} as a tensor, got {arguments.shown(side)}")
        if a.shape != b.shape:
            raise ValueError(f"adversarial: {layer!r} has shape {tuple(b.shape)}, the clean one {tuple(a.shape)}")
        neurons = arguments.indices("omega", layer, neurons)
        if len(neurons) == 0:
            raise ValueError(f"omega: expected at least one neuron of {layer!r}, got none")
        arguments.channels("omega", layer, neurons, a.shape[1])
        neurons = neurons.to(a.device)
        distances = kernels.channel_l1(a, b, neurons)
        if reduction in ("relative", "image_relative"):
            varied = deviation(a, b, neurons, by_position=reduction == "image_relative")
            terms.append((distances / varied.clamp_min(torch.finfo(distances.dtype).tiny)).mean())
            continue
        positions = a[0, 0].numel()
        divisor = {"sum": 1, "space_mean": positions, "mean": positions * len(neurons)}[reduction]
        terms.append(distances.sum() / len(a) / divisor)
    return torch.stack(terms).sum()


def deviation(a: Tensor, b: Tensor, neurons: Tensor, by_position: bool = False) -> Tensor:
    """How much some neurons' outputs vary at all: the summed distances of a and of b from the mean of both.

    The summed distance of a from b is at most this. Their ratio stays the same when a neuron's output is scaled or
    shifted, so that no loss made of it is lowered by turning the neuron down or by adding a constant; 0 / 0, of a
    neuron that is off, counts as 0, but no gradient leads there. Of several processes, each uses its part of the batch.

    Args:
        a, b: (N, C, ...), of one shape.
        neurons: int64 (K,).
        by_position: take the mean at each position by itself, so that what counts is how the output varies from image
            to image, and no pattern that is the same for every image does.

    Returns:
        (K,), float32, or float64 for float64.

    Raises:
        ValueError: shapes that differ, or indices that are no whole numbers.
    """
    _alike("a", a, "b", b)
    neurons = arguments.indices("neurons", "a", neurons)
    if len(neurons) == 0:
        raise ValueError("neurons: expected at least one, got none")
    arguments.channels("neurons", "a", neurons, a.shape[1])
    by_position = arguments.flag("by_position", by_position)
    both = torch.cat([side[:, neurons].reshape(len(side), len(neurons), -1) for side in (a, b)])
    both = both.to(torch.promote_types(both.dtype, torch.float32))
    return (both - both.mean(0 if by_position else (0, 2), keepdim=True)).abs().sum((0, 2))


def adversarial_loss(logits: Tensor, logits_adv: Tensor, y: Tensor) -> Tensor:
    """L_adv of Eq. 11: cross-entropy on clean and adversarial images, mixed 1 to 1 (C.1).

    Args:
        logits, logits_adv: (N, K).
        y: int64 (N,), each in 0..K-1. On a GPU, which is not waited for, another class is PyTorch's device-side error.

    Raises:
        ValueError: shapes that do not match, or on a CPU a class out of range.
    """
    _alike("logits", logits, "logits_adv", logits_adv, ndim=2)
    y = arguments.labels("y", y, len(logits), logits.device)
    if not y.is_cuda:
        arguments.classes("y", arguments.highest_class("y", y), logits)
    losses = [F.cross_entropy(one, y, ignore_index=NO_CLASS) for one in (logits, logits_adv)]
    return (losses[0] + losses[1]) / 2


def logit_pairing(logits: Tensor, logits_adv: Tensor) -> Tensor:
    """ALP's pairing term (Kannan et al. 2018, C.1): the mean over images and classes of the squared difference.

    C.1 says "L_2 loss"; this is the mean squared error, as usual under that name. A sum over classes instead would be
    as many times larger as there are classes.

    Args:
        logits, logits_adv: (N, K).

    Raises:
        ValueError: shapes that do not match.
    """
    _alike("logits", logits, "logits_adv", logits_adv, ndim=2)
    return F.mse_loss(logits_adv, logits)


def _alike(name: str, a: Tensor, other: str, b: Tensor, ndim: int | None = None) -> None:
    """Two tensors of one shape, with ``ndim`` axes where it is given."""
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)) or a.shape != b.shape or ndim not in (None, a.ndim):
        axes = "" if ndim is None else " (N, K)"
        raise ValueError(
            f"{name}, {other}: expected two tensors of one shape{axes}, got {arguments.described(a)} and "
            f"{arguments.described(b)}"
        )
    for which, tensor in ((name, a), (other, b)):
        if tensor.dtype not in arguments.FLOATS:
            raise ValueError(f"{which}: expected floats, got {arguments.described(tensor)}")
        arguments.dense(which, tensor)
