"""What a training that diverges says is to be lowered is what its schedule and its loss are made from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny import TINY

from snslib.study import networks
from snslib.study.defenses import DEFENSES
from snslib.study.reproduce import reproduce
from snslib.study.rows import ROWS, Row
from snslib.study.settings import Settings
from snslib.training.loop import train
from snslib.training.objectives import SNS

pytestmark = pytest.mark.trains

LOWERABLE = [name for name in vars(TINY) if name.endswith("lr")] + ["lam"]


def decides(row: Row, base: Settings) -> tuple[float, float]:
    """The learning rate of a row's training, and the weight of its SNS loss."""
    settings = row.settings(base)
    how = DEFENSES[row.defense]
    return how.schedule(settings).lr, settings.lam if how.starts_from else 0.0


def named(row: Row, base: Settings) -> list[str]:
    return DEFENSES[row.defense].steered_by(row.settings(base), row.taken_from).split(" or ")


@pytest.mark.parametrize("name", [*ROWS, *(f"train {defense}" for defense in DEFENSES)])
def test_each_setting_that_is_named_changes_the_training_and_no_other_does(name: str) -> None:
    row = ROWS[name] if name in ROWS else Row(name.removeprefix("train "), "", "")
    before = decides(row, TINY)
    moving = [
        setting
        for setting in LOWERABLE
        if decides(row, replace(TINY, **{setting: getattr(TINY, setting) / 2})) != before
    ]
    assert sorted(named(row, TINY)) == sorted(moving)


def test_a_weight_of_zero_is_none_to_lower() -> None:
    row = Row("sns_sen_adv", "", "")
    assert named(row, TINY) == ["lr", "lam"]
    assert named(row, replace(TINY, lam=0.0)) == ["lr"]


@pytest.mark.parametrize(
    ("row", "says"),
    [("sns_sen_adv_online", "pat_lr or lam"), ("control_adv_online", "pat_lr"), ("control_cls", "lr")],
)
def test_a_row_that_diverges_says_it(
    row: str, says: str, tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*arguments: Any, **options: Any) -> Any:
        if any(isinstance(argument, SNS) for argument in arguments):
            raise FloatingPointError(f"lower {options['steered_by']}")
        return train(*arguments, **options)

    monkeypatch.setattr(networks, "train", diverge)
    base = replace(TINY, vanilla_epochs=1)
    with pytest.raises(ValueError, match=rf"^{says}: sns_sen_[a-z]{{3}}: lower {says}$"):
        reproduce(base, tmp_path / "cache", [row], progress=lambda line: None)
