"""Take the role of a list from what holds the bibliography's entries.

Docutils gives the entries a role of their own, so that to a screen reader it would be a list of nothing.
"""

from typing import Any

from sphinx.application import Sphinx


def without_list_role(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    if "body" in context:
        context["body"] = context["body"].replace('role="list" class="citation-list"', 'class="citation-list"')


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", without_list_role)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
