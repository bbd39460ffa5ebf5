"""One style for every figure: readable in grey, by colour-blind readers, and on a dark page."""

import matplotlib as mpl
import seaborn as sns
from matplotlib_inline.backend_inline import set_matplotlib_formats

from snslib.zoo import DEFENSES

COLOURS = dict(zip(DEFENSES, sns.color_palette("colorblind"), strict=False))
MARKERS = dict(zip(DEFENSES, "osPD*X^v", strict=True))


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
    set_matplotlib_formats("svg", metadata={"Date": None})
