"""The disk is asked for all that a training writes before anything is trained, and for nothing where all is there."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny import TINY

from snslib import disk
from snslib.study import measurements as measure
from snslib.study import networks as networks_module
from snslib.study import records, room
from snslib.study.networks import Networks
from snslib.study.reproduce import reproduce
from snslib.training import fixed_pairs

pytestmark = pytest.mark.trains
SMALL = replace(TINY, width=1 / 32, vanilla_epochs=1)


@pytest.fixture
def nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks_module, "train", lambda *_, **__: pytest.fail("something is trained"))


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes one of the folders full, by the name that it has in messages."""

    def fill(full: str) -> None:
        def require(name: str, folder: Path, size: int, remedy: str) -> None:
            if name == full:
                raise ValueError(f"{name}: {folder} is full; {remedy}")

        monkeypatch.setattr(disk, "require", require)

    return fill


def test_what_is_needed_is_at_least_what_is_written(tmp_path: Path) -> None:
    networks = Networks(SMALL, tmp_path, lambda line: None)
    asked = room.needed([(networks, "sns_sen_cls")])
    networks.model("sns_sen_cls")
    written = {kind: sum(file.stat().st_size for file in (tmp_path / kind).glob("*")) for kind in ("models", "pairs")}
    assert len(list((tmp_path / "models").glob("*"))) == 2  # the vanilla one too
    assert written["models"] <= asked.weights + asked.checkpoints <= 4 * written["models"] + 2**18
    assert written["pairs"] * 0.99 < asked.pairs <= written["pairs"]
    assert asked.temporary == 0
    assert room.needed([(networks, "sns_sen_cls")]) == room.Needed()


@pytest.mark.parametrize(
    ("defense", "models"), [("vanilla", 1), ("pat", 1), ("nat", 1), ("eat", 3), ("sns_sen_adv", 2)]
)
def test_models_that_are_needed_before_count_and_none_twice(
    defense: str, models: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "checkpoint_size", lambda model, steps: 10**6)
    networks = Networks(SMALL, tmp_path, lambda line: None)
    one, twice = room.needed([(networks, defense)]), room.needed([(networks, defense)] * 2)
    assert one == twice
    assert (models - 1) * 10**6 < one.weights < models * 10**6  # each without its momentum
    assert one.checkpoints == 2 * 10**6  # one after the other


@pytest.mark.parametrize(
    ("changes", "pairs", "files"),
    [
        ({}, True, True),
        ({"pairs": "epoch"}, False, True),
        ({"pairs": "step"}, False, False),
        ({"train_all": True}, True, False),
    ],
)
def test_pairs_and_temporary_files_count_where_there_will_be_some(
    changes: dict[str, Any], pairs: bool, files: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fixed_pairs, "IN_MEMORY", 1000)
    networks = Networks(replace(SMALL, **changes), tmp_path, lambda line: None)
    found = room.needed([(networks, "sns_sen_adv")])
    images = len(networks.data.train)
    assert found.pairs == pairs * images * 3 * 32 * 32 * 4
    assert found.temporary == files * images * 2 * 2 * 8 * 4 * 4  # what pool3 puts out of 8 channels, x and x'
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert room.needed([(networks, "sns_sen_adv")]).temporary == 2 * found.temporary
    assert room.needed([(networks, "vanilla")]).temporary == 0


@pytest.mark.parametrize(("full", "remedy"), [("folder", "--out FOLDER"), ("TMPDIR", "begin the command with TMPDIR=")])
def test_a_full_disk_is_told_before_the_first_of_the_networks(
    full: str,
    remedy: str,
    no_room: Callable[[str], None],
    nothing_is_trained: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fixed_pairs, "IN_MEMORY", 1000)
    no_room(full)
    with pytest.raises(ValueError, match=f"^{full}: .* is full; .*{remedy}"):
        Networks(SMALL, tmp_path, lambda line: None).model("sns_sen_cls")


@pytest.mark.parametrize("full", ["folder", "results"])
def test_reproduce_asks_for_all_rows_before_the_first(
    full: str, no_room: Callable[[str], None], nothing_is_trained: None, tmp_path: Path, results: Path
) -> None:
    no_room(full)
    with pytest.raises(ValueError, match=f"^{full}: .* is full"):
        reproduce(SMALL, tmp_path / "cache", ["vanilla", "pat"], progress=lambda line: None)


def test_what_lies_on_one_disk_is_asked_for_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, int] = {}
    monkeypatch.setattr(disk, "require", lambda name, folder, size, remedy: asked.update({name: size}))
    monkeypatch.setattr(room, "needed", lambda wanted: room.Needed(1, 10, 100, 1000))
    monkeypatch.setattr(fixed_pairs.tempfile, "tempdir", str(tmp_path))
    networks = Networks(SMALL, tmp_path, lambda line: None)
    room.require([(networks, "vanilla")], tmp_path / "results")
    assert asked == {"folder": 111, "results": 112, "TMPDIR": 1111}
    monkeypatch.setattr(room, "_same_disk", lambda a, b: False)
    room.require([(networks, "vanilla")], tmp_path / "results")
    assert asked == {"folder": 111, "results": 1, "TMPDIR": 1000}


def test_a_cache_that_can_only_be_read_serves_what_is_in_it_and_refuses_before_it_measures(
    one_megabyte: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "_RECORD", 1000)
    networks = Networks(SMALL, one_megabyte, lambda line: None)
    before = measure.accuracy(networks, "vanilla")
    subprocess.run(["mount", "-o", "remount,ro", str(one_megabyte)], check=True)
    assert measure.accuracy(networks, "vanilla") == before
    monkeypatch.setattr(Networks, "model", lambda *_: pytest.fail("something is measured"))
    with pytest.raises(ValueError, match=r"^folder: \S+records cannot be written to \(Read-only .*; keep models"):
        measure.sensitivity(networks, "vanilla")
