"""Accuracies are distinguished where the intervals of their statistics say so, and nowhere else."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, ttest_ind

from snslib.claims.statistics import (
    SMALLEST,
    Accuracy,
    Comparison,
    compare,
    correlation,
    difference,
    holm,
    interval,
    mcnemar,
    p_value,
    scale,
    sign,
)

N = 10_000
Pair = tuple[NDArray[np.bool_], NDArray[np.bool_]]


def pair(both: int, a_alone: int, b_alone: int, neither: int) -> Pair:
    """Outcomes of two networks by how many images both, one or none of them gets right."""
    counts = (both, a_alone, b_alone, neither)
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def accuracies(x: NDArray[np.bool_], y: NDArray[np.bool_], known: int | None = None) -> tuple[Accuracy, Accuracy]:
    """Those of two networks on the images, with the outcomes of the first ``known`` of them, or of all; 0 is none."""
    a, b = (Accuracy((right.mean(),), len(right), {} if known == 0 else {0: right[:known]}) for right in (x, y))
    return a, b


@pytest.mark.parametrize("n", [1, 9, 20, 407, N])  # 9: rounding takes both ends beyond 0 and 1
def test_the_interval_of_a_count_is_wilsons(n: int) -> None:
    for right in sorted({0, 1, n // 3, n // 2, n - 1, n}):
        low, high = interval(right / n, n)
        expected = binomtest(right, n).proportion_ci(method="wilson")
        assert (low, high) == (pytest.approx(expected.low, abs=1e-12), pytest.approx(expected.high, abs=1e-12))
        assert math.copysign(1, low) == 1  # else it would be printed as "-0.00%"
        assert high <= 1


def test_a_bootstrap_over_the_images_gives_the_same() -> None:
    rng = np.random.default_rng(0)
    for share in (0.02, 0.33, 0.9):
        right = np.arange(N) < share * N
        drawn = [right[rng.integers(N, size=N)].mean() for _ in range(2000)]
        assert interval(share, N) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])), abs=0.001)


def test_a_mean_over_seeds_is_not_rounded_to_a_count() -> None:
    """Wilson's bounds are the p at which the share is z standard errors away, of any share."""
    share = (3 / 20 + 4 / 20 + 4 / 20) / 3
    for bound in interval(share, 20):
        assert abs(share - bound) == pytest.approx(1.959964 * math.sqrt(bound * (1 - bound) / 20), rel=1e-6)


def test_the_interval_of_a_difference_is_newcombes() -> None:
    """His example (1998, table II, method 10): 56 of 70 and 48 of 80 give 0.0524 to 0.3339."""
    low, high = difference(Accuracy((56 / 70,), 70), Accuracy((48 / 80,), 80))
    assert (low, high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))
    low, high = difference(Accuracy((0.0,), N), Accuracy((0.0,), N))
    assert low < 0 < high


def test_a_difference_counts_beyond_its_interval_only() -> None:
    half = Accuracy((0.5,), N)
    edge = next(right for right in range(5000, 6000) if difference(Accuracy((right / N,), N), half)[0] > 0)
    assert edge / N - 0.5 == pytest.approx(1.96 * math.sqrt(2 * 0.25 / N), abs=2e-4)
    for right, expected in ((edge, 1), (edge - 1, 0), (10_000 - edge, -1), (10_001 - edge, 0)):
        assert sign(Accuracy((right / N,), N), half) == expected


@pytest.mark.parametrize("gap", [0.002, 0.01, 0.0139, 0.03])
def test_the_p_value_is_that_of_two_proportions(gap: float) -> None:
    """For many images and shares near one half it is that of the usual z test."""
    a, b = Accuracy((0.5 + gap / 2,), N), Accuracy((0.5 - gap / 2,), N)
    z = gap / math.sqrt(2 * 0.25 / N)
    assert p_value(a, b) == p_value(b, a) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=0.01)
    assert (p_value(a, b) < 0.05) == (sign(a, b) != 0)


def test_a_p_value_is_1_for_equals_and_no_smaller_than_can_be_told_from_0() -> None:
    half = Accuracy((0.5,), N)
    assert p_value(half, half) == 1
    assert p_value(half, Accuracy((0.5001,), 10)) == 1  # the interval holds 0 at every level that is tried
    assert p_value(half, Accuracy((0.9,), N)) == SMALLEST


def test_the_spread_of_seeds_raises_the_p_value() -> None:
    """Of a million million images only the seeds count: a t test of two samples, here of 4 degrees of freedom."""
    a, b = (0.50, 0.52, 0.54), (0.47, 0.49, 0.51)
    expected = float(ttest_ind(a, b).pvalue)
    assert p_value(Accuracy(a, 10**12), Accuracy(b, 10**12)) == pytest.approx(expected, rel=1e-3)


