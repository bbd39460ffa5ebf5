"""The small tasks on which solutions are tried: seeded, and the same on every call."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from snslib import attacks, sensitivity
from snslib.evaluation.accuracy import predicted

Recordings = dict[str, Tensor]  # layer to what its neurons output, (N, C, H, W) or (N, C)

EPS = 0.1  # radius of the attacks that are tried


def random(*shape: int, seed: int = 0) -> Tensor:
    """Numbers in [0, 1)."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _network(channels: int, seed: int) -> nn.Module:
    """Images (N, 3, 5, 5) to five logits, in eval mode; its layer "hidden" is a block conv-BatchNorm-ReLU."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        norm = nn.BatchNorm2d(channels)
        hidden = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), norm, nn.ReLU())
        model = nn.Sequential(OrderedDict(hidden=hidden, flat=nn.Flatten(), fc=nn.Linear(25 * channels, 5)))
        norm.running_mean = torch.empty(channels).uniform_(-0.2, 0.2)
        norm.running_var = torch.empty(channels).uniform_(0.05, 0.2)
    return model.eval()


def small_task() -> tuple[nn.Module, Tensor, Tensor]:
    """A network, four images with some pixels at 0 and at 1, and their classes; the network misreads the first."""
    model, x = _network(channels=4, seed=0), (1.4 * random(4, 3, 5, 5) - 0.2).clamp(0, 1)
    y = predicted(model, [x])
    y[0] = (y[0] + 1) % 5
    return model, x, y


def misled_task() -> tuple[nn.Module, Tensor, Tensor, int]:
    """A network, adversarial images, their classes, and the most sensitive of the 8 neurons of its layer "hidden".

    Another of them is the one whose suppression helps most, and by far.
    """
    model, x = _network(channels=8, seed=43), random(24, 3, 5, 5)
    y = predicted(model, [x])
    x_adv = attacks.pgd(model, x, y, eps=0.03, step_size=0.003)
    sigma = sensitivity.neuron_sensitivity(model, [(x, x_adv)], ["hidden"])["hidden"]
    return model, x_adv, y, int(sigma.argmax())


def overconfident_task() -> tuple[nn.Module, Tensor, Tensor]:
    """A linear network with huge logits, and images that a change of less than EPS turns.

    The classes' patterns are orthogonal, so that ``distance`` is an image's distance from the border. In float32 the
    gradient of the cross-entropy is exactly 0 where the true logit leads by more than about 104: from 0.052 on.
    """
    pattern = torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]).repeat(1, 12)
    linear = nn.utils.skip_init(nn.Linear, 48, 4)  # which would draw random weights
    with torch.no_grad():
        linear.weight.copy_(2000 * pattern / 48)
        linear.bias.copy_(-linear.weight.sum(1) / 2)
    y = torch.arange(40) % 4
    distance = torch.linspace(0.1 * EPS, 0.9 * EPS, 40)
    x = (0.5 + distance[:, None] * pattern[y]).view(40, 3, 4, 4)
    return nn.Sequential(nn.Flatten(), linear).eval(), x, y


def recorded(*shape: int) -> tuple[Tensor, Tensor]:
    """What a layer outputs for clean and for adversarial images; some of it is negative."""
    return random(*shape, seed=1) * 2 - 0.6, random(*shape, seed=2) * 2 - 0.6


def two_layers() -> tuple[Recordings, Recordings, Recordings]:
    """Recordings of six images that carry gradients, and some of the neurons of each layer."""
    sides = []
    for seed in (1, 2):
        outputs = (random(6, 11, seed=seed) - 0.2).relu()
        side = {"conv": outputs.repeat(1, 2)[:, :16].view(6, 4, 2, 2), "fc": outputs[:, :5].contiguous()}
        sides.append({layer: output.clone().requires_grad_(True) for layer, output in side.items()})
    return sides[0], sides[1], {"conv": torch.tensor([2, 0, 1]), "fc": torch.tensor([3])}


def changed(side: Recordings, layer: str, neurons: list[int], factor: float, shift: float | Tensor) -> Recordings:
    """A recording in which some neurons of a layer output something else, by a shift for all or for each position."""
    output = side[layer].detach().clone()
    output[:, neurons] = factor * output[:, neurons] + shift
    return {**side, layer: output}
