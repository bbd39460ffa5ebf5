"""Tables of sensitive neurons: those of each target class, how alike they are, and accuracy with them suppressed."""

from collections.abc import Mapping, Sequence

from IPython.display import Markdown

from snslib.attacks import ATTACKS
from snslib.book.tables.markdown import markdown_table
from snslib.book.text import percent, plain
from snslib.claims import paper
from snslib.claims.numbers.suppression import WAYS, accuracy_at, best_beta
from snslib.evaluation.neuron_sets import by_layer, with_one_logit
from snslib.study import results
from snslib.study.records import Record

SHOWN = 6  # neurons of a layer and a target, at most
LOGITS = 10  # of fc in a whole list, at most; so many classes are attacked
FIRST = {  # captions of the tables of targeted_neurons
    "tbl-targeted-neurons": (
        f"Sensitive neurons for each target class, the most sensitive first, at most {SHOWN} shown (Tables 3 and 4 of "
        "the paper). In fc, the neuron of the target itself is in bold. *Reached* is the share of images that PGD took "
        "to the target."
    ),
    "tbl-recorded-neurons": (
        f"Recorded, CIFAR-10: sensitive neurons for each target class, the most sensitive first, at most {SHOWN} "
        "shown. The counterpart of Tables 3 and 4 of the paper."
    ),
}
LISTS: dict[str, tuple[list[str], str]] = {  # layers, or none for all, and captions of whole_lists
    "tbl-lists-lower": (
        ["conv1", "conv4", "conv7", "conv11"],
        "Recorded, CIFAR-10: all sensitive neurons for each target class, the most sensitive first. In bold: in the "
        "lists of all ten targets. The counterpart of Table 3 of the paper.",
    ),
    "tbl-lists-upper": (
        ["conv13", "fc"],
        "Recorded, CIFAR-10: the same for the two layers of Table 4 of the paper. The neurons of fc are the logits; in "
        "bold there: the target.",
    ),
    "tbl-lists-narrow": (
        list(paper.CHANNELS),
        "Recorded, CIFAR-10: the same for a narrower network. In bold: in the lists of all ten targets; in fc, the "
        "target.",
    ),
    "tbl-recorded-alexnet": (
        [],
        "Recorded, Tiny ImageNet: all sensitive neurons of AlexNet for each of ten target classes, the most sensitive "
        f"first. In bold: in the lists of all ten; in fc, of which the first {LOGITS} are shown, the target.",
    ),
}
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


def targeted_neurons(record: Record, classes: Sequence[str], name: str) -> Markdown:
    """The most sensitive neurons of each target class, as in the paper's Tables 3 and 4; in fc, the target's in bold.

    The layers are those of the paper's tables where the network has them, else all of a network with as few layers, or
    every third and fc.

    Args:
        record: of :func:`snslib.study.measurements.targeted_neurons`.
        classes: the names of the target classes.
        name: one of FIRST, which decides the caption.
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
        rows.append([_target(target, label), *cells, percent(found["reached"][place])])
    return markdown_table(["target", *layers, "reached"], rows, FIRST[name], name, "l" * (len(layers) + 1) + "r")


def whole_lists(record: Record, classes: Sequence[str], name: str) -> Markdown:
    """All sensitive neurons of each target class, the most sensitive first, as in the paper's Tables 3 and 4.

    In bold are those in the lists of all targets; in fc, whose lists are rankings of all logits and are cut after
    LOGITS, the target.

    Args:
        record: of :func:`snslib.study.measurements.targeted_neurons`.
        classes: the names of the target classes.
        name: one of LISTS, which decides the layers and the caption.
    """
    found, (layers, caption) = record.result, LISTS[name]
    layers = layers or list(found["sensitive"])
    common = {layer: set.intersection(*map(set, found["sensitive"][layer])) for layer in layers}
    rows = []
    for place, (target, label) in enumerate(zip(found["targets"], classes, strict=True)):
        row = [_target(target, label)]
        for layer in layers:
            ranked, bold = found["sensitive"][layer][place], common[layer]
            cut = len(ranked)
            if layer == "fc":
                bold, cut = {target}, LOGITS
            shown = [f"**{neuron}**" if neuron in bold else str(neuron) for neuron in ranked[:cut]]
            row.append(", ".join(shown) + (", …" if len(ranked) > cut else ""))
        rows.append(row)
    return markdown_table(["target", *layers], rows, caption, name, "l" * (len(layers) + 1))


def lists_in_common(records: Mapping[str, Record]) -> Markdown:
    """How many neurons of a layer are in a target's list, in any target's and in every target's, beside the paper's.

    The layers are those of the paper's Tables 3 and 4, without fc, whose lists have all of its neurons.

    Args:
        records: folder of ``results/`` to record of :func:`snslib.study.measurements.targeted_neurons`.
    """
    networks = {"paper": paper.targeted_neurons()}
    networks |= {f"width {results.width_of(folder)}": record.result["sensitive"] for folder, record in records.items()}
    rows = []
    for layer in [layer for layer in paper.CHANNELS if layer != "fc"]:
        row = [layer]
        for lists in networks.values():
            sets = [set(neurons) for neurons in lists[layer]]
            least, most = min(map(len, sets)), max(map(len, sets))
            row.append(str(least) if least == most else f"{least}–{most}")
            row += [str(len(set.union(*sets))), str(len(set.intersection(*sets)))]
        rows.append(row)
    header = [column for title in networks for column in (f"{title}: in a list", "in any", "in all")]
    caption = (
        "Recorded, CIFAR-10: how many sensitive neurons of VGG-16 a target's list names, how many are in the list of "
        "any of the ten targets, and how many in all ten: the paper's Tables 3 and 4, and networks of ours."
    )
    return markdown_table(["layer", *header], rows, caption, "tbl-lists-common")


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


def _target(target: int, label: str) -> str:
    """A target class by number and name, which may be its number."""
    return label if label == str(target) else f"{target} ({plain(label)})"


def _of(chosen: int, neurons: int) -> str:
    return f"{chosen}\u00a0of\u00a0{neurons}"


def _shown(layers: Sequence[str]) -> list[str]:
    """The layers of a network that a table of neurons shows."""
    if set(paper.CHANNELS) <= set(layers):
        return list(paper.CHANNELS)
    return list(layers) if len(layers) <= len(paper.CHANNELS) else [*layers[:-1:3], "fc"]
