"""The points of a sweep on the workers of a Dask cluster: what they left is here, as if the sweep had run here."""

import csv
import importlib
import importlib.util
import json
import os
import shutil
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import pytest
from dask_cluster import processes
from projects import start, write_notebook, write_requirements
from tiny import TINY

from snslib.study import measurements as measure
from snslib.study.networks import Networks

BOOK = Path(__file__).parents[2] / "book"
NAMES = ("vanilla_epochs", "source_epochs", "pat_epochs", "epochs", "steps", "n_pairs", "n_test", "batch_size")
SMALL = {name: getattr(TINY, name) for name in NAMES} | {"width": 1 / 32, "device": "cpu"}


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """book/points.py, which finds its neighbours in their folder."""
    monkeypatch.syspath_prepend(BOOK)
    return importlib.import_module("points")


def make_project(root: Path) -> Path:
    """A copy of the library and of the scripts, with a notebook that takes the parameters of a sweep."""
    shutil.copytree(BOOK.parent / "snslib", root / "snslib", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "book").mkdir()
    for name in ("execute.py", "points.py", "sweep.py"):
        shutil.copy(BOOK / name, root / "book")
    (root / "notebooks").mkdir()
    write_notebook(root / "notebooks" / "02_y.ipynb", "import os", "print(os.getcwd(), lam)")
    write_requirements(root)
    return root


# --- in this process ---


@pytest.mark.trains
@pytest.mark.slow
def test_what_a_worker_sends_is_what_the_sweep_goes_on_from(
    points: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(points, "ROOT", root := tmp_path / "root")
    write = partial(write_notebook, root / "notebooks" / "02_y.ipynb", "print(lam)")
    (root / "notebooks").mkdir(parents=True)
    write()
    point = SMALL | {"lam": 1.0}
    monkeypatch.setenv("SNSLIB_CACHE", str(tmp_path / "worker"))
    left, made = points.run("02_y.ipynb", point, "0" * 64, {}, lambda line: None)
    assert not [*(root / ".cache").iterdir()]
    record = measure.accuracy(*points.networks_of(point))
    monkeypatch.setenv("SNSLIB_CACHE", str(tmp_path / "here"))
    target = tmp_path / "lam-1.ipynb"
    points.keep(target, point, left, made)
    run = json.loads(target.with_suffix(".run.json").read_text())
    assert (run["digest"], run["parameters"]) == ("0" * 64, point)
    assert run["executed"] == sha256(target.read_bytes()).hexdigest()
    monkeypatch.setattr("snslib.study.networks.train", lambda *_, **__: pytest.fail("something is trained"))
    monkeypatch.setattr(Networks, "model", lambda *_: pytest.fail("something is measured"))
    assert measure.accuracy(*points.networks_of(point)) == record
    assert {name.partition("-")[0] for name in made} == {"models/vanilla", "models/sns_sen_adv", "records/accuracy"}
    monkeypatch.setenv("SNSLIB_CACHE", str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match=r"^scheduler: a worker has other images of digits than are here"):
        points.keep(target, point, left, {})


def test_a_state_changes_with_what_a_run_depends_on(
    points: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(points, "ROOT", root := make_project(tmp_path))
    first = points.state("02_y.ipynb")
    assert {"numpy", "python", "notebooks/02_y.ipynb", "snslib/attacks.py", "book/execute.py"} <= first.keys()
    (root / "results").mkdir()
    (root / "results" / "new.json").write_text("{}")
    (root / "snslib" / "attacks.py").write_text("# another one")
    write_notebook(root / "notebooks" / "02_y.ipynb", "print('another one')")
    write_notebook(root / "notebooks" / "01_x.ipynb", "print('of no account')")
    second = points.state("02_y.ipynb")
    changed = {name for name in first | second if first.get(name) != second.get(name)}
    assert changed == {"results/new.json", "snslib/attacks.py", "notebooks/02_y.ipynb"}


def test_where_no_scheduler_is_nothing_is_run(
    points: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = importlib.import_module("sweep")
    monkeypatch.setattr(sweep, "ROOT", make_project(tmp_path))
    monkeypatch.setattr(sweep.execute, "ROOT", tmp_path)
    monkeypatch.setattr(sweep, "results_of", lambda tasks: pytest.fail("something is run here"))
    with pytest.raises(ValueError, match=r"^scheduler: expected an address such as tcp://HOST:8786, got 'HOST'"):
        sweep.sweep(["02_y", "lam=1", "SCHEDULER=HOST"])
    assert not [*(tmp_path / "sweeps").rglob("*.ipynb")]


# --- on processes of Dask ---


@pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="Dask is not installed: pip install -e .[cluster]"
)
@pytest.mark.trains
@pytest.mark.slow
def test_a_sweep_on_workers_that_share_no_folder_comes_together_here(tmp_path: Path) -> None:
    root = make_project(tmp_path / "root")
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"SNSLIB_CACHE": str(tmp_path / "here"), "PYTHONPATH": path}
    with processes(tmp_path, root) as started:
        started.worker("a")
        started.worker("b")
        given = [f"{name}={value}" for name, value in SMALL.items()]
        command = [root / "book" / "sweep.py", "02_y", "lam=0,1,5", *given, f"SCHEDULER={started.address}"]
        said, _ = start(command, env=environment).communicate()
        again, _ = start(command, env=environment).communicate()
    folder = root / "sweeps" / "02_y"
    left = {path.stem.rpartition("_")[2]: path for path in folder.glob("*.ipynb")}
    assert sorted(left) == ["lam-0", "lam-1", "lam-5"], said
    assert again.count("is there already") == 3
    for name, path in left.items():
        assert f"{root} {name[-1]}" in path.read_text()  # what the notebook printed
    [table] = folder.glob("*.csv")
    assert [line["lam"] for line in csv.DictReader(table.open())] == ["0", "1", "5"]
    assert table.with_suffix(".svg").exists()
    caches = ("here", "cache-a", "cache-b")
    vanilla = [next((tmp_path / cache / "models").glob("vanilla-*")).read_bytes() for cache in caches]
    assert vanilla[0] == vanilla[1] == vanilla[2]  # trained once, by the first point
