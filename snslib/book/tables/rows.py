"""Tables of the rows in ``results/``: stronger attacks, cost, stabilised neurons, gain over a control."""

from collections.abc import Mapping, Sequence
from itertools import accumulate

from IPython.display import Markdown

from snslib.book.tables.markdown import markdown_table
from snslib.book.text import code, digits, in_points, percent, with_seeds
from snslib.claims.numbers.accuracies import BY_STATISTICS, COSTS, STATISTICS, accuracy_by_statistics, gain_over
from snslib.claims.numbers.robustness import accuracy_under_attacks, failed_checks, images_under_attacks, strong_name
from snslib.claims.numbers.stabilised import neuron_states
from snslib.study import results
from snslib.study.rows import ROWS

LEVELS = (0.1, 0.2, 0.3)  # of accuracy under PGD, that training may reach


def stronger_attacks(rows: Mapping[str, str], folders: Sequence[str], caption: str, name: str) -> Markdown:
    """Accuracy of the rows under attacks that try harder from left to right, and the checks that they fail.

    Args:
        rows: published row to its label; what was not run is shown as a dash. Of a row for which nothing was, only the
            last folder has a line.
        folders: such as ["cifar10/vgg16-w1", "cifar10/vgg16-w0.25"], a part of the table each.
        caption, name: as in :func:`snslib.book.tables.markdown.markdown_table`.
    """
    measured = {folder: {row: accuracy_under_attacks(folder, row) for row in rows} for folder in folders}
    columns = max((accuracies for of_folder in measured.values() for accuracies in of_folder.values()), key=len)
    lines = []
    for folder, of_folder in measured.items():
        lines += _width_line(folder, folders, len(columns) + 1)
        for row, label in rows.items():
            if of_folder[row] or folder == folders[-1]:
                failed = failed_checks(folder, row)
                checks = "–" if failed is None else ", ".join(failed) or "none"
                lines.append([label, *_attacked_cells(folder, row, list(columns)), checks])
    return markdown_table(["model", *columns, "fails"], lines, caption, name, "l" + "r" * len(columns) + "l")


def _attacked_cells(folder: str, row: str, columns: Sequence[str]) -> list[str]:
    """A row's accuracies in percent; the lowest in bold, what is of more images than the lowest in italics."""
    accuracies, images = accuracy_under_attacks(folder, row), images_under_attacks(folder, row)
    lowest = min((value for column, value in accuracies.items() if column != "clean"), default=None)
    cells = []
    for column in columns:
        cell = percent(accuracies[column])[:-1] if column in accuracies else "–"
        if column in accuracies and column != "clean" and accuracies[column] == lowest:
            cell = f"**{cell}**"
        elif column in accuracies and images[column] > min(images.values()):
            cell = f"*{cell}*"
        cells.append(cell)
    return cells


def cost(folder: str) -> Markdown:
    """What training cost, and after how much of it the network was how robust on validation images.

    Args:
        folder: such as "cifar10/vgg16-w0.25"; rows without a published model there are shown as not run, and those
            whose file is damaged by its name.
    """
    lines, trained = [], results.trained(folder)
    for row in COSTS:
        try:
            cells = _cost(results.state(f"{folder}/{row}")["history"]) if row in trained else ["not run"]
        except (ValueError, KeyError, TypeError, IndexError):  # its checksum is another, or it says other things
            cells = [f"the model {code(row)} is damaged"]
        lines.append([ROWS[row].label, *cells, *[""] * (3 + len(LEVELS) - len(cells))])
    header = ["model", "epochs", "minutes", "best", *(f"{100 * level:g}% after" for level in LEVELS)]
    caption = (
        "Recorded: epochs and minutes of training, the best accuracy under PGD on validation images after any epoch, "
        "and after which epoch some levels of it were reached. The SNS rows start from the vanilla network; neither "
        "its training is counted, nor making x' of all training images, once, for those to the letter. Minutes are "
        "those of one processor core that ran other programs too; epochs are the sounder unit."
    )
    return markdown_table(header, lines, caption, "tbl-cost")


