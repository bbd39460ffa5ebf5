"""The records that a page offers are those that its notebook's sources carry."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from scripts import load

from snslib.book import text
from snslib.study.records import Record

downloads = load("_ext/record_downloads.py")

RECORD = {
    "what": "accuracy",
    "defense": "vanilla",
    "profile": "digits",
    "result": {"clean": 0.5},
    "config": {
        "trained": {"model": "vgg16", "width": 0.25, "schedule": {"precision": "float32"}},
        "attack": {"eps": 8 / 255},
        "n": 20,
    },
    "data": {"name": "digits", "origin": "here"},
    "seed": 0,
    "device": "cpu, 1 CPU threads",
    "seconds": 1.0,
    "versions": {"torch": "2"},
    "commit": None,
}


@pytest.fixture
def book(tmp_path: Path) -> Path:
    data, metadata = text.source(Record.from_json(RECORD))._repr_markdown_()
    shown = new_output("display_data", {"text/markdown": data}, metadata={"text/markdown": metadata})
    cells = [new_markdown_cell("# Title"), *(new_code_cell("source()", outputs=[shown]) for _ in range(2))]
    (tmp_path / "executed").mkdir()
    nbformat.write(new_notebook(cells=cells), tmp_path / "executed" / "01_chapter.ipynb")
    nbformat.write(new_notebook(cells=cells[:1]), tmp_path / "executed" / "scorecard.ipynb")
    return tmp_path


def offered(book: Path, page: str) -> list[dict[str, Any]]:
    group: dict[str, Any] = {"label": "download-buttons", "buttons": []}
    other: dict[str, Any] = {"label": "other", "buttons": []}
    context = {"header_buttons": [other, group], "pathto": lambda name, resource: f"../{name}"}
    app = SimpleNamespace(srcdir=book, outdir=book / "html", builder=SimpleNamespace(format="html"))
    app.outdir.mkdir(exist_ok=True)
    downloads.offer_records(app, page, "page.html", context, None)
    assert other["buttons"] == []
    return group["buttons"]


def test_records_are_offered_once_and_whole(book: Path) -> None:
    (button,) = offered(book, "executed/01_chapter")
    assert button["url"] == "../_downloads/01_chapter-records.json"
    assert json.loads((book / "html" / "_downloads" / "01_chapter-records.json").read_text()) == [RECORD]


@pytest.mark.parametrize("page", ["executed/scorecard", "intro", "executed/not_there"])
def test_pages_without_records_offer_none(book: Path, page: str) -> None:
    assert offered(book, page) == []
    assert not (book / "html" / "_downloads").exists()
