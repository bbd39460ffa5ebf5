"""The student edition has no solutions, neither on its pages nor in the notebooks that these offer."""

from pathlib import Path
from types import SimpleNamespace

import nbformat
from chapters import NOTEBOOKS, exercises
from docutils import nodes
from scripts import load

student = load("_ext/student_edition.py")


def test_a_page_loses_what_is_of_the_class_solution() -> None:
    hint, solution = nodes.container("", nodes.paragraph(text="hint")), nodes.container(classes=["solution"])
    folded = nodes.container(container_classes=["solution"])
    page = nodes.container("", hint, solution, folded)
    student.drop_solutions(None, page)
    assert page.children == [hint]


def test_a_notebook_on_offer_loses_the_cells_with_that_tag(tmp_path: Path) -> None:
    offered = tmp_path / "_sources" / "executed" / NOTEBOOKS[0].name
    offered.parent.mkdir(parents=True)
    offered.write_bytes(NOTEBOOKS[0].read_bytes())
    student.drop_from_downloads(SimpleNamespace(outdir=tmp_path), None)
    before, after = exercises(NOTEBOOKS[0]), exercises(offered)
    assert [exercise.number for exercise in after] == [exercise.number for exercise in before]
    for exercise, whole in zip(after, before, strict=True):
        assert len(whole.tagged("solution")) == 1
        assert exercise.tagged("solution") == []
        assert exercise.tagged("hint") == whole.tagged("hint")
        assert exercise.tagged("exercise") == whole.tagged("exercise")
    nbformat.validate(nbformat.read(offered, as_version=4))
