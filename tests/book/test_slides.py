"""Slides follow the plans, show what the chapters' run left and nothing else, and say what they lack."""

import base64
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from chapters import NOTEBOOKS, exercises, read
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from scripts import beside_others, load

from snslib.book import labels

slides, slides_chapter, slides_plan = map(beside_others, ("slides", "slides_chapter", "slides_plan"))

BOOK = Path(__file__).parents[2] / "book"
TEACHING = (BOOK / "teaching.md").read_text()
SESSIONS = list(slides_plan.sessions(TEACHING))
WRITTEN = sorted((BOOK / "slides").glob("*.md"))
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="60"><rect width="90" height="60"/></svg>'
TABLE = """\
**Table 1.1.** Accuracies. <!-- tbl-x -->

| model | clean | PGD |
| :-- | --: | --: |
| ours | 99.1% | 2.3% |
"""
PLAN = """\
## Plans

### One session: does it hold?

Why.

| minutes | what | where |
| --: | :-- | :-- |
| 10 | set up, questions | the notebook |
| 10 | read | [](executed/01_x.ipynb): *Attacks*, *Findings* |
| 10 | exercise | 1.1 *one step* (10 minutes) |
| 5 | discuss | [](executed/01_x.ipynb), and {numref}`fig-x` |
| home | exercise | 1.2 *more* (30 minutes) |

Afterwards students can
attack.

## What else
"""
SLIDES = """\
# Attacks

## Near *and* wrong

One step:

![](eq-x)

Note:
Ask why $a < b$.

## A picture

![](fig-x)

Note:
Look.

# Findings

## Predict

![cover 1](tbl-x)

Note:
Wait.

## Found

![](What was found)

Note:
Read.
"""


def project(root: Path, *more: Any) -> Path:
    """A project with one plan, its slides, and a chapter that was run."""

    def output(**data: str) -> list[Any]:
        return [new_output("execute_result", data={name.replace("_", "/"): text for name, text in data.items()})]

    settings = "<details><summary>Settings of this run: profile digits</summary>\n\n</details>"
    cells = [
        new_markdown_cell("<!-- sec-x -->\n# Adversarial examples\n"),
        new_code_cell("begin()", outputs=output(text_markdown=settings)),
        new_markdown_cell("## Attacks\n\n$$\nx' < x + \\epsilon \\tag{1.1}\n$$\n<!-- eq-x -->"),
        new_code_cell("draw()", outputs=[new_output("display_data", data={"image/png": "AAAA", "image/svg+xml": SVG})]),
        new_markdown_cell("**Figure 1.1.** The [attacks](https://example.org).\n<!-- fig-x -->"),
        new_code_cell("slide()", outputs=output(text_html="<b>slider</b>")),
        new_markdown_cell("**Figure 1.2.** A slider.\n<!-- fig-slider -->"),
        new_code_cell("table()", outputs=output(text_markdown=TABLE)),
        new_markdown_cell("## What was found"),
        new_code_cell("say()", outputs=output(text_markdown="- **2.3%** are left.")),
        new_markdown_cell("## Exercises"),
        new_markdown_cell("### Exercise 1.1 (10 minutes, pen and paper): one step\n\nTake Eq. (1.1)."),
        new_markdown_cell("<details><summary>Hint</summary>\n\nThe sign.\n\n</details>"),
        new_markdown_cell("<details><summary>Solution</summary>\n\nSECRET\n\n</details>"),
        *more,
    ]
    (root / "book" / "executed").mkdir(parents=True)
    (root / "book" / "slides").mkdir()
    nbformat.write(new_notebook(cells=cells), root / "book" / "executed" / "01_x.ipynb")
    (root / "book" / "teaching.md").write_text(PLAN)
    (root / "book" / "slides" / "01_x.md").write_text(SLIDES)
    shutil.copy(BOOK / "slides" / "deck.html", root / "book" / "slides")
    return root


