"""The table of the chapter on sensitivity."""

from collections.abc import Mapping

from IPython.display import Markdown
from torch import Tensor

from snslib.book.tables.markdown import markdown_table
from snslib.book.text import map_size


def most_sensitive(sigma: Mapping[str, Tensor], omega: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Markdown:
    """The three most sensitive neurons of each layer, and how many there are.

    Args:
        sigma: layer to sensitivities (C,).
        omega: layer to its sensitive neurons, int64 (K,), the most sensitive first.
        outputs: layer to its output, (N, C, H, W) or (N, C).
    """
    rows = []
    for layer, values in sigma.items():
        neurons = omega[layer].tolist()
        named = ", ".join(f"{neuron} ({values[neuron]:.3g})" for neuron in neurons[:3])
        unchanged = int((values == 0).sum())
        counts = (str(len(values)), map_size(outputs[layer]) or "1", str(unchanged), str(len(neurons)))
        rows.append([layer, *counts, named + (" …" if len(neurons) > 3 else "")])
    return markdown_table(
        ["layer", "neurons", "map", "never change", "k", "the most sensitive: number (σ)"],
        rows,
        "Who the sensitive neurons are: the first of each layer, by their channel, counted from 0. *Never change*: "
        "neurons with the same output for both images of every pair.",
        "tbl-sensitive",
        "lrrrrl",
    )
