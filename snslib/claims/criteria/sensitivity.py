"""Claims 6 to 8 and 14: how sensitive the neurons of trained networks are (Fig. 6-8)."""

import math
from collections.abc import Callable, Sequence
from itertools import product
from statistics import fmean

import torch
from torch import Tensor

from snslib.attacks import ATTACKS
from snslib.claims.criteria.outcome import Outcome
from snslib.claims.records import NotRunError, PublishedRecords, accuracy_of
from snslib.sensitivity import relative_sensitivity, top_count, top_mean
from snslib.study.defenses import LABELS
from snslib.study.records import Record

TOP = 0.1  # the sensitive neurons are the top 10% of a layer


def _sorted(entries: Sequence[Record], layer: str) -> Tensor:
    """The layer's sensitivities from high to low, each rank averaged over the seeds."""
    of_seeds = [torch.tensor(entry.result["sigma"][layer]).double() for entry in entries]
    return torch.stack([sigma.sort(descending=True).values for sigma in of_seeds]).mean(0)


def _top_mean(entries: Sequence[Record], layer: str) -> float:
    return top_mean(_sorted(entries, layer), TOP)


def _mean(entries: Sequence[Record], layer: str) -> float:
    return _sorted(entries, layer).mean().item()


def _relative(entries: Sequence[Record], layer: str) -> float:
    """The layer's summed sensitivity over its summed clean output; 0 for an inactive layer."""
    results = [entry.result for entry in entries]
    of_seeds = (relative_sensitivity(result["sigma"][layer], result["activation"][layer]) for result in results)
    return fmean(0.0 if math.isnan(value) else value for value in of_seeds)


def _layers(entries: Sequence[Record]) -> list[str]:
    return [layer for layer in entries[0].result["sigma"] if layer != "fc"]


def _lower(
    statistic: Callable[[Sequence[Record], str], float],
    a: Sequence[Record],
    b: Sequence[Record],
    layers: Sequence[str],
) -> tuple[int, str]:
    """In how many layers the statistic of a is below that of b, and that in words, with each seed that both have."""

    def count(a: Sequence[Record], b: Sequence[Record]) -> int:
        return sum(statistic(a, layer) < statistic(b, layer) for layer in layers)

    both = [([x], [y]) for x, y in product(a, b) if x.seed == y.seed]
    text = f"{count(a, b)} of {len(layers)} layers"
    if len(both) > 1:
        text += f" (seed by seed {', '.join(str(count(x, y)) for x, y in both)})"
    return count(a, b), text


def lower_in_pat(published: PublishedRecords) -> Outcome:
    """Claim 6."""
    entries = published.need("sensitivity", "vanilla", "pat", split="test", under="pgd")
    layers = _layers(entries["vanilla"])
    fitting, most, lowest = 0, 0, 1.0
    for layer in layers:
        before, after = (_sorted(entries[row], layer) for row in ("vanilla", "pat"))
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
        layers = _layers(found["vanilla"])
        count, text = _lower(_top_mean, found["pat"], found["vanilla"], layers)
        _, relative = _lower(_relative, found["pat"], found["vanilla"], layers)
        lines.append(f"{label}: lower in {text}, relative to the clean output in {relative}")
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
    layers = _layers(entries["vanilla"])
    higher, text = _lower(_top_mean, entries["vanilla"], entries["pat"], layers)
    verdict = "reproduced" if 2 * higher > len(layers) else "partly" if higher else "not reproduced"
    measured = f"PAT's are more sensitive in {text}"
    accuracy = published.find("corrupted-accuracy", "vanilla", "pat")
    for row, of_row in accuracy.items():
        measured += f"; {LABELS[row]} accuracy in fog {accuracy_of(of_row, lambda result: result['fog'][4])}"
    return Outcome(verdict, measured)


def below_pat(published: PublishedRecords) -> Outcome:
    """Claim 14."""
    entries = published.need("sensitivity", "sns_sen_adv", "pat", split="test", under="pgd")
    entries |= published.find("sensitivity", "sns_sen_adv_online", split="test", under="pgd")
    layers = entries["sns_sen_adv"][0].config["trained"]["sns"]["layers"]
    lower, text = _lower(_mean, entries["sns_sen_adv"], entries["pat"], layers)
    _, relative = _lower(_relative, entries["sns_sen_adv"], entries["pat"], layers)
    verdict = "reproduced" if lower == len(layers) else "partly" if 2 * lower > len(layers) else "not reproduced"
    measured = f"lower in {text}, relative to the clean output in {relative}"
    if "sns_sen_adv_online" in entries:
        measured += f"; online: lower in {_lower(_mean, entries['sns_sen_adv_online'], entries['pat'], layers)[1]}"
    return Outcome(verdict, measured)
