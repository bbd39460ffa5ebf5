"""Figures of what neurons see: images and their twins, dark where the neuron is inactive (Fig. 4-5, 14-17)."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from snslib.evaluation.receptive_fields import darkened, examples, intersection_over_union
from snslib.study.networks import Networks


def receptive_fields(panels: Mapping[str, Mapping[str, tuple[Tensor, Tensor, Tensor, Tensor]]]) -> Figure:
    """Two rows of images per neuron, benign above adversarial, darkened outside of its masks; panels side by side.

    Under each pair stands the intersection over union of its masks, "–" where both are empty.

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
            benign[0].set_ylabel(f"{label}\nbenign", fontsize=9)
            adversarial[0].set_ylabel("attacked", fontsize=9)
            for column, overlap in enumerate(intersection_over_union(mask, mask_adv).tolist()):
                _show(benign[column], x[column], mask[column])
                _show(adversarial[column], x_adv[column], mask_adv[column])
                adversarial[column].set_xlabel("–" if np.isnan(overlap) else f"{overlap:.2f}", fontsize=9)
    plt.close(fig)
    return fig


def vanilla_neurons(networks: Networks, layer: str, groups: Mapping[str, Sequence[int]]) -> Figure:
    """Neurons of the vanilla network on the test images that activate them most, and on their twins under PGD.

    Args:
        networks: of a setting; the network is trained first where it is not there.
        layer: one with maps of several positions, such as pool2.
        groups: title, such as "most sensitive", to neurons; all of them with as many.
    """
    model, pgd = networks.model("vanilla"), networks.attacks["pgd"]
    panels = {
        title: dict(zip(map(str, neurons), examples(model, networks.test, pgd, layer, neurons), strict=True))
        for title, neurons in groups.items()
    }
    return receptive_fields(panels)


def _show(ax: Axes, image: Tensor, mask: Tensor) -> None:
    ax.imshow(darkened(image, mask).permute(1, 2, 0).numpy(force=True), vmin=0, vmax=1, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
