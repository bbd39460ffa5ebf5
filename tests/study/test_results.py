"""What results/ holds is found by its configuration, is what was trained, and is never overwritten."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import TINY

import snslib
from snslib.evaluation import robustness
from snslib.evaluation.accuracy import accuracy
from snslib.files import load_tensors, save_tensors
from snslib.study import measurements as measure
from snslib.study import reproduce as reproduction
from snslib.study import results as published
from snslib.study import rows
from snslib.study.bits import from_hex
from snslib.study.defenses import DEFENSES
from snslib.study.networks import Networks
from snslib.study.records import Record
from snslib.study.reproduce import reproduce
from snslib.study.rows import ROWS
from snslib.training import pretrained

pytestmark = pytest.mark.slow

FOLDER = "digits/vgg16-w0.0625"
SOME = ["vanilla", "pat", "sns_sen_adv", "control_adv_online"]
SKETCH = "fig3b_fc"
SCRUTINY = ("pgd-accuracy", "targeted-pgd", "autoattack", "loss-surface", "variance")


def quick(monkeypatch: pytest.MonkeyPatch, results: Path) -> None:
    monkeypatch.setattr(pretrained, "RESULTS", results)
    monkeypatch.setattr(reproduction, "STRONG", {"steps": 2, "restarts": 2, "n": 10})
    monkeypatch.setattr(reproduction, "N_ROBUSTNESS", 4)
    monkeypatch.setattr(reproduction, "N_FIG_3B", 5)
    monkeypatch.setattr(reproduction, "N_SUPPRESSION", 5)
    all_right = torch.ones(4, dtype=torch.bool)
    monkeypatch.setattr(robustness, "autoattack", lambda *arguments: all_right)  # which takes minutes


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with some rows; tests that change it take a copy."""
    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as monkeypatch:
        quick(monkeypatch, root / "results")
        reproduce(TINY, root / "cache", [*SOME, SKETCH], progress=lambda line: None)
    return root


@pytest.fixture
def results(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    quick(monkeypatch, made / "results")
    return made / "results"


def test_every_row_has_its_model_and_its_measurements(results: Path) -> None:
    assert {path.stem for path in (results / FOLDER).glob("*.safetensors")} == set(SOME)
    for what in ("accuracy", "accuracy-on-fixed"):
        assert set(published.records(FOLDER, what)) == {*SOME, SKETCH}
    assert set(published.records(FOLDER, "strong-accuracy")) == set(SOME)
    outcomes = published.records(FOLDER, "outcomes")
    assert {row: from_hex(entry.result["strong"], 10).mean() for row, entry in outcomes.items()} == {
        row: entry.result for row, entry in published.records(FOLDER, "strong-accuracy").items()
    }
    assert set(published.records(FOLDER, "sensitivity", split="test", under="pgd")) == set(SOME)
    for what in SCRUTINY:
        assert set(published.records(FOLDER, what)) == set(SOME)
    assert published.records(FOLDER, "autoattack")["vanilla"].config["n"] == 4
    assert set(published.records(FOLDER, "accuracy-by-statistics")) == set(SOME) - {"vanilla"}
    checked = published.records(FOLDER, "sanity-checks")
    assert {row: entry.config["source"]["defense"] for row, entry in checked.items()} == {
        row: "pat" if row == "vanilla" else "vanilla" for row in SOME
    }
    assert set(published.records(FOLDER, "sensitivity", split="train")) == {"vanilla"}
    assert set(published.records(FOLDER, "targeted-neurons")) == {"vanilla"}
    assert published.records(FOLDER, "suppression")["vanilla"].config["n"] == 5
    for under in ("step_ll", "mi_fgsm", "fgsm", "fog-1", "jpeg_compression-5"):
        assert set(published.records(FOLDER, "sensitivity", under=under)) == {"vanilla", "pat"}
    assert published.records(FOLDER, "strong-accuracy")["vanilla"].config["n"] == 10
    assert published.records("digits/vgg16-w1", "accuracy") == {}


def test_of_a_further_seed_only_what_shows_the_play_of_chance_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch, tmp_path / "results")
    reproduce(replace(TINY, seed=1), tmp_path / "cache", ["vanilla"], progress=lambda line: None)
    everything = json.loads((tmp_path / "results" / FOLDER / "vanilla-seed1.json").read_text())["records"]
    what = [entry["what"] for entry in everything]
    accuracies = ["accuracy", "accuracy-on-fixed", "strong-accuracy", "outcomes"]
    assert what == [*accuracies, "sensitivity", "variance", "sensitivity"]
    assert {entry["seed"] for entry in everything} == {1}
    assert published.by_seed(FOLDER, "accuracy") == {"vanilla": [Record.from_json(everything[0])]}


