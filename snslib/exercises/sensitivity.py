"""Checks of what is computed from recordings: sensitivities (chapters 2 and 5) and sets of neurons (2 and 3)."""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snslib.exercises import expected
from snslib.exercises.run import ExerciseError, as_number, as_tensor, close, compare, exercise, returned
from snslib.exercises.tasks import random, recorded


@exercise("2.1")
def check_neuron_sensitivity(solution: Callable[[Tensor, Tensor], Tensor]) -> str:
    """Check ``(clean, adversarial) -> sigma``, Eq. 1 of one layer: recordings (N, C, ...) to (C,)."""
    for clean, adversarial in recorded():
        right, mistakes = expected.sigma(clean, adversarial)
        sigma = as_tensor(returned(solution, clean=clean, adversarial=adversarial))
        compare(sigma, right, mistakes, f"The recordings are {tuple(clean.shape)}: images, neurons, then positions.")
    return "Right: Eq. 1, for layers with positions and without."


@exercise("2.2")
def check_top_neurons(solution: Callable[[Tensor, float], Tensor]) -> str:
    """Check ``(sigma, fraction) -> neurons``, Eq. 2 of one layer: (C,) to the top floor(fraction C) indices.

    Neurons of the same sensitivity may come in any order.
    """
    dead = torch.tensor([0.0, 2, 0, 3, 2, 0, 1, 0])
    for sigma, fraction, k in (
        *((random(channels, seed=channels), 0.1, k) for channels, k in ((16, 1), (64, 6), (8, 1))),
        (random(20, seed=20), 0.25, 5),
        (random(7, seed=7), 0.5, 3),
        (random(6, seed=6) * 1000, 1.0, 6),
        (dead, 0.375, 3),
        (dead, 0.75, 6),
        (torch.zeros(8), 0.25, 2),
    ):
        neurons = returned(solution, sigma=sigma, fraction=fraction)
        _check_top(_as_indices(neurons), sigma, fraction, k)
    return "Right: Eq. 2, rounded down, at least one, the most sensitive first."


def _as_indices(neurons: Any) -> Tensor:
    """A result that has to be a tensor, or can be made one: a list of numbers, an array."""
    if isinstance(neurons, list | tuple | np.ndarray):
        with contextlib.suppress(TypeError, ValueError, RuntimeError):
            return torch.as_tensor(np.array(neurons))
    return as_tensor(neurons)


def _check_top(neurons: Tensor, sigma: Tensor, fraction: float, k: int) -> None:
    channels = len(sigma)
    few = fraction * channels < 1
    chosen = "1 is" if k == 1 else f"{k} are"
    asked = f"{fraction:g} of {channels} neurons are {fraction * channels:g}, so {chosen} to be chosen"
    if neurons.shape == sigma.shape and k < channels:
        raise ExerciseError(f"there is an answer for every neuron: {asked}; return the indices of those.")
    if neurons.ndim != 1 or len(neurons) != k:
        rule = "there is always at least one" if few else "round down"
        if neurons.ndim == 1 and len(neurons) < k and not few:
            rule = "take the fraction that is given"
        raise ExerciseError(f"{asked}, and the result has shape {tuple(neurons.shape)}: {rule}.")
    values = sigma.sort(descending=True).values[:k]
    if neurons.is_floating_point() or neurons.dtype == torch.bool:
        highest = "these are the highest sensitivities" if close(neurons, values) else f"these are {neurons.dtype}"
        raise ExerciseError(f"{highest}: return the indices of their neurons.")
    shown = f"For sensitivities {[round(value, 3) for value in sigma.tolist()]}" if channels <= 8 else "Here"
    if neurons.min() < 0 or neurons.max() >= channels:
        raise ExerciseError(f"{shown} the result is {neurons.tolist()}: indices are from 0 to {channels - 1}.")
    if len(neurons.unique()) < k:
        raise ExerciseError(f"{shown} the result is {neurons.tolist()}: a neuron is in it twice, take each only once.")
    got = sigma[neurons.long()]
    if close(got, values):
        return
    if close(got.sort(descending=True).values, values):
        order = "reverse" if close(got.flip(0), values) else "another"
        raise ExerciseError(f"the right neurons in {order} order: the most sensitive comes first.")
    if close(got, sigma.sort().values[:k]):
        raise ExerciseError("these are the least sensitive neurons: sort from the highest to the lowest.")
    best = sigma.argsort(descending=True)[:k].tolist()
    raise ExerciseError(
        f"the result is {neurons.tolist()[:5]} and should be {best[:5]}. They are the indices of the highest "
        "sensitivities, the highest first."
    )


@exercise("5.2")
def check_relative_sensitivity(solution: Callable[[Tensor, Tensor], float]) -> str:
    """Check ``(clean, adversarial) -> share``: the summed change of a layer over its summed clean output."""
    for clean, adversarial in recorded():
        right, mistakes = expected.relative_sensitivity(clean, adversarial)
        share = as_number(returned(solution, clean=clean, adversarial=adversarial))
        compare(share, right, mistakes, "It is one sum over images, neurons and positions divided by another.")
    for clean, adversarial in recorded():
        clean[:, 0] = 0
        got = as_number(returned(solution, clean=clean, adversarial=adversarial))
        right, mistakes = expected.relative_sensitivity(clean, adversarial)
        compare(got, right, mistakes, "One neuron is silent for clean images: sum over all neurons, and divide once.")
    return "Right: 0 means that nothing moves, 1 that the change is as large as the output."


@exercise("3.2")
def check_average_jaccard(solution: Callable[[list[set[int]]], float]) -> str:
    """Check ``sets -> J_avg``, Eq. 7: the mean Jaccard index over all pairs of different sets of neurons."""
    for sets in (
        [{0, 1, 2}, {1, 2, 3}, {2, 3, 4, 5}],
        [{7}, {7}, {3}, {7, 3}],
        [{1, 2}, {2, 3, 4}],
        [{5, 6}, {5, 6}, {5, 6}],
        [{0, 9}, {1, 8}],
        [{0}, {0, 1, 2, 3, 4, 5}, {3, 4}, {5, 0}, {1, 2, 3, 4}],
        [set(random(12, seed=seed).topk(size).indices.tolist()) for seed, size in enumerate((5, 3, 6, 2, 5))],
    ):
        right, mistakes = expected.average_jaccard(sets)
        compare(as_number(returned(solution, sets=sets)), right, mistakes, f"The sets are {sets}.")
    return "Right: Eq. 7."
