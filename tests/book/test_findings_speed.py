"""What the page on speed says of its measurements."""

from snslib.book import findings
from snslib.study.speed_records import SpeedRecords


def test_devices_have_the_minutes_of_their_sections_together() -> None:
    cpu = {"attacks": {"seconds": 90}, "pages": {"seconds": 150}}
    both = findings.speed_devices(SpeedRecords({"cpu": cpu, "cuda": {"attacks": {"seconds": 61}}}))
    assert both.data == "Measured so far on: cpu (4 minutes for everything), cuda (1 minutes for everything)."


def test_a_gpu_that_was_not_measured_is_named() -> None:
    alone = findings.speed_devices(SpeedRecords({"cpu": {"attacks": {"seconds": 60}}}))
    assert alone.data.startswith("Measured so far on: cpu (1 minutes for everything). The GPU paths have tests")
