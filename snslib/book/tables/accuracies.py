"""Accuracy of the defenses, beside the paper's Tables 1 and 2."""

from collections.abc import Mapping, Sequence
from operator import itemgetter

from IPython.display import Markdown

from snslib.attacks import ATTACKS
from snslib.book.tables.markdown import markdown_table
from snslib.book.text import percent, with_seeds
from snslib.claims.numbers.robustness import strong_name
from snslib.claims.records import accuracy_of
from snslib.study.defenses import LABELS
from snslib.study.records import Record

COLUMNS = ("clean", *ATTACKS)


def accuracy(records: Sequence[Record], caption: str, name: str) -> Markdown:
    """Rows of Table 1 from accuracy records: clean, then the four attacks, in percent."""
    header = ["model", "clean", *ATTACKS.values()]
    rows = [[LABELS[entry.defense], *(percent(entry.result[column]) for column in COLUMNS)] for entry in records]
    return markdown_table(header, rows, caption, name)


def beside_paper(
    paper: Mapping[str, Mapping[str, float]],
    ours: Mapping[str, Sequence[Record]],
    strong: Mapping[str, Sequence[Record]],
    caption: str,
    name: str,
    differences: bool = False,
) -> Markdown:
    """Table 1 or 2 with two lines per defense: this run's accuracy, and under it the paper's.

    Args:
        paper: defense to column to accuracy in percent, as :mod:`snslib.claims.paper` has it; its order is kept.
        ours: defense to its accuracy records, one per seed, of which the table shows mean and standard deviation; what
            is missing is shown as not run.
        strong: defense to its records of accuracy under a stronger PGD, all with as many steps.
        caption, name: as in :func:`snslib.book.tables.markdown.markdown_table`.
        differences: whether the paper's line has, in brackets, how far ours is off, which means something on the
            paper's own data only.
    """
    rows = []
    for defense, printed in paper.items():
        second = [f"{printed[column]:.2f}" for column in COLUMNS]
        if defense in ours:
            accuracies = {column: accuracy_of(ours[defense], itemgetter(column)) for column in COLUMNS}
            last = str(accuracy_of(strong[defense], float))[:-1] if defense in strong else "not run"
            cells = (f"**{str(value)[:-1]}**" for value in accuracies.values())
            rows.append([with_seeds(LABELS[defense], len(ours[defense])), "**ours**", *cells, last])
            if differences:
                gaps = (100 * accuracies[column].mean - printed[column] for column in COLUMNS)
                second = [f"{cell} ({gap:+.1f})" for cell, gap in zip(second, gaps, strict=True)]
        else:
            rows.append([LABELS[defense], "ours", "not run", *[""] * len(COLUMNS)])
        rows.append(["", "paper", *second, ""])
    strong_column = strong_name({row: entries[0] for row, entries in strong.items()})
    header = ["model", "", "clean", *ATTACKS.values(), strong_column]
    return markdown_table(header, rows, caption, name, "llrrrrrr")
