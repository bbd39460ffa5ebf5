"""Names that somebody gave are shown as they are: in Markdown, in tables, in figures and in widgets."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import pytest
import torch
from hostile import HARMLESS, NAMES, Page, in_line
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from matplotlib.figure import Figure
from mdit_py_plugins.dollarmath import dollarmath_plugin
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from projects import make_project
from scripts import load

from snslib.book import findings, flipbooks, tables
from snslib.book.figures import attacks, sensitivity
from snslib.book.figures.numbers import to_csv
from snslib.book.tables.markdown import markdown_table
from snslib.book.text import code, in_a_cell, plain, source, this_build
from snslib.profile.layers import Layer
from snslib.profile.report import Profile
from snslib.study import settings
from snslib.study.records import Record

BOOK = create_md_parser(MdParserConfig(enable_extensions={"colon_fence", "dollarmath"}), RendererHTML)
execute = load("execute.py")
TRAINED = {"model": "vgg16", "width": 1.0, "schedule": {"precision": "float32"}}
CONFIG = {"trained": TRAINED, "attack": {"eps": 8 / 255}}
NOTEBOOK = MarkdownIt().enable("table").use(dollarmath_plugin)
names = st.sampled_from(NAMES) | st.text(
    st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("\\`*_[]<>|$")
)


def read(parser: MarkdownIt, text: str) -> Page:
    return Page(parser.render(text))


@pytest.mark.parametrize("parser", [BOOK, NOTEBOOK], ids=["book", "notebook"])
@given(name=names)
@example(name="a__b _c_ d_e")
def test_a_name_in_a_sentence_is_nothing_but_text(parser: MarkdownIt, name: str) -> None:
    page = read(parser, f"The layer {plain(name)}, as it is.")
    assert page.elements == [("p", ())]
    assert page.text.strip() == f"The layer {in_line(name)}, as it is."


@pytest.mark.parametrize("parser", [BOOK, NOTEBOOK], ids=["book", "notebook"])
@given(name=names)
def test_a_name_as_code_is_nothing_but_code(parser: MarkdownIt, name: str) -> None:
    page = read(parser, f"The layer {code(name)}, as it is.")
    assert [tag for tag, _ in page.elements] == ["p", "code"]
    assert page.text.split() == f"The layer {in_line(name)} , as it is.".split() or in_line(name) in page.text


@pytest.mark.parametrize("write", [plain, code])
@given(name=names)
def test_a_name_in_a_table_is_one_cell(write: Callable[[str], str], name: str) -> None:
    wanted = Page(markdown_table(["a", "b"], [["x", "y"]], "C.", "tbl-data")._repr_html_()).elements
    html = markdown_table(["a", "b"], [[write(name), "y"]], "C.", "tbl-data")._repr_html_()
    assert [one for one in Page(html).elements if one != ("code", ())] == wanted
    assert Page(BOOK.render(f"| a | b |\n| :-- | --: |\n| {in_a_cell(write(name))} | y |")).text.split()[-1] == "y"


def test_ordinary_names_are_written_as_they_are() -> None:
    for name in ("conv1", "features.3", "layer1.0.conv_a", "folder:photos", "golden retriever", "official archive (x)"):
        assert plain(name) == name
        assert code(name) == f"`{name}`"


def profiled(name: str) -> Profile:
    values = torch.tensor([1.0, 3.0, 0.5])
    return Profile(
        title=name,
        layers={name: Layer(name, (3, 3, 4), 1)},
        sigma={name: values},
        activation={name: values},
        omega={name: torch.tensor([1])},
        clean=0.5,
        attacked=0.25,
        masked_layer="",
        masks={},
        about={"eps": 8 / 255, "n": 10},
    )


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_of_ones_own_model_has_the_same_elements_whatever_its_layers_are_called(name: str) -> None:
    said, wanted = (
        [
            Page(tables.profiled_layers(profiled(each))._repr_html_()).elements,
            read(BOOK, findings.profiled_model(profiled(each)).data).elements,
        ]
        for each in (name, HARMLESS)
    )
    assert said == wanted


@pytest.mark.parametrize("name", NAMES)
def test_the_front_page_has_the_same_elements_whatever_the_data_are_called(name: str) -> None:
    run = settings.PROFILES["digits"]
    for published in (True, False):
        said, wanted = (
            Page(this_build(run, SimpleNamespace(data={"name": each, "origin": each}, published=published)))  # type: ignore[arg-type]
            for each in (name, HARMLESS)
        )
        assert said.elements == wanted.elements
        assert name in said.text


@pytest.mark.parametrize("value", NAMES)
def test_the_page_about_the_build_has_one_cell_for_all_parameters(value: str, tmp_path: Path) -> None:
    root = make_project(tmp_path / "root", n01_x=["1"])
    (root / "book" / "executed").mkdir()
    run = {"digest": "0" * 64, "executed": "0" * 64, "parameters": {"profile": value, "seed": 1}, "seconds": 1.5}
    (root / "book" / "executed" / "01_x.run.json").write_text(json.dumps(run))
    page = read(BOOK, execute.describe_build(root))
    run["parameters"]["profile"] = HARMLESS
    (root / "book" / "executed" / "01_x.run.json").write_text(json.dumps(run))
    assert page.elements == read(BOOK, execute.describe_build(root)).elements
    shown = f"profile={value}".replace("\\|", "|")  # in code in a table a bar cannot have a backslash
    assert " ".join(shown.split()) in " ".join(page.text.split())


def texts(figure: Figure) -> str:
    """What a figure says, with its texts as text."""
    file = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none"}):
        figure.savefig(file, format="svg")
    return " ".join(Page(re.sub(r"<!--.*?-->", "", file.getvalue(), flags=re.S)).text.split())


@pytest.mark.filterwarnings("ignore:Glyph")  # not every font has every letter
def test_figures_of_many_names_show_them_as_they_are() -> None:
    many = [name for name in NAMES if in_line(name)]
    n = len(many)
    grid = texts(attacks.image_grid(torch.rand(n, 3, 4, 4), torch.arange(n), many))
    places = texts(sensitivity.by_neuron({name: [1.0] for name in many}, {name: torch.tensor([0]) for name in many}))
    for name in many:
        assert in_line(name[: attacks.NAME_LENGTH]) in grid
        assert in_line(name) in places


@pytest.mark.parametrize("name", [name for name in NAMES if "$" in name])
def test_figures_have_no_formula_for_a_name(name: str) -> None:
    x, y, logits = torch.rand(1, 3, 4, 4), torch.tensor([0]), torch.tensor([[2.0, 1.0]])
    classes, shown = [name, "other"], in_line(name[: attacks.NAME_LENGTH])
    assert shown in texts(attacks.adversarial_panel(x, y, {"PGD": x}, {"clean": logits, "PGD": logits}, classes, 0.1))
    [frame] = attacks.growing_attack(x[0], 0, x, logits.softmax(1), classes, [0.1])
    assert "".join(f"a {shown}".split()) in "".join(texts(frame).split())  # a formula's letters stand one by one
    assert f"{shown} ✓" in texts(frame)
    assert name in texts(sensitivity.ranked(name, [1.0, 2.0], 1))


def test_the_numbers_of_a_figure_have_names_as_they_are() -> None:
    x, logits = torch.rand(1, 3, 4, 4), torch.tensor([[2.0, 1.0]])
    [frame] = attacks.growing_attack(x[0], 0, x, logits.softmax(1), ["$a$ b", "=1+1"], [0.1])
    frame.axes[2].containers[0].set_label("$p$")
    lines = to_csv(frame).splitlines()
    assert any(",$a$ b ✓" in line for line in lines)
    assert any(line.endswith(",'=1+1") for line in lines)


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("name", NAMES[::3])
def test_a_flipbook_has_the_same_elements_whatever_the_classes_are_called(name: str) -> None:
    x, logits = torch.rand(1, 3, 4, 4), torch.tensor([[2.0, 1.0]])
    with mpl.rc_context({"svg.fonttype": "path"}):
        said, wanted = (
            flipbooks.growing_attack(x, torch.tensor([0]), x, logits, [each, "b"], [0.1], 0.1)._repr_mimebundle_()
            for each in (name, HARMLESS)
        )
    page = Page(said["text/html"])
    assert page.elements == Page(wanted["text/html"]).elements
    assert any(f"of class {name} is read" in text for text in page.attributes)


@pytest.mark.parametrize("name", NAMES)
def test_a_source_has_the_same_elements_whatever_a_record_says_of_itself(name: str) -> None:
    def said(each: str) -> Page:
        about = {"device": each, "seconds": 1.0, "versions": {"torch": each}, "commit": each}
        return read(
            BOOK, source(Record("accuracy", {}, CONFIG, data={"name": each, "origin": each}, provenance=about)).data
        )

    assert said(name).elements == said(HARMLESS).elements == [("p", ()), ("em", ())]
    assert said(name).text.count(in_line(name)) >= 5


def test_a_source_says_what_a_record_says_of_itself() -> None:
    line = source(Record("accuracy", {}, CONFIG, data={"name": "digits", "origin": "here"})).data
    assert line == "*Computed live: digits (here) · VGG-16 at width 1 · trained in float32 · eps 8/255 · seed 0 · 0 s*"


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"device": "cuda, a GPU"}, " · measured in float32 with convolutions in TF32 · "),  # a record from before
        ({"device": "cuda, a GPU", "precision": "tf32"}, " · measured in tf32 · "),
        ({"device": "cuda, a GPU", "precision": "float32"}, ""),
        ({"device": "cpu, 2 CPU threads"}, ""),
    ],
)
def test_a_source_says_where_a_measurement_was_rounded(about: dict[str, str], said: str) -> None:
    line = source(Record("accuracy", {}, CONFIG, data={"name": "digits", "origin": "here"}, provenance=about)).data
    assert ("measured" in line) == bool(said)
    assert said in line
