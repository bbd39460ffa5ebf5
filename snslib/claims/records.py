"""Finding the published records that decide a claim."""

import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from snslib.attacks import ATTACKS
from snslib.claims.statistics import Accuracies, Accuracy
from snslib.study import results
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
        """Accuracy, clean and under the four attacks; NotRunError where a row is missing."""
        return {
            row: {column: accuracy_of(entries, itemgetter(column)) for column in ("clean", *ATTACKS)}
            for row, entries in self.need("accuracy", *rows).items()
        }

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
