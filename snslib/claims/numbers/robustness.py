"""Accuracy of networks under attacks that try harder each, and the checks for masked gradients that they fail."""

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import NamedTuple

from snslib.attacks import ATTACKS
from snslib.claims.records import accuracy_of
from snslib.claims.statistics import Accuracy
from snslib.study import results
from snslib.study.records import Record

CHECKS = {"growing": "growing radius", "one_step": "one step", "transfer": "transfer", "noise": "noise"}


class Lowest(NamedTuple):
    """The accuracy that a network keeps under every attack.

    Args:
        first: accuracy in [0, 1] under the paper's PGD.
        lowest: the lowest accuracy under any attack.
        attack: the attack that leaves it, in the words of a table.
        n: the number of images under that attack.
    """

    first: float
    lowest: float
    attack: str
    n: int


def accuracy_by_attack(records: Iterable[Record]) -> dict[str, float]:
    """Accuracy of one network, clean and under attacks that try harder each.

    Args:
        records: its "pgd-accuracy", "strong-accuracy", "targeted-pgd" and "autoattack", or some of them, in any order;
            "accuracy", which is of all test images, takes the place of the first where that is missing. Records of
            something else are not looked at.

    Returns:
        Column to accuracy in [0, 1], in the order in which a table shows them; without those that have no record.
    """
    return {column: accuracy for column, (accuracy, _) in _columns(records).items()}


def accuracy_under_attacks(folder: str, row: str) -> dict[str, float]:
    """:func:`accuracy_by_attack` of a published row.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
        row: such as "pat".
    """
    return accuracy_by_attack(_of_row(folder, row).values())


def images_under_attacks(folder: str, row: str) -> dict[str, int]:
    """Column of :func:`accuracy_under_attacks` to the number of test images behind it, the first ones."""
    return {column: n for column, (_, n) in _columns(_of_row(folder, row).values()).items()}


def _columns(records: Iterable[Record]) -> dict[str, tuple[float, int]]:
    """Column to accuracy and number of images, as :func:`accuracy_by_attack` has them."""
    found = {entry.what: entry for entry in records}
    columns: dict[str, tuple[float, Record]] = {}
    if of_paper := found.get("pgd-accuracy", found.get("accuracy")):
        steps = of_paper.config["attack"]["steps"]
        columns["clean"] = (of_paper.result["clean"], of_paper)
        columns[f"PGD-{steps}"] = (of_paper.result["pgd"], of_paper)
    if strong := found.get("strong-accuracy"):
        columns[strong_name({strong.defense: strong})] = (strong.result, strong)
    if targeted := found.get("targeted-pgd"):
        columns["targeted"] = (targeted.result, targeted)
    if auto := found.get("autoattack"):
        columns["AutoAttack"] = (auto.result["accuracy"], auto)
    return {column: (accuracy, entry.config["n"]) for column, (accuracy, entry) in columns.items()}


def accuracies_by_seed(folder: str, row: str) -> dict[str, Accuracy]:
    """Accuracy of all seeds of a published row, clean, under the four attacks and under the stronger ones.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
        row: such as "pat".

    Returns:
        Column, by its title in a table, to accuracy, each on as many images as were recorded; without those that have
        no record.
    """
    everywhere, strong, auto = (
        results.by_seed(folder, what).get(row, []) for what in ("accuracy", "strong-accuracy", "autoattack")
    )
    columns: dict[str, Accuracy] = {}
    if everywhere:
        titles = {"clean": "clean", **ATTACKS}
        columns |= {title: accuracy_of(everywhere, itemgetter(column)) for column, title in titles.items()}
    if strong:
        columns[strong_name({row: strong[0]})] = accuracy_of(strong, float)
    if auto:
        columns["AutoAttack"] = accuracy_of(auto, itemgetter("accuracy"))
    return columns


def lowest_of(records: Iterable[Record]) -> Lowest:
    """The lowest accuracy of one network under attack; of several attacks that leave as little, the first.

    Args:
        records: as in :func:`accuracy_by_attack`, with "pgd-accuracy" or "accuracy" among them.
    """
    columns = _columns(records)
    del columns["clean"]
    attack = min(columns, key=lambda column: columns[column][0])
    first, _ = next(iter(columns.values()))
    return Lowest(first, columns[attack][0], attack, columns[attack][1])


def lowest_accuracy(folder: str, rows: Iterable[str]) -> dict[str, Lowest]:
    """:func:`lowest_of` those published rows that went through the paper's PGD and AutoAttack."""
    found = {row: _of_row(folder, row) for row in rows}
    return {
        row: lowest_of(entries.values())
        for row, entries in found.items()
        if "autoattack" in entries and not entries.keys().isdisjoint({"pgd-accuracy", "accuracy"})
    }


def failed_by(checks: Record) -> list[str]:
    """The checks for masked gradients that a network fails, in words.

    Args:
        checks: from ``measurements.sanity_checks``.
    """
    return [label for name, label in CHECKS.items() if not checks.result[name]["passed"]]


def failed_checks(folder: str, row: str) -> list[str] | None:
    """:func:`failed_by` of a published row; None where the checks were not run."""
    entry = _of_row(folder, row).get("sanity-checks")
    return None if entry is None else failed_by(entry)


def strong_name(strong: Mapping[str, Record]) -> str:
    """Name of the stronger PGD of some records in a table: "PGD-50", "PGD-100 × 5"."""
    about = next((entry.config for entry in strong.values()), {"steps": 50, "restarts": 1})
    return f"PGD-{about['steps']}" + (f" × {about['restarts']}" if about["restarts"] > 1 else "")


def _of_row(folder: str, row: str) -> dict[str, Record]:
    names = ("accuracy", "pgd-accuracy", "strong-accuracy", "targeted-pgd", "autoattack", "sanity-checks")
    found = {what: results.records(folder, what).get(row) for what in names}
    return {what: entry for what, entry in found.items() if entry is not None}
