"""Claims 1 to 5: neurons of targeted attacks, their regions, and their suppression (sections 3.2 to 3.4)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from snslib.attacks import ATTACKS
from snslib.claims import paper
from snslib.claims.criteria.outcome import Outcome, span, spread
from snslib.claims.numbers import targeted
from snslib.claims.numbers.suppression import WAYS, accuracy_at, best_beta
from snslib.claims.records import NotRunError, PublishedRecords
from snslib.claims.statistics import sign
from snslib.overlap import average_jaccard, total_jaccard
from snslib.study import results
from snslib.study.networks import REGION_LAYERS
from snslib.study.records import Record

# --- claims 1 to 3: targeted attacks ---


def well_above(index: float, chance: float) -> bool:
    """Whether a Jaccard index is well above chance: at least twice as high."""
    return index >= 2 * chance


def overlap(published: PublishedRecords) -> Outcome:
    """Claim 1."""
    means, above, classes, chances = [], 0, 0, []
    entries = published.need("targeted-neurons", "vanilla")["vanilla"]
    for entry in entries:
        same = [index for index in targeted.overlap_by_class(entry, "reached")["same"] if not math.isnan(index)]
        if not same:
            raise NotRunError("no image reached its target")
        chances.append(targeted.chance(entry))
        means.append(fmean(same))
        above += sum(index > chances[-1] for index in same)
        classes += len(same)
    mean, chance = fmean(means), fmean(chances)
    partly = well_above(mean, chance) and above == classes
    verdict = "reproduced" if mean >= 0.5 else "partly" if partly else "not reproduced"
    index = f"mean Jaccard index {spread(means)} (chance {chance:.2f})"
    return Outcome(verdict, f"{index}, above chance for {above} of {classes} classes")


@dataclass(frozen=True)
class Thirds:
    """Average pair Jaccard index (Eq. 7) of the lowest and of the highest third of the convolutional layers.

    Args:
        lower: the layers of the lowest third, at least one.
        upper: those of the highest third.
        bottom: the mean index over the lower layers, per seed.
        top: the mean index over the upper layers, per seed.
    """

    lower: list[str]
    upper: list[str]
    bottom: list[float]
    top: list[float]

    @property
    def lower_more_alike(self) -> bool:
        """Whether the lower layers are more alike: by more than 0.1 on average, the least that claim 2 asks for."""
        return fmean(self.bottom) - fmean(self.top) > 0.1


def thirds(lists: Sequence[Mapping[str, Sequence[Sequence[int]]]]) -> Thirds:
    """How alike the sensitive neurons of the targets are at both ends of a network (claim 2).

    Args:
        lists: one mapping per seed from layer, bottom to top, to the neurons of each target.
    """
    layers = [layer for layer in lists[0] if layer != "fc"]
    third = max(1, len(layers) // 3)
    lower, upper = layers[:third], layers[-third:]
    bottom, top = ([fmean(average_jaccard(sets[layer]) for layer in part) for sets in lists] for part in (lower, upper))
    return Thirds(lower, upper, bottom, top)


def _shared(lists: Sequence[Mapping[str, Sequence[Sequence[int]]]]) -> Outcome:
    """Claim 2's criterion, of lists as :func:`thirds` takes them."""
    ends = thirds(lists)
    bottom, top = fmean(ends.bottom), fmean(ends.top)
    reproduced = bottom >= 0.5 and 2 * top <= bottom
    verdict = "reproduced" if reproduced else "partly" if ends.lower_more_alike else "not reproduced"
    measured = f"$J_{{avg}}$ {spread(ends.bottom)} in {span(ends.lower)}, {spread(ends.top)} in {span(ends.upper)}"
    return Outcome(verdict, measured)


def target_is_first(targets: Sequence[int], ranked: Sequence[Sequence[int]]) -> list[bool]:
    """Whether the most sensitive neuron of fc is the target's, target by target (claim 3).

    Args:
        targets: the target classes.
        ranked: the neurons of fc for each of them, the most sensitive first.
    """
    return [neurons[0] == target for target, neurons in zip(targets, ranked, strict=True)]


