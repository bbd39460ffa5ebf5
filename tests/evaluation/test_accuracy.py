"""Accuracy is the share of images that a model gets right, counted one by one."""

import pytest
import torch
from torch import Tensor, nn

from snslib.attacks import Attack, paper_attacks
from snslib.data import Split
from snslib.evaluation.accuracy import accuracy, correct, predicted, robust_to_all
from snslib.training.models import build_model


class BySum(nn.Module):
    """Class 1 for bright images, class 0 for dark ones."""

    def forward(self, x: Tensor) -> Tensor:
        bright = x.mean((1, 2, 3))
        return torch.stack([0.5 - bright, bright - 0.5], dim=1)


def levels(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 4, 4).contiguous()


def test_each_image_counts_once_in_any_batch_size() -> None:
    split = Split(levels(0, 255, 10, 200, 90), torch.tensor([0, 1, 1, 1, 0]))
    for batch_size in (1, 2, 5, 100):
        assert correct(BySum(), split, batch_size=batch_size).tolist() == [True, True, False, True, True]
        assert accuracy(BySum(), split, batch_size=batch_size) == 0.8


def test_the_attack_gets_the_true_labels_and_its_images_are_judged() -> None:
    split = Split(levels(0, 255), torch.tensor([0, 1]))

    def invert(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        assert y.tolist() == [0, 1]
        return 1 - x

    assert accuracy(BySum(), split, invert) == 0.0


def test_the_model_is_judged_in_eval_mode_and_left_as_it_was() -> None:
    model = nn.Sequential(nn.Dropout(1.0), BySum()).train()
    assert predicted(model, [torch.ones(2, 3, 4, 4)]).tolist() == [1, 1]  # dropout would make them dark
    assert model.training
    assert model[0].training


# --- what is no accuracy ---


class NotFinite(nn.Module):
    """BySum, whose logits of bright images are something else."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.rule, self.value = BySum(), value

    def forward(self, x: Tensor) -> Tensor:
        logits = self.rule(x)
        return torch.where(logits[:, 1:] > 0, self.value, logits)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_logits_that_are_not_finite_are_no_prediction(value: float) -> None:
    split = Split(levels(0, 10, 255), torch.tensor([0, 0, 1]))
    assert accuracy(NotFinite(value), split.take(2)) == 1
    for attack in (None, lambda model, x, y: x):
        with pytest.raises(
            ValueError, match=r"^model: its logits are not finite; the output of the model is the first"
        ):
            accuracy(NotFinite(value), split, attack)


def test_a_network_that_diverged_is_not_robust_but_refused_and_its_first_such_layer_named() -> None:
    model = build_model("vgg16", width=1 / 16)
    split = Split(torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8), torch.arange(4))
    with torch.no_grad():
        model.get_submodule("conv3")[0].weight[1, 0, 0, 0] = torch.nan
    for attack in (None, *paper_attacks(0.1, 0.01, 2).values()):
        with pytest.raises(ValueError, match=r"^model: .*; the output of 'conv3\.0' is the first that is not finite"):
            accuracy(model, split, attack)


@pytest.mark.parametrize(
    ("attack", "eps"),
    [
        (lambda model, x, y: x + 0.3, None),
        (lambda model, x, y: x * torch.nan, None),
        (lambda model, x, y: x[:, :, :2], None),
        (lambda model, x, y: x[:1], None),
        (lambda model, x, y: (x * 255).byte(), None),
        (lambda model, x, y: (x, y), None),
        (lambda model, x, y: x - 0.2, 0.1),
    ],
)
def test_an_attack_that_breaks_its_promise_is_not_measured(attack: Attack, eps: float | None) -> None:
    split = Split(levels(90, 200), torch.tensor([0, 1]))
    for measure in (correct, accuracy):
        with pytest.raises(ValueError, match=r"^attack: expected x' "):
            measure(BySum(), split, attack, eps=eps)
    with pytest.raises(ValueError, match=r"^attack: expected x' "):
        robust_to_all(BySum(), split, [attack], eps=eps)


def test_an_attack_that_keeps_to_eps_is_measured() -> None:
    split = Split(levels(100, 200), torch.tensor([0, 1]))
    for eps, expected in ((0.05, 1.0), (0.2, 0.5)):
        assert accuracy(BySum(), split, lambda model, x, y: x + eps, eps=eps) == expected  # noqa: B023


def test_labels_that_the_model_has_no_class_for_are_refused() -> None:
    for labels in ([0, 2], [0, -1]):
        split = Split(levels(0, 255), torch.tensor(labels))
        for attack in (None, lambda model, x, y: x):
            with pytest.raises(ValueError, match=r"^(model: class 2 needs|split: classes are counted from 0)"):
                accuracy(BySum(), split, attack)


def test_no_images_have_no_accuracy() -> None:
    with pytest.raises(ValueError, match=r"^split: expected a Split, such as the test of a data set"):
        accuracy(BySum(), levels(0))
    with pytest.raises(ValueError, match=r"^split: expected at least one image"):
        accuracy(BySum(), Split(levels(0), torch.tensor([0])).take(0))
    with pytest.raises(ValueError, match=r"^images: got none"):
        predicted(BySum(), [])


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, True])
def test_a_batch_has_at_least_one_image(batch_size: int) -> None:
    for attack in (None, lambda model, x, y: x):
        with pytest.raises(ValueError, match=r"^batch_size: expected an integer >= 1"):
            accuracy(BySum(), Split(levels(0), torch.tensor([0])), attack, batch_size)


def test_what_outputs_no_logits_is_no_classifier() -> None:
    with pytest.raises(ValueError, match=r"^model: .*logits \(N, K\).* outputs float32 of shape \(1, 3, 4, 4\)"):
        predicted(nn.Identity(), [torch.zeros(1, 3, 4, 4)])
    with pytest.raises(ValueError, match=r"^model: expected an nn\.Module"):
        predicted(lambda x: x, [torch.zeros(1, 3, 4, 4)])
