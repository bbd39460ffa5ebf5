"""A sweep runs a notebook once for every combination, and its table holds the records of those very runs."""

import csv
import importlib
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook
from projects import make_project, write_notebook
from tiny import TINY

from snslib.study import measurements as measure
from snslib.study import settings
from snslib.study.networks import Networks

BOOK = Path(__file__).parents[2] / "book"


def load_sweep() -> ModuleType:
    """book/sweep.py, which finds its neighbours in their folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BOOK)
        return importlib.import_module("sweep")


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BOOK)
    return load_sweep()


def test_a_grid_is_every_combination(sweep: ModuleType) -> None:
    points = sweep.parse_grid("lam=1,5 EPS=8/255,0.1 defense=sns_sen_cls")
    assert len(points) == 4
    assert {"lam": 5, "eps": "8/255", "defense": "sns_sen_cls"} in points
    for text, message in {"": "empty", "lam=1,1": "once", "lam": "NAME=VALUE,VALUE"}.items():
        with pytest.raises(sweep.VariableError, match=message):
            sweep.parse_grid(text)


def test_files_are_named_by_all_settings(sweep: ModuleType) -> None:
    assert sweep.name_of({"seed": 1, "eps": "8/255"}) == "seed-1_eps-8over255"
    long = {f"parameter_{i}": i for i in range(50)}
    assert len(sweep.name_of(long)) < 160
    assert sweep.name_of(long) != sweep.name_of(long | {"parameter_49": 50})


values = st.text() | st.sampled_from(
    ["../../x", "/etc/passwd", "a\0b", "C:\\x", "..", "8/255", "8over255", "a:b", "é" * 200]
)


@given(st.lists(values, min_size=2, max_size=2, unique=True))
def test_a_file_lies_in_its_folder_whatever_it_is_named_by_and_no_two_have_one_name(two: list[str]) -> None:
    sweep = load_sweep()
    names = [sweep.name_of({"eps": value}) for value in two]
    assert names[0] != names[1]
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9_.,+-]{1,160}", name)
        assert name.startswith("eps-")


@pytest.fixture
def project(sweep: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one notebook for sweeps, whose accuracies nobody has to train for."""
    root = make_project(tmp_path / "root", n02_y=["print(seed)"])
    monkeypatch.setattr(sweep, "ROOT", root)
    monkeypatch.setattr(sweep.execute, "ROOT", root)
    monkeypatch.setattr(sweep, "accuracies", lambda points: [dict.fromkeys(sweep.COLUMNS, 0.5) for _ in points])
    return root


def ran(sweep: ModuleType, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """The runs of a sweep that were made, as they are titled, and not there already."""
    capsys.readouterr()
    sweep.sweep(["02_y", *arguments])
    return re.findall(r"\] (.+): running", capsys.readouterr().out)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_text(""),
    "half": lambda path: path.write_text(path.read_text()[:300]),
    "of another point": lambda path: shutil.copy(path.with_name("device-cpu_seed-1.ipynb"), path),
    "without a record": lambda path: path.with_suffix(".run.json").unlink(),
    "with another's record": lambda path: shutil.copy(
        path.with_name("device-cpu_seed-1.run.json"), path.with_suffix(".run.json")
    ),
    "with half a record": lambda path: path.with_suffix(".run.json").write_text('{"digest": "'),
}


