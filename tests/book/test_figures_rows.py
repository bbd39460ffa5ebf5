"""Pictures of long tables: a line per row, the numbers of the records, no marker where there is none."""

import csv
import io
import math
import re
from pathlib import Path
from statistics import stdev
from typing import Any

import matplotlib.pyplot as plt
import pytest
from markdown import table_rows
from matplotlib.figure import Figure
from recorded import publish

from snslib.book import tables
from snslib.book.figures import speed
from snslib.book.figures.numbers import to_csv
from snslib.book.figures.rows import (
    Panel,
    beside_paper,
    by_statistics,
    row_panels,
    stabilised_neurons,
    stronger_attacks,
)
from snslib.claims import paper
from snslib.claims.numbers.accuracies import BY_STATISTICS, STABILISED, STATISTICS
from snslib.study import speed_records
from snslib.study.defenses import LABELS
from snslib.study.rows import FAMILIES, ROWS, TABLE

FOLDER = "data/net-w0.25"
VGG16, ALEXNET = "cifar10/vgg16-w0.25", "tiny-imagenet/alexnet-w0.25"
RESULT = {"clean": 0.75, "step_ll": 0.5, "mi_fgsm": 0.375, "pgd": 0.125, "fgsm": 0.25}
Line = dict[str, str]


def lines(figure: Figure | None) -> list[Line]:
    """The numbers of a figure; the number of its panel is left out."""
    assert figure is not None
    found = list(csv.DictReader(io.StringIO(to_csv(figure))))
    return [line | {"panel": line.get("panel", "").partition(" ")[2]} for line in found]


def shown(figure: Figure | None, panel: str, series: str) -> dict[str, float]:
    """Row to number."""
    return {line["y"]: float(line["x"]) for line in lines(figure) if (line["panel"], line["series"]) == (panel, series)}


def rows_of(figure: Figure | None) -> list[str]:
    """The labels of all rows, those without markers too, from top to bottom."""
    assert figure is not None
    first = figure.axes[0]
    assert first.get_ylim()[0] > first.get_ylim()[1]
    return [label.get_text() for label in first.get_yticklabels()]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for box in figure.legends for text in box.get_texts()]


def test_every_row_has_a_line_and_a_marker_where_it_has_a_number() -> None:
    panels = [
        Panel("percent", {"one": [0, math.nan, 20], "two": [100, math.nan, 80]}, most=100),
        Panel("alone", {"three": [math.nan, math.nan, 3.0]}, {"three": ([math.nan] * 2 + [1], [math.nan] * 2 + [2])}),
    ]
    figure = row_panels(["a", "b", "c"], panels, "share, %")
    assert rows_of(figure) == ["a", "b", "c"]
    assert [(line["panel"], line["series"], line["x"], line["y"]) for line in lines(figure)] == [
        ("percent", "one", "0", "a"),
        ("percent", "one", "20", "c"),
        ("percent", "two", "100", "a"),
        ("percent", "two", "80", "c"),
        ("alone", "three", "3", "c"),
    ]
    assert [(line["x low"], line["x high"]) for line in lines(figure)] == [("", "")] * 4 + [("2", "5")]
    percent, alone = figure.axes
    assert percent.get_xlim()[1] == pytest.approx(106)
    assert alone.get_xlim()[1] == pytest.approx(1.06 * 5)  # its error bar is within the panel
    assert percent.get_xlabel() == alone.get_xlabel() == "share, %"


def test_markers_differ_in_shape_and_place_and_a_legend_names_those_that_share_a_panel() -> None:
    together = row_panels(["a"], [Panel("both", {"one": [1], "two": [1]}), Panel("again", {"two": [2]})])
    one, two, again = (line for ax in together.axes for line in ax.lines)
    assert one.get_marker() != two.get_marker() == again.get_marker()
    assert one.get_ydata()[0] < two.get_ydata()[0]  # above, since the axis is turned round
    assert legend(together) == ["one", "two"]
    alone = row_panels(["a", "b"], [Panel("in turns", {"one": [1, math.nan], "two": [math.nan, 1]})])
    assert [list(line.get_ydata()) for line in alone.axes[0].lines] == [[0, 1]] * 2
    assert legend(row_panels(["a"], [Panel("one", {"one": [1]})])) == []