def _first_of_fc(hits: Sequence[bool]) -> Outcome:
    """Claim 3's criterion, of all seeds' :func:`target_is_first`."""
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
    seeds = (target_is_first(entry.result["targets"], entry.result["sensitive"]["fc"]) for entry in entries)
    return _first_of_fc([hit for hits in seeds for hit in hits])


def first_of_fc_printed() -> str:
    """The paper's number for claim 3, from Table 4."""
    neurons = paper.targeted_neurons()["fc"]
    return _first_of_fc(target_is_first(range(len(neurons)), neurons)).measured


# --- claim 4: regions ---


def lose_regions_more(records: Sequence[Record]) -> bool:
    """Whether sensitive neurons lose their regions more than insensitive ones (claim 4).

    In most seeds the regions of an image and of its adversarial twin overlap less, with p < 0.05 in the permutation
    test over neurons.

    Args:
        records: of :func:`snslib.study.measurements.regions`, one per seed.
    """
    found = [record.result["comparison"] for record in records]
    less = [each["p_value"] < 0.05 and each["sensitive"] < each["insensitive"] for each in found]
    return 2 * sum(less) > len(less)


def regions(published: PublishedRecords) -> Outcome:
    """Claim 4."""
    layer = REGION_LAYERS.get(results.model_of(published.folder))  # None of a network whose regions nobody compares
    entries = published.need("regions", "vanilla", layer=layer)["vanilla"]
    found = [entry.result["comparison"] for entry in entries]
    kept = fmean(each["insensitive"] for each in found)
    verdict = "not reproduced"
    if lose_regions_more(entries):
        verdict = "reproduced" if kept >= 0.5 else "partly"
    sensitive = spread([each["sensitive"] for each in found])
    insensitive = spread([each["insensitive"] for each in found])
    p_values = ", ".join(f"{each['p_value']:.2g}" for each in found)
    return Outcome(verdict, f"mean overlap of masks {sensitive} sensitive, {insensitive} insensitive, p = {p_values}")


# --- claim 5: suppression ---


def peaks(records: Sequence[Record], way: str) -> list[str]:
    """The attacks under which accuracy has a peak near β = 0.85 (claim 5).

    The best β lies between 0.8 and 0.9, and the accuracy there is above that at β = 1 by more than the 95% interval of
    their difference (:func:`snslib.claims.statistics.sign`).

    Args:
        records: of :func:`snslib.study.measurements.suppression`, one per seed.
        way: a key of :data:`snslib.claims.numbers.suppression.WAYS`.
    """
    found = []
    for attack in ATTACKS:
        best = best_beta(records, way, attack)
        a, b = (accuracy_at(records, way, attack, beta) for beta in (best, 1.0))
        if 0.8 <= best <= 0.9 and sign(a, b) > 0:
            found.append(attack)
    return found


def suppression(published: PublishedRecords) -> Outcome:
    """Claim 5."""
    entries = published.need("suppression", "vanilla")["vanilla"]
    if missing := {1.0, 0.85, 0.7} - set(entries[0].result["betas"]):
        raise NotRunError(f"no record of suppression at β = {', '.join(map(str, sorted(missing)))}")
    found = {way: peaks(entries, way) for way in WAYS}
    way = max(found, key=lambda way: len(found[way]))
    whole, less, least = (accuracy_at(entries, "white_box", "clean", beta) for beta in (1.0, 0.85, 0.7))
    holds = [2 * len(found[way]) > len(ATTACKS), sign(less, whole) < 0, 2 * least.mean < whole.mean]
    verdict = "reproduced" if all(holds) else "partly" if found[way] else "not reproduced"
    counted = ", ".join(f"{len(names)} of {len(ATTACKS)} {WAYS[way]}" for way, names in found.items())
    return Outcome(verdict, f"peaks near β = 0.85: {counted}; clean {whole}, {less} at β = 0.85, {least} at β = 0.7")