@pytest.mark.slow
def test_a_run_counts_for_what_it_left_of_this_notebook_and_these_parameters(
    sweep: ModuleType, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("seed=0,1", "device=cpu")
    assert ran(sweep, capsys, *arguments) == ["seed=0", "seed=1"]
    assert ran(sweep, capsys, *arguments) == []
    path = project / "sweeps" / "02_y" / "device-cpu_seed-0.ipynb"
    for damage in DAMAGE.values():
        damage(path)
        assert ran(sweep, capsys, *arguments) == ["seed=0"]
    assert ran(sweep, capsys, "seed=1", "device='cpu'") == []  # the same parameters, written in another way
    assert ran(sweep, capsys, "seed=0,1", "device=cpu", "eps=0.1") == ["seed=0", "seed=1"]
    write_notebook(project / "notebooks" / "02_y.ipynb", "print('seed', seed)")
    assert ran(sweep, capsys, *arguments) == ["seed=0", "seed=1"]
    (project / "snslib" / "data.json").write_text("[2]")
    assert ran(sweep, capsys, *arguments) == ["seed=0", "seed=1"]


@pytest.mark.slow
def test_a_value_that_is_code_is_a_text_and_one_that_a_spreadsheet_would_run_is_not_run(
    sweep: ModuleType, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "made"
    monkeypatch.setattr(sweep, "settings_of", lambda point: settings.PROFILES["digits"])
    code = f"__import__('pathlib').Path({str(path)!r}).touch()"
    sweep.sweep(["02_y", "seed=1", f"eps={code}"])
    sweep.sweep(["02_y", "seed=2", 'eps=0"; ' + code])
    sweep.sweep(["02_y", "seed=3", "eps==1+1"])
    assert not path.exists()
    tables = [*(project / "sweeps" / "02_y").glob("*.csv")]
    assert len(tables) == 3
    rows = [row for table in tables for row in csv.DictReader(table.open(newline=""))]
    assert "'=1+1" in {row["eps"] for row in rows}
    assert {each.parent for each in project.rglob("eps-*")} == {project / "sweeps" / "02_y"}


@pytest.mark.slow
def test_one_table_and_one_figure_for_all_runs(
    sweep: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notebooks").mkdir()
    cell = new_code_cell(
        "lam = width = n_test = vanilla_epochs = epochs = steps = n_pairs = None", metadata={"tags": ["parameters"]}
    )
    nbformat.write(new_notebook(cells=[cell, new_code_cell("print(lam)")]), tmp_path / "notebooks" / "04_x.ipynb")
    monkeypatch.setattr(sweep, "ROOT", tmp_path)
    monkeypatch.setenv("SNSLIB_CACHE", str(tmp_path / "cache"))
    small = [
        f"{name}={getattr(TINY, name)}" for name in ("width", "n_test", "vanilla_epochs", "epochs", "steps", "n_pairs")
    ]
    monkeypatch.setattr(
        sys,
        "argv",
        ["sweep.py", "04_x", "lam=0,5", "device=cpu", "batch_size=128", "pat_epochs=1", "source_epochs=1", *small],
    )
    sweep.main()
    told = capsys.readouterr().out.splitlines()
    assert told[:2] == ["[1/2] lam=0: running", told[1]]
    assert [line.split(";")[0] for line in told if "done" in line] == ["[1/2] lam=0: done", "[2/2] lam=5: done"]
    assert told[1].endswith(" s left")
    folder = tmp_path / "sweeps" / "04_x"
    assert len(list(folder.glob("*.ipynb"))) == 2
    (table,) = folder.glob("accuracy_*.csv")
    lines = list(csv.DictReader(table.open()))
    columns = ["clean", "step_ll", "mi_fgsm", "pgd", "fgsm"]
    assert list(lines[0])[-7:] == ["lam", "seed", *columns]
    assert [(line["lam"], line["seed"], line["batch_size"], line["device"]) for line in lines] == [
        ("0", "0", "128", "cpu"),
        ("5", "0", "128", "cpu"),
    ]
    record = measure.accuracy(Networks(TINY, tmp_path / "cache", print), "sns_sen_adv").result
    assert [float(lines[1][column]) for column in columns] == list(record.values())
    assert table.with_suffix(".svg").read_text().startswith("<?xml")
    first = table.read_text()
    monkeypatch.setattr(sweep.execute, "run_notebook", None)  # a second time nothing is run
    sweep.main()
    assert "[2/2] lam=5: is there already" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*sys.argv[:2], "lam=5", *sys.argv[3:]])
    sweep.main()  # another sweep, of points that are there
    assert len(list(folder.glob("accuracy_*.csv"))) == 2
    assert table.read_text() == first


def test_what_is_wrong_is_told(sweep: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, message in {
        ("04",): "expected a notebook and a grid",
        ("99_x", "lam=1"): "no notebook '99_x'",
        ("../notebooks/04_sns_training", "lam=1"): "no notebook '../notebooks/04_sns_training'",
        (str(BOOK.parent / "notebooks" / "04_sns_training"), "lam=1"): "no notebook",
        ("04_sns_training", "lam=1", "eps={1}"): "eps: expected a number, a text or a list",
        ("04_sns_training", "lam=1", "sede=1"): "sede",
    }.items():
        monkeypatch.setattr(sys, "argv", ["sweep.py", *arguments])
        with pytest.raises(SystemExit, match=message):
            sweep.main()
