"""Every chapter runs by itself with small parameters, and refuses parameters that it does not have."""

from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest

ROOT = Path(__file__).parent.parent
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
