"""A small book, built as a fork's would be: for everybody, and then over it for students."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FORK = "https://github.com/someone/a-course"
CHAPTER = "01_adversarial_examples"
TOC = """
format: jb-book
root: intro
parts:
  - caption: The paper
    numbered: true
    chapters:
      - file: executed/01_adversarial_examples
  - caption: Teaching
    chapters:
      - file: teaching
      - file: elsewhere
  - caption: Reference
    chapters:
      - file: executed/build
"""


def chapter() -> nbformat.NotebookNode:
    def printed(text: str) -> nbformat.NotebookNode:
        return new_code_cell("1", outputs=[new_output("stream", text=text)])

    solution = "<details><summary>Solution</summary>\n\nThe trick is simple.\n\n</details>"
    cells = [
        new_markdown_cell("# Attacks"),
        printed("an open number"),
        new_markdown_cell("<!-- predict -->\n<!-- sec-result -->\n## What happened\n\nIt fell."),
        printed("a covered number"),
        new_markdown_cell("## Exercises"),
        printed("another open number"),
        new_markdown_cell("### Exercise 1.1 (10 minutes): Think\n\nWhy?"),
        new_markdown_cell(solution, metadata={"tags": ["solution"]}),
    ]
    return new_notebook(cells=cells, metadata={"language_info": {"name": "python", "pygments_lexer": "ipython3"}})


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("editions")
    book = folder / "book"
    shutil.copytree(ROOT / "book" / "_assets", book / "_assets")
    for name in ("references.bib", "elsewhere.md"):
        shutil.copy(ROOT / "book" / name, book)
    (book / "executed").mkdir()
    nbformat.write(chapter(), book / "executed" / f"{CHAPTER}.ipynb")
    for name, text in {"intro": "Hello.", "teaching": "The rubricword.", "executed/build": "It was built."}.items():
        (book / f"{name}.md").write_text(f"# {name}\n\n{text}\n")
    (book / "_toc.yml").write_text(TOC)
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    config["repository"].update(url=FORK, branch="autumn")
    config["launch_buttons"]["jupyterhub_url"] = "https://hub.example.edu"
    local = config["sphinx"]["local_extensions"]
    config["sphinx"]["local_extensions"] = {name: str(ROOT / path) for name, path in local.items()}
    (folder / "_config.yml").write_text(yaml.safe_dump(config, sort_keys=False))
    return book


@pytest.fixture(scope="module")
def editions(book: Path) -> tuple[Path, Path]:
    """The folders of both, the second built over the first."""
    pages, whole = book.parent / "_build" / "html", book.parent / "whole"
    command = [Path(sys.executable).with_name("jupyter-book"), "build", book, "--config", book.parent / "_config.yml"]
    command += ["--path-output", book.parent, "-W", "-n", "--all"]
    for student in ("", "1"):
        environment = {**os.environ, "STUDENT": student}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
        if not student:
            shutil.copytree(pages, whole)
    return whole, pages


def files_with(folder: Path, word: str) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and word.encode() in path.read_bytes()
    }


def test_the_students_have_no_page_of_the_teachers_in_contents_links_search_or_sources(
    editions: tuple[Path, Path],
) -> None:
    whole, students = editions
    assert {"teaching.html", "_sources/teaching.md", "searchindex.js"} <= files_with(whole, "rubricword")
    assert files_with(students, "rubricword") == set()
    assert "intro.html" in files_with(whole, "teaching.html")
    assert files_with(students, "teaching.html") == set()
    assert {path.stem for path in students.glob("*.html")} >= {"intro", "elsewhere", "search"}


def test_the_students_have_no_solution_on_a_page_or_in_a_download(editions: tuple[Path, Path]) -> None:
    whole, students = editions
    assert len(files_with(whole, "The trick is simple")) == 2
    assert files_with(students, "The trick is simple") == set()


def test_what_is_to_be_predicted_is_covered_and_the_front_page_says_where(editions: tuple[Path, Path]) -> None:
    whole, students = editions
    page = (students / "executed" / f"{CHAPTER}.html").read_text()
    covered = re.findall(r'<details class="folded covered">(.*?)</details>', page, re.S)
    assert len(covered) == 1
    assert "It fell." in covered[0]
    assert "a covered number" in covered[0]
    assert "open number" not in covered[0]
    assert "folded covered" not in (whole / "executed" / f"{CHAPTER}.html").read_text()
    note = re.search(r"This is the student edition: .*?</div>", (students / "intro.html").read_text(), re.S)
    assert note
    assert f'href="executed/{CHAPTER}.html"' in note[0]
    assert "<em>What happened</em>" in note[0]
    assert "student edition" not in (whole / "intro.html").read_text()
    offered = nbformat.read(students / "_sources" / "executed" / f"{CHAPTER}.ipynb", as_version=4)
    assert "a covered number" not in json.dumps(offered)
    assert "an open number" in json.dumps(offered)
    assert "another open number" in json.dumps(offered)


def test_every_link_elsewhere_leads_to_the_fork_and_is_the_one_of_the_themes_buttons(
    editions: tuple[Path, Path],
) -> None:
    whole, _ = editions
    table = re.search(r"<table.*?</table>", (whole / "elsewhere.html").read_text(), re.S)
    assert table
    links = [link.replace("&amp;", "&") for link in re.findall(r'href="(https://[^"]+)"', table[0])]
    assert [link.split("/")[2] for link in links] == ["colab.research.google.com", "mybinder.org", "hub.example.edu"]
    assert all("someone" in link and "autumn" in link and f"notebooks/{CHAPTER}.ipynb" in link for link in links)
    page = (whole / "executed" / f"{CHAPTER}.html").read_text().replace("&amp;", "&")
    assert all(f'href="{link}"' in page for link in links)
    assert "snslib/neuron-sensitivity" not in (whole / "elsewhere.html").read_text()
