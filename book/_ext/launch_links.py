"""Links that open each notebook elsewhere: on Colab, on a Binder, on a JupyterHub.

Every address is from `_config.yml`: `repository` says whose copy of the project is opened, `launch_buttons` where. So
the links of a fork's book lead to the fork.
"""

from collections.abc import Mapping
from html import unescape
from typing import Any
from urllib.parse import urlencode, urlsplit

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

EXECUTED, SOURCES = "executed/", "notebooks/"
HUB = "https://hub.example.org"  # where no JupyterHub is set


def colab(theme: Mapping[str, Any], notebook: str) -> str:
    """Where Colab opens a file of the repository.

    Args:
        theme: the theme's options: `repository_url`, `repository_branch` and `launch_buttons`.
        notebook: the file's path in the repository.
    """
    return f"{_service(theme, 'colab_url')}/github/{_name(theme)}/blob/{theme['repository_branch']}/{notebook}"


def binder(theme: Mapping[str, Any], notebook: str) -> str:
    """Where a Binder builds the repository, and opens a file of it in JupyterLab; arguments as of :func:`colab`."""
    place = f"{_service(theme, 'binderhub_url')}/v2/gh/{_name(theme)}/{theme['repository_branch']}"
    return f"{place}?urlpath=lab/tree/{notebook}"


def jupyterhub(theme: Mapping[str, Any], notebook: str) -> str:
    """Where nbgitpuller fetches the repository into a student's home and opens a file of it; as :func:`colab`."""
    folder = _name(theme).partition("/")[2]  # into which it clones
    query = {
        "repo": theme["repository_url"],
        "urlpath": f"lab/tree/{folder}/{notebook}",
        "branch": theme["repository_branch"],
    }
    return f"{_service(theme, 'jupyterhub_url') or HUB}/hub/user-redirect/git-pull?{urlencode(query, safe='/')}"


def _service(theme: Mapping[str, Any], setting: str) -> str:
    return theme["launch_buttons"].get(setting, "").rstrip("/")


def _name(theme: Mapping[str, Any]) -> str:
    return urlsplit(theme["repository_url"]).path.strip("/")


class LaunchLinks(SphinxDirective):
    """A table of all notebooks with a link for each place that `launch_buttons` sets."""

    def run(self) -> list[nodes.Node]:
        theme = self.config.html_theme_options
        services = {"Colab": (colab, "colab_url"), "Binder": (binder, "binderhub_url")}
        services["JupyterHub"] = (jupyterhub, "jupyterhub_url")
        places = {name: link for name, (link, setting) in services.items() if _service(theme, setting)}
        lines = ["| notebook | opens on |", "| :-- | :-- |"]
        for page in sorted(page for page in self.env.found_docs if page.startswith(EXECUTED)):
            if str(self.env.doc2path(page)).endswith(".ipynb"):
                notebook = page.replace(EXECUTED, SOURCES) + ".ipynb"
                links = [f"[{name}]({link(theme, notebook)})" for name, link in places.items()]
                lines.append(f"| [](/{page}.ipynb) | {' · '.join(links)} |")
        table = nodes.container()
        self.state.nested_parse(StringList(lines), self.content_offset, table)
        for link in table.findall(nodes.reference):
            link["refuri"] = unescape(link["refuri"])  # MyST escapes it, and docutils does so again
        return table.children


class HubLink(SphinxDirective):
    """nbgitpuller's link to the notebook that is named, as a text to copy."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        link = jupyterhub(self.config.html_theme_options, f"{SOURCES}{self.arguments[0]}")
        return [nodes.literal_block(link, link, language="none", classes=["wrapped"])]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("launch-links", LaunchLinks)
    app.add_directive("hub-link", HubLink)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
