"""Sensitivity and lost accuracy of many networks under one attack, PGD: the published rows as points."""

from collections.abc import Mapping, Sequence

from snslib.claims.numbers.correlation import Point, point
from snslib.study import results
from snslib.study.records import Record


def points_under_pgd(folder: str, groups: Mapping[str, Sequence[str]]) -> dict[str, list[Point]]:
    """The points of published rows under PGD, over their convolutional layers.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
        groups: title to rows; a row that was not measured is left out.

    Returns:
        Each title to its points; to none where no row of the group was measured.
    """
    sensitivity = results.records(folder, "sensitivity", split="test", under="pgd")
    accuracy = results.records(folder, "accuracy")
    measured = sensitivity.keys() & accuracy.keys()
    return {
        title: [_of_row(row, sensitivity[row], accuracy[row]) for row in rows if row in measured]
        for title, rows in groups.items()
    }


def _of_row(row: str, sensitivity: Record, accuracy: Record) -> Point:
    layers = [layer for layer in sensitivity.result["sigma"] if layer != "fc"]
    no_corruption = accuracy  # under an attack, accuracy on corrupted images is not looked at
    return point(sensitivity, accuracy, no_corruption, row, layers)
