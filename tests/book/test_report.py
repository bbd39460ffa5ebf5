"""Tables and figures show the numbers that they were given."""

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
from markdown import cells

from snslib.book import tables, text
from snslib.book.figures import defenses, fig3b
from snslib.claims import paper
from snslib.claims.statistics import Accuracy
from snslib.study.records import Record
from snslib.study.settings import PROFILES


def record(defense: str, **result: float) -> Record:
    return Record("accuracy", result, {"n": 10_000}, defense=defense)


RESULT = {"clean": 0.9, "step_ll": 0.5, "mi_fgsm": 0.4, "pgd": 0.125, "fgsm": 0.3}


def test_a_table_is_numbered_and_aligned() -> None:
    lines = tables.markdown_table(["a", "b"], [["x", "1"]], "What it is.", "tbl-table2").data.splitlines()
    assert lines == [
        *("**Table 6.8.** What it is. <!-- tbl-table2 -->", ""),
        *("| a | b |", "| :-- | --: |", "| x | 1 |"),
    ]
    assert tables.markdown_table(["a"], [], "Mine.", "tbl-x").data.startswith("**Table.** Mine.")


def test_a_table_is_html_too_with_its_caption_and_names_without_tex() -> None:
    rows = [[r"$\mathrm{SNS}_{sen}^{adv}$, λ = 0", "**1** < 2"], ["$J_{avg}$", r"$a_1 < \frac{b_2}{c}$ `d_e_f`"]]
    page = ElementTree.fromstring(tables.markdown_table(["", "n"], rows, "*What* it is.", "tbl-data")._repr_html_())
    assert "".join(page.find("caption").itertext()) == "Table 1.1. What it is."
    assert [cell.text for cell in page.iter("th")] == [None, "n"]
    name, one, index, formula = page.iter("td")
    assert ElementTree.tostring(name[0], "unicode") == (
        '<span class="math inline">SNS<sub>sen</sub><sup>adv</sup></span>, λ = 0'
    )
    assert "".join(one.itertext()) == "1 < 2"
    assert one.get("style") == "text-align:right"
    assert [part.tag for part in index[0]] == ["i", "sub"]
    assert "".join(formula.itertext()) == r"$a_1 < \frac{b_2}{c}$ d_e_f"


def test_ours_stands_above_the_papers_and_what_is_missing_is_not_run() -> None:
    strong = {"pat": [Record("strong-accuracy", 0.0625, {"steps": 100, "restarts": 5, "n": 16})]}
    ours = {"pat": [record("pat", **RESULT)]}
    table = tables.beside_paper(paper.table1(), {"ours": (ours, strong)}, "Caption.", "tbl-1", differences=True).data
    header, _, *rows = [cells(line) for line in table.splitlines() if line.startswith("|")]
    assert header[-1] == "PGD-100 × 5"
    assert len(rows) == 2 * 8
    pat = next(i for i, row in enumerate(rows) if row[0] == "PAT")
    assert rows[pat][2:] == ["**90.00**", "**50.00**", "**40.00**", "**12.50**", "**30.00**", "6.25"]
    printed = ["85.16 (+4.8)", "74.94 (-24.9)", "76.36 (-36.4)", "46.04 (-33.5)", "46.96 (-17.0)"]
    assert rows[pat + 1][2:7] == printed
    assert rows[next(i for i, row in enumerate(rows) if row[0] == "NAT")][1:3] == ["ours", "not run"]


def test_each_network_has_a_line_and_the_difference_is_that_of_the_first() -> None:
    narrow = {row: [record(row, **dict.fromkeys(RESULT, 0.25))] for row in ("pat", "alp")}
    ours = {"width 1": ({"pat": [record("pat", **RESULT)]}, {}), "width 1/4": (narrow, {})}
    table = tables.beside_paper(paper.table1(), ours, "Caption.", "tbl-1", differences=True).data
    rows = [cells(line)[:3] for line in table.splitlines() if line.startswith("|")][2:]
    pat = rows.index(["PAT", "**width 1**", "**90.00**"])
    assert rows[pat + 1 : pat + 3] == [["", "**width 1/4**", "**25.00**"], ["", "paper", "85.16 (+4.8)"]]
    assert rows[pat + 3 : pat + 5] == [["ALP", "**width 1/4**", "**25.00**"], ["", "paper", "81.41"]]
    assert ["NAT", "ours", "not run"] in rows


