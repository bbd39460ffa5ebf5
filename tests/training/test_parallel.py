"""Two processes compute what one does. Run by torchrun, this file is what the processes do.

In float32, training amplifies every rounding difference: within a few steps, one process with two threads is as far
from one with a single thread as two processes are. Training is therefore compared in float64, where rounding has no
time to grow, so that the tolerances can be small enough to tell summation order from anything else. Of float32 and
bfloat16 the first steps are compared, in which rounding is all there is. What is trained in two processes has a name
of its own.
"""

import copy
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snslib.attacks import pgd
from snslib.data import Dataset, Split, to_float
from snslib.files import load_tensors, save_tensors
from snslib.sensitivity import dual_pairs, neuron_sensitivity, top_neurons
from snslib.study import measurements as measure
from snslib.study import results as published
from snslib.study import settings
from snslib.study.measurements.measured import mean_over_processes, shared_accuracy
from snslib.study.networks import Networks
from snslib.study.records import key
from snslib.training import parallel, pretrained
from snslib.training.datasets import load_dataset
from snslib.training.loop import Schedule, train
from snslib.training.models import build_model
from snslib.training.objectives import PAT, SNS, Objective, Vanilla

pytestmark = pytest.mark.slow

TINY = replace(
    settings.PROFILES["digits"],
    width=1 / 16,
    vanilla_epochs=1,
    epochs=1,
    steps=2,
    n_pairs=41,  # which two processes cannot share equally
    n_test=31,
    batch_size=128,
    device="cpu",
)
PUBLISHED = replace(TINY, seed=7)  # by one process
TOLERANCES = {"float32": 1e-4, "bfloat16": 2e-2}  # of the loss at the first step, relative
SCHEDULES = {
    "vanilla": Schedule(epochs=2, lr=0.05, batch_size=32),
    "pat": Schedule(epochs=1, lr=0.05, batch_size=32),
    "sns fixed": Schedule(epochs=2, lr=0.01, batch_size=32, first_layer="conv8"),
    "sns epoch": Schedule(epochs=2, lr=0.01, batch_size=32, first_layer="conv8"),
    "sns step": Schedule(epochs=1, lr=0.01, batch_size=32, first_layer="conv8"),
}
LAYERS = ["conv2", "conv8", "conv13", "fc"]


