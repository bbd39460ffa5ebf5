"""Projects of a few notebooks for ``book/execute.py`` and its like, and what a process says that runs them."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook


def write_notebook(path: Path, *sources: str) -> None:
    """A title, a cell of parameters that declares `seed` and `eps`, and a code cell for each of the sources."""
    parameters = new_code_cell('seed: int = 0\neps: float | str = "8/255"', metadata={"tags": ["parameters"]})
    notebook = new_notebook(cells=[new_markdown_cell("# Title"), parameters, *map(new_code_cell, sources)])
    nbformat.write(notebook, path)


def write_requirements(root: Path, *book: str) -> None:
    """What the library and the book need."""
    library = '[project]\ndependencies = ["numpy>=1"]\n'
    (root / "pyproject.toml").write_text(f"{library}[project.optional-dependencies]\nbook = {list(book)}\n")


def make_project(root: Path, **notebooks: Sequence[str]) -> Path:
    """A project of these notebooks, named after an "n", one library file and one requirement."""
    for folder in ("book", "notebooks", "snslib"):
        (root / folder).mkdir(parents=True)
    (root / "snslib" / "data.json").write_text("[1]")
    write_requirements(root, "nbformat==5.0")
    for name, sources in notebooks.items():
        write_notebook(root / "notebooks" / f"{name.removeprefix('n')}.ipynb", *sources)
    return root


def interrupted(command: Sequence[Any], at: str, send: Callable[[int, int], None] = os.killpg) -> tuple[int, str]:
    """Exit status and output of a program that gets Ctrl-C, with all that it has started, at its first such line.

    Args:
        command: the program and its arguments.
        at: part of a line that it prints.
        send: ``os.kill`` sends the signal to the program alone.
    """
    process = start(command)
    assert process.stdout is not None
    said = ""
    while at not in said and (line := process.stdout.readline()):
        said += line
    send(process.pid, signal.SIGINT)
    said += process.stdout.read()
    return process.wait(), said


def start(command: Sequence[Any], **options: Any) -> subprocess.Popen[str]:
    """A program in a session of its own, whose two outputs come together."""
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **options,
    )
