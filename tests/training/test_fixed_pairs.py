"""Training on what the frozen layers output equals training on the images."""

import gc
import os
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest
import torch
from torch import Tensor, nn

from snslib import disk
from snslib.attacks import pgd
from snslib.data import Dataset, Split, batches, to_float
from snslib.training import fixed_pairs
from snslib.training.datasets import load_dataset
from snslib.training.fixed_pairs import FrozenLayersCache
from snslib.training.loop import History, Schedule, train
from snslib.training.models import build_model
from snslib.training.objectives import SNS

SCHEDULE = Schedule(epochs=2, lr=0.01, batch_size=32, first_layer="conv8", seed=2)


@pytest.fixture
def data() -> Dataset:
    digits = load_dataset("digits")
    return replace(digits, train=digits.train.take(80))


def vgg() -> nn.Module:
    """A small model whose BatchNorm statistics are not the initial ones."""
    torch.manual_seed(0)
    model = build_model("vgg16", width=1 / 16)
    model(torch.rand(16, 3, 32, 32))
    return model.eval()


def attack(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return pgd(model, x, y, eps=0.1, step_size=0.05, steps=2)


def objective(model: nn.Module, data: Dataset) -> SNS:
    pairs = attack(model, to_float(data.train.images), data.train.labels)
    return SNS({"conv8": torch.tensor([0, 2]), "conv12": torch.tensor([1])}, 2.0, adversarial=True, pairs=pairs)


def trained(data: Dataset) -> tuple[nn.Module, History]:
    model = vgg()
    return model, train(model, data, objective(model, data), SCHEDULE, progress=lambda line: None)


def losses(history: History) -> list[float]:
    return [loss for entry in history for loss in entry["steps"]["loss"]]


def test_training_on_stored_outputs_equals_training_on_the_images(data: Dataset) -> None:
    """The loop written out over the whole model, its bottom in eval mode. Float64 from the images on, but for x, x'
    and what is stored, which are float32: in float32, differences in rounding would grow during the training."""
    whole = vgg()
    sns = objective(whole, data)
    assert sns.pairs is not None
    model = doubled(vgg())
    history = train(model, data, sns, SCHEDULE, progress=lambda line: None)

    doubled(whole)
    children = dict(whole.named_children())
    top = [children[name] for name in list(children)[list(children).index("conv8") :]]
    parameters = [parameter for layer in top for parameter in layer.parameters()]
    sgd = torch.optim.SGD(parameters, lr=SCHEDULE.lr, momentum=0.9, weight_decay=5e-4)
    rates = torch.optim.lr_scheduler.OneCycleLR(sgd, SCHEDULE.lr, total_steps=4, cycle_momentum=False)
    expected = []
    for epoch in (1, 2):
        whole.eval()
        for layer in top:
            layer.train()
        generator = torch.Generator().manual_seed(SCHEDULE.seed * 100_003 + epoch)
        for index, images, y in batches(data.train, 32, generator):
            loss, _ = sns(whole, to_float(images), sns.pairs[index], y)
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            rates.step()
            expected.append(loss.item())
    assert losses(history) == pytest.approx(expected, rel=1e-6)
    torch.testing.assert_close(model.state_dict(), whole.state_dict(), rtol=1e-4, atol=1e-6)


def doubled(model: nn.Module) -> nn.Module:
    for layer in model.double().children():
        layer.register_forward_pre_hook(lambda _, inputs: (inputs[0].double(),))
    return model


def test_stored_is_what_the_bottom_puts_out(data: Dataset) -> None:
    model = vgg()
    x_adv = torch.rand(80, 3, 32, 32)
    pairs = FrozenLayersCache(model, "conv8", data.train, x_adv)
    index = torch.tensor([7, 0, 79])
    layers = list(model.children())
    x = [to_float(data.train.images[index]), x_adv[index]]
    for layer in layers[: layers.index(model.conv8)]:
        x = [layer(one) for one in x]
    for stored, one in zip(pairs[index], x, strict=True):
        assert stored.dtype == torch.float32
        torch.testing.assert_close(stored, one)


def test_without_a_first_layer_the_images_are_used_as_they_are(data: Dataset) -> None:
    model, x_adv, index = vgg(), torch.rand(80, 3, 32, 32), torch.tensor([3, 1])
    pairs = FrozenLayersCache(model, None, data.train, x_adv)
    x, adversarial = pairs[index]
    assert torch.equal(x, to_float(data.train.images[index]))
    assert torch.equal(adversarial, x_adv[index])
    assert pairs.top is model
    assert not list(pairs.bottom.children())


def test_what_does_not_fit_in_memory_is_kept_in_float16_in_a_file(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fixed_pairs.tempfile, "tempdir", str(tmp_path))
    x_adv, index = torch.rand(80, 3, 32, 32), torch.arange(80)
    exact = FrozenLayersCache(vgg(), "conv8", data.train, x_adv)[index]
    in_memory = losses(trained(data)[1])
    monkeypatch.setattr(fixed_pairs, "IN_MEMORY", 1000)
    pairs = FrozenLayersCache(vgg(), "conv8", data.train, x_adv)
    assert pairs.stored is not None
    assert [part.dtype for part in pairs.stored] == [torch.float16, torch.float16]
    for stored, x in zip(pairs[index], exact, strict=True):
        assert stored.dtype == torch.float32
        assert not torch.equal(stored, x)
        torch.testing.assert_close(stored, x, rtol=2**-11, atol=2**-24)  # half the last place
    assert losses(trained(data)[1]) == pytest.approx(in_memory, rel=1e-2)
    del pairs
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_full_folder_for_temporary_files_is_told_before_anything_is_computed(
    data: Dataset, one_megabyte: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its blocks the file would be mapped, and the process killed at the first page without room."""
    monkeypatch.setattr(fixed_pairs.tempfile, "tempdir", str(one_megabyte))
    monkeypatch.setattr(fixed_pairs, "IN_MEMORY", 1000)
    many = replace(data, train=Split(data.train.images.repeat(80, 1, 1, 1), data.train.labels.repeat(80)))
    monkeypatch.setattr(FrozenLayersCache, "_fill", lambda *_: pytest.fail("something is computed"))
    told = r"^TMPDIR: \S+small takes no 3.28 MB \(No space left on device\), .*; free some, or .* TMPDIR=FOLDER"
    with pytest.raises(ValueError, match=told):
        FrozenLayersCache(vgg(), "conv8", many.train, torch.rand(6400, 3, 32, 32))
    assert list(one_megabyte.iterdir()) == []


def test_the_blocks_of_the_files_are_there_before_they_are_written_to(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fixed_pairs.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(fixed_pairs, "IN_MEMORY", 1000)
    taken: list[int] = []
    really = disk.allocate

    def allocate(file: IO[bytes], size: int) -> None:
        really(file, size)
        taken.append(os.fstat(file.fileno()).st_blocks * 512)

    monkeypatch.setattr(disk, "allocate", allocate)
    pairs = FrozenLayersCache(vgg(), "conv8", data.train, torch.rand(80, 3, 32, 32))
    assert pairs.stored is not None
    assert [have >= part.nbytes for have, part in zip(taken, pairs.stored, strict=True)] == [True, True]


@pytest.mark.parametrize(("first_layer", "memory"), [("conv8", 1000), ("conv2", 1000), ("conv8", 2**30), (None, 0)])
def test_what_the_files_will_take_is_known_without_the_network(
    first_layer: str | None, memory: int, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fixed_pairs.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(fixed_pairs, "IN_MEMORY", memory)
    with torch.device("meta"):
        shapes = build_model("vgg16", width=1 / 16).eval()
    pairs = FrozenLayersCache(vgg(), first_layer, data.train, torch.rand(80, 3, 32, 32))
    in_files = [part.nbytes for part in pairs.stored or () if part.dtype == torch.float16]
    assert fixed_pairs.bytes_in_files(shapes, first_layer, 80, 32) == sum(in_files)


def test_pairs_of_each_epoch_go_through_the_bottom_anew(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Tensor] = []

    class Remembering(FrozenLayersCache):
        def __init__(self, model: nn.Module, first_layer: str | None, train: object, x_adv: Tensor) -> None:
            super().__init__(model, first_layer, data.train, x_adv)
            made.append(self[torch.arange(80)][1])

    monkeypatch.setattr("snslib.training.loop.FrozenLayersCache", Remembering)
    sns = SNS({"conv8": torch.tensor([0])}, 1.0, adversarial=True, source="epoch", attack=attack)
    model = vgg()
    train(model, data, sns, replace(SCHEDULE, lr=0.1), progress=lambda line: None)
    assert len(made) == 2
    assert not torch.equal(made[0], made[1])  # the attack is on the current model
    made.clear()
    train(vgg(), data, objective(vgg(), data), SCHEDULE, progress=lambda line: None)
    assert len(made) == 1  # fixed pairs: once for all epochs
