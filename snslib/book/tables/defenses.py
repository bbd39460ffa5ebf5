"""Tables of the chapter on results: Tables 1 and 2, and the SNS rows of both beside their controls."""

from collections.abc import Mapping

from IPython.display import Markdown

from snslib.book.tables.accuracies import BySeed, beside_paper
from snslib.book.tables.rows import gain_over_control, stabilised_neurons
from snslib.claims import paper
from snslib.claims.numbers.accuracies import CONTROLS, STABILISED, STABILISED_ALEXNET
from snslib.study import results
from snslib.study.records import Record
from snslib.study.rows import ROWS


def table1_live(records: Mapping[str, Record], strong: Mapping[str, Record]) -> Markdown:
    """Table 1 of this build.

    Args:
        records: defense to its accuracy record.
        strong: defense to its record of accuracy under a stronger PGD.
    """
    return beside_paper(
        paper.table1(),
        {"ours": (_of_one_seed(records), _of_one_seed(strong))},
        "Accuracy in percent: **ours** in bold, the paper's Table 1 (CIFAR-10, VGG-16 at width 1) below it. "
        "Step-LL and MI-FGSM are targeted, PGD and FGSM untargeted. The last column, a stronger PGD of more steps "
        "from random starts, is not in the paper.",
        "tbl-table1",
    )


def _of_one_seed(records: Mapping[str, Record]) -> BySeed:
    return {defense: [entry] for defense, entry in records.items()}


def table1_recorded(*folders: str) -> Markdown:
    """Table 1 of the published rows of VGG-16 on CIFAR-10, each at several widths.

    Args:
        folders: such as "cifar10/vgg16-w1", "cifar10/vgg16-w0.25".
    """
    return beside_paper(
        paper.table1(),
        {f"width {results.width_of(folder)}": _measured(folder) for folder in folders},
        "Recorded accuracy in percent: ours in bold, the paper's Table 1 below it, and in brackets how far ours at "
        f"width {results.width_of(folders[0])} is off. Step-LL and MI-FGSM are targeted at the least likely class, PGD "
        "and FGSM are untargeted. The last column is not in the paper: 100 steps of 2/255 from five random starts, on "
        "the first 1,000 test images.",
        "tbl-recorded",
        differences=True,
    )


def _measured(folder: str) -> tuple[BySeed, BySeed]:
    """Accuracy, and that under the stronger PGD, of the published rows."""
    return results.by_seed(folder, "accuracy"), results.by_seed(folder, "strong-accuracy")


def table2_recorded(folder: str) -> Markdown:
    """Table 2 of AlexNet's published rows on Tiny ImageNet; ``folder`` is such as "tiny-imagenet/alexnet-w0.25"."""
    return beside_paper(
        paper.table2(),
        {"ours": _measured(folder)},
        "Recorded accuracy in percent on Tiny ImageNet with AlexNet: **ours** in bold, below it the paper's Table 2, "
        "for another data set. The last column is not in the paper: 100 steps of 2/255 from five random starts, on the "
        "first 1,000 test images.",
        "tbl-table2",
    )


def stabilised_in_table1(*folders: str) -> Markdown:
    """What became of the stabilised neurons of every SNS row and control of VGG-16; ``folders`` as above."""
    return stabilised_neurons(
        {row: ROWS[row].label for row in STABILISED},
        folders,
        "Recorded accuracy in percent, and what became of the stabilised neurons of conv8 to conv13: how many percent "
        "of them are inactive for every test image (*dead*), their clean output in percent of that in the vanilla "
        "network, how many percent of their variance on clean images is from image to image (*over images*; the rest "
        "is a pattern that is the same for every image), their mean sensitivity σ under PGD, and the same relative to "
        "their clean output.",
        "tbl-controls",
    )


def stabilised_in_table2(folder: str) -> Markdown:
    """What became of the stabilised neurons of the SNS rows and controls of AlexNet; ``folder`` as above."""
    return stabilised_neurons(
        {row: ROWS[row].label for row in STABILISED_ALEXNET},
        [folder],
        "Recorded on Tiny ImageNet with AlexNet: accuracy in percent, and what became of the stabilised neurons of "
        "conv3 to conv5, as in the same table for CIFAR-10.",
        "tbl-table2-controls",
    )


def gain_of_sns(*folders: str) -> Markdown:
    """What the SNS loss adds to each control of VGG-16; ``folders`` as above."""
    return gain_over_control(
        {ROWS[row].label: (row, control) for row, control in CONTROLS.items()},
        folders,
        "Recorded: what the SNS loss adds, in points of accuracy above the control, with the 95% interval of the "
        "difference; in the last row, what doing without the chosen neurons adds. Where there are two seeds of one of "
        "them, their spread is in the interval; where there is one of each, as always under AutoAttack, the interval "
        "does not cover what another seed would give. A dash: not run.",
        "tbl-sns-adds",
    )
