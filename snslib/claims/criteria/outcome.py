"""What the records say of a claim."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from snslib.study.records import Record


@dataclass(frozen=True)
class Outcome:
    """What the records say of a claim.

    Args:
        verdict: "reproduced", "partly" or "not reproduced"; the scorecard says "not run" where nothing was decided.
        measured: the numbers behind it, or what is missing, in a clause.
        records: what it was computed from.
    """

    verdict: str
    measured: str
    records: tuple[Record, ...] = ()


def span(layers: Sequence[str]) -> str:
    """Layers in words, such as "conv1 to conv4"."""
    return layers[0] if len(layers) == 1 else f"{layers[0]} to {layers[-1]}"


def spread(values: Sequence[float]) -> str:
    """The mean of numbers of several seeds, with their standard deviation."""
    return f"{fmean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")
