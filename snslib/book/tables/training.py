"""Tables of the chapter on adversarial training: accuracy under every disturbance, and rank correlations."""

from collections.abc import Mapping, Sequence

from IPython.display import Markdown

from snslib.book.figures.correlation import label
from snslib.book.tables.markdown import markdown_table
from snslib.book.text import percent
from snslib.claims.numbers.correlation import Point, rank_correlation
from snslib.claims.numbers.disturbances import Disturbed
from snslib.study.defenses import LABELS


def disturbed_accuracy(networks: Mapping[str, Disturbed], caption: str, name: str) -> Markdown:
    """Accuracy in percent, clean, under the attacks, and under the corruptions at severity 5: a column per network.

    Args:
        networks: what each vanilla and PAT pair is called; of a single pair the columns lack it.
        caption, name: as in :func:`snslib.book.tables.markdown.markdown_table`.
    """
    columns = {
        f"{title}, {LABELS[defense]}" if len(networks) > 1 else LABELS[defense]: disturbed.accuracies(defense)
        for title, disturbed in networks.items()
        for defense in disturbed.corrupted
    }
    rows = [
        [label(under), *(percent(accuracies[under])[:-1] for accuracies in columns.values())]
        for under in next(iter(columns.values()))
    ]
    return markdown_table(["test images", *columns], rows, caption, name)


def rank_correlations(groups: Mapping[str, Sequence[Point]], caption: str, name: str) -> Markdown:
    """Rank correlation between sensitivity and lost accuracy, with its interval: a line per group of points.

    Args:
        groups: title to points; a group of fewer than three is left out.
        caption, name: as in :func:`snslib.book.tables.markdown.markdown_table`.
    """
    rows = []
    for title, points in groups.items():
        if len(points) > 2:
            rho, low, high = rank_correlation(points)
            rows.append([title, str(len(points)), f"{rho:.2f}", f"{low:.2f} to {high:.2f}"])
    return markdown_table(["points", "how many", "rank correlation", "95% interval"], rows, caption, name)
