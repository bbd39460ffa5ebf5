"""What is handed out has every exercise and no solution, runs by itself, and is the same zip every time."""

import importlib
import io
import json
import os
import re
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest
from chapters import NOTEBOOKS, exercises, myst, read
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from snslib.book import labels
from snslib.study import records

ROOT = Path(__file__).parents[2]
WITH_EXERCISES = [path for path in NOTEBOOKS if exercises(path)]


def module(name: str) -> ModuleType:
    """A script of ``book/``, which finds its neighbours in their folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "book")
        return importlib.import_module(name)


handout, notebooks, notes, cache = map(module, ("handout", "handout_notebooks", "handout_notes", "handout_cache"))


@pytest.fixture(scope="module")
def students() -> dict[str, bytes]:
    return handout.tree(ROOT, solutions=False)


@pytest.fixture(scope="module")
def teachers() -> dict[str, bytes]:
    return handout.tree(ROOT, solutions=True)


def notebook_in(files: dict[str, bytes], name: str) -> nbformat.NotebookNode:
    return nbformat.reads(files[name].decode(), as_version=4)


def texts(name: str, content: bytes) -> list[str]:
    """What there is to read in a file: a notebook's cells and outputs, else its text."""
    if not name.endswith(".ipynb"):
        return [content.decode()]
    cells = nbformat.reads(content.decode(), as_version=4).cells
    return [cell.source + json.dumps(cell.get("outputs", [])) for cell in cells]


def of_solution(text: str) -> list[str]:
    """The paragraphs and the bodies of functions of a folded solution, each without its indentation."""
    inside = text.partition("</summary>")[2].rpartition("</details>")[0]
    code = re.findall(r"```python\n(.*?)```", inside, re.S)
    prose = re.sub(r"```.*?```", "", inside, flags=re.S).split("\n\n")
    bodies = [body for block in code for body in re.findall(r"^def .*\n((?:(?: .*)?\n)+)", block, re.M)]
    parts = [part.strip() for part in (*prose, *bodies)]
    return [squeezed(part) for part in parts if len(part) > 40]


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_no_solution_is_in_any_file(students: dict[str, bytes], teachers: dict[str, bytes]) -> None:
    folded = [text for path in NOTEBOOKS for exercise in exercises(path) for text in exercise.tagged("solution")]
    solutions = [part for text in folded for part in of_solution(text)]
    assert len(solutions) > 70
    for name, content in students.items():
        for text in texts(name, content):
            read_through = squeezed(text)
            assert [part for part in solutions if part in read_through] == [], name
            assert "<summary>Solution" not in text, name
    sheets = [text for name in teachers if name.startswith("exercises/") for text in texts(name, teachers[name])]
    all_of_them = squeezed("\n".join(sheets))
    assert [part for part in solutions if "](http" not in part and part not in all_of_them] == []  # it can be found


def test_a_solution_whose_tag_was_forgotten_stays_out_too() -> None:
    folded = new_markdown_cell("<details><summary>Solution</summary>\n\nIt is 7.\n\n</details>")
    source = new_notebook(cells=[new_code_cell("1"), new_markdown_cell("What is 3 + 4?"), folded])
    assert "It is 7" not in nbformat.writes(notebooks.chapter(source, solutions=False))
    assert "It is 7" in nbformat.writes(notebooks.chapter(source, solutions=True))
    assert "It is 7" in source.cells[-1].source


@pytest.mark.parametrize("path", WITH_EXERCISES, ids=lambda path: path.stem)
def test_every_exercise_is_there_with_its_stub_check_and_hint(
    students: dict[str, bytes], path: Path, tmp_path: Path
) -> None:
    for folder in ("exercises", "notebooks"):
        given = tmp_path / folder / path.name
        given.parent.mkdir()
        given.write_bytes(students[f"{folder}/{path.name}"])
        nbformat.validate(read(given))
        kept, whole = exercises(given), exercises(path)
        assert [(e.number, e.title) for e in kept] == [(e.number, e.title) for e in whole]
        for exercise, original in zip(kept, whole, strict=True):
            assert exercise.tagged("exercise") == original.tagged("exercise")
            assert exercise.tagged("hint") == original.tagged("hint")
            assert exercise.tagged("solution") == []