def deck(root: Path) -> list[Any]:
    (session,) = slides_plan.sessions((root / "book" / "teaching.md").read_text())
    course = slides.Course(root / "book" / "executed", root / "book" / "slides")
    return list(course.deck(session))


def test_each_session_of_the_plans_has_slides_that_the_page_links_to() -> None:
    assert [s.name for s in SESSIONS] == ["one", "two-1", "two-2", "four-1", "four-2", "four-3", "four-4"]
    assert re.findall(r'<a href="slides/(.+?)\.html">', TEACHING) == [session.name for session in SESSIONS]
    assert [session.title for session in SESSIONS][1:3] == [
        "First session: attack, and look inside",
        "Second session: defend, and doubt",
    ]
    assert all(session.aim.startswith("Afterwards students can") for session in SESSIONS)
    assert "combine attacks" in SESSIONS[-1].aim
    for session in SESSIONS:
        assert sum(int(row.minutes) for row in session.rows if row.minutes != "home") == 90


def test_every_section_that_a_plan_reads_has_slides_each_with_a_note() -> None:
    rows = [row for session in SESSIONS for row in session.rows if row.what in ("read", "predict, then read")]
    chapters = [read_there for row in rows for read_there in slides.READ.findall(row.where)]
    read_there = {(name, heading) for name, headings in chapters for heading in re.findall(r"\*(.+?)\*", headings)}
    texts = {path.stem: path.read_text() for path in WRITTEN}
    written = {(name, heading) for name, text in texts.items() for heading in re.findall(r"^# (.+)$", text, re.M)}
    assert written == read_there  # and nothing that no plan reads
    for text in texts.values():
        for slide in re.split(r"^## ", re.sub(r"^# .+\n", "", text, flags=re.M), flags=re.M)[1:]:
            title, _, note = slide.partition("\nNote:\n")
            assert len(note.split()) > 10, title


def test_slides_name_what_the_notebooks_have_and_type_no_measured_number() -> None:
    tables = {label for some in labels.TABLES.values() for label in some}
    for path in WRITTEN:
        source = "\n".join(cell.source for cell in read(BOOK.parent / "notebooks" / f"{path.stem}.ipynb").cells)
        there = tables | set(re.findall(r"(?<=<!-- )(?:fig|eq)-[\w-]+(?= -->)|(?<=# ).+$", source, re.M))
        text = path.read_text()
        assert {name for _, name in slides.SHOW.findall(text)} <= there
        assert re.findall(r"\d+\.\d+|\d+ ?%|\d{2,}", slides.SHOW.sub("", text)) == []


def test_exercises_of_the_plans_are_found_with_their_titles() -> None:
    for path in NOTEBOOKS:
        found = dict(slides_chapter._exercises(read(path)))
        there = [(exercise.number, f"{exercise.minutes} minutes{exercise.kind}") for exercise in exercises(path)]
        assert [(number, exercise.takes) for number, exercise in found.items()] == there
        assert not any("Solution" in e.text + e.hint or "<details" in e.text + e.hint for e in found.values())


def test_a_deck_follows_its_plan(tmp_path: Path) -> None:
    made = deck(project(tmp_path))
    assert [slide.title for slide in made] == [
        "One session: does it hold?",
        "Plan",
        "Set up, questions",
        "Near <em>and</em> wrong",
        "A picture",
        "Predict",
        "Found",
        "Exercise 1.1: one step",
        "Discuss",
        "At home",
    ]
    title, plan, _, first, picture, predict, found, exercise, discuss, home = made
    assert "Afterwards students can\nattack." in title.note
    assert plan.text.count("<tr>") == 5
    assert r"\(a &lt; b\)" in first.note
    assert r"\[x' &lt; x + \epsilon\]" in first.text
    assert "(1.1)" in first.text
    assert base64.b64encode(SVG.encode()).decode() in picture.text
    assert "AAAA" not in picture.text
    assert "<strong>Figure 1.1.</strong> The" in picture.text
    assert picture.foot == '<a href="../executed/01_x.html">Adversarial examples</a>, run with profile digits'
    assert "99.1%" in predict.text
    assert 'class="cover-1"' in predict.text
    assert "<strong>2.3%</strong> are left." in found.text
    assert "Take Eq. (1.1)." in exercise.text
    assert "10 minutes, pen and paper" in exercise.text
    assert "The sign." in exercise.note
    assert '<a href="../executed/01_x.html">Adversarial examples</a>, and Figure 1.1' in discuss.text
    assert "<img" in discuss.text
    assert "1.2 <em>more</em> (30 minutes)" in home.text
    assert not any("SECRET" in text for slide in made for text in slide)


