"""Tables of the page on speed, from the records of ``benchmarks/``."""

from collections.abc import Mapping
from typing import Any

from IPython.display import Markdown

from snslib.book.tables.markdown import markdown_table
from snslib.book.text import MODEL_NAMES
from snslib.claims.criteria.speed import Aim
from snslib.study import speed_goals
from snslib.study.speed_records import SpeedRecords


def speed_attacks(records: SpeedRecords) -> Markdown:
    """Each library's attacks as a multiple of the plain loop's speed; for PGD-10 also images/s, loss, same pixels."""
    lines = []
    for (device, width), rows in records.groups("attacks", "width"):
        for library in dict.fromkeys(row["library"] for row in rows):
            found = {row["attack"]: row for row in rows if row["library"] == library}
            pgd = found["PGD-10"]
            attacks = ("PGD-10", "MI-FGSM-10", "FGSM")
            times = (f"{found[attack]['faster']:.2f}" if attack in found else "" for attack in attacks)
            first = [f"{device}, {width:g}", library, f"{pgd['images_per_second']:,.0f}"]
            lines.append([*first, *times, f"{pgd['loss']:.3f}", f"{100 * pgd['same_pixels']:.1f}%"])
    header = ["device, width", "library", "images/s", "PGD", "MI-FGSM", "FGSM", "loss", "same"]
    caption = (
        "The same in numbers: images per second under PGD-10, times as fast as the plain loop for each attack, and for "
        "PGD-10 the *loss* that it reached and the share of pixels that are the *same*, within 1e-5 of the plain "
        "loop's. A sign step turns a rounding error in a gradient that is almost 0 into a whole step, and the next "
        "gradient is taken elsewhere: computations that are equal but for rounding drift apart in ten steps, here more "
        "than usual, because an untrained network's gradients are small. That `snslib` runs the same attack is checked "
        "in float64, where rounding is out of the way."
    )
    return markdown_table(header, lines, caption, "tbl-speed-attacks", "llrrrrrr")


def speed_passes(records: SpeedRecords) -> Markdown:
    """The gradient with respect to images by precision and memory format: a multiple of the plain network's speed."""
    lines = []
    for (device, model, width), (plain, *ways) in records.groups("passes", "model", "width"):
        times = (f"**{way['faster']:.2f}**" if way["chosen"] else f"{way['faster']:.2f}" for way in ways)
        first = [device, f"{MODEL_NAMES[model]}, {width:g}", f"{1000 * plain['seconds']:.1f}"]
        lines.append([*first, *times, *[""] * (4 - len(ways)), f"{ways[-1]['cosine']:.3f}"])
    header = ["device", "network, width", "plain, ms", "f32", "f32, c.l.", "bf16", "bf16, c.l.", "cosine"]
    caption = (
        "The gradient of one batch with respect to the images, with BatchNorm folded, as a multiple of the speed of "
        "the plain network in eval mode; f32 and bf16 are float32 and bfloat16, c.l. is channels_last. In bold what "
        "`snslib` runs for each precision. *Cosine*: between the bfloat16 gradient and the plain one."
    )
    return markdown_table(header, lines, caption, "tbl-speed-passes", "llrrrrrr")


def convolutions(record: Mapping[str, Any]) -> Markdown:
    """Which small convolutions went wrong, by the channels that they read: a line per release of PyTorch.

    Args:
        record: release to its findings, as ``benchmarks/convolutions.py`` writes them.
    """
    columns = {"SSE41": "SSE 4.1", "AVX2": "AVX2", "AVX512_CORE": "AVX-512"}
    lines = []
    for release, found in sorted(record.items(), key=lambda item: [int(part) for part in item[0].split(".")]):
        wrong = {which: {c["in_channels"] for c in found["wrong"] if c["instructions"] == which} for which in columns}
        cells = (f"{min(channels)} to {max(channels)}" if channels else "none" for channels in wrong.values())
        kernels = " and ".join(f"{side}×{side}" for side in found["kernels"])
        lines.append([release, found["onednn"], kernels, f"{found['tried']:,}", str(len(found["wrong"])), *cells])
    header = ["PyTorch", "oneDNN", "sizes", "tried", "wrong", *columns.values()]
    caption = (
        "Small convolutions in contiguous and channels_last images, in float32 and bfloat16, whose output or gradients "
        "are not those of float64, by what oneDNN was allowed to use: how many channels those read that went wrong. "
        "All of them are 1×1, have a stride, one group, and channels_last."
    )
    return markdown_table(header, lines, caption, "tbl-convolutions", "lllrrrrr")


def speed_threads(records: SpeedRecords) -> Markdown:
    """Seconds of an attack beside other programs, by how long threads spin before they sleep."""
    rows = {device: list(found) for device, found in records.rows("threads").items()}
    spins = list(dict.fromkeys(row["spin"] for found in rows.values() for row in found))
    lines = []
    for device, found in rows.items():
        for beside in dict.fromkeys(row["beside"] for row in found):
            seconds = {row["spin"]: row["seconds"] for row in found if row["beside"] == beside}
            lines.append([device, beside, *(f"{seconds[spin]:.3f}" if spin in seconds else "" for spin in spins)])
    header = ["device", "beside", *(f"`{spin}`" if spin.isdigit() else spin for spin in spins)]
    caption = (
        "Seconds for PGD-10 on 64 digits (VGG-16 at width 1/8, as many threads as cores), by what else runs on the "
        "machine, with `GOMP_SPINCOUNT` as it comes and set to two values."
    )
    return markdown_table(header, lines, caption, "tbl-speed-threads", "ll" + "r" * len(spins))


