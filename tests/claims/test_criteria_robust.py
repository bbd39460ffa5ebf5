"""A network is robust by the interval of its lowest accuracy; a peak of the loss lies clearly above its end."""

import pytest
from scipy.stats import binomtest

from snslib.claims.criteria.robust import is_robust, peak


@pytest.mark.parametrize("n", [20, 1000])
def test_a_network_is_robust_where_wilsons_interval_lies_above_five_percent(n: int) -> None:
    expected = [binomtest(right, n).proportion_ci(method="wilson").low > 0.05 for right in range(n + 1)]
    assert [is_robust(right / n, n) for right in range(n + 1)] == expected
    assert not is_robust(0.06, n)  # above 5%, and its interval not


def test_a_loss_peaks_before_the_end_where_it_is_more_than_two_percent_higher() -> None:
    assert peak([1.0, 2.0, 5.2, 5.0]) == 2
    assert peak([1.0, 2.0, 5.1, 5.0]) is None  # 2% and no more
    assert peak([6.0, 2.0, 5.1, 5.0]) == 0
    assert peak([1.0, 2.0, 3.0]) is None
