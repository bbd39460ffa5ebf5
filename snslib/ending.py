"""How a command ends that does not end well: in one line that says why, what is kept, and the command that goes on."""

import errno
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

DEBUG = "SNSLIB_DEBUG"  # the environment variable that shows tracebacks, as the option --debug does
BAD_ARGUMENT, FAILED, INTERRUPTED, BROKEN_PIPE, TERMINATED = 2, 1, 130, 141, 143  # statuses, as shells have them
_ROOM = "free some space"
_REMEDIES = {errno.ENOSPC: _ROOM, errno.EDQUOT: _ROOM, errno.EFBIG: "allow larger files (ulimit -f)"}
_WHERE = f"--debug or {DEBUG}=1 shows where"
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)


class Terminated(KeyboardInterrupt):
    """The process was told to end, as the scheduler of a cluster does (SIGTERM)."""


def run(work: Callable[[], int], program: str, command: str, kept: str = "", debug: bool = False) -> int:
    """Do the work of a command and return its exit status; what is raised becomes one line on stderr.

    The line has what is kept in the notes that the error was given on its way (``add_note``), else ``kept``.

    Args:
        work: returns the exit status.
        program: what the line begins with.
        command: that which goes on after an interruption, see :func:`command_line`.
        kept: what is kept after an interruption at any time; empty for nothing.
        debug: show the traceback too, as the environment variable SNSLIB_DEBUG does.

    Returns:
        What ``work`` returns, or 2 after a ValueError, 1 after another error, 130 after Ctrl-C, 143 after SIGTERM, and
        without a line 141 where nobody reads what is printed any more (``| head``).
    """
    with _signals(signal.default_int_handler, _terminate):
        try:
            try:
                return _flushed(work)
            except Exception as error:
                return _ended(error, program, command, kept, debug)
        except KeyboardInterrupt as error:  # of the work, or while its error was being told
            return _ended(error, program, command, kept, debug)


def _flushed(work: Callable[[], int]) -> int:
    """What ``work`` returns; all that it printed has been written, and is not left to the end of the process."""
    try:
        status = work()
    except SystemExit:  # of argparse, after --help
        sys.stdout.flush()
        raise
    sys.stdout.flush()
    return status


def _ended(error: BaseException, program: str, command: str, kept: str, debug: bool) -> int:
    with _signals(signal.SIG_IGN, signal.SIG_IGN):
        if debug or os.environ.get(DEBUG, "0") not in ("", "0"):
            import traceback  # what is imported before while_starting takes time in which nobody answers Ctrl-C

            traceback.print_exception(error)
        if isinstance(error, BrokenPipeError):
            _drop_stdout()
            return BROKEN_PIPE
        if isinstance(error, KeyboardInterrupt):
            stopped = isinstance(error, Terminated)
            if _first_process():  # all are interrupted together
                _say(program, f"{'ended by SIGTERM' if stopped else 'interrupted'}; {_go_on(error, command, kept)}")
            return TERMINATED if stopped else INTERRUPTED
        if isinstance(error, OSError):
            _drop_stdout()  # it may be what could not be written
        if _first_process() or not getattr(error, "of_first_process", False):
            is_argument = isinstance(error, ValueError)
            _say(program, str(error) if is_argument else f"{_told(error)}; {_go_on(error, command, kept)}")
        return BAD_ARGUMENT if isinstance(error, ValueError) else FAILED


def _told(error: BaseException) -> str:
    """What went wrong, and what to do."""
    if isinstance(error, MemoryError) or "out of memory" in str(error) or "can't allocate memory" in str(error):
        return f"out of memory ({str(error) or type(error).__name__}); lower batch_size, n_pairs or width"
    if isinstance(error, ImportError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        if error.errno in _NOT_ALLOWED:
            return f"{error.strerror}{where}; make it writable, or name another folder"
        remedy = _REMEDIES.get(error.errno or 0, _WHERE)
        return f"{error.strerror}{where}; {remedy}"
    return f"{type(error).__name__}: {error}; {_WHERE}"


def _go_on(error: BaseException, command: str, kept: str) -> str:
    held = "; ".join(getattr(error, "__notes__", ())) or kept
    if not held:
        return f"nothing is kept; the same command begins again: {command}"
    return f"{held}; the same command goes on from there: {command}"


def _say(program: str, text: str) -> None:
    with suppress(OSError):
        print(f"{program}: {' '.join(text.split())}", file=sys.stderr, flush=True)


def command_line() -> str:
    """The command of this process as a shell takes it; under torchrun that which started all processes."""
    words = sys.orig_argv
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return shlex.join(words)
    module = words[words.index("-m") :] if "-m" in words else sys.argv
    machines = int(os.environ.get("GROUP_WORLD_SIZE", "1"))
    nodes = [f"--nnodes={machines}"] if machines > 1 else []
    return shlex.join(["torchrun", *nodes, f"--nproc-per-node={os.environ['LOCAL_WORLD_SIZE']}", *module])


def while_starting(module: str) -> None:
    """Where this process is ``python -m MODULE``: an interruption while that is imported, too, is told in one line."""
    if sys.argv[0] != "-m" or module not in sys.orig_argv or threading.current_thread() is not threading.main_thread():
        return

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        name, status = ("interrupted", INTERRUPTED) if number == signal.SIGINT else ("ended by SIGTERM", TERMINATED)
        if _first_process():
            _say(f"python -m {module}", f"{name} before it began; the same command begins again: {command_line()}")
        os._exit(status)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, stop)


def leave(status: int) -> NoReturn:
    """End the process; what interrupts it from now on interrupts nothing."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(status)


Handler = Callable[[int, FrameType | None], object] | int | None


@contextmanager
def _signals(interrupt: Handler, terminate: Handler) -> Iterator[None]:
    """Handlers of Ctrl-C and SIGTERM while the context lasts; what a parent wants ignored (nohup, &) stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted = {signal.SIGINT: interrupt, signal.SIGTERM: terminate}
    changed = {number: handler for number, handler in wanted.items() if signal.getsignal(number) != signal.SIG_IGN}
    before = {number: signal.signal(number, handler) for number, handler in changed.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def _drop_stdout() -> None:
    """Python would try again to write what is left of it when the process ends, and complain."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _first_process() -> bool:
    return os.environ.get("RANK", "0") == "0"
