"""What became of the neurons that SNS stabilises, in the published rows."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

import torch

from snslib.sensitivity import choose_neurons, relative_sensitivity
from snslib.study import results
from snslib.study.records import Record


def neuron_states(folder: str, rows: Iterable[str]) -> dict[str, dict[str, float]]:
    """Accuracy of rows and what became of the neurons that SNS stabilises, of those rows where all of it is recorded.

    Args:
        folder: such as "cifar10/vgg16-w0.25", whose SNS rows stabilise the same layers.
        rows: published rows; without any SNS row in the folder, none is in the result.

    Returns:
        Row to accuracy "clean", on "fixed" x', under "pgd" and under the "strong" PGD, and to what
        :func:`state_of` says under PGD of the neurons that the row stabilises, chosen by the vanilla model of its
        seed; of a row without SNS, of the sensitive ones; and to "over_images", :func:`variance_over_images` of the
        same. Of several seeds each number is the mean of those that there are; "relative" and "over_images" have none
        where all are dead, the latter also where it was not measured. "seeds" says how many seeds.
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
            **state_of(entries["sensitivity"].result, before, chosen),
            "over_images": math.nan,
        }
        if (row, seed) in varied:
            state["over_images"] = variance_over_images(varied[row, seed].result, chosen)
        of_rows.setdefault(row, []).append(state)
    return {
        row: {"seeds": len(of_rows[row])}
        | {name: _mean([state[name] for state in of_rows[row]]) for name in of_rows[row][0]}
        for row in rows
        if row in of_rows
    }


def state_of(
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
    return {
        "dead": torch.cat([values == 0 for values in output.values()]).double().mean().item(),
        "output": fmean((output[layer].sum() / before[layer].sum()).item() for layer in omega),
        "sigma": fmean(values.mean().item() for values in sigma.values()),
        "relative": _mean([relative_sensitivity(sigma[layer], output[layer]) for layer in omega]),
    }


def variance_over_images(
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


def _mean(values: Iterable[float]) -> float:
    numbers = [value for value in values if not math.isnan(value)]
    return fmean(numbers) if numbers else math.nan


def _of_seeds(folder: str, what: str, **config: Any) -> dict[tuple[str, int], Record]:
    by_seed = results.by_seed(folder, what, **config)
    return {(row, entry.seed): entry for row, entries in by_seed.items() for entry in entries}
