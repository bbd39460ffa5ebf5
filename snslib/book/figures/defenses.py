"""Figures that compare defenses: loss curves, and sensitivity by neuron and by layer (Fig. 6, 7a, 8)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from snslib.book.figures.intervals import error_bars
from snslib.book.figures.style import COLOURS, MARKERS
from snslib.sensitivity import top_count
from snslib.study.defenses import LABELS
from snslib.study.records import Record
from snslib.training.loop import History

TERMS = {"cls": r"$\mathcal{L}_{cls}$", "adv": r"$\mathcal{L}_{adv}$", "sns": r"$\mathcal{L}_{sns}$"}


def loss_curves(history: History, lam: float) -> Figure:
    """The two terms of Eq. 10 or 11 at every training step, the second one weighted by lambda.

    Args:
        history: of an SNS training, as :func:`snslib.training.loop.train` returns it.
        lam: the weight.
    """
    fig, ax = plt.subplots(figsize=(7, 3.2))
    steps = history[0]["steps"]
    for name, style in zip((n for n in steps if n != "loss"), ("-", "--"), strict=False):
        weight = lam if name == "sns" else 1.0
        values = weight * np.concatenate([entry["steps"][name] for entry in history])
        label = rf"$\lambda\,${TERMS[name]}" if name == "sns" else TERMS[name]
        ax.plot(np.arange(1, len(values) + 1), values, style, label=label)
    ends = np.cumsum([len(entry["steps"]["loss"]) for entry in history])
    for end in ends[:-1]:
        ax.axvline(end + 0.5, color="0.7", linewidth=0.8)
    ax.set(xlabel="step (grey lines: ends of epochs)", ylabel="loss", yscale="log")
    ax.legend()
    plt.close(fig)
    return fig


def validation_curves(histories: Mapping[str, History]) -> Figure:
    """Accuracy on the validation images after each epoch, clean and under PGD, per defense.

    Args:
        histories: defense to its history; each with "clean", "pgd" and its "eps" from validation.
    """
    eps = " and ".join(sorted({f"{255 * entry['eps']:.3g}/255" for history in histories.values() for entry in history}))
    fig, axes = plt.subplots(1, 2, figsize=(7.5, 3.2), sharey=True)
    for ax, column, title in zip(axes, ("clean", "pgd"), ("clean", f"under PGD, eps {eps}"), strict=True):
        for defense, history in histories.items():
            epochs = [entry["epoch"] for entry in history]
            values = [100 * entry[column] for entry in history]
            ax.plot(epochs, values, color=COLOURS[defense], marker=MARKERS[defense], label=LABELS[defense])
        ax.set(title=title, xlabel="epoch", ylim=(-3, 103))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].set_ylabel("validation accuracy, %")
    axes[1].legend()
    plt.close(fig)
    return fig


def accuracy_points(columns: Mapping[str, Mapping[str, float]], n: Mapping[str, int]) -> Figure:
    """Accuracy per defense in several columns, with 95% Wilson intervals over the test images.

    Args:
        columns: title to defense to accuracy in [0, 1].
        n: title to the number of images.
    """
    fig, axes = plt.subplots(1, len(columns), figsize=(7.5, 2.8), sharey=True)
    for ax, (title, values) in zip(axes, columns.items(), strict=True):
        for row, (defense, accuracy) in enumerate(values.items()):
            style = {"color": COLOURS[defense], "marker": MARKERS[defense], "elinewidth": 2, "label": "accuracy, %"}
            ax.errorbar(100 * accuracy, row, xerr=error_bars([accuracy], n[title]), **style)
        ax.set(title=title, xlabel="accuracy, %", xlim=(-3, 103))
        ax.set_yticks(range(len(values)), [LABELS[defense] for defense in values])
    axes[0].invert_yaxis()
    plt.close(fig)
    return fig


def by_layer(
    means: Mapping[str, Mapping[str, float]], ylabel: str, stabilised: Sequence[str] = (), log: bool = True
) -> Figure:
    """One line per model over the layers, bottom to top (Fig. 7a, 8b).

    Args:
        means: label (a defense's name, or any other text) to layer to value; all of the same layers.
        ylabel: what the value is.
        stabilised: layers to shade, as far as they are shown: those that SNS trained.
        log: a logarithmic axis, since layers differ by orders of magnitude.
    """
    fig, ax = plt.subplots(figsize=(7.5, 3.6))
    layers = list(next(iter(means.values())))
    spare = iter([("0.35", "x"), ("0.6", "+"), ("0.2", "P")])
    for label, values in means.items():
        colour, marker = (COLOURS[label], MARKERS[label]) if label in COLOURS else next(spare)
        heights = [values[layer] for layer in layers]
        ax.plot(layers, heights, color=colour, marker=marker, label=LABELS.get(label, label))
    if places := [layers.index(layer) for layer in stabilised if layer in layers]:
        ax.axvspan(min(places) - 0.5, max(places) + 0.5, color="0.92", zorder=0, label="trained by SNS")
    ax.set(ylabel=ylabel, yscale="log" if log else "linear")
    ax.tick_params(axis="x", rotation=45)
    ax.legend()
    plt.close(fig)
    return fig


def sorted_neurons(records: Mapping[str, Record], layers: Sequence[str]) -> Figure:
    """The sensitivity of every neuron, each model's sorted from high to low, one panel per layer (Fig. 6, 8a).

    Args:
        records: defense to its record of sensitivity.
        layers: the panels, at most four.
    """
    columns = min(len(layers), 2)
    rows = -(-len(layers) // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(7.5, 2.7 * rows), squeeze=False)
    for ax, layer in zip(axes.flat, layers, strict=False):
        _sorted_panel(ax, {defense: record.result["sigma"][layer] for defense, record in records.items()}, layer)
    axes[0, 0].legend()
    fig.supylabel(r"sensitivity $\sigma$")
    fig.supxlabel("neurons, most sensitive first")
    plt.close(fig)
    return fig


def _sorted_panel(ax: Axes, sigmas: Mapping[str, Sequence[float]], layer: str) -> None:
    for defense, sigma in sigmas.items():
        ranks = np.arange(1, len(sigma) + 1)
        heights = np.sort(sigma)[::-1]
        ax.plot(ranks, heights, color=COLOURS[defense], marker=MARKERS[defense], ms=3, label=LABELS[defense])
    top = top_count(len(next(iter(sigmas.values()))), 0.1)
    ax.axvspan(0.5, top + 0.5, color="0.92", zorder=0, label="top 10%")
    ax.set(title=layer, ylim=(0, None))


def against_paper(rows: Mapping[str, Mapping[str, float]]) -> Figure:
    """Robust accuracy of each row: as printed, as measured under the same attack, and under a stronger one.

    Args:
        rows: label to accuracies in [0, 1] by what they are called, the paper's first and then, network by network,
            ours under PGD and under the stronger attack; what was not run is missing.
    """
    fig, ax = plt.subplots(figsize=(7.5, 0.42 * len(rows) + 1.6))
    names = list(dict.fromkeys(name for values in rows.values() for name in values))
    for place, values in enumerate(rows.values()):
        ax.hlines(place, 100 * min(values.values()), 100 * max(values.values()), color="0.7", zorder=1)
    for name, style in zip(names, _networks_beside_paper(), strict=False):
        shares = [100 * values.get(name, np.nan) for values in rows.values()]
        ax.plot(shares, range(len(rows)), label=name, **style)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.invert_yaxis()
    ax.set(xlabel="accuracy under attack, %", xlim=(-2, None))
    ax.grid(False, axis="y")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=10)
    plt.close(fig)
    return fig


def _networks_beside_paper() -> Iterator[dict[str, Any]]:
    """The markers of the paper, and of PGD and a stronger attack on each network; the first one's are filled."""
    yield {"color": "black", "marker": "s", "ms": 9, "markerfacecolor": "none", "ls": "none"}
    pgd, stronger = sns.color_palette("colorblind", 2)
    for size, face in ((7, {}), (5, {"markerfacecolor": "none"})):
        yield {"color": pgd, "marker": "o", "ms": size, "ls": "none", **face}
        yield {"color": stronger, "marker": "D", "ms": size - 1, "ls": "none", **face}
