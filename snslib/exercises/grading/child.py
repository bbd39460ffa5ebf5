"""The process that runs one hand-in: it defines the student's functions, and calls them when it is asked to.

    python -m snslib.exercises.grading.child MEMORY SECONDS

It knows no right result and gives no verdict. It reads pickles, from the grader alone, and answers in lines of JSON,
which the grader takes for what they are: words of a hand-in.
"""

import importlib.util
import json
import linecache
import os
import pickle
import random
import struct
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
import torch

from snslib.exercises import run
from snslib.exercises.grading import fence, plain, sources

HEAD = struct.Struct(">Q")  # before each request, its length


def main() -> None:
    """Answer requests until there are no more."""
    torch.set_num_threads(1)
    requests, replies = _pipes()
    fence.limit(*map(int, sys.argv[1:3]))
    fence.close(Path.cwd())
    known: dict[str, Any] = {}
    own = _own_copy(run)
    _say(replies, {"ready": True})
    while head := requests.read(HEAD.size):
        request = pickle.loads(requests.read(HEAD.unpack(head)[0]))
        if "files" in request:
            known, trouble = load(request["files"], request["functions"])
            _say(replies, {"found": {name: own.is_stub(one) for name, one in known.items()}, "trouble": trouble})
        else:
            _say(replies, _call(own, known[request["function"]], request["given"], request["seed"]))


def load(files: list[Path], functions: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Functions of a hand-in by their names, the last that is no stub; and in sentences what could not be read or run.

    Each file has names of its own. Where a statement stops, the next goes on.
    """
    found: dict[str, Any] = {}
    trouble: list[str] = []
    for number, path in enumerate(files):
        statements: list[sources.Statement] = []
        try:
            cells = sources.cells(path)
        except (OSError, ValueError) as error:
            trouble.append(str(error))
            continue
        for cell in cells:
            lines = cell.source.splitlines(keepends=True)
            linecache.cache[cell.where] = (len(cell.source), None, lines, cell.where)  # for what is said of an error
            try:
                statements += sources.statements(cell)
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
                what = error.msg if isinstance(error, SyntaxError) else type(error).__name__
                trouble.append(f"{cell.where}{line} is no Python: {what}")
        module = _run(f"handin_{number}", sources.needed(statements, functions), trouble)
        for name in functions:
            if callable(one := vars(module).get(name)) and (name not in found or not run.is_stub(one)):
                found[name] = one
    return found, trouble


def _run(name: str, statements: list[sources.Statement], trouble: list[str]) -> ModuleType:
    module = ModuleType(name)
    sys.modules[name] = module
    for one in statements:
        try:
            exec(one.code, vars(module))
        except BaseException as error:
            said = " ".join(str(error).split())[:200]
            trouble.append(f"{one.where} stopped with {type(error).__name__}{': ' if said else ''}{said}")
    return module


def _call(own: Any, function: Any, given: dict[str, Any], seed: int) -> dict[str, Any]:
    """What :class:`snslib.exercises.run.Answer` has, and of a result that carries a gradient its slopes."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    inputs = plain.leaves(given)
    try:
        result, stopped, left = own.answer(function, given)
        reply = {"stopped": stopped, "left": left, "result": plain.to_plain(result)}
        if isinstance(result, torch.Tensor) and result.requires_grad:
            reply["slopes"] = [plain.to_plain(slope) for slope in _slopes(result, inputs)]
        return reply
    except plain.TooMuch as error:
        return {"stopped": f"your function returned {error}, more than can be right.", "left": "", "result": None}
    except BaseException as error:
        return {"stopped": f"your function stopped with {type(error).__name__}.", "left": "", "result": None}


def _slopes(result: torch.Tensor, inputs: list[torch.Tensor]) -> list[torch.Tensor | None]:
    """Gradients of a loss for those inputs that it depends on; of many values, none."""
    if result.numel() != 1 or not inputs or not result.is_floating_point():
        return [None] * len(inputs)
    return list(torch.autograd.grad(result.sum(), inputs, allow_unused=True))


def _own_copy(module: ModuleType) -> Any:
    """A module once more, under no name, so that a hand-in which changes that of the name changes nothing here."""
    specification = importlib.util.spec_from_file_location("_own", module.__file__ or "")
    assert specification is not None
    assert specification.loader is not None
    copy = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(copy)
    return copy


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """Requests and replies; what a hand-in reads and prints is none of both, and is dropped."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nowhere, number)
    return requests, replies


def _say(replies: BinaryIO, reply: dict[str, Any]) -> None:
    replies.write(json.dumps(reply).encode() + b"\n")
    replies.flush()


if __name__ == "__main__":
    main()
