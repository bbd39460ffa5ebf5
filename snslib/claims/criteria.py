"""The judges of the paper's claims: each decides one of them on published records, or raises NotRunError.

What a judge decides by is stated in words where the claim is, in :mod:`snslib.claims.claims`. The criteria for
Tables 1 to 4 take the paper's own numbers as well as ours.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean, stdev
from typing import Any

import torch
from torch import Tensor

from snslib.attacks import ATTACKS
from snslib.claims import paper
from snslib.claims.records import Evidence, NotRunError, share_of
from snslib.claims.statistics import Accuracies, Share, Tally, sign, tally
from snslib.overlap import average_jaccard, chance_jaccard, jaccard, total_jaccard
from snslib.study import results
from snslib.study.defenses import LABELS
from snslib.study.networks import REGION_LAYERS

TOP = 0.1  # the sensitive neurons are the top 10% of a layer


@dataclass(frozen=True)
class Finding:
    """What the records say of a claim.

    Args:
        verdict: "reproduced", "partly" or "not reproduced"; the scorecard says "not run" where nothing was judged.
        ours: the numbers behind it, or what is missing, in a clause.
        records: what it was computed from.
    """

    verdict: str
    ours: str
    records: tuple[dict[str, Any], ...] = ()


def not_run(reason: str) -> Callable[[Evidence], Finding]:
    """The judge of a claim that cannot be judged yet, for this reason."""

    def judge(evidence: Evidence) -> Finding:
        raise NotRunError(reason)

    return judge


def _span(layers: Sequence[str]) -> str:
    return layers[0] if len(layers) == 1 else f"{layers[0]} to {layers[-1]}"


def _spread(values: Sequence[float]) -> str:
    return f"{fmean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


# --- claims 1 to 3: neurons of targeted attacks ---


def overlap(evidence: Evidence) -> Finding:
    """Claim 1."""
    means, above, classes, chances = [], 0, 0, []
    entries = evidence.need("targeted-neurons", "vanilla")["vanilla"]
    for entry in entries:
        result, layer, k = entry["result"], entry["config"]["layer"], entry["config"]["k"]
        sets = result["penultimate"]["reached"]
        same = [jaccard(a, b) for a, b in zip(sets["sensitive"], sets["important"], strict=True) if a and b]
        if not same:
            raise NotRunError("no image reached its target")
        chance = chance_jaccard(k, result["channels"][layer])
        means.append(fmean(same))
        chances.append(chance)
        above += sum(value > chance for value in same)
        classes += len(same)
    mean, chance = fmean(means), fmean(chances)
    verdict = "reproduced" if mean >= 0.5 else "partly" if mean >= 2 * chance and above == classes else "not reproduced"
    ours = f"mean Jaccard index {_spread(means)} (chance {chance:.2f}), above chance for {above} of {classes} classes"
    return Finding(verdict, ours)


def _shared(lists: Sequence[Mapping[str, Sequence[Sequence[int]]]]) -> Finding:
    """Claim 2's criterion, of one mapping from layer to the neurons of each target per seed."""
    conv = [layer for layer in lists[0] if layer != "fc"]
    third = max(1, len(conv) // 3)
    lower, upper = conv[:third], conv[-third:]
    bottom, top = ([fmean(average_jaccard(of[layer]) for layer in part) for of in lists] for part in (lower, upper))
    a, b = fmean(bottom), fmean(top)
    verdict = "reproduced" if a >= 0.5 and 2 * b <= a else "partly" if a - b > 0.1 else "not reproduced"
    return Finding(verdict, f"$J_{{avg}}$ {_spread(bottom)} in {_span(lower)}, {_spread(top)} in {_span(upper)}")


def _first_of_fc(lists: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]]) -> Finding:
    """Claim 3's criterion, of the targets and the neurons of fc for each of them, per seed."""
    hits = [of[0] == target for targets, neurons in lists for target, of in zip(targets, neurons, strict=True)]
    verdict = "reproduced" if all(hits) else "partly" if 2 * sum(hits) > len(hits) else "not reproduced"
    return Finding(verdict, f"{sum(hits)} of {len(hits)} targets")


