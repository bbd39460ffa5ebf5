"""What the chapter on adversarial training found: PAT's sensitivities against vanilla's, and SNS's against PAT's."""

import math
from collections.abc import Sequence
from functools import partial

from IPython.display import Markdown

from snslib.book import labels
from snslib.book.figures.correlation import label
from snslib.book.text import percent
from snslib.claims.criteria.sensitivity import lower_layers, smaller_outputs_may_explain
from snslib.claims.numbers.correlation import mean_relative, rank_correlation
from snslib.claims.numbers.disturbances import Disturbed
from snslib.claims.numbers.layers import TOP, conv_layers, fall_in_top, mean, mean_of_top, relative
from snslib.study.defenses import LABELS
from snslib.study.records import Record

_RECORDED = f"[Recorded: the paper's own data]({labels.section('06_results', 'sec-recorded')})"
_NETWORKS = f"[Over all networks]({labels.section('07_beyond_the_paper', 'sec-networks')})"


def less_sensitive(disturbed: Disturbed, sns: Record, stabilised: Sequence[str], fraction: float = TOP) -> Markdown:
    """What adversarial training did to the neurons, beside what the paper reports.

    Args:
        disturbed: the vanilla and the PAT network.
        sns: the record of sensitivity of the SNS network, under PGD.
        stabilised: its stabilised layers.
        fraction: of a layer's neurons, which count as sensitive.
    """
    vanilla, pat = (disturbed.under["pgd"][defense] for defense in ("vanilla", "pat"))
    layers = disturbed.layers
    lower = lower_layers(partial(mean_of_top, fraction=fraction), [pat], [vanilla], layers)
    higher = ", ".join(layer for layer in layers if layer not in lower)
    in_proportion = lower_layers(relative, [pat], [vanilla], layers)
    explained = smaller_outputs_may_explain(pat, vanilla, layers)
    below = lower_layers(mean, [sns], [pat], stabilised)
    before, after = (disturbed.accuracy[defense].result for defense in ("vanilla", "pat"))
    return Markdown(f"""
- **Robustness**: under PGD, PAT is right on {percent(after["pgd"])} of the test images and vanilla training on
  {percent(before["pgd"])}; their clean accuracies differ by {100 * (after["clean"] - before["clean"]):+.2f} points.
- **Sensitive neurons**: PAT's are less sensitive in {len(lower)} of {len(layers)} convolutional layers. The paper
  reports all of them. {f"The exceptions here: {higher}." if higher else "That is the same here."}
- **Relative to the clean output**, PAT is less sensitive in {len(in_proportion)} of {len(layers)} layers, so smaller
  outputs {"may well be the reason" if explained else "are not the reason"}.
- **The top {100 * fraction:g}%** fall the most, the paper reports. {_fall(vanilla, pat, fraction)}.
{_fog(disturbed, fraction)}{_relation(disturbed)}
- **SNS** goes below PAT in {len(below)} of its {len(stabilised)} layers; the paper reports all. The next
  chapter shows whether it is more robust for it.
""")


def less_sensitive_with_sns(disturbed: Disturbed, sns: Record, fraction: float = TOP) -> Markdown:
    """The same of recorded networks, with SNS in all layers and sensitivities relative to the clean output.

    Args:
        disturbed, sns, fraction: as in :func:`less_sensitive`.
    """
    vanilla, pat = (disturbed.under["pgd"][defense] for defense in ("vanilla", "pat"))
    layers = disturbed.layers
    of_pat, of_sns = (len(lower_layers(mean, [a], [b], layers)) for a, b in ((pat, vanilla), (sns, pat)))
    in_proportion = ", ".join(
        f"{name} {mean_relative(record, layers):.2f}"
        for name, record in (("vanilla", vanilla), ("PAT", pat), ("SNS", sns))
    )
    return Markdown(f"""
- Summed over its neurons, PAT is less sensitive than vanilla in {of_pat} of {len(layers)} layers, SNS less than PAT in
  {of_sns} of {len(layers)} layers.
- {_fall(vanilla, pat, fraction)}.
- Relative to the clean output (mean over layers): {in_proportion}. An SNS network whose outputs are smaller in the
  stabilised layers also varies less there; {_RECORDED} counts how many of its neurons are dead.
{_fog(disturbed, fraction)}{_relation(disturbed)}
""")


def less_sensitive_under_each(disturbed: Disturbed, fraction: float = TOP) -> Markdown:
    """Accuracy, and in how many layers PAT is less sensitive under each attack and corruption.

    Args:
        disturbed, fraction: as in :func:`less_sensitive`.
    """
    under_pgd = " and ".join(
        f"{LABELS[defense]} {percent(record.result['pgd'])} (clean {percent(record.result['clean'])})"
        for defense, record in disturbed.accuracy.items()
    )
    statistic = partial(mean_of_top, fraction=fraction)
    layers = disturbed.layers
    lower = {
        name: lower_layers(statistic, [records["pat"]], [records["vanilla"]], layers)
        for name, records in disturbed.strongest.items()
    }
    counts = (f"{len(found)} of {len(layers)} layers under {label(name)}" for name, found in lower.items())
    return Markdown(f"""
- **Accuracy under PGD**: {under_pgd}.
- **PAT's sensitive neurons are less sensitive** in {", ".join(counts)}.
{_fog(disturbed, fraction)}{_relation(disturbed)}
""")


def _fall(vanilla: Record, pat: Record, fraction: float) -> str:
    """Which part of the fall is in the top ranks, as a sentence without its full stop."""
    part = fall_in_top(vanilla, pat, conv_layers(vanilla), fraction)
    if math.isnan(part):
        return "From vanilla to PAT the summed sensitivity falls in no layer"
    return (
        f"Where the summed sensitivity falls from vanilla to PAT, {100 * part:.0f}% of the fall (mean over layers) is "
        f"in the top {100 * fraction:g}% of the neurons; if all fell by the same amount, it would be about "
        f"{100 * fraction:g}%"
    )


def _fog(disturbed: Disturbed, fraction: float) -> str:
    """The line about fog; empty where it is not recorded."""
    records = disturbed.under.get("fog-5", {})
    if not {"vanilla", "pat"} <= records.keys():
        return ""
    statistic = partial(mean_of_top, fraction=fraction)
    higher = lower_layers(statistic, [records["vanilla"]], [records["pat"]], disturbed.layers)
    accuracies = {LABELS[defense]: disturbed.accuracies(defense) for defense in records}
    changes = (
        f"{percent(accuracy['clean'])} to {percent(accuracy['fog-5'])} ({name})"
        for name, accuracy in accuracies.items()
    )
    return (
        f"- **In fog**, PAT's sensitive neurons are more sensitive in {len(higher)} of {len(disturbed.layers)} layers; "
        f"the paper reports most.\n  At severity 5 accuracy goes from {' and from '.join(changes)}.\n"
    )


def _relation(disturbed: Disturbed) -> str:
    """The line about the rank correlation; empty where one of the networks lacks."""
    points = disturbed.points
    if len({point.model for point in points}) < 2:
        return ""
    rho, low, high = rank_correlation(points)
    found = (
        "no rank correlation: all points are equally sensitive, or lose the same"
        if math.isnan(rho)
        else f"a rank correlation of {rho:.2f} (95% interval {low:.2f} to {high:.2f}) over both networks and "
        "everything that disturbs them"
    )
    return (
        f"- **Sensitivity and lost accuracy** have {found}.\n"
        f"  The networks differ in more than sensitivity, though: {_NETWORKS} looks at more of them."
    )
