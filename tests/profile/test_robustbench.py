"""Models in the style of RobustBench: its two kinds of residual networks, and checkpoints as they are published."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from snslib.data import Split
from snslib.profile.layers import find_layers
from snslib.profile.measure import profile
from snslib.profile.unwrapping import load_weights


class WideBlock(nn.Module):
    """A block of a wide residual network: normalised and activated before each convolution, in place."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.relu1 = nn.BatchNorm2d(inside), nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn2, self.relu2 = nn.BatchNorm2d(outside), nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.equal = inside == outside
        self.convShortcut = None if self.equal else nn.Conv2d(inside, outside, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        first = self.relu1(self.bn1(x))
        out = self.conv2(self.relu2(self.bn2(self.conv1(first))))
        return x + out if self.convShortcut is None else self.convShortcut(first) + out


class Stage(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int, depth: int) -> None:
        super().__init__()
        blocks = (WideBlock(inside if i == 0 else outside, outside, stride if i == 0 else 1) for i in range(depth))
        self.layer = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class WideResNet(nn.Module):
    """WideResNet-28-10 is depth 28 and width 10; a stage that is in the weights and never runs, as in TRADES."""

    def __init__(self, depth: int = 10, width: int = 1, sub_block1: bool = False) -> None:
        super().__init__()
        blocks, channels = (depth - 4) // 6, [4, 4 * width, 8 * width, 16 * width]
        self.conv1 = nn.Conv2d(3, channels[0], 3, padding=1, bias=False)
        self.block1 = Stage(channels[0], channels[1], 1, blocks)
        if sub_block1:
            self.sub_block1 = Stage(channels[0], channels[1], 1, blocks)
        self.block2 = Stage(channels[1], channels[2], 2, blocks)
        self.block3 = Stage(channels[2], channels[3], 2, blocks)
        self.bn1, self.relu = nn.BatchNorm2d(channels[3]), nn.ReLU(inplace=True)
        self.fc, self.channels = nn.Linear(channels[3], 10), channels[3]

    def forward(self, x: Tensor) -> Tensor:
        out = self.block3(self.block2(self.block1(self.conv1(x))))
        out = functional.avg_pool2d(self.relu(self.bn1(out)), out.shape[-1])
        return self.fc(out.view(-1, self.channels))


class PreActBlock(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inside), nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(outside), nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        if stride != 1 or inside != outside:
            self.shortcut = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        out = functional.relu(self.bn1(x))
        shortcut = self.shortcut(out) if hasattr(self, "shortcut") else x
        return self.conv2(functional.relu(self.bn2(self.conv1(out)))) + shortcut


class PreActResNet18(nn.Module):
    """Normalises inside by two parameters that its checkpoints do not have, as that of Wong et al. does."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.mu = nn.Parameter(torch.tensor([0.4914, 0.4822, 0.4465]).view(3, 1, 1), requires_grad=False)
        self.sigma = nn.Parameter(torch.tensor([0.2471, 0.2435, 0.2616]).view(3, 1, 1), requires_grad=False)
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        inside = width
        for place in range(4):
            outside = width * 2**place
            blocks = [PreActBlock(inside if i == 0 else outside, outside, 1 + (place > 0 and i == 0)) for i in (0, 1)]
            setattr(self, f"layer{place + 1}", nn.Sequential(*blocks))
            inside = outside
        self.bn, self.linear = nn.BatchNorm2d(inside), nn.Linear(inside, 10)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1((x - self.mu) / self.sigma)
        out = self.layer4(self.layer3(self.layer2(self.layer1(out))))
        out = functional.adaptive_avg_pool2d(functional.relu(self.bn(out)), 1)
        return self.linear(out.flatten(1))


class ImageNormalizer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.49, 0.48, 0.45]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.25, 0.24, 0.26]).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


def behind_a_normalisation(model: nn.Module) -> nn.Module:
    layers = nn.Sequential()
    layers.add_module("normalize", ImageNormalizer())
    layers.add_module("model", model)
    return layers


def mixed(model: nn.Module) -> nn.Module:
    """The model with weights as after training, all in use, and BatchNorm with statistics."""
    for name, value in model.state_dict().items():
        if name.endswith(("running_mean", "bn.bias", "bn1.bias", "bn2.bias")):
            value.uniform_(-0.2, 0.2)
        elif name.endswith(("running_var", "bn.weight", "bn1.weight", "bn2.weight")):
            value.uniform_(0.5, 1.5)
    return model.eval()


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in state.items()}


BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "WideResNet": WideResNet,
    "WideResNet of TRADES": lambda: WideResNet(sub_block1=True),
    "WideResNet behind a normalisation": lambda: behind_a_normalisation(WideResNet()),
    "PreAct ResNet-18": PreActResNet18,
    "PreAct ResNet-18 behind a normalisation": lambda: behind_a_normalisation(PreActResNet18()),
}
FORMS: dict[str, Callable[[nn.Module], object]] = {
    "plain": lambda model: model.state_dict(),
    "state_dict of DataParallel": lambda model: {"epoch": 9, "state_dict": prefixed(model.state_dict(), "module.")},
    "without what normalises": lambda model: {
        "state_dict": {
            name.removeprefix("model."): value
            for name, value in model.state_dict().items()
            if not name.endswith(("mu", "sigma", ".mean", ".std"))
        }
    },
    "net and EMA of another kind": lambda model: {
        "net": prefixed(model.state_dict(), "module."),
        "acc": 0.9,
        "ema": {},
    },
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", BUILDERS)
def test_a_checkpoint_passes_through_profile(name: str, form: str, tmp_path: Path) -> None:
    model = mixed(BUILDERS[name]())
    torch.save(FORMS[form](model), tmp_path / "w.pt")
    again = BUILDERS[name]()
    load_weights(again, tmp_path / "w.pt")
    x = torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        expected = model(x)
        assert torch.equal(again.eval()(x), expected)
        assert expected.std(0).min() > 1e-5  # an untrained one would hardly tell images apart

    images = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8)
    found = profile(again, Split(images, torch.arange(6)), eps=8 / 255)
    shapes = [tuple(each.weight.shape[:1]) for each in again.modules() if isinstance(each, (nn.Conv2d, nn.Linear))]
    unused = 2 * ("TRADES" in name)
    assert len(found.layers) == len(shapes) - unused
    assert all(sigma.isfinite().all() and sigma.max() > 0 for sigma in found.sigma.values())


def test_convolutions_of_pre_activation_networks_reach_to_what_directly_follows() -> None:
    found, classes = find_layers(WideResNet(), torch.rand(1, 3, 32, 32))
    assert classes == 10
    modules = [layer.modules for layer in found.values()]
    assert modules.count("Conv2d, BatchNorm2d, ReLU") == 4  # the first, and conv1 of each block


@pytest.mark.parametrize(
    ("model", "cause"),
    [
        (lambda: WideResNet(width=2), "size mismatch: .*another width"),
        (lambda: WideResNet(depth=16), "Missing .*block1.layer.1.*another architecture or depth"),
        (PreActResNet18, "another architecture"),
        (lambda: WideResNet(sub_block1=True), r"Missing .*: sub_block1\.layer"),
    ],
)
def test_of_another_network_the_likely_cause_is_named(
    model: Callable[[], nn.Module], cause: str, tmp_path: Path
) -> None:
    torch.save({"state_dict": prefixed(WideResNet().state_dict(), "module.")}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=f"^weights: .*w.pt does not fit: .*{cause}"):
        load_weights(model(), tmp_path / "w.pt")
