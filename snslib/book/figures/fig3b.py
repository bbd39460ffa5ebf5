"""Fig. 3b and more: accuracy over the settings of SNS training, each varied alone."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure

from snslib.attacks import ATTACKS
from snslib.book.figures.intervals import error_bars
from snslib.claims.statistics import Accuracy

COLUMNS = {"clean": "clean", **ATTACKS}


def over_settings(panels: Mapping[str, Mapping[str, Mapping[str, Accuracy]]]) -> Figure:
    """Accuracy, clean and under the four attacks, with 95% Wilson intervals: a panel per setting.

    Args:
        panels: what is varied, to its value as text, to column to accuracy; all on as many images.
    """
    colours = sns.color_palette("colorblind", len(COLUMNS))
    widths = [max(2, len(values)) for values in panels.values()]
    fig, axes = plt.subplots(1, len(panels), figsize=(8.2, 3.6), sharey=True, squeeze=False, width_ratios=widths)
    for ax, (what, values) in zip(axes[0], panels.items(), strict=True):
        places = range(len(values))
        for (column, label), colour, marker in zip(COLUMNS.items(), colours, "osPD^", strict=True):
            accuracies = [columns[column] for columns in values.values()]
            means = [accuracy.mean for accuracy in accuracies]
            bars = error_bars(means, accuracies[0].n)
            ax.errorbar(places, [100 * mean for mean in means], bars, color=colour, marker=marker, label=label)
        ax.set(xlabel=what, xlim=(-0.4, len(values) - 0.6), ylim=(-3, 103))
        ax.set_xticks(places, list(values))
    axes[0, 0].set_ylabel("accuracy, %")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(COLUMNS))
    plt.close(fig)
    return fig
