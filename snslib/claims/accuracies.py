"""Accuracies of the published rows: beside the paper's, over the settings of Fig. 3b, and above a control."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from snslib.claims import paper
from snslib.claims.records import accuracy_of
from snslib.claims.robustness import strong_name
from snslib.claims.statistics import Accuracy, difference
from snslib.study import results
from snslib.study.defenses import DEFENSES
from snslib.study.records import Record
from snslib.study.rows import ROWS

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
    row: ROWS[row].label for row in (*DEFENSES, "sns_sen_adv_online", "control_adv_online") if row in ROWS
}
# Those that BatchNorm normalises by, see measurements.accuracy_by_statistics.
STATISTICS = {"kept": "both, as trained", "clean": "clean images", "fixed": "fixed x'"}


def under_pgd(folder: str, rows: Mapping[str, str]) -> dict[str, tuple[float | None, float | None, float | None]]:
    """Accuracy under PGD: the paper's (Table 1), the recorded one, and that under the stronger PGD, as means of seeds.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
        rows: published row to its label.

    Returns:
        Label to the three shares, None where there is none; rows that have none are left out.
    """
    printed, ours = paper.table1(), results.by_seed(folder, "accuracy")
    strong = results.by_seed(folder, "strong-accuracy")
    shares = {
        label: (
            printed[row]["pgd"] / 100 if row in printed else None,
            accuracy_of(ours[row], itemgetter("pgd")).mean if row in ours else None,
            accuracy_of(strong[row], float).mean if row in strong else None,
        )
        for row, label in rows.items()
    }
    return {label: of_row for label, of_row in shares.items() if of_row != (None, None, None)}


def over_settings(folder: str) -> dict[str, dict[str, dict[str, float]]]:
    """Accuracy of the rows of Fig. 3b: what is varied to its value to column to share; what is not recorded lacks."""
    found = results.records(folder, "accuracy")
    panels = {
        what: {value: found[row].result for value, row in values.items() if row in found}
        for what, values in FIG_3B.items()
    }
    return {what: values for what, values in panels.items() if values}


def gain_over(folder: str, row: str, other: str) -> dict[str, tuple[float, float, float] | None]:
    """How many points of accuracy a row has more than another.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
        row: published row.
        other: the row that is taken from it, such as its control.

    Returns:
        Column to the difference and the ends of its 95% interval (:func:`shares.difference`), all in points; None
        where either row was not run.
    """
    ours, strong = (results.by_seed(folder, what) for what in ("accuracy", "strong-accuracy"))
    columns: dict[str, tuple[dict[str, list[Record]], Callable[[Any], float]]] = {
        "clean": (ours, itemgetter("clean")),
        "fixed x'": (results.by_seed(folder, "accuracy-on-fixed"), float),
        "PGD": (ours, itemgetter("pgd")),
        strong_name({name: entries[0] for name, entries in strong.items()}): (strong, float),
        "AutoAttack": (results.by_seed(folder, "autoattack"), itemgetter("accuracy")),
    }
    found: dict[str, tuple[float, float, float] | None] = {}
    for column, (of_rows, value) in columns.items():
        if row in of_rows and other in of_rows:
            a, b = accuracy_of(of_rows[row], value), accuracy_of(of_rows[other], value)
            low, high = difference(a, b)
            found[column] = (100 * (a.mean - b.mean), 100 * low, 100 * high)
        else:
            found[column] = None
    return found


def accuracy_by_statistics(entries: Sequence[Record], which: str, under: str) -> Accuracy:
    """What the records of ``measurements.accuracy_by_statistics`` of a row say.

    Args:
        entries: one per seed.
        which: one of STATISTICS.
        under: "clean", "fixed" or "pgd".
    """
    return accuracy_of(entries, lambda result: result[which][under])
