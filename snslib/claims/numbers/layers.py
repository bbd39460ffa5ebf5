"""Statistics of a layer's neurons from records of sensitivity: what Fig. 6 to 8 compare, layer by layer.

Each statistic takes the records of one network, one per seed, and a layer. Of several seeds it is about the mean of
each rank: neurons of different seeds have nothing in common but their place when all are sorted.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import fmean

import torch
from torch import Tensor

from snslib.sensitivity import relative_sensitivity, top_count, top_mean
from snslib.study.records import Record

Statistic = Callable[[Sequence[Record], str], float]

TOP = 0.1  # the sensitive neurons are the top 10% of a layer


def conv_layers(record: Record) -> list[str]:
    """The convolutional layers of a record of sensitivity, bottom to top: all but fc."""
    return [layer for layer in record.result["sigma"] if layer != "fc"]


def ranked(entries: Sequence[Record], layer: str) -> Tensor:
    """The layer's sensitivities from high to low, float64 (C,), each rank averaged over the seeds."""
    of_seeds = [torch.tensor(entry.result["sigma"][layer], dtype=torch.float64) for entry in entries]
    return torch.stack([sigma.sort(descending=True).values for sigma in of_seeds]).mean(0)


def mean(entries: Sequence[Record], layer: str) -> float:
    """The mean sensitivity of all neurons of the layer (Fig. 8b)."""
    return ranked(entries, layer).mean().item()


def mean_of_top(entries: Sequence[Record], layer: str, fraction: float = TOP) -> float:
    """The mean sensitivity of the most sensitive neurons of the layer, ``fraction`` of them all (Fig. 7)."""
    return top_mean(ranked(entries, layer), fraction)


def relative(entries: Sequence[Record], layer: str) -> float:
    """The layer's summed sensitivity over its summed clean output, averaged over seeds; 0 for an inactive layer."""
    results = [entry.result for entry in entries]
    of_seeds = (relative_sensitivity(result["sigma"][layer], result["activation"][layer]) for result in results)
    return fmean(0.0 if math.isnan(value) else value for value in of_seeds)


def means(records: Mapping[str, Record]) -> dict[str, dict[str, float]]:
    """:func:`mean` of every convolutional layer: label of each record to layer to value."""
    return _by_layer(mean, records)


def top_means(records: Mapping[str, Record], fraction: float = TOP) -> dict[str, dict[str, float]]:
    """As :func:`means`, of the most sensitive neurons alone, ``fraction`` of each layer's."""
    return _by_layer(partial(mean_of_top, fraction=fraction), records)


def relatives(records: Mapping[str, Record]) -> dict[str, dict[str, float]]:
    """As :func:`means`, of :func:`relative`."""
    return _by_layer(relative, records)


def _by_layer(statistic: Statistic, records: Mapping[str, Record]) -> dict[str, dict[str, float]]:
    return {
        label: {layer: statistic([record], layer) for layer in conv_layers(record)} for label, record in records.items()
    }


def fall_in_top(a: Record, b: Record, layers: Sequence[str], fraction: float = TOP) -> float:
    """How much of what sensitivity falls by from a to b it falls by in the most sensitive neurons, sorted in both.

    Args:
        a, b: records of sensitivity.
        layers: those to look at.
        fraction: of a layer's neurons, which count as the most sensitive.

    Returns:
        The fall of the first ranks over that of all ranks, averaged over the layers whose summed sensitivity falls:
        ``fraction`` if all ranks fall alike, NaN where no layer's sensitivity falls.
    """
    parts = []
    for layer in layers:
        fall = ranked([a], layer) - ranked([b], layer)
        if fall.sum() > 0:
            parts.append((fall[: top_count(len(fall), fraction)].sum() / fall.sum()).item())
    return fmean(parts) if parts else math.nan