def test_what_is_recorded_is_not_said_to_be_of_this_run(tmp_path: Path) -> None:
    root = project(tmp_path)
    path = root / "book" / "executed" / "01_x.ipynb"
    path.write_text(path.read_text().replace("The [attacks]", "Recorded, CIFAR-10: the [attacks]"))
    feet = {slide.title: slide.foot for slide in deck(root)}
    assert "profile" not in feet["A picture"]
    assert "profile" in feet["Predict"]


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("slides/01_x.md", "(fig-x)", "(fig-y)", r"01_x\.md, slide 'A picture' shows fig-y, .*01_x\.ipynb.*, fig-x"),
        ("slides/01_x.md", "(fig-x)", "(fig-slider)", "slide 'A picture' shows fig-slider, which the run of"),
        ("slides/01_x.md", "# Findings", "# Other", r"reads \*Findings\* of 01_x: write its slides in .*01_x\.md"),
        ("teaching.md", "executed/01_x.ipynb): *At", "executed/02_y.ipynb): *At", "02_y"),
        ("teaching.md", "| 1.1 *", "| 3.1 *", "plans Exercise 3.1, which no notebook in"),
        ("teaching.md", "{numref}`fig-x`", "{numref}`fig-z`", "names fig-z, which no notebook in"),
    ],
)
def test_what_is_not_there_is_named_and_nothing_is_written(
    tmp_path: Path, name: str, old: str, new: str, says: str
) -> None:
    root = project(tmp_path)
    path = root / "book" / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=says):
        slides.make(root, tmp_path / "html")
    assert not (tmp_path / "html").exists()


def test_a_chapter_that_was_not_run_is_named(tmp_path: Path) -> None:
    root = project(tmp_path)
    (root / "book" / "executed" / "01_x.ipynb").unlink()
    with pytest.raises(ValueError, match=r"01_x\.ipynb is not there: run the chapters, make book"):
        slides.make(root, tmp_path / "html")


def test_formulas_are_set_by_the_books_own_mathjax_where_it_has_one(tmp_path: Path) -> None:
    root, built = project(tmp_path), tmp_path / "html"
    (page,) = slides.make(root, built)
    assert page == built / "slides" / "one.html"
    assert f'src="{slides.PUBLISHED_MATHJAX}"' in page.read_text()
    (built / slides.MATHJAX).parent.mkdir(parents=True)
    (built / slides.MATHJAX).touch()
    page.rename(page.with_name("earlier.html"))
    (page,) = slides.make(root, built)
    assert [path.name for path in page.parent.iterdir()] == ["one.html"]
    assert f'src="../{slides.MATHJAX}"' in page.read_text()
    assert "https://cdn" not in page.read_text()


def test_the_published_mathjax_is_the_version_that_the_book_takes_along() -> None:
    package = load("_ext/vendored.py").MATHJAX
    assert slides.PUBLISHED_MATHJAX.endswith(f"{package.name}@{package.version}/{package.script}")
    assert Path(slides.MATHJAX) == Path("_static") / package.folder / package.script


