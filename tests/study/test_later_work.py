"""The defenses of later work: trained as PAT is, but for the loss, and by no chapter."""

from dataclasses import replace
from pathlib import Path

import pytest
from tiny import TINY

from snslib.study.defenses import DEFENSES, LABELS
from snslib.study.networks import Networks
from snslib.study.rows import LATER, ROWS, TABLE
from snslib.training.objectives import TRADES, VulnerabilitySuppression

OWN = {"trades": {"beta": 6.0}, "anp_vs": {"weight": 1e-4, "layers": tuple(f"conv{k}" for k in range(1, 14))}}


@pytest.fixture
def networks(tmp_path: Path) -> Networks:
    return Networks(replace(TINY, steps=7, pat_epochs=3, precision="bfloat16"), tmp_path)


@pytest.mark.parametrize("name", LATER)
def test_a_row_has_the_budget_and_the_attack_of_pat(networks: Networks, name: str) -> None:
    row, pat = LATER[name], TABLE["pat"]
    assert row.settings(networks.settings) == pat.settings(networks.settings)
    assert DEFENSES[name].starts_from is None
    shared = networks.configuration("pat") | {"defense": name}
    assert networks.configuration(name) == shared | OWN[name]


def test_what_the_losses_are_made_of_is_what_the_configurations_say(networks: Networks) -> None:
    s, trades, vs = networks.settings, *(DEFENSES[name].objective(networks) for name in ("trades", "anp_vs"))
    assert isinstance(trades, TRADES)
    assert (trades.eps, trades.step_size, trades.steps, trades.precision) == (s.eps, s.step_size, 7, "bfloat16")
    assert {"beta": trades.beta} == OWN["trades"]
    assert isinstance(vs, VulnerabilitySuppression)
    assert {"weight": vs.weight, "layers": vs.layers} == OWN["anp_vs"]


def test_the_chapters_train_the_defenses_of_the_paper_and_no_others() -> None:
    assert set(LABELS) == set(DEFENSES) - set(LATER)
    assert set(LABELS) == set(TABLE) & set(DEFENSES)
    assert set(LATER) <= set(ROWS)