def test_a_logarithmic_axis_shows_0_and_names_its_ends() -> None:
    values = [3e-6, 0.5, 20]
    without, with_zero, of_nothing = row_panels(
        ["a", "b", "c"],
        [Panel(str(n), {"σ": of}, is_log=True) for n, of in enumerate((values, [0, *values[1:]], [0, math.nan, 0]))],
    ).axes
    assert without.get_xscale() == "log"
    assert list(without.get_xticks()) == pytest.approx([1e-6, 1e-2, 1e2])
    assert with_zero.get_xscale() == "symlog"
    assert list(with_zero.get_xticks()) == pytest.approx([0, 1e1, 1e3])
    assert of_nothing.get_xscale() == "linear"
    for ax, smallest, largest in ((without, 3e-6, 20), (with_zero, 0, 20), (of_nothing, 0, 0)):
        low, high = ax.get_xlim()
        assert low < smallest <= largest < high


def put_stabilised(row: str, sensitivity: dict[str, Any], seed: str = "", fixed: float = 0.5) -> None:
    trained = {"sns": {"fraction": 0.5, "layers": ["conv8"]}} if row != "vanilla" else {}
    publish(row + seed, "accuracy", RESULT, n=100)
    publish(row + seed, "accuracy-on-fixed", fixed, n=100)
    publish(row + seed, "strong-accuracy", 0.0625, n=100, steps=100, restarts=5)
    publish(row + seed, "sensitivity", sensitivity, split="test", under="pgd", trained=trained)


def test_stabilised_neurons_are_those_of_the_records(results: Path) -> None:
    labels = {"vanilla": "Vanilla", "sns": "SNS", "off": "off", "pat": "PAT"}
    assert stabilised_neurons(labels, FOLDER) is None
    publish("vanilla", "sensitivity", {"sigma": {"conv8": [3.0, 1.0]}}, split="train", under="pgd")
    put_stabilised("vanilla", {"sigma": {"conv8": [2.0, 9.0]}, "activation": {"conv8": [4.0, 9.0]}})
    put_stabilised("sns", {"sigma": {"conv8": [0.5, 9.0]}, "activation": {"conv8": [1.0, 9.0]}}, fixed=0.25)
    put_stabilised("off", {"sigma": {"conv8": [0.0, 9.0]}, "activation": {"conv8": [0.0, 9.0]}})
    publish("sns", "variance", {"over_images": {"conv8": [1.0, 9.0]}, "over_all": {"conv8": [8.0, 9.0]}})
    figure = stabilised_neurons(labels, FOLDER)
    assert rows_of(figure) == ["Vanilla", "SNS", "off", "PAT"]
    everyone = ("Vanilla", "SNS", "off")
    for series, value in (("clean", 75), ("PGD", 12.5), ("PGD-100 × 5", 6.25)):
        assert shown(figure, "accuracy, %", series) == dict.fromkeys(everyone, value)
    assert shown(figure, "accuracy, %", "fixed x'") == {"Vanilla": 50, "SNS": 25, "off": 50}
    assert shown(figure, "of neurons, %", "dead") == {"Vanilla": 0, "SNS": 0, "off": 100}
    assert shown(figure, "of neurons, %", "over images") == {"SNS": 12.5}
    assert shown(figure, "output, %", "output, %") == {"Vanilla": 100, "SNS": 25, "off": 0}
    assert shown(figure, "σ", "σ") == {"Vanilla": 2, "SNS": 0.5, "off": 0}
    assert shown(figure, "rel. σ", "rel. σ") == {"Vanilla": 0.5, "SNS": 0.5}  # what is dead has none


def by_each(clean: float) -> dict[str, dict[str, float]]:
    return {which: {"clean": clean, "fixed": 0.5, "pgd": 0.25} for which in STATISTICS}


