"""What is folded on the book's pages, as a tree of docutils (book/_ext/folded.py); test_book_offline.py opens it."""

from types import SimpleNamespace

import pytest
from docutils import nodes
from scripts import load
from sphinx.errors import ExtensionError

folded = load("_ext/folded.py")


def section(name: str, *content: nodes.Node) -> nodes.section:
    return nodes.section("", nodes.title(text=name), *content, ids=[name])


def mark(text: str = folded.MARK) -> nodes.raw:
    return nodes.raw("", text, format="html")


def table(rows: int, label: str = "tbl-a") -> nodes.table:
    body = nodes.tbody("", *(nodes.row("", nodes.entry("", nodes.paragraph(text="1"))) for _ in range(rows)))
    return nodes.table("", nodes.title(text="A caption."), nodes.tgroup("", body, cols=1), ids=[label])


def fold(*content: nodes.Node, builder: str = "html", tags: tuple[str, ...] = ()) -> nodes.section:
    page = nodes.document(None, None, "", section("page", *content))
    app = SimpleNamespace(
        builder=SimpleNamespace(format=builder),
        tags=tags,
        env=SimpleNamespace(toc_fignumbers={"one": {"table": {"tbl-a": (2, 1)}}}),
        config=SimpleNamespace(numfig_format={"table": "Table %s"}),
    )
    folded.fold(app, page, "one")
    return page[0]


def html(node: nodes.Element) -> list[str]:
    """What a part holds: HTML as it is written, the others by their kind."""
    return [child.astext() if isinstance(child, nodes.raw) else child.tagname for child in node.children]


def test_a_marked_section_is_folded_below_its_heading() -> None:
    before = section("before", nodes.paragraph(text="Text."), mark())
    label = nodes.target("", "", refid="sec-more")
    page = fold(before, label, section("more", nodes.paragraph(text="More.")), section("after"))
    assert html(before) == ["title", "paragraph"]
    more, after = page[-2:]
    assert html(more) == [
        '<details class="folded folded-section">\n<summary>',
        "title",
        "</summary>",
        "paragraph",
        "</details>",
    ]
    assert more["ids"] == ["more"]
    assert html(after) == ["title"]


def test_a_mark_without_a_heading_is_an_error() -> None:
    for content in ([mark(), nodes.paragraph(text="Text."), section("more")], [section("more"), mark()]):
        with pytest.raises(ExtensionError, match="one: <!-- details --> goes on the line above a heading"):
            fold(*content)


def test_what_is_to_be_predicted_is_covered_in_the_student_edition_alone() -> None:
    def page(tags: tuple[str, ...]) -> nodes.section:
        first = section("first", nodes.paragraph(text="The result."), mark(folded.PREDICT))
        return fold(mark(folded.PREDICT), first, section("second", nodes.paragraph(text="More.")), tags=tags)

    assert [html(part) for part in page(())[1:]] == [["title", "paragraph"], ["title", "paragraph"]]
    for part in page(("student",))[1:]:
        before, summary, after, text, end = html(part)[1:]
        assert (before, after, end) == ('<details class="folded covered">\n<summary>', "</summary>", "</details>")
        assert (part[0].tagname, summary, text) == ("title", "inline", "paragraph")
        assert part[2].astext() == folded.ASKED


def test_a_long_table_is_folded_below_its_number_and_caption() -> None:
    page = fold(table(11), table(10, "tbl-b"))
    assert html(page) == [
        "title",
        '<details class="folded folded-table">\n<summary>',
        "inline",
        "</summary>",
        "table",
        "</details>",
        "table",
    ]
    assert page[2].astext() == "Table 2.1 A caption."
    assert [part.first_child_matching_class(nodes.title) for part in (page[4], page[6])] == [None, 0]
    assert page[4]["ids"] == ["tbl-a"]


def test_a_long_table_without_a_caption_stays() -> None:
    page = fold(nodes.table("", nodes.tgroup("", nodes.tbody("", *(nodes.row() for _ in range(20))), cols=1)))
    assert html(page) == ["title", "table"]


def test_what_unfolds_in_a_cell_has_a_row_of_its_own_below() -> None:
    unfolding = (
        nodes.raw("", "<details>", format="html"),
        nodes.Text("More."),
        nodes.raw("", "</details>", format="html"),
    )
    long = table(11)
    first = next(long.findall(nodes.row))
    first[0][0] += unfolding
    first += nodes.entry("", nodes.paragraph(text="2"))
    assert html(fold(long)) == ["title", "table"]
    assert first.astext() == "1\n\n2"
    below = first.parent[1]
    assert html(below[0]) == ["<details>", "#text", "</details>"]
    assert below[0]["morecols"] == 1
    assert len(first.parent) == 12


def test_the_picture_of_a_figure_has_a_box() -> None:
    figure = nodes.figure("", nodes.image(uri="a.svg"), nodes.caption(text="A caption."))
    fold(figure)
    assert html(figure) == ['<div class="figure-scroll">', "image", "</div>", "caption"]


def test_what_is_not_html_stays_as_it_is() -> None:
    page = fold(mark(), section("more"), table(20), builder="latex")
    assert html(page) == ["title", folded.MARK, "section", "table"]
