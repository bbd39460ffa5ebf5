"""What decides how the chapter on sensitivity describes a model's convolutional layers (section 2, Eq. 1, 2 and 6)."""

import math
from collections.abc import Mapping

from scipy import stats


def convolutional(values: Mapping[str, float]) -> dict[str, float]:
    """The values of the convolutional layers: without fc, and without layers that have none (NaN: they are inactive).

    Args:
        values: layer to number.
    """
    return {layer: value for layer, value in values.items() if layer != "fc" and not math.isnan(value)}


def holding_half(held: Mapping[str, float]) -> list[str]:
    """The layers whose sensitive neurons hold half of the layer's sensitivity or more.

    Args:
        held: layer to the part of its summed sensitivity that its sensitive neurons hold, in [0, 1].
    """
    return [layer for layer, part in held.items() if part >= 0.5]


def agreement(raw: Mapping[str, float], relative: Mapping[str, float]) -> tuple[float, str]:
    """Whether raw and relative sensitivity order the layers alike.

    Args:
        raw: layer to mean sensitivity.
        relative: layer to its summed sensitivity over its summed clean output; the layers that are compared.

    Returns:
        Spearman's rank correlation over the layers, and "alike" above 0.5, "opposite" below -0.5, else "unrelated".
    """
    rho = float(stats.spearmanr([raw[layer] for layer in relative], list(relative.values())).statistic)
    return rho, "alike" if rho > 0.5 else "opposite" if rho < -0.5 else "unrelated"


def same_and_above_chance(overlap: Mapping[str, float], chance: Mapping[str, float]) -> tuple[int, int]:
    """In how many layers two selections of neurons are the same, and overlap more than random ones would.

    Args:
        overlap: layer to the Jaccard index of its two selections.
        chance: layer to that to expect of random ones.
    """
    return sum(index == 1 for index in overlap.values()), sum(overlap[layer] > chance[layer] for layer in overlap)


def at_paper_scale(width: float, data: str) -> bool:
    """Whether a network is as wide as the published one, or wider, and its data are the paper's CIFAR-10.

    Args:
        width: the factor on the model's channels.
        data: the name of the data set.
    """
    return width >= 1 and data == "cifar10"
