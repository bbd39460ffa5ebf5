"""What the page on speed says of its measurements."""

from IPython.display import Markdown

from snslib.study.speed_records import SpeedRecords


def speed_devices(records: SpeedRecords) -> Markdown:
    """On which devices speed was measured, and how long that took."""
    minutes = {
        device: sum(section["seconds"] for section in sections.values()) / 60
        for device, sections in records.devices.items()
    }
    devices = ", ".join(f"{device} ({duration:.0f} minutes for everything)" for device, duration in minutes.items())
    line = f"Measured so far on: {devices}."
    if "cuda" not in minutes:
        line += " The GPU paths have tests, which run the kernels' source on a CPU, but no measurement yet."
    return Markdown(line)
