"""The report on a model's neurons: two tables as CSV, and a page that needs no other file and no network."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import torch
from torch import Tensor

from snslib.evaluation.receptive_fields import darkened, intersection_over_union
from snslib.files import as_csv
from snslib.profile.layers import Layer
from snslib.sensitivity import relative_sensitivity

STANDING_OUT, OF_ONE_LAYER = 20, 3  # neurons in the page's table of those that do, at most

Panels = dict[str, dict[str, tuple[Tensor, Tensor, Tensor, Tensor]]]


@dataclass(frozen=True)
class Profile:
    """What was measured; the keys of dictionaries are the layers' dotted names, in the order in which they run.

    Args:
        title: the model's name.
        layers: what they are.
        sigma: sensitivities (Eq. 1), float32 (C,).
        activation: the L1 norm of each neuron's output, averaged over the clean images, float32 (C,).
        omega: the sensitive neurons (Eq. 2), int64 (K,), the most sensitive first.
        clean: share of the clean images that are classified right.
        attacked: the same under PGD.
        masked_layer: the layer of ``masks``.
        masks: "most sensitive" and "least sensitive" to neurons, as
            :func:`snslib.book.figures.receptive_fields.receptive_fields` takes them; empty where no layer has maps, or
            the images are too few.
        about: where the numbers come from.
    """

    title: str
    layers: dict[str, Layer]
    sigma: dict[str, Tensor]
    activation: dict[str, Tensor]
    omega: dict[str, Tensor]
    clean: float
    attacked: float
    masked_layer: str
    masks: Panels
    about: dict[str, Any]

    def relative(self, layer: str) -> float:
        """The layer's relative sensitivity; NaN where it is inactive for every image."""
        return relative_sensitivity(self.sigma[layer].tolist(), self.activation[layer].tolist())

    def held(self, layer: str) -> float:
        """The share of the layer's summed sensitivity that its sensitive neurons hold; NaN where that is 0."""
        sigma = self.sigma[layer].double()
        return (sigma[self.omega[layer]].sum() / sigma.sum()).item()

    @property
    def provenance(self) -> str:
        """In one line, what the numbers were computed from."""
        about = self.about
        parts = [
            f"{about['n']:,} images of {about['data']}",
            f"weights: {about['weights']}",
            f"PGD-{about['steps']}, eps {about['eps'] * 255:.4g}/255",
            about["device"],
            f"{about['seconds']:.0f} s",
            *(f"{name} {version}" for name, version in about["versions"].items()),
            f"commit {about['commit']}" if about["commit"] else "",
            about["date"],
        ]
        return " · ".join(part for part in parts if part)


def report_files(result: Profile) -> dict[str, str]:
    """The report's files, name to text; where a path is no UTF-8, its bytes are written out."""
    files = {"sensitivity.csv": _neurons_csv(result), "layers.csv": _layers_csv(result), "report.html": _page(result)}
    return {name: text.encode(errors="backslashreplace").decode() for name, text in files.items()}


# --- tables ---


def _neurons_csv(result: Profile) -> str:
    rows: list[Sequence[Any]] = [("layer", "neuron", "sensitivity", "activation", "relative", "sensitive")]
    for layer, sigma in result.sigma.items():
        sensitive = set(result.omega[layer].tolist())
        both = zip(sigma.tolist(), result.activation[layer].tolist(), strict=True)
        for neuron, (own, output) in enumerate(both):
            answer = "yes" if neuron in sensitive else "no"
            rows.append((layer, neuron, *map(_digits, (own, output, _ratio(own, output))), answer))
    return as_csv(rows)


def _layers_csv(result: Profile) -> str:
    about = ("layer", "modules", "output", "channel_axis", "neurons", "sensitive", "never_change")
    rows: list[Sequence[Any]] = [(*about, "mean_sensitivity", "mean_activation", "relative", "held_by_sensitive")]
    for name, layer in result.layers.items():
        sigma, output = result.sigma[name], result.activation[name]
        shape = "x".join(map(str, layer.shape))
        first = (
            name,
            layer.modules,
            shape,
            layer.axis,
            layer.neurons,
            len(result.omega[name]),
            int((sigma == 0).sum()),
        )
        numbers = (sigma.mean().item(), output.mean().item(), result.relative(name), result.held(name))
        rows.append((*first, *map(_digits, numbers)))
    return as_csv(rows)


def _digits(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.9g}"  # as many as float32 has


def _ratio(a: float, b: float) -> float:
    return a / b if b else math.nan


# --- page ---


def _page(result: Profile) -> str:
    template = Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(result.title),
        summary=_summary(result),
        warnings="\n".join(f'<p class="warning">{escape(text)}</p>' for text in _warnings(result)),
        tiles=_tiles(result),
        layers=_layer_table(result),
        neurons=_neuron_table(result),
        masks=_masks(result),
        method=escape(_method(result)),
        provenance=escape(result.provenance),
    )


