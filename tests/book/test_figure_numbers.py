"""The numbers behind the figures: read back from them, carried by their SVG, offered by the built book."""

import csv
import io
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from snslib.book.figures import (
    attacks,
    correlation,
    defenses,
    fig3b,
    overlap,
    robustness,
    sensitivity,
    speed,
    use_style,
)
from snslib.book.figures.numbers import to_csv
from snslib.claims.numbers.correlation import Point
from snslib.claims.statistics import Accuracy, interval
from snslib.study.defenses import LABELS
from snslib.study.records import Record

EXTENSIONS = Path(__file__).parents[2] / "book" / "_ext"
DESCRIPTION = "{http://purl.org/dc/elements/1.1/}description"


@pytest.fixture
def ax() -> Axes:
    fig, ax = plt.subplots()
    plt.close(fig)
    return ax


def table(figure: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(to_csv(figure))))


def test_what_has_a_label_is_data(ax: Axes) -> None:
    ax.plot([1, 2, 3], [0.1, 1 / 3, np.nan], "o-", label="first, of two")
    ax.scatter([4], [56], label='a "second"')
    ax.hlines([5], [1], [3], label="level")
    ax.plot([0, 2], [0, 2], "k--")
    ax.vlines([1], 0, 1)
    ax.axhline(0.5, label="chance")
    ax.axvline(0.5, label="here")
    ax.axvspan(0, 1, label="shaded")
    assert table(ax.figure) == [
        ["series", "x", "y"],
        ["first, of two", "1", "0.1"],
        ["first, of two", "2", "0.333333333333"],
        ['a "second"', "4", "56"],
        ["level", "2", "5"],
    ]


def test_error_bars_stand_beside_their_points(ax: Axes) -> None:
    ax.errorbar([1, 2], [5, 6], yerr=[[1, 2], [3, 0]], capsize=3, label="one")
    ax.errorbar([1, 2], [np.nan, 7], xerr=0.5, yerr=1, fmt="o", label="two")
    assert table(ax.figure) == [
        ["series", "x", "y", "x low", "x high", "y low", "y high"],
        ["one", "1", "5", "", "", "4", "8"],
        ["one", "2", "6", "", "", "4", "6"],
        ["two", "2", "7", "1.5", "2.5", "6", "8"],
    ]


def test_names_of_ticks_stand_for_their_places() -> None:
    fig, (left, middle, right) = plt.subplots(1, 3)
    plt.close(fig)
    left.bar(np.arange(2) - 0.2, [0.8, np.nan], 0.4, label="a")
    left.bar(np.arange(2) + 0.2, [1.2, 0.4], 0.4, label="b")
    left.set_xticks([0, 1], ["PGD", "FGSM"])
    middle.barh(["cat", "dog"], [30, 70], label="c")
    middle.set(title="lying\nbars")
    right.plot([0.25, 1], [1, 2], label="d")
    right.set_xticks([0.25, 1])
    right.xaxis.set_major_formatter("{x:.1f}")  # numbers, written in another way
    right.set(xlabel="width")
    assert table(fig) == [
        ["panel", "series", "x", "y"],
        ["1", "a", "PGD", "0.8"],
        ["1", "b", "PGD", "1.2"],
        ["1", "b", "FGSM", "0.4"],
        ["2 lying bars", "c", "30", "cat"],
        ["2 lying bars", "c", "70", "dog"],
        ["3 width", "d", "0.25", "1"],
        ["3 width", "d", "1", "2"],
    ]
    middle.set_visible(False)
    assert [row[0] for row in table(fig)[4:]] == ["2 width", "2 width"]


def test_what_our_figures_do_not_draw_is_no_error(ax: Axes) -> None:
    ax.errorbar([1, 2], [3, 4], 1, fmt="none", label="bars alone")
    ax.fill_between([1, 2], [3, 4], label="area")
    ax.stem([1, 2], [3, 4], label="stems")
    ax.set_xticks([], [])
    assert to_csv(ax.figure) == ""
    ax.plot([], [], label="nothing")
    ax.errorbar([], [], [], label="nothing")
    ax.hlines([], [], [], label="nothing")
    ax.plot([1], [2], label="one")
    assert table(ax.figure) == [["series", "x", "y"], ["one", "1", "2"]]


