"""The attack that drives neurons away, against PGD, against how far a linear neuron goes, and against dead ones."""

import pytest
import torch
from torch import Tensor, nn

from snslib import attacks
from snslib.data import Split, to_float
from snslib.evaluation.adaptive import drive_away, mean_output, movement

EPS = 1 / 16
OMEGA = {"neurons": torch.tensor([1])}


class TwoNeurons(nn.Module):
    """Logits from neuron 0 alone; neuron 1, on the other half of the image, says nothing about the class."""

    def __init__(self, bias: float = 9.0) -> None:
        super().__init__()
        self.linear = nn.Linear(48, 2)
        with torch.no_grad():
            self.linear.weight.zero_()
            self.linear.weight[0, :24], self.linear.weight[1, 24:] = torch.randn(2, 24)
            self.linear.bias.copy_(torch.tensor([9.0, bias]))
        self.neurons = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        first, _ = self.neurons(self.linear(x.flatten(1))).unbind(1)
        return torch.stack([first - 9, 9 - first], 1)


@pytest.fixture
def model() -> TwoNeurons:
    return TwoNeurons()


@pytest.fixture
def images() -> Split:
    """Far enough from black and white that nothing is clipped."""
    return Split(torch.randint(64, 192, (6, 3, 4, 4), dtype=torch.uint8), torch.arange(6) % 2)


def start(seed: int = 0) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)


def test_without_a_weight_it_is_pgd_from_the_same_start(model: TwoNeurons, images: Split) -> None:
    x, y = to_float(images.images), images.labels
    ours = drive_away(OMEGA, {"neurons": 2.0}, EPS, 0.0, 3, start())(model, x, y)
    theirs = attacks.pgd(model, x, y, EPS, EPS / 4, 3, random_start=True, generator=start())
    assert torch.equal(ours, theirs)


def test_a_neuron_is_driven_as_far_as_a_linear_one_goes(model: TwoNeurons, images: Split) -> None:
    """By eps times the L1 norm of its weights, in units of its clean output; PGD leaves it to the start."""
    units = mean_output(model, images, OMEGA)
    [of_neuron] = units.values()
    x = to_float(images.images)
    by_hand = (x.flatten(1) @ model.linear.weight[1] + model.linear.bias[1]).detach()
    assert of_neuron == pytest.approx(by_hand.mean().item(), rel=1e-5)
    reach = EPS * model.linear.weight[1].abs().sum().item() / of_neuron
    driven = movement(model, images, OMEGA, units, drive_away(OMEGA, units, EPS, 1.0, 12, start()))
    plain = movement(model, images, OMEGA, units, drive_away(OMEGA, units, EPS, 0.0, 12, start()))
    assert driven == pytest.approx(reach, rel=1e-4)
    assert plain < 0.5 * reach


def test_the_class_is_attacked_as_well(model: TwoNeurons, images: Split) -> None:
    x, y = to_float(images.images), images.labels
    x_adv = drive_away(OMEGA, {"neurons": 1.0}, EPS, 1.0, 12, start())(model, x, y)
    toward = model.linear.weight[0, :24].sign() * torch.where(y == 0, -1, 1)[:, None]  # class 0 has the larger neuron 0
    assert torch.allclose((x_adv - x).flatten(1)[:, :24], EPS * toward, atol=1e-6)
    assert (x_adv - x).abs().max() <= EPS + 1e-6


def test_dead_neurons_are_not_driven_and_have_a_unit(images: Split) -> None:
    dead = TwoNeurons(bias=-99.0)
    units = mean_output(dead, images, OMEGA)
    assert units == {"neurons": 1.0}
    assert movement(dead, images, OMEGA, units, drive_away(OMEGA, units, EPS, 100.0, 3, start())) == 0


def test_the_model_stays_as_it_was(model: TwoNeurons, images: Split) -> None:
    model.train()
    mean_output(model, images, OMEGA)
    attack = drive_away(OMEGA, {"neurons": 1.0}, EPS, 1.0, 2, start())
    movement(model, images, OMEGA, {"neurons": 1.0}, attack)
    assert model.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("wrong", "named"), [({"eps": 0.0}, "eps"), ({"weight": -1.0}, "weight"), ({"steps": 0}, "steps")]
)
def test_bad_arguments_are_named(wrong: dict[str, float], named: str) -> None:
    good = {"omega": OMEGA, "units": {"neurons": 1.0}, "eps": EPS, "weight": 1.0, "steps": 2, "generator": start()}
    with pytest.raises(ValueError, match=f"^{named}: "):
        drive_away(**good | wrong)
