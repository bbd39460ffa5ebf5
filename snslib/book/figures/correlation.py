"""Sensitivity by layer under attacks and corruptions (Fig. 7, 10-12), and lost accuracy over sensitivity."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from snslib.attacks import ATTACKS
from snslib.book.figures.style import COLOURS, MARKERS
from snslib.claims.numbers.correlation import Point
from snslib.evaluation.corruptions import name_and_severity
from snslib.study.defenses import LABELS

NAMES = {
    "clean": "clean",
    **ATTACKS,
    "fog": "fog",
    "gaussian_noise": "Gaussian noise",
    "jpeg_compression": "JPEG",
    "defocus_blur": "defocus blur",
}
AXES: dict[str, Any] = {
    "xlabel": "sensitivity / clean output, mean over layers",
    "ylabel": "lost share of clean accuracy, %",
    "xscale": "log",
}


def label(under: str) -> str:
    """The name of an attack or corruption in figures and tables: "pgd" as "PGD", "fog-5" as "fog 5"."""
    name, severity = name_and_severity(under)
    return NAMES[name] if severity is None else f"{NAMES[name]} {severity}"


def under_each(means: Mapping[str, Mapping[str, Mapping[str, float]]], ylabel: str) -> Figure:
    """A panel per attack or corruption: one line per model over the layers, bottom to top (Fig. 7, 10-12).

    Args:
        means: what disturbs the images to defense to layer to value > 0, all of the same layers.
        ylabel: what the value is.
    """
    rows = -(-len(means) // 2)
    fig, axes = plt.subplots(rows, 2, figsize=(7.5, 2.1 * rows + 0.6), sharex=True, squeeze=False)
    for ax, (under, by_model) in zip(axes.flat, means.items(), strict=False):
        for defense, values in by_model.items():
            style = {"color": COLOURS[defense], "marker": MARKERS[defense], "ms": 4, "label": LABELS[defense]}
            ax.plot(list(values), list(values.values()), **style)
        ax.set(title=label(under), yscale="log")
        ax.yaxis.set_minor_formatter(NullFormatter())  # powers of ten are labels enough
        ax.tick_params(axis="x", rotation=90)
    axes[0, 0].legend()
    fig.supylabel(ylabel)
    plt.close(fig)
    return fig


def lost_accuracy(points: Sequence[Point]) -> Figure:
    """Lost share of clean accuracy over sensitivity: a point per model and attack (filled) or corruption (empty)."""
    fig, ax = plt.subplots(figsize=(7, 4))
    for model in dict.fromkeys(each.model for each in points):
        for attacked in (True, False):
            of_kind = [each for each in points if each.model == model and (each.under in ATTACKS) == attacked]
            colour = COLOURS[model]
            ax.plot(
                [each.sensitivity for each in of_kind],
                [100 * each.lost for each in of_kind],
                MARKERS[model],
                color=colour,
                markerfacecolor=colour if attacked else "none",
                label=f"{LABELS[model]}, {'attacks' if attacked else 'corruptions'}",
            )
    ax.set(**AXES)
    ax.legend()
    plt.close(fig)
    return fig


def lost_to_autoattack(networks: Mapping[str, Mapping[str, Sequence[Point]]]) -> Figure:
    """Share of clean accuracy lost to AutoAttack over sensitivity: a marker per kind of network, a colour per group.

    Args:
        networks: kind of network, such as "VGG-16, width 1", to groups of its rows to their points.
    """
    fig, ax = plt.subplots(figsize=(7.5, 4.4))
    groups = dict.fromkeys(title for of_kind in networks.values() for title in of_kind)
    colours = dict(zip(groups, sns.color_palette("colorblind"), strict=False))
    networks = {kind: of_kind for kind, of_kind in networks.items() if of_kind}
    markers = dict(zip(networks, cycle("os^DPX"), strict=False))
    for kind, of_kind in networks.items():
        for title, points in of_kind.items():
            places = [each.sensitivity for each in points], [100 * each.lost for each in points]
            ax.plot(*places, markers[kind], color=colours[title], alpha=0.8, label=f"{kind}, {title}")
    ax.set(**AXES | {"ylabel": "share of clean accuracy lost\nto AutoAttack, %"})
    for formatter in (ax.xaxis.set_major_formatter, ax.xaxis.set_minor_formatter):
        formatter("{x:g}")
    swatches = [Line2D([], [], marker="o", ls="none", color=colour, label=title) for title, colour in colours.items()]
    shapes = [Line2D([], [], marker=marker, ls="none", color="0.35", label=kind) for kind, marker in markers.items()]
    fig.legend(handles=[*shapes, *swatches], loc="outside lower center", ncols=2, fontsize=9)
    plt.close(fig)
    return fig
