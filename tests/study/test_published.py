"""What is published is found for its own data alone; what is damaged is named and hides nothing else."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from recorded import publish
from test_fingerprint import data_set

from snslib.data import Split
from snslib.study import results as published
from snslib.study.records import Record
from snslib.training import pretrained

DATA = data_set()
RECIPE = {
    "defense": "pat",
    "data": {"name": "cifar10", "crc32": [1]},
    "width": 1.0,
    "schedule": {"epochs": 8, "layers": ("a", "b")},
}
INPUTS = {"trained": RECIPE, "n": 10, "code": "1"}
WEIGHTS = {"weight": torch.arange(4.0), "bn.running_mean": torch.ones(2)}
FOLDER = "cifar10/net-w1"


@pytest.fixture
def rows(results: Path) -> Path:
    """Three rows of a data set, each a model and an accuracy; that of "pat" is the one that is asked for."""
    published.publish_data(DATA)
    for i, row in enumerate(("alp", "pat", "vanilla")):
        recipe = RECIPE | {"defense": row}
        state = {"recipe": recipe, "history": [], "classes": DATA.classes, "image_size": 32}
        published.publish_model(results / FOLDER / f"{row}.safetensors", WEIGHTS, state)
        publish(row, "accuracy", {"clean": i / 10}, FOLDER, trained=recipe, n=10)
        publish(row, "strong-accuracy", i / 20, FOLDER, trained=recipe, n=10)
    return results / FOLDER


def accuracy(data: Any = DATA) -> Any:
    found = published.find_record(data, "accuracy", INPUTS)
    return found and found.result


# --- whose numbers they are ---


def test_what_is_published_is_found_for_its_data(rows: Path) -> None:
    assert accuracy() == {"clean": 0.1}
    assert published.find_model(DATA, RECIPE) == rows / "pat.safetensors"
    assert published.why_not_found(DATA, "accuracy", INPUTS) == published.why_not_found(DATA, "model", RECIPE) == ""


def test_a_copy_with_a_few_other_images_finds_it_too(rows: Path) -> None:
    images = DATA.test.images.clone()
    images[::50] = 0
    copy = replace(DATA, test=Split(images, DATA.test.labels), origin="decoded elsewhere", official=True)
    assert accuracy(copy) == {"clean": 0.1}
    assert published.find_model(copy, RECIPE) == rows / "pat.safetensors"


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (replace(DATA, name="folder:cifar10"), "nothing is published of folder:cifar10"),
        (data_set(seed=7), "cifar10 is not that of .*: 100 of the 100 train images that are compared"),
        (replace(DATA, train=DATA.train.take(300)), r"its train images are \(300, 3, 32, 32\), not \(360, 3, 32, 32\)"),
    ],
)
def test_other_images_do_not_find_it_whatever_they_are_called(rows: Path, other: Any, why: str) -> None:
    assert accuracy(other) is None
    assert published.find_model(other, RECIPE) is None
    for what, question in (("accuracy", INPUTS), ("model", RECIPE)):
        assert re.search(why, published.why_not_found(other, what, question))


def test_rows_whose_data_nobody_wrote_down_are_not_found(rows: Path) -> None:
    (rows.parent / "data.json").unlink()
    assert accuracy() is None
    assert "there is no " in published.why_not_found(DATA, "accuracy", INPUTS)


def test_a_damaged_fingerprint_is_named(rows: Path) -> None:
    (rows.parent / "data.json").write_text("[]")
    with pytest.raises(ValueError, match=r"data\.json is damaged \(not a fingerprint .*git checkout"):
        accuracy()


def test_rows_of_other_images_are_not_mixed(rows: Path) -> None:
    before = (rows.parent / "data.json").read_bytes()
    published.publish_data(DATA)
    with pytest.raises(ValueError, match=r"^dataset: cifar10 is not that of .*another name"):
        published.publish_data(data_set(seed=7))
    assert (rows.parent / "data.json").read_bytes() == before


def test_a_file_under_another_name_is_found_all_the_same(rows: Path) -> None:
    (rows / "pat.safetensors").rename(rows / "renamed.safetensors")
    (rows / "pat.json").rename(rows / "moved.json")
    assert accuracy() == {"clean": 0.1}
    assert published.find_model(DATA, RECIPE) == rows / "renamed.safetensors"


def test_the_reason_names_what_differs_from_the_nearest(rows: Path) -> None:
    recipe = RECIPE | {"schedule": {"epochs": 9, "layers": ["a", "b"]}}
    assert published.find_model(DATA, recipe) is None
    assert published.why_not_found(DATA, "model", recipe) == (
        f"the nearest is of {FOLDER}/pat.safetensors, where schedule.epochs is 8 and not 9"
    )
    (rows / "pat.safetensors").unlink()
    sources = {"sources": [{"width": 1.0, "layers": ("a",)}]}
    publish("eat", "accuracy", {"clean": 0.5}, FOLDER, trained=RECIPE | sources, n=10)
    other = {"trained": RECIPE | {"sources": [{"layers": ["a"], "width": 0.5}]}, "n": 10}
    assert published.why_not_found(DATA, "accuracy", other).endswith(
        '{"layers": ["a"], "width": 1.0}] and not [{"layers": ["a"], "width": 0.5}]'
    )
    inputs = {"trained": RECIPE | {"lam": 1.0}, "n": 10}
    assert published.why_not_found(DATA, "accuracy", inputs) == (
        f"the nearest is of {FOLDER}/pat.json, where trained.lam is missing and not 1.0"
    )
    assert published.why_not_found(DATA, "variance", inputs) == "no variance of cifar10 is published"


# --- damage ---


def changed(entry: dict[str, Any], **changes: Any) -> str:
    """The row with its first record changed."""
    first, *others = entry["records"]
    return json.dumps({"row": entry["row"], "records": [first | changes, *others]})


OF_THE_FILE: dict[str, Callable[[str], str]] = {
    "half of it": lambda text: text[: len(text) // 2],
    "nothing": lambda text: "",
    "a list": lambda text: "[]",
    "an empty object": lambda text: "{}",
    "records that are none": lambda text: '{"row": "alp", "records": {}}',
    "NaN": lambda text: changed(json.loads(text), result={"clean": float("nan")}),
}
OF_A_RECORD: dict[str, Callable[[str], str]] = {
    "no result": lambda text: changed(json.loads(text), result={}),
    "too large": lambda text: changed(json.loads(text), result={"clean": 50.0}),
    "infinite": lambda text: changed(json.loads(text), result={"clean": 1}).replace('"clean": 1', '"clean": 1e999'),
    "a list": lambda text: changed(json.loads(text), config=[]),
    "nothing at all": lambda text: text.replace('"what"', '"that"', 1),
    "a number for a device": lambda text: changed(json.loads(text), device=3),
    "no commit": lambda text: changed(json.loads(text), commit=[]),
    "a text for a time": lambda text: changed(json.loads(text), seconds="long"),
    "a list of versions": lambda text: changed(json.loads(text), versions=["2.6"]),
}


@pytest.mark.parametrize("damage", OF_THE_FILE)
def test_a_damaged_row_is_named_and_hides_no_other(rows: Path, damage: str) -> None:
    path = rows / "alp.json"
    path.write_text(OF_THE_FILE[damage](path.read_text()))
    with pytest.warns(UserWarning, match=rf"left out: {path} is damaged \(.*git checkout"):
        assert accuracy() == {"clean": 0.1}
    assert set(published.records(FOLDER, "accuracy")) == {"pat", "vanilla"}


@pytest.mark.parametrize("damage", OF_A_RECORD)
def test_a_damaged_record_is_named_and_hides_no_other_of_its_row(rows: Path, damage: str) -> None:
    path = rows / "alp.json"
    path.write_text(OF_A_RECORD[damage](path.read_text()))
    with pytest.warns(UserWarning, match=rf"record 1 of {path} is left out: it is no record.*git checkout"):
        assert set(published.records(FOLDER, "accuracy")) == {"pat", "vanilla"}
    assert set(published.records(FOLDER, "strong-accuracy")) == {"alp", "pat", "vanilla"}


@pytest.mark.parametrize("damage", [*OF_THE_FILE, *OF_A_RECORD])
def test_a_damaged_row_is_not_written_to(rows: Path, damage: str) -> None:
    path = rows / "alp.json"
    path.write_text({**OF_THE_FILE, **OF_A_RECORD}[damage](path.read_text()))
    before = path.read_text()
    with pytest.raises(ValueError, match=rf"{path} is damaged"):
        published.publish_record(path, "alp", Record("targeted-pgd", 0.5, {"n": 1}))
    assert path.read_text() == before


def test_a_model_whose_state_is_damaged_is_named_and_hides_no_other(rows: Path) -> None:
    path = rows / "alp.safetensors"
    path.write_bytes(path.read_bytes().replace(b"epochs", b"epocks"))
    with pytest.warns(UserWarning, match=rf"left out: {path} is damaged"):
        assert published.find_model(DATA, RECIPE) == rows / "pat.safetensors"
    with pytest.raises(ValueError, match=rf"{path} is damaged"):
        published.state(f"{FOLDER}/alp")


def test_a_model_that_was_published_before_files_had_checksums_is_read_by_those_of_the_repository(
    results: Path,
) -> None:
    shown = Path(__file__).parents[2] / "results"
    name = "cifar10/resnet18-w0.25/pat.safetensors"
    shutil.copy(shown / name, results / "pat.safetensors")
    shutil.copy(shown / "checksums.json", results / "checksums.json")
    whole = (results / "pat.safetensors").read_bytes()
    assert pretrained.read(results / "pat.safetensors")[1]["recipe"]["defense"] == "pat"
    with pytest.raises(ValueError, match="its state has another checksum"):
        pretrained.read(results / "pat.safetensors", name="cifar10/resnet18-w0.25/vanilla")
    pretrained.read(results / "pat.safetensors", name="cifar10/resnet18-w0.25/pat")
    (results / "pat.safetensors").write_bytes(whole[:-1000] + bytes([whole[-1000] ^ 4]) + whole[-999:])
    with pytest.raises(ValueError, match="its tensors have another checksum"):
        pretrained.read(results / "pat.safetensors")
    (results / "pat.safetensors").write_bytes(whole.replace(b"bfloat16", b"bfloat18").replace(b"0.0005", b"0.0007"))
    for only_state in (True, False):
        with pytest.raises(ValueError, match="its state has another checksum"):
            pretrained.read(results / "pat.safetensors", only_state)


# --- weights that are too large to be kept ---


def test_at_the_whole_width_the_state_outlives_the_weights(rows: Path) -> None:
    before = published.state(f"{FOLDER}/pat")
    (rows / "pat.safetensors").unlink()
    assert published.state(f"{FOLDER}/pat") == before
    assert published.trained(FOLDER) == ["alp", "pat", "vanilla"]
    assert published.find_model(DATA, RECIPE) is None  # there is nothing to load


def test_at_a_part_of_the_width_the_state_is_in_the_file_of_the_weights_alone(results: Path) -> None:
    state = {"recipe": RECIPE | {"width": 0.25}, "history": [], "classes": DATA.classes, "image_size": 32}
    published.publish_model(results / FOLDER / "pat.safetensors", WEIGHTS, state)
    assert [path.name for path in (results / FOLDER).iterdir()] == ["pat.safetensors"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"recipe": {}}'])
def test_a_damaged_state_is_named(rows: Path, text: str) -> None:
    (rows / "pat.safetensors").unlink()
    (rows / "states" / "pat.json").write_text(text)
    with pytest.raises(ValueError, match=r"states.pat\.json is damaged .*git checkout brings it back"):
        published.state(f"{FOLDER}/pat")
