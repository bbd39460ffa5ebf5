"""Does sensitivity tell robustness? Both for every model and disturbance, and their rank correlation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from scipy import stats

from snslib.sensitivity import relative_sensitivity
from snslib.study.records import Record


@dataclass(frozen=True)
class Point:
    """One model under one disturbance.

    Args:
        model: a defense or the name of a row.
        under: an attack, or a corruption and its severity, such as "fog-5".
        sensitivity: the mean over convolutional layers of a layer's summed sensitivity over its summed clean output.
        lost: the share of the clean accuracy that the disturbance takes: below 0 where it adds some, 0 where there is
            none to take.
    """

    model: str
    under: str
    sensitivity: float
    lost: float


def point(sensitivity: Record, accuracy: Record, corrupted: Record, model: str, layers: Sequence[str]) -> Point:
    """The point of a sensitivity record, with the accuracy records of the same model.

    Args:
        sensitivity: from ``measurements.sensitivity``.
        accuracy: from ``measurements.accuracy``.
        corrupted: from ``measurements.corrupted_accuracy``; not looked at under an attack.
        model: its name.
        layers: the layers averaged over; an inactive one is left out.
    """
    under = sensitivity.config["under"]
    name, _, severity = under.partition("-")
    left = corrupted.result[name][int(severity) - 1] if severity else accuracy.result[under]
    sigma, activation = sensitivity.result["sigma"], sensitivity.result["activation"]
    relative = [relative_sensitivity(sigma[layer], activation[layer]) for layer in layers]
    mean = fmean(value for value in relative if not math.isnan(value))
    clean = accuracy.result["clean"]
    return Point(model, under, mean, 1 - left / clean if clean else 0.0)


def rank_correlation(points: Sequence[Point], resamples: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """Spearman's rank correlation between sensitivity and lost accuracy, with a 95% interval.

    The interval comes from resampling the points (percentile bootstrap). Points of one model, or of one corruption at
    several severities, are not independent, so that it is rather too narrow.

    Args:
        points: at least three.
        resamples: of the points.
        seed: decides them.

    Returns:
        The correlation and the bounds; all NaN where all points are equally sensitive, or lose the same.

    Raises:
        ValueError: fewer than three points.
    """
    if len(points) < 3:
        raise ValueError(f"points: a correlation needs three of them, got {len(points)}")
    values = np.array([[each.sensitivity, each.lost] for each in points])
    if (values == values[0]).all(0).any():
        return math.nan, math.nan, math.nan
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        some = values[rng.integers(len(values), size=len(values))]
        if len(np.unique(some[:, 0])) > 1 and len(np.unique(some[:, 1])) > 1:
            drawn.append(stats.spearmanr(*some.T).statistic)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(stats.spearmanr(*values.T).statistic), float(low), float(high)