def speed_sensitivity(records: SpeedRecords) -> Markdown:
    """Time of Eq. 1 as a multiple of two forward passes, and peak memory in MiB: snslib, stored activations, captum."""
    hows = {"snslib": "snslib", "stored activations": "stored", "captum": "captum"}
    lines = []
    for (device, width, images, layers), (passes, *rows) in records.groups("sensitivity", "width", "images", "layers"):
        ways = {row["how"]: row for row in rows}
        times = (f"{1 / ways[how]['faster']:.2f}" if how in ways else "" for how in hows)
        memory = (f"{ways[how]['peak_mib']:,.0f}" if how in ways else "" for how in hows)
        first = [f"{device}, {width:g}", f"{images:,}", str(layers)]
        lines.append([*first, *times, f"{passes['peak_mib']:,.0f}", *memory])
    caption = (
        "The same in numbers: time as a multiple of two forward passes, then peak memory in MiB. A multiple below 1 "
        "means that all of it took less time than two forward passes of the network as it is, since `snslib` folds "
        "BatchNorm here too."
    )
    header = ["device, width", "images", "layers", *hows.values(), "passes, MiB", *hows.values()]
    return markdown_table(header, lines, caption, "tbl-speed-sensitivity", "lrrrrrrrrr")


def speed_epoch(records: SpeedRecords) -> Markdown:
    """An epoch of SNS: seconds, and the multiple of the literal loop's speed."""
    lines = [
        [f"{device}, {width:g}", f"{row['images']:,}", row["how"], f"{row['seconds']:.2f}", f"{row['faster']:.2f}"]
        for (device, width), rows in records.groups("sns_epoch", "width")
        for row in rows
    ]
    caption = (
        "One epoch of $\\mathrm{SNS}_{sen}^{adv}$ from `conv8` on, with the same losses at every step. The *literal "
        "loop* is Algorithm 1 as it is printed, with the same layers locked. The cache is filled once per training."
    )
    header = ["device, width", "pairs", "how", "s", "× literal loop"]
    return markdown_table(header, lines, caption, "tbl-speed-sns", "lrlrr")


def speed_kernels(records: SpeedRecords) -> Markdown:
    """The bandwidth of each operation, as a share of a copy's, by how it is computed."""
    keys = ("operation", "shape", "dtype", "channels_last")
    groups = list(records.groups("kernels", *keys))
    ways = list(dict.fromkeys(row["how"] for _, (_, *rows) in groups for row in rows if row["how"] != "copy"))
    lines = []
    for (device, operation, shape, dtype, channels_last), (copy, *rows) in groups:
        shares = {row["how"]: row["faster"] for row in rows}
        inputs = f"{'×'.join(map(str, shape))} {dtype}{', channels_last' if channels_last else ''}"
        cells = (f"{100 * shares[way]:.0f}%" if way in shares else "" for way in ways)
        lines.append([device, operation, inputs, f"{copy['gb_per_second']:,.0f}", *cells])
    caption = (
        "How fast an operation moves the bytes that it has to read and write, as a share of what a copy of as many "
        "bytes reaches."
    )
    header = ["device", "operation", "shape and type", "copy, GB/s", *ways]
    return markdown_table(header, lines, caption, "tbl-speed-kernels", "lllr" + "r" * len(ways))


def speed_pages(records: SpeedRecords) -> Markdown:
    """Size of the book's pages and seconds to open them, the slowest first."""
    lines = [
        [row["page"], f"{row['bytes'] / 1000:,.0f}", f"{row['seconds']:.2f}", f"{row['longest']:.2f}"]
        for rows in records.rows("pages").values()
        for row in sorted(rows, key=lambda row: -row["seconds"])
    ]
    caption = (
        "How long each page took to open, the median and the longest of five times, and its size without pictures; "
        "the slowest first."
    )
    return markdown_table(["page", "kB", "median, s", "longest, s"], lines, caption, "tbl-speed-pages", "lrrr")


def speed_gpu(name: str, sections: Mapping[str, Any]) -> Markdown:
    """What a record of a GPU has of each goal in ``benchmarks/goals.json``.

    Args:
        name: of the record, which tells device and date.
        sections: name to section, as ``benchmarks/run.py`` writes them.
    """
    heading, *lines = speed_goals.lines(sections)
    bold = {"missed": "**missed**"}
    caption = (
        f"Recorded on a GPU ({name}): times as fast as what stands under *against*, VGG-16 at width 1 with batches of "
        "128; and *another way*, which is torchattacks for attacks, `torch.compile` for kernels. Where the input of a "
        "kernel is small, a copy of it is little but the time of starting it, and the goal is to take one and a half "
        "times as long at most."
    )
    rows = [[*line[:-1], bold.get(line[-1], line[-1])] for line in lines]
    return markdown_table(heading, rows, caption, "tbl-speed-gpu", "llrrrl")


def speed_aims(aims: list[Aim]) -> Markdown:
    """The aims for speed, what was measured, and which were reached."""
    lines = [
        [
            aim.device,
            aim.what,
            f"at most {aim.threshold:.2f}" if aim.at_most else f"{aim.threshold:.1f}",
            f"{aim.value:.2f}",
            "reached" if aim.reached else "**missed**",
        ]
        for aim in aims
    ]
    caption = "Aims that were set before anything was measured."
    return markdown_table(["device", "what", "aim", "reached", ""], lines, caption, "tbl-speed-aims", "llrrl")
