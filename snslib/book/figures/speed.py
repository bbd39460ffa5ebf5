"""Figures of the speed page, from the rows that ``benchmarks/`` records: a line of panels per device.

Each function takes the device's name to the rows of one section of its record, ``results/speed_<device>.json``.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, LogLocator, NullLocator, ScalarFormatter

Rows = Sequence[Mapping[str, Any]]


def attacks(records: Mapping[str, Rows]) -> Figure:
    """How many times as fast as the attack written plainly each library is, per attack and width of VGG-16.

    A point is the median over the rounds, its line reaches from the slowest to the fastest round.
    """
    titles = ("PGD-10", "MI-FGSM-10", "FGSM")
    most = max(len({row["library"] for row in rows}) for rows in records.values())
    fig, grid = plt.subplots(
        len(records), len(titles), figsize=(7.5, len(records) * (0.4 * most + 1.2)), sharey="row", squeeze=False
    )
    for axes, (device, rows) in zip(grid, records.items(), strict=True):
        libraries = list(dict.fromkeys(row["library"] for row in rows))
        for ax, attack in zip(axes, titles, strict=True):
            _attack(ax, [row for row in rows if row["attack"] == attack], libraries)
            ax.set(title=attack, xlabel="times as fast as\na plain loop", xlim=(0, None))
        axes[0].set(ylabel=device)
        axes[0].set_yticks(range(len(libraries)), libraries)
        axes[0].invert_yaxis()
    fig.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small")
    plt.close(fig)
    return fig


def _attack(ax: Axes, rows: Rows, libraries: list[str]) -> None:
    widths = sorted({row["width"] for row in rows})
    for width, marker, shift in zip(widths, "oD", (-0.16, 0.16), strict=False):
        colour = sns.color_palette("colorblind")[widths.index(width)]
        of_width = [row for row in rows if row["width"] == width]
        positions = [libraries.index(row["library"]) + shift for row in of_width]
        medians = [row["faster"] for row in of_width]
        below = [row["faster"] - row["faster_from"] for row in of_width]
        above = [row["faster_to"] - row["faster"] for row in of_width]
        ax.errorbar(medians, positions, xerr=[below, above], fmt=marker, color=colour, label=f"VGG-16, width {width:g}")
    ax.axvline(1, color="0.5", linewidth=0.8)


def sensitivity(records: Mapping[str, Rows]) -> Figure:
    """Time and peak memory of measuring sensitivity, over the number of images and of layers, for the smaller width."""
    fig, grid = plt.subplots(len(records), 4, figsize=(9, 2.9 * len(records)), squeeze=False)
    for axes, (device, rows) in zip(grid, records.items(), strict=True):
        width = min(row["width"] for row in rows)
        small = [row for row in rows if row["width"] == width]
        layers = max(row["layers"] for row in small)
        images = next(row["images"] for row in small if row["layers"] < layers)
        growing = {"images": ("layers", layers), "layers": ("images", images)}
        for (what, (fixed, value)), pair in zip(growing.items(), (axes[:2], axes[2:]), strict=True):
            of_pair = [row for row in small if row[fixed] == value]
            for how, marker in zip(dict.fromkeys(row["how"] for row in small), "osD^", strict=False):
                line = sorted((row[what], 1 / row["faster"], row["peak_mib"]) for row in of_pair if row["how"] == how)
                x, time, memory = zip(*line, strict=True)
                pair[0].plot(x, time, marker=marker, label=how)
                pair[1].plot(x, memory, marker=marker, label=how)
            pair[0].set(xlabel=what, ylim=(0, None), title=f"time\n({value:,} {fixed})")
            pair[1].set(xlabel=what, yscale="log", title=f"peak memory, MiB\n({value:,} {fixed})")
            _plain_numbers(pair[1])
        axes[0].set_ylabel(f"{device}: multiple of\ntwo forward passes")
    fig.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small")
    plt.close(fig)
    return fig


def _plain_numbers(ax: Axes) -> None:
    """Label a logarithmic y axis 1, 2, 5, 10, 20, ..."""
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(ScalarFormatter())
    ax.yaxis.set_minor_locator(NullLocator())


def growth(records: Mapping[str, Rows]) -> Figure:
    """Seconds over the number of images, the network's width and the number of processes."""
    panels = ("images", "width", "processes")
    fig, grid = plt.subplots(len(records), len(panels), figsize=(7.5, 2.9 * len(records)), squeeze=False)
    for axes, rows in zip(grid, records.values(), strict=True):
        for ax, what in zip(axes, panels, strict=True):
            line = [row for row in rows if row["what"] == what]
            if not line:
                ax.set_visible(False)
                continue
            unit, scale = ("ms", 1000) if line[0]["per"].startswith("image") else ("s", 1)
            values = [row["value"] for row in line]
            label = f"{unit} per {line[0]['per']}"
            ax.plot(values, [scale * row["seconds"] for row in line], marker="o", label=label)
            ax.set(xlabel=what, ylabel=label, xscale="log")
            if what == "width":
                ax.set(yscale="log")
                _plain_numbers(ax)
            else:
                ax.set_ylim(0, 1.1 * max(scale * row["seconds"] for row in line))
            ax.set_xticks(values)
            ax.xaxis.set_major_formatter(FixedFormatter([str(Fraction(value)) for value in values]))
            ax.xaxis.set_minor_locator(NullLocator())
    plt.close(fig)
    return fig
