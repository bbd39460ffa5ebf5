"""One step of adversarial training: PGD-10 on the batch, both passes, the gradients and the optimizer's step."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from attacks import plain
from setting import model_and_images
from timing import interleaved, row
from torch import Tensor, nn

import snslib as sns
from snslib.inference import fast_memory_format
from snslib.precision import autocast, has_bfloat16, in_tf32
from snslib.training.objectives import PAT

Step = Callable[[nn.Module, Tensor, Tensor], Tensor]


def measure(device: str, quick: bool) -> list[dict[str, Any]]:
    """One row per precision and way; "faster" is against the step written plainly in the same precision."""
    width, n, rounds = (1 / 16, 8, 1) if quick else (1.0, 128, 20) if device != "cpu" else (1 / 4, 64, 3)
    rows = []
    on_gpu = device.startswith("cuda")
    for precision in ("tf32" if on_gpu else "float32", *(["bfloat16"] if has_bfloat16(device) else [])):
        ways: dict[str, Step] = {"plain loop": by_the_letter, "snslib": partial(by_snslib, precision=precision)}
        with in_tf32(torch.device(device), precision == "tf32"):
            steps = {how: _prepared(step, width, n, device, precision) for how, step in ways.items()}
            losses = [step() for step in steps.values()]
            # Of weights that are the same, but of x' that rounding has let drift apart.
            torch.testing.assert_close(*losses, rtol=0.05, atol=0)
            seconds = interleaved(steps, rounds, device)
        for how in steps:
            about = {"width": width, "images": n, "precision": precision, "how": how}
            rows.append(row(seconds[how], seconds["plain loop"], **about))
            print(rows[-1], flush=True)
    return rows


def _prepared(step: Step, width: float, n: int, device: str, precision: str) -> Callable[[], Tensor]:
    """A step of a network of its own, as each changes the weights."""
    model, x, y = model_and_images("vgg16", width, n, device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)

    def run() -> Tensor:
        model.train()
        with autocast(x.device, precision):
            loss = step(model, x, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return run


def by_snslib(model: nn.Module, x: Tensor, y: Tensor, precision: str) -> Tensor:
    """The loss as :func:`snslib.training.loop.train` computes it."""
    objective = PAT(partial(sns.pgd, precision=precision))
    return objective(model, fast_memory_format(model, x), None, y)[0]


def by_the_letter(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The loss as a tutorial writes it."""
    model.eval()
    x_adv = plain("PGD-10", model, x, y)
    model.train()
    return (F.cross_entropy(model(x), y) + F.cross_entropy(model(x_adv), y)) / 2
