"""What the chapter on sensitivity found: how much of it the sensitive neurons hold, where, and how firmly."""

from collections.abc import Mapping
from statistics import fmean

from IPython.display import Markdown
from torch import Tensor

from snslib.book.text import MODEL_NAMES, map_size
from snslib.claims.criteria import layers as layers
from snslib.overlap import jaccard
from snslib.sensitivity import top_neurons
from snslib.study.settings import Settings


def both_ways_agree(layer: str, output: Tensor) -> Markdown:
    """In which layer Eq. 1 by hand and by the library were found to be the same.

    Args:
        layer: its name.
        output: its output, (N, C, H, W).
    """
    return Markdown(f"`{layer}`: {output.shape[1]} neurons with maps of {map_size(output)}; both ways agree.")


def average_first(layer: str, sigma: Tensor, averaged: Tensor, fraction: float) -> Markdown:
    """What becomes of the sensitivities of a layer if its maps are averaged before the difference is taken.

    Args:
        layer: its name.
        sigma: its sensitivities by Eq. 1, (C,).
        averaged: those with the difference taken last, times the number of positions, (C,).
        fraction: of its neurons that count as sensitive.
    """
    kept = (averaged.sum() / sigma.sum()).item()
    chosen = [top_neurons({layer: values.cpu()}, fraction=fraction)[layer] for values in (sigma, averaged)]
    same = jaccard(*chosen)
    return Markdown(
        f"It happens in the network too: in `{layer}`, averaging over the map first keeps {100 * kept:.0f}% of the "
        f"sensitivity, and would select {'the same' if same == 1 else 'other'} neurons "
        f"(Jaccard overlap of the top {len(chosen[0])}: {same:.2f})."
    )


def held_by_the_sensitive(held: Mapping[str, float], equal: Mapping[str, float]) -> str:
    """How much of a layer's sensitivity its sensitive neurons hold, and what that means for the paper's attention.

    Args:
        held: layer to the part of its summed sensitivity that its sensitive neurons hold, in [0, 1].
        equal: layer to the part that they would hold if all neurons were alike.
    """
    held = layers.convolutional(held)
    times = {layer: part / equal[layer] for layer, part in held.items()}
    least, most = min(times, key=times.__getitem__), max(times, key=times.__getitem__)
    half = layers.holding_half(held)
    if half:
        whole = f"They hold half or more of it in {len(half)} of {len(held)} layers."
        attention = "they are the larger part in at least one layer"
    else:
        whole = (
            "In no layer do they hold half of it. They stand out, but most of the change under attack happens in the "
            "other neurons."
        )
        attention = "the attention leaves out the larger part of the change"
    return (
        f"- **Sensitive neurons hold {100 * fmean(held.values()):.0f}% of a convolutional layer's sensitivity**, on "
        f"average over the layers, where equal neurons would hold {100 * fmean(equal[layer] for layer in held):.0f}%: "
        f"{times[least]:.1f} times their equal share in `{least}`, {times[most]:.1f} times in `{most}`. {whole}\n"
        '- The paper calls sensitive neurons the vulnerable ones, "where more attention should be paid". It does not '
        f"say how much of the whole they account for; on these numbers, {attention}."
    )


def raw_and_relative(raw: Mapping[str, float], relative: Mapping[str, float], outputs: Mapping[str, Tensor]) -> str:
    """In which layers raw and relative sensitivity are largest and smallest, and whether they order the layers alike.

    Args:
        raw: layer to mean sensitivity.
        relative: layer to its summed sensitivity over its summed clean output.
        outputs: layer to its output, (N, C, H, W).
    """
    raw, relative = layers.convolutional(raw), layers.convolutional(relative)
    top, low = (choose(raw, key=raw.__getitem__) for choose in (max, min))
    top_relative, low_relative = (choose(relative, key=relative.__getitem__) for choose in (max, min))
    rho, kind = layers.agreement(raw, relative)
    conclusion = {
        "opposite": "they tell opposite stories, and a curve of raw sensitivity over the layers is mostly a curve of "
        "how large the layers' outputs are",
        "alike": "they broadly agree",
        "unrelated": "they have little to do with each other",
    }[kind]
    return (
        f"- **Raw sensitivity** is largest in `{top}` ({raw[top]:.3g}, maps of {map_size(outputs[top])}) and smallest "
        f"in `{low}` ({raw[low]:.3g}, maps of {map_size(outputs[low])}). **Relative to the clean output** it is "
        f"largest in `{top_relative}` ({relative[top_relative]:.2f}) and smallest in `{low_relative}` "
        f"({relative[low_relative]:.2f}). Over the layers, the two have a rank correlation of {rho:.2f}: {conclusion}."
    )


def selections_of_halves(overlap: Mapping[str, float], chance: Mapping[str, float]) -> str:
    """How firmly images decide which neurons are sensitive: the selection by one half of them against the other's.

    Args:
        overlap: layer to the Jaccard index of the two selections.
        chance: layer to that to expect of random ones.
    """
    overlap = layers.convolutional(overlap)
    same, above = layers.same_and_above_chance(overlap, chance)
    return (
        f"- **The selection** from one half of the images and from the other is the same in {same} of {len(overlap)} "
        f"convolutional layers and overlaps more than random sets would in {above}; the mean Jaccard index is "
        f"{fmean(overlap.values()):.2f}, against {fmean(chance[layer] for layer in overlap):.2f} by chance."
    )


def one_model(sigma: Mapping[str, Tensor], omega: Mapping[str, Tensor], settings: Settings, data: str) -> str:
    """How many neurons never changed, and of how large a model all of it is.

    Args:
        sigma: layer to sensitivities (C,).
        omega: layer to its sensitive neurons, int64 (K,).
        settings: of the model.
        data: the name of the data set.
    """
    convolutions = [layer for layer in sigma if layer != "fc"]
    sizes, counts = [len(sigma[layer]) for layer in convolutions], [len(omega[layer]) for layer in convolutions]
    inactive = sum(int((sigma[layer] == 0).sum()) for layer in convolutions)
    neurons = f"{sum(sizes)} neurons of the convolutional layers"
    if inactive:
        changed = f"{inactive} of {neurons} never changed; most likely they are inactive for every image."
    else:
        changed = f"All {neurons} changed under attack at least a little."
    model = f"{MODEL_NAMES[settings.model]} at width {settings.width:g} on {data}"
    wider = "Whether it also holds for the paper's wider network and its data has to be measured on them."
    return (
        f"- {changed}\n- This is one model from one seed: {model}, with layers of {min(sizes)} to {max(sizes)} neurons "
        f"and {min(counts)} to {max(counts)} sensitive ones in each."
        + ("" if layers.at_paper_scale(settings.width, data) else f" {wider}")
    )
