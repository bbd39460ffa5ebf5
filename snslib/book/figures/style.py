"""One style for every figure: readable in grey, by colour-blind readers, and on a dark page."""

from itertools import cycle
from typing import Any

import matplotlib as mpl
import seaborn as sns
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.figure import Figure
from matplotlib_inline.backend_inline import set_matplotlib_formats

from snslib.book.figures import numbers
from snslib.study.defenses import DEFENSES

COLOURS = dict(zip(DEFENSES, cycle(sns.color_palette("colorblind")), strict=False))
MARKERS = dict(zip(DEFENSES, cycle("osPD*X^vdp<>"), strict=False))


def literal(name: str) -> str:
    """A name that somebody gave, as a text of Matplotlib, where a dollar would begin a formula."""
    return " ".join(name.split()).replace("$", r"\$")


def use_style() -> None:
    """The book's style, for every figure that follows: as SVG that is the same from run to run, and as PNG.

    The book takes the SVG. A notebook that is not trusted, as one that somebody else has run, shows the PNG alone.

    Where a cell shows a figure, the description in the SVG's metadata is the figure's numbers as CSV, if it has any.
    """
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
    set_matplotlib_formats("svg", "png")
    display: Any = InteractiveShell.instance().display_formatter
    svg = display.formatters["image/svg+xml"]
    draw = svg.lookup_by_type(Figure)  # with all else that the inline backend is set to
    svg.for_type(
        Figure,
        lambda figure: draw(figure, metadata={"Date": None, "Description": numbers.to_csv(figure) or None}),
    )
