"""How much sets of neurons overlap (Eq. 6-8), what chance alone would give, and how far the images decide it."""

import math
from collections.abc import Iterable, Sequence

from torch import Tensor

NeuronSet = Tensor | Iterable[int]


def jaccard(a: NeuronSet, b: NeuronSet) -> float:
    """Size of the intersection over size of the union of two sets of neurons (Eq. 6), in [0, 1].

    Raises:
        ValueError: both sets are empty.
    """
    return total_jaccard([a, b])


def average_jaccard(sets: Sequence[NeuronSet]) -> float:
    """Average pair Jaccard index (Eq. 7): the mean of Eq. 6 over all pairs of the sets.

    Raises:
        ValueError: fewer than two sets, or a pair of empty ones.
    """
    members = at_least_two(sets)
    pairs = [jaccard(members[i], members[j]) for i in range(len(members)) for j in range(i)]
    return sum(pairs) / len(pairs)


def total_jaccard(sets: Sequence[NeuronSet]) -> float:
    """Total Jaccard index (Eq. 8): neurons in all of the sets over neurons in any of them.

    Raises:
        ValueError: fewer than two sets, or nothing in any of them.
    """
    members = at_least_two(sets)
    union = set.union(*members)
    if not union:
        raise ValueError("sets: the Jaccard index of empty sets is undefined")
    return len(set.intersection(*members)) / len(union)


def chance_jaccard(k: int, channels: int) -> float:
    """The Jaccard index to expect of two sets of k neurons drawn from ``channels`` at random.

    With X the size of the overlap, hypergeometric, it is E[X / (2k - X)].

    Raises:
        ValueError: k outside 1..channels.
    """
    if not 1 <= k <= channels:
        raise ValueError(f"k: expected 1..{channels} of {channels} neurons, got {k}")
    ways = math.comb(channels, k)
    return sum(
        math.comb(k, overlap) * math.comb(channels - k, k - overlap) / ways * overlap / (2 * k - overlap)
        for overlap in range(k + 1)
    )


def at_least_two(sets: Sequence[NeuronSet]) -> list[set[int]]:
    if len(sets) < 2:
        raise ValueError(f"sets: expected at least two sets of neurons, got {len(sets)}")
    return [set(s.tolist() if isinstance(s, Tensor) else s) for s in sets]
