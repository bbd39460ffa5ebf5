"""Tables of chapter 7: stronger attacks, checks for masked gradients, and the rows with a remedy for the SNS loss."""

from collections.abc import Mapping, Sequence

from IPython.display import Markdown

from snslib.book.tables.markdown import markdown_table
from snslib.book.tables.rows import gain_over_control, stabilised_neurons
from snslib.book.text import digits, in_points, network_of, percent
from snslib.claims.numbers.robustness import CHECKS, accuracies_by_seed, accuracy_by_attack
from snslib.claims.statistics import Accuracy, difference
from snslib.study import results
from snslib.study.defenses import LABELS
from snslib.study.records import Record
from snslib.study.rows import FAMILIES, ROWS


def harder_attacks(attacked: Mapping[str, Sequence[Record]]) -> Markdown:
    """Accuracy of this build's networks, clean and under attacks that try harder from left to right.

    Args:
        attacked: defense to its records, as :func:`snslib.claims.numbers.robustness.accuracy_by_attack` takes them.
    """
    accuracies = {network: accuracy_by_attack(records) for network, records in attacked.items()}
    header = ["model", *next(iter(accuracies.values()))]
    lines = [[LABELS[network], *map(percent, columns.values())] for network, columns in accuracies.items()]
    caption = "Accuracy on the same test images, clean and under attacks that try harder from left to right."
    return markdown_table(header, lines, caption, "tbl-harder")


def alp_beside_pat(folders: Sequence[str]) -> Markdown:
    """What ALP has more than PAT, clean and under each attack.

    Args:
        folders: such as ["cifar10/vgg16-w1", "cifar10/vgg16-w0.25"], a line each where both rows are recorded.
    """
    gains: dict[str, dict[str, tuple[float, float, float]]] = {}
    for folder in folders:
        pat, alp = (accuracies_by_seed(folder, row) for row in ("pat", "alp"))
        gains[network_of(folder)] = {column: _in_points(alp[column], pat[column]) for column in pat if column in alp}
    columns = list(dict.fromkeys(column for found in gains.values() for column in found))
    lines = [[label, *(in_points(found.get(column)) for column in columns)] for label, found in gains.items() if found]
    caption = (
        "Recorded: points of accuracy that ALP has more than PAT, with the 95% interval of the difference; clean and "
        "under the paper's attacks on all test images, under the stronger ones on the first of them. Where a row has "
        "one seed, nothing in the interval shows what another would give."
    )
    return markdown_table(["", *columns], lines, caption, "tbl-pat-alp")


def _in_points(a: Accuracy, b: Accuracy) -> tuple[float, float, float]:
    low, high = difference(a, b)
    return 100 * (a.mean - b.mean), 100 * low, 100 * high


def gradient_checks(checks: Mapping[str, Record]) -> Markdown:
    """The four checks for masked gradients, each with the numbers that decide it.

    Args:
        checks: defense to its record of ``measurements.sanity_checks``.
    """
    header = [
        "model",
        "growing radius: at eps, at 1",
        "one step: FGSM, PGD",
        "transfer: white-box, transferred",
        "noise: after noise, only noise",
    ]
    lines = []
    for network, entry in checks.items():
        growing, one_step, transfer, noise = (entry.result[name] for name in CHECKS)
        cells = (
            (growing, growing["accuracy"][0], growing["accuracy"][-1]),
            (one_step, one_step["fgsm"], one_step["pgd"]),
            (transfer, transfer["white_box"], transfer["transferred"]),
            (noise, noise["noise"], noise["only_noise"]),
        )
        passed = (
            f"{'pass' if check['passed'] else '**fail**'}: {100 * first:.0f}%, {100 * second:.0f}%"
            for check, first, second in cells
        )
        lines.append([LABELS[network], *passed])
    caption = (
        "Four checks for masked gradients. All numbers are accuracies, but the last: the share of images that noise "
        "turns and PGD (20 steps here) does not."
    )
    return markdown_table(header, lines, caption, "tbl-checks", "lllll")


def remedied_neurons(folder: str) -> Markdown:
    """The chosen neurons of each family of rows that differ in the SNS loss alone.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
    """
    caption = (
        "Recorded: each family with λ = 0, with the paper's loss, and with the two relative ones. Accuracy in percent; "
        "percent of the chosen neurons that are inactive for every test image, their clean output in percent of the "
        "vanilla network's, how many percent of their variance on clean images is from image to image (*over images*), "
        "their sensitivity σ under PGD, and the same relative to their clean output."
    )
    members = [row for family in FAMILIES.values() for row in family.rows]
    return stabilised_neurons({row: ROWS[row].label for row in members}, [folder], caption, "tbl-remedy")


def gain_by_remedies(folder: str) -> Markdown:
    """What the two relative losses add to the accuracy of their control.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
    """
    caption = (
        "Recorded: what the relative losses add, in points of accuracy above the control, with the 95% interval of the "
        "difference. Where a row or its control has several seeds, their spread is in the interval; where both have "
        "one, nothing in it shows what another would give."
    )
    pairs = {
        ROWS[row].label: (row, family.control)
        for family in FAMILIES.values()
        for row in (family.relative, family.image_relative)
    }
    return gain_over_control(pairs, [folder], caption, "tbl-remedy-adds")


def gain_without_neurons(folder: str) -> Markdown:
    """The online rows against the one whose chosen neurons are switched off.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
    """
    caption = (
        "Recorded: the online rows against the one without the chosen neurons, in points of accuracy, with the 95% "
        "interval of the difference. Few networks make wide intervals, and where there is one of each, nothing in them "
        "shows what another would give."
    )
    online, off = FAMILIES["online"], "off_adv_online"
    pairs = {
        "neurons off, above λ = 0": (off, online.control),
        "SNS loss, above neurons off": (online.paper, off),
        "SNS loss on random neurons, above neurons off": ("random_adv_online", off),
        "relative loss, above neurons off": (online.relative, off),
        "image-relative loss, above neurons off": (online.image_relative, off),
    }
    return gain_over_control(pairs, [folder], caption, "tbl-neurons-off")


def adaptive_attack(folder: str) -> Markdown:
    """PGD that also drives the stabilised neurons away beside PGD alone, for the rows of which that was measured.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
    """
    found = results.records(folder, "adaptive-pgd")
    lines = []
    for row in (row for row in ROWS if row in found):
        left, moved = found[row].result, found[row].result["moved"]
        shares = [percent(left[name])[:-1] for name in ("plain", "adaptive")]
        lines.append([ROWS[row].label, *shares, digits(moved["plain"]), digits(moved["driven"])])
    caption = (
        "Recorded: accuracy in percent under PGD from random starts, and under as many attempts that also drive the "
        "chosen neurons away; and how far these move under PGD and when driven, relative to their clean output, in the "
        "mean over layers. A layer whose chosen neurons are inactive for every image counts as not moved; one in which "
        "they answer to very few images moves by about all of its output, little as that is."
    )
    return markdown_table(["model", "PGD", "adaptive", "moved by PGD", "driven"], lines, caption, "tbl-adaptive")