def test_pictures_and_empty_figures_have_no_numbers() -> None:
    images = torch.rand(3, 3, 4, 4)
    pictures = attacks.image_grid(images, torch.tensor([0, 1, 2]), list("abc"))
    assert to_csv(pictures) == to_csv(Figure()) == ""


LAYERS = {"conv1": 0.5, "fc": 0.25}
UNDER = {"clean": 0.75, "step_ll": 0.5, "mi_fgsm": 0.375, "pgd": 0.25, "fgsm": 0.125}
HISTORY = [{"epoch": 1, "clean": 0.5, "pgd": 0.25, "eps": 8 / 255, "steps": {"loss": [3], "cls": [2], "sns": [1]}}]
LOW, HIGH = (f"{100 * end:.12g}" for end in interval(0.25, 40))


def line(figure: Figure) -> str:
    """The table in one line, short enough to read."""
    return to_csv(figure).strip().replace('"', "").replace("\n", " | ")


def test_figures_of_attacks() -> None:
    figure = attacks.training_curves(HISTORY)
    curves = "1 epoch,loss,0,3 | 2 epoch,clean,1,50 | 2 epoch,under PGD, eps 8/255,1,25"
    assert line(figure) == "panel,series,x,y | " + curves
    figure = attacks.accuracy_by_eps([0.5 / 255, 8 / 255], [0.5, 0.25], {"here": 8 / 255})
    assert line(figure) == "series,x,y | accuracy,0.5,50 | accuracy,8,25"


def test_figures_of_defenses() -> None:
    figure = defenses.loss_curves(HISTORY, 5)
    assert line(figure) == r"series,x,y | $\mathcal{L}_{cls}$,1,2 | $\lambda\,$$\mathcal{L}_{sns}$,1,5"
    figure = defenses.validation_curves({"pat": HISTORY})
    assert line(figure) == "panel,series,x,y | 1 clean,PAT,1,50 | 2 under PGD, eps 8/255,PAT,1,25"
    figure = defenses.accuracy_points({"clean": {"pat": 0.25}, "PGD": {"pat": 0}}, {"clean": 40, "PGD": 20})
    points = f"1 clean,accuracy, %,25,PAT,{LOW},{HIGH} | 2 PGD,accuracy, %,0,PAT,0,{100 * interval(0, 20)[1]:.12g}"
    assert line(figure) == "panel,series,x,y,x low,x high | " + points
    figure = defenses.by_layer({"pat": LAYERS, "other": LAYERS}, "σ", ["conv1"])
    assert line(figure) == "series,x,y | PAT,conv1,0.5 | PAT,fc,0.25 | other,conv1,0.5 | other,fc,0.25"
    record = Record("sensitivity", {"sigma": {"conv1": [1, 2], "fc": [3]}}, {})
    figure = defenses.sorted_neurons({"pat": record}, ["conv1", "fc"])
    assert line(figure) == "panel,series,x,y | 1 conv1,PAT,1,2 | 1 conv1,PAT,2,1 | 2 fc,PAT,1,3"
    printed, ours, strong = "the paper, PGD", "width 1, PGD", "width 1, PGD-50"
    figure = defenses.against_paper({"PAT": {printed: 0.5, ours: 0.25}, "SNS": {ours: 0.75, strong: 0.5}})
    points = f"{printed},50,PAT | {ours},25,PAT | {ours},75,SNS | {strong},50,SNS"
    assert line(figure) == "series,x,y | " + points


def test_figures_over_settings() -> None:
    under = {name: Accuracy((value,), 40) for name, value in UNDER.items()}
    rows = table(fig3b.over_settings({"λ": {"0": under, "25": under}, "share": {"2%": under}}))
    assert len(rows) == 1 + 3 * 5
    assert [row for row in rows if row[1] in ("series", "PGD")] == [
        ["panel", "series", "x", "y", "y low", "y high"],
        ["1 λ", "PGD", "0", "25", LOW, HIGH],
        ["1 λ", "PGD", "25", "25", LOW, HIGH],
        ["2 share", "PGD", "2%", "25", LOW, HIGH],
    ]


