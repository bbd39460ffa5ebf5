"""The networks: layer names and sizes from the paper and torchvision, parameters counted independently."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from snslib.hooks import record, suppress
from snslib.training.models import BUILDERS, MEAN, STD, SWITCHABLE, Normalise, build_model, split_at, switch_off


def on_meta(name: str, **options: float) -> nn.Module:
    """A model of full width without the memory for its weights."""
    with torch.device("meta"):
        return build_model(name, **options)


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def shapes(model: nn.Module, layers: tuple[str, ...], size: int) -> list[tuple[int, ...]]:
    """(C, H, W) of the layers' outputs."""
    device = next(model.parameters()).device
    with record(model.eval(), layers) as activations, torch.no_grad():
        model(torch.zeros(1, 3, size, size, device=device))
    return [tuple(activations[layer].shape[1:]) for layer in layers]


# --- the sizes of the published networks ---


def test_vgg16_has_the_papers_layers() -> None:
    model = on_meta("vgg16")
    names = [name for name, _ in model.named_children()]
    assert model.conv_layers == tuple(f"conv{i}" for i in range(1, 14))
    assert [n for n in names if n.startswith("pool")] == [f"pool{i}" for i in range(1, 6)]
    # where VGG-16 pools: after 2, 2, 3, 3 and 3 convolutions
    assert [names[names.index(f"pool{i}") - 1] for i in range(1, 6)] == ["conv2", "conv4", "conv7", "conv10", "conv13"]
    channels = [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
    sides = [32] * 2 + [16] * 2 + [8] * 3 + [4] * 3 + [2] * 3
    assert shapes(model, model.conv_layers, 32) == [(c, s, s) for c, s in zip(channels, sides, strict=True)]
    assert shapes(model, ("pool5",), 32) == [(512, 1, 1)]
    assert (model.fc.in_features, model.fc.out_features) == (512, 10)


def test_vgg16_has_as_many_parameters_as_torchvisions_features_and_one_linear_layer() -> None:
    with torch.device("meta"):
        features = torchvision.models.vgg16_bn().features
    biases = sum(module.out_channels for module in features if isinstance(module, nn.Conv2d))  # BatchNorm has its own
    assert parameters(on_meta("vgg16")) == parameters(features) - biases + (512 + 1) * 10


def test_resnet18_is_torchvisions_with_a_3x3_stem() -> None:
    with torch.device("meta"):
        reference = torchvision.models.resnet18(num_classes=10)
    model = on_meta("resnet18")
    assert parameters(model) == parameters(reference) - 64 * 3 * (7 * 7 - 3 * 3)
    assert len(model.conv_layers) == 17
    assert shapes(model, ("conv1", "block1", "block2", "block3", "block5", "block7", "block8"), 32) == [
        (64, 32, 32),
        (64, 32, 32),
        (64, 32, 32),
        (128, 16, 16),
        (256, 8, 8),
        (512, 4, 4),
        (512, 4, 4),
    ]


def test_alexnet_has_torchvisions_convolutions() -> None:
    with torch.device("meta"):
        reference = torchvision.models.alexnet()
    model = on_meta("alexnet", num_classes=200, image_size=224)

    def kernels(model: nn.Module) -> list[torch.Size]:
        return [module.weight.shape for module in model.modules() if isinstance(module, nn.Conv2d)]

    assert kernels(model) == kernels(reference)
    assert model.conv_layers == ("conv1", "conv2", "conv3", "conv4", "conv5")
    assert (model.fc.in_features, model.fc.out_features) == (4096, 200)


def test_googlenet_has_the_published_channels() -> None:
    """Szegedy et al. 2015, Table 1, column "output size"."""
    model = on_meta("googlenet")
    channels = [256, 480, 512, 512, 512, 528, 832, 832, 1024]
    assert [c for c, _, _ in shapes(model, model.conv_layers[1:], 32)] == channels
    assert model.fc.in_features == 1024


# --- every network ---


@pytest.mark.trains
@pytest.mark.parametrize(
    ("name", "size"), [*((name, 32) for name in BUILDERS), ("alexnet", 64), ("alexnet", 224), ("vgg16", 64)]
)
def test_every_network_runs_and_can_be_trained(name: str, size: int) -> None:
    model = build_model(name, num_classes=7, width=1 / 16, image_size=size)
    logits = model(torch.rand(2, 3, size, size))
    assert logits.shape == (2, 7)
    logits.pow(2).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert all(isinstance(model.get_submodule(layer), nn.Module) for layer in model.conv_layers)


@pytest.mark.parametrize("name", BUILDERS)
def test_a_convolutional_layer_is_recorded_after_its_relu(name: str) -> None:
    model = build_model(name, width=1 / 16).eval()
    with record(model, model.conv_layers) as activations:
        model(torch.rand(1, 3, 32, 32))
    assert all((activation >= 0).all() for activation in activations.values())
    assert all((activation == 0).any() for activation in activations.values())


@pytest.mark.parametrize("name", BUILDERS)
def test_normalisation_is_inside(name: str) -> None:
    model, x = build_model(name, width=1 / 16).eval(), torch.rand(2, 3, 32, 32)
    normalised = torch.stack([(x[:, c] - MEAN[c]) / STD[c] for c in range(3)], dim=1)
    torch.testing.assert_close(model.normalise(x), normalised)
    output = model(x)
    model.normalise = nn.Identity()
    torch.testing.assert_close(model(normalised), output)


def test_normalisation_is_no_parameter_and_follows_the_model() -> None:
    normalise = Normalise().double()
    assert not list(normalise.parameters())
    assert normalise(torch.rand(1, 3, 2, 2, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("name", BUILDERS)
def test_the_seed_decides_the_weights(name: str) -> None:
    def weights(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return torch.nn.utils.parameters_to_vector(build_model(name, width=1 / 16).parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_width_scales_the_hidden_channels() -> None:
    model = on_meta("vgg16", width=0.25)
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert [conv.out_channels for conv in convolutions] == [16] * 2 + [32] * 2 + [64] * 3 + [128] * 6
    assert (convolutions[0].in_channels, model.fc.in_features, model.fc.out_features) == (3, 128, 10)
    narrowest = on_meta("vgg16", width=1e-6)
    assert {conv.out_channels for conv in narrowest.modules() if isinstance(conv, nn.Conv2d)} == {4}


@pytest.mark.parametrize(
    ("name", "first_layer"), [("vgg16", "conv8"), ("vgg16", "fc"), ("alexnet", "fc1"), ("resnet18", "block5")]
)
def test_a_split_model_shares_its_layers_and_puts_out_the_same(name: str, first_layer: str) -> None:
    model, x = build_model(name, width=1 / 16).eval(), torch.rand(2, 3, 32, 32)
    bottom, top = split_at(model, first_layer)
    halves = [*bottom.named_children(), *top.named_children()]
    assert [name for name, _ in halves] == [name for name, _ in model.named_children()]
    assert all(layer is model.get_submodule(name) for name, layer in halves)
    assert next(name for name, _ in top.named_children()) == first_layer
    assert torch.equal(top(bottom(x)), model(x))


def test_without_a_first_layer_nothing_is_split_off() -> None:
    model = build_model("vgg16", width=1 / 16)
    bottom, top = split_at(model, None)
    assert top is model
    assert not list(bottom.children())


def test_what_cannot_be_split_is_named() -> None:
    with pytest.raises(ValueError, match=r"^first_layer: .*conv13.*'conv14'"):
        split_at(build_model("vgg16", width=1 / 16), "conv14")
    with pytest.raises(ValueError, match=r"^first_layer: .*'block1.conv1'"):  # a block cannot be entered midway
        split_at(build_model("resnet18", width=1 / 16), "block1.conv1")
    with pytest.raises(ValueError, match=r"^model: .*Linear"):
        split_at(nn.Linear(1, 1), "weight")


@pytest.mark.parametrize("name", SWITCHABLE)
def test_neurons_that_are_switched_off_are_as_if_suppressed_and_stay_off_in_training(name: str) -> None:
    torch.manual_seed(0)
    model, x = build_model(name, width=1 / 16), torch.rand(8, 3, 32, 32)
    neurons = {"conv3": torch.tensor([2, 0]), "conv5": torch.tensor([1])}
    with suppress(model.eval(), neurons, beta=0), torch.no_grad():
        suppressed = model(x)
    switch_off(model, neurons)
    with record(model, list(neurons)) as before, torch.no_grad():
        torch.testing.assert_close(model(x), suppressed)
    before = dict(before)

    optimizer = torch.optim.SGD(model.train().parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(x), torch.arange(8)).backward()
        optimizer.step()
    with record(model.eval(), list(neurons)) as after, torch.no_grad():
        model(x)
    for layer, channels in neurons.items():
        others = [channel for channel in range(before[layer].shape[1]) if channel not in channels.tolist()]
        assert not before[layer][:, channels].any()
        assert not after[layer][:, channels].any()
        assert not torch.equal(before[layer][:, others], after[layer][:, others])


@pytest.mark.parametrize(
    ("name", "neurons", "message"),
    [
        ("vgg16", {"conv8": torch.tensor([0]), "fc": torch.tensor([1])}, r"^neurons: .*'fc'"),
        ("resnet18", {"block5.conv1": torch.tensor([0]), "block5": torch.tensor([1])}, r"^neurons: .*'block5'"),
        ("vgg16", {"conv8": torch.tensor([0]), "conv9": torch.tensor([999])}, r"^neurons: 'conv9'.*999"),
        ("vgg16", {"conv14": torch.tensor([0])}, r"^layers: .*conv14"),
        (
            "vgg16",
            {"conv8": torch.tensor([0]), "conv9": torch.ones(32, dtype=torch.bool)},
            r"^neurons: .*'conv9'.*mask",
        ),
    ],
)
def test_what_cannot_be_switched_off_is_named_and_nothing_is_changed(
    name: str, neurons: dict[str, Tensor], message: str
) -> None:
    model = build_model(name, width=1 / 16)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        switch_off(model, neurons)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "vgg19"}, r"^model: .*vgg16, alexnet, resnet18, googlenet.*'vgg19'"),
        ({"num_classes": 1}, r"^num_classes: "),
        ({"num_classes": 10.0}, r"^num_classes: "),
        ({"num_classes": True}, r"^num_classes: "),
        ({"width": float("inf")}, r"^width: "),
        ({"width": "1/8"}, r"^width: "),
        ({"width": 0}, r"width"),
        ({"width": -1.0}, r"width"),
        ({"width": float("nan")}, r"width"),
        ({"image_size": 28}, r"image_size"),
    ],
)
def test_build_model_errors(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_model(**({"name": "vgg16"} | options))
