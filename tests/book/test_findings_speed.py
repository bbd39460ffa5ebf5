"""What the page on speed says of its measurements."""

import pytest

from snslib.book import findings
from snslib.study.speed_records import SpeedRecords


def test_devices_have_the_minutes_of_their_sections_together() -> None:
    cpu = {"attacks": {"seconds": 90}, "pages": {"seconds": 150}}
    both = findings.speed_devices(SpeedRecords({"cpu": cpu, "cuda": {"attacks": {"seconds": 61}}}))
    assert both.data == "Measured so far on: cpu (4 minutes for everything), cuda (1 minutes for everything)."


def test_a_gpu_that_was_not_measured_is_named() -> None:
    alone = findings.speed_devices(SpeedRecords({"cpu": {"attacks": {"seconds": 60}}}))
    assert alone.data.startswith("Measured so far on: cpu (1 minutes for everything). Of GPUs there is what")


@pytest.mark.parametrize(("seconds", "starts"), [(0.059, True), (0.061, False)])
def test_what_takes_the_time_on_a_gpu_is_told_by_the_wider_network(seconds: float, starts: bool) -> None:
    row = {"attack": "PGD-10", "library": "plain loop", "width": 0.5, "images": 128, "seconds": 0.04}
    others = [row | {"attack": "FGSM", "seconds": 9}, row | {"library": "art", "width": 8, "seconds": 9}]
    rows = [*others, row | {"width": 1.0, "seconds": seconds}, row]
    found = findings.speed_on_gpu({"attacks": {"rows": rows}}).data
    assert f"40 ms at width 0.5, and {1000 * seconds:.0f} ms at width 1, which has about 4 times the" in found
    assert ("it is not the arithmetic" in found) == starts
