"""Checks of what is computed from recordings: sensitivities (chapters 2 and 5) and sets of neurons (2 and 3)."""

from collections.abc import Callable

import torch
from torch import Tensor

from snslib import overlap
from snslib.exercises.run import ExerciseError, as_number, as_tensor, compare, exercise, returned
from snslib.exercises.tasks import random, recorded


@exercise("2.1")
def check_neuron_sensitivity(solution: Callable[[Tensor, Tensor], Tensor]) -> str:
    """Check ``(clean, adversarial) -> sigma``, Eq. 1 of one layer: recordings (N, C, ...) to (C,)."""
    for clean, adversarial in (recorded(3, 4, 2, 3), recorded(3, 5)):
        signed = (clean - adversarial).view(*clean.shape[:2], -1)  # image, neuron, position
        change = signed.abs()
        right = change.sum(2).mean(0)
        mistakes = {
            "gains and losses cancel: take the absolute value of the difference.": signed.sum(2).mean(0),
            "gains and losses cancel: take absolute values before summing positions.": signed.sum(2).abs().mean(0),
            "that is the mean over positions: the L1 norm sums over them.": change.mean((0, 2)),
            "that is the sum over images: Eq. 1 divides by their number N.": change.sum((0, 2)),
            "that is one number per image and neuron: average over images, axis 0.": change.sum(2),
            "that is one number per position: sum over positions, axis 2 on.": (clean - adversarial).abs().mean(0),
            "that is the L2 norm: Eq. 1 has the L1 norm, the sum of absolute values.": signed.norm(dim=2).mean(0),
            "that is a sum of squares: Eq. 1 has absolute values.": signed.square().sum(2).mean(0),
            "that is one number for the layer: keep the neurons, axis 1.": right.sum(),
        }
        sigma = as_tensor(returned(solution, clean=clean, adversarial=adversarial))
        compare(sigma, right, mistakes, f"The recordings are {tuple(clean.shape)}: images, neurons, then positions.")
    return "Right: Eq. 1, for layers with positions and without."


@exercise("2.2")
def check_top_neurons(solution: Callable[[Tensor, float], Tensor]) -> str:
    """Check ``(sigma, fraction) -> neurons``, Eq. 2 of one layer: (C,) to the top floor(fraction C) indices."""
    for channels in (16, 64, 8):
        sigma = random(channels, seed=channels)
        order, k = sigma.argsort(descending=True), max(1, channels // 10)
        neurons = returned(solution, sigma=sigma, fraction=0.1)
        neurons = torch.as_tensor(neurons) if isinstance(neurons, list) else as_tensor(neurons)
        asked = f"0.1 of {channels} neurons are {channels / 10:g}, so {k} is to be chosen"
        if neurons.shape == sigma.shape:
            raise ExerciseError(f"there is an answer for every neuron: {asked}; return the indices of those.")
        if neurons.ndim != 1 or len(neurons) != k:
            rule = "round down" if channels > 10 else "there is always at least one"
            raise ExerciseError(f"{asked}, and the result has shape {tuple(neurons.shape)}: {rule}.")
        mistakes = {
            "these are the highest sensitivities: return the indices of their neurons.": sigma[order[:k]],
            "these are the least sensitive neurons: sort from the highest to the lowest.": order.flip(0)[:k],
            "the right neurons in another order: the most sensitive comes first.": order[:k].sort().values,
            "the right neurons in reverse order: the most sensitive comes first.": order[:k].flip(0),
        }
        compare(neurons, order[:k], mistakes, "They are the indices of the highest sensitivities, the highest first.")
    return "Right: Eq. 2, rounded down, at least one, the most sensitive first."


@exercise("5.2")
def check_relative_sensitivity(solution: Callable[[Tensor, Tensor], float]) -> str:
    """Check ``(clean, adversarial) -> share``: the summed change of a layer over its summed clean output."""
    for clean, adversarial in (recorded(3, 4, 2, 3), recorded(4, 5)):
        signed, output = ((t.view(*clean.shape[:2], -1)) for t in (clean - adversarial, clean))
        change, size = signed.abs(), output.abs()
        right = (change.sum() / size.sum()).item()
        mistakes = {
            "gains and losses cancel: sum the absolute values of the differences.": signed.sum().abs() / size.sum(),
            "outputs above and below 0 cancel: sum their absolute values.": change.sum() / output.sum(),
            "that divides by the output for x': divide by that for clean images.": change.sum()
            / adversarial.abs().sum(),
            "that is the mean of the neurons' ratios: take sums over all neurons first, and one ratio of them.": (
                (change.sum((0, 2)) / size.sum((0, 2))).mean()
            ),
            "that is the mean of the images' ratios: take sums over all images first, and one ratio of them.": (
                (change.sum((1, 2)) / size.sum((1, 2))).mean()
            ),
            "the ratio is upside down: divide the change by the output.": 1 / right,
            "that is the change alone: divide it by the clean output.": change.sum(),
        }
        share = as_number(returned(solution, clean=clean, adversarial=adversarial))
        compare(share, right, mistakes, "It is one sum over images, neurons and positions divided by another.")
    return "Right: 0 means that nothing moves, 1 that the change is as large as the output."


@exercise("3.2")
def check_average_jaccard(solution: Callable[[list[set[int]]], float]) -> str:
    """Check ``sets -> J_avg``, Eq. 7: the mean Jaccard index over all pairs of different sets of neurons."""
    for sets in ([{0, 1, 2}, {1, 2, 3}, {2, 3, 4, 5}], [{7}, {7}, {3}, {7, 3}]):
        pairs = [(a, b) for i, a in enumerate(sets) for b in sets[:i]]
        total = sum(len(a & b) / len(a | b) for a, b in pairs)
        n, m = len(sets), len(pairs)
        mistakes = {
            "that is the total Jaccard index, Eq. 8: Eq. 7 averages over pairs.": overlap.total_jaccard(sets),
            "pairs of a set with itself are counted, which have 1: Eq. 7 leaves them out.": (2 * total + n) / n**2,
            "that is the sum over the pairs: divide by their number M.": total,
            "that is divided by the number of sets: divide by that of the pairs, M.": total / n,
            "every pair is counted twice and divided by once.": 2 * total / m,
            "that divides by the sizes of both sets: divide by the size of their union.": (
                sum(len(a & b) / (len(a) + len(b)) for a, b in pairs) / m
            ),
            "that divides by the size of the smaller set: divide by the size of the union.": (
                sum(len(a & b) / min(len(a), len(b)) for a, b in pairs) / m
            ),
        }
        compare(as_number(returned(solution, sets=sets)), total / m, mistakes, f"The sets are {sets}.")
    return "Right: Eq. 7."
