"""Sentences of the chapter on results follow the records: both sides of what changes them, and what is not run."""

from pathlib import Path
from typing import Any

import pytest
from recorded import publish

from snslib.book import findings
from snslib.claims.statistics import Accuracy
from snslib.study.defenses import LABELS
from snslib.study.records import Record
from snslib.study.rows import ROWS

WIDE, FOLDER = "data/net-w1", "data/net-w0.25"
COLUMNS = ("clean", "step_ll", "mi_fgsm", "pgd", "fgsm")


def put_row(
    row: str, clean: float, pgd: float, fixed: float = 0.5, output: float = 4.0, folder: str = FOLDER
) -> None:
    """All that the state of a row's neurons is computed from; neuron 1 of conv8 is the sensitive one, and outputs 4."""
    trained = {"sns": {"layers": ["conv8"], "fraction": 0.5}} if row.startswith(("sns", "control", "random")) else {}
    publish(row, "accuracy", dict.fromkeys(COLUMNS, pgd) | {"clean": clean}, folder, n=1000)
    publish(row, "accuracy-on-fixed", fixed, folder, n=1000)
    publish(row, "strong-accuracy", 0.0, folder, steps=100, restarts=5, n=1000)
    result = {"sigma": {"conv8": [1.0, 2.0]}, "activation": {"conv8": [1.0, output]}}
    publish(row, "sensitivity", result, folder, split="test", under="pgd", trained=trained, n=1000)
    if row == "vanilla":
        publish(row, "sensitivity", result, folder, split="train", under="pgd", trained=trained, n=1000)


def live(n: int, **accuracy: dict[str, float]) -> dict[str, Record]:
    about = {"data": {"name": "digits"}}
    config = {"n": n, "trained": {"width": 0.125}}
    return {
        name: Record("accuracy", dict.fromkeys(COLUMNS, 0.5) | accuracy.get(name, {}), config, **about)
        for name in LABELS
    }


def strong(**accuracy: float) -> dict[str, Record]:
    config = {"n": 100, "steps": 50, "restarts": 1}
    return {name: Record("strong-accuracy", accuracy.get(name, 0.25), config) for name in LABELS}


def test_the_live_sentences_count_attacks_that_chance_does_not_explain() -> None:
    """Of 1,000 images a difference of 5 points near one half has p = 0.025, which Holm's correction turns down."""
    better = {"pgd": 0.56, "fgsm": 0.54, "mi_fgsm": 0.4, "clean": 0.9}
    found = findings.defenses_live(live(1000, sns_sen_adv=better), strong(pat=0.3, vanilla=0.0)).data
    assert "On 1,000 test images of digits, one seed" in found
    assert (
        f"{LABELS['sns_sen_adv']} is more accurate than PAT under 1 of the 4 attacks here, under 4 in the paper"
        in found
    )
    assert f"{LABELS['sns_sen_cls']} is more accurate than Vanilla under 0 of the 4 attacks here" in found
    assert "Under PGD-50 the most accurate model is PAT with 30.00%" in found
    assert f"{LABELS['sns_sen_adv']} keeps 25.00%, Vanilla 0.00%" in found
    assert "a network of width 0.125;" in found
    fewer = findings.defenses_live(live(100, sns_sen_adv=better), strong(sns_all_cls=0.26)).data
    assert "more accurate than PAT under 0 of the 4 attacks here" in fewer
    assert f"the most accurate model is {LABELS['sns_all_cls']} with 26.00%" in fewer


def by_statistics(first: int) -> dict[str, dict[str, float]]:
    """Nine accuracies, all different: first, first + 1, ... percent."""
    cells = [(which, under) for which in ("kept", "clean", "fixed") for under in ("clean", "fixed", "pgd")]
    found: dict[str, dict[str, float]] = {}
    for place, (which, under) in enumerate(cells):
        found.setdefault(which, {})[under] = (first + place) / 100
    return found


def test_each_paragraph_on_batchnorm_needs_its_rows(results: Path) -> None:
    assert findings.statistics_of_batchnorm(FOLDER).data == ""
    publish("sns_sen_adv", "accuracy-by-statistics", by_statistics(10), n=1000)
    [first] = findings.statistics_of_batchnorm(FOLDER).data.split("\n\n")
    assert "is right on 13.00% of them, and on 14.00% of the fixed x'" in first
    assert "the other way round: 16.00% and 17.00%" in first
    assert "keeps 15.00% with the statistics of clean images and 18.00% with those of x'" in first
    publish("sns_sen_adv_one_pass", "accuracy-by-statistics", by_statistics(20), n=1000)
    _, second = findings.statistics_of_batchnorm(FOLDER).data.split("\n\n")
    assert "keeps 20.00% on clean images and 21.00% on fixed x', and 22.00% under PGD." in second
    publish("control_adv_one_pass", "accuracy-by-statistics", by_statistics(30), n=1000)
    _, second = findings.statistics_of_batchnorm(FOLDER).data.split("\n\n")
    assert "21.00% on fixed x' (λ = 0: 30.00% and 31.00%), and 22.00% under PGD." in second
    publish("sns_sen_adv_online", "accuracy-by-statistics", by_statistics(40), n=1000)
    assert len(findings.statistics_of_batchnorm(FOLDER).data.split("\n\n")) == 2  # it lacks its control
    publish("control_adv_online", "accuracy-by-statistics", by_statistics(50), n=1000)
    *_, third = findings.statistics_of_batchnorm(FOLDER).data.split("\n\n")
    assert "the control from 50.00% to 53.00% on clean images and from 52.00% to 55.00% under PGD" in third
    assert "The row with the SNS loss goes from 40.00% to 43.00% and from 42.00% to 45.00%." in third


