"""The student edition, where the environment variable STUDENT is set: the book without what is for its teacher.

Left out are the solutions of the exercises and the pages for teachers. What is to be predicted before it is read is
covered (folded.py), and the front page says where. Like all of the book it keeps something from being read too early,
and hides nothing: the sources have it.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes
from nbformat import NotebookNode
from sphinx.application import Sphinx

TEACHERS = ("teaching",)  # pages
TO_PREDICT = re.compile(r"^<!-- predict -->\n(?:<!-- [\w-]+ -->\n)?(#+) (.+)$", re.M)
SOLUTION = "<details><summary>Solution</summary>"  # how the text of one begins
NOTE = """
:::{{note}}
This is the student edition: the exercises have hints and checks, but no solutions. What you are asked to predict is
covered, for you to open once you have written it down: {}.
:::
"""


def leave_out_pages(app: Sphinx, config: Any) -> None:
    """Take the pages for teachers out of the contents, and whatever an earlier build wrote out of the folder."""
    contents = config.external_site_map
    for page in TEACHERS:
        contents.pop(page, None)
    for document in contents.values():
        for part in document.subtrees:
            part.items = [page for page in part.items if page not in TEACHERS]
    config.exclude_patterns = [*config.exclude_patterns, *(f"{page}.md" for page in TEACHERS)]
    shutil.rmtree(app.outdir)
    Path(app.outdir).mkdir()


def drop_solutions(app: Sphinx, doctree: nodes.document) -> None:
    """Remove every part of a page that carries the class "solution"."""
    for node in list(doctree.findall(nodes.Element)):
        if "solution" in (*node.get("classes", []), *node.get("container_classes", [])):
            node.parent.remove(node)


def say_what_is_covered(app: Sphinx, page: str, source: list[str]) -> None:
    """Put a note below the title of the front page."""
    if page == app.config.root_doc:
        title, _, rest = source[0].partition("\n")
        source[0] = f"{title}\n{NOTE.format('; '.join(covered(Path(app.srcdir))))}{rest}"


def covered(book: Path) -> Iterator[str]:
    """The chapters that have something to predict, each with a link and the headings of what is covered."""
    for path in sorted(book.glob("executed/*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        if headings := [found[1] for cell in cells for found in TO_PREDICT.findall(cell.source)]:
            yield f"[](/executed/{path.name}): {', '.join(f'*{heading}*' for heading in headings)}"


def drop_from_downloads(app: Sphinx, error: Exception | None) -> None:
    """Remove solutions, and the outputs of what is covered, from the notebooks that pages offer."""
    for path in Path(app.outdir, "_sources").rglob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        drop_solution_cells(notebook)
        for cell in below_predictions(notebook):
            cell.outputs = []
        nbformat.write(notebook, path)


def drop_solution_cells(notebook: NotebookNode) -> None:
    """Remove the cells that are tagged "solution" or fold one, in place; book/handout.py does so too."""
    notebook.cells = [
        cell
        for cell in notebook.cells
        if "solution" not in cell.metadata.get("tags", []) and not cell.source.lstrip().startswith(SOLUTION)
    ]


def below_predictions(notebook: NotebookNode) -> Iterator[NotebookNode]:
    """The code cells of sections that are to be predicted, down to the next heading of their level or above."""
    level = 0  # of the heading of such a section; 0 outside of one
    for cell in notebook.cells:
        if cell.cell_type == "code":
            if level:
                yield cell
            continue
        for heading in re.finditer(r"^(#+) ", cell.source, re.M):
            if level and len(heading[1]) <= level:
                level = 0
        if marked := TO_PREDICT.search(cell.source):
            level = len(marked[1])


def setup(app: Sphinx) -> dict[str, bool]:
    if os.environ.get("STUDENT", "0") not in ("", "0"):
        app.tags.add("student")
        app.connect("config-inited", leave_out_pages, priority=901)  # after sphinx_external_toc has read the contents
        app.connect("source-read", say_what_is_covered)
        app.connect("doctree-read", drop_solutions)
        app.connect("build-finished", drop_from_downloads)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
