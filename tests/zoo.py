"""Small networks of the kinds that people have, and what is measured of them worked out the long way."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIZE = 16  # of an image


class Tutorial(nn.Module):
    """The LeNet of PyTorch's own tutorial, for smaller images: it flattens by ``view``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc1, self.fc2 = nn.Linear(5 * 2 * 2, 6), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = x.view(-1, 5 * 2 * 2)
        return self.fc2(F.relu(self.fc1(x)))


class Small(nn.Module):
    """Convolution, normalisation, ReLU and a linear layer; what it makes of x before and of its logits may be given."""

    def __init__(
        self,
        norm: nn.Module | None = None,
        before: Callable[[Tensor], Tensor] = lambda x: x,
        after: Callable[[Tensor], object] = lambda logits: logits,
        classes: int = 4,
    ) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), norm or nn.BatchNorm2d(5), nn.ReLU())
        self.fc = nn.Linear(5, classes)
        self.before, self.after = before, after
        statistics(self)

    def forward(self, x: Tensor) -> object:
        return self.after(self.fc(self.block(self.before(x)).mean((2, 3))))


class Pooled(nn.Module):
    """The same with a layer that feeds the classifier."""

    def __init__(self, model: Small) -> None:
        super().__init__()
        self.block, self.pool, self.fc = model.block, nn.AdaptiveAvgPool2d(1), model.fc

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pool(self.block(x)).flatten(1))


class Tokens(nn.Module):
    """A transformer: 16 patches of an image are tokens (N, T, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.act, self.norm = nn.Linear(48, 6), nn.GELU(), nn.LayerNorm(6)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 6))
        self.fc = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.embed(F.unfold(x, 4, stride=4).transpose(1, 2)))
        given = self.norm(x)
        x = x + self.attention(given, given, given)[0]
        return self.fc((x + self.mlp(x)).mean(1))


class Signals(nn.Module):
    """Convolutions along the pixels, (N, C, L)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.fc = nn.Conv1d(3, 5, 3, padding=1), nn.ReLU(), nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.act(self.conv(x.flatten(2))).mean(2))


@dataclass
class Output:
    """As Hugging Face's models put it out."""

    logits: Tensor
    loss: None = None


def statistics(model: nn.Module) -> None:
    """BatchNorm that does something."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            if module.running_mean is not None:
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)


def images(n: int = 4) -> Tensor:
    return torch.rand(n, 3, SIZE, SIZE)


def outputs(model: nn.Module, x: Tensor, layers: dict[str, int]) -> dict[str, Tensor]:
    """What layers put out for each image by itself, (N, C, ...), in eval mode and float64, of a copy of the model."""
    found: dict[str, list[Tensor]] = {name: [] for name in layers}
    exact = copy.deepcopy(model).double().eval()
    for name, axis in layers.items():
        exact.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name, axis=axis: found[name].append(output.detach().movedim(axis, 1))
        )
    with torch.no_grad():
        for image in x.double().split(1):
            exact(image)
    return {name: torch.cat(values) for name, values in found.items()}


def sensitivity(model: nn.Module, x: Tensor, x_adv: Tensor, layers: dict[str, int]) -> dict[str, Tensor]:
    """Eq. 1 from stored outputs."""
    clean, attacked = outputs(model, x, layers), outputs(model, x_adv, layers)
    moved = {name: (clean[name] - attacked[name]).abs() for name in layers}
    return {name: each.reshape(*each.shape[:2], -1).sum(2).mean(0).float() for name, each in moved.items()}


def pgd(logits: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, eps: float, step: float, steps: int) -> Tensor:
    """PGD of one image after another, as it is written down."""
    each = zip(x.split(1), y.split(1), strict=True)
    return torch.cat([pgd_of_batches(logits, image, label, eps, step, steps) for image, label in each])


def pgd_of_batches(
    logits: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, eps: float, step: float, steps: int
) -> Tensor:
    """PGD of a batch as a whole."""
    at = x.clone()
    for _ in range(steps):
        at = at.detach().requires_grad_(True)
        F.cross_entropy(logits(at), y, reduction="sum").backward()
        at = torch.min(torch.max(at + step * at.grad.sign(), x - eps), x + eps).clamp(0, 1)
    return at.detach()
