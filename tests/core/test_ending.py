"""A command that does not end well says so in one line, and its exit status says how."""

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

import pytest

from snslib import ending


def raising(error: BaseException) -> Callable[[], int]:
    def work() -> NoReturn:
        raise error

    return work


def told(
    error: BaseException, capsys: pytest.CaptureFixture[str], kept: str = "", debug: bool = False
) -> tuple[int, str]:
    """The exit status, and what is written to stderr."""
    status = ending.run(raising(error), "prog", "prog --lam 5", kept, debug)
    out, err = capsys.readouterr()
    assert out == ""
    return status, err


def noted(error: BaseException, note: str) -> BaseException:
    error.add_note(note)
    return error


AGAIN = "nothing is kept; the same command begins again: prog --lam 5"


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ValueError("lam: no\nnumber"), 2, "lam: no number"),
        (noted(ValueError("lam: no"), "a note"), 2, "lam: no"),
        (KeyboardInterrupt(), 130, f"interrupted; {AGAIN}"),
        (ending.Terminated(), 143, f"ended by SIGTERM; {AGAIN}"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/a/b"),
            1,
            f"No space left on device: /a/b; free some space; {AGAIN}",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/a/b"),
            1,
            f"Permission denied: /a/b; make it writable, or name another folder; {AGAIN}",
        ),
        (
            OSError(errno.EIO, "Input/output error"),
            1,
            f"Input/output error; --debug or SNSLIB_DEBUG=1 shows where; {AGAIN}",
        ),
        (OSError("no such thing"), 1, f"OSError: no such thing; --debug or SNSLIB_DEBUG=1 shows where; {AGAIN}"),
        (KeyError("conv99"), 1, f"KeyError: 'conv99'; --debug or SNSLIB_DEBUG=1 shows where; {AGAIN}"),
        (OverflowError("too large"), 1, f"OverflowError: too large; --debug or SNSLIB_DEBUG=1 shows where; {AGAIN}"),
        (FloatingPointError("nan"), 1, f"FloatingPointError: nan; --debug or SNSLIB_DEBUG=1 shows where; {AGAIN}"),
        (ImportError("needs x: pip install x"), 1, f"needs x: pip install x; {AGAIN}"),
        (MemoryError(), 1, f"out of memory (MemoryError); lower batch_size, n_pairs or width; {AGAIN}"),
        (
            RuntimeError("CUDA out of memory. Tried"),
            1,
            f"out of memory (CUDA out of memory. Tried); lower batch_size, n_pairs or width; {AGAIN}",
        ),
    ],
)
def test_each_error_is_one_line_with_what_to_do(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(error, capsys) == (status, f"prog: {line}\n")


def test_what_is_kept_comes_from_the_error_or_else_from_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    end = "the same command goes on from there: prog --lam 5\n"
    assert told(KeyboardInterrupt(), capsys, "all is kept")[1] == f"prog: interrupted; all is kept; {end}"
    error = noted(KeyboardInterrupt(), "epoch 7 is kept")
    assert told(error, capsys, "all is kept")[1] == f"prog: interrupted; epoch 7 is kept; {end}"


@pytest.mark.parametrize("variable", [None, "", "0", "1"])
@pytest.mark.parametrize("option", [True, False])
def test_a_traceback_is_shown_where_it_is_asked_for(
    option: bool, variable: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SNSLIB_DEBUG", raising=False)
    if variable is not None:
        monkeypatch.setenv("SNSLIB_DEBUG", variable)
    _, err = told(KeyError("conv99"), capsys, debug=option)
    assert err.startswith("Traceback ") == (option or variable == "1")
    assert err.splitlines()[-1].startswith("prog: KeyError: 'conv99'")


def test_what_ends_well_returns_its_status_and_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert [ending.run(lambda: status, "prog", "prog") for status in (0, 3)] == [0, 3]  # noqa: B023
    assert capsys.readouterr() == ("", "")


def test_of_several_processes_the_first_tells_what_all_of_them_know(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = OSError(errno.ENOSPC, "No space left on device")
    sent.of_first_process = True  # type: ignore[attr-defined]
    monkeypatch.setenv("RANK", "1")
    assert told(KeyboardInterrupt(), capsys) == (130, "")
    assert told(sent, capsys) == (1, "")
    assert told(MemoryError(), capsys)[1].count("\n") == 1  # its own
    monkeypatch.setenv("RANK", "0")
    assert told(KeyboardInterrupt(), capsys)[1].count("\n") == 1


def test_signals_end_the_work_and_are_as_before_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    def send(number: int) -> int:
        os.kill(os.getpid(), number)
        threading.Event().wait(10)
        return 0

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert ending.run(lambda: send(signal.SIGTERM), "prog", "prog") == 143
    assert ending.run(lambda: send(signal.SIGINT), "prog", "prog") == 130
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert capsys.readouterr().err.count("\n") == 2


def test_what_the_parent_ignores_stays_ignored() -> None:
    """As after nohup, and for what a shell starts in the background."""

    def interrupt() -> int:
        os.kill(os.getpid(), signal.SIGINT)
        return 5

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert ending.run(interrupt, "prog", "prog") == 5
    finally:
        signal.signal(signal.SIGINT, before)


def test_it_works_in_a_thread_that_can_set_no_signals(capsys: pytest.CaptureFixture[str]) -> None:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(ending.run(raising(KeyError("a")), "prog", "prog")))
    thread.start()
    thread.join()
    assert found == [1]
    assert capsys.readouterr().err.startswith("prog: KeyError: 'a'")


def test_the_command_is_as_it_was_typed_and_under_torchrun_the_one_that_started_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "-u", "-m", "snslib", "train", "--dataset", "my photos"])
    assert ending.command_line() == "python -u -m snslib train --dataset 'my photos'"
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert ending.command_line() == "torchrun --nproc-per-node=2 -m snslib train --dataset 'my photos'"
    monkeypatch.setenv("GROUP_WORLD_SIZE", "3")
    assert ending.command_line().startswith("torchrun --nnodes=3 --nproc-per-node=2 -m snslib")
    monkeypatch.setattr(sys, "orig_argv", ["python", "-u", "book/sweep.py", "a"])
    monkeypatch.setattr(sys, "argv", ["book/sweep.py", "a"])
    assert ending.command_line() == "torchrun --nnodes=3 --nproc-per-node=2 book/sweep.py a"
