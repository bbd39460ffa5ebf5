"""Grades as a table (CSV) and as a page that needs no other file."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from itertools import groupby
from pathlib import Path
from string import Template

from snslib.exercises.grading.grade import Verdict, student_seed
from snslib.files import as_csv
from snslib.locks import written_beside

CSV, PAGE = "grades.csv", "grades.html"


def write(out: Path, verdicts: Sequence[Verdict], seed: int) -> None:
    """Write ``grades.csv`` and ``grades.html`` into a folder; each is written beside and moved."""
    rows: list[Sequence[object]] = [(*Verdict._fields, "own_seed")]
    for one in verdicts:
        points = _shown(one.points), _shown(one.out_of)
        rows.append((*one[:4], *points, one.said, student_seed(one.student)))
    for name, text in {CSV: as_csv(rows), PAGE: _page(verdicts, seed)}.items():
        with written_beside(out / name) as new:
            new.write_text(text, encoding="utf-8", errors="backslashreplace")


def totals(verdicts: Sequence[Verdict]) -> Iterator[tuple[str, list[Verdict], str]]:
    """Of each student the name, the verdicts, and the points in words."""
    for student, group in groupby(verdicts, lambda one: one.student):
        own = list(group)
        yield student, own, f"{_shown(sum(o.points for o in own))} of {_shown(sum(o.out_of for o in own))} points"


def _page(verdicts: Sequence[Verdict], seed: int) -> str:
    numbers = list(dict.fromkeys(one.exercise for one in verdicts))
    head = "".join(f'<th scope="col">{number}</th>' for number in numbers)
    overview, details = [], []
    for i, (student, own, points) in enumerate(totals(verdicts)):
        cells = "".join(f'<td class="{one.verdict}">{_shown(one.points)}</td>' for one in own)
        name = escape(student)
        overview.append(f'<tr><th scope="row"><a href="#s{i}">{name}</a></th>{cells}<td>{points}</td></tr>')
        lines = "".join(
            f"<tr><td>{one.exercise}</td><td><code>{one.function}</code></td>"
            f'<td class="{one.verdict}">{one.verdict}</td>'
            f"<td>{_shown(one.points)} of {_shown(one.out_of)}</td><td>{escape(one.said)}</td></tr>"
            for one in own
        )
        title = f'<h2 id="s{i}">{name}</h2><p>{points}; own seed for open exercises: {student_seed(student)}</p>'
        details.append(f"{title}<table>{_HEAD}<tbody>{lines}</tbody></table>")
    return Template(Path(__file__).with_name("grades.html").read_text(encoding="utf-8")).substitute(
        head=head,
        overview="\n".join(overview),
        details="\n".join(details),
        about=f"Tasks of seed {seed}. {datetime.now(UTC).isoformat(timespec='seconds')}",
    )


_HEAD = "<thead><tr><th>exercise</th><th>function</th><th>verdict</th><th>points</th><th>what is said</th></tr></thead>"


def _shown(points: float) -> str:
    return f"{points:g}"
