"""Sentences about remedies for the SNS loss, and about sensitivity and robustness over networks."""

from collections.abc import Mapping, Sequence

from IPython.display import Markdown

from snslib.book import labels
from snslib.book.text import in_points, network_of, percent
from snslib.claims.criteria.remedies import (
    RANDOM,
    State,
    above_zero,
    robust_with_unused_neurons,
    stabilises,
    stable_and_not_robust,
)
from snslib.claims.criteria.robust import ROBUST
from snslib.claims.numbers.accuracies import Gain, gain_over
from snslib.claims.numbers.correlation import Point, rank_correlation
from snslib.claims.numbers.over_networks import Points
from snslib.claims.numbers.robustness import strong_name
from snslib.claims.numbers.stabilised import neuron_states
from snslib.claims.statistics import Accuracy, sign
from snslib.study import results
from snslib.study.records import Record
from snslib.study.rows import FAMILIES, ROWS, Family

NOT_RUN = "*Not run yet.*"


def effect_of_remedies(folder: str) -> Markdown:
    """Effect of each loss on its neurons and on the network's robustness, and conclusions from it.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
    """
    states = neuron_states(folder, [row for family in FAMILIES.values() for row in family.rows] + [RANDOM])
    lines = [
        _family(title, family, states)
        for title, family in FAMILIES.items()
        if {family.control, family.paper, family.relative} <= states.keys()
    ]
    if stable_and_not_robust(states):
        lines.append(
            "\nSo with fixed x' the second remedy does to the neurons what SNS sets out to do: they are active, they "
            "vary from image to image, and relative to their output an attack on the trained network changes them less "
            "than half as much as without the loss. The stronger PGD leaves these networks less than 5% all the same. "
            "The neurons that were sensitive *before* have been stabilised, and an attack that is made for the network "
            "as it is now succeeds. In these networks, low sensitivity of the chosen neurons was not robustness."
        )
    if robust_with_unused_neurons(states):
        lines.append(
            "\nOnline, the row with the first remedy keeps the most of its family under the stronger PGD, on "
            f"{_seeds(states[FAMILIES['online'].relative])}, and the outputs of its chosen neurons hardly depend on "
            "the image. Those of the paper's loss are mostly dead, and so are the random ones of "
            f"{labels.table('tbl-sns-adds')}. What these losses add to the control can hardly come from stabilising "
            "neurons that do some work. It may come from taking a tenth of them out of work, which is tried below."
        )
    return Markdown("\n".join([*lines, *_online(folder, states)]) or NOT_RUN)


def _family(title: str, family: Family, states: Mapping[str, State]) -> str:
    control, paper, relative = (states[row] for row in (family.control, family.paper, family.relative))
    line = (
        f"- {title[0].upper() + title[1:]}: {percent(paper['dead'])} of the chosen neurons are dead with the paper's "
        f"loss, {percent(relative['dead'])} with the relative one. Of the variance of these, "
        f"{100 * relative['over_images']:.2g}% is from image to image (λ = 0: {100 * control['over_images']:.2g}%)."
    )
    if second := states.get(family.image_relative):
        line += (
            f" With the image-relative loss {percent(second['dead'])} are dead, {100 * second['over_images']:.2g}% is "
            f"from image to image, and PGD moves them by {second['relative']:.2g} of their clean output (λ = 0: "
            f"{control['relative']:.2g})."
        )
    members = (family.control, family.paper, family.relative, family.image_relative)
    strong = ", ".join(percent(states[row]["strong"]) for row in members if row in states)
    return f"{line} The stronger PGD leaves, in the order of the table, {strong}."


def _online(folder: str, states: Mapping[str, State]) -> list[str]:
    """Gain by the image-relative loss online, where it stabilises its neurons."""
    online = FAMILIES["online"]
    control, second = states.get(online.control), states.get(online.image_relative)
    if control is None or second is None or not stabilises(second, control):
        return []
    clean, strong = _clean_and_strong(folder, online.image_relative, online.control)
    if clean is None or strong is None:
        return []
    clearly = "come" if above_zero(strong) else "do not clearly come"
    either = "" if above_zero(strong) else " either"
    return [
        "\nOnline, too, the second remedy stabilises neurons that work. Against the control, accuracy changes by "
        f"{in_points(clean)} points on clean images and by {in_points(strong)} under the stronger PGD, so less "
        f"sensitive neurons {clearly} with a more robust network here{either}. The weight λ is the paper's, 5, and was "
        "not tuned for this loss."
    ]


def without_neurons(folder: str) -> Markdown:
    """Gain by the absence of the chosen neurons online, and what the SNS loss adds to it.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
    """
    online, off = FAMILIES["online"], "off_adv_online"
    gained, beyond = _clean_and_strong(folder, off, online.control), _clean_and_strong(folder, online.paper, off)
    lines = [
        f"- {images}: without these neurons {in_points(first)} points above the control, with the SNS loss "
        f"{in_points(second)} points above that. So {_of_two_gains(first, second)}."
        for images, first, second in zip(("Clean images", "The stronger PGD"), gained, beyond, strict=True)
        if first is not None and second is not None
    ]
    if not lines:
        return Markdown(NOT_RUN)
    counted = results.by_seed(folder, "accuracy")
    names = {online.control: "with λ = 0", off: "without the neurons", online.paper: "with the SNS loss"}
    behind = ", ".join(f"{len(counted[row])} {name}" for row, name in names.items())
    return Markdown("\n".join([*lines, f"\nNetworks behind these lines: {behind}."]))


def _of_two_gains(first: Gain, second: Gain) -> str:
    if above_zero(first):
        beyond = "the loss adds to it" if above_zero(second) else "no clear one is left for the loss"
        return f"their absence is a gain, and {beyond}"
    if above_zero(second):
        return "their absence is no clear gain, and the loss adds something"
    return "neither is clearly a gain"


