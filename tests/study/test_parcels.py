"""What is sent from machine to machine arrives as it was, in its folder, and overwrites nothing."""

import json
from pathlib import Path

import pytest
import torch

from snslib.files import load_tensors
from snslib.study import parcels, results
from snslib.study.records import Record
from snslib.training import pretrained


def test_what_is_there_is_packed_and_arrives_whole_and_only_where_nothing_is(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "models").mkdir(parents=True)
    there.mkdir()
    (here / "models" / "a").write_bytes(b"\0\xff a")
    (here / "b").write_text("ours")
    (there / "b").write_text("theirs")
    parcel = parcels.pack(here, [here / "models" / "a", here / "b", here / "missing"])
    assert set(parcel) == {"models/a", "b"}
    parcels.unpack(there, parcel)
    assert (there / "models" / "a").read_bytes() == b"\0\xff a"
    assert (there / "b").read_text() == "theirs"
    assert {path.name for path in there.rglob("*")} == {"models", "a", "b"}  # nothing that is hidden is left


def test_what_changed_is_what_is_new_or_other() -> None:
    before, after = {"a": b"1", "b": b"1", "d": b"4"}, {"a": b"1", "b": b"2", "c": b"3"}
    assert parcels.changed(after, before) == {"b": b"2", "c": b"3"}


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a/../../x", ""])
def test_no_name_leads_out_of_the_folder(name: str, tmp_path: Path, results: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(ValueError, match=r"^parcel: expected a name in"):
        parcels.unpack(tmp_path / "in", {name: b"x"})
    with pytest.raises(ValueError, match=r"^parcel: expected a name in"):
        parcels.publish({name: b"x"})
    assert [path.name for path in tmp_path.rglob("*")] == ["in"]


def published_elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch, value: float, *shares: float) -> parcels.Parcel:
    """A model at the whole width whose weights have a value, and records of its row."""
    with monkeypatch.context() as patch:
        patch.setattr(pretrained, "RESULTS", folder)
        model = folder / "digits" / "vgg16-w1" / "pat.safetensors"
        state = {"recipe": {"width": 1.0, "value": value}, "history": [], "classes": ["0"]}
        results.publish_model(model, {"w": torch.full((3,), value)}, state)
        for n, share in enumerate(shares):
            results.publish_record(model.with_suffix(".json"), "pat", Record("strong-accuracy", share, {"n": n}))
        return parcels.pack(folder, [path for path in folder.rglob("*") if path.is_file()])


def test_what_was_published_elsewhere_is_published_here_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "RESULTS", here := tmp_path / "here")
    first = published_elsewhere(tmp_path / "one", monkeypatch, 0.5, 0.1, 0.2)
    parcels.publish(first)
    assert {path.relative_to(here).as_posix(): path.read_bytes() for path in here.rglob("*") if path.is_file()} == first
    parcels.publish(first)
    parcels.publish(published_elsewhere(tmp_path / "other", monkeypatch, 0.25, 0.7, 0.8, 0.9))
    row = here / "digits" / "vgg16-w1" / "pat.json"
    assert load_tensors(row.with_suffix(".safetensors"))[0]["w"].tolist() == [0.5] * 3  # the first one stays
    assert json.loads((row.parent / "states" / "pat.json").read_text())["recipe"]["value"] == 0.5
    assert [entry["result"] for entry in json.loads(row.read_text())["records"]] == [0.1, 0.2, 0.9]


def test_of_a_model_whose_weights_are_not_here_weights_and_state_go_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, "RESULTS", here := tmp_path / "here")
    parcels.publish(published_elsewhere(tmp_path / "one", monkeypatch, 0.5))
    model = here / "digits" / "vgg16-w1" / "pat.safetensors"
    model.unlink()
    parcels.publish(published_elsewhere(tmp_path / "other", monkeypatch, 0.25))
    state = json.loads(pretrained.state_alone(model).read_text())
    assert state["sha256"] == load_tensors(model)[1]["sha256"]
    assert state["recipe"]["value"] == 0.25


def test_what_holds_no_records_is_refused(tmp_path: Path, results: Path) -> None:
    entry = json.dumps({"row": "pat", "records": [{"what": "accuracy", "result": 2, "config": {}}]}).encode()
    with pytest.raises(ValueError, match="no record of accuracy"):
        parcels.publish({"digits/vgg16-w1/pat.json": entry})
    assert not (results / "digits").exists()
