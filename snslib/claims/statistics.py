"""Accuracies as shares of n images: their intervals, and how they are compared."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import NormalDist, fmean, stdev

from scipy import optimize, stats

from snslib.attacks import ATTACKS

LEVEL = 0.95  # of intervals; 1 - LEVEL is the chance at which a difference counts
SMALLEST = 1e-12  # p-value that is told apart from 0


def interval(share: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """The Wilson interval of a share of n images; a mean over seeds need not be a multiple of 1/n."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    return max(low, 0.0), min(high, 1.0)  # rounding would take some of them beyond, and "-0.00%" be printed


@dataclass(frozen=True)
class Accuracy:
    """A share of n images, once for each seed: what a comparison of accuracies works on.

    Args:
        values: one share in [0, 1] per seed, at least one.
        n: the number of images, the same ones for every seed.
    """

    values: tuple[float, ...]
    n: int

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return fmean(self.values)

    def __str__(self) -> str:
        spread = f" ± {100 * stdev(self.values):.2f}" if len(self.values) > 1 else ""
        return f"{100 * self.mean:.2f}{spread}%"


Accuracies = Mapping[str, Mapping[str, Accuracy]]  # row of a table to column to accuracy


def difference(a: Accuracy, b: Accuracy, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a - b, a difference of two shares (Newcombe 1998, from the Wilson interval of each).

    That both models see the same images is not used, which makes it somewhat too wide. Where there are several seeds,
    their spread widens it, as in a t test with pooled variance; with one seed each, nothing in it says what another
    would give. It ends at -1 and 1, between which every difference of shares lies.
    """
    (low_a, high_a), (low_b, high_b) = interval(a.mean, a.n, level), interval(b.mean, b.n, level)
    free = len(a.values) + len(b.values) - 2
    of_seeds = 0.0
    if free > 0:
        squares = sum((value - share.mean) ** 2 for share in (a, b) for value in share.values)
        error = squares / free * (1 / len(a.values) + 1 / len(b.values))
        of_seeds = float(stats.t.ppf((1 + level) / 2, free)) ** 2 * error
    gap = a.mean - b.mean
    low = gap - math.sqrt((a.mean - low_a) ** 2 + (high_b - b.mean) ** 2 + of_seeds)
    high = gap + math.sqrt((high_a - a.mean) ** 2 + (b.mean - low_b) ** 2 + of_seeds)
    return max(low, -1.0), min(high, 1.0)


def sign(a: Accuracy, b: Accuracy) -> int:
    """1 where a is above b, -1 where it is below, 0 where the interval of their difference holds 0."""
    low, high = difference(a, b)
    return 1 if low > 0 else -1 if high < 0 else 0


def p_value(a: Accuracy, b: Accuracy) -> float:
    """The chance of so large a difference between equals, that is 1 - level of the interval that ends at 0.

    It is at least SMALLEST.
    """
    first = 0 if a.mean > b.mean else 1  # the end that lies toward 0

    def end(p: float) -> float:
        return difference(a, b, 1 - p)[first] * (1, -1)[first]

    if a.mean == b.mean or end(0.999) <= 0:
        return 1.0
    return SMALLEST if end(SMALLEST) > 0 else float(optimize.brentq(end, SMALLEST, 0.999))


def holm(p_values: Sequence[float]) -> list[bool]:
    """Which of several differences count, so that the chance that any of them is one of equals is at most 5% (Holm)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    counts = [False] * len(p_values)
    for rank, place in enumerate(order):
        if p_values[place] > (1 - LEVEL) / (len(p_values) - rank):
            break
        counts[place] = True
    return counts


@dataclass(frozen=True)
class Comparison:
    """How a row of a table does against others, counted over rivals and columns."""

    ahead: int
    behind: int
    of: int

    def __str__(self) -> str:
        return f"ahead in {self.ahead} of {self.of}, behind in {self.behind}"


def compare(table: Accuracies, row: str, rivals: Sequence[str], columns: Sequence[str] = tuple(ATTACKS)) -> Comparison:
    """``row`` against each of ``rivals`` in each of ``columns``; differences count that survive :func:`holm`."""
    pairs = [(table[row][column], table[rival][column]) for rival, column in product(rivals, columns)]
    counts = holm([p_value(a, b) for a, b in pairs])
    ahead = [a.mean > b.mean for (a, b), one in zip(pairs, counts, strict=True) if one]
    return Comparison(ahead.count(True), ahead.count(False), len(pairs))
