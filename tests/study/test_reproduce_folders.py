"""Rows of a folder of images: they go on where they were stopped; what would fail at the end is refused at once."""

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pictures import write_folder
from tiny import TINY

from snslib.evaluation import robustness
from snslib.files import checksum, load_tensors
from snslib.study import measurements as measure
from snslib.study import networks as networks_module
from snslib.study import reproduce as reproduction
from snslib.study.networks import Networks
from snslib.study.reproduce import reproduce
from snslib.study.settings import Settings
from snslib.training.datasets import load_dataset

pytestmark = [
    pytest.mark.trains,
    pytest.mark.skipif(importlib.util.find_spec("pyautoattack") is None, reason="pyautoattack is not installed"),
]


def base(folder: Path, **changes: Any) -> Settings:
    small = replace(TINY, width=1 / 32, batch_size=8, n_pairs=8, n_test=4, vanilla_epochs=3, eps=8 / 255)
    return replace(small, dataset=f"folder:{folder}", **changes)


@pytest.fixture
def few_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first and the last of what a row is measured by; of the last, which takes long, all but the attacks."""

    def measurements(of_row: Networks, name: str) -> list[Callable[[], Any]]:
        defense = reproduction.ROWS[name].defense
        return [lambda: measure.accuracy(of_row, defense), lambda: measure.autoattack(of_row, defense, 4)]

    monkeypatch.setattr(reproduction, "_measurements", measurements)
    monkeypatch.setattr(robustness, "autoattack", lambda model, split, *_: torch.ones(len(split), dtype=torch.bool))


@pytest.fixture
def nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks_module, "train", lambda *_, **__: pytest.fail("something is trained"))


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_rows_of_few_classes_come_to_an_end_and_nothing_is_done_twice(
    classes: int, few_measurements: None, tmp_path: Path, results: Path
) -> None:
    settings, cache = base(write_folder(tmp_path / "photos", classes)), tmp_path / "cache"
    lines: list[str] = []
    reproduce(settings, cache, ["vanilla"], progress=lines.append)
    of_network = results / "folder:photos" / "vgg16-w0.03125"
    first = {path.name: path.read_bytes() for path in of_network.iterdir()}
    assert sorted(first) == ["vanilla.json", "vanilla.safetensors"]
    [auto] = [one for one in json.loads(first["vanilla.json"])["records"] if one["what"] == "autoattack"]
    tried = {2: ["apgd-ce", "fab-t", "square"], 3: ["apgd-ce", "apgd-dlr", "fab-t", "square"]}
    assert auto["config"].get("attacks") == tried.get(classes)  # no key where it is the standard version
    lines.clear()
    reproduce(settings, cache, ["vanilla"], progress=lines.append)
    assert lines == ["row 1 of 1: vanilla; 0.0 h so far"]
    assert {path.name: path.read_bytes() for path in of_network.iterdir()} == first


def test_it_goes_on_from_wherever_it_was_stopped(few_measurements: None, tmp_path: Path, results: Path) -> None:
    """Stopped at every line in turn, it prints each epoch and each measurement once, and ends in the same model."""
    settings, rows = base(write_folder(tmp_path / "photos", 2)), ["vanilla", "sns_sen_cls"]
    of_network = results / "folder:photos" / "vgg16-w0.03125"

    def weights() -> list[str]:
        return [checksum(load_tensors(of_network / f"{row}.safetensors")[0]) for row in rows]

    whole: list[str] = []
    reproduce(settings, tmp_path / "cache", rows, progress=whole.append)
    expected = weights()
    shutil.rmtree(of_network.parent)
    stopped: list[str] = []

    def stop_once(line: str) -> None:
        if line.startswith(("training", "epoch", "AutoAttack", "making")) and "continuing" not in line:
            text = line.partition(";")[0]  # without the seconds
            if text not in stopped:
                stopped.append(text)
                raise KeyboardInterrupt

    while True:
        try:
            reproduce(settings, tmp_path / "again", rows, progress=stop_once)
            break
        except KeyboardInterrupt:
            continue
    assert stopped == [line.partition(";")[0] for line in whole if line.partition(";")[0] in stopped]  # in that order
    assert [line.partition(" ")[0] for line in stopped] == [
        *("training", "epoch", "epoch", "epoch", "AutoAttack"),
        *("making", "training", "epoch", "AutoAttack"),
    ]
    assert weights() == expected


def test_after_its_hours_the_next_one_goes_on(few_measurements: None, tmp_path: Path, results: Path) -> None:
    settings = base(write_folder(tmp_path / "photos", 2), vanilla_epochs=1)
    lines: list[str] = []
    reproduce(settings, tmp_path / "cache", ["vanilla"], hours=0, progress=lines.append)
    assert lines[-1] == "stopped after 0 h; the same command goes on from here"
    reproduce(settings, tmp_path / "cache", ["vanilla"], progress=lines.append)
    assert (results / "folder:photos/vgg16-w0.03125/vanilla.json").exists()


@pytest.mark.parametrize(
    ("folder", "changes", "told"),
    [
        ({"classes": 1}, {}, "^dataset: folder:photos has but one class, class0;"),
        ({"classes": 2, "train": 1}, {}, "^dataset: 1 training image that is not of class. is too few for vanilla"),
        ({"classes": 2, "test": 1}, {}, "^n_test: 2 test images are too few for vanilla: .* take 4 or more"),
        ({"classes": 2}, {"n_test": 3}, "^n_test: 3 test images are too few for vanilla: .* take 4 or more"),
        (
            {"classes": 2},
            {"model": "alexnet", "first_layer": "conv3"},
            "^n_test: 4 test images are too few .* take 13 ",
        ),
    ],
)
def test_what_the_last_measurements_would_refuse_is_refused_at_once(
    folder: dict[str, Any],
    changes: dict[str, Any],
    told: str,
    nothing_is_trained: None,
    tmp_path: Path,
    results: Path,
) -> None:
    settings = base(write_folder(tmp_path / "photos", **folder), **changes)
    with pytest.raises(ValueError, match=told):
        reproduce(settings, tmp_path / "cache", ["vanilla"], progress=lambda line: None)
    assert not (results / "folder:photos").exists()


@pytest.mark.parametrize("model", ["vgg16", "alexnet"])
def test_regions_take_as_many_images_as_is_said_and_no_fewer(
    model: str, tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measurement itself draws the line there."""
    folder = write_folder(tmp_path / "photos", 2, test=8)
    first = "conv8" if model == "vgg16" else "conv3"
    settings = base(folder, model=model, first_layer=first, width=1 / 8, vanilla_epochs=1)
    networks = Networks(settings, tmp_path / "cache", lambda line: None)
    least = 4 if model == "vgg16" else 13
    assert measure.regions(networks.with_settings(n_test=least), networks.region_layer).result
    with pytest.raises(ValueError, match="top: a share of"):
        measure.regions(networks.with_settings(n_test=least - 1), networks.region_layer)


