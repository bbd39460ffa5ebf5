"""What was found about sensitive neurons (chapter 3): targeted attacks, regions, suppression."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from IPython.display import Markdown
from torch import Tensor

from snslib.attacks import ATTACKS
from snslib.book.text import percent, plain
from snslib.claims import paper
from snslib.claims.criteria.neurons import lose_regions_more, peaks, target_is_first, thirds, well_above
from snslib.claims.numbers import targeted
from snslib.claims.numbers.suppression import WAYS, accuracy_at, best_beta, largest_rise
from snslib.evaluation import neuron_sets
from snslib.overlap import total_jaccard
from snslib.study.records import Record

# --- parts of the chapter; `record` is of measurements.targeted_neurons where nothing else is said ---


def targeted_attacks(record: Record) -> Markdown:
    """The size of the comparison: neurons, images, and how many of them reached their target."""
    found, layer, k = record.result, record.config["layer"], record.config["k"]
    return Markdown(
        f"Here, {k} of the {found['channels'][layer]} neurons of {layer} are compared; chance gives "
        f"{targeted.chance(record):.2f}. Each class is the target of at least {min(found['n']):,} images, and PGD "
        f"takes {percent(min(found['reached']))} to {percent(max(found['reached']))} of them there."
    )


def permutation_tests(record: Record) -> Markdown:
    """The permutation tests of sensitive and important neurons, a line per set of images."""
    lines = []
    for images, title in targeted.IMAGES.items():
        test = targeted.permutation_test(record, images)
        if test is not None:
            lines.append(
                f"- **{title}**: mean index {test.mean:.2f}, where chance gives {targeted.chance(record):.2f}; neurons "
                f"drawn at random p = {test.p_neurons:.2g}, classes shuffled p = {test.p_shuffled_classes:.2g}."
            )
    return Markdown("\n".join(lines))


def weights_for_target(record: Record, weight: Tensor) -> Markdown:
    """The part of the sensitive neurons that have a negative weight for the target.

    Args:
        record: of :func:`snslib.study.measurements.targeted_neurons`.
        weight: of fc, float (K, C), whose inputs are the neurons of the penultimate layer.
    """
    found, layer = record.result, plain(record.config["layer"])
    every = [range(weight.shape[1])] * len(found["targets"])
    parts = []
    for images, title in targeted.IMAGES.items():
        sets = found["penultimate"][images]["sensitive"]
        if any(sets):
            parts.append(f"{percent(neuron_sets.negative_weights(weight, found['targets'], sets))} ({title})")
    return Markdown(
        f"Of the sensitive neurons of {layer}, {' and '.join(parts)} have a negative weight for the target, averaged "
        f"over the classes. Of all neurons of {layer}, "
        f"{percent(neuron_sets.negative_weights(weight, found['targets'], every))} have."
    )


def paper_lists() -> Markdown:
    """The paper's own lists of neurons, and where they fit its sentence about bottom and top layers."""
    printed = paper.targeted_neurons()
    average = neuron_sets.by_layer(printed, paper.CHANNELS)["average"]
    conv11 = [set(neurons) for neurons in printed["conv11"]]
    common, either = set.intersection(*conv11), set.union(*conv11)
    notes = "\n".join(f"- Table {table}: {note}" for table in (3, 4) for note in paper.notes(table))
    return Markdown(f"""
At both ends they agree with the sentence: $J_{{avg}}$ is {average["conv1"]:.2f} at conv1 and {average["conv13"]:.2f}
at conv13, where no neuron is common to all ten classes. In between they do not. The index falls to
{average["conv7"]:.2f} at conv7, in the middle of the network, and is back at **{average["conv11"]:.2f} at conv11**, the
third layer from the top and higher than conv4 ({average["conv4"]:.2f}). Of the {len(either)} neurons that the ten lists
of conv11 name, {len(common)} are in all of them, and the first 25 are the same 25 for every class. So the sentence fits
conv1 to conv7, conv13 and fc, but not conv11, and the paper's text does not comment on it.

<details><summary>Tables 3 and 4 as transcribed</summary>

They are in `snslib/claims/paper_data`, with nothing repaired:

{notes}

</details>
""")