def _cost(history: Sequence[Mapping[str, float]]) -> list[str]:
    """The cells of a row of :func:`cost`, by what every epoch took and reached."""
    minutes = list(accumulate(epoch["seconds"] / 60 for epoch in history))
    cells = [f"{len(history)}", f"{minutes[-1]:.0f}", percent(max(epoch["pgd"] for epoch in history))]
    for level in LEVELS:
        after = next((place for place, epoch in enumerate(history) if epoch["pgd"] >= level), None)
        cells.append("never" if after is None else f"{after + 1} ({minutes[after]:.0f} min)")
    return cells


def stabilised_neurons(rows: Mapping[str, str], folders: Sequence[str], caption: str, name: str) -> Markdown:
    """What SNS training did to accuracy and to the neurons that it stabilised, as :func:`neuron_states` has it.

    Args:
        rows: published row to its label; what is missing in the last folder is shown as not run.
        folders: such as ["cifar10/vgg16-w1", "cifar10/vgg16-w0.25"], a part of the table each.
        caption, name: as in :func:`snslib.book.tables.markdown.markdown_table`.
    """
    lines = []
    for folder in folders:
        states = neuron_states(folder, rows)
        lines += _width_line(folder, folders, 9)
        for row, label in rows.items():
            if row in states:
                lines.append(_state_cells(label, states[row]))
            elif folder == folders[-1]:
                lines.append([label, "not run", *[""] * 8])
    strong_column = strong_name(results.records(folders[-1], "strong-accuracy"))
    of_neurons = ["dead, %", "output, %", "over images, %", "σ", "rel. σ"]
    return markdown_table(["model", "clean", "fixed x'", "PGD", strong_column, *of_neurons], lines, caption, name)


def _state_cells(label: str, state: Mapping[str, float]) -> list[str]:
    percents = (percent(state[column])[:-1] for column in ("clean", "fixed", "pgd", "strong", "dead"))
    others = (100 * state["output"], 100 * state["over_images"], state["sigma"], state["relative"])
    return [with_seeds(label, int(state["seeds"])), *percents, *map(digits, others)]


def _width_line(folder: str, folders: Sequence[str], columns: int) -> list[list[str]]:
    """The line above the rows of a folder, of so many more columns; none where it is the only one."""
    return [[f"*width {results.width_of(folder)}*", *[""] * columns]] if len(folders) > 1 else []


def gain_over_control(
    pairs: Mapping[str, tuple[str, str]], folders: Sequence[str], caption: str, name: str
) -> Markdown:
    """Points of accuracy that some rows have more than their controls, as :func:`gain_over` computes them.

    Args:
        pairs: label to the published row and its control; what is missing in the last folder is shown as a dash.
        folders: as in :func:`stabilised_neurons`.
        caption, name: as in :func:`snslib.book.tables.markdown.markdown_table`.
    """
    lines = []
    for folder in folders:
        seeds = {row: len(entries) for row, entries in results.by_seed(folder, "accuracy").items()}
        gains = {label: gain_over(folder, row, control) for label, (row, control) in pairs.items()}
        columns = list(next(iter(gains.values())))
        lines += _width_line(folder, folders, len(columns))
        lines += [
            [with_seeds(label, seeds.get(pairs[label][0], 0)), *map(in_points, gain.values())]
            for label, gain in gains.items()
            if folder == folders[-1] or any(gain.values())
        ]
    return markdown_table(["", *columns], lines, caption, name)


def by_statistics(folder: str) -> Markdown:
    """Accuracy by the images whose statistics BatchNorm normalises by: those of training, clean ones, or fixed x'.

    Args:
        folder: such as "cifar10/vgg16-w0.25"; rows that are missing there are shown as not run.
    """
    recorded = results.by_seed(folder, "accuracy-by-statistics")
    lines = []
    for row in BY_STATISTICS:
        label, entries = ROWS[row].label, recorded.get(row)
        if entries is None:
            lines.append([label, "not run", "", "", ""])
            continue
        for which, images in STATISTICS.items():
            cells = (str(accuracy_by_statistics(entries, which, under))[:-1] for under in ("clean", "fixed", "pgd"))
            first = with_seeds(label, len(entries)) if which == "kept" else ""
            lines.append([first, images, *cells])
    caption = (
        "Recorded accuracy in percent on 1,000 test images, by the images whose statistics BatchNorm normalises by: on "
        "clean images, on the fixed x' of the vanilla model, and under PGD on the network with these statistics."
    )
    header = ["model", "statistics of", "clean", "fixed x'", "PGD"]
    return markdown_table(header, lines, caption, "tbl-statistics", "llrrr")
