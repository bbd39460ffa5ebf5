"""Records are found by row, seeds together; what was taken is remembered, and what is missing named."""

from pathlib import Path

import pytest
from recorded import FOLDER, HALF, put, put_accuracy, put_model

from snslib.claims.records import NotRunError, PublishedRecords

pytestmark = pytest.mark.usefixtures("results")


def test_the_seeds_of_a_row_come_together_and_other_rows_stay_out() -> None:
    for seed in (0, 1):
        put_accuracy("sns_sen_adv", HALF, seed=seed)
    put_accuracy("sns_sen_adv_online", HALF)
    published = PublishedRecords(FOLDER)
    found = published.find("accuracy", "pat", "sns_sen_adv")
    assert {row: [entry.seed for entry in entries] for row, entries in found.items()} == {"sns_sen_adv": [0, 1]}
    assert published.used == found["sns_sen_adv"]
    share = published.accuracies("sns_sen_adv")["sns_sen_adv"]["pgd"]
    assert (share.values, share.n) == ((0.5, 0.5), 10_000)


def put_outcomes(row: str, digits: dict[str, str], seed: int = 0, n: int = 16) -> None:
    put(row, "outcomes", digits, seed=seed, n=n, steps=100, restarts=5)


def test_outcomes_join_the_accuracies_of_their_row_and_seed() -> None:
    for seed in (0, 1):
        put_accuracy("pat", HALF, seed=seed)
    put_outcomes("pat", {"pgd": "80ff"}, seed=1)
    published = PublishedRecords(FOLDER)
    of_pat = published.accuracies("pat")["pat"]
    assert {seed: right.tolist() for seed, right in of_pat["pgd"].outcomes.items()} == {1: [*[1, *[0] * 7], *[1] * 8]}
    assert of_pat["clean"].outcomes == {}  # which the record does not have
    assert (of_pat["pgd"].values, of_pat["pgd"].n) == ((0.5, 0.5), 10_000)
    assert [(entry.what, entry.seed) for entry in published.used] == [("accuracy", 0), ("accuracy", 1), ("outcomes", 1)]


def test_outcomes_of_another_number_of_images_than_they_say_leave_a_claim_undecided() -> None:
    put_accuracy("pat", HALF)
    put_outcomes("pat", {"pgd": "80ff"}, n=24)
    with pytest.raises(NotRunError, match=r"^a record of outcomes is damaged: digits: 4 are not of 24 images"):
        PublishedRecords(FOLDER).accuracies("pat")


def test_what_is_missing_is_named() -> None:
    put_accuracy("nat", HALF)
    published = PublishedRecords(FOLDER)
    with pytest.raises(NotRunError, match=r"^no record of accuracy: eat, pat$"):
        published.need("accuracy", "eat", "nat", "pat")
    with pytest.raises(NotRunError, match=r"^no model published: nat$"):
        published.states("nat")


def test_the_configuration_is_asked_for() -> None:
    put("pat", "strong-accuracy", 0.5, under="pgd")
    assert PublishedRecords(FOLDER).find("strong-accuracy", "pat", under="fog") == {}
    assert PublishedRecords(FOLDER).find("strong-accuracy", "pat", under="pgd")["pat"][0].result == 0.5


def test_the_models_of_a_row_are_those_of_its_seeds() -> None:
    for row, epochs in (("sns_sen_adv", 1), ("sns_sen_adv-seed1", 2), ("sns_sen_adv_online", 3)):
        put_model(row, epochs, seconds=1)
    assert sorted(len(state["history"]) for state in PublishedRecords(FOLDER).states("sns_sen_adv")) == [1, 2]


def test_a_damaged_model_leaves_a_claim_undecided_and_is_named(results: Path) -> None:
    put_model("pat", 2, seconds=1)
    path = results / FOLDER / "pat.safetensors"
    path.write_bytes(path.read_bytes().replace(b"seconds", b"sekunde"))
    with pytest.raises(NotRunError, match=rf"{path} is damaged"):
        PublishedRecords(FOLDER).states("pat")


def test_the_strong_attack_is_told_of_the_rows_that_have_it() -> None:
    assert PublishedRecords(FOLDER).strong("pat", "alp") == ""
    put("pat", "strong-accuracy", 0.25, n=8, steps=100, restarts=5)
    assert PublishedRecords(FOLDER).strong("pat", "alp") == "; PGD-100 × 5 leaves PAT 25.00%"