def _summary(result: Profile) -> str:
    about = result.about
    images = f"{about['n']:,} images of {about['image_size']}×{about['image_size']} pixels"
    if about["labels"] == "predicted":
        what = f"leaves the predicted class of {_percent(result.attacked)} of them as it was"
    else:
        what = f"takes its accuracy on them from {_percent(result.clean)} to {_percent(result.attacked)}"
    return escape(f"PGD with eps {_eps(result)} was run on {images}. It {what}.")


def _warnings(result: Profile) -> list[str]:
    texts = []
    if result.about["weights"].startswith("random"):
        texts.append("The weights are random: no file was given. The numbers say nothing about a trained model.")
    if not any(sigma.any() for sigma in result.sigma.values()):
        texts.append("Nothing changed in any layer: the attack found no gradient to follow, or eps is 0.")
    if result.about["n"] < 50:
        texts.append("These are few images: which neurons come out on top may change with others.")
    return texts


def _tiles(result: Profile) -> str:
    sigma = torch.cat(list(result.sigma.values()))
    if result.about["labels"] == "predicted":
        tiles = {"predictions kept under PGD": _percent(result.attacked)}
    else:
        tiles = {"accuracy, clean": _percent(result.clean), "accuracy under PGD": _percent(result.attacked)}
    tiles |= {
        "layers": f"{len(result.layers):,}",
        "neurons": f"{len(sigma):,}",
        "sensitive neurons": f"{sum(map(len, result.omega.values())):,}",
        "neurons that never change": f"{int((sigma == 0).sum()):,}",
    }
    return "\n".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in tiles.items())


def _layer_table(result: Profile) -> str:
    everything = torch.cat(list(result.sigma.values()))
    moved = everything[everything > 0].log10()
    low, high = (int(moved.min().floor()), int(moved.max().ceil())) if len(moved) else (0, 1)
    high = max(high, low + 1)
    rows = []
    for name, layer in result.layers.items():
        sigma, held = result.sigma[name], result.held(name)
        first = ", ".join(map(str, result.omega[name].tolist()[:3]))
        shape = "×".join(map(str, layer.shape))
        rows.append(
            [
                f'<span class="name">{escape(name)}</span><small>{escape(layer.modules)} → {shape}</small>',
                f"{layer.neurons:,}",
                _spread(sigma, result.omega[name], low, high),
                _short(sigma.mean().item()),
                _short(result.relative(name)),
                "–" if math.isnan(held) else f"{100 * held:.0f}%",
                f"{int((sigma == 0).sum()):,}",
                first + (", …" if len(result.omega[name]) > 3 else ""),
            ]
        )
    header = ["layer", "neurons", "σ of its neurons", "mean σ", "relative", "held by top 10%", "never change", "top"]
    caption = (
        f"σ of its neurons, on a logarithmic scale from 10<sup>{low}</sup> to 10<sup>{high}</sup> with a stroke at "
        'each power of ten: a thin line for all that change, <span class="key grey"></span> the middle 80%, a stroke '
        'at the median, <span class="key hot"></span> the sensitive ones. Held by top 10%: their part of the layer\'s '
        "σ. Top: the channels of the most sensitive ones, counted from 0."
    )
    return _table(header, rows, caption, spread=2)


def _spread(sigma: Tensor, omega: Tensor, low: int, high: int) -> str:
    """A layer's sensitivities in one line: range, middle 80%, median, and where the sensitive neurons lie."""
    moved = sigma[sigma > 0].double()
    if not len(moved):
        return "none changes"

    def place(value: float) -> float:
        return 1000 * (torch.tensor(value).log10().item() - low) / (high - low)

    levels = moved.quantile(torch.tensor([0, 0.1, 0.5, 0.9, 1], dtype=torch.float64)).tolist()
    least, lower, median, upper, most = map(place, levels)
    top = [value for value in sigma[omega].tolist() if value > 0]
    first, last = place(min(top)), place(max(top))
    grid = " ".join(f"M{1000 * step / (high - low):.0f} 0V20" for step in range(high - low + 1))
    label = f"from {_short(levels[0])} to {_short(levels[-1])}, sensitive from {_short(min(top))}"
    return (
        f'<svg viewBox="0 0 1000 20" preserveAspectRatio="none" role="img" aria-label="{label}">'
        f'<path class="grid" d="{grid}"/><path class="range" d="M{least:.0f} 10H{most:.0f}"/>'
        f'<rect class="most" x="{lower:.0f}" y="5" width="{max(4, upper - lower):.0f}" height="10"/>'
        f'<rect class="top" x="{first:.0f}" y="5" width="{max(6, last - first):.0f}" height="10"/>'
        f'<path class="median" d="M{median:.0f} 2V18"/></svg>'
    )


