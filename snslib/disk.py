"""Room on a disk, made sure of before hours are spent on what is to be written there."""

import errno
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

_TRIED = 2**28  # bytes that are really taken for a moment: quotas and limits show in no count of what is free


def require(name: str, folder: Path, size: int, remedy: str) -> None:
    """A folder can be written to and has room for ``size`` bytes; it is made where it is missing.

    Args:
        name: what gave the folder, for the message: an argument, or an environment variable.
        folder: where something is going to be written.
        size: bytes, >= 0, of all that.
        remedy: what to do besides freeing some room, as an instruction.

    Raises:
        ValueError: it cannot be written to, or is too full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if free >= size:
            with tempfile.TemporaryFile(dir=folder) as file:
                allocate(file, min(size, _TRIED))
            return
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ValueError(f"{name}: {folder} cannot be written to ({error.strerror}); {remedy}") from error
        raise ValueError(
            f"{name}: {folder} takes no {amount(size)} ({error.strerror}); free some, or {remedy}"
        ) from error
    raise ValueError(
        f"{name}: {folder} has {amount(free)} left where {amount(size)} are needed; free some, or {remedy}"
    )


def allocate(file: IO[bytes], size: int) -> None:
    """Have the system set aside the blocks of an empty file of ``size`` bytes, so that writing to it cannot fail later.

    Without them a file that is mapped into memory looks as large as it was asked for, and the process is killed
    (SIGBUS) when the disk turns out to be full.

    Raises:
        OSError: there is no room for it.
    """
    if size == 0:
        return
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    zeros = bytes(2**20)
    for start in range(0, size, len(zeros)):
        file.write(zeros[: size - start])
    file.flush()


def amount(size: float) -> str:
    """A number of bytes for people: "1.5 GB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.4g} TB"