def test_a_question_that_several_records_answer_is_refused(results: Path) -> None:
    with pytest.raises(ValueError, match=r"pat\.json has several records of sensitivity that differ in .*under"):
        published.records(FOLDER, "sensitivity", split="test")


def test_a_row_is_trained_as_it_says(results: Path) -> None:
    trained = {row: entry.config["trained"] for row, entry in published.records(FOLDER, "accuracy").items()}
    control, letter = trained["control_adv_online"], trained["sns_sen_adv"]
    assert (control["sns"]["lam"], control["sns"]["pairs"], control["schedule"]["first_layer"]) == (0.0, "step", None)
    assert control["schedule"]["lr"] == TINY.pat_lr
    assert (letter["sns"]["lam"], letter["sns"]["pairs"], letter["schedule"]["first_layer"]) == (5.0, "fixed", "conv8")
    assert (trained[SKETCH]["sns"]["layers"], trained[SKETCH]["schedule"]["first_layer"]) == (["fc"], "fc")
    assert published.records(FOLDER, "accuracy")[SKETCH].config["n"] == 5
    assert control["vanilla"] == letter["vanilla"] == trained["vanilla"]


def test_what_is_published_is_found_without_training(results: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    networks = Networks(TINY, tmp_path, lines.append)
    assert measure.accuracy(networks, "sns_sen_adv") == published.records(FOLDER, "accuracy")["sns_sen_adv"]
    model = networks.model("sns_sen_adv")
    assert lines == []
    assert list(tmp_path.iterdir()) == []
    share = published.records(FOLDER, "accuracy")["sns_sen_adv"].result["clean"]
    assert accuracy(model, networks.test) == share  # measured on the model as it is published
    loaded = snslib.load_pretrained(f"{FOLDER}/sns_sen_adv")
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), model.parameters(), strict=True))
    assert not loaded.training


def test_another_configuration_is_not_found(results: Path, tmp_path: Path) -> None:
    for changes in ({"seed": 1}, {"vanilla_epochs": 3}, {"width": 0.125}):
        other = Networks(replace(TINY, **changes), tmp_path)
        assert other.model_path("vanilla").is_relative_to(tmp_path)


def test_code_version_and_copy_of_the_data_make_no_difference() -> None:
    recipe: dict[str, Any] = {"code": "1", "torch": "2", "data": {"name": "x", "crc32": [1]}, "vanilla": {"code": "3"}}
    other = {"code": "4", "torch": "5", "data": {"name": "x", "crc32": [6]}, "vanilla": {"code": "7"}}
    assert published.configuration(recipe) == published.configuration(other) == {"data": {"name": "x"}, "vanilla": {}}
    assert published.configuration({**recipe, "lam": [{"code": 1, "a": 2}]})["lam"] == [{"a": 2}]


def test_a_second_run_changes_nothing(results: Path, made: Path) -> None:
    before = {path: path.read_bytes() for path in (results / FOLDER).iterdir()}
    lines: list[str] = []
    reproduce(TINY, made / "another cache", SOME, progress=lines.append)
    assert {path: path.read_bytes() for path in (results / FOLDER).iterdir()} == before
    assert all(line.startswith("row ") for line in lines)


