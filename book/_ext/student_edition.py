"""Leaves the solutions of the exercises out when the environment variable STUDENT is set."""

import os
from pathlib import Path

import nbformat
from docutils import nodes
from sphinx.application import Sphinx


def drop_solutions(app: Sphinx, doctree: nodes.document) -> None:
    """Remove every part of a page that carries the class "solution"."""
    for node in list(doctree.findall(nodes.Element)):
        if "solution" in (*node.get("classes", []), *node.get("container_classes", [])):
            node.parent.remove(node)


def drop_from_downloads(app: Sphinx, error: Exception | None) -> None:
    """Remove the cells tagged "solution" from the notebooks that pages offer."""
    for path in Path(app.outdir, "_sources").rglob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        notebook.cells = [cell for cell in notebook.cells if "solution" not in cell.metadata.get("tags", [])]
        nbformat.write(notebook, path)


def setup(app: Sphinx) -> dict[str, bool]:
    if os.environ.get("STUDENT", "0") not in ("", "0"):
        app.connect("doctree-read", drop_solutions)
        app.connect("build-finished", drop_from_downloads)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
