"""A disk that is full or cannot be written to is noticed before anything is."""

import os
import resource
import subprocess
from pathlib import Path

import pytest

from snslib import disk


def test_a_folder_with_room_is_made_and_left_empty(tmp_path: Path) -> None:
    disk.require("out", tmp_path / "a" / "b", 10**6, "use another")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_full_disk_is_told_with_what_is_left_and_needed(one_megabyte: Path) -> None:
    disk.require("out", one_megabyte, 10**6, "use another")
    with pytest.raises(ValueError, match=r"^out: \S+small has 1.05 MB left where 2 MB are needed; free some, or"):
        disk.require("out", one_megabyte, 2 * 10**6, "use another")
    assert list(one_megabyte.iterdir()) == []


def test_the_blocks_of_a_file_are_set_aside_or_refused(one_megabyte: Path) -> None:
    with (one_megabyte / "whole").open("wb") as file:
        disk.allocate(file, 9 * 10**5)
        assert os.fstat(file.fileno()).st_size == 9 * 10**5
        assert os.fstat(file.fileno()).st_blocks * 512 >= 9 * 10**5  # a file with holes has none
        with (one_megabyte / "more").open("wb") as more, pytest.raises(OSError, match="No space left"):
            disk.allocate(more, 9 * 10**5)


@pytest.mark.parametrize("size", [0, 1, 3 * 2**20, 3 * 2**20 + 5])
def test_without_the_systems_help_zeros_are_written(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    with (tmp_path / "file").open("wb") as file:
        disk.allocate(file, size)
    assert (tmp_path / "file").read_bytes() == bytes(size)


def test_a_limit_on_the_size_of_files_is_noticed_where_the_disk_has_room(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**5, before[1]))
    try:
        disk.require("out", tmp_path, 9 * 10**4, "use another")
        with pytest.raises(ValueError, match=r"^out: \S+ takes no 200 kB \(File too large\); free some, or use"):
            disk.require("out", tmp_path, 2 * 10**5, "use another")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("inside", ["", "of"])
def test_what_cannot_be_a_folder_is_told(inside: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"^out: \S+ cannot be written to \((Not a directory|File exists)\); use"):
        disk.require("out", tmp_path / "file" / inside, 1, "use another")


def test_a_file_system_that_can_only_be_read_is_told(one_megabyte: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(one_megabyte)], check=True)
    with pytest.raises(ValueError, match=r"^out: \S+ cannot be written to \(Read-only file system\); use another$"):
        disk.require("out", one_megabyte, 1, "use another")


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (2 * 10**9, "2 GB"), (10**15, "1000 TB")]
)
def test_amounts_are_written_for_people(size: int, text: str) -> None:
    assert disk.amount(size) == text
