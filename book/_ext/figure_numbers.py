"""Offer the numbers behind a figure, which its SVG carries, as a CSV file at the end of the figure's caption.

The file comes to `_downloads`, named after its page and the figure's label.
"""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

EXECUTED = "executed/"  # only our own figures describe themselves with CSV
DESCRIPTION = ".//{http://purl.org/dc/elements/1.1/}description"  # in an SVG's metadata


def offer_numbers(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Write the CSV files of a page of HTML, and link to each where its figure is."""
    if app.builder.format != "html" or not page.startswith(EXECUTED):
        return
    folder, stem = Path(app.outdir) / "_downloads", page.removeprefix(EXECUTED).replace("/", "-")
    for number, image in enumerate(list(doctree.findall(nodes.image)), start=1):
        svg = Path(app.srcdir) / image["uri"]
        if svg.suffix != ".svg" or not svg.exists() or not (numbers := ElementTree.parse(svg).findtext(DESCRIPTION)):
            continue
        figure: Any = image.parent
        while figure and not isinstance(figure, nodes.figure):
            figure = figure.parent
        label = figure["ids"][0] if figure and figure["ids"] else f"figure-{number}"
        name = f"{stem}-{label}.csv"
        link = addnodes.download_reference("", "numbers (CSV)", filename=name, classes=["figure-numbers"])
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(numbers, encoding="utf-8", newline="")
        if figure and (caption := next(figure.findall(nodes.caption), None)):
            caption += [nodes.Text(" "), link]
        else:
            image.parent.insert(image.parent.index(image) + 1, nodes.paragraph("", "", link))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", offer_numbers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
