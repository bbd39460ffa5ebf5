"""Accuracy while some neurons are suppressed: numbers from its records (section 3.4, Fig. 3a)."""

from collections.abc import Sequence

from snslib.attacks import ATTACKS
from snslib.claims.records import accuracy_of
from snslib.claims.statistics import Accuracy
from snslib.study.records import Record

WAYS = {"white_box": "white box", "transferred": "transferred"}  # in which images are attacked, and their names


def accuracy_at(records: Sequence[Record], way: str, column: str, beta: float) -> Accuracy:
    """The accuracy with the neurons' outputs multiplied by ``beta``.

    Args:
        records: of :func:`snslib.study.measurements.suppression`, one per seed.
        way: a key of WAYS.
        column: "clean" or an attack.
        beta: one of the factors that were tried.
    """
    place = records[0].result["betas"].index(beta)
    return accuracy_of(records, lambda result: result[way][column][place])


def best_beta(records: Sequence[Record], way: str, column: str) -> float:
    """The factor with the highest accuracy, of equals the first that was tried; arguments as :func:`accuracy_at`."""
    betas: list[float] = records[0].result["betas"]
    return max(betas, key=lambda beta: accuracy_at(records, way, column, beta).mean)


def largest_rise(records: Sequence[Record], way: str) -> tuple[float, str]:
    """The most that any β adds to the accuracy at β = 1, over the attacks.

    Args:
        records, way: as in :func:`accuracy_at`.

    Returns:
        The difference, at least 0, and the attack.
    """

    def rise(attack: str) -> float:
        best = accuracy_at(records, way, attack, best_beta(records, way, attack))
        return best.mean - accuracy_at(records, way, attack, 1.0).mean

    return max((rise(attack), attack) for attack in ATTACKS)