def test_teachers_have_all_solutions_and_their_notes(teachers: dict[str, bytes], tmp_path: Path) -> None:
    for path in WITH_EXERCISES:
        given = tmp_path / path.name
        given.write_bytes(teachers[f"exercises/{path.name}"])
        kept, whole = ([len(e.tagged("solution")) for e in exercises(of)] for of in (given, path))
        assert kept == whole
        assert sum(whole) > 0
    notes = teachers["teaching.md"].decode()
    assert "How to grade" in notes
    assert myst(re.sub(r"\]\((notebooks/\w+\.ipynb)\)", "", notes)) == []


def test_students_have_neither_notes_nor_tests_nor_weights_nor_outputs(students: dict[str, bytes]) -> None:
    assert {name.partition("/")[0] for name in students} == {
        *(path.name for path in ROOT.glob("LICENSE*")),
        *("README.md", "pyproject.toml", "requirements.txt"),
        *("benchmarks", "exercises", "notebooks", "results", "snslib"),
    }
    assert not [name for name in students if name.endswith((".safetensors", ".pyc")) or "/." in name]
    for name in students:
        if name.endswith(".ipynb"):
            assert not any(cell.get("outputs") for cell in notebook_in(students, name).cells)


def test_nothing_leads_to_the_published_book_or_the_repository(students: dict[str, bytes]) -> None:
    for name, content in students.items():
        if name != "snslib/book/labels.py":  # which has the address, and makes no link of it
            assert labels.SITE.encode() not in content, name
            assert b"github.com/snslib" not in content, name
    namespace: dict[str, Any] = {}
    exec(students["snslib/book/labels.py"], namespace)
    assert namespace["section"]("06_results", "sec-recorded") == "06_results.ipynb#sec-recorded"


@pytest.mark.parametrize("folder", ["notebooks", "exercises"])
def test_links_between_notebooks_lead_to_files_that_are_there(students: dict[str, bytes], folder: str) -> None:
    found = 0
    for name in students:
        if name.startswith(folder):
            for cell in notebook_in(students, name).cells:
                for target in re.findall(r"\]\(([^)\s]+\.ipynb)\)", cell.source):
                    found += 1
                    path = f"{folder}/{target}".replace("exercises/../", "")
                    assert path in students, f"{name}: {target}"
    assert found > 5


def test_a_link_to_a_page_that_is_no_notebook_leaves_its_text() -> None:
    why = f"{labels.SITE}executed/06_results.html#sec-a"
    text = f"[How]({labels.SITE}choices.html) and [why]({why}), [paper](https://a.org/b)"
    source = new_notebook(cells=[new_code_cell("1"), new_markdown_cell(text)])
    (_, cell) = notebooks.chapter(source, solutions=False).cells
    assert cell.source == "How and [why](06_results.ipynb), [paper](https://a.org/b)"


def test_a_section_that_is_to_be_predicted_asks_for_the_prediction_and_shows_nothing() -> None:
    marked = new_markdown_cell("<!-- predict -->\n<!-- sec-result -->\n## What happened\n\nIt fell.")
    ran = new_code_cell("1", outputs=[new_output("stream", text="12%")], execution_count=3)
    source = new_notebook(cells=[new_code_cell("1"), marked, ran, new_markdown_cell("## Next")])
    _, section, code, other = notebooks.chapter(source, solutions=False).cells
    assert section.source.split("\n\n")[1].startswith("> **First write down**")
    assert section.source.endswith("\n\nIt fell.")
    assert (code.outputs, code.execution_count) == ([], None)
    assert other.source == "## Next"


