"""Tables of sensitive neurons: those of each target class, how alike they are, and accuracy with them suppressed."""

from collections.abc import Sequence

from IPython.display import Markdown

from snslib.attacks import ATTACKS
from snslib.book.tables.markdown import markdown_table
from snslib.book.text import percent, plain
from snslib.claims import paper
from snslib.claims.numbers.suppression import WAYS, accuracy_at, best_beta
from snslib.evaluation.neuron_sets import by_layer, with_one_logit
from snslib.study.records import Record

SHOWN = 6  # neurons of a layer and a target, at most
BETAS = (1.0, 0.85, 0.7, 0.5)  # of the factors of Fig. 3a


def shared_neurons(record: Record) -> Markdown:
    """How alike the sensitive neurons of the target classes are, layer by layer, beside the paper's Tables 3 and 4.

    Args:
        record: of :func:`snslib.study.measurements.targeted_neurons`.
    """
    ours, printed = record.result["sensitive"], paper.targeted_neurons()
    channels = record.result["channels"]
    indices, indices_printed = by_layer(ours, channels), by_layer(printed, paper.CHANNELS)
    compared, compared_printed = with_one_logit(ours), with_one_logit(printed)
    rows = []
    for layer, sets in compared.items():
        cells = [_of(len(sets[0]), channels[layer])]
        cells += [f"{indices[index][layer]:.2f}" for index in ("average", "total", "chance")]
        if layer in printed:
            cells += [_of(len(compared_printed[layer][0]), paper.CHANNELS[layer])]
            cells += [f"{indices_printed[index][layer]:.2f}" for index in ("average", "total")]
        else:
            cells += [""] * 3
        rows.append([layer, *cells])
    header = ["layer", "neurons", "average", "total", "chance", "paper's neurons", "average", "total"]
    caption = (
        "How alike the sensitive neurons of the target classes are, as $J_{avg}$ and $J_{total}$: this run, then the "
        "paper's own Tables 3 and 4. Chance is the $J_{avg}$ to expect of random sets."
    )
    return markdown_table(header, rows, caption, "tbl-shared")


def targeted_neurons(record: Record, classes: Sequence[str], caption: str, name: str) -> Markdown:
    """The most sensitive neurons of each target class, as in the paper's Tables 3 and 4; in fc, the target's in bold.

    The layers are those of the paper's tables where the network has them, else all of a network with as few layers, or
    every third and fc.

    Args:
        record: of :func:`snslib.study.measurements.targeted_neurons`.
        classes: the names of the target classes.
        caption, name: as in :func:`snslib.book.tables.markdown.markdown_table`.
    """
    found = record.result
    layers = _shown(list(found["sensitive"]))
    rows = []
    for place, (target, label) in enumerate(zip(found["targets"], classes, strict=True)):
        cells = []
        for layer in layers:
            ranked = found["sensitive"][layer][place]
            shown = [f"**{n}**" if layer == "fc" and n == target else str(n) for n in ranked[:SHOWN]]
            cells.append(", ".join(shown) + (", …" if len(ranked) > SHOWN else ""))
        first = label if label == str(target) else f"{target} ({plain(label)})"
        rows.append([first, *cells, percent(found["reached"][place])])
    return markdown_table(["target", *layers, "reached"], rows, caption, name, "l" * (len(layers) + 1) + "r")


def accuracy_by_beta(record: Record) -> Markdown:
    """Accuracy with sensitive neurons suppressed: clean, then each attack, white box and transferred (Fig. 3a).

    Args:
        record: of :func:`snslib.study.measurements.suppression`.
    """
    lines = [("white_box", "clean", "clean", "")]  # clean images are the same in both ways
    lines += [(way, attack, label, title) for way, title in WAYS.items() for attack, label in ATTACKS.items()]
    rows = []
    for way, column, label, title in lines:
        best = best_beta([record], way, column)
        accuracies = (str(accuracy_at([record], way, column, beta)) for beta in (*BETAS, best))
        rows.append([label, title, *accuracies, f"{best:g}"])
    header = ["attack", "made", *(f"β {beta:g}" for beta in BETAS), "best", "at β"]
    caption = "Accuracy at four values of β, and the best of all values tried."
    return markdown_table(header, rows, caption, "tbl-suppression", "llrrrrrr")


def _of(chosen: int, neurons: int) -> str:
    return f"{chosen}\u00a0of\u00a0{neurons}"


def _shown(layers: Sequence[str]) -> list[str]:
    """The layers of a network that a table of neurons shows."""
    if set(paper.CHANNELS) <= set(layers):
        return list(paper.CHANNELS)
    return list(layers) if len(layers) <= len(paper.CHANNELS) else [*layers[:-1:3], "fc"]
