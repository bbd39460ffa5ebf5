"""The tables of the book."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import itemgetter
from typing import Any

from IPython.display import Markdown

from snslib.attacks import ATTACKS
from snslib.book.findings import (
    STATISTICS,
    _digits,
    attacked,
    differences,
    failed_checks,
    in_points,
    share_by_statistics,
    states,
)
from snslib.book.text import percent, strong_name, with_seeds
from snslib.claims.records import share_of
from snslib.study import results
from snslib.study.defenses import LABELS
from snslib.study.records import Record
from snslib.study.settings import Settings, table
from snslib.training import pretrained


def markdown_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], caption: str, name: str, align: str | None = None
) -> Markdown:
    """A numbered table that the text can refer to.

    Args:
        header: titles of the columns.
        rows: cells as Markdown.
        caption: a sentence or two.
        name: the label to refer to it by, such as "tbl-accuracy".
        align: a letter l, c or r per column; by default the first column left and the others right.
    """
    signs = {"l": ":--", "c": ":-:", "r": "--:"}
    align = align or "l" + "r" * (len(header) - 1)
    lines = [header, [signs[letter] for letter in align], *rows]
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return Markdown(f"~~~{{table}} {caption}\n:name: {name}\n\n{body}\n~~~")  # tildes: a caption may hold `code`


def convolutions_table(record: Mapping[str, Any], caption: str, name: str) -> Markdown:
    """Which small convolutions went wrong, by the channels that they read: a line per release of PyTorch.

    Args:
        record: release to its findings, as ``benchmarks/convolutions.py`` writes them.
        caption, name: as in :func:`markdown_table`.
    """
    columns = {"SSE41": "SSE 4.1", "AVX2": "AVX2", "AVX512_CORE": "AVX-512"}
    lines = []
    for release, found in sorted(record.items(), key=lambda item: [int(part) for part in item[0].split(".")]):
        wrong = {which: {c["in_channels"] for c in found["wrong"] if c["instructions"] == which} for which in columns}
        cells = (f"{min(channels)} to {max(channels)}" if channels else "none" for channels in wrong.values())
        kernels = " and ".join(f"{side}×{side}" for side in found["kernels"])
        lines.append([release, found["onednn"], kernels, f"{found['tried']:,}", str(len(found["wrong"])), *cells])
    header = ["PyTorch", "oneDNN", "sizes", "tried", "wrong", *columns.values()]
    return markdown_table(header, lines, caption, name, "lllrrrrr")


def settings_table(settings: Settings) -> Markdown:
    """All settings of a run, folded; they decide every number of the page."""
    body = "\n".join(f"| `{name}` | {value} |" for name, value in table(settings))
    title = f"Settings of this run: profile {settings.profile}"
    return Markdown(f":::{{dropdown}} {title}\n| setting | value |\n| :-- | :-- |\n{body}\n:::")


def accuracy_table(records: Sequence[Record], caption: str, name: str) -> Markdown:
    """Rows of Table 1 from accuracy records: clean, then the four attacks, in percent."""
    header = ["model", "clean", *ATTACKS.values()]
    rows = [
        [LABELS[entry.defense], *(percent(entry.result[column]) for column in ("clean", *ATTACKS))] for entry in records
    ]
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
        caption, name: as in :func:`markdown_table`.
        differences: say in brackets how far ours is off, which means something on the paper's own data only.
    """
    columns = ("clean", *ATTACKS)
    rows = []
    for defense, printed in paper.items():
        theirs = [f"{printed[column]:.2f}" for column in columns]
        if defense in ours:
            shares = {column: share_of(ours[defense], itemgetter(column)) for column in columns}
            last = str(share_of(strong[defense], lambda share: share))[:-1] if defense in strong else "not run"
            cells = (f"**{str(share)[:-1]}**" for share in shares.values())
            rows.append([with_seeds(LABELS[defense], len(ours[defense])), "**ours**", *cells, last])
            if differences:
                gaps = (100 * shares[column].mean - printed[column] for column in columns)
                theirs = [f"{was} ({gap:+.1f})" for was, gap in zip(theirs, gaps, strict=True)]
        else:
            rows.append([LABELS[defense], "ours", "not run", *[""] * len(columns)])
        rows.append(["", "paper", *theirs, ""])
    header = ["model", "", "clean", *ATTACKS.values(), strong_name({row: of_row[0] for row, of_row in strong.items()})]
    return markdown_table(header, rows, caption, name, "llrrrrrr")


