"""Tasks on the workers of a Dask cluster, one a worker; that of a worker which is lost is done again by another.

What a task needs is sent to its worker, and what it makes is sent back, so that no file system is shared. A worker
computes with the same code and the same PyTorch as the one who asks, or is refused.
"""

import importlib
import logging
import re
import sys
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from snslib import arguments
from snslib.files import PROJECT

ANSWER = 10  # seconds in which a scheduler answers
LOOK = 2.0  # seconds after which new workers are looked for
MANY_BYTES = "100 GiB"  # of a task; Dask would rather warn of models on their way

Progress = Callable[[str], None]
About = Callable[[], dict[str, str]]  # what a result depends on besides the task, such as "torch": "2.11.0"


class LostError(ConnectionError):
    """Workers were lost, one after the other, with the same task; or the scheduler was."""


@dataclass(frozen=True)
class Cluster:
    """Workers who do tasks.

    Args:
        client: of Dask.
        about: says on each worker what its results depend on.
        ours: what it says here.
        progress: takes a line on the progress.
    """

    client: Any
    about: About
    ours: dict[str, str]
    progress: Progress

    def at_once(
        self, prepare: Callable[[str], Callable[[Progress], Any]], names: Collection[str]
    ) -> Iterator[tuple[str, Any]]:
        """Do a task for each name, as many at a time as there are workers.

        Args:
            prepare: makes the task of a name when a worker is free for it, something to be pickled, which takes what
                tells its progress.
            names: which are begun in this order.

        Yields:
            A name, and what its task returned, as they end.

        Raises:
            LostError: every worker that began a task was lost, or the scheduler is.
            ValueError: a worker that came later is none to work with, as in :func:`connected`.
            Exception: what a task raised. Tasks that are not wanted any more end when they next tell their progress.
        """
        from dask import config

        waiting, running, topic = list(names), dict[Any, str](), f"snslib-{uuid.uuid4().hex}"
        self.client.subscribe_topic(topic, lambda event: self.progress(event[1]))
        try:
            told = False
            while waiting or running:
                while waiting and len(running) < self._workers():
                    name = waiting.pop(0)
                    with config.set({"distributed.admin.large-graph-warning-threshold": MANY_BYTES}):
                        task = (_on_worker, name, prepare(name), self.about, self.ours, topic)
                        running[self.client.submit(*task, key=f"{name}-{uuid.uuid4().hex}", pure=False)] = name
                if not running and not told:
                    self.progress("no worker is there yet; the first that comes begins")
                    told = True
                for future in self._ended(running):
                    name = running.pop(future)
                    yield name, self._result(name, future)
        finally:
            self.client.cancel(list(running))
            self.client.unsubscribe_topic(topic)

    def _workers(self) -> int:
        """How many there are now."""
        try:
            return len(self.client.nthreads())
        except OSError as error:
            raise LostError("the connection to the scheduler is lost") from error

    def _ended(self, running: Collection[Any]) -> list[Any]:
        """The tasks that have ended, after some seconds at most."""
        from distributed import wait

        if not running:
            time.sleep(LOOK)
            return []
        try:
            return list(wait(list(running), timeout=LOOK, return_when="FIRST_COMPLETED").done)
        except TimeoutError:
            return []
        except CancelledError as error:
            raise LostError("the scheduler ended, and with it what it had begun") from error

    def _result(self, name: str, future: Any) -> Any:
        from distributed import KilledWorker

        error = future.exception()
        if isinstance(error, KilledWorker):
            text = f"{name}: every worker that began it was lost, the last at {error.last_worker.address}"
            raise LostError(f"{text}; where it was killed for want of memory, --memory-limit 0 or fewer a machine help")
        if error is not None:
            self.progress(f"{name}: failed")
            raise error
        return future.result()


@contextmanager
def connected(scheduler: str, about: About, progress: Progress) -> Iterator[Cluster]:
    """The workers of a scheduler, there may be none yet.

    Args:
        scheduler: its address, such as "tcp://10.0.0.1:8786".
        about: says what a result depends on besides its task, by names of which one with a "/" is a file; a function
            that can be pickled.
        progress: takes a line on the progress.

    Raises:
        ImportError: Dask is not installed.
        ValueError: another form of address; nobody answers there; a worker that has something else than is here, or
            that takes several tasks at a time.
    """
    if not isinstance(scheduler, str) or not re.fullmatch(r"(tcp|tls)://[^\s/]+:\d+", scheduler):
        raise ValueError(f"scheduler: expected an address such as tcp://HOST:8786, got {arguments.shown(scheduler)}")
    try:
        from distributed import Client
    except ImportError as error:
        raise ImportError("SCHEDULER: needs the extra: pip install -e .[cluster]") from error
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # one line says enough of a lost connection
    try:
        client = Client(scheduler, timeout=ANSWER, set_as_default=False)
    except OSError as error:
        remedy = "is `dask scheduler` running there, and does a firewall let its port through?"
        raise ValueError(f"scheduler: nobody answers at {scheduler} within {ANSWER} seconds; {remedy}") from error
    with client, client.as_current():
        ours = about()
        if threads := client.nthreads():
            for worker, theirs in client.run(about, on_error="return").items():
                require_fit(worker, threads.get(worker, 1), ours, theirs)
        yield Cluster(client, about, ours, progress)


def require_fit(worker: str, threads: int, ours: dict[str, str], theirs: dict[str, str] | BaseException) -> None:
    """A worker takes one task at a time and has what is here, or else a ValueError says what it has.

    Args:
        worker: its address.
        threads: that it has for tasks.
        ours: what a result depends on here.
        theirs: the same of the worker, or what it raised when it was asked.
    """
    if isinstance(theirs, BaseException):
        raise ValueError(
            f"scheduler: the worker {worker} cannot say what it has ({type(theirs).__name__}: {theirs}); start it in "
            "the environment of a checkout of this project"
        )
    if threads > 1:
        raise ValueError(
            f"scheduler: the worker {worker} takes {threads} tasks at a time, which would share a GPU and PyTorch's "
            "settings; start it with --nthreads 1"
        )
    for name in [*ours, *theirs]:
        if (there := theirs.get(name)) != (here := ours.get(name)):
            of_file = "has another" if here and there else "lacks" if here else "alone has"
            what = f"{of_file} {name}" if "/" in name else f"has {name} {there or 'not at all'} and not {here}"
            remedy = "bring both to one state (git pull, make setup) and start it again"
            raise ValueError(f"scheduler: the worker {worker} {what}; {remedy}")


def of_script(script: str, function: str, *given: Any) -> Any:
    """Call a function of a script of this process's own checkout, which is not installed, such as "book/points.py"."""
    path = PROJECT / script
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    return getattr(importlib.import_module(path.stem), function)(*given)


def _on_worker(name: str, work: Callable[[Progress], Any], about: About, ours: dict[str, str], topic: str) -> Any:
    """A task, in a thread of a worker."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def progress(line: str) -> None:
        worker.log_event(topic, f"{name}: {line}")
        if worker.state.tasks[key].state != "executing":
            raise CancelledError(f"{name} is not wanted any more")

    require_fit(worker.address, worker.state.nthreads, ours, about())
    progress(f"begins on {worker.address}")
    return work(progress)
