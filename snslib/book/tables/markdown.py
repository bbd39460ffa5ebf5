"""A numbered table, as Markdown and as HTML."""

import re
from collections.abc import Sequence

from IPython.display import Markdown
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from mdit_py_plugins.dollarmath import dollarmath_plugin

from snslib.book import labels
from snslib.book.text import in_a_cell


class NumberedTable(Markdown):
    """A table with a number and a caption: Markdown, which the book reads, and HTML, which notebooks show."""

    def __init__(self, number: str, caption: str, body: str, label: str) -> None:
        """
        Args:
            number: the printed name, such as "Table 1.3".
            caption: a sentence or two, as Markdown.
            body: header, rule and rows as lines of Markdown.
            label: what the book refers to it by.
        """
        super().__init__(f"**{number}.** {caption} <!-- {label} -->\n\n{body}")
        self.number, self.caption, self.body = number, caption, body

    def _repr_html_(self) -> str:
        parser = MarkdownIt().enable("table").use(dollarmath_plugin, renderer=_formula)
        caption = parser.renderInline(f"**{self.number}.** {self.caption}")
        return parser.render(self.body).replace("<table>", f"<table>\n<caption>{caption}</caption>", 1)


def markdown_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], caption: str, name: str, align: str | None = None
) -> NumberedTable:
    """A numbered table that the text can refer to.

    Args:
        header: titles of the columns.
        rows: cells as Markdown; a name that somebody gave is one by :func:`snslib.book.text.plain` or ``code``.
        caption: a sentence or two.
        name: the label to refer to it by, such as "tbl-accuracy"; its number is that of :mod:`snslib.book.labels`.
        align: a letter l, c or r per column; by default the first column left and the others right.
    """
    signs = {"l": ":--", "c": ":-:", "r": "--:"}
    align = align or "l" + "r" * (len(header) - 1)
    lines = [header, [signs[letter] for letter in align], *rows]
    body = "\n".join("| " + " | ".join(map(in_a_cell, line)) + " |" for line in lines)
    return NumberedTable(labels.table(name), caption, body, name)


def _formula(tex: str, options: dict[str, object]) -> str:
    r"""A name such as ``J_{avg}`` or ``\mathrm{SNS}_{sen}^{adv}`` in HTML's own letters; else TeX, for MathJax."""
    if name := re.fullmatch(r"(?:\\mathrm{(\w+)}|([A-Za-z]))(?:_{(\w+)})?(?:\^{(\w+)})?", tex):
        tags = ("{}", "<i>{}</i>", "<sub>{}</sub>", "<sup>{}</sup>")
        return "".join(tag.format(part) for tag, part in zip(tags, name.groups(), strict=True) if part)
    return f"${escapeHtml(tex)}$"
