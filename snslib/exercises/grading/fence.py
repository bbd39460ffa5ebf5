"""Limits of a process that runs a hand-in: memory and time of the processor, no network, no other processes, no files.

They stop mistakes, and what Python code can do without tricks. Compiled code can do more: ``ctypes`` opens sockets and
starts processes. Files can be read, those of others too. Who has to reckon with that runs the grader in a container
without network that holds nothing but the hand-ins, or behind ``unshare -rn`` on Linux.
"""

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

_NETWORK = "a hand-in is graded without network"
_PROCESSES = "a hand-in may not start or stop processes"
_REFUSED = {
    **dict.fromkeys(("os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system"), _PROCESSES),
    **dict.fromkeys(("os.startfile", "subprocess.Popen", "pty.spawn", "os.kill", "os.killpg"), _PROCESSES),
}
_OF_FILES = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"}
_OF_FILES |= {"os.chmod", "os.chown", "os.utime", "open"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
LARGEST_FILE = 2**26  # bytes


def limit(memory: int, seconds: int) -> None:
    """Limit this process and what it starts, where the system can.

    Args:
        memory: bytes of address space besides those that are taken already; not on macOS, which does not heed it.
        seconds: of the processor.
    """
    try:
        import resource
    except ImportError:  # not on Windows
        return
    wanted = {resource.RLIMIT_CPU: seconds, resource.RLIMIT_FSIZE: LARGEST_FILE, resource.RLIMIT_CORE: 0}
    with contextlib.suppress(OSError):  # but on Linux
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        wanted[resource.RLIMIT_AS] = taken + memory
    for kind, most in wanted.items():
        allowed = resource.getrlimit(kind)[1]
        most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (most, most))


def close(folder: Path) -> None:
    """From now on refuse this process sockets, other processes, and changes of files outside of a folder.

    It cannot be opened again, as Python has no way to remove an audit hook.
    """
    within, refused, of_files, writing = os.path.realpath(folder), dict(_REFUSED), frozenset(_OF_FILES), _WRITING
    realpath, join, decode, below, nowhere = os.path.realpath, os.path.join, os.fsdecode, within + os.sep, os.devnull

    def is_within(path: Any) -> bool:
        if isinstance(path, int) or path is None:  # of a file that is open
            return True
        real = realpath(join(within, decode(path)))
        return real in (within, nowhere) or real.startswith(below)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith("socket.") and event != "socket.gethostname":
            raise PermissionError(_NETWORK)
        if event in refused:
            raise PermissionError(refused[event])
        if event not in of_files or (event == "open" and not int(arguments[2] or 0) & writing):
            return
        paths = arguments[:2] if event in ("os.rename", "os.link", "os.symlink") else arguments[:1]
        if not all(is_within(path) for path in paths):
            raise PermissionError("a hand-in may change files only in the folder that it runs in")

    sys.addaudithook(hook)
