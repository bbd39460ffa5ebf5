"""How much sets of neurons overlap (Eq. 6-8), what chance alone would give, and how far the images decide it."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from operator import index
from typing import Any

from torch import Tensor

from snslib import arguments

NeuronSet = Tensor | Iterable[int]  # whole numbers >= 0: a tensor (K,), or anything else that gives them one by one


def jaccard(a: NeuronSet, b: NeuronSet) -> float:
    """Size of the intersection over size of the union of two sets of neurons (Eq. 6), in [0, 1].

    Raises:
        ValueError: both sets are empty, or one is no set of neurons: a mask, a name, a tensor of several axes.
    """
    return total_jaccard([a, b])


def average_jaccard(sets: Sequence[NeuronSet]) -> float:
    """Average pair Jaccard index (Eq. 7): the mean of Eq. 6 over all pairs of the sets.

    Raises:
        ValueError: fewer than two sets, a pair of empty ones, or what is no set of neurons.
    """
    members = at_least_two(sets)
    pairs = [_index((members[i], members[j])) for i in range(len(members)) for j in range(i)]
    return sum(pairs) / len(pairs)


def total_jaccard(sets: Sequence[NeuronSet]) -> float:
    """Total Jaccard index (Eq. 8): neurons in all of the sets over neurons in any of them.

    Raises:
        ValueError: fewer than two sets, nothing in any of them, or what is no set of neurons.
    """
    return _index(at_least_two(sets))


def chance_jaccard(k: int, channels: int) -> float:
    """The Jaccard index to expect of two sets of k neurons drawn from ``channels`` at random.

    With X the size of the overlap, hypergeometric, it is E[X / (2k - X)].

    Raises:
        ValueError: channels < 1, or k outside 1..channels.
    """
    arguments.at_least("channels", channels, 1)
    arguments.number("k", k, 1, channels, whole=True, about="of the channels")
    ways = math.comb(channels, k)
    return sum(
        math.comb(k, overlap) * math.comb(channels - k, k - overlap) / ways * overlap / (2 * k - overlap)
        for overlap in range(k + 1)
    )


def at_least_two(sets: Sequence[NeuronSet]) -> list[set[int]]:
    """The sets as sets of ints; ValueError where there are fewer than two, or one is no set of neurons."""
    if not isinstance(sets, Sequence) or isinstance(sets, str):
        raise ValueError(f"sets: expected a list of sets of neurons, got {arguments.shown(sets)}")
    if len(sets) < 2:
        raise ValueError(f"sets: expected at least two sets of neurons, got {len(sets)}")
    return [_members(one) for one in sets]


def dictionary(name: str, value: Mapping[str, Any]) -> None:
    """``value`` is a dictionary."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}: expected a dictionary by layer, got {arguments.shown(value)}")


def listed(name: str, value: Collection[Any], of: str) -> None:
    """``value`` is a list of what is said, or something else that has a length and an order."""
    refused = isinstance(value, (str, bytes, Mapping, Set)) or getattr(value, "ndim", 1) == 0
    if refused or not isinstance(value, Collection):
        raise ValueError(f"{name}: expected a list of {of}, got {arguments.shown(value)}")


def _members(neurons: NeuronSet) -> set[int]:
    try:
        if isinstance(neurons, (str, bytes)):
            raise TypeError
        listed = neurons.tolist() if isinstance(neurons, Tensor) else list(neurons)
        if any(isinstance(neuron, bool) for neuron in listed):
            raise TypeError
        members = set(map(index, listed))
    except (TypeError, RuntimeError):  # of a tensor that is sparse or on "meta"
        raise ValueError(
            f"sets: expected sets of neurons as whole numbers, got {arguments.shown(neurons)}; "
            "mask.nonzero().flatten() makes them of a mask"
        ) from None
    if members and min(members) < 0:
        raise ValueError(f"sets: neurons are counted from 0, got {min(members)}")
    return members


def _index(sets: Sequence[set[int]]) -> float:
    union = set.union(*sets)
    if not union:
        raise ValueError("sets: the Jaccard index of empty sets is undefined")
    return len(set.intersection(*sets)) / len(union)
