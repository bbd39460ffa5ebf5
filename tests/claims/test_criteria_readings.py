"""Readings of Table 1 follow from gains by the stated rules, on both sides of each."""

from typing import Any

import pytest

from snslib.claims.criteria import readings


def gains(clean: float, pgd: float) -> dict[str, Any]:
    """Gains in points as claims.accuracies.gain_over returns them; their intervals play no part."""
    return {
        "clean": (clean, clean - 1, clean + 1),
        "fixed x'": None,
        "PGD": (pgd, pgd - 1, pgd + 1),
        "AutoAttack": None,
    }


NOT_RUN = dict.fromkeys(gains(0, 0))


def test_the_papers_own_gain_is_that_of_table_1() -> None:
    """87.24 against 85.16 on clean images, 48.47 against 46.04 under PGD."""
    assert readings.paper_gain() == {"clean": pytest.approx(2.08), "PGD": pytest.approx(2.43)}


@pytest.mark.parametrize(("clean", "pgd"), [(0.1, 0.1), (30.0, 0.1)])
def test_gains_of_the_papers_sign_are_like_the_papers_however_large(clean: float, pgd: float) -> None:
    assert readings.differs_like_paper(gains(clean, pgd))


@pytest.mark.parametrize(("clean", "pgd"), [(2.0, 0.0), (0.0, 2.0), (-2.0, 2.0), (2.0, -2.0), (-2.0, -2.0)])
def test_a_gain_of_another_sign_is_not_like_the_papers(clean: float, pgd: float) -> None:
    assert not readings.differs_like_paper(gains(clean, pgd))


def test_a_table_in_which_sns_loses_is_matched_by_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = {"sns_sen_adv": {"clean": 80.0, "pgd": 48.0}, "pat": {"clean": 85.0, "pgd": 46.0}}
    monkeypatch.setattr("snslib.claims.paper.table1", lambda: printed)
    assert readings.differs_like_paper(gains(-1.0, 1.0))
    assert not readings.differs_like_paper(gains(1.0, 1.0))


def test_more_than_half_of_the_gain_on_random_neurons_needs_no_sensitive_ones() -> None:
    sensitive = gains(4.0, 2.0)
    assert readings.does_not_need_the_sensitive(gains(2.1, 1.1), sensitive)
    assert not readings.does_not_need_the_sensitive(gains(2.0, 1.1), sensitive)  # half is not most
    assert not readings.does_not_need_the_sensitive(gains(2.1, 1.0), sensitive)


@pytest.mark.parametrize("sensitive", [(0.0, 2.0), (4.0, 0.0), (-4.0, 2.0)])
def test_where_the_loss_adds_nothing_there_is_nothing_that_random_neurons_could_add(sensitive: Any) -> None:
    assert not readings.does_not_need_the_sensitive(gains(9.0, 9.0), gains(*sensitive))


def test_what_was_not_run_fulfils_no_rule() -> None:
    assert not readings.differs_like_paper(NOT_RUN)
    assert not readings.does_not_need_the_sensitive(NOT_RUN, gains(4.0, 2.0))
    assert not readings.does_not_need_the_sensitive(gains(4.0, 2.0), NOT_RUN)
