"""Records are found again by what they depend on, hold where they came from, and are never half-written."""

import json
from pathlib import Path
from typing import Any

import pytest

from snslib import files
from snslib.study import networks, records


def make(folder: Path, inputs: dict[str, Any], calls: list[int], result: Any = 0.5) -> records.Record:
    def compute() -> Any:
        calls.append(1)
        return result

    return records.record(folder, "strong-accuracy", inputs, {"seed": 7}, "cpu", compute)


def test_a_record_is_computed_once_and_holds_its_provenance(tmp_path: Path) -> None:
    calls: list[int] = []
    first = make(tmp_path, {"a": 1, "b": [2]}, calls)
    assert make(tmp_path, {"b": [2], "a": 1}, calls) == first
    assert len(calls) == 1
    assert first.result == 0.5
    assert first.config == {"a": 1, "b": [2]}
    assert {"seconds", "device", "versions", "commit", "date"} <= set(first.provenance)
    assert first.provenance["precision"] == "float32"
    assert (first.what, first.seed) == ("strong-accuracy", 7)


def test_another_input_is_another_record(tmp_path: Path) -> None:
    calls: list[int] = []
    make(tmp_path, {"a": 1}, calls)
    make(tmp_path, {"a": 2}, calls)
    assert len(calls) == 2


DAMAGE = {
    "half of it": lambda entry, text: text[: len(text) // 2],
    "nothing": lambda entry, text: "",
    "a list": lambda entry, text: "[]",
    "an empty object": lambda entry, text: "{}",
    "no result": lambda entry, text: json.dumps({name: value for name, value in entry.items() if name != "result"}),
    "NaN": lambda entry, text: json.dumps(entry | {"result": float("nan")}),
    "no number": lambda entry, text: json.dumps(entry | {"result": None}),
    "no share": lambda entry, text: json.dumps(entry | {"result": 1.5}),
    "another configuration": lambda entry, text: json.dumps(entry | {"config": {"a": 2}}),
    "another measurement": lambda entry, text: json.dumps(entry | {"what": "targeted-pgd"}),
    "a seed in words": lambda entry, text: json.dumps(entry | {"seed": "seven"}),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_no_record_of_this_is_named_and_measured_anew(damage: str, tmp_path: Path) -> None:
    first = make(tmp_path, {"a": 1}, [])
    (path,) = (tmp_path / "records").iterdir()
    text = path.read_text()
    path.write_text(DAMAGE[damage](json.loads(text), text))
    calls: list[int] = []
    with pytest.warns(UserWarning, match=rf"{path.name} is damaged \(.+\), and is measured anew"):
        again = make(tmp_path, {"a": 1}, calls)
    assert (calls, again.result, again.config) == ([1], first.result, first.config)
    assert make(tmp_path, {"a": 1}, calls) == again
    assert calls == [1]


@pytest.mark.parametrize("result", [float("nan"), None, 1.5, {"clean": 0.5}, []])
def test_what_is_no_result_of_a_measurement_is_not_written(result: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^strong-accuracy: what was measured is no record of .*nothing is written"):
        make(tmp_path, {"a": 1}, [], result)
    assert not list(tmp_path.rglob("*.json"))


def test_a_new_measurement_may_have_any_result_that_json_can_hold(tmp_path: Path) -> None:
    found = records.record(tmp_path, "new", {}, {}, "cpu", lambda: {"a": [None, "b"]})
    assert found.result == {"a": [None, "b"]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        records.record(tmp_path, "new", {"n": 2}, {}, "cpu", lambda: float("inf"))


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
