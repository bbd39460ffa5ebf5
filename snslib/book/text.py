"""Sentences of the book, made from records: what a number is and what it was computed from."""

import math
import re
from collections.abc import Mapping
from html import escape
from typing import Any

from IPython.display import Markdown
from torch import Tensor

from snslib.study import results
from snslib.study.records import Record
from snslib.study.settings import Settings

MODEL_NAMES = {"vgg16": "VGG-16", "alexnet": "AlexNet", "resnet18": "ResNet-18", "googlenet": "GoogLeNet"}


def plain(name: str) -> str:
    """A name that somebody gave, within a line of Markdown that shows it as it is: no tag, link, code or formula."""
    signs = r"[\\`*\[\]<>&|$~{}]|(?<![^\W_])_|_(?![^\W_])|:(?=//)"
    return re.sub(signs, r"\\\g<0>", " ".join(name.split()))


def code(name: str) -> str:
    """The same as code, `name`."""
    line = " ".join(name.split())
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " * (not line or "`" in (line[0], line[-1]))
    return f"{fence}{space}{line}{space}{fence}"


def in_a_cell(text: str) -> str:
    """A text of Markdown as a cell of a table, which a bar would end."""
    return re.sub(r"(?<!\\)\|", r"\|", text)


def percent(share: float) -> str:
    """0.8725 as "87.25%"; a share of n images has no more digits than two for any n here."""
    return f"{100 * share:.2f}%"


def radius(eps: float) -> str:
    """A radius in [0, 1] pixel space in 255ths: 32/255 as "32/255"."""
    return f"{255 * eps:.3g}/255"


def map_size(output: Tensor) -> str:
    """The size of a layer's feature maps, (N, C, 16, 16) as "16×16"; "" for (N, C), which has no maps."""
    return "×".join(map(str, output.shape[2:]))


def this_build(settings: Settings, vanilla: Record) -> str:
    """What a build of the book shows, loud, as HTML for its front page.

    Args:
        settings: of the build.
        vanilla: one of its records, whose data it names.
    """
    network = f"{MODEL_NAMES[settings.model]} at width {settings.width:g}"
    name, origin = (escape(vanilla.data[part]) for part in ("name", "origin"))
    head = f"What you see here: the <code>{escape(settings.profile)}</code> profile, "
    if vanilla.published:
        return (
            f"<strong>{head}recorded.</strong> The chapters of this build show rows of {network} on "
            f"{name} that were trained and measured in longer runs. What no record holds was "
            "computed from their models."
        )
    return (
        f"<strong>{head}run live.</strong> This build trained {network} on {name} "
        f"({origin}) with an eps of {255 * settings.eps:g}/255. It shows <em>how</em> everything "
        "works. Only a build on the paper's data at the paper's width could confirm or refute its numbers. "
        "Numbers from longer runs are marked <strong>recorded</strong>."
    )


def network_of(folder: str) -> str:
    """The network whose rows a folder of ``results/`` has, in words: "VGG-16 at width 1/4"."""
    model = results.model_of(folder)
    return f"{MODEL_NAMES.get(model, plain(model))} at width {results.width_of(folder)}"


def source(*records: Record) -> Markdown:
    """What the numbers above were computed from, in one line under a figure or a table; its data are the first's.

    The output carries the records in its metadata, so that the book can offer them. Without any record it is empty.
    """
    if not records:
        return Markdown("")
    first = records[0]
    trained = first.config["trained"]
    n = first.config.get("n")
    images = f"{n:,} {first.config.get('split', 'test')} images" if n else ""
    about, seconds = first.provenance, sum(entry.provenance.get("seconds", 0) for entry in records)
    versions, commit = about.get("versions", {}), about.get("commit")
    seeds = sorted({entry.seed for entry in records})
    when = "Recorded" if first.published else "Computed live"
    precisions = sorted({entry.config["trained"]["schedule"]["precision"] for entry in records})
    measured_in = sorted({_measured_in(entry.provenance) for entry in records} - {"float32"})
    parts = [
        f"{when}: {first.data['name']} ({first.data['origin']})",
        f"{MODEL_NAMES[trained['model']]} at width {trained['width']:g}",
        f"trained in {' or '.join(precisions)}",
        f"measured in {' or '.join(measured_in)}" if measured_in else "",
        images,
        f"eps {first.config['attack']['eps'] * 255:g}/255",
        f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}",
        about.get("device", ""),
        f"{seconds:.0f} s",
        f"PyTorch {versions['torch']}" if "torch" in versions else "",
        f"commit {commit}" if commit else "",
    ]
    line = "*" + " · ".join(plain(part) for part in parts if part) + "*"
    return Markdown(line, metadata={"records": [record.as_json() for record in records]})


def _measured_in(provenance: Mapping[str, Any]) -> str:
    """The precision of a measurement.

    A record that does not say is from before float32 was float32 on a GPU, too: PyTorch's default was.
    """
    on_gpu = str(provenance.get("device", "")).startswith("cuda")
    return str(provenance.get("precision", "float32 with convolutions in TF32" if on_gpu else "float32"))


def machines(sections: Mapping[str, dict[str, Any]]) -> Markdown:
    """Where the numbers of a speed record's section come from, in one line under a figure or a table.

    Args:
        sections: name of a device to its section, as ``benchmarks/run.py`` writes it.
    """
    lines = [
        f"Recorded {entry['date'][:10]}: {entry['device']}, PyTorch {entry['versions']['torch']}"
        + (f", commit {entry['commit']}" if entry["commit"] else "")
        for entry in sections.values()
    ]
    return Markdown("*" + " · ".join(map(plain, lines)) + "*")


def with_seeds(label: str, seeds: int) -> str:
    """The label of a row whose numbers are a mean: "PAT, 2 seeds"; of one seed, the label as it is."""
    return f"{label}, {seeds} seeds" if seeds > 1 else label


def digits(value: float) -> str:
    """A number that may be tiny and not 0: with three digits, or two where it is below 1; a dash for none."""
    return "–" if math.isnan(value) else f"{value:.3g}" if value >= 1 else f"{value:.2g}"


def in_points(found: tuple[float, float, float] | None) -> str:
    """A difference with its interval: "+3.1 (+1.6 to +4.6)", or a dash for what was not run."""
    return "–" if found is None else "{:+z.1f} ({:+z.1f} to {:+z.1f})".format(*found)
