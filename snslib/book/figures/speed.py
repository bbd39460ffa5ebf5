"""Figures of the speed page, from the rows that ``benchmarks/`` records, a line of panels per device; of long tables.

Each function takes the device's name to the rows of one section of its record, ``results/speed_<device>.json``.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, LogLocator, NullLocator, ScalarFormatter

from snslib.book.figures.rows import Panel, row_panels
from snslib.book.text import MODEL_NAMES

Row = Mapping[str, Any]
Rows = Sequence[Row]


def attacks(records: Mapping[str, Rows]) -> Figure | None:
    """How many times as fast as the attack written plainly each library is, per attack and width of VGG-16.

    A point is the median over the rounds, its line reaches from the slowest to the fastest round.
    """
    if not records:
        return None
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


def sensitivity(records: Mapping[str, Rows]) -> Figure | None:
    """Time and peak memory of measuring sensitivity, over the number of images and of layers, for the smaller width."""
    if not records:
        return None
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


def growth(records: Mapping[str, Rows]) -> Figure | None:
    """Seconds over the number of images, the network's width and the number of processes."""
    if not records:
        return None
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


def passes(records: Mapping[str, Rows]) -> Figure | None:
    """The gradient with respect to images by precision and memory format, as a multiple of the plain network's speed.

    A point is the median over the rounds, its line reaches from the slowest to the fastest round. None without rows.
    """
    found = _by_label(records, lambda row: f"{MODEL_NAMES[row['model']]}, {row['width']:g}", "way")
    panels = [
        Panel("plain, ms", {"plain, ms": [1000 * ways["plain"]["seconds"] for ways in found.values()]}, is_log=True)
    ]
    for precision in ("float32", "bfloat16"):
        series = {}
        for label, way in (
            ("contiguous", f"folded, {precision}"),
            ("channels_last", f"folded, channels_last, {precision}"),
        ):
            rows = [ways.get(way) for ways in found.values()]
            series[label] = [row if row and not row["chosen"] else None for row in rows]
            series[f"{label}, run by snslib"] = [row if row and row["chosen"] else None for row in rows]
        panels.append(_ratios(f"{precision}, × plain", series))
    last = (list(ways.values())[-1] for ways in found.values())
    panels.append(Panel("cosine", {"cosine": [row["cosine"] for row in last]}, most=1))
    return row_panels(list(found), panels) if found else None


def kernels(records: Mapping[str, Rows]) -> Figure | None:
    """The bandwidth of each operation as a share of a copy's, by how it is computed; None without rows."""

    def label(row: Row) -> str:
        shape, short = "×".join(map(str, row["shape"])), row["dtype"].replace("bfloat", "bf").replace("float", "f")
        return f"{row['operation']}, {shape} {short}{', c.l.' if row['channels_last'] else ''}"

    found = _by_label(records, label, "how")
    hows = dict.fromkeys(how for ways in found.values() for how in ways if how != "copy")
    shares = {how: [ways.get(how) for ways in found.values()] for how in hows}
    panels = [
        Panel("a copy, GB/s", {"a copy, GB/s": [ways["copy"]["gb_per_second"] for ways in found.values()]}),
        _ratios("share of a copy's, %", shares, 100),
    ]
    return row_panels(list(found), panels) if found else None


def pages(records: Mapping[str, Rows]) -> Figure | None:
    """Seconds to open the book's pages, in the median and at worst, and their size: the slowest first.

    None without rows.
    """
    rows = sorted((row for rows in records.values() for row in rows), key=lambda row: -row["seconds"])
    seconds = {label: [row[name] for row in rows] for label, name in (("median", "seconds"), ("longest", "longest"))}
    kilobytes = [row["bytes"] / 1000 for row in rows]
    panels = [Panel("seconds to open", seconds), Panel("kB without pictures", {"kB": kilobytes}, is_log=True)]
    return row_panels([row["page"] for row in rows], panels) if rows else None


def _by_label(records: Mapping[str, Rows], label: Callable[[Row], str], way: str) -> dict[str, dict[str, Row]]:
    """The rows of all devices by what they are about, and by the way in which it was done."""
    found: dict[str, dict[str, Row]] = {}
    for device, rows in records.items():
        first = f"{device}: " if len(records) > 1 else ""
        for row in rows:
            found.setdefault(first + label(row), {})[row[way]] = row
    return found


def _ratios(title: str, series: Mapping[str, Sequence[Row | None]], factor: float = 1) -> Panel:
    """How many times as fast some rows are, from the slowest to the fastest round; None is what was not run."""

    def times(rows: Sequence[Row | None], value: Callable[[Row], float]) -> list[float]:
        return [math.nan if row is None else factor * value(row) for row in rows]

    medians = {name: times(rows, lambda row: row["faster"]) for name, rows in series.items()}
    bars = {
        name: (
            times(rows, lambda row: row["faster"] - row["faster_from"]),
            times(rows, lambda row: row["faster_to"] - row["faster"]),
        )
        for name, rows in series.items()
    }
    return Panel(title, medians, bars)
