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
BySeed = Mapping[str, Sequence[Record]]  # row to its records, one per seed


def accuracy(records: Sequence[Record], caption: str, name: str) -> Markdown:
    """Rows of Table 1 from accuracy records: clean, then the four attacks, in percent."""
    header = ["model", "clean", *ATTACKS.values()]
    rows = [[LABELS[entry.defense], *(percent(entry.result[column]) for column in COLUMNS)] for entry in records]
    return markdown_table(header, rows, caption, name)


def beside_paper(
    paper: Mapping[str, Mapping[str, float]],
    ours: Mapping[str, tuple[BySeed, BySeed]],
    caption: str,
    name: str,
    differences: bool = False,
) -> Markdown:
    """Table 1 or 2 with several lines per defense: our accuracies, and under them the paper's.

    Args:
        paper: defense to column to accuracy in percent, as :mod:`snslib.claims.paper` has it; its order is kept.
        ours: what a line of ours is called to two kinds of records, of accuracy and of accuracy under a stronger PGD,
            all with as many steps. The table shows mean and standard deviation over seeds; what is missing is left out,
            or shown as not run where no line has it.
        caption, name: as in :func:`snslib.book.tables.markdown.markdown_table`.
        differences: whether the paper's line has, in brackets, how far the first of ours is off, which means something
            on the paper's own data only.
    """
    rows = []
    for defense, printed in paper.items():
        of_paper = [f"{printed[column]:.2f}" for column in COLUMNS]
        lines = {
            line: _cells(found[defense], strong.get(defense))
            for line, (found, strong) in ours.items()
            if defense in found
        }
        first, (records, _) = next(iter(ours.items()))
        if differences and first in lines:
            means = {column: accuracy_of(records[defense], itemgetter(column)).mean for column in COLUMNS}
            gaps = (100 * means[column] - printed[column] for column in COLUMNS)
            of_paper = [f"{cell} ({gap:+.1f})" for cell, gap in zip(of_paper, gaps, strict=True)]
        label = LABELS[defense]
        for line, cells in (lines or {"ours": ["not run", *[""] * len(COLUMNS)]}).items():
            seeds = len(ours[line][0][defense]) if lines else 1
            rows.append([label, with_seeds(f"**{line}**" if lines else line, seeds), *cells])
            label = ""
        rows.append(["", "paper", *of_paper, ""])
    strong_column = strong_name({row: entries[0] for _, strong in ours.values() for row, entries in strong.items()})
    header = ["model", "", "clean", *ATTACKS.values(), strong_column]
    return markdown_table(header, rows, caption, name, "llrrrrrr")


def _cells(records: Sequence[Record], strong: Sequence[Record] | None) -> list[str]:
    """The accuracies of a row as mean and standard deviation, in bold, and under the stronger PGD."""
    accuracies = (str(accuracy_of(records, itemgetter(column)))[:-1] for column in COLUMNS)
    return [*(f"**{cell}**" for cell in accuracies), str(accuracy_of(strong, float))[:-1] if strong else "not run"]
