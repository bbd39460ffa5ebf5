"""Claims 1 to 5: neurons of targeted attacks, their regions, and their suppression (sections 3.2 to 3.4)."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from snslib.attacks import ATTACKS
from snslib.claims import paper
from snslib.claims.criteria.outcome import Outcome, span, spread
from snslib.claims.records import NotRunError, PublishedRecords, accuracy_of
from snslib.claims.statistics import Accuracy, sign
from snslib.overlap import average_jaccard, chance_jaccard, jaccard, total_jaccard
from snslib.study import results
from snslib.study.networks import REGION_LAYERS


def overlap(published: PublishedRecords) -> Outcome:
    """Claim 1."""
    means, above, classes, chances = [], 0, 0, []
    entries = published.need("targeted-neurons", "vanilla")["vanilla"]
    for entry in entries:
        result, layer, k = entry.result, entry.config["layer"], entry.config["k"]
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
    index = f"mean Jaccard index {spread(means)} (chance {chance:.2f})"
    return Outcome(verdict, f"{index}, above chance for {above} of {classes} classes")


def _shared(lists: Sequence[Mapping[str, Sequence[Sequence[int]]]]) -> Outcome:
    """Claim 2's criterion, of one mapping from layer to the neurons of each target per seed."""
    conv = [layer for layer in lists[0] if layer != "fc"]
    third = max(1, len(conv) // 3)
    lower, upper = conv[:third], conv[-third:]
    bottom, top = ([fmean(average_jaccard(of[layer]) for layer in part) for of in lists] for part in (lower, upper))
    a, b = fmean(bottom), fmean(top)
    verdict = "reproduced" if a >= 0.5 and 2 * b <= a else "partly" if a - b > 0.1 else "not reproduced"
    return Outcome(verdict, f"$J_{{avg}}$ {spread(bottom)} in {span(lower)}, {spread(top)} in {span(upper)}")


def _first_of_fc(lists: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]]) -> Outcome:
    """Claim 3's criterion, of the targets and the neurons of fc for each of them, per seed."""
    hits = [of[0] == target for targets, neurons in lists for target, of in zip(targets, neurons, strict=True)]
    verdict = "reproduced" if all(hits) else "partly" if 2 * sum(hits) > len(hits) else "not reproduced"
    return Outcome(verdict, f"{sum(hits)} of {len(hits)} targets")


def shared_ours(published: PublishedRecords) -> Outcome:
    """Claim 2."""
    entries = published.need("targeted-neurons", "vanilla")["vanilla"]
    return _shared([entry.result["sensitive"] for entry in entries])


def shared_printed() -> str:
    """The paper's numbers for claim 2, from Tables 3 and 4."""
    neurons = paper.targeted_neurons()
    middle = neurons["conv11"]
    index = f"{average_jaccard(middle):.2f} ($J_{{total}}$ {total_jaccard(middle):.2f})"
    return f"{_shared([neurons]).measured}; but {index} in conv11"


def first_of_fc_ours(published: PublishedRecords) -> Outcome:
    """Claim 3."""
    entries = published.need("targeted-neurons", "vanilla")["vanilla"]
    return _first_of_fc([(entry.result["targets"], entry.result["sensitive"]["fc"]) for entry in entries])


def first_of_fc_printed() -> str:
    """The paper's number for claim 3, from Table 4."""
    neurons = paper.targeted_neurons()["fc"]
    return _first_of_fc([(range(len(neurons)), neurons)]).measured


def regions(published: PublishedRecords) -> Outcome:
    """Claim 4."""
    layer = REGION_LAYERS.get(results.model_of(published.folder))  # None of a network whose regions nobody compares
    entries = published.need("regions", "vanilla", layer=layer)["vanilla"]
    found = [entry.result["comparison"] for entry in entries]
    lower = [each["p_value"] < 0.05 and each["sensitive"] < each["insensitive"] for each in found]
    kept = fmean(each["insensitive"] for each in found)
    verdict = "not reproduced"
    if 2 * sum(lower) > len(lower):
        verdict = "reproduced" if kept >= 0.5 else "partly"
    of_sensitive = spread([each["sensitive"] for each in found])
    of_others = spread([each["insensitive"] for each in found])
    p_values = ", ".join(f"{each['p_value']:.2g}" for each in found)
    return Outcome(verdict, f"mean overlap of masks {of_sensitive} sensitive, {of_others} insensitive, p = {p_values}")


def suppression(published: PublishedRecords) -> Outcome:
    """Claim 5."""
    entries = published.need("suppression", "vanilla")["vanilla"]
    betas = entries[0].result["betas"]
    if missing := {1.0, 0.85, 0.7} - set(betas):
        raise NotRunError(f"no record of suppression at β = {', '.join(map(str, sorted(missing)))}")

    def at(way: str, column: str, beta: float) -> Accuracy:
        return accuracy_of(entries, lambda result: result[way][column][betas.index(beta)])

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
    return Outcome(verdict, f"peaks near β = 0.85: {counted}; clean {whole}, {less} at β = 0.85, {least} at β = 0.7")
