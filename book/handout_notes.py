"""The teacher's notes as they are handed out: the book's page, with names in place of its references."""

import re
from collections.abc import Mapping

from _ext.plain_markdown import FIGURE, texts
from handout_notebooks import title
from nbformat import NotebookNode

from snslib.book import labels

REFERENCE = re.compile(r"\{(?:numref|ref|doc)\}`([^`]+)`|\[([^]]*)\]\(((?!https?://)[^)\s]+)\)")
IN_BOOK = re.compile(r'<a href="((?!https?://)[^"]+)">([^<]+)</a>')  # what the build of the book makes, such as slides
LABEL = re.compile(r"^\(sec-[\w-]+\)=\n", re.M)
SECTION = re.compile(r"^<!-- (sec-[\w-]+) -->\n#+ (.+)$", re.M)


def plain(text: str, notebooks: Mapping[str, NotebookNode]) -> str:
    """A page of the book that needs no book: Markdown whose links lead to the notebooks beside it.

    A page that is not handed out is named, without a link.

    Args:
        text: MyST, with references to notebooks, sections, figures, tables and pages.
        notebooks: by name, such as "04_sns_training".
    """
    known = _known(notebooks)

    def named(reference: re.Match[str]) -> str:
        role, words, link = reference.groups()
        name, path = known.get(role or link, (role or link, ""))
        words = words or name
        return f"[{words}]({path})" if path else words

    return IN_BOOK.sub(r"\2: `\1` in the book", REFERENCE.sub(named, LABEL.sub("", text)))


def _known(notebooks: Mapping[str, NotebookNode]) -> dict[str, tuple[str, str]]:
    """What a page refers to: the words for it, and the notebook that has it."""
    known = {label: (labels.table(label), "") for of_chapter in labels.TABLES.values() for label in of_chapter}
    for name, notebook in notebooks.items():
        path = f"notebooks/{name}.ipynb"
        known |= {f"executed/{name}{suffix}": (title(notebook), path) for suffix in ("", ".ipynb")}
        for _, text in texts(notebook):
            known |= {label: (heading, path) for label, heading in SECTION.findall(text)}
            known |= {label: (number, path) for number, _, label in FIGURE.findall(text)}
    return known
