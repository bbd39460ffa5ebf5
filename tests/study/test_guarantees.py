"""The page on what is guaranteed: the lines that no other test holds, and that every line names the test that does."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import TINY
from torch import Tensor

import snslib as sns
from snslib.data import to_float
from snslib.study import measurements as measure
from snslib.study.networks import Networks

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "book" / "guarantees.md"
LAYERS = ["conv1", "conv8", "conv13"]


def test_every_line_of_the_page_names_the_tests_that_hold_it() -> None:
    lines = re.split(r"^- ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    assert len(lines) >= 10
    for line in lines:
        named = re.findall(r"(tests/\S+\.py)::(\w+)", line)
        assert named, line
        for file, test in named:
            assert re.search(rf"^def {test}\(", (PROJECT / file).read_text(), re.MULTILINE), (file, test)


@pytest.mark.slow
def test_the_same_settings_give_the_same_network_images_and_numbers(tmp_path: Path) -> None:
    def everything(folder: Path) -> tuple[dict[str, Tensor], Tensor, object]:
        networks = Networks(TINY, folder, lambda line: None)
        model = networks.model("sns_sen_adv")
        x, y = to_float(networks.test.images), networks.test.labels
        x_adv = sns.pgd(model, x, y, TINY.eps, TINY.step_size, 3)
        numbers = [measure.accuracy(networks, "sns_sen_adv").result, measure.sensitivity(networks, "vanilla").result]
        return model.state_dict(), x_adv, numbers

    (weights, images, numbers), (again, same_images, same_numbers) = map(everything, (tmp_path / "a", tmp_path / "b"))
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert torch.equal(images, same_images)
    assert numbers == same_numbers


@pytest.mark.slow
def test_batches_and_threads_change_results_by_rounding_alone(tmp_path: Path) -> None:
    networks = Networks(replace(TINY, vanilla_epochs=6, n_test=200), tmp_path, lambda line: None)
    model, eps = networks.model("vanilla"), TINY.eps
    x, y = to_float(networks.test.images), networks.test.labels
    fixed = sns.pgd(model, x, y, eps, eps / 10, 10)

    def measured(batch_size: int) -> tuple[Tensor, dict[str, Tensor], float]:
        parts = list(zip(x.split(batch_size), y.split(batch_size), fixed.split(batch_size), strict=True))
        with torch.no_grad():
            logits = torch.cat([model(images) for images, _, _ in parts])
        sigma = sns.neuron_sensitivity(model, [(images, x_adv) for images, _, x_adv in parts], LAYERS)
        attacked = torch.cat([sns.pgd(model, images, labels, eps, eps / 10, 10) for images, labels, _ in parts])
        with torch.no_grad():
            return logits, sigma, (model(attacked).argmax(1) == y).double().mean().item()

    logits, sigma, accuracy = measured(200)
    assert 0 < accuracy < 0.5  # there is something to lose, and it is attacked
    threads = torch.get_num_threads()
    try:
        for number, batch_size in ((1, 200), (2, 7), (1, 1)):
            torch.set_num_threads(number)
            other, other_sigma, other_accuracy = measured(batch_size)
            assert (other - logits).abs().max() <= 1e-5 * logits.abs().max()
            assert all((other_sigma[layer] - sigma[layer]).abs().max() <= 1e-5 * sigma[layer].max() for layer in LAYERS)
            assert abs(other_accuracy - accuracy) <= 0.01
    finally:
        torch.set_num_threads(threads)
