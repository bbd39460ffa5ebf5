"""The table of README has the recorded numbers and the paper's, and its commands and links name what is there."""

import re
from operator import itemgetter
from pathlib import Path

import pytest

from snslib.book import labels
from snslib.claims import paper
from snslib.claims.records import accuracy_of
from snslib.study import results

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
WIDE, NARROW = "cifar10/vgg16-w1", "cifar10/vgg16-w0.25"
ROWS = [  # in the order of the table
    *[(WIDE, row) for row in ("vanilla", "pat", "alp", "sns_sen_adv")],
    *[(NARROW, row) for row in ("pat", "sns_sen_adv_online", "control_adv_online")],
]


@pytest.mark.parametrize(("place", "folder", "row"), [(place, *row) for place, row in enumerate(ROWS)])
def test_a_row_of_the_table_has_the_recorded_numbers(place: int, folder: str, row: str) -> None:
    lines = [line for line in README.splitlines() if line.startswith("| ")]
    shown = [cell.strip() for cell in lines[2 + place].split("|")[2:-1]]
    accuracy, auto = (results.by_seed(folder, what)[row] for what in ("accuracy", "autoattack"))
    assert (len(accuracy), len(auto), auto[0].config["n"]) == (1 if folder == WIDE else 2, 1, 1000)
    ours = [
        accuracy_of(accuracy, itemgetter("clean")),
        accuracy_of(accuracy, itemgetter("pgd")),
        accuracy_of(auto, itemgetter("accuracy")),
    ]
    printed = paper.table1()[row] if folder == WIDE else None
    theirs = ["", ""] if printed is None else [f"{printed[column]:.1f}" for column in ("clean", "pgd")]
    assert shown == [*theirs, *(f"{100 * share.mean:.1f}" for share in ours)]


def test_what_it_leads_to_is_there() -> None:
    for path in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / path).exists(), path
    pages = re.findall(rf"{re.escape(labels.SITE)}([\w/]+)\.html", README)
    assert pages
    for page in pages:
        name = Path(page).name
        assert any((ROOT / path).exists() for path in (f"book/{name}.md", f"notebooks/{name}.ipynb")), page
    for path in re.findall(r"blob/main/(\S+?)\)", README) + re.findall(r"papermill \S*? ?(notebooks/\S+)", README):
        assert (ROOT / path).exists(), path
