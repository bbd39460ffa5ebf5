"""Print the built book, each chapter and the whole of it, as PDF: what make pdf does.

    python book/pdf.py

Chromium prints what make book has built, into `book/_build/pdf`: A4, in light colours, with page numbers and an
outline, and everything open that the pages fold; what the student edition covers, until it is predicted, begins on the
next page. The whole book is printed from one page that holds all articles, so that links from chapter to chapter lead
within it. In the PDF of a chapter they lead to the published book.
"""

import posixpath
import shutil
import sys
import tempfile
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import execute
import yaml
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import Browser, PdfMargins, sync_playwright

from snslib import locks
from snslib.book.labels import SITE

BUILT = execute.ROOT / "book" / "_build" / "html"
ARTICLE = "article.bd-article"
WHOLE = "book"  # name of the PDF that holds all pages
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
MINUTES = 20  # after which the whole book is not printed any more
MARGINS: PdfMargins = {"top": "18mm", "bottom": "18mm", "left": "16mm", "right": "16mm"}
SCALE = 0.8  # letters of 10 points, and lines as long as on the screen
FOOTER = """<div style="width: 100%; font: 8px Helvetica, sans-serif; color: #555; text-align: center">
<span class="pageNumber"></span> of <span class="totalPages"></span></div>"""
STYLE = """
:root { --pst-font-size-base: 16px }
body { background: #fff }
article + article { break-before: page }
.bd-article { padding: 0 !important; max-width: none }
.bd-article .headerlink, details.hide > summary, .sd-summary-state-marker { display: none !important }
.bd-article :is(.pst-scrollable-table-container, .figure-scroll, pre, mjx-container) { overflow: visible !important }
.bd-article pre { white-space: pre-wrap; overflow-wrap: anywhere }
.bd-article table caption { position: static; max-width: none }
.bd-article table :is(th, td) { padding: .1rem .5rem; font-size: .92em }
.bd-article table:not(:has(tbody tr:nth-child(13))), figure, tr, summary { break-inside: avoid }
details.below-input pre { margin: 0; border: 0; padding: 0 .5rem; font-size: .6rem; line-height: 1.2 }
details.below-input .output { margin: 0 !important }
summary, h1, h2, h3, h4 { break-after: avoid }
details.covered > summary { break-after: page }
"""
READY = """async () => {
    const set = window.MathJax?.startup?.promise;
    await set;
    await document.fonts.ready;
    for (const wide of document.querySelectorAll(".bd-article :is(table, div.math)")) {
        const room = wide.closest(".bd-article").clientWidth, by = room / wide.scrollWidth;
        if (by < 1) wide.style.zoom = by;
    }
    return Boolean(set) || !document.querySelector(".math");
}"""


def pages(toc: Path, built: Path) -> list[str]:
    """The pages of the table of contents that were built, in its order, such as "executed/04_sns_training".

    Raises:
        ValueError: none of them is there.
    """
    contents = yaml.safe_load(toc.read_text(encoding="utf-8"))
    names = [contents["root"], *(chapter["file"] for part in contents["parts"] for chapter in part["chapters"])]
    found = [name for name in names if (built / f"{name}.html").exists()]
    if not found:
        raise ValueError(f"there is no built book in {built} to print: make book first")
    return found


def one_page(names: Iterable[str], built: Path) -> str:
    """The articles of some pages one after another, on a page that is to lie in the folder ``built``.

    What they fold is open, and sliders, which are no use on paper, stay out. A link to one of the pages leads there,
    and any other into the book to the published one.

    Args:
        names: of the pages, at least one.
        built: folder of the book's pages.
    """
    texts = {name: (built / f"{name}.html").read_text(encoding="utf-8") for name in names}
    head: dict[str, None] = {}  # every style and script once
    articles: list[str] = []
    titles: list[str] = []
    for name, text in texts.items():
        page = BeautifulSoup(text, "html.parser")
        for tag in page.select(f"head :is(title, link[rel=stylesheet], script), {ARTICLE}, {ARTICLE} *"):
            _move(tag, name, texts)
            if tag.name == "title":
                titles.append(str(tag))
            elif tag.name == "link" or (tag.name == "script" and "mathjax" in str(tag).lower()):
                head[str(tag)] = None
        articles += map(str, page.select(ARTICLE))
    return (
        f'<!doctype html><html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">{titles[0]}'
        f"{''.join(head)}<style>{STYLE}</style></head><body>{''.join(articles)}</body></html>"
    )