def test_figures_of_overlap() -> None:
    sets = {
        "reached": {"sensitive": [[0, 1], []], "important": [[0, 1], []]},
        "all": {"sensitive": [[0, 1], [2, 3]], "important": [[0, 1], [0, 1]]},
    }
    result = {"penultimate": sets, "channels": {"fc1": 4}}
    figure = overlap.sensitive_and_important(Record("", result, {"layer": "fc1", "k": 2}), ["cat", "dog"])
    assert table(figure)[1:] == [
        ["1 images that reached the target", "important for the target", "cat", "1"],
        ["2 all images", "important for the target", "cat", "1"],
        ["2 all images", "important for the target", "dog", "0"],
        ["2 all images", "important for other classes", "cat", "1"],
        ["2 all images", "important for other classes", "dog", "0"],
    ]
    [level] = [line for line in figure.axes[0].get_lines() if line.get_label() == "chance"]
    assert level.get_ydata() == pytest.approx([7 / 18] * 2)  # of the 6 pairs one is the same, 4 have a third in common
    indices = {"average": LAYERS, "total": {"fc": 0.125}, "chance": {"fc": 0.0625}}
    errors = {"conv1": [0.125, 0.25], "fc": [0.0625, 0.03125]}
    assert table(overlap.jaccard_by_layer({"own": indices, "paper": indices}, errors))[:6] == [
        ["panel", "series", "x", "y", "y low", "y high"],
        ["1 own", "$J_{avg}$", "conv1", "0.5", "0.25", "0.75"],
        ["1 own", "$J_{avg}$", "fc", "0.25", "0.125", "0.375"],
        ["1 own", "$J_{total}$", "fc", "0.125", "0.0625", "0.1875"],
        ["1 own", "chance, $J_{avg}$", "fc", "0.0625", "", ""],
        ["2 paper", "$J_{avg}$", "conv1", "0.5", "", ""],
    ]


def suppressed(share: float) -> Record:
    """A record at two factors: UNDER at β = 1, a share of that at 0.5 white box, and as much transferred."""
    white_box = {name: [accuracy, share * accuracy] for name, accuracy in UNDER.items()}
    transferred = {name: [accuracy, accuracy] for name, accuracy in UNDER.items()}
    return Record("", {"betas": [1.0, 0.5], "white_box": white_box, "transferred": transferred}, {"n": 100})


def test_figures_of_suppression() -> None:
    rows = table(overlap.suppression(suppressed(0.5)))
    assert len(rows) == 1 + 2 * 5 * 2
    assert [row for row in rows if row[1] == "FGSM"] == [
        ["1 white box", "FGSM", "1", "12.5"],
        ["1 white box", "FGSM", "0.5", "6.25"],
        ["2 transferred", "FGSM", "1", "12.5"],
        ["2 transferred", "FGSM", "0.5", "12.5"],
    ]
    rows = table(overlap.suppression_of(suppressed(0.5), {"random": suppressed(0.75), "least": suppressed(1)}))
    assert [row for row in rows if row[2] == "0.5"] == [
        [panel, label, "0.5", height]
        for panel, heights in (
            ("1 clean", ("37.5", "56.25", "75")),
            ("2 PGD, white box", ("12.5", "18.75", "25")),
            ("3 PGD, transferred", ("25", "25", "25")),
        )
        for label, height in zip(("most sensitive", "random", "least sensitive"), heights, strict=True)
    ]
    rows = table(overlap.suppressed(suppressed(0.5), 0.5))
    under_pgd = [["white box", "PGD", "12.5"], ["transferred", "PGD", "25"], [r"at $\beta = 1$", "PGD", "25"]]
    assert [row for row in rows if row[1] == "PGD"] == under_pgd


def test_figures_of_relation() -> None:
    figure = correlation.under_each({"pgd": {"pat": LAYERS}, "fog-5": {"pat": {"conv1": 2}}}, "σ")
    assert line(figure) == "panel,series,x,y | 1 PGD,PAT,conv1,0.5 | 1 PGD,PAT,fc,0.25 | 2 fog 5,PAT,conv1,2"
    cells = [Point("pat", "pgd", 0.25, 0.5), Point("pat", "fog-5", 0.125, 0.75)]
    assert line(correlation.lost_accuracy(cells)) == "series,x,y | PAT, attacks,0.25,50 | PAT, corruptions,0.125,75"
    auto = correlation.lost_to_autoattack({"VGG-16": {"vanilla": cells[:1]}, "AlexNet": {"vanilla": cells[1:]}})
    assert line(auto) == "series,x,y | VGG-16, vanilla,0.25,50 | AlexNet, vanilla,0.125,75"


