"""Figures that ask whether robustness is real: attacks side by side, transferred examples, the loss around an image."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from snslib.book.figures.defenses import accuracy_points
from snslib.book.figures.style import COLOURS, MARKERS
from snslib.claims.numbers.robustness import accuracy_by_attack, lowest_of
from snslib.study.defenses import LABELS
from snslib.study.records import Record


def under_attacks(attacked: Mapping[str, Sequence[Record]]) -> Figure:
    """Accuracy under attacks that try harder from left to right, with 95% intervals.

    Args:
        attacked: defense to its records, as :func:`snslib.claims.numbers.robustness.accuracy_by_attack` takes them.
    """
    accuracies = {defense: accuracy_by_attack(records) for defense, records in attacked.items()}
    attacks = [column for column in next(iter(accuracies.values())) if column != "clean"]
    columns = {attack: {defense: of_model[attack] for defense, of_model in accuracies.items()} for attack in attacks}
    n = lowest_of(next(iter(attacked.values()))).n
    return accuracy_points(columns, dict.fromkeys(attacks, n))


def growing_radius(checks: Mapping[str, Record]) -> Figure:
    """Accuracy under PGD as its radius grows to 1, one line per model; a vertical line marks eps.

    Args:
        checks: defense to its record of ``measurements.sanity_checks``, all with the same radii.
    """
    fig, ax = plt.subplots(figsize=(6.5, 3.2))
    first = next(iter(checks.values()))
    eps = first.config["attack"]["eps"]
    places = [255 * radius for radius in first.result["growing"]["epsilons"]]
    for defense, entry in checks.items():
        heights = [100 * accuracy for accuracy in entry.result["growing"]["accuracy"]]
        ax.plot(places, heights, color=COLOURS[defense], marker=MARKERS[defense], label=LABELS[defense])
    ax.axvline(255 * eps, color="0.35", linestyle="--", linewidth=1)
    ax.set_xscale("log", base=2)
    ax.set_xticks(places)
    ax.xaxis.set_major_formatter("{x:.3g}")
    ax.set(xlabel="radius, in 255ths of the pixel range", ylabel="accuracy under PGD, %", ylim=(-3, 103))
    ax.legend()
    plt.close(fig)
    return fig


def transfer_matrix(matrix: Mapping[str, Mapping[str, float]], labels: Mapping[str, str]) -> Figure:
    """Who is fooled by whose adversarial images: a heat map of accuracy in percent.

    Args:
        matrix: model that the images were made on, to model that is tested on them, to accuracy in [0, 1].
        labels: model to its name in the figure.
    """
    tested = list(next(iter(matrix.values())))
    values = 100 * np.array([[row[model] for model in tested] for row in matrix.values()])
    many = len(tested) > 5  # then names are slanted, and the figure is as wide as a page
    size = (8.5, 0.9 + 0.5 * len(matrix)) if many else (1.6 + 1.1 * len(tested), 0.9 + 0.7 * len(matrix))
    fig, ax = plt.subplots(figsize=size)
    sns.heatmap(
        values,
        vmin=0,
        vmax=100,
        annot=True,
        annot_kws={"fontsize": 10},
        fmt=".0f",
        cmap="cividis",
        linewidths=1,
        label="accuracy, %",
        xticklabels=[labels[model] for model in tested],
        yticklabels=[labels[source] for source in matrix],
        cbar_kws={"label": "accuracy, %"},
        ax=ax,
    )
    ax.set(xlabel="classified by", ylabel="made on")
    ax.tick_params(axis="y", rotation=0)
    ax.tick_params(axis="x", rotation=45 if many else 0)
    if many:
        ax.tick_params(labelsize=10)
        plt.setp(ax.get_xticklabels(), ha="right", rotation_mode="anchor")
    plt.close(fig)
    return fig


def loss_surfaces(surfaces: Mapping[str, Record]) -> Figure:
    """The loss on a plane through images, one panel per model, each with a scale of its own.

    Args:
        surfaces: defense to its record of ``measurements.loss_surface``: offsets (P,) in [0, 1] pixel space, and the
            loss (P, P), whose rows go along the sign of the gradient and whose columns go along random signs.
    """
    columns = 2 if len(surfaces) == 4 else min(len(surfaces), 3)
    rows = -(-len(surfaces) // columns)
    size = (7.5, 6.8 / columns * rows)
    fig, axes = plt.subplots(rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[len(surfaces) :]:
        ax.set_axis_off()
    for ax, (defense, entry) in zip(axes.flat, surfaces.items(), strict=False):
        places, loss = 255 * np.array(entry.result["offsets"]), np.array(entry.result["loss"])
        drawn = ax.pcolormesh(places, places, loss, cmap="cividis", label="cross-entropy", rasterized=True)
        ax.contour(places, places, loss, levels=12, colors="white", linewidths=0.5)
        fig.colorbar(drawn, ax=ax, format="%.3g", shrink=0.8)
        ax.plot(0, 0, "w+", ms=10, mew=2)
        ax.set(title=LABELS[defense], aspect="equal")
        ax.grid(False)
    fig.supxlabel("along random signs")
    fig.supylabel("along the gradient's signs")
    plt.close(fig)
    return fig
