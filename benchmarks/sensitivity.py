"""Sensitivity of every layer: time and peak memory against the two bare forward passes that it needs."""

from collections.abc import Callable
from typing import Any

import torch
from setting import model_and_images
from timing import interleaved, peak_memory, row
from torch import Tensor, nn

import snslib as sns
from snslib.precision import in_tf32

BATCH = 128


def measure(device: str, quick: bool) -> list[dict[str, Any]]:
    """One row per width, number of images, number of layers and way of doing it.

    "faster" is against the two forward passes. All of them compute in float32, on a GPU without TF32: in that, sums of
    differences that rounding alone makes would not agree.
    """
    every = (*(f"conv{i}" for i in range(1, 14)), "fc")
    if quick:
        cases: tuple[tuple[float, int, tuple[str, ...], int], ...] = ((1 / 16, 10, every, 1),)
    else:
        growing_sets = tuple((1 / 4, n, every, 5) for n in (250, 500, 1000, 2000))
        growing_layers = tuple((1 / 4, 500, layers, 5) for layers in (every[:1], every[:4], every[:8]))
        cases = (*growing_sets, *growing_layers, (1.0, 250, every, 3))
    with in_tf32(torch.device(device), False):
        return [line for case in cases for line in _case(device, *case)]


def _case(device: str, width: float, n: int, layers: tuple[str, ...], rounds: int) -> list[dict[str, Any]]:
    model, x, _ = model_and_images("vgg16", width, n, device)
    x_adv = (x + 8 / 255 * torch.randn_like(x).sign()).clamp(0, 1)
    pairs = list(zip(x.split(BATCH), x_adv.split(BATCH), strict=True))
    candidates: dict[str, Callable[[], Any]] = {
        "two forward passes": lambda: forward(model, pairs),
        "snslib": lambda: sns.neuron_sensitivity(model, pairs, layers),
        "stored activations": lambda: stored(model, pairs, layers),
    }
    try:
        from captum.attr import LayerActivation

        candidates["captum"] = lambda: by_captum(LayerActivation, model, pairs, layers)
    except ImportError as error:
        print(f"captum is left out: {error}", flush=True)
    results = {name: run() for name, run in candidates.items() if name != "two forward passes"}
    for name, result in results.items():
        for layer in layers:
            torch.testing.assert_close(result[layer].cpu(), results["snslib"][layer], rtol=1e-3, atol=1e-4, msg=name)
    del results
    seconds = interleaved(candidates, rounds, device)
    rows = []
    for name, run in candidates.items():
        about = {"width": width, "images": n, "layers": len(layers), "how": name}
        rows.append(row(seconds[name], seconds["two forward passes"], **about))
        rows[-1]["peak_mib"] = round(peak_memory(run, device) / 2**20, 1)
        print(rows[-1], flush=True)
    return rows


@torch.no_grad()
def forward(model: nn.Module, pairs: list[tuple[Tensor, Tensor]]) -> None:
    """What cannot be saved: the model runs on x and on x'."""
    for x, x_adv in pairs:
        model(x)
        model(x_adv)


@torch.no_grad()
def stored(model: nn.Module, pairs: list[tuple[Tensor, Tensor]], layers: tuple[str, ...]) -> dict[str, Tensor]:
    """The plain way: hooks keep every activation of the whole set, and Eq. 1 comes afterwards."""
    kept: dict[str, list[Tensor]] = {layer: [] for layer in layers}

    def keep(layer: str) -> Callable[..., None]:
        return lambda module, inputs, output: kept[layer].append(output)

    handles = [model.get_submodule(layer).register_forward_hook(keep(layer)) for layer in layers]
    for x, x_adv in pairs:
        model(x)
        model(x_adv)
    for handle in handles:
        handle.remove()
    sigma = {}
    for layer, outputs in kept.items():
        clean, adversarial = torch.cat(outputs[0::2]), torch.cat(outputs[1::2])
        difference = (clean - adversarial).abs()
        sigma[layer] = difference.reshape(*difference.shape[:2], -1).sum(2).mean(0)
    return sigma


@torch.no_grad()
def by_captum(
    layer_activation: Any, model: nn.Module, pairs: list[tuple[Tensor, Tensor]], layers: tuple[str, ...]
) -> dict[str, Tensor]:
    """captum's LayerActivation for all layers at once, batch by batch."""
    tool = layer_activation(model, [model.get_submodule(layer) for layer in layers])
    total: dict[str, Tensor] = {}
    n = 0
    for x, x_adv in pairs:
        for layer, clean, adversarial in zip(layers, tool.attribute(x), tool.attribute(x_adv), strict=True):
            difference = (clean - adversarial).abs().reshape(len(x), clean.shape[1], -1).sum((0, 2))
            total[layer] = total.get(layer, 0) + difference
        n += len(x)
    return {layer: value / n for layer, value in total.items()}