def _clean_and_strong(folder: str, row: str, other: str) -> tuple[Gain | None, Gain | None]:
    """Gain in accuracy of a row over another, on clean images and under the stronger PGD."""
    gain = gain_over(folder, row, other)
    return gain["clean"], gain[strong_name(results.records(folder, "strong-accuracy"))]


def neurons_driven_away(folder: str) -> Markdown:
    """Whether an attack that drives the stabilised neurons away turns more images, and how far it moves them.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
    """
    found = results.records(folder, "adaptive-pgd")
    rows = [row for row in ROWS if row in found]
    if not rows:
        return Markdown(NOT_RUN)
    stronger = [ROWS[row].label for row in rows if _is_stronger(found[row])]
    turned = f"turns clearly more images of {', '.join(stronger)}" if stronger else "does not clearly turn more of any"
    text = (
        f"On the first {min(found[row].config['n'] for row in rows):,} test images, PGD and the attack that drives the "
        f"neurons away have as many attempts on each network of the table. The latter {turned}."
    )
    online = FAMILIES["online"]
    if {online.image_relative, online.control} <= found.keys():
        second, control = (found[row].result["moved"] for row in (online.image_relative, online.control))
        text += (
            f" The neurons of the image-relative loss move by {second['plain']:.2g} of their clean output under PGD "
            f"and by {second['driven']:.2g} when driven; with λ = 0 by {control['plain']:.2g} and "
            f"{control['driven']:.2g}."
        )
        if second["driven"] > 2 * second["plain"]:
            text += " So PGD shows less than half of how far the former can be moved."
    return Markdown(text)


def _is_stronger(entry: Record) -> bool:
    """Whether the attack that drives neurons away clearly leaves less than PGD does."""
    plain, adaptive = (Accuracy((entry.result[name],), entry.config["n"]) for name in ("plain", "adaptive"))
    return sign(plain, adaptive) > 0


def sensitivity_and_robustness(points: Mapping[str, Points], folder: str) -> Markdown:
    """Correlation of sensitivity with accuracy lost to AutoAttack, over all networks and within each kind of them.

    Args:
        points: folder to what :func:`snslib.claims.numbers.over_networks.points_under_autoattack` returns of it.
        folder: the one whose rows with a loss for sensitivity are described, such as "cifar10/vgg16-w0.25".
    """
    each = {name: [one for group in groups.values() for one in group] for name, groups in points.items()}
    everyone = [one for of_kind in each.values() for one in of_kind]
    if len(everyone) < 3:
        return Markdown("*Not run yet: a correlation needs three networks.*")
    correlation = rank_correlation(everyone)
    within = "".join(
        f"; over the {len(of_kind)} of {network_of(name)} it is {rank_correlation(of_kind)[0]:.2f}"
        for name, of_kind in each.items()
        if len(of_kind) > 2
    )
    together = "go together, as the paper says" if above_zero(correlation) else "do not clearly go together"
    return Markdown(
        f"Over {len(everyone)} networks Spearman's rank correlation is **{correlation[0]:.2f}** "
        f"({_interval(correlation)}){within}. In the mean over a whole network, sensitivity and the share lost to "
        f"AutoAttack {together}. The interval takes the networks for independent, and they are not: those of one kind "
        f"share their data, and many start from the same vanilla network, so that it is rather too narrow.\n\n"
        f"{_among_robust(everyone)}All of this is correlation. Whether lowering the sensitivity of some neurons "
        "*makes* a network robust is a question for an intervention, and the rows with a loss for it are that "
        "intervention."
        f"{_intervention({one.model: one for one in each.get(folder, [])}, folder)}"
    )


def _interval(correlation: tuple[float, float, float]) -> str:
    return f"95% bootstrap interval {correlation[1]:.2f} to {correlation[2]:.2f}"


def _among_robust(points: Sequence[Point]) -> str:
    """Whether sensitivity says more than which networks keep next to nothing."""
    kept = [one for one in points if one.lost < 1 - ROBUST]
    share = f"{100 * (1 - ROBUST):g}% of their clean accuracy"
    text = f"{len(points) - len(kept)} of the {len(points)} networks lose more than {share}. "
    if len(kept) < 3:
        return text
    within = rank_correlation(kept)
    clearly = "they go together as well" if above_zero(within) else "no such relation is clear"
    return f"{text}Among the other {len(kept)} {clearly}: {within[0]:.2f} ({_interval(within)}). "


def _intervention(points: Mapping[str, Point], folder: str) -> str:
    """Effect of the image-relative loss of Eq. 10 on the sensitivity of its neurons, of all, and on accuracy."""
    family = FAMILIES["Eq. 10"]
    rows = (family.image_relative, family.control)
    states = neuron_states(folder, rows)
    if not set(rows) <= states.keys() & points.keys():
        return ""
    chosen, everywhere = (
        [f"{value:.2g}" for value in values]
        for values in zip(*((states[row]["relative"], points[row].sensitivity) for row in rows), strict=True)
    )
    return (
        f" With the image-relative loss in Eq. 10, PGD moves the chosen neurons by {chosen[0]} of their clean output "
        f"in place of {chosen[1]} (λ = 0), and all neurons of all layers together by {everywhere[0]} in place of "
        f"{everywhere[1]}. AutoAttack takes {percent(points[rows[0]].lost)} of this network's accuracy, and "
        f"{percent(points[rows[1]].lost)} of the other's."
    )


def _seeds(state: State) -> str:
    return "one seed" if state["seeds"] == 1 else f"{state['seeds']:g} seeds"