def test_holm_rejects_from_the_smallest_up_until_one_is_too_large() -> None:
    """The example of Holm's procedure with 0.01, 0.04, 0.03, 0.005 at 5%: 0.005 and 0.01 count, 0.03 does not."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == [True, False, False, True]
    assert holm([0.013, 0.013, 0.013, 0.013]) == [False] * 4  # above 0.05 / 4, each of them
    assert holm([0.012, 0.016, 0.024, 0.05]) == [True] * 4
    assert holm([]) == []


def test_the_spread_of_the_seeds_widens_the_interval() -> None:
    a, b = Accuracy((0.50, 0.52, 0.54), 10**9), Accuracy((0.40, 0.42, 0.44), 10**9)
    low, high = difference(a, b)
    half = 2.7764 * 0.02 * math.sqrt(2 / 3)  # t of 4 degrees of freedom
    assert (low, high) == (pytest.approx(0.1 - half, abs=1e-4), pytest.approx(0.1 + half, abs=1e-4))
    assert difference(Accuracy((0.2, 0.9), N), Accuracy((0.5,), N)) == (-1, 1)  # t of 1 degree of freedom is 12.7
    assert str(a) == "52.00 ± 2.00%"
    assert str(Accuracy((0.125,), 8)) == "12.50%"


def test_a_tally_counts_every_rival_in_every_column() -> None:
    high, middle, low = (Accuracy((value,), N) for value in (0.6, 0.5, 0.4))
    table = {"a": {"x": middle, "y": middle}, "b": {"x": low, "y": middle}, "c": {"x": low, "y": high}}
    assert compare(table, "a", ["b", "c"], ["x", "y"]) == Comparison(ahead=2, behind=1, of=4)
    assert str(compare(table, "a", ["c"], ["y"])) == "ahead in 0 of 1, behind in 1"


# --- the same images under two networks ---

MEDIA = pair(20, 12, 2, 16)  # Armitage and Berry: of 50 specimens, what grew on two media, on one of them, on none


def test_the_paired_interval_is_newcombes() -> None:
    """Of two published examples, to the digits that StatsDirect's manual and Fagerland et al. (2014) print."""
    low, high = difference(*accuracies(*MEDIA))
    assert (low, high) == (pytest.approx(0.056156, abs=5e-7), pytest.approx(0.329207, abs=5e-7))
    low, high = difference(*accuracies(*pair(1, 1, 7, 12)))
    assert (low, high) == (pytest.approx(-0.507, abs=5e-4), pytest.approx(-0.026, abs=5e-4))


def test_the_correlation_is_that_of_numbers_and_is_brought_nearer_to_0_where_it_is_positive() -> None:
    for both, a_alone, b_alone, neither in ((20, 12, 2, 16), (300, 50, 40, 610), (2, 30, 40, 5)):
        x, y = pair(both, a_alone, b_alone, neither)
        phi = np.corrcoef(x, y)[0, 1]
        n = len(x)
        by = 1 / (2 * n * x.std() * y.std()) if phi > 0 else 0  # half an image of the table's n * n
        assert correlation(x, y) == correlation(y, x) == pytest.approx(phi - by)
    assert correlation(*pair(1, 2, 2, 4)) == 0  # by chance alone 1 of 9 is right in both
    assert correlation(*pair(1, 1, 1, 3)) == 0  # and a little more than that is taken for no more
    assert correlation(*pair(5, 5, 0, 0)) == correlation(*pair(0, 0, 0, 5)) == 0  # all right, or all wrong


def test_mcnemars_p_value_is_the_share_of_all_ways_to_toss_coins() -> None:
    """Counted out: in each image that one alone gets right, heads is the one and tails the other."""
    for a_alone, b_alone in ((0, 1), (2, 2), (1, 6), (9, 3)):
        coins = a_alone + b_alone
        heads = [bin(way).count("1") for way in range(2**coins)]
        as_far = sum(abs(2 * count - coins) >= abs(a_alone - b_alone) for count in heads) / 2**coins
        assert mcnemar(*pair(7, a_alone, b_alone, 3)) == pytest.approx(as_far)
    assert mcnemar(*pair(7, 0, 0, 3)) == 1
    assert mcnemar(*MEDIA) == pytest.approx(0.0129, abs=5e-5)  # Armitage and Berry's


