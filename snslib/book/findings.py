"""What is found in the rows in ``results/``: is their robustness real, and what did SNS do to their neurons?"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from statistics import fmean
from typing import Any

import torch

from snslib.book.text import strong_name
from snslib.claims import paper
from snslib.claims.records import share_of
from snslib.claims.statistics import Share, difference
from snslib.sensitivity import choose_neurons
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
CHECKS = {"growing": "growing radius", "one_step": "one step", "transfer": "transfer", "noise": "noise"}


def attacked(folder: str, row: str) -> dict[str, float]:
    """What is recorded of a row on the first test images: accuracy, clean and under attacks that try harder each.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
        row: such as "pat".

    Returns:
        Column to share of images still right, in the order in which a table shows them; what is not recorded lacks.
    """
    found = _of_row(folder, row)
    shares: dict[str, float] = {}
    if "pgd-accuracy" in found:
        steps = found["pgd-accuracy"].config["attack"]["steps"]
        of_paper = found["pgd-accuracy"].result
        shares |= {"clean": of_paper["clean"], f"PGD-{steps}": of_paper["pgd"]}
    if "strong-accuracy" in found:
        shares[strong_name({row: found["strong-accuracy"]})] = found["strong-accuracy"].result
    if "targeted-pgd" in found:
        shares["targeted"] = found["targeted-pgd"].result
    if "autoattack" in found:
        shares["AutoAttack"] = found["autoattack"].result["accuracy"]
    return shares


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
            share_of(ours[row], itemgetter("pgd")).mean if row in ours else None,
            share_of(strong[row], float).mean if row in strong else None,
        )
        for row, label in rows.items()
    }
    return {label: of_row for label, of_row in shares.items() if of_row != (None, None, None)}


def failed_checks(folder: str, row: str) -> list[str] | None:
    """Which checks for masked gradients a row fails; None where they were not run."""
    entry = _of_row(folder, row).get("sanity-checks")
    if entry is None:
        return None
    return [label for name, label in CHECKS.items() if not entry.result[name]["passed"]]


def least(folder: str, rows: Iterable[str]) -> dict[str, tuple[float, float, str, int]]:
    """Of each row that AutoAttack was run on: the paper's PGD, the lowest share, its attack, the number of images."""
    found = {}
    for row in rows:
        shares = attacked(folder, row)
        if "AutoAttack" not in shares or "clean" not in shares:
            continue
        del shares["clean"]
        attack = min(shares, key=shares.__getitem__)
        n = _of_row(folder, row)["autoattack"].config["n"]
        found[row] = (next(iter(shares.values())), shares[attack], attack, n)
    return found


def over_settings(folder: str) -> dict[str, dict[str, dict[str, float]]]:
    """Accuracy of the rows of Fig. 3b: what is varied to its value to column to share; what is not recorded lacks."""
    found = results.records(folder, "accuracy")
    panels = {
        what: {value: found[row].result for value, row in values.items() if row in found}
        for what, values in FIG_3B.items()
    }
    return {what: values for what, values in panels.items() if values}


def _of_row(folder: str, row: str) -> dict[str, Record]:
    names = ("pgd-accuracy", "strong-accuracy", "targeted-pgd", "autoattack", "sanity-checks")
    found = {what: results.records(folder, what).get(row) for what in names}
    return {what: entry for what, entry in found.items() if entry is not None}


def states(folder: str, rows: Iterable[str]) -> dict[str, dict[str, float]]:
    """Accuracy of rows and what became of the neurons that SNS stabilises, of those rows where all of it is recorded.

    Args:
        folder: such as "cifar10/vgg16-w0.25", whose SNS rows stabilise the same layers.
        rows: published rows; without any SNS row in the folder, none is in the result.

    Returns:
        Row to accuracy "clean", on "fixed" x', under "pgd" and under the "strong" PGD, and to what
        :func:`neurons_state` says under PGD of the neurons that the row stabilises, chosen by the vanilla model of its
        seed; of a row without SNS, of the sensitive ones; and to "seeing", :func:`share_over_images` of the same. Of
        several seeds each number is the mean of those that there are; "relative" and "seeing" have none where all are
        dead, the latter also where it was not measured. "seeds" says how many seeds.
    """
    found = {what: _of_seeds(folder, what) for what in ("accuracy", "accuracy-on-fixed", "strong-accuracy")}
    found["sensitivity"] = _of_seeds(folder, "sensitivity", split="test", under="pgd")
    selection = _of_seeds(folder, "sensitivity", split="train")
    varied = _of_seeds(folder, "variance")
    of_training = [entry.config["trained"] for entry in found["sensitivity"].values()]
    layers = next((trained["sns"]["layers"] for trained in of_training if "sns" in trained), None)
    of_rows: dict[str, list[dict[str, float]]] = {}
    for row, seed in found["sensitivity"]:
        vanilla = ("vanilla", seed)
        if layers is None or vanilla not in selection or vanilla not in found["sensitivity"]:
            continue
        if any((row, seed) not in records for records in found.values()):
            continue
        entries = {what: records[row, seed] for what, records in found.items()}
        sns = entries["sensitivity"].config["trained"].get("sns", {})
        sigma = {layer: torch.tensor(selection[vanilla].result["sigma"][layer]) for layer in layers}
        chosen = choose_neurons(sigma, sns.get("neurons", "sensitive"), sns.get("fraction", 0.1), seed)
        before = found["sensitivity"][vanilla].result
        state = {
            "clean": entries["accuracy"].result["clean"],
            "fixed": entries["accuracy-on-fixed"].result,
            "pgd": entries["accuracy"].result["pgd"],
            "strong": entries["strong-accuracy"].result,
            **neurons_state(entries["sensitivity"].result, before, chosen),
            "seeing": share_over_images(varied[row, seed].result, chosen) if (row, seed) in varied else math.nan,
        }
        of_rows.setdefault(row, []).append(state)
    return {
        row: {"seeds": len(of_rows[row])}
        | {name: _mean([state[name] for state in of_rows[row]]) for name in of_rows[row][0]}
        for row in rows
        if row in of_rows
    }


