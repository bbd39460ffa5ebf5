"""On which axis neurons are: the same rule for every function, and an error where it cannot be known."""

import pytest
import torch
from torch import Tensor, nn
from zoo import Signals, Tokens, images, outputs, sensitivity

from snslib import build_model, neuron_sensitivity, record, suppress
from snslib.neurons import neuron_axis
from snslib.sensitivity import neuron_activation

TOKENS = {"embed": 2, "act": 2, "norm": 2, "mlp": 2, "mlp.0": 2, "mlp.1": 2, "fc": 1}
SIGNALS = {"conv": 1, "act": 1, "fc": 1}


@pytest.mark.parametrize(("model", "layers"), [(Tokens(), TOKENS), (Signals(), SIGNALS)], ids=["tokens", "signals"])
def test_tokens_and_signals_give_one_number_per_neuron_everywhere(model: nn.Module, layers: dict[str, int]) -> None:
    x, x_adv = images(), images()
    wanted = outputs(model, x, layers)
    with record(model, list(layers)) as recorded, torch.no_grad():
        model(x)
    for name in layers:
        torch.testing.assert_close(recorded[name].double(), wanted[name], rtol=1e-4, atol=1e-5)
    found = neuron_sensitivity(model, [(x, x_adv)], list(layers))
    torch.testing.assert_close(found, sensitivity(model, x, x_adv, layers), rtol=1e-4, atol=1e-5)
    activation = neuron_activation(model, [x], list(layers))
    assert {name: value.shape for name, value in activation.items()} == {
        name: value.shape for name, value in found.items()
    }


@pytest.mark.parametrize("name", ["embed", "act", "norm", "mlp"])
def test_a_neuron_of_tokens_is_suppressed_in_all_of_them(name: str) -> None:
    model, x, seen = Tokens(), images(), []
    with suppress(model, {name: [2]}, 0.0):
        handle = model.get_submodule(name).register_forward_hook(lambda _m, _i, output: seen.append(output))
        model(x)
        handle.remove()
    assert (seen[0][:, :, 2] == 0).all()
    assert (seen[0][:, :, [0, 1, 3, 4, 5]] != 0).any(dim=1).all()


class NHWC(nn.LayerNorm):
    """A LayerNorm of somebody's own, for (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Permuted(nn.Module):
    """Its activation gets (N, H, W, C) of a convolution with as many channels as an image has rows."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, channels, 3, padding=1), nn.ReLU()
        self.fc = nn.Linear(channels, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.act(self.conv(x).permute(0, 2, 3, 1)).mean((1, 2)))


def test_of_axes_of_one_length_that_a_network_rearranges_none_is_guessed() -> None:
    x, x_adv = images(), images()
    told = Permuted(5)
    found = neuron_sensitivity(told, [(x, x_adv)], ["act"])
    torch.testing.assert_close(found, sensitivity(told, x, x_adv, {"act": 3}), rtol=1e-4, atol=1e-5)
    open_to_both = Permuted(16)
    with pytest.raises(ValueError, match=r"^layers: 'act', a ReLU, .* cannot be known; pass axis=1 .* or axis=3"):
        neuron_sensitivity(open_to_both, [(x, x_adv)], ["act"])
    found = neuron_sensitivity(open_to_both, [(x, x_adv)], ["conv", "act"], axis={"act": 3})
    wanted = sensitivity(open_to_both, x, x_adv, {"conv": 1, "act": 3})
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


CONVOLUTIONS = nn.ModuleDict({"conv": nn.Conv2d(3, 6, 3), "act": nn.ReLU(), "norm": NHWC(6), "own": nn.Identity()})
MIXED = nn.ModuleDict({"conv": nn.Conv2d(3, 6, 4), "fc": nn.Linear(6, 8), "act": nn.ReLU(), "both": nn.Identity()})


@pytest.mark.parametrize(
    ("model", "name", "shape", "axis"),
    [
        (CONVOLUTIONS, "conv", (2, 6, 6, 6), 1),
        (CONVOLUTIONS, "act", (2, 6, 6, 6), 1),  # all axes are alike, and all layers say 1
        (CONVOLUTIONS, "norm", (2, 6, 5, 5), 1),
        (CONVOLUTIONS, "own", (2, 5, 5, 6), 3),
        (CONVOLUTIONS, "own", (2, 12, 5, 5), 1),  # as of channels that were joined
        (MIXED, "act", (2, 49, 8), 2),
        (MIXED, "act", (2, 8, 49), 1),
        (MIXED, "both", (2, 7), 1),
        (nn.Sequential(nn.Identity(), nn.Conv2d(3, 4, 3)), "0", (2, 3, 9, 9), 1),
        (nn.Sequential(nn.Sequential(nn.Linear(4, 9), nn.ReLU())), "0", (2, 5, 9), 2),
        (nn.Sequential(nn.Sequential(nn.Linear(4, 9), nn.ReLU())), "0", (2, 9, 5), 1),
    ],
)
def test_the_axis_is_found_by_kinds_of_layers_and_numbers_of_channels(
    model: nn.Module, name: str, shape: tuple[int, ...], axis: int
) -> None:
    assert neuron_axis(model, name, torch.empty(shape)) == axis


