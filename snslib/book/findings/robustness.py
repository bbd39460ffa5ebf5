"""Sentences about stronger attacks, checks for masked gradients, transferred examples and the loss."""

from collections.abc import Iterable, Mapping, Sequence

from IPython.display import Markdown

from snslib.attacks import ATTACKS
from snslib.book.text import network_of, percent, plain, radius
from snslib.claims import paper
from snslib.claims.criteria.robust import ROBUST, is_robust, peak
from snslib.claims.numbers.robustness import (
    Lowest,
    accuracies_by_seed,
    failed_by,
    failed_checks,
    images_under_attacks,
    lowest_accuracy,
    lowest_of,
)
from snslib.claims.statistics import compare, interval
from snslib.study.defenses import LABELS
from snslib.study.records import Record
from snslib.study.rows import ROWS

NOT_RUN = "*Not run yet.*"
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
            f" All four checks are passed by {clear}: where these resist, no sign was found that it is because PGD's "
            "gradient leads nowhere."
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


def robust_rows(folders: Sequence[str]) -> Markdown:
    """Published rows that are robust after all attacks, those that are not or that fall to PGD, and failed checks.

    Args:
        folders: such as ["cifar10/vgg16-w1", "cifar10/vgg16-w0.25"], a list each.
    """
    about = "In brackets the accuracy under the paper's PGD, and what the attack leaves that leaves the least"
    lowest = {folder: lowest_accuracy(folder, ROWS) for folder in folders}
    if n := {found.n for of_folder in lowest.values() for found in of_folder.values()}:
        about += f"; on the first {min(n):,} test images, unless it says otherwise"
    parts = [_robust_rows(folder, of_folder) for folder, of_folder in lowest.items()]
    if len(folders) > 1:
        parts = [f"**{network_of(folder)}**\n\n{part}" for folder, part in zip(folders, parts, strict=True)]
    return Markdown("\n\n".join([f"{about}.", *parts]))


def _robust_rows(folder: str, lowest: Mapping[str, Lowest]) -> str:
    robust, others = _by_robustness(lowest)
    fallen = [row for row in others if lowest[row].first == 0]

    def listed(rows: Iterable[str]) -> str:
        return "; ".join(f"{ROWS[row].label} ({_lost(folder, row, lowest[row])})" for row in rows) or "none"

    checked = {row: names for row in lowest if (names := failed_checks(folder, row)) is not None}
    failed = (f"{ROWS[row].label}: {', '.join(names)}" for row, names in checked.items() if names)
    return f"""- **Robust after all attacks** (the 95% interval of the {RULE}): {listed(robust)}.
- **Not robust**: {listed(row for row in others if row not in fallen)}.
- **No image is right** under the paper's own PGD: {"; ".join(ROWS[row].label for row in fallen) or "none"}.
- **Checks failed**, by the {len(checked)} rows that went through them: {"; ".join(failed) or "none"}."""


def _lost(folder: str, row: str, found: Lowest) -> str:
    n = images_under_attacks(folder, row)["clean"]  # and of the paper's PGD
    first = percent(found.first) + (f" of {n:,} images" if n != found.n else "")
    return f"{first}, {percent(found.lowest)} under {found.attack}" if found.lowest < found.first else first


def pat_and_alp(folders: Sequence[str]) -> Markdown:
    """Under how many attacks ALP is ahead of PAT, and what that means for the paper's reading of its own numbers.

    Args:
        folders: such as ["cifar10/vgg16-w1", "cifar10/vgg16-w0.25"]; one without either row is left out.
    """
    counts = {}
    for folder in folders:
        table = {row: accuracies_by_seed(folder, row) for row in ("alp", "pat")}
        if attacks := [column for column in table["alp"] if column in table["pat"] and column != "clean"]:
            counts[folder] = compare(table, "alp", ["pat"], attacks)
    if not counts:
        return Markdown(NOT_RUN)
    printed = paper.table1()
    below = sum(printed["alp"][attack] < printed["pat"][attack] for attack in ATTACKS)
    here = "; ".join(
        f"{network_of(folder)}: ahead under {count.ahead}, behind under {count.behind} of {count.of}"
        for folder, count in counts.items()
    )
    text = (
        f"The paper prints a lower accuracy for ALP than for PAT under {below} of its {len(ATTACKS)} attacks, and "
        "takes that for evidence that it is better to stabilise sensitive neurons than to pair logits. Here is under "
        f"how many attacks ALP is ahead of PAT, counting what Holm's correction leaves. {here}."
    )
    if any(count.ahead for count in counts.values()) and not any(count.behind for count in counts.values()):
        text += (
            " So with our training ALP is nowhere clearly the weaker of the two under attack, and these rows do not "
            "support the paper's argument. Why our numbers and theirs differ, the rows do not show: length and "
            "schedule of training are ours, and where a row has one network, nothing says what another seed would give."
        )
    return Markdown(text)


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
    return Markdown("\n".join(lines) or NOT_RUN)
