"""Every chapter runs by itself with small parameters, and refuses parameters that it does not have."""

import ast
import importlib.util
import os
import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
import yaml
from chapters import NOTEBOOKS, myst, read
from IPython.core.interactiveshell import InteractiveShell

from snslib.book import chapter, labels
from snslib.study import settings
from snslib.study.settings import Settings

ROOT = Path(__file__).parents[2]
REPOSITORY = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
CHAPTERS = [path for path in NOTEBOOKS if path.name[0].isdigit()]
SMALL = {
    "width": 0.0625,
    "steps": 1,
    "vanilla_epochs": 1,
    "pat_epochs": 1,
    "source_epochs": 1,
    "epochs": 1,
    "n_pairs": 40,
    "n_test": 20,
    "batch_size": 128,
    "device": "cpu",
}


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def first_seconds(path: Path, **injected: Any) -> None:
    """What a notebook does before it computes anything: take its parameters, the injected ones too, and read them."""
    _, parameters, guard = code_cells(path)[:3]
    as_papermill = "# Parameters\n" + "".join(f"{name} = {value!r}\n" for name, value in injected.items())
    namespace: dict[str, Any] = {"In": [""]}  # what was run, as IPython has it
    for source in (parameters.source, as_papermill, guard.source):
        namespace["In"].append(source)
        exec(source, namespace)


def test_there_are_eight_chapters() -> None:
    assert [path.name[:2] for path in CHAPTERS] == ["01", "02", "03", "04", "05", "06", "07", "08"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_sources_carry_no_outputs_and_begin_with_their_parameters(path: Path) -> None:
    cells = code_cells(path)
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)
    assert cells[0].source == INSTALL
    assert cells[1].metadata.tags == ["parameters"]
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in cells) == 1
    opening = read(path).cells[0].source
    assert f"papermill notebooks/{path.name}" in opening
    assert "Running time" in opening


INSTALL = code_cells(NOTEBOOKS[0])[0].source