def shared_ours(evidence: Evidence) -> Finding:
    """Claim 2."""
    entries = evidence.need("targeted-neurons", "vanilla")["vanilla"]
    return _shared([entry["result"]["sensitive"] for entry in entries])


def shared_printed() -> str:
    """The paper's numbers for claim 2, from Tables 3 and 4."""
    neurons = paper.targeted_neurons()
    middle = neurons["conv11"]
    index = f"{average_jaccard(middle):.2f} ($J_{{total}}$ {total_jaccard(middle):.2f})"
    return f"{_shared([neurons]).ours}; but {index} in conv11"


def first_of_fc_ours(evidence: Evidence) -> Finding:
    """Claim 3."""
    entries = evidence.need("targeted-neurons", "vanilla")["vanilla"]
    return _first_of_fc([(entry["result"]["targets"], entry["result"]["sensitive"]["fc"]) for entry in entries])


def first_of_fc_printed() -> str:
    """The paper's number for claim 3, from Table 4."""
    neurons = paper.targeted_neurons()["fc"]
    return _first_of_fc([(range(len(neurons)), neurons)]).ours


# --- claim 4: regions ---


def regions(evidence: Evidence) -> Finding:
    """Claim 4."""
    layer = REGION_LAYERS.get(results.model_of(evidence.folder))  # None of a network whose regions nobody compares
    entries = evidence.need("regions", "vanilla", layer=layer)["vanilla"]
    found = [entry["result"]["comparison"] for entry in entries]
    lower = [each["p_value"] < 0.05 and each["sensitive"] < each["insensitive"] for each in found]
    kept = fmean(each["insensitive"] for each in found)
    verdict = "not reproduced"
    if 2 * sum(lower) > len(lower):
        verdict = "reproduced" if kept >= 0.5 else "partly"
    of_sensitive = _spread([each["sensitive"] for each in found])
    of_others = _spread([each["insensitive"] for each in found])
    p_values = ", ".join(f"{each['p_value']:.2g}" for each in found)
    return Finding(verdict, f"mean overlap of masks {of_sensitive} sensitive, {of_others} insensitive, p = {p_values}")


# --- claim 5: suppression ---


def suppression(evidence: Evidence) -> Finding:
    """Claim 5."""
    entries = evidence.need("suppression", "vanilla")["vanilla"]
    betas = entries[0]["result"]["betas"]
    if missing := {1.0, 0.85, 0.7} - set(betas):
        raise NotRunError(f"no record of suppression at β = {', '.join(map(str, sorted(missing)))}")

    def at(way: str, column: str, beta: float) -> Share:
        return share_of(entries, lambda result: result[way][column][betas.index(beta)])

    def peaks(way: str) -> list[str]:
        best = {name: max(betas, key=lambda beta, n=name: at(way, n, beta).mean) for name in ATTACKS}  # type: ignore[misc]
        return [
            name
            for name, beta in best.items()
            if 0.8 <= beta <= 0.9 and sign(at(way, name, beta), at(way, name, 1.0)) > 0
        ]

    found = {way: peaks(way) for way in ("white_box", "transferred")}
    way = max(found, key=lambda way: len(found[way]))
    whole, less, least = (at("white_box", "clean", beta) for beta in (1.0, 0.85, 0.7))
    holds = [2 * len(found[way]) > len(ATTACKS), sign(less, whole) < 0, 2 * least.mean < whole.mean]
    verdict = "reproduced" if all(holds) else "partly" if found[way] else "not reproduced"
    counted = ", ".join(f"{len(names)} of {len(ATTACKS)} {way.replace('_', ' ')}" for way, names in found.items())
    return Finding(
        verdict, f"peaks near β = 0.85: {counted}; clean {whole}, {less} at β = 0.85, {least} at β = 0.7"
    )


# --- claims 6 to 8 and 14: sensitivity ---


def _sorted(entries: Sequence[dict[str, Any]], layer: str) -> Tensor:
    """The layer's sensitivities from high to low, each rank averaged over the seeds."""
    of_seeds = [torch.tensor(entry["result"]["sigma"][layer]).double() for entry in entries]
    return torch.stack([sigma.sort(descending=True).values for sigma in of_seeds]).mean(0)


def _top(sigma: Tensor) -> int:
    return max(1, int(TOP * len(sigma)))


