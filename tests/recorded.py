"""Publishing records that a test made up, and what the scorecard then says."""

from typing import Any

import torch

from snslib.attacks import ATTACKS
from snslib.claims import claims
from snslib.claims.criteria.outcome import Outcome
from snslib.files import save_tensors
from snslib.study import results
from snslib.study.records import Record
from snslib.training import pretrained

FOLDER, ALEXNET = "cifar10/vgg16-w1", "tiny-imagenet/alexnet-w1"
N = 10_000
COLUMNS = ("clean", *ATTACKS)
HALF = dict.fromkeys(COLUMNS, 50.0)
LAYERS = ["conv8", "conv9", "conv10"]
PAIRS = [[0], [0]]
ANY = {"conv1": PAIRS, "fc": PAIRS}  # neurons by layer where a test is about others
ABOUT: dict[str, Any] = {
    "data": {"name": "cifar10", "origin": "official archive"},
    "provenance": {"device": "cpu", "commit": "abc"},
}
TRAINED = {"model": "vgg16", "width": 1.0, "sns": {"layers": LAYERS}}


# What a record of some measurements has besides what a test is about: without it, none would be taken for one.
WHOLE: dict[str, Any] = {
    "regions": {
        "units": {"sensitive": [0], "insensitive": [1]},
        "overlap": {"sensitive": [0.0], "insensitive": [0.0]},
    },
    "sanity-checks": {
        "growing": {"epsilons": [0.0], "accuracy": [0.0]},
        "one_step": {"fgsm": 0.0, "pgd": 0.0},
        "transfer": {"white_box": 0.0, "transferred": 0.0},
        "noise": {"noise": 0.0, "pgd": 0.0, "only_noise": 0.0},
    },
    "sensitivity": {"activation": {"conv1": [1.0]}},
    "targeted-neurons": {
        "penultimate": {"all": {"sensitive": [[]], "important": [[]]}},
        "reached": [1.0],
        "n": [1],
        "errors": {"conv1": [0.0]},
    },
}


def whole(result: Any, rest: Any) -> Any:
    """A result with the rest that it lacks."""
    if not isinstance(rest, dict):
        return result
    return {**rest, **{name: whole(value, rest.get(name)) for name, value in result.items()}}


def publish(name: str, what: str, result: Any, folder: str = "data/net-w0.25", **config: Any) -> None:
    """A record in ``results/``, of the seed that the name ends in: "pat-seed1"."""
    _, _, seed = name.partition("-seed")
    entry = Record(what, whole(result, WHOLE.get(what)), config, int(seed or 0), **ABOUT)
    results.publish_record(pretrained.RESULTS / folder / f"{name}.json", name, entry)


def put(row: str, what: str, result: Any, folder: str = FOLDER, seed: int = 0, **config: Any) -> None:
    publish(row if seed == 0 else f"{row}-seed{seed}", what, result, folder, **{"trained": TRAINED, **config})


def put_accuracy(row: str, percent: dict[str, float], folder: str = FOLDER, seed: int = 0) -> None:
    put(row, "accuracy", {column: value / 100 for column, value in percent.items()}, folder, seed, n=N)


def put_sensitivity(
    row: str, sigma: dict[str, list[float]], under: str = "pgd", seed: int = 0, folder: str = FOLDER
) -> None:
    result = {"sigma": sigma, "activation": {layer: [1.0] * len(values) for layer, values in sigma.items()}}
    put(row, "sensitivity", result, folder, seed, split="test", under=under, n=N)


def put_model(row: str, epochs: int, seconds: float, device: str = "cpu") -> None:
    state = {"history": [{"seconds": seconds / epochs}] * epochs, "device": device}
    save_tensors(pretrained.RESULTS / FOLDER / f"{row}.safetensors", {"x": torch.zeros(1)}, state)


def put_targeted(sensitive: dict[str, list[list[int]]], penultimate: dict[str, list[list[int]]], k: int = 2) -> None:
    result = {
        "sensitive": sensitive,
        "penultimate": {"reached": penultimate},
        "targets": list(range(len(sensitive["fc"]))),
        "channels": {"pool5": 100},
    }
    put("vanilla", "targeted-neurons", result, layer="pool5", k=k)


def outcome(number: int) -> Outcome:
    [found] = [found for claim, found in claims.scorecard(FOLDER) if claim.number == number]
    assert found.verdict in claims.VERDICTS
    return found


def verdict(number: int) -> str:
    return outcome(number).verdict
