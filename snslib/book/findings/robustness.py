"""Sentences about stronger attacks, checks for masked gradients, transferred examples and the loss."""

from collections.abc import Iterable, Mapping, Sequence

from IPython.display import Markdown

from snslib.book.text import percent, plain, radius
from snslib.claims.criteria.robust import ROBUST, is_robust, peak
from snslib.claims.numbers.robustness import Lowest, failed_by, failed_checks, lowest_accuracy, lowest_of
from snslib.claims.statistics import interval
from snslib.study.defenses import LABELS
from snslib.study.records import Record
from snslib.study.rows import ROWS

RULE = f"lowest accuracy lies above {100 * ROBUST:g}%"


def lowest_under_attack(attacked: Mapping[str, Sequence[Record]]) -> Markdown:
    """The attack that leaves each network the least, and what AutoAttack warned of.

    Args:
        attacked: defense to its records, as :func:`snslib.claims.numbers.robustness.accuracy_by_attack` takes them.
    """
    lines = []
    for network, records in attacked.items():
        first, lowest, attack, n = lowest_of(records)
        strongest = ", and no other attack leaves less"
        if lowest < first:
            strongest = f", {percent(lowest)} under {attack}, the attack that leaves the least"
        low, high = map(percent, interval(lowest, n))
        lines.append(
            f"- {LABELS[network]}: {percent(first)} under the paper's PGD{strongest} (95% interval {low} to {high})."
        )
    for network, records in attacked.items():
        warnings = [line for entry in records if entry.what == "autoattack" for line in entry.result["warnings"]]
        if warnings:
            lines.append(f"- AutoAttack warns about {LABELS[network]}: {plain(' '.join(warnings))}")
    return Markdown("\n".join(lines))


def masked_gradients(checks: Mapping[str, Record]) -> Markdown:
    """Networks that fail checks for masked gradients, and those that pass all of them.

    Args:
        checks: defense to its record of ``measurements.sanity_checks``.
    """
    failed = _failures(checks)
    clear = ", ".join(LABELS[network] for network, entry in checks.items() if not failed_by(entry))
    text = f"Failed: {failed}." if failed else "No network fails a check."
    if clear:
        text += (
            f" All four checks are passed by {clear}: where these resist, it is not because PGD's gradient leads "
            "nowhere."
        )
    return Markdown(text)


def _failures(checks: Mapping[str, Record]) -> str:
    failed = {network: failed_by(entry) for network, entry in checks.items()}
    return "; ".join(f"{LABELS[network]} fails {', '.join(names)}" for network, names in failed.items() if names)


def after_all_attacks(attacked: Mapping[str, Sequence[Record]], checks: Mapping[str, Record]) -> Markdown:
    """Summary of attacks and checks for this build's networks.

    Args:
        attacked: defense to its records, as :func:`snslib.claims.numbers.robustness.accuracy_by_attack` takes them,
            "vanilla" among them.
        checks: defense to its record of ``measurements.sanity_checks``.
    """
    lowest = {network: lowest_of(records) for network, records in attacked.items()}
    order = sorted(lowest, key=lambda network: lowest[network].lowest, reverse=True)
    robust, others = _by_robustness({network: lowest[network] for network in order})
    left = {network: f"{LABELS[network]} ({percent(lowest[network].lowest)})" for network in order}
    lost = {network: found.first - found.lowest for network, found in lowest.items()}
    most = max(lost, key=lost.__getitem__)
    about = attacked["vanilla"][0]
    data, trained = plain(about.data["name"]), about.config["trained"]
    return Markdown(f"""
On {lowest["vanilla"].n} test images of {data}, one seed, eps {radius(about.config["attack"]["eps"])}:

- **Robust after all attacks**: {", ".join(left[network] for network in robust) or "none"}. A network
  counts here when the 95% interval of its {RULE}.
- **Not robust**: {", ".join(left[network] for network in others) or "none"}.
- **What the paper's PGD overrates most** is {LABELS[most]}, by {100 * lost[most]:.0f} points.
- **Masked gradients**: {_failures(checks) or "no check fails"}.

These sentences are about {data} and a network of width {trained["width"]:g}. They say nothing about the paper's own
networks.
""")


def robust_rows(folder: str) -> Markdown:
    """Published rows that are robust after all attacks, those that are not or that fall to PGD, and failed checks.

    Args:
        folder: such as "cifar10/vgg16-w0.25".
    """
    lowest = lowest_accuracy(folder, ROWS)
    robust, others = _by_robustness(lowest)
    fallen = [row for row in others if lowest[row].first == 0]

    def listed(rows: Iterable[str]) -> str:
        return "; ".join(f"{ROWS[row].label} ({_lost(lowest[row])})" for row in rows) or "none"

    failed = {row: names for row in lowest if (names := failed_checks(folder, row))}
    return Markdown(f"""
In brackets the accuracy under the paper's PGD, and what the attack leaves that leaves the least.

- **Robust after all attacks** (the 95% interval of the {RULE}): {listed(robust)}.
- **Not robust**: {listed(row for row in others if row not in fallen)}.
- **No image is right** under the paper's own PGD: {"; ".join(ROWS[row].label for row in fallen) or "none"}.
- **Checks failed**: {"; ".join(f"{ROWS[row].label}: {', '.join(names)}" for row, names in failed.items()) or "none"}.
""")


def _lost(found: Lowest) -> str:
    stronger = f", {percent(found.lowest)} under {found.attack}" if found.lowest < found.first else ""
    return percent(found.first) + stronger


def _by_robustness(lowest: Mapping[str, Lowest]) -> tuple[list[str], list[str]]:
    """Names of the robust ones, and of the others, each in the order given."""
    robust = [name for name, found in lowest.items() if is_robust(found.lowest, found.n)]
    return robust, [name for name in lowest if name not in robust]


def added_by_transfer(matrix: Record | None, networks: Iterable[str]) -> Markdown:
    """Points of accuracy that a test on the vanilla network's examples would add.

    Args:
        matrix: from ``measurements.transfer_matrix``, or None where it was not run.
        networks: names of those in it.
    """
    if matrix is None:
        return Markdown("*Not run yet: it takes all rows of the table.*")
    lines = []
    for network in networks:
        own, transferred = matrix.result[network][network], matrix.result["vanilla"][network]
        lines.append(
            f"- {LABELS[network]} gets {percent(transferred)} of the vanilla network's examples right and "
            f"{percent(own)} of its own: {100 * (transferred - own):+.0f} points that a transferred test would add."
        )
    return Markdown("\n".join(lines))


def along_gradient(surfaces: Mapping[str, Record]) -> Markdown:
    """Rise of the loss along the gradient's signs and along random ones, and its peak before the end.

    Args:
        surfaces: defense to its record of ``measurements.loss_surface``.
    """
    lines = []
    for network, entry in surfaces.items():
        loss, offsets = entry.result["loss"], entry.result["offsets"]
        middle = len(loss) // 2
        along = [row[middle] for row in loss]
        lines.append(
            f"- {LABELS[network]}: from {along[middle]:.2g} at the images to {along[-1]:.2g} at the end of the "
            f"gradient's signs, and to {max(loss[middle][0], loss[middle][-1]):.2g} at the worse end of the random "
            "signs."
        )
        place = peak(along)
        if place is not None:
            lines[-1] += f" On the way it peaks at {along[place]:.2g}, {255 * offsets[place]:.1f}/255 off."
    return Markdown("\n".join(lines) or "*Not run yet.*")