def test_rows_attack_each_other_when_all_are_there(results: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert published.records(FOLDER, "transfer-matrix") == {}
    monkeypatch.setattr(reproduction, "TABLE", {name: ROWS[name] for name in SOME})
    reproduce(TINY, made / "cache", ["vanilla"], progress=lambda line: None)
    matrix = published.records(FOLDER, "transfer-matrix")["transfer"].result
    assert set(matrix) == set(matrix["vanilla"]) == set(SOME)
    (results / FOLDER / "transfer.json").unlink()


def test_a_run_out_of_time_begins_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch, tmp_path / "results")
    lines: list[str] = []
    reproduce(TINY, tmp_path / "cache", ["vanilla"], hours=0.0, progress=lines.append)
    assert "goes on from here" in lines[-1]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]  # the folders have been tried


def test_another_configuration_under_the_same_name_is_refused(results: Path, made: Path) -> None:
    before = (results / FOLDER / "vanilla.safetensors").read_bytes()
    with pytest.raises(ValueError, match=r"^rows: .*vanilla\.safetensors is published with another configuration"):
        reproduce(replace(TINY, vanilla_epochs=1), made / "cache", ["vanilla"], progress=lambda line: None)
    assert (results / FOLDER / "vanilla.safetensors").read_bytes() == before


def test_rows_of_other_images_are_refused_before_anything_is_trained(results: Path, made: Path, tmp_path: Path) -> None:
    path = results / "digits" / "data.json"
    whole = path.read_text()
    assert json.loads(whole)["test"]["images"] == [400, 3, 32, 32]
    path.write_text(whole.replace("400", "401"))
    with pytest.raises(ValueError, match=r"^dataset: digits is not .*\(400, 3, 32, 32\), not \(401, 3, 32, 32\)"):
        reproduce(TINY, tmp_path, ["vanilla"], progress=lambda line: None)
    assert list(tmp_path.iterdir()) == []
    assert Networks(TINY, tmp_path).model_path("vanilla").is_relative_to(tmp_path)
    path.write_text(whole)
    assert Networks(TINY, tmp_path).model_path("vanilla") == results / FOLDER / "vanilla.safetensors"


def test_the_rows_of_a_folder_of_images_are_kept_apart_from_those_of_a_set_of_its_name() -> None:
    assert rows.folder_of(TINY) == FOLDER
    assert rows.folder_of(replace(TINY, dataset="folder:/data/digits")) == f"folder:{FOLDER}"


def test_a_flipped_bit_of_a_published_model_is_noticed_where_it_is_used(results: Path, tmp_path: Path) -> None:
    path = results / FOLDER / "vanilla.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    networks = Networks(TINY, tmp_path)
    try:
        for read in (networks.model, networks.history):
            with pytest.raises(ValueError, match=rf"{path} is damaged .*git checkout"):
                read("vanilla")
        with pytest.raises(ValueError, match=rf"^name: {path} is damaged"):
            snslib.load_pretrained(f"{FOLDER}/vanilla")
        networks.model("pat")  # which is whole
    finally:
        path.write_bytes(whole)


def test_another_model_under_a_name_is_not_taken_for_that_of_the_name(results: Path, tmp_path: Path) -> None:
    path = results / FOLDER / "off.safetensors"
    path.write_bytes((results / FOLDER / "pat.safetensors").read_bytes())
    with pytest.raises(ValueError, match=rf"^name: {path} holds another model, {FOLDER}/pat; git checkout"):
        snslib.load_pretrained(f"{FOLDER}/off")
    assert Networks(TINY, tmp_path).model_path("pat") in (path, path.with_name("pat.safetensors"))
    path.unlink()


