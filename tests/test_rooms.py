"""Imports point one way: from the book over claims and study down to the paper's own operations."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import snslib

PACKAGE = Path(snslib.__file__).parent
CORE = (
    *("arguments", "attacks", "data", "disk", "ending", "files", "hooks", "inference", "kernels", "logits", "losses"),
    *("folding", "graphs", "means", "neurons", "overlap"),
    *("locks", "passes", "precision", "sensitivity"),
)
ROOMS = {name: 0 for name in CORE} | {
    "training": 1,
    "evaluation": 1,
    "__init__": 2,  # the names of the contract
    "profile": 2,
    "exercises": 2,
    "study": 3,
    "claims": 4,
    "book": 5,
    "__main__": 6,
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path) -> Iterator[str]:
    """The rooms that a module imports from, inside of functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ("__init__" for alias in node.names if alias.name.split(".")[0] == "snslib")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, path
            top, _, below = (node.module or "").partition(".")
            if top == "snslib":
                yield from (
                    [below.split(".")[0]]
                    if below
                    else (alias.name if alias.name in ROOMS else "__init__" for alias in node.names)
                )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_from_the_rooms_below_it(path: Path) -> None:
    ours = room(path)
    for theirs in imported(path):
        assert theirs == ours or ROOMS[theirs] < ROOMS[ours] or {ours, theirs} <= set(CORE), f"{ours} imports {theirs}"


def test_the_core_is_small() -> None:
    assert {room(path) for path in MODULES} == set(ROOMS)
    assert {path.stem for path in PACKAGE.glob("*.py")} == {*CORE, "__init__", "__main__"} - {"kernels"}


def test_importing_the_library_loads_nothing_of_the_study() -> None:
    code = "import sys, snslib; print([name.split('.')[1] for name in sys.modules if name.startswith('snslib.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(done.stdout))
    assert {"attacks", "hooks", "sensitivity", "overlap", "losses"} <= loaded
    assert not loaded & {"study", "claims", "book", "profile", "exercises"}


def test_importing_the_library_needs_neither_the_packages_of_the_book_nor_triton() -> None:
    book = ["seaborn", "matplotlib", "IPython", "papermill", "ipywidgets", "pandas", "sklearn", "torchvision"]
    code = f"""
import sys, torch
before = set(sys.modules)
import snslib
print([m for m in {book} if m in sys.modules])
print("triton" in set(sys.modules) - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "False"]
