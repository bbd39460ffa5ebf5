"""The table of all readings, and its sentences, say what is recorded and what is not."""

from typing import Any

import pytest
from recorded import FOLDER, put

from snslib.attacks import ATTACKS
from snslib.book import findings, tables
from snslib.claims.readings import BY_TRAINING, READINGS
from snslib.study import rows

pytestmark = pytest.mark.usefixtures("results")

SNS = ("sns_sen_cls", "sns_all_cls", "sns_sen_adv")
SIGMA = {"conv8": [4.0, 3.0, 2.0, 1.0]}  # a quarter of the neurons is chosen: the first
ACTIVE, HALF_DEAD = [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 2.0, 2.0]


def put_row(row: str, accuracy: float, autoattack: float | None, activation: list[float], **sns: Any) -> None:
    attack = {"steps": 10, "eps": 8 / 255}
    left = {column: accuracy / 100 for column in ATTACKS}
    put(row, "accuracy", {"clean": 0.9, **left}, n=1000, attack=attack)
    put(row, "accuracy-on-fixed", 0.5, n=1000)
    put(row, "strong-accuracy", accuracy / 100, n=1000, steps=100, restarts=5)
    if autoattack is not None:
        put(row, "autoattack", {"accuracy": autoattack / 100, "warnings": []}, n=1000)
    stabilises = {"sns": {"layers": ["conv8"], "fraction": 0.25, **sns}} if rows.ROWS[row].defense in SNS else {}
    measured = {"sigma": {"conv8": [float(value > 0) for value in activation]}, "activation": {"conv8": activation}}
    put(row, "sensitivity", measured, split="test", under="pgd", trained={"model": "vgg16", "width": 1.0} | stabilises)


def put_vanilla() -> None:
    put_row("vanilla", 0.0, 0.0, ACTIVE)
    put("vanilla", "sensitivity", {"sigma": SIGMA, "activation": {"conv8": ACTIVE}}, split="train", under="pgd")


def lines(table: str) -> dict[str, list[str]]:
    found = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|")
    return {first: rest for first, *rest in found}


def test_every_row_of_a_reading_and_of_its_controls_has_one_place() -> None:
    listed = [row for group in BY_TRAINING.values() for row in group.values()]
    assert len(listed) == len(set(listed))
    of_claims = {row for reading in READINGS.values() for row in vars(reading).values()}
    assert {*rows.READINGS, *rows.ONE_PASS, *rows.OTHER_NEURONS, *of_claims} <= set(listed) <= set(rows.ROWS)


def test_dead_are_counted_among_the_chosen_and_among_all() -> None:
    put_vanilla()
    put_row("pat", 40.0, 30.0, ACTIVE)
    put_row("sns_sen_cls", 0.0, 0.0, [0.0, 1.0, 1.0, 1.0])
    put_row("reselected_cls_online", 7.0, None, HALF_DEAD, neurons="reselected")
    table = lines(tables.all_readings(FOLDER).data)
    assert list(table["neurons"]) == [
        "clean",
        *ATTACKS.values(),
        "PGD-100 × 5",
        "AutoAttack",
        "dead of chosen",
        "dead of all",
        "rel. σ",
    ]
    assert table["chosen once"][-4:] == ["0.00", "100.00", "25.00", "1"]
    assert table["re-selected"] == ["90.00", *["7.00"] * 5, "–", "100.00", "50.00", "0.5"]
    assert "λ = 0" not in table  # what is not recorded has no line


def test_the_sentences_are_about_what_is_recorded() -> None:
    assert findings.all_readings(FOLDER).data == "*Not run yet.*"
    put_vanilla()
    put_row("pat", 40.0, 30.0, ACTIVE)
    put_row("sns_sen_cls", 0.0, 0.0, ACTIVE)
    text = findings.all_readings(FOLDER).data
    assert "Chosen anew" not in text
    assert "1 of the 3 networks that went through AutoAttack are robust" in text
    assert ": PAT (30.00%)." in text
    label = rows.ROWS["reselected_cls_online"].label
    assert f" {label};" in text.partition("Not trained yet:")[2]
    put_row("reselected_cls_online", 7.0, 2.0, HALF_DEAD, neurons="reselected")
    text = findings.all_readings(FOLDER).data
    assert f"- {label}: 50.00% of all neurons in the stabilised layers. It is right on 90.00% of the clean" in text
    assert (
        f"{label} keeps the most: 2.00% under AutoAttack, and is right on 90.00% of the clean images; PAT keeps 30.00%"
        in text
    )
    assert f" {label};" not in text.partition("Not trained yet:")[2]
