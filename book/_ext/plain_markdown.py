"""Turn the plain Markdown of the notebooks into the MyST that the book is made of.

What Jupyter, Colab and others show must not need the book: a notebook's text, its own and that of its outputs, is
Markdown with links, numbers that are written out, and labels in HTML comments, which nobody sees. When the book is
built, labels become targets, and what names a number or a published address becomes a reference. CONTRIBUTING.md shows
how each is written.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import yaml
from nbformat import NotebookNode
from pybtex.database import Entry, parse_file
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

FOLDER = "executed/"
INJECTED = "injected-parameters"  # papermill's tag
LABEL = r"<!-- ([a-z]+-[\w-]+) -->"
SECTION = re.compile(rf"^{LABEL}\n(?=#)", re.M)
FIGURE = re.compile(rf"\*\*(Figure [\d.]+)\.\*\*\s(.+)\s{LABEL}", re.S)  # a cell below the one that draws
TABLE = re.compile(rf"^\*\*(Table(?: [\d.]+)?)\.\*\* (.+) {LABEL}\n\n((?:\|.*(?:\n|\Z))+)", re.M)
EQUATION = re.compile(rf"^\$\$\n((?:(?!\$\$).)+?)\s*\\tag{{([\d.]+)}}\n\$\$\n{LABEL}", re.M | re.S)
ALGORITHM = re.compile(rf"^> \*\*(Algorithm [\d.]+)\.\*\* (.+) {LABEL}\n((?:>.*(?:\n|\Z))+)", re.M)
FOLDED = re.compile(r"^<details><summary>(.+)</summary>\n\n(.+?)\n\n</details>$", re.M | re.S)
EXERCISE = re.compile(r"### (Exercise .+)\n")
PARAMETER = re.compile(r"(\w+): \w+ = (.+?) +# (.+)")  # a line of the cell of parameters
CODE = re.compile(r"(^ *```.*?^ *```$|`[^`\n]+`)", re.M | re.S)
NUMBER = re.compile(r"\b(Figure|Table)\s(\d+(?:\.\d+)?)\b|\bEq\.\s\((\d+(?:\.\d+)?)\)")
LINK = re.compile(r"\[((?:[^][]|\[[^]]*\])+)\]\((https?://[^)\s]+)\)")


class Book(NamedTuple):
    """What a notebook's text may refer to."""

    site: str  # address of the published book
    pages: frozenset[str]  # such as "choices" and "executed/speed"
    sections: Mapping[str, str]  # label to page
    numbers: Mapping[str, str]  # "Figure 1.4" or "Eq. (1.1)" to label
    citations: Mapping[str, tuple[str, str, str]]  # address to key, authors and year


class Fault(Exception):
    """What is wrong with a text, and the remedy."""


def references(bibliography: Path) -> dict[str, tuple[str, str, str]]:
    """For every entry that has an address: its key, its authors as they are named in a text, its year."""
    entries: Mapping[str, Entry] = parse_file(bibliography).entries
    return {address: (key, _authors(e), e.fields["year"]) for key, e in entries.items() if (address := _address(e))}


def _address(entry: Entry) -> str | None:
    """Where a publication can be read: its url, or else on arXiv, or else by its doi."""
    prefixes = {"url": "", "eprint": "https://arxiv.org/abs/", "doi": "https://doi.org/"}
    return next((prefix + entry.fields[name] for name, prefix in prefixes.items() if name in entry.fields), None)


def _authors(entry: Entry) -> str:
    names = [" ".join(person.last_names) for person in entry.persons["author"]]
    return f"{names[0]} et al." if len(names) > 2 else " and ".join(names)


def chapter_numbers(toc: Path) -> dict[str, str]:
    """The pages of the table of contents' numbered part, each with what its numbers begin with, such as "1."."""
    parts = yaml.safe_load(toc.read_text()).get("parts", [])
    numbered = [chapter["file"] for part in parts if part.get("numbered") for chapter in part["chapters"]]
    return {page: f"{number}." for number, page in enumerate(numbered, start=1)}


def texts(notebook: NotebookNode) -> Iterator[tuple[int, str]]:
    """Every Markdown of a notebook, cells and outputs, each with the number of its cell, from 1."""
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type == "markdown":
            yield number, cell.source
        for output in cell.get("outputs", []):
            if "text/markdown" in output.get("data", {}):
                yield number, output.data["text/markdown"]


