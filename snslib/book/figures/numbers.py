"""The numbers behind a figure, read back from what it draws.

Our figures label all that is data, even where no legend shows it. What has no label only helps the eye, and so do lines
and shades across a panel, labelled or not.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.category import StrCategoryFormatter
from matplotlib.collections import LineCollection, PathCollection, QuadMesh
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from snslib import files

COLUMNS = ("panel", "series", "x", "y", "x low", "x high", "y low", "y high", "value")


def to_csv(figure: Figure) -> str:
    """The numbers of a figure as CSV: a line per point, bar, level or cell of a heat map.

    Args:
        figure: drawn or not.

    Returns:
        Those of COLUMNS that hold anything; empty if there are no numbers. The series is the label, low and high are
        the ends of error bars, and the value is that of a heat map's cell. Several panels are numbered.
    """
    panels = [(ax, rows) for ax in figure.axes if ax.get_visible() and (rows := list(_rows(ax)))]
    table = [
        {"panel": f"{number} {_title(ax)}".strip() if len(panels) > 1 else "", **row}
        for number, (ax, rows) in enumerate(panels, start=1)
        for row in rows
    ]
    if not table:
        return ""
    columns = [name for name in COLUMNS if any(row.get(name) for row in table)]
    lines = [[row.get(name, "").replace(r"\$", "$") for name in columns] for row in table]  # as figures write a dollar
    return files.as_csv([columns, *lines])


def _title(ax: Axes) -> str:
    return " ".join((ax.get_title() or ax.get_xlabel()).split())


def _rows(ax: Axes) -> Iterator[dict[str, str]]:
    """The lines of the table for one panel; what has no finite place has none."""
    artists: list[Any] = [*ax.containers, *ax.lines, *ax.collections]
    for artist in artists:
        label = str(artist.get_label())
        if label.startswith("_") or not (columns := _columns(artist)):  # matplotlib's own labels start so
            continue
        finite = np.isfinite([columns["x"], columns["y"]]).all(axis=0)
        columns = {name: np.asarray(values)[finite] for name, values in columns.items()}
        cells = {name: ["" if np.isnan(v) else f"{v:.12g}" for v in values] for name, values in columns.items()}
        cells |= {"x": _named(ax.xaxis, columns["x"]), "y": _named(ax.yaxis, columns["y"])}
        for row in zip(*cells.values(), strict=True):
            yield {"series": label, **dict(zip(cells, row, strict=True))}


def _columns(artist: Any) -> dict[str, Any]:
    """What an artist draws, by column; nothing if it is no data."""
    match artist:
        case ErrorbarContainer(lines=(Line2D() as line, _, _)):
            return _columns(line) | _error_bars(artist)
        case BarContainer(orientation="vertical"):
            return {"x": [bar.get_center()[0] for bar in artist], "y": [bar.get_height() for bar in artist]}
        case BarContainer():
            return {"x": [bar.get_width() for bar in artist], "y": [bar.get_center()[1] for bar in artist]}
        case Line2D(axes=Axes(transData=places)) if artist.get_transform() == places:  # axhline's is another
            return dict(zip("xy", artist.get_data(orig=False), strict=True))
        case PathCollection():
            return dict(zip("xy", np.asarray(artist.get_offsets()).T, strict=True))
        case LineCollection():  # hlines draws levels
            middles = [np.asarray(path.vertices).mean(axis=0) for path in artist.get_paths()]
            return dict(zip("xy", np.reshape(middles, (-1, 2)).T, strict=True))
        case QuadMesh():
            corners = np.asarray(artist.get_coordinates())
            x, y = np.reshape(corners[1:, 1:] + corners[:-1, :-1], (-1, 2)).T / 2
            return {"x": x, "y": y, "value": np.asarray(artist.get_array()).ravel()}
    return {}


def _error_bars(container: ErrorbarContainer) -> dict[str, Any]:
    found = {}
    drawn = [axis for axis, has in (("x", container.has_xerr), ("y", container.has_yerr)) if has]
    for axis, strokes in zip(drawn, container.lines[2], strict=True):
        ends = np.reshape([path.vertices for path in strokes.get_paths()], (-1, 2, 2))  # points, two ends each, x and y
        found[f"{axis} low"], found[f"{axis} high"] = ends[:, :, "xy".index(axis)].T
    return found


def _named(axis: Axis, values: np.ndarray) -> list[str]:
    """Places on an axis as text: the name of the nearest tick, or the number where ticks have no names.

    Ticks have names on an axis of categories, and where ``set_xticks`` or ``set_yticks`` got labels. Where a number is
    only to be written in another way, figures set a formatter instead.
    """
    formatter, ticks = axis.get_major_formatter(), list(axis.get_majorticklocs())
    if not ticks or not isinstance(formatter, StrCategoryFormatter | FuncFormatter):
        return [f"{value:.12g}" for value in values]
    names = formatter.format_ticks(ticks)
    return [names[np.abs(np.subtract(ticks, value)).argmin()] for value in values]
