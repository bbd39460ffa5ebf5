"""The pictures of the front page's story in five figures that come from rows of ``results/``, and what was decided."""

from collections.abc import Sequence

import torch
from IPython.display import HTML
from matplotlib.figure import Figure

from snslib.book.figures import correlation, defenses, overlap, sensitivity
from snslib.book.text import network_of
from snslib.book.widgets import image
from snslib.claims.claims import Claim
from snslib.claims.criteria.outcome import Outcome
from snslib.claims.numbers.layers import TOP, means
from snslib.claims.numbers.over_networks import points_under_autoattack
from snslib.sensitivity import top_neurons
from snslib.study import results, rows

NOT_RUN = HTML("<em>Not run yet.</em>")
ATTACKED = "A test image and what four attacks make of it, the class that the network reads below each."
STABILISED = ["vanilla", "pat", "sns_sen_adv"]  # the rows of the picture
CLAIMS = {"suppression": 5, "stabilised": 14}  # picture to the claim that it is about


def picture(figure: Figure, alt: str) -> HTML:
    """A figure for a page that is no notebook, in a box that scrolls on a narrow screen as all figures do.

    Args:
        figure: what to show.
        alt: the same in words, for those who do not see it.
    """
    return HTML(f'<div class="figure-scroll">{image(figure, alt)}</div>')


def attacked(panel: Figure) -> HTML:
    """The first picture: an image under the four attacks, as chapter 1 draws it."""
    return picture(panel, ATTACKED)


def recorded(folder: str, card: Sequence[tuple[Claim, Outcome]]) -> dict[str, HTML | str]:
    """The other four pictures, and the verdicts on the claims that they are about.

    Args:
        folder: the rows that are shown, such as "cifar10/vgg16-w1".
        card: as :func:`snslib.claims.claims.scorecard` returns it.

    Returns:
        "story_<picture>" to an HTML image, or to words where the rows are missing; "verdict_<picture>" to the verdict.
    """
    verdicts = {claim.number: outcome.verdict for claim, outcome in card}
    drawn = {
        "neurons": (_neurons(folder), "One dot for each neuron of each layer; the sensitive ones stand out."),
        "suppression": (_suppression(folder), "Accuracy over beta, white box and transferred, one curve per attack."),
        "stabilised": (_stabilised(folder), "Mean sensitivity of three networks, layer by layer."),
        "networks": (_networks(), "Accuracy lost to AutoAttack over sensitivity, one point for each network."),
    }
    pictures = {f"story_{name}": picture(figure, alt) if figure else NOT_RUN for name, (figure, alt) in drawn.items()}
    return pictures | {f"verdict_{name}": verdicts[number] for name, number in CLAIMS.items()}


def _neurons(folder: str) -> Figure | None:
    record = results.records(folder, "sensitivity", split="test", under="pgd").get("vanilla")
    if record is None:
        return None
    sigma = record.result["sigma"]
    omega = top_neurons({layer: torch.tensor(values) for layer, values in sigma.items()}, fraction=TOP)
    return sensitivity.by_neuron(sigma, omega)


def _suppression(folder: str) -> Figure | None:
    record = results.records(folder, "suppression").get("vanilla")
    return overlap.suppression(record) if record else None


def _stabilised(folder: str) -> Figure | None:
    found = results.records(folder, "sensitivity", split="test", under="pgd")
    shown = {row: found[row] for row in STABILISED if row in found}
    return defenses.by_layer(means(shown), "mean sensitivity") if len(shown) == len(STABILISED) else None


def _networks() -> Figure | None:
    of_all = {folder: points_under_autoattack(folder, rows.KINDS) for folder in results.folders()}
    points = {network_of(folder): groups for folder, groups in of_all.items() if any(groups.values())}
    return correlation.lost_to_autoattack(points) if points else None
