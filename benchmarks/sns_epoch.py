"""One epoch of SNS training on a fixed dual pair set: with the frozen bottom cached, without, and written literally."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from setting import model_and_images
from timing import interleaved, row
from torch import Tensor, nn

from snslib import record
from snslib.data import Split, batches
from snslib.inference import fast_memory_format
from snslib.precision import in_tf32
from snslib.training.fixed_pairs import FrozenLayersCache
from snslib.training.models import split_at
from snslib.training.objectives import SNS

FIRST_LAYER, LAYERS, LAM, LR = "conv8", tuple(f"conv{i}" for i in range(8, 14)), 5.0, 0.001
BATCH = 128
Fetch = Callable[[Tensor], tuple[Tensor, Tensor]]
Loss = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]


def measure(device: str, quick: bool) -> list[dict[str, Any]]:
    """One row per width and way of doing it; "faster" is against the literal loop with the same layers frozen.

    On a GPU all of it may round to TF32, as PyTorch's convolutions do by default, but what fills the cache.
    """
    with in_tf32(torch.device(device)):
        return _rows(device, quick)


def _rows(device: str, quick: bool) -> list[dict[str, Any]]:
    rows = []
    for width, n, rounds in ((1 / 16, 256, 1),) if quick else ((1 / 4, 1024, 5), (1.0, 384, 3)):
        ways = _ways(width, n, device)
        losses = {name: run() for name, run in ways.items() if name != "filling the cache"}
        # Sums in another order, and the steps that follow from them; of factors with 10 bits on a GPU.
        rounding = 1e-2 if device.startswith("cuda") else 2e-3
        for name, values in losses.items():
            torch.testing.assert_close(values, losses["literal loop"], rtol=rounding, atol=0, msg=name)
        seconds = interleaved(ways, rounds, device)
        for name in ways:
            rows.append(row(seconds[name], seconds["literal loop"], width=width, images=n, how=name))
            print(rows[-1], flush=True)
    return rows


def _ways(width: float, n: int, device: str) -> dict[str, Callable[[], Any]]:
    start, x, y = model_and_images("vgg16", width, n, device)
    weights = {name: value.clone() for name, value in start.state_dict().items()}
    split = Split((x * 255).round().byte(), y)
    x_adv = (x + 8 / 255 * torch.randn_like(x).sign()).clamp(0, 1)
    with record(start, LAYERS) as outputs, torch.no_grad():
        start(x[:1])
    counts = {layer: output.shape[1] for layer, output in outputs.items()}
    omega = {layer: torch.randperm(count)[: max(1, count // 10)] for layer, count in counts.items()}
    objective = SNS(omega, LAM, adversarial=True, pairs=x_adv)
    cache = FrozenLayersCache(start, FIRST_LAYER, split, x_adv)

    def ours(model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor) -> Tensor:
        return objective(model, fast_memory_format(model, x), fast_memory_format(model, x_adv), y)[0]

    def literal(model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor) -> Tensor:
        return by_the_letter(model, x, x_adv, y, omega)

    def epoch(trained: nn.Module, fetch: Fetch, loss_of: Loss) -> Tensor:
        start.load_state_dict(weights)
        bottom, top = split_at(start, FIRST_LAYER)
        bottom.eval().requires_grad_(False)
        top.train()
        optimizer = torch.optim.SGD(top.parameters(), lr=LR, momentum=0.9)
        losses = []
        for index, _, y in batches(split, BATCH, torch.Generator().manual_seed(0)):
            loss = loss_of(trained, *fetch(index), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses)

    def from_images(index: Tensor) -> tuple[Tensor, Tensor]:
        return x[index], x_adv[index]

    return {
        "literal loop": lambda: epoch(start, from_images, literal),
        "snslib, nothing cached": lambda: epoch(start, from_images, ours),
        "snslib, bottom cached": lambda: epoch(cache.top, cache.__getitem__, ours),
        "filling the cache": lambda: FrozenLayersCache(start, FIRST_LAYER, split, x_adv),
    }


def by_the_letter(model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor, omega: dict[str, Tensor]) -> Tensor:
    """Eq. 11 as Algorithm 1 reads: run both images through everything, then compare the neurons one layer at a time."""
    kept: dict[str, list[Tensor]] = {layer: [] for layer in omega}

    def keep(layer: str) -> Callable[..., None]:
        return lambda module, inputs, output: kept[layer].append(output)

    handles = [model.get_submodule(layer).register_forward_hook(keep(layer)) for layer in omega]
    logits, logits_adv = model(x), model(x_adv)
    for handle in handles:
        handle.remove()
    task = (F.cross_entropy(logits, y) + F.cross_entropy(logits_adv, y)) / 2
    terms = [(kept[layer][0] - kept[layer][1])[:, neurons].abs().mean() for layer, neurons in omega.items()]
    return task + LAM * sum(terms)
