"""Figures of neuron sensitivity: its spread over neurons and layers, and how firmly it selects neurons (section 2)."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from snslib.book.figures.style import COLOURS, literal

SENSITIVE, OTHERS = "#b03a00", "0.45"


def by_neuron(sigma: Mapping[str, Sequence[float]], omega: Mapping[str, Tensor]) -> Figure:
    """The sensitivity of every neuron, layer beside layer, the sensitive ones set off.

    Args:
        sigma: layer to sensitivities (C,); zeros, which a logarithmic axis has no place for, are left out.
        omega: layer to the sensitive neurons, int64 (K,).
    """
    fig, ax = plt.subplots(figsize=(7.5, 3.8))
    layers = np.repeat(np.arange(len(sigma)), [len(values) for values in sigma.values()])
    places = layers + np.random.default_rng(0).uniform(-0.28, 0.28, len(layers))
    heights = np.concatenate(list(sigma.values()))
    chosen = np.concatenate([np.isin(np.arange(len(values)), omega[layer]) for layer, values in sigma.items()])
    for mask, colour, marker, size, label in (
        (~chosen & (heights > 0), OTHERS, "o", 9, "other neurons"),
        (chosen & (heights > 0), SENSITIVE, "^", 22, "sensitive neurons"),
    ):
        ax.scatter(
            *(places[mask], heights[mask], size, colour),
            marker=marker,
            linewidths=0,
            alpha=0.8,
            rasterized=True,
            label=label,
        )
    ax.set_xticks(range(len(sigma)), list(map(literal, sigma)), rotation=45)
    ax.set(ylabel=r"sensitivity $\sigma$", yscale="log")
    ax.legend(markerscale=1.6)
    plt.close(fig)
    return fig


def ranked(layer: str, sigma: Sequence[float], k: int) -> Figure:
    """The sensitivity of a layer's neurons, the most sensitive first, with the first k set off and their share named.

    Args:
        layer: its name.
        sigma: sensitivities (C,).
        k: how many neurons count as sensitive.
    """
    heights = np.sort(np.array(sigma))[::-1]
    places = np.arange(1, len(heights) + 1)
    fig, ax = plt.subplots(figsize=(7.5, 3))
    for part, colour, label in ((slice(k), SENSITIVE, "sensitive neurons"), (slice(k, None), OTHERS, "other neurons")):
        held = heights[part].sum() / (heights.sum() or 1)
        ax.bar(places[part], heights[part], 0.8, color=colour, linewidth=0, label=f"{label}: {100 * held:.0f}% of σ")
    ax.set_title(literal(layer), loc="left")
    ax.set(xlabel="neurons, the most sensitive first", ylabel=r"sensitivity $\sigma$", xlim=(0.4, len(heights) + 0.6))
    ax.grid(False, axis="x")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, ncols=2, borderaxespad=0.2)
    plt.close(fig)
    return fig


def raw_and_relative(raw: Mapping[str, float], relative: Mapping[str, float]) -> Figure:
    """Two panels over the same layers: mean sensitivity, and sensitivity as a share of the clean activation.

    Args:
        raw: layer to the mean of Eq. 1 over its neurons.
        relative: layer to the sum of Eq. 1 over its neurons, divided by that of their clean outputs' L1 norms.
    """
    fig, axes = plt.subplots(1, 2, figsize=(7.5, 3.2))
    panels = ((raw, r"mean sensitivity $\sigma$"), (relative, "relative sensitivity"))
    for ax, (values, label) in zip(axes, panels, strict=True):
        ax.plot(list(values), list(values.values()), "-o", color=COLOURS["vanilla"], ms=5, label=label)
        ax.set(ylabel=label)
        ax.tick_params(axis="x", rotation=90)
    axes[0].set_yscale("log")
    axes[1].set_ylim(0, None)
    plt.close(fig)
    return fig


def against_level(values: Mapping[str, float], level: Mapping[str, float], ylabel: str, level_label: str) -> Figure:
    """A bar per layer, with a stroke where the bar would end if nothing set the chosen neurons apart.

    Args:
        values: layer to a share in [0, 1].
        level: layer to the share to expect of neurons chosen at random.
        ylabel: what the values are.
        level_label: what the level is.
    """
    fig, ax = plt.subplots(figsize=(7.5, 3))
    places = np.arange(len(values))
    ax.bar(places, list(values.values()), 0.62, color=COLOURS["vanilla"], label=ylabel)
    heights = [level[layer] for layer in values]
    strokes = ax.hlines(heights, places - 0.42, places + 0.42, colors="black", linewidth=2, label=level_label)
    ax.set_xticks(places, list(values), rotation=45)
    ax.set(ylabel=ylabel, ylim=(0, min(1.02, 1.2 * max(*values.values(), *heights))))
    ax.grid(False, axis="x")
    ax.legend(handles=[strokes], loc="lower right", bbox_to_anchor=(1, 1), frameon=False, borderaxespad=0.2)
    plt.close(fig)
    return fig
