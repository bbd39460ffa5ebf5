"""Names that a page, a table or a figure could take for more than names, and what a browser makes of a text."""

from html.parser import HTMLParser

HARMLESS = "conv1"
NAMES = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></svg><b>x",
    "<!-- -->x",
    "a|b",
    "a\\|b",
    "$x_1",
    "$x$ and $$y$$",
    r"$\frac$",
    "`x`",
    "``",
    "*x* __y__ ~~z~~",
    "[x](javascript:alert(1))",
    "![x](https://example.org/x.png)",
    "<https://example.org>",
    "https://example.org",
    "{math}`x`",
    "&lt;b&gt; &amp;",
    "\\",
    "a\nb\n\n# c",
    "=cmd()",
    "-",
    "_hidden",
    "日本語",
)


class Page(HTMLParser):
    """The elements of a page with the names of their attributes, in order, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.attributes += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.elements.append(("comment", ()))


def in_line(name: str) -> str:
    """A name as a line shows it."""
    return " ".join(name.split())