def drawn(joint: tuple[float, ...], rng: np.random.Generator, n: int) -> Pair:
    """Outcomes of n images, each with these chances that both, one, the other or none of the networks gets it right."""
    which = rng.choice(4, size=n, p=joint)
    return which <= 1, which % 2 == 0


@pytest.mark.parametrize(
    "joint",
    [
        (0.30, 0.05, 0.05, 0.60),  # as robust networks under PGD: 35% each, 10% by one alone
        (0.57, 0.07, 0.06, 0.30),
        (0.004, 0.003, 0.002, 0.991),  # few are right at all: of the first 1,000, six
    ],
)
def test_the_interval_holds_the_difference_where_the_first_images_tell_how_alike_networks_are(
    joint: tuple[float, ...],
) -> None:
    """In 95% of 400 draws, give or take three standard errors; unpaired it is wider, and holds it nearly always."""
    rng = np.random.default_rng(0)
    held, wider = [], []
    for _ in range(400):
        x, y = drawn(joint, rng, N)
        low, high = difference(*accuracies(x, y, 1000))
        widest = difference(*accuracies(x, y, 0))
        held.append(low <= joint[1] - joint[2] <= high)
        wider.append(widest[0] < low and high < widest[1])
    assert np.mean(held) > 0.95 - 3 * math.sqrt(0.05 * 0.95 / 400)
    assert np.mean(wider) > 0.9


def test_equals_are_told_apart_by_mcnemar_in_fewer_than_one_of_twenty_draws() -> None:
    rng = np.random.default_rng(1)
    found = [p_value(*accuracies(*drawn((0.3, 0.05, 0.05, 0.6), rng, 1000))) < 0.05 for _ in range(1000)]
    assert 0.02 < np.mean(found) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1000)


def test_where_all_outcomes_of_one_seed_are_there_the_exact_test_decides() -> None:
    x, y = MEDIA
    assert p_value(*accuracies(x, y)) == p_value(*accuracies(y, x)) == mcnemar(x, y)
    assert p_value(*accuracies(*pair(0, 500, 0, 0))) == SMALLEST
    inverted = p_value(*accuracies(x, y, 49))
    assert inverted != mcnemar(x, y)
    assert difference(*accuracies(x, y, 49), 1 - inverted)[0] == pytest.approx(0, abs=1e-9)
    other = Accuracy((0.44, y.mean()), 50, {0: x, 1: y})  # two seeds of one row: their spread is not McNemar's
    assert p_value(accuracies(x, y)[0], other) != mcnemar(x, y)


def test_seeds_are_paired_with_the_same_seed_only() -> None:
    x, y = pair(300, 50, 40, 610)
    unpaired = difference(*accuracies(x, y, 0))

    def interval_of(of_a: dict[int, NDArray[np.bool_]], of_b: dict[int, NDArray[np.bool_]]) -> tuple[float, float]:
        a, b = accuracies(x, y)
        return difference(Accuracy(a.values, 1000, of_a), Accuracy(b.values, 1000, of_b))

    assert interval_of({0: x}, {1: y}) == unpaired
    assert interval_of({0: x}, {0: y[:500]}) == unpaired  # of other images
    assert interval_of({0: x, 1: x}, {0: y, 2: y}) == interval_of({0: x}, {0: y})
    assert unpaired[0] < interval_of({0: x}, {0: y})[0]


def test_the_scale_names_the_images_and_what_is_paired() -> None:
    x, y = pair(3000, 500, 400, 6100)
    assert scale([accuracies(x, y)]) == "on 10,000 images, paired"
    assert scale([accuracies(x, y, 1000)]) == "on 10,000 images, paired by the first 1,000"
    unpaired = (Accuracy((0.5,), N), Accuracy((0.4,), N))
    assert scale([unpaired]) == "on 10,000 images, unpaired"
    assert scale([unpaired, accuracies(x, y, 1000)]) == "on 10,000 images, 1 of 2 paired by the first 1,000"


def test_a_gap_counts_between_networks_that_are_alike_which_would_not_between_others() -> None:
    x, y = drawn((0.30, 0.05, 0.04, 0.61), np.random.default_rng(2), N)

    def against(known: int) -> tuple[Comparison, str]:
        a, b = accuracies(x, y, known)
        found = compare({"a": {"pgd": a}, "b": {"pgd": b}}, "a", ["b"], ["pgd"])
        return found, found.scale

    assert against(0) == (Comparison(0, 0, 1), "on 10,000 images, unpaired")
    assert against(1000) == (Comparison(1, 0, 1), "on 10,000 images, paired by the first 1,000")
    assert against(N) == (Comparison(1, 0, 1), "on 10,000 images, paired")