def test_several_seeds_are_shown_as_mean_and_spread() -> None:
    ours = {"pat": [record("pat", **RESULT), record("pat", **{name: share - 0.02 for name, share in RESULT.items()})]}
    shares = (0.1, 0.16)
    strong = {"pat": [Record("strong-accuracy", share, {"steps": 100, "restarts": 5, "n": 50}) for share in shares]}
    table = tables.beside_paper(paper.table1(), {"ours": (ours, strong)}, "Caption.", "tbl-1", differences=True)
    lines = table.data.splitlines()
    place = next(i for i, line in enumerate(lines) if cells(line)[:2] == ["PAT", "**ours**, 2 seeds"])
    assert cells(lines[place])[2] == "**89.00 ± 1.41**"  # the standard deviation of 90 and 88 is the root of 2
    assert cells(lines[place])[-1] == "13.00 ± 4.24"
    assert cells(lines[place + 1])[2] == "85.16 (+3.8)"


def test_the_front_page_says_whether_the_build_is_live_or_recorded() -> None:
    vanilla = Record("accuracy", {}, {}, data={"name": "digits", "origin": "scikit-learn"})
    live = text.this_build(PROFILES["digits"], vanilla)
    assert "<code>digits</code> profile, run live." in live
    assert "VGG-16 at width 0.125 on digits (scikit-learn) with an eps of 32/255" in live
    recorded = text.this_build(PROFILES["cifar10-small"], replace(vanilla, published=True))
    assert "<code>cifar10-small</code> profile, recorded." in recorded


def test_the_loss_curves_weight_the_sns_term() -> None:
    first = {"loss": [3.0, 2.0], "adv": [1.0, 0.5], "sns": [0.4, 0.3]}
    second = {"loss": [1.0], "adv": [0.2], "sns": [0.16]}
    history = [{"steps": first}, {"steps": second}]
    lines = defenses.loss_curves(history, lam=5.0).axes[0].lines
    np.testing.assert_allclose(lines[0].get_ydata(), [1.0, 0.5, 0.2])
    np.testing.assert_allclose(lines[1].get_ydata(), [2.0, 1.5, 0.8])


def test_neurons_are_sorted_from_the_most_sensitive() -> None:
    sigmas = {"vanilla": [1.0, 3.0, 2.0], "pat": [0.1, 0.2, 0.3]}
    records = {name: Record("sensitivity", {"sigma": {"conv1": sigma}}, {}) for name, sigma in sigmas.items()}
    figure = defenses.sorted_neurons(records, ["conv1"])
    vanilla, pat = figure.axes[0].lines
    assert list(vanilla.get_ydata()) == [3.0, 2.0, 1.0]
    assert list(pat.get_ydata()) == [0.3, 0.2, 0.1]


def test_layers_come_in_their_order() -> None:
    means = {"vanilla": {"conv1": 3.0, "conv2": 1.0}, "pat": {"conv1": 2.0, "conv2": 0.5}}
    figure = defenses.by_layer(means, "σ", ["conv2"])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["conv1", "conv2"]
    assert [list(line.get_ydata()) for line in figure.axes[0].lines] == [[3.0, 1.0], [2.0, 0.5]]


def test_settings_are_drawn_in_their_order_with_intervals() -> None:
    result = {column: Accuracy((value,), 1000) for column, value in RESULT.items()}
    half = result | {"pgd": Accuracy((0.5,), 1000)}
    figure = fig3b.over_settings({"from": {"conv1": result, "conv8": half}, "λ": {"5": result}})
    layers, weights = figure.axes
    assert [label.get_text() for label in layers.get_xticklabels()] == ["conv1", "conv8"]
    assert [list(line.get_ydata()) for line in layers.lines][3] == [12.5, 50.0]
    assert len(weights.lines) == 5
