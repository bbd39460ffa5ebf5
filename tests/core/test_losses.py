"""The SNS loss (Eq. 9) and the adversarial loss (in Eq. 11) by hand, their gradients numerically."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from snslib.losses import REDUCTIONS, adversarial_loss, deviation, logit_pairing, sns_loss


def case() -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """A convolutional layer (2 images, 3 channels, 1x2 positions) and a linear one (2 images, 4 channels).

    |difference| of the conv layer, per image: channel 0: (1, 1), (0, 2); channel 1: any; channel 2: (3, 1), (0, 0).
    Of the linear layer: channel 3: 5 and 1.
    """
    conv = torch.tensor([[[1.0, 2.0], [9.0, 9.0], [0.0, 1.0]], [[0.0, 4.0], [7.0, 7.0], [2.0, 2.0]]])
    conv_adv = torch.tensor([[[2.0, 1.0], [0.0, 0.0], [3.0, 0.0]], [[0.0, 2.0], [1.0, 1.0], [2.0, 2.0]]])
    linear = torch.tensor([[0.0, 0.0, 0.0, 5.0], [1.0, 1.0, 1.0, 1.0]])
    linear_adv = torch.tensor([[8.0, 8.0, 8.0, 0.0], [8.0, 8.0, 8.0, 2.0]])
    return (
        {"conv": conv.unsqueeze(2), "fc": linear},
        {"conv": conv_adv.unsqueeze(2), "fc": linear_adv},
        {"conv": torch.tensor([2, 0]), "fc": torch.tensor([3])},
    )


@pytest.mark.parametrize(
    ("reduction", "conv", "fc"),
    [
        ("sum", (1 + 1 + 3 + 1 + 0 + 2 + 0 + 0) / 2, (5 + 1) / 2),  # averaged over the two images
        ("space_mean", 8 / 2 / 2, 6 / 2),  # and over two positions
        ("mean", 8 / 2 / 2 / 2, 6 / 2),  # and over two neurons
    ],
)
def test_sns_loss_by_hand(reduction: str, conv: float, fc: float) -> None:
    clean, adversarial, omega = case()
    assert sns_loss(clean, adversarial, omega, reduction).item() == conv + fc
    assert sns_loss(clean, adversarial, {"conv": omega["conv"]}, reduction).item() == conv
    assert sns_loss(adversarial, clean, omega, reduction).item() == conv + fc


def test_the_default_reduction_is_the_mean() -> None:
    clean, adversarial, omega = case()
    assert sns_loss(clean, adversarial, omega) == sns_loss(clean, adversarial, omega, "mean")


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_sns_loss_gradient(reduction: str) -> None:
    _, _, omega = case()
    shapes = [(2, 3, 2, 2), (2, 4), (2, 3, 2, 2), (2, 4)]
    tensors = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]

    def loss(conv: Tensor, fc: Tensor, conv_adv: Tensor, fc_adv: Tensor) -> Tensor:
        return sns_loss({"conv": conv, "fc": fc}, {"conv": conv_adv, "fc": fc_adv}, omega, reduction)

    assert torch.autograd.gradcheck(loss, tensors)


def test_the_relative_loss_by_hand() -> None:
    """Conv's channel 2: 0 1 2 2 and 3 0 2 2, off their mean 3/2 by 3 and 4; channel 0: 1 2 0 4 and 2 1 0 2, by 5 and 3.

    The linear layer's channel 3: 5 1 and 0 2, off 2 by 4 and 2.
    """
    clean, adversarial, omega = case()
    assert deviation(clean["conv"], adversarial["conv"], omega["conv"]).tolist() == [7, 8]
    assert deviation(clean["fc"], adversarial["fc"], omega["fc"]).item() == 6
    expected = ((3 + 1 + 0 + 0) / 7 + (1 + 1 + 0 + 2) / 8) / 2 + (5 + 1) / 6
    assert sns_loss(clean, adversarial, omega, "relative").item() == pytest.approx(expected)


def test_the_image_relative_loss_by_hand() -> None:
    """Conv's channel 2, position by position: 0 2 3 2 and 1 2 0 2, off 7/4 and 5/4 by 7/2 and 3; channel 0: 1 0 2 0 and
    2 4 1 2, off 3/4 and 9/4 by 3 and 7/2. The linear layer has no positions."""
    clean, adversarial, omega = case()
    assert deviation(clean["conv"], adversarial["conv"], omega["conv"], by_position=True).tolist() == [6.5, 6.5]
    expected = ((3 + 1 + 0 + 0) / 6.5 + (1 + 1 + 0 + 2) / 6.5) / 2 + (5 + 1) / 6
    assert sns_loss(clean, adversarial, omega, "image_relative").item() == pytest.approx(expected)


def test_a_pattern_that_is_the_same_for_every_image_lowers_one_remedy_and_not_the_other() -> None:
    clean, adversarial, omega = case()
    pattern = torch.tensor([-50.0, 50.0]).view(1, 1, 1, 2)
    patterned = [{**recorded, "conv": recorded["conv"] + pattern} for recorded in (clean, adversarial)]
    before, after = (sns_loss(*both, omega, "relative").item() for both in ((clean, adversarial), patterned))
    assert after < before - 0.4  # all that conv's term, about 1/2, has
    before, after = (sns_loss(*both, omega, "image_relative").item() for both in ((clean, adversarial), patterned))
    assert after == pytest.approx(before, rel=1e-4)


REMEDIES = ("relative", "image_relative")


@pytest.mark.parametrize("remedy", REMEDIES)
def test_the_relative_losses_cannot_be_lowered_by_scaling_or_shifting_a_neuron(remedy: str) -> None:
    clean, adversarial, omega = case()
    before = sns_loss(clean, adversarial, omega, remedy).item()
    for scale, shift in ((0.001, 0.0), (1.0, 100.0), (2.0, -3.0)):
        moved = ({layer: scale * a + shift for layer, a in recorded.items()} for recorded in (clean, adversarial))
        assert sns_loss(*moved, omega, remedy).item() == pytest.approx(before, rel=1e-4)


@pytest.mark.parametrize("remedy", REMEDIES)
def test_the_relative_losses_are_at_most_1_for_each_layer_and_0_for_neurons_that_are_off(remedy: str) -> None:
    omega = {"conv": torch.tensor([0, 1])}
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        a, b = (torch.randn(3, 2, 2, 2, generator=generator).relu() for _ in range(2))
        assert 0 < sns_loss({"conv": a}, {"conv": b}, omega, remedy) <= 1
    off = torch.zeros(3, 2, 2, 2, requires_grad=True)
    assert sns_loss({"conv": off.detach()}, {"conv": b}, omega, remedy) <= 1  # on for x' only: no division by 0
    loss = sns_loss({"conv": off}, {"conv": off}, omega, remedy)
    loss.backward()
    assert (loss.item(), off.grad.abs().sum().item()) == (0, 0)


READINGS = [reduction for reduction in REDUCTIONS if "relative" not in reduction]


@pytest.mark.parametrize("reduction", READINGS)
def test_sns_loss_gradient_is_0_at_ties_and_outside_of_omega(reduction: str) -> None:
    clean, adversarial, omega = case()
    for recording in (clean, adversarial):
        for tensor in recording.values():
            tensor.requires_grad_(True)
    sns_loss(clean, adversarial, omega, reduction).backward()
    signs = {
        "conv": [[[-1.0, 1.0], [0.0, 0.0], [-1.0, 1.0]], [[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]],
        "fc": [[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, -1.0]],
    }
    for layer, sign in signs.items():
        expected = torch.tensor(sign).view_as(clean[layer])
        assert torch.equal(clean[layer].grad.sign(), expected)
        assert torch.equal(adversarial[layer].grad, -clean[layer].grad)


def test_sns_loss_of_equal_recordings_is_0_with_gradient_0() -> None:
    clean, _, omega = case()
    same = {layer: tensor.clone().requires_grad_(True) for layer, tensor in clean.items()}
    loss = sns_loss(clean, same, omega)
    loss.backward()
    assert loss.item() == 0
    assert all(torch.equal(tensor.grad, torch.zeros_like(tensor)) for tensor in same.values())


def changed(**options: Any) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor], str]:
    clean, adversarial, omega = case()
    arguments = {"clean": clean, "adversarial": adversarial, "omega": omega, "reduction": "mean"} | options
    return tuple(arguments.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction": "median"}, r"^reduction: .*mean, space_mean, sum, relative.*'median'"),
        ({"omega": {}}, r"^omega: "),
        ({"omega": {"pool5": torch.tensor([0])}}, r"^omega: .*'pool5'.*conv, fc"),
        ({"omega": {"conv": torch.tensor([], dtype=torch.int64)}}, r"^omega: .*'conv'"),
        ({"omega": {"conv": torch.tensor([0, 3])}}, r"^omega: .*'conv'.*0\.\.2"),
        ({"omega": {"fc": torch.tensor([-1])}}, r"^omega: .*'fc'.*0\.\.3"),
        ({"omega": {"conv": torch.tensor([True, False, True])}}, r"^omega: expected channels of 'conv'.*mask"),
        ({"omega": {"conv": torch.tensor([0.0, 1.0])}}, r"^omega: expected channels of 'conv'.*float32"),
        ({"omega": [0, 1]}, r"^omega: expected a dictionary"),
        ({"clean": torch.zeros(2, 3)}, r"^clean: expected a dictionary"),
        ({"adversarial": None}, r"^adversarial: expected a dictionary"),
        ({"clean": {}}, r"^omega: .*'conv'.*none"),
        ({"adversarial": {"conv": torch.zeros(3, 3, 1, 2), "fc": torch.zeros(2, 4)}}, r"^adversarial: 'conv'"),
    ],
)
def test_sns_loss_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sns_loss(*changed(**options))


def test_adversarial_loss_by_hand() -> None:
    """Logits (0, log 3): probabilities 1/4 and 3/4. Clean losses log 4 and log 4/3, adversarial ones both log 2."""
    logits = torch.tensor([[0.0, math.log(3)], [0.0, math.log(3)]])
    y = torch.tensor([0, 1])
    expected = (math.log(4) + math.log(4 / 3)) / 2 / 2 + math.log(2) / 2
    assert adversarial_loss(logits, torch.zeros(2, 2), y).item() == pytest.approx(expected)


def test_logit_pairing_is_the_mean_squared_difference() -> None:
    a, b = torch.tensor([[1.0, 2.0], [0.0, -1.0]]), torch.tensor([[1.0, 0.0], [3.0, -1.0]])
    assert logit_pairing(a, b).item() == pytest.approx((4 + 9) / 4)


@pytest.mark.parametrize("other", [torch.zeros(1, 3), torch.zeros(2, 1), torch.zeros(3), torch.zeros(2, 3, 1), None])
def test_logits_that_would_be_broadcast_are_refused(other: Any) -> None:
    logits, y = torch.zeros(2, 3), torch.tensor([0, 2])
    for pair in ((logits, other), (other, logits)):
        with pytest.raises(ValueError, match=r"^logits, logits_adv: expected two tensors of one shape \(N, K\)"):
            logit_pairing(*pair)
        with pytest.raises(ValueError, match=r"^logits, logits_adv: expected two tensors of one shape \(N, K\)"):
            adversarial_loss(*pair, y)


@pytest.mark.parametrize("y", [[0, 3], [0, -1], [0, -100], [0], [], [0.0, 1.0]])
def test_classes_that_do_not_fit_the_logits_are_refused(y: list[int]) -> None:
    """-100 too, which PyTorch would leave out of the mean."""
    with pytest.raises(ValueError, match=r"^y: "):
        adversarial_loss(torch.zeros(2, 3), torch.zeros(2, 3), torch.tensor(y))


def test_no_class_is_left_out_where_the_values_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, which is not waited for: PyTorch itself refuses the class that it would else ignore."""
    monkeypatch.setattr(Tensor, "is_cuda", True)
    assert adversarial_loss(torch.zeros(2, 3), torch.zeros(2, 3), torch.tensor([0, 2])).item() == pytest.approx(
        math.log(3)
    )
    with pytest.raises(IndexError, match="out of bounds"):
        adversarial_loss(torch.zeros(2, 3), torch.zeros(2, 3), torch.tensor([0, -100]))


def test_a_deviation_is_of_two_tensors_of_one_shape_and_of_channels() -> None:
    a = torch.rand(2, 3, 2, 2)
    with pytest.raises(ValueError, match=r"^a, b: expected two tensors of one shape"):
        deviation(a, a[:1], torch.tensor([0]))
    with pytest.raises(ValueError, match=r"^neurons: "):
        deviation(a, a, torch.tensor([True, False, True]))
