"""Numbers of the chapter on results that other pages of the book show, the front page first of all."""

from collections.abc import Mapping
from typing import Any

from IPython.display import HTML
from matplotlib.figure import Figure

from snslib.book.story import picture
from snslib.book.text import this_build
from snslib.claims import paper
from snslib.claims.numbers.robustness import strong_name
from snslib.claims.numbers.stabilised import neuron_states
from snslib.study.records import Record
from snslib.study.settings import Settings

LIVE = ("vanilla", "pat", "sns_sen_adv")
RECORDED = (*LIVE, "sns_sen_adv_online", "control_adv_online")
ALT = (
    "One line per network with the paper's accuracy under PGD and ours, under PGD and under a stronger PGD, at the "
    "paper's width and at a quarter of it."
)


def values(
    settings: Settings,
    records: Mapping[str, Record],
    strong: Mapping[str, Record],
    folder: str,
    narrow: str,
    against_paper: Figure,
) -> dict[str, Any]:
    """What pages refer to by ``{glue}``: name to value.

    Args:
        settings: of this build.
        records: defense to its accuracy record, at least those of LIVE.
        strong: the same for accuracy under a stronger PGD.
        folder: the rows of ``results/`` that are shown, such as "cifar10/vgg16-w1".
        narrow: those of a narrower network, such as "cifar10/vgg16-w0.25".
        against_paper: the figure of accuracies beside the paper's.

    Returns:
        Texts and pictures as HTML; accuracies of this build and of the paper in percent; recorded accuracies as text,
        of the narrower network too, "not run" where there are none.
    """
    found: dict[str, Any] = {
        "n_test": records["vanilla"].config["n"],
        "strong_name": strong_name(strong),
        "this_build": HTML(this_build(settings, records["vanilla"])),
        "against_paper": picture(against_paper, ALT),
    }
    for defense in LIVE:
        for column in ("clean", "pgd"):
            found[f"{defense}_{column}"] = 100 * records[defense].result[column]
            found[f"paper_{defense}_{column}"] = paper.table1()[defense][column]
        found[f"{defense}_strong"] = 100 * strong[defense].result
    for network, rows_of, rows in (("recorded", folder, LIVE), ("narrow", narrow, RECORDED)):
        states = neuron_states(rows_of, rows)
        for row in rows:
            for column in ("clean", "pgd", "strong"):
                found[f"{network}_{row}_{column}"] = f"{100 * states[row][column]:.1f}%" if row in states else "not run"
    return found
