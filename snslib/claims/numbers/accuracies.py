"""Accuracies of the published rows: beside the paper's, over the settings of Fig. 3b, and above a control."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from snslib.claims import paper
from snslib.claims.numbers.robustness import strong_name
from snslib.claims.records import accuracy_of
from snslib.claims.statistics import Accuracies, Accuracy, difference
from snslib.study import results
from snslib.study.defenses import LABELS
from snslib.study.records import Record
from snslib.study.rows import ONE_PASS, OTHER_NEURONS, ROWS, SWITCHED_OFF, TABLE

PAPER_N = 10_000  # test images of Tables 1 and 2 (section 3.1)
FIG_3B = {  # what is varied: its value to the row
    "first layer": {layer: f"fig3b_{layer}" for layer in ("conv1", "conv4", "conv8", "conv11", "fc")},
    "λ, from conv8": {
        "0": "fig3b_lam0",
        "1": "fig3b_lam1",
        "5": "fig3b_conv8",
        "25": "fig3b_lam25",
        "125": "fig3b_lam125",
    },
    "neurons, from conv8": {"2%": "fig3b_top2", "10%": "fig3b_conv8", "30%": "fig3b_top30"},
}
HEADLINE = {  # the rows of Table 1, and the SNS loss in online training beside the same without it
    row: ROWS[row].label for row in (*LABELS, "sns_sen_adv_online", "control_adv_online") if row in ROWS
}
CONTROLS = {  # a row to the same training without the SNS loss; the last row is a control without its chosen neurons
    "sns_sen_cls": "control_cls",
    "sns_all_cls": "control_cls",
    "sns_sen_adv": "control_adv",
    "sns_sen_adv_one_pass": "control_adv_one_pass",
    "sns_sen_adv_online": "control_adv_online",
    "random_adv_online": "control_adv_online",
    "off_adv_online": "control_adv_online",
}
# Whose stabilised neurons are shown: every row with SNS, its control, and vanilla and PAT to compare them with ...
STABILISED = tuple(
    row for row in (*TABLE, *ONE_PASS, *OTHER_NEURONS, *SWITCHED_OFF) if row not in ("nat", "eat", "alp")
)
# ... and those of them that AlexNet has.
STABILISED_ALEXNET = ("vanilla", "pat", "sns_sen_cls", "control_cls", "sns_sen_adv", "control_adv")
# Statistics that BatchNorm normalises by, see measurements.accuracy_by_statistics, and the rows shown with each.
STATISTICS = {"kept": "both, as trained", "clean": "clean images", "fixed": "fixed x'"}
BY_STATISTICS = ("sns_sen_adv", "control_adv", *ONE_PASS, "sns_sen_adv_online", "control_adv_online", "pat")
COSTS = (  # rows whose cost of training is compared
    "nat",
    "eat",
    "pat",
    "alp",
    "sns_sen_cls",
    "sns_sen_adv",
    "control_adv",
    "sns_sen_adv_online",
    "control_adv_online",
)

Gain = tuple[float, float, float]  # a difference of accuracies and the ends of its 95% interval, in points


def recorded(folder: str, what: str, rows: Iterable[str]) -> list[Record]:
    """The published records of one measurement of some rows, for the line that names their source.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
        what: the measurement, such as "accuracy".
        rows: published rows; what is missing is left out.

    Returns:
        One record per row and seed.
    """
    found = results.by_seed(folder, what)
    return [entry for row, entries in found.items() if row in rows for entry in entries]


def printed(table: int) -> Accuracies:
    """The paper's Table 1 or 2 as accuracies on PAPER_N images: row to column to accuracy."""
    numbers = {1: paper.table1, 2: paper.table2}[table]()
    return {
        row: {column: Accuracy((value / 100,), PAPER_N) for column, value in columns.items()}
        for row, columns in numbers.items()
    }


def under_pgd(folders: Sequence[str], rows: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Accuracy under PGD: the paper's (Table 1), and ours under the same and under the stronger PGD, as means of seeds.

    Args:
        folders: such as ["cifar10/vgg16-w1", "cifar10/vgg16-w0.25"].
        rows: published row to its label.

    Returns:
        Label to accuracies in [0, 1], by what they are called: "the paper, PGD", "width 1, PGD", "width 1, PGD-100".
        What is missing is left out, as are rows of which nothing was run.
    """
    series = {"the paper, PGD": {row: columns["pgd"] / 100 for row, columns in paper.table1().items()}}
    ran = set()
    for folder in folders:
        width = f"width {results.width_of(folder)}"
        ours, strong = (results.by_seed(folder, what) for what in ("accuracy", "strong-accuracy"))
        name = strong_name({row: entries[0] for row, entries in strong.items()})
        series[f"{width}, PGD"] = {row: accuracy_of(found, itemgetter("pgd")).mean for row, found in ours.items()}
        series[f"{width}, {name}"] = {row: accuracy_of(found, float).mean for row, found in strong.items()}
        ran |= ours.keys() | strong.keys()
    return {
        label: {name: values[row] for name, values in series.items() if row in values}
        for row, label in rows.items()
        if row in paper.table1() or row in ran
    }


def over_settings(folder: str) -> dict[str, dict[str, dict[str, Accuracy]]]:
    """Accuracy of the rows of Fig. 3b, clean and under each attack; what is not recorded is left out.

    Args:
        folder: such as "cifar10/vgg16-w0.25".

    Returns:
        What is varied to its value to column to accuracy.
    """
    found = results.by_seed(folder, "accuracy")
    panels = {
        what: {
            value: {column: accuracy_of(found[row], itemgetter(column)) for column in found[row][0].result}
            for value, row in values.items()
            if row in found
        }
        for what, values in FIG_3B.items()
    }
    return {what: values for what, values in panels.items() if values}


def gain_over(folder: str, row: str, other: str) -> dict[str, Gain | None]:
    """How many points of accuracy a row has more than another.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
        row: published row.
        other: the row whose accuracy is subtracted, such as its control.

    Returns:
        Column to the difference and the ends of its 95% interval (:func:`snslib.claims.statistics.difference`), all
        in points; None where either row was not run.
    """
    ours, strong = (results.by_seed(folder, what) for what in ("accuracy", "strong-accuracy"))
    columns: dict[str, tuple[dict[str, list[Record]], Callable[[Any], float]]] = {
        "clean": (ours, itemgetter("clean")),
        "fixed x'": (results.by_seed(folder, "accuracy-on-fixed"), float),
        "PGD": (ours, itemgetter("pgd")),
        strong_name({name: entries[0] for name, entries in strong.items()}): (strong, float),
        "AutoAttack": (results.by_seed(folder, "autoattack"), itemgetter("accuracy")),
    }
    gains: dict[str, Gain | None] = {}
    for column, (entries, value) in columns.items():
        if row in entries and other in entries:
            a, b = accuracy_of(entries[row], value), accuracy_of(entries[other], value)
            low, high = difference(a, b)
            gains[column] = (100 * (a.mean - b.mean), 100 * low, 100 * high)
        else:
            gains[column] = None
    return gains


def accuracy_by_statistics(entries: Sequence[Record], which: str, under: str) -> Accuracy:
    """Accuracy of a row with one choice of BatchNorm's statistics, from ``measurements.accuracy_by_statistics``.

    Args:
        entries: one record per seed.
        which: one of STATISTICS.
        under: "clean", "fixed" or "pgd".
    """
    return accuracy_of(entries, lambda result: result[which][under])
