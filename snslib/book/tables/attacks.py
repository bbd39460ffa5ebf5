"""Tables of the chapter on attacks: the data, the model, four attacks at work, and the paper's vanilla model."""

from collections.abc import Mapping
from itertools import groupby
from typing import cast

import torch
from IPython.display import Markdown
from torch import Tensor, nn

from snslib.attacks import ATTACKS
from snslib.book.tables.markdown import markdown_table
from snslib.book.text import MODEL_NAMES, map_size, percent, plain, radius
from snslib.claims import paper
from snslib.claims.criteria.attacks import PAPER_EPS, TARGETED
from snslib.data import Dataset
from snslib.evaluation.misreadings import Misreadings
from snslib.hooks import record
from snslib.study.records import Record
from snslib.study.settings import Settings
from snslib.training.models import build_model

ONE_STEP = ("Step-LL", "FGSM")  # the others take several


def data_set(data: Dataset, measured: int) -> Markdown:
    """A data set and the sizes of its splits.

    Args:
        data: the data set.
        measured: how many of its test images are measured.
    """
    sizes = (len(data.train), len(data.validation), len(data.test), measured)
    size = f"{data.image_size}×{data.image_size}"
    return markdown_table(
        ["data set", "classes", "image", "training", "validation", "test", "measured here"],
        [[plain(data.name), str(data.num_classes), size, *(f"{count:,}" for count in sizes)]],
        f"Number of images: {plain(data.origin)}. Validation images are held out of the training images.",
        "tbl-data",
    )


def layer_shapes(model: nn.Module, outputs: Mapping[str, Tensor], settings: Settings, data: Dataset) -> Markdown:
    """The layers of a model by the shape of their output, beside their number of channels at width 1.

    Args:
        model: whose parameters are counted.
        outputs: layer to its output, (N, C, H, W) or (N, C), bottom to top; neighbours of one shape share a row.
        settings: of the model.
        data: its data set.
    """
    full = _channels_at_width_1(list(outputs), settings, data)

    def shape(layer: str) -> list[str]:
        output = outputs[layer]
        return [str(output.shape[1]), str(full[layer]), map_size(output) or "one number"]

    rows = []
    for cells, group in groupby(outputs, shape):
        first, *others = group
        rows.append([f"{first} to {others[-1]}" if others else first, *cells])
    parameters = sum(p.numel() for p in model.parameters())
    return markdown_table(
        ["layers", "channels", "at width 1", "output of a channel"],
        rows,
        f"{MODEL_NAMES[settings.model]} at width {settings.width:g}: {parameters:,} parameters. Layers of the same "
        "shape share a row.",
        "tbl-model",
    )


def _channels_at_width_1(layers: list[str], settings: Settings, data: Dataset) -> dict[str, int]:
    with torch.device("meta"):  # shapes without numbers
        full = build_model(settings.model, data.num_classes, 1.0, data.image_size).eval()
        with record(full, layers) as outputs:
            full(torch.empty(1, 3, data.image_size, data.image_size))
    return {layer: output.shape[1] for layer, output in outputs.items()}


def attacks_at_work(misread: Mapping[str, Misreadings], settings: Settings) -> Markdown:
    """What the four attacks do and what becomes of the images that they are run on.

    Args:
        misread: attack, as the paper writes it, to what it did.
        settings: with which the attacks were run.
    """
    step_size, rows = cast(float, settings.step_size), []
    for attack, found in misread.items():
        once = attack in ONE_STEP
        rows.append(
            [
                attack,
                "targeted" if attack in TARGETED else "untargeted",
                "1" if once else str(settings.steps),
                radius(settings.eps if once else step_size),
                radius(found.largest_change),
                f"{100 * found.misread:.0f}%",
                f"{100 * found.at_target:.0f}%",
            ]
        )
    images = next(iter(misread.values())).images
    return markdown_table(
        ["attack", "aim", "steps", "step", "largest change", "misread", "as least likely"],
        rows,
        f"The four attacks on the first {images} test images: length of a step, largest change of any pixel, share of "
        "the images that are misread, and share that is taken for the class that was least likely before.",
        "tbl-attacks",
        "llrrrrr",
    )


def vanilla_beside_paper(accuracy: Record) -> Markdown:
    """Accuracy of the vanilla model, clean and under the four attacks, and the Vanilla row of Table 1 under it.

    Args:
        accuracy: from ``measurements.accuracy``.
    """
    columns = ("clean", *ATTACKS)
    ours, printed = accuracy.result, paper.table1()["vanilla"]
    here = f"here: {plain(accuracy.data['name'])}, eps {radius(accuracy.config['attack']['eps'])}"
    return markdown_table(
        ["vanilla model", "clean", *ATTACKS.values()],
        [
            [here, *(percent(ours[column]) for column in columns)],
            [f"paper: CIFAR-10, eps {radius(PAPER_EPS)}", *(f"{printed[column]:.2f}%" for column in columns)],
        ],
        "Test accuracy of the vanilla model, clean and under the four attacks, beside the Vanilla row of the paper's "
        "Table 1.",
        "tbl-vanilla",
    )
