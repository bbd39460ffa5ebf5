"""Accuracy under stronger attacks, and checks for masked gradients."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from snslib.data import to_float
from snslib.evaluation import robustness
from snslib.evaluation.accuracy import accuracy
from snslib.sensitivity import dual_pairs
from snslib.study.bits import as_hex
from snslib.study.measurements.measured import ROBUSTNESS, first_tenth, measured, shared_correct
from snslib.study.records import Record

if TYPE_CHECKING:
    from snslib.study.networks import Networks

N_STATISTICS = 2000  # training images whose statistics BatchNorm is given


def pgd_accuracy(networks: Networks, defense: str, n: int | None = None) -> Record:
    """Accuracy under the paper's PGD, on the images on which the others here are measured.

    Result: "clean" and "pgd", the share of images still right.
    """
    images = first_tenth(networks, n)

    def compute() -> dict[str, float]:
        model = networks.model(defense)
        return {"clean": accuracy(model, images), "pgd": accuracy(model, images, networks.attacks["pgd"])}

    return measured(networks, "pgd-accuracy", defense, {"n": len(images)} | ROBUSTNESS, compute)


def outcomes(networks: Networks, defense: str, steps: int = 50, restarts: int = 1, n: int | None = None) -> Record:
    """Which of the first n test images, or of all, are right: what their shares are in the records of accuracy.

    Two networks are tested on the same images. How alike they get them wrong says how far apart their accuracies have
    to be; the shares alone do not tell (:func:`snslib.claims.statistics.difference`).

    Args:
        steps, restarts: of the stronger PGD, as in :func:`snslib.study.measurements.strong_accuracy`.

    Result: "clean", each of the four attacks, and "strong", to the images as :mod:`snslib.study.bits` writes them.
    """
    s, images = networks.settings, networks.test.take(n)

    def compute() -> dict[str, str]:
        model = networks.model(defense)
        right = {
            name: shared_correct(model, images, attack) for name, attack in {"clean": None, **networks.attacks}.items()
        }
        right["strong"] = robustness.strong_pgd(model, images, s.eps, steps, restarts, seed=s.seed)
        return {name: as_hex(which) for name, which in right.items()}

    inputs = {"n": len(images), "steps": steps, "restarts": restarts}
    return measured(networks, "outcomes", defense, inputs, compute)


def targeted_pgd(networks: Networks, defense: str, n: int | None = None, steps: int = 100) -> Record:
    """Accuracy under ``robustness.strong_pgd`` toward the other classes, from one random start each.

    Result: the share of images that are right after every attempt.
    """
    s, images = networks.settings, first_tenth(networks, n)

    def compute() -> float:
        networks.progress(f"targeted PGD-{steps} on {defense}")
        right = robustness.strong_pgd(networks.model(defense), images, s.eps, steps, 1, targeted=True, seed=s.seed)
        return right.double().mean().item()

    return measured(networks, "targeted-pgd", defense, {"n": len(images), "steps": steps} | ROBUSTNESS, compute)


def autoattack(networks: Networks, defense: str, n: int | None = None) -> Record:
    """Accuracy under :func:`snslib.evaluation.robustness.autoattack`.

    Result: "accuracy", the share of images that are right after its attacks; "warnings", what AutoAttack has to say
    about the model.
    """
    s, images = networks.settings, first_tenth(networks, n)

    def compute() -> dict[str, Any]:
        networks.progress(f"AutoAttack on {defense}")
        with _warnings_of("auto-attack") as warnings:
            right = robustness.autoattack(networks.model(defense), images, s.eps, s.seed)
        return {"accuracy": right.double().mean().item(), "warnings": sorted(set(warnings))}

    inputs = {"n": len(images), "pyautoattack": robustness.autoattack_version()}
    tried = robustness.autoattacks(networks.data.num_classes)
    if tried != robustness.autoattacks(10):  # no key for the standard version, so that published records are found
        inputs["attacks"] = tried
    return measured(networks, "autoattack", defense, inputs | ROBUSTNESS, compute)


def sanity_checks(networks: Networks, defense: str, source: str, n: int | None = None) -> Record:
    """The signs of masked gradients, with transferred examples from another of the models.

    Result: as :func:`snslib.evaluation.robustness.sanity_checks` returns it.
    """
    s, images = networks.settings, first_tenth(networks, n)

    def compute() -> dict[str, Any]:
        model, other = networks.model(defense), networks.model(source)
        return robustness.sanity_checks(model, images, s.eps, other, seed=s.seed)

    inputs = {"n": len(images), "source": networks.configuration(source)}
    return measured(networks, "sanity-checks", defense, inputs | ROBUSTNESS, compute)


def transfer_matrix(networks: Networks, models: Mapping[str, tuple[Networks, str]], n: int | None = None) -> Record:
    """Accuracy of each model on images that the paper's PGD made on each.

    Args:
        models: name to where the model comes from, and its defense.
        n: see the class.

    Result: as :func:`snslib.evaluation.robustness.transfer_matrix` returns it.
    """
    images = first_tenth(networks, n)

    def compute() -> dict[str, dict[str, float]]:
        loaded = {name: of_model.model(defense) for name, (of_model, defense) in models.items()}
        return robustness.transfer_matrix(loaded, images, networks.attacks["pgd"])

    configurations = {name: of_model.configuration(defense) for name, (of_model, defense) in models.items()}
    _, first = next(iter(models.values()))
    inputs = {"n": len(images), "models": configurations}
    return measured(networks, "transfer-matrix", first, inputs | ROBUSTNESS, compute)


def accuracy_by_statistics(networks: Networks, defense: str, n: int | None = None) -> Record:
    """Accuracy by the images whose statistics BatchNorm is given, see ``robustness.with_statistics_of``.

    Result: "kept" (the statistics that training left), "clean" (those of N_STATISTICS training images) and "fixed"
    (those of their x', made by PGD on the vanilla model), each to the share of test images right when they are
    "clean", are such x' too ("fixed"), and under white-box "pgd" on the model with these statistics.
    """
    images = first_tenth(networks, n)
    estimated = networks.data.train.take(N_STATISTICS)

    def compute() -> dict[str, dict[str, float]]:
        vanilla, model, pgd = networks.model("vanilla"), networks.model(defense), networks.attacks["pgd"]
        pairs = list(dual_pairs(vanilla, estimated, pgd))
        models = {
            "kept": model,
            "clean": robustness.with_statistics_of(model, (x for x, _ in pairs)),
            "fixed": robustness.with_statistics_of(model, (x_adv for _, x_adv in pairs)),
        }
        made_on = robustness.transfer_matrix({"vanilla": vanilla, **models}, images, pgd)
        return {
            name: {
                "clean": accuracy(of_these, images),
                "fixed": made_on["vanilla"][name],
                "pgd": made_on[name][name],
            }
            for name, of_these in models.items()
        }

    inputs = {"n": len(images), "estimated": len(estimated), "source": networks.configuration("vanilla")}
    return measured(networks, "accuracy-by-statistics", defense, inputs | ROBUSTNESS, compute)


def loss_surface(networks: Networks, defense: str, points: int = 21, n: int = 20) -> Record:
    """The loss around the images, averaged over them.

    Result: "offsets" and "loss", as :func:`snslib.evaluation.robustness.loss_surface` returns them.
    """
    s, images = networks.settings, networks.test.take(n).to(networks.device)

    def compute() -> dict[str, Any]:
        x = to_float(images.images)
        offsets, loss = robustness.loss_surface(networks.model(defense), x, images.labels, s.eps, points, s.seed)
        return {"offsets": offsets, "loss": loss.tolist()}

    return measured(networks, "loss-surface", defense, {"n": len(images), "points": points} | ROBUSTNESS, compute)


@contextmanager
def _warnings_of(logger: str) -> Iterator[list[str]]:
    """What a logger warns of while the context lasts, kept instead of printed."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    of_package, handler = logging.getLogger(logger), Keep(logging.WARNING)
    propagated = of_package.propagate
    of_package.addHandler(handler)
    of_package.propagate = False
    try:
        yield lines
    finally:
        of_package.removeHandler(handler)
        of_package.propagate = propagated
