"""Figures of what neurons see: images and their twins, dark where the neuron is inactive (Fig. 4-5, 14-17)."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from snslib.evaluation.receptive_fields import darkened, examples, intersection_over_union
from snslib.study.networks import Networks
from snslib.study.records import Record

LINE = "gold"  # around a mask


def receptive_fields(panels: Mapping[str, Mapping[str, tuple[Tensor, Tensor, Tensor, Tensor]]]) -> Figure:
    """Two rows of images per neuron, benign above adversarial, darkened outside of its masks; panels side by side.

    A line runs around each mask, so that it is seen in a dark image too. Under each pair stands how much of its masks
    is shared, their intersection over union, "–" where both are empty.

    Args:
        panels: title, such as "sensitive", to neurons, each a label to (x, x', mask, mask'): the images that activate
            it most, float (K, 3, H, W) in [0, 1], their adversarial twins, and where it is active in them, bool
            (K, H, W). All panels have as many neurons, all neurons as many images.
    """
    rows = max(map(len, panels.values()))
    columns = len(next(iter(next(iter(panels.values())).values()))[0])
    size = 7.5 / (len(panels) * columns + 1)
    fig = plt.figure(figsize=(7.5, rows * (2 * size + 0.15) + 0.4))
    for part, (title, neurons) in zip(fig.subfigures(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        part.suptitle(title)
        axes = part.subplots(2 * rows, columns, squeeze=False)
        for place, (label, (x, x_adv, mask, mask_adv)) in enumerate(neurons.items()):
            benign, adversarial = axes[2 * place], axes[2 * place + 1]
            benign[0].set_ylabel(f"neuron {label}\nbenign", fontsize=9)
            adversarial[0].set_ylabel("attacked", fontsize=9)
            for column, overlap in enumerate(intersection_over_union(mask, mask_adv).tolist()):
                _show(benign[column], x[column], mask[column])
                _show(adversarial[column], x_adv[column], mask_adv[column])
                shared = "–" if np.isnan(overlap) else f"{overlap:.2f}"
                adversarial[column].set_xlabel("shared " * (column == 0) + shared, fontsize=9)
    plt.close(fig)
    return fig


def vanilla_neurons(networks: Networks, regions: Record) -> Figure:
    """The three most and the three least sensitive neurons of a layer of the vanilla network, from either end.

    Each is shown on the test images that activate it most, and on their twins under PGD: Fig. 14-15 for pool2 of
    VGG-16, Fig. 16-17 for pool3 of AlexNet.

    Args:
        networks: of a setting; the network is trained first where it is not there.
        regions: of it, from :func:`snslib.study.measurements.regions`.
    """
    model, pgd, layer = networks.model("vanilla"), networks.attacks["pgd"], regions.config["layer"]
    units = regions.result["units"]
    groups = {"most sensitive": units["sensitive"][:3], "least sensitive": units["insensitive"][:-4:-1]}
    panels = {
        title: dict(zip(map(str, neurons), examples(model, networks.test, pgd, layer, neurons), strict=True))
        for title, neurons in groups.items()
    }
    return receptive_fields(panels)


def _show(ax: Axes, image: Tensor, mask: Tensor) -> None:
    ax.imshow(darkened(image, mask).permute(1, 2, 0).numpy(force=True), vmin=0, vmax=1, interpolation="nearest")
    if mask.any() and not mask.all():
        ax.contour(mask.numpy(force=True), levels=[0.5], colors=[LINE], linewidths=0.8)
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