def test_statistics_have_the_mean_over_seeds_and_their_spread(results: Path) -> None:
    assert by_statistics(FOLDER) is None
    publish("vanilla", "accuracy-by-statistics", by_each(0.5), n=100)
    assert by_statistics(FOLDER) is None  # of none of the rows that are shown
    for seed, clean in (("", 0.5), ("-seed1", 0.75)):
        publish(f"pat{seed}", "accuracy-by-statistics", by_each(clean), n=100)
    publish("control_adv", "accuracy-by-statistics", by_each(0.125), n=100)
    figure = by_statistics(FOLDER)
    assert rows_of(figure) == [ROWS[row].label for row in BY_STATISTICS]
    control = ROWS["control_adv"].label
    for series in STATISTICS.values():
        assert shown(figure, "clean", series) == {control: 12.5, "PAT": 62.5}
        assert shown(figure, "fixed x'", series) == {control: 50, "PAT": 50}
        assert shown(figure, "PGD", series) == {control: 25, "PAT": 25}
    ends = {line["y"]: (line["x low"], line["x high"]) for line in lines(figure) if line["panel"] == "clean"}
    spread = 100 * stdev([0.5, 0.75])
    assert ends[control] == ("", "")  # one seed has no spread
    assert [float(end) for end in ends["PAT"]] == pytest.approx([62.5 - spread, 62.5 + spread])


def test_a_table_of_the_papers_has_ours_beside_it(results: Path) -> None:
    printed = {row: paper.table2()[row] for row in ("vanilla", "pat")}
    assert beside_paper(printed, FOLDER) is None
    publish("nat", "accuracy", RESULT, n=100)
    assert beside_paper(printed, FOLDER) is None  # no row of these
    publish("pat", "accuracy", RESULT, n=100)
    figure = beside_paper(printed, FOLDER)
    assert rows_of(figure) == ["Vanilla", "PAT"]
    assert [ax.get_title() for ax in figure.axes if figure][-1] == "PGD-50"  # not run
    for column, title in {"clean": "clean", "step_ll": "Step-LL", "pgd": "PGD", "fgsm": "FGSM"}.items():
        assert shown(figure, title, "ours") == {"PAT": 100 * RESULT[column]}
        assert shown(figure, title, "the paper") == {LABELS[row]: printed[row][column] for row in printed}
    publish("pat", "strong-accuracy", 0.0625, n=100, steps=100, restarts=5)
    assert shown(beside_paper(printed, FOLDER), "PGD-100 × 5", "ours") == {"PAT": 6.25}


def test_the_lowest_accuracy_under_attack_stands_out_in_its_row(results: Path) -> None:
    labels = {"pat": "PAT", "sns": "SNS", "alp": "ALP"}
    assert stronger_attacks(labels, FOLDER) is None
    for row, strong in (("pat", 0.25), ("sns", 0.0)):
        publish(row, "pgd-accuracy", {"clean": 0.75, "pgd": strong}, n=100, attack={"steps": 10})
    publish("pat", "autoattack", {"accuracy": 0.125, "warnings": []}, n=100)
    figure = stronger_attacks(labels, FOLDER)
    assert rows_of(figure) == ["PAT", "SNS", "ALP"]
    assert shown(figure, "clean", "accuracy") == {"PAT": 75, "SNS": 75}
    assert shown(figure, "clean", "lowest under attack") == {}
    assert shown(figure, "PGD-10", "accuracy") == {"PAT": 25}
    assert shown(figure, "PGD-10", "lowest under attack") == {"SNS": 0}
    assert shown(figure, "AutoAttack", "lowest under attack") == {"PAT": 12.5}


