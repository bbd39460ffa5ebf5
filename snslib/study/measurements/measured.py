"""Finding or making the record of a measurement, in one or several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from snslib.attacks import Attack
from snslib.data import Split, batches, to_float
from snslib.evaluation.accuracy import correct
from snslib.inference import images_at_once
from snslib.study import records, results
from snslib.study.records import Record
from snslib.training import parallel

if TYPE_CHECKING:
    from snslib.study.networks import Networks

ROBUSTNESS: dict[str, Any] = {"scrutiny": {}}  # by which some published measurements are found; their inputs hold it


def measured(networks: Networks, what: str, defense: str, inputs: dict[str, Any], compute: Callable[[], Any]) -> Record:
    """The record of a measurement of one network: published, or found in the cache, or else computed and written.

    Args:
        networks: the setting.
        what: the name of the measurement.
        defense: which of its networks is measured.
        inputs: what else the result depends on besides network, attack and code, JSON-able.
        compute: makes the result, JSON-able; a function of the module whose code the result depends on.

    Returns:
        As :func:`snslib.study.records.record`.
    """
    s, data = networks.settings, networks.data
    everything = {
        "trained": networks.configuration(defense),
        "attack": networks.attack_key,
        **inputs,
        "code": records.code(compute.__module__.removeprefix("snslib.")),
    }
    about = {
        "profile": s.profile,
        "defense": defense,
        "seed": s.seed,
        "data": {"name": data.name, "origin": data.origin, "official": data.official},
    }
    found = parallel.on_first_process(lambda: results.find_record(data, what, everything))
    where = (networks.folder, what, everything, about, networks.device)
    return found or records.record(*where, compute, networks.progress)


def first_tenth(networks: Networks, n: int | None) -> Split:
    """The first n test images, or a tenth of them: AutoAttack makes thousands of attempts on each."""
    return networks.test.take(n or max(1, len(networks.test) // 10))


def images_of(networks: Networks, split: Split) -> Iterator[Tensor]:
    """The images of a split on the networks' device, float in [0, 1], as many at a time as suit it."""
    some = images_at_once(torch.device(networks.device))
    return (to_float(images) for _, images, _ in batches(split.to(networks.device), some))


def shared_correct(model: nn.Module, split: Split, attack: Attack | None = None) -> Tensor:
    """As :func:`snslib.evaluation.accuracy.correct`; each process attacks and tests its part of the images."""
    return parallel.gather(correct(model, parallel.own_part(split), attack))


def shared_accuracy(model: nn.Module, split: Split, attack: Attack | None = None) -> float:
    """As :func:`snslib.evaluation.accuracy.accuracy`; each process attacks and tests its part of the images."""
    return shared_correct(model, split, attack).double().mean().item()


def mean_over_processes(values: dict[str, Tensor], n: int) -> dict[str, Tensor]:
    """Per layer, the mean over the images of all processes of what was measured on this one's n images."""
    return {name: parallel.mean(value, n) for name, value in values.items()}


def as_lists(values: dict[str, Tensor]) -> dict[str, list[float]]:
    """Per-layer tensors as JSON has them."""
    return {name: value.tolist() for name, value in values.items()}
