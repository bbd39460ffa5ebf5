"""Accuracy of networks under attacks that try harder each, and the checks for masked gradients that they fail."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from snslib.study import results
from snslib.study.records import Record

CHECKS = {"growing": "growing radius", "one_step": "one step", "transfer": "transfer", "noise": "noise"}


class Lowest(NamedTuple):
    """The accuracy that a network keeps under every attack.

    Args:
        first: accuracy in [0, 1] under the paper's PGD.
        lowest: the lowest accuracy under any attack.
        attack: the attack that leaves it, in the words of a table.
        n: the number of images.
    """

    first: float
    lowest: float
    attack: str
    n: int


def accuracy_by_attack(records: Iterable[Record]) -> dict[str, float]:
    """Accuracy of one network on the same test images, clean and under attacks that try harder each.

    Args:
        records: its "pgd-accuracy", "strong-accuracy", "targeted-pgd" and "autoattack", or some of them, in any order;
            records of something else are not looked at.

    Returns:
        Column to accuracy in [0, 1], in the order in which a table shows them; without those that have no record.
    """
    found = {entry.what: entry for entry in records}
    columns: dict[str, float] = {}
    if "pgd-accuracy" in found:
        steps = found["pgd-accuracy"].config["attack"]["steps"]
        of_paper = found["pgd-accuracy"].result
        columns |= {"clean": of_paper["clean"], f"PGD-{steps}": of_paper["pgd"]}
    if "strong-accuracy" in found:
        strong = found["strong-accuracy"]
        columns[strong_name({strong.defense: strong})] = strong.result
    if "targeted-pgd" in found:
        columns["targeted"] = found["targeted-pgd"].result
    if "autoattack" in found:
        columns["AutoAttack"] = found["autoattack"].result["accuracy"]
    return columns


def accuracy_under_attacks(folder: str, row: str) -> dict[str, float]:
    """:func:`accuracy_by_attack` of a published row.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
        row: such as "pat".
    """
    return accuracy_by_attack(_of_row(folder, row).values())


def lowest_of(records: Iterable[Record]) -> Lowest:
    """The lowest accuracy of one network under attack; of several attacks that leave as little, the first.

    Args:
        records: as in :func:`accuracy_by_attack`, with "pgd-accuracy" among them.
    """
    entries = list(records)
    columns = accuracy_by_attack(entries)
    del columns["clean"]
    attack = min(columns, key=columns.__getitem__)
    n = next(entry.config["n"] for entry in entries if entry.what == "pgd-accuracy")
    return Lowest(next(iter(columns.values())), columns[attack], attack, n)


def lowest_accuracy(folder: str, rows: Iterable[str]) -> dict[str, Lowest]:
    """:func:`lowest_of` those published rows that went through the paper's PGD and AutoAttack."""
    found = {row: _of_row(folder, row) for row in rows}
    return {
        row: lowest_of(entries.values())
        for row, entries in found.items()
        if {"pgd-accuracy", "autoattack"} <= entries.keys()
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
    names = ("pgd-accuracy", "strong-accuracy", "targeted-pgd", "autoattack", "sanity-checks")
    found = {what: results.records(folder, what).get(row) for what in names}
    return {what: entry for what, entry in found.items() if entry is not None}
