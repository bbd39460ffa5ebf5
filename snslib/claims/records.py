"""Finding the published records that decide a claim."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

from snslib.attacks import ATTACKS
from snslib.claims.statistics import Accuracies, Accuracy, Right
from snslib.study import results
from snslib.study.bits import from_hex
from snslib.study.records import Record
from snslib.study.rows import ROWS


class NotRunError(Exception):
    """A claim cannot be decided; the message is the reason, a clause."""


class PublishedRecords:
    """The published records of a network on its data set; it remembers those that were used.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.used: list[Record] = []

    def find(self, what: str, *rows: str, **config: Any) -> dict[str, list[Record]]:
        """Those of ``rows`` that have the measurement, each with one record per seed; see results.by_seed."""
        of_all = results.by_seed(self.folder, what, **config)
        found = {row: of_all[row] for row in rows if row in of_all}
        self.used += [entry for entries in found.values() for entry in entries]
        return found

    def need(self, what: str, *rows: str, **config: Any) -> dict[str, list[Record]]:
        """As :meth:`find`, for all of ``rows``.

        Raises:
            NotRunError: one of them is missing.
        """
        found = self.find(what, *rows, **config)
        if missing := [row for row in rows if row not in found]:
            raise NotRunError(f"no record of {what.replace('-', ' ')}: {', '.join(missing)}")
        return found

    def accuracies(self, *rows: str) -> Accuracies:
        """Accuracy, clean and under the four attacks, with the outcomes image by image that are recorded.

        Raises:
            NotRunError: a row is missing, or its outcomes are damaged.
        """
        found, outcomes = self.need("accuracy", *rows), self.find("outcomes", *rows)

        def of(row: str, column: str) -> Accuracy:
            right = outcomes_of(outcomes.get(row, []), column)
            return replace(accuracy_of(found[row], itemgetter(column)), outcomes=right)

        return {row: {column: of(row, column) for column in ("clean", *ATTACKS)} for row in found}

    def strong(self, *rows: str) -> str:
        """What the strong attack leaves of those of ``rows`` that it was run on, as the end of a sentence."""
        found = self.find("strong-accuracy", *rows)
        if not found:
            return ""
        config = next(iter(found.values()))[0].config
        left = (f"{ROWS[row].label} {accuracy_of(entries, lambda result: result)}" for row, entries in found.items())
        return f"; PGD-{config['steps']} × {config['restarts']} leaves {', '.join(left)}"

    def states(self, row: str) -> list[dict[str, Any]]:
        """What the published models of a row say of their training, one per seed.

        Raises:
            NotRunError: there is none, or the file of one is damaged.
        """
        stems = [stem for stem in results.trained(self.folder) if re.fullmatch(rf"{row}(-seed\d+)?", stem)]
        try:
            states = [results.state(f"{self.folder}/{stem}") for stem in stems]
        except ValueError as error:
            raise NotRunError(str(error)) from error
        if not states:
            raise NotRunError(f"no model published: {row}")
        return states


def accuracy_of(entries: Sequence[Record], value: Callable[[Any], float]) -> Accuracy:
    """What the records of a row say, one per seed, as a share of the fewest images that any of them saw.

    Args:
        entries: the records.
        value: maps the result of a record to a share in [0, 1].
    """
    return Accuracy(tuple(value(entry.result) for entry in entries), min(entry.config["n"] for entry in entries))


def outcomes_of(entries: Sequence[Record], column: str) -> dict[int, Right]:
    """Which images a row gets right, by seed, from its records of outcomes.

    Args:
        entries: one per seed; those without the column are left out.
        column: "clean", an attack or "strong".

    Raises:
        NotRunError: a record is not of as many images as it says.
    """
    there = [entry for entry in entries if column in entry.result]
    try:
        return {entry.seed: from_hex(entry.result[column], entry.config["n"]) for entry in there}
    except ValueError as error:
        raise NotRunError(f"a record of outcomes is damaged: {error}") from error