def accuracies(**percent: float) -> dict[str, Accuracy]:
    return {column: Accuracy((percent.get(column, 10) / 100,), 100) for column in COLUMNS}


def test_the_best_setting_is_named_where_settings_differ() -> None:
    panels = {
        "λ": {"0": accuracies(pgd=1, fgsm=3), "5": accuracies(pgd=2, fgsm=4), "25": accuracies(pgd=1.5, fgsm=2)},
        "first layer": {"conv8": accuracies()},
    }
    assert findings.best_settings(panels).data == (
        "- λ: most accurate at no value under Step-LL (10.00% at all of them), no value under MI-FGSM (10.00% at all "
        "of them), 5 under PGD (1.00% to 2.00%), 5 under FGSM (2.00% to 4.00%)."
    )
    assert findings.best_settings({}).data == ""


def plain(text: Any) -> str:
    return " ".join(text.data.split())


def possible() -> str:
    return plain(findings.possible_trainings(WIDE, FOLDER))


def test_the_possible_trainings_show_what_is_recorded_and_what_is_not(results: Path) -> None:
    assert "ours keeps (not run) under white-box PGD, the paper's 48.47%." in possible()
    put_row("vanilla", 0.9, 0.0)
    put_row("sns_sen_adv", 0.6, 0.01, fixed=0.55)
    put_row("control_adv", 0.4, 0.02, fixed=0.45)
    found, at = possible(), "at width 1/4"
    assert f"ours keeps 1.00% {at} under white-box PGD, the paper's 48.47%. With λ = 0 it is 2.00% {at}." in found
    assert f"the same network keeps 55.00% {at}, and its control 45.00% {at}. Of all" in found
    assert "It keeps (not run), and with λ = 0 (not run). The paper" in found
    put_row("sns_sen_adv_one_pass", 0.85, 0.03, fixed=0.7)
    assert (
        f"its control 45.00% {at}. Trained in one pass it keeps 70.00% {at} of them and is right on 85.00% {at} of the "
        f"clean images, where the paper has 87.24%; under white-box PGD it keeps 3.00% {at}. Of all"
    ) in possible()


def test_the_papers_width_leads_among_the_possible_trainings_where_it_was_run(results: Path) -> None:
    for folder, pgd in ((WIDE, 0.04), (FOLDER, 0.02)):
        put_row("vanilla", 0.9, 0.0, folder=folder)
        put_row("sns_sen_adv", 0.6, pgd, folder=folder)
    put_row("control_adv", 0.6, 0.03, folder=WIDE)
    assert "ours keeps 4.00% (2.00% at width 1/4) under white-box PGD" in possible()
    assert "With λ = 0 it is 3.00%." in possible()


ALIKE = "can give differences like the paper's"
UNNEEDED = "most of what it adds does not need the sensitive neurons"


@pytest.mark.parametrize(("pgd", "alike"), [(0.32, True), (0.28, False)])
def test_the_online_row_is_like_the_papers_where_it_gains_clean_and_under_pgd(
    results: Path, pgd: float, alike: bool
) -> None:
    put_row("vanilla", 0.9, 0.0)
    put_row("control_adv_online", 0.7, 0.3)
    assert "So the loss changes" not in possible()
    put_row("sns_sen_adv_online", 0.75, pgd)
    found = possible()
    assert f"keeps {100 * pgd:.2f}% at width 1/4, and with λ = 0 30.00% at width 1/4. So the loss" in found
    assert "the loss changes accuracy by +5.0 (" in found
    assert f" points on clean images and by {100 * (pgd - 0.3):+.1f} (" in found
    assert "The paper's SNS differs from its PAT by +2.1 and +2.4" in found
    assert (ALIKE in found) == alike
    assert UNNEEDED not in found


@pytest.mark.parametrize(("clean", "unneeded"), [(0.73, True), (0.72, False)])
def test_random_neurons_do_as_well_where_they_add_more_than_half(results: Path, clean: float, unneeded: bool) -> None:
    put_row("vanilla", 0.9, 0.0)
    for row, accuracy in (("control_adv_online", 0.7), ("sns_sen_adv_online", 0.75), ("random_adv_online", clean)):
        put_row(row, accuracy, 0.3 if row.startswith("control") else 0.32)
    found = possible()
    assert f"(one seed) the same loss changes it by {100 * (clean - 0.7):+.1f} (" in found
    assert (UNNEEDED in found) == unneeded
    put_row("random_adv_online-seed1", clean, 0.32)
    assert "On as many neurons drawn at random (several seeds)" in possible()


def test_inactive_neurons_are_counted_and_their_output_compared_with_vanilla(results: Path) -> None:
    assert findings.inactive_neurons(FOLDER).data == ""
    put_row("vanilla", 0.9, 0.0)
    put_row("sns_sen_cls", 0.8, 0.01, output=0.0)
    put_row("sns_sen_adv", 0.8, 0.02, output=1.0)
    cls, adv = findings.inactive_neurons(FOLDER).data.splitlines()
    assert cls == (
        f"- {ROWS['sns_sen_cls'].label}: 100.00% of the chosen neurons are inactive for every image, and the output of "
        "all chosen ones together is 0% of that in the vanilla network. The network keeps 1.00% under PGD."
    )
    assert "0.00% of the chosen neurons are inactive" in adv
    assert "is 25% of that in the vanilla network. The network keeps 2.00% under PGD." in adv