def scrutiny_table(rows: Mapping[str, str], folder: str, caption: str, name: str) -> Markdown:
    """The rows under attacks that try harder from left to right, and the checks that they fail.

    Args:
        rows: published row to its label; what was not run is shown as a dash.
        folder: such as "cifar10/vgg16-w0.25".
        caption, name: as in :func:`snslib.book.tables.markdown_table`.
    """
    shares = {row: attacked(folder, row) for row in rows}
    columns = max(shares.values(), key=len)
    lines = []
    for row, label in rows.items():
        lowest = min((share for column, share in shares[row].items() if column != "clean"), default=None)
        cells = [
            "–"
            if column not in shares[row]
            else f"**{percent(shares[row][column])[:-1]}**"
            if shares[row][column] == lowest and column != "clean"
            else percent(shares[row][column])[:-1]
            for column in columns
        ]
        failed = failed_checks(folder, row)
        lines.append([label, *cells, "–" if failed is None else ", ".join(failed) or "none"])
    return markdown_table(["model", *columns, "fails"], lines, caption, name, "l" + "r" * len(columns) + "l")


def cost_table(rows: Mapping[str, str], folder: str, levels: Sequence[float], caption: str, name: str) -> Markdown:
    """What training cost, and after how much of it the network was how robust on validation images.

    Args:
        rows: published row to its label; those without a published model are shown as not run.
        folder: such as "cifar10/vgg16-w0.25".
        levels: shares of validation images right under PGD that are to be reached.
        caption, name: as in :func:`snslib.book.tables.markdown_table`.
    """
    lines = []
    for row, label in rows.items():
        if not (pretrained.RESULTS / folder / f"{row}.safetensors").exists():
            lines.append([label, "not run", *[""] * (2 + len(levels))])
            continue
        history = results.state(f"{folder}/{row}")["history"]
        minutes = list(accumulate(epoch["seconds"] / 60 for epoch in history))
        cells = [f"{len(history)}", f"{minutes[-1]:.0f}", percent(max(epoch["pgd"] for epoch in history))]
        for level in levels:
            after = next((place for place, epoch in enumerate(history) if epoch["pgd"] >= level), None)
            cells.append("never" if after is None else f"{after + 1} ({minutes[after]:.0f} min)")
        lines.append([label, *cells])
    header = ["model", "epochs", "minutes", "best", *(f"{100 * level:g}% after" for level in levels)]
    return markdown_table(header, lines, caption, name)


def loophole_table(rows: Mapping[str, str], folder: str, caption: str, name: str) -> Markdown:
    """What SNS training did to accuracy and to the neurons it stabilised, as :func:`states` has it.

    Args:
        rows: published row to its label; what is missing is shown as not run.
        folder: such as "cifar10/vgg16-w0.25".
        caption, name: as in :func:`snslib.book.tables.markdown_table`.
    """
    of_rows = states(folder, rows)
    lines = []
    for row, label in rows.items():
        state = of_rows.get(row)
        if state is None:
            lines.append([label, "not run", *[""] * 8])
            continue
        shares = (percent(state[column])[:-1] for column in ("clean", "fixed", "pgd", "strong", "dead"))
        others = (100 * state["output"], 100 * state["seeing"], state["sigma"], state["relative"])
        cells = (*shares, *map(_digits, others))
        lines.append([with_seeds(label, int(state["seeds"])), *cells])
    strong_column = strong_name(results.records(folder, "strong-accuracy"))
    header = ["model", "clean", "fixed x'", "PGD", strong_column, "dead", "output", "seeing", "σ", "rel. σ"]
    return markdown_table(header, lines, caption, name)


def difference_table(pairs: Mapping[str, tuple[str, str]], folder: str, caption: str, name: str) -> Markdown:
    """:func:`differences` of some rows and what each is set against.

    Args:
        pairs: label to the published row and the one that is taken from it; what is missing is shown as a dash.
        folder: such as "cifar10/vgg16-w0.25".
        caption, name: as in :func:`snslib.book.tables.markdown_table`.
    """
    seeds = {row: len(entries) for row, entries in results.by_seed(folder, "accuracy").items()}
    of_pairs = {label: differences(folder, row, other) for label, (row, other) in pairs.items()}
    lines = [
        [with_seeds(label, seeds.get(pairs[label][0], 0)), *map(in_points, of_pair.values())]
        for label, of_pair in of_pairs.items()
    ]
    header = ["", *next(iter(of_pairs.values()))]
    return markdown_table(header, lines, caption, name)


def statistics_table(rows: Mapping[str, str], folder: str, caption: str, name: str) -> Markdown:
    """Accuracy by the images whose statistics BatchNorm normalises by: those of training, clean ones, or fixed x'.

    Args:
        rows: published row to its label; what is missing is shown as not run.
        folder: such as "cifar10/vgg16-w0.25".
        caption, name: as in :func:`snslib.book.tables.markdown_table`.
    """
    of_rows = results.by_seed(folder, "accuracy-by-statistics")
    lines = []
    for row, label in rows.items():
        entries = of_rows.get(row)
        if entries is None:
            lines.append([label, "not run", "", "", ""])
            continue
        for which, images in STATISTICS.items():
            shares = (str(share_by_statistics(entries, which, under)) for under in ("clean", "fixed", "pgd"))
            first = with_seeds(label, len(entries)) if which == "kept" else ""
            lines.append([first, images, *(share[:-1] for share in shares)])
    return markdown_table(["model", "statistics of", "clean", "fixed x'", "PGD"], lines, caption, name, "llrrr")
