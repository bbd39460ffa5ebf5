"""The built book in a real browser, from its files and without a network: maths, sliders, links, folds, screens."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nbformat
import pytest
from ipywidgets.embed import dependency_state, embed_data
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from scripts import load
from sphinx.errors import ExtensionError

from snslib.book.widgets import flipbook

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "book" / "_build" / "html"
VENDORED = Path("_static", "vendored")
LABELS = ["2/255", "8/255", "32/255"]

vendored = load("_ext/vendored.py")

AXE = vendored.Package(
    "axe-core",
    "4.11.0",
    "sha512-ilYanEU8vxxBexpJd8cWM4ElSQq4QctCLKih0TSfjIfCQTeyH/6zVrmIJfLPrKTKJRbiG+cfnZbQIjAlJmF1jQ==",
    "axe.min.js",
    "LICENSE",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    if (executable := next(found, None)) is None:
        pytest.skip("there is no Chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, path: Path, **options: Any) -> Iterator[tuple[Any, list[str]]]:
    """A page that has no network, once its maths is set, and what went wrong on it so far."""
    context = browser.new_context(offline=True, **options)
    context.set_default_timeout(120_000)  # for a machine that does much else
    page, problems = context.new_page(), []
    page.on("console", lambda message: message.type == "error" and problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(f"failed: {request.url}"))
    page.on("request", lambda request: request.url.startswith("http") and problems.append(f"asked for {request.url}"))
    page.goto(path.as_uri())
    if options.get("java_script_enabled", True):
        page.evaluate("window.MathJax?.startup.promise.then(() => null)")
        if "widget-view+json" in page.content():
            page.wait_for_selector(".noUi-handle", state="attached")
    yield page, problems
    context.close()


def picture(place: Any) -> str:
    """The text of the picture that is shown in a place with one slider."""
    return place.locator(".widget-html img:visible").get_attribute("alt")


def is_too_wide(page: Any) -> bool:
    return page.evaluate("document.documentElement.scrollWidth > window.innerWidth")


def cut_off(page: Any) -> list[str]:
    """The longest line of each block of code or of printed text that is wider than its place."""
    return page.locator("article pre:visible").evaluate_all(
        "blocks => blocks.filter(block => block.scrollWidth > block.clientWidth)"
        ".map(block => block.innerText.split('\\n').sort((a, b) => b.length - a.length)[0])"
    )


def unfold(page: Any) -> None:
    """Open all that is folded, without waiting for what fades in."""
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    page.evaluate("for (const fading of document.getAnimations()) fading.finish()")


@pytest.fixture(scope="module")
def small_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book of one page, with maths, a slider and a fold, built as the book is; skips without npm's scripts."""
    folder = tmp_path_factory.mktemp("small")
    book = folder / "book"
    shutil.copytree(ROOT / "book" / "_assets", book / "_assets")
    shutil.copy(ROOT / "book" / "references.bib", book)
    (book / "_toc.yml").write_text("format: jb-book\nroot: intro\n")

    frames = [f"<svg xmlns='http://www.w3.org/2000/svg' width='{900 + n}' height='300'/>".encode() for n in range(3)]
    slides = flipbook(frames, LABELS, "eps", [f"picture {label}" for label in LABELS], start=1)
    saved = embed_data([slides], state=dependency_state([slides]))
    shown = new_output("display_data", {"application/vnd.jupyter.widget-view+json": saved["view_specs"][0]})
    figure = {"name": "fig-slider", "caption": "Like {numref}`fig-slider`."}
    notebook = new_notebook(
        cells=[
            new_markdown_cell("# Title\n\n$x^2$\n\n$$\n\\sigma = \\operatorname{sign} \\Omega\n$$ (eq-sigma)"),
            new_code_cell("flipbook()", outputs=[shown], metadata={"mystnb": {"figure": figure}}),
            new_markdown_cell(
                "<!-- details -->\n(sec-folded)=\n## Below\n\nFolded.\n\n(sec-deep)=\n### Deep\n\nInside."
            ),
            new_markdown_cell("## After\n\n[Deep](sec-deep)"),
        ],
        metadata={
            "language_info": {"name": "python", "pygments_lexer": "ipython3"},
            "widgets": {"application/vnd.jupyter.widget-state+json": saved["manager_state"]},
        },
    )
    nbformat.write(notebook, book / "intro.ipynb")

    command = [Path(sys.executable).with_name("jupyter-book"), "build", book, "--config", ROOT / "_config.yml"]
    done = subprocess.run(
        [*command, "--path-output", folder, "-W", "-n", "--all"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if not (folder / "_build" / "html" / VENDORED / "mathjax").exists():
        pytest.skip("npm could not fetch the scripts")
    return folder / "_build" / "html" / "intro.html"


def test_maths_is_set(browser: Any, small_page: Path) -> None:
    with opened(browser, small_page) as (page, problems):
        assert page.locator("mjx-container").count() == 2
        assert page.evaluate("document.fonts.check('16px MJXTEX-I')")
        assert not problems


def test_a_slider_turns_the_pages_by_keys_and_by_mouse(browser: Any, small_page: Path) -> None:
    with opened(browser, small_page) as (page, problems):
        assert picture(page) == "picture 8/255"
        handle = page.get_by_role("slider", name="eps")
        assert handle.get_attribute("aria-valuetext") == "8/255"
        handle.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_selector("img[alt='picture 32/255']:visible")
        assert handle.get_attribute("aria-valuetext") == "32/255"
        page.locator(".noUi-target").click(position={"x": 2, "y": 2})
        page.wait_for_selector("img[alt='picture 2/255']:visible")
        assert page.locator(".widget-html img:visible").count() == 1
        assert not problems


def test_a_slider_keeps_to_the_screen_and_off_the_paper(browser: Any, small_page: Path) -> None:
    with opened(browser, small_page, viewport={"width": 390, "height": 800}, color_scheme="dark") as (page, problems):
        assert not is_too_wide(page)
        assert page.locator(".widget-html img:visible").bounding_box()["width"] == 36 * 16  # its text can be read
        box = page.locator(".widget-html-content:has(img:visible)").bounding_box()  # in which it scrolls
        assert box["x"] + box["width"] <= 390
        page.emulate_media(media="print")
        assert not page.locator(".widget-subarea").is_visible()
        assert page.locator("figcaption").is_visible()
        assert not problems


def test_a_folded_section_opens_by_its_heading_without_scripts(browser: Any, small_page: Path) -> None:
    with opened(browser, small_page, java_script_enabled=False) as (page, _):
        folded = page.get_by_text("Folded.", exact=True)
        assert page.get_by_role("heading", name="Below").is_visible()
        assert not folded.is_visible()
        page.locator("summary", has_text="Below").click(position={"x": 2, "y": 10})
        assert folded.is_visible()


@pytest.mark.parametrize("label", ["below", "sec-folded", "deep", "sec-deep"])
def test_a_link_into_a_folded_section_opens_it(browser: Any, small_page: Path, label: str) -> None:
    with opened(browser, small_page) as (page, problems):
        folded = page.get_by_text("Folded.", exact=True)
        assert not folded.is_visible()
        page.evaluate("label => { location.hash = label }", label)
        folded.wait_for()
        unfolded = page.locator("details.folded")
        unfolded.evaluate("part => { part.open = false }")
        if label == "sec-deep":  # where one is already
            page.get_by_role("link", name="Deep", exact=True).last.click()
            folded.wait_for()
        page.reload()
        folded.wait_for()
        assert not problems


def test_what_is_folded_is_in_the_contents_and_on_paper(browser: Any, small_page: Path) -> None:
    with opened(browser, small_page) as (page, problems):
        contents = page.locator(".bd-sidebar-secondary").first
        assert [contents.locator(f"a[href='#{name}']").count() for name in ("below", "deep", "after")] == [1, 1, 1]
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.get_by_text("Inside.").is_visible()
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert not page.get_by_text("Inside.").is_visible()
        assert not problems


def why_not_built() -> str | None:
    """Why the built book cannot be looked at, if it cannot."""
    last_written = BUILT / "searchindex.js"
    if not last_written.exists():
        return "the book is not built"
    book = ROOT / "book"
    sources = [ROOT / "_config.yml", *book.glob("*.*"), *book.glob("executed/*.ipynb"), *book.glob("_*/*.*")]
    if max(path.stat().st_mtime for path in sources) > last_written.stat().st_mtime:
        return "the book was built before its sources changed"
    if not (BUILT / VENDORED / "mathjax").exists():
        return "the book was built where npm could not fetch its scripts"
    return None


REASON = why_not_built()
PAGES = [] if REASON else [path for path in sorted(BUILT.rglob("*.html")) if "<article" in path.read_text()]


@pytest.mark.skipif(REASON is not None, reason=REASON or "")
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_page_of_the_built_book(browser: Any, path: Path) -> None:
    with opened(browser, path) as (page, problems):
        assert page.locator("span.math, div.math").count() == page.locator(".math > mjx-container").count()
        assert page.locator("mjx-merror").count() == 0
        unfold(page)
        for book in page.locator(".widget-subarea").all():
            before, handle = json.dumps(picture(book), ensure_ascii=False), book.get_by_role("slider")
            handle.focus()
            page.keyboard.press("End" if handle.get_attribute("aria-valuenow") == "0.0" else "Home")
            book.locator(f"img:not([alt={before}]):visible").wait_for()
        page.set_viewport_size({"width": 1280, "height": 800})
        assert cut_off(page) == []
        for width in (1200, 390):
            page.set_viewport_size({"width": width, "height": 800})
            assert not is_too_wide(page)
        assert not problems


CHAPTERS = [path for path in PAGES if path.parent.name == "executed"]


@pytest.mark.skipif(REASON is not None, reason=REASON or "")
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_is_read_on_eight_screens_and_unfolds_where_a_link_leads(browser: Any, path: Path) -> None:
    with opened(browser, path, viewport={"width": 1280, "height": 940}) as (page, _):
        assert page.locator("article").bounding_box()["height"] <= 7500
        page.set_viewport_size({"width": 390, "height": 800})
        assert not is_too_wide(page)
        inside = "details.folded :is(section, figure, table)[id]"
        for label in page.locator(inside).evaluate_all("parts => parts.map(part => part.id)"):
            page.evaluate("for (const part of document.querySelectorAll('details')) part.open = false")
            page.evaluate("label => { location.hash = label }", label)
            page.locator(f"[id='{label}']").wait_for()


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core, which finds what bars people from a page; skips where npm cannot fetch it."""
    folder = tmp_path_factory.mktemp("axe")
    try:
        vendored.unpack(vendored.fetch(AXE, vendored.CACHE), AXE, folder)
    except vendored.UnavailableError as error:
        pytest.skip(f"axe-core: {error}")
    return (folder / AXE.script).read_text()


@pytest.mark.skipif(REASON is not None, reason=REASON or "")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_no_page_bars_anyone(browser: Any, axe: str, path: Path, scheme: str) -> None:
    with opened(browser, path, color_scheme=scheme) as (page, _):
        unfold(page)
        page.evaluate(axe)
        found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
        serious = [v for v in found if v["impact"] in ("serious", "critical")]
        assert not [(v["id"], v["help"], [node["html"] for node in v["nodes"]]) for v in serious]


@pytest.mark.skipif(REASON is not None, reason=REASON or "")
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_internal_link_and_picture_is_there_and_a_page_is_small(browser: Any, path: Path) -> None:
    with opened(browser, path, java_script_enabled=False) as (page, _):
        links = page.locator("a[href]").evaluate_all("links => links.map(link => link.href)")
        pictures = page.locator("img[src]").evaluate_all("pictures => pictures.map(picture => picture.src)")
    local = {link for link in links + pictures if link.startswith("file:")}
    assert local
    for link in local:
        target, _, anchor = unquote(link.removeprefix("file://")).partition("#")
        assert Path(target.partition("?")[0]).is_file(), link
        if anchor and target.endswith(".html"):
            assert f'id="{anchor}"' in Path(target).read_text(), link
    shown = [Path(unquote(picture.removeprefix("file://"))) for picture in pictures if picture.startswith("file:")]
    assert sum(file.stat().st_size for file in {path, *shown}) < 3e6


def test_a_package_that_npm_cannot_fetch_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(vendored.UnavailableError, match="npm is not installed"):
        vendored.fetch(vendored.MATHJAX, tmp_path / "cache")

    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\nexit 1\n")
    npm.chmod(0o755)
    with pytest.raises(vendored.UnavailableError, match="npm pack ended with ENOTFOUND"):
        vendored.fetch(vendored.MATHJAX, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_another_package_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mathjax-3.2.2.tgz").write_bytes(b"something else")
    with pytest.raises(ExtensionError, match=r"mathjax 3\.2\.2 is not the package that was pinned"):
        vendored.fetch(vendored.MATHJAX, tmp_path)
    assert list(tmp_path.iterdir()) == []
