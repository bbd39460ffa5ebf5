"""One process at a time makes a file, and it is whole or not there; what a process that was killed has left is found.

Nobody needs a lock to read: files are moved into place. The names of all that is hidden beside a file meanwhile are
given here.
"""

import datetime
import errno
import json
import os
import platform
import re
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_LOCK, _NEW = ".snslib-lock", ".snslib-new"  # beside a file: its lock, and the folder in which it is written
_OF_OTHERS = r"\..+\.(json|safetensors|partial)\.\d+|\.tmp\w{6}|\.cifar10-\w{8}"  # earlier versions', and safetensors'
_HIDDEN = re.compile(rf"\..+({_LOCK}|{_NEW})|{_OF_OTHERS}")
ABANDONED_AFTER = 3600.0  # seconds without a change, where no lock says whether somebody is at it
_FIRST_WAIT, _WAIT = 0.5, 5.0  # seconds until a waiting process says so, and between its looks at who is at it
_NOTHING_IS_WRITTEN = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ENOSPC, errno.EDQUOT)


@contextmanager
def alone(path: Path, progress: Callable[[str], None] = print) -> Iterator[None]:
    """Let one thread of one process on one host at a time through the context: the one that makes a file or folder.

    The others wait, and say for whom. When that process ends, of whatever, the system lets go of its lock and the next
    one goes on: look first whether the file is there by now. A lock is a hidden file beside, only as long as it is
    held; files that were left half-written by processes that were killed are removed. May be entered again inside.

    Where nothing can be written there is no lock. Where the file system knows no locks there is none either, with a
    warning: then two processes may do the same work, and what they write together one may lose.

    Args:
        path: of the file or folder, which need not be there.
        progress: takes a line for each process that is waited for.
    """
    lock = _lock_of(path)
    if lock.is_locked:  # by this thread
        yield
        return
    held = _acquire(lock, path, progress)
    try:
        if held:
            for left in leftovers(path.parent, path.name):
                remove(left)
        yield
    finally:
        if held:
            _let_go(lock)


@contextmanager
def if_unused(path: Path) -> Iterator[bool]:
    """As :func:`alone` where nobody else is making a file or folder; False, at once, where somebody is."""
    lock = _lock_of(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    except OSError:
        yield True
        return
    try:
        yield True
    finally:
        _let_go(lock)


def _let_go(lock: FileLock) -> None:
    with suppress(OSError):  # Windows removes it later
        os.unlink(lock.lock_file)
    lock.release()


def _lock_of(path: Path) -> FileLock:
    hidden = path.absolute().with_name(f".{path.name}{_LOCK}")
    return FileLock(hidden, is_singleton=True, fallback_to_soft=False, on_acquired=_sign)


def _acquire(lock: FileLock, path: Path, progress: Callable[[str], None]) -> bool:
    """Wait for a lock; False where there can be none."""
    wait, said, file = _FIRST_WAIT, "", Path(lock.lock_file)
    while True:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=wait, poll_interval=wait / 10)
            return True
        except Timeout:
            wait, holder = _WAIT, _holder(file)
        except OSError as error:
            if error.errno not in _NOTHING_IS_WRITTEN or file.exists():
                problem = f"cannot be locked ({error.strerror}): nothing keeps another process from making it too"
                warnings.warn(f"{path} {problem}", stacklevel=4)
            with suppress(OSError):
                if file.stat().st_size == 0:  # held by nobody, see _sign
                    file.unlink()
            return False
        if holder != said:
            progress(f"waiting for {path.name}, which {holder}")
            said = holder


def _sign(descriptor: int) -> None:
    """Write into a lock that is held who holds it; on a full disk it is held all the same."""
    since = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    text = json.dumps({"host": platform.node(), "pid": os.getpid(), "since": since})
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.write(descriptor, text.encode())


def _holder(lock: Path) -> str:
    """In words, who holds a lock."""
    try:
        by = json.loads(lock.read_text())
        return f"process {by['pid']} on {by['host']} has been making since {by['since']}"
    except (OSError, ValueError, KeyError, TypeError):  # taken or let go of just now
        return "another process is making"


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """A path to write a file or a folder to, which is moved to ``path`` when the context ends without an error.

    It lies in a hidden folder beside, of a name that nobody else has, whatever host or container they are on. What was
    written is on the disk before it is moved, so that ``path`` is whole or not there after a loss of power too. Nothing
    is left after an error; what a process that was killed has left is found by :func:`leftovers`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name[:100]}.", suffix=_NEW, dir=path.parent.absolute()))
    owner = FileLock(folder / "owner", fallback_to_soft=False, on_acquired=_sign)
    new = folder / path.name
    try:
        with suppress(OSError):  # where nothing can be locked, age tells what was abandoned
            owner.acquire(blocking=False)
        yield new
        for file in new.rglob("*") if new.is_dir() else [new]:
            _to_disk(file)
        os.replace(new, path)
        _to_disk(path.parent)
    finally:
        owner.release()  # before it is removed: NFS keeps what is open
        shutil.rmtree(folder, ignore_errors=True)


def _to_disk(path: Path) -> None:
    """Have the system write a file, or the names in a folder where the system can, to the disk."""
    if path.is_file():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    elif os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            with suppress(OSError):  # not every file system can
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def leftovers(folder: Path, of: str = "", after: float = ABANDONED_AFTER) -> list[Path]:
    """What processes that were killed have left hidden in a folder: files half-written, and locks that nobody holds.

    Where a lock says whether its owner still is at it, that counts; else for how long nothing has changed.

    Args:
        folder: need not be there.
        of: only what was left of the file of this name; empty for all.
        after: seconds without a change after which nobody is at it, where no lock says so.
    """
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    hidden = [folder / name for name in names if name.startswith(f".{of}") and _HIDDEN.fullmatch(name)]
    return [path for path in hidden if _abandoned(path, after)]


def _abandoned(path: Path, after: float) -> bool:
    if path.name.endswith(_NEW):
        return _free(path / "owner", when_unknown=_unchanged(path, after))
    return _free(path, _unchanged(path, after)) if path.name.endswith(_LOCK) else _unchanged(path, after)


def _free(file: Path, when_unknown: bool) -> bool:
    """Whether nobody holds the lock that a file is any more; unknown where nobody has yet, or there are no locks."""
    lock = FileLock(file, fallback_to_soft=False, on_acquired=_sign)  # some versions empty what they take
    try:
        if file.stat().st_size == 0:
            return when_unknown
        lock.acquire(blocking=False)
    except Timeout:
        return False
    except OSError:
        return when_unknown
    lock.release()
    return True


def _unchanged(path: Path, after: float) -> bool:
    """Whether a file, or a folder and all in it, has not been changed for so many seconds, or is gone."""
    with suppress(FileNotFoundError):
        return time.time() - max(each.lstat().st_mtime for each in [path, *path.rglob("*")]) >= after
    return True


def remove(path: Path) -> None:
    """Remove a file, or a folder and all in it, which is there whole or not; of a link the link alone.

    Nothing happens where it is gone.
    """
    if path.name.endswith(_LOCK):  # only while it is held: so nobody else gets hold of what goes
        with suppress(Timeout), FileLock(path, blocking=False, fallback_to_soft=False):
            path.unlink()
    elif path.is_dir() and not path.is_symlink():
        aside = tempfile.mkdtemp(prefix=".", suffix=_NEW, dir=path.parent)
        with suppress(FileNotFoundError):
            os.replace(path, Path(aside) / path.name)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
