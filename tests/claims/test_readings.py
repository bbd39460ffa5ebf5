"""Claims about SNS are decided for each reading of Algorithm 1, by its own rows."""

import pytest
from recorded import COLUMNS, FOLDER, HALF, put, put_accuracy

from snslib.claims import claims, readings
from snslib.claims.readings import READINGS

pytestmark = pytest.mark.usefixtures("results")


def verdicts(number: int) -> dict[str, str]:
    (found,) = (found for claim, found in readings.by_reading(FOLDER) if claim.number == number)
    return {name: outcome.verdict for name, outcome in found.items()}


def test_each_reading_is_decided_by_its_own_rows() -> None:
    for row in ("pat", "alp"):
        put_accuracy(row, HALF)
    put_accuracy("sns_sen_adv", dict.fromkeys(COLUMNS, 10.0))
    put_accuracy("sns_sen_adv_online", dict.fromkeys(COLUMNS, 60.0))
    put("sns_sen_adv_online", "strong-accuracy", 0.4, n=1000, steps=100, restarts=5)
    assert verdicts(12) == {"to the letter": "not reproduced", "online": "reproduced", "re-selected": "not run"}


def test_all_neurons_need_no_selection_so_online_and_reselected_share_their_row() -> None:
    put_accuracy("sns_all_cls_online", HALF)
    put_accuracy("sns_sen_cls_online", HALF)
    put_accuracy("reselected_cls_online", dict.fromkeys(COLUMNS, 60.0))
    assert verdicts(11) == {"to the letter": "not run", "online": "undecidable", "re-selected": "reproduced"}


def test_the_first_reading_is_the_scorecards() -> None:
    for place, row in enumerate(("sns_sen_cls", "sns_all_cls", "sns_sen_adv", "pat", "alp", "nat", "eat")):
        put_accuracy(row, dict.fromkeys(COLUMNS, 40.0 + 3 * place))
    card = {claim.number: outcome for claim, outcome in claims.scorecard(FOLDER)}
    for claim, found in readings.by_reading(FOLDER):
        assert found["to the letter"] == card[claim.number]
    assert [claim.number for claim, _ in readings.by_reading(FOLDER)] == [10, 11, 12, 14, 17]
    assert list(READINGS) == ["to the letter", "online", "re-selected"]
