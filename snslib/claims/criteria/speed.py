"""The aims for speed, set before anything was measured, and which of them the records reach.

They are about this code and not about the paper.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snslib.study.speed_records import Row, SpeedRecords

ATTACK = {("cpu", 1.0): 1.0, ("cpu", 0.25): 1.3}  # device and width to the aim for PGD-10; on any other 3.0
ATTACK_ELSEWHERE = 3.0
PASSES = 1.1
EPOCH = 1.4
BANDWIDTH = 0.8
PAGE = 2.0

WIDTHS = (1.0, 0.25)
PEERS = ("plain loop", "torchattacks", "foolbox", "art")
ALL_LAYERS = 14  # of VGG-16


@dataclass(frozen=True)
class Aim:
    """An aim and what was measured.

    Args:
        device: on which.
        what: is measured, with its unit, in a clause.
        threshold: what is to be reached.
        value: what was.
        at_most: whether the value must not exceed the threshold; else it must not fall below.
    """

    device: str
    what: str
    threshold: float
    value: float
    at_most: bool = False

    @property
    def reached(self) -> bool:
        return self.value <= self.threshold if self.at_most else self.value >= self.threshold


def all_aims(records: SpeedRecords) -> list[Aim]:
    """Every aim for which there are measurements."""
    return [aim for aims in (attacks, sensitivity, epoch, kernels, pages) for aim in aims(records)]


def attacks(records: SpeedRecords) -> list[Aim]:
    """PGD-10 in float32 on VGG-16: the time of the fastest other way, library or plain loop, over that of snslib.

    To be reached: on a CPU 1.0 at width 1, where the convolutions take all the time, and 1.3 at width 1/4; else 3.0.
    """
    aims = []
    for width in WIDTHS:
        for device, rows in records.rows("attacks").items():
            seconds = _seconds(rows, "library", width=width, attack="PGD-10")
            others = [seconds[peer] for peer in PEERS if peer in seconds]
            if "snslib" in seconds and others:
                threshold = ATTACK.get((device, width), ATTACK_ELSEWHERE)
                what = f"PGD-10 at width {width:g}, against the fastest other"
                aims.append(Aim(device, what, threshold, min(others) / seconds["snslib"]))
    return aims


def sensitivity(records: SpeedRecords) -> list[Aim]:
    """The sensitivity of all layers (Eq. 1): its time over that of the two forward passes that it takes at least.

    To be reached: at most 1.1, for the number of images for which it is highest.
    """
    aims = []
    for device, rows in records.rows("sensitivity").items():
        ours = [row for row in rows if row["how"] == "snslib" and row["layers"] == ALL_LAYERS]
        for width in sorted({row["width"] for row in ours}):
            worst = max(1 / row["faster"] for row in ours if row["width"] == width)
            what = f"sensitivity of {ALL_LAYERS} layers at width {width:g}, multiple of two forward passes, at worst"
            aims.append(Aim(device, what, PASSES, worst, at_most=True))
    return aims


def epoch(records: SpeedRecords) -> list[Aim]:
    """An epoch of SNS: the time of Algorithm 1 as it is printed over that with the locked layers' outputs cached.

    To be reached: 1.4.
    """
    aims = []
    for width in WIDTHS:
        for device, rows in records.rows("sns_epoch").items():
            seconds = _seconds(rows, "how", width=width)
            if {"literal loop", "snslib, bottom cached"} <= seconds.keys():
                value = seconds["literal loop"] / seconds["snslib, bottom cached"]
                aims.append(Aim(device, f"SNS epoch at width {width:g}, against the literal loop", EPOCH, value))
    return aims


def kernels(records: SpeedRecords) -> list[Aim]:
    """The operations of snslib on a GPU: bytes per second as a share of what a copy of as many bytes reaches.

    To be reached: 0.8, by the slowest operation. On a CPU there is no aim, since its cache can beat such a copy.
    """
    aims = []
    for device, rows in records.rows("kernels").items():
        shares = [row["faster"] for row in rows if row["how"] == "snslib"]
        if device != "cpu" and shares:
            aims.append(Aim(device, "kernels, share of a copy's bandwidth, at worst", BANDWIDTH, min(shares)))
    return aims


def pages(records: SpeedRecords) -> list[Aim]:
    """The pages of the book: the seconds until the slowest one is open, each in the median of several times.

    To be reached: at most 2.0.
    """
    what = "seconds until the slowest page of this book is open"
    return [
        Aim(device, what, PAGE, max(row["seconds"] for row in rows), at_most=True)
        for device, rows in records.rows("pages").items()
    ]


def _seconds(rows: Sequence[Row], by: str, **wanted: float | str) -> Mapping[str, float]:
    """The value of ``by`` to seconds, of those rows that have all the values wanted."""
    return {row[by]: row["seconds"] for row in rows if all(row[key] == value for key, value in wanted.items())}
