"""The networks of section 3.1, for small images, with layers named in the paper's words.

Every model takes float images (N, 3, H, W) in [0, 1] and normalises inside, so that eps means the same everywhere.
``model.conv_layers`` names its convolutional layers from bottom to top. A *neuron* is a channel of such a layer's
output, taken after BatchNorm and ReLU; ``fc`` outputs the logits.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from snslib import arguments

MEAN = (0.4914, 0.4822, 0.4465)  # CIFAR-10's mean and spread per colour, which suit natural images
STD = (0.2470, 0.2435, 0.2616)


class Normalise(nn.Module):
    """(x - mean) / std per colour: the first layer of every model."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


def conv_bn_relu(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """One convolutional layer in the paper's sense: convolution, BatchNorm, ReLU, with 'same' padding."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class _InOrder(nn.Module):
    """A model whose children run one after the other; what enters a linear layer is flattened."""

    conv_layers: tuple[str, ...]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = layer(x.flatten(1) if isinstance(layer, nn.Linear) else x)
        return x

    def name_conv_layers(self) -> None:
        self.conv_layers = tuple(name for name, _ in self.named_children() if name.startswith("conv"))


def split_at(model: nn.Module, first_layer: str | None) -> tuple[nn.Module, nn.Module]:
    """The layers below ``first_layer``, and it with those above: two models that share their layers with this one.

    For None the first has no layers, and the second is the model itself.

    Raises:
        ValueError: the model has no such layer at its top level, or does not run its layers one after the other.
    """
    if first_layer is None:
        return _InOrder(), model
    if not isinstance(model, (_InOrder, nn.Sequential)):
        raise ValueError(f"model: expected one of build_model or an nn.Sequential, got {type(model).__name__}")
    names = [name for name, _ in model.named_children()]
    arguments.one_of("first_layer", first_layer, names)
    bottom, top = _InOrder(), _InOrder()
    for position, (name, layer) in enumerate(model.named_children()):
        (bottom if position < names.index(first_layer) else top).add_module(name, layer)
    return bottom, top


@torch.no_grad()
def switch_off(model: nn.Module, neurons: Mapping[str, Tensor]) -> None:
    """Have neurons output 0 for every image from now on, also while the rest of the model is trained.

    Scale and shift of their BatchNorm become 0, and stay so: at 0 PyTorch's ReLU lets no gradient through, and there is
    nothing for weight decay to shrink.

    Args:
        model: changed in place.
        neurons: layer to its neurons, int64 (K,); each layer a convolution, BatchNorm and ReLU.

    Raises:
        ValueError: an unknown layer, one of another kind, or a neuron that a layer does not have; nothing is changed.
    """
    norms: dict[str, nn.BatchNorm2d] = {}
    chosen: dict[str, Tensor] = {}
    for name, layer in arguments.layers(model, list(neurons)).items():
        match list(layer.children()):
            case nn.Conv2d(), nn.BatchNorm2d() as norm, nn.ReLU():
                norms[name] = norm
                chosen[name] = arguments.indices("neurons", name, neurons[name])
                arguments.channels("neurons", name, chosen[name], norm.num_features)
            case _:
                raise ValueError(f"neurons: {name!r} is no convolution, BatchNorm and ReLU, whose neurons could be off")
    for name, norm in norms.items():
        channels = chosen[name].to(norm.weight.device)
        norm.weight[channels] = 0
        norm.bias[channels] = 0


class VGG16(_InOrder):
    """VGG-16 (Simonyan and Zisserman 2015) for 32x32 images: conv1..conv13 in five stages, pool1..pool5, fc.

    Tables 3-4 of the paper show its channel counts (64, 128, 256, 512, 512) and a single linear layer.
    """

    stages = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, layers

    def __init__(self, num_classes: int, width: float) -> None:
        super().__init__()
        self.normalise = Normalise()
        channels, number = 3, 0
        for stage, (base, layers) in enumerate(self.stages, start=1):
            for _ in range(layers):
                number += 1
                self.add_module(f"conv{number}", conv_bn_relu(channels, scaled(base, width)))
                channels = scaled(base, width)
            self.add_module(f"pool{stage}", nn.MaxPool2d(2))
        self.head = nn.AdaptiveAvgPool2d(1)  # leaves 32x32 images, 1x1 by now, as they are
        self.fc = nn.Linear(channels, num_classes)
        self.name_conv_layers()


class AlexNet(_InOrder):
    """AlexNet (Krizhevsky et al. 2012) with BatchNorm: conv1..conv5, pool1..pool3, fc1, fc2 and fc.

    The first convolution is 11x11 with stride 4 from 128 pixels on, 5x5 with stride 2 from 64, 3x3 with stride 1
    below, so that small images keep enough positions for the three pools.
    """

    def __init__(self, num_classes: int, width: float, image_size: int) -> None:
        super().__init__()
        kernel, stride = (11, 4) if image_size >= 128 else (5, 2) if image_size >= 64 else (3, 1)
        c1, c2, c3, c4, c5, hidden = (scaled(base, width) for base in (64, 192, 384, 256, 256, 4096))
        self.normalise = Normalise()
        self.conv1 = conv_bn_relu(3, c1, kernel, stride)
        self.pool1 = nn.MaxPool2d(3, 2, padding=1)
        self.conv2 = conv_bn_relu(c1, c2, 5)
        self.pool2 = nn.MaxPool2d(3, 2, padding=1)
        self.conv3 = conv_bn_relu(c2, c3)
        self.conv4 = conv_bn_relu(c3, c4)
        self.conv5 = conv_bn_relu(c4, c5)
        self.pool3 = nn.MaxPool2d(3, 2, padding=1)
        side = image_size
        for divide in (stride, 2, 2, 2):
            side = -(-side // divide)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Sequential(nn.Dropout(), nn.Linear(c5 * side**2, hidden), nn.ReLU())
        self.fc2 = nn.Sequential(nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU())
        self.fc = nn.Linear(hidden, num_classes)
        self.name_conv_layers()


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut (He et al. 2016); the block's output is taken after the sum's ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv_bn_relu(inputs, outputs, stride=stride)
        self.conv2 = conv_bn_relu(outputs, outputs)[:2]
        same_shape = (inputs, stride) == (outputs, 1)
        self.shortcut = nn.Identity() if same_shape else conv_bn_relu(inputs, outputs, 1, stride)[:2]
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv2(self.conv1(x)) + self.shortcut(x))


class ResNet18(_InOrder):
    """ResNet-18 (He et al. 2016) for small images: conv1, block1..block8, pool, fc.

    Of its 17 convolutional layers, the first of block b is ``block<b>.conv1`` and the second, after the shortcut is
    added, ``block<b>``.
    """

    stages = ((64, 1), (128, 2), (256, 2), (512, 2))  # channels, stride of the first of two blocks

    def __init__(self, num_classes: int, width: float) -> None:
        super().__init__()
        self.normalise = Normalise()
        channels, number = scaled(64, width), 0
        self.conv1 = conv_bn_relu(3, channels)
        for base, first_stride in self.stages:
            for stride in (first_stride, 1):
                number += 1
                self.add_module(f"block{number}", BasicBlock(channels, scaled(base, width), stride))
                channels = scaled(base, width)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        blocks = (name for number in range(1, 9) for name in (f"block{number}.conv1", f"block{number}"))
        self.conv_layers = ("conv1", *blocks)


class Inception(nn.Module):
    """Four branches side by side: 1x1, 1x1-3x3, 1x1-5x5 and pool-1x1 (Szegedy et al. 2015, with BatchNorm)."""

    def __init__(self, inputs: int, one: int, reduce3: int, three: int, reduce5: int, five: int, pool: int) -> None:
        super().__init__()
        self.one = conv_bn_relu(inputs, one, 1)
        self.three = nn.Sequential(conv_bn_relu(inputs, reduce3, 1), conv_bn_relu(reduce3, three))
        self.five = nn.Sequential(conv_bn_relu(inputs, reduce5, 1), conv_bn_relu(reduce5, five, 5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), conv_bn_relu(inputs, pool, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], dim=1)


INCEPTION_BLOCKS = {  # name: outputs of the branches, in the order of Inception's arguments
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


class GoogLeNet(_InOrder):
    """GoogLeNet with BatchNorm for small images: conv1, inception3a..inception5b, fc.

    It stands in for the Inception-v2 of the paper's EAT. The stem is one 3x3 convolution, as suits 32x32 images.
    """

    def __init__(self, num_classes: int, width: float) -> None:
        super().__init__()
        self.normalise = Normalise()
        channels = scaled(192, width)
        self.conv1 = conv_bn_relu(3, channels)
        for name, outputs in INCEPTION_BLOCKS.items():
            if name in ("4a", "5a"):
                self.add_module(f"pool{name[0]}", nn.MaxPool2d(3, 2, padding=1))
            one, reduce3, three, reduce5, five, pool = (scaled(base, width) for base in outputs)
            self.add_module(f"inception{name}", Inception(channels, one, reduce3, three, reduce5, five, pool))
            channels = one + three + five + pool
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        self.conv_layers = ("conv1", *(f"inception{name}" for name in INCEPTION_BLOCKS))


def scaled(channels: int, width: float) -> int:
    """``width`` times as many channels, at least 4."""
    return max(4, round(channels * width))


SWITCHABLE = ("vgg16", "alexnet")  # nothing goes past their convolutional layers, see switch_off
BUILDERS: dict[str, Callable[[int, float, int], nn.Module]] = {
    "vgg16": lambda num_classes, width, image_size: VGG16(num_classes, width),
    "alexnet": AlexNet,
    "resnet18": lambda num_classes, width, image_size: ResNet18(num_classes, width),
    "googlenet": lambda num_classes, width, image_size: GoogLeNet(num_classes, width),
}


def build_model(name: str, num_classes: int = 10, width: float = 1.0, image_size: int = 32) -> nn.Module:
    """A new model with PyTorch's default initialisation, drawn from the global random state.

    Args:
        name: "vgg16", "alexnet", "resnet18" or "googlenet".
        num_classes: number of logits, >= 2.
        width: factor on the channels of every hidden layer, > 0; 1 is the published network.
        image_size: side of the square images, >= 32; matters to AlexNet, the others end in an average over positions.

    Raises:
        ValueError: an unknown name, or a number out of range.
    """
    arguments.one_of("model", name, BUILDERS)
    arguments.at_least("num_classes", num_classes, 2)
    arguments.at_least("image_size", image_size, 32)
    arguments.number("width", width, above=True)
    return BUILDERS[name](num_classes, width, image_size)
