"""Accuracies as shares of n images: their intervals, and how they are compared."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import NormalDist, fmean, stdev

from scipy import stats

from snslib.attacks import ATTACKS

Z = NormalDist().inv_cdf(0.975)  # of the two-sided 95% interval


def interval(share: float, n: int) -> tuple[float, float]:
    """The 95% Wilson interval of a share of n images; a mean over seeds need not be a multiple of 1/n."""
    centre, half = share + Z * Z / (2 * n), Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    low, high = (centre - half) / (1 + Z * Z / n), (centre + half) / (1 + Z * Z / n)
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


def difference(a: Accuracy, b: Accuracy) -> tuple[float, float]:
    """The 95% interval of a - b, a difference of two shares (Newcombe 1998, from the Wilson interval of each).

    That both models see the same images is not used, which makes it somewhat too wide. Where there are several seeds,
    their spread widens it, as in a t test with pooled variance; with one seed each, nothing in it says what another
    would give. It ends at -1 and 1, between which every difference of shares lies.
    """
    (low_a, high_a), (low_b, high_b) = interval(a.mean, a.n), interval(b.mean, b.n)
    free = len(a.values) + len(b.values) - 2
    of_seeds = 0.0
    if free > 0:
        squares = sum((value - share.mean) ** 2 for share in (a, b) for value in share.values)
        error = squares / free * (1 / len(a.values) + 1 / len(b.values))
        of_seeds = float(stats.t.ppf(0.975, free)) ** 2 * error
    gap = a.mean - b.mean
    low = gap - math.sqrt((a.mean - low_a) ** 2 + (high_b - b.mean) ** 2 + of_seeds)
    high = gap + math.sqrt((high_a - a.mean) ** 2 + (b.mean - low_b) ** 2 + of_seeds)
    return max(low, -1.0), min(high, 1.0)


def sign(a: Accuracy, b: Accuracy) -> int:
    """1 where a is above b, -1 where it is below, 0 where the interval of their difference holds 0."""
    low, high = difference(a, b)
    return 1 if low > 0 else -1 if high < 0 else 0


@dataclass(frozen=True)
class Comparison:
    """How a row of a table does against others, counted over rivals and columns."""

    ahead: int
    behind: int
    of: int

    def __str__(self) -> str:
        return f"ahead in {self.ahead} of {self.of}, behind in {self.behind}"


def compare(table: Accuracies, row: str, rivals: Sequence[str], columns: Sequence[str] = tuple(ATTACKS)) -> Comparison:
    """``row`` against each of ``rivals`` in each of ``columns``."""
    signs = [sign(table[row][column], table[rival][column]) for rival, column in product(rivals, columns)]
    return Comparison(signs.count(1), signs.count(-1), len(signs))
