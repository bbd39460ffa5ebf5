"""Tables and sentences of the scorecard (snslib/book/tables/scorecard.py, snslib/book/findings/scorecard.py)."""

from dataclasses import replace

import pytest
from markdown import table_rows

from snslib.book import findings, labels, tables
from snslib.claims import claims
from snslib.claims.claims import Claim
from snslib.claims.criteria.outcome import Outcome
from snslib.study.records import Record

RECORD = Record(
    "accuracy",
    {},
    {"trained": {"model": "vgg16", "width": 0.25}, "n": 2000},
    data={"name": "cifar10", "origin": "a copy"},
    provenance={"device": "cpu", "commit": "abc"},
)
SOURCE = "*Recorded: cifar10 (a copy), vgg16 at width 0.25 · seeds 0 · measured on 2,000 images · cpu · commits abc*"

CHAPTER = f"[{{}}]({labels.SITE}executed/03_sensitive_neurons.html)"


def claim(number: int) -> Claim:
    return Claim(
        number, f"Claim {number} holds.", "Fig. 1", "03_sensitive_neurons", "What is asked.", lambda: "1.00", None
    )


CARD = [
    (claim(1), Outcome("reproduced", "0.90", (RECORD,))),
    (claim(2), Outcome("partly", "0.50")),
    (claim(3), Outcome("reproduced", "0.80")),
]


def test_every_claim_leads_to_its_chapter_and_unfolds_to_all_numbers_and_its_criterion() -> None:
    card = [*CARD[:1], (claim(2), Outcome("partly", "0.50 of 1; 0.20 of 2; 0.10 of 3"))]
    shown = table_rows(tables.claims_decided(card))[1:]
    numbers = "**Where**: Fig. 1<br>**Paper**: 1.00<br>**Ours**: 0.50 of 1; 0.20 of 2; 0.10 of 3"
    below = f"<summary>evidence and criterion</summary>{numbers}<br>**Criterion**: What is asked."
    unfolding = f"Claim 2 holds.<details>{below}</details>"
    assert shown[1] == [CHAPTER.format(2), unfolding, "**partly**", "1.00", "0.50 of 1 …"]
    assert [row[2:] for row in shown] == [["**reproduced**", "1.00", "0.90"], ["**partly**", "1.00", "0.50 of 1 …"]]


def test_another_network_has_a_column_of_verdicts_but_on_the_claim_about_alexnet() -> None:
    card = [(claim(1), Outcome("partly", "1")), (replace(claim(16), alexnet=True), Outcome("partly", "2"))]
    other = [(each, Outcome("reproduced", "3")) for each, _ in card]
    header, first, second = table_rows(tables.claims_decided(card, {"at width 1/4": other}))
    assert header == ["", "claim", "verdict", "at width 1/4", "paper", "ours"]
    assert (first[2:4], first[-1]) == (["**partly**", "reproduced"], "1")
    assert (second[2:4], second[-1]) == (["**partly**", ""], "2")


def test_claims_about_sns_have_a_verdict_and_a_number_for_each_reading() -> None:
    found = {"to the letter": Outcome("partly", "1 of 2; 3 of 4"), "online": Outcome("not run", "no record: a")}
    header, row = table_rows(tables.claims_by_reading([(claim(12), found)]))
    assert header == ["", "claim", "to the letter", "online"]
    assert row == [CHAPTER.format(12), "Claim 12 holds.", "**partly**: 1 of 2 …", "not run"]


def test_claims_about_other_networks_name_network_and_data() -> None:
    card = [(claim(6), "tiny-imagenet/alexnet-w0.25", Outcome("partly", "5 of 5 layers; 90% of the ranks"))]
    numbers = "**Ours**: 5 of 5 layers; 90% of the ranks<br>**Criterion**: What is asked."
    unfolding = f"Claim 6 holds.<details><summary>evidence and criterion</summary>{numbers}</details>"
    assert table_rows(tables.claims_elsewhere(card))[1:] == [
        [CHAPTER.format(6), unfolding, "AlexNet, tiny-imagenet", "**partly**", "5 of 5 layers …"]
    ]


def test_a_claim_that_nothing_was_measured_for_has_no_empty_lines() -> None:
    (row,) = table_rows(tables.claims_decided([(claim(1), Outcome("not run", ""))]))[1:]
    assert "Ours" not in row[1]
    assert row[-1] == ""


def test_verdicts_are_counted_those_without_a_claim_too() -> None:
    shown = findings.verdict_counts(CARD).data
    assert shown == f"Of 3 claims: 2 reproduced, 1 partly, 0 not reproduced, 0 undecidable, 0 not run.\n\n{SOURCE}"


def test_sources_of_other_networks_have_a_line_each() -> None:
    other = Outcome("partly", "", (Record(**vars(RECORD) | {"data": {"name": "tiny-imagenet", "origin": "a part"}}),))
    shown = findings.sources_elsewhere([(claim(1), "a", CARD[0][1]), (claim(2), "b", other)]).data
    assert shown == f"{SOURCE}\n\n{SOURCE.replace('cifar10 (a copy)', 'tiny-imagenet (a part)')}"
    assert findings.sources_elsewhere([]).data == ""


def test_verdicts_on_the_tables_of_the_paper_are_grouped(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {10: "partly", 11: "reproduced", 12: "partly", 13: "not reproduced", 16: "partly", 17: "partly"}
    monkeypatch.setattr(claims, "of_paper", lambda number: Outcome(given[number], ""))
    assert findings.paper_verdicts().data == (
        "By the same criteria, the paper's own tables give: reproduced for claim 11; partly for claims 10, 12, 16, 17; "
        "not reproduced for claim 13."
    )
