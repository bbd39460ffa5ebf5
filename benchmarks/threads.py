"""How long PyTorch's threads spin while they wait for each other: with the machine to themselves, and not.

snslib sets GOMP_SPINCOUNT; this is why. Each run is a process of its own, since OpenMP reads it once, when PyTorch is
loaded: here that is before snslib.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch  # noqa: F401  # before snslib, which would set it
from setting import model_and_images

import snslib as sns

SPIN = ("as it comes", "10000", "1000")
BUSY = [sys.executable, "-c", "while True: pass"]
BESIDE = {  # what else runs, and how many of it
    "nothing": ([], 0),
    "one busy core": (BUSY, 1),
    "two busy cores": (BUSY, 2),
    "the same": ([sys.executable, __file__, "100000"], 1),
}


def measure(device: str, quick: bool) -> list[dict[str, Any]]:
    """Seconds per batch of PGD-10 on digits' VGG-16, alone and beside other programs."""
    if device != "cpu":
        return []
    rows = []
    for beside, (command, count) in BESIDE.items():
        for spin in SPIN:
            environment = {k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"}
            if spin.isdigit():
                environment["GOMP_SPINCOUNT"] = spin
            with running(command, count, environment):
                run = [sys.executable, __file__, "2" if quick else "20"]
                seconds = float(subprocess.run(run, env=environment, check=True, stdout=subprocess.PIPE).stdout)
            rows.append({"beside": beside, "spin": spin, "seconds": round(seconds, 4)})
            print(rows[-1], flush=True)
    return rows


@contextmanager
def running(command: list[str], count: int, environment: dict[str, str]) -> Iterator[None]:
    """So many processes of a command, killed at the end."""
    others = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for _ in range(count)]
    try:
        if others:
            time.sleep(5)  # until they have started
        yield
    finally:
        for other in others:
            other.kill()


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
