"""The progress of long work, in the cell and, where papermill runs a chapter, in papermill's terminal."""

import contextlib
import os
from functools import cache
from pathlib import Path

import psutil


def show(line: str) -> None:
    """Print a line on the progress; papermill keeps what cells print to itself, so it is written past it."""
    print(line)
    if (terminal := _of_papermill()) is not None:
        with contextlib.suppress(OSError):  # closed or stopped meanwhile: the work goes on
            os.write(terminal, f"\r\x1b[K{line}\n".encode())  # in place of papermill's bar, which comes again below


@cache
def _of_papermill() -> int | None:
    """The terminal, open to write, of the papermill that runs this kernel; None where another program does.

    None also with --log-output, by which papermill shows what cells print, and where its messages go to a file.
    """
    if os.name != "posix":
        return None
    try:
        parent = psutil.Process(os.getppid())
        command, terminal = parent.cmdline(), parent.terminal()
        into_file = any(file.fd == 2 for file in parent.open_files())
        papermill = "papermill" in [Path(word).name for word in command[:3]]  # also python -m papermill
        if terminal is None or not papermill or into_file or "--log-output" in command:
            return None
        return os.open(terminal, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except (psutil.Error, OSError):
        return None