def test_the_library_must_build_its_links_in_one_known_place() -> None:
    with pytest.raises(ValueError, match=r"labels\.py: expected"):
        notebooks.own_links("def section(): ...")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_of_parameters_are_kept_and_the_first_one_finds_the_library(
    students: dict[str, bytes], path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = [cell for cell in read(path).cells if cell.cell_type == "code"]
    for name in (f"notebooks/{path.name}", f"exercises/{path.name}"):
        if name in students:
            given = [cell for cell in notebook_in(students, name).cells if cell.cell_type == "code"]
            assert given[1].source == code[1].source
            assert given[1].metadata.tags == ["parameters"]
            assert given[2].source == code[2].source
    (tmp_path / "snslib").mkdir()
    (tmp_path / "notebooks").mkdir()
    for folder in (tmp_path, tmp_path / "notebooks"):  # papermill's, and Jupyter's
        monkeypatch.chdir(folder)
        monkeypatch.setattr("sys.path", ["elsewhere"])
        exec(given[0].source, {})
        assert importlib.import_module("sys").path == [str(tmp_path), "elsewhere"]


def test_a_notebook_of_exercises_says_not_solved_yet_and_then_right(
    students: dict[str, bytes], teachers: dict[str, bytes], tmp_path: Path
) -> None:
    name = "exercises/01_adversarial_examples.ipynb"
    solved = dict.fromkeys(("1.1", "1.3", "1.4"), "")
    for files in (students, teachers):
        (tmp_path / "given.ipynb").write_bytes(files[name])
        for exercise in exercises(tmp_path / "given.ipynb"):
            for stub in exercise.tagged("exercise"):
                assert answer(stub) == f"Exercise {exercise.number}: not solved yet."
            for text in exercise.tagged("solution"):
                if exercise.number in solved:
                    solved[exercise.number] = answer(re.search(r"```python\n(.*?)```", text, re.S)[1])  # type: ignore[index]
    assert all(said.startswith("Right: ") for said in solved.values()), solved


def answer(code: str) -> str:
    """What the last line of a cell is, the check."""
    namespace: dict[str, Any] = {}
    *before, check = code.strip().splitlines()
    exec("\n".join(before), namespace)
    return eval(check, namespace)


def test_the_teachers_notes_name_what_the_book_refers_to() -> None:
    source = new_notebook(cells=[new_markdown_cell("<!-- sec-top -->\n# Attacks\n\n<!-- sec-a -->\n## Four of them")])
    source.cells.append(new_markdown_cell("**Figure 1.3.** Accuracy.\n<!-- fig-eps -->"))
    text = (
        "[](executed/01_a.ipynb) and {doc}`executed/01_a`, [](sec-a), {numref}`fig-eps` and {numref}`tbl-vanilla`, "
        "[*how*](choices.md), [](choices.md), [there](https://a.org), "
        '<a href="slides/one.html">Slides</a>, <a href="https://a.org">elsewhere</a>'
    )
    path = "(notebooks/01_a.ipynb)"
    assert notes.plain(text, {"01_a": source}) == (
        f"[Attacks]{path} and [Attacks]{path}, [Four of them]{path}, [Figure 1.3]{path} and Table 1.4, "
        "*how*, choices.md, [there](https://a.org), "
        'Slides: `slides/one.html` in the book, <a href="https://a.org">elsewhere</a>'
    )


MEASURES = """
import os
from pathlib import Path
from snslib.study import records

folder = Path(os.environ["SNSLIB_CACHE"])
records.record(folder, "{shown}", {{"n": 1}}, {{}}, "cpu", compute=lambda: records.record(
    folder, "needed", {{"n": 2}}, {{}}, "cpu", lambda: 1).result)
assert "library" in os.environ["PYTHONPATH"]
"""


@pytest.mark.slow
def test_of_the_cache_what_chapters_read_is_handed_out_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "READ_IN_EXERCISES", ())
    monkeypatch.setenv("PYTHONPATH", "before")
    tree, kept = tmp_path / "library", tmp_path / "cache"
    (tree / "notebooks").mkdir(parents=True)
    cells = [new_code_cell("# the library is found here"), new_code_cell(MEASURES.format(shown="shown"))]
    nbformat.write(new_notebook(cells=cells), tree / "notebooks" / "01_a.ipynb")
    (kept / "records").mkdir(parents=True)
    (kept / "records" / "another-0123456789abcdef.json").write_text("{}")
    shown = records.record_path(kept, "shown", {"n": 1}).relative_to(kept)
    assert cache.files_read(tree, kept) == [shown]
    assert len([*kept.glob("records/*.json")]) == 3  # what was needed to make it is kept here
    assert os.environ["PYTHONPATH"] == "before"
    assert "SNSLIB_CACHE" not in os.environ


