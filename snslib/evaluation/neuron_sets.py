"""Sets of neurons by class and by layer: how alike they are, and how much of that is chance."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from snslib import arguments
from snslib.overlap import (
    NeuronSet,
    at_least_two,
    average_jaccard,
    chance_jaccard,
    dictionary,
    jaccard,
    listed,
    total_jaccard,
)
from snslib.sensitivity import top_neurons


def by_class(first: Sequence[Sequence[int]], second: Sequence[Sequence[int]]) -> dict[str, list[float]]:
    """How alike two kinds of neuron sets are, class by class (Eq. 6).

    Args:
        first: a set of one kind per class, such as its sensitive neurons.
        second: one of the other kind, such as its important neurons; empty for a class that has none.

    Returns:
        "same", per class the index of its two sets; "others", the mean index of its own set and those of the other kind
        of the other classes; NaN where there is none.

    Raises:
        ValueError: not as many sets of one kind as of the other, or what is no set of neurons.
    """
    for name, sets in (("first", first), ("second", second)):
        listed(name, sets, "sets of neurons")
    if len(first) != len(second):
        raise ValueError(f"first, second: expected one set of each per class, got {len(first)} and {len(second)}")
    for neurons in second:
        listed("second", neurons, "neurons")
    defined = [i for i, neurons in enumerate(second) if len(neurons)]
    found = {"same": [math.nan] * len(second), "others": [math.nan] * len(second)}
    for i in defined:
        found["same"][i] = jaccard(first[i], second[i])
        if len(defined) > 1:
            found["others"][i] = fmean(jaccard(first[i], second[j]) for j in defined if j != i)
    return found


def with_one_logit(sets: Mapping[str, Sequence[Sequence[int]]]) -> dict[str, Sequence[Sequence[int]]]:
    """The neurons of each layer that are compared: of fc, whose neurons are the logits, only the first of each class.

    Args:
        sets: layer to one ranking of neurons per class, the most sensitive first.

    Raises:
        ValueError: what is no such dictionary.
    """
    dictionary("sets", sets)
    for layer, lists in sets.items():
        listed("sets", lists, f"sets of neurons of {layer!r}")
        for ranked in lists:
            listed("sets", ranked, f"neurons of {layer!r}")
    return {layer: [ranked[:1] for ranked in lists] if layer == "fc" else lists for layer, lists in sets.items()}


def by_layer(sets: Mapping[str, Sequence[Sequence[int]]], channels: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """How alike the sets of all classes are, layer by layer; of fc one neuron counts (:func:`with_one_logit`).

    Args:
        sets: layer to one set of neurons per class, the most sensitive first; chance is that of the first set's size.
        channels: layer to its number of neurons.

    Returns:
        "average" (Eq. 7), "total" (Eq. 8) and "chance", what Eq. 7 is to expect of random sets, each layer to index.

    Raises:
        ValueError: fewer than two classes, a layer whose number of neurons is not given.
    """
    compared = with_one_logit(sets)
    dictionary("channels", channels)
    for layer in sets:
        if layer not in channels:
            raise ValueError(f"channels: expected those of {layer!r} too, got {arguments.few(map(str, channels))}")
    return {
        "average": {layer: average_jaccard(lists) for layer, lists in compared.items()},
        "total": {layer: total_jaccard(lists) for layer, lists in compared.items()},
        "chance": {layer: chance_jaccard(len(lists[0]), channels[layer]) for layer, lists in compared.items()},
    }


def negative_weights(weight: Tensor, targets: Sequence[int], sets: Sequence[Sequence[int]]) -> float:
    """The part of some neurons that lower the logit of their class, averaged over the classes.

    Args:
        weight: float (K, C) of the linear layer that outputs the logits; its column m belongs to neuron m.
        targets: the classes.
        sets: the neurons of each of them; a class without any is left out.

    Returns:
        In [0, 1]: how many of a class's neurons have a negative weight for it; NaN where no class has neurons.

    Raises:
        ValueError: weights that are not finite or not (K, C), a class or neuron that they do not have, not one set per
            class.
    """
    arguments.floats("weight", weight, "(K, C)")
    if not weight.isfinite().all():
        raise ValueError(f"weight: expected finite weights (K, C), got {arguments.described(weight)}")
    listed("targets", targets, "classes")
    listed("sets", sets, "sets of neurons")
    if len(targets) != len(sets):
        raise ValueError(f"sets: expected one per class, {len(targets)}, got {len(sets)}")
    for target, neurons in zip(targets, sets, strict=True):
        arguments.number("targets", target, 0, len(weight) - 1, whole=True)
        arguments.channels("sets", "fc", arguments.indices("sets", "fc", neurons), weight.shape[1])
    parts = [
        (weight[target][list(neurons)] < 0).double().mean().item()
        for target, neurons in zip(targets, sets, strict=True)
        if len(neurons)
    ]
    return fmean(parts) if parts else math.nan


@dataclass(frozen=True)
class PermutationTest:
    """Whether two kinds of neuron sets, one of each kind per class, have more in common than chance gives.

    Args:
        mean: the mean over classes of the Jaccard index of a class's two sets (Eq. 6), in [0, 1].
        p_neurons: share of draws that reach this mean when the sets of one kind are drawn from all neurons at random.
        p_shuffled_classes: the same when they are shuffled among the classes. It is small only if the sets of a class
            belong together, more than with those of other classes.
    """

    mean: float
    p_neurons: float
    p_shuffled_classes: float


def permutation_test(
    first: Sequence[NeuronSet], second: Sequence[NeuronSet], channels: int, resamples: int = 9999, seed: int = 0
) -> PermutationTest:
    """Compare two kinds of neuron sets class by class, with one-sided permutation tests.

    Args:
        first: the sets of one kind, such as the sensitive neurons of each class; at least two.
        second: those of the other, as many sets, all of them with as many neurons.
        channels: how many neurons they were chosen from.
        resamples: random draws per test, at least 1.
        seed: decides them.

    Raises:
        ValueError: there are not as many sets of one kind as of the other, or their sizes differ; neurons beyond the
            channels.
    """
    arguments.at_least("resamples", resamples, 1)
    seed = arguments.seed("seed", seed)
    a, b = at_least_two(first), at_least_two(second)
    sizes = {len(members) for members in (*a, *b)}
    if len(a) != len(b) or len(sizes) != 1:
        raise ValueError(f"first, second: expected as many sets of equal sizes, got {len(a)} and {len(b)} of {sizes}")
    k = sizes.pop()
    arguments.number(
        "channels", channels, 1 + max(set.union(*a, *b), default=0), whole=True, about="as many as chosen from"
    )
    index = np.array([[jaccard(one, other) for other in b] for one in a])
    mean = float(index.diagonal().mean())
    rng = np.random.default_rng(seed)
    common = rng.hypergeometric(k, channels - k, k, size=(resamples, len(a)))
    drawn = (common / (2 * k - common)).mean(1)
    shuffled = np.array([index[range(len(a)), rng.permutation(len(a))].mean() for _ in range(resamples)])
    # the sets as they are count as one more draw; equal means may differ in the last bit
    p_neurons, p_classes = ((1 + (values >= mean - 1e-12).sum()) / (1 + resamples) for values in (drawn, shuffled))
    return PermutationTest(mean, float(p_neurons), float(p_classes))


def index_errors(blocks: Sequence[Tensor], fraction: float, resamples: int = 200, seed: int = 0) -> tuple[float, float]:
    """Standard errors of J_avg and J_total of one layer's sensitive neurons, over the images they were chosen by.

    Neurons are chosen again by a random half of each class's images, many times. How far the indices of the halves lie
    from that of all images, as root mean square, estimates the standard error (delete-half jackknife: Shao & Wu 1989).
    The images are halved block by block.

    Args:
        blocks: per class, float (B, C): the sensitivities of the layer's neurons on B blocks of images of one size.
        fraction: share of the layer's neurons that count as sensitive.
        resamples: random halves, at least 1.
        seed: decides them.

    Returns:
        The errors of Eq. 7 and of Eq. 8.

    Raises:
        ValueError: fewer than two classes or blocks of one, sensitivities that are not finite, a fraction out of range.
    """
    arguments.at_least("resamples", resamples, 1)
    seed = arguments.seed("seed", seed)
    arguments.share("fraction", fraction)
    listed("blocks", blocks, "sensitivities (B, C), one per class")
    if len(blocks) < 2:
        raise ValueError(f"blocks: expected those of at least two classes, got {len(blocks)}")
    for one in blocks:
        arguments.floats("blocks", one, "(B, C)")
        if not one.numel() or not one.isfinite().all():
            raise ValueError(f"blocks: expected finite sensitivities (B, C), got {arguments.described(one)}")
    if few := [len(sigma) for sigma in blocks if len(sigma) < 2]:
        raise ValueError(f"blocks: halving needs two blocks of images per class, got {few[0]}")
    generator = torch.Generator("cpu").manual_seed(seed)

    def indices(chosen: Sequence[Tensor]) -> tuple[float, float]:
        sets = [top_neurons({"": sigma.mean(0)}, fraction=fraction)[""] for sigma in chosen]
        return average_jaccard(sets), total_jaccard(sets)

    def half(sigma: Tensor) -> Tensor:
        return sigma[torch.randperm(len(sigma), generator=generator, device="cpu")[: len(sigma) // 2]]

    whole = indices(blocks)
    halves = [indices([half(sigma) for sigma in blocks]) for _ in range(resamples)]
    average, total = (
        math.sqrt(fmean((value - index) ** 2 for value in values))
        for values, index in zip(zip(*halves, strict=True), whole, strict=True)
    )
    return average, total