@pytest.mark.parametrize(
    ("model", "name", "shape"),
    [
        (nn.Sequential(nn.Identity()), "0", (2, 5, 7)),
        (MIXED, "both", (2, 4, 16, 16)),  # as attention weights: no layer has as many channels
        (MIXED, "both", (2, 6, 8, 8)),  # both a convolution and a linear layer could have put it out
        (MIXED, "both", (2, 5, 7, 7, 9)),
    ],
)
def test_an_axis_that_cannot_be_known_is_asked_for(model: nn.Module, name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"^layers: '{name}', a Identity, .* pass axis=1"):
        neuron_axis(model, name, torch.empty(shape))
    assert neuron_axis(model, name, torch.empty(shape), axis=-1) == len(shape) - 1
    assert neuron_axis(model, name, torch.empty(shape), axis=1) == 1


@pytest.mark.parametrize("axis", [0, 3, -3, True, 1.0, "1"])
def test_an_axis_is_one_of_those_that_there_are(axis: object) -> None:
    with pytest.raises(ValueError, match=r"^axis: '0' outputs \(2, 5, 7\), .* axes 1 to 2"):
        neuron_axis(nn.Sequential(nn.Linear(7, 7)), "0", torch.empty(2, 5, 7), axis)


class Own(nn.Module):
    """A matrix product: no layer says where the neurons are."""

    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.part(x.flatten(2)).mean(1)[:, :4]


def test_the_axis_that_was_given_is_taken_in_every_function() -> None:
    model, x, x_adv = Own(), images(), images()
    for call in (
        lambda **axis: neuron_sensitivity(model, [(x, x_adv)], ["part"], **axis),
        lambda **axis: neuron_activation(model, [x], ["part"], **axis),
    ):
        with pytest.raises(ValueError, match=r"^layers: 'part'.* cannot be known; pass axis="):
            call()
        assert call(axis=1)["part"].shape == (3,)
        assert call(axis=2)["part"].shape == (256,)
    for context in (
        lambda **axis: record(model, ["part"], **axis),
        lambda **axis: suppress(model, {"part": [0]}, 0, **axis),
    ):
        with context(), pytest.raises(ValueError, match=r"^layers: 'part'.* cannot be known; pass axis="):
            model(x)
    with suppress(model, {"part": [5]}, 0.0, axis=2):
        assert (model(x)[:, :4] == x.flatten(2).mean(1)[:, :4]).all()
    with suppress(model, {"part": [1]}, 0.0, axis=2):
        assert (model(x)[:, 1] == 0).all()


def test_a_first_axis_that_is_not_that_of_the_images_is_refused() -> None:
    class Windows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = nn.Linear(8, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.part(x.reshape(-1, 6, 8)).reshape(len(x), -1)[:, :4]

    model, x = Windows(), images()
    for call in (
        lambda: neuron_sensitivity(model, [(x, x)], ["part"]),
        lambda: neuron_activation(model, [x], ["part"]),
    ):
        with pytest.raises(ValueError, match=r"^layers: 'part' outputs .* the first axis has to be that of the images"):
            call()
    with suppress(model, {"part": [0]}, 0.0), pytest.raises(ValueError, match=r"^layers: 'part' outputs"):
        model(x)


@pytest.mark.parametrize("width", [1 / 16, 1 / 2])
@pytest.mark.parametrize("name", ["vgg16", "alexnet", "resnet18", "googlenet"])
def test_all_layers_of_our_networks_have_their_channels_on_axis_1(name: str, width: float) -> None:
    """At half width the first layers have as many channels as the images have rows and columns."""
    model, shapes = build_model(name, width=width).eval(), {}
    for layer, module in model.named_modules():
        module.register_forward_hook(lambda _m, _i, output, layer=layer: shapes.update({layer: output}))
    with torch.no_grad():
        model(torch.rand(1, 3, 32, 32))
    assert {neuron_axis(model, layer, output) for layer, output in shapes.items() if output.ndim > 1} == {1}
