"""Fold what need not be read at once: native `<details>` on the book's pages, which work without scripts.

A section is folded below its heading where the comment `<!-- details -->` stands above that heading, and a table of
more than ROWS rows below its caption. In the student edition, a section with `<!-- predict -->` above its heading is
covered by a line that asks for a prediction first. Headings keep their numbers, addresses and entries in the tables of
contents, and `_assets/folded.js` opens what a link leads into. The picture of a figure gets a box that scrolls on a
narrow screen.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

MARK, PREDICT = "<!-- details -->", "<!-- predict -->"
ASKED = "Covered: write down first what you expect to find here."
ROWS = 10
OPEN, CLOSE = '<details class="folded {}">\n<summary>', "</details>"


def marked_sections(doctree: nodes.document, page: str, mark: str) -> list[nodes.section]:
    """The sections whose headings come right after a mark; the marks are taken away.

    Raises:
        ExtensionError: a mark that no heading follows.
    """
    found: list[nodes.section] = []
    is_marked = False
    for node in list(doctree.findall(nodes.Element)):
        if isinstance(node, nodes.raw) and node.astext().strip() == mark:
            node.parent.remove(node)
            is_marked = True
        elif is_marked and isinstance(node, nodes.section):
            found.append(node)
            is_marked = False
        elif is_marked and not isinstance(node, nodes.target):
            break
    if is_marked:
        raise ExtensionError(f"{page}: {mark} goes on the line above a heading, or above its label")
    return found


def fold_section(section: nodes.section) -> None:
    place = section.first_child_matching_class(nodes.title)
    section[place : place + 1] = [_html(OPEN.format("folded-section")), section[place], _html("</summary>")]
    section += _html(CLOSE)


def cover_section(section: nodes.section) -> None:
    place = section.first_child_matching_class(nodes.title) + 1
    section[place:place] = [_html(OPEN.format("covered")), nodes.inline("", ASKED), _html("</summary>")]
    section += _html(CLOSE)


def fold_table(table: nodes.table, number: str) -> None:
    """Move a table's caption into the line below which the table is folded."""
    title = table.pop(table.first_child_matching_class(nodes.title))
    parts = [nodes.inline("", f"{number} ", classes=["caption-number"]), *title.children]
    caption = nodes.inline("", "", *parts, classes=["caption"])
    parent, place = table.parent, table.parent.index(table)
    parent[place : place + 1] = [_html(OPEN.format("folded-table")), caption, _html("</summary>"), table, _html(CLOSE)]


def box_picture(figure: nodes.figure) -> None:
    if (place := figure.first_child_matching_class(nodes.image)) is not None:
        figure[place : place + 1] = [_html('<div class="figure-scroll">'), figure[place], _html("</div>")]


def unfolds(part: nodes.Element) -> bool:
    return any(raw.astext().startswith("<details") for raw in part.findall(nodes.raw))


def unfold_below(doctree: nodes.document) -> None:
    """Give `<details>` at the end of a table's cell a row of its own below, as wide as the table."""
    for row in [row for row in doctree.findall(nodes.row) if unfolds(row)]:
        for text in [text for text in row.findall(nodes.paragraph) if unfolds(text)]:
            place = next(n for n, part in enumerate(text) if part.astext().startswith("<details"))
            below = nodes.entry("", *text[place:], morecols=len(row) - 1)
            del text[place:]
            row.parent.insert(row.parent.index(row) + 1, nodes.row("", below))


def is_long(table: nodes.table) -> bool:
    if unfolds(table):  # row by row
        return False
    rows = sum(len(body) for body in table.findall(nodes.tbody))
    return rows > ROWS and table.first_child_matching_class(nodes.title) is not None


def fold(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Fold a page of HTML, when its references are resolved and its headings are in the tables of contents."""
    if app.builder.format != "html":
        return
    for section in marked_sections(doctree, page, MARK):
        fold_section(section)
    for section in marked_sections(doctree, page, PREDICT):
        if "student" in app.tags:
            cover_section(section)
    for figure in doctree.findall(nodes.figure):
        box_picture(figure)
    unfold_below(doctree)
    numbers = app.env.toc_fignumbers.get(page, {}).get("table", {})
    for table in [table for table in doctree.findall(nodes.table) if is_long(table)]:
        own = next((numbers[label] for label in table["ids"] if label in numbers), ())
        fold_table(table, app.config.numfig_format["table"] % ".".join(map(str, own)) if own else "")


def _html(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_js_file("folded.js", loading_method="defer")
    app.connect("doctree-resolved", fold)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