def test_without_its_package_nothing_is_trained_for_autoattack(
    nothing_is_trained: None, tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    with pytest.raises(ImportError, match="pip install"):
        reproduce(base(write_folder(tmp_path / "photos", 2)), tmp_path, ["vanilla"], progress=lambda line: None)


def test_a_row_that_is_published_otherwise_is_told_before_its_training(
    few_measurements: None, tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = base(write_folder(tmp_path / "photos", 2), vanilla_epochs=1)
    reproduce(settings, tmp_path / "cache", ["vanilla"], progress=lambda line: None)
    monkeypatch.setattr(networks_module, "train", lambda *_, **__: pytest.fail("something is trained"))
    with pytest.raises(ValueError, match=r"^rows: \S+vanilla.safetensors is published with another configuration"):
        reproduce(
            replace(settings, vanilla_epochs=2), tmp_path / "cache", ["pat", "vanilla"], progress=lambda line: None
        )


def test_another_folder_of_that_name_is_told_before_its_training(
    few_measurements: None, tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = base(write_folder(tmp_path / "photos", 2), vanilla_epochs=1)
    reproduce(settings, tmp_path / "cache", ["vanilla"], progress=lambda line: None)
    monkeypatch.setattr(networks_module, "train", lambda *_, **__: pytest.fail("something is trained"))
    other = replace(settings, dataset=f"folder:{write_folder(tmp_path / 'other' / 'photos', 3)}")
    with pytest.raises(ValueError, match=r"^dataset: folder:photos is not that of .* give your folder another name"):
        reproduce(other, tmp_path / "cache", ["vanilla"], progress=lambda line: None)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA"])
def test_images_of_one_channel_or_four_are_images_of_three(mode: str, tmp_path: Path) -> None:
    data = load_dataset(f"folder:{write_folder(tmp_path / 'photos', 2, mode=mode)}")
    assert data.train.images.shape == (12, 3, 32, 32)


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "images"), [(2, 2), (3, 1)])
def test_all_that_is_measured_can_be_measured_on_the_fewest_images(
    classes: int, images: int, tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the attacks of AutoAttack, which tests/evaluation has on two and three classes."""
    monkeypatch.setattr(robustness, "autoattack", lambda model, split, *_: torch.ones(len(split), dtype=torch.bool))
    monkeypatch.setattr(reproduction, "STRONG", {"steps": 2, "restarts": 1, "n": 4})
    folder = write_folder(tmp_path / "photos", classes, train=images, test=2)
    settings = base(folder, batch_size=2, n_pairs=2, vanilla_epochs=1)
    lines: list[str] = []
    reproduce(settings, tmp_path / "cache", ["vanilla", "sns_sen_adv_online"], progress=lines.append)
    whole = results / "folder:photos" / "vgg16-w0.03125"
    assert {path.stem for path in whole.glob("*.json")} == {"vanilla", "sns_sen_adv_online"}
