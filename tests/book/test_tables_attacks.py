"""Tables of the chapter on attacks (snslib/book/tables/attacks.py)."""

from dataclasses import replace

import pytest
import torch
from markdown import table_rows
from tiny import TINY
from torch import nn

import snslib as sns
from snslib.book import tables
from snslib.data import Dataset, Split
from snslib.evaluation.misreadings import Misreadings
from snslib.study.records import Record


@pytest.fixture
def data() -> Dataset:
    images, labels = torch.zeros(1200, 3, 32, 32, dtype=torch.uint8), torch.arange(1200) % 10
    train, validation, test = (Split(images[:n], labels[:n]) for n in (1200, 20, 30))
    return Dataset("dots", tuple("abcdefghij"), train, validation, test, 0, False, "made up", None)


def test_the_splits_of_a_data_set_are_counted(data: Dataset) -> None:
    table = tables.data_set(data, measured=25)
    assert table_rows(table)[1] == ["dots", "10", "32×32", "1,200", "20", "30", "25"]
    assert "Number of images: made up." in table.data


def test_neighbouring_layers_of_the_same_shape_share_a_row(data: Dataset) -> None:
    model = nn.Linear(3, 4)  # whose parameters are counted: 12 weights and 4 biases
    shapes = {"conv1": (1, 4, 32, 32), "conv2": (1, 4, 32, 32), "conv3": (1, 8, 16, 16), "fc": (1, 10)}
    table = tables.layer_shapes(model, {name: torch.zeros(shape) for name, shape in shapes.items()}, TINY, data)
    assert table_rows(table)[1:] == [
        ["conv1 to conv2", "4", "64", "32×32"],
        ["conv3", "8", "128", "16×16"],
        ["fc", "10", "10", "one number"],
    ]
    assert "VGG-16 at width 0.0625: 16 parameters" in table.data


def test_the_widths_beside_a_layer_are_those_of_the_published_network(data: Dataset) -> None:
    run = replace(TINY, model="alexnet", first_layer="conv1")
    model = sns.build_model("alexnet", 10, run.width, 32).eval()
    with sns.record(model, [*run.conv_layers, "fc"]) as outputs, torch.no_grad():
        model(torch.zeros(1, 3, 32, 32))
    shown = table_rows(tables.layer_shapes(model, outputs, run, data))[1:]
    assert [row[2] for row in shown] == ["64", "192", "384", "256", "10"]
    assert [row[0] for row in shown] == ["conv1", "conv2", "conv3", "conv4 to conv5", "fc"]


def test_the_step_of_an_attack_is_eps_where_it_takes_one_alone() -> None:
    found = Misreadings(100, 16 / 255, 0.75, 0.125)
    attacks = ("Step-LL", "MI-FGSM", "PGD", "FGSM")
    run = replace(TINY, eps=16 / 255, step_size=2 / 255, steps=10)
    table = tables.attacks_at_work(dict.fromkeys(attacks, found), run)
    numbers = ["16/255", "75%", "12%"]
    assert table_rows(table)[1:] == [
        ["Step-LL", "targeted", "1", "16/255", *numbers],
        ["MI-FGSM", "targeted", "10", "2/255", *numbers],
        ["PGD", "untargeted", "10", "2/255", *numbers],
        ["FGSM", "untargeted", "1", "16/255", *numbers],
    ]
    assert "on the first 100 test images" in table.data


def test_the_vanilla_row_of_table_1_stands_under_ours() -> None:
    result = {"clean": 0.875, "step_ll": 0.5, "mi_fgsm": 0.25, "pgd": 0.125, "fgsm": 0.0}
    record = Record("accuracy", result, {"attack": {"eps": 32 / 255}}, data={"name": "digits"})
    assert table_rows(tables.vanilla_beside_paper(record))[1:] == [
        ["here: digits, eps 32/255", "87.50%", "50.00%", "25.00%", "12.50%", "0.00%"],
        ["paper: CIFAR-10, eps 8/255", "89.19%", "7.99%", "3.10%", "0.00%", "4.88%"],  # as printed
    ]
