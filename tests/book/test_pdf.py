"""What is printed is the book that was built: all of it open, in order, with links that lead somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from scripts import beside_others

from snslib.book.labels import SITE

pdf = beside_others("pdf")

ROOT = Path(__file__).parents[2]
TOC = """\
root: intro
parts:
  - caption: The paper
    chapters: [{file: executed/01_x}, {file: executed/02_y}]
  - caption: Teaching
    chapters: [{file: teaching}]
"""
PAGE = """<html data-theme="dark"><head><title>{title}</title>
<link rel="stylesheet" href="{up}_static/book.css"><script>localStorage.mode = "dark"</script>
<script>window.MathJax = {{}}</script><script defer src="{up}_static/mathjax.js"></script></head>
<body><nav>Contents</nav><article class="bd-article"><h1 id="start">{title}</h1>{text}</article></body></html>"""
TALL = '<details><summary>More</summary><div style="height: 3000px">folded</div></details>'
FIRST = """<a href="#start">same</a> <a href="02_y.html#start">next</a> <a href="../teaching.html">teachers</a>
<a href="../choices.html#x">other</a> <a href="https://example.org/a">outside</a>
<img loading="lazy" src="../_images/a.svg">"""


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A book of three pages, of which one is not in the table of contents."""
    built = tmp_path / "html"
    (built / "executed").mkdir(parents=True)
    (tmp_path / "_toc.yml").write_text(TOC)
    (built / "intro.html").write_text(PAGE.format(title="Book", up="", text='<a href="executed/01_x.html">one</a>'))
    (built / "executed" / "01_x.html").write_text(PAGE.format(title="One", up="../", text=FIRST + TALL))
    (built / "executed" / "02_y.html").write_text(PAGE.format(title="Two", up="../", text=""))
    (built / "search.html").write_text(PAGE.format(title="Search", up="", text=""))
    return built


def test_pages_come_in_the_order_of_the_contents_as_far_as_they_were_built(built: Path) -> None:
    assert pdf.pages(built.parent / "_toc.yml", built) == ["intro", "executed/01_x", "executed/02_y"]
    assert pdf.pages(ROOT / "book" / "_toc.yml", built) == ["intro"]


def test_without_a_built_book_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no built book in .*html to print: make book first"):
        pdf.pages(ROOT / "book" / "_toc.yml", tmp_path / "html")


def test_one_page_holds_the_articles_open_and_in_order(built: Path) -> None:
    page = BeautifulSoup(pdf.one_page(["intro", "executed/01_x", "executed/02_y"], built), "html.parser")
    assert [article.h1.text for article in page.select("article")] == ["Book", "One", "Two"]
    assert page.title.text == "Book"
    assert page.html["data-theme"] == "light"
    assert all("open" in fold.attrs for fold in page.select("details"))
    assert page.nav is None
    assert [link["href"] for link in page.select("link")] == ["_static/book.css"]
    scripts = [script.get("src", script.text) for script in page.select("script")]
    assert scripts == ["window.MathJax = {}", "_static/mathjax.js"]
    assert page.img.attrs == {"src": "_images/a.svg"}


def test_links_lead_within_the_pdf_or_to_the_published_book(built: Path) -> None:
    def links(*names: str) -> list[str]:
        page = BeautifulSoup(pdf.one_page(names, built), "html.parser")
        ids = [tag["id"] for tag in page.select("[id]")]
        assert len(ids) == len(set(ids))
        found = [str(link["href"]) for link in page.select("a")]
        assert {link[1:] for link in found if link.startswith("#")} <= set(ids)
        return found

    chapter = links("executed/01_x")
    assert chapter == [
        "#01_x--start",
        f"{SITE}executed/02_y.html#start",
        f"{SITE}teaching.html",
        f"{SITE}choices.html#x",
        "https://example.org/a",
    ]
    whole = links("intro", "executed/01_x", "executed/02_y")
    assert whole == ["#01_x--top", "#01_x--start", "#02_y--start", *chapter[2:]]


def test_without_chromium_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pdf.shutil, "which", lambda name: None)
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    says = r"^there is no Chromium .*: install chromium or .*playwright install chromium$"
    with pytest.raises(ValueError, match=says), pdf.chromium():
        pass


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        with pdf.chromium() as browser:
            yield browser
    except ValueError as error:
        pytest.skip(str(error))


def test_what_is_folded_is_printed_and_the_outline_has_the_headings(browser: Any, built: Path, tmp_path: Path) -> None:
    before = sorted(built.rglob("*"))
    pdf.write(browser, ["executed/01_x", "executed/02_y"], built, tmp_path / "pdf" / "book.pdf")
    printed = (tmp_path / "pdf" / "book.pdf").read_bytes()
    assert printed.startswith(b"%PDF")
    assert re.findall(rb"/Title \((One|Two)\)", printed)[-2:] == [b"One", b"Two"]
    assert len(re.findall(rb"/Type /Page\b", printed)) >= 3 + 1  # three pages are folded, and each article begins one
    assert sorted(built.rglob("*")) == before


def test_each_page_and_the_whole_book_are_printed_and_no_earlier_one_stays(
    browser: Any, built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "pdf"
    target.mkdir()
    (target / "teaching.pdf").touch()
    pdf.write_all(browser, ["intro", "executed/02_y"], built, target)
    assert sorted(path.name for path in target.iterdir()) == ["02_y.pdf", "book.pdf", "intro.pdf"]
    assert capsys.readouterr().out.splitlines() == [str(target / f"{name}.pdf") for name in ("intro", "02_y", "book")]


def test_what_is_to_be_predicted_begins_on_the_next_page(browser: Any, built: Path, tmp_path: Path) -> None:
    def printed(kind: str) -> int:
        text = f'<details class="{kind}"><summary>First write down</summary><p>seen</p></details>'
        (built / "intro.html").write_text(PAGE.format(title="Book", up="", text=text))
        pdf.write(browser, ["intro"], built, tmp_path / "intro.pdf")
        return len(re.findall(rb"/Type /Page\b", (tmp_path / "intro.pdf").read_bytes()))

    assert (printed("folded"), printed("covered")) == (1, 2)


def test_a_table_that_is_too_wide_is_made_smaller(browser: Any, built: Path) -> None:
    cell = '<td style="min-width: 400px">x</td>'
    page = browser.new_page()
    page.set_content(f'<article class="bd-article" style="width: 800px"><table><tr>{cell * 4}</tr></table></article>')
    page.evaluate(pdf.READY)
    assert page.evaluate("document.querySelector('table').getBoundingClientRect().width") <= 801
    page.close()


def test_formulas_that_nothing_sets_are_not_printed(browser: Any, built: Path, tmp_path: Path) -> None:
    path = built / "intro.html"
    path.write_text(path.read_text().replace("</h1>", r'</h1><p class="math">\(x\)</p>'))
    with pytest.raises(ValueError, match=r"the formulas of intro\.pdf need MathJax: install npm"):
        pdf.write(browser, ["intro"], built, tmp_path / "pdf" / "intro.pdf")
    assert not (tmp_path / "pdf").exists()


def test_what_cannot_be_printed_leaves_nothing(browser: Any, built: Path, tmp_path: Path) -> None:
    before = sorted(built.rglob("*"))
    with pytest.raises(FileNotFoundError):
        pdf.write(browser, ["executed/03_z"], built, tmp_path / "pdf" / "03_z.pdf")
    assert sorted(built.rglob("*")) == before
    assert not (tmp_path / "pdf").exists()