def lists_beside_paper(record: Record) -> Markdown:
    """The layer at which the whole lists of sensitive neurons differ most from the paper's, by Eq. 8.

    Args:
        record: of :func:`snslib.study.measurements.targeted_neurons`, of a network with the layers of Tables 3 and 4.
    """
    printed, ours = paper.targeted_neurons(), record.result["sensitive"]
    shared = {layer: total_jaccard(printed[layer]) - total_jaccard(ours[layer]) for layer in printed if layer != "fc"}
    layer = max(shared, key=lambda name: abs(shared[name]))

    def counts(lists: Sequence[Sequence[int]]) -> str:
        sets = [set(neurons) for neurons in lists]
        return f"{len(set.intersection(*sets))} of the {len(set.union(*sets))}"

    return Markdown(
        f"The recorded network and the paper's are furthest apart at **{layer}**. There, {counts(printed[layer])} "
        f"neurons that the paper's lists name are in all of them; in the recorded lists, {counts(ours[layer])} are. "
        "One network stands behind each."
    )


def first_of_fc(record: Record, classes: Sequence[str]) -> Markdown:
    """The number of targets that are the most sensitive neuron of fc, and the targets that are not.

    Args:
        record: of :func:`snslib.study.measurements.targeted_neurons`.
        classes: the names of the target classes.
    """
    hits = target_is_first(record.result["targets"], record.result["sensitive"]["fc"])
    missed = [plain(name) for name, hit in zip(classes, hits, strict=True) if not hit]
    end = f"; it is another neuron when the target is {', '.join(missed)}." if missed else "."
    return Markdown(f"The target is the most sensitive neuron of fc for **{sum(hits)} of {len(hits)}** classes{end}")


def lost_regions(record: Record) -> str:
    """The overlap of regions, and whether sensitive neurons lose more of theirs; of a record of ``regions``."""
    compared = record.result["comparison"]
    verdict = (
        "Sensitive neurons lose their regions more than insensitive ones."
        if lose_regions_more([record])
        else "The two groups do not differ as the paper says."
    )
    return (
        f"In {record.config['layer']}, the regions of an image and of its adversarial twin share on average "
        f"**{compared['sensitive']:.2f}** for the most sensitive quarter of the neurons ({compared['n_sensitive']}) "
        f"and **{compared['insensitive']:.2f}** for the least sensitive ({compared['n_insensitive']}); "
        f"p = {compared['p_value']:.2g}. {verdict}"
    )


# --- "What was found", live and recorded ---


def sensitive_neurons(record: Record, suppression: Record, others: Mapping[str, Record]) -> Markdown:
    """Findings of the chapter on its own network.

    Args:
        record: of :func:`snslib.study.measurements.targeted_neurons`.
        suppression: of sensitive neurons.
        others: the same for "random" and "least" sensitive neurons.
    """
    digits = record.data["name"] == "digits"
    layer = plain(record.config["layer"])
    caveat = "Digits at this width are a small stand-in: they can neither confirm nor refute numbers on CIFAR-10. "
    return Markdown(f"""
- **Sensitive and important neurons of {layer}** (Fig. 2a; the paper calls their overlap very high).
  Chance would give a mean Jaccard index of {targeted.chance(record):.2f}. {_overlap(record)}
- **Shared weak spots** (Fig. 2b): {_shared_by_thirds(record)}
  The paper's own lists are alike at conv1 and different at conv13, but break the rule at conv11.
- **fc**: {_fc(record)}
- **Suppression** (Fig. 3a): {_peaks(suppression)}. {_rise(suppression)}
  {_at_half(suppression, others)}
- {caveat if digits else ""}One model and one seed stand behind every number, and accuracy is measured on
  {suppression.config["n"]:,} images.
""")


