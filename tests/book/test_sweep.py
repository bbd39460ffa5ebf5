"""A sweep runs a notebook once for every combination, and its table holds the records of those very runs."""

import csv
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from tiny import TINY

from snslib.study import measurements as measure
from snslib.study.networks import Networks

BOOK = Path(__file__).parents[2] / "book"


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BOOK)
    import sweep

    return sweep


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
    monkeypatch.setattr(sweep.papermill, "execute_notebook", None)  # a second time nothing is run
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
    }.items():
        monkeypatch.setattr(sys, "argv", ["sweep.py", *arguments])
        with pytest.raises(SystemExit, match=message):
            sweep.main()