def _move(tag: Tag, name: str, pages: Container[str]) -> None:
    """Adapt a tag of the page ``name`` to a page in the root of the book that holds several: open, ids and links."""
    if tag.name == "details":
        tag["open"] = ""
    if tag.name == "img":
        tag.attrs.pop("loading", None)
    if "id" in tag.attrs or tag.name == "article":
        tag["id"] = _anchor(name, str(tag.get("id", "")))
    for attribute in {"href", "src"} & tag.attrs.keys():
        address = urlsplit(str(tag[attribute]))
        if address.scheme:
            continue
        beside = posixpath.join(posixpath.dirname(name), address.path)
        path = posixpath.normpath(beside) if address.path else f"{name}.html"
        page = path.removesuffix(".html")
        if tag.name != "a":
            tag[attribute] = path
        elif page in pages:
            tag[attribute] = f"#{_anchor(page, address.fragment)}"
        else:
            tag[attribute] = f"{SITE}{path}" + (f"#{address.fragment}" if address.fragment else "")


def _anchor(name: str, label: str) -> str:
    """The id of a label among those of several pages; without a label that of the page's article."""
    return f"{posixpath.basename(name)}--{label or 'top'}"


@contextmanager
def chromium() -> Iterator[Browser]:
    """A Chromium that is there: the system's, or the one that playwright has installed.

    Raises:
        ValueError: there is none.
    """
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        program = next(filter(None, map(shutil.which, PROGRAMS)), own if Path(own).exists() else None)
        if program is None:
            install = f"{Path(sys.executable).with_name('playwright')} install chromium"
            raise ValueError(f"there is no Chromium to print with: install {' or '.join(PROGRAMS)}, or run {install}")
        browser = playwright.chromium.launch(executable_path=program)
        try:
            yield browser
        finally:
            browser.close()


def write(browser: Browser, names: Iterable[str], built: Path, target: Path) -> None:
    """Print some pages of the book in ``built`` as one PDF.

    Args:
        browser: a Chromium.
        names: of the pages, in the order in which they are printed.
        built: folder of the book's pages.
        target: the PDF.

    Raises:
        ValueError: there are formulas, and nothing that sets them; nothing is written then.
    """
    with tempfile.NamedTemporaryFile("w", dir=built, prefix=".", suffix=".html", encoding="utf-8") as file:
        file.write(one_page(names, built))
        file.flush()
        page = browser.new_page()
        page.set_default_timeout(MINUTES * 60_000)
        page.emulate_media(media="print", color_scheme="light")
        page.goto(Path(file.name).as_uri())
        if not page.evaluate(READY):
            raise ValueError(
                f"the formulas of {target.name} need MathJax: install npm and make book, or have a network"
            )
        with locks.written_beside(target) as draft:
            page.pdf(
                path=draft, format="A4", scale=SCALE, margin=MARGINS, print_background=True, outline=True, tagged=True,
                display_header_footer=True, header_template="<span></span>", footer_template=FOOTER,
            )  # fmt: skip
        page.close()


def write_all(browser: Browser, names: list[str], built: Path, target: Path) -> None:
    """Print each page and all of them together to the folder ``target``, which keeps no PDF of an earlier book."""
    for earlier in target.glob("*.pdf"):
        earlier.unlink()
    for name, printed in [*((posixpath.basename(name), [name]) for name in names), (WHOLE, names)]:
        print(target / f"{name}.pdf", flush=True)
        write(browser, printed, built, target / f"{name}.pdf")


def main() -> None:
    with execute.alone(execute.LOCK, "build of the book"):
        names = pages(execute.ROOT / "book" / "_toc.yml", BUILT)
        with chromium() as browser:
            write_all(browser, names, BUILT, BUILT.with_name("pdf"))


if __name__ == "__main__":
    execute.program(main)
