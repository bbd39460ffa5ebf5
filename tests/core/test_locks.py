"""One makes a file and the others wait; it is whole or not there; what was left half-done is found and removed."""

import errno
import fcntl
import json
import os
import platform
import re
import signal
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import FORKED, at_once

from snslib import locks
from snslib.files import load_tensors, read_json, save_tensors, write_json

OLD = time.time() - 7200


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


# --- alone ---


def count(path: Path, times: int) -> None:
    for _ in range(times):
        with locks.alone(path, lambda line: None):
            number = int(path.read_text()) if path.exists() else 0
            time.sleep(0.001)  # in which another would read the same number
            path.write_text(str(number + 1))


def test_processes_and_threads_go_through_one_by_one_and_leave_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "count"

    def task(_: int) -> None:
        threads = [threading.Thread(target=count, args=(path, 10)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    at_once(3, task)
    assert path.read_text() == "60"
    assert names(tmp_path) == ["count", "folder"]


def test_what_is_alone_may_be_entered_again(tmp_path: Path) -> None:
    with locks.alone(tmp_path / "a"), locks.alone(tmp_path / "b"):
        with locks.alone(tmp_path / "a"):
            pass
        with FORKED.Pool(1) as pool:  # still held after the inner one
            assert pool.apply(free, (tmp_path / "a",)) is False
    assert free(tmp_path / "a")
    assert names(tmp_path) == []


def free(path: Path) -> bool:
    with locks.if_unused(path) as unused:
        return unused


def hold(path: Path, held: Any) -> None:
    with locks.alone(path):
        held.set()
        time.sleep(60)


def holder(path: Path) -> Any:
    """A process that holds a lock for a minute."""
    held = FORKED.Event()
    process = FORKED.Process(target=hold, args=(path, held), daemon=True)
    process.start()
    assert held.wait(30)
    return process


def test_who_waits_says_for_whom_once_and_goes_on_when_that_one_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "model"
    process = holder(path)
    lines: list[str] = []
    killer = threading.Timer(1.5, process.kill)
    killer.start()
    began = time.monotonic()
    with locks.alone(path, lines.append):
        assert 1.4 < time.monotonic() - began < 10
    (line,) = lines
    who = f"process {process.pid} on {platform.node()}"
    when = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    assert re.fullmatch(rf"waiting for model, which {re.escape(who)} has been making since {when}", line)
    assert names(tmp_path) == []


def test_who_need_not_wait_says_nothing(tmp_path: Path) -> None:
    lines: list[str] = []
    with locks.alone(tmp_path / "model", lines.append):
        assert names(tmp_path) == [".model.snslib-lock"]
        assert json.loads((tmp_path / ".model.snslib-lock").read_text())["pid"] == os.getpid()
    assert lines == []


def test_an_error_inside_lets_go(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), locks.alone(tmp_path / "model"):
        raise KeyboardInterrupt
    assert free(tmp_path / "model")
    assert names(tmp_path) == []


def no_locks(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told_and_written_to_all_the_same(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_locks(monkeypatch, number)
    path = tmp_path / "entry"
    with pytest.warns(UserWarning, match=rf"^{path} cannot be locked \(.+\): nothing keeps"), locks.alone(path):
        write_json(path, {"a": 1})
    assert read_json(path) == {"a": 1}
    assert names(tmp_path) == ["entry"]
    with locks.if_unused(path) as unused:
        assert unused


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_where_nothing_can_be_written_no_lock_is_needed(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root a folder without permissions is no obstacle, so that the system's answer is made up."""
    true_open = os.open

    def refuse(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if str(path).startswith(str(tmp_path)) and flags & os.O_CREAT:
            raise OSError(number, os.strerror(number), path)
        return true_open(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    with locks.alone(tmp_path / "model"):
        pass
    assert names(tmp_path) == []


# --- whole or not at all ---


def test_what_is_written_together_is_whole_with_equal_process_ids_too(tmp_path: Path) -> None:
    """Containers that share a folder count their processes each from 1."""
    path = tmp_path / "model"
    tensors = [{"weight": torch.full((20_000,), float(number))} for number in range(4)]
    save_tensors(path, tensors[0], {"number": 0})

    def task(number: int) -> None:
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(os, "getpid", lambda: 7)
            for _ in range(15):
                save_tensors(path, tensors[number], {"number": number})
                found, state = load_tensors(path)  # which raises where they do not belong together
                assert torch.equal(found["weight"], tensors[state["number"]]["weight"])

    at_once(4, task)
    assert names(tmp_path) == ["model"]


def test_two_files_that_are_written_under_one_name_at_once_do_not_meet(tmp_path: Path) -> None:
    with locks.written_beside(tmp_path / "a") as one, locks.written_beside(tmp_path / "a") as other:
        one.write_text("one")
        other.write_text("other")
    assert (tmp_path / "a").read_text() == "one"  # which ended last
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_have_the_permissions_that_the_umask_leaves(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write_json(tmp_path / "record", {})
        save_tensors(tmp_path / "model", {"a": torch.ones(1)}, {})
        with locks.written_beside(tmp_path / "folder") as new:
            new.mkdir()
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"record": 0o666 & ~umask, "model": 0o666 & ~umask, "folder": 0o777 & ~umask}


def test_what_is_moved_into_place_is_on_the_disk_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[str] = []
    sync, move = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        did.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def replace(a: Path, b: Path) -> None:
        did.append("move")
        move(a, b)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write_json(tmp_path / "record", {})
    assert did == ["file", "move", "folder"]
    did.clear()
    with locks.written_beside(tmp_path / "data") as new:
        new.mkdir()
        (new / "a").touch()
        (new / "b").touch()
    assert did == ["file", "file", "move", "folder"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_fails_at_the_last_moment_leaves_the_file_as_it_was(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "record"
    write_json(path, {"a": 1})

    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    for write in (lambda: write_json(path, {"a": 2}), lambda: save_tensors(path, {"a": torch.ones(3)}, {})):
        with pytest.raises(OSError, match=re.escape(os.strerror(number))):
            write()
    assert read_json(path) == {"a": 1}
    assert names(tmp_path) == ["record"]


# --- what is left ---


def write_for_ever(path: Path, begun: Any) -> None:
    with locks.alone(path), locks.written_beside(path) as new:
        new.write_text("half")
        begun.set()
        time.sleep(60)


def test_what_a_process_that_was_killed_has_left_is_removed_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "model"
    begun = FORKED.Event()
    process = FORKED.Process(target=write_for_ever, args=(path, begun), daemon=True)
    process.start()
    assert begun.wait(30)
    lock, written = sorted((path.name for path in tmp_path.iterdir()), key=lambda name: name.endswith(".snslib-new"))
    assert (lock, written[:7], written[-11:]) == (".model.snslib-lock", ".model.", ".snslib-new")
    assert locks.leftovers(tmp_path, after=0) == []  # somebody is at it
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert {path.name for path in locks.leftovers(tmp_path)} == {lock, written}
    assert locks.leftovers(tmp_path, of="another") == []
    with locks.alone(path):
        assert names(tmp_path) == [lock]
    assert names(tmp_path) == []


OF_OTHERS = [".m.safetensors.4242", ".r.json.17", ".m.partial.3", ".tmpAb3_xY", ".cifar10-k3j_2x1a"]
NOT_OURS = [".gitignore", ".ipynb_checkpoints", ".x.lock", ".tmp", ".tmpAb3", "m.json.3", ".nfs000012", ".env.local"]


def test_of_what_has_no_lock_age_tells_whether_somebody_is_at_it(tmp_path: Path) -> None:
    for name in [*OF_OTHERS, *NOT_OURS]:
        (tmp_path / name).touch()
    assert locks.leftovers(tmp_path) == []
    for name in [*OF_OTHERS[:3], *NOT_OURS]:
        os.utime(tmp_path / name, (OLD, OLD))
    assert {path.name for path in locks.leftovers(tmp_path)} == set(OF_OTHERS[:3])
    assert {path.name for path in locks.leftovers(tmp_path, after=0)} == set(OF_OTHERS)
    assert locks.leftovers(tmp_path / "nowhere") == []


def test_a_folder_in_which_something_changes_is_not_left(tmp_path: Path) -> None:
    folder = tmp_path / ".cifar10-k3j_2x1a"
    folder.mkdir()
    (folder / "archive").touch()
    os.utime(folder, (OLD, OLD))
    assert locks.leftovers(tmp_path) == []
    os.utime(folder / "archive", (OLD, OLD))
    assert locks.leftovers(tmp_path) == [folder]


def test_a_lock_that_somebody_takes_is_not_removed(tmp_path: Path) -> None:
    process = holder(tmp_path / "model")
    locks.remove(tmp_path / ".model.snslib-lock")
    assert not free(tmp_path / "model")
    process.kill()
    process.join()
    locks.remove(tmp_path / ".model.snslib-lock")
    assert names(tmp_path) == []


def test_of_a_link_the_link_is_removed_and_of_a_folder_all(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("link", "folder", "nothing"):
        locks.remove(tmp_path / name)
    assert names(tmp_path) == ["elsewhere", "kept"]
