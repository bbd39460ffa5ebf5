"""The cache is listed with what is damaged and left over, and cleared by kind and age of what nobody works on."""

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from processes import FORKED

from snslib import locks
from snslib.__main__ import main
from snslib.files import save_tensors
from snslib.study import cache, records
from snslib.training import datasets, pretrained

DAY = 24 * 3600
TENSORS = {"weight": torch.ones(1000)}


def aged(path: Path, days: float) -> Path:
    then = time.time() - days * DAY
    os.utime(path, (then, then))
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with two of each, of which one is ten days old, and data sets of which one was fetched."""
    monkeypatch.setenv("SNSLIB_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(pretrained, "RESULTS", tmp_path / "results")
    made = tmp_path / "cache"
    for days in (0, 10):
        inputs = {"days": days}
        name = f"vanilla-{records.key(inputs)}.safetensors"
        save_tensors(made / "models" / name, TENSORS, {"recipe": inputs})
        save_tensors(made / "models" / f"pat-{days}.partial", TENSORS, {})
        save_tensors(made / "pairs" / f"pgd-{records.key(inputs)}.safetensors", TENSORS, inputs)
        records.record(made, "strong-accuracy", inputs, {}, "cpu", lambda: 0.5)
        (made / "models" / f".vanilla.safetensors.{days}").write_bytes(b"0" * 500)
        for path in made.rglob("*"):
            if days == 0 and path.is_file():
                aged(path, 10)
    (tmp_path / "results" / "digits" / "net").mkdir(parents=True)
    for name, source in (("cifar10", datasets._VERIFIED), ("tiny-imagenet", "a copy")):
        small = replace(datasets._CACHES[name], num_classes=10, image_size=8, counts=None)
        monkeypatch.setitem(datasets._CACHES, name, small)
        write_arrays(tmp_path / "data" / small.folder, source)
    return made


def write_arrays(folder: Path, source: str) -> None:
    folder.mkdir(parents=True)
    arrays = {}
    for split in ("train", "test"):
        arrays[f"{split}_images"] = np.ones((20, 8, 8, 3), dtype=np.uint8)
        arrays[f"{split}_labels"] = np.arange(20, dtype=np.uint8) % 10
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    (folder / "classes.txt").write_text("".join(f"c{i}\n" for i in range(10)))
    checksum = datasets._sha256(arrays[name] for name in datasets._ARRAYS)
    (folder / "source.json").write_text(f'{{"source": "{source}", "sha256": "{checksum}"}}')


def run(arguments: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["cache", *arguments.split(), "--out", str(folder)]) == 0
    return capsys.readouterr().out.splitlines()


def everything(folder: Path) -> set[Path]:
    return {path for path in folder.parent.rglob("*") if path.is_file()}


def test_it_lists_number_size_and_age_of_all_that_is_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = everything(folder)
    where, _, *lines = run("", folder, capsys)
    assert where == f"{folder}, and data sets in {folder.parent / 'data'}"
    assert {line.split()[0]: line.split()[1] for line in lines[:6]} == dict.fromkeys(cache.KINDS, "2")
    assert lines[0].split()[2:] == ["0.0", "MB", "0", "to", "10"]
    assert [line.partition(": ")[0] for line in lines[6:]] == ["left over"] * 2
    assert everything(folder) == before
    sizes = {kind: sum(entry.size for entry in cache.look_over(folder) if entry.kind == kind) for kind in cache.KINDS}
    assert sizes["models"] == sum(path.stat().st_size for path in folder.glob("models/vanilla-*"))
    assert sizes["data"] == sum(path.stat().st_size for path in (folder.parent / "data").rglob("*.*") if path.is_file())
    assert sizes["leftovers"] == 1000


def test_an_empty_cache_is_told_as_such_and_one_that_is_not_there_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNSLIB_DATA", str(tmp_path / "data"))
    assert [line.split()[1] for line in run("", tmp_path, capsys)[2:8]] == ["0"] * 6
    assert main(["cache", "--out", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err == (
        f"python -m snslib: out: there is no folder {tmp_path / 'nowhere'}; it is the one that models and records were "
        "kept in\n"
    )
    assert list(tmp_path.iterdir()) == []


def damage_all(folder: Path) -> set[Path]:
    """One of each kind, in some way."""
    models = sorted(folder.glob("models/vanilla-*"))
    models[0].write_bytes(models[0].read_bytes()[:-1] + b"!")
    models[1].rename(other := models[1].with_name("pat-0123456789abcdef.safetensors"))
    partial = folder / "models" / "pat-0.partial"
    partial.write_bytes(partial.read_bytes()[:100])
    pairs = min(folder.glob("pairs/*"))
    pairs.write_bytes(b"")
    record = min(folder.glob("records/*"))
    record.write_text(record.read_text().replace("0.5", "null"))
    data = folder.parent / "data" / "cifar10"
    np.save(data / "train_labels.npy", np.zeros(20, dtype=np.uint8))
    return {models[0], other, partial, pairs, record, data}


def test_what_is_damaged_is_named_and_cleared(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = damage_all(folder)
    lines = [line for line in run("", folder, capsys) if line.startswith("damaged: ")]
    assert len(lines) == len(damaged)
    assert all(sum(str(path) in line for line in lines) == 1 for path in damaged)
    whole = {path for path in everything(folder) if not any(path.is_relative_to(bad) for bad in damaged)}
    lines = run("--clear damaged", folder, capsys)
    assert {line.removeprefix("removed ") for line in lines[:-2]} == {str(path) for path in damaged}
    assert everything(folder) == whole


@pytest.mark.parametrize("kind", ["models", "checkpoints", "pairs", "records"])
def test_a_kind_is_cleared_by_age(kind: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of_kind = {entry.path: entry.age for entry in cache.look_over(folder) if entry.kind == kind}
    before = everything(folder)
    (old,) = (path for path, age in of_kind.items() if age > 9 * DAY)
    *removed, total, free = run(f"--clear {kind} --older-than 9.5", folder, capsys)
    assert removed == [f"removed {old}"]
    assert total.startswith("1 removed, 0.0 MB")
    gigabytes, unit = free.split()[:2]
    assert unit == "GB"
    assert float(gigabytes.replace(",", "")) == pytest.approx(shutil.disk_usage(folder).free / 1e9, abs=1)
    assert everything(folder) == before - {old}
    assert run(f"--clear {kind} --older-than 9.5", folder, capsys) == ["0 removed, 0.0 MB"]
    run(f"--clear {kind}", folder, capsys)
    assert everything(folder) == before - set(of_kind)


def test_of_data_sets_only_what_can_be_fetched_again_is_cleared(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = folder.parent / "data"
    removed, kept, *_ = run("--clear data", folder, capsys)
    assert removed == f"removed {data / 'cifar10'}"
    assert kept == f"kept {data / 'tiny-imagenet-200'}: it was not fetched by snslib, which cannot fetch it again"
    assert [path.name for path in data.iterdir()] == ["tiny-imagenet-200"]


def test_all_is_all_but_data_sets_of_ones_own_and_what_was_published(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = folder.parent / "results" / "digits" / "net"
    (results / "pat.json").touch()
    (results / ".pat.json.snslib-lock").write_text("{}")
    run("--clear all --older-than 0", folder, capsys)
    own = folder.parent / "data" / "tiny-imagenet-200"
    assert {path for path in everything(folder) if not path.is_relative_to(own)} == {results / "pat.json"}
    assert len(list(own.iterdir())) == 6


def test_leftovers_are_cleared_when_nobody_owns_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = (folder / "models" / f".vanilla.safetensors.{days}" for days in (0, 10))
    *lines, _, _ = run("--clear leftovers", folder, capsys)
    assert lines == [
        f"removed {old}",
        f"kept {new}: it was changed not long ago; --older-than 0 removes it all the same",
    ]
    with locks.written_beside(folder / "models" / "owned") as written:
        written.touch()
        lines = run("--clear leftovers --older-than 0", folder, capsys)
        assert lines[0] == f"removed {new}"
        assert written.exists()
    model = min(folder.glob("models/vanilla-*"))
    stale = model.with_suffix(".partial")
    save_tensors(stale, TENSORS, {})
    assert run("--clear leftovers", folder, capsys)[0] == f"removed {stale}"
    assert model.exists()


@pytest.mark.parametrize("kind", ["models", "checkpoints", "pairs", "records", "data"])
def test_what_a_process_is_working_on_is_kept(kind: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = next(entry for entry in cache.look_over(folder) if entry.kind == kind and entry.ours)
    made = entry.path.with_suffix(".safetensors") if kind == "checkpoints" else entry.path
    begun, end = FORKED.Event(), FORKED.Event()

    def work() -> None:
        with locks.alone(made):
            begun.set()
            end.wait(60)

    process = FORKED.Process(target=work)
    process.start()
    assert begun.wait(30)
    lines = run(f"--clear {kind}", folder, capsys)
    assert f"kept {entry.path}: a process is working on it" in lines
    assert entry.path.exists()
    end.set()
    process.join()
    assert f"removed {entry.path}" in run(f"--clear {kind}", folder, capsys)


def test_a_data_set_that_is_a_link_to_elsewhere_is_let_go_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = folder.parent / "data" / "cifar10"
    data.rename(elsewhere := folder.parent / "elsewhere")
    data.symlink_to(elsewhere)
    run("--clear data", folder, capsys)
    assert not data.is_symlink()
    assert len(list(elsewhere.iterdir())) == 6


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ("--older-than 3", "older_than: goes with --clear models|checkpoints"),
        ("--clear all --older-than -1", "older_than: expected a finite number >= 0, got -1.0"),
        ("--clear all --older-than week", "older_than: expected a number such as 5.0 or 8/255, got 'week'"),
    ],
)
def test_a_bad_option_is_one_line_and_clears_nothing(
    options: str, error: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(folder)
    assert main(["cache", *options.split(), "--out", str(folder)]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"python -m snslib: {error}")
    assert err.count("\n") == 1
    with pytest.raises(ValueError, match=r"^clear: expected one of models, .*got '\.\./\.\.'"):
        cache.clear(cache.look_over(folder), "../..")
    assert everything(folder) == before