@pytest.mark.parametrize(
    ("options", "name"),
    [
        *(({"rows": [row]}, "rows") for row in ("..", "../pat", "..\\..\\pat", "/pat", "pat\0", "", 3)),
        *(({"rows": rows}, "rows") for rows in ("pat", [], ())),
        *(({"hours": hours}, "hours") for hours in (-1, float("nan"))),
    ],
)
def test_rows_and_hours_out_of_range_are_refused_before_anything_is_written(
    options: dict[str, Any], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, "RESULTS", tmp_path / "results")
    with pytest.raises(ValueError, match=rf"\A{name}: expected [^\n]*\Z"):
        reproduce(TINY, tmp_path / "cache", **options)
    assert not list(tmp_path.iterdir())


def test_an_unknown_row_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^rows: .*'pta'"):
        reproduce(TINY, tmp_path, ["pta"])


def test_names_that_are_not_there_and_damaged_files_are_told(results: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^name: no model 'digits/pat'.*digits/vgg16-w0\.0625/vanilla"):
        snslib.load_pretrained("digits/pat")
    tensors, state = load_tensors(results / FOLDER / "vanilla.safetensors")
    changed = copy.deepcopy(tensors)
    changed["fc.bias"][0] += 1
    save_tensors(results / FOLDER / "changed.safetensors", changed, state)
    with pytest.raises(ValueError, match=r"^name: .*changed\.safetensors is damaged"):
        snslib.load_pretrained(f"{FOLDER}/changed")
    (results / FOLDER / "changed.safetensors").unlink()
    with pytest.raises(FileExistsError, match="not overwritten"):
        published.publish_model(results / FOLDER / "vanilla.safetensors", tensors, state)


def test_the_rows_of_the_layers_of_vgg16_are_not_for_alexnet(tmp_path: Path) -> None:
    assert set(ROWS) - set(rows.rows_for("alexnet")) == set(rows.FIG_3B)
    assert set(ROWS) - set(rows.rows_for("resnet18")) == {*rows.FIG_3B, *rows.SWITCHED_OFF}
    with pytest.raises(ValueError, match=r"^rows: .*'fig3b_conv11'"):
        reproduce(replace(TINY, model="alexnet", first_layer="conv3"), tmp_path, ["fig3b_conv11"])


@pytest.mark.parametrize(
    ("there", "name", "recorded"),
    [
        ([], "cifar10", "cifar10"),
        (["cifar10/vgg16-w0.25"], "cifar10", "cifar10-small"),
        (["cifar10/vgg16-w0.25"], "cifar10-small", "cifar10-small"),
        (["cifar10/vgg16-w0.25", "cifar10/vgg16-w1"], "cifar10", "cifar10"),
        (["cifar10/vgg16-w0.25", "cifar10/vgg16-w1 without pat"], "cifar10", "cifar10-small"),
        (["cifar10/vgg16-w0.25"], "tiny-imagenet", "tiny-imagenet"),
        (["cifar10/vgg16-w0.25"], "digits", "digits"),
        (["cifar10/vgg16-w0.25"], "cifar11", "cifar11"),
    ],
)
def test_a_profile_without_networks_gives_way_to_its_small_one(
    there: list[str], name: str, recorded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, "RESULTS", tmp_path)
    for folder, _, lacks in (place.partition(" without ") for place in there):
        (tmp_path / folder).mkdir(parents=True)
        for row in ("vanilla", "pat"):
            (tmp_path / folder / f"{row}.json").write_text("{}")
        for row in {"vanilla", "pat"} - {lacks}:
            (tmp_path / folder / f"{row}.safetensors").touch()
    assert rows.recorded_profile(name) == recorded


def test_recorded_rows_are_attacked_as_they_were_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "RESULTS", tmp_path)
    assert reproduction.strong_attack(TINY) == reproduction.STRONG_LIVE
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / "vanilla.json").write_text("{}")
    assert reproduction.strong_attack(TINY) == reproduction.STRONG


def test_rows_are_named_after_known_defenses() -> None:
    assert all(row.defense in DEFENSES for row in ROWS.values())
    assert len({row.label for row in ROWS.values()}) == len(ROWS)
