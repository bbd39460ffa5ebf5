"""What the page on speed says of its measurements."""

from collections.abc import Mapping
from typing import Any

from IPython.display import Markdown

from snslib.study.speed_records import SpeedRecords

STARTS = 1.5  # times as long at most, where it is not the arithmetic that takes the time


def speed_devices(records: SpeedRecords) -> Markdown:
    """On which devices speed was measured, and how long that took."""
    minutes = {
        device: sum(section["seconds"] for section in sections.values()) / 60
        for device, sections in records.devices.items()
    }
    devices = ", ".join(f"{device} ({duration:.0f} minutes for everything)" for device, duration in minutes.items())
    line = f"Measured so far on: {devices}."
    if "cuda" not in minutes:
        line += " Of GPUs there is what earlier code was measured with, below."
    return Markdown(line)


def speed_on_gpu(sections: Mapping[str, Any]) -> Markdown:
    """Where the time of an attack goes on a GPU: the plain loop at the widths that were measured.

    Args:
        sections: name to section of a record, as ``benchmarks/run.py`` writes them.
    """
    rows = [row for row in sections["attacks"]["rows"] if row["attack"] == "PGD-10" and row["library"] == "plain loop"]
    narrow, wide = min(rows, key=lambda row: row["width"]), max(rows, key=lambda row: row["width"])
    work = (wide["width"] / narrow["width"]) ** 2
    line = (
        f"There, ten steps of PGD on {wide['images']} images take the plain loop {1000 * narrow['seconds']:.0f} ms at "
        f"width {narrow['width']:g}, and {1000 * wide['seconds']:.0f} ms at width {wide['width']:g}, which has about "
        f"{work:.0f} times the multiplications."
    )
    if wide["seconds"] < STARTS * narrow["seconds"]:
        line += (
            " So at these sizes it is not the arithmetic that takes the time, but what it takes to start one operation "
            "after the other."
        )
    return Markdown(line)
