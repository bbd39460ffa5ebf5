"""Accuracy is the share of images that a model gets right, counted one by one."""

import torch
from torch import Tensor, nn

from snslib.data import Split
from snslib.evaluation.accuracy import accuracy, correct, predicted


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