def test_figures_of_scrutiny() -> None:
    growing = {"growing": {"epsilons": [1 / 765, 1.0], "accuracy": [0.5, 0.25]}}
    figure = robustness.growing_radius({"pat": Record("sanity-checks", growing, {"attack": {"eps": 8 / 255}})})
    assert line(figure) == "series,x,y | PAT,0.333333333333,50 | PAT,255,25"
    attacked = [
        Record("autoattack", {"accuracy": 0.0, "warnings": []}, {"n": 4}),
        Record("pgd-accuracy", {"clean": 0.75, "pgd": 0.5}, {"n": 4, "attack": {"steps": 10}}),
    ]
    _, pgd, auto = table(robustness.under_attacks({"pat": attacked}))
    assert pgd[:4] == ["1 PGD-10", "accuracy, %", "50", "PAT"]
    assert [float(cell) for cell in pgd[4:]] == pytest.approx([100 * end for end in interval(0.5, 4)])
    assert auto[:3] == ["2 AutoAttack", "accuracy, %", "0"]
    matrix = {"vanilla": {"vanilla": 0.125, "pat": 0.25}, "pat": {"vanilla": 0.5, "pat": 0.75}}
    assert table(robustness.transfer_matrix(matrix, LABELS)) == [
        ["series", "x", "y", "value"],
        ["accuracy, %", "Vanilla", "Vanilla", "12.5"],
        ["accuracy, %", "PAT", "Vanilla", "25"],  # tested on PAT, made on Vanilla
        ["accuracy, %", "Vanilla", "PAT", "50"],
        ["accuracy, %", "PAT", "PAT", "75"],
    ]
    plane = {"offsets": [-8 / 255, 0, 8 / 255], "loss": np.arange(9).reshape(3, 3).tolist()}
    surface = table(robustness.loss_surfaces({"pat": Record("loss-surface", plane, {})}))
    assert [row[:1] + [f"{float(cell):.4g}" for cell in row[1:]] for row in surface[1:3] + surface[-1:]] == [
        ["cross-entropy", "-8", "-8", "0"],
        ["cross-entropy", "0", "-8", "1"],  # x goes along random signs: the columns
        ["cross-entropy", "8", "8", "8"],
    ]


def test_figures_of_sensitivity() -> None:
    sigma = {"conv1": [0.5, 0.0, 2.0], "fc": [3.0, 1.0]}
    figure = sensitivity.by_neuron(sigma, {"conv1": torch.tensor([2]), "fc": torch.tensor([0])})
    others, sensitive = (
        "other neurons,conv1,0.5 | other neurons,fc,1",
        "sensitive neurons,conv1,2 | sensitive neurons,fc,3",
    )
    assert line(figure) == f"series,x,y | {others} | {sensitive}"
    figure = sensitivity.ranked("fc", [1, 3], 1)
    assert line(figure) == "series,x,y | sensitive neurons: 75% of σ,1,3 | other neurons: 25% of σ,2,1"
    figure = sensitivity.raw_and_relative({"conv1": 0.5}, {"conv1": 2})
    raw, relative = r"1,mean sensitivity $\sigma$,conv1,0.5", "2,relative sensitivity,conv1,2"
    assert line(figure) == f"panel,series,x,y | {raw} | {relative}"
    figure = sensitivity.against_level(LAYERS, {"fc": 0.125, "conv1": 0.0625}, "share", "if alike")
    assert line(figure) == "series,x,y | share,conv1,0.5 | share,fc,0.25 | if alike,conv1,0.0625 | if alike,fc,0.125"


def test_figures_of_speed() -> None:
    ratio = {"width": 0.5, "library": "foolbox", "faster": 2, "faster_from": 1.5, "faster_to": 4}
    rows = table(speed.attacks({"cpu": [{"attack": name, **ratio} for name in ("PGD-10", "MI-FGSM-10", "FGSM")]}))
    assert rows[0] == ["panel", "series", "x", "y", "x low", "x high"]
    points = [
        [title, "VGG-16, width 0.5", "2", "foolbox", "1.5", "4"] for title in ("1 PGD-10", "2 MI-FGSM-10", "3 FGSM")
    ]
    assert rows[1:] == points

    few = {"width": 1, "how": "captum", "images": 8, "layers": 1, "faster": 1, "peak_mib": 32}
    rows = table(speed.sensitivity({"cpu": [few, {**few, "layers": 2, "faster": 0.5, "peak_mib": 64}]}))
    assert rows[0] == ["panel", "series", "x", "y"]
    times = [["1 time (2 layers)", "8", "2"], ["3 time (8 images)", "1", "1"], ["3 time (8 images)", "2", "2"]]
    assert [[row[0], *row[2:]] for row in rows[1:] if "time" in row[0]] == times
    assert [row[1:] for row in rows[-2:]] == [["captum", "1", "32"], ["captum", "2", "64"]]

    width = {"what": "width", "value": 0.25, "per": "image", "seconds": 0.5}
    figure = speed.growth({"cpu": [width, {"what": "processes", "value": 2, "per": "epoch", "seconds": 3}]})
    assert line(figure) == "panel,series,x,y | 1 width,ms per image,0.25,500 | 2 processes,s per epoch,2,3"


