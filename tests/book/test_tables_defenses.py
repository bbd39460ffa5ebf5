"""Tables of the chapter on results have the rows that their captions promise, each beside what it is compared with."""

from pathlib import Path

from markdown import table_rows
from recorded import publish

from snslib.book import tables, text
from snslib.claims import paper
from snslib.claims.numbers import accuracies
from snslib.study.defenses import LABELS
from snslib.study.records import Record
from snslib.study.rows import ROWS

FOLDER = "data/net-w0.25"
RESULT = {"clean": 0.9, "step_ll": 0.5, "mi_fgsm": 0.4, "pgd": 0.125, "fgsm": 0.3}
STRONG = {"steps": 100, "restarts": 5}


def test_the_live_table_has_the_builds_numbers_above_the_papers() -> None:
    records = {name: Record("accuracy", RESULT, {"n": 20}, defense=name) for name in LABELS}
    strong = {name: Record("strong-accuracy", 0.0625, {"n": 20, "steps": 50, "restarts": 1}) for name in LABELS}
    table = tables.table1_live(records, strong)
    header, *rows = table_rows(table)
    assert "<!-- tbl-table1 -->\n" in table.data
    assert header[-1] == "PGD-50"
    assert [row[0] for row in rows[::2]] == list(LABELS.values())
    assert rows[6] == ["PAT", "**ours**", "**90.00**", "**50.00**", "**40.00**", "**12.50**", "**30.00**", "6.25"]
    assert rows[7] == ["", "paper", "85.16", "74.94", "76.36", "46.04", "46.96", ""]


def test_the_recorded_tables_differ_in_the_papers_table_and_in_whether_a_difference_means_anything(
    results: Path,
) -> None:
    publish("pat", "accuracy", RESULT, n=1000)
    publish("pat", "strong-accuracy", 0.0625, **STRONG, n=1000)
    first, second = tables.table1_recorded(FOLDER), tables.table2_recorded(FOLDER)
    assert "<!-- tbl-recorded -->\n" in first.data
    assert "<!-- tbl-table2 -->\n" in second.data
    one, two = table_rows(first), table_rows(second)
    assert len(one) == 1 + 2 * len(paper.table1())
    assert len(two) == 1 + 2 * len(paper.table2())
    assert one[0][-1] == "PGD-100 × 5"
    pat = next(place for place, line in enumerate(one) if line[0] == "PAT")
    assert one[pat][2:] == ["**90.00**", "**50.00**", "**40.00**", "**12.50**", "**30.00**", "6.25"]
    assert one[pat + 1][2] == "85.16 (+4.8)"
    assert [line[2] for line in two if line[:2] == ["", "paper"]][3] == "55.10"
    assert ["NAT", "ours", "not run", *[""] * 5] in one


def test_the_tables_of_stabilised_neurons_have_every_row_and_units(results: Path) -> None:
    for table, rows, name in (
        (tables.stabilised_in_table1(FOLDER), accuracies.STABILISED, "tbl-controls"),
        (tables.stabilised_in_table2(FOLDER), accuracies.STABILISED_ALEXNET, "tbl-table2-controls"),
    ):
        header, *lines = table_rows(table)
        assert f"<!-- {name} -->\n" in table.data
        assert header[5:] == ["dead, %", "output, %", "over images, %", "σ", "rel. σ"]
        assert [line[:2] for line in lines] == [[ROWS[row].label, "not run"] for row in rows]


def test_the_table_of_gains_takes_each_row_from_its_control(results: Path) -> None:
    for row, clean in (("sns_sen_cls", 0.75), ("sns_all_cls", 0.5), ("control_cls", 0.7), ("control_adv", 0.1)):
        publish(row, "accuracy", RESULT | {"clean": clean}, n=1000)
    table = tables.gain_of_sns(FOLDER)
    _, *lines = table_rows(table)
    assert "<!-- tbl-sns-adds -->\n" in table.data
    assert [line[0] for line in lines] == [ROWS[row].label for row in accuracies.CONTROLS]
    assert lines[0][1].startswith("+5.0 (")
    assert lines[1][1].startswith("-20.0 (")
    assert lines[2][1] == "–"  # its control was run, and it was not


def test_a_source_line_without_records_is_empty() -> None:
    assert text.source().data == ""
