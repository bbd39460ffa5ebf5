"""Sensitivity and accuracy lost to AutoAttack of many networks: the published rows as points."""

from collections.abc import Mapping, Sequence

from snslib.claims.numbers.correlation import Point, mean_relative
from snslib.study import results
from snslib.study.records import Record

OTHERS = "other rows"  # the title of those that are in no group

Groups = Mapping[str, Sequence[str]]  # title to rows
Points = dict[str, list[Point]]  # title to points


def points_under_autoattack(folder: str, groups: Groups) -> Points:
    """Points of all published rows that went through AutoAttack: sensitivity under PGD, accuracy lost to AutoAttack.

    The share lost is of the clean accuracy on AutoAttack's images; on all test images where that is not recorded.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
        groups: title to rows; what is in none of them comes last, under OTHERS.

    Returns:
        Each title that has any to its points, one per row and seed.
    """
    sensitivity = results.records(folder, "sensitivity", split="test", under="pgd")
    attacked = results.records(folder, "autoattack")
    clean = results.records(folder, "accuracy") | results.records(folder, "pgd-accuracy")
    title_of = {row: title for title, rows in groups.items() for row in rows}
    found: Points = {title: [] for title in (*groups, OTHERS)}
    for name in sorted(sensitivity.keys() & attacked.keys() & clean.keys()):
        before, after = clean[name].result["clean"], attacked[name].result["accuracy"]
        relative = mean_relative(sensitivity[name], _convolutional(sensitivity[name]))
        row, _, _ = name.partition("-seed")
        lost = 1 - after / before if before else 0.0
        found[title_of.get(row, OTHERS)].append(Point(row, "autoattack", relative, lost))
    return {title: points for title, points in found.items() if points}


def _convolutional(sensitivity: Record) -> list[str]:
    return [layer for layer in sensitivity.result["sigma"] if layer != "fc"]
