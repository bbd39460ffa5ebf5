"""The paper's claims, each with a criterion that decides on recorded numbers whether it holds here.

A criterion is a rule about published records (:mod:`snslib.published`), stated before there are any. What a claim needs
and nobody has measured yet makes it "not run", never a verdict.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch

from snslib import paper, published
from snslib.sensitivity import top_neurons
from snslib.zoo import ATTACKS, DEFENSES

VERDICTS = ("reproduced", "partly", "not reproduced", "not run")
Z = 1.959963984540054  # of the two-sided 95% interval


@dataclass(frozen=True)
class Finding:
    """What the records say of a claim.

    Args:
        verdict: one of VERDICTS.
        ours: the numbers behind it, or what is missing, in a clause.
    """

    verdict: str
    ours: str


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Args:
        number: its place in the list.
        statement: what is claimed, in a sentence.
        place: where in the paper.
        chapter: the file of the chapter about it.
        theirs: the paper's numbers, in a clause.
        criterion: what decides, in a sentence.
        judge: maps the folder of published rows to the finding; raises KeyError for what is not there.
    """

    number: int
    statement: str
    place: str
    chapter: str
    theirs: str
    criterion: str
    judge: Callable[[str], Finding]


def scorecard(folder: str) -> list[tuple[Claim, Finding]]:
    """Every claim with what the published rows say of it.

    Args:
        folder: a network and its data set, such as "cifar10/vgg16-w0.25".
    """
    findings = []
    for claim in CLAIMS:
        try:
            findings.append((claim, claim.judge(folder)))
        except KeyError as missing:
            findings.append((claim, Finding("not run", f"no record of {missing.args[0]}")))
    return findings


def difference(a: Mapping[str, Any], b: Mapping[str, Any], column: str) -> tuple[float, float]:
    """How much more of the test images a gets right than b, in points, and half the width of its 95% interval.

    Args:
        a, b: accuracy records.
        column: clean or an attack.
    """
    shares = [(entry["result"][column], entry["config"]["n"]) for entry in (a, b)]
    spread = Z * math.sqrt(sum(share * (1 - share) / n for share, n in shares))
    return 100 * (shares[0][0] - shares[1][0]), 100 * spread


def _record(folder: str, row: str, what: str, **config: Any) -> dict[str, Any]:
    found = published.records(folder, what, **config)
    if row not in found:
        raise KeyError(f"{row}: {what}")
    return found[row]


def beats(pairs: Sequence[tuple[str, str]], columns: Sequence[str] = tuple(ATTACKS)) -> Callable[[str], Finding]:
    """The judge of "the first row of each pair is more accurate than the second, under every attack".

    Differences within their 95% interval count neither way. All ahead: reproduced. Some ahead and none behind: partly.
    """

    def judge(folder: str) -> Finding:
        ahead = behind = 0
        lines = []
        for a, b in pairs:
            first, second = (_record(folder, row, "accuracy") for row in (a, b))
            gaps = [difference(first, second, column) for column in columns]
            ahead += sum(gap > spread for gap, spread in gaps)
            behind += sum(gap < -spread for gap, spread in gaps)
            points = ", ".join(f"{gap:+.1f}" for gap, _ in gaps)
            lines.append(f"{DEFENSES[a]} against {DEFENSES[b]}: {points}")
        cells = len(pairs) * len(columns)
        verdict = "reproduced" if ahead == cells else "partly" if ahead and not behind else "not reproduced"
        return Finding(verdict, f"{'; '.join(lines)} points ({ahead} of {cells} ahead, {behind} behind)")

    return judge


def _in_table1(pairs: Sequence[tuple[str, str]], columns: Sequence[str] = tuple(ATTACKS)) -> str:
    table = paper.table1()
    return "; ".join(
        f"{DEFENSES[a]} against {DEFENSES[b]}: {', '.join(f'{table[a][c] - table[b][c]:+.1f}' for c in columns)} points"
        for a, b in pairs
    )


def _lower_everywhere(folder: str) -> Finding:
    """Claim 6. Neurons are compared by their rank in the layer, as in Fig. 6: two models do not share neurons."""
    vanilla, pat = (_record(folder, row, "sensitivity", split="test", under="pgd") for row in ("vanilla", "pat"))
    before, after = (
        {layer: sorted(values, reverse=True) for layer, values in entry["result"]["sigma"].items()}
        for entry in (vanilla, pat)
    )
    layers = [layer for layer in before if layer != "fc"]
    shares = {layer: fmean(b < a for a, b in zip(before[layer], after[layer], strict=True)) for layer in layers}
    top = _top_share_of_the_drop(before, after, layers)
    lowest = min(shares, key=lambda layer: shares[layer])
    holds = [share > 0.9 for share in shares.values()]
    verdict = "reproduced" if all(holds) else "partly" if sum(holds) * 2 > len(holds) else "not reproduced"
    return Finding(
        verdict,
        f"{sum(holds)} of {len(holds)} layers have over 90% of their neurons less sensitive (fewest: {lowest}, "
        f"{100 * shares[lowest]:.0f}%); the top 10% hold {100 * top:.0f}% of the drop",
    )


