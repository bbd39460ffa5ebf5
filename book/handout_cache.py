"""What the chapters read of the cache of trained networks and measurements, as they are handed out."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import execute
import nbformat

from snslib.study import settings
from snslib.study.networks import Networks

READ_IN_EXERCISES = ("sns_sen_cls",)  # networks that no chapter loads but Exercise 7.3
LEFT_OUT = "pairs"  # half as large as all the rest, and made anew in seconds, when a network is trained with them
NOTING = """
from snslib.study import networks, records


def noting(module, name):
    work = getattr(module, name)

    def noted(path, *arguments, **options):
        with open({log!r}, "a") as log:
            print(name, path, sep="\\t", file=log)
        return work(path, *arguments, **options)

    setattr(module, name, noted)


noting(networks, "load_tensors")
noting(networks, "save_tensors")
noting(records, "read_json")
noting(records, "write_json")"""


def files_read(tree: Path, cache: Path) -> list[Path]:
    """The files of a cache that are read when every chapter is run, paths below it, and what the exercises need.

    What is not there yet is trained and measured, and stays there; then all is run once more, since more is read to
    make a measurement than to show it.

    Args:
        tree: what is handed out, unpacked; its chapters are run in it.
        cache: where the networks and records are kept.

    Raises:
        PapermillExecutionError: a cell of a chapter raises.
    """
    networks = Networks(settings.from_parameters({}), cache)
    for defense in READ_IN_EXERCISES:
        networks.model(defense)
    noted = _run_all(tree, cache)
    if any(work in ("save_tensors", "write_json") for work, _ in noted):
        print("What was made is there now; once more, to see what is read of it:", flush=True)
        noted = _run_all(tree, cache)
    read = {path for _, path in noted} | {networks.model_path(defense) for defense in READ_IN_EXERCISES}
    inside = sorted(path.relative_to(cache) for path in read if path.is_relative_to(cache))
    return [path for path in inside if path.parts[0] != LEFT_OUT]


def _run_all(tree: Path, cache: Path) -> set[tuple[str, Path]]:
    """What was done to which file of the cache by the chapters of a tree."""
    log = tree / "noted"
    log.touch()
    executed = tree / "executed"
    executed.mkdir(exist_ok=True)
    environment = {"SNSLIB_CACHE": str(cache), "PYTHONPATH": str(tree)}
    with contextlib.chdir(tree), _environment(environment):
        for path in sorted(Path("notebooks").glob("*.ipynb")):
            notebook = execute.read_notebook(path)
            cell = nbformat.v4.new_code_cell(NOTING.format(log=str(log)))
            place = next(n for n, cell in enumerate(notebook.cells) if cell.cell_type == "code")
            notebook.cells.insert(place + 1, cell)  # below the one that finds the library
            nbformat.write(notebook, traced := executed / f"noting-{path.name}")
            began = time.monotonic()
            execute.run_notebook(traced, executed / path.name, {}, shown=False)
            print(f"{path.stem}: {time.monotonic() - began:.0f} s", flush=True)
    lines = log.read_text().splitlines()
    log.unlink()
    return {(work, Path(path)) for work, _, path in (line.partition("\t") for line in lines)}


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Environment variables that are set meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
