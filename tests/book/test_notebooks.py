"""Every chapter runs by itself with small parameters, and refuses parameters that it does not have."""

import ast
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest

from snslib.book import chapter
from snslib.study import settings
from snslib.study.settings import Settings

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
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


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def first_seconds(path: Path, **injected: Any) -> None:
    """What a notebook does before it computes anything: take its parameters, the injected ones too, and read them."""
    _, parameters, guard = code_cells(path)[:3]
    namespace: dict[str, Any] = {}
    exec(parameters.source, namespace)
    namespace.update(injected)
    exec(guard.source, namespace)


def test_there_are_eight_chapters() -> None:
    assert [path.name[:2] for path in CHAPTERS] == ["01", "02", "03", "04", "05", "06", "07", "08"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_sources_carry_no_outputs_and_begin_with_their_parameters(path: Path) -> None:
    cells = code_cells(path)
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)
    assert 'find_spec("snslib")' in cells[0].source  # what installs the project on Colab
    assert cells[1].metadata.tags == ["parameters"]
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in cells) == 1
    opening = read(path).cells[0].source
    assert f"papermill notebooks/{path.name}" in opening
    assert "Running time" in opening


def lines_of_code(cell: nbformat.NotebookNode) -> list[str]:
    return [line for line in cell.source.splitlines() if line.strip() and not line.strip().startswith("#")]


def test_notebooks_are_thin() -> None:
    """Story, equation, one call, one figure: what computes has a home in snslib, and a test."""
    cells = {path.stem: code_cells(path) for path in NOTEBOOKS}
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
    assert not [o for o in outputs if o.output_type == "stream" and o.name == "stderr"]
