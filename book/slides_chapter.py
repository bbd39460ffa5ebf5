"""What a chapter that was run has to show on a slide: figures, tables, equations, what it found, and its exercises."""

import base64
import re
from collections.abc import Iterator
from functools import cached_property
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from _ext.plain_markdown import EQUATION, FIGURE, LABEL, TABLE
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from nbformat import NotebookNode

from snslib.book import labels

PICTURES = ("image/svg+xml", "image/png")  # of those that a cell has, the first is taken
SETTINGS = re.compile(r"<summary>Settings of this run: (.+?)</summary>")
HEADING = re.compile(r"^##+ (.+)$", re.M)
EXERCISE = re.compile(r"### Exercise (\d\.\d) \((.+?)\): (.+)\n")
FOLDED = re.compile(r"<details><summary>Hint</summary>(.+)</details>", re.S)


class Shown(NamedTuple):
    """Something to show: its HTML, its printed name and its caption as HTML; what has neither has empty ones."""

    html: str
    name: str = ""
    caption: str = ""


class Exercise(NamedTuple):
    """An exercise: its title, its minutes and kind as they are printed, its text and its hint as HTML."""

    title: str
    takes: str
    text: str
    hint: str


class Chapter:
    """A notebook of ``book/executed``, such as the one that is called "04_sns_training".

    Raises:
        ValueError: it is not there.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise ValueError(f"slides show what {path.name} made, and {path} is not there: run the chapters, make book")
        self.name = path.stem
        self._notebook = nbformat.read(path, as_version=4)

    @cached_property
    def title(self) -> str:
        source: str = self._notebook.cells[0].source
        return re.findall(r"^# (.+)$", source, re.M)[0]

    @cached_property
    def settings(self) -> str:
        """With which profile it was run, as it says itself; empty where it does not."""
        found = (SETTINGS.search(text) for cell in self._notebook.cells for text in _outputs(cell))
        return next((settings[1] for settings in found if settings), "")

    @cached_property
    def shown(self) -> dict[str, Shown]:
        """By label its figures, tables and equations, and by heading the text that the cells below it put out."""
        return dict(_shown(self._notebook))

    @cached_property
    def exercises(self) -> dict[str, Exercise]:
        """By number, such as "4.1". There is no solution in them, and no code, which the notebook has."""
        return dict(_exercises(self._notebook))


def html(markdown: str) -> str:
    """Markdown of notebooks and slides as HTML, with links into the book as they are from the folder of the slides."""
    parser = MarkdownIt("commonmark", {"html": True}).enable("table").use(dollarmath_plugin, renderer=_formula)
    made: str = parser.render(re.sub(rf" ?{LABEL}", "", markdown).replace(f"]({labels.SITE}", "](../"))
    return made


def line(markdown: str) -> str:
    """A line of Markdown as HTML without a paragraph around it."""
    return html(markdown).strip().removeprefix("<p>").removesuffix("</p>")


def _formula(tex: str, options: dict[str, Any]) -> str:
    left, right = (r"\[", r"\]") if options["display_mode"] else (r"\(", r"\)")
    return f"{left}{escape(tex, quote=False)}{right}"


def _outputs(cell: NotebookNode) -> Iterator[str]:
    """The Markdown that a cell put out."""
    for output in cell.get("outputs", []):
        if text := output.get("data", {}).get("text/markdown"):
            yield text


def _shown(notebook: NotebookNode) -> Iterator[tuple[str, Shown]]:
    heading, found, picture = "", [], ""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            picture = _picture(cell)
            for text in _outputs(cell):
                if table := TABLE.search(text):
                    yield table[3], Shown(html(table[4]), table[1], html(f"**{table[1]}.** {table[2]}"))
                elif heading:
                    found.append(text)
                    yield heading, Shown(f'<div class="found">{html(chr(10).join(found))}</div>')
            continue
        if (caption := FIGURE.fullmatch(cell.source.strip())) and picture:
            yield caption[3], Shown(picture, caption[1], html(f"**{caption[1]}.** {caption[2]}"))
        for tex, number, label in EQUATION.findall(cell.source):
            formula = html(f"$$\n{tex}\n$$")
            yield label, Shown(f'<div class="equation">{formula}<span>({number})</span></div>', f"Eq. ({number})")
        if headings := HEADING.findall(cell.source):
            heading, found = headings[-1], []


def _picture(cell: NotebookNode) -> str:
    """The picture that a cell drew, to stand within a page; empty where it drew none, as a slider does not."""
    for kind in PICTURES:
        for output in cell.get("outputs", []):
            if content := output.get("data", {}).get(kind):
                data = content.strip() if kind.endswith("png") else base64.b64encode(content.encode()).decode()
                return f'<img alt="" src="data:{kind};base64,{data}">'
    return ""


def _exercises(notebook: NotebookNode) -> Iterator[tuple[str, Exercise]]:
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    starts = [place for place, text in enumerate(texts) if EXERCISE.match(text)]
    for start, end in pairwise([*starts, len(texts)]):
        number, takes, title = EXERCISE.match(texts[start]).groups()  # type: ignore[union-attr]
        own = [EXERCISE.sub("", texts[start]), *texts[start + 1 : end]]
        hint = next((found[1] for text in own if (found := FOLDED.search(text))), "")
        asked = "\n\n".join(text for text in own if not text.startswith("<details>"))
        yield number, Exercise(line(title), takes, html(asked), html(hint))