def _top_mean(entries: Sequence[dict[str, Any]], layer: str) -> float:
    sigma = _sorted(entries, layer)
    return sigma[: _top(sigma)].mean().item()


def _mean(entries: Sequence[dict[str, Any]], layer: str) -> float:
    return _sorted(entries, layer).mean().item()


def _relative(entries: Sequence[dict[str, Any]], layer: str) -> float:
    """The layer's summed sensitivity over its summed clean output; 0 for a layer that puts out nothing."""
    measured = [entry["result"] for entry in entries]
    return fmean(sum(r["sigma"][layer]) / output if (output := sum(r["activation"][layer])) else 0.0 for r in measured)


def _layers(entries: Sequence[dict[str, Any]]) -> list[str]:
    return [layer for layer in entries[0]["result"]["sigma"] if layer != "fc"]


def _lower(
    statistic: Callable[[Sequence[dict[str, Any]], str], float],
    a: Sequence[dict[str, Any]],
    b: Sequence[dict[str, Any]],
    layers: Sequence[str],
) -> tuple[int, str]:
    """In how many layers the statistic of a is below that of b, and that in words, with each seed that both have."""

    def count(a: Sequence[dict[str, Any]], b: Sequence[dict[str, Any]]) -> int:
        return sum(statistic(a, layer) < statistic(b, layer) for layer in layers)

    both = [([x], [y]) for x, y in product(a, b) if x.get("seed") == y.get("seed")]
    text = f"{count(a, b)} of {len(layers)} layers"
    if len(both) > 1:
        text += f" (seed by seed {', '.join(str(count(x, y)) for x, y in both)})"
    return count(a, b), text


def calmer(evidence: Evidence) -> Finding:
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


def calmer_top(evidence: Evidence) -> Finding:
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
    layers = entries["sns_sen_adv"][0]["config"]["trained"]["sns"]["layers"]
    lower, text = _lower(_mean, entries["sns_sen_adv"], entries["pat"], layers)
    _, relative = _lower(_relative, entries["sns_sen_adv"], entries["pat"], layers)
    verdict = "reproduced" if lower == len(layers) else "partly" if 2 * lower > len(layers) else "not reproduced"
    ours = f"lower in {text}, relative to the clean output in {relative}"
    if "sns_sen_adv_online" in entries:
        ours += f"; online: lower in {_lower(_mean, entries['sns_sen_adv_online'], entries['pat'], layers)[1]}"
    return Finding(verdict, ours)


# --- claims 10 to 13 and 16: Tables 1 and 2 ---


def _always_ahead(count: Tally) -> str:
    if count.behind == 0 and 2 * count.ahead > count.of:
        return "reproduced"
    return "partly" if count.ahead > count.behind else "not reproduced"


def _under_pgd(table: Accuracies, *rows: str, column: str = "pgd") -> str:
    first, *others = (f"{LABELS[row]} {table[row][column]}" for row in rows)
    return f"{ATTACKS.get(column, column)} {first} against {', '.join(others)}"


def beats(row: str, *rivals: str, table: Accuracies) -> Finding:
    """Claims 10 and 11."""
    count = tally(table, row, rivals)
    return Finding(_always_ahead(count), f"{count}; {_under_pgd(table, row, *rivals)}")


def best_of_all(table: Accuracies) -> Finding:
    """Claim 12."""
    rivals = ("pat", "alp")
    count, clean = tally(table, "sns_sen_adv", rivals), tally(table, "sns_sen_adv", rivals, ["clean"])
    verdict = _always_ahead(count)
    if verdict == "reproduced" and clean.ahead < clean.of:
        verdict = "partly"
    ours = f"{count}; clean {clean}; {_under_pgd(table, 'sns_sen_adv', *rivals)}"
    return Finding(verdict, f"{ours}; {_under_pgd(table, 'sns_sen_adv', *rivals, column='clean')}")


def weaker_pairing(table: Accuracies) -> Finding:
    """Claim 13."""
    count = tally(table, "alp", ["pat"])
    verdict = "not reproduced"
    if count.behind > 0 and count.behind >= count.ahead:
        verdict = "reproduced" if count.behind > count.ahead else "partly"
    below = sum(table["alp"][column].mean < table["pat"][column].mean for column in ATTACKS)
    return Finding(verdict, f"ALP {count}, lower in {below} whatever the interval; {_under_pgd(table, 'alp', 'pat')}")


