"""How the sensitivity of a neuron comes about, drawn with real images and outputs (the counterpart of Fig. 1)."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from torch import Tensor

from snslib.book.figures.sensitivity import OTHERS, SENSITIVE
from snslib.book.figures.style import literal
from snslib.sensitivity import top_count

ARROW: dict[str, Any] = {"arrowstyle": "-|>", "color": "0.4", "linewidth": 1.2, "mutation_scale": 12}


def from_pair_to_neurons(
    layer: str, pair: tuple[Tensor, Tensor], outputs: tuple[Tensor, Tensor], fraction: float
) -> Figure:
    """An image and its adversarial twin, what one neuron makes of either, their difference, and all neurons by it.

    Args:
        layer: the name of the layer.
        pair: a clean and an adversarial image, each float (3, H, W) in [0, 1].
        outputs: the layer's outputs for N dual pairs, clean and adversarial, each float (N, C, H', W'); the first is
            that of ``pair``, and the neuron shown is the most sensitive one of all of them.
        fraction: of the neurons that count as sensitive.
    """
    clean, moved = (part.detach().float().cpu() for part in outputs)
    change = (clean - moved).abs()
    sigma = change.sum(dim=(2, 3)).mean(dim=0)  # Eq. 1
    neuron = int(sigma.argmax())
    fig, axes = plt.subplot_mosaic(
        [["x", "F", "d", "s"], ["x'", "F'", "d", "s"]], figsize=(7.5, 3.4), width_ratios=[1, 1, 1.2, 2.2]
    )
    for name, image in zip(("x", "x'"), pair, strict=True):
        axes[name].imshow(image.detach().float().cpu().permute(1, 2, 0).clamp(0, 1).numpy())
        axes[name].set_title(f"${name}_1$", fontsize="medium")
    top = float(max(clean[0, neuron].max(), moved[0, neuron].max())) or 1.0
    for name, output, of in (("F", clean, "x_1"), ("F'", moved, "x'_1")):
        axes[name].imshow(output[0, neuron].numpy(), cmap="magma", vmin=0, vmax=top)
        axes[name].set_title(f"$F_l^{{{neuron}}}({of})$", fontsize="medium")
    axes["d"].imshow(change[0, neuron].numpy(), cmap="magma", vmin=0, vmax=top)
    axes["d"].set_title(f"absolute difference,\nsum {change[0, neuron].sum():.3g}", fontsize="medium")
    for name in ("x", "x'", "F", "F'", "d"):
        axes[name].set_xticks([])
        axes[name].set_yticks([])
        axes[name].grid(False)
    _ranked(axes["s"], sigma.numpy(), top_count(len(sigma), fraction), f"{literal(layer)}: σ of all neurons")
    for start, end, height in (("x", "F", 0.5), ("x'", "F'", 0.5), ("F", "d", 0.75), ("F'", "d", 0.25)):
        fig.add_artist(_arrow(axes[start], axes[end], height))
    plt.close(fig)
    return fig


def _ranked(ax: Axes, sigma: np.ndarray, k: int, title: str) -> None:
    """Bars of all neurons, the most sensitive first, the first k of which are the sensitive ones."""
    heights, places = np.sort(sigma)[::-1], np.arange(1, len(sigma) + 1)
    for part, colour, label in ((slice(k), SENSITIVE, "sensitive neurons"), (slice(k, None), OTHERS, "others")):
        ax.bar(places[part], heights[part], 0.8, color=colour, linewidth=0, label=label)
    ax.set_title(title, fontsize="medium")
    ax.set(xlabel="neurons, the most sensitive first")
    ax.legend(fontsize="small", framealpha=1)


def _arrow(start: Axes, end: Axes, height: float) -> ConnectionPatch:
    """From the right edge of a panel to the left edge of another, which it meets at a height in [0, 1]."""
    ends: dict[str, Any] = {"coordsA": "axes fraction", "coordsB": "axes fraction", "axesA": start, "axesB": end}
    return ConnectionPatch((1.03, 0.5), (-0.03, height), **ends, **ARROW)