def labels(notebook: NotebookNode, page: str, chapter: str) -> tuple[list[str], dict[str, str]]:
    """The labels of a notebook's sections, and by number those of its figures, tables and equations.

    Args:
        notebook: executed, or its source, which has no tables.
        page: its name, for errors.
        chapter: what its numbers begin with, "1." or "".

    Raises:
        ExtensionError: a figure, an equation or an algorithm whose number is not that of its place.
    """
    sections: list[str] = []
    numbers: dict[str, str] = {}
    places: dict[str, int] = {}
    for cell, text in texts(notebook):
        sections += SECTION.findall(text)
        numbers |= {name: label for name, _, label, _ in TABLE.findall(text)}
        found = [(name, label) for name, _, label in FIGURE.findall(text)]
        found += [(f"Equation {number}", label) for _, number, label in EQUATION.findall(text)]
        found += [(name, label) for name, _, label, _ in ALGORITHM.findall(text)]
        for name, label in found:
            kind, number = name.split()
            places[kind] = places.get(kind, 0) + 1
            if number != (right := f"{chapter}{places[kind]}"):
                raise ExtensionError(f"{page}, cell {cell}: {name} ({label}) has the place of {right}: number it so")
            numbers[f"Eq. ({number})" if kind == "Equation" else name] = label
    return sections, numbers


def myst(text: str, book: Book) -> str:
    """A text as MyST.

    Raises:
        Fault: a number that nothing has, an address that is not in the book, a citation in other words than the
            bibliography's, a label in a place where it labels nothing.
    """
    text = SECTION.sub(r"(\1)=\n", text)
    text = TABLE.sub(lambda m: f"~~~{{table}} {m[2]}\n:name: {m[3]}\n\n{m[4].rstrip()}\n~~~\n", text)
    text = EQUATION.sub(lambda m: f"$$\n{m[1]}\n$$ ({m[3]})", text)
    text = ALGORITHM.sub(_algorithm, text)
    text = FOLDED.sub(_dropdown, text)
    parts = CODE.split(text)  # every other one is code
    parts[::2] = [NUMBER.sub(_using(book, _number), LINK.sub(_using(book, _link), part)) for part in parts[::2]]
    text = "".join(parts)
    if stray := re.search(LABEL, text):
        raise Fault(f"the label {stray[1]} stands where it labels nothing; CONTRIBUTING.md shows where it goes")
    return text


def _using(book: Book, replace: Callable[[Book, re.Match[str]], str]) -> Callable[[re.Match[str]], str]:
    return lambda found: replace(book, found)


def _algorithm(found: re.Match[str]) -> str:
    lines = "".join(line.removeprefix(">").removeprefix(" ") for line in found[4].splitlines(keepends=True))
    return f"```{{prf:algorithm}} {found[2]}\n:label: {found[3]}\n\n{lines.strip()}\n```\n"


def _dropdown(found: re.Match[str]) -> str:
    options = ":class-container: solution\n\n" if found[1] == "Solution" else ""
    return f":::{{dropdown}} {found[1]}\n{options}{found[2]}\n:::"


def _number(book: Book, found: re.Match[str]) -> str:
    kind, number, equation = found.groups()
    name = f"Eq. ({equation})" if equation else f"{kind} {number}"
    if name in book.numbers:
        return f"{{{'eq' if equation else 'numref'}}}`{book.numbers[name]}`"
    if "." in (equation or number):  # without a dot it is the paper's
        raise Fault(f"there is no {name}; the captions and tags of the notebooks have the numbers that there are")
    return found[0]


def _link(book: Book, found: re.Match[str]) -> str:
    text, address = " ".join(found[1].split()), found[2]
    if address.startswith(book.site):
        page, _, label = address.removeprefix(book.site).partition("#")
        page = page.removesuffix(".html")
        if page not in book.pages or (label and book.sections.get(label) != page):
            raise Fault(f"{address} is not in the book: correct the page, or the label after #")
        source = f"{page.removeprefix(FOLDER)}.ipynb" if page.startswith(FOLDER) else f"../{page}.md"
        return f"[{text}]({label or source})"
    if address in book.citations:
        key, authors, year = book.citations[address]
        roles = {f"{authors} ({year})": "cite:t", f"({authors}, {year})": "cite:p"}
        if text not in roles:
            raise Fault(f"[{text}] cites {key}: write {' or '.join(roles)}")
        return f"{{{roles[text]}}}`{key}`"
    return found[0]


