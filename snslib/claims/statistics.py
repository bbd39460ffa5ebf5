"""Accuracies as shares of n images: their intervals, and how they are compared.

The networks of a comparison see the same images. What is hard for one is mostly hard for the other, so that their
difference varies less than that of two shares of different images. How much less, the outcomes image by image tell.
They are recorded of the first images only; the shares, of all. The rule, written when the shares were known and before
any outcomes were recorded:

- The difference is always that of the shares, on all images. To compare on the first images alone because outcomes are
  recorded there would throw the others away; to try both and take the better would be two chances for one result.
- The outcomes that are there say how alike the networks are right (:func:`correlation`), and so how wide the interval
  is. Where there are none, as of networks with no weights to measure, they count as unrelated: the interval is wider.
- Where the outcomes are of all images, and of one seed each, McNemar's exact test takes the interval's place.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from statistics import NormalDist, fmean, stdev

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from snslib.attacks import ATTACKS

LEVEL = 0.95  # of intervals; 1 - LEVEL is the chance at which a difference counts
SMALLEST = 1e-12  # p-value that is told apart from 0
Right = NDArray[np.bool_]  # (N,), which of N images a network gets right


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
        outcomes: seed to which of the first images are right, of n or fewer; of each seed for which that is recorded.
    """

    values: tuple[float, ...]
    n: int
    outcomes: Mapping[int, Right] = field(default_factory=dict, repr=False, compare=False)

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return fmean(self.values)

    def __str__(self) -> str:
        spread = f" ± {100 * stdev(self.values):.2f}" if len(self.values) > 1 else ""
        return f"{100 * self.mean:.2f}{spread}%"


Accuracies = Mapping[str, Mapping[str, Accuracy]]  # row of a table to column to accuracy


def paired(a: Accuracy, b: Accuracy) -> list[tuple[Right, Right]]:
    """Which of the same images each of two gets right, for every seed of which both have as many outcomes."""
    both = [(a.outcomes[seed], b.outcomes[seed]) for seed in a.outcomes if seed in b.outcomes]
    return [(x, y) for x, y in both if len(x) == len(y)]


def correlation(x: Right, y: Right) -> float:
    """How alike two networks are right on the same images, from -1 to 1: phi, as Newcombe (1998, paired) corrects it.

    The correction brings a positive one nearer to 0, the more the fewer images are right, or wrong. It is 0 where a
    network gets all images right or all wrong.
    """
    n, right_x, right_y, both = len(x), int(x.sum()), int(y.sum()), int((x & y).sum())
    product_of_margins = right_x * (n - right_x) * right_y * (n - right_y)
    if product_of_margins == 0:
        return 0.0
    above_chance = both * n - right_x * right_y  # that is both * neither - x alone * y alone
    return (max(above_chance - n / 2, 0.0) if above_chance > 0 else above_chance) / math.sqrt(product_of_margins)


def mcnemar(x: Right, y: Right) -> float:
    """The p-value of McNemar's exact test (1947) of whether two networks get as many of the same images right.

    Only the images that one of them alone gets right can tell: between equals, each is the one's or the other's with
    probability 1/2.
    """
    x_alone, y_alone = int((x & ~y).sum()), int((y & ~x).sum())
    return float(stats.binomtest(x_alone, x_alone + y_alone).pvalue) if x_alone + y_alone else 1.0


def difference(a: Accuracy, b: Accuracy, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a - b, a difference of two shares of the same images (Newcombe 1998, method 10 of both papers).

    It is made of the Wilson interval of each and of their :func:`correlation` in the outcomes that both have; without
    any, that is 0, and the interval is too wide rather than too narrow. Where there are several seeds, their spread
    widens it, as in a t test with pooled variance; with one seed each, nothing in it says what another would give. It
    ends at -1 and 1, between which every difference of shares lies.
    """
    (low_a, high_a), (low_b, high_b) = interval(a.mean, a.n, level), interval(b.mean, b.n, level)
    free = len(a.values) + len(b.values) - 2
    of_seeds = 0.0
    if free > 0:
        squares = sum((value - share.mean) ** 2 for share in (a, b) for value in share.values)
        error = squares / free * (1 / len(a.values) + 1 / len(b.values))
        of_seeds = float(stats.t.ppf((1 + level) / 2, free)) ** 2 * error
    shared = paired(a, b)
    alike = fmean(correlation(x, y) for x, y in shared) if shared else 0.0

    def reach(of_a: float, of_b: float) -> float:
        return math.sqrt(of_a**2 - 2 * alike * of_a * of_b + of_b**2 + of_seeds)

    gap = a.mean - b.mean
    low = gap - reach(a.mean - low_a, high_b - b.mean)
    high = gap + reach(high_a - a.mean, b.mean - low_b)
    return max(low, -1.0), min(high, 1.0)


def sign(a: Accuracy, b: Accuracy) -> int:
    """1 where a is above b, -1 where it is below, 0 where the interval of their difference holds 0."""
    low, high = difference(a, b)
    return 1 if low > 0 else -1 if high < 0 else 0


def p_value(a: Accuracy, b: Accuracy) -> float:
    """The chance of so large a difference between equals, that is 1 - level of the interval that ends at 0.

    Where all outcomes of one seed each are there it is that of :func:`mcnemar`. It is at least SMALLEST.
    """
    shared = paired(a, b)
    if len(a.values) == len(b.values) == len(shared) == 1 and len(shared[0][0]) == a.n == b.n:
        return max(mcnemar(*shared[0]), SMALLEST)
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
    """How a row of a table does against others, counted over rivals and columns.

    Args:
        ahead, behind: the differences that count, either way.
        of: the number of comparisons.
        scale: see :func:`scale`.
    """

    ahead: int
    behind: int
    of: int
    scale: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"ahead in {self.ahead} of {self.of}, behind in {self.behind}"


def compare(table: Accuracies, row: str, rivals: Sequence[str], columns: Sequence[str] = tuple(ATTACKS)) -> Comparison:
    """``row`` against each of ``rivals`` in each of ``columns``; differences count that survive :func:`holm`."""
    pairs = [(table[row][column], table[rival][column]) for rival, column in product(rivals, columns)]
    counts = holm([p_value(a, b) for a, b in pairs])
    ahead = [a.mean > b.mean for (a, b), one in zip(pairs, counts, strict=True) if one]
    return Comparison(ahead.count(True), ahead.count(False), len(pairs), scale(pairs))


def scale(pairs: Sequence[tuple[Accuracy, Accuracy]]) -> str:
    """On how many images the comparisons of these were decided, and whether by pairs of outcomes; in words.

    Args:
        pairs: what is compared with what, at least one.
    """
    n = min(min(a.n, b.n) for a, b in pairs)
    known = [len(shared[0][0]) for a, b in pairs if (shared := paired(a, b))]
    if not known:
        return f"on {n:,} images, unpaired"
    which = "" if len(known) == len(pairs) else f"{len(known)} of {len(pairs)} "
    by = "" if min(known) == n else f" by the first {min(known):,}"
    return f"on {n:,} images, {which}paired{by}"
