"""Tasks go to the workers that are there, one a worker; a worker that is lost or none to work with is told."""

import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cluster_tasks import OURS, about, its_process
from dask_cluster import Processes, processes

from snslib.study import cluster
from snslib.study.cluster import Progress

TESTS = Path(__file__).parents[1]
with_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="Dask is not installed: pip install -e .[cluster]"
)


# --- what needs no Dask ---


def test_a_worker_that_has_what_is_here_and_takes_one_task_is_fit() -> None:
    cluster.require_fit("tcp://a:1", 1, OURS, dict(OURS))


@pytest.mark.parametrize(
    ("threads", "theirs", "told"),
    [
        (1, OURS | {"torch": "2.6.0"}, r"tcp://a:1 has torch 2\.6\.0 and not 2\.11\.0; bring both to one state"),
        (1, {"Python": "3.11", "snslib/study/rows": "1234"}, r"tcp://a:1 has torch not at all and not 2\.11\.0"),
        (1, OURS | {"snslib/study/rows": "4321"}, "tcp://a:1 has another snslib/study/rows; "),
        (1, {"Python": "3.11", "torch": "2.11.0"}, "tcp://a:1 lacks snslib/study/rows; "),
        (1, OURS | {"results/x.json": "1"}, "tcp://a:1 alone has results/x.json; "),
        (8, OURS, "tcp://a:1 takes 8 tasks at a time, .*; start it with --nthreads 1"),
        (
            1,
            ModuleNotFoundError("No module named 'snslib'"),
            "cannot say what it has .*No module named 'snslib'.*; start",
        ),
    ],
)
def test_a_worker_that_is_none_to_work_with_is_refused_with_what_it_has(threads: int, theirs: Any, told: str) -> None:
    with pytest.raises(ValueError, match=f"^scheduler: the worker .*{told}"):
        cluster.require_fit("tcp://a:1", threads, OURS, theirs)


@pytest.mark.parametrize("address", ["HOST:8786", "tcp://HOST", "http://HOST:8786", "tcp://a b:1", "", 8786, None])
def test_what_is_no_address_is_told(address: Any) -> None:
    with (
        pytest.raises(ValueError, match=r"^scheduler: expected an address such as tcp://HOST:8786, got"),
        cluster.connected(address, dict, print),
    ):
        pass


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(ImportError, match=r"^SCHEDULER: needs the extra: pip install -e \.\[cluster\]$"),
        cluster.connected("tcp://localhost:8786", dict, print),
    ):
        pass


def test_a_script_is_that_of_this_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "a_script_for_this_test.py").write_text("def double(x): return 2 * x")
    monkeypatch.setattr(cluster, "PROJECT", tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert cluster.of_script("scripts/a_script_for_this_test.py", "double", 21) == 42


# --- with Dask, on processes of it ---


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """A scheduler with two workers, who find cluster_tasks.py."""
    with processes(tmp_path_factory.mktemp("dask"), TESTS) as started:
        started.worker("a")
        started.worker("b")
        yield started


def prepared(folder: Path) -> Callable[[str], Callable[[Progress], int]]:
    return lambda name: partial(its_process, str(folder), name)


def workers_there(started: Processes, number: int) -> None:
    """Wait until there are so many."""
    from distributed import Client

    with Client(started.address, set_as_default=False) as client:
        client.wait_for_workers(number, timeout=120)


@with_dask
@pytest.mark.slow
def test_each_worker_does_one_task_at_a_time_and_all_are_done(two: Processes, tmp_path: Path) -> None:
    workers_there(two, 2)
    lines: list[str] = []
    with cluster.connected(two.address, about, lines.append) as workers:
        found = dict(workers.at_once(prepared(tmp_path), list("uvwxyz")))
    assert set(found) == set("uvwxyz")
    assert set(found.values()) == {process.pid for process in two.workers.values()}
    begun = [line for line in lines if "begins on tcp://" in line]
    assert sorted(line[0] for line in begun) == sorted("uvwxyz")


@with_dask
@pytest.mark.slow
def test_where_one_fails_its_error_is_told_and_the_others_end(two: Processes, tmp_path: Path) -> None:
    workers_there(two, 2)
    lines: list[str] = []
    began = time.monotonic()
    with (
        pytest.raises(ValueError, match=r"^lam: it fails$"),
        cluster.connected(two.address, about, lines.append) as workers,
    ):
        list(workers.at_once(prepared(tmp_path), ["slow", "fails"]))
    assert "fails: failed" in lines
    with cluster.connected(two.address, about, lines.append) as workers:  # both workers are free for what comes next
        found = dict(workers.at_once(prepared(tmp_path), ["x", "y"]))
    assert len(set(found.values())) == 2
    assert time.monotonic() - began < 40


@with_dask
@pytest.mark.slow
def test_workers_that_have_something_else_are_refused_before_anything_begins(two: Processes, tmp_path: Path) -> None:
    workers_there(two, 2)
    with (
        pytest.raises(ValueError, match=r"^scheduler: the worker tcp://\S+ has torch 2\.6\.0 and not 2\.11\.0"),
        cluster.connected(two.address, partial(about, os.getpid()), print),
    ):
        pass


@with_dask
@pytest.mark.slow
def test_a_worker_that_comes_late_is_used_and_the_task_of_one_that_is_lost_is_done_again(tmp_path: Path) -> None:
    with processes(tmp_path, TESTS) as started:
        lines: list[str] = []

        def progress(line: str) -> None:
            lines.append(line)
            if line.startswith("no worker"):
                started.worker("first")
            if line == "slow: is slow" and "second" not in started.workers:
                started.worker("second")
                started.kill("first")

        with cluster.connected(started.address, about, progress) as workers:
            [(name, process)] = workers.at_once(prepared(tmp_path), ["slow"])
        assert (name, process) == ("slow", started.workers["second"].pid)
        assert [line.split()[0] for line in lines if "begins on" in line] == ["slow:", "slow:"]


@with_dask
@pytest.mark.slow
def test_a_task_that_kills_its_workers_is_told(tmp_path: Path) -> None:
    with processes(tmp_path, TESTS, losses=0) as started:
        started.worker("a")
        with (
            pytest.raises(cluster.LostError, match=r"^dies: every worker that began it was lost, the last at tcp://"),
            cluster.connected(started.address, about, print) as workers,
        ):
            list(workers.at_once(prepared(tmp_path), ["dies"]))


@with_dask
@pytest.mark.slow
def test_a_scheduler_that_is_gone_is_told(tmp_path: Path) -> None:
    with processes(tmp_path, TESTS) as started:
        started.worker("a")

        def progress(line: str) -> None:
            if line == "slow: is slow":
                started.scheduler.kill()

        with (
            pytest.raises(cluster.LostError, match="scheduler"),
            cluster.connected(started.address, about, progress) as workers,
        ):
            list(workers.at_once(prepared(tmp_path), ["slow"]))
    with (
        pytest.raises(ValueError, match=rf"^scheduler: nobody answers at {started.address} .*dask scheduler"),
        cluster.connected(started.address, about, print),
    ):
        pass
