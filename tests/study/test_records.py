"""Records are found again by what they depend on, hold where they came from, and are never half-written."""

import json
from pathlib import Path
from typing import Any

import pytest

from snslib import files
from snslib.study import networks, records


def make(folder: Path, inputs: dict[str, Any], calls: list[int], result: Any = 1.5) -> records.Record:
    def compute() -> Any:
        calls.append(1)
        return result

    return records.record(folder, "accuracy", inputs, {"seed": 7}, "cpu", compute)


def test_a_record_is_computed_once_and_holds_its_provenance(tmp_path: Path) -> None:
    calls: list[int] = []
    first = make(tmp_path, {"a": 1, "b": [2]}, calls)
    assert make(tmp_path, {"b": [2], "a": 1}, calls) == first
    assert len(calls) == 1
    assert first.result == 1.5
    assert first.config == {"a": 1, "b": [2]}
    assert {"seconds", "device", "versions", "commit", "date"} <= set(first.provenance)
    assert (first.what, first.seed) == ("accuracy", 7)


def test_another_input_is_another_record(tmp_path: Path) -> None:
    calls: list[int] = []
    make(tmp_path, {"a": 1}, calls)
    make(tmp_path, {"a": 2}, calls)
    assert len(calls) == 2


def test_a_damaged_record_is_named_and_not_overwritten(tmp_path: Path) -> None:
    make(tmp_path, {"a": 1}, [])
    (path,) = (tmp_path / "records").iterdir()
    path.write_text(path.read_text()[:20])
    with pytest.raises(ValueError, match=path.name):
        make(tmp_path, {"a": 1}, [])


def test_a_failed_measurement_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        records.record(tmp_path, "accuracy", {}, {}, "cpu", fail)
    with pytest.raises(TypeError):
        make(tmp_path, {"a": 1}, [], result=object())  # not JSON-able
    assert [p for p in tmp_path.rglob("*") if p.suffix == ".json"] == []


def forget() -> None:
    """What was read of snslib's code."""
    records.code.cache_clear()
    records._parsed.cache_clear()


def test_the_key_of_code_sees_code_and_not_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PACKAGE", tmp_path)
    keys = []
    plain, changed = "def f():\n    return 1\n", "def f():\n    return 2\n"
    commented = "def f():  # why\n    'Doc.'\n    return 1\n"
    for source in (plain, commented, changed):
        (tmp_path / "m.py").write_text(source)
        forget()
        keys.append(records.code("m"))
    forget()
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    "way", ["from snslib import n", "from snslib.n import f", "from snslib.room import n", "import os"]
)
def test_the_key_of_code_sees_what_is_imported(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PACKAGE", tmp_path)
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "__init__.py").touch()
    (tmp_path / "m.py").write_text(f"def g():\n    {way}\n")
    keys = []
    for source in ("f = 1", "f = 2"):
        for folder in (tmp_path, tmp_path / "room"):
            (folder / "n.py").write_text(source)
        forget()
        keys.append(records.code("m"))
    forget()
    assert (keys[0] != keys[1]) == ("snslib" in way)


def test_a_model_depends_on_all_that_trains_it() -> None:
    """Of the rooms above training and evaluation nothing does."""
    found = set(records.modules_of(*networks.TRAINING_CODE))
    assert {"kernels.reference", "training.parallel", "training.fixed_pairs", "losses", "attacks"} <= found
    assert not {name.split(".")[0] for name in found} & {"evaluation", "study", "claims", "book"}


def test_keys_are_json_and_stable() -> None:
    assert records.key({"b": 1, "a": [1.5, None]}) == records.key(json.loads('{"a": [1.5, null], "b": 1}'))
