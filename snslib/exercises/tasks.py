"""The small tasks on which solutions are tried: seeded, and the same on every call."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from snslib import attacks, sensitivity
from snslib.evaluation.accuracy import predicted

Task = TypeVar("Task")
Recordings = dict[str, Tensor]  # layer to what its neurons output, (N, C, H, W) or (N, C)

EPS = 0.1  # radius of the attacks that are tried, where it is one
_NEXT = 2**20  # from one seed to the next that is tried
_found: dict[tuple[str, str, int, int], int] = {}  # for what was asked: the seed that fits
_added: ContextVar[int] = ContextVar("added to every seed", default=0)


@contextmanager
def unseen(seed: int) -> Iterator[None]:
    """Tasks of other seeds while the context lasts: as many, of the same sizes, with other numbers in them.

    Args:
        seed: is added to the seed of every task, from 0, which is that of readers, to 2**62.
    """
    before = _added.set(seed)
    try:
        yield
    finally:
        _added.reset(before)


def drawn(task: partial[Task], seed: int, fits: Callable[[Task], bool]) -> Task:
    """The task of this seed, or of the first far behind it that fits; the seeds in the checks were chosen to fit.

    A task fits that has one right answer, whatever the order in which a solution adds up its numbers, and whose usual
    wrong answers are others. ``task`` and ``fits`` are partial functions of numbers and names, by which a seed that was
    found once is known again.
    """
    key = (repr(task), repr(fits), seed, _added.get())
    if key not in _found:
        seeds = range(seed, seed + 10_000 * _NEXT, _NEXT)
        _found[key] = next(tried for tried in seeds if fits(task(tried)))
    return task(_found[key])


def random(*shape: int, seed: int = 0) -> Tensor:
    """Numbers in [0, 1)."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed + _added.get()))


