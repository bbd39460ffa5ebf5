"""The neurons of the vanilla network: targets, regions, suppression (sections 3.2 to 3.4)."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from snslib import arguments, attacks
from snslib.data import Split
from snslib.evaluation import receptive_fields
from snslib.evaluation.accuracy import accuracy, predicted
from snslib.evaluation.neuron_sets import index_errors
from snslib.hooks import suppress
from snslib.inference import images_at_once
from snslib.sensitivity import (
    CHOICES,
    choose_neurons,
    dual_pairs,
    important_neurons,
    neuron_activation,
    neuron_sensitivity,
    top_neurons,
)
from snslib.study.measurements.measured import images_of, measured
from snslib.study.measurements.sensitivities import sensitivity
from snslib.study.records import Record

if TYPE_CHECKING:
    from snslib.study.networks import Networks

BETAS = [1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5]  # Fig. 3a
BLOCKS = 20  # of the images that are attacked toward a class, for the errors of Fig. 2b


def targeted_neurons(networks: Networks, layer: str = "pool5", k: int = 20) -> Record:
    """Sensitive and important neurons of the vanilla model for each target class (sections 3.2 and 3.3).

    For each class y, targeted PGD moves up to n_pairs training images of other classes toward y. Of more than ten
    classes, ten are drawn by the seed (B.1).

    Args:
        layer: the penultimate layer, whose neurons are important or not (Eq. 3-5).
        k: how many sensitive and important neurons of that layer are compared.

    Result: "sensitive", layer to the top neurons for each class; "penultimate", the k "sensitive" and "important"
    neurons of ``layer`` for each class, from "all" images and from those that "reached" the class, as Eq. 3
    demands (empty where none did); "reached", the share of images that did; "n" per class; "targets", the
    classes; "channels", layer to its number of neurons; "errors", layer to the standard errors of J_avg and J_total
    over the attacked images, as :func:`snslib.evaluation.neuron_sets.index_errors` has them.
    """
    s = networks.settings

    def compute() -> dict[str, Any]:
        layers = [*networks.conv_layers, "fc"]
        result: dict[str, Any] = {"sensitive": {name: [] for name in layers}}
        result["penultimate"] = {which: {"sensitive": [], "important": []} for which in ("reached", "all")}
        result |= {"reached": [], "n": [], "targets": _targets(networks)}
        by_block: dict[str, list[Tensor]] = {name: [] for name in layers}  # per class (BLOCKS, C)
        began, count = time.perf_counter(), len(result["targets"])
        for done, target in enumerate(result["targets"]):
            left = f", about {(time.perf_counter() - began) / done * (count - done):.0f} s left" if done else ""
            networks.progress(f"targeted PGD toward class {target}: {done + 1} of {count}{left}")
            found = _toward(networks, target, layer, k)
            for name in layers:
                result["sensitive"][name].append(found["sensitive"][name])
                by_block[name].append(found["by_block"][name])
            for which, sets in found["penultimate"].items():
                for name, neurons in sets.items():
                    result["penultimate"][which][name].append(neurons)
            for name in ("reached", "n"):
                result[name].append(found[name])
            result["channels"] = found["channels"]
        fractions = dict.fromkeys(networks.conv_layers, s.fraction)
        fractions["fc"] = 1 / networks.data.num_classes  # one neuron
        result["errors"] = {name: index_errors(by_block[name], fraction) for name, fraction in fractions.items()}
        return result

    inputs = {"layer": layer, "k": k, "n_pairs": s.n_pairs, "fraction": s.fraction, "blocks": BLOCKS}
    return measured(networks, "targeted-neurons", "vanilla", inputs, compute)


def _targets(networks: Networks) -> list[int]:
    """All classes, or ten of them drawn by the seed."""
    generator = torch.Generator().manual_seed(networks.settings.seed)
    return sorted(torch.randperm(networks.data.num_classes, generator=generator)[:10].tolist())


def _toward(networks: Networks, target: int, layer: str, k: int) -> dict[str, Any]:
    """What :func:`targeted_neurons` finds for one target class; "by_block" has layer to sensitivities (BLOCKS, C)."""
    s, model = networks.settings, networks.model("vanilla")
    layers = [*networks.conv_layers, "fc"]

    def attack(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        aim = torch.full_like(y, target)
        return attacks.pgd(model, x, aim, s.eps, cast(float, s.step_size), s.steps, targeted=True)

    train = networks.data.train
    others = Split(train.images[train.labels != target], train.labels[train.labels != target]).take(s.n_pairs)
    in_blocks = [torch.arange(start, len(others), BLOCKS) for start in range(min(BLOCKS, len(others)))]
    order = torch.cat(in_blocks)
    # All blocks together, in large batches: batches of one block are slow, above all where the cores are shared.
    pairs = list(dual_pairs(model, Split(others.images[order], others.labels[order]), attack))
    x, x_adv = (torch.cat(side) for side in zip(*pairs, strict=True))
    sizes = [len(block) for block in in_blocks]
    of_blocks = zip(x.split(sizes), x_adv.split(sizes), strict=True)
    blocks = [neuron_sensitivity(model, [of_block], layers) for of_block in of_blocks]
    sigma = neuron_sensitivity(model, pairs, [*layers, layer])
    omega = top_neurons({name: sigma[name] for name in networks.conv_layers}, fraction=s.fraction)
    omega["fc"] = top_neurons({"fc": sigma["fc"]}, k=networks.data.num_classes)["fc"]
    reached = (predicted(model, x_adv.split(images_at_once(x.device))) == target).to(x.device)
    return {
        "sensitive": {name: omega[name].tolist() for name in layers},
        "by_block": {name: torch.stack([sigma_of_block[name] for sigma_of_block in blocks]) for name in layers},
        "penultimate": {
            "reached": _penultimate(model, x[reached], x_adv[reached], target, layer, k),
            "all": _penultimate(model, x, x_adv, target, layer, k),
        },
        "reached": reached.double().mean().item(),
        "n": len(x_adv),
        "channels": {name: len(value) for name, value in sigma.items()},
    }


def _penultimate(
    model: nn.Module, x: Tensor, x_adv: Tensor, target: int, layer: str, k: int
) -> dict[str, list[int]]:
    """The k sensitive and the k important neurons of a layer (Eq. 2 and 5); none without images."""
    if len(x) == 0:
        return {"sensitive": [], "important": []}
    sigma = neuron_sensitivity(model, [(x, x_adv)], [layer])
    return {
        "sensitive": top_neurons(sigma, k=k)[layer].tolist(),
        "important": important_neurons(model, x_adv, target, layer, k, k).tolist(),
    }


def regions(networks: Networks, layer: str, n: int | None = None) -> Record:
    """How much of what neurons of the vanilla model look at stays the same under PGD (Fig. 4-5, 14-17).

    The quarter of the layer's neurons that is most sensitive on these images is held against the least sensitive
    quarter; neurons that have no region in any image are left out.

    Args:
        layer: one with maps of several positions, such as pool2.
        n: on the first n test images; None for all.

    Result: "units" and "overlap", each with "sensitive" and "insensitive": the neurons from the most sensitive
    down, and for each its mean intersection over union of masks; "comparison", as
    :class:`snslib.evaluation.receptive_fields.Comparison` has it.
    """
    images = networks.test.take(n)

    def compute() -> dict[str, Any]:
        model = networks.model("vanilla")
        pairs = list(dual_pairs(model, images, networks.attacks["pgd"]))
        sigma = neuron_sensitivity(model, pairs, [layer])[layer]
        output = neuron_activation(model, (x for x, _ in pairs), [layer])[layer]
        order = sigma.argsort(descending=True)
        order = order[output[order] > 0].cpu()
        thresholds = receptive_fields.unit_thresholds(model, images, layer, order)
        of_all = receptive_fields.mask_overlap(model, pairs, layer, order, thresholds)
        has_region = ~of_all.isnan().all(0)
        order, of_all = order[has_region], of_all[:, has_region]
        quarter = max(2, len(order) // 4)
        units = {"sensitive": order[:quarter], "insensitive": order[-quarter:]}
        overlap = {"sensitive": of_all[:, :quarter], "insensitive": of_all[:, -quarter:]}
        comparison = receptive_fields.compare_overlap(
            overlap["sensitive"], overlap["insensitive"], seed=networks.settings.seed
        )
        means = {name: values.nanmean(0).tolist() for name, values in overlap.items()}
        return {
            "units": {name: of_group.tolist() for name, of_group in units.items()},
            "overlap": means,
            "comparison": asdict(comparison),
        }

    return measured(networks, "regions", "vanilla", {"layer": layer, "n": len(images)}, compute)


def suppression(
    networks: Networks, which: str = "sensitive", betas: list[float] = BETAS, n: int | None = None
) -> Record:
    """Accuracy of the vanilla model when some neurons' outputs are multiplied by beta (Fig. 3a).

    Args:
        which: the neurons of every convolutional layer: "sensitive", or as many that are not: the "least" sensitive
            ones, or "random" ones.
        betas: the factors, 1 leaves the model as it is.
        n: on the first n test images; None for all.

    Result: "white_box" (attacks on the suppressed model) and "transferred" (attacks on the model as it was), each
    "clean" and attack to one accuracy per beta; "betas". Sensitive neurons are tried under all four attacks, the
    others under PGD.

    Raises:
        ValueError: another name in ``which``.
    """
    arguments.one_of("which", which, CHOICES)
    s, test = networks.settings, networks.test.take(n)
    attacked = networks.attacks if which == "sensitive" else {"pgd": networks.attacks["pgd"]}

    def compute() -> dict[str, Any]:
        model = networks.model("vanilla")
        sigma = sensitivity(networks, "vanilla", split="train").result["sigma"]
        of_convs = {name: torch.tensor(sigma[name]) for name in networks.conv_layers}
        omega = choose_neurons(of_convs, which, s.fraction, s.seed)
        result: dict[str, Any] = {"betas": betas, "white_box": {}, "transferred": {}}
        for name, attack in {"clean": None, **attacked}.items():
            networks.progress(f"suppressing {which} neurons: {name}")
            white_box, transferred = [], []
            if attack is None:
                images = list(images_of(networks, test))
            else:
                images = [x_adv for _, x_adv in dual_pairs(model, test, attack)]
            for beta in betas:
                with suppress(model, omega, beta):
                    transferred.append((predicted(model, images) == test.labels).double().mean().item())
                    as_it_was = beta == 1 or attack is None  # then the attack makes these very images
                    white_box.append(transferred[-1] if as_it_was else accuracy(model, test, attack))
            result["white_box"][name], result["transferred"][name] = white_box, transferred
        return result

    inputs = {"n": len(test), "n_pairs": s.n_pairs, "fraction": s.fraction, "betas": betas}
    what = "suppression" if which == "sensitive" else f"suppression-of-{which}"
    return measured(networks, what, "vanilla", inputs, compute)
