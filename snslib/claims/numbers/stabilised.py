"""State of the neurons that SNS stabilises, in the published rows."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

import torch

from snslib.sensitivity import choose_neurons, relative_sensitivity
from snslib.study import results
from snslib.study.records import Record
from snslib.training.objectives import ANEW

ACCURACIES = ("accuracy", "accuracy-on-fixed", "strong-accuracy")

Measurement = Mapping[str, Mapping[str, Sequence[float]]]  # name to layer to one number per neuron
Found = Mapping[str, Mapping[tuple[str, int], Record]]  # measurement to row and seed to record


def neuron_states(folder: str, rows: Iterable[str], every: bool = False) -> dict[str, dict[str, float]]:
    """Accuracy of rows and the state of the neurons that SNS stabilises, of those rows where all of it is recorded.

    Args:
        folder: such as "cifar10/vgg16-w0.25", whose SNS rows stabilise the same layers.
        rows: published rows; without any SNS row in the folder, none is in the result.
        every: look at all neurons of the stabilised layers, whichever the row stabilises.

    Returns:
        Row to accuracy "clean", on "fixed" x', under "pgd" and under the "strong" PGD, and to what
        :func:`state_of` measures under PGD on the neurons that the row stabilises, chosen by the vanilla model of its
        seed; of a row without SNS, on the sensitive ones; and to "over_images", :func:`variance_over_images` of the
        same. Of several seeds each number is the mean of those that there are; "relative" and "over_images" have none
        where all are inactive, the latter also where it was not measured. "seeds" is the number of seeds.
    """
    found = {what: _by_network(folder, what) for what in (*ACCURACIES, "variance")}
    found["sensitivity"] = _by_network(folder, "sensitivity", split="test", under="pgd")
    found["selection"] = _by_network(folder, "sensitivity", split="train")
    trainings = [entry.config["trained"] for entry in found["sensitivity"].values()]
    layers = next((trained["sns"]["layers"] for trained in trainings if "sns" in trained), None)
    states: dict[str, list[dict[str, float]]] = {}
    for row, seed in found["sensitivity"]:
        if layers is not None and _is_complete(found, row, seed):
            states.setdefault(row, []).append(_state(found, row, seed, layers, every))
    return {
        row: {"seeds": len(states[row])}
        | {name: _mean([state[name] for state in states[row]]) for name in states[row][0]}
        for row in rows
        if row in states
    }


def state_of(measured: Measurement, vanilla: Measurement, omega: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """State of some neurons, over all layers: see the keys.

    Args:
        measured: the result of a sensitivity record.
        vanilla: that of the vanilla network, some of whose neurons are active in every layer.
        omega: layer to the neurons looked at.

    Returns:
        "dead", the share of them in [0, 1] that are inactive for every image; "output", the mean over layers of their
        summed clean output over that in the vanilla network; "sigma", the mean over layers of their mean sensitivity;
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


def variance_over_images(measured: Measurement, omega: Mapping[str, torch.Tensor]) -> float:
    """How much of some neurons' variance is from image to image, and not the same pattern for every image.

    Args:
        measured: the result of a record of variance.
        omega: layer to the neurons looked at.

    Returns:
        The variance over images as a share of the whole in [0, 1], summed over the neurons of a layer, in the mean
        over layers in which any of them varies; NaN where none does.
    """
    over_images, over_all = (
        {layer: torch.tensor(measured[name][layer])[neurons].sum().item() for layer, neurons in omega.items()}
        for name in ("over_images", "over_all")
    )
    return _mean([over_images[layer] / over_all[layer] for layer in omega if over_all[layer] > 0])


def _by_network(folder: str, what: str, **config: Any) -> dict[tuple[str, int], Record]:
    by_seed = results.by_seed(folder, what, **config)
    return {(row, entry.seed): entry for row, entries in by_seed.items() for entry in entries}


def _is_complete(found: Found, row: str, seed: int) -> bool:
    """Whether a network has all that its state is computed from: of its own, and of the vanilla model of its seed."""
    needed = [(what, row) for what in ACCURACIES] + [("selection", "vanilla"), ("sensitivity", "vanilla")]
    return all((name, seed) in found[what] for what, name in needed)


def _state(found: Found, row: str, seed: int, layers: Iterable[str], every: bool) -> dict[str, float]:
    """What :func:`neuron_states` has of one network."""
    measured, vanilla = found["sensitivity"][row, seed], found["sensitivity"]["vanilla", seed]
    selected = found["selection"]["vanilla", seed].result["sigma"]
    sns = measured.config["trained"].get("sns", {})
    sigma = {layer: torch.tensor(selected[layer]) for layer in layers}
    which = sns.get("neurons", "sensitive")
    fraction = 1.0 if every else sns.get("fraction", 0.1)
    chosen = choose_neurons(sigma, ANEW.get(which, which), fraction, seed)
    accuracy = found["accuracy"][row, seed].result
    variance = found["variance"].get((row, seed))
    return {
        "clean": accuracy["clean"],
        "fixed": found["accuracy-on-fixed"][row, seed].result,
        "pgd": accuracy["pgd"],
        "strong": found["strong-accuracy"][row, seed].result,
        **state_of(measured.result, vanilla.result, chosen),
        "over_images": math.nan if variance is None else variance_over_images(variance.result, chosen),
    }


def _mean(values: Iterable[float]) -> float:
    numbers = [value for value in values if not math.isnan(value)]
    return fmean(numbers) if numbers else math.nan