def test_networks_that_are_handed_out_for_the_exercises_are_named_there(students: dict[str, bytes]) -> None:
    said = b"".join(content for name, content in students.items() if name.startswith("exercises/"))
    assert all(f'"{defense}' in said.decode().replace("\\", "") for defense in cache.READ_IN_EXERCISES)


def test_a_published_network_is_there_without_its_weights(students: dict[str, bytes]) -> None:
    published = [path for path in (ROOT / "results").glob("*/*/*.safetensors")]
    assert len(published) > 30
    for path in published:
        folder = path.parent.relative_to(ROOT).as_posix()
        assert json.loads(students[f"{folder}/states/{path.stem}.json"]).keys() >= {"recipe", "history", "classes"}


def test_the_zip_is_small_and_the_same_every_time(students: dict[str, bytes]) -> None:
    made = handout.zipped(students)
    assert made == handout.zipped(dict(reversed(students.items())))
    assert len(made) < handout.LIMIT - 4_000_000  # room for the networks, each not quite a megabyte
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(f"neuron-sensitivity/{name}" for name in students)
        assert archive.read("neuron-sensitivity/README.md") == students["README.md"]


def test_a_zip_that_is_too_large_says_what_takes_the_room() -> None:
    files = {"results/a.json": bytes(range(256)) * 9, "snslib/a.py": b"1", "README.md": b"2"}
    with pytest.raises(ValueError, match=r"the handout would have \d\.\d MB, more than 0: results \d\.\d MB"):
        handout.zipped(files, limit=500)
    assert handout.zipped(files, limit=5000)


def test_the_variables_of_the_command() -> None:
    assert [handout.parse(given) for given in ([], ["SOLUTIONS=1"], ["SOLUTIONS=0"])] == [False, True, False]
    with pytest.raises(ValueError, match="seed: make handout takes SOLUTIONS=1 alone"):
        handout.parse(["SEED=1"])
    with pytest.raises(ValueError, match="solutions: expected 0 or 1, got 'maybe'"):
        handout.parse(["SOLUTIONS=maybe"])


def test_what_is_installed_is_pinned_and_pytorch_comes_without_what_only_a_gpu_needs(
    students: dict[str, bytes],
) -> None:
    pinned = re.findall(r"^([\w.-]+)==", students["requirements.txt"].decode(), re.M)
    assert {"papermill", "jupyterlab", "safetensors", "myst-nb"} <= set(pinned)
    assert not [name for name in pinned if name.startswith(("torch", "nvidia", "triton"))]
    said = students["README.md"].decode()
    asked = re.findall(r"^(torch(?:vision)?==[\w.]+)", (ROOT / "requirements.txt").read_text(), re.M)
    assert f"pip install {' '.join(asked)} --index-url https://download.pytorch.org/whl/cpu\n" in said


def test_another_pytorch_than_that_of_the_handout_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    (asked,) = re.findall(r"^torch==([\w.]+)", (ROOT / "requirements.txt").read_text(), re.M)
    assert f"torch=={asked}" in handout.readme(ROOT, solutions=False)
    monkeypatch.setattr(handout, "version", lambda name: "2.6.0+cpu")
    with pytest.raises(
        ValueError, match=rf"PyTorch 2\.6\.0 is installed, and requirements\.txt has {re.escape(asked)}"
    ):
        handout.readme(ROOT, solutions=False)
