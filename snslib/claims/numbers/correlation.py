"""Sensitivity and lost accuracy of every model under every disturbance, and their rank correlation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from scipy import stats

from snslib.attacks import ATTACKS
from snslib.evaluation.corruptions import name_and_severity
from snslib.sensitivity import relative_sensitivity
from snslib.study.defenses import LABELS
from snslib.study.records import Record


@dataclass(frozen=True)
class Point:
    """One model under one disturbance.

    Args:
        model: a defense or the name of a row.
        under: an attack, or a corruption and its severity, such as "fog-5".
        sensitivity: :func:`mean_relative` of the convolutional layers.
        lost: the fraction of the clean accuracy that is lost: below 0 where accuracy rises, 0 where there is none to
            lose.
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
    under, clean = sensitivity.config["under"], accuracy.result["clean"]
    lost = 1 - accuracy_under(under, accuracy, corrupted) / clean if clean else 0.0
    return Point(model, under, mean_relative(sensitivity, layers), lost)


def accuracy_under(under: str, accuracy: Record, corrupted: Record) -> float:
    """Accuracy in [0, 1] under an attack, or under a corruption and its severity, such as "fog-5"; or "clean".

    Args:
        under: what changes the images.
        accuracy: from ``measurements.accuracy``.
        corrupted: from ``measurements.corrupted_accuracy``; not looked at unless ``under`` is a corruption.
    """
    name, severity = name_and_severity(under)
    return accuracy.result[name] if severity is None else corrupted.result[name][severity - 1]


def mean_relative(sensitivity: Record, layers: Sequence[str]) -> float:
    """The mean over layers of a layer's summed sensitivity over its summed clean output, inactive layers left out."""
    sigma, activation = sensitivity.result["sigma"], sensitivity.result["activation"]
    of_layers = (relative_sensitivity(sigma[layer], activation[layer]) for layer in layers)
    return fmean(value for value in of_layers if not math.isnan(value))


def by_kind(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Points in groups, by title: all, those of attacks, those of corruptions, and those of each model."""
    groups = {
        "all": list(points),
        "attacks": [point for point in points if point.under in ATTACKS],
        "corruptions": [point for point in points if point.under not in ATTACKS],
    }
    for each in points:
        groups.setdefault(LABELS.get(each.model, each.model), []).append(each)
    return groups


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
