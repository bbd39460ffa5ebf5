"""Tables of the chapter on SNS training: the chosen neurons, and what training did to them and to accuracy."""

from collections.abc import Mapping
from math import isfinite

from IPython.display import Markdown
from torch import Tensor

from snslib.attacks import ATTACKS
from snslib.book.tables.markdown import markdown_table
from snslib.book.text import percent
from snslib.claims.numbers.robustness import strong_name
from snslib.study.records import Record


def chosen_neurons(omega: Mapping[str, Tensor]) -> Markdown:
    """The neurons that SNS stabilises, a line per layer.

    Args:
        omega: layer to neurons, the most sensitive first.
    """
    rows = []
    for layer, neurons in omega.items():
        listed = ", ".join(map(str, neurons[:8].tolist())) + (", …" if len(neurons) > 8 else "")
        rows.append([layer, listed, str(len(neurons))])
    caption = "The neurons that SNS stabilises, the most sensitive first (at most eight shown)."
    return markdown_table(["layer", "sensitive neurons", "chosen"], rows, caption, "tbl-omega", "llr")


def sns_effect(effect: Mapping[str, Mapping[str, float]]) -> Markdown:
    """The stabilised neurons before and after training, a line per layer.

    Args:
        effect: from ``measurements.effect_of_sns``.
    """

    def relative(value: float) -> str:
        return f"{value:.3g}" if isfinite(value) else "all dead"

    rows = [
        [
            layer,
            f"{found['before']:.3g}",
            f"{found['after']:.3g}",
            relative(found["relative_before"]),
            relative(found["relative_after"]),
            f"{found['dead']} of {found['chosen']}",
        ]
        for layer, found in effect.items()
    ]
    header = ["layer", "σ before", "σ after", "relative before", "relative after", "dead after"]
    caption = (
        "The stabilised neurons before and after SNS training: mean sensitivity (Eq. 1), sensitivity relative to the "
        "clean output, and how many are dead."
    )
    return markdown_table(header, rows, caption, "tbl-sns-effect")


def before_and_after(
    accuracy: Mapping[str, Record], strong: Mapping[str, Record], fixed: Mapping[str, Record]
) -> Markdown:
    """Test accuracy of the vanilla network, the trained one, and the one trained without the SNS loss.

    Args:
        accuracy: what a network is called to its record of accuracy.
        strong: the same under a stronger PGD.
        fixed: the same on images that PGD made on the vanilla network.
    """
    rows = [
        [
            label,
            *(percent(record.result[column]) for column in ("clean", *ATTACKS)),
            percent(strong[label].result),
            percent(fixed[label].result),
        ]
        for label, record in accuracy.items()
    ]
    header = ["model", "clean", *ATTACKS.values(), strong_name(strong), "fixed x'"]
    caption = (
        "Test accuracy before and after SNS training. The four attacks and the stronger PGD (more steps, of eps/4, "
        "from random starts) are white-box; *fixed x'* are images that PGD made on the vanilla model, and no attack "
        "on the trained one."
    )
    return markdown_table(header, rows, caption, "tbl-sns-accuracy")
