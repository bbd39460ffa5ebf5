"""How long PyTorch's threads spin while they wait for each other: with the machine to themselves, and not.

The Makefile sets GOMP_SPINCOUNT; this is why. Each run is a process of its own, since OpenMP reads it once.
"""

import os
import statistics
import subprocess
import sys
import time
from typing import Any

from setting import model_and_images

import snslib as sns

SPIN = {"as it comes": None, "GOMP_SPINCOUNT=10000": "10000"}


def measure(device: str, quick: bool) -> list[dict[str, Any]]:
    """Seconds per batch of PGD-10 on digits' VGG-16, alone and beside a second process that does the same."""
    if device != "cpu":
        return []
    rows = []
    for beside in (0, 1):
        for setting, spin in SPIN.items():
            environment = {k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"}
            if spin is not None:
                environment["GOMP_SPINCOUNT"] = spin
            command = [sys.executable, __file__, "2" if quick else "20"]
            runs = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(1 + beside)]
            seconds = [float(run.communicate()[0]) for run in runs]
            rows.append({"beside": beside, "setting": setting, "seconds": round(max(seconds), 4)})
            print(rows[-1], flush=True)
    return rows


def one_process(batches: int) -> float:
    """The median over the batches."""
    model, x, y = model_and_images("vgg16", 1 / 8, 64, "cpu")
    times = []
    for _ in range(batches):
        began = time.perf_counter()
        sns.pgd(model, x, y)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


if __name__ == "__main__":
    print(one_process(int(sys.argv[1])))
