"""Sensitivity and variance of every neuron of a network (Eq. 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from snslib import arguments
from snslib.attacks import Attack
from snslib.data import Split
from snslib.evaluation.corruptions import CORRUPTIONS, as_attack, name_and_severity
from snslib.sensitivity import (
    dual_pairs,
    neuron_activation,
    neuron_sensitivity,
    neuron_variance,
    relative_sensitivity,
)
from snslib.study.measurements.measured import (
    ROBUSTNESS,
    as_lists,
    first_tenth,
    images_of,
    mean_over_processes,
    measured,
)
from snslib.study.records import Record
from snslib.training import parallel

if TYPE_CHECKING:
    from snslib.study.networks import Networks


def sensitivity(networks: Networks, defense: str, attack: str = "pgd", split: str = "test") -> Record:
    """Sensitivity of every neuron of the convolutional layers and fc (Eq. 1), attacked white-box.

    Args:
        defense: the model that is attacked and measured.
        attack: one of ATTACKS, or a corruption and its severity, such as "fog-5".
        split: "test", or "train" for the images on which the sensitive neurons are selected.

    Result: "sigma", layer to one number per neuron, and "activation", the same for the L1 norm of the output.
    """
    moved = _moved_by(networks, attack)
    images = networks.test if split == "test" else networks.data.train.take(networks.settings.n_pairs)
    layers = [*networks.conv_layers, "fc"]

    def compute() -> dict[str, Any]:
        model = networks.model(defense)
        networks.progress(f"measuring the sensitivity of {defense} under {attack} on {len(images)} {split} images")
        mine = parallel.own_part(images)
        sigma = neuron_sensitivity(model, dual_pairs(model, mine, moved), layers)
        activation = neuron_activation(model, images_of(networks, mine), layers)
        found = {"sigma": sigma, "activation": activation}
        return {name: as_lists(mean_over_processes(values, len(mine))) for name, values in found.items()}

    return measured(networks, "sensitivity", defense, {"under": attack, "split": split, "n": len(images)}, compute)


def _moved_by(networks: Networks, name: str) -> Attack:
    corruption, severity = name_and_severity(name)
    if corruption in CORRUPTIONS and severity in (1, 2, 3, 4, 5):
        return as_attack(corruption, severity, networks.settings.seed)
    arguments.one_of("attack", name, (*networks.attacks, *(f"{corruption}-1..5" for corruption in CORRUPTIONS)))
    return networks.attacks[name]


def sensitivity_of_halves(networks: Networks, defense: str) -> Record:
    """Sensitivity under PGD, measured apart on two disjoint halves of the images that select the neurons.

    The halves are every other one of ``n_pairs`` training images: what differs between them is chance.

    Result: per half, layer to one number per neuron.
    """
    images = networks.data.train.take(networks.settings.n_pairs)
    halves = [Split(images.images[start::2], images.labels[start::2]) for start in (0, 1)]
    layers = [*networks.conv_layers, "fc"]

    def compute() -> list[dict[str, list[float]]]:
        model = networks.model(defense)
        pairs = [dual_pairs(model, half, networks.attacks["pgd"]) for half in halves]
        return [as_lists(neuron_sensitivity(model, of_half, layers)) for of_half in pairs]

    return measured(networks, "sensitivity-of-halves", defense, {"split": "train", "n": len(images)}, compute)


def variance(networks: Networks, defense: str, n: int | None = None) -> Record:
    """How much each neuron varies from image to image, see :func:`snslib.sensitivity.neuron_variance`.

    Result: "over_images" and "over_all", layer to one variance per neuron, of the convolutional layers and fc.
    """
    images = first_tenth(networks, n)

    def compute() -> dict[str, Any]:
        found = neuron_variance(networks.model(defense), images_of(networks, images), [*networks.conv_layers, "fc"])
        return dict(zip(("over_images", "over_all"), map(as_lists, found), strict=True))

    return measured(networks, "variance", defense, {"n": len(images)} | ROBUSTNESS, compute)


def effect_of_sns(networks: Networks, defense: str) -> dict[str, dict[str, float]]:
    """What training did to the neurons that SNS stabilises, from the test-split records of ``sensitivity``.

    Returns:
        Stabilised layer to: "chosen", how many neurons are stabilised; "before" and "after", their mean sensitivity
        in the vanilla and in the trained model; "relative_before" and "relative_after", their summed sensitivity
        over their summed clean output; "dead", how many are inactive for every test image.
    """
    omega = networks.stabilised_neurons(defense)
    results = {"before": sensitivity(networks, "vanilla").result, "after": sensitivity(networks, defense).result}
    effect: dict[str, dict[str, float]] = {}
    for layer, neurons in omega.items():
        effect[layer] = {"chosen": len(neurons)}
        for when, result in results.items():
            sigma, activation = (torch.tensor(result[name][layer])[neurons] for name in ("sigma", "activation"))
            effect[layer][when] = sigma.mean().item()
            effect[layer][f"relative_{when}"] = relative_sensitivity(sigma, activation)
            effect[layer]["dead"] = int((activation == 0).sum())  # of the trained model, which comes last
    return effect
