"""The book's notebooks are run when, and only when, something they depend on has changed (book/execute.py)."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from papermill.exceptions import PapermillExecutionError
from projects import make_project, write_notebook, write_requirements
from scripts import load

from snslib.study import rows

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "book" / "execute.py"
execute = load("execute.py")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project of one notebook, one library file and one requirement."""
    return make_project(tmp_path, n01_x=["print('seed', seed)"])


def output_text(root: Path) -> str:
    notebook = nbformat.read(root / "book" / "executed" / "01_x.ipynb", as_version=4)
    return "".join(output.text for cell in notebook.cells for output in cell.get("outputs", []))


def runs_again(root: Path, capsys: pytest.CaptureFixture[str], **variables: object) -> bool:
    capsys.readouterr()
    execute.run_all(root, variables)
    return "unchanged" not in capsys.readouterr().out


def test_runs_once_and_then_only_after_a_change(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs_again(root, capsys)
    assert output_text(root) == "seed 0\n"
    assert not runs_again(root, capsys)

    assert runs_again(root, capsys, seed=3)
    assert output_text(root) == "seed 3\n"
    assert not runs_again(root, capsys, seed=3)

    write_notebook(root / "notebooks" / "01_x.ipynb", "print('seed is', seed)")
    assert runs_again(root, capsys, seed=3)
    assert output_text(root) == "seed is 3\n"

    (root / "snslib" / "data.json").write_text("[1] ")
    assert runs_again(root, capsys, seed=3)


def test_digest_depends_on_cells_library_parameters_and_versions(root: Path) -> None:
    source = root / "notebooks" / "01_x.ipynb"

    def digest(**parameters: object) -> str:
        return execute.run_digest(root, nbformat.read(source, as_version=4), parameters)

    before = digest()
    assert digest(seed=1) != before
    assert digest(seed=1) != digest(eps=1)

    # Not what somebody who ran the notebook by hand saved in it, nor what Python compiled.
    notebook = nbformat.read(source, as_version=4)
    notebook.cells[-1].execution_count = 7
    notebook.cells[-1].outputs = [nbformat.v4.new_output("stream", text="seed 0")]
    nbformat.write(notebook, source)
    (root / "snslib" / "__pycache__").mkdir()
    (root / "snslib" / "__pycache__" / "a.pyc").write_bytes(b"1")
    assert digest() == before

    (root / "snslib" / "empty.py").touch()
    assert digest() != before
    (root / "snslib" / "empty.py").unlink()
    write_requirements(root, "nbformat", "papermill>=2")
    assert digest() != before


def test_parameters_of_the_run_are_shown_folded(root: Path) -> None:
    execute.run_all(root, {"seed": 3})
    cells = nbformat.read(root / "book" / "executed" / "01_x.ipynb", as_version=4).cells
    (injected,) = [cell for cell in cells if "injected-parameters" in cell.metadata.get("tags", [])]
    assert "seed = 3" in injected.source
    assert "hide-input" in injected.metadata.tags
    assert injected.metadata.mystnb.code_prompt_show == "Parameters of this run"


def test_the_build_is_described(root: Path) -> None:
    execute.run_all(root, {"seed": 3})
    record = root / "book" / "executed" / "01_x.run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"seconds": 61.4}))
    page = execute.describe_build(root)
    assert "| [](01_x.ipynb) | 61 s | `seed=3` |" in page
    assert f"| nbformat | {nbformat.__version__} |" in page


def test_failure_names_the_error_and_keeps_the_last_good_run(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    execute.run_all(root, {})
    write_notebook(root / "notebooks" / "01_x.ipynb", "print('halfway')", "raise KeyError('conv99')")
    with pytest.raises(PapermillExecutionError, match="conv99"):
        execute.run_all(root, {})
    assert output_text(root) == "seed 0\n"
    partial = nbformat.read(root / "book" / "executed" / "01_x.partial.ipynb", as_version=4)
    assert "halfway" in str(partial.cells)

    # It is still owed a good run, and having had one leaves nothing behind.
    write_notebook(root / "notebooks" / "01_x.ipynb", "print('repaired')")
    assert runs_again(root, capsys)
    assert output_text(root) == "repaired\n"
    assert sorted(path.name for path in (root / "book" / "executed").iterdir()) == ["01_x.ipynb", "01_x.run.json"]


def test_script_ends_with_the_error_and_a_status(root: Path) -> None:
    write_notebook(root / "notebooks" / "01_x.ipynb", "raise KeyError('conv99')")
    shutil.copy(SCRIPT, root / "book")
    ended = subprocess.run(
        [sys.executable, root / "book" / "execute.py", "SEED=3"], capture_output=True, text=True, cwd="/", check=False
    )
    assert ended.returncode == 1
    assert "[1/1] 01_x: running seed=3" in ended.stdout
    assert "[1/1] 01_x: failed in cell 4" in ended.stdout
    assert ended.stderr.rstrip().endswith("KeyError: 'conv99'")


def test_a_process_that_dies_is_told_of_in_words(root: Path) -> None:
    write_notebook(root / "notebooks" / "02_y.ipynb", "print('alive')", "import os; os.abort()")
    shutil.copy(SCRIPT, root / "book")
    command = [sys.executable, root / "book" / "execute.py"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "the process that ran notebooks/02_y.ipynb died in cell 4 of 4" in ended.stderr
    assert "1 of 2 notebooks are finished" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Fatal Python error: Aborted" in ended.stderr  # where it was
    assert "01_x: unchanged" in subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_runs_in_its_own_environment_whatever_kernels_the_user_has(root: Path) -> None:
    kernel = root / "jupyter" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps({"argv": ["false"], "display_name": "Another Python", "language": "python"}))
    write_notebook(root / "notebooks" / "01_x.ipynb", "import sys", "print(sys.prefix)")
    shutil.copy(SCRIPT, root / "book")
    environment = {"PATH": os.defpath, "HOME": str(root), "JUPYTER_PATH": str(root / "jupyter")}
    subprocess.run([sys.executable, root / "book" / "execute.py"], env=environment, check=True, capture_output=True)
    assert output_text(root) == f"{sys.prefix}\n"


def test_a_variable_goes_where_it_is_declared(root: Path) -> None:
    other = new_notebook(cells=[new_code_cell("width = 0.25", metadata={"tags": ["parameters"]})])
    nbformat.write(other, root / "notebooks" / "02_y.ipynb")
    execute.run_all(root, {"width": 1.0})
    for name, parameters in (("01_x", {}), ("02_y", {"width": 1.0})):
        record = json.loads((root / "book" / "executed" / f"{name}.run.json").read_text())
        assert record["parameters"] == parameters


def test_unknown_variables_are_refused_before_anything_runs(root: Path) -> None:
    with pytest.raises(execute.VariableError, match=r"sede: no notebook has such a parameter; there are eps, seed"):
        execute.run_all(root, {"sede": 1})
    assert not (root / "book" / "executed").exists()


def test_variables_are_read_as_numbers_lists_and_words() -> None:
    given = ["PROFILE=cifar10", "width=0.25", "SEED=1", "EPS=8/255", "LAYERS=['conv8']", "FAST=True", "NAME=a=b"]
    expected = {
        "profile": "cifar10",
        "width": 0.25,
        "seed": 1,
        "eps": "8/255",
        "layers": ["conv8"],
        "fast": True,
        "name": "a=b",
    }
    assert execute.parse_variables(given) == expected
    for malformed in ("PROFILE", "=cifar10", "two words=1"):
        with pytest.raises(execute.VariableError, match="NAME=VALUE"):
            execute.parse_variables([malformed])


def test_a_profile_is_built_from_what_is_recorded_unless_a_network_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "recorded_profile", {"cifar10": "cifar10-small", "digits": "digits"}.__getitem__)
    assert execute.with_recorded_profile({"profile": "cifar10", "seed": 1}) == {"profile": "cifar10-small", "seed": 1}
    assert "the book takes cifar10-small" in capsys.readouterr().out
    for given in ({"profile": "cifar10", "width": 1.0}, {"profile": "digits"}, {"seed": 1}, {"profile": 3}, {}):
        assert execute.with_recorded_profile(given) == given
    assert capsys.readouterr().out == ""