def test_the_rows_of_two_widths_come_one_below_the_other_under_stronger_attacks(results: Path) -> None:
    wide, narrow = "data/net-w1", "data/net-w0.25"
    publish("pat", "pgd-accuracy", {"clean": 0.75, "pgd": 0.25}, wide, n=100, attack={"steps": 10})
    publish("pat", "pgd-accuracy", {"clean": 0.5, "pgd": 0.125}, narrow, n=100, attack={"steps": 10})
    figure = stronger_attacks({"pat": "PAT", "alp": "ALP"}, wide, narrow)
    assert rows_of(figure) == ["PAT, width 1", "PAT, width 1/4", "ALP, width 1/4"]
    assert shown(figure, "clean", "accuracy") == {"PAT, width 1": 75, "PAT, width 1/4": 50}
    assert shown(figure, "PGD-10", "lowest under attack") == {"PAT, width 1": 25, "PAT, width 1/4": 12.5}


def numbers_of(table: Any, columns: slice) -> dict[str, list[str]]:
    """Row to the numbers that a table prints, without how many seeds and the spread; cells of following lines too."""
    found: dict[str, list[str]] = {}
    label = ""
    for first, *others in table_rows(table)[1:]:
        label = re.sub(r", \d seeds$", "", first) or label
        cells = (re.sub(r" ±.*|\*", "", cell) for cell in others[columns])
        found.setdefault(label, []).extend(cell for cell in cells if cell not in ("", "–"))
    return found


def test_the_recorded_figures_show_what_the_tables_below_them_print() -> None:
    stabilised = {row: ROWS[row].label for row in STABILISED}
    remedied = {row: ROWS[row].label for family in FAMILIES.values() for row in family.rows}
    attacked = {row: ROWS[row].label for row in TABLE}
    harder = tables.stronger_attacks(attacked, [VGG16], "Caption.", "tbl-3")
    for figure, table, columns in (
        (stabilised_neurons(stabilised, VGG16), tables.stabilised_in_table1(VGG16), slice(None)),
        (stabilised_neurons(remedied, VGG16), tables.remedied_neurons(VGG16), slice(None)),
        (by_statistics(VGG16), tables.by_statistics(VGG16), slice(1, None)),
        (beside_paper(paper.table2(), ALEXNET), tables.table2_recorded(ALEXNET), slice(1, None)),
        (stronger_attacks(attacked, VGG16), harder, slice(-1)),
    ):
        drawn: dict[str, list[float]] = {}
        for line in lines(figure):
            drawn.setdefault(line["y"], []).append(float(line["x"]))
        printed = numbers_of(table, columns)
        assert len(printed) > 5
        assert drawn.keys() == printed.keys()
        for row, cells in printed.items():
            found = sorted(map(float, cells))
            assert sorted(drawn[row]) == pytest.approx(found, abs=0.0051, rel=0.05), row


WAYS = (
    "plain",
    "folded, float32",
    "folded, channels_last, float32",
    "folded, bfloat16",
    "folded, channels_last, bfloat16",
)


def passes(count: int, width: float = 0.25) -> list[dict[str, Any]]:
    """Ways of one network, each half as fast again as the one before; snslib runs the last of each precision."""
    about = {"model": "vgg16", "width": width, "seconds": 0.25}
    return [
        about
        | {"way": way, "chosen": way.startswith("folded, channels"), "cosine": 1 - place / 16}
        | {"faster": 1 + place / 2, "faster_from": 1 + place / 4, "faster_to": 1 + place}
        for place, way in enumerate(WAYS[:count])
    ]