def convert(notebook: NotebookNode, page: str, book: Book) -> None:
    """Make a notebook's Markdown MyST, its captions those of figures, its parameters a table, and each exercise one
    part, in place.

    Raises:
        ExtensionError: a fault of a text, with the notebook and the cell.
    """
    cells: list[NotebookNode] = []
    for number, cell in enumerate(notebook.cells, start=1):
        try:
            if cell.cell_type == "markdown" and (caption := FIGURE.fullmatch(cell.source.strip())):
                if not cells or cells[-1].cell_type != "code":
                    raise Fault("the caption of a figure goes right below the code that draws it")
                figure = {"name": caption[3], "caption": myst(" ".join(caption[2].split()), book)}
                cells[-1].metadata.setdefault("mystnb", {})["figure"] = figure
                continue
            if INJECTED in cell.metadata.get("tags", []):
                continue
            if "parameters" in cell.metadata.get("tags", []):
                given = next((c.source for c in notebook.cells if INJECTED in c.metadata.get("tags", [])), "")
                cell = nbformat.v4.new_markdown_cell(_parameters(cell.source, given), id=cell.id)
            elif cell.cell_type == "markdown":
                cell.source = myst(cell.source, book)
            for output in cell.get("outputs", []):
                if "text/markdown" in (data := output.get("data", {})):
                    data.pop("text/html", None)  # the same, for those who do not know MyST
                    data["text/markdown"] = myst(data["text/markdown"], book)
        except Fault as fault:
            raise ExtensionError(f"{page}, cell {number}: {fault}") from None
        cells.append(cell)
    notebook.cells = list(_with_exercises(cells))


def _parameters(source: str, given: str) -> str:
    """What may be set, folded: a table of the cell's parameters, and what papermill was given for this run."""
    rows = []
    for line in source.splitlines():
        if (found := PARAMETER.fullmatch(line)) is None:
            raise Fault(f"a parameter is written as name: type = default  # what it is; this is not: {line}")
        rows.append(f"| `{found[1]}` = {_code(found[2])} | {found[3].replace('|', chr(92) + '|')} |")
    table = "\n".join(["| parameter and default | what it is |", "| :-- | :-- |", *rows])
    lines = [line for line in given.splitlines() if line and not line.startswith("#")]
    run = f"\n\nThis run was given {', '.join(map(_code, lines))}." if lines else ""
    return f":::{{dropdown}} Parameters\n{table}{run}\n:::"


def _code(text: str) -> str:
    return f"`{text}`"


def _with_exercises(cells: Iterable[NotebookNode]) -> Iterator[NotebookNode]:
    """The cells, those of an exercise as one: its text, its code without output, its hints and solutions."""
    exercise: NotebookNode | None = None
    for cell in cells:
        code = cell.cell_type == "code"
        goes_on = "exercise" in cell.metadata.get("tags", []) if code else not cell.source.startswith("#")
        if exercise and goes_on:
            exercise.source += f"\n\n```python\n{cell.source}\n```" if code else f"\n\n{cell.source}"
            continue
        if exercise:
            exercise.source += "\n::::"
            yield exercise
        exercise = None
        if not code and EXERCISE.match(cell.source):
            exercise = cell
            exercise.source = EXERCISE.sub(r"::::{dropdown} \1\n:class-container: exercise\n", cell.source, count=1)
        else:
            yield cell
    if exercise:
        exercise.source += "\n::::"
        yield exercise


def read_book(app: Sphinx, env: Any, pages: list[str]) -> None:
    """Find what the notebooks' texts may refer to, before the first is read."""
    source = Path(app.srcdir)
    chapters = chapter_numbers(source / "_toc.yml")
    sections: dict[str, str] = {}
    numbers: dict[str, dict[str, str]] = {}
    for page in env.found_docs:
        if page.startswith(FOLDER) and (file := source / f"{page}.ipynb").exists():
            found, numbers[page] = labels(nbformat.read(file, as_version=4), page, chapters.get(page, ""))
            sections |= dict.fromkeys(found, page)
    shared = {name: label for page in numbers if page in chapters for name, label in numbers[page].items()}
    citations = references(source / "references.bib")
    app.plain_markdown = {  # type: ignore[attr-defined]
        page: Book(app.config.ogp_site_url, frozenset(env.found_docs), sections, shared | own, citations)
        for page, own in numbers.items()
    }


def read_notebook(app: Sphinx, page: str, source: list[str]) -> None:
    if book := app.plain_markdown.get(page):  # type: ignore[attr-defined]
        notebook = nbformat.reads(source[0], as_version=4)
        convert(notebook, page, book)
        source[0] = nbformat.writes(notebook)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("env-before-read-docs", read_book)
    app.connect("source-read", read_notebook)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
