"""Accuracy under an attack that knows which neurons were stabilised."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from snslib.evaluation import adaptive
from snslib.evaluation.accuracy import robust_to_all
from snslib.study.measurements.measured import measured
from snslib.study.records import Record

if TYPE_CHECKING:
    from snslib.study.networks import Networks

WEIGHTS = (0.1, 1.0, 10.0)  # of how far the neurons move, beside a cross-entropy of 1


def adaptive_pgd(networks: Networks, defense: str, n: int = 200, steps: int = 20) -> Record:
    """Accuracy under PGD that also drives the stabilised neurons away, and under PGD alone at the same cost.

    Args:
        networks: the setting; its stabilised neurons are those that are driven, also where the SNS loss has no weight.
        defense: which of its networks is attacked.
        n: the first test images.
        steps: of each attempt.

    Result: "plain", the share of images that are right after PGD from as many starts as there are WEIGHTS; "adaptive",
    after one attempt with each weight; and "moved", how far the neurons move under "plain" PGD and when "driven" with
    the largest weight, on all images, in units of their clean output (:func:`snslib.evaluation.adaptive.movement`).
    """
    s, images = networks.settings, networks.test.take(n)

    def compute() -> dict[str, Any]:
        networks.progress(f"adaptive PGD-{steps} on {defense}")
        model, omega = networks.model(defense), networks.stabilised_neurons(defense)
        units = adaptive.mean_output(model, images, omega)
        generator = torch.Generator("cpu").manual_seed(s.seed)
        attack = partial(adaptive.drive_away, omega, units, s.eps, steps=steps, generator=generator)
        alone = robust_to_all(model, images, [attack(0.0)] * len(WEIGHTS), eps=s.eps)
        both = robust_to_all(model, images, [attack(weight) for weight in WEIGHTS], eps=s.eps)
        return {
            "plain": alone.double().mean().item(),
            "adaptive": both.double().mean().item(),
            "moved": {
                name: adaptive.movement(model, images, omega, units, attack(weight))
                for name, weight in (("plain", 0.0), ("driven", max(WEIGHTS)))
            },
        }

    inputs = {"n": len(images), "steps": steps, "weights": list(WEIGHTS)}
    return measured(networks, "adaptive-pgd", defense, inputs, compute)