def test_passes_show_both_formats_and_which_of_them_snslib_runs() -> None:
    figure = speed.passes({"cpu": passes(5) + passes(3, 0.5)})
    assert rows_of(figure) == ["VGG-16, 0.25", "VGG-16, 0.5"]
    assert shown(figure, "plain, ms", "plain, ms") == {"VGG-16, 0.25": 250, "VGG-16, 0.5": 250}
    both = dict.fromkeys(rows_of(figure), 0.0)
    assert shown(figure, "float32, × plain", "contiguous") == {row: 1.5 for row in both}
    assert shown(figure, "float32, × plain", "channels_last, run by snslib") == {row: 2 for row in both}
    assert shown(figure, "float32, × plain", "channels_last") == {}
    assert shown(figure, "bfloat16, × plain", "contiguous") == {"VGG-16, 0.25": 2.5}  # 0.5 has no bfloat16
    assert shown(figure, "bfloat16, × plain", "channels_last, run by snslib") == {"VGG-16, 0.25": 3}
    assert shown(figure, "cosine", "cosine") == {"VGG-16, 0.25": 0.75, "VGG-16, 0.5": 0.875}
    [line] = [line for line in lines(figure) if line["series"] == "contiguous" and "bf" in line["panel"]]
    assert (line["x low"], line["x high"]) == ("1.75", "4")
    assert rows_of(speed.passes({"cpu": passes(5), "cuda": passes(5)})) == ["cpu: VGG-16, 0.25", "cuda: VGG-16, 0.25"]
    assert speed.passes({}) is None


def test_kernels_are_a_share_of_the_copy() -> None:
    about = {"operation": "sign_step", "shape": [2, 64], "dtype": "float32", "channels_last": False}
    copy = {"how": "copy", "faster": 1.0, "faster_from": 1.0, "faster_to": 1.0, "gb_per_second": 24.5}
    ours = {"how": "snslib", "faster": 0.5, "faster_from": 0.25, "faster_to": 0.75, "gb_per_second": 12}
    last = about | {"dtype": "bfloat16", "channels_last": True}
    figure = speed.kernels({"cpu": [about | copy, about | ours, last | copy, last | ours | {"how": "eager"}]})
    one, two = rows_of(figure)
    assert (one, two) == ("sign_step, 2×64 f32", "sign_step, 2×64 bf16, c.l.")
    assert shown(figure, "a copy, GB/s", "a copy, GB/s") == {one: 24.5, two: 24.5}
    assert shown(figure, "share of a copy's, %", "snslib") == {one: 50}
    assert shown(figure, "share of a copy's, %", "eager") == {two: 50}
    assert {(line["x low"], line["x high"]) for line in lines(figure)[2:]} == {("25", "75")}
    assert speed.kernels({}) is None


def test_pages_begin_with_the_slowest() -> None:
    quick = {"page": "intro", "bytes": 96_600, "seconds": 0.5, "longest": 0.75}
    slow = {"page": "api", "bytes": 1_524_959, "seconds": 1.5, "longest": 1.75}
    figure = speed.pages({"cpu": [quick, slow]})
    assert rows_of(figure) == ["api", "intro"]
    assert shown(figure, "seconds to open", "median") == {"api": 1.5, "intro": 0.5}
    assert shown(figure, "seconds to open", "longest") == {"api": 1.75, "intro": 0.75}
    assert shown(figure, "kB without pictures", "kB") == {"api": 1524.959, "intro": 96.6}
    assert speed.pages({}) is None


def test_the_figures_of_speed_show_what_the_tables_below_them_print() -> None:
    records = speed_records.read()
    for figure, table, panel, columns, form in (
        (speed.passes(records.rows("passes")), tables.speed_passes(records), "× plain", slice(3, 7), "{:.2f}"),
        (speed.kernels(records.rows("kernels")), tables.speed_kernels(records), "share", slice(4, None), "{:.0f}%"),
        (speed.pages(records.rows("pages")), tables.speed_pages(records), "seconds", slice(2, None), "{:.2f}"),
    ):
        drawn = [form.format(float(line["x"])) for line in lines(figure) if panel in line["panel"]]
        printed = [cell.strip("*") for row in table_rows(table)[1:] for cell in row[columns]]
        assert len(drawn) > 20
        assert sorted(drawn) == sorted(cell for cell in printed if cell)


@pytest.fixture(autouse=True)
def closed() -> Any:
    """A figure that is drawn is not kept, which a notebook would show once more."""
    yield
    assert plt.get_fignums() == []


def test_nothing_measured_is_no_figure() -> None:
    assert [draw({}) for draw in (speed.attacks, speed.sensitivity, speed.growth)] == [None] * 3