def _top_share_of_the_drop(
    before: Mapping[str, Sequence[float]], after: Mapping[str, Sequence[float]], layers: Sequence[str]
) -> float:
    drops = []
    for layer in layers:
        drop = torch.tensor(before[layer]) - torch.tensor(after[layer])
        drops.append((drop[: max(1, len(drop) // 10)].sum() / drop.sum()).item())
    return fmean(drops)


def lower_sensitivity(row: str, than: str, only: Sequence[str] | None = None) -> Callable[[str], Finding]:
    """The judge of "the sensitive neurons of ``row`` are less sensitive than those of ``than``", layer by layer.

    Each model's sensitive neurons are its own top 10% under PGD. All layers: reproduced. More than half: partly.

    Args:
        row, than: published rows.
        only: the layers looked at; None for all convolutional ones.
    """

    def judge(folder: str) -> Finding:
        means = []
        for name in (row, than):
            sigma = _record(folder, name, "sensitivity", split="test", under="pgd")["result"]["sigma"]
            of_layers = {k: torch.tensor(v) for k, v in sigma.items() if k != "fc" and (only is None or k in only)}
            top = top_neurons(of_layers, fraction=0.1)
            means.append({layer: of_layers[layer][top[layer]].mean().item() for layer in of_layers})
        ratios = {layer: means[0][layer] / means[1][layer] for layer in means[0]}
        lower = sum(ratio < 1 for ratio in ratios.values())
        verdict = "reproduced" if lower == len(ratios) else "partly" if 2 * lower > len(ratios) else "not reproduced"
        low, high = min(ratios.values()), max(ratios.values())
        return Finding(verdict, f"lower in {lower} of {len(ratios)} layers; {low:.2f} to {high:.2f} times as large")

    return judge


def _missing(what: str) -> Callable[[str], Finding]:
    return lambda folder: Finding("not run", what)


SNS_LAYERS = ("conv8", "conv9", "conv10", "conv11", "conv12", "conv13")
CLS_OVER = (("sns_sen_cls", "nat"), ("sns_sen_cls", "eat"))
SEN_OVER_ALL = (("sns_sen_cls", "sns_all_cls"),)
ADV_OVER = (("sns_sen_adv", "pat"), ("sns_sen_adv", "alp"))
PAT_OVER_ALP = (("pat", "alp"),)
EVERY = ("clean", *ATTACKS)
OPEN = "Open until there are records."
AHEAD = (
    "The first is ahead in every column by more than the 95% interval of the difference; partly: ahead in some columns "
    "and behind in none."
)
_03, _05, _06 = "03_sensitive_neurons", "05_adversarial_training", "06_results"

CLAIMS = [
    Claim(1, "Sensitive and important neurons of pool5 overlap strongly.", "Fig. 2a", _03, "strong overlap",
          OPEN, _missing("not recorded on CIFAR-10; live in the chapter")),
    Claim(2, "The sensitive neurons of different targets agree in bottom layers and differ in top layers.",
          "Fig. 2b, Tables 3-4", _03, "falling with depth", OPEN,
          _missing("not recorded on CIFAR-10; live in the chapter")),
    Claim(3, "The most sensitive neuron of fc is the target label.", "Table 4", _03, "all ten labels", OPEN,
          _missing("not recorded on CIFAR-10; live in the chapter")),
    Claim(4, "Under attack sensitive neurons look at the background, the others keep their regions.", "Fig. 4-5, 14-17",
          _03, "pictures", OPEN, _missing("not implemented")),
    Claim(5, "Suppressing sensitive neurons trades accuracy for robustness, best near β = 0.85.", "Fig. 3a", _03,
          "a peak near 0.85", OPEN, _missing("not recorded on CIFAR-10; live in the chapter")),
    Claim(6, "PAT lowers the sensitivity of almost all neurons in all layers.", "Fig. 6", _05, "curves",
          "In every convolutional layer over 90% of the neurons are less sensitive in PAT; partly: in most.",
          _lower_everywhere),
    Claim(7, "PAT's sensitive neurons are less sensitive in every convolutional layer.", "Fig. 7a", _05, "curves",
          "Mean sensitivity of each model's top 10% under PGD, PAT below Vanilla in every layer; partly: in most.",
          lower_sensitivity("pat", "vanilla")),
    Claim(8, "Under fog the order of PAT and Vanilla turns.", "Fig. 7b", _05, "curves", OPEN,
          _missing("corruptions are not implemented")),
    Claim(9, "conv8 to conv13 are the best layers for SNS.", "Fig. 3b", "04_sns_training", "a peak at conv8",
          OPEN, _missing("other first layers are not recorded")),
    Claim(10, "SNS on clean loss beats NAT and EAT.", "Table 1", _06, _in_table1(CLS_OVER), AHEAD, beats(CLS_OVER)),
    Claim(11, "Stabilising sensitive neurons beats stabilising all.", "Table 1", _06, _in_table1(SEN_OVER_ALL), AHEAD,
          beats(SEN_OVER_ALL)),
    Claim(12, "SNS on adversarial loss beats PAT and ALP, on clean images too.", "Table 1", _06,
          _in_table1(ADV_OVER, EVERY), AHEAD, beats(ADV_OVER, EVERY)),
    Claim(13, "ALP is weaker than PAT in most cases.", "Table 1", _06, _in_table1(PAT_OVER_ALP), AHEAD,
          beats(PAT_OVER_ALP)),
    Claim(14, "SNS lowers the sensitivity of conv8 to conv13 below PAT's.", "Fig. 8", _05, "curves",
          "Mean sensitivity of each model's top 10% under PGD, SNS below PAT in all six layers; partly: in most.",
          lower_sensitivity("sns_sen_adv", "pat", SNS_LAYERS)),
    Claim(15, "SNS needs fewer epochs and less time than PAT for the same robustness.", "4.2", _06, "no numbers",
          OPEN, _missing("not evaluated")),
    Claim(16, "The same order holds for AlexNet on ImageNet.", "Table 2", _06, "Table 2", OPEN,
          _missing("AlexNet is not recorded")),
]
