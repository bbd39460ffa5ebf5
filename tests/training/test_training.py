"""The loop: it learns, resumes and reproduces bit by bit; the objectives: losses computed by hand."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snslib.attacks import Attack, pgd
from snslib.data import Dataset, Split, to_float
from snslib.files import load_tensors, save_tensors
from snslib.precision import PRECISIONS, in_tf32
from snslib.training import loop
from snslib.training.datasets import load_dataset
from snslib.training.loop import Schedule, train
from snslib.training.models import build_model, conv_bn_relu
from snslib.training.objectives import ALP, EAT, PAT, SNS, TRADES, Objective, Vanilla, VulnerabilitySuppression

pytestmark = pytest.mark.trains


def small_model(seed: int = 0) -> nn.Module:
    """Three layers with BatchNorm, and Dropout, so that the global random state matters."""
    torch.manual_seed(seed)
    model = nn.Sequential()
    model.add_module("conv1", conv_bn_relu(3, 4))
    model.add_module("conv2", conv_bn_relu(4, 4))
    model.add_module("conv3", conv_bn_relu(4, 4))
    model.add_module("dropout", nn.Dropout(0.2))
    model.add_module("flatten", nn.Flatten())
    model.add_module("fc", nn.Linear(4 * 36, 3))
    return model


def small_data(n: int = 40) -> Dataset:
    """Random images of 6x6 pixels in three classes."""
    generator = torch.Generator().manual_seed(1)
    split = Split(
        torch.randint(0, 256, (n, 3, 6, 6), dtype=torch.uint8, generator=generator),
        torch.randint(3, (n,), generator=generator),
    )
    return Dataset("random", ("a", "b", "c"), split, split.take(0), split.take(0), 1, True, "drawn", None)


SCHEDULE = Schedule(epochs=3, lr=0.1, batch_size=16, seed=4)


def quietly(model: nn.Module, objective: Objective | None = None, schedule: Schedule = SCHEDULE, **options: Any) -> Any:
    return train(model, small_data(), objective or Vanilla(), schedule, progress=lambda line: None, **options)


def fingerprint(model: nn.Module) -> str:
    """The same for two models whose every weight and statistic is the same, bit by bit."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def without_times(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in history]