def shown(figure: Figure) -> str:
    """The SVG that a cell shows."""
    display: Any = InteractiveShell.instance().display_formatter
    bundle, _ = display.format(figure)
    assert "image/png" in bundle  # for a notebook that is not trusted
    return bundle["image/svg+xml"]


def described(svg: str) -> str | None:
    return next((element.text for element in ElementTree.fromstring(svg).iter(DESCRIPTION)), None)


def drawing() -> Figure:
    fig, ax = plt.subplots(figsize=(2, 1))
    ax.plot([1, 2, 3], [1 / 3, 2, 5], label="a < b & 'c', \"σ\"")
    ax.set(title="two\nlines")
    plt.close(fig)
    return fig


def picture() -> Figure:
    fig, ax = plt.subplots(figsize=(1, 1))
    ax.imshow(np.zeros((2, 2, 3)))
    plt.close(fig)
    return fig


def test_the_shown_figure_carries_its_numbers() -> None:
    use_style()
    use_style()  # as a notebook may
    svg = shown(drawing())
    assert described(svg) == to_csv(drawing())
    assert table(drawing())[2] == ["a < b & 'c', \"σ\"", "2", "2"]
    assert "dc:date" not in svg
    assert svg == shown(drawing())
    assert described(shown(picture())) is None


def output(figure: Figure) -> nbformat.NotebookNode:
    return new_output("display_data", {"image/svg+xml": shown(figure), "text/plain": "<Figure>"})


def test_the_book_offers_the_numbers_under_the_figure(tmp_path: Path) -> None:
    use_style()
    source, html = tmp_path / "source", tmp_path / "build" / "html"
    (source / "executed").mkdir(parents=True)
    (source / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(EXTENSIONS)!r})\n"
        "extensions = ['myst_nb', 'figure_numbers']\nnb_execution_mode = 'off'\nnumfig = True\n"
    )
    pages = ["executed/01_page", "executed/02_page", "other"]
    (source / "index.md").write_text("# Book\n\n```{toctree}\n" + "\n".join(pages) + "\n```\n")

    def captioned(name: str, caption: str) -> dict[str, Any]:
        return {"mystnb": {"figure": {"name": name, "caption": caption}}}

    for page in pages:
        label = page.replace("/", "-")
        cells = [
            new_markdown_cell("# Page"),
            new_code_cell("figure", outputs=[output(drawing())], metadata=captioned(f"fig-{label}", "A *line*.")),
            new_code_cell("figure", outputs=[output(picture())], metadata=captioned(f"pic-{label}", "A picture.")),
            new_code_cell("figure", outputs=[output(drawing())]),
        ]
        metadata = {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}
        nbformat.write(new_notebook(cells=cells, metadata=metadata), source / f"{page}.ipynb")
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-n", source, html]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    page = (html / "executed" / "01_page.html").read_text()
    link = '<a class="figure-numbers reference download internal" download="" href="../_downloads/01_page-{}.csv">'
    assert page.count("numbers (CSV)") == 2
    caption = page[page.index("<figcaption>") : page.index("</figcaption>")]
    assert f"<em>line</em>. {link.format('fig-executed-01-page')}numbers (CSV)</a></span>" in caption
    assert f"<p>{link.format('figure-3')}numbers (CSV)</a></p>" in page
    assert "numbers (CSV)" not in (html / "other.html").read_text()
    files = {path.name: path.read_bytes().decode() for path in (html / "_downloads").iterdir()}
    names = [f"0{n}_page-{label}.csv" for n in (1, 2) for label in (f"fig-executed-0{n}-page", "figure-3")]
    assert files == dict.fromkeys(names, to_csv(drawing()))