def attack(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return pgd(model, x, y, eps=0.1, step_size=0.03, steps=2)


def in_float64() -> nn.Module:
    """A small VGG-16 that takes float32 images and computes in float64."""
    torch.manual_seed(3)
    model = build_model("vgg16", width=1 / 16).double()
    for layer in model.children():
        layer.register_forward_pre_hook(lambda _, inputs: (inputs[0].double(),))
    return model


def digits(n: int = 96) -> Dataset:
    """Digits behind noise: where an image is flat, max-pooling ties, and the last bit decides where gradients go."""
    data = load_dataset("digits")
    generator = torch.Generator().manual_seed(2)

    def noisy(split: Split) -> Split:
        noise = torch.randint(40, 104, split.images.shape, dtype=torch.uint8, generator=generator)
        return Split(split.images // 2 + noise, split.labels)

    return replace(data, train=noisy(data.train.take(n)), test=noisy(data.test), crop_padding=0, flip=True)


def objectives(model: nn.Module, train_split: Split) -> dict[str, Objective]:
    omega = {"conv8": torch.tensor([0, 3, 5]), "conv13": torch.tensor([1])}
    pairs = torch.cat([x_adv for _, x_adv in dual_pairs(model, train_split, attack)])
    return {
        "vanilla": Vanilla(),
        "pat": PAT(attack),
        "sns fixed": SNS(omega, 1.0, adversarial=True, pairs=pairs),
        "sns epoch": SNS(omega, 1.0, adversarial=False, source="epoch", attack=attack),
        "sns step": SNS(omega, 1.0, adversarial=True, source="step", attack=attack),
    }


def trained(name: str, checkpoint: Path | None = None, progress: Callable[[str], None] = str) -> dict[str, Any]:
    """Losses, weights and neurons after training by one objective, the same in any number of processes."""
    model, data = in_float64(), digits()
    objective = objectives(model, data.train)[name]

    def validate(model: nn.Module) -> dict[str, float]:
        return {"accuracy": shared_accuracy(model, data.test.take(61), attack)}

    history = train(model, data, objective, SCHEDULES[name], validate, checkpoint, progress)
    mine = parallel.own_part(data.test.take(31))
    sigma = mean_over_processes(neuron_sensitivity(model, dual_pairs(model, mine, attack), LAYERS), len(mine))
    timeless = [{k: v for k, v in entry.items() if k != "seconds"} for entry in history]
    return {"history": timeless, "model": model.state_dict(), "sigma": sigma}


def batchnorm(dtype: torch.dtype, double: bool = False, **options: Any) -> dict[str, Tensor]:
    """What BatchNorm makes of the whole batch in two steps: outputs, gradients, running statistics.

    With ``double`` it computes in float64 on the same images of that type.
    """
    torch.manual_seed(5)
    norm = nn.BatchNorm2d(5, **options).to(torch.promote_types(dtype, torch.float32))  # as under autocast
    if norm.affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    if double:
        norm = norm.double()
    result: dict[str, Tensor] = {}
    mine = parallel.part(12)
    with parallel.synchronised_batchnorm(norm):
        for step in range(2):
            images, direction = torch.randn(2, 12, 5, 4, 3, dtype=dtype)
            images = images * 3 + 7
            if double:
                images, direction = images.double(), direction.double()
            x = images[mine].requires_grad_()
            y = norm(x)
            y.backward(direction[mine])
            assert x.grad is not None
            result |= {f"y{step}": parallel.gather(y), f"x.grad{step}": parallel.gather(x.grad)}
        norm.eval()
        result["eval"] = parallel.gather(norm(x.detach()))
    for name, parameter in norm.named_parameters():
        assert parameter.grad is not None
        result[f"{name}.grad"] = parallel.mean(parameter.grad, 1) * parallel.world_size()
    assert "forward" not in norm.__dict__
    return result | dict(norm.named_buffers())


def first_losses(precision: str) -> list[float]:
    """The losses of six steps of PAT in a precision that training is done in."""
    torch.manual_seed(3)
    model, schedule = build_model("vgg16", width=1 / 16), Schedule(1, 0.05, batch_size=16, precision=precision)
    return train(model, digits(), PAT(attack), schedule, progress=str)[0]["steps"]["loss"]


def path_of_published(out: Path) -> Path:
    """Where every number of processes finds the vanilla model of PUBLISHED."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrained, "RESULTS", out / "published")
        return Networks(PUBLISHED, out / "one process", str).model_path("vanilla")


# --- what torchrun runs ---


def work(out: Path) -> None:
    """Everything that the tests below compare, by two processes that share no folder."""
    rank = parallel.rank()
    mine = out / f"files of {rank}"
    result: dict[str, Any] = {name: trained(name, mine / name) for name in SCHEDULES}
    result["batchnorm"] = {name: batchnorm(**case) for name, case in BATCHNORMS.items()}
    result["gather"] = parallel.gather(torch.arange(7)[parallel.part(7)])
    result["mean"] = parallel.mean(torch.tensor([1.0, 2.0]) + rank, 1 + 2 * rank)
    lines: list[str] = []
    networks = Networks(TINY, mine / "cache", lines.append)
    records = [measure.accuracy(networks, "sns_sen_adv"), measure.sensitivity(networks, "sns_sen_adv")]
    result["records"] = records
    again = Networks(TINY, mine / "cache", lines.append)
    assert [measure.accuracy(again, "sns_sen_adv"), measure.sensitivity(again, "sns_sen_adv")] == records
    result["first losses"] = {precision: first_losses(precision) for precision in TOLERANCES}
    result["published"] = path_of_published(out)
    result["errors"] = {name: message(provoke) for name, provoke in ERRORS.items()}
    everyone: list[Any] = [None] * parallel.world_size()
    torch.distributed.all_gather_object(everyone, result)
    if rank == 0:
        torch.save(everyone, out / "results")


def killed(out: Path) -> None:
    """Two epochs; where no checkpoint is there yet, the second process is killed after the first epoch."""
    fresh = not (out / "checkpoint").exists()

    def kill(line: str) -> None:
        if fresh and parallel.rank() == 1 and line.startswith("epoch 1/"):
            os.kill(os.getpid(), signal.SIGKILL)

    result = trained("vanilla", out / "checkpoint", kill)
    if parallel.rank() == 0:
        torch.save(result, out / "results")


def message(provoke: Callable[[], object]) -> str:
    try:
        provoke()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


class Diverging(Vanilla):
    """Its loss is not a number in one of two processes."""

    def __call__(self, model: nn.Module, x: Tensor, x_adv: Tensor | None, y: Tensor) -> Any:
        loss, terms = super().__call__(model, x, x_adv, y)
        return loss * (torch.nan if parallel.rank() == 1 else 1), terms


def refused() -> None:
    """Can only be asked of the first process."""
    if parallel.rank() == 0:
        raise KeyError("only here")
    os._exit(1)


def with_batches(n: int, batch_size: int, objective: Objective) -> None:
    model = build_model("vgg16", width=1 / 16)
    train(model, digits(n), objective, Schedule(1, 0.01, batch_size=batch_size), progress=str)


ERRORS: dict[str, Callable[[], object]] = {
    "first": lambda: parallel.on_first_process(refused),
    "batch_size": lambda: with_batches(96, 33, Vanilla()),
    "small set": lambda: with_batches(9, 32, Vanilla()),
    "few images": lambda: parallel.own_part(digits().train.take(1)),
    "loss": lambda: with_batches(32, 32, Diverging()),
    "same": lambda: parallel.require_same("code", {"a": 7 + parallel.rank()}),
}
BATCHNORMS: dict[str, dict[str, Any]] = {
    "float64": {"dtype": torch.float64},
    "float32": {"dtype": torch.float32},
    "bfloat16": {"dtype": torch.bfloat16},
    "momentum None": {"dtype": torch.float64, "momentum": None},
    "affine": {"dtype": torch.float64, "affine": False},
    "untracked": {"dtype": torch.float64, "track_running_stats": False},
}


def torchrun(job: str, out: Path) -> subprocess.CompletedProcess[str]:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launch, __file__, job, str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def publish(out: Path) -> None:
    """Train the vanilla model of PUBLISHED in this one process, and publish it."""
    networks = Networks(PUBLISHED, out / "one process", str)
    networks.model("vanilla")
    tensors, state = load_tensors(networks.model_path("vanilla"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrained, "RESULTS", out / "published")
        published.publish_data(networks.data)
        published.publish_model(out / "published" / "digits" / "vgg16-w0.0625" / "vanilla.safetensors", tensors, state)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    publish(folder)
    done = torchrun("work", folder)
    assert done.returncode == 0, done.stderr[-5000:]
    return folder


@pytest.fixture(scope="module")
def two(out: Path) -> list[dict[str, Any]]:
    """The results of both processes."""
    return torch.load(out / "results", weights_only=False)


# --- training ---


@pytest.mark.parametrize("name", SCHEDULES)
def test_two_processes_train_as_one_does(two: list[dict[str, Any]], name: str) -> None:
    one = trained(name)
    for results in two:
        result = results[name]
        for entry, expected in zip(result["history"], one["history"], strict=True):
            assert entry["accuracy"] == expected["accuracy"]
            assert entry["steps"].keys() == expected["steps"].keys()
            for term, values in expected["steps"].items():
                assert entry["steps"][term] == pytest.approx(values, rel=1e-6), term
        torch.testing.assert_close(result["model"], one["model"], rtol=1e-5, atol=1e-7)
        for layer, sigma in one["sigma"].items():
            torch.testing.assert_close(result["sigma"][layer].float(), sigma, rtol=1e-5, atol=1e-7)
        neurons = [top_neurons(sigma, fraction=0.3) for sigma in (result["sigma"], one["sigma"])]
        assert all(torch.equal(neurons[0][layer], neurons[1][layer]) for layer in LAYERS)


@pytest.mark.parametrize("name", SCHEDULES)
def test_both_end_with_the_same_model(two: list[dict[str, Any]], name: str) -> None:
    first, second = (results[name] for results in two)
    torch.testing.assert_close(first["model"], second["model"], rtol=0, atol=0)
    assert first["history"] == second["history"]


@pytest.mark.parametrize("case", BATCHNORMS)
def test_batchnorm_normalises_by_the_whole_batch(two: list[dict[str, Any]], case: str) -> None:
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 0.02}[BATCHNORMS[case]["dtype"]]
    one = batchnorm(**BATCHNORMS[case])
    for results in two:
        assert results["batchnorm"][case].keys() == one.keys()
        for name, value in one.items():
            shared = results["batchnorm"][case][name].to(value)  # what is averaged comes as float64
            torch.testing.assert_close(shared, value, rtol=tolerance, atol=tolerance)


def test_a_gradient_in_bfloat16_is_rounded_once(two: list[dict[str, Any]]) -> None:
    """Rounding to the nearest number of eight binary digits moves a number by 1/512 of it at most."""
    exact = batchnorm(torch.bfloat16, double=True)
    for results in two:
        for step in range(2):
            found = results["batchnorm"]["bfloat16"][f"x.grad{step}"].double()
            distance = (found - exact[f"x.grad{step}"]).norm() / exact[f"x.grad{step}"].norm()
            assert distance < 1 / 512


@pytest.mark.parametrize("precision", TOLERANCES)
def test_the_first_step_is_that_of_one_process_up_to_rounding(two: list[dict[str, Any]], precision: str) -> None:
    one = first_losses(precision)
    for results in two:
        assert results["first losses"][precision][0] == pytest.approx(one[0], rel=TOLERANCES[precision])


# --- measuring, and files ---


def test_networks_of_two_processes_have_names_of_their_own(two: list[dict[str, Any]], tmp_path: Path) -> None:
    one = Networks(TINY, tmp_path).configuration("sns_sen_adv")
    for results in two:
        recipe = results["records"][0].config["trained"]
        assert (recipe["processes"], recipe["vanilla"]["processes"]) == (2, 2)
        assert key(published.configuration(recipe)) == key(published.configuration(one))
    assert "processes" not in str(one)  # of one, as it was when the first networks were published


def test_a_published_network_is_found_by_any_number_of_processes(out: Path, two: list[dict[str, Any]]) -> None:
    expected = out / "published" / "digits" / "vgg16-w0.0625" / "vanilla.safetensors"
    assert expected.exists()
    assert [path_of_published(out), *(results["published"] for results in two)] == [expected] * 3


def test_records_are_those_of_one_process(out: Path, two: list[dict[str, Any]], tmp_path: Path) -> None:
    """Measured on the same model: training in float32 would not give quite the same one."""
    lines: list[str] = []
    networks = Networks(TINY, tmp_path, lines.append)
    for defense in ("vanilla", "sns_sen_adv"):
        (made,) = (out / "files of 0" / "cache" / "models").glob(f"{defense}-*.safetensors")
        tensors, state = load_tensors(made)
        save_tensors(networks.model_path(defense), tensors, state | {"recipe": networks.configuration(defense)})
    one = [measure.accuracy(networks, "sns_sen_adv"), measure.sensitivity(networks, "sns_sen_adv")]
    assert not any("training" in line for line in lines)
    for results in two:
        accuracy, sensitivity = results["records"]
        assert (accuracy.provenance["processes"], one[0].provenance["processes"]) == (2, 1)
        assert key(published.configuration(accuracy.config)) == key(published.configuration(one[0].config))
        assert accuracy.result == pytest.approx(one[0].result, abs=1 / 31 + 1e-9)  # one image on the edge
        assert accuracy.result["clean"] == one[0].result["clean"]
        for what in ("sigma", "activation"):
            for layer, expected in one[1].result[what].items():
                assert sensitivity.result[what][layer] == pytest.approx(expected, rel=1e-5, abs=1e-7)
        sigmas = (record.result["sigma"] for record in (sensitivity, one[1]))
        first, second = ({k: torch.tensor(v) for k, v in sigma.items()} for sigma in sigmas)
        neurons = [top_neurons(sigma, fraction=0.1) for sigma in (first, second)]
        assert all(torch.equal(neurons[0][layer], neurons[1][layer]) for layer in neurons[0])


def test_fixed_pairs_come_in_the_order_of_the_images(out: Path, two: list[dict[str, Any]], tmp_path: Path) -> None:
    (made,) = (out / "files of 0" / "cache" / "pairs").iterdir()
    pairs, images = load_tensors(made)[0]["x_adv"], to_float(Networks(TINY, tmp_path).data.train.images)
    assert pairs.shape == images.shape
    assert (pairs - images).abs().amax() <= TINY.eps + 1e-6


def test_the_first_process_alone_writes(out: Path, two: list[dict[str, Any]]) -> None:
    assert not (out / "files of 1").exists()
    kept = [path.relative_to(out / "files of 0") for path in (out / "files of 0").rglob("*") if path.is_file()]
    names = sorted(path.name.rpartition("-")[0] or path.name for path in kept)
    records = ["accuracy", "sensitivity", "sensitivity"]  # of these, one selects the neurons
    assert names == sorted([*SCHEDULES, *records, "pgd", "sns_sen_adv", "vanilla"])


def test_joining_what_was_shared(two: list[dict[str, Any]]) -> None:
    for results in two:
        assert results["gather"].tolist() == list(range(7))
        assert results["mean"].tolist() == [(1 * 1 + 3 * 2) / 4, (1 * 2 + 3 * 3) / 4]


def test_alone_nothing_is_shared() -> None:
    split, model = digits().train, nn.BatchNorm2d(3)
    assert (parallel.rank(), parallel.world_size(), parallel.part(5)) == (0, 1, slice(0, 5))
    assert torch.equal(parallel.own_part(split).images, split.images)
    value = torch.rand(3)
    assert parallel.mean(value, 5) is value
    assert parallel.gather(value) is value
    with parallel.process_group(None), parallel.synchronised_batchnorm(model):
        assert "forward" not in model.__dict__
    parallel.require_same("code", 1)
    with pytest.raises(KeyError, match="only here"):
        parallel.on_first_process(refused)


# --- what goes wrong ---

DIVERGED = "the norm of the gradient became nan in step 1; lower lr (the learning rate is 0.01)"
UNEVEN = "2 processes cannot share batches of {} images evenly; take a multiple of 2"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("first", "KeyError: 'only here'"),
        ("batch_size", f"ValueError: batch_size: {UNEVEN.format(33)}"),
        ("small set", f"ValueError: batch_size: {UNEVEN.format(9)}"),
        ("few images", "ValueError: 1 images cannot be shared by 2 processes; start fewer"),
        ("loss", f"FloatingPointError: training diverged in epoch 1: {DIVERGED}; no epoch is kept"),
        ("same", "ValueError: code: process 1 has {'a': 8}, the first one {'a': 7}"),
    ],
)
def test_an_error_is_raised_in_all(two: list[dict[str, Any]], name: str, expected: str) -> None:
    assert [results["errors"][name] for results in two] == [expected, expected]


def test_a_process_that_dies_ends_the_run_which_can_go_on(tmp_path: Path) -> None:
    began = time.monotonic()
    assert torchrun("killed", tmp_path).returncode != 0
    assert time.monotonic() - began < 60
    assert len(load_tensors(tmp_path / "checkpoint")[1]["history"]) == 1
    first = copy.deepcopy(load_tensors(tmp_path / "checkpoint")[1]["history"][0])
    done = torchrun("killed", tmp_path)
    assert done.returncode == 0, done.stderr[-5000:]
    result, whole = torch.load(tmp_path / "results", weights_only=False), trained("vanilla")
    assert result["history"][0] == {k: v for k, v in first.items() if k != "seconds"}
    for entry, expected in zip(result["history"], whole["history"], strict=True):
        assert entry["steps"]["loss"] == pytest.approx(expected["steps"]["loss"], rel=1e-6)
    torch.testing.assert_close(result["model"], whole["model"], rtol=1e-5, atol=1e-7)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with parallel.process_group("cpu"):
        {"work": work, "killed": killed}[sys.argv[1]](Path(sys.argv[2]))
