"""The figures of the book, in one style: readable in grey, by colour-blind readers, and on a dark page."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from torch import Tensor

from snslib.experiment import ATTACKS, DEFENSES
from snslib.sensitivity import average_jaccard, total_jaccard

COLOURS = dict(zip(DEFENSES, sns.color_palette("colorblind"), strict=False))
MARKERS = dict(zip(DEFENSES, "osD^v", strict=True))


def use_style() -> None:
    """The book's style, for every figure that follows; lines as SVG that is the same from run to run."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind")
    mpl.rcParams.update(
        {
            "figure.constrained_layout.use": True,
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "svg.hashsalt": "snslib",
            "svg.fonttype": "path",
        }
    )
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    set_matplotlib_formats("svg", metadata={"Date": None})
