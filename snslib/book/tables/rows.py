"""Tables of the rows in ``results/``: stronger attacks, cost, stabilised neurons, gain over a control."""

from collections.abc import Mapping, Sequence
from itertools import accumulate

from IPython.display import Markdown

from snslib.book.tables.markdown import markdown_table
from snslib.book.text import digits, in_points, percent, with_seeds
from snslib.claims.accuracies import STATISTICS, accuracy_by_statistics, gain_over
from snslib.claims.robustness import accuracy_under_attacks, failed_checks, strong_name
from snslib.claims.stabilised import neuron_states
from snslib.study import results
from snslib.training import pretrained


def stronger_attacks(rows: Mapping[str, str], folder: str, caption: str, name: str) -> Markdown:
    """The rows under attacks that try harder from left to right, and the checks that they fail.

    Args:
        rows: published row to its label; what was not run is shown as a dash.
        folder: such as "cifar10/vgg16-w0.25".
        caption, name: as in :func:`snslib.book.tables.markdown.markdown_table`.
    """
    shares = {row: accuracy_under_attacks(folder, row) for row in rows}
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


def cost(rows: Mapping[str, str], folder: str, levels: Sequence[float], caption: str, name: str) -> Markdown:
    """What training cost, and after how much of it the network was how robust on validation images.

    Args:
        rows: published row to its label; those without a published model are shown as not run.
        folder: such as "cifar10/vgg16-w0.25".
        levels: shares of validation images right under PGD that are to be reached.
        caption, name: as in :func:`snslib.book.tables.markdown.markdown_table`.
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


def stabilised_neurons(rows: Mapping[str, str], folder: str, caption: str, name: str) -> Markdown:
    """What SNS training did to accuracy and to the neurons it stabilised, as :func:`neuron_states` has it.

    Args:
        rows: published row to its label; what is missing is shown as not run.
        folder: such as "cifar10/vgg16-w0.25".
        caption, name: as in :func:`snslib.book.tables.markdown.markdown_table`.
    """
    of_rows = neuron_states(folder, rows)
    lines = []
    for row, label in rows.items():
        state = of_rows.get(row)
        if state is None:
            lines.append([label, "not run", *[""] * 8])
            continue
        shares = (percent(state[column])[:-1] for column in ("clean", "fixed", "pgd", "strong", "dead"))
        others = (100 * state["output"], 100 * state["over_images"], state["sigma"], state["relative"])
        cells = (*shares, *map(digits, others))
        lines.append([with_seeds(label, int(state["seeds"])), *cells])
    strong_column = strong_name(results.records(folder, "strong-accuracy"))
    header = ["model", "clean", "fixed x'", "PGD", strong_column, "dead", "output", "over images", "σ", "rel. σ"]
    return markdown_table(header, lines, caption, name)


def gain_over_control(pairs: Mapping[str, tuple[str, str]], folder: str, caption: str, name: str) -> Markdown:
    """:func:`gain_over` of some rows and what each is set against.

    Args:
        pairs: label to the published row and the one that is taken from it; what is missing is shown as a dash.
        folder: such as "cifar10/vgg16-w0.25".
        caption, name: as in :func:`snslib.book.tables.markdown.markdown_table`.
    """
    seeds = {row: len(entries) for row, entries in results.by_seed(folder, "accuracy").items()}
    of_pairs = {label: gain_over(folder, row, other) for label, (row, other) in pairs.items()}
    lines = [
        [with_seeds(label, seeds.get(pairs[label][0], 0)), *map(in_points, of_pair.values())]
        for label, of_pair in of_pairs.items()
    ]
    header = ["", *next(iter(of_pairs.values()))]
    return markdown_table(header, lines, caption, name)


def by_statistics(rows: Mapping[str, str], folder: str, caption: str, name: str) -> Markdown:
    """Accuracy by the images whose statistics BatchNorm normalises by: those of training, clean ones, or fixed x'.

    Args:
        rows: published row to its label; what is missing is shown as not run.
        folder: such as "cifar10/vgg16-w0.25".
        caption, name: as in :func:`snslib.book.tables.markdown.markdown_table`.
    """
    of_rows = results.by_seed(folder, "accuracy-by-statistics")
    lines = []
    for row, label in rows.items():
        entries = of_rows.get(row)
        if entries is None:
            lines.append([label, "not run", "", "", ""])
            continue
        for which, images in STATISTICS.items():
            shares = (str(accuracy_by_statistics(entries, which, under)) for under in ("clean", "fixed", "pgd"))
            first = with_seeds(label, len(entries)) if which == "kept" else ""
            lines.append([first, images, *(share[:-1] for share in shares)])
    return markdown_table(["model", "statistics of", "clean", "fixed x'", "PGD"], lines, caption, name, "llrrr")
