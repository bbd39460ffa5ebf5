"""The error bars of accuracies."""

from collections.abc import Sequence

import numpy as np

from snslib.claims.statistics import interval


def error_bars(shares: Sequence[float], n: int) -> np.ndarray:
    """How far the 95% Wilson intervals of shares (N,) of n images reach below and above, in percent: (2, N)."""
    lows, highs = np.transpose([interval(share, n) for share in shares])
    return 100 * np.maximum([shares - lows, highs - shares], 0)  # rounding would make some of them negative
