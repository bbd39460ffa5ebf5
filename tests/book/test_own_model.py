"""Table and findings of the chapter on a model of one's own, from a profile made up by hand."""

import re
from pathlib import Path

import pytest
import torch
from chapters import NOTEBOOKS, read
from markdown import table_rows
from torch import nn
from torchvision import models

from snslib.book import findings, tables
from snslib.files import write_json
from snslib.profile import options
from snslib.profile.layers import Layer
from snslib.profile.models import load_model
from snslib.profile.report import Profile


def profile(**sigma: list[float]) -> Profile:
    """Layers of neurons that have a clean output of 2 each, one in ten of them sensitive, at least one."""
    values = {name: torch.tensor(numbers) for name, numbers in sigma.items()}
    return Profile(
        title="made up",
        layers={name: Layer("Conv2d, ReLU", (len(numbers), 3, 4), 1) for name, numbers in sigma.items()},
        sigma=values,
        activation={name: torch.full_like(numbers, 2.0) for name, numbers in values.items()},
        omega={
            name: numbers.argsort(descending=True)[: max(1, len(numbers) // 10)] for name, numbers in values.items()
        },
        clean=0.9625,
        attacked=0.25,
        masked_layer="",
        masks={},
        about={"eps": 8 / 255, "n": 1400},
    )


def found(profiled: Profile) -> list[str]:
    return findings.profiled_model(profiled).data.splitlines()


def test_a_layer_has_its_mean_and_its_relative_sensitivity() -> None:
    table = tables.profiled_layers(profile(first=[1.0, 3.0], second=[0.0, 0.0, 0.5])).data
    assert "Accuracy: 96.25% clean, 25.00% under PGD." in table
    assert "| `first` | Conv2d, ReLU | 2×3×4 | 2 | 2 | 1.00 | 1 |" in table
    assert "| `second` | Conv2d, ReLU | 3×3×4 | 3 | 0.167 | 0.08 | 2 |" in table


def test_the_three_most_sensitive_neurons_stand_for_more() -> None:
    rising = torch.arange(40.0).tolist()
    assert "| 39, 38, 37 … |" in tables.profiled_layers(profile(wide=rising)).data
    assert "| 29, 28, 27 |" in tables.profiled_layers(profile(wide=rising[:30])).data


def test_the_layers_that_are_moved_least_and_most_are_named() -> None:
    attack, relative, uneven, still = found(profile(low=[0.5, 0.5], high=[1.5, 2.5], mid=[0.0, 0.0, 3.0]))
    assert attack == "- PGD with eps 8/255 takes the accuracy from 96.25% to 25.00%, on 1,400 images."
    assert relative == "- Relative to its clean output, `low` is moved the least (0.25) and `high` the most (1.00)."
    assert uneven == "- Neurons are the least alike in `mid`: its 1 sensitive ones of 3 hold 100% of its sensitivity."
    assert still == "- 2 of 7 neurons never changed."


def test_a_wide_layer_is_uneven_by_what_its_neurons_would_hold_if_alike() -> None:
    # 1 of 2 neurons holds 75%, 1.5 times as much as if they were alike; 1 of 10 holds 25%, 2.5 times as much
    line = found(profile(narrow=[1.0, 3.0], wide=[1.0] * 9 + [3.0]))[2]
    assert line == "- Neurons are the least alike in `wide`: its 1 sensitive ones of 10 hold 25% of its sensitivity."


def test_an_inactive_layer_is_left_out() -> None:
    profiled = profile(still=[0.0, 0.0], moved=[1.0, 1.0])
    profiled.activation["still"].zero_()
    _, relative, uneven, still = found(profiled)
    assert relative == "- Relative to its clean output, `moved` is moved by 0.50."
    assert uneven == "- Neurons are compared in `moved`: its 1 sensitive ones of 2 hold 50% of its sensitivity."
    assert still == "- 2 of 4 neurons never changed."


def test_where_nothing_changes_nothing_is_said_of_how_alike_neurons_are() -> None:
    lines = found(profile(first=[0.0, 0.0]))
    assert len(lines) == 3
    assert lines[-1] == "- 2 of 2 neurons never changed."


def test_the_commands_of_the_papers_pictures_name_what_there_is() -> None:
    (cell,) = (cell for cell in read(NOTEBOOKS[7]).cells if "sec-paper-pictures" in cell.source)
    vgg16, alexnet = (dict(re.findall(r"-p (\w+) (\S+)", block)) for block in cell.source.split("```")[1::2])
    assert (vgg16["network"], options.from_parameters(vgg16)["layers"]) == ("torchvision:vgg16", ["features.30"])
    with torch.device("meta"):  # without their weights
        pools = [models.vgg16().features[30], models.vgg16_bn().features[43]]
    assert options.from_parameters(alexnet)["n_images"] == 1000
    pools.append(load_model(alexnet["network"]).get_submodule(alexnet["layers"]))
    assert {type(pool) for pool in pools} == {nn.MaxPool2d}


def test_the_networks_that_were_tried_are_those_of_the_record(results: Path) -> None:
    assert tables.models_tried().data == "*Not run yet.*"
    measured = {"outcome": "measured", "image_size": 64, "layers": 26, "neurons": 3944, "seconds": 2.7}
    models = {"torchvision:squeezenet1_1": measured, "timm:none": {"outcome": "ended with status 1: <b>"}}
    versions = {"versions": {"torch": "2.15"}}
    entry = {"images": 4, "models": {name: found | versions for name, found in models.items()}}
    write_json(results / "models_tried.json", entry)
    shown = table_rows(tables.models_tried())
    assert shown[1] == ["`torchvision:squeezenet1_1`", "64", "26", "3,944", "3", "measured"]
    assert shown[2][1:5] == [""] * 4
    assert "<b>" not in shown[2][5]
    assert "4 random images" in tables.models_tried().data
    assert "torch 2.15" in tables.models_tried().data


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"images": 4, "models": {}}', '{"images": 4, "models": {"a": 1}}'])
def test_a_damaged_record_of_networks_that_were_tried_is_named(results: Path, text: str) -> None:
    results.mkdir(exist_ok=True)
    (results / "models_tried.json").write_text(text)
    assert "is damaged" in tables.models_tried().data
