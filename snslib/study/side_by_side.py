"""Rows side by side, each in a process of its own: several share a GPU, or the cores, better than one uses them."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Collection
from functools import partial
from multiprocessing import connection, resource_tracker
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import cast

import torch

from snslib import arguments
from snslib.study import reproduce as reproduction
from snslib.study.networks import Networks
from snslib.study.settings import Settings
from snslib.training import parallel


def reproduce(
    base: Settings,
    folder: Path | None = None,
    rows: Collection[str] | None = None,
    hours: float = float("inf"),
    progress: Callable[[str], None] = print,
    jobs: int = 1,
) -> None:
    """As :func:`snslib.study.reproduce.reproduce`, several rows at once.

    The first row runs alone, since the others start from what it makes; the progress of each begins with its name.

    Args:
        base, folder, rows, hours, progress: as there.
        jobs: rows at once, >= 1; the cores are divided among them.

    Raises:
        RuntimeError: a row failed, or its process died.
        ValueError: as there, or from several processes that share the work already.
    """
    jobs = arguments.at_least("jobs", jobs, 1)
    if jobs == 1:
        reproduction.reproduce(base, folder, rows, hours, progress)
        return
    if parallel.world_size() > 1:
        raise ValueError(f"jobs: {jobs} rows at once are for one process; leave out --jobs, or torchrun")
    until, networks = reproduction.deadline(hours), Networks(base, folder, progress)
    first, *others = reproduction.wanted(base, rows)
    reproduction.check(networks, [first, *others])
    for group in ([first], others):
        _at_once(partial(_reproduce_one, base, folder, until), group, jobs, progress)
    reproduction.measure_between_rows(networks)


def _reproduce_one(base: Settings, folder: Path | None, until: float, row: str) -> None:
    """A row whose steps begin before a time, in seconds since 1970."""

    def show(line: str) -> None:
        print(f"{row}: {line}", file=sys.stderr, flush=True)

    reproduction.reproduce(base, folder, [row], max(0.0, until - time.time()) / 3600, show)


def _at_once(work: Callable[[str], None], rows: Collection[str], jobs: int, progress: Callable[[str], None]) -> None:
    """Do the work for each row, so many at a time; where one fails or this process is interrupted, all end."""
    context = multiprocessing.get_context("spawn")  # CUDA cannot be used after a fork
    waiting, running = list(rows), dict[int, tuple[str, SpawnProcess]]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                row = waiting.pop(0)
                process = context.Process(target=_one, args=(work, row, jobs))
                _start(process)
                running[process.sentinel] = (row, process)
            for ended in connection.wait(list(running)):
                row, process = running.pop(cast(int, ended))
                process.join()
                if process.exitcode:
                    how = "failed" if process.exitcode > 0 else f"was killed by signal {-process.exitcode}"
                    raise RuntimeError(f"rows: {row} {how}; what the rows had made is kept")
                progress(f"{row}: finished, {len(waiting) + len(running)} left")
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()


def _start(process: SpawnProcess) -> None:
    """Start a process that leaves Ctrl-C to this one, from its first moment on."""
    resource_tracker.ensure_running()  # which a start does otherwise, and unblocks the signal
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _one(work: Callable[[str], None], row: str, jobs: int) -> None:
    """The work for a row in a process of its own, which leaves others their share of the cores."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // jobs))
    try:
        work(row)
    except Exception as error:
        print(f"{row}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
