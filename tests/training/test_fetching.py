"""A data set is fetched by one process, whole, and what an archive holds stays in its folder."""

import io
import os
import signal
import tarfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from processes import FORKED, at_once

from snslib.training import datasets
from snslib.training.datasets import load_dataset


def fake_cifar10(root: str, train: bool, download: bool) -> SimpleNamespace:
    """What torchvision's class gives after a while, having left its archive in the folder."""
    with (Path(root).parent / "fetched").open("a") as file:
        file.write("train\n" if train else "test\n")
    (Path(root) / "cifar-10-python.tar.gz").write_bytes(b"0" * 1000)
    time.sleep(0.1)
    n = 60 if train else 20
    images = np.random.default_rng(n).integers(1, 256, (n, 32, 32, 3), dtype=np.uint8)
    return SimpleNamespace(data=images, targets=[i % 10 for i in range(n)], classes=[f"c{i}" for i in range(10)])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of data sets, and a source of a small CIFAR-10."""
    monkeypatch.setattr("torchvision.datasets.CIFAR10", fake_cifar10)
    small = replace(datasets._CACHES["cifar10"], counts={"train": 60, "test": 20})
    monkeypatch.setitem(datasets._CACHES, "cifar10", small)
    return tmp_path / "data"


def test_processes_that_want_a_data_set_at_once_fetch_it_once(root: Path) -> None:
    def load(number: int) -> tuple[int, bool]:
        found = load_dataset("cifar10", root, download=True, progress=lambda line: None)
        return int(found.train.images.sum()), found.official

    answers = at_once(4, load)
    assert len(set(answers)) == 1
    assert answers[0][1]
    assert (root / "fetched").read_text() == "train\ntest\n"
    assert {path.name for path in root.iterdir()} == {"cifar10", "fetched"}


def test_who_waits_for_a_data_set_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = FORKED.Event()

    def slow(root: str, train: bool, download: bool) -> SimpleNamespace:
        begun.set()
        time.sleep(1)
        return fake_cifar10(root, train, download)

    monkeypatch.setattr("torchvision.datasets.CIFAR10", slow)
    process = FORKED.Process(target=load_dataset, args=("cifar10", root, None, True))
    process.start()
    assert begun.wait(30)
    lines: list[str] = []
    assert load_dataset("cifar10", root, download=True, progress=lines.append).official
    (line,) = lines
    assert line.startswith(f"waiting for cifar10, which process {process.pid} on ")
    process.join()


def test_when_the_one_that_fetches_is_killed_the_next_fetches_and_clears_up(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = FORKED.Event()

    def for_ever(root: str, train: bool, download: bool) -> None:
        (Path(root) / "half").write_bytes(b"0" * 1000)
        begun.set()
        time.sleep(60)

    with monkeypatch.context() as patch:
        patch.setattr("torchvision.datasets.CIFAR10", for_ever)
        process = FORKED.Process(target=load_dataset, args=("cifar10", root, None, True))
        process.start()
        assert begun.wait(30)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert len(list(root.glob("*"))) == 2  # both hidden
    assert load_dataset("cifar10", root, download=True).official
    assert {path.name for path in root.iterdir()} == {"cifar10", "fetched"}


def a_link(name: str, to: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, to
    return member


EVIL = {
    "up": [tarfile.TarInfo("../evil")],
    "absolute": [tarfile.TarInfo("{outside}/evil")],
    "through a link": [a_link("folder", "{outside}", tarfile.SYMTYPE), tarfile.TarInfo("folder/evil")],
    "through a link up": [a_link("folder", "..", tarfile.SYMTYPE), tarfile.TarInfo("folder/evil")],
    "through a hard link": [a_link("file", "../kept", tarfile.LNKTYPE), tarfile.TarInfo("file")],
}


@pytest.mark.parametrize("way", EVIL)
def test_an_archive_writes_nothing_outside_of_its_folder(
    way: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torchvision unpacks it where it does not look at names."""

    def unpack(root: str, train: bool, download: bool) -> None:
        (Path(root).parent / "kept").write_text("kept")
        with tarfile.open(Path(root) / "archive", "w") as archive:
            for each in EVIL[way]:
                member = each.replace(name=each.name.format(outside=tmp_path), deep=True)
                member.linkname = each.linkname.format(outside=tmp_path)
                member.size = 0 if member.linkname else 4
                archive.addfile(member, io.BytesIO(b"evil"))
        with tarfile.open(Path(root) / "archive") as archive:
            archive.extractall(root)
        raise tarfile.ReadError("there is no more in it")

    monkeypatch.setattr("torchvision.datasets.CIFAR10", unpack)
    with pytest.raises(ValueError, match=r"^download: the archive that was fetched is not that of the data set"):
        load_dataset("cifar10", root, download=True)
    assert not list(tmp_path.rglob("evil"))
    assert (root / "kept").read_text() == "kept"
    assert {path.name for path in root.iterdir()} == {"kept"}
    assert tarfile.TarFile.extraction_filter is None