def test_the_cell_that_finds_the_library_is_short() -> None:
    assert len(INSTALL.split("\n")) - INSTALL.count("\n\n") <= 13


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to open a notebook in, where snslib is not installed; a `git` that has no network comes first."""
    installed = importlib.util.find_spec

    def find_spec(name: str) -> object:
        found = [folder for folder in sys.path if folder.startswith(str(tmp_path)) and Path(folder, name).is_dir()]
        return next(iter(found), None) if name == "snslib" else installed(name)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    monkeypatch.setattr(sys, "path", [*sys.path])
    program(tmp_path / "bin" / "git", f'echo "$@" >> {tmp_path}/asked\necho fatal: no network >&2\nexit 128')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    return tmp_path


def program(path: Path, script: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_where_the_library_is_installed_nothing_happens(capfd: pytest.CaptureFixture[str]) -> None:
    before = [*sys.path]
    assert InteractiveShell().run_cell(INSTALL).success
    assert sys.path == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("folder", ["", "notebooks", "notebooks/of a student"])
def test_a_notebook_in_a_checkout_takes_the_library_from_there(
    elsewhere: Path, folder: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / "snslib").mkdir()
    (elsewhere / folder).mkdir(exist_ok=True)
    monkeypatch.chdir(elsewhere / folder)
    assert InteractiveShell().run_cell(INSTALL).success
    assert str(elsewhere) in sys.path
    assert not (elsewhere / "asked").exists()
    assert capfd.readouterr() == ("", "")


def test_a_notebook_alone_fetches_the_repository_that_is_asked_for_and_goes_on_where_that_ended(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = elsewhere / "bin" / "python"
    program(python, f'echo "$@" >> {elsewhere}/asked\ntest -f {elsewhere}/online')  # pip, at first without a network
    program(elsewhere / "bin" / "git", f'echo "$@" >> {elsewhere}/asked\nmkdir -p neuron-sensitivity/snslib')
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("SNSLIB_REPOSITORY", "https://example.org/fork")
    target = elsewhere / "notebooks" / "neuron-sensitivity"
    clone, install = f"clone -q --depth 1 https://example.org/fork {target}", f"-m pip install -q -e {target}[book]"
    failed = InteractiveShell().run_cell(INSTALL).error_in_exec
    assert "fetched from https://example.org/fork (no reason given): connect" in str(failed)
    (elsewhere / "online").touch()
    assert InteractiveShell().run_cell(INSTALL).success
    assert (elsewhere / "asked").read_text().splitlines() == [clone, install, install]
    assert sys.path[-1] == str(target)
    assert InteractiveShell().run_cell(INSTALL).success  # found, so nothing is asked again
    assert len((elsewhere / "asked").read_text().splitlines()) == 3


def test_without_a_network_one_line_says_so_with_the_remedy_and_nothing_after_it_runs(
    elsewhere: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    done = InteractiveShell().run_cell(INSTALL)
    out, err = capfd.readouterr()
    assert (out + err).strip() == (
        f"snslib is not here, and cannot be fetched from {REPOSITORY} (fatal: no network): connect to the network and "
        "run this cell again, or open this notebook in the folder notebooks/ of a copy of the whole repository."
    )
    assert not done.success


def lines_of_code(cell: nbformat.NotebookNode) -> list[str]:
    return [line for line in cell.source.splitlines() if line.strip() and not line.strip().startswith("#")]


def test_notebooks_are_thin() -> None:
    """Story, equation, one call, one figure: what computes has a home in snslib, and a test."""
    cells = {
        path.stem: [cell for cell in code_cells(path) if "exercise" not in cell.metadata.get("tags", [])]
        for path in NOTEBOOKS
    }
    assert sum(len(lines_of_code(cell)) for of_notebook in cells.values() for cell in of_notebook) <= 1000
    for name, of_notebook in cells.items():
        for place, cell in enumerate(of_notebook):
            if "parameters" not in cell.metadata.get("tags", []):
                assert len(lines_of_code(cell)) <= 15, f"{name}, code cell {place}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_line_of_code_is_wider_than_a_page(path: Path) -> None:
    for cell in code_cells(path):
        if not {"remove-cell", "remove-input"} & set(cell.metadata.get("tags", [])):
            assert max(map(len, cell.source.splitlines())) <= 75, cell.source


@pytest.mark.parametrize("path", CHAPTERS[:-1], ids=lambda path: path.stem)
def test_parameters_have_one_default_and_no_cell_changes_them(path: Path) -> None:
    """So that the first cells can be run again with other values."""
    _, parameters, *others = code_cells(path)
    declared: dict[str, Any] = {}
    exec(parameters.source, declared)
    known = {field.name for field in fields(Settings)}
    own = {name: value for name, value in declared.items() if name not in known and not name.startswith("__")}
    assert own.items() <= chapter.DEFAULTS.items()
    for cell in others:
        plain = "\n".join(line for line in cell.source.splitlines() if not line.startswith(("%", "!")))
        nodes = list(ast.walk(ast.parse(plain)))
        stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        assert not stored & (known | chapter.DEFAULTS.keys()), cell.source


@pytest.mark.parametrize("path", CHAPTERS[:-1], ids=lambda path: path.stem)
def test_the_default_that_is_written_beside_a_parameter_is_the_profiles(path: Path) -> None:
    """papermill's --help-notebook shows it: the parameter itself is None, which leaves the profile's value."""
    shown = dict(settings.table(settings.PROFILES["digits"]))
    written = re.findall(r"^(\w+): .*; digits: (.+)$", code_cells(path)[1].source, re.M)
    assert len(written) > 8
    assert {name: shown[name] for name, _ in written} == dict(written)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_good_parameters_are_taken_and_bad_ones_named(path: Path) -> None:
    first_seconds(path)
    first_seconds(path, eps="8/255", seed="3")
    bad = {"sede": 1, "eps": "big", "width": "wide", "n_test": 0, "profile": "cifar", "device": "tpu9"}
    for name, value in bad.items():
        with pytest.raises(ValueError, match=name):
            first_seconds(path, **{name: value})


def test_the_training_chapter_names_bad_layers_and_types() -> None:
    path = ROOT / "notebooks" / "04_sns_training.ipynb"
    for name, value in {"first_layer": "conv99", "lam": True, "epochs": 1.5, "defense": "pat", "lamda": 5.0}.items():
        with pytest.raises(ValueError, match=name):
            first_seconds(path, **{name: value})


def test_papermill_ends_in_the_error_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNSLIB_CACHE", str(tmp_path))
    source = ROOT / "notebooks" / "04_sns_training.ipynb"
    with pytest.raises(papermill.PapermillExecutionError, match="unknown parameter lamda; this notebook takes"):
        papermill.execute_notebook(source, tmp_path / "out.ipynb", {"lamda": 5.0}, progress_bar=False)
    assert not (tmp_path / "models").exists()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all chapters, so that they find each other's models, as in the book."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_runs_with_small_parameters(
    path: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNSLIB_CACHE", str(cache))
    declared = papermill.inspect_notebook(path)
    parameters = {name: value for name, value in SMALL.items() if name in declared}
    done = papermill.execute_notebook(path, tmp_path / path.name, parameters, cwd=tmp_path, progress_bar=False)
    outputs = [output for cell in done.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("text/markdown" in output.get("data", {}) for output in outputs)
    has_figure = any({"image/svg+xml", "image/png"} & set(output.get("data", {})) for output in outputs)
    assert has_figure == (path.stem != "scorecard")
    shown = [output.data["text/markdown"] for output in outputs if "text/markdown" in output.get("data", {})]
    assert [signs for text in shown if (signs := myst(text))] == []
    tables = [label for text in shown for label in re.findall(r"^\*\*Table .*<!-- (\S+) -->$", text, re.M)]
    assert tuple(tables) in labels.TABLES.values()
    assert not [o for o in outputs if o.output_type == "stream" and o.name == "stderr"]
