"""A student's hand-in from the grader's side: a process that is asked for answers, and believed no more than those."""

import json
import os
import pickle
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from torch import Tensor

from snslib.exercises.grading import plain
from snslib.exercises.grading.child import HEAD
from snslib.exercises.run import Answer, Elsewhere
from snslib.files import PROJECT

STARTING = 120.0  # seconds that Python and its libraries may take to be there
LARGEST = 2**23  # bytes of an answer
LONGEST = 400  # letters of a sentence in it
NO_ANSWER = "its process sent something that is no answer"


class Ended(Exception):
    """The process of a hand-in is no more; the text says why."""


@dataclass(frozen=True)
class Limits:
    """What a hand-in may take.

    Args:
        timeout: seconds for its definitions, and as many for each exercise.
        memory: bytes besides those of Python and its libraries.
        processor: seconds of the processor, over all exercises.
    """

    timeout: float
    memory: int
    processor: int


class HandIn:
    """The files of a student, and the process that runs them: it begins when it is needed, and again after it ended."""

    def __init__(self, files: Sequence[Path], functions: Sequence[str], limits: Limits) -> None:
        self.files, self.functions, self.limits = [path.absolute() for path in files], list(functions), limits
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._unread = b""
        self._left = 0.0  # seconds for the present exercise
        self._useless = ""  # why it could not be read, once

    def __enter__(self) -> "HandIn":
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def found(self) -> tuple[dict[str, bool], list[str]]:
        """Read the files where that is to be done: functions to whether they are stubs, and what went wrong.

        Raises:
            Ended: the process ended over it, now or before.
        """
        if self._useless:
            raise Ended(self._useless)
        if self._process is None:
            try:
                self._start()
                reply = self._ask({"files": self.files, "functions": self.functions}, self.limits.timeout)
                stubs = {name: reply["found"][name] is True for name in self.functions if name in reply["found"]}
                self._found = stubs, [one_line(text) for text in list(reply["trouble"])[:20]]
            except Ended as error:
                self._useless = f"while its definitions were run, {error}"
                raise Ended(self._useless) from None
            except (TypeError, KeyError) as error:
                self.end()
                self._useless = NO_ANSWER
                raise Ended(self._useless) from error
        return self._found

    def solution(self, function: str, seed: int) -> "Asked":
        """A function of the hand-in, to be given to a check, whose calls together have the time of one exercise."""
        self._left = self.limits.timeout
        return Asked(self, function, seed)

    def call(self, function: str, given: Mapping[str, Any], seed: int) -> Answer:
        """Have a function called; Ended where that ends the process, or takes longer than is left."""
        began = time.monotonic()
        reply = self._ask({"function": function, "given": dict(given), "seed": seed}, self._left)
        self._left -= time.monotonic() - began
        try:
            result = plain.from_plain(reply["result"])
            if isinstance(result, Tensor) and "slopes" in reply:
                slopes = [None if slope is None else plain.from_plain(slope) for slope in reply["slopes"]]
                result = plain.with_slopes(result, plain.leaves(given), slopes)
            return Answer(result, one_line(reply["stopped"]), one_line(reply["left"]))
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, RecursionError) as error:
            self.end()
            raise Ended(NO_ANSWER) from error

    def end(self) -> None:
        """End the process, and those that it started."""
        if self._process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()
        self._process, self._unread = None, b""
        if self._folder is not None:
            with suppress(OSError):
                self._folder.cleanup()

    def _start(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="hand-in-", ignore_cleanup_errors=True)
        there = os.environ.get("PYTHONPATH")
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(PROJECT), *([there] if there else [])]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "TMPDIR": self._folder.name,
            **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
        }
        limits = [str(self.limits.memory), str(self.limits.processor)]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "snslib.exercises.grading.child", *limits],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self._folder.name,
            env=environment,
            start_new_session=True,
        )
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
        try:
            self._read(STARTING)
        except Ended as error:
            raise OSError(f"the process that runs hand-ins does not start: {error}") from error

    def _ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        if self._process is None:  # ended in an earlier call of the same check
            raise Ended("its process has ended")
        data = pickle.dumps(request)
        return self._read(seconds, HEAD.pack(len(data)) + data)

    def _read(self, seconds: float, data: bytes = b"") -> dict[str, Any]:
        """Send data, and read a line of JSON."""
        line = self._exchange(data, time.monotonic() + seconds)
        try:
            reply = json.loads(line)
        except (ValueError, RecursionError):
            reply = None
        if not isinstance(reply, dict):
            self.end()
            raise Ended(NO_ANSWER)
        return reply

    def _exchange(self, data: bytes, deadline: float) -> bytes:
        """Send data and return a line, whichever side is slow; Ended after the deadline, or where there is no line."""
        assert self._process is not None
        out, into = self._process.stdin, self._process.stdout
        assert out is not None
        assert into is not None
        with selectors.DefaultSelector() as ready:
            ready.register(into, selectors.EVENT_READ)
            if data:
                ready.register(out, selectors.EVENT_WRITE)
            while b"\n" not in self._unread:
                left = deadline - time.monotonic()
                events = ready.select(left) if left > 0 else []
                if not events:
                    self.end()
                    raise Ended(f"its process was stopped after {self.limits.timeout:g} s; look for an endless loop")
                for key, _ in events:
                    if key.fileobj is out:
                        data = self._write(out, data)
                        if not data:
                            ready.unregister(out)
                    elif part := os.read(into.fileno(), 2**16):
                        self._unread += part
                    else:
                        raise Ended(self._how_it_ended())
                if len(self._unread) > LARGEST:
                    self.end()
                    raise Ended(f"its process answered with more than {LARGEST // 2**20} MiB")
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _write(self, out: IO[bytes], data: bytes) -> bytes:
        """What is left of data after as much was sent as goes."""
        try:
            return data[os.write(out.fileno(), data) :]
        except BlockingIOError:
            return data
        except BrokenPipeError:
            raise Ended(self._how_it_ended()) from None

    def _how_it_ended(self) -> str:
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        status = self._process.returncode
        self.end()
        if status is None:
            return "its process closed the pipe to the grader"
        if status < 0:
            return f"its process was ended by {signal.Signals(-status).name}, as for too much memory"
        return f"its process ended with status {status}, as os._exit does"


class Asked(Elsewhere):
    """A function of a hand-in, for a check."""

    def __init__(self, handin: HandIn, function: str, seed: int) -> None:
        self._handin, self._function, self._seed = handin, function, seed

    def answer(self, given: Mapping[str, Any]) -> Answer:
        """That of the hand-in's process."""
        return self._handin.call(self._function, given, self._seed)


def one_line(text: Any) -> str:
    """A sentence of somebody else's: short, in one line, and of letters that are shown."""
    if not isinstance(text, str):
        raise TypeError("no text")
    shown = "".join(sign if sign.isprintable() else " " for sign in text[: 4 * LONGEST])
    shown = " ".join(shown.split())
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"