def _network(channels: int, seed: int) -> nn.Module:
    """Images (N, 3, 5, 5) to five logits, in eval mode; its layer "hidden" is a block conv-BatchNorm-ReLU."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + _added.get())
        norm = nn.BatchNorm2d(channels)
        hidden = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), norm, nn.ReLU())
        model = nn.Sequential(OrderedDict(hidden=hidden, flat=nn.Flatten(), fc=nn.Linear(25 * channels, 5)))
        norm.running_mean = torch.empty(channels).uniform_(-0.2, 0.2)
        norm.running_var = torch.empty(channels).uniform_(0.05, 0.2)
    return model.eval()


def small_task(
    images: int = 4, channels: int = 4, seed: int = 0, blind: bool = False
) -> tuple[nn.Module, Tensor, Tensor]:
    """A network, images with some pixels at 0 and at 1, and their classes; the network misreads the first.

    A ``blind`` network does not look at the images' last channel, for which its gradient is exactly 0.
    """
    model = _network(channels, seed)
    if blind:
        with torch.no_grad():
            model.get_parameter("hidden.0.weight")[:, -1] = 0
    x = (1.4 * random(images, 3, 5, 5, seed=seed) - 0.2).clamp(0, 1)
    y = predicted(model, [x])
    y[0] = (y[0] + 1) % 5
    return model, x, y


def attack_tasks() -> Iterator[tuple[nn.Module, Tensor, Tensor, float]]:
    """Networks, images and classes as of ``small_task``, and an eps: several batches, as many images as classes too."""
    for images, channels, seed, blind, eps in (
        (4, 4, 0, False, EPS),
        (5, 3, 23, False, 0.03),
        (1, 4, 20, False, 0.25),
        (2, 4, 0, True, EPS),
    ):
        yield *drawn(partial(_seeded, images, channels, blind), seed, _has_clear_gradients), eps


def _seeded(images: int, channels: int, blind: bool, seed: int) -> tuple[nn.Module, Tensor, Tensor]:
    return small_task(images, channels, seed, blind)


def _has_clear_gradients(task: tuple[nn.Module, Tensor, Tensor]) -> bool:
    """Whether predicted, true and least likely classes differ, and no gradient is so small that rounding turns it."""
    model, x, y = task
    least_likely, guess = attacks.least_likely_class(model, x), predicted(model, [x])
    sizes = []
    for classes in (y, least_likely):
        at = x.clone().requires_grad_(True)
        loss = nn.functional.cross_entropy(model(at), classes, reduction="sum")
        sizes.append(torch.autograd.grad(loss, at)[0].abs())
    clear = all((size[size > 0].min() > 1e-5 * size.max()) for size in sizes)
    return clear and bool(((least_likely != y) & (least_likely != guess)).all() and (x == 0).any() and (x == 1).any())


def misled_task(
    seed: int = 43, channels: int = 8, images: int = 24, layer: str = "hidden"
) -> tuple[nn.Module, Tensor, Tensor, int]:
    """A network, adversarial images, their classes, and the most sensitive neuron of a layer of it."""
    model, x = _network(channels, seed), random(images, 3, 5, 5)
    y = predicted(model, [x])
    x_adv = attacks.pgd(model, x, y, eps=0.03, step_size=0.003)
    sigma = sensitivity.neuron_sensitivity(model, [(x, x_adv)], [layer])[layer]
    return model, x_adv, y, int(sigma.argmax())


def overconfident_task(eps: float = EPS, images: int = 40) -> tuple[nn.Module, Tensor, Tensor]:
    """A linear network with huge logits, and images that a change of less than eps turns; some pixels are near 0 and 1.

    The classes' patterns are orthogonal, so that ``distance`` is an image's distance from the border. In float32 the
    gradient of the cross-entropy is exactly 0 where the true logit leads by more than about 104: from 0.52 eps on.
    """
    pattern = torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]).repeat(1, 12)
    linear = nn.utils.skip_init(nn.Linear, 48, 4)  # which would draw random weights
    with torch.no_grad():
        linear.weight.copy_(200 / eps * pattern / 48)
        linear.bias.copy_(-linear.weight.sum(1) / 2)
    y = torch.arange(images) % 4
    distance = torch.linspace(0.1 * eps, 0.9 * eps, images)
    x = 0.5 + distance[:, None] * pattern[y]
    x[: images // 2, :4] += 0.5 - 0.75 * eps
    x[: images // 2, 4:8] -= 0.5 - 0.75 * eps  # which cancels in every logit
    return nn.Sequential(nn.Flatten(), linear).eval(), x.view(images, 3, 4, 4), y


def recorded() -> Iterator[tuple[Tensor, Tensor]]:
    """What layers output for clean and for adversarial images, some of it negative: maps and none, odd and even sizes.

    One batch has as many images as there are neurons, so that mixed up axes go unnoticed by shapes.
    """
    for seed, shape in enumerate(((3, 4, 2, 3), (3, 5), (4, 4, 2, 2), (1, 3, 3, 1), (5, 2))):
        yield random(*shape, seed=2 * seed + 1) * 2 - 0.6, random(*shape, seed=2 * seed + 2) * 2 - 0.6


# Of two batches: how many images, and of each layer the shape of what it outputs for one, and its sensitive neurons.
SIZES: tuple[tuple[int, dict[str, tuple[tuple[int, ...], list[int]]]], ...] = (
    (6, {"conv": ((4, 2, 2), [2, 0, 1]), "fc": ((5,), [3])}),
    (4, {"conv1": ((3, 1, 2), [1]), "conv2": ((4, 2, 2), [3, 0]), "fc": ((6,), [5, 1, 2])}),
)


def layers(
    images: int, sizes: dict[str, tuple[tuple[int, ...], list[int]]]
) -> tuple[Recordings, Recordings, Recordings]:
    """Recordings of some images that carry gradients, and some of the neurons of each layer.

    ``sizes`` maps layers to the shape of what they output for an image, and to those neurons.
    """
    sides: list[Recordings] = []
    for seed in (1, 2):
        side = {}
        for number, (layer, (shape, _)) in enumerate(sizes.items()):
            side[layer] = (random(images, *shape, seed=10 * number + seed) - 0.2).relu().requires_grad_(True)
        sides.append(side)
    return sides[0], sides[1], {layer: torch.tensor(neurons) for layer, (_, neurons) in sizes.items()}


def changed(side: Recordings, layer: str, neurons: list[int], factor: float, shift: float | Tensor) -> Recordings:
    """A recording in which some neurons of a layer output something else, by a shift for all or for each position."""
    output = side[layer].detach().clone()
    output[:, neurons] = factor * output[:, neurons] + shift
    return {**side, layer: output}