def same_order(table: Accuracies) -> Finding:
    """Claim 16."""
    adv = tally(table, "sns_sen_adv", ["nat", "eat", "pat"])
    cls = tally(table, "sns_sen_cls", ["nat", "eat"])
    verdicts = [_always_ahead(adv), _always_ahead(cls)]
    verdict = verdicts[0] if verdicts[0] != "reproduced" or verdicts[1] == "reproduced" else "partly"
    texts = (f"{LABELS[row]} {count}" for row, count in (("sns_sen_adv", adv), ("sns_sen_cls", cls)))
    return Finding(verdict, f"{'; '.join(texts)}; {_under_pgd(table, 'sns_sen_adv', 'pat')}")


def from_table(
    judge: Callable[..., Finding], rows: Sequence[str], online: bool = False
) -> Callable[[Evidence], Finding]:
    """A judge of a table as a judge of the published rows, which tells beside it what a stronger attack leaves.

    Args:
        judge: takes the accuracies as ``table``.
        rows: those that it needs.
        online: tell how the online row does against PAT and ALP, too.
    """

    def of_records(evidence: Evidence) -> Finding:
        found = judge(table=evidence.accuracies(*rows))
        ours = found.ours + evidence.strong(*rows)
        return Finding(found.verdict, ours + _online(evidence) if online else ours)

    return of_records


def _online(evidence: Evidence) -> str:
    """What the online row has against PAT and ALP, as the end of a sentence; "" where it is not recorded."""
    row, rivals = "sns_sen_adv_online", ("pat", "alp")
    if not evidence.find("accuracy", row):
        return ""
    table = evidence.accuracies(row, *rivals)
    text = f"; online: {tally(table, row, rivals)}, clean {table[row]['clean']}, PGD {table[row]['pgd']}"
    if strong := evidence.find("strong-accuracy", row):
        text += f", strong attack {share_of(strong[row], lambda result: result)}"
    return text


# --- claim 9: Fig. 3b ---


def best_layers(evidence: Evidence) -> Finding:
    """Claim 9."""
    ours, *others = ("fig3b_conv8", "fig3b_conv1", "fig3b_conv4", "fig3b_conv11", "fig3b_fc")
    table = evidence.accuracies(ours, *others)
    count = tally(table, ours, others)
    best = []
    for attack, label in ATTACKS.items():
        row = max(table, key=lambda row, a=attack: table[row][a].mean)  # type: ignore[misc]
        best.append(f"{label} {row.removeprefix('fig3b_')} {table[row][attack]} (conv8 {table[ours][attack]})")
    return Finding(_always_ahead(count), f"conv8 {count}; best from: {', '.join(best)}")


# --- claim 15: cost ---


def cheaper(evidence: Evidence) -> Finding:
    """Claim 15."""
    rows = ("sns_sen_adv", "pat", "vanilla")
    states = {row: evidence.states(row) for row in rows}
    if len({state["device"] for of_row in states.values() for state in of_row}) > 1:
        raise NotRunError("the models were trained on different devices")
    table = evidence.accuracies("sns_sen_adv", "pat")
    epochs = {row: fmean(len(state["history"]) for state in of_row) for row, of_row in states.items()}
    minutes = {
        row: fmean(sum(epoch["seconds"] for epoch in state["history"]) for state in of_row) / 60
        for row, of_row in states.items()
    }
    alone = epochs["sns_sen_adv"] < epochs["pat"] and minutes["sns_sen_adv"] < minutes["pat"]
    from_nothing = minutes["sns_sen_adv"] + minutes["vanilla"] < minutes["pat"]
    as_robust = sign(table["sns_sen_adv"]["pgd"], table["pat"]["pgd"]) >= 0
    verdict = "reproduced" if alone and from_nothing and as_robust else "partly" if alone else "not reproduced"
    cost = (f"{LABELS[row]} {epochs[row]:g} epochs, {minutes[row]:.0f} min" for row in rows)
    return Finding(verdict, f"{'; '.join(cost)}; {_under_pgd(table, 'sns_sen_adv', 'pat')}")
