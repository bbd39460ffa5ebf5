"""An attack that knows what SNS relies on: PGD that also drives the stabilised neurons from their clean outputs."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snslib import arguments, kernels
from snslib.attacks import Attack
from snslib.data import Split, batches, to_float
from snslib.hooks import record
from snslib.inference import device_of, frozen, images_at_once, own, run
from snslib.logits import read_logits
from snslib.losses import sns_loss
from snslib.sensitivity import dual_pairs

Neurons = Mapping[str, Tensor]  # layer to neurons, int64 (K,)
Outputs = Mapping[str, Tensor]  # layer to what it outputs, (N, C, ...)


def drive_away(
    omega: Neurons, units: Mapping[str, float], eps: float, weight: float, steps: int, generator: torch.Generator
) -> Attack:
    """PGD in steps of eps / 4 from a random start, on the cross-entropy plus ``weight`` times how far neurons move.

    How far they move is Eq. 9 with mean norms, each layer in units of its clean output, in the mean over layers. With a
    weight of 0 this is the PGD of :func:`snslib.evaluation.robustness.strong_pgd`; the larger the weight, the less the
    class matters.

    Args:
        omega: layer to the neurons that are driven away, at least one of each.
        units: layer to its unit, above 0, as :func:`mean_output` gives it.
        eps: radius in [0, 1] pixel space, in (0, 1].
        weight: >= 0.
        steps: >= 1.
        generator: the source of the starts, on the CPU.

    Raises:
        ValueError: a bad argument, named.
    """
    eps = arguments.number("eps", eps, 0, 1, above=True, about="a radius in [0, 1] pixel space, such as 8/255")
    steps = arguments.at_least("steps", steps, 1)
    weight = arguments.not_negative("weight", weight)

    def attack(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        uniform = torch.rand(x.shape, generator=generator, dtype=torch.float64, device="cpu") * 2 - 1
        x_adv = (x + eps * uniform.to(x)).clamp_(0, 1)
        with frozen(model), record(model, list(omega)) as outputs:
            with torch.no_grad():
                run(model, x)
            clean = dict(outputs)
            for _ in range(steps):
                leaf = x_adv.detach().requires_grad_(True)
                logits = read_logits(model(own(model, leaf)), len(x))
                moved = _moved(clean, outputs, omega, units)
                loss = F.cross_entropy(logits, y, reduction="sum") + weight * len(x) * moved
                [gradient] = torch.autograd.grad(loss, leaf)
                x_adv = kernels.sign_step(x_adv, gradient, x, eps, eps / 4)
        return x_adv.detach()

    return attack


def movement(model: nn.Module, split: Split, omega: Neurons, units: Mapping[str, float], attack: Attack) -> float:
    """How far an attack moves some neurons, as in :func:`drive_away`, in the mean over images.

    Args:
        model: maps float images in [0, 1] to logits (N, K).
        split: the images and their true classes, at least one.
        omega, units: as in :func:`drive_away`.
        attack: maps (model, x, y) to x'.

    Raises:
        ValueError: a bad argument, named.
    """
    total = 0.0
    for x, x_adv in dual_pairs(model, split, attack):
        with frozen(model), torch.no_grad(), record(model, list(omega)) as outputs:
            run(model, x)
            clean = dict(outputs)
            run(model, x_adv)
            total += _moved(clean, outputs, omega, units).item() * len(x)
    return total / len(split)


def mean_output(model: nn.Module, split: Split, omega: Neurons) -> dict[str, float]:
    """The mean clean output of some neurons of each layer, over images and positions; 1 where all of them are dead.

    Args:
        model: maps float images in [0, 1] to logits (N, K), with layers that output nothing below 0.
        split: the images, at least one.
        omega: layer to neurons, at least one of each.

    Raises:
        ValueError: no such layer.
    """
    device = device_of(model)
    sums = dict.fromkeys(omega, 0.0)
    with frozen(model), torch.no_grad(), record(model, list(omega)) as outputs:
        for _, images, _ in batches(split.to(device), images_at_once(device)):
            run(model, to_float(images))
            for layer, neurons in omega.items():
                sums[layer] += outputs[layer][:, neurons.to(device)].flatten(1).mean(1).sum().item()
    return {layer: total / len(split) or 1.0 for layer, total in sums.items()}


def _moved(clean: Outputs, adversarial: Outputs, omega: Neurons, units: Mapping[str, float]) -> Tensor:
    """In the mean over images and layers."""
    a, b = ({layer: side[layer] / units[layer] for layer in omega} for side in (clean, adversarial))
    return sns_loss(a, b, omega, "mean") / len(omega)
