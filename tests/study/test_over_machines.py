"""Rows on the workers of a Dask cluster become what they become here, also where a worker is lost in the middle."""

import importlib.util
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import few_measurements
import pytest
from dask_cluster import processes
from tiny import TINY

from snslib.__main__ import main
from snslib.files import checksum, load_tensors
from snslib.study import cluster, over_machines, side_by_side
from snslib.study import reproduce as reproduction
from snslib.study.networks import Networks
from snslib.study.rows import TABLE
from snslib.training import parallel, pretrained

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pyautoattack") is None, reason="pyautoattack is not installed"
)
NO_DASK = "Dask is not installed: pip install -e .[cluster]"
ROWS = ["vanilla", "pat", "sns_sen_cls", "fig3b_lam0"]


class Here:
    """A cluster of this process: its tasks are done in order, with a cache of their own, and their names are kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
        self.begun: list[str] = []
        monkeypatch.setenv("SNSLIB_CACHE", str(cache))
        monkeypatch.setattr(cluster, "connected", lambda *_: self)

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def at_once(self, prepare: Callable[[str], Callable[[cluster.Progress], Any]], names: list[str]) -> Any:
        for name in names:
            self.begun.append(name)
            yield name, prepare(name)(lambda line: None)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reproduction, "_measurements", few_measurements.few)


def published(folder: Path) -> dict[str, Any]:
    """What is published: checksums of weights, and results of records with what they are of."""
    found: dict[str, Any] = {}
    for path in sorted(folder.glob("*/*/*")):
        if path.suffix == ".safetensors":
            found[path.name] = checksum(load_tensors(path)[0])
        else:
            found[path.name] = [
                (one["what"], one["config"], one["result"]) for one in json.loads(path.read_text())["records"]
            ]
    return found


@pytest.mark.trains
@pytest.mark.slow
def test_rows_are_what_they_are_here_and_what_is_there_is_not_made_again(
    few: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(TINY, width=1 / 32)
    monkeypatch.setattr(pretrained, "RESULTS", tmp_path / "plain")
    reproduction.reproduce(settings, tmp_path / "cache-plain", ROWS, progress=lambda line: None)
    monkeypatch.setattr(pretrained, "RESULTS", tmp_path / "sent")
    here = Here(monkeypatch, tmp_path / "cache-worker")
    over_machines.reproduce("tcp://x:1", settings, tmp_path / "cache", ROWS, progress=lambda line: None)
    assert here.begun == [*ROWS, "between rows"]
    assert published(tmp_path / "sent") == published(tmp_path / "plain")
    assert tmp_path / "sent" == pretrained.RESULTS
    assert not [path for path in tmp_path.glob("cache/**/*") if path.is_file()]  # all that others need is published
    monkeypatch.setenv("SNSLIB_CACHE", str(tmp_path / "cache-of-another"))
    monkeypatch.setattr("snslib.study.networks.train", lambda *_, **__: pytest.fail("something is trained"))
    over_machines.reproduce("tcp://x:1", settings, tmp_path / "cache", ["vanilla", "pat"], progress=lambda line: None)


@pytest.mark.trains
@pytest.mark.slow
def test_a_vanilla_network_that_is_not_published_goes_with_the_rows_that_need_it(
    few: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(TINY, width=1 / 32, vanilla_epochs=1)
    monkeypatch.setattr(pretrained, "RESULTS", tmp_path / "results")
    Here(monkeypatch, tmp_path / "worker")
    over_machines.reproduce("tcp://x:1", settings, tmp_path / "cache", ["fig3b_lam0"], progress=lambda line: None)
    [vanilla] = (tmp_path / "cache").glob("**/*.safetensors")
    assert vanilla == Networks(settings, tmp_path / "cache").model_path("vanilla")
    assert vanilla.read_bytes() == (tmp_path / "worker" / "models" / vanilla.name).read_bytes()
    (_, cached) = over_machines._needed("fig3b_lam0", Networks(settings, tmp_path / "cache"))
    assert cached == {f"models/{vanilla.name}": vanilla.read_bytes()}
    over_machines._keep("fig3b_lam0", Networks(settings, tmp_path / "cache"), ({}, {"models/of-other-images": b"x"}))
    assert [*(tmp_path / "cache").glob("**/*.safetensors")] == [vanilla]


def test_between_rows_all_models_are_sent_until_each_was_tried_on_the_others(tmp_path: Path, results: Path) -> None:
    folder = results / "digits" / "vgg16-w0.0625"
    folder.mkdir(parents=True)
    for row in TABLE:
        (folder / f"{row}.safetensors").write_text(row)
    networks = Networks(TINY, tmp_path / "cache")
    published, _ = over_machines._needed("between rows", networks)
    assert {Path(name).stem for name in published} == set(TABLE)
    (folder / "transfer.json").write_text("{}")
    published, _ = over_machines._needed("between rows", networks)
    assert {Path(name).name for name in published} == {"transfer.json", "vanilla.safetensors", "pat.safetensors"}


@pytest.mark.parametrize("jobs", [None, 2])
def test_the_hours_are_those_of_all_rows_and_one_that_waited_has_what_is_left(
    jobs: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(reproduction, "reproduce", lambda base, folder, rows, hours, progress: asked.append(hours))
    monkeypatch.setattr(time, "time", lambda: 3600.0)
    until = reproduction.deadline(2.0)
    for now in (3600, 5400, 10800, 99999):
        monkeypatch.setattr(time, "time", lambda now=now: float(now))
        if jobs:
            side_by_side._reproduce_one(TINY, tmp_path, until, "pat")
        else:
            monkeypatch.setenv("SNSLIB_CACHE", str(tmp_path / "cache"))
            over_machines._on_worker(TINY, until, "pat", ({}, {}), print)
    assert asked == [2.0, 1.5, 0.0, 0.0]


def test_what_cannot_be_done_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"^hours: expected a number >= 0, got -1"):
        over_machines.reproduce("tcp://x:1", TINY, tmp_path, ["pat"], hours=-1)
    monkeypatch.setattr(parallel, "world_size", lambda: 2)
    with pytest.raises(ValueError, match=r"^scheduler: .*leave out --scheduler, or torchrun"):
        over_machines.reproduce("tcp://x:1", TINY, tmp_path, ["pat"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--scheduler tcp://x:1 --jobs 2", "jobs: with --scheduler .*; leave out --jobs"),
        ("--scheduler tcp://x:1 --device cpu", "device: with --scheduler .*; leave out --device"),
        ("--scheduler x:1", "scheduler: expected an address such as tcp://HOST:8786, got 'x:1'"),
    ],
)
def test_the_command_refuses_what_does_not_go_together(
    options: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", "--rows", "pat", *options.split()]) == 2
    assert re.search(told, capsys.readouterr().err)


def test_the_command_passes_rows_hours_and_scheduler_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(over_machines, "reproduce", lambda *given: asked.append(given))
    words = ["--rows", "pat,alp", "--hours", "2", "--scheduler", "tcp://x:1", "--out", str(tmp_path)]
    assert main(["reproduce", *words]) == 0
    [(scheduler, base, folder, rows, hours, _)] = asked
    assert (scheduler, base.profile, folder, rows, hours) == ("tcp://x:1", "digits", tmp_path, ["pat", "alp"], 2.0)


def test_versions_name_the_code_that_rows_depend_on() -> None:
    there = over_machines.versions()
    assert {"Python", "torch", "snslib/study/reproduce", "snslib/training/loop", "snslib/attacks"} <= there.keys()
    assert not any(name.startswith("snslib/book") for name in there)


@pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason=NO_DASK)
@pytest.mark.trains
@pytest.mark.slow
def test_where_a_worker_is_killed_in_the_middle_of_a_row_another_does_it_again(
    few: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers that share no folder; the rows become what they become without any."""
    settings = replace(TINY, width=1 / 32, pat_epochs=3)
    rows = ["vanilla", "pat", "sns_sen_cls"]
    monkeypatch.setattr(pretrained, "RESULTS", tmp_path / "plain")
    reproduction.reproduce(settings, tmp_path / "cache-plain", rows, progress=lambda line: None)
    monkeypatch.setattr(pretrained, "RESULTS", tmp_path / "sent")
    lines, killed = list[str](), list[str]()
    with processes(tmp_path) as started:

        def progress(line: str) -> None:
            lines.append(line)
            if line.startswith("pat: epoch 1/3") and not killed:
                address = next(one for one in lines if one.startswith("pat: begins on ")).split()[-1]
                killed.append(started.of_address(address))
                started.kill(killed[0])

        for name in "ab":
            started.worker(name, "--preload", few_measurements.__file__)
        over_machines.reproduce(started.address, settings, tmp_path / "cache", rows, progress=progress)
    assert published(tmp_path / "sent") == published(tmp_path / "plain")
    assert killed
    assert len([line for line in lines if line.startswith("pat: begins on ")]) == 2
    assert len({name for name in "ab" if [*tmp_path.glob(f"cache-{name}/models/*")]}) == 2
