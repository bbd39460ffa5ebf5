"""Accuracies are distinguished where the intervals of their statistics say so, and nowhere else."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_ind

from snslib.claims.statistics import SMALLEST, Accuracy, Comparison, compare, difference, holm, interval, p_value, sign

N = 10_000


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
