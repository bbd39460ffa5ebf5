"""A scheduler of Dask and workers that share no folder, each a process as a user starts it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCHEDULER, WORKER = "distributed.cli.dask_scheduler", "distributed.cli.dask_worker"
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


class Processes:
    """A scheduler, and workers by their names.

    Args:
        folder: for what they write: the cache of a worker is ``cache-NAME``, what all of them say ``log``.
        path: of the project that the workers run from; None is this one.
        losses: of workers that had begun a task, after which it is not done again.
    """

    def __init__(self, folder: Path, path: Path | None = None, losses: int = 3) -> None:
        self.folder, self.path = folder, path
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.ports: dict[str, int] = {}
        where = folder / "scheduler.json"
        options = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(where))
        self.scheduler = self._start(SCHEDULER, *options, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=str(losses))
        while not where.exists():
            assert self.scheduler.poll() is None, self.said()
            time.sleep(0.1)
        self.address: str = json.loads(where.read_text())["address"]

    def worker(self, name: str, *options: str, threads: int = 1) -> None:
        """Start a worker; it takes some seconds until it is there."""
        of_worker = ("--name", name, "--nthreads", str(threads), "--no-nanny", "--memory-limit", "0")
        self.ports[name] = _free_port()
        of_worker += ("--worker-port", str(self.ports[name]))
        local = ("--local-directory", str(self.folder / f"local-{name}"))
        environment = {"SNSLIB_CACHE": str(self.folder / f"cache-{name}")}
        self.workers[name] = self._start(WORKER, self.address, *of_worker, *local, *options, **environment)

    def of_address(self, address: str) -> str:
        """The name of a worker, which gets a port of its own."""
        return next(name for name, port in self.ports.items() if address.endswith(f":{port}"))

    def kill(self, name: str) -> None:
        """Kill a worker as a machine that fails does: without a word."""
        self.workers[name].send_signal(signal.SIGKILL)
        self.workers[name].wait()

    def said(self) -> str:
        return (self.folder / "log").read_text()

    def end(self) -> None:
        for process in (*self.workers.values(), self.scheduler):
            process.kill()
            process.wait()

    def _start(self, module: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(filter(None, [str(self.path or ""), os.environ.get("PYTHONPATH")]))
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module, "--no-dashboard", *arguments],
                env=os.environ | ONE_THREAD | environment | {"PYTHONPATH": path},
                stdout=log,
                stderr=log,
                cwd=self.path or Path(__file__).parents[1],
            )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def processes(folder: Path, path: Path | None = None, losses: int = 3) -> Iterator[Processes]:
    """A scheduler without workers, which ends with the context, and they with it; arguments as of Processes."""
    started = Processes(folder, path, losses)
    try:
        yield started
    finally:
        started.end()
