"""Figures of the overlap of neuron sets, and of what suppressing sensitive neurons does (Fig. 2a, 2b, 3a)."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from snslib.attacks import ATTACKS
from snslib.book.figures.style import literal
from snslib.claims.numbers import targeted
from snslib.claims.numbers.suppression import WAYS, accuracy_at
from snslib.study.records import Record

INDICES = {"average": (r"$J_{avg}$", "o-"), "total": (r"$J_{total}$", "s-"), "chance": (r"chance, $J_{avg}$", "k:")}
SUPPRESSED = {"sensitive": "most sensitive", "random": "random", "least": "least sensitive"}
SUPPRESSED_UNDER = (
    ("clean", "white_box", "clean"),
    ("PGD, white box", "white_box", "pgd"),
    ("PGD, transferred", "transferred", "pgd"),
)  # what their figure shows: titles, ways and columns


def sensitive_and_important(record: Record, labels: Sequence[str]) -> Figure:
    """Overlap of sensitive and important neurons for each target class (Fig. 2a), one panel per set of images.

    Bars are the Jaccard index of a class's sensitive and important neurons (Eq. 6), diamonds the mean index of its
    sensitive neurons and the important neurons of the other classes. Where there is none, nothing is drawn.

    Args:
        record: of :func:`snslib.study.measurements.targeted_neurons`.
        labels: the target classes.
    """
    panels = {title: targeted.overlap_by_class(record, images) for images, title in targeted.IMAGES.items()}
    fig, axes = plt.subplots(1, len(panels), figsize=(7.5, 3.8), sharey=True, squeeze=False)
    x = np.arange(len(labels))
    for ax, (title, panel) in zip(axes[0], panels.items(), strict=True):
        ax.bar(x, panel["same"], width=0.7, label="important for the target")
        ax.plot(x, panel["others"], "D", color="white", markeredgecolor="black", label="important for other classes")
        ax.axhline(targeted.chance(record), color="black", linestyle=":", label="chance")
        ax.set(title=title, xlabel="target class", xlim=(-0.6, len(labels) - 0.4), ylim=(0, 1))
        ax.set_xticks(x, list(map(literal, labels)), rotation=0 if max(map(len, labels)) < 3 else 90)
        ax.grid(visible=False, axis="x")
    axes[0, 0].set_ylabel(f"Jaccard index, {record.config['layer']}")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=10)
    plt.close(fig)
    return fig


def jaccard_by_layer(
    panels: Mapping[str, Mapping[str, Mapping[str, float]]], errors: Mapping[str, Sequence[float]] | None = None
) -> Figure:
    """How alike the sensitive neurons of all target classes are, layer by layer (Fig. 2b), one panel per source.

    Args:
        panels: title to "average" (Eq. 7), "total" (Eq. 8) and "chance", each layer to its index, bottom to top.
        errors: layer to the standard errors of "average" and "total" in the first panel, drawn twice as long.
    """
    widths = [len(panel["average"]) + 4 for panel in panels.values()]
    fig, axes = plt.subplots(1, len(panels), figsize=(7.5, 4), sharey=True, width_ratios=widths, squeeze=False)
    for ax, (title, panel) in zip(axes[0], panels.items(), strict=True):
        for place, (name, (label, style)) in enumerate(INDICES.items()):
            layers, indices = list(panel[name]), list(panel[name].values())
            drawn = errors if ax is axes[0, 0] and name != "chance" else None
            twice = [2 * drawn[layer][place] for layer in layers] if drawn else None
            ax.errorbar(layers, indices, twice, fmt=style, capsize=3, label=label)
        ax.set(title=title, ylim=(-0.03, 1.03))
        ax.tick_params(axis="x", rotation=90)
    axes[0, 0].set_ylabel("Jaccard index over target classes")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=10)
    plt.close(fig)
    return fig


def suppression(record: Record) -> Figure:
    """Accuracy while the sensitive neurons' outputs are multiplied by beta (Fig. 3a), one panel per kind of attack.

    Args:
        record: of :func:`snslib.study.measurements.suppression`.
    """
    panels = {title: record.result[way] for way, title in WAYS.items()}
    draw = partial(_curves_over_beta, betas=record.result["betas"])
    return _over_beta(panels, draw, r"suppression coefficient $\beta$", 3.6)


def suppression_of(sensitive: Record, others: Mapping[str, Record]) -> Figure:
    """Accuracy while the outputs of sensitive, of random or of the least sensitive neurons are multiplied by beta.

    Args:
        sensitive: of :func:`snslib.study.measurements.suppression`.
        others: the same for "random" and "least" sensitive neurons.
    """
    curves, betas = {"sensitive": sensitive, **others}, sensitive.result["betas"]
    panels = {
        title: {which: curves[which].result[way][column] for which in SUPPRESSED}
        for title, way, column in SUPPRESSED_UNDER
    }

    def draw(ax: Axes, accuracies: Mapping[str, Sequence[float]]) -> None:
        for (which, label), marker in zip(SUPPRESSED.items(), "osD", strict=True):
            ax.plot(betas, 100 * np.array(accuracies[which]), marker=marker, markersize=5, label=label)

    return _over_beta(panels, draw, r"$\beta$", 3.4)


def suppressed(record: Record, beta: float) -> Figure:
    """Accuracy at one suppression coefficient, beside that of the model as it was: one place of Fig. 3a.

    Args:
        record: of :func:`snslib.study.measurements.suppression`.
        beta: one of its factors.
    """
    fig, ax = plt.subplots(figsize=(7.5, 3.2))
    columns = {"clean": "clean", **ATTACKS}
    places, width = np.arange(len(columns)), 0.8 / len(WAYS)
    for number, (way, title) in enumerate(WAYS.items()):
        shift = (number - (len(WAYS) - 1) / 2) * width
        heights = [100 * accuracy_at([record], way, column, beta).mean for column in columns]
        ax.bar(places + shift, heights, 0.9 * width, label=title)
    level = [100 * accuracy_at([record], "white_box", column, 1.0).mean for column in columns]  # the same in both ways
    ax.hlines(level, places - 0.45, places + 0.45, colors="black", linewidth=2, label=r"at $\beta = 1$")
    ax.set_xticks(places, list(columns.values()))
    ax.set(title=rf"$\beta$ = {beta:g}", ylabel="accuracy, %", ylim=(0, 103))
    ax.grid(False, axis="x")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=len(WAYS) + 1, fontsize=10)
    plt.close(fig)
    return fig


def _over_beta(
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    draw: Callable[[Axes, Mapping[str, Sequence[float]]], None],
    xlabel: str,
    height: float,
) -> Figure:
    fig, axes = plt.subplots(1, len(panels), figsize=(7.5, height), sharey=True, squeeze=False)
    for ax, (title, curves) in zip(axes[0], panels.items(), strict=True):
        draw(ax, curves)
        ax.set(title=title, xlabel=xlabel, ylim=(-3, 103))
        ax.invert_xaxis()
    axes[0, 0].set_ylabel("accuracy, %")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=10)
    plt.close(fig)
    return fig


def _curves_over_beta(ax: Axes, curves: Mapping[str, Sequence[float]], betas: Sequence[float]) -> None:
    ax.plot(betas, 100 * np.array(curves["clean"]), "k-", linewidth=2, label="clean")
    for (name, label), marker, colour in zip(ATTACKS.items(), "osD^", sns.color_palette("colorblind"), strict=False):
        ax.plot(betas, 100 * np.array(curves[name]), marker=marker, color=colour, markersize=5, label=label)
    ax.axvline(0.85, color="0.6", linestyle="--", linewidth=1)