def _neuron_table(result: Profile) -> str:
    found = []
    for layer, sigma in result.sigma.items():
        if sigma.any():
            most = [(sigma[neuron] / sigma.mean()).item() for neuron in result.omega[layer]][:OF_ONE_LAYER]
            found += [(times, layer, neuron) for times, neuron in zip(most, result.omega[layer].tolist(), strict=False)]
    rows = []
    for times, layer, neuron in sorted(found, key=lambda one: -one[0])[:STANDING_OUT]:
        own, output = result.sigma[layer][neuron].item(), result.activation[layer][neuron].item()
        name = f'<span class="name">{escape(layer)}</span>, neuron {neuron}'
        rows.append([name, f"{times:.1f}×", _short(own), _short(output), _short(_ratio(own, output))])
    header = ["layer and neuron", "× layer mean", "σ", "clean output", "relative"]
    return _table(header, rows, "Clean output: the L1 norm of the neuron's map, mean over the clean images.")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str, spread: int | None = None) -> str:
    """A table whose rows become cards on a narrow screen, each cell with its column's title."""

    def cell(place: int, text: str) -> str:
        kind = ' class="spread"' if place == spread else ""
        return f'<td{kind} data-label="{header[place]}">{text}</td>'

    head = "".join(
        f'<th scope="col"{" class=left" * (place == spread)}>{name}</th>' for place, name in enumerate(header)
    )
    body = "\n".join("<tr>" + "".join(cell(*one) for one in enumerate(row)) + "</tr>" for row in rows)
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _masks(result: Profile) -> str:
    if not result.masks:
        return ""
    figures = []
    for title, neurons in result.masks.items():
        figures.append(f"<div><h3>The {title}</h3>")
        for neuron, (x, x_adv, mask, mask_adv) in neurons.items():
            overlap = intersection_over_union(mask, mask_adv).nanmean().item()
            kept = "it is active in none of them" if overlap != overlap else f"{100 * overlap:.0f}% of its region stays"
            sigma = result.sigma[result.masked_layer][int(neuron)].item()
            alt = f"Images that activate neuron {neuron} most, clean above and attacked below, dark where it is silent."
            figures.append(
                f"<figure>{_picture(torch.cat([x, x_adv]), torch.cat([mask, mask_adv]), alt)}<figcaption>"
                f"Neuron {neuron}, σ {_short(sigma)}: {kept} (intersection over union)</figcaption></figure>"
            )
        figures.append("</div>")
    layer = escape(result.masked_layer)
    return (
        f'<h2>What neurons of <span class="name">{layer}</span> see</h2>\n'
        "<p>Of the last layer with maps of 4×4 or more, the most and the least sensitive neurons that are "
        "active in any image, each in the images that activate it most: clean above, attacked below. Bright is where "
        "its output is among the highest 0.5% that it has on clean images.</p>\n"
        f'<div class="masks">{"".join(figures)}</div>\n'
    )


def _picture(images: Tensor, masks: Tensor, alt: str) -> str:
    """Images (2 K, 3, H, W) in two rows as one PNG within the page, darkened outside of their masks."""
    from torchvision.transforms import functional
    from torchvision.utils import make_grid

    shaded = darkened(images, masks)
    size = images.shape[-1]
    if size > 128:
        shaded = functional.resize(shaded, [128, 128], antialias=True)
    picture = functional.to_pil_image(
        make_grid(shaded, nrow=len(images) // 2, padding=max(1, size // 32), pad_value=0.5)
    )
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    code = base64.b64encode(file.getvalue()).decode()
    kind = ' class="pixels"' if size <= 64 else ""
    return (
        f'<img{kind} src="data:image/png;base64,{code}" width="{picture.width}" height="{picture.height}" alt="{alt}">'
    )


def _method(result: Profile) -> str:
    about = result.about
    normalised = (
        f"The model then sees (x − mean) / std with mean {_three(about['mean'])} and std {_three(about['std'])}."
        if about["mean"] is not None
        else "The model sees them as they are: no mean and std were given."
    )
    labels = (
        "The labels are the classes that the model predicts for the clean images, so there is no clean accuracy."
        if about["labels"] == "predicted"
        else "The labels are those of the data; the i-th class folder in order of name is output i of the model."
    )
    return (
        "Images have values in [0, 1], and there the attack takes place: PGD as in section 3.1 of the paper, "
        f"untargeted, 10 steps of eps / 10 from the image itself, within {_eps(result)} in every pixel. {normalised} "
        f"{labels} Every image is attacked, also those that the model gets wrong. The model runs in eval mode."
    )


def _eps(result: Profile) -> str:
    return f"{result.about['eps'] * 255:.4g}/255"


def _three(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _short(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if value >= 999.5 else f"{value:.3g}"
