"""The vanilla and the PAT network under every attack and corruption: what chapter 5 sets beside each other."""

from collections.abc import Mapping
from dataclasses import dataclass

from snslib.attacks import ATTACKS
from snslib.claims.numbers import correlation
from snslib.claims.numbers.correlation import Point
from snslib.claims.numbers.layers import TOP, conv_layers, top_means
from snslib.evaluation.corruptions import WEATHER, name_and_severity
from snslib.study import measurements as measure
from snslib.study import results
from snslib.study.networks import Networks
from snslib.study.records import Record

BOTH = ("vanilla", "pat")
STRONGEST = (*ATTACKS, *(name for name in WEATHER if name_and_severity(name)[1] == 5))


@dataclass(frozen=True)
class Disturbed:
    """What was measured of two networks under what disturbs their images.

    Args:
        under: an attack, or a corruption and its severity such as "fog-5", to defense to its record of sensitivity.
        accuracy: defense to its record of accuracy.
        corrupted: defense to its record of accuracy on corrupted images.
    """

    under: Mapping[str, Mapping[str, Record]]
    accuracy: Mapping[str, Record]
    corrupted: Mapping[str, Record]

    @property
    def layers(self) -> list[str]:
        """The convolutional layers, bottom to top."""
        return conv_layers(self.under["pgd"]["vanilla"])

    @property
    def strongest(self) -> dict[str, Mapping[str, Record]]:
        """The records of sensitivity under each attack, and each corruption at severity 5."""
        return {name: self.under[name] for name in STRONGEST if name in self.under}

    @property
    def points(self) -> list[Point]:
        """Sensitivity and lost accuracy, a point per disturbance and network."""
        return [
            correlation.point(record, self.accuracy[defense], self.corrupted[defense], defense, self.layers)
            for records in self.under.values()
            for defense, record in records.items()
            if defense in self.corrupted
        ]

    def top_means(self, fraction: float = TOP) -> dict[str, dict[str, dict[str, float]]]:
        """:func:`snslib.claims.numbers.layers.top_means` under each of the :attr:`strongest`."""
        return {name: top_means(records, fraction) for name, records in self.strongest.items()}

    def accuracies(self, defense: str) -> dict[str, float]:
        """Accuracy in [0, 1] of a network, clean, under each attack, and under each corruption at severity 5."""
        accuracy, corrupted = self.accuracy[defense], self.corrupted[defense]
        return {name: correlation.accuracy_under(name, accuracy, corrupted) for name in ("clean", *STRONGEST)}


def measured(networks: Networks) -> Disturbed:
    """Both networks of a setting, measured where that has not been done yet."""
    return Disturbed(
        {
            name: {defense: measure.sensitivity(networks, defense, name) for defense in BOTH}
            for name in (*ATTACKS, *WEATHER)
        },
        {defense: measure.accuracy(networks, defense) for defense in BOTH},
        {defense: measure.corrupted_accuracy(networks, defense) for defense in BOTH},
    )


def recorded(folder: str) -> Disturbed:
    """Both published networks; what is not recorded lacks.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
    """
    rows = {name: results.records(folder, "sensitivity", split="test", under=name) for name in (*ATTACKS, *WEATHER)}
    under = {name: _both(of_rows) for name, of_rows in rows.items()}
    return Disturbed(
        {name: records for name, records in under.items() if records},
        _both(results.records(folder, "accuracy")),
        _both(results.records(folder, "corrupted-accuracy")),
    )


def _both(of_rows: Mapping[str, Record]) -> dict[str, Record]:
    return {defense: of_rows[defense] for defense in BOTH if defense in of_rows}
