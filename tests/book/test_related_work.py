"""The page on related work: its works are in the bibliography, and what it says of our rows is what they are."""

import re
from pathlib import Path

from pybtex.database import parse_file

from snslib.study.rows import LATER, rows_for
from snslib.training.objectives import TRADES, TRADES_START, VulnerabilitySuppression

BOOK = Path(__file__).parents[2] / "book"
PAGE = (BOOK / "related_work.md").read_text()


def test_each_line_of_the_table_cites_a_work_of_its_own() -> None:
    lines = re.findall(r"^\| .+ \{cite:p\}`(\w+)` \|.+\|$", PAGE, re.M)
    assert len(set(lines)) == 9
    entries = parse_file(BOOK / "references.bib").entries
    assert {*lines, "zhang2021"} <= set(entries)
    assert all("eprint" in entries[key].fields for key in lines)


def test_the_rows_are_those_that_can_be_trained_with_the_weights_that_the_page_gives() -> None:
    (rows,) = re.findall(r"^make reproduce PROFILE=cifar10-small ROWS=(.+)$", PAGE, re.M)
    assert rows.split(",") == list(LATER)
    assert set(LATER) <= set(rows_for("vgg16"))
    text = " ".join(PAGE.split())
    assert re.search(r"`trades` is TRADES with \$\\beta = (\d+)\$", text)[1] == f"{TRADES.beta:g}"
    assert f"noise of standard deviation {TRADES_START:g}, as in that code" in text
    assert re.search(r"`anp_vs` is .+? \$\\lambda = ([\d.]+)\$", text)[1] == f"{VulnerabilitySuppression.weight:g}"
