"""The notebooks are plain Markdown, and the book turns it into the MyST that it needs (book/_ext/plain_markdown.py)."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from chapters import NOTEBOOKS, myst, read
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from scripts import BOOK, load
from sphinx.errors import ExtensionError

from snslib.book import labels
from snslib.book.tables import markdown_table

plain = load("_ext/plain_markdown.py")

SITE = "https://example.org/book/"
MADRY = "https://arxiv.org/abs/1706.06083"
BIBLIOGRAPHY = plain.references(BOOK / "references.bib")
WORLD = plain.Book(
    SITE,
    frozenset({"choices", "executed/01_one", "executed/02_two"}),
    {"sec-attacks": "executed/01_one"},
    {"Figure 1.2": "fig-eps", "Table 2.1": "tbl-x", "Eq. (1.1)": "eq-fgsm", "Table 3": "tbl-speed"},
    BIBLIOGRAPHY,
)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("<!-- sec-attacks -->\n## Four attacks", "(sec-attacks)=\n## Four attacks"),
        ("$$\nx \\tag{1.1}\n$$\n<!-- eq-fgsm -->\n", "$$\nx\n$$ (eq-fgsm)\n"),
        ("$$\nx\n$$\n\n$$\ny \\tag{1.2}\n$$\n<!-- eq-y -->", "$$\nx\n$$\n\n$$\ny\n$$ (eq-y)"),
        ("Turn Eq. (1.1) into code.", "Turn {eq}`eq-fgsm` into code."),
        ("(Figure 1.2), Table\n2.1.", "({numref}`fig-eps`), {numref}`tbl-x`."),
        ("Table 3 shows", "{numref}`tbl-speed` shows"),
        ("the paper's Table 1, Fig. 7a and Eq. 9", "the paper's Table 1, Fig. 7a and Eq. 9"),
        ("`Figure 9.9`\n\n```\nTable 9.9\n```", "`Figure 9.9`\n\n```\nTable 9.9\n```"),
        (f"[Four attacks]({SITE}executed/01_one.html#sec-attacks)", "[Four attacks](sec-attacks)"),
        (f"[Two\nand]({SITE}executed/02_two.html)", "[Two and](02_two.ipynb)"),
        (f"[Choices]({SITE}choices.html)", "[Choices](../choices.md)"),
        ("[elsewhere](https://example.com/a_b)", "[elsewhere](https://example.com/a_b)"),
        (f"[Madry et al. (2018)]({MADRY})", "{cite:t}`madry2018`"),
        (f"PGD [(Madry et al.,\n2018)]({MADRY}) in [0, 1]", "PGD {cite:p}`madry2018` in [0, 1]"),
        (
            "> **Algorithm 4.1.** SNS <!-- alg-sns -->\n>\n> **Inputs** x\n>\n> 1. Use\n>    PGD\n\nLine 1",
            "```{prf:algorithm} SNS\n:label: alg-sns\n\n**Inputs** x\n\n1. Use\n   PGD\n```\n\nLine 1",
        ),
        (
            "<details><summary>Hint</summary>\n\nSee Figure 1.2.\n\n</details>",
            ":::{dropdown} Hint\nSee {numref}`fig-eps`.\n:::",
        ),
        (
            "<details><summary>Solution</summary>\n\nx\n\n</details>",
            ":::{dropdown} Solution\n:class-container: solution\n\nx\n:::",
        ),
        (
            markdown_table(["a"], [["1"]], "See Figure 1.2.", "tbl-data").data,
            "~~~{table} See {numref}`fig-eps`.\n:name: tbl-data\n\n| a |\n| :-- |\n| 1 |\n~~~\n",
        ),
    ],
)
def test_each_form_has_its_counterpart(written: str, expected: str) -> None:
    assert plain.myst(written, WORLD) == expected


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("Figure 1.9", r"there is no Figure 1\.9; the captions"),
        ("Eq. (1.9)", r"there is no Eq\. \(1\.9\)"),
        (f"[x]({SITE}executed/09_nine.html)", "is not in the book"),
        (f"[x]({SITE}executed/02_two.html#sec-attacks)", "is not in the book"),
        (f"[Madry (2018)]({MADRY})", r"cites madry2018: write Madry et al\. \(2018\) or \(Madry et al\., 2018\)"),
        ("$$\nx\n$$\n<!-- eq-fgsm -->", "the label eq-fgsm stands where it labels nothing"),
        ("**Figure 1.2.** Below.\n<!-- fig-eps -->", "the caption of a figure goes right below the code"),
    ],
)
def test_a_fault_names_notebook_cell_and_remedy(written: str, fault: str) -> None:
    notebook = new_notebook(cells=[new_markdown_cell("# Title"), new_markdown_cell(written)])
    with pytest.raises(ExtensionError, match=rf"01_one, cell 2: .*{fault}"):
        plain.convert(notebook, "01_one", WORLD)


def converted(*cells: NotebookNode) -> Sequence[NotebookNode]:
    notebook = new_notebook(cells=list(cells))
    plain.convert(notebook, "01_one", WORLD)
    return notebook.cells


def test_the_caption_below_a_figure_becomes_its_own() -> None:
    metadata = {"mystnb": {"image": {"alt": "A line."}}}
    code, text = converted(
        new_code_cell("draw()", metadata=metadata),
        new_markdown_cell("**Figure 1.2.** Like Table 2.1,\nfor $x$.\n<!-- fig-eps -->"),
        new_markdown_cell("Text."),
    )
    figure = {"name": "fig-eps", "caption": "Like {numref}`tbl-x`, for $x$."}
    assert code.metadata.mystnb == {"image": {"alt": "A line."}, "figure": figure}
    assert text.source == "Text."


def test_of_an_output_the_book_takes_the_markdown() -> None:
    data = {"text/markdown": "See Figure 1.2.", "text/html": "See Figure 1.2."}
    picture = {"image/svg+xml": "<svg/>", "text/html": "<img>"}
    outputs = [new_output("display_data", data), new_output("display_data", picture)]
    (code,) = converted(new_code_cell("show()", outputs=outputs))
    assert code.outputs[0].data == {"text/markdown": "See {numref}`fig-eps`."}
    assert code.outputs[1].data == picture


def test_the_cells_of_an_exercise_become_one_folded_part() -> None:
    exercise = {"tags": ["exercise"]}
    cells = converted(
        new_markdown_cell("## Exercises"),
        new_markdown_cell("### Exercise 1.1 (10 minutes): FGSM\n\nTurn Eq. (1.1) into code."),
        new_code_cell("# FGSM\ncheck(f)", metadata=exercise, outputs=[new_output("stream", text="Figure 9.9")]),
        new_markdown_cell("Then measure."),
        new_markdown_cell("<details><summary>Hint</summary>\n\nThink.\n\n</details>"),
        new_markdown_cell("### Exercise 1.2 (5 minutes, open): More\n\nText."),
        new_code_cell("glue()"),
    )
    assert [cell.source for cell in cells] == [
        "## Exercises",
        "::::{dropdown} Exercise 1.1 (10 minutes): FGSM\n:class-container: exercise\n\n"
        "Turn {eq}`eq-fgsm` into code.\n\n"
        "```python\n# FGSM\ncheck(f)\n```\n\nThen measure.\n\n:::{dropdown} Hint\nThink.\n:::\n::::",
        "::::{dropdown} Exercise 1.2 (5 minutes, open): More\n:class-container: exercise\n\nText.\n::::",
        "glue()",
    ]
    assert [cell.cell_type for cell in cells] == ["markdown", "markdown", "markdown", "code"]


PARAMETERS = 'eps: float = None  # radius in [0, 1]; digits: 32/255\nrecorded: str = "a/b"  # rows | folders'


def test_the_cell_of_parameters_becomes_a_folded_table() -> None:
    given = new_code_cell("# Parameters\neps = 0.1\nseed = 3\n", metadata={"tags": ["injected-parameters"]})
    cells = converted(new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}), given, new_code_cell("begin()"))
    table = (
        ":::{dropdown} Parameters\n| parameter and default | what it is |\n| :-- | :-- |\n"
        '| `eps` = `None` | radius in [0, 1]; digits: 32/255 |\n| `recorded` = `"a/b"` | rows \\| folders |'
    )
    assert [(cell.cell_type, cell.source) for cell in cells] == [
        ("markdown", f"{table}\n\nThis run was given `eps = 0.1`, `seed = 3`.\n:::"),
        ("code", "begin()"),
    ]
    (alone,) = converted(new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}))
    assert alone.source == f"{table}\n:::"


def test_a_parameter_without_a_word_about_it_is_a_fault() -> None:
    with pytest.raises(ExtensionError, match=r"01_one, cell 1: .*this is not: eps: float = None$"):
        converted(new_code_cell("eps: float = None", metadata={"tags": ["parameters"]}))


def test_numbers_are_those_of_the_places() -> None:
    texts = [
        "**Figure 3.1.** A.\n<!-- fig-a -->",
        "$$\nx \\tag{3.1}\n$$\n<!-- eq-a -->",
        "**Figure 3.3.** B. <!-- fig-b -->",
    ]
    notebook = new_notebook(cells=[new_markdown_cell(text) for text in texts])
    with pytest.raises(
        ExtensionError, match=r"03_c, cell 3: Figure 3\.3 \(fig-b\) has the place of 3\.2: number it so"
    ):
        plain.labels(notebook, "03_c", "3.")
    notebook.cells.pop()
    assert plain.labels(notebook, "03_c", "3.") == ([], {"Figure 3.1": "fig-a", "Eq. (3.1)": "eq-a"})


def test_authors_are_named_as_in_a_text_and_found_by_one_address() -> None:
    assert BIBLIOGRAPHY["https://arxiv.org/abs/2003.01690"] == ("croce2020", "Croce and Hein", "2020")
    assert BIBLIOGRAPHY["https://arxiv.org/abs/2010.01950"] == ("kim2020", "Kim", "2020")
    assert BIBLIOGRAPHY["https://doi.org/10.1109/CVPR.2018.00957"][0] == "dong2018"
    assert BIBLIOGRAPHY["https://arxiv.org/abs/1909.06978"][1] == "Zhang et al."


# --- the notebooks ---


def tables_of(chapter: str) -> dict[str, str]:
    return {labels.table(label): label for label in labels.TABLES[chapter.removesuffix(".")]}


def test_the_sources_are_numbered_in_order_and_refer_to_what_is_there() -> None:
    chapters = plain.chapter_numbers(BOOK / "_toc.yml")
    pages = {f"executed/{path.stem}": read(path) for path in NOTEBOOKS}
    sections, numbers = {}, {}
    for page, notebook in pages.items():
        found, own = plain.labels(notebook, page, chapters.get(page, ""))
        sections |= dict.fromkeys(found, page)
        numbers[page] = own | tables_of(chapters.get(page, ""))
    shared = {name: label for page in chapters if page in numbers for name, label in numbers[page].items()}
    every = frozenset({*pages, *(path.stem for path in BOOK.glob("*.md"))})
    for page, notebook in pages.items():
        plain.convert(notebook, page, plain.Book(labels.SITE, every, sections, shared | numbers[page], BIBLIOGRAPHY))
    captions = [len(re.findall(r"fig-[\w-]+", str([cell.metadata for cell in nb.cells]))) for nb in pages.values()]
    assert sum(captions) > 40


def test_the_address_of_the_book_is_one() -> None:
    assert yaml.safe_load((BOOK.parent / "_config.yml").read_text())["sphinx"]["config"]["ogp_site_url"] == labels.SITE


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_source_needs_myst(path: Path) -> None:
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            assert myst(cell.source) == []


@pytest.mark.parametrize(
    "text",
    ["See {numref}`fig-x`.", "~~~{table} A", ":::{dropdown} A", "(sec-a)=", "$$ (eq-a)", "[](sec-a)", "[x](a.ipynb)"],
)
def test_myst_is_recognised(text: str) -> None:
    assert myst(text)
