"""Tables and sentences of the scorecard (snslib/book/tables/scorecard.py, snslib/book/findings/scorecard.py)."""


import pytest
from markdown import table_rows

from snslib.book import findings, tables
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


def claim(number: int) -> Claim:
    return Claim(
        number, f"Claim {number} holds.", "Fig. 1", "03_sensitive_neurons", "What is asked.", lambda: "1.00", None
    )


CARD = [
    (claim(1), Outcome("reproduced", "0.90", (RECORD,))),
    (claim(2), Outcome("partly", "0.50")),
    (claim(3), Outcome("reproduced", "0.80")),
]


def test_every_claim_leads_to_its_chapter_and_has_the_numbers_of_both() -> None:
    shown = table_rows(tables.claims_decided(CARD))[1:]
    assert shown[1] == ["[2](03_sensitive_neurons.ipynb)", "Claim 2 holds.", "**partly**", "Fig. 1", "1.00", "0.50"]
    assert [row[2] for row in shown] == ["**reproduced**", "**partly**", "**reproduced**"]


def test_claims_about_other_networks_name_network_and_data() -> None:
    card = [(claim(6), "tiny-imagenet/alexnet-w0.25", Outcome("partly", "5 of 5 layers"))]
    assert table_rows(tables.claims_elsewhere(card))[1:] == [
        ["[6](03_sensitive_neurons.ipynb)", "Claim 6 holds.", "AlexNet, tiny-imagenet", "**partly**", "5 of 5 layers"]
    ]


def test_criteria_stand_beside_their_numbers() -> None:
    assert table_rows(tables.criteria(CARD))[1:] == [[str(number), "What is asked."] for number in (1, 2, 3)]


def test_verdicts_are_counted_those_without_a_claim_too() -> None:
    shown = findings.verdict_counts(CARD).data
    assert shown == f"Of 3 claims: 2 reproduced, 1 partly, 0 not reproduced, 0 not run.\n\n{SOURCE}"


def test_sources_of_other_networks_have_a_line_each() -> None:
    other = Outcome("partly", "", (Record(**vars(RECORD) | {"data": {"name": "tiny-imagenet", "origin": "a part"}}),))
    shown = findings.sources_elsewhere([(claim(1), "a", CARD[0][1]), (claim(2), "b", other)]).data
    assert shown == f"{SOURCE}\n\n{SOURCE.replace('cifar10 (a copy)', 'tiny-imagenet (a part)')}"
    assert findings.sources_elsewhere([]).data == ""


def test_verdicts_on_the_tables_of_the_paper_are_grouped(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {10: "partly", 11: "reproduced", 12: "partly", 13: "not reproduced", 16: "partly"}
    monkeypatch.setattr(claims, "of_paper", lambda number: Outcome(given[number], ""))
    assert findings.paper_verdicts().data == (
        "By the same criteria, the paper's own tables give: reproduced for claim 11; partly for claims 10, 12, 16; "
        "not reproduced for claim 13."
    )
