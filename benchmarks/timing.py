"""Time several ways of doing the same thing side by side, so that a machine that slows down slows all of them."""

import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch


def interleaved(candidates: Mapping[str, Callable[[], Any]], rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds of each candidate in each of ``rounds`` rounds, after one that does not count.

    Every round runs all of them, starting with another one each time.
    """
    names = list(candidates)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(-1, rounds):
        for position in range(len(names)):
            name = names[(turn + position) % len(names)]
            began = time.perf_counter()
            candidates[name]()
            if device.startswith("cuda"):
                torch.cuda.synchronize(device)
            if turn >= 0:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def row(seconds: list[float], baseline: list[float], **about: Any) -> dict[str, Any]:
    """A line of a record: the median, and the median over the rounds of how many times as fast as the baseline."""
    ratios = [theirs / ours for ours, theirs in zip(seconds, baseline, strict=True)]
    return {
        **about,
        "seconds": round(statistics.median(seconds), 6),
        "faster": round(statistics.median(ratios), 3),
        "faster_from": round(min(ratios), 3),
        "faster_to": round(max(ratios), 3),
    }


def peak_memory(work: Callable[[], Any], device: str) -> int:
    """How many bytes more than before ``work`` had in use at its peak; on the CPU the process's resident memory."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # glibc: give back what is free, so that using it again counts
    Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the peak so far
    before = _resident("VmRSS")
    work()
    return _resident("VmHWM") - before


def _resident(which: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(which))
