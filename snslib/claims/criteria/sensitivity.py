"""Claims 6 to 8 and 14: how sensitive the neurons of trained networks are (Fig. 6-8)."""

from collections.abc import Sequence
from itertools import product

from snslib.attacks import ATTACKS
from snslib.claims.criteria.outcome import Outcome
from snslib.claims.numbers.layers import TOP, Statistic, conv_layers, mean, mean_of_top, ranked, relative
from snslib.claims.records import NotRunError, PublishedRecords, accuracy_of
from snslib.sensitivity import top_count
from snslib.study.defenses import LABELS
from snslib.study.records import Record


def lower_layers(statistic: Statistic, a: Sequence[Record], b: Sequence[Record], layers: Sequence[str]) -> list[str]:
    """The layers in which a is less sensitive than b: those where the statistic of a is below that of b.

    Args:
        statistic: one of :mod:`snslib.claims.numbers.layers`.
        a, b: records of sensitivity of two networks, one per seed.
        layers: the layers that are compared.
    """
    return [layer for layer in layers if statistic(a, layer) < statistic(b, layer)]


def smaller_outputs_may_explain(a: Record, b: Record, layers: Sequence[str]) -> bool:
    """Whether a may be less sensitive than b because its outputs are smaller.

    They may not where a's sensitivity relative to its clean output is below b's in more than half of the layers.
    """
    return 2 * len(lower_layers(relative, [a], [b], layers)) <= len(layers)


def _lower(statistic: Statistic, a: Sequence[Record], b: Sequence[Record], layers: Sequence[str]) -> tuple[int, str]:
    """How many the :func:`lower_layers` are, and that in words, with each seed that both have."""

    def count(a: Sequence[Record], b: Sequence[Record]) -> int:
        return len(lower_layers(statistic, a, b, layers))

    both = [([x], [y]) for x, y in product(a, b) if x.seed == y.seed]
    text = f"{count(a, b)} of {len(layers)} layers"
    if len(both) > 1:
        text += f" (seed by seed {', '.join(str(count(x, y)) for x, y in both)})"
    return count(a, b), text


def lower_in_pat(published: PublishedRecords) -> Outcome:
    """Claim 6."""
    entries = published.need("sensitivity", "vanilla", "pat", split="test", under="pgd")
    layers = conv_layers(entries["vanilla"][0])
    fitting, most, lowest = 0, 0, 1.0
    for layer in layers:
        before, after = (ranked(entries[row], layer) for row in ("vanilla", "pat"))
        moved = before > 0
        share = (after < before)[moved].double().mean().item() if moved.any() else 0.0
        drop, top = before - after, top_count(len(before), TOP)
        more = bool(drop[:top].mean() > drop[top:].mean())
        fitting += share >= 0.9 and more
        most += more
        lowest = min(lowest, share)
    verdict = "reproduced" if fitting == len(layers) else "partly" if 2 * fitting > len(layers) else "not reproduced"
    return Outcome(
        verdict,
        f"both in {fitting} of {len(layers)} layers; at least {100 * lowest:.0f}% of a layer's ranks are lower; "
        f"the top 10% drop most in {most}",
    )


def lower_in_pat_top(published: PublishedRecords) -> Outcome:
    """Claim 7."""
    lines, lower, whole = [], 0, 0
    missing = []
    for attack, label in ATTACKS.items():
        found = published.find("sensitivity", "vanilla", "pat", split="test", under=attack)
        if len(found) < 2:
            missing.append(label)
            continue
        layers = conv_layers(found["vanilla"][0])
        count, text = _lower(mean_of_top, found["pat"], found["vanilla"], layers)
        _, in_proportion = _lower(relative, found["pat"], found["vanilla"], layers)
        lines.append(f"{label}: lower in {text}, relative to the clean output in {in_proportion}")
        lower, whole = lower + count, whole + len(layers)
    if not lines:
        raise NotRunError("no record of sensitivity: vanilla and pat")
    verdict = "partly" if 2 * lower > whole else "not reproduced"
    if lower == whole and not missing:
        verdict = "reproduced"
    return Outcome(verdict, "; ".join(lines) + (f"; not run: {', '.join(missing)}" if missing else ""))


def fog(published: PublishedRecords) -> Outcome:
    """Claim 8."""
    entries = published.need("sensitivity", "vanilla", "pat", split="test", under="fog-5")
    layers = conv_layers(entries["vanilla"][0])
    higher, text = _lower(mean_of_top, entries["vanilla"], entries["pat"], layers)
    verdict = "reproduced" if 2 * higher > len(layers) else "partly" if higher else "not reproduced"
    measured = f"PAT's are more sensitive in {text}"
    accuracy = published.find("corrupted-accuracy", "vanilla", "pat")
    for row, of_row in accuracy.items():
        measured += f"; {LABELS[row]} accuracy in fog {accuracy_of(of_row, lambda result: result['fog'][4])}"
    return Outcome(verdict, measured)


def below_pat(row: str, published: PublishedRecords) -> Outcome:
    """Claim 14, of a row of SNS."""
    entries = published.need("sensitivity", row, "pat", split="test", under="pgd")
    layers = entries[row][0].config["trained"]["sns"]["layers"]
    lower, text = _lower(mean, entries[row], entries["pat"], layers)
    _, in_proportion = _lower(relative, entries[row], entries["pat"], layers)
    verdict = "reproduced" if lower == len(layers) else "partly" if 2 * lower > len(layers) else "not reproduced"
    return Outcome(verdict, f"lower in {text}, relative to the clean output in {in_proportion}")