def recorded_neurons(record: Record, regions: Record | None, suppression: Record | None = None) -> Markdown:
    """Findings of longer runs. Of a network with many layers, three are named: the lowest, a middle one, the highest.

    Args:
        record: of :func:`snslib.study.measurements.targeted_neurons`.
        regions: of :func:`snslib.study.measurements.regions`; None where it was not run.
        suppression: of sensitive neurons; None leaves it out.
    """
    indices = neuron_sets.by_layer(record.result["sensitive"], record.result["channels"])
    layers = list(indices["average"])
    if len(layers) > len(paper.CHANNELS):
        *convolutions, _ = layers
        layers = [convolutions[0], convolutions[len(convolutions) // 2], convolutions[-1]]
    average = ", ".join(f"{indices['average'][layer]:.2f} at {layer}" for layer in layers)
    chance = ", ".join(f"{indices['chance'][layer]:.2f}" for layer in layers)
    lines = [
        f"**fc**: {_fc(record)}",
        f"**Shared weak spots**: $J_{{avg}}$ is {average}; chance gives {chance}.",
        f"**Regions**: {lost_regions(regions) if regions else 'not run yet.'}",
    ]
    if suppression:
        best = {attack: best_beta([suppression], "transferred", attack) for attack in ATTACKS}
        under = (
            f"{beta:g} under {ATTACKS[attack]} ({accuracy_at([suppression], 'transferred', attack, beta)})"
            for attack, beta in best.items()
        )
        pgd = accuracy_at([suppression], "white_box", "pgd", best_beta([suppression], "white_box", "pgd"))
        lines += [
            f"**Suppression**: {_peaks(suppression)}.",
            f"**Suppression, white box**: the best accuracy that any β has under PGD is {pgd}.",
            f"**Suppression, transferred**: the best β is {', '.join(under)}.",
        ]
    return Markdown("\n".join(f"- {line}" for line in lines))


def _overlap(record: Record) -> str:
    """The overlap of sensitive and important neurons, by the images that they were measured on (claim 1)."""
    chance, parts = targeted.chance(record), []
    for images, title in targeted.IMAGES.items():
        panel = targeted.overlap_by_class(record, images)
        pairs = [pair for pair in zip(panel["same"], panel["others"], strict=True) if not any(map(math.isnan, pair))]
        if not pairs:
            parts.append(f"not defined on {title}, of which there are too few")
            continue
        same, others = map(fmean, zip(*pairs, strict=True))
        above = sum(index > chance for index, _ in pairs)
        parts.append(
            f"{same:.2f} on {title} ({others:.2f} with the important neurons of other classes), {same / chance:.1f} "
            f"times chance and above it for {above} of {len(pairs)} classes"
        )
    return f"It is {'; '.join(parts)}."


def _shared_by_thirds(record: Record) -> str:
    """The sensitive neurons of the targets, lower layers against upper ones (claim 2)."""
    ends = thirds([record.result["sensitive"]])
    [bottom], [top] = ends.bottom, ends.top
    chances = neuron_sets.by_layer(record.result["sensitive"], record.result["channels"])["chance"]
    chance = fmean(chances[layer] for layer in ends.upper)
    if ends.lower_more_alike:
        end = ", though the upper ones are still well above chance" if well_above(top, chance) else ""
        verdict = f"The lower layers are more alike, as the paper says{end}."
    else:
        verdict = "The lower layers are not clearly more alike, unlike what the paper says."
    return (
        f"$J_{{avg}}$ averages {bottom:.2f} over {ends.lower[0]} to {ends.lower[-1]} and {top:.2f} over "
        f"{ends.upper[0]} to {ends.upper[-1]}, where chance gives {chance:.2f}. {verdict}"
    )


def _fc(record: Record) -> str:
    """The number of targets that are the most sensitive neuron of fc (claim 3), and how many images reached theirs."""
    found = record.result
    hits = target_is_first(found["targets"], found["sensitive"]["fc"])
    return (
        f"the target is the most sensitive of the {found['channels']['fc']} neurons for {sum(hits)} of {len(hits)} "
        f"classes (Table 4 of the paper: for all ten). PGD took {percent(fmean(found['reached']))} of at least "
        f"{min(found['n']):,} images per class to their target."
    )


def _peaks(suppression: Record) -> str:
    """The attacks with a peak near β = 0.85 (claim 5)."""
    found = [f"{ATTACKS[attack]} ({title})" for way, title in WAYS.items() for attack in peaks([suppression], way)]
    if found:
        return f"a peak near β = 0.85 appears for {', '.join(found)}"
    return "no attack has a peak near β = 0.85, white box or transferred"


def _rise(suppression: Record) -> str:
    """The largest rise of accuracy over β = 1, white box and transferred."""
    parts = []
    for way, title in WAYS.items():
        gain, attack = largest_rise([suppression], way)
        parts.append(f"{title}, {100 * gain:.2f} points" + (f" ({ATTACKS[attack]})" if gain > 0 else ""))
    return f"The largest rise over β = 1 that any smaller β brings: {'; '.join(parts)}."


def _at_half(suppression: Record, others: Mapping[str, Record]) -> str:
    """Clean accuracy by β, and accuracy at β = 0.5 by the neurons that are suppressed."""
    clean = [accuracy_at([suppression], "white_box", "clean", beta) for beta in (1.0, 0.85, 0.7)]
    groups = (suppression, others["random"], others["least"])
    unattacked = [accuracy_at([group], "white_box", "clean", 0.5) for group in groups]
    attacked = [accuracy_at([group], "transferred", "pgd", 0.5) for group in groups]
    return (
        f"Clean accuracy is {clean[0]} at β = 1, {clean[1]} at 0.85 and {clean[2]} at 0.7. At β = 0.5, turning down "
        f"the most sensitive neurons leaves {unattacked[0]} on clean images, random ones {unattacked[1]}, the least "
        f"sensitive {unattacked[2]}; under PGD made on the vanilla model {attacked[0]}, {attacked[1]} and "
        f"{attacked[2]}."
    )
