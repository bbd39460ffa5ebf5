"""Offer the records that a chapter shows, configuration and result of each, as JSON in the page's download menu.

A chapter names its sources by `text.source`, whose output carries the records in its metadata.
"""

import json
from pathlib import Path
from typing import Any

import nbformat
from sphinx.application import Sphinx

EXECUTED = "executed/"  # only our own notebooks carry records


def records_of(notebook: Path) -> list[dict[str, Any]]:
    """The records that the outputs of an executed notebook carry, each once, in the order of the page."""
    found: dict[str, dict[str, Any]] = {}
    for cell in nbformat.read(notebook, as_version=4).cells:
        for output in cell.get("outputs", []):
            for record in output.get("metadata", {}).get("text/markdown", {}).get("records", []):
                found.setdefault(json.dumps(record, sort_keys=True), record)
    return list(found.values())


def offer_records(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Write the records of a page of HTML to `_downloads`, and add them to the theme's download buttons."""
    notebook = Path(app.srcdir, f"{page}.ipynb")
    if app.builder.format != "html" or not page.startswith(EXECUTED) or not notebook.exists():
        return
    if not (records := records_of(notebook)):
        return
    name = f"_downloads/{page.removeprefix(EXECUTED)}-records.json"
    target = Path(app.outdir, name)
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(records, indent=1), encoding="utf-8")
    button = {
        "type": "link",
        "url": context["pathto"](name, resource=True),
        "text": ".json",
        "tooltip": "Download the records that this page shows",
        "icon": "fas fa-table",
        "label": "download-records-button",
    }
    for group in context.get("header_buttons", []):
        if group["label"] == "download-buttons":
            group["buttons"].append(button)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", offer_records, priority=900)  # after the theme made its buttons
    return {"parallel_read_safe": True, "parallel_write_safe": True}
