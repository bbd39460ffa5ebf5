"""Accuracy of a network: clean, under the paper's attacks, at several radii, and under corruptions (Tables 1-2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from snslib import attacks
from snslib.evaluation.corruptions import CORRUPTIONS, as_attack
from snslib.evaluation.robustness import strong_pgd
from snslib.study.measurements.measured import measured, shared_accuracy
from snslib.study.records import Record

if TYPE_CHECKING:
    from snslib.study.networks import Networks

EPSILONS = [n / 255 for n in (2, 4, 8, 16, 32, 64)]  # of accuracy_by_eps


def accuracy(networks: Networks, defense: str) -> Record:
    """Accuracy on the test images, clean and under the four attacks, white-box (Table 1).

    Result: "clean" and each attack to the share of images still right.
    """

    def compute() -> dict[str, float]:
        model = networks.model(defense)
        return {
            name: shared_accuracy(model, networks.test, attack)
            for name, attack in {"clean": None, **networks.attacks}.items()
        }

    return measured(networks, "accuracy", defense, {"n": len(networks.test)}, compute)


def accuracy_on_fixed(networks: Networks, defense: str) -> Record:
    """Accuracy on test images that PGD made on the *vanilla* model: no white-box attack, and no test of a defense.

    Result: the share of images still right.
    """

    def compute() -> float:
        vanilla, model = networks.model("vanilla"), networks.model(defense)

        def transfer(_: nn.Module, x: Tensor, y: Tensor) -> Tensor:
            return networks.attacks["pgd"](vanilla, x, y)

        return shared_accuracy(model, networks.test, transfer)

    inputs = {"n": len(networks.test), "source": networks.configuration("vanilla")}
    return measured(networks, "accuracy-on-fixed", defense, inputs, compute)


def strong_accuracy(
    networks: Networks, defense: str, steps: int = 50, restarts: int = 1, n: int | None = None
) -> Record:
    """Accuracy under a stronger PGD: more steps of eps / 4 from random starts, on the first n test images or all.

    Result: the share of images that are right as they are and after the attack from every start.
    """
    s = networks.settings
    images = networks.test.take(n)

    def compute() -> float:
        right = strong_pgd(networks.model(defense), images, s.eps, steps, restarts, seed=s.seed)
        return right.double().mean().item()

    inputs = {"n": len(images), "steps": steps, "restarts": restarts}
    return measured(networks, "strong-accuracy", defense, inputs, compute)


def accuracy_by_eps(networks: Networks, defense: str, epsilons: list[float] = EPSILONS) -> Record:
    """Accuracy on the test images under PGD at several radii, each with a step size of eps / 10.

    Result: the share of images still right, one per radius.
    """
    steps = networks.settings.steps

    def compute() -> list[float]:
        model = networks.model(defense)
        attack_at = [attacks.paper_attacks(eps, eps / 10, steps)["pgd"] for eps in epsilons]
        return [shared_accuracy(model, networks.test, attack) for attack in attack_at]

    return measured(networks, "accuracy-by-eps", defense, {"n": len(networks.test), "epsilons": epsilons}, compute)


def corrupted_accuracy(networks: Networks, defense: str) -> Record:
    """Accuracy on the test images under the four corruptions of Fig. 7b and 10.

    Result: each corruption to the share of images still right at severities 1 to 5.
    """

    def compute() -> dict[str, list[float]]:
        model, seed = networks.model(defense), networks.settings.seed
        return {
            name: [shared_accuracy(model, networks.test, as_attack(name, severity, seed)) for severity in range(1, 6)]
            for name in CORRUPTIONS
        }

    return measured(networks, "corrupted-accuracy", defense, {"n": len(networks.test)}, compute)
