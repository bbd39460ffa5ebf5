"""Every argument of every public function, given what it cannot be: an answer, or a ValueError with the remedy."""

import inspect
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from zoo import Pooled, Small

import snslib
from snslib import losses, sensitivity
from snslib.data import Split
from snslib.evaluation import accuracy, corruptions, misreadings, neuron_sets, receptive_fields, robustness

Y = torch.tensor([0, 1, 2, 3])
X = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
LOGITS, MASKS = torch.eye(4), X[:, 0] > 0.5
GENERATOR = torch.Generator().manual_seed(0)


def unchanged(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return x


def good() -> dict[Callable[..., Any], dict[str, Any]]:
    """Arguments that each function takes."""
    model = Small().eval()
    split, pairs, sets = Split((X * 255).to(torch.uint8), Y), [(X, X / 2)], [[0, 1], [1, 2]]
    radius = {"eps": 0.1, "step_size": 0.1, "steps": 1}
    attack = {"model": model, "x": X, "y": Y, "targeted": False, "precision": "float32"}
    judged = {"model": model, "split": split, "batch_size": 2, "eps": 0.1}
    maps = {"model": model, "layer": "block", "units": [0], "axis": 1}
    recorded, sigma = {"block": torch.rand(4, 5)}, {"block": torch.rand(5)}
    measured: dict[str, Any] = {"model": model, "layers": ["block"], "axis": 1}
    limits = torch.tensor([0.5])
    return {
        snslib.fgsm: {**attack, "eps": 0.1},
        snslib.mi_fgsm: {**attack, **radius, "decay": 1.0},
        snslib.pgd: {**attack, **radius, "random_start": True, "restarts": 2, "generator": GENERATOR},
        snslib.step_ll: {"model": model, "x": X, "eps": 0.1, "precision": "float32"},
        snslib.least_likely_class: {"model": model, "x": X},
        snslib.paper_attacks: {**radius, "precision": "float32"},
        snslib.dual_pairs: judged,
        snslib.neuron_sensitivity: {**measured, "pairs": pairs},
        snslib.record: measured,
        snslib.suppress: {"model": model, "neurons": {"block": [0]}, "beta": 0.5, "axis": 1},
        snslib.important_neurons: {
            **{"model": Pooled(model), "x_adv": X, "target": 0, "layer": "pool", "k1": 1, "k2": 1},
            **{"classifier": "fc", "batch_size": 2, "axis": 1},
        },
        snslib.top_neurons: {"sigma": sigma, "fraction": 0.5},
        snslib.adversarial_loss: {"logits": LOGITS, "logits_adv": LOGITS, "y": Y},
        snslib.logit_pairing: {"logits": LOGITS, "logits_adv": LOGITS},
        snslib.sns_loss: {"clean": recorded, "adversarial": recorded, "omega": {"block": [0]}, "reduction": "mean"},
        snslib.jaccard: {"a": [0, 1], "b": [1]},
        snslib.average_jaccard: {"sets": sets},
        snslib.total_jaccard: {"sets": sets},
        snslib.chance_jaccard: {"k": 2, "channels": 5},
        losses.deviation: {"a": LOGITS, "b": LOGITS, "neurons": [0], "by_position": True},
        sensitivity.neuron_activation: {**measured, "images": [X]},
        sensitivity.neuron_variance: {**measured, "images": [X]},
        sensitivity.relative_sensitivity: {"sigma": [1.0, 2.0], "activation": [1.0, 2.0]},
        sensitivity.top_count: {"neurons": 5, "fraction": 0.5},
        sensitivity.top_mean: {"sigma": [1.0, 2.0], "fraction": 0.5},
        sensitivity.choose_neurons: {"sigma": sigma, "which": "random", "fraction": 0.5, "seed": 0},
        accuracy.predicted: {"model": model, "images": [X], "classes": 1},
        accuracy.correct: judged,
        accuracy.accuracy: judged,
        accuracy.robust_to_all: {**judged, "attempts": [unchanged]},
        neuron_sets.by_class: {"first": sets, "second": sets},
        neuron_sets.with_one_logit: {"sets": {"fc": sets}},
        neuron_sets.by_layer: {"sets": {"fc": sets}, "channels": {"fc": 3}},
        neuron_sets.negative_weights: {"weight": LOGITS, "targets": [0, 1], "sets": sets},
        neuron_sets.permutation_test: {"first": sets, "second": sets, "channels": 5, "resamples": 9, "seed": 0},
        neuron_sets.index_errors: {"blocks": [LOGITS, LOGITS], "fraction": 0.5, "resamples": 3, "seed": 0},
        misreadings.two_read_right: {"logits": LOGITS, "y": Y},
        receptive_fields.top_images: {**maps, "split": split, "k": 2, "batch_size": 2},
        receptive_fields.unit_thresholds: {**maps, "split": split, "top": 0.5, "batch_size": 2},
        receptive_fields.unit_masks: {**maps, "x": X, "thresholds": limits},
        receptive_fields.mask_overlap: {**maps, "pairs": pairs, "thresholds": limits},
        receptive_fields.intersection_over_union: {"a": MASKS, "b": MASKS},
        receptive_fields.darkened: {"x": X, "masks": MASKS},
        receptive_fields.compare_overlap: {"sensitive": LOGITS, "insensitive": LOGITS, "resamples": 9, "seed": 0},
        robustness.strong_pgd: {**judged, "steps": 1, "restarts": 1, "step_size": 0.1, "targeted": True, "targets": 2},
        robustness.random_corner: {"eps": 0.1, "generator": GENERATOR},
        robustness.sanity_checks: {
            **{"model": model, "split": split, "eps": 0.5, "source": model},
            **{"steps": 1, "draws": 1, "tolerance": 0.1, "seed": 0},
        },
        robustness.transfer_matrix: {"models": {"a": model}, "split": split, "eps": 0.1},
        robustness.with_statistics_of: {"model": model, "batches": [X]},
        robustness.loss_surface: {"model": model, "x": X, "y": Y, "eps": 0.1, "points": 2, "seed": 0},
        corruptions.fog: {"x": X, "severity": 1, "generator": GENERATOR},
        corruptions.gaussian_noise: {"x": X, "severity": 1, "generator": GENERATOR},
        corruptions.jpeg_compression: {"x": X, "severity": 1},
        corruptions.defocus_blur: {"x": X, "severity": 1},
        corruptions.as_attack: {"name": "fog", "severity": 1, "seed": 0},
    }


ODD: list[Any] = [
    *(None, "x", b"x", [], {}, float("nan"), -1, 10**30, object(), Small, nn.ReLU(), [None], [["x"]], {0: None}),
    *(np.zeros(3), np.full((4, 3, 16, 16), np.nan), torch.zeros(0), torch.zeros(()), torch.full_like(X, torch.nan)),
    *(torch.zeros(4, 4).to_sparse(), torch.zeros_like(X, device="meta"), X.to_sparse(), X.to(torch.complex64)),
    *(LOGITS.to(torch.complex64), MASKS.float(), X.to(torch.float8_e5m2)),
]


def answered(function: Callable[..., Any], given: dict[str, Any]) -> None:
    if "attack" in inspect.signature(function).parameters:
        given = {"attack": unchanged, **given}
    found = function(**given)
    if isinstance(found, Generator):
        list(found)
    elif isinstance(found, AbstractContextManager):
        with found:
            given["model"](X)
    elif inspect.isfunction(found):
        found(None, X, Y)


def refusal(function: Callable[..., Any], given: dict[str, Any]) -> str | None:
    """What a ValueError says; None for an answer."""
    try:
        answered(function, given)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function", good(), ids=lambda function: function.__name__)
def test_what_an_argument_cannot_be_is_refused_in_words(function: Callable[..., Any]) -> None:
    given = next(each for key, each in good().items() if key is function)
    answered(function, given)
    for name, usual in given.items():
        for odd in ODD:
            if type(usual) is int and isinstance(odd, int) and odd > 9:
                continue  # as many steps would take for ever
            said = refusal(function, {**given, name: odd})
            assert said is None or ": " in said or " must be " in said, (name, odd)
