"""An executed notebook counts for what a run left, and nothing else does (book/execute.py)."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from projects import make_project
from scripts import load

execute = load("execute.py")
pytestmark = pytest.mark.slow
NAMES = ("01_x", "02_y")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of two notebooks that were executed."""
    root = make_project(tmp_path_factory.mktemp("made"), n01_x=["print('one')"], n02_y=["print('two')"])
    execute.run_all(root, {"seed": 3})
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "root")


def count(root: Path) -> list[str]:
    """The notebooks that are not run again."""
    found = []
    for name in NAMES:
        digest = execute.run_digest(root, execute.read_notebook(root / "notebooks" / f"{name}.ipynb"), {"seed": 3})
        if execute.up_to_date(root / "book" / "executed" / f"{name}.ipynb", digest):
            found.append(name)
    return found


def of_record(**changes: object) -> Callable[[str], str]:
    return lambda text: json.dumps(json.loads(text) | changes)


RECORDS: dict[str, Callable[[str], str]] = {
    "empty": lambda text: "",
    "half": lambda text: text[: len(text) // 2],
    "a list": lambda text: "[]",
    "nothing": lambda text: "{}",
    "null": lambda text: "null",
    "endless": lambda text: "[" * 100_000,
    "a name is missing": lambda text: json.dumps({"digest": json.loads(text)["digest"]}),
    "a name too many": of_record(more=1),
    "no checksum": of_record(digest="abc"),
    "a number for one": of_record(executed=3),
    "no time": of_record(seconds=float("nan")),
    "no end of time": of_record(seconds=float("inf")),
    "no parameters": of_record(parameters=[]),
}


@pytest.mark.parametrize("damage", RECORDS)
def test_what_is_no_record_of_a_run_is_named_and_does_not_count(
    damage: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = root / "book" / "executed" / "01_x.run.json"
    path.write_text(RECORDS[damage](path.read_text()))
    assert count(root) == ["02_y"]
    assert f"{path} is damaged" in capsys.readouterr().out


def test_a_record_of_other_bytes_than_text_does_not_count(root: Path) -> None:
    (root / "book" / "executed" / "01_x.run.json").write_bytes(b"\xff\xfe{}")
    assert count(root) == ["02_y"]


def without_outputs(text: str) -> str:
    notebook = nbformat.reads(text, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return nbformat.writes(notebook)


NOTEBOOKS: dict[str, Callable[[str], str]] = {
    "empty": lambda text: "",
    "half": lambda text: text[: len(text) // 2],
    "nothing": lambda text: "{}",
    "outputs missing": without_outputs,
    "another number": lambda text: text.replace("one", "1ne"),
}


@pytest.mark.parametrize("damage", NOTEBOOKS)
def test_an_executed_notebook_that_its_run_did_not_leave_is_named_and_does_not_count(
    damage: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = root / "book" / "executed" / "01_x.ipynb"
    path.write_text(NOTEBOOKS[damage](path.read_text()))
    assert count(root) == ["02_y"]
    assert f"{path} is not what its run left" in capsys.readouterr().out


def test_one_of_another_notebook_does_not_count_with_its_record_and_without(root: Path) -> None:
    executed = root / "book" / "executed"
    shutil.copy(executed / "02_y.ipynb", executed / "01_x.ipynb")
    assert count(root) == ["02_y"]
    shutil.copy(executed / "02_y.run.json", executed / "01_x.run.json")
    assert count(root) == ["02_y"]


def test_one_that_is_missing_does_not_count_nor_one_without_a_record(root: Path) -> None:
    (root / "book" / "executed" / "01_x.ipynb").unlink()
    (root / "book" / "executed" / "02_y.run.json").unlink()
    assert count(root) == []


def test_only_what_is_damaged_is_run_again(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = root / "book" / "executed" / "01_x.ipynb"
    whole = path.read_text()
    path.write_text(whole[:100])
    execute.run_all(root, {"seed": 3})
    assert "[1/2] 01_x: running seed=3\n" in (said := capsys.readouterr().out)
    assert "[2/2] 02_y: unchanged" in said
    assert "one" in path.read_text()
    assert count(root) == list(NAMES)


SOURCES = {
    "empty": "",
    "a list": "[]",
    "nothing": "{}",
    "no cells": '{"cells": [], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
    "no list of cells": '{"cells": 3, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
    "cells of nothing": '{"cells": [{}], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
    "half": '{"cells": [{"cell_type": "code", "sou',
}


@pytest.mark.parametrize("text", SOURCES.values(), ids=SOURCES)
def test_a_source_that_is_no_notebook_is_named_before_anything_is_run(text: str, root: Path) -> None:
    path = root / "notebooks" / "02_y.ipynb"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"02_y\.ipynb is no notebook .*git checkout"):
        execute.run_all(root, {"seed": 4})
    assert count_of_runs(root) == {3}


def count_of_runs(root: Path) -> set[int]:
    """The seeds with which the notebooks were executed."""
    runs = (json.loads(path.read_text()) for path in (root / "book" / "executed").glob("*.run.json"))
    return {run["parameters"]["seed"] for run in runs}


def test_the_page_about_the_build_says_what_it_cannot_know(root: Path) -> None:
    (root / "book" / "executed" / "01_x.run.json").write_text("{}")
    page = execute.describe_build(root)
    assert "| [](01_x.ipynb) | unknown | unknown |" in page
    assert "`seed=3`" in page