def step(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """A cheap attack that depends on the model."""
    return pgd(model, x, y, eps=0.1, step_size=0.1, steps=1)


def objectives() -> dict[str, Callable[[], Objective]]:
    omega = {"conv3": torch.tensor([1, 3]), "fc": torch.tensor([0])}  # layers that every schedule here trains
    fixed = to_float(small_data().train.images).flip(3)
    return {
        "vanilla": Vanilla,
        "pat": lambda: PAT(step),
        "alp": lambda: ALP(step),
        "nat": lambda: EAT(0.1),
        "eat": lambda: EAT(0.1, [small_model().eval()]),
        "trades": lambda: TRADES(0.1, 0.1, 1),
        "anp_vs": lambda: VulnerabilitySuppression(step, ["conv1", "conv3"]),
        "sns fixed": lambda: SNS(omega, 1.0, adversarial=True, pairs=fixed),
        "sns epoch": lambda: SNS(omega, 1.0, adversarial=False, source="epoch", attack=step),
        "sns step": lambda: SNS(omega, 1.0, adversarial=True, source="step", attack=step),
    }


every_objective = pytest.mark.parametrize("objective", objectives().values(), ids=objectives().keys())


# --- the loop ---


def test_the_loss_falls_on_digits() -> None:
    digits = load_dataset("digits")
    data = replace(digits, train=digits.train.take(192))
    model = build_model("resnet18", width=1 / 16)
    history = train(model, data, Vanilla(), Schedule(epochs=6, lr=0.05, batch_size=16), progress=lambda line: None)
    assert [entry["epoch"] for entry in history] == [1, 2, 3, 4, 5, 6]
    assert history[0]["loss"] > 2  # a guess costs log 10 = 2.3
    assert history[-1]["loss"] < history[0]["loss"] / 2


@every_objective
def test_an_interrupted_run_goes_on_to_the_same_model(tmp_path: Path, objective: Callable[[], Objective]) -> None:
    whole = small_model()
    expected = quietly(whole, objective())
    interrupted, checkpoint = small_model(), tmp_path / "run" / "checkpoint.safetensors"

    def stop(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(interrupted, small_data(), objective(), SCHEDULE, checkpoint=checkpoint, progress=stop)
    assert len(load_tensors(checkpoint)[1]["history"]) == 1
    torch.rand(17)
    resumed = small_model(seed=99)  # whatever its weights, those of the checkpoint count
    history = quietly(resumed, objective(), checkpoint=checkpoint)
    assert without_times(history) == without_times(expected)
    assert fingerprint(resumed) == fingerprint(whole)
    again = small_model(seed=98)  # nothing left to do
    assert quietly(again, objective(), checkpoint=checkpoint) == history
    assert fingerprint(again) == fingerprint(whole)
    assert list(checkpoint.parent.iterdir()) == [checkpoint]  # nothing half-written stays beside it


def test_resuming_with_frozen_layers_and_without_momentum(tmp_path: Path) -> None:
    schedule = replace(SCHEDULE, first_layer="conv2", momentum=0.0)
    whole = small_model()
    quietly(whole, schedule=schedule)

    def stop(line: str) -> None:
        if line.startswith("epoch 2/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(small_model(), small_data(), Vanilla(), schedule, checkpoint=tmp_path / "c", progress=stop)
    resumed = small_model()
    quietly(resumed, schedule=schedule, checkpoint=tmp_path / "c")
    assert fingerprint(resumed) == fingerprint(whole)


@every_objective
def test_a_seed_reproduces_and_another_differs(objective: Callable[[], Objective]) -> None:
    prints = []
    for seed in (4, 4, 5):
        model = small_model()
        torch.manual_seed(len(prints))  # what the global random state was is of no account
        quietly(model, objective(), replace(SCHEDULE, epochs=2, seed=seed))
        prints.append(fingerprint(model))
    assert prints[0] == prints[1]
    assert prints[0] != prints[2]


@every_objective
def test_the_global_random_state_is_left_where_it_was(objective: Callable[[], Objective]) -> None:
    model = small_model()
    before = torch.get_rng_state()
    quietly(model, objective())
    assert torch.equal(torch.get_rng_state(), before)


@every_objective
def test_frozen_layers_are_really_frozen(objective: Callable[[], Objective]) -> None:
    model = small_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    quietly(model, objective(), replace(SCHEDULE, first_layer="conv3"))
    for name, value in model.state_dict().items():
        frozen = name.startswith(("conv1.", "conv2."))  # weights, and BatchNorm's statistics and count
        assert torch.equal(value, before[name]) == frozen, name
    assert all(p.requires_grad for p in model.parameters())
    assert not any(module.training for module in model.modules())


def test_modes_while_training() -> None:
    """Below first_layer in eval mode, above in train mode, and only the upper parameters get gradients."""
    model, seen = small_model(), []

    class Looking(Vanilla):
        def __call__(self, model: nn.Module, x: Tensor, x_adv: Tensor | None, y: Tensor) -> Any:
            layers = {name: model.get_submodule(name) for name in ("conv1", "conv2", "conv3", "fc")}
            seen.append(
                {
                    name: (layer.training, all(p.requires_grad for p in layer.parameters()))
                    for name, layer in layers.items()
                }
            )
            return super().__call__(model, x, x_adv, y)

    quietly(model, Looking(), replace(SCHEDULE, first_layer="conv2", epochs=1))
    assert seen == [{"conv1": (False, False), "conv2": (True, True), "conv3": (True, True), "fc": (True, True)}] * 2


def test_history_and_progress() -> None:
    lines: list[str] = []
    validated: list[bool] = []

    def validate(model: nn.Module) -> dict[str, float]:
        validated.append(model.training)
        return {"accuracy": 0.25 * len(validated)}

    history = train(small_model(), small_data(), Vanilla(), SCHEDULE, validate=validate, progress=lines.append)
    assert [set(entry) for entry in history] == [{"epoch", "steps", "lr", "loss", "cls", "accuracy", "seconds"}] * 3
    assert [entry["epoch"] for entry in history] == [1, 2, 3]
    for entry in history:
        assert {name: len(values) for name, values in entry["steps"].items()} == {"loss": 40 // 16, "cls": 40 // 16}
        assert entry["loss"] == pytest.approx(sum(entry["steps"]["loss"]) / 2)
    assert [entry["accuracy"] for entry in history] == [0.25, 0.5, 0.75]
    assert validated == [False] * 3
    assert len(lines) == 3
    assert lines[1].startswith("epoch 2/3: loss ")


def test_one_epoch_by_hand() -> None:
    """One batch of all images, without augmentation, momentum or decay: w - lr * gradient, as often as there are steps.

    OneCycle's rate for steps s = 0, 1, 2, ... of T = 4: it rises along a cosine from lr / 25 at s = 0 to lr at
    s = .3 T - 1 = .2 and falls to lr / 250,000 at s = 3.
    """
    data = replace(small_data(12), crop_padding=0, flip=False)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 36, 3)).double()
    weight, bias = (p.detach().numpy().copy() for p in model[1].parameters())
    x = data.train.images.double().flatten(1).numpy() / 255
    y = np.eye(3)[data.train.labels.numpy()]

    class Double(Vanilla):
        def __call__(self, model: nn.Module, x: Tensor, x_adv: Tensor | None, y: Tensor) -> Any:
            return super().__call__(model, x.double(), x_adv, y)

    schedule = Schedule(epochs=4, lr=0.2, batch_size=12, momentum=0.0, weight_decay=0.0)
    history = train(model, data, Double(), schedule, progress=lambda line: None)
    losses = []
    for s in range(4):
        falling = 0.2 / 250_000 + (0.2 - 0.2 / 250_000) * (1 + np.cos(np.pi * (s - 0.2) / 2.8)) / 2
        rate = 0.2 / 25 if s == 0 else falling
        exponents = np.exp(x @ weight.T + bias)
        softmax = exponents / exponents.sum(1, keepdims=True)
        losses.append(-np.log((softmax * y).sum(1)).mean())
        weight, bias = weight - rate * (softmax - y).T @ x / 12, bias - rate * (softmax - y).mean(0)
    # x is float32 / 255 in the loop
    np.testing.assert_allclose([entry["loss"] for entry in history], losses, rtol=1e-6)
    np.testing.assert_allclose(model[1].weight.detach().numpy(), weight, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_only_tf32_rounds_the_passes_of_training_and_those_back_too(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What PyTorch is told on a GPU, as this processor is here taken for."""
    on_gpu, seen = torch.device("cuda"), []
    monkeypatch.setattr(loop, "in_tf32", lambda device, allowed: in_tf32(on_gpu, allowed))
    monkeypatch.setattr(loop, "autocast", lambda device, precision: in_tf32(on_gpu, precision == "tf32"))
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32

    def look(*_: object) -> None:
        seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))

    model = small_model()
    model.conv2[0].register_forward_hook(look)
    model.conv2[0].weight.register_hook(look)
    quietly(model, schedule=replace(SCHEDULE, precision=precision))
    assert len(seen) >= 2
    assert set(seen) == {(precision == "tf32", precision == "tf32")}
    assert before == (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)


def test_bfloat16_trains_float32_weights_to_losses_close_to_float32() -> None:
    losses = {}
    for precision in ("float32", "bfloat16"):
        model = small_model()
        seen: list[torch.dtype] = []
        handle = model.conv2[0].register_forward_hook(lambda _, inputs, output, seen=seen: seen.append(output.dtype))
        before = fingerprint(model)
        history = quietly(model, schedule=replace(SCHEDULE, precision=precision))
        handle.remove()
        assert fingerprint(model) != before
        assert {str(dtype).removeprefix("torch.") for dtype in seen} == {precision}
        assert {value.dtype for value in model.state_dict().values()} == {torch.float32, torch.int64}
        losses[precision] = [loss for entry in history for loss in entry["steps"]["loss"]]
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)  # 8 bits, over six steps


# --- what goes wrong ---


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"{}" + b])
def test_a_damaged_checkpoint_is_an_error(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    quietly(small_model(), checkpoint=checkpoint)
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors is damaged"):
        quietly(small_model(), checkpoint=checkpoint)


def test_a_flipped_bit_of_a_checkpoint_is_an_error(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    quietly(small_model(), checkpoint=checkpoint)
    whole = checkpoint.read_bytes()
    for place in (len(whole) // 2, len(whole) - 1, whole.index(b"_last_lr") + 1, whole.index(b"momentum") + 1):
        checkpoint.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=r"checkpoint\.safetensors is damaged"):
            quietly(small_model(), checkpoint=checkpoint)


def test_a_file_without_state_is_damaged(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.ones(1)}, tmp_path / "file")
    with pytest.raises(ValueError, match="is damaged"):
        load_tensors(tmp_path / "file")


def test_a_checkpoint_of_another_run_is_an_error(tmp_path: Path) -> None:
    quietly(small_model(), checkpoint=tmp_path / "c")
    before = (tmp_path / "c").read_bytes()
    quietly(small_model(), checkpoint=tmp_path / "d", recipe={"lam": 1, "layers": ("a", "b")})
    quietly(small_model(), checkpoint=tmp_path / "d", recipe={"layers": ["a", "b"], "lam": 1})
    with pytest.raises(ValueError, match=r"^checkpoint: .*another run"):
        quietly(small_model(), checkpoint=tmp_path / "d")
    for other in ({"seed": 5}, {"epochs": 4}, {"first_layer": "conv2"}, {"lr": 0.05}):
        with pytest.raises(ValueError, match=r"^checkpoint: .*another run"):
            quietly(small_model(), schedule=replace(SCHEDULE, **other), checkpoint=tmp_path / "c")
    with pytest.raises(ValueError, match=r"^checkpoint: .*another run"):
        quietly(small_model(), checkpoint=tmp_path / "c", recipe={"lam": 1})
    wider = small_model()
    wider.fc = nn.Linear(4 * 36, 5)
    with pytest.raises(ValueError, match=r"^checkpoint: .*another"):
        quietly(wider, checkpoint=tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == before


def test_tensors_and_state_are_saved_exactly(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 4)[:, ::2], "n": torch.tensor(7), "half": torch.randn(2).bfloat16()}
    state = {"history": [{"loss": 0.1 + 0.2}], "name": "é"}
    save_tensors(tmp_path / "new" / "file", tensors, state)
    (tmp_path / "new" / "beside").touch()
    modes = {path.stat().st_mode for path in (tmp_path / "new").iterdir()}
    assert len(modes) == 1  # the umask decides who reads it, as of any file
    loaded, loaded_state = load_tensors(tmp_path / "new" / "file")
    torch.testing.assert_close(loaded, tensors, rtol=0, atol=0)
    assert loaded_state == state


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    class Diverging(Vanilla):
        calls = 0

        def __call__(self, model: nn.Module, x: Tensor, x_adv: Tensor | None, y: Tensor) -> Any:
            self.calls += 1
            loss, terms = super().__call__(model, x, x_adv, y)
            return loss * (torch.nan if self.calls == 3 else 1), terms

    model = small_model()
    with pytest.raises(
        FloatingPointError, match=r"epoch 2: .* gradient became nan in step 1; lower lr .*epoch 1 of . is kept in .*c"
    ):
        quietly(model, Diverging(), checkpoint=tmp_path / "c")
    assert len(load_tensors(tmp_path / "c")[1]["history"]) == 1  # the last good one remains
    assert all(tensor.isfinite().all() for tensor in load_tensors(tmp_path / "c")[0].values())
    assert all(p.requires_grad for p in model.parameters())


def test_a_learning_rate_that_is_too_high_stops_the_run_before_an_epoch_is_kept(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match=r"in epoch 1: .*; lower lr \(.* is 1e\+12\); no epoch is kept"):
        quietly(small_model(), schedule=replace(SCHEDULE, lr=1e12), checkpoint=tmp_path / "c")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("term", ["loss", "gradient"])
def test_a_step_that_is_not_finite_is_not_taken(term: str) -> None:
    """Loss and gradient, each alone: the weights are those after the step before."""

    class Diverging(Vanilla):
        calls = 0
        before: dict[str, Tensor] | None = None

        def __call__(self, model: nn.Module, x: Tensor, x_adv: Tensor | None, y: Tensor) -> Any:
            self.calls += 1
            loss, terms = super().__call__(model, x, x_adv, y)
            if self.calls == 2:
                self.before = {name: value.clone() for name, value in model.named_parameters()}
                weight = model.get_submodule("fc").weight
                loss = loss + (torch.inf if term == "loss" else (weight - weight).sqrt().sum())  # 0, of infinite slope
            return loss, terms

    model, objective = small_model(), Diverging()
    what = "the loss became inf" if term == "loss" else "the norm of the gradient became nan"
    with pytest.raises(FloatingPointError, match=f"{what} in step 2; lower vanilla_lr"):
        quietly(model, objective, steered_by="vanilla_lr")
    torch.testing.assert_close(dict(model.named_parameters()), objective.before, rtol=0, atol=0)


def test_weights_that_the_last_step_of_an_epoch_ruins_are_not_kept(tmp_path: Path) -> None:
    class Ruined(Vanilla):
        calls = 0

        def __call__(self, model: nn.Module, x: Tensor, x_adv: Tensor | None, y: Tensor) -> Any:
            self.calls += 1
            if self.calls == 4:
                model.get_submodule("conv2.1").running_var.fill_(torch.inf)  # which nothing reads in train mode
            return super().__call__(model, x, x_adv, y)

    with pytest.raises(FloatingPointError, match=r"epoch 2: conv2\.1\.running_var is not finite .*epoch 1 of . is"):
        quietly(small_model(), Ruined(), checkpoint=tmp_path / "c")
    assert len(load_tensors(tmp_path / "c")[1]["history"]) == 1


def test_labels_that_the_data_set_has_no_class_for_are_refused() -> None:
    data = small_data()
    for label in (-100, 3):  # PyTorch leaves images of class -100 out
        labels = data.train.labels.clone()
        labels[5] = label
        wrong = replace(data, train=Split(data.train.images, labels))
        with pytest.raises(ValueError, match=r"^data\.train\.labels: "):
            train(small_model(), wrong, Vanilla(), SCHEDULE, progress=lambda line: None)


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epochs": 1.5}, "epochs"),
        ({"batch_size": 1}, "batch_size"),
        ({"lr": -0.1}, "lr"),
        ({"lr": float("inf")}, "lr"),
        ({"momentum": -0.9}, "momentum"),
        ({"weight_decay": float("nan")}, "weight_decay"),
        ({"precision": "float16"}, "precision"),
        ({"seed": -1}, "seed"),
        ({"epochs": 2.5}, "epochs"),
    ],
)
def test_schedule_errors(options: dict[str, float], argument: str) -> None:
    with pytest.raises(ValueError, match=rf"^{argument}: "):
        replace(SCHEDULE, **options)


def test_an_unknown_first_layer_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^first_layer: "):
        quietly(small_model(), schedule=replace(SCHEDULE, first_layer="conv9"))


# --- x and x' on their way to the objective ---


class Watching(SNS):
    """Remembers what comes."""

    def __call__(self, model: nn.Module, x: Tensor, x_adv: Tensor | None, y: Tensor) -> Any:
        self.seen = [*getattr(self, "seen", []), (x, x_adv, y)]
        return super().__call__(model, x, x_adv, y)


def test_fixed_pairs_belong_together_and_are_not_augmented() -> None:
    """x' is half of x: so for every pixel of every image, which comes as it is and with its label, once per epoch."""
    data = small_data(48)
    originals = to_float(data.train.images)
    objective = Watching({"conv1": torch.tensor([0])}, 1.0, adversarial=False, pairs=originals / 2)
    train(small_model(), data, objective, SCHEDULE, progress=lambda line: None)
    assert len(objective.seen) == 3 * (48 // 16)
    orders = []
    for start in (0, 3, 6):
        x, x_adv, y = (torch.cat(parts) for parts in zip(*objective.seen[start : start + 3], strict=True))
        assert torch.equal(x_adv, x / 2)
        places = [int((originals == image).flatten(1).all(1).nonzero()[0, 0]) for image in x]
        assert sorted(places) == list(range(48))
        assert torch.equal(y, data.train.labels[places])
        orders.append(places)
    assert orders[0] != orders[1] != orders[2]  # each epoch in another order


def test_images_are_augmented_without_fixed_pairs() -> None:
    objective = Watching({"conv1": torch.tensor([0])}, 1.0, adversarial=False, source="step", attack=step)
    quietly(small_model(), objective)
    originals = to_float(small_data().train.images)
    moved = [not (originals == image).flatten(1).all(1).any() for x, _, _ in objective.seen for image in x]
    assert len(moved) == 96
    assert sum(moved) > 48  # most were cropped or mirrored


def counting() -> tuple[Attack, list[Tensor]]:
    calls: list[Tensor] = []

    def attack(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        calls.append(model.conv1[0].weight.detach().clone())
        return step(model, x, y)

    return attack, calls


def test_x_adv_is_made_anew_before_each_epoch() -> None:
    attack, calls = counting()
    objective = Watching({"conv1": torch.tensor([0])}, 1.0, adversarial=True, source="epoch", attack=attack)
    model, data = small_model(), replace(small_data(), crop_padding=0, flip=False)
    first = step(model, to_float(data.train.images), data.train.labels)
    train(model, data, objective, SCHEDULE, progress=lambda line: None)
    assert len(calls) == 3  # 40 images in one batch
    assert not torch.equal(calls[0], calls[1])
    assert not torch.equal(calls[1], calls[2])
    originals = to_float(data.train.images)
    for x, x_adv, _ in objective.seen[:2]:  # the first epoch: from the model as it came
        for image, image_adv in zip(x, x_adv, strict=True):
            place = (originals == image).flatten(1).all(1).nonzero()[0, 0]
            torch.testing.assert_close(image_adv, first[place])


def test_x_adv_is_made_for_every_batch() -> None:
    attack, calls = counting()
    objective = Watching({"conv1": torch.tensor([0])}, 1.0, adversarial=True, source="step", attack=attack)
    quietly(small_model(), objective)
    assert all(x_adv is None for _, x_adv, _ in objective.seen)
    assert len(calls) == 6
    assert len({weight.numpy().tobytes() for weight in calls}) == 6  # each from another model


def test_as_many_pairs_as_images() -> None:
    pairs = to_float(small_data().train.images)
    for wrong in (pairs[:-1], torch.cat([pairs, pairs[:1]])):
        objective = SNS({"conv1": torch.tensor([0])}, 1.0, adversarial=True, pairs=wrong)
        with pytest.raises(ValueError, match=rf"^pairs: .*40.*{len(wrong)}"):
            quietly(small_model(), objective)


# --- the objectives by hand ---


def hand_case() -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    model = small_model().double().eval()
    x = torch.rand(5, 3, 6, 6, dtype=torch.float64)
    return model, x, (x + 0.1 * torch.randn_like(x)).clamp(0, 1), torch.tensor([0, 1, 2, 1, 0])


def by_hand(model: nn.Module, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """conv2's output and the logits, in NumPy from the convolutions on; BatchNorm is new: it divides by its eps."""
    with torch.no_grad():
        hidden = F.conv2d(x, model.conv1[0].weight, padding=1) / (1 + 1e-5) ** 0.5
        conv2 = (F.conv2d(hidden.relu(), model.conv2[0].weight, padding=1) / (1 + 1e-5) ** 0.5).relu()
        conv3 = (F.conv2d(conv2, model.conv3[0].weight, padding=1) / (1 + 1e-5) ** 0.5).relu()
    weight, bias = (p.detach().numpy() for p in model.fc.parameters())
    return conv2.numpy(), conv3.flatten(1).numpy() @ weight.T + bias


def cross_entropy(logits: np.ndarray, y: Tensor) -> float:
    return float(np.mean([np.log(np.exp(row).sum()) - row[label] for row, label in zip(logits, y, strict=True)]))


def test_vanilla_by_hand() -> None:
    model, x, _, y = hand_case()
    loss, terms = Vanilla()(model, x, None, y)
    assert loss.item() == pytest.approx(cross_entropy(by_hand(model, x)[1], y))
    assert terms.keys() == {"cls"}


def test_pat_by_hand() -> None:
    model, x, x_adv, y = hand_case()
    asked: list[tuple[Tensor, Tensor]] = []

    def attack(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        asked.append((x, y))
        return x_adv

    loss, terms = PAT(attack)(model, x, None, y)
    expected = (cross_entropy(by_hand(model, x)[1], y) + cross_entropy(by_hand(model, x_adv)[1], y)) / 2
    assert loss.item() == pytest.approx(expected)
    assert terms.keys() == {"adv"}
    assert torch.equal(asked[0][0], x)
    assert torch.equal(asked[0][1], y)


def test_alp_by_hand() -> None:
    model, x, x_adv, y = hand_case()
    loss, terms = ALP(lambda model, x, y: x_adv)(model, x, None, y)
    logits, logits_adv = by_hand(model, x)[1], by_hand(model, x_adv)[1]
    adversarial = (cross_entropy(logits, y) + cross_entropy(logits_adv, y)) / 2
    pairing = ((logits - logits_adv) ** 2).sum() / logits.size
    assert terms["adv"].item() == pytest.approx(adversarial)
    assert terms["pairing"].item() == pytest.approx(pairing)
    assert loss.item() == pytest.approx(adversarial + 0.5 * pairing)  # "2 to 1", C.1


class Seeing(nn.Module):
    """Passes on what it is given, and keeps it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        return self.model(x)


def test_nat_by_hand() -> None:
    """Each image has moved by a radius of its own along the sign of the gradient toward its least likely class."""
    model, x, _, y = hand_case()
    seeing = Seeing(model)
    loss, terms = EAT(eps=0.1)(seeing, x, None, y)
    x_adv = seeing.seen[-1]  # the last forward pass is that of the adversarial images
    expected = (cross_entropy(by_hand(model, x)[1], y) + cross_entropy(by_hand(model, x_adv)[1], y)) / 2
    assert loss.item() == pytest.approx(expected)
    assert terms.keys() == {"adv"}

    leaf = x.clone().requires_grad_(True)
    logits = model(leaf)
    toward = -torch.autograd.grad(F.cross_entropy(logits, logits.argmin(1), reduction="sum"), leaf)[0].sign()
    radius = (x_adv - x).abs().amax((1, 2, 3), keepdim=True)
    assert len(radius.unique()) == len(x)
    assert (radius <= 0.2).all()
    torch.testing.assert_close(x_adv, (x + radius * toward).clamp(0, 1))


def predictions(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits)
    return exponents / exponents.sum(1, keepdims=True)


def test_trades_by_hand() -> None:
    """The loss of what the last pass was given, and that as PGD on the divergence makes it, starting beside x."""
    model, x, _, y = hand_case()
    seeing, eps, step_size = Seeing(model), 0.01, 0.004
    torch.manual_seed(3)
    loss, terms = TRADES(eps, step_size, steps=4, beta=2.0)(seeing, x, None, y)
    x_adv = seeing.seen[-1]
    logits, logits_adv = by_hand(model, x)[1], by_hand(model, x_adv)[1]
    p, p_adv = predictions(logits), predictions(logits_adv)
    divergence = (p * np.log(p / p_adv)).sum() / 5
    assert terms["cls"].item() == pytest.approx(cross_entropy(logits, y))
    assert terms["divergence"].item() == pytest.approx(divergence, rel=1e-5)
    assert loss.item() == pytest.approx(cross_entropy(logits, y) + 2 * divergence)

    torch.manual_seed(3)
    expected, target = x + 0.001 * torch.randn(x.shape), torch.from_numpy(p)
    for _ in range(4):
        leaf = expected.clone().requires_grad_(True)
        climbed = F.cross_entropy(model(leaf), target, reduction="sum")  # the divergence but for a constant
        expected = expected + step_size * torch.autograd.grad(climbed, leaf)[0].sign()
        expected = torch.minimum(torch.maximum(expected, x - eps), x + eps).clamp(0, 1)
    torch.testing.assert_close(x_adv, expected)
    assert TRADES(eps, step_size, steps=4).beta == 6


def test_both_sides_of_the_divergence_of_trades_are_trained() -> None:
    """In one step from x, with x' held where it is found: the slope is that of finite differences of the loss."""
    model, x, _, y = hand_case()
    seeing, objective = Seeing(model), TRADES(0.1, 0.1, 1)
    objective(seeing, x, None, y)[0].backward()
    x_adv, bias = seeing.seen[-1], model.fc.bias

    def loss() -> float:
        logits, logits_adv = by_hand(model, x)[1], by_hand(model, x_adv)[1]
        p, p_adv = predictions(logits), predictions(logits_adv)
        return cross_entropy(logits, y) + 6 * (p * np.log(p / p_adv)).sum() / 5

    for place in range(3):
        sides = []
        for shift in (1e-5, -1e-5):
            with torch.no_grad():
                bias[place] += shift
                sides.append(loss())
                bias[place] -= shift
        assert bias.grad[place].item() == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-5, abs=1e-9)


def test_the_passes_of_trades() -> None:
    """Attacked in eval mode, in the precision asked for once the predictions for x are there; trained in train mode."""
    passes = []

    class Noting(Seeing):
        def forward(self, x: Tensor) -> Tensor:
            logits = super().forward(x)
            passes.append((self.training, next(self.parameters()).requires_grad, logits.dtype))
            return logits

    model, x, y = Noting(small_model()).train(), torch.rand(4, 3, 6, 6), torch.tensor([0, 1, 2, 0])
    with torch.autocast("cpu", torch.bfloat16):  # as the loop trains
        TRADES(0.1, 0.1, steps=2, precision="bfloat16")(model, x, None, y)
    attacked, trained = (False, False), (True, True)
    assert passes == [
        (*attacked, torch.float32),
        *[(*attacked, torch.bfloat16)] * 2,
        *[(*trained, torch.bfloat16)] * 2,
    ]


def test_vulnerability_suppression_by_hand() -> None:
    """The mean over layers of the sums, over all neurons and positions, of the mean distance over images (Eq. 1)."""
    model, x, x_adv, y = hand_case()
    asked: list[Tensor] = []

    def attack(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        asked.append(y)
        return x_adv

    loss, terms = VulnerabilitySuppression(attack, ["conv2", "fc"], weight=0.5)(model, x, None, y)
    (conv2, logits), (conv2_adv, logits_adv) = by_hand(model, x), by_hand(model, x_adv)
    of_layers = [np.abs(conv2 - conv2_adv).sum() / 5, np.abs(logits - logits_adv).sum() / 5]
    adversarial = (cross_entropy(logits, y) + cross_entropy(logits_adv, y)) / 2
    assert terms["adv"].item() == pytest.approx(adversarial)
    assert terms["vulnerability"].item() == pytest.approx(sum(of_layers) / 2)
    assert loss.item() == pytest.approx(adversarial + 0.5 * sum(of_layers) / 2)
    assert asked == [y]
    terms["vulnerability"].backward()
    assert model.conv1[0].weight.grad.abs().sum() > 0
    assert VulnerabilitySuppression(attack, ["fc"]).weight == 1e-4


def test_radii_are_those_of_the_truncated_normal() -> None:
    """On grey images, far from 0 and 1, a pixel moves by the radius: |N(0, eps)| given that it is at most 2 eps."""
    x, y = torch.full((4000, 3, 2, 2), 0.5), torch.zeros(4000, dtype=torch.int64)
    seeing = Seeing(nn.Sequential(nn.Flatten(), nn.Linear(12, 3)))
    EAT(eps=0.1)(seeing, x, None, y)
    radius = (seeing.seen[-1] - x).abs().amax((1, 2, 3))
    distance = scipy.stats.kstest(radius.numpy(), scipy.stats.truncnorm(0, 2, scale=0.1).cdf)
    assert distance.pvalue > 0.01


def test_eat_draws_its_source_with_equal_chances() -> None:
    model, x, _, y = hand_case()
    sources = [Seeing(small_model().double().eval()) for _ in range(2)]
    objective = EAT(eps=0.1, sources=sources)
    for _ in range(300):
        objective(model, x, None, y)
    drawn = [len(source.seen) / 2 for source in sources]  # the least likely class, then the gradient
    assert scipy.stats.chisquare([*drawn, 300 - sum(drawn)]).pvalue > 0.01
    assert all(parameter.grad is None for source in sources for parameter in source.parameters())


def test_an_attack_of_no_radius_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^eps: .*0"):
        EAT(eps=0.0)


@pytest.mark.parametrize("source", ["fixed", "step"])
@pytest.mark.parametrize("adversarial", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "space_mean", "sum"])
def test_sns_by_hand(source: str, adversarial: bool, reduction: str) -> None:
    model, x, x_adv, y = hand_case()
    omega = {"conv2": torch.tensor([2, 0]), "fc": torch.tensor([1])}
    origin: dict[str, Any] = {"pairs": x_adv} if source == "fixed" else {"attack": lambda model, x, y: x_adv}
    objective = SNS(omega, lam=3.0, adversarial=adversarial, reduction=reduction, source=source, **origin)
    loss, terms = objective(model, x, x_adv if source == "fixed" else None, y)

    (conv2, logits), (conv2_adv, logits_adv) = by_hand(model, x), by_hand(model, x_adv)
    conv_term = np.abs(conv2 - conv2_adv)[:, [0, 2]].sum() / 5
    conv_term /= {"mean": 2 * 36, "space_mean": 36, "sum": 1}[reduction]
    sns = conv_term + np.abs(logits - logits_adv)[:, 1].sum() / 5
    task = cross_entropy(logits, y)
    if adversarial:
        task = (task + cross_entropy(logits_adv, y)) / 2
    assert terms["sns"].item() == pytest.approx(sns)
    assert terms["adv" if adversarial else "cls"].item() == pytest.approx(task)
    assert loss.item() == pytest.approx(task + 3 * sns)


@pytest.mark.parametrize("adversarial", [False, True])
def test_sns_in_one_pass_normalises_x_and_x_adv_together(adversarial: bool) -> None:
    model, x, x_adv, y = hand_case()
    omega = {"conv2": torch.tensor([2, 0]), "fc": torch.tensor([1])}
    objective = SNS(omega, lam=3.0, adversarial=adversarial, pairs=x_adv, one_pass=True)
    model.eval()  # where it makes no difference
    apart = SNS(omega, lam=3.0, adversarial=adversarial, pairs=x_adv)
    torch.testing.assert_close(objective(model, x, x_adv, y)[0], apart(model, x, x_adv, y)[0])

    hidden = torch.cat([x, x_adv])
    with torch.no_grad():
        for layer in (model.conv1, model.conv2, model.conv3):
            out = F.conv2d(hidden, layer[0].weight, padding=1)
            variance, mean = torch.var_mean(out, (0, 2, 3), correction=0, keepdim=True)  # of x and x' together
            hidden = ((out - mean) / (variance + 1e-5).sqrt()).relu()
        logits, logits_adv = model.fc(hidden.flatten(1)).numpy().reshape(2, 5, 3)
    model.train().dropout.eval()
    _, terms = objective(model, x, x_adv, y)
    task = cross_entropy(logits, y)
    if adversarial:
        task = (task + cross_entropy(logits_adv, y)) / 2
    assert terms["adv" if adversarial else "cls"].item() == pytest.approx(task)


def test_the_sns_term_reaches_the_weights_below_its_layer() -> None:
    model, x, x_adv, y = hand_case()
    objective = SNS({"conv2": torch.tensor([0])}, lam=1.0, adversarial=False, pairs=x_adv)
    _, terms = objective(model, x, x_adv, y)
    terms["sns"].backward()
    assert model.conv1[0].weight.grad.abs().sum() > 0
    assert model.conv3[0].weight.grad is None
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    "options",
    [
        {"source": "batch", "attack": step},
        {"source": "fixed"},
        {"source": "epoch"},
        {"source": "step", "pairs": torch.zeros(1, 3, 2, 2)},
        {"source": "fixed", "attack": step, "pairs": torch.zeros(1, 3, 2, 2)},
    ],
)
def test_sns_errors(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^source: .*{options['source']}"):
        SNS({"fc": torch.tensor([0])}, lam=1.0, adversarial=True, **options)


@pytest.mark.parametrize(
    ("objective", "argument"),
    [
        *((lambda eps=eps: EAT(eps), "eps") for eps in (0.0, -0.1, 8, float("nan"))),
        *((lambda weight=weight: ALP(step, weight), "weight") for weight in (-0.5, float("nan"))),
        *((lambda lam=lam: SNS({}, lam, True, source="step", attack=step), "lam") for lam in (-1.0, float("nan"))),
        (lambda: SNS({}, 1.0, True, "median", source="step", attack=step), "reduction"),
        (lambda: TRADES(8, 0.1, 1), "eps"),
        (lambda: TRADES(0.1, -0.1, 1), "step_size"),
        (lambda: TRADES(0.1, 0.1, 0), "steps"),
        (lambda: TRADES(0.1, 0.1, 1, precision="float16"), "precision"),
        (lambda: TRADES(0.1, 0.1, 1, beta=-6.0), "beta"),
        (lambda: VulnerabilitySuppression(step, ["fc"], -1.0), "weight"),
    ],
)
def test_objective_errors(objective: Callable[[], Objective], argument: str) -> None:
    with pytest.raises(ValueError, match=rf"^{argument}: "):
        objective()


def test_nat_with_radii_beyond_a_whole_image_steps_to_black_or_white() -> None:
    """Twice 0.8 is more than any pixel can move: as far as 1 is as far as there is."""
    x, y = to_float(small_data().train.images[:4]), torch.arange(4) % 3
    loss, _ = EAT(0.8)(small_model(), x, None, y)
    assert loss.isfinite()
