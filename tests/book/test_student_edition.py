"""The student edition has no solutions and no page for teachers, and covers what is to be predicted."""

import re
from pathlib import Path
from types import SimpleNamespace

import nbformat
from chapters import NOTEBOOKS, exercises, read
from docutils import nodes
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from scripts import load
from sphinx_external_toc.parsing import parse_toc_yaml

BOOK = Path(__file__).parents[2] / "book"
TEACHING = (BOOK / "teaching.md").read_text()

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


def test_the_pages_for_teachers_leave_the_contents_and_nothing_else_does(tmp_path: Path) -> None:
    contents = parse_toc_yaml(BOOK / "_toc.yml")
    pages = [*contents]
    config = SimpleNamespace(external_site_map=contents, exclude_patterns=["_build"])
    (tmp_path / "teaching.html").touch()
    student.leave_out_pages(SimpleNamespace(outdir=tmp_path), config)
    assert [*contents] == [page for page in pages if page != "teaching"]
    listed = [page for part in contents.root.subtrees for page in part.items]
    assert listed == [page for page in contents if page != "intro"]
    assert config.exclude_patterns == ["_build", "teaching.md"]
    assert [*tmp_path.iterdir()] == []


def test_the_rubric_is_on_no_page_that_is_left_in() -> None:
    pages = [path.stem for path in BOOK.glob("*.md") if "| 0 points |" in path.read_text()]
    assert pages == [*student.TEACHERS]


def test_the_front_page_alone_says_what_is_covered(tmp_path: Path) -> None:
    (tmp_path / "executed").mkdir()
    for path in NOTEBOOKS:
        (tmp_path / "executed" / path.name).write_bytes(path.read_bytes())
    app = SimpleNamespace(srcdir=tmp_path, config=SimpleNamespace(root_doc="intro"))
    front, other = ["# Title\n\nText.\n"], ["# Title\n\nText.\n"]
    student.say_what_is_covered(app, "intro", front)
    student.say_what_is_covered(app, "glossary", other)
    assert other == ["# Title\n\nText.\n"]
    assert front[0].startswith("# Title\n\n:::{note}\n")
    assert front[0].endswith(":::\n\nText.\n")
    assert "[](/executed/04_sns_training.ipynb): *What happened to the neurons*, *What happened to the" in front[0]
    assert "01_adversarial_examples" not in front[0]


def test_what_the_plans_let_students_predict_is_covered_and_the_teachers_page_names_all_that_is() -> None:
    marked = {
        path.name: {heading for cell in read(path).cells for _, heading in student.TO_PREDICT.findall(cell.source)}
        for path in NOTEBOOKS
    }
    planned = re.findall(r"predict, then read \| \[\]\(executed/(\S+)\): (.+?) \|", TEACHING)
    assert planned
    for name, sections in planned:
        assert set(re.findall(r"\*(.+?)\*", sections)) <= marked[name]
    for name, headings in marked.items():
        assert all(f"*{heading}*" in TEACHING and f"[](executed/{name})" in TEACHING for heading in headings)


def test_covered_cells_have_no_outputs_in_a_download(tmp_path: Path) -> None:
    def printed(text: str) -> nbformat.NotebookNode:
        return new_code_cell(f"print({text!r})", outputs=[new_output("stream", text=text)])

    mark = "<!-- predict -->\n"
    cells = [
        *(printed("before"), new_markdown_cell(f"{mark}<!-- sec-a -->\n## Predicted"), printed("a")),
        *(new_markdown_cell("### Within"), printed("b"), new_markdown_cell("Text.\n\n## After"), printed("after")),
        *(new_markdown_cell(f"{mark}### Predicted, too"), printed("c"), new_markdown_cell("# End"), printed("end")),
    ]
    offered = tmp_path / "_sources" / "a.ipynb"
    offered.parent.mkdir()
    nbformat.write(new_notebook(cells=cells), offered)
    student.drop_from_downloads(SimpleNamespace(outdir=tmp_path), None)
    kept = nbformat.read(offered, as_version=4).cells
    assert [cell.source for cell in kept] == [cell.source for cell in cells]
    assert [cell.outputs[0].text for cell in kept if cell.get("outputs")] == ["before", "after", "end"]
