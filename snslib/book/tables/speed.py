"""Tables of the page on speed."""

from collections.abc import Mapping
from typing import Any

from IPython.display import Markdown

from snslib.book.tables.markdown import markdown_table


def convolutions(record: Mapping[str, Any], caption: str, name: str) -> Markdown:
    """Which small convolutions went wrong, by the channels that they read: a line per release of PyTorch.

    Args:
        record: release to its findings, as ``benchmarks/convolutions.py`` writes them.
        caption, name: as in :func:`snslib.book.tables.markdown.markdown_table`.
    """
    columns = {"SSE41": "SSE 4.1", "AVX2": "AVX2", "AVX512_CORE": "AVX-512"}
    lines = []
    for release, found in sorted(record.items(), key=lambda item: [int(part) for part in item[0].split(".")]):
        wrong = {which: {c["in_channels"] for c in found["wrong"] if c["instructions"] == which} for which in columns}
        cells = (f"{min(channels)} to {max(channels)}" if channels else "none" for channels in wrong.values())
        kernels = " and ".join(f"{side}×{side}" for side in found["kernels"])
        lines.append([release, found["onednn"], kernels, f"{found['tried']:,}", str(len(found["wrong"])), *cells])
    header = ["PyTorch", "oneDNN", "sizes", "tried", "wrong", *columns.values()]
    return markdown_table(header, lines, caption, name, "lllrrrrr")
