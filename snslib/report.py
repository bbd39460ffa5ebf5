"""Tables and sentences of the book, made from records: what a number is and what it was computed from."""

from collections.abc import Mapping, Sequence
from typing import Any

from IPython.display import Markdown
from scipy.stats import binomtest

from snslib.settings import Settings, table
from snslib.zoo import ATTACKS, DEFENSES

MODEL_NAMES = {"vgg16": "VGG-16", "alexnet": "AlexNet", "resnet18": "ResNet-18", "googlenet": "GoogLeNet"}


def percent(share: float) -> str:
    """0.8725 as "87.25%"; a share of n images has no more digits than two for any n here."""
    return f"{100 * share:.2f}%"


def interval(share: float, n: int) -> tuple[float, float]:
    """The 95% Wilson interval of a share that was counted on n images."""
    both = binomtest(round(share * n), n).proportion_ci(method="wilson")
    return float(both.low), float(both.high)


def markdown_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], caption: str, name: str, align: str | None = None
) -> Markdown:
    """A numbered table that the text can refer to.

    Args:
        header: titles of the columns.
        rows: cells as Markdown.
        caption: a sentence or two.
        name: the label to refer to it by, such as "tbl-accuracy".
        align: a letter l, c or r per column; by default the first column left and the others right.
    """
    signs = {"l": ":--", "c": ":-:", "r": "--:"}
    align = align or "l" + "r" * (len(header) - 1)
    lines = [header, [signs[letter] for letter in align], *rows]
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return Markdown(f"~~~{{table}} {caption}\n:name: {name}\n\n{body}\n~~~")  # tildes: a caption may hold `code`


def settings_table(settings: Settings) -> Markdown:
    """All settings of a run, folded; they decide every number of the page."""
    body = "\n".join(f"| `{name}` | {value} |" for name, value in table(settings))
    title = f"Settings of this run: profile {settings.profile}"
    return Markdown(f":::{{dropdown}} {title}\n| setting | value |\n| :-- | :-- |\n{body}\n:::")


def source(settings: Settings, *records: dict[str, Any]) -> Markdown:
    """What the numbers above were computed from, in one line under a figure or a table."""
    first = records[0]
    n = first["config"].get("n")
    images = f"{n:,} {first['config'].get('split', 'test')} images" if n else ""
    seconds = sum(entry["seconds"] for entry in records)
    parts = [
        f"Computed live: {first['data']['name']} ({first['data']['origin']})",
        f"{MODEL_NAMES[settings.model]} at width {settings.width:g}",
        images,
        f"eps {settings.eps * 255:g}/255",
        f"seed {first['seed']}",
        first["device"],
        f"{seconds:.0f} s",
        f"PyTorch {first['versions']['torch']}",
        f"commit {first['commit']}" if first["commit"] else "",
    ]
    return Markdown("*" + " · ".join(part for part in parts if part) + "*")


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
    return Markdown("*" + " · ".join(lines) + "*")


def accuracy_table(records: Sequence[dict[str, Any]], caption: str, name: str) -> Markdown:
    """Rows of Table 1 from accuracy records: clean, then the four attacks, in percent."""
    header = ["model", "clean", *ATTACKS.values()]
    rows = [
        [DEFENSES[entry["defense"]], *(percent(entry["result"][column]) for column in ("clean", *ATTACKS))]
        for entry in records
    ]
    return markdown_table(header, rows, caption, name)


def beside_paper(
    paper: Mapping[str, Mapping[str, float]],
    ours: Mapping[str, dict[str, Any]],
    strong: Mapping[str, dict[str, Any]],
    caption: str,
    name: str,
) -> Markdown:
    """Table 1 or 2 with two lines per defense: this run's accuracy, and the paper's under it.

    Args:
        paper: defense to column to accuracy in percent, as :mod:`snslib.paper` has it; its order is kept.
        ours: defense to its accuracy record; what is missing is shown as not run.
        strong: defense to its record of accuracy under a stronger attack.
        caption, name: as in :func:`markdown_table`.
    """
    columns = ("clean", *ATTACKS)
    rows = []
    for defense, printed in paper.items():
        label = DEFENSES.get(defense, defense.upper())
        if defense in ours:
            measured = [ours[defense]["result"][column] for column in columns] + [strong[defense]["result"]]
            rows.append([label, "**ours**", *(f"**{100 * share:.2f}**" for share in measured)])
        else:
            rows.append([label, "ours", "not run", *[""] * len(columns)])
        rows.append(["", "paper", *(f"{printed[column]:.2f}" for column in columns), ""])
    return markdown_table(["model", "", "clean", *ATTACKS.values(), "PGD-50"], rows, caption, name, "llrrrrrr")
