"""The one loop over images that all measurements of neurons share."""

import pytest
import torch
from torch import Tensor, nn

from snslib.means import mean_over_images


class Doubles(nn.Module):
    """Images (N, 1, 1, 1) through a layer that doubles them, with another that does not run."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.twice.weight, 2)
        self.unused = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return 1 - self.twice(x.flatten(1))


def images(*values: float) -> Tensor:
    return torch.tensor(values).view(-1, 1, 1, 1)


def total(output: Tensor) -> Tensor:
    return output.sum(0)


def test_batches_of_different_sizes_count_by_their_images() -> None:
    inputs = [(images(0.25, 0.5, 0.75), 3), (images(0.5), 1)]
    means = mean_over_images(Doubles(), inputs, {"twice": total})
    torch.testing.assert_close(means, {"twice": torch.tensor([1.0])})
    assert means["twice"].dtype == torch.float32


def test_each_layer_has_a_statistic_of_its_own_and_the_empty_name_is_the_model() -> None:
    statistics = {"": total, "twice": lambda output: (output > 0.75).sum(0)}
    means = mean_over_images(Doubles(), [(images(0.25, 0.5), 2)], statistics, torch.float64)
    assert {name: mean.tolist() for name, mean in means.items()} == {"": [0.25], "twice": [0.5]}
    assert [*means] == ["", "twice"]
    assert means["twice"].dtype == torch.float64


def test_two_images_may_count_as_one() -> None:
    means = mean_over_images(Doubles(), [(images(0.25, 0.5), 1)], {"twice": total})
    assert means["twice"].tolist() == [1.5]


def test_without_inputs_there_are_no_means() -> None:
    assert mean_over_images(Doubles(), [], {"twice": total}) == {}


def test_the_model_is_left_as_it_was() -> None:
    model = Doubles().train()
    mean_over_images(model, [(images(0.5), 1)], {"twice": total})
    assert model.training
    assert model.twice.weight.requires_grad
    assert not model.twice._forward_hooks


def test_what_has_no_mean_is_named() -> None:
    inputs = [(images(0.5), 1)]
    with pytest.raises(ValueError, match="no layer 'other'"):
        mean_over_images(Doubles(), inputs, {"other": total})
    with pytest.raises(ValueError, match="unused did not run"):
        mean_over_images(Doubles(), inputs, {"twice": total, "unused": total})
    with pytest.raises(ValueError, match="'twice' is not finite"):
        mean_over_images(Doubles(), inputs, {"twice": lambda output: output.sum(0) / 0})
