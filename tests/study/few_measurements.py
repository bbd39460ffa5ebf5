"""Loaded by a worker of a Dask cluster (``--preload``): of a row, what is measured in a moment."""

from collections.abc import Callable

from snslib.study import measurements as measure
from snslib.study import reproduce as reproduction
from snslib.study.networks import Networks
from snslib.study.records import Record


def few(of_row: Networks, name: str) -> list[Callable[[], Record]]:
    """The accuracy of a row."""
    return [lambda: measure.accuracy(of_row, reproduction.ROWS[name].defense)]


def dask_setup(worker: object) -> None:
    """Dask calls it when the worker starts."""
    reproduction._measurements = few
