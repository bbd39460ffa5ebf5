"""Claims 6 to 8 and 14: how sensitive the neurons of trained networks are (Fig. 6-8)."""

from collections.abc import Callable, Sequence
from itertools import product
from statistics import fmean

import torch
from torch import Tensor

from snslib.attacks import ATTACKS
from snslib.claims.criteria.finding import Finding
from snslib.claims.records import Evidence, NotRunError, share_of
from snslib.study.defenses import LABELS
from snslib.study.records import Record

TOP = 0.1  # the sensitive neurons are the top 10% of a layer


def _sorted(entries: Sequence[Record], layer: str) -> Tensor:
    """The layer's sensitivities from high to low, each rank averaged over the seeds."""
    of_seeds = [torch.tensor(entry.result["sigma"][layer]).double() for entry in entries]
    return torch.stack([sigma.sort(descending=True).values for sigma in of_seeds]).mean(0)


def _top(sigma: Tensor) -> int:
    return max(1, int(TOP * len(sigma)))


def _top_mean(entries: Sequence[Record], layer: str) -> float:
    sigma = _sorted(entries, layer)
    return sigma[: _top(sigma)].mean().item()


def _mean(entries: Sequence[Record], layer: str) -> float:
    return _sorted(entries, layer).mean().item()


def _relative(entries: Sequence[Record], layer: str) -> float:
    """The layer's summed sensitivity over its summed clean output; 0 for a layer that puts out nothing."""
    measured = [entry.result for entry in entries]
    return fmean(sum(r["sigma"][layer]) / output if (output := sum(r["activation"][layer])) else 0.0 for r in measured)


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


def lower_in_pat(evidence: Evidence) -> Finding:
    """Claim 6."""
    entries = evidence.need("sensitivity", "vanilla", "pat", split="test", under="pgd")
    layers = _layers(entries["vanilla"])
    fitting, most, lowest = 0, 0, 1.0
    for layer in layers:
        before, after = (_sorted(entries[row], layer) for row in ("vanilla", "pat"))
        moved = before > 0
        share = (after < before)[moved].double().mean().item() if moved.any() else 0.0
        drop, top = before - after, _top(before)
        more = bool(drop[:top].mean() > drop[top:].mean())
        fitting += share >= 0.9 and more
        most += more
        lowest = min(lowest, share)
    verdict = "reproduced" if fitting == len(layers) else "partly" if 2 * fitting > len(layers) else "not reproduced"
    return Finding(
        verdict,
        f"both in {fitting} of {len(layers)} layers; at least {100 * lowest:.0f}% of a layer's ranks are lower; "
        f"the top 10% drop most in {most}",
    )


def lower_in_pat_top(evidence: Evidence) -> Finding:
    """Claim 7."""
    lines, lower, whole = [], 0, 0
    missing = []
    for attack, label in ATTACKS.items():
        found = evidence.find("sensitivity", "vanilla", "pat", split="test", under=attack)
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
    return Finding(verdict, "; ".join(lines) + (f"; not run: {', '.join(missing)}" if missing else ""))


def fog(evidence: Evidence) -> Finding:
    """Claim 8."""
    entries = evidence.need("sensitivity", "vanilla", "pat", split="test", under="fog-5")
    layers = _layers(entries["vanilla"])
    higher, text = _lower(_top_mean, entries["vanilla"], entries["pat"], layers)
    verdict = "reproduced" if 2 * higher > len(layers) else "partly" if higher else "not reproduced"
    ours = f"PAT's are more sensitive in {text}"
    accuracy = evidence.find("corrupted-accuracy", "vanilla", "pat")
    for row, of_row in accuracy.items():
        ours += f"; {LABELS[row]} accuracy in fog {share_of(of_row, lambda result: result['fog'][4])}"
    return Finding(verdict, ours)


def below_pat(evidence: Evidence) -> Finding:
    """Claim 14."""
    entries = evidence.need("sensitivity", "sns_sen_adv", "pat", split="test", under="pgd")
    entries |= evidence.find("sensitivity", "sns_sen_adv_online", split="test", under="pgd")
    layers = entries["sns_sen_adv"][0].config["trained"]["sns"]["layers"]
    lower, text = _lower(_mean, entries["sns_sen_adv"], entries["pat"], layers)
    _, relative = _lower(_relative, entries["sns_sen_adv"], entries["pat"], layers)
    verdict = "reproduced" if lower == len(layers) else "partly" if 2 * lower > len(layers) else "not reproduced"
    ours = f"lower in {text}, relative to the clean output in {relative}"
    if "sns_sen_adv_online" in entries:
        ours += f"; online: lower in {_lower(_mean, entries['sns_sen_adv_online'], entries['pat'], layers)[1]}"
    return Finding(verdict, ours)
