"""Make the slides of each session in the plans of `book/teaching.md`, from the chapters that were run.

    python book/slides.py

make book does so too, into `book/_build/html/slides`. A deck follows its plan row by row: for a section that is read it
has the slides in `book/slides/CHAPTER.md`, for an exercise its text in the notebook, and the rest is in the plan. Who
changes a plan changes its slides.

In `book/slides/CHAPTER.md` a heading `#` names a section of the chapter, and each `##` below it is a slide. A line
`![](LABEL)` shows a figure, table or equation, and `![](HEADING)` what the cells below a heading say was found, all as
the run of the notebook left it; `![cover 2](LABEL)` shows a table without its last two columns' numbers, for a
prediction. What follows `Note:` is for the speaker. No measured number is written there.

The style and the script are our own, in `deck.html`, and no framework's: a figure, a sentence and a note need the arrow
keys and little else, and such a page opens from a file, prints a slide a page, and needs no upkeep.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import execute
from slides_chapter import Chapter, Shown, html, line
from slides_plan import Row, Session, sessions

from snslib import locks

BUILT = execute.ROOT / "book" / "_build" / "html"
READ = re.compile(r"\[\]\(executed/(\w+)\.ipynb\): ((?:\*[^*]+\*(?:, )?)+)")
PAGE = re.compile(r"\[\]\(executed/(\w+)\.ipynb\)")
NUMREF = re.compile(r"\{numref\}`([\w-]+)`")
EXERCISE = re.compile(r"\b(\d\.\d) \*")
SHOW = re.compile(r"^!\[(?:cover (\d))?\]\((.+)\)$", re.M)
MATHJAX = "_static/vendored/mathjax/es5/tex-mml-chtml.js"  # below BUILT, where the build could fetch it
PUBLISHED_MATHJAX = "https://cdn.jsdelivr.net/npm/mathjax@3.2.2/es5/tex-mml-chtml.js"


class Slide(NamedTuple):
    """A slide, as HTML: title and text for the room, a note for the speaker, a line at its foot, and its CSS class."""

    title: str
    text: str
    note: str
    foot: str = ""
    kind: str = ""


class Course:
    """The chapters as they were run, with the slides that are written for them.

    Args:
        executed: folder of the notebooks that were run.
        written: folder of the slides' texts.

    Its methods raise a ValueError where something that a plan or a slide names is not there, which says what and where.
    """

    def __init__(self, executed: Path, written: Path) -> None:
        self.executed, self.written = executed, written
        self._chapters: dict[str, Chapter] = {}

    def chapter(self, name: str) -> Chapter:
        """A chapter by the name of its notebook, read once."""
        if name not in self._chapters:
            self._chapters[name] = Chapter(self.executed / f"{name}.ipynb")
        return self._chapters[name]

    def deck(self, session: Session) -> list[Slide]:
        """The slides of a session, in the order of its plan."""
        rows = ((row.minutes, row.what, self._plain(row.where)) for row in session.rows)
        agenda = "".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in rows)
        title = Slide(line(session.title), f"<p>{line(session.plan)}</p>", html(session.aim), kind="title")
        plan = Slide("Plan", f'<table class="agenda">{agenda}</table>', "<p>Minutes, and where it is in the book.</p>")
        return [title, plan, *(slide for row in session.rows for slide in self._row(row))]

    def _row(self, row: Row) -> Iterator[Slide]:
        if row.what in ("read", "predict, then read"):
            for name, headings in READ.findall(row.where):
                for heading in re.findall(r"\*(.+?)\*", headings):
                    yield from self._section(name, heading)
        elif row.what == "exercise" and row.minutes != "home":
            for number in EXERCISE.findall(row.where):
                yield self._exercise(number)
        else:
            home = row.minutes == "home"
            pictures = "".join(_shown(self._labelled(label)) for label in NUMREF.findall(row.where))
            title = "At home" if home else row.what[0].upper() + row.what[1:]
            where = row.where[0].upper() + row.where[1:]
            text = f"<p>{self._plain(where)}</p>{pictures}"
            yield Slide(title, text, f"<p>{row.what if home else f'{row.minutes} minutes'}.</p>", kind="said")

    def _section(self, name: str, heading: str) -> list[Slide]:
        path = self.written / f"{name}.md"
        parts = re.split(r"^# (.+)\n", path.read_text(encoding="utf-8") if path.exists() else "", flags=re.M)
        written = dict(zip(parts[1::2], parts[2::2], strict=True))
        if heading not in written:
            raise ValueError(f"a plan in book/teaching.md reads *{heading}* of {name}: write its slides in {path}")
        return [self._slide(path, text) for text in re.split(r"^## ", written[heading], flags=re.M)[1:]]

    def _slide(self, path: Path, written: str) -> Slide:
        text, _, note = written.partition("\nNote:")
        title, _, text = text.partition("\n")
        chapter = self.chapter(path.stem)
        first, *shows = SHOW.split(text)
        made = html(first)
        for columns, name, after in zip(shows[::3], shows[1::3], shows[2::3], strict=True):
            if name not in chapter.shown:
                raise ValueError(
                    f"{path}, slide {title!r} shows {name}, which the run of {chapter.name}.ipynb in {self.executed} "
                    f"did not make: correct the name, run the chapter anew, or choose one of {', '.join(chapter.shown)}"
                )
            made += _shown(chapter.shown[name], int(columns or 0)) + html(after)
        run = "Recorded" not in made and chapter.settings
        return Slide(line(title), made, html(note), _foot(chapter) + (f", run with {run}" if run else ""))

    def _exercise(self, number: str) -> Slide:
        for path in sorted(self.executed.glob(f"{int(number[0]):02}_*.ipynb")):
            chapter = self.chapter(path.stem)
            if exercise := chapter.exercises.get(number):
                hint = f"<p>The hint in the book:</p>{exercise.hint}" if exercise.hint else ""
                text = f'<p class="takes">{exercise.takes}</p>{exercise.text}'
                note = f"<p>{exercise.takes}.</p>{hint}"
                return Slide(f"Exercise {number}: {exercise.title}", text, note, _foot(chapter))
        raise ValueError(f"book/teaching.md plans Exercise {number}, which no notebook in {self.executed} has")

    def _labelled(self, label: str) -> Shown:
        for path in sorted(self.executed.glob("[0-9]*.ipynb")):
            if found := self.chapter(path.stem).shown.get(label):
                return found
        raise ValueError(f"a plan in book/teaching.md names {label}, which no notebook in {self.executed} made")

    def _plain(self, where: str) -> str:
        """The last column of a plan as HTML: chapters and figures by their names."""
        named = NUMREF.sub(lambda found: self._labelled(found[1]).name, where)
        return line(PAGE.sub(lambda found: f"[{self.chapter(found[1]).title}](../executed/{found[1]}.html)", named))


def _shown(shown: Shown, covered: int = 0) -> str:
    """What is shown, with its caption; of a table the last columns are covered, as many as are asked for."""
    caption = f"<figcaption>{shown.caption}</figcaption>" if shown.caption else ""
    return f'<figure class="cover-{covered}">{shown.html}{caption}</figure>'


def _foot(chapter: Chapter) -> str:
    return f'<a href="../executed/{chapter.name}.html">{line(chapter.title)}</a>'


def page(session: Session, slides: list[Slide], mathjax: str, template: str) -> str:
    """A deck as a page of HTML.

    Args:
        session: whose slides they are.
        slides: in their order.
        mathjax: address of the script that sets formulas.
        template: ``deck.html``.
    """
    sections = (
        f'<section class="{slide.kind}"><h1>{slide.title}</h1><div class="text">{slide.text}</div>'
        f"<footer><span>{slide.foot}</span><span>{number}</span></footer><aside>{slide.note}</aside></section>"
        for number, slide in enumerate(slides, start=1)
    )
    filled = template.replace("{{title}}", line(session.title)).replace("{{mathjax}}", mathjax)
    return filled.replace("{{slides}}", "\n".join(sections))


def make(root: Path, built: Path) -> list[Path]:
    """Write the slides of all sessions to ``built/slides``, in place of earlier ones; the paths of the pages.

    Args:
        root: of the project, with ``book/teaching.md``, ``book/slides`` and the notebooks that were run.
        built: folder of the book's pages.

    Raises:
        ValueError: a figure or a section is named that is not there; nothing is written then.
    """
    book = root / "book"
    course = Course(book / "executed", book / "slides")
    template = (book / "slides" / "deck.html").read_text(encoding="utf-8")
    mathjax = f"../{MATHJAX}" if (built / MATHJAX).exists() else PUBLISHED_MATHJAX
    plans = list(sessions((book / "teaching.md").read_text(encoding="utf-8")))
    pages = {f"{plan.name}.html": page(plan, course.deck(plan), mathjax, template) for plan in plans}
    for earlier in (built / "slides").glob("*.html"):
        earlier.unlink()
    for name, text in pages.items():
        with locks.written_beside(built / "slides" / name) as draft:
            draft.write_text(text, encoding="utf-8")
    return [built / "slides" / name for name in pages]


def main() -> None:
    with execute.alone(execute.LOCK, "build of the book"):
        for path in make(execute.ROOT, BUILT):
            print(path)


if __name__ == "__main__":
    execute.program(main)