def test_the_student_edition_has_no_slides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = beside_others("build")
    root = project(tmp_path)
    built = tmp_path / "html"
    monkeypatch.setattr(build, "PAGES", built)
    monkeypatch.setattr(build.execute, "ROOT", root)
    monkeypatch.syspath_prepend(BOOK)
    build.make_slides()
    assert not built.exists()
    built.mkdir()
    (built / "teaching.html").touch()
    build.make_slides()
    assert [path.name for path in (built / "slides").iterdir()] == ["one.html"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not (program := next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)):
        pytest.skip("there is no Chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """The deck of the project in a window of half its size, without a network."""
    many = "\n".join(f"- line {number} of an exercise that is too long for large letters" for number in range(15))
    cells = [new_markdown_cell(f"### Exercise 1.2 (30 minutes): more\n\n{many}")]
    root = project(tmp_path, *cells)
    (root / "book" / "teaching.md").write_text(PLAN.replace("| home | exercise |", "| 30 | exercise |"))
    (page,) = slides.make(root, tmp_path / "html")
    context = browser.new_context(offline=True, viewport={"width": 640, "height": 360})
    tab = context.new_page()
    problems: list[str] = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.goto(page.as_uri())
    tab.wait_for_selector("body[data-ready]", state="attached")
    yield tab
    context.close()
    assert problems == []


def visible(page: Any) -> list[str]:
    """The titles of the slides that can be seen."""
    seen = "s => getComputedStyle(s).visibility === 'visible'"
    titles: list[str] = page.evaluate(f"slides.filter({seen}).map(s => s.querySelector('h1').textContent)")
    return titles


def test_keys_turn_the_slides(opened: Any) -> None:
    for key, title in [
        ("ArrowRight", "Plan"),
        (" ", "Set up, questions"),
        ("PageDown", "Near and wrong"),
        ("ArrowLeft", "Set up, questions"),
        ("End", "Exercise 1.2: more"),
        ("ArrowRight", "Exercise 1.2: more"),
        ("Home", "One session: does it hold?"),
    ]:
        opened.keyboard.press(key)
        assert visible(opened) == [title]
    opened.mouse.click(600, 100)
    assert visible(opened) == ["Plan"]
    assert opened.evaluate("location.hash") == "#2"
    opened.evaluate("location.hash = '#5'")
    opened.wait_for_function("slides[4].className.includes('now')")
    assert visible(opened) == ["A picture"]


def test_notes_are_shown_when_they_are_asked_for(opened: Any) -> None:
    opened.evaluate("turn(4)")
    note = opened.locator("section.now aside")
    assert not note.is_visible()
    opened.keyboard.press("n")
    assert note.inner_text() == "Look."
    opened.keyboard.press("n")
    assert not note.is_visible()
    with opened.expect_popup() as popup:
        opened.keyboard.press("w")
    assert "Look." in popup.value.inner_text("body")
    opened.keyboard.press("ArrowRight")
    assert popup.value.inner_text("body").split("\n\n") == ["Predict", "Wait.", "Next: Found"]


def test_a_slide_fills_the_window_and_holds_all_that_is_on_it(opened: Any) -> None:
    opened.evaluate("turn(5)")
    box = opened.locator("section.now").bounding_box()
    assert (box["width"], box["height"]) == (640, 360)
    texts = "[...document.querySelectorAll('.text')]"
    over = "t => t.scrollHeight > t.clientHeight || t.scrollWidth > t.clientWidth"
    assert opened.evaluate(f"{texts}.filter({over}).length") == 0
    sizes = opened.evaluate(f"{texts}.map(t => parseFloat(getComputedStyle(t).fontSize))")
    assert sizes[-1] < sizes[-2]  # the long exercise
    assert min(sizes) > 12
    cells = "[...document.querySelectorAll('.cover-1 td')].map(c => getComputedStyle(c).color === 'rgba(0, 0, 0, 0)')"
    assert opened.evaluate(cells) == [False, False, True]


def test_a_slide_is_printed_on_a_page(opened: Any) -> None:
    printed = opened.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type /Page\b", printed)) == opened.evaluate("slides.length")
    assert len(set(re.findall(rb"/MediaBox \[[^\]]+\]", printed))) == 1
