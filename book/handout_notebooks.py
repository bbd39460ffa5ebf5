"""A chapter's notebook as it is handed out, and its exercises as a notebook of their own.

Both are made of `notebooks/NAME.ipynb`, as the pages of the book are. What is handed out stands on its own: its first
cell takes the library that lies around it, and its links lead to the notebooks beside it. The published book, to which
they lead otherwise, shows every solution, and so does the repository that the first cell would fetch.
"""

import copy
import re

from _ext.plain_markdown import LINK
from _ext.student_edition import TO_PREDICT, drop_solution_cells
from nbformat import NotebookNode

from snslib.book import labels

CHAPTERS, EXERCISES = "notebooks", "exercises"  # folders of the handout
HEADING = "## Exercises"  # of a chapter's last section
LIBRARY = """\
import sys
from pathlib import Path

# The library lies around this notebook.
_around = [folder for folder in (Path.cwd(), Path.cwd().parent) if (folder / "snslib").is_dir()]
sys.path[:0] = map(str, _around)"""
PREDICT = "\n\n> **First write down** what you expect the cells of this section to show. Then run them."
INTRODUCTION = """\
# Exercises: {title}

They belong to [the chapter](../{folder}/{name}.ipynb), which has the equations, figures and tables that are named here.
Run the cells up to the first exercise: they find the library, and the chapter's networks. Where a cell says `...`, put
lines of your own in its place and run it. It ends in a check, which says that all is right, or what the first mistake
is. What is to be done "in the notebook of this chapter" is done there, below its last cell."""


def chapter(source: NotebookNode, solutions: bool) -> NotebookNode:
    """A chapter as it is handed out, whole with its exercises, and with their solutions where these are asked for."""
    return _standing_alone(source, solutions, beside="")


def exercises(source: NotebookNode, name: str, solutions: bool) -> NotebookNode | None:
    """The exercises of the chapter ``name`` as a notebook; None where it has none.

    It has the cells with which the chapter begins, its parameters among them, then of each exercise the text, the stub
    with its check, the hint, and the solution where solutions are asked for.
    """
    notebook = _standing_alone(source, solutions, beside=f"../{CHAPTERS}/")
    place = next((n for n, cell in enumerate(notebook.cells) if cell.source.startswith(HEADING)), None)
    if place is None:
        return None
    section, own = notebook.cells[place], notebook.cells[place + 1 :]
    introduction = INTRODUCTION.format(title=title(source), folder=CHAPTERS, name=name)
    section.source = introduction + section.source.removeprefix(HEADING)
    begin = [cell for cell in notebook.cells if cell.cell_type == "code"][:3]  # library, parameters, networks
    own = [cell for cell in own if cell.cell_type == "markdown" or "exercise" in cell.metadata.get("tags", [])]
    notebook.cells = [section, *begin, *own]
    return notebook


def title(notebook: NotebookNode) -> str:
    """What a notebook is called: its first heading."""
    return next(found[1] for cell in notebook.cells if (found := re.search(r"^# (.+)$", cell.source, re.M)))


def own_links(text: str) -> str:
    """The module of the library that knows the pages' addresses, with notebooks in their place.

    Raises:
        ValueError: it is written in another way than this function knows.
    """
    published = 'f"{SITE}executed/{notebook}.html"'
    if text.count(published) != 1:
        raise ValueError(f"snslib/book/labels.py: expected {published} once; own_links has to follow what is there now")
    return text.replace(published, 'f"{notebook}.ipynb"')


def _standing_alone(source: NotebookNode, solutions: bool, beside: str) -> NotebookNode:
    """A copy of a notebook that needs neither repository nor book; ``beside`` leads to the folder of the chapters."""
    notebook = copy.deepcopy(source)
    if not solutions:
        drop_solution_cells(notebook)
    next(cell for cell in notebook.cells if cell.cell_type == "code").source = LIBRARY
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        else:
            cell.source = LINK.sub(lambda link: _to_notebook(link, beside), cell.source)
            cell.source = TO_PREDICT.sub(lambda heading: heading[0] + PREDICT, cell.source)
    return notebook


def _to_notebook(link: re.Match[str], beside: str) -> str:
    """A link to a page of the published book: to its notebook, or its text alone where it has none."""
    text, address = link.groups()
    if not address.startswith(labels.SITE):
        return link[0]
    page = re.match(r"executed/(\w+)\.html", address.removeprefix(labels.SITE))
    return f"[{text}]({beside}{page[1]}.ipynb)" if page else text