def _mean(values: Iterable[float]) -> float:
    numbers = [value for value in values if not math.isnan(value)]
    return fmean(numbers) if numbers else math.nan


def _of_seeds(folder: str, what: str, **config: Any) -> dict[tuple[str, int], Record]:
    by_seed = results.by_seed(folder, what, **config)
    return {(row, entry.seed): entry for row, entries in by_seed.items() for entry in entries}


def _digits(value: float) -> str:
    """A number that may be tiny and not 0: with three digits, or two where it is below 1; a dash for none."""
    return "–" if math.isnan(value) else f"{value:.3g}" if value >= 1 else f"{value:.2g}"


def differences(folder: str, row: str, other: str) -> dict[str, tuple[float, float, float] | None]:
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
            a, b = share_of(of_rows[row], value), share_of(of_rows[other], value)
            low, high = difference(a, b)
            found[column] = (100 * (a.mean - b.mean), 100 * low, 100 * high)
        else:
            found[column] = None
    return found


def in_points(found: tuple[float, float, float] | None) -> str:
    """One of :func:`differences` as the tables have it: "+3.1 (+1.6 to +4.6)", or a dash for what was not run."""
    return "–" if found is None else "{:+z.1f} ({:+z.1f} to {:+z.1f})".format(*found)


STATISTICS = {"kept": "both, as trained", "clean": "clean images", "fixed": "fixed x'"}  # whose BatchNorm is given


def share_by_statistics(entries: Sequence[Record], which: str, under: str) -> Share:
    """What the records of ``measurements.accuracy_by_statistics`` of a row say.

    Args:
        entries: one per seed.
        which: one of STATISTICS.
        under: "clean", "fixed" or "pgd".
    """
    return share_of(entries, lambda result: result[which][under])


def neurons_state(
    measured: Mapping[str, Mapping[str, Sequence[float]]],
    vanilla: Mapping[str, Mapping[str, Sequence[float]]],
    omega: Mapping[str, torch.Tensor],
) -> dict[str, float]:
    """How some neurons do, over all layers: see the keys.

    Args:
        measured: the result of a sensitivity record.
        vanilla: that of the vanilla network, whose neurons put out something.
        omega: layer to the neurons looked at.

    Returns:
        "dead", the share of them that put out nothing for any image; "output", the mean over layers of their summed
        clean output over that in the vanilla network; "sigma", the mean over layers of their mean sensitivity;
        "relative", the mean over layers of their summed sensitivity over their summed clean output.
    """
    sigma = {layer: torch.tensor(measured["sigma"][layer])[neurons] for layer, neurons in omega.items()}
    output, before = (
        {layer: torch.tensor(result["activation"][layer])[neurons] for layer, neurons in omega.items()}
        for result in (measured, vanilla)
    )
    relative = [(sigma[layer].sum() / output[layer].sum()).item() for layer in omega if output[layer].sum() > 0]
    return {
        "dead": torch.cat([values == 0 for values in output.values()]).double().mean().item(),
        "output": fmean((output[layer].sum() / before[layer].sum()).item() for layer in omega),
        "sigma": fmean(values.mean().item() for values in sigma.values()),
        "relative": _mean(relative),
    }


def share_over_images(
    measured: Mapping[str, Mapping[str, Sequence[float]]], omega: Mapping[str, torch.Tensor]
) -> float:
    """How much of what some neurons vary by is from image to image, and not the same pattern for every image.

    Args:
        measured: the result of a record of variance.
        omega: layer to the neurons looked at.

    Returns:
        The variance over images as a share of the whole, summed over the neurons of a layer, in the mean over layers
        in which any of them varies; NaN where none does.
    """
    over_images, over_all = (
        {layer: torch.tensor(measured[name][layer])[neurons].sum().item() for layer, neurons in omega.items()}
        for name in ("over_images", "over_all")
    )
    return _mean([over_images[layer] / over_all[layer] for layer in omega if over_all[layer] > 0])
