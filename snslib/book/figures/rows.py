"""Long tables as pictures: a line per row, and from left to right a panel per column, or per columns of one unit."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from operator import itemgetter
from statistics import stdev

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from snslib.attacks import ATTACKS
from snslib.claims.numbers.accuracies import BY_STATISTICS, STATISTICS, accuracy_by_statistics
from snslib.claims.numbers.robustness import accuracy_under_attacks, strong_name
from snslib.claims.numbers.stabilised import neuron_states
from snslib.claims.records import accuracy_of
from snslib.claims.statistics import Accuracy
from snslib.study import results
from snslib.study.defenses import LABELS
from snslib.study.rows import ROWS

MARKERS = "osD^vP"
UNDER = {"clean": "clean", "fixed": "fixed x'", "pgd": "PGD"}


@dataclass(frozen=True)
class Panel:
    """Columns of a table that share an axis.

    Args:
        title: what the numbers are.
        series: what a marker stands for to a value for each row (N,), NaN where there is none.
        bars: a series to how far its error bars reach below and above, each (N,); NaN where there is none.
        most: where the axis ends, which begins at 0; by default where the values do.
        is_log: a logarithmic axis, on which 0 is shown left of the smallest power of ten.
    """

    title: str
    series: Mapping[str, Sequence[float]]
    bars: Mapping[str, tuple[Sequence[float], Sequence[float]]] = field(default_factory=dict)
    most: float | None = None
    is_log: bool = False


def row_panels(labels: Sequence[str], panels: Sequence[Panel], unit: str = "") -> Figure:
    """The rows of a table from top to bottom, its columns as panels from left to right.

    Args:
        labels: of the rows (N,).
        panels: the columns. The same name is the same marker in all of them; a legend names those that share a panel.
        unit: what the numbers of all panels are.
    """
    several = dict.fromkeys(name for panel in panels if len(panel.series) > 1 for name in panel.series)
    styles = dict(zip(several, zip(cycle(MARKERS), cycle(sns.color_palette("colorblind"))), strict=False))
    size = (7.5, 0.2 * len(labels) + 0.7 + 0.4 * bool(several) + 0.2 * bool(unit))
    widths = [1 if panel.is_log else 1.4 for panel in panels]
    fig, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, squeeze=False, width_ratios=widths)
    for ax, panel in zip(axes[0], panels, strict=True):
        for (name, values), places in zip(panel.series.items(), _places(panel), strict=True):
            marker, colour = styles.get(name, ("o", "0.25"))
            style = {"fmt": marker, "ms": 5, "color": colour, "elinewidth": 1.5, "label": name}
            ax.errorbar(values, places, xerr=panel.bars.get(name), **style)
        ax.set_title(panel.title, fontsize=10)
        ax.set_xlabel(unit, fontsize=9)
        ax.tick_params(labelsize=9)
        _scale(ax, panel)
    axes[0, 0].set_yticks(range(len(labels)), labels)
    axes[0, 0].set_ylim(len(labels) - 0.5, -0.5)
    handles = {name: handle for ax in axes[0] for handle, name in zip(*ax.get_legend_handles_labels(), strict=True)}
    if several:
        shown = {"ncols": 6, "fontsize": 9, "columnspacing": 1.2, "handletextpad": 0.2}
        fig.legend([handles[name] for name in several], several, loc="outside lower center", **shown)
    plt.close(fig)
    return fig


def _places(panel: Panel) -> np.ndarray:
    """How far down each series has its markers (S, N): one below the other where a row has several."""
    values = np.array(list(panel.series.values()), dtype=float)
    is_alone = np.isfinite(values).sum(axis=0).max() < 2
    shifts = np.zeros(len(values)) if is_alone else np.linspace(-0.2, 0.2, len(values))
    return np.arange(values.shape[1]) + shifts[:, None]


def _scale(ax: Axes, panel: Panel) -> None:
    values = np.concatenate([np.asarray(values, dtype=float) for values in panel.series.values()])
    positive = values[values > 0]
    if not panel.is_log or not len(positive):
        ends = [np.add(panel.series[name], above) for name, (_, above) in panel.bars.items()]
        most = np.nanmax([*values, *np.ravel(ends), 0]) if panel.most is None else panel.most
        ax.set_xlim(-0.06 * (most or 1), 1.06 * (most or 1))
        return
    low = math.floor(np.log10(positive.min()))
    half = max(math.ceil((np.log10(positive.max()) - low) / 2), 1)
    first, middle, last = (10.0**power for power in (low, low + half, low + 2 * half))
    margin = (last / first) ** 0.06
    if (values == 0).any():
        ax.set_xscale("symlog", linthresh=first)
        ax.set_xlim(-0.5 * first, last * margin)
        first = 0
    else:
        ax.set_xscale("log")
        ax.set_xlim(first / margin, last * margin)
    ax.set_xticks([first, middle, last])
    ax.xaxis.set_minor_locator(NullLocator())


def stabilised_neurons(rows: Mapping[str, str], *folders: str) -> Figure | None:
    """Accuracy of rows and the state of the neurons that SNS stabilises, as :func:`neuron_states` has it.

    Args:
        rows: published row to its label; what is missing in the last folder has no markers.
        folders: such as "cifar10/vgg16-w1", "cifar10/vgg16-w0.25", whose rows come one below the other.

    Returns:
        The figure; None where no row is recorded.
    """
    states: dict[str, Mapping[str, float]] = {}  # label to state
    for folder in folders:
        width = f", width {results.width_of(folder)}" if len(folders) > 1 else ""
        of_folder = neuron_states(folder, rows)
        shown = rows if folder == folders[-1] else of_folder
        states |= {f"{rows[row]}{width}": of_folder.get(row, {}) for row in shown}

    def column(name: str, factor: float = 1) -> list[float]:
        return [factor * state.get(name, math.nan) for state in states.values()]

    strong = strong_name(results.records(folders[-1], "strong-accuracy"))
    accuracies = {label: column(name, 100) for name, label in (UNDER | {"strong": strong}).items()}
    neurons = {"dead": column("dead", 100), "over images": column("over_images", 100)}
    panels = [
        Panel("accuracy, %", accuracies, most=100),
        Panel("of neurons, %", neurons, most=100),
        Panel("output, %", {"output, %": column("output", 100)}, is_log=True),
        Panel("σ", {"σ": column("sigma")}, is_log=True),
        Panel("rel. σ", {"rel. σ": column("relative")}, is_log=True),
    ]
    return row_panels(list(states), panels) if any(states.values()) else None


def by_statistics(folder: str) -> Figure | None:
    """Accuracy by the images whose statistics BatchNorm normalises by, with the standard deviation over seeds.

    Args:
        folder: such as "cifar10/vgg16-w0.25"; rows that are missing there have no markers.

    Returns:
        The figure; None where no row is recorded.
    """
    recorded = results.by_seed(folder, "accuracy-by-statistics")
    panels = [
        _accuracies(
            title,
            {
                images: [
                    accuracy_by_statistics(recorded[row], which, under) if row in recorded else None
                    for row in BY_STATISTICS
                ]
                for which, images in STATISTICS.items()
            },
            most=100,
        )
        for under, title in UNDER.items()
    ]
    labels = [ROWS[row].label for row in BY_STATISTICS]
    return row_panels(labels, panels, "accuracy, %") if recorded.keys() & set(BY_STATISTICS) else None


def beside_paper(paper: Mapping[str, Mapping[str, float]], folder: str) -> Figure | None:
    """A table of the paper's, each accuracy beside the recorded one and its standard deviation over seeds.

    Args:
        paper: defense to column to accuracy in percent, as :mod:`snslib.claims.paper` has it; its order is kept.
        folder: such as "tiny-imagenet/alexnet-w0.25"; what is missing there has no markers.

    Returns:
        The figure; None where no row is recorded.
    """
    ours, strong = (results.by_seed(folder, what) for what in ("accuracy", "strong-accuracy"))
    panels = []
    for column, title in {"clean": "clean", **ATTACKS}.items():
        found = [accuracy_of(ours[row], itemgetter(column)) if row in ours else None for row in paper]
        of_ours = _accuracies(title, {"ours": found})
        printed = {"the paper": [columns[column] for columns in paper.values()]}
        panels.append(Panel(title, {**of_ours.series, **printed}, of_ours.bars))
    stronger = [accuracy_of(strong[row], float) if row in strong else None for row in paper]
    title = strong_name({row: entries[0] for row, entries in strong.items()})
    panels.append(_accuracies(title, {"ours": stronger}))
    labels = [LABELS[row] for row in paper]
    return row_panels(labels, panels, "accuracy, %") if ours.keys() & paper.keys() else None


def stronger_attacks(rows: Mapping[str, str], *folders: str) -> Figure | None:
    """Accuracy of the rows under attacks that try harder from left to right; the lowest of each row stands out.

    Args:
        rows: published row to its label; what was not run has no marker, and a row for which nothing was has a line in
            the last folder only.
        folders: such as "cifar10/vgg16-w1", "cifar10/vgg16-w0.25", whose rows come one below the other.

    Returns:
        The figure; None where nothing was run.
    """
    measured: dict[str, Mapping[str, float]] = {}  # label to column to accuracy
    for folder in folders:
        width = f", width {results.width_of(folder)}" if len(folders) > 1 else ""
        for row, label in rows.items():
            if (found := accuracy_under_attacks(folder, row)) or folder == folders[-1]:
                measured[f"{label}{width}"] = found
    lowest = {
        label: min((value for column, value in columns.items() if column != "clean"), default=math.nan)
        for label, columns in measured.items()
    }
    panels = []
    for column in max(measured.values(), key=len, default={}):
        values = {label: columns.get(column, math.nan) for label, columns in measured.items()}
        is_lowest = {label: column != "clean" and value == lowest[label] for label, value in values.items()}
        series = {
            name: [100 * value if is_lowest[label] is lowest_ones else math.nan for label, value in values.items()]
            for name, lowest_ones in (("accuracy", False), ("lowest under attack", True))
        }
        panels.append(Panel(column, series, most=100))
    return row_panels(list(measured), panels, "accuracy, %") if panels else None


def _accuracies(title: str, series: Mapping[str, Sequence[Accuracy | None]], most: float | None = None) -> Panel:
    """Means over seeds in percent and their standard deviations; None is a row that was not run."""
    means = {
        name: [math.nan if value is None else 100 * value.mean for value in values] for name, values in series.items()
    }
    spreads = {
        name: [100 * stdev(value.values) if value and len(value.values) > 1 else math.nan for value in values]
        for name, values in series.items()
    }
    bars = {name: (spread, spread) for name, spread in spreads.items() if not np.isnan(spread).all()}
    return Panel(title, means, bars, most)
