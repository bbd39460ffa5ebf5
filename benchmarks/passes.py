"""The input gradient of one batch: what folding BatchNorm, the memory format and bfloat16 gain on each network."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from setting import model_and_images
from timing import interleaved, row
from torch import Tensor, nn

from snslib.inference import fast_memory_format, folded
from snslib.precision import autocast, has_bfloat16

NETWORKS = (
    # name, width, images, side
    ("vgg16", 1 / 8, 128, 32),
    ("vgg16", 1 / 4, 128, 32),
    ("vgg16", 1 / 2, 128, 32),
    ("vgg16", 1.0, 128, 32),
    ("resnet18", 1 / 8, 128, 32),  # must be contiguous: what that costs
    ("resnet18", 1 / 4, 128, 32),
    ("resnet18", 1.0, 64, 32),
    ("alexnet", 1 / 4, 128, 64),
    ("alexnet", 1.0, 64, 64),
    ("googlenet", 1 / 4, 64, 32),
)


def measure(device: str, quick: bool) -> list[dict[str, Any]]:
    """One row per network and way; "faster" is against the plain network, "chosen" says which one snslib takes."""
    rows = []
    for name, width, n, side in (("vgg16", 1 / 16, 8, 32),) if quick else NETWORKS:
        model, x, y = model_and_images(name, width, n, device, side)
        model.requires_grad_(False)
        ways: dict[str, Callable[[], Tensor]] = {"plain": partial(gradient, model, x, y)}
        chosen = set()
        for precision in ("float32", "bfloat16") if has_bfloat16(device) else ("float32",):
            with autocast(x.device, precision):
                takes_channels_last = fast_memory_format(model, x).is_contiguous(memory_format=torch.channels_last)
            for layout in (torch.contiguous_format, torch.channels_last):
                way = f"folded, {'channels_last, ' if layout is torch.channels_last else ''}{precision}"
                placed = x.contiguous(memory_format=layout)
                ways[way] = partial(gradient, model, placed, y, True, precision)
                if takes_channels_last == (layout is torch.channels_last):
                    chosen.add(way)
        seconds = interleaved(ways, 1 if quick else 5, device)
        for way, run in ways.items():
            this, plain = (gradient_of().double().flatten() for gradient_of in (run, ways["plain"]))
            cosine = F.cosine_similarity(this, plain, dim=0).item()
            about = {"model": name, "width": width, "images": n, "side": side, "way": way, "chosen": way in chosen}
            rows.append(row(seconds[way], seconds["plain"], **about, cosine=round(cosine, 6)))
            print(rows[-1], flush=True)
    return rows


def gradient(model: nn.Module, x: Tensor, y: Tensor, fold: bool = False, precision: str = "float32") -> Tensor:
    """The gradient of the summed cross-entropy with respect to the images."""
    x = x.detach().requires_grad_(True)
    with autocast(x.device, precision), folded(model) if fold else nullcontext():
        loss = F.cross_entropy(model(x), y, reduction="sum")
    return torch.autograd.grad(loss, x)[0]
