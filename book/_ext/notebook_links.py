"""Point a page's launch and edit buttons at the notebook's source.

The book is built from executed copies, which are not in the repository.
"""

from typing import Any

from sphinx.application import Sphinx

EXECUTED, SOURCES = "/book/executed/", "/notebooks/"


def point_at_source(buttons: list[dict[str, Any]]) -> None:
    """Rewrite the links of the theme's header buttons, groups of buttons included."""
    for button in buttons:
        if "url" in button:
            button["url"] = button["url"].replace(EXECUTED, SOURCES)
        point_at_source(button.get("buttons", []))


def on_page(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    point_at_source(context.get("header_buttons", []))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", on_page, priority=900)  # after the theme made its buttons
    return {"parallel_read_safe": True, "parallel_write_safe": True}
