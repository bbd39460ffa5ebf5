"""The readings of Algorithm 1: the rows that each has, and the claims about SNS by the criteria of the scorecard."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from snslib.claims.claims import CLAIMS, Claim, about_sns, first_decided
from snslib.claims.criteria import sensitivity, tables
from snslib.claims.criteria.outcome import Outcome
from snslib.claims.records import PublishedRecords


@dataclass(frozen=True)
class Reading:
    """The rows of Table 1 as one reading of Algorithm 1 trains them.

    Args:
        sen_cls, all_cls: Eq. 10 on sensitive and on all neurons.
        sen_adv: Eq. 11 on sensitive neurons.
    """

    sen_cls: str
    all_cls: str
    sen_adv: str

    def criteria(self) -> dict[int, Callable[[PublishedRecords], Outcome]]:
        """The criteria of the claims about these rows, by the claim's number."""
        on_tables = about_sns(self.sen_cls, self.all_cls, self.sen_adv)
        of_records = {number: tables.from_table(*criterion) for number, criterion in on_tables.items()}
        return of_records | {14: partial(sensitivity.below_pat, self.sen_adv)}


READINGS = {
    "to the letter": Reading("sns_sen_cls", "sns_all_cls", "sns_sen_adv"),
    "online": Reading("sns_sen_cls_online", "sns_all_cls_online", "sns_sen_adv_online"),
    "re-selected": Reading("reselected_cls_online", "sns_all_cls_online", "reselected_adv_online"),
}

# Every reading that has a row: what all rows of a group share, to what a row differs in. Groups begin with the same
# training without the SNS loss, where that was planned.
BY_TRAINING = {
    "Eq. 10, x' made once, layers below conv8 locked": {
        "λ = 0": "control_cls",
        "chosen once": "sns_sen_cls",
        "chosen once, literal sum": "sum_cls",
        "re-selected": "reselected_cls",
        "all neurons": "sns_all_cls",
    },
    "Eq. 10, x' made at every step, all layers trained": {
        "chosen once": "sns_sen_cls_online",
        "re-selected": "reselected_cls_online",
        "re-selected, one pass": "reselected_cls_online_one_pass",
        "at random, redrawn": "redrawn_cls_online",
        "all neurons": "sns_all_cls_online",
    },
    "Eq. 11, x' made once, layers below conv8 locked": {
        "λ = 0": "control_adv",
        "λ = 0, one pass": "control_adv_one_pass",
        "chosen once": "sns_sen_adv",
        "chosen once, one pass": "sns_sen_adv_one_pass",
        "chosen once, literal sum": "sum_adv",
        "re-selected": "reselected_adv",
    },
    "Eq. 11, x' made at every step, all layers trained": {
        "λ = 0, PAT from vanilla": "control_adv_online",
        "chosen once": "sns_sen_adv_online",
        "at random, once": "random_adv_online",
        "re-selected": "reselected_adv_online",
        "re-selected, one pass": "reselected_adv_online_one_pass",
        "at random, redrawn": "redrawn_adv_online",
    },
    "Without the SNS loss, from random weights": {"vanilla": "vanilla", "PAT": "pat", "ALP": "alp"},
}
EVERY_ROW = tuple(row for group in BY_TRAINING.values() for row in group.values())


def by_reading(folder: str, narrow: str | None = None) -> list[tuple[Claim, dict[str, Outcome]]]:
    """What the published rows say of the claims about SNS: each claim, and reading to outcome.

    Args:
        folder, narrow: as in :func:`snslib.claims.claims.scorecard`.
    """
    criteria = {name: reading.criteria() for name, reading in READINGS.items()}
    return [
        (claim, {name: first_decided(decide[claim.number], folder, narrow) for name, decide in criteria.items()})
        for claim in CLAIMS
        if claim.number in criteria["to the letter"]
    ]
